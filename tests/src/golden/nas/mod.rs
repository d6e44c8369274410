//! Golden files of architecture search: operations, mixtures and search steps of DARTS, BioNAS and
//! EG-NAS, made by running their programs.
//!
//! Tensors that a file does not hold come from [`recipe`]. `f32_vs_f64` in its metadata says how
//! far a run of the reference in single precision was from the stored values; twenty times that,
//! and 1e-5 at least, is the tolerance.

mod explore;
mod given;
mod maths;
mod mixed;
mod names;
mod networks;
mod ops;
mod outcome;
pub mod recipe;
mod schedules;
mod steps;

use super::{File, Recogniser, Tolerance};
use outcome::{Outcome, compare_all};

/// All kinds of files.
pub fn recognisers() -> Vec<Recogniser> {
    let mut all = maths::recognisers();
    all.extend(ops::recognisers());
    all.extend(mixed::recognisers());
    all.extend(steps::recognisers());
    all.extend(explore::recognisers());
    all.extend(networks::recognisers());
    all.extend(schedules::recognisers());
    all.extend(super::attack::recognisers());
    all
}

/// The tolerance that the file asks for.
fn tolerance(file: &File) -> Tolerance {
    Tolerance::Largest(share(file, ""))
}

/// The allowed share of the largest magnitude, for the tensor `name`: some files tell groups of
/// tensors apart by how their names begin.
fn share(file: &File, name: &str) -> f64 {
    let stored = file.json("f32_vs_f64").ok();
    let of = |v: &serde_json::Value| v.get("max_rel").and_then(serde_json::Value::as_f64);
    let worst = stored.as_ref().and_then(|all| {
        let mut groups = all.as_object().into_iter().flatten();
        let group = groups.find(|(group, _)| name.starts_with(&***group));
        of(all).or_else(|| group.and_then(|(_, v)| of(v)))
    });
    worst.map_or(1e-5, |w| (20.0 * w).max(1e-5))
}
