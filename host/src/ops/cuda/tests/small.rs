//! Normalisation, activations, dropout, losses, optimisers, whole samples, images.

use candle_core::{DType, Device, Tensor};

use super::{TYPES, agree, places, values};
use crate::ops::args::{Affine, NormBackward, NormForward};
use crate::ops::cpu;
use crate::ops::cuda;
use crate::ops::optim::{AdamRates, StepRates};
use crate::plan::ActivationPlan;

fn to(t: &Tensor, place: &Device) -> Tensor {
    t.to_device(place).expect("copy")
}

#[test]
fn batch_norm_is_the_reference() {
    for place in places() {
        for dtype in TYPES {
            for dims in [vec![3, 5, 4, 7], vec![40, 6], vec![1, 2, 19, 20]] {
                let x = (values(1, &dims, dtype) + 3.0).expect("shifted");
                let grad = values(2, &dims, dtype);
                let [gain, shift] = [3, 4].map(|s| values(s, &dims[1..2], dtype));
                let affine = Affine { gain, shift };
                let (mean, var) = cpu::norm::statistics(&x).expect("reference");
                let [xd, gd, md, vd] = [&x, &grad, &mean, &var].map(|t| to(t, &place));
                let (m, v) = cuda::norm::statistics(&xd).expect("statistics");
                agree("mean", &m, &mean);
                agree("variance", &v, &var);
                for affine in [None, Some(&affine)] {
                    let there = affine.map(|a| Affine {
                        gain: to(&a.gain, &place),
                        shift: to(&a.shift, &place),
                    });
                    let here = NormForward {
                        x: &x,
                        mean: &mean,
                        var: &var,
                        eps: 1e-5,
                        affine,
                    };
                    let y = cpu::norm::normalise(&here).expect("reference");
                    let got = cuda::norm::normalise(&NormForward {
                        x: &xd,
                        mean: &md,
                        var: &vd,
                        eps: 1e-5,
                        affine: there.as_ref(),
                    });
                    agree("normalise", &got.expect("normalise"), &y);
                    for through_statistics in [false, true] {
                        let here = NormBackward {
                            x: &x,
                            grad: &grad,
                            mean: &mean,
                            var: &var,
                            eps: 1e-5,
                            gain: affine.map(|a| &a.gain),
                            through_statistics,
                            want_x: true,
                        };
                        let want = cpu::norm::backward(&here);
                        let got = cuda::norm::backward(&NormBackward {
                            x: &xd,
                            grad: &gd,
                            mean: &md,
                            var: &vd,
                            gain: there.as_ref().map(|a| &a.gain),
                            ..here
                        });
                        let (want, got) = (want.expect("reference"), got.expect("backward"));
                        agree("dx", &got.x.expect("dx"), &want.x.expect("dx"));
                        agree("gain", &got.gain, &want.gain);
                        agree("shift", &got.shift, &want.shift);
                    }
                }
            }
        }
    }
}

#[test]
fn activations_are_the_reference() {
    let kinds = [
        ActivationPlan::Triangle { power: 1.7 },
        ActivationPlan::Triangle { power: 1.0 },
        ActivationPlan::Softmax { gain: 3.0 },
        ActivationPlan::Relu,
        ActivationPlan::Repu { power: 2.5 },
        ActivationPlan::Exp { gain: 0.5 },
        ActivationPlan::Tanh { gain: 2.0 },
        ActivationPlan::Sigmoid { gain: 10.0 },
    ];
    for place in places() {
        for dtype in TYPES {
            for dims in [vec![2, 11, 5, 7], vec![33, 3], vec![1, 40, 1, 1]] {
                for kind in &kinds {
                    let (u, grad) = (values(1, &dims, dtype), values(2, &dims, dtype));
                    let y = cpu::activation::forward(kind, &u).expect("reference");
                    let got = cuda::activation::forward(kind, &to(&u, &place)).expect("forward");
                    agree(&format!("{kind:?}"), &got, &y);
                    let kept = if crate::ops::activation::keeps_input(kind) {
                        &u
                    } else {
                        &y
                    };
                    let want = cpu::activation::backward(kind, kept, &grad).expect("reference");
                    let (kept, grad) = (to(kept, &place), to(&grad, &place));
                    let got = cuda::activation::backward(kind, &kept, &grad).expect("backward");
                    agree(&format!("{kind:?} back"), &got, &want);
                }
            }
        }
    }
}

