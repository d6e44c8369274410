//! Numbers beyond use: NaN and infinity end a run, weights and losses that have only grown out of
//! all proportion end in a warning.

use candle_core::{DType, Device};

use super::evaluate::Scores;
use super::progress::Progress;
use super::run::Trainer;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::nn::Network;
use crate::nn::rule::Credit;
use crate::plan::{
    ActivationPlan, BlockPlan, Drive, Loss, OptimizerPlan, ParamValue, PhasePlan, every_block,
};
use crate::text::number::readable;
use crate::{Error, ExitCode, Result};

/// A loss beyond this many times that of a guess is no result.
const LOSS_LIMIT: f64 = 1e3;
/// Weights that have grown beyond this many times their initial norm.
const GROWTH_LIMIT: f64 = 1e6;
/// Growth from which on a block is named as the likely cause of a huge loss.
const GROWTH_NAMED: f64 = 10.0;
/// Weights of this norm have squares that no `f32` holds: nothing can be learned from them.
const OVERFLOW: f64 = 1.8e19;
/// What initial weights of zero are taken for, each.
const SMALLEST_INITIAL: f64 = 1e-3;
/// Rules that keep the weights of a unit at a given length.
const BOUNDED: [&str; 3] = ["hebbian/oja", "krotov", "softhebb"];

/// Norms of the weights of each block before training.
pub(super) struct InitialNorms(Vec<(String, f64)>);

impl InitialNorms {
    /// Those of a network that was just built.
    pub(super) fn of(network: &Network) -> Result<Self> {
        let norm = |(block, count, norm): (String, usize, f64)| {
            (block, norm.max(SMALLEST_INITIAL * (count as f64).sqrt()))
        };
        Ok(Self(
            network.weight_norms()?.into_iter().map(norm).collect(),
        ))
    }

    /// The block whose weights have grown most, and how many times.
    fn most_grown(&self, network: &Network) -> Result<Option<(String, f64)>> {
        let now = network.weight_norms()?;
        let growth = self
            .0
            .iter()
            .zip(now)
            .map(|((block, before), (_, _, after))| (block.clone(), after / before));
        Ok(growth.reduce(|a, b| if b.1 > a.1 { b } else { a }))
    }
}

impl Trainer<'_> {
    /// The error for NaN or infinity, with the block that holds it.
    pub(super) fn diverged(&self) -> Result<Error> {
        let (epoch, batch) = (self.position.epoch + 1, self.position.batch + 1);
        self.diverged_at(&format!("in epoch {epoch}, batch {batch}"))
    }

    fn diverged_at(&self, place: &str) -> Result<Error> {
        let block = self.engine.network.diverged_block()?;
        let (text, block) = match block {
            Some(block) => {
                let what = format!("{} holds NaN or infinity", self.block_with_rules(&block));
                (what, Some(block))
            }
            None => {
                let grown = self.initial.most_grown(&self.engine.network)?;
                let grown = grown.filter(|(_, growth)| *growth > GROWTH_NAMED);
                let why = grown.as_ref().map_or(String::new(), |g| self.growth(g));
                let text = format!("the loss is NaN or infinity{why}");
                (text, grown.map(|(block, _)| block))
            }
        };
        let phase = self.segment.phases.get(self.position.phase);
        let hint = self.remedy(block.as_deref(), phase.or(self.segment.phases.last()));
        Ok(Error::new(ExitCode::Diverged, format!("{text} {place}")).hint(hint))
    }

    /// Refuses a result that is not a number; warns of one that is beyond use.
    pub(super) fn check_result(
        &self,
        scores: &Scores,
        loss: Loss,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        if !scores.loss.is_finite() {
            return self.diverged_at("on the test set").map(Err)?;
        }
        for (block, _, norm) in self.engine.network.weight_norms()? {
            if norm > OVERFLOW {
                let hint = self.remedy(Some(&block), self.segment.phases.last());
                let (block, norm) = (self.block_with_rules(&block), readable(norm));
                let text = format!("the weights of {block} have the norm {norm}");
                return Err(Error::new(ExitCode::Diverged, text).hint(hint));
            }
        }
        let grown = self.initial.most_grown(&self.engine.network)?;
        let guess = loss_of_a_guess(loss, &*self.data.test)?;
        let huge = guess.filter(|guess| scores.loss > LOSS_LIMIT * guess);
        let limit = if huge.is_some() {
            GROWTH_NAMED
        } else {
            GROWTH_LIMIT
        };
        let grown = grown.filter(|(_, growth)| *growth > limit);
        let text = match (huge, &grown) {
            (Some(guess), grown) => format!(
                "the result is of no use: its loss is {}, that of a guess {}{}",
                readable(scores.loss),
                readable(guess),
                grown.as_ref().map_or(String::new(), |g| self.growth(g))
            ),
            (None, Some(grown)) => format!("the result may be of no use{}", self.growth(grown)),
            (None, None) => return Ok(()),
        };
        let text = match self.position.segment {
            0 => text,
            _ => format!("baseline `{}`: {text}", self.segment.name),
        };
        let block = grown.map(|(block, _)| block);
        let hint = self.remedy(block.as_deref(), self.segment.phases.last());
        progress.warn("no-use", &text, Some(&hint));
        Ok(())
    }

    fn growth(&self, (block, growth): &(String, f64)) -> String {
        let times = match *growth < 1e6 {
            true => format!("{growth:.0}"),
            false => readable(*growth),
        };
        let block = self.block_with_rules(block);
        format!("; the weights of {block} are {times} times as large as in the beginning")
    }

    /// "block `a` (rule `b`)".
    fn block_with_rules(&self, block: &str) -> String {
        let mut rules: Vec<String> = Vec::new();
        for (rule, _) in self.engine.network.rules_of(block) {
            let rule = format!("`{rule}`");
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        match rules.len() {
            0 => format!("block `{block}`"),
            1 => format!("block `{block}` (rule {})", rules[0]),
            _ => format!("block `{block}` (rules {})", rules.join(", ")),
        }
    }

    /// What helps against growth in `block`, or where that is not known, in `phase`.
    fn remedy(&self, block: Option<&str>, phase: Option<&PhasePlan>) -> String {
        let rules = block.map_or_else(Vec::new, |b| self.engine.network.rules_of(b));
        let trains = |p: &&PhasePlan| block.is_some_and(|b| p.blocks.iter().any(|n| n == b));
        let at_most = self
            .position
            .phase
            .min(self.segment.phases.len().saturating_sub(1));
        let phases = self.segment.phases.get(..=at_most).unwrap_or_default();
        let phase = phases.iter().rfind(trains).or(phase);
        let local = match rules.first() {
            Some(_) => rules.iter().all(|(_, credit)| *credit == Credit::Local),
            None => phase.is_some_and(|p| p.drive == Drive::Local),
        };
        let lower = match phase {
            Some(phase) if local => lower_local(phase, &rules),
            Some(phase) => lower_optimizer(phase),
            None => "lower the learning rate".to_owned(),
        };
        match steep(&self.segment.blocks, block) {
            Some(other) => format!("{lower}; or {other}"),
            None => lower,
        }
    }
}

