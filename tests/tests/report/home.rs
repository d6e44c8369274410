//! Small runs in a folder of their own, their pages, and what holds of every page.

use std::fs;
use std::path::Path;

use biorule_tests::Result;
use biorule_tests::page::elements;
use biorule_tests::plugins::{Ran, call};
use biorule_tests::runs;
use serde_json::Value;

pub const NETWORK: &str = r#"name = "small"
data = { set = "digits", limit_train = 300, limit_test = 200 }
device = "cpu"
baselines = ["random-weights"]
output.log_every = 5
output.alignment_every = 1
[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 16
rule = { name = "softhebb", lr = 0.05 }
activation = "relu"
[[blocks]]
name = "middle"
layer = "dense"
out = 16
rule = "feedback-alignment/fa"
activation = "relu"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 4
optimizer = { kind = "adam", lr = 0.01 }
"#;

/// A folder with the configuration `n.toml`.
pub fn home() -> Result<tempfile::TempDir> {
    runs::home("n.toml", NETWORK)
}

pub fn train(home: &Path, dir: &str, more: &[&str]) -> Ran {
    call(
        home,
        &[&["train", "n.toml", "--run-dir", dir], more].concat(),
    )
}

pub fn done(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

/// The page of `runs`, which is whole and loads nothing.
pub fn page(home: &Path, runs: &[&str]) -> Result<String> {
    let ran = call(home, &[&["report", "-o", "page.html"], runs].concat());
    done(&ran);
    let html = fs::read_to_string(home.join("page.html"))?;
    holds(&html);
    Ok(html)
}

/// The text of a page has all of `words`.
#[track_caller]
pub fn says(said: &str, words: &[&str]) {
    for words in words {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
}

/// What holds of every page.
pub fn holds(html: &str) {
    let all = elements(html).unwrap_or_else(|e| panic!("{e}"));
    let mut ids = std::collections::BTreeSet::new();
    let mut level = 0;
    for e in &all {
        assert!(
            !["script", "link", "iframe", "object", "base", "form"].contains(&e.name.as_str()),
            "{e:?}"
        );
        for (key, value) in &e.attributes {
            assert!(!key.starts_with("on"), "{e:?}");
            match key.as_str() {
                "src" => assert!(value.starts_with("data:image/png;base64,"), "{e:?}"),
                "href" => assert!(value.starts_with('#'), "{e:?}"),
                "id" => assert!(ids.insert(value.clone()), "twice: {e:?}"),
                "xmlns" => {}
                _ => assert!(!value.contains("://"), "{e:?}"),
            }
        }
        if let Some(now) = e.name.strip_prefix('h').and_then(|n| n.parse::<u32>().ok()) {
            assert!(now <= level + 1, "a heading is left out before {e:?}");
            level = now;
        }
        match e.name.as_str() {
            "img" => assert!(
                e.get("alt").is_some_and(|alt| alt.len() > 20),
                "{:?}",
                e.get("alt")
            ),
            "svg" => assert!(
                e.get("role") == Some("img")
                    && (e.get("aria-labelledby").is_some() || e.get("aria-label").is_some()),
                "{e:?}"
            ),
            "th" => assert!(e.get("scope").is_some(), "{e:?}"),
            _ => {}
        }
    }
    for e in &all {
        let labels = e
            .get("aria-labelledby")
            .unwrap_or_default()
            .split(' ')
            .filter(|l| !l.is_empty());
        let targets = e.get("href").and_then(|h| h.strip_prefix('#'));
        for id in labels.chain(targets) {
            assert!(ids.contains(id), "nothing has the id `{id}`");
        }
    }
    let count = |name: &str| all.iter().filter(|e| e.name == name).count();
    assert_eq!(
        (count("h1"), count("main"), count("title") >= 1),
        (1, 1, true)
    );
    assert_eq!(count("table"), count("caption"));
    let policy = "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"";
    assert!(html.contains(policy));
    assert!(!html.contains("url(") && !html.contains("@import"));
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

/// Puts `json` in place of the record of `run`.
pub fn write(run: &Path, json: &Value) -> Result<()> {
    Ok(fs::write(run.join("run.json"), json.to_string())?)
}
