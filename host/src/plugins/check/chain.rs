//! Three layers of the rule under test, input to output: a convolution (where the
//! rule serves one), a hidden dense layer and an output layer, stepped by hand.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::config::{LayerPlan, MapPlan};
use crate::nn::rule::{
    Activity, Change, ChangeKind, Errors, LayerShape, Rule, RuleCall, RuleGradients,
    RuleSource as _, StateTensor,
};
use crate::plugins::Registry;
use crate::plugins::registry::RuleEntry;

/// Samples in a step.
pub const BATCH: usize = 8;
/// Classes.
pub const CLASSES: usize = 6;

/// One layer with its state.
pub struct Link {
    /// The bound rule.
    pub rule: Box<dyn Rule>,
    /// What the host holds for it.
    pub state: Vec<StateTensor>,
}

/// The three layers.
pub struct Chain {
    /// Input first.
    pub links: Vec<Link>,
    rate: Option<f64>,
    /// Steps done.
    pub step: u64,
}

/// What a forward pass leaves.
pub struct Trace {
    /// Input of each layer.
    pub x: Vec<Tensor>,
    /// Output of each layer.
    pub y: Vec<Tensor>,
    /// What each rule kept.
    pub kept: Vec<Vec<(String, Tensor)>>,
}

impl Chain {
    /// Fresh layers from `seed`; `rate` is handed to local rules.
    ///
    /// # Errors
    /// The rule refuses a layer that it says it serves.
    pub fn new(
        registry: &Registry,
        entry: &RuleEntry,
        seed: u64,
        rate: Option<f64>,
    ) -> Result<Self> {
        let mut maps = Vec::new();
        if entry.conv {
            maps.push((conv(), vec![3, 6, 6], vec![4, 6, 6]));
        } else {
            maps.push((MapPlan::Dense, vec![108], vec![144]));
        }
        if entry.dense {
            maps.push((MapPlan::Dense, vec![144], vec![10]));
            maps.push((MapPlan::Dense, vec![10], vec![CLASSES]));
        }
        let last = maps.len() - 1;
        let links = maps
            .into_iter()
            .enumerate()
            .map(|(index, (map, input, output))| {
                let plan = LayerPlan {
                    map,
                    out: output[0],
                    bias: false,
                    rule: entry.name.clone(),
                    params: Default::default(),
                };
                let shape = LayerShape {
                    name: format!("layer{index}"),
                    index,
                    input,
                    output,
                    classes: CLASSES,
                    first: index == 0,
                    last: index == last,
                    normalised: true,
                };
                let rule = registry.bind(&plan, &shape, DType::F32)?;
                let state = rule.init(seed + index as u64, &Device::Cpu, DType::F32)?;
                Ok(Link { rule, state })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            links,
            rate,
            step: 0,
        })
    }

    fn call(&self, index: usize) -> RuleCall {
        RuleCall {
            step: self.step,
            epochs: 1,
            steps_per_epoch: 10,
            batch: BATCH as u64,
            samples: 10 * BATCH as u64,
            rate: self.rate,
            training: true,
            learning: true,
            ..RuleCall::evaluation(17 + index as u64)
        }
    }

    /// All layers on `x: [BATCH, 3, 6, 6]`.
    ///
    /// # Errors
    /// The rule fails.
    pub fn forward(&self, x: &Tensor) -> Result<Trace> {
        let mut trace = Trace {
            x: Vec::new(),
            y: Vec::new(),
            kept: Vec::new(),
        };
        let mut x = x.clone();
        for (index, link) in self.links.iter().enumerate() {
            let dims = x.rank();
            // The first layer takes images only where it is a convolution; all others take vectors.
            if dims == 4 && !(index == 0 && self.is_conv()) {
                x = x.flatten_from(1)?;
            }
            let f = link.rule.forward(&self.call(index), &link.state, &x)?;
            let next = f.y.relu()?;
            trace.x.push(x);
            trace.y.push(f.y);
            trace.kept.push(f.kept);
            x = next;
        }
        Ok(trace)
    }

    fn is_conv(&self) -> bool {
        self.links[0]
            .state
            .iter()
            .any(|s| s.name == "weight" && s.tensor.rank() == 4)
    }

    /// The local changes of layer `index`.
    ///
    /// # Errors
    /// The rule fails.
    pub fn learn(&self, index: usize, trace: &Trace, target: &Tensor) -> Result<Vec<Change>> {
        let link = &self.links[index];
        let last = index + 1 == self.links.len();
        let target = (link.rule.wants_target() && last).then_some(target);
        let activity = Activity {
            x: &trace.x[index],
            y: &trace.y[index],
            kept: &trace.kept[index],
            target,
        };
        link.rule.learn(&self.call(index), &link.state, &activity)
    }

