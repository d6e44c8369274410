//! Backpropagation, the baseline, as a rule like any other.

mod rule;

pub use rule::Backprop;

biorule_plugin_api::export_rules!(Backprop);
