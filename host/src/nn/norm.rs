//! Batch normalisation: batch statistics while its block learns, running
//! statistics otherwise (SoftHebb, `train.py`).

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::module::{Mode, Module, NamedTensor};
use super::pass::{Kept, Pass, Wants};
use super::rule::Role;
use crate::Result;
use crate::ops::norm::{
    Affine, NormBackward, NormForward, batch_statistics, blend_in_place, normalise,
    normalise_backward,
};
use crate::plan::{Drive, NormPlan};

/// Normalises each channel of `[B, C]` or `[B, C, H, W]`.
pub struct BatchNorm {
    prefix: String,
    plan: NormPlan,
    mean: Tensor,
    var: Tensor,
    affine: Option<Affine>,
    batches: u64,
    training: bool,
    gradient: bool,
}

impl BatchNorm {
    /// Running mean 0, variance 1, gain 1, shift 0.
    pub fn new(
        prefix: &str,
        plan: &NormPlan,
        channels: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let zeros = || Tensor::zeros(channels, dtype, device);
        // `ones` may hand out a shared constant on some devices; a fresh sum is ours.
        let ones = || zeros()? + 1.0;
        Ok(Self {
            prefix: prefix.to_owned(),
            mean: zeros()?,
            var: ones()?,
            affine: plan
                .affine
                .then(|| -> Result<Affine> {
                    Ok(Affine {
                        gain: ones()?,
                        shift: zeros()?,
                    })
                })
                .transpose()?,
            plan: plan.clone(),
            batches: 0,
            training: false,
            gradient: false,
        })
    }

    fn name(&self, part: &str) -> Arc<str> {
        Arc::from(format!("{}.{part}", self.prefix))
    }
}

impl Module for BatchNorm {
    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        self.training = listed;
        self.gradient = listed
            && self.affine.is_some()
            && matches!(mode.drive, Some(Drive::Gradient | Drive::Both));
    }

    fn learns(&self, wants: Wants) -> bool {
        self.gradient && wants.weights
    }

    fn acts(&self) -> bool {
        self.training
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let (mean, var) = if self.training {
            let (mean, var) = batch_statistics(x)?;
            if pass.statistics && !pass.replay {
                let n = (x.elem_count() / x.dims()[1]) as f64;
                let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
                blend_in_place(&self.mean, &mean, self.plan.momentum, 1.0)?;
                blend_in_place(&self.var, &var, self.plan.momentum, unbiased)?;
                self.batches += 1;
            }
            (mean, var)
        } else {
            (self.mean.clone(), self.var.clone())
        };
        let y = normalise(&NormForward {
            x,
            mean: &mean,
            var: &var,
            eps: self.plan.eps,
            affine: self.affine.as_ref(),
        })?;
        pass.push(|| Kept {
            tensors: vec![x.clone(), mean, var],
            ..Kept::default()
        });
        Ok(y)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let [x, mean, var] = &kept.tensors[..] else {
            return Err(crate::Error::internal(
                "a norm found another module's entry",
            ));
        };
        let out = normalise_backward(&NormBackward {
            x,
            grad,
            mean,
            var,
            eps: self.plan.eps,
            gain: self.affine.as_ref().map(|a| &a.gain),
            through_statistics: self.training,
            want_x: want,
        })?;
        if self.learns(pass.wants) {
            pass.gradients.push((self.name("weight"), out.gain));
            pass.gradients.push((self.name("bias"), out.shift));
        }
        Ok(out.x)
    }

    fn tensors(&self, out: &mut Vec<NamedTensor>) {
        let mut add = |part: &str, tensor: &Tensor, role| {
            out.push(NamedTensor {
                name: self.name(part),
                tensor: tensor.clone(),
                role,
                learns: self.gradient && role != Role::Statistic,
            });
        };
        if let Some(affine) = &self.affine {
            add("weight", &affine.gain, Role::Weight);
            add("bias", &affine.shift, Role::Bias);
        }
        add("running_mean", &self.mean, Role::Statistic);
        add("running_var", &self.var, Role::Statistic);
    }

    fn counters(&mut self, visit: &mut dyn FnMut(&str, &mut u64)) {
        let name = self.name("num_batches_tracked");
        visit(&name, &mut self.batches);
    }
}
