//! Which attacks there are: their names, settings and strengths.

use serde::{Deserialize, Serialize};

use super::ball::Norm;
use super::corrupt::Corruption;
use super::target::Gradient;
use crate::text::nearest;
use crate::{Error, Result};

/// An attack with its settings; a number says how strong it is ([`Method::strength`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Method {
    /// One step along the gradient (Goodfellow et al. 2015).
    Fgsm {
        /// Of the ball.
        norm: Norm,
    },
    /// Steps along the gradient, each brought back into the ball (Madry et al. 2018).
    Pgd(Pgd),
    /// Steps away from the clean answer, whatever the label (Zhang et al. 2019).
    Tpgd {
        /// How many.
        steps: usize,
        /// Change of a value in one.
        step_size: f64,
    },
    /// Steps whose size follows the loss (Croce, Hein 2020).
    Apgd(Apgd),
    /// Random squares, seen through outputs alone (Andriushchenko et al. 2020).
    Square {
        /// Answers asked for each sample.
        queries: usize,
    },
    /// A few pixels of any colour, seen through outputs alone (Su et al. 2019).
    OnePixel(OnePixel),
    /// Gaussian noise on every value.
    Noise,
    /// A corruption of CIFAR-10-C.
    Corruption {
        /// Which.
        kind: Corruption,
    },
}

/// Settings of PGD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pgd {
    /// Of the ball.
    pub norm: Norm,
    /// How many steps.
    pub steps: usize,
    /// Length of one.
    pub step_size: StepSize,
    /// Begin somewhere in the ball instead of at the clean pixels.
    pub random_start: bool,
}

/// Length of a step in the norm of its ball.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSize {
    /// In pixel values.
    Absolute(f64),
    /// As a share of the radius.
    OfEpsilon(f64),
}

impl StepSize {
    /// In a ball of radius `epsilon`.
    #[must_use]
    pub fn of(self, epsilon: f64) -> f64 {
        match self {
            Self::Absolute(size) => size,
            Self::OfEpsilon(share) => share * epsilon,
        }
    }
}

/// Settings of APGD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Apgd {
    /// Of the ball.
    pub norm: Norm,
    /// How many steps.
    pub steps: usize,
    /// What is climbed.
    pub loss: ApgdLoss,
}

/// What APGD climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApgdLoss {
    /// Cross-entropy.
    CrossEntropy,
    /// Difference of logits ratio.
    LogitRatio,
}

/// Settings of the one-pixel attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnePixel {
    /// Generations after the first.
    pub steps: usize,
    /// Candidates in one; four at least.
    pub population: usize,
}

/// What the number of an attack means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Radius of the ball.
    Epsilon(Norm),
    /// Pixels set.
    Pixels,
    /// Standard deviation in pixel values.
    Sigma,
    /// 1 to 5.
    Severity,
}

/// A method at one strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// What is done.
    #[serde(flatten)]
    pub method: Method,
    /// How strongly; see [`Method::strength`].
    pub strength: f64,
    /// How errors reach the pixels, where the method asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient: Option<Gradient>,
}

/// Names of the attacks that are no corruptions.
pub const ATTACKS: [&str; 8] = [
    "fgsm",
    "pgd",
    "tpgd",
    "apgd",
    "apgd-dlr",
    "square",
    "one-pixel",
    "noise",
];

/// Steps of PGD and TPGD where nothing else is said.
pub const STEPS: usize = 20;
/// Those of APGD.
pub const APGD_STEPS: usize = 50;
/// Generations of the one-pixel attack.
pub const GENERATIONS: usize = 30;
/// Candidates of the one-pixel attack.
pub const POPULATION: usize = 150;
/// Queries of Square.
pub const QUERIES: usize = 1000;
/// Step of PGD and TPGD in the cube.
pub const STEP_SIZE: f64 = 2.0 / 255.0;
/// Step of PGD in the Euclidean ball, as a share of its radius.
pub const L2_SHARE: f64 = 0.2;

/// What somebody asked for beside the names; absent stands for the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Of the ball.
    pub norm: Option<Norm>,
    /// Steps, or generations.
    pub steps: Option<usize>,
    /// Length of a step.
    pub step_size: Option<f64>,
    /// PGD begins at the clean pixels.
    pub no_random_start: bool,
    /// Queries of Square.
    pub queries: Option<usize>,
    /// Candidates of the one-pixel attack.
    pub population: Option<usize>,
}

