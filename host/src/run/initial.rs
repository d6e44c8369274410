//! Files of initial weights: the last checkpoint of a run, any safetensors file, numpy arrays (`.npz`) and
//! state dictionaries of PyTorch (`.pt`, `.pth`), whose pickle is read without running anything.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use candle_core::pickle::PthTensors;

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
        "give a run's folder (`biorule runs list`; of several seeds, one `seed-N`) or a safetensors, `.npz` or `.pt` file",
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
    if bytes.starts_with(b"PK\x03\x04") {
        let tensors = packed(&file)?;
        return Ok((file, tensors));
    }
    let ending = file
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if ["pt", "pth", "tar"].contains(&ending) && bytes.starts_with(&[0x80]) {
        return Err(Error::usage(format!(
            "`init_from`: `{}` has the layout of PyTorch before 1.6, which is not read",
            file.display()
        ))
        .hint("write it anew: `torch.save(torch.load(FILE, weights_only=True), FILE)`"));
    }
    let read = checkpoint::decode(&bytes).map_err(|e| {
        // What a run wrote is a matter of its disk; another file, of the command.
        let code = match from.is_dir() {
            true => e.code,
            false => ExitCode::Usage,
        };
        let text = format!("`init_from`: `{}`: {}", file.display(), e.text);
        Error::new(code, text)
            .hint("give a run's folder, or a whole safetensors, `.npz` or `.pt` file")
    })?;
    Ok((file, read.tensors))
}

/// Keys below which a dictionary of a training's state keeps that of the network.
const INNER: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of a zip file: numpy arrays, or a dictionary that PyTorch saved.
fn packed(file: &Path) -> Result<HashMap<String, Tensor>> {
    let wrong = |what: String| Error::usage(format!("`init_from`: `{}` {what}", file.display()));
    if let Ok(all) = Tensor::read_npz(file)
        && !all.is_empty()
    {
        return Ok(all.into_iter().collect());
    }
    let dictionary = |key: Option<&str>| -> Result<HashMap<String, Tensor>> {
        let file = PthTensors::new(file, key).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let mut all = HashMap::new();
        for name in file.tensor_infos().keys() {
            // What is no number of ours, such as a count of batches, is left.
            if let Ok(Some(tensor)) = file.get(name) {
                all.insert(name.clone(), tensor);
            }
        }
        Ok(all)
    };
    let whole = dictionary(None)?;
    if !whole.is_empty() {
        return Ok(whole);
    }
    let inner = INNER
        .into_iter()
        .filter_map(|key| dictionary(Some(key)).ok());
    let mut inner = inner.filter(|all| !all.is_empty());
    inner.next().ok_or_else(|| {
        wrong("holds no tensors by name".to_owned()).hint(
            "a whole module that was pickled is not read; save its state: `torch.save(model.state_dict(), FILE)`",
        )
    })
}
