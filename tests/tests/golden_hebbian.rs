//! Golden vectors of the Hebbian convolution of `BioNAS`, through the real plugin.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_hebbian -- --nocapture`
//! prints a line for each file.

use biorule_tests::golden::{expect_further, hebbian, judge};

#[test]
fn every_file_is_reproduced() {
    judge("hebbian", &hebbian::recognisers()).assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("hebbian");
}
