//! Rule plugins: finding, loading, registering and binding them, and the table of
//! tensor ops that they call.
//!
//! A rule keeps nothing between calls; all state is the host's. A library, once
//! loaded, is never unloaded: types, statics and function pointers of it may be
//! anywhere. Together with `plugin-api::abi` and the kernels this is the only
//! place with `unsafe`.

pub mod about;
mod added;
pub mod allow;
pub mod bind;
pub mod candidate;
pub mod check;
pub mod discover;
mod elf;
pub mod entry;
mod geometry;
pub mod inflight;
pub mod init;
pub mod kit;
pub mod load;
pub mod measure;
mod private;
pub mod refusal;
pub mod registry;
mod seconds;
pub mod store;
pub mod table;
pub mod trial;
mod verdicts;

pub use discover::{PLUGIN_PATH_VARIABLE, search_folders};
pub use entry::RuleEntry;
pub use load::{LoadError, Plugin, Stage};
pub use registry::{Registry, TAKEN};
