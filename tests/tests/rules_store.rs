//! `biorule rules info`, `add`, `remove`, `lock` and `bench`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use biorule_tests::plugins::{Run, specimen};
use serde_json::Value;

/// A call with a plugin store in `home`, in the folder `home`.
fn run(home: &Path, arguments: &[&str]) -> Run {
    Run::new(arguments)
        .dir(home)
        .env("BIORULE_PLUGIN_STORE", home.join("store"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn info_says_what_a_file_says_of_itself_and_runs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = specimen("modes").display().to_string();
    // Told to panic when it is loaded: it is not.
    let told = run(
        home.path(),
        &["rules", "info", &specimen("zoo").display().to_string()],
    )
    .env("BIORULE_SPECIMEN", "panic-load")
    .stdout();
    for words in [
        "specimen-zoo 0.1.0",
        "sha256",
        "interface    0.1.3",
        "MIT OR Apache-2.0",
        "ExitRule",
    ] {
        assert!(told.contains(words), "`{words}` missing in: {told}");
    }
    // The root module of this one is written by hand, without a package.
    let old = json(&run(home.path(), &["rules", "info", &file, "--json"]).stdout());
    assert!(
        old["package"].is_null() && old["sha256"].as_str().unwrap().len() == 64,
        "{old}"
    );
    let by_name = run(home.path(), &["rules", "info", "biorule-krotov"]).stdout();
    assert!(by_name.contains("libbiorule_krotov"), "{by_name}");
    let near = run(home.path(), &["rules", "info", "biorule-krotow"]).finish();
    assert_eq!(near.code, Some(2));
    assert!(
        near.stderr.contains("did you mean `biorule-krotov`?"),
        "{}",
        near.stderr
    );
}

#[test]
fn a_plugin_is_added_found_replaced_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::copy(specimen("zoo"), folder.join("libmine.so")).unwrap();
    let added = run(folder, &["rules", "add", "libmine.so"]).finish();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert!(
        added
            .stdout
            .contains("added `libmine` 0.1.0 with rules `zoo/abort`"),
        "{}",
        added.stdout
    );
    assert!(
        added.stderr.contains("code that runs with your rights"),
        "{}",
        added.stderr
    );
    // Every command finds it, without a folder named; it has no need of the file it came from.
    std::fs::remove_file(folder.join("libmine.so")).unwrap();
    let listed = json(&run(folder, &["rules", "list", "--json"]).stdout());
    let names: Vec<&str> = listed["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["name"].as_str())
        .collect();
    assert!(
        names.contains(&"zoo/good") && names.contains(&"backprop"),
        "{names:?}"
    );
    let info = run(folder, &["rules", "info", "zoo/good"]).stdout();
    assert!(
        info.contains("zoo/good") && info.contains("added from"),
        "{info}"
    );

    // Another build takes its place, here from an archive.
    let mut bytes = std::fs::read(specimen("zoo")).unwrap();
    bytes.push(0);
    let packed = std::fs::File::create(folder.join("mine-0.2.tar.gz")).unwrap();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        packed,
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive
        .append_data(&mut header, "mine-0.2/lib/libmine.so", &bytes[..])
        .unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    let again = json(&run(folder, &["rules", "add", "--json", "mine-0.2.tar.gz"]).stdout());
    assert!(again[0]["replaced"].is_string(), "{again}");
    assert!(Path::new(again[0]["path"].as_str().unwrap()).is_file());
    let twin = folder.join("libtwin.so");
    std::fs::copy(specimen("zoo"), &twin).unwrap();
    let refused = run(folder, &["rules", "add", "libtwin.so"]).finish();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("`libmine` has a rule of the same name"),
        "{}",
        refused.stderr
    );

    let wrong = run(folder, &["rules", "remove", "libmin"]).finish();
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("did you mean `libmine`?"),
        "{}",
        wrong.stderr
    );
    run(folder, &["rules", "remove", "specimen-zoo"]).stdout();
    let listed = run(folder, &["rules", "list", "--json"]).stdout();
    assert!(!listed.contains("zoo/good"), "{listed}");
}

#[test]
fn what_is_no_plugin_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("libbad.so"), "no library").unwrap();
    let ran = run(folder, &["rules", "add", "libbad.so"]).finish();
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    std::fs::create_dir(folder.join("crate")).unwrap();
    std::fs::write(folder.join("crate/Cargo.toml"), "").unwrap();
    let ran = run(folder, &["rules", "add", "crate"]).finish();
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("cargo build --release"),
        "{}",
        ran.stderr
    );
    assert!(!folder.join("store/plugins.json").exists());
}

