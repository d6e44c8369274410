//! Competition between the channels at each position, with the sums that a
//! Hebbian update needs, in one pass over the pre-activations.

use candle_core::Tensor;

use super::activation::{TILE, tiles};
use super::machine::{Arg, Machine, flag, int};
use super::source::Source;
use crate::Result;
use crate::ops::cpu::real::dims4;

/// How channels of one group compete (SoftHebb specification, section 1.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rivalry {
    /// `y = softmax(gain·u)`.
    Soft {
        /// Inverse temperature β.
        gain: f64,
    },
    /// As `Soft`, all but the winner with a negative sign.
    SoftKrotov {
        /// Inverse temperature β.
        gain: f64,
    },
    /// One for the winner (the first on ties), zero for the rest.
    Hard,
    /// As `Hard`, and −δ for the neuron of a rank.
    HardKrotov {
        /// 1 is the winner itself.
        rank: usize,
        /// δ.
        delta: f64,
        /// Whether −δ is added to what the neuron has (convolutions) or takes
        /// its place (dense layers); they differ for rank 1 only.
        added: bool,
    },
}

/// What a competition gives.
#[derive(Clone, Debug)]
pub struct Competed {
    /// Post-synaptic factor, `[K, B·P·Q]`; what `conv::weight_grad_packed` takes.
    pub y: Tensor,
    /// `Σ y·u` of each channel, `[K]`.
    pub yu: Tensor,
    /// `Σ y` of each channel, `[K]`.
    pub sum: Tensor,
    /// Sum of softmax shares or wins before any sign, `[K]`.
    pub won: Tensor,
}

/// Lets the channels of each of `groups` slices compete at every position.
/// `u: [B, K, P, Q]` or `[B, K]`.
pub fn compete(rivalry: Rivalry, groups: usize, u: &Tensor) -> Result<Competed> {
    let [b, k, p, q] = dims4(u)?;
    let n = b * p * q;
    let (kind, gain, rank, delta, added) = match rivalry {
        Rivalry::Soft { gain } => (0, gain, 0, 0.0, false),
        Rivalry::SoftKrotov { gain } => (1, gain, 0, 0.0, false),
        Rivalry::Hard => (2, 0.0, 0, 0.0, false),
        Rivalry::HardKrotov { rank, delta, added } => (3, 0.0, rank, delta, added),
    };
    let m = Machine::of(u)?;
    let count = n.div_ceil(TILE[0] as usize);
    let (u, y, parts) = (m.input(u)?, m.output(k * n)?, m.output(3 * k * count)?);
    let totals = m.output(3 * k)?;
    let args = [
        int(n),
        int(k),
        int(p * q),
        int(groups),
        int(kind),
        Arg::Real(gain),
        int(rank),
        Arg::Real(delta),
        flag(added),
        u.arg(),
        y.arg(),
        parts.arg(),
    ];
    tiles(&m, Source::Compete, "compete", n, groups, &args)?;
    let args = [int(count), parts.arg(), totals.arg()];
    m.reduce(Source::Compete, "row_totals", [3 * k, 1], &args)?;
    let totals = totals.tensor(&[3, k]);
    Ok(Competed {
        y: y.tensor(&[k, n]),
        yu: totals.get(0)?,
        sum: totals.get(1)?,
        won: totals.get(2)?,
    })
}
