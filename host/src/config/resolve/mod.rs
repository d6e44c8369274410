//! From merged layers to a checked plan. Everything is looked at before
//! anything runs: keys, kinds, ranges, rules and their hyperparameters, shapes
//! from block to block, phases.

mod blocks;
mod data;
pub(super) mod expand;
mod init;
mod network;
mod phases;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use config::ValueKind;

use super::context::PlanContext;
use super::plan::{ExperimentPlan, OutputPlan, RunPlan};
use super::readers::{self, Given};
use super::section::Section;
use super::settings::TOP;
use super::shown::{self, Row, Shown};
use super::value::{self, Table, make};
use super::{Warnings, check, layers};
use crate::data::DataPlan;
use crate::plan::BlockPlan;
use crate::plan::define::{Described, Field};
use crate::search::Genotype;
use crate::{Error, Result};
pub(super) use search::{Read as SearchRead, names_genotype, read as read_search};

/// A checked plan and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The plan.
    pub plan: RunPlan,
    /// Every setting of it with its origin.
    pub shown: Vec<(String, Shown)>,
    /// What it allows but a user should know.
    pub warnings: Warnings,
    /// Which of the program's own experiments it is, where it is one.
    pub from: Option<Origin>,
}

/// Which of the program's own experiments a configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name, such as `softhebb/cifar10-3`.
    pub name: String,
    /// What was typed on top of it and decides results.
    pub changed: Vec<String>,
}

impl Resolved {
    /// The plan as a configuration file; with `origins`, where each value came from.
    #[must_use]
    pub fn to_toml(&self, origins: bool) -> String {
        shown::to_toml(&self.shown, origins)
    }

    /// Its settings as a flat list.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        shown::rows(&self.shown)
    }

    /// SHA-256 over the settings that decide results.
    #[must_use]
    pub fn hash(&self) -> String {
        shown::hash(&self.rows())
    }

    /// The same plan for one seed of its list.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let mut one = self.clone();
        one.plan.seeds = vec![seed];
        for (key, item) in &mut one.shown {
            if key == "seeds"
                && let Shown::Leaf(value, _) = item
            {
                *value = toml::Value::Array(vec![toml::Value::Integer(seed as i64)]);
            }
        }
        one
    }
}

impl Resolved {
    /// The same plan with `share` of each phase's epochs, one at least.
    #[must_use]
    pub fn with_share(&self, share: f64) -> Self {
        let mut one = self.clone();
        let scaled = |epochs: u64| match epochs {
            // Its stop rule ends it.
            0 => 0,
            n => ((n as f64 * share).round() as u64).max(1),
        };
        for phase in &mut one.plan.phases {
            phase.epochs = scaled(phase.epochs);
        }
        let phases = one.shown.iter_mut().find(|(key, _)| key == "phases");
        if let Some((_, Shown::Tables(phases))) = phases {
            for (key, item) in phases.iter_mut().flatten() {
                if key == "epochs"
                    && let Shown::Leaf(toml::Value::Integer(n), _) = item
                {
                    *n = scaled(*n as u64) as i64;
                }
            }
        }
        one
    }

    /// The same plan for another network, such as a supernet, which no configuration can say: its
    /// blocks are not shown.
    #[must_use]
    pub fn with_blocks(&self, blocks: Vec<BlockPlan>) -> Self {
        let mut one = self.clone();
        one.plan.blocks = blocks;
        one.shown.retain(|(key, _)| key != "blocks");
        one
    }
}

/// Folders with plugins that merged layers name, needed before the rules can be known, and where
/// they are named.
///
/// # Errors
/// Usage error for anything but a list of texts.
pub fn plugin_folders(table: &Table) -> Result<(Vec<PathBuf>, String)> {
    let Some(value) = table.get("plugin_folders") else {
        return Ok((Vec::new(), String::new()));
    };
    let origin = value::origin(value);
    let one = Table::from_iter([("plugin_folders".to_owned(), value.clone())]);
    let folders = Section::open("", one, TOP)?.texts("plugin_folders")?;
    Ok((folders.into_iter().map(PathBuf::from).collect(), origin))
}

