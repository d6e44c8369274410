//! One check in a process of its own, with limits of time and memory.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::report::{Finding, Verdict};
use crate::plugins::trial::no_core_file;

/// Limits of a check, and the seed of what it draws.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Seconds that it may take.
    pub(super) seconds: u64,
    /// MiB of memory that it may take beyond what the program takes.
    pub(super) memory: u64,
    /// What is drawn at random follows from it.
    pub(super) seed: u64,
}

/// Runs `check` of the rule `rule` of the file `path` in a child, which is this program: what it found,
/// or how it ended without a word.
pub(super) fn run(
    path: &Path,
    rule: &str,
    check: &str,
    limits: Limits,
) -> Result<Finding, (Verdict, String)> {
    let ended = |verdict: Verdict, detail: String| Err((verdict, detail));
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(e) => return ended(Verdict::Crashed, e.to_string()),
    };
    let child = Command::new(exe)
        .args(["rules", "check", "--json", "--in-process"])
        .args(["--rule", rule, "--only", check])
        .args(["--memory", &limits.memory.to_string()])
        .args(["--seed", &limits.seed.to_string()])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return ended(Verdict::Crashed, e.to_string()),
    };
    // What the child says as it ends; read beside it, since a rule may write more than a pipe holds.
    let mut err = child.stderr.take();
    let words = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(err) = &mut err {
            let _ = err.take(1 << 20).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut out = child.stdout.take();
    let report = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(out) = &mut out {
            let _ = out.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() > Duration::from_secs(limits.seconds) => {
                let _ = child.kill();
                let _ = child.wait();
                let text = format!("no answer in {} s", limits.seconds);
                return ended(Verdict::TimedOut, text);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(e) => return ended(Verdict::Crashed, e.to_string()),
        }
    };
    let text = report.join().unwrap_or_default();
    #[derive(Deserialize)]
    struct Report {
        findings: Vec<Finding>,
    }
    // A rule may have written before it.
    let json = text.find("{\n").map_or(text.as_str(), |at| &text[at..]);
    match serde_json::from_str::<Report>(json) {
        Ok(Report { findings }) if findings.len() == 1 => {
            Ok(findings.into_iter().next().expect("one finding"))
        }
        _ => ended(
            Verdict::Crashed,
            last_words(status, &words.join().unwrap_or_default()),
        ),
    }
}

/// How the child ended, in its own words where it had some.
fn last_words(status: ExitStatus, said: &str) -> String {
    let lines = said.lines().map(str::trim);
    let told = lines
        .filter_map(|line| line.strip_prefix("error: "))
        .next_back();
    match told {
        Some(told) => format!("{told}; the process ended with {status}"),
        None => format!("the process ended with {status}"),
    }
}

/// The child's part: no more than `mib` MiB of memory beyond what this process takes now, and no
/// core file.
#[cfg(unix)]
pub fn confine(mib: u64) {
    no_core_file();
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let Some(pages) = pages else { return };
    let most = pages * 4096 + (mib << 20);
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is this process's own, and `limit` outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn confine(_: u64) {}
