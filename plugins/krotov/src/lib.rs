//! Krotov and Hopfield's competing hidden units, as `BioPyTorch` trains them and as
//! the authors' own notebook does.

mod competition;
mod input;
mod powers;
mod rule;

pub use competition::Ranking;
pub use rule::Krotov;

biorule_plugin_api::export_rules!(Krotov);
