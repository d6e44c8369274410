//! Golden vectors: results that the reference projects' own code produced.
//!
//! [`File`] reads one, [`Checks`] compares with it, [`folders`] says where they
//! lie and [`judge`] runs all files of a project that a test's [`Recogniser`]s
//! understand. A case is known by metadata and tensor names, never by its file
//! name, so that files which nobody has seen before work.

pub mod attack;
mod checks;
mod driver;
mod file;
pub mod hebbian;
pub mod krotov;
pub mod nas;
pub mod softhebb;
mod suite;

pub use checks::{Checks, Tolerance, Worst};
pub use driver::{Driven, Step};
pub use file::File;
pub use suite::{Recogniser, Verdict, expect_further, files, folders, judge};
