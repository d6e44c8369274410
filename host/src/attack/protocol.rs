//! Published protocols of attacks, with their faults: for comparison with published figures, not as a
//! measure of robustness.

use super::Row;
use super::method::{Apgd, ApgdLoss, Attack, Method, OnePixel, Pgd, StepSize};
use super::{Gradient, Norm};
use crate::text::nearest;
use crate::{Error, Result};

/// A published protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `attacks.py` of BioNAS (imanehmz/LR-NAS).
    BionasReleased,
}

/// Names of all protocols.
pub const PROTOCOLS: [&str; 1] = ["bionas-released"];

impl Protocol {
    /// The protocol `name`.
    ///
    /// # Errors
    /// Usage error with the nearest name.
    pub fn named(name: &str) -> Result<Self> {
        if name == PROTOCOLS[0] {
            return Ok(Self::BionasReleased);
        }
        let e = Error::usage(format!("there is no protocol `{name}`"));
        Err(match nearest(name, PROTOCOLS) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!("there is `{}`", PROTOCOLS[0])),
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BionasReleased => PROTOCOLS[0],
        }
    }

    /// Samples that it sees, the first ones: 5 batches were meant, and the size of a batch, 96, takes
    /// their place.
    #[must_use]
    pub const fn samples(self) -> usize {
        match self {
            Self::BionasReleased => 96 * 96,
        }
    }

    /// Its attacks under `gradient`, without one-pixel, which takes hours; `only` names those that are
    /// wanted.
    ///
    /// # Errors
    /// Usage error for a name that it does not have.
    pub fn attacks(self, only: &[String], gradient: Gradient) -> Result<Vec<Attack>> {
        let all = released();
        let names: Vec<&str> = all.iter().map(|(m, _)| m.name()).collect();
        for name in only {
            if name == "square" {
                return Err(Error::usage(
                    "the protocol `bionas-released` has `square`, which fails there: an inner routine returns a pair where pictures are expected",
                )
                .hint("attack with `--attack square` and without `--protocol`"));
            }
            if !names.contains(&name.as_str()) {
                let e = Error::usage(format!(
                    "the protocol `{}` has no attack `{name}`",
                    self.name()
                ));
                return Err(match nearest(name, names.iter().copied()) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint("it has `fgsm`, `pgd`, `tpgd`, `apgd` and `one-pixel`"),
                });
            }
        }
        let wanted = |method: &Method| match only {
            [] => !matches!(method, Method::OnePixel(_)),
            only => only.iter().any(|name| name == method.name()),
        };
        let list = all.into_iter().filter(|(method, _)| wanted(method));
        let attack = |(method, strength): (Method, f64)| Attack {
            gradient: method.wants_gradient().then_some(gradient),
            method,
            strength,
        };
        Ok(list.map(attack).collect())
    }

    /// The accuracy that its program prints as robust: one meter counts the clean and the attacked
    /// pass, so it is the mean of both.
    #[must_use]
    pub fn printed(self, row: &Row) -> f64 {
        match self {
            Self::BionasReleased => (row.clean_accuracy() + row.robust_accuracy()) / 2.0,
        }
    }

    /// What is wrong with it, a line each.
    #[must_use]
    pub const fn faults(self) -> [&'static str; 5] {
        match self {
            Self::BionasReleased => [
                "scaled inputs are attacked as if they were pictures and clipped to [0, 1]; most values lie outside, so clipping alone changes most pictures",
                "`printed` is the mean of clean and attacked accuracy, since one meter counts both",
                "the first 9,216 samples are seen, where 5 batches were meant",
                "steps cannot reach the radius: `pgd` is mostly its random start, `tpgd` moves 0.055 at most",
                "errors reach the pixels through the rules' own feedback, so part of what looks robust is a wrong gradient",
            ],
        }
    }
}

/// Attacks and strengths of `attacks.py`, and `tpgd` as `train_adv_tpgd.py` has it.
fn released() -> Vec<(Method, f64)> {
    let (step, norm) = (2.0 / 255.0, Norm::Linf);
    let tpgd = || Method::Tpgd {
        steps: 7,
        step_size: step,
    };
    let pgd = Pgd {
        norm,
        steps: 10,
        step_size: StepSize::Absolute(step),
        random_start: true,
    };
    let apgd = Apgd {
        norm,
        steps: 50,
        loss: ApgdLoss::CrossEntropy,
    };
    let one_pixel = OnePixel {
        steps: 10,
        population: 10,
    };
    vec![
        (Method::Fgsm { norm }, 0.35),
        (Method::Pgd(pgd), 0.35),
        (tpgd(), 8.0 / 255.0),
        (tpgd(), 0.3),
        (Method::Apgd(apgd), 8.0 / 255.0),
        (Method::OnePixel(one_pixel), 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_its_attacks_and_prints_the_mean() {
        let one = Protocol::named("bionas-released").expect("a protocol");
        let all = one.attacks(&[], Gradient::Rule).expect("attacks");
        let names: Vec<&str> = all.iter().map(|a| a.method.name()).collect();
        assert_eq!(names, ["fgsm", "pgd", "tpgd", "tpgd", "apgd"]);
        assert!(all.iter().all(|a| a.gradient == Some(Gradient::Rule)));
        let only = one.attacks(&["one-pixel".to_owned()], Gradient::Rule);
        assert_eq!(only.expect("attacks")[0].gradient, None);
        let e = one
            .attacks(&["pdg".to_owned()], Gradient::Rule)
            .expect_err("none");
        assert!(e.hint.unwrap_or_default().contains("`pgd`"));
        let e = one
            .attacks(&["square".to_owned()], Gradient::Rule)
            .expect_err("broken");
        assert!(e.text.contains("fails there"), "{e}");
        let e = Protocol::named("bionas-realesed").expect_err("a slip");
        assert!(e.hint.unwrap_or_default().contains("`bionas-released`"));
        let row = Row {
            attack: all[0].clone(),
            samples: 10,
            clean: 9,
            robust: 2,
            both: 2,
            mean_linf: 0.0,
            mean_l2: 0.0,
        };
        assert!((one.printed(&row) - 0.55).abs() < 1e-12);
    }
}
