//! The competitive step and the ready-made competitions against plain loops.

mod support;

use biorule_kernels::compete::{self, LANES, Outputs, Tile};
use biorule_kernels::competition::Competition;
use biorule_kernels::{Conv, Real, reference};
use proptest::prelude::*;
use support::{assert_close, convolution, each_isa, noise};

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

    fn assert_close(&self, what: &str, other: &Self, tolerance: f64) {
        assert_close(&format!("u {what}"), &self.u, &other.u, tolerance);
        assert_close(&format!("y {what}"), &self.y, &other.y, tolerance);
        assert_close(
            &format!("correlation {what}"),
            &self.correlation,
            &other.correlation,
            tolerance,
        );
        assert_close(
            &format!("decay {what}"),
            &self.decay,
            &other.decay,
            tolerance,
        );
        assert_close(
            &format!("activity {what}"),
            &self.activity,
            &other.activity,
            tolerance,
        );
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
    tolerance: f64,
) {
    let Ok((p, q)) = g.out_size(h, w) else { return };
    let x = noise::<T>(1, b * g.channels * h * w);
    let weight = noise::<T>(2, g.weight_len());
    let bias = noise::<T>(3, g.out);
    let bias = with_bias.then_some(&bias[..]);
    let mut slow = Results::new(g, b * g.out * p * q);
    reference::compete::step(
        g,
        b,
        h,
        w,
        &x,
        &weight,
        bias,
        pre_triangle,
        &smooth,
        slow.outputs(),
    );
    each_isa(|isa| {
        let mut fast = Results::new(g, b * g.out * p * q);
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
        fast.assert_close(
            &format!("{isa:?} {g:?} {b} {h}x{w} {pre_triangle} {with_bias}"),
            &slow,
            tolerance,
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_layers_agree((g, b, h, w) in convolution(), pre_triangle: bool, bias: bool) {
        check_step::<f32>(&g, b, h, w, pre_triangle, bias, 5e-5);
        check_step::<f64>(&g, b, h, w, pre_triangle, bias, 1e-12);
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
        5e-5,
    );
    check_step::<f32>(
        &Conv::square(3, 50, 5).padded(2, Reflect),
        3,
        19,
        17,
        true,
        true,
        5e-5,
    );
    check_step::<f32>(&Conv::dense(784, 100), 70, 1, 1, false, true, 5e-5);
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
