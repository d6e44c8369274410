//! What the training of a supernet takes.

use std::path::Path;

use super::spent::{History, Used};
use super::task::Search;
use crate::run::search_folder::Spent;
use crate::search::Space;
use crate::search::network::Counts;
use crate::search::plan::SupernetPlan;
use crate::search::relaxed::{self, Method, RelaxedPlan};
use crate::{Error, Result};

impl Search<'_> {
    /// What the supernet in `supernet` of the search in `root` took; `used` is what this process spent on
    /// it, `before` what an earlier one wrote down.
    ///
    /// # Errors
    /// Storage error for files of the run that cannot be read.
    pub(super) fn supernet_spent(
        &self,
        root: &Path,
        (relaxed, plan): (&RelaxedPlan, &SupernetPlan),
        used: Option<Used>,
        before: Option<Spent>,
    ) -> Result<Spent> {
        let history = History::read(&root.join("supernet"))?;
        let (cpu_seconds, peak_memory_mib) = match (used, before) {
            (Some(used), _) => used,
            (None, Some(before)) => (before.cpu_seconds, before.peak_memory_mib),
            (None, None) => (None, None),
        };
        let samples = history.steps() as f64 * plan.batch as f64;
        Ok(Spent {
            seconds: history.seconds,
            cpu_seconds,
            multiply_adds: self.supernet_products(relaxed, plan, samples)?,
            peak_memory_mib,
        })
    }

    /// Products of a supernet that has learned from `samples`, with those of its architecture.
    fn supernet_products(
        &self,
        relaxed: &RelaxedPlan,
        plan: &SupernetPlan,
        samples: f64,
    ) -> Result<f64> {
        let space = plan.space(&self.scene.space)?;
        let size = plan.size(&self.config.size);
        let pattern = self.pattern.as_ref();
        let data = pattern
            .map(|p| self.host.dataset(&p.plan.data))
            .transpose()?;
        let data = data
            .flatten()
            .ok_or_else(|| Error::internal("data without a shape"))?;
        let products = |space: &Space| -> Result<f64> {
            let blocks = relaxed::blocks(relaxed, space, &size)?;
            Ok(Counts::of(&blocks, &data)?.multiply_adds as f64)
        };
        let whole = products(&space)?;
        let one = match relaxed.method {
            Method::Gdas { .. } => drawn(&space, whole, &products)?,
            _ => whole,
        };
        // While a derivation by perturbation tunes, the architecture stays as it is.
        let epochs = relaxed.perturb.map_or(plan.epochs, |p| p.epochs(&space));
        let explored = plan.epochs.saturating_sub(relaxed.warmup_epochs) as f64;
        let learning = explored / epochs.max(1) as f64;
        Ok(one * samples * passes(relaxed, learning)
            + match relaxed.method {
                Method::Explore(explore) => {
                    let individuals = (explore.population as u64 * explore.generations) as f64;
                    // The point itself, each individual, and the winner again.
                    let forward = explore.rounds as f64 * (individuals + 2.0);
                    whole * plan.batch as f64 * forward * explored
                }
                _ => 0.0,
            })
    }
}

/// Products of a path with one drawn candidate on each edge, all as likely as another; `whole` is those
/// of all candidates, and `products` gives those of another space.
fn drawn(space: &Space, whole: f64, products: &dyn Fn(&Space) -> Result<f64>) -> Result<f64> {
    let some = space.choices();
    if some.len() < 2 {
        return Ok(whole);
    }
    let mut sum = 0.0;
    for candidate in &some {
        let mut single = space.clone();
        single.candidates = vec![(*candidate).clone()];
        sum += products(&single)?;
    }
    // Each of these has what stands around the edges, and together they have all candidates.
    let around = (sum - whole) / (some.len() - 1) as f64;
    Ok(around + (whole - around) / space.candidates.len() as f64)
}

/// Forward passes' worth of products for each sample of the weights: a forward pass is one, a gradient
/// by input and by weights one each, and what is computed again in a backward pass another.
fn passes(relaxed: &RelaxedPlan, learning: f64) -> f64 {
    let again = if relaxed.recompute { 1.0 } else { 0.0 };
    let weights = 3.0 + again;
    // The gradient of the architecture has none by weights.
    let architecture = 2.0 + again;
    weights
        + learning
            * match relaxed.method {
                Method::FirstOrder | Method::Gdas { .. } => architecture,
                // A step of the weights, their gradient after it, and two differences.
                Method::SecondOrder => 2.0 * weights + 2.0 * architecture,
                Method::Explore(_) => 0.0,
            }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_path_has_one_candidate_of_each_edge() {
        let space = crate::search::space::sets::named("darts").expect("a space");
        // Around the edges 100; the candidates, in order, 0, 1, 2 … products.
        let of = |space: &Space| -> Result<f64> {
            let all = crate::search::space::sets::named("darts")?.candidates;
            let at = |p| all.iter().position(|q| q == p).unwrap_or(0) as f64;
            Ok(100.0 + space.candidates.iter().map(at).sum::<f64>())
        };
        let whole = of(&space).expect("products");
        let one = drawn(&space, whole, &of).expect("products");
        assert!((one - (100.0 + 28.0 / 8.0)).abs() < 1e-9, "{one}");
    }

    #[test]
    fn each_way_to_learn_has_its_passes() {
        let mut plan = RelaxedPlan::darts("architecture");
        plan.recompute = false;
        assert_eq!(passes(&plan, 1.0), 5.0);
        assert_eq!(passes(&plan, 0.0), 3.0);
        plan.method = Method::SecondOrder;
        assert_eq!(passes(&plan, 1.0), 13.0);
        plan.recompute = true;
        assert_eq!(passes(&plan, 0.5), 4.0 + 0.5 * 14.0);
    }
}
