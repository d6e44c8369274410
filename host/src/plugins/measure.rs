//! What a step of a rule costs on one layer, beside others: time with its spread, and bytes.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};

use super::Registry;
use super::bind::BoundRule;
use crate::Result;
use crate::nn::rule::{Activity, Credit, Errors, LayerShape, Rule as _, RuleCall, StateTensor};
use crate::plan::{LayerPlan, MapPlan, PadMode};

/// A layer to measure on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 784 inputs, 256 units.
    Dense,
    /// 16 channels of 16×16 pixels, 32 units with kernel 3.
    Conv,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dense, Self::Conv];

    /// As a report has it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Dense => "dense 784-256",
            Self::Conv => "conv 16x16x16-32, 3x3",
        }
    }

    fn shape(self) -> LayerShape {
        let (input, output) = match self {
            Self::Dense => (vec![784], vec![256]),
            Self::Conv => (vec![16, 16, 16], vec![32, 16, 16]),
        };
        LayerShape {
            name: "measured".into(),
            index: 1,
            input,
            output,
            classes: 10,
            first: false,
            last: false,
            normalised: true,
        }
    }

    fn plan(self, rule: &str) -> LayerPlan {
        let (map, out) = match self {
            Self::Dense => (MapPlan::Dense, 256),
            Self::Conv => {
                let map = MapPlan::Conv {
                    kernel: [3; 2],
                    stride: [1; 2],
                    padding: [1; 4],
                    dilation: [1; 2],
                    groups: 1,
                    padding_mode: PadMode::Zeros,
                };
                (map, 32)
            }
        };
        LayerPlan {
            map,
            out,
            bias: false,
            rule: rule.into(),
            params: Default::default(),
        }
    }
}

/// A rule on a layer, ready to make steps.
pub struct Measured {
    /// Name of the rule.
    pub rule: String,
    bound: BoundRule,
    state: Vec<StateTensor>,
    x: Tensor,
    target: Tensor,
    losses: Tensor,
    error: Tensor,
    steps: u64,
    /// Seconds of each step.
    pub seconds: Vec<f64>,
    /// Bytes of state.
    pub state_bytes: usize,
    /// Bytes that one step makes beside the output and hands to the host.
    pub step_bytes: usize,
}

impl Measured {
    /// The rule `rule` of `registry` with its defaults on a layer of this kind.
    ///
    /// # Errors
    /// It does not serve the layer.
    pub fn new(registry: &Registry, rule: &str, kind: Kind, batch: usize) -> Result<Self> {
        let shape = kind.shape();
        let bound = registry.bind_rule(&kind.plan(rule), &shape)?;
        let cpu = Device::Cpu;
        let state = bound.init(5, &cpu, DType::F32)?;
        let dims = [vec![batch], shape.input.clone()].concat();
        let labels = (0..batch as u32).map(|i| i % 10).collect::<Vec<_>>();
        let x = Tensor::rand(0f32, 1.0, dims, &cpu)?;
        let target = crate::nn::targets::of(&Tensor::new(labels, &cpu)?, 10, &x)?;
        Ok(Self {
            rule: rule.into(),
            state_bytes: state.iter().map(|s| bytes(&s.tensor)).sum(),
            losses: Tensor::ones(batch, DType::F32, &cpu)?,
            error: Tensor::rand(-0.1f32, 0.1, (batch, 10), &cpu)?,
            bound,
            state,
            x,
            target,
            steps: 0,
            seconds: Vec::new(),
            step_bytes: 0,
        })
    }

    /// One step: output, and changes or gradients; nothing is applied.
    ///
    /// # Errors
    /// The rule failed.
    pub fn step(&mut self) -> Result<()> {
        let facts = self.bound.facts();
        let batch = self.x.dims()[0] as u64;
        let call = RuleCall {
            step: self.steps,
            epochs: 1,
            steps_per_epoch: 100,
            batch,
            samples: 100 * batch,
            training: true,
            learning: true,
            ..RuleCall::evaluation(7)
        };
        let taught = facts.wants_target;
        let started = Instant::now();
        let out = self.bound.forward(&call, &self.state, &self.x)?;
        let mut made: usize = out.kept.iter().map(|(_, t)| bytes(t)).sum();
        if facts.learns_locally() {
            let activity = Activity {
                x: &self.x,
                y: &out.y,
                kept: &out.kept,
                target: taught.then_some(&self.target),
            };
            let changes = self.bound.learn(&call, &self.state, &activity)?;
            made += changes.iter().map(|c| bytes(&c.tensor)).sum::<usize>();
        }
        if facts.credit != Credit::Local {
            let errors = Errors {
                x: &self.x,
                y: &out.y,
                kept: &out.kept,
                grad_y: &out.y,
                output_error: (facts.credit == Credit::Direct).then_some(&self.error),
                target: taught.then_some(&self.target),
                losses: taught.then_some(&self.losses),
                want_grad_x: true,
                want_grads: true,
            };
            let found = self.bound.backward(&call, &self.state, &errors)?;
            made += found.grads.iter().map(|(_, t)| bytes(t)).sum::<usize>();
            made += found.grad_x.as_ref().map_or(0, bytes);
        }
        self.seconds.push(started.elapsed().as_secs_f64());
        self.step_bytes = made;
        self.steps += 1;
        Ok(())
    }

    /// Forgets the times so far, which are those of a warm-up.
    pub fn restart(&mut self) {
        self.seconds.clear();
    }

    /// Seconds of a step: the tenth part from below, the median, the tenth part from above.
    pub fn spread(&self) -> [f64; 3] {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * sorted.len().saturating_sub(1) as f64;
            sorted
                .get(place.round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        [at(0.1), at(0.5), at(0.9)]
    }
}

fn bytes(t: &Tensor) -> usize {
    t.elem_count() * t.dtype().size_in_bytes()
}

/// The shipped rule that is most like one with this credit.
pub fn nearest_shipped(credit: Credit) -> &'static str {
    match credit {
        Credit::Local => "hebbian/oja",
        Credit::Feedback => "feedback-alignment/fa",
        Credit::Direct => "direct-feedback-alignment/dfa",
    }
}
