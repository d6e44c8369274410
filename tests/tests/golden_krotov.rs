//! Golden vectors of `BioPyTorch` and of the Krotov-Hopfield notebook, through the real plugin.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_krotov -- --nocapture`
//! prints a line for each file.

use biorule_tests::golden::{expect_further, judge, krotov};

#[test]
fn every_file_is_reproduced() {
    judge("krotov", &krotov::recognisers()).assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("krotov");
}
