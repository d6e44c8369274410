//! What a plan is checked against: the rules that are loaded and the data sets
//! that are there. The registry of plugins implements this; configuration
//! itself knows neither.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use biorule_plugin_api::sdk::Credit;

use crate::Result;
use crate::plan::{DataPlan, DataShape, Package, ParamValue, RuleMetrics, RunPlan};

/// What a rule says of itself.
#[derive(Clone, Debug)]
pub struct RuleSchema {
    /// Its name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Paper or project it follows.
    pub source: String,
    /// How it learns.
    pub credit: Credit,
    /// A local rule that can be taught by the labels: where one of its
    /// hyperparameters is the word `supervised`.
    pub needs_target: bool,
    /// May learn in evaluation too; whether it does, its hyperparameters decide.
    pub learns_in_evaluation: bool,
    /// An error-driven rule that also learns from its own activity, at the local rate.
    pub also_local: bool,
    /// Works on dense layers.
    pub dense: bool,
    /// Works on convolutions.
    pub conv: bool,
    /// Its hyperparameters; `None` where they are not known, and pass unchecked.
    pub params: Option<Vec<ParamSchema>>,
    /// The plugin it comes from, empty where none is loaded.
    pub plugin: String,
}

impl RuleSchema {
    /// Whether a layer with these hyperparameters is taught by the labels, as
    /// SoftHebb's Hebbian classifier is.
    #[must_use]
    pub fn is_taught(&self, params: &BTreeMap<String, ParamValue>) -> bool {
        let word = |v: &ParamValue| matches!(v, ParamValue::Text(t) if t == "supervised");
        self.needs_target && params.values().any(word)
    }
}

/// A hyperparameter.
#[derive(Clone, Debug)]
pub struct ParamSchema {
    /// Its key.
    pub name: String,
    /// What its value looks like.
    pub kind: ParamKind,
    /// Its default, as text where it depends on the layer.
    pub default: Option<ParamValue>,
    /// Lower limit.
    pub min: Option<f64>,
    /// Upper limit.
    pub max: Option<f64>,
    /// Unit, empty where there is none.
    pub unit: String,
    /// One line.
    pub doc: String,
    /// Equation or file it comes from.
    pub source: String,
}

/// A layer, and what its rule does not read there because of other hyperparameters or of the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadParams {
    /// The block that the layer is in.
    pub block: String,
    /// Names of the hyperparameters.
    pub params: Vec<String>,
}

/// What a hyperparameter's value looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Switch.
    Bool,
    /// Whole number.
    Int,
    /// Number.
    Float,
    /// Any text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
}

/// A loaded plugin, for the record of a run.
#[derive(Clone, Debug)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The library file.
    pub path: PathBuf,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Names of its rules.
    pub rules: Vec<String>,
    /// Its package, where it says which that is.
    pub package: Option<Package>,
}

/// What a plan is checked against.
pub trait PlanContext {
    /// The rule `name`.
    ///
    /// # Errors
    /// Plugin error with the nearest name and the folders searched.
    fn rule(&self, name: &str) -> Result<RuleSchema>;

    /// Shape and classes of a data set; `None` where this cannot be known, and
    /// shapes pass unchecked.
    ///
    /// # Errors
    /// Data error for a set that is unknown, missing or damaged.
    fn dataset(&self, plan: &DataPlan) -> Result<Option<DataShape>>;

    /// Whether the answers of a data set are classes, not values to regress; `None` where this
    /// cannot be known.
    ///
    /// # Errors
    /// As for [`PlanContext::dataset`].
    fn has_classes(&self, plan: &DataPlan) -> Result<Option<bool>> {
        let _ = plan;
        Ok(None)
    }

    /// The hyperparameters that rules do not read in their layers; empty where no rule can be asked.
    fn unread(&self, plan: &RunPlan) -> Vec<UnreadParams> {
        let _ = plan;
        Vec::new()
    }

    /// The metrics that the rules of each block report, found by asking them; `None` where no
    /// rule can be asked.
    ///
    /// # Errors
    /// The network cannot be built.
    fn rule_metrics(&self, plan: &RunPlan) -> Result<Option<RuleMetrics>> {
        let _ = plan;
        Ok(None)
    }
}
