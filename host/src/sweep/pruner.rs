//! Where a trial is given up. It follows from what the trial has shown epoch by epoch and what
//! earlier trials have: not from when anything happened, so that it is the same after any kill and
//! for any number of trials side by side. A trial that is given up has the bits of one that is not up
//! to there, since it is a whole training that is stopped.

use std::collections::BTreeMap;

use super::plan::PrunerPlan;
use crate::plan::Direction;

/// The epochs of a trial with their values, in order.
pub type Curve = [(u64, f64)];

/// What earlier trials have shown, as a pruner looks at it. Values are upward, and those that are not
/// numbers are left out.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// By epoch (of `asha`: by rung), sorted.
    values: BTreeMap<u64, Vec<f64>>,
    trials: usize,
}

impl Earlier {
    /// How many trials it holds.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// Takes in one more trial.
    pub fn add(&mut self, plan: &PrunerPlan, direction: Direction, curve: &Curve) {
        self.trials += 1;
        let mut put = |key: u64, value: f64| {
            let value = direction.upward(value);
            if !value.is_nan() {
                let column = self.values.entry(key).or_default();
                let at = column.partition_point(|v| *v <= value);
                column.insert(at, value);
            }
        };
        match *plan {
            PrunerPlan::None => {}
            PrunerPlan::Median { .. } | PrunerPlan::Percentile { .. } => {
                curve.iter().for_each(|(epoch, value)| put(*epoch, *value));
            }
            PrunerPlan::Asha { least, reduction } => {
                let mut rung = least;
                while let Some((_, value)) = at_rung(curve, rung) {
                    put(rung, value);
                    rung = rung.saturating_mul(reduction);
                }
            }
        }
    }

    fn at(&self, key: u64) -> &[f64] {
        self.values.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// The epoch that stands for a rung: the first with a value from there on.
fn at_rung(curve: &Curve, rung: u64) -> Option<(u64, f64)> {
    curve.iter().find(|(epoch, _)| *epoch >= rung).copied()
}

/// The epoch after which the trial with `curve` is given up, beside earlier trials; `None` where it is
/// not, as far as `curve` goes. `last` is the last epoch of the whole training, where that is known:
/// after it nothing is given up.
#[must_use]
pub fn given_up(
    plan: &PrunerPlan,
    direction: Direction,
    curve: &Curve,
    earlier: &Earlier,
    last: Option<u64>,
) -> Option<u64> {
    let ends = |epoch: u64| last.is_some_and(|last| epoch >= last);
    let below = |share: f64, startup: u64, warmup: u64, interval: u64| {
        let mut best = f64::NEG_INFINITY;
        for (epoch, value) in curve {
            // A value that is not a number is no best.
            best = best.max(direction.upward(*value));
            let due = *epoch > warmup && (epoch - warmup).is_multiple_of(interval);
            if !due || ends(*epoch) {
                continue;
            }
            let others = earlier.at(*epoch);
            if others.is_empty() || (others.len() as u64) < startup {
                continue;
            }
            if best < quantile(others, 1.0 - share) {
                return Some(*epoch);
            }
        }
        None
    };
    match *plan {
        PrunerPlan::None => None,
        PrunerPlan::Median {
            startup,
            warmup,
            interval,
        } => below(0.5, startup, warmup, interval),
        PrunerPlan::Percentile {
            percentile,
            startup,
            warmup,
            interval,
        } => below(percentile / 100.0, startup, warmup, interval),
        PrunerPlan::Asha { least, reduction } => {
            let mut rung = least;
            loop {
                let (epoch, own) = at_rung(curve, rung)?;
                if ends(epoch) {
                    return None;
                }
                let own = direction.upward(own);
                let others = earlier.at(rung);
                // The trial itself is one of the rung.
                let kept = ((others.len() as u64 + 1) / reduction).max(1);
                let better = others.len() - others.partition_point(|v| *v <= own);
                if better as u64 >= kept || own.is_nan() {
                    return Some(epoch);
                }
                rung = rung.saturating_mul(reduction);
            }
        }
    }
}

/// The value at the share `q` of `sorted`, between two of them by a line.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    if low == high {
        return sorted[low];
    }
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Vec<(u64, f64)> {
        (1..).zip(values.iter().copied()).collect()
    }

