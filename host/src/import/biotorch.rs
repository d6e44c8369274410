//! BioTorch: the YAML files of its benchmark.

use serde_json::{Map, Value};

use super::text::{name, number, quoted};
use super::{Imported, yaml};
use crate::text::nearest;
use crate::{Error, Result};

/// Architectures with a preset here, and the size of their pictures.
const NETWORKS: &[(&str, &str)] = &[
    ("le_net_mnist", "biotorch/lenet-mnist"),
    ("le_net_cifar", "biotorch/lenet-cifar10"),
    ("resnet20", "biotorch/resnet20-cifar10"),
    ("resnet56", "biotorch/resnet56-cifar10"),
    ("resnet18", "biotorch/resnet18-imagenet"),
    ("resnet50", "biotorch/resnet50-imagenet"),
];

/// Data sets: BioTorch's name, ours, pixels on a side, mean, deviation.
const SETS: &[(&str, &str, u64, &str, &str)] = &[
    ("mnist", "mnist", 28, "[0.1307]", "[0.3081]"),
    ("fashion_mnist", "fashion-mnist", 28, "[0.2859]", "[0.3530]"),
    (
        "cifar10",
        "cifar10",
        32,
        "[0.4914, 0.4821, 0.4465]",
        "[0.2470, 0.2435, 0.2616]",
    ),
    (
        "cifar10_benchmark",
        "cifar10",
        32,
        "[0.4914, 0.4821, 0.4465]",
        "[0.2470, 0.2435, 0.2616]",
    ),
    (
        "cifar100",
        "cifar100",
        32,
        "[0.5071, 0.4867, 0.4408]",
        "[0.2675, 0.2565, 0.2761]",
    ),
    (
        "imagenet",
        "imagenet",
        224,
        "[0.485, 0.456, 0.406]",
        "[0.229, 0.224, 0.225]",
    ),
];

/// A table of the file, whose keys are struck off as they are read.
struct Section<'a> {
    path: &'static str,
    left: Map<String, Value>,
    notes: &'a mut Vec<String>,
}

impl Section<'_> {
    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        let path = self.path;
        Error::usage(format!("`{path}.{key}` is `{value}`, expected {expected}"))
    }
    fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key).filter(|value| !value.is_null())
    }
    fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, &other, "words")),
        }
    }
    fn number(&mut self, key: &str) -> Result<Option<f64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(x) => Ok(Some(x)),
                None => Err(self.wrong(key, &value, "a number")),
            },
        }
    }
    fn whole(&mut self, key: &str) -> Result<Option<u64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(n) => Ok(Some(n)),
                None => Err(self.wrong(key, &value, "a whole number")),
            },
        }
    }
    fn flag(&mut self, key: &str) -> Result<bool> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(self.wrong(key, &other, "true or false")),
        }
    }
    fn wholes(&mut self, key: &str) -> Result<Vec<u64>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let all: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
                all.ok_or_else(|| self.wrong(key, &Value::Array(items), "whole numbers"))
            }
            Some(other) => Err(self.wrong(key, &other, "whole numbers in brackets")),
        }
    }
    fn table(&mut self, path: &'static str, key: &str) -> Result<Option<Section<'_>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(left)) => Ok(Some(Section {
                path,
                left,
                notes: self.notes,
            })),
            Some(other) => Err(self.wrong(key, &other, "a table")),
        }
    }
    /// Refuses or notes what nothing has read.
    fn close(self, known: &[&str]) -> Result<()> {
        for (key, value) in self.left {
            let e = Error::usage(format!("BioTorch has no setting `{}.{key}`", self.path));
            if let Some(near) = nearest(&key, known.iter().copied()) {
                return Err(e.hint(format!("did you mean `{near}`?")));
            }
            self.notes.push(format!(
                "`{}.{key} = {value}` is no setting of BioTorch's benchmark and has no counterpart",
                self.path
            ));
        }
        Ok(())
    }
}

