//! How the objective `robustness` is measured: one attack on the held-out samples.

use serde::{Deserialize, Serialize};

use crate::plan::define::{Field, Reader, settings, words};
use crate::plan::setting::Kind;
use crate::{Error, Result};

words! {
    /// An attack by gradient.
    pub enum AttackName = Pgd {
        /// One step (Goodfellow et al. 2015).
        Fgsm = "fgsm",
        /// Steps brought back into the ball (Madry et al. 2018).
        Pgd = "pgd",
        /// Steps away from the clean answer (Zhang et al. 2019).
        Tpgd = "tpgd",
        /// Steps whose size follows the loss (Croce, Hein 2020).
        Apgd = "apgd",
    }
}

words! {
    /// The norm of an attack's ball.
    pub enum Ball = Linf {
        /// The largest change of a value.
        Linf = "linf",
        /// The Euclidean length of all changes.
        L2 = "l2",
    }
}

words! {
    /// How errors reach the pixels.
    pub enum Slope = True {
        /// Exact back-propagation through every rule's forward pass.
        True = "true",
        /// What the rules send below in training.
        Rule = "rule",
    }
}

/// A number that may be written as a fraction, such as `8/255`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fraction(pub f64);

impl Field for Fraction {
    const KIND: Kind = Kind::Fraction;
    fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>> {
        Ok(from.fraction(key)?.map(Self))
    }
}

settings! {
    /// How the objective `robustness` is measured, after each training.
    pub struct RobustnessPlan at "search.robustness" {
        /// the attack
        method: AttackName = "pgd", source "Madry et al. 2018";
        /// radius of the ball, in pixel values from 0 to 1
        strength: Fraction = "8/255", range 0.0 => f64::INFINITY, source "RobustBench: 8/255";
        /// norm of the ball; of `tpgd` it is `linf`
        norm: Ball = "linf";
        /// steps of `pgd` and `tpgd` (absent: 20) and of `apgd` (50)
        steps: Option<u64>, range 1.0 => 1e9;
        /// length of a step of `pgd` and `tpgd`; absent: 2/255, of `pgd` with `l2` a fifth of `strength`
        step_size: Option<Fraction>, range 0.0 => f64::INFINITY;
        /// `pgd` starts at a random point of the ball; off: at the clean picture
        random_start: Option<bool>;
        /// `true`: exact back-propagation through every rule; `rule`: what the rules send below in training,
        /// so that a network may look robust because its gradient is wrong
        gradient: Slope = "true";
        /// held-out samples that are attacked, the first ones; where there are fewer, all
        images: u64 = 1000, range 1.0 => 1e9;
    }
}

impl RobustnessPlan {
    /// Refuses what the attack does not read.
    ///
    /// # Errors
    /// Usage error with the setting.
    pub fn check(&self, place: &str) -> Result<()> {
        let is = |names: &[AttackName]| names.contains(&self.method);
        use AttackName::{Apgd, Fgsm, Pgd, Tpgd};
        let unread = [
            ("steps", self.steps.is_some(), is(&[Pgd, Tpgd, Apgd])),
            ("step_size", self.step_size.is_some(), is(&[Pgd, Tpgd])),
            ("random_start", self.random_start.is_some(), is(&[Pgd])),
            ("norm", self.norm == Ball::L2, is(&[Fgsm, Pgd, Apgd])),
        ];
        match unread.iter().find(|(_, given, read)| *given && !read) {
            Some((key, ..)) => Err(Error::usage(format!(
                "`{place}.{key}` has no meaning for `{}`",
                self.method.word()
            ))
            .hint("leave it out, or take another `method` (docs/attacks.md)")),
            None => Ok(()),
        }
    }
}
