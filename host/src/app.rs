//! The host put together: plugins, data and trainer behind the command line.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use biorule_plugin_api::sdk::{ParamSpec, ParamValue as SdkValue};

use crate::cli::{Evaluation, EvaluationResult, Host};
use crate::config::{
    DataShape, EpochMetric, ParamKind, ParamSchema, ParamValue, PlanContext, PluginInfo,
    RuleMetrics, RuleSchema, RunPlan,
};
use crate::data::DataPlan;
use crate::device::{DeviceChoice, Placement};
use crate::plugins::{Registry, RuleEntry};
use crate::run::identity::DeviceRecord;
use crate::run::{
    BestRecord, Bridge, CheckpointStore, ClassRecord, Outcome, Reporter, RunFolder, StopFlag,
};
use crate::train::{self, Job, TrainData};
use crate::{Error, Result};

/// Loaded plugins, with data and trainer.
pub struct App {
    registry: Registry,
    /// The device, once opened: candle counts two openings of one GPU as two devices.
    opened: Mutex<Option<(DeviceChoice, bool, Placement)>>,
}

impl App {
    /// The device that `plan` asks for, opened at the first call.
    fn placement(&self, plan: &RunPlan) -> Result<Placement> {
        let choice: DeviceChoice = plan.device.parse()?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((was, tf32, placement)) = &*opened
            && (*was, *tf32) == (choice, plan.tf32)
        {
            return Ok(placement.clone());
        }
        let placement = Placement::open(choice, plan.tf32)?;
        *opened = Some((choice, plan.tf32, placement.clone()));
        Ok(placement)
    }
}

impl App {
    /// Loads the plugins of these folders, of the environment and beside the executable.
    #[must_use]
    pub fn discover(folders: &[PathBuf]) -> Self {
        Self {
            registry: Registry::discover(folders),
            opened: Mutex::new(None),
        }
    }

    /// The loaded plugins.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Opens the plugins of these folders, of the environment and beside the executable.
///
/// # Errors
/// None: plugins that are refused are told by [`Host::refused`].
pub fn open(folders: &[PathBuf]) -> Result<Box<dyn Host>> {
    Ok(Box::new(App::discover(folders)))
}

impl PlanContext for App {
    fn rule(&self, name: &str) -> Result<RuleSchema> {
        self.registry.get(name).map(schema)
    }
    fn dataset(&self, plan: &DataPlan) -> Result<Option<DataShape>> {
        // A set on disk is known by its entry; only its presence is looked at here.
        plan.check()?;
        let info = plan.info()?;
        if info.is_on_disk() {
            plan.folders().require(info)?;
        }
        let (shape, classes) = match info.settings.is_empty() {
            true => (info.shape, info.classes),
            false => {
                let data = plan.open()?;
                (data.shape(), data.train.dataset().outputs())
            }
        };
        let mut sample = shape.dims().to_vec();
        if let Some([height, width]) = plan.resize {
            sample[1..].copy_from_slice(&[height, width]);
        }
        if sample[1..] == [1, 1] {
            sample.truncate(1);
        }
        Ok(Some(DataShape { sample, classes }))
    }
    fn has_classes(&self, plan: &DataPlan) -> Result<Option<bool>> {
        let info = plan.info()?;
        let classes = match info.settings.is_empty() {
            true => info.classes,
            false => plan.open()?.train.dataset().classes(),
        };
        Ok(Some(classes > 0))
    }
    fn rule_metrics(&self, plan: &RunPlan) -> Result<Option<RuleMetrics>> {
        let Some(data) = self.dataset(&plan.data)? else {
            return Ok(None);
        };
        train::reported_metrics(plan, &self.registry, &data).map(Some)
    }
}

impl Host for App {
    fn rules(&self) -> Vec<RuleSchema> {
        self.registry.rules().map(schema).collect()
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        let mut plugins: Vec<PluginInfo> = Vec::new();
        for entry in self.registry.rules() {
            match plugins.iter_mut().find(|p| p.path == entry.plugin.path) {
                Some(plugin) => plugin.rules.push(entry.name.clone()),
                None => plugins.push(PluginInfo {
                    name: file_stem(&entry.plugin.path),
                    version: format!("interface {}, {}", entry.plugin.api, entry.plugin.sdk),
                    path: entry.plugin.path.clone(),
                    sha256: entry.plugin.sha256.clone(),
                    rules: vec![entry.name.clone()],
                }),
            }
        }
        plugins
    }

