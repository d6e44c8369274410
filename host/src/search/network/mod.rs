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
use super::space::{Skeleton, Style};
use crate::plan::BlockPlan;
use crate::plan::shapes::{DataShape, propagate};
use crate::{Error, Result};

/// The network of `genotype`: a stem, one graph of cells, and a linear classifier.
///
/// # Errors
/// Usage error for a genotype or a size that is no network.
pub fn blocks(genotype: &Genotype, size: &Size) -> Result<Vec<BlockPlan>> {
    genotype.check()?;
    size.check(genotype.skeleton)?;
    let style = Style {
        affine: true,
        pool_norm: false,
        scope: size.scope,
        elsewhere: size.elsewhere.clone(),
        params: genotype.params.clone(),
    };
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
    let sized = |rows: usize, columns: usize| DataShape {
        sample: vec![channels, rows, columns],
        classes: data.classes,
    };
    let fits = |rows, columns| propagate(blocks, &sized(rows, columns)).is_ok();
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
    let why = match propagate(&without_heads(blocks), data) {
        Ok(_) => {
            "are too small for the auxiliary head, which takes maps of 8x8 behind the reductions"
        }
        Err(_) => "give odd maps at a reduction, which halves rows and columns",
    };
    Err(
        Error::usage(format!("images of {rows}x{columns} {why}")).hint(format!(
            "the nearest sizes that work are {words}: set `data.resize`"
        )),
    )
}

/// `blocks` whose graphs have no auxiliary head.
fn without_heads(blocks: &[BlockPlan]) -> Vec<BlockPlan> {
    let mut blocks = blocks.to_vec();
    let graphs = blocks.iter_mut().filter_map(|b| b.graph.as_mut());
    let edges = graphs.flat_map(|g| &mut g.nodes).flat_map(|n| &mut n.from);
    edges
        .flat_map(|e| &mut e.blocks)
        .for_each(|b| b.side = None);
    blocks
}

#[cfg(test)]
mod tests;
