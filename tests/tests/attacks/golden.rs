//! Golden attacks.

use biorule_tests::golden::{Checks, File, attack, expect_further, files};

#[test]
fn golden_attacks_are_reproduced() {
    biorule::threads::prepare();
    expect_further("nas");
    let recognisers = attack::recognisers();
    for path in files("nas") {
        let Ok(file) = File::open(&path) else {
            continue;
        };
        for kind in recognisers.iter().filter(|r| (r.understands)(&file)) {
            let mut checks = Checks::default();
            (kind.run)(&file, &mut checks).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!(
                "{}: {} tensors, {:?}",
                path.display(),
                checks.len(),
                checks.worst()
            );
            assert_eq!(checks.problems(), [""; 0], "{}", path.display());
        }
    }
}
