//! Architecture parameters as tables, the weights of candidates that they become, and the way back
//! for gradients: one table for each kind of cell, a row for each place, a number for each
//! candidate; with edge weights (Xu et al. 2020, PC-DARTS) a further table with a number for each
//! place.

use super::plan::RelaxedPlan;
use crate::nn::{Mixture, Tables};
use crate::search::derive::Perturbed;
use crate::search::draw::{Draw, Purpose};
use crate::search::network::edge_table;
use crate::search::relax::{Drawn, Relaxation, softmax, softmax_product};
use crate::search::space::Space;

/// Deviation of the first parameters (Liu et al. 2019).
const START: f64 = 1e-3;

/// How the parameters of a space become weights.
#[derive(Clone, Debug)]
pub struct Relaxed {
    space: Space,
    relaxation: Relaxation,
    edge_weights: bool,
    /// Weight of the identity beside the mixture of each edge, where there is one.
    auxiliary: Option<f64>,
    /// What of the cells no longer depends on parameters.
    decided: Perturbed,
}

impl Relaxed {
    /// Those of `space`, with weights of whole edges where `edge_weights`.
    #[must_use]
    pub fn new(space: Space, relaxation: Relaxation, edge_weights: bool) -> Self {
        Self {
            space,
            relaxation,
            edge_weights,
            auxiliary: None,
            decided: Perturbed::default(),
        }
    }

    /// Those of a search by `plan` in `space`, at its end: the identity beside mixtures has no weight.
    #[must_use]
    pub fn of(plan: &RelaxedPlan, space: &Space) -> Self {
        Self {
            auxiliary: (plan.auxiliary_skip > 0.0).then_some(0.0),
            ..Self::new(space.clone(), plan.relaxation(), plan.edge_weights)
        }
    }

    /// Gives the identity beside mixtures, where there is one, the weight `weight`.
    pub fn set_auxiliary(&mut self, weight: f64) {
        self.auxiliary = self.auxiliary.map(|_| weight);
    }

    /// The weight of the identity beside mixtures.
    #[must_use]
    pub fn auxiliary(&self) -> Option<f64> {
        self.auxiliary
    }

    /// Takes over what was decided: its edges run one candidate with weight 1, or none.
    pub fn decide(&mut self, decided: Perturbed) {
        self.decided = decided;
    }

    /// The weights of row `row` of cell `kind` that was decided on.
    fn decided(&self, kind: &str, row: usize) -> Option<Vec<f64>> {
        let stays = *self.decided.fixed.get(kind)?.get(&row)?;
        let dropped = self.decided.dropped.get(kind);
        let mut weights = vec![0.0; self.space.candidates.len()];
        if !dropped.is_some_and(|rows| rows.contains(&row)) {
            weights[stays] = 1.0;
        }
        Some(weights)
    }

    /// `tables` with the weight of the identity at the end of each row of candidates.
    fn with_auxiliary(&self, mut tables: Tables) -> Mixture {
        if let Some(weight) = self.auxiliary {
            for kind in self.space.skeleton.cells() {
                let rows = tables.get_mut(*kind).into_iter().flatten();
                rows.for_each(|row| row.push(weight));
            }
        }
        Mixture { tables }
    }

