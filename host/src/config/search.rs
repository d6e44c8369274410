//! A configuration with a search. What is not its `search` says how the network of a genotype is
//! trained.

use config::ValueKind;

use super::Warnings;
use super::context::PlanContext;
use super::resolve::{self, Resolved, SearchRead};
use super::shown::{self, Row, Shown};
use super::value::{self, Table, make};
use crate::plan::ExperimentPlan;
use crate::search::evaluate::proxy;
use crate::search::plan::{EvaluatorPlan, SearchPlan, StrategyPlan};
use crate::search::{Genotype, Size, Space};
use crate::{Error, Result};

/// Settings at the top that a search with a table reads.
const OF_TABLES: [&str; 6] = [
    "name",
    "experiment",
    "seeds",
    "output",
    "plugin_folders",
    "threads",
];

/// A configuration with a search, read and checked.
#[derive(Clone, Debug)]
pub struct SearchConfig {
    /// The search.
    pub plan: SearchPlan,
    /// Its space.
    pub space: Space,
    /// The size of the networks that are evaluated.
    pub size: Size,
    /// Name of the experiment.
    pub name: String,
    /// Where it comes from and what was published of it: of the whole search, not of an evaluation.
    pub experiment: Option<ExperimentPlan>,
    /// Seed of the search and of each evaluation.
    pub seed: u64,
    /// Parent of the folder of a search without a folder of its own.
    pub runs: std::path::PathBuf,
    /// What it allows but a user should know.
    pub warnings: Warnings,
    /// Its own settings with their origins; those of evaluations stand in their plan.
    shown: Vec<(String, Shown)>,
    /// Everything but the search and the size's genotype.
    base: Table,
}

impl SearchConfig {
    /// How the network of `genotype` is trained, under `name`.
    ///
    /// # Errors
    /// Those of [`resolve::resolve_table`].
    pub fn evaluation(
        &self,
        genotype: &Genotype,
        name: &str,
        context: &dyn PlanContext,
    ) -> Result<Resolved> {
        let mut table = self.base.clone();
        table.insert("name".to_owned(), make(name, "`biorule search`"));
        let mut resolved = resolve::resolve_cells(table, genotype, context)?;
        if self.plan.supernet.is_some() {
            // The supernet takes them.
            resolved
                .warnings
                .retain(|text| !text.starts_with("`data.parts"));
        }
        Ok(resolved)
    }

    /// The data and everything else of the training of a supernet but for its network and its phase,
    /// which are those of some genotype.
    ///
    /// # Errors
    /// Those of [`resolve::resolve_table`].
    pub fn supernet(&self, context: &dyn PlanContext) -> Result<Resolved> {
        let mut table = self.base.clone();
        table.insert("name".to_owned(), make("supernet", "`biorule search`"));
        let genotype = self.space.random(self.seed, 0);
        let mut resolved = resolve::resolve_cells(table, &genotype, context)?;
        // They are about the network and the phase of that genotype.
        resolved.warnings = Warnings::default();
        Ok(resolved)
    }

    /// How the network of one of its genotypes is trained; `None` for a search in a table.
    ///
    /// # Errors
    /// Those of [`resolve::resolve_table`].
    pub fn pattern(&self, context: &dyn PlanContext) -> Result<Option<Resolved>> {
        match self.plan.evaluator {
            EvaluatorPlan::Table { .. } => Ok(None),
            _ => self
                .evaluation(&self.space.random(self.seed, 0), &self.name, context)
                .map(Some),
        }
    }

    /// The whole configuration, in which `evaluation` is that of any genotype; of a search in a
    /// table there is none.
    #[must_use]
    pub fn shown(&self, evaluation: Option<&Resolved>) -> Vec<(String, Shown)> {
        let mut all = self.shown.clone();
        if let Some(evaluation) = evaluation {
            let own: Vec<&str> = self.shown.iter().map(|(key, _)| key.as_str()).collect();
            let rest = evaluation.shown.iter();
            let rest = rest.filter(|(key, _)| key != "blocks" && !own.contains(&key.as_str()));
            let rest = rest.map(|(key, shown)| match (key.as_str(), shown) {
                ("data", Shown::Table(data)) => (key.clone(), Shown::Table(self.with_parts(data))),
                _ => (key.clone(), shown.clone()),
            });
            let rest: Vec<_> = rest.collect();
            all.splice(0..0, rest);
        }
        all
    }

