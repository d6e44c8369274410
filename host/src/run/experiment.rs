//! What `run.json` and `search.json` say of the experiment that they are runs of.

use serde::{Deserialize, Serialize};

use super::measured::Metrics;
use crate::config::{ExperimentPlan, Origin};

/// The experiment of a run: which it is, where it comes from, and what was published of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExperimentRecord {
    /// Its name among the program's own (`biorule experiments list`); absent for a configuration of
    /// the user's.
    #[serde(default)]
    pub name: Option<String>,
    /// What was typed on top of it and decides results; empty where the run is the experiment as it
    /// is listed.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Paper or project.
    #[serde(default)]
    pub source: Option<String>,
    /// Figure, table or section of it.
    #[serde(default)]
    pub figure: Option<String>,
    /// Published results, by the names that `results` has.
    #[serde(default)]
    pub published: Metrics,
    /// Standard deviations of them over the source's seeds.
    #[serde(default)]
    pub published_deviation: Metrics,
    /// Published number of parameters.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// Time that one seed is expected to take, in hours.
    #[serde(default)]
    pub expected_hours: Option<f64>,
    /// The machine of that time.
    #[serde(default)]
    pub expected_on: Option<String>,
    /// What differs from the source.
    #[serde(default)]
    pub note: Option<String>,
}

impl ExperimentRecord {
    /// What is known of an experiment; `None` where nothing is.
    #[must_use]
    pub fn of(plan: Option<&ExperimentPlan>, from: Option<&Origin>) -> Option<Self> {
        if plan.is_none() && from.is_none() {
            return None;
        }
        let mut record = Self::default();
        if let Some(from) = from {
            record.name = Some(from.name.clone());
            record.changed.clone_from(&from.changed);
        }
        if let Some(plan) = plan {
            record.source.clone_from(&plan.source);
            record.figure.clone_from(&plan.figure);
            record.expected_hours = plan.expected_hours;
            record.expected_on.clone_from(&plan.expected_on);
            record.note.clone_from(&plan.note);
            if let Some(published) = &plan.published {
                record.published = published.results();
                record.published_deviation = published.deviations();
                record.parameters = published.parameters;
            }
        }
        Some(record)
    }

    /// Whether the run is the experiment `name` as it is listed.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name) && self.changed.is_empty()
    }
}
