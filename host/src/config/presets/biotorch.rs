//! BioTorch's benchmark networks (`benchmark_configs/` and the model zoo of
//! jsalbert/biotorch) with their data and schedules, under backpropagation. What a
//! row of its table changes is the rule of all layers, `rule = …`, and the
//! optimiser.

use std::fmt::Write as _;

use super::Preset;

/// Name below `biotorch/`, one line, and the text.
type Row = (&'static str, &'static str, fn() -> String);

const ALL: &[Row] = &[
    (
        "lenet-mnist",
        "BioTorch's LeNet on MNIST, 32x32, 100 epochs",
        || lenet_mnist("mnist"),
    ),
    (
        "lenet-fashion-mnist",
        "BioTorch's LeNet on Fashion-MNIST, 32x32, 100 epochs",
        || lenet_mnist("fashion-mnist"),
    ),
    (
        "lenet-cifar10",
        "BioTorch's LeNet on CIFAR-10, 250 epochs",
        lenet_cifar10,
    ),
    (
        "resnet20-cifar10",
        "BioTorch's ResNet-20 on CIFAR-10, 250 epochs",
        || resnet_cifar10(3),
    ),
    (
        "resnet56-cifar10",
        "BioTorch's ResNet-56 on CIFAR-10, 250 epochs",
        || resnet_cifar10(9),
    ),
];

const FAMILY: &str = "biotorch/";

/// All presets of this family.
#[must_use]
pub fn list() -> Vec<Preset> {
    ALL.iter()
        .map(|(name, doc, _)| Preset {
            name: format!("{FAMILY}{name}"),
            doc: (*doc).to_owned(),
        })
        .collect()
}

/// The TOML text of preset `name`, if it is one of these.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let name = name.strip_prefix(FAMILY)?;
    let (.., make) = ALL.iter().find(|(n, ..)| *n == name)?;
    Some(make())
}

/// Every network starts from BioTorch's default initialisation.
const RULE: &str = "rule = { name = \"backprop\", init = \"xavier\" }\n";

/// Images of 32×32 in [0, 1], normalised by the set's own numbers; the test set stands for
/// a validation set between epochs.
fn lenet_mnist(set: &str) -> String {
    let conv = |name: &str, out: usize, pool: &str| {
        format!(
            "[[blocks]]\nname = \"{name}\"\nlayer = \"conv\"\nkernel = 5\nout = {out}\nbias = true\n\
             activation = \"relu\"\n{pool}"
        )
    };
    let pool = "pool = \"max 2\"\n";
    let (mean, std) = match set {
        "mnist" => (0.1307, 0.3081),
        _ => (0.2859, 0.3530),
    };
    [
        RULE.to_owned(),
        format!(
            "[data]\nset = \"{set}\"\nresize = [32, 32]\nnormalize = \"standard\"\n\
             mean = [{mean}]\nstd = [{std}]\n"
        ),
        conv("conv1", 6, pool),
        conv("conv2", 16, pool),
        conv("conv3", 120, ""),
        dense("fc1", "84", true),
        dense("fc2", "\"classes\"", false),
        training(
            100,
            64,
            "[50, 75]",
            "{ kind = \"sgd\", lr = 0.01, momentum = 0.9, weight_decay = 0.001 }",
        ),
    ]
    .concat()
}

fn dense(name: &str, out: &str, hidden: bool) -> String {
    let activation = if hidden {
        "activation = \"relu\"\n"
    } else {
        ""
    };
    format!("[[blocks]]\nname = \"{name}\"\nlayer = \"dense\"\nout = {out}\n{activation}")
}

/// `cifar10_benchmark`: mirrored and moved by up to four pixels, 5,000 images held out.
const CIFAR10: &str = "\
[data]
set = \"cifar10\"
validation = 5000
normalize = \"standard\"
mean = [0.4914, 0.4821, 0.4465]
std = [0.2470, 0.2435, 0.2616]
[data.augment]
flip = 0.5
crop = 4
padding = \"zero\"
";

fn cifar10_training() -> String {
    let adam = "{ kind = \"adam\", lr = 0.001, weight_decay = 0.0001 }";
    training(250, 128, "[100, 150, 200]", adam) + "augment = true\n"
}

fn training(epochs: u32, batch: u32, falls: &str, optimizer: &str) -> String {
    format!(
        "[training]\nmode = \"end-to-end\"\n[training.gradient]\nepochs = {epochs}\nbatch = {batch}\n\
         drop_last = true\noptimizer = {optimizer}\n\
         schedule = {{ kind = \"steps\", epochs = {falls}, gamma = 0.1 }}\n"
    )
}

fn lenet_cifar10() -> String {
    let conv = |name: &str, out: usize, pool: &str| {
        format!(
            "[[blocks]]\nname = \"{name}\"\nlayer = \"conv\"\nkernel = 3\nout = {out}\nbias = true\n\
             activation = \"relu\"\npool = \"{pool}\"\n"
        )
    };
    [
        RULE.to_owned(),
        CIFAR10.to_owned(),
        conv("conv1", 32, "max 2"),
        conv("conv2", 64, "max 2"),
        conv("conv3", 128, "avg global"),
        dense("fc1", "256", true),
        dense("fc2", "\"classes\"", false),
        cifar10_training(),
    ]
    .concat()
}

/// He et al. 2016, section 4.2: 6n + 2 layers in three stages of n blocks; where the map
/// halves, the shortcut takes every second pixel and pads the channels with zeros.
fn resnet_cifar10(n: usize) -> String {
    let norm = "norm_inner = { kind = \"batch\", affine = true }\n";
    let mut text = [RULE, CIFAR10].concat();
    let _ = write!(
        text,
        "[[blocks]]\nname = \"conv1\"\nlayer = \"conv\"\nkernel = 3\npadding = 1\nout = 16\n{norm}\
         activation = \"relu\"\n"
    );
    for (stage, out) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..n {
            let name = format!("layer{}-{block}", stage + 1);
            let (stride, shortcut) = match (stage, block) {
                (1.., 0) => (2, "subsample-pad"),
                _ => (1, "identity"),
            };
            let pool = match (stage, block + 1 == n) {
                (2, true) => "pool = \"avg global\"\n",
                _ => "",
            };
            let _ = write!(
                text,
                "[[blocks]]\nname = \"{name}\"\nactivation = \"relu\"\n{pool}\
                 [blocks.residual]\nshortcut = \"{shortcut}\"\n\
                 [[blocks.residual.blocks]]\nname = \"{name}-conv1\"\nlayer = \"conv\"\nkernel = 3\n\
                 padding = 1\nstride = {stride}\nout = {out}\n{norm}activation = \"relu\"\n\
                 [[blocks.residual.blocks]]\nname = \"{name}-conv2\"\nlayer = \"conv\"\nkernel = 3\n\
                 padding = 1\nout = {out}\n{norm}"
            );
        }
    }
    text + &dense("fc", "\"classes\"", false) + &cifar10_training()
}
