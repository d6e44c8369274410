//! The layer of a block: its string, its settings, its rule.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::import::text::number;
use crate::text::nearest;
use crate::{Error, Result};

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

/// Rule and settings of a layer: the defaults of its kind, its string, what is laid over it.
pub(super) fn layer(
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

pub(super) fn geometry(layer: &BTreeMap<String, Value>) -> Result<Vec<String>> {
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
pub(super) fn idle_of_backprop(key: &str, given: &Map<String, Value>, notes: &mut Vec<String>) {
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

pub(super) fn rule(
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
