//! What every rule that takes an error shares: how weights and feedback weights
//! start ([`Draw`]), the gradients of a layer's own weight and bias
//! ([`own_gradients`]), and how far feedback and weight agree ([`agreement`]).
//!
//! A rule differs from its siblings in one place alone: the tensor that takes the
//! weight's place when the error goes below. Everything else is here, once.

mod agreement;
mod draw;
mod own;

pub use agreement::{agreement, norm_ratio, weight_norm};
pub use draw::Draw;
pub use own::{own_gradients, trained_state};
