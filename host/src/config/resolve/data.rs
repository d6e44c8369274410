//! The data sets of a plan. Their settings belong to the data module: keys and
//! defaults come from its plan type, not from a list here.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use crate::config::section::{Section, join, unknown_among};
use crate::config::settings::{AUGMENT, DATA_SET, Kind, Setting};
use crate::config::shorthand;
use crate::config::shown::Shown;
use crate::config::value::is_table;
use crate::config::value::{self, DEFAULT, Table, make};
use crate::data::DataPlan;
use crate::plan::PartRange;
use crate::{Error, Result};

/// Reads `data`.
pub(super) fn data(top: &mut Section) -> Result<DataPlan> {
    let table = top.table("data")?.unwrap_or_default();
    let (plan, shown) = one("data", table)?;
    top.show_table("data", shown);
    Ok(plan)
}

/// Reads `extra_data`.
pub(super) fn extra(top: &mut Section) -> Result<BTreeMap<String, DataPlan>> {
    let sets = top.table("extra_data")?.unwrap_or_default();
    let mut plans = BTreeMap::new();
    let mut shown = Vec::new();
    let mut names: Vec<_> = sets.into_iter().collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in names {
        let path = join("extra_data", &name);
        if name == "train" {
            return Err(Error::usage("`extra_data.train` cannot be used")
                .hint("`train` in a phase means `data`; choose another name"));
        }
        let table = shorthand::expand("data", &path, value)?.unwrap_or_default();
        let (plan, one) = one(&path, table)?;
        plans.insert(name.clone(), plan);
        shown.push((name, Shown::Table(one)));
    }
    if !shown.is_empty() {
        top.show_table("extra_data", shown);
    }
    Ok(plans)
}

fn one(path: &str, table: Table) -> Result<(DataPlan, Vec<(String, Shown)>)> {
    let Some(set) = table.get("set").cloned() else {
        return Err(Error::usage(format!("`{path}.set` is missing"))
            .hint("name a data set (`biorule data list`)"));
    };
    let from = value::origin(&set);
    let bare = Table::from_iter([("set".to_owned(), set)]);
    let defaults: DataPlan = read(path, bare, &from)?;
    check_keys(path, &table, &json(&defaults)?)?;
    let table = read_values(path, table, DATA_SET)?;
    let origins = table.clone();
    let from = table
        .values()
        .map(value::origin)
        .max()
        .unwrap_or_else(|| DEFAULT.to_owned());
    let plan: DataPlan = read(path, table, &from)?;
    let shown = show(&json(&plan)?, Some(&origins));
    Ok((plan, shown))
}

/// The values of `table` as the plan type takes them, each checked for the kind of its setting:
/// `2.0` for a whole number, one number for both axes.
fn read_values(path: &str, table: Table, settings: &'static [Setting]) -> Result<Table> {
    let mut out = Table::new();
    let mut keys: Vec<String> = table.keys().cloned().collect();
    keys.sort();
    for key in keys {
        let v = &table[&key];
        let from = value::origin(v);
        let Some(setting) = settings.iter().find(|s| s.key == key) else {
            out.insert(key, v.clone());
            continue;
        };
        let only = Table::from_iter([(key.clone(), v.clone())]);
        let mut s = Section::open(path, only, settings)?;
        let list = |list: &[u64]| {
            list.iter()
                .map(|n| make(*n as i64, &from))
                .collect::<Vec<_>>()
        };
        let read = match setting.kind {
            Kind::Whole => s.opt_whole(&key)?.map(|n| make(n as i64, &from)),
            Kind::Number => s.opt_number(&key)?.map(|x| make(x, &from)),
            Kind::Flag => s.opt_flag(&key)?.map(|flag| make(flag, &from)),
            Kind::Text => s.opt_text(&key)?.map(|text| make(text, &from)),
            Kind::Choice(_) => s.opt_choice::<String>(&key)?.map(|word| make(word, &from)),
            Kind::Pair => s
                .opt_pair(&key)?
                .map(|pair| make(list(&pair.map(|n| n as u64)), &from)),
            Kind::Wholes => Some(make(list(&s.wholes(&key)?), &from)),
            Kind::Described if key == "parts" => Some(ranges(&join(path, &key), v)?),
            Kind::Numbers => {
                let number = |v: &Value| value::number(v).is_some_and(f64::is_finite);
                list_of(&s.at(&key), v, "numbers in brackets", number)?;
                Some(v.clone())
            }
            Kind::Labels => {
                let label = |v: &Value| {
                    let number = value::integer(v).is_some_and(|n| u32::try_from(n).is_ok());
                    number || value::text(v).is_some()
                };
                list_of(
                    &s.at(&key),
                    v,
                    "labels or names of classes in brackets",
                    label,
                )?;
                Some(v.clone())
            }
            Kind::Table("data.augment") => {
                let inner = s.table(&key)?;
                let inner = inner.map(|t| read_values(&join(path, &key), t, AUGMENT));
                inner.transpose()?.map(|t| make(t, &from))
            }
            _ => Some(v.clone()),
        };
        if let Some(read) = read {
            out.insert(key, read);
        }
    }
    Ok(out)
}

