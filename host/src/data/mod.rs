//! Data sets, augmentation and loading.

pub mod plan;

pub use plan::DataPlan;
