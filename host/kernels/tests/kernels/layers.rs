//! Pooling, normalisation, activations and optimisers against plain loops in f64, with odd shapes.

use biorule_kernels::{Planes, Pool, Real, activation, norm, pool, reference};
use proptest::prelude::*;

use crate::support::{
    ROUNDINGS, assert_sums, assert_sums_of_one_sign, cases, each_isa, exact_sum, magnitudes, noise,
    unit, wide,
};

prop_compose! {
    fn pooling()(
        kernel in prop::array::uniform2(1usize..6), stride in prop::array::uniform2(1usize..4),
        halves in prop::array::uniform2(0usize..3), n in 1usize..5, h in 3usize..20, w in 3usize..40,
    ) -> (Pool, usize, usize, usize) {
        (Pool { kernel, stride, padding: [halves[0].min(kernel[0] / 2), halves[1].min(kernel[1] / 2)] }, n, h, w)
    }
}

fn check_pool<T: Real>(g: &Pool, n: usize, h: usize, w: usize, tied: bool) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let mut x = noise::<T>(1, n * h * w);
    if tied {
        x.iter_mut()
            .for_each(|x| *x = T::from_f64((x.to_f64() * 2.0).round() + 0.0));
    }
    let dy = noise::<T>(2, n * p * q);
    let (wide_x, wide_dy) = (wide(&x), wide(&dy));
    let (mut y, mut at) = (noise::<T>(3, dy.len()), vec![9u32; dy.len()]);
    reference::pool::max_forward(g, n, h, w, &x, &mut y, Some(&mut at));
    let max_grad = |dy: &[f64]| {
        let mut dx = vec![0.0; x.len()];
        reference::pool::max_backward((n, p * q), (h, w), dy, &at, &mut dx);
        dx
    };
    let (dx, dx_terms) = (max_grad(&wide_dy), max_grad(&magnitudes(&wide_dy)));
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
        assert_sums(&format!("max gradient {what}"), &fast_dx, &dx, &dx_terms);
    });
    for include_pad in [false, true] {
        let mean = |x: &[f64]| {
            let mut y = vec![0.0; dy.len()];
            reference::pool::avg_forward(g, n, h, w, include_pad, x, &mut y);
            y
        };
        let mean_grad = |dy: &[f64]| {
            let mut dx = vec![0.0; x.len()];
            reference::pool::avg_backward(g, n, h, w, include_pad, dy, &mut dx);
            dx
        };
        let (y, y_terms) = (mean(&wide_x), mean(&magnitudes(&wide_x)));
        let (dx, dx_terms) = (mean_grad(&wide_dy), mean_grad(&magnitudes(&wide_dy)));
        each_isa(|isa| {
            let what = format!("{isa:?} {g:?} {n} {h}x{w} {include_pad}");
            let (mut fast_y, mut fast_dx) = (noise::<T>(5, dy.len()), noise::<T>(6, x.len()));
            pool::avg_forward(g, n, h, w, include_pad, &x, &mut fast_y);
            assert_sums(&format!("average {what}"), &fast_y, &y, &y_terms);
            pool::avg_backward(g, n, h, w, include_pad, &dy, &mut fast_dx);
            assert_sums(
                &format!("average gradient {what}"),
                &fast_dx,
                &dx,
                &dx_terms,
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

/// The places of channel `c`.
fn channel(d: Planes, c: usize) -> impl Iterator<Item = usize> {
    (0..d.b).flat_map(move |n| (0..d.hw).map(move |i| (n * d.c + c) * d.hw + i))
}

/// Sums of magnitudes behind everything that a normalisation by `mean` and `var` computes.
struct NormTerms {
    /// Per element: `|gamma| / deviation * (|x| + |mean|) + |beta|`.
    y: Vec<f64>,
    /// Per element, with the statistics' share where `train`.
    dx: Vec<f64>,
    /// Per channel.
    dgamma: Vec<f64>,
    /// Per channel.
    dbeta: Vec<f64>,
}

impl NormTerms {
    #[expect(clippy::too_many_arguments, reason = "those of the gradient")]
    fn new(
        d: Planes,
        train: bool,
        x: &[f64],
        dy: &[f64],
        mean: &[f64],
        var: &[f64],
        gamma: &[f64],
        beta: &[f64],
    ) -> Self {
        let n = (d.b * d.hw) as f64;
        let [mut y, mut dx] = [(); 2].map(|()| vec![0.0; d.len()]);
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![0.0; d.c]);
        for c in 0..d.c {
            let inv = 1.0 / (var[c] + 1e-5).sqrt();
            // A mean of the batch is itself a sum, and what it is off moves every element.
            let centre = match train {
                true => channel(d, c).map(|i| x[i].abs()).sum::<f64>() / n,
                false => mean[c].abs(),
            };
            let hat = |i: usize| inv * (x[i].abs() + centre);
            dbeta[c] = channel(d, c).map(|i| dy[i].abs()).sum();
            dgamma[c] = channel(d, c)
                .map(|i| inv * (dy[i] * (x[i] - mean[c])).abs())
                .sum();
            for i in channel(d, c) {
                y[i] = gamma[c].abs() * hat(i) + beta[c].abs();
                let through_stats = match train {
                    true => dbeta[c] / n + hat(i) * dgamma[c] / n,
                    false => 0.0,
                };
                dx[i] = gamma[c].abs() * inv * (dy[i].abs() + through_stats);
            }
        }
        Self {
            y,
            dx,
            dgamma,
            dbeta,
        }
    }
}

fn check_norm<T: Real>(d: Planes, affine: bool) {
    let (x, dy) = (noise::<T>(1, d.len()), noise::<T>(2, d.len()));
    let (gamma, beta) = (noise::<T>(3, d.c), noise::<T>(4, d.c));
    let given = affine.then_some((&gamma[..], &beta[..]));
    let gammas = affine.then_some(&gamma[..]);
    // Statistics of the batch, rounded as the forward pass hands them to the backward one.
    let (mut mean, mut var) = (vec![T::ZERO; d.c], vec![T::ZERO; d.c]);
    reference::norm::batch_stats(d, &x, &mut mean, &mut var);
    let running: Vec<T> = noise::<T>(5, d.c).iter().map(|v| v.abs()).collect();

    let (wide_x, wide_dy) = (wide(&x), wide(&dy));
    let (wide_gamma, wide_beta) = match affine {
        true => (wide(&gamma), wide(&beta)),
        false => (vec![1.0; d.c], vec![0.0; d.c]),
    };
    let n = (d.b * d.hw) as f64;
    let per_channel = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let sum = |c: usize| exact_sum(channel(d, c).map(|i| f(c, wide_x[i])));
        (0..d.c).map(|c| sum(c) / n).collect()
    };
    let true_mean = per_channel(&|_, x| x);
    let true_var = per_channel(&|c, x| (x - true_mean[c]).powi(2));
    let mean_terms = per_channel(&|_, x| x.abs());
    // (x - mean)^2 is x^2 - 2 x mean + mean^2, of which the last two are at most twice the first.
    let var_terms = per_channel(&|_, x| 2.0 * x * x);
    // What either way computes, and the magnitudes behind it.
    let results = |train: bool, mean: &[f64], var: &[f64]| {
        let mut y = vec![0.0; d.len()];
        let given = Some((&wide_gamma[..], &wide_beta[..]));
        reference::norm::forward(d, 1e-5, &wide_x, mean, var, given, &mut y);
        let mut dx = vec![0.0; d.len()];
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![0.0; d.c]);
        reference::norm::backward(
            d,
            1e-5,
            train,
            &wide_x,
            &wide_dy,
            mean,
            var,
            Some(&wide_gamma),
            &mut dx,
            &mut dgamma,
            &mut dbeta,
        );
        let terms = NormTerms::new(
            d,
            train,
            &wide_x,
            &wide_dy,
            mean,
            var,
            &wide_gamma,
            &wide_beta,
        );
        (y, dx, dgamma, dbeta, terms)
    };
    let batch = results(true, &true_mean, &true_var);
    let rounded = results(true, &wide(&mean), &wide(&var));
    let frozen = results(false, &wide(&beta), &wide(&running));
    each_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {d:?} {affine}");
        let [mut out, mut m, mut v] = [noise::<T>(6, d.len()), noise(7, d.c), noise(8, d.c)];
        norm::batch_forward_train(d, 1e-5, &x, given, &mut m, &mut v, &mut out);
        assert_sums(&what("mean"), &m, &true_mean, &mean_terms);
        // Squares are added four or more side by side, plane by plane.
        assert_sums_of_one_sign(&what("variance"), &v, &true_var, &var_terms, d.hw / 4);
        assert_sums(&what("train"), &out, &batch.0, &batch.4.y);
        norm::batch_forward_frozen(d, 1e-5, &x, &beta, &running, given, &mut out);
        assert_sums(&what("frozen"), &out, &frozen.0, &frozen.4.y);
        let [mut a, mut b] = [noise::<T>(7, d.c), noise(8, d.c)];
        let grads = norm::Gradients {
            dx: Some(&mut out),
            affine: Some((&mut a, &mut b)),
        };
        norm::batch_backward_train(d, 1e-5, &x, &dy, &mean, &var, gammas, grads);
        assert_sums(&what("dx"), &out, &rounded.1, &rounded.4.dx);
        assert_sums(&what("dgamma"), &a, &rounded.2, &rounded.4.dgamma);
        assert_sums(&what("dbeta"), &b, &rounded.3, &rounded.4.dbeta);
        let grads = norm::Gradients {
            dx: Some(&mut out),
            affine: Some((&mut a, &mut b)),
        };
        norm::batch_backward_frozen(d, 1e-5, &x, &dy, &beta, &running, gammas, grads);
        assert_sums(&what("frozen dx"), &out, &frozen.1, &frozen.4.dx);
        assert_sums(&what("frozen dgamma"), &a, &frozen.2, &frozen.4.dgamma);
        assert_sums(&what("frozen dbeta"), &b, &frozen.3, &frozen.4.dbeta);
    });
}

