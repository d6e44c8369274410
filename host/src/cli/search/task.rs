//! A search under way: what it looks for and where, and how one network of it is trained.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::Host;
use super::super::experiments::{self, Options, Planned, Ready};
use super::inside::Inside;
use crate::config::{Resolved, SearchConfig, Warnings, before_training};
use crate::run::{SearchFolder, StopFlag, atomic};
use crate::search::Genotype;
use crate::search::evaluate::Table;
use crate::search::strategy::{Answer, Scene};
use crate::train::Steps;
use crate::{Error, ExitCode, Result};

/// A checked search and where it takes place.
pub(super) struct Search<'a> {
    pub(super) config: &'a SearchConfig,
    pub(super) host: Rc<dyn Host>,
    /// How the network of one of its genotypes is trained; of a search in a table there is none.
    pub(super) pattern: Option<Resolved>,
    /// The values of a search in a table.
    pub(super) table: Option<Table>,
    /// The supernet that genotypes are evaluated inside of, or compared with.
    pub(super) inside: Option<Inside>,
    pub(super) overrides: Vec<String>,
    pub(super) options: Options,
    pub(super) quiet: bool,
    pub(super) stop: StopFlag,
    pub(super) scene: Scene,
    /// The command that trains what is found, without the folder.
    pub(super) command: String,
}

/// What a search came to.
pub(super) struct Found {
    /// The genotype.
    pub(super) genotype: Genotype,
    /// Every evaluation.
    pub(super) answers: Vec<Answer>,
}

impl Search<'_> {
    /// Tells what is going on.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            tell!("{text}");
        }
    }

    /// Refuses to go on where somebody asked to stop.
    pub(super) fn go_on(&self, folder: &SearchFolder) -> Result<()> {
        match self.stop.stopped() {
            true => Err(stopped(folder.path())),
            false => Ok(()),
        }
    }

    /// Trains the network of `genotype` in `folder` of the search in `root`.
    ///
    /// # Errors
    /// [`ExitCode::Stopped`] on request; those of the training, but for divergence.
    pub(super) fn train(
        &self,
        resolved: Resolved,
        genotype: &Genotype,
        folder: &Path,
        root: &Path,
    ) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|e| Error::storage_io(folder, &e))?;
        // Beside the run's configuration, in which it is written out as blocks.
        let text = genotype.to_json_text();
        atomic::write(&folder.join("genotype.json"), text.as_bytes())?;
        match self.run_one(resolved, folder, root, None) {
            Err(e) if e.code == ExitCode::Diverged => Ok(()),
            done => done,
        }
    }

    /// Carries out `resolved` in `folder` of the search in `root`, or goes on with it.
    ///
    /// # Errors
    /// [`ExitCode::Stopped`] on request; those of the training.
    pub(super) fn run_one(
        &self,
        mut resolved: Resolved,
        folder: &Path,
        root: &Path,
        steps: Option<Rc<dyn Steps>>,
    ) -> Result<()> {
        let name = resolved.plan.name.clone();
        let mut warnings = Warnings::default();
        before_training(&resolved.plan, &*self.host, &mut warnings)?;
        warnings.iter().for_each(|text| resolved.warnings.add(text));
        let ready = Ready {
            resolved,
            host: Rc::clone(&self.host),
            overrides: self.overrides.clone(),
            root: PathBuf::from(folder),
            again: PathBuf::from(root),
            fresh: false,
            steps,
        };
        let planned = Planned {
            name: name.clone(),
            ready: Ok(ready),
        };
        let ended = experiments::run(vec![planned], &self.options, &self.stop)?;
        match ended.conclude() {
            Ok(ExitCode::Done) => Ok(()),
            Ok(_) => Err(Error::new(
                ExitCode::Stopped,
                format!(
                    "search stopped in the training of `{name}`; the same command with `--run-dir {}` goes on",
                    root.display()
                ),
            )),
            Err(e) => Err(e.within(format!("`{name}`"))),
        }
    }
}

/// The error that ends a search on request.
pub(super) fn stopped(root: &Path) -> Error {
    Error::new(
        ExitCode::Stopped,
        format!(
            "search stopped; the same command with `--run-dir {}` goes on",
            root.display()
        ),
    )
}
