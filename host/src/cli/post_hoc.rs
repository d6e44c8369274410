//! `biorule post-hoc`: the loss of a network while it learned without labels, by the read-out that it
//! had afterwards.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Open;
use super::eval::locate;
use super::options::RunConfigArgs;
use crate::run::summary::show;
use crate::run::{StopFlag, atomic};
use crate::text::{csv, print, print_json, table};
use crate::train::post_hoc::Scored;
use crate::{Error, ExitCode, Result};

/// Rows of the table for people.
const ROWS: usize = 10;

/// The loss of a network while it learned without labels.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule post-hoc runs/softhebb-cifar10-1/latest/seed-0
  biorule post-hoc runs/mine/latest --phase conv2 --json

The blocks of a local phase are put back to their initial weights and learn again as they did, beside the others as they are
in the end; before each step the whole network is scored on the next batch. A row for each step is in post-hoc.csv of the
run's folder (`--out FILE`), with what the rules report. SoftHebb's post_hoc_loss.py. It takes as long as the phase did.")]
pub struct PostHocArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// The phase; absent: the first that local rules drive alone
    #[arg(long, value_name = "NAME")]
    phase: Option<String>,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// Where a row for each step is written; absent: `post-hoc.csv` in the run's folder
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    run: RunConfigArgs,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &PostHocArgs, open: Open) -> Result<ExitCode> {
    let (config, checkpoint) = locate(&args.path, args.best)?;
    if args.best && checkpoint == args.path {
        super::warn::warn_once("`--best` has no effect: a file is named");
    }
    let file = match &args.out {
        Some(file) => file.clone(),
        None => config.with_file_name("post-hoc.csv"),
    };
    let (resolved, host) = args.run.open(config, open)?;
    let stop = StopFlag::new();
    stop.on_signals_saying("stopping after this step; nothing is written")?;
    let (mut phase, mut all) = (String::new(), Vec::new());
    host.post_hoc(
        &resolved.plan,
        &checkpoint,
        args.phase.as_deref(),
        &mut |name, scored| {
            if stop.stopped() {
                return Err(Error::new(ExitCode::Stopped, "stopped"));
            }
            name.clone_into(&mut phase);
            all.push(scored);
            Ok(())
        },
    )?;
    atomic::write(&file, csv_of(&all)?.as_bytes())?;
    if args.json {
        let row = |one: &Scored| {
            json!({"step": one.step.0, "samples": one.samples, "loss": one.loss,
                "accuracy": one.accuracy, "rules": one.rules.iter().cloned().collect::<std::collections::BTreeMap<_, _>>()})
        };
        let rows: Vec<Value> = all.iter().map(row).collect();
        print_json(&json!({"phase": phase, "file": file.display().to_string(), "steps": rows}))?;
        return Ok(ExitCode::Done);
    }
    let head = ["steps", "samples", "loss", "accuracy"];
    let mut table = table(&head);
    let each = all.len().div_ceil(ROWS).max(1);
    for part in all.chunks(each) {
        let n = part.len() as f64;
        let loss = part.iter().map(|one| one.loss).sum::<f64>() / n;
        let right: Option<Vec<f64>> = part.iter().map(|one| one.accuracy).collect();
        let accuracy = right.map(|all| all.iter().sum::<f64>() / n);
        let (first, last) = (part[0].step.0, part[part.len() - 1].step.0);
        table.add_row(vec![
            format!("{first} to {last}"),
            part[0].samples.to_string(),
            show("loss", loss),
            accuracy.map_or("-".to_owned(), |x| show("accuracy", x)),
        ]);
    }
    print(&format!(
        "phase `{phase}` again, scored by the whole network before each step; means of {each} steps\n{table}\nevery step is in {}\n",
        file.display()
    ))?;
    Ok(ExitCode::Done)
}

/// A row for each step.
fn csv_of(all: &[Scored]) -> Result<String> {
    let rules = || all.first().into_iter().flat_map(|one| &one.rules);
    let head = ["step", "samples", "loss", "accuracy"].map(str::to_owned);
    let names: Vec<String> = head
        .into_iter()
        .chain(rules().map(|(name, _)| name.clone()))
        .collect();
    let row = |one: &Scored| {
        let mut row = vec![
            one.step.0.to_string(),
            one.samples.to_string(),
            format!("{:?}", one.loss),
            one.accuracy.map_or_else(String::new, |x| format!("{x:?}")),
        ];
        for name in &names[4..] {
            let value = one.rules.iter().find(|(of, _)| of == name);
            row.push(value.map_or_else(String::new, |(_, x)| format!("{x:?}")));
        }
        row
    };
    csv(std::iter::once(names.clone()).chain(all.iter().map(row)))
}
