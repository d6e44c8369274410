//! Attacks on trained networks, through the real plugins and the real binary.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test --workspace --test attacks -- --nocapture` prints what of the
//! golden attacks was compared; `BIORULE_PYTHON` names an interpreter with PyTorch and torchattacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use biorule::attack::method::{Wishes, names};
use biorule::attack::{
    Attack, Gradient, Keyed, Method, Norm, Spec, Target, Victims, perturb, robust_accuracy,
};
use biorule::config::{BlockPlan, DataPlan, LayerPlan, MapPlan};
use biorule::data::{PixelSpace, Pixels, Scaling};
use biorule::device::{Place, budget::Budget};
use biorule::nn::InputShape;
use biorule::nn::Network;
use biorule::nn::build::Placement;
use biorule_test_environment::{Need, skip};
use biorule_tests::golden::{Checks, File, attack, expect_further, files};
use biorule_tests::network::{batch_norm, block, conv, layer, layer_block, relu};
use biorule_tests::numbers::{noise, values};
use biorule_tests::plugins::{Run, registry};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

#[test]
fn golden_attacks_are_reproduced() {
    biorule::threads::prepare();
    expect_further("nas");
    let recognisers = attack::recognisers();
    for path in files("nas") {
        let Ok(file) = File::open(&path) else {
            continue;
        };
        for kind in recognisers.iter().filter(|r| (r.understands)(&file)) {
            let mut checks = Checks::default();
            (kind.run)(&file, &mut checks).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!(
                "{}: {} tensors, {:?}",
                path.display(),
                checks.len(),
                checks.worst()
            );
            assert_eq!(checks.problems(), [""; 0], "{}", path.display());
        }
    }
}

/// A convolution of one rule and a read-out, with a normalisation between them.
fn blocks(rule: &str) -> Vec<BlockPlan> {
    let features = BlockPlan {
        norm_inner: Some(batch_norm(true)),
        activation: Some(relu()),
        ..layer_block("features", layer(rule, conv([3, 3]), 6, &[]))
    };
    let read_out = BlockPlan {
        flatten: true,
        layer: Some(LayerPlan {
            bias: true,
            ..layer("backprop", MapPlan::Dense, 10, &[])
        }),
        ..block("readout")
    };
    vec![features, read_out]
}

fn network(rule: &str, dims: &[usize], dtype: DType) -> Network {
    let input = InputShape {
        dims: dims.to_vec(),
        outputs: 10,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype,
        seed: 4,
    };
    Network::build(&blocks(rule), &input, registry(), &place).expect("a network")
}

fn place(dtype: DType) -> Place {
    Place {
        device: Device::Cpu,
        dtype,
        budget: Budget::bytes(0),
        stop: Default::default(),
    }
}

/// The first `n` digits of the test part, scaled to mean 0 and deviation 1.
fn digits(n: usize) -> Pixels {
    let plan = DataPlan {
        normalize: Scaling::Standard,
        ..DataPlan::default()
    };
    let data = plan.open().expect("embedded digits");
    let pixels = data.pixels("test", None).expect("pixels").expect("a part");
    pixels.limited(Some(n)).expect("fewer")
}

/// Every attack but the two that ask very often, at what `strength` gives for it.
fn all(norm: Norm, strength: impl Fn(&Method) -> f64) -> Vec<Attack> {
    let wishes = Wishes {
        norm: Some(norm),
        steps: Some(5),
        queries: Some(20),
        population: Some(6),
        ..Wishes::default()
    };
    names()
        .filter(|name| *name != "saturate")
        .map(|name| {
            let method = Method::named(name, &wishes).expect("an attack");
            let gradient = method.wants_gradient().then_some(Gradient::True);
            let strength = strength(&method);
            Attack {
                method,
                strength,
                gradient,
            }
        })
        .collect()
}

