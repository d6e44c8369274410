//! `biorule import`: what other projects' files and flags say is what our own configurations of the same
//! experiments say, and what has no counterpart is refused or noted.

use std::collections::BTreeMap;
use std::path::Path;

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::{Result, repository};
use serde_json::Value;

fn import(home: &Path, words: &[&str]) -> Ran {
    Run::new([&["import"], words].concat()).dir(home).finish()
}

/// Every setting of a configuration but its name and where its runs go.
fn settings(home: &Path, words: &[&str]) -> Result<BTreeMap<String, Value>> {
    let fixed = ["config", "show", "--json", "--offline"];
    let text = Run::new([&fixed, words].concat()).dir(home).stdout();
    let shown: Value = serde_json::from_str(&text)?;
    let rows = shown["settings"].as_array().ok_or("no settings")?;
    let row = |row: &Value| Some((row["path"].as_str()?.to_owned(), row["value"].clone()));
    let mut all: BTreeMap<String, Value> = rows.iter().filter_map(row).collect();
    all.retain(|path, _| {
        path != "name" && !path.starts_with("output.") && !path.starts_with("experiment.")
    });
    Ok(all)
}

/// Imports with `words`, and asserts that every setting is that of `ours` but for `differ`.
fn same(home: &Path, words: &[&str], ours: &[&str], differ: &[&str]) -> Result<Ran> {
    let ran = import(home, words);
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
    std::fs::write(home.join("imported.toml"), &ran.stdout)?;
    let [mut a, mut b] = [settings(home, &["imported.toml"])?, settings(home, ours)?];
    for path in differ {
        a.remove(*path);
        b.remove(*path);
    }
    for (path, value) in &b {
        assert_eq!(
            a.get(path),
            Some(value),
            "{words:?}: `{path}` in\n{}",
            ran.stdout
        );
    }
    let more: Vec<&String> = a.keys().filter(|path| !b.contains_key(*path)).collect();
    assert!(more.is_empty(), "{words:?}: {more:?} in\n{}", ran.stdout);
    // A configuration that asks for nothing that nobody reads.
    let dry = Run::new(["config", "show", "imported.toml"])
        .dir(home)
        .finish();
    assert!(!dry.stderr.contains("has no effect"), "{}", dry.stderr);
    Ok(ran)
}