    fn refused(&self) -> Vec<(PathBuf, Error)> {
        let told = |e: &crate::plugins::LoadError| {
            let text = format!("{}: {}", e.stage.describe(), e.reason);
            (e.path.clone(), Error::plugin(text).hint(e.hint.clone()))
        };
        self.registry.broken().iter().map(told).collect()
    }

    fn device(&self, plan: &RunPlan) -> Result<DeviceRecord> {
        let placement = self.placement(plan)?;
        if let Some(reason) = &placement.fallback {
            tracing::info!("no GPU is used: {reason}");
        }
        Ok(DeviceRecord {
            name: placement.name,
            no_gpu: placement.fallback,
            tf32: placement.tf32,
        })
    }

    fn train(
        &self,
        plan: &RunPlan,
        folder: &RunFolder,
        reporter: &mut Reporter,
        stop: &StopFlag,
    ) -> Result<Outcome> {
        let data = TrainData::open(plan)?;
        let job = Job {
            plan,
            seed: plan.seeds.first().copied().unwrap_or(0),
            rules: &self.registry,
            data: &data,
            device: self.placement(plan)?.device,
        };
        let (mut bridge, resume) = Bridge::open(folder, reporter, stop)?;
        let outcome = train::run(&job, &mut bridge, resume)?;
        bridge.finish(&outcome, |class| data.test.class_name(class))
    }

    fn evaluate(&self, plan: &RunPlan, what: &Evaluation) -> Result<EvaluationResult> {
        let data = TrainData::open(plan)?;
        let samples = match what.split.as_str() {
            "test" => Some(&data.test),
            "train" => Some(&data.train),
            "validation" => data.validation.as_ref(),
            _ => None,
        };
        let samples = samples.ok_or_else(|| {
            Error::usage(format!("no split `{}`", what.split))
                .hint("`test`, `train`, or `validation` where the plan keeps one")
        })?;
        let checkpoint = CheckpointStore::load(&what.checkpoint)?;
        let job = Job {
            plan,
            seed: plan.seeds.first().copied().unwrap_or(0),
            rules: &self.registry,
            data: &data,
            device: self.placement(plan)?.device,
        };
        let evaluated = train::score(&job, &checkpoint.tensors, &**samples)?;
        let confusion = evaluated.confusion.unwrap_or_default();
        let name = |class| samples.class_name(class);
        Ok(EvaluationResult {
            metrics: evaluated.scores.named(&what.split).into_iter().collect(),
            classes: ClassRecord::all(&confusion.scores(), name),
            confusion: confusion.rows().to_vec(),
            best: what.best.then(|| best_of(&checkpoint.state, &data)),
        })
    }
}

/// How a best checkpoint with this state was chosen. Programs before this one left that out and
/// chose by the held-out accuracy.
fn best_of(state: &serde_json::Value, data: &TrainData) -> BestRecord {
    let chosen = &state["trainer"]["chosen"];
    match serde_json::from_value::<train::Best>(chosen.clone()) {
        Ok(best) => BestRecord::from(&best),
        Err(_) => BestRecord {
            metric: EpochMetric::usual(data.validation.is_some(), true).to_string(),
            value: f64::NAN,
            phase: String::new(),
            epoch: 0,
        },
    }
}

fn schema(entry: &RuleEntry) -> RuleSchema {
    RuleSchema {
        name: entry.name.clone(),
        summary: entry.summary.clone(),
        source: entry.paper.clone(),
        credit: entry.credit,
        needs_target: entry.wants_target,
        dense: entry.dense,
        conv: entry.conv,
        params: Some(entry.params.iter().map(param).collect()),
        plugin: file_stem(&entry.plugin.path),
    }
}

fn param(spec: &ParamSpec) -> ParamSchema {
    let limit = |v: f64| v.is_finite().then_some(v);
    ParamSchema {
        name: spec.name.clone(),
        kind: match &spec.default {
            SdkValue::Bool(_) => ParamKind::Bool,
            SdkValue::Int(_) => ParamKind::Int,
            SdkValue::Float(_) => ParamKind::Float,
            SdkValue::Text(_) if spec.choices.is_empty() => ParamKind::Text,
            SdkValue::Text(_) => ParamKind::Choice(spec.choices.clone()),
        },
        default: Some(match &spec.default {
            SdkValue::Bool(v) => ParamValue::Bool(*v),
            SdkValue::Int(v) => ParamValue::Int(*v),
            SdkValue::Float(v) => ParamValue::Float(*v),
            SdkValue::Text(v) => ParamValue::Text(v.clone()),
        }),
        min: limit(spec.min),
        max: limit(spec.max),
        unit: spec.unit.clone(),
        doc: spec.doc.clone(),
        source: spec.source.clone(),
    }
}

fn file_stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