impl Method {
    /// The attack called `name`, with these wishes.
    ///
    /// # Errors
    /// Usage error for a name that is none, with the nearest.
    pub fn named(name: &str, wishes: &Wishes) -> Result<Self> {
        let norm = wishes.norm.unwrap_or_default();
        let steps = |usual: usize| wishes.steps.unwrap_or(usual);
        let apgd = |loss| {
            Self::Apgd(Apgd {
                norm,
                steps: steps(APGD_STEPS),
                loss,
            })
        };
        Ok(match name {
            "fgsm" => Self::Fgsm { norm },
            "pgd" => Self::Pgd(Pgd {
                norm,
                steps: steps(STEPS),
                step_size: match (wishes.step_size, norm) {
                    (Some(size), _) => StepSize::Absolute(size),
                    (None, Norm::Linf) => StepSize::Absolute(STEP_SIZE),
                    (None, Norm::L2) => StepSize::OfEpsilon(L2_SHARE),
                },
                random_start: !wishes.no_random_start,
            }),
            "tpgd" => Self::Tpgd {
                steps: steps(STEPS),
                step_size: wishes.step_size.unwrap_or(STEP_SIZE),
            },
            "apgd" => apgd(ApgdLoss::CrossEntropy),
            "apgd-dlr" => apgd(ApgdLoss::LogitRatio),
            "square" => Self::Square {
                queries: wishes.queries.unwrap_or(QUERIES),
            },
            "one-pixel" => Self::OnePixel(OnePixel {
                steps: steps(GENERATIONS),
                population: wishes.population.unwrap_or(POPULATION),
            }),
            "noise" => Self::Noise,
            other => match Corruption::named(other) {
                Some(kind) => Self::Corruption { kind },
                None => return Err(unknown(other)),
            },
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fgsm { .. } => "fgsm",
            Self::Pgd(_) => "pgd",
            Self::Tpgd { .. } => "tpgd",
            Self::Apgd(settings) => match settings.loss {
                ApgdLoss::CrossEntropy => "apgd",
                ApgdLoss::LogitRatio => "apgd-dlr",
            },
            Self::Square { .. } => "square",
            Self::OnePixel(_) => "one-pixel",
            Self::Noise => "noise",
            Self::Corruption { kind } => kind.name(),
        }
    }

    /// What its strength is measured in.
    #[must_use]
    pub fn strength(&self) -> Strength {
        match self {
            Self::Fgsm { norm } => Strength::Epsilon(*norm),
            Self::Pgd(settings) => Strength::Epsilon(settings.norm),
            Self::Apgd(settings) => Strength::Epsilon(settings.norm),
            Self::Tpgd { .. } | Self::Square { .. } => Strength::Epsilon(Norm::Linf),
            Self::OnePixel(_) => Strength::Pixels,
            Self::Noise => Strength::Sigma,
            Self::Corruption { .. } => Strength::Severity,
        }
    }

    /// Whether it asks for a gradient.
    #[must_use]
    pub fn wants_gradient(&self) -> bool {
        matches!(
            self,
            Self::Fgsm { .. } | Self::Pgd(_) | Self::Tpgd { .. } | Self::Apgd(_)
        )
    }

    /// Refuses settings and a strength that mean nothing for samples of `dims`: `[C, H, W]` or
    /// `[D]`.
    ///
    /// # Errors
    /// Usage error that names the setting.
    pub fn check(&self, strength: f64, dims: &[usize]) -> Result<()> {
        let name = self.name();
        let refuse = |what: String| Err(Error::usage(format!("`{name}`: {what}")));
        let values: usize = dims.iter().product();
        match self.strength() {
            Strength::Epsilon(Norm::Linf) if !(0.0..=1.0).contains(&strength) => {
                return refuse(format!(
                    "epsilon is {strength}, expected 0 to 1: pixel values lie between them"
                ));
            }
            Strength::Epsilon(Norm::L2) if !(0.0..=(values as f64).sqrt()).contains(&strength) => {
                return refuse(format!(
                    "epsilon is {strength}, expected 0 to {:.3}, the diagonal of all pictures with {values} values",
                    (values as f64).sqrt()
                ));
            }
            Strength::Sigma if !(0.0..=1.0).contains(&strength) => {
                return refuse(format!("sigma is {strength}, expected 0 to 1"));
            }
            Strength::Severity if !(1.0..=5.0).contains(&strength) || strength.fract() != 0.0 => {
                return refuse(format!("severity is {strength}, expected 1, 2, 3, 4 or 5"));
            }
            Strength::Pixels => {
                let most = dims.iter().skip(1).product::<usize>();
                if !(0.0..=most as f64).contains(&strength) || strength.fract() != 0.0 {
                    return refuse(format!("{strength} pixels, expected 0 to {most}"));
                }
            }
            _ => {}
        }
        match self {
            Self::Pgd(Pgd { steps: 0, .. })
            | Self::Tpgd { steps: 0, .. }
            | Self::Apgd(Apgd { steps: 0, .. }) => {
                return refuse("0 steps, expected 1 or more".into());
            }
            Self::Pgd(Pgd {
                step_size: StepSize::Absolute(size),
                ..
            })
            | Self::Tpgd {
                step_size: size, ..
            } if !(*size > 0.0 && size.is_finite()) => {
                return refuse(format!("the step size is {size}, expected more than 0"));
            }
            Self::Square { queries: 0 } => return refuse("0 queries, expected 1 or more".into()),
            Self::OnePixel(OnePixel { population, .. }) if *population < 4 => {
                return refuse(format!(
                    "a population of {population}, expected 4 or more: a mutant comes from three others"
                ));
            }
            _ => {}
        }
        let pictures = matches!(self, Self::Square { .. } | Self::OnePixel(_))
            || matches!(self, Self::Corruption { kind } if kind.wants_pictures());
        if pictures && dims.len() != 3 {
            return refuse(format!(
                "it changes pictures, and these samples are vectors of {values}"
            ))
            .map_err(|e: Error| e.hint("`fgsm`, `pgd`, `tpgd`, `apgd` and `noise` take vectors"));
        }
        if let (Self::Corruption { kind }, [channels, ..]) = (self, dims) {
            kind.check(*channels, dims)?;
        }
        Ok(())
    }
}

impl Attack {
    /// Its strength in words, such as `8/255` or `severity 3`.
    #[must_use]
    pub fn label(&self) -> String {
        let x = self.strength;
        match self.method.strength() {
            Strength::Epsilon(Norm::Linf) => steps_of_255(x).unwrap_or_else(|| format!("{x}")),
            Strength::Epsilon(Norm::L2) | Strength::Sigma => format!("{x}"),
            Strength::Pixels if x == 1.0 => "1 pixel".to_owned(),
            Strength::Pixels => format!("{x} pixels"),
            Strength::Severity => format!("severity {x}"),
        }
    }
}

/// `k/255` where `x` is that, but for the last bits, which a file may have cost.
fn steps_of_255(x: f64) -> Option<String> {
    let k = (x * 255.0).round();
    (k > 0.0 && (k / 255.0 - x).abs() < 1e-12).then(|| format!("{k}/255"))
}

/// Every name that `--attack` takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    ATTACKS
        .into_iter()
        .chain(Corruption::ALL.map(Corruption::name))
}

