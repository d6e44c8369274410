//! The phases of a plan.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::tagged;
use crate::config::section::{Section, join};
use crate::config::settings::{CACHE_PLAN, GROUP, PHASE, STOP_RULE};
use crate::config::shown::Shown;
use crate::config::value::{self, DEFAULT, Table};
use crate::plan::{
    CachePlan, ClassWeights, GradientClip, GroupPlan, PhasePlan, StopPlan, TensorRole, Warmup,
};
use crate::{Error, Result};

/// Settings of a data set that hold for every phase on it that says nothing else.
const INHERITED: [&str; 2] = ["shuffle", "drop_last"];

/// What phases take over from the data set that they learn from, by its name in a phase.
pub(super) struct Inherited(BTreeMap<String, Table>);

impl Inherited {
    /// From the whole configuration.
    pub(super) fn of(top: &Table) -> Self {
        let chosen = |set: &Value| match &set.kind {
            ValueKind::Table(set) => {
                let entry = |key: &str| Some((key.to_owned(), set.get(key)?.clone()));
                INHERITED.into_iter().filter_map(entry).collect()
            }
            _ => Table::new(),
        };
        let mut sets = BTreeMap::new();
        if let Some(data) = top.get("data") {
            let parts = match &data.kind {
                ValueKind::Table(data) => data.get("parts").map(|parts| &parts.kind),
                _ => None,
            };
            if let Some(ValueKind::Table(parts)) = parts {
                sets.extend(parts.keys().map(|name| (name.clone(), chosen(data))));
            }
            sets.insert("train".to_owned(), chosen(data));
        }
        if let Some(ValueKind::Table(extra)) = top.get("extra_data").map(|v| &v.kind) {
            sets.extend(extra.iter().map(|(name, set)| (name.clone(), chosen(set))));
        }
        Self(sets)
    }

    fn fill(&self, phase: &mut Table) {
        let name = phase.get("data").and_then(value::text).unwrap_or("train");
        for (key, v) in self.0.get(name).cloned().unwrap_or_default() {
            let own = phase.get(&key).map(value::origin);
            if own.is_none_or(|from| from == DEFAULT) {
                phase.insert(key, v);
            }
        }
    }
}

/// Reads `tables`, the entries of `phases`.
pub(super) fn phases(
    top: &mut Section,
    tables: Vec<Table>,
    inherited: &Inherited,
) -> Result<Vec<PhasePlan>> {
    let mut plans = Vec::new();
    let mut shown = Vec::new();
    for (i, mut table) in tables.into_iter().enumerate() {
        inherited.fill(&mut table);
        let name = table.get("name").and_then(value::text).map(str::to_owned);
        let path = join("phases", &name.unwrap_or_else(|| i.to_string()));
        let (plan, one) = phase(&path, table)?;
        plans.push(plan);
        shown.push(one);
    }
    if plans.is_empty() {
        return Err(
            Error::usage("no phase trains anything").hint("write `[training]` or `[[phases]]`")
        );
    }
    top.show_tables("phases", shown);
    Ok(plans)
}

type ShownTable = Vec<(String, Shown)>;

fn phase(path: &str, table: Table) -> Result<(PhasePlan, ShownTable)> {
    let mut s = Section::open(path, table, PHASE)?;
    let plan = PhasePlan {
        name: s.text("name")?,
        blocks: s.texts("blocks")?,
        drive: s.choice("drive")?,
        data: s.text("data")?,
        epochs: s.whole("epochs")?,
        batch: s.whole("batch")? as usize,
        shuffle: s.flag("shuffle")?,
        drop_last: s.flag("drop_last")?,
        augment: s.flag("augment")?,
        evaluate_every: s.whole("evaluate_every")?,
        loss: s.choice("loss")?,
        class_weights: class_weights(&mut s)?,
        label_smoothing: s.number("label_smoothing")?,
        gradient_clip: match s.number_or("gradient_clip")? {
            (limit, false) => GradientClip::Value(limit),
            (norm, true) => GradientClip::Norm { norm },
        },
        optimizer: required(&mut s, "optimizer", tagged::optimizer)?,
        groups: groups(&mut s)?,
        schedule: required(&mut s, "schedule", tagged::schedule)?,
        warmup: warmup(&mut s)?,
        local_rate: optional(&mut s, "local_rate", tagged::local_rate)?,
        stop: optional(&mut s, "stop", stop)?,
        neuron_labels: s.flag("neuron_labels")?,
        cache: cache(&mut s)?,
    };
    if plan.epochs == 0 && plan.stop.is_none() {
        return Err(
            Error::usage(format!("`{path}.epochs` is 0 and nothing stops the phase"))
                .hint("set `epochs`, or a `stop` with a threshold or patience"),
        );
    }
    Ok((plan, s.close()))
}