/// A file in the format of SoftHebb's, with the networks that the tests name.
const PRESETS: &str = r#"{
  "model": {
    "3SoftHebbCnnCIFAR": {
      "b0": {"arch": "CNN", "preset": "softkrotov-c96-k5-p2-s1-d1-b0-t1-lr0.08-lp0.5-e0", "operation": "batchnorm2d",
             "num": 0, "batch_norm": false, "pool": "avg_4_2_1", "activation": "triangle_0.7", "resume": null},
      "b1": {"arch": "CNN", "preset": "softkrotov-c384-k3-p1-s1-d1-b0-t0.65-lr0.005-lp0.5-e1", "operation": "batchnorm2d",
             "num": 1, "batch_norm": false, "pool": "max_4_2_1", "activation": "triangle_1.4", "resume": null},
      "b2": {"arch": "MLP", "preset": "BP-c10", "operation": "flatten", "num": 2, "att_dropout": null, "dropout": 0.5}
    },
    "2SoftMlpMNIST_linearDecay": {
      "b0": {"arch": "MLP", "preset": "soft-c2000-t12-lr0.045-r35-v0", "operation": "flatten",
             "activation": "softmax_5", "num": 0, "batch_norm": false},
      "b1": {"arch": "MLP", "operation": "", "preset": "BP-c10", "dropout": 0, "num": 1}
    },
    "odd": {
      "b0": {"arch": "CNN", "preset": "hardkrotov-c8-k3-a1.5-lr0.1-lp0.5", "operation": "batchnorm2d", "num": 0,
             "batch_norm": true, "pool": "max_2_2_0", "activation": "sigmoid_3", "colour": 1,
             "layer": {"ranking_param": 2, "nb_train": 4}},
      "b1": {"arch": "MLP", "preset": "BP-c10-r2-t1-ls0.01", "operation": "flatten+batchnorm1d", "num": 1, "dropout": 1}
    },
    "wrong": {"b0": {"arch": "CNN", "preset": "softkrotv-c8-k3", "num": 0}},
    "token": {"b0": {"arch": "CNN", "preset": "soft-c8-k3-z7", "num": 0}},
    "twice": {"b0": {"arch": "CNN", "preset": "soft-c8-k3", "num": 0, "activation": "triangle_0_7"}},
    "attend": {"b0": {"arch": "CNN", "preset": "soft-c8-k3", "num": 0, "att_dropout": 0.5}}
  },
  "layer": {
    "MLP": {"default": {"arch": "MLP", "lr": 0.05, "adaptive": true, "lr_sup": 0.001, "lebesgue_p": 2, "t_invert": 10,
            "ranking_param": 3, "delta": 0.1, "add_bias": false, "lr_decay": "linear", "softness": "soft",
            "soft_activation_fn": "exp", "radius": 10, "power_lr": 0.2}},
    "CNN": {"default": {"arch": "CNN", "nb_train": null, "lr": 0.009, "adaptive": true, "lr_sup": 0.001, "lebesgue_p": 2,
            "padding_mode": "reflect", "pre_triangle": false, "ranking_param": 3, "delta": 2, "t_invert": 96, "groups": 1,
            "stride": 1, "dilation": 1, "padding": 0, "radius": 25, "power_lr": 0.75, "soft_activation_fn": "exp",
            "add_bias": false, "lr_decay": "linear"}}
  },
  "dataset": {
    "default": {"name": "MNIST", "noise_std": 0, "channels": 1, "validation_split": 0.2, "training_sample": 60000,
                "out_channels": 10, "num_workers": 0, "seed": 0, "shuffle": true, "batch_size": 64,
                "augmentation": false, "zca_whitened": false, "training_class": "all"},
    "MNIST": {"default": {"name": "MNIST", "nb_epoch": 100, "print_freq": 50}, "1-32": {"nb_epoch": 1, "print_freq": 1, "batch_size": 32},
              "10": {"nb_epoch": 10, "print_freq": 5, "batch_size": 32}},
    "CIFAR10": {"default": {"name": "CIFAR10", "split": "train", "training_sample": 50000, "nb_epoch": 50, "print_freq": 10, "batch_size": 64},
                "50": {"nb_epoch": 50}, "1": {"nb_epoch": 1, "batch_size": 10}, "1c": {"training_class": [8]}},
    "STL10": {"default": {"name": "STL10", "split": "train", "width": 96, "height": 96, "training_sample": 5000, "nb_epoch": 100, "print_freq": 25, "batch_size": 64},
              "100aug": {"nb_epoch": 100, "print_freq": 10, "augmentation": true},
              "unlabel": {"split": "unlabeled", "nb_epoch": 1, "batch_size": 32, "training_sample": 100000}},
    "ImageNette": {"default": {"name": "ImageNette", "px": 160, "width": 160, "height": 160, "training_sample": 9469, "nb_epoch": 100, "print_freq": 10, "batch_size": 100},
              "200aug": {"nb_epoch": 200, "print_freq": 50, "batch_size": 32, "augmentation": true}, "1": {"nb_epoch": 1, "batch_size": 10}}
  }
}"#;

