//! From the weights of candidates to a genotype: the largest weight on each edge and the strongest
//! edges of each node (Liu et al. 2019), few enough skips (Chen et al. 2019, P-DARTS), or what
//! hurts most when it is taken away (Wang et al. 2021, DARTS-PT).

use std::collections::{BTreeMap, BTreeSet};

use super::draw::{Draw, Purpose};
use super::genotype::{Cell, Edge, Genotype};
use super::relax::largest;
use super::space::{Keep, Operation, Place, Space};
use crate::{Error, Result};

/// Weights of one kind of cell: a row for each place, an entry for each candidate.
pub type Rows = Vec<Vec<f64>>;

/// A candidate chosen for a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The place's row.
    pub row: usize,
    /// Where.
    pub place: Place,
    /// Position among the candidates.
    pub candidate: usize,
    /// Its weight.
    pub weight: f64,
    /// How far it is above the next best candidate of the row that may be derived.
    pub lead: f64,
}

/// Chooses candidate and edges of one kind of cell from `rows`, the weights (not the architecture
/// weights) of all candidates. Where a cell keeps the strongest edges, they come in the order of
/// their weights; of equal ones the earlier source, and the earlier candidate, counts as stronger.
///
/// # Errors
/// Internal error for rows of another space.
pub fn strongest(space: &Space, rows: &Rows) -> Result<Vec<Chosen>> {
    let places = space.cell.places();
    let fits = rows.len() == places.len() && rows.iter().all(|r| r.len() == space.candidates.len());
    if !fits {
        return Err(Error::internal("weights of another space"));
    }
    let best = |(row, place): (usize, &Place)| {
        let weights = &rows[row];
        let may = |k: &usize| space.derives(*k);
        let of = |k: usize| weights[k];
        let open: Vec<usize> = (0..weights.len()).filter(may).collect();
        let values: Vec<f64> = open.iter().map(|k| of(*k)).collect();
        let at = largest(&values)?;
        let next = values.iter().enumerate().filter(|(i, _)| *i != at);
        let next = next.map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
        Some(Chosen {
            row,
            place: *place,
            candidate: open[at],
            weight: values[at],
            lead: values[at] - next,
        })
    };
    let all: Vec<Chosen> = places.iter().enumerate().filter_map(best).collect();
    let Keep::Strongest(most) = space.cell.keep else {
        return Ok(all);
    };
    let mut kept = Vec::new();
    for node in space.cell.inputs..space.cell.inputs + space.cell.nodes {
        let mut own: Vec<Chosen> = all
            .iter()
            .filter(|c| c.place.node == node)
            .copied()
            .collect();
        own.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        own.truncate(most);
        kept.extend(own);
    }
    Ok(kept)
}

/// [`strongest`], with at most `most` skips: the weakest skip that was chosen loses its weight,
/// and the cell is derived again.
///
/// # Errors
/// As for [`strongest`]; usage error where nothing else may be chosen.
pub fn with_few_skips(space: &Space, rows: &Rows, most: usize) -> Result<Vec<Chosen>> {
    let is_skip = |k: usize| space.candidates[k].operation == Operation::Skip;
    let mut rows = rows.clone();
    loop {
        let chosen = strongest(space, &rows)?;
        let skips: Vec<&Chosen> = chosen.iter().filter(|c| is_skip(c.candidate)).collect();
        if skips.len() <= most {
            return Ok(chosen);
        }
        let weakest = skips
            .iter()
            .min_by(|a, b| a.weight.total_cmp(&b.weight))
            .map_or(0, |c| c.row);
        let none_left = space
            .choices()
            .iter()
            .all(|p| p.operation == Operation::Skip);
        if none_left {
            return Err(Error::usage(format!(
                "`max_skips` is {most}, and space `{}` has no other candidate",
                space.name
            )));
        }
        for (k, weight) in rows[weakest].iter_mut().enumerate() {
            if is_skip(k) {
                *weight = f64::NEG_INFINITY;
            }
        }
    }
}

