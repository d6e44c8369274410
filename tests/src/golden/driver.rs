//! A rule of a real plugin on one layer, driven step by step as the trainer does.

use biorule::config::{LayerPlan, MapPlan};
use biorule::nn::{Activity, Change, LayerShape, Rule, RuleCall, RuleSource, StateTensor};
use candle_core::{DType, Tensor};

use crate::Result;
use crate::plugins::registry;

/// A bound rule with its state and its place in a phase.
pub struct Driven {
    rule: Box<dyn Rule>,
    state: Vec<StateTensor>,
    /// What the next call is told; `step` counts by itself.
    pub call: RuleCall,
}

/// What one learning step gave.
pub struct Step {
    /// Output of `forward`, with the weights before the change.
    pub y: Tensor,
    /// What the rule asked for; already applied.
    pub changes: Vec<Change>,
}

impl Driven {
    /// Binds the rule of `plan` to a layer with inputs `input` (`[D]` or `[C, H, W]`), alone in a
    /// network, its state drawn from seed 0.
    ///
    /// # Errors
    /// The plugin refuses the layer or its parameters.
    pub fn bind(plan: &LayerPlan, input: &[usize], dtype: DType) -> Result<Self> {
        let output = output_shape(plan, input);
        let layer = LayerShape {
            name: "golden".into(),
            index: 0,
            input: input.to_vec(),
            classes: output[0],
            output,
            first: true,
            last: true,
            normalised: false,
        };
        let rule = registry().bind(plan, &layer, dtype)?;
        let state = rule.init(0, &crate::device(), dtype)?;
        let call = RuleCall {
            training: true,
            learning: true,
            ..RuleCall::evaluation(0)
        };
        Ok(Self { rule, state, call })
    }

    /// The rule.
    pub fn rule(&self) -> &dyn Rule {
        self.rule.as_ref()
    }
    /// The state.
    pub fn state(&self) -> &[StateTensor] {
        &self.state
    }
    /// The state tensor `name`.
    ///
    /// # Errors
    /// The rule has none.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let found = self.state.iter().find(|t| t.name == name);
        Ok(found
            .map(|t| t.tensor.clone())
            .ok_or_else(|| format!("no state `{name}`"))?)
    }
    /// Replaces the state tensor `name`.
    ///
    /// # Errors
    /// The rule has none, or one of another shape.
    pub fn set(&mut self, name: &str, value: Tensor) -> Result<()> {
        let found = self.state.iter_mut().find(|t| t.name == name);
        let held = found.ok_or_else(|| format!("no state `{name}`"))?;
        if held.tensor.dims() != value.dims() {
            return Err(format!(
                "state `{name}` is {:?}, not {:?}",
                held.tensor.dims(),
                value.dims()
            )
            .into());
        }
        held.tensor = value.to_dtype(held.tensor.dtype())?;
        Ok(())
    }

    /// Output with learning off.
    ///
    /// # Errors
    /// The rule failed.
    pub fn evaluate(&self, x: &Tensor) -> Result<Tensor> {
        let call = RuleCall {
            training: false,
            learning: false,
            ..self.call.clone()
        };
        Ok(self.rule.forward(&call, &self.state, x)?.y)
    }

    /// Forward, learn, apply the changes, count the step.
    ///
    /// # Errors
    /// The rule failed, or changes something that it does not have.
    pub fn learn(&mut self, x: &Tensor, target: Option<&Tensor>) -> Result<Step> {
        let forwarded = self.rule.forward(&self.call, &self.state, x)?;
        let activity = Activity {
            x,
            y: &forwarded.y,
            kept: &forwarded.kept,
            target,
        };
        let changes = self.rule.learn(&self.call, &self.state, &activity)?;
        for change in &changes {
            let value = change.applied(&self.get(&change.name)?)?;
            self.set(&change.name, value)?;
        }
        self.call.step += 1;
        Ok(Step {
            y: forwarded.y,
            changes,
        })
    }

    /// The metric `name` of the present state.
    ///
    /// # Errors
    /// The rule reports none.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let all = self.rule.metrics(&self.call, &self.state)?;
        let found = all.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        Ok(found.ok_or_else(|| format!("no metric `{name}`"))?)
    }
}

impl Step {
    /// What is added to the state tensor `name`.
    ///
    /// # Errors
    /// The rule asked for no change of it.
    pub fn change(&self, name: &str) -> Result<Tensor> {
        let found = self.changes.iter().find(|c| c.name == name);
        let change = found.ok_or_else(|| format!("no change of `{name}`"))?;
        Ok(change.applied(&change.tensor.zeros_like()?)?)
    }
}

/// `[K]`, or `[K, P, Q]` with `P = (H + top + bottom − dilation·(R − 1) − 1)/stride + 1`.
fn output_shape(plan: &LayerPlan, input: &[usize]) -> Vec<usize> {
    let MapPlan::Conv {
        kernel,
        stride,
        padding,
        dilation,
        ..
    } = &plan.map
    else {
        return vec![plan.out];
    };
    let size = |axis: usize| {
        let padded = input[1 + axis] + padding[2 * axis] + padding[2 * axis + 1];
        (padded - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
    };
    vec![plan.out, size(0), size(1)]
}
