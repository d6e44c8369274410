//! The rule layer: a synaptic map whose forward, learning and backward belong
//! to a rule; the layer owns the state and applies the changes.

use std::sync::Arc;

use candle_core::Tensor;

use super::map::LayerMap;
use super::module::{MetricsVisitor, Mode, Module, NamedTensor};
use super::pass::{Kept, Pass};
use super::rule::{
    Activity, Change, Credit, Errors, LayerShape, Role, Rule, RuleCall, RuleGradients, StateTensor,
};
use crate::config::plan::Drive;
use crate::ops::dense;
use crate::ops::dropout::mix;
use crate::{Error, Result};

/// A layer with its rule and state.
pub struct RuleLayer {
    prefix: String,
    names: Vec<Arc<str>>,
    shape: LayerShape,
    map: LayerMap,
    rule: Box<dyn Rule>,
    state: Vec<StateTensor>,
    steps: u64,
    training: bool,
    local: bool,
    gradient: bool,
    pending: Vec<Change>,
}

impl RuleLayer {
    /// A layer with freshly initialised state; `prefix` starts its tensor names.
    pub fn new(
        prefix: &str,
        shape: LayerShape,
        map: LayerMap,
        rule: Box<dyn Rule>,
        state: Vec<StateTensor>,
    ) -> Self {
        let names = state
            .iter()
            .map(|s| Arc::from(format!("{prefix}.{}", s.name)))
            .collect();
        Self {
            prefix: prefix.to_owned(),
            names,
            shape,
            map,
            rule,
            state,
            steps: 0,
            training: false,
            local: false,
            gradient: false,
            pending: Vec::new(),
        }
    }

    fn call(&self, pass: &Pass, learning: bool) -> RuleCall {
        RuleCall {
            step: self.steps,
            seed: mix(&[pass.clock.seed, self.shape.index as u64]),
            training: self.training,
            learning,
            ..pass.clock.call()
        }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::plugin(format!("rule `{}`: {what}", self.rule.name()))
    }

    fn check_output(&self, x: &Tensor, y: &Tensor) -> Result<()> {
        let mut expected = vec![x.dims()[0]];
        expected.extend(&self.shape.output);
        if y.dims() == expected {
            return Ok(());
        }
        Err(self.wrong(format_args!(
            "forward gave a tensor of shape {:?} where {expected:?} is due",
            y.dims()
        )))
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.state
            .iter()
            .position(|s| s.name == name)
            .ok_or_else(|| self.wrong(format_args!("there is no state tensor `{name}`")))
    }

    /// Exact back-propagation through the map, whatever the rule.
    fn exact(&self, x: &Tensor, grad: &Tensor, want_x: bool, own: bool) -> Result<RuleGradients> {
        let mut out = RuleGradients::default();
        if want_x {
            let weight = self
                .rule
                .effective_weight(&self.state)?
                .ok_or_else(|| self.wrong("no weight to carry a gradient through the layer"))?;
            out.grad_x = Some(self.map.feedback(grad, &weight)?);
        }
        if own {
            for state in &self.state {
                match (state.role, state.name.as_str()) {
                    (Role::Weight, "weight") => out
                        .grads
                        .push((state.name.clone(), self.map.correlate(x, grad)?)),
                    (Role::Bias, _) => out
                        .grads
                        .push((state.name.clone(), dense::channel_sum(grad)?)),
                    _ => {}
                }
            }
        }
        Ok(out)
    }

    fn record(&self, pass: &mut Pass, grads: Vec<(String, Tensor)>) -> Result<()> {
        for (name, grad) in grads {
            let i = self.position(&name)?;
            let state = &self.state[i];
            if !state.role.is_trained() {
                return Err(self.wrong(format_args!(
                    "backward gave a gradient for `{name}`, which no optimiser changes"
                )));
            }
            if grad.dims() != state.tensor.dims() {
                return Err(self.wrong(format_args!(
                    "the gradient of `{name}` has shape {:?}, the tensor {:?}",
                    grad.dims(),
                    state.tensor.dims()
                )));
            }
            pass.gradients.push((self.names[i].clone(), grad));
        }
        Ok(())
    }
}

