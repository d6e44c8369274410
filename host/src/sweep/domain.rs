//! What values a parameter may have, and where they lie on a line or in the unit interval.

use serde_json::Value as Json;

use crate::text::nearest;
use crate::{Error, Result};

/// A value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A whole number.
    Whole(i64),
    /// A choice, by its place.
    Choice(usize),
}

/// One of several values that have no order.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What it is called in tables and conditions.
    pub label: String,
    /// What the configuration gets: a word, a number, or a whole table.
    pub value: toml::Value,
}

impl Choice {
    /// A word, switch or number, which is its own label.
    #[must_use]
    pub fn plain(value: toml::Value) -> Self {
        let label = match &value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self { label, value }
    }
}

/// What values a parameter may have.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Every number from `low` to `high`; a grid takes `points` of them.
    Real {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether their logarithms are spread evenly.
        log: bool,
        /// Values of a grid, both ends among them.
        points: Option<u64>,
    },
    /// The numbers `low`, `low + step` and so on.
    Stepped {
        /// Smallest value.
        low: f64,
        /// Distance of two neighbours.
        step: f64,
        /// How many there are.
        count: u64,
    },
    /// The whole numbers `low`, `low + step` and so on, none above `high`.
    Whole {
        /// Smallest value.
        low: i64,
        /// Largest value, one of them.
        high: i64,
        /// Distance of two neighbours.
        step: i64,
        /// Whether their logarithms are spread evenly.
        log: bool,
    },
    /// Values without an order.
    Choices(Vec<Choice>),
}

impl Domain {
    /// The stepped domain from `low` to `high`; the last step may fall short of `high`.
    #[must_use]
    pub fn stepped(low: f64, high: f64, step: f64) -> Self {
        // A third of a billionth of a step is what decimal steps lose in binary.
        let count = ((high - low) / step + 3e-10).floor() as u64 + 1;
        Self::Stepped { low, step, count }
    }

