//! What pages say of runs, alone and compared, and what excites units.

use std::fs;

use biorule_tests::Result;
use biorule_tests::page::{elements, text};
use biorule_tests::plugins::call;
use biorule_tests::runs::record;
use biorule_tests::searching::json;
use serde_json::Value;

use crate::home::{done, holds, home, page, says, train};

#[test]
fn a_page_says_what_the_run_recorded() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let html = page(home, &["r"])?;
    let said = text(&html);
    let run = record(&home.join("r"));
    let percent = |name: &str| format!("{:.1} %", 100.0 * run["results"][name].as_f64().unwrap());
    says(
        &said,
        &[
            percent("test/accuracy").as_str(),
            percent("random-weights/test/accuracy").as_str(),
            "of 200 test samples right",
            "One seed.",
            "No validation part.",
            "Only 300 training samples and 200 test samples are used.",
            "16 filters of hidden, most frequent winner first",
            "SoftHebb",
            "feedback alignment",
            "Do the updates point along the gradient?",
            "never interrupted",
            "biorule train n.toml",
            "MiB",
            &run["config_hash"].as_str().unwrap()[..16],
        ],
    );
    assert!(!said.contains("Not recorded"), "{said}");
    let host = run["host"]["name"].as_str().unwrap();
    assert!(!html.contains(home.to_str().unwrap()) && !said.split(' ').any(|w| w == host));

    // The mistakes on the page are those of the classes in the record.
    let answers = fs::read_to_string(home.join("r/answers.csv"))?;
    let rows: Vec<Vec<usize>> = (answers.lines().skip(1))
        .map(|l| l.split(',').map(|n| n.parse().unwrap()).collect())
        .collect();
    assert_eq!(answers.lines().next(), Some("label,network,random-weights"));
    assert_eq!(rows.len(), 200);
    for (class, score) in run["classes"]["test"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let of = rows.iter().filter(|r| r[0] == class);
        assert_eq!(score["samples"], of.clone().count());
        assert_eq!(score["right"], of.filter(|r| r[1] == class).count());
    }
    let winners = json(&home.join("r/winners.json"));
    let wins = winners["blocks"]["hidden"].as_array().unwrap();
    assert_eq!(
        (
            wins.len(),
            wins.iter().map(|w| w.as_u64().unwrap()).sum::<u64>()
        ),
        (16, 200)
    );

    for file in [
        "filters.png",
        "learning.svg",
        "radius-hidden.svg",
        "confusion.svg",
        "winners-hidden.svg",
    ] {
        let bytes = fs::read(home.join("r/pictures").join(file))?;
        if file.ends_with("svg") {
            elements(&String::from_utf8(bytes)?).unwrap_or_else(|e| panic!("{file}: {e}"));
        } else {
            assert!(image::load_from_memory(&bytes)?.width() > 100);
        }
    }
    let tb = fs::read_dir(home.join("r/tb"))?.next().unwrap()?.path();
    let board = fs::read(tb)?;
    assert!(board.windows(16).any(|w| w == b"pictures/filters"));
    Ok(())
}

#[test]
fn without_pictures_a_run_draws_and_counts_nothing() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &["--set", "output.pictures=false"]));
    assert!(!home.join("r/pictures").exists() && !home.join("r/winners.json").exists());
    let said = text(&page(home, &["r"])?);
    assert!(
        said.contains("Not recorded by this run: who wins in local layers."),
        "{said}"
    );
    // Drawn after all, from what is there, when the run is asked for them.
    done(&train(home, "r", &[]));
    assert!(home.join("r/pictures/filters.png").is_file());
    Ok(())
}

