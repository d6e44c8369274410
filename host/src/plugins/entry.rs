//! A rule as its plugin presents it, before it is bound to a layer.

use std::sync::Arc;

use biorule_plugin_api::abi::root::{RawRuleInfo, flags, kinds};
use biorule_plugin_api::sdk::{Claims, ParamSpec};

use super::load::Plugin;
use crate::nn::rule::{Credit, RuleFacts};

/// A rule as its plugin presents it.
#[derive(Clone, Debug)]
pub struct RuleEntry {
    /// Name in configs.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Where it comes from.
    pub paper: String,
    /// What the host must know of it.
    pub facts: RuleFacts,
    /// Serves dense layers.
    pub dense: bool,
    /// Serves convolutions.
    pub conv: bool,
    /// What it claims of itself.
    pub claims: Claims,
    /// Hyperparameters.
    pub params: Vec<ParamSpec>,
    /// Where it lives.
    pub plugin: Arc<Plugin>,
    /// Its number there.
    pub(super) number: u32,
}

impl RuleEntry {
    /// The rule that `plugin` presents as its `number`-th.
    pub(super) fn new(
        raw: &RawRuleInfo,
        number: u32,
        plugin: &Arc<Plugin>,
    ) -> Result<Self, String> {
        let credit = Credit::from_code(raw.credit).ok_or_else(|| {
            format!(
                "rule `{}` has credit number {}, which this host does not know",
                raw.name, raw.credit.0
            )
        })?;
        if raw.name.is_empty()
            || raw
                .name
                .chars()
                .any(|c| !(c.is_ascii_alphanumeric() || "-_/".contains(c)))
        {
            return Err(format!(
                "rule name `{}` is not made of letters, digits, `-`, `_` and `/`",
                raw.name
            ));
        }
        let (flag, claims) = (|flag| raw.flags & flag != 0, Claims(raw.claims));
        Ok(Self {
            name: raw.name.to_string(),
            summary: raw.summary.to_string(),
            paper: raw.paper.to_string(),
            facts: RuleFacts {
                also_local: flag(flags::ALSO_LOCAL),
                wants_target: flag(flags::TARGET),
                stochastic: flag(flags::STOCHASTIC),
                learns_in_evaluation: flag(flags::IN_EVALUATION),
                learns_from_input: claims.contains(Claims::FROM_INPUT),
                ..RuleFacts::new(credit)
            },
            dense: raw.kinds & kinds::DENSE != 0,
            conv: raw.kinds & kinds::CONV != 0,
            claims,
            params: raw.params.iter().map(ParamSpec::from_raw).collect(),
            plugin: plugin.clone(),
            number,
        })
    }
}
