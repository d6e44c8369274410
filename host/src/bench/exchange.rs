//! Tensors between the two sides: raw little-endian `f32` files, with shapes in
//! the request, so that the other side needs no library to read them.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::case::{Named, values};
use crate::{Error, Result};

/// A folder that goes when this does.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder in the system's place for them.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn new() -> Result<Self> {
        let name = format!("biorule-bench-{}", crate::run::identity::new_id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(|e| Error::storage_io(&path, &e))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes `tensors` below `folder`; what to tell the other side of them:
/// `{name: {"file": …, "shape": […]}}`.
///
/// # Errors
/// Internal error where the disk refuses.
pub fn write(folder: &Path, tensors: &Named) -> Result<Value> {
    let mut told = serde_json::Map::new();
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let path = folder.join(format!("in-{i}.f32"));
        let bytes: Vec<u8> = values(tensor)?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        fs::write(&path, bytes).map_err(|e| Error::storage_io(&path, &e))?;
        told.insert(name.clone(), json!({"file": path, "shape": tensor.dims()}));
    }
    Ok(Value::Object(told))
}

/// Reads what the other side wrote and told in the same way.
///
/// # Errors
/// What is wrong with it, as text: the other side is no part of this program.
pub fn read(told: &Value) -> std::result::Result<Named, String> {
    let entries = told.as_object().ok_or("results are not named")?;
    entries
        .iter()
        .map(|(name, entry)| {
            let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone())
                .map_err(|e| format!("shape of `{name}`: {e}"))?;
            let path = entry["file"].as_str().ok_or("a result without file")?;
            let bytes = fs::read(path).map_err(|e| format!("`{path}`: {e}"))?;
            let values: Vec<f32> = bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)
                .map_err(|e| format!("`{name}`: {e}"))?;
            Ok((name.clone(), tensor))
        })
        .collect()
}

/// Distance between two results of the same name by the length of theirs (roots
/// of sums of squares), the largest over all results. NaN where anything is NaN.
///
/// A single sum that two orders of addition put on either side of a threshold (a
/// ReLU, a winner) moves one value by its whole size: a largest difference would
/// have to allow for that everywhere.
///
/// # Errors
/// What is missing or of another shape.
pub fn error(ours: &Named, theirs: &Named) -> std::result::Result<f64, String> {
    let mut worst = 0.0f64;
    for (name, a) in ours {
        let (_, b) = theirs
            .iter()
            .find(|(n, _)| n == name)
            .ok_or_else(|| format!("no result `{name}`"))?;
        if a.dims() != b.dims() {
            let (a, b) = (a.dims(), b.dims());
            return Err(format!("`{name}` has shape {b:?}, ours {a:?}"));
        }
        let of = |t| values(t).map_err(|e| e.text);
        let (a, b) = (of(a)?, of(b)?);
        let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            values.map(|v| f64::from(v) * f64::from(v)).sum()
        };
        let apart = squares(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        let length = squares(&mut b.iter().copied()).max(f64::MIN_POSITIVE);
        let error = (apart / length).sqrt();
        // A NaN must not vanish in a maximum.
        if error.is_nan() {
            return Ok(f64::NAN);
        }
        worst = worst.max(error);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::super::case::noise;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new().expect("a folder");
        let x = noise(1, &[2, 3], &Device::Cpu).expect("noise");
        let named = vec![("x".to_owned(), x)];
        let told = write(scratch.path(), &named).expect("written");
        let back = read(&told).expect("read");
        assert_eq!(error(&named, &back), Ok(0.0));
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
        assert!(read(&told).is_err());
    }

    #[test]
    fn errors_are_relative_and_see_everything() {
        let of = |v: &[f32]| {
            let t = Tensor::new(v, &Device::Cpu).expect("a tensor");
            vec![("y".to_owned(), t)]
        };
        assert_eq!(error(&of(&[1.0, 3.0]), &of(&[4.0, 3.0])), Ok(0.6));
        assert!(
            error(&of(&[1.0]), &of(&[f32::NAN]))
                .expect("shapes fit")
                .is_nan()
        );
        assert!(error(&of(&[1.0]), &of(&[1.0, 2.0])).is_err());
        assert!(error(&of(&[1.0]), &Vec::new()).is_err());
    }
}
