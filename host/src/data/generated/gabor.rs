//! Gabor patches: a sine grating under a Gaussian window, the picture that
//! simple cells of V1 answer to. The label is the orientation; phase, place
//! and frequency vary within a class. Filters that learn should look the same.

use std::f32::consts::{PI, TAU};

use serde::Deserialize;

use super::{GENERATED, check, options, part};
use crate::Result;
use crate::data::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use crate::data::random::{below, normal, stream, uniform};
use crate::data::set::{SetInfo, Setting, Source};

/// The registry's entry.
pub(crate) const GABOR: SetInfo = SetInfo {
    name: "gabor",
    summary: "Gabor patches of random phase, place and frequency; the class is the orientation",
    shape: Shape::new(1, 16, 16),
    classes: 8,
    train: 4000,
    test: 1000,
    load,
    settings: &[
        Setting::new("seed", "0", "seed of the generator"),
        Setting::new("train", "4000", "training images"),
        Setting::new("test", "1000", "test images"),
        Setting::new("size", "16", "pixels on a side"),
        Setting::new(
            "orientations",
            "8",
            "classes; class k has k·180/orientations degrees",
        ),
        Setting::new(
            "wavelength",
            "5",
            "mean wavelength in pixels; drawn within ±20 %",
        ),
        Setting::new(
            "sigma",
            "size/5",
            "standard deviation of the window in pixels",
        ),
        Setting::new(
            "noise",
            "0.05",
            "standard deviation of Gaussian noise (contrast is 1)",
        ),
    ],
    ..GENERATED
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    seed: u64,
    train: usize,
    test: usize,
    size: usize,
    orientations: usize,
    wavelength: f32,
    sigma: Option<f32>,
    noise: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            train: GABOR.train,
            test: GABOR.test,
            size: 16,
            orientations: GABOR.classes,
            wavelength: 5.0,
            sigma: None,
            noise: 0.05,
        }
    }
}

/// Draws one part: 0.5 + 0.5·cos(2π·u/λ + φ)·exp(−r²/2σ²), u along the normal
/// of the stripes, the centre within ±size/8 of the middle.
fn load(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let o: Options = options(source)?;
    check(
        (2..=512).contains(&o.size),
        source,
        "`size` must be 2 to 512",
    )?;
    check(
        (1..=180).contains(&o.orientations),
        source,
        "`orientations` must be 1 to 180",
    )?;
    check(o.wavelength > 0.0, source, "`wavelength` must be above 0")?;
    let sigma = o.sigma.unwrap_or(o.size as f32 / 5.0);
    check(sigma > 0.0, source, "`sigma` must be above 0")?;
    check(o.noise >= 0.0, source, "`noise` must not be negative")?;
    let bytes = o.size * o.size + 4;
    let (purpose, count) = part(source, split, (o.train, o.test), bytes)?;
    let side = o.size as f32;
    let mut data = Vec::with_capacity(count * o.size * o.size);
    let mut labels = Vec::with_capacity(count);
    for sample in 0..count {
        let mut rng = stream(purpose, o.seed, sample as u64, 0);
        let class = below(&mut rng, o.orientations);
        let (sin, cos) = (PI * class as f32 / o.orientations as f32).sin_cos();
        let phase = uniform(&mut rng, 0.0, TAU);
        let wavelength = o.wavelength * uniform(&mut rng, 0.8, 1.2);
        let centre = [(); 2].map(|()| (side - 1.0) / 2.0 + uniform(&mut rng, -side, side) / 8.0);
        for at in 0..o.size * o.size {
            let dy = (at / o.size) as f32 - centre[0];
            let dx = (at % o.size) as f32 - centre[1];
            let window = (-(dx * dx + dy * dy) / (2.0 * sigma * sigma)).exp();
            let wave = (TAU * (dx * cos + dy * sin) / wavelength + phase).cos();
            let value = 0.5 + 0.5 * wave * window + 0.5 * o.noise * normal(&mut rng);
            data.push((value * 255.0).round() as u8);
        }
        labels.push(class as u32);
    }
    let names = (0..o.orientations)
        .map(|k| format!("{:.1} degrees", 180.0 * k as f32 / o.orientations as f32))
        .collect();
    let targets = Targets::Labels {
        labels,
        classes: o.orientations,
        names,
    };
    let values = Values::Bytes {
        data: data.into(),
        white: 255,
    };
    let origin = Provenance::Generated { seed: o.seed };
    Dataset::new(
        GABOR.name,
        split,
        Shape::new(1, o.size, o.size),
        values,
        targets,
        origin,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataFolders, published};

    #[test]
    fn brightness_changes_across_the_stripes_and_not_along_them() {
        let folders = DataFolders::only(["unused"]);
        let options = "orientations = 2\nnoise = 0\ntrain = 100".parse().unwrap();
        let set = published::load("gabor", Split::Train, &folders, &options).unwrap();
        let Values::Bytes { data, .. } = set.values() else {
            panic!("bytes")
        };
        assert!(
            set.class_counts().iter().all(|&n| n > 25),
            "{:?}",
            set.class_counts()
        );
        for (image, &label) in data.chunks(256).zip(set.labels()) {
            let step = |a: usize, b: usize| f32::from(image[a]) - f32::from(image[b]);
            let (mut across_x, mut across_y) = (0f32, 0f32);
            for y in 0..15 {
                for x in 0..15 {
                    across_x += step(y * 16 + x, y * 16 + x + 1).powi(2);
                    across_y += step(y * 16 + x, y * 16 + x + 16).powi(2);
                }
            }
            // Class 0: the wave runs along x, so the stripes stand upright.
            assert_eq!(across_x > across_y, label == 0);
        }
    }
}
