//! Samplers: which values the parameters of trial `n` have.

mod asked;
mod cma;
mod grid;
mod parzen;
mod random;
mod sobol;
mod tpe;

#[cfg(test)]
mod tests;

pub use asked::{Past, Sampler};
pub use cma::numbers;
pub use grid::size as grid_size;

use cma::Cma;
use grid::Grid;
use random::Random;
use sobol::Sobol;
use tpe::Tpe;

use super::plan::{SamplerPlan, Study};
use crate::{Error, Result};

/// The sampler of `study`, where it is one of the program's own.
///
/// # Errors
/// Usage error for a space that it cannot serve, or one of another program.
pub fn own(study: &Study) -> Result<Box<dyn Sampler>> {
    Ok(match study.sampler {
        SamplerPlan::Random => Box::new(Random::new(study)),
        SamplerPlan::Grid => Box::new(Grid::new(study)?),
        SamplerPlan::Sobol => Box::new(Sobol::new(study)?),
        SamplerPlan::Tpe {
            startup,
            candidates,
        } => Box::new(Tpe::new(study, startup, candidates)),
        SamplerPlan::Cma { population, sigma } => Box::new(Cma::new(study, population, sigma)?),
        SamplerPlan::Command { .. } => {
            return Err(Error::usage("the sampler of this study is a program")
                .hint("give one of the program's own: `--set sampler=tpe`"));
        }
    })
}
