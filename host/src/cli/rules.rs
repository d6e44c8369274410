//! `biorule rules`: the rules of all plugins found.

mod bench;
mod dev;
pub(super) mod lock;
mod new;
mod store;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::rule_words::{LEARNS_IN_EVALUATION, kind_text, layers, value_text};
use super::{Host, Open};
use crate::config::{ParamKind, RuleSchema, nearest};
use crate::plugins::{check, trial};
use crate::text::{print, print_json, table};
use crate::{Error, ExitCode, Result};

/// `biorule rules …`
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List rules, and plugin files that were refused
    List(ListArgs),
    /// Print a rule's hyperparameters with default, range, unit and source
    Describe(DescribeArgs),
    /// Make a crate with a rule of your own, which works from the start
    New(new::NewArgs),
    /// Verify what a plugin's rules claim of themselves
    Check(CheckArgs),
    /// Measure what a step costs beside backpropagation and the nearest shipped rule
    Bench(bench::BenchArgs),
    /// Build at each change of the source, and go on with an experiment by the new library
    Dev(dev::DevArgs),
    /// Say what a plugin's file says of itself: version, authors, digest; nothing of it is run
    Info(store::InfoArgs),
    /// Keep a library, or those of an archive, in your own folder, where every command finds it
    Add(store::AddArgs),
    /// Remove a plugin that was added
    Remove(store::RemoveArgs),
    /// Write down which libraries an experiment's rules come from; `train --locked` refuses others
    Lock(lock::LockArgs),
    /// Open library files on trial, in a process that may crash; other commands start it
    #[command(hide = true)]
    Trial {
        /// Printed with the number of each file that is open
        mark: String,
        /// The files
        files: Vec<PathBuf>,
    },
}

/// `biorule rules list`
#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    folders: Folders,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule rules describe`
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  biorule rules describe softhebb")]
pub struct DescribeArgs {
    /// The rule; absent: all
    name: Option<String>,
    #[command(flatten)]
    folders: Folders,
    /// As JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// As the page `docs/rules.md`
    #[arg(long)]
    markdown: bool,
}

/// `biorule rules check`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules check target/release/libbiorule_softhebb.so
  biorule rules check softhebb
  biorule rules check mine.so --only claims,zero-rate
  biorule rules check mine.so --json --junit report.xml
  biorule rules check mine.so --in-process --rule mine --only steps    under a debugger

Exit codes: 0 all passed or skipped, 2 usage, 4 a check did not pass or the file is refused.")]
pub struct CheckArgs {
    /// The plugin's library file, or the name of a rule that is loaded
    #[arg(value_name = "FILE_OR_RULE", required_unless_present = "list")]
    path: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Only this rule
    #[arg(long)]
    rule: Option<String>,
    /// Also as a JUnit file, for CI systems
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only these checks, or groups of checks (`--list` shows both)
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<String>,
    /// List the checks
    #[arg(long)]
    list: bool,
    /// In this process instead of one child for each check, for a debugger
    #[arg(long)]
    in_process: bool,
    /// Seconds that one check may take
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// MiB of memory that one check may take beyond what the program takes
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    memory: u64,
    /// What is drawn at random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Where to look for plugins.
#[derive(Args, Debug)]
struct Folders {
    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,
}

impl Folders {
    fn open(&self, open: Open) -> Result<Box<dyn Host>> {
        super::plugin_folders::open(open, &self.plugins, &Default::default())
    }
}

impl RulesCommand {
    /// Whether this process is one that another command starts to open plugins in.
    pub(super) fn is_child(&self) -> bool {
        match self {
            Self::Trial { .. } => true,
            Self::Check(args) => args.in_process,
            _ => false,
        }
    }
}

/// Runs the command.
pub(super) fn run(command: &RulesCommand, open: Open) -> Result<()> {
    match command {
        RulesCommand::List(args) => list(&*args.folders.open(open)?, args.json),
        RulesCommand::Describe(args) => {
            let host = args.folders.open(open)?;
            describe(&*host, args)
        }
        RulesCommand::New(args) => new::run(args),
        RulesCommand::Bench(args) => bench::run(args),
        RulesCommand::Dev(args) => dev::run(args),
        RulesCommand::Info(args) => store::info(args),
        RulesCommand::Add(args) => store::add(args),
        RulesCommand::Remove(args) => store::remove(args),
        RulesCommand::Lock(args) => lock::write(args, open),
        RulesCommand::Trial { mark, files } => {
            trial::in_this_process(mark, files);
            Ok(())
        }
        RulesCommand::Check(args) if args.list => {
            let mut table = table(&["group", "check"]);
            for (group, check) in check::names() {
                table.add_row(vec![group, check]);
            }
            print(&format!("{table}\n"))
        }
        RulesCommand::Check(args) => {
            let (path, named) = file_of(args, open)?;
            let options = check::Options {
                json: args.json,
                junit: args.junit.clone(),
                in_process: args.in_process,
                rule: args.rule.clone().or(named),
                only: args.only.clone(),
                seconds: args.seconds,
                memory: args.memory,
                seed: args.seed,
            };
            if args.in_process {
                check::confine(args.memory);
            }
            let checked = check::run(&path, &options)?;
            print(&checked.text)?;
            checked.failure.map_or(Ok(()), Err)
        }
    }
}

/// The library file that is to be checked. A word that is no file is the name of a rule, which is
/// then checked alone, or of a family: `hebbian` for `hebbian/oja` and others.
fn file_of(args: &CheckArgs, open: Open) -> Result<(PathBuf, Option<String>)> {
    let path = args.path.as_deref().unwrap_or(Path::new(""));
    let is_word = path.extension().is_none() && path.is_relative();
    let Some(word) = path.to_str().filter(|_| is_word && !path.exists()) else {
        return Ok((path.to_path_buf(), None));
    };
    let host = super::plugin_folders::open(open, &[], &Default::default())?;
    let plugins = host.plugins();
    let family = format!("{word}/");
    let has = |name: &String| name == word || name.starts_with(&family);
    if let Some(plugin) = plugins.iter().find(|p| p.rules.iter().any(has)) {
        let alone = plugin.rules.iter().any(|name| name == word);
        return Ok((plugin.path.clone(), alone.then(|| word.to_owned())));
    }
    let e = Error::usage(format!("`{word}` is neither a file nor the name of a rule"));
    let names = plugins
        .iter()
        .flat_map(|p| p.rules.iter().map(String::as_str));
    Err(match nearest(word, names) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint("`biorule rules list` shows rules and their files"),
    })
}

