//! Three layers of the rule under test, input to output: a convolution (where the
//! rule serves one), a hidden dense layer and an output layer, stepped by hand.

use super::bound::{Bound, Call, Changed, Facts, Grads, Held, Missed, Named, Seen, Subject, apply};
use super::{Array, Site};
use crate::sdk::{Credit, DType, Result};

/// Samples in a step.
pub(super) const BATCH: usize = 8;
/// Classes.
pub(super) const CLASSES: usize = 6;
/// Rate of plain gradient descent.
const RATE: f64 = 0.1;

/// One layer with its state.
pub(super) struct Link {
    rule: Box<dyn Bound>,
    /// What the host holds for it.
    pub(super) state: Vec<Held>,
}

impl Link {
    /// Tensors that its rule has not given back.
    pub(super) fn leaked(&self) -> u64 {
        self.rule.leaked()
    }
}

/// The three layers.
pub(super) struct Chain {
    /// Input first.
    pub(super) links: Vec<Link>,
    facts: Facts,
    rate: Option<f64>,
    step: u64,
}

/// What a forward pass leaves.
pub(super) struct Trace {
    /// Input of each layer.
    pub(super) x: Vec<Array>,
    /// Output of each layer.
    pub(super) y: Vec<Array>,
    kept: Vec<Named>,
}

impl Trace {
    /// The same inputs; of outputs and what was kept, nothing.
    pub(super) fn without_outputs(&self) -> Self {
        Self {
            x: self.x.clone(),
            y: self
                .x
                .iter()
                .map(|x| Array::of(x.dtype(), &[0], Vec::new()))
                .collect(),
            kept: self.x.iter().map(|_| Named::default()).collect(),
        }
    }
}

impl Chain {
    /// Fresh layers; `rate` is handed to local rules.
    pub(super) fn new(subject: &dyn Subject, rate: Option<f64>) -> Result<Self> {
        let facts = subject.facts();
        let mut sites = vec![match facts.conv {
            true => Site::conv([3, 6, 6], 4, 3).with(|conv| conv.padding = [1; 4]),
            false => Site::dense(108, 144),
        }];
        if facts.dense {
            sites.extend([Site::dense(144, 10), Site::dense(10, CLASSES)]);
        }
        let last = sites.len() - 1;
        let links = sites.into_iter().enumerate().map(|(index, site)| {
            let rule = subject.bind(&Site {
                index,
                classes: CLASSES,
                first: index == 0,
                last: index == last,
                normalised: true,
                ..site
            })?;
            let state = rule.start(5 + index as u64)?;
            Ok(Link { rule, state })
        });
        Ok(Self {
            links: links.collect::<Result<_>>()?,
            facts,
            rate,
            step: 0,
        })
    }

    fn call(&self, index: usize) -> Call {
        Call {
            step: self.step,
            seed: 17 + index as u64,
            rate: self.rate,
            batch: BATCH as u64,
            samples: 10 * BATCH as u64,
            ..Call::default()
        }
    }

    /// All layers on `x: [BATCH, 3, 6, 6]`, `relu` between them.
    pub(super) fn forward(&self, x: &Array) -> Result<Trace> {
        let mut trace = Trace {
            x: Vec::new(),
            y: Vec::new(),
            kept: Vec::new(),
        };
        let mut x = x.clone();
        for (index, link) in self.links.iter().enumerate() {
            // A convolution takes images; all others take vectors.
            if index > 0 || !self.facts.conv {
                x = flat(&x)?;
            }
            let out = link.rule.forward(&self.call(index), &link.state, &x)?;
            let next = out.y.map(|v| v.max(0.0));
            trace.x.push(x);
            trace.y.push(out.y);
            trace.kept.push(out.kept);
            x = next;
        }
        Ok(trace)
    }

    /// The local changes of layer `index`.
    pub(super) fn learn(
        &self,
        index: usize,
        trace: &Trace,
        target: &Array,
    ) -> Result<Vec<Changed>> {
        let link = &self.links[index];
        let seen = Seen {
            x: &trace.x[index],
            y: &trace.y[index],
            kept: &trace.kept[index],
            target: self.facts.wants_target.then_some(target),
        };
        link.rule.learn(&self.call(index), &link.state, seen)
    }

    /// What layer `index` makes of the error `grad_y`.
    pub(super) fn backward(
        &self,
        index: usize,
        trace: &Trace,
        grad_y: &Array,
        output_error: &Array,
        target: &Array,
    ) -> Result<Grads> {
        let link = &self.links[index];
        // Some loss of each sample; a rule sees numbers of this size, whatever the loss is.
        let losses = target.shape()[0];
        let losses = Array::noise(7, &[losses])
            .map(|v| 1.0 + v.abs())
            .to(target.dtype());
        let taught = self.facts.wants_target;
        let missed = Missed {
            target: taught.then_some(target),
            losses: taught.then_some(&losses),
            x: &trace.x[index],
            y: &trace.y[index],
            kept: &trace.kept[index],
            grad_y,
            output_error: Some(output_error),
            want_grad_x: index > 0,
        };
        link.rule.backward(&self.call(index), &link.state, missed)
    }

