//! Regularised evolution (Real et al. 2019): the oldest of a population dies, and the best of a
//! random sample has a changed copy.

use super::agenda::{Answer, Origin, Request, Scene, Strategy, at_least};
use crate::search::draw::{Draw, Purpose};
use crate::search::genotype::Genotype;
use crate::search::space::{Keep, Space};
use crate::{Error, Result};

/// Regularised evolution.
pub struct Evolution {
    scene: Scene,
    evaluations: u64,
    population: u64,
    sample: u64,
}

impl Evolution {
    /// `population` genotypes live at a time; a parent is the best of `sample` of them.
    ///
    /// # Errors
    /// Usage error for no evaluation, no population, or a sample that is not part of it.
    pub fn new(scene: Scene, evaluations: u64, population: u64, sample: u64) -> Result<Self> {
        at_least("evaluations", evaluations, 1)?;
        at_least("population", population, 1)?;
        at_least("sample", sample, 1)?;
        if sample > population {
            return Err(Error::usage(format!(
                "`sample` is {sample}, and the population {population}"
            ))
            .hint("a parent is chosen among a part of the population"));
        }
        Ok(Self {
            scene,
            evaluations,
            population,
            sample,
        })
    }
}

impl Strategy for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
    }

    fn next(&self, answers: &[Answer]) -> Result<Option<Request>> {
        let number = answers.len() as u64;
        if number >= self.evaluations {
            return Ok(None);
        }
        if number < self.population {
            return Ok(Some(self.scene.drawn(number)));
        }
        // The youngest live.
        let alive = &answers[answers.len() - self.population as usize..];
        let mut draw = Draw::new(Purpose::Parents, self.scene.seed, number, 0);
        // Who is drawn stays in the population and may be drawn again, as in the paper.
        let sample = (0..self.sample).map(|_| &alive[draw.below(alive.len())]);
        let parent = self
            .scene
            .best(sample)
            .ok_or_else(|| Error::internal("an empty population"))?;
        Ok(Some(Request {
            number,
            genotype: mutate(
                &self.scene.space,
                &parent.request.genotype,
                self.scene.seed,
                number,
            ),
            share: 1.0,
            origin: Origin::Child(parent.request.number),
        }))
    }

    fn requests(&self) -> u64 {
        self.evaluations
    }
}

/// A copy of `genotype` with one change: the primitive of an edge, or, where a cell does not have
/// all edges, its source. It is a function of `seed` and `number`, and never the same genotype
/// where the space has another.
#[must_use]
pub fn mutate(space: &Space, genotype: &Genotype, seed: u64, number: u64) -> Genotype {
    let mut draw = Draw::new(Purpose::Mutation, seed, number, 0);
    let mut child = genotype.clone();
    child.name.clear();
    let kinds = space.skeleton.cells();
    let kind = kinds[draw.below(kinds.len())];
    let Some(cell) = child.cells.get_mut(kind) else {
        return child;
    };
    let at = draw.below(cell.edges.len());
    let node = cell.edges[at].node;
    let taken: Vec<usize> = cell.at(node).map(|e| e.from).collect();
    let sources: Vec<usize> = (0..node).filter(|from| !taken.contains(from)).collect();
    let moves = space.cell.keep != Keep::All && !sources.is_empty();
    let others: Vec<_> = space
        .choices()
        .into_iter()
        .filter(|p| **p != cell.edges[at].op)
        .collect();
    // Real et al. change an operation or a source with the same chance.
    let source = moves && (others.is_empty() || draw.below(2) == 0);
    let edge = &mut cell.edges[at];
    if source {
        edge.from = sources[draw.below(sources.len())];
    } else if !others.is_empty() {
        edge.op = others[draw.below(others.len())].clone();
    }
    child
}
