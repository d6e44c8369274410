//! Settings of networks made of searched cells, and of the search for them.

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

/// The settings of `search`.
pub const SEARCH: &[Setting] = &[
    Setting::new(
        "space",
        Kind::Table("search.space"),
        "",
        "what may stand on the edges of cells; a word alone is `search.space.name`",
    ),
    Setting::new(
        "strategy",
        Kind::Table("search.strategy"),
        "\"random\"",
        "how genotypes are chosen; a word alone is its `kind`",
    ),
    Setting::new(
        "objectives",
        Kind::Texts,
        "[\"accuracy\"]",
        "what is asked of a genotype: `accuracy` (on the validation part, never on the test set), `robustness` (of a table), `parameters`, `multiply_adds` (of a forward pass of one sample); the first decides which one wins, and none that misses a bound wins before one that keeps all; the non-dominated set is of all of them",
    ),
    Setting::new(
        "bounds",
        Kind::Table("search.bounds"),
        "",
        "what a genotype has to keep; absent: nothing",
    ),
    Setting::new(
        "evaluator",
        Kind::Table("search.evaluator"),
        "\"training\"",
        "where the values of a genotype come from; a word alone is its `kind`",
    ),
    Setting::new(
        "final",
        Kind::Table("search.final"),
        "",
        "what is trained when the search is over, to be compared on the test set; absent: nothing",
    ),
];

/// The settings of `search.space`.
pub const SEARCH_SPACE: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "",
        "`darts`, `egnas`, `bionas`, `bionas22` or `nasbench201`; absent: the product of `operations` and `rules`",
    ),
    Setting::new(
        "operations",
        Kind::Texts,
        "[]",
        "operations of a space without a name; `operation@rule` stands for itself",
    ),
    Setting::new(
        "rules",
        Kind::Texts,
        "[]",
        "rules that fill the layers of `operations`, any of a loaded plugin; empty: the usual one of each",
    ),
    Setting::new(
        "network",
        Kind::Choice(&["darts", "nasbench201"]),
        "",
        "the network around the cells of a space without a name; absent: `darts`",
    ),
    Setting::new(
        "params",
        Kind::Described,
        "{}",
        "hyperparameters by rule: `params = { softhebb = { lr = 0.05 } }`",
    ),
    Setting::new(
        "exclude",
        Kind::Texts,
        "[]",
        "candidates that are left out; an operation alone stands for it with any rule",
    ),
    Setting::new(
        "nodes",
        Kind::Whole,
        "",
        "intermediate nodes of a cell; absent: 4, of `nasbench201` 3",
    )
    .range(1.0, 16.0),
];

const KIND_STRATEGY: Setting = Setting::new(
    "kind",
    Kind::Choice(&["random", "evolution", "halving"]),
    "\"random\"",
    "how genotypes are chosen",
);
/// Random search.
pub const STRATEGY_RANDOM: &[Setting] = &[
    KIND_STRATEGY,
    Setting::new(
        "evaluations",
        Kind::Whole,
        "20",
        "`random`: genotypes, each drawn evenly",
    )
    .range(1.0, 1e9)
    .source("Li and Talwalkar 2019"),
];
/// Regularised evolution.
pub const STRATEGY_EVOLUTION: &[Setting] = &[
    KIND_STRATEGY,
    Setting::new(
        "evaluations",
        Kind::Whole,
        "100",
        "`evolution`: genotypes in all, the first population included",
    )
    .range(1.0, 1e9)
    .source("Real et al. 2019"),
    Setting::new(
        "population",
        Kind::Whole,
        "20",
        "`evolution`: genotypes that live at a time; the oldest dies",
    )
    .range(1.0, 1e9)
    .source("Real et al. 2019: 100"),
    Setting::new(
        "sample",
        Kind::Whole,
        "5",
        "`evolution`: so many of them are drawn, and the best has a child with one change",
    )
    .range(1.0, 1e9)
    .source("Real et al. 2019: 25"),
];
/// Successive halving.
pub const STRATEGY_HALVING: &[Setting] = &[
    KIND_STRATEGY,
    Setting::new(
        "genotypes",
        Kind::Whole,
        "27",
        "`halving`: genotypes that start, each drawn evenly",
    )
    .range(1.0, 1e9)
    .source("Jamieson and Talwalkar 2016"),
    Setting::new(
        "keep",
        Kind::Whole,
        "3",
        "`halving`: one in so many goes on, trained anew with so many times the epochs; the last with all that the phases say",
    )
    .range(2.0, 1e9),
];