/// Reads the table at `key` with `read`, keeping it to be shown.
fn optional<T>(
    s: &mut Section,
    key: &str,
    read: impl Fn(&str, Table) -> Result<(T, ShownTable)>,
) -> Result<Option<T>> {
    let Some(table) = s.table(key)? else {
        return Ok(None);
    };
    let (plan, shown) = read(&s.at(key), table)?;
    s.show_table(key, shown);
    Ok(Some(plan))
}

fn required<T>(
    s: &mut Section,
    key: &str,
    read: impl Fn(&str, Table) -> Result<(T, ShownTable)>,
) -> Result<T> {
    let missing = s.missing(key);
    optional(s, key, read)?.ok_or(missing)
}

fn stop(path: &str, table: Table) -> Result<(StopPlan, ShownTable)> {
    let mut s = Section::open(path, table, STOP_RULE)?;
    let plan = StopPlan {
        metric: s.text("metric")?,
        threshold: s.opt_number("threshold")?,
        patience: s.opt_number("patience")?,
        mode: s.opt_choice("mode")?,
        min_delta: s.opt_number("min_delta")?,
    };
    if plan.threshold.is_none() && plan.patience.is_none() {
        return Err(Error::usage(format!("`{path}` never stops anything"))
            .hint("set `threshold`, `patience` or both"));
    }
    Ok((plan, s.close()))
}

fn warmup(s: &mut Section) -> Result<Option<Warmup>> {
    match (s.whole("warmup_epochs")?, s.whole("warmup_steps")?) {
        (0, 0) => Ok(None),
        (epochs, 0) => Ok(Some(Warmup::Epochs(epochs))),
        (0, steps) => Ok(Some(Warmup::Steps(steps))),
        (epochs, steps) => Err(Error::usage(format!(
            "`{}` is {epochs} and `warmup_steps` {steps}: there is one warm-up",
            s.at("warmup_epochs")
        ))
        .hint("set one of them to 0")),
    }
}

fn groups(s: &mut Section) -> Result<Vec<GroupPlan>> {
    if !s.has("groups") {
        return Ok(Vec::new());
    }
    let list = s.at("groups");
    let (mut plans, mut shown) = (Vec::new(), Vec::new());
    for (i, table) in s.tables("groups")?.into_iter().enumerate() {
        let path = join(&list, &i.to_string());
        let mut g = Section::open(&path, table, GROUP)?;
        let plan = GroupPlan {
            prefixes: g.texts("prefixes")?,
            roles: roles(&mut g, &path)?,
            optimizer: required(&mut g, "optimizer", tagged::optimizer)?,
        };
        if plan.prefixes.is_empty() && plan.roles.is_empty() {
            return Err(Error::usage(format!("`{path}` says of no tensor that it has it"))
                .hint("set `prefixes`, such as [\"blocks.head.\"], or `roles`, such as [\"bias\", \"norm\"]"));
        }
        plans.push(plan);
        shown.push(g.close());
    }
    s.show_tables("groups", shown);
    Ok(plans)
}

const ROLES: [(&str, TensorRole); 4] = [
    ("weight", TensorRole::Weight),
    ("bias", TensorRole::Bias),
    ("norm", TensorRole::Norm),
    ("feedback", TensorRole::Feedback),
];

fn roles(s: &mut Section, path: &str) -> Result<Vec<TensorRole>> {
    let from = s.origin("roles");
    let role = |word: &String| {
        let found = ROLES.iter().find(|(name, _)| name == word);
        found.map(|(_, role)| *role).ok_or_else(|| {
            let names = ROLES.map(|(name, _)| name);
            Error::usage(format!("`{path}.roles` has `{word}` (from {from})"))
                .hint(format!("one of `{}`", names.join("`, `")))
        })
    };
    s.texts("roles")?.iter().map(role).collect()
}

fn class_weights(s: &mut Section) -> Result<Option<ClassWeights>> {
    let weights = s.opt_word_or_numbers("class_weights")?;
    Ok(weights.map(|weights| match weights {
        none if none.is_empty() => ClassWeights::Balanced,
        given => ClassWeights::Given(given),
    }))
}

fn cache(s: &mut Section) -> Result<CachePlan> {
    required(s, "cache", |path, table| {
        let mut c = Section::open(path, table, CACHE_PLAN)?;
        let plan = CachePlan {
            enabled: c.flag("enabled")?,
            memory_limit: c.whole("memory_limit")?,
            store: c.choice("store")?,
        };
        Ok((plan, c.close()))
    })
}