const CONFIG: &str = "name = \"t\"\ndata = \"digits\"\n[[blocks]]\nname = \"hidden\"\nflatten = true\n\
    layer = \"dense\"\nout = 8\nrule = \"zoo/good\"\n[[blocks]]\nname = \"out\"\nlayer = \"dense\"\n\
    out = \"classes\"\nrule = \"backprop\"\n[training]\nmode = \"successive\"\nlocal.epochs = 1\ngradient.epochs = 1\n";

#[test]
fn a_locked_experiment_takes_the_locked_libraries_alone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("c.toml"), CONFIG).unwrap();
    std::fs::create_dir(folder.join("p")).unwrap();
    let library = folder.join("p/libzoo.so");
    std::fs::copy(specimen("zoo"), &library).unwrap();
    let train = |dir: &str| {
        let arguments = [
            "train",
            "c.toml",
            "--locked",
            "--plugins",
            "p",
            "--run-dir",
            dir,
        ];
        run(folder, &arguments).finish()
    };
    let without = train("a");
    assert_eq!(without.code, Some(2), "{}", without.stderr);
    assert!(
        without.stderr.contains("biorule rules lock c.toml"),
        "{}",
        without.stderr
    );
    let lock = run(folder, &["rules", "lock", "c.toml", "--plugins", "p"]).stdout();
    assert!(
        lock.contains("`libzoo`") && lock.contains("c.rules.lock"),
        "{lock}"
    );
    let text = std::fs::read_to_string(folder.join("c.rules.lock")).unwrap();
    assert!(
        text.contains("version = \"0.1.0\"") && text.contains("\"zoo/good\""),
        "{text}"
    );
    assert_eq!(train("a").code, Some(0));
    let mut bytes = std::fs::read(&library).unwrap();
    bytes.push(0);
    std::fs::write(&library, bytes).unwrap();
    let other = train("b");
    assert_eq!(other.code, Some(4), "{}", other.stderr);
    assert!(
        other.stderr.contains("`libzoo` is another build"),
        "{}",
        other.stderr
    );
    assert!(!folder.join("b").exists(), "refused before there is a run");
}

#[test]
fn a_step_is_measured_beside_backpropagation() {
    let home = tempfile::tempdir().unwrap();
    let zoo = specimen("zoo").display().to_string();
    let arguments = [
        "rules", "bench", &zoo, "--rule", "zoo/good", "--steps", "2", "--batch", "4",
    ];
    let table = run(home.path(), &arguments).stdout();
    for words in [
        "zoo/good",
        "backprop",
        "hebbian/oja",
        "dense 784-256",
        "1.00x",
    ] {
        assert!(table.contains(words), "`{words}` missing in: {table}");
    }
    let report = json(&run(home.path(), &arguments).arguments(&["--json"]).stdout());
    let rows = report["measured"][0]["rows"].as_array().unwrap();
    assert_eq!(rows[0]["state_bytes"], 784 * 256 * 4);
    let wrong = run(home.path(), &["rules", "bench", &zoo, "--steps", "0"]).finish();
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn a_list_of_those_allowed_refuses_all_others_and_the_full_name_is_suggested() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::create_dir(folder.join("p")).unwrap();
    std::fs::copy(specimen("zoo"), folder.join("p/libzoo.so")).unwrap();
    std::fs::copy(specimen("modes"), folder.join("p/libmodes.so")).unwrap();
    let info = json(&run(folder, &["rules", "info", "p/libzoo.so", "--json"]).stdout());
    let digest = info["sha256"].as_str().unwrap();
    std::fs::write(
        folder.join("allowed"),
        format!("# ours\n{digest}  libzoo.so\n"),
    )
    .unwrap();
    let list = ["rules", "list", "--plugins", "p"];
    let ran = run(folder, &list)
        .env("BIORULE_PLUGIN_ALLOW", folder.join("allowed"))
        .finish();
    assert!(
        ran.stdout.contains("zoo/good") && !ran.stdout.contains("specimen"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("libmodes.so") && ran.stderr.contains("is not on the list"),
        "{}",
        ran.stderr
    );
    let ran = run(folder, &list)
        .env("BIORULE_PLUGIN_ALLOW", folder.join("absent"))
        .finish();
    assert!(
        !ran.stdout.contains("zoo/good") && ran.stderr.contains("cannot be read"),
        "{}",
        ran.stderr
    );
    std::fs::write(folder.join("c.toml"), CONFIG.replace("zoo/good", "good")).unwrap();
    let ran = run(folder, &["train", "c.toml", "--plugins", "p"]).finish();
    assert_eq!(ran.code, Some(4));
    assert!(
        ran.stderr.contains("did you mean `zoo/good`?"),
        "{}",
        ran.stderr
    );
}
