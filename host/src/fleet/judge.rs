//! What the end of a child means.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::process::ExitStatus;

use serde_json::Value;

use super::trial::Outcome;
use crate::{Error, ExitCode};

/// Lines of standard error that are kept.
const TAIL: usize = 20;

/// What a child said that matters for its end.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Its event `done`.
    done: Option<Value>,
    /// Its event `error`.
    error: Option<Error>,
    /// Its configuration is another one than that which was checked.
    is_other: bool,
    tail: VecDeque<String>,
}

impl Record {
    /// Takes in an event; whether the child is to be stopped, as its configuration has not the hash
    /// `expected`.
    pub(super) fn event(&mut self, event: &Value, expected: Option<&str>) -> bool {
        match event["event"].as_str() {
            Some("done") => self.done = Some(event.clone()),
            Some("error") => {
                let word = |key: &str| event[key].as_str().map(str::to_owned);
                let code = event["code"].as_u64().and_then(|n| u8::try_from(n).ok());
                let code = ExitCode::from_number(code.unwrap_or(u8::MAX));
                let mut error = Error::new(code, word("text").unwrap_or_default());
                error.hint = word("hint");
                self.error = Some(error);
            }
            _ => {}
        }
        let other = match (expected, event["config_hash"].as_str()) {
            (Some(expected), Some(hash)) => hash != expected,
            _ => false,
        };
        let first = other && !self.is_other;
        self.is_other |= other;
        first
    }

