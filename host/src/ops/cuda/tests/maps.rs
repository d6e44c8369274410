//! Convolutions, pooling, borders.

use candle_core::{DType, Tensor};

use super::{TYPES, agree, places, values};
use crate::ops::cuda::{conv, pad, pool};
use crate::ops::{Conv, PadMode, Window, cpu};

const MODES: [PadMode; 4] = [
    PadMode::Zeros,
    PadMode::Reflect,
    PadMode::Replicate,
    PadMode::Circular,
];

/// C, K, groups; kernel; stride; padding; dilation; input.
type Shape = (
    usize,
    usize,
    usize,
    [usize; 2],
    [usize; 2],
    [usize; 4],
    [usize; 2],
    [usize; 2],
);

const SHAPES: [Shape; 9] = [
    (3, 8, 1, [5, 5], [1, 1], [2, 2, 2, 2], [1, 1], [9, 8]),
    (4, 6, 2, [3, 3], [2, 1], [1, 1, 1, 1], [1, 2], [9, 8]),
    (2, 5, 1, [3, 2], [2, 3], [0, 1, 2, 1], [2, 1], [7, 9]),
    (6, 6, 3, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], [10, 7]),
    (5, 5, 5, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], [6, 7]),
    (3, 6, 3, [5, 3], [2, 2], [4, 2, 2, 3], [2, 1], [8, 9]),
    (4, 7, 1, [4, 4], [1, 1], [0, 0, 0, 0], [1, 1], [4, 4]),
    (1, 3, 1, [3, 3], [1, 1], [3, 3, 3, 3], [1, 1], [4, 5]),
    (12, 10, 1, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], [1, 1]),
];

fn geometry(shape: Shape, mode: PadMode) -> (Conv, [usize; 2]) {
    let (channels, out, groups, kernel, stride, padding, dilation, input) = shape;
    let g = Conv {
        channels,
        out,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        pad_mode: mode,
    };
    (g, input)
}

fn each_case(mut f: impl FnMut(&Conv, &Tensor, &Tensor, &Tensor, [usize; 2])) {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        for mode in MODES {
            for dtype in TYPES {
                let (g, input) = geometry(shape, mode);
                let (p, q) = g.out_size(input[0], input[1]).expect("fits");
                let seed = i as u64 * 10;
                let x = values(seed, &[3, g.channels, input[0], input[1]], dtype);
                let w = values(seed + 1, &g.weight_dims(), dtype);
                let y = values(seed + 2, &[3, g.out, p, q], dtype);
                f(&g, &x, &w, &y, input);
            }
        }
    }
}

#[test]
fn forward_is_the_reference() {
    for place in places() {
        each_case(|g, x, w, _, _| {
            let reference = cpu::conv::forward(g, x, w).expect("reference");
            let (x, w) = (
                x.to_device(&place).expect("x"),
                w.to_device(&place).expect("w"),
            );
            agree(
                &format!("{g:?}"),
                &conv::forward(g, &x, &w).expect("forward"),
                &reference,
            );
        });
    }
}

#[test]
fn input_gradient_is_the_reference() {
    for place in places() {
        each_case(|g, _, w, y, input| {
            let reference = cpu::conv::input_grad(g, y, w, input).expect("reference");
            let (y, w) = (
                y.to_device(&place).expect("y"),
                w.to_device(&place).expect("w"),
            );
            let got = conv::input_grad(g, &y, &w, input).expect("gradient");
            agree(&format!("{g:?}"), &got, &reference);
        });
    }
}

#[test]
fn weight_gradient_is_the_reference() {
    for place in places() {
        each_case(|g, x, _, y, _| {
            let reference = cpu::conv::weight_grad(g, x, y).expect("reference");
            let (x, y) = (
                x.to_device(&place).expect("x"),
                y.to_device(&place).expect("y"),
            );
            let got = conv::weight_grad(g, &x, &y).expect("gradient");
            agree(&format!("{g:?}"), &got, &reference);
            let packed = y
                .transpose(0, 1)
                .and_then(|t| t.contiguous())
                .expect("packed");
            let packed = packed.reshape((g.out, ())).expect("packed");
            if g.groups == 1 || g.groups < g.channels {
                let got = conv::weight_grad_packed(g, &x, &packed).expect("gradient");
                agree(&format!("packed {g:?}"), &got, &reference);
            }
        });
    }
}

#[test]
fn operands_may_be_views() {
    for place in places() {
        let (g, input) = geometry(SHAPES[0], PadMode::Reflect);
        let x = values(1, &[input[0], 3, 4, input[1]], DType::F64);
        let view = |t: &Tensor| {
            t.transpose(0, 2)
                .and_then(|t| t.narrow(0, 1, 3))
                .expect("view")
        };
        let w = values(2, &g.weight_dims(), DType::F64);
        let reference = cpu::conv::forward(&g, &view(&x), &w).expect("reference");
        let (x, w) = (
            x.to_device(&place).expect("x"),
            w.to_device(&place).expect("w"),
        );
        agree(
            "view",
            &conv::forward(&g, &view(&x), &w).expect("forward"),
            &reference,
        );
    }
}

