//! A study as a table for people, as CSV and as JSON.

use serde_json::{Map, Value as Json, json};

use super::folder::StudyFolder;
use super::ledger::{Entry, Ledger, State};
use crate::Result;
use crate::run::atomic;
use crate::sweep::plan::Study;
use crate::sweep::rank::Outcome;
use crate::text;
use crate::text::number::{duration, readable};

/// Values of the objectives, by metric: of a trial that was given up, the value that it had there.
pub(super) fn values(study: &Study, entry: &Entry) -> Vec<Option<f64>> {
    let finite = |x: &f64| Some(*x).filter(|x| x.is_finite());
    match &entry.told.outcome {
        Outcome::Finished { values, .. } if entry.state == State::Finished => {
            values.iter().map(finite).collect()
        }
        Outcome::Pruned { value, .. } => {
            let mut all = vec![None; study.objectives.len()];
            if let Some(first) = all.first_mut() {
                *first = finite(value);
            }
            all
        }
        _ => vec![None; study.objectives.len()],
    }
}

/// A value of a parameter as tables have it; numbers with at most six digits.
pub(super) fn short(value: &Json) -> String {
    match value {
        Json::String(word) => word.clone(),
        Json::Number(n) if n.is_f64() => {
            let x = n.as_f64().unwrap_or(f64::NAN);
            let digits = 5 - x.abs().log10().floor().clamp(-5.0, 5.0) as i32;
            match x.abs() {
                0.0 => "0".to_owned(),
                size if (1e-3..1e6).contains(&size) => {
                    let text = format!("{x:.*}", digits.max(0) as usize);
                    match text.contains('.') {
                        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                        false => text,
                    }
                }
                _ => format!("{x:.3e}"),
            }
        }
        other => other.to_string(),
    }
}

/// What is to be said of a trial's state.
pub(super) fn state(entry: &Entry) -> String {
    match &entry.state {
        State::Pruned(epoch) => format!("pruned, epoch {epoch}"),
        State::Open => match entry.seeds.len() {
            0 => "open".to_owned(),
            n => format!("{n} of {} seeds", entry.record.seeds.len()),
        },
        State::Finished if entry.missed() > 0.0 => "misses bounds".to_owned(),
        other => other.word().to_owned(),
    }
}

/// The table of `entries`.
#[must_use]
pub fn table(study: &Study, entries: &[&Entry]) -> String {
    let mut head = vec!["trial", "state"];
    head.extend(study.objectives.iter().map(|o| o.metric.as_str()));
    head.extend(study.constraints.iter().map(|c| c.metric.as_str()));
    head.extend(study.space.parameters().iter().map(|p| p.name.as_str()));
    head.push("time");
    let mut table = text::table(&head);
    for entry in entries {
        let mut row = vec![entry.record.number.to_string(), state(entry)];
        let word = |x: &Option<f64>| x.map_or_else(|| "–".to_owned(), readable);
        row.extend(values(study, entry).iter().map(word));
        let bounds = (0..study.constraints.len()).map(|i| entry.bounds.get(i).copied());
        row.extend(bounds.map(|b| word(&b)));
        for parameter in study.space.parameters() {
            let value = entry.record.params.get(&parameter.name);
            row.push(value.map_or_else(|| "–".to_owned(), short));
        }
        row.push(duration(entry.seconds));
        table.add_row(row);
    }
    // Names of parameters are long; a terminal that is narrow breaks the lines itself.
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    format!("{table}\n")
}

/// A trial as JSON.
#[must_use]
pub fn json(study: &Study, folder: &StudyFolder, entry: &Entry) -> Json {
    let number = entry.record.number;
    let objectives = study.objectives.iter().zip(values(study, entry));
    let objectives: Map<String, Json> = objectives
        .map(|(o, v)| (o.metric.clone(), json!(v)))
        .collect();
    let bounds = study.constraints.iter().zip(&entry.bounds);
    let bounds: Map<String, Json> = bounds.map(|(c, v)| (c.metric.clone(), json!(v))).collect();
    let seeds = entry
        .seeds
        .iter()
        .map(|(seed, values)| json!({"seed": seed, "values": values}));
    let runs = entry
        .record
        .seeds
        .iter()
        .map(|seed| folder.run(number, *seed).display().to_string());
    let error = entry.state.error();
    let error = error.map(|e| json!({"code": e.code, "text": e.text, "hint": e.hint}));
    json!({
        "number": number,
        "by": entry.record.by,
        "state": entry.state.word(),
        "pruned_after": match entry.state { State::Pruned(epoch) => Some(epoch), _ => None },
        "params": entry.record.params,
        "values": objectives,
        "constraints": bounds,
        "kept": entry.state == State::Finished && entry.missed() == 0.0,
        "seeds": seeds.collect::<Vec<_>>(),
        "intermediate": entry.told.curve,
        "seconds": entry.seconds,
        "config": folder.config(number).display().to_string(),
        "runs": runs.collect::<Vec<_>>(),
        "error": error,
    })
}

