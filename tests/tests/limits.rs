//! What can be known before training is found before the first step, by `--dry-run` too, through
//! the real binary: sizes beyond the machine, phases without a batch, batches of one, losses
//! that do not fit the answers, damaged data.

use std::path::Path;

use biorule::config::{self, LayerPlan, MapPlan, ParamValue, Sources};
use biorule::nn::build::Placement;
use biorule::nn::rule::{LayerShape, RuleSource as _};
use biorule::nn::{InputShape, Network, Outline};
use biorule_tests::network::{conv, layer};
use biorule_tests::plugins::{Ran, Run, registry};
use biorule_tests::{Result, repository};
use candle_core::{DType, Device};

/// Local and gradient phases on the embedded digits: 1297 to learn from, 500 to test.
const SOFT: &str = r#"
name = "soft"
data = "digits"
device = "cpu"
[[blocks]]
name = "features"
norm = "batch"
layer = "conv"
kernel = 3
padding = "same"
out = 4
rule = { name = "softhebb", lr = 0.08 }
activation = "triangle(0.7)"
pool = "max 2/2/0"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training]
mode = "successive"
[training.gradient]
epochs = 1
"#;

/// Krotov's rule, which normalises by batch, on dense features.
const KROTOV: &str = r#"
name = "krotov"
data = { set = "digits", limit_train = 65, limit_test = 20 }
device = "cpu"
[[blocks]]
name = "features"
layer = "dense"
out = 8
rule = "krotov"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.local]
batch = 16
[training.gradient]
epochs = 1
"#;

/// Dense features under a normalisation, trained by the error.
const NORM: &str = r#"
name = "norm"
data = { set = "digits", limit_train = 65, limit_test = 20 }
device = "cpu"
[[blocks]]
name = "hidden"
layer = "dense"
out = 8
rule = "backprop"
norm_inner = "batch"
activation = "relu"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 1
batch = 16
"#;

/// `train` of `config` with these `--set` flags.
fn train(config: &str, dir: &Path, sets: &[&str], more: &[&str]) -> Result<Ran> {
    std::fs::write(dir.join("config.toml"), config)?;
    Ok(Run::new(["train", "config.toml", "--quiet"])
        .dir(dir)
        .arguments(more)
        .sets(sets)
        .finish())
}

/// The plan is refused with `code` and all of `words`, by `--dry-run` and by a run, of which
/// nothing is left.
fn refused(config: &str, sets: &[&str], code: i32, words: &[&str]) -> Result<()> {
    let home = tempfile::tempdir()?;
    for more in [&["--dry-run"][..], &["--run-dir", "run"]] {
        let ran = train(config, home.path(), sets, more)?;
        let said = &ran.stderr;
        assert_eq!(ran.code, Some(code), "{sets:?} {more:?}: {said}");
        for word in words {
            assert!(
                said.contains(word),
                "{sets:?} {more:?}: no `{word}` in {said}"
            );
        }
        assert!(
            !home.path().join("run").exists(),
            "{sets:?}: a folder is left"
        );
    }
    Ok(())
}

/// The plan passes `--dry-run` and trains to the end.
fn trained(config: &str, sets: &[&str]) -> Result<()> {
    let home = tempfile::tempdir()?;
    for more in [&["--dry-run"][..], &["--run-dir", "run"]] {
        let ran = train(config, home.path(), sets, more)?;
        assert_eq!(ran.code, Some(0), "{sets:?} {more:?}: {}", ran.stderr);
    }
    Ok(())
}

