//! Configuration values with their origin: small additions to the `config`
//! crate's `Value`, which carries where it was set.

use config::{Config, File, FileFormat, Map, Value, ValueKind};

use crate::{Error, Result};

/// Origin of values nobody set.
pub const DEFAULT: &str = "default";

/// A table of values.
pub type Table = Map<String, Value>;

/// Parses TOML `text`; every value gets `origin`.
///
/// # Errors
/// Usage error with the parser's message.
pub fn parse(text: &str, origin: &str) -> Result<Table> {
    let parsed = Config::builder()
        .add_source(Verbatim(text.to_owned()))
        .build()
        .map_err(|e| Error::usage(format!("{origin}: {}", e.to_string().trim_end())))?;
    match relabel(parsed.cache, origin).kind {
        ValueKind::Table(table) => Ok(table),
        _ => Ok(Table::new()),
    }
}

/// A TOML text whose top-level keys are taken as they are, not as path
/// expressions.
#[derive(Clone, Debug)]
struct Verbatim(String);

impl config::Source for Verbatim {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> std::result::Result<Table, config::ConfigError> {
        File::from_str(&self.0, FileFormat::Toml).collect()
    }
}

/// The text of a flag or environment variable as a typed value: TOML where it
/// parses (`0.1`, `true`, `[1, 2]`, `"x"`, `{ a = 1 }`), else a string.
#[must_use]
pub fn typed(text: &str, origin: &str) -> Value {
    if !text.contains('\n')
        && let Ok(mut table) = parse(&format!("v = {text}"), origin)
        && let Some(value) = table.remove("v")
        && table.is_empty()
    {
        return value;
    }
    make(text, origin)
}

/// A value with an origin.
pub fn make(kind: impl Into<ValueKind>, origin: &str) -> Value {
    Value::new(Some(&origin.to_owned()), kind)
}

/// The same value, every part of it from `origin`.
#[must_use]
pub fn relabel(value: Value, origin: &str) -> Value {
    let kind = match value.kind {
        ValueKind::Table(t) => ValueKind::Table(
            t.into_iter()
                .map(|(k, v)| (k, relabel(v, origin)))
                .collect(),
        ),
        ValueKind::Array(a) => {
            ValueKind::Array(a.into_iter().map(|v| relabel(v, origin)).collect())
        }
        other => other,
    };
    make(kind, origin)
}

/// Where `value` was set: its own origin, or that of its first part.
#[must_use]
pub fn origin(value: &Value) -> String {
    let inner = match &value.kind {
        ValueKind::Table(t) => t.values().map(origin).find(|o| o != DEFAULT),
        ValueKind::Array(a) => a.first().map(origin),
        _ => None,
    };
    inner
        .or_else(|| value.origin().map(str::to_owned))
        .unwrap_or_else(|| DEFAULT.to_owned())
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

/// The whole number of an integer value.
#[must_use]
pub fn integer(value: &Value) -> Option<i128> {
    match value.kind {
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

/// The nearest of `names` to `word`, if it is near enough to be a slip.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + word.len().max(name.len()) / 3)
        .min_by_key(|(distance, name)| (*distance, name.len()))
        .map(|(_, name)| name)
}

/// Shows `visit` each list of blocks inside the table of a block, before it is read: the inner path
/// of a residual block, the edges of a graph.
pub fn each_inside(block: &mut Table, visit: &mut dyn FnMut(&mut Value)) {
    let mut list = |table: &mut Table| {
        if let Some(blocks) = table.get_mut("blocks") {
            visit(blocks);
        }
    };
    if let Some(ValueKind::Table(residual)) = block.get_mut("residual").map(|r| &mut r.kind) {
        list(residual);
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
