//! Every experiment of `configs/reproduce`: it resolves, `--dry-run` accepts it, and the real program
//! trains two batches of each of its phases (of a search: of what it evaluates) on data of random content
//! in the published layouts. Batches, epochs and images are shrunk, and layers of very wide networks; rules,
//! order of blocks, phases, losses, optimisers and data sets are the experiment's. And the commands that
//! list, show and find experiments by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use biorule::config::{self, Offline, Sources};
use biorule::plan::{BlockPlan, DataPlan, MapPlan, RunPlan};
use biorule_tests::plugins::{Ran, Run};
use biorule_tests::{Result, repository, standin};
use serde_json::Value;

/// Files of one call of the program at most.
const FILES: usize = 8;
/// Samples of a batch.
const BATCH: usize = 2;
/// Channels and units of a wide layer.
const WIDTH: usize = 48;
/// Pixels on a side of images that are larger.
const SIDE: usize = 64;
/// Weights from which a network is made narrower.
const WIDE: usize = 20_000_000;

/// The TOML files below `folder`.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files(&path, found)?,
            false if path.extension().is_some_and(|e| e == "toml") => found.push(path),
            false => {}
        }
    }
    Ok(())
}

/// How an experiment is called: the verb, and what is set.
type Call = (&'static str, Vec<String>);

/// What shrinks the experiment of `file`.
fn shrunk(file: &Path) -> Result<Call> {
    let sources = Sources {
        files: vec![file.to_owned()],
        ..Sources::default()
    };
    let table = config::merge(&sources)?;
    let mut sets: Vec<String> = Vec::new();
    if config::is_search(&table) {
        let search = config::search(table, &Offline)?;
        if let Some(pattern) = search.pattern(&Offline)? {
            data_sets(&pattern.plan, 4, &mut sets);
            phases(&pattern.plan, false, &mut sets);
            sets.extend(["network.channels=4", "network.cells=3"].map(str::to_owned));
        }
        let text = std::fs::read_to_string(file)?;
        search_sets(&text, search.plan.supernet.is_some(), &mut sets);
        return Ok(("search", sets));
    }
    let plan = config::resolve_table(table.clone(), &Offline)?.plan;
    data_sets(&plan, 2, &mut sets);
    phases(&plan, table.contains_key("phases"), &mut sets);
    if table.contains_key("network") {
        // An auxiliary head needs images of about the full size.
        sets.retain(|set| !set.contains(".resize="));
        sets.extend(["network.channels=4", "network.cells=3"].map(str::to_owned));
    } else {
        widths(&plan, &mut sets);
    }
    Ok(("train", sets))
}

/// `batches` batches of samples, and images that are not larger than needed.
fn data_sets(plan: &RunPlan, batches: usize, sets: &mut Vec<String>) {
    let used = plan
        .extra_in_use()
        .map(|(name, set)| (format!("extra_data.{name}"), set));
    for (path, set) in std::iter::once(("data".to_owned(), &plan.data)).chain(used) {
        let limit = batches * BATCH;
        if ["teacher", "sine"].contains(&set.set.as_str()) {
            sets.push(format!(
                "{path}.options={{ train = {}, test = {BATCH} }}",
                3 * limit
            ));
        }
        let held = match set.validation {
            v if v > 0.0 => {
                sets.push(format!("{path}.validation={BATCH}"));
                BATCH
            }
            _ => 0,
        };
        sets.push(format!("{path}.limit_train={}", limit + held));
        if path == "data" {
            sets.push(format!("{path}.limit_test={BATCH}"));
        }
        if is_large(set) {
            sets.push(format!("{path}.resize=[{SIDE}, {SIDE}]"));
        }
    }
}

fn is_large(set: &DataPlan) -> bool {
    set.set.starts_with("image") || set.set == "stl10"
}

fn phases(plan: &RunPlan, written_out: bool, sets: &mut Vec<String>) {
    let mut set = |path: String| {
        sets.push(format!("{path}.epochs=1"));
        sets.push(format!("{path}.batch={BATCH}"));
    };
    if written_out {
        return plan
            .phases
            .iter()
            .for_each(|phase| set(format!("phases.{}", phase.name)));
    }
    use biorule::plan::Drive;
    if plan.phases.iter().any(|phase| phase.drive == Drive::Local) {
        set("training.local".to_owned());
    }
    // A Hebbian classifier learns in a local phase with these settings.
    if plan
        .phases
        .iter()
        .any(|phase| phase.drive != Drive::Local || phase.evaluate_every > 0)
    {
        set("training.gradient".to_owned());
    }
}

/// Layers of very wide networks made narrow, groups in proportion.
fn widths(plan: &RunPlan, sets: &mut Vec<String>) {
    let mut channels = 3;
    let mut all = Vec::new();
    let mut weights = 0;
    for block in &plan.blocks {
        let Some((out, size, groups)) = conv(block, &mut channels) else {
            continue;
        };
        weights += size;
        if out > WIDTH {
            all.push(format!("blocks.{}.out={WIDTH}", block.name));
        }
        if groups > 1 {
            all.push(format!("blocks.{}.groups={}", block.name, WIDTH / 4));
        }
    }
    if weights > WIDE {
        sets.extend(all);
    }
}

/// Channels, weights and groups of a convolution of `channels`, which become its own.
fn conv(block: &BlockPlan, channels: &mut usize) -> Option<(usize, usize, usize)> {
    let layer = block.layer.as_ref()?;
    let MapPlan::Conv { kernel, groups, .. } = &layer.map else {
        return None;
    };
    let size = layer.out * (*channels / groups).max(1) * kernel[0] * kernel[1];
    *channels = layer.out;
    Some((layer.out, size, *groups))
}

/// The shortest search of the kind that `text` asks for.
fn search_sets(text: &str, supernet: bool, sets: &mut Vec<String>) {
    let mut set = |path: &str| sets.push(path.to_owned());
    if supernet {
        set("search.supernet.epochs=1");
        set("search.supernet.batch=2");
        set("search.supernet.channels=8");
        set("search.supernet.cells=3");
    } else if text.contains("evolution") {
        set("search.strategy.evaluations=2");
        set("search.strategy.population=1");
        set("search.strategy.sample=1");
    } else if text.contains("halving") {
        set("search.strategy.genotypes=2");
        set("search.strategy.keep=2");
    } else {
        set("search.strategy={ kind = \"random\", evaluations = 1 }");
    }
    if text.contains("\"eg\"") {
        set("search.strategy.rounds=1");
        set("search.strategy.individuals=4");
        set("search.strategy.generations=1");
    }
    if text.contains("final") {
        set("search.final={ epochs = 1, random = 0 }");
    }
}

struct Scene {
    home: tempfile::TempDir,
}

impl Scene {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        standin::write(&home.path().join("data"))?;
        standin::write_folders(home.path())?;
        Ok(Self { home })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, words: Vec<String>) -> Ran {
        Run::new(words)
            .dir(self.home.path())
            .env("BIORULE_DATA", self.path("data"))
            .env("BIORULE_CACHE", self.path("cache"))
            .finish()
    }

    /// Tries `files`, which are called alike; what went wrong.
    fn try_all(&self, (verb, sets): &Call, files: &[PathBuf], number: usize) -> Vec<String> {
        let mut words = vec![(*verb).to_owned()];
        words.extend(files.iter().map(|file| file.display().to_string()));
        if *verb == "train" {
            words.push("--each".to_owned());
        }
        words.extend(["--seed", "0", "--device", "cpu", "--threads", "1"].map(str::to_owned));
        for set in sets {
            words.extend(["--set".to_owned(), set.clone()]);
        }
        let mut failed = Vec::new();
        let mut tell = |what: &str, ran: &Ran| {
            if ran.code != Some(0) {
                let errors = ran.stderr.lines().filter(|l| !l.starts_with("warning"));
                let errors: Vec<&str> = errors.collect();
                let (stdout, errors) = (ran.stdout.lines().last().unwrap_or(""), errors.join("\n"));
                failed.push(format!(
                    "{what}, exit {:?}: {}\n{errors}\n{stdout}",
                    ran.code,
                    words.join(" ")
                ));
            }
        };
        let with = |more: &[&str]| {
            [
                words.clone(),
                more.iter().map(|w| (*w).to_owned()).collect(),
            ]
            .concat()
        };
        tell("dry run", &self.run(with(&["--dry-run"])));
        let folder = self.path(&format!("runs-{number}"));
        tell(
            "run",
            &self.run(with(&[
                "--run-dir",
                &folder.display().to_string(),
                "--quiet",
            ])),
        );
        if failed.is_empty() && *verb == "train" {
            failed.extend(
                files
                    .iter()
                    .filter_map(|file| wrong_record(file, &folder).err())
                    .map(|e| e.to_string()),
            );
        }
        let _ = std::fs::remove_dir_all(&folder);
        failed
    }
}

