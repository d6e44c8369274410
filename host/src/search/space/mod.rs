//! Search spaces: cells of a shape, and the primitives that may stand on their edges.
//!
//! A space is data. Named ones are in [`sets`]; any other is the product of operations and rules,
//! where a rule is any that a loaded plugin has.

pub mod cell;
pub mod operation;
pub mod primitive;
pub mod serve;
pub mod sets;
pub mod template;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use cell::{CellShape, Keep, Place};
pub use operation::{OPERATIONS, Operation};
pub use primitive::Primitive;
pub use template::{Hyperparameters, RuleScope, Style};

use crate::{Error, Result};

/// The network around the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Skeleton {
    /// Normal and reduction cells in a row, each reading the two before it (Liu et al. 2019).
    Darts,
    /// Three stages of one kind of cell, a residual block of stride 2 between them (Dong and Yang
    /// 2020).
    NasBench201,
}

impl Skeleton {
    /// As it is written, and the kinds of cells it has.
    const ALL: [(&'static str, Self, &'static [&'static str]); 2] = [
        ("darts", Self::Darts, &["normal", "reduce"]),
        ("nasbench201", Self::NasBench201, &["cell"]),
    ];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, one, _)| *one == self);
        found.map_or("", |(word, ..)| word)
    }

    /// From its word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(own, ..)| *own == word);
        found.map(|(_, one, _)| *one)
    }

    /// All words.
    pub fn words() -> impl Iterator<Item = &'static str> + Clone {
        Self::ALL.iter().map(|(word, ..)| *word)
    }

    /// Names of its kinds of cells, each searched on its own.
    #[must_use]
    pub fn cells(self) -> &'static [&'static str] {
        let found = Self::ALL.iter().find(|(_, one, _)| *one == self);
        found.map_or(&[], |(.., cells)| cells)
    }

    /// The number of inputs of its cells.
    #[must_use]
    pub fn inputs(self) -> usize {
        match self {
            Self::Darts => 2,
            Self::NasBench201 => 1,
        }
    }
}

/// What may be found: the shape of the cells and the primitives on their edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// Name, or `product`.
    pub name: String,
    /// The network around the cells.
    pub skeleton: Skeleton,
    /// The shape of each kind of cell.
    pub cell: CellShape,
    /// What may stand on an edge, in the order of the columns of architecture weights.
    pub candidates: Vec<Primitive>,
    /// Hyperparameters of the rules.
    pub params: Hyperparameters,
    /// Pooling candidates of its supernet are normalised.
    pub pool_norm: bool,
    /// One in so many channels passes through the candidates of its supernet, the others pass by;
    /// 1 is all.
    pub partial: usize,
}

impl Space {
    /// The product of `operations`, each with every one of `rules` where it has layers. `skip` has
    /// no copy for each rule: without layers at stride 1 they would be one function.
    ///
    /// # Errors
    /// Usage error for an empty or doubled list, or an operation that is not known.
    pub fn product(skeleton: Skeleton, operations: &[String], rules: &[String]) -> Result<Self> {
        let mut candidates = Vec::new();
        twice("operations", operations)?;
        twice("rules", rules)?;
        for name in operations {
            // A primitive with its rule stands for itself.
            let one: Primitive = name.parse()?;
            match one.rule.is_none() && one.operation.has_slots() && !rules.is_empty() {
                true => candidates.extend(rules.iter().map(|r| Primitive::new(one.operation, r))),
                false => candidates.push(one),
            }
        }
        let space = Self {
            name: "product".to_owned(),
            skeleton,
            cell: match skeleton {
                Skeleton::Darts => CellShape::darts(4),
                Skeleton::NasBench201 => CellShape::nasbench201(),
            },
            candidates,
            params: Hyperparameters::new(),
            pool_norm: skeleton == Skeleton::Darts,
            partial: 1,
        };
        space.check()?;
        Ok(space)
    }

    /// Refuses a space in which nothing can be chosen.
    ///
    /// # Errors
    /// Usage error for no candidate, one that is there twice, or none but `none`.
    pub fn check(&self) -> Result<()> {
        let names: Vec<String> = self.candidates.iter().map(ToString::to_string).collect();
        twice("candidates", &names)?;
        if names.is_empty() {
            return Err(
                Error::usage(format!("space `{}` has no candidates", self.name))
                    .hint("name operations: `operations = [\"sep_conv_3x3\", \"skip_connect\"]`"),
            );
        }
        let chosen = |p: &&Primitive| p.operation != Operation::None;
        if self.skeleton == Skeleton::Darts && self.candidates.iter().filter(chosen).count() == 0 {
            return Err(Error::usage(format!(
                "space `{}` has no candidate but `none`, which no derived cell holds",
                self.name
            ))
            .hint("add an operation"));
        }
        Ok(())
    }

    /// Rules that fill slots, each once.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<&str> {
        let own = self.candidates.iter().filter(|p| p.operation.has_slots());
        let labels = self.candidates.iter().filter_map(|p| p.rule.as_deref());
        own.map(Primitive::rule).chain(labels).collect()
    }

    /// Whether candidate `index` may stand in a derived cell.
    #[must_use]
    pub fn derives(&self, index: usize) -> bool {
        self.cell.keep == Keep::All || self.candidates[index].operation != Operation::None
    }

    /// Position of `primitive` among the candidates; a skip without a rule stands for any skip.
    #[must_use]
    pub fn position(&self, primitive: &Primitive) -> Option<usize> {
        let exact = self.candidates.iter().position(|p| p == primitive);
        exact.or_else(|| {
            let skip = primitive.operation == Operation::Skip;
            let same = |p: &Primitive| p.operation == primitive.operation;
            skip.then(|| self.candidates.iter().position(same))
                .flatten()
        })
    }

    /// Candidates that may stand in a derived cell.
    #[must_use]
    pub fn choices(&self) -> Vec<&Primitive> {
        let indices = 0..self.candidates.len();
        indices
            .filter(|i| self.derives(*i))
            .map(|i| &self.candidates[i])
            .collect()
    }

    /// Edges of a supernet's cells, and of a derived network's.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.cell.places().len()
    }

    /// How many pairs, triples … of cells can be derived, as a power of ten.
    #[must_use]
    pub fn size_log10(&self) -> f64 {
        let choices = self.choices().len() as f64;
        let mut one = 0.0;
        for node in self.cell.inputs..self.cell.inputs + self.cell.nodes {
            let degree = self.cell.degree(node);
            let ways: f64 = (0..degree)
                .map(|i| (node - i) as f64 / (degree - i) as f64)
                .product();
            one += ways.log10() + degree as f64 * choices.log10();
        }
        one * self.skeleton.cells().len() as f64
    }
}

/// Refuses a list that names something twice.
fn twice(what: &str, names: &[String]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(Error::usage(format!("`{what}` has `{name}` twice"))
            .hint("name each once: two copies would share one place in the mixture")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
