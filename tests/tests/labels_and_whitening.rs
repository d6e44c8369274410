//! SoftHebb's neuron labels and whitening, from a config to the run folder, through the
//! real binary and plugin.

use biorule_tests::plugins::Run;
use serde_json::Value;

/// Events of a run of `config` in a folder of its own.
fn events(config: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let out = Run::new(["train", "c.toml", "--run-dir", "run", "--events", "jsonl"])
        .dir(folder.path())
        .stdout();
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The metric `name` at the end of each epoch that has it.
fn metric(events: &[Value], name: &str) -> Vec<f64> {
    let epochs = events.iter().filter(|e| e["event"] == "epoch");
    epochs.filter_map(|e| e["metrics"][name].as_f64()).collect()
}

const HIDDEN: &str = r#"
[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 200
rule = { name = "softhebb", competition = "soft", lr = 0.05, power_lr = 0.5, t_invert = 12.0, radius = 3.0 }
"#;

/// A dense layer that has seen no label tells digits apart once its neurons are named.
#[test]
fn neurons_are_labelled_where_the_phase_asks() {
    let phase = "[training.local]\nepochs = 3\nbatch = 10\nneuron_labels = true\n";
    let config = |more: &str| format!("data = \"digits\"\n{HIDDEN}\n{phase}{more}");
    let once = events(&config(""));
    let (train, test) = (
        metric(&once, "neurons/train_accuracy"),
        metric(&once, "neurons/test_accuracy"),
    );
    assert_eq!(
        (train.len(), test.len()),
        (1, 1),
        "after the last epoch alone"
    );
    // Ten classes: chance is 0.1.
    assert!(train[0] > 0.6 && test[0] > 0.5, "{train:?} {test:?}");
    let often = events(&config("evaluate_every = 1\n"));
    let again = metric(&often, "neurons/test_accuracy");
    assert_eq!(again.len(), 3);
    assert_eq!(again[2], test[0], "looking changes nothing");
}

/// Convolutions have no neurons to name, and a phase that does not ask has no labels.
#[test]
fn convolutions_and_other_phases_have_no_labels() {
    let conv = "data = \"digits\"\n[[blocks]]\nname = \"c\"\nlayer = \"conv\"\nkernel = 3\nout = 4\nrule = \"softhebb\"\n\
         [training.local]\nneuron_labels = true\n";
    let plain = format!("data = \"digits\"\n{HIDDEN}");
    for config in [conv, &plain] {
        assert!(metric(&events(config), "neurons/test_accuracy").is_empty());
    }
}

/// What the network sees is what the running statistics of its first norm tell: whitened
/// pixels have variances near 1 (and means, which stay), those of a plain [0, 1] scale far less.
#[test]
fn whitened_data_reach_the_network() {
    let variance = |data: &str| {
        let config = format!(
            "data = {data}\n[[blocks]]\nname = \"out\"\nnorm = \"batch\"\nlayer = \"dense\"\nout = \"classes\"\n\
             rule = \"backprop\"\n[training.gradient]\nepochs = 1\n"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.toml"), config).unwrap();
        let train = Run::new(["train", "c.toml", "--run-dir", "run"]).dir(folder.path());
        train.stdout();
        let file = folder.path().join("run/checkpoints/last.safetensors");
        let tensors = candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap();
        let variance = &tensors["blocks.out.norm.running_var"];
        f64::from(variance.to_vec1::<f32>().unwrap()[0])
    };
    let (plain, white) = (
        variance("{ set = \"digits\" }"),
        variance("{ set = \"digits\", whiten = 0.001 }"),
    );
    assert!(plain < 0.3, "{plain}");
    assert!((0.6..2.0).contains(&white), "{white}");
}

#[test]
fn a_smoothing_that_is_not_positive_is_refused_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("data = {{ set = \"digits\", whiten = 0.0 }}\n{HIDDEN}");
    std::fs::write(folder.path().join("c.toml"), text).unwrap();
    let ran = Run::new(["train", "c.toml"]).dir(folder.path()).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`data.whiten`"), "{}", ran.stderr);
}
