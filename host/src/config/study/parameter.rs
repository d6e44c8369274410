//! The parameters of a study file: paths, ranges and choices, completed from the schema of the rule
//! or setting that they lead to.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::settings::PARAMETER;
use crate::config::context::{ParamKind, PlanContext};
use crate::config::layers;
use crate::config::readers::locate;
use crate::config::section::Section;
use crate::config::settings::{self, Kind, base as place_of};
use crate::config::value::{self, Table, make, nearest};
use crate::sweep::domain::{Choice, Domain};
use crate::sweep::{Parameter, Space};
use crate::{Error, Result};

/// `value` as a value of a configuration.
pub(super) fn of_toml(value: &toml::Value, origin: &str) -> Value {
    match value {
        toml::Value::String(text) => make(text.as_str(), origin),
        toml::Value::Integer(n) => make(*n, origin),
        toml::Value::Float(x) => make(*x, origin),
        toml::Value::Boolean(b) => make(*b, origin),
        toml::Value::Datetime(time) => make(time.to_string(), origin),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| of_toml(item, origin));
            make(items.collect::<Vec<_>>(), origin)
        }
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(k, v)| (k.clone(), of_toml(v, origin)));
            make(entries.collect::<Table>(), origin)
        }
    }
}

/// What is known of the setting that a parameter leads to.
#[derive(Default)]
struct Known {
    /// What it is called in messages: `` `delta` of `krotov` ``.
    what: String,
    kind: KnownKind,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Default)]
enum KnownKind {
    Whole,
    Number,
    Words(Vec<String>),
    Flag,
    #[default]
    Other,
}

/// Reads all parameters; what a rule's or setting's schema says of them is taken from there. Without a
/// `context` nothing is.
///
/// # Errors
/// Usage error for a study without any, and for what is missing or wrong in one.
pub(super) fn read(
    given: Option<Value>,
    base: &Table,
    study: &str,
    context: Option<&dyn PlanContext>,
) -> Result<Vec<Parameter>> {
    let table = match given.map(|v| (value::origin(&v), v.kind)) {
        Some((_, ValueKind::Table(table))) if !table.is_empty() => table,
        Some((from, kind)) if !matches!(kind, ValueKind::Table(_)) => {
            let text = format!("`parameters` is not a table (from {from})");
            return Err(Error::usage(text).hint("write `[parameters.NAME]` for each"));
        }
        _ => {
            return Err(Error::usage("the study has no parameters").hint(
                "write `[parameters]` with what is varied, such as `\"training.gradient.optimizer.lr\" = { low = 1e-4, high = 1e-1, log = true }`",
            ));
        }
    };
    let mut left: Vec<(String, Value)> = table.into_iter().collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    let mut done: BTreeMap<String, Parameter> = BTreeMap::new();
    // Those that others depend on first: they say which rule there is.
    while !left.is_empty() {
        let ready = left.iter().position(|(_, v)| {
            let named = conditions(v);
            named
                .iter()
                .all(|n| done.contains_key(n) || !left.iter().any(|(l, _)| l == n))
        });
        let (name, value) = left.remove(ready.unwrap_or(0));
        let one = parameter(&name, value, (base, study), &done, context)?;
        done.insert(name, one);
    }
    Ok(done.into_values().collect())
}

