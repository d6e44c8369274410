//! Short bursts of each side in turn, so that what the machine does meanwhile
//! hits all of them alike; medians of medians.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use candle_core::Device;

use super::case::Work;
use super::machine::{Pressure, is_quiet};
use super::torch::Worker;
use crate::threads::{flush_denormals, in_pool};
use crate::{Error, Result};

/// Above this share of waiting tasks a burst counts as disturbed (the rule of
/// docs/performance.md).
const DISTURBED: f64 = 0.06;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seconds of a burst.
    pub seconds: f64,
    /// Bursts of each side.
    pub repeats: usize,
    /// Seconds that a row may wait, all in all, for the machine to be quiet.
    pub patience: f64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            seconds: 0.12,
            repeats: 7,
            patience: 2.0,
        }
    }
}

/// Who does the work.
pub enum Side<'a> {
    /// We do.
    Ours {
        /// The work; shared by two settings that take turns.
        work: &'a RefCell<Box<dyn Work>>,
        /// Where it is done.
        device: &'a Device,
        /// Whether subnormal numbers are taken as 0, as everywhere else in the program.
        flush_denormal: bool,
    },
    /// PyTorch does.
    Torch {
        /// The process; shared by the variants that take turns.
        worker: &'a RefCell<Worker>,
        /// Which of the case's variants.
        variant: String,
    },
}

impl Side<'_> {
    /// Seconds of one call: the median of a burst after one untimed call.
    ///
    /// # Errors
    /// Failures of the work or of the worker.
    pub fn burst(&mut self, seconds: f64) -> Result<f64> {
        match self {
            Self::Ours {
                work,
                device,
                flush_denormal,
            } => {
                let mut work = work.borrow_mut();
                let work = &mut **work;
                if *flush_denormal {
                    return in_pool(|| ours(work, device, seconds));
                }
                flush_denormals(false);
                let taken = in_pool(|| ours(work, device, seconds));
                flush_denormals(true);
                taken
            }
            Self::Torch { worker, variant } => worker
                .borrow_mut()
                .burst(variant, seconds)
                .map_err(|reason| Error::internal(format!("PyTorch: {reason}"))),
        }
    }
}

/// A burst of ours. On a GPU calls are queued and only their end is waited for,
/// so that the value is a mean there.
fn ours(work: &mut dyn Work, device: &Device, seconds: f64) -> Result<f64> {
    work.call()?;
    device.synchronize()?;
    let start = Instant::now();
    let mut each = Vec::new();
    if device.is_cpu() {
        while each.is_empty() || start.elapsed().as_secs_f64() < seconds {
            let call = Instant::now();
            work.call()?;
            each.push(call.elapsed().as_secs_f64());
        }
        return Ok(median(&mut each));
    }
    work.call()?;
    device.synchronize()?;
    let one = start.elapsed().as_secs_f64().max(1e-9);
    let calls = ((seconds / one).ceil() as usize).clamp(1, 100_000);
    let start = Instant::now();
    for _ in 0..calls {
        work.call()?;
    }
    device.synchronize()?;
    Ok(start.elapsed().as_secs_f64() / calls as f64)
}

/// Bursts of one side.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Seconds of a call and whether the machine was quiet meanwhile, by burst.
    bursts: Vec<(f64, bool)>,
}

impl Measured {
    /// Those that count: the undisturbed ones where there are enough, else all.
    fn counted(&self) -> (Vec<f64>, bool) {
        let clean: Vec<f64> = self.bursts.iter().filter(|b| b.1).map(|b| b.0).collect();
        let enough = self.bursts.len().min(5);
        if clean.len() >= enough {
            return (clean, false);
        }
        (self.bursts.iter().map(|b| b.0).collect(), true)
    }

    /// Median, seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        median(&mut self.counted().0)
    }

    /// Distance of the quartiles by the median.
    #[must_use]
    pub fn spread(&self) -> f64 {
        let (mut all, _) = self.counted();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
        match all.len() {
            0 => 0.0,
            _ => (at(0.75) - at(0.25)) / at(0.5),
        }
    }

    /// Too few bursts were undisturbed.
    #[must_use]
    pub fn contended(&self) -> bool {
        self.counted().1
    }
}

/// Measures all sides in turn.
///
/// # Errors
/// Failures of any side.
pub fn measure(sides: &mut [Side<'_>], effort: Effort) -> Result<Vec<Measured>> {
    let mut out = vec![Measured::default(); sides.len()];
    let mut patience = Duration::from_secs_f64(effort.patience.max(0.0));
    for _ in 0..effort.repeats.max(1) {
        for (side, measured) in sides.iter_mut().zip(&mut out) {
            patience = patience.saturating_sub(wait_until_quiet(patience));
            let watch = Pressure::watch();
            let seconds = side.burst(effort.seconds)?;
            let quiet = watch.share().is_none_or(|share| share < DISTURBED);
            measured.bursts.push((seconds, quiet));
        }
    }
    Ok(out)
}

/// Waits at most `limit` until nothing else wants to run; how long it took.
fn wait_until_quiet(limit: Duration) -> Duration {
    let start = Instant::now();
    while start.elapsed() < limit && !is_quiet() {
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// The median; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn disturbed_bursts_count_only_where_too_few_are_clean() {
        let of = |clean: usize, all: usize| Measured {
            bursts: (0..all)
                .map(|i| (if i < clean { 1.0 } else { 9.0 }, i < clean))
                .collect(),
        };
        let quiet = of(5, 7);
        assert_eq!(quiet.seconds(), 1.0);
        assert!(!quiet.contended());
        let busy = of(4, 11);
        assert_eq!(busy.seconds(), 9.0);
        assert!(busy.contended());
        assert_eq!(of(7, 7).spread(), 0.0);
    }
}
