//! Hebbian rules: plain Hebb, Oja, and the Hebbian convolution of `BioNAS`.

mod bionas;
mod hebb;
mod lengths;
mod oja;
mod plain;

pub use bionas::BioNas;
pub use hebb::Hebb;
pub use oja::Oja;

biorule_plugin_api::export_rules!(Hebb, Oja, BioNas);
