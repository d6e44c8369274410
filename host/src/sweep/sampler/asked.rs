//! What a sampler is asked, and what it is told.

use crate::Result;
use crate::sweep::rank::Told;
use crate::sweep::space::Assignment;

/// What is known when a trial is to be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The first trials, each ended; as many as [`Sampler::needs`] says.
    pub told: &'a [Told],
    /// Those between them and the trial, which may still run.
    pub pending: &'a [Assignment],
}

/// Chooses values. What it chooses is a function of the study, the number and what is told.
pub trait Sampler {
    /// How many of the first trials have to have ended before `number` can be chosen; they are all
    /// that its choice depends on.
    fn needs(&self, number: u64) -> u64 {
        let _ = number;
        0
    }

    /// The values of trial `number`; `None` where there is none left.
    ///
    /// # Errors
    /// Internal error for a past that does not fit; those of a program that is asked.
    fn ask(&mut self, number: u64, past: &Past<'_>) -> Result<Option<Assignment>>;
}

/// A number for `name`, the same wherever it is computed (FNV-1a of 64 bits).
pub(super) fn key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
