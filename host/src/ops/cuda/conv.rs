//! The three maps of a convolution as column matrices and cuBLAS products, in
//! chunks of images so that the columns stay within a fixed size.
//!
//! Columns are `[C·R·S, N]` with N = images·P·Q, so one layout serves all three:
//! forward and input gradient take one image's columns as a strided operand and
//! keep `[B, K, P, Q]` without a transposing copy; the weight gradient is one
//! product over all of N.

use candle_core::Tensor;

use super::depthwise;
use super::machine::{Arg, Gemm, Input, Machine, Matrix, Output, int};
use super::sizes::Sizes;
use super::source::Source;
use crate::Result;
use crate::ops::Conv;
use crate::ops::cpu::real::dims4;

/// Below this many outputs an image, products run over all images at once and
/// the layout is changed by a copy.
const FEW_OUTPUTS: usize = 64;

/// One call's machine, sizes and kernel struct.
struct Call<'a> {
    machine: Machine,
    sizes: Sizes,
    geometry: &'a Conv,
}

/// See [`crate::ops::conv::conv_forward`].
pub fn forward(g: &Conv, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [b, _, height, width] = dims4(x)?;
    let s = Sizes::new(g, b, [height, width])?;
    let call = Call {
        machine: Machine::of(x)?,
        sizes: s,
        geometry: g,
    };
    let m = &call.machine;
    let (x, w, y) = (m.input(x)?, m.input(w)?, m.output(b * s.k * s.pq())?);
    if depthwise::applies(g) {
        depthwise::forward(m, &s, g, &x, &w, &y)?;
        return Ok(y.tensor(&[b, s.k, s.p, s.q]));
    }
    for (first, images) in s.chunks() {
        let columns = call.columns(&x, first, images)?;
        if s.pq() >= FEW_OUTPUTS {
            call.products(
                Map::Forward,
                (first, images),
                &w,
                y.at(),
                s.pq(),
                columns.at(),
            )?;
        } else {
            let packed = m.output(s.k * images * s.pq())?;
            call.products(
                Map::Packed,
                (first, images),
                &w,
                packed.at(),
                0,
                columns.at(),
            )?;
            call.relayout("unpack", (first, images), packed.arg(), y.arg())?;
        }
    }
    Ok(y.tensor(&[b, s.k, s.p, s.q]))
}

/// See [`crate::ops::conv::conv_input_grad`].
pub fn input_grad(g: &Conv, grad: &Tensor, w: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    let b = grad.dim(0)?;
    let s = Sizes::new(g, b, input)?;
    let call = Call {
        machine: Machine::of(grad)?,
        sizes: s,
        geometry: g,
    };
    let m = &call.machine;
    let (grad, w, dx) = (m.input(grad)?, m.input(w)?, m.output(b * s.c * s.h * s.w)?);
    let dims = [b, s.c, s.h, s.w];
    if depthwise::applies(g) {
        depthwise::input_grad(m, &s, g, &grad, &w, &dx)?;
        return Ok(dx.tensor(&dims));
    }
    for (first, images) in s.chunks() {
        let columns = m.output(s.groups * s.d * images * s.pq())?;
        call.products(
            Map::Backward,
            (first, images),
            &w,
            grad.at(),
            s.pq(),
            columns.at(),
        )?;
        let (source, over) = (Source::Conv, [s.h * s.w, images * s.c]);
        let args = [s.arg(g), int(first), int(images), columns.arg(), dx.arg()];
        m.over(source, "col2im", over, &args)?;
    }
    Ok(dx.tensor(&dims))
}

/// See [`crate::ops::conv::conv_weight_grad`].
pub fn weight_grad(g: &Conv, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [b, _, height, width] = dims4(x)?;
    let s = Sizes::new(g, b, [height, width])?;
    let call = Call {
        machine: Machine::of(x)?,
        sizes: s,
        geometry: g,
    };
    let m = &call.machine;
    let (x, grad, dw) = (m.input(x)?, m.input(grad)?, m.output(s.k * s.d)?);
    if depthwise::applies(g) {
        depthwise::weight_grad(m, &s, g, &x, &grad, &dw)?;
        return Ok(dw.tensor(&g.weight_dims()));
    }
    for (first, images) in s.chunks() {
        let packed = m.output(s.k * images * s.pq())?;
        call.relayout("pack", (first, images), grad.arg(), packed.arg())?;
        let columns = call.columns(&x, first, images)?;
        call.correlate(
            images * s.pq(),
            packed.at(),
            columns.at(),
            dw.at(),
            first > 0,
        )?;
    }
    Ok(dw.tensor(&g.weight_dims()))
}

