//! What the plugins say of themselves: the generated page and their claims.

use biorule_tests::plugins::{Run, library};
use biorule_tests::repository;

#[test]
fn the_page_of_rules_is_up_to_date() {
    let page = Run::new(["rules", "describe", "--markdown"]).stdout();
    let path = repository().join("docs/rules.md");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == stored,
        "docs/rules.md is stale: `biorule rules describe --markdown > docs/rules.md`"
    );
}

#[test]
fn every_shipped_rule_keeps_its_contract_and_its_claims() {
    for plugin in [
        "backprop",
        "softhebb",
        "hebbian",
        "krotov",
        "feedback_alignment",
        "kolen_pollack",
        "direct_feedback_alignment",
        "weight_mirror",
    ] {
        let path = library(&format!("biorule_{plugin}"));
        let ran = Run::new(["rules", "check", &path.to_string_lossy()]).finish();
        assert_eq!(
            ran.code,
            Some(0),
            "{plugin}\n{}\n{}",
            ran.stdout,
            ran.stderr
        );
        for check in [
            "steps",
            "deterministic",
            "state-round-trip",
            "input-gradient",
        ] {
            let line = ran.stdout.lines().find(|l| l.contains(check));
            assert!(
                line.is_some_and(|l| l.contains("passed")),
                "{plugin}: {check}\n{}",
                ran.stdout
            );
        }
    }
}

/// Verdicts of the specimen's checks by name, when told to be `mode`.
fn verdicts(mode: &str, seconds: &str) -> std::collections::BTreeMap<String, String> {
    let path = library("specimen_modes");
    let ran = Run::new([
        "rules",
        "check",
        "--json",
        "--seconds",
        seconds,
        &path.to_string_lossy(),
    ])
    .env("BIORULE_SPECIMEN", mode)
    .finish();
    assert_eq!(ran.code, Some(4), "{mode}\n{}\n{}", ran.stdout, ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|f| {
            (
                f["check"].as_str().unwrap().to_string(),
                f["verdict"].as_str().unwrap().to_string(),
            )
        })
        .collect()
}

#[test]
fn a_false_claim_is_found_and_the_other_checks_go_on() {
    let found = verdicts("", "60");
    assert_eq!(found["no-weight-transport"], "failed");
    assert_eq!(
        (found["steps"].as_str(), found["unsupervised"].as_str()),
        ("passed", "skipped")
    );
}

#[test]
fn a_crash_and_an_endless_loop_are_results() {
    assert_eq!(verdicts("abort-call", "60")["steps"], "crashed");
    assert_eq!(verdicts("hang-call", "1")["steps"], "timedout");
}
