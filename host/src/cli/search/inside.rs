//! A supernet that an earlier search has trained, for genotypes to be evaluated inside of it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::Host;
use super::training;
use crate::config::{self, DataPlan, Resolved, SearchConfig, Sources};
use crate::nn::Tables;
use crate::run::identity::RunRecord;
use crate::run::{folder, search_folder};
use crate::search::Genotype;
use crate::search::evaluate::one_shot::{OneShot, Origin, Statistics};
use crate::search::plan::Discretise;
use crate::search::relaxed::{Relaxed, RelaxedPlan};
use crate::text::{hex, nearest};
use crate::{Error, Result};

/// A supernet that fits a search.
pub(super) struct Inside {
    /// Its search's folder.
    pub(super) root: PathBuf,
    /// What identifies its weights.
    pub(super) digest: String,
    origin: Origin,
    relaxed: RelaxedPlan,
    run: Resolved,
    /// Opened when it is first asked.
    open: RefCell<Option<OneShot>>,
}

impl Inside {
    /// The supernet in `run`, the folder `supernet` of a search or that search's own, for the search
    /// of `config`, whose networks are trained as `pattern` says.
    ///
    /// # Errors
    /// Usage error for what is no trained supernet, or one of another space, other surroundings or
    /// other data.
    pub(super) fn look(
        run: &str,
        config: &SearchConfig,
        pattern: &Resolved,
        host: &dyn Host,
    ) -> Result<Self> {
        Self::open_for(run, config, pattern, host)
            .map_err(|e| e.within(format!("supernet `{run}`")))
    }

    fn open_for(
        run: &str,
        config: &SearchConfig,
        pattern: &Resolved,
        host: &dyn Host,
    ) -> Result<Self> {
        let (root, place) = places(Path::new(run))?;
        let theirs = SearchConfig::of_folder(&root, host)?;
        let (supernet, strategy) = (&theirs.plan.supernet, &theirs.plan.strategy);
        let supernet = supernet.as_ref().ok_or_else(|| no_supernet(&root))?;
        let relaxed = strategy
            .relaxed(supernet)
            .ok_or_else(|| no_supernet(&root))?;
        if supernet.discretise == Discretise::Perturbation {
            return Err(Error::usage(
                "it was made discrete by perturbation: of each edge one candidate is left in it",
            )
            .hint("search again with `search.supernet.discretise = \"largest\"`"));
        }
        same_space(config, &theirs)?;
        same_surroundings(config, &theirs)?;
        let space = supernet.space(&theirs.space)?;
        let mut resolved = training::supernet_run(&theirs, host, &space, &relaxed, supernet)?;
        let (own, plan) = (&pattern.plan, &mut resolved.plan);
        same_data(&own.data, &plan.data)?;
        // The files are where this search finds them.
        plan.data = DataPlan {
            parts: plan.data.parts.clone(),
            parts_order: plan.data.parts_order,
            ..own.data.clone()
        };
        plan.device.clone_from(&own.device);
        (plan.tf32, plan.gpu_memory_share) = (own.tf32, own.gpu_memory_share);
        if !folder::has_ended(&place) {
            return Err(Error::usage("its training has not ended").hint(format!(
                "`biorule search {}/config.toml --run-dir {}` goes on with it",
                root.display(),
                root.display()
            )));
        }
        let record = RunRecord::read(&place.join("run.json"))?;
        if record.exit_reason.as_deref() == Some("diverged") {
            return Err(Error::usage("its training diverged")
                .hint("search again with a smaller `search.supernet.lr`"));
        }
        let checkpoint = place.join("checkpoints").join("last.safetensors");
        let bytes = std::fs::read(&checkpoint).map_err(|e| Error::storage_io(&checkpoint, &e))?;
        let digest = hex(&Sha256::digest(&bytes)[..8]);
        Ok(Self {
            origin: Origin {
                checkpoint,
                space,
                edge_weights: relaxed.edge_weights,
                auxiliary_skip: relaxed.auxiliary_skip > 0.0,
            },
            relaxed,
            run: resolved,
            root,
            digest,
            open: RefCell::new(None),
        })
    }

    /// The accuracy of `genotype` inside of it.
    ///
    /// # Errors
    /// Those of opening it; failures of data, rules and device.
    pub(super) fn accuracy(
        &self,
        genotype: &Genotype,
        statistics: Statistics,
        host: &dyn Host,
    ) -> Result<f64> {
        let mixture = self.origin.mixture(genotype)?;
        self.with(host, |supernet| supernet.accuracy(&mixture, statistics))
    }

    /// Its own accuracy, by the last architecture parameters of its training.
    ///
    /// # Errors
    /// As for [`Self::accuracy`].
    pub(super) fn mixed(&self, statistics: Statistics, host: &dyn Host) -> Result<f64> {
        let alphas: Tables = training::last_alphas(&self.root)?;
        let relaxed = Relaxed::of(&self.relaxed, &self.origin.space);
        let mixture = relaxed.mixture(&alphas);
        self.with(host, |supernet| supernet.accuracy(&mixture, statistics))
    }

