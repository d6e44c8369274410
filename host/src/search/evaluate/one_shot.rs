//! Genotypes inside a trained supernet (Bender et al. 2018): each edge runs the genotype's candidate
//! alone, with the weights that the supernet's training left, and the accuracy on held-out samples is
//! the genotype's value. Nothing is trained.

use std::path::PathBuf;

use crate::data::feed::{Samples, TrainData};
use crate::nn::{Clock, Mixture, Mode, Network, Pass};
use crate::plan::Loss;
use crate::plan::define::words;
use crate::search::genotype::Genotype;
use crate::search::network::edge_table;
use crate::search::space::Space;
use crate::text::nearest;
use crate::train::criterion::Criterion;
use crate::train::evaluate::EVALUATION_BATCH;
use crate::{Error, Result};

words! {
    /// What norms of a supernet normalise by while a genotype is evaluated inside of it.
    pub enum Statistics = Fresh {
        /// By those of the batch: running ones are of all candidates mixed, not of this genotype.
        Fresh = "fresh",
        /// By the running ones that training left.
        Stale = "stale",
    }
}

/// A trained supernet.
pub struct OneShot {
    network: Network,
    data: TrainData,
}

/// Which supernet, once it was looked at.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its weights.
    pub checkpoint: PathBuf,
    /// The space that it was trained for.
    pub space: Space,
    /// Whole edges have weights.
    pub edge_weights: bool,
    /// An identity of the mixture stands beside the candidates.
    pub auxiliary_skip: bool,
}

impl OneShot {
    /// `network` with the weights of its training, and the data whose validation part decides.
    #[must_use]
    pub fn new(network: Network, data: TrainData) -> Self {
        Self { network, data }
    }

    /// The share of the validation part that is right under `mixture`.
    ///
    /// # Errors
    /// Usage error without a validation part; failures of data, rules and device.
    pub fn accuracy(&mut self, mixture: &Mixture, statistics: Statistics) -> Result<f64> {
        let samples = self.data.validation.as_ref().ok_or_else(|| {
            Error::usage("the data have no validation part").hint("set `data.validation = 0.2`")
        })?;
        // In training mode norms take the batch's statistics; the pass lets none be learned.
        self.network.set_mode(&match statistics {
            Statistics::Fresh => Mode {
                blocks: self.network.block_names(),
                drive: None,
            },
            Statistics::Stale => Mode::default(),
        });
        accuracy(&mut self.network, &**samples, mixture)
    }
}

/// The share of `samples` that is right under `mixture`, in the network's present mode; nothing of it
/// changes. Batches are of one size as near as can be, and each is spread over all samples, so that
/// statistics of a batch are not those of one class.
///
/// # Errors
/// Failures of data, rules and device.
pub fn accuracy(network: &mut Network, samples: &dyn Samples, mixture: &Mixture) -> Result<f64> {
    network.set_mixture(mixture)?;
    let like = network.tensors();
    let like = like
        .first()
        .map(|t| t.tensor.clone())
        .ok_or_else(|| Error::internal("a supernet without tensors"))?;
    let criterion = Criterion::from(Loss::CrossEntropy);
    let n = samples.len();
    let batches = n.div_ceil(EVALUATION_BATCH);
    let mut right = 0.0;
    for first in 0..batches {
        let indices: Vec<u32> = (first..n).step_by(batches).map(|i| i as u32).collect();
        let batch = samples.read(&indices)?;
        let x = batch.x.to_device(like.device())?.to_dtype(like.dtype())?;
        let mut pass = Pass::forward_only(Clock::default());
        let y = network.forward_all(&mut pass, &x)?.flatten_from(1)?;
        let scored = criterion.score(&y, &batch.answers.beside(&y)?)?;
        right += scored.sums.to_vec1::<f64>()?[1];
    }
    Ok(right / n.max(1) as f64)
}

impl Origin {
    /// The mixture in which each edge of `genotype` runs its candidate with weight 1, and the others
    /// run none.
    ///
    /// # Errors
    /// Usage error for a genotype that is not one of the supernet's space.
    pub fn mixture(&self, genotype: &Genotype) -> Result<Mixture> {
        alone(
            &self.space,
            genotype,
            self.edge_weights,
            self.auxiliary_skip,
        )
    }
}

