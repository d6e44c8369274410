//! The embedded set: 1,797 handwritten digits of 8x8 pixels, values 0 to 16
//! (Alpaydin and Kaynak 1998, CC BY 4.0; `assets/digits/CREDIT.md`), in a fixed
//! order of which the first 1,297 train and the last 500 test.

use std::path::Path;

use flate2::read::GzDecoder;

use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::idx;
use super::set::Source;
use crate::Result;

/// Training images.
pub(crate) const TRAIN: usize = 1297;
/// Test images.
pub(crate) const TEST: usize = 500;
/// The pixel value of full ink.
const WHITE: u8 = 16;

const IMAGES: &[u8] = include_bytes!("../../assets/digits/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../../assets/digits/digits-labels-idx1-ubyte.gz");

/// Unpacks one part.
pub(crate) fn load(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let name = Path::new("embedded digits");
    let images = idx::read_images(name, &mut GzDecoder::new(IMAGES))?;
    let labels = idx::read_labels(name, &mut GzDecoder::new(LABELS))?;
    let part = match split {
        Split::Train => 0..TRAIN,
        Split::Test => TRAIN..TRAIN + TEST,
    };
    let each = images.shape.len();
    let values = Values::Bytes {
        data: images.data[part.start * each..part.end * each]
            .to_vec()
            .into(),
        white: WHITE,
    };
    let targets = Targets::Labels {
        labels: labels[part].iter().map(|&l| u32::from(l)).collect(),
        classes: source.set.classes,
        names: Vec::new(),
    };
    Dataset::new(
        source.set.name,
        split,
        Shape::new(1, 8, 8),
        values,
        targets,
        Provenance::Embedded,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataFolders, published};

    fn part(split: Split) -> Dataset {
        let folders = DataFolders::only(["unused"]);
        published::load("digits", split, &folders, &toml::Table::new()).unwrap()
    }

    #[test]
    fn both_parts_together_are_the_published_images() {
        let (train, test) = (part(Split::Train), part(Split::Test));
        let counts: Vec<usize> = train
            .class_counts()
            .iter()
            .zip(test.class_counts())
            .map(|(a, b)| a + b)
            .collect();
        // Class counts of the UCI test part.
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let Values::Bytes { data, white } = train.values() else {
            panic!("bytes")
        };
        assert_eq!(data.iter().max(), Some(white));
        let (mean, std) = train.channel_moments()[0];
        assert!(
            (mean - 0.3054).abs() < 5e-5 && (std - 0.3759).abs() < 5e-5,
            "{mean} {std}"
        );
    }

    #[test]
    fn the_nearest_class_mean_reads_nine_of_ten_test_digits() {
        let (train, test) = (part(Split::Train), part(Split::Test));
        let bytes = |set: &Dataset| match set.values() {
            Values::Bytes { data, .. } => data.iter().map(|&b| f32::from(b)).collect::<Vec<_>>(),
            _ => panic!("bytes"),
        };
        let mut means = vec![0f32; 640];
        for (x, &y) in bytes(&train).chunks(64).zip(train.labels()) {
            let count = train.class_counts()[y as usize] as f32;
            (0..64).for_each(|p| means[y as usize * 64 + p] += x[p] / count);
        }
        let distance = |x: &[f32], c: u32| -> f32 {
            (0..64)
                .map(|p| (x[p] - means[c as usize * 64 + p]).powi(2))
                .sum()
        };
        let right = bytes(&test)
            .chunks(64)
            .zip(test.labels())
            .filter(|(x, y)| {
                let best = (0..10).min_by(|&a, &b| distance(x, a).total_cmp(&distance(x, b)));
                best == Some(**y)
            })
            .count();
        // numpy on the same split: 449 of 500.
        assert_eq!(right, 449);
    }
}
