//! What `biorule search` measures and trains by: robustness as an objective, a part of the data that
//! decides, local rules in cells.

use std::path::{Path, PathBuf};

use biorule_tests::plugins::Run;
use biorule_tests::runs::weights;
use biorule_tests::searching::{Home, evaluations, json};
use serde_json::Value;

const SMALL: &str = r#"
name = "small"
device = "cpu"
data = { set = "digits", validation = 64, limit_train = 256, limit_test = 32 }

[network]
channels = 4
cells = 3

[search]
strategy = { kind = "random", evaluations = 2 }

[search.space]
nodes = 1
operations = ["sep_conv_3x3", "conv_1x1"]
rules = ["feedback-alignment/fa", "backprop"]

[training.gradient]
epochs = 3
batch = 32
optimizer = { kind = "adam", lr = 0.01 }

[output]
tensorboard = false
"#;

/// The record of the one attack on the evaluation of `line`.
fn record(root: &Path, line: &Value) -> PathBuf {
    let run = root.join(line["folder"].as_str().expect("a folder"));
    let mut files = std::fs::read_dir(run.join("attacks")).expect("attacks");
    files.next().expect("a record").expect("an entry").path()
}

const ROBUST: [&str; 4] = [
    "--set",
    "search.objectives=[\"accuracy\", \"robustness\"]",
    "--set",
    "search.robustness={ method = \"pgd\", strength = \"16/255\", steps = 3, images = 40 }",
];

#[test]
fn robustness_is_measured_once_on_held_out_samples() {
    let home = Home::new(SMALL);
    let text = home.search("s", &ROBUST).stdout();
    assert!(text.contains("robustness"), "{text}");
    let root = home.path("s");
    let front = std::fs::read_to_string(root.join("front.csv")).expect("a front");
    assert!(
        front.starts_with("number,hash,accuracy,robustness\n"),
        "{front}"
    );
    let lines = evaluations(&root);
    for line in &lines {
        let value = line["values"]["robustness"].as_f64().expect("a value");
        let file = record(&root, line);
        let kept = json(&file);
        assert_eq!(
            (&kept["split"], &kept["limit"]),
            (&"validation".into(), &40.into())
        );
        let row = &kept["rows"][0];
        let share = row["robust"].as_f64().expect("a count") / 40.0;
        assert_eq!((value, &row["samples"]), (share, &40.into()));
        assert!(row["robust"].as_i64() <= row["clean"].as_i64(), "{row}");
        // The command for a trained network finds the same.
        let folder = format!("s/{}", line["folder"].as_str().expect("a folder"));
        let by_hand = [
            "attack",
            &folder,
            "--split",
            "validation",
            "--attack",
            "pgd",
            "--steps",
            "3",
            "--epsilon",
            "16/255",
            "--limit",
            "40",
            "--json",
            "-q",
            "-o",
            "hand.json",
        ];
        let said = Run::new(by_hand).dir(home.folder()).stdout();
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["rows"][0]["robust"], row["robust"]);
    }
    // The record is what counts: one that is there is read, one that is gone is made again.
    let file = record(&root, &lines[0]);
    let before = std::fs::read_to_string(&file).expect("a record");
    let mut other: Value = serde_json::from_str(&before).expect("JSON");
    other["rows"][0]["robust"] = 1.into();
    std::fs::write(&file, other.to_string()).expect("written");
    home.search("s", &ROBUST).stdout();
    let again = evaluations(&root);
    assert_eq!(again[0]["values"]["robustness"].as_f64(), Some(1.0 / 40.0));
    assert_eq!(again[1]["values"], lines[1]["values"]);
    std::fs::remove_file(&file).expect("removed");
    home.search("s", &ROBUST).stdout();
    assert_eq!(evaluations(&root)[0]["values"], lines[0]["values"]);
    assert_eq!(std::fs::read_to_string(&file).expect("a record"), before);
    // A bound that none keeps.
    let bound = ["--set", "search.bounds.robustness=1.0"];
    let ran = home.search("s2", &[&ROBUST[..], &bound].concat()).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`robustness`"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_attacked_is_refused_before_anything_is_trained() {
    let home = Home::new(SMALL);
    let set = |what: &str| format!("search.robustness={what}");
    let asked = "search.objectives=[\"accuracy\", \"robustness\"]".to_owned();
    let cases: [(String, &str); 9] = [
        (set("pdg"), "did you mean `pgd`?"),
        (
            set("{ method = \"pgd\", strenght = 0.1 }"),
            "did you mean `strength`?",
        ),
        (
            set("{ method = \"pgd\", strength = \"8/\" }"),
            "a fraction such as `8/255`",
        ),
        (
            set("{ method = \"pgd\", strength = 3 }"),
            "epsilon is 3, expected 0 to 1",
        ),
        (
            set("{ method = \"fgsm\", steps = 3 }"),
            "`search.robustness.steps` has no meaning for `fgsm`",
        ),
        (
            set("{ method = \"tpgd\", norm = \"l2\" }"),
            "`search.robustness.norm` has no meaning",
        ),
        (
            set("{ method = \"apgd\", random_start = false }"),
            "no meaning for `apgd`",
        ),
        (set("{ method = \"pgd\", images = 0 }"), "expected 1"),
        (
            set("{ method = \"pgd\", gradient = \"rul\" }"),
            "did you mean `rule`?",
        ),
    ];
    for (given, says) in &cases {
        let ran = home
            .search("refused", &["--set", &asked, "--set", given])
            .finish();
        assert_eq!(ran.code, Some(2), "{given}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{given}: {}", ran.stderr);
        assert!(!home.path("refused").exists(), "{given}");
    }
    // A rule that sends no error below has no gradient of its own.
    let local = "search.space.rules=[\"softhebb\", \"backprop\"]";
    let rule = set("{ method = \"fgsm\", gradient = \"rule\" }");
    let sets = ["--set", &asked, "--set", local, "--set", &rule];
    let ran = home.search("refused", &sets).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`softhebb`") && ran.stderr.contains("sends no error below"));
    // Values that are no pixels.
    let row = |label: usize| format!("{}{label}\n", "-1.5,".repeat(64));
    let rows: String = (0..40).map(|i| row(i % 2)).collect();
    std::fs::write(home.path("own.csv"), rows).expect("written");
    let own = "data={ set = \"csv\", root = \"own.csv\", validation = 8, options = { test = 0.2, shape = [1, 8, 8], header = false } }";
    let ran = home
        .search("refused", &["--set", &asked, "--set", own])
        .finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`search.robustness`"), "{}", ran.stderr);
    assert!(!home.path("refused").exists());
}

