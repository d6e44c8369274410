//! Initial weights and feedback weights, by the names the four projects use.
//!
//! | name | distribution | bias | source |
//! | --- | --- | --- | --- |
//! | `torch`, `kaiming` | uniform in ±1/√fan_in | the same | PyTorch's layers; BioTorch calls it kaiming |
//! | `xavier` | uniform in ±√(6/(fan_in + fan_out)) | 0 | BioTorch's default |
//! | `he` | normal, variance 2/fan_in | 0 | He et al. 2015 |
//! | `lecun` | normal cut at two deviations, variance 1/fan_in | 0 | bioflax's default |
//! | `uniform` | uniform in ±scale | 0 | bioflax |
//! | `variance_scaling` | normal, variance scale/fan_in | 0 | bioflax |
//!
//! The fans are those of the tensor's own shape `[K, C/groups, R, S]`, as PyTorch
//! counts them: `fan_in = C/groups·R·S`, `fan_out = K·R·S`.

use biorule_plugin_api::prelude::*;
use biorule_plugin_api::sdk::RandomStream;

/// Deviation of a standard normal cut at two deviations (jax.nn.initializers).
const CUT: f64 = 0.879_625_66;

/// Rounds of drawing again what fell outside the cut; 5e-8 of the values are left
/// and are limited instead.
const REDRAWS: usize = 4;

/// A named distribution with its scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    family: Family,
    scale: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    Torch,
    Xavier,
    He,
    Lecun,
    Uniform,
    VarianceScaling,
}

impl Draw {
    /// The distribution called `name`; `scale` counts for `uniform` and
    /// `variance_scaling` alone.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str, scale: f64) -> Result<Self> {
        let family = match name {
            "torch" | "kaiming" => Family::Torch,
            "xavier" => Family::Xavier,
            "he" => Family::He,
            "lecun" => Family::Lecun,
            "uniform" => Family::Uniform,
            "variance_scaling" => Family::VarianceScaling,
            _ => {
                return Err(RuleError::unsupported(format!(
                    "no initial distribution is called `{name}`"
                )));
            }
        };
        Ok(Self { family, scale })
    }

    /// Whether the distribution called `name` has a scale of its own.
    pub fn is_scaled(name: &str) -> bool {
        matches!(name, "uniform" | "variance_scaling")
    }

    /// For a tensor of this shape.
    pub fn initial(self, shape: &[usize]) -> Init {
        let std = self.deviation(shape);
        match self.family {
            Family::Torch | Family::Xavier | Family::Uniform => symmetric(std * 3f64.sqrt()),
            Family::He | Family::VarianceScaling => Init::Normal { mean: 0.0, std },
            Family::Lecun => Init::Truncated { std: std / CUT },
        }
    }

    /// For the bias of a layer whose weight has this shape.
    pub fn initial_bias(self, weight_shape: &[usize]) -> Init {
        match self.family {
            Family::Torch => symmetric(1.0 / fans(weight_shape).0.sqrt()),
            _ => Init::Constant(0.0),
        }
    }

    /// Standard deviation of the distribution; uSF's scale s.
    pub fn deviation(self, shape: &[usize]) -> f64 {
        let (fan_in, fan_out) = fans(shape);
        match self.family {
            Family::Torch => 1.0 / (3.0 * fan_in).sqrt(),
            Family::Xavier => (2.0 / (fan_in + fan_out)).sqrt(),
            Family::He => (2.0 / fan_in).sqrt(),
            Family::Lecun => (1.0 / fan_in).sqrt(),
            Family::Uniform => self.scale / 3f64.sqrt(),
            Family::VarianceScaling => (self.scale / fan_in).sqrt(),
        }
    }

    /// A tensor of `shape` from `stream`, distributed as [`Draw::initial`] of
    /// `fan_shape`; device and element type of `like`.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn fresh(
        self,
        stream: &mut RandomStream,
        like: &Tensor,
        shape: &[usize],
        fan_shape: &[usize],
    ) -> Result<Tensor> {
        match self.initial(fan_shape) {
            Init::Uniform { lo, hi } => stream.uniform(like, shape, lo, hi),
            Init::Normal { mean, std } => stream.normal(like, shape, mean, std),
            Init::Truncated { std } => truncated(stream, like, shape, std),
            Init::Constant(_) | Init::HalfNormal { .. } => {
                Err(RuleError::rule("a weight starts from none of these"))
            }
        }
    }
}

