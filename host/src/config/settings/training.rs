//! Settings of training: phases, their short form, optimisers, schedules.

use super::{Kind, SectionDoc, Setting};
use crate::plan::define::{Described, Tagged};
use crate::plan::setting::setting_of;
use crate::plan::{
    CachePlan, GroupPlan, LocalRatePlan, OptimizerPlan, PhasePlan, SchedulePlan, StopPlan,
};

/// A setting of phases, as `training` has it too.
const fn phase(key: &str) -> Setting {
    setting_of(PhasePlan::SETTINGS, key)
}

/// The settings of `training`.
pub const TRAINING: &[Setting] = &[
    Setting::new(
        "mode",
        Kind::Choice(&["successive", "consecutive", "simultaneous", "end-to-end"]),
        "",
        "one phase per block; all local blocks, then all gradient blocks; all blocks in one phase; one gradient phase. Absent: simultaneous where a block such as a graph of cells has local and error-driven rules, successive where another rule is local, else end-to-end",
    )
    .source("SoftHebb training modes"),
    Setting::new(
        "local",
        Kind::Table("training.local"),
        "",
        "phases whose rules learn from their own activity",
    ),
    Setting::new(
        "gradient",
        Kind::Table("training.gradient"),
        "",
        "phases whose rules learn from the loss",
    ),
];

/// The settings of `training.local`.
pub const LOCAL: &[Setting] = &[
    phase("data"),
    phase("epochs"),
    phase("batch").default_of("10"),
    phase("shuffle"),
    phase("seed"),
    phase("drop_last"),
    phase("augment"),
    phase("evaluate_every").default_of("0"),
    phase("local_rate"),
    phase("stop"),
    phase("neuron_labels"),
    phase("cache"),
];

/// The settings of `training.gradient`.
pub const GRADIENT: &[Setting] = &[
    phase("data"),
    phase("epochs").default_of("10"),
    phase("batch"),
    phase("shuffle"),
    phase("seed"),
    phase("drop_last"),
    phase("augment"),
    phase("evaluate_every"),
    phase("loss"),
    phase("class_weights"),
    phase("label_smoothing"),
    phase("gradient_clip"),
    phase("optimizer"),
    phase("groups"),
    phase("schedule"),
    phase("warmup_epochs"),
    phase("warmup_steps"),
    phase("stop"),
    phase("cache"),
];

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    let section = |place, doc, settings| SectionDoc {
        place,
        doc,
        settings,
    };
    vec![
        section("training", "Short form of `phases`.", TRAINING),
        section("training.local", "Phases of local rules.", LOCAL),
        section(
            "training.gradient",
            "Phases of error-driven rules.",
            GRADIENT,
        ),
        section("phases[]", "One stretch of training.", PhasePlan::SETTINGS),
        section(
            "phases[].optimizer (sgd)",
            "v ← μ v + g; p ← p − η v.",
            OptimizerPlan::settings("sgd"),
        ),
        section(
            "phases[].optimizer (adam)",
            "Adam with bias correction.",
            OptimizerPlan::settings("adam"),
        ),
        section(
            "phases[].groups[]",
            "Tensors with an optimiser of their own.",
            GroupPlan::SETTINGS,
        ),
        section(
            "phases[].schedule (steps)",
            "`constant` and `softhebb` take nothing.",
            SchedulePlan::settings("steps"),
        ),
        section(
            "phases[].schedule (cosine)",
            "Half a cosine.",
            SchedulePlan::settings("cosine"),
        ),
        section(
            "phases[].schedule (linear)",
            "lr + (floor − lr)·epoch/epochs.",
            SchedulePlan::settings("linear"),
        ),
        section(
            "phases[].schedule (exponential)",
            "lr·gamma^epoch.",
            SchedulePlan::settings("exponential"),
        ),
        section(
            "phases[].schedule (formula)",
            "A text with a digit or an operator alone means this: `schedule = \"0.97^epoch\"`. Variables: `b` (batches that the phase has seen), `step` (batches that the epoch has seen), `epoch` (finished epochs), `steps` (batches in an epoch), `epochs`. Operators: `+ - * / // % ^ **` and parentheses. Functions: `exp`, `log`, `log2`, `log10`, `sqrt`, `sin`, `cos`, `tan`, `tanh`, `abs`, `floor`, `ceil`, `min`, `max`, `pow`; constants `pi` and `e`. A value that is below 0, infinite or not a number at any batch is refused before training. For learning rates of its own instead of a factor, set `lr = 1`.",
            SchedulePlan::settings("formula"),
        ),
        section(
            "phases[].local_rate (constant)",
            "A number alone means this.",
            LocalRatePlan::settings("constant"),
        ),
        section(
            "phases[].local_rate (exponential)",
            "end − (end − start)·exp(−speed·b/B) at batch b, B batches an epoch.",
            LocalRatePlan::settings("exponential"),
        ),
        section(
            "phases[].local_rate (linear)",
            "start·(1 − epoch/epochs).",
            LocalRatePlan::settings("linear"),
        ),
        section(
            "phases[].local_rate (formula)",
            "A text alone means this: `local_rate = \"0.02/(1+b)\"`. Variables, operators and functions are those of a schedule by formula.",
            LocalRatePlan::settings("formula"),
        ),
        section(
            "phases[].stop",
            "Looked at after each epoch.",
            StopPlan::SETTINGS,
        ),
        section(
            "phases[].cache",
            "Keeping the output of a frozen prefix.",
            CachePlan::SETTINGS,
        ),
    ]
}
