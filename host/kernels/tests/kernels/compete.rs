//! The competitive step and the ready-made competitions against plain loops.

use biorule_kernels::compete::{self, LANES, Outputs, Tile};
use biorule_kernels::competition::Competition;
use biorule_kernels::{Conv, Real, reference};
use proptest::prelude::*;

use crate::support::{
    assert_close, assert_sums, assert_sums_of_one_sign, cases, convolution, each_isa, exact_sum,
    magnitudes, noise, wide,
};

/// One unit of a position: rank by falling value, then rising index.
fn ranks(u: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..u.len()).collect();
    order.sort_by(|&a, &b| u[b].total_cmp(&u[a]).then(a.cmp(&b)));
    order
}

/// The equations of one position, in f64.
fn expected(rule: Competition, u: &[f64]) -> Vec<f64> {
    let order = ranks(u);
    let softmax = |beta: f64| {
        let most = u.iter().map(|u| beta * u).fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = u.iter().map(|u| (beta * u - most).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect::<Vec<_>>()
    };
    let mut hard = vec![0.0; u.len()];
    hard[order[0]] = 1.0;
    match rule {
        Competition::Soft { beta } => softmax(beta),
        Competition::SoftKrotov { beta } => {
            let sign = |k: usize| if k == order[0] { 1.0 } else { -1.0 };
            softmax(beta)
                .into_iter()
                .enumerate()
                .map(|(k, s)| s * sign(k))
                .collect()
        }
        Competition::Hard => hard,
        Competition::HardKrotov { delta, rank } => {
            hard[order[rank - 1]] -= delta;
            hard
        }
        Competition::Krotov { delta, rank } => {
            hard[order[rank - 1]] = -delta;
            hard
        }
    }
}

fn rules(units: usize) -> Vec<Competition> {
    let mut all = vec![
        Competition::Soft { beta: 1.5 },
        Competition::SoftKrotov { beta: 0.7 },
        Competition::SoftKrotov { beta: -3.0 },
        Competition::Hard,
    ];
    for rank in 1..=units.min(4) {
        all.push(Competition::HardKrotov { delta: 0.3, rank });
        all.push(Competition::Krotov { delta: 0.3, rank });
    }
    all
}

fn check_rules<T: Real>(units: usize, tied: bool, tolerance: f64) {
    let mut u = noise::<T>(units as u64, units * LANES);
    if tied {
        // Adding 0 turns -0 into 0: the two are a tie.
        u.iter_mut()
            .for_each(|u| *u = T::from_f64((u.to_f64() * 2.0).round() + 0.0));
    }
    let u = u.as_chunks::<LANES>().0;
    for rule in rules(units) {
        each_isa(|isa| {
            let mut y = vec![[T::from_f64(9.0); LANES]; units];
            rule.apply(&mut Tile {
                u,
                y: &mut y,
                lanes: LANES,
                group: 0,
                first: 0,
            });
            for lane in 0..LANES {
                let column: Vec<f64> = u.iter().map(|u| u[lane].to_f64()).collect();
                let got: Vec<f64> = y.iter().map(|y| y[lane].to_f64()).collect();
                assert_close(
                    &format!("{rule:?} {isa:?} {units} {lane}"),
                    &got,
                    &expected(rule, &column),
                    tolerance,
                );
            }
        });
    }
}

#[test]
fn competitions_follow_their_equations() {
    for units in [1, 2, 5, 96] {
        for tied in [false, true] {
            check_rules::<f32>(units, tied, 2e-6);
            check_rules::<f64>(units, tied, 1e-14);
        }
    }
}

/// Very different currents neither overflow nor lose the winner.
#[test]
fn softmax_survives_large_currents() {
    let u: Vec<[f32; LANES]> = (0..7).map(|k| [k as f32 * 1e4; LANES]).collect();
    let mut y = vec![[0.0; LANES]; 7];
    Competition::Soft { beta: 10.0 }.apply(&mut Tile {
        u: &u,
        y: &mut y,
        lanes: LANES,
        group: 0,
        first: 0,
    });
    assert!(y[6].iter().all(|&v| v == 1.0) && y[..6].as_flattened().iter().all(|&v| v < 1e-30));
}

struct Results<T> {
    u: Vec<T>,
    correlation: Vec<T>,
    decay: Vec<T>,
    activity: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> Results<T> {
    fn new(g: &Conv, outputs: usize) -> Self {
        let stale = |n| noise(9, n);
        let (correlation, units) = (stale(g.weight_len()), g.out);
        Self {
            u: stale(outputs),
            correlation,
            decay: stale(units),
            activity: stale(units),
            y: stale(outputs),
        }
    }

    fn outputs(&mut self) -> Outputs<'_, T> {
        let Self {
            u,
            correlation,
            decay,
            activity,
            y,
        } = self;
        Outputs {
            u,
            correlation,
            decay,
            activity,
            y: Some(y),
        }
    }
}

/// Sums of magnitudes behind each result of a step with [`smooth`], by the layer's equations.
struct Terms {
    u: Vec<f64>,
    correlation: Vec<f64>,
    decay: Vec<f64>,
    activity: Vec<f64>,
    y: Vec<f64>,
}

impl Terms {
    /// Of a layer whose pre-activations (before bias and triangle) are sums of products of
    /// magnitude `products`; `x` are the magnitudes of its input, `u` what competes.
    fn new(
        (g, b, h, w): (&Conv, usize, usize, usize),
        x: &[f64],
        products: Vec<f64>,
        bias: Option<&[f64]>,
        pre_triangle: bool,
        u: &[f64],
    ) -> Self {
        let size = u.len() / (b * g.out);
        let (units, unit_of) = (g.group_out(), |i: usize| i / size % g.out);
        // A mean over `count` units from that of `i`'s first on, at element `i`.
        let mean = |values: &dyn Fn(usize) -> f64, i: usize, first: usize, count: usize| {
            let image = i / (size * g.out) * g.out;
            let at = |k: usize| (image + k) * size + i % size;
            (first..first + count).map(|k| values(at(k))).sum::<f64>() / count as f64
        };
        let mut own = products;
        for (i, own) in own.iter_mut().enumerate() {
            *own += bias.map_or(0.0, |bias| bias[unit_of(i)]);
        }
        if pre_triangle {
            let given = own.clone();
            for (i, own) in own.iter_mut().enumerate() {
                *own += mean(&|j| given[j], i, 0, g.out);
            }
        }
        // y = u - mean u^2: what u is off moves the square by 2 u times that.
        let squares = |j: usize| u[j] * u[j] + 2.0 * u[j].abs() * own[j];
        let y: Vec<f64> = (0..u.len())
            .map(|i| own[i] + mean(&squares, i, unit_of(i) / units * units, units))
            .collect();
        let mut correlation = vec![0.0; g.weight_len()];
        reference::conv::weight_grad(g, b, h, w, x, &y, &mut correlation);
        let [mut decay, mut activity] = [(); 2].map(|()| vec![0.0; g.out]);
        for (i, y) in y.iter().enumerate() {
            activity[unit_of(i)] += y;
            // `y` is off by roundings of its terms and so is `u`; both are at least as large.
            decay[unit_of(i)] += y * u[i].abs() + y * own[i];
        }
        Self {
            u: own,
            correlation,
            decay,
            activity,
            y,
        }
    }
}

/// A smooth competition, so that rounding cannot change a winner: `y_k = u_k - mean u^2`.
fn smooth<T: Real>(tile: &mut Tile<'_, T>) {
    let mut mean = [T::ZERO; LANES];
    for u in tile.u {
        mean.iter_mut()
            .zip(u)
            .for_each(|(m, &u)| *m += u * u / T::from_f64(tile.u.len() as f64));
    }
    for (u, y) in tile.u.iter().zip(tile.y.iter_mut()) {
        (0..LANES).for_each(|lane| y[lane] = u[lane] - mean[lane]);
    }
}

fn check_step<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    pre_triangle: bool,
    with_bias: bool,
) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let x = noise::<T>(1, b * g.channels * h * w);
    let weight = noise::<T>(2, g.weight_len());
    let bias = noise::<T>(3, g.out);
    let bias = with_bias.then_some(&bias[..]);
    let (wide_x, wide_weight, wide_bias) = (wide(&x), wide(&weight), bias.map(wide));
    let mut slow = Results::<f64>::new(g, b * g.out * p * q);
    reference::compete::step(
        g,
        b,
        h,
        w,
        &wide_x,
        &wide_weight,
        wide_bias.as_deref(),
        pre_triangle,
        &smooth,
        slow.outputs(),
    );
    let over_positions = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let of = |k: usize| (0..slow.u.len()).filter(move |i| i / (p * q) % g.out == k);
        (0..g.out).map(|k| exact_sum(of(k).map(f))).collect()
    };
    let activity = over_positions(&|i| slow.y[i]);
    let decay = over_positions(&|i| slow.y[i] * slow.u[i]);
    let mut products = vec![0.0; slow.u.len()];
    let (x_terms, weight_terms) = (magnitudes(&wide_x), magnitudes(&wide_weight));
    reference::conv::forward(g, b, h, w, &x_terms, &weight_terms, &mut products);
    let bias_terms = wide_bias.as_deref().map(magnitudes);
    let terms = Terms::new(
        (g, b, h, w),
        &x_terms,
        products,
        bias_terms.as_deref(),
        pre_triangle,
        &slow.u,
    );
    each_isa(|isa| {
        let mut fast = Results::<T>::new(g, b * g.out * p * q);
        compete::step(
            g,
            b,
            h,
            w,
            &x,
            &weight,
            bias,
            pre_triangle,
            &smooth,
            fast.outputs(),
        );
        let what =
            |name: &str| format!("{name} {isa:?} {g:?} {b} {h}x{w} {pre_triangle} {with_bias}");
        assert_sums(&what("u"), &fast.u, &slow.u, &terms.u);
        assert_sums(&what("y"), &fast.y, &slow.y, &terms.y);
        // These are sums over positions, of which those that see only the border are equal, and `y`
        // follows `x`: each addition may round the same way. The correlation adds position by
        // position, here and in the reference; the others LANES of them side by side, and at most
        // once more for a block.
        let positions = b * p * q;
        let chain = 2 * positions.div_ceil(LANES);
        for (name, fast, slow, terms, chain) in [
            (
                "correlation",
                &fast.correlation,
                &slow.correlation,
                &terms.correlation,
                2 * positions,
            ),
            ("decay", &fast.decay, &decay, &terms.decay, chain),
            (
                "activity",
                &fast.activity,
                &activity,
                &terms.activity,
                chain,
            ),
        ] {
            assert_sums_of_one_sign(&what(name), fast, slow, terms, chain);
        }
    });
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn random_layers_agree((g, b, h, w) in convolution(), pre_triangle: bool, bias: bool) {
        check_step::<f32>(&g, b, h, w, pre_triangle, bias);
        check_step::<f64>(&g, b, h, w, pre_triangle, bias);
    }
}

