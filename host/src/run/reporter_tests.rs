//! Reports arrive once, also when a kill came between checkpoint and report.

use super::*;
use crate::config::{Offline, Sources, resolve};
use crate::run::folder::Resume;
use crate::run::measured::Metrics;

fn folder(path: &Path) -> RunFolder {
    let text = "
        name = \"t\"
        data = \"digits\"
        output.tensorboard = false
        training.gradient.epochs = 3
        [[blocks]]
        layer = \"dense\"
        out = \"classes\"
        rule = \"backprop\"
    ";
    let file = path.join("t.toml");
    std::fs::write(&file, text).unwrap();
    let sources = Sources {
        files: vec![file],
        ..Sources::default()
    };
    let resolved = resolve(&sources, &Offline).unwrap();
    RunFolder::enter(&path.join("run"), &resolved, &[], Resume::Auto).unwrap()
}

fn epoch(n: u64) -> EpochRecord {
    EpochRecord {
        segment: "network".into(),
        phase: "train".into(),
        epoch: n,
        epochs: 3,
        total_epoch: n,
        step: 100 * n,
        seconds: 1.0,
        // The second number is one that JSON readers like to get wrong.
        metrics: Metrics::from([
            ("test/accuracy".to_owned(), 0.1 * n as f64),
            ("train/loss".to_owned(), 0.009_714_598_843_307_143),
        ]),
    }
}

fn quiet() -> ReporterOptions {
    ReporterOptions {
        quiet: true,
        ..ReporterOptions::default()
    }
}

fn epochs_logged(folder: &RunFolder) -> Vec<u64> {
    let events = events::read(&folder.events_path()).unwrap();
    let epochs = events.iter().filter(|e| e["event"] == "epoch");
    epochs.map(|e| e["epoch"].as_u64().unwrap()).collect()
}

#[test]
fn an_epoch_lost_between_checkpoint_and_report_is_made_up_for() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder(temporary.path());
    let mut first = Reporter::open(&folder, quiet()).unwrap();
    first.start(None).unwrap();
    first.epoch(epoch(1)).unwrap();
    // The checkpoint of epoch 2 is written; the process dies before it reports.
    let state = first.state_with(Some(&epoch(2))).unwrap().to_string();
    let state: Value = serde_json::from_str(&state).unwrap();
    drop(first);

    let mut second = Reporter::open(&folder, quiet()).unwrap();
    second.restore(&state).unwrap();
    second.start(Some(2)).unwrap();
    second.epoch(epoch(3)).unwrap();
    assert_eq!(epochs_logged(&folder), [1, 2, 3]);
    assert_eq!(second.history(), [epoch(1), epoch(2), epoch(3)]);
    let csv = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn events_carry_run_trial_seed_and_configuration() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder(temporary.path());
    let mut reporter = Reporter::open(&folder, quiet()).unwrap();
    reporter.start(None).unwrap();
    reporter.warn("w", "look", Some("there")).unwrap();
    for event in events::read(&folder.events_path()).unwrap() {
        assert_eq!(event["seed"], 0);
        assert_eq!(event["run"], folder.record().id.as_str());
        assert_eq!(event["trial_id"], folder.record().id.as_str());
        assert_eq!(event["config_hash"].as_str().unwrap().len(), 64);
    }
}

/// A quantity is named once, under the phase where it was measured.
#[test]
fn tags_say_each_word_once() {
    let tags = [
        ("train", "train/accuracy", "train/accuracy"),
        ("train", "test/accuracy", "train/test/accuracy"),
        ("conv1", "conv1/radius", "conv1/radius"),
        ("conv", "conv1/radius", "conv/conv1/radius"),
        (
            "random-weights/readout",
            "train/loss",
            "random-weights/readout/train/loss",
        ),
    ];
    for (place, name, expected) in tags {
        assert_eq!(tag(place, name), expected);
    }
}
