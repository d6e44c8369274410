//! SoftHebb's networks (Journé et al. 2023, `presets.json` of the authors'
//! code), as tables: one row a convolution, named as there. A preset is the
//! network with the data and the training of its published experiment; data
//! presets (`softhebb/local/…`, `softhebb/gradient/…`) lay another data set and
//! its epochs and batches on top.

use std::fmt::Write as _;

use super::Preset;
use super::softhebb_data as data;

/// A convolution block of a SoftHebb network.
#[derive(Clone, Copy, Debug)]
struct Conv {
    /// Competition; `None` learns by backpropagation.
    competition: Option<&'static str>,
    out: usize,
    kernel: usize,
    padding: usize,
    groups: usize,
    lr: f64,
    /// Exponent of the radius-dependent rate; `None` decays linearly.
    power: Option<f64>,
    /// Inverse temperature.
    beta: f64,
    radius: f64,
    norm: bool,
    pre_triangle: bool,
    activation: &'static str,
    pool: &'static str,
}

/// What follows the convolutions.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// A linear classifier with this dropout.
    Linear(f64),
    /// One Hebbian neuron a class, taught by the labels.
    Hebbian,
    /// A Hebbian hidden layer of 2000 neurons, then a linear classifier.
    Mlp(Option<f64>),
}

/// A network with its experiment: data for local and for gradient phases.
struct Net {
    name: &'static str,
    convs: &'static [Conv],
    head: Head,
    local: &'static str,
    gradient: &'static str,
    mode: &'static str,
}

const MAX4: &str = "max 4/2/1";
const MAX2: &str = "max 2/2/0";
const AVG4: &str = "avg 4/2/1";
const AVG2: &str = "avg 2/2/0";
const TRI: &str = "triangle(1.0)";
const TRI07: &str = "triangle(0.7)";
const TRI14: &str = "triangle(1.4)";

const fn conv(out: usize, kernel: usize, padding: usize) -> Conv {
    Conv {
        competition: None,
        out,
        kernel,
        padding,
        groups: 1,
        lr: 0.0,
        power: None,
        beta: 0.0,
        radius: 25.0,
        norm: true,
        pre_triangle: false,
        activation: "relu",
        pool: MAX4,
    }
}

/// Anti-Hebbian soft winner-take-all: rate and inverse temperature.
const fn soft(out: usize, kernel: usize, padding: usize, lr: f64, beta: f64) -> Conv {
    let mut c = conv(out, kernel, padding);
    c.competition = Some("soft-krotov");
    c.lr = lr;
    c.beta = beta;
    c.power = Some(0.5);
    c.activation = TRI;
    c
}

/// Hard winner-take-all.
const fn hard(out: usize, kernel: usize, padding: usize, lr: f64) -> Conv {
    let mut c = conv(out, kernel, padding);
    c.competition = Some("hard");
    c.lr = lr;
    c.power = Some(0.75);
    c.activation = TRI;
    c
}

impl Conv {
    const fn pool(mut self, pool: &'static str) -> Self {
        self.pool = pool;
        self
    }
    const fn act(mut self, activation: &'static str) -> Self {
        self.activation = activation;
        self
    }
    const fn power(mut self, power: Option<f64>) -> Self {
        self.power = power;
        self
    }
    const fn radius(mut self, radius: f64) -> Self {
        self.radius = radius;
        self
    }
    const fn out(mut self, out: usize) -> Self {
        self.out = out;
        self
    }
    const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
    const fn bare(mut self) -> Self {
        self.norm = false;
        self
    }
    const fn pre_triangle(mut self) -> Self {
        self.pre_triangle = true;
        self
    }
    /// Exponent 0.75 and radius 2, as the first ImageNet networks have.
    const fn imagenet(self) -> Self {
        self.power(Some(0.75)).radius(2.0)
    }
}

