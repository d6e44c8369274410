//! How good, against what, and what to know before it is quoted.

use maud::{Markup, html};

use super::super::chart::dots::Dots;
use super::super::draw::learn::held_out;
use super::super::kind::Kind;
use super::super::number;
use super::super::runs::{Experiment, Run, State};
use super::super::stats::Paired;
use super::super::table::{value, word};
use super::pairs::{difference, paired_with_baseline};
use super::parts::{Figures, marked, notes, state_badge};
use super::score::{BASELINES, Score, headline_name, published, published_shown};
use crate::text::capital;

/// The answer of a page of one experiment.
pub(super) fn alone(experiment: &Experiment, figures: &Figures) -> Markup {
    let name = headline_name(experiment);
    let verdicts = verdicts(experiment, name);
    let dots = dots(experiment, name).and_then(Dots::draw);
    html! {
        div class="two" {
            div {
                (headline(experiment, name))
                @for verdict in &verdicts { p class="lead" { (verdict) } }
            }
            @if let Some(drawing) = dots { (figures.show(&drawing)) }
        }
        (caveats(experiment))
    }
}

/// The number itself, or what stands in its place.
pub(super) fn headline(experiment: &Experiment, name: &str) -> Markup {
    let first = experiment.first();
    let unfinished: Vec<&Run> = experiment
        .runs
        .iter()
        .filter(|r| r.state != State::Finished)
        .collect();
    html! {
        @if let Some(score) = Score::of(experiment, name) {
            p class="big" {
                (score.shown())
                small {
                    @match (score.is_share, first.samples()) {
                        (true, Some(n)) => { "of " (number::whole(n)) " test samples right" }
                        (true, None) => { "of the test samples right" }
                        _ => { "loss on the test set, smaller is better" }
                    }
                    (score.covers())
                }
            }
        } @else if unfinished.is_empty() {
            p class="lead" { "No result on a test set was recorded." }
        }
        @for run in unfinished { (state_words(run, experiment.runs.len() > 1)) }
    }
}

/// What a run that has not finished is doing, and how far it came.
fn state_words(run: &Run, several: bool) -> Markup {
    let last = run.epochs.last();
    let seed = if several {
        format!("Seed {}: ", run.record.seed)
    } else {
        String::new()
    };
    let place = last.map(|e| {
        let planned = run
            .phase(&e.phase)
            .and_then(|p| value(p, "epochs"))
            .filter(|n| *n > 0.0);
        let of = planned.map_or(String::new(), |n| format!(" of {n:.0}"));
        let whose = if e.segment == "network" {
            String::new()
        } else {
            format!("{}, ", e.segment)
        };
        format!("{whose}phase {}, epoch {}{of}", e.phase, e.epoch)
    });
    let so_far = held_out(run).and_then(|part| {
        let measure = format!("{part}/accuracy");
        let seen = run
            .epochs
            .iter()
            .rev()
            .find_map(|e| (e.segment == "network").then(|| e.metrics.get(&measure))?);
        Some(format!(
            "{} right on {part} samples so far",
            number::percent(*seen?, number::decimals(run.samples()))
        ))
    });
    let folder = run
        .folder
        .file_name()
        .map_or(String::new(), |n| n.to_string_lossy().into_owned());
    html! {
        div class=(if run.state == State::Running { "notes on" } else { "notes" }) {
            p { (seed) (state_badge(run.state, None)) " "
                @match (&place, run.state) {
                    (Some(place), State::Running) => { "after " (place) "; no verdict yet." }
                    (Some(place), _) => { "after " (place) "." }
                    (None, _) => { "No epoch has ended yet, so there is nothing to show of the learning." }
                }
            }
            @if let Some(error) = &run.record.error {
                p { b { (marked(&error.text)) } }
                @if let Some(hint) = &error.hint { p { "Hint: " (marked(hint)) } }
            }
            @if let (Some(text), None) = (&so_far, run.result("test/accuracy")) { p { (text) "." } }
            @match run.state {
                State::Stopped | State::Killed => p { "It goes on with " code { "biorule train config.toml --run-dir ." } " in its folder, " code { (folder) } "." },
                State::Diverged => p { "What was reached before is below." },
                _ => {}
            }
        }
    }
}

