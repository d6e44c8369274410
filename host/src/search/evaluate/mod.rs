//! What a genotype is worth: a value for each goal of a search.

pub mod one_shot;
pub mod proxy;
pub mod table;

pub use one_shot::{OneShot, Statistics};
pub use proxy::Proxy;
pub use table::Table;

use super::strategy::Request;
use crate::Result;

/// Finds the values of genotypes.
pub trait Evaluator {
    /// A value for each goal, in the order of the goals.
    ///
    /// # Errors
    /// Whatever ends the search.
    fn evaluate(&mut self, request: &Request) -> Result<Vec<f64>>;
}
