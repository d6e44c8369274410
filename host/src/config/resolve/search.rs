//! `search`: how a genotype is looked for.

use config::{Value, ValueKind};

use super::{blocks, network};
use crate::config::context::PlanContext;
use crate::config::section::Section;
use crate::config::settings::{SEARCH, SEARCH_BOUNDS, SEARCH_FINAL, SEARCH_SPACE};
use crate::config::shown::Shown;
use crate::config::value::{self, DEFAULT, Table, make};
use crate::plan::define::{Described as _, Field as _};
use crate::search::evaluate::proxy;
use crate::search::pareto::{Goal, Objective};
use crate::search::plan::{
    Discretise, EvaluatorPlan, FinalPlan, SearchPlan, SpacePlan, StrategyPlan, SupernetPlan,
};
use crate::search::rank::RankPlan;
use crate::search::robustness::RobustnessPlan;
use crate::search::space::{Hyperparameters, Skeleton};
use crate::search::{Size, Space};
use crate::{Error, Result};

/// What the settings of a search say.
pub struct Read {
    /// The search.
    pub plan: SearchPlan,
    /// Its space.
    pub space: Space,
    /// The size of the networks that are evaluated.
    pub size: Size,
    /// The settings with their origins.
    pub shown: Vec<(String, Shown)>,
}

/// `table` for a training: without the search that has found its genotype.
///
/// # Errors
/// Usage error where the genotype is still to be found, or the search cannot be read.
pub(super) fn over(mut table: Table) -> Result<Table> {
    let Some(given) = table.get("search") else {
        return Ok(table);
    };
    let from = value::origin(given);
    if !names_genotype(&table) {
        return Err(Error::usage(format!(
            "`search` (from {from}) says how a genotype is found, and none has been yet"
        ))
        .hint(
            "`biorule search` takes this configuration; with `--genotype` what it found is trained",
        ));
    }
    let given = table.remove("search");
    given.map(section).transpose()?;
    Ok(table)
}

/// Whether merged layers name a genotype.
pub fn names_genotype(table: &Table) -> bool {
    match table.get("network").map(|v| &v.kind) {
        Some(ValueKind::Table(own)) => own.contains_key("genotype"),
        _ => false,
    }
}

/// Opens the table of a search.
fn section(given: Value) -> Result<Section> {
    let from = value::origin(&given);
    match given.kind {
        ValueKind::Table(own) => Section::open("search", own, SEARCH),
        _ => Err(Error::usage(format!("`search` is no table (from {from})"))
            .hint("write `[search]` and below it `space = \"bionas\"`")),
    }
}

/// Reads `given`, the table of a search, and `size`, that of its networks where it is set.
///
/// # Errors
/// Usage error for what is no search, plugin error for a rule that no plugin has.
pub fn read(given: Value, size: Option<Value>, context: &dyn PlanContext) -> Result<Read> {
    let mut s = section(given)?;
    let (space_plan, space) = space(&mut s, context)?;
    let strategy = StrategyPlan::read(&mut s, "strategy")?;
    let evaluator = EvaluatorPlan::read(&mut s, "evaluator")?;
    asks_alike(&s, &strategy, &evaluator, &space)?;
    let goals = goals(&mut s, &evaluator)?;
    let robustness = robustness(&mut s, &goals, &evaluator)?;
    let supernet = supernet(&mut s, &strategy, &evaluator)?;
    let final_training = final_training(&mut s, &evaluator)?;
    let rank = rank(&mut s, &strategy, &evaluator)?;
    let (size, size_shown) = network::size_alone(size)?;
    let mut shown = Vec::new();
    // Of a table there is no network.
    if evaluator.has_network() {
        size.check(space.skeleton)
            .map_err(|e| e.within("`network`"))?;
        shown.push(("network".to_owned(), Shown::Table(size_shown)));
    }
    shown.push(("search".to_owned(), Shown::Table(s.close())));
    Ok(Read {
        plan: SearchPlan {
            space: space_plan,
            strategy,
            objectives: goals,
            evaluator,
            robustness,
            supernet,
            final_training,
            rank,
        },
        space,
        size,
        shown,
    })
}

