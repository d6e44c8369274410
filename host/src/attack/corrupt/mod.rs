//! Corruptions of CIFAR-10-C (Hendrycks, Dietterich 2019) that need no data, at its five
//! severities, on one sample of pixels in [0, 1].
//!
//! Their constants are those of the published set, made for pictures of 32x32; other sizes take
//! the same ones. As there, the result is stored as bytes, so that a corrupted picture is one that a
//! file could hold.

mod blur;
mod colour;
mod digital;
mod grid;
mod noise;
mod weather;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::target::values;
use super::victims::Victims;
use crate::{Error, Result};
use grid::as_byte;
pub use noise::gaussian;

/// A corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Corruption {
    /// Normal noise.
    GaussianNoise,
    /// Photons counted.
    ShotNoise,
    /// Values that become black or white.
    ImpulseNoise,
    /// Noise as large as the value.
    SpeckleNoise,
    /// A smooth blur.
    GaussianBlur,
    /// Out of focus.
    DefocusBlur,
    /// Behind frosted glass: neighbours change places.
    GlassBlur,
    /// Along a line.
    MotionBlur,
    /// Towards the centre.
    ZoomBlur,
    /// Fog of fractal density.
    Fog,
    /// Falling snow.
    Snow,
    /// More light.
    Brightness,
    /// Less contrast.
    Contrast,
    /// Less or more colour.
    Saturate,
    /// Stretched here and squeezed there.
    ElasticTransform,
    /// Fewer pixels.
    Pixelate,
    /// Stored as JPEG.
    JpegCompression,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::GaussianNoise,
        Self::ShotNoise,
        Self::ImpulseNoise,
        Self::SpeckleNoise,
        Self::GaussianBlur,
        Self::DefocusBlur,
        Self::GlassBlur,
        Self::MotionBlur,
        Self::ZoomBlur,
        Self::Fog,
        Self::Snow,
        Self::Brightness,
        Self::Contrast,
        Self::Saturate,
        Self::ElasticTransform,
        Self::Pixelate,
        Self::JpegCompression,
    ];

    /// Its name in CIFAR-10-C, with dashes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GaussianNoise => "gaussian-noise",
            Self::ShotNoise => "shot-noise",
            Self::ImpulseNoise => "impulse-noise",
            Self::SpeckleNoise => "speckle-noise",
            Self::GaussianBlur => "gaussian-blur",
            Self::DefocusBlur => "defocus-blur",
            Self::GlassBlur => "glass-blur",
            Self::MotionBlur => "motion-blur",
            Self::ZoomBlur => "zoom-blur",
            Self::Fog => "fog",
            Self::Snow => "snow",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::Saturate => "saturate",
            Self::ElasticTransform => "elastic-transform",
            Self::Pixelate => "pixelate",
            Self::JpegCompression => "jpeg-compression",
        }
    }

    /// That of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Why a corruption of CIFAR-10-C is not here.
    #[must_use]
    pub fn left_out(name: &str) -> Option<&'static str> {
        match name {
            "frost" => Some(
                "`frost` lays photographs of frost over a picture, which this program does not have; `fog` and `snow` are generated",
            ),
            "spatter" => Some(
                "`spatter` follows edges found by a library of image processing, and is not built in; `snow` and `glass-blur` are",
            ),
            _ => None,
        }
    }

    /// Whether it makes sense on pictures alone, `[C, H, W]`.
    #[must_use]
    pub const fn wants_pictures(self) -> bool {
        !matches!(
            self,
            Self::GaussianNoise | Self::ShotNoise | Self::ImpulseNoise | Self::SpeckleNoise
        )
    }

    /// Refuses pictures with a number of channels or a size that it cannot change.
    ///
    /// # Errors
    /// Usage error with what it expects.
    pub fn check(self, channels: usize, dims: &[usize]) -> Result<()> {
        let name = self.name();
        let coloured = matches!(self, Self::Brightness | Self::Snow | Self::JpegCompression);
        if self == Self::Saturate && channels != 3 {
            return Err(Error::usage(format!(
                "`{name}` changes colours, and these pictures have {channels} channel(s), expected 3"
            )));
        }
        if coloured && ![1, 3].contains(&channels) {
            return Err(Error::usage(format!(
                "`{name}` takes pictures of 1 or 3 channels, and these have {channels}"
            )));
        }
        if let [_, h, w] = *dims
            && h.min(w) < 4
        {
            return Err(Error::usage(format!(
                "`{name}` needs pictures of 4x4 at least, and these are {h}x{w}"
            )));
        }
        Ok(())
    }

    /// Changes one sample `x` of shape `dims`, `[C, H, W]` or `[D]`, at `severity` 1 to 5.
    ///
    /// # Errors
    /// An internal error for other severities and shapes; see [`Self::check`].
    pub fn apply(
        self,
        severity: u8,
        x: &mut [f32],
        dims: &[usize],
        rng: &mut ChaCha8Rng,
    ) -> Result<()> {
        let at = usize::from(severity)
            .checked_sub(1)
            .filter(|at| *at < 5)
            .ok_or_else(|| Error::internal(format!("severity {severity}")))?;
        let shape = match *dims {
            [c, h, w] => (c, h, w),
            _ => (1, 1, x.len()),
        };
        match self {
            Self::GaussianNoise => gaussian(x, [0.04, 0.06, 0.08, 0.09, 0.10][at], rng),
            Self::ShotNoise => noise::shot(x, [500.0, 250.0, 100.0, 75.0, 50.0][at], rng)?,
            Self::ImpulseNoise => noise::impulse(x, [0.01, 0.02, 0.03, 0.05, 0.07][at], rng),
            Self::SpeckleNoise => noise::speckle(x, [0.06, 0.1, 0.12, 0.16, 0.2][at], rng),
            Self::GaussianBlur => blur::gaussian(x, shape, [0.4, 0.6, 0.7, 0.8, 1.0][at]),
            Self::DefocusBlur => blur::defocus(x, shape, at),
            Self::GlassBlur => blur::glass(x, shape, at, rng),
            Self::MotionBlur => blur::motion(x, shape, at, rng),
            Self::ZoomBlur => blur::zoom(x, shape, at),
            Self::Fog => weather::fog(x, shape, at, rng),
            Self::Snow => weather::snow(x, shape, at, rng),
            Self::Brightness => colour::brightness(x, shape, [0.05, 0.1, 0.15, 0.2, 0.3][at]),
            Self::Contrast => colour::contrast(x, shape, [0.75, 0.5, 0.4, 0.3, 0.15][at]),
            Self::Saturate => colour::saturate(x, shape, at),
            Self::ElasticTransform => digital::elastic(x, shape, at, rng),
            Self::Pixelate => digital::pixelate(x, shape, [0.95, 0.9, 0.85, 0.75, 0.65][at]),
            Self::JpegCompression => digital::jpeg(x, shape, [80, 65, 58, 50, 40][at])?,
        }
        x.iter_mut().for_each(|v| *v = as_byte(*v));
        Ok(())
    }
}

