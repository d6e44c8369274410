//! `docs/rules.md`: every rule with its hyperparameters, from what the plugins
//! say of themselves.

use std::fmt::Write as _;

use super::rule_words::{LEARNS_IN_EVALUATION, kind_text, layers, value_text};
use crate::config::RuleSchema;
use crate::text::capital;

/// The page.
pub(super) fn markdown(rules: &[&RuleSchema]) -> String {
    let mut text = String::from(
        "# Rules\n\n<!-- Written by `biorule rules describe --markdown`; a test fails while it is stale. -->\n\n\
         | rule | credit | layers | what it is |\n| --- | --- | --- | --- |\n",
    );
    for rule in rules {
        let anchor: String = rule.name.chars().filter(|c| *c != '/').collect();
        let _ = writeln!(
            text,
            "| [`{}`](#{anchor}) | {} | {} | {} |",
            rule.name,
            rule.credit.word(),
            layers(rule),
            cell(&rule.summary)
        );
    }
    for rule in rules {
        let _ = write!(
            text,
            "\n## `{}`\n\n{}. {} credit; layers: {}.\n",
            rule.name,
            capital(&rule.summary),
            capital(rule.credit.word()),
            layers(rule)
        );
        if !rule.source.is_empty() {
            let _ = write!(text, "\nSource: {}.\n", rule.source.trim_end_matches('.'));
        }
        if rule.learns_in_evaluation {
            let _ = write!(text, "\nIn evaluation it {LEARNS_IN_EVALUATION}.\n");
        }
        let params: Vec<_> = rule.params.iter().flatten().collect();
        if params.is_empty() {
            continue;
        }
        text.push_str("\n| hyperparameter | value | default | meaning | source |\n| --- | --- | --- | --- | --- |\n");
        for p in params {
            let default = p.default.as_ref().map_or(String::new(), value_text);
            let _ = writeln!(
                text,
                "| `{}` | {} | `{default}` | {} | {} |",
                p.name,
                cell(&kind_text(p)),
                cell(&p.doc),
                cell(&p.source)
            );
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
