//! A context without plugins and data: how the rules of our own plugins learn
//! and the shapes of known data sets. Lets a configuration be read, shown and
//! tested where nothing is built or downloaded; hyperparameters pass unchecked.

use super::context::{Credit, DataShape, PlanContext, RuleSchema};
use super::value::nearest;
use crate::data::DataPlan;
use crate::{Error, Result};

/// Rule name, credit, whether labels teach it, whether it works on convolutions.
const RULES: &[(&str, Credit, bool, bool)] = &[
    ("backprop", Credit::Feedback, false, true),
    ("softhebb", Credit::Local, false, true),
    ("softhebb/hard", Credit::Local, false, true),
    ("softhebb/hard-krotov", Credit::Local, false, true),
    ("softhebb/soft", Credit::Local, false, true),
    ("softhebb/soft-krotov", Credit::Local, false, true),
    ("softhebb/supervised", Credit::Local, true, false),
    ("hebbian", Credit::Local, false, true),
    ("hebbian/hebb", Credit::Local, false, true),
    ("hebbian/oja", Credit::Local, false, true),
    ("krotov", Credit::Local, false, true),
    ("feedback-alignment/fa", Credit::Feedback, false, true),
    ("feedback-alignment/usf", Credit::Feedback, false, true),
    ("feedback-alignment/brsf", Credit::Feedback, false, true),
    ("feedback-alignment/frsf", Credit::Feedback, false, true),
    ("kolen-pollack", Credit::Feedback, false, true),
    ("direct-feedback-alignment", Credit::Direct, false, true),
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
        let Some((name, credit, needs_target, conv)) = RULES.iter().find(|r| r.0 == name) else {
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
            conv: *conv,
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