/// Changes each of `victims` by itself.
pub(super) fn each(
    victims: &Victims,
    change: impl Fn(u64, &mut [f32]) -> Result<()>,
) -> Result<Tensor> {
    let t = &victims.pixels;
    let mut all = values(t)?;
    let each: usize = t.dims()[1..].iter().product();
    for (x, sample) in all.chunks_exact_mut(each).zip(&victims.samples) {
        change(*sample, x)?;
    }
    let changed = Tensor::from_vec(all, t.shape(), &candle_core::Device::Cpu)?;
    Ok(changed.to_dtype(t.dtype())?.to_device(t.device())?)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn picture((c, h, w): (usize, usize, usize)) -> Vec<f32> {
        let value = |i: usize| {
            let (row, column) = (i / w % h, i % w);
            let wave = ((row * 3 + column * 5 + i / (h * w) * 7) % 17) as f32 / 16.0;
            as_byte(0.15 + 0.7 * wave)
        };
        (0..c * h * w).map(value).collect()
    }

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        (sum / a.len() as f32).sqrt()
    }

    /// On pictures of three sizes: bytes in [0, 1] that differ from the clean ones, the same under
    /// the same key.
    #[test]
    fn every_corruption_changes_pictures_and_repeats_itself() {
        for kind in Corruption::ALL {
            for shape in [(3, 32, 32), (3, 20, 28), (1, 28, 28)] {
                let dims = [shape.0, shape.1, shape.2];
                if kind.check(shape.0, &dims).is_err() {
                    continue;
                }
                for severity in 1..=5 {
                    let changed = || {
                        let mut x = picture(shape);
                        let mut rng = ChaCha8Rng::seed_from_u64(9);
                        kind.apply(severity, &mut x, &dims, &mut rng)
                            .expect("applied");
                        x
                    };
                    let x = changed();
                    assert_eq!(x, changed());
                    let fits = |v: &f32| {
                        let byte = v * 255.0;
                        (0.0..=1.0).contains(v) && (byte - byte.round()).abs() < 1e-3
                    };
                    assert!(x.iter().all(fits), "{} {severity}", kind.name());
                    let apart = distance(&x, &picture(shape));
                    let name = kind.name();
                    assert!(
                        apart > 0.0,
                        "{name} {severity} on {shape:?} changes nothing"
                    );
                }
            }
        }
    }

    /// Where more severe means more of the same, the picture moves further.
    #[test]
    fn more_severe_is_further_away() {
        use Corruption as C;
        for kind in [
            C::GaussianNoise,
            C::ShotNoise,
            C::ImpulseNoise,
            C::SpeckleNoise,
            C::GaussianBlur,
            C::DefocusBlur,
            C::Brightness,
            C::Contrast,
            C::Fog,
            C::JpegCompression,
        ] {
            let shape = (3, 32, 32);
            let far = |severity| {
                let mut x = picture(shape);
                let mut rng = ChaCha8Rng::seed_from_u64(4);
                let dims = [3, 32, 32];
                kind.apply(severity, &mut x, &dims, &mut rng)
                    .expect("applied");
                distance(&x, &picture(shape))
            };
            let (mild, hard) = (far(1), far(5));
            assert!(hard > mild, "{}: {mild} then {hard}", kind.name());
        }
    }

    #[test]
    fn vectors_take_noise() {
        for kind in Corruption::ALL.into_iter().filter(|k| !k.wants_pictures()) {
            let mut x = vec![0.5; 40];
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            kind.apply(5, &mut x, &[40], &mut rng).expect("applied");
            assert!(x.iter().any(|v| *v != as_byte(0.5)), "{}", kind.name());
        }
    }
}
