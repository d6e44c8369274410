//! Size and surroundings of a network of cells.

use crate::plan::DropPathPlan;
use crate::plan::define::{Field, Reader, settings, words};
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

settings! {
    /// A network of cells, as a configuration has it.
    pub struct CellsPlan at "network" {
        /// a genotype's file (JSON, DARTS's text or a string of NAS-Bench-201), the folder of a search, or
        /// the name of a published one (`biorule genotype show` lists them); `--genotype` sets it
        genotype: String;
        /// channels of the first cells, doubled at each reduction; even
        channels: usize = 36, range 1.0 => 1_048_576.0, source "Liu et al. 2019: 36 on CIFAR-10, 48 on ImageNet, 16 in search";
        /// cells; those at one and two thirds are reduction cells
        cells: usize = 20, range 1.0 => 1000.0, source "Liu et al. 2019: 20 on CIFAR-10, 14 on ImageNet, 8 in search";
        /// what images pass first: one convolution to three times `channels`, or three convolutions of
        /// stride 2
        stem: Stem = "cifar";
        /// which layers learn by the rules of the genotype: those of its operations, also the reduction
        /// that `skip_connect@rule` is at stride 2, or these and all others by `rule`; the rest learns by
        /// `backprop`
        rule_scope: RuleScope = "ops", source "BioNAS: `ops`";
        /// with `rule_scope = "all"`: the rule of stem, cell inputs and classifier
        rule: Option<String>;
        /// weight of the loss of an auxiliary head behind the cell at two thirds, in training; 0 is none
        auxiliary: f64 = 0.0, range 0.0 => f64::INFINITY, source "Liu et al. 2019: 0.4";
        /// probability that a sample loses what an edge of a cell brings, in training; skips that change
        /// nothing are spared
        drop_path: f64 = 0.0, range 0.0 => 0.999_999, source "Liu et al. 2019: 0.2 on CIFAR-10";
        /// `drop_path` grows with the epochs from 0; off: it is the same from the start
        drop_path_ramp: bool = true, source "Liu et al. 2019; BioNAS: off";
    }
}

impl CellsPlan {
    /// The size that `from` says, without a genotype.
    ///
    /// # Errors
    /// As for reading any setting.
    pub fn read_size(from: &mut dyn Reader) -> Result<Size> {
        let cells = Self {
            genotype: String::new(),
            channels: Field::read(from, "channels")?,
            cells: Field::read(from, "cells")?,
            stem: Field::read(from, "stem")?,
            rule_scope: Field::read(from, "rule_scope")?,
            rule: Field::read(from, "rule")?,
            auxiliary: Field::read(from, "auxiliary")?,
            drop_path: Field::read(from, "drop_path")?,
            drop_path_ramp: Field::read(from, "drop_path_ramp")?,
        };
        Ok(cells.size())
    }

    /// The size of the network of its genotype.
    #[must_use]
    pub fn size(&self) -> Size {
        let drop_path = DropPathPlan {
            p: self.drop_path,
            ramp: self.drop_path_ramp,
        };
        Size {
            channels: self.channels,
            cells: self.cells,
            stem: self.stem,
            scope: self.rule_scope,
            elsewhere: self.rule.clone(),
            auxiliary: Some(self.auxiliary).filter(|w| *w > 0.0),
            drop_path: Some(drop_path).filter(|plan| plan.p > 0.0),
        }
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
            (RuleScope::All, Some(_)) | (_, None) => Ok(()),
            (scope, Some(rule)) => Err(Error::usage(format!(
                "`rule = \"{rule}\"` has no meaning with the scope `{}`",
                scope.word()
            ))
            .hint("set `rule_scope = \"all\"`")),
        }
    }
}
