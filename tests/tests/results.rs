//! What a run says it came to: the score of the weights that it leaves, of baselines that are what
//! they are called, with stop rules and best checkpoints that go by metrics there are.

use std::path::Path;

use biorule_tests::Result;
use biorule_tests::digits::{BOTH, column, eval, network, phase, record, train, trained};
use biorule_tests::plugins::Run;

/// The run's results are to be those that `eval` finds in its last checkpoint, to the bit.
fn result_is_that_of_the_last_weights(text: &str, more: &[&str]) -> Result<()> {
    let (home, ran) = trained(text, more)?;
    let said = &record(home.path())?["results"];
    let found = &eval(home.path(), &[])?["results"];
    let found = found.as_object().ok_or("no results")?;
    assert!(found.contains_key("test/loss"), "{found:?}");
    for (name, value) in found {
        assert_eq!(&said[name], value, "{name} of\n{text}\n{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn the_result_is_the_score_of_the_weights_that_are_left() -> Result<()> {
    let read_out = |more: &str| phase("readout", "[\"readout\"]", "gradient", more);
    let local = |more: &str| phase("hidden", "[\"hidden\"]", "local", more);
    let all = |more: &str| phase("all", BOTH, "gradient", more);
    // Something learns after the last evaluation, or only statistics move.
    let never = "evaluate_every = 0";
    for text in [
        network("softhebb", &(read_out("epochs = 2") + &local(never))),
        network("softhebb", &(local("") + &read_out(never))),
        network("feedback-alignment/fa", &(read_out("") + &all(never))),
        network("kolen-pollack", &(all("epochs = 2") + &local_norm())),
        network("weight-mirror", &all("epochs = 3\nevaluate_every = 2")),
        network(
            "krotov",
            &(local("") + &read_out("cache = { store = \"bf16\" }")),
        ),
        network("hebbian/oja", &(all("loss = \"mse\"") + &read_out(""))),
        network(
            "softhebb",
            &phase("all", BOTH, "both", "epochs = 2\nloss = \"mse\""),
        ),
    ] {
        result_is_that_of_the_last_weights(&text, &[])?;
        result_is_that_of_the_last_weights(&text, &["--set", "data.validation=0.2"])?;
    }
    Ok(())
}

/// A phase that moves running statistics alone, after the last evaluation.
fn local_norm() -> String {
    phase(
        "again",
        BOTH,
        "gradient",
        "evaluate_every = 0\noptimizer = { kind = \"sgd\", lr = 0.0 }",
    )
}

/// BioNAS's layer learns in evaluation too: the weights are kept as they were before.
#[test]
fn the_result_of_a_rule_that_learns_in_evaluation_is_found_again() -> Result<()> {
    let text = network(
        "hebbian/bionas",
        &phase("all", BOTH, "gradient", "epochs = 2"),
    );
    let text = text.replace(
        "layer = \"dense\"\nout = 24",
        "layer = \"conv\"\nkernel = 3\npadding = \"same\"\nout = 6",
    );
    result_is_that_of_the_last_weights(&text, &[])?;
    result_is_that_of_the_last_weights(&text, &["--set", "data.validation=0.2"])
}

#[test]
fn phases_without_a_loss_are_scored_too() -> Result<()> {
    let only_local = phase("all", BOTH, "local", "epochs = 2");
    let text = network("krotov", &only_local).replace("\"backprop\"", "\"krotov\"");
    result_is_that_of_the_last_weights(&text, &[])?;
    // A network that regresses, and ends with a local phase.
    let phases = phase("readout", "[\"readout\"]", "gradient", "loss = \"mse\"")
        + &phase("hidden", "[\"hidden\"]", "local", "");
    let text = network("hebbian/oja", &phases).replace("digits", "sine");
    result_is_that_of_the_last_weights(&text, &[])
}

#[test]
fn phases_with_different_losses_say_whose_loss_the_result_has() -> Result<()> {
    let phases = phase("one", BOTH, "gradient", "loss = \"mse\"")
        + &phase("two", "[\"readout\"]", "gradient", "");
    let (_home, ran) = trained(&network("backprop", &phases), &[])?;
    let warned = ran.stderr.contains("is the cross-entropy of phase `two`");
    assert!(warned, "{}", ran.stderr);
    let (_home, ran) = trained(
        &network("backprop", &phases.replace("\"mse\"", "\"cross-entropy\"")),
        &[],
    )?;
    assert!(!ran.stderr.contains("different losses"), "{}", ran.stderr);
    Ok(())
}

/// With frozen blocks before it, the read-out learns as in a plan that lists it alone.
#[test]
fn random_weights_stay_random_under_rules_of_any_credit() -> Result<()> {
    for rule in [
        "backprop",
        "feedback-alignment/fa",
        "direct-feedback-alignment/dfa",
        "kolen-pollack",
        "weight-mirror",
        "softhebb",
    ] {
        let drive = if rule == "softhebb" {
            "both"
        } else {
            "gradient"
        };
        let text = |blocks, drive| {
            let network = network(rule, &phase("all", blocks, drive, "epochs = 2"));
            // Without a norm: its statistics would be settled for the baseline.
            network.replace("norm = \"batch\"\n", "")
        };
        let set = ["--set", "baselines=[\"random-weights\"]"];
        let (home, ran) = trained(&text(BOTH, drive), &set)?;
        let (alone, _) = trained(&text("[\"readout\"]", "gradient"), &[])?;
        let (results, expected) = (record(home.path())?, record(alone.path())?);
        let (results, expected) = (&results["results"], &expected["results"]);
        assert_eq!(
            results["random-weights/test/loss"], expected["test/loss"],
            "{rule}"
        );
        assert_ne!(
            results["test/loss"], expected["test/loss"],
            "{rule}\n{}",
            ran.stderr
        );
    }
    Ok(())
}

#[test]
fn a_baseline_that_nothing_can_train_is_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    let refused = |text: &str, baseline: &str, words: &str| -> Result<()> {
        let set = format!("baselines=[\"{baseline}\"]");
        for dry in [&["--set", &set, "--dry-run"][..], &["--set", &set]] {
            let ran = train(home.path(), text, dry)?;
            assert_eq!(ran.code, Some(2), "{}", ran.stderr);
            assert!(
                ran.stderr.contains(words) && ran.stderr.contains("hint: "),
                "{}",
                ran.stderr
            );
        }
        assert!(!home.path().join("run").exists());
        Ok(())
    };
    let krotov = network("backprop", &phase("all", BOTH, "both", ""));
    let krotov = krotov.replace(
        "out = \"classes\"\nrule = \"backprop\"",
        "out = \"classes\"\nrule = \"krotov\"",
    );
    refused(&krotov, "random-weights", "local rule `krotov`")?;
    let hidden = network("softhebb", &phase("hidden", "[\"hidden\"]", "local", ""));
    refused(&hidden, "random-weights", "no phase trains block `readout`")?;
    refused(&hidden, "linear-pixels", "there is none")
}

#[test]
fn a_metric_that_nothing_measures_is_refused_before_training() -> Result<()> {
    let home = tempfile::tempdir()?;
    let local = phase(
        "a",
        "[\"hidden\"]",
        "local",
        "epochs = 50\nstop = { patience = 1 }",
    );
    let gradient = phase("b", "[\"readout\"]", "gradient", "");
    let text = network("krotov", &(local + &gradient));
    let refused = |text: &str, sets: &[&str], words: &[&str]| -> Result<()> {
        let sets: Vec<&str> = sets
            .iter()
            .flat_map(|s| ["--set", s])
            .chain(["--dry-run"])
            .collect();
        let ran = train(home.path(), text, &sets)?;
        assert_eq!(ran.code, Some(2), "{sets:?}: {}", ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{sets:?}: no {word} in {}",
                ran.stderr
            );
        }
        Ok(())
    };
    let metric = |name: &str| format!("phases.a.stop.metric={name}");
    refused(
        &text,
        &[&metric("convergance")],
        &["did you mean `convergence`"],
    )?;
    refused(
        &text,
        &[&metric("b/convergence")],
        &["nothing measures", "`idle_share`"],
    )?;
    // Of a layer that does not learn in the phase.
    refused(&text, &[&metric("weight_norm")], &["nothing measures"])?;
    refused(
        &text,
        &[&metric("validation/loss")],
        &["`data.validation` is 0"],
    )?;
    refused(
        &text,
        &[&metric("train/loss")],
        &["a local phase has no loss"],
    )?;
    let never = "phases.a.evaluate_every=0";
    refused(
        &text,
        &[&metric("test/loss"), never],
        &["`evaluate_every` is 0"],
    )?;
    let held = "data.validation=0.2";
    refused(
        &text,
        &[&metric("test/loss"), held],
        &["left to the result"],
    )?;
    refused(
        &text,
        &["output.best=test/acuracy"],
        &["did you mean `test/accuracy`"],
    )?;
    refused(
        &text,
        &["output.best=test/loss", held],
        &["left to the result"],
    )?;
    let regression = [
        "data.set=sine",
        "phases.b.loss=mse",
        "output.best=test/accuracy",
    ];
    refused(&text, &regression, &["values to regress"])?;
    refused(
        &text,
        &[&metric("test/loss"), "phases.a.epochs=0"],
        &["may never end", "`phases.a.epochs`"],
    )?;
    for right in ["convergence", "hidden/idle_share", "test/loss"] {
        let set = metric(right);
        let ran = train(home.path(), &text, &["--set", &set, "--dry-run"])?;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let warned = ran.stderr.contains("the test set decides when to stop");
        assert_eq!(warned, right == "test/loss", "{}", ran.stderr);
    }
    Ok(())
}

