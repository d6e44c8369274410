//! A residual sum: inner path plus shortcut.

use candle_core::Tensor;

use super::block::Block;
use super::module::{MetricsVisitor, Mode, Module, NamedTensor, backward_all, forward_all};
use super::pass::{Kept, Pass};
use super::rule::{Credit, RuleCall};
use crate::Result;
use crate::config::plan::Shortcut;
use crate::ops::shape::{subsample_pad, subsample_pad_backward};

/// `inner(x) + shortcut(x)`.
pub struct Residual {
    inner: Vec<Box<dyn Module>>,
    shortcut: Shortcut,
}

impl Residual {
    /// From its inner blocks.
    pub fn new(inner: Vec<Block>, shortcut: Shortcut) -> Self {
        Self {
            inner: inner
                .into_iter()
                .map(|b| Box::new(b) as Box<dyn Module>)
                .collect(),
            shortcut,
        }
    }
}

impl Module for Residual {
    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        self.inner.iter_mut().for_each(|m| m.set_mode(mode, listed));
    }

    fn learns(&self) -> bool {
        self.inner.iter().any(|m| m.learns())
    }

    fn acts(&self) -> bool {
        self.inner.iter().any(|m| m.acts())
    }

    fn is_restless(&self) -> bool {
        self.inner.iter().any(|m| m.is_restless())
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let y = forward_all(self.inner.iter_mut(), pass, x)?;
        pass.push(|| Kept {
            dims: x.dims().to_vec(),
            ..Kept::default()
        });
        Ok(match self.shortcut {
            Shortcut::Identity => (y + x)?,
            Shortcut::SubsamplePad => {
                let channels = y.dims()[1];
                (y + subsample_pad(x, channels)?)?
            }
        })
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let through = backward_all(&mut self.inner, pass, grad, want)?;
        let Some(through) = through.filter(|_| want) else {
            return Ok(None);
        };
        let around = match self.shortcut {
            Shortcut::Identity => grad.clone(),
            Shortcut::SubsamplePad => {
                subsample_pad_backward(grad, [kept.dims[1], kept.dims[2], kept.dims[3]])?
            }
        };
        Ok(Some((through + around)?))
    }

    fn apply_changes(&mut self) -> Result<()> {
        self.inner.iter_mut().try_for_each(|m| m.apply_changes())
    }

    fn start_phase(&mut self) {
        self.inner.iter_mut().for_each(|m| m.start_phase());
    }

    fn end_step(&mut self) {
        self.inner.iter_mut().for_each(|m| m.end_step());
    }

    fn tensors(&self, out: &mut Vec<NamedTensor>) {
        self.inner.iter().for_each(|m| m.tensors(out));
    }

    fn counters(&mut self, visit: &mut dyn FnMut(&str, &mut u64)) {
        self.inner.iter_mut().for_each(|m| m.counters(visit));
    }

    fn metrics(&self, call: &RuleCall, visit: &mut MetricsVisitor<'_>) -> Result<()> {
        self.inner.iter().try_for_each(|m| m.metrics(call, visit))
    }

    fn rules(&self, out: &mut Vec<(String, Credit)>) {
        self.inner.iter().for_each(|m| m.rules(out));
    }

    fn hold_still(&mut self) {
        self.inner.iter_mut().for_each(|m| m.hold_still());
    }

    fn wants_target(&self) -> bool {
        self.inner.iter().any(|m| m.wants_target())
    }
}
