//! How a supernet is trained, and the files beside its run.

use std::path::Path;

use biorule_plugin_api::sdk::Credit;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::Host;
use crate::config::{Resolved, SearchConfig};
use crate::nn::Tables;
use crate::plan::Drive;
use crate::search::Space;
use crate::search::plan::SupernetPlan;
use crate::search::relaxed::{self, RelaxedPlan};
use crate::{Error, Result};

/// Architecture parameters after an epoch: a line of `alphas.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// Finished epochs.
    pub(super) epoch: u64,
    /// By kind of cell: a row for each place, a number for each candidate.
    pub(super) alphas: Tables,
}

/// How the supernet of `config` is trained.
pub(super) fn supernet_run(
    config: &SearchConfig,
    host: &dyn Host,
    space: &Space,
    relaxed: &RelaxedPlan,
    plan: &SupernetPlan,
) -> Result<Resolved> {
    let mut resolved = config.supernet(host)?;
    let size = plan.size(&config.size);
    let blocks =
        relaxed::blocks(relaxed, space, &size).map_err(|e| e.within("`search.supernet`"))?;
    let is_local = |rule: &&str| {
        host.rule(rule)
            .is_ok_and(|schema| schema.credit == Credit::Local || schema.also_local)
    };
    let local = space.rules().iter().any(is_local);
    let run = &mut resolved.plan;
    let last = run.phases.pop();
    let mut phase = last.ok_or_else(|| Error::internal("a training without phases"))?;
    phase.blocks = blocks.iter().map(|block| block.name.clone()).collect();
    phase.drive = if local { Drive::Both } else { Drive::Gradient };
    plan.train(&mut phase);
    if let Some(perturb) = relaxed.perturb {
        phase.epochs = perturb.epochs(space);
    }
    run.phases = vec![phase];
    run.blocks = blocks;
    run.baselines = Vec::new();
    run.init = None;
    // What stands there is the network of some genotype.
    resolved.shown.retain(|(key, _)| key != "blocks");
    Ok(resolved)
}

/// The architecture parameters after the last epoch of the supernet of the search in `root`.
///
/// # Errors
/// Storage error where there are none.
pub(super) fn last_alphas(root: &Path) -> Result<Tables> {
    let file = root.join("alphas.jsonl");
    let last = lines::<Line>(&file)?.pop().ok_or_else(|| {
        Error::storage(format!("`{}` has no line", file.display()))
            .hint("remove the folder of the search, and search again")
    })?;
    Ok(last.alphas)
}

/// The lines of `file`, each JSON.
///
/// # Errors
/// Storage error for a file that cannot be read.
pub(super) fn lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::storage_io(file, &e))?;
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).map_err(|e| {
            Error::storage(format!("`{}` cannot be read: {e}", file.display()))
                .hint("remove the folder of the search, and search again")
        })
    });
    lines.collect()
}
