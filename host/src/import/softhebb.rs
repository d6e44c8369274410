//! SoftHebb: a network of `presets.json`, with two of its data sets, as `multi_layer.py` trains it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Imported;
use super::text::{name, number, quoted};
use crate::text::nearest;
use crate::{Error, Result};

/// What `multi_layer.py` is called with.
#[derive(Clone, Debug)]
pub struct Call {
    /// Name of the network.
    pub preset: String,
    /// Data set of local phases.
    pub unsupervised: String,
    /// Data set of phases with labels, and of the test.
    pub supervised: String,
    /// `successive`, `consecutive` or `simultaneous`.
    pub mode: String,
    /// Only these blocks are trained; empty: all.
    pub blocks: Vec<u64>,
    /// Seed of the run; absent: those of the data sets.
    pub seed: Option<u64>,
    /// Part of the training samples takes the place of the test set.
    pub validation: bool,
}

/// Settings of a layer that its string can set: token, name, whether it is a whole number.
const TOKENS: &[(&str, &str)] = &[
    ("lr", "lr"),
    ("ls", "lr_sup"),
    ("lb", "lebesgue_p"),
    ("lp", "power_lr"),
    ("c", "out_channels"),
    ("t", "t_invert"),
    ("b", "add_bias"),
    ("a", "delta"),
    ("r", "radius"),
    ("v", "adaptive"),
    ("k", "kernel_size"),
    ("p", "padding"),
    ("s", "stride"),
    ("d", "dilation"),
    ("g", "groups"),
    ("m", "mask_thsd"),
    ("e", "pre_triangle"),
];

/// Settings that nothing reads, there as here.
const UNREAD: &[&str] = &[
    "arch",
    "hebbian",
    "beta",
    "power",
    "normalize_inp",
    "plasticity",
    "weight_decay",
    "seed",
    "lr_bias",
    "mask_thsd",
    "weight_init",
    "weight_init_range",
    "resume",
    "softness",
    "metric_mode",
];

/// Families of data sets and ours.
const FAMILIES: &[(&str, &str)] = &[
    ("MNIST", "mnist"),
    ("FashionMNIST", "fashion-mnist"),
    ("CIFAR10", "cifar10"),
    ("CIFAR100", "cifar100"),
    ("STL10", "stl10"),
    ("ImageNette", "imagenette"),
    ("ImageNet", "imagenet"),
    (
        "ImageNetV2MatchedFrequency",
        "imagenet-v2-matched-frequency",
    ),
    ("ImageNetV2Threshold07", "imagenet-v2-threshold07"),
    ("ImageNetV2TopImages", "imagenet-v2-top-images"),
];

/// A block, ready to be written.
struct Block {
    lines: Vec<String>,
    name: String,
    hebbian: bool,
    supervised: bool,
    lr_sup: f64,
}

