//! A step of the optimiser over many tensors, as the trainer makes it.

use std::sync::Arc;

use candle_core::Tensor;
use serde_json::json;

use super::super::case::{Bench, Case, Cost, Named, Work, noise, snapshot};
use crate::Result;
use crate::nn::{NamedTensor, Role};
use crate::plan::OptimizerPlan;
use crate::train::optimizer::Optimizer;

/// Weights of the three convolutions and the read-out.
const SHAPES: [&[usize]; 5] = [
    &[96, 3, 5, 5],
    &[384, 96, 3, 3],
    &[1536, 384, 3, 3],
    &[10, 24576],
    &[10],
];
const RATE: f64 = 1e-3;

/// `adam-96-384-1536`.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "adam-96-384-1536".into(),
        make: Box::new(|bench| Ok(Box::new(Adam::new(bench)?))),
        torch: "adam",
        params: json!({"lr": RATE}),
        // A step is about the rate, a thousandth of the parameters it is added to.
        tolerance: 1e-3,
    }]
}

struct Adam {
    optimizer: Optimizer,
    parameters: Vec<NamedTensor>,
    gradients: Vec<(Arc<str>, Tensor)>,
}

impl Adam {
    fn new(bench: &Bench<'_>) -> Result<Self> {
        let (mut parameters, mut gradients) = (Vec::new(), Vec::new());
        for (i, shape) in SHAPES.iter().enumerate() {
            let name: Arc<str> = Arc::from(format!("p{i}"));
            parameters.push(NamedTensor {
                name: name.clone(),
                tensor: noise(10 + i as u64, shape, &bench.device)?,
                role: Role::Weight,
                learns: true,
            });
            gradients.push((name, noise(20 + i as u64, shape, &bench.device)?));
        }
        let plan = OptimizerPlan::Adam {
            lr: RATE,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        };
        Ok(Self {
            optimizer: Optimizer::new(&plan, 0.0, &parameters)?,
            parameters,
            gradients,
        })
    }
}

impl Work for Adam {
    fn inputs(&self) -> Result<Named> {
        let mut inputs = Vec::new();
        for (p, (name, g)) in self.parameters.iter().zip(&self.gradients) {
            inputs.push((name.to_string(), snapshot(&p.tensor)?));
            inputs.push((format!("g-{name}"), g.clone()));
        }
        Ok(inputs)
    }
    fn results(&mut self) -> Result<Named> {
        let before: Result<Vec<Tensor>> = self
            .parameters
            .iter()
            .map(|p| snapshot(&p.tensor))
            .collect();
        self.call()?;
        let pairs = self.parameters.iter().zip(before?);
        pairs
            .map(|(p, before)| Ok((p.name.to_string(), (&p.tensor - before)?)))
            .collect()
    }
    fn call(&mut self) -> Result<()> {
        self.optimizer.step(self.gradients.clone(), RATE)
    }
    fn cost(&self) -> Cost {
        let n: usize = SHAPES.iter().map(|s| s.iter().product::<usize>()).sum();
        // Parameter, both moments: read and written; the gradient read.
        Cost {
            flop: 0.0,
            bytes: 28.0 * n as f64,
        }
    }
}
