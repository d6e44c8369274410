//! The host put together: plugins, data and trainer behind the command line.

mod host;
mod predict;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use biorule_plugin_api::sdk::{ParamSpec, ParamValue as SdkValue};
use candle_core::DType;

use crate::attack::{self, Event, Protocol};
use crate::config::{
    DataShape, EpochMetric, ParamKind, ParamSchema, ParamValue, PlanContext, PluginInfo, Precision,
    RuleMetrics, RuleSchema, RunPlan, UnreadParams,
};
use crate::data::{Data, DataPlan, Opened};
use crate::device::memory::{self, Room};
use crate::device::{DeviceChoice, Placement};
use crate::nn::outline::PartKind;
use crate::nn::{InputShape, Outline};
use crate::plan::every_block;
use crate::plugins::table::cancel_when;
use crate::plugins::{Registry, RuleEntry, inflight};
use crate::run::identity::{DataRecord, DeviceRecord};
use crate::run::initial;
use crate::run::rule_use::RuleUse;
use crate::run::{
    BestRecord, Bridge, CheckpointStore, ClassRecord, Outcome, Reporter, RunFolder, StopFlag,
    WinnersRecord,
};
use crate::search::evaluate::{OneShot, proxy};
use crate::search::space::serve;
use crate::search::{Genotype, Size, Space};
use crate::threads::in_pool;
use crate::train::longer::Began;
use crate::train::post_hoc;
use crate::train::predict::Predictor;
use crate::train::preflight::{self, Report, Subject};
use crate::train::{self, Job, TrainData};
use crate::{Error, Result};
pub use host::{
    Assault, Evaluation, EvaluationResult, Fielded, Host, Open, Predicted, Prediction, Said,
};

/// Loaded plugins, with data and trainer.
pub struct App {
    registry: Registry,
    /// The device, once opened: candle counts two openings of one GPU as two devices.
    opened: Mutex<Option<(DeviceChoice, bool, Placement)>>,
    /// Data sets that were opened for a look at the plan, for the training that follows.
    data: Mutex<Vec<(SetKey, Data)>>,
    /// Memory there was before any data set was opened.
    room: Option<Room>,
}

/// A data set, and the one beside whose labels it is read.
type SetKey = (DataPlan, Option<DataPlan>);

