//! Feedback that is drawn again at each step is that of the run: the same in every
//! phase, after a resume and in evaluation.

use std::collections::BTreeMap;
use std::path::Path;

use biorule::config::{BlockPlan, Drive, MapPlan};
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use biorule_tests::Result;
use biorule_tests::feedback::plans::{RuleChoice, block, layer, word};
use biorule_tests::feedback::record::{Recorder, locked};
use biorule_tests::numbers::{noise, values};
use biorule_tests::plugins::{Run, registry};
use biorule_tests::runs::weights;
use candle_core::{DType, Device, Tensor};

/// Two dense layers whose feedback is never held.
fn network(recorder: &Recorder<'_>, seed: u64) -> Result<Network> {
    let rule = RuleChoice::new("direct-feedback-alignment/dfa", &[("store", word("never"))]);
    let dense = |name: &str, out| BlockPlan {
        layer: Some(layer(&rule, MapPlan::Dense, out, true)),
        ..block(name)
    };
    let input = InputShape {
        dims: vec![6],
        outputs: 3,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype: DType::F64,
        seed,
    };
    Ok(Network::build(
        &[dense("first", 5), dense("second", 3)],
        &input,
        recorder,
        &place,
    )?)
}

/// The feedback matrix of the second layer, seen from what unit errors become below it.
fn matrix(network: &mut Network, recorder: &Recorder<'_>, clock: Clock) -> Result<Vec<f64>> {
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    });
    let mut pass = Pass::gradient(clock);
    network.forward_all(&mut pass, &noise(1, &[3, 6], DType::F64)?)?;
    let errors = Tensor::eye(3, DType::F64, &Device::Cpu)?;
    pass.output_error = Some(errors.clone());
    network.backward(&mut pass, &errors, 0..2)?;
    let tape = recorder.tape();
    let heard = locked(&tape)
        .heard
        .get("second")
        .cloned()
        .unwrap_or_default();
    values(&heard.grad_x.ok_or("no error came below")?)
}

#[test]
fn feedback_that_is_not_held_belongs_to_the_run() -> Result<()> {
    let recorder = Recorder::new(registry());
    let mut one = network(&recorder, 7)?;
    let clock = |seed, epoch, step| Clock {
        seed,
        epoch,
        step,
        ..Clock::default()
    };
    let first = matrix(&mut one, &recorder, clock(7, 0, 0))?;
    one.end_step();
    let later = matrix(&mut one, &recorder, clock(7, 2, 9))?;
    assert_eq!(first, later, "another step");
    one.start_phase();
    assert_eq!(
        first,
        matrix(&mut one, &recorder, clock(8, 0, 0))?,
        "another phase"
    );
    assert_eq!(
        first,
        matrix(&mut one, &recorder, Clock::default())?,
        "no clock"
    );

    // A resumed run builds the network again and loads its tensors.
    let saved = one.tensors();
    let mut two = network(&recorder, 7)?;
    two.load(&|name| {
        let found = saved.iter().find(|t| &*t.name == name);
        found.map(|t| t.tensor.clone())
    })?;
    assert_eq!(
        first,
        matrix(&mut two, &recorder, clock(7, 1, 4))?,
        "after a resume"
    );
    let mut other = network(&recorder, 8)?;
    assert_ne!(
        first,
        matrix(&mut other, &recorder, clock(7, 0, 0))?,
        "another run"
    );
    Ok(())
}

/// A network under direct feedback that is never held, and the phases `phases`.
fn config(dir: &Path, name: &str, phases: &str) -> Result<std::path::PathBuf> {
    let layer = |name: &str, out: &str, activation: &str| {
        format!(
            "[[blocks]]\nname = \"{name}\"\nlayer = \"dense\"\nout = {out}\n\
             rule = {{ name = \"direct-feedback-alignment/dfa\", store = \"never\" }}\n{activation}\n"
        )
    };
    let relu = "activation = \"relu\"";
    let text = [
        "data = \"digits\"\ndevice = \"cpu\"\n".to_owned(),
        layer("first", "64", relu),
        layer("second", "48", relu),
        layer("last", "\"classes\"", ""),
        phases.to_owned(),
    ];
    let path = dir.join(name);
    std::fs::write(&path, text.concat())?;
    Ok(path)
}

fn phase(name: &str, lr: f64) -> String {
    format!(
        "[[phases]]\nname = \"{name}\"\nblocks = [\"first\", \"second\", \"last\"]\n\
         drive = \"gradient\"\nepochs = 3\noptimizer = {{ kind = \"sgd\", lr = {lr:?} }}\n"
    )
}

/// The trained network's tensors, as bytes, by name.
fn trained(config: &Path, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let train: [&std::ffi::OsStr; 4] = [
        "train".as_ref(),
        config.as_os_str(),
        "--run-dir".as_ref(),
        dir.as_os_str(),
    ];
    Run::new(train).stdout();
    weights(dir)
}

/// A first phase at rate 0 leaves the weights alone; the second then is what it would have
/// been alone, but only if it draws the same feedback.
#[test]
fn a_second_phase_of_training_has_the_feedback_of_the_first() -> Result<()> {
    let home = tempfile::tempdir()?;
    let both = phase("idle", 0.0) + &phase("learn", 0.05);
    let both = config(home.path(), "both.toml", &both)?;
    let alone = config(home.path(), "alone.toml", &phase("learn", 0.05))?;
    let both = trained(&both, &home.path().join("both"));
    let alone = trained(&alone, &home.path().join("alone"));
    assert!(!alone.keys().any(|name| name.contains("feedback")));
    assert_eq!(both.len(), alone.len());
    for ((name, a), (other, b)) in both.iter().zip(&alone) {
        assert_eq!(name, other);
        assert!(a == b, "`{name}` differs after an idle phase");
    }
    Ok(())
}
