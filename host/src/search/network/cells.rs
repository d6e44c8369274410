//! The settings of a network of cells.

use super::size::{Size, Stem};
use crate::Result;
use crate::plan::DropPathPlan;
use crate::plan::define::{Field, Reader, settings};
use crate::search::space::RuleScope;

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
        /// `backprop`; with `one` every layer learns by `rule`, whatever the genotype says
        rule_scope: RuleScope = "ops", source "BioNAS: `ops`";
        /// with `rule_scope = "all"`: the rule of stem, cell inputs and classifier; with `"one"`: of all
        /// layers
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
