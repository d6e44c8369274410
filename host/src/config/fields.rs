//! A table of a configuration as what the plan's settings are read from.

use config::ValueKind;

use super::section::{Section, join};
use super::value::Table;
use crate::plan::Formula;
use crate::plan::define::Reader;
use crate::plan::setting::Setting;
use crate::{Error, Result};

impl Reader for Section {
    fn missing(&self, key: &str) -> Error {
        Self::missing(self, key)
    }
    fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        self.opt_flag(key)
    }
    fn whole(&mut self, key: &str) -> Result<Option<u64>> {
        self.opt_whole(key)
    }
    fn number(&mut self, key: &str) -> Result<Option<f64>> {
        self.opt_number(key)
    }
    fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.opt_text(key)
    }
    fn word(&mut self, key: &str) -> Result<Option<String>> {
        self.opt_choice(key)
    }
    fn wholes(&mut self, key: &str) -> Result<Option<Vec<u64>>> {
        self.opt_wholes(key)
    }
    fn two_numbers(&mut self, key: &str) -> Result<Option<[f64; 2]>> {
        self.opt_two_numbers(key)
    }
    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.opt_texts(key)
    }
    fn formula(&mut self, key: &str) -> Result<Option<Formula>> {
        self.opt_formula(key)
    }
    fn fraction(&mut self, key: &str) -> Result<Option<f64>> {
        self.opt_fraction(key)
    }
    fn words(&mut self, key: &str, words: &[&str]) -> Result<Option<Vec<String>>> {
        self.opt_words(key, words)
    }
    fn word_or_numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>> {
        self.opt_word_or_numbers(key)
    }
    fn number_or(&mut self, key: &str) -> Result<Option<(f64, bool)>> {
        self.opt_number_or(key)
    }

    fn table(
        &mut self,
        key: &str,
        settings: &'static [Setting],
        read: &mut dyn FnMut(&mut dyn Reader) -> Result<()>,
    ) -> Result<bool> {
        let Some(table) = Self::table(self, key)? else {
            return Ok(false);
        };
        let mut inner = Self::open(&self.at(key), table, settings)?;
        read(&mut inner)?;
        self.show_table(key, inner.close());
        Ok(true)
    }

    fn tables(
        &mut self,
        key: &str,
        settings: &'static [Setting],
        read: &mut dyn FnMut(&mut dyn Reader) -> Result<()>,
    ) -> Result<()> {
        if !self.has(key) {
            return Ok(());
        }
        let list = self.at(key);
        let mut shown = Vec::new();
        for (i, table) in Self::tables(self, key)?.into_iter().enumerate() {
            let mut inner = Self::open(&join(&list, &i.to_string()), table, settings)?;
            read(&mut inner)?;
            shown.push(inner.close());
        }
        self.show_tables(key, shown);
        Ok(())
    }

    fn table_of_kind(
        &mut self,
        key: &str,
        settings: fn(&str) -> &'static [Setting],
        read: &mut dyn FnMut(&str, &mut dyn Reader) -> Result<()>,
    ) -> Result<bool> {
        let Some(table) = Self::table(self, key)? else {
            return Ok(false);
        };
        let (kind, mut inner) = open(&self.at(key), table, settings)?;
        read(&kind, &mut inner)?;
        self.show_table(key, inner.close());
        Ok(true)
    }
}

/// Opens `table` with the settings of its kind, which is read and returned.
fn open(
    path: &str,
    table: Table,
    settings: fn(&str) -> &'static [Setting],
) -> Result<(String, Section)> {
    let kind = match table.get("kind").map(|k| &k.kind) {
        Some(ValueKind::String(word)) => word.clone(),
        _ => String::new(),
    };
    let settings = settings(&kind);
    // The kind goes first, so that a wrong one is not hidden by its settings.
    let only = table.get("kind").cloned().map(|k| ("kind".to_owned(), k));
    let mut probe = Section::open(path, Table::from_iter(only), settings)?;
    let kind: String = probe.choice("kind")?;
    let mut section = Section::open(path, table, settings).map_err(|e| with_kind(e, &kind))?;
    let kind: String = section.choice("kind").unwrap_or(kind);
    Ok((kind, section))
}

fn with_kind(mut e: Error, kind: &str) -> Error {
    e.text = format!("{} for the kind `{kind}`", e.text);
    e
}
