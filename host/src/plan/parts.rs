//! Parts of a training set by range: `0:25000`, `:50%`, `1/3:2/3`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::define::words;

words! {
    /// Where the samples of parts stand, from which ranges take them.
    pub enum PartsOrder = Random {
        /// In an order drawn under `split_seed`, so that parts have much the same classes.
        Random = "random",
        /// As the set stores them: DARTS's halves of CIFAR-10 are the first and the last 25,000.
        Stored = "stored",
    }
}

/// From which sample to which, the end not included.
///
/// A bound is a number of samples, a share with `%`, or a fraction `a/b`; shares are rounded down,
/// so that `:1/3` and `1/3:` have no sample in common and miss none. An absent bound is that of the
/// set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartRange {
    text: String,
    from: Bound,
    to: Bound,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Samples(usize),
    /// Numerator and denominator.
    Share(u64, u64),
}

impl Bound {
    fn of(self, samples: usize) -> usize {
        match self {
            Self::Samples(n) => n,
            Self::Share(a, b) => (samples as u128 * u128::from(a) / u128::from(b)) as usize,
        }
    }

    /// `25000`, `50%`, `33.3%`, `1/3`.
    fn parse(text: &str) -> Option<Self> {
        if let Some((a, b)) = text.split_once('/') {
            return share(digits(a)?, digits(b)?);
        }
        let Some(percent) = text.strip_suffix('%') else {
            return Some(Self::Samples(usize::try_from(digits(text)?).ok()?));
        };
        let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
        let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = if fraction.is_empty() {
            0
        } else {
            digits(fraction)?
        };
        let hundreds = digits(whole)?.checked_mul(scale)?.checked_add(part)?;
        share(hundreds, scale.checked_mul(100)?)
    }
}

/// `a/b`, at most 1.
fn share(a: u64, b: u64) -> Option<Bound> {
    (b > 0 && a <= b).then_some(Bound::Share(a, b))
}

/// Digits alone: no sign, no spaces.
fn digits(text: &str) -> Option<u64> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl PartRange {
    /// The range among `samples`.
    ///
    /// # Errors
    /// What is wrong, in words, where it is empty or reaches beyond the last sample.
    pub fn of(&self, samples: usize) -> Result<Range<usize>, String> {
        let (from, to) = (self.from.of(samples), self.to.of(samples));
        if to > samples || from > samples {
            return Err(format!(
                "is `{self}`, and there are {samples} training samples"
            ));
        }
        if from >= to {
            return Err(format!(
                "is `{self}`, which is empty among {samples} training samples"
            ));
        }
        Ok(from..to)
    }
}

impl FromStr for PartRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds = text.split_once(':').and_then(|(from, to)| {
            let bound = |text: &str, absent| match text.trim() {
                "" => Some(absent),
                text => Bound::parse(text),
            };
            let from = bound(from, Bound::Samples(0))?;
            Some((from, bound(to, Bound::Share(1, 1))?))
        });
        match bounds {
            Some((from, to)) => Ok(Self {
                text: text.trim().to_owned(),
                from,
                to,
            }),
            None => Err(format!(
                "is `{text}`, expected a range such as `0:25000`, `:50%` or `1/3:2/3`"
            )),
        }
    }
}

impl TryFrom<String> for PartRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PartRange> for String {
    fn from(range: PartRange) -> Self {
        range.text
    }
}

impl fmt::Display for PartRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, samples: usize) -> Result<Range<usize>, String> {
        text.parse::<PartRange>()?.of(samples)
    }

    #[test]
    fn bounds_are_numbers_shares_and_fractions() {
        for (text, samples, want) in [
            ("0:25000", 50000, 0..25000),
            ("25000:", 50000, 25000..50000),
            (":50%", 1297, 0..648),
            ("50%:", 1297, 648..1297),
            ("33.3%:100%", 1000, 333..1000),
            (":", 7, 0..7),
            (" 1/3 : 2/3 ", 100, 33..66),
            ("2/3:", 100, 66..100),
        ] {
            assert_eq!(range(text, samples), Ok(want), "{text}");
        }
    }

    #[test]
    fn neighbours_share_nothing_and_miss_nothing() {
        for samples in [3, 10, 999, 1297, 50000] {
            for parts in [[":1/3", "1/3:2/3", "2/3:"], [":25%", "25%:60.5%", "60.5%:"]] {
                let of = |text: &str| range(text, samples);
                let all = parts.map(of).map(|r| r.unwrap_or(0..0));
                assert_eq!((all[0].start, all[2].end), (0, samples));
                let meet = all
                    .windows(2)
                    .all(|w| w[0].is_empty() || w[0].end == w[1].start);
                assert!(meet, "{samples} {all:?}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "5",
            "-5:",
            ":-1",
            "a:b",
            "3/0:",
            "4/3:",
            ":101%",
            "1e3:",
            "1:2:3",
            ":%",
            ":.%",
            ":99999999999999999999",
            "+1:",
        ] {
            assert!(text.parse::<PartRange>().is_err(), "{text}");
        }
        for text in ["50:50", "60:40", ":101", "101:", "100%:", ":0"] {
            assert!(range(text, 100).is_err(), "{text}");
        }
    }
}
