//! `biorule search` with the real binary and plugins: the same seed finds the same, whatever kills it
//! on the way; what cannot be searched is refused before anything runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;

use biorule_tests::plugins::{Run, specimen};
use biorule_tests::processes::{signal, until_by};
use biorule_tests::runs;
use biorule_tests::searching::{Home, evaluations, json};
use serde_json::Value;

/// A search whose evaluations take a second: two rules, cells of one node.
const SMALL: &str = r#"
name = "small"
device = "cpu"
data = { set = "digits", validation = 64, limit_train = 192, limit_test = 32 }

[network]
channels = 4
cells = 3

[search]
objectives = ["accuracy", "parameters"]
strategy = { kind = "evolution", evaluations = 5, population = 3, sample = 2 }

[search.space]
nodes = 1
operations = ["sep_conv_3x3", "conv_1x1", "skip_connect"]
rules = ["feedback-alignment/usf", "backprop"]

[training.gradient]
epochs = 2
batch = 32
optimizer = { kind = "adam", lr = 0.01 }

[output]
tensorboard = false
"#;

/// What a search with further arguments says that is refused with `code`.
fn refused(home: &Home, more: &[&str], code: i32) -> String {
    let ran = home.search("refused", more).finish();
    assert_eq!(ran.code, Some(code), "{more:?}: {}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{more:?}: {}", ran.stderr);
    ran.stderr
}

/// The weights of every run below `folder`, by the run's folder.
fn weights(folder: &Path) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("evaluations")).expect("runs") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        all.insert(name, runs::weights(&path));
    }
    all
}

/// Two searches found the same, in the same way.
fn same(a: &Path, b: &Path) {
    assert_eq!(evaluations(a), evaluations(b));
    assert_eq!(
        json(&a.join("genotype.json")),
        json(&b.join("genotype.json"))
    );
    let front = |folder: &Path| std::fs::read(folder.join("front.csv")).expect("a front");
    assert_eq!(front(a), front(b));
    assert!(weights(a) == weights(b), "weights differ");
}

/// Starts `run` and returns once `file` is there.
fn started(run: Run, file: &Path) -> Child {
    let mut child = run.start();
    let what = format!("{} is there", file.display());
    until_by(&mut child, &what, 240, || file.exists());
    child
}

/// The folder of a request, by its number, where it is there.
fn evaluation(folder: &Path, number: usize) -> Option<PathBuf> {
    let start = format!("{number:04}-");
    let entries = std::fs::read_dir(folder.join("evaluations")).ok()?;
    let mut paths = entries.flatten().map(|e| e.path());
    paths.find(|p| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(&start))
    })
}

