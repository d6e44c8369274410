//! `[experiment]` of a configuration: where an experiment comes from and what was published of it.
//! Nothing of it decides results, so that it may change in a run that goes on.

use std::collections::BTreeMap;

use super::define::settings;

settings! {
    /// Where an experiment comes from, what was published of it and what it takes.
    pub struct ExperimentPlan at "experiment" {
        /// paper or project whose experiment this is, with the file where it has one
        #[serde(default)]
        source: Option<String>;
        /// figure, table or section of the source
        #[serde(default)]
        figure: Option<String>;
        /// results that the source gives
        #[serde(default)]
        published: Option<PublishedPlan>;
        /// time that one seed takes, estimated where `note` does not say that it was measured
        #[serde(default)]
        expected_hours: Option<f64>, range 0.0 => f64::INFINITY, unit "h";
        /// machine of `expected_hours`
        #[serde(default)]
        expected_on: Option<String>;
        /// what differs from the source, and what else to know
        #[serde(default)]
        note: Option<String>;
    }
}

settings! {
    /// Results that a source gives; accuracies from 0 to 1, as everywhere here.
    pub struct PublishedPlan at "experiment.published" {
        /// share of the test set that is classified correctly; an error of 14.23 % is 0.8577
        #[serde(default)]
        test_accuracy: Option<f64>, range 0.0 => 1.0;
        /// standard deviation of it over the source's seeds
        #[serde(default)]
        test_accuracy_deviation: Option<f64>, range 0.0 => 1.0;
        /// loss on the test set
        #[serde(default)]
        test_loss: Option<f64>, range 0.0 => f64::INFINITY;
        /// share of the validation part that is classified correctly
        #[serde(default)]
        validation_accuracy: Option<f64>, range 0.0 => 1.0;
        /// parameters of the network
        #[serde(default)]
        parameters: Option<u64>;
    }
}

impl Default for ExperimentPlan {
    /// One of which nothing is known.
    fn default() -> Self {
        Self {
            source: None,
            figure: None,
            published: None,
            expected_hours: None,
            expected_on: None,
            note: None,
        }
    }
}

impl PublishedPlan {
    /// The results by the names that those of a run have.
    #[must_use]
    pub fn results(&self) -> BTreeMap<String, f64> {
        let all = [
            ("test/accuracy", self.test_accuracy),
            ("test/loss", self.test_loss),
            ("validation/accuracy", self.validation_accuracy),
        ];
        named(&all)
    }

    /// Their deviations over seeds, by the same names.
    #[must_use]
    pub fn deviations(&self) -> BTreeMap<String, f64> {
        named(&[("test/accuracy", self.test_accuracy_deviation)])
    }
}

fn named(all: &[(&str, Option<f64>)]) -> BTreeMap<String, f64> {
    let found = all
        .iter()
        .filter_map(|(name, x)| Some(((*name).to_owned(), (*x)?)));
    found.collect()
}
