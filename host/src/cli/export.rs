//! `biorule export`: the weights of a run for other programs.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use clap::{Args, ValueEnum};

use super::eval::{BEST, locate};
use crate::run::{atomic, initial};
use crate::text::print;
use crate::train::names::{self, Names};
use crate::{Error, ExitCode, Result};

/// Writes the weights of a run to a file.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule export runs/mine/latest weights.safetensors
  biorule export runs/resnet/latest weights.npz --best --names pytorch
  biorule export runs/softhebb-cifar10-3/latest/seed-0 weights.npz --names softhebb

`init_from` (`train --init-from`) reads what is written, and `.pt` files of PyTorch.")]
pub struct ExportArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    run: PathBuf,

    /// Where to: `.safetensors` or `.npz`
    file: PathBuf,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// What tensors are called
    #[arg(long, value_enum, default_value_t)]
    names: Style,
}

/// What tensors are called.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Style {
    /// As in checkpoints: `blocks.conv1.layer.weight`
    #[default]
    Own,
    /// As in PyTorch modules: `conv1.weight`, `bn1.running_mean`, `layer1.0.conv2.weight`
    Pytorch,
    /// As in SoftHebb's files: `blocks.0.layer.weight`
    Softhebb,
}

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let (config, checkpoint) = locate(&args.run, args.best)?;
    if args.best && !checkpoint.ends_with(BEST) {
        super::warn::warn_once("`--best` has no effect: a file is named, and that is exported");
    }
    let table = block_names(&config)?;
    let blocks: Vec<&str> = table.iter().map(String::as_str).collect();
    let style = match args.names {
        Style::Own => Names::Own,
        Style::Pytorch => Names::Pytorch,
        Style::Softhebb => Names::Softhebb,
    };
    let (_, read) = initial::read(&checkpoint)?;
    let (mut out, mut left) = (Vec::new(), Vec::new());
    for (name, tensor) in read {
        if !name.starts_with("blocks.") {
            continue;
        }
        match names::foreign(&name, style, &blocks) {
            Some(foreign) => out.push((foreign, tensor)),
            None => left.push(name),
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    left.sort();
    if out.is_empty() {
        return Err(Error::usage(format!(
            "`{}` has no tensors of blocks",
            checkpoint.display()
        )));
    }
    if let Some(twice) = out.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(
            Error::usage(format!("two tensors would be called `{}`", twice[0].0))
                .hint("`--names own` keeps the names of blocks"),
        );
    }
    write(&args.file, &out)?;
    if !left.is_empty() {
        tell!(
            "left out, since such files do not hold them: `{}`",
            left.join("`, `")
        );
    }
    let lines: Vec<String> = out
        .iter()
        .map(|(name, t)| format!("{name} {:?}", t.dims()))
        .collect();
    print(&(lines.join("\n") + "\n"))
}

/// Names of the blocks of a run's configuration, in order.
fn block_names(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io(ExitCode::Usage, file, &e))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|e| Error::storage(format!("`{}` is damaged: {}", file.display(), e.message())))?;
    let blocks = table.get("blocks").and_then(toml::Value::as_array);
    let name = |block: &toml::Value| Some(block.get("name")?.as_str()?.to_owned());
    Ok(blocks.into_iter().flatten().filter_map(name).collect())
}

/// Writes `tensors` as the ending of `file` says, whole or not at all.
fn write(file: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    let temporary = file.with_extension(format!("{}{}", std::process::id(), atomic::TEMPORARY));
    let written = match ending.as_deref() {
        Some("safetensors") => {
            let all: std::collections::HashMap<String, Tensor> = tensors.iter().cloned().collect();
            candle_core::safetensors::save(&all, &temporary)
        }
        Some("npz") => Tensor::write_npz(tensors, &temporary),
        _ => {
            return Err(Error::usage(format!(
                "`{}` ends in neither `.safetensors` nor `.npz`",
                file.display()
            )));
        }
    };
    let moved = written
        .map_err(|e| Error::storage(format!("`{}`: {e}", file.display())))
        .and_then(|()| std::fs::rename(&temporary, file).map_err(|e| Error::storage_io(file, &e)));
    if moved.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}
