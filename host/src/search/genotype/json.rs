//! The JSON form of a genotype.
//!
//! ```json
//! {
//!   "schema_version": 1,
//!   "name": "mine",
//!   "network": "darts",
//!   "normal": {
//!     "edges": [{ "node": 2, "from": 0, "op": "sep_conv_3x3@feedback-alignment/usf" }],
//!     "concat": [2]
//!   },
//!   "reduce": { "edges": [{ "node": 2, "from": 1, "op": "max_pool_3x3" }], "concat": [2] },
//!   "rules": { "feedback-alignment/usf": { } }
//! }
//! ```
//!
//! An edge may also have its rule apart, as `"op": "sep_conv_3x3", "rule": "…"`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::model::{Cell, Edge, Genotype, MOST_NODES, SCHEMA_VERSION};
use crate::plan::ParamValue;
use crate::search::space::{Hyperparameters, Operation, Primitive, Skeleton, sets};
use crate::text::nearest;
use crate::{Error, Result};

/// Keys that are no cell.
const KEYS: [&str; 5] = ["schema_version", "name", "network", "rules", "source"];
const EDGE: [&str; 4] = ["node", "from", "op", "rule"];
const CELL: [&str; 2] = ["edges", "concat"];

/// Reads the JSON form; what is no network is for [`Genotype::check`].
pub(super) fn read(text: &str) -> Result<Genotype> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        let text = e.to_string();
        // The message of the parser ends in its own words for the place.
        let what = text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        Error::usage(format!("line {}, column {}: {what}", e.line(), e.column()))
            .hint("a genotype is JSON, or DARTS's text `Genotype(normal=[…], …)`")
    })?;
    let Value::Object(top) = &value else {
        return Err(foreign("it is no object"));
    };
    match top.get("schema_version") {
        Some(v) if v.as_u64() == Some(SCHEMA_VERSION) => {}
        Some(v) => {
            return Err(Error::usage(format!(
                "the genotype's `schema_version` is {v}, this program reads {SCHEMA_VERSION}"
            ))
            .hint("it was written by another program or a newer version of this one"));
        }
        None => return Err(foreign("it has no `schema_version`")),
    }
    let network = match top.get("network") {
        None => Skeleton::Darts,
        Some(v) => {
            let word = string("network", v)?;
            Skeleton::of_word(word).ok_or_else(|| unknown("network", word, Skeleton::words()))?
        }
    };
    let known = || KEYS.into_iter().chain(network.cells().iter().copied());
    if let Some(key) = top.keys().find(|k| known().all(|own| own != k.as_str())) {
        return Err(unknown("key", key, known()));
    }
    let mut cells = BTreeMap::new();
    for kind in network.cells() {
        if let Some(v) = top.get(*kind) {
            cells.insert((*kind).to_owned(), cell(kind, v)?);
        }
    }
    Ok(Genotype {
        name: match top.get("name") {
            Some(v) => string("name", v)?.to_owned(),
            None => String::new(),
        },
        skeleton: network,
        cells,
        params: match top.get("rules") {
            Some(v) => read_params(v)?,
            None => Hyperparameters::new(),
        },
    })
}

fn foreign(why: &str) -> Error {
    Error::usage(format!("this JSON is no genotype of ours: {why}")).hint(
        "a genotype has `schema_version`, and `edges` and `concat` for each cell; `biorule genotype show DARTS_V2 --json` prints one",
    )
}

fn unknown<'a>(what: &str, word: &str, names: impl Iterator<Item = &'a str> + Clone) -> Error {
    let e = Error::usage(format!("the genotype has an unknown {what} `{word}`"));
    match nearest(word, names.clone()) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => {
            let all: Vec<&str> = names.collect();
            e.hint(format!("there are `{}`", all.join("`, `")))
        }
    }
}

fn wrong(path: &str, value: &Value, expected: &str) -> Error {
    Error::usage(format!("`{path}` is {value}, expected {expected}"))
}

fn string<'v>(path: &str, value: &'v Value) -> Result<&'v str> {
    value.as_str().ok_or_else(|| wrong(path, value, "text"))
}

fn node(path: &str, value: &Value) -> Result<usize> {
    let n = value.as_u64().filter(|n| *n <= MOST_NODES as u64);
    n.map(|n| n as usize).ok_or_else(|| {
        wrong(
            path,
            value,
            &format!("the number of a node, 0 to {MOST_NODES}"),
        )
    })
}

fn object<'v>(path: &str, value: &'v Value, keys: &[&str]) -> Result<&'v Map<String, Value>> {
    let Value::Object(map) = value else {
        return Err(wrong(path, value, "an object"));
    };
    // Files of other tools note what they read the name from.
    let known = |key: &str| keys.contains(&key) || key == "reference_name";
    match map.keys().find(|key| !known(key)) {
        Some(key) => {
            let mut e = unknown("key", key, keys.iter().copied());
            e.text = format!("{} in `{path}`", e.text);
            Err(e)
        }
        None => Ok(map),
    }
}

fn list<'v>(path: &str, map: &'v Map<String, Value>, key: &str) -> Result<&'v Vec<Value>> {
    match map.get(key) {
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(wrong(&format!("{path}.{key}"), other, "a list")),
        None => Err(Error::usage(format!("`{path}.{key}` is missing"))),
    }
}

