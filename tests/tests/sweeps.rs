//! `biorule sweep` with the real binary and plugins on the embedded digits: the same study gives the
//! same trials and bits, whatever is killed on the way; what cannot be run is refused before anything runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::searching::json;
use serde_json::Value;

/// What every study here starts from: a trial takes a moment.
const BASE: &str = r#"
data = { set = "digits", validation = 100, limit_train = 200, limit_test = 50 }

[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 16
rule = "feedback-alignment/fa"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"

[training.gradient]
epochs = 3
batch = 20
optimizer = { kind = "sgd", lr = 0.05 }

[output]
tensorboard = false
"#;

const OBJECTIVE: &str = r#"
[[objectives]]
metric = "validation/accuracy"
direction = "max"
"#;

const PARAMETERS: &str = r#"
[parameters.lr]
paths = "training.gradient.optimizer.lr"
low = 1e-3
high = 1.0
log = true

[parameters.rule]
paths = "blocks.hidden.rule"
choices = ["backprop", "feedback-alignment/fa", "krotov"]

[parameters.delta]
paths = "blocks.hidden.rule.delta"
low = 0.0
high = 0.4
when = { rule = "krotov" }
"#;

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// With the study `top` beside its base.
    fn new(top: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("base.toml"), BASE).expect("written");
        let home = Self { folder };
        home.study("study.toml", top);
        home
    }

    /// The study of these settings with the usual objective and parameters.
    fn usual(top: &str) -> Self {
        Self::new(&format!(
            "base = \"base.toml\"\n{top}\n{OBJECTIVE}{PARAMETERS}"
        ))
    }

    fn study(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sweep(&self, dir: &str, more: &[&str]) -> Run {
        Run::new([
            "sweep",
            "study.toml",
            "--study-dir",
            dir,
            "--plain",
            "--threads",
            "1",
        ])
        .dir(self.folder.path())
        .arguments(more)
    }

    fn done(&self, dir: &str, more: &[&str]) -> Ran {
        let ran = self.sweep(dir, more).finish();
        assert_eq!(
            ran.code,
            Some(0),
            "{more:?}: {}\n{}",
            ran.stdout,
            ran.stderr
        );
        ran
    }

    fn verb(&self, words: &[&str]) -> Ran {
        Run::new(["sweep"])
            .arguments(words)
            .dir(self.folder.path())
            .finish()
    }

    /// All trials of the study in `dir`.
    fn table(&self, dir: &str) -> Vec<Value> {
        let ran = self.verb(&["table", dir, "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("JSON")
    }

    fn csv(&self, dir: &str) -> String {
        std::fs::read_to_string(self.path(dir).join("trials.csv")).expect("a table")
    }

    /// What a study that is refused says.
    fn refused(&self, more: &[&str]) -> String {
        let ran = self.sweep("refused", more).finish();
        assert_eq!(
            ran.code,
            Some(2),
            "{more:?}: {}\n{}",
            ran.stdout,
            ran.stderr
        );
        assert!(ran.stderr.contains("hint: "), "{more:?}: {}", ran.stderr);
        assert!(
            !self.path("refused").join("trials").exists(),
            "something was made"
        );
        ran.stderr
    }
}

/// Bytes of the weights of every finished run of the study, by trial and seed.
fn weights(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for trial in std::fs::read_dir(dir.join("trials")).expect("trials") {
        let trial = trial.expect("an entry").path();
        for run in std::fs::read_dir(&trial).expect("runs") {
            let run = run.expect("an entry").path();
            let record = run.join("run.json");
            if !record.is_file() || json(&record)["exit_reason"] != "finished" {
                continue;
            }
            let bytes = std::fs::read(run.join("checkpoints/last.safetensors")).expect("a file");
            let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
            let mut tensors = file.tensors();
            tensors.sort_by(|a, b| a.0.cmp(&b.0));
            let name = run.strip_prefix(dir).expect("inside").display().to_string();
            let data = tensors.iter().flat_map(|(_, t)| t.data().to_vec());
            all.insert(name, data.collect());
        }
    }
    all
}

/// Starts a sweep in the background.
fn start(run: Run) -> Child {
    let mut command = run.command();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

/// Waits until `done` says so.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(240);
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_same_study_gives_the_same_trials_and_bits_for_any_number_of_jobs() {
    let home = Home::usual("trials = 9\nsampler = { kind = \"tpe\", startup = 3 }\nparallel = 2");
    home.done("one", &[]);
    let ran = home.done("two", &["--jobs", "3"]);
    assert!(ran.stdout.contains("sweep apply"), "{}", ran.stdout);
    assert_eq!(home.csv("one"), home.csv("two"));
    assert!(weights(&home.path("one")) == weights(&home.path("two")));
    assert_eq!(home.table("one").len(), 9);
    // What is over is not run again.
    let again = home.done("one", &[]);
    assert!(
        again.stderr.contains("9 are over already"),
        "{}",
        again.stderr
    );
    let starts = json(&home.path("one/trials/000000/seed-0/run.json"))["starts"].clone();
    assert_eq!(starts, 1);
    // Another seed is another study.
    home.done("other", &["--set", "seed=1", "--set", "trials=2"]);
    assert_ne!(
        home.csv("one").lines().nth(1),
        home.csv("other").lines().nth(1)
    );
}

#[test]
fn kills_of_runs_and_of_the_sweep_lose_and_repeat_nothing() {
    let top = "trials = 6\nsampler = { kind = \"tpe\", startup = 2 }\nparallel = 2\nseeds = [0, 1]\npruner = { kind = \"median\", startup = 2 }";
    let home = Home::usual(top);
    home.done("whole", &[]);
    // The sweep itself, at three moments.
    for trial in [0, 2, 4] {
        let begun = home.path(&format!("pieces/trials/{trial:06}/trial.json"));
        let mut sweep = start(home.sweep("pieces", &["--jobs", "2"]));
        wait("the trial begins", || {
            begun.exists() || sweep.try_wait().expect("a child").is_some()
        });
        let _ = sweep.kill();
        sweep.wait().expect("ended");
    }
    // Asked to stop: 75, and the same command goes on.
    let mut sweep = start(home.sweep("pieces", &["--jobs", "2"]));
    std::thread::sleep(Duration::from_millis(400));
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(sweep.id() as i32, libc::SIGINT) };
    let code = sweep.wait().expect("ended").code();
    assert!(matches!(code, Some(0 | 75)), "{code:?}");
    home.done("pieces", &["--jobs", "2"]);
    assert_eq!(home.csv("whole"), home.csv("pieces"));
    let (whole, pieces) = (weights(&home.path("whole")), weights(&home.path("pieces")));
    // One that was given up may have come to its end before it heard of it, in one of the two.
    for (name, bytes) in whole.iter().filter(|(name, _)| pieces.contains_key(*name)) {
        assert!(pieces[name] == *bytes, "{name}");
    }
}

#[test]
fn a_killed_run_goes_on_by_itself() {
    let home = Home::usual("trials = 2");
    home.done("whole", &[]);
    let mut sweep = start(home.sweep("killed", &[]));
    let lock = home.path("killed/trials/000000/seed-0/lock");
    let holder = || {
        std::fs::read_to_string(&lock)
            .ok()
            .filter(|text| !text.is_empty())
    };
    let mut run = None;
    wait("a run", || {
        run = holder();
        run.is_some() || sweep.try_wait().expect("a child").is_some()
    });
    if let Some(run) = run.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        let pid = run["pid"].as_i64().expect("a process") as i32;
        // SAFETY: a process that our own child started for this folder.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    assert_eq!(sweep.wait().expect("ended").code(), Some(0));
    assert_eq!(home.csv("whole"), home.csv("killed"));
}

#[test]
fn a_grid_is_run_point_by_point_and_planned_for_others() {
    let grid = "sampler = \"grid\"\n[parameters.width]\npaths = \"blocks.hidden.out\"\nchoices = [8, 16]\n\
        [parameters.lr]\npaths = \"training.gradient.optimizer.lr\"\nlow = 0.01\nhigh = 0.1\nlog = true\npoints = 3\n";
    let home = Home::new(&format!("base = \"base.toml\"\n{grid}{OBJECTIVE}"));
    home.done("here", &["--jobs", "2"]);
    let table = home.table("here");
    let points: Vec<String> = table
        .iter()
        .map(|t| {
            format!(
                "{:.6} {}",
                t["params"]["lr"].as_f64().expect("a number"),
                t["params"]["width"]
            )
        })
        .collect();
    assert_eq!(
        points,
        [
            "0.010000 8",
            "0.010000 16",
            "0.031623 8",
            "0.031623 16",
            "0.100000 8",
            "0.100000 16"
        ]
    );
    // The same by commands that others run.
    let plan = home.sweep("there", &["--plan", "64"]).stdout();
    let lines: Vec<Value> = plan
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 6);
    for line in &lines {
        let words = line["command"].as_array().expect("words");
        let words: Vec<&str> = words.iter().skip(1).filter_map(Value::as_str).collect();
        Run::new(words).dir(home.folder.path()).stdout();
    }
    let ran = home.verb(&["collect", "there"]);
    assert!(
        ran.stdout.contains("6 finished"),
        "{} {}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(home.csv("here"), home.csv("there"));
    assert_eq!(home.sweep("there", &["--plan", "64"]).stdout(), "");
}

#[test]
fn the_best_is_shown_written_and_trains_to_the_same() {
    let home = Home::usual("trials = 4\nsampler = \"sobol\"");
    home.done("here", &[]);
    let best: Value =
        serde_json::from_str(&home.verb(&["best", "here", "--json"]).stdout).expect("JSON");
    let best = &best[0];
    let most = home
        .table("here")
        .iter()
        .map(|t| {
            t["values"]["validation/accuracy"]
                .as_f64()
                .expect("a value")
        })
        .fold(0.0, f64::max);
    assert_eq!(best["values"]["validation/accuracy"], most);
    let ran = home.verb(&["apply", "here", "best.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        home.verb(&["apply", "here", "best.toml"]).code,
        Some(2),
        "nothing is overwritten"
    );
    Run::new(["train", "best.toml", "--run-dir", "again"])
        .dir(home.folder.path())
        .stdout();
    let run = best["runs"][0].as_str().expect("a run");
    let results = |path: PathBuf| json(&path.join("run.json"))["results"].clone();
    assert_eq!(results(home.path("again")), results(home.path(run)));
}

#[test]
fn trials_are_added_and_a_changed_study_is_refused() {
    let home = Home::usual("trials = 2");
    home.done("here", &[]);
    let ran = home.verb(&[
        "add",
        "here",
        "--trials",
        "1",
        "--params",
        "lr=0.1",
        "rule=krotov",
        "delta=0.25",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    home.done("here", &[]);
    let table = home.table("here");
    assert_eq!(table.len(), 4);
    assert_eq!(table[3]["by"], "added");
    assert_eq!(table[3]["params"]["delta"], 0.25);
    let wrong = home.verb(&[
        "add",
        "here",
        "--params",
        "lr=0.1",
        "rule=krotv",
        "delta=0.25",
    ]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("did you mean `krotov`?"),
        "{}",
        wrong.stderr
    );
    // Fewer or more trials, another range, another base.
    for (set, says) in [
        ("trials=9", "`trials` (9 now, 2 in the folder)"),
        (
            "parameters.lr.high=0.5",
            "`parameters.lr.high` (0.5 now, 1.0 in the folder)",
        ),
        (
            "config.training.gradient.epochs=4",
            "`config.training.gradient.epochs` (4 now, 3 in the folder)",
        ),
        ("sampler=sobol", "`sampler.kind`"),
    ] {
        let ran = home.sweep("here", &["--set", set]).finish();
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(says) && ran.stderr.contains("hint: "),
            "{set}: {}",
            ran.stderr
        );
    }
    // What decides nothing may differ.
    home.done("here", &["--set", "config.output.log_every=7"]);
}

#[test]
fn two_sweeps_on_one_study_do_not_run_a_trial_twice() {
    let home = Home::usual("trials = 3");
    let mut first = start(home.sweep("here", &[]));
    let lock = home.path("here/lock");
    wait("the first is in", || {
        std::fs::read_to_string(&lock).is_ok_and(|text| !text.is_empty())
            || first.try_wait().expect("a child").is_some()
    });
    let second = home.sweep("here", &[]).finish();
    // It may have been over by then.
    assert!(matches!(second.code, Some(0 | 6)), "{}", second.stderr);
    if second.code == Some(6) {
        assert!(
            second.stderr.contains("is in use by process"),
            "{}",
            second.stderr
        );
    }
    assert_eq!(first.wait().expect("ended").code(), Some(0));
    for trial in 0..3 {
        let run = json(&home.path(&format!("here/trials/{trial:06}/seed-0/run.json")));
        assert_eq!(run["starts"], 1);
    }
}

#[test]
fn a_sampler_that_is_a_program_chooses_as_it_is_asked() {
    let home = Home::usual("trials = 6\nsampler = { kind = \"tpe\", startup = 10 }\nparallel = 2");
    home.done("inside", &[]);
    let program = Run::new(Vec::<String>::new()).command();
    let own = format!(
        "'{}' sweep sampler tpe",
        program.get_program().to_string_lossy()
    );
    home.done("outside", &["--sampler", &own]);
    let params = |dir: &str| {
        home.table(dir)
            .iter()
            .map(|t| t["params"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(params("inside"), params("outside"));
    // What a program says that is wrong is told with its words.
    for (command, says) in [
        ("exit 3", "has ended"),
        ("echo no", "is not JSON"),
        (
            "read l; echo '{\"ok\":true}'; read l; echo '{\"params\":{\"lr\":7}}'",
            "parameter",
        ),
        ("read l; echo '{\"error\":\"not today\"}'", "not today"),
    ] {
        let ran = home.sweep("wrong", &["--sampler", command]).finish();
        assert_eq!(ran.code, Some(2), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{command}: {}", ran.stderr);
        std::fs::remove_dir_all(home.path("wrong")).expect("removed");
    }
}

#[test]
fn a_pruned_trial_has_the_bits_of_a_whole_one_up_to_there() {
    let home = Home::usual(
        "trials = 8\npruner = { kind = \"median\", startup = 2 }\nparallel = 1\n[config]\ntraining.gradient.epochs = 6\ntraining.gradient.schedule = \"cosine\"",
    );
    home.done("pruned", &[]);
    home.done("whole", &["--set", "pruner=none"]);
    let (pruned, whole) = (home.table("pruned"), home.table("whole"));
    let given_up = pruned.iter().filter(|t| t["state"] == "pruned").count();
    assert!(given_up > 0, "{pruned:?}");
    for (a, b) in pruned.iter().zip(&whole) {
        assert_eq!(a["params"], b["params"]);
        let (a, b) = (a["intermediate"].as_array(), b["intermediate"].as_array());
        let (a, b) = (a.expect("epochs"), b.expect("epochs"));
        assert_eq!(a[..], b[..a.len()]);
    }
}

#[test]
fn several_objectives_have_a_front_and_bounds_are_kept() {
    let more = "[[objectives]]\nmetric = \"parameters\"\ndirection = \"min\"\n";
    let width = "[parameters.width]\npaths = \"blocks.hidden.out\"\nlow = 4\nhigh = 64\n";
    let bound = "[[constraints]]\nmetric = \"multiply_adds\"\nat_most = 3000\n";
    let home = Home::new(&format!(
        "base = \"base.toml\"\ntrials = 8\nsampler = {{ kind = \"tpe\", startup = 4 }}\n{OBJECTIVE}{more}{width}{bound}"
    ));
    home.done("here", &["--jobs", "2"]);
    let best: Value =
        serde_json::from_str(&home.verb(&["best", "here", "--json"]).stdout).expect("JSON");
    for trial in best.as_array().expect("a front") {
        assert!(
            trial["constraints"]["multiply_adds"]
                .as_f64()
                .expect("a number")
                <= 3000.0
        );
        let width = trial["params"]["width"].as_i64().expect("a width");
        let parameters = trial["values"]["parameters"].as_f64();
        // Weights and biases.
        assert_eq!(parameters, Some((65 * width + 10 * width + 10) as f64));
    }
}

#[test]
fn what_cannot_be_run_is_refused_with_a_way_out() {
    let home = Home::usual("trials = 2");
    for (set, says) in [
        (
            "parameters.delta.high=11",
            "the schema of `delta` of `krotov` allows 0 to 10",
        ),
        ("parameters.lr.low=2", "exchange `low` and `high`"),
        ("parameters.lr.low=0", "give a `low` above 0"),
        ("parameters.lr.hihg=2", "did you mean `high`?"),
        (
            "parameters.lr.paths=\"training.gradient.optimizer.rl\"",
            "`lr`",
        ),
        (
            "parameters.delta.when={ rul = \"krotov\" }",
            "did you mean `rule`?",
        ),
        (
            "parameters.delta.when={ rule = \"krotv\" }",
            "did you mean `krotov`?",
        ),
        ("sampler=tpee", "did you mean `tpe`?"),
        ("sampler=grid", "every number in a range"),
        ("pruner.kind=medain", "did you mean `median`?"),
        ("score=meen", "did you mean `mean`?"),
        ("trails=3", "did you mean `trials`?"),
        ("seeds=[1, 1]", "a number twice"),
    ] {
        let said = home.refused(&["--set", set]);
        assert!(said.contains(says), "{set}: {said}");
    }
    let wrong = |top: &str, says: &str| {
        home.study(
            "study.toml",
            &format!("base = \"base.toml\"\ntrials = 2\n{top}"),
        );
        let said = home.refused(&[]);
        assert!(said.contains(says), "{says}: {said}");
    };
    wrong(OBJECTIVE, "has no parameters");
    wrong(PARAMETERS, "has no objective");
    let metric = |name: &str| {
        format!("[[objectives]]\nmetric = \"{name}\"\ndirection = \"max\"\n{PARAMETERS}")
    };
    wrong(
        &metric("validation/acuracy"),
        "did you mean `validation/accuracy`?",
    );
    wrong(
        &format!("[[objectives]]\nmetric = \"validation/accuracy\"\n{PARAMETERS}"),
        "direction` is missing",
    );
    wrong(
        &format!("pruner = \"median\"\n{}", metric("test/accuracy")),
        "not a metric of epochs",
    );
    let large: String = (0..6)
        .map(|i| {
            format!("[parameters.p{i}]\npaths = \"training.gradient.batch\"\nlow = 1\nhigh = 100\n")
        })
        .collect();
    wrong(
        &format!("sampler = \"grid\"\n{OBJECTIVE}{large}"),
        "1000000000000 points",
    );
    home.study(
        "study.toml",
        &format!("trials = 2\n{OBJECTIVE}{PARAMETERS}"),
    );
    assert!(home.refused(&[]).contains("has no configuration"));
    home.study("study.toml", BASE);
    assert!(
        home.refused(&[])
            .contains("is a configuration, not a study")
    );
}

#[test]
fn a_path_alone_has_the_range_of_the_schema() {
    let top =
        "trials = 1\n[config]\nblocks.hidden.rule = { name = \"krotov\", ranking_param = 3 }\n";
    let paths = "[parameters.\"blocks.hidden.rule.delta\"]\n[parameters.\"blocks.hidden.rule.bias_output\"]\n";
    let home = Home::new(&format!("base = \"base.toml\"\n{top}{OBJECTIVE}{paths}"));
    let text = home.sweep("here", &["--dry-run"]).stdout();
    let study: toml::Table = toml::from_str(&text).expect("TOML");
    let delta = &study["parameters"]["blocks.hidden.rule.delta"];
    assert_eq!(
        (delta["low"].as_float(), delta["high"].as_float()),
        (Some(0.0), Some(10.0))
    );
    let words = &study["parameters"]["blocks.hidden.rule.bias_output"]["choices"];
    assert_eq!(words.as_array().map(Vec::len), Some(2));
    assert!(!home.path("here").exists());
}

#[test]
fn a_page_shows_what_was_found_and_loads_nothing() {
    let home = Home::usual("trials = 12\npruner = { kind = \"median\", startup = 2 }");
    home.done("here", &["--jobs", "2"]);
    assert_eq!(home.verb(&["page", "here"]).code, Some(0));
    let page = std::fs::read_to_string(home.path("here/study.html")).expect("a page");
    for says in [
        "The best came at trial",
        "What matters",
        "Share of the differences that each parameter explains",
        "the most important that go together",
        "The best trial (orange) and the four after it (blue)",
        "href=\"trials/000003/\"",
        "<title>Study: study</title>",
    ] {
        assert!(page.contains(says), "{says}");
    }
    let home_name = home.folder.path().display().to_string();
    for never in [
        "<script",
        "http://",
        "https://",
        "url(",
        home_name.as_str(),
        "NaN",
    ] {
        let found = page
            .match_indices(never)
            .find(|(at, _)| !page[..*at].ends_with("xmlns=\""));
        assert_eq!(found, None, "{never}");
    }
    // One that lies elsewhere has no links to folders.
    assert_eq!(
        home.verb(&["page", "here", "-o", "page.html"]).code,
        Some(0)
    );
    let page = std::fs::read_to_string(home.path("page.html")).expect("a page");
    assert!(!page.contains("href=\"trials/"));
}

#[test]
fn the_studies_that_are_there_can_be_run() {
    let folder = biorule_tests::repository().join("configs/sweep");
    let mut files = vec![folder.join("digits.toml")];
    for inner in ["softhebb", "biopytorch"] {
        for entry in std::fs::read_dir(folder.join(inner)).expect("studies") {
            files.push(entry.expect("an entry").path());
        }
    }
    assert!(files.len() >= 15);
    for file in files {
        // Their data need not be here.
        let mut words = vec![
            "sweep",
            file.to_str().expect("a path"),
            "--dry-run",
            "--quiet",
        ];
        if !file.ends_with("digits.toml") {
            words.extend([
                "--set",
                "config.data.set=gabor",
                "--set",
                "config.data.options={ size = 32, channels = 3 }",
            ]);
            continue;
        }
        Run::new(words).stdout();
    }
}

#[test]
fn the_page_of_settings_is_fresh() {
    let page = std::fs::read_to_string(biorule_tests::repository().join("docs/study-settings.md"));
    let printed = Run::new(["sweep", "reference"]).stdout();
    assert!(
        page.is_ok_and(|page| page == printed),
        "`biorule sweep reference > docs/study-settings.md`"
    );
}