/// The configuration of `multi_layer.py` on a `presets.json` with `text`.
///
/// # Errors
/// Usage error for names that are not there, and for what there is no counterpart of.
pub fn import(text: &str, call: &Call) -> Result<Imported> {
    let file: Value =
        serde_json::from_str(text).map_err(|e| Error::usage(format!("it is no JSON: {e}")))?;
    let model = find(&file["model"], &call.preset, "network")?;
    let mut notes = Vec::new();
    let mut blocks = blocks(&file, model, &mut notes)?;
    let supervised = dataset(&file, &call.supervised)?;
    let unsupervised = dataset(&file, &call.unsupervised)?;
    let chosen = chosen(call, &mut blocks, &mut notes)?;

    let seed = call.seed.unwrap_or_else(|| supervised.whole("seed", 0));
    let mut body = format!("name = {}\nseeds = [{seed}]\n", quoted(&name(&call.preset)));
    let main = supervised.table(&mut notes)?;
    body.push_str("\n[data]\n");
    body.push_str(&main);
    if call.validation {
        body.push_str(&format!(
            "validation = {}\n",
            number(supervised.number("validation_split", 0.2))
        ));
        notes.push("there validation samples take the place of the test set and keep the augmentation; here both are evaluated, without it".to_owned());
    }
    let has_local =
        blocks.iter().any(|b| b.hebbian && !b.supervised) && call.mode != "simultaneous";
    let other = unsupervised.table(&mut notes)?;
    // Whether samples change is said by the phase; a set of its own is for other samples or changes.
    let plain = |table: &str| -> Vec<String> {
        let lines = table.lines().filter(|line| !line.starts_with("augment = "));
        lines.map(str::to_owned).collect()
    };
    let differs = match unsupervised.augments() {
        true => other != main,
        false => plain(&other) != plain(&main),
    };
    let apart = has_local && differs;
    if apart {
        body.push_str(&format!("\n[extra_data.local]\n{other}"));
    }
    for block in &blocks {
        body.push_str("\n[[blocks]]\n");
        body.push_str(&(block.lines.join("\n") + "\n"));
    }
    let rates: Vec<f64> = blocks
        .iter()
        .filter(|b| !b.hebbian)
        .map(|b| b.lr_sup)
        .collect();
    let lr = rates.iter().copied().fold(f64::INFINITY, f64::min);
    if rates.iter().any(|r| *r != lr) {
        notes.push(format!("blocks have different `lr_sup`; all learn by the smallest, {lr}, as there when they learn together"));
    }
    let local = local_phase(&unsupervised, apart);
    let gradient = gradient_phase(&supervised, if lr.is_finite() { lr } else { 0.001 });
    match chosen {
        None => {
            body.push_str(&format!("\n[training]\nmode = \"{}\"\n", call.mode));
            if has_local {
                body.push_str(&format!("\n[training.local]\n{local}"));
            }
            if blocks.iter().any(|b| !b.hebbian || b.supervised) || call.mode == "simultaneous" {
                body.push_str(&format!("\n[training.gradient]\n{gradient}"));
            }
        }
        Some(chosen) => body.push_str(&written_out(call, &blocks, &chosen, (&local, &gradient))),
    }
    notes.push("the test accuracy at the last epoch is what the authors publish".to_owned());
    let title = format!(
        "SoftHebb's `multi_layer.py --preset {} --dataset-unsup {} --dataset-sup {} --training-mode {}`",
        call.preset, call.unsupervised, call.supervised, call.mode
    );
    Ok(Imported::new(&title, notes, &body))
}

/// The table `name` in `all`.
fn find<'a>(all: &'a Value, name: &str, what: &str) -> Result<&'a Map<String, Value>> {
    let Some(all) = all.as_object() else {
        return Err(Error::usage("it is not SoftHebb's `presets.json`")
            .hint("that has the sections `model`, `layer` and `dataset`"));
    };
    all.get(name).and_then(Value::as_object).ok_or_else(|| {
        let e = Error::usage(format!("the file has no {what} `{name}`"));
        match nearest(name, all.keys().map(String::as_str)) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!(
                "it has `{}`",
                all.keys().cloned().collect::<Vec<_>>().join("`, `")
            )),
        }
    })
}

fn blocks(file: &Value, model: &Map<String, Value>, notes: &mut Vec<String>) -> Result<Vec<Block>> {
    let mut all = Vec::new();
    let mut convolutions = 0;
    let mut dense = 0;
    let mut images = true;
    for at in 0..model.len() {
        let key = format!("b{at}");
        let Some(given) = model.get(&key).and_then(Value::as_object) else {
            return Err(Error::usage(format!("the network has no block `{key}`"))
                .hint("blocks are `b0`, `b1`, … in order"));
        };
        let last = at + 1 == model.len();
        let name = match (last, given["arch"].as_str()) {
            (true, _) => "classifier".to_owned(),
            (_, Some("CNN")) => {
                convolutions += 1;
                format!("conv{convolutions}")
            }
            _ => {
                dense += 1;
                format!("dense{dense}")
            }
        };
        all.extend(
            block(file, &key, given, (&name, last, &mut images), notes)
                .map_err(|e| e.within(format!("block `{key}`")))?,
        );
    }
    Ok(all)
}

