//! Weights of the candidates on mixed edges, and their gradients. They belong to no network:
//! whoever searches computes them (softmax, sigmoid, a sample) and holds what they are computed
//! from.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Tables of numbers by name; a row has one number for each candidate of the edges that use it.
pub type Tables = BTreeMap<String, Vec<Vec<f64>>>;

/// Weights of candidates, by table and row. A candidate whose weight is exactly 0 is not run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixture {
    /// The weights.
    pub tables: Tables,
}

impl Mixture {
    /// The weights of row `row` of `table`, `n` numbers.
    ///
    /// # Errors
    /// An internal error where there is no such row, or it has another length.
    pub fn row(&self, table: &str, row: usize, n: usize) -> Result<&[f64]> {
        let rows = self.tables.get(table);
        match rows.and_then(|rows| rows.get(row)) {
            Some(weights) if weights.len() == n => Ok(weights),
            Some(weights) => Err(Error::internal(format!(
                "row {row} of `{table}` has {} weights for {n} candidates",
                weights.len()
            ))),
            None => Err(Error::internal(format!(
                "the mixture has no row {row} in `{table}`"
            ))),
        }
    }
}

/// Derivatives of the loss by weights of candidates, as they arise in a backward pass: on the
/// device until they are read.
#[derive(Debug, Default)]
pub struct ArchitectureGradients {
    places: Vec<(Arc<str>, usize, usize)>,
    /// `f64`, without axes.
    values: Vec<Tensor>,
}

impl ArchitectureGradients {
    /// Adds the derivative by the weight of candidate `k` of row `row` of `table`.
    pub(super) fn push(&mut self, (table, row, k): (&Arc<str>, usize, usize), value: Tensor) {
        self.places.push((table.clone(), row, k));
        self.values.push(value);
    }

    /// Adds those of a part.
    pub(super) fn extend(&mut self, part: Self) {
        self.places.extend(part.places);
        self.values.extend(part.values);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sums over all edges that share a weight, in the shape of `mixture`; 0 for candidates that
    /// were not run.
    ///
    /// # Errors
    /// The device failed.
    pub fn sums(&self, mixture: &Mixture) -> Result<Tables> {
        let mut out = mixture.tables.clone();
        for row in out.values_mut().flatten() {
            row.fill(0.0);
        }
        if self.values.is_empty() {
            return Ok(out);
        }
        // One read for all: each waits for a GPU.
        let values = Tensor::stack(&self.values, 0)?.to_dtype(DType::F64)?;
        for ((table, row, k), value) in self.places.iter().zip(values.to_vec1::<f64>()?) {
            let place = out.get_mut(&**table).and_then(|rows| rows.get_mut(*row));
            let place = place.and_then(|row| row.get_mut(*k));
            *place.ok_or_else(|| {
                Error::internal(format!(
                    "a gradient for candidate {k} of row {row} of `{table}`, which has no weight"
                ))
            })? += value;
        }
        Ok(out)
    }
}
