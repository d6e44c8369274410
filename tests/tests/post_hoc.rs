//! `biorule post-hoc`: a phase of local rules again, scored by the read-out that came after it.

use biorule_tests::Result;
use biorule_tests::plugins::call;
use serde_json::Value;

const NET: &str = r#"
name = "net"
data = "digits"
device = "cpu"
[[blocks]]
name = "hidden"
layer = "conv"
out = 32
kernel = 3
norm = "batch"
rule = { name = "softhebb", lr = 0.05 }
activation = "triangle(0.7)"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training]
mode = "successive"
local = { epochs = 2, batch = 10 }
gradient = { epochs = 2 }
"#;

#[test]
fn the_phase_is_repeated_to_the_same_bits_and_scored_at_each_step() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    std::fs::write(dir.join("net.toml"), NET)?;
    let ran = call(dir, &["train", "net.toml", "--run-dir", "run", "-q"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = call(dir, &["post-hoc", "run", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(told["phase"], "hidden");
    let steps = told["steps"].as_array().expect("a list").clone();
    assert_eq!(steps.len(), 260);
    let rule = |at: usize, name: &str| steps[at]["rules"][name].as_f64().expect("a number");
    // From the initial weights; after the first epoch as the run itself was then.
    assert!(rule(0, "hidden/radius_mean") > 20.0);
    let table = std::fs::read_to_string(dir.join("run/metrics.csv"))?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    for name in [
        "hidden/convergence",
        "hidden/radius_std",
        "hidden/weight_mean",
    ] {
        let column = rows[0].iter().position(|of| *of == name).expect("a column");
        assert_eq!(rows[1][column].parse::<f64>()?, rule(130, name), "{name}");
    }
    // The network that the read-out was trained on is mostly right on what it was trained on.
    let right = |s: &Value| s["accuracy"].as_f64().expect("a share");
    let late: f64 = steps[200..].iter().map(right).sum::<f64>() / 60.0;
    assert!(late > 0.8, "{late}");
    assert!(
        steps
            .iter()
            .all(|s| s["loss"].as_f64().is_some_and(|loss| loss >= 0.0))
    );
    let csv = std::fs::read_to_string(dir.join("run/post-hoc.csv"))?;
    assert_eq!(csv.lines().count(), 261);
    assert!(
        csv.starts_with("step,samples,loss,accuracy,hidden/"),
        "{csv}"
    );
    let text = call(dir, &["post-hoc", "run", "--out", "other.csv"]).stdout;
    assert!(text.contains("phase `hidden` again"), "{text}");
    assert_eq!(std::fs::read_to_string(dir.join("other.csv"))?, csv);
    Ok(())
}

#[test]
fn a_run_without_such_a_phase_is_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    std::fs::write(dir.join("net.toml"), NET)?;
    let only = [
        "--set",
        "training.mode=end-to-end",
        "--set",
        "blocks.hidden.rule=backprop",
    ];
    let ran = call(
        dir,
        &[&["train", "net.toml", "--run-dir", "bp", "-q"], &only[..]].concat(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = call(dir, &["post-hoc", "bp"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("no phase of this run learns by local rules"),
        "{}",
        ran.stderr
    );
    let ran = call(dir, &["train", "net.toml", "--run-dir", "run", "-q"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (phase, told) in [
        ("hiden", "did you mean `hidden`?"),
        ("readout", "is driven by the loss"),
    ] {
        let ran = call(dir, &["post-hoc", "run", "--phase", phase]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    Ok(())
}
