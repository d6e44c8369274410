//! The circumstances of a call.

use crate::abi::callbacks;
use crate::abi::host::{lift, op};
use crate::abi::types::{Code, RawCall, fail};
use crate::sdk::{LayerSpec, RandomStream, Result, RuleError};

/// Layer, schedule position, randomness and services, for one call.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    layer: &'a LayerSpec,
    call: RawCall,
}

impl<'a> Context<'a> {
    pub(crate) fn new(layer: &'a LayerSpec, call: RawCall) -> Self {
        Self { layer, call }
    }
    /// The layer, with its three maps.
    pub fn layer(&self) -> &'a LayerSpec {
        self.layer
    }
    /// Updates that this layer has seen in this phase.
    pub fn step(&self) -> u64 {
        self.call.step
    }
    /// Finished epochs of the phase.
    pub fn epoch(&self) -> u64 {
        self.call.epoch
    }
    /// Epochs of the phase; 0 if open-ended.
    pub fn epochs(&self) -> u64 {
        self.call.epochs
    }
    /// Steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.call.steps_per_epoch
    }
    /// Samples in a full batch.
    pub fn batch(&self) -> u64 {
        self.call.batch
    }
    /// Training samples in an epoch.
    pub fn samples(&self) -> u64 {
        self.call.samples
    }
    /// The rate of the phase's schedule where it sets one, else `own`.
    pub fn rate_or(&self, own: f64) -> f64 {
        if self.call.rate.is_nan() {
            own
        } else {
            self.call.rate
        }
    }
    /// Whether the phase's schedule sets the rate.
    pub fn rate_is_scheduled(&self) -> bool {
        !self.call.rate.is_nan()
    }
    /// Whether the block is in training mode.
    pub fn training(&self) -> bool {
        self.call.training
    }
    /// Whether `learn` or `backward` will follow this `forward`.
    pub fn learning(&self) -> bool {
        self.call.learning
    }
    /// Passes with gradients that the step has made before this one: a step that passes several
    /// times, as a search's does, has other draws in each of them.
    pub fn pass(&self) -> u64 {
        self.call.pass
    }
    /// A stream of random numbers that depends on run, layer, step, pass and `name` alone.
    pub fn random(&self, name: &str) -> RandomStream {
        RandomStream::new(self.call.seed, self.call.step, name).of_pass(self.call.pass)
    }
    /// A stream that depends on run, layer and `name` alone: the same at every step, in
    /// every phase and in evaluation.
    pub fn fixed_random(&self, name: &str) -> RandomStream {
        RandomStream::new(self.call.seed, u64::MAX, name)
    }
    /// A line in the host's log, at level info.
    pub fn info(&self, text: &str) {
        self.log(2, text);
    }
    /// A line in the host's log, at level warn.
    pub fn warn(&self, text: &str) {
        self.log(1, text);
    }
    fn log(&self, level: u32, text: &str) {
        let write = || -> Result<()> {
            (op!(log))(Code(level), text.into());
            Ok(())
        };
        // Without a host there is no log.
        let _ = write();
    }
    /// Whether the user asked to stop; a rule with a long loop of its own looks now and then.
    ///
    /// # Errors
    /// No host.
    pub fn cancelled(&self) -> Result<bool> {
        Ok((op!(cancelled))())
    }
    /// Runs `body` over parts of `0..n`, each of at least `grain`, on the host's threads.
    /// Tensors may not be used inside.
    ///
    /// # Errors
    /// A panic in `body`.
    pub fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: impl Fn(std::ops::Range<usize>) + Sync,
    ) -> Result<()> {
        let guarded = callbacks::Guarded::new(body);
        let (context, entry) = guarded.entry();
        lift((op!(parallel_for))(n, grain, context, entry))?;
        if guarded.panicked() {
            return Err(RuleError::new(fail::PANIC, "panic inside `parallel_for`"));
        }
        Ok(())
    }
}
