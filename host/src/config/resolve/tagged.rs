//! Tables whose `kind` decides which settings they have: activations,
//! optimisers, schedules, local rates, what searches choose by and evaluate with.

use config::ValueKind;

use crate::config::section::Section;
use crate::config::settings::{self, Setting};
use crate::config::shown::Shown;
use crate::config::value::{self, Table};
use crate::plan::{ActivationPlan, LocalRatePlan, OptimizerPlan, SchedulePlan};
use crate::search::plan::{EvaluatorPlan, StrategyPlan};
use crate::{Error, Result};

/// A table as it is shown.
type ShownTable = Vec<(String, Shown)>;

/// Opens `table` with the settings of its kind, which is read and returned.
fn open(
    path: &str,
    table: Table,
    settings: impl Fn(&str) -> &'static [Setting],
) -> Result<(String, Section)> {
    let kind = match table.get("kind").map(|k| &k.kind) {
        Some(ValueKind::String(word)) => word.clone(),
        _ => String::new(),
    };
    let settings = settings(&kind);
    // The kind goes first, so that a wrong one is not hidden by its settings.
    let only = table.get("kind").cloned().map(|k| ("kind".to_owned(), k));
    let mut probe = Section::open(path, Table::from_iter(only), settings)?;
    let kind: String = probe.choice("kind")?;
    let mut section = Section::open(path, table, settings).map_err(|e| with_kind(e, &kind))?;
    let kind: String = section.choice("kind").unwrap_or(kind);
    Ok((kind, section))
}

fn with_kind(mut e: Error, kind: &str) -> Error {
    e.text = format!("{} for the kind `{kind}`", e.text);
    e
}

/// Reads an activation.
pub(super) fn activation(path: &str, table: Table) -> Result<(ActivationPlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "triangle" | "repu" => settings::ACTIVATION_POWER,
        "softmax" | "exp" | "tanh" | "sigmoid" => settings::ACTIVATION_GAIN,
        _ => settings::ACTIVATION_PLAIN,
    })?;
    let plan = match kind.as_str() {
        "triangle" => ActivationPlan::Triangle {
            power: s.number("power")?,
        },
        "repu" => ActivationPlan::Repu {
            power: s.number("power")?,
        },
        "softmax" => ActivationPlan::Softmax {
            gain: s.number("gain")?,
        },
        "exp" => ActivationPlan::Exp {
            gain: s.number("gain")?,
        },
        "tanh" => ActivationPlan::Tanh {
            gain: s.number("gain")?,
        },
        "sigmoid" => ActivationPlan::Sigmoid {
            gain: s.number("gain")?,
        },
        _ => ActivationPlan::Relu,
    };
    Ok((plan, s.close()))
}

/// Reads an optimiser.
pub(super) fn optimizer(path: &str, table: Table) -> Result<(OptimizerPlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "sgd" => settings::SGD,
        _ => settings::ADAM,
    })?;
    let plan = if kind == "sgd" {
        OptimizerPlan::Sgd {
            lr: s.number("lr")?,
            momentum: s.number("momentum")?,
            weight_decay: s.number("weight_decay")?,
            decoupled_decay: s.number("decoupled_decay")?,
        }
    } else {
        OptimizerPlan::Adam {
            lr: s.number("lr")?,
            betas: s.two_numbers("betas")?,
            eps: s.number("eps")?,
            weight_decay: s.number("weight_decay")?,
            decoupled_decay: s.number("decoupled_decay")?,
        }
    };
    Ok((plan, s.close()))
}

/// Reads a schedule.
pub(super) fn schedule(path: &str, table: Table) -> Result<(SchedulePlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "steps" => settings::SCHEDULE_STEPS,
        "exponential" => settings::SCHEDULE_EXPONENTIAL,
        "cosine" => settings::SCHEDULE_COSINE,
        "linear" => settings::SCHEDULE_LINEAR,
        "formula" => settings::SCHEDULE_FORMULA,
        _ => settings::SCHEDULE_PLAIN,
    })?;
    let plan = match kind.as_str() {
        "steps" => SchedulePlan::Steps {
            epochs: s.wholes("epochs")?,
            gamma: s.number("gamma")?,
        },
        "cosine" => SchedulePlan::Cosine {
            floor: s.number("floor")?,
        },
        "linear" => SchedulePlan::Linear {
            floor: s.number("floor")?,
        },
        "exponential" => SchedulePlan::Exponential {
            gamma: s.number("gamma")?,
        },
        "softhebb" => SchedulePlan::Softhebb,
        "formula" => SchedulePlan::Formula {
            factor: s.formula("factor")?,
        },
        _ => SchedulePlan::Constant,
    };
    Ok((plan, s.close()))
}

/// Reads how a search chooses.
pub(super) fn strategy(path: &str, table: Table) -> Result<(StrategyPlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "evolution" => settings::STRATEGY_EVOLUTION,
        "halving" => settings::STRATEGY_HALVING,
        _ => settings::STRATEGY_RANDOM,
    })?;
    let plan = match kind.as_str() {
        "evolution" => StrategyPlan::Evolution {
            evaluations: s.whole("evaluations")?,
            population: s.whole("population")?,
            sample: s.whole("sample")?,
        },
        "halving" => StrategyPlan::Halving {
            genotypes: s.whole("genotypes")?,
            keep: s.whole("keep")?,
        },
        _ => StrategyPlan::Random {
            evaluations: s.whole("evaluations")?,
        },
    };
    Ok((plan, s.close()))
}

/// Reads where a search has its values from.
pub(super) fn evaluator(path: &str, table: Table) -> Result<(EvaluatorPlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "table" => settings::EVALUATOR_TABLE,
        _ => settings::EVALUATOR_TRAINING,
    })?;
    let plan = match kind.as_str() {
        "table" => EvaluatorPlan::Table {
            file: s.text("file")?.into(),
        },
        _ => EvaluatorPlan::Training,
    };
    Ok((plan, s.close()))
}

/// Reads a local rate.
pub(super) fn local_rate(path: &str, table: Table) -> Result<(LocalRatePlan, ShownTable)> {
    let (kind, mut s) = open(path, table, |kind| match kind {
        "exponential" => settings::RATE_EXPONENTIAL,
        "linear" => settings::RATE_LINEAR,
        "formula" => settings::RATE_FORMULA,
        _ => settings::RATE_CONSTANT,
    })?;
    let plan = match kind.as_str() {
        "exponential" => LocalRatePlan::Exponential {
            start: s.number("start")?,
            end: s.number("end")?,
            speed: s.number("speed")?,
        },
        "linear" => LocalRatePlan::Linear {
            start: s.number("start")?,
        },
        "formula" => LocalRatePlan::Formula {
            value: s.formula("value")?,
        },
        _ => LocalRatePlan::Constant {
            value: s.number("value")?,
        },
    };
    Ok((plan, s.close()))
}

/// Where the first value of `table` was set.
pub(super) fn first_origin(table: &Table) -> String {
    let mut origins: Vec<String> = table.values().map(value::origin).collect();
    origins.sort();
    origins
        .into_iter()
        .next()
        .unwrap_or_else(|| value::DEFAULT.to_owned())
}