/// The inverse of raising to `power`, sign kept. Where an exponent lies between 0 and 1 its slope has
/// no bound at 0, and would show the rounding of the mean there a thousandfold: what is compared is
/// the value before it.
fn root(y: &[f64], power: f64) -> Vec<f64> {
    let back = |v: &f64| v.signum() * v.abs().powf(1.0 / power);
    y.iter().map(back).collect()
}

fn check_activations<T: Real>(d: Planes, power: f64) {
    let mut u = noise::<T>(1, d.len());
    if d.c > 1 {
        // A position whose channels are equal: the triangle is 0 and so is its gradient.
        (0..d.c).for_each(|c| u[c * d.hw] = T::from_f64(0.5));
    }
    let dy = noise::<T>(2, d.len());
    let (wide_u, wide_dy) = (wide(&u), wide(&dy));
    let [mut y, mut du, mut soft, mut dsoft] = [(); 4].map(|()| vec![0.0; d.len()]);
    reference::activation::triangle_forward(d, power, &wide_u, &mut y);
    reference::activation::triangle_backward(d, power, &wide_u, &wide_dy, &mut du);
    reference::activation::softmax_forward(d, power, &wide_u, &mut soft);
    let given: Vec<T> = soft.iter().map(|&y| T::from_f64(y)).collect();
    reference::activation::softmax_backward(d, power, &wide(&given), &wide_dy, &mut dsoft);
    // A position's sum over the channels, at each of its elements.
    let over_channels = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..d.len())
            .map(|i| {
                let (n, at) = (i / (d.c * d.hw), i % d.hw);
                (0..d.c).map(|c| f((n * d.c + c) * d.hw + at)).sum()
            })
            .collect()
    };
    // What `u - mean` is a sum of, and the exponent of the softmax, `gain (u - largest)`.
    let distance: Vec<f64> = over_channels(&|i| wide_u[i].abs() / d.c as f64)
        .iter()
        .zip(&wide_u)
        .map(|(mean, u)| mean + u.abs())
        .collect();
    // Each exponential is off by the rounding of its exponent, at most 2 power, and of itself.
    let soft_terms: Vec<f64> = soft.iter().map(|y| y * (2.0 + 4.0 * power)).collect();
    let dsoft_terms: Vec<f64> = over_channels(&|i| (soft[i] * wide_dy[i]).abs())
        .iter()
        .enumerate()
        .map(|(i, dot)| power * soft[i] * (wide_dy[i].abs() + dot))
        .collect();
    // The slope jumps (power 1) or is a root (below 2) where `u` is the mean; there it is compared
    // before the power, and left out where rounding decides which side `u` is on.
    let steep = (power - 1.0).clamp(1e-9, 1.0);
    let slope_terms: Vec<f64> = distance
        .iter()
        .zip(&wide_dy)
        .map(|(distance, dy)| match power {
            1.0 => dy.abs(),
            _ => (power * dy.abs()).powf(1.0 / steep) * (distance + 2.0 / steep),
        })
        .collect();
    let mean = over_channels(&|i| wide_u[i] / d.c as f64);
    let undecided = |i: usize| {
        (wide_u[i] - mean[i]).abs() <= ROUNDINGS * unit::<T>() * distance[i] && power == 1.0
    };
    each_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {d:?} {power}");
        let mut out = noise::<T>(3, d.len());
        activation::triangle_forward(d, power, &u, &mut out);
        let before = |y: &[f64]| root(y, power.min(1.0));
        // The power itself rounds too, in units of its own result.
        let terms: Vec<f64> = distance
            .iter()
            .zip(&wide_u)
            .map(|(t, u)| power.max(1.0) * (2.0 + u.abs()).powf(power.max(1.0) - 1.0) * (t + 1.0))
            .collect();
        let rounded = |y: &[f64]| -> Vec<T> { y.iter().map(|&v| T::from_f64(v)).collect() };
        let got = rounded(&before(&wide(&out)));
        assert_sums(&what("triangle"), &got, &before(&y), &terms);
        activation::triangle_backward(d, power, &u, &dy, &mut out);
        if power >= 1.0 {
            let before = |du: &[f64]| match power {
                1.0 => du.to_vec(),
                _ => root(du, steep),
            };
            let mut expected = before(&du);
            let mut got = rounded(&before(&wide(&out)));
            for i in (0..d.len()).filter(|&i| undecided(i)) {
                let either = [0.0, wide_dy[i]];
                assert!(either.contains(&got[i].to_f64()), "{}", what("kink"));
                (got[i], expected[i]) = (T::ZERO, 0.0);
            }
            assert_sums(&what("triangle gradient"), &got, &expected, &slope_terms);
        }
        assert!(out.iter().all(|v| !v.is_nan()));
        activation::softmax_channels_forward(d, power, &u, &mut out);
        assert_sums(&what("softmax"), &out, &soft, &soft_terms);
        activation::softmax_channels_backward(d, power, &given, &dy, &mut out);
        assert_sums(&what("softmax gradient"), &out, &dsoft, &dsoft_terms);
    });
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn random_poolings_agree((g, n, h, w) in pooling(), tied: bool) {
        check_pool::<f32>(&g, n, h, w, tied);
        check_pool::<f64>(&g, n, h, w, tied);
    }

    #[test]
    fn windows_side_by_side_agree(n in 1usize..4, h in 2usize..13, half in 1usize..21, odd: bool, tied: bool) {
        let w = 2 * half + usize::from(odd);
        check_pool::<f32>(&Pool::square(2, 2, 0), n, h, w, tied);
        check_pool::<f64>(&Pool::square(2, 2, 0), n, h, w, tied);
    }

    #[test]
    fn random_norms_agree(b in 2usize..7, c in 1usize..20, hw in 1usize..90, affine: bool) {
        check_norm::<f32>(Planes::new(b, c, hw), affine);
        check_norm::<f64>(Planes::new(b, c, hw), affine);
    }

    #[test]
    fn random_activations_agree(b in 1usize..4, c in 1usize..40, hw in 1usize..200, i in 0usize..5) {
        let power = [0.7, 1.0, 1.4, 2.0, 0.35][i];
        check_activations::<f32>(Planes::new(b, c, hw), power);
        check_activations::<f64>(Planes::new(b, c, hw), power);
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
    reference::activation::triangle_backward(d, 0.7, &wide(&u), &wide(&dy), &mut slow);
    // The slope is at most 1 here.
    let terms: Vec<f64> = u.iter().map(|u| 1.0 + f64::from(u.abs())).collect();
    each_isa(|_| {
        activation::triangle_backward(d, 0.7, &u, &dy, &mut fast);
        assert_sums("steep triangle", &fast, &slow, &terms);
    });
}
