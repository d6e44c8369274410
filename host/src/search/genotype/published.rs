//! Published genotypes, by name: the files of `host/assets/genotypes`.

/// Name and text of each file, from the names.
macro_rules! files {
    ($($name:literal)*) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/genotypes/", $name, ".json")),
        )),*]
    };
}

/// Name and JSON text, oldest first.
const ALL: &[(&str, &str)] = files! {
    "NASNet" "AmoebaNet" "DARTS_V1" "DARTS_V2" "eg_nas_cifar10_first" "eg_nas_cifar10"
    "eg_nas_imagenet_first" "eg_nas_imagenet" "BIODARTS" "LR_NAS1" "DARTS_maxpool"
};

/// Further names of the same cells.
const ALIASES: [(&str, &str); 2] = [("BIODARTS2", "BIODARTS"), ("eg_nas", "eg_nas_cifar10")];

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// Where the cells of `name` come from.
#[must_use]
pub fn source(name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text(name)?).ok()?;
    Some(value.get("source")?.as_str()?.to_owned())
}

/// The JSON text of genotype `name`, where there is one.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(other, _)| *other == name);
    let name = alias.map_or(name, |(_, name)| name);
    let found = ALL.iter().find(|(own, _)| *own == name);
    found.map(|(_, text)| *text)
}
