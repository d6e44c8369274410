//! The blocks of a network.

use serde_json::{Map, Value};

use super::layer::{geometry, idle_of_backprop, layer, rule};
use crate::import::text::number;
use crate::{Error, Result};

/// A block, ready to be written.
pub(super) struct Block {
    pub(super) lines: Vec<String>,
    pub(super) name: String,
    pub(super) hebbian: bool,
    pub(super) supervised: bool,
    pub(super) lr_sup: f64,
}

pub(super) fn blocks(
    file: &Value,
    model: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<Vec<Block>> {
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
