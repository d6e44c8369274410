//! Samples as pictures: pixel values in [0, 1], and the way from there to what a network sees and
//! back again. Attacks and corruptions are measured in pixels, whatever scaling and whitening a
//! network was trained behind.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::dataset::{Shape, Values};
use super::normalize::Normalizer;
use super::plan::Data;
use super::subset::Subset;
use super::whiten;
use crate::{Error, Result};

/// From pixel values to the input of a network: `(white·p − mean)/std` of each channel, then the
/// whitening matrix where the data are whitened.
#[derive(Clone, Debug)]
pub struct PixelSpace {
    /// `[1, C, 1, 1]`, or `[1, 1]` for vectors.
    constants: Vec<usize>,
    mean: Vec<f32>,
    std: Vec<f32>,
    white: f32,
    /// `[D, D]`, row-major.
    whitening: Option<Arc<Vec<f64>>>,
}

impl PixelSpace {
    /// Pixels that a network takes as they are, for samples of `dims`: `[C, H, W]` or `[D]`.
    #[must_use]
    pub fn plain(dims: &[usize]) -> Self {
        let channels = if dims.len() == 3 { dims[0] } else { 1 };
        Self::scaled(dims, &vec![0.0; channels], &vec![1.0; channels])
    }

    /// `(p − mean)/std` of each channel.
    #[must_use]
    pub fn scaled(dims: &[usize], mean: &[f32], std: &[f32]) -> Self {
        Self {
            constants: match dims.len() {
                3 => vec![1, mean.len(), 1, 1],
                _ => vec![1, 1],
            },
            mean: mean.to_vec(),
            std: std.to_vec(),
            white: 1.0,
            whitening: None,
        }
    }

    fn of(dims: &[usize], normalizer: &Normalizer, whitening: Option<Vec<f64>>) -> Self {
        Self {
            white: normalizer.white(),
            whitening: whitening.map(Arc::new),
            ..Self::scaled(dims, normalizer.mean(), normalizer.std())
        }
    }

    /// The same followed by the whitening matrix `[D, D]`.
    #[must_use]
    pub fn whitened(self, matrix: Vec<f64>) -> Self {
        Self {
            whitening: Some(Arc::new(matrix)),
            ..self
        }
    }

    fn constants(&self, values: &[f32], like: &Tensor) -> Result<Tensor> {
        let t = Tensor::from_slice(values, self.constants.as_slice(), &Device::Cpu)?;
        Ok(t.to_dtype(like.dtype())?.to_device(like.device())?)
    }

    /// What a network sees of `pixels: [B, C, H, W]` or `[B, D]`. In `f32` without whitening the
    /// same bits as the loader's: each value takes the same steps.
    ///
    /// # Errors
    /// The device refuses.
    pub fn prepare(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = pixels.clone();
        if self.white != 1.0 {
            x = (x * f64::from(self.white))?;
        }
        if self.mean.iter().any(|m| *m != 0.0) {
            x = x.broadcast_sub(&self.constants(&self.mean, pixels)?)?;
        }
        if self.std.iter().any(|s| *s != 1.0) {
            x = x.broadcast_div(&self.constants(&self.std, pixels)?)?;
        }
        match &self.whitening {
            Some(matrix) => times(&x, matrix, false),
            None => Ok(x),
        }
    }

    /// The derivative by the pixels from `grad`, the derivative by what the network sees; both
    /// shaped as a batch.
    ///
    /// # Errors
    /// The device refuses.
    pub fn pull_back(&self, grad: &Tensor) -> Result<Tensor> {
        let mut grad = match &self.whitening {
            Some(matrix) => times(grad, matrix, true)?,
            None => grad.clone(),
        };
        if self.std.iter().any(|s| *s != 1.0) {
            grad = grad.broadcast_div(&self.constants(&self.std, &grad)?)?;
        }
        if self.white != 1.0 {
            grad = (grad * f64::from(self.white))?;
        }
        Ok(grad)
    }
}