fn is_bounded(attack: &Attack) -> Option<Norm> {
    match attack.method.strength() {
        biorule::attack::method::Strength::Epsilon(norm) => Some(norm),
        _ => None,
    }
}

/// Pixels stay within [0, 1] and within the ball of their attack.
#[test]
fn nothing_leaves_the_ball_or_the_range_of_pixels() {
    let (mut network, data) = (network("backprop", &[1, 8, 8], DType::F32), digits(24));
    let place = place(DType::F32);
    for (norm, epsilons) in [
        (Norm::Linf, [0.003, 0.1, 0.7]),
        (Norm::L2, [0.01, 0.9, 6.0]),
    ] {
        for epsilon in epsilons {
            for attack in all(norm, |m| match m.strength() {
                biorule::attack::method::Strength::Epsilon(_) => epsilon,
                biorule::attack::method::Strength::Sigma => 0.3,
                _ => 3.0,
            }) {
                let (pixels, _) = data.read(0..24).expect("samples");
                // What the network answers, so that every sample is right before.
                let mut target = Target::new(&mut network, data.space(), Gradient::True, &place)
                    .expect("target");
                let logits = target.logits(&pixels).expect("answers");
                let labels = logits.rows().map(largest).collect();
                let victims = Victims {
                    pixels: pixels.clone(),
                    labels,
                    samples: (0..24).collect(),
                };
                let keyed = Keyed::new(3, &attack.method);
                let changed = perturb(&mut target, &attack, &victims, &keyed).expect("changed");
                let all = values(&changed).expect("numbers");
                let name = attack.method.name();
                assert!(all.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
                if let Some(norm) = is_bounded(&attack) {
                    let sizes = norm.sizes(&pixels, &changed).expect("sizes");
                    let largest = sizes.into_iter().fold(0.0, f64::max);
                    assert!(
                        largest <= epsilon * (1.0 + 1e-5) + 1e-6,
                        "{name}: {largest}"
                    );
                    // APGD gives back what it could not turn into another class.
                    let gives_back = matches!(attack.method, Method::Apgd(_));
                    assert!(
                        largest > 0.0 || gives_back,
                        "{name} at {epsilon} changes nothing"
                    );
                }
            }
        }
    }
}

fn largest(row: &[f64]) -> u32 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter().position(|v| *v == top).unwrap_or(0) as u32
}

fn spec(attacks: Vec<Attack>, batch: usize) -> Spec {
    Spec {
        attacks,
        seed: 11,
        batch,
    }
}

/// A ball of radius 0, no noise and no pixel leave the clean accuracy.
#[test]
fn without_strength_the_accuracy_is_the_clean_one() {
    let (mut network, data) = (network("backprop", &[1, 8, 8], DType::F32), digits(60));
    for norm in [Norm::Linf, Norm::L2] {
        let mut attacks = all(norm, |_| 0.0);
        attacks.retain(|a| !matches!(a.method, Method::Corruption { .. }));
        let report = robust_accuracy(
            &mut network,
            &data,
            &spec(attacks, 25),
            &place(DType::F32),
            &mut |_| {},
        )
        .expect("a report");
        for row in report.rows {
            let name = row.attack.method.name();
            assert_eq!((row.robust, row.both), (row.clean, row.clean), "{name}");
            assert_eq!((row.mean_linf, row.mean_l2), (0.0, 0.0), "{name}");
        }
    }
}

