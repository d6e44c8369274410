//! How far values that cost no training rank genotypes as their accuracies after training do.

use serde::Serialize;

use super::score::Scores;
use super::task::{Found, Search};
use super::values::counts;
use crate::run::SearchFolder;
use crate::run::search_folder::EvaluationRecord;
use crate::search::evaluate::Statistics;
use crate::search::pareto::Objective;
use crate::search::rank::{By, RankPlan, by_chance, kendall};
use crate::search::strategy::Answer;
use crate::text::table;
use crate::{Error, Result};

/// `rank.json`.
#[derive(Debug, Serialize)]
struct Ranking {
    schema_version: u64,
    /// Genotypes that were compared, each once.
    genotypes: usize,
    /// Those whose training did not diverge.
    trained: usize,
    /// The |τ| that 1 in 20 unrelated rankings of so many exceeds.
    by_chance: f64,
    /// Mean accuracy after training.
    mean_accuracy: f64,
    /// What each value comes to.
    values: Vec<Compared>,
    /// The supernet, what was derived from it, and how much of its accuracy that keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    supernet: Option<Derived>,
}

#[derive(Debug, Serialize)]
struct Compared {
    by: By,
    /// Kendall's τ-b with the accuracy after training; absent where one says the same of all.
    tau: Option<f64>,
    /// Pairs of values.
    samples: usize,
    /// Mean of the values.
    mean: f64,
}

/// The supernet of a comparison.
#[derive(Debug, Serialize)]
struct Derived {
    run: String,
    /// SHA-256 of the genotype that was derived from it.
    hash: String,
    /// Accuracy under the mixture of its last architecture parameters, by the batches' statistics and
    /// by the running ones.
    mixed: [f64; 2],
    /// Of the derived genotype alone, inside of it.
    inside: [f64; 2],
    /// Of the derived genotype's network after training, in the search that derived it.
    trained: Option<f64>,
}

impl Search<'_> {
    /// Values the genotypes of `found` as `plan` says, writes `rank.csv` and `rank.json`, and gives
    /// what the last screen has of it.
    ///
    /// # Errors
    /// Those of the values; [`crate::ExitCode::Stopped`] on request; storage errors.
    pub(super) fn rank(
        &self,
        folder: &SearchFolder,
        found: &Found,
        plan: &RankPlan,
    ) -> Result<String> {
        let pattern = self.pattern.as_ref();
        let pattern = pattern.ok_or_else(|| Error::internal("a ranking without trainings"))?;
        let shape = self.host.dataset(&pattern.plan.data)?;
        let shape = shape.ok_or_else(|| Error::internal("data without a shape"))?;
        let accuracy = self
            .scene
            .goals
            .iter()
            .position(|g| g.objective == Objective::Accuracy);
        let accuracy = accuracy.ok_or_else(|| {
            Error::usage("`search.rank` compares accuracies, which are no objective of this search")
                .hint("add `accuracy` to `search.objectives`")
        })?;
        let answers = once(&found.answers);
        let scores = Scores::read(folder.path());
        let mut columns: Vec<Vec<f64>> = plan.by.iter().map(|_| Vec::new()).collect();
        for (i, answer) in answers.iter().enumerate() {
            let genotype = &answer.request.genotype;
            let counts = counts(genotype, &self.config.size, &shape)?;
            for (by, column) in plan.by.iter().zip(&mut columns) {
                self.go_on(folder)?;
                let (value, new) = self.value_by(&scores, *by, genotype, (&shape, &counts))?;
                if new && by.is_of_supernet() {
                    let (n, all) = (i + 1, answers.len());
                    self.note(&format!("genotype {n} of {all}: {} {value:.4}", by.word()));
                }
                column.push(value);
            }
        }
        let trained: Vec<f64> = answers.iter().map(|a| a.values[accuracy]).collect();
        let compared = |(by, column): (&By, &Vec<f64>)| {
            let agreement = kendall(column, &trained);
            Compared {
                by: *by,
                tau: agreement.tau,
                samples: agreement.samples,
                mean: mean(column),
            }
        };
        let valid = trained.iter().filter(|v| v.is_finite()).count();
        let ranking = Ranking {
            schema_version: 1,
            genotypes: answers.len(),
            trained: valid,
            by_chance: if valid > 1 { by_chance(valid) } else { 1.0 },
            mean_accuracy: mean(&trained),
            values: plan.by.iter().zip(&columns).map(compared).collect(),
            supernet: self.derived(plan)?,
        };
        let text = serde_json::to_string_pretty(&ranking)
            .map_err(|e| Error::internal(format!("rank.json: {e}")))?;
        folder.write_file("rank.csv", &csv(&answers, &trained, &plan.by, &columns)?)?;
        folder.write_file("rank.json", &format!("{text}\n"))?;
        Ok(screen(&ranking))
    }

    /// What the supernet and the genotype derived from it come to.
    fn derived(&self, plan: &RankPlan) -> Result<Option<Derived>> {
        let (Some(run), Some(inside)) = (&plan.supernet, &self.inside) else {
            return Ok(None);
        };
        let host = &*self.host;
        let file = inside.root.join("genotype.json");
        // A search that was stopped behind its supernet has derived none.
        if !file.is_file() {
            return Ok(None);
        }
        let genotype = crate::search::Genotype::open(&file.display().to_string())?;
        let both = |of: &dyn Fn(Statistics) -> Result<f64>| {
            Ok::<_, Error>([of(Statistics::Fresh)?, of(Statistics::Stale)?])
        };
        Ok(Some(Derived {
            run: run.clone(),
            hash: genotype.hash(),
            mixed: both(&|statistics| inside.mixed(statistics, host))?,
            inside: both(&|statistics| inside.accuracy(&genotype, statistics, host))?,
            trained: trained_alone(inside.root.as_path(), &genotype.hash()),
        }))
    }
}

