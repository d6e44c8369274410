//! A study as plain data: what is varied, what is wanted, how values are chosen and trials given up.

use super::space::Space;
use crate::plan::Direction;
use crate::plan::define::{kinds, settings, words};

words! {
    /// What several seeds of a trial together are worth.
    pub enum Score = Mean {
        /// Their mean.
        Mean = "mean",
        /// The end of the one-sided 95 % interval of the mean on its bad side.
        LowerBound = "lower-bound",
    }
}

words! {
    /// Which epoch's value counts.
    pub enum At = Last {
        /// The last that has one.
        Last = "last",
        /// The best.
        Best = "best",
    }
}

kinds! {
    /// How values are chosen.
    pub enum SamplerPlan at "sampler",
        "`random`, `grid`, `sobol`, `tpe`, `cma`, or `command` for a program of yours (docs/sweeps.md)" {
        /// Each value is drawn evenly.
        Random = "random"
        /// Every combination, the last parameter changing fastest.
        Grid = "grid"
        /// A Sobol sequence, shifted by the seed.
        Sobol = "sobol"
        /// Tree-structured Parzen estimator, all parameters together.
        Tpe = "tpe" {
            /// first trials, which are drawn at random
            startup: u64 = 10, range 1.0 => f64::INFINITY;
            /// proposals that are compared for each trial
            candidates: u64 = 24, range 1.0 => 100000.0;
        }
        /// Evolution strategy with an adapted covariance, over the numbers that are always active; the rest is drawn at random.
        Cma = "cma" {
            /// trials of a generation; 0: 4 + ⌊3 ln n⌋ for n numbers
            population: u64 = 0, range 0.0 => 100000.0;
            /// first step size, as a share of each range
            sigma: f64 = 0.167, range 0.0001 => 1.0;
        }
        /// A program that is asked and told in JSON lines.
        Command = "command" {
            /// what the shell runs
            command: String;
        }
    }
}

kinds! {
    /// Where a trial is given up.
    pub enum PrunerPlan at "pruner",
        "`none`, `median`, `percentile` or `asha`; what it goes by is the first objective, of the first seed" {
        /// Nowhere.
        None = "none"
        /// Where its best value so far is worse than the median of those that earlier trials had in the same epoch.
        Median = "median" {
            /// earlier trials with that epoch that there have to be
            startup: u64 = 5, range 1.0 => f64::INFINITY;
            /// first epochs, in which none is given up
            warmup: u64 = 0, range 0.0 => f64::INFINITY, unit "epochs";
            /// it is looked at each so many epochs after those
            interval: u64 = 1, range 1.0 => f64::INFINITY, unit "epochs";
        }
        /// The same with another share than one half.
        Percentile = "percentile" {
            /// the best so many percent of earlier trials go on
            percentile: f64 = 25.0, range 0.0 => 100.0, unit "percent";
            /// earlier trials with that epoch that there have to be
            startup: u64 = 5, range 1.0 => f64::INFINITY;
            /// first epochs, in which none is given up
            warmup: u64 = 0, range 0.0 => f64::INFINITY, unit "epochs";
            /// it is looked at each so many epochs after those
            interval: u64 = 1, range 1.0 => f64::INFINITY, unit "epochs";
        }
        /// Asynchronous successive halving: at rung after rung, only the best of those that came so far go on.
        Asha = "asha" {
            /// epochs of the first rung
            least: u64 = 1, range 1.0 => f64::INFINITY, unit "epochs";
            /// one in so many goes on, and a rung has so many times the epochs of the one before
            reduction: u64 = 4, range 2.0 => 1000.0;
        }
    }
}

settings! {
    /// What is wanted of a trial.
    pub struct Objective at "objectives[]" {
        /// a metric of an epoch (`validation/accuracy`), of a rule (`conv1/convergence`), of the end (`test/accuracy`), or `parameters` or `multiply_adds`, which are counted
        metric: String;
        /// `max` or `min`
        direction: Direction;
        /// `last` or `best` epoch; results of the end and what is counted have one value
        at: At = "last";
    }
}

settings! {
    /// A bound that a trial has to keep: those that do come before those that don't, and are chosen for the winner alone.
    pub struct Constraint at "constraints[]" {
        /// as of an objective
        metric: String;
        /// smallest value
        at_least: Option<f64>;
        /// largest value
        at_most: Option<f64>;
    }
}

impl Constraint {
    /// How far `value` misses the bound, relative to it; 0 where it is kept.
    #[must_use]
    pub fn missed(&self, value: f64) -> f64 {
        let by = |short: f64, bound: f64| match short.is_nan() {
            true => f64::INFINITY,
            false => short.max(0.0) / bound.abs().max(1e-12),
        };
        let low = self.at_least.map_or(0.0, |b| by(b - value, b));
        let high = self.at_most.map_or(0.0, |b| by(value - b, b));
        low + high
    }
}

/// A study.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Its name, that of its runs too.
    pub name: String,
    /// What everything drawn depends on.
    pub seed: u64,
    /// How many trials; of a grid all of it.
    pub trials: u64,
    /// So many may run side by side: trial `n` is chosen from the results of trials 0 to `n − parallel`.
    pub parallel: u64,
    /// Seeds of each trial; empty: those of the configuration.
    pub seeds: Vec<u64>,
    /// What several seeds together are worth.
    pub score: Score,
    /// What is wanted, the first counts for pruning.
    pub objectives: Vec<Objective>,
    /// Bounds.
    pub constraints: Vec<Constraint>,
    /// How values are chosen.
    pub sampler: SamplerPlan,
    /// Where a trial is given up.
    pub pruner: PrunerPlan,
    /// What is varied.
    pub space: Space,
}

impl Study {
    /// Whether a trial is given up somewhere.
    #[must_use]
    pub fn prunes(&self) -> bool {
        self.pruner != PrunerPlan::None
    }
}
