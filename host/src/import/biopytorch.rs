//! BioPyTorch: the flags of experiment 03, and the values of one of its trials.

use super::Imported;
use super::flags::{self, Flag, Given, Values};
use super::text::number;
use crate::{Error, Result};

const fn flag(name: &'static str, values: Values) -> Flag {
    Flag { name, values }
}

/// Those of the program, then the parameters of a trial by the names of its study.
const FLAGS: &[Flag] = &[
    flag("layers", Values::One),
    flag("random", Values::None),
    flag("batch_size", Values::One),
    flag("data_augment", Values::None),
    flag("train_type", Values::One),
    flag("p", Values::One),
    flag("k", Values::One),
    flag("Delta", Values::One),
    flag("dropout", Values::One),
    flag("lin_p", Values::One),
    flag("lin_k", Values::One),
    flag("lin_Delta", Values::One),
];

/// Depths of the experiment.
const DEEPEST: u64 = 5;
const NAMES: [&str; 5] = ["conv1", "conv2", "conv3", "conv4", "hidden5"];

/// The classifier's phase, as the presets have it.
const CLASSIFIER: &str = "[[phases]]
name = \"classifier\"
blocks = [\"classifier\"]
drive = \"gradient\"
epochs = 150
optimizer = { kind = \"sgd\", lr = 0.05, momentum = 0.9 }
# Cosine with warm restarts: cycles of 10, 20, 40 and 80 epochs.
schedule = \"(1 + cos(pi * (epoch / 10 + 1 - 2 ^ floor(log2(epoch / 10 + 1))) / 2 ^ floor(log2(epoch / 10 + 1)))) / 2\"
";

/// The configuration of a trial.
///
/// # Errors
/// Usage error for values out of range and combinations without a counterpart.
pub fn import(words: &[String]) -> Result<Imported> {
    let given = flags::read("BioPyTorch's experiment 03", FLAGS, words)?;
    let mut notes = Vec::new();
    let depth = given.whole("layers", DEEPEST)?;
    if !(1..=DEEPEST).contains(&depth) {
        return Err(Error::usage(format!(
            "`--layers` is {depth}, expected 1 to {DEEPEST}"
        )));
    }
    if let Some(word) = given.rest.first() {
        notes.push(format!(
            "`{word}`, the number of trials, has no counterpart: this is one trial"
        ));
    }
    let random = given.has("random");
    let kind = given.word("train_type", "sequential", &["sequential", "all_at_once"])?;
    let together = kind == "all_at_once" && !random;
    let suffix = match (random, together) {
        (true, _) => "-random",
        (_, true) => "-together",
        _ => "",
    };
    let mut body = format!(
        "preset = \"biopytorch/layers{depth}\"\nname = \"biopytorch-layers{depth}{suffix}\"\n"
    );
    notes.push("what is not given is as in the published row of this depth; the authors split without a seed".to_owned());
    let batch = given.whole("batch_size", 64)?;
    if given.has("data_augment") {
        body.push_str("\n[data.augment]\nflip = 0.5\ncrop = 4\npadding = \"reflect\"\n");
    }
    body.push_str(&rules(&given, depth as usize, &mut notes)?);
    if given.has("dropout") {
        body.push_str(&format!(
            "\n[blocks.classifier]\ndropout = {}\n",
            number(given.number("dropout", 0.0)?)
        ));
    }
    body.push_str(&phases(
        &given,
        depth as usize,
        batch,
        (random, together),
        &mut notes,
    )?);
    let title = format!("BioPyTorch's experiment 03 {}", words.join(" "));
    Ok(Imported::new(title.trim_end(), notes, &body))
}

/// The hyperparameters of the layers, where some are given.
fn rules(given: &Given, depth: usize, notes: &mut Vec<String>) -> Result<String> {
    let mut body = String::new();
    let settings = |flags: [&str; 3]| -> Result<String> {
        let keys = ["lebesgue_p", "ranking_param", "delta"];
        let mut text = String::new();
        for (flag, key) in flags
            .into_iter()
            .zip(keys)
            .filter(|(flag, _)| given.has(flag))
        {
            let value = match key {
                "ranking_param" => given.whole(flag, 2)?.to_string(),
                _ => number(given.number(flag, 0.0)?),
            };
            text.push_str(&format!("{key} = {value}\n"));
        }
        Ok(text)
    };
    let convolutions = settings(["p", "k", "Delta"])?;
    let dense = settings(["lin_p", "lin_k", "lin_Delta"])?;
    for (i, block) in NAMES.iter().take(depth).enumerate() {
        let own = if i < 4 { &convolutions } else { &dense };
        if !own.is_empty() {
            body.push_str(&format!("\n[blocks.{block}.rule]\n{own}"));
        }
    }
    if depth < 5 && !dense.is_empty() {
        notes.push("`--lin_p`, `--lin_k` and `--lin_Delta` are of the dense layer, which only five layers have".to_owned());
    }
    Ok(body)
}

/// The phases, where they are not those of the preset.
fn phases(
    given: &Given,
    depth: usize,
    batch: u64,
    (random, together): (bool, bool),
    notes: &mut Vec<String>,
) -> Result<String> {
    let augment = if given.has("data_augment") {
        "augment = true\n"
    } else {
        ""
    };
    let more = format!("batch = {batch}\n{augment}");
    let mut body = String::new();
    if !random && !together {
        if batch == 64 && augment.is_empty() {
            return Ok(body);
        }
        for phase in NAMES.iter().take(depth).chain(&["classifier"]) {
            body.push_str(&format!("\n[phases.{phase}]\n{more}"));
        }
        return Ok(body);
    }
    if together {
        let names: Vec<String> = NAMES
            .iter()
            .take(depth)
            .map(|n| format!("\"{n}\""))
            .collect();
        // Ten batches of an epoch of 40,000 samples.
        let patience = 10.0 / (40_000.0 / batch as f64).ceil();
        body.push_str(&format!(
            "\n[[phases]]\nname = \"together\"\nblocks = [{}]\ndrive = \"local\"\nepochs = 0\n{more}evaluate_every = 0\nlocal_rate = {{ kind = \"exponential\", start = 0.007, end = 0.0001, speed = 0.8 }}\nstop = {{ metric = \"convergence\", patience = {} }}\n",
            names.join(", "),
            number(patience)
        ));
        notes.push("there each layer learns from the layer below as it is after its own step of the batch, and counts batches of its own; here all learn from one forward pass".to_owned());
        if depth == 5 {
            notes.push("the dense layer has the rate of the convolutions".to_owned());
        }
    }
    body.push_str(&format!("\n{CLASSIFIER}{more}"));
    Ok(body)
}
