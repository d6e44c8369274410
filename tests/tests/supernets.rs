//! Searches that train a supernet, with the real binary and plugins: the same seed derives the same
//! genotype by the same parameters, also after kills; what cannot be is refused.

use std::collections::BTreeMap;
use std::path::Path;

use biorule_tests::plugins::Run;
use biorule_tests::runs::weights;
use biorule_tests::searching::{Home, kill_at, lines};

const SMALL: &str = r#"
name = "small"
device = "cpu"

[data]
set = "digits"
validation = 64
limit_train = 256
limit_test = 32
parts = { weights = ":50%", architecture = "50%:" }

[network]
channels = 4
cells = 3

[search]
strategy = "darts"

[search.space]
nodes = 1
operations = ["sep_conv_3x3", "skip_connect", "max_pool_3x3", "none"]
rules = ["feedback-alignment/brsf", "backprop"]

[search.supernet]
channels = 4
cells = 3
epochs = 6
batch = 16
architecture_lr = 0.05

[training.gradient]
epochs = 1
batch = 32
optimizer = { kind = "adam", lr = 0.01 }

[output]
tensorboard = false
checkpoint_seconds = 1
"#;

/// Every strategy that trains a supernet.
const STRATEGIES: [&str; 7] = [
    "{ kind = \"darts\" }",
    "{ kind = \"darts\", second_order = true }",
    "{ kind = \"gdas\" }",
    "{ kind = \"eg\", rounds = 2, individuals = 4, generations = 2, warmup_epochs = 1 }",
    "{ kind = \"eg\", variant = \"released\", individuals = 4, warmup_epochs = 1 }",
    "{ kind = \"darts\", auxiliary_skip = 1 }",
    "{ kind = \"darts\", sigmoid = true, zero_one = 10 }",
];

/// What a search leaves: parameters after each epoch, the genotype, the supernet's weights.
fn left(folder: &Path) -> (String, String, BTreeMap<String, Vec<u8>>) {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let weights = weights(&folder.join("supernet"));
    (text("alphas.jsonl"), text("genotype.json"), weights)
}

#[test]
fn a_supernet_killed_on_its_way_derives_what_one_left_alone_derives() {
    for strategy in STRATEGIES {
        let home = Home::new(SMALL);
        let set = format!("search.strategy={strategy}");
        let more = ["--set", set.as_str()];
        home.done("whole", &more);
        let whole = left(&home.path("whole"));
        assert_eq!(whole.0.lines().count(), 6, "{strategy}");
        for epochs in [1, 3, 4] {
            let file = home.path("killed/alphas.jsonl");
            kill_at(home.search("killed", &more), &file, epochs);
        }
        home.done("killed", &more);
        let killed = left(&home.path("killed"));
        assert_eq!(whole.0, killed.0, "{strategy}: parameters");
        assert_eq!(whole.1, killed.1, "{strategy}: genotype");
        assert!(whole.2 == killed.2, "{strategy}: weights differ");
    }
}

#[test]
fn kept_and_recomputed_candidates_learn_the_same() {
    let home = Home::new(SMALL);
    home.done("again", &[]);
    // The saved configuration is the search, with the parts that its supernet learns from.
    let saved = home.path("again/config.toml");
    let saved = saved.to_str().expect("a path");
    let ran = Run::new(["search", saved, "--run-dir", "again", "-q"]).dir(home.folder());
    let ran = ran.finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    home.done("kept", &["--set", "search.supernet.recompute=false"]);
    let (again, kept) = (left(&home.path("again")), left(&home.path("kept")));
    assert_eq!(again.0, kept.0);
    assert!(again.2 == kept.2, "weights differ");
}

