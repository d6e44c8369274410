//! The settings of a study file. `biorule sweep reference` prints them.

use crate::config::settings::{Kind, SectionDoc, Setting};
use crate::plan::define::{Described, Field, Tagged};
use crate::sweep::plan::{Constraint, Objective, PrunerPlan, SamplerPlan, Score};

/// The top of a study file.
pub const STUDY: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "",
        "name of the study and of its runs; absent: the file's name",
    ),
    Setting::new(
        "base",
        Kind::Texts,
        "[]",
        "configuration files (relative to the study's folder, or to the working folder) or names of experiments that every trial starts from, later ones on top",
    ),
    Setting::new(
        "preset",
        Kind::Texts,
        "[]",
        "presets laid under those",
    ),
    Setting::new(
        "config",
        Kind::Table("a configuration"),
        "",
        "settings of every trial, laid over `base`",
    ),
    Setting::new(
        "parameters",
        Kind::Table("parameters.NAME"),
        "",
        "what is varied, a table for each parameter; they are ordered by name",
    ),
    Setting::new(
        "objectives",
        <Vec<Objective>>::KIND,
        "",
        "what is wanted; with several, the trials that no other is better than are found",
    ),
    Setting::new(
        "constraints",
        <Vec<Constraint>>::KIND,
        "",
        "bounds on further metrics",
    ),
    Setting::new(
        "trials",
        Kind::Whole,
        "",
        "how many trials; absent with `grid`: all of it",
    )
    .range(1.0, 1e6),
    Setting::new(
        "seed",
        Kind::Whole,
        "0",
        "decides everything that is drawn to choose values; the seeds of runs are `seeds`",
    ),
    Setting::new(
        "seeds",
        Kind::Wholes,
        "",
        "seeds of each trial, a run for each; absent: those of the configuration",
    ),
    Setting::new(
        "score",
        Score::KIND,
        "\"mean\"",
        "what several seeds are worth together: their mean, or the end of its one-sided 95 % interval (Student's t) on the bad side",
    ),
    Setting::new(
        "parallel",
        Kind::Whole,
        "4",
        "so many trials may run side by side where a trial depends on earlier ones (`tpe`, `command`, pruning): trial n sees the results of trials 0 to n − parallel and no others, so that `--jobs` changes no result; `cma` has its population side by side, all else depends on nothing",
    )
    .range(1.0, 1e6),
    Setting::new(
        "sampler",
        SamplerPlan::KIND,
        "\"random\"",
        "how values are chosen; a word alone is its `kind`",
    ),
    Setting::new(
        "pruner",
        PrunerPlan::KIND,
        "\"none\"",
        "where a trial is given up; a word alone is its `kind`",
    ),
];

/// A table of `parameters`.
pub const PARAMETER: &[Setting] = &[
    Setting::new(
        "paths",
        Kind::Texts,
        "",
        "the settings that get the value, as in `--set`; one may stand without brackets; absent: the parameter's name",
    ),
    Setting::new(
        "low",
        Kind::Number,
        "",
        "smallest value; absent: that of the schema of the rule or setting",
    ),
    Setting::new("high", Kind::Number, "", "largest value; absent: as `low`"),
    Setting::new(
        "log",
        Kind::Flag,
        "false",
        "whether logarithms are spread evenly; `low` is above 0 then",
    ),
    Setting::new(
        "int",
        Kind::Flag,
        "",
        "whole numbers alone; absent: where the schema says so, or, where nothing is known, `low` and `high` have no point",
    ),
    Setting::new(
        "step",
        Kind::Number,
        "",
        "distance of two values; absent: 1 for whole numbers, else none",
    ),
    Setting::new(
        "points",
        Kind::Whole,
        "",
        "values that a grid takes of a range without steps, both ends among them",
    )
    .range(1.0, 1e6),
    Setting::new(
        "choices",
        Kind::Described,
        "",
        "a list of words, numbers, switches, lists or whole tables (a block, a rule with its hyperparameters), without an order; absent for a setting with words: those of its schema",
    ),
    Setting::new(
        "labels",
        Kind::Texts,
        "",
        "what the choices are called, for those that are tables or lists; absent: their `name`, `kind` or `set`, else their number",
    ),
    Setting::new(
        "when",
        Kind::Described,
        "",
        "a table: the parameter is active where each of these parameters has the choice, or one of the list of choices",
    ),
];

/// Every section of a study file, in the order of the page.
#[must_use]
pub fn sections() -> Vec<SectionDoc> {
    let mut all = vec![
        SectionDoc {
            place: "(study)",
            doc: "A study.",
            settings: STUDY,
        },
        SectionDoc {
            place: "parameters.NAME",
            doc: "A parameter. With a path alone, `\"blocks.conv1.rule.delta\" = {}`, its range is that of the rule's own schema.",
            settings: PARAMETER,
        },
        SectionDoc {
            place: "objectives[]",
            doc: "An objective.",
            settings: Objective::SETTINGS,
        },
        SectionDoc {
            place: "constraints[]",
            doc: "A bound. Trials that keep all come before those that do not.",
            settings: Constraint::SETTINGS,
        },
    ];
    let samplers = ["random", "tpe", "cma", "command"];
    let docs = [
        (
            "sampler (random, grid, sobol)",
            "Values that depend on the seed and the trial's number alone.",
        ),
        (
            "sampler (tpe)",
            "Tree-structured Parzen estimator over all parameters together, with conditions and bounds.",
        ),
        (
            "sampler (cma)",
            "CMA-ES over the numbers that are always active; choices and conditional parameters are drawn at random.",
        ),
        (
            "sampler (command)",
            "A program of yours, asked and told in JSON lines.",
        ),
    ];
    all.extend(
        samplers
            .iter()
            .zip(docs)
            .map(|(kind, (place, doc))| SectionDoc {
                place,
                doc,
                settings: SamplerPlan::settings(kind),
            }),
    );
    let pruners = ["median", "percentile", "asha"];
    let docs = [
        (
            "pruner (median)",
            "Gives up a trial whose best value so far is worse than the median of earlier trials in the same epoch (Golovin et al. 2017).",
        ),
        (
            "pruner (percentile)",
            "The same with another share than one half.",
        ),
        (
            "pruner (asha)",
            "Asynchronous successive halving (Li et al. 2020), without promotion: a trial that is not among the best of those before it at a rung is given up.",
        ),
    ];
    all.extend(
        pruners
            .iter()
            .zip(docs)
            .map(|(kind, (place, doc))| SectionDoc {
                place,
                doc,
                settings: PrunerPlan::settings(kind),
            }),
    );
    all
}
