//! Operations: what may stand on an edge, before a rule is chosen for its layers.

use std::fmt;

use crate::text::nearest;
use crate::{Error, Result};

/// An operation on maps `[C, H, W]` that keeps the channels. Each of its layers is a slot that a
/// learning rule fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Nothing arrives: zeros.
    None,
    /// The value unchanged; at stride 2 a factorised reduction.
    Skip,
    /// Maximum of 3×3 pixels.
    MaxPool,
    /// Mean of 3×3 pixels, padding not counted.
    AvgPool,
    /// Depthwise and pointwise convolution, twice; the kernel's size.
    SepConv(usize),
    /// Dilated depthwise and pointwise convolution; the kernel's size.
    DilConv(usize),
    /// ReLU, convolution, normalisation; the kernel's size.
    Conv(usize),
    /// ReLU, 1×7 and 7×1 convolution, normalisation.
    Conv7x1,
    /// Convolution that learns by a Hebbian rule, and a normalisation (README of BioNAS).
    Hebbian,
}

/// Every operation with its name and what it is.
pub const OPERATIONS: [(Operation, &str, &str); 13] = [
    (Operation::None, "none", "zeros"),
    (Operation::MaxPool, "max_pool_3x3", "maximum of 3x3 pixels"),
    (
        Operation::AvgPool,
        "avg_pool_3x3",
        "mean of 3x3 pixels, padding not counted",
    ),
    (
        Operation::Skip,
        "skip_connect",
        "the value unchanged; at stride 2 a factorised reduction",
    ),
    (
        Operation::SepConv(3),
        "sep_conv_3x3",
        "depthwise 3x3 and pointwise convolution, twice",
    ),
    (
        Operation::SepConv(5),
        "sep_conv_5x5",
        "depthwise 5x5 and pointwise convolution, twice",
    ),
    (
        Operation::SepConv(7),
        "sep_conv_7x7",
        "depthwise 7x7 and pointwise convolution, twice",
    ),
    (
        Operation::DilConv(3),
        "dil_conv_3x3",
        "depthwise 3x3 of dilation 2 and pointwise convolution",
    ),
    (
        Operation::DilConv(5),
        "dil_conv_5x5",
        "depthwise 5x5 of dilation 2 and pointwise convolution",
    ),
    (
        Operation::Conv7x1,
        "conv_7x1_1x7",
        "1x7 and 7x1 convolution",
    ),
    (Operation::Conv(1), "conv_1x1", "1x1 convolution"),
    (Operation::Conv(3), "conv_3x3", "3x3 convolution"),
    (
        Operation::Hebbian,
        "hebbian_conv",
        "3x3 convolution by a Hebbian rule",
    ),
];

impl Operation {
    /// Its name, as in genotypes.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = OPERATIONS.iter().find(|(op, ..)| *op == self);
        found.map_or("", |(_, name, _)| name)
    }

    /// Whether a learning rule makes a difference to it: it has a layer.
    #[must_use]
    pub fn has_slots(self) -> bool {
        !matches!(
            self,
            Self::None | Self::MaxPool | Self::AvgPool | Self::Skip
        )
    }

    /// Whether it has weights at neither stride.
    #[must_use]
    pub fn is_free(self) -> bool {
        !self.has_slots()
    }

    /// The rule of its layers where none is named.
    #[must_use]
    pub fn usual_rule(self) -> &'static str {
        match self {
            Self::Hebbian => "hebbian/bionas",
            _ => "backprop",
        }
    }

    /// By its name; those of NAS-Bench-201 are understood too.
    ///
    /// # Errors
    /// Usage error with the nearest name.
    pub fn named(name: &str) -> Result<Self> {
        let name = match name {
            "nor_conv_1x1" => "conv_1x1",
            "nor_conv_3x3" => "conv_3x3",
            other => other,
        };
        if let Some((op, ..)) = OPERATIONS.iter().find(|(_, own, _)| *own == name) {
            return Ok(*op);
        }
        let e = Error::usage(format!("unknown operation `{name}`"));
        let names = OPERATIONS.iter().map(|(_, name, _)| *name);
        Err(match nearest(name, names.clone()) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => {
                let all: Vec<&str> = names.collect();
                e.hint(format!("there are `{}`", all.join("`, `")))
            }
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
