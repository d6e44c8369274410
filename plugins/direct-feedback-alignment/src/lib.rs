//! Direct feedback alignment (`direct-feedback-alignment/dfa`), and its learned form,
//! direct Kolen-Pollack (`direct-feedback-alignment/dkp`). Both broadcast the
//! network's output error; `direct` holds how. Direct random target projection
//! (`direct-feedback-alignment/drtp`) broadcasts the label in its place.

mod dfa;
mod direct;
mod dkp;
mod drtp;

pub use dfa::Dfa;
pub use dkp::Dkp;
pub use drtp::Drtp;

biorule_plugin_api::export_rules!(Dfa, Dkp, Drtp);
