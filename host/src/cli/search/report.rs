//! What a search leaves: files, the record, the lines and the last screen.

use std::collections::BTreeMap;

use super::super::genotype::grouped;
use super::task::Found;
use crate::run::SearchFolder;
use crate::run::search_folder::FoundRecord;
use crate::search::Genotype;
use crate::search::genotype::svg;
use crate::search::pareto::{self, Goal, Objective};
use crate::search::strategy::{Answer, Origin, Scene};
use crate::text::table;
use crate::{Error, ExitCode, Result};

/// The best answer.
///
/// # Errors
/// Usage error where none keeps the bounds; [`ExitCode::Diverged`] where all trainings diverged.
pub(super) fn winner<'a>(scene: &Scene, answers: &'a [Answer]) -> Result<&'a Answer> {
    let best = scene
        .winner(answers)
        .ok_or_else(|| Error::internal("a search without answers"))?;
    let goals = &scene.goals;
    let missed = goals
        .iter()
        .zip(&best.values)
        .find(|(g, v)| g.missed(**v) > 0.0);
    if let Some((goal, value)) = missed
        && value.is_finite()
    {
        return Err(Error::usage(format!(
            "none of the {} genotypes keeps all bounds: of the nearest, `{}` is {}",
            answers.len(),
            goal.objective,
            shown(goal.objective, *value)
        ))
        .hint("loosen `search.bounds`, make the networks smaller or larger (`network`), or search longer"));
    }
    let decides = best.values.first().copied().unwrap_or(f64::NAN);
    if !decides.is_finite() || missed.is_some() {
        return Err(Error::new(
            ExitCode::Diverged,
            format!(
                "the training of each of the {} genotypes diverged",
                answers.len()
            ),
        )
        .hint("lower the learning rate"));
    }
    Ok(best)
}

/// The best answer for another genotype than that of `winner`, trained as long as one can be.
fn runner_up<'a>(scene: &Scene, answers: &'a [Answer], winner: &Answer) -> Option<&'a Answer> {
    let hash = winner.request.genotype.hash();
    let longest = winner.request.share;
    let others = answers
        .iter()
        .filter(|a| a.request.share >= longest && a.request.genotype.hash() != hash);
    let others: Vec<&Answer> = others.collect();
    let score = |a: &Answer| pareto::score(&scene.goals, &a.values);
    let mut best: Option<&Answer> = None;
    for other in others {
        let better = best.is_none_or(|b| {
            let (x, y) = (score(other), score(b));
            x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)).is_gt()
        });
        if better {
            best = Some(other);
        }
    }
    best
}

/// Positions of the non-dominated answers, each genotype once.
fn front(scene: &Scene, answers: &[Answer]) -> Vec<usize> {
    let longest = answers.iter().map(|a| a.request.share).fold(0.0, f64::max);
    let whole: Vec<usize> = (0..answers.len())
        .filter(|i| answers[*i].request.share >= longest)
        .collect();
    let values: Vec<Vec<f64>> = whole.iter().map(|i| answers[*i].values.clone()).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut found: Vec<usize> = pareto::front(&scene.goals, &values)
        .into_iter()
        .map(|i| whole[i])
        .filter(|i| seen.insert(answers[*i].request.genotype.hash()))
        .collect();
    let first = |i: &usize| {
        let goal = scene.goals.first().zip(answers[*i].values.first());
        goal.map_or(0.0, |(g, v)| g.upward(*v))
    };
    found.sort_by(|a, b| first(b).total_cmp(&first(a)));
    found
}

