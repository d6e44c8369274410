//! Architecture search: spaces of operations and rules, genotypes, and what chooses among them.
//!
//! A space says which primitives (`operation@rule`) may stand on the edges of a cell; a genotype
//! says which do, and becomes an ordinary list of blocks. Strategies that train one network for
//! each genotype are functions of a seed and the results so far, so that going on after an
//! interruption needs no code; those that train a supernet build on the relaxations and the
//! derivation here.

pub mod cma;
pub mod derive;
pub mod draw;
pub mod drive;
pub mod evaluate;
pub mod genotype;
pub mod network;
pub mod pareto;
pub mod plan;
pub mod rank;
pub mod relax;
pub mod relaxed;
pub mod robustness;
mod sample;
pub mod space;
pub mod strategy;

pub use genotype::Genotype;
pub use network::Size;
pub use space::Space;
