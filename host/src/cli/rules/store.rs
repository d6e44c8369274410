//! `biorule rules add`, `remove` and `info`: the user's own plugins.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::plan::Package;
use crate::plugins::candidate::{Candidate, inspect};
use crate::plugins::discover::{library_files, search_folders};
use crate::plugins::store::{Added, Store};
use crate::text::{human, nearest, print, print_json, short};
use crate::{Error, Result};

/// `biorule rules add`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules add target/release/libmy_rule.so
  biorule rules add my-rule-0.2.0-linux-x86_64.tar.gz

A plugin is code that runs with your rights: add those that you trust.")]
pub struct AddArgs {
    /// A library, or an archive (.tar.gz, .tar, .zip) with libraries of this system
    path: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule rules remove`
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  biorule rules remove my-rule")]
pub struct RemoveArgs {
    /// The plugin, its package or one of its rules
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule rules info`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules info target/release/libmy_rule.so
  biorule rules info my-rule")]
pub struct InfoArgs {
    /// A library file, or a plugin, package or added rule by name
    name: PathBuf,
    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Adds plugins.
pub(super) fn add(args: &AddArgs) -> Result<()> {
    let store = Store::open()?;
    let done = store.add(&args.path)?;
    if args.json {
        let all: Vec<Value> = done
            .iter()
            .map(|(added, before)| {
                json!({"added": added, "path": store.path(added).display().to_string(),
                       "replaced": before.as_ref().map(|b| &b.sha256)})
            })
            .collect();
        return print_json(&Value::Array(all));
    }
    for (added, before) in &done {
        let rules = added.rules.join("`, `");
        let mut text = format!(
            "added `{}`{} with rules `{rules}`",
            added.name(),
            version(added)
        );
        if let Some(before) = before {
            let digest = short(&before.sha256);
            text.push_str(&format!(", in place of{} {digest}", version(before)));
        }
        print(&format!("{text}\n  {}\n", store.path(added).display()))?;
    }
    tell!("note: a plugin is code that runs with your rights, in every command that loads rules");
    Ok(())
}

fn version(added: &Added) -> String {
    let package = added.package.as_ref();
    package.map_or(String::new(), |p| format!(" {}", p.version))
}

/// Removes a plugin.
pub(super) fn remove(args: &RemoveArgs) -> Result<()> {
    let added = Store::open()?.remove(&args.name)?;
    if args.json {
        return print_json(&json!({ "removed": added }));
    }
    print(&format!("removed `{}` ({})\n", added.name(), added.sha256))
}

/// Says what a plugin's file says of itself; nothing of it is run.
pub(super) fn info(args: &InfoArgs) -> Result<()> {
    let file = find(args)?;
    let added = Store::open()
        .and_then(|store| store.list())
        .unwrap_or_default();
    let added = added.iter().find(|added| added.sha256 == file.sha256);
    let package = file.about.clone();
    if args.json {
        return print_json(&json!({
            "path": file.path.display().to_string(), "sha256": file.sha256,
            "bytes": file.bytes.len(), "package": package,
            "rules": added.map(|added| &added.rules), "from": added.map(|added| &added.from),
        }));
    }
    let mut lines = vec![
        format!("file         {}", file.path.display()),
        format!("size         {}", human(file.bytes.len() as u128)),
        format!("sha256       {}", file.sha256),
    ];
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{what:<12} {value}"));
        }
    };
    match package {
        Some(Package {
            name,
            version,
            authors,
            license,
            repository,
            description,
            interface,
            types,
        }) => {
            line("package", format!("{name} {version}"));
            line("what it is", description);
            line("authors", authors.join(", "));
            line("licence", license);
            line("source", repository);
            line("interface", interface);
            line("types", types.join(", "));
        }
        None => line(
            "package",
            "unknown: built before plugins said it, or no plugin".into(),
        ),
    }
    if let Some(added) = added {
        line("rules", added.rules.join(", "));
        line("added from", added.from.clone());
    }
    print(&format!("{}\n", lines.join("\n")))
}

/// The file that is meant.
fn find(args: &InfoArgs) -> Result<Candidate> {
    let look = |path: &Path| inspect(path).map_err(|e| Error::plugin(e.to_string()).hint(e.hint));
    let is_word = args.name.extension().is_none() && args.name.components().count() <= 2;
    let Some(word) = args
        .name
        .to_str()
        .filter(|_| is_word && !args.name.exists())
    else {
        return look(&args.name);
    };
    let store = Store::open();
    if let Ok(store) = &store
        && let Some(added) = store.list()?.iter().find(|added| added.is_called(word))
    {
        return look(&store.path(added));
    }
    let mut names = Vec::new();
    for path in library_files(&search_folders(&args.plugins)) {
        let Ok(file) = inspect(&path) else { continue };
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let package = file
            .about
            .as_ref()
            .map(|p| p.name.clone())
            .unwrap_or_default();
        if stem == word || package == word {
            return Ok(file);
        }
        names.extend([stem, package]);
    }
    let error = Error::usage(format!("no plugin file is called `{word}`"));
    Err(match nearest(word, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`biorule rules list` shows rules and their plugins"),
    })
}
