//! The competition against loops that follow the specification (shared words: section 1 of the
//! SoftHebb paper's rule), and the rows of a weight against the processor.

use candle_core::{DType, Device, Tensor};

use super::{TYPES, agree, places, values};
use crate::ops::cuda::compete::{Rivalry, compete};
use crate::ops::cuda::synapses;

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

#[test]
fn rows_of_a_weight_equal_the_processor() {
    for place in places() {
        for dtype in TYPES {
            // The second needs several blocks for one row.
            for dims in [vec![6, 3, 5, 5], vec![6, 2500]] {
                let [w, c] = [1, 2].map(|s| values(s, &dims, dtype));
                let q = values(3, &[6], dtype);
                let [wd, cd, qd] = [&w, &c, &q].map(|t| t.to_device(&place).expect("copy"));
                for p in [1.0, 2.0, 2.5, 3.0] {
                    let got = synapses::row_norms(&wd, p).expect("norms");
                    let want = crate::ops::synapses::row_norms(&w, p).expect("norms");
                    agree("norms", &got, &want);
                }
                let (delta, largest) = synapses::sub_rows(&cd, &qd, &wd).expect("change");
                let want = crate::ops::synapses::sub_rows(&c, &q, &w).expect("change");
                agree("change", &delta, &want.0);
                agree("largest", &largest, &want.1);
                let moved = wd.copy().expect("copy");
                synapses::add_rows(&moved, &cd, &qd).expect("update");
                let want = w.copy().expect("copy");
                crate::ops::synapses::add_rows_in_place(&want, &c, &q).expect("update");
                agree("update", &moved, &want);
            }
        }
    }
}
