//! The competition and the SoftHebb change against loops that follow the
//! specification (shared words: section 1 of the SoftHebb paper's rule).

use candle_core::{DType, Device, Tensor};

use super::{TYPES, agree, places, values};
use crate::ops::cuda::compete::{Rivalry, compete};
use crate::ops::cuda::softhebb::{HebbRate, HebbStep, hebb_step};

/// Post-synaptic factor and share of each neuron of one group at one position.
fn one_position(rivalry: Rivalry, u: &[f64]) -> (Vec<f64>, Vec<f64>) {
    // By value, the smaller index first on ties.
    let mut order: Vec<usize> = (0..u.len()).collect();
    order.sort_by(|a, b| u[*b].total_cmp(&u[*a]).then(a.cmp(b)));
    let winner = order[0];
    let one_hot: Vec<f64> = (0..u.len())
        .map(|k| f64::from(u8::from(k == winner)))
        .collect();
    let softmax = |gain: f64| {
        let e: Vec<f64> = u.iter().map(|v| (gain * (v - u[winner])).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|v| v / sum).collect::<Vec<_>>()
    };
    match rivalry {
        Rivalry::Soft { gain } => (softmax(gain), softmax(gain)),
        Rivalry::SoftKrotov { gain } => {
            let s = softmax(gain);
            let y = s
                .iter()
                .enumerate()
                .map(|(k, s)| if k == winner { *s } else { -s });
            (y.collect(), s)
        }
        Rivalry::Hard => (one_hot.clone(), one_hot),
        Rivalry::HardKrotov { rank, delta, added } => {
            let mut y = one_hot.clone();
            let at = order[rank.min(u.len()) - 1];
            y[at] = if added { y[at] - delta } else { -delta };
            (y, one_hot)
        }
    }
}

#[test]
fn competition_follows_the_specification() {
    let rivalries = [
        Rivalry::Soft { gain: 4.0 },
        Rivalry::SoftKrotov { gain: 4.0 },
        Rivalry::Hard,
        Rivalry::HardKrotov {
            rank: 3,
            delta: 2.0,
            added: true,
        },
        Rivalry::HardKrotov {
            rank: 1,
            delta: 0.5,
            added: true,
        },
        Rivalry::HardKrotov {
            rank: 1,
            delta: 0.5,
            added: false,
        },
    ];
    for place in places() {
        for dtype in TYPES {
            for (dims, groups) in [
                ([3, 12, 5, 7], 1),
                ([2, 12, 3, 3], 3),
                ([37, 20, 1, 1], 1),
                ([1, 3, 2, 2], 1),
            ] {
                let [b, k, p, q] = dims;
                let (n, per) = (b * p * q, k / groups);
                // Coarse values, so that ties occur.
                let u = ((values(1, &dims, dtype) * 8.0)
                    .and_then(|u| u.round())
                    .expect("coarse")
                    / 8.0)
                    .expect("coarse");
                let rows: Vec<Vec<f64>> = u
                    .to_dtype(DType::F64)
                    .and_then(|u| u.permute((1, 0, 2, 3)))
                    .and_then(|u| u.reshape((k, n)))
                    .and_then(|u| u.to_vec2())
                    .expect("rows");
                for rivalry in rivalries {
                    let (mut y, mut yu, mut sum, mut won) =
                        (vec![0.0; k * n], vec![0.0; k], vec![0.0; k], vec![0.0; k]);
                    for group in 0..groups {
                        for i in 0..n {
                            let channels = group * per..(group + 1) * per;
                            let here: Vec<f64> = channels.clone().map(|c| rows[c][i]).collect();
                            let (out, share) = one_position(rivalry, &here);
                            for (c, (out, share)) in channels.zip(out.into_iter().zip(share)) {
                                y[c * n + i] = out;
                                yu[c] += out * rows[c][i];
                                sum[c] += out;
                                won[c] += share;
                            }
                        }
                    }
                    let got = compete(rivalry, groups, &u.to_device(&place).expect("u"));
                    let got = got.expect("competition");
                    let want = |v: Vec<f64>, dims: &[usize]| {
                        let t = Tensor::from_vec(v, dims, &Device::Cpu).expect("shape");
                        t.to_dtype(dtype).expect("float")
                    };
                    let what = format!("{rivalry:?} {dims:?}");
                    agree(&what, &got.y, &want(y, &[k, n]));
                    agree(&what, &got.yu, &want(yu, &[k]));
                    agree(&what, &got.sum, &want(sum, &[k]));
                    agree(&what, &got.won, &want(won, &[k]));
                }
            }
        }
    }
}

