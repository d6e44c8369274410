//! `training`, the short form of phases: a mode, what local phases share and
//! what gradient phases share. Which block is in which phase follows from how
//! its rule learns.

use config::Value;

use crate::config::context::{Credit, PlanContext};
use crate::config::section::Section;
use crate::config::settings::{GRADIENT, LOCAL, Setting, TRAINING};
use crate::config::value::{DEFAULT, Table, make};
use crate::plan::BlockPlan;
use crate::plan::every_block;
use crate::{Error, Result};

/// How the rules of one block learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learns {
    /// No layer in it.
    Nothing,
    /// All rules are local.
    Local,
    /// Its local rule is taught by the labels.
    Taught,
    /// All rules are driven by the error.
    Gradient,
    /// Some are local, others driven by the error, as in cells.
    Mixed,
}

/// Which part of `training` the settings of a phase come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `training.local`.
    Local,
    /// `training.gradient`.
    Gradient,
    /// `training.gradient`, and what only local phases have from `training.local`.
    Both,
}

/// What `training.gradient` lacks and phases of [`Source::Both`] take from `training.local`.
pub const FROM_LOCAL: [&str; 2] = ["local_rate", "stop"];

/// The phases that `training` stands for, as entries of `phases`.
pub(super) fn phases(
    top: &mut Section,
    blocks: &[BlockPlan],
    context: &dyn PlanContext,
) -> Result<Vec<(Table, Source)>> {
    let table = top.table("training")?.unwrap_or_default();
    let mut training = Section::open("training", table, TRAINING)?;
    let learns = learning(blocks, context)?;
    let local_first = learns.iter().any(|(_, l)| matches!(l, Learns::Local));
    let mixed = learns.iter().find(|(_, l)| *l == Learns::Mixed);
    let from = training.origin("mode");
    let given: Option<String> = training.opt_choice("mode")?;
    let mode = given.unwrap_or_else(|| {
        let usual = if mixed.is_some() {
            // Both kinds learn in each step: no phase can take one of them.
            "simultaneous"
        } else if local_first {
            "successive"
        } else {
            "end-to-end"
        };
        usual.to_owned()
    });
    if let (Some((name, _)), true) = (mixed, mode != "simultaneous") {
        return Err(Error::usage(format!(
            "`training.mode` is `{mode}` (from {from}), and block `{name}` mixes local and error-driven rules, which learn in one phase alone"
        ))
        .hint("leave `training.mode` out, or set `simultaneous`"));
    }
    let shared = Shared {
        local: part(&mut training, "local", LOCAL)?,
        gradient: part(&mut training, "gradient", GRADIENT)?,
        from,
    };
    match mode.as_str() {
        "successive" => Ok(successive(&learns, &shared)),
        "consecutive" => Ok(consecutive(&learns, &shared)),
        "simultaneous" => Ok(vec![shared.phase("train", &names(&learns), "both")]),
        _ => end_to_end(&learns, &shared),
    }
}

/// What phases of each kind share, and where the mode was set.
struct Shared {
    local: Table,
    gradient: Table,
    from: String,
}

impl Shared {
    /// One entry of `phases`.
    fn phase(&self, name: &str, blocks: &[String], drive: &str) -> (Table, Source) {
        let taught = drive == "taught";
        let source = match drive {
            "local" => Source::Local,
            "both" | "taught" => Source::Both,
            _ => Source::Gradient,
        };
        let mut table = match drive {
            "local" => self.local.clone(),
            _ => self.gradient.clone(),
        };
        // The loss does not drive a taught phase: it has no metrics of it to stop by, nor weights
        // or smoothing.
        if taught {
            table.remove("stop");
            table.remove("class_weights");
            table.remove("label_smoothing");
        }
        // A simultaneous phase also has what only local phases have.
        if drive == "both" || taught {
            for key in FROM_LOCAL {
                if let Some(v) = self.local.get(key) {
                    table.insert(key.to_owned(), v.clone());
                }
            }
        }
        let drive = if taught { "local" } else { drive };
        let list: Vec<Value> = blocks
            .iter()
            .map(|b| make(b.as_str(), &self.from))
            .collect();
        table.insert("name".into(), make(name, &self.from));
        table.insert("blocks".into(), make(list, &self.from));
        table.insert("drive".into(), make(drive, &self.from));
        (table, source)
    }
}

