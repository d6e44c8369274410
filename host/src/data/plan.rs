//! What a plan says of its data.

use serde::{Deserialize, Serialize};

/// A data set and what is done to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPlan {
    /// Name in the registry of data sets.
    pub set: String,
}