/// `trials.csv`: a row for each trial. What a trial took is not in it, so that two studies that found
/// the same have the same file.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn csv(study: &Study, ledger: &Ledger) -> Result<String> {
    let failed = |e: csv::Error| crate::Error::internal(format!("table of trials: {e}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut head = vec!["number", "by", "state", "pruned_after", "kept"];
    head.extend(study.objectives.iter().map(|o| o.metric.as_str()));
    head.extend(study.constraints.iter().map(|c| c.metric.as_str()));
    head.extend(study.space.parameters().iter().map(|p| p.name.as_str()));
    table.write_record(&head).map_err(failed)?;
    for entry in ledger.entries() {
        let after = match entry.state {
            State::Pruned(epoch) => epoch.to_string(),
            _ => String::new(),
        };
        let kept = match entry.state {
            State::Finished => (entry.missed() == 0.0).to_string(),
            _ => String::new(),
        };
        let mut row = vec![
            entry.record.number.to_string(),
            entry.record.by.clone(),
            entry.state.word().to_owned(),
            after,
            kept,
        ];
        let word = |x: Option<f64>| x.map_or_else(String::new, |x| x.to_string());
        row.extend(values(study, entry).into_iter().map(word));
        row.extend((0..study.constraints.len()).map(|i| word(entry.bounds.get(i).copied())));
        for parameter in study.space.parameters() {
            row.push(match entry.record.params.get(&parameter.name) {
                Some(Json::String(word)) => word.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            });
        }
        table.write_record(&row).map_err(failed)?;
    }
    let bytes = table
        .into_inner()
        .map_err(|e| crate::Error::internal(format!("table of trials: {e}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes `trials.csv` into the study's folder.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn write(study: &Study, folder: &StudyFolder, ledger: &Ledger) -> Result<()> {
    let text = csv(study, ledger)?;
    atomic::write(&folder.path().join("trials.csv"), text.as_bytes())
}

/// How many trials stand where, as words: `12 finished, 3 pruned`.
#[must_use]
pub fn counts(ledger: &Ledger) -> String {
    let words = ["finished", "pruned", "diverged", "failed", "open"];
    let all: Vec<&str> = ledger.entries().map(|e| e.state.word()).collect();
    let count = |word: &&str| {
        let n = all.iter().filter(|w| *w == word).count();
        (n > 0).then(|| format!("{n} {word}"))
    };
    let counts: Vec<String> = words.iter().filter_map(count).collect();
    match counts.is_empty() {
        true => "no trial yet".to_owned(),
        false => counts.join(", "),
    }
}

/// A trial's values in one line: `validation/accuracy 0.9531`.
#[must_use]
pub fn line(study: &Study, entry: &Entry) -> String {
    let pairs = study.objectives.iter().zip(values(study, entry));
    let words: Vec<String> = pairs
        .filter_map(|(o, v)| Some(format!("{} {}", o.metric, readable(v?))))
        .collect();
    match &entry.state {
        State::Diverged(e) | State::Failed(e) => format!("{}: {}", entry.state.word(), e.text),
        State::Pruned(epoch) => format!("given up after epoch {epoch}, {}", words.join(", ")),
        _ => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_keep_their_digits() {
        for (value, expected) in [
            (json!(0.001), "0.001"),
            (json!(0.123456789), "0.123457"),
            (json!(12345.678), "12345.7"),
            (json!(3.25e-7), "3.250e-7"),
            (json!(0.0), "0"),
            (json!(16), "16"),
            (json!("krotov"), "krotov"),
            (json!(true), "true"),
        ] {
            assert_eq!(short(&value), expected);
        }
    }
}
