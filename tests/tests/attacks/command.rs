//! `biorule attack`: what it measures, writes and refuses.

use std::fs;
use std::path::{Path, PathBuf};

use biorule_tests::plugins::Run;
use serde_json::Value;

use crate::runs::{CONFIG, attacked, trained};

/// The robust accuracy of a row.
fn robust(rows: &Value, at: usize) -> f64 {
    rows["rows"][at]["robust_accuracy"]
        .as_f64()
        .expect("a share")
}

#[test]
fn the_command_measures_writes_and_repeats_itself() {
    let home = tempfile::tempdir().expect("a folder");
    let run = trained(home.path());
    let list = [
        "--attack",
        "fgsm,pgd,noise,fog",
        "--epsilon",
        "0,8/255,64/255",
        "--sigma",
        "0.1",
        "--severity",
        "1,5",
        "--limit",
        "300",
        "--steps",
        "5",
        "--step-size",
        "16/255",
    ];
    let first = attacked(&run, &list);
    let rows = first["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3 + 3 + 1 + 2);
    let clean = rows[0]["clean_accuracy"].as_f64().expect("a share");
    assert!(clean > 0.85, "{clean}");
    // Nothing, something, much; PGD goes on where FGSM stops.
    for start in [0, 3] {
        assert_eq!(robust(&first, start), clean);
        assert!(robust(&first, start + 2) < robust(&first, start + 1));
        assert!(robust(&first, start + 2) < 0.5 * clean);
    }
    for row in rows {
        let n = |name: &str| row[name].as_u64().expect("a count");
        assert!(n("both") <= n("robust") && n("both") <= n("clean") && n("samples") == 300);
    }
    let folder = run.join("attacks");
    let written = || -> Vec<Vec<u8>> {
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("the folder")
            .map(|e| e.expect("a file").path())
            .collect();
        files.sort();
        files.iter().map(|f| fs::read(f).expect("read")).collect()
    };
    let before = written();
    assert_eq!(before.len(), 1);
    let again = attacked(&run, &[&list[..], &["--batch-size", "13"]].concat());
    for (a, b) in rows.iter().zip(again["rows"].as_array().expect("rows")) {
        assert_eq!(a["robust"], b["robust"]);
    }
    assert_eq!(written().len(), 1);
    // A list that was cut short goes on: its first row is taken as it stands.
    let file = fs::read_dir(&folder)
        .expect("the folder")
        .next()
        .expect("one")
        .expect("one")
        .path();
    let mut cut: Value = serde_json::from_slice(&before[0]).expect("JSON");
    cut["complete"] = false.into();
    let kept = cut["rows"].as_array_mut().expect("rows");
    kept.truncate(4);
    kept[0]["mean_l2"] = 123.0.into();
    fs::write(&file, cut.to_string()).expect("written");
    let gone_on = attacked(&run, &list);
    assert_eq!(gone_on["rows"][0]["mean_l2"], 123.0);
    assert_eq!(gone_on["rows"].as_array().map(Vec::len), Some(9));
    assert_eq!(gone_on["complete"], true);
    let shown = Run::new(["runs", "show"]).arguments(&[&run]).stdout();
    assert!(shown.contains("attack    pgd 8/255"), "{shown}");
    let table = Run::new(["attack", "-q"])
        .arguments(&[&run])
        .arguments(&["--limit", "50", "--gradient", "true,rule", "-o"])
        .arguments(&[home.path().join("out.json")])
        .stdout();
    assert!(
        table.contains("8/255 (linf)") && table.contains("rule"),
        "{table}"
    );
    assert!(home.path().join("out.json").is_file());
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let run = trained(home.path());
    let refused = |flags: &[&str], words: &[&str]| {
        let ran = Run::new(["attack"])
            .arguments(&[&run])
            .arguments(flags)
            .finish();
        assert_eq!(ran.code, Some(2), "{flags:?}: {}{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{flags:?}: {}", ran.stderr);
        }
    };
    refused(&["--attack", "pdg"], &["`pdg`", "`pgd`"]);
    refused(&["--attack", "frost"], &["photographs"]);
    refused(&["--epsilon", "1.5"], &["epsilon is 1.5"]);
    refused(&["--epsilon", "8/0"], &["fraction"]);
    refused(&["--epsilon=-1"], &["epsilon is -1"]);
    refused(&["--queries", "5"], &["`--queries`", "square"]);
    refused(
        &["--attack", "square", "--gradient", "rule"],
        &["`--gradient`"],
    );
    refused(&["--attack", "saturate"], &["1 channel"]);
    refused(&["--attack", "fog", "--severity", "6"], &["severity is 6"]);
    refused(&["--split", "validation"], &["no split"]);
    refused(&["--batch-size", "0"], &["`--batch-size`"]);
    refused(&["--attack", "pgd,pgd"], &["twice"]);
    refused(&["--attack", "tpgd", "--norm", "l2"], &["`--norm`"]);
    refused(
        &["--set", "blocks.hidden.out=47"],
        &["last.safetensors", "hidden"],
    );
    // A local rule sends no error below.
    let local = CONFIG
        .replace(
            "bias = true\nrule = \"feedback-alignment/fa\"",
            "bias = false\nrule = \"softhebb\"",
        )
        .replace("end-to-end", "successive");
    let config = home.path().join("local.toml");
    let local = format!("{local}\n[training.local]\nepochs = 1\nbatch = 10\n");
    fs::write(&config, local).expect("written");
    let hebbian = home.path().join("local");
    Run::new(["train", "-q"])
        .arguments(&[config.as_path(), Path::new("--run-dir"), &hebbian])
        .stdout();
    let ran = Run::new(["attack"])
        .arguments(&[&hebbian])
        .arguments(&["--gradient", "rule"])
        .finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`softhebb`") && ran.stderr.contains("--gradient true"),
        "{}",
        ran.stderr
    );
    attacked(&hebbian, &["--attack", "fgsm", "--limit", "20"]);
}