/// The settings of `training.KEY` with their defaults, which differ from those of a phase.
fn part(training: &mut Section, key: &str, settings: &'static [Setting]) -> Result<Table> {
    let table = training.table(key)?.unwrap_or_default();
    let mut s = Section::open(&training.at(key), table, settings)?;
    let mut values = Table::new();
    for setting in settings {
        if let Some(v) = s.take(setting.key)? {
            values.insert(setting.key.to_owned(), v);
        }
    }
    Ok(values)
}

/// Each block's name and how it learns.
fn learning(blocks: &[BlockPlan], context: &dyn PlanContext) -> Result<Vec<(String, Learns)>> {
    blocks
        .iter()
        .map(|block| Ok((block.name.clone(), block_learning(block, context)?)))
        .collect()
}

fn block_learning(block: &BlockPlan, context: &dyn PlanContext) -> Result<Learns> {
    let mut found = Learns::Nothing;
    for inner in every_block(std::slice::from_ref(block)) {
        let Some(layer) = &inner.layer else { continue };
        let schema = context.rule(&layer.rule)?;
        let one = match schema.credit {
            Credit::Local if schema.is_taught(&layer.params) => Learns::Taught,
            Credit::Local => Learns::Local,
            Credit::Feedback | Credit::Direct => Learns::Gradient,
        };
        found = match found {
            Learns::Nothing => one,
            same if same == one => one,
            _ => Learns::Mixed,
        };
    }
    Ok(found)
}

fn names(learns: &[(String, Learns)]) -> Vec<String> {
    learns.iter().map(|(name, _)| name.clone()).collect()
}

/// Groups of blocks: each block with a layer, together with those before it
/// that have none (their statistics move with it); what trails joins the last.
fn groups(learns: &[(String, Learns)]) -> Vec<(Vec<String>, Learns)> {
    let mut groups: Vec<(Vec<String>, Learns)> = Vec::new();
    let mut waiting = Vec::new();
    for (name, how) in learns {
        waiting.push(name.clone());
        if *how != Learns::Nothing {
            groups.push((std::mem::take(&mut waiting), *how));
        }
    }
    if let Some((last, _)) = groups.last_mut() {
        last.extend(waiting);
    }
    groups
}

fn drive(how: Learns) -> &'static str {
    match how {
        Learns::Local => "local",
        Learns::Taught => "taught",
        Learns::Mixed => "both",
        Learns::Gradient | Learns::Nothing => "gradient",
    }
}

fn successive(learns: &[(String, Learns)], shared: &Shared) -> Vec<(Table, Source)> {
    groups(learns)
        .into_iter()
        .map(|(blocks, how)| {
            let name = learns
                .iter()
                .rfind(|(n, l)| blocks.contains(n) && *l != Learns::Nothing)
                .map_or_else(String::new, |(n, _)| n.clone());
            shared.phase(&name, &blocks, drive(how))
        })
        .collect()
}

fn consecutive(learns: &[(String, Learns)], shared: &Shared) -> Vec<(Table, Source)> {
    let groups = groups(learns);
    let kinds = [
        (Learns::Local, "local"),
        (Learns::Taught, "taught"),
        (Learns::Gradient, "gradient"),
    ];
    kinds
        .into_iter()
        .filter_map(|(kind, name)| {
            let blocks: Vec<String> = groups
                .iter()
                .filter(|(_, how)| *how == kind)
                .flat_map(|(blocks, _)| blocks.clone())
                .collect();
            (!blocks.is_empty()).then(|| shared.phase(name, &blocks, drive(kind)))
        })
        .collect()
}

fn end_to_end(learns: &[(String, Learns)], shared: &Shared) -> Result<Vec<(Table, Source)>> {
    let local = |l: &Learns| matches!(l, Learns::Local | Learns::Taught);
    if let Some((name, _)) = learns.iter().find(|(_, l)| local(l)) {
        let from = if shared.from == DEFAULT {
            String::new()
        } else {
            format!(" (from {})", shared.from)
        };
        return Err(Error::usage(format!(
            "mode `end-to-end` trains no local rule, and block `{name}` has one{from}"
        ))
        .hint("use `successive`, `consecutive` or `simultaneous`"));
    }
    Ok(vec![shared.phase("train", &names(learns), "gradient")])
}