/// Kernel, stride, padding; input.
const WINDOWS: [[[usize; 2]; 4]; 6] = [
    [[2, 2], [2, 2], [0, 0], [7, 6]],
    [[4, 4], [2, 2], [1, 1], [9, 8]],
    [[3, 3], [1, 1], [1, 1], [5, 7]],
    [[3, 2], [2, 3], [1, 1], [8, 11]],
    [[5, 4], [1, 3], [2, 2], [5, 4]],
    [[2, 2], [5, 5], [0, 0], [12, 13]],
];

fn each_window(mut f: impl FnMut(&Window, &Tensor, &Tensor, [usize; 2])) {
    for (i, [kernel, stride, padding, input]) in WINDOWS.into_iter().enumerate() {
        for dtype in TYPES {
            let g = Window {
                kernel,
                stride,
                padding,
            };
            let (p, q) = g.out_size(input[0], input[1]).expect("fits");
            let x = values(i as u64, &[2, 3, input[0], input[1]], dtype);
            // Few distinct values, so that ties occur.
            let x = ((x * 4.0).and_then(|x| x.round()).expect("coarse") / 4.0).expect("coarse");
            f(&g, &x, &values(i as u64 + 50, &[2, 3, p, q], dtype), input);
        }
    }
}

#[test]
fn pooling_is_the_reference() {
    for place in places() {
        each_window(|g, x, grad, input| {
            let (y, at) = cpu::pool::max_forward(g, x).expect("reference");
            let dx = cpu::pool::max_backward(grad, &at, input).expect("reference");
            let means = [true, false].map(|include_pad| {
                let mean = cpu::pool::avg_forward(g, include_pad, x);
                let back = cpu::pool::avg_backward(g, include_pad, grad, input);
                (include_pad, mean.expect("mean"), back.expect("gradient"))
            });
            let (x, grad) = (
                x.to_device(&place).expect("x"),
                grad.to_device(&place).expect("g"),
            );
            let (got, places) = pool::max_forward(g, &x).expect("maximum");
            agree(&format!("maximum {g:?}"), &got, &y);
            let flat = |t: &Tensor| -> Vec<u32> {
                t.flatten_all().and_then(|t| t.to_vec1()).expect("places")
            };
            assert_eq!(flat(&places), flat(&at), "{g:?}");
            let got = pool::max_backward(g, &grad, &places, input).expect("gradient");
            agree(&format!("maximum gradient {g:?}"), &got, &dx);
            for (include_pad, mean, back) in means {
                let got = pool::avg_forward(g, include_pad, &x).expect("mean");
                agree(&format!("mean {include_pad} {g:?}"), &got, &mean);
                let got = pool::avg_backward(g, include_pad, &grad, input).expect("gradient");
                agree(&format!("mean gradient {include_pad} {g:?}"), &got, &back);
            }
        });
    }
}

#[test]
fn borders_are_the_reference() {
    for place in places() {
        for mode in MODES {
            for padding in [[0; 4], [2, 1, 3, 0], [3, 3, 3, 3]] {
                let x = values(3, &[2, 3, 4, 5], DType::F64);
                let reference = cpu::pad::forward(&x, padding, mode).expect("reference");
                let grad = values(4, reference.dims(), DType::F64);
                let back = cpu::pad::backward(&grad, padding, mode).expect("reference");
                let (x, grad) = (
                    x.to_device(&place).expect("x"),
                    grad.to_device(&place).expect("g"),
                );
                let got = pad::forward(&x, padding, mode).expect("pad");
                agree(&format!("{mode:?} {padding:?}"), &got, &reference);
                let got = pad::backward(&grad, padding, mode).expect("gradient");
                agree(&format!("{mode:?} {padding:?} back"), &got, &back);
            }
        }
    }
}

/// The kernels read one copy of the image on each side: more would be out of bounds.
#[test]
fn borders_wider_than_the_image_are_refused() {
    let (x, w) = (
        values(3, &[2, 3, 4, 5], DType::F64),
        values(4, &[6, 3, 3, 3], DType::F64),
    );
    for (mode, most) in [(PadMode::Circular, 4), (PadMode::Reflect, 3)] {
        for (rows, fits) in [(most, true), (most + 1, false)] {
            let padding = [rows, 0, 0, 0];
            let g = Conv {
                padding,
                pad_mode: mode,
                ..Conv::square(3, 6, 3)
            };
            for place in places() {
                let x = x.to_device(&place).expect("x");
                let w = w.to_device(&place).expect("w");
                assert_eq!(pad::forward(&x, padding, mode).is_ok(), fits, "{mode}");
                assert_eq!(conv::forward(&g, &x, &w).is_ok(), fits, "{mode}");
            }
            let there = crate::ops::conv::pad(&x, padding, mode);
            assert_eq!(there.is_ok(), fits, "{mode}");
            assert_eq!(cpu::conv::forward(&g, &x, &w).is_ok(), fits, "{mode}");
        }
    }
}