#[test]
fn what_a_supernet_cannot_be_is_refused_with_what_to_do() {
    let home = Home::new(SMALL);
    let cases: [(&[&str], i32, &str); 13] = [
        (&["search.supernet.weights=\"nobody\""], 2, "nobody"),
        (
            &["search.supernet.weights=\"architecture\""],
            2,
            "are both `architecture`",
        ),
        (&["search.supernet.partial=8"], 2, "cannot be divided by"),
        (&["search.supernet.channels=5"], 2, "cannot be divided by 2"),
        (&["search.supernet.batch=500"], 2, "batch"),
        (
            &["search.strategy=\"random\""],
            2,
            "the strategy trains no supernet",
        ),
        (&["search.strategy=\"dart\""], 2, "dart"),
        (
            &["search.strategy={ kind = \"darts\", zero_one = 10 }"],
            2,
            "sigmoid",
        ),
        (
            &["search.strategy={ kind = \"eg\", variant = \"relesed\" }"],
            2,
            "`released`",
        ),
        (
            &["search.strategy={ kind = \"gdas\", auxiliary_skip = 1 }"],
            2,
            "auxiliary_skip",
        ),
        (
            &["search.supernet.discretise=\"perturb\""],
            2,
            "`perturbation`",
        ),
        (
            &[
                "search.supernet.discretise=\"perturbation\"",
                "search.supernet.max_skips=1",
            ],
            2,
            "has no meaning",
        ),
        (
            &[
                "search.strategy={ kind = \"darts\", second_order = true }",
                "search.space.rules=[\"softhebb\", \"backprop\"]",
            ],
            2,
            "local",
        ),
    ];
    for (i, (sets, code, text)) in cases.iter().enumerate() {
        let mut more = Vec::new();
        for set in *sets {
            more.extend(["--set", *set]);
        }
        if !sets.iter().any(|s| s.starts_with("search.strategy")) {
            more.extend(["--set", "search.strategy=\"darts\""]);
        }
        let ran = home.search(&format!("refused{i}"), &more).finish();
        assert_eq!(ran.code, Some(*code), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{sets:?}: {}", ran.stderr);
    }
}

/// Lines of a file of JSON.
/// A column of the supernet's metrics.
fn metric(folder: &Path, name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("supernet/metrics.csv")).expect("metrics");
    let mut rows = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let head = rows.next().expect("a head");
    let at = head.iter().position(|h| *h == name).expect(name);
    rows.map(|r| r[at].parse().expect("a number")).collect()
}

#[test]
fn what_costs_most_when_it_is_taken_away_is_derived_also_after_kills() {
    let home = Home::new(SMALL);
    for strategy in [
        "darts",
        "gdas",
        "{ kind = \"eg\", rounds = 1, individuals = 4, generations = 1, warmup_epochs = 1 }",
    ] {
        let strategy = format!("search.strategy={strategy}");
        let more = [
            "--set",
            strategy.as_str(),
            "--set",
            "search.space.nodes=2",
            "--set",
            "search.supernet.epochs=2",
            "--set",
            "search.supernet.discretise=perturbation",
            "--set",
            "search.supernet.tune_epochs=1",
        ];
        let ran = home.done("whole", &more);
        assert!(ran.stderr.contains("supernet: 7 epochs"), "{}", ran.stderr);
        let folder = home.path("whole");
        let whole = left(&folder);
        let file = folder.join("perturbation.jsonl");
        let answers = lines(&file);
        // Five edges of four candidates and one node of three edges, in two cells.
        assert_eq!(answers.len(), 2 * (5 * 4 + 3));
        // Two epochs before the first decision, one between two of six.
        assert_eq!(whole.0.lines().count(), 2 + 5);
        let genotype: serde_json::Value = serde_json::from_str(&whole.1).expect("JSON");
        let candidates = [
            "sep_conv_3x3@feedback-alignment/brsf",
            "sep_conv_3x3@backprop",
            "skip_connect",
            "max_pool_3x3",
        ];
        let ends = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
        for cell in ["normal", "reduce"] {
            let accuracy = |edge: usize, candidate: Option<usize>| {
                let found = answers.iter().find(|a| {
                    a["cell"] == cell
                        && a["edge"] == edge
                        && a["candidate"].as_u64() == candidate.map(|k| k as u64)
                });
                found.expect("an answer")["accuracy"].as_f64().expect("one")
            };
            let mut worst = 2;
            for edge in 2..5 {
                if accuracy(edge, None) >= accuracy(worst, None) {
                    worst = edge;
                }
            }
            let stays: Vec<usize> = (0..5).filter(|edge| *edge != worst).collect();
            let edges = genotype[cell]["edges"].as_array().expect("edges");
            assert_eq!(edges.len(), 4);
            for (edge, row) in edges.iter().zip(stays) {
                assert_eq!(
                    (edge["from"].as_u64(), edge["node"].as_u64()),
                    (Some(ends[row].0), Some(ends[row].1))
                );
                let mut least = 0;
                for candidate in 1..4 {
                    if accuracy(row, Some(candidate)) < accuracy(row, Some(least)) {
                        least = candidate;
                    }
                }
                assert_eq!(edge["op"], candidates[least], "{cell} {row}");
            }
        }
        // The rate is a tenth once decisions are made.
        let rates = metric(&folder, "rate");
        assert!(rates[1] > 0.0025 && rates[2] <= 0.0025, "{rates:?}");
        let killed = home.path("killed").join("perturbation.jsonl");
        for least in [2, 11, 43] {
            kill_at(home.search("killed", &more), &killed, least);
        }
        home.done("killed", &more);
        assert_eq!(answers, lines(&killed), "{strategy}");
        let killed = left(&home.path("killed"));
        assert_eq!(whole.0, killed.0, "{strategy}: parameters");
        assert_eq!(whole.1, killed.1, "{strategy}: genotype");
        assert!(whole.2 == killed.2, "{strategy}: weights differ");
        if strategy.ends_with("gdas") {
            let inside = [
                "--set",
                "search.strategy=random",
                "--set",
                "search.space.nodes=2",
                "--set",
                "search.evaluator={ kind = \"supernet\", run = \"whole\" }",
            ];
            let text = SMALL.replace("[search.supernet]", "[unused]");
            let text: String = text.split("[unused]").next().expect("a part").to_owned();
            std::fs::write(home.path("random.toml"), text).expect("written");
            let ran = Run::new(["search", "random.toml", "--run-dir", "refused"])
                .dir(home.folder())
                .arguments(&inside)
                .finish();
            assert_eq!(ran.code, Some(2), "{}", ran.stderr);
            assert!(ran.stderr.contains("made discrete"), "{}", ran.stderr);
        }
        for name in ["whole", "killed"] {
            std::fs::remove_dir_all(home.path(name)).expect("removed");
        }
    }
}