#[test]
fn the_rules_own_gradient_is_another_attack() {
    let home = Home::new(SMALL);
    let one = "search.strategy.evaluations=1";
    let values = |gradient: &str| {
        let given = format!(
            "search.robustness={{ method = \"fgsm\", strength = \"32/255\", gradient = \"{gradient}\" }}"
        );
        let rules = "search.space.rules=[\"feedback-alignment/fa\"]";
        let asked = "search.objectives=[\"robustness\"]";
        let sets = [
            "-q", "--set", one, "--set", rules, "--set", asked, "--set", &given,
        ];
        home.search(gradient, &sets).stdout();
        let line = &evaluations(&home.path(gradient))[0];
        assert_eq!(
            json(&record(&home.path(gradient), line))["rows"][0]["gradient"],
            *gradient
        );
        line["values"]["robustness"].as_f64().expect("a value")
    };
    let (exact, own) = (values("true"), values("rule"));
    // Feedback alignment sends a wrong gradient, which climbs less.
    assert!(exact < own, "{exact} {own}");
}

const HALVES: &str = r#"
name = "halves"
device = "cpu"

[data]
set = "digits"
limit_train = 240
limit_test = 32
parts = { weights = ":50%", architecture = "50%:" }
parts_order = "stored"
validation_part = "architecture"

[network]
channels = 4
cells = 3

[search]
strategy = "darts"

[search.space]
nodes = 1
operations = ["sep_conv_3x3", "skip_connect"]

[search.supernet]
channels = 4
cells = 3
epochs = 1
batch = 40

[training.gradient]
epochs = 1
batch = 40

[output]
tensorboard = false
"#;

