//! `biorule bench`: rows in the documented form, with and without PyTorch. No
//! timing is looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::{Ran, Run};
use serde_json::Value;

/// The least effort: one call after one that does not count.
const QUICK: [&str; 6] = ["--seconds", "0.001", "--repeats", "1", "--patience", "0"];

fn bench(arguments: &[&str], python: &Path) -> (Value, Ran) {
    let mut all: Vec<String> = vec!["bench".into()];
    all.extend(arguments.iter().chain(&QUICK).map(|a| (*a).to_owned()));
    all.extend([
        "--json".into(),
        "--python".into(),
        python.display().to_string(),
    ]);
    let ran = Run::new(all).finish();
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let report = serde_json::from_str(&ran.stdout).expect("JSON on standard output");
    (report, ran)
}

/// A program that stands for an interpreter.
fn fake(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    path
}

fn is_positive(v: &Value) -> bool {
    v.as_f64().is_some_and(|v| v > 0.0 && v.is_finite())
}

/// The fields that docs/performance.md promises.
fn check_form(report: &Value, torch: bool) {
    for key in [
        "cpu",
        "cores",
        "isa",
        "os",
        "threads",
        "allocator",
        "device",
    ] {
        assert!(!report["machine"][key].is_null(), "machine.{key}");
    }
    assert!(report["machine"].get("memory_gib").is_some());
    assert!(report["versions"]["biorule"].is_string());
    assert_eq!(report["versions"]["pytorch"].is_object(), torch);
    assert_eq!(report["pytorch_absent"].is_string(), !torch);
    assert!(report["date"].as_str().is_some_and(|d| d.ends_with('Z')));
    assert!(is_positive(&report["sgemm_gflops"]));
    assert!(is_positive(&report["copy_gbytes_per_s"]));
    let rows = report["rows"].as_array().expect("rows");
    assert!(!rows.is_empty());
    for row in rows {
        assert!(row["name"].is_string());
        assert!(is_positive(&row["seconds"]), "{row}");
        assert!(row["spread"].is_number() && row["contended"].is_boolean());
        assert!(row["seconds_with_denormals"].is_null());
        assert_eq!(row["extrapolated"], Value::Bool(false));
        let (arithmetic, memory) = (
            is_positive(&row["gflops"]) && is_positive(&row["fraction_of_sgemm_peak"]),
            is_positive(&row["gbytes_per_s"]) && is_positive(&row["fraction_of_copy_bandwidth"]),
        );
        assert!(arithmetic != memory, "{row}");
        for key in [
            "vs_pytorch_plain",
            "vs_pytorch_best",
            "max_error",
            "pytorch_peak_memory_mib",
        ] {
            let value = row.get(key).expect(key);
            assert_eq!(
                value.is_number(),
                torch && (key != "pytorch_peak_memory_mib" || cfg!(target_os = "linux")),
                "{key} of {row}"
            );
        }
        if cfg!(target_os = "linux") {
            assert!(is_positive(&row["peak_memory_mib"]), "{row}");
        }
    }
}

