//! Helpers shared by the tests that span several crates: golden vectors, the
//! real plugins and the real binary.

pub mod feedback;
pub mod golden;
pub mod network;
pub mod plugins;
pub mod windows;

use std::path::{Path, PathBuf};

/// What a test step yields; any error ends the step with its text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the test crate lies one folder below the root")
}

/// `name` in the folder `shared` beside the repository or beside one of its
/// parents; `None` where there is no such file or folder.
pub fn shared(name: &str) -> Option<PathBuf> {
    repository()
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("shared").join(name))
        .find(|path| path.exists())
}
