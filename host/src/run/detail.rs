//! What a result holds beside its numbers: the scores of each class, and which epoch is the best
//! checkpoint.

use serde::{Deserialize, Serialize};

use crate::train::{Best, ClassScore};

/// How well one class is recognised on the test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassRecord {
    /// Its name, or its number where it has none.
    pub class: String,
    /// Samples of the class.
    pub samples: u64,
    /// Those that are classified correctly.
    pub right: u64,
    /// Share of these (recall); absent for a class without samples.
    pub accuracy: Option<f64>,
}

impl ClassRecord {
    /// That of each class, with its name from `name`.
    #[must_use]
    pub fn all(scores: &[ClassScore], name: impl Fn(u32) -> String) -> Vec<Self> {
        let one = |(class, score): (u32, &ClassScore)| Self {
            class: name(class),
            samples: score.samples,
            right: score.right,
            accuracy: score.accuracy(),
        };
        (0..).zip(scores).map(one).collect()
    }
}

/// The epoch whose weights are in `best.safetensors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestRecord {
    /// What decided, such as `validation/accuracy`.
    pub metric: String,
    /// The metric's value there.
    pub value: f64,
    /// Its phase.
    pub phase: String,
    /// Finished epochs of the phase.
    pub epoch: u64,
}

impl From<&Best> for BestRecord {
    fn from(best: &Best) -> Self {
        Self {
            metric: best.metric.clone(),
            value: best.value(),
            phase: best.phase.clone(),
            epoch: best.epoch,
        }
    }
}

impl BestRecord {
    /// Whether the test set decided, so that scores on it are better than they ought to be.
    #[must_use]
    pub fn chosen_on_test(&self) -> bool {
        self.metric.starts_with("test/")
    }

    /// As people read it.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = match self.phase.as_str() {
            "" => String::new(),
            phase => format!(" (`{phase}`, {})", self.epoch),
        };
        let text = format!("best.safetensors{place}: chosen by `{}`", self.metric);
        match self.chosen_on_test() {
            false => text,
            true => format!(
                "{text}, so its scores on the test set are too good (`data.validation` holds samples back to choose by)"
            ),
        }
    }
}
