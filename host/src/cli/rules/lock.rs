//! `biorule rules lock`, and what `train --locked` holds an experiment to.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::{Host, Open};
use crate::cli::options::ConfigArgs;
use crate::config::RunPlan;
use crate::text::{print, print_json, short};
use crate::{Error, ExitCode, Result};

/// `biorule rules lock`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules lock mine.toml          writes mine.rules.lock
  biorule train mine.toml --locked      refuses other builds of the rules")]
pub struct LockArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `NAME.rules.lock`, beside the experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    /// The libraries that the experiment's rules come from.
    #[serde(default)]
    plugin: Vec<Locked>,
}

/// A library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Locked {
    /// Name of the plugin.
    name: String,
    /// Version of its package, where it says one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    version: String,
    /// System that the digest is of.
    system: String,
    /// SHA-256 of the library file.
    sha256: String,
    /// The rules that the experiment uses of it.
    rules: Vec<String>,
}

fn system() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The lock of the experiment `file`.
fn lock_file(file: &Path) -> PathBuf {
    file.with_extension("rules.lock")
}

/// The libraries that `plan` uses.
fn used(plan: &RunPlan, host: &dyn Host) -> Result<Vec<Locked>> {
    let plugins = host.plugins();
    let mut all: Vec<Locked> = Vec::new();
    for rule in host.rules_used(plan)? {
        if let Some(known) = all.iter_mut().find(|l| l.sha256 == rule.sha256) {
            if !known.rules.contains(&rule.rule) {
                known.rules.push(rule.rule);
            }
            continue;
        }
        let plugin = plugins.iter().find(|p| p.sha256 == rule.sha256);
        let package = plugin.and_then(|p| p.package.as_ref());
        all.push(Locked {
            name: rule.plugin,
            version: package.map(|p| p.version.clone()).unwrap_or_default(),
            system: system(),
            sha256: rule.sha256,
            rules: vec![rule.rule],
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Writes the lock of an experiment.
pub(super) fn write(args: &LockArgs, open: Open) -> Result<()> {
    let Some(file) = args.config.files.last() else {
        return Err(Error::usage("no configuration given").hint("`biorule rules lock mine.toml`"));
    };
    let (resolved, host) = args.config.resolve(open)?;
    let path = lock_file(file);
    let mut lock = read(&path)?.unwrap_or_default();
    let here = used(&resolved.plan, &*host)?;
    // Digests of other systems stay.
    lock.plugin.retain(|l| l.system != system());
    lock.plugin.extend(here);
    let text = toml::to_string(&lock).map_err(|e| Error::internal(format!("lock: {e}")))?;
    let text = format!(
        "# Written by `biorule rules lock`; `biorule train --locked` refuses others.\n{text}"
    );
    std::fs::write(&path, text).map_err(|e| Error::io(ExitCode::Storage, &path, &e))?;
    if args.json {
        return print_json(&json!({"file": path.display().to_string(), "plugins": lock.plugin}));
    }
    let names: Vec<String> = lock
        .plugin
        .iter()
        .map(|l| format!("`{}`", l.name))
        .collect();
    print(&format!(
        "wrote `{}`: {}\n",
        path.display(),
        names.join(", ")
    ))
}

fn read(path: &Path) -> Result<Option<Lock>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(ExitCode::Usage, path, &e)),
    };
    let lock = toml::from_str(&text);
    let lock = lock.map_err(|e| Error::usage(format!("`{}` is no lock: {e}", path.display())));
    lock.map(Some)
}

/// Refuses a plan whose rules come from other libraries than the lock of its configuration says.
///
/// # Errors
/// Usage error where there is no lock; plugin error for another library.
pub(crate) fn hold(config: &ConfigArgs, plan: &RunPlan, host: &dyn Host) -> Result<()> {
    let Some(file) = config.files.last() else {
        return Err(Error::usage(
            "`--locked` needs a configuration file, whose lock is beside it",
        ));
    };
    let path = lock_file(file);
    let Some(lock) = read(&path)? else {
        let text = format!("`--locked`, and there is no `{}`", path.display());
        return Err(
            Error::usage(text).hint(format!("`biorule rules lock {}` writes it", file.display()))
        );
    };
    for now in used(plan, host)? {
        let known = lock.plugin.iter().filter(|l| l.system == now.system);
        let Some(locked) = known.clone().find(|l| l.name == now.name) else {
            let text = format!(
                "`{}` has no entry for `{}` on {}",
                path.display(),
                now.name,
                now.system
            );
            return Err(Error::plugin(text)
                .hint(format!("`biorule rules lock {}` adds it", file.display())));
        };
        if locked.sha256 != now.sha256 {
            let text = format!(
                "`{}` is another build than `{}` locks: {}{} in place of {}{}",
                now.name,
                path.display(),
                short(&now.sha256),
                with(&now.version),
                short(&locked.sha256),
                with(&locked.version)
            );
            return Err(Error::plugin(text).hint(format!(
                "put the locked library back, or `biorule rules lock {}` for the one that is there",
                file.display()
            )));
        }
    }
    Ok(())
}

fn with(version: &str) -> String {
    match version {
        "" => String::new(),
        version => format!(" ({version})"),
    }
}
