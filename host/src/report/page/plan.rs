//! What was asked: the plan in words, and the network as a row of boxes.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::kind::{Kind, rule_name};
use super::super::number;
use super::super::runs::{Experiment, Run};
use super::super::table::{rules_inside, rules_of, value, word, words};
use super::shell::Section;

pub(super) fn section(experiment: &Experiment) -> Section {
    Section::new(
        "asked",
        "What was asked",
        "What was asked",
        asked(experiment),
    )
}

/// Plan and network.
pub(super) fn asked(experiment: &Experiment) -> Markup {
    let run = experiment.first();
    html! {
        @if run.phases().is_empty() && run.blocks().is_empty() {
            p { "The configuration of this run cannot be read." }
        } @else {
            @for sentence in sentences(run) { p { (sentence) } }
            (network(run))
        }
    }
}

/// The plan in words.
fn sentences(run: &Run) -> Vec<String> {
    let mut out = vec![data(run)];
    let phases = run.phases();
    let mut at = 0;
    let mut first = true;
    while at < phases.len() {
        // Phases alike but for their blocks are one sentence.
        let key = |p: &toml::Table| {
            let mut rest = p.clone();
            ["name", "blocks"]
                .iter()
                .for_each(|k| drop(rest.remove(*k)));
            (rest.to_string(), rules_of_phase(run, p))
        };
        let own = key(phases[at]);
        let alike = phases[at..].iter().take_while(|p| key(p) == own);
        let n = alike.count().max(1);
        let start = match (first, at + n == phases.len()) {
            (true, true) => "Training: ",
            (true, false) => "First ",
            (false, _) => "Then ",
        };
        out.push(format!("{start}{}", phase_words(run, &phases[at..at + n])));
        first = false;
        at += n;
    }
    let baselines = words(&run.config, "baselines");
    if !baselines.is_empty() {
        let named: Vec<&str> = baselines
            .iter()
            .map(|b| match *b {
                "random-weights" => "the same network with random weights and a trained read-out",
                "linear-pixels" => "a linear classifier on pixels",
                other => other,
            })
            .collect();
        out.push(format!(
            "Beside it, with the same training of the read-out: {}.",
            named.join(", and ")
        ));
    }
    out
}

fn rules_of_phase(run: &Run, phase: &toml::Table) -> Vec<String> {
    let listed = words(phase, "blocks");
    let blocks = run.blocks().into_iter();
    rules_of(blocks.filter(|b| listed.contains(&word(b, "name"))))
}

fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

