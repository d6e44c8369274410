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

#[test]
fn a_request_to_stop_leaves_a_checkpoint_and_exits_75() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let mut child = train(&dir)
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !dir.join("checkpoints/last.safetensors").is_file() {
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
    let code = child.wait().unwrap().code();
    assert!(code == Some(75) || code == Some(0), "{code:?}");
    if code == Some(75) {
        let done = train(&dir).finish();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let whole = home.path().join("whole");
    assert_eq!(train(&whole).finish().code, Some(0));
    same(&whole, &dir);
}
