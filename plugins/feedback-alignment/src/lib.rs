//! Feedback alignment and its three sign-symmetric relatives, as BioTorch has
//! them. All four send the error down through a tensor `M` in place of the weight;
//! they differ in what `M` is, and each file says just that.
//!
//! | rule | `M` |
//! | --- | --- |
//! | `feedback-alignment/fa` | `B`, random and fixed |
//! | `feedback-alignment/usf` | `s·sign(W)`, one magnitude for all |
//! | `feedback-alignment/brsf` | `|R_t|∘sign(W)`, magnitudes new at each step |
//! | `feedback-alignment/frsf` | `|R|∘sign(W)`, magnitudes fixed |

mod brsf;
mod fa;
mod family;
mod frsf;
mod usf;

pub use brsf::Brsf;
pub use fa::Fa;
pub use frsf::Frsf;
pub use usf::Usf;

biorule_plugin_api::export_rules!(Fa, Usf, Brsf, Frsf);
