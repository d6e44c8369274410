//! Size and surroundings of a network of cells.

use crate::plan::define::words;
use crate::plan::{DropPathPlan, EdgePlan};
use crate::search::space::{Hyperparameters, RuleScope, Skeleton, Style};
use crate::{Error, Result};

words! {
    /// What images pass before the first cell.
    pub enum Stem = Cifar {
        /// One convolution to three times the cells' width; for small images.
        Cifar = "cifar",
        /// Three convolutions of stride 2; for images of some 224 pixels.
        ImageNet = "imagenet",
    }
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
    /// With [`RuleScope::All`] the rule of all other layers, with [`RuleScope::One`] of all layers.
    pub elsewhere: Option<String>,
    /// Weight of the loss of an auxiliary head.
    pub auxiliary: Option<f64>,
    /// Drop path of the edges of cells.
    pub drop_path: Option<DropPathPlan>,
}

impl Size {
    /// `edge` with the drop path of the network, which spares what changes nothing.
    pub(super) fn dropped(&self, mut edge: EdgePlan) -> EdgePlan {
        edge.drop_path = self.drop_path.filter(|_| !edge.blocks.is_empty());
        edge
    }

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

    /// How the layers of a network of this size are made that is trained from the start, by rules
    /// with these hyperparameters.
    #[must_use]
    pub fn style(&self, params: &Hyperparameters) -> Style {
        Style {
            affine: true,
            pool_norm: false,
            scope: self.scope,
            elsewhere: self.elsewhere.clone(),
            params: params.clone(),
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
            (RuleScope::One, None) => {
                Err(Error::usage("with the scope `one` all layers need a rule").hint("set `rule`"))
            }
            (RuleScope::All | RuleScope::One, Some(_)) | (_, None) => Ok(()),
            (scope, Some(rule)) => Err(Error::usage(format!(
                "`rule = \"{rule}\"` has no meaning with the scope `{}`",
                scope.word()
            ))
            .hint("set `rule_scope` to `all` or `one`")),
        }
    }
}
