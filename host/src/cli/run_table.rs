//! Runs as a table and as JSON.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;
use crate::run::identity::RunRecord;
use crate::run::{listing, summary};
use crate::text::{human, print, print_json, table};

/// A run for programs: its record, its folder, how it is, its tags and the room it takes.
pub(super) fn json_of(path: &Path, record: &RunRecord) -> Value {
    let mut value = json!(record);
    value["folder"] = path.display().to_string().into();
    value["state"] = listing::state(path, record).into();
    value["tags"] = json!(listing::tags(path));
    value["disk_bytes"] = listing::disk(path).into();
    value
}

/// Prints `runs`, a row each, or as JSON.
///
/// # Errors
/// Standard output refuses.
pub(super) fn show(runs: &[(PathBuf, RunRecord)], as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&runs.iter().map(|(p, r)| json_of(p, r)).collect());
    }
    let tags: Vec<String> = runs
        .iter()
        .map(|(path, _)| {
            listing::tags(path)
                .into_iter()
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    let any = tags.iter().any(|tags| !tags.is_empty());
    let mut head = vec![
        "folder",
        "seed",
        "started",
        "state",
        "test/accuracy",
        "test/loss",
        "disk",
    ];
    head.extend(any.then_some("tags"));
    let mut table = table(&head);
    for ((path, record), tags) in runs.iter().zip(tags) {
        let number = |name: &str| {
            let found = record.results.get(name);
            found.map_or_else(|| "-".to_owned(), |x| summary::show(name, *x))
        };
        let mut row = vec![
            path.display().to_string(),
            record.seed.to_string(),
            record.started.clone(),
            listing::state(path, record),
            number("test/accuracy"),
            number("test/loss"),
            human(listing::disk(path).into()),
        ];
        row.extend(any.then_some(tags));
        table.add_row(row);
    }
    print(&format!("{table}\n"))
}
