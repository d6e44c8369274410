//! `fields.safetensors` of a run folder: what excites units of its layers (`biorule fields`). For each
//! block `BLOCK.pictures` `[N, C, H, W]`, `BLOCK.units` `[N]` and `BLOCK.answers` `[N]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::atomic;
use crate::train::Fields;
use crate::{Error, Result};

/// Name of the file.
pub const FILE: &str = "fields.safetensors";

/// Pictures of the units of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldsRecord {
    /// The units.
    pub units: Vec<u32>,
    /// What each answers to its picture.
    pub answers: Vec<f32>,
    /// Shape of a picture, `[C, H, W]` or `[D]`.
    pub dims: Vec<usize>,
    /// The pictures one after the other, from 0 to 1.
    pub pictures: Vec<f32>,
}

/// Writes what was `found` of a block into the folder `run`; those of other blocks stay.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn write(run: &Path, found: &Fields) -> Result<()> {
    let path = run.join(FILE);
    let mut all: HashMap<String, Tensor> = match path.exists() {
        true => candle_core::safetensors::load(&path, &Device::Cpu).unwrap_or_default(),
        false => HashMap::new(),
    };
    let n = found.units.len();
    let units = Tensor::from_slice(&found.units, n, &Device::Cpu)?;
    let answers: Vec<f32> = found.answers.iter().map(|a| *a as f32).collect();
    let answers = Tensor::from_vec(answers, n, &Device::Cpu)?;
    all.insert(format!("{}.units", found.block), units);
    all.insert(format!("{}.answers", found.block), answers);
    all.insert(format!("{}.pictures", found.block), found.pictures.clone());
    let temporary = atomic::temporary(&path);
    candle_core::safetensors::save(&all, &temporary)
        .map_err(|e| Error::storage(format!("`{}`: {e}", path.display())))?;
    atomic::replace(&temporary, &path).map_err(|e| atomic::failed(&path, &e))
}

/// The pictures in the folder `run`, by block; none where there is no file.
///
/// # Errors
/// Storage error for a file that cannot be read or is another.
pub fn read(run: &Path) -> Result<BTreeMap<String, FieldsRecord>> {
    let path = run.join(FILE);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let damaged =
        |what: &dyn std::fmt::Display| Error::storage(format!("`{}`: {what}", path.display()));
    let all = candle_core::safetensors::load(&path, &Device::Cpu).map_err(|e| damaged(&e))?;
    let mut out = BTreeMap::new();
    for (name, pictures) in &all {
        let Some(block) = name.strip_suffix(".pictures") else {
            continue;
        };
        let of = |what: &str| {
            let found = all.get(&format!("{block}.{what}"));
            found.ok_or_else(|| damaged(&format!("no `{block}.{what}`")))
        };
        let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
        let record = FieldsRecord {
            units: of("units")?.to_vec1::<u32>().map_err(|e| damaged(&e))?,
            answers: flat(of("answers")?).map_err(|e| damaged(&e))?,
            dims: pictures.dims().get(1..).unwrap_or_default().to_vec(),
            pictures: flat(pictures).map_err(|e| damaged(&e))?,
        };
        let each: usize = record.dims.iter().product();
        if record.units.len() != record.answers.len()
            || record.pictures.len() != each * record.units.len()
        {
            return Err(damaged(&format!("shapes of `{block}`")));
        }
        out.insert(block.to_owned(), record);
    }
    Ok(out)
}