/// The settings of `search.bounds`.
pub const SEARCH_BOUNDS: &[Setting] = &[
    Setting::new("accuracy", Kind::Number, "", "least accuracy").range(0.0, 100.0),
    Setting::new("robustness", Kind::Number, "", "least robustness").range(0.0, 100.0),
    Setting::new(
        "parameters",
        Kind::Number,
        "",
        "most trained numbers; a network with more is not trained",
    )
    .min(1.0),
    Setting::new(
        "multiply_adds",
        Kind::Number,
        "",
        "most products for one sample, forward; a network with more is not trained",
    )
    .min(1.0),
];

const KIND_EVALUATOR: Setting = Setting::new(
    "kind",
    Kind::Choice(&["training", "table"]),
    "\"training\"",
    "`training`: the network of a genotype is trained as the configuration says, in a run folder of its own; `table`: its values are read from a file",
);
/// Training.
pub const EVALUATOR_TRAINING: &[Setting] = &[KIND_EVALUATOR];
/// A table.
pub const EVALUATOR_TABLE: &[Setting] = &[
    KIND_EVALUATOR,
    Setting::new(
        "file",
        Kind::Text,
        "",
        "`table`: CSV or JSON with a column `architecture` (DARTS's text, a string of NAS-Bench-201 or a genotype's JSON) and one for each objective",
    ),
];

/// The settings of `search.final`.
pub const SEARCH_FINAL: &[Setting] = &[
    Setting::new(
        "epochs",
        Kind::Number,
        "1.0",
        "so many times the epochs of an evaluation",
    )
    .range(0.001, 1e6),
    Setting::new(
        "random",
        Kind::Whole,
        "1",
        "random genotypes that are trained as the winner is",
    )
    .range(0.0, 1000.0),
    Setting::new(
        "random_rules",
        Kind::Whole,
        "0",
        "genotypes with the winner's operations and random rules of the space that are trained as the winner is: what is left when the mix of rules is not searched",
    )
    .range(0.0, 1000.0),
];

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    let section = |place, doc, settings| SectionDoc {
        place,
        doc,
        settings,
    };
    vec![
        section(
            "network",
            "A network of cells, in place of `blocks`: it becomes them, and `biorule config show` prints them.",
            CELLS,
        ),
        section(
            "search",
            "A search for a genotype (`biorule search`). The rest of the configuration says how the network of a genotype is trained; the seed is that of the search too.",
            SEARCH,
        ),
        section(
            "search.space",
            "What may be found. Also as a word: `space = \"bionas\"`.",
            SEARCH_SPACE,
        ),
        section(
            "search.strategy (random)",
            "Each genotype drawn evenly. Also as a word: `strategy = \"random\"`.",
            STRATEGY_RANDOM,
        ),
        section(
            "search.strategy (evolution)",
            "Regularised evolution: the oldest genotype dies, the best of a sample has a changed copy.",
            STRATEGY_EVOLUTION,
        ),
        section(
            "search.strategy (halving)",
            "Successive halving: many genotypes are trained a little, the best part of them longer, and so on.",
            STRATEGY_HALVING,
        ),
        section(
            "search.bounds",
            "Bounds on objectives; one that is not among `objectives` is added at their end.",
            SEARCH_BOUNDS,
        ),
        section(
            "search.evaluator (training)",
            "Also as a word: `evaluator = \"training\"`.",
            EVALUATOR_TRAINING,
        ),
        section(
            "search.evaluator (table)",
            "Values from a file, for spaces whose every architecture was trained once.",
            EVALUATOR_TABLE,
        ),
        section(
            "search.final",
            "Trainings after the search, under the seed after the search's: the winner's and others' that are trained alike. They choose nothing.",
            SEARCH_FINAL,
        ),
    ]
}