/// `value` where it is a table of ranges.
fn ranges(path: &str, value: &Value) -> Result<Value> {
    let ValueKind::Table(parts) = &value.kind else {
        return Err(Error::usage(format!(
            "`{path}` is {}, expected a table of ranges (from {})",
            value::describe(value),
            value::origin(value)
        ))
        .hint("such as `parts = { weights = \":50%\", alphas = \"50%:\" }`"));
    };
    for (name, range) in parts {
        let wrong = |what: String| {
            let from = value::origin(range);
            Error::usage(format!("`{}` {what} (from {from})", join(path, name)))
        };
        match value::text(range) {
            Some(text) => drop(text.parse::<PartRange>().map_err(wrong)?),
            None => {
                let found = value::describe(range);
                return Err(wrong(format!(
                    "is {found}, expected a range such as `:50%`"
                )));
            }
        }
    }
    Ok(value.clone())
}

/// Refuses anything but a list of what is `right`.
fn list_of(path: &str, v: &Value, expected: &str, right: impl Fn(&Value) -> bool) -> Result<()> {
    let wrong = match &v.kind {
        ValueKind::Array(items) => match items.iter().find(|item| !right(item)) {
            Some(item) => format!("`{path}` has {} in it", value::describe(item)),
            None => return Ok(()),
        },
        _ => format!("`{path}` is {}", value::describe(v)),
    };
    let from = value::origin(v);
    Err(Error::usage(format!(
        "{wrong}, expected {expected} (from {from})"
    )))
}

fn read(path: &str, table: Table, from: &str) -> Result<DataPlan> {
    let value = value::make(ValueKind::Table(table), from);
    let toml = value::to_toml(&value);
    toml.try_into::<DataPlan>().map_err(|e| {
        let text = e.to_string();
        Error::usage(format!(
            "`{path}`: {} (from {from})",
            text.lines().next().unwrap_or_default()
        ))
    })
}

fn json(plan: &DataPlan) -> Result<serde_json::Map<String, serde_json::Value>> {
    match serde_json::to_value(plan) {
        Ok(serde_json::Value::Object(map)) => Ok(map),
        _ => Err(Error::internal("a data plan is not a table")),
    }
}

/// Refuses keys that the plan type does not have; tables of its own too.
fn check_keys(
    path: &str,
    table: &Table,
    known: &serde_json::Map<String, serde_json::Value>,
) -> Result<()> {
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort();
    for key in keys {
        let value = &table[key];
        match known.get(key) {
            None => {
                let names = known.keys().map(String::as_str);
                return Err(unknown_among(path, key, &value::origin(value), names));
            }
            Some(serde_json::Value::Object(inner)) if is_table(value) && !inner.is_empty() => {
                if let ValueKind::Table(t) = &value.kind {
                    check_keys(&join(path, key), t, inner)?;
                }
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A plan's values with the origins that `set` has for them.
fn show(
    plan: &serde_json::Map<String, serde_json::Value>,
    set: Option<&Table>,
) -> Vec<(String, Shown)> {
    let mut shown = Vec::new();
    for (key, item) in plan {
        let given = set.and_then(|t| t.get(key));
        let item = match item {
            serde_json::Value::Null => continue,
            serde_json::Value::Object(map) => {
                let inner = given.and_then(|v| match &v.kind {
                    ValueKind::Table(t) => Some(t),
                    _ => None,
                });
                Shown::Table(show(map, inner))
            }
            plain => {
                let Ok(value) = toml::Value::try_from(plain) else {
                    continue;
                };
                let value = short(value);
                let from = given.map_or_else(|| DEFAULT.to_owned(), value::origin);
                Shown::Leaf(value, from)
            }
        };
        shown.push((key.clone(), item));
    }
    shown
}

/// Numbers that the plan keeps in 32 bits as short as they were written: 0.1,
/// not 0.10000000149011612.
fn short(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Float(x) if f64::from(x as f32) == x => {
            let text = (x as f32).to_string();
            toml::Value::Float(text.parse().unwrap_or(x))
        }
        toml::Value::Array(items) => toml::Value::Array(items.into_iter().map(short).collect()),
        other => other,
    }
}