fn space(s: &mut Section, context: &dyn PlanContext) -> Result<(SpacePlan, Space)> {
    let missing = s.missing("space");
    let table = s.table("space")?.ok_or(missing)?;
    let mut own = Section::open(&s.at("space"), table, SEARCH_SPACE)?;
    let name = own.opt_text("name")?;
    if let Some(name) = &name {
        let both = ["operations", "rules", "network"];
        if let Some(key) = both.into_iter().find(|key| own.has(key)) {
            return Err(Error::usage(format!(
                "`{}` (from {}) has no meaning beside the space `{name}`",
                own.at(key),
                own.origin(key)
            ))
            .hint("leave one of them out; `exclude` leaves out candidates of a space"));
        }
    }
    let word: Option<String> = own.opt_choice("network")?;
    let plan = SpacePlan {
        name,
        network: word
            .and_then(|word| Skeleton::of_word(&word))
            .unwrap_or(Skeleton::Darts),
        operations: own.texts("operations")?,
        rules: own.texts("rules")?,
        exclude: own.texts("exclude")?,
        nodes: own.opt_whole("nodes")?.map(|n| n as usize),
        params: params(&mut own, context)?,
    };
    let place = s.at("space");
    let space = plan.space().map_err(|e| e.within(format!("`{place}`")))?;
    let rules = space.rules();
    for rule in &rules {
        context
            .rule(rule)
            .map_err(|e| e.within(format!("`{place}`")))?;
    }
    // A wish that nothing fulfils.
    let named = plan.rules.iter().chain(plan.params.keys());
    if let Some(rule) = named
        .into_iter()
        .find(|rule| !rules.contains(rule.as_str()))
    {
        return Err(Error::usage(format!(
            "`{place}` names the rule `{rule}`, and no candidate has it"
        ))
        .hint("leave it out, or add an operation with layers such as `sep_conv_3x3`"));
    }
    s.show_table("space", own.close());
    Ok((plan, space))
}

/// Hyperparameters by rule.
fn params(own: &mut Section, context: &dyn PlanContext) -> Result<Hyperparameters> {
    let mut all = Hyperparameters::new();
    let Some(given) = own.take("params")? else {
        return Ok(all);
    };
    let (place, from) = (own.at("params"), value::origin(&given));
    let wrong = |path: &str, v: &str| {
        Error::usage(format!("`{path}` is {v}, expected a table (from {from})"))
            .hint("write `params = { softhebb = { lr = 0.05 } }`")
    };
    let ValueKind::Table(rules) = given.kind else {
        return Err(wrong(&place, &value::describe(&given)));
    };
    let mut shown = Vec::new();
    let mut rules: Vec<(String, Value)> = rules.into_iter().collect();
    rules.sort_by(|a, b| a.0.cmp(&b.0));
    for (rule, v) in rules {
        let path = format!("{place}.{rule}");
        let schema = context
            .rule(&rule)
            .map_err(|e| e.within(format!("`{path}`")))?;
        let described = value::describe(&v);
        let ValueKind::Table(table) = v.kind else {
            return Err(wrong(&path, &described));
        };
        let (params, own) = blocks::hyperparameters(&path, table, &schema)?;
        shown.push((rule.clone(), Shown::Table(own)));
        all.insert(rule, params);
    }
    if !shown.is_empty() {
        own.show_table("params", shown);
    }
    Ok(all)
}

/// The objectives with their bounds.
fn goals(s: &mut Section, evaluator: &EvaluatorPlan) -> Result<Vec<Goal>> {
    if let EvaluatorPlan::Proxy { .. } = evaluator {
        let score = vec![make(Objective::Score.name(), DEFAULT)];
        s.set_default("objectives", make(score, DEFAULT));
    }
    let (place, from) = (s.at("objectives"), s.origin("objectives"));
    let words = s.texts("objectives")?;
    let mut goals: Vec<Goal> = Vec::new();
    for word in &words {
        let objective =
            Objective::named(word).map_err(|e| e.within(format!("`{place}` (from {from})")))?;
        if goals.iter().any(|g| g.objective == objective) {
            return Err(
                Error::usage(format!("`{place}` has `{word}` twice (from {from})"))
                    .hint("name each once"),
            );
        }
        goals.push(Goal {
            objective,
            bound: None,
        });
    }
    if goals.is_empty() {
        return Err(Error::usage(format!("`{place}` is empty (from {from})"))
            .hint("name one at least: `objectives = [\"accuracy\"]`"));
    }
    if let Some(table) = s.table("bounds")? {
        let mut bounds = Section::open(&s.at("bounds"), table, SEARCH_BOUNDS)?;
        for setting in SEARCH_BOUNDS {
            let Some(bound) = bounds.opt_number(setting.key)? else {
                continue;
            };
            let objective = Objective::named(setting.key)?;
            match goals.iter_mut().find(|g| g.objective == objective) {
                Some(goal) => goal.bound = Some(bound),
                None => goals.push(Goal {
                    objective,
                    bound: Some(bound),
                }),
            }
        }
        s.show_table("bounds", bounds.close());
    }
    let is_proxy = matches!(evaluator, EvaluatorPlan::Proxy { .. });
    let wrong = goals.iter().find(|g| match g.objective {
        Objective::Score => !is_proxy,
        Objective::Accuracy => is_proxy,
        _ => false,
    });
    if let Some(goal) = wrong {
        let (what, hint) = match is_proxy {
            true => (
                "is not known where nothing is trained",
                "take `score`, which is what the proxy says; `search.final` trains the winner",
            ),
            false => (
                "is what a proxy says",
                "set `evaluator = { kind = \"proxy\", of = \"synflow\" }`, or take `accuracy`",
            ),
        };
        return Err(Error::usage(format!(
            "the objective `{}` {what} (`{place}` from {from})",
            goal.objective
        ))
        .hint(hint));
    }
    Ok(goals)
}