#[test]
fn the_half_that_the_architecture_learned_from_may_decide_and_is_said() {
    let home = Home::new(HALVES);
    let ran = home.search("h", &[]).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("from which the architecture learns too"),
        "{}",
        ran.stderr
    );
    let line = &evaluations(&home.path("h"))[0];
    let run = home
        .path("h")
        .join(line["folder"].as_str().expect("a folder"));
    let rows = std::fs::read_to_string(run.join("metrics.csv")).expect("metrics");
    assert!(
        rows.lines()
            .next()
            .is_some_and(|h| h.contains("validation/accuracy"))
    );
    // The other half alone was learned from: three batches of forty.
    let step = rows
        .lines()
        .next()
        .and_then(|h| h.split(',').position(|c| c == "step"));
    let last = rows.lines().last().expect("an epoch");
    assert_eq!(last.split(',').nth(step.expect("a column")), Some("3"));
    let folder = format!("h/{}", line["folder"].as_str().expect("a folder"));
    let said = Run::new(["eval", &folder, "--split", "validation", "--json"])
        .dir(home.folder())
        .stdout();
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        said["results"]["validation/accuracy"], line["values"]["accuracy"],
        "{said}"
    );
    // The supernet's epochs are measured on the same half.
    let rows = std::fs::read_to_string(home.path("h/supernet/metrics.csv")).expect("metrics");
    assert!(
        rows.lines()
            .next()
            .is_some_and(|h| h.contains("validation/accuracy"))
    );
    // What the supernet took is part of the cost: six passes a sample, one of them again.
    let cost = &json(&home.path("h/search.json"))["cost"];
    let n = |value: &Value| value.as_f64().expect("a number");
    assert!(n(&cost["supernet"]["multiply_adds"]) > 0.0, "{cost}");
    assert!(
        n(&cost["multiply_adds"]) > n(&cost["supernet"]["multiply_adds"]),
        "{cost}"
    );
    assert!(n(&cost["peak_memory_mib"]) > 0.0, "{cost}");
    let again = home.search("h", &["-q"]).stdout();
    assert!(again.contains("a supernet ("), "{again}");
    let kept = &json(&home.path("h/search.json"))["cost"];
    assert_eq!(kept["supernet"], cost["supernet"]);
    // The saved configuration is the whole search.
    let saved = home.path("h/config.toml");
    let saved = saved.to_str().expect("a path");
    let ran = Run::new(["search", saved, "--run-dir", "h", "-q"])
        .dir(home.folder())
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // A third part is held back in earnest.
    let thirds =
        "data.parts={ weights = \":1/3\", architecture = \"1/3:2/3\", selection = \"2/3:\" }";
    let part = "data.validation_part=selection";
    let ran = home.search("t", &["--set", thirds, "--set", part]).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("learns too"), "{}", ran.stderr);
    for (set, says) in [
        (
            "data.validation_part=architectur",
            "did you mean `architecture`?",
        ),
        (
            "data.parts={ weights = \":60%\", architecture = \"50%:\" }",
            "has samples of `architecture`",
        ),
        ("data.validation=0.1", "both say what is held back"),
    ] {
        let ran = home.search("refused", &["--set", set]).finish();
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{set}: {}", ran.stderr);
    }
}

#[test]
fn every_layer_of_cells_with_local_and_error_driven_rules_learns() {
    let home = Home::new(SMALL);
    let genotype = r#"{
      "schema_version": 1, "name": "both", "network": "darts",
      "normal": { "edges": [
        { "node": 2, "from": 0, "op": "sep_conv_3x3@softhebb" },
        { "node": 2, "from": 1, "op": "conv_1x1@feedback-alignment/fa" } ], "concat": [2] },
      "reduce": { "edges": [
        { "node": 2, "from": 0, "op": "conv_3x3@softhebb" },
        { "node": 2, "from": 1, "op": "conv_3x3" } ], "concat": [2] }
    }"#;
    std::fs::write(home.path("both.json"), genotype).expect("written");
    let train = |folder: &str, epochs: &str| {
        let set = format!("training.gradient.epochs={epochs}");
        let ran = home
            .run(
                "train",
                folder,
                &["--genotype", "both.json", "-q", "--set", &set],
            )
            .finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        weights(&home.path(folder))
    };
    let (short, long) = (train("short", "1"), train("long", "2"));
    let weights: Vec<&String> = short
        .keys()
        .filter(|n| n.ends_with("weight") && n.starts_with("blocks."))
        .collect();
    assert!(weights.len() > 12, "{weights:?}");
    let still: Vec<_> = weights.iter().filter(|n| short[**n] == long[**n]).collect();
    assert!(still.is_empty(), "they do not learn: {still:?}");
    // A search over such a space trains both kinds.
    let sets = [
        "--set",
        "search.space.rules=[\"softhebb\", \"backprop\"]",
        "--set",
        "training.gradient.epochs=1",
    ];
    let ran = home.search("s", &sets).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("no phase moves"), "{}", ran.stderr);
    let ran = home
        .search(
            "r",
            &["--set", sets[1], "--set", "training.mode=successive"],
        )
        .finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`simultaneous`"), "{}", ran.stderr);
}