/// Threads of kernels that merged layers ask for, needed before anything computes; 0 leaves it to
/// the environment.
///
/// # Errors
/// Usage error for anything but a whole number in its range.
pub fn threads(table: &Table) -> Result<usize> {
    let Some(value) = table.get("threads") else {
        return Ok(0);
    };
    let one = Table::from_iter([("threads".to_owned(), value.clone())]);
    Ok(Section::open("", one, TOP)?.whole("threads")? as usize)
}

/// Merges `sources` and checks the result against `context`.
///
/// # Errors
/// Usage, data or plugin error; nothing has run.
pub fn resolve(sources: &layers::Sources, context: &dyn PlanContext) -> Result<Resolved> {
    resolve_table(layers::merge(sources)?, context)
}

/// Checks merged layers against `context`.
///
/// # Errors
/// Usage, data or plugin error; nothing has run.
pub fn resolve_table(table: Table, context: &dyn PlanContext) -> Result<Resolved> {
    let given = Given::of(&table);
    let (table, of_cells) = network::expanded(search::over(table)?)?;
    checked(table, &given, of_cells, context)
}

/// Checks merged layers whose network is that of `genotype`.
///
/// # Errors
/// As [`resolve_table`].
pub(super) fn resolve_cells(
    table: Table,
    genotype: &Genotype,
    context: &dyn PlanContext,
) -> Result<Resolved> {
    let given = Given::of(&table);
    let table = network::with_cells(table, Some(genotype))?;
    checked(table, &given, true, context)
}

/// Checks `table`, which was made from `given`.
fn checked(
    table: Table,
    given: &Given,
    of_cells: bool,
    context: &dyn PlanContext,
) -> Result<Resolved> {
    let preset = preset_of(&table);
    let inherited = phases::Inherited::of(&table);
    let mut top = Section::open("", shared_rule(spelled_once(table)), TOP)?;
    let name = top.text("name")?;
    check_name(&name, &top.origin("name"))?;
    let experiment = Option::<ExperimentPlan>::read(&mut top, "experiment")?;
    let seeds = seeds(&mut top)?;
    let device = top.text("device")?;
    check_device(&device)?;
    let dtype = top.choice("dtype")?;
    let tf32 = top.flag("tf32")?;
    let gpu_memory_share = top.number("gpu_memory_share")?;
    let threads = top.whole("threads")? as usize;
    let plugin_folders = top
        .texts("plugin_folders")?
        .into_iter()
        .map(PathBuf::from)
        .collect();
    let baselines = baselines(&mut top)?;
    let data = data::data(&mut top)?;
    let extra_data = data::extra(&mut top)?;
    let blocks = blocks::blocks(&mut top, context)?;
    if blocks.is_empty() {
        return Err(no_blocks(&preset));
    }
    if of_cells && let Some(shape) = context.dataset(&data)? {
        crate::search::network::check_images(&blocks, &shape)?;
    }
    let init = init::init(&mut top, &blocks)?;
    let (phases, sources) = if top.has("phases") {
        (top.tables("phases")?, Vec::new())
    } else {
        expand::phases(&mut top, &blocks, context)?
            .into_iter()
            .unzip()
    };
    let phases = phases::phases(&mut top, phases, &inherited)?;
    let output = output(&mut top)?;
    // A preset's set for local phases is none of a plan that has no such phase.
    let asked = given.extra_data();
    let used = |name: &str| asked.contains(name) || phases.iter().any(|p| p.data == name);
    let (extra_data, idle): (BTreeMap<_, _>, BTreeMap<_, _>) =
        extra_data.into_iter().partition(|(name, _)| used(name));
    let plan = RunPlan {
        name,
        experiment,
        seeds,
        device,
        dtype,
        tf32,
        gpu_memory_share,
        threads,
        data,
        extra_data,
        blocks,
        init,
        phases,
        output,
        plugin_folders,
        baselines,
    };
    let mut warnings = Warnings::default();
    check::plan(&plan, context, &mut warnings).map_err(|e| of_preset(e, &plan, &top))?;
    readers::check(given, &plan, &sources, context, &mut warnings)?;
    Ok(Resolved {
        plan,
        shown: without_sets(top.close(), &idle),
        warnings,
        from: None,
    })
}

