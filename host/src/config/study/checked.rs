//! A checked study: the configurations of its trials, and its normal form.

use config::ValueKind;

use super::parameter;
use crate::Result;
use crate::config::context::PlanContext;
use crate::config::resolve::{self, Resolved};
use crate::config::value::{self, Table, make};
use crate::config::{Warnings, layers};
use crate::sweep::Assignment;
use crate::sweep::plan::Study;

/// A checked study.
#[derive(Clone, Debug)]
pub struct StudyConfig {
    /// The study.
    pub study: Study,
    /// The configuration that every trial starts from.
    pub(super) base: Table,
    /// The file's path, for messages.
    pub(super) name: String,
    /// What it allows but a user should know.
    pub warnings: Warnings,
}

impl StudyConfig {
    /// Where a parameter's value comes from, for messages and warnings.
    fn origin(&self, parameter: &str) -> String {
        format!("file `{}`, parameter `{parameter}`", self.name)
    }

    /// The configuration of a trial with `values`, before it is checked.
    ///
    /// # Errors
    /// Usage error for a path that leads nowhere.
    pub fn trial(&self, values: &Assignment) -> Result<Table> {
        let mut all = Vec::new();
        for parameter in self.study.space.parameters() {
            let Some(value) = values.get(&parameter.name) else {
                continue;
            };
            let value = parameter.domain.to_toml(*value);
            let origin = self.origin(&parameter.name);
            for path in &parameter.paths {
                all.push((path.clone(), parameter::of_toml(&value, &origin)));
            }
        }
        // What stands above others goes first: a rule before its hyperparameters.
        all.sort_by_key(|(path, _)| path.split('.').count());
        let mut table = layers::lay(self.base.clone(), all)?;
        table.insert(
            "name".to_owned(),
            make(self.study.name.as_str(), "`biorule sweep`"),
        );
        if !self.study.seeds.is_empty() {
            let from = "`biorule sweep`";
            let seeds = self.study.seeds.iter().map(|seed| make(*seed, from));
            table.remove("seed");
            table.insert("seeds".to_owned(), make(seeds.collect::<Vec<_>>(), from));
        }
        Ok(table)
    }

    /// The same, checked.
    ///
    /// # Errors
    /// Usage, data or plugin error.
    pub fn resolve(&self, values: &Assignment, context: &dyn PlanContext) -> Result<Resolved> {
        resolve::resolve_table(self.trial(values)?, context)
    }

    /// The study without layers, from which the same study is read again.
    #[must_use]
    pub fn normal(&self) -> toml::Table {
        let study = &self.study;
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
        put("name", study.name.clone().into());
        put("seed", (study.seed as i64).into());
        put("trials", (study.trials as i64).into());
        put("parallel", (study.parallel as i64).into());
        if !study.seeds.is_empty() {
            let seeds: Vec<i64> = study.seeds.iter().map(|n| *n as i64).collect();
            put("seeds", seeds.into());
        }
        put("score", study.score.word().into());
        let of = |value: Result<toml::Value, toml::ser::Error>| {
            value.unwrap_or_else(|_| toml::Value::Table(toml::Table::new()))
        };
        put("sampler", of(toml::Value::try_from(&study.sampler)));
        put("pruner", of(toml::Value::try_from(&study.pruner)));
        put("objectives", of(toml::Value::try_from(&study.objectives)));
        if !study.constraints.is_empty() {
            put("constraints", of(toml::Value::try_from(&study.constraints)));
        }
        put("parameters", parameter::normal(&study.space).into());
        put(
            "config",
            value::to_toml(&make(self.base.clone(), value::DEFAULT)),
        );
        table
    }
}

/// A configuration as a file.
#[must_use]
pub fn text(table: Table) -> String {
    match value::to_toml(&make(table, value::DEFAULT)) {
        toml::Value::Table(table) => table.to_string(),
        other => other.to_string(),
    }
}

/// The text at `path` of merged layers.
#[must_use]
pub fn text_at(table: &Table, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    match (&table.get(*first)?.kind, rest) {
        (ValueKind::String(text), []) => Some(text.clone()),
        (ValueKind::Table(inner), rest) => text_at(inner, rest),
        _ => None,
    }
}