    /// The numbers of `row` that belong to candidates.
    fn own<'a>(&self, row: &'a [f64]) -> &'a [f64] {
        &row[..row.len().min(self.space.candidates.len())]
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The first parameters: normal numbers of deviation 0.001, keyed by the seed.
    #[must_use]
    pub fn start(&self, seed: u64) -> Tables {
        let mut out = Tables::new();
        for (cell, kind) in self.space.skeleton.cells().iter().enumerate() {
            let mut draw = Draw::new(Purpose::Alphas, seed, cell as u64, 0);
            let mut rows = |columns: usize| -> Vec<Vec<f64>> {
                let places = 0..self.space.edges();
                places
                    .map(|_| (0..columns).map(|_| START * draw.normal()).collect())
                    .collect()
            };
            out.insert((*kind).to_owned(), rows(self.space.candidates.len()));
            if self.edge_weights {
                out.insert(edge_table(kind), rows(1));
            }
        }
        out
    }

    /// The weights that `alphas` stand for.
    #[must_use]
    pub fn mixture(&self, alphas: &Tables) -> Mixture {
        self.with_auxiliary(self.weights(alphas))
    }

    /// Those of candidates and edges alone.
    fn weights(&self, alphas: &Tables) -> Tables {
        let mut tables = Tables::new();
        for kind in self.space.skeleton.cells() {
            let rows = alphas[*kind].iter().enumerate();
            let rows = rows.map(|(row, alpha)| {
                let decided = self.decided(kind, row);
                decided.unwrap_or_else(|| self.relaxation.weights(alpha))
            });
            tables.insert((*kind).to_owned(), rows.collect());
            self.edges(kind, &mut tables, alphas, |betas, _| softmax(betas));
        }
        tables
    }

    /// The derivatives by the parameters from those by the weights `mixture`.
    #[must_use]
    pub fn gradient(&self, mixture: &Mixture, by_weight: &Tables) -> Tables {
        let mut out = Tables::new();
        for kind in self.space.skeleton.cells() {
            let rows = mixture.tables[*kind].iter().zip(&by_weight[*kind]);
            let rows = rows.map(|(p, g)| self.relaxation.product(self.own(p), self.own(g)));
            out.insert((*kind).to_owned(), rows.collect());
            self.edge_gradient(kind, &mut out, mixture, by_weight);
        }
        out
    }

    /// One candidate drawn for each place (GDAS): the weights, 1 or 0, and the draws. They are a
    /// function of `seed` and `number`.
    #[must_use]
    pub fn drawn(
        &self,
        alphas: &Tables,
        temperature: f64,
        seed: u64,
        number: u64,
    ) -> (Mixture, Draws) {
        let (mut tables, mut draws) = (Tables::new(), Draws::new());
        for (cell, kind) in self.space.skeleton.cells().iter().enumerate() {
            let mut draw = Draw::new(Purpose::Noise, seed, number, cell as u64);
            let rows = alphas[*kind].iter().map(|alpha| {
                let noise: Vec<f64> = alpha.iter().map(|_| draw.gumbel()).collect();
                Drawn::new(alpha, &noise, temperature)
            });
            let rows: Vec<Drawn> = rows.collect();
            let one = |(row, d): (usize, &Drawn)| {
                let chosen = |k| if k == d.chosen { 1.0 } else { 0.0 };
                let decided = self.decided(kind, row);
                decided.unwrap_or_else(|| (0..d.soft.len()).map(chosen).collect())
            };
            let weights = rows.iter().enumerate().map(one).collect();
            tables.insert((*kind).to_owned(), weights);
            self.edges(kind, &mut tables, alphas, |betas, _| softmax(betas));
            draws.push(rows);
        }
        (self.with_auxiliary(tables), draws)
    }

    /// The derivatives by the parameters from those by the weights of `draws`.
    #[must_use]
    pub fn drawn_gradient(&self, draws: &Draws, mixture: &Mixture, by_weight: &Tables) -> Tables {
        let mut out = Tables::new();
        for (kind, drawn) in self.space.skeleton.cells().iter().zip(draws) {
            let rows = drawn.iter().zip(&by_weight[*kind]).enumerate();
            let rows = rows.map(|(row, (d, g))| match self.decided(kind, row) {
                Some(_) => vec![0.0; d.soft.len()],
                None => d.product(self.own(g)),
            });
            out.insert((*kind).to_owned(), rows.collect());
            self.edge_gradient(kind, &mut out, mixture, by_weight);
        }
        out
    }

    fn edge_gradient(&self, kind: &str, out: &mut Tables, mixture: &Mixture, by_weight: &Tables) {
        self.edges(kind, out, by_weight, |gradient, range| {
            let weights = &mixture.tables[&edge_table(kind)][range];
            let weights: Vec<f64> = weights.iter().map(|row| row[0]).collect();
            softmax_product(&weights, gradient)
        });
    }

    /// Puts into `out` the table of edge weights of `kind`: what `f` makes of the numbers that
    /// `from` has for the edges of each node.
    fn edges(
        &self,
        kind: &str,
        out: &mut Tables,
        from: &Tables,
        f: impl Fn(&[f64], std::ops::Range<usize>) -> Vec<f64>,
    ) {
        if !self.edge_weights {
            return;
        }
        let table = edge_table(kind);
        let numbers: Vec<f64> = from[&table].iter().map(|row| row[0]).collect();
        let places = self.space.cell.places();
        let mut rows = Vec::new();
        for of_node in places.chunk_by(|a, b| a.node == b.node) {
            let range = rows.len()..rows.len() + of_node.len();
            let values = f(&numbers[range.clone()], range);
            rows.extend(values.into_iter().map(|v| vec![v]));
        }
        out.insert(table, rows);
    }

    /// The weights by which a genotype is derived: a candidate's, times that of its edge.
    #[must_use]
    pub fn strengths(&self, alphas: &Tables) -> Tables {
        let mut tables = self.weights(alphas);
        for kind in self.space.skeleton.cells() {
            if let Some(edges) = tables.remove(&edge_table(kind)) {
                let rows = tables.get_mut(*kind).into_iter().flatten();
                for (row, edge) in rows.zip(edges) {
                    row.iter_mut().for_each(|p| *p *= edge[0]);
                }
            }
        }
        tables
    }
}

