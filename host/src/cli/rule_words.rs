//! What a rule and its hyperparameters are, in words.

use crate::config::{ParamKind, ParamSchema, ParamValue, RuleSchema};

/// Kinds of layers.
pub(super) fn layers(rule: &RuleSchema) -> String {
    match (rule.dense, rule.conv) {
        (true, true) => "dense, conv",
        (true, false) => "dense",
        (false, true) => "conv",
        (false, false) => "none",
    }
    .to_owned()
}

/// Of a rule that says so of itself.
pub(super) const LEARNS_IN_EVALUATION: &str = "learns there too, as its settings below say: test images then \
     train the network, and results depend on how often it is evaluated";

/// Kind, range and unit.
pub(super) fn kind_text(p: &ParamSchema) -> String {
    let mut text = match &p.kind {
        ParamKind::Bool => "true, false".to_owned(),
        ParamKind::Int => "whole number".to_owned(),
        ParamKind::Float => "number".to_owned(),
        ParamKind::Text => "text".to_owned(),
        ParamKind::Choice(words) => words.join(", "),
    };
    match (p.min, p.max) {
        (Some(low), Some(high)) => text.push_str(&format!(" {low} to {high}")),
        (Some(low), None) => text.push_str(&format!(" ≥ {low}")),
        (None, Some(high)) => text.push_str(&format!(" ≤ {high}")),
        (None, None) => {}
    }
    if !p.unit.is_empty() {
        text.push_str(&format!(", {}", p.unit));
    }
    text
}

/// The value alone.
pub(super) fn value_text(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(b) => b.to_string(),
        ParamValue::Int(i) => i.to_string(),
        ParamValue::Float(x) => x.to_string(),
        ParamValue::Text(s) => s.clone(),
    }
}
