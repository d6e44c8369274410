//! Golden vectors of `BioPyTorch` and of the Krotov-Hopfield notebook, through the real plugin.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_krotov -- --nocapture`
//! prints a line for each file.

use biorule_test_environment::{Need, skip};
use biorule_tests::golden::{Checks, File, expect_further, files, judge, krotov};
use safetensors::SafeTensors;

#[test]
fn every_file_is_reproduced() {
    judge("krotov", &krotov::recognisers()).assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("krotov");
}

/// The trainer's files hold with their rates as functions of the batch: the same metadata, written
/// as BioPyTorch's callable.
#[test]
fn rates_given_as_functions_are_reproduced() {
    let recognisers = krotov::recognisers();
    let trainer = recognisers.iter().find(|r| r.name == "trainer").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut run = 0;
    for path in files("krotov") {
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut metadata = header.metadata().clone().unwrap_or_default();
        let Some(rate) = metadata.get("arg_lr_scheduler") else {
            continue;
        };
        let steps: f64 = metadata["batches_per_epoch"].parse().unwrap();
        let expression = match serde_json::from_str::<Vec<f64>>(rate) {
            Ok(three) => {
                let [start, end, speed] = three[..] else {
                    panic!("{}: {rate}", path.display());
                };
                format!("{end} - ({end} - {start}) * math.exp(-{speed} * b / {steps})")
            }
            Err(_) if rate.parse::<f64>().is_ok() => format!("{rate} * (1 + 0*b)"),
            Err(_) => continue,
        };
        metadata.insert("arg_lr_scheduler".into(), format!("callable: {expression}"));
        let copy = home.path().join(path.file_name().unwrap());
        let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
        safetensors::serialize_to_file(tensors, Some(metadata), &copy).unwrap();
        let mut checks = Checks::default();
        let file = File::open(&copy).unwrap();
        (trainer.run)(&file, &mut checks).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(checks.problems(), [""; 0], "{}", path.display());
        run += 1;
    }
    println!("{run} files of the trainer, each with its rate as a function of the batch");
    // The vectors of the checkout have the trainer's default learning rate, which no metadata names.
    if run == 0 {
        skip(
            Need::Golden,
            "no file of the trainer has a learning rate of its own",
        );
    }
}