/// How the objective `robustness` is measured, where it is one and networks are trained.
fn robustness(
    s: &mut Section,
    goals: &[Goal],
    evaluator: &EvaluatorPlan,
) -> Result<Option<RobustnessPlan>> {
    let (place, from) = (s.at("robustness"), s.origin("robustness"));
    let given = s.table("robustness")?;
    let asked = goals.iter().any(|g| g.objective == Objective::Robustness);
    let trains = *evaluator == EvaluatorPlan::Training;
    let reads = matches!(evaluator, EvaluatorPlan::Table { .. });
    if asked && !trains && !reads {
        return Err(Error::usage(
            "the objective `robustness` needs networks that are trained, and this evaluator trains none",
        )
        .hint("leave it out, or take `evaluator = \"training\"`"));
    }
    if !asked || !trains {
        let why = match (trains, reads) {
            (true, _) => "`robustness` is no objective and has no bound",
            (_, true) => "the values of this search are read from a table",
            _ => "this evaluator trains no network to attack",
        };
        return match given {
            None => Ok(None),
            Some(_) => Err(Error::usage(format!(
                "`{place}` (from {from}) has no effect: {why}"
            ))
            .hint("leave it out, or add `robustness` to `search.objectives` of a search that trains")),
        };
    }
    let mut table = given.unwrap_or_default();
    // Typed on a command line the word `true` is a switch.
    if let Some(slope) = table.get_mut("gradient")
        && slope.kind == ValueKind::Boolean(true)
    {
        slope.kind = ValueKind::String("true".to_owned());
    }
    let mut own = Section::open(&place, table, RobustnessPlan::SETTINGS)?;
    let plan = RobustnessPlan::read_all(&mut own)?;
    plan.check(&place)?;
    s.show_table("robustness", own.close());
    Ok(Some(plan))
}

/// The supernet of a strategy that trains one.
fn supernet(
    s: &mut Section,
    strategy: &StrategyPlan,
    evaluator: &EvaluatorPlan,
) -> Result<Option<SupernetPlan>> {
    let (place, from) = (s.at("supernet"), s.origin("supernet"));
    let given = s.table("supernet")?;
    if !strategy.trains_supernet() {
        return match given {
            None => Ok(None),
            Some(_) => Err(Error::usage(format!(
                "`{place}` (from {from}) has no effect: the strategy trains no supernet"
            ))
            .hint("leave it out, or take `strategy = \"darts\"`, `\"gdas\"` or `\"eg\"`")),
        };
    }
    if !evaluator.trains() {
        return Err(Error::usage(
            "a strategy that trains a supernet evaluates what it derives by training it, and `search.evaluator` says otherwise",
        )
        .hint("leave `search.evaluator` out, or take another strategy"));
    }
    let mut own = Section::open(&place, given.unwrap_or_default(), SupernetPlan::SETTINGS)?;
    let plan = SupernetPlan::read_all(&mut own)?;
    if plan.weights == plan.architecture {
        return Err(Error::usage(format!(
            "`{place}.weights` and `{place}.architecture` are both `{}`: the architecture would learn from the samples that the weights fit",
            plan.weights
        ))
        .hint("write `data.parts = { weights = \":50%\", architecture = \"50%:\" }`"));
    }
    if plan.discretise == Discretise::Perturbation && plan.max_skips.is_some() {
        return Err(Error::usage(format!(
            "`{place}.max_skips` has no meaning with `discretise = \"perturbation\"`, which does not look at the weights of candidates"
        ))
        .hint("leave one of them out"));
    }
    if let StrategyPlan::Darts {
        sigmoid: false,
        zero_one,
        ..
    } = strategy
        && *zero_one > 0.0
    {
        return Err(Error::usage(format!(
            "`{}.zero_one` is {zero_one}, and without `sigmoid` weights of candidates cannot all be near 0 or 1",
            s.at("strategy")
        ))
        .hint("set `sigmoid = true`, as FairDARTS has it"));
    }
    s.show_table("supernet", own.close());
    Ok(Some(plan))
}