/// The epochs that early stopping leaves, from the values it saw.
fn epochs_until(values: &[f64], patience: usize, better: impl Fn(f64, f64) -> bool) -> usize {
    let (mut best, mut waited) = (values[0], 0);
    for (i, value) in values.iter().enumerate().skip(1) {
        if better(*value, best) {
            (best, waited) = (*value, 0);
        } else {
            waited += 1;
        }
        if waited >= patience {
            return i + 1;
        }
    }
    values.len()
}

#[test]
fn early_stopping_goes_by_any_metric_of_an_epoch() -> Result<()> {
    let quick = "epochs = 60\noptimizer = { kind = \"sgd\", lr = 2.0 }\n";
    let falls = |a: f64, b: f64| a < b;
    let rises = |a: f64, b: f64| a > b;
    type Better = fn(f64, f64) -> bool;
    let cases: [(&str, Better); 5] = [
        ("validation/loss", falls),
        ("validation/accuracy", rises),
        ("validation/balanced_accuracy", rises),
        ("train/loss", falls),
        ("train/accuracy", rises),
    ];
    for (metric, better) in cases {
        let stop = format!("stop = {{ metric = \"{metric}\", patience = 2 }}");
        let text = network(
            "backprop",
            &phase("a", BOTH, "gradient", &format!("{quick}{stop}")),
        );
        let (home, _) = trained(&text, &["--set", "data.validation=0.2"])?;
        let values = column(home.path(), metric)?;
        assert!(values.len() < 60, "{metric} did not stop: {values:?}");
        assert_eq!(
            values.len(),
            epochs_until(&values, 2, better),
            "{metric}: {values:?}"
        );
        // The last epoch is evaluated whoever ends it.
        assert_eq!(column(home.path(), "validation/loss")?.len(), values.len());
    }
    Ok(())
}

