//! Searches that train a supernet, with the real binary and plugins: the same seed derives the same
//! genotype by the same parameters, also after kills; what cannot be is refused.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use biorule_tests::plugins::{Ran, Run};

const SMALL: &str = r#"
name = "small"
device = "cpu"

[data]
set = "digits"
validation = 64
limit_train = 256
limit_test = 32
parts = { weights = ":50%", architecture = "50%:" }

[network]
channels = 4
cells = 3

[search]
strategy = "darts"

[search.space]
nodes = 1
operations = ["sep_conv_3x3", "skip_connect", "max_pool_3x3", "none"]
rules = ["feedback-alignment/brsf", "backprop"]

[search.supernet]
channels = 4
cells = 3
epochs = 6
batch = 16
architecture_lr = 0.05

[training.gradient]
epochs = 1
batch = 32
optimizer = { kind = "adam", lr = 0.01 }

[output]
tensorboard = false
checkpoint_seconds = 1
"#;

/// Every strategy that trains a supernet.
const STRATEGIES: [&str; 4] = [
    "{ kind = \"darts\" }",
    "{ kind = \"darts\", second_order = true }",
    "{ kind = \"gdas\" }",
    "{ kind = \"eg\", rounds = 2, individuals = 4, generations = 2, warmup_epochs = 1 }",
];

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("search.toml"), SMALL).expect("written");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn search(&self, name: &str, more: &[&str]) -> Run {
        Run::new(["search", "search.toml", "--run-dir", name])
            .dir(self.0.path())
            .arguments(more)
    }

    fn done(&self, name: &str, more: &[&str]) -> Ran {
        let ran = self.search(name, more).finish();
        assert_eq!(
            ran.code,
            Some(0),
            "{more:?}: {}\n{}",
            ran.stdout,
            ran.stderr
        );
        ran
    }
}

/// What a search leaves: parameters after each epoch, the genotype, the supernet's weights.
fn left(folder: &Path) -> (String, String, Vec<(String, Vec<u8>)>) {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let bytes = std::fs::read(folder.join("supernet/checkpoints/last.safetensors"));
    let bytes = bytes.expect("a checkpoint");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = file.tensors().into_iter();
    let mut tensors: Vec<_> = tensors.map(|(n, t)| (n, t.data().to_vec())).collect();
    tensors.sort();
    (text("alphas.jsonl"), text("genotype.json"), tensors)
}

#[test]
fn a_supernet_killed_on_its_way_derives_what_one_left_alone_derives() {
    for strategy in STRATEGIES {
        let home = Home::new();
        let set = format!("search.strategy={strategy}");
        let more = ["--set", set.as_str()];
        home.done("whole", &more);
        let whole = left(&home.path("whole"));
        assert_eq!(whole.0.lines().count(), 6, "{strategy}");
        for epochs in [1, 3, 4] {
            kill_after(home.search("killed", &more), &home.path("killed"), epochs);
        }
        home.done("killed", &more);
        let killed = left(&home.path("killed"));
        assert_eq!(whole.0, killed.0, "{strategy}: parameters");
        assert_eq!(whole.1, killed.1, "{strategy}: genotype");
        assert!(whole.2 == killed.2, "{strategy}: weights differ");
    }
}

/// Starts a search and kills it once its supernet has learned for so many epochs.
fn kill_after(run: Run, folder: &Path, epochs: usize) {
    let mut child = run
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let file = folder.join("alphas.jsonl");
    let lines = || std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    let until = Instant::now() + Duration::from_secs(120);
    while lines() < epochs {
        let ended = child.try_wait().expect("a child");
        assert_eq!(ended, None, "it ended before epoch {epochs}");
        assert!(Instant::now() < until, "no epoch {epochs} in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("killed before it was over");
    child.wait().expect("a child");
}

#[test]
fn kept_and_recomputed_candidates_learn_the_same() {
    let home = Home::new();
    home.done("again", &[]);
    home.done("kept", &["--set", "search.supernet.recompute=false"]);
    let (again, kept) = (left(&home.path("again")), left(&home.path("kept")));
    assert_eq!(again.0, kept.0);
    assert!(again.2 == kept.2, "weights differ");
}

#[test]
fn what_a_supernet_cannot_be_is_refused_with_what_to_do() {
    let home = Home::new();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["search.supernet.weights=\"nobody\""], 2, "nobody"),
        (
            &["search.supernet.weights=\"architecture\""],
            2,
            "are both `architecture`",
        ),
        (&["search.supernet.partial=8"], 2, "cannot be divided by"),
        (&["search.supernet.channels=5"], 2, "cannot be divided by 2"),
        (&["search.supernet.batch=500"], 2, "batch"),
        (
            &["search.strategy=\"random\""],
            2,
            "the strategy trains no supernet",
        ),
        (&["search.strategy=\"dart\""], 2, "dart"),
        (
            &[
                "search.strategy={ kind = \"darts\", second_order = true }",
                "search.space.rules=[\"softhebb\", \"backprop\"]",
            ],
            2,
            "local",
        ),
    ];
    for (i, (sets, code, text)) in cases.iter().enumerate() {
        let mut more = Vec::new();
        for set in *sets {
            more.extend(["--set", *set]);
        }
        if !sets.iter().any(|s| s.starts_with("search.strategy")) {
            more.extend(["--set", "search.strategy=\"darts\""]);
        }
        let ran = home.search(&format!("refused{i}"), &more).finish();
        assert_eq!(ran.code, Some(*code), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{sets:?}: {}", ran.stderr);
    }
}
