//! Configuration values with their origin: small additions to the `config`
//! crate's `Value`, which carries where it was set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

pub use crate::text::nearest;
use crate::{Error, Result};

/// Origin of values nobody set.
pub const DEFAULT: &str = "default";

/// A table of values.
pub type Table = Map<String, Value>;

/// Parses TOML `text`; every value gets `origin`.
///
/// # Errors
/// Usage error with the place and the parser's message.
pub fn parse(text: &str, origin: &str) -> Result<Table> {
    let table = DeTable::parse(text).map_err(|e| unparsed(text, origin, &e))?;
    Ok(table_of(table.into_inner(), &|_| origin.to_owned()))
}

/// Parses the TOML file `name`, whose text is `text`; every value gets its file and line as
/// origin.
///
/// # Errors
/// Usage error with the place and the parser's message.
pub fn parse_file(text: &str, name: &str) -> Result<Table> {
    let table = DeTable::parse(text).map_err(|e| unparsed(text, &format!("file `{name}`"), &e))?;
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let origin = |span: Range<usize>| {
        let line = starts.partition_point(|start| *start <= span.start);
        format!("file `{name}:{line}`")
    };
    Ok(table_of(table.into_inner(), &origin))
}

/// Where in its text a value stands, as an origin.
type Origins<'a> = dyn Fn(Range<usize>) -> String + 'a;

fn table_of(table: DeTable<'_>, origin: &Origins<'_>) -> Table {
    let entries = table.into_iter().map(|(key, value)| {
        let (span, value) = (value.span(), value.into_inner());
        (key.into_inner().into_owned(), value_of(value, span, origin))
    });
    entries.collect()
}

fn value_of(value: DeValue<'_>, span: Range<usize>, origin: &Origins<'_>) -> Value {
    let from = origin(span);
    match value {
        DeValue::String(text) => make(text.into_owned(), &from),
        DeValue::Boolean(flag) => make(flag, &from),
        DeValue::Datetime(time) => make(time.to_string(), &from),
        DeValue::Integer(n) => match i128::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => match i64::try_from(n) {
                Ok(n) => make(n, &from),
                Err(_) => make(n, &from),
            },
            // Past every whole number that a setting takes.
            Err(_) => make(n.as_str().parse().unwrap_or(f64::INFINITY), &from),
        },
        DeValue::Float(x) => make(x.as_str().parse().unwrap_or(f64::NAN), &from),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| {
                let (span, item) = (item.span(), item.into_inner());
                value_of(item, span, origin)
            });
            make(items.collect::<Vec<_>>(), &from)
        }
        DeValue::Table(table) => make(table_of(table, origin), &from),
    }
}

/// The error for text that is not TOML: where, what the parser says, and what was probably meant.
fn unparsed(text: &str, name: &str, e: &toml::de::Error) -> Error {
    let message = e.message().replace('\n', ", ");
    let Some(span) = e.span() else {
        return Error::usage(format!("{name}: {message}"));
    };
    let before = &text[..text.floor_char_boundary(span.start)];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let (line, column) = (
        before.matches('\n').count() + 1,
        before[start..].chars().count() + 1,
    );
    let e = Error::usage(format!("{name}, line {line}, column {column}: {message}"));
    let line = text[start..].lines().next().unwrap_or_default();
    match line.split_once('=').and_then(|(_, value)| meant(value)) {
        Some(hint) => e.hint(hint),
        None => e,
    }
}

/// How a value that is not TOML is written there: numbers such as `.5`, words without quotes.
fn meant(value: &str) -> Option<String> {
    let value = value.split('#').next().unwrap_or_default().trim();
    let word = |c: char| c.is_ascii_alphanumeric() || "-_/+.".contains(c);
    match loose_number(value) {
        Some(x) => Some(format!("write it as `{x:?}`")),
        None if !value.is_empty() && value.chars().all(word) => {
            Some(format!("write text in quotes, `\"{value}\"`"))
        }
        None => None,
    }
}

/// Numbers that people write and TOML does not have: `.5`, `5.`, `+.5`.
fn loose_number(text: &str) -> Option<f64> {
    let number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let loose = text.contains('.') && text.chars().all(number);
    text.parse().ok().filter(|x: &f64| loose && x.is_finite())
}

/// The text of a flag or environment variable as a typed value: TOML where it
/// parses (`0.1`, `true`, `[1, 2]`, `"x"`, `{ a = 1 }`), a number such as `.5`, else a string.
#[must_use]
pub fn typed(text: &str, origin: &str) -> Value {
    if !text.contains('\n')
        && let Ok(mut table) = parse(&format!("v = {text}"), origin)
        && let Some(value) = table.remove("v")
        && table.is_empty()
    {
        return value;
    }
    match loose_number(text) {
        Some(x) => make(x, origin),
        None => make(text, origin),
    }
}

