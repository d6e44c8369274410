//! From a genotype to a network: how many cells there are, how wide they are, and what stands
//! around them. The result is an ordinary list of blocks, which training, evaluation, measuring
//! and export take as any other.

pub mod count;
mod darts;
mod nasbench201;
mod size;
mod wiring;

pub use count::Counts;
pub use size::{Size, Stem};

use super::genotype::Genotype;
use super::space::Skeleton;
use crate::plan::shapes::{DataShape, propagate};
use crate::plan::{BlockPlan, shapes};
use crate::{Error, Result};

/// The network of `genotype`: a stem, one graph of cells, and a linear classifier.
///
/// # Errors
/// Usage error for a genotype or a size that is no network.
pub fn blocks(genotype: &Genotype, size: &Size) -> Result<Vec<BlockPlan>> {
    genotype.check()?;
    size.check(genotype.skeleton)?;
    let style = size.style(&genotype.params);
    match genotype.skeleton {
        Skeleton::Darts => darts::blocks(genotype, size, &style),
        Skeleton::NasBench201 => nasbench201::blocks(genotype, size, &style),
    }
}

/// Refuses images of a size that a network of `genotype` cannot take, with the sizes next to it
/// that it can: maps have to be even where a factorised reduction halves them.
///
/// # Errors
/// Usage error.
pub fn check_images(blocks: &[BlockPlan], data: &DataShape) -> Result<()> {
    let Err(e) = propagate(blocks, data) else {
        return Ok(());
    };
    let [channels, rows, columns] = data.sample[..] else {
        return Err(Error::usage(format!(
            "a network of cells takes images, and a sample has the shape {:?}",
            data.sample
        ))
        .hint("take a data set of images"));
    };
    let fits = |rows: usize, columns: usize| {
        let data = DataShape {
            sample: vec![channels, rows, columns],
            classes: data.classes,
        };
        shapes::propagate(blocks, &data).is_ok()
    };
    let side = |size: usize| {
        let below = (1..size).rev().find(|n| fits(*n, *n));
        let above = (size + 1..=2 * size + 256).find(|n| fits(*n, *n));
        (below, above)
    };
    let words = match side(rows.max(columns)) {
        (Some(a), Some(b)) => format!("{a}x{a} and {b}x{b}"),
        (Some(a), None) | (None, Some(a)) => format!("{a}x{a}"),
        (None, None) => return Err(e),
    };
    Err(Error::usage(format!(
        "images of {rows}x{columns} give odd maps at a reduction, which halves rows and columns"
    ))
    .hint(format!(
        "the nearest sizes that work are {words}: set `data.resize`"
    )))
}

#[cfg(test)]
mod tests;
