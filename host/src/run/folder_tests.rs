//! Who may enter a folder, with what, and what it then holds.

use super::*;
use crate::ExitCode;
use crate::config::{Offline, Sources, resolve};

const NET: &str = "
    data = \"digits\"
    output.tensorboard = false
    [[blocks]]
    layer = \"dense\"
    out = \"classes\"
    rule = \"backprop\"
";

fn resolved(folder: &Path, sets: &[&str]) -> Resolved {
    let file = folder.join("net.toml");
    fs::write(&file, NET).unwrap();
    let sources = Sources {
        files: vec![file],
        sets: sets.iter().map(|s| (*s).to_owned()).collect(),
        ..Sources::default()
    };
    resolve(&sources, &Offline).unwrap()
}

fn enter(path: &Path, resolved: &Resolved, resume: Resume) -> Result<RunFolder> {
    RunFolder::enter(path, resolved, &["--set x=1".to_owned()], resume)
}

#[test]
fn a_new_folder_holds_its_configuration() {
    let temporary = tempfile::tempdir().unwrap();
    let resolved = resolved(temporary.path(), &["seed=7"]);
    let path = temporary.path().join("run");
    let e = enter(&path, &resolved, Resume::Must).unwrap_err();
    assert_eq!(e.code, ExitCode::Usage);
    let folder = enter(&path, &resolved, Resume::Auto).unwrap();
    assert_eq!(folder.record().seed, 7);
    assert_eq!(folder.record().config_hash, resolved.hash());
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(read("config.toml"), resolved.to_toml(false));
    assert_eq!(read("overrides.txt"), "--set x=1\n");
    // The stored configuration is the same experiment.
    let sources = Sources {
        files: vec![path.join("config.toml")],
        ..Sources::default()
    };
    assert_eq!(resolve(&sources, &Offline).unwrap().plan, resolved.plan);
}

#[test]
fn a_second_entry_waits_for_the_first_to_leave() {
    let temporary = tempfile::tempdir().unwrap();
    let resolved = resolved(temporary.path(), &[]);
    let path = temporary.path().join("run");
    let first = enter(&path, &resolved, Resume::Auto).unwrap();
    // A lock of this very process keeps it out as well.
    let e = enter(&path, &resolved, Resume::Auto).unwrap_err();
    assert_eq!(e.code, ExitCode::Locked);
    let id = first.record().id.clone();
    drop(first);
    assert_eq!(
        enter(&path, &resolved, Resume::Never).unwrap_err().code,
        ExitCode::Usage
    );
    let again = enter(&path, &resolved, Resume::Must).unwrap();
    assert_eq!(
        (again.record().id.as_str(), again.record().starts),
        (id.as_str(), 2)
    );
}

#[test]
fn another_configuration_is_refused_with_what_differs() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("run");
    drop(enter(&path, &resolved(temporary.path(), &[]), Resume::Auto).unwrap());
    let other = [
        "training.gradient.epochs=11",
        "blocks.dense1.rule.init=lecun",
    ];
    let e = enter(&path, &resolved(temporary.path(), &other), Resume::Auto).unwrap_err();
    assert_eq!(e.code, ExitCode::Usage);
    assert!(
        e.text
            .contains("`phases.train.epochs` (11 now, 10 in the folder)"),
        "{e}"
    );
    assert!(
        e.text
            .contains("`blocks.dense1.rule.init` (\"lecun\" now, absent in the folder)"),
        "{e}"
    );
    let free = [
        "output.log_every=3",
        "plugin_folders=[\"x\"]",
        "threads=3",
        "data.threads=2",
        "data.prefetch=5",
    ];
    drop(enter(&path, &resolved(temporary.path(), &free), Resume::Auto).unwrap());
}

#[test]
fn the_end_is_written_down_and_the_cache_goes() {
    let temporary = tempfile::tempdir().unwrap();
    let resolved = resolved(temporary.path(), &[]);
    let path = temporary.path().join("run");
    let mut folder = enter(&path, &resolved, Resume::Auto).unwrap();
    let cache = folder.cache_path().unwrap();
    fs::write(cache.join("features"), "x").unwrap();
    assert!(!folder.is_over());
    let results = crate::run::Metrics::from([("test/accuracy".to_owned(), 0.5)]);
    folder.record_end("finished", &results).unwrap();
    assert!(!cache.exists());
    drop(folder);
    let folder = enter(&path, &resolved, Resume::Auto).unwrap();
    assert!(folder.is_over());
    assert_eq!(folder.record().results, results);
}

#[test]
fn runs_are_found_and_the_latest_is_linked() {
    let temporary = tempfile::tempdir().unwrap();
    let resolved = resolved(temporary.path(), &[]);
    let runs = temporary.path().join("runs");
    let mut paths = Vec::new();
    for _ in 0..2 {
        let path = fresh_path(&runs, "net");
        drop(enter(&path, &resolved, Resume::Auto).unwrap());
        link_latest(&path).unwrap();
        paths.push(path);
    }
    let found: Vec<PathBuf> = find(&runs).into_iter().map(|(path, _)| path).collect();
    assert_eq!(found.len(), 2);
    assert!(paths.iter().all(|p| found.contains(p)));
    let latest = fs::canonicalize(runs.join("net/latest")).unwrap();
    assert_eq!(latest, fs::canonicalize(&paths[1]).unwrap());
}
