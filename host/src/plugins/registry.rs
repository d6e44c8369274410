//! The rules that are there, by name, and the plugins that were refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use biorule_plugin_api::sdk::ParamValue;
use candle_core::DType;

use super::allow;
use super::bind::BoundRule;
use super::candidate::{Candidate, inspect};
use super::discover::{Folder, library_files, search_folders};
use super::entry::RuleEntry;
use super::load::{LoadError, Stage, open};
use super::trial;
use super::verdicts::Verdict;
use crate::nn::rule::{LayerShape, Rule, RuleSource};
use crate::plan::{LayerPlan, MapPlan, ParamValue as PlanValue};
use crate::text::nearest;
use crate::{Error, Result};

/// Of a rule whose name another plugin has, in messages.
pub const TAKEN: &str = "is already there, from";

/// All rules of some folders.
#[derive(Debug, Default)]
pub struct Registry {
    rules: BTreeMap<String, RuleEntry>,
    broken: Vec<LoadError>,
    folders: Vec<Folder>,
}

impl Registry {
    /// Loads every plugin in the configured folders, those of the environment and the
    /// executable's own. A broken one is kept as an error; the rest go on.
    pub fn discover(configured: &[PathBuf]) -> Self {
        Self::from_folders(search_folders(configured))
    }

    /// Loads every plugin in exactly these folders.
    pub fn from_folders(folders: Vec<Folder>) -> Self {
        let mut registry = Self {
            folders,
            ..Self::default()
        };
        let paths = library_files(&registry.folders);
        let files: Vec<_> = paths.iter().map(|path| allowed(path)).collect();
        let whole: Vec<&Candidate> = files.iter().flatten().collect();
        let mut verdicts = trial::verdicts(&whole).into_iter();
        for file in &files {
            let done = match file {
                Ok(file) => {
                    survived(file, verdicts.next().flatten()).and_then(|()| registry.admit(file))
                }
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = done {
                tracing::debug!("{error}");
                registry.broken.push(error);
            }
        }
        registry
    }

    /// Loads one plugin.
    ///
    /// # Errors
    /// The check that it fails, or a rule name that is taken.
    pub fn add(&mut self, path: &Path) -> Result<(), LoadError> {
        self.add_tried(&allowed(path)?)
    }

    /// As [`Registry::add`], of a file that was looked at before; one that was opened on trial before is
    /// tried again.
    ///
    /// # Errors
    /// As there.
    pub fn add_afresh(&mut self, file: &Candidate) -> Result<(), LoadError> {
        allow::permitted(file)?;
        trial::again(file);
        self.add_tried(file)
    }

    fn add_tried(&mut self, file: &Candidate) -> Result<(), LoadError> {
        survived(file, trial::verdicts(&[file]).pop().flatten())?;
        self.admit(file)
    }

    /// As [`Registry::add`], opened in this process without a trial.
    ///
    /// # Errors
    /// As there.
    pub fn add_untried(&mut self, path: &Path) -> Result<(), LoadError> {
        self.admit(&allowed(path)?)
    }

    fn admit(&mut self, file: &Candidate) -> Result<(), LoadError> {
        let path = file.path.as_path();
        let (plugin, rules) = open(file)?;
        let plugin = Arc::new(plugin);
        let at = |reason: String, hint: &str| LoadError {
            path: path.to_path_buf(),
            stage: Stage::Rules,
            reason,
            hint: hint.to_string(),
        };
        let mut entries = Vec::new();
        for (number, raw) in rules.iter().enumerate() {
            let entry = RuleEntry::new(raw, number as u32, &plugin)
                .map_err(|reason| at(reason, "rebuild the plugin"))?;
            if let Some(other) = self.rules.get(&entry.name) {
                let reason = format!(
                    "rule `{}` {TAKEN} `{}`",
                    entry.name,
                    other.plugin.path.display()
                );
                return Err(at(
                    reason,
                    "remove one of the two files, or rename the rule",
                ));
            }
            entries.push(entry);
        }
        self.rules
            .extend(entries.into_iter().map(|e| (e.name.clone(), e)));
        Ok(())
    }

    /// All rules, by name.
    pub fn rules(&self) -> impl Iterator<Item = &RuleEntry> {
        self.rules.values()
    }

    /// The plugins that were refused.
    pub fn broken(&self) -> &[LoadError] {
        &self.broken
    }

    /// The folders that were searched.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|f| f.path.as_path())
    }

