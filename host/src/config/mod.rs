//! Configuration: what files, environment and flags say becomes a checked plan.
//!
//! `layers` merges the sources, `resolve` reads the result against `settings`
//! (where each setting is defined once) and a `PlanContext` (the rules and data
//! there are), and a `RunPlan` comes out that can be shown, stored and run.

mod check;
pub mod context;
mod formula;
mod layers;
mod names;
mod numbers;
pub mod offline;
pub mod plan;
pub mod presets;
pub mod rates;
pub mod readers;
pub mod reference;
mod resolve;
mod section;
pub mod settings;
pub mod shapes;
mod shorthand;
pub mod shown;
mod value;
mod warnings;

pub use context::{Credit, DataShape, ParamKind, ParamSchema, PlanContext, PluginInfo, RuleSchema};
pub use formula::{Formula, Moment, Variable};
pub use layers::{ENVIRONMENT, Sources, meant_variable, merge};
pub use numbers::whole_text;
pub use offline::{Offline, dataset_shape};
pub use plan::*;
pub use resolve::{Resolved, every_block, plugin_folders, resolve, resolve_table};
pub use value::{Table, make, nearest, typed};
pub use warnings::Warnings;

#[cfg(test)]
mod tests;
