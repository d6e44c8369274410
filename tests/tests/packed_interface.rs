//! The plugin interface as its users get it: packed by Cargo, unpacked elsewhere, and a plugin of
//! another workspace built against it, with the text of the example on the crate's first page.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::{Run, forget_own_package};
use biorule_tests::repository;
use serde_json::Value;

/// Cargo, told nothing of the package that this test belongs to.
fn cargo(folder: &Path, arguments: &[&str], target: &Path) {
    let mut command = Command::new(env!("CARGO"));
    forget_own_package(&mut command);
    let done = command
        .current_dir(folder)
        .args(arguments)
        .args(["--offline", "--quiet", "--target-dir"])
        .arg(target)
        .output()
        .expect("Cargo starts");
    assert!(
        done.status.success(),
        "cargo {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The code of the first example on the crate's page, without what rustdoc hides.
fn example(page: &str) -> String {
    let lines = page.lines().map_while(|line| line.strip_prefix("//!"));
    let code = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != "```")
        .skip(1)
        .take_while(|line| *line != "```")
        .filter(|line| !line.starts_with("# "));
    code.flat_map(|line| [line, "\n"]).collect()
}

/// Packs the interface below `work`; returns the folder of the unpacked crate.
fn unpacked(work: &Path) -> PathBuf {
    let package = ["package", "-p", "biorule-plugin-api", "--allow-dirty"];
    // The plugin's build below is the check that what is packed compiles.
    let arguments = [&package[..], &["--no-verify"]].concat();
    cargo(repository(), &arguments, &work.join("target"));
    let version = biorule_plugin_api::abi::SDK.rsplit(' ').next().unwrap();
    let name = format!("biorule-plugin-api-{version}");
    let packed = work.join("target/package").join(format!("{name}.crate"));
    let packed = flate2::read::GzDecoder::new(File::open(packed).unwrap());
    let folder = work.join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let mut archive = tar::Archive::new(packed);
    // Cargo packs every file with the same old time, by which it would take an edited file for
    // one that it has built already.
    archive.set_preserve_mtime(false);
    archive.unpack(work).unwrap();
    folder
}

#[test]
fn a_plugin_outside_the_workspace_is_built_against_the_packed_interface() {
    if std::env::var_os("BIORULE_TEST_PLUGINS").is_some() {
        return skip(Need::Build, "without Cargo the interface cannot be packed");
    }
    // The same folder each time, so that Cargo builds the dependencies once.
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packed-interface");
    std::fs::create_dir_all(&work).unwrap();
    let lock = File::create(work.join("lock")).unwrap();
    lock.lock().unwrap();

    let interface = unpacked(&work);
    let plugin = work.join("plugin");
    let _ = std::fs::remove_dir_all(&plugin);
    std::fs::create_dir_all(plugin.join("src")).unwrap();
    let page = std::fs::read_to_string(interface.join("src/lib.rs")).unwrap();
    std::fs::write(plugin.join("src/lib.rs"), example(&page)).unwrap();
    let manifest = format!(
        "[package]\nname = \"my-oja\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nbiorule-plugin-api = {{ path = {:?} }}\n\
         [workspace]\n",
        interface
    );
    std::fs::write(plugin.join("Cargo.toml"), manifest).unwrap();
    cargo(&plugin, &["build"], &work.join("target"));

    // A folder with this library alone.
    let folder = tempfile::tempdir().unwrap();
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let name = format!("{prefix}my_oja{suffix}");
    let library = folder.path().join(&name);
    std::fs::copy(work.join("target/debug").join(&name), &library).unwrap();

    let mut list = Run::new(["rules", "list", "--json", "--plugins"]);
    list = list.arguments(&[folder.path()]);
    let listed: Value = serde_json::from_str(&list.stdout()).unwrap();
    let rules = listed["rules"].as_array().unwrap();
    let oja = rules.iter().find(|rule| rule["name"] == "oja");
    let oja = oja.unwrap_or_else(|| panic!("no rule `oja` in {listed:#}"));
    assert_eq!(oja["plugin"], format!("{prefix}my_oja"));

    let checked = Run::new(["rules", "check"]).arguments(&[&library]).stdout();
    for check in ["steps", "unsupervised", "deterministic"] {
        let line = checked.lines().find(|line| line.contains(check));
        assert!(
            line.is_some_and(|line| line.contains("passed")),
            "{check}\n{checked}"
        );
    }
}
