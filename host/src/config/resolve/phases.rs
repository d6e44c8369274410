//! The phases of a plan.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use crate::config::section::{Section, join};
use crate::config::shown::Shown;
use crate::config::value::{self, DEFAULT, Table};
use crate::plan::define::Described;
use crate::plan::{GroupPlan, PhasePlan};
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

fn phase(path: &str, table: Table) -> Result<(PhasePlan, Vec<(String, Shown)>)> {
    let mut s = Section::open(path, table, PhasePlan::SETTINGS)?;
    let plan = PhasePlan::read_all(&mut s)?;
    check_groups(path, &plan.groups)?;
    if plan.warmup_epochs > 0 && plan.warmup_steps > 0 {
        return Err(Error::usage(format!(
            "`{path}.warmup_epochs` is {} and `warmup_steps` {}: there is one warm-up",
            plan.warmup_epochs, plan.warmup_steps
        ))
        .hint("set one of them to 0"));
    }
    if let Some(stop) = &plan.stop
        && stop.threshold.is_none()
        && stop.patience.is_none()
    {
        return Err(Error::usage(format!("`{path}.stop` never stops anything"))
            .hint("set `threshold`, `patience` or both"));
    }
    if plan.epochs == 0 && plan.stop.is_none() {
        return Err(
            Error::usage(format!("`{path}.epochs` is 0 and nothing stops the phase"))
                .hint("set `epochs`, or a `stop` with a threshold or patience"),
        );
    }
    Ok((plan, s.close()))
}

fn check_groups(path: &str, groups: &[GroupPlan]) -> Result<()> {
    let of_any = |group: &GroupPlan| group.prefixes.is_empty() && group.roles.is_empty();
    match groups.iter().position(of_any) {
        None => Ok(()),
        Some(i) => Err(Error::usage(format!(
            "`{path}.groups.{i}` says of no tensor that it has it"
        ))
        .hint(
            "set `prefixes`, such as [\"blocks.head.\"], or `roles`, such as [\"bias\", \"norm\"]",
        )),
    }
}
