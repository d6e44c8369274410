//! Flags as Python's `argparse` reads them, of programs whose flags are known.

use std::collections::BTreeMap;

use crate::text::nearest;
use crate::{Error, Result};

/// A flag of another program.
pub(super) struct Flag {
    /// Without its dashes.
    pub name: &'static str,
    /// How many values follow it.
    pub values: Values,
}

/// How many values follow a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// None.
    None,
    /// One.
    One,
    /// One or more.
    Many,
}

/// What was given.
pub(super) struct Given {
    program: &'static str,
    flags: BTreeMap<&'static str, Vec<String>>,
    /// Words without a flag.
    pub rest: Vec<String>,
}

/// Reads `words` as the flags `known` of `program`.
///
/// # Errors
/// Usage error for an unknown flag, and for values that are missing.
pub(super) fn read(program: &'static str, known: &[Flag], words: &[String]) -> Result<Given> {
    let mut given = Given {
        program,
        flags: BTreeMap::new(),
        rest: Vec::new(),
    };
    let mut words = words.iter().peekable();
    let is_flag = |word: &String| {
        word.starts_with("--") || (word.starts_with('-') && word.parse::<f64>().is_err())
    };
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--") else {
            if is_flag(word) {
                return Err(unknown(program, known, word.trim_start_matches('-')));
            }
            given.rest.push(word.clone());
            continue;
        };
        let (name, inline) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let Some(flag) = known.iter().find(|flag| flag.name == name) else {
            return Err(unknown(program, known, name));
        };
        let mut values: Vec<String> = inline.into_iter().collect();
        let most = match flag.values {
            Values::None => 0,
            Values::One => 1,
            Values::Many => usize::MAX,
        };
        while values.len() < most && words.peek().is_some_and(|next| !is_flag(next)) {
            values.extend(words.next().cloned());
        }
        if values.is_empty() && flag.values != Values::None {
            return Err(Error::usage(format!(
                "`--{name}` of {program} has no value"
            )));
        }
        if !values.is_empty() && flag.values == Values::None {
            return Err(Error::usage(format!(
                "`--{name}` of {program} takes no value"
            )));
        }
        given.flags.insert(flag.name, values);
    }
    Ok(given)
}

fn unknown(program: &str, known: &[Flag], name: &str) -> Error {
    let e = Error::usage(format!("{program} has no flag `--{name}`"));
    match nearest(name, known.iter().map(|flag| flag.name)) {
        Some(near) => e.hint(format!("did you mean `--{near}`?")),
        None => {
            let names: Vec<&str> = known.iter().map(|flag| flag.name).collect();
            e.hint(format!("its flags are `--{}`", names.join("`, `--")))
        }
    }
}

impl Given {
    /// Whether the flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }
    /// Its only value, or `default`.
    pub fn text(&self, name: &str, default: &str) -> String {
        let found = self.flags.get(name).and_then(|values| values.first());
        found.map_or_else(|| default.to_owned(), Clone::clone)
    }
    /// Its values.
    pub fn list(&self, name: &str, default: &[&str]) -> Vec<String> {
        match self.flags.get(name) {
            Some(values) => values.clone(),
            None => default.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
    /// A number.
    ///
    /// # Errors
    /// Usage error for anything else.
    pub fn number(&self, name: &str, default: f64) -> Result<f64> {
        let word = self.text(name, &default.to_string());
        let found = word.parse::<f64>().ok().filter(|x| x.is_finite());
        found.ok_or_else(|| self.wrong(name, &word, "a number"))
    }
    /// A whole number.
    ///
    /// # Errors
    /// Usage error for anything else.
    pub fn whole(&self, name: &str, default: u64) -> Result<u64> {
        let word = self.text(name, &default.to_string());
        word.parse()
            .map_err(|_| self.wrong(name, &word, "a whole number"))
    }
    /// One of `words`.
    ///
    /// # Errors
    /// Usage error for another one, with the nearest.
    pub fn word(&self, name: &str, default: &str, words: &[&str]) -> Result<String> {
        let word = self.text(name, default);
        if words.contains(&word.as_str()) {
            return Ok(word);
        }
        let e = self.wrong(name, &word, &format!("`{}`", words.join("`, `")));
        Err(match nearest(&word, words.iter().copied()) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e,
        })
    }
    /// Yes or no, as bioflax reads it.
    ///
    /// # Errors
    /// Usage error for another word.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let word = self.text(name, if default { "yes" } else { "no" });
        match word.to_lowercase().as_str() {
            "yes" | "true" | "t" | "y" | "1" => Ok(true),
            "no" | "false" | "f" | "n" | "0" => Ok(false),
            _ => Err(self.wrong(name, &word, "`yes` or `no`")),
        }
    }
    fn wrong(&self, name: &str, word: &str, expected: &str) -> Error {
        Error::usage(format!(
            "`--{name}` of {} is `{word}`, expected {expected}",
            self.program
        ))
    }
}
