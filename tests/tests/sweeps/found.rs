//! What is done with a study that has trials: the best is shown and applied, trials are added, a
//! page is drawn.

use std::path::PathBuf;

use biorule_tests::plugins::Run;
use biorule_tests::searching::json;
use serde_json::Value;

use crate::home::Home;

#[test]
fn the_best_is_shown_written_and_trains_to_the_same() {
    let home = Home::usual("trials = 4\nsampler = \"sobol\"");
    home.done("here", &[]);
    let best: Value =
        serde_json::from_str(&home.verb(&["best", "here", "--json"]).stdout).expect("JSON");
    let best = &best[0];
    let most = home
        .table("here")
        .iter()
        .map(|t| {
            t["values"]["validation/accuracy"]
                .as_f64()
                .expect("a value")
        })
        .fold(0.0, f64::max);
    assert_eq!(best["values"]["validation/accuracy"], most);
    let ran = home.verb(&["apply", "here", "best.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        home.verb(&["apply", "here", "best.toml"]).code,
        Some(2),
        "nothing is overwritten"
    );
    Run::new(["train", "best.toml", "--run-dir", "again"])
        .dir(home.folder.path())
        .stdout();
    let run = best["runs"][0].as_str().expect("a run");
    let results = |path: PathBuf| json(&path.join("run.json"))["results"].clone();
    assert_eq!(results(home.path("again")), results(home.path(run)));
}

#[test]
fn trials_are_added_and_a_changed_study_is_refused() {
    let home = Home::usual("trials = 2");
    home.done("here", &[]);
    let ran = home.verb(&[
        "add",
        "here",
        "--trials",
        "1",
        "--params",
        "lr=0.1",
        "rule=krotov",
        "delta=0.25",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    home.done("here", &[]);
    let table = home.table("here");
    assert_eq!(table.len(), 4);
    assert_eq!(table[3]["by"], "added");
    assert_eq!(table[3]["params"]["delta"], 0.25);
    let wrong = home.verb(&[
        "add",
        "here",
        "--params",
        "lr=0.1",
        "rule=krotv",
        "delta=0.25",
    ]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("did you mean `krotov`?"),
        "{}",
        wrong.stderr
    );
    // Fewer or more trials, another range, another base.
    for (set, says) in [
        ("trials=9", "`trials` (9 now, 2 in the folder)"),
        (
            "parameters.lr.high=0.5",
            "`parameters.lr.high` (0.5 now, 1.0 in the folder)",
        ),
        (
            "config.training.gradient.epochs=4",
            "`config.training.gradient.epochs` (4 now, 3 in the folder)",
        ),
        ("sampler=sobol", "`sampler.kind`"),
    ] {
        let ran = home.sweep("here", &["--set", set]).finish();
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(says) && ran.stderr.contains("hint: "),
            "{set}: {}",
            ran.stderr
        );
    }
    // What decides nothing may differ.
    home.done("here", &["--set", "config.output.log_every=7"]);
}

#[test]
fn a_page_shows_what_was_found_and_loads_nothing() {
    let home = Home::usual("trials = 12\npruner = { kind = \"median\", startup = 2 }");
    home.done("here", &["--jobs", "2"]);
    assert_eq!(home.verb(&["page", "here"]).code, Some(0));
    let page = std::fs::read_to_string(home.path("here/study.html")).expect("a page");
    for says in [
        "The best came at trial",
        "What matters",
        "Share of the differences that each parameter explains",
        "the most important that go together",
        "The best trial (orange) and the four after it (blue)",
        "href=\"trials/000003/\"",
        "<title>Study: study</title>",
    ] {
        assert!(page.contains(says), "{says}");
    }
    let home_name = home.folder.path().display().to_string();
    for never in [
        "<script",
        "http://",
        "https://",
        "url(",
        home_name.as_str(),
        "NaN",
    ] {
        let found = page
            .match_indices(never)
            .find(|(at, _)| !page[..*at].ends_with("xmlns=\""));
        assert_eq!(found, None, "{never}");
    }
    // One that lies elsewhere has no links to folders.
    assert_eq!(
        home.verb(&["page", "here", "-o", "page.html"]).code,
        Some(0)
    );
    let page = std::fs::read_to_string(home.path("page.html")).expect("a page");
    assert!(!page.contains("href=\"trials/"));
}
