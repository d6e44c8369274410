//! Short forms: one word or number that stands for a table, such as
//! `pool = "max 4/2/1"`. Which key a short form is for decides how it is read.

use config::{Value, ValueKind};

use super::value::{self, Table, make};
use crate::plan::Formula;
use crate::{Error, Result};

/// The key that says which kind of thing a table is. A change of it drops the
/// settings of the former kind.
#[must_use]
pub fn tag(key: &str) -> Option<&'static str> {
    match key {
        "rule" | "space" => Some("name"),
        "activation" | "pool" | "transform" | "optimizer" | "schedule" | "local_rate"
        | "strategy" | "evaluator" => Some("kind"),
        "data" => Some("set"),
        "robustness" => Some("method"),
        _ => None,
    }
}

/// The keys whose tables have a short form.
#[must_use]
pub fn has_short_form(key: &str) -> bool {
    tag(key).is_some()
        || matches!(
            key,
            "norm" | "norm_inner" | "norm_after" | "cache" | "drop_path"
        )
}

/// Whether there always is one of `key`, so that `none` is one more word for it.
fn needed(key: &str) -> bool {
    matches!(key, "data" | "space" | "strategy" | "evaluator")
}

/// The table that `value`, set at `key`, stands for; `None` for `"none"`.
/// Tables pass unchanged.
///
/// # Errors
/// Usage error that names `path` and the origin.
pub fn expand(key: &str, path: &str, value: Value) -> Result<Option<Table>> {
    let from = value::origin(&value);
    if let ValueKind::Table(table) = value.kind {
        return Ok(Some(table));
    }
    let wrong = |expected: &str| {
        Err(Error::usage(format!(
            "`{path}` is {}, expected {expected} (from {from})",
            value::describe(&value)
        )))
    };
    let one = |k: &str, v: Value| Ok(Some(Table::from_iter([(k.to_owned(), v)])));
    match (key, &value.kind) {
        (_, ValueKind::String(s)) if s == "none" && !needed(key) => Ok(None),
        ("cache", ValueKind::Boolean(_)) => one("enabled", value),
        ("local_rate", ValueKind::Float(_) | ValueKind::I64(_)) => {
            let mut table = Table::from_iter([("value".to_owned(), value)]);
            table.insert("kind".to_owned(), make("constant", &from));
            Ok(Some(table))
        }
        ("schedule", ValueKind::String(text)) if Formula::is_meant(text) => {
            Ok(Some(by_formula("factor", value, &from)))
        }
        // Words are kinds, whose settings are missing; all else is a formula.
        ("local_rate", ValueKind::String(text)) => match is_word(text) {
            true => one("kind", value),
            false => Ok(Some(by_formula("value", value, &from))),
        },
        ("rule" | "data" | "space" | "robustness", ValueKind::String(_)) => {
            let tag = tag(key).unwrap_or("name");
            one(tag, value)
        }
        (
            "optimizer" | "schedule" | "strategy" | "evaluator" | "norm" | "norm_inner"
            | "norm_after",
            ValueKind::String(_),
        ) => one("kind", value),
        ("activation", ValueKind::String(s)) => match activation(s, &from) {
            Some(table) => Ok(Some(table)),
            None => wrong("such as \"relu\" or \"triangle(0.7)\""),
        },
        ("pool", ValueKind::String(s)) => match pool(s, &from) {
            Some(table) => Ok(Some(table)),
            None => wrong("such as \"max 4/2/1\", \"avg 2\" or \"avg global\""),
        },
        ("transform", ValueKind::String(s)) => match transform(s, &from) {
            Some(table) => Ok(Some(table)),
            None => wrong("such as \"zero\", \"zero 2\" or \"shift 1\""),
        },
        ("drop_path", ValueKind::Float(_) | ValueKind::I64(_)) => one("p", value),
        ("drop_path", _) => wrong("a probability or a table"),
        ("cache", _) => wrong("true, false or a table"),
        _ => wrong("a word or a table"),
    }
}

/// A schedule or local rate whose formula is `value`.
fn by_formula(key: &str, value: Value, from: &str) -> Table {
    let kind = ("kind".to_owned(), make("formula", from));
    Table::from_iter([kind, (key.to_owned(), value)])
}

/// Whether `text` is letters only, and more than a variable of a formula.
fn is_word(text: &str) -> bool {
    let variable = ["b", "step", "epoch", "steps", "epochs"].contains(&text);
    !variable && !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

/// `relu`, `triangle(0.7)`, `sigmoid(10)`.
fn activation(text: &str, from: &str) -> Option<Table> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (
            name,
            Some(rest.strip_suffix(')')?.trim().parse::<f64>().ok()?),
        ),
        None => (text, None),
    };
    let mut table = Table::from_iter([("kind".to_owned(), make(name.trim(), from))]);
    if let Some(x) = argument {
        let key = match name.trim() {
            "triangle" | "repu" => "power",
            _ => "gain",
        };
        table.insert(key.to_owned(), make(x, from));
    }
    Some(table)
}

/// `zero`, `zero 2` (its stride), `shift 1` (rows and columns).
fn transform(text: &str, from: &str) -> Option<Table> {
    let mut words = text.split_whitespace();
    let kind = words.next()?;
    let mut table = Table::from_iter([("kind".to_owned(), make(kind, from))]);
    if let Some(n) = words.next() {
        let key = if kind == "shift" { "by" } else { "stride" };
        table.insert(key.to_owned(), make(n.parse::<i64>().ok()?, from));
    }
    words.next().is_none().then_some(table)
}

/// `max 4/2/1` (kernel/stride/padding), `avg 2`, `avg global`.
fn pool(text: &str, from: &str) -> Option<Table> {
    let (kind, rest) = text.trim().split_once(char::is_whitespace)?;
    let mut table = Table::from_iter([("kind".to_owned(), make(kind, from))]);
    if rest.trim() == "global" {
        table.insert("kernel".to_owned(), make(0_i64, from));
        return Some(table);
    }
    let numbers: Vec<i64> = rest
        .split('/')
        .map(|n| n.trim().parse().ok())
        .collect::<Option<_>>()?;
    if numbers.is_empty() || numbers.len() > 3 {
        return None;
    }
    for (key, n) in ["kernel", "stride", "padding"].into_iter().zip(numbers) {
        table.insert(key.to_owned(), make(n, from));
    }
    Some(table)
}