/// Normal cut at two deviations, by drawing again.
fn truncated(
    stream: &mut RandomStream,
    like: &Tensor,
    shape: &[usize],
    std: f64,
) -> Result<Tensor> {
    let limit = like.full_like(&[1], 2.0 * std)?;
    let mut values = stream.normal(like, shape, 0.0, std)?;
    for _ in 0..REDRAWS {
        let inside = values.abs()?.le(&limit)?;
        values = values.where_mask(&inside, &stream.normal(like, shape, 0.0, std)?)?;
    }
    values.clamp(-2.0 * std, 2.0 * std)
}

fn symmetric(limit: f64) -> Init {
    Init::Uniform {
        lo: -limit,
        hi: limit,
    }
}

/// `(fan_in, fan_out)` of `[K, D]` or `[K, C/groups, R, S]`.
fn fans(shape: &[usize]) -> (f64, f64) {
    let positions: usize = shape[2..].iter().product();
    ((shape[1] * positions) as f64, (shape[0] * positions) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONV: [usize; 4] = [6, 4, 3, 3];

    fn limit(init: Init) -> f64 {
        match init {
            Init::Uniform { lo, hi } => {
                assert_eq!(lo, -hi);
                hi
            }
            other => panic!("{other:?} is not uniform"),
        }
    }

    #[test]
    fn xavier_and_kaiming_are_those_of_biotorch() {
        let xavier = Draw::named("xavier", 1.0).unwrap();
        assert!((limit(xavier.initial(&CONV)) - (6.0 / 90.0f64).sqrt()).abs() < 1e-12);
        assert!((xavier.deviation(&CONV) - (2.0 / 90.0f64).sqrt()).abs() < 1e-12);
        assert_eq!(xavier.initial_bias(&CONV), Init::Constant(0.0));
        let kaiming = Draw::named("kaiming", 1.0).unwrap();
        assert!((limit(kaiming.initial(&CONV)) - 1.0 / 6.0).abs() < 1e-12);
        assert!((limit(kaiming.initial_bias(&CONV)) - 1.0 / 6.0).abs() < 1e-12);
        assert!((kaiming.deviation(&CONV) - 1.0 / 108f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn lecun_is_that_of_bioflax() {
        // Measured on the reference: 784 inputs give a deviation of 0.03576 after the cut.
        let lecun = Draw::named("lecun", 7.0).unwrap();
        assert!((lecun.deviation(&[500, 784]) - 0.03576).abs() < 1e-4);
        let Init::Truncated { std } = lecun.initial(&[500, 784]) else {
            panic!("lecun is truncated")
        };
        // The largest value of the reference was 0.0812, that is two deviations before the cut.
        assert!((2.0 * std - 0.0812).abs() < 1e-4);
    }

    #[test]
    fn scales_count_where_bioflax_counts_them() {
        let uniform = Draw::named("uniform", 0.5).unwrap();
        assert!((limit(uniform.initial(&[8, 4])) - 0.5).abs() < 1e-12);
        let scaled = Draw::named("variance_scaling", 2.0).unwrap();
        let Init::Normal { mean, std } = scaled.initial(&[8, 4]) else {
            panic!("variance scaling is normal")
        };
        assert_eq!(mean, 0.0);
        assert!((std - 0.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = Draw::named("glorot", 1.0).unwrap_err();
        assert!(error.to_string().contains("`glorot`"), "{error}");
    }
}
