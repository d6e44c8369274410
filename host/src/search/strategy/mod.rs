//! Strategies that train a network for each genotype they ask about. Each is a function of a seed
//! and the results so far: it keeps nothing, so that a search that was stopped goes on without
//! further code, and results may come from other machines.

mod agenda;
mod derived;
mod evolution;
mod halving;
mod list;
mod random;

pub use agenda::{Answer, Origin, Request, Scene, Strategy};
pub use derived::Derived;
pub use evolution::{Evolution, mutate};
pub use halving::Halving;
pub use list::Listed;
pub use random::Random;
