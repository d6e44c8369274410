//! Drop path (Larsson, Maire and Shakhnarovich 2017; DARTS's form of it): in training a sample's
//! value is `x·m/(1 − p)` with `m` one with probability `1 − p` and else zero, the same for all
//! its channels and pixels. `m` is a function of seed, step and name, so that nothing is kept.

use candle_core::{Device, Tensor};

use super::module::{Mode, Module};
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::dropout::{mix, words};
use crate::plan::DropPathPlan;

/// Drops whole samples while its block learns.
pub struct DropPath {
    name: String,
    plan: DropPathPlan,
    place: u64,
    training: bool,
}

impl DropPath {
    /// `name` is what its numbers are drawn for.
    pub fn new(name: &str, plan: DropPathPlan) -> Self {
        Self {
            name: name.to_owned(),
            place: mix(&words(name)),
            plan,
            training: false,
        }
    }

    /// Factors of the samples, `[B, 1, …]` like `x`; `None` where none is dropped.
    fn mask(&self, pass: &Pass, x: &Tensor) -> Result<Option<Tensor>> {
        let p = self.plan.at(pass.clock.epoch, pass.clock.epochs);
        if !self.training || p <= 0.0 {
            return Ok(None);
        }
        let n = x.dims()[0];
        let uniform = match &pass.draws {
            Some(draws) => draws.uniform(&self.name, n),
            None => keyed(pass.clock.key(self.place), n),
        };
        let kept = |u: f64| if u < 1.0 - p { (1.0 - p).recip() } else { 0.0 };
        let mask: Vec<f64> = uniform.into_iter().map(kept).collect();
        let mut shape = vec![1; x.rank()];
        shape[0] = n;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?.to_dtype(x.dtype())?;
        Ok(Some(mask.to_device(x.device())?))
    }
}

/// `n` uniform numbers in [0, 1) with 53 bits.
fn keyed(key: u64, n: usize) -> Vec<f64> {
    (0..n as u64)
        .map(|i| (mix(&[key, i]) >> 11) as f64 / (1u64 << 53) as f64)
        .collect()
}

impl Module for DropPath {
    fn set_mode(&mut self, _mode: &Mode, listed: bool) {
        self.training = listed;
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let mask = self.mask(pass, x)?;
        pass.push(|| Kept {
            tensors: mask.clone().into_iter().collect(),
            ..Kept::default()
        });
        Ok(match mask {
            Some(mask) => x.broadcast_mul(&mask)?,
            None => x.clone(),
        })
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        if !want {
            return Ok(None);
        }
        Ok(Some(match kept.tensors.first() {
            Some(mask) => grad.broadcast_mul(mask)?,
            None => grad.clone(),
        }))
    }
}
