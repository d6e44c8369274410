//! Settings of networks made of searched cells.

use super::{Kind, SectionDoc, Setting};

/// The settings of a network that is made from a genotype.
pub const CELLS: &[Setting] = &[
    Setting::new(
        "genotype",
        Kind::Text,
        "",
        "a genotype's file (JSON, DARTS's text or a string of NAS-Bench-201), the folder of a search, or the name of a published one (`biorule genotype show` lists them); `--genotype` sets it",
    ),
    Setting::new(
        "channels",
        Kind::Whole,
        "36",
        "channels of the first cells, doubled at each reduction; even",
    )
    .range(1.0, 1_048_576.0)
    .source("Liu et al. 2019: 36 on CIFAR-10, 48 on ImageNet, 16 in search"),
    Setting::new(
        "cells",
        Kind::Whole,
        "20",
        "cells; those at one and two thirds are reduction cells",
    )
    .range(1.0, 1000.0)
    .source("Liu et al. 2019: 20 on CIFAR-10, 14 on ImageNet, 8 in search"),
    Setting::new(
        "stem",
        Kind::Choice(&["cifar", "imagenet"]),
        "\"cifar\"",
        "what images pass first: one convolution to three times `channels`, or three convolutions of stride 2",
    ),
    Setting::new(
        "rule_scope",
        Kind::Choice(&["ops", "ops+skip", "all"]),
        "\"ops\"",
        "which layers learn by the rules of the genotype: those of its operations, also the reduction that `skip_connect@rule` is at stride 2, or these and all others by `rule`; the rest learns by `backprop`",
    )
    .source("BioNAS: `ops`"),
    Setting::new(
        "rule",
        Kind::Text,
        "",
        "with `rule_scope = \"all\"`: the rule of stem, cell inputs and classifier",
    ),
    Setting::new(
        "auxiliary",
        Kind::Number,
        "0.0",
        "weight of the loss of an auxiliary head behind the cell at two thirds, in training; 0 is none",
    )
    .min(0.0)
    .source("Liu et al. 2019: 0.4"),
    Setting::new(
        "drop_path",
        Kind::Number,
        "0.0",
        "probability that a sample loses what an edge of a cell brings, in training; skips that change nothing are spared",
    )
    .range(0.0, 0.999_999)
    .source("Liu et al. 2019: 0.2 on CIFAR-10"),
    Setting::new(
        "drop_path_ramp",
        Kind::Flag,
        "true",
        "`drop_path` grows with the epochs from 0; off: it is the same from the start",
    )
    .source("Liu et al. 2019; BioNAS: off"),
];

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    vec![SectionDoc {
        place: "network",
        doc: "A network of cells, in place of `blocks`: it becomes them, and `biorule config show` prints them.",
        settings: CELLS,
    }]
}
