//! One rule bound to one layer, called directly: what a rule does without a
//! network around it.

use biorule::config::MapPlan;
use biorule::nn::LayerMap;
use biorule::nn::rule::{
    Activity, Change, Errors, Forwarded, LayerShape, Rule, RuleCall, RuleGradients, RuleSource,
    StateTensor,
};
use candle_core::{DType, Device, Tensor};

use super::plans::{RuleChoice, layer};
use crate::Result;

/// Where a layer stands and how large it is.
#[derive(Clone, Debug)]
pub struct Site {
    /// Dense or convolution.
    pub map: MapPlan,
    /// Input without the batch.
    pub input: Vec<usize>,
    /// Units.
    pub units: usize,
    /// Bias.
    pub bias: bool,
    /// Width of the network's output.
    pub classes: usize,
}

impl Site {
    /// A dense layer with bias.
    pub fn dense(inputs: usize, units: usize) -> Self {
        Self {
            map: MapPlan::Dense,
            input: vec![inputs],
            units,
            bias: true,
            classes: 3,
        }
    }
    /// A convolution with bias.
    pub fn conv(map: MapPlan, input: [usize; 3], units: usize) -> Self {
        Self {
            map,
            input: input.to_vec(),
            units,
            bias: true,
            classes: 3,
        }
    }
}

/// A rule bound to a site, with its state.
pub struct Single {
    /// The rule.
    pub rule: Box<dyn Rule>,
    /// Its state.
    pub state: Vec<StateTensor>,
    /// Output without the batch.
    pub output: Vec<usize>,
}

impl Single {
    /// Binds `choice`, with state from seed 5.
    ///
    /// # Errors
    /// The rule refuses the site.
    pub fn new(
        rules: &dyn RuleSource,
        choice: &RuleChoice,
        site: &Site,
        dtype: DType,
    ) -> Result<Self> {
        let output = LayerMap::new(&site.map, site.units, &site.input)?.output_dims();
        let shape = LayerShape {
            name: "single".into(),
            index: 1,
            input: site.input.clone(),
            output: output.clone(),
            classes: site.classes,
            first: false,
            last: false,
            normalised: false,
        };
        let plan = layer(choice, site.map.clone(), site.units, site.bias);
        let rule = rules.bind(&plan, &shape, dtype)?;
        let state = rule.init(5, &Device::Cpu, dtype)?;
        Ok(Self {
            rule,
            state,
            output,
        })
    }

    /// A state tensor.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        let found = self.state.iter().find(|s| s.name == name);
        Ok(&found
            .ok_or_else(|| format!("no state tensor `{name}`"))?
            .tensor)
    }
    /// Whether there is a state tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.state.iter().any(|s| s.name == name)
    }
    /// Another value for a state tensor.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn set(&mut self, name: &str, value: Tensor) -> Result<()> {
        let found = self.state.iter_mut().find(|s| s.name == name);
        found
            .ok_or_else(|| format!("no state tensor `{name}`"))?
            .tensor = value;
        Ok(())
    }
    /// The shape of an output for `batch` samples.
    pub fn output_for(&self, batch: usize) -> Vec<usize> {
        [vec![batch], self.output.clone()].concat()
    }

    /// Output for `x` at `step`.
    ///
    /// # Errors
    /// The rule failed.
    pub fn forward(&self, step: u64, x: &Tensor) -> Result<Forwarded> {
        Ok(self.rule.forward(&call(step), &self.state, x)?)
    }
    /// Changes that the rule wants after an output for `x`.
    ///
    /// # Errors
    /// The rule failed.
    pub fn learn(&self, step: u64, x: &Tensor) -> Result<Vec<Change>> {
        let out = self.forward(step, x)?;
        let activity = Activity {
            x,
            y: &out.y,
            kept: &out.kept,
            target: None,
        };
        Ok(self.rule.learn(&call(step), &self.state, &activity)?)
    }
    /// Gradients from `grad_y` and, for direct rules, the output error `e`, after an output for `x`.
    ///
    /// # Errors
    /// The rule failed.
    pub fn backward(
        &self,
        step: u64,
        x: &Tensor,
        grad_y: &Tensor,
        e: Option<&Tensor>,
    ) -> Result<RuleGradients> {
        let out = self.forward(step, x)?;
        let errors = Errors {
            x,
            y: &out.y,
            kept: &out.kept,
            grad_y,
            output_error: e,
            target: None,
            losses: None,
            want_grad_x: true,
            want_grads: true,
        };
        Ok(self.rule.backward(&call(step), &self.state, &errors)?)
    }
    /// What the rule reports, one number.
    ///
    /// # Errors
    /// The rule failed or reports no such number.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let all = self.rule.metrics(&call(0), &self.state)?;
        let found = all.iter().find(|(n, _)| n == name);
        Ok(found
            .ok_or_else(|| format!("`{name}` is not among {all:?}"))?
            .1)
    }
}

/// A gradient by name.
///
/// # Errors
/// The rule gave none.
pub fn gradient<'a>(out: &'a RuleGradients, name: &str) -> Result<&'a Tensor> {
    let found = out.grads.iter().find(|(n, _)| n == name);
    Ok(&found.ok_or_else(|| format!("no gradient of `{name}`"))?.1)
}

/// The error for the layer below.
///
/// # Errors
/// The rule gave none.
pub fn below(out: &RuleGradients) -> Result<&Tensor> {
    Ok(out.grad_x.as_ref().ok_or("no error for the layer below")?)
}

fn call(step: u64) -> RuleCall {
    RuleCall {
        step,
        training: true,
        learning: true,
        ..RuleCall::evaluation(17)
    }
}
