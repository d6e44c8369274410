//! Oriented bars (Földiák 1990, Biological Cybernetics 64:165): a square grid
//! on which every horizontal and vertical bar is present or absent on its own.
//! A good competitive code finds one unit per bar; here the answer is known.

use serde::Deserialize;

use super::{GENERATED, check, options, part};
use crate::Result;
use crate::data::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use crate::data::random::{below, normal, stream, unit};
use crate::data::set::{SetInfo, Setting, Source};

/// The registry's entry.
pub(crate) const BARS: SetInfo = SetInfo {
    name: "bars",
    summary: "oriented bars on a grid (Földiák 1990); targets say which bars are there",
    shape: Shape::new(1, 8, 8),
    train: 4000,
    test: 1000,
    load,
    settings: &[
        Setting::new("seed", "0", "seed of the generator"),
        Setting::new("train", "4000", "training images"),
        Setting::new("test", "1000", "test images"),
        Setting::new("size", "8", "pixels on a side; there are 2·size bars"),
        Setting::new(
            "probability",
            "1/size",
            "chance of each bar; Földiák: 1/8 on 8x8",
        ),
        Setting::new(
            "single",
            "false",
            "one bar an image, as class label, instead of independent bars",
        ),
        Setting::new(
            "noise",
            "0",
            "standard deviation of Gaussian noise on each pixel",
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
    probability: Option<f32>,
    single: bool,
    noise: f32,
}

impl Default for Options {
    fn default() -> Self {
        let (train, test) = (BARS.train, BARS.test);
        Self {
            seed: 0,
            train,
            test,
            size: 8,
            probability: None,
            single: false,
            noise: 0.0,
        }
    }
}

/// Draws one part. Bars 0..size are rows from the top, size..2·size columns.
fn load(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let o: Options = options(source)?;
    check(
        (1..=256).contains(&o.size),
        source,
        "`size` must be 1 to 256",
    )?;
    let chance = o.probability.unwrap_or(1.0 / o.size as f32);
    check(
        (0.0..=1.0).contains(&chance),
        source,
        "`probability` must be 0 to 1",
    )?;
    check(o.noise >= 0.0, source, "`noise` must not be negative")?;
    let (side, bars) = (o.size, 2 * o.size);
    let bytes = side * side + 4 * bars;
    let (purpose, count) = part(source, split, (o.train, o.test), bytes)?;
    let mut data = Vec::with_capacity(count * side * side);
    let mut present = Vec::with_capacity(count * bars);
    let mut labels = Vec::new();
    for sample in 0..count {
        let mut rng = stream(purpose, o.seed, sample as u64, 0);
        let mut here = vec![false; bars];
        if o.single {
            let bar = below(&mut rng, bars);
            here[bar] = true;
            labels.push(bar as u32);
        } else {
            here.iter_mut()
                .for_each(|bar| *bar = unit(&mut rng) < chance);
        }
        for at in 0..side * side {
            let ink = f32::from(u8::from(here[at / side] || here[side + at % side]));
            let noise = if o.noise > 0.0 {
                o.noise * normal(&mut rng)
            } else {
                0.0
            };
            data.push(((ink + noise) * 255.0).round() as u8);
        }
        present.extend(here.into_iter().map(|bar| f32::from(u8::from(bar))));
    }
    let targets = if o.single {
        let row = (0..side).map(|i| format!("row {i}"));
        let names = row
            .chain((0..side).map(|i| format!("column {i}")))
            .collect();
        Targets::Labels {
            labels,
            classes: bars,
            names,
        }
    } else {
        Targets::Values {
            data: present,
            width: bars,
        }
    };
    let values = Values::Bytes {
        data: data.into(),
        white: 255,
    };
    let origin = Provenance::Generated { seed: o.seed };
    Dataset::new(
        BARS.name,
        split,
        Shape::new(1, side, side),
        values,
        targets,
        origin,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataFolders, published};

    fn bars(options: &str) -> Dataset {
        let folders = DataFolders::only(["unused"]);
        published::load("bars", Split::Train, &folders, &options.parse().unwrap()).unwrap()
    }

    #[test]
    fn pixels_are_the_union_of_the_bars_in_the_target() {
        let set = bars("size = 5\ntrain = 200");
        let Values::Bytes { data, .. } = set.values() else {
            panic!("bytes")
        };
        let Targets::Values {
            data: present,
            width: 10,
        } = set.targets()
        else {
            panic!("bars")
        };
        let mut on = 0.0;
        for (image, bar) in data.chunks(25).zip(present.chunks(10)) {
            for y in 0..5 {
                for x in 0..5 {
                    let expected = bar[y] + bar[5 + x] > 0.0;
                    assert_eq!(image[y * 5 + x] == 255, expected);
                }
            }
            on += bar.iter().sum::<f32>();
        }
        // 2000 bars at 1/5: 400 expected, deviation 18.
        assert!((on - 400.0).abs() < 90.0, "{on}");
    }

    #[test]
    fn a_single_bar_is_the_label() {
        let set = bars("single = true\ntrain = 160");
        let Values::Bytes { data, .. } = set.values() else {
            panic!("bytes")
        };
        assert_eq!(
            (set.classes(), set.class_name(8)),
            (16, "column 0".to_owned())
        );
        for (image, &label) in data.chunks(64).zip(set.labels()) {
            assert_eq!(image.iter().filter(|&&p| p > 0).count(), 8);
            let on = |y: usize, x: usize| image[y * 8 + x] == 255;
            let bar = label as usize;
            assert!(if bar < 8 {
                (0..8).all(|x| on(bar, x))
            } else {
                (0..8).all(|y| on(y, bar - 8))
            });
        }
        assert_eq!(
            bars("seed = 1\ntrain = 9").values(),
            bars("seed = 1\ntrain = 9").values()
        );
        assert_ne!(
            bars("seed = 1\ntrain = 9").values(),
            bars("seed = 2\ntrain = 9").values()
        );
    }
}