/// A block of the file; of a flattened norm two.
fn block(
    file: &Value,
    key: &str,
    given: &Map<String, Value>,
    (name, last, images): (&str, bool, &mut bool),
    notes: &mut Vec<String>,
) -> Result<Vec<Block>> {
    let known = [
        "arch",
        "preset",
        "num",
        "operation",
        "activation",
        "pool",
        "batch_norm",
        "dropout",
        "att_dropout",
        "resume",
        "layer",
    ];
    for other in given.keys().filter(|k| !known.contains(&k.as_str())) {
        notes.push(format!(
            "`{key}.{other}` is no setting of SoftHebb's and has no counterpart"
        ));
    }
    let conv = match given["arch"].as_str() {
        Some("CNN") => true,
        Some("MLP") => false,
        other => {
            return Err(Error::usage(format!(
                "`arch` is {other:?}, expected `CNN` or `MLP`"
            )));
        }
    };
    let (word, layer) = layer(file, given, conv)?;
    let get = |key: &str| layer.get(key).and_then(Value::as_f64);
    let on = |key: &str| {
        layer
            .get(key)
            .is_some_and(|v| v.as_bool().unwrap_or(v.as_f64().is_some_and(|x| x != 0.0)))
    };
    let operation = given
        .get("operation")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let has = |what: &str| operation.contains(what);
    let mut lines = vec![format!("name = \"{name}\"")];
    let mut before = Vec::new();
    if *images && !conv && !has("flatten") {
        return Err(Error::usage(
            "a dense block behind images without `flatten`",
        ));
    }
    if conv && !*images {
        return Err(Error::usage("a convolution behind a dense block"));
    }
    if has("batchnorm2d") {
        lines.push("norm = \"batch\"".to_owned());
    }
    if has("batchnorm1d") && has("flatten") {
        match *images {
            // Each value has statistics of its own, so the images are flattened first.
            true => {
                let mut first = vec![format!("name = \"{name}-flat\"")];
                if has("batchnorm2d") {
                    first.push("norm = \"batch\"".to_owned());
                    lines.pop();
                }
                first.push("flatten = true".to_owned());
                before.push(Block {
                    lines: first,
                    name: format!("{name}-flat"),
                    hebbian: false,
                    supervised: false,
                    lr_sup: f64::INFINITY,
                });
                lines.push("norm = \"batch\"".to_owned());
            }
            false => lines.push("norm = \"batch\"".to_owned()),
        }
    }
    if has("max") {
        lines.push("divide_by_max = true".to_owned());
    }
    if has("normnorm") {
        lines.push("unit_length = true".to_owned());
    }
    match given.get("dropout") {
        // A whole number means none there.
        Some(Value::Number(n)) if n.is_f64() && n.as_f64() != Some(0.0) => {
            lines.push(format!("dropout = {}", number(n.as_f64().unwrap_or(0.0))));
        }
        Some(Value::Number(n)) if n.as_f64() != Some(0.0) => {
            notes.push(format!(
                "`{key}.dropout` is the whole number {n}, which means none there"
            ));
        }
        _ => {}
    }
    if given.get("att_dropout").is_some_and(|v| !v.is_null()) {
        return Err(Error::usage("`att_dropout` has no counterpart here").hint("set it to null"));
    }
    if given.get("resume").is_some_and(|v| !v.is_null()) {
        notes.push(format!(
            "`{key}.resume`: weights are taken over by `init_from` and `init_blocks`"
        ));
    }
    let out = layer.get("out_channels").and_then(Value::as_u64);
    let hebbian = word != "BP";
    let out_text = match (last && !hebbian, out) {
        (true, _) => "\"classes\"".to_owned(),
        (false, Some(n)) => n.to_string(),
        (false, None) => return Err(Error::usage("`preset` has no `c`, the number of neurons")),
    };
    lines.push(format!(
        "layer = \"{}\"",
        if conv { "conv" } else { "dense" }
    ));
    lines.push(format!("out = {out_text}"));
    if conv {
        lines.extend(geometry(&layer)?);
        *images = true;
    } else {
        *images = false;
    }
    let bias = on("add_bias") || (!hebbian && !conv);
    lines.push(format!("bias = {bias}"));
    let supervised = layer.get("metric_mode").and_then(Value::as_str) == Some("supervised");
    match hebbian {
        false => {
            lines.push("rule = \"backprop\"".to_owned());
            idle_of_backprop(key, given, notes);
        }
        true => lines.push(format!("rule = {}", rule(&word, key, &layer, conv, notes)?)),
    }
    for unread in ["softness", "soft_activation_fn"] {
        let usual = layer.get(unread).and_then(Value::as_str);
        if unread == "soft_activation_fn" && !matches!(usual, None | Some("exp")) {
            return Err(Error::usage(format!(
                "`soft_activation_fn` is {usual:?}, and only `exp` has a counterpart"
            )));
        }
    }
    if let Some(text) = given
        .get("activation")
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
    {
        lines.push(format!("activation = {}", activation(text, key, notes)?));
    }
    if given.get("batch_norm").and_then(Value::as_bool) == Some(true) {
        lines.push("norm_after = \"batch\"".to_owned());
    }
    if let Some(text) = given
        .get("pool")
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
    {
        match conv {
            true => lines.push(format!("pool = {}", pool(text)?)),
            false => notes.push(format!(
                "`{key}.pool` does nothing behind a dense layer, there as here"
            )),
        }
    }
    before.push(Block {
        lines,
        name: name.to_owned(),
        hebbian,
        supervised,
        lr_sup: get("lr_sup").unwrap_or(0.001),
    });
    Ok(before)
}

