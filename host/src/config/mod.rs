//! Configuration: what files, environment and flags say becomes a checked plan.
//!
//! `layers` merges the sources, `resolve` reads the result against `settings`
//! (where each setting is defined once) and a `PlanContext` (the rules and data
//! there are), and a `RunPlan` comes out that can be shown, stored and run.

mod before_training;
mod check;
pub mod context;
mod endless;
pub mod experiments;
mod fields;
mod layers;
pub mod listed;
mod numbers;
pub mod offline;
pub mod presets;
pub mod readers;
pub mod reference;
mod resolve;
mod search;
mod section;
pub mod settings;
mod shorthand;
pub mod shown;
pub mod study;
mod unmoved;
mod value;
mod warnings;

pub use crate::plan::{self, shapes, *};
pub use before_training::before_training;
pub use context::{
    Credit, ParamKind, ParamSchema, PlanContext, PluginInfo, RuleSchema, UnreadParams,
};
pub use layers::{ENVIRONMENT, Sources, meant_variable, merge};
pub use numbers::whole_text;
pub use offline::{Offline, dataset_shape};
pub use resolve::{Origin, Resolved, plugin_folders, resolve, resolve_table, threads};
pub use search::{SearchConfig, is_search, search};
pub use value::{DEFAULT, Table, make, nearest, typed};
pub use warnings::Warnings;

#[cfg(test)]
mod tests;
