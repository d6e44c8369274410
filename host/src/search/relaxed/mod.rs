//! Strategies that train one supernet and derive a genotype from it: DARTS of both orders and GDAS.
//! A supernet is trained as any network is, by steps of its own kind.

pub mod bilevel;
pub mod explore;
mod feed;
pub mod fitness;
pub mod perturb;
pub mod plan;
pub mod record;
pub mod tables;
pub mod unrolled;

pub use plan::{ExplorePlan, Method, PerturbPlan, RelaxedPlan};
pub use tables::Relaxed;

use bilevel::Bilevel;
use explore::Exploration;
use feed::Feed;
use perturb::{OnAnswer, Perturbation};
use record::{OnEpoch, Record};
use unrolled::Descent;

use super::derive;
use super::genotype::Genotype;
use super::network::{self, Size, Supernet};
use super::space::Space;
use crate::data::feed::Samples;
use crate::nn::{Credit, Mode, Tables};
use crate::plan::{BlockPlan, PhasePlan};
use crate::train::criterion::Criterion;
use crate::train::step::GradientStep;
use crate::train::{Architecture, Engine, Step, Steps};
use crate::{Error, Result};

/// Makes the steps of a supernet's phases.
pub struct Searcher {
    /// How it searches.
    pub plan: RelaxedPlan,
    /// In which space.
    pub space: Space,
    /// Seed of the run.
    pub seed: u64,
    /// Who wants the parameters after each epoch.
    pub on_epoch: Option<Box<OnEpoch>>,
    /// Who wants the answers of a derivation by perturbation.
    pub on_answer: Option<Box<OnAnswer>>,
}

impl Searcher {
    /// The second order unrolls steps of gradients, which local rules do not have.
    fn refuse_local(&self, engine: &Engine<'_>) -> Result<()> {
        for block in engine.network.block_names() {
            let rules = engine.network.rules_of(&block);
            if let Some((rule, _)) = rules.iter().find(|(_, credit)| *credit == Credit::Local) {
                return Err(Error::usage(format!(
                    "the second order takes no local rules, and `{rule}` is one"
                ))
                .hint("take the first order, in which local rules learn with the weights"));
            }
        }
        Ok(())
    }
}

impl Steps for Searcher {
    fn kind<'s>(
        &'s self,
        _segment: &str,
        phase: &PhasePlan,
        criterion: &Criterion,
        samples: &dyn Fn(&str) -> Result<&'s (dyn Samples + 's)>,
        engine: &mut Engine<'_>,
    ) -> Result<Option<Box<dyn Step + 's>>> {
        let mut relaxed = Relaxed::of(&self.plan, &self.space);
        relaxed.set_auxiliary(self.plan.auxiliary_skip);
        let start = relaxed.start(self.seed);
        engine.network.set_mixture(&relaxed.mixture(&start))?;
        let descent = match self.plan.method {
            Method::SecondOrder => {
                self.refuse_local(engine)?;
                Some(Descent::of(&phase.optimizer)?)
            }
            _ => None,
        };
        let samples = samples(&self.plan.data)?;
        let from = (self.plan.data.as_str(), phase.batch);
        let record = Record {
            on_epoch: self.on_epoch.as_deref(),
        };
        let perturbed = self.plan.perturb.map(|plan| Perturbation {
            plan,
            seed: self.seed,
            samples,
            answers: Vec::new(),
            on_answer: self.on_answer.as_deref(),
        });
        if let Method::Explore(plan) = &self.plan.method {
            return Ok(Some(Box::new(Exploration {
                plan,
                warmup_epochs: self.plan.warmup_epochs,
                alphas: start,
                relaxed,
                previous: None,
                feed: Feed::new(samples, from, self.seed, phase.augment)?,
                criterion: criterion.clone(),
                weights: GradientStep::of(phase, criterion.clone()),
                seed: self.seed,
                record,
                under_way: Default::default(),
                mode: Mode {
                    blocks: phase.blocks.clone(),
                    drive: Some(phase.drive),
                },
                perturbed,
            })));
        }
        Ok(Some(Box::new(Bilevel {
            plan: &self.plan,
            architecture: Architecture::new(&start, &self.plan.optimizer)?,
            relaxed,
            feed: Feed::new(samples, from, self.seed, phase.augment)?,
            criterion: criterion.clone(),
            weights: GradientStep::of(phase, criterion.clone()),
            descent,
            seed: self.seed,
            record,
            frozen: false,
            perturbed,
        })))
    }
}

/// The blocks of the supernet of `plan`.
///
/// # Errors
/// As for [`network::supernet`].
pub fn blocks(plan: &RelaxedPlan, space: &Space, size: &Size) -> Result<Vec<BlockPlan>> {
    let what = Supernet {
        recompute: plan.recompute,
        edge_weights: plan.edge_weights,
        auxiliary_skip: plan.auxiliary_skip > 0.0,
    };
    network::supernet(space, size, what)
}

/// The genotype of the parameters `alphas`.
///
/// # Errors
/// As for [`derive::genotype`].
pub fn derived(plan: &RelaxedPlan, space: &Space, alphas: &Tables) -> Result<Genotype> {
    let relaxed = Relaxed::of(plan, space);
    derive::genotype(space, &relaxed.strengths(alphas), plan.max_skips)
}