    /// The limits on the line on which numbers are spread evenly: logarithms where asked for, and
    /// half a step more on both sides of what has steps. `None` for choices.
    #[must_use]
    pub fn line(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Real { low, high, log, .. } if log => Some((low.ln(), high.ln())),
            Self::Real { low, high, .. } => Some((low, high)),
            Self::Stepped { low, step, count } => {
                Some((low - 0.5 * step, low + (count as f64 - 0.5) * step))
            }
            Self::Whole {
                low,
                high,
                step,
                log,
            } => {
                let half = 0.5 * step as f64;
                let (low, high) = (low as f64 - half, high as f64 + half);
                Some(if log {
                    (low.ln(), high.ln())
                } else {
                    (low, high)
                })
            }
            Self::Choices(_) => None,
        }
    }

    /// Where `value` lies on the line of [`Self::line`]; a choice's place.
    #[must_use]
    pub fn on_line(&self, value: Value) -> f64 {
        let x = match value {
            Value::Number(x) => x,
            Value::Whole(n) => n as f64,
            Value::Choice(i) => i as f64,
        };
        match self {
            Self::Real { log: true, .. } | Self::Whole { log: true, .. } => x.ln(),
            _ => x,
        }
    }

    /// Where a number lies along its line, 0 to 1; `None` for choices, and where there is one value.
    #[must_use]
    pub fn share(&self, value: Value) -> Option<f64> {
        let (low, high) = self.line().filter(|(low, high)| high > low)?;
        Some((self.on_line(value) - low) / (high - low))
    }

    /// The piece of the line that stands for `value`: a point of a continuous domain is no wider
    /// than itself.
    #[must_use]
    pub fn piece(&self, value: Value) -> (f64, f64) {
        let x = self.on_line(value);
        match (self, value) {
            (Self::Stepped { step, .. }, _) => (x - 0.5 * step, x + 0.5 * step),
            (Self::Whole { step, log, .. }, Value::Whole(n)) => {
                let half = 0.5 * *step as f64;
                let (a, b) = (n as f64 - half, n as f64 + half);
                if *log { (a.ln(), b.ln()) } else { (a, b) }
            }
            _ => (x, x),
        }
    }

    /// The value at `x` of the line, the nearest one where `x` lies between two or outside.
    #[must_use]
    pub fn at_line(&self, x: f64) -> Value {
        match *self {
            Self::Real { low, high, log, .. } => {
                Value::Number(if log { x.exp() } else { x }.clamp(low, high))
            }
            Self::Stepped { low, step, count } => {
                let i = ((x - low) / step).round().clamp(0.0, (count - 1) as f64);
                Value::Number(tidy(low + i * step, step))
            }
            Self::Whole {
                low,
                high,
                step,
                log,
            } => {
                let x = if log { x.exp() } else { x };
                let last = (high - low) / step;
                let i = ((x - low as f64) / step as f64).round();
                Value::Whole(low + step * (i.clamp(0.0, last as f64) as i64))
            }
            Self::Choices(ref all) => {
                Value::Choice((x.round().max(0.0) as usize).min(all.len().saturating_sub(1)))
            }
        }
    }

    /// The value at the share `u`, 0 to 1, of the domain.
    #[must_use]
    pub fn at(&self, u: f64) -> Value {
        match (self, self.line()) {
            (Self::Choices(all), _) => {
                let i = (u * all.len() as f64) as usize;
                Value::Choice(i.min(all.len().saturating_sub(1)))
            }
            (_, Some((low, high))) => self.at_line(low + u * (high - low)),
            (_, None) => Value::Choice(0),
        }
    }

    /// How many values a grid takes; `None` for a continuous domain without `points`.
    #[must_use]
    pub fn levels(&self) -> Option<u64> {
        match self {
            Self::Real { low, high, .. } if low == high => Some(1),
            Self::Real { points, .. } => *points,
            Self::Stepped { count, .. } => Some(*count),
            Self::Whole {
                low, high, step, ..
            } => Some(((high - low) / step) as u64 + 1),
            Self::Choices(all) => Some(all.len() as u64),
        }
    }

    /// The `i`-th value of a grid, from 0.
    #[must_use]
    pub fn level(&self, i: u64) -> Value {
        match *self {
            Self::Real {
                low,
                high,
                log,
                points,
            } => {
                let last = points.unwrap_or(1).max(2) - 1;
                let share = i as f64 / last as f64;
                Value::Number(match (i, log) {
                    (0, _) => low,
                    (i, _) if i >= last => high,
                    (_, true) => low * (high / low).powf(share),
                    (_, false) => low + share * (high - low),
                })
            }
            Self::Stepped { low, step, .. } => Value::Number(tidy(low + i as f64 * step, step)),
            Self::Whole { low, step, .. } => Value::Whole(low + step * i as i64),
            Self::Choices(_) => Value::Choice(i as usize),
        }
    }

    /// `value` as JSON: a number, or a choice's own word, switch, number or label.
    #[must_use]
    pub fn to_json(&self, value: Value) -> Json {
        match (self, value) {
            (_, Value::Number(x)) => x.into(),
            (_, Value::Whole(n)) => n.into(),
            (Self::Choices(all), Value::Choice(i)) => match all.get(i) {
                None => Json::Null,
                Some(choice) => {
                    scalar(&choice.value).unwrap_or_else(|| choice.label.clone().into())
                }
            },
            (_, Value::Choice(i)) => i.into(),
        }
    }

    /// `value` as a configuration has it.
    #[must_use]
    pub fn to_toml(&self, value: Value) -> toml::Value {
        match (self, value) {
            (_, Value::Number(x)) => x.into(),
            (_, Value::Whole(n)) => n.into(),
            (Self::Choices(all), Value::Choice(i)) => all
                .get(i)
                .map_or(toml::Value::Boolean(false), |c| c.value.clone()),
            (_, Value::Choice(i)) => (i as i64).into(),
        }
    }

    /// The value that `json` says.
    ///
    /// # Errors
    /// Usage error for what is not in the domain; the text says what is.
    pub fn read(&self, json: &Json) -> Result<Value> {
        let outside = |limits: String| Error::usage(format!("{json} is not {limits}"));
        let number = json.as_f64().filter(|x| x.is_finite());
        match self {
            Self::Real { low, high, .. } => {
                let found = number.filter(|x| (low..=high).contains(&x));
                let limits = || outside(format!("a number from {low} to {high}"));
                found.map(Value::Number).ok_or_else(limits)
            }
            Self::Stepped { low, step, count } => {
                let value = number.map(|x| self.at_line(x));
                let near = |v: &Value| {
                    let x = number.unwrap_or(f64::NAN);
                    matches!(v, Value::Number(y) if (x - y).abs() <= 1e-6 * step)
                };
                let high = low + (*count as f64 - 1.0) * step;
                let limits =
                    || outside(format!("a number from {low} to {high} in steps of {step}"));
                value.filter(near).ok_or_else(limits)
            }
            Self::Whole {
                low, high, step, ..
            } => {
                let whole = number.filter(|x| x.fract() == 0.0).map(|x| x as i64);
                let found = whole.filter(|n| (low..=high).contains(&n) && (n - low) % step == 0);
                let steps = match step {
                    1 => String::new(),
                    step => format!(" in steps of {step}"),
                };
                let limits = || outside(format!("a whole number from {low} to {high}{steps}"));
                found.map(Value::Whole).ok_or_else(limits)
            }
            Self::Choices(all) => {
                let fits = |c: &Choice| {
                    scalar(&c.value).is_some_and(|own| own == *json || same_number(&own, json))
                        || json.as_str() == Some(&c.label)
                };
                if let Some(i) = all.iter().position(fits) {
                    return Ok(Value::Choice(i));
                }
                let labels = || all.iter().map(|c| c.label.as_str());
                let list: Vec<&str> = labels().collect();
                let e = outside(format!("one of `{}`", list.join("`, `")));
                Err(
                    match json.as_str().and_then(|word| nearest(word, labels())) {
                        Some(near) => e.hint(format!("did you mean `{near}`?")),
                        None => e,
                    },
                )
            }
        }
    }
}