/// The cell of these choices.
#[must_use]
pub fn cell(space: &Space, chosen: &[Chosen]) -> Cell {
    let edge = |c: &Chosen| Edge {
        node: c.place.node,
        from: c.place.from,
        op: space.candidates[c.candidate].clone(),
    };
    Cell {
        edges: chosen.iter().map(edge).collect(),
        concat: space.cell.outputs(),
    }
}

/// The genotype of weights for each kind of cell. `max_skips` holds for the first kind, the normal
/// cell.
///
/// # Errors
/// As for [`with_few_skips`].
pub fn genotype(
    space: &Space,
    weights: &BTreeMap<String, Rows>,
    max_skips: Option<usize>,
) -> Result<Genotype> {
    let mut cells = BTreeMap::new();
    for (i, kind) in space.skeleton.cells().iter().enumerate() {
        let rows = weights
            .get(*kind)
            .ok_or_else(|| Error::internal(format!("no weights for cell `{kind}`")))?;
        let chosen = match max_skips.filter(|_| i == 0) {
            Some(most) => with_few_skips(space, rows, most)?,
            None => strongest(space, rows)?,
        };
        cells.insert((*kind).to_owned(), cell(space, &chosen));
    }
    Ok(Genotype {
        name: String::new(),
        skeleton: space.skeleton,
        cells,
        params: space.params.clone(),
    })
}

/// What is to be measured next when a genotype is derived by perturbation.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The supernet's accuracy where this candidate of this row of a cell's kind is left out of
    /// the mixture.
    Without {
        /// Kind of cell.
        kind: &'static str,
        /// Row.
        row: usize,
        /// Candidate.
        candidate: usize,
    },
    /// The supernet's accuracy where this whole edge is left out.
    WithoutEdge {
        /// Kind of cell.
        kind: &'static str,
        /// Row.
        row: usize,
    },
}

/// What is known of a derivation by perturbation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Perturbed {
    /// The candidate of each row that was decided on, by kind of cell.
    pub fixed: BTreeMap<&'static str, BTreeMap<usize, usize>>,
    /// Rows that were left out, by kind of cell.
    pub dropped: BTreeMap<&'static str, BTreeSet<usize>>,
    /// Decisions made, each on one row or node of all kinds of cells.
    pub decisions: u64,
}

/// Decisions of a derivation by perturbation: one for each row, then one for each node that does not
/// keep all of its edges.
#[must_use]
pub fn decisions(space: &Space) -> u64 {
    space.edges() as u64 + choosing_nodes(space).count() as u64
}

/// Nodes that keep a part of their edges.
fn choosing_nodes(space: &Space) -> impl Iterator<Item = usize> + '_ {
    let nodes = space.cell.inputs..space.cell.inputs + space.cell.nodes;
    nodes.filter(|node| space.cell.degree(*node) < *node)
}

/// Derivation by perturbation as a function of the answers so far, so that it goes on after an
/// interruption without further state. First the rows are decided on, one of each kind of cell in turn,
/// in an order drawn from `seed` for each kind: the candidate whose absence costs most accuracy stays.
/// Then at each node the edges stay whose absence costs most.
///
/// Gives what is decided, and the next question; without one the derivation is done.
///
/// # Errors
/// Internal error for more answers than there are questions.
pub fn perturbation(
    space: &Space,
    seed: u64,
    answers: &[f64],
) -> Result<(Perturbed, Option<Question>)> {
    let mut known = Perturbed::default();
    let mut answers = answers.iter().copied();
    let kinds = space.skeleton.cells();
    let rows = space.edges();
    let open: Vec<usize> = (0..space.candidates.len())
        .filter(|k| space.derives(*k))
        .collect();
    let order = |kind: usize| Draw::new(Purpose::Order, seed, kind as u64, 0).choose(rows, rows);
    let orders: Vec<Vec<usize>> = (0..kinds.len()).map(order).collect();
    for turn in 0..rows {
        for (kind, order) in kinds.iter().zip(&orders) {
            let row = order[turn];
            let mut without = Vec::new();
            for candidate in open.iter().copied() {
                let Some(answer) = answers.next() else {
                    let question = Question::Without {
                        kind,
                        row,
                        candidate,
                    };
                    return Ok((known, Some(question)));
                };
                without.push(-answer);
            }
            let worst = largest(&without).ok_or_else(|| Error::internal("an empty space"))?;
            let fixed = known.fixed.entry(kind).or_default();
            fixed.insert(row, open[worst]);
        }
        known.decisions += 1;
    }
    let places = space.cell.places();
    for node in choosing_nodes(space) {
        for kind in kinds {
            let mut costs = Vec::new();
            for row in (0..rows).filter(|r| places[*r].node == node) {
                let Some(answer) = answers.next() else {
                    return Ok((known, Some(Question::WithoutEdge { kind, row })));
                };
                costs.push((answer, row));
            }
            costs.sort_by(|a, b| a.0.total_cmp(&b.0));
            let leave = costs.split_off(space.cell.degree(node));
            let dropped = known.dropped.entry(kind).or_default();
            dropped.extend(leave.into_iter().map(|(_, row)| row));
        }
        known.decisions += 1;
    }
    match answers.next() {
        Some(_) => Err(Error::internal("more answers than questions")),
        None => Ok((known, None)),
    }
}

