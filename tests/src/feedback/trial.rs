//! A network under test: built from plans with the real plugins, driven step by
//! step as the trainer drives one, with the host's own losses and optimisers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use biorule::config::{BlockPlan, Drive, Loss, OptimizerPlan};
use biorule::data::Answers;
use biorule::nn::build::Placement;
use biorule::nn::rule::RuleSource;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use biorule::ops::shape::copy_in_place;
use biorule::train::alignment::{Alignment, measure};
use biorule::train::loss::score;
use biorule::train::optimizer::Optimizer;
use candle_core::{DType, Device, Tensor};

use super::record::{Heard, Recorder, Tape, locked};
use crate::Result;

/// One pass there and back; tensors on the CPU.
pub struct Walk {
    /// Output of the network.
    pub output: Tensor,
    /// Mean loss.
    pub loss: f64,
    /// Samples whose largest output is at their class.
    pub right: f64,
    /// Derivative of the mean loss by the output.
    pub error: Tensor,
    /// Gradients by tensor name.
    pub gradients: BTreeMap<String, Tensor>,
}

/// A network with its loss, its batch and its optimiser.
pub struct Trial {
    network: Network,
    tape: Arc<Mutex<Tape>>,
    optimizer: Optimizer,
    loss: Loss,
    x: Tensor,
    answers: Answers,
}

impl Trial {
    /// A network of `blocks` for the batch `x`, every block learning from gradients.
    ///
    /// # Errors
    /// The plan does not fit.
    pub fn new(
        rules: &dyn RuleSource,
        blocks: &[BlockPlan],
        (x, answers): (Tensor, Answers),
        outputs: usize,
        loss: Loss,
        optimizer: &OptimizerPlan,
    ) -> Result<Self> {
        let recorder = Recorder::new(rules);
        let input = InputShape {
            dims: x.dims()[1..].to_vec(),
            outputs,
        };
        let place = Placement {
            device: crate::device(),
            dtype: x.dtype(),
            seed: 7,
        };
        let mut network = Network::build(blocks, &input, &recorder, &place)?;
        network.set_mode(&Mode {
            blocks: network.block_names(),
            drive: Some(Drive::Gradient),
        });
        let optimizer = Optimizer::new(optimizer, 0.0, &network.tensors())?;
        Ok(Self {
            network,
            tape: recorder.tape(),
            optimizer,
            loss,
            x: x.to_device(&place.device)?,
            answers: answers.on(&place.device)?,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }
    /// What passed through `block` in the last pass.
    pub fn heard(&self, block: &str) -> Heard {
        let tape = locked(&self.tape);
        tape.heard.get(block).cloned().unwrap_or_default()
    }
    /// What stands in the place of what the rule of `block` keeps as `name`.
    pub fn kept(&self, block: &str, name: &str) -> Option<Tensor> {
        let tape = locked(&self.tape);
        tape.kept.get(&(block.into(), name.into())).cloned()
    }
    /// Puts `tensor` in the place of what the rule of `block` keeps as `name`.
    pub fn replace_kept(&self, block: &str, name: &str, tensor: Tensor) {
        locked(&self.tape)
            .kept
            .insert((block.into(), name.into()), tensor);
    }

    /// A tensor of the network, a copy on the CPU.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        Ok(self.slot(name)?.copy()?.to_device(&Device::Cpu)?)
    }
    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.slot(name).is_ok()
    }
    /// Overwrites a tensor of the network.
    ///
    /// # Errors
    /// There is none of this name, or the shapes differ.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        let slot = self.slot(name)?;
        if slot.dims() != value.dims() {
            let (have, want) = (slot.dims(), value.dims());
            return Err(format!("`{name}` has shape {have:?}, given {want:?}").into());
        }
        let value = value.to_device(slot.device())?.to_dtype(slot.dtype())?;
        copy_in_place(&slot, &value.contiguous()?)?;
        Ok(())
    }
    fn slot(&self, name: &str) -> Result<Tensor> {
        let tensors = self.network.tensors();
        let found = tensors
            .iter()
            .find(|t| &*t.name == name)
            .map(|t| t.tensor.clone());
        Ok(found.ok_or_else(|| {
            let names: Vec<&str> = tensors.iter().map(|t| &*t.name).collect();
            format!("no tensor `{name}` in the network, only {names:?}")
        })?)
    }

    /// There and back by the rules, ending at the gradient of the input; nothing changes.
    ///
    /// # Errors
    /// A rule failed.
    pub fn walk(&mut self) -> Result<Walk> {
        self.pass(false, None)
    }
    /// The same by exact backpropagation, whatever the rules.
    ///
    /// # Errors
    /// A rule failed.
    pub fn walk_exactly(&mut self) -> Result<Walk> {
        self.pass(true, None)
    }
    /// One training step; what it saw before it changed anything.
    ///
    /// # Errors
    /// A rule failed.
    pub fn step(&mut self) -> Result<Walk> {
        let rate = self.optimizer.base_rate();
        self.step_with_rate(rate)
    }
    /// The same at another rate of the optimiser.
    ///
    /// # Errors
    /// A rule failed.
    pub fn step_with_rate(&mut self, rate: f64) -> Result<Walk> {
        self.pass(false, Some(rate))
    }

    fn pass(&mut self, exact: bool, rate: Option<f64>) -> Result<Walk> {
        let mut pass = Pass::gradient(Clock {
            seed: 11,
            batch: self.x.dims()[0],
            ..Clock::default()
        });
        if rate.is_none() {
            pass = pass.wanting_input();
        }
        pass.exact = exact;
        (pass.local, pass.statistics) = (rate.is_some(), rate.is_some());
        let output = self.network.forward_all(&mut pass, &self.x)?;
        let scored = score(self.loss, &output, &self.answers)?;
        pass.output_error = Some(scored.grad.clone());
        if rate.is_some() {
            self.network.apply_changes()?;
        }
        let blocks = 0..self.network.len();
        self.network.backward(&mut pass, &scored.grad, blocks)?;
        let cpu = &Device::Cpu;
        let named = pass.gradients.iter();
        let gradients = named
            .map(|(name, g)| -> Result<_> { Ok((name.to_string(), g.to_device(cpu)?)) })
            .collect::<Result<_>>()?;
        if let Some(rate) = rate {
            self.optimizer.step(pass.gradients, rate)?;
            self.network.end_step();
        }
        let sums = scored.sums.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        Ok(Walk {
            output: output.to_device(cpu)?,
            loss: sums[0] / self.answers.len() as f64,
            right: sums[1],
            error: scored.grad.to_device(cpu)?,
            gradients,
        })
    }

    /// Agreement of the rules' gradients with the true ones.
    ///
    /// # Errors
    /// A rule failed.
    pub fn alignment(&mut self) -> Result<Alignment> {
        let clock = Clock {
            seed: 11,
            ..Clock::default()
        };
        let found = measure(&mut self.network, &self.x, &self.answers, self.loss, &clock)?;
        Ok(found)
    }

    /// What the rule of `block` reports.
    ///
    /// # Errors
    /// The rule failed.
    pub fn metrics(&self, block: &str) -> Result<BTreeMap<String, f64>> {
        let all = self.network.metrics(&Clock {
            seed: 11,
            ..Clock::default()
        })?;
        let own = all.into_iter().find(|(name, _)| name == block);
        Ok(own
            .map(|(_, values)| values.into_iter().collect())
            .unwrap_or_default())
    }
}
