//! Max and average pooling with stride, padding and overlap, and their gradients.

pub use crate::reference::pool::{avg_backward, avg_forward, max_backward, max_forward};
