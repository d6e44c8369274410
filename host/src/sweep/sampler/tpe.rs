//! The tree-structured Parzen estimator (Bergstra et al. 2011), all parameters together: trials are
//! divided into good and others, a density is put over each, and of several draws from the good one
//! that is taken whose quotient of both densities is largest.
//!
//! A tenth of the trials (at most 25) are good, as in Optuna. What misses bounds and what was given up
//! comes behind what did not; what failed counts among the others, so that it is avoided, and so does
//! what still runs.

use super::asked::{Past, Sampler};
use super::parzen::Parzen;
use super::random::Random;
use crate::search::draw::{Draw, Purpose};
use crate::sweep::plan::{Objective, Study};
use crate::sweep::rank::order;
use crate::sweep::space::{Assignment, Space};
use crate::{Error, Result};

/// The estimator.
pub struct Tpe {
    space: Space,
    random: Random,
    seed: u64,
    parallel: u64,
    startup: u64,
    candidates: u64,
    objectives: Vec<Objective>,
}

impl Tpe {
    /// For the parameters of `study`.
    #[must_use]
    pub fn new(study: &Study, startup: u64, candidates: u64) -> Self {
        Self {
            space: study.space.clone(),
            random: Random::new(study),
            seed: study.seed,
            parallel: study.parallel.max(1),
            startup,
            candidates,
            objectives: study.objectives.clone(),
        }
    }
}

impl Sampler for Tpe {
    fn needs(&self, number: u64) -> u64 {
        match number < self.startup {
            true => 0,
            false => (number + 1).saturating_sub(self.parallel),
        }
    }

    fn ask(&mut self, number: u64, past: &Past<'_>) -> Result<Option<Assignment>> {
        if number < self.startup || past.told.is_empty() {
            return Ok(Some(self.random.trial(number)));
        }
        let order = order(&self.objectives, past.told);
        let good = past.told.len().div_ceil(10).min(25);
        // Densities weigh by age, so trials go in by number.
        let mut is_good = vec![false; past.told.len()];
        order.iter().take(good).for_each(|i| is_good[*i] = true);
        let side = |good: bool| {
            let trials = past.told.iter().zip(&is_good);
            trials
                .filter(move |(_, g)| **g == good)
                .map(|(t, _)| &t.values)
        };
        let above = Parzen::new(&self.space, side(true).collect());
        let below = Parzen::new(&self.space, side(false).chain(past.pending).collect());
        let mut best: Option<(f64, Assignment)> = None;
        for candidate in 0..self.candidates {
            let mut draw = Draw::new(Purpose::Candidate, self.seed, number, candidate);
            let values = above.draw(&mut draw);
            let gain = above.ln_density(&values) - below.ln_density(&values);
            if best.as_ref().is_none_or(|(most, _)| gain > *most) {
                best = Some((gain, values));
            }
        }
        let best = best.ok_or_else(|| Error::internal("TPE compares no candidates"))?;
        Ok(Some(best.1))
    }
}
