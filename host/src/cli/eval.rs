//! `biorule eval`: a trained network on data.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::options::ConfigArgs;
use super::{Evaluation, Open};
use crate::config;
use crate::run::summary;
use crate::{Error, Result};

/// Evaluates a trained network.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule eval runs/quickstart/latest
  biorule eval runs/quickstart/latest --best --json
  biorule eval runs/quickstart/latest/checkpoints/last.safetensors --split train")]
pub struct EvalArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// Part of the data: `test`, `validation` or `train`
    #[arg(long, default_value = "test")]
    split: String,

    /// Set one value of the run's configuration, such as `data.root=…`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,

    /// `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long)]
    device: Option<String>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &EvalArgs, open: Open) -> Result<()> {
    let (file, checkpoint) = locate(&args.path, args.best)?;
    let flags = ConfigArgs {
        files: vec![file],
        sets: args.sets.clone(),
        device: args.device.clone(),
        plugins: args.plugins.clone(),
        ..ConfigArgs::default()
    };
    let (table, host) = flags.open(open)?;
    let mut resolved = config::resolve_table(table, &*host)?;
    // What the run's own file asks for was said when it was trained.
    resolved
        .warnings
        .retain(|text| !text.contains("(from file `"));
    flags.warn(&mut resolved);
    let what = Evaluation {
        checkpoint,
        split: args.split.clone(),
    };
    let results = host.evaluate(&resolved.plan, &what)?;
    if args.json {
        let checkpoint = what.checkpoint.display().to_string();
        return super::print_json(
            &json!({"checkpoint": checkpoint, "split": what.split, "results": results}),
        );
    }
    let seed = resolved.plan.seeds.first().copied().unwrap_or(0);
    super::print(&format!("{}\n", summary::table(&[(seed, results)])))
}

/// The configuration and the checkpoint that `path` stands for.
fn locate(path: &Path, best: bool) -> Result<(PathBuf, PathBuf)> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let folder = path.parent().and_then(Path::parent);
        let config = folder.unwrap_or(Path::new(".")).join("config.toml");
        return found(path, &config).map(|()| (config, path.to_owned()));
    }
    let name = if best {
        "best.safetensors"
    } else {
        "last.safetensors"
    };
    let checkpoint = path.join("checkpoints").join(name);
    let config = path.join("config.toml");
    found(&checkpoint, &config).map(|()| (config, checkpoint))
}

fn found(checkpoint: &Path, config: &Path) -> Result<()> {
    for file in [config, checkpoint] {
        if !file.is_file() {
            return Err(Error::usage(format!("`{}` is not there", file.display()))
                .hint("give a run's folder (`biorule runs list`) or a checkpoint in one; of several seeds, one `seed-N`"));
        }
    }
    Ok(())
}