/// The configuration of a benchmark file with `text`.
///
/// # Errors
/// Usage error for what BioTorch refuses, and for what there is no counterpart of.
pub fn import(text: &str) -> Result<Imported> {
    let mut notes = Vec::new();
    let mut file = Section {
        path: "",
        left: yaml::read(text)?,
        notes: &mut notes,
    };
    let missing = |section: &str| {
        Error::usage(format!("the file has no section `{section}`"))
            .hint("a configuration of BioTorch has `experiment`, `data`, `model`, `training` and `infrastructure`")
    };
    let mut head = String::new();
    let mut output = String::new();
    let mut title = String::from("BioTorch's benchmark");
    let mut experiment = file
        .table("experiment", "experiment")?
        .ok_or_else(|| missing("experiment"))?;
    let called = experiment
        .text("name")?
        .unwrap_or_else(|| "biotorch".to_owned());
    head.push_str(&format!("name = {}\n", quoted(&name(&called))));
    let seed = experiment.whole("seed")?.unwrap_or(1);
    if let Some(folder) = experiment.text("output_dir")? {
        output.push_str(&format!(
            "runs = {}\n",
            quoted(folder.trim_end_matches('/'))
        ));
    }
    // Every run is deterministic here.
    experiment.flag("deterministic")?;
    if let Some(words) = experiment.text("description")? {
        title = format!("{title}: {}", words.replace('\n', " "));
    }
    experiment.close(&["name", "output_dir", "seed", "deterministic", "description"])?;

    let mut infrastructure = file
        .table("infrastructure", "infrastructure")?
        .ok_or_else(|| missing("infrastructure"))?;
    head.push_str(&format!(
        "seeds = [{seed}]\n{}",
        device(&mut infrastructure)?
    ));
    infrastructure.close(&["gpus"])?;

    let mut model = file
        .table("model", "model")?
        .ok_or_else(|| missing("model"))?;
    let (preset, rule) = network(&mut model)?;
    let mut body = format!("preset = \"{preset}\"\n{head}rule = {rule}\n");

    let mut data = file.table("data", "data")?.ok_or_else(|| missing("data"))?;
    let (data, augment) = set(&mut data, preset)?;
    body.push_str(&data);

    let mut training = file.table("training", "training")?.ok_or_else(|| {
        Error::usage("the file has no section `training`: it only evaluates")
            .hint("`biorule eval RUN` evaluates what was trained here")
    })?;
    body.push_str(&phase(&mut training, augment, &mut output)?);
    if let Some(evaluation) = file.take("evaluation")
        && evaluation != Value::Bool(true)
    {
        file.notes.push(
            "`evaluation: false` has no counterpart: the test set is evaluated at the end"
                .to_owned(),
        );
    }
    file.notes.push(
        "BioTorch tests the epoch of the best validation accuracy: `biorule eval RUN --best`"
            .to_owned(),
    );
    if !output.is_empty() {
        body.push_str(&format!("\n[output]\n{output}"));
    }
    file.close(&[
        "experiment",
        "data",
        "model",
        "training",
        "infrastructure",
        "evaluation",
    ])?;
    Ok(Imported::new(&title, notes, &body))
}

fn device(section: &mut Section<'_>) -> Result<String> {
    let gpus = section.take("gpus");
    let number = match &gpus {
        None => return Ok(String::new()),
        Some(Value::Array(all)) if all.len() == 1 => all[0].as_i64(),
        Some(Value::Array(all)) if all.len() > 1 => {
            section
                .notes
                .push("several GPUs have no counterpart: the first is used".to_owned());
            all[0].as_i64()
        }
        Some(value) => value.as_i64(),
    };
    match number {
        Some(-1) => Ok("device = \"cpu\"\n".to_owned()),
        Some(0) => {
            section.notes.push(
                "`gpus: 0` is `device = \"auto\"`: the first GPU, where there is one".to_owned(),
            );
            Ok("device = \"auto\"\n".to_owned())
        }
        Some(n) if n > 0 => Ok(format!("device = \"cuda:{n}\"\n")),
        _ => Err(section.wrong(
            "gpus",
            &gpus.unwrap_or_default(),
            "-1, a number or a list of numbers",
        )),
    }
}

