//! What was set, and by whom: the values of merged layers as a flat list, and where each path
//! stands in the reference.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use config::{Value, ValueKind};

use crate::config::settings::{self, SectionDoc, Setting};
use crate::config::value::{self, Table};

/// A value that was set.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Its path; entries of lists by name, where they have one.
    pub(super) steps: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: String,
}

/// All values that were set.
#[derive(Clone, Debug)]
pub struct Given {
    leaves: Vec<Leaf>,
    /// A layer without a rule of its own.
    pub(super) needs_rule: bool,
}

impl Given {
    /// The values of merged layers.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let mut leaves = Vec::new();
        collect(&mut Vec::new(), table, &mut leaves);
        let blocks = table.get("blocks");
        Self {
            leaves,
            needs_rule: blocks.is_some_and(needs_rule),
        }
    }

    /// Whether the block called `name` has a rule of its own.
    pub(super) fn names_rule(&self, name: &str) -> bool {
        self.leaves.iter().any(|leaf| {
            let of_block = |pair: &[String]| pair[0] == name && pair[1] == "rule";
            leaf.steps[0] == "blocks" && leaf.steps.windows(2).any(of_block)
        })
    }

    /// Those that ask for something: set by a user, and not what holds anyway.
    pub(super) fn wishes(&self) -> impl Iterator<Item = &Leaf> {
        self.leaves.iter().filter(|leaf| leaf.is_wish())
    }
}

impl Given {
    /// Names of the further sets that a user gave, also with nothing but defaults.
    pub(in crate::config) fn extra_data(&self) -> BTreeSet<&str> {
        let sets = self.leaves.iter().filter_map(|leaf| match &leaf.steps[..] {
            [first, name, ..] if first == "extra_data" && leaf.is_by_user() => Some(name.as_str()),
            _ => None,
        });
        sets.collect()
    }
}

impl Leaf {
    fn is_wish(&self) -> bool {
        let short = self.steps[0] == "training";
        self.is_by_user() && (short || !self.is_default())
    }

    fn is_by_user(&self) -> bool {
        let user = ["file ", "environment ", "`--"];
        user.iter().any(|start| self.origin.starts_with(start))
    }

    /// Whether the value is the default of its setting, of any of the kinds it may belong to.
    fn is_default(&self) -> bool {
        let steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        let Some((place, key)) = locate(&steps) else {
            return false;
        };
        // The default of a kind is that of the table it stands in.
        let (place, key) = match (key, place.rsplit_once('.')) {
            ("kind", Some((outer, table))) => (outer, table),
            _ => (place, key),
        };
        let found = find(place, key);
        let own = value::to_toml(&self.value);
        found.filter(|s| !s.default.is_empty()).any(|setting| {
            let default = value::to_toml(&value::default(setting.default));
            match (value::number(&self.value), default.as_float()) {
                (Some(x), Some(default)) => x == default,
                _ => own == default,
            }
        })
    }
}

fn find<'a>(place: &'a str, key: &'a str) -> impl Iterator<Item = &'static Setting> + 'a {
    static SECTIONS: LazyLock<Vec<SectionDoc>> = LazyLock::new(settings::sections);
    SECTIONS
        .iter()
        .filter(move |section| settings::base(section.place) == place)
        .flat_map(|section| section.settings)
        .filter(move |setting| setting.key == key)
}

fn collect(path: &mut Vec<String>, table: &Table, leaves: &mut Vec<Leaf>) {
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort();
    for key in keys {
        path.push(key.clone());
        match &table[key].kind {
            ValueKind::Table(inner) => collect(path, inner, leaves),
            ValueKind::Array(items) if is_list_of_tables(items) => {
                for (i, item) in items.iter().enumerate() {
                    let ValueKind::Table(inner) = &item.kind else {
                        continue;
                    };
                    let name = inner.get("name").and_then(value::text);
                    path.push(name.map_or_else(|| i.to_string(), str::to_owned));
                    collect(path, inner, leaves);
                    path.pop();
                }
            }
            _ => leaves.push(Leaf {
                steps: path.clone(),
                value: table[key].clone(),
                origin: value::origin(&table[key]),
            }),
        }
        path.pop();
    }
}

fn is_list_of_tables(items: &[Value]) -> bool {
    let table = |item: &Value| matches!(item.kind, ValueKind::Table(_));
    !items.is_empty() && items.iter().all(table)
}

