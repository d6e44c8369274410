//! Reads one table of a configuration against its settings: unknown keys are
//! refused with the nearest name and the layer they came from, values are
//! checked for kind and range, and each is kept with its origin to be shown.

mod values;

use config::{Value, ValueKind};

use super::numbers;
use super::settings::Setting;
use super::shorthand;
use super::shown::Shown;
use super::value::{self, DEFAULT, Table};
use crate::{Error, Result};

/// A table being read.
pub struct Section {
    path: String,
    settings: &'static [Setting],
    table: Table,
    shown: Vec<(String, Shown)>,
}

/// `path.key`, or `key` at the top.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

impl Section {
    /// Starts to read `table`, which stands at `path`.
    ///
    /// # Errors
    /// Usage error for a key that `settings` does not have.
    pub fn open(path: &str, table: Table, settings: &'static [Setting]) -> Result<Self> {
        let mut unknown: Vec<&String> = table
            .keys()
            .filter(|k| !settings.iter().any(|s| s.key == **k))
            .collect();
        unknown.sort();
        if let Some(key) = unknown.first() {
            let from = value::origin(&table[*key]);
            return Err(unknown_key(path, key, &from, settings));
        }
        Ok(Self {
            path: path.to_owned(),
            settings,
            table,
            shown: Vec::new(),
        })
    }

    /// The path of `key` in this table.
    #[must_use]
    pub fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Whether `key` was set.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` was set, or `default`.
    #[must_use]
    pub fn origin(&self, key: &str) -> String {
        self.table
            .get(key)
            .map_or_else(|| DEFAULT.to_owned(), value::origin)
    }

    /// Takes `value` for `key` where that is not set, in place of its default.
    pub fn set_default(&mut self, key: &str, value: Value) {
        self.table.entry(key.to_owned()).or_insert(value);
    }

    fn setting(&self, key: &str) -> Result<&'static Setting> {
        let found = self.settings.iter().find(|s| s.key == key);
        found.ok_or_else(|| Error::internal(format!("setting `{}` is not listed", self.at(key))))
    }

    /// Takes the value of `key` out, or its default; `None` without either.
    ///
    /// # Errors
    /// Internal error where `key` is not among the settings.
    pub fn take(&mut self, key: &str) -> Result<Option<Value>> {
        let setting = self.setting(key)?;
        Ok(self
            .table
            .remove(key)
            .or_else(|| (!setting.default.is_empty()).then(|| value::default(setting.default))))
    }

    /// Takes the table of `key`, its short form expanded; `None` where it is
    /// absent or `"none"`.
    ///
    /// # Errors
    /// Usage error for a value that is neither table nor short form.
    pub fn table(&mut self, key: &str) -> Result<Option<Table>> {
        let path = self.at(key);
        let default = self.setting(key)?.default;
        match self.take(key)? {
            None => Ok(None),
            Some(v) if shorthand::has_short_form(key) => {
                let Some(table) = shorthand::expand(key, &path, v)? else {
                    return Ok(None);
                };
                // Single settings without the kind are those of the default kind.
                if let Some(tag) = shorthand::tag(key)
                    && !table.contains_key(tag)
                    && !default.is_empty()
                {
                    let usual = shorthand::expand(key, &path, value::default(default))?;
                    let mut usual = usual.unwrap_or_default();
                    usual.extend(table);
                    return Ok(Some(usual));
                }
                Ok(Some(table))
            }
            Some(v) => match v.kind {
                ValueKind::Table(t) => Ok(Some(t)),
                _ => Err(self.wrong(key, &v, "a table")),
            },
        }
    }

    /// Takes the list of tables of `key`.
    ///
    /// # Errors
    /// Usage error for anything else.
    pub fn tables(&mut self, key: &str) -> Result<Vec<Table>> {
        let Some(v) = self.take(key)? else {
            return Ok(Vec::new());
        };
        let wrong = self.wrong(key, &v, "a list of tables");
        let ValueKind::Array(items) = v.kind else {
            return Err(wrong);
        };
        let tables = items.into_iter().map(|item| match item.kind {
            ValueKind::Table(t) => Some(t),
            _ => None,
        });
        tables.collect::<Option<Vec<_>>>().ok_or(wrong)
    }

    /// Reads the setting `key` with `read`; keeps it to be shown. `None` where
    /// it is absent and has no default, or is the word `none`.
    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<(T, toml::Value)>,
    ) -> Result<Option<T>> {
        let Some(v) = self.take(key)? else {
            return Ok(None);
        };
        match read(&v) {
            Some((read, shown)) => {
                self.show(key, shown, value::origin(&v));
                Ok(Some(read))
            }
            None if value::text(&v) == Some("none") => Ok(None),
            None => Err(self.wrong(key, &v, expected)),
        }
    }

    /// Keeps a value to be shown.
    pub fn show(&mut self, key: &str, shown: toml::Value, origin: String) {
        self.shown
            .push((key.to_owned(), Shown::Leaf(shown, origin)));
    }

    /// Keeps a table to be shown.
    pub fn show_table(&mut self, key: &str, table: Vec<(String, Shown)>) {
        self.shown.push((key.to_owned(), Shown::Table(table)));
    }

    /// Keeps a list of tables to be shown.
    pub fn show_tables(&mut self, key: &str, list: Vec<Vec<(String, Shown)>>) {
        self.shown.push((key.to_owned(), Shown::Tables(list)));
    }

    /// What has been read so far.
    #[must_use]
    pub fn shown(&self) -> &[(String, Shown)] {
        &self.shown
    }

    /// Everything read, in order.
    #[must_use]
    pub fn close(self) -> Vec<(String, Shown)> {
        self.shown
    }

    fn wrong(&self, key: &str, v: &Value, expected: &str) -> Error {
        let e = Error::usage(format!(
            "`{}` is {}, expected {expected} (from {})",
            self.at(key),
            value::describe(v),
            value::origin(v)
        ));
        let kind = self.setting(key).map(|setting| setting.kind);
        match kind.ok().and_then(|kind| numbers::advice(v, kind)) {
            Some(hint) => e.hint(hint),
            None => e,
        }
    }

    /// The error for a setting that has to be there.
    #[must_use]
    pub fn missing(&self, key: &str) -> Error {
        let doc = self.setting(key).map_or("", |s| s.doc);
        Error::usage(format!("`{}` is missing", self.at(key))).hint(format!("set `{key}`: {doc}"))
    }

    fn in_range(&self, key: &str, x: f64, from: &str) -> Result<()> {
        match self.setting(key)?.range {
            Some((low, high)) if x < low || x > high || x.is_nan() => {
                let limits = if high.is_infinite() {
                    format!("{low} or more")
                } else {
                    format!("{low} to {high}")
                };
                Err(Error::usage(format!(
                    "`{}` is {x}, expected {limits} (from {from})",
                    self.at(key)
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The refusal of a key, with the nearest name and where it came from.
#[must_use]
pub fn unknown_key(path: &str, key: &str, from: &str, settings: &[Setting]) -> Error {
    unknown_among(path, key, from, settings.iter().map(|s| s.key))
}

/// The refusal of a key that is not among `names`.
#[must_use]
pub fn unknown_among<'a>(
    path: &str,
    key: &str,
    from: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let place = if path.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in `{path}`")
    };
    let e = Error::usage(format!("unknown key `{key}` {place} (from {from})"));
    match value::nearest(key, names.clone()) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint(format!(
            "known keys: `{}`",
            names.collect::<Vec<_>>().join("`, `")
        )),
    }
}
