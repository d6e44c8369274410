//! Golden vectors of `BioPyTorch` and of the Krotov-Hopfield notebook, through the real plugin.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_krotov -- --nocapture`
//! prints a line for each file.

use biorule_tests::golden::{judge, krotov};

#[test]
fn every_file_is_reproduced() {
    judge("krotov", &krotov::recognisers()).assert_good();
}
