//! BioRule: trains, compares and searches neural networks whose layers learn by
//! different rules, each rule a plugin. See `docs/architecture.md`.

#[macro_use]
mod terminal;

pub mod allocator;
pub mod app;
pub mod attack;
pub mod bench;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod fleet;
pub mod import;
pub mod nn;
pub mod ops;
pub mod plan;
pub mod plugins;
pub mod report;
pub mod run;
pub mod search;
pub mod stop;
pub mod storage;
pub mod study;
pub mod sweep;
#[cfg(test)]
mod testing;
pub mod text;
pub mod threads;
pub mod train;

pub use error::{Error, ExitCode, Result};
