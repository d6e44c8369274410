//! Comparisons with golden tensors, collected over a file.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::numbers::values;

/// How far a result may be from the golden one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Every entry within this fraction of the largest magnitude of the golden tensor.
    Largest(f64),
    /// Every entry within `absolute + relative·|golden entry|`.
    Each {
        /// Absolute part.
        absolute: f64,
        /// Part relative to the golden entry.
        relative: f64,
    },
    /// Every entry the same number.
    Exact,
}

impl Tolerance {
    /// Allowed deviation of an entry from `want`, where `largest` is the largest magnitude.
    fn allowed(self, want: f64, largest: f64) -> f64 {
        match self {
            Self::Largest(fraction) => fraction * largest,
            Self::Each { absolute, relative } => absolute + relative * want.abs(),
            Self::Exact => 0.0,
        }
    }
}

impl Tolerance {
    /// What counts here: on a GPU sums have another order, and single precision agrees within
    /// 1e-3 of the largest magnitude; what is exact stays so.
    fn here(self, got: &Tensor) -> Self {
        if !crate::device().is_cuda() || got.dtype() == DType::F64 {
            return self;
        }
        match self {
            Self::Largest(fraction) => Self::Largest(fraction.max(1e-3)),
            Self::Each { .. } => Self::Largest(1e-3),
            Self::Exact => self,
        }
    }
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Largest(fraction) => write!(f, "{fraction:.0e}"),
            Self::Each { absolute, relative } => write!(f, "{absolute:.0e} + {relative:.0e}·|v|"),
            Self::Exact => write!(f, "exact"),
        }
    }
}

/// One tensor compared.
#[derive(Clone, Debug)]
struct Check {
    name: String,
    /// `max|a − b| / max|b|`.
    error: f64,
    /// The part of the allowed deviation that was used; above 1 is a failure.
    used: f64,
    tolerance: Tolerance,
}

/// The comparisons made with one file.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    all: Vec<Check>,
    problems: Vec<String>,
    left_out: Vec<String>,
}

impl Checks {
    /// Compares `got` with `want` and remembers the error; shapes must be the same, a NaN is
    /// equal to a NaN only. Nothing fails here: see [`Checks::problems`].
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub fn compare(
        &mut self,
        name: &str,
        got: &Tensor,
        want: &Tensor,
        tolerance: Tolerance,
    ) -> Result<()> {
        if got.dims() != want.dims() {
            self.problem(format!(
                "{name}: shape {:?}, expected {:?}",
                got.dims(),
                want.dims()
            ));
            return Ok(());
        }
        let tolerance = tolerance.here(got);
        self.compare_values(name, &values(got)?, &values(want)?, tolerance);
        Ok(())
    }

    /// [`Checks::compare`] for plain numbers.
    pub fn compare_values(&mut self, name: &str, got: &[f64], want: &[f64], tolerance: Tolerance) {
        if got.len() != want.len() {
            self.problem(format!(
                "{name}: {} values, expected {}",
                got.len(),
                want.len()
            ));
            return;
        }
        let largest = want
            .iter()
            .filter(|v| v.is_finite())
            .fold(0.0, |m: f64, v| m.max(v.abs()));
        let (mut error, mut used) = (0.0f64, 0.0f64);
        for (&got, &want) in got.iter().zip(want) {
            if got == want || (got.is_nan() && want.is_nan()) {
                continue;
            }
            let distance = (got - want).abs();
            let distance = if distance.is_nan() {
                f64::INFINITY
            } else {
                distance
            };
            // Against a tensor of zeros the absolute error stands for the relative one.
            error = error.max(distance / if largest > 0.0 { largest } else { 1.0 });
            let allowed = tolerance.allowed(want, largest);
            used = used.max(if allowed > 0.0 {
                distance / allowed
            } else {
                f64::INFINITY
            });
        }
        if used > 1.0 {
            let text = format!("{name}: relative error {error:.2e}, tolerance {tolerance}");
            self.problem(text);
        }
        let name = name.to_string();
        self.all.push(Check {
            name,
            error,
            used,
            tolerance,
        });
    }

    /// Remembers a failure that is not a matter of numbers.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }
    /// Remembers a golden tensor that has no counterpart here, and why, so that the table says so.
    pub fn left_out(&mut self, name: &str, why: &str) {
        self.left_out.push(format!("{name} ({why})"));
    }
    /// Golden tensors that were not compared.
    pub fn omissions(&self) -> &[String] {
        &self.left_out
    }
    /// What failed.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
    /// Number of tensors compared.
    pub fn len(&self) -> usize {
        self.all.len()
    }
    /// Whether nothing was compared.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
    /// The comparison that came nearest to failing.
    pub fn worst(&self) -> Option<Worst<'_>> {
        let key = |c: &Check| (c.used, c.error);
        let mut all = self.all.iter();
        let first = all.next()?;
        let worst = all.fold(first, |held, c| if key(c) > key(held) { c } else { held });
        Some(Worst {
            tensor: &worst.name,
            error: worst.error,
            tolerance: worst.tolerance,
            used: worst.used,
        })
    }
}

/// A comparison for the table.
#[derive(Clone, Copy, Debug)]
pub struct Worst<'a> {
    /// What was compared.
    pub tensor: &'a str,
    /// `max|a − b| / max|b|`.
    pub error: f64,
    /// What is allowed.
    pub tolerance: Tolerance,
    /// The part of it that was used; above 1 is a failure.
    pub used: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_relative_to_the_largest_golden_entry() {
        let mut checks = Checks::default();
        checks.compare_values("a", &[1.0, 100.1], &[1.0, 100.0], Tolerance::Largest(2e-3));
        let worst = checks.worst().expect("a comparison");
        let (name, error) = (worst.tensor, worst.error);
        assert_eq!(name, "a");
        assert!((error - 1e-3).abs() < 1e-12);
        assert!(checks.problems().is_empty());
    }

    #[test]
    fn what_lies_outside_is_a_problem() {
        let outside: [(&[f64], &[f64], Tolerance); 5] = [
            (&[1.1], &[1.0], Tolerance::Largest(1e-2)),
            (&[f64::NAN], &[1.0], Tolerance::Largest(1e-2)),
            (&[1.0], &[1.0, 1.0], Tolerance::Exact),
            (&[2.0], &[1.0], Tolerance::Exact),
            (
                &[1e-3, 1.0],
                &[0.0, 1.0],
                Tolerance::Each {
                    absolute: 1e-4,
                    relative: 1.0,
                },
            ),
        ];
        for (got, want, tolerance) in outside {
            let mut checks = Checks::default();
            checks.compare_values("a", got, want, tolerance);
            assert_eq!(checks.problems().len(), 1, "{got:?} {want:?} {tolerance:?}");
        }
    }
}