    const MEDIAN: PrunerPlan = PrunerPlan::Median {
        startup: 3,
        warmup: 1,
        interval: 1,
    };

    fn decide(
        plan: &PrunerPlan,
        direction: Direction,
        curve: &Curve,
        earlier: &[Vec<(u64, f64)>],
        last: Option<u64>,
    ) -> Option<u64> {
        let mut all = Earlier::default();
        earlier.iter().for_each(|c| all.add(plan, direction, c));
        assert_eq!(all.trials(), earlier.len());
        given_up(plan, direction, curve, &all, last)
    }

    #[test]
    fn the_median_of_the_same_epoch_decides_after_the_warmup() {
        let earlier = [[0.5, 0.6, 0.7], [0.6, 0.7, 0.8], [0.7, 0.8, 0.9]].map(|c| curve(&c));
        let go =
            |values: &[f64], last| decide(&MEDIAN, Direction::Max, &curve(values), &earlier, last);
        // Bad in the first epoch, which is free; below 0.7 in the second.
        assert_eq!(go(&[0.1, 0.2, 0.3], None), Some(2));
        assert_eq!(go(&[0.1, 0.7, 0.7], None), Some(3));
        // Its best counts, not its last.
        assert_eq!(go(&[0.85, 0.1, 0.1], None), None);
        // The last epoch is not given up.
        assert_eq!(go(&[0.1, 0.7, 0.7], Some(3)), None);
        assert_eq!(
            decide(
                &MEDIAN,
                Direction::Max,
                &curve(&[0.0, 0.0]),
                &earlier[..2],
                None
            ),
            None
        );
        // Downward the same the other way round.
        assert_eq!(
            decide(&MEDIAN, Direction::Min, &curve(&[0.9, 0.9]), &earlier, None),
            Some(2)
        );
    }

    #[test]
    fn a_percentile_keeps_the_best_share() {
        let earlier: Vec<_> = (1..=9).map(|i| curve(&[f64::from(i) / 10.0])).collect();
        let plan = |percentile| PrunerPlan::Percentile {
            percentile,
            startup: 1,
            warmup: 0,
            interval: 1,
        };
        let go = |percentile, value| {
            decide(
                &plan(percentile),
                Direction::Max,
                &curve(&[value]),
                &earlier,
                None,
            )
        };
        assert_eq!(go(25.0, 0.69), Some(1));
        assert_eq!(go(25.0, 0.7), None);
        assert_eq!(go(50.0, 0.5), None);
        assert_eq!(go(50.0, 0.49), Some(1));
    }

    #[test]
    fn asha_keeps_one_in_so_many_at_each_rung() {
        let plan = PrunerPlan::Asha {
            least: 1,
            reduction: 3,
        };
        let earlier: Vec<_> = (1..=5).map(|i| curve(&[f64::from(i) / 10.0; 3])).collect();
        let go = |values: &[f64], n: usize| {
            decide(&plan, Direction::Max, &curve(values), &earlier[..n], None)
        };
        // Six in the rung: two go on.
        assert_eq!(go(&[0.45], 5), None);
        assert_eq!(go(&[0.35], 5), Some(1));
        // The first of all goes on; in the third epoch, the next rung, it is looked at again.
        assert_eq!(go(&[0.0, 0.0], 0), None);
        assert_eq!(go(&[0.55, 0.5, 0.1], 5), Some(3));
        assert_eq!(go(&[0.55, 0.1, 0.55], 5), None);
    }

    /// More of a curve never changes what was decided on less.
    #[test]
    fn a_decision_stays() {
        let earlier: Vec<_> = (0..7)
            .map(|i| {
                curve(
                    &(0..9)
                        .map(|e| f64::from((i * 7 + e * 3) % 11))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let whole = curve(&[3.0, 4.0, 1.0, 8.0, 2.0, 9.0, 0.0, 5.0, 6.0]);
        for plan in [
            MEDIAN,
            PrunerPlan::Asha {
                least: 2,
                reduction: 2,
            },
        ] {
            let all = decide(&plan, Direction::Max, &whole, &earlier, None);
            for n in 0..=whole.len() {
                let part = decide(&plan, Direction::Max, &whole[..n], &earlier, None);
                let expected = all.filter(|epoch| *epoch <= n as u64);
                assert_eq!(part, expected, "{plan:?} {n}");
            }
        }
    }
}