impl Perturbed {
    /// The genotype, once everything is decided.
    ///
    /// # Errors
    /// Internal error before that.
    pub fn genotype(&self, space: &Space) -> Result<Genotype> {
        let places = space.cell.places();
        let mut cells = BTreeMap::new();
        let undecided = || Error::internal("the derivation is not finished");
        if self.decisions < decisions(space) {
            return Err(undecided());
        }
        for kind in space.skeleton.cells() {
            let fixed = self.fixed.get(kind).ok_or_else(undecided)?;
            let dropped = self.dropped.get(kind);
            let mut edges = Vec::new();
            for (row, place) in places.iter().enumerate() {
                if dropped.is_some_and(|rows| rows.contains(&row)) {
                    continue;
                }
                let candidate = *fixed.get(&row).ok_or_else(undecided)?;
                edges.push(Edge {
                    node: place.node,
                    from: place.from,
                    op: space.candidates[candidate].clone(),
                });
            }
            let concat = space.cell.outputs();
            cells.insert((*kind).to_owned(), Cell { edges, concat });
        }
        Ok(Genotype {
            name: String::new(),
            skeleton: space.skeleton,
            cells,
            params: space.params.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;

    fn rows(space: &Space, seed: u64) -> Rows {
        let mut draw = Draw::new(Purpose::Noise, seed, 0, 0);
        let row = |_| (0..space.candidates.len()).map(|_| draw.unit()).collect();
        (0..space.edges()).map(row).collect()
    }

    #[test]
    fn few_skips_are_kept_and_the_strongest_of_them() {
        let space = sets::named("bionas22").expect("a space");
        for seed in 0..30 {
            let mut rows = rows(&space, seed);
            // Skips win everywhere.
            for row in &mut rows {
                row[3..6].iter_mut().for_each(|w| *w += 1.0);
            }
            let all = strongest(&space, &rows).expect("chosen");
            let is_skip = |c: &&Chosen| (3..6).contains(&c.candidate);
            assert_eq!(all.iter().filter(is_skip).count(), 8);
            for most in 0..8 {
                let few = with_few_skips(&space, &rows, most).expect("chosen");
                let skips: Vec<&Chosen> = few.iter().filter(is_skip).collect();
                assert_eq!(skips.len(), most);
                // What stays is the strongest of what was chosen at first or took its place.
                let weakest = skips.iter().map(|c| c.weight).fold(f64::INFINITY, f64::min);
                let lost = all.iter().filter(|c| {
                    !few.iter()
                        .any(|f| f.row == c.row && f.candidate == c.candidate)
                });
                for c in lost {
                    assert!(c.weight <= weakest, "{c:?} {weakest}");
                }
            }
        }
    }

    #[test]
    fn none_is_never_derived_where_edges_are_chosen_and_may_be_elsewhere() {
        let space = sets::named("darts").expect("a space");
        let mut all = rows(&space, 1);
        all.iter_mut().for_each(|row| row[0] = 10.0);
        assert!(
            strongest(&space, &all)
                .expect("chosen")
                .iter()
                .all(|c| c.candidate != 0)
        );
        let space = sets::named("nasbench201").expect("a space");
        let mut all = rows(&space, 1);
        all.iter_mut().for_each(|row| row[0] = 10.0);
        let chosen = strongest(&space, &all).expect("chosen");
        assert_eq!(chosen.len(), 6);
        assert!(chosen.iter().all(|c| c.candidate == 0));
    }

    #[test]
    fn perturbation_keeps_what_hurts_most() {
        for name in ["darts", "nasbench201"] {
            let space = sets::named(name).expect(name);
            // A known importance of every candidate, and of every edge.
            let worth: Vec<Rows> = space
                .skeleton
                .cells()
                .iter()
                .enumerate()
                .map(|(i, _)| rows(&space, i as u64))
                .collect();
            let index = |kind: &str| {
                space
                    .skeleton
                    .cells()
                    .iter()
                    .position(|k| *k == kind)
                    .expect(kind)
            };
            let mut answers = Vec::new();
            loop {
                let (known, question) = perturbation(&space, 4, &answers).expect("a question");
                let Some(question) = question else {
                    let found = known.genotype(&space).expect("done");
                    found.check().expect("a genotype");
                    for (kind, fixed) in &known.fixed {
                        for (row, candidate) in fixed {
                            let own = &worth[index(kind)][*row];
                            let open = (0..own.len()).filter(|k| space.derives(*k));
                            assert!(open.into_iter().all(|k| own[k] <= own[*candidate]));
                        }
                    }
                    break;
                };
                answers.push(match question {
                    Question::Without {
                        kind,
                        row,
                        candidate,
                    } => 1.0 - worth[index(kind)][row][candidate],
                    Question::WithoutEdge { kind, row } => 1.0 - worth[index(kind)][row][1],
                });
            }
            answers.push(0.0);
            assert!(perturbation(&space, 4, &answers).is_err());
        }
    }

    #[test]
    fn rows_of_both_cells_are_decided_on_in_turn_in_orders_of_their_own() {
        let space = sets::named("darts").expect("a space");
        assert_eq!(decisions(&space), 14 + 3);
        let asked = |seed: u64| {
            let (mut answers, mut rows) = (Vec::new(), Vec::new());
            while let (known, Some(question)) =
                perturbation(&space, seed, &answers).expect("a question")
            {
                match question {
                    Question::Without { kind, row, .. } => {
                        // Both kinds of one turn come before the next.
                        assert_eq!(known.decisions as usize, answers.len() / 14);
                        rows.push((kind, row));
                    }
                    Question::WithoutEdge { .. } => assert!(known.decisions >= 14),
                }
                // All the same: the first candidate stays, and the earlier edges.
                answers.push(0.5);
            }
            let found = perturbation(&space, seed, &answers).expect("done").0;
            let found = found.genotype(&space).expect("a genotype");
            for cell in found.cells.values() {
                let ends: Vec<_> = cell.edges.iter().map(|e| (e.from, e.node)).collect();
                assert_eq!(
                    ends,
                    (2..6).flat_map(|n| [(0, n), (1, n)]).collect::<Vec<_>>()
                );
                assert!(cell.edges.iter().all(|e| e.op == space.candidates[1]));
            }
            rows.dedup();
            rows
        };
        let (one, other) = (asked(4), asked(5));
        assert_eq!(one, asked(4));
        assert_ne!(one, other);
        for pair in one.chunks(2) {
            assert_eq!((pair[0].0, pair[1].0), ("normal", "reduce"));
        }
        let of = |kind: &str| -> Vec<usize> {
            let own = one.iter().filter(|(k, _)| *k == kind);
            own.map(|(_, row)| *row).collect()
        };
        assert_ne!(of("normal"), of("reduce"));
        let mut all = of("reduce");
        all.sort_unstable();
        assert_eq!(all, (0..14).collect::<Vec<_>>());
    }
}
