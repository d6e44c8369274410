//! Pooling as a module.

use candle_core::Tensor;

use super::module::Module;
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::Window;
use crate::ops::pool::{avg_pool, avg_pool_backward, max_pool, max_pool_alone, max_pool_backward};
use crate::plan::PoolKind;

/// A pooling window over `[B, C, H, W]`.
pub struct Pool {
    /// Maximum or average.
    pub kind: PoolKind,
    /// The window.
    pub window: Window,
    /// Whether padding counts as pixels of an average.
    pub include_pad: bool,
}

impl Module for Pool {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let dims = x.dims().to_vec();
        match self.kind {
            PoolKind::Max if !pass.keep => max_pool_alone(&self.window, x),
            PoolKind::Max => {
                let (y, at) = max_pool(&self.window, x)?;
                pass.push(|| Kept {
                    tensors: vec![at],
                    dims,
                    ..Kept::default()
                });
                Ok(y)
            }
            PoolKind::Avg => {
                pass.push(|| Kept {
                    dims,
                    ..Kept::default()
                });
                avg_pool(&self.window, self.include_pad, x)
            }
        }
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        if !want {
            return Ok(None);
        }
        let input = [kept.dims[2], kept.dims[3]];
        Ok(Some(match self.kind {
            PoolKind::Max => max_pool_backward(&self.window, grad, &kept.tensors[0], input)?,
            PoolKind::Avg => avg_pool_backward(&self.window, self.include_pad, grad, input)?,
        }))
    }
}