// First, second and third block of the CIFAR networks.
const C1: Conv = soft(96, 5, 2, 0.08, 1.0).act(TRI07);
const C1A: Conv = C1.pool(AVG4);
const C2: Conv = soft(384, 3, 1, 0.005, 0.65).act(TRI14);
const C3: Conv = soft(1536, 3, 1, 0.01, 0.25).pool(AVG2);
// The same by backpropagation.
const B1: Conv = conv(96, 5, 2);
const B2: Conv = conv(384, 3, 1);
// STL: larger kernels by backpropagation.
const S1: Conv = conv(96, 7, 3);
const S2: Conv = conv(384, 5, 2);
const S3: Conv = conv(1536, 3, 1);
// ImageNet: hard, soft, backpropagation.
const H1: Conv = hard(48, 7, 3, 0.05);
const H2: Conv = hard(192, 5, 2, 0.03);
const H3: Conv = hard(768, 3, 1, 0.02);
const H4: Conv = hard(3072, 3, 1, 0.01);
const I1: Conv = soft(48, 7, 3, 0.07, 1.0).imagenet();
const I2: Conv = soft(192, 5, 2, 0.03, 0.7).imagenet();
const I3: Conv = soft(768, 3, 1, 0.02, 0.5).imagenet();
const N1: Conv = conv(48, 7, 3);
const N2: Conv = conv(192, 5, 2);
const N3: Conv = conv(768, 3, 1);
const N4: Conv = conv(3072, 3, 1);

const fn net(name: &'static str, convs: &'static [Conv], dropout: f64) -> Net {
    Net {
        name,
        convs,
        head: Head::Linear(dropout),
        local: "CIFAR10_1",
        gradient: "CIFAR10_50",
        mode: "successive",
    }
}

impl Net {
    const fn data(mut self, local: &'static str, gradient: &'static str) -> Self {
        self.local = local;
        self.gradient = gradient;
        self
    }
    const fn imagenette(self) -> Self {
        self.data("ImageNette_1", "ImageNette_200aug")
    }
    const fn imagenet(self) -> Self {
        self.data("ImageNet_1160", "ImageNet_200aug160")
    }
    const fn stl(self) -> Self {
        self.data("STL10_unlabel", "STL10_100aug")
    }
    const fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }
    const fn head(mut self, head: Head) -> Self {
        self.head = head;
        self
    }
    /// One epoch of both kinds of learning in each step.
    const fn speed(self) -> Self {
        self.data("CIFAR10_1-50", "CIFAR10_1-50")
            .mode("simultaneous")
    }
    /// All blocks by backpropagation together: what the published figures are
    /// (the authors' commands would train the blocks one by one).
    const fn bp(self) -> Self {
        self.mode("consecutive")
    }
    const fn mlp(self, power: Option<f64>) -> Self {
        self.head(Head::Mlp(power)).data("MNIST_1-32", "MNIST_10")
    }
}