fn cell(kind: &str, value: &Value) -> Result<Cell> {
    let map = object(kind, value, &CELL)?;
    let mut edges = Vec::new();
    for (i, value) in list(kind, map, "edges")?.iter().enumerate() {
        let path = format!("{kind}.edges[{i}]");
        let map = object(&path, value, &EDGE)?;
        let part = |key: &str| {
            let missing = || Error::usage(format!("`{path}.{key}` is missing"));
            map.get(key).ok_or_else(missing)
        };
        edges.push(Edge {
            node: node(&format!("{path}.node"), part("node")?)?,
            from: node(&format!("{path}.from"), part("from")?)?,
            op: primitive(&path, part("op")?, map.get("rule"))?,
        });
    }
    let concat = list(kind, map, "concat")?.iter().enumerate();
    let concat = concat.map(|(i, v)| node(&format!("{kind}.concat[{i}]"), v));
    Ok(Cell {
        edges,
        concat: concat.collect::<Result<_>>()?,
    })
}

fn primitive(path: &str, op: &Value, rule: Option<&Value>) -> Result<Primitive> {
    let at = format!("`{path}.op`");
    let read: Primitive = string(&format!("{path}.op"), op)?
        .parse()
        .map_err(|e: Error| e.within(&at))?;
    let rule = match rule {
        None | Some(Value::Null) => return Ok(read),
        Some(v) => string(&format!("{path}.rule"), v)?,
    };
    if read.rule.is_some() {
        return Err(
            Error::usage(format!("{at} names a rule, and so does `{path}.rule`"))
                .hint("name it once"),
        );
    }
    // Lists of published cells name the rules of BioNAS by their last word.
    let full = sets::SUFFIXES.iter().find(|(_, full)| {
        let last = full.rsplit('/').next();
        last == Some(rule)
    });
    let rule = full.map_or(rule, |(_, full)| full);
    match read.operation.has_slots() || read.operation == Operation::Skip {
        true => Ok(Primitive::new(read.operation, rule)),
        false => Err(Error::usage(format!(
            "`{path}.rule` is `{rule}`, and `{}` has no layer for a rule",
            read.operation
        ))
        .hint("leave it out, or write null")),
    }
}

fn read_params(value: &Value) -> Result<Hyperparameters> {
    let Value::Object(rules) = value else {
        return Err(wrong(
            "rules",
            value,
            "an object of hyperparameters by rule",
        ));
    };
    let mut all = Hyperparameters::new();
    for (rule, value) in rules {
        let path = format!("rules.{rule}");
        let Value::Object(params) = value else {
            return Err(wrong(&path, value, "an object of hyperparameters"));
        };
        let mut own = BTreeMap::new();
        for (key, value) in params {
            let read = match value {
                Value::Bool(b) => ParamValue::Bool(*b),
                Value::String(s) => ParamValue::Text(s.clone()),
                Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                    (Some(n), _) => ParamValue::Int(n),
                    (None, Some(x)) => ParamValue::Float(x),
                    _ => return Err(wrong(&format!("{path}.{key}"), value, "a number")),
                },
                _ => {
                    let expected = "a number, text, true or false";
                    return Err(wrong(&format!("{path}.{key}"), value, expected));
                }
            };
            own.insert(key.clone(), read);
        }
        all.insert(rule.clone(), own);
    }
    Ok(all)
}

/// Hyperparameters as JSON.
fn params(params: &Hyperparameters) -> Value {
    let value = |v: &ParamValue| match v {
        ParamValue::Bool(b) => json!(b),
        ParamValue::Int(n) => json!(n),
        ParamValue::Float(x) => json!(x),
        ParamValue::Text(s) => json!(s),
    };
    let own = |own: &BTreeMap<String, ParamValue>| -> Value {
        own.iter().map(|(key, v)| (key.clone(), value(v))).collect()
    };
    params
        .iter()
        .map(|(rule, v)| (rule.clone(), own(v)))
        .collect()
}

/// The JSON form.
pub(super) fn write(genotype: &Genotype) -> Value {
    let mut top = Map::new();
    top.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
    if !genotype.name.is_empty() {
        top.insert("name".to_owned(), json!(genotype.name));
    }
    top.insert("network".to_owned(), json!(genotype.skeleton.word()));
    for kind in genotype.skeleton.cells() {
        let Some(cell) = genotype.cells.get(*kind) else {
            continue;
        };
        let edge = |e: &Edge| json!({"node": e.node, "from": e.from, "op": e.op.to_string()});
        let edges: Vec<Value> = cell.edges.iter().map(edge).collect();
        top.insert(
            (*kind).to_owned(),
            json!({"edges": edges, "concat": cell.concat}),
        );
    }
    if !genotype.params.is_empty() {
        top.insert("rules".to_owned(), params(&genotype.params));
    }
    Value::Object(top)
}

/// The JSON form with an edge a line.
pub(super) fn to_text(genotype: &Genotype) -> String {
    let mut parts = Vec::new();
    if let Value::Object(top) = write(genotype) {
        for (key, value) in &top {
            let text = match value.get("edges").and_then(Value::as_array) {
                Some(edges) => {
                    let lines: Vec<String> = edges.iter().map(|e| format!("      {e}")).collect();
                    format!(
                        "{{\n    \"edges\": [\n{}\n    ],\n    \"concat\": {}\n  }}",
                        lines.join(",\n"),
                        value["concat"]
                    )
                }
                None => value.to_string(),
            };
            parts.push(format!("  {}: {text}", json!(key)));
        }
    }
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}
