//! `biorule rules check`: does a plugin keep its contract, and what it claims?
//!
//! Every check runs in a child process with limits of time and memory, so that a crash or an
//! endless loop is a result like any other. What is checked is the library file
//! itself, through the same loader and the same calls as in training; the checks are
//! those that a rule's own tests run (`biorule_plugin_api::testkit`), and two that need the host.

mod child;
mod host;
mod report;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Instant;

use biorule_plugin_api::testkit::{Check, Group, Outcome};
use candle_core::Device;

use self::child::Limits;
pub use self::child::confine;
use self::host::HostCheck;
pub use self::report::{Finding, Verdict};
use self::subject::Loaded;
use super::Registry;
use super::candidate::inspect;
use super::entry::RuleEntry;
use crate::text::nearest;
use crate::{Error, ExitCode, Result};

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// As JSON.
    pub json: bool,
    /// Also as a JUnit file.
    pub junit: Option<PathBuf>,
    /// In this process, for a debugger.
    pub in_process: bool,
    /// Only this rule.
    pub rule: Option<String>,
    /// Only these checks and groups of checks; empty for all.
    pub only: Vec<String>,
    /// Seconds for one check.
    pub seconds: u64,
    /// MiB of memory that one check may take beyond what the program takes.
    pub memory: u64,
    /// What is drawn at random follows from it.
    pub seed: u64,
}

/// A report, and the error that stands for what did not pass.
#[derive(Debug)]
pub struct Checked {
    /// The report, for standard output.
    pub text: String,
    /// Where not all passed.
    pub failure: Option<Error>,
}

/// A check of the testkit or of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Any {
    Kit(Check),
    Host(HostCheck),
}

impl Any {
    /// All, group by group as they run.
    fn all() -> Vec<Self> {
        let kit = Check::ALL.iter().map(|check| Self::Kit(*check));
        let mut all: Vec<Self> = kit.chain(HostCheck::ALL.map(Self::Host)).collect();
        // Stable: inside of a group the order is that of the list.
        all.sort_by_key(|check| Group::ALL.iter().position(|g| *g == check.group()));
        all
    }
    fn name(self) -> &'static str {
        match self {
            Self::Kit(check) => check.name(),
            Self::Host(check) => check.name(),
        }
    }
    fn group(self) -> Group {
        match self {
            Self::Kit(check) => check.group(),
            Self::Host(_) => Group::Numbers,
        }
    }
    /// Whether all that need a bound rule or a step can only repeat its failure.
    fn is_first_step(self) -> bool {
        matches!(self, Self::Kit(Check::Tensors | Check::Steps))
    }
}

/// Names of all checks with what each is about, for help and lists.
pub fn names() -> Vec<(&'static str, &'static str)> {
    let all = Any::all().into_iter();
    all.map(|check| (check.group().name(), check.name()))
        .collect()
}