fn phase_words(run: &Run, phases: &[&toml::Table]) -> String {
    let phase = phases[0];
    let drive = word(phase, "drive");
    let blocks: Vec<String> = phases
        .iter()
        .flat_map(|p| words(p, "blocks"))
        .map(str::to_owned)
        .collect();
    let many = blocks.len() > 1;
    let rules: Vec<String> = rules_of_phase(run, phase)
        .iter()
        .map(|r| rule_name(r))
        .collect();
    let epochs = value(phase, "epochs").unwrap_or(0.0);
    let how_long = match epochs {
        0.0 => "until its stop rule is content".to_owned(),
        1.0 => "for one epoch".to_owned(),
        n => format!("for {n:.0} epochs"),
    };
    let batch = value(phase, "batch").map_or(String::new(), |b| match b {
        1.0 => " of single samples".to_owned(),
        b => format!(" in batches of {b:.0}"),
    });
    let each = match phases.len() {
        1 => "",
        _ => "each ",
    };
    let order = if phases.len() > 1 {
        " one after the other,"
    } else if many {
        " together,"
    } else {
        ""
    };
    let verb = if many { "learn" } else { "learns" };
    let subject = match blocks.len() {
        n if n > 6 => format!("{n} blocks, {} to {},", blocks[0], blocks[n - 1]),
        _ => list(&blocks),
    };
    let from = match word(phase, "data") {
        "" | "train" => String::new(),
        part => format!(" from {part}"),
    };
    let answers = if run.is_regression() {
        "targets"
    } else {
        "labels"
    };
    let mut text = match drive {
        "local" => format!(
            "{subject} {verb}{order} {each}{how_long}{batch}{from}, without labels, by {}",
            list(&rules)
        ),
        _ => format!(
            "{subject} {verb}{order} from {answers} {each}{how_long}{batch}{from}, by {}",
            list(&rules)
        ),
    };
    if drive != "local" {
        if let Some(o) = phase.get("optimizer").and_then(toml::Value::as_table) {
            let rate =
                value(o, "lr").map_or(String::new(), |r| format!(", rate {}", number::short(r)));
            let kind = match word(o, "kind") {
                "sgd" => "SGD",
                "adam" => "Adam",
                other => other,
            };
            text.push_str(&format!(" with {kind}{rate}"));
        }
        if let Some(schedule) = phase.get("schedule") {
            let kind = schedule.as_table().map_or_else(
                || schedule.as_str().unwrap_or_default(),
                |t| word(t, "kind"),
            );
            if !matches!(kind, "" | "constant") {
                text.push_str(&format!(", schedule {kind}"));
            }
        }
        let loss = word(phase, "loss");
        if !matches!(loss, "" | "cross-entropy") {
            text.push_str(&format!(", loss {loss}"));
        }
        let dropout: Vec<String> = (run.blocks().into_iter())
            .filter(|b| words(phase, "blocks").contains(&word(b, "name")))
            .filter_map(|b| value(b, "dropout").filter(|d| *d > 0.0))
            .map(number::short)
            .collect();
        if let Some(d) = dropout.first() {
            text.push_str(&format!(", dropout {d}"));
        }
    }
    text.push('.');
    text
}

fn data(run: &Run) -> String {
    let Some(data) = run.config.get("data").and_then(toml::Value::as_table) else {
        return String::new();
    };
    let set = word(data, "set");
    let mut text = format!("Data: {}", super::super::kind::set_name(set));
    let mut more = Vec::new();
    if let Some(n) = value(data, "limit_train") {
        more.push(format!("{} training samples", number::whole(n as u64)));
    }
    if let Some(n) = run.samples() {
        more.push(format!("{} test samples", number::whole(n)));
    }
    match value(data, "validation") {
        Some(v) if v >= 1.0 => more.push(format!(
            "{} samples held back for validation",
            number::whole(v as u64)
        )),
        Some(v) if v > 0.0 => more.push(format!(
            "{} held back for validation",
            number::percent(v, 0)
        )),
        _ => more.push("no validation part".to_owned()),
    }
    if let Some(a) = data.get("augment").and_then(toml::Value::as_table) {
        let parts: Vec<String> = ["flip", "crop", "noise", "cutout"]
            .into_iter()
            .filter(|k| value(a, k).is_some_and(|v| v > 0.0))
            .map(str::to_owned)
            .collect();
        let used = run
            .phases()
            .iter()
            .any(|p| p.get("augment").and_then(toml::Value::as_bool) == Some(true));
        more.push(match parts.is_empty() || !used {
            true => "no augmentation".to_owned(),
            false => format!("augmented by {}", list(&parts)),
        });
    }
    if data.get("whiten").is_some() {
        more.push("whitened".to_owned());
    }
    text.push_str(&format!("; {}.", more.join(", ")));
    text
}

