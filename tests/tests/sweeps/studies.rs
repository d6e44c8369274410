//! Files of studies: what they must say, what they may leave out, and those of the repository.

use biorule_tests::plugins::Run;

use crate::home::{BASE, Home, OBJECTIVE, PARAMETERS};

#[test]
fn what_cannot_be_run_is_refused_with_a_way_out() {
    let home = Home::usual("trials = 2");
    for (set, says) in [
        (
            "parameters.delta.high=11",
            "the schema of `delta` of `krotov` allows 0 to 10",
        ),
        ("parameters.lr.low=2", "exchange `low` and `high`"),
        ("parameters.lr.low=0", "give a `low` above 0"),
        ("parameters.lr.hihg=2", "did you mean `high`?"),
        (
            "parameters.lr.paths=\"training.gradient.optimizer.rl\"",
            "`lr`",
        ),
        (
            "parameters.delta.when={ rul = \"krotov\" }",
            "did you mean `rule`?",
        ),
        (
            "parameters.delta.when={ rule = \"krotv\" }",
            "did you mean `krotov`?",
        ),
        ("sampler=tpee", "did you mean `tpe`?"),
        ("sampler=grid", "every number in a range"),
        ("pruner.kind=medain", "did you mean `median`?"),
        ("score=meen", "did you mean `mean`?"),
        ("trails=3", "did you mean `trials`?"),
        ("seeds=[1, 1]", "a number twice"),
    ] {
        let said = home.refused(&["--set", set]);
        assert!(said.contains(says), "{set}: {said}");
    }
    let wrong = |top: &str, says: &str| {
        home.study(
            "study.toml",
            &format!("base = \"base.toml\"\ntrials = 2\n{top}"),
        );
        let said = home.refused(&[]);
        assert!(said.contains(says), "{says}: {said}");
    };
    wrong(OBJECTIVE, "has no parameters");
    wrong(PARAMETERS, "has no objective");
    let metric = |name: &str| {
        format!("[[objectives]]\nmetric = \"{name}\"\ndirection = \"max\"\n{PARAMETERS}")
    };
    wrong(
        &metric("validation/acuracy"),
        "did you mean `validation/accuracy`?",
    );
    wrong(
        &format!("[[objectives]]\nmetric = \"validation/accuracy\"\n{PARAMETERS}"),
        "direction` is missing",
    );
    wrong(
        &format!("pruner = \"median\"\n{}", metric("test/accuracy")),
        "not a metric of epochs",
    );
    let large: String = (0..6)
        .map(|i| {
            format!("[parameters.p{i}]\npaths = \"training.gradient.batch\"\nlow = 1\nhigh = 100\n")
        })
        .collect();
    wrong(
        &format!("sampler = \"grid\"\n{OBJECTIVE}{large}"),
        "1000000000000 points",
    );
    home.study(
        "study.toml",
        &format!("trials = 2\n{OBJECTIVE}{PARAMETERS}"),
    );
    assert!(home.refused(&[]).contains("has no configuration"));
    home.study("study.toml", BASE);
    assert!(
        home.refused(&[])
            .contains("is a configuration, not a study")
    );
}

#[test]
fn a_path_alone_has_the_range_of_the_schema() {
    let top =
        "trials = 1\n[config]\nblocks.hidden.rule = { name = \"krotov\", ranking_param = 3 }\n";
    let paths = "[parameters.\"blocks.hidden.rule.delta\"]\n[parameters.\"blocks.hidden.rule.bias_output\"]\n";
    let home = Home::new(&format!("base = \"base.toml\"\n{top}{OBJECTIVE}{paths}"));
    let text = home.sweep("here", &["--dry-run"]).stdout();
    let study: toml::Table = toml::from_str(&text).expect("TOML");
    let delta = &study["parameters"]["blocks.hidden.rule.delta"];
    assert_eq!(
        (delta["low"].as_float(), delta["high"].as_float()),
        (Some(0.0), Some(10.0))
    );
    let words = &study["parameters"]["blocks.hidden.rule.bias_output"]["choices"];
    assert_eq!(words.as_array().map(Vec::len), Some(2));
    assert!(!home.path("here").exists());
}

#[test]
fn the_studies_that_are_there_can_be_run() {
    let folder = biorule_tests::repository().join("configs/sweep");
    let mut files = vec![folder.join("digits.toml")];
    for inner in ["softhebb", "biopytorch"] {
        for entry in std::fs::read_dir(folder.join(inner)).expect("studies") {
            files.push(entry.expect("an entry").path());
        }
    }
    assert!(files.len() >= 15);
    for file in files {
        // Their data need not be here.
        let drawn: &[&str] = match file.ends_with("digits.toml") {
            true => &[],
            false => &[
                "config.data.set=gabor",
                "config.data.options={ size = 32, train = 200, test = 50 }",
                "config.data.validation=0.2",
            ],
        };
        Run::new(["sweep"])
            .arguments(&[&file])
            .arguments(&["--dry-run", "--quiet"])
            .sets(drawn)
            .stdout();
    }
}

#[test]
fn the_page_of_settings_is_fresh() {
    let page = std::fs::read_to_string(biorule_tests::repository().join("docs/study-settings.md"));
    let printed = Run::new(["sweep", "reference"]).stdout();
    assert!(
        page.is_ok_and(|page| page == printed),
        "`biorule sweep reference > docs/study-settings.md`"
    );
}
