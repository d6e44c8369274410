//! The program's own experiments as a list shows them: what each trains on what by which rules, read
//! from its configuration without plugins or data.

use config::ValueKind;

use super::resolve;
use super::value::{self, Table};
use super::{ExperimentPlan, Sources, experiments, is_search, merge};
use crate::{Error, Result};

/// An experiment as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name, such as `softhebb/cifar10-3`.
    pub name: &'static str,
    /// Its configuration.
    pub text: &'static str,
    /// What it is: the first line of its file.
    pub title: String,
    /// Name of its runs.
    pub run_name: String,
    /// Data sets, that of the test first.
    pub data: Vec<String>,
    /// Rules of its layers, in the order in which they first occur; those of the space of a search.
    pub rules: Vec<String>,
    /// Preset, genotype or widths of the network.
    pub network: String,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Whether it is a search.
    pub is_search: bool,
    /// Where it comes from and what was published of it.
    pub experiment: ExperimentPlan,
}

impl Listed {
    /// The project, the first part of the name.
    #[must_use]
    pub fn project(&self) -> &'static str {
        self.name.split('/').next().unwrap_or(self.name)
    }

    /// The command that runs it.
    #[must_use]
    pub fn command(&self) -> String {
        let verb = if self.is_search { "search" } else { "train" };
        format!("biorule {verb} {}", self.name)
    }
}

/// The experiment `name` as a list shows it.
///
/// # Errors
/// Usage error with the nearest name for one that is not there.
pub fn show(name: &str) -> Result<Listed> {
    match experiments::all().find(|(own, _)| *own == name) {
        Some((name, text)) => listed(name, text),
        None => {
            let e = Error::usage(format!("unknown experiment `{name}`"));
            Err(match experiments::near(name) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint("`biorule experiments list` lists them"),
            })
        }
    }
}

/// All experiments.
///
/// # Errors
/// One cannot be read.
pub fn list() -> Result<Vec<Listed>> {
    experiments::all()
        .map(|(name, text)| listed(name, text))
        .collect()
}

fn listed(name: &'static str, text: &'static str) -> Result<Listed> {
    let sources = Sources {
        embedded: vec![(name, text)],
        ..Sources::default()
    };
    let table = merge(&sources)?;
    let top = resolve::top(&table)?;
    let is_search = is_search(&table);
    let preset = value::parse(text, name)?;
    let preset = preset.get("preset").and_then(first_text);
    Ok(Listed {
        name,
        text,
        title: title(text),
        run_name: top.name,
        data: data(&table),
        rules: rules(&table),
        network: network(&table, preset.as_deref()),
        seeds: top.seeds,
        is_search,
        experiment: top.experiment.unwrap_or_default(),
    })
}

/// The first line, a comment.
fn title(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches('#')
        .trim()
        .trim_end_matches('.')
        .to_owned()
}

fn first_text(value: &config::Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Array(items) => items.first().and_then(value::text).map(str::to_owned),
        _ => None,
    }
}

fn table_at<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    match &table.get(key)?.kind {
        ValueKind::Table(inner) => Some(inner),
        _ => None,
    }
}

fn items_at<'a>(table: &'a Table, key: &str) -> &'a [config::Value] {
    match table.get(key).map(|v| &v.kind) {
        Some(ValueKind::Array(items)) => items,
        _ => &[],
    }
}

fn data(table: &Table) -> Vec<String> {
    let set = |value: &config::Value| match &value.kind {
        ValueKind::String(set) => Some(set.clone()),
        ValueKind::Table(data) => data.get("set").and_then(value::text).map(str::to_owned),
        _ => None,
    };
    let main = table
        .get("data")
        .and_then(set)
        .unwrap_or_else(|| "digits".to_owned());
    let mut sets = vec![main];
    let extra = table_at(table, "extra_data");
    let mut extra: Vec<String> = extra
        .into_iter()
        .flat_map(|t| t.values())
        .filter_map(set)
        .collect();
    extra.sort();
    sets.extend(extra);
    sets.dedup();
    sets
}

/// What a rule is called: a word, or the name in a table.
fn rule(value: &config::Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(name) => Some(name.clone()),
        ValueKind::Table(rule) => rule.get("name").and_then(value::text).map(str::to_owned),
        _ => None,
    }
}

fn rules(table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let shared = table.get("rule").and_then(rule);
    if let Some(blocks) = table.get("blocks") {
        of_blocks(blocks.clone(), shared.as_deref(), &mut found);
    }
    let search = table_at(table, "search").and_then(|search| search.get("space"));
    match search.map(|space| &space.kind) {
        Some(ValueKind::String(space)) => found.push(format!("space {space}")),
        Some(ValueKind::Table(space)) => {
            let named = space.get("name").and_then(value::text);
            found.extend(named.map(|name| format!("space {name}")));
            let rules = items_at(space, "rules").iter();
            found.extend(rules.filter_map(value::text).map(str::to_owned));
        }
        _ => {}
    }
    if found.is_empty() {
        found.extend(shared);
    }
    if found.is_empty() {
        let network = table_at(table, "network");
        let own = network.and_then(|n| n.get("rule")).and_then(value::text);
        found.push(own.unwrap_or("backprop").to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|rule| seen.insert(rule.clone()));
    found
}

fn of_blocks(mut blocks: config::Value, shared: Option<&str>, found: &mut Vec<String>) {
    let ValueKind::Array(blocks) = &mut blocks.kind else {
        return;
    };
    for block in blocks {
        let ValueKind::Table(block) = &mut block.kind else {
            continue;
        };
        if block.contains_key("layer") {
            let own = block.get("rule").and_then(rule);
            found.extend(own.or_else(|| shared.map(str::to_owned)));
        }
        value::each_inside(block, &mut |inner| of_blocks(inner.clone(), shared, found));
    }
}

fn network(table: &Table, preset: Option<&str>) -> String {
    if let Some(preset) = preset {
        return preset.rsplit('/').next().unwrap_or(preset).to_owned();
    }
    if let Some(network) = table_at(table, "network") {
        let named = network.get("genotype").and_then(value::text);
        return named.unwrap_or("cells").to_owned();
    }
    let width = |block: &config::Value| match &block.kind {
        ValueKind::Table(block) => block.get("out").and_then(|out| match &out.kind {
            ValueKind::String(word) if word == "classes" => None,
            _ => value::integer(out).map(|n| n.to_string()),
        }),
        _ => None,
    };
    let widths: Vec<String> = items_at(table, "blocks").iter().filter_map(width).collect();
    match widths.is_empty() {
        true => "linear".to_owned(),
        false => widths.join("-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_is_listed_with_its_data_and_rules() {
        let all = list().unwrap();
        assert!(all.len() > 120, "{}", all.len());
        for one in &all {
            assert!(
                !one.title.is_empty() && !one.network.is_empty(),
                "{}",
                one.name
            );
            assert!(!one.rules.is_empty(), "{}", one.name);
            for set in &one.data {
                assert!(
                    crate::data::registry::find(set).is_ok(),
                    "{}: {set}",
                    one.name
                );
            }
        }
        let three = show("softhebb/cifar10-3").unwrap();
        assert_eq!(three.network, "4SoftHebbCnnCIFAR");
        assert_eq!(three.rules, ["softhebb", "backprop"]);
        assert_eq!(three.data, ["cifar10"]);
        let published = three.experiment.published.unwrap();
        assert_eq!(published.test_accuracy, Some(0.8031));
        assert!(three.experiment.expected_hours.is_some());
    }
}
