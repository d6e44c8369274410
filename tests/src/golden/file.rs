//! A golden file: named tensors and hyperparameters as text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::Result;
use crate::numbers::values;

/// A safetensors file on the CPU, element types as stored (32-bit integers widened to 64).
pub struct File {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

impl File {
    /// Reads all of `path`.
    ///
    /// # Errors
    /// Not readable, not safetensors, or an element type that Candle lacks.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let views = SafeTensors::deserialize(&bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views.tensors() {
            let tensor = to_tensor(&view).map_err(|e| format!("tensor `{name}`: {e}"))?;
            tensors.insert(name, tensor);
        }
        Ok(Self {
            path: path.into(),
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            tensors,
        })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The file's name without extension.
    pub fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    // Hyperparameters.

    /// The text of a hyperparameter, if it is there.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
    /// The text of a hyperparameter.
    ///
    /// # Errors
    /// It is not there.
    pub fn text(&self, key: &str) -> Result<&str> {
        Ok(self
            .find(key)
            .ok_or_else(|| format!("no metadata `{key}`"))?)
    }
    /// A hyperparameter as JSON; text that is no JSON stands for itself.
    ///
    /// # Errors
    /// It is not there.
    pub fn json(&self, key: &str) -> Result<Value> {
        let text = self.text(key)?;
        Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
    }
    /// A number.
    ///
    /// # Errors
    /// It is not there or no number.
    pub fn number(&self, key: &str) -> Result<f64> {
        let value = self.json(key)?;
        Ok(value
            .as_f64()
            .ok_or_else(|| format!("metadata `{key}` is not a number: {value}"))?)
    }
    /// A whole number that is not negative.
    ///
    /// # Errors
    /// It is not there or no such number.
    pub fn count(&self, key: &str) -> Result<usize> {
        let value = self.number(key)?;
        if value < 0.0 || value.fract() != 0.0 {
            return Err(format!("metadata `{key}` is no count: {value}").into());
        }
        Ok(value as usize)
    }
    /// A switch; accepts `true`, `false`, `True`, `False`, 0 and 1.
    ///
    /// # Errors
    /// It is not there or no switch.
    pub fn flag(&self, key: &str) -> Result<bool> {
        match self.text(key)? {
            "true" | "True" | "1" => Ok(true),
            "false" | "False" | "0" => Ok(false),
            other => Err(format!("metadata `{key}` is no switch: {other}").into()),
        }
    }
    /// A list of counts; a single number is a list of one.
    ///
    /// # Errors
    /// It is not there or something else.
    pub fn counts(&self, key: &str) -> Result<Vec<usize>> {
        let value = self.json(key)?;
        let items = match &value {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        let counts: Option<Vec<usize>> = items
            .iter()
            .map(|v| v.as_u64().map(|n| n as usize))
            .collect();
        Ok(counts.ok_or_else(|| format!("metadata `{key}` is no list of counts: {value}"))?)
    }

    // Tensors.

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
    /// Whether there is a tensor called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
    /// A tensor as stored.
    ///
    /// # Errors
    /// It is not there.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.get(name);
        Ok(tensor
            .cloned()
            .ok_or_else(|| format!("no tensor `{name}`"))?)
    }
    /// A tensor for a computation in `dtype`: in f64 the twin `name.f64` where
    /// there is one, otherwise the plain tensor converted.
    ///
    /// # Errors
    /// It is not there.
    pub fn twin(&self, name: &str, dtype: DType) -> Result<Tensor> {
        let twin = format!("{name}.f64");
        let stored = if dtype == DType::F64 && self.has(&twin) {
            &twin
        } else {
            name
        };
        Ok(self.tensor(stored)?.to_dtype(dtype)?)
    }
    /// All values of a tensor as f64.
    ///
    /// # Errors
    /// It is not there.
    pub fn values(&self, name: &str) -> Result<Vec<f64>> {
        values(&self.tensor(name)?)
    }
}

fn to_tensor(view: &TensorView<'_>) -> Result<Tensor> {
    let (shape, bytes) = (view.shape(), view.data());
    let dtype = match view.dtype() {
        Stored::F32 => DType::F32,
        Stored::F64 => DType::F64,
        Stored::I64 => DType::I64,
        Stored::U32 => DType::U32,
        Stored::U8 | Stored::BOOL => DType::U8,
        Stored::I32 => {
            let wide: Vec<i64> = bytes
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect();
            return Ok(Tensor::from_vec(wide, shape, &crate::device())?);
        }
        other => return Err(format!("element type {other:?}").into()),
    };
    Ok(Tensor::from_raw_buffer(
        bytes,
        dtype,
        shape,
        &crate::device(),
    )?)
}
