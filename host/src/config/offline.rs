//! A context without plugins and data: how the rules of our own plugins learn
//! and the shapes of known data sets. Lets a configuration be read, shown and
//! tested where nothing is built or downloaded; hyperparameters pass unchecked.

use super::context::{Credit, DataShape, PlanContext, RuleSchema};
use super::value::nearest;
use crate::data::DataPlan;
use crate::{Error, Result};

/// Rule name, credit, whether labels can teach it.
const RULES: &[(&str, Credit, bool)] = &[
    ("backprop", Credit::Feedback, false),
    ("softhebb", Credit::Local, true),
    ("hebbian", Credit::Local, false),
    ("hebbian/hebb", Credit::Local, false),
    ("hebbian/oja", Credit::Local, false),
    ("krotov", Credit::Local, false),
    ("feedback-alignment/fa", Credit::Feedback, false),
    ("feedback-alignment/usf", Credit::Feedback, false),
    ("feedback-alignment/brsf", Credit::Feedback, false),
    ("feedback-alignment/frsf", Credit::Feedback, false),
    ("kolen-pollack", Credit::Feedback, false),
    ("direct-feedback-alignment", Credit::Direct, false),
];

/// Set, sample shape, classes.
const SETS: &[(&str, [usize; 3], usize)] = &[
    ("digits", [1, 8, 8], 10),
    ("mnist", [1, 28, 28], 10),
    ("fashion-mnist", [1, 28, 28], 10),
    ("cifar10", [3, 32, 32], 10),
    ("cifar100", [3, 32, 32], 100),
    ("stl10", [3, 96, 96], 10),
];

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
            needs_target: *needs_target,
            dense: true,
            conv: true,
            params: None,
            plugin: String::new(),
        })
    }

    fn dataset(&self, plan: &DataPlan) -> Result<Option<DataShape>> {
        Ok(SETS.iter().find(|s| s.0 == plan.set).map(|s| DataShape {
            sample: s.1.to_vec(),
            classes: s.2,
        }))
    }
}