    /// Takes in a line of standard error.
    pub(super) fn line(&mut self, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// What the end `status` of the child means; `stopping` where all were asked to stop.
    pub(super) fn outcome(&self, status: &io::Result<ExitStatus>, stopping: bool) -> Outcome {
        if self.is_other {
            return Outcome::Failed(
                Error::usage("its configuration was changed after the command began")
                    .hint("start the command again: what is not done yet is trained as the files say now; a run that had begun needs another `--run-dir`"),
            );
        }
        let status = match status {
            Ok(status) => status,
            Err(e) => return Outcome::Failed(Error::internal(format!("its end is unknown: {e}"))),
        };
        match status.code() {
            Some(0) => match &self.done {
                Some(done) => Outcome::Done {
                    results: numbers(&done["results"]),
                    reason: done["reason"].as_str().unwrap_or("finished").to_owned(),
                },
                None => Outcome::Failed(Error::internal("it ended well, without a result")),
            },
            Some(75) if stopping => Outcome::Stopped,
            Some(75) => Outcome::Failed(
                Error::new(
                    ExitCode::Stopped,
                    "its process was asked to stop by a signal",
                )
                .hint("the same command goes on from its checkpoint"),
            ),
            // The system may have ended all together.
            None | Some(130) if stopping => Outcome::Stopped,
            None => Outcome::Failed(killed(status)),
            Some(code) => Outcome::Failed(self.failure(code)),
        }
    }

    /// The error of a child that ended with `code`.
    fn failure(&self, code: i32) -> Error {
        let class = u8::try_from(code).map_or(ExitCode::Internal, ExitCode::from_number);
        if let Some(Error { text, hint, .. }) = &self.error {
            let mut error = Error::new(class, text.clone());
            error.hint.clone_from(hint);
            return error;
        }
        let told = |start: &str| {
            let line = self.tail.iter().rev().find_map(|l| l.strip_prefix(start));
            line.map(str::to_owned)
        };
        let panicked = || {
            let at = self.tail.iter().position(|l| l.contains(" panicked at "))?;
            let lines = self.tail.iter().skip(at).take(2);
            Some(lines.map(|l| l.trim()).collect::<Vec<_>>().join(" "))
        };
        let last = || self.tail.iter().rev().find(|l| !l.trim().is_empty());
        let text = told("error: ")
            .or_else(panicked)
            .or_else(|| last().cloned());
        let mut error = Error::new(
            class,
            text.unwrap_or_else(|| format!("its process ended with exit code {code}")),
        );
        error.hint = told("hint: ");
        error
    }
}

/// Whether a child did not end by itself, so that another try may go well: killed, or a defect.
pub(super) fn died(status: &io::Result<ExitStatus>) -> bool {
    match status {
        Ok(status) => matches!(status.code(), None | Some(101)),
        Err(_) => false,
    }
}

fn killed(status: &ExitStatus) -> Error {
    let (by, memory) = signal(status);
    let error = Error::internal(format!("its process was killed{by}"));
    error.hint(match memory {
        true => "where memory ran out, fewer `--jobs` take less; the same command goes on from its last checkpoint",
        false => "the same command goes on from its last checkpoint",
    })
}

/// By which signal, in words, and whether the system sends it where memory runs out.
#[cfg(unix)]
fn signal(status: &ExitStatus) -> (String, bool) {
    use std::os::unix::process::ExitStatusExt as _;
    let Some(signal) = status.signal() else {
        return (String::new(), false);
    };
    let by = match signal_hook::low_level::signal_name(signal) {
        Some(name) => format!(" by {name}"),
        None => format!(" by signal {signal}"),
    };
    (by, signal == 9)
}

#[cfg(not(unix))]
fn signal(_: &ExitStatus) -> (String, bool) {
    (String::new(), false)
}

/// The numbers of an event; JSON has none for infinity and what is not a number.
fn numbers(of: &Value) -> BTreeMap<String, f64> {
    let all = of.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::process::ExitStatusExt as _;

    fn exit(code: i32) -> io::Result<ExitStatus> {
        Ok(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn an_end_is_what_its_code_and_its_events_say() {
        let mut record = Record::default();
        let done = json!({"event": "done", "reason": "finished", "results": {"test/loss": 0.5, "x": null}});
        assert!(!record.event(&done, None));
        let Outcome::Done { results, reason } = record.outcome(&exit(0), false) else {
            panic!("not done");
        };
        assert_eq!((results["test/loss"], results.len()), (0.5, 1));
        assert_eq!(reason, "finished");
        let error = json!({"event": "error", "code": 5, "text": "the loss is NaN", "hint": null});
        record.event(&error, None);
        let Outcome::Failed(e) = record.outcome(&exit(5), false) else {
            panic!("not failed");
        };
        assert_eq!(
            (e.code, e.text.as_str()),
            (ExitCode::Diverged, "the loss is NaN")
        );
        assert!(matches!(record.outcome(&exit(75), true), Outcome::Stopped));
        assert!(
            matches!(record.outcome(&exit(75), false), Outcome::Failed(e) if e.code == ExitCode::Stopped)
        );
    }

    #[test]
    fn one_that_is_killed_says_by_what() {
        let killed = Ok(ExitStatus::from_raw(9));
        assert!(died(&killed) && died(&exit(101)) && !died(&exit(5)));
        let Outcome::Failed(e) = Record::default().outcome(&killed, false) else {
            panic!("not failed");
        };
        assert_eq!(e.text, "its process was killed by SIGKILL");
        assert!(e.hint.is_some_and(|hint| hint.contains("--jobs")));
        assert!(matches!(
            Record::default().outcome(&killed, true),
            Outcome::Stopped
        ));
    }

    #[test]
    fn words_on_standard_error_stand_in_for_an_event() {
        let mut record = Record::default();
        for line in ["warning: a", "error: no data", "hint: fetch them"] {
            record.line(line.to_owned());
        }
        let Outcome::Failed(e) = record.outcome(&exit(3), false) else {
            panic!("not failed");
        };
        assert_eq!((e.code, e.text.as_str()), (ExitCode::Data, "no data"));
        assert_eq!(e.hint.as_deref(), Some("fetch them"));
    }

    #[test]
    fn another_configuration_is_noticed_once() {
        let mut record = Record::default();
        let start = json!({"event": "start", "config_hash": "b"});
        assert!(!record.event(&start, Some("b")));
        assert!(record.event(&start, Some("a")));
        assert!(!record.event(&start, Some("a")));
        assert!(
            matches!(record.outcome(&exit(75), false), Outcome::Failed(e) if e.code == ExitCode::Usage)
        );
    }
}