/// Writes genotype, drawings and non-dominated set into `folder`, and them into its record.
///
/// # Errors
/// Storage error where the disk refuses.
pub(super) fn write(folder: &mut SearchFolder, found: &Found, scene: &Scene) -> Result<()> {
    let genotype = &found.genotype;
    folder.write_file("genotype.json", &genotype.to_json_text())?;
    // Not every rule has a suffix in DARTS's text.
    if let Ok(text) = genotype.to_text() {
        folder.write_file("genotype.txt", &format!("{}\n", text.trim_end()))?;
    }
    for kind in genotype.skeleton.cells() {
        folder.write_file(&format!("{kind}.svg"), &drawing(genotype, kind))?;
    }
    let front = front(scene, &found.answers);
    folder.write_file("front.csv", &front_csv(scene, &found.answers, &front)?)?;
    // What a supernet gives was not evaluated.
    let best = match found.answers.is_empty() {
        true => None,
        false => Some(winner(scene, &found.answers)?),
    };
    let second = best.and_then(|best| runner_up(scene, &found.answers, best));
    let lead = best.zip(second).and_then(|(best, second)| {
        let goal = scene.goals.first()?;
        let (a, b) = (best.values.first()?, second.values.first()?);
        let lead = goal.upward(*a) - goal.upward(*b);
        lead.is_finite().then_some((lead, second.request.number))
    });
    let values = scene.goals.iter().zip(best.map_or(&[][..], |b| &b.values));
    let values: BTreeMap<String, Option<f64>> = values
        .map(|(g, v)| (g.objective.name().to_owned(), Some(*v)))
        .collect();
    folder.record.found = Some(FoundRecord {
        hash: genotype.hash(),
        number: best.map(|b| b.request.number),
        values,
        lead,
        front: front.iter().map(|i| *i as u64).collect(),
        trained: Vec::new(),
    });
    folder.write()
}

/// A drawing of one kind of cell.
fn drawing(genotype: &Genotype, kind: &str) -> String {
    let mut one = genotype.clone();
    one.cells.retain(|own, _| own == kind);
    svg::draw(&one)
}

fn front_csv(scene: &Scene, answers: &[Answer], front: &[usize]) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("front.csv: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = scene.goals.iter().map(|g| g.objective.name());
    let head: Vec<&str> = ["number", "hash"].into_iter().chain(names).collect();
    writer.write_record(&head).map_err(|e| failed(&e))?;
    for i in front {
        let answer = &answers[*i];
        let mut row = vec![i.to_string(), answer.request.genotype.hash()];
        row.extend(answer.values.iter().map(f64::to_string));
        writer.write_record(&row).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

/// A value as people read it.
fn shown(objective: Objective, value: f64) -> String {
    match objective {
        _ if !value.is_finite() => "–".to_owned(),
        Objective::Accuracy | Objective::Robustness if value <= 1.0 => {
            format!("{:.2} %", 100.0 * value)
        }
        // Tables may have per cents.
        Objective::Accuracy | Objective::Robustness => format!("{value:.2} %"),
        Objective::Parameters | Objective::MultiplyAdds => grouped(value as u64),
        Objective::Score => format!("{value:.4}"),
    }
}

/// Where a genotype comes from, as words.
fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Drawn => "drawn".to_owned(),
        Origin::Child(parent) => format!("child of {parent}"),
        Origin::Kept(from) => format!("kept from {from}"),
        Origin::Derived => "derived".to_owned(),
        Origin::Listed => "listed".to_owned(),
    }
}

/// The line that says that an evaluation is done, which begins as the name of its folder.
pub(super) fn line(goals: &[Goal], answer: &Answer) -> String {
    let request = &answer.request;
    let hash = &request.genotype.hash()[..8];
    let from = origin(&request.origin);
    let mut text = format!("{:04}-{hash}  {from:<14}", request.number);
    for (goal, value) in goals.iter().zip(&answer.values) {
        let value = shown(goal.objective, *value);
        text.push_str(&format!("  {} {value}", goal.objective));
    }
    text
}

/// Seconds as people read them: from two hours on as hours, which costs are compared by.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 7200.0 => format!("{s:.1} s"),
        s => format!("{:.2} h", s / 3600.0),
    }
}