/// Looks at what a run of the experiment `file` wrote down.
fn wrong_record(file: &Path, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let table: toml::Table = text.parse()?;
    let name = table["name"].as_str().unwrap_or_default();
    let run = folder.join(name);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(run.join("run.json"))?)?;
    let expect = |ok: bool, what: &str| match ok {
        true => Ok(()),
        false => Err(format!("{name}: {what}: {record:#}")),
    };
    expect(record["exit_reason"] == "finished", "not finished")?;
    let results = record["results"].as_object();
    expect(
        results.is_some_and(|r| r.contains_key("test/loss") || r.contains_key("test/accuracy")),
        "no results",
    )?;
    let root = repository().join("configs/reproduce");
    let own = file.strip_prefix(root)?.with_extension("");
    let experiment = &record["experiment"];
    expect(
        experiment["name"] == own.to_string_lossy().as_ref(),
        "another experiment",
    )?;
    expect(
        experiment["changed"]
            .as_array()
            .is_some_and(|c| !c.is_empty()),
        "not changed",
    )?;
    let source = table.get("experiment").and_then(|e| e["source"].as_str());
    expect(experiment["source"].as_str() == source, "another source")?;
    // Two batches of each phase: so many steps.
    let rows = std::fs::read_to_string(run.join("metrics.csv"))?;
    let head: Vec<&str> = rows.lines().next().unwrap_or_default().split(',').collect();
    let step = head
        .iter()
        .position(|name| *name == "step")
        .ok_or("no column `step`")?;
    let steps: Vec<u64> = rows
        .lines()
        .skip(1)
        .filter_map(|row| row.split(',').nth(step)?.parse().ok())
        .collect();
    let expected: Vec<u64> = (1..=steps.len() as u64).map(|phase| 2 * phase).collect();
    expect(
        !steps.is_empty() && steps == expected,
        &format!("steps {steps:?}"),
    )?;
    Ok(())
}