/// What is shown of a plan without the further data sets `idle`.
fn without_sets(
    mut shown: Vec<(String, Shown)>,
    idle: &BTreeMap<String, DataPlan>,
) -> Vec<(String, Shown)> {
    for (key, item) in &mut shown {
        if let (Shown::Table(sets), "extra_data") = (item, key.as_str()) {
            sets.retain(|(name, _)| !idle.contains_key(name));
        }
    }
    let none = |item: &Shown| matches!(item, Shown::Table(sets) if sets.is_empty());
    shown.retain(|(key, item)| key != "extra_data" || !none(item));
    shown
}

/// The preset that values of merged layers come from, where any does.
fn preset_of(table: &Table) -> Option<String> {
    let mut origins = table.values().map(value::origin);
    origins.find_map(|from| {
        let name = from.strip_prefix("preset `")?.strip_suffix('`')?;
        Some(name.to_owned())
    })
}

/// The error for a plan without a network. Some presets are only data and training, to be laid on
/// top of one that is a network.
fn no_blocks(preset: &Option<String>) -> Error {
    match preset {
        Some(name) => Error::usage(format!(
            "preset `{name}` is data and training without a network, and nothing else has blocks"
        ))
        .hint(format!(
            "lay it on top of a network: `--preset softhebb/2SoftHebbCnnCIFAR --preset {name}`, or write `[[blocks]]`"
        )),
        None => Error::usage("the network has no blocks")
            .hint("write `[[blocks]]`, or name a preset (`biorule config presets`)"),
    }
}

/// `seed = n` as `seeds = [n]`, for tables that did not pass through layers.
fn spelled_once(mut table: Table) -> Table {
    if let Some(seed) = table.remove("seed") {
        let from = value::origin(&seed);
        table.insert("seeds".into(), make(vec![seed], &from));
    }
    table
}

/// The top-level `rule` given to every layer that names none, inside residual blocks too.
fn shared_rule(mut table: Table) -> Table {
    if let Some(rule) = table.remove("rule")
        && let Some(blocks) = table.get_mut("blocks")
    {
        give(blocks, &rule);
    }
    table
}

fn give(blocks: &mut config::Value, rule: &config::Value) {
    let ValueKind::Array(blocks) = &mut blocks.kind else {
        return;
    };
    for block in blocks {
        let ValueKind::Table(block) = &mut block.kind else {
            continue;
        };
        if block.contains_key("layer") && !block.contains_key("rule") {
            block.insert("rule".to_owned(), rule.clone());
        }
        value::each_inside(block, &mut |inner| give(inner, rule));
    }
}

/// An unknown data set that a preset names is one that is not supported yet; of one that is not here, the
/// preset is named.
fn of_preset(e: Error, plan: &RunPlan, top: &Section) -> Error {
    let unknown = |set: &DataPlan| {
        let own = set.info().err();
        own.is_some_and(|own| own.text == e.text)
    };
    let mut sets = vec![("data.set".to_owned(), &plan.data)];
    let extra = plan.extra_data.iter();
    sets.extend(extra.map(|(name, set)| (format!("extra_data.{name}.set"), set)));
    let rows = shown::rows(top.shown());
    // Who asks for a set that is not here, where nobody typed its name.
    if e.code == crate::ExitCode::Data {
        let missing = |set: &DataPlan| e.text.contains(&format!("data set `{}`", set.set));
        let from = sets
            .iter()
            .filter(|(_, set)| missing(set))
            .find_map(|(path, _)| {
                let row = rows.iter().find(|(p, ..)| p == path);
                row.map(|(.., origin)| origin.clone())
            });
        return match from.filter(|origin| origin.starts_with("preset ")) {
            Some(origin) => e.within(origin),
            None => e,
        };
    }
    for (path, set) in sets.iter().filter(|(_, set)| unknown(set)) {
        let row = rows.iter().find(|(p, ..)| p == path);
        if let Some((.., origin)) = row.filter(|(.., origin)| origin.starts_with("preset ")) {
            let text = format!(
                "{origin} needs the data set `{}`, which is not supported yet",
                set.set
            );
            return Error::usage(text).hint(format!(
                "`biorule config presets` marks such presets; `--set {path}=NAME` takes another set (`biorule data list`)"
            ));
        }
    }
    e
}