/// See [`Origin::mixture`].
///
/// # Errors
/// As there.
pub fn alone(
    space: &Space,
    genotype: &Genotype,
    edge_weights: bool,
    auxiliary_skip: bool,
) -> Result<Mixture> {
    space.holds(genotype)?;
    let mut mixture = Mixture::default();
    let places = space.cell.places();
    let columns = space.candidates.len() + usize::from(auxiliary_skip);
    for kind in space.skeleton.cells() {
        let mut rows = vec![vec![0.0; columns]; places.len()];
        let mut edges = vec![vec![0.0]; places.len()];
        for edge in &genotype.cells[*kind].edges {
            let row = places
                .iter()
                .position(|p| (p.node, p.from) == (edge.node, edge.from));
            let (row, at) = row
                .zip(space.position(&edge.op))
                .ok_or_else(|| Error::internal("an edge that the space does not hold"))?;
            rows[row][at] = 1.0;
            edges[row][0] = 1.0;
        }
        mixture.tables.insert((*kind).to_owned(), rows);
        if edge_weights {
            mixture.tables.insert(edge_table(kind), edges);
        }
    }
    Ok(mixture)
}

impl Space {
    /// Refuses a genotype that is not one of this space.
    ///
    /// # Errors
    /// Usage error with the cell, the edge and the nearest candidate.
    pub fn holds(&self, genotype: &Genotype) -> Result<()> {
        if genotype.skeleton != self.skeleton {
            return Err(Error::usage(format!(
                "the genotype has cells of a network `{}`, and space `{}` those of `{}`",
                genotype.skeleton.word(),
                self.name,
                self.skeleton.word()
            ))
            .hint("take genotypes of one space"));
        }
        let end = self.cell.inputs + self.cell.nodes;
        for kind in self.skeleton.cells() {
            let Some(cell) = genotype.cells.get(*kind) else {
                return Err(Error::usage(format!("the genotype has no cell `{kind}`"))
                    .hint("take genotypes of one space"));
            };
            if cell.end() != end || cell.concat != self.cell.outputs() {
                return Err(Error::usage(format!(
                    "cell `{kind}` has {} intermediate nodes and the output {:?}, and those of space `{}` {} and {:?}",
                    cell.end().saturating_sub(self.cell.inputs),
                    cell.concat,
                    self.name,
                    self.cell.nodes,
                    self.cell.outputs()
                ))
                .hint("set `search.space.nodes`, or take genotypes of this space"));
            }
            for edge in &cell.edges {
                if self.position(&edge.op).is_some() {
                    continue;
                }
                let names: Vec<String> = self.candidates.iter().map(ToString::to_string).collect();
                let op = edge.op.to_string();
                let e = Error::usage(format!(
                    "cell `{kind}`, edge {} to {}: `{op}` is no candidate of space `{}`",
                    edge.from, edge.node, self.name
                ));
                return Err(match nearest(&op, names.iter().map(String::as_str)) {
                    Some(near) => e.hint(format!("the nearest is `{near}`")),
                    None => e.hint(format!("there are `{}`", names.join("`, `"))),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;

    #[test]
    fn a_genotype_alone_has_one_candidate_on_each_of_its_edges() {
        for (name, _) in sets::NAMES {
            let space = sets::named(name).expect(name);
            let genotype = space.random(2, 5);
            let mixture = alone(&space, &genotype, true, true).expect(name);
            for kind in space.skeleton.cells() {
                let rows = &mixture.tables[*kind];
                assert_eq!(rows.len(), space.edges());
                let sum: f64 = rows.iter().flatten().sum();
                assert_eq!(sum, genotype.cells[*kind].edges.len() as f64, "{name}");
                for (row, edge) in rows.iter().zip(&mixture.tables[&edge_table(kind)]) {
                    assert_eq!(row.len(), space.candidates.len() + 1);
                    assert_eq!(row.iter().sum::<f64>(), edge[0]);
                    assert_eq!(row[space.candidates.len()], 0.0);
                }
            }
        }
    }

    #[test]
    fn what_is_not_of_the_space_is_refused_with_its_place() {
        let space = sets::named("bionas").expect("a space");
        let own = space.random(0, 0);
        let refused = |genotype: &Genotype| space.holds(genotype).expect_err("refused");
        let other = sets::named("nasbench201").expect("a space").random(0, 0);
        assert!(refused(&other).text.contains("`nasbench201`"));
        let mut small = sets::named("bionas").expect("a space");
        small.cell.nodes = 3;
        assert!(refused(&small.random(0, 0)).text.contains("3 intermediate"));
        let mut foreign = own.clone();
        let edge = &mut foreign.cells.get_mut("reduce").expect("a cell").edges[1];
        edge.op = "sep_conv_3x3@feedback-alignment/fb".parse().expect("one");
        let says = refused(&foreign);
        assert!(says.text.contains("cell `reduce`, edge"), "{}", says.text);
        let hint = says.hint.unwrap_or_default();
        assert!(hint.contains("feedback-alignment/fa"), "{hint}");
        space.holds(&own).expect("its own");
    }
}