#[test]
fn an_auxiliary_skip_fades_and_zero_one_draws_weights_to_the_ends() {
    let home = Home::new(SMALL);
    let with = |name: &str, strategy: &str| {
        let set = format!("search.strategy={strategy}");
        home.done(name, &["--set", &set]);
        lines(&home.path(name).join("alphas.jsonl"))
    };
    let plain = with("plain", "darts");
    let skipped = with("skipped", "{ kind = \"darts\", auxiliary_skip = 0.6 }");
    let weights = metric(&home.path("skipped"), "search/auxiliary_skip");
    for (epoch, weight) in weights.iter().enumerate() {
        assert!(
            (weight - 0.6 * (6 - epoch) as f64 / 6.0).abs() < 1e-12,
            "{weights:?}"
        );
    }
    // The first parameters are the same; what is learned is not, and no table has another shape.
    let shape = |all: &[serde_json::Value]| {
        let rows = all[5]["alphas"]["normal"].as_array().expect("rows");
        rows.iter()
            .map(|r| r.as_array().expect("a row").len())
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&plain), [5, 5]);
    assert_eq!(shape(&plain), shape(&skipped));
    assert_ne!(plain, skipped);
    let apart = |all: &[serde_json::Value]| -> f64 {
        let tables = all[5]["alphas"].as_object().expect("tables").values();
        let rows = tables.flat_map(|t| t.as_array().expect("rows"));
        let alphas = rows.flat_map(|r| r.as_array().expect("a row"));
        alphas.map(|a| a.as_f64().expect("a number").abs()).sum()
    };
    let free = with("free", "{ kind = \"darts\", sigmoid = true }");
    let drawn = with(
        "drawn",
        "{ kind = \"darts\", sigmoid = true, zero_one = 100 }",
    );
    assert!(
        apart(&drawn) > apart(&free),
        "{} {}",
        apart(&drawn),
        apart(&free)
    );
}

#[test]
fn the_released_exploration_has_one_round_and_reads_running_statistics() {
    let home = Home::new(SMALL);
    let with = |name: &str, settings: &str| {
        let set = format!(
            "search.strategy={{ kind = \"eg\", individuals = 4, generations = 1, warmup_epochs = 1, {settings} }}"
        );
        home.done(name, &["--set", &set]);
        lines(&home.path(name).join("alphas.jsonl"))
    };
    let one = with("one", "variant = \"released\", rounds = 1");
    // All rounds are the same.
    assert_eq!(one, with("three", "variant = \"released\", rounds = 3"));
    let intended = with("intended", "rounds = 1");
    assert_ne!(one, intended);
    let running = with("running", "rounds = 1, running_statistics = true");
    assert_ne!(intended, running);
    // Two softmaxes over rows of length 1 leave no more than this between two of five candidates,
    // and a step is a tenth of it.
    let spread = |line: &serde_json::Value| -> f64 {
        let rows = line["alphas"]["normal"].as_array().expect("rows");
        let mut most = 0.0f64;
        for row in rows {
            let row: Vec<f64> = row
                .as_array()
                .expect("a row")
                .iter()
                .filter_map(|a| a.as_f64())
                .collect();
            let largest = row.iter().copied().fold(f64::MIN, f64::max);
            let least = row.iter().copied().fold(f64::MAX, f64::min);
            most = most.max(largest - least);
        }
        most
    };
    // The start is noise of deviation 0.001; five explorations follow.
    assert!(
        spread(&one[5]) < 0.01 + 5.0 * 0.1 * 0.1,
        "{}",
        spread(&one[5])
    );
    assert!(spread(&intended[5]) > spread(&one[5]));
}
