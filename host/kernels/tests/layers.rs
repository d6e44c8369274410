//! Pooling, normalisation, activations and optimisers against plain loops in f64, with odd shapes.

mod support;

use biorule_kernels::{Planes, Pool, Real, activation, norm, pool, reference};
use proptest::prelude::*;
use support::{assert_close, each_isa, noise};

prop_compose! {
    fn pooling()(
        kernel in prop::array::uniform2(1usize..6), stride in prop::array::uniform2(1usize..4),
        halves in prop::array::uniform2(0usize..3), n in 1usize..5, h in 3usize..20, w in 3usize..40,
    ) -> (Pool, usize, usize, usize) {
        (Pool { kernel, stride, padding: [halves[0].min(kernel[0] / 2), halves[1].min(kernel[1] / 2)] }, n, h, w)
    }
}

fn check_pool<T: Real>(g: &Pool, n: usize, h: usize, w: usize, tied: bool, tolerance: f64) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let mut x = noise::<T>(1, n * h * w);
    if tied {
        x.iter_mut()
            .for_each(|x| *x = T::from_f64((x.to_f64() * 2.0).round() + 0.0));
    }
    let dy = noise::<T>(2, n * p * q);
    let (mut y, mut at, mut dx) = (
        noise::<T>(3, dy.len()),
        vec![9u32; dy.len()],
        noise::<T>(4, x.len()),
    );
    reference::pool::max_forward(g, n, h, w, &x, &mut y, Some(&mut at));
    reference::pool::max_backward((n, p * q), (h, w), &dy, &at, &mut dx);
    each_isa(|isa| {
        let what = format!("{isa:?} {g:?} {n} {h}x{w}");
        let (mut fast_y, mut fast_at, mut fast_dx) = (
            noise::<T>(5, dy.len()),
            vec![7u32; dy.len()],
            noise(6, x.len()),
        );
        pool::max_forward(g, n, h, w, &x, &mut fast_y, Some(&mut fast_at));
        assert_eq!((&fast_y, &fast_at), (&y, &at), "max {what}");
        pool::max_forward(g, n, h, w, &x, &mut fast_y, None);
        assert_eq!(fast_y, y, "max without places {what}");
        pool::max_backward((n, p * q), (h, w), &dy, &at, &mut fast_dx);
        assert_close(&format!("max gradient {what}"), &fast_dx, &dx, tolerance);
    });
    for include_pad in [false, true] {
        reference::pool::avg_forward(g, n, h, w, include_pad, &x, &mut y);
        reference::pool::avg_backward(g, n, h, w, include_pad, &dy, &mut dx);
        each_isa(|isa| {
            let what = format!("{isa:?} {g:?} {n} {h}x{w} {include_pad}");
            let (mut fast_y, mut fast_dx) = (noise::<T>(5, dy.len()), noise::<T>(6, x.len()));
            pool::avg_forward(g, n, h, w, include_pad, &x, &mut fast_y);
            assert_close(&format!("average {what}"), &fast_y, &y, tolerance);
            pool::avg_backward(g, n, h, w, include_pad, &dy, &mut fast_dx);
            assert_close(
                &format!("average gradient {what}"),
                &fast_dx,
                &dx,
                tolerance,
            );
        });
    }
}

#[test]
fn a_not_a_number_wins_its_windows() {
    let x: Vec<f32> = (0..16)
        .map(|i| if i == 5 { f32::NAN } else { i as f32 })
        .collect();
    let (mut y, mut at) = (vec![0.0; 4], vec![0; 4]);
    pool::max_forward(&Pool::square(2, 2, 0), 1, 4, 4, &x, &mut y, Some(&mut at));
    assert!(y[0].is_nan() && y[1..] == [7.0, 13.0, 15.0] && at == [5, 7, 13, 15]);

    let g = Pool::square(3, 2, 1);
    let mut x = noise::<f32>(1, 2 * 81);
    x[40] = f32::NAN;
    x[100] = f32::INFINITY;
    let (mut y, mut at) = (vec![0.0; 50], vec![0; 50]);
    pool::max_forward(&g, 2, 9, 9, &x, &mut y, Some(&mut at));
    assert!(y[12].is_nan() && y.iter().filter(|v| v.is_nan()).count() == 1);
    assert_eq!(y.iter().filter(|&&v| v == f32::INFINITY).count(), 2);
}