/// Calls, and the files that are called so.
fn grouped(all: Vec<PathBuf>) -> Result<Vec<(Call, Vec<PathBuf>)>> {
    let mut groups: BTreeMap<Call, Vec<PathBuf>> = BTreeMap::new();
    for file in all {
        let call = shrunk(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        groups.entry(call).or_default().push(file);
    }
    let mut jobs = Vec::new();
    for (call, files) in groups {
        let most = if call.0 == "search" { 1 } else { FILES };
        jobs.extend(files.chunks(most).map(|part| (call.clone(), part.to_vec())));
    }
    Ok(jobs)
}

#[test]
fn every_experiment_trains_two_batches_of_each_phase() -> Result<()> {
    let scene = Scene::new()?;
    let mut all = Vec::new();
    files(&repository().join("configs/reproduce"), &mut all)?;
    assert!(all.len() > 200, "{}", all.len());
    let jobs: Vec<_> = grouped(all)?.into_iter().enumerate().collect();
    let (jobs, failed) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((number, (call, files))) = next() {
                    let wrong = scene.try_all(&call, &files, number);
                    failed
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(wrong);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(
        failed.is_empty(),
        "{} calls failed\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    Ok(())
}

/// A short run of the sine by backpropagation, by name.
fn sine(home: &Path, more: &[&str]) -> Ran {
    let fixed = [
        "train",
        "bioflax/sine-bp",
        "--quiet",
        "--seed",
        "0",
        "--device",
        "cpu",
    ];
    Run::new(fixed.iter().chain(more).copied())
        .dir(home)
        .finish()
}

#[test]
fn an_experiment_runs_by_its_name_and_the_list_shows_what_it_reached() -> Result<()> {
    let home = tempfile::tempdir()?;
    let list = |more: &[&str]| -> Result<Value> {
        let words = ["experiments", "list", "--json"];
        let text = Run::new(words.iter().chain(more).copied())
            .dir(home.path())
            .stdout();
        Ok(serde_json::from_str(&text)?)
    };
    let all = list(&[])?;
    assert!(all.as_array().is_some_and(|all| all.len() > 200));
    assert!(list(&["--measured"])?.as_array().is_some_and(Vec::is_empty));
    // Another protocol is a run of it, and no measurement.
    let ran = sine(
        home.path(),
        &[
            "--run-dir",
            "runs/other",
            "--set",
            "training.gradient.epochs=1",
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let one = &list(&["--measured"])?[0];
    assert_eq!(one["name"], "bioflax/sine-bp");
    assert_eq!(one["measured"], Value::Array(vec![]));
    assert_eq!(one["runs"][0]["changed"][0], "training.gradient.epochs");
    // As it is listed, it is one.
    let ran = sine(
        home.path(),
        &["--run-dir", "runs/own", "--set", "output.tensorboard=false"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let one = &list(&[
        "--project",
        "bioflax",
        "--data",
        "sine",
        "--rule",
        "backprop",
        "--measured",
    ])?[0];
    assert_eq!(one["measured_seeds"][0], 0);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(
        home.path().join("runs/own/run.json"),
    )?)?;
    assert_eq!(record["experiment"]["name"], "bioflax/sine-bp");
    assert_eq!(record["experiment"]["published"]["test/loss"], 0.0795);
    let shown = Run::new(["experiments", "show", "bioflax/sine-bp"])
        .dir(home.path())
        .stdout();
    for part in [
        "published   test/loss 0.0795",
        "measured    test/loss",
        "runs/own (finished)",
        "mode = \"end-to-end\"",
        "biorule train bioflax/sine-bp",
    ] {
        assert!(shown.contains(part), "`{part}` in\n{shown}");
    }
    let shown = Run::new(["runs", "show", "runs/own"])
        .dir(home.path())
        .stdout();
    assert!(
        shown.contains("experiment bioflax/sine-bp") && shown.contains("(published 0.0795)"),
        "{shown}"
    );
    let table = Run::new(["experiments", "list", "sine", "bp"])
        .dir(home.path())
        .stdout();
    let row = table
        .lines()
        .find(|l| l.contains("bioflax/sine-bp"))
        .unwrap_or_default();
    assert_eq!(row.matches("loss 0.").count(), 2, "{table}");
    // A corrected figure refuses no resume, and is taken over.
    let config = home.path().join("runs/own/config.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(
        home.path().join("corrected.toml"),
        text.replace("test_loss = 0.0795", "test_loss = 0.07"),
    )?;
    let again = [
        "train",
        "corrected.toml",
        "--quiet",
        "--device",
        "cpu",
        "--run-dir",
        "runs/own",
    ];
    let ran = Run::new(again).dir(home.path()).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(
        home.path().join("runs/own/run.json"),
    )?)?;
    assert_eq!(record["experiment"]["published"]["test/loss"], 0.07);
    assert_eq!(record["experiment"]["name"], "bioflax/sine-bp");
    Ok(())
}

#[test]
fn a_wrong_name_gets_the_nearest_and_a_file_of_the_name_goes_first() -> Result<()> {
    let home = tempfile::tempdir()?;
    let call = |words: &[&str]| Run::new(words.iter().copied()).dir(home.path()).finish();
    for words in [
        ["train", "softheb/cifar10-3"],
        ["train", "softhebb/cifar10_3"],
        ["search", "softhebb/cifar10-33"],
    ] {
        let ran = call(&words);
        assert_eq!(ran.code, Some(2));
        assert!(
            ran.stderr
                .contains("did you mean the experiment `softhebb/cifar10-3`?"),
            "{}",
            ran.stderr
        );
    }
    let ran = call(&["experiments", "show", "bioflax/sine_bp"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("`bioflax/sine-bp`"),
        "{}",
        ran.stderr
    );
    for (flag, wrong, near) in [
        ("--project", "bioflux", "bioflax"),
        ("--data", "cifar-10", "cifar10"),
        ("--rule", "krotow", "krotov"),
    ] {
        let ran = call(&["experiments", "list", flag, wrong]);
        assert!(
            ran.code == Some(2) && ran.stderr.contains(near),
            "{}",
            ran.stderr
        );
    }
    std::fs::create_dir_all(home.path().join("bioflax"))?;
    std::fs::write(home.path().join("bioflax/sine-bp"), "this is no TOML")?;
    let ran = sine(home.path(), &["--dry-run"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("the file `bioflax/sine-bp` is read"),
        "{}",
        ran.stderr
    );
    // A folder of that name is none.
    std::fs::remove_file(home.path().join("bioflax/sine-bp"))?;
    std::fs::create_dir_all(home.path().join("bioflax/sine-bp"))?;
    let ran = sine(home.path(), &["--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    Ok(())
}
