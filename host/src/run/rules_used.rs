//! What to do where a run would go on with other libraries than it began with.

use super::identity::{PluginRecord, RunRecord};
use super::rule_use::RuleUse;
use crate::text::short;
use crate::{Error, Result};

/// What differs between the rules that the run of `record` learned with and `now`, a line for each
/// library; empty where nothing does.
pub(super) fn differences(record: &RunRecord, now: &[RuleUse]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for used in now {
        let mut same_block = record.rules.iter().filter(|r| r.block == used.block);
        let before = same_block.find(|r| r.rule == used.rule);
        // Programs before this one wrote down which plugins were loaded, not which were used.
        let digest = match before {
            Some(before) => Some(&before.sha256),
            None => plugin(&record.plugins, &used.plugin).map(|p| &p.sha256),
        };
        let Some(digest) = digest.filter(|digest| **digest != used.sha256) else {
            continue;
        };
        let mut line = format!(
            "rule `{}` comes from another build of `{}`, {} in place of {}",
            used.rule,
            used.plugin,
            short(&used.sha256),
            short(digest)
        );
        for (name, value) in &used.params {
            match before.map(|before| before.params.get(name)) {
                Some(Some(was)) if was != value => {
                    line.push_str(&format!("; its `{name}` was {was} and is {value}"));
                }
                Some(None) => line.push_str(&format!("; its `{name}` is new, {value}")),
                _ => {}
            }
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn plugin<'a>(plugins: &'a [PluginRecord], name: &str) -> Option<&'a PluginRecord> {
    plugins.iter().find(|plugin| plugin.name == name)
}

/// Refuses to go on with other libraries, unless that is accepted: then what to tell.
pub(super) fn judge(lines: Vec<String>, accept: bool) -> Result<Vec<String>> {
    if lines.is_empty() || accept {
        let told = lines.into_iter();
        return Ok(told
            .map(|line| format!("{line}: from here results are those of the other build"))
            .collect());
    }
    Err(Error::plugin(format!(
        "the run began with other libraries: {}",
        lines.join("; ")
    ))
    .hint("put the former library back, or go on with the one that is there by `--accept-plugins`"))
}