fn check_norm<T: Real>(d: Planes, affine: bool, tolerance: f64) {
    let (x, dy) = (noise::<T>(1, d.len()), noise::<T>(2, d.len()));
    let (gamma, beta) = (noise::<T>(3, d.c), noise::<T>(4, d.c));
    let given = affine.then_some((&gamma[..], &beta[..]));
    let (mut mean, mut var) = (vec![T::ZERO; d.c], vec![T::ZERO; d.c]);
    reference::norm::batch_stats(d, &x, &mut mean, &mut var);
    let running: Vec<T> = noise::<T>(5, d.c).iter().map(|v| v.abs()).collect();
    let [mut y, mut frozen, mut dx, mut frozen_dx] = [(); 4].map(|()| vec![T::ZERO; d.len()]);
    let [mut dgamma, mut dbeta, mut frozen_dgamma, mut frozen_dbeta] =
        [(); 4].map(|()| vec![T::ZERO; d.c]);
    reference::norm::forward(d, 1e-5, &x, &mean, &var, given, &mut y);
    reference::norm::forward(d, 1e-5, &x, &beta, &running, given, &mut frozen);
    let gammas = affine.then_some(&gamma[..]);
    reference::norm::backward(
        d,
        1e-5,
        true,
        &x,
        &dy,
        &mean,
        &var,
        gammas,
        &mut dx,
        &mut dgamma,
        &mut dbeta,
    );
    reference::norm::backward(
        d,
        1e-5,
        false,
        &x,
        &dy,
        &beta,
        &running,
        gammas,
        &mut frozen_dx,
        &mut frozen_dgamma,
        &mut frozen_dbeta,
    );
    each_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {d:?} {affine}");
        let [mut out, mut m, mut v] = [noise::<T>(6, d.len()), noise(7, d.c), noise(8, d.c)];
        norm::batch_forward_train(d, 1e-5, &x, given, &mut m, &mut v, &mut out);
        assert_close(&what("mean"), &m, &mean, tolerance);
        assert_close(&what("variance"), &v, &var, tolerance);
        assert_close(&what("train"), &out, &y, tolerance);
        norm::batch_forward_frozen(d, 1e-5, &x, &beta, &running, given, &mut out);
        assert_close(&what("frozen"), &out, &frozen, tolerance);
        let [mut a, mut b] = [noise::<T>(7, d.c), noise(8, d.c)];
        let grads = norm::Gradients {
            dx: Some(&mut out),
            affine: Some((&mut a, &mut b)),
        };
        norm::batch_backward_train(d, 1e-5, &x, &dy, &mean, &var, gammas, grads);
        assert_close(&what("dx"), &out, &dx, 10.0 * tolerance);
        assert_close(&what("dgamma"), &a, &dgamma, tolerance);
        assert_close(&what("dbeta"), &b, &dbeta, tolerance);
        let grads = norm::Gradients {
            dx: Some(&mut out),
            affine: Some((&mut a, &mut b)),
        };
        norm::batch_backward_frozen(d, 1e-5, &x, &dy, &beta, &running, gammas, grads);
        assert_close(&what("frozen dx"), &out, &frozen_dx, tolerance);
        assert_close(&what("frozen dgamma"), &a, &frozen_dgamma, tolerance);
        assert_close(&what("frozen dbeta"), &b, &frozen_dbeta, tolerance);
    });
}

