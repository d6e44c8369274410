//! Reads one table of a configuration against its settings: unknown keys are
//! refused with the nearest name and the layer they came from, values are
//! checked for kind and range, and each is kept with its origin to be shown.

use config::{Value, ValueKind};
use serde::de::DeserializeOwned;

use super::numbers;
use super::settings::{Kind, Setting};
use super::shorthand;
use super::shown::Shown;
use super::value::{self, DEFAULT, Table};
use crate::plan::Formula;
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

    /// A text, where set.
    ///
    /// # Errors
    /// Usage error for another kind of value; so with all readers below.
    pub fn opt_text(&mut self, key: &str) -> Result<Option<String>> {
        self.read(key, "text", |v| {
            value::text(v)
                .filter(|s| *s != "none")
                .map(|s| (s.to_owned(), toml::Value::String(s.to_owned())))
        })
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent.
    pub fn text(&mut self, key: &str) -> Result<String> {
        let missing = self.missing(key);
        self.opt_text(key)?.ok_or(missing)
    }

    /// A switch, where set.
    ///
    /// # Errors
    /// Usage error for another kind of value.
    pub fn opt_flag(&mut self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |v| match v.kind {
            ValueKind::Boolean(b) => Some((b, toml::Value::Boolean(b))),
            _ => None,
        })
    }

    /// A switch that has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent.
    pub fn flag(&mut self, key: &str) -> Result<bool> {
        let missing = self.missing(key);
        self.opt_flag(key)?.ok_or(missing)
    }

    /// A number, where set.
    ///
    /// # Errors
    /// Usage error for another kind of value, or one out of range.
    pub fn opt_number(&mut self, key: &str) -> Result<Option<f64>> {
        let from = self.origin(key);
        let x = self.read(key, "a number", |v| {
            value::number(v)
                .filter(|x| x.is_finite())
                .map(|x| (x, toml::Value::Float(x)))
        })?;
        x.map_or(Ok(()), |x| self.in_range(key, x, &from))?;
        Ok(x)
    }

    /// A number, where set, and whether it stands under the key that the setting names.
    ///
    /// # Errors
    /// Usage error where it is out of range or something else.
    pub fn opt_number_or(&mut self, key: &str) -> Result<Option<(f64, bool)>> {
        let Kind::NumberOr(inner) = self.setting(key)?.kind else {
            return Err(Error::internal(format!("setting `{key}` takes no table")));
        };
        let from = self.origin(key);
        let number = |v: &Value| value::number(v).filter(|x| x.is_finite());
        let expected = format!("a number or `{{ {inner} = number }}`");
        let read = self.read(key, &expected, |v| match &v.kind {
            ValueKind::Table(table) if table.len() == 1 => {
                let x = table.get(inner).and_then(number)?;
                let shown = toml::Table::from_iter([(inner.to_owned(), x.into())]);
                Some(((x, true), toml::Value::Table(shown)))
            }
            _ => number(v).map(|x| ((x, false), toml::Value::Float(x))),
        })?;
        read.map_or(Ok(()), |(x, _)| self.in_range(key, x, &from))?;
        Ok(read)
    }

    /// A number that has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent or out of range.
    pub fn number(&mut self, key: &str) -> Result<f64> {
        let missing = self.missing(key);
        self.opt_number(key)?.ok_or(missing)
    }

    /// A whole number, where set.
    ///
    /// # Errors
    /// Usage error for another kind of value, or one out of range.
    pub fn opt_whole(&mut self, key: &str) -> Result<Option<u64>> {
        let from = self.origin(key);
        let n = self.read(key, &format!("a whole number, 0 to {}", i64::MAX), |v| {
            let n = numbers::whole(v)?;
            Some((n as u64, toml::Value::Integer(n)))
        })?;
        n.map_or(Ok(()), |n| self.in_range(key, n as f64, &from))?;
        Ok(n)
    }

    /// A whole number that has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent or out of range.
    pub fn whole(&mut self, key: &str) -> Result<u64> {
        let missing = self.missing(key);
        self.opt_whole(key)?.ok_or(missing)
    }

    /// One of the setting's words, as the type whose variants they name.
    ///
    /// # Errors
    /// Usage error with the nearest word.
    pub fn opt_choice<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        let Some(v) = self.table.get(key) else {
            let setting = self.setting(key)?;
            if setting.default.is_empty() {
                return Ok(None);
            }
            return self.choose(key);
        };
        let Kind::Choice(words) = self.setting(key)?.kind else {
            return Err(Error::internal(format!("setting `{key}` is not a choice")));
        };
        match value::text(v) {
            Some(word) if words.contains(&word) => self.choose(key),
            Some("none") => {
                self.table.remove(key);
                Ok(None)
            }
            found => {
                let near = found.and_then(|w| value::nearest(w, words.iter().copied()));
                let e = self.wrong(key, v, &format!("one of `{}`", words.join("`, `")));
                Err(match near {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e,
                })
            }
        }
    }

    fn choose<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        self.read(key, "one of its words", |v| {
            let word = toml::Value::String(value::text(v)?.to_owned());
            Some((T::deserialize(word.clone()).ok()?, word))
        })
    }

    /// One of the setting's words, which has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent or unknown.
    pub fn choice<T: DeserializeOwned>(&mut self, key: &str) -> Result<T> {
        let missing = self.missing(key);
        self.opt_choice(key)?.ok_or(missing)
    }

    /// `[rows, columns]`, where set; one number stands for both.
    ///
    /// # Errors
    /// Usage error for another kind of value, or one out of range.
    pub fn opt_pair(&mut self, key: &str) -> Result<Option<[usize; 2]>> {
        let from = self.origin(key);
        let pair = self.read(key, "a whole number or `[rows, columns]`", |v| {
            let pair: [usize; 2] = sizes(v).filter(|s| s.len() <= 2).map(spread)?;
            Some((pair, whole_list(&pair)))
        })?;
        for n in pair.into_iter().flatten() {
            self.in_range(key, n as f64, &from)?;
        }
        Ok(pair)
    }

    /// `[rows, columns]`; has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent or out of range.
    pub fn pair(&mut self, key: &str) -> Result<[usize; 2]> {
        let missing = self.missing(key);
        self.opt_pair(key)?.ok_or(missing)
    }

    /// `[top, bottom, left, right]` from one, two or four numbers, or from
    /// `"same"` by `same`.
    ///
    /// # Errors
    /// Usage error for another kind of value.
    pub fn sides(&mut self, key: &str, same: [usize; 4]) -> Result<[usize; 4]> {
        let missing = self.missing(key);
        let expected = "a number, `[rows, columns]`, `[top, bottom, left, right]` or \"same\"";
        let sides = self.read(key, expected, |v| {
            let sides: [usize; 4] = if value::text(v) == Some("same") {
                same
            } else {
                match sizes(v)?.as_slice() {
                    [all] => [*all; 4],
                    [r, c] => [*r, *r, *c, *c],
                    [t, b, l, r] => [*t, *b, *l, *r],
                    _ => return None,
                }
            };
            Some((sides, whole_list(&sides)))
        })?;
        sides.ok_or(missing)
    }

    /// A formula, where set; a number is one.
    ///
    /// # Errors
    /// Usage error where it is neither text nor number, or cannot be read.
    pub fn opt_formula(&mut self, key: &str) -> Result<Option<Formula>> {
        let (path, from) = (self.at(key), self.origin(key));
        let text = self.read(key, "a formula such as `0.02/(1+b)`", |v| {
            let text = match value::text(v) {
                Some(text) => text.to_owned(),
                None => value::number(v)?.to_string(),
            };
            Some((text.clone(), toml::Value::String(text)))
        })?;
        let read = text.map(|text| text.parse::<Formula>()).transpose();
        read.map_err(|e| e.within(format!("`{path}` (from {from})")))
    }

    /// A number, where set; also as a fraction such as `8/255`, which is shown as it is written.
    ///
    /// # Errors
    /// Usage error where it is something else, or out of range.
    pub fn opt_fraction(&mut self, key: &str) -> Result<Option<f64>> {
        let from = self.origin(key);
        let x = self.read(key, "a number or a fraction such as `8/255`", |v| {
            if let Some(x) = value::number(v) {
                return x.is_finite().then_some((x, toml::Value::Float(x)));
            }
            let text = value::text(v)?;
            let (a, b) = text.split_once('/')?;
            let number = |t: &str| t.trim().parse::<f64>().ok();
            let x = number(a)? / number(b)?;
            x.is_finite()
                .then(|| (x, toml::Value::String(text.to_owned())))
        })?;
        x.map_or(Ok(()), |x| self.in_range(key, x, &from))?;
        Ok(x)
    }

    /// A list of whole numbers, which has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent or something else.
    pub fn wholes(&mut self, key: &str) -> Result<Vec<u64>> {
        let missing = self.missing(key);
        self.opt_wholes(key)?.ok_or(missing)
    }

    /// A list of whole numbers, where set.
    ///
    /// # Errors
    /// Usage error for anything else.
    pub fn opt_wholes(&mut self, key: &str) -> Result<Option<Vec<u64>>> {
        if let Some(e) = self.table.get(key).and_then(|v| self.no_whole(key, v)) {
            return Err(e);
        }
        self.read(key, "a list of whole numbers", |v| {
            let list = sizes(v)?;
            Some((list.iter().map(|n| *n as u64).collect(), whole_list(&list)))
        })
    }

    /// The error for the first entry of the list `v` that is not a whole number.
    fn no_whole(&self, key: &str, v: &Value) -> Option<Error> {
        let ValueKind::Array(items) = &v.kind else {
            return None;
        };
        let item = items.iter().find(|item| numbers::whole(item).is_none())?;
        Some(Error::usage(format!(
            "`{}` has {}, expected whole numbers, 0 to {} (from {})",
            self.at(key),
            value::describe(item),
            i64::MAX,
            value::origin(item)
        )))
    }

    /// Two numbers, where set.
    ///
    /// # Errors
    /// Usage error where they are others in kind or number, or out of range.
    pub fn opt_two_numbers(&mut self, key: &str) -> Result<Option<[f64; 2]>> {
        let from = self.origin(key);
        let two = self.read(key, "a list of two numbers", |v| {
            let ValueKind::Array(items) = &v.kind else {
                return None;
            };
            let list: Vec<f64> = items.iter().map(value::number).collect::<Option<_>>()?;
            let two: [f64; 2] = list.try_into().ok()?;
            Some((
                two,
                toml::Value::Array(two.iter().map(|x| toml::Value::Float(*x)).collect()),
            ))
        })?;
        for x in two.into_iter().flatten() {
            self.in_range(key, x, &from)?;
        }
        Ok(two)
    }

    /// A list of numbers, or an empty one for the setting's word; `None` where it is absent.
    ///
    /// # Errors
    /// Usage error for anything else, or a number out of range.
    pub fn opt_word_or_numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>> {
        let Kind::WordOrNumbers(word) = self.setting(key)?.kind else {
            return Err(Error::internal(format!("setting `{key}` takes no word")));
        };
        let from = self.origin(key);
        let list = self.read(key, &format!("\"{word}\" or a list of numbers"), |v| {
            if value::text(v) == Some(word) {
                return Some((Vec::new(), toml::Value::String(word.to_owned())));
            }
            let ValueKind::Array(items) = &v.kind else {
                return None;
            };
            let list: Vec<f64> = items.iter().map(value::number).collect::<Option<_>>()?;
            let shown = list.iter().copied().map(toml::Value::Float).collect();
            (!list.is_empty() && list.iter().all(|x| x.is_finite()))
                .then_some((list, toml::Value::Array(shown)))
        })?;
        for x in list.iter().flatten() {
            self.in_range(key, *x, &from)?;
        }
        Ok(list)
    }

    /// A list of texts.
    ///
    /// # Errors
    /// Usage error where it is absent or something else.
    pub fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let missing = self.missing(key);
        self.opt_texts(key)?.ok_or(missing)
    }

    /// A list of texts, where set.
    ///
    /// # Errors
    /// Usage error for anything else.
    pub fn opt_texts(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.read(key, "a list of texts", |v| {
            let list: Vec<String> = match &v.kind {
                ValueKind::Array(items) => items
                    .iter()
                    .map(|t| value::text(t).map(str::to_owned))
                    .collect::<Option<_>>()?,
                _ => return None,
            };
            let shown = list.iter().cloned().map(toml::Value::String).collect();
            Some((list, toml::Value::Array(shown)))
        })
    }

    /// A list of texts, each one of `words`, where set.
    ///
    /// # Errors
    /// Usage error for anything else, with the nearest word.
    pub fn opt_words(&mut self, key: &str, words: &[&str]) -> Result<Option<Vec<String>>> {
        let from = self.origin(key);
        let list = self.opt_texts(key)?;
        let unknown = |word: &&String| !words.contains(&word.as_str());
        if let Some(word) = list.iter().flatten().find(unknown) {
            let e = Error::usage(format!("`{}` has `{word}` (from {from})", self.at(key)));
            return Err(match value::nearest(word, words.iter().copied()) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("one of `{}`", words.join("`, `"))),
            });
        }
        Ok(list)
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

fn sizes(v: &Value) -> Option<Vec<usize>> {
    let size = |v: &Value| usize::try_from(numbers::whole(v)?).ok();
    match &v.kind {
        ValueKind::Array(items) => items.iter().map(size).collect(),
        _ => Some(vec![size(v)?]),
    }
}

fn spread(list: Vec<usize>) -> [usize; 2] {
    match list.as_slice() {
        [one] => [*one; 2],
        [r, c, ..] => [*r, *c],
        [] => [0; 2],
    }
}

fn whole_list(list: &[usize]) -> toml::Value {
    let integers = list.iter().map(|n| toml::Value::Integer(*n as i64));
    toml::Value::Array(integers.collect())
}