/// Whether a layer in `blocks`, or in a block inside of one, names no rule itself.
fn needs_rule(blocks: &Value) -> bool {
    let ValueKind::Array(blocks) = &blocks.kind else {
        return false;
    };
    blocks.iter().any(|block| {
        let ValueKind::Table(block) = &block.kind else {
            return false;
        };
        let mut needs = block.contains_key("layer") && !block.contains_key("rule");
        value::each_inside(&mut block.clone(), &mut |inner| needs |= needs_rule(inner));
        needs
    })
}

/// The place and key of the reference that a path leads to; hyperparameters of rules are keys of
/// `blocks[].rule`.
#[must_use]
pub fn locate<'a>(steps: &[&'a str]) -> Option<(&'static str, &'a str)> {
    match *steps {
        [key] => Some(("(top)", key)),
        ["extra_data", _] => Some(("(top)", "extra_data")),
        ["data", ref rest @ ..] | ["extra_data", _, ref rest @ ..] => match *rest {
            ["augment", key] => Some(("data.augment", key)),
            ["options", _] => Some(("data", "options")),
            ["parts", _] => Some(("data", "parts")),
            [key] => Some(("data", key)),
            _ => None,
        },
        ["rule", key] => Some(("blocks[].rule", key)),
        ["blocks", _, ref rest @ ..] => block(rest),
        ["training", "local", ref rest @ ..] if !rest.is_empty() => phase("training.local", rest),
        ["training", "gradient", ref rest @ ..] if !rest.is_empty() => {
            phase("training.gradient", rest)
        }
        ["network", key] => Some(("network", key)),
        ["search", key] => Some(("search", key)),
        ["search", part, ref rest @ ..] => search(part, rest),
        ["training", key] => Some(("training", key)),
        ["phases", _, ref rest @ ..] => phase("phases[]", rest),
        ["experiment", key] => Some(("experiment", key)),
        ["experiment", "published", key] => Some(("experiment.published", key)),
        ["output", key] => Some(("output", key)),
        _ => None,
    }
}

fn search<'a>(part: &str, steps: &[&'a str]) -> Option<(&'static str, &'a str)> {
    match (part, steps) {
        ("space", ["params", ..]) => Some(("search.space", "params")),
        ("space", [key]) => Some(("search.space", key)),
        ("strategy", [key]) => Some(("search.strategy", key)),
        ("supernet", [key]) => Some(("search.supernet", key)),
        ("bounds", [key]) => Some(("search.bounds", key)),
        ("evaluator", [key]) => Some(("search.evaluator", key)),
        ("final", [key]) => Some(("search.final", key)),
        ("rank", [key]) => Some(("search.rank", key)),
        _ => None,
    }
}

fn block<'a>(steps: &[&'a str]) -> Option<(&'static str, &'a str)> {
    match *steps {
        ["norm" | "norm_inner" | "norm_after", key] => Some(("blocks[].norm", key)),
        ["rule", key] => Some(("blocks[].rule", key)),
        ["activation", key] => Some(("blocks[].activation", key)),
        ["pool", key] => Some(("blocks[].pool", key)),
        ["residual", "blocks", _, ref rest @ ..] => block(rest),
        ["residual", key] => Some(("blocks[].residual", key)),
        ["side", "blocks", _, ref rest @ ..] => block(rest),
        ["side", key] => Some(("blocks[].side", key)),
        ["graph", _, "from", _, "blocks", _, ref rest @ ..] => block(rest),
        ["graph", _, "from", _, key] => Some(("blocks[].graph[].from[]", key)),
        ["graph", _, key] => Some(("blocks[].graph[]", key)),
        [key] => Some(("blocks[]", key)),
        _ => None,
    }
}

fn phase<'a>(place: &'static str, steps: &[&'a str]) -> Option<(&'static str, &'a str)> {
    match *steps {
        ["optimizer", key] | ["groups", _, "optimizer", key] => Some(("phases[].optimizer", key)),
        ["groups", _, key] => Some(("phases[].groups[]", key)),
        ["gradient_clip", "norm"] => Some((place, "gradient_clip")),
        ["schedule", key] => Some(("phases[].schedule", key)),
        ["local_rate", key] => Some(("phases[].local_rate", key)),
        ["stop", key] => Some(("phases[].stop", key)),
        ["cache", key] => Some(("phases[].cache", key)),
        [key] => Some((place, key)),
        _ => None,
    }
}

/// Whether a path leads to a setting of the reference (or into a rule's hyperparameters).
#[must_use]
pub fn exists(path: &str) -> bool {
    let steps: Vec<&str> = path.split('.').collect();
    let found = locate(&steps);
    found.is_some_and(|(place, key)| place == "blocks[].rule" || find(place, key).next().is_some())
}
