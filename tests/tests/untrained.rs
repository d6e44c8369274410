//! Searches whose values cost no training, with the real binary and plugins: proxies, genotypes
//! inside a trained supernet, and how they rank genotypes as training does.

use std::path::PathBuf;

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::searching::{self, evaluations, json, kill_at};
use serde_json::Value;

/// What all searches here have in common.
const COMMON: &str = r#"
name = "small"
device = "cpu"

[data]
set = "digits"
validation = 300
limit_train = 900
limit_test = 32

[network]
channels = 4
cells = 3

[search.space]
nodes = 2
operations = ["sep_conv_3x3", "conv_1x1", "skip_connect", "max_pool_3x3"]
rules = ["feedback-alignment/usf", "backprop"]

[training.gradient]
epochs = 1
batch = 32
optimizer = { kind = "adam", lr = 0.01 }

[output]
tensorboard = false
"#;

const SUPERNET: &str = r#"
[data.parts]
weights = ":50%"
architecture = "50%:"

[search]
strategy = { kind = "gdas", warmup_epochs = 40 }

[search.supernet]
channels = 4
cells = 3
epochs = 40
batch = 32
lr = 0.1
"#;

struct Home(searching::Home);

impl Home {
    fn new() -> Self {
        let home = searching::Home::new(COMMON);
        std::fs::write(home.path("supernet.toml"), SUPERNET).expect("written");
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// A search in the folder `name` with these settings.
    fn search(&self, name: &str, sets: &[&str]) -> Run {
        self.0.search(name, &[]).sets(sets)
    }

    fn done(&self, name: &str, sets: &[&str]) -> Ran {
        self.search(name, sets).done()
    }

    /// Trains the supernet in `D`.
    fn supernet(&self, sets: &[&str]) {
        let run = Run::new([
            "search",
            "search.toml",
            "supernet.toml",
            "--run-dir",
            "D",
            "-q",
        ]);
        run.dir(self.0.folder()).sets(sets).done();
    }

    fn refused(&self, sets: &[&str], says: &str) {
        let ran = self.search("refused", sets).finish();
        assert_eq!(ran.code, Some(2), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{sets:?}: {}", ran.stderr);
        assert!(!self.path("refused").exists(), "{sets:?} made a folder");
    }
}

const PROXY: &str = "search.evaluator=proxy";

#[test]
fn a_proxy_decides_without_training_and_the_winner_is_trained_at_the_end() {
    let home = Home::new();
    let sets = [
        PROXY,
        "search.strategy={ kind = \"evolution\", evaluations = 40, population = 10, sample = 3 }",
        "search.final={ random = 1 }",
        "data.validation=0",
    ];
    let ran = home.done("proxy", &sets);
    assert!(
        ran.stderr.contains("proxies do not see rules"),
        "{}",
        ran.stderr
    );
    let root = home.path("proxy");
    assert!(!root.join("evaluations").exists());
    let all = evaluations(&root);
    assert_eq!(all.len(), 40);
    let score = |v: &Value| v["values"]["score"].as_f64().expect("a score");
    let best = all.iter().map(score).fold(f64::MIN, f64::max);
    let record = json(&root.join("search.json"));
    assert_eq!(record["found"]["values"]["score"].as_f64(), Some(best));
    assert_eq!(record["cost"]["trained"], 0);
    assert!(root.join("final/winner/run.json").is_file());
    // A genotype is scored once; asked again, all is there.
    let scores = std::fs::read_to_string(root.join("scores.jsonl")).expect("scores");
    home.done("proxy", &sets);
    let again = std::fs::read_to_string(root.join("scores.jsonl")).expect("scores");
    assert_eq!(scores, again);
    assert_eq!(all, evaluations(&root));
    // Numbers of the network, more of which is taken for better.
    for of in ["parameters", "multiply_adds"] {
        let evaluator = format!("search.evaluator={{ kind = \"proxy\", of = \"{of}\" }}");
        let objectives = format!("search.objectives=[\"score\", \"{of}\"]");
        let random = "search.strategy={ kind = \"random\", evaluations = 10 }";
        home.done(of, &[&evaluator, &objectives, random]);
        let all = evaluations(&home.path(of));
        assert!(all.iter().all(|v| v["values"]["score"] == v["values"][of]));
        let most = all.iter().map(score).fold(f64::MIN, f64::max);
        let found = json(&home.path(of).join("search.json"));
        assert_eq!(found["found"]["values"]["score"].as_f64(), Some(most));
    }
}

#[test]
fn a_list_is_evaluated_in_its_order_and_rules_alone_make_no_difference() {
    let home = Home::new();
    let space = [
        "genotype",
        "random",
        "--operations",
        "sep_conv_3x3,conv_1x1,skip_connect,max_pool_3x3",
        "--rules",
        "feedback-alignment/usf,backprop",
    ];
    // Its cells have four nodes.
    let drawn = Run::new(space)
        .dir(home.0.folder())
        .arguments(&["--count", "2"]);
    std::fs::write(home.path("list.jsonl"), drawn.stdout()).expect("written");
    let list = "search.strategy={ kind = \"list\", file = \"list.jsonl\" }";
    home.refused(
        &[PROXY, list],
        "`list.jsonl`: line 1: cell `normal` has 4 intermediate nodes",
    );
    let nodes = "search.space.nodes=4";
    home.done("two", &[PROXY, list, nodes]);
    let all = evaluations(&home.path("two"));
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["origin"], "listed");
    assert_ne!(all[0]["values"], all[1]["values"]);
    // The rules of one, drawn anew.
    std::fs::write(home.path("one.json"), all[0]["genotype"].to_string()).expect("written");
    let mixed =
        Run::new(space)
            .dir(home.0.folder())
            .arguments(&["--rules-of", "one.json", "--count", "3"]);
    std::fs::write(home.path("list.jsonl"), mixed.stdout()).expect("written");
    let ran = home.done("rules", &[PROXY, list, nodes]);
    assert!(ran.stderr.contains("have the same value"), "{}", ran.stderr);
    let rules = evaluations(&home.path("rules"));
    assert!(rules.iter().all(|v| v["values"] == all[0]["values"]));
    home.refused(&[list, "search.strategy.file=\"none.jsonl\""], "none.jsonl");
}

#[test]
fn genotypes_are_evaluated_inside_a_trained_supernet_and_ranked_against_training() {
    let home = Home::new();
    home.supernet(&[]);
    // Inside of it, by both kinds of statistics; nothing is trained.
    let inside = |statistics: &str| {
        format!(
            "search.evaluator={{ kind = \"supernet\", run = \"D/supernet\", statistics = \"{statistics}\" }}"
        )
    };
    let random = "search.strategy={ kind = \"random\", evaluations = 12 }";
    let accuracy = |v: &Value| v["values"]["accuracy"].as_f64().expect("an accuracy");
    let mut found = Vec::new();
    for statistics in ["fresh", "stale"] {
        let sets = [inside(statistics), random.to_owned()];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        home.done(statistics, &sets);
        assert!(!home.path(statistics).join("evaluations").exists());
        let all = evaluations(&home.path(statistics));
        // Killed at each third value, it finds the same.
        for least in [1, 4, 7] {
            let file = home.path("killed").join("scores.jsonl");
            kill_at(home.search("killed", &sets), &file, least);
        }
        home.done("killed", &sets);
        assert_eq!(all, evaluations(&home.path("killed")));
        std::fs::remove_dir_all(home.path("killed")).expect("removed");
        found.push(all.iter().map(accuracy).collect::<Vec<f64>>());
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert_ne!(found[0], found[1]);
    // Far above one in ten by the statistics of the genotype itself.
    assert!(mean(&found[0]) > 0.2, "{found:?}");
    // The same genotypes after training, and what is compared with that.
    let rank = [
        "search.strategy={ kind = \"random\", evaluations = 6 }",
        "search.rank={ supernet = \"D\" }",
    ];
    let ran = home.done("rank", &rank);
    assert!(ran.stdout.contains("Kendall's τ"), "{}", ran.stdout);
    assert!(ran.stdout.contains("lost by deriving"), "{}", ran.stdout);
    let root = home.path("rank");
    let ranking = json(&root.join("rank.json"));
    let csv = std::fs::read_to_string(root.join("rank.csv")).expect("a table");
    let mut rows = csv.lines().map(|l| l.split(',').collect::<Vec<&str>>());
    let head = rows.next().expect("a head");
    let rows: Vec<Vec<&str>> = rows.collect();
    assert_eq!(head[2..5], ["trained", "supernet-fresh", "supernet-stale"]);
    let column = |name: &str| -> Vec<f64> {
        let at = head.iter().position(|h| *h == name).expect("a column");
        rows.iter()
            .map(|r| r[at].parse().expect("a number"))
            .collect()
    };
    // The first six of the twelve are these.
    for (name, all) in [("supernet-fresh", &found[0]), ("supernet-stale", &found[1])] {
        assert_eq!(column(name), all[..rows.len()], "{name}");
    }
    let trained = column("trained");
    for one in ranking["values"].as_array().expect("values") {
        let name = one["by"].as_str().expect("a name");
        let tau = one["tau"].as_f64();
        let ours = tau_b(&column(name), &trained);
        match (tau, ours) {
            (Some(tau), Some(ours)) => assert!((tau - ours).abs() < 1e-12, "{name}"),
            (tau, ours) => assert_eq!(tau, ours, "{name}"),
        }
    }
    let supernet = &ranking["supernet"];
    let derived = json(&home.path("D/search.json"));
    assert_eq!(supernet["hash"], derived["found"]["hash"]);
    assert_eq!(supernet["trained"], derived["found"]["values"]["accuracy"]);
    // Killed in the ranking, it goes on to the same.
    let file = home.path("cut").join("scores.jsonl");
    kill_at(home.search("cut", &rank), &file, 3);
    home.done("cut", &rank);
    for name in ["rank.json", "rank.csv"] {
        let read = |folder: &str| std::fs::read_to_string(home.path(folder).join(name));
        assert_eq!(read("rank").expect("a file"), read("cut").expect("a file"));
    }
    // Other searches than that of the supernet.
    let fresh = inside("fresh");
    for (sets, says) in [
        (vec!["search.space.nodes=3"], "another space"),
        (
            vec!["search.space.operations=[\"dil_conv_3x3\", \"conv_1x1\"]"],
            "no candidate `dil_conv_3x3@feedback-alignment/usf`",
        ),
        (
            vec!["search.space.rules=[\"feedback-alignment/usf\", \"feedback-alignment/fa\"]"],
            "another space",
        ),
        (
            vec!["network.rule_scope=\"ops+skip\""],
            "`network.rule_scope` is `ops` there",
        ),
        (
            vec!["data.validation=200"],
            "`data.validation` is 300.0 there",
        ),
        (vec!["data.split_seed=4"], "`data.split_seed`"),
        (vec!["data.limit_train=800"], "`data.limit_train`"),
        (vec!["data.normalize=\"standard\""], "`data.normalize`"),
    ] {
        let all: Vec<&str> = [fresh.as_str(), random].into_iter().chain(sets).collect();
        home.refused(&all, says);
    }
}

/// Kendall's τ-b from the sums of signs, another way than the program's.
fn tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    let sign = |v: f64| if v == 0.0 { 0.0 } else { v.signum() };
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for i in 0..x.len() {
        for j in 0..x.len() {
            let (a, b) = (sign(x[i] - x[j]), sign(y[i] - y[j]));
            (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
        }
    }
    (xx * yy > 0.0).then(|| xy / f64::sqrt(xx * yy))
}

#[test]
fn what_has_no_value_is_refused_before_anything_runs() {
    let home = Home::new();
    let supernet = "search.evaluator={ kind = \"supernet\", run = \"nowhere/supernet\" }";
    for (sets, says) in [
        (
            vec!["search.evaluator={ kind = \"proxy\", of = \"sinflow\" }"],
            "`synflow`",
        ),
        (vec!["search.evaluator=proxi"], "`proxy`"),
        (
            vec![PROXY, "search.objectives=[\"accuracy\"]"],
            "where nothing is trained",
        ),
        (
            vec![PROXY, "search.bounds.accuracy=0.5"],
            "where nothing is trained",
        ),
        (vec!["search.objectives=[\"score\"]"], "what a proxy says"),
        (vec![PROXY, "search.strategy=halving"], "trains nothing"),
        (vec![PROXY, "search.strategy=darts"], "by training it"),
        (
            vec![
                PROXY,
                "search.space.operations=[\"conv_1x1\"]",
                "search.space.nodes=1",
            ],
            "all genotypes have the same value",
        ),
        (
            vec![PROXY, "search.rank={ by = [\"synflow\"] }"],
            "after training",
        ),
        (vec!["search.rank={ by = [\"synflo\"] }"], "synflow"),
        (vec!["search.rank={ by = [] }"], "empty"),
        (
            vec!["search.rank={ by = [\"synflow\", \"synflow\"] }"],
            "twice",
        ),
        (vec!["search.rank={}"], "no `search.rank.supernet` is named"),
        (
            vec!["search.rank={ by = [\"synflow\"], supernet = \"D\" }"],
            "names no value inside",
        ),
        (vec!["search.rank={ bye = [\"synflow\"] }"], "`by`"),
        (vec![supernet], "not the folder of a trained supernet"),
        (vec!["search.evaluator={ kind = \"supernet\" }"], "run"),
        (
            vec!["search.evaluator={ kind = \"supernet\", run = \"D\", statistics = \"frsh\" }"],
            "`fresh`",
        ),
    ] {
        home.refused(&sets, says);
    }
}
