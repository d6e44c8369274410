//! Layers that learn from losses of their own.

mod pred;

pub use pred::Pred;

biorule_plugin_api::export_rules!(Pred);
