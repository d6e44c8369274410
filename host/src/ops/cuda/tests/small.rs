//! Normalisation, activations, dropout, losses, optimisers, whole samples, images.

use candle_core::{DType, Device, Tensor};

use super::{TYPES, agree, places, values};
use crate::config::plan::ActivationPlan;
use crate::ops::cpu;
use crate::ops::cuda;
use crate::ops::norm::Affine;
use crate::ops::optim::{AdamRates, StepRates};

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
                    let y = cpu::norm::normalise(&x, &mean, &var, 1e-5, affine).expect("reference");
                    let gain = affine.map(|a| &a.gain);
                    let moved = affine.map(|a| Affine {
                        gain: to(&a.gain, &place),
                        shift: to(&a.shift, &place),
                    });
                    let got = cuda::norm::normalise(&xd, &md, &vd, 1e-5, moved.as_ref());
                    agree("normalise", &got.expect("normalise"), &y);
                    let moved = moved.as_ref().map(|a| &a.gain);
                    for through in [false, true] {
                        let want =
                            cpu::norm::backward(&x, &grad, &mean, &var, 1e-5, gain, through, true);
                        let got =
                            cuda::norm::backward(&xd, &gd, &md, &vd, 1e-5, moved, through, true);
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
fn images_are_shifted_mirrored_and_scaled() {
    let (c, h, w) = (2, 4, 5);
    let bytes: Vec<u8> = (0..3 * c * h * w).map(|i| (i * 37 % 251) as u8).collect();
    let picks = [[2i32, -1, 1, 0], [0, 0, 0, 1], [1, 2, -2, 1]];
    let (scale, offset) = ([0.5f64, 0.25], [-1.0, 2.0]);
    let (p, q) = (3, 6);
    let mut want = Vec::new();
    for [image, row, column, mirror] in picks {
        for k in 0..c {
            for i in 0..p {
                for j in 0..q {
                    let j = if mirror == 1 { q - 1 - j } else { j };
                    let (y, x) = (i as i32 + row, j as i32 + column);
                    let inside = (0..h as i32).contains(&y) && (0..w as i32).contains(&x);
                    let at =
                        ((image as usize * c + k) * h + y.max(0) as usize) * w + x.max(0) as usize;
                    let byte = if inside { bytes[at] } else { 9 };
                    want.push(f64::from(byte) * scale[k] + offset[k]);
                }
            }
        }
    }
    let want = Tensor::from_vec(want, (3, c, p, q), &Device::Cpu).expect("want");
    for place in places() {
        let data = Tensor::from_vec(bytes.clone(), (3, c, h, w), &place).expect("bytes");
        let picks = Tensor::from_vec(picks.concat(), (3, 4), &place).expect("picks");
        let [scale, offset] = [scale, offset].map(|v| Tensor::new(&v, &place).expect("channel"));
        let map = cuda::images::ImageMap {
            size: [p, q],
            border: 9,
            scale: &scale,
            offset: &offset,
        };
        agree(
            "images",
            &cuda::images::gather(&data, &picks, &map).expect("gather"),
            &want,
        );
    }
}