/// Rule and settings of a layer: the defaults of its kind, its string, what is laid over it.
fn layer(
    file: &Value,
    given: &Map<String, Value>,
    conv: bool,
) -> Result<(String, BTreeMap<String, Value>)> {
    let arch = if conv { "CNN" } else { "MLP" };
    let preset = given
        .get("preset")
        .and_then(Value::as_str)
        .ok_or_else(|| Error::usage("`preset` is missing"))?;
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let mut lay = |table: Option<&Map<String, Value>>| {
        for (key, value) in table.into_iter().flatten() {
            all.insert(key.clone(), value.clone());
        }
    };
    lay(file["layer"][arch]["default"].as_object());
    let mut word = String::new();
    match file["layer"][arch].get(preset).and_then(Value::as_object) {
        Some(named) => lay(Some(named)),
        None => {
            let mut parts = preset.split('-');
            word = parts.next().unwrap_or_default().to_owned();
            for token in parts {
                let (key, value) = token_of(token, conv)?;
                all.insert(key.to_owned(), value);
            }
        }
    }
    for (key, value) in given
        .get("layer")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        all.insert(key.clone(), value.clone());
    }
    if word.is_empty() {
        let softness = all
            .get("softness")
            .and_then(Value::as_str)
            .unwrap_or("hard");
        word = match all.get("hebbian").and_then(Value::as_bool) {
            Some(false) => "BP".to_owned(),
            _ => softness.to_owned(),
        };
    }
    let lower = word.to_lowercase();
    let known = [
        "bp",
        "hard",
        "hardkrotov",
        "soft",
        "softkrotov",
        "supervisedsoftkrotov",
    ];
    if !known.contains(&lower.as_str()) {
        let e = Error::usage(format!("`{word}` is no rule of SoftHebb's"));
        return Err(match nearest(&lower, known) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint("there are `BP`, `hard`, `hardkrotov`, `soft`, `softkrotov` and `supervisedsoftkrotov`"),
        });
    }
    Ok((
        if lower == "bp" {
            "BP".to_owned()
        } else {
            lower
        },
        all,
    ))
}

/// A token of a layer's string, such as `lr0.08`.
fn token_of(token: &str, conv: bool) -> Result<(&'static str, Value)> {
    let letters = token.len()
        - token
            .trim_start_matches(|c: char| c.is_ascii_alphabetic())
            .len();
    let (head, tail) = token.split_at(letters);
    let found = TOKENS.iter().find(|(own, _)| *own == head);
    let value = tail.parse::<f64>().ok();
    let (Some((own, key)), Some(x)) = (found, value) else {
        return Err(Error::usage(format!(
            "`{token}` in `preset` is no token of SoftHebb's, which ignores it"
        ))
        .hint("remove it, or correct it: `c96-k5-p2-t1-lr0.08-lp0.5`"));
    };
    if !conv && ["k", "p", "s", "d", "g", "m", "e"].contains(own) {
        return Err(
            Error::usage(format!("`{token}` in `preset` is of convolutions")).hint("remove it"),
        );
    }
    Ok((
        key,
        match *key {
            "add_bias" | "adaptive" | "pre_triangle" => Value::Bool(x != 0.0),
            _ if x.fract() == 0.0 && x >= 0.0 => Value::from(x as u64),
            _ => Value::from(x),
        },
    ))
}

