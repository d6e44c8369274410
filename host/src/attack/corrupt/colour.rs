//! Light and colour.

/// Channels, height, width.
type Shape = (usize, usize, usize);

/// `amount` more of the value of hue, saturation and value.
pub(super) fn brightness(x: &mut [f32], shape: Shape, amount: f32) {
    match shape.0 {
        3 => in_hsv(x, shape, |[h, s, v]| [h, s, (v + amount).clamp(0.0, 1.0)]),
        _ => x
            .iter_mut()
            .for_each(|v| *v = (*v + amount).clamp(0.0, 1.0)),
    }
}

/// Each channel's distance from its mean times `factor`.
pub(super) fn contrast(x: &mut [f32], (_, h, w): Shape, factor: f32) {
    for plane in x.chunks_exact_mut(h * w) {
        let mean = plane.iter().sum::<f32>() / (h * w) as f32;
        for v in plane {
            *v = ((*v - mean) * factor + mean).clamp(0.0, 1.0);
        }
    }
}

/// Saturation times a factor and more.
pub(super) fn saturate(x: &mut [f32], shape: Shape, at: usize) {
    let (factor, more) = [(0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)][at];
    in_hsv(x, shape, |[h, s, v]| {
        [h, (s * factor + more).clamp(0.0, 1.0), v]
    });
}

fn in_hsv(x: &mut [f32], (_, h, w): Shape, change: impl Fn([f32; 3]) -> [f32; 3]) {
    let n = h * w;
    for at in 0..n {
        let changed = to_rgb(change(to_hsv([x[at], x[n + at], x[2 * n + at]])));
        for (channel, v) in changed.into_iter().enumerate() {
            x[channel * n + at] = v;
        }
    }
}

/// Hue in [0, 6), saturation and value in [0, 1].
fn to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    if range <= 0.0 {
        return [0.0, 0.0, value];
    }
    let hue = if value == r {
        ((g - b) / range).rem_euclid(6.0)
    } else if value == g {
        (b - r) / range + 2.0
    } else {
        (r - g) / range + 4.0
    };
    [hue, range / value, value]
}

fn to_rgb([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let one = |n: f32| {
        let k = (n + hue).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [one(5.0), one(3.0), one(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_back_from_hue_saturation_and_value() {
        let known = [
            ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
            ([0.0, 0.5, 0.0], [2.0, 1.0, 0.5]),
            ([0.25, 0.25, 1.0], [4.0, 0.75, 1.0]),
            ([0.3, 0.3, 0.3], [0.0, 0.0, 0.3]),
        ];
        for (rgb, hsv) in known {
            assert_eq!(to_hsv(rgb), hsv);
        }
        for i in 0..1000u32 {
            let channel = |k: u32| (i.wrapping_mul(2_654_435_761 + k * 40_503) >> 7) % 256;
            let rgb = [channel(1), channel(2), channel(3)].map(|v| v as f32 / 255.0);
            for (a, b) in to_rgb(to_hsv(rgb)).into_iter().zip(rgb) {
                assert!((a - b).abs() < 1e-5, "{rgb:?}");
            }
        }
    }

    #[test]
    fn a_picture_without_colour_gets_none() {
        let mut x = vec![0.5; 12];
        saturate(&mut x, (3, 2, 2), 2);
        assert_eq!(x, vec![0.5; 12]);
    }
}