/// Names of the parameters that conditions of `value` name.
fn conditions(value: &Value) -> Vec<String> {
    let ValueKind::Table(table) = &value.kind else {
        return Vec::new();
    };
    match table.get("when").map(|v| &v.kind) {
        Some(ValueKind::Table(when)) => when.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn parameter(
    name: &str,
    given: Value,
    (base, study): (&Table, &str),
    others: &BTreeMap<String, Parameter>,
    context: Option<&dyn PlanContext>,
) -> Result<Parameter> {
    let at = format!("parameters.{name}");
    let from = value::origin(&given);
    let ValueKind::Table(mut table) = given.kind else {
        let text = format!("`{at}` is not a table (from {from})");
        return Err(Error::usage(text)
            .hint("write `{ low = …, high = … }`, `{ choices = […] }`, or `{}` for the range of the schema"));
    };
    for key in ["paths", "labels"] {
        if let Some(one) = table.get(key)
            && value::text(one).is_some()
        {
            let from = value::origin(one);
            let list = make(vec![one.clone()], &from);
            table.insert(key.to_owned(), list);
        }
    }
    let (choices, when) = (table.remove("choices"), table.remove("when"));
    let whole_ends = ["low", "high"].iter().all(|key| {
        table
            .get(*key)
            .is_none_or(|v| !matches!(v.kind, ValueKind::Float(_)))
    });
    let mut section = Section::open(&at, table, PARAMETER)?;
    let paths = section
        .opt_texts("paths")?
        .unwrap_or_else(|| vec![name.to_owned()]);
    let when = conditions_of(when, &at, others)?;
    let Some(first) = paths.first() else {
        return Err(
            Error::usage(format!("`{at}.paths` is empty")).hint("leave it out, or name settings")
        );
    };
    // Beside the first choices that make it active.
    let mut laid = Vec::new();
    for (other, allowed) in &when {
        if let (Some(other), Some(choice)) = (others.get(other), allowed.first())
            && let Domain::Choices(all) = &other.domain
            && let Some(choice) = all.get(*choice)
        {
            let origin = format!("file `{study}`, parameter `{}`", other.name);
            let value = |path: &String| (path.clone(), of_toml(&choice.value, &origin));
            laid.extend(other.paths.iter().map(value));
        }
    }
    let known = match context {
        // A stored one has everything written out.
        None => Known::default(),
        Some(context) => {
            let beside = layers::lay(base.clone(), laid)?;
            known(first, &beside, context).map_err(|e| e.within(format_args!("`{at}`")))?
        }
    };
    let domain = domain(&at, &mut section, choices, &known, whole_ends)?;
    Ok(Parameter {
        name: name.to_owned(),
        paths,
        domain,
        when,
    })
}

/// Reads `when`.
fn conditions_of(
    when: Option<Value>,
    at: &str,
    others: &BTreeMap<String, Parameter>,
) -> Result<Vec<(String, Vec<usize>)>> {
    let Some(when) = when else {
        return Ok(Vec::new());
    };
    let ValueKind::Table(table) = when.kind else {
        return Err(Error::usage(format!("`{at}.when` is not a table"))
            .hint("write `when = { PARAMETER = \"choice\" }`"));
    };
    let mut all: Vec<(String, Value)> = table.into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut conditions = Vec::new();
    for (name, value) in all {
        let Some(other) = others.get(&name) else {
            // The space says which names there are.
            conditions.push((name, Vec::new()));
            continue;
        };
        let Domain::Choices(_) = &other.domain else {
            let text = format!("`{at}.when` names `{name}`, which has a range and no choices");
            return Err(Error::usage(text).hint("give that parameter `choices`"));
        };
        let list = match value.kind {
            ValueKind::Array(items) => items,
            _ => vec![value],
        };
        let mut allowed = Vec::new();
        for item in &list {
            let json = serde_json::to_value(value::to_toml(item)).unwrap_or_default();
            let one = other.domain.read(&json);
            let one = one.map_err(|e| e.within(format_args!("`{at}.when.{name}`")))?;
            if let crate::sweep::Value::Choice(i) = one {
                allowed.push(i);
            }
        }
        conditions.push((name, allowed));
    }
    Ok(conditions)
}

/// What the schema says of the setting at `path` of `table`.
fn known(path: &str, table: &Table, context: &dyn PlanContext) -> Result<Known> {
    let steps: Vec<&str> = path.split('.').collect();
    let Some((place, key)) = locate(&steps) else {
        return Ok(Known::default());
    };
    if place == "blocks[].rule" && key != "name" {
        let Some(rule) = rule_at(&steps, table) else {
            return Ok(Known::default());
        };
        let schema = context.rule(&rule)?;
        let Some(params) = &schema.params else {
            return Ok(Known::default());
        };
        let Some(own) = params.iter().find(|p| p.name == key) else {
            let text = format!("rule `{rule}` has no hyperparameter `{key}`");
            let names = || params.iter().map(|p| p.name.as_str());
            return Err(match nearest(key, names()) {
                Some(near) => Error::usage(text).hint(format!("did you mean `{near}`?")),
                None => {
                    Error::usage(text).hint(format!("`biorule rules describe {rule}` lists them"))
                }
            });
        };
        return Ok(Known {
            what: format!("`{key}` of `{rule}`"),
            kind: match &own.kind {
                ParamKind::Bool => KnownKind::Flag,
                ParamKind::Int => KnownKind::Whole,
                ParamKind::Float => KnownKind::Number,
                ParamKind::Choice(words) => KnownKind::Words(words.clone()),
                ParamKind::Text => KnownKind::Other,
            },
            min: own.min,
            max: own.max,
        });
    }
    let sections = settings::sections();
    let found = sections
        .iter()
        .filter(|section| place_of(section.place) == place)
        .flat_map(|section| section.settings)
        .find(|setting| setting.key == key);
    let Some(setting) = found else {
        return Ok(Known::default());
    };
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    Ok(Known {
        what: format!("`{path}`"),
        kind: match setting.kind {
            Kind::Whole | Kind::Pair | Kind::Sides => KnownKind::Whole,
            Kind::Number | Kind::Fraction | Kind::Formula | Kind::NumberOr(_) => KnownKind::Number,
            Kind::Flag => KnownKind::Flag,
            Kind::Choice(words) => {
                KnownKind::Words(words.iter().map(|w| (*w).to_owned()).collect())
            }
            _ => KnownKind::Other,
        },
        min: setting.range.and_then(|(low, _)| finite(low)),
        max: setting.range.and_then(|(_, high)| finite(high)),
    })
}

/// The rule of the block that `steps` lead into.
fn rule_at(steps: &[&str], table: &Table) -> Option<String> {
    let rule = |value: &Value| match &value.kind {
        ValueKind::String(name) => Some(name.clone()),
        ValueKind::Table(rule) => rule.get("name").and_then(value::text).map(str::to_owned),
        _ => None,
    };
    let shared = || table.get("rule").and_then(rule);
    if steps.first() == Some(&"rule") {
        return shared();
    }
    let mut at = table.get("blocks")?;
    let way = &steps[1..steps.iter().position(|s| *s == "rule")?];
    for step in way {
        at = match &at.kind {
            ValueKind::Table(inner) => inner.get(*step)?,
            ValueKind::Array(items) => match step.parse::<usize>() {
                Ok(i) => items.get(i)?,
                Err(_) => items.iter().find(|item| match &item.kind {
                    ValueKind::Table(t) => t.get("name").and_then(value::text) == Some(step),
                    _ => false,
                })?,
            },
            _ => return None,
        };
    }
    match &at.kind {
        ValueKind::Table(block) => block.get("rule").and_then(rule).or_else(shared),
        _ => None,
    }
}

fn domain(
    at: &str,
    section: &mut Section,
    choices: Option<Value>,
    known: &Known,
    whole_ends: bool,
) -> Result<Domain> {
    let labels = section.opt_texts("labels")?;
    if let Some(choices) = choices {
        for key in ["low", "high", "step", "points", "int", "log"] {
            if section.has(key) {
                let text = format!("`{at}` has both `choices` and `{key}`");
                return Err(Error::usage(text).hint("choices have no range: remove one of them"));
            }
        }
        return self::choices(at, &choices, labels.as_deref());
    }
    let has_range = section.has("low") || section.has("high");
    match &known.kind {
        KnownKind::Words(words) if !has_range => {
            let plain = |word: &String| Choice::plain(toml::Value::String(word.clone()));
            return Ok(Domain::Choices(words.iter().map(plain).collect()));
        }
        KnownKind::Flag if !has_range => {
            let plain = |flag| Choice::plain(toml::Value::Boolean(flag));
            return Ok(Domain::Choices([false, true].map(plain).into()));
        }
        KnownKind::Words(_) | KnownKind::Flag => {
            return Err(
                Error::usage(format!("`{at}` has a range, and {} has words", known.what))
                    .hint("leave the range out, or give `choices`"),
            );
        }
        _ => {}
    }
    let mut end = |key: &str, schema: Option<f64>, side: &str| {
        if let Some(x) = section.opt_number(key)? {
            return Ok(x);
        }
        schema.filter(|x| x.is_finite()).ok_or_else(|| match known.what.as_str() {
            "" => Error::usage(format!("`{at}` has neither `choices` nor `{key}`")).hint(
                "give `low` and `high`, or `choices`; only hyperparameters of rules and settings with limits have a range of their own",
            ),
            what => Error::usage(format!("`{at}` has no `{key}`, and the schema of {what} has no {side} limit"))
                .hint(format!("give `{key}`")),
        })
    };
    let low = end("low", known.min, "lower")?;
    let high = end("high", known.max, "upper")?;
    if low > high {
        return Err(Error::usage(format!("`{at}` goes from {low} to {high}"))
            .hint("exchange `low` and `high`"));
    }
    let limits = || {
        let word = |x: Option<f64>| x.map_or("any".to_owned(), |x| x.to_string());
        format!("{} to {}", word(known.min), word(known.max))
    };
    if known.min.is_some_and(|min| low < min) || known.max.is_some_and(|max| high > max) {
        return Err(Error::usage(format!(
            "`{at}` goes from {low} to {high}, and the schema of {} allows {}",
            known.what,
            limits()
        ))
        .hint("narrow `low` and `high`, or leave them out for the schema's own"));
    }
    let log = section.opt_flag("log")?.unwrap_or(false);
    if log && low <= 0.0 {
        return Err(
            Error::usage(format!("`{at}` is logarithmic and starts at {low}"))
                .hint("give a `low` above 0, or `log = false`"),
        );
    }
    let int = section.opt_flag("int")?.unwrap_or(match known.kind {
        KnownKind::Whole => true,
        KnownKind::Number => false,
        _ => whole_ends,
    });
    let step = section.opt_number("step")?;
    let points = section.opt_whole("points")?;
    if let Some(step) = step.filter(|step| *step <= 0.0) {
        return Err(Error::usage(format!("`{at}.step` is {step}")).hint("give one above 0"));
    }
    if points.is_some() && (int || step.is_some()) {
        let text = format!("`{at}.points` is for ranges without steps");
        return Err(Error::usage(text).hint("remove it; a grid takes every step"));
    }
    if int {
        let step = step.unwrap_or(1.0);
        if [low, high, step]
            .iter()
            .any(|x| x.fract() != 0.0 || x.abs() > 1e15)
        {
            return Err(Error::usage(format!(
                "`{at}` is of whole numbers, and goes from {low} to {high} in steps of {step}"
            ))
            .hint("give whole numbers, or `int = false`"));
        }
        let (low, high, step) = (low as i64, high as i64, step as i64);
        return Ok(Domain::Whole {
            low,
            high: low + (high - low) / step * step,
            step,
            log,
        });
    }
    match step {
        Some(_) if log => Err(Error::usage(format!("`{at}` has both `log` and `step`"))
            .hint("remove one of them; `points` are the values of a logarithmic grid")),
        Some(step) => Ok(Domain::stepped(low, high, step)),
        None => Ok(Domain::Real {
            low,
            high,
            log,
            points,
        }),
    }
}

/// The domain of a list of choices.
fn choices(at: &str, given: &Value, labels: Option<&[String]>) -> Result<Domain> {
    let ValueKind::Array(items) = &given.kind else {
        let text = format!(
            "`{at}.choices` is {}, expected a list",
            value::describe(given)
        );
        return Err(Error::usage(text).hint("write `choices = [\"softhebb\", \"krotov\"]`"));
    };
    if items.is_empty() {
        return Err(Error::usage(format!("`{at}.choices` is empty")).hint("give at least one"));
    }
    if let Some(labels) = labels
        && labels.len() != items.len()
    {
        let text = format!(
            "`{at}` has {} labels for {} choices",
            labels.len(),
            items.len()
        );
        return Err(Error::usage(text).hint("give one for each"));
    }
    let mut all: Vec<Choice> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let plain = Choice::plain(value::to_toml(item));
        let named = |t: &Table| {
            let word = |key: &str| t.get(key).and_then(value::text).map(str::to_owned);
            word("name")
                .or_else(|| word("kind"))
                .or_else(|| word("set"))
        };
        let label = match (labels, &item.kind) {
            (Some(labels), _) => labels[i].clone(),
            (None, ValueKind::Table(t)) => named(t).unwrap_or_else(|| i.to_string()),
            (None, _) => plain.label.clone(),
        };
        if all.iter().any(|c| c.label == label) {
            let text = format!("two choices of `{at}` are called `{label}`");
            return Err(Error::usage(text).hint("give `labels`, one for each choice"));
        }
        all.push(Choice {
            label,
            value: plain.value,
        });
    }
    Ok(Domain::Choices(all))
}

/// The parameters of `space` with everything that a schema gave written out.
pub(super) fn normal(space: &Space) -> toml::Table {
    let mut all = toml::Table::new();
    for one in space.parameters() {
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
        put("paths", one.paths.clone().into());
        match &one.domain {
            Domain::Real {
                low,
                high,
                log,
                points,
            } => {
                put("low", (*low).into());
                put("high", (*high).into());
                put("log", (*log).into());
                put("int", false.into());
                if let Some(points) = points {
                    put("points", (*points as i64).into());
                }
            }
            Domain::Stepped { low, step, count } => {
                put("low", (*low).into());
                put("high", (low + (*count - 1) as f64 * step).into());
                put("step", (*step).into());
                put("int", false.into());
            }
            Domain::Whole {
                low,
                high,
                step,
                log,
            } => {
                put("low", (*low).into());
                put("high", (*high).into());
                put("step", (*step).into());
                put("log", (*log).into());
                put("int", true.into());
            }
            Domain::Choices(choices) => {
                let values: Vec<toml::Value> = choices.iter().map(|c| c.value.clone()).collect();
                let labels: Vec<String> = choices.iter().map(|c| c.label.clone()).collect();
                put("choices", values.into());
                put("labels", labels.into());
            }
        }
        if !one.when.is_empty() {
            let label = |name: &str, i: usize| match space.find(name).map(|p| &p.domain) {
                Some(Domain::Choices(all)) => {
                    all.get(i).map(|c| c.label.clone()).unwrap_or_default()
                }
                _ => String::new(),
            };
            let entries = one.when.iter().map(|(name, allowed)| {
                let labels: Vec<String> = allowed.iter().map(|i| label(name, *i)).collect();
                (name.clone(), toml::Value::from(labels))
            });
            put("when", toml::Value::Table(entries.collect()));
        }
        all.insert(one.name.clone(), table.into());
    }
    all
}
