//! `biorule runs find`: runs by what they are.

use std::path::{Path, PathBuf};

use clap::Args;
use toml::Value;

use crate::cli::run_table;
use crate::run::identity::RunRecord;
use crate::run::{folder, listing};
use crate::text::print;
use crate::{Error, Result};

/// `biorule runs find`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule runs find softhebb --state finished
  biorule runs find --rule feedback-alignment/fa --data cifar10 --where 'test/accuracy >= 55%'
  biorule runs find --tag paper --paths | xargs -n 1 biorule eval

All that is given has to hold. Words are looked for in folder, name, experiment, command, warnings and error.")]
pub struct FindArgs {
    /// Words, in any case, all of which the run has to have
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Folder to look in
    #[arg(long = "in", value_name = "FOLDER", default_value = "runs")]
    folder: PathBuf,
    /// Has this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Is of this experiment: its `name`, or that of `biorule experiments list`
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// A layer learns by this rule, or by one of this family (`feedback-alignment`)
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Learns from this data set
    #[arg(long, value_name = "SET")]
    data: Option<String>,
    /// `running`, `interrupted`, `finished`, `stopped`, `pruned`, `diverged` or `failed`
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Bound of a result, such as `test/accuracy > 0.7` or `test/loss<=1.2`; may be given more than once
    #[arg(long = "where", value_name = "BOUND", value_parser = bound)]
    bounds: Vec<Bound>,
    /// Only folders, one a line
    #[arg(long, conflicts_with = "json")]
    paths: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A bound of a result.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    name: String,
    is: &'static str,
    value: f64,
}

/// Reads `NAME > VALUE`; a value in percent is its hundredth.
fn bound(text: &str) -> Result<Bound, String> {
    let expected = "expected a result, `>`, `>=`, `<`, `<=` or `=`, and a number, such as `test/accuracy > 0.7`";
    // Two letters before one.
    let found = [">=", "<=", ">", "<", "="]
        .into_iter()
        .find_map(|is| Some((is, text.split_once(is)?)));
    let (is, (name, value)) = found.ok_or(expected)?;
    let (name, value) = (name.trim(), value.trim());
    let (number, parts) = match value.strip_suffix('%') {
        Some(percent) => (percent.trim(), 100.0),
        None => (value, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| expected)?;
    match name.is_empty() || number.is_nan() {
        true => Err(expected.to_owned()),
        false => Ok(Bound {
            name: name.to_owned(),
            is,
            value: number / parts,
        }),
    }
}

impl Bound {
    fn holds(&self, record: &RunRecord) -> bool {
        let Some(x) = record.results.get(&self.name) else {
            return false;
        };
        match self.is {
            ">=" => *x >= self.value,
            "<=" => *x <= self.value,
            ">" => *x > self.value,
            "<" => *x < self.value,
            _ => *x == self.value,
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &FindArgs) -> Result<()> {
    if let Some(state) = &args.state {
        listing::known_state(state)?;
    }
    if !args.folder.is_dir() {
        let text = format!("`{}` is no folder", args.folder.display());
        return Err(Error::usage(text).hint("`--in FOLDER` names one that holds runs"));
    }
    let all = folder::find(&args.folder);
    for bound in &args.bounds {
        listing::known_result(&bound.name, all.iter().map(|(_, record)| record))?;
    }
    let found: Vec<_> = all
        .into_iter()
        .filter(|(path, record)| is_meant(args, path, record))
        .collect();
    if args.paths {
        let lines: String = found
            .iter()
            .map(|(path, _)| format!("{}\n", path.display()))
            .collect();
        return print(&lines);
    }
    if found.is_empty() && !args.json {
        tell!("no run in `{}` is like that", args.folder.display());
        return Ok(());
    }
    run_table::show(&found, args.json)
}

fn is_meant(args: &FindArgs, path: &Path, record: &RunRecord) -> bool {
    let tags = listing::tags(path);
    let experiment = record.experiment.as_ref().and_then(|e| e.name.as_deref());
    let is_of = |name: &String| record.name == *name || experiment == Some(name);
    let state = || listing::state(path, record);
    args.tag.iter().all(|tag| tags.contains(tag))
        && args.experiment.as_ref().is_none_or(is_of)
        && args.seed.is_none_or(|seed| seed == record.seed)
        && args.state.as_ref().is_none_or(|wanted| *wanted == state())
        && args.bounds.iter().all(|bound| bound.holds(record))
        && has_words(&args.words, path, record, &tags)
        && in_configuration(args, path)
}

fn has_words<'a>(
    words: &[String],
    path: &Path,
    record: &RunRecord,
    tags: impl IntoIterator<Item = &'a String>,
) -> bool {
    let experiment = record.experiment.as_ref().and_then(|e| e.name.clone());
    let mut text = vec![path.display().to_string(), record.name.clone()];
    text.extend(experiment);
    text.extend(record.argv.iter().cloned());
    text.extend(record.warnings.iter().cloned());
    text.extend(record.error.iter().map(|e| e.text.clone()));
    text.extend(tags.into_iter().cloned());
    let text = text.join("\n").to_lowercase();
    words.iter().all(|word| text.contains(&word.to_lowercase()))
}

/// Whether the run's configuration has the rule and the data set that are asked for.
fn in_configuration(args: &FindArgs, path: &Path) -> bool {
    if args.rule.is_none() && args.data.is_none() {
        return true;
    }
    let text = std::fs::read_to_string(path.join("config.toml")).unwrap_or_default();
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    let config = Value::Table(table);
    let is_rule = |wanted: &String| {
        let mut rules = Vec::new();
        named(&config, "rule", "name", &mut rules);
        let of = |rule: &&String| *rule == wanted || rule.starts_with(&format!("{wanted}/"));
        rules.iter().any(|rule| of(&rule))
    };
    let is_set = |wanted: &String| {
        let mut sets = Vec::new();
        named(&config, "data", "set", &mut sets);
        if let Some(extra) = config.get("extra_data").and_then(Value::as_table) {
            let of = |set: &Value| set.get("set").and_then(Value::as_str).map(str::to_owned);
            sets.extend(extra.values().filter_map(of));
        }
        sets.contains(wanted)
    };
    args.rule.as_ref().is_none_or(is_rule) && args.data.as_ref().is_none_or(is_set)
}

/// Every `key = "…"` and `key.inner = "…"` anywhere in a configuration.
fn named(value: &Value, key: &str, inner: &str, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                if name == key {
                    let word = value.as_str().or(value.get(inner).and_then(Value::as_str));
                    found.extend(word.map(str::to_owned));
                }
                named(value, key, inner, found);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| named(value, key, inner, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_with_and_without_percent() {
        let of = |text: &str| bound(text).map(|b| (b.name, b.is, b.value));
        let named = |value| ("test/accuracy".to_owned(), ">=", value);
        assert_eq!(of("test/accuracy >= 0.7"), Ok(named(0.7)));
        assert_eq!(of("test/accuracy>=70%"), Ok(named(0.7)));
        for wrong in ["test/accuracy", "> 1", "a > b", "a >"] {
            assert!(bound(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_are_found_at_any_depth() {
        let text = "[[blocks]]\nrule = { name = \"krotov\", lr = 1 }\n[[blocks]]\n[[blocks.edges]]\nrule = \"feedback-alignment/fa\"";
        let config = Value::Table(text.parse().unwrap());
        let mut found = Vec::new();
        named(&config, "rule", "name", &mut found);
        found.sort();
        assert_eq!(found, ["feedback-alignment/fa", "krotov"]);
    }
}