    /// What each layer reports.
    pub(super) fn metrics(&self) -> Result<Vec<Vec<(String, f64)>>> {
        let links = self.links.iter().enumerate();
        links
            .map(|(index, link)| link.rule.metrics(&self.looking(index), &link.state))
            .collect()
    }

    /// `Σ c·y` for the output `y` of layer `index` on `x`, without learning.
    pub(super) fn weighted(&self, index: usize, x: &Array, c: &Array) -> Result<f64> {
        let link = &self.links[index];
        let y = link.rule.forward(&self.looking(index), &link.state, x)?.y;
        Ok(product(&y, c))
    }

    /// The derivative of [`Chain::weighted`] by `x`, if the rule gives one.
    pub(super) fn input_gradient(
        &self,
        index: usize,
        x: &Array,
        c: &Array,
    ) -> Result<Option<Array>> {
        let (link, call) = (&self.links[index], self.looking(index));
        let out = link.rule.forward(&call, &link.state, x)?;
        let missed = Missed {
            x,
            y: &out.y,
            kept: &out.kept,
            grad_y: c,
            output_error: None,
            target: None,
            losses: None,
            want_grad_x: true,
        };
        link.rule.input_gradient(&call, &link.state, missed)
    }

    fn looking(&self, index: usize) -> Call {
        Call {
            learning: false,
            ..self.call(index)
        }
    }

    /// One step of plain gradient descent and local changes, all layers.
    pub(super) fn train(&mut self, x: &Array, target: &Array) -> Result<()> {
        let trace = self.forward(x)?;
        let mut changes: Vec<Vec<Changed>> = self.links.iter().map(|_| Vec::new()).collect();
        if self.facts.learns_locally() {
            for (index, found) in changes.iter_mut().enumerate() {
                *found = self.learn(index, &trace, target)?;
            }
        }
        if self.facts.credit != Credit::Local {
            let output = trace.y.last().expect("layers");
            let (mut grad, broadcast) = output_errors(output, target)?;
            for index in (0..self.links.len()).rev() {
                let out = self.backward(index, &trace, &grad, &broadcast, target)?;
                changes[index].extend(out.own.into_iter().map(|(name, g)| Changed {
                    name,
                    replaces: false,
                    value: g.map(|v| -RATE * v),
                }));
                if let (Some(below), true) = (out.below, index > 0) {
                    let y = &trace.y[index - 1];
                    let open = |g: f64, y: f64| if y > 0.0 { g } else { 0.0 };
                    grad = below.reshape(y.shape())?.zip(y, open)?;
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

/// The error at the network's output, and what is broadcast to direct rules. A chain of one
/// convolution has no output of the labels' width: then the error is its own softmax.
fn output_errors(output: &Array, target: &Array) -> Result<(Array, Array)> {
    let logits = flat(output)?;
    let wide = logits.shape()[1] == CLASSES;
    let share = super::ops::softmax(&logits, 1, 1.0)?;
    let answer = match wide {
        true => target.clone(),
        false => share.map(|_| 0.0),
    };
    let e = share.zip(&answer, |s, t| (s - t) / BATCH as f64)?;
    let broadcast = if wide { e.clone() } else { target.clone() };
    Ok((e.reshape(output.shape())?, broadcast))
}

/// Sum of the products of the entries.
pub(super) fn product(a: &Array, b: &Array) -> f64 {
    a.values().iter().zip(b.values()).map(|(a, b)| a * b).sum()
}

/// Each sample as one row.
fn flat(x: &Array) -> Result<Array> {
    let batch = x.shape()[0];
    x.reshape(&[batch, x.values().len() / batch.max(1)])
}

/// Inputs `[BATCH, 3, 6, 6]` and one-hot labels of step `step`, the labels moved on by
/// `shift` classes.
pub(super) fn sample(step: u64, shift: usize) -> (Array, Array) {
    let x = Array::noise(100 + step, &[BATCH, 3, 6, 6]).to(DType::F32);
    let mut next = super::array::uniform(200 + step);
    let labels: Vec<usize> = (0..BATCH)
        .map(|_| ((next() * CLASSES as f64) as usize + shift) % CLASSES)
        .collect();
    (x, Array::one_hot(&labels, CLASSES).to(DType::F32))
}
