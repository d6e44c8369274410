//! The three maps of a convolution: forward, and its gradients by input and by weight.
//!
//! A dense layer is the 1x1 convolution of 1x1 images ([`crate::Conv::dense`]); [`crate::gemm`]
//! serves it too. Depthwise convolutions have kernels of their own.

mod axis;
pub(crate) mod depthwise;
pub(crate) mod forward;
mod input;
pub(crate) mod layout;
pub(crate) mod map;
mod narrow;
pub(crate) mod patches;
pub(crate) mod plane;
mod product;
pub(crate) mod weight;

pub use forward::forward;
pub use input::input_grad;
pub(crate) use product::{Pack, Turn};
pub use weight::weight_grad;