/// The network, input first.
fn network(run: &Run) -> Markup {
    let blocks = run.blocks();
    let mut kinds = BTreeSet::new();
    let dims = |d: &[usize]| {
        d.iter()
            .map(|n| number::whole(*n as u64))
            .collect::<Vec<_>>()
            .join("×")
    };
    let set = run
        .config
        .get("data")
        .and_then(toml::Value::as_table)
        .map_or("", |d| word(d, "set"));
    let input = run.record.shapes.first().map(|s| dims(&s.input));
    let boxes: Vec<Markup> = (blocks.iter())
        .map(|block| {
            let name = word(block, "name");
            let rule = run.rule_of(block);
            let kind = rule.as_ref().map_or(Kind::None, |r| r.1);
            let frozen = rule.is_some() && run.phases_of(name).is_empty();
            let kind = if frozen { Kind::None } else { kind };
            if rule.is_some() {
                kinds.insert(kind);
            }
            let rules = rules_inside(block);
            let named = match rules.len() {
                0 => "no rule".to_owned(),
                _ => list(&rules.iter().map(|r| rule_name(r)).collect::<Vec<_>>()),
            };
            let shape = run.record.shapes.iter().find(|s| s.block == name);
            html! {
                li class=(kind.class()) {
                    b { (name) }
                    span { (named) }
                    @if rule.is_some() { " " span class="muted" { "· " (if frozen { "never learns" } else { kind.words() }) } }
                    span class="io" { (map_words(run, block)) @if let Some(s) = shape { " → " (dims(&s.output)) } }
                    @if let Some(extra) = extras(block) { span class="io" { (extra) } }
                }
            }
        })
        .collect();
    html! {
        ol class="net" aria-label="The network, input first" {
            li class="plain" { b { "input" } span { (super::super::kind::set_name(set)) } @if let Some(d) = input { span class="io" { (d) } } }
            @for one in &boxes { (one) }
        }
        ul class="key" aria-label="Colours: what a layer learns from" {
            @for kind in &kinds { li class=(kind.class()) { (match kind { Kind::None => "does not learn", k => k.words() }) } }
        }
    }
}

fn map_words(run: &Run, block: &toml::Table) -> String {
    let out = block
        .get("out")
        .map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned));
    let kernel = block.get("kernel").and_then(toml::Value::as_array);
    let kernel = kernel.map(|k| {
        k.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("×")
    });
    let inputs = run
        .record
        .shapes
        .iter()
        .find(|s| s.block == word(block, "name"));
    let inputs = inputs.map(|s| number::whole(s.input.iter().product::<usize>() as u64));
    match (word(block, "layer"), out, kernel) {
        ("conv", Some(out), Some(kernel)) => format!("{out} of {kernel}"),
        ("dense", Some(_), _) if inputs.is_some() => inputs.unwrap_or_default(),
        ("dense", Some(out), _) => format!(
            "{}{out}",
            inputs.map_or(String::new(), |n| format!("{n} → "))
        ),
        ("", ..) => {
            let layers = count_layers(&toml::Value::Table(block.clone()));
            match layers {
                0 => "no layer".to_owned(),
                n => number::count(n, "layer inside", "layers inside"),
            }
        }
        (other, ..) => other.to_owned(),
    }
}

fn count_layers(value: &toml::Value) -> usize {
    match value {
        toml::Value::Table(t) => {
            let own = usize::from(t.contains_key("rule"));
            own + t.values().map(count_layers).sum::<usize>()
        }
        toml::Value::Array(list) => list.iter().map(count_layers).sum(),
        _ => 0,
    }
}

/// Norm, activation and pooling of a block.
fn extras(block: &toml::Table) -> Option<String> {
    let table = |key: &str| block.get(key).and_then(toml::Value::as_table);
    let mut parts = Vec::new();
    if let Some(norm) = table("norm").or_else(|| table("norm_inner")) {
        parts.push(format!("{} norm", word(norm, "kind")));
    }
    if let Some(a) = table("activation") {
        let power = value(a, "power").map_or(String::new(), |p| format!(" {}", number::short(p)));
        parts.push(format!("{}{power}", word(a, "kind")));
    }
    if let Some(p) = table("pool") {
        let first = |key: &str| {
            p.get(key)
                .and_then(toml::Value::as_array)
                .and_then(|a| a.first())
                .map(ToString::to_string)
        };
        let size = first("kernel").map_or(String::new(), |k| match k.as_str() {
            "0" => " of the whole map".to_owned(),
            _ => format!(" {k}/{}", first("stride").unwrap_or(k.clone())),
        });
        parts.push(format!("{} pool{size}", word(p, "kind")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
