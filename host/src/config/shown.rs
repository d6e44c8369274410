//! The resolved configuration as text: the same TOML that can be read again,
//! each line with where its value came from.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::text::hex;

/// A resolved setting, or a table or list of them, in the order of the reference.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A value and its origin.
    Leaf(toml::Value, String),
    /// A table.
    Table(Vec<(String, Shown)>),
    /// A list of tables.
    Tables(Vec<Vec<(String, Shown)>>),
}

/// One setting on a flat list: its path, its value as TOML, its origin.
pub type Row = (String, toml::Value, String);

/// `table` as TOML text. With `origins`, each line ends with a comment that
/// says where the value came from.
#[must_use]
pub fn to_toml(table: &[(String, Shown)], origins: bool) -> String {
    let mut text = String::new();
    write_table(&mut text, "", table, origins);
    text
}

fn write_table(text: &mut String, path: &str, table: &[(String, Shown)], origins: bool) {
    for (key, item) in table {
        if let Shown::Leaf(value, origin) = item {
            let line = format!("{} = {}", quote_key(key), inline(value));
            let _ = if origins {
                writeln!(text, "{line:<46} # {origin}")
            } else {
                writeln!(text, "{line}")
            };
        }
    }
    for (key, item) in table {
        let inner = join(path, key);
        match item {
            Shown::Leaf(..) => {}
            Shown::Table(t) => {
                let _ = writeln!(text, "\n[{inner}]");
                write_table(text, &inner, t, origins);
            }
            Shown::Tables(list) => {
                for t in list {
                    let _ = writeln!(text, "\n[[{inner}]]");
                    write_table(text, &inner, t, origins);
                }
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        quote_key(key)
    } else {
        format!("{path}.{}", quote_key(key))
    }
}

fn quote_key(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

/// A value on one line. Floats keep a point or exponent, so that they are
/// floats again when read.
fn inline(value: &toml::Value) -> String {
    value.to_string()
}

/// All settings of `table` as a flat list of paths. Entries of a list are
/// numbered, or named where they have a name.
#[must_use]
pub fn rows(table: &[(String, Shown)]) -> Vec<Row> {
    let mut rows = Vec::new();
    collect("", table, &mut rows);
    rows
}

fn collect(path: &str, table: &[(String, Shown)], rows: &mut Vec<Row>) {
    for (key, item) in table {
        let inner = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match item {
            Shown::Leaf(value, origin) => rows.push((inner, value.clone(), origin.clone())),
            Shown::Table(t) => collect(&inner, t, rows),
            Shown::Tables(list) => {
                for (i, t) in list.iter().enumerate() {
                    let name = t.iter().find_map(|(k, v)| match v {
                        Shown::Leaf(toml::Value::String(s), _) if k == "name" => Some(s.clone()),
                        _ => None,
                    });
                    let step = name.unwrap_or_else(|| i.to_string());
                    collect(&format!("{inner}.{step}"), t, rows);
                }
            }
        }
    }
}

/// Settings that change no result, so that a resumed run may differ in them.
const FREE: &[&str] = &["plugin_folders", "gpu_memory_share", "threads"];

/// The same, of a data set.
const FREE_OF_DATA: &[&str] = &["threads", "prefetch"];

/// Whether the setting at `path` decides results.
#[must_use]
pub fn decides(path: &str) -> bool {
    let data = path.strip_prefix("data.").or_else(|| {
        let of_a_set = path.strip_prefix("extra_data.")?;
        Some(of_a_set.split_once('.')?.1)
    });
    let free = FREE.contains(&path)
        || path.starts_with("output.")
        || path == "experiment"
        || path.starts_with("experiment.")
        || data.is_some_and(|setting| FREE_OF_DATA.contains(&setting));
    !free
}

/// The settings of `rows` that decide results, as `path = value` lines.
#[must_use]
pub fn deciding(rows: &[Row]) -> Vec<(String, String)> {
    rows.iter()
        .filter(|(path, ..)| decides(path))
        .map(|(path, value, _)| (path.clone(), value.to_string()))
        .collect()
}

/// SHA-256 over the settings that decide results, as hexadecimal text.
#[must_use]
pub fn hash(rows: &[Row]) -> String {
    let mut hasher = Sha256::new();
    for (path, value) in deciding(rows) {
        hasher.update(format!("{path} = {value}\n"));
    }
    hex(&hasher.finalize())
}

/// A setting that differs between two configurations, its values as TOML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// Its value now; `None` where it is absent.
    pub ours: Option<String>,
    /// Its value in the folder.
    pub theirs: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |v: &Option<String>| v.clone().unwrap_or_else(|| "absent".into());
        let (ours, theirs) = (word(&self.ours), word(&self.theirs));
        write!(f, "`{}` ({ours} now, {theirs} in the folder)", self.path)
    }
}

/// Settings that differ between two configurations.
#[must_use]
pub fn differences(ours: &[Row], theirs: &[Row]) -> Vec<Change> {
    differing(&deciding(ours), &deciding(theirs))
}

/// The settings in which two lists of paths and values differ, in the order of `ours`, then those that
/// only `theirs` has.
#[must_use]
pub fn differing(ours: &[(String, String)], theirs: &[(String, String)]) -> Vec<Change> {
    let find = |list: &[(String, String)], path: &str| {
        list.iter().find(|(p, _)| p == path).map(|(_, v)| v.clone())
    };
    let mut paths: Vec<&String> = ours.iter().map(|(p, _)| p).collect();
    paths.extend(
        theirs
            .iter()
            .map(|(p, _)| p)
            .filter(|p| find(ours, p).is_none()),
    );
    paths
        .into_iter()
        .filter_map(|path| {
            let (ours, theirs) = (find(ours, path), find(theirs, path));
            (ours != theirs).then(|| Change {
                path: path.clone(),
                ours,
                theirs,
            })
        })
        .collect()
}
