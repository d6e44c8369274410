//! One channel as a grid of numbers: what lies outside of it, filters, values between pixels.

/// What is read outside of a grid.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// The nearest pixel.
    Nearest,
    /// Mirrored about the edge pixel, which is not repeated.
    Reflect,
    /// Mirrored about the edge, so that the edge pixel comes twice.
    Mirror,
}

impl Edge {
    /// The position in `0..n` that stands for `at`.
    pub(super) fn place(self, at: isize, n: usize) -> usize {
        let n = n as isize;
        let at = match self {
            Self::Nearest => at.clamp(0, n - 1),
            Self::Reflect if n > 1 => {
                let period = 2 * (n - 1);
                let at = at.rem_euclid(period);
                at.min(period - at)
            }
            Self::Reflect => 0,
            Self::Mirror => {
                let at = at.rem_euclid(2 * n);
                at.min(2 * n - 1 - at)
            }
        };
        at as usize
    }
}

/// The value that a byte stands for; cut off, as the published set was written.
pub(super) fn as_byte(v: f32) -> f32 {
    // Values that are bytes already must stay: their product with 255 may lie just below.
    let byte = (v.clamp(0.0, 1.0) * 255.0 + 1e-3).floor();
    byte / 255.0
}

/// Height and width.
pub(super) type Size = (usize, usize);

/// Values of a normal density at whole distances up to `truncate` deviations, with sum 1.
pub(super) fn bell(sigma: f64, truncate: f64) -> Vec<f32> {
    let radius = (truncate * sigma + 0.5) as isize;
    bell_of(sigma, radius)
}

/// The same up to `radius`.
pub(super) fn bell_of(sigma: f64, radius: isize) -> Vec<f32> {
    let weight = |i: isize| match i {
        0 => 1.0,
        i => (-0.5 * (i as f64 / sigma).powi(2)).exp(),
    };
    let sum: f64 = (-radius..=radius).map(weight).sum();
    (-radius..=radius)
        .map(|i| (weight(i) / sum) as f32)
        .collect()
}

/// `x` filtered by `weights` along both axes.
pub(super) fn filter_both(x: &[f32], size: Size, weights: &[f32], edge: Edge) -> Vec<f32> {
    let rows = filter(x, size, &along(weights, true), edge);
    filter(&rows, size, &along(weights, false), edge)
}

/// A weight and the row and column, relative to the pixel, that it belongs to.
pub(super) type Tap = (f32, isize, isize);

fn along(weights: &[f32], vertical: bool) -> Vec<Tap> {
    let half = (weights.len() / 2) as isize;
    let tap = |(i, w): (usize, &f32)| {
        let away = i as isize - half;
        if vertical {
            (*w, away, 0)
        } else {
            (*w, 0, away)
        }
    };
    weights.iter().enumerate().map(tap).collect()
}

/// Each pixel as the weighted sum of those that `taps` name.
pub(super) fn filter(x: &[f32], (h, w): Size, taps: &[Tap], edge: Edge) -> Vec<f32> {
    let mut out = vec![0.0; h * w];
    for row in 0..h {
        for column in 0..w {
            let tap = |(weight, down, right): &Tap| {
                let r = edge.place(row as isize + down, h);
                let c = edge.place(column as isize + right, w);
                weight * x[r * w + c]
            };
            out[row * w + column] = taps.iter().map(tap).sum();
        }
    }
    out
}

/// The value at a place between pixels, linear in both directions.
pub(super) fn between(x: &[f32], (h, w): Size, (row, column): (f32, f32), edge: Edge) -> f32 {
    let (top, left) = (row.floor(), column.floor());
    let (down, right) = (row - top, column - left);
    let at = |r: isize, c: isize| {
        x[edge.place(top as isize + r, h) * w + edge.place(left as isize + c, w)]
    };
    let upper = at(0, 0) * (1.0 - right) + at(0, 1) * right;
    let lower = at(1, 0) * (1.0 - right) + at(1, 1) * right;
    upper * (1.0 - down) + lower * down
}

/// The middle of `x` enlarged `factor` times to the size of `x`.
pub(super) fn zoomed(x: &[f32], (h, w): Size, factor: f64) -> Vec<f32> {
    let part = |n: usize| (n as f64 / factor).ceil() as usize;
    let (ch, cw) = (part(h), part(w));
    let (top, left) = ((h - ch) / 2, (w - cw) / 2);
    let large = |n: usize| ((n as f64 * factor).round() as usize).max(n);
    let (lh, lw) = (large(ch), large(cw));
    let trim = |large: usize, n: usize| large.saturating_sub(n) / 2;
    let (cut_top, cut_left) = (trim(lh, h), trim(lw, w));
    // Corner pixels of both lie on one another.
    let place = |at: usize, cut: usize, small: usize, large: usize, start: usize| {
        let step = match large {
            0 | 1 => 0.0,
            _ => (small - 1) as f32 / (large - 1) as f32,
        };
        let inside = ((at + cut) as f32 * step).min((small - 1) as f32);
        start as f32 + inside
    };
    let mut out = Vec::with_capacity(h * w);
    for row in 0..h {
        for column in 0..w {
            let r = place(row, cut_top, ch, lh, top);
            let c = place(column, cut_left, cw, lw, left);
            out.push(between(x, (h, w), (r, c), Edge::Nearest));
        }
    }
    out
}

/// Blurred along a line that ends in each pixel, as ImageMagick's motion blur: the half of a normal
/// density of deviation `sigma`, `2·radius + 1` pixels long, at `angle` degrees.
pub(super) fn smeared(
    x: &[f32],
    size: Size,
    (radius, sigma): (usize, f64),
    angle: f64,
) -> Vec<f32> {
    let length = 2 * radius + 1;
    let weight = |i: usize| (-(i as f64).powi(2) / (2.0 * sigma * sigma)).exp();
    let sum: f64 = (0..length).map(weight).sum();
    let (down, right) = angle.to_radians().sin_cos();
    let away = |i: usize, step: f64| (i as f64 * step - 0.5).ceil() as isize;
    let taps: Vec<Tap> = (0..length)
        .map(|i| ((weight(i) / sum) as f32, away(i, down), away(i, right)))
        .collect();
    filter(x, size, &taps, Edge::Nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_mirrored_as_their_names_say() {
        let around = |edge: Edge| -> Vec<usize> { (-4..8).map(|at| edge.place(at, 4)).collect() };
        assert_eq!(around(Edge::Nearest), [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3]);
        assert_eq!(around(Edge::Reflect), [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(around(Edge::Mirror), [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]);
    }

    /// Filters with sum 1 and enlargement leave an even grey as it is.
    #[test]
    fn an_even_grey_stays() {
        let (x, size) = (vec![0.4; 12 * 9], (12, 9));
        let done = [
            filter_both(&x, size, &bell(1.3, 4.0), Edge::Reflect),
            zoomed(&x, size, 1.17),
            zoomed(&x, size, 2.25),
            smeared(&x, size, (6, 1.5), 33.0),
        ];
        for x in done {
            assert_eq!(x.len(), 108);
            assert!(x.iter().all(|v| (v - 0.4).abs() < 1e-5));
        }
    }

    #[test]
    fn enlarging_by_one_changes_nothing() {
        let x: Vec<f32> = (0..35).map(|i| i as f32).collect();
        for (a, b) in zoomed(&x, (5, 7), 1.0).iter().zip(&x) {
            assert!((a - b).abs() < 1e-4);
        }
    }
}
