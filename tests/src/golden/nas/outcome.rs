//! What a computation gives, by golden name, and its comparison with the whole of a file: in double
//! precision, in single precision, and with candidates recomputed, the same bits.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::share;
use crate::Result;
use crate::feedback::record::Zeros;
use crate::golden::{Checks, File, Tolerance};
use crate::numbers::values;

/// Tensors by golden name.
pub(super) struct Outcome<'a> {
    file: &'a File,
    dtype: DType,
    all: BTreeMap<String, Tensor>,
    /// Candidates were recomputed in the backward pass; there are none otherwise.
    pub(super) recomputes: bool,
    /// Where inputs of layers are 0 in the passes of the architecture.
    pub(super) zeros: Zeros,
}

impl<'a> Outcome<'a> {
    pub(super) fn new(file: &'a File, dtype: DType) -> Self {
        Self {
            file,
            dtype,
            all: BTreeMap::new(),
            recomputes: true,
            zeros: Zeros::new(),
        }
    }

    /// One result; nothing where the file has none of this name.
    pub(super) fn tensor(&mut self, name: &str, value: &Tensor) {
        if self.file.has(name) {
            self.all.insert(name.to_owned(), value.clone());
        }
    }

    /// One result, in the shape that the file has.
    pub(super) fn numbers(&mut self, name: &str, own: Vec<f64>) -> Result<()> {
        let golden = self.file.tensor(name)?;
        let own = Tensor::from_vec(own, golden.dims(), &Device::Cpu)?;
        self.all.insert(name.to_owned(), own.to_dtype(self.dtype)?);
        Ok(())
    }

    /// Elements of a tensor of the file.
    pub(super) fn count(&self, name: &str) -> Result<usize> {
        Ok(self.file.tensor(name)?.elem_count())
    }

    fn bits(&self) -> Result<BTreeMap<&str, Vec<u64>>> {
        let bits = |t: &Tensor| -> Result<Vec<u64>> {
            Ok(values(t)?.into_iter().map(f64::to_bits).collect())
        };
        let all = self.all.iter();
        all.map(|(name, t)| Ok((name.as_str(), bits(t)?))).collect()
    }
}

/// Computes by `outcome(type, recompute)` all tensors of `file` but those that `is_input`, and
/// compares.
///
/// # Errors
/// Those of the computation.
pub(super) fn compare_all<'a>(
    file: &'a File,
    checks: &mut Checks,
    is_input: &dyn Fn(&str) -> bool,
    outcome: &dyn Fn(DType, bool) -> Result<Outcome<'a>>,
) -> Result<()> {
    let mut zeros = None;
    for dtype in [DType::F64, DType::F32] {
        let own = outcome(dtype, true)?;
        let wide = zeros.get_or_insert_with(|| own.zeros.clone());
        let flipped = own.zeros.iter().find(|(at, z)| wide.get(at) != Some(z));
        let flipped = flipped.map(|((block, pass), _)| format!("`{block}`, pass {pass}"));
        compare_one(file, checks, &own, flipped.as_deref())?;
        for name in file.names().filter(|n| !is_input(n)) {
            if !own.all.contains_key(name) {
                checks.problem(format!("{name}: nothing was computed"));
            }
        }
        if !own.recomputes {
            continue;
        }
        let kept = outcome(dtype, false)?;
        let (own, kept) = (own.bits()?, kept.bits()?);
        for (name, bits) in &own {
            if kept.get(name) != Some(bits) {
                checks.problem(format!(
                    "{name}, {dtype:?}: recomputed candidates give other bits"
                ));
            }
        }
    }
    Ok(())
}

/// `flipped` says where single precision has put a ReLU on its other side: gradients jump there, and
/// a difference of gradients over a small step shows it.
fn compare_one(
    file: &File,
    checks: &mut Checks,
    own: &Outcome<'_>,
    flipped: Option<&str>,
) -> Result<()> {
    for (name, got) in &own.all {
        let golden = file.tensor(name)?;
        if own.dtype == DType::F64 {
            // Stored values are rounded to single precision, and nothing else is.
            let limit = Tolerance::Largest(1e-5);
            checks.compare(&format!("{name} (f64)"), got, &golden, limit)?;
            continue;
        }
        let difference = name.strip_prefix("arch.hvp.");
        if let Some(at) = flipped
            && (difference.is_some() || (file.has("arch.R") && name.starts_with("arch.dalpha.")))
        {
            let why = format!("in double precision only: a ReLU is at 0 below {at}");
            checks.left_out(name, &why);
            continue;
        }
        match difference {
            // It counts by its share in the gradient, which has the tolerance.
            Some(kind) => {
                let name = format!("arch.dalpha.{kind}");
                let largest = values(&file.tensor(&name)?)?;
                let largest = largest.into_iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                let limit = Tolerance::Each {
                    absolute: share(file, &name) * largest,
                    relative: 0.0,
                };
                let eta = file.number("eta")?;
                checks.compare(
                    &format!("η·arch.hvp.{kind}"),
                    &(got * eta)?,
                    &(golden * eta)?,
                    limit,
                )?;
            }
            None => {
                let limit = Tolerance::Largest(share(file, name));
                checks.compare(name, got, &golden, limit)?;
            }
        }
    }
    Ok(())
}
