//! Networks whose layers learn from errors, for tests: plans ([`plans`]), a source
//! of rules that listens at every layer ([`record`]), a network with its optimiser
//! ([`trial`]), and the two kinds of golden files of the feedback rules
//! ([`bioflax`], [`biotorch`]).

pub mod bioflax;
pub mod biotorch;
pub mod plans;
pub mod record;
pub mod single;
pub mod trial;

use crate::golden::Tolerance;

/// Tolerance of the feedback vectors, from their README.
pub const TOLERANCE: Tolerance = Tolerance::Each {
    absolute: 2e-5,
    relative: 2e-4,
};

/// The rule that a golden file's metadata calls `name`.
///
/// # Errors
/// Neither reference has such a rule.
pub fn rule_name(name: &str) -> crate::Result<&'static str> {
    Ok(match name {
        "bp" | "backpropagation" => "backprop",
        "fa" => "feedback-alignment/fa",
        "usf" => "feedback-alignment/usf",
        "brsf" => "feedback-alignment/brsf",
        "frsf" => "feedback-alignment/frsf",
        "kp" => "kolen-pollack",
        "dfa" => "direct-feedback-alignment/dfa",
        other => return Err(format!("no rule is called `{other}`").into()),
    })
}
