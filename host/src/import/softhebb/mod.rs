//! SoftHebb: a network of `presets.json`, with two of its data sets, as `multi_layer.py` trains it.

mod blocks;
mod call;
mod data;
mod layer;
mod phases;

use serde_json::Value;

use self::blocks::blocks;
pub use self::call::Call;
use self::call::find;
use self::data::dataset;
use self::phases::{chosen, gradient_phase, local_phase, written_out};
use super::Imported;
use super::text::{name, number, quoted};
use crate::{Error, Result};

/// The configuration of `multi_layer.py` on a `presets.json` with `text`.
///
/// # Errors
/// Usage error for names that are not there, and for what there is no counterpart of.
pub fn import(text: &str, call: &Call) -> Result<Imported> {
    let file: Value =
        serde_json::from_str(text).map_err(|e| Error::usage(format!("it is no JSON: {e}")))?;
    let model = find(&file["model"], &call.preset, "network")?;
    let mut notes = Vec::new();
    let mut blocks = blocks(&file, model, &mut notes)?;
    let supervised = dataset(&file, &call.supervised)?;
    let unsupervised = dataset(&file, &call.unsupervised)?;
    let chosen = chosen(call, &mut blocks, &mut notes)?;

    let seed = call.seed.unwrap_or_else(|| supervised.whole("seed", 0));
    let mut body = format!("name = {}\nseeds = [{seed}]\n", quoted(&name(&call.preset)));
    let main = supervised.table(&mut notes)?;
    body.push_str("\n[data]\n");
    body.push_str(&main);
    if call.validation {
        body.push_str(&format!(
            "validation = {}\n",
            number(supervised.number("validation_split", 0.2))
        ));
        notes.push("there validation samples take the place of the test set and keep the augmentation; here both are evaluated, without it".to_owned());
    }
    let has_local =
        blocks.iter().any(|b| b.hebbian && !b.supervised) && call.mode != "simultaneous";
    let other = unsupervised.table(&mut notes)?;
    // Whether samples change is said by the phase; a set of its own is for other samples or changes.
    let plain = |table: &str| -> Vec<String> {
        let lines = table.lines().filter(|line| !line.starts_with("augment = "));
        lines.map(str::to_owned).collect()
    };
    let differs = match unsupervised.augments() {
        true => other != main,
        false => plain(&other) != plain(&main),
    };
    let apart = has_local && differs;
    if apart {
        body.push_str(&format!("\n[extra_data.local]\n{other}"));
    }
    for block in &blocks {
        body.push_str("\n[[blocks]]\n");
        body.push_str(&(block.lines.join("\n") + "\n"));
    }
    let rates: Vec<f64> = blocks
        .iter()
        .filter(|b| !b.hebbian)
        .map(|b| b.lr_sup)
        .collect();
    let lr = rates.iter().copied().fold(f64::INFINITY, f64::min);
    if rates.iter().any(|r| *r != lr) {
        notes.push(format!("blocks have different `lr_sup`; all learn by the smallest, {lr}, as there when they learn together"));
    }
    let local = local_phase(&unsupervised, apart);
    let gradient = gradient_phase(&supervised, if lr.is_finite() { lr } else { 0.001 });
    match chosen {
        None => {
            body.push_str(&format!("\n[training]\nmode = \"{}\"\n", call.mode));
            if has_local {
                body.push_str(&format!("\n[training.local]\n{local}"));
            }
            if blocks.iter().any(|b| !b.hebbian || b.supervised) || call.mode == "simultaneous" {
                body.push_str(&format!("\n[training.gradient]\n{gradient}"));
            }
        }
        Some(chosen) => body.push_str(&written_out(call, &blocks, &chosen, (&local, &gradient))),
    }
    notes.push("the test accuracy at the last epoch is what the authors publish".to_owned());
    let title = format!(
        "SoftHebb's `multi_layer.py --preset {} --dataset-unsup {} --dataset-sup {} --training-mode {}`",
        call.preset, call.unsupervised, call.supervised, call.mode
    );
    Ok(Imported::new(&title, notes, &body))
}
