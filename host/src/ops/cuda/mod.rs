//! The operations of `ops/` on a CUDA device: kernels of our own, compiled when
//! first used by NVRTC for the GPU at hand, and cuBLAS for matrix products.
//!
//! Each function has the name and arguments of its CPU counterpart in
//! `ops/cpu`, and launches on candle's stream; nothing waits and nothing is read
//! back. Where a tensor lives decides what runs a launch (`machine`): the GPU,
//! or, in tests, the same kernel text compiled as C++ for the CPU, so that
//! kernels and launch code are checked against `ops/cpu` on any machine.

pub mod activation;
pub mod compete;
pub mod conv;
#[cfg(feature = "cuda")]
pub mod custom;
mod depthwise;
pub mod dropout;
pub mod images;
mod launch;
pub mod loss;
mod machine;
pub mod norm;
pub mod optim;
pub mod pad;
pub mod pool;
pub mod shape;
mod sizes;
mod source;
pub mod synapses;

#[cfg(test)]
mod emulate;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(test)]
mod tests;
#[cfg(feature = "cuda")]
pub mod times;
#[cfg(test)]
pub(crate) use tests::places as test_places;
