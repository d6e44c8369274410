//! `biorule attack --protocol`: a published list of attacks with its faults.

use std::path::Path;

use biorule_tests::plugins::Run;
use serde_json::Value;

const CONFIG: &str = r#"
name = "attacked"
device = "cpu"
data = { set = "digits", normalize = "standard" }

[[blocks]]
name = "hidden"
layer = "dense"
out = 48
rule = "RULE"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"

[training.gradient]
epochs = 5
optimizer = { kind = "adam", lr = 0.003 }

[output]
tensorboard = false
"#;

fn trained(home: &Path, rule: &str) {
    std::fs::write(home.join("a.toml"), CONFIG.replace("RULE", rule)).expect("written");
    Run::new([
        "train",
        "a.toml",
        "-q",
        "--run-dir",
        rule.rsplit('/').next().expect("a name"),
    ])
    .dir(home)
    .stdout();
}

fn attacked(home: &Path, run: &str, more: &[&str]) -> Value {
    let text = Run::new(["attack", run, "--json", "-q", "--limit", "300"])
        .arguments(more)
        .dir(home)
        .stdout();
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_released_protocol_of_bionas_has_its_faults() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    trained(home, "feedback-alignment/usf");
    let theirs = attacked(home, "usf", &["--protocol", "bionas-released"]);
    let rows = theirs["rows"].as_array().expect("rows");
    let names: Vec<&str> = rows.iter().filter_map(|r| r["attack"].as_str()).collect();
    assert_eq!(names, ["fgsm", "pgd", "tpgd", "tpgd", "apgd"]);
    let strengths: Vec<f64> = rows.iter().filter_map(|r| r["strength"].as_f64()).collect();
    for (found, given) in strengths
        .iter()
        .zip([0.35, 0.35, 8.0 / 255.0, 0.3, 8.0 / 255.0])
    {
        assert!((found - given).abs() < 1e-12, "{strengths:?}");
    }
    let n = |row: &Value, key: &str| row[key].as_f64().expect("a number");
    for row in rows {
        assert_eq!(row["gradient"], "rule");
        // One meter for both passes.
        let mean = (n(row, "clean") + n(row, "robust")) / 600.0;
        assert!((n(row, "printed_accuracy") - mean).abs() < 1e-12, "{row}");
    }
    // The clean pass sees the inputs as they are.
    let ours = attacked(
        home,
        "usf",
        &[
            "--attack",
            "fgsm",
            "--epsilon",
            "0.35",
            "--gradient",
            "rule",
        ],
    );
    assert_eq!(ours["rows"][0]["clean"], rows[0]["clean"]);
    assert!(ours["rows"][0]["printed_accuracy"].is_null());
    // Clipping moves scaled inputs further than the radius.
    assert!(n(&ours["rows"][0], "mean_linf") <= 0.35 + 1e-6);
    assert!(n(&rows[0], "mean_linf") > 0.7, "{}", rows[0]);
    // Seven steps do not reach 0.3, so both `tpgd` are bound by the same thing: clipping and steps.
    assert!(n(&rows[3], "robust") <= n(&rows[2], "robust"));
    let text = Run::new([
        "attack",
        "usf",
        "-q",
        "--limit",
        "50",
        "--protocol",
        "bionas-released",
        "--attack",
        "pgd",
    ])
    .dir(home)
    .stdout();
    for says in [
        "printed",
        "mean of clean and attacked accuracy",
        "clipped to [0, 1]",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert_eq!(text.matches(" pgd ").count(), 1, "{text}");
    let shown = Run::new(["runs", "show", "usf"]).dir(home).stdout();
    assert!(
        shown.contains("protocol bionas-released, which prints"),
        "{shown}"
    );
}

#[test]
fn what_a_protocol_does_not_have_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    trained(home, "softhebb");
    let cases: [(&[&str], &str); 6] = [
        (&["bionas-relased"], "did you mean `bionas-released`?"),
        (&["bionas-released", "--attack", "square"], "fails there"),
        (
            &["bionas-released", "--attack", "tgpd"],
            "did you mean `tpgd`?",
        ),
        (
            &["bionas-released", "--epsilon", "0.1"],
            "`--epsilon` has no meaning",
        ),
        (
            &["bionas-released", "--gradient", "true,rule"],
            "a protocol has one",
        ),
        // Its gradient is that of the rules, and one of them has none.
        (&["bionas-released"], "`--gradient true`"),
    ];
    for (more, says) in cases {
        let ran = Run::new(["attack", "softhebb", "-q", "--protocol"])
            .arguments(more)
            .dir(home)
            .finish();
        assert_eq!(ran.code, Some(2), "{more:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{more:?}: {}", ran.stderr);
    }
    let more = [
        "--protocol",
        "bionas-released",
        "--gradient",
        "true",
        "--attack",
        "fgsm",
    ];
    let rows = attacked(home, "softhebb", &more);
    assert_eq!(rows["rows"][0]["gradient"], "true");
}
