//! `biorule report`: pages of real small runs are whole, load nothing, escape every text and say what
//! `run.json` says, whatever state the runs are in; what is no run is refused.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use biorule_test_environment::{Need, skip};
use biorule_tests::Result;
use biorule_tests::page::{Browser, elements, text};
use biorule_tests::plugins::{Ran, Run};
use serde_json::Value;

const NETWORK: &str = r#"name = "small"
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
fn home() -> Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    fs::write(home.path().join("n.toml"), NETWORK)?;
    Ok(home)
}

fn call(home: &Path, arguments: &[&str]) -> Ran {
    Run::new(arguments).dir(home).finish()
}

fn train(home: &Path, dir: &str, more: &[&str]) -> Ran {
    call(
        home,
        &[&["train", "n.toml", "--run-dir", dir], more].concat(),
    )
}

fn done(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

/// The page of `runs`, which is whole and loads nothing.
fn page(home: &Path, runs: &[&str]) -> Result<String> {
    let ran = call(home, &[&["report", "-o", "page.html"], runs].concat());
    done(&ran);
    let html = fs::read_to_string(home.join("page.html"))?;
    holds(&html);
    Ok(html)
}

/// What holds of every page.
fn holds(html: &str) {
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

fn record(run: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(
        run.join("run.json"),
    )?)?)
}

/// Puts `json` in place of the record of `run`.
fn write(run: &Path, json: &Value) -> Result<()> {
    Ok(fs::write(run.join("run.json"), json.to_string())?)
}