fn check_name(name: &str, from: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::usage(format!(
            "`name` is `{name}`, which cannot name a folder (from {from})"
        ))
        .hint("use letters, digits, `.`, `_`, `-`, `+` and `@`"));
    }
    Ok(())
}

fn check_device(device: &str) -> Result<()> {
    let number = |d: &str| {
        d.strip_prefix("cuda:")
            .is_some_and(|n| n.parse::<u32>().is_ok())
    };
    if matches!(device, "auto" | "cpu" | "cuda") || number(device) {
        return Ok(());
    }
    let e = Error::usage(format!("`device` is `{device}`"));
    Err(match value::nearest(device, ["auto", "cpu", "cuda"]) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint("use `auto`, `cpu`, `cuda` or `cuda:N`"),
    })
}

fn seeds(top: &mut Section) -> Result<Vec<u64>> {
    let seeds = top.wholes("seeds")?;
    let different: BTreeSet<u64> = seeds.iter().copied().collect();
    if seeds.is_empty() || different.len() != seeds.len() {
        return Err(Error::usage(format!(
            "`seeds` is {seeds:?}, expected one or more different numbers"
        )));
    }
    Ok(seeds)
}

fn baselines(top: &mut Section) -> Result<Vec<super::plan::Baseline>> {
    let from = top.origin("baselines");
    let words = top.texts("baselines")?;
    let known = ["random-weights", "linear-pixels"];
    let mut all = Vec::new();
    for word in words {
        let read = serde_json::from_value(serde_json::Value::String(word.clone()));
        let baseline = read.map_err(|_| {
            let e = Error::usage(format!("unknown baseline `{word}` (from {from})"));
            match value::nearest(&word, known) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("known are `{}`", known.join("` and `"))),
            }
        })?;
        if all.contains(&baseline) {
            let text = format!("`baselines` has `{word}` twice (from {from})");
            return Err(Error::usage(text).hint("name each once"));
        }
        all.push(baseline);
    }
    Ok(all)
}

/// What a search reads of the top of a configuration.
pub(super) struct Top {
    /// Name of the experiment.
    pub(super) name: String,
    /// Its seeds.
    pub(super) seeds: Vec<u64>,
    /// Where it comes from.
    pub(super) experiment: Option<ExperimentPlan>,
    /// Parent of its folders.
    pub(super) runs: PathBuf,
    /// Name and seeds with their origins.
    pub(super) shown: Vec<(String, Shown)>,
}

/// Reads the top of `table` for a search.
pub(super) fn top(table: &Table) -> Result<Top> {
    let keys = ["name", "experiment", "seed", "seeds", "output"];
    let own = table.iter().filter(|(key, _)| keys.contains(&key.as_str()));
    let own: Table = own.map(|(key, v)| (key.clone(), v.clone())).collect();
    let mut s = Section::open("", spelled_once(own), TOP)?;
    let name = s.text("name")?;
    check_name(&name, &s.origin("name"))?;
    let experiment = Option::<ExperimentPlan>::read(&mut s, "experiment")?;
    let seeds = seeds(&mut s)?;
    let shown = s.shown().to_vec();
    let runs = output(&mut s)?.runs;
    Ok(Top {
        name,
        experiment,
        seeds,
        runs,
        shown,
    })
}

fn output(top: &mut Section) -> Result<OutputPlan> {
    let table = top.table("output")?.unwrap_or_default();
    let mut s = Section::open("output", table, OutputPlan::SETTINGS)?;
    let plan = OutputPlan::read_all(&mut s)?;
    top.show_table("output", s.close());
    Ok(plan)
}
