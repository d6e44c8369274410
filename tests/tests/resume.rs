//! A run that is killed at any moment goes on to the same bits; a run that is
//! asked to stop leaves a checkpoint and says so. One network, four rules.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use biorule_tests::plugins::Run;
use biorule_tests::processes::{over, signal, until};
use biorule_tests::repository;
use biorule_tests::runs::{metrics, record, weights};

/// Epochs of a whole run: two layers learn locally, one after the other, then two together.
const EPOCHS: u32 = 4 + 4 + 24;

/// A training of `configs/mixed.toml` in `dir`, of [`EPOCHS`] epochs.
fn train(dir: &Path) -> Run {
    let config = repository().join("configs/mixed.toml");
    Run::new([
        "train".as_ref(),
        config.as_os_str(),
        "--run-dir".as_ref(),
        dir.as_os_str(),
        "--resume".as_ref(),
        "auto".as_ref(),
        "--device".as_ref(),
        "cpu".as_ref(),
        "--set".as_ref(),
        "output.checkpoint_seconds=1".as_ref(),
        "--set".as_ref(),
        "output.log_every=7".as_ref(),
        "--set".as_ref(),
        "training.local.epochs=4".as_ref(),
        "--set".as_ref(),
        "training.gradient.epochs=24".as_ref(),
    ])
    .env("RAYON_NUM_THREADS", "2")
}

/// Starts [`train`] in `dir` and returns once it has reported `epochs` epochs.
///
/// # Panics
/// It ends before.
fn started(dir: &Path, epochs: u32) -> Child {
    let mut child = train(dir)
        .arguments(&["--events", "jsonl"])
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < epochs {
        let line = events.next().expect("the run goes on").unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        seen += u32::from(event["event"] == "epoch");
    }
    // The pipe is read to its end, so that the run never waits for its reader.
    std::thread::spawn(move || events.count());
    child
}

fn same(a: &Path, b: &Path) {
    let (left, right) = (weights(a), weights(b));
    assert_eq!(left.len(), right.len());
    for ((name, x), (other, y)) in left.iter().zip(&right) {
        assert_eq!(name, other);
        assert!(x == y, "`{name}` differs after resuming");
    }
    assert_eq!(metrics(a), metrics(b));
    // Each step and each answer once, whatever the kills.
    for file in ["steps.jsonl", "answers.csv"] {
        let read = |dir: &Path| std::fs::read_to_string(dir.join(file)).expect(file);
        assert!(read(a) == read(b), "`{file}` differs after resuming");
    }
}

#[test]
fn a_network_of_four_rules_killed_at_random_moments_ends_with_the_same_bits() {
    let home = tempfile::tempdir().unwrap();
    let (whole, pieces) = (home.path().join("whole"), home.path().join("pieces"));
    let start = Instant::now();
    let done = train(&whole).finish();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let epoch = start.elapsed() / EPOCHS;
    // Epochs after which it is killed, in all phases; then some part of an epoch later, from a
    // fixed sequence, so that kills meet checkpoints being written and steps alike.
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    for epochs in [1, 2, 3, 1, 3, 2] {
        let mut child = started(&pieces, epochs);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(epoch.mul_f64((seed % 1000) as f64 / 1000.0));
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before it was killed"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = train(&pieces).finish();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    same(&whole, &pieces);
    // A finished run started again says what it said, and evaluates to the same figure.
    let again = train(&pieces).finish();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let score =
        |dir: &Path| Run::new(["eval".as_ref(), dir.as_os_str(), "--json".as_ref()]).stdout();
    let figure = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
        json["results"]["test/accuracy"]
            .as_f64()
            .expect("an accuracy")
    };
    assert_eq!(figure(&score(&whole)), figure(&score(&pieces)));
}

/// Starts `run` in `dir`, asks it to stop once it has written a checkpoint, and gives its exit code.
fn stopped(run: Run, dir: &Path) -> Option<i32> {
    let written = || {
        let file = std::fs::metadata(dir.join("checkpoints/last.safetensors"));
        file.and_then(|f| f.modified()).ok()
    };
    let before = written();
    let mut child = run.start();
    until("a checkpoint is written", 120, || {
        let now = written();
        (now.is_some() && now != before) || over(&mut child)
    });
    signal("TERM", child.id());
    child.wait().unwrap().code()
}

/// In every phase: of a local layer, and of the two that learn from gradients.
#[test]
fn a_request_to_stop_leaves_a_checkpoint_and_exits_75() {
    let home = tempfile::tempdir().unwrap();
    let (whole, dir) = (home.path().join("whole"), home.path().join("run"));
    for (name, epochs) in [("TERM", 1), ("INT", 8)] {
        let mut child = started(&dir, epochs);
        assert!(signal(name, child.id()));
        assert_eq!(child.wait().unwrap().code(), Some(75), "signal {name}");
        assert!(dir.join("checkpoints/last.safetensors").is_file());
    }
    let done = train(&dir).finish();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(train(&whole).finish().code, Some(0));
    same(&whole, &dir);
}

/// The lines of `events.jsonl` that warn of a move.
fn moves(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("events.jsonl")).expect("events.jsonl");
    let events = text.lines().map(|l| serde_json::from_str(l).expect("JSON"));
    let is_move = |e: &serde_json::Value| e["event"] == "warn" && e["code"] == "moved";
    events.filter(is_move).collect()
}

#[test]
fn a_run_goes_on_with_other_threads_and_says_once_that_the_machine_is_another() {
    let home = tempfile::tempdir().unwrap();
    let (dir, whole) = (home.path().join("run"), home.path().join("whole"));
    let code = stopped(train(&dir).arguments(&["--threads", "1"]), &dir);
    assert_eq!(code, Some(75));
    let mut told = record(&dir);
    assert_eq!(told["threads"], 1);
    // As if another processor had begun.
    told["host"]["processor"] = "Another Processor".into();
    std::fs::write(dir.join("run.json"), told.to_string()).unwrap();
    let code = stopped(train(&dir).arguments(&["--threads", "2"]), &dir);
    assert_eq!(code, Some(75));
    assert_eq!(record(&dir)["threads"], 2);
    let said = moves(&dir);
    assert_eq!(said.len(), 1, "{said:?}");
    let text = said[0]["text"].as_str().expect("a text");
    assert!(
        text.contains("`Another Processor`") && text.contains("same instruction set"),
        "{text}"
    );
    let earlier = record(&dir)["earlier_hosts"][0]["processor"].clone();
    assert_eq!(earlier, "Another Processor");
    // The same processor with other kernels, in a folder of an older program that knew no threads.
    let mut told = record(&dir);
    told["host"]["instructions"] = "Mmx".into();
    told.as_object_mut().expect("a table").remove("threads");
    std::fs::write(dir.join("run.json"), told.to_string()).unwrap();
    let done = train(&dir).arguments(&["--set", "data.threads=3"]).finish();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("`Mmx` kernels"), "{}", done.stderr);
    assert_eq!(moves(&dir).len(), 2);
    // It is over: nothing is computed, nothing is said.
    let again = train(&dir).finish();
    assert!(!again.stderr.contains("goes on on"), "{}", again.stderr);
    assert_eq!(train(&whole).finish().code, Some(0));
    same(&whole, &dir);
}
