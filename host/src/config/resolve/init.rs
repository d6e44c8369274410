//! Where initial weights come from.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use crate::config::section::Section;
use crate::config::shown::Shown;
use crate::config::value::{self, nearest};
use crate::plan::{BlockPlan, InitPlan};
use crate::{Error, Result};

/// Reads `init_from` and `init_blocks`.
pub(super) fn init(top: &mut Section, blocks: &[BlockPlan]) -> Result<Option<InitPlan>> {
    let from = top.opt_text("init_from")?;
    let origin = top.origin("init_blocks");
    let wanted = match top.take("init_blocks")? {
        Some(value) => names(top, value)?,
        None => None,
    };
    let Some(from) = from else {
        return match wanted {
            Some(_) => Err(Error::usage(format!(
                "`init_blocks` has no effect without `init_from` (from {origin})"
            ))
            .hint("name the run or file that has the weights, as `init_from`")),
            None => Ok(None),
        };
    };
    for name in wanted.iter().flat_map(BTreeMap::keys) {
        if !blocks.iter().any(|block| block.name == *name) {
            let names = blocks.iter().map(|block| block.name.as_str());
            let hint = match nearest(name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has `{}`", names.collect::<Vec<_>>().join("`, `")),
            };
            let text = format!("`init_blocks`: the network has no block `{name}` (from {origin})");
            return Err(Error::usage(text).hint(hint));
        }
    }
    Ok(Some(InitPlan {
        from: from.into(),
        blocks: wanted,
    }))
}

/// Blocks with their names in the file: a list of names that are the same in both, or a table.
fn names(top: &mut Section, value: Value) -> Result<Option<BTreeMap<String, String>>> {
    let from = value::origin(&value);
    let wrong = Error::usage(format!(
        "`init_blocks` is {}, expected names in brackets or a table of names (from {from})",
        value::describe(&value)
    ))
    .hint("write `[\"conv1\"]`, or `{ conv1 = \"name in the file\" }`");
    let text = |v: &Value| value::text(v).map(str::to_owned);
    match &value.kind {
        ValueKind::String(word) if word == "none" => Ok(None),
        ValueKind::Array(items) => {
            let names: Option<Vec<String>> = items.iter().map(text).collect();
            let names = names.filter(|names| !names.is_empty()).ok_or(wrong)?;
            let shown = names.iter().cloned().map(toml::Value::String).collect();
            top.show("init_blocks", toml::Value::Array(shown), from);
            Ok(Some(names.into_iter().map(|n| (n.clone(), n)).collect()))
        }
        ValueKind::Table(table) => {
            let pairs = table.iter().map(|(name, v)| Some((name.clone(), text(v)?)));
            let names: Option<BTreeMap<String, String>> = pairs.collect();
            let names = names.filter(|names| !names.is_empty()).ok_or(wrong)?;
            let leaf = |(name, source): (&String, &String)| {
                let value = toml::Value::String(source.clone());
                (name.clone(), Shown::Leaf(value, from.clone()))
            };
            top.show_table("init_blocks", names.iter().map(leaf).collect());
            Ok(Some(names))
        }
        _ => Err(wrong),
    }
}
