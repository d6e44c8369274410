//! What `biorule bench` measures, and how.

use std::path::PathBuf;

use super::case::Case;
use super::cases;
use super::timing::Effort;
use crate::config::{self, Sources};
use crate::device::Placement;
use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host's operations, one by one.
    Kernels,
    /// Whole training steps of networks with plugins.
    Step,
    /// A published experiment from end to end.
    Experiment,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// What.
    pub kind: Kind,
    /// Parts of names, one of which a row has to contain; empty takes all.
    pub filter: Vec<String>,
    /// The interpreter with PyTorch.
    pub python: PathBuf,
    /// Whether PyTorch is measured at all.
    pub pytorch: bool,
    /// Bursts.
    pub effort: Effort,
    /// Where.
    pub device: String,
    /// `--set` texts for networks and the experiment.
    pub sets: Vec<String>,
    /// Folders with plugins.
    pub plugins: Vec<PathBuf>,
    /// Threads of both sides; absent: as `sets` say.
    pub threads: Option<usize>,
    /// Also measure PyTorch with the allocator as it comes.
    pub default_allocator: bool,
    /// Also measure both sides with subnormal numbers computed instead of taken as 0.
    pub keep_denormals: bool,
    /// Whether memory is measured, in processes of their own.
    pub memory: bool,
    /// Batches of each phase of an experiment that PyTorch runs.
    pub batches: usize,
}

impl Options {
    /// Threads of both sides; 0 leaves it to the environment.
    ///
    /// # Errors
    /// Usage error for a `--set threads=…` that is not a number.
    pub fn threads(&self) -> Result<usize> {
        let sources = Sources {
            sets: self.sets.clone(),
            ..Sources::default()
        };
        match self.threads {
            Some(n) => Ok(n),
            None => config::threads(&config::merge(&sources)?),
        }
    }

    /// TF32 as `--set tf32=…` says.
    fn tf32(&self) -> Result<bool> {
        let sources = Sources {
            sets: self.sets.clone(),
            ..Sources::default()
        };
        let value = config::merge(&sources)?.remove("tf32");
        let read = value.map(|v| v.into_bool()).transpose();
        Ok(read
            .map_err(|e| Error::usage(format!("`tf32`: {e}")))?
            .unwrap_or(false))
    }

    pub(super) fn placement(&self) -> Result<Placement> {
        Placement::open(self.device.parse()?, self.tf32()?)
    }

    /// The rows asked for.
    ///
    /// # Errors
    /// Usage error where no name fits.
    pub(super) fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = match self.kind {
            Kind::Kernels => cases::kernels(),
            Kind::Step => cases::steps(),
            Kind::Experiment => return Ok(Vec::new()),
        };
        let names: Vec<String> = cases.iter().map(|c| c.name.clone()).collect();
        let wanted = |name: &str| self.filter.iter().any(|f| name.contains(f.as_str()));
        cases.retain(|c| self.filter.is_empty() || wanted(&c.name));
        if cases.is_empty() {
            let filter = self.filter.join(",");
            let hint = match config::nearest(&filter, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("rows are {}", names.join(", ")),
            };
            return Err(Error::usage(format!("no row is named like `{filter}`")).hint(hint));
        }
        Ok(cases)
    }
}
