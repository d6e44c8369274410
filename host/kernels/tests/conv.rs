//! The convolution maps against plain loops, for random geometries, on every instruction set.

mod support;

use biorule_kernels::{Conv, Real, conv, reference};
use proptest::prelude::*;
use support::{assert_close, convolution, depthwise, each_isa, noise};

/// All three maps of one geometry.
fn check<T: Real>(g: &Conv, b: usize, h: usize, w: usize, tolerance: f64) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let x = noise::<T>(1, b * g.channels * h * w);
    let weight = noise::<T>(2, g.weight_len());
    let dy = noise::<T>(3, b * g.out * p * q);
    let results = |forward: bool, f: &mut dyn FnMut(&mut [T])| {
        let mut out = noise::<T>(
            4,
            if forward {
                dy.len()
            } else {
                x.len().max(weight.len())
            },
        );
        f(&mut out);
        out
    };
    let expected = results(true, &mut |y| {
        reference::conv::forward(g, b, h, w, &x, &weight, y)
    });
    let dx = results(false, &mut |dx| {
        reference::conv::input_grad(g, b, h, w, &dy, &weight, &mut dx[..x.len()])
    });
    let dw = results(false, &mut |dw| {
        reference::conv::weight_grad(g, b, h, w, &x, &dy, &mut dw[..weight.len()])
    });
    each_isa(|isa| {
        let y = results(true, &mut |y| conv::forward(g, b, h, w, &x, &weight, y));
        assert_close(
            &format!("forward {isa:?} {g:?} {b} {h}x{w}"),
            &y,
            &expected,
            tolerance,
        );
        let got = results(false, &mut |dx| {
            conv::input_grad(g, b, h, w, &dy, &weight, &mut dx[..x.len()])
        });
        assert_close(
            &format!("input_grad {isa:?} {g:?} {b} {h}x{w}"),
            &got,
            &dx,
            tolerance,
        );
        let got = results(false, &mut |dw| {
            conv::weight_grad(g, b, h, w, &x, &dy, &mut dw[..weight.len()])
        });
        assert_close(
            &format!("weight_grad {isa:?} {g:?} {b} {h}x{w}"),
            &got,
            &dw,
            tolerance,
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_geometries_agree((g, b, h, w) in convolution()) {
        check::<f32>(&g, b, h, w, 2e-5);
        check::<f64>(&g, b, h, w, 1e-13);
    }

    #[test]
    fn random_depthwise_agree((g, b, h, w) in depthwise()) {
        check::<f32>(&g, b, h, w, 2e-5);
        check::<f64>(&g, b, h, w, 1e-13);
    }
}

/// Sizes that cross the blocks of positions, steps, taps and panels.
#[test]
fn large_layers_agree() {
    use biorule_kernels::PadMode::{Reflect, Zeros};
    check::<f32>(&Conv::square(3, 100, 5).padded(2, Reflect), 3, 24, 21, 3e-5);
    check::<f32>(&Conv::square(40, 30, 3).padded(1, Zeros), 2, 17, 17, 3e-5);
    check::<f32>(&Conv::dense(700, 130), 37, 1, 1, 3e-5);
    check::<f64>(&Conv::dense(300, 50), 300, 1, 1, 1e-13);
}

/// More images than one pass lays out.
#[test]
fn batches_of_several_passes_agree() {
    let g = Conv::square(1, 2, 1);
    check::<f32>(&g, 5, 1000, 1100, 1e-4);
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