#[test]
fn a_search_killed_on_its_way_finds_what_one_left_alone_finds() {
    let home = Home::new(SMALL);
    let (whole, pieces) = (home.path("whole"), home.path("pieces"));
    let text = home.search("whole", &[]).stdout();
    for says in [
        "genotype: whole/genotype.json",
        "drawing: whole/normal.svg",
        "not dominated",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let record = json(&whole.join("search.json"));
    assert_eq!(record["state"], "finished");
    assert_eq!(record["cost"]["evaluations"], 5);
    assert!(record["cost"]["multiply_adds"].as_f64().expect("a cost") > 0.0);
    // Killed in its first evaluation, then in its third, then asked to stop.
    for number in [0, 2] {
        let first = evaluation(&whole, number).expect("a run");
        let name = first.file_name().expect("a name");
        let begun = pieces.join("evaluations").join(name).join("run.json");
        let mut child = started(home.search("pieces", &[]), &begun);
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let third = evaluation(&whole, 3).expect("a run");
    let begun = pieces
        .join("evaluations")
        .join(third.file_name().expect("a name"))
        .join("run.json");
    let mut child = started(home.search("pieces", &[]), &begun);
    assert!(signal("TERM", child.id()));
    assert_eq!(child.wait().expect("ended").code(), Some(75));
    assert_eq!(json(&pieces.join("search.json"))["state"], "stopped");
    home.search("pieces", &[]).stdout();
    same(&whole, &pieces);
    // Two that were killed, one that was stopped and this one are all counted.
    let written = std::fs::read_to_string(pieces.join("processes.jsonl")).expect("processes");
    let lines = written.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.map(|l| l.expect("JSON")).collect();
    let starts: Vec<u64> = lines.iter().filter_map(|l| l["start"].as_u64()).collect();
    assert_eq!(starts, [1, 2, 3, 4]);
    let cost = &json(&pieces.join("search.json"))["cost"];
    assert_eq!(cost["processes"], 4);
    for (key, of) in [
        ("process_seconds", "seconds"),
        ("cpu_seconds", "cpu_seconds"),
    ] {
        let all: f64 = lines.iter().filter_map(|l| l[of].as_f64()).sum();
        let shown = cost[key].as_f64().unwrap_or(0.0);
        assert!((shown - all).abs() < 1.0, "{key}: {shown} {all}");
        let last = lines[3][of].as_f64().unwrap_or(0.0);
        assert!(shown >= last, "{key}: {shown} {last}");
    }
    // Finished, it says the same again and trains nothing.
    let before = weights(&pieces);
    let again = home.search("pieces", &["-q"]).stdout();
    let stable = |text: &str| {
        let lines = text.lines().filter(|l| !l.starts_with("cost"));
        lines
            .map(|l| l.replace("pieces", "whole"))
            .collect::<Vec<_>>()
    };
    assert_eq!(stable(&again), stable(&text));
    assert!(before == weights(&pieces));
    // Other settings are another search, and which is said.
    for (set, path) in [
        (
            "search.strategy.evaluations=6",
            "`search.strategy.evaluations`",
        ),
        ("training.gradient.epochs=3", "epochs`"),
        ("network.channels=6", "`network.channels`"),
        (
            "search.space.exclude=[\"conv_1x1\"]",
            "`search.space.exclude`",
        ),
        ("search.bounds.parameters=1e6", "`search.bounds.parameters`"),
    ] {
        let ran = home.search("pieces", &["--set", set]).finish();
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("another configuration"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains(path), "{set}: {}", ran.stderr);
    }
    let ran = home.search("pieces", &["--seed", "1"]).finish();
    assert!(
        ran.code == Some(2) && ran.stderr.contains("`seeds`"),
        "{}",
        ran.stderr
    );
    // What was found trains by the same file, in another folder.
    let trained = home.path("trained");
    let train = |folder: &str| {
        Run::new([
            "train",
            "search.toml",
            "--genotype",
            "pieces",
            "-q",
            "--run-dir",
            folder,
        ])
        .dir(home.folder())
        .finish()
    };
    let ran = train("trained");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(trained.join("run.json").is_file());
    let ran = train("pieces");
    assert!(
        ran.code == Some(2) && ran.stderr.contains("holds a search"),
        "{}",
        ran.stderr
    );
    // The saved configuration is the search.
    let saved = pieces.join("config.toml");
    let saved = saved.to_str().expect("a path");
    let ran = Run::new(["search", saved, "--run-dir", "pieces", "-q"])
        .dir(home.folder())
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn the_same_seed_finds_the_same_and_another_something_else() {
    let home = Home::new(SMALL);
    let less = [
        "-q",
        "--set",
        "search.strategy={ kind = \"random\", evaluations = 2 }",
    ];
    home.search("a", &less).stdout();
    home.search("b", &less).stdout();
    same(&home.path("a"), &home.path("b"));
    let other: Vec<&str> = less.iter().copied().chain(["--seed", "7"]).collect();
    home.search("c", &other).stdout();
    assert_ne!(evaluations(&home.path("a")), evaluations(&home.path("c")));
}

#[test]
fn halving_trains_longer_what_it_keeps_and_others_are_trained_alike() {
    let home = Home::new(SMALL);
    let more = [
        "-q",
        "--set",
        "search.strategy={ kind = \"halving\", genotypes = 2, keep = 2 }",
        "--set",
        "search.final={ epochs = 0.5, random = 1, random_rules = 1 }",
    ];
    let text = home.search("h", &more).stdout();
    let folder = home.path("h");
    let epochs = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("metrics.csv")).expect("metrics");
        text.lines().count() - 1
    };
    let all = [0, 1, 2].map(|n| epochs(&evaluation(&folder, n).expect("a run")));
    assert_eq!(all, [1, 1, 2]);
    let found = &json(&folder.join("search.json"))["found"];
    assert_eq!(found["number"], 2);
    let trained = found["trained"].as_array().expect("trainings");
    let names: Vec<&str> = trained.iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(names, ["winner", "random-0", "random-rules-0"]);
    assert_eq!(trained[0]["hash"], found["hash"]);
    for (name, one) in names.iter().zip(trained) {
        let run = folder.join("final").join(name);
        let result = &json(&run.join("run.json"));
        assert_eq!(result["seed"], 1, "not that of the search");
        assert_eq!(result["results"]["test/accuracy"], one["test_accuracy"]);
        assert_eq!(epochs(&run), 1);
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_network_past_a_bound_is_not_trained() {
    let home = Home::new(SMALL);
    let random = "search.strategy={ kind = \"random\", evaluations = 6 }";
    home.search(
        "free",
        &["-q", "--set", random, "--set", "training.gradient.epochs=1"],
    )
    .stdout();
    let sizes: Vec<f64> = evaluations(&home.path("free"))
        .iter()
        .map(|e| e["values"]["parameters"].as_f64().expect("a size"))
        .collect();
    let (least, most) = sizes
        .iter()
        .fold((f64::MAX, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
    assert!(least < most, "{sizes:?}");
    let bound = format!("search.bounds.parameters={least}");
    let args = [
        "-q",
        "--set",
        random,
        "--set",
        "training.gradient.epochs=1",
        "--set",
        &bound,
    ];
    home.search("bound", &args).stdout();
    for (one, size) in evaluations(&home.path("bound")).iter().zip(&sizes) {
        let is_same = !one["same_as"].is_null();
        assert_eq!(one["folder"].is_null(), *size > least || is_same, "{one}");
        assert_eq!(one["values"]["accuracy"].is_null(), *size > least, "{one}");
    }
    let none = ["--set", random, "--set", "search.bounds.parameters=10"];
    let said = refused(&home, &none, 2);
    assert!(
        said.contains("none of the 6 genotypes keeps all bounds"),
        "{said}"
    );
}

const CELL: [&str; 3] = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|",
];

#[test]
fn a_table_answers_in_place_of_trainings() {
    // Every cell of two candidates.
    let mut rows = String::from("architecture,accuracy,parameters\n");
    for code in 0..64u32 {
        let op = |i: u32| match code >> i & 1 {
            0 => "skip_connect",
            _ => "nor_conv_3x3",
        };
        let cell = format!(
            "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|",
            op(0),
            op(1),
            op(2),
            op(3),
            op(4),
            op(5)
        );
        let (accuracy, size) = (90.0 + f64::from(code.count_ones()), 10 + code);
        rows.push_str(&format!("{cell},{accuracy},{size}\n"));
    }
    let config = "[search]\n\
        objectives = [\"accuracy\", \"parameters\"]\n\
        evaluator = { kind = \"table\", file = \"table.csv\" }\n\
        strategy = { kind = \"evolution\", evaluations = 200, population = 10, sample = 4 }\n\
        [search.space]\n\
        network = \"nasbench201\"\n\
        operations = [\"skip_connect\", \"conv_3x3\"]\n";
    let home = Home::new(config);
    std::fs::write(home.path("table.csv"), &rows).expect("written");
    let text = home.search("t", &[]).stdout();
    assert!(
        text.contains("96.00 %") && text.contains("drawing: t/cell.svg"),
        "{text}"
    );
    let front = std::fs::read_to_string(home.path("t/front.csv")).expect("a front");
    assert!(front.lines().count() > 2, "{front}");
    let shown = Run::new(["genotype", "show", "t"])
        .dir(home.folder())
        .stdout();
    assert_eq!(shown.matches("conv_3x3").count(), 6, "{shown}");
    assert!(!home.path("t/evaluations").exists());
    // A setting of trainings has no effect, and that is said.
    let ran = home.search("t", &["--set", "network.channels=8"]).finish();
    assert!(
        ran.stderr.contains("`network`") && ran.stderr.contains("no effect"),
        "{}",
        ran.stderr
    );
    // Cells that are not in the table, and columns that are not.
    std::fs::write(
        home.path("table.csv"),
        format!("architecture,accuracy\n{},9\n", CELL[0]),
    )
    .expect("written");
    let said = refused(&home, &[], 2);
    assert!(said.contains("no number `parameters`"), "{said}");
    std::fs::write(
        home.path("table.csv"),
        format!("architecture,accuracy\n{},9\n{},8\n", CELL[1], CELL[2]),
    )
    .expect("written");
    let said = refused(&home, &["--set", "search.objectives=[\"accuracy\"]"], 3);
    assert!(said.contains("has no architecture"), "{said}");
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_runs() {
    let home = Home::new(SMALL);
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["search.space.operations=[\"sepconv_3x3\"]"],
            2,
            "sep_conv_3x3",
        ),
        (&["search.space.operations=[]"], 2, "no candidates"),
        (
            &["search.space.operations=[\"conv_1x1\", \"conv_1x1\"]"],
            2,
            "twice",
        ),
        (
            &["search.space.rules=[\"backprop\", \"backprop\"]"],
            2,
            "twice",
        ),
        (
            &[
                "search.space.operations=[\"none\"]",
                "search.space.rules=[]",
            ],
            2,
            "none",
        ),
        (
            &["search.space.operations=[\"skip_connect\"]"],
            2,
            "no candidate has it",
        ),
        (&["search.space.rules=[\"backpropp\"]"], 4, "`backprop`"),
        (&["search.space.rules=[\"none-such\"]"], 4, "searched"),
        (
            &["search.space.params={ backprop = { lrr = 1 } }"],
            2,
            "lrr",
        ),
        (
            &["search.space.exclude=[\"conv_3x3\"]"],
            2,
            "no candidate of the space",
        ),
        (&["search.space=bionass"], 2, "`bionas`"),
        (&["search.space.nmae=bionas"], 2, "`name`"),
        (
            &["search.space={ name = \"bionas\", rules = [\"backprop\"] }"],
            2,
            "no meaning beside",
        ),
        (&["search.strategy=evolutoin"], 2, "`evolution`"),
        (
            &["search.strategy=random", "search.strategy.population=3"],
            2,
            "population",
        ),
        (&["search.strategy.evaluations=0"], 2, "1 "),
        (
            &["search.strategy={ kind = \"halving\", genotypes = 0 }"],
            2,
            "1 ",
        ),
        (
            &["search.strategy={ kind = \"halving\", keep = 1 }"],
            2,
            "2 ",
        ),
        (&["search.strategy.sample=4"], 2, "population"),
        (&["search.objectives=[\"acuracy\"]"], 2, "`accuracy`"),
        (&["search.objectives=[]"], 2, "empty"),
        (
            &["search.objectives=[\"accuracy\", \"accuracy\"]"],
            2,
            "twice",
        ),
        (&["search.robustness=pgd"], 2, "is no objective"),
        (&["search.bounds.parametres=5"], 2, "`parameters`"),
        (&["search.evaluator=tabel"], 2, "`table`"),
        (&["search.evaluator={ kind = \"table\" }"], 2, "file"),
        (&["search.stratgy=random"], 2, "`strategy`"),
        (&["network.channels=5"], 2, "divided by 2"),
        (&["network.genotype=DARTS_V2"], 2, "what a search finds"),
        (&["data.resize=[7, 7]"], 2, "8x8"),
        (&["data.validation=0"], 2, "`data.validation = 0.2`"),
        (&["training.gradient.evaluate_every=0"], 2, "evaluate_every"),
        (&["seeds=[0, 1]"], 2, "one seed"),
    ];
    for (sets, code, says) in cases {
        let ran = home.search("refused", &[]).sets(sets).finish();
        assert_eq!(ran.code, Some(*code), "{sets:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{sets:?}: {}", ran.stderr);
        assert!(!home.path("refused").exists(), "{sets:?} made a folder");
    }
    // A rule that cannot serve a candidate's layer, by its name.
    let local = "search.space.rules=[\"krotov\"]";
    let ran = home.search("refused", &["--set", local]).finish();
    assert_ne!(ran.code, Some(0), "{}", ran.stdout);
    // The other commands say which takes such a file.
    for verb in [
        vec!["train"],
        vec!["train", "--dry-run"],
        vec!["config", "show"],
    ] {
        let ran = Run::new(verb.iter().copied().chain(["search.toml"]))
            .dir(home.folder())
            .finish();
        if verb[0] == "train" {
            assert_eq!(ran.code, Some(2), "{}", ran.stderr);
            assert!(ran.stderr.contains("`biorule search`"), "{}", ran.stderr);
        } else {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            assert!(ran.stdout.contains("[search.space]"), "{}", ran.stdout);
        }
    }
    let ran = Run::new(["search", "search.toml", "--dry-run"])
        .dir(home.folder())
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!home.path("runs").exists());
}

#[test]
fn a_folder_is_for_one_search_at_a_time() {
    let home = Home::new(SMALL);
    let file = home.path("here").join("search.json");
    let mut child = started(home.search("here", &[]), &file);
    let ran = home.search("here", &[]).finish();
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    for (resume, folder, says) in [
        ("never", "here", "holds a search already"),
        ("must", "elsewhere", "no search to go on with"),
    ] {
        let ran = home.search(folder, &["--resume", resume]).finish();
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_rule_in_a_folder_of_its_own_enters_a_space_by_its_name() {
    let home = Home::new(SMALL);
    let said = refused(&home, &["--set", "search.space.rules=[\"specimen\"]"], 4);
    assert!(said.contains("`specimen`"), "{said}");
    let plugins = home.path("plugins");
    std::fs::create_dir_all(&plugins).expect("a folder");
    std::fs::copy(specimen("modes"), plugins.join("libmine.so")).expect("copied");
    let more = [
        "--plugins",
        "plugins",
        "--set",
        "search.space.rules=[\"specimen\"]",
        "--set",
        "search.space.operations=[\"conv_3x3\"]",
        "--set",
        "search.strategy={ kind = \"random\", evaluations = 2 }",
    ];
    let ran = home.search("mine", &more).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let genotype = std::fs::read_to_string(home.path("mine/genotype.json")).expect("one");
    assert!(genotype.contains("conv_3x3@specimen"), "{genotype}");
    assert!(ran.stdout.contains("--plugins plugins"), "{}", ran.stdout);
    // One that breaks its contract ends the search, and is named.
    let broken: Vec<&str> = more
        .into_iter()
        .chain([
            "--set",
            "search.space.params={ specimen = { mode = \"nan-forward\" } }",
        ])
        .collect();
    let ran = home.search("broken", &broken).finish();
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("plugins/libmine.so"), "{}", ran.stderr);
    assert_eq!(json(&home.path("broken/search.json"))["state"], "failed");
}

#[test]
fn a_training_that_diverges_is_an_answer() {
    let home = Home::new(SMALL);
    let more = [
        "--set",
        "training.gradient.optimizer={ kind = \"sgd\", lr = 1e30 }",
    ];
    let ran = home.search("nan", &more).finish();
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    let all = evaluations(&home.path("nan"));
    assert_eq!(all.len(), 5);
    for one in &all {
        assert!(one["values"]["accuracy"].is_null(), "{one}");
        assert!(one["values"]["parameters"].is_number(), "{one}");
    }
    assert_eq!(json(&home.path("nan/search.json"))["state"], "failed");
    // It is not tried again.
    let again = home.search("nan", &more).finish();
    assert_eq!(again.code, Some(5), "{}", again.stderr);
    assert!(
        again.stderr.contains("5 of 5 evaluations were there"),
        "{}",
        again.stderr
    );
}
