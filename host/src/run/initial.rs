//! Files of initial weights: the last checkpoint of a run, or any safetensors file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::checkpoint;
use crate::{Error, ExitCode, Result};

/// The checkpoint that `from`, a run's folder or a file, stands for.
///
/// # Errors
/// Usage error where there is none.
pub fn locate(from: &Path) -> Result<PathBuf> {
    let file = match from.is_dir() {
        true => from.join("checkpoints").join("last.safetensors"),
        false => from.to_owned(),
    };
    if file.is_file() {
        return Ok(file);
    }
    let text = format!("`init_from`: `{}` is not there", file.display());
    Err(Error::usage(text).hint(
        "give a run's folder (`biorule runs list`; of several seeds, one `seed-N`) or a safetensors file",
    ))
}

/// The checkpoint or other safetensors file that `from` stands for, and its tensors by name.
///
/// # Errors
/// Usage error where there is none, or it is no such file; storage error for a damaged checkpoint of
/// a run's folder.
pub fn read(from: &Path) -> Result<(PathBuf, HashMap<String, Tensor>)> {
    let file = locate(from)?;
    let bytes = std::fs::read(&file).map_err(|e| Error::io(ExitCode::Usage, &file, &e))?;
    let read = checkpoint::decode(&bytes).map_err(|e| {
        // What a run wrote is a matter of its disk; another file, of the command.
        let code = match from.is_dir() {
            true => e.code,
            false => ExitCode::Usage,
        };
        let text = format!("`init_from`: `{}`: {}", file.display(), e.text);
        Error::new(code, text).hint("give a run's folder or a whole safetensors file")
    })?;
    Ok((file, read.tensors))
}
