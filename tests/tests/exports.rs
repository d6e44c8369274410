//! What `biorule export` writes loads in PyTorch by `docs/pytorch_loader.py`, with the same outputs.

use std::path::Path;
use std::process::Command;

use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::Run;
use biorule_tests::repository;
use serde_json::Value;

/// An interpreter with PyTorch, as `BIORULE_PYTHON` names it.
fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("BIORULE_PYTHON").filter(|p| !p.is_empty())?;
    let asked = Command::new(&python)
        .args(["-c", "import torch, numpy"])
        .output();
    asked.is_ok_and(|o| o.status.success()).then_some(python)
}

/// Pixels from 0 to 1 as a numpy array `[N, C, H, W]`.
fn samples(path: &Path, shape: [usize; 4]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    let header = header.replace('[', "(").replace(']', ")");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    let count: usize = shape.iter().product();
    for i in 0..count {
        let value = ((i * i + 31 * i) % 251) as f32 / 250.0;
        bytes.extend(value.to_le_bytes());
    }
    std::fs::write(path, bytes).expect("written");
}

fn well(dir: &Path, words: &[&str]) -> String {
    Run::new(words.iter().copied()).dir(dir).stdout()
}

#[test]
fn exported_networks_load_in_pytorch_with_the_same_outputs() {
    let Some(python) = python() else {
        return skip(
            Need::Python,
            "`BIORULE_PYTHON` names no interpreter with PyTorch",
        );
    };
    let soft = ("softhebb/2SoftHebbCnnCIFAR", [20, 1, 16, 16], "weights.npz");
    let lenet = ("biotorch/lenet-mnist", [20, 1, 32, 32], "weights.npz");
    let mlp = ("softhebb/2SoftMlpMNIST", [20, 1, 16, 16], "weights.npz");
    for (preset, shape, file) in [soft, lenet, mlp] {
        let home = tempfile::tempdir().expect("a folder");
        let dir = home.path();
        let few = ["data.set=\"gabor\"", "data.limit_train=600"];
        let text = format!(
            "preset = \"{preset}\"\ndevice = \"cpu\"\n{}\n{}\n",
            few[0], few[1]
        );
        std::fs::write(dir.join("net.toml"), text).expect("written");
        let short = ["--set", "training.gradient.epochs=1", "-q"];
        well(
            dir,
            &[&["train", "net.toml", "--run-dir", "run"], &short[..]].concat(),
        );
        well(dir, &["export", "run", file]);
        samples(&dir.join("x.npy"), shape);
        let ours = ["predict", "run", "x.npy", "--format", "json", "--outputs"];
        let ours: Value = serde_json::from_str(&well(dir, &ours)).expect("JSON");
        let told = Command::new(&python)
            .arg(repository().join("docs/pytorch_loader.py"))
            .args(["run/config.toml", file, "x.npy"])
            .current_dir(dir)
            .output()
            .expect("Python starts");
        let errors = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{preset}: {errors}");
        let theirs: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let (ours, theirs) = (
            ours.as_array().expect("a list"),
            theirs.as_array().expect("a list"),
        );
        assert_eq!((ours.len(), theirs.len()), (20, 20));
        let mut most = 0.0f64;
        for (ours, theirs) in ours.iter().zip(theirs) {
            let outputs =
                |v: &Value| -> Vec<f64> { serde_json::from_value(v.clone()).expect("numbers") };
            let (ours, theirs) = (outputs(&ours["outputs"]), outputs(theirs));
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(&theirs) {
                most = most.max((a - b).abs() / a.abs().max(1.0));
            }
        }
        println!("{preset}: outputs differ by {most:.1e} at most");
        assert!(most < 1e-5, "{preset}: {most}");
    }
}
