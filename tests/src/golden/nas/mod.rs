//! Golden files of architecture search: operations, mixtures and search steps of DARTS, BioNAS and
//! EG-NAS, made by running their programs.
//!
//! Tensors that a file does not hold come from [`recipe`]. `f32_vs_f64` in its metadata says how
//! far a run of the reference in single precision was from the stored values; twenty times that,
//! and 1e-5 at least, is the tolerance.

mod maths;
mod ops;
pub mod recipe;

use super::{File, Recogniser, Tolerance};

/// All kinds of files.
pub fn recognisers() -> Vec<Recogniser> {
    let mut all = maths::recognisers();
    all.extend(ops::recognisers());
    all
}

/// The tolerance that the file asks for.
fn tolerance(file: &File) -> Tolerance {
    let stored = file.json("f32_vs_f64").ok();
    let worst = stored.and_then(|v| v.get("max_rel").and_then(serde_json::Value::as_f64));
    Tolerance::Largest(worst.map_or(1e-5, |w| (20.0 * w).max(1e-5)))
}