#[test]
fn softhebb_presets_become_ours() -> Result<()> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("presets.json"), PRESETS)?;
    let call = |name, unsup, sup| {
        [
            "softhebb",
            "presets.json",
            name,
            "--dataset-unsup",
            unsup,
            "--dataset-sup",
            sup,
        ]
    };
    let three = "3SoftHebbCnnCIFAR";
    same(
        home.path(),
        &call(three, "CIFAR10_1", "CIFAR10_50"),
        &["--preset", "softhebb/3SoftHebbCnnCIFAR"],
        &[],
    )?;
    let stl = [
        "softhebb/3SoftHebbCnnCIFAR",
        "softhebb/gradient/STL10_100aug",
        "softhebb/local/STL10_unlabel",
    ];
    let stl: Vec<&str> = stl.iter().flat_map(|p| ["--preset", p]).collect();
    same(
        home.path(),
        &call(three, "STL10_unlabel", "STL10_100aug"),
        &stl,
        &[],
    )?;
    let nette = [
        "softhebb/3SoftHebbCnnCIFAR",
        "softhebb/gradient/ImageNette_200aug",
        "softhebb/local/ImageNette_1",
    ];
    let nette: Vec<&str> = nette.iter().flat_map(|p| ["--preset", p]).collect();
    same(
        home.path(),
        &call(three, "ImageNette_1", "ImageNette_200aug"),
        &nette,
        &["data.resize"],
    )?;
    let mlp = [
        "softhebb/2SoftMlpMNIST_linearDecay",
        "softhebb/local/MNIST_1-32",
        "softhebb/gradient/MNIST_10",
    ];
    let mlp: Vec<&str> = mlp.iter().flat_map(|p| ["--preset", p]).collect();
    same(
        home.path(),
        &call("2SoftMlpMNIST_linearDecay", "MNIST_1-32", "MNIST_10"),
        &mlp,
        &[],
    )?;
    // The read-out alone, behind random layers.
    let random = [
        &call(three, "CIFAR10_1", "CIFAR10_50")[..],
        &["--training-mode", "consecutive", "--training-blocks", "2"],
    ]
    .concat();
    let file = repository().join("configs/reproduce/softhebb/cifar10-2-random.toml");
    let ours = [file.to_str().ok_or("a path")?];
    let ran = import(home.path(), &random);
    std::fs::write(home.path().join("random.toml"), &ran.stdout)?;
    let [a, b] = [
        settings(home.path(), &["random.toml"])?,
        settings(home.path(), &ours)?,
    ];
    let one = |all: &BTreeMap<String, Value>, end: &str| {
        all.iter()
            .filter(|(p, _)| p.starts_with("phases."))
            .find(|(p, _)| p.ends_with(end))
            .map(|(_, v)| v.clone())
    };
    for end in [
        ".blocks",
        ".epochs",
        ".batch",
        ".schedule.kind",
        ".optimizer.lr",
        ".drive",
    ] {
        assert_eq!(one(&a, end), one(&b, end), "{end}");
    }
    Ok(())
}

#[test]
fn what_softhebb_ignores_is_noted_or_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("presets.json"), PRESETS)?;
    let cifar = [
        "--dataset-unsup",
        "CIFAR10_1c",
        "--dataset-sup",
        "CIFAR10_50",
    ];
    let ran = import(
        home.path(),
        &[
            &["softhebb", "presets.json", "odd"],
            &cifar[..],
            &["--validation", "--seed", "7"],
        ]
        .concat(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in [
        "competition = \"hard-krotov\"",
        "delta = 1.5, ranking_param = 2",
        "nb_train = 4",
        "norm_after = \"batch\"",
        "\"sigmoid(10.0)\"",
        "flatten = true",
        "classes = [8]",
        "seeds = [7]",
        "validation = 0.2",
        "lr = 0.01 }",
    ] {
        assert!(ran.stdout.contains(part), "`{part}` in\n{}", ran.stdout);
    }
    for part in [
        "`b0.colour`",
        "gain of the sigmoid of `b0` is 10",
        "`r2`, `t1` of `b1`",
        "`b1.dropout` is the whole number 1",
    ] {
        assert!(ran.stderr.contains(part), "`{part}` in\n{}", ran.stderr);
        assert!(ran.stdout.contains(part), "`{part}` in\n{}", ran.stdout);
    }
    for (name, told) in [
        ("wrong", "did you mean `softkrotov`?"),
        ("token", "`z7`"),
        ("twice", "triangle_0_7"),
        ("attend", "att_dropout"),
        ("3SoftHebbCnnCIFR", "did you mean `3SoftHebbCnnCIFAR`?"),
    ] {
        let ran = import(home.path(), &["softhebb", "presets.json", name]);
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stdout);
        assert!(ran.stderr.contains(told), "{name}: {}", ran.stderr);
    }
    let ran = import(
        home.path(),
        &[
            "softhebb",
            "presets.json",
            "odd",
            "--dataset-sup",
            "CIFAR10_51",
        ],
    );
    assert!(
        ran.code == Some(2) && ran.stderr.contains("CIFAR10"),
        "{}",
        ran.stderr
    );
    Ok(())
}