impl Module for RuleLayer {
    fn is_layer(&self) -> bool {
        true
    }

    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        let credit = self.rule.credit();
        let by_gradient = matches!(mode.drive, Some(Drive::Gradient | Drive::Both));
        let by_itself = matches!(mode.drive, Some(Drive::Local | Drive::Both));
        self.training = listed;
        self.gradient = listed && by_gradient && credit != Credit::Local;
        self.local = listed
            && mode.drive.is_some()
            && match credit {
                Credit::Local => by_itself,
                Credit::Feedback | Credit::Direct => self.rule.also_local(),
            };
    }

    fn learns(&self) -> bool {
        self.gradient
    }

    fn acts(&self) -> bool {
        self.local
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let local = self.local && pass.learn;
        let call = self.call(pass, local || (self.gradient && pass.keep));
        let out = self.rule.forward(&call, &self.state, x)?;
        self.check_output(x, &out.y)?;
        if local {
            let activity = Activity {
                x,
                y: &out.y,
                kept: &out.kept,
                target: pass.target.as_ref(),
            };
            self.pending = self.rule.learn(&call, &self.state, &activity)?;
        }
        pass.push(|| Kept {
            tensors: vec![x.clone(), out.y.clone()],
            named: out.kept,
            dims: Vec::new(),
        });
        Ok(out.y)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let (x, y) = (&kept.tensors[0], &kept.tensors[1]);
        let out = if pass.exact || self.rule.credit() == Credit::Local {
            self.exact(x, grad, want, self.gradient)?
        } else {
            let call = self.call(pass, self.gradient);
            let errors = Errors {
                x,
                y,
                kept: &kept.named,
                grad_y: grad,
                output_error: pass.output_error.as_ref(),
                want_grad_x: want,
                want_grads: self.gradient,
            };
            self.rule.backward(&call, &self.state, &errors)?
        };
        if self.gradient {
            self.record(pass, out.grads)?;
        }
        match out.grad_x {
            Some(g) if want && g.dims() != x.dims() => Err(self.wrong(format_args!(
                "the error for the layer below has shape {:?}, the input {:?}",
                g.dims(),
                x.dims()
            ))),
            None if want => Err(self.wrong("backward gave no error for the layer below")),
            g => Ok(g.filter(|_| want)),
        }
    }

    fn apply_changes(&mut self) -> Result<()> {
        for change in std::mem::take(&mut self.pending) {
            let state = &self.state[self.position(&change.name)?];
            if change.tensor.dims() != state.tensor.dims() {
                return Err(self.wrong(format_args!(
                    "the change of `{}` has shape {:?}, the tensor {:?}",
                    change.name,
                    change.tensor.dims(),
                    state.tensor.dims()
                )));
            }
            if state.role == Role::FixedFeedback {
                return Err(self.wrong(format_args!("`{}` is fixed feedback", change.name)));
            }
            change.apply(&state.tensor)?;
        }
        Ok(())
    }

    fn start_phase(&mut self) {
        self.steps = 0;
    }

    fn end_step(&mut self) {
        if self.local || self.gradient {
            self.steps += 1;
        }
    }

    fn tensors(&self, out: &mut Vec<NamedTensor>) {
        for (state, name) in self.state.iter().zip(&self.names) {
            out.push(NamedTensor {
                name: name.clone(),
                tensor: state.tensor.clone(),
                role: state.role,
                learns: self.gradient && state.role.is_trained(),
            });
        }
    }

    fn counters(&mut self, visit: &mut dyn FnMut(&str, &mut u64)) {
        visit(&format!("{}.steps", self.prefix), &mut self.steps);
    }

    fn metrics(&self, call: &RuleCall, visit: &mut MetricsVisitor<'_>) -> Result<()> {
        let call = RuleCall {
            step: self.steps,
            seed: mix(&[call.seed, self.shape.index as u64]),
            training: self.training,
            learning: self.local || self.gradient,
            ..call.clone()
        };
        let values = self.rule.metrics(&call, &self.state)?;
        if !values.is_empty() {
            visit(&self.shape.name, values);
        }
        Ok(())
    }

    fn wants_target(&self) -> bool {
        self.local && self.rule.wants_target()
    }
}
