//! Weight mirrors: a feedback rule that also learns locally, from noise.

mod rule;

pub use rule::WeightMirror;

biorule_plugin_api::export_rules!(WeightMirror);
