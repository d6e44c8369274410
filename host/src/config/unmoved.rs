//! Layers that a phase lists and that no phase moves: a rule learns by what drives its phase, and a
//! layer that stays as it was drawn without a word looks like one that learned.

use std::collections::BTreeMap;

use super::Warnings;
use super::context::{Credit, PlanContext};
use super::plan::{BlockPlan, Drive, PhasePlan, RunPlan};
use crate::Result;

/// Warns about such layers, once for each block and rule.
///
/// # Errors
/// Plugin error for a rule that is not there.
pub(super) fn plan(
    plan: &RunPlan,
    context: &dyn PlanContext,
    warnings: &mut Warnings,
) -> Result<()> {
    for block in &plan.blocks {
        let mut still = BTreeMap::new();
        walk(block, &[], plan, context, &mut still)?;
        for (rule, layers) in still {
            let local = context.rule(&rule)?.credit == Credit::Local;
            let (how, drives) = match local {
                true => ("a local rule", "`local` or `both`"),
                false => ("a rule that is driven by the error", "`gradient` or `both`"),
            };
            let which = match (block.layer.is_some(), layers) {
                (true, 1) => format!("block `{}`, whose rule `{rule}`", block.name),
                (_, 1) => format!(
                    "block `{}`, one of whose layers has the rule `{rule}` that",
                    block.name
                ),
                (_, n) => format!(
                    "block `{}`, {n} of whose layers have the rule `{rule}` that",
                    block.name
                ),
            };
            warnings.add(format!(
                "a phase lists {which} no phase moves: {how} learns in phases whose `drive` is {drives}"
            ));
        }
    }
    Ok(())
}

/// Counts the layers of `block` that only the wrong phases list, by rule; `above` are phases that
/// list what it stands in.
fn walk<'a>(
    block: &BlockPlan,
    above: &[&'a PhasePlan],
    plan: &'a RunPlan,
    context: &dyn PlanContext,
    still: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let mut listing = above.to_vec();
    listing.extend(
        plan.phases
            .iter()
            .filter(|p| p.blocks.contains(&block.name)),
    );
    if let Some(layer) = block.layer.as_ref().filter(|_| !listing.is_empty()) {
        let schema = context.rule(&layer.rule)?;
        let local = schema.credit == Credit::Local;
        let moves = |p: &&PhasePlan| match p.drive {
            Drive::Both => true,
            Drive::Local => local || schema.also_local,
            Drive::Gradient => !local,
        };
        if !listing.iter().any(moves) {
            *still.entry(layer.rule.clone()).or_default() += 1;
        }
    }
    for inner in block.inside().flatten() {
        walk(inner, &listing, plan, context, still)?;
    }
    Ok(())
}