    /// The rule called `name`.
    ///
    /// # Errors
    /// Exit 4, with the nearest name, the broken plugins and the folders searched.
    pub fn get(&self, name: &str) -> Result<&RuleEntry> {
        if let Some(entry) = self.rules.get(name) {
            return Ok(entry);
        }
        let mut text = format!("no rule `{name}`");
        for broken in &self.broken {
            text.push_str(&format!("; {broken}"));
        }
        let folders: Vec<String> = self
            .folders()
            .map(|f| format!("`{}`", f.display()))
            .collect();
        let searched = format!("searched {}", folders.join(", "));
        // `bcm` is meant for `my-rules/bcm`.
        let family = self.rules.keys().find(|known| {
            let own = known.rsplit_once('/').map(|(_, own)| own);
            own == Some(name)
        });
        let similar = nearest(name, self.rules.keys().map(String::as_str));
        let nearest = family.map(String::as_str).or(similar);
        Err(Error::plugin(text).hint(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`? {searched}"),
            None => format!("`biorule rules list` shows what there is; {searched}"),
        }))
    }

    /// Values of every hyperparameter of `name`: those given, checked, and the defaults.
    ///
    /// # Errors
    /// Exit 4 for an unknown rule, exit 2 for an unknown hyperparameter or a bad value.
    pub fn params(
        &self,
        name: &str,
        given: &BTreeMap<String, PlanValue>,
    ) -> Result<Vec<(String, ParamValue)>> {
        let entry = self.get(name)?;
        for key in given.keys() {
            if !entry.params.iter().any(|p| &p.name == key) {
                let error = Error::usage(format!("rule `{name}` has no hyperparameter `{key}`"));
                let known = entry.params.iter().map(|p| p.name.as_str());
                return Err(match nearest(key, known) {
                    Some(nearest) => error.hint(format!(
                        "did you mean `{nearest}`? `biorule rules describe {name}` lists all"
                    )),
                    None => error.hint(format!("`biorule rules describe {name}` lists all")),
                });
            }
        }
        entry
            .params
            .iter()
            .map(|spec| {
                let value = match given.get(&spec.name) {
                    None => spec.default.clone(),
                    Some(value) => spec.accept(to_sdk(value)).map_err(|e| {
                        Error::usage(format!("rule `{name}`: {e}"))
                            .hint(format!("`biorule rules describe {name}`"))
                    })?,
                };
                Ok((spec.name.clone(), value))
            })
            .collect()
    }
}

impl Registry {
    /// The rule that `plan` names, on the layer.
    ///
    /// # Errors
    /// No such rule, bad hyperparameters, or a layer that it cannot serve.
    pub fn bind_rule(&self, plan: &LayerPlan, layer: &LayerShape) -> Result<BoundRule> {
        let entry = self.get(&plan.rule)?;
        let (served, kind) = match plan.map {
            MapPlan::Dense => (entry.dense, "dense"),
            MapPlan::Conv { .. } => (entry.conv, "convolution"),
        };
        if !served {
            return Err(Error::usage(format!(
                "rule `{}` does not serve {kind} layers (layer `{}`)",
                entry.name, layer.name
            )));
        }
        let params = self.params(&plan.rule, &plan.params)?;
        BoundRule::new(entry, plan, layer, &params)
    }
}

impl RuleSource for Registry {
    fn bind(&self, plan: &LayerPlan, layer: &LayerShape, _dtype: DType) -> Result<Box<dyn Rule>> {
        Ok(Box::new(self.bind_rule(plan, layer)?))
    }
}

/// The file `path`, where it is a whole library that may be opened. What is not on a list of those
/// allowed is not run, not even on trial.
fn allowed(path: &Path) -> Result<Candidate, LoadError> {
    let file = inspect(path)?;
    allow::permitted(&file).map(|()| file)
}

/// Refuses a file whose trial ended badly.
fn survived(file: &Candidate, verdict: Option<Verdict>) -> Result<(), LoadError> {
    let Some(Verdict::Died(how)) = verdict else {
        return Ok(());
    };
    let path = file.path.clone();
    Err(LoadError {
        hint: format!(
            "copy or build the file again, or remove it; `biorule rules check {}` tries it anew",
            path.display()
        ),
        path,
        stage: Stage::Open,
        reason: format!("a trial process that opened it {how}"),
    })
}

fn to_sdk(value: &PlanValue) -> ParamValue {
    match value {
        PlanValue::Bool(v) => ParamValue::Bool(*v),
        PlanValue::Int(v) => ParamValue::Int(*v),
        PlanValue::Float(v) => ParamValue::Float(*v),
        PlanValue::Text(v) => ParamValue::Text(v.clone()),
    }
}
