//! One child: its pipes, its words, its end.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::trial::Trial;

/// What a child said.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line of standard output that is an event.
    Event(Value),
    /// A line of standard error.
    Line(String),
    /// Both are closed: it ends.
    Over,
    /// Not of a child: the trial with this number is given up.
    GiveUp(usize),
}

/// A child at work. It ends soon after this is dropped, as its standard input closes.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
}

impl Child {
    /// Starts the child of `trial`; `hear` gets what it says, [`Heard::Over`] last.
    pub(super) fn start(
        program: &Path,
        trial: &Trial,
        threads: Option<usize>,
        resume: &str,
        hear: impl Fn(Heard) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(&trial.words)
            .arg("--run-dir")
            .arg(&trial.folder)
            .args(["--resume", resume, "--exit-with-parent", "--quiet"])
            .args(["--events", "jsonl"])
            // What this process gave itself is not for its children: they share the processors.
            .env_remove("RAYON_NUM_THREADS")
            .env_remove("CANDLE_NUM_THREADS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(threads) = threads {
            command.args(["--threads", &threads.to_string()]);
        }
        for (name, value) in &trial.variables {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        let mut process = command.spawn()?;
        let input = process.stdin.take();
        let (output, errors) = (process.stdout.take(), process.stderr.take());
        let said = hear.clone();
        let lines = std::thread::spawn(move || {
            each_line(errors, &mut |line| said(Heard::Line(line)));
        });
        std::thread::spawn(move || {
            each_line(output, &mut |line| {
                // A library may print, too.
                if let Ok(event) = serde_json::from_str(&line) {
                    hear(Heard::Event(event));
                }
            });
            let _ = lines.join();
            hear(Heard::Over);
        });
        Ok(Self { process, input })
    }

    /// Writes a line to its standard input. One that has ended hears nothing.
    pub(super) fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// Closes its standard input: it writes a checkpoint and ends.
    pub(super) fn let_go(&mut self) {
        self.input = None;
    }

    /// How it ended.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.input = None;
        self.process.wait()
    }
}

/// Hands over each line of `from`, whatever bytes are in it.
fn each_line(from: Option<impl Read>, take: &mut dyn FnMut(String)) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n') {
        let Ok(line) = line else { break };
        take(String::from_utf8_lossy(&line).into_owned());
    }
}
