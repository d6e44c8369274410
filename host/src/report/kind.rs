//! Kinds of rules by what they learn from. A colour, a shape and a dash belong to each, on every
//! page.

/// What a rule learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The true gradient.
    True,
    /// An error that comes through random weights, or through the weights' signs.
    Random,
    /// The output error, broadcast.
    Direct,
    /// Its own activity.
    Local,
    /// An error that comes through weights that are learnt.
    Learnt,
    /// No rule: a linear classifier, a block without a layer.
    None,
}

impl Kind {
    /// The kind of the rule `name`. A name that is not known here stands for a local rule in a local
    /// phase and else for one that learns from an error.
    #[must_use]
    pub fn of(name: &str, is_local: bool) -> Self {
        let has = |part: &str| name.contains(part);
        match name {
            _ if is_local => Self::Local,
            _ if has("backprop") => Self::True,
            _ if has("direct") => Self::Direct,
            _ if has("kolen") || has("mirror") => Self::Learnt,
            _ if has("softhebb") || has("krotov") || has("hebb") => Self::Local,
            _ => Self::Random,
        }
    }

    /// The class of its colour.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Random => "random",
            Self::Direct => "direct",
            Self::Local => "local",
            Self::Learnt => "learnt",
            Self::None => "plain",
        }
    }

    /// What it learns from, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::True => "true gradient",
            Self::Random => "replaced feedback",
            Self::Direct => "output error, broadcast",
            Self::Local => "its own activity",
            Self::Learnt => "learnt feedback",
            Self::None => "no rule",
        }
    }
}

/// The rule `name` as the papers have it.
#[must_use]
pub fn rule_name(name: &str) -> String {
    let known = match name {
        "backprop" => "backpropagation",
        "softhebb" => "SoftHebb",
        "krotov" => "Krotov-Hopfield",
        "hebbian/hebb" => "Hebb",
        "hebbian/oja" => "Oja",
        "hebbian/bionas" => "BioNAS' Hebbian rule",
        "feedback-alignment/fa" => "feedback alignment",
        "feedback-alignment/usf" => "uniform sign feedback",
        "feedback-alignment/brsf" => "batch-wise random sign feedback",
        "feedback-alignment/frsf" => "fixed random sign feedback",
        "kolen-pollack" => "Kolen-Pollack",
        "weight-mirror" => "weight mirror",
        "direct-feedback-alignment/dfa" => "direct feedback alignment",
        "direct-feedback-alignment/dkp" => "direct Kolen-Pollack",
        other => other,
    };
    known.to_owned()
}

/// A data set's name as its makers write it.
#[must_use]
pub fn set_name(set: &str) -> String {
    let known = match set {
        "cifar10" => "CIFAR-10",
        "cifar100" => "CIFAR-100",
        "mnist" => "MNIST",
        "fashion-mnist" => "Fashion-MNIST",
        "stl10" => "STL-10",
        "imagenette" => "ImageNette",
        "imagenet" => "ImageNet",
        "digits" => "handwritten digits, 8×8",
        other => other,
    };
    known.to_owned()
}
