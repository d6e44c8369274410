//! CPU kernels of BioRule on plain slices.
//!
//! Every array is a contiguous row-major slice, images are `[B, C, H, W]`. Each kernel is generic over
//! [`Real`] (`f32`, `f64`) and has a slow, obvious counterpart of the same signature in [`mod@reference`],
//! which is what the tests compare with. Fast paths choose AVX-512, AVX2 or portable code at run time
//! ([`simd::isa`]). Slices of the wrong length panic: callers check shapes first, with
//! [`geometry::Conv::out_size`] and [`geometry::Pool::out_size`].
//!
//! Dimension letters: B batch, C input channels, K output channels, H W in, P Q out, R S kernel,
//! D = C/groups * R * S.

pub mod activation;
pub mod check;
pub mod compete;
pub mod competition;
pub mod conv;
pub mod denormals;
pub mod dense;
pub mod dropout;
pub mod gemm;
pub mod geometry;
pub mod norm;
pub mod optimise;
pub mod pad;
pub mod pool;
pub mod real;
pub mod reference;
pub mod scratch;
pub mod simd;
pub mod threads;
pub mod update;

pub use geometry::{Conv, PadMode, Planes, Pool, ShapeError};
pub use real::Real;
