//! The reference page of settings, printed from their one definition.

use std::fmt::Write as _;

use super::readers;
use super::settings::{Kind, SectionDoc, Setting, sections};

/// `docs/configuration.md` below its introduction.
#[must_use]
pub fn markdown() -> String {
    let mut text = page(INTRODUCTION, &sections());
    text.push_str(&readers::markdown());
    text
}

/// `introduction`, and a table of the settings of each of `sections`.
#[must_use]
pub fn page(introduction: &str, sections: &[SectionDoc]) -> String {
    let mut text = String::from(introduction);
    for section in sections {
        write_section(&mut text, section);
    }
    text
}

const INTRODUCTION: &str = "\
<!-- printed by `biorule config reference`; a test fails when it is stale -->
# Configuration

An experiment is a TOML file. Values come in layers, later ones on top:

1. defaults, listed below
2. presets: `--preset NAME` or `preset = \"NAME\"` (`biorule config presets`)
3. files: `biorule train a.toml b.toml`
4. environment: `BIORULE__TRAINING__GRADIENT__EPOCHS=20` (names in lower case)
5. flags: `--set training.gradient.epochs=20`, `--seed 3`, `--device cpu`, `--threads 2`

A value is written as in TOML, a number also as `.5`; what does not parse is text.
Whole numbers may be written as `20.0` or `2e1`. Entries of `blocks` and `phases` are reached by number or name: `--set blocks.0.dropout=0.1`,
`--set blocks.conv1.dropout=0.1`; a file does the same with `[blocks.conv1]`.
Changing the kind of a thing (`--set blocks.conv1.activation=relu`) drops the
settings of the former kind, and `none` removes it. A list or a short form in a
later layer replaces the whole.

`biorule config show --origin CONFIG` prints the resolved configuration with
where each value came from, a file with its line. Relative paths start at the working directory.
";

fn write_section(text: &mut String, section: &SectionDoc) {
    let _ = writeln!(text, "\n## `{}`\n\n{}\n", section.place, section.doc);
    text.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for setting in section.settings {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {} |",
            setting.key,
            value(setting),
            meaning(setting)
        );
    }
}

fn value(setting: &Setting) -> String {
    let mut text = match setting.kind {
        Kind::Text => "text".to_owned(),
        Kind::Flag => "true, false".to_owned(),
        Kind::Whole => "whole number".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Choice(words) => format!("`{}`", words.join("`, `")),
        Kind::Pair => "`n`, `[rows, columns]`".to_owned(),
        Kind::Sides => "`n`, `[rows, columns]`, `[t, b, l, r]`, `\"same\"`".to_owned(),
        Kind::Wholes => "whole numbers".to_owned(),
        Kind::Numbers => "numbers".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Formula => "number, formula".to_owned(),
        Kind::Fraction => "number, fraction `\"8/255\"`".to_owned(),
        Kind::Labels => "list of labels or names".to_owned(),
        Kind::Described => String::new(),
        Kind::WordOrNumbers(word) => format!("`{word}`, numbers"),
        Kind::NumberOr(key) => format!("number, `{{ {key} = number }}`"),
        Kind::Table(section) => format!("table `{section}`"),
        Kind::Tables(section) => format!("list of `{section}`"),
    };
    if let Some((low, high)) = setting.range {
        let _ = if high.is_infinite() {
            write!(text, " ≥ {low}")
        } else {
            write!(text, " {low} to {high}")
        };
    }
    if !setting.unit.is_empty() {
        let _ = write!(text, ", {}", setting.unit);
    }
    text
}

fn meaning(setting: &Setting) -> String {
    let mut text = setting.doc.replace('|', "\\|");
    if !setting.source.is_empty() {
        let _ = write!(text, " ({})", setting.source);
    }
    text
}
