//! From a genotype to a network: how many cells there are, how wide they are, and what stands
//! around them. The result is an ordinary list of blocks, which training, evaluation, measuring
//! and export take as any other.

pub mod count;
mod darts;
mod nasbench201;
mod wiring;

use serde::{Deserialize, Serialize};

pub use count::Counts;

use super::genotype::Genotype;
use super::space::{RuleScope, Skeleton, Style};
use crate::plan::shapes::{DataShape, propagate};
use crate::plan::{BlockPlan, DropPathPlan, shapes};
use crate::{Error, Result};

/// What images pass before the first cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// One convolution to three times the cells' width; for small images.
    #[default]
    Cifar,
    /// Three convolutions of stride 2; for images of some 224 pixels.
    ImageNet,
}

/// Size and surroundings of a network of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    /// Channels of the first cells.
    pub channels: usize,
    /// Cells.
    pub cells: usize,
    /// What images pass first.
    pub stem: Stem,
    /// Which layers the rules of primitives fill.
    pub scope: RuleScope,
    /// With [`RuleScope::All`] the rule of all other layers.
    pub elsewhere: Option<String>,
    /// Weight of the loss of an auxiliary head.
    pub auxiliary: Option<f64>,
    /// Drop path of the edges of cells.
    pub drop_path: Option<DropPathPlan>,
}

impl Size {
    /// The network of DARTS's final training on CIFAR-10.
    pub const CIFAR: Self = Self::new(36, 20, Stem::Cifar);
    /// The network of DARTS's final training on ImageNet.
    pub const IMAGENET: Self = Self::new(48, 14, Stem::ImageNet);

    /// A size whose rules have the usual scope.
    #[must_use]
    pub const fn new(channels: usize, cells: usize, stem: Stem) -> Self {
        Self {
            channels,
            cells,
            stem,
            scope: RuleScope::Ops,
            elsewhere: None,
            auxiliary: None,
            drop_path: None,
        }
    }

    /// Whether cell `index` halves the maps and doubles the channels.
    #[must_use]
    pub fn is_reduction(&self, index: usize) -> bool {
        index == self.cells / 3 || index == 2 * self.cells / 3
    }

    /// The cell whose output the auxiliary head reads.
    #[must_use]
    pub fn auxiliary_cell(&self) -> usize {
        2 * self.cells / 3
    }

    /// Refuses a size that no network of `skeleton` has.
    ///
    /// # Errors
    /// Usage error.
    pub fn check(&self, skeleton: Skeleton) -> Result<()> {
        if self.cells == 0 || self.channels == 0 {
            return Err(Error::usage(format!(
                "a network of {} cells of {} channels",
                self.cells, self.channels
            ))
            .hint("it needs one of each at least"));
        }
        // Reductions have two convolutions, each to half of the channels.
        if !self.channels.is_multiple_of(2) {
            return Err(Error::usage(format!(
                "{} channels cannot be divided by 2, as reductions do",
                self.channels
            ))
            .hint(format!(
                "take {} or {}",
                self.channels - 1,
                self.channels + 1
            )));
        }
        if skeleton == Skeleton::NasBench201 && !self.cells.is_multiple_of(3) {
            return Err(Error::usage(format!(
                "{} cells cannot be divided among the 3 stages of a network of NAS-Bench-201",
                self.cells
            ))
            .hint(format!("take {}", self.cells.div_ceil(3) * 3)));
        }
        if skeleton == Skeleton::NasBench201 && self.stem == Stem::ImageNet {
            return Err(
                Error::usage("a network of NAS-Bench-201 has no stem `imagenet`")
                    .hint("take `cifar`"),
            );
        }
        if skeleton == Skeleton::NasBench201 && self.auxiliary.is_some() {
            return Err(
                Error::usage("a network of NAS-Bench-201 has no auxiliary head")
                    .hint("set `auxiliary = 0`"),
            );
        }
        match (self.scope, &self.elsewhere) {
            (RuleScope::All, None) => Err(Error::usage(
                "with the scope `all` the layers outside of operations need a rule",
            )
            .hint("set `rule`")),
            (RuleScope::All, Some(_)) | (_, None) => Ok(()),
            (scope, Some(rule)) => Err(Error::usage(format!(
                "`rule = \"{rule}\"` has no meaning with the scope `{}`",
                scope.word()
            ))
            .hint("set `rule_scope = \"all\"`")),
        }
    }
}

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