/// The draws of each kind of cell, a row for each place.
pub type Draws = Vec<Vec<Drawn>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;

    fn relaxed(edge_weights: bool) -> Relaxed {
        let space = sets::named("darts").expect("a space");
        Relaxed::new(space, Relaxation::Softmax, edge_weights)
    }

    #[test]
    fn edge_weights_of_a_node_sum_to_one() {
        let relaxed = relaxed(true);
        let mixture = relaxed.mixture(&relaxed.start(3));
        let edges = &mixture.tables["normal-edges"];
        for range in [0..2, 2..5, 5..9, 9..14] {
            let sum: f64 = edges[range].iter().map(|row| row[0]).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        }
    }

    /// Differences of a linear function of the weights.
    #[test]
    fn gradients_are_those_of_differences() {
        let relaxed = relaxed(true);
        let alphas = relaxed.start(5);
        let mixture = relaxed.mixture(&alphas);
        let mut coefficients = mixture.tables.clone();
        let mut draw = Draw::new(Purpose::Noise, 1, 2, 3);
        let all = coefficients.values_mut().flatten().flatten();
        all.for_each(|c| *c = draw.normal());
        let value = |alphas: &Tables| -> f64 {
            let weights = relaxed.mixture(alphas).tables;
            let pairs = weights.values().flatten().flatten();
            pairs
                .zip(coefficients.values().flatten().flatten())
                .map(|(p, c)| p * c)
                .sum()
        };
        let ours = relaxed.gradient(&mixture, &coefficients);
        for (table, row, k) in [("normal", 3, 2), ("reduce", 0, 7), ("normal-edges", 6, 0)] {
            let at = |by: f64| {
                let mut moved = alphas.clone();
                moved.get_mut(table).expect("a table")[row][k] += by;
                value(&moved)
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((ours[table][row][k] - slope).abs() < 1e-8, "{table} {row}");
        }
    }

    #[test]
    fn what_is_decided_no_longer_depends_on_parameters() {
        use crate::search::derive::{Question, perturbation};
        let mut relaxed = relaxed(false);
        relaxed.auxiliary = Some(0.5);
        let alphas = relaxed.start(5);
        let free = relaxed.mixture(&alphas);
        // Worse without candidate 3 everywhere, and without the first edges.
        let mut answers = Vec::new();
        let space = sets::named("darts").expect("a space");
        loop {
            let (known, question) = perturbation(&space, 1, &answers).expect("a question");
            relaxed.decide(known);
            answers.push(match question {
                Some(Question::Without { candidate: 3, .. }) => 0.1,
                Some(Question::WithoutEdge { row, .. }) => row as f64 / 100.0,
                Some(_) => 0.9,
                None => break,
            });
            if answers.len() == 14 {
                // One row of each kind.
                let now = relaxed.mixture(&alphas);
                let differ = |kind: &str| {
                    let rows = free.tables[kind].iter().zip(&now.tables[kind]);
                    rows.filter(|(a, b)| a != b).count()
                };
                assert_eq!(differ("normal") + differ("reduce"), 1);
            }
        }
        let mixture = relaxed.mixture(&alphas);
        let (drawn, draws) = relaxed.drawn(&alphas, 1.0, 7, 11);
        assert_eq!(mixture, drawn);
        let rows = &mixture.tables["normal"];
        let kept: Vec<usize> = (0..14).filter(|r| rows[*r][3] == 1.0).collect();
        assert_eq!(kept, [0, 1, 2, 3, 5, 6, 9, 10]);
        for row in rows {
            assert_eq!((row.len(), row[8]), (9, 0.5));
            assert!(row[..8].iter().sum::<f64>() <= 1.0);
        }
        let ones = mixture.tables.clone();
        for gradient in [
            relaxed.gradient(&mixture, &ones),
            relaxed.drawn_gradient(&draws, &mixture, &ones),
        ] {
            let all = gradient.values().flatten();
            assert!(all.clone().all(|row| row.len() == 8));
            assert!(all.flatten().all(|g| *g == 0.0));
        }
        assert_eq!(relaxed.strengths(&alphas)["normal"][0].len(), 8);
    }

    #[test]
    fn draws_take_one_candidate_a_place_and_depend_on_their_number_alone() {
        let relaxed = relaxed(false);
        let alphas = relaxed.start(5);
        let (mixture, draws) = relaxed.drawn(&alphas, 1.0, 7, 11);
        assert_eq!((mixture.clone(), draws), relaxed.drawn(&alphas, 1.0, 7, 11));
        assert_ne!(mixture, relaxed.drawn(&alphas, 1.0, 7, 12).0);
        for row in mixture.tables.values().flatten() {
            assert_eq!(row.iter().sum::<f64>(), 1.0);
            assert_eq!(row.iter().filter(|p| **p != 0.0).count(), 1);
        }
    }
}