const NETS: &[Net] = &[
    net("2SoftMlpMNIST", &[], 0.0).mlp(Some(0.2)),
    net("2SoftMlpMNIST_linearDecay", &[], 0.0).mlp(None),
    net("2SoftHebbCnnCIFAR", &[C1A], 0.5),
    net(
        "2HardCnnCIFAR",
        &[hard(96, 5, 2, 0.08).power(Some(0.5)).act(TRI07).pool(AVG4)],
        0.5,
    ),
    net(
        "2HardCnnCIFAR_speed",
        &[hard(96, 5, 2, 0.05)
            .power(Some(0.5))
            .radius(10.0)
            .act(TRI07)
            .pool(AVG4)],
        0.5,
    )
    .speed(),
    net(
        "2HardCnnCIFA_speed_linearDecay",
        &[hard(96, 5, 2, 0.025)
            .power(None)
            .radius(10.0)
            .act(TRI07)
            .pool(AVG4)],
        0.5,
    )
    .speed(),
    net("2CnnCIFAR", &[B1.pool(AVG4)], 0.5).bp(),
    net("3CnnCIFAR", &[B1, B2], 0.5).bp(),
    net(
        "4CnnCIFAR",
        &[B1, B2, conv(1536, 1, 0).groups(192).pool(MAX2)],
        0.5,
    )
    .bp(),
    net("3SoftHebbCnnCIFAR", &[C1A, C2.pre_triangle()], 0.5),
    net(
        "3SoftHebbCnnCIFAR_wf2",
        &[C1A, C2.pre_triangle().out(192)],
        0.5,
    ),
    net(
        "3SoftHebbCnnCIFAR_wf1",
        &[C1A, C2.pre_triangle().out(96)],
        0.5,
    ),
    net(
        "3HardCnnCIFAR",
        &[hard(96, 5, 1, 0.05), hard(384, 3, 1, 0.05)],
        0.5,
    ),
    net("4SoftHebbCnnCIFAR", &[C1, C2, C3], 0.5),
    net("4SoftHebbCnnCIFAR_HebbClassifier", &[C1, C2, C3], 0.0)
        .head(Head::Hebbian)
        .mode("consecutive"),
    net(
        "4SoftHebbCnnCIFAR_noBatchNorm",
        &[C1.bare(), C2.bare(), C3.bare()],
        0.5,
    ),
    net(
        "4SoftHebbCnnCIFAR_doubleNeurons",
        &[C1.out(192), C2.out(768), C3.out(3072)],
        0.5,
    ),
    net(
        "4SoftHebbCnnCIFAR_halfNeurons",
        &[C1.out(48), C2.out(192), C3.out(768)],
        0.5,
    ),
    net(
        "4SoftHebbCnnCIFAR_quarterNeurons",
        &[C1.out(24), C2.out(96), C3.out(384)],
        0.5,
    ),
    net(
        "4SoftHebbCnnCIFAR_wf2",
        &[C1, C2.out(192), C3.out(384)],
        0.5,
    ),
    net("4SoftHebbCnnCIFAR_wf1", &[C1, C2.out(96), C3.out(96)], 0.5),
    net(
        "4HardCnnCIFAR",
        &[
            hard(96, 5, 1, 0.05),
            hard(384, 3, 1, 0.05),
            hard(1536, 3, 0, 0.05).pool(MAX2),
        ],
        0.5,
    ),
    net(
        "5SoftHebbCnnSTL",
        &[
            C1A,
            C2.act(TRI07),
            soft(1536, 3, 1, 0.01, 0.45).act(TRI14).pool(AVG4),
            soft(6144, 3, 1, 0.01, 0.25).pool(AVG2),
        ],
        0.5,
    )
    .stl(),
    net(
        "4SoftHebbCnnSTL",
        &[C1A, C2, soft(1536, 3, 1, 0.01, 0.45).pool(AVG4)],
        0.4,
    )
    .stl(),
    net("4CnnSTL", &[S1, S2, S3], 0.4).stl().bp(),
    net("5CnnSTL", &[S1, S2, S3, conv(6144, 3, 1).pool(AVG2)], 0.5)
        .stl()
        .bp(),
    net("2HardCnnImNet", &[H1.radius(2.0)], 0.5).imagenette(),
    net(
        "3HardCnnImNet",
        &[hard(48, 7, 3, 0.07).radius(2.0), H2.radius(2.0)],
        0.5,
    )
    .imagenette(),
    net(
        "4HardCnnImNet",
        &[
            hard(48, 7, 3, 0.07).radius(2.0),
            H2.radius(2.0),
            H3.radius(2.0),
        ],
        0.4,
    )
    .imagenette(),
    net(
        "5HardCnnImNet",
        &[
            H1.radius(2.0),
            H2.radius(2.0),
            H3.radius(2.0),
            H4.radius(2.0),
        ],
        0.5,
    )
    .imagenette(),
    net(
        "6HardCnnImNet",
        &[
            H1,
            H2,
            H3,
            H4,
            hard(12288, 1, 0, 0.02).groups(768).pool(MAX2),
        ],
        0.5,
    )
    .imagenet(),
    net(
        "2SoftHebbCnnImNet",
        &[soft(48, 7, 3, 0.05, 1.0).imagenet()],
        0.5,
    )
    .imagenette(),
    net("3SoftHebbCnnImNet", &[I1, I2], 0.5).imagenette(),
    net("4SoftHebbCnnImNet", &[I1, I2, I3], 0.4).imagenette(),
    net(
        "5SoftHebbCnnImNet",
        &[
            soft(48, 7, 3, 0.05, 1.0).imagenet(),
            I2,
            soft(768, 3, 1, 0.02, 0.7).imagenet(),
            soft(3072, 3, 1, 0.01, 0.5).imagenet(),
        ],
        0.5,
    )
    .imagenette(),
    net("2CnnImNet", &[N1.act(TRI)], 0.5).imagenette().bp(),
    net("3CnnImNet", &[N1, N2], 0.5).imagenette().bp(),
    net("4CnnImNet", &[N1, N2, N3], 0.4).imagenette().bp(),
    net("5CnnImNet", &[N1, N2, N3, N4], 0.5).imagenette().bp(),
    net(
        "6CnnImNet",
        &[
            N1.act(TRI),
            N2.act(TRI),
            N3.act(TRI),
            N4.act(TRI),
            conv(12288, 1, 0).groups(768).act(TRI),
        ],
        0.5,
    )
    .imagenet()
    .bp(),
    net(
        "6SoftHebbCnnImNet",
        &[
            soft(48, 5, 2, 0.08, 1.1).power(Some(0.75)).act(TRI07),
            soft(192, 3, 1, 0.01, 0.7).power(Some(0.75)).act(TRI07),
            soft(768, 3, 1, 0.01, 0.5).power(Some(0.75)).act(TRI07),
            soft(3072, 3, 1, 0.01, 0.4).power(Some(0.75)).act(TRI14),
            soft(12288, 3, 1, 0.01, 0.25).power(Some(0.75)).pool(AVG2),
        ],
        0.5,
    )
    .imagenet(),
];

