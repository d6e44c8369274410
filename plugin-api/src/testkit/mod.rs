//! Tests of a rule in its own crate, without the host: a rule on a layer of your
//! choice over plain arrays ([`Trial`]), and the checks that `biorule rules check`
//! makes of its contract and claims ([`keeps_its_contract`]).
//!
//! Behind it is a second implementation of the op table, each op as plain as its
//! definition; a test of the project compares it with the host's, op by op. It builds
//! in seconds and needs no tensor library. Random numbers are others than the host's.
//!
//! ```toml
//! [dev-dependencies]
//! biorule-plugin-api = { version = "…", features = ["testkit"] }
//! ```

mod array;
mod bound;
mod chain;
mod checks;
mod compare;
mod handle;
mod kinds;
mod maps;
mod ops;
mod robust;
mod site;
mod table;
mod trial;

pub use array::Array;
pub use bound::{
    Bound, Call, Changed, Config, Facts, Grads, Held, Missed, Named, Output, Seen, Subject, apply,
};
pub use checks::{Check, Group, keeps_its_contract};
pub use compare::Outcome;
pub use site::{ConvSite, Site};
pub use trial::Trial;

/// The layer at a site, for tests of code that takes a [`crate::sdk::LayerSpec`].
///
/// # Errors
/// A kernel larger than the padded image.
pub fn layer(site: &Site) -> crate::sdk::Result<crate::sdk::LayerSpec> {
    site.layer()
}

/// Makes the array table the host of this process, for tests that use tensors without a
/// [`Trial`], which does it itself.
pub fn install() {
    table::install();
}