/// Sets of other plans that stay open.
const OTHERS: usize = 8;
/// Bytes they may take.
const OTHERS_BYTES: u128 = 32 << 20;

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
            data: Mutex::default(),
            room: memory::room(),
        }
    }

    /// The data set of `plan`, read at the first call.
    fn open_data(&self, plan: &DataPlan, beside: Option<&DataPlan>) -> Result<Data> {
        let key = (plan.clone(), beside.cloned());
        let mut opened = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, data)) = opened.iter().find(|(of, _)| *of == key) {
            return Ok(data.clone());
        }
        let data = match beside {
            Some(main) => plan.open_beside(main)?,
            None => plan.open()?,
        };
        opened.push((key, data.clone()));
        Ok(data)
    }

    /// Every set that `plan` names, and the bytes they take; sets of other plans are let go, but for
    /// a few small ones.
    fn sets(&self, plan: &RunPlan) -> Result<(Opened, u128)> {
        let named =
            |set: &DataPlan| *set == plan.data || plan.extra_data.values().any(|e| set == e);
        let mut opened = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut others, mut bytes) = (0, 0);
        // The latest are at the end.
        for at in (0..opened.len()).rev() {
            let ((set, _), data) = &opened[at];
            if !named(set) {
                (others, bytes) = (others + 1, bytes + data.bytes());
                if others > OTHERS || bytes > OTHERS_BYTES {
                    opened.remove(at);
                }
            }
        }
        drop(opened);
        let mut bytes = 0;
        let sets = Opened::open_with(plan, &mut |set, beside| {
            let data = self.open_data(set, beside)?;
            bytes += data.bytes();
            Ok(data)
        })?;
        Ok((sets, bytes))
    }

    /// The training of `plan` on `data`, under its first seed, by the usual kinds of step.
    fn job<'a>(&'a self, plan: &'a RunPlan, data: &'a TrainData) -> Result<Job<'a>> {
        Ok(Job {
            plan,
            seed: plan.seeds.first().copied().unwrap_or(0),
            rules: &self.registry,
            data,
            device: self.placement(plan)?.device,
            steps: None,
        })
    }

    /// What is looked at before `plan` is trained or evaluated.
    fn subject<'a>(
        &'a self,
        plan: &'a RunPlan,
        data: &'a TrainData,
        data_bytes: u128,
    ) -> Result<Subject<'a>> {
        let device = self.placement(plan)?.device;
        Ok(Subject {
            plan,
            rules: &self.registry,
            data,
            data_bytes,
            room: self.room.clone(),
            gpu: match device.is_cpu() {
                true => None,
                false => Some(crate::device::budget::free(&device)? as u64),
            },
        })
    }

    /// The data of `plan`, where it fits beside its network.
    fn fitting_data(&self, plan: &RunPlan) -> Result<TrainData> {
        let (sets, data_bytes) = self.sets(plan)?;
        let data = sets.for_training();
        preflight::fits(&self.subject(plan, &data, data_bytes)?)?;
        Ok(data)
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
        let survey = plan.survey()?;
        let classes = survey.outputs;
        let mut sample = survey.shape.dims().to_vec();
        if sample[1..] == [1, 1] {
            sample.truncate(1);
        }
        Ok(Some(DataShape { sample, classes }))
    }
    fn has_classes(&self, plan: &DataPlan) -> Result<Option<bool>> {
        Ok(Some(plan.survey()?.has_classes))
    }
    fn unread(&self, plan: &RunPlan) -> Vec<UnreadParams> {
        let Ok(Some(data)) = self.dataset(&plan.data) else {
            return Vec::new();
        };
        let input = InputShape {
            dims: data.sample,
            outputs: data.classes,
        };
        // A network that cannot be built is refused by the checks that follow.
        let outline = Outline::of(&plan.blocks, &input, &self.registry, DType::F32);
        let parts = outline.unwrap_or_default().parts.into_iter();
        let layers = parts.filter_map(|mut part| match part.kind {
            PartKind::Layer { unread, .. } => Some(UnreadParams {
                block: part.names.pop().unwrap_or_default(),
                params: unread,
            }),
            _ => None,
        });
        layers.collect()
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
                    package: entry.plugin.about.clone(),
                }),
            }
        }
        plugins
    }

    fn rules_used(&self, plan: &RunPlan) -> Result<Vec<RuleUse>> {
        let blocks = every_block(&plan.blocks).into_iter();
        let layers = blocks.filter_map(|block| Some((&block.name, block.layer.as_ref()?)));
        let used = layers.map(|(block, layer)| {
            let entry = self.registry.get(&layer.rule)?;
            let params = self.registry.params(&layer.rule, &layer.params)?;
            let params = params.into_iter().map(|(name, value)| (name, json(&value)));
            Ok(RuleUse {
                block: block.clone(),
                rule: layer.rule.clone(),
                plugin: file_stem(&entry.plugin.path),
                sha256: entry.plugin.sha256.clone(),
                params: params.collect(),
            })
        });
        used.collect()
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

    fn inspect(&self, plan: &RunPlan) -> Result<Report> {
        let (sets, data_bytes) = self.sets(plan)?;
        let data = sets.for_training();
        let mut report = preflight::inspect(&self.subject(plan, &data, data_bytes)?)?;
        report.warnings.splice(0..0, sets.warnings());
        Ok(report)
    }

    fn serves(&self, space: &Space, size: &Size, plan: &RunPlan) -> Result<()> {
        let style = size.style(&space.params);
        let dtype = match plan.dtype {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        };
        serve::check(space, &style, size.channels, &self.registry, dtype)
    }

    fn synflow(
        &self,
        genotype: &Genotype,
        size: &Size,
        data: &DataShape,
        seed: u64,
    ) -> Result<f64> {
        in_pool(|| proxy::synflow(genotype, size, data, &self.registry, seed))
    }

    fn one_shot(&self, plan: &RunPlan, checkpoint: &Path) -> Result<OneShot> {
        let data = self.fitting_data(plan)?;
        let held = CheckpointStore::load(checkpoint)?;
        let job = self.job(plan, &data)?;
        let (mut network, _) = train::trained(&job, &held.tensors)
            .map_err(|e| e.within(format_args!("`{}`", checkpoint.display())))?;
        network.hold_still();
        Ok(OneShot::new(network, data))
    }

    fn attackable(&self, plan: &RunPlan, split: &str) -> Result<()> {
        let mut plain = plan.clone();
        plain.data.whiten = None;
        let (sets, _) = self.sets(&plain)?;
        let pixels = sets.main().pixels(split, None)?;
        pixels.map(drop).ok_or_else(|| no_split(split))
    }

    fn release(&self) {
        let mut opened = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        opened.clear();
    }

    fn data(&self, plan: &RunPlan) -> Result<Vec<DataRecord>> {
        let further = plan
            .extra_in_use()
            .map(|(name, data)| (name.as_str(), data));
        let mut records = Vec::new();
        for (name, data) in std::iter::once(("data", &plan.data)).chain(further) {
            records.extend(data.record(name)?);
        }
        Ok(records)
    }

    fn train(
        &self,
        plan: &RunPlan,
        folder: &RunFolder,
        reporter: &mut Reporter,
        stop: &StopFlag,
        steps: Option<&dyn train::Steps>,
    ) -> Result<Outcome> {
        let (sets, _) = self.sets(plan)?;
        sets.notes().for_each(|note| reporter.note(&note));
        let data = sets.for_training();
        let job = Job {
            steps,
            ..self.job(plan, &data)?
        };
        let (mut bridge, resume) = Bridge::open(folder, reporter, stop)?;
        let asked = stop.clone();
        cancel_when(move || asked.stopped());
        inflight::mark(Some(&folder.crash_path()));
        let outcome = train::run(&job, &mut bridge, resume);
        inflight::mark(None);
        let outcome = outcome?;
        let mut found = bridge.finish(&outcome, |class| data.test.class_name(class))?;
        if !found.answers.taken.is_empty() {
            found.answers.labels = train::classes::labels(&*data.test)?;
        }
        if found.stopped.is_none() && plan.output.pictures {
            // From the checkpoint, so that a run that goes on after a kill finds the same.
            let last = CheckpointStore::load(&folder.checkpoints().last_path())?;
            let winners = train::winners(&job, &last.tensors, &*data.test)?;
            found.winners = (winners.0 > 0).then(|| WinnersRecord::of(winners));
        }
        Ok(found)
    }

    fn what_differs(&self, plan: &RunPlan, of: &Began<'_>) -> Result<Option<String>> {
        let data = TrainData::open(plan)?;
        let job = self.job(plan, &data)?;
        train::longer::what_differs(&job, of)
    }

    fn evaluate(&self, plan: &RunPlan, what: &Evaluation) -> Result<EvaluationResult> {
        let data = self.fitting_data(plan)?;
        let samples = match what.split.as_str() {
            "test" => Some(&data.test),
            "train" => Some(&data.train),
            "validation" => data.validation.as_ref(),
            _ => None,
        };
        let samples = samples.ok_or_else(|| no_split(&what.split))?;
        let checkpoint = CheckpointStore::load(&what.checkpoint)?;
        let job = self.job(plan, &data)?;
        let mut warn = |w: &train::Warning| {
            tell!("warning: {}\nhint: {}", w.text, w.hint);
        };
        let evaluated = train::score(&job, &checkpoint.tensors, &**samples, &mut warn)?;
        let confusion = evaluated.confusion.unwrap_or_default();
        let name = |class| samples.class_name(class);
        Ok(EvaluationResult {
            metrics: evaluated.scores.named(&what.split).into_iter().collect(),
            classes: ClassRecord::all(&confusion.scores(), name),
            confusion: confusion.rows().to_vec(),
            best: what.best.then(|| best_of(&checkpoint.state, &data)),
        })
    }

    fn fields(
        &self,
        plan: &RunPlan,
        what: &Fielded,
        see: &mut dyn FnMut(train::Fields) -> Result<()>,
    ) -> Result<()> {
        let (sets, _) = self.sets(plan)?;
        let data = sets.for_training();
        let checkpoint = CheckpointStore::load(&what.checkpoint)?;
        let job = self.job(plan, &data)?;
        for block in &what.blocks {
            see(train::fields(
                &job,
                &checkpoint.tensors,
                *block,
                &what.ascent,
                &what.stop,
            )?)?;
        }
        Ok(())
    }

    fn predict(
        &self,
        plan: &RunPlan,
        what: &Prediction,
        see: &mut dyn FnMut(Predicted<'_>) -> Result<()>,
    ) -> Result<()> {
        // Samples are read as they are; whitening is repeated on the way to the network.
        let mut plain = plan.clone();
        plain.data.whiten = None;
        let (sets, data_bytes) = self.sets(&plain)?;
        let reader = sets.main().reader(plan.data.whiten, what.convert)?;
        let plain_sets = sets.for_training();
        preflight::fits(&self.subject(&plain, &plain_sets, data_bytes)?)?;
        let checkpoint = CheckpointStore::load(&what.checkpoint)?;
        // Neurons get their classes by samples as the network saw them.
        let seen = match plan.data.whiten {
            Some(_) => self.sets(plan)?.0.for_training(),
            None => plain_sets,
        };
        let job = self.job(plan, &seen)?;
        let file = what.checkpoint.display();
        let network = Predictor::open(&job, &checkpoint.tensors)
            .map_err(|e| e.within(format_args!("`{file}`")))?;
        predict::all(network, &reader, what, see)
    }

    fn post_hoc(
        &self,
        plan: &RunPlan,
        checkpoint: &Path,
        phase: Option<&str>,
        see: &mut (dyn FnMut(&str, post_hoc::Scored) -> Result<()> + Send),
    ) -> Result<()> {
        let data = self.fitting_data(plan)?;
        let held = CheckpointStore::load(checkpoint)?;
        let job = self.job(plan, &data)?;
        let phase = post_hoc::phase(&job, phase)?;
        let from = plan.init.as_ref().map(|init| initial::read(&init.from));
        let name = phase.name.as_str();
        post_hoc::repeat(
            &job,
            &held.tensors,
            phase,
            from.transpose()?,
            &mut |scored| see(name, scored),
        )
        .map_err(|e| e.within(format_args!("`{}`", checkpoint.display())))
    }

    fn attack(
        &self,
        plan: &RunPlan,
        what: &Assault,
        see: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<attack::Report> {
        // Pixels are read as they are; whitening is repeated on the way to the network.
        let mut plain = plan.clone();
        plain.data.whiten = None;
        let (sets, data_bytes) = self.sets(&plain)?;
        let pixels = sets.main().pixels(&what.split, plan.data.whiten)?;
        let pixels = pixels.ok_or_else(|| no_split(&what.split))?;
        let pixels = pixels.limited(what.limit)?;
        let pixels = match what.protocol {
            Some(Protocol::BionasReleased) => pixels.as_seen(),
            None => pixels,
        };
        let data = sets.for_training();
        preflight::fits(&self.subject(&plain, &data, data_bytes)?)?;
        let checkpoint = CheckpointStore::load(&what.checkpoint)?;
        let job = self.job(&plain, &data)?;
        let file = what.checkpoint.display();
        let (mut network, mut place) = train::trained(&job, &checkpoint.tensors)
            .map_err(|e| e.within(format_args!("`{file}`")))?;
        place.stop = what.stop.clone();
        if let Some((block, rule)) = network.eval_updates().first() {
            tell!(
                "warning: block `{block}`: its rule `{rule}` learns in evaluation too, and is held still while the network is attacked"
            );
        }
        network.hold_still();
        in_pool(|| attack::robust_accuracy(&mut network, &pixels, &what.spec, &place, see))
    }
}

/// Error for a part of the data that is not there.
fn no_split(name: &str) -> Error {
    Error::usage(format!("no split `{name}`"))
        .hint("`test`, `train`, or `validation` where the plan keeps one")
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
        credit: entry.facts.credit,
        needs_target: entry.facts.wants_target,
        learns_in_evaluation: entry.facts.learns_in_evaluation,
        also_local: entry.facts.also_local,
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

fn json(value: &SdkValue) -> serde_json::Value {
    match value {
        SdkValue::Bool(v) => (*v).into(),
        SdkValue::Int(v) => (*v).into(),
        SdkValue::Float(v) => (*v).into(),
        SdkValue::Text(v) => v.as_str().into(),
    }
}

fn file_stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