#[test]
fn dropout_has_the_same_mask() {
    for place in places() {
        for (p, n) in [(0.0, 5), (0.3, 1001), (0.5, 4096), (1.0, 8)] {
            let x = (values(1, &[n], DType::F32) + 2.0).expect("no zeros");
            let want = cpu::dropout::apply(&x, p, 77).expect("reference");
            let got = cuda::dropout::apply(&to(&x, &place), p, 77).expect("dropout");
            let plain = |t: &Tensor| t.to_vec1::<f32>().expect("vector");
            assert_eq!(plain(&got), plain(&want), "p = {p}");
        }
    }
}

#[test]
fn losses_are_the_reference() {
    for place in places() {
        for dtype in TYPES {
            for (b, o) in [(1, 2), (7, 10), (300, 3)] {
                let y = (values(1, &[b, o], dtype) * 5.0).expect("spread");
                let labels: Vec<u32> = (0..b).map(|i| (i * 7 % o) as u32).collect();
                let labels = Tensor::from_vec(labels, b, &Device::Cpu).expect("labels");
                let target = values(2, &[b, o], dtype);
                let [yd, ld, td] = [&y, &labels, &target].map(|t| to(t, &place));
                let want = cpu::loss::cross_entropy(&y, &labels).expect("reference");
                let got = cuda::loss::cross_entropy(&yd, &ld).expect("loss");
                agree("cross-entropy", &got.0, &want.0);
                agree("cross-entropy gradient", &got.1, &want.1);
                let want = cpu::loss::half_mse(&y, &target).expect("reference");
                let got = cuda::loss::half_mse(&yd, &td).expect("loss");
                agree("squared error", &got.0, &want.0);
                agree("squared error gradient", &got.1, &want.1);
                let want = cpu::loss::count_right(&y, &labels).expect("reference");
                let got = cuda::loss::count_right(&yd, &ld).expect("count");
                agree("count", &got, &want);
            }
        }
    }
}

#[test]
fn a_label_without_a_class_is_not_a_number() {
    for place in places() {
        let y = to(&values(1, &[2, 3], DType::F64), &place);
        let labels = to(
            &Tensor::new(&[1u32, 3], &Device::Cpu).expect("labels"),
            &place,
        );
        let (sums, _) = cuda::loss::cross_entropy(&y, &labels).expect("loss");
        assert!(sums.to_vec1::<f64>().expect("sums")[0].is_nan());
    }
}

#[test]
fn optimisers_are_the_reference() {
    let rates = StepRates {
        lr: 0.1,
        weight_decay: 0.01,
        decoupled_decay: 0.001,
        clip: 0.5,
    };
    let plain = StepRates {
        lr: 0.1,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
        clip: 0.0,
    };
    let moments = AdamRates {
        betas: [0.9, 0.999],
        eps: 1e-8,
        step: 3,
    };
    let fresh = |s: u64, dtype| values(s, &[7, 41], dtype);
    for place in places() {
        for dtype in TYPES {
            for rates in [rates, plain] {
                let g = fresh(1, dtype);
                let squares = |t: Tensor| t.sqr().expect("positive");
                let states = |place: &Device| {
                    [fresh(2, dtype), fresh(3, dtype), squares(fresh(4, dtype))]
                        .map(|t| to(&t.copy().expect("own"), place))
                };
                let (want, got) = (states(&Device::Cpu), states(&place));
                cpu::optim::adam(&want[0], &g, &want[1], &want[2], moments, rates)
                    .expect("reference");
                let gd = to(&g, &place);
                cuda::optim::adam(&got[0], &gd, &got[1], &got[2], moments, rates).expect("adam");
                for (got, want) in got.iter().zip(&want) {
                    agree("adam", got, want);
                }
                for velocity in [false, true] {
                    let (want, got) = (states(&Device::Cpu), states(&place));
                    let of = |s: &[Tensor; 3]| velocity.then(|| s[1].clone());
                    cpu::optim::sgd(&want[0], &g, of(&want).as_ref(), 0.9, rates)
                        .expect("reference");
                    cuda::optim::sgd(&got[0], &gd, of(&got).as_ref(), 0.9, rates).expect("sgd");
                    agree("sgd", &got[0], &want[0]);
                    agree("velocity", &got[1], &want[1]);
                }
            }
        }
    }
}

