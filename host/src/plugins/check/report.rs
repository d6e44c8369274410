//! What checks found, as people and programs read it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

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

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
            Self::Crashed => "CRASHED",
            Self::TimedOut => "TIMED OUT",
        }
    }

    /// Whether a plugin with it is in order.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }
}

/// One check of one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// What the check is about.
    #[serde(default)]
    pub group: String,
    /// The check.
    pub check: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// Seconds that it took.
    #[serde(default)]
    pub seconds: f64,
    /// A call of the rule ended in an error, as it will in most other checks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_call: bool,
}

/// The report as JSON.
pub fn as_json(path: &Path, seed: u64, findings: &[Finding]) -> String {
    let report = json!({
        "plugin": path.display().to_string(),
        "seed": seed,
        "findings": findings,
    });
    format!("{report:#}\n")
}

/// The report as a table.
pub fn as_table(findings: &[Finding]) -> String {
    let mut table = crate::text::table(&["rule", "group", "check", "result", "what was seen"]);
    for f in findings {
        table.add_row(vec![
            f.rule.clone(),
            f.group.clone(),
            f.check.clone(),
            f.verdict.words().to_owned(),
            f.detail.clone(),
        ]);
    }
    format!("{table}\n")
}

/// The report as a JUnit file: a suite for each rule, a case for each check.
pub fn as_junit(findings: &[Finding]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut rules: Vec<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
    rules.dedup();
    for rule in rules {
        let own: Vec<&Finding> = findings.iter().filter(|f| f.rule == rule).collect();
        let count = |of: &[Verdict]| own.iter().filter(|f| of.contains(&f.verdict)).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            escaped(rule),
            own.len(),
            count(&[Verdict::Failed]),
            count(&[Verdict::Crashed, Verdict::TimedOut]),
            count(&[Verdict::Skipped]),
            own.iter().map(|f| f.seconds).sum::<f64>()
        ));
        for f in own {
            let head = format!(
                "    <testcase classname=\"{}.{}\" name=\"{}\" time=\"{:.3}\"",
                escaped(rule),
                escaped(&f.group),
                escaped(&f.check),
                f.seconds
            );
            let told = escaped(&f.detail);
            let inside = match f.verdict {
                Verdict::Passed => format!("<system-out>{told}</system-out>"),
                Verdict::Skipped => format!("<skipped message=\"{told}\"/>"),
                Verdict::Failed => format!("<failure message=\"{told}\"/>"),
                Verdict::Crashed => format!("<error type=\"crashed\" message=\"{told}\"/>"),
                Verdict::TimedOut => format!("<error type=\"timed out\" message=\"{told}\"/>"),
            };
            text.push_str(&format!("{head}>{inside}</testcase>\n"));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            // XML has no place for other control characters.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
