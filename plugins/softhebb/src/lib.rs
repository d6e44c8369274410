//! SoftHebb and its relatives: hard and soft winner-take-all, Krotov's ranking,
//! and the Hebbian classifier, on dense layers and convolutions.
//!
//! [`rule`] reads like the paper; [`competition`] and [`plain`] are the two ways
//! to the post-synaptic factors (a function of one tile in cache, and tensor
//! operations), [`rates`], [`init`] and [`metrics`] the rest.

pub mod competition;
pub mod gpu;
pub mod init;
pub mod metrics;
pub mod plain;
pub mod rates;
pub mod rule;

pub use rule::SoftHebb;

biorule_plugin_api::export_rules!(SoftHebb);