/// Preset and rule.
fn network(model: &mut Section<'_>) -> Result<(&'static str, String)> {
    let refused = |what: &str, hint: &str| Err(Error::usage(what.to_owned()).hint(hint.to_owned()));
    if model.text("checkpoint")?.is_some() {
        return refused(
            "`model.checkpoint` is a pickled model, which is not read",
            "save its `state_dict()` as safetensors, and start with `init_from`",
        );
    }
    if model.flag("pretrained")? {
        return refused(
            "`model.pretrained` takes weights of torchvision, which are not here",
            "save them as safetensors, and start with `init_from`",
        );
    }
    let architecture = model.text("architecture")?.unwrap_or_default();
    let Some((_, preset)) = NETWORKS.iter().find(|(own, _)| *own == architecture) else {
        let names: Vec<&str> = NETWORKS.iter().map(|(own, _)| *own).collect();
        return Err(Error::usage(format!(
            "the architecture `{architecture}` has no preset here"
        ))
        .hint(format!("there are `{}`", names.join("`, `"))));
    };
    if let Some(mut loss) = model.table("model.loss_function", "loss_function")? {
        match loss.text("name")?.as_deref() {
            None | Some("cross_entropy") => {}
            Some(other) => {
                return Err(
                    Error::usage(format!("the loss `{other}` is none of BioTorch's"))
                        .hint("it has `cross_entropy`"),
                );
            }
        }
        loss.close(&["name"])?;
    }
    let mut mode = model
        .table("model.mode", "mode")?
        .ok_or_else(|| Error::usage("`model.mode` is missing"))?;
    let kind = mode.text("type")?.unwrap_or_default();
    let name = match kind.as_str() {
        "backpropagation" => "backprop",
        "fa" => "feedback-alignment/fa",
        "usf" => "feedback-alignment/usf",
        "brsf" => "feedback-alignment/brsf",
        "frsf" => "feedback-alignment/frsf",
        "dfa" => "direct-feedback-alignment/dfa",
        other => {
            let e = Error::usage(format!("`model.mode.type` is `{other}`"));
            return Err(
                e.hint("BioTorch has `backpropagation`, `fa`, `usf`, `brsf`, `frsf` and `dfa`")
            );
        }
    };
    let mut rule = format!("{{ name = \"{name}\"");
    let mut init = "xavier".to_owned();
    if let Some(mut options) = mode.table("model.mode.options", "options")? {
        // Any other word means PyTorch's.
        init = options.text("init")?.unwrap_or(init);
        let of_family = name.starts_with("feedback-alignment/");
        if options.flag("gradient_clip")? {
            match of_family {
                true => rule.push_str(", gradient_clip = 1.0"),
                false => options.notes.push(format!(
                    "`gradient_clip` does nothing with `{kind}`, there as here"
                )),
            }
        }
        if options.flag("constrain_weights")? {
            match of_family {
                true => {
                    rule.push_str(", constrain_weights = true");
                    options.notes.push("`constrain_weights` rescales the weights that learn; BioTorch's leaves them as they are, since its optimiser holds others".to_owned());
                }
                false => options.notes.push(format!(
                    "`constrain_weights` does nothing with `{kind}`, there as here"
                )),
            }
        }
        if options.take("scaling_factor").is_some() {
            options
                .notes
                .push("`scaling_factor` does nothing, there as here".to_owned());
        }
        options.close(&[
            "init",
            "gradient_clip",
            "constrain_weights",
            "scaling_factor",
        ])?;
    }
    mode.close(&["type", "options"])?;
    let init = if init == "xavier" {
        "xavier"
    } else {
        "kaiming"
    };
    rule.push_str(&format!(", init = \"{init}\" }}"));
    model
        .left
        .retain(|key, value| !(key == "checkpoint" && value.is_null()));
    let known = [
        "architecture",
        "mode",
        "pretrained",
        "checkpoint",
        "loss_function",
    ];
    let rest = Section {
        path: "model",
        left: std::mem::take(&mut model.left),
        notes: model.notes,
    };
    rest.close(&known)?;
    Ok((preset, rule))
}

