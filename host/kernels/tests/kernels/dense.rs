//! The maps of dense layers against plain loops, narrow and long layers among them.

use biorule_kernels::{Real, dense, reference};
use proptest::prelude::*;

use crate::support::{assert_sums, cases, each_isa, magnitudes, noise, wide};

fn check<T: Real>(size: (usize, usize, usize)) {
    let (b, d, k) = size;
    let (x, w, g) = (
        noise::<T>(1, b * d),
        noise::<T>(2, k * d),
        noise::<T>(3, b * k),
    );
    let (wide_x, wide_w, wide_g) = (wide(&x), wide(&w), wide(&g));
    // The same map of magnitudes is the sum of the products' magnitudes.
    type Map = fn((usize, usize, usize), &[f64], &[f64], &mut [f64]);
    let twice = |map: Map, one: &[f64], other: &[f64], len: usize| {
        let [mut sum, mut magnitude] = [(); 2].map(|()| vec![0.0; len]);
        map(size, one, other, &mut sum);
        map(size, &magnitudes(one), &magnitudes(other), &mut magnitude);
        (sum, magnitude)
    };
    let forward = twice(reference::dense::forward, &wide_x, &wide_w, b * k);
    let input = twice(reference::dense::input_grad, &wide_g, &wide_w, b * d);
    let weight = twice(reference::dense::weight_grad, &wide_x, &wide_g, k * d);
    each_isa(|isa| {
        let [mut y, mut dx, mut dw] = [b * k, b * d, k * d].map(|n| noise::<T>(5, n));
        dense::forward(size, &x, &w, &mut y);
        assert_sums(
            &format!("{isa:?} forward {size:?}"),
            &y,
            &forward.0,
            &forward.1,
        );
        dense::input_grad(size, &g, &w, &mut dx);
        assert_sums(&format!("{isa:?} input {size:?}"), &dx, &input.0, &input.1);
        dense::weight_grad(size, &x, &g, &mut dw);
        assert_sums(
            &format!("{isa:?} weight {size:?}"),
            &dw,
            &weight.0,
            &weight.1,
        );
    });
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn random_sizes_agree(b in 1usize..20, d in 1usize..2600, k in 1usize..40) {
        check::<f32>((b, d, k));
        check::<f64>((b, d, k));
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
        check::<f32>(size);
        check::<f64>(size);
    }
}
