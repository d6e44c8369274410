//! Weights of other programs and for them: `.pt` and `.npz` files as initial weights, `biorule export`.

use std::path::Path;

use biorule_tests::plugins::call;
use biorule_tests::{Result, repository};
use serde_json::Value;

/// A small network on the digits, with what each kind of name has to find.
const CONFIG: &str = "name = \"w\"\ndata = \"digits\"\ndevice = \"cpu\"\nrule = \"backprop\"\n\
    [[blocks]]\nname = \"conv1\"\nlayer = \"conv\"\nkernel = 3\nout = 4\nnorm = \"batch\"\nactivation = \"relu\"\n\
    [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
    [training.gradient]\nepochs = 1\n";

const DENSE: &str = "name = \"d\"\ndata = \"digits\"\ndevice = \"cpu\"\nrule = \"backprop\"\n\
    [[blocks]]\nname = \"hidden\"\nlayer = \"dense\"\nout = 3\n\
    [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
    [training.gradient]\nepochs = 1\noptimizer = { kind = \"sgd\", lr = 0.0 }\n";

fn results(home: &Path, folder: &str) -> Result<Value> {
    let text = std::fs::read_to_string(home.join(folder).join("run.json"))?;
    let record: Value = serde_json::from_str(&text)?;
    Ok(record["results"].clone())
}

/// The `init` event of a run.
fn init(home: &Path, folder: &str) -> Result<Value> {
    let text = std::fs::read_to_string(home.join(folder).join("events.jsonl"))?;
    let events = text.lines().map(serde_json::from_str::<Value>);
    let found = events
        .filter_map(std::result::Result::ok)
        .find(|e| e["event"] == "init");
    Ok(found.ok_or("no `init` event")?)
}

#[test]
fn exported_weights_are_read_back_under_every_kind_of_name() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    std::fs::write(home.join("c.toml"), CONFIG)?;
    let ran = call(home, &["train", "c.toml", "--run-dir", "a", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (file, names, has, complete) in [
        ("own.npz", "own", "blocks.conv1.norm.running_mean [1]", true),
        (
            "own.safetensors",
            "own",
            "blocks.conv1.layer.weight [4, 1, 3, 3]",
            true,
        ),
        (
            "hebb.npz",
            "softhebb",
            "blocks.0.operations.0.running_var [1]",
            true,
        ),
        (
            "torch.safetensors",
            "pytorch",
            "conv1.weight [4, 1, 3, 3]",
            false,
        ),
    ] {
        let ran = call(home, &["export", "a", file, "--names", names]);
        assert_eq!(ran.code, Some(0), "{file}: {}", ran.stderr);
        assert!(
            ran.stdout.lines().any(|line| line == has),
            "{file}: {}",
            ran.stdout
        );
        // Modules of PyTorch have no norm before their layer.
        assert_eq!(
            ran.stderr.contains("blocks.conv1.norm.running_mean"),
            !complete,
            "{}",
            ran.stderr
        );
        let still = "training.gradient.optimizer={ kind = \"sgd\", lr = 0.0 }";
        let folder = format!("from-{file}");
        let ran = call(
            home,
            &[
                "train",
                "c.toml",
                "--run-dir",
                &folder,
                "--quiet",
                "--init-from",
                file,
                "--set",
                still,
            ],
        );
        assert_eq!(ran.code, Some(0), "{file}: {}", ran.stderr);
        let init = init(home, &folder)?;
        let taken = if complete { 5 } else { 3 };
        assert_eq!(
            init["taken"].as_array().map(Vec::len),
            Some(taken),
            "{file}: {init}"
        );
    }
    // The weights are the same: without a norm between, so is the result.
    std::fs::write(home.join("d.toml"), DENSE)?;
    call(
        home,
        &[
            "train",
            "d.toml",
            "--run-dir",
            "d",
            "--quiet",
            "--set",
            "training.gradient.optimizer.lr=0.1",
        ],
    );
    let ran = call(
        home,
        &["export", "d", "d.npz", "--names", "pytorch", "--best"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    call(home, &["export", "d", "d.npz", "--names", "pytorch"]);
    call(
        home,
        &[
            "train",
            "d.toml",
            "--run-dir",
            "e",
            "--quiet",
            "--init-from",
            "d.npz",
        ],
    );
    assert_eq!(results(home, "d")?, results(home, "e")?);
    let ran = call(home, &["export", "a", "weights.onnx"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains(".safetensors"),
        "{}",
        ran.stderr
    );
    assert_eq!(call(home, &["export", "nowhere", "x.npz"]).code, Some(2));
    Ok(())
}

#[test]
fn a_state_dictionary_of_pytorch_is_read_without_running_it() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    std::fs::write(home.join("d.toml"), DENSE)?;
    let file = repository().join("tests/data/state_dict.pt");
    let ran = call(
        home,
        &[
            "train",
            "d.toml",
            "--run-dir",
            "a",
            "--quiet",
            "--init-from",
            &file.display().to_string(),
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let init = init(home, "a")?;
    assert_eq!(init["taken"].as_array().map(Vec::len), Some(4), "{init}");
    assert!(
        init["new"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty),
        "{init}"
    );
    let ran = call(home, &["export", "a", "back.npz", "--names", "pytorch"]);
    assert!(
        ran.stdout.contains("hidden.weight [3, 64]"),
        "{}",
        ran.stdout
    );
    // A layout that is not read, and a file that was cut.
    let whole = std::fs::read(&file)?;
    std::fs::write(home.join("old.pt"), [0x80, 2, 0x8a, 10])?;
    std::fs::write(home.join("cut.pt"), &whole[..whole.len() / 2])?;
    for (name, told) in [("old.pt", "before 1.6"), ("cut.pt", "cut.pt")] {
        let ran = call(
            home,
            &["train", "d.toml", "--run-dir", "b", "--init-from", name],
        );
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{name}: {}", ran.stderr);
    }
    Ok(())
}