/// The value of a setting's default, TOML text in the program. Each text is parsed once: every table
/// of a plan asks for those of its settings.
pub fn default(text: &'static str) -> Value {
    static PARSED: Mutex<BTreeMap<&str, Value>> = Mutex::new(BTreeMap::new());
    let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    let value = parsed.entry(text).or_insert_with(|| typed(text, DEFAULT));
    value.clone()
}

/// A value with an origin.
pub fn make(kind: impl Into<ValueKind>, origin: &str) -> Value {
    Value::new(Some(&origin.to_owned()), kind)
}

/// Where `value` was set: its own origin, or that of one of its parts.
#[must_use]
pub fn origin(value: &Value) -> String {
    if let Some(own) = value.origin().filter(|o| *o != DEFAULT) {
        return own.to_owned();
    }
    let inner = match &value.kind {
        ValueKind::Table(t) => t.values().map(origin).filter(|o| o != DEFAULT).min(),
        ValueKind::Array(a) => a.first().map(origin),
        _ => None,
    };
    inner.unwrap_or_else(|| DEFAULT.to_owned())
}

/// What `value` is, for messages: `the text "x"`, `a table`.
#[must_use]
pub fn describe(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "nothing".into(),
        ValueKind::Boolean(b) => format!("`{b}`"),
        ValueKind::String(s) => format!("the text `{s}`"),
        ValueKind::Float(x) => format!("the number `{x}`"),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::Array(_) => "a list".into(),
        other => format!("the number `{other}`"),
    }
}

/// The text of a string value.
#[must_use]
pub fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(s) => Some(s),
        _ => None,
    }
}

/// Whole numbers up to here are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The whole number of an integer value, or of a float without a fraction (`2.0`, `1e3`).
#[must_use]
pub fn integer(value: &Value) -> Option<i128> {
    match value.kind {
        ValueKind::Float(x) if x.fract() == 0.0 && x.abs() <= EXACT => Some(x as i128),
        ValueKind::I64(i) => Some(i.into()),
        ValueKind::I128(i) => Some(i),
        ValueKind::U64(i) => Some(i.into()),
        ValueKind::U128(i) => i.try_into().ok(),
        _ => None,
    }
}

/// The number of an integer or float value.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    match value.kind {
        ValueKind::Float(x) => Some(x),
        _ => integer(value).map(|i| i as f64),
    }
}

/// `value` as TOML. Numbers past 64 bits become text.
#[must_use]
pub fn to_toml(value: &Value) -> toml::Value {
    match &value.kind {
        ValueKind::Nil => toml::Value::String(String::new()),
        ValueKind::Boolean(b) => toml::Value::Boolean(*b),
        ValueKind::String(s) => toml::Value::String(s.clone()),
        ValueKind::Float(x) => toml::Value::Float(*x),
        ValueKind::Table(t) => {
            let mut keys: Vec<_> = t.keys().collect();
            keys.sort();
            toml::Value::Table(
                keys.into_iter()
                    .map(|k| (k.clone(), to_toml(&t[k])))
                    .collect(),
            )
        }
        ValueKind::Array(a) => toml::Value::Array(a.iter().map(to_toml).collect()),
        _ => match integer(value).and_then(|i| i64::try_from(i).ok()) {
            Some(i) => toml::Value::Integer(i),
            None => toml::Value::String(value.to_string()),
        },
    }
}
/// Shows `visit` each list of blocks inside the table of a block, before it is read: the inner path
/// of a residual block, the edges of a graph, an auxiliary head.
pub fn each_inside(block: &mut Table, visit: &mut dyn FnMut(&mut Value)) {
    let mut list = |table: &mut Table| {
        if let Some(blocks) = table.get_mut("blocks") {
            visit(blocks);
        }
    };
    for key in ["residual", "side"] {
        if let Some(ValueKind::Table(inner)) = block.get_mut(key).map(|r| &mut r.kind) {
            list(inner);
        }
    }
    each_table(block, "graph", &mut |node| {
        each_table(node, "from", &mut list)
    });
}

/// Shows `visit` the tables of the list `key`.
fn each_table(table: &mut Table, key: &str, visit: &mut dyn FnMut(&mut Table)) {
    if let Some(ValueKind::Array(items)) = table.get_mut(key).map(|v| &mut v.kind) {
        for item in items {
            if let ValueKind::Table(table) = &mut item.kind {
                visit(table);
            }
        }
    }
}

/// Whether `value` is a table.
#[must_use]
pub fn is_table(value: &Value) -> bool {
    matches!(value.kind, ValueKind::Table(_))
}
