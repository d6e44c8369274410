//! A mixed edge of a supernet: `y = Σₖ pₖ·opₖ(x)` over candidates (Liu, Simonyan and Yang 2019,
//! DARTS, equation 2).
//!
//! With the gradient `g` at `y`, a candidate gets `pₖ·g` and sends the gradient of its input
//! below, where these are summed; the derivative by its weight is `∂L/∂pₖ = ⟨g, opₖ(x)⟩`.
//! Whatever a candidate's rule sends below enters the sum so, be it a gradient or not. A rule
//! that sends a projection of the network's output error gets that error times `pₖ`, since it
//! does not look at `g`.
//!
//! A candidate whose weight is exactly 0 is not run: nothing of it changes or learns, and its
//! weight has the derivative 0.

use std::sync::Arc;
use std::time::Instant;

use biorule_kernels::threads;
use candle_core::Tensor;

use super::mixture::Mixture;
use super::module::{Mode, Module, backward_all, forward_all};
use super::pass::{Kept, Pass, Wants};
use super::recompute;
use super::rule::Credit;
use crate::ops::optim::{add_scaled_in_place, added, scaled};
use crate::ops::reduce::dot;
use crate::{Error, Result};

/// A weighted sum of candidates.
pub struct Mixed {
    table: Arc<str>,
    row: usize,
    candidates: Vec<Candidate>,
    /// Shape of a sample at the output.
    output: Vec<usize>,
    recompute: bool,
    training: bool,
}

/// One candidate.
pub struct Candidate {
    name: String,
    modules: Vec<Box<dyn Module>>,
    weight: f64,
    /// Seconds of its last pass; decides which candidate begins first, and nothing else.
    took: f64,
    /// One of its rules learns from the network's output error.
    direct: bool,
    is_zero: bool,
}

impl Candidate {
    /// A candidate of these modules; none is the identity.
    pub fn new(name: &str, modules: Vec<Box<dyn Module>>) -> Self {
        let mut rules = Vec::new();
        modules.iter().for_each(|m| m.rules(&mut rules));
        Self {
            name: name.to_owned(),
            direct: rules.iter().any(|(_, credit)| *credit == Credit::Direct),
            is_zero: matches!(&modules[..], [one] if one.is_zero()),
            modules,
            weight: 0.0,
            took: 0.0,
        }
    }

    /// Whether it is run at its present weight.
    fn runs(&self) -> bool {
        self.weight != 0.0 && !self.is_zero
    }

    /// Whether its forward pass is repeated in the backward pass, where edges `recompute`.
    fn repeats(&self, recompute: bool) -> bool {
        recompute && recompute::repeats(&self.modules)
    }

    fn here(&self, error: Error) -> Error {
        error.within(format_args!("candidate `{}`", self.name))
    }

    /// Backward through the modules from `grad` at the candidate's own output.
    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        if !self.direct {
            return backward_all(&mut self.modules, pass, grad, want);
        }
        let error = pass.output_error.take();
        let own = error.as_ref().map(|e| scaled(e, self.weight));
        pass.output_error = own.transpose()?;
        let below = backward_all(&mut self.modules, pass, grad, want);
        pass.output_error = error;
        below
    }
}

impl Mixed {
    /// Equal weights until [`Module::set_mixture`] gives others. `output` is the shape of a
    /// sample; `(table, row)` says where the weights are in the mixture.
    pub fn new(
        (table, row): (&str, usize),
        mut candidates: Vec<Candidate>,
        output: Vec<usize>,
        recompute: bool,
    ) -> Self {
        let equal = 1.0 / candidates.len() as f64;
        candidates.iter_mut().for_each(|c| c.weight = equal);
        Self {
            table: Arc::from(table),
            row,
            candidates,
            output,
            recompute,
            training: false,
        }
    }

    fn zeros(&self, x: &Tensor) -> Result<Tensor> {
        let shape = [&x.dims()[..1], self.output.as_slice()].concat();
        Ok(Tensor::zeros(shape, x.dtype(), x.device())?)
    }
}

/// Candidates on the CPU that are begun before the first is done with: as few as keep all threads
/// busy, for their outputs are all there at once. A GPU computes one after the other anyway.
fn many_at_once(x: &Tensor) -> usize {
    match threads::count() {
        several if several > 1 && x.device().is_cpu() => several.max(8),
        _ => 1,
    }
}

/// Runs `f` for each candidate with what belongs to it, side by side, and gives that back with what
/// `f` returns, in the order of `works`. Those that took longest in the last pass begin first.
fn beside<W: Send, R: Send>(
    works: Vec<(&mut Candidate, W)>,
    f: impl Fn(&mut Candidate, &mut W) -> R + Sync,
) -> Vec<(W, R)> {
    let mut works: Vec<_> = works.into_iter().enumerate().collect();
    works.sort_by(|(_, (a, _)), (_, (b, _))| b.took.total_cmp(&a.took));
    let mut done = threads::side_by_side(works, |(i, (candidate, mut own))| {
        let started = Instant::now();
        let made = f(candidate, &mut own);
        candidate.took = started.elapsed().as_secs_f64();
        (i, (own, made))
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, made)| made).collect()
}

