//! Configuration: what files, environment and flags say becomes a checked plan.

pub mod plan;

pub use plan::*;
