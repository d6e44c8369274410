//! Threads of the real program: as many as it is told, the same bits for any number, and subnormal
//! numbers taken as 0 on all of them.

use std::fs;
use std::path::Path;

use biorule_tests::plugins::{Run, specimen};
use biorule_tests::repository;
use biorule_tests::runs::{record, weights};

/// Two epochs of each phase of `configs/mixed.toml` in `dir`.
fn train(dir: &Path, arguments: &[&str]) -> Run {
    let config = repository().join("configs/mixed.toml");
    Run::new(["train".as_ref(), config.as_os_str(), "--run-dir".as_ref()])
        .arguments(&[dir])
        .arguments(&["--device", "cpu", "--set", "training.local.epochs=2"])
        .arguments(&["--set", "training.gradient.epochs=2"])
        .arguments(arguments)
        .env("RAYON_NUM_THREADS", "")
}

fn recorded(dir: &Path) -> serde_json::Value {
    record(dir)["threads"].clone()
}

#[test]
fn the_same_weights_for_any_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    let dir = |name: &str| home.path().join(name);
    train(&dir("one"), &["--threads", "1"]).done();
    train(&dir("two"), &["--set", "threads=2"]).done();
    train(&dir("three"), &[])
        .env("RAYON_NUM_THREADS", "3")
        .done();
    train(&dir("five"), &["--set", "dtype=f64"])
        .env("BIORULE__THREADS", "5")
        .done();
    train(&dir("single"), &["--set", "dtype=f64", "--threads", "1"]).done();
    for (name, threads) in [("one", 1), ("two", 2), ("three", 3), ("five", 5)] {
        assert_eq!(recorded(&dir(name)), threads, "{name}");
    }
    let one = weights(&dir("one"));
    assert!(one.len() > 4);
    assert!(weights(&dir("two")) == one && weights(&dir("three")) == one);
    assert!(weights(&dir("five")) == weights(&dir("single")));
    // What was trained with other threads is evaluated, with yet others.
    let score = |threads: &str| {
        Run::new(["eval".into(), dir("two")])
            .arguments(&["--json", "--threads", threads])
            .stdout()
    };
    assert_eq!(score("1"), score("4"));
}

#[test]
fn what_is_asked_for_is_refused_or_warned_about() {
    let config = repository().join("configs/quickstart.toml");
    let show = |arguments: &[&str], told: &str| {
        Run::new(["config".as_ref(), "show".as_ref(), config.as_os_str()])
            .arguments(arguments)
            .env("RAYON_NUM_THREADS", told)
            .finish()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let more = (cores + 1).to_string();
    let ran = show(&["--threads", &more], "1");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("threads = {more}\n")));
    for said in [
        format!("warning: `threads` is {more} and wins over `RAYON_NUM_THREADS`, which is 1"),
        format!("warning: `threads` is {more}, but this process may use {cores} core"),
    ] {
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    let ran = show(&[], "lots");
    assert!(
        ran.stderr.contains("`lots`, which is not a number"),
        "{}",
        ran.stderr
    );
    assert_eq!(show(&["--threads", "1"], "").stderr, "");
    for arguments in [["--threads", "1025"], ["--set", "threads=-1"]] {
        let ran = show(&arguments, "");
        assert_eq!(ran.code, Some(2), "{arguments:?} {}", ran.stderr);
        assert!(ran.stderr.contains("`threads`"), "{}", ran.stderr);
    }
    assert_eq!(show(&["--threads", "two"], "").code, Some(2));
}

#[test]
fn experiments_of_one_command_share_their_threads() {
    let home = tempfile::tempdir().unwrap();
    let base = fs::read_to_string(repository().join("configs/quickstart.toml")).unwrap();
    let write = |name: &str, threads: usize| {
        let file = home.path().join(format!("{name}.toml"));
        fs::write(
            &file,
            format!("name = \"{name}\"\nthreads = {threads}\n{base}"),
        )
        .unwrap();
        file
    };
    let files = [write("one", 1), write("two", 2)];
    let each = || Run::new(["train", "--each", "--dry-run"]).arguments(&files);
    let refused = each().finish();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("`threads` is 2, but this process computes with 1")
            && refused.stderr.contains("`--threads`"),
        "{}",
        refused.stderr
    );
    each().arguments(&["--threads", "2"]).done();
}

const DENORMALS: &str = "
name = \"denormals\"
data = { set = \"digits\", limit_train = 60, limit_test = 20 }
output.tensorboard = false
[[blocks]]
name = \"hidden\"
layer = \"dense\"
out = 8
rule = { name = \"specimen\", mode = \"denormal-backward\" }
[[blocks]]
name = \"readout\"
layer = \"dense\"
out = \"classes\"
rule = \"backprop\"
[[phases]]
name = \"both\"
blocks = [\"hidden\", \"readout\"]
drive = \"gradient\"
epochs = 1
batch = 20
";

/// The rule multiplies subnormal numbers on its own thread and on those that the host lends it, and
/// fails where a product is not 0.
#[test]
fn a_plugins_threads_take_subnormal_numbers_as_zero() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("plugins");
    fs::create_dir(&folder).unwrap();
    fs::copy(specimen("modes"), folder.join("libspecimen.so")).unwrap();
    let config = home.path().join("denormals.toml");
    fs::write(&config, DENORMALS).unwrap();
    for threads in ["1", "4"] {
        let dir = home.path().join(threads);
        let run = Run::new(["train".as_ref(), config.as_os_str()])
            .arguments(&["--device", "cpu", "--threads", threads, "--plugins"])
            .arguments(&[&folder])
            .arguments(&["--run-dir"])
            .arguments(&[&dir]);
        run.done();
    }
}
