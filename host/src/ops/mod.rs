//! Device-neutral operations over Candle tensors: what Candle lacks, does
//! slowly, or gets wrong (the three maps of a layer, padded pooling, batch
//! norm, triangle, dropout, losses, optimiser steps), forward and backward.
//!
//! Each function looks at where its first tensor lives and calls `cpu` (plain
//! slices, rayon) or the GPU side. Results are fresh tensors unless the name
//! says `_in_place`. Both `f32` and `f64` are supported; nothing else is.

pub mod activation;
pub mod along;
pub mod args;
pub mod compete;
pub mod conv;
pub mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub mod cuda;
pub mod dense;
pub mod dropout;
pub mod loss;
pub mod map;
pub mod norm;
pub mod optim;
pub mod pool;
pub mod reduce;
pub mod rows;
pub mod shape;
pub mod synapses;

pub use biorule_kernels::{Conv, PadMode, Pool as Window, ShapeError};
pub use map::LayerMap;

/// Runs the expression for the device the tensor is on.
macro_rules! on_device {
    ($tensor:expr, $name:literal, cpu: $cpu:expr $(, cuda: $cuda:expr)? $(,)?) => {
        match $tensor.device() {
            candle_core::Device::Cpu => $cpu,
            $(
                #[cfg(feature = "cuda")]
                candle_core::Device::Cuda(_) => $cuda,
            )?
            other => Err($crate::Error::internal(format!(
                concat!("operation `", $name, "` has no kernel on device {:?}"),
                other.location()
            ))),
        }
    };
}
pub(crate) use on_device;
