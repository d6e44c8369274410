//! Strategies that train one supernet: an ordinary run in `supernet`, whose steps are those of the
//! strategy, so that it goes on after any interruption as any run does. After each epoch the
//! architecture parameters are written down; the genotype is derived from the last.

use std::path::Path;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::task::Search;
use biorule_plugin_api::sdk::Credit;

use crate::config::Resolved;
use crate::nn::Tables;
use crate::plan::Drive;
use crate::run::{SearchFolder, atomic, folder};
use crate::search::plan::SupernetPlan;
use crate::search::relaxed::{self, RelaxedPlan, Searcher};
use crate::search::{Genotype, Size, Space};
use crate::{Error, Result};

/// Architecture parameters after an epoch: a line of `alphas.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// Finished epochs.
    epoch: u64,
    /// By kind of cell: a row for each place, a number for each candidate.
    alphas: Tables,
}

impl Search<'_> {
    /// Trains the supernet, or goes on with it, and derives a genotype.
    ///
    /// # Errors
    /// Those of a training; [`crate::ExitCode::Stopped`] on request.
    pub(super) fn supernet(
        &self,
        folder: &SearchFolder,
        (relaxed, plan): (&RelaxedPlan, &SupernetPlan),
    ) -> Result<Genotype> {
        let root = folder.path();
        let file = root.join("alphas.jsonl");
        let space = space_of(&self.scene.space, plan)?;
        let place = root.join("supernet");
        if !folder::has_ended(&place) {
            let resolved = self.supernet_run(&space, relaxed, plan)?;
            self.note(&format!(
                "supernet: {} epochs of {} cells of {} channels, {} candidates an edge",
                plan.epochs,
                plan.cells,
                plan.channels,
                space.candidates.len()
            ));
            let written = file.clone();
            let searcher = Searcher {
                plan: relaxed.clone(),
                space: space.clone(),
                seed: self.scene.seed,
                on_epoch: Some(Box::new(move |epoch, alphas: &Tables| {
                    append(&written, epoch, alphas)
                })),
            };
            self.run_one(resolved, &place, root, Some(Rc::new(searcher)))?;
        }
        let lines = read(&file)?;
        let last = lines.last().ok_or_else(|| {
            Error::storage(format!("`{}` has no line", file.display()))
                .hint("remove the folder of the search, and search again")
        })?;
        let mut genotype = relaxed::derived(relaxed, &space, &last.alphas)?;
        genotype.name.clone_from(&self.config.name);
        Ok(genotype)
    }

    /// How the supernet is trained.
    pub(super) fn supernet_run(
        &self,
        space: &Space,
        relaxed: &RelaxedPlan,
        plan: &SupernetPlan,
    ) -> Result<Resolved> {
        let host = &*self.host;
        let mut resolved = self.config.supernet(host)?;
        let size = Size {
            auxiliary: None,
            drop_path: None,
            channels: plan.channels,
            cells: plan.cells,
            ..self.config.size.clone()
        };
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
        run.phases = vec![phase];
        run.blocks = blocks;
        run.baselines = Vec::new();
        run.init = None;
        // What stands there is the network of some genotype.
        resolved.shown.retain(|(key, _)| key != "blocks");
        Ok(resolved)
    }
}

/// `space` with the partial channels of `plan`.
fn space_of(space: &Space, plan: &SupernetPlan) -> Result<Space> {
    let mut space = space.clone();
    if let Some(partial) = plan.partial {
        space.partial = usize::try_from(partial).unwrap_or(usize::MAX).max(1);
    }
    space.check()?;
    Ok(space)
}

/// Writes the line of `epoch` behind those of the epochs before; a line that a killed run wrote for
/// it is replaced.
fn append(file: &Path, epoch: u64, alphas: &Tables) -> Result<()> {
    let mut lines = match file.exists() {
        true => read(file)?,
        false => Vec::new(),
    };
    lines.retain(|line| line.epoch < epoch);
    lines.push(Line {
        epoch,
        alphas: alphas.clone(),
    });
    let mut text = String::new();
    for line in &lines {
        let line = serde_json::to_string(line);
        text.push_str(&line.map_err(|e| Error::internal(format!("alphas.jsonl: {e}")))?);
        text.push('\n');
    }
    atomic::write(file, text.as_bytes())
}

fn read(file: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::storage_io(file, &e))?;
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).map_err(|e| {
            Error::storage(format!("`{}` cannot be read: {e}", file.display()))
                .hint("remove the folder of the search, and search again")
        })
    });
    lines.collect()
}