#[test]
fn whole_samples_are_the_reference() {
    for place in places() {
        for dtype in TYPES {
            let x = values(1, &[3, 4, 5, 7], dtype);
            let x = Tensor::cat(&[&x, &x.zeros_like().expect("zeros")], 0).expect("with zeros");
            let grad = values(2, x.dims(), dtype);
            let [xd, gd] = [&x, &grad].map(|t| to(t, &place));
            let want = cpu::shape::divide_by_max(&x).expect("reference");
            agree(
                "divide",
                &cuda::shape::divide_by_max(&xd).expect("divide"),
                &want,
            );
            let want = cpu::shape::divide_by_max_backward(&x, &grad).expect("reference");
            let got = cuda::shape::divide_by_max_backward(&xd, &gd).expect("gradient");
            agree("divide back", &got, &want);
            let want = cpu::shape::subsample_pad(&x, 9).expect("reference");
            agree(
                "subsample",
                &cuda::shape::subsample_pad(&xd, 9).expect("subsample"),
                &want,
            );
            let grad = values(3, want.dims(), dtype);
            let want = cpu::shape::subsample_pad_backward(&grad, [4, 5, 7]).expect("reference");
            let got = cuda::shape::subsample_pad_backward(&to(&grad, &place), [4, 5, 7]);
            agree("subsample back", &got.expect("gradient"), &want);
        }
    }
}

#[test]
fn images_are_shifted_mirrored_and_looked_up() {
    let (c, h, w) = (2, 4, 5);
    let bytes: Vec<u8> = (0..3 * c * h * w).map(|i| (i * 37 % 251) as u8).collect();
    let picks = [
        [2i32, -1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, -1, 3, 3],
        [1, 2, -3, 1, 1, 0, 2],
    ];
    let value = |k: usize, byte: u8| f64::from(byte) * [0.5, 0.25][k] - [1.0, -2.0][k];
    // The pixel of an axis of n at `i`, or none.
    let pixel = |i: i32, n: usize, reflect: bool| match (i, n as i32 - 1) {
        (i, last) if (0..=last).contains(&i) => Some(i as usize),
        (i, last) if reflect => Some(if i < 0 { -i } else { 2 * last - i } as usize),
        _ => None,
    };
    let table: Vec<f64> = (0..c)
        .flat_map(|k| (0..=255).map(move |byte| value(k, byte)))
        .collect();
    for reflect in [false, true] {
        let mut want = Vec::new();
        for [image, row, column, mirror, top, left, side] in picks {
            for k in 0..c {
                for i in 0..h {
                    for j in 0..w {
                        let inside =
                            |at: usize, from: i32| (from..from + side).contains(&(at as i32));
                        let cut = inside(i, top) && inside(j, left);
                        let j = if mirror == 1 { w - 1 - j } else { j };
                        let y = pixel(i as i32 + row, h, reflect);
                        let x = pixel(j as i32 + column, w, reflect);
                        let plane = (image as usize * c + k) * h;
                        let byte = match (y, x) {
                            (Some(y), Some(x)) => bytes[(plane + y) * w + x],
                            _ => 0,
                        };
                        want.push(if cut { 0.0 } else { value(k, byte) });
                    }
                }
            }
        }
        let want = Tensor::from_vec(want, (3, c, h, w), &Device::Cpu).expect("want");
        for place in places() {
            let data = Tensor::from_vec(bytes.clone(), (3, c, h, w), &place).expect("bytes");
            let picks =
                Tensor::from_vec(picks.concat(), (3, cuda::images::PICK), &place).expect("picks");
            let table = Tensor::from_vec(table.clone(), (c, 256), &place).expect("table");
            let got = cuda::images::gather(&data, &picks, &table, reflect);
            agree("images", &got.expect("gather"), &want);
        }
    }
}

#[test]
fn rows_are_index_select() {
    for place in places() {
        for dtype in TYPES {
            for dims in [vec![9, 3, 5, 7], vec![4, 1], vec![300, 2]] {
                let table = values(1, &dims, dtype);
                let picked: Vec<u32> = (0..11).map(|i| i * 5 % dims[0] as u32).collect();
                let index = Tensor::new(picked, &Device::Cpu).expect("index");
                // A view that does not begin at the first element.
                let view = index.narrow(0, 3, 7).expect("view");
                let want = table.index_select(&view, 0).expect("reference");
                let index = to(&index, &place).narrow(0, 3, 7).expect("view");
                let got = cuda::images::rows(&to(&table, &place), &index).expect("rows");
                agree("rows", &got, &want);
            }
        }
    }
}