/// The change of [`HebbStep`] by loops: change, radius after, rate.
fn slow_step(
    step: &HebbStep,
    w: &[Vec<f64>],
    c: &[Vec<f64>],
    q: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let per = w.len() / step.groups;
    let delta = |k: usize, d: usize| c[k][d] - q[k] * w[k][d];
    let radius = |row: &[f64]| {
        row.iter()
            .map(|v| v.abs().powf(step.norm))
            .sum::<f64>()
            .powf(1.0 / step.norm)
    };
    let (mut out, mut radii, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..w.len() {
        let group = k / per * per..(k / per + 1) * per;
        let peak = group
            .flat_map(|k| (0..w[k].len()).map(move |d| (k, d)))
            .fold(0.0f64, |m, (k, d)| m.max(delta(k, d).abs()));
        let rate = match step.rate {
            _ if k >= step.train => 0.0,
            HebbRate::Scalar(lr) => lr,
            HebbRate::Radius { lr, power } => {
                lr * ((radius(&w[k]) - 1.0).abs() + 1e-10).powf(power)
            }
        };
        let change: Vec<f64> = (0..w[k].len())
            .map(|d| rate * delta(k, d) / (peak + 1e-30))
            .collect();
        let fresh: Vec<f64> = w[k].iter().zip(&change).map(|(w, c)| w + c).collect();
        radii.push(radius(&fresh));
        rates.push(rate);
        out.extend(if step.absolute { fresh } else { change });
    }
    (out, radii, rates)
}

#[test]
fn the_change_follows_the_specification() {
    let radius = HebbRate::Radius {
        lr: 0.05,
        power: 0.75,
    };
    let base = HebbStep {
        rate: radius,
        norm: 2.0,
        groups: 1,
        train: 6,
        absolute: true,
    };
    let steps = [
        base,
        HebbStep {
            absolute: false,
            ..base
        },
        HebbStep {
            rate: HebbRate::Scalar(0.01),
            groups: 3,
            ..base
        },
        HebbStep {
            norm: 3.0,
            groups: 2,
            ..base
        },
        HebbStep {
            rate: HebbRate::Scalar(0.01),
            train: 4,
            ..base
        },
    ];
    for place in places() {
        for dtype in TYPES {
            // The second needs several blocks for one neuron.
            for (k, dims) in [(6, vec![6, 3, 5, 5]), (6, vec![6, 2500])] {
                let [w, c] = [1, 2].map(|s| values(s, &dims, dtype));
                let q = values(3, &[k], dtype);
                let rows = |t: &Tensor| -> Vec<Vec<f64>> {
                    let t = t.to_dtype(DType::F64).and_then(|t| t.reshape((k, ())));
                    t.and_then(|t| t.to_vec2()).expect("rows")
                };
                let column: Vec<f64> = rows(&q).concat();
                for step in &steps {
                    let (want, radii, rates) = slow_step(step, &rows(&w), &rows(&c), &column);
                    let [wd, cd, qd] = [&w, &c, &q].map(|t| t.to_device(&place).expect("copy"));
                    let got = hebb_step(step, &wd, &cd, &qd).expect("step");
                    let make = |v: Vec<f64>, dims: &[usize]| {
                        let t = Tensor::from_vec(v, dims, &Device::Cpu).expect("shape");
                        t.to_dtype(dtype).expect("float")
                    };
                    agree(&format!("{step:?}"), &got.weight, &make(want, &dims));
                    agree("radius", &got.radius, &make(radii, &[k]));
                    agree("rate", &got.rate, &make(rates, &[k]));
                }
            }
        }
    }
}