/// Each sample of `x` times `matrix: [D, D]`, or times its transpose. In f64, as the data were
/// whitened.
fn times(x: &Tensor, matrix: &[f64], transposed: bool) -> Result<Tensor> {
    let rows = x
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_from(1)?
        .contiguous()?;
    let (n, d) = rows.dims2()?;
    let rows = rows.flatten_all()?.to_vec1::<f64>()?;
    let out = match transposed {
        false => whiten::whiten(&rows, d, matrix),
        true => {
            let mut out = vec![0.0; rows.len()];
            biorule_kernels::gemm::nt((n, d, d), 1.0, &rows, matrix, 0.0, &mut out);
            out
        }
    };
    let out = Tensor::from_vec(out, x.shape(), &Device::Cpu)?;
    Ok(out.to_dtype(x.dtype())?.to_device(x.device())?)
}

/// One part of a data set as pixels, with its classes.
#[derive(Clone, Debug)]
pub struct Pixels {
    samples: Subset,
    white: f32,
    space: PixelSpace,
    /// What [`Pixels::read`] gives has gone this way already.
    behind: Option<PixelSpace>,
}

impl Data {
    /// The part `split` (`train`, `validation` or `test`) as pixels; `None` where there is none.
    /// The set has to be opened without whitening; `whiten` is the smoothing of the whitening that
    /// the network was trained behind.
    ///
    /// # Errors
    /// Usage error for values outside [0, 1], which are no pixels, and for regression.
    pub fn pixels(&self, split: &str, whiten: Option<f64>) -> Result<Option<Pixels>> {
        let samples = match split {
            "train" => Some(&self.train),
            "validation" => self.validation.as_ref(),
            "test" => Some(&self.test),
            _ => None,
        };
        let Some(samples) = samples else {
            return Ok(None);
        };
        let (set, name) = (samples.dataset(), &self.plan().set);
        if set.classes() == 0 {
            return Err(Error::usage(format!(
                "`{name}` has values to regress, and an attack changes which class a sample is taken for"
            ))
            .hint("attack a network that tells classes apart"));
        }
        let white = set.values().white();
        let dims = dims(set.shape());
        let whitening = whiten
            .map(|smoothing| whiten::fitted(&self.train, &self.normalizer, smoothing, 0))
            .transpose()?;
        let pixels = Pixels {
            samples: samples.clone(),
            white,
            space: PixelSpace::of(&dims, &self.normalizer, whitening),
            behind: None,
        };
        pixels.in_range(name)?;
        Ok(Some(pixels))
    }
}

/// Shape of a sample as a network sees it.
fn dims(shape: Shape) -> Vec<usize> {
    match shape.plane() {
        1 => vec![shape.channels],
        _ => shape.dims().to_vec(),
    }
}

impl Pixels {
    /// Refuses samples with a value outside [0, 1].
    fn in_range(&self, name: &str) -> Result<()> {
        let set = self.samples.dataset();
        let each = set.shape().len();
        let (mut low, mut high) = (0f32, 1f32);
        for &at in self.samples.indices() {
            let range = at as usize * each..(at as usize + 1) * each;
            match set.values() {
                Values::Bytes { data, .. } => {
                    let most = data[range].iter().max().copied().unwrap_or(0);
                    high = high.max(f32::from(most) / self.white);
                }
                // Decoded bytes are pixels.
                Values::Made { .. } => break,
                Values::Floats(data) => {
                    for &v in &data[range] {
                        (low, high) = (low.min(v), high.max(v));
                    }
                }
            }
        }
        if low >= 0.0 && high <= 1.0 {
            return Ok(());
        }
        Err(Error::usage(format!(
            "values of `{name}` lie in [{low}, {high}], and an attack is measured in pixel values from 0 to 1"
        ))
        .hint("store the samples as bytes, or scaled to [0, 1], and let `data.normalize` do the rest"))
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.samples.dataset().classes()
    }

