//! The boundary may only grow: `abi.lock` against the code.

use std::path::Path;

use biorule_plugin_api::abi::{abi_stable, lock};

#[test]
fn the_boundary_has_only_grown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("abi.lock");
    let now = lock::lock_text();
    if std::env::var_os("BIORULE_WRITE_LOCK").is_some() {
        std::fs::write(&path, &now).expect("write abi.lock");
    }
    let locked = std::fs::read_to_string(&path).expect("plugin-api/abi.lock");
    let present: std::collections::HashSet<&str> = now.lines().collect();
    let gone: Vec<&str> = locked
        .lines()
        .filter(|line| !present.contains(line))
        .collect();
    assert!(
        gone.is_empty(),
        "changed or removed at the boundary:\n{}\nA changed meaning is a new name.",
        gone.join("\n")
    );
    let locked: std::collections::HashSet<&str> = locked.lines().collect();
    let new: Vec<&str> = now.lines().filter(|line| !locked.contains(line)).collect();
    assert!(
        new.is_empty(),
        "new at the boundary:\n{}\nRaise API_VERSION, then set BIORULE_WRITE_LOCK=1 to record it.",
        new.join("\n")
    );
}

#[test]
fn the_exported_symbol_is_the_one_the_loader_looks_for() {
    let source = include_str!("../src/export.rs");
    let name = format!(
        "export_name = \"{}\"",
        abi_stable::library::ROOT_MODULE_LOADER_NAME
    );
    assert!(
        source.contains(&name),
        "abi_stable now looks for `{}`",
        abi_stable::library::ROOT_MODULE_LOADER_NAME
    );
}