/// The setting of `block`, else of any other, that makes large numbers out of small ones.
fn steep(blocks: &[BlockPlan], block: Option<&str>) -> Option<String> {
    let mut all = every_block(blocks);
    all.sort_by_key(|b| block != Some(b.name.as_str()));
    all.into_iter().find_map(|b| {
        if let Some(ActivationPlan::Exp { gain }) = &b.activation {
            return Some(format!(
                "lower the `gain` of `activation = \"exp\"` in block `{}`, now {}: exp(gain x) grows without bound",
                b.name,
                short(*gain)
            ));
        }
        let layer = b.layer.as_ref()?;
        let p = match layer.params.get("lebesgue_p")? {
            ParamValue::Float(p) => *p,
            ParamValue::Int(p) => *p as f64,
            ParamValue::Bool(_) | ParamValue::Text(_) => return None,
        };
        (p > USUAL_P).then(|| {
            format!(
                "lower `lebesgue_p` of block `{}`, now {}: weights are taken to the power p - 1",
                b.name,
                short(p)
            )
        })
    })
}

/// Largest exponent of Krotov and Hopfield 2019 whose powers of weights stay far from the limits of
/// `f32`.
const USUAL_P: f64 = 8.0;

fn lower_local(phase: &PhasePlan, rules: &[(String, Credit)]) -> String {
    let rate = match (&phase.local_rate, rules) {
        (Some(_), _) => format!("`local_rate` of phase `{}`", phase.name),
        (None, [(rule, _)]) => format!("the rule's rate, `lr` of `{rule}`"),
        (None, _) => "the rate of its rule, `lr`".to_owned(),
    };
    let bounded = rules
        .iter()
        .any(|(rule, _)| BOUNDED.contains(&rule.as_str()));
    match bounded {
        true => format!("lower {rate}"),
        false => format!(
            "lower {rate}, or take a rule that bounds its weights, such as `{}`",
            BOUNDED.join("`, `")
        ),
    }
}

fn lower_optimizer(phase: &PhasePlan) -> String {
    // Adam's step does not depend on the size of a gradient.
    let (lr, clip) = match &phase.optimizer {
        OptimizerPlan::Sgd { lr, .. } => (lr, phase.gradient_clip.is_off()),
        OptimizerPlan::Adam { lr, .. } => (lr, false),
    };
    let lower = format!(
        "lower `optimizer.lr` of phase `{}`, now {}",
        phase.name,
        short(*lr)
    );
    match clip {
        true => format!("{lower}, or clip gradients with `gradient_clip`"),
        false => lower,
    }
}

/// A rate as one writes it: `0.01`, `1e30`.
fn short(rate: f64) -> String {
    match (1e-4..1e6).contains(&rate) {
        true => rate.to_string(),
        false => format!("{rate:e}"),
    }
}

/// The loss of one who gives every class the same probability, or the mean of the targets for
/// every sample; `None` where nothing can be told from it.
fn loss_of_a_guess(loss: Loss, samples: &dyn Samples) -> Result<Option<f64>> {
    let outputs = samples.outputs() as f64;
    let guess = match (loss, samples.classes()) {
        (Loss::CrossEntropy, _) => outputs.ln(),
        // Targets of 0 and 1, answers of 1/C.
        (Loss::Mse, true) => (outputs - 1.0) / (2.0 * outputs * outputs),
        (Loss::Mse, false) => half_variance(samples)?,
    };
    Ok((guess > 0.0).then_some(guess))
}

/// Half the variance of the targets, over all samples, as a mean over the outputs.
fn half_variance(samples: &dyn Samples) -> Result<f64> {
    let indices: Vec<u32> = (0..samples.len() as u32).collect();
    let Answers::Values(values) = samples.answers(&indices)? else {
        return Ok(0.0);
    };
    let values = values.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let off = values.broadcast_sub(&values.mean_keepdim(0)?)?;
    Ok(0.5 * off.sqr()?.mean_all()?.to_scalar::<f64>()?)
}