    /// `data` of an evaluation with the parts that a supernet learns from.
    fn with_parts(&self, data: &[(String, Shown)]) -> Vec<(String, Shown)> {
        let mut all = data.to_vec();
        let Some(ValueKind::Table(given)) = self.base.get("data").map(|v| &v.kind) else {
            return all;
        };
        if self.plan.supernet.is_none() {
            return all;
        }
        let leaf = |v: &config::Value| {
            let text = value::text(v).unwrap_or_default().to_owned();
            Shown::Leaf(toml::Value::String(text), value::origin(v))
        };
        let mut put = |key: &str, shown: Shown| {
            all.retain(|(own, _)| own != key);
            all.push((key.to_owned(), shown));
        };
        if let Some(ValueKind::Table(parts)) = given.get("parts").map(|v| &v.kind) {
            let mut ranges: Vec<_> = parts.iter().map(|(n, v)| (n.clone(), leaf(v))).collect();
            ranges.sort_by(|a, b| a.0.cmp(&b.0));
            put("parts", Shown::Table(ranges));
        }
        if let Some(order) = given.get("parts_order") {
            put("parts_order", leaf(order));
        }
        all
    }

    /// [`Self::shown`] as a flat list.
    #[must_use]
    pub fn rows(&self, evaluation: Option<&Resolved>) -> Vec<Row> {
        shown::rows(&self.shown(evaluation))
    }
}

/// Whether merged layers say how to search for a genotype that is still to be found.
#[must_use]
pub fn is_search(table: &Table) -> bool {
    table.contains_key("search") && !resolve::names_genotype(table)
}

/// Reads the search of merged layers.
///
/// # Errors
/// Usage error for what is no search, plugin error for a rule that no plugin has.
pub fn search(mut table: Table, context: &dyn PlanContext) -> Result<SearchConfig> {
    let Some(given) = table.remove("search") else {
        return Err(Error::usage("the configuration has no `search`").hint(
            "write `[search]` and below it `space = \"bionas\"`; `docs/search.md` shows more",
        ));
    };
    if let Some(blocks) = table.get("blocks") {
        let from = value::origin(blocks);
        return Err(Error::usage(format!(
            "`blocks` (from {from}) say what the network is, which a search finds"
        ))
        .hint("leave them out; `network` says how wide and deep it is"));
    }
    let SearchRead {
        plan,
        space,
        size,
        shown: own,
    } = resolve::read_search(given, table.get("network").cloned(), context)?;
    let top = resolve::top(&table)?;
    let [seed] = top.seeds[..] else {
        return Err(Error::usage(format!(
            "a search has one seed, and `seeds` has {} (from {})",
            top.seeds.len(),
            value::origin(&table["seeds"])
        ))
        .hint("give one with `--seed`, and search once for each"));
    };
    let mut warnings = Warnings::default();
    if matches!(plan.evaluator, EvaluatorPlan::Table { .. }) {
        idle(&table, &mut warnings);
    }
    if let EvaluatorPlan::Proxy { .. } = plan.evaluator
        && let Some(text) = proxy::sees(&space)?
    {
        warnings.add(text);
    }
    table.remove("experiment");
    if let StrategyPlan::Evolution {
        evaluations,
        population,
        ..
    } = plan.strategy
        && population >= evaluations
    {
        warnings.add(format!(
            "`search.strategy.population` is {population}, and there are {evaluations} evaluations: all \
             genotypes are drawn and none has a child"
        ));
    }
    if let Some(supernet) = &plan.supernet
        && decides(&table).as_deref() == Some(supernet.architecture.as_str())
    {
        warnings.add(format!(
            "`data.validation_part` is `{0}`, from which the architecture learns too, as in the released code of DARTS and BioNAS: the accuracy that decides is not that of samples held back, and is too good",
            supernet.architecture
        ));
    }
    let mut shown = top.shown;
    shown.extend(own);
    Ok(SearchConfig {
        plan,
        space,
        size,
        name: top.name,
        experiment: top.experiment,
        seed,
        runs: top.runs,
        warnings,
        shown,
        base: table,
    })
}

/// The part of the data that decides, where one is named.
fn decides(table: &Table) -> Option<String> {
    match &table.get("data")?.kind {
        ValueKind::Table(data) => value::text(data.get("validation_part")?).map(str::to_owned),
        _ => None,
    }
}

/// Warns about what a search in a table does not read.
fn idle(table: &Table, warnings: &mut Warnings) {
    let mut idle: Vec<&String> = table.keys().collect();
    idle.retain(|key| !OF_TABLES.contains(&key.as_str()));
    idle.sort();
    for key in idle {
        let from = value::origin(&table[key]);
        warnings.add(format!(
            "`{key}` (from {from}) has no effect: the values of genotypes are read from a table"
        ));
    }
}