    /// Shape of a sample: `[C, H, W]`, or `[D]` for vectors.
    #[must_use]
    pub fn dims(&self) -> Vec<usize> {
        dims(self.samples.dataset().shape())
    }

    /// How pixels become the input of a network.
    #[must_use]
    pub fn space(&self) -> &PixelSpace {
        &self.space
    }

    /// The same samples as a network sees them, scaled and whitened, in place of pixels: what some
    /// published programs attack as if they were pictures.
    #[must_use]
    pub fn as_seen(self) -> Self {
        let plain = PixelSpace::plain(&self.dims());
        let behind = Some(self.space);
        Self {
            space: plain,
            behind,
            ..self
        }
    }

    /// Only the first `limit` samples.
    ///
    /// # Errors
    /// An internal error.
    pub fn limited(self, limit: Option<usize>) -> Result<Self> {
        let Some(limit) = limit.filter(|n| *n < self.len()) else {
            return Ok(self);
        };
        let indices = self.samples.indices()[..limit].to_vec();
        let samples = Subset::at(Arc::clone(self.samples.dataset()), indices)?;
        Ok(Self { samples, ..self })
    }

    /// Samples `range`: pixel values `[B, C, H, W]` or `[B, D]` in `f32` on the CPU, and labels.
    ///
    /// # Errors
    /// An internal error for samples that are not there.
    pub fn read(&self, range: std::ops::Range<usize>) -> Result<(Tensor, Vec<u32>)> {
        let set = self.samples.dataset();
        let each = set.shape().len();
        let picked = self.samples.indices().get(range.clone()).ok_or_else(|| {
            Error::internal(format!("samples {range:?} of a part of {}", self.len()))
        })?;
        let mut values = Vec::with_capacity(picked.len() * each);
        for &at in picked {
            let range = at as usize * each..(at as usize + 1) * each;
            match (set.values().bytes_of(at as usize, each)?, set.values()) {
                (Some(bytes), _) => {
                    values.extend(bytes.iter().map(|b| f32::from(*b) / self.white));
                }
                (None, Values::Floats(data)) => values.extend_from_slice(&data[range]),
                (None, _) => {}
            }
        }
        let labels = picked.iter().map(|at| set.labels()[*at as usize]).collect();
        let dims = [vec![picked.len()], self.dims()].concat();
        let values = Tensor::from_vec(values, dims, &Device::Cpu)?;
        match &self.behind {
            None => Ok((values, labels)),
            Some(space) => Ok((space.prepare(&values)?, labels)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataPlan, Scaling};

    #[test]
    fn what_a_network_sees_can_stand_for_the_pixels() {
        let plan = DataPlan {
            normalize: Scaling::Standard,
            ..DataPlan::default()
        };
        let data = plan.open().expect("embedded digits");
        let pixels = data.pixels("test", None).expect("pixels").expect("a part");
        let (x, labels) = pixels.read(3..9).expect("read");
        let seen = pixels.space().prepare(&x).expect("prepared");
        let theirs = pixels.clone().as_seen().limited(Some(20)).expect("limited");
        let (y, same) = theirs.read(3..9).expect("read");
        assert_eq!((bits(&y), same), (bits(&seen), labels));
        // Nothing more happens to it on the way to the network.
        assert_eq!(
            bits(&theirs.space().prepare(&y).expect("prepared")),
            bits(&seen)
        );
        assert!(
            y.min_all()
                .and_then(|m| m.to_scalar::<f32>())
                .expect("a value")
                < 0.0
        );
    }

    fn bits(t: &Tensor) -> Vec<u32> {
        let values = t.flatten_all().and_then(|t| t.to_vec1::<f32>());
        values.expect("f32").iter().map(|v| v.to_bits()).collect()
    }

    /// Whatever the scaling, pixels become the bits that the loader gives.
    #[test]
    fn prepared_pixels_are_what_the_loader_gives() {
        let plans = [
            DataPlan::default(),
            DataPlan {
                normalize: Scaling::Raw,
                ..DataPlan::default()
            },
            DataPlan {
                normalize: Scaling::Standard,
                ..DataPlan::default()
            },
            DataPlan {
                normalize: Scaling::Standard,
                mean: Some(vec![0.3]),
                std: Some(vec![0.07]),
                ..DataPlan::default()
            },
        ];
        for plan in plans {
            let data = plan.open().expect("embedded digits");
            let pixels = data.pixels("test", None).expect("pixels").expect("a part");
            let (p, labels) = pixels.read(0..100).expect("samples");
            let samples = data.for_training(&Default::default()).test;
            let all: Vec<u32> = (0..100).collect();
            let batch = samples.read(&all).expect("samples");
            let seen = pixels.space().prepare(&p).expect("prepared");
            assert_eq!(bits(&seen), bits(&batch.x), "{plan:?}");
            assert_eq!(
                labels,
                batch.answers.raw().to_vec1::<u32>().expect("labels")
            );
        }
    }

    /// Whitened sets are made from pixels by one matrix product.
    #[test]
    fn whitening_is_part_of_the_way() {
        let plan = DataPlan {
            normalize: Scaling::Standard,
            whiten: Some(0.1),
            ..DataPlan::default()
        };
        let white = plan.open().expect("embedded digits");
        let plain = DataPlan {
            whiten: None,
            ..plan
        };
        let data = plain.open().expect("embedded digits");
        let pixels = data
            .pixels("test", Some(0.1))
            .expect("pixels")
            .expect("a part");
        let (p, _) = pixels.read(5..25).expect("samples");
        let seen = pixels.space().prepare(&p).expect("prepared");
        let all: Vec<u32> = (5..25).collect();
        let batch = white
            .for_training(&Default::default())
            .test
            .read(&all)
            .expect("samples");
        let apart = (seen - batch.x).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar());
        let apart: f32 = apart.expect("a number");
        assert!(apart < 1e-5, "{apart}");
    }

    /// `pull_back` is the transpose of the linear part of `prepare`.
    #[test]
    fn pulling_back_is_the_transpose_of_preparing() {
        let dims = [2, 2, 3];
        let matrix: Vec<f64> = (0..144)
            .map(|i| f64::from(i * i % 13) / 7.0 - 0.6)
            .collect();
        let space = PixelSpace {
            white: 16.0,
            ..PixelSpace::scaled(&dims, &[0.2, 0.5], &[0.3, 1.7])
        };
        for space in [space.clone(), space.whitened(matrix)] {
            let random = |seed: u32| {
                let values: Vec<f64> = (0..24u32)
                    .map(|i| f64::from((i + seed).wrapping_mul(2_654_435_761) % 1000) / 500.0 - 1.0)
                    .collect();
                Tensor::from_vec(values, (2, 2, 2, 3), &Device::Cpu).expect("numbers")
            };
            let (x, g) = (random(3), random(77));
            let zero = space
                .prepare(&x.zeros_like().expect("zeros"))
                .expect("prepared");
            let linear = (space.prepare(&x).expect("prepared") - zero).expect("linear part");
            let dot = |a: &Tensor, b: &Tensor| -> f64 {
                let sum = (a * b).and_then(|p| p.sum_all()?.to_scalar());
                sum.expect("a number")
            };
            let there = dot(&linear, &g);
            let back = dot(&x, &space.pull_back(&g).expect("pulled back"));
            assert!((there - back).abs() < 1e-9 * there.abs().max(1.0));
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let plan = DataPlan {
            set: "teacher".into(),
            ..DataPlan::default()
        };
        let data = plan.open().expect("a generated set");
        let refused = data.pixels("test", None).expect_err("a regression");
        assert!(refused.text.contains("regress"), "{refused}");
        let digits = DataPlan::default().open().expect("embedded digits");
        assert!(digits.pixels("validation", None).expect("read").is_none());
    }
}
