//! What unit tests of several rooms share.

use proptest::prelude::ProptestConfig;

use crate::config::{Offline, Sources, resolve};
use crate::plan::RunPlan;

/// `cases` of a property, or as many as `PROPTEST_CASES` says.
pub fn cases(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        // The default reads the variable.
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

/// The plan that a configuration file of this text becomes.
pub fn plan_of(text: &str) -> RunPlan {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("n.toml");
    std::fs::write(&file, text).expect("a file");
    let sources = Sources {
        files: vec![file],
        ..Sources::default()
    };
    resolve(&sources, &Offline).expect("a sound plan").plan
}