/// The sum of what is there.
fn add(sum: Option<Tensor>, other: Option<Tensor>) -> Result<Option<Tensor>> {
    match (sum, other) {
        (Some(a), Some(b)) => Ok(Some(added(&a, &b)?)),
        (sum, other) => Ok(sum.or(other)),
    }
}

impl Module for Mixed {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        for candidate in &self.candidates {
            candidate.modules.iter().for_each(|m| visit(&**m));
        }
    }

    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        for candidate in &mut self.candidates {
            candidate.modules.iter_mut().for_each(|m| visit(&mut **m));
        }
    }

    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        self.training = listed;
        self.parts_mut(&mut |part| part.set_mode(mode, listed));
    }

    fn set_mixture(&mut self, mixture: &Mixture) -> Result<()> {
        let weights = mixture.row(&self.table, self.row, self.candidates.len())?;
        for (candidate, weight) in self.candidates.iter_mut().zip(weights) {
            candidate.weight = *weight;
            for module in &mut candidate.modules {
                module.set_mixture(mixture)?;
            }
        }
        Ok(())
    }

    fn learns(&self, wants: Wants) -> bool {
        (self.training && wants.architecture) || self.any(&|part| part.learns(wants))
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        // Every output inside is read by the sum.
        pass.unread = false;
        let by_weight = self.training && pass.wants.architecture;
        let recompute = self.recompute;
        let (mut sum, mut outputs, mut parts) = (None, Vec::new(), Vec::new());
        let mut running: Vec<_> = self.candidates.iter_mut().filter(|c| c.runs()).collect();
        for together in running.chunks_mut(many_at_once(x)) {
            let works = together
                .iter_mut()
                .map(|c| (&mut **c, pass.fork(Vec::new())));
            let done = beside(works.collect(), |candidate, pass| {
                match candidate.repeats(recompute) {
                    true => recompute::forward(&mut candidate.modules, pass, x),
                    false => forward_all(&mut candidate.modules, pass, x),
                }
            });
            for (candidate, (part, y)) in together.iter().zip(done) {
                let y = y.map_err(|e| candidate.here(e))?;
                match &sum {
                    None => sum = Some(scaled(&y, candidate.weight)?),
                    Some(sum) => add_scaled_in_place(sum, &y, candidate.weight)?,
                }
                parts.push(pass.join(part));
                if pass.keep && by_weight && !candidate.repeats(recompute) {
                    outputs.push(y);
                }
            }
        }
        pass.push(|| Kept {
            tensors: outputs,
            dims: x.dims().to_vec(),
            parts,
            ..Kept::default()
        });
        sum.map_or_else(|| self.zeros(x), Ok)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let mut kept = pass.pop()?;
        let wants = pass.wants;
        let by_weight = self.training && wants.architecture;
        let (recompute, table, row) = (self.recompute, &self.table, self.row);
        let mut sum: Option<Tensor> = None;
        let running = self.candidates.iter_mut().enumerate();
        // Last first, as what they kept lies.
        let mut running: Vec<_> = running.filter(|(_, c)| c.runs()).rev().collect();
        for together in running.chunks_mut(many_at_once(grad)) {
            let mut works = Vec::with_capacity(together.len());
            for (k, candidate) in together.iter_mut() {
                let repeats = candidate.repeats(recompute);
                let foreign = || Error::internal("a mixed edge found another module's entry");
                let part = pass.fork(kept.parts.pop().ok_or_else(foreign)?);
                let y = match by_weight && !repeats {
                    true => Some(kept.tensors.pop().ok_or_else(foreign)?),
                    false => None,
                };
                works.push((&mut **candidate, (part, *k, y, repeats)));
            }
            let done = beside(works, |candidate, (pass, k, y, repeats)| {
                let goes_on = want || candidate.modules.iter().any(|m| m.learns(wants));
                let y = match repeats {
                    true => {
                        let y = recompute::again(&mut candidate.modules, pass, want, goes_on);
                        Some(y?)
                    }
                    false => y.take(),
                };
                if let Some(y) = y.filter(|_| by_weight) {
                    let slope = dot(grad, &y)?;
                    pass.architecture.push((table, row, *k), slope);
                }
                match goes_on {
                    true => {
                        let part = scaled(grad, candidate.weight)?;
                        candidate.backward(pass, &part, want)
                    }
                    false => Ok(None),
                }
            });
            for ((_, candidate), ((part, ..), below)) in together.iter().zip(done) {
                let below = below.map_err(|e| candidate.here(e))?;
                pass.join(part);
                sum = add(sum, below)?;
            }
        }
        match (want, sum) {
            (false, _) => Ok(None),
            (true, Some(sum)) => Ok(Some(sum)),
            (true, None) => Ok(Some(Tensor::zeros(kept.dims, grad.dtype(), grad.device())?)),
        }
    }

    fn apply_changes(&mut self) -> Result<()> {
        for candidate in &mut self.candidates {
            let mut modules = candidate.modules.iter_mut();
            let done = modules.try_for_each(|m| m.apply_changes());
            done.map_err(|e| candidate.here(e))?;
        }
        Ok(())
    }

    fn end_step(&mut self) {
        // What was not run has seen no update.
        let ran = self.candidates.iter_mut().filter(|c| c.runs());
        ran.flat_map(|c| &mut c.modules).for_each(|m| m.end_step());
    }
}