#[test]
fn a_row_without_an_interpreter_has_the_documented_form() {
    let (report, ran) = bench(
        &["kernels", "--filter", "reflect-pad"],
        Path::new("/nonexistent/python"),
    );
    check_form(&report, false);
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["name"], "reflect-pad-96x16x16-b10");
    assert!(
        ran.stderr
            .contains("no figures of PyTorch: `/nonexistent/python` cannot be started"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_step_runs_real_plugins() {
    let none = Path::new("/nonexistent/python");
    let (report, _) = bench(
        &[
            "step",
            "--filter",
            "softhebb-step-l1-b10,krotov-step-l1-b10",
        ],
        none,
    );
    check_form(&report, false);
    let names: Vec<_> = report["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert_eq!(names, ["softhebb-step-l1-b10", "krotov-step-l1-b10"]);
}

/// Interpreters that are none, each with what has to be said of it.
#[test]
fn a_broken_interpreter_costs_only_its_columns() {
    let told = r#"{"torch": "0", "python": "0", "threads": 1, "onednn": false, "built_with": ""}"#;
    for (script, said) in [
        (
            "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1",
            "No module named 'torch'",
        ),
        ("echo hello; cat", "answered `hello`, which is no JSON"),
        (
            "read line; echo '{\"torch\": 1}'; cat >/dev/null",
            "does not say who it is",
        ),
        ("exit 0", "ended (exit status: 0)"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (report, ran) = bench(
            &["kernels", "--filter", "reflect-pad"],
            &fake(folder.path(), script),
        );
        check_form(&report, false);
        assert!(ran.stderr.contains(said), "{script}: {}", ran.stderr);
    }
    // One that is lost under way.
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("read line; echo '{told}'; read line; echo gibberish; cat >/dev/null");
    let (report, _) = bench(
        &["kernels", "--filter", "reflect-pad"],
        &fake(folder.path(), &script),
    );
    assert!(report["rows"][0]["vs_pytorch_plain"].is_null());
    assert!(report["pytorch_absent"].is_string(), "{report}");
}

#[test]
fn what_cannot_be_measured_is_a_usage_error() {
    for arguments in [
        vec!["bench"],
        vec!["bench", "kernel"],
        vec!["bench", "kernels", "--filter", "conv-fward-l1-b10"],
        vec!["bench", "kernels", "--seconds", "0"],
        vec!["bench", "kernels", "--repeats", "0"],
        vec!["bench", "kernels", "--device", "gpu"],
        vec!["bench", "step", "--threads", "0"],
    ] {
        let ran = Run::new(arguments.clone()).finish();
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    let ran = Run::new(["bench", "kernels", "--filter", "conv-fward-l1-b10"]).finish();
    assert!(
        ran.stderr.contains("did you mean `conv-forward-l1-b10`?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn threads_and_a_file_for_the_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("result.json");
    let ran = Run::new([
        "bench",
        "kernels",
        "--filter",
        "softmax-forward-96",
        "--no-pytorch",
        "--no-memory",
        "--threads",
        "1",
    ])
    .arguments(&QUICK)
    .arguments(&["--keep-denormals"])
    .arguments(&["--out", &out.display().to_string()])
    .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("softmax-forward-96x32x32-b10"),
        "{}",
        ran.stdout
    );
    let report: Value = serde_json::from_slice(&fs::read(&out).expect("the file")).expect("JSON");
    assert_eq!(report["machine"]["threads"], 1);
    assert_eq!(
        report["machine"]["flush_denormal"],
        cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64")
    );
    assert!(is_positive(&report["rows"][0]["seconds_with_denormals"]));
    assert!(report["rows"][0]["vs_pytorch_plain_with_denormals"].is_null());
    assert!(
        ran.stdout.contains("with subnormal numbers"),
        "{}",
        ran.stdout
    );
    assert!(report["rows"][0]["peak_memory_mib"].is_null());
}

/// Both sides do the same work: one row of each kind, where there is PyTorch
/// (`BIORULE_PYTHON`).
#[test]
fn pytorch_agrees_where_it_is_there() {
    let Some(python) = std::env::var_os("BIORULE_PYTHON") else {
        return skip(
            Need::Python,
            "`BIORULE_PYTHON` names no interpreter with PyTorch",
        );
    };
    let python = Path::new(&python);
    let kernels = "conv-forward-l1-b10,conv-weight-reflect-l1-b10,conv-input-l2-b10,depthwise-3x3-backward,\
        dense-input-b10,batchnorm-backward-train-96,triangle-backward-0.7,pool-max-4-2-1-96,pool-avg-3-1-1,\
        softmax-backward-96,reflect-pad,adam-";
    let (report, _) = bench(&["kernels", "--filter", kernels], python);
    check_form(&report, true);
    let (report, _) = bench(
        &[
            "step",
            "--filter",
            "softhebb-step-l1-b10,krotov-step-l1-b10,lenet-step",
        ],
        python,
    );
    check_form(&report, true);
}
