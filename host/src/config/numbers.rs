//! Numbers and switches as people write them: which values count as whole, and what to write
//! instead of a value that a setting does not take.

use config::Value;

use super::settings::Kind;
use super::value::{self, typed};

/// The whole number of `v`, 0 or more, also written as `2.0` or `1e3`.
#[must_use]
pub fn whole(v: &Value) -> Option<i64> {
    signed(v).filter(|n| *n >= 0)
}

/// The whole number of `v`.
#[must_use]
pub fn signed(v: &Value) -> Option<i64> {
    i64::try_from(value::integer(v)?).ok()
}

/// The whole number that the text of a flag stands for, such as `3`, `1_000` or `1e3`.
///
/// # Errors
/// What is expected, for the message of a flag.
pub fn whole_text(text: &str) -> Result<u64, String> {
    let n = whole(&typed(text.trim(), value::DEFAULT));
    n.map(|n| n as u64)
        .ok_or_else(|| format!("expected a whole number, 0 to {}", i64::MAX))
}

/// How a value of kind `kind` is written that `v` was probably meant to be.
#[must_use]
pub fn advice(v: &Value, kind: Kind) -> Option<String> {
    let text = value::text(v);
    match kind {
        Kind::Flag => {
            let word = match text {
                Some(text) => text.to_lowercase(),
                None => value::integer(v)?.to_string(),
            };
            match word.as_str() {
                "true" | "yes" | "on" | "1" => Some("write `true`".to_owned()),
                "false" | "no" | "off" | "0" => Some("write `false`".to_owned()),
                _ => None,
            }
        }
        Kind::Number | Kind::Whole => {
            let text = text?.replace(',', ".");
            let x = value::number(&typed(&text, value::DEFAULT))?;
            Some(format!("write the number without quotes, `{x}`"))
        }
        Kind::Sides => {
            let near = value::nearest(text?, ["same"])?;
            Some(format!("did you mean `{near}`?"))
        }
        Kind::Text if text.is_none() => {
            let x = value::number(v)?;
            Some(format!("put text in quotes, `\"{x}\"`"))
        }
        _ => None,
    }
}
