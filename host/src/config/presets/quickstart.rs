//! The network of `biorule quickstart`, which the files in `configs/quickstart` take.

use super::Preset;

const NAME: &str = "quickstart/network";
const TEXT: &str = include_str!("../../../../configs/quickstart/network.toml");

/// The one preset of this family.
#[must_use]
pub fn list() -> Vec<Preset> {
    vec![Preset {
        name: NAME.into(),
        doc: "two hidden layers and a read-out on the embedded digits, by backpropagation".into(),
    }]
}

/// Its TOML text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    (name == NAME).then(|| TEXT.to_owned())
}
