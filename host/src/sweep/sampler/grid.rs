//! Every combination of values.

use super::asked::{Past, Sampler};
use crate::sweep::plan::Study;
use crate::sweep::space::{Assignment, Space};
use crate::{Error, Result};

/// Trials that a grid has at most: each has a folder of its own.
const LARGEST: u128 = 100_000;

/// Goes through a grid.
pub struct Grid {
    space: Space,
}

impl Grid {
    /// Of the parameters of `study`.
    ///
    /// # Errors
    /// Usage error for a grid without an end, or one too large.
    pub fn new(study: &Study) -> Result<Self> {
        size(&study.space)?;
        Ok(Self {
            space: study.space.clone(),
        })
    }
}

/// How many trials the grid of `space` has.
///
/// # Errors
/// Usage error for a grid without an end, or one too large.
pub fn size(space: &Space) -> Result<u64> {
    let size = space.grid_size()?;
    if size > LARGEST {
        let parts = space.parameters().iter().map(|p| {
            let levels = p.domain.levels().unwrap_or(0);
            format!("`{}` has {levels}", p.name)
        });
        let parts: Vec<String> = parts.collect();
        let text = format!("the grid has {size} points, at most {LARGEST} are run");
        return Err(Error::usage(text).hint(format!(
            "{}; give fewer `points`, larger steps, or take `sampler = \"sobol\"`",
            parts.join(", ")
        )));
    }
    Ok(size as u64)
}

impl Sampler for Grid {
    fn ask(&mut self, number: u64, _past: &Past<'_>) -> Result<Option<Assignment>> {
        Ok(self.space.grid(number.into()))
    }
}
