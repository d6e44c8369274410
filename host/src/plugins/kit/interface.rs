//! The interface that plugins are built against, as this program carries it: the source of
//! `biorule-plugin-api`, for crates outside of this workspace.

use std::fs;
use std::path::Path;

use biorule_plugin_api::abi::API_VERSION;

/// Folder of the interface in a crate of a rule.
pub const FOLDER: &str = "biorule-plugin-api";

macro_rules! carried {
    ($($file:literal)*) => {
        /// Every file with its text.
        const FILES: &[(&str, &str)] = &[ $( ($file, include_str!(concat!("../../../../plugin-api/", $file))) ),* ];
    };
}

carried! {
    "ABI.md"
    "src/abi/callbacks.rs"
    "src/abi/decl.rs"
    "src/abi/glue.rs"
    "src/abi/host.rs"
    "src/abi/lock.rs"
    "src/abi/mod.rs"
    "src/abi/ops.rs"
    "src/abi/root.rs"
    "src/abi/sound.rs"
    "src/abi/types.rs"
    "src/abi/version.rs"
    "src/export.rs"
    "src/lib.rs"
    "src/sdk/compete.rs"
    "src/sdk/competed.rs"
    "src/sdk/context.rs"
    "src/sdk/error.rs"
    "src/sdk/layer.rs"
    "src/sdk/mod.rs"
    "src/sdk/params.rs"
    "src/sdk/random.rs"
    "src/sdk/rule.rs"
    "src/sdk/state.rs"
    "src/sdk/tensor.rs"
    "src/testkit/array.rs"
    "src/testkit/bound.rs"
    "src/testkit/chain.rs"
    "src/testkit/checks.rs"
    "src/testkit/compare.rs"
    "src/testkit/handle.rs"
    "src/testkit/kinds.rs"
    "src/testkit/maps.rs"
    "src/testkit/mod.rs"
    "src/testkit/ops.rs"
    "src/testkit/robust.rs"
    "src/testkit/site.rs"
    "src/testkit/table.rs"
    "src/testkit/trial.rs"
}

/// The manifest of the copy: that of the workspace's crate without what it inherits. `Cargo.toml` of
/// `plugin-api` is the one to change; a test holds the two together.
fn manifest() -> String {
    format!(
        "# Written by `biorule rules new` (biorule {version}, plugin interface {API_VERSION}).\n\
         [package]\n\
         name = \"biorule-plugin-api\"\n\
         description = \"What a learning-rule author sees: safe tensors, layers, state, and the stable plugin boundary\"\n\
         version = \"{version}\"\n\
         edition = \"2024\"\n\
         license = \"MIT OR Apache-2.0\"\n\
         publish = false\n\n\
         [features]\n\
         testkit = []\n\n\
         [dependencies]\n\
         abi_stable = {{ version = \"=0.11.3\", default-features = false }}\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Writes the interface into `folder`.
///
/// # Errors
/// The disk refuses.
pub fn unpack(folder: &Path) -> std::io::Result<()> {
    for (file, text) in FILES {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    fs::write(folder.join("Cargo.toml"), manifest())
}

/// Packages at the versions that this program was built and tested with: a `Cargo.lock` for a crate
/// named `name`, with what the interface needs and no more.
pub fn lock(name: &str) -> String {
    let all: toml::Table =
        toml::from_str(include_str!("../../../../Cargo.lock")).unwrap_or_default();
    let packages = all.get("package").and_then(toml::Value::as_array);
    let packages: Vec<&toml::Table> = packages
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_table)
        .collect();
    let text = |package: &toml::Table, key: &str| {
        let value = package.get(key).and_then(toml::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let needs = |package: &toml::Table| -> Vec<String> {
        let list = package.get("dependencies").and_then(toml::Value::as_array);
        let words = list.into_iter().flatten().filter_map(toml::Value::as_str);
        words.map(str::to_owned).collect()
    };
    // A dependency is written as `NAME`, or as `NAME VERSION` where there are several.
    let find = |word: &str| {
        let (name, version) = word.split_once(' ').unwrap_or((word, ""));
        packages.iter().copied().find(|package| {
            text(package, "name") == name
                && (version.is_empty() || text(package, "version") == version)
        })
    };
    let mut wanted: Vec<&toml::Table> = Vec::new();
    let mut open = vec!["abi_stable".to_owned()];
    while let Some(word) = open.pop() {
        let Some(package) = find(&word) else { continue };
        if !wanted.iter().any(|known| std::ptr::eq(*known, package)) {
            wanted.push(package);
            open.extend(needs(package));
        }
    }
    let of_ours = |name: &str, version: &str, needs: &[&str]| {
        let needs: Vec<toml::Value> = needs
            .iter()
            .map(|n| toml::Value::String((*n).into()))
            .collect();
        let mut package = toml::Table::new();
        package.insert("name".into(), name.into());
        package.insert("version".into(), version.into());
        package.insert("dependencies".into(), needs.into());
        package
    };
    let mut list: Vec<toml::Table> = wanted.into_iter().cloned().collect();
    list.push(of_ours(
        "biorule-plugin-api",
        env!("CARGO_PKG_VERSION"),
        &["abi_stable"],
    ));
    list.push(of_ours(name, "0.1.0", &["biorule-plugin-api"]));
    list.sort_by_key(|package| (text(package, "name"), text(package, "version")));
    let mut lock = toml::Table::new();
    lock.insert("version".into(), toml::Value::Integer(4));
    let list = list.into_iter().map(toml::Value::Table);
    lock.insert("package".into(), toml::Value::Array(list.collect()));
    toml::to_string(&lock).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_interface_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api");
        let mut open = vec![root.join("src")];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let file = path.strip_prefix(&root).expect("below the root");
                let file = file.to_string_lossy();
                let carried = FILES.iter().any(|(name, _)| *name == file);
                assert!(
                    carried,
                    "`{file}` is missing in `carried!` (host/src/plugins/kit/interface.rs)"
                );
            }
        }
    }

    #[test]
    fn the_manifest_is_that_of_the_workspace() {
        let read = |text: &str| -> toml::Table { toml::from_str(text).expect("TOML") };
        let ours = read(&manifest());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = |path: &str| read(&fs::read_to_string(root.join(path)).expect("a manifest"));
        let (theirs, workspace) = (file("plugin-api/Cargo.toml"), file("Cargo.toml"));
        assert_eq!(ours["features"], theirs["features"]);
        let names = |t: &toml::Table| -> Vec<String> {
            let table = t["dependencies"].as_table().expect("a table");
            table.keys().cloned().collect()
        };
        assert_eq!(names(&ours), names(&theirs));
        let wanted = &workspace["workspace"]["dependencies"]["abi_stable"];
        assert_eq!(&ours["dependencies"]["abi_stable"], wanted);
    }

    #[test]
    fn the_lock_has_what_the_interface_needs_and_no_more() {
        let lock: toml::Table = toml::from_str(&lock("mine")).expect("TOML");
        let list = lock["package"].as_array().expect("packages");
        let names: Vec<&str> = list.iter().filter_map(|p| p["name"].as_str()).collect();
        for name in ["abi_stable", "mine", "biorule-plugin-api", "libloading"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(
            names.len() < 80 && !names.contains(&"candle-core"),
            "{names:?}"
        );
    }
}
