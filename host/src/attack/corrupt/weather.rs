//! Weather that is generated.

use rand_chacha::ChaCha8Rng;

use super::grid::{as_byte, smeared, zoomed};
use crate::data::random::{normal, uniform, unit};

/// Channels, height, width.
type Shape = (usize, usize, usize);

/// Fog of uneven density; the brightest value stays the brightest.
pub(super) fn fog(x: &mut [f32], (_, h, w): Shape, at: usize, rng: &mut ChaCha8Rng) {
    let (density, decay) = [(0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)][at];
    let side = h.max(w).next_power_of_two();
    let plasma = plasma(side, decay, rng);
    let brightest = x.iter().copied().fold(0f32, f32::max);
    let factor = brightest / (brightest + density);
    for plane in x.chunks_exact_mut(h * w) {
        for (at, v) in plane.iter_mut().enumerate() {
            let fog = density * plasma[at / w * side + at % w];
            *v = ((*v + fog) * factor).clamp(0.0, 1.0);
        }
    }
}

/// A fractal landscape of `side`x`side`, a power of two, in [0, 1], by midpoint displacement on a
/// torus (diamond-square); the displacement falls by `decay²` with each halving.
fn plasma(side: usize, decay: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut map = vec![0f32; side * side];
    let (mut step, mut reach) = (side, 1f32);
    while step >= 2 {
        let half = step / 2;
        let mut displaced = |map: &[f32], corners: [(usize, usize); 4]| {
            let at = |(row, column): (usize, usize)| map[row % side * side + column % side];
            let mean = corners.map(at).iter().sum::<f32>() / 4.0;
            mean + reach * uniform(rng, -1.0, 1.0)
        };
        for row in (0..side).step_by(step) {
            for column in (0..side).step_by(step) {
                let (below, right) = (row + step, column + step);
                let corners = [(row, column), (below, column), (row, right), (below, right)];
                let value = displaced(&map, corners);
                map[(row + half) * side + column + half] = value;
            }
        }
        for row in (0..side).step_by(half) {
            let first = if row % step == 0 { half } else { 0 };
            for column in (first..side).step_by(step) {
                let (up, left) = (row + side - half, column + side - half);
                let (down, right) = (row + half, column + half);
                let corners = [(up, column), (down, column), (row, left), (row, right)];
                let value = displaced(&map, corners);
                map[row * side + column] = value;
            }
        }
        step = half;
        reach /= decay * decay;
    }
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = (high - low).max(f32::MIN_POSITIVE);
    map.iter().map(|v| (v - low) / range).collect()
}

/// Flakes that fall, on a picture that has become paler.
pub(super) fn snow(x: &mut [f32], (c, h, w): Shape, at: usize, rng: &mut ChaCha8Rng) {
    // Mean and deviation of the flakes, size, threshold, radius and deviation of the fall, share of
    // the picture.
    let (mean, deviation, size, threshold, radius, sigma, share) = [
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
    ][at];
    let flakes: Vec<f32> = (0..h * w).map(|_| mean + deviation * normal(rng)).collect();
    let mut flakes = zoomed(&flakes, (h, w), size);
    for v in &mut flakes {
        *v = if *v < threshold { 0.0 } else { as_byte(*v) };
    }
    let angle = 90.0 * f64::from(unit(rng)) - 135.0;
    let flakes = smeared(&flakes, (h, w), (radius, sigma), angle);
    let grey: Vec<f32> = (0..h * w)
        .map(|at| match c {
            // Rec. 601 luma.
            3 => 0.299 * x[at] + 0.587 * x[h * w + at] + 0.114 * x[2 * h * w + at],
            _ => x[at],
        })
        .collect();
    for plane in x.chunks_exact_mut(h * w) {
        for (at, v) in plane.iter_mut().enumerate() {
            let pale = v.max(1.5 * grey[at] + 0.5);
            let turned = flakes[h * w - 1 - at];
            let value = share * *v + (1.0 - share) * pale + flakes[at] + turned;
            *v = value.clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_landscape_fills_its_range_and_is_smoother_with_more_decay() {
        let make = |decay| plasma(32, decay, &mut ChaCha8Rng::seed_from_u64(2));
        let roughness =
            |map: &[f32]| -> f32 { map.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum() };
        let (rough, smooth) = (make(1.2), make(3.0));
        for map in [&rough, &smooth] {
            let low = map.iter().copied().fold(1f32, f32::min);
            let high = map.iter().copied().fold(0f32, f32::max);
            assert_eq!((low, high), (0.0, 1.0));
        }
        assert!(roughness(&smooth) < roughness(&rough));
    }
}
