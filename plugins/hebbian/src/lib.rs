//! Hebbian rules: plain Hebb, Oja, Sanger, BCM, and the Hebbian convolution of `BioNAS`.

mod bcm;
mod bionas;
mod hebb;
mod lengths;
mod oja;
mod plain;
mod sanger;

pub use bcm::Bcm;
pub use bionas::BioNas;
pub use hebb::Hebb;
pub use oja::Oja;
pub use sanger::Sanger;

biorule_plugin_api::export_rules!(Hebb, Oja, BioNas, Bcm, Sanger);