#[test]
fn sizes_beyond_any_machine_name_the_block_and_the_memory() -> Result<()> {
    for (set, block) in [
        ("blocks.features.out=1000000000000", "`features`"),
        ("blocks.features.out=2000000000000000000", "`features`"),
        ("blocks.features.out=9223372036854775807", "`features`"),
        ("blocks.features.kernel=4294967296", "`features`"),
        (
            "blocks.features.dilation=9000000000000000000",
            "`blocks.features",
        ),
        ("blocks.features.stride=9223372036854775807", "`features`"),
        ("blocks.readout.out=1000000000000", "`readout`"),
    ] {
        let home = tempfile::tempdir()?;
        let ran = train(SOFT, home.path(), &[set], &["--dry-run"])?;
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(ran.stderr.contains(block), "{set}: {}", ran.stderr);
    }
    refused(
        SOFT,
        &["blocks.features.padding=9000000000000000000"],
        2,
        &["block `features`", "EiB of memory"],
    )?;
    refused(
        SOFT,
        &["blocks.features.out=100000000000"],
        2,
        &[
            "block `features`",
            "of state, most of it `weight`",
            "and there is",
            "hint: ",
        ],
    )
}

#[test]
fn a_loader_and_data_beyond_any_machine_are_refused() -> Result<()> {
    for set in [
        "data.prefetch=1000000000000",
        "data.prefetch=9223372036854775807",
        "data.threads=9223372036854775807",
    ] {
        refused(SOFT, &[set], 2, &["of memory, there is", "`data.prefetch`"])?;
    }
    refused(
        SOFT,
        &["data.augment.crop=9223372036854775807"],
        2,
        &["`data.augment.crop`"],
    )?;
    refused(
        SOFT,
        &["data.resize=[4294967296,4294967296]"],
        2,
        &["`data.resize`"],
    )?;
    for set in ["bars", "gabor", "teacher", "sine"] {
        for samples in ["1000000000000", "9223372036854775807"] {
            let name = format!("data.set={set}");
            let train = format!("data.options.train={samples}");
            refused(
                SOFT,
                &[&name, &train],
                2,
                &["`data.options.train`", samples],
            )?;
        }
    }
    let inputs = "data.options.inputs=9223372036854775807";
    refused(SOFT, &["data.set=teacher", inputs], 2, &["of memory"])
}

#[test]
fn pooling_windows_have_a_limit_that_is_told() -> Result<()> {
    let sets = [
        "data.resize=[300,300]",
        "data.limit_train=20",
        "data.limit_test=20",
        "blocks.features.pool=avg global",
    ];
    refused(SOFT, &sets, 2, &["block `features`", "90000 pixels"])
}

#[test]
fn every_phase_has_a_batch() -> Result<()> {
    let sets = [
        "training.gradient.batch=5000",
        "training.gradient.drop_last=true",
    ];
    let words = ["`phases.readout`", "1297 samples", "5000", "drop_last"];
    refused(SOFT, &sets, 2, &words)?;
    let sets = ["training.local.batch=1298", "training.local.drop_last=true"];
    refused(SOFT, &sets, 2, &["`phases.features`", "1297", "1298"])?;
    // Without `drop_last` one batch holds all.
    trained(SOFT, &["training.gradient.batch=9223372036854775807"])
}

#[test]
fn a_last_batch_of_one_is_refused_where_it_has_no_variance() -> Result<()> {
    let words = ["65 samples", "of 16", "drop_last = true"];
    let features = [&["`phases.features`", "`krotov`"][..], &words].concat();
    refused(KROTOV, &[], 2, &features)?;
    refused(
        KROTOV,
        &["training.local.batch=1"],
        2,
        &["`krotov`", "batches of 1"],
    )?;
    trained(KROTOV, &["training.local.drop_last=true"])?;
    trained(KROTOV, &["training.local.batch=15"])?;
    trained(KROTOV, &["blocks.features.rule.variant=original"])?;

    let hidden = [
        &["`phases.train`", "normalisation of block `hidden`"][..],
        &words,
    ]
    .concat();
    refused(NORM, &[], 2, &hidden)?;
    refused(NORM, &["data.limit_train=1"], 2, &["1 samples", "`hidden`"])?;
    trained(NORM, &["training.gradient.drop_last=true"])?;
    trained(NORM, &["training.gradient.batch=13"])?;
    // A map has many values in one sample.
    let map = ["data.limit_train=65", "training.local.batch=16"];
    trained(SOFT, &map)
}

