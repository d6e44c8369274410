//! What is trained, in which order.

use super::blocks::Block;
use super::call::Call;
use super::data::Dataset;
use crate::import::text::{number, quoted};
use crate::text::nearest;
use crate::{Error, Result};

pub(super) fn local_phase(set: &Dataset, apart: bool) -> String {
    let data = if apart { "data = \"local\"\n" } else { "" };
    let augment = if set.augments() {
        "augment = true\n"
    } else {
        ""
    };
    format!(
        "{data}epochs = {}\nbatch = {}\n{augment}",
        set.whole("nb_epoch", 1),
        set.whole("batch_size", 64)
    )
}

pub(super) fn gradient_phase(set: &Dataset, lr: f64) -> String {
    let augment = if set.augments() {
        "augment = true\n"
    } else {
        ""
    };
    format!(
        "epochs = {}\nbatch = {}\n{augment}evaluate_every = {}\noptimizer = {{ kind = \"adam\", lr = {} }}\nschedule = \"softhebb\"\n",
        set.whole("nb_epoch", 1),
        set.whole("batch_size", 64),
        set.whole("print_freq", 1),
        number(lr)
    )
}

/// Names of the blocks that are trained, where these are not all or the mode has no counterpart of one
/// word.
pub(super) fn chosen(
    call: &Call,
    blocks: &mut [Block],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<String>>> {
    let modes = ["successive", "consecutive", "simultaneous"];
    if !modes.contains(&call.mode.as_str()) {
        let e = Error::usage(format!("`--training-mode` is `{}`", call.mode));
        return Err(match nearest(&call.mode, modes) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!("there are `{}`", modes.join("`, `"))),
        });
    }
    if blocks.iter().any(|b| b.supervised) && call.mode == "successive" {
        return Err(Error::usage("a Hebbian classifier learns nothing in `successive` mode, and its evaluation fails there")
            .hint("`--training-mode consecutive`"));
    }
    if call.mode == "successive"
        && blocks
            .iter()
            .filter(|b| !b.hebbian && b.lr_sup.is_finite())
            .count()
            > 1
    {
        notes.push("each block of backpropagation is trained alone for all epochs, as there; the authors' figures are those of `--training-mode consecutive`".to_owned());
    }
    if call.blocks.is_empty() {
        return Ok(None);
    }
    // Blocks that only flatten are none of the file.
    let real: Vec<&Block> = blocks
        .iter()
        .filter(|b| b.hebbian || b.lr_sup.is_finite())
        .collect();
    let name = |at: &u64| {
        real.get(*at as usize)
            .map(|b| b.name.clone())
            .ok_or_else(|| {
                Error::usage(format!(
                    "`--training-blocks` has {at}, and the network has {} blocks",
                    real.len()
                ))
            })
    };
    let chosen = call.blocks.iter().map(name).collect::<Result<Vec<_>>>()?;
    if call.mode == "successive" {
        notes.push("blocks that are not trained fail there in `successive` mode; here they stay as they are".to_owned());
    }
    Ok(Some(chosen))
}

/// The phases of a part of the blocks.
pub(super) fn written_out(
    call: &Call,
    blocks: &[Block],
    chosen: &[String],
    (local, gradient): (&str, &str),
) -> String {
    let of = |hebbian: bool| -> Vec<&Block> {
        let own = |b: &&Block| chosen.contains(&b.name) && (b.hebbian && !b.supervised) == hebbian;
        blocks.iter().filter(own).collect()
    };
    let phase = |name: &str, blocks: &[&Block], drive: &str, settings: &str| {
        let names: Vec<String> = blocks.iter().map(|b| quoted(&b.name)).collect();
        format!(
            "\n[[phases]]\nname = \"{name}\"\nblocks = [{}]\ndrive = \"{drive}\"\n{settings}",
            names.join(", ")
        )
    };
    let (hebbian, driven) = (of(true), of(false));
    let local = format!("evaluate_every = 0\n{local}");
    match call.mode.as_str() {
        "successive" => {
            let all = blocks.iter().filter(|b| chosen.contains(&b.name));
            all.map(|b| match b.hebbian {
                true => phase(&b.name, &[b], "local", &local),
                false => phase(&b.name, &[b], "gradient", gradient),
            })
            .collect()
        }
        "consecutive" => {
            let mut text = String::new();
            if !hebbian.is_empty() {
                text.push_str(&phase("local", &hebbian, "local", &local));
            }
            if !driven.is_empty() {
                text.push_str(&phase("gradient", &driven, "gradient", gradient));
            }
            text
        }
        _ => phase("both", &[hebbian, driven].concat(), "both", gradient),
    }
}
