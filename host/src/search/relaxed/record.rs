//! What is told of the architecture after an epoch: entropy of the mixture, skips of the cell that
//! would be derived now, the mass of each operation and rule, and the parameters themselves.

use std::collections::BTreeMap;

use super::tables::Relaxed;
use crate::Result;
use crate::nn::Tables;
use crate::search::derive;
use crate::search::relax::entropy;
use crate::search::space::Operation;

/// Called with the number of finished epochs and the parameters.
pub type OnEpoch = dyn Fn(u64, &Tables) -> Result<()> + Send + Sync;

/// Tells of epochs.
pub struct Record<'a> {
    /// Who wants the parameters.
    pub on_epoch: Option<&'a OnEpoch>,
}

impl Record<'_> {
    /// Puts the numbers of an epoch into `metrics`; gives the skips of the first kind of cell.
    ///
    /// # Errors
    /// Those of whoever wants the parameters.
    pub fn epoch(
        &self,
        epoch: u64,
        relaxed: &Relaxed,
        alphas: &Tables,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<usize> {
        if let Some(tell) = self.on_epoch {
            tell(epoch, alphas)?;
        }
        let space = relaxed.space();
        let strengths = relaxed.strengths(alphas);
        let mut skips_of_first = None;
        let mut mass: BTreeMap<String, f64> = BTreeMap::new();
        let (mut rows_in_all, mut entropies) = (0.0, 0.0);
        for kind in space.skeleton.cells() {
            let rows = &strengths[*kind];
            for row in rows {
                let sum: f64 = row.iter().sum();
                // An edge that was left out has no mixture.
                if sum == 0.0 {
                    continue;
                }
                let shares: Vec<f64> = row.iter().map(|p| p / sum).collect();
                entropies += entropy(&shares);
                rows_in_all += 1.0;
                for (share, primitive) in shares.iter().zip(&space.candidates) {
                    *mass
                        .entry(format!("search/mass/{}", primitive.operation))
                        .or_default() += share;
                    if primitive.operation.has_slots() {
                        *mass
                            .entry(format!("search/mass/@{}", primitive.rule()))
                            .or_default() += share;
                    }
                }
            }
            let chosen = derive::strongest(space, rows)?;
            let is_skip =
                |c: &&derive::Chosen| space.candidates[c.candidate].operation == Operation::Skip;
            let skips = chosen.iter().filter(is_skip).count();
            skips_of_first.get_or_insert(skips);
            metrics.insert(format!("search/skips/{kind}"), skips as f64);
            let lead = chosen.iter().map(|c| c.lead).fold(f64::INFINITY, f64::min);
            metrics.insert(format!("search/lead/{kind}"), lead);
        }
        metrics.insert(
            "search/entropy".into(),
            entropies / f64::max(rows_in_all, 1.0),
        );
        metrics.extend(
            mass.into_iter()
                .map(|(name, sum)| (name, sum / rows_in_all)),
        );
        Ok(skips_of_first.unwrap_or(0))
    }
}