/// `[data]`, and whether training pictures change.
fn set(data: &mut Section<'_>, preset: &str) -> Result<(String, bool)> {
    let called = data.text("dataset")?.unwrap_or_default();
    let Some((_, set, side, mean, std)) = SETS.iter().find(|(own, ..)| *own == called) else {
        let names = SETS.iter().map(|(own, ..)| *own);
        let e = Error::usage(format!("`data.dataset` is `{called}`"));
        return Err(match nearest(&called, names.clone()) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!(
                "BioTorch has `{}`",
                names.collect::<Vec<_>>().join("`, `")
            )),
        });
    };
    let mut text = format!(
        "\n[data]\nset = \"{set}\"\nnormalize = \"standard\"\nmean = {mean}\nstd = {std}\n"
    );
    let benchmark = called == "cifar10_benchmark";
    let of_preset = preset.ends_with("cifar10");
    if benchmark || of_preset {
        text.push_str(&format!(
            "validation = {}\n",
            if benchmark { 5000 } else { 0 }
        ));
    }
    if let Some(folder) = data.text("dataset_path")? {
        text.push_str(&format!("root = {}\n", quoted(&folder)));
    }
    let size = data.whole("target_size")?.unwrap_or(32);
    if called == "imagenet" {
        if size != *side {
            data.notes.push(format!("`target_size: {size}` does nothing with ImageNet, whose pieces have 224 pixels, there as here"));
        }
        text.push_str("resize = [224, 224]\nresize_method = \"crop\"\n");
    } else if benchmark {
        if size != *side {
            data.notes.push(format!(
                "`target_size: {size}` does nothing with `cifar10_benchmark`, there as here"
            ));
        }
    } else if size != *side || preset == "biotorch/lenet-mnist" {
        text.push_str(&format!("resize = [{size}, {size}]\n"));
    }
    if let Some(workers) = data.whole("num_workers")? {
        // None there means the training thread.
        text.push_str(&format!("threads = {workers}\n"));
    }
    if data.take("batch_size").is_some() {
        data.notes
            .push("`data.batch_size` is for evaluation alone and has no counterpart".to_owned());
    }
    let augment = benchmark || called == "imagenet";
    match called.as_str() {
        "cifar10_benchmark" => text.push_str("augment = { flip = 0.5, crop = 4 }\n"),
        "imagenet" => text.push_str("augment = { flip = 0.5, resized_crop = [0.08, 1.0] }\n"),
        _ if of_preset || preset.ends_with("imagenet") => {
            text.push_str("augment = { flip = 0.0, crop = 0 }\n");
        }
        _ => {}
    }
    if !benchmark {
        data.notes
            .push("the test set stands for the validation set, as there".to_owned());
    }
    let rest = Section {
        path: "data",
        left: std::mem::take(&mut data.left),
        notes: data.notes,
    };
    rest.close(&[
        "dataset",
        "dataset_path",
        "target_size",
        "num_workers",
        "batch_size",
    ])?;
    Ok((text, augment))
}

