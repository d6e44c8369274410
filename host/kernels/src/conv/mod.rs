//! The three maps of a convolution: forward, and its gradients by input and by weight.
//!
//! A dense layer is the 1x1 convolution of 1x1 images ([`Conv::dense`]); [`crate::gemm`] serves it too.

pub use crate::reference::conv::{forward, input_grad, weight_grad};
