//! Rates that are the same for all units, as functions of the place in a phase.
//!
//! The reference makes them with generators in double precision: repeated
//! subtraction for `linear`, a recurrence for `exp` (SoftHebb layer.py). The
//! closed forms here agree with those to rounding, and need no memory, so that a
//! resumed run goes on where it was.

/// How a rate that all units share changes with the updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// Falls evenly to 0 at the end of the last epoch.
    Linear,
    /// Falls exponentially to lr/div at the end of the last epoch.
    Exp,
    /// Stays.
    Constant,
}

/// The place of an update in its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Updates before this one.
    pub step: u64,
    /// Samples in a batch.
    pub batch: u64,
    /// Training samples in an epoch.
    pub samples: u64,
    /// Epochs of the phase; 0 if open-ended.
    pub epochs: u64,
}

impl Position {
    /// The part of the phase that lies behind, 0 to about 1; `None` for a phase without end.
    ///
    /// The reference's steps are batch/samples of an epoch, also where the last batch is
    /// smaller or dropped.
    fn passed(&self) -> Option<f64> {
        if self.samples == 0 || self.epochs == 0 {
            return None;
        }
        let ratio = self.batch as f64 / self.samples as f64;
        Some(self.step as f64 * ratio / self.epochs as f64)
    }
}

impl Decay {
    /// By the name of the hyperparameter `rate`; `None` for the radius-dependent rate.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "linear" => Some(Self::Linear),
            "exp" => Some(Self::Exp),
            "constant" => Some(Self::Constant),
            _ => None,
        }
    }

    /// The rate of the update at `position`.
    ///
    /// `linear`: `η_t = max(0, lr·(1 − t·ratio/epochs))`. `exp` with speed S and div V:
    /// `η_t = m + (lr − m)·e^(−S·ratio·t/epochs)`, `m = (lr/V − lr·e^−S)/(1 − e^−S)`.
    pub fn rate(self, lr: f64, speed: f64, div: f64, position: &Position) -> f64 {
        let Some(passed) = position.passed() else {
            return lr;
        };
        match self {
            Self::Linear => (lr * (1.0 - passed)).max(0.0),
            Self::Exp => {
                let end = (-speed).exp();
                let limit = (lr / div - lr * end) / (1.0 - end);
                limit + (lr - limit) * (-speed * passed).exp()
            }
            Self::Constant => lr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> Position {
        Position {
            step,
            batch: 3,
            samples: 100,
            epochs: 4,
        }
    }

    #[test]
    fn linear_is_repeated_subtraction() {
        let (lr, mut rate) = (0.045, 0.045f64);
        for step in 0..200 {
            let ours = Decay::Linear.rate(lr, 0.0, 0.0, &at(step));
            assert!(
                (ours - rate).abs() < 1e-14 * lr * 200.0,
                "step {step}: {ours} {rate}"
            );
            rate = (rate - lr * 0.03 / 4.0).max(0.0);
        }
        assert_eq!(Decay::Linear.rate(lr, 0.0, 0.0, &at(134)), 0.0);
    }

    #[test]
    fn exp_is_the_recurrence() {
        let (lr, speed, div) = (0.1, 7.0, 96.0);
        let end = f64::exp(-speed);
        let limit = (lr / div - lr * end) / (1.0 - end);
        let mut rate = lr;
        for step in 0..150 {
            let ours = Decay::Exp.rate(lr, speed, div, &at(step));
            assert!((ours - rate).abs() < 1e-14, "step {step}: {ours} {rate}");
            rate = limit + (rate - limit) * (-speed * 0.03 / 4.0).exp();
        }
    }

    #[test]
    fn a_phase_without_end_keeps_its_rate() {
        for decay in [Decay::Linear, Decay::Exp, Decay::Constant] {
            for position in [
                Position { epochs: 0, ..at(7) },
                Position {
                    samples: 0,
                    ..at(7)
                },
            ] {
                assert_eq!(decay.rate(0.3, 7.0, 96.0, &position), 0.3);
            }
        }
    }
}
