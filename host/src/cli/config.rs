//! `biorule config`: what a configuration comes to, and what can be set.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Open;
use super::options::{ConfigArgs, warn_refused};
use crate::config::shown::{self, Shown};
use crate::config::{self, Offline, PlanContext, presets, reference};
use crate::text::{print, print_json, table};
use crate::{Error, Result};

/// `biorule config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration, as TOML that can be used again
    Show(Box<ShowArgs>),
    /// Print the reference of all settings (docs/configuration.md)
    Reference,
    /// List built-in presets, or print one
    Presets(PresetsArgs),
}

/// `biorule config show`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule config show --origin configs/quickstart.toml
  biorule config show --preset softhebb/4SoftHebbCnnCIFAR > mine.toml")]
pub struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Say where each value came from
    #[arg(long)]
    origin: bool,

    /// As JSON: a list of path, value and origin
    #[arg(long)]
    json: bool,

    /// Without plugins and data: hyperparameters of rules pass unchecked
    #[arg(long)]
    offline: bool,
}

/// `biorule config presets`
#[derive(Args, Debug)]
pub struct PresetsArgs {
    /// Print the TOML of this preset
    name: Option<String>,
}

/// Runs the command.
pub(super) fn run(command: &ConfigCommand, open: Open) -> Result<()> {
    match command {
        ConfigCommand::Show(args) => show(args, open),
        ConfigCommand::Reference => print(&reference::markdown()),
        ConfigCommand::Presets(args) => match &args.name {
            Some(name) => print(&presets::text(name)?),
            None => list_presets(),
        },
    }
}

fn show(args: &ShowArgs, open: Open) -> Result<()> {
    let (table, host): (_, Box<dyn PlanContext>) = if args.offline {
        (config::merge(&args.config.sources())?, Box::new(Offline))
    } else {
        let (table, host) = args.config.open(open)?;
        warn_refused(&*host);
        (table, host as Box<dyn PlanContext>)
    };
    if config::is_search(&table) {
        let search = config::search(table, &*host)?;
        super::warn(search.warnings.iter());
        let pattern = search.pattern(&*host)?;
        return write(args, &search.shown(pattern.as_ref()));
    }
    let mut resolved = config::resolve_table(table, &*host)?;
    args.config.warn(&mut resolved);
    write(args, &resolved.shown)
}

fn write(args: &ShowArgs, settings: &[(String, Shown)]) -> Result<()> {
    if !args.json {
        return print(&shown::to_toml(settings, args.origin));
    }
    let all = shown::rows(settings);
    let rows = all.iter().map(|(path, value, origin)| {
        let value =
            serde_json::to_value(value).map_err(|e| Error::internal(format!("`{path}`: {e}")))?;
        Ok(json!({"path": path, "value": value, "origin": origin}))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    print_json(&json!({"hash": shown::hash(&all), "settings": rows}))
}

fn list_presets() -> Result<()> {
    let mut table = table(&["preset", "what it is", "missing"]);
    for preset in presets::list() {
        let missing = match presets::missing_sets(&preset.name)?.as_slice() {
            [] => String::new(),
            sets => format!("data set `{}` is not supported yet", sets.join("`, `")),
        };
        table.add_row(vec![preset.name, preset.doc, missing]);
    }
    print(&format!("{table}\n"))
}
