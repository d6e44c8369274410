//! Configuration: what files, environment and flags say becomes a checked plan.
//!
//! `layers` merges the sources, `resolve` reads the result against `settings`
//! (where each setting is defined once) and a `PlanContext` (the rules and data
//! there are), and a `RunPlan` comes out that can be shown, stored and run.

mod before_training;
mod check;
pub mod context;
mod layers;
pub mod metric;
pub mod offline;
pub mod plan;
pub mod presets;
pub mod read_out;
pub mod reference;
mod resolve;
mod section;
pub mod settings;
pub mod shapes;
mod shorthand;
pub mod shown;
mod value;
mod warnings;

pub use before_training::before_training;
pub use context::{
    Credit, DataShape, ParamKind, ParamSchema, PlanContext, PluginInfo, RuleMetrics, RuleSchema,
};
pub use layers::{ENVIRONMENT, Sources, merge};
pub use metric::EpochMetric;
pub use offline::{Offline, dataset_shape};
pub use plan::*;
pub use resolve::{Resolved, every_block, plugin_folders, resolve, resolve_table};
pub use value::{Table, make, nearest, typed};
pub use warnings::Warnings;

#[cfg(test)]
mod tests;
