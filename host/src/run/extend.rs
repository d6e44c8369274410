//! Training longer: a run that is over, or was stopped, goes on with more epochs in its last
//! phases. Allowed where the result is that of a run of this length from the start, bit for bit;
//! else refused with the reason.

use std::path::PathBuf;

use super::CheckpointStore;
use super::identity::{Longer, RunRecord};
use crate::config::RunPlan;
use crate::config::shown::Change;
use crate::train::state::{Position, Saved};
use crate::{Error, Result};

/// An extension that is about to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// Which phases get more epochs.
    pub phases: Vec<Longer>,
    /// The phase that has begun, its number of epochs before, and what is done of it; `None` where
    /// all of them lie ahead.
    pub began: Option<(usize, u64, Position)>,
    /// The checkpoint at the end of the phases that the run goes back to; what came after it is
    /// done anew.
    pub back_to: Option<PathBuf>,
}

/// The phases that get more epochs, where `changes` are nothing but that.
#[must_use]
pub fn longer(changes: &[Change], plan: &RunPlan) -> Option<Vec<Longer>> {
    let one = |change: &Change| {
        let path = change.path.strip_prefix("phases.")?;
        let name = path.strip_suffix(".epochs")?;
        plan.phases.iter().find(|phase| phase.name == name)?;
        let number = |text: &Option<String>| text.as_ref()?.parse::<u64>().ok();
        let (from, to) = (number(&change.theirs)?, number(&change.ours)?);
        // 0 leaves the end to a stop rule; that is another plan.
        (from > 0 && to > from).then(|| Longer {
            phase: name.to_owned(),
            from,
            to,
        })
    };
    let all: Option<Vec<Longer>> = changes.iter().map(one).collect();
    all.filter(|list| !list.is_empty())
}

/// How the run in a folder can get longer, as far as its files tell.
///
/// # Errors
/// Usage error with the reason where it cannot; storage error for checkpoints that cannot be read.
pub fn extension(
    phases: Vec<Longer>,
    plan: &RunPlan,
    record: &RunRecord,
    checkpoints: &CheckpointStore,
) -> Result<Extension> {
    if record.exit_reason.as_deref() == Some("diverged") {
        return Err(refused("it diverged"));
    }
    let ahead = |phases| Extension {
        phases,
        began: None,
        back_to: None,
    };
    let Some(last) = checkpoints.load_last()? else {
        return Ok(ahead(phases));
    };
    let mut at = Saved::read(&last.state["trainer"], record.seed)?.position;
    let mut back_to = None;
    if at.segment > 0 {
        match checkpoints.load_final_state(|state| is_end(state, &phases, plan))? {
            Some((path, state)) => {
                at = Saved::read(&state["trainer"], record.seed)?.position;
                back_to = Some(path);
            }
            None => return Err(refused("it keeps no state from the end of its phases")),
        }
    }
    let mut began = None;
    for longer in &phases {
        let index = plan.phases.iter().position(|p| p.name == longer.phase);
        let index = index.unwrap_or(plan.phases.len());
        if index < at.phase {
            let next = &plan.phases[at.phase].name;
            let name = &longer.phase;
            return Err(refused(&format!(
                "phase `{name}` is over, and phase `{next}` has been trained on top of it"
            )));
        }
        if index == at.phase && !at.is_phase_start() {
            began = Some((index, longer.from, at));
        }
    }
    Ok(Extension {
        phases,
        began,
        back_to,
    })
}

/// Whether a checkpoint's state is that of the end of the last phase, before anything else.
fn is_end(state: &serde_json::Value, phases: &[Longer], plan: &RunPlan) -> bool {
    let position = serde_json::from_value::<Position>(state["trainer"]["position"].clone());
    let last = plan.phases.last();
    position.is_ok_and(|at| {
        at.segment == 0
            && at.batch == 0
            && at.epoch > 0
            && at.phase + 1 == plan.phases.len()
            && last.is_some_and(|last| {
                let changed = phases.iter().find(|l| l.phase == last.name);
                last.stop.is_some() || at.epoch == changed.map_or(last.epochs, |l| l.from)
            })
    })
}

/// The error for a run that cannot get longer, because of `why`.
#[must_use]
pub fn refused(why: &str) -> Error {
    Error::usage(format!("the run cannot go on with more epochs: {why}")).hint(
        "undo the change; or choose another `--run-dir`, with `--init-from` this run to start from its weights",
    )
}

/// The error for settings that differ in anything else.
#[must_use]
pub fn other_configuration(path: &std::path::Path, changes: &[Change]) -> Error {
    other_settings(path, changes)
        .hint("undo the change, or choose another `--run-dir`; only the epochs of a phase may grow")
}

/// The error for settings that differ, without what to do.
#[must_use]
pub fn other_settings(path: &std::path::Path, changes: &[Change]) -> Error {
    let words: Vec<String> = changes.iter().map(Change::to_string).collect();
    Error::usage(format!(
        "run folder `{}` was started with another configuration: {}",
        path.display(),
        words.join(", ")
    ))
}