#[test]
fn a_baseline_and_one_held_out_sample_are_looked_at_too() -> Result<()> {
    // 27 samples settle in a batch of 25 and one of 2, 26 in one of 25 and one of 1.
    let soft = SOFT.replace(
        "layer = \"conv\"\nkernel = 3\npadding = \"same\"",
        "layer = \"dense\"\nflatten = true",
    );
    let soft = soft
        .replace("pool = \"max 2/2/0\"\n", "")
        .replace("norm = \"batch\"", "norm_inner = \"batch\"");
    let random = "baselines=['random-weights']";
    let batch = "training.local.batch=13";
    trained(
        &soft,
        &[
            random,
            batch,
            "data.limit_train=27",
            "training.local.batch=9",
        ],
    )?;
    refused(
        &soft,
        &[random, batch, "data.limit_train=26"],
        2,
        &[
            "baseline `random-weights`",
            "26 samples",
            "drop_last = true",
        ],
    )?;
    let one = ["data.limit_test=1", "training.gradient.batch=13"];
    trained(NORM, &one)?;
    let aligned = [&one[..], &["output.alignment_every=1"]].concat();
    refused(
        NORM,
        &aligned,
        2,
        &["`output.alignment_every`", "1 samples"],
    )
}

#[test]
fn a_loss_has_to_fit_the_answers() -> Result<()> {
    let hint = "loss = \"mse\"";
    refused(
        NORM,
        &["data={set='sine'}"],
        2,
        &["`phases.train.loss`", "cross-entropy", hint],
    )?;
    trained(
        NORM,
        &[
            "data={set='sine'}",
            "training.gradient.loss=mse",
            "training.gradient.drop_last=true",
        ],
    )?;
    // Phases that learn locally are scored as well.
    let local = SOFT.replace("rule = \"backprop\"", "rule = \"softhebb\"");
    refused(
        &local,
        &["blocks.readout.out=5"],
        2,
        &["gives 5 values", "needs 10", "`phases."],
    )?;
    trained(&local, &[])?;
    let units = ["data={set='sine'}", "blocks.features.layer=dense"];
    let flat = local
        .replace("kernel = 3\npadding = \"same\"\n", "")
        .replace("pool = \"max 2/2/0\"\n", "");
    // They have no loss of their own; on values the squared error is meant.
    trained(&flat, &units)?;
    let wide = [units[0], units[1], "blocks.readout.out=3"];
    refused(&flat, &wide, 2, &["gives 3 values", "needs 1"])
}

/// MNIST's layout with `count` images and `labels` labels.
fn idx(folder: &Path, part: &str, count: usize, labels: usize) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let sizes = |magic: u32, rest: &[u32]| -> Vec<u8> {
        let words = [&[magic], rest].concat();
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    };
    let mut images = sizes(0x803, &[count as u32, 28, 28]);
    images.extend((0..count * 784).map(|i| (i % 251) as u8));
    std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images)?;
    let mut answers = sizes(0x801, &[labels as u32]);
    answers.extend((0..labels).map(|i| (i % 10) as u8));
    Ok(std::fs::write(
        folder.join(format!("{part}-labels-idx1-ubyte")),
        answers,
    )?)
}

#[test]
fn damaged_and_incomplete_files_are_found_at_once() -> Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("mnist");
    let root = format!("data.root={}", home.path().display());
    let sets = ["data.set=mnist", &root];
    let restore = || idx(&folder, "train", 60, 60).and_then(|()| idx(&folder, "t10k", 30, 30));
    restore()?;
    trained(SOFT, &sets)?;
    let images = folder.join("t10k-images-idx3-ubyte");
    std::fs::File::options()
        .write(true)
        .open(&images)?
        .set_len(5000)?;
    refused(SOFT, &sets, 3, &["t10k-images-idx3-ubyte", "damaged"])?;
    std::fs::remove_file(&images)?;
    refused(SOFT, &sets, 3, &["t10k-images-idx3-ubyte"])?;
    restore()?;
    idx(&folder, "train", 60, 59)?;
    refused(SOFT, &sets, 3, &["train-labels-idx1-ubyte"])
}

