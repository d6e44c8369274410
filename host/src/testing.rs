//! What unit tests of several rooms share.

use proptest::prelude::ProptestConfig;

/// `cases` of a property, or as many as `PROPTEST_CASES` says.
pub fn cases(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        // The default reads the variable.
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}