/// Checks every rule of the file `path`.
///
/// # Errors
/// Exit 4 where the file is refused, 2 for a name that is none.
pub fn run(path: &Path, options: &Options) -> Result<Checked> {
    let mut registry = Registry::default();
    // The children of a check open what their parent has tried; and a debugger wants the crash.
    let added = match options.in_process {
        true => registry.add_untried(path),
        false => inspect(path).and_then(|file| registry.add_afresh(&file)),
    };
    added.map_err(|e| Error::plugin(e.to_string()).hint(e.hint))?;
    let rules: Vec<&str> = registry.rules().map(|entry| entry.name.as_str()).collect();
    known("rule", options.rule.as_slice(), &rules)?;
    let checks = Any::all();
    let groups = Group::ALL.iter().map(|group| group.name());
    let words: Vec<&str> = checks.iter().map(|c| c.name()).chain(groups).collect();
    known("check", &options.only, &words)?;
    let wanted = |check: &Any| {
        let has = |word: &str| options.only.iter().any(|only| only == word);
        options.only.is_empty() || has(check.name()) || has(check.group().name())
    };
    let limits = Limits {
        seconds: options.seconds,
        memory: options.memory,
        seed: options.seed,
    };
    let mut findings = Vec::new();
    for entry in registry
        .rules()
        .filter(|e| options.rule.as_deref().is_none_or(|r| r == e.name))
    {
        // The check after which others can only say the same.
        let mut hopeless: Option<&'static str> = None;
        for check in checks.iter().copied().filter(wanted) {
            if let Some(first) = hopeless {
                let text = format!("not run: `{first}` did not come to an end");
                findings.push(finding(entry, check, Verdict::Skipped, text));
                continue;
            }
            let started = Instant::now();
            let mut found = match options.in_process {
                true => here(&registry, entry, check, options.seed),
                false => child::run(path, &entry.name, check.name(), limits)
                    .unwrap_or_else(|(verdict, told)| finding(entry, check, verdict, told)),
            };
            found.seconds = started.elapsed().as_secs_f64();
            let ended = matches!(found.verdict, Verdict::Crashed | Verdict::TimedOut);
            if check.is_first_step() && (found.in_call || ended) {
                hopeless = Some(check.name());
            }
            findings.push(found);
        }
    }
    if let Some(file) = &options.junit {
        std::fs::write(file, report::as_junit(&findings))
            .map_err(|e| Error::io(ExitCode::Storage, file, &e))?;
    }
    let text = match options.json {
        true => report::as_json(path, options.seed, &findings),
        false => report::as_table(&findings),
    };
    let bad: Vec<&Finding> = findings.iter().filter(|f| !f.verdict.is_good()).collect();
    // A child's only output is its finding: the parent judges.
    if bad.is_empty() || (options.in_process && options.json) {
        let failure = None;
        return Ok(Checked { text, failure });
    }
    let names: Vec<String> = bad
        .iter()
        .map(|f| format!("`{}` of `{}`", f.check, f.rule))
        .collect();
    let told = format!(
        "{} of {} checks did not pass: {}",
        bad.len(),
        findings.len(),
        names.join(", ")
    );
    let failure = Error::new(ExitCode::Plugin, told)
        .hint("`--in-process --rule NAME --only CHECK` runs one check under a debugger");
    Ok(Checked {
        text,
        failure: Some(failure),
    })
}

fn finding(entry: &RuleEntry, check: Any, verdict: Verdict, detail: String) -> Finding {
    Finding {
        rule: entry.name.clone(),
        group: check.group().name().into(),
        check: check.name().into(),
        verdict,
        detail,
        seconds: 0.0,
        in_call: false,
    }
}

fn here(registry: &Registry, entry: &RuleEntry, check: Any, seed: u64) -> Finding {
    let loaded = Loaded {
        device: Device::Cpu,
        registry,
        entry,
    };
    let done = match check {
        Any::Kit(check) => check.run_seeded(&loaded, seed),
        Any::Host(check) => check.run(&loaded),
    };
    let (verdict, detail, in_call) = match done {
        Ok(Outcome::Passed(seen)) => (Verdict::Passed, seen, false),
        Ok(Outcome::Failed(seen)) => (Verdict::Failed, seen, false),
        Ok(Outcome::Skipped(why)) => (Verdict::Skipped, why, false),
        Err(e) => (Verdict::Failed, e.to_string(), true),
    };
    Finding {
        in_call,
        ..finding(entry, check, verdict, detail)
    }
}

/// Refuses names that are not among `names`: an empty table would read as success.
fn known<'a>(
    what: &str,
    asked: impl IntoIterator<Item = &'a String>,
    names: &[&str],
) -> Result<()> {
    let Some(asked) = asked
        .into_iter()
        .find(|asked| !names.contains(&asked.as_str()))
    else {
        return Ok(());
    };
    let error = Error::usage(format!("there is no {what} `{asked}`"));
    Err(match nearest(asked, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("`{}`", names.join("`, `"))),
    })
}
