//! Kolen and Pollack's rule, for dense layers and convolutions.

mod rule;

pub use rule::KolenPollack;

biorule_plugin_api::export_rules!(KolenPollack);