#[test]
fn a_finished_run_is_told_again_whatever_became_of_its_data() -> Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("mnist");
    idx(&folder, "train", 60, 60)?;
    idx(&folder, "t10k", 30, 30)?;
    let root = format!("data.root={}", home.path().display());
    let sets = ["data.set=mnist", &root];
    for damaged in [false, true] {
        if damaged {
            std::fs::write(folder.join("t10k-labels-idx1-ubyte"), "nothing")?;
        }
        let ran = train(SOFT, home.path(), &sets, &["--run-dir", "run"])?;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_dry_run_says_what_it_looked_at_and_what_the_run_takes() -> Result<()> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("config.toml"), SOFT)?;
    let ran = Run::new(["train", "config.toml", "--dry-run"])
        .dir(home.path())
        .finish();
    for word in ["train 1297", "test 500", "2 layers", "2 phases", "memory"] {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
    for row in [
        "# memory, at least",
        "# data sets",
        "# weights and rule state",
        "# there is",
    ] {
        assert!(ran.stdout.contains(row), "no `{row}` in {}", ran.stdout);
    }
    // What is printed is a configuration still.
    ran.stdout.parse::<toml::Table>()?;
    Ok(())
}

/// The outline, from which memory is reckoned, lists exactly the tensors that are built.
#[test]
fn an_outline_holds_what_the_network_holds() -> Result<()> {
    for name in ["every-rule.toml", "every-rule-dense.toml"] {
        for rule in registry().rules() {
            let sources = Sources {
                files: vec![repository().join("tests/data").join(name)],
                sets: vec![format!("blocks.0.rule={}", rule.name)],
                ..Sources::default()
            };
            let app =
                biorule::app::App::discover(&[biorule_tests::plugins::plugin_folder().into()]);
            let Ok(resolved) = config::resolve(&sources, &app) else {
                continue;
            };
            let blocks = &resolved.plan.blocks;
            let input = InputShape {
                dims: vec![1, 8, 8],
                outputs: 10,
            };
            let place = Placement {
                device: Device::Cpu,
                dtype: DType::F32,
                seed: 0,
            };
            let (Ok(outline), Ok(network)) = (
                Outline::of(blocks, &input, registry(), DType::F32),
                Network::build(blocks, &input, registry(), &place),
            ) else {
                continue;
            };
            let outlined: u128 = outline.parts.iter().map(|p| p.held(|_| true)).sum();
            let built = network.tensors().into_iter();
            let built: usize = built.map(|t| t.tensor.elem_count()).sum();
            assert_eq!(outlined, built as u128, "{name} with {}", rule.name);
        }
    }
    Ok(())
}

#[test]
fn a_rule_says_how_many_samples_it_needs() -> Result<()> {
    let shape = |input: &[usize], output: &[usize]| LayerShape {
        index: 0,
        name: "layer".into(),
        input: input.to_vec(),
        output: output.to_vec(),
        classes: 10,
        first: true,
        last: true,
        normalised: false,
    };
    let dense = shape(&[5], &[4]);
    let map = shape(&[3, 8, 8], &[4, 8, 8]);
    let point = shape(&[3, 1, 1], &[4, 1, 1]);
    let original = ("variant", ParamValue::Text("original".into()));
    let of = |rule: &str, map: MapPlan, params: &[(&str, ParamValue)]| layer(rule, map, 4, params);
    let cases: Vec<(LayerPlan, &LayerShape, usize)> = vec![
        (of("krotov", MapPlan::Dense, &[]), &dense, 2),
        (of("krotov", conv([1, 1]), &[]), &map, 1),
        (of("krotov", conv([1, 1]), &[]), &point, 2),
        (of("krotov", MapPlan::Dense, &[original]), &dense, 1),
        (of("backprop", MapPlan::Dense, &[]), &dense, 1),
        (of("softhebb", MapPlan::Dense, &[]), &dense, 1),
    ];
    for (plan, shape, least) in cases {
        let rule = registry().bind(&plan, shape, DType::F32)?;
        assert_eq!(rule.facts().least_batch, least, "{plan:?}");
    }
    Ok(())
}