fn geometry(layer: &BTreeMap<String, Value>) -> Result<Vec<String>> {
    let whole = |key: &str, default| layer.get(key).and_then(Value::as_u64).unwrap_or(default);
    let kernel = layer.get("kernel_size").and_then(Value::as_u64);
    let kernel =
        kernel.ok_or_else(|| Error::usage("`preset` has no `k`, the size of the kernel"))?;
    let mut lines = vec![format!("kernel = {kernel}")];
    let padding = whole("padding", 0);
    if padding > 0 {
        lines.push(format!("padding = {padding}"));
        let mode = layer
            .get("padding_mode")
            .and_then(Value::as_str)
            .unwrap_or("reflect");
        if mode != "zeros" {
            lines.push(format!("padding_mode = \"{mode}\""));
        }
    }
    for key in ["stride", "dilation", "groups"] {
        if whole(key, 1) != 1 {
            lines.push(format!("{key} = {}", whole(key, 1)));
        }
    }
    Ok(lines)
}

/// Tokens of a backpropagated block that nothing reads.
fn idle_of_backprop(key: &str, given: &Map<String, Value>, notes: &mut Vec<String>) {
    let preset = given
        .get("preset")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let idle: Vec<&str> = preset
        .split('-')
        .skip(1)
        .filter(|token| {
            let head = token.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
            ["lr", "lb", "lp", "t", "a", "r", "v", "m", "e"].contains(&head)
        })
        .collect();
    if !idle.is_empty() {
        notes.push(format!(
            "`{}` of `{key}` do nothing in a block of backpropagation, there as here",
            idle.join("`, `")
        ));
    }
}

fn rule(
    word: &str,
    key: &str,
    layer: &BTreeMap<String, Value>,
    conv: bool,
    notes: &mut Vec<String>,
) -> Result<String> {
    let get = |name: &str, default: f64| layer.get(name).and_then(Value::as_f64).unwrap_or(default);
    let competition = match word {
        "hard" => "hard",
        "hardkrotov" => "hard-krotov",
        "soft" => "soft",
        "softkrotov" => "soft-krotov",
        _ => "supervised",
    };
    let mut text = format!(
        "{{ name = \"softhebb\", competition = \"{competition}\", lr = {}",
        number(get("lr", if conv { 0.009 } else { 0.05 }))
    );
    let adaptive = layer
        .get("adaptive")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let decay = layer
        .get("lr_decay")
        .and_then(Value::as_str)
        .unwrap_or("linear");
    match (adaptive, decay) {
        (true, _) => text.push_str(&format!(
            ", rate = \"adaptive\", power_lr = {}",
            number(get("power_lr", if conv { 0.75 } else { 0.2 }))
        )),
        (false, "exp") => text.push_str(&format!(
            ", rate = \"exp\", speed = {}, lr_div = {}",
            number(get("speed", 7.0)),
            number(get("lr_div", 96.0))
        )),
        (false, "linear") => text.push_str(", rate = \"linear\""),
        (false, "constant") => text.push_str(", rate = \"constant\""),
        (false, other) => {
            return Err(Error::usage(format!(
                "`lr_decay` is `{other}`, which means a constant rate there"
            ))
            .hint("write `constant`"));
        }
    }
    if !word.starts_with("hard") {
        text.push_str(&format!(
            ", t_invert = {}",
            number(get("t_invert", if conv { 96.0 } else { 10.0 }))
        ));
    }
    if word == "hardkrotov" {
        text.push_str(&format!(
            ", delta = {}, ranking_param = {}",
            number(get("delta", if conv { 2.0 } else { 0.1 })),
            get("ranking_param", 3.0) as u64
        ));
    }
    text.push_str(&format!(
        ", radius = {}",
        number(get("radius", if conv { 25.0 } else { 10.0 }))
    ));
    if get("lebesgue_p", 2.0) != 2.0 {
        text.push_str(&format!(", lebesgue_p = {}", get("lebesgue_p", 2.0)));
    }
    if conv && layer.get("pre_triangle").and_then(Value::as_bool) == Some(true) {
        text.push_str(", pre_triangle = true");
    }
    if get("weight_init_offset", 0.0) != 0.0 && !conv {
        text.push_str(&format!(
            ", weight_init_offset = {}",
            number(get("weight_init_offset", 0.0))
        ));
    }
    if get("nb_train", 0.0) != 0.0 {
        text.push_str(&format!(", nb_train = {}", get("nb_train", 0.0)));
    }
    let read = [
        "lr",
        "adaptive",
        "lr_decay",
        "power_lr",
        "speed",
        "lr_div",
        "t_invert",
        "delta",
        "ranking_param",
        "radius",
        "lebesgue_p",
        "pre_triangle",
        "weight_init_offset",
        "nb_train",
        "lr_sup",
        "soft_activation_fn",
        "out_channels",
        "kernel_size",
        "padding",
        "padding_mode",
        "stride",
        "dilation",
        "groups",
        "add_bias",
    ];
    for other in layer
        .keys()
        .filter(|k| !read.contains(&k.as_str()) && !UNREAD.contains(&k.as_str()))
    {
        notes.push(format!(
            "`{other}` of `{key}` is no setting of SoftHebb's layers and has no counterpart"
        ));
    }
    Ok(text + " }")
}