fn check_activations<T: Real>(d: Planes, power: f64, tolerance: f64) {
    let mut u = noise::<T>(1, d.len());
    if d.c > 1 {
        // A position whose channels are equal: the triangle is 0 and so is its gradient.
        (0..d.c).for_each(|c| u[c * d.hw] = T::from_f64(0.5));
    }
    let dy = noise::<T>(2, d.len());
    let [mut y, mut du, mut soft, mut dsoft] = [(); 4].map(|()| vec![T::ZERO; d.len()]);
    reference::activation::triangle_forward(d, power, &u, &mut y);
    reference::activation::triangle_backward(d, power, &u, &dy, &mut du);
    reference::activation::softmax_forward(d, power, &u, &mut soft);
    reference::activation::softmax_backward(d, power, &soft, &dy, &mut dsoft);
    each_isa(|isa| {
        let mut out = noise::<T>(3, d.len());
        activation::triangle_forward(d, power, &u, &mut out);
        // Where an exponent lies between 0 and 1 its slope has no bound at 0, and would show the
        // rounding of the mean there a thousandfold: what is compared is the value before it.
        let root = |y: &[T], exponent: f64| -> Vec<T> {
            let back = if (1e-9..1.0).contains(&exponent) {
                1.0 / exponent
            } else {
                1.0
            };
            let plain = |v: f64| v.signum() * v.abs().powf(back);
            y.iter().map(|v| T::from_f64(plain(v.to_f64()))).collect()
        };
        assert_close(
            &format!("triangle {isa:?} {d:?} {power}"),
            &root(&out, power),
            &root(&y, power),
            tolerance,
        );
        activation::triangle_backward(d, power, &u, &dy, &mut out);
        if power >= 1.0 {
            assert_close(
                &format!("triangle gradient {isa:?} {d:?} {power}"),
                &root(&out, power - 1.0),
                &root(&du, power - 1.0),
                tolerance,
            );
        }
        assert!(out.iter().all(|v| !v.is_nan()));
        activation::softmax_channels_forward(d, power, &u, &mut out);
        assert_close(
            &format!("softmax {isa:?} {d:?} {power}"),
            &out,
            &soft,
            tolerance,
        );
        activation::softmax_channels_backward(d, power, &soft, &dy, &mut out);
        assert_close(
            &format!("softmax gradient {isa:?} {d:?} {power}"),
            &out,
            &dsoft,
            tolerance,
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_poolings_agree((g, n, h, w) in pooling(), tied: bool) {
        check_pool::<f32>(&g, n, h, w, tied, 2e-6);
        check_pool::<f64>(&g, n, h, w, tied, 1e-14);
    }

    #[test]
    fn windows_side_by_side_agree(n in 1usize..4, h in 2usize..13, half in 1usize..21, odd: bool, tied: bool) {
        let w = 2 * half + usize::from(odd);
        check_pool::<f32>(&Pool::square(2, 2, 0), n, h, w, tied, 2e-6);
        check_pool::<f64>(&Pool::square(2, 2, 0), n, h, w, tied, 1e-14);
    }

    #[test]
    fn random_norms_agree(b in 2usize..7, c in 1usize..20, hw in 1usize..90, affine: bool) {
        check_norm::<f32>(Planes::new(b, c, hw), affine, 1e-5);
        check_norm::<f64>(Planes::new(b, c, hw), affine, 1e-12);
    }

    #[test]
    fn random_activations_agree(b in 1usize..4, c in 1usize..40, hw in 1usize..200, i in 0usize..5) {
        let power = [0.7, 1.0, 1.4, 2.0, 0.35][i];
        check_activations::<f32>(Planes::new(b, c, hw), power, 5e-6);
        check_activations::<f64>(Planes::new(b, c, hw), power, 1e-13);
    }
}

/// Powers below 1 away from the kink, where the slope is finite.
#[test]
fn steep_triangles_agree_away_from_zero() {
    let d = Planes::new(1, 4, 33);
    let u: Vec<f32> = (0..d.len())
        .map(|i| {
            if i / d.hw < 2 {
                0.0
            } else {
                0.5 + i as f32 * 0.01
            }
        })
        .collect();
    let dy = noise::<f32>(1, d.len());
    let (mut slow, mut fast) = (vec![0.0; d.len()], vec![1.0; d.len()]);
    reference::activation::triangle_backward(d, 0.7, &u, &dy, &mut slow);
    each_isa(|_| {
        activation::triangle_backward(d, 0.7, &u, &dy, &mut fast);
        assert_close("steep triangle", &fast, &slow, 5e-6);
    });
}