/// Published figure, baselines and chance, each with what the difference is worth.
pub(super) fn verdicts(experiment: &Experiment, name: &str) -> Vec<Markup> {
    let Some(score) = Score::of(experiment, name) else {
        return Vec::new();
    };
    let first = experiment.first();
    let mut out = Vec::new();
    out.extend(against_published(experiment, name, &score));
    if !score.is_share {
        for (segment, words) in BASELINES {
            if let Some(other) = Score::of(experiment, &format!("{segment}/{name}")) {
                out.push(html! { (capital(words)) ": " (other.shown()) "." });
            }
        }
        return out;
    }
    for (segment, words) in BASELINES {
        let Some(other) = Score::of(experiment, &format!("{segment}/{name}")) else {
            continue;
        };
        let paired = paired_with_baseline(experiment, segment);
        out.push(html! { (against(&score, &other, words, paired.as_ref())) });
    }
    if let Some(chance) = chance(first) {
        out.push(html! { span class="muted" { "Chance, the most frequent class: " (number::percent(chance, 1)) "." } });
    }
    out
}

fn against(score: &Score, other: &Score, words: &str, paired: Option<&Paired>) -> Markup {
    let gap = paired.map_or(score.mean - other.mean, |p| p.difference);
    let size = number::hundredths(gap.abs(), score.decimals);
    let way = if gap >= 0.0 { "better" } else { "worse" };
    html! {
        @match paired {
            Some(p) if p.is_clear() => { b { (size) " points " (way) " than " (words) } }
            Some(_) => { b { "No clear difference to " (words) } }
            None => { b { (size) " points " (way) " than " (words) } }
        }
        " (" (other.shown()) ")"
        @if let Some(p) = paired { ": " (difference(p, score.decimals)) "." } @else { "." }
    }
}

fn against_published(experiment: &Experiment, name: &str, score: &Score) -> Option<Markup> {
    let value = published(experiment, name)?;
    let record = experiment.first().record.experiment.as_ref()?;
    let shown = published_shown(value, score.is_share);
    let size = |x: f64| match score.is_share {
        true => format!("{} points", number::hundredths(x.abs(), score.decimals)),
        false => number::short(x.abs()),
    };
    let difference = score.mean - value.0;
    let way = if difference >= 0.0 { "above" } else { "below" };
    let inside = score
        .interval
        .is_some_and(|(a, b)| (a..=b).contains(&value.0));
    let reach = if score.each.len() > 1 {
        "seeds"
    } else {
        "test images"
    };
    Some(html! {
        @if !record.changed.is_empty() {
            b { "Not comparable with the published figure" } " (" (shown) "): this run has other "
            (record.changed.join(", ")) "."
        } @else {
            b { (size(difference)) " " (way) " the published figure" } " (" (shown) ")"
            @if inside { ", within what " (reach) " alone allow." } @else { ", more than " (reach) " alone allow." }
        }
    })
}

/// The share of the most frequent class of the test set.
fn chance(run: &Run) -> Option<f64> {
    let classes = run.record.classes.get("test")?;
    let all: u64 = classes.iter().map(|c| c.samples).sum();
    let most = classes.iter().map(|c| c.samples).max()?;
    (all > 0).then(|| most as f64 / all as f64)
}

/// The result beside its yardsticks.
fn dots(experiment: &Experiment, name: &str) -> Option<Dots> {
    let score = Score::of(experiment, name)?;
    let known = published(experiment, name);
    let mut dots = vec![score.dot("here", experiment.first().kind(), known)];
    for (segment, words) in BASELINES {
        let other = Score::of(experiment, &format!("{segment}/{name}"));
        dots.extend(other.map(|s| s.dot(words, Kind::None, None)));
    }
    (dots.len() > 1 || known.is_some() || score.interval.is_some()).then_some(())?;
    let over = if score.each.len() > 1 {
        "seeds, whose results are ticks"
    } else {
        "test images"
    };
    Some(Dots {
        name: "answer".into(),
        title: "Beside its yardsticks".into(),
        note: format!(
            "Bar: 95 % interval over {over}.{}",
            if known.is_some() {
                " Dashed line: published, grey: its deviation."
            } else {
                ""
            }
        ),
        unit: if score.is_share {
            "test accuracy, %".into()
        } else {
            "test loss".into()
        },
        dots,
        level: chance(experiment.first())
            .map(|c| (100.0 * c, "chance".to_owned()))
            .filter(|_| score.is_share),
    })
}