/// Sizes that take the path of large weights, several blocks, and tiles across images.
#[test]
fn large_layers_agree() {
    use biorule_kernels::PadMode::Reflect;
    check_step::<f32>(
        &Conv::square(90, 200, 3).padded(1, Reflect),
        3,
        9,
        7,
        false,
        false,
    );
    check_step::<f32>(
        &Conv::square(3, 50, 5).padded(2, Reflect),
        3,
        19,
        17,
        true,
        true,
    );
    check_step::<f32>(&Conv::dense(784, 100), 70, 1, 1, false, true);
}

/// The tile says which positions it holds.
#[test]
fn tiles_cover_every_position_once() {
    let g = Conv {
        groups: 2,
        ..Conv::square(2, 4, 1)
    };
    let seen = std::sync::Mutex::new(vec![0; 2 * 3 * 35]);
    let competition = |tile: &mut Tile<'_, f32>| {
        let mut seen = seen.lock().unwrap();
        (0..tile.lanes).for_each(|lane| seen[tile.group * 105 + tile.first + lane] += 1);
        tile.y.fill([1.0; LANES]);
    };
    let mut out = Results::new(&g, 3 * 4 * 35);
    compete::step(
        &g,
        3,
        5,
        7,
        &noise(1, 210),
        &noise(2, 4),
        None,
        false,
        &competition,
        out.outputs(),
    );
    assert!(seen.into_inner().unwrap().iter().all(|&n| n == 1));
    assert!(out.activity.iter().all(|&n| n == 105.0));
}