/// Neither the size of a batch nor what else is in the list changes a row, through rules of every
/// kind.
#[test]
fn rows_do_not_depend_on_the_batch_or_on_the_list() {
    let data = digits(30);
    for rule in ["backprop", "feedback-alignment/brsf", "softhebb"] {
        let mut network = network(rule, &[1, 8, 8], DType::F64);
        let mut rows = |attacks: Vec<Attack>, batch| {
            let spec = spec(attacks, batch);
            let place = place(DType::F64);
            let report = robust_accuracy(&mut network, &data, &spec, &place, &mut |_| {});
            report.expect("a report").rows
        };
        let attacks = all(Norm::Linf, |m| match m.strength() {
            biorule::attack::method::Strength::Epsilon(_) => 0.2,
            biorule::attack::method::Strength::Sigma => 0.3,
            _ => 3.0,
        });
        let together = rows(attacks.clone(), 30);
        for (one, two) in together.iter().zip(rows(attacks.clone(), 7)) {
            let counts = |r: &biorule::attack::Row| (r.clean, r.robust, r.both);
            assert_eq!(counts(one), counts(&two), "{rule}: {:?}", one.attack);
            assert!((one.mean_l2 - two.mean_l2).abs() < 1e-9, "{:?}", one.attack);
        }
        assert_eq!(rows(attacks[5..6].to_vec(), 30), together[5..6]);
    }
}

/// The derivative by the pixels, through scaling and whitening, against differences.
#[test]
fn the_slope_is_that_of_differences() {
    biorule::threads::prepare();
    let dims = [2, 5, 4];
    let matrix: Vec<f64> = values(&noise(3, &[40, 40], DType::F64).expect("numbers"))
        .expect("numbers")
        .iter()
        .map(|v| 0.3 * v)
        .collect();
    let scaled = PixelSpace::scaled(&dims, &[0.4, 0.2], &[0.3, 0.9]);
    for rule in ["backprop", "feedback-alignment/fa", "softhebb", "krotov"] {
        for space in [
            PixelSpace::plain(&dims),
            scaled.clone(),
            scaled.clone().whitened(matrix.clone()),
        ] {
            let mut network = network(rule, &dims, DType::F64);
            let place = place(DType::F64);
            let mut target =
                Target::new(&mut network, &space, Gradient::True, &place).expect("target");
            let x = ((noise(8, &[3, 2, 5, 4], DType::F64).expect("numbers") * 0.4)
                .expect("scaled")
                + 0.5)
                .expect("pixels");
            let labels = [1u32, 7, 4];
            let slope = target
                .slope(&x, &|z| Ok(z.cross_entropy(&labels)))
                .expect("a slope");
            let gradient = values(&slope.gradient).expect("numbers");
            let pixels = values(&x).expect("numbers");
            let step = 1e-6;
            for i in (0..pixels.len()).step_by(7) {
                let mut at = |sign: f64| {
                    let mut moved = pixels.clone();
                    moved[i] += sign * step;
                    let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).expect("pixels");
                    let z = target.logits(&moved).expect("answers");
                    z.cross_entropy(&labels).losses.iter().sum::<f64>()
                };
                let difference = (at(1.0) - at(-1.0)) / (2.0 * step);
                let apart = (difference - gradient[i]).abs();
                let scale = difference.abs().max(1e-2);
                assert!(
                    apart < 1e-5 * scale,
                    "{rule} {i}: {} {difference}",
                    gradient[i]
                );
            }
        }
    }
}

/// The rules' own gradient goes another way than the true one, and a local rule has none.
#[test]
fn the_rules_gradient_is_their_own() {
    let data = digits(8);
    let (pixels, labels) = data.read(0..8).expect("samples");
    let place = place(DType::F32);
    let slope = |rule: &str, gradient| {
        let mut network = network(rule, &[1, 8, 8], DType::F32);
        let mut target = Target::new(&mut network, data.space(), gradient, &place)?;
        target.slope(&pixels, &|z| Ok(z.cross_entropy(&labels)))
    };
    for (rule, same) in [
        ("backprop", true),
        ("feedback-alignment/fa", false),
        ("feedback-alignment/usf", false),
        ("kolen-pollack", false),
        ("direct-feedback-alignment/dfa", false),
    ] {
        let own = slope(rule, Gradient::Rule).expect("a slope");
        let truth = slope(rule, Gradient::True).expect("a slope");
        let apart = values(&(own.gradient - truth.gradient).expect("shapes")).expect("numbers");
        assert_eq!(apart.iter().all(|d| *d == 0.0), same, "{rule}");
        assert_eq!(own.losses, truth.losses, "{rule}");
    }
    let refused = slope("softhebb", Gradient::Rule).expect_err("a local rule");
    assert!(refused.text.contains("`features`") && refused.text.contains("`softhebb`"));
    slope("softhebb", Gradient::True).expect("the true gradient");
}

