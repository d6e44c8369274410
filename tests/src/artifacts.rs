//! The real plugins and the real binary, built once for the tests' own profile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of this build's artefacts: `target/debug`, or as cargo was told.
pub fn artifacts() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // Tests run from `<target>/<profile>/deps`.
        let own = std::env::current_exe().expect("a test has a path");
        let folder = own
            .ancestors()
            .nth(2)
            .expect("tests run from `deps`")
            .to_path_buf();
        build(&folder);
        folder
    })
}

/// Plugins and binary, brought up to date by cargo itself: a test must never run
/// against a stale library. The packages are asked for one by one, so that features
/// and flags of the running test build are not disturbed.
fn build(folder: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(crate::repository())
        .args(["build", "--quiet", "--workspace"]);
    let profile = folder
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    match profile.as_str() {
        "debug" => {}
        "release" => drop(cargo.arg("--release")),
        other => drop(cargo.args(["--profile", other])),
    }
    if let Some(target) = folder.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let done = cargo.status().expect("cargo runs where its tests run");
    assert!(done.success(), "building the plugins failed");
}

/// The library of the package `biorule-<name>`.
pub fn plugin(name: &str) -> PathBuf {
    let name = format!("biorule_{}", name.replace('-', "_"));
    artifacts().join(libloading_name(&name))
}

/// The `biorule` binary.
pub fn binary() -> PathBuf {
    artifacts().join(format!("biorule{}", std::env::consts::EXE_SUFFIX))
}

fn libloading_name(name: &str) -> String {
    format!(
        "{}{name}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

/// All shipped plugins.
pub fn registry() -> biorule::plugins::Registry {
    use biorule::plugins::discover::Folder;
    biorule::plugins::Registry::from_folders(vec![Folder {
        path: artifacts().to_path_buf(),
        ours_only: true,
    }])
}