    /// What layer `index` makes of the error `grad_y`.
    ///
    /// # Errors
    /// The rule fails.
    pub fn backward(
        &self,
        index: usize,
        trace: &Trace,
        grad_y: &Tensor,
        output_error: &Tensor,
    ) -> Result<RuleGradients> {
        let link = &self.links[index];
        let errors = Errors {
            x: &trace.x[index],
            y: &trace.y[index],
            kept: &trace.kept[index],
            grad_y,
            output_error: Some(output_error),
            want_grad_x: index > 0,
            want_grads: true,
        };
        link.rule.backward(&self.call(index), &link.state, &errors)
    }

    /// `Σ c·y` for the output `y` of layer `index` on `x`, without learning.
    ///
    /// # Errors
    /// The rule fails.
    pub fn weighted(&self, index: usize, x: &Tensor, c: &Tensor) -> Result<f64> {
        let link = &self.links[index];
        let y = link.rule.forward(&self.looking(index), &link.state, x)?.y;
        let sum = (y.to_dtype(DType::F64)? * c.to_dtype(DType::F64)?)?.sum_all()?;
        Ok(sum.to_scalar()?)
    }

    /// The derivative of [`Chain::weighted`] by `x`, if the rule gives one.
    ///
    /// # Errors
    /// The rule fails.
    pub fn input_gradient(&self, index: usize, x: &Tensor, c: &Tensor) -> Result<Option<Tensor>> {
        let (link, call) = (&self.links[index], self.looking(index));
        let out = link.rule.forward(&call, &link.state, x)?;
        let errors = Errors {
            x,
            y: &out.y,
            kept: &out.kept,
            grad_y: c,
            output_error: None,
            want_grad_x: true,
            want_grads: false,
        };
        link.rule.input_gradient(&call, &link.state, &errors)
    }

    fn looking(&self, index: usize) -> RuleCall {
        RuleCall {
            learning: false,
            ..self.call(index)
        }
    }

    /// One step of plain gradient descent and local changes, all layers.
    ///
    /// # Errors
    /// The rule fails.
    pub fn train(&mut self, x: &Tensor, target: &Tensor) -> Result<()> {
        let trace = self.forward(x)?;
        let feedback = self.links[0].rule.credit() != crate::nn::rule::Credit::Local;
        let mut changes: Vec<Vec<Change>> = (0..self.links.len()).map(|_| Vec::new()).collect();
        if !feedback || self.links[0].rule.also_local() {
            for (index, found) in changes.iter_mut().enumerate() {
                *found = self.learn(index, &trace, target)?;
            }
        }
        if feedback {
            let output = trace.y.last().expect("layers");
            let flat = output.flatten_from(1)?;
            let width = flat.dim(1)?;
            let wide = if width == CLASSES {
                target.clone()
            } else {
                Tensor::zeros((BATCH, width), DType::F32, &Device::Cpu)?
            };
            let e = ((candle_nn::ops::softmax(&flat, 1)? - wide)? / BATCH as f64)?;
            let broadcast = if width == CLASSES {
                e.clone()
            } else {
                target.clone()
            };
            let mut grad = e.reshape(output.shape())?;
            for index in (0..self.links.len()).rev() {
                let out = self.backward(index, &trace, &grad, &broadcast)?;
                for (name, g) in out.grads {
                    changes[index].push(Change {
                        name,
                        kind: ChangeKind::Add,
                        tensor: (g * -0.1)?,
                    });
                }
                if let (Some(below), true) = (out.grad_x, index > 0) {
                    let y = &trace.y[index - 1];
                    let open = y.gt(0f64)?.to_dtype(DType::F32)?;
                    grad = (below.reshape(y.shape())? * open)?;
                }
            }
        }
        for (link, changes) in self.links.iter_mut().zip(changes) {
            apply(&mut link.state, &changes)?;
        }
        self.step += 1;
        Ok(())
    }
}

/// Applies changes to a state.
///
/// # Errors
/// Shapes that do not fit.
pub fn apply(state: &mut [StateTensor], changes: &[Change]) -> Result<()> {
    for change in changes {
        for held in state.iter_mut().filter(|s| s.name == change.name) {
            held.tensor = match change.kind {
                ChangeKind::Add => (&held.tensor + &change.tensor)?,
                ChangeKind::Set => change.tensor.clone(),
            };
        }
    }
    Ok(())
}

fn conv() -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups: 1,
        padding_mode: "zeros".into(),
    }
}