/// `[training.gradient]`.
fn phase(training: &mut Section<'_>, augment: bool, output: &mut String) -> Result<String> {
    let missing = |what: &str| Error::usage(format!("`training.{what}` is missing"));
    let mut text = String::from("\n[training.gradient]\n");
    let mut sizes = training
        .table("training.hyperparameters", "hyperparameters")?
        .ok_or_else(|| missing("hyperparameters"))?;
    let epochs = sizes
        .whole("epochs")?
        .ok_or_else(|| missing("hyperparameters.epochs"))?;
    let batch = sizes
        .whole("batch_size")?
        .ok_or_else(|| missing("hyperparameters.batch_size"))?;
    sizes.close(&["epochs", "batch_size"])?;
    text.push_str(&format!(
        "epochs = {epochs}\nbatch = {batch}\ndrop_last = true\naugment = {augment}\n"
    ));
    let mut optimizer = training
        .table("training.optimizer", "optimizer")?
        .ok_or_else(|| missing("optimizer"))?;
    text.push_str(&format!("optimizer = {}\n", optimiser(&mut optimizer)?));
    optimizer.close(&["type", "lr", "weight_decay", "momentum", "betas"])?;
    let schedule = match training.table("training.lr_scheduler", "lr_scheduler")? {
        None => "\"constant\"".to_owned(),
        Some(mut scheduler) => {
            let kind = scheduler.text("type")?.unwrap_or_default();
            if kind != "multistep_lr" {
                return Err(
                    Error::usage(format!("`training.lr_scheduler.type` is `{kind}`"))
                        .hint("BioTorch has `multistep_lr`"),
                );
            }
            let gamma = scheduler.number("gamma")?.unwrap_or(0.1);
            let epochs = scheduler.wholes("milestones")?;
            scheduler.close(&["type", "gamma", "milestones"])?;
            format!(
                "{{ kind = \"steps\", epochs = {epochs:?}, gamma = {} }}",
                number(gamma)
            )
        }
    };
    text.push_str(&format!("schedule = {schedule}\n"));
    if let Some(mut metrics) = training.table("training.metrics", "metrics")? {
        if metrics.take("top_k").is_some() {
            metrics.notes.push(
                "`top_k` has no counterpart: the accuracy is that of the first choice".to_owned(),
            );
        }
        if let Some(every) = metrics.whole("display_iterations")? {
            output.push_str(&format!("log_every = {every}\n"));
        }
        if metrics.flag("layer_alignment")? {
            output.push_str("alignment_every = 1\n");
        }
        if metrics.flag("weight_ratio")? {
            metrics.notes.push("`weight_ratio`: the sizes of weights and feedback are among the metrics of the rules that have them".to_owned());
        }
        metrics.close(&[
            "top_k",
            "display_iterations",
            "layer_alignment",
            "weight_ratio",
        ])?;
    }
    let rest = Section {
        path: "training",
        left: std::mem::take(&mut training.left),
        notes: training.notes,
    };
    rest.close(&["hyperparameters", "optimizer", "lr_scheduler", "metrics"])?;
    Ok(text)
}

fn optimiser(section: &mut Section<'_>) -> Result<String> {
    let kind = section.text("type")?.unwrap_or_default();
    let lr = section
        .number("lr")?
        .ok_or_else(|| Error::usage("`training.optimizer.lr` is missing"))?;
    let decay = section.number("weight_decay")?.unwrap_or(0.0);
    let momentum = section.number("momentum")?;
    let betas = section.take("betas");
    match kind.as_str() {
        "SGD" => {
            if betas.is_some() {
                section
                    .notes
                    .push("`betas` does nothing with SGD, there as here".to_owned());
            }
            Ok(format!(
                "{{ kind = \"sgd\", lr = {}, momentum = {}, weight_decay = {} }}",
                number(lr),
                number(momentum.unwrap_or(0.0)),
                number(decay)
            ))
        }
        "Adam" => {
            let pair = match &betas {
                None => String::new(),
                Some(Value::Array(two)) if two.len() == 2 && two.iter().all(Value::is_number) => {
                    let two: Vec<String> =
                        two.iter().filter_map(Value::as_f64).map(number).collect();
                    format!(", betas = [{}]", two.join(", "))
                }
                Some(other) => return Err(section.wrong("betas", other, "two numbers")),
            };
            Ok(format!(
                "{{ kind = \"adam\", lr = {}{pair}, weight_decay = {} }}",
                number(lr),
                number(decay)
            ))
        }
        other => Err(
            Error::usage(format!("the optimiser `{other}` has no counterpart here"))
                .hint("`SGD` and `Adam` have"),
        ),
    }
}
