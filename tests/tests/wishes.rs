//! Every explicit wish acts, is refused, or is warned about; files that are not what was written, and
//! memory that is not there, end with words and a promised code.

use std::fs;
use std::path::Path;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run, call};
use biorule_tests::runs;
use serde_json::Value;

const NETWORK: &str = r#"name = "wishes"
data = { set = "digits", limit_train = 200, limit_test = 50 }
device = "cpu"
[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 16
rule = "softhebb"
activation = "relu"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 2
"#;

fn home() -> Result<tempfile::TempDir> {
    runs::home("n.toml", NETWORK)
}

fn train(home: &Path, arguments: &[&str]) -> Ran {
    call(home, &[&["train", "n.toml"], arguments].concat())
}

/// `train --dry-run` with these values set.
fn looked_at(home: &Path, sets: &[&str]) -> Ran {
    Run::new(["train", "n.toml", "--dry-run"])
        .sets(sets)
        .dir(home)
        .finish()
}

fn ends(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
}

/// One bit of the last weight of `file` becomes another.
fn flip(file: &Path) -> Result<()> {
    let mut bytes = fs::read(file)?;
    let last = bytes.len() - 2;
    bytes[last] ^= 4;
    // In its place: hard links of the same checkpoint stay as they are.
    fs::remove_file(file)?;
    Ok(fs::write(file, bytes)?)
}

#[test]
fn a_checkpoint_with_a_flipped_bit_is_noticed_by_all_who_read_it() -> Result<()> {
    let home = home()?;
    let home = home.path();
    ends(&train(home, &["--run-dir", "r"]), 0, &[]);
    let last = home.join("r/checkpoints/last.safetensors");
    let whole = fs::read(&last)?;
    let again = train(home, &["--run-dir", "r"]);
    ends(&again, 0, &["nothing left to do"]);

    flip(&last)?;
    let digest = "the digest in it differs";
    ends(
        &call(home, &["eval", "r"]),
        7,
        &["last.safetensors", digest],
    );
    let again = train(home, &["--run-dir", "r"]);
    ends(&again, 7, &["its weights are lost", digest]);
    let from = train(home, &["--run-dir", "s", "--init-from", "r"]);
    ends(&from, 7, &["`init_from`", digest]);
    assert!(!home.join("s/run.json").exists());

    fs::remove_file(&last)?;
    let again = train(home, &["--run-dir", "r"]);
    ends(&again, 7, &["its weights are lost", "is gone"]);
    fs::write(&last, whole)?;
    ends(&call(home, &["eval", "r"]), 0, &[]);
    Ok(())
}

#[test]
fn a_stopped_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_says_so() -> Result<()> {
    let home = home()?;
    let home = home.path();
    ends(&train(home, &["--run-dir", "r"]), 0, &[]);
    // As a stopped run leaves it.
    let record = home.join("r/run.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&record)?)?;
    json["exit_reason"] = "stopped".into();
    fs::write(&record, json.to_string())?;
    flip(&home.join("r/checkpoints/last.safetensors"))?;
    let on = train(home, &["--run-dir", "r", "--events", "jsonl"]);
    let words = "going on from the checkpoint before";
    ends(&on, 0, &["warning: checkpoint", words]);
    assert!(!on.stderr.contains("WARN"), "{}", on.stderr);
    let warned = events(&on.stdout)?.into_iter().any(|event| {
        event["event"] == "warn" && event["text"].as_str().is_some_and(|t| t.contains(words))
    });
    assert!(warned, "{}", on.stdout);
    Ok(())
}

fn events(stdout: &str) -> Result<Vec<Value>> {
    let lines = stdout.lines().map(serde_json::from_str);
    Ok(lines.collect::<std::result::Result<_, _>>()?)
}

#[test]
fn an_error_before_a_run_is_an_event_once() -> Result<()> {
    let home = home()?;
    let home = home.path();
    fs::write(home.join("bad.toml"), "blocks = 3\n")?;
    fs::write(home.join("held"), "a file")?;
    let cases: [(&[&str], i64); 7] = [
        (&["n.toml", "--set", "training.mood=1"], 2),
        (&["n.toml", "--set", "blocks.hidden.rule=sofhebb"], 4),
        (
            &[
                "n.toml",
                "--set",
                "data=mnist",
                "--set",
                "data.root=nowhere",
            ],
            3,
        ),
        (&["n.toml", "--run-dir", "held/r"], 7),
        (&["n.toml", "--set", "blocks.hidden.out=1000000000"], 2),
        (&["--each", "bad.toml", "n.toml"], 2),
        (&["n.toml", "--no-such-flag"], 2),
    ];
    for (arguments, code) in cases {
        let all = [&["train", "--events", "jsonl"], arguments].concat();
        let ran = call(home, &all);
        assert_eq!(
            ran.code.map(i64::from),
            Some(code),
            "{arguments:?}: {}",
            ran.stderr
        );
        let errors: Vec<Value> = events(&ran.stdout)?
            .into_iter()
            .filter(|event| event["event"] == "error")
            .collect();
        assert_eq!(errors.len(), 1, "{arguments:?}: {}", ran.stdout);
        assert_eq!(errors[0]["code"], code, "{arguments:?}");
        let text = errors[0]["text"].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{arguments:?}");
        assert!(errors[0]["time"].is_number(), "{arguments:?}");
    }
    // An error of a run comes from the run alone.
    let arguments = [
        "--events",
        "jsonl",
        "--set",
        "training.gradient.optimizer.lr=1e30",
    ];
    let ran = train(home, &arguments);
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    let errors = events(&ran.stdout)?;
    let errors = errors.iter().filter(|event| event["event"] == "error");
    assert_eq!(errors.count(), 1, "{}", ran.stdout);
    Ok(())
}

#[test]
fn what_nothing_reads_is_warned_about() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let mut untold = Vec::new();
    let rule = "rule={name=\"krotov\",delta=0.3}";
    let cases: [(&[&str], &str); 15] = [
        (&[rule], "`rule` (from `--set rule`) has no effect"),
        (
            &["extra_data.more={set=\"digits\"}"],
            "has no effect: no phase has `data = \"more\"`",
        ),
        (
            &["extra_data.more=\"digits\""],
            "has no effect: no phase has `data = \"more\"`",
        ),
        (
            &["data.limit_train=5000"],
            "`data.limit_train` is 5000, and `digits` has 1297",
        ),
        (
            &["data.limit_test=501"],
            "`data.limit_test` is 501, and `digits` has 500",
        ),
        (
            &["training.gradient.optimizer.lr=0"],
            "the rate of the optimiser is 0 in every batch",
        ),
        (
            &["training.gradient.schedule=\"0*b\""],
            "the rate of the optimiser is 0 in every batch",
        ),
        (
            &["training.local.local_rate=0"],
            "local_rate` is 0 in every batch",
        ),
        (
            &["training.local.local_rate=\"max(0, -b)\""],
            "local_rate` is 0 in every batch",
        ),
        (&["blocks.hidden.rule.lr=0"], "`blocks.hidden.rule.lr` is 0"),
        (
            &["blocks.hidden.rule={name=\"softhebb\",speed=3}"],
            "`blocks.hidden.rule.speed` (from `--set blocks.hidden.rule`) has no effect: `softhebb`",
        ),
        (
            &["blocks.hidden.rule={name=\"softhebb\",competition=\"hard\",t_invert=3}"],
            "`blocks.hidden.rule.t_invert` (from `--set blocks.hidden.rule`) has no effect",
        ),
        (
            &["blocks.readout.rule={name=\"backprop\",scale_w=2}"],
            "`blocks.readout.rule.scale_w` (from `--set blocks.readout.rule`) has no effect",
        ),
        (
            &["blocks.hidden.rule={name=\"krotov\",bias_output=\"powered\"}"],
            "`blocks.hidden.rule.bias_output` (from `--set blocks.hidden.rule`) has no effect",
        ),
        (
            &[
                "data={set=\"sine\"}",
                "data.stratify=true",
                "data.limit_train=20",
                "training.gradient.loss=\"mse\"",
                "blocks.readout.out=1",
            ],
            "`data.stratify` has no effect",
        ),
    ];
    for (sets, words) in cases {
        let ran = looked_at(home, sets);
        assert_eq!(ran.code, Some(0), "{sets:?}: {}", ran.stderr);
        let told = ran
            .stderr
            .lines()
            .any(|l| l.starts_with("warning: ") && l.contains(words));
        if !told {
            untold.push(format!("{sets:?}: no `{words}` in {}", ran.stderr));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    // Wishes that act are not talked about.
    for sets in [
        &["data.limit_train=1297", "data.limit_test=500"][..],
        &["data.stratify=true"],
        &["training.local.local_rate=\"0.1/(1+b)\""],
        &["blocks.hidden.rule={name=\"softhebb\",rate=\"exp\",speed=3}"],
        &["blocks.hidden.rule={name=\"softhebb\",speed=7}"],
        &["blocks.readout.rule={name=\"backprop\",init=\"uniform\",scale_w=2}"],
        &["training.gradient.schedule=\"max(0, 1-epoch)\""],
    ] {
        let ran = looked_at(home, sets);
        assert_eq!(ran.code, Some(0), "{sets:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{sets:?}: {}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_rule_for_all_is_read_by_layers_in_graphs() -> Result<()> {
    let home = tempfile::tempdir()?;
    let text = r#"
rule = { name = "backprop" }
[[blocks]]
name = "g"
flatten = true
[[blocks.graph]]
name = "a"
[[blocks.graph.from]]
source = "input"
blocks = [{ name = "inner", layer = "dense", out = 8 }]
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
"#;
    fs::write(home.path().join("n.toml"), text)?;
    let ran = looked_at(home.path(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("no effect"), "{}", ran.stderr);
    Ok(())
}

#[test]
fn variables_and_flags_that_do_nothing_are_told() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let with = |name: &str, value: &str| {
        let run = Run::new(["rules", "list"]).dir(home);
        run.env(name, value).finish().stderr
    };
    for (name, value, words) in [
        (
            "BIORULE_PLUGINS",
            "/nowhere",
            "did you mean `BIORULE_PLUGIN_PATH`?",
        ),
        ("BIORULE_LOG", "debug", "did you mean `RUST_LOG`?"),
        ("BIORULE_PLUGIN_PATH", "/nowhere", "`/nowhere`"),
        ("RUST_LOG", "biorule=loud", "cannot be read"),
        ("RUST_LOG", "biorul=debug", "did you mean `biorule`?"),
    ] {
        let stderr = with(name, value);
        assert!(stderr.contains(words), "{name}={value}: {stderr}");
    }
    assert_eq!(with("RUST_LOG", "biorule=warn"), "");
    ends(&train(home, &["--run-dir", "r"]), 0, &[]);
    let file = "r/checkpoints/last.safetensors";
    let ran = call(home, &["eval", file, "--best"]);
    ends(&ran, 0, &["warning: `--best` has no effect"]);
    Ok(())
}

/// Files in the layout of MNIST: headers that promise what cannot be.
#[test]
fn absurd_headers_are_faults_of_the_data() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let idx = |magic: u32, sizes: &[u32], bytes: usize| {
        let mut file = magic.to_be_bytes().to_vec();
        sizes
            .iter()
            .for_each(|size| file.extend(size.to_be_bytes()));
        file.extend((0..bytes).map(|i| (i % 2) as u8));
        file
    };
    let labels = |n: u32| idx(0x801, &[n], n as usize);
    let good = idx(0x803, &[20, 4, 4], 320);
    let cases = [
        (
            "2^31 images",
            idx(0x803, &[1 << 31, 28, 28], 784),
            labels(20),
        ),
        (
            "2^32 - 1 images",
            idx(0x803, &[u32::MAX; 3], 784),
            labels(20),
        ),
        ("no pixels", idx(0x803, &[20, 0, 0], 0), labels(20)),
        ("a side of 0", idx(0x803, &[20, 0, 28], 0), labels(20)),
        ("no images", idx(0x803, &[0, 4, 4], 0), labels(0)),
        ("no labels", good.clone(), labels(0)),
        ("2^32 - 1 labels", good.clone(), idx(0x801, &[u32::MAX], 20)),
        (
            "a wide image",
            idx(0x803, &[1, u32::MAX, 1], 20),
            labels(20),
        ),
    ];
    for (what, images, labels) in cases {
        for set in ["mnist", "idx"] {
            let folder = home.join("files").join("mnist");
            fs::create_dir_all(&folder)?;
            for part in ["train", "t10k"] {
                fs::write(folder.join(format!("{part}-images-idx3-ubyte")), &images)?;
                fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), &labels)?;
            }
            let root = match set {
                "idx" => "files/mnist",
                _ => "files",
            };
            let data = format!("data={{set=\"{set}\",root=\"{root}\"}}");
            for mode in [&["--dry-run"][..], &["--run-dir", "r"]] {
                let ran = train(home, &[mode, &["--set", &data]].concat());
                ends(&ran, 3, &["-ubyte` is damaged"]);
                assert!(!home.join("r/run.json").exists(), "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn names_and_values_in_messages_are_the_programs_own() -> Result<()> {
    let home = home()?;
    let home = home.path();
    ends(&train(home, &["--run-dir", "runs/r"]), 0, &[]);
    let compare = |name: &str| call(home, &["runs", "compare", "runs", "--result", name]);
    ends(&compare("test/accuracy"), 0, &[]);
    ends(
        &compare("test/acuracy"),
        2,
        &["test/acuracy", "did you mean `test/accuracy`?"],
    );
    // Alone it has no network, and is told which preset lacks one.
    let preset = "softhebb/local/CIFAR10_zca";
    let ran = call(home, &["train", "--preset", preset, "--dry-run"]);
    ends(&ran, 2, &[preset, "without a network", "--preset"]);
    for (set, words) in [
        (
            "data.classes=[1.5]",
            "`data.classes` has the number `1.5` in it",
        ),
        ("data.classes=[{}]", "`data.classes` has a table in it"),
        ("data.classes=3", "`data.classes` is the number `3`"),
        ("data.mean=[\"a\"]", "`data.mean` has the text `a` in it"),
    ] {
        ends(&looked_at(home, &[set]), 2, &[words, "from `--set"]);
    }
    for (option, words) in [
        (
            "stratify=3",
            "`data.options.stratify` is `3`, expected `true` or `false`",
        ),
        (
            "num_classes=-1",
            "`data.options.num_classes` is `-1`, expected a number of classes",
        ),
        ("broken=\"no\"", "expected `stop` or `skip`"),
    ] {
        let set = format!("data={{set=\"folder\",root=\".\",options={{{option}}}}}");
        let ran = looked_at(home, &[&set]);
        ends(&ran, 2, &[words]);
        for foreign in ["invalid type", "invalid value", "untagged", "variant"] {
            assert!(!ran.stderr.contains(foreign), "{}", ran.stderr);
        }
    }
    Ok(())
}

#[test]
fn a_rule_is_checked_by_its_name() -> Result<()> {
    let home = home()?;
    let ran = call(home.path(), &["rules", "check", "hebbian/oja"]);
    ends(&ran, 0, &[]);
    assert!(ran.stdout.contains("hebbian/oja"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hebbian/bionas"), "{}", ran.stdout);
    let ran = call(home.path(), &["rules", "check", "krotow"]);
    ends(
        &ran,
        2,
        &["neither a file nor the name of a rule", "`krotov`"],
    );
    Ok(())
}

/// Under limits from far too little to enough, a training ends with a promised code: never by an
/// abort.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_runs_out_is_never_an_abort() -> Result<()> {
    let home = home()?;
    let binary = Run::new([""; 0]).command();
    let mut codes = Vec::new();
    for mebibytes in (150..1500).step_by(75) {
        let ran = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -v {}; exec \"$0\" \"$@\"",
                mebibytes * 1024
            ))
            .arg(binary.get_program())
            .args(["train", "n.toml", "--threads", "2", "--run-dir"])
            .arg(format!("r{mebibytes}"))
            .args([
                "--set",
                "blocks.hidden.out=20000",
                "--set",
                "training.local.batch=200",
            ])
            .args([
                "--set",
                "blocks.readout.rule={name=\"weight-mirror\",samples=3000}",
            ])
            .args([
                "--set",
                "data.limit_train=400",
                "--set",
                "training.gradient.epochs=1",
            ])
            .current_dir(home.path())
            .output()?;
        let stderr = String::from_utf8_lossy(&ran.stderr);
        let code = ran.status.code();
        assert!(
            matches!(code, Some(0 | 2 | 4 | 7)),
            "{mebibytes} MiB: {:?}: {stderr}",
            ran.status
        );
        if code != Some(0) {
            assert!(stderr.contains("error: "), "{mebibytes} MiB: {stderr}");
        }
        codes.push(code);
    }
    assert!(codes.contains(&Some(2)), "{codes:?}");
    Ok(())
}