const CONFIG: &str = r#"
name = "attacked"
seeds = [1]
data = { set = "digits", normalize = "standard" }

[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 48
bias = true
rule = "feedback-alignment/fa"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
bias = true
rule = "backprop"

[training]
mode = "end-to-end"

[training.gradient]
epochs = 6
batch = 32
optimizer = { kind = "adam", lr = 0.002 }
"#;

/// A network trained by the binary in `home/run`.
fn trained(home: &Path) -> PathBuf {
    let config = home.join("attacked.toml");
    fs::write(&config, CONFIG).expect("written");
    let run = home.join("run");
    Run::new(["train", "-q"])
        .arguments(&[config.as_path(), Path::new("--run-dir"), run.as_path()])
        .stdout();
    run
}

fn attacked(run: &Path, further: &[&str]) -> Value {
    let ran = Run::new(["attack"])
        .arguments(&[run])
        .arguments(&["--json", "-q"])
        .arguments(further)
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

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

/// What torchattacks finds on the same weights and pictures. Attacks without random numbers agree
/// picture by picture but for those on the border; the others within what chance does.
const SCRIPT: &str = r#"
import json, struct, sys
import torch, torchattacks
checkpoint, pictures, mean, std = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
def read(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(size)); body = f.read()
    kinds = {"F32": torch.float32, "I64": torch.int64}
    out = {}
    for name, info in head.items():
        if name == "__metadata__" or info["dtype"] not in kinds: continue
        a, b = info["data_offsets"]
        flat = torch.frombuffer(bytearray(body[a:b]), dtype=kinds[info["dtype"]]) if b > a else torch.zeros(0)
        out[name] = flat.reshape(info["shape"])
    return out
w, p = read(checkpoint), read(pictures)
class Net(torch.nn.Module):
    def forward(self, x):
        x = ((x - mean) / std).flatten(1)
        layer = lambda x, n: torch.nn.functional.linear(x, w[f"blocks.{n}.layer.weight"], w[f"blocks.{n}.layer.bias"])
        return layer(torch.relu(layer(x, "hidden")), "readout")
net, x, y = Net().eval(), p["x"], p["y"]
torch.manual_seed(0)
class Square(torchattacks.Square):
    # Theirs never reaches the last row and column, a third of an 8x8 picture's places at first.
    def random_int(self, low=0, high=1, shape=[1]):
        return (low + (high - low + 1) * torch.rand(shape)).long()
def count(attack):
    return int((net(attack(x, y)).argmax(1) == y).sum()) if attack else int((net(x).argmax(1) == y).sum())
A, e, a = torchattacks, 24/255, 4/255
print(json.dumps({
    "clean": count(None),
    "fgsm": count(A.FGSM(net, eps=e)),
    "pgd": count(A.PGD(net, eps=e, alpha=a, steps=10, random_start=False)),
    "pgd-random": count(A.PGD(net, eps=e, alpha=a, steps=10, random_start=True)),
    "pgd-l2": count(A.PGDL2(net, eps=0.6, alpha=0.1, steps=10, random_start=False)),
    "tpgd": count(A.TPGD(net, eps=e, alpha=a, steps=10)),
    "apgd": count(A.APGD(net, norm="Linf", eps=e, steps=20)),
    "apgd-dlr": count(A.APGD(net, norm="Linf", eps=e, steps=20, loss="dlr")),
    "apgd-l2": count(A.APGD(net, norm="L2", eps=0.6, steps=20)),
    "square": count(Square(net, eps=e, n_queries=300)),
}))
"#;

/// Name in the script, `--attack`, ball, settings, and how many pictures may be told apart.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], i64);

#[test]
fn torchattacks_finds_the_same() {
    let python = std::env::var_os("BIORULE_PYTHON").filter(|p| !p.is_empty());
    let has = |python: &std::ffi::OsString| {
        let asked = Command::new(python)
            .args(["-c", "import torchattacks"])
            .output();
        asked.is_ok_and(|o| o.status.success())
    };
    let Some(python) = python.filter(has) else {
        return skip(
            Need::Python,
            "`BIORULE_PYTHON` names no interpreter with PyTorch and torchattacks",
        );
    };
    let home = tempfile::tempdir().expect("a folder");
    let run = trained(home.path());
    let plan = DataPlan {
        normalize: Scaling::Standard,
        ..DataPlan::default()
    };
    let data = plan.open().expect("embedded digits");
    let (x, labels) = digits(500).read(0..500).expect("samples");
    let y: Vec<i64> = labels.iter().map(|l| i64::from(*l)).collect();
    let y = Tensor::from_vec(y, 500, &Device::Cpu).expect("labels");
    let pictures = home.path().join("pictures.safetensors");
    let both = std::collections::HashMap::from([("x", x), ("y", y)]);
    candle_core::safetensors::save(&both, &pictures).expect("written");
    let (mean, std) = (data.normalizer.mean()[0], data.normalizer.std()[0]);
    let told = Command::new(&python)
        .args(["-c", SCRIPT])
        .arg(run.join("checkpoints/last.safetensors"))
        .arg(&pictures)
        .args([mean.to_string(), std.to_string()])
        .output()
        .expect("Python starts");
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let text = String::from_utf8_lossy(&told.stdout);
    let theirs: Value =
        serde_json::from_str(text.lines().last().unwrap_or_default()).expect("JSON");
    let radius = ["--epsilon", "24/255", "--limit", "500"];
    let length = ["--epsilon", "0.6", "--norm", "l2", "--limit", "500"];
    let stepped = ["--steps", "10", "--step-size", "4/255"];
    // Pictures that may be told apart: those on the border of two classes, or by other random
    // numbers. Over five seeds here PGD leaves 307 to 317 right, and TPGD 368 to 384.
    let cases: [Case<'_>; 9] = [
        ("fgsm", "fgsm", &radius, &[], 2),
        (
            "pgd",
            "pgd",
            &radius,
            &["--steps", "10", "--step-size", "4/255", "--no-random-start"],
            2,
        ),
        ("pgd-random", "pgd", &radius, &stepped, 15),
        (
            "pgd-l2",
            "pgd",
            &length,
            &["--steps", "10", "--step-size", "0.1", "--no-random-start"],
            2,
        ),
        ("tpgd", "tpgd", &radius, &stepped, 20),
        ("apgd", "apgd", &radius, &["--steps", "20"], 5),
        ("apgd-dlr", "apgd-dlr", &radius, &["--steps", "20"], 5),
        ("apgd-l2", "apgd", &length, &["--steps", "20"], 5),
        ("square", "square", &radius, &["--queries", "300"], 15),
    ];
    let mut wrong = Vec::new();
    for (name, attack, ball, settings, may) in cases {
        let ours = attacked(&run, &[&["--attack", attack], ball, settings].concat());
        let row = &ours["rows"][0];
        let (clean, robust) = (row["clean"].as_i64(), row["robust"].as_i64());
        let (clean, robust) = (clean.expect("a count"), robust.expect("a count"));
        let theirs = |name: &str| theirs[name].as_i64().expect("a count");
        println!(
            "{name}: {robust} of 500 here, {} by torchattacks",
            theirs(name)
        );
        assert_eq!(clean, theirs("clean"));
        if (robust - theirs(name)).abs() > may {
            wrong.push(format!("{name}: {robust} and {}", theirs(name)));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
