//! The SoftHebb update in two launches, nothing read back.

use candle_core::Tensor;

use super::machine::{Arg, Machine, double, flag, int};
use super::source::Source;
use crate::Result;

/// The rate of a neuron (SoftHebb specification, section 1.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HebbRate {
    /// `lr·(|R − 1| + 1e-10)^power`, R the neuron's radius before the change.
    Radius {
        /// Factor.
        lr: f64,
        /// Exponent.
        power: f64,
    },
    /// The same for all neurons.
    Scalar(f64),
}

/// How a change is made of a correlation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HebbStep {
    /// Rate.
    pub rate: HebbRate,
    /// Order p of the radius ‖w‖_p.
    pub norm: f64,
    /// Groups, each scaled by its own largest change.
    pub groups: usize,
    /// Neurons that learn, the first ones.
    pub train: usize,
    /// Whether to give the new weight instead of the change.
    pub absolute: bool,
}

/// Result of [`hebb_step`].
#[derive(Clone, Debug)]
pub struct HebbChange {
    /// The change, or the new weight, shape of the weight.
    pub weight: Tensor,
    /// ‖w‖_p of each neuron after the change, `[K]`.
    pub radius: Tensor,
    /// Rate used, `[K]`.
    pub rate: Tensor,
}

/// `Δ = C − q·w`, divided by the largest |Δ| of its group, times the rate.
/// `weight, correlation: [K, …]` with D elements a neuron; `q: [K]` (`Σ y·u`).
pub fn hebb_step(
    step: &HebbStep,
    weight: &Tensor,
    correlation: &Tensor,
    q: &Tensor,
) -> Result<HebbChange> {
    let (dims, k) = (weight.dims().to_vec(), weight.dim(0)?);
    let d = weight.elem_count() / k.max(1);
    let m = Machine::of(weight)?;
    let (weight, correlation, q) = (m.input(weight)?, m.input(correlation)?, m.input(q)?);
    let (delta, peak, out) = (m.output(k * d)?, m.zeros(step.groups)?, m.output(k * d)?);
    let (radius, rates) = (m.output(k)?, m.output(k)?);
    let sizes = [int(k), int(d), int(step.groups)];
    let [kk, dd, groups] = sizes;
    let args = [
        kk,
        dd,
        groups,
        correlation.arg(),
        q.arg(),
        weight.arg(),
        delta.arg(),
        peak.arg(),
    ];
    let share = d.div_ceil(256 * 8).max(1);
    m.reduce(Source::SoftHebb, "hebb_delta", [share, k], &args)?;
    let (adaptive, lr, power) = match step.rate {
        HebbRate::Radius { lr, power } => (true, lr, power),
        HebbRate::Scalar(lr) => (false, lr, 0.0),
    };
    let args = [
        kk,
        dd,
        groups,
        int(step.train),
        flag(step.absolute),
        flag(adaptive),
        double(lr),
        double(power),
        Arg::Real(step.norm),
        weight.arg(),
        delta.arg(),
        peak.arg(),
        out.arg(),
        radius.arg(),
        rates.arg(),
    ];
    m.reduce(Source::SoftHebb, "hebb_apply", [k, 1], &args)?;
    Ok(HebbChange {
        weight: out.tensor(&dims),
        radius: radius.tensor(&[k]),
        rate: rates.tensor(&[k]),
    })
}
