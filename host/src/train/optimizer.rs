//! Optimisers: SGD with momentum and Adam, as the plan documents them.
//! Parameters are known by name, and changed in place, so that the modules see
//! every step and a checkpoint can name the moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::nn::NamedTensor;
use crate::ops::optim::{AdamRates, StepRates, adam_in_place, sgd_in_place};
use crate::plan::OptimizerPlan;
use crate::{Error, Result};

/// An optimiser over the tensors that learn in a phase.
pub struct Optimizer {
    plan: OptimizerPlan,
    clip: f64,
    step: u64,
    slots: BTreeMap<Arc<str>, Slot>,
}

struct Slot {
    parameter: Tensor,
    /// Velocity (SGD) or first and second moment (Adam).
    moments: Vec<Tensor>,
}

impl Optimizer {
    /// A fresh optimiser with zero moments for those of `tensors` that learn.
    pub fn new(plan: &OptimizerPlan, clip: f64, tensors: &[NamedTensor]) -> Result<Self> {
        let moments = match plan {
            OptimizerPlan::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            OptimizerPlan::Adam { .. } => 2,
        };
        let mut slots = BTreeMap::new();
        for named in tensors.iter().filter(|t| t.learns) {
            let slot = Slot {
                parameter: named.tensor.clone(),
                moments: (0..moments)
                    .map(|_| Ok(named.tensor.zeros_like()?))
                    .collect::<Result<_>>()?,
            };
            slots.insert(named.name.clone(), slot);
        }
        Ok(Self {
            plan: plan.clone(),
            clip,
            step: 0,
            slots,
        })
    }

    /// The rate of the plan, before any schedule.
    pub fn base_rate(&self) -> f64 {
        match self.plan {
            OptimizerPlan::Sgd { lr, .. } | OptimizerPlan::Adam { lr, .. } => lr,
        }
    }

    /// Whether nothing learns.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// One step at rate `lr`. A parameter without gradient stays as it is; one
    /// with several gradients gets their sum.
    ///
    /// # Errors
    /// A gradient for a tensor that does not learn, as a plugin error.
    pub fn step(&mut self, gradients: Vec<(Arc<str>, Tensor)>, lr: f64) -> Result<()> {
        self.step += 1;
        let mut merged: BTreeMap<Arc<str>, Tensor> = BTreeMap::new();
        for (name, grad) in gradients {
            let sum = match merged.remove(&name) {
                Some(before) => (before + grad)?,
                None => grad,
            };
            merged.insert(name, sum);
        }
        for (name, grad) in merged {
            let slot = self.slots.get(&name).ok_or_else(|| {
                Error::plugin(format!(
                    "a gradient for `{name}`, which does not learn here"
                ))
            })?;
            self.change(slot, &grad, lr)?;
        }
        Ok(())
    }

    fn change(&self, slot: &Slot, grad: &Tensor, lr: f64) -> Result<()> {
        match self.plan {
            OptimizerPlan::Sgd {
                momentum,
                weight_decay,
                decoupled_decay,
                ..
            } => {
                let rates = StepRates {
                    lr,
                    weight_decay,
                    decoupled_decay,
                    clip: self.clip,
                };
                sgd_in_place(&slot.parameter, grad, slot.moments.first(), momentum, rates)
            }
            OptimizerPlan::Adam {
                betas,
                eps,
                weight_decay,
                decoupled_decay,
                ..
            } => {
                let rates = StepRates {
                    lr,
                    weight_decay,
                    decoupled_decay,
                    clip: self.clip,
                };
                let adam = AdamRates {
                    betas,
                    eps,
                    step: self.step,
                };
                let [first, second] = &slot.moments[..] else {
                    return Err(Error::internal("Adam without its two moments"));
                };
                adam_in_place(&slot.parameter, grad, first, second, adam, rates)
            }
        }
    }

    /// Moments under checkpoint names (`optimizer.<parameter>.<index>`).
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut out = Vec::new();
        for (name, slot) in &self.slots {
            for (i, moment) in slot.moments.iter().enumerate() {
                out.push((format!("optimizer.{name}.{i}"), moment.clone()));
            }
        }
        out
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Restores moments and the step count.
    ///
    /// # Errors
    /// A usage error that names the first missing moment.
    pub fn load(&mut self, step: u64, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<()> {
        self.step = step;
        for (name, moment) in self.tensors() {
            let saved = find(&name)
                .ok_or_else(|| Error::usage(format!("the checkpoint has no tensor `{name}`")))?;
            crate::ops::shape::copy_in_place(&moment, &saved.to_dtype(moment.dtype())?)?;
        }
        Ok(())
    }
}