/// Error for a name that is none.
fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("there is no attack `{name}`"));
    if let Some(why) = Corruption::left_out(name) {
        return error.hint(why);
    }
    match nearest(name, names()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("one of {}", names().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_gives_the_attack_of_that_name() {
        for name in names() {
            let method = Method::named(name, &Wishes::default()).expect("an attack");
            assert_eq!(method.name(), name);
            let attack = Attack {
                method,
                strength: 1.0,
                gradient: None,
            };
            let text = serde_json::to_string(&attack).expect("JSON");
            let back: Attack = serde_json::from_str(&text).expect("an attack");
            assert_eq!(back, attack, "{text}");
        }
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_nearest() {
        for (wrong, near) in [
            ("pdg", "pgd"),
            ("fog-", "fog"),
            ("gausian-blur", "gaussian-blur"),
        ] {
            let error = Method::named(wrong, &Wishes::default()).expect_err("no attack");
            let hint = error.hint.clone().unwrap_or_default();
            assert!(hint.contains(&format!("`{near}`")), "{wrong}: {hint}");
        }
        let frost = Method::named("frost", &Wishes::default()).expect_err("left out");
        assert!(frost.hint.unwrap_or_default().contains("photographs"));
    }

    #[test]
    fn strengths_that_mean_nothing_are_refused() {
        let make = |name: &str, wishes: Wishes| Method::named(name, &wishes).expect("an attack");
        let l2 = Wishes {
            norm: Some(Norm::L2),
            ..Wishes::default()
        };
        let none = Wishes::default();
        let refused = [
            (make("fgsm", none), 1.01, vec![3, 4, 4]),
            (make("fgsm", none), -0.1, vec![3, 4, 4]),
            (make("pgd", none), f64::NAN, vec![3, 4, 4]),
            (make("pgd", l2), 7.0, vec![3, 4, 4]),
            (
                make(
                    "pgd",
                    Wishes {
                        steps: Some(0),
                        ..none
                    },
                ),
                0.1,
                vec![3, 4, 4],
            ),
            (
                make(
                    "tpgd",
                    Wishes {
                        step_size: Some(0.0),
                        ..none
                    },
                ),
                0.1,
                vec![3, 4, 4],
            ),
            (make("square", none), 0.1, vec![48]),
            (make("one-pixel", none), 17.0, vec![3, 4, 4]),
            (make("one-pixel", none), 1.5, vec![3, 4, 4]),
            (
                make(
                    "one-pixel",
                    Wishes {
                        population: Some(3),
                        ..none
                    },
                ),
                1.0,
                vec![3, 4, 4],
            ),
            (make("noise", none), 2.0, vec![48]),
            (make("fog", none), 6.0, vec![3, 32, 32]),
            (make("fog", none), 1.0, vec![1024]),
            (make("saturate", none), 1.0, vec![1, 32, 32]),
        ];
        for (method, strength, dims) in refused {
            let error = method.check(strength, &dims).expect_err("refused");
            assert!(error.text.contains(method.name()), "{error}");
        }
        make("pgd", l2)
            .check(6.9, &[3, 4, 4])
            .expect("within the diagonal");
        make("fgsm", none)
            .check(1.0, &[48])
            .expect("within the cube");
    }
}