const FAMILY: &str = "softhebb/";

/// All presets of this family.
#[must_use]
pub fn list() -> Vec<Preset> {
    let nets = NETS.iter().map(|net| Preset {
        name: format!("{FAMILY}{}", net.name),
        doc: describe(net),
    });
    nets.chain(data::list()).collect()
}

/// The TOML text of preset `name`.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let short = name.strip_prefix(FAMILY)?;
    match NETS.iter().find(|net| net.name == short) {
        Some(net) => network(net),
        None => data::text(short),
    }
}

fn describe(net: &Net) -> String {
    let rule = match (net.convs.first().map(|c| c.competition), net.head) {
        (None, _) => "soft, dense",
        (Some(None), _) => "backprop",
        (Some(Some(competition)), _) => competition,
    };
    let sizes: Vec<String> = net.convs.iter().map(|c| c.out.to_string()).collect();
    let sizes = match sizes.is_empty() {
        true => "2000".to_owned(),
        false => sizes.join("-"),
    };
    format!("{rule}: {sizes} on {}", net.gradient)
}

fn network(net: &Net) -> Option<String> {
    let mut text = format!("name = \"{}\"\n", net.name);
    text.push_str(&data::top(net.local, net.gradient)?);
    for conv in net.convs {
        write_conv(&mut text, conv);
    }
    write_head(&mut text, net);
    let _ = write!(text, "\n[training]\nmode = \"{}\"\n", net.mode);
    text.push_str(&data::training(net.local, net.gradient)?);
    Some(text)
}

fn write_conv(text: &mut String, c: &Conv) {
    text.push_str("\n[[blocks]]\nlayer = \"conv\"\n");
    let _ = writeln!(
        text,
        "out = {}\nkernel = {}\npadding = {}",
        c.out, c.kernel, c.padding
    );
    if c.groups > 1 {
        let _ = writeln!(text, "groups = {}", c.groups);
    }
    text.push_str("padding_mode = \"reflect\"\nbias = false\n");
    if c.norm {
        text.push_str("norm = \"batch\"\n");
    }
    match c.competition {
        None => text.push_str("rule = \"backprop\"\n"),
        Some(competition) => {
            let rule = hebbian(competition, c.lr, c.power, c.beta, c.radius, c.pre_triangle);
            let _ = writeln!(text, "rule = {rule}");
        }
    }
    let _ = writeln!(
        text,
        "activation = \"{}\"\npool = \"{}\"",
        c.activation, c.pool
    );
}

/// The rule with its hyperparameters as an inline table.
fn hebbian(
    competition: &str,
    lr: f64,
    power: Option<f64>,
    beta: f64,
    radius: f64,
    pre_triangle: bool,
) -> String {
    let mut text = format!("{{ name = \"softhebb\", competition = \"{competition}\", lr = {lr:?}");
    let _ = match power {
        Some(power) => write!(text, ", rate = \"adaptive\", power_lr = {power:?}"),
        None => write!(text, ", rate = \"linear\""),
    };
    if competition != "hard" {
        let _ = write!(text, ", t_invert = {beta:?}");
    }
    let _ = write!(text, ", radius = {radius:?}");
    if pre_triangle {
        text.push_str(", pre_triangle = true");
    }
    text + " }"
}

fn write_head(text: &mut String, net: &Net) {
    let dropout = match net.head {
        Head::Linear(dropout) => dropout,
        Head::Hebbian => {
            let rule = hebbian("supervised", 0.045, None, 12.0, 35.0, false);
            let _ = write!(
                text,
                "\n[[blocks]]\nname = \"classifier\"\nlayer = \"dense\"\nout = \"classes\"\nbias = false\nrule = {rule}\n"
            );
            return;
        }
        Head::Mlp(power) => {
            let rule = hebbian("soft", 0.045, power, 12.0, 35.0, false);
            let _ = write!(
                text,
                "\n[[blocks]]\nlayer = \"dense\"\nout = 2000\nbias = false\nrule = {rule}\nactivation = \"softmax(5.0)\"\n"
            );
            0.0
        }
    };
    let _ = write!(
        text,
        "\n[[blocks]]\nname = \"classifier\"\nlayer = \"dense\"\nout = \"classes\"\nbias = true\ndropout = {dropout:?}\nrule = \"backprop\"\n"
    );
}
