//! Names of what an epoch measures on a part of the data: `train/loss`, `validation/accuracy`,
//! `test/balanced_accuracy`. Stop rules and the choice of the best checkpoint go by them; which
//! way is better follows from the name.

use std::fmt;

use super::{Direction, Drive, PhasePlan, StopPlan};

/// Names of the metrics that the rules of each block report, with the block's name.
pub type RuleMetrics = Vec<(String, Vec<String>)>;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Mean loss.
    Loss,
    /// Share of samples that are classified correctly.
    Accuracy,
    /// Mean over the classes of the share that is classified correctly.
    BalancedAccuracy,
}

impl Measure {
    const ALL: [Self; 3] = [Self::Loss, Self::Accuracy, Self::BalancedAccuracy];

    fn word(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
        }
    }
}

/// The part of the data that is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Training samples, while they are learned from.
    Train,
    /// `data.validation`.
    Validation,
    /// The test set.
    Test,
}

impl Part {
    const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// What is evaluated between epochs, by whether samples are held back for validation.
    #[must_use]
    pub fn held_out(validation: bool) -> Self {
        if validation {
            Self::Validation
        } else {
            Self::Test
        }
    }
}

/// A measure on a part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochMetric {
    /// On what.
    pub part: Part,
    /// What.
    pub measure: Measure,
}

impl EpochMetric {
    /// The metric that `name` stands for; `None` for other names, such as those of rules.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (part, measure) = name.split_once('/')?;
        Some(Self {
            part: Part::ALL.into_iter().find(|p| p.word() == part)?,
            measure: Measure::ALL.into_iter().find(|m| m.word() == measure)?,
        })
    }

    /// Which way is better.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self.measure {
            Measure::Loss => Direction::Min,
            Measure::Accuracy | Measure::BalancedAccuracy => Direction::Max,
        }
    }

    /// What decides on the best checkpoint where the plan does not say: the accuracy on what is
    /// evaluated between epochs, or for regression the loss.
    #[must_use]
    pub fn usual(validation: bool, classes: bool) -> Self {
        Self {
            part: Part::held_out(validation),
            measure: if classes {
                Measure::Accuracy
            } else {
                Measure::Loss
            },
        }
    }

    /// Everything that `phase` measures, by whether samples are held back for validation and
    /// whether the answers are classes.
    #[must_use]
    pub fn of_phase(phase: &PhasePlan, validation: bool, classes: bool) -> Vec<Self> {
        let mut out = Vec::new();
        let mut add = |part, measures: &[Measure]| {
            let measures = measures.iter().filter(|m| classes || **m == Measure::Loss);
            out.extend(measures.map(|measure| Self {
                part,
                measure: *measure,
            }));
        };
        if phase.drive != Drive::Local {
            add(Part::Train, &[Measure::Loss, Measure::Accuracy]);
        }
        if phase.evaluate_every > 0 {
            add(Part::held_out(validation), &Measure::ALL);
        }
        out
    }
}

impl fmt::Display for EpochMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part.word(), self.measure.word())
    }
}

impl StopPlan {
    /// The epoch's metric that the rule goes by; `None` where learning rules report it.
    #[must_use]
    pub fn epoch_metric(&self) -> Option<EpochMetric> {
        EpochMetric::parse(&self.metric)
    }

    /// Which way the metric gets better: as the plan says, else by its name. What rules report
    /// is taken to fall.
    #[must_use]
    pub fn direction(&self) -> Direction {
        let usual = || {
            self.epoch_metric()
                .map_or(Direction::Min, EpochMetric::direction)
        };
        self.mode.unwrap_or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_others_are_not() {
        for part in Part::ALL {
            for measure in Measure::ALL {
                let metric = EpochMetric { part, measure };
                assert_eq!(EpochMetric::parse(&metric.to_string()), Some(metric));
            }
        }
        for other in ["convergence", "conv1/loss", "test/", "test", "test/Loss"] {
            assert_eq!(EpochMetric::parse(other), None, "{other}");
        }
    }

    #[test]
    fn accuracies_rise_and_losses_fall() {
        let direction = |name| EpochMetric::parse(name).map(EpochMetric::direction);
        assert_eq!(direction("validation/loss"), Some(Direction::Min));
        assert_eq!(direction("test/accuracy"), Some(Direction::Max));
        assert_eq!(direction("test/balanced_accuracy"), Some(Direction::Max));
    }
}
