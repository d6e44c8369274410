//! Convolution and its two gradients as seven nested loops.

use crate::check::assert_len;
use crate::geometry::Conv;
use crate::real::Real;

/// Calls `visit(x index, weight index, y index)` for every product of the convolution.
fn each_product(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let (p, q) = g.expect_out(h, w);
    let (cg, kg) = (g.group_channels(), g.group_out());
    for n in 0..b {
        for k in 0..g.out {
            for (i, j) in (0..p).flat_map(|i| (0..q).map(move |j| (i, j))) {
                let y = ((n * g.out + k) * p + i) * q + j;
                for c in 0..cg {
                    let channel = (k / kg) * cg + c;
                    for (r, s) in
                        (0..g.kernel[0]).flat_map(|r| (0..g.kernel[1]).map(move |s| (r, s)))
                    {
                        let row =
                            (i * g.stride[0] + r * g.dilation[0]) as isize - g.padding[0] as isize;
                        let col =
                            (j * g.stride[1] + s * g.dilation[1]) as isize - g.padding[2] as isize;
                        let source = g.pad_mode.source(row, h).zip(g.pad_mode.source(col, w));
                        if let Some((row, col)) = source {
                            let x = ((n * g.channels + channel) * h + row) * w + col;
                            visit(x, ((k * cg + c) * g.kernel[0] + r) * g.kernel[1] + s, y);
                        }
                    }
                }
            }
        }
    }
}

/// `y[B, K, P, Q]` = `x[B, C, H, W]` convolved with `weight[K, C/groups, R, S]`.
pub fn forward<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    weight: &[T],
    y: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, b * g.channels * h * w);
    assert_len("weight", weight, g.weight_len());
    assert_len("y", y, b * g.out * p * q);
    y.fill(T::ZERO);
    each_product(g, b, h, w, |xi, wi, yi| y[yi] += x[xi] * weight[wi]);
}

/// Gradient with respect to the input, `dx[B, C, H, W]`, from `dy[B, K, P, Q]`.
pub fn input_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("dy", dy, b * g.out * p * q);
    assert_len("weight", weight, g.weight_len());
    assert_len("dx", dx, b * g.channels * h * w);
    dx.fill(T::ZERO);
    each_product(g, b, h, w, |xi, wi, yi| dx[xi] += dy[yi] * weight[wi]);
}

/// Gradient with respect to the weight, `dw[K, C/groups, R, S]`.
pub fn weight_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, b * g.channels * h * w);
    assert_len("dy", dy, b * g.out * p * q);
    assert_len("dw", dw, g.weight_len());
    dw.fill(T::ZERO);
    each_product(g, b, h, w, |xi, wi, yi| dw[wi] += x[xi] * dy[yi]);
}
