//! Successive halving (Jamieson and Talwalkar 2016): many genotypes are trained a little, the
//! best part of them longer, and so on.

use super::agenda::{Answer, Origin, Request, Scene, Strategy, at_least};
use crate::search::pareto::score;
use crate::{Error, Result};

/// Successive halving.
pub struct Halving {
    scene: Scene,
    /// Genotypes of each rung and the share of a whole training that each is worth.
    rungs: Vec<(u64, f64)>,
}

impl Halving {
    /// `genotypes` start; of each rung one in `keep` goes on, with `keep` times the training, until
    /// one is left, which has all of it.
    ///
    /// # Errors
    /// Usage error for no genotype, or a `keep` below 2.
    pub fn new(scene: Scene, genotypes: u64, keep: u64) -> Result<Self> {
        at_least("genotypes", genotypes, 1)?;
        at_least("keep", keep, 2)?;
        let mut counts = vec![genotypes];
        while let Some(last) = counts.last().copied().filter(|n| *n > 1) {
            counts.push((last / keep).max(1));
        }
        let last = counts.len() - 1;
        let share = |rung: usize| (keep as f64).powi(-((last - rung) as i32));
        let rungs = counts.iter().enumerate().map(|(i, n)| (*n, share(i)));
        Ok(Self {
            scene,
            rungs: rungs.collect(),
        })
    }

    /// Genotypes of each rung and the share of a whole training that each is worth.
    #[must_use]
    pub fn rungs(&self) -> &[(u64, f64)] {
        &self.rungs
    }
}

impl Strategy for Halving {
    fn name(&self) -> &'static str {
        "halving"
    }

    fn next(&self, answers: &[Answer]) -> Result<Option<Request>> {
        let number = answers.len() as u64;
        let mut start = 0;
        let mut before: Option<(u64, u64)> = None;
        for (count, share) in &self.rungs {
            if number < start + count {
                let Some((first, end)) = before else {
                    let mut request = self.scene.drawn(number);
                    request.share = *share;
                    return Ok(Some(request));
                };
                let mut rung: Vec<&Answer> = answers[first as usize..end as usize].iter().collect();
                let own = |a: &Answer| score(&self.scene.goals, &a.values);
                // Stable: of equal ones the earlier goes on.
                rung.sort_by(|a, b| {
                    let (a, b) = (own(a), own(b));
                    b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
                });
                let parent = rung
                    .get((number - start) as usize)
                    .ok_or_else(|| Error::internal("a rung with too few answers"))?;
                return Ok(Some(Request {
                    number,
                    genotype: parent.request.genotype.clone(),
                    share: *share,
                    origin: Origin::Kept(parent.request.number),
                }));
            }
            before = Some((start, start + count));
            start += count;
        }
        Ok(None)
    }

    fn requests(&self) -> u64 {
        self.rungs.iter().map(|(count, _)| count).sum()
    }
}
