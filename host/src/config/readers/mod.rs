//! Who reads a setting, and where nobody does. Every setting has an entry in `table`; a value that
//! somebody set and that nothing reads in this plan is warned about, so that no wish is lost
//! without a word.

mod given;
mod reader;
mod table;
mod unread;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub use given::{Given, exists, locate};
pub use reader::{Place, Reader};
pub use table::PLACES;

use super::Warnings;
use super::context::PlanContext;
use super::plan::RunPlan;
use super::resolve::expand::{FROM_LOCAL, Source};
use super::settings::base;
use crate::Result;
use crate::plan::every_block;
use given::Leaf;
use reader::Scene;

/// Warns about every value of `given` that nothing in `plan` reads. `sources` says for each phase
/// which part of `training` it was made from; empty where the phases are written out.
///
/// # Errors
/// Plugin error for an unknown rule.
pub fn check(
    given: &Given,
    plan: &RunPlan,
    sources: &[Source],
    context: &dyn PlanContext,
    warnings: &mut Warnings,
) -> Result<()> {
    let mut told = BTreeSet::new();
    let unread = OnceCell::new();
    for leaf in given.wishes() {
        let scene = Scene {
            plan,
            context,
            given,
            unread: &unread,
            phase: None,
            block: None,
            set: None,
        };
        let Some((path, why)) = scene.ignored(leaf, sources)? else {
            continue;
        };
        if told.insert(path.clone()) {
            warnings.add(format!(
                "`{path}` (from {}) has no effect: {why}",
                leaf.origin
            ));
        }
    }
    for name in given.extra_data() {
        let is_told = told.contains(&format!("extra_data.{name}"));
        if !is_told && !plan.phases.iter().any(|phase| phase.data == name) {
            warnings.add(format!(
                "`extra_data.{name}` has no effect: no phase has `data = \"{name}\"`"
            ));
        }
    }
    unread::missing_folders(plan, warnings);
    unread::empty_augmentation(plan, sources, warnings);
    Ok(())
}

impl<'a> Scene<'a> {
    /// The path of `leaf` and why nothing reads it.
    fn ignored(self, leaf: &Leaf, sources: &[Source]) -> Result<Option<(String, String)>> {
        let steps: Vec<&str> = leaf.steps.iter().map(String::as_str).collect();
        let whole = || leaf.steps.join(".");
        let plan = self.plan;
        let why = match steps[..] {
            ["training", part @ ("local" | "gradient"), key, ..] => {
                return Ok(self
                    .training(leaf, part, key, sources)?
                    .map(|why| (whole(), why)));
            }
            // Hyperparameters of the shared rule go with it.
            ["rule", key, ..] => {
                if let Some(why) = unread::rule_for_nobody(&self)? {
                    return Ok(Some(("rule".to_owned(), why)));
                }
                unread::unread_hyperparameter(&self, key, &leaf.value)?
            }
            ["extra_data", name, ..] => {
                if !plan.phases.iter().any(|phase| phase.data == name) {
                    let why = format!("no phase has `data = \"{name}\"`");
                    return Ok(Some((format!("extra_data.{name}"), why)));
                }
                let set = plan.extra_data.get_key_value(name);
                let set = set.map(|(name, set)| (name.as_str(), set));
                Self { set, ..self }.why(leaf)?
            }
            ["data", "parts", name]
                if plan.phases.iter().all(|phase| phase.data != name)
                    && plan.data.validation_part.as_deref() != Some(name) =>
            {
                Some(format!("no phase has `data = \"{name}\"`"))
            }
            ["data", ..] => {
                let set = Some(("train", &plan.data));
                Self { set, ..self }.why(leaf)?
            }
            ["blocks", ..] => {
                let blocks = every_block(&plan.blocks);
                let names = leaf.steps.iter().rev();
                let block = names
                    .filter_map(|step| blocks.iter().find(|b| b.name == *step))
                    .next()
                    .copied();
                Self { block, ..self }.why(leaf)?
            }
            ["phases", name, ..] => {
                let phase = plan.phases.iter().find(|phase| phase.name == name);
                Self { phase, ..self }.why(leaf)?
            }
            _ => self.why(leaf)?,
        };
        Ok(why.map(|why| (whole(), why)))
    }

    /// Why no phase that was made from `training.PART` reads its setting.
    fn training(
        self,
        leaf: &Leaf,
        part: &str,
        key: &str,
        sources: &[Source],
    ) -> Result<Option<String>> {
        let takes = |source: &Source| match (part, source) {
            ("local", Source::Local) | ("gradient", Source::Gradient | Source::Both) => true,
            ("local", Source::Both) => FROM_LOCAL.contains(&key),
            _ => false,
        };
        let mut last = None;
        for (phase, source) in self.plan.phases.iter().zip(sources) {
            if !takes(source) {
                continue;
            }
            let phase = Some(phase);
            match (Self { phase, ..self }).why(leaf)? {
                None => return Ok(None),
                Some(why) => last = Some(why),
            }
        }
        Ok(Some(last.unwrap_or_else(|| match part {
            "local" if sources.contains(&Source::Both) => {
                "phases that learn from labels or from loss and activity together take this from `training.gradient`".to_owned()
            }
            "local" => "no layer learns by a local rule".to_owned(),
            _ => "no phase is driven by the loss".to_owned(),
        })))
    }

    /// Why nothing reads `leaf` here.
    fn why(&self, leaf: &Leaf) -> Result<Option<String>> {
        let steps: Vec<&str> = leaf.steps.iter().map(String::as_str).collect();
        let Some((place, key)) = locate(&steps) else {
            return Ok(None);
        };
        if place == "blocks[].rule" && self.block.is_some() {
            let why = match key {
                "lr" => unread::replaced_rate(self)?,
                _ => None,
            };
            return match why {
                Some(why) => Ok(Some(why)),
                None => unread::unread_hyperparameter(self, key, &leaf.value),
            };
        }
        // What a phase has, `training.local` and `training.gradient` have too.
        let place = match place {
            "training.local" | "training.gradient" => "phases[]",
            place => place,
        };
        match reader(place, key).and_then(|reader| reader.unread) {
            Some(unread) => unread(self),
            None => Ok(None),
        }
    }
}

/// The entry of setting `key` of `place`, named as in the reference.
#[must_use]
pub fn reader(place: &str, key: &str) -> Option<&'static Reader> {
    let place = PLACES.iter().find(|p| p.place == base(place))?;
    place.readers.iter().find(|r| r.key == key)
}

/// The section of the reference page.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "\n## Who reads what\n\n\
         A value that somebody set (not a default, and not a preset's) and that nothing reads in the\n\
         plan is warned about before training: `warning: ... has no effect: ...`.\n\n\
         | setting | read by | only |\n| --- | --- | --- |\n",
    );
    for place in PLACES {
        for reader in place.readers {
            let path = match place.place {
                "(top)" => reader.key.to_owned(),
                place => format!("{place}.{}", reader.key),
            };
            let _ = writeln!(text, "| `{path}` | {} | {} |", reader.by, reader.only);
        }
    }
    text
}
