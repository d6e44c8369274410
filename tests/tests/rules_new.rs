//! `biorule rules new`: crates that build, pass their tests and checks, and train; and plugins built
//! against other versions of the interface, which the crate carries.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::{Run, forget_own_package};
use biorule_tests::processes::signal;

/// A folder for crates, the same each time so that Cargo builds the dependencies once, and this test
/// alone in it.
fn work() -> Option<(PathBuf, File)> {
    if std::env::var_os("BIORULE_TEST_PLUGINS").is_some() {
        skip(Need::Build, "without Cargo no crate can be built");
        return None;
    }
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rules-new");
    std::fs::create_dir_all(&work).unwrap();
    let lock = File::create(work.join("lock")).unwrap();
    lock.lock().unwrap();
    Some((work, lock))
}

/// What Cargo says; it finds all it needs on this machine, in the versions of the crate's own lock.
fn cargo(work: &Path, folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO"));
    forget_own_package(&mut command);
    let done = command
        .current_dir(folder)
        .args(arguments)
        .env("CARGO_NET_OFFLINE", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .output()
        .expect("Cargo starts");
    let both = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    match done.status.success() {
        true => Ok(text),
        false => Err(text),
    }
}

/// A new crate `name` of this kind, in place of one that an earlier run left.
fn new(work: &Path, name: &str, kind: &str) -> PathBuf {
    let folder = work.join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let told = Run::new(["rules", "new", name])
        .arguments(&[kind])
        .dir(work)
        .stdout();
    assert!(
        told.contains("cargo test") && told.contains("src/lib.rs"),
        "{told}"
    );
    folder
}

/// The library of the crate `name`, alone in a folder.
fn library(work: &Path, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let file = format!("{prefix}{}{suffix}", name.replace('-', "_"));
    std::fs::copy(
        work.join("target/debug").join(&file),
        folder.path().join("libit.so"),
    )
    .unwrap();
    folder
}

#[test]
fn every_kind_builds_passes_its_tests_and_checks_and_trains() {
    let Some((work, _lock)) = work() else { return };
    for kind in ["local", "feedback", "direct", "supervised"] {
        let name = format!("new-{kind}");
        let folder = new(&work, &name, &format!("--{kind}"));
        let lock = std::fs::read_to_string(folder.join("Cargo.lock")).unwrap();
        let tested =
            cargo(&work, &folder, &["test", "--quiet"]).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(tested.contains("test result: ok"), "{tested}");
        cargo(&work, &folder, &["build", "--quiet"]).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let warned = cargo(
            &work,
            &folder,
            &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"],
        );
        warned.unwrap_or_else(|e| panic!("{kind}: {e}"));
        // The versions are those of this workspace, and Cargo had nothing to change.
        let versions = |text: &str| -> Vec<String> {
            let table: toml::Table = toml::from_str(text).unwrap();
            let packages = table["package"].as_array().unwrap().iter();
            packages
                .map(|p| format!("{} {}", p["name"], p["version"]))
                .collect()
        };
        let after = std::fs::read_to_string(folder.join("Cargo.lock")).unwrap();
        assert_eq!(versions(&lock), versions(&after));

        let library = library(&work, &name);
        let file = library.path().join("libit.so");
        let checked = Run::new(["rules", "check"]).arguments(&[&file]).finish();
        assert_eq!(
            checked.code,
            Some(0),
            "{kind}: {}{}",
            checked.stdout,
            checked.stderr
        );
        let runs = tempfile::tempdir().unwrap();
        let trained = Run::new(["train", "digits.toml", "--plugins"])
            .arguments(&[library.path()])
            .arguments(&["--run-dir".as_ref(), runs.path().join("r").as_os_str()])
            .dir(&folder)
            .stdout();
        let line = trained
            .lines()
            .find(|l| l.contains("accuracy"))
            .unwrap_or_default();
        let share = line.split_whitespace().find_map(|w| w.parse::<f64>().ok());
        assert!(share.is_some_and(|v| v > 80.0), "{kind}: {trained}");
    }
}

#[test]
fn a_name_or_a_folder_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Run::new(["rules", "new"])
            .arguments(arguments)
            .dir(folder.path())
            .finish()
    };
    let bad = run(&["My Rule"]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
    assert!(bad.stderr.contains("`my-rule`"), "{}", bad.stderr);
    assert_eq!(run(&["mine", "--local", "--direct"]).code, Some(2));
    assert_eq!(run(&["mine", "--direct", "--json"]).code, Some(0));
    assert!(
        folder
            .path()
            .join("mine/biorule-plugin-api/src/lib.rs")
            .is_file()
    );
    let again = run(&["mine"]);
    assert_eq!(again.code, Some(2));
    assert!(
        again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    assert_eq!(run(&["mine", "--dir", "other"]).code, Some(0));
}

/// Edits a file of the crate: `from`, which has to be there, becomes `to`.
fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "`{from}` in {}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

const DIGITS: [&str; 3] = ["train", "digits.toml", "--plugins"];

#[test]
fn a_plugin_of_a_newer_interface_is_refused_for_what_it_calls_and_no_more() {
    let Some((work, _lock)) = work() else { return };
    let folder = new(&work, "newer-op", "--local");
    let api = folder.join("biorule-plugin-api/src");
    edit(
        &api.join("abi/ops.rs"),
        "    (0, 1, 1) sub_rows(",
        "    (0, 1, 9) fold_patches(t: RawTensor) -> Out;\n    (0, 1, 1) sub_rows(",
    );
    // At the end, where added ops belong.
    let ops = std::fs::read_to_string(api.join("abi/ops.rs")).unwrap();
    let line = "    (0, 1, 9) fold_patches(t: RawTensor) -> Out;\n";
    let ops = ops.replacen(line, "", 1);
    let last = ops.find("/// The table as a plugin receives it.").unwrap();
    let close = ops[..last].rfind('}').unwrap();
    let ops = [&ops[..close], "    /// Folds.\n", line, &ops[close..]].concat();
    std::fs::write(api.join("abi/ops.rs"), ops).unwrap();
    edit(
        &api.join("sdk/tensor.rs"),
        "    pub fn t(&self) -> Result<Self> {",
        "    pub fn fold_patches(&self) -> Result<Self> {\n        own((op!(fold_patches))(self.raw()))\n    }\n    /// Transposed.\n    pub fn t(&self) -> Result<Self> {",
    );
    cargo(&work, &folder, &["build", "--quiet"]).unwrap();
    let unused = library(&work, "newer-op");
    let runs = tempfile::tempdir().unwrap();
    let train = |library: &tempfile::TempDir, run: &str| {
        Run::new(DIGITS)
            .arguments(&[library.path()])
            .arguments(&["--run-dir".as_ref(), runs.path().join(run).as_os_str()])
            .dir(&folder)
            .finish()
    };
    let ran = train(&unused, "unused");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    edit(
        &folder.join("src/lib.rs"),
        "let hebb = layer.correlate(&a.x, &a.y)?;",
        "let hebb = layer.correlate(&a.x, &a.y)?.fold_patches()?;",
    );
    cargo(&work, &folder, &["build", "--quiet"]).unwrap();
    let used = library(&work, "newer-op");
    let ran = train(&used, "used");
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    for words in ["`newer-op`", "`fold_patches`", "0.1.9"] {
        assert!(
            ran.stderr.contains(words),
            "`{words}` missing in: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_plugin_of_another_minor_version_is_refused_by_its_version() {
    let Some((work, _lock)) = work() else { return };
    let folder = new(&work, "other-minor", "--local");
    let api = folder.join("biorule-plugin-api");
    let version = biorule_plugin_api::abi::SDK.rsplit(' ').next().unwrap();
    let quoted = format!("version = \"{version}\"");
    edit(&api.join("Cargo.toml"), &quoted, "version = \"0.2.0\"");
    // Another layout too, as another minor version has.
    edit(
        &api.join("src/abi/root.rs"),
        "pub panic_unwinds: bool,",
        "pub panic_unwinds: u64,",
    );
    edit(
        &api.join("src/export.rs"),
        "cfg!(panic = \"unwind\")",
        "cfg!(panic = \"unwind\") as u64",
    );
    let built = cargo(&work, &folder, &["build", "--quiet"]);
    built.unwrap_or_else(|e| panic!("{e}"));
    let library = library(&work, "other-minor");
    let ran = Run::new(["rules", "list", "--plugins"])
        .arguments(&[library.path()])
        .finish();
    let told = ran.stderr;
    assert!(
        told.contains("built for interface 0.2.0, this host speaks 0.1."),
        "{told}"
    );
    assert!(!told.contains("laid out"), "{told}");
}

/// `rules dev`: a build that fails leaves the run as it is, another library goes on with it.
#[test]
fn an_experiment_goes_on_with_each_new_build() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let Some((work, _lock)) = work() else { return };
    let folder = new(&work, "in-work", "--local");
    let mut command = Run::new([
        "rules",
        "dev",
        ".",
        "--",
        "--set",
        "training.local.epochs=100000",
    ])
    .dir(&folder)
    .command();
    forget_own_package(&mut command);
    let cargo = Path::new(env!("CARGO")).parent().unwrap().to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(cargo).chain(std::env::split_paths(&path)));
    let mut dev = command
        .env("PATH", path.unwrap())
        .env("CARGO_NET_OFFLINE", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let err = dev.stderr.take().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let patience = std::time::Duration::from_secs(240);
    let mut seen = Vec::new();
    let mut wait = |words: &str| loop {
        let Ok(line) = lines.recv_timeout(patience) else {
            panic!("`{words}` is not told, but {seen:#?}");
        };
        let found = line.contains(words);
        seen.push(line);
        if found {
            return;
        }
    };
    wait("dev: library");
    wait(" epoch ");
    let source = folder.join("src/lib.rs");
    edit(&source, "let hebb =", "let hebb = 1 +");
    wait("dev: the build failed");
    edit(&source, "let hebb = 1 +", "let hebb =");
    edit(
        &source,
        ".scale(cx.rate_or(self.lr) / n)?",
        ".scale(0.5 * cx.rate_or(self.lr) / n)?",
    );
    wait("stopped; the same command");
    wait("dev: library");
    wait("another build");
    assert!(signal("TERM", dev.id()));
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    let record = std::fs::read_to_string(folder.join("runs/dev/run.json")).unwrap();
    assert!(
        record.contains("earlier_plugins") && record.contains("\"stopped\""),
        "{record}"
    );
}
