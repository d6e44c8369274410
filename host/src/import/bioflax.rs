//! bioflax: the flags of `run_train.py`.

use super::Imported;
use super::flags::{self, Flag, Values};
use super::text::{name, number, quoted};
use crate::{Error, Result};

const fn one(name: &'static str) -> Flag {
    Flag {
        name,
        values: Values::One,
    }
}

const FLAGS: &[Flag] = &[
    one("jax_seed"),
    one("dataset"),
    one("batch_size"),
    one("train_set_size"),
    one("test_set_size"),
    one("val_split"),
    one("in_dim"),
    one("seq_len"),
    one("output_features"),
    one("teacher_act"),
    one("mode"),
    Flag {
        name: "activations",
        values: Values::Many,
    },
    Flag {
        name: "hidden_layers",
        values: Values::Many,
    },
    one("epochs"),
    one("lr"),
    one("momentum"),
    one("weight_decay"),
    one("optimizer"),
    one("initializer"),
    one("scale_w"),
    one("scale_b"),
    one("wandb_project"),
    one("wandb_entity"),
    one("use_wandb"),
    one("plot"),
    one("compute_alignments"),
    one("n"),
];

/// The configuration of `run_train.py WORDS`.
///
/// # Errors
/// Usage error for what its program refuses, and for what there is no counterpart of.
pub fn import(words: &[String]) -> Result<Imported> {
    let given = flags::read("bioflax's `run_train.py`", FLAGS, words)?;
    if let Some(word) = given.rest.first() {
        return Err(Error::usage(format!(
            "`{word}` belongs to no flag of bioflax"
        )));
    }
    let mut notes = Vec::new();
    let mode = given.word("mode", "fa", &["bp", "fa", "kp", "dfa"])?;
    let set = given.word("dataset", "mnist", &["mnist", "sinreg", "teacher"])?;
    let batch = given.whole("batch_size", 32)?;
    let mut body = format!(
        "name = {}\nseeds = [{}]\nrule = {}\n",
        quoted(&name(&format!("bioflax-{set}-{mode}"))),
        given.whole("jax_seed", 0)?,
        rule(&given, &mode, &mut notes)?
    );
    body.push_str(&data(&given, &set, batch, &mut notes)?);
    let layers = given.list("hidden_layers", &["500", "500"]);
    let activations = given.list("activations", &["relu", "relu"]);
    if layers.len() != activations.len() {
        return Err(Error::usage(format!(
            "{} hidden layers and {} activations: bioflax has one for each layer",
            layers.len(),
            activations.len()
        )));
    }
    for (i, (width, activation)) in layers.iter().zip(&activations).enumerate() {
        let width: u64 = width.parse().map_err(|_| {
            Error::usage(format!(
                "`--hidden_layers` has `{width}`, expected whole numbers"
            ))
        })?;
        if !["relu", "sigmoid", "tanh"].contains(&activation.as_str()) {
            return Err(Error::usage(format!(
                "the activation `{activation}` has no counterpart here"
            ))
            .hint("there are `relu`, `sigmoid` and `tanh`"));
        }
        body.push_str(&format!(
            "\n[[blocks]]\nname = \"hidden{}\"\nlayer = \"dense\"\nout = {width}\nactivation = \"{activation}\"\n",
            i + 1
        ));
    }
    body.push_str("\n[[blocks]]\nname = \"output\"\nlayer = \"dense\"\nout = \"classes\"\n");
    let loss = if set == "mnist" {
        ""
    } else {
        "loss = \"mse\"\n"
    };
    body.push_str(&format!(
        "\n[training]\nmode = \"end-to-end\"\n\n[training.gradient]\nepochs = {}\nbatch = {batch}\n{loss}optimizer = {}\n",
        given.whole("epochs", 5)?,
        optimizer(&given, &mode, &mut notes)?
    ));
    if given.flag("compute_alignments", true)? {
        body.push_str("\n[output]\nalignment_every = 1\n");
        if given.has("n") {
            notes.push("`--n`: the angles are measured on a held-out batch each epoch, not on the first batches of it".to_owned());
        }
    }
    for flag in ["wandb_project", "wandb_entity", "use_wandb", "plot"] {
        if given.has(flag) {
            notes.push(format!("`--{flag}` has no counterpart: `metrics.csv` and `tb/` of the run folder hold what it logs"));
        }
    }
    let title = format!("bioflax's `run_train.py {}`", words.join(" "));
    Ok(Imported::new(title.trim_end(), notes, &body))
}

