//! Settings of networks made of searched cells, and of the search for them.

use super::{Kind, SectionDoc, Setting};
use crate::plan::define::{Described, Tagged};
use crate::search::network::CellsPlan;
use crate::search::plan::{EvaluatorPlan, StrategyPlan, SupernetPlan};
use crate::search::rank::RankPlan;
use crate::search::robustness::RobustnessPlan;

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
        "what is asked of a genotype: `accuracy` (on the validation part, never on the test set), `robustness` (on the same samples, attacked as `robustness` says), `parameters`, `multiply_adds` (of a forward pass of one sample), `score` (of a proxy, and with one the default); the first decides which one wins, and none that misses a bound wins before one that keeps all; the non-dominated set is of all of them",
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
        "robustness",
        Kind::Table("search.robustness"),
        "",
        "the attack behind the objective `robustness`, after each training; a word alone is its `method`",
    ),
    Setting::new(
        "supernet",
        Kind::Table("search.supernet"),
        "",
        "the supernet of `darts`, `gdas` and `eg`, and its training",
    ),
    Setting::new(
        "final",
        Kind::Table("search.final"),
        "",
        "what is trained when the search is over, to be compared on the test set; absent: nothing",
    ),
    Setting::new(
        "rank",
        Kind::Table("search.rank"),
        "",
        "values without training that are compared with the accuracies after it when the search is over; absent: none",
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
            CellsPlan::SETTINGS,
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
            StrategyPlan::settings("random"),
        ),
        section(
            "search.strategy (evolution)",
            "Regularised evolution: the oldest genotype dies, the best of a sample has a changed copy.",
            StrategyPlan::settings("evolution"),
        ),
        section(
            "search.strategy (halving)",
            "Successive halving: many genotypes are trained a little, the best part of them longer, and so on.",
            StrategyPlan::settings("halving"),
        ),
        section(
            "search.strategy (list)",
            "The genotypes of a file.",
            StrategyPlan::settings("list"),
        ),
        section(
            "search.strategy (darts)",
            "A supernet in which every candidate stands on every edge; architecture and weights learn in turn.",
            StrategyPlan::settings("darts"),
        ),
        section(
            "search.strategy (gdas)",
            "A supernet of which each step runs one drawn candidate an edge.",
            StrategyPlan::settings("gdas"),
        ),
        section(
            "search.strategy (eg)",
            "A supernet whose architecture steps towards what an evolution strategy finds before each epoch; its own optimiser has no part in it.",
            StrategyPlan::settings("eg"),
        ),
        section(
            "search.supernet",
            "The supernet of `darts`, `gdas` and `eg`. The genotype that is derived from it is evaluated once, as the rest of the configuration says.",
            SupernetPlan::SETTINGS,
        ),
        section(
            "search.bounds",
            "Bounds on objectives; one that is not among `objectives` is added at their end.",
            SEARCH_BOUNDS,
        ),
        section(
            "search.evaluator (training)",
            "Also as a word: `evaluator = \"training\"`.",
            EvaluatorPlan::settings("training"),
        ),
        section(
            "search.evaluator (table)",
            "Values from a file, for spaces whose every architecture was trained once.",
            EvaluatorPlan::settings("table"),
        ),
        section(
            "search.evaluator (proxy)",
            "Nothing is trained; `search.final` trains the winner.",
            EvaluatorPlan::settings("proxy"),
        ),
        section(
            "search.evaluator (supernet)",
            "Genotypes inside a supernet that an earlier search has trained; nothing else is trained.",
            EvaluatorPlan::settings("supernet"),
        ),
        section(
            "search.rank",
            "How far values that cost no training rank genotypes as their accuracies after training do.",
            RankPlan::SETTINGS,
        ),
        section(
            "search.robustness",
            "The attack of the objective `robustness`. Also as a word: `robustness = \"apgd\"`.",
            RobustnessPlan::SETTINGS,
        ),
        section(
            "search.final",
            "Trainings after the search, under the seed after the search's: the winner's and others' that are trained alike. They choose nothing.",
            SEARCH_FINAL,
        ),
    ]
}
