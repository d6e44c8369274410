//! A context without plugins and data files: how the rules of our own plugins
//! learn and what the registry says of data sets. Lets a configuration be read, shown and
//! tested where nothing is built or downloaded; hyperparameters pass unchecked.

use super::context::{Credit, PlanContext, RuleSchema};
use super::value::nearest;
use crate::data::DataPlan;
use crate::plan::DataShape;
use crate::{Error, Result};

/// Rule name, credit, whether labels can teach it.
const RULES: &[(&str, Credit, bool)] = &[
    ("backprop", Credit::Feedback, false),
    ("softhebb", Credit::Local, true),
    ("hebbian/hebb", Credit::Local, false),
    ("hebbian/oja", Credit::Local, false),
    ("hebbian/sanger", Credit::Local, false),
    ("hebbian/bcm", Credit::Local, false),
    ("hebbian/bionas", Credit::Feedback, false),
    ("krotov", Credit::Local, false),
    ("local-loss/pred", Credit::Local, true),
    ("feedback-alignment/fa", Credit::Feedback, false),
    ("feedback-alignment/usf", Credit::Feedback, false),
    ("feedback-alignment/brsf", Credit::Feedback, false),
    ("feedback-alignment/frsf", Credit::Feedback, false),
    ("kolen-pollack", Credit::Feedback, false),
    ("weight-mirror", Credit::Feedback, false),
    ("direct-feedback-alignment/dfa", Credit::Direct, false),
    ("direct-feedback-alignment/dkp", Credit::Direct, false),
    ("direct-feedback-alignment/drtp", Credit::Feedback, true),
];

/// Error-driven rules that also learn from their own activity.
const ALSO_LOCAL: &[&str] = &["hebbian/bionas", "weight-mirror"];

/// The context without plugins and data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl PlanContext for Offline {
    fn rule(&self, name: &str) -> Result<RuleSchema> {
        let Some((name, credit, needs_target)) = RULES.iter().find(|r| r.0 == name) else {
            let e = Error::plugin(format!("unknown rule `{name}`"));
            let hint = match nearest(name, RULES.iter().map(|r| r.0)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "without `--offline` the rules of all plugins found are known".into(),
            };
            return Err(e.hint(hint));
        };
        Ok(RuleSchema {
            name: (*name).to_owned(),
            summary: String::new(),
            source: String::new(),
            credit: *credit,
            learns_in_evaluation: *name == "hebbian/bionas",
            needs_target: *needs_target,
            also_local: ALSO_LOCAL.contains(name),
            dense: true,
            conv: true,
            params: None,
            plugin: String::new(),
        })
    }

    /// Sets that the registry does not have (those of some presets) pass.
    fn dataset(&self, plan: &DataPlan) -> Result<Option<DataShape>> {
        match plan.info() {
            Ok(_) => dataset_shape(plan),
            Err(_) => Ok(None),
        }
    }
}

/// Shape and classes of a data set by the registry, its settings checked, no
/// file opened; `None` for generated sets and those of the user, whose options or files decide.
///
/// # Errors
/// Usage error for an unknown set or settings that do not fit it.
pub fn dataset_shape(plan: &DataPlan) -> Result<Option<DataShape>> {
    let info = plan.info()?;
    plan.check()?;
    if !info.settings.is_empty() && !info.is_on_disk() {
        return Ok(None);
    }
    let [height, width] = plan.resize.unwrap_or([info.shape.height, info.shape.width]);
    Ok(Some(DataShape {
        sample: vec![info.shape.channels, height, width],
        classes: match plan.classes.len() {
            0 => info.classes,
            kept => kept,
        },
    }))
}