/// A file of BioTorch's benchmark.
const BENCHMARK: &str = r#"# Experiment Information
experiment:
  name: "fa_adam"
  output_dir: "trained_models/cifar10/"
  seed: 0
  deterministic: true

data:
  dataset: "cifar10_benchmark"
  dataset_path: null
  target_size: 32

model:
  architecture: "le_net_cifar"
  mode:
    type: "fa"
    options:
      constrain_weights: false
      init: "xavier"
      gradient_clip: false
  pretrained: false
  # checkpoint:
  loss_function:
    name: "cross_entropy"

training:
  hyperparameters:
    epochs: 250
    batch_size: 128
  optimizer:
    type: "Adam"
    lr: 0.0001
    weight_decay: 0.0001
    momentum: 0.9
    betas: [0.9, 0.999]
  lr_scheduler:
    type: "multistep_lr"
    gamma: 0.1
    milestones: [100, 150, 200]
  metrics:
    top_k: 5
    display_iterations: 500
    layer_alignment: true
    weight_ratio: true

infrastructure:
  gpus: -1

evaluation: true
"#;

#[test]
fn biotorch_files_become_the_rows_of_its_table() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("fa.yaml");
    std::fs::write(&file, BENCHMARK)?;
    let row = repository().join("configs/reproduce/biotorch/cifar10-lenet-adam/fa.toml");
    let row = [row.to_str().ok_or("a path")?];
    // The rule says its initial weights, which are the default there; the device is the file's.
    let rules = [
        "blocks.conv1",
        "blocks.conv2",
        "blocks.conv3",
        "blocks.fc1",
        "blocks.fc2",
    ];
    let init: Vec<String> = rules
        .iter()
        .map(|block| format!("{block}.rule.init"))
        .collect();
    let differ: Vec<&str> = init.iter().map(String::as_str).chain(["device"]).collect();
    let ran = same(home.path(), &["biotorch", "fa.yaml"], &row, &differ)?;
    for part in [
        "device = \"cpu\"",
        "runs = \"trained_models/cifar10\"",
        "log_every = 500",
        "alignment_every = 1",
    ] {
        assert!(ran.stdout.contains(part), "`{part}` in\n{}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("`top_k`") && ran.stderr.contains("--best"),
        "{}",
        ran.stderr
    );
    let change = |from: &str, to: &str| -> Result<Ran> {
        assert!(BENCHMARK.contains(from), "{from}");
        std::fs::write(&file, BENCHMARK.replace(from, to))?;
        Ok(import(home.path(), &["biotorch", "fa.yaml"]))
    };
    for (from, to, part) in [
        (
            "gradient_clip: false",
            "gradient_clip: true",
            "gradient_clip = 1.0",
        ),
        (
            "constrain_weights: false",
            "constrain_weights: true",
            "constrain_weights = true",
        ),
        ("init: \"xavier\"", "init: \"torch\"", "init = \"kaiming\""),
        (
            "type: \"Adam\"",
            "type: \"SGD\"",
            "kind = \"sgd\", lr = 0.0001, momentum = 0.9",
        ),
        (
            "\"cifar10_benchmark\"",
            "\"cifar100\"",
            "set = \"cifar100\"",
        ),
        ("gpus: -1", "gpus: [1, 2]", "device = \"cuda:1\""),
        ("gpus: -1", "gpus: 0", "device = \"auto\""),
    ] {
        let ran = change(from, to)?;
        assert_eq!(ran.code, Some(0), "{to}: {}", ran.stderr);
        assert!(ran.stdout.contains(part), "`{part}` in\n{}", ran.stdout);
    }
    for (from, to, part) in [
        ("type: \"fa\"", "type: \"kp\"", "`fa`, `usf`"),
        ("le_net_cifar", "densenet121", "no preset here"),
        ("pretrained: false", "pretrained: true", "init_from"),
        ("type: \"Adam\"", "type: \"RMSProp\"", "RMSProp"),
        (
            "  top_k: 5",
            "  top_k: 5\n    layer_alignmnt: true",
            "did you mean `layer_alignment`?",
        ),
        ("epochs: 250", "epochs: many", "expected a whole number"),
        ("training:", "trainin:", "only evaluates"),
        ("    lr: 0.0001", "\tlr: 0.0001", "line 32"),
    ] {
        let ran = change(from, to)?;
        assert_eq!(ran.code, Some(2), "{to}: {}", ran.stdout);
        assert!(ran.stderr.contains(part), "`{part}` in\n{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn flags_of_bioflax_and_biopytorch_become_their_rows() -> Result<()> {
    let home = tempfile::tempdir()?;
    let of = |name: &str| {
        repository()
            .join(format!("configs/reproduce/{name}.toml"))
            .display()
            .to_string()
    };
    for (flags, row) in [
        (&["--mode", "kp", "--epochs", "3"][..], "bioflax/kp"),
        (
            &["--mode", "kp", "--weight_decay", "0.001", "--epochs=3"],
            "bioflax/kp-decay",
        ),
        (
            &[
                "--mode=dfa",
                "--activations",
                "sigmoid",
                "sigmoid",
                "--epochs",
                "3",
            ],
            "bioflax/dfa-sigmoid",
        ),
    ] {
        let words = [&["bioflax"], flags].concat();
        let differ = match row {
            // The documented decay has the other sign there.
            "bioflax/kp-decay" => vec!["phases.train.optimizer.decoupled_decay"],
            _ => vec![],
        };
        same(home.path(), &words, &[&of(row)], &differ)?;
    }
    let sine = [
        "bioflax",
        "--dataset",
        "sinreg",
        "--mode",
        "fa",
        "--hidden_layers",
        "100",
        "100",
    ];
    let ran = same(
        home.path(),
        &sine,
        &[&of("bioflax/sine-fa")],
        &["seeds", "data.options.train", "data.options.test"],
    )?;
    assert!(
        ran.stdout.contains("train = 1600, test = 320"),
        "{}",
        ran.stdout
    );
    for (flags, told) in [
        (&["--mod", "fa"][..], "did you mean `--mode`?"),
        (&["--mode", "dpf"], "`--mode`"),
        (&["--hidden_layers", "10", "10", "10"], "one for each layer"),
        (&["--activations", "relu", "gelu"], "gelu"),
        (&["--dataset", "sinreg", "--seq_len", "3"], "--seq_len 3"),
        (&["--epochs", "five"], "a whole number"),
    ] {
        let ran = import(home.path(), &[&["bioflax"], flags].concat());
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(told), "{flags:?}: {}", ran.stderr);
    }
    let ran = import(
        home.path(),
        &[
            "bioflax",
            "--use_wandb",
            "yes",
            "--n",
            "7",
            "--weight_decay",
            "0.001",
            "--mode",
            "fa",
        ],
    );
    for part in [
        "`--use_wandb`",
        "`--n`",
        "decoupled_decay = -0.001",
        "fixed feedback weights decay too",
    ] {
        assert!(ran.stderr.contains(part), "`{part}` in\n{}", ran.stderr);
    }
    for (flags, row) in [
        (&["--layers", "3"][..], "layers3"),
        (
            &["--layers", "2", "--train_type", "all_at_once"],
            "layers2-together",
        ),
        (&["--layers", "5", "--random"], "layers5-random"),
        (
            &[
                "--layers",
                "1",
                "--k",
                "7",
                "--Delta",
                "0.055",
                "--dropout",
                "0.15",
                "--p",
                "2",
            ],
            "layers1-final",
        ),
    ] {
        let words = [&["biopytorch"], flags].concat();
        same(
            home.path(),
            &words,
            &[&of(&format!("biopytorch/{row}"))],
            &[],
        )?;
    }
    let ran = import(
        home.path(),
        &[
            "biopytorch",
            "--layers",
            "4",
            "--data_augment",
            "--batch_size",
            "32",
            "20",
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("[phases.conv4]\nbatch = 32\naugment = true")
            && ran.stderr.contains("`20`"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        import(home.path(), &["biopytorch", "--layers", "6"]).code,
        Some(2)
    );
    Ok(())
}