/// The value without the digits that adding steps leaves: 0.15000000000000002 becomes 0.15.
fn tidy(x: f64, step: f64) -> f64 {
    let digits = (-step.abs().log10()).ceil().max(0.0) + 10.0;
    if digits > 15.0 || x.abs() > 1e9 {
        return x;
    }
    format!("{x:.*}", digits as usize).parse().unwrap_or(x)
}

fn scalar(value: &toml::Value) -> Option<Json> {
    match value {
        toml::Value::String(text) => Some(text.clone().into()),
        toml::Value::Integer(n) => Some((*n).into()),
        toml::Value::Float(x) => Some((*x).into()),
        toml::Value::Boolean(b) => Some((*b).into()),
        _ => None,
    }
}

fn same_number(a: &Json, b: &Json) -> bool {
    matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn choices(words: &[&str]) -> Domain {
        let plain = |w: &&str| Choice::plain(toml::Value::String((*w).to_owned()));
        Domain::Choices(words.iter().map(plain).collect())
    }

    fn real(low: f64, high: f64, log: bool) -> Domain {
        Domain::Real {
            low,
            high,
            log,
            points: None,
        }
    }

    #[test]
    fn steps_are_counted_and_written_without_the_dust_of_sums() {
        let domain = Domain::stepped(0.0, 0.4, 0.005);
        assert_eq!(domain.levels(), Some(81));
        let all: Vec<String> = (0..81)
            .map(|i| domain.to_json(domain.level(i)).to_string())
            .collect();
        assert!(all.iter().all(|text| text.len() <= 5), "{all:?}");
        assert_eq!(domain.level(80), Value::Number(0.4));
        assert_eq!(domain.at(0.999_999), Value::Number(0.4));
        assert_eq!(Domain::stepped(0.0, 1.0, 0.3).levels(), Some(4));
    }

    #[test]
    fn a_grid_of_points_has_both_ends_and_equal_ratios() {
        let domain = Domain::Real {
            low: 1.25f64.powi(-10),
            high: 1.25f64.powi(16),
            log: true,
            points: Some(27),
        };
        for i in 0..27 {
            let Value::Number(x) = domain.level(i) else {
                panic!("a number")
            };
            let exact = 1.25f64.powi(i as i32 - 10);
            assert!((x - exact).abs() < 1e-13 * exact, "{i}: {x} {exact}");
        }
    }

    #[test]
    fn choices_are_read_by_value_and_label_and_slips_are_named() {
        let domain = choices(&["softhebb", "krotov"]);
        assert_eq!(domain.read(&json!("krotov")).unwrap(), Value::Choice(1));
        let e = domain.read(&json!("krotv")).unwrap_err();
        assert!(e.hint.unwrap().contains("`krotov`"));
        let numbers = Domain::Choices(vec![Choice::plain(16.into()), Choice::plain(32.into())]);
        assert_eq!(numbers.read(&json!(32.0)).unwrap(), Value::Choice(1));
    }

    #[test]
    fn what_lies_outside_is_refused_with_the_limits() {
        let e = real(0.0, 1.0, false).read(&json!(2)).unwrap_err();
        assert!(e.text.contains("from 0 to 1"), "{e}");
        let whole = Domain::Whole {
            low: 2,
            high: 8,
            step: 2,
            log: false,
        };
        assert!(whole.read(&json!(3)).is_err());
        assert_eq!(whole.read(&json!(4)).unwrap(), Value::Whole(4));
    }

    fn domains() -> impl Strategy<Value = Domain> {
        prop_oneof![
            (-5.0..5.0f64, 0.01..10.0f64).prop_map(|(low, w)| real(low, low + w, false)),
            (1e-6..1.0f64, 1.5..1e5f64).prop_map(|(low, f)| real(low, low * f, true)),
            (-3.0..3.0f64, 1u64..50, 0.001..0.5f64).prop_map(|(low, n, step)| Domain::stepped(
                low,
                low + n as f64 * step,
                step
            )),
            (1i64..9, 0i64..40, 1i64..4, any::<bool>()).prop_map(|(low, n, step, log)| {
                Domain::Whole {
                    low,
                    high: low + n * step,
                    step,
                    log: log && step == 1,
                }
            }),
            (1usize..6).prop_map(|n| choices(&["a", "b", "c", "d", "e", "f"][..n])),
        ]
    }

    proptest! {
        /// Every value is read back from JSON, lies on its piece of the line, and the line leads to it.
        #[test]
        fn values_survive_text_and_the_line(domain in domains(), u in 0.0..1.0f64) {
            let value = domain.at(u);
            let text = domain.to_json(value).to_string();
            let json: Json = serde_json::from_str(&text).unwrap();
            let back = domain.read(&json).unwrap();
            prop_assert_eq!(back, value);
            let at = domain.at_line(domain.on_line(value));
            match (at, value) {
                // A logarithm and back may lose the last bit.
                (Value::Number(a), Value::Number(b)) => prop_assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-9)),
                (a, b) => prop_assert_eq!(a, b),
            }
            if let Some((low, high)) = domain.line() {
                let (a, b) = domain.piece(value);
                prop_assert!(a >= low - 1e-9 && b <= high + 1e-9);
            }
        }
    }
}