fn list(host: &dyn Host, as_json: bool) -> Result<()> {
    let refused = host.refused();
    if as_json {
        let rules: Vec<Value> = host.rules().iter().map(rule_json).collect();
        let refused: Vec<Value> = refused
            .iter()
            .map(|(path, e)| {
                json!({"path": path.display().to_string(), "error": e.text, "hint": e.hint})
            })
            .collect();
        let plugins: Vec<Value> = host
            .plugins()
            .iter()
            .map(|p| {
                json!({"name": p.name, "version": p.version, "path": p.path.display().to_string(),
                       "sha256": p.sha256, "rules": p.rules, "package": p.package})
            })
            .collect();
        return print_json(&json!({"rules": rules, "plugins": plugins, "refused": refused}));
    }
    let mut table = table(&["rule", "credit", "layers", "plugin", "what it is"]);
    for rule in host.rules() {
        table.add_row(vec![
            rule.name.clone(),
            rule.credit.word().to_owned(),
            layers(&rule),
            rule.plugin.clone(),
            rule.summary.clone(),
        ]);
    }
    print(&format!("{table}\n"))?;
    for (path, e) in &refused {
        tell!("refused: `{}`: {}", path.display(), e.text);
        if let Some(hint) = &e.hint {
            tell!("hint: {hint}");
        }
    }
    Ok(())
}

fn describe(host: &dyn Host, args: &DescribeArgs) -> Result<()> {
    let all = host.rules();
    let chosen: Vec<&RuleSchema> = match args.name.as_deref() {
        None => all.iter().collect(),
        Some(name) => vec![find(&all, name)?],
    };
    if args.markdown {
        return print(&super::rules_page::markdown(&chosen));
    }
    if args.json {
        let rules: Vec<Value> = chosen.iter().map(|r| rule_json(r)).collect();
        return print_json(&Value::Array(rules));
    }
    let pages: Vec<String> = chosen.iter().map(|rule| page(rule)).collect();
    print(&pages.join("\n"))
}

fn find<'a>(all: &'a [RuleSchema], name: &str) -> Result<&'a RuleSchema> {
    all.iter().find(|r| r.name == name).ok_or_else(|| {
        let e = Error::new(ExitCode::Plugin, format!("unknown rule `{name}`"));
        match nearest(name, all.iter().map(|r| r.name.as_str())) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint("`biorule rules list` lists what is loaded"),
        }
    })
}

/// A rule as text.
fn page(rule: &RuleSchema) -> String {
    let mut text = format!("{}  {}\n", rule.name, rule.summary);
    if !rule.source.is_empty() {
        text.push_str(&format!("  source  {}\n", rule.source));
    }
    text.push_str(&format!(
        "  credit  {}\n  layers  {}\n",
        rule.credit.word(),
        layers(rule)
    ));
    if rule.learns_in_evaluation {
        text.push_str(&format!("  evaluation  {LEARNS_IN_EVALUATION}\n"));
    }
    let mut table = table(&["hyperparameter", "value", "default", "meaning"]);
    for p in rule.params.iter().flatten() {
        let mut meaning = p.doc.clone();
        if !p.source.is_empty() {
            meaning.push_str(&format!(" ({})", p.source));
        }
        let default = p.default.as_ref().map_or(String::new(), value_text);
        table.add_row(vec![p.name.clone(), kind_text(p), default, meaning]);
    }
    text.push_str(&format!("{table}\n"));
    text
}

fn rule_json(rule: &RuleSchema) -> Value {
    let params: Vec<Value> = rule
        .params
        .iter()
        .flatten()
        .map(|p| {
            let choices = match &p.kind {
                ParamKind::Choice(words) => Some(words),
                _ => None,
            };
            json!({"name": p.name, "kind": kind_text(p), "choices": choices,
                   "default": p.default, "min": p.min, "max": p.max,
                   "unit": p.unit, "doc": p.doc, "source": p.source})
        })
        .collect();
    json!({"name": rule.name, "summary": rule.summary, "source": rule.source,
           "credit": rule.credit.word(), "dense": rule.dense, "conv": rule.conv,
           "needs_target": rule.needs_target, "learns_in_evaluation": rule.learns_in_evaluation, "plugin": rule.plugin, "params": params})
}
