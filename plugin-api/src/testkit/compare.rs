//! What a check comes to, and networks side by side. All comparisons are of bits.

use super::Array;
use super::bound::{Held, Subject};
use super::chain::{Chain, sample};
use crate::sdk::Result;

/// How a check ended, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule does what it should.
    Passed(String),
    /// It does not.
    Failed(String),
    /// It does not claim this, or the check does not apply.
    Skipped(String),
}

use Outcome::{Failed, Passed};

pub(super) fn trained(
    subject: &dyn Subject,
    steps: std::ops::Range<u64>,
    shift: usize,
) -> Result<Chain> {
    let mut chain = Chain::new(subject, None)?;
    train(&mut chain, steps, shift)?;
    Ok(chain)
}

pub(super) fn train(chain: &mut Chain, steps: std::ops::Range<u64>, shift: usize) -> Result<()> {
    for step in steps {
        let (x, target) = sample(step, shift);
        chain.train(&x, &target)?;
    }
    Ok(())
}

pub(super) fn bits(value: &Array) -> Vec<u64> {
    value.values().iter().map(|v| v.to_bits()).collect()
}

/// All state tensors of two chains, side by side, with their layer.
pub(super) fn both<'a>(
    a: &'a Chain,
    b: &'a Chain,
) -> impl Iterator<Item = (usize, &'a Held, &'a Held)> {
    let links = a.links.iter().zip(&b.links).enumerate();
    links.flat_map(|(index, (a, b))| {
        a.state
            .iter()
            .zip(&b.state)
            .map(move |(a, b)| (index, a, b))
    })
}

pub(super) fn compare(a: &Chain, b: &Chain, what: &str) -> Outcome {
    for (index, a, b) in both(a, b) {
        let (name, a, b) = (&a.name, bits(&a.value), bits(&b.value));
        let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        if differing > 0 {
            return Failed(format!(
                "{differing} of {} values of `{name}` in layer {index} differ {what}",
                a.len()
            ));
        }
    }
    Passed(format!("all state is bit-identical {what}"))
}
