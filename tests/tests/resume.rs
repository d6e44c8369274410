//! A run that is killed at any moment goes on to the same bits; a run that is
//! asked to stop leaves a checkpoint and says so. One network, four rules.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use biorule_tests::plugins::Run;
use biorule_tests::repository;

/// A training of `configs/mixed.toml` in `dir`, with a checkpoint about every step's worth of time.
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
        // Long enough to be killed a few times, whatever the machine.
        "--set".as_ref(),
        "training.local.epochs=12".as_ref(),
        "--set".as_ref(),
        "training.gradient.epochs=60".as_ref(),
    ])
    .env("RAYON_NUM_THREADS", "2")
}

/// Every tensor of the last checkpoint, as bytes, by name.
fn tensors(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(dir.join("checkpoints/last.safetensors")).expect("a checkpoint");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut all: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, t)| (name, t.data().to_vec()))
        .collect();
    all.sort();
    all
}

/// `metrics.csv` without the column of seconds.
fn metrics(dir: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(dir.join("metrics.csv")).expect("metrics.csv");
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    let keep: Vec<usize> = (0..rows[0].len())
        .filter(|&c| rows[0][c] != "seconds")
        .collect();
    rows.iter()
        .map(|row| {
            keep.iter()
                .map(|&c| row.get(c).copied().unwrap_or_default().to_string())
                .collect()
        })
        .collect()
}

fn same(a: &Path, b: &Path) {
    let (left, right) = (tensors(a), tensors(b));
    assert_eq!(left.len(), right.len());
    for ((name, x), (other, y)) in left.iter().zip(&right) {
        assert_eq!(name, other);
        assert!(x == y, "`{name}` differs after resuming");
    }
    assert_eq!(metrics(a), metrics(b));
}

#[test]
fn a_network_of_four_rules_killed_at_random_moments_ends_with_the_same_bits() {
    let home = tempfile::tempdir().unwrap();
    let (whole, pieces) = (home.path().join("whole"), home.path().join("pieces"));
    let started = Instant::now();
    let done = train(&whole).finish();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let length = started.elapsed();
    // Moments from a fixed sequence, spread over the length of a whole run.
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut kills = 0;
    for _ in 0..12 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let wait = length.mul_f64(0.1 + 0.4 * (seed % 1000) as f64 / 1000.0);
        let mut child = train(&pieces)
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(wait);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let done = train(&pieces).finish();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(kills > 0, "no run was killed in time");
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
    let mut child = run
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while written().is_none() || written() == before {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "no checkpoint in two minutes"
        );
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    child.wait().unwrap().code()
}

#[test]
fn a_request_to_stop_leaves_a_checkpoint_and_exits_75() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let code = stopped(train(&dir), &dir);
    assert!(code == Some(75) || code == Some(0), "{code:?}");
    if code == Some(75) {
        let done = train(&dir).finish();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let whole = home.path().join("whole");
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

fn record(dir: &Path) -> serde_json::Value {
    let text = std::fs::read(dir.join("run.json")).expect("run.json");
    serde_json::from_slice(&text).expect("JSON")
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
