//! Direct feedback alignment (`direct-feedback-alignment/dfa`), and its learned form,
//! direct Kolen-Pollack (`direct-feedback-alignment/dkp`). Both broadcast the
//! network's output error; `direct` holds how.

mod dfa;
mod direct;
mod dkp;

pub use dfa::Dfa;
pub use dkp::Dkp;

biorule_plugin_api::export_rules!(Dfa, Dkp);
