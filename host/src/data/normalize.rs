//! Scaling of stored values to what a network sees. Bytes go through a table
//! of 256 floats per channel, so the result is exactly (byte/white - mean)/std
//! rounded once per operation, as PyTorch's transforms compute it.

use super::dataset::{Dataset, Shape};
use crate::{Error, Result};

/// Per-channel scaling.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalizer {
    mean: Vec<f32>,
    std: Vec<f32>,
    /// What the value 1.0 of the [0, 1] scale becomes before mean and std.
    white: f32,
    /// For each channel, the result for each byte.
    tables: Vec<[f32; 256]>,
    /// Values that share a channel's constants: H·W, or F for vectors.
    run: usize,
}

impl Normalizer {
    /// To [0, 1] (`unit`) or as stored.
    pub(crate) fn plain(set: &Dataset, unit: bool) -> Self {
        let channels = channels(set.shape()).0;
        let white = set.values().white();
        let (scale, keep) = if unit { (white, 1.0) } else { (1.0, white) };
        Self::build(
            set.shape(),
            vec![0.0; channels],
            vec![1.0; channels],
            scale,
            keep,
        )
    }

    /// To [0, 1], then (x - mean) / std.
    ///
    /// # Errors
    /// A usage error when the constants do not fit the channels, or a deviation
    /// is not above 0.
    pub(crate) fn standard(set: &Dataset, mean: &[f32], std: &[f32]) -> Result<Self> {
        let channels = channels(set.shape()).0;
        if mean.len() != channels || std.len() != channels {
            return Err(Error::usage(format!(
                "`data.mean` and `data.std` have {} and {} values; `{}` has {channels} channel(s)",
                mean.len(),
                std.len(),
                set.name()
            )));
        }
        if let Some(bad) = std.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::usage(format!(
                "`data.std` must be above 0, not {bad}"
            )));
        }
        let white = set.values().white();
        Ok(Self::build(
            set.shape(),
            mean.to_vec(),
            std.to_vec(),
            white,
            1.0,
        ))
    }

    fn build(shape: Shape, mean: Vec<f32>, std: Vec<f32>, scale: f32, white: f32) -> Self {
        let tables = mean
            .iter()
            .zip(&std)
            .map(|(m, s)| std::array::from_fn(|byte| (byte as f32 / scale - m) / s))
            .collect();
        Self {
            mean,
            std,
            white,
            tables,
            run: channels(shape).1,
        }
    }

    /// Channel means subtracted, on the [0, 1] scale.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }
    /// Channel deviations divided by.
    pub fn std(&self) -> &[f32] {
        &self.std
    }
    /// What the value 1.0 of the [0, 1] scale becomes before mean and std.
    pub(crate) fn white(&self) -> f32 {
        self.white
    }
    /// Values that share a channel's constants.
    pub(crate) fn run(&self) -> usize {
        self.run
    }
    /// The table of a channel.
    pub(crate) fn table(&self, channel: usize) -> &[f32; 256] {
        &self.tables[channel]
    }
    /// The result for one float of a channel.
    pub(crate) fn float(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }
    /// How far the result moves when the [0, 1] value moves by 1.
    pub(crate) fn gain(&self, channel: usize) -> f32 {
        self.white / self.std[channel]
    }
}

/// Groups of values with the same constants, and the values in one: channels of
/// an image; a vector of features is one group.
fn channels(shape: Shape) -> (usize, usize) {
    if shape.plane() == 1 {
        (1, shape.len())
    } else {
        (shape.channels, shape.plane())
    }
}
