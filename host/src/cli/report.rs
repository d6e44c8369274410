//! `biorule report`: one page of what runs came to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::report::{self, Gathered};
use crate::run::{StopFlag, atomic};
use crate::text::{human, print, print_json};
use crate::{Error, Result};

/// Writes a page that shows what runs came to.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule report runs/quickstart/latest
  biorule report runs/fa/latest runs/bp/latest -o rules.html
  biorule report quickstart                all runs below runs/quickstart
  biorule report runs/mine/latest --watch  written anew while the run goes on
  biorule report runs/fa/latest --pictures pictures

The page is one file that loads nothing and opens from disk: the answer beside what it is held
against, the plan and the network, curves, filters, mistakes, cost, and the command that repeats it.
Several runs are compared; runs that differ in their seed alone are one experiment.")]
pub struct ReportArgs {
    /// Runs' folders, folders that hold runs, or names below `runs`
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The page's file; absent: `report.html` in the folder of the only RUN, or here for several
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also write each drawing on the page as a file into this folder: SVG, of filters PNG
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,

    /// Write the page anew while a run goes on, until all have ended or Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Seconds between two pages under `--watch`
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,

    /// What was written as JSON: file, bytes, experiments, runs
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let file = target(args)?;
    if !args.watch {
        let found = report::gather(&args.runs)?;
        let bytes = write(args, &found, &file)?;
        return told(args, &found, &file, bytes);
    }
    let stop = StopFlag::new();
    stop.on_signals()?;
    let mut first = true;
    loop {
        let found = report::gather(&args.runs)?;
        let bytes = write(args, &found, &file)?;
        if found.is_over() || stop.stopped() {
            return told(args, &found, &file, bytes);
        }
        if std::mem::take(&mut first) {
            tell!(
                "`{}` is written anew every {} s until the runs end; Ctrl-C stops that",
                file.display(),
                args.every
            );
        }
        // In pieces, so that Ctrl-C need not wait.
        for _ in 0..10 * args.every {
            if stop.stopped() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The page's file.
fn target(args: &ReportArgs) -> Result<PathBuf> {
    let file = match (&args.output, args.runs.as_slice()) {
        (Some(file), _) => file.clone(),
        (None, [one]) if one.join("run.json").is_file() => one.join("report.html"),
        _ => PathBuf::from("report.html"),
    };
    if file.is_dir() {
        let text = format!("`{}` is a folder, and a page is a file", file.display());
        return Err(Error::usage(text).hint(format!("`-o {}`", file.join("report.html").display())));
    }
    let parent = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match parent.is_dir() {
        true => Ok(file),
        false => Err(
            Error::usage(format!("the folder `{}` is not there", parent.display()))
                .hint("make it, or give another `-o`"),
        ),
    }
}

fn write(args: &ReportArgs, found: &Gathered, file: &Path) -> Result<usize> {
    let (page, drawings) = report::page(found, &report::page::now())?;
    if let Some(folder) = &args.pictures {
        report::pictures::write(&drawings, folder)?;
    }
    put(&page, file)?;
    Ok(page.len())
}

/// Writes a page, which may lie outside of any run folder, as `file`.
pub(super) fn put(page: &str, file: &Path) -> Result<()> {
    atomic::write(file, page.as_bytes())
        .map_err(|e| Error::new(e.code, e.text.replace("run folder: ", "")))
}

fn told(args: &ReportArgs, found: &Gathered, file: &Path, bytes: usize) -> Result<()> {
    let runs = found.runs().count();
    for problem in &found.problems {
        tell!("warning: {problem}");
    }
    if args.json {
        return print_json(&json!({
            "file": file.display().to_string(),
            "bytes": bytes,
            "experiments": found.experiments.iter().map(|e| json!({
                "name": e.name,
                "runs": e.runs.iter().map(|r| json!({
                    "folder": r.folder.display().to_string(),
                    "seed": r.record.seed,
                    "state": r.state.word().split(' ').next_back(),
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "problems": found.problems,
        }));
    }
    print(&format!(
        "{} ({}, {runs} runs)\n",
        file.display(),
        human(bytes as u128)
    ))
}