#[test]
fn early_stopping_works_for_regression_and_with_few_evaluations() -> Result<()> {
    let stop = "epochs = 1000\nevaluate_every = 2\nloss = \"mse\"\nstop = { metric = \"validation/loss\", patience = 2, min_delta = 0.002 }";
    let text = network("backprop", &phase("a", BOTH, "gradient", stop)).replace("digits", "sine");
    let (home, _) = trained(&text, &["--set", "data.validation=0.2"])?;
    let values = column(home.path(), "validation/loss")?;
    let better = |a: f64, b: f64| a < b - 0.002;
    assert_eq!(values.len(), epochs_until(&values, 2, better), "{values:?}");
    assert_eq!(column(home.path(), "train/loss")?.len(), 2 * values.len());
    Ok(())
}

#[test]
fn the_best_checkpoint_goes_by_the_metric_that_was_asked_for() -> Result<()> {
    let bumpy = "epochs = 8\noptimizer = { kind = \"sgd\", lr = 2.0 }\n";
    let class = network("backprop", &phase("a", BOTH, "gradient", bumpy));
    let values = network(
        "backprop",
        &phase("a", BOTH, "gradient", "epochs = 4\nloss = \"mse\""),
    );
    let values = values.replace("digits", "sine");
    let held = "data.validation=0.2";
    let cases: [(&str, &[&str], &str); 6] = [
        (&class, &[], "test/accuracy"),
        (&class, &[held], "validation/accuracy"),
        (
            &class,
            &[held, "output.best=validation/loss"],
            "validation/loss",
        ),
        (
            &class,
            &["output.best=test/balanced_accuracy"],
            "test/balanced_accuracy",
        ),
        (&class, &["output.best=train/loss"], "train/loss"),
        (&values, &[held], "validation/loss"),
    ];
    for (text, sets, metric) in cases {
        let sets: Vec<&str> = sets.iter().flat_map(|s| ["--set", s]).collect();
        let (home, _) = trained(text, &sets)?;
        let all = column(home.path(), metric)?;
        let down = metric.ends_with("loss");
        let best = all
            .iter()
            .copied()
            .reduce(if down { f64::min } else { f64::max });
        let best = best.ok_or("no epoch")?;
        let epoch = all.iter().position(|v| *v == best).ok_or("no epoch")? + 1;
        let said = &record(home.path())?["best"];
        assert_eq!(
            (said["metric"].as_str(), said["epoch"].as_u64()),
            (Some(metric), Some(epoch as u64))
        );
        let found = eval(home.path(), &["--best"])?;
        assert_eq!(found["chosen_by"], metric);
        let split = metric.split('/').next().unwrap_or_default();
        if split != "train" {
            let found = &eval(home.path(), &["--best", "--split", split])?["results"][metric];
            assert_eq!(found.as_f64(), Some(best), "{metric}");
        }
        let told = Run::new(["eval", "run", "--best"])
            .dir(home.path())
            .finish()
            .stderr;
        assert_eq!(told.contains("warning: "), split == "test", "{told}");
    }
    Ok(())
}

