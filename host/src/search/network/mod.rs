//! From a genotype to a network: how many cells there are, how wide they are, and what stands
//! around them. The result is an ordinary list of blocks, which training, evaluation, measuring
//! and export take as any other.

mod cells;
pub mod count;
mod darts;
mod filling;
mod nasbench201;
mod size;
mod wiring;

pub use cells::CellsPlan;
pub use count::Counts;
pub(in crate::search) use filling::edge_table;
pub use size::{Size, Stem};

use super::genotype::Genotype;
use super::space::{Operation, Skeleton, Space, Style};
use crate::plan::BlockPlan;
use crate::plan::shapes::{DataShape, propagate};
use crate::{Error, Result};
use filling::{Derived, Everything, Filling};

/// The network of `genotype`: a stem, one graph of cells, and a linear classifier.
///
/// # Errors
/// Usage error for a genotype or a size that is no network.
pub fn blocks(genotype: &Genotype, size: &Size) -> Result<Vec<BlockPlan>> {
    genotype.check()?;
    size.check(genotype.skeleton)?;
    let style = size.style(&genotype.params);
    let filling = Derived {
        genotype,
        size,
        style: &style,
    };
    around(genotype.skeleton, &filling, size, &style)
}

/// What a supernet has besides its space and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supernet {
    /// Candidates keep only their input for the backward pass and run again there: less memory,
    /// the same bits.
    pub recompute: bool,
    /// Whole edges have weights (PC-DARTS), in a table beside that of their candidates.
    pub edge_weights: bool,
    /// Beside the mixture of each edge stands an identity (at stride 2 a factorised reduction), whose
    /// weight comes behind those of the candidates (Chu et al. 2021, DARTS-).
    pub auxiliary_skip: bool,
}

/// The network of `space` in which every candidate stands on every edge, weighted by the tables of
/// a mixture: one for each kind of cell, a row for each place, a number for each candidate. Its
/// normalisations have no gain and shift, but for those of the stem.
///
/// # Errors
/// Usage error for a size that is no network, or channels that the candidates cannot divide.
pub fn supernet(space: &Space, size: &Size, what: Supernet) -> Result<Vec<BlockPlan>> {
    space.check()?;
    size.check(space.skeleton)?;
    // Only reductions in cells have strides, and split what they are given in two.
    let halves = space.skeleton == Skeleton::Darts
        && (what.auxiliary_skip
            || (space.candidates.iter()).any(|p| p.operation == Operation::Skip));
    let divisor = space.partial * if halves { 2 } else { 1 };
    if !size.channels.is_multiple_of(divisor) {
        let below = size.channels / divisor * divisor;
        return Err(Error::usage(format!(
            "{} channels cannot be divided by {divisor}, as candidates that see one in {} of them do",
            size.channels, space.partial
        ))
        .hint(format!("take {} or {}", below.max(divisor), below + divisor)));
    }
    let style = Style {
        affine: false,
        pool_norm: space.pool_norm,
        scope: size.scope,
        elsewhere: size.elsewhere.clone(),
        params: space.params.clone(),
    };
    let filling = Everything {
        space,
        style: &style,
        recompute: what.recompute,
        edge_weights: what.edge_weights,
        auxiliary_skip: what.auxiliary_skip,
    };
    around(space.skeleton, &filling, size, &style)
}

fn around(
    skeleton: Skeleton,
    filling: &dyn Filling,
    size: &Size,
    style: &Style,
) -> Result<Vec<BlockPlan>> {
    match skeleton {
        Skeleton::Darts => darts::blocks(filling, size, style),
        Skeleton::NasBench201 => nasbench201::blocks(filling, size, style),
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