/// The accuracy after training that the search in `root` found for the genotype `hash`.
fn trained_alone(root: &std::path::Path, hash: &str) -> Option<f64> {
    let text = std::fs::read_to_string(root.join("evaluations.jsonl")).ok()?;
    let lines = text.lines().map(serde_json::from_str::<EvaluationRecord>);
    let found = lines.map_while(|l| l.ok()).find(|r| r.hash == hash)?;
    found
        .values
        .get(Objective::Accuracy.name())
        .copied()
        .flatten()
}

/// The answers to whole trainings, each genotype once.
fn once(answers: &[Answer]) -> Vec<&Answer> {
    let longest = answers.iter().map(|a| a.request.share).fold(0.0, f64::max);
    let mut seen = std::collections::BTreeSet::new();
    let whole = answers.iter().filter(|a| a.request.share >= longest);
    whole
        .filter(|a| seen.insert(a.request.genotype.hash()))
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    finite.iter().sum::<f64>() / finite.len().max(1) as f64
}

/// A line for each genotype.
fn csv(answers: &[&Answer], trained: &[f64], by: &[By], columns: &[Vec<f64>]) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("rank.csv: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = by.iter().map(|by| by.word());
    let head: Vec<&str> = ["number", "hash", "trained"]
        .into_iter()
        .chain(names)
        .collect();
    writer.write_record(&head).map_err(|e| failed(&e))?;
    for (i, answer) in answers.iter().enumerate() {
        let mut row = vec![
            answer.request.number.to_string(),
            answer.request.genotype.hash(),
            trained[i].to_string(),
        ];
        row.extend(columns.iter().map(|column| column[i].to_string()));
        writer.write_record(&row).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

fn screen(ranking: &Ranking) -> String {
    let percent = |v: f64| format!("{:.2} %", 100.0 * v);
    let mut shown = table(&["value", "Kendall's τ", "genotypes", "mean"]);
    for one in &ranking.values {
        let mean = match one.by.is_of_supernet() {
            true => percent(one.mean),
            false if one.by == By::Synflow => format!("{:.2}", one.mean),
            false => super::super::genotype::grouped(one.mean as u64),
        };
        shown.add_row(vec![
            one.by.word().to_owned(),
            one.tau
                .map_or("– (all equal)".to_owned(), |t| format!("{t:+.3}")),
            one.samples.to_string(),
            mean,
        ]);
    }
    let mut text = format!(
        "against the accuracy after training (mean {}, {} of {} genotypes trained):\n{shown}\n\
         of unrelated rankings 1 in 20 has a τ beyond ±{:.2}\n",
        percent(ranking.mean_accuracy),
        ranking.trained,
        ranking.genotypes,
        ranking.by_chance
    );
    if let Some(derived) = &ranking.supernet {
        let mut drop = table(&["supernet", "statistics of batches", "running statistics"]);
        let row = |what: &str, [fresh, stale]: [f64; 2]| {
            vec![what.to_owned(), percent(fresh), percent(stale)]
        };
        drop.add_row(row("all candidates, as mixed at the end", derived.mixed));
        drop.add_row(row("the derived genotype inside of it", derived.inside));
        let lost = [0, 1].map(|i| derived.mixed[i] - derived.inside[i]);
        drop.add_row(row("lost by deriving", lost));
        text.push_str(&format!("\n{drop}\n"));
        match derived.trained {
            Some(accuracy) => text.push_str(&format!(
                "the derived genotype {} after training: {}\n",
                &derived.hash[..8],
                percent(accuracy)
            )),
            None => text.push_str(&format!(
                "the derived genotype {} has no accuracy after training\n",
                &derived.hash[..8]
            )),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;
    use crate::search::strategy::{Origin, Request};

    #[test]
    fn a_genotype_counts_once_and_only_after_a_whole_training() {
        let space = sets::named("darts").expect("a space");
        let answer = |number, drawn, share| Answer {
            request: Request {
                number,
                genotype: space.random(0, drawn),
                share,
                origin: Origin::Drawn,
            },
            values: vec![number as f64],
        };
        let all = [
            answer(0, 0, 0.5),
            answer(1, 0, 1.0),
            answer(2, 1, 1.0),
            answer(3, 0, 1.0),
        ];
        let numbers: Vec<u64> = once(&all).iter().map(|a| a.request.number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn what_has_no_value_is_in_no_mean() {
        assert_eq!(mean(&[1.0, f64::NAN, 3.0]), 2.0);
        assert_eq!(mean(&[]), 0.0);
    }
}