#[test]
fn unequal_classes_are_weighed_and_told_apart() -> Result<()> {
    let text = network("backprop", &phase("a", BOTH, "gradient", "epochs = 2"));
    let few = ["--set", "data.limit_train=3"];
    let (home, ran) = trained(&text, &few)?;
    assert!(
        ran.stderr
            .contains("of 10 classes have no sample in `train`"),
        "{}",
        ran.stderr
    );
    let found = eval(home.path(), &[])?;
    let record = record(home.path())?;
    let classes = found["classes"].as_array().ok_or("no classes")?;
    assert_eq!(record["classes"]["test"], found["classes"]);
    // The counts of the table are those of the accuracies.
    let (mut right, mut samples, mut sum) = (0, 0, 0.0);
    for (k, class) in classes.iter().enumerate() {
        let row: Vec<u64> = serde_json::from_value(found["confusion"][k].clone())?;
        assert_eq!(class["samples"].as_u64(), Some(row.iter().sum()));
        assert_eq!(class["right"].as_u64(), Some(row[k]));
        right += row[k];
        samples += row.iter().sum::<u64>();
        sum += row[k] as f64 / row.iter().sum::<u64>() as f64;
    }
    let close = |name: &str, x: f64| {
        let said = found["results"][name].as_f64().unwrap_or(f64::NAN);
        assert!((said - x).abs() < 1e-12, "{name}: {said} and {x}");
    };
    close("test/accuracy", right as f64 / samples as f64);
    close("test/balanced_accuracy", sum / 10.0);
    let shown = Run::new(["eval", "run"]).dir(home.path()).stdout();
    assert!(shown.contains("accuracy  0"), "{shown}");

    let (equal, _) = trained(&text, &[])?;
    let ones = "phases.a.class_weights=[2,2,2,2,2,2,2,2,2,2]";
    let (weighed, _) = trained(&text, &["--set", ones])?;
    let loss = |home: &Path| -> Result<f64> {
        let loss = eval(home, &[])?["results"]["test/loss"].as_f64();
        Ok(loss.ok_or("no loss")?)
    };
    let (a, b) = (loss(equal.path())?, loss(weighed.path())?);
    assert!(
        (a - b).abs() < 1e-4 * a,
        "weights that are all the same: {a} and {b}"
    );
    // One class counts for nearly everything, and is what is learned.
    let one = "phases.a.class_weights=[100,0.01,0.01,0.01,0.01,0.01,0.01,0.01,0.01,0.01]";
    let (home, _) = trained(&text, &["--set", one])?;
    assert_eq!(eval(home.path(), &[])?["classes"][0]["accuracy"], 1.0);
    result_is_that_of_the_last_weights(&text, &["--set", "phases.a.class_weights=balanced"])
}

#[test]
fn class_weights_that_cannot_act_are_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    let phases =
        phase("l", "[\"hidden\"]", "local", "") + &phase("g", "[\"readout\"]", "gradient", "");
    let text = network("softhebb", &phases);
    let cases: [(&[&str], &str); 7] = [
        (
            &["phases.g.class_weights=[1,2]"],
            "2 weights for 10 classes",
        ),
        (
            &["phases.g.class_weights=[0,0,0,0,0,0,0,0,0,0]"],
            "no class any weight",
        ),
        (
            &["phases.g.class_weights=[-1,1,1,1,1,1,1,1,1,1]"],
            "0 or more",
        ),
        (
            &["phases.g.class_weights=equal"],
            "\"balanced\" or a list of numbers",
        ),
        (
            &["phases.g.class_weights=balanced", "phases.g.loss=mse"],
            "cross-entropy",
        ),
        (
            &["phases.g.class_weights=balanced", "data.set=sine"],
            "values to regress",
        ),
        (&["phases.l.class_weights=balanced"], "local phase"),
    ];
    for (sets, words) in cases {
        let sets: Vec<&str> = sets
            .iter()
            .flat_map(|s| ["--set", s])
            .chain(["--dry-run"])
            .collect();
        let ran = train(home.path(), &text, &sets)?;
        assert_eq!(ran.code, Some(2), "{sets:?} {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{sets:?} {}", ran.stderr);
    }
    Ok(())
}

