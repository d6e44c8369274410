//! Samplers that are programs, in lines of JSON: the program is asked for the values of a trial and
//! told what became of trials (docs/sweeps.md). The program's own samplers speak the same lines on the
//! other side.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Map, Value as Json, json};

use crate::config::study::{self, StudyConfig};
use crate::sweep::plan::Study;
use crate::sweep::rank::{Outcome, Told};
use crate::sweep::sampler::{Past, Sampler, own};
use crate::sweep::{Assignment, SamplerPlan, Space};
use crate::{Error, Result};

/// Version of the lines.
pub const PROTOCOL: u32 = 1;

/// A program that chooses values.
pub struct Program {
    command: String,
    space: Space,
    parallel: u64,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    told: usize,
}

impl Program {
    /// Starts `command` through the shell and greets it.
    ///
    /// # Errors
    /// Usage error where it does not start or does not answer.
    pub fn start(command: &str, config: &StudyConfig) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command);
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Error::usage(format!("sampler `{command}` does not start: {e}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("a sampler without pipes"));
        };
        let mut program = Self {
            command: command.to_owned(),
            space: config.study.space.clone(),
            parallel: config.study.parallel.max(1),
            child,
            input,
            output: BufReader::new(output),
            told: 0,
        };
        let mut study = serde_json::to_value(config.normal()).unwrap_or_default();
        if let Some(study) = study.as_object_mut() {
            // What is not varied is none of its business.
            study.remove("config");
        }
        let answer = program.talk(&json!({"op": "start", "protocol": PROTOCOL, "study": study}))?;
        match answer["ok"] == true {
            true => Ok(program),
            false => Err(program.wrong(&answer, "`{\"ok\": true}`")),
        }
    }

    fn wrong(&self, answer: &Json, expected: &str) -> Error {
        let command = &self.command;
        match answer["error"].as_str() {
            Some(text) => Error::usage(format!("sampler `{command}`: {text}")),
            None => Error::usage(format!(
                "sampler `{command}` answers {answer}, expected {expected}"
            )),
        }
        .hint("docs/sweeps.md has the lines of a sampler")
    }

    fn say(&mut self, line: &Json) -> Result<()> {
        let said = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
        said.map_err(|_| self.gone())
    }

    fn gone(&mut self) -> Error {
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        };
        Error::usage(format!("sampler `{}` has ended: {how}", self.command))
            .hint("its words are above; the same command goes on")
    }

    fn talk(&mut self, line: &Json) -> Result<Json> {
        let said = self.say(line);
        let mut text = String::new();
        // One that ended without a look at the line may have left words all the same.
        match self.output.read_line(&mut text) {
            Ok(0) | Err(_) => Err(said.err().unwrap_or_else(|| self.gone())),
            Ok(_) => serde_json::from_str(&text).map_err(|_| {
                let text = format!(
                    "sampler `{}` answers `{}`, which is not JSON",
                    self.command,
                    text.trim()
                );
                Error::usage(text).hint(
                    "its standard output is for answers, one a line; words go to standard error",
                )
            }),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends with its input; one that does not is not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sampler for Program {
    fn needs(&self, number: u64) -> u64 {
        (number + 1).saturating_sub(self.parallel)
    }

    fn ask(&mut self, number: u64, past: &Past<'_>) -> Result<Option<Assignment>> {
        while let Some(told) = past.told.get(self.told) {
            let line = tell(self.told as u64, told, &self.space);
            self.say(&line)?;
            self.told += 1;
        }
        let answer = self.talk(&json!({"op": "ask", "trial": number}))?;
        if answer["done"] == true {
            return Ok(None);
        }
        let Some(params) = answer["params"].as_object() else {
            return Err(self.wrong(&answer, "`{\"params\": {…}}` or `{\"done\": true}`"));
        };
        let values = self.space.read(params);
        let within = format!("sampler `{}`, trial {number}", self.command);
        values.map(Some).map_err(|e| e.within(within))
    }
}

/// The line that tells what became of a trial.
fn tell(number: u64, told: &Told, space: &Space) -> Json {
    let mut line = json!({"op": "tell", "trial": number, "params": space.to_json(&told.values)});
    let more = match &told.outcome {
        // JSON has no infinity: a bound that nothing keeps is missed by much.
        Outcome::Finished { values, missed } => {
            json!({"state": "finished", "values": values, "missed": missed.min(1e300)})
        }
        Outcome::Pruned { epoch, value } => {
            json!({"state": "pruned", "epoch": epoch, "value": value})
        }
        Outcome::Failed => json!({"state": "failed"}),
    };
    if let (Some(line), Json::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    line
}

/// What such a line tells.
fn hear(line: &Json, space: &Space) -> Result<Told> {
    let params = line["params"].as_object().cloned().unwrap_or_default();
    let number = |v: &Json| v.as_f64().unwrap_or(f64::NAN);
    let outcome = match line["state"].as_str() {
        Some("finished") => Outcome::Finished {
            values: line["values"]
                .as_array()
                .map(|a| a.iter().map(number).collect())
                .unwrap_or_default(),
            missed: line["missed"].as_f64().unwrap_or(0.0),
        },
        Some("pruned") => Outcome::Pruned {
            epoch: line["epoch"].as_u64().unwrap_or(0),
            value: number(&line["value"]),
        },
        Some("failed") => Outcome::Failed,
        _ => {
            return Err(Error::usage(
                "`tell` has no `state`: `finished`, `pruned` or `failed`",
            ));
        }
    };
    Ok(Told {
        values: space.read(&params)?,
        outcome,
        curve: Vec::new(),
    })
}

/// One of the program's own samplers on the other side of the lines.
struct Served {
    study: Study,
    sampler: Box<dyn Sampler>,
    told: Vec<Told>,
    asked: Vec<Assignment>,
}

impl Served {
    fn new(line: &Json, plan: &SamplerPlan) -> Result<Self> {
        if line["protocol"] != PROTOCOL {
            return Err(Error::usage(format!(
                "the lines are of version {}, this program has {PROTOCOL}",
                line["protocol"]
            )));
        }
        let table: toml::Table = serde_json::from_value(line["study"].clone())
            .map_err(|e| Error::usage(format!("`start` has no study: {e}")))?;
        let mut study = study::stored(&table.to_string(), "start")?.study;
        study.sampler = plan.clone();
        Ok(Self {
            sampler: own(&study)?,
            study,
            told: Vec::new(),
            asked: Vec::new(),
        })
    }

    fn ask(&mut self, number: u64) -> Result<Json> {
        let needs = self.sampler.needs(number) as usize;
        if needs > self.told.len() {
            return Err(Error::usage(format!(
                "trial {number} needs the results of the first {needs}, and {} are told",
                self.told.len()
            )));
        }
        let pending = self.asked.get(needs..).unwrap_or_default();
        let past = Past {
            told: &self.told[..needs],
            pending,
        };
        Ok(match self.sampler.ask(number, &past)? {
            Some(values) => {
                let params: Map<String, Json> = self.study.space.to_json(&values);
                self.asked.truncate(number as usize);
                self.asked.push(values);
                json!({"params": params})
            }
            None => json!({"done": true}),
        })
    }
}

/// Answers lines of `input` on `output` until they end; `plan` takes the place of the study's own
/// sampler.
///
/// # Errors
/// Storage error where the output refuses. What is wrong with a line is answered.
pub fn serve(input: impl BufRead, mut output: impl Write, plan: &SamplerPlan) -> Result<()> {
    let mut served: Option<Served> = None;
    for text in input.lines() {
        let text = text.map_err(|e| Error::storage_io("standard input", &e))?;
        if text.trim().is_empty() {
            continue;
        }
        let line: Json = serde_json::from_str(&text).unwrap_or_default();
        let answer = match (line["op"].as_str(), &mut served) {
            (Some("start"), _) => Served::new(&line, plan).map(|new| {
                served = Some(new);
                Some(json!({"ok": true}))
            }),
            (Some("tell"), Some(own)) => hear(&line, &own.study.space).map(|told| {
                // A trial that was asked of another, before this one started.
                if own.asked.len() == own.told.len() {
                    own.asked.push(told.values.clone());
                }
                own.told.push(told);
                None
            }),
            (Some("ask"), Some(own)) => {
                let number = line["trial"].as_u64().unwrap_or(own.asked.len() as u64);
                own.ask(number).map(Some)
            }
            (Some("tell" | "ask"), None) => Err(Error::usage("`start` comes first")),
            _ => Err(Error::usage(format!("unknown line `{}`", text.trim()))),
        };
        let answer = match answer {
            Ok(None) => continue,
            Ok(Some(answer)) => answer,
            Err(e) => json!({"error": e.to_string().replace('\n', "; ")}),
        };
        let said = writeln!(output, "{answer}").and_then(|()| output.flush());
        said.map_err(|e| Error::storage_io("standard output", &e))?;
    }
    Ok(())
}
