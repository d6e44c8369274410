//! Which trials a study has and how they are scored: the same for any number of jobs, by grids,
//! samplers, pruners and several objectives.

use biorule_tests::plugins::Run;
use biorule_tests::searching::json;
use serde_json::Value;

use crate::home::{Home, OBJECTIVE, weights};

#[test]
fn the_same_study_gives_the_same_trials_and_bits_for_any_number_of_jobs() {
    let home = Home::usual("trials = 9\nsampler = { kind = \"tpe\", startup = 3 }\nparallel = 2");
    home.done("one", &[]);
    let ran = home.done("two", &["--jobs", "3"]);
    assert!(ran.stdout.contains("sweep apply"), "{}", ran.stdout);
    assert_eq!(home.csv("one"), home.csv("two"));
    assert!(weights(&home.path("one")) == weights(&home.path("two")));
    assert_eq!(home.table("one").len(), 9);
    // What is over is not run again.
    let again = home.done("one", &[]);
    assert!(
        again.stderr.contains("9 are over already"),
        "{}",
        again.stderr
    );
    let starts = json(&home.path("one/trials/000000/seed-0/run.json"))["starts"].clone();
    assert_eq!(starts, 1);
    // Another seed is another study.
    home.done("other", &["--set", "seed=1", "--set", "trials=2"]);
    assert_ne!(
        home.csv("one").lines().nth(1),
        home.csv("other").lines().nth(1)
    );
}

#[test]
fn a_grid_is_run_point_by_point_and_planned_for_others() {
    let grid = "sampler = \"grid\"\n[parameters.width]\npaths = \"blocks.hidden.out\"\nchoices = [8, 16]\n\
        [parameters.lr]\npaths = \"training.gradient.optimizer.lr\"\nlow = 0.01\nhigh = 0.1\nlog = true\npoints = 3\n";
    let home = Home::new(&format!("base = \"base.toml\"\n{grid}{OBJECTIVE}"));
    home.done("here", &["--jobs", "2"]);
    let table = home.table("here");
    let points: Vec<String> = table
        .iter()
        .map(|t| {
            format!(
                "{:.6} {}",
                t["params"]["lr"].as_f64().expect("a number"),
                t["params"]["width"]
            )
        })
        .collect();
    assert_eq!(
        points,
        [
            "0.010000 8",
            "0.010000 16",
            "0.031623 8",
            "0.031623 16",
            "0.100000 8",
            "0.100000 16"
        ]
    );
    // The same by commands that others run.
    let plan = home.sweep("there", &["--plan", "64"]).stdout();
    let lines: Vec<Value> = plan
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 6);
    for line in &lines {
        let words = line["command"].as_array().expect("words");
        let words: Vec<&str> = words.iter().skip(1).filter_map(Value::as_str).collect();
        Run::new(words).dir(home.folder.path()).stdout();
    }
    let ran = home.verb(&["collect", "there"]);
    assert!(
        ran.stdout.contains("6 finished"),
        "{} {}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(home.csv("here"), home.csv("there"));
    assert_eq!(home.sweep("there", &["--plan", "64"]).stdout(), "");
}

#[test]
fn a_sampler_that_is_a_program_chooses_as_it_is_asked() {
    let home = Home::usual("trials = 6\nsampler = { kind = \"tpe\", startup = 10 }\nparallel = 2");
    home.done("inside", &[]);
    let program = Run::new(Vec::<String>::new()).command();
    let own = format!(
        "'{}' sweep sampler tpe",
        program.get_program().to_string_lossy()
    );
    home.done("outside", &["--sampler", &own]);
    let params = |dir: &str| {
        home.table(dir)
            .iter()
            .map(|t| t["params"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(params("inside"), params("outside"));
    // What a program says that is wrong is told with its words.
    for (command, says) in [
        ("exit 3", "has ended"),
        ("echo no", "is not JSON"),
        (
            "read l; echo '{\"ok\":true}'; read l; echo '{\"params\":{\"lr\":7}}'",
            "parameter",
        ),
        ("read l; echo '{\"error\":\"not today\"}'", "not today"),
    ] {
        let ran = home.sweep("wrong", &["--sampler", command]).finish();
        assert_eq!(ran.code, Some(2), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{command}: {}", ran.stderr);
        std::fs::remove_dir_all(home.path("wrong")).expect("removed");
    }
}

#[test]
fn a_pruned_trial_has_the_bits_of_a_whole_one_up_to_there() {
    let home = Home::usual(
        "trials = 8\npruner = { kind = \"median\", startup = 2 }\nparallel = 1\n[config]\ntraining.gradient.epochs = 6\ntraining.gradient.schedule = \"cosine\"",
    );
    home.done("pruned", &[]);
    home.done("whole", &["--set", "pruner=none"]);
    let (pruned, whole) = (home.table("pruned"), home.table("whole"));
    let given_up = pruned.iter().filter(|t| t["state"] == "pruned").count();
    assert!(given_up > 0, "{pruned:?}");
    for (a, b) in pruned.iter().zip(&whole) {
        assert_eq!(a["params"], b["params"]);
        let (a, b) = (a["intermediate"].as_array(), b["intermediate"].as_array());
        let (a, b) = (a.expect("epochs"), b.expect("epochs"));
        assert_eq!(a[..], b[..a.len()]);
    }
}

#[test]
fn several_objectives_have_a_front_and_bounds_are_kept() {
    let more = "[[objectives]]\nmetric = \"parameters\"\ndirection = \"min\"\n";
    let width = "[parameters.width]\npaths = \"blocks.hidden.out\"\nlow = 4\nhigh = 64\n";
    let bound = "[[constraints]]\nmetric = \"multiply_adds\"\nat_most = 3000\n";
    let home = Home::new(&format!(
        "base = \"base.toml\"\ntrials = 8\nsampler = {{ kind = \"tpe\", startup = 4 }}\n{OBJECTIVE}{more}{width}{bound}"
    ));
    home.done("here", &["--jobs", "2"]);
    let best: Value =
        serde_json::from_str(&home.verb(&["best", "here", "--json"]).stdout).expect("JSON");
    for trial in best.as_array().expect("a front") {
        assert!(
            trial["constraints"]["multiply_adds"]
                .as_f64()
                .expect("a number")
                <= 3000.0
        );
        let width = trial["params"]["width"].as_i64().expect("a width");
        let parameters = trial["values"]["parameters"].as_f64();
        // Weights and biases.
        assert_eq!(parameters, Some((65 * width + 10 * width + 10) as f64));
    }
}