/// `correlate(x, y)` for a `y: [K, B·P·Q]` as [`super::compete::compete`] gives
/// it; result `[K, C/groups, R, S]`.
pub fn weight_grad_packed(g: &Conv, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let [b, _, height, width] = dims4(x)?;
    let s = Sizes::new(g, b, [height, width])?;
    if b > 0 && s.chunks().nth(1).is_some() {
        // Several chunks: in the layout that the general path cuts by image.
        let grad = y.reshape((s.k, b, s.p, s.q))?.transpose(0, 1)?;
        return weight_grad(g, x, &grad);
    }
    let call = Call {
        machine: Machine::of(x)?,
        sizes: s,
        geometry: g,
    };
    let m = &call.machine;
    let (x, y, dw) = (m.input(x)?, m.input(y)?, m.output(s.k * s.d)?);
    let columns = call.columns(&x, 0, b)?;
    call.correlate(b * s.pq(), y.at(), columns.at(), dw.at(), false)?;
    Ok(dw.tensor(&g.weight_dims()))
}

/// Which product of a group's weights and columns.
#[derive(Clone, Copy, PartialEq)]
enum Map {
    /// y of each image from columns.
    Forward,
    /// y of all images, `[K, N]`, from columns.
    Packed,
    /// Columns from the gradient of each image.
    Backward,
}

impl Call<'_> {
    fn columns(&self, x: &Input, first: usize, images: usize) -> Result<Output> {
        let s = &self.sizes;
        let (n, rows) = (images * s.pq(), s.groups * s.d);
        let columns = self.machine.output(rows * n)?;
        let args = [
            s.arg(self.geometry),
            int(first),
            int(images),
            x.arg(),
            columns.arg(),
        ];
        self.machine
            .over(Source::Conv, "im2col", [n, rows], &args)?;
        Ok(columns)
    }

    fn relayout(
        &self,
        kernel: &'static str,
        (first, images): (usize, usize),
        from: Arg,
        to: Arg,
    ) -> Result<()> {
        let s = &self.sizes;
        let args = [int(s.k), int(s.pq()), int(first), int(images), from, to];
        self.machine
            .over(Source::Conv, kernel, [images * s.pq(), s.k], &args)
    }

    /// Products of every group. `y` is the address of `[B, K, P, Q]` whose images
    /// lie `K·pq` apart, or of `[K, N]` (`Map::Packed`).
    fn products(
        &self,
        map: Map,
        (first, images): (usize, usize),
        w: &Input,
        y: u64,
        pq: usize,
        columns: u64,
    ) -> Result<()> {
        let (s, size) = (&self.sizes, self.machine.size());
        let (n, per) = (images * s.pq(), s.k / s.groups);
        for group in 0..s.groups {
            let at = |base: u64, elements: usize| base + (elements * size) as u64;
            let weight = Matrix {
                at: at(w.at(), group * per * s.d),
                ld: s.d,
                stride: 0,
                transposed: map == Map::Backward,
            };
            let columns = Matrix {
                at: at(columns, group * s.d * n),
                ld: n,
                stride: s.pq(),
                transposed: false,
            };
            let image = Matrix {
                at: at(y, (first * s.k + group * per) * pq),
                ld: pq,
                stride: s.k * pq,
                transposed: false,
            };
            let packed = Matrix {
                at: at(y, group * per * n),
                ld: n,
                stride: 0,
                transposed: false,
            };
            let (m, k) = if map == Map::Backward {
                (s.d, per)
            } else {
                (per, s.d)
            };
            let each = Gemm {
                m,
                n: s.pq(),
                k,
                a: weight,
                b: columns,
                c: image,
                add: false,
                batch: images,
            };
            self.machine.gemm(&match map {
                Map::Forward => each,
                Map::Packed => Gemm {
                    n,
                    c: packed,
                    batch: 1,
                    ..each
                },
                Map::Backward => Gemm {
                    b: image,
                    c: columns,
                    ..each
                },
            })?;
        }
        Ok(())
    }

    /// `dw += y · columnsᵀ` over N, group by group.
    fn correlate(&self, n: usize, y: u64, columns: u64, dw: u64, add: bool) -> Result<()> {
        let s = &self.sizes;
        let per = s.k / s.groups;
        self.machine.gemm(&Gemm {
            m: per,
            n: s.d,
            k: n,
            a: Matrix {
                at: y,
                ld: n,
                stride: per * n,
                transposed: false,
            },
            b: Matrix {
                at: columns,
                ld: n,
                stride: s.d * n,
                transposed: true,
            },
            c: Matrix {
                at: dw,
                ld: s.d,
                stride: per * s.d,
                transposed: false,
            },
            add,
            batch: s.groups,
        })
    }
}
