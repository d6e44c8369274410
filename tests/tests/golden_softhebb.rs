//! Golden vectors of NeuromorphicComputing/SoftHebb, through the real plugin.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_softhebb -- --nocapture`
//! prints a line for each file.

use biorule_tests::golden::{expect_further, judge, softhebb};

#[test]
fn every_file_is_reproduced() {
    judge("softhebb", &softhebb::recognisers()).assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("softhebb");
}
