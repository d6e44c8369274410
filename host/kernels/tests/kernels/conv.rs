//! The convolution maps against plain loops, for random geometries, on every instruction set.

use biorule_kernels::{Conv, Real, conv, reference};
use proptest::prelude::*;

use crate::support::{
    assert_sums, cases, convolution, depthwise, each_isa, magnitudes, noise, wide,
};

/// A map of input, weight and error, and where its result goes.
type Map<'a> = dyn Fn(&[f64], &[f64], &[f64], &mut [f64]) + 'a;

/// All three maps of one geometry.
fn check<T: Real>(g: &Conv, b: usize, h: usize, w: usize) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let x = noise::<T>(1, b * g.channels * h * w);
    let weight = noise::<T>(2, g.weight_len());
    let dy = noise::<T>(3, b * g.out * p * q);
    let (wide_x, wide_weight, wide_dy) = (wide(&x), wide(&weight), wide(&dy));
    // Each map is a sum of products: the same map of magnitudes is the sum of their magnitudes.
    let twice = |len: usize, map: &Map<'_>| {
        let [mut sum, mut magnitude] = [(); 2].map(|()| vec![0.0; len]);
        map(&wide_x, &wide_weight, &wide_dy, &mut sum);
        map(
            &magnitudes(&wide_x),
            &magnitudes(&wide_weight),
            &magnitudes(&wide_dy),
            &mut magnitude,
        );
        (sum, magnitude)
    };
    let forward = twice(dy.len(), &|x, weight, _, y| {
        reference::conv::forward(g, b, h, w, x, weight, y)
    });
    let input = twice(x.len(), &|_, weight, dy, dx| {
        reference::conv::input_grad(g, b, h, w, dy, weight, dx)
    });
    let correlation = twice(weight.len(), &|x, _, dy, dw| {
        reference::conv::weight_grad(g, b, h, w, x, dy, dw)
    });
    each_isa(|isa| {
        let what = |map: &str| format!("{map} {isa:?} {g:?} {b} {h}x{w}");
        let mut y = noise::<T>(4, dy.len());
        conv::forward(g, b, h, w, &x, &weight, &mut y);
        assert_sums(&what("forward"), &y, &forward.0, &forward.1);
        let mut dx = noise::<T>(4, x.len());
        conv::input_grad(g, b, h, w, &dy, &weight, &mut dx);
        assert_sums(&what("input_grad"), &dx, &input.0, &input.1);
        let mut dw = noise::<T>(4, weight.len());
        conv::weight_grad(g, b, h, w, &x, &dy, &mut dw);
        assert_sums(&what("weight_grad"), &dw, &correlation.0, &correlation.1);
    });
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn random_geometries_agree((g, b, h, w) in convolution()) {
        check::<f32>(&g, b, h, w);
        check::<f64>(&g, b, h, w);
    }

    #[test]
    fn random_depthwise_agree((g, b, h, w) in depthwise()) {
        check::<f32>(&g, b, h, w);
        check::<f64>(&g, b, h, w);
    }
}

/// Sizes that cross the blocks of positions, steps, taps and panels.
#[test]
fn large_layers_agree() {
    use biorule_kernels::PadMode::{Reflect, Zeros};
    check::<f32>(&Conv::square(3, 100, 5).padded(2, Reflect), 3, 24, 21);
    check::<f32>(&Conv::square(40, 30, 3).padded(1, Zeros), 2, 17, 17);
    check::<f32>(&Conv::dense(700, 130), 37, 1, 1);
    check::<f64>(&Conv::dense(300, 50), 300, 1, 1);
}

/// More images than one pass lays out.
#[test]
fn batches_of_several_passes_agree() {
    let g = Conv::square(1, 2, 1);
    check::<f32>(&g, 5, 1000, 1100);
}

#[test]
fn empty_batches_give_zero_gradients() {
    let g = Conv::square(2, 3, 3);
    let mut dw = vec![1.0f32; g.weight_len()];
    conv::weight_grad(&g, 0, 5, 5, &[], &[], &mut dw);
    assert!(dw.iter().all(|&v| v == 0.0));
    conv::forward::<f32>(&g, 0, 5, 5, &[], &vec![0.0; g.weight_len()], &mut []);
    conv::input_grad::<f32>(&g, 0, 5, 5, &[], &vec![0.0; g.weight_len()], &mut []);
}

#[test]
#[should_panic(expected = "`weight` has 3 elements, expected 54")]
fn a_wrong_length_is_named() {
    conv::forward(
        &Conv::square(2, 3, 3),
        1,
        5,
        5,
        &[0.0f32; 50],
        &[0.0; 3],
        &mut [0.0; 27],
    );
}
