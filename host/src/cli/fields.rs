//! `biorule fields`: pictures that excite units of a trained network.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::eval::{BEST, locate};
use super::options::RunConfigArgs;
use super::{Fielded, Open};
use crate::run::{StopFlag, fields};
use crate::text::{nearest, print, print_json, table};
use crate::train::Ascent;
use crate::{Error, Result};

/// Finds the pictures that excite units of deeper layers, by gradient ascent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule fields runs/softhebb-cifar10-3/latest
  biorule fields runs/mine/latest --blocks conv2,conv3 --units 24
  biorule report runs/mine/latest            shows them

Each picture starts near 0 and climbs along the gradient of the unit's answer, made positive and
stretched to reach from 0 to 1 after each step, as in SoftHebb's Figure 2. A convolution's picture is the
receptive field of one place. They are written to `fields.safetensors` and `pictures/` of the run's
folder. Ctrl-C stops; layers that are done stay.")]
pub struct FieldsArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// Blocks to look at; absent: all with a layer above the first, but for the last
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    blocks: Vec<String>,

    /// Units of each, drawn at random
    #[arg(long, value_name = "N", default_value_t = 72, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    units: u64,

    /// Steps of each picture
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,

    /// Length of a step for a gradient of length 1
    #[arg(long, value_name = "RATE", default_value_t = 0.001)]
    rate: f64,

    /// Seed of the units and of where pictures start
    #[arg(long, default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    run: RunConfigArgs,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &FieldsArgs, open: Open) -> Result<()> {
    if !(args.rate.is_finite() && args.rate > 0.0) {
        return Err(Error::usage(format!(
            "`--rate` is {}, expected above 0",
            args.rate
        )));
    }
    let (file, checkpoint) = locate(&args.path, args.best)?;
    if args.best && !checkpoint.ends_with(BEST) {
        super::warn::warn_once("`--best` has no effect: a file is named, and that is looked at");
    }
    let folder = file
        .parent()
        .unwrap_or(std::path::Path::new("."))
        .to_owned();
    let (resolved, host) = args.run.open(file, open)?;
    let blocks = &resolved.plan.blocks;
    let names: Vec<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
    let mut chosen = Vec::new();
    for name in &args.blocks {
        match names.iter().position(|n| n == name) {
            Some(at) => chosen.push(at),
            None => {
                let e = Error::usage(format!("`--blocks`: there is no block `{name}`"));
                return Err(match nearest(name, names.iter().copied()) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint(format!("there are `{}`", names.join("`, `"))),
                });
            }
        }
    }
    if args.blocks.is_empty() {
        let layered: Vec<usize> = (0..blocks.len())
            .filter(|i| blocks[*i].layer.is_some())
            .collect();
        chosen = match layered.as_slice() {
            [_, between @ .., _] => between.to_vec(),
            _ => Vec::new(),
        };
        if chosen.is_empty() {
            return Err(Error::usage("there is no layer between the first and the last")
                .hint("the first layer's weights are its pictures (`biorule report`); `--blocks` names another"));
        }
    }
    let stop = StopFlag::new();
    stop.on_signals()?;
    let what = Fielded {
        checkpoint,
        blocks: chosen,
        ascent: Ascent {
            units: args.units as usize,
            steps: args.steps as usize,
            rate: args.rate,
            seed: args.seed,
        },
        stop,
    };
    let mut rows = Vec::new();
    host.fields(&resolved.plan, &what, &mut |found| {
        tell!(
            "block `{}`: {} pictures of {:?}",
            found.block,
            found.units.len(),
            &found.pictures.dims()[1..]
        );
        fields::write(&folder, &found)?;
        let most = found.answers.iter().copied().fold(f64::MIN, f64::max);
        let least = found.answers.iter().copied().fold(f64::MAX, f64::min);
        rows.push((
            found.block,
            found.units.len(),
            found.pictures.dims()[1..].to_vec(),
            least,
            most,
        ));
        Ok(())
    })?;
    crate::report::pictures::draw_fields(&folder)?;
    if args.json {
        let rows: Vec<_> = rows.iter().map(|(block, units, dims, least, most)| {
            json!({"block": block, "units": units, "shape": dims, "answers": [least, most]})
        }).collect();
        return print_json(
            &json!({"file": folder.join(fields::FILE).display().to_string(), "blocks": rows}),
        );
    }
    let mut shown = table(&["block", "units", "picture", "least answer", "largest"]);
    for (block, units, dims, least, most) in rows {
        let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
        shown.add_row(vec![
            block,
            units.to_string(),
            dims.join("x"),
            format!("{least:.3}"),
            format!("{most:.3}"),
        ]);
    }
    print(&format!("{shown}\n"))
}