#[test]
fn several_runs_are_compared_on_the_same_images() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "runs/a", &[]));
    done(&train(
        home,
        "runs/b",
        &[
            "--set",
            "blocks.middle.rule=\"backprop\"",
            "--set",
            "name=\"bp\"",
        ],
    ));
    let ran = call(home, &["report", "a", "b", "-o", "page.html", "--json"]);
    done(&ran);
    let json: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(json["experiments"].as_array().unwrap().len(), 2);
    assert_eq!(json["bytes"], fs::metadata(home.join("page.html"))?.len());
    let html = fs::read_to_string(home.join("page.html"))?;
    holds(&html);
    let said = text(&html);
    says(
        &said,
        &[
            "bp",
            "What differs",
            "blocks.middle.rule.name",
            "Pairs on the same images",
            "200 images",
            "p (McNemar)",
        ],
    );
    // The difference is that of the files.
    let right = |run: &str| -> Result<i64> {
        let text = fs::read_to_string(home.join("runs").join(run).join("answers.csv"))?;
        let rows = text
            .lines()
            .skip(1)
            .map(|l| l.split(',').collect::<Vec<_>>());
        Ok(rows.filter(|r| r[0] == r[1]).count() as i64)
    };
    let points = (right("a")? - right("b")?).abs() as f64 / 2.0;
    assert!(said.contains(&format!("{points:.1}")), "{points} in {said}");

    // Seeds of one configuration are one experiment.
    let seeds = [
        "train",
        "n.toml",
        "--run-dir",
        "s",
        "--set",
        "seeds=[0,1,2]",
    ];
    done(&call(home, &seeds));
    let said = text(&page(home, &["s"])?);
    assert!(
        said.contains("standard deviation over 3 seeds") && said.contains("on the same seeds"),
        "{said}"
    );
    Ok(())
}

#[test]
fn what_excites_deeper_units_is_found_and_shown() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    let config = r#"name = "deep"
data = { set = "digits", limit_train = 100, limit_test = 50 }
device = "cpu"
[[blocks]]
name = "conv1"
norm = "batch"
layer = "conv"
kernel = 3
padding = "same"
out = 8
rule = "softhebb"
activation = "triangle(0.7)"
pool = "max 2/2/0"
[[blocks]]
name = "conv2"
norm = "batch"
layer = "conv"
kernel = 3
padding = "same"
out = 12
rule = "softhebb"
activation = "triangle(0.7)"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 1
"#;
    fs::write(home.join("n.toml"), config)?;
    done(&train(home, "r", &[]));
    let find = |more: &[&str]| call(home, &[&["fields", "r", "--steps", "30"], more].concat());
    let ran = find(&["--json"]);
    done(&ran);
    let json: Value = serde_json::from_str(&ran.stdout)?;
    // Two convolutions of 3 with a pool of 2 between them: 3, then 6, then 8.
    assert_eq!(json["blocks"][0]["block"], "conv2");
    assert_eq!(json["blocks"][0]["shape"], serde_json::json!([1, 8, 8]));
    assert_eq!(json["blocks"][0]["units"], 12);
    let bytes = fs::read(home.join("r/fields.safetensors"))?;
    done(&find(&["--units", "12"]));
    assert!(
        bytes == fs::read(home.join("r/fields.safetensors"))?,
        "the same numbers again"
    );
    assert!(home.join("r/pictures/field-conv2.png").is_file());
    // More steps excite more.
    let longer = call(
        home,
        &[
            "fields",
            "r",
            "--steps",
            "300",
            "--json",
            "--blocks",
            "conv2,readout",
        ],
    );
    done(&longer);
    let longer: Value = serde_json::from_str(&longer.stdout)?;
    let most = |json: &Value| json["blocks"][0]["answers"][1].as_f64().unwrap();
    assert!(most(&longer) > most(&json), "{longer} {json}");
    assert_eq!(longer["blocks"][1]["shape"], serde_json::json!([1, 8, 8]));
    let said = text(&page(home, &["r"])?);
    assert!(
        said.contains("conv2: what excites 12 of 12 units"),
        "{said}"
    );
    for (arguments, words) in [
        (
            vec!["fields", "r", "--blocks", "conv3"],
            "did you mean `conv",
        ),
        (vec!["fields", "r", "--rate", "0"], "--rate"),
        (vec!["fields", "r", "--units", "0"], "--units"),
        (vec!["fields", "nothing"], "is not there"),
    ] {
        let ran = call(home, &arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "no `{words}` in {}", ran.stderr);
    }
    Ok(())
}