#[test]
fn label_smoothing_is_in_the_loss_that_drives_alone() -> Result<()> {
    let phases =
        phase("l", "[\"hidden\"]", "local", "") + &phase("g", "[\"readout\"]", "gradient", "");
    let text = network("softhebb", &phases);
    result_is_that_of_the_last_weights(&text, &["--set", "phases.g.label_smoothing=0.1"])?;
    let home = tempfile::tempdir()?;
    let cases: [(&[&str], &str); 4] = [
        (&["phases.g.label_smoothing=1.5"], "0 to 1"),
        (&["phases.l.label_smoothing=0.1"], "local phase"),
        (
            &["phases.g.label_smoothing=0.1", "phases.g.loss=mse"],
            "cross-entropy",
        ),
        (
            &["phases.g.label_smoothing=0.1", "data.set=sine"],
            "values to regress",
        ),
    ];
    for (sets, words) in cases {
        let sets = sets.iter().flat_map(|s| ["--set", s]);
        let sets: Vec<&str> = sets.chain(["--dry-run"]).collect();
        let ran = train(home.path(), &text, &sets)?;
        assert_eq!(ran.code, Some(2), "{sets:?} {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{sets:?} {}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_result_of_no_use_is_said_to_be_none_and_why() -> Result<()> {
    let local = phase("l", "[\"hidden\"]", "local", "epochs = 3")
        + &phase("g", "[\"readout\"]", "gradient", "");
    let text = network("hebbian/hebb", &local)
        .replace("\"relu\"", "\"repu(4)\"")
        .replace("norm = \"batch\"\n", "");
    let (_home, ran) = trained(&text, &[])?;
    for words in [
        "warning: the result is of no use",
        "block `hidden` (rule `hebbian/hebb`)",
        "`lr` of `hebbian/hebb`",
        "`hebbian/oja`",
    ] {
        assert!(ran.stderr.contains(words), "no {words} in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("gradient_clip"), "{}", ran.stderr);
    // Not a row of digits.
    let loss = ran
        .stdout
        .lines()
        .find(|l| l.contains("test/loss"))
        .ok_or("no loss")?;
    assert!(loss.trim().len() < 24, "{loss}");
    let (_home, ran) = trained(&network("softhebb", &local), &[])?;
    assert!(!ran.stderr.contains("of no use"), "{}", ran.stderr);
    Ok(())
}

/// Whatever the rule, a rate out of all proportion is divergence and not a fault of its plugin.
#[test]
fn a_rate_of_1e30_is_divergence() -> Result<()> {
    let home = tempfile::tempdir()?;
    let diverges = |text: &str, clip: bool| -> Result<()> {
        let ran = train(home.path(), text, &[])?;
        assert_eq!(ran.code, Some(5), "{text}\n{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(
            ran.stderr.contains("gradient_clip"),
            clip,
            "{text}\n{}",
            ran.stderr
        );
        Ok(std::fs::remove_dir_all(home.path().join("run"))?)
    };
    for rule in [
        "backprop",
        "feedback-alignment/fa",
        "feedback-alignment/usf",
        "direct-feedback-alignment/dfa",
        "direct-feedback-alignment/dkp",
        "kolen-pollack",
        "weight-mirror",
    ] {
        for kind in ["sgd", "adam"] {
            let rate = format!("optimizer = {{ kind = \"{kind}\", lr = 1e30 }}");
            let text = network(rule, &phase("a", BOTH, "gradient", &rate));
            diverges(&text, kind == "sgd")?;
            diverges(&text.replace("norm = \"batch\"\n", ""), kind == "sgd")?;
            // The read-out alone: linear, so that all numbers stay finite.
            diverges(&text.replace(BOTH, "[\"readout\"]"), kind == "sgd")?;
        }
    }
    for rule in ["hebbian/hebb", "hebbian/oja", "krotov", "softhebb"] {
        let local = phase("l", "[\"hidden\"]", "local", "local_rate = 1e30");
        diverges(
            &network(
                rule,
                &(local + &phase("g", "[\"readout\"]", "gradient", "")),
            ),
            false,
        )?;
    }
    Ok(())
}