/// What to know before the number is quoted.
pub(super) fn caveats(experiment: &Experiment) -> Markup {
    let first = experiment.first();
    let record = &first.record;
    let mut all: Vec<Markup> = Vec::new();
    if let Some(experiment) = &record.experiment {
        if let Some(note) = &experiment.note {
            all.push(html! { b { "Of this experiment: " } (marked(note)) "." });
        }
        if !experiment.changed.is_empty() && experiment.published.is_empty() {
            all.push(html! { b { "Not the listed protocol. " } "Changed: " (experiment.changed.join(", ")) "." });
        }
    }
    if let Some(data) = first.config.get("data").and_then(toml::Value::as_table) {
        let part = |key: &str| value(data, key).map(|n| number::whole(n as u64));
        let limits = (part("limit_train"), part("limit_test"));
        if limits.0.is_some() || limits.1.is_some() {
            let train = limits.0.map(|n| format!("{n} training samples"));
            let test = limits.1.map(|n| format!("{n} test samples"));
            let both: Vec<String> = train.into_iter().chain(test).collect();
            all.push(
                html! { b { "A part of the data. " } "Only " (both.join(" and ")) " are used." },
            );
        }
    }
    let has_result = !experiment.results(headline_name(experiment)).is_empty();
    if experiment.runs.len() == 1 && has_result {
        all.push(
            html! { b { "One seed. " } "The interval covers other test images, not other seeds." },
        );
    }
    match &record.best {
        Some(best) if best.chosen_on_test() && has_result => all.push(html! {
            b { "No validation part. " } "The figure is of the weights after the last epoch, which was fixed beforehand. "
            code { "best.safetensors" } " was chosen on test samples: do not quote its score."
        }),
        _ => {}
    }
    if record.git.as_ref().is_some_and(|git| git.changed) {
        all.push(
            html! { b { "Changed source. " } "The source tree had changes that no commit has." },
        );
    }
    if !record.earlier_hosts.is_empty() {
        all.push(html! { b { "Several machines. " } "The run moved between machines, so its last bits are not those of one." });
    }
    for text in &record.warnings {
        all.push(html! { b { "Warned: " } (marked(text)) });
    }
    for run in &experiment.runs {
        for text in &run.problems {
            all.push(html! { b { "Not readable: " } (marked(text)) });
        }
    }
    let missing = missing(first);
    if !missing.is_empty() {
        all.push(html! { b { "Not recorded by this run: " } (missing.join(", ")) "." });
    }
    notes("Before you quote it", all)
}

/// What folders of earlier versions, or of runs that have not ended, do not hold.
fn missing(run: &Run) -> Vec<&'static str> {
    let ended = run.state == State::Finished;
    let classes = !run.record.classes.is_empty();
    let local = run.phases().iter().any(|p| word(p, "drive") != "gradient");
    let gaps = [
        (
            ended && classes && run.answers.is_none(),
            "answers image by image, so no mistakes and no paired comparison (biorule eval shows mistakes)",
        ),
        (
            ended && local && run.winners.is_none(),
            "who wins in local layers",
        ),
        (
            ended && local && run.steps.is_empty(),
            "radii between epochs",
        ),
        (ended && run.record.peak_memory_mib.is_none(), "peak memory"),
        (run.record.git.is_none(), "the commit of the program"),
    ];
    gaps.into_iter()
        .filter(|(gap, _)| *gap)
        .map(|(_, what)| what)
        .collect()
}