fn rule(given: &flags::Given, mode: &str, notes: &mut Vec<String>) -> Result<String> {
    let init = given.word(
        "initializer",
        "lecun",
        &["lecun", "uniform", "variance_scaling"],
    )?;
    let name = match mode {
        "bp" => "backprop",
        "fa" => "feedback-alignment/fa",
        "kp" => "kolen-pollack",
        _ => "direct-feedback-alignment/dfa",
    };
    let mut rule = format!("{{ name = \"{name}\", init = \"{init}\"");
    for flag in ["scale_w", "scale_b"] {
        let scale = given.number(flag, 1.0)?;
        if !given.has(flag) {
            continue;
        }
        if init == "lecun" {
            notes.push(format!(
                "`--{flag}` does nothing with the initializer `lecun`, there as here"
            ));
        } else if flag == "scale_b" && mode == "bp" {
            notes.push(
                "`--scale_b` is of feedback weights, which backpropagation has none of".to_owned(),
            );
        } else {
            rule.push_str(&format!(", {flag} = {}", number(scale)));
        }
    }
    Ok(rule + " }")
}

fn data(given: &flags::Given, set: &str, batch: u64, notes: &mut Vec<String>) -> Result<String> {
    let mut body = String::from("\n[data]\n");
    let only_one = |flag: &str| -> Result<()> {
        match given.whole(flag, 1)? {
            1 => Ok(()),
            n => Err(
                Error::usage(format!("`--{flag} {n}` has no counterpart for `{set}`"))
                    .hint("samples have one channel here, and the sine has one input"),
            ),
        }
    };
    let not_read = |notes: &mut Vec<String>, flags: &[&str]| {
        for flag in flags.iter().filter(|flag| given.has(flag)) {
            notes.push(format!(
                "`--{flag}` does nothing for `{set}`, there as here"
            ));
        }
    };
    match set {
        "mnist" => {
            body.push_str(
                "set = \"mnist\"\nnormalize = \"standard\"\nmean = [0.1307]\nstd = [0.3081]\n",
            );
            not_read(
                notes,
                &[
                    "train_set_size",
                    "test_set_size",
                    "in_dim",
                    "seq_len",
                    "output_features",
                    "teacher_act",
                ],
            );
        }
        _ => {
            let count = |flag: &str, default| given.whole(flag, default);
            let (train, test) = (
                count("train_set_size", 50)? * batch,
                count("test_set_size", 10)? * batch,
            );
            only_one("in_dim")?;
            let mut options = format!("train = {train}, test = {test}");
            if set == "teacher" {
                let act = given.word("teacher_act", "sigmoid", &["sigmoid", "tanh", "relu"])?;
                options.push_str(&format!(
                    ", inputs = {}, outputs = {}, activation = \"{act}\"",
                    given.whole("seq_len", 1)?,
                    given.whole("output_features", 10)?
                ));
                body.push_str("set = \"teacher\"\n");
            } else {
                only_one("seq_len")?;
                not_read(notes, &["output_features", "teacher_act"]);
                body.push_str("set = \"sine\"\n");
            }
            body.push_str(&format!("options = {{ {options} }}\n"));
            notes.push(
                "the samples are drawn from the same distribution by another generator than JAX's"
                    .to_owned(),
            );
        }
    }
    let held = given.number("val_split", 0.1)?;
    match held {
        x if x > 0.0 => body.push_str(&format!("validation = {}\n", number(x))),
        _ => notes.push(
            "without `--val_split` the test set stands for the validation set, there as here"
                .to_owned(),
        ),
    }
    Ok(body)
}

fn optimizer(given: &flags::Given, mode: &str, notes: &mut Vec<String>) -> Result<String> {
    let kind = given.word("optimizer", "sgd", &["sgd", "adam"])?;
    let mut text = format!(
        "{{ kind = \"{kind}\", lr = {}",
        number(given.number("lr", 0.02)?)
    );
    let momentum = given.number("momentum", 0.0)?;
    match kind.as_str() {
        "sgd" if momentum != 0.0 => text.push_str(&format!(", momentum = {}", number(momentum))),
        "adam" if given.has("momentum") => {
            notes.push("`--momentum` does nothing with Adam, there as here".to_owned());
        }
        _ => {}
    }
    let decay = given.number("weight_decay", 0.0)?;
    if decay != 0.0 {
        text.push_str(&format!(", decoupled_decay = {}", number(-decay)));
        notes.push(format!(
            "bioflax adds `--weight_decay` to the step, so that a positive one lets weights grow: `decoupled_decay = {}` does the same; what its documentation describes is `{}`",
            number(-decay),
            number(decay.abs())
        ));
        if mode == "fa" || mode == "dfa" {
            notes.push("there the fixed feedback weights decay too; here they stay".to_owned());
        }
    }
    Ok(text + " }")
}
