//! Slow, obvious versions of the kernels: plain loops, one thread, no blocking.
//!
//! They define what the fast ones mean. Tests compare with them; nothing in a training step calls them.

pub mod activation;
pub mod compete;
pub mod conv;
pub mod dense;
pub mod norm;
pub mod pool;
