//! Trainings after a search, compared on the test set: the winner's, and those of genotypes that were
//! not searched. They decide nothing.

use std::path::Path;

use super::task::Search;
use crate::Result;
use crate::run::SearchFolder;
use crate::run::folder;
use crate::run::identity::RunRecord;
use crate::run::search_folder::TrainedRecord;
use crate::search::Genotype;

/// Random genotypes are drawn from this number on, which no request has.
const FIRST: u64 = 1 << 40;

impl Search<'_> {
    /// Trains what the plan asks for, or reads what is trained already.
    ///
    /// # Errors
    /// Those of a training, but for divergence.
    pub(super) fn finals(
        &self,
        folder: &SearchFolder,
        winner: &Genotype,
    ) -> Result<Vec<TrainedRecord>> {
        let Some(plan) = &self.config.plan.final_training else {
            return Ok(Vec::new());
        };
        let (space, seed) = (&self.scene.space, self.scene.seed);
        let mut list = vec![("winner".to_owned(), winner.clone())];
        for i in 0..plan.random {
            list.push((format!("random-{i}"), space.random(seed, FIRST + i)));
        }
        for i in 0..plan.random_rules {
            let drawn = space.random_rules(winner, seed, FIRST + i);
            list.push((format!("random-rules-{i}"), drawn));
        }
        let root = folder.path();
        let mut trained = Vec::new();
        for (name, genotype) in list {
            self.go_on(folder)?;
            let place = root.join("final").join(&name);
            if !folder::has_ended(&place) {
                let named = format!("final-{name}");
                let resolved = self.config.evaluation(&genotype, &named, &*self.host)?;
                // Not the seed under which the winner was the best.
                let resolved = resolved
                    .with_share(plan.epochs)
                    .with_seed(seed.wrapping_add(1) & i64::MAX as u64);
                self.train(resolved, &genotype, &place, root)?;
            }
            let record = TrainedRecord {
                hash: genotype.hash(),
                test_accuracy: test_accuracy(&place)?,
                name,
            };
            let shown = record.test_accuracy;
            let shown = shown.map_or("diverged".to_owned(), |a| format!("{:.2} %", 100.0 * a));
            self.note(&format!(
                "final training {:<16} {shown} on the test set",
                record.name
            ));
            trained.push(record);
        }
        Ok(trained)
    }
}

fn test_accuracy(folder: &Path) -> Result<Option<f64>> {
    let record = RunRecord::read(&folder.join("run.json"))?;
    Ok(record.results.get("test/accuracy").copied())
}