/// The last screen.
pub(super) fn screen(folder: &SearchFolder, found: &Found, scene: &Scene, command: &str) -> String {
    let mut text = String::new();
    let record = &folder.record;
    let answers = &found.answers;
    if let Some(found) = &record.found {
        let names = scene.goals.iter().map(|g| g.objective.name());
        let head: Vec<&str> = ["evaluation", "genotype", "from"]
            .into_iter()
            .chain(names)
            .collect();
        let mut shown_front = table(&head);
        for number in &found.front {
            let Some(answer) = answers.get(*number as usize) else {
                continue;
            };
            let mut row = vec![
                number.to_string(),
                answer.request.genotype.hash()[..8].to_owned(),
                origin(&answer.request.origin),
            ];
            let values = scene.goals.iter().zip(&answer.values);
            row.extend(values.map(|(g, v)| shown(g.objective, *v)));
            shown_front.add_row(row);
        }
        text.push_str(&format!("not dominated by any other:\n{shown_front}\n\n"));
        let goal = scene.goals.first().map(|g| g.objective);
        if let (Some((lead, second)), Some(goal)) = (found.lead, goal) {
            let ahead = match goal {
                Objective::Accuracy | Objective::Robustness => {
                    // Tables may have per cents.
                    let own = found.values.get(goal.name()).copied().flatten();
                    let unit = if own.is_some_and(|v| v > 1.0) {
                        1.0
                    } else {
                        100.0
                    };
                    format!("{:.2} points of {goal}", unit * lead)
                }
                Objective::Parameters | Objective::MultiplyAdds => format!("{lead} {goal}"),
                Objective::Score => format!("{lead:.4} of {goal}"),
            };
            text.push_str(&format!(
                "winner: evaluation {}, {ahead} ahead of evaluation {second}\n",
                found.number.unwrap_or_default()
            ));
        }
        if !found.trained.is_empty() {
            let mut finals = table(&["trained after the search", "genotype", "test accuracy"]);
            for one in &found.trained {
                let accuracy = one.test_accuracy;
                finals.add_row(vec![
                    one.name.clone(),
                    one.hash[..8].to_owned(),
                    accuracy.map_or("diverged".to_owned(), |a| format!("{:.2} %", 100.0 * a)),
                ]);
            }
            text.push_str(&format!("\n{finals}\n\n"));
        }
    }
    let cost = &record.cost;
    text.push_str(&format!(
        "cost: {} evaluations, {} of them trained",
        cost.evaluations, cost.trained
    ));
    if let Some(supernet) = &cost.supernet {
        text.push_str(&format!(
            ", a supernet ({}, {:.3e} multiply-adds)",
            duration(supernet.seconds),
            supernet.multiply_adds
        ));
    }
    if cost.trained > 0 || cost.supernet.is_some() {
        let on = match &record.device {
            Some(device) if device != "cpu" => format!(" with `{device}`"),
            _ => String::new(),
        };
        text.push_str(&format!(
            "; {}{on}, {:.3e} multiply-adds",
            duration(cost.seconds),
            cost.multiply_adds
        ));
    }
    let processes = match cost.processes {
        1 => "one process".to_owned(),
        n => format!("{n} processes"),
    };
    text.push_str(&format!(
        "; {processes}, {}",
        duration(cost.process_seconds)
    ));
    if let Some(seconds) = cost.cpu_seconds {
        text.push_str(&format!(", {} of processors", duration(seconds)));
    }
    if let Some(peak) = cost.peak_memory_mib {
        text.push_str(&format!(", {peak:.0} MiB at most"));
    }
    let root = folder.path().display();
    text.push_str(&format!("\ngenotype: {root}/genotype.json\n"));
    for kind in found.genotype.skeleton.cells() {
        text.push_str(&format!("drawing: {root}/{kind}.svg\n"));
    }
    text.push_str(&format!("train it: {command} --genotype {root}\n"));
    text
}
