//! Sweeps: which values of a study's parameters are tried, and which trials are given up early.
//!
//! A study has parameters with domains; a sampler proposes the values of trial `n`, a pruner says
//! where a trial is given up. Both are functions: of the seed, the number of the trial and the
//! results of the trials before it ([`Sampler::needs`] says how many). So nothing has to be stored
//! to go on, and the number of trials that run side by side changes no result.

pub mod domain;
pub mod importance;
pub mod plan;
pub mod pruner;
pub mod rank;
pub mod sampler;
pub mod space;

pub use domain::{Choice, Domain, Value};
pub use plan::{PrunerPlan, SamplerPlan, Study};
pub use sampler::{Past, Sampler};
pub use space::{Assignment, Parameter, Space};
