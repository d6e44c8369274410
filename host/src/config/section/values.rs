//! The values of a section by kind: one reader for each, absent or required.

use config::{Value, ValueKind};
use serde::de::DeserializeOwned;

use super::super::numbers;
use super::super::settings::Kind;
use super::super::value;
use super::Section;
use crate::plan::Formula;
use crate::{Error, Result};

impl Section {
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
