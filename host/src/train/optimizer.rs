//! Optimisers: SGD with momentum and Adam, as the plan documents them.
//! Parameters are known by name, and changed in place, so that the modules see
//! every step and a checkpoint can name the moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::nn::{NamedTensor, Role};
use crate::ops::optim::{AdamRates, StepRates, adam_in_place, sgd_in_place};
use crate::ops::reduce::dot;
use crate::plan::{GradientClip, GroupPlan, OptimizerPlan, PhasePlan, TensorRole};
use crate::{Error, Result};

/// An optimiser over the tensors that learn in a phase, in groups that have each its own plan.
pub struct Optimizer {
    /// The first is that of all tensors that no other group takes.
    groups: Vec<OptimizerPlan>,
    clip: GradientClip,
    step: u64,
    slots: BTreeMap<Arc<str>, Slot>,
}

struct Slot {
    parameter: Tensor,
    group: usize,
    /// Velocity (SGD) or first and second moment (Adam).
    moments: Vec<Tensor>,
}

/// Added to the norm that gradients are divided by, as in PyTorch's `clip_grad_norm_`.
const CLIP_EPS: f64 = 1e-6;

impl Optimizer {
    /// A fresh optimiser with zero moments for those of `tensors` that learn.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        plan: &OptimizerPlan,
        clip: impl Into<GradientClip>,
        tensors: &[NamedTensor],
    ) -> Result<Self> {
        Self::grouped(plan, &[], clip, tensors)
    }

    /// That of a phase.
    ///
    /// # Errors
    /// The device has no room.
    pub fn of(phase: &PhasePlan, tensors: &[NamedTensor]) -> Result<Self> {
        Self::grouped(
            &phase.optimizer,
            &phase.groups,
            phase.gradient_clip,
            tensors,
        )
    }

    /// A fresh optimiser in which the first of `groups` that takes a tensor has it, and `plan`
    /// all others.
    ///
    /// # Errors
    /// The device has no room.
    pub fn grouped(
        plan: &OptimizerPlan,
        groups: &[GroupPlan],
        clip: impl Into<GradientClip>,
        tensors: &[NamedTensor],
    ) -> Result<Self> {
        let mut plans = vec![plan.clone()];
        plans.extend(groups.iter().map(|g| g.optimizer.clone()));
        let mut slots = BTreeMap::new();
        for named in tensors.iter().filter(|t| t.learns) {
            let taken = groups.iter().position(|g| takes(g, named));
            let group = taken.map_or(0, |at| at + 1);
            let moments = match &plans[group] {
                OptimizerPlan::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
                OptimizerPlan::Adam { .. } => 2,
            };
            let slot = Slot {
                parameter: named.tensor.clone(),
                group,
                moments: (0..moments)
                    .map(|_| Ok(named.tensor.zeros_like()?))
                    .collect::<Result<_>>()?,
            };
            slots.insert(named.name.clone(), slot);
        }
        Ok(Self {
            groups: plans,
            clip: clip.into(),
            step: 0,
            slots,
        })
    }

    /// That of a phase in which no gradient changes anything.
    pub fn none() -> Self {
        Self {
            groups: Vec::new(),
            clip: GradientClip::default(),
            step: 0,
            slots: BTreeMap::new(),
        }
    }

    /// The learning rate of the first group, before any schedule; 0 where there is none.
    pub fn base_rate(&self) -> f64 {
        self.groups.first().map_or(0.0, OptimizerPlan::lr)
    }

    /// Whether nothing learns.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// One step at the learning rate `lr` in every group. A parameter without gradient stays as
    /// it is; one with several gradients gets their sum.
    ///
    /// # Errors
    /// A gradient for a tensor that does not learn, as a plugin error.
    pub fn step(&mut self, gradients: Vec<(Arc<str>, Tensor)>, lr: f64) -> Result<()> {
        self.step_at(gradients, &|_| lr)
    }

    /// One step, each group at `rate` of its own learning rate.
    ///
    /// # Errors
    /// As for [`Optimizer::step`].
    pub fn step_at(
        &mut self,
        gradients: Vec<(Arc<str>, Tensor)>,
        rate: &dyn Fn(f64) -> f64,
    ) -> Result<()> {
        self.step += 1;
        let mut merged: BTreeMap<Arc<str>, Tensor> = BTreeMap::new();
        for (name, grad) in gradients {
            let sum = match merged.remove(&name) {
                Some(before) => (before + grad)?,
                None => grad,
            };
            merged.insert(name, sum);
        }
        let scale = match self.clip {
            GradientClip::Norm { norm } if norm > 0.0 => scale_to_norm(&merged, norm)?,
            _ => None,
        };
        let rates: Vec<f64> = self.groups.iter().map(|g| rate(g.lr())).collect();
        for (name, grad) in merged {
            let slot = self.slots.get(&name).ok_or_else(|| {
                Error::plugin(format!(
                    "a gradient for `{name}`, which does not learn here"
                ))
            })?;
            let grad = match &scale {
                Some(scale) => grad.broadcast_mul(&scale.to_dtype(grad.dtype())?)?,
                None => grad,
            };
            self.change(slot, &grad, rates[slot.group])?;
        }
        Ok(())
    }

    fn change(&self, slot: &Slot, grad: &Tensor, lr: f64) -> Result<()> {
        let clip = self.clip.by_element();
        match self.groups[slot.group] {
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
                    clip,
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
                    clip,
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

/// Whether a group's plan names this tensor.
fn takes(group: &GroupPlan, named: &NamedTensor) -> bool {
    let prefixed = group
        .prefixes
        .iter()
        .any(|p| named.name.starts_with(p.as_str()));
    (group.prefixes.is_empty() || prefixed)
        && (group.roles.is_empty() || group.roles.contains(&role(named)))
}

/// What a tensor is, as plans of groups name it.
fn role(named: &NamedTensor) -> TensorRole {
    let mut parts = named.name.rsplit('.').skip(1);
    match named.role {
        _ if parts
            .next()
            .is_some_and(|module| module.starts_with("norm")) =>
        {
            TensorRole::Norm
        }
        Role::Bias => TensorRole::Bias,
        Role::LearnedFeedback => TensorRole::Feedback,
        _ => TensorRole::Weight,
    }
}

/// `min(1, norm / (‖g‖₂ + 1e-6))` over all gradients together, an `f64` without axes on their
/// device; `None` where it is known to be 1. The squares are summed in the order of the names.
fn scale_to_norm(gradients: &BTreeMap<Arc<str>, Tensor>, norm: f64) -> Result<Option<Tensor>> {
    let squares = gradients.values().map(|g| dot(g, g));
    let squares: Vec<Tensor> = squares.collect::<Result<_>>()?;
    let Some(first) = squares.first() else {
        return Ok(None);
    };
    if first.device().is_cpu() {
        let mut total = 0.0;
        for square in &squares {
            total += square.to_scalar::<f64>()?;
        }
        let scale = norm / (total.sqrt() + CLIP_EPS);
        let scale = (scale < 1.0).then(|| Tensor::new(scale, first.device()));
        return Ok(scale.transpose()?);
    }
    // No look at the number: that would wait for the GPU.
    let total = Tensor::stack(&squares, 0)?.sum_all()?.sqrt()?;
    let scale = ((total + CLIP_EPS)?.recip()? * norm)?;
    Ok(Some(scale.minimum(1.0)?))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    const SGD: OptimizerPlan = OptimizerPlan::Sgd {
        lr: 0.1,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };

    fn ones(names: &[(&str, Role)]) -> Vec<NamedTensor> {
        let one = |&(name, role): &(&str, Role)| NamedTensor {
            name: Arc::from(name),
            tensor: Tensor::ones(2, DType::F64, &Device::Cpu).expect("a tensor"),
            role,
            learns: true,
        };
        names.iter().map(one).collect()
    }

    fn gradients(tensors: &[NamedTensor], values: [f64; 2]) -> Vec<(Arc<str>, Tensor)> {
        let one = |t: &NamedTensor| {
            let grad = Tensor::new(&values, &Device::Cpu).expect("a gradient");
            (t.name.clone(), grad)
        };
        tensors.iter().map(one).collect()
    }

    fn values(tensors: &[NamedTensor]) -> Vec<f64> {
        let all = tensors.iter().map(|t| t.tensor.to_vec1::<f64>());
        all.flat_map(|v| v.expect("numbers")).collect()
    }

    /// PyTorch's `clip_grad_norm_`: one factor for all gradients, which depends on none of their
    /// elements alone.
    #[test]
    fn the_norm_of_all_gradients_together_is_clipped() {
        let names = [("a", Role::Weight), ("b", Role::Weight)];
        for (norm, clipped) in [(1.0, true), (100.0, false), (0.0, false)] {
            let tensors = ones(&names);
            let clip = GradientClip::Norm { norm };
            let mut optimizer = Optimizer::new(&SGD, clip, &tensors).expect("an optimiser");
            let grads = gradients(&tensors, [3.0, -4.0]);
            optimizer.step(grads, 0.1).expect("a step");
            // Twice 3 and 4: the norm is 5·√2.
            let factor = match clipped {
                true => norm / (50f64.sqrt() + 1e-6),
                false => 1.0,
            };
            for (at, value) in values(&tensors).into_iter().enumerate() {
                let expected = 1.0 - 0.1 * factor * [3.0, -4.0][at % 2];
                assert!((value - expected).abs() < 1e-15, "{value} {expected}");
            }
        }
    }

    #[test]
    fn each_group_has_its_own_learning_rate_and_decay() {
        let tensors = ones(&[
            ("blocks.body.layer.weight", Role::Weight),
            ("blocks.body.layer.bias", Role::Bias),
            ("blocks.body.norm.weight", Role::Weight),
            ("blocks.head.layer.weight", Role::Weight),
        ]);
        let group = |prefixes: &[&str], roles: &[TensorRole], lr, weight_decay| GroupPlan {
            prefixes: prefixes.iter().map(|p| (*p).to_owned()).collect(),
            roles: roles.to_vec(),
            optimizer: OptimizerPlan::Sgd {
                lr,
                momentum: 0.0,
                weight_decay,
                decoupled_decay: 0.0,
            },
        };
        let groups = [
            group(&["blocks.head."], &[], 0.2, 0.5),
            group(&[], &[TensorRole::Bias, TensorRole::Norm], 0.3, 0.0),
        ];
        let optimizer = Optimizer::grouped(&SGD, &groups, 0.0, &tensors);
        let mut optimizer = optimizer.expect("an optimiser");
        let grads = gradients(&tensors, [1.0, 2.0]);
        optimizer
            .step_at(grads, &|base| base * 0.5)
            .expect("a step");
        let step = |lr: f64, decay: f64, g: f64| 1.0 - 0.5 * lr * (g + decay);
        let expected = [(0.1, 0.0), (0.3, 0.0), (0.3, 0.0), (0.2, 0.5)];
        let expected = expected
            .iter()
            .flat_map(|&(lr, d)| [1.0, 2.0].map(|g| step(lr, d, g)));
        for (value, expected) in values(&tensors).into_iter().zip(expected) {
            assert!((value - expected).abs() < 1e-15, "{value} {expected}");
        }
    }

    /// Names of moments say nothing of groups, so that a checkpoint outlives a change of them.
    #[test]
    fn groups_change_no_names_of_a_checkpoint() {
        let tensors = ones(&[("a", Role::Weight), ("b", Role::Bias)]);
        let adam = OptimizerPlan::Adam {
            lr: 0.1,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        };
        let group = GroupPlan {
            prefixes: Vec::new(),
            roles: vec![TensorRole::Bias],
            optimizer: adam.clone(),
        };
        let names = |groups: &[GroupPlan]| -> Vec<String> {
            let optimizer = Optimizer::grouped(&adam, groups, 0.0, &tensors);
            let all = optimizer.expect("an optimiser").tensors().into_iter();
            all.map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[group]), names(&[]));
    }
}
