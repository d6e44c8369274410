//! The maps of dense layers against plain loops, narrow and long layers among them.

mod support;

use biorule_kernels::{Real, dense, reference};
use proptest::prelude::*;
use support::{assert_close, each_isa, noise};

fn check<T: Real>(size: (usize, usize, usize), tolerance: f64) {
    let (b, d, k) = size;
    let (x, w, g) = (
        noise::<T>(1, b * d),
        noise::<T>(2, k * d),
        noise::<T>(3, b * k),
    );
    let [mut y, mut dx, mut dw] = [b * k, b * d, k * d].map(|n| noise::<T>(4, n));
    reference::dense::forward(size, &x, &w, &mut y);
    reference::dense::input_grad(size, &g, &w, &mut dx);
    reference::dense::weight_grad(size, &x, &g, &mut dw);
    each_isa(|isa| {
        let [mut fast_y, mut fast_dx, mut fast_dw] =
            [b * k, b * d, k * d].map(|n| noise::<T>(5, n));
        dense::forward(size, &x, &w, &mut fast_y);
        assert_close(&format!("{isa:?} forward {size:?}"), &fast_y, &y, tolerance);
        dense::input_grad(size, &g, &w, &mut fast_dx);
        assert_close(&format!("{isa:?} input {size:?}"), &fast_dx, &dx, tolerance);
        dense::weight_grad(size, &x, &g, &mut fast_dw);
        assert_close(
            &format!("{isa:?} weight {size:?}"),
            &fast_dw,
            &dw,
            tolerance,
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_sizes_agree(b in 1usize..20, d in 1usize..2600, k in 1usize..40) {
        check::<f32>((b, d, k), 2e-5);
        check::<f64>((b, d, k), 1e-13);
    }
}

#[test]
fn layers_at_the_edges_agree() {
    for size in [
        (64, 1024, 10),
        (1, 1023, 1),
        (5, 1537, 24),
        (3, 2048, 25),
        (0, 2000, 3),
    ] {
        check::<f32>(size, 2e-5);
        check::<f64>(size, 1e-13);
    }
}
