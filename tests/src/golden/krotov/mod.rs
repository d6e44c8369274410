//! Recognisers for the golden vectors of `BioPyTorch`, its layers and its training
//! loop, and of the original notebook: the rule `krotov`.
//!
//! Tolerances are those of its README: 5e-5 in f32, 1e-11 in f64, relative to the
//! largest entry; `convergence`, a difference from 1, within `1e-6 + 2e-5·(1 + v)`
//! in f32.

mod layers;
mod original;
mod stack;
mod trainer;

use crate::golden::{File, Recogniser, Tolerance};
use candle_core::DType;

/// Full names of a layer's tensors end so.
const WEIGHT: &str = "layer.weight";
const BIAS: &str = "layer.bias";
const MEAN: &str = "batch_norm.running_mean";
const VAR: &str = "batch_norm.running_var";

/// All kinds of cases.
pub fn recognisers() -> Vec<Recogniser> {
    vec![
        Recogniser {
            name: "layer",
            understands: |f| f.has("w0") && f.has("x1") && f.find("lebesgue_p").is_some(),
            run: layers::run,
        },
        Recogniser {
            name: "trainer",
            understands: |f| f.has("batch0") && f.has("w_final"),
            run: trainer::run,
        },
        Recogniser {
            name: "stack",
            understands: |f| f.has("conv1_w0") && f.has("cls_w0"),
            run: stack::run,
        },
        Recogniser {
            name: "original",
            understands: |f| f.has("synapses0"),
            run: original::run,
        },
    ]
}

fn dtype(f: &File) -> DType {
    match f.find("dtype") {
        Some("float64") => DType::F64,
        _ => DType::F32,
    }
}

fn limit(dtype: DType) -> Tolerance {
    Tolerance::Largest(if dtype == DType::F64 { 1e-11 } else { 5e-5 })
}

fn convergence_limit(dtype: DType) -> Tolerance {
    let (absolute, relative) = match dtype {
        DType::F64 => (1e-11, 1e-11),
        _ => (1e-6 + 2e-5, 2e-5),
    };
    Tolerance::Each { absolute, relative }
}
