//! `biorule genotype` and `--genotype`, with the real binary and plugins.

use biorule_tests::plugins::Run;

fn text(arguments: &[&str]) -> String {
    Run::new(arguments).stdout()
}

/// Settings of a network so small that an epoch takes seconds.
const SMALL: [&str; 10] = [
    "--set",
    "network.channels=4",
    "--set",
    "network.cells=3",
    "--set",
    "data.limit_train=96",
    "--set",
    "data.limit_test=64",
    "--set",
    "training.gradient.epochs=1",
];

#[test]
fn forms_turn_into_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = text(&["genotype", "convert", "BIODARTS", "--to", "json"]);
    let file = folder.path().join("mine.json");
    std::fs::write(&file, &json).expect("written");
    let darts = text(&[
        "genotype",
        "convert",
        file.to_str().expect("a path"),
        "--to",
        "darts",
    ]);
    assert!(darts.contains("sep_conv_3x3_fr"), "{darts}");
    let log = folder.path().join("log.txt");
    std::fs::write(&log, format!("01/02 genotype = {darts}")).expect("written");
    let again = text(&["genotype", "show", log.to_str().expect("a path"), "--json"]);
    let own = text(&["genotype", "show", "BIODARTS", "--json"]);
    let cells = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        (value["normal"].clone(), value["reduce"].clone())
    };
    assert_eq!(cells(&again), cells(&own));
    let drawing = text(&["genotype", "convert", "BIODARTS", "--to", "svg"]);
    assert!(drawing.starts_with("<svg") && drawing.contains("feedback-alignment/frsf"));
    let listed = text(&["genotype", "show"]);
    assert!(listed.contains("DARTS_V2") && listed.contains("eg_nas_imagenet"));
    let counted = text(&["genotype", "count", "DARTS_V1", "--json"]);
    assert!(counted.contains("3169414"), "{counted}");
}

#[test]
fn a_genotype_trains_evaluates_and_says_its_blocks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mixed = folder.path().join("mixed.json");
    let mixed = mixed.to_str().expect("a path");
    // Any rule of a loaded plugin, by its name alone.
    text(&[
        "genotype",
        "random",
        "--operations",
        "sep_conv_3x3,dil_conv_3x3,skip_connect,avg_pool_3x3",
        "--rules",
        "kolen-pollack,backprop,feedback-alignment/usf",
        "--seed",
        "4",
        "-o",
        mixed,
    ]);
    let run = folder.path().join("run");
    let run = run.to_str().expect("a path");
    let mut train = vec!["train", "--genotype", mixed, "--run-dir", run, "-q"];
    train.extend(SMALL);
    train.extend(["--set", "network.drop_path=0.1"]);
    text(&train);
    text(&["eval", run]);
    let mut show = vec!["config", "show", "--genotype", mixed];
    show.extend(SMALL);
    let shown = text(&show);
    let again = folder.path().join("again.toml");
    std::fs::write(&again, &shown).expect("written");
    let shown_again = text(&["config", "show", again.to_str().expect("a path")]);
    assert_eq!(
        shown, shown_again,
        "a configuration that was shown is the same"
    );
    for cells in [vec!["--space", "nasbench201"], vec!["--space", "bionas22"]] {
        let mut draw = vec!["genotype", "random", "--seed", "1", "-o", mixed];
        draw.extend(cells);
        text(&draw);
        let mut dry = vec!["train", "--dry-run", "--genotype", mixed];
        dry.extend(SMALL);
        text(&dry);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.json");
    let path = file.to_str().expect("a path");
    let good = text(&["genotype", "convert", "DARTS_V2", "--to", "json"]);
    let cases = [
        (good.replace("\"from\":2", "\"from\":7"), "goes from node 7"),
        (
            good.replacen("sep_conv_3x3", "sepconv_3x3", 1),
            "`normal.edges[0].op`: unknown operation",
        ),
        (
            good.replacen("\"node\":2", "\"node\":6", 2),
            "node 2 of cell `normal` has no edges",
        ),
        (
            good.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1),
            "`schema_version` is 9",
        ),
        (good.replacen(']', "", 1), "line "),
        ("{\"a\": 1}".to_owned(), "no genotype of ours"),
    ];
    for (text, says) in cases {
        std::fs::write(&file, &text).expect("written");
        for command in [
            vec!["genotype", "show", path],
            vec!["train", "--genotype", path],
        ] {
            let ran = Run::new(&command).finish();
            assert_eq!(ran.code, Some(2), "{says}: {}", ran.stderr);
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
    }
    let name = Run::new(["genotype", "show", "DARTS_V3"]).finish();
    assert_eq!(name.code, Some(2));
    assert!(
        name.stderr.contains("did you mean `DARTS_V"),
        "{}",
        name.stderr
    );
    for (arguments, code, says) in [
        (
            vec!["genotype", "random", "--space", "dart"],
            2,
            "did you mean `darts`",
        ),
        (
            vec![
                "genotype",
                "random",
                "--operations",
                "sep_conv_3x3",
                "--rules",
                "usff",
            ],
            4,
            "searched",
        ),
        (
            vec![
                "genotype",
                "random",
                "--operations",
                "skip_connect,skip_connect",
            ],
            2,
            "twice",
        ),
        (
            vec!["genotype", "random", "--space", "darts", "--count", "0"],
            2,
            "`--count` is 0",
        ),
        (
            vec!["genotype", "count", "DARTS_V2", "--channels", "7"],
            2,
            "7 channels",
        ),
        (
            vec!["genotype", "count", "DARTS_V2", "--image", "30"],
            2,
            "28x28 and 32x32",
        ),
        (
            vec![
                "train",
                "--genotype",
                "DARTS_V2",
                "--set",
                "network.stem=resnet",
                "--dry-run",
            ],
            2,
            "network.stem",
        ),
        (
            vec![
                "train",
                "--genotype",
                "DARTS_V2",
                "--set",
                "network.layers=3",
                "--dry-run",
            ],
            2,
            "network",
        ),
        (
            vec!["train", "--set", "network.channels=8", "--dry-run"],
            2,
            "no configuration",
        ),
    ] {
        let ran = Run::new(&arguments).finish();
        assert_eq!(ran.code, Some(code), "{says}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
}
