//! What a plugin's package says of itself, read from the bytes of the library without running it.

use biorule_plugin_api::abi::root::About;

pub use crate::plan::Package;

/// What the library with these bytes says; `None` of one that was built before plugins said it.
pub fn of(bytes: &[u8]) -> Option<Package> {
    let section = super::elf::section(bytes, About::SECTION)?;
    let text = std::str::from_utf8(section).ok()?;
    let field = |key: &str| {
        let value = About::field(text, key).unwrap_or_default();
        value.trim_end_matches('\0').to_owned()
    };
    let list = |key: &str, by: char| {
        let parts = field(key);
        let parts = parts.split(by).map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    Some(Package {
        name: Some(field("name")).filter(|name| !name.is_empty())?,
        version: field("version"),
        authors: list("authors", ':'),
        license: field("license"),
        repository: field("repository"),
        description: field("description"),
        interface: field("api"),
        types: list("rules", ','),
    })
}
