//! Collects the experiments of `configs/reproduce`, so that the program has them without a checkout.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../configs/reproduce");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut found = Vec::new();
    // The crate alone, without its workspace, has none.
    if root.is_dir() {
        collect(&root, &mut found)?;
    }
    // By name: `cifar10-1` before `cifar10-1-bp`.
    found.sort_by_key(|path| path.with_extension(""));
    let mut text = String::from("&[\n");
    for path in found {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.strip_prefix(&root).unwrap_or(&path).with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        let path = fs::canonicalize(&path)?;
        let _ = writeln!(text, "    ({name:?}, include_str!({path:?})),");
    }
    text.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")).join("experiments.rs"), text)
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The TOML files below `folder`, by name.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    Ok(())
}
