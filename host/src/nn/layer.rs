//! The rule layer: a synaptic map whose forward, learning and backward belong
//! to a rule; the layer owns the state and applies the changes.

use std::sync::Arc;

use candle_core::Tensor;

use super::contract;
use super::module::{MetricsVisitor, Mode, Module, NamedTensor};
use super::pass::{Kept, Pass, Wants};
use super::rule::{
    Activity, Change, Credit, Errors, Forwarded, LayerShape, Named, Role, Rule, RuleCall,
    RuleGradients, StateTensor,
};
use crate::ops::LayerMap;
use crate::ops::dense;
use crate::plan::Drive;
use crate::{Error, Result};

/// A layer with its rule and state.
pub struct RuleLayer {
    prefix: String,
    names: Vec<Arc<str>>,
    shape: LayerShape,
    map: LayerMap,
    rule: Box<dyn Rule>,
    state: Vec<StateTensor>,
    seed: u64,
    steps: u64,
    training: bool,
    local: bool,
    gradient: bool,
    /// Learns in evaluation too.
    eval_updates: bool,
    pending: Vec<Change>,
}

impl RuleLayer {
    /// A layer with freshly initialised state; `prefix` starts its tensor names. `seed` is
    /// the layer's own, the same in every pass of a run: what a rule draws once and for all
    /// must not change with the phase, nor between training and evaluation.
    pub fn new(
        prefix: &str,
        shape: LayerShape,
        map: LayerMap,
        rule: Box<dyn Rule>,
        state: Vec<StateTensor>,
        seed: u64,
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
            seed,
            steps: 0,
            training: false,
            local: false,
            gradient: false,
            eval_updates: false,
            pending: Vec::new(),
        }
    }

    /// Finds out, for a rule that may learn in evaluation, whether it does so with its present
    /// parameters: by what it makes of one sample of zeros. Nothing is changed.
    ///
    /// # Errors
    /// The rule failed.
    pub fn probe_eval_updates(&mut self) -> Result<()> {
        if !self.rule.facts().learns_in_evaluation {
            return Ok(());
        }
        let Some(like) = self.state.first().map(|s| &s.tensor) else {
            return Ok(());
        };
        let shape = [vec![1], self.shape.input.clone()].concat();
        let x = Tensor::zeros(shape, like.dtype(), like.device())?;
        let call = RuleCall::evaluation(self.seed);
        let out = self.rule.forward(&call, &self.state, &x)?;
        self.eval_updates = !self.local_changes(&call, &x, &out, None)?.is_empty();
        Ok(())
    }

    fn local_changes(
        &self,
        call: &RuleCall,
        x: &Tensor,
        out: &Forwarded,
        target: Option<&Tensor>,
    ) -> Result<Vec<Change>> {
        let activity = Activity {
            x,
            y: &out.y,
            kept: &out.kept,
            target,
        };
        self.rule.learn(call, &self.state, &activity)
    }

    fn apply(&self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            let at = contract::of_state("change", &self.state, &change.name, &change.tensor)
                .map_err(|what| self.wrong(what))?;
            let state = &self.state[at];
            if state.role == Role::FixedFeedback {
                return Err(self.wrong(format_args!("`{}` is fixed feedback", change.name)));
            }
            change.apply(&state.tensor)?;
        }
        Ok(())
    }

    fn call(&self, pass: &Pass, learning: bool) -> RuleCall {
        RuleCall {
            step: self.steps,
            seed: self.seed,
            training: self.training,
            learning,
            ..pass.clock.call()
        }
    }

    /// What the rule is told of the answers: [`super::targets`], where it wants them.
    fn target(&self, pass: &Pass, x: &Tensor) -> Result<Option<Tensor>> {
        let wants = self.rule.facts().wants_target;
        let answers = pass.target.as_ref().filter(|_| wants);
        let told = answers.map(|t| super::targets::of(t, self.shape.classes, x));
        told.transpose()
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::plugin(format!(
            "rule `{}` of layer `{}`: {what}",
            self.rule.name(),
            self.shape.name
        ))
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.state
            .iter()
            .position(|s| s.name == name)
            .ok_or_else(|| self.wrong(format_args!("there is no state tensor `{name}`")))
    }

    /// Exact back-propagation through what the rule's forward computes, whatever the rule.
    fn exact(&self, call: &RuleCall, e: &Errors<'_>) -> Result<RuleGradients> {
        let mut out = RuleGradients::default();
        if e.want_grad_x {
            let own = self.rule.input_gradient(call, &self.state, e)?;
            out.grad_x = Some(match own {
                Some(grad) => grad,
                None => {
                    let weight = &self.state[self.position("weight")?].tensor;
                    self.map.feedback(e.grad_y, weight)?
                }
            });
        }
        if e.want_grads {
            for state in &self.state {
                let grad = match (state.role, state.name.as_str()) {
                    (Role::Weight, "weight") => self.map.correlate(e.x, e.grad_y)?,
                    (Role::Bias, _) => dense::channel_sum(e.grad_y)?,
                    _ => continue,
                };
                out.grads.push((state.name.clone(), grad));
            }
        }
        Ok(out)
    }

    fn record(&self, pass: &mut Pass, grads: Vec<(String, Tensor)>) -> Result<()> {
        for (name, grad) in grads {
            let i = contract::of_state("gradient", &self.state, &name, &grad)
                .map_err(|what| self.wrong(what))?;
            let state = &self.state[i];
            if !state.role.is_trained() {
                return Err(self.wrong(format_args!(
                    "backward gave a gradient for `{name}`, which no optimiser changes"
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
        let facts = self.rule.facts();
        let by_gradient = matches!(mode.drive, Some(Drive::Gradient | Drive::Both));
        let by_itself = matches!(mode.drive, Some(Drive::Local | Drive::Both));
        self.training = listed;
        self.gradient = listed && by_gradient && facts.credit != Credit::Local;
        self.local = listed
            && mode.drive.is_some()
            && match facts.credit {
                Credit::Local => by_itself,
                Credit::Feedback | Credit::Direct => facts.also_local,
            };
    }

    fn learns(&self, wants: Wants) -> bool {
        self.gradient && wants.weights
    }

    fn acts(&self) -> bool {
        self.local
    }

    fn updates_in_eval(&self) -> bool {
        self.eval_updates
    }

    fn eval_updates(&self, out: &mut Vec<(String, String)>) {
        if self.eval_updates {
            out.push((self.shape.name.clone(), self.rule.name().to_owned()));
        }
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let local = self.local && pass.local;
        let goes_back = self.gradient && (pass.keep || pass.repeats);
        let call = self.call(pass, local || goes_back);
        if local && pass.unread && !pass.keep && self.rule.facts().learns_from_input {
            // A view without elements: a GPU's driver has no memory of no bytes.
            let none = Forwarded {
                y: Tensor::zeros(1, x.dtype(), x.device())?.narrow(0, 0, 0)?,
                kept: Named::default(),
            };
            let target = self.target(pass, x)?;
            self.pending = self.local_changes(&call, x, &none, target.as_ref())?;
            return Ok(none.y);
        }
        let out = self.rule.forward(&call, &self.state, x)?;
        contract::output(&self.shape, x, &out.y).map_err(|what| self.wrong(what))?;
        if pass.replay {
            // What this pass changes was changed when it ran first.
        } else if local {
            let target = self.target(pass, x)?;
            self.pending = self.local_changes(&call, x, &out, target.as_ref())?;
        } else if self.eval_updates && !self.training && pass.in_evaluation {
            self.apply(self.local_changes(&call, x, &out, None)?)?;
        }
        pass.push(|| Kept {
            tensors: vec![x.clone(), out.y.clone()],
            named: out.kept,
            ..Kept::default()
        });
        Ok(out.y)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let (x, y) = (&kept.tensors[0], &kept.tensors[1]);
        let call = self.call(pass, self.gradient);
        let target = self.target(pass, x)?;
        let errors = Errors {
            x,
            y,
            kept: &kept.named,
            grad_y: grad,
            output_error: pass.output_error.as_ref(),
            target: target.as_ref(),
            losses: pass.losses.as_ref().filter(|_| target.is_some()),
            want_grad_x: want,
            want_grads: self.learns(pass.wants),
        };
        let out = if pass.exact || self.rule.facts().credit == Credit::Local {
            self.exact(&call, &errors)?
        } else {
            self.rule.backward(&call, &self.state, &errors)?
        };
        if errors.want_grads {
            self.record(pass, out.grads)?;
        }
        if want {
            contract::below(out.grad_x.as_ref(), x).map_err(|what| self.wrong(what))?;
        }
        Ok(out.grad_x.filter(|_| want))
    }

    fn apply_changes(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.pending);
        self.apply(changes)
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
            seed: self.seed,
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

    fn rules(&self, out: &mut Vec<(String, Credit)>) {
        out.push((self.rule.name().to_owned(), self.rule.facts().credit));
    }

    fn hold_still(&mut self) {
        self.eval_updates = false;
    }

    fn wants_target(&self) -> bool {
        // A frozen layer sends its projection of the target down to those that learn.
        let facts = self.rule.facts();
        facts.wants_target && (self.local || facts.credit != Credit::Local)
    }
}
