//! Where numbers come from, and the command that repeats them.

use maud::{Markup, html};

use super::super::number;
use super::super::runs::{Experiment, Gathered, Run};
use super::cells::{Cells, text};
use super::parts::{private, state_badge};
use super::shell::Section;

pub(super) fn section(found: &Gathered) -> Section {
    let body = html! {
        @for experiment in &found.experiments {
            @if found.experiments.len() > 1 { h3 { (experiment.name) } }
            (one(experiment))
        }
    };
    Section::new("provenance", "Provenance", "Provenance", body)
}

fn one(experiment: &Experiment) -> Markup {
    let run = experiment.first();
    let record = &run.record;
    let short = |digest: &str| digest.get(..16).unwrap_or(digest).to_owned();
    let source = record.experiment.as_ref().map(|e| {
        let both = [e.source.clone(), e.figure.clone()];
        both.into_iter().flatten().collect::<Vec<_>>().join("; ")
    });
    let mut facts: Vec<(&str, Markup)> = Vec::new();
    if let Some(source) = source.filter(|s| !s.is_empty()) {
        facts.push(("Source", text(source)));
    }
    facts.push(("Program", html! {
        "BioRule " (record.versions.biorule) ", run folder " (record.versions.folder) ", commit "
        @match &record.git {
            Some(git) => { code { (short(&git.commit)) } @if git.changed { " with changes" } }
            None => "not recorded by this run"
        }
    }));
    facts.push((
        "Configuration",
        html! { "hash " code { (short(&record.config_hash)) } },
    ));
    facts.push(("System", html! {
        (record.host.system) @if let Some(set) = &record.host.instructions { ", instructions " (set) }
    }));
    for data in &record.data {
        facts.push(("Data", html! {
            (super::super::kind::set_name(&data.set))
            @for file in &data.files {
                br; (file_name(&file.path)) ", " (number::whole(file.bytes)) " bytes, SHA-256 " code { (short(&file.sha256)) }
            }
        }));
    }
    if record.data.is_empty() {
        facts.push((
            "Data",
            text("no files: embedded in the program or generated"),
        ));
    }
    if let Some(init) = &record.init {
        facts.push((
            "First weights",
            html! { (file_name(&init.file)) ", SHA-256 " code { (short(&init.sha256)) } },
        ));
    }
    for longer in &record.extended {
        let phases: Vec<String> = longer
            .phases
            .iter()
            .map(|p| format!("{} from {} to {} epochs", p.phase, p.from, p.to))
            .collect();
        facts.push((
            "Made longer",
            html! { (longer.at) ": " (phases.join(", ")) },
        ));
    }
    let runs = Cells {
        caption: "Runs",
        head: ["run", "seed", "state", "started", "ended", "starts"]
            .map(str::to_owned)
            .into(),
        rows: experiment
            .runs
            .iter()
            .map(|r| {
                vec![
                    html! { code { (r.record.id) } },
                    text(r.record.seed.to_string()),
                    state_badge(r.state, None),
                    text(utc(&r.record.started)),
                    text(
                        r.record
                            .ended
                            .as_deref()
                            .map_or_else(|| "–".to_owned(), utc),
                    ),
                    text(r.record.starts.to_string()),
                ]
            })
            .collect(),
        words: &[],
    };
    let plugins = Cells {
        caption: "Rule plugins that were loaded",
        head: ["plugin", "version", "SHA-256"].map(str::to_owned).into(),
        rows: record
            .plugins
            .iter()
            .map(|p| {
                vec![
                    text(
                        p.name
                            .trim_start_matches("lib")
                            .trim_start_matches("biorule_"),
                    ),
                    text(&p.version),
                    html! { code { (short(&p.sha256)) } },
                ]
            })
            .collect(),
        words: &[1],
    };
    html! {
        p { "This command repeats " (if experiment.runs.len() > 1 { "them" } else { "it" }) ":" }
        pre { code { (command(experiment)) } }
        dl { @for (name, value) in &facts { dt { (name) } dd { (value) } } }
        (runs.show())
        @if !record.plugins.is_empty() { details class="data" { summary { "Rule plugins" } (plugins.show()) } }
        @if !run.config.is_empty() {
            details class="data" { summary { "The whole configuration" } pre { code { (configuration(run)) } } }
        }
    }
}

/// The configuration without folders of this machine.
fn configuration(run: &Run) -> String {
    let mut table = run.config.clone();
    table.remove("plugin_folders");
    private(&toml::to_string(&table).unwrap_or_default())
}

/// `2026-11-21 08:30 UTC` from `2026-11-21T08:30:00Z`.
fn utc(stamp: &str) -> String {
    match (stamp.get(..10), stamp.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time}\u{a0}UTC"),
        _ => stamp.to_owned(),
    }
}

/// The last part of a path: where it lies is nobody's business.
fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |n| n.to_string_lossy().into_owned())
}

/// What to type: the experiment by its name where it is one, else the words of the first start without
/// the places of this machine.
fn command(experiment: &Experiment) -> String {
    let record = &experiment.first().record;
    let seeds: Vec<String> = experiment
        .runs
        .iter()
        .map(|r| r.record.seed.to_string())
        .collect();
    let listed = record
        .experiment
        .as_ref()
        .filter(|e| e.changed.is_empty())
        .and_then(|e| e.name.as_ref());
    if let Some(name) = listed {
        return match seeds.as_slice() {
            [one] => format!("biorule train {name} --seed {one}"),
            _ => format!("biorule train {name} --set 'seeds=[{}]'", seeds.join(", ")),
        };
    }
    let mut words = vec!["biorule".to_owned()];
    let mut skip = false;
    for word in record.argv.iter().skip(1) {
        // The folder would not be free, and goes on in place of repeating.
        let drops = ["--run-dir", "--resume", "--events"];
        if std::mem::take(&mut skip) {
            continue;
        }
        if drops.contains(&word.as_str()) {
            skip = true;
            continue;
        }
        if drops.iter().any(|d| word.starts_with(&format!("{d}=")))
            || ["--plain", "--quiet", "-q", "--exit-with-parent"].contains(&word.as_str())
        {
            continue;
        }
        words.push(quoted(&private(word)));
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
