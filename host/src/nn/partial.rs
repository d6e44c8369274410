//! Partial channels (Xu et al. 2020, PC-DARTS): only the first `1/k` of the channels goes through
//! the modules of an edge. The others pass by, max-pooled where the edge halves the map; then
//! all channels are shuffled in `k` groups, so that the next edge sees others.

use candle_core::Tensor;

use super::module::{Module, backward_all, forward_all};
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::Window;
use crate::ops::pool::{max_pool, max_pool_alone, max_pool_backward};

/// `x: [B, C, H, W]`, modules on `[B, C/k, H, W]`.
pub struct Partial {
    /// Parts of the channels, `k`.
    pub parts: usize,
    /// What the first part goes through.
    pub modules: Vec<Box<dyn Module>>,
    /// Halve the map of what passes by.
    pub halve: bool,
}

/// The pooling of what passes by an edge of stride 2.
const HALF: Window = Window {
    kernel: [2, 2],
    stride: [2, 2],
    padding: [0, 0],
};

/// Channel `g·(C/k) + c` to `c·k + g`; its inverse has `C/k` for `k`.
fn shuffle(x: &Tensor, k: usize) -> Result<Tensor> {
    let (batch, channels, rows, columns) = x.dims4()?;
    let grouped = x.reshape((batch, k, channels / k, rows, columns))?;
    Ok(grouped.transpose(1, 2)?.contiguous()?.reshape(x.dims())?)
}

impl Module for Partial {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        self.modules.iter().for_each(|m| visit(&**m));
    }

    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        self.modules.iter_mut().for_each(|m| visit(&mut **m));
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.unread = false;
        let channels = x.dims()[1];
        let through = channels / self.parts;
        let first = x.narrow(1, 0, through)?.contiguous()?;
        let y = forward_all(&mut self.modules, pass, &first)?;
        let rest = x.narrow(1, through, channels - through)?.contiguous()?;
        let (rest, at) = match self.halve {
            false => (rest, None),
            true if !pass.keep || !pass.below => (max_pool_alone(&HALF, &rest)?, None),
            true => {
                let (rest, at) = max_pool(&HALF, &rest)?;
                (rest, Some(at))
            }
        };
        pass.push(|| Kept {
            tensors: at.into_iter().collect(),
            dims: x.dims().to_vec(),
            ..Kept::default()
        });
        shuffle(&Tensor::cat(&[y, rest], 1)?, self.parts)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let channels = kept.dims[1];
        let through = channels / self.parts;
        let grad = shuffle(grad, through)?;
        let first = grad.narrow(1, 0, through)?.contiguous()?;
        let first = backward_all(&mut self.modules, pass, &first, want)?;
        let Some(first) = first.filter(|_| want) else {
            return Ok(None);
        };
        let mut rest = grad.narrow(1, through, channels - through)?.contiguous()?;
        if let Some(at) = kept.tensors.first() {
            rest = max_pool_backward(&HALF, &rest, at, [kept.dims[2], kept.dims[3]])?;
        }
        Ok(Some(Tensor::cat(&[first, rest], 1)?))
    }
}
