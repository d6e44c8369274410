//! Axes: from values to places, and where their numbers stand.

use super::super::number;

/// A linear axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    /// From values `from` to places `to`. An empty range is widened.
    #[must_use]
    pub fn new(from: (f64, f64), to: (f64, f64)) -> Self {
        let (low, high) = from;
        let from = match high > low {
            true => from,
            false => (
                low - 0.5 * low.abs().max(1.0),
                low + 0.5 * low.abs().max(1.0),
            ),
        };
        Self { from, to }
    }

    /// The place of `value`.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let share = (value - self.from.0) / (self.from.1 - self.from.0);
        self.to.0 + share * (self.to.1 - self.to.0)
    }

    /// Values that are named, `most` at most, and the decimals that they need.
    #[must_use]
    pub fn ticks(&self, most: usize) -> (Vec<f64>, usize) {
        self.ticks_from(most, 0.0)
    }

    /// The same, with steps of at least `least`.
    #[must_use]
    pub fn ticks_from(&self, most: usize, least: f64) -> (Vec<f64>, usize) {
        let step = step(self.from, most).max(least);
        let first = (self.from.0 / step - 1e-9).ceil() as i64;
        let last = (self.from.1 / step + 1e-9).floor() as i64;
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        ((first..=last).map(|i| i as f64 * step).collect(), decimals)
    }

    /// The text of a tick.
    #[must_use]
    pub fn name(&self, value: f64, decimals: usize) -> String {
        match value {
            v if v.abs() >= 1e6 => number::short(v),
            v if decimals == 0 && v >= 0.0 => number::whole(v.round() as u64),
            v => number::fixed(v, decimals),
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that parts `range` in at most `most` pieces.
fn step((low, high): (f64, f64), most: usize) -> f64 {
    let raw = (high - low) / most.max(1) as f64;
    let size = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * size >= raw * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * size
}

/// `range` widened to whole steps, at most `most` of them or one more.
#[must_use]
pub fn rounded(range: (f64, f64), most: usize) -> (f64, f64) {
    let (low, high) = range;
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    if high <= low {
        let reach = (0.1 * low.abs()).max(1e-3);
        return rounded((low - reach, high + reach), most);
    }
    let step = step(range, most);
    (
        (low / step + 1e-9).floor() * step,
        (high / step - 1e-9).ceil() * step,
    )
}

/// The range of `values` that are finite.
#[must_use]
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|x| x.is_finite());
    finite.fold(None, |range, x| match range {
        None => Some((x, x)),
        Some((low, high)) => Some((low.min(x), high.max(x))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_round() {
        let scale = Scale::new((74.1, 98.2), (0.0, 100.0));
        assert_eq!(scale.ticks(5), (vec![75.0, 80.0, 85.0, 90.0, 95.0], 0));
        assert_eq!(rounded((74.1, 98.2), 5), (70.0, 100.0));
        assert_eq!(rounded((0.5, 0.5), 4), (0.45, 0.55));
    }
}