    fn with<T>(
        &self,
        host: &dyn Host,
        then: impl FnOnce(&mut OneShot) -> Result<T> + Send,
    ) -> Result<T>
    where
        T: Send,
    {
        let mut open = self.open.borrow_mut();
        let supernet = match &mut *open {
            Some(supernet) => supernet,
            none => none.insert(host.one_shot(&self.run.plan, &self.origin.checkpoint)?),
        };
        crate::threads::in_pool(|| then(supernet))
    }
}

/// The folder of the search and that of its supernet which `run` stands for.
fn places(run: &Path) -> Result<(PathBuf, PathBuf)> {
    let root = match search_folder::is_search(run) {
        true => run.to_owned(),
        false => match run.file_name().is_some_and(|name| name == "supernet") {
            true => run.parent().unwrap_or(Path::new("")).to_owned(),
            false => return Err(no_supernet(run)),
        },
    };
    let place = root.join("supernet");
    match search_folder::is_search(&root) && place.is_dir() {
        true => Ok((root, place)),
        false => Err(no_supernet(run)),
    }
}

fn no_supernet(path: &Path) -> Error {
    Error::usage(format!(
        "`{}` is not the folder of a trained supernet",
        path.display()
    ))
    .hint("name the folder `supernet` in that of a search by `darts`, `gdas` or `eg`")
}

fn same_space(ours: &SearchConfig, theirs: &SearchConfig) -> Result<()> {
    let (a, b) = (&ours.space, &theirs.space);
    if a.skeleton != b.skeleton || a.cell != b.cell {
        return Err(Error::usage(format!(
            "it is of another space: its cells are `{}` with {} nodes, those of this search `{}` with {}",
            b.skeleton.word(),
            b.cell.nodes,
            a.skeleton.word(),
            a.cell.nodes
        ))
        .hint("search in its space, or train a supernet in this one"));
    }
    for candidate in &a.candidates {
        if b.candidates.contains(candidate) {
            continue;
        }
        let names: Vec<String> = b.candidates.iter().map(ToString::to_string).collect();
        let name = candidate.to_string();
        let e = Error::usage(format!(
            "it is of another space, which has no candidate `{name}`"
        ));
        return Err(match nearest(&name, names.iter().map(String::as_str)) {
            Some(near) => e.hint(format!("its nearest is `{near}`")),
            None => e.hint(format!("it has `{}`", names.join("`, `"))),
        });
    }
    if a.params != b.params {
        return Err(
            Error::usage("its rules have other hyperparameters (`search.space.params`)")
                .hint("take the same, or train a supernet with these"),
        );
    }
    Ok(())
}

/// What stands around the cells; their number and width are the supernet's own.
fn same_surroundings(ours: &SearchConfig, theirs: &SearchConfig) -> Result<()> {
    let (a, b) = (&ours.size, &theirs.size);
    let rule = |size: &crate::search::Size| size.elsewhere.clone().unwrap_or_default();
    let pairs = [
        ("stem", a.stem.word(), b.stem.word()),
        ("rule_scope", a.scope.word(), b.scope.word()),
        ("rule", &*rule(a), &*rule(b)),
    ];
    match pairs.into_iter().find(|(_, a, b)| a != b) {
        Some((key, ours, theirs)) => Err(Error::usage(format!(
            "its network has another shape: `network.{key}` is `{theirs}` there and `{ours}` here"
        ))
        .hint(format!(
            "set `network.{key} = \"{theirs}\"`, or train a supernet with `{ours}`"
        ))),
        None => Ok(()),
    }
}

/// Refuses data other than those that the supernet learned from: a sample of its training must not
/// be one of those that decide. Where files lie and how they are loaded makes no difference.
fn same_data(ours: &DataPlan, theirs: &DataPlan) -> Result<()> {
    let plain = |plan: &DataPlan| DataPlan {
        root: None,
        parts: Default::default(),
        parts_order: Default::default(),
        shuffle: true,
        drop_last: false,
        threads: 0,
        prefetch: 0,
        augment: Default::default(),
        limit_test: None,
        ..plan.clone()
    };
    let written = |plan: &DataPlan| serde_json::to_value(plain(plan));
    let failed = |e: serde_json::Error| Error::internal(format!("`data`: {e}"));
    let (a, b) = (
        written(ours).map_err(failed)?,
        written(theirs).map_err(failed)?,
    );
    let Some(object) = a.as_object() else {
        return Err(Error::internal("`data` is no table"));
    };
    match object
        .iter()
        .find(|(key, value)| b[key.as_str()] != **value)
    {
        Some((key, value)) => Err(Error::usage(format!(
            "it has learned from other data: `data.{key}` is {} there and {value} here",
            b[key.as_str()]
        ))
        .hint(format!(
            "set `data.{key}` as there, or train a supernet on these data"
        ))),
        None => Ok(()),
    }
}

impl SearchConfig {
    /// The configuration of the search in the folder `root`.
    ///
    /// # Errors
    /// Those of reading any configuration.
    fn of_folder(root: &Path, host: &dyn Host) -> Result<Self> {
        let sources = Sources {
            files: vec![root.join("config.toml")],
            ..Sources::default()
        };
        config::search(config::merge(&sources)?, host)
    }
}
