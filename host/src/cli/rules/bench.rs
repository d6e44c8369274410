//! `biorule rules bench`: what a step of a rule costs beside backpropagation and the nearest shipped
//! rule.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::plugins::measure::{Kind, Measured, nearest_shipped};
use crate::plugins::{Registry, search_folders};
use crate::text::{human, print, print_json, table};
use crate::{Error, Result};

/// `biorule rules bench`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules bench target/release/libmy_rule.so
  biorule rules bench target/release/libmy_rule.so --rule my-rule --batch 128 --steps 100 --json

Steps of all rules are made in turn, so that what else the machine does falls on each alike.")]
pub struct BenchArgs {
    /// The plugin's library file
    path: PathBuf,
    /// Only this rule
    #[arg(long)]
    rule: Option<String>,
    /// Samples in a step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Steps that are measured, after some for warming up
    #[arg(long, default_value_t = 30)]
    steps: usize,
    /// Folder with further plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    if args.batch == 0 || args.steps == 0 {
        return Err(Error::usage("`--batch` and `--steps` are at least 1"));
    }
    let mut own = Registry::default();
    own.add(&args.path)
        .map_err(|e| Error::plugin(e.to_string()).hint(e.hint))?;
    let shipped = Registry::from_folders(search_folders(&args.plugins));
    let mut rows = Vec::new();
    for entry in own.rules() {
        if args.rule.as_deref().is_some_and(|rule| rule != entry.name) {
            continue;
        }
        for kind in Kind::ALL {
            let mut measured = match Measured::new(&own, &entry.name, kind, args.batch) {
                Ok(measured) => vec![measured],
                Err(e) => {
                    tell!("note: {} is not measured: {}", kind.describe(), e.text);
                    continue;
                }
            };
            let beside = ["backprop", nearest_shipped(entry.facts.credit)];
            for name in beside.iter().filter(|name| **name != entry.name) {
                measured.extend(Measured::new(&shipped, name, kind, args.batch).ok());
            }
            for _ in 0..3 {
                measured.iter_mut().try_for_each(Measured::step)?;
            }
            measured.iter_mut().for_each(Measured::restart);
            for _ in 0..args.steps {
                measured.iter_mut().try_for_each(Measured::step)?;
            }
            rows.push((entry.name.clone(), kind, measured));
        }
    }
    if rows.is_empty() {
        return Err(Error::usage("no rule of the file was measured")
            .hint("`biorule rules list --plugins DIR` shows the rules of its folder"));
    }
    if args.json {
        return print_json(&as_json(args, &rows));
    }
    let mut shown = table(&[
        "layer",
        "rule",
        "step, ms",
        "10 % to 90 %",
        "beside backprop",
        "state",
        "made in a step",
    ]);
    for (_, kind, measured) in &rows {
        let base = of_backprop(measured);
        for m in measured {
            let [low, median, high] = m.spread().map(|s| 1e3 * s);
            let beside = base.map_or("–".into(), |base| format!("{:.2}x", median / base));
            shown.add_row(vec![
                kind.describe().to_owned(),
                m.rule.clone(),
                format!("{median:.3}"),
                format!("{low:.3} to {high:.3}"),
                beside,
                human(m.state_bytes as u128),
                human(m.step_bytes as u128),
            ]);
        }
    }
    print(&format!("{shown}\n"))
}

/// Milliseconds of a step of backpropagation.
fn of_backprop(measured: &[Measured]) -> Option<f64> {
    let base = measured.iter().find(|m| m.rule == "backprop")?;
    Some(1e3 * base.spread()[1])
}

fn as_json(args: &BenchArgs, rows: &[(String, Kind, Vec<Measured>)]) -> Value {
    let row = |kind: &Kind, m: &Measured, base: Option<f64>| {
        let [low, median, high] = m.spread().map(|s| 1e3 * s);
        json!({
            "layer": kind.describe(), "rule": m.rule, "milliseconds": median,
            "low": low, "high": high, "beside_backprop": base.map(|base| median / base),
            "state_bytes": m.state_bytes, "step_bytes": m.step_bytes,
        })
    };
    let mut all = Vec::new();
    for (of, kind, measured) in rows {
        let base = of_backprop(measured);
        let list: Vec<Value> = measured.iter().map(|m| row(kind, m, base)).collect();
        all.push(json!({"of": of, "rows": list}));
    }
    json!({"plugin": args.path.display().to_string(), "batch": args.batch, "steps": args.steps, "measured": all})
}