#[test]
fn a_page_says_what_the_run_recorded() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let html = page(home, &["r"])?;
    let said = text(&html);
    let run = record(&home.join("r"))?;
    let percent = |name: &str| format!("{:.1} %", 100.0 * run["results"][name].as_f64().unwrap());
    for words in [
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
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
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
    let winners: Value = serde_json::from_str(&fs::read_to_string(home.join("r/winners.json"))?)?;
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
fn folders_of_earlier_versions_give_a_page_that_says_what_is_missing() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let run = home.join("r");
    for file in ["answers.csv", "winners.json", "steps.jsonl"] {
        fs::remove_file(run.join(file))?;
    }
    let mut json = record(&run)?;
    for key in ["peak_memory_mib", "shapes"] {
        json.as_object_mut().unwrap().remove(key);
    }
    json["git"] = Value::Null;
    write(&run, &json)?;
    let said = text(&page(home, &["r"])?);
    for words in [
        "answers image by image",
        "who wins in local layers",
        "radii between epochs",
        "peak memory",
        "the commit of the program",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    // What is damaged is named, and the rest is shown.
    fs::write(run.join("metrics.csv"), "a,b\n1,2\n")?;
    fs::write(run.join("answers.csv"), "label,network\n1,x\n")?;
    fs::write(run.join("config.toml"), "name =")?;
    fs::write(run.join("checkpoints/last.safetensors"), "none")?;
    fs::remove_file(run.join("checkpoints/previous.safetensors"))?;
    let said = text(&page(home, &["r"])?);
    for words in [
        "metrics.csv",
        "x is no class",
        "plan and network are not shown",
        "weights are not shown",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    Ok(())
}

#[test]
fn texts_of_users_stay_texts() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    let mut table = "a,b,label\n".to_owned();
    for i in 0..80 {
        let (x, class) = if i % 2 == 0 {
            (1, "\"<b>&\"\"'\"")
        } else {
            (0, "</style><i>")
        };
        table.push_str(&format!("{x},{},{class}\n", f64::from(i) / 80.0));
    }
    fs::create_dir(home.join("d"))?;
    fs::write(home.join("d/all.csv"), table)?;
    let config = r#"name = "mine"
device = "cpu"
data = { set = "csv", root = "d/all.csv", options = { test = 0.3 } }
[experiment]
source = "<script>alert(1)</script> & Co"
note = "<img src=x onerror=1>"
published = { test_accuracy = 0.5 }
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 2
"#;
    fs::write(home.join("n.toml"), config)?;
    let root = home.join("d/all.csv").display().to_string();
    done(&train(
        home,
        "r",
        &["--set", &format!("data.root={root:?}")],
    ));
    let html = page(home, &["r"])?;
    assert!(
        !html.contains(home.to_str().unwrap()),
        "where things lie stays private"
    );
    let said = text(&html);
    for words in [
        "<b>&\"'",
        "</style><i>",
        "<script>alert(1)</script> & Co",
        "<img src=x onerror=1>",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    for drawn in fs::read_dir(home.join("r/pictures"))?.flatten() {
        if drawn.path().extension().is_some_and(|e| e == "svg") {
            let svg = fs::read_to_string(drawn.path())?;
            elements(&svg).unwrap_or_else(|e| panic!("{:?}: {e}", drawn.path()));
        }
    }
    Ok(())
}

#[test]
fn every_state_of_a_run_has_its_page() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let run = home.join("r");
    let whole = record(&run)?;
    let state = |reason: Option<&str>| -> Result<String> {
        let mut json = whole.clone();
        json["exit_reason"] = reason.into();
        json["results"] = serde_json::json!({});
        write(&run, &json)?;
        Ok(text(&page(home, &["r"])?))
    };
    for (reason, words) in [
        (None, "× killed after random-weights, phase"),
        (Some("stopped"), "× stopped after"),
        (Some("pruned"), "× pruned after"),
        (Some("failed"), "▼ failed after"),
    ] {
        let said = state(reason)?;
        assert!(said.contains(words), "no `{words}` in {said}");
        assert!(said.contains("right on test samples so far"), "{said}");
    }
    // Before its first epoch.
    fs::remove_file(run.join("metrics.csv"))?;
    fs::remove_dir_all(run.join("checkpoints"))?;
    fs::remove_file(run.join("answers.csv"))?;
    let said = state(None)?;
    assert!(said.contains("No epoch has ended yet"), "{said}");

    let wild = [
        "--set",
        "phases.readout.optimizer.lr=1e30",
        "--set",
        "training.gradient.optimizer.lr=1e30",
    ];
    let ran = train(home, "d", &wild[2..]);
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    let said = text(&page(home, &["d"])?);
    let error = record(&home.join("d"))?["error"]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    let tail = &error.replace('`', "")[1..];
    assert!(
        said.contains("▼ diverged") && said.contains(tail) && said.contains("Hint: "),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_page_follows_a_run_that_goes_on() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let mut training = Run::new([
        "train",
        "n.toml",
        "--run-dir",
        "r",
        "--set",
        "training.gradient.epochs=100000",
    ])
    .dir(home)
    .command()
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()?;
    let start = Instant::now();
    while !home.join("r/metrics.csv").exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = text(&page(home, &["r"])?);
    assert!(
        said.contains("… running after phase") && said.contains("no verdict yet"),
        "{said}"
    );
    let mut watching = Run::new(["report", "r", "-o", "w.html", "--watch", "--every", "1"])
        .dir(home)
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    while !home.join("w.html").exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no page");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        watching.try_wait()?.is_none(),
        "it goes on while the run does"
    );
    let pid = training.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()?
            .success()
    );
    assert_eq!(training.wait()?.code(), Some(75));
    let output = watching.wait_with_output()?;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let html = fs::read_to_string(home.join("w.html"))?;
    holds(&html);
    assert!(text(&html).contains("× stopped after"));
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
    for words in [
        "bp",
        "What differs",
        "blocks.middle.rule.name",
        "Pairs on the same images",
        "200 images",
        "p (McNemar)",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
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

#[test]
fn what_is_no_run_is_refused() -> Result<()> {
    let home = home()?;
    let home = home.path();
    fs::create_dir_all(home.join("empty/deep"))?;
    fs::create_dir_all(home.join("search"))?;
    fs::write(home.join("search/search.json"), "{}")?;
    fs::create_dir_all(home.join("torn"))?;
    fs::write(home.join("torn/run.json"), "{\"id\": ")?;
    for (arguments, code, words) in [
        (
            vec!["nothing"],
            2,
            vec!["`nothing` is not there", "runs list"],
        ),
        (vec!["empty"], 2, vec!["`empty` holds no run"]),
        (vec!["n.toml"], 2, vec!["`n.toml` is a file"]),
        (
            vec!["search"],
            2,
            vec!["`search` holds a search", "search/final"],
        ),
        (vec!["torn"], 7, vec!["torn/run.json", "is damaged"]),
        (
            vec!["torn", "-o", "no/page.html"],
            2,
            vec!["the folder `no` is not there"],
        ),
        (vec!["torn", "-o", "empty"], 2, vec!["`empty` is a folder"]),
        (vec!["torn", "--every", "0"], 2, vec!["--every"]),
        (vec![], 2, vec!["RUN"]),
    ] {
        let ran = call(home, &[vec!["report"], arguments.clone()].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
        }
    }
    Ok(())
}

/// On phones and laptops, light and dark, and on paper.
#[test]
fn a_browser_shows_pages_without_scrolling_sideways() -> Result<()> {
    let Some(browser) = Browser::find() else {
        skip(Need::Browser, "no Chromium");
        return Ok(());
    };
    let home = home()?;
    let home = home.path();
    done(&train(home, "a", &[]));
    let long = "name=\"a-name-so-long-that-no-telephone-has-room-for-it-on-one-line-or-on-two\"";
    done(&train(
        home,
        "b",
        &["--set", "blocks.middle.rule=\"backprop\"", "--set", long],
    ));
    for runs in [&["a"][..], &["a", "b"]] {
        page(home, runs)?;
        let file = home.join("page.html").canonicalize()?;
        for width in [320, 390, 768, 1280] {
            let content = browser.content_width(&file, width);
            assert!(content <= width, "{runs:?}: {content} in {width}");
        }
    }
    let file = home.join("page.html").canonicalize()?;
    let paper = |dark| {
        browser
            .picture(&file, (1280, 900), dark)
            .get_pixel(1270, 5)
            .0
    };
    assert_eq!((paper(false), paper(true)), ([255; 3], [0x11, 0x16, 0x1c]));
    let pdf = browser.print(&file);
    assert!(
        pdf.starts_with(b"%PDF") && pdf.len() > 20_000,
        "{} bytes",
        pdf.len()
    );
    Ok(())
}