fn activation(text: &str, key: &str, notes: &mut Vec<String>) -> Result<String> {
    let mut parts = text.split('_');
    let (word, param, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let refuse = || {
        Err(Error::usage(format!("`activation` is `{text}`, which silently means none there"))
            .hint("there are `triangle_0.7`, `relu`, `repu_2`, `softmax_5`, `exp_1`, `tanh_1` and `sigmoid`"))
    };
    let x = match param.map(str::parse::<f64>) {
        None => 1.0,
        Some(Ok(x)) => x,
        Some(Err(_)) => return refuse(),
    };
    if more.is_some() {
        return refuse();
    }
    Ok(match word {
        "relu" => "\"relu\"".to_owned(),
        "triangle" | "repu" | "softmax" | "exp" | "tanh" => format!("\"{word}({})\"", number(x)),
        "sigmoid" => {
            if param.is_some() {
                notes.push(format!(
                    "the gain of the sigmoid of `{key}` is 10 whatever its number, there as here"
                ));
            }
            "\"sigmoid(10.0)\"".to_owned()
        }
        _ => return refuse(),
    })
}

fn pool(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.split('_').collect();
    match parts[..] {
        [kind @ ("max" | "avg"), k, s, p] if [k, s, p].iter().all(|n| n.parse::<u64>().is_ok()) => {
            Ok(format!("\"{kind} {k}/{s}/{p}\""))
        }
        _ => Err(Error::usage(format!(
            "`pool` is `{text}`, expected such as `max_4_2_1`"
        ))),
    }
}

/// Settings of a data set: those of all, of its family, of its variant.
struct Dataset {
    name: String,
    set: &'static str,
    all: BTreeMap<String, Value>,
}

fn dataset(file: &Value, name: &str) -> Result<Dataset> {
    let (family, variant) = name
        .split_once('_')
        .map_or((name, None), |(f, v)| (f, Some(v)));
    let section = &file["dataset"];
    let table = find(section, family, "family of data sets")?;
    let Some((_, set)) = FAMILIES.iter().find(|(own, _)| *own == family) else {
        return Err(Error::usage(format!(
            "the data set `{family}` has no counterpart here"
        )));
    };
    let mut all = BTreeMap::new();
    let mut lay = |table: Option<&Map<String, Value>>| {
        for (key, value) in table.into_iter().flatten() {
            all.insert(key.clone(), value.clone());
        }
    };
    lay(section["default"].as_object());
    lay(table.get("default").and_then(Value::as_object));
    if let Some(variant) = variant {
        lay(Some(find(
            &section[family],
            variant,
            &format!("variant of `{family}`"),
        )?));
    }
    Ok(Dataset {
        name: name.to_owned(),
        set,
        all,
    })
}

impl Dataset {
    fn whole(&self, key: &str, default: u64) -> u64 {
        self.all.get(key).and_then(Value::as_u64).unwrap_or(default)
    }
    fn number(&self, key: &str, default: f64) -> f64 {
        self.all.get(key).and_then(Value::as_f64).unwrap_or(default)
    }
    fn flag(&self, key: &str) -> bool {
        self.all.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
    fn is_imagenet(&self) -> bool {
        self.set.starts_with("image")
    }
    /// Whether training samples change.
    fn augments(&self) -> bool {
        self.flag("augmentation")
    }

    /// Its table, without what belongs to phases.
    fn table(&self, notes: &mut Vec<String>) -> Result<String> {
        let mut text = format!("set = \"{}\"\n", self.set);
        if self.flag("zca_whitened") {
            text.push_str("normalize = \"standard\"\nmean = [0.4914, 0.48216, 0.44653]\nstd = [0.247, 0.2434, 0.2616]\nwhiten = 0.1\n");
            note(
                notes,
                "`zca_whitened` fails there; here it does what the code is meant to do",
            );
        }
        if self.is_imagenet() {
            text.push_str("normalize = \"standard\"\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n");
            let (height, width) = (self.whole("height", 0), self.whole("width", 0));
            text.push_str(&format!("resize = [{height}, {width}]\n"));
        }
        if let Some(classes) = self.all.get("training_class").and_then(Value::as_array) {
            let classes: Vec<String> = classes.iter().map(Value::to_string).collect();
            text.push_str(&format!("classes = [{}]\n", classes.join(", ")));
        }
        let split = self
            .all
            .get("split")
            .and_then(Value::as_str)
            .unwrap_or("train");
        if self.set == "stl10" && split != "train" {
            text.push_str(&format!("options = {{ split = \"{split}\" }}\n"));
        }
        let whole = match (self.set, split) {
            ("mnist" | "fashion-mnist", _) => 60_000,
            ("cifar10" | "cifar100", _) => 50_000,
            ("stl10", "unlabeled") => 100_000,
            ("stl10", "train+unlabeled") => 105_000,
            ("stl10", _) => 5_000,
            ("imagenette", _) => 9_469,
            ("imagenet", _) => 1_281_167,
            _ => 10_000,
        };
        let samples = self.whole("training_sample", whole);
        let filtered = text.contains("classes = ");
        if samples < whole && !filtered {
            text.push_str(&format!("limit_train = {samples}\n"));
        }
        if self.augments() {
            text.push_str(&match self.set {
                "mnist" => format!(
                    "augment = {{ noise = {} }}\n",
                    number(self.number("noise_std", 0.0))
                ),
                _ if self.is_imagenet() => {
                    "augment = { flip = 0.5, resized_crop = [0.08, 1.0] }\n".to_owned()
                }
                _ => "augment = { flip = 0.5, crop = 4, padding = \"reflect\" }\n".to_owned(),
            });
        }
        if self.set == "imagenet" {
            note(
                notes,
                "the authors cap ImageNet at its first 1,000,000 pictures; here samples are drawn from all",
            );
        }
        if self.all.get("shuffle").and_then(Value::as_bool) == Some(false) {
            text.push_str("shuffle = false\n");
        }
        if let Some(workers) = self
            .all
            .get("num_workers")
            .and_then(Value::as_u64)
            .filter(|n| *n > 0)
        {
            text.push_str(&format!("threads = {workers}\n"));
        }
        let known = [
            "name",
            "noise_std",
            "channels",
            "width",
            "height",
            "px",
            "validation_split",
            "training_sample",
            "testing_sample",
            "out_channels",
            "num_workers",
            "seed",
            "shuffle",
            "batch_size",
            "augmentation",
            "zca_whitened",
            "training_class",
            "nb_epoch",
            "print_freq",
            "split",
        ];
        for key in self.all.keys().filter(|key| !known.contains(&key.as_str())) {
            note(
                notes,
                &format!(
                    "`{key}` of `{}` is no setting of SoftHebb's data sets and has no counterpart",
                    self.name
                ),
            );
        }
        if self.set == "imagenette" && self.whole("px", 160) != 160 {
            note(
                notes,
                "pictures of another size than 160 come from the folder of 160, as there",
            );
        }
        Ok(text)
    }
}

/// Adds a note once.
fn note(notes: &mut Vec<String>, text: &str) {
    if !notes.iter().any(|own| own == text) {
        notes.push(text.to_owned());
    }
}

fn local_phase(set: &Dataset, apart: bool) -> String {
    let data = if apart { "data = \"local\"\n" } else { "" };
    let augment = if set.augments() {
        "augment = true\n"
    } else {
        ""
    };
    format!(
        "{data}epochs = {}\nbatch = {}\n{augment}",
        set.whole("nb_epoch", 1),
        set.whole("batch_size", 64)
    )
}

fn gradient_phase(set: &Dataset, lr: f64) -> String {
    let augment = if set.augments() {
        "augment = true\n"
    } else {
        ""
    };
    format!(
        "epochs = {}\nbatch = {}\n{augment}evaluate_every = {}\noptimizer = {{ kind = \"adam\", lr = {} }}\nschedule = \"softhebb\"\n",
        set.whole("nb_epoch", 1),
        set.whole("batch_size", 64),
        set.whole("print_freq", 1),
        number(lr)
    )
}

/// Names of the blocks that are trained, where these are not all or the mode has no counterpart of one
/// word.
fn chosen(
    call: &Call,
    blocks: &mut [Block],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<String>>> {
    let modes = ["successive", "consecutive", "simultaneous"];
    if !modes.contains(&call.mode.as_str()) {
        let e = Error::usage(format!("`--training-mode` is `{}`", call.mode));
        return Err(match nearest(&call.mode, modes) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!("there are `{}`", modes.join("`, `"))),
        });
    }
    if blocks.iter().any(|b| b.supervised) && call.mode == "successive" {
        return Err(Error::usage("a Hebbian classifier learns nothing in `successive` mode, and its evaluation fails there")
            .hint("`--training-mode consecutive`"));
    }
    if call.mode == "successive"
        && blocks
            .iter()
            .filter(|b| !b.hebbian && b.lr_sup.is_finite())
            .count()
            > 1
    {
        notes.push("each block of backpropagation is trained alone for all epochs, as there; the authors' figures are those of `--training-mode consecutive`".to_owned());
    }
    if call.blocks.is_empty() {
        return Ok(None);
    }
    // Blocks that only flatten are none of the file.
    let real: Vec<&Block> = blocks
        .iter()
        .filter(|b| b.hebbian || b.lr_sup.is_finite())
        .collect();
    let name = |at: &u64| {
        real.get(*at as usize)
            .map(|b| b.name.clone())
            .ok_or_else(|| {
                Error::usage(format!(
                    "`--training-blocks` has {at}, and the network has {} blocks",
                    real.len()
                ))
            })
    };
    let chosen = call.blocks.iter().map(name).collect::<Result<Vec<_>>>()?;
    if call.mode == "successive" {
        notes.push("blocks that are not trained fail there in `successive` mode; here they stay as they are".to_owned());
    }
    Ok(Some(chosen))
}

/// The phases of a part of the blocks.
fn written_out(
    call: &Call,
    blocks: &[Block],
    chosen: &[String],
    (local, gradient): (&str, &str),
) -> String {
    let of = |hebbian: bool| -> Vec<&Block> {
        let own = |b: &&Block| chosen.contains(&b.name) && (b.hebbian && !b.supervised) == hebbian;
        blocks.iter().filter(own).collect()
    };
    let phase = |name: &str, blocks: &[&Block], drive: &str, settings: &str| {
        let names: Vec<String> = blocks.iter().map(|b| quoted(&b.name)).collect();
        format!(
            "\n[[phases]]\nname = \"{name}\"\nblocks = [{}]\ndrive = \"{drive}\"\n{settings}",
            names.join(", ")
        )
    };
    let (hebbian, driven) = (of(true), of(false));
    let local = format!("evaluate_every = 0\n{local}");
    match call.mode.as_str() {
        "successive" => {
            let all = blocks.iter().filter(|b| chosen.contains(&b.name));
            all.map(|b| match b.hebbian {
                true => phase(&b.name, &[b], "local", &local),
                false => phase(&b.name, &[b], "gradient", gradient),
            })
            .collect()
        }
        "consecutive" => {
            let mut text = String::new();
            if !hebbian.is_empty() {
                text.push_str(&phase("local", &hebbian, "local", &local));
            }
            if !driven.is_empty() {
                text.push_str(&phase("gradient", &driven, "gradient", gradient));
            }
            text
        }
        _ => phase("both", &[hebbian, driven].concat(), "both", gradient),
    }
}
