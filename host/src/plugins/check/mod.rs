//! `biorule rules check`: does a plugin keep its contract, and what it claims?
//!
//! Every check runs in a child process with a time limit, so that a crash or an
//! endless loop is a result like any other. What is checked is the library file
//! itself, through the same loader and the same calls as in training; the checks are
//! those that a rule's own tests run (`biorule_plugin_api::testkit`).

mod subject;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use biorule_plugin_api::testkit::Check;
use biorule_plugin_api::testkit::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::subject::Loaded;
use super::Registry;
use super::entry::RuleEntry;
use crate::text::nearest;
use crate::{Error, ExitCode, Result};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The rule does what it should.
    Passed,
    /// It does not.
    Failed,
    /// It neither claims this nor contradicts it, or the check does not apply.
    Skipped,
    /// The child ended by a signal or an unexpected exit code.
    Crashed,
    /// The child took too long.
    TimedOut,
}

/// One check of one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// The check.
    pub check: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
}

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// As JSON.
    pub json: bool,
    /// In this process, for a debugger.
    pub in_process: bool,
    /// Only this rule.
    pub rule: Option<String>,
    /// Only this check.
    pub only: Option<String>,
    /// Seconds for one check.
    pub seconds: u64,
}

/// Checks every rule of the file `path` and tells what was found, as text or JSON.
///
/// # Errors
/// Exit 4 where the file is refused or a check does not pass, 2 for a name that is none.
pub fn run(path: &Path, options: &Options) -> Result<String> {
    let mut registry = Registry::default();
    // The children of a check open what their parent has tried; and a debugger wants the crash.
    let added = match options.in_process {
        true => registry.add_untried(path),
        false => registry.add_afresh(path),
    };
    added.map_err(|e| Error::plugin(e.to_string()).hint(e.hint))?;
    let rules: Vec<&str> = registry.rules().map(|entry| entry.name.as_str()).collect();
    known("rule", options.rule.as_deref(), &rules)?;
    let checks: Vec<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    known("check", options.only.as_deref(), &checks)?;
    let mut findings = Vec::new();
    for entry in registry
        .rules()
        .filter(|e| options.rule.as_deref().is_none_or(|r| r == e.name))
    {
        for check in Check::ALL
            .iter()
            .filter(|c| options.only.as_deref().is_none_or(|o| o == c.name()))
        {
            findings.push(match options.in_process {
                true => here(&registry, entry, *check),
                false => in_child(path, entry, *check, Duration::from_secs(options.seconds)),
            });
        }
    }
    let text = if options.json {
        as_json(path, &findings)
    } else {
        as_table(&findings)
    };
    let bad: Vec<&Finding> = findings
        .iter()
        .filter(|f| !matches!(f.verdict, Verdict::Passed | Verdict::Skipped))
        .collect();
    // A child's only output is its finding: the parent judges.
    if bad.is_empty() || (options.in_process && options.json) {
        return Ok(text);
    }
    let names: Vec<String> = bad
        .iter()
        .map(|f| format!("`{}` of `{}`", f.check, f.rule))
        .collect();
    Err(Error::new(
        ExitCode::Plugin,
        format!(
            "{} of {} checks did not pass: {}\n{text}",
            bad.len(),
            findings.len(),
            names.join(", ")
        ),
    )
    .hint("`--in-process --rule NAME --only CHECK` runs one check under a debugger"))
}

fn here(registry: &Registry, entry: &RuleEntry, check: Check) -> Finding {
    let (verdict, detail) = match check.run(&Loaded { registry, entry }) {
        Ok(Outcome::Passed(seen)) => (Verdict::Passed, seen),
        Ok(Outcome::Failed(seen)) => (Verdict::Failed, seen),
        Ok(Outcome::Skipped(why)) => (Verdict::Skipped, why),
        Err(e) => (Verdict::Failed, e.to_string()),
    };
    Finding {
        rule: entry.name.clone(),
        check: check.name().into(),
        verdict,
        detail,
    }
}

fn in_child(path: &Path, entry: &RuleEntry, check: Check, limit: Duration) -> Finding {
    let finding = |verdict, detail: String| Finding {
        rule: entry.name.clone(),
        check: check.name().into(),
        verdict,
        detail,
    };
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(e) => return finding(Verdict::Crashed, e.to_string()),
    };
    let child = Command::new(exe)
        .args([
            "rules",
            "check",
            "--json",
            "--in-process",
            "--rule",
            &entry.name,
            "--only",
            check.name(),
        ])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return finding(Verdict::Crashed, e.to_string()),
    };
    // A finding is far smaller than a pipe's buffer, so waiting first cannot block the child.
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return finding(
                    Verdict::TimedOut,
                    format!("no answer in {} s", limit.as_secs()),
                );
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(e) => return finding(Verdict::Crashed, e.to_string()),
        }
    };
    let mut text = String::new();
    if let Some(out) = &mut child.stdout {
        let _ = out.read_to_string(&mut text);
    }
    #[derive(Deserialize)]
    struct Report {
        findings: Vec<Finding>,
    }
    match serde_json::from_str::<Report>(&text) {
        Ok(Report { findings }) if findings.len() == 1 => {
            findings.into_iter().next().expect("one finding")
        }
        _ => finding(Verdict::Crashed, format!("the child ended with {status}")),
    }
}

fn as_json(path: &Path, findings: &[Finding]) -> String {
    let report = json!({ "plugin": path.display().to_string(), "findings": findings });
    format!("{report:#}\n")
}

fn as_table(findings: &[Finding]) -> String {
    let mut table = crate::text::table(&["rule", "check", "result", "what was seen"]);
    for f in findings {
        let verdict = match f.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
            Verdict::Crashed => "CRASHED",
            Verdict::TimedOut => "TIMED OUT",
        };
        table.add_row(vec![
            f.rule.clone(),
            f.check.clone(),
            verdict.to_owned(),
            f.detail.clone(),
        ]);
    }
    format!("{table}\n")
}

/// Refuses a name that is not among `names`: an empty table would read as success.
fn known(what: &str, asked: Option<&str>, names: &[&str]) -> Result<()> {
    let Some(asked) = asked.filter(|asked| !names.contains(asked)) else {
        return Ok(());
    };
    let error = Error::usage(format!("there is no {what} `{asked}`"));
    Err(match nearest(asked, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("`{}`", names.join("`, `"))),
    })
}
