//! Inverted dropout as a module. The mask is a function of seed, step and
//! place in the network, so nothing is kept and a resumed run sees the same one.

use candle_core::Tensor;

use super::module::{Mode, Module};
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::dropout::dropout;

/// Drops elements while its block learns.
pub struct Dropout {
    p: f64,
    place: u64,
    training: bool,
}

impl Dropout {
    /// Probability `p`; `place` tells the dropouts of a network apart.
    pub fn new(p: f64, place: u64) -> Self {
        Self {
            p,
            place,
            training: false,
        }
    }

    fn key(&self, pass: &Pass) -> u64 {
        pass.clock.key(self.place)
    }
}

impl Module for Dropout {
    fn set_mode(&mut self, _mode: &Mode, listed: bool) {
        self.training = listed;
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(Kept::default);
        match self.dropout(pass) {
            Some(_) if std::mem::take(&mut pass.dropped) => Ok(x.clone()),
            Some((p, key)) => dropout(x, p, key),
            None => Ok(x.clone()),
        }
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        pass.pop()?;
        match self.dropout(pass) {
            _ if !want => Ok(None),
            Some((p, key)) => Ok(Some(dropout(grad, p, key)?)),
            None => Ok(Some(grad.clone())),
        }
    }

    fn dropout(&self, pass: &Pass) -> Option<(f64, u64)> {
        (self.training && self.p > 0.0).then(|| (self.p, self.key(pass)))
    }
}
