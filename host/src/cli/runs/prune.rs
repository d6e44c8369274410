//! `biorule runs prune`: takes runs off the disk.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::run::listing;
use crate::run::prune::{Choice, Rule, choose, remove};
use crate::text::{human, print, print_json, table};
use crate::{Error, Result};

/// `biorule runs prune`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule runs prune --failed
  biorule runs prune --keep-last 3 --older-than 30d --yes
  biorule runs prune runs/sweep --all --checkpoints --yes

It shows what would go and what that frees; `--yes` removes it. What is given has to hold together. Runs that run, that
have a tag (`biorule runs tag`) and those of a search stay. Without its checkpoints a run keeps its record, metrics and
results, and cannot be evaluated or gone on with.")]
pub struct PruneArgs {
    /// Folder to look in
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// Keep the latest N of each experiment
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Only runs that ended longer ago: `12h`, `30d`, `8w`
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<f64>,
    /// Only runs that failed or diverged
    #[arg(long)]
    failed: bool,
    /// All runs, where nothing else chooses
    #[arg(long, conflicts_with_all = ["keep_last", "older_than", "failed"])]
    all: bool,
    /// Only checkpoints and cached features, not whole runs
    #[arg(long)]
    checkpoints: bool,
    /// Remove it
    #[arg(long)]
    yes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Seconds of `90m`, `12h`, `30d` or `8w`.
fn age(text: &str) -> Result<f64, String> {
    let expected = "expected a number with `m`, `h`, `d` or `w`, such as `30d`";
    let text = text.trim();
    let unit = text.chars().last().ok_or(expected)?;
    let seconds = match unit {
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86_400.0,
        'w' => 7.0 * 86_400.0,
        _ => return Err(expected.to_owned()),
    };
    let number: f64 = text[..text.len() - unit.len_utf8()]
        .trim()
        .parse()
        .map_err(|_| expected)?;
    match number >= 0.0 && number.is_finite() {
        true => Ok(number * seconds),
        false => Err(expected.to_owned()),
    }
}

/// Runs the command.
pub(super) fn run(args: &PruneArgs) -> Result<()> {
    let chooses = args.keep_last.is_some() || args.older_than.is_some() || args.failed || args.all;
    if !chooses {
        return Err(Error::usage("nothing says which runs go").hint(
            "`--failed`, `--keep-last N`, `--older-than 30d`, or `--all` of a folder; `biorule runs prune --help`",
        ));
    }
    if !args.folder.is_dir() {
        let text = format!("`{}` is no folder", args.folder.display());
        return Err(Error::usage(text).hint("give a folder that holds runs, such as `runs`"));
    }
    let rule = Rule {
        keep_last: args.keep_last,
        older_than: args.older_than,
        failed: args.failed,
        checkpoints: args.checkpoints,
    };
    let all = choose(&args.folder, &rule);
    let mut removed = Vec::new();
    for choice in all.iter().filter(|choice| choice.stays.is_none()) {
        if args.yes && !remove(choice, &rule)? {
            tell!(
                "warning: `{}` has begun to run, and stays",
                choice.path.display()
            );
            continue;
        }
        removed.push(choice);
    }
    let bytes: u64 = removed.iter().map(|choice| choice.frees).sum();
    if args.json {
        let row = |choice: &Choice| {
            let goes = removed.iter().any(|other| other.path == choice.path);
            json!({
                "folder": choice.path.display().to_string(),
                "name": choice.record.name,
                "seed": choice.record.seed,
                "removed": goes && args.yes,
                "chosen": goes,
                "stays_because": choice.stays,
                "bytes": choice.frees,
            })
        };
        let rows: Vec<Value> = all.iter().map(row).collect();
        return print_json(&json!({"runs": rows, "bytes": bytes, "removed": args.yes}));
    }
    let head = ["folder", "seed", "started", "state", "frees"];
    let mut table = table(&head);
    for choice in &removed {
        table.add_row(vec![
            choice.path.display().to_string(),
            choice.record.seed.to_string(),
            choice.record.started.clone(),
            match args.yes {
                true => "removed".to_owned(),
                false => listing::state(&choice.path, &choice.record),
            },
            human(choice.frees.into()),
        ]);
    }
    if !removed.is_empty() {
        print(&format!("{table}\n"))?;
    }
    let kept = all.len() - removed.len();
    let what = if args.checkpoints {
        "checkpoints of "
    } else {
        ""
    };
    let (n, bytes) = (removed.len(), human(bytes.into()));
    tell!(
        "{}",
        match (n, args.yes) {
            (0, _) => format!("nothing to remove; {kept} runs stay"),
            (_, true) => format!("{what}{n} runs removed, {bytes} freed; {kept} runs stay"),
            (_, false) => format!(
                "{what}{n} runs would go and free {bytes}, {kept} stay; `--yes` removes them"
            ),
        }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(age("30d"), Ok(30.0 * 86_400.0));
        assert_eq!(age("1.5h"), Ok(5400.0));
        for wrong in ["", "d", "3", "3y", "-1d", "ä"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