/// Refuses a strategy whose questions an evaluator cannot tell apart.
fn asks_alike(
    s: &Section,
    strategy: &StrategyPlan,
    evaluator: &EvaluatorPlan,
    space: &Space,
) -> Result<()> {
    let untrained = evaluator.has_network() && !evaluator.trains();
    if untrained && matches!(strategy, StrategyPlan::Halving { .. }) {
        return Err(Error::usage(format!(
            "`{}` trains what it keeps longer, and `{}` trains nothing",
            s.at("strategy"),
            s.at("evaluator")
        ))
        .hint("take `strategy = \"random\"`, `\"list\"` or `\"evolution\"`"));
    }
    match evaluator {
        EvaluatorPlan::Proxy { .. } => proxy::sees(space).map(|_| ()),
        _ => Ok(()),
    }
}

/// What the accuracies after training are compared with.
fn rank(
    s: &mut Section,
    strategy: &StrategyPlan,
    evaluator: &EvaluatorPlan,
) -> Result<Option<RankPlan>> {
    let (place, from) = (s.at("rank"), s.origin("rank"));
    let Some(table) = s.table("rank")? else {
        return Ok(None);
    };
    if !evaluator.trains() || strategy.trains_supernet() {
        return Err(Error::usage(format!(
            "`{place}` (from {from}) compares genotypes by their accuracies after training, and this search has at most one"
        ))
        .hint("take `evaluator = \"training\"` and `strategy = \"random\"` or `\"list\"`"));
    }
    let mut own = Section::open(&place, table, RankPlan::SETTINGS)?;
    let from = own.origin("supernet");
    let plan = RankPlan::read_all(&mut own)?;
    for (i, by) in plan.by.iter().enumerate() {
        if plan.by[..i].contains(by) {
            return Err(
                Error::usage(format!("`{place}.by` has `{}` twice", by.word()))
                    .hint("name each once"),
            );
        }
    }
    let inside = plan.by.iter().find(|by| by.is_of_supernet());
    match (inside, &plan.supernet) {
        _ if plan.by.is_empty() => {
            return Err(Error::usage(format!("`{place}.by` is empty"))
                .hint("name one at least: `by = [\"synflow\"]`"));
        }
        (Some(by), None) => {
            return Err(Error::usage(format!(
                "`{place}.by` has `{}`, and no `{place}.supernet` is named",
                by.word()
            ))
            .hint("set `search.rank.supernet = \"DIR/supernet\"`, or `by` without it"));
        }
        (None, Some(run)) => {
            return Err(Error::usage(format!(
                "`{place}.supernet = \"{run}\"` (from {from}) has no effect: `by` names no value inside of it"
            ))
            .hint("leave it out, or add `supernet-fresh`"));
        }
        _ => {}
    }
    s.show_table("rank", own.close());
    Ok(Some(plan))
}

fn final_training(s: &mut Section, evaluator: &EvaluatorPlan) -> Result<Option<FinalPlan>> {
    let from = s.origin("final");
    let Some(table) = s.table("final")? else {
        return Ok(None);
    };
    if !evaluator.has_network() {
        return Err(Error::usage(format!(
            "`{}` (from {from}) trains networks, and the values of this search are read from a table",
            s.at("final")
        ))
        .hint("leave it out"));
    }
    let mut own = Section::open(&s.at("final"), table, SEARCH_FINAL)?;
    let plan = FinalPlan {
        epochs: own.number("epochs")?,
        random: own.whole("random")?,
        random_rules: own.whole("random_rules")?,
    };
    s.show_table("final", own.close());
    Ok(Some(plan))
}
