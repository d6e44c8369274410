//! The other side: a Python process with PyTorch that answers requests, one
//! JSON object a line (`benches/pytorch/worker.py`). Whatever is wrong with it
//! is told as text: the measurement goes on without it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::case::Named;
use super::exchange;
use crate::threads;
use crate::{Error, Result};

/// The worker's files, carried along so that the program can be moved alone.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "worker.py",
        include_str!("../../../benches/pytorch/worker.py"),
    ),
    ("maps.py", include_str!("../../../benches/pytorch/maps.py")),
    (
        "modules.py",
        include_str!("../../../benches/pytorch/modules.py"),
    ),
    (
        "rules.py",
        include_str!("../../../benches/pytorch/rules.py"),
    ),
    (
        "networks.py",
        include_str!("../../../benches/pytorch/networks.py"),
    ),
    (
        "supernets.py",
        include_str!("../../../benches/pytorch/supernets.py"),
    ),
    (
        "protocol.py",
        include_str!("../../../benches/pytorch/protocol.py"),
    ),
];

/// Importing PyTorch from a cold disk is slow; an answer that takes longer than
/// this will not come.
const PATIENCE: Duration = Duration::from_secs(600);

/// Result of a request: the answer, or why there is none.
pub type Answer<T> = std::result::Result<T, String>;

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The interpreter.
    pub python: PathBuf,
    /// Folder with the scripts.
    pub scripts: PathBuf,
    /// Threads of its kernels.
    pub threads: usize,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Whether TF32 is allowed.
    pub tf32: bool,
    /// Whether the allocator keeps large blocks, as ours does.
    pub tuned: bool,
    /// Whether subnormal numbers are taken as 0, as ours are.
    pub flush_denormal: bool,
}

/// What PyTorch says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// Version of PyTorch.
    pub torch: String,
    /// Version of Python.
    pub python: String,
    /// Threads that it computes with.
    pub threads: usize,
    /// Whether oneDNN is there.
    pub onednn: bool,
    /// Its matrix library, and what the processor can do in its eyes.
    pub built_with: String,
}

/// Most memory a process held, and what of it before the work began, MiB.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// At most.
    pub peak: Option<f64>,
    /// With inputs and state, before the first call.
    pub prepared: Option<f64>,
}

/// Writes the scripts into `folder`.
///
/// # Errors
/// Internal error where the disk refuses.
pub fn unpack(folder: &Path) -> Result<()> {
    for (name, text) in SCRIPTS {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Error::storage_io(&path, &e))?;
    }
    Ok(())
}

/// A worker process.
pub struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    complaint: Arc<Mutex<String>>,
    lost: Option<String>,
    /// What it says of itself.
    pub about: About,
}

impl Setting {
    /// Starts a worker.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(&self) -> Answer<Worker> {
        self.spawn(false)
    }

    /// Starts a worker that answers [`Worker::memory`] only, each time in a copy
    /// of itself that has computed nothing yet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_for_memory(&self) -> Answer<Worker> {
        self.spawn(true)
    }

    fn spawn(&self, forks: bool) -> Answer<Worker> {
        let python = self.python.display();
        let mut child = self
            .command(forks)
            .spawn()
            .map_err(|e| format!("`{python}` cannot be started: {e}"))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err("its pipes are not there".into());
        };
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout)
                .lines()
                .map_while(std::result::Result::ok)
            {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let complaint = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&complaint);
        std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines();
            for line in lines.map_while(std::result::Result::ok) {
                if !line.trim().is_empty() {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = line.trim().to_owned();
                }
            }
        });
        let mut worker = Worker {
            child,
            requests,
            answers,
            complaint,
            lost: None,
            about: About {
                torch: String::new(),
                python: String::new(),
                threads: 0,
                onednn: false,
                built_with: String::new(),
            },
        };
        let about = worker
            .ask(&json!({"do": "hello"}))
            .map_err(|e| format!("`{python}`: {e}"))?;
        worker.about = serde_json::from_value(about)
            .map_err(|e| format!("`{python}` does not say who it is: {e}"))?;
        Ok(worker)
    }

    /// The call: nothing in its environment that would choose kernels or
    /// threads behind our back, and the allocator as asked.
    fn command(&self, forks: bool) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-u").arg(self.scripts.join("worker.py"));
        command.args(["--threads", &self.threads.to_string()]);
        command.args(["--device", &self.device]);
        if self.tf32 {
            command.arg("--tf32");
        }
        if self.flush_denormal {
            command.arg("--flush-denormal");
        }
        if forks {
            command.arg("--fork");
        }
        const OWN: [&str; 7] = [
            "OPENBLAS_",
            "GOTO_",
            "MKL_",
            "OMP_",
            "KMP_",
            "GOMP_",
            "MALLOC_",
        ];
        for (name, _) in std::env::vars_os() {
            let told = name.to_string_lossy();
            if OWN.iter().any(|start| told.starts_with(start)) || told == "GLIBC_TUNABLES" {
                command.env_remove(&name);
            }
        }
        if self.tuned {
            command.envs(threads::allocator_variables());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Worker {
    /// Why it will answer no more: it ended, was silent for too long, or said what
    /// is no answer.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn ask(&mut self, request: &Value) -> Answer<Value> {
        if let Some(why) = &self.lost {
            return Err(why.clone());
        }
        let answer = self.exchange(request);
        if let Err(why) = &answer {
            self.lost = Some(why.clone());
        }
        let answer = answer?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(shortened(error)),
            None => Ok(answer),
        }
    }

    fn exchange(&mut self, request: &Value) -> Answer<Value> {
        let sent = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        if sent.is_err() {
            return Err(self.ended());
        }
        let line = match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                return Err(format!("no answer in {} s", PATIENCE.as_secs()));
            }
        };
        serde_json::from_str(&line)
            .map_err(|_| format!("answered `{}`, which is no JSON", shortened(&line)))
    }

    /// Why it is gone.
    fn ended(&mut self) -> String {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        };
        // Its last words may still be on their way through the other thread.
        std::thread::sleep(Duration::from_millis(50));
        let last = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last.as_str() {
            "" => format!("ended ({status})"),
            words => format!("ended ({status}): {}", shortened(words)),
        }
    }

    /// Makes a case ready from inputs that [`exchange::write`] told of, and runs
    /// each of its variants once from that start: names and results, the plain
    /// formulation first.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn prepare(
        &mut self,
        case: &str,
        params: &Value,
        inputs: &Value,
        folder: &Path,
    ) -> Answer<Vec<(String, Named)>> {
        let request = json!({
            "do": "prepare", "case": case, "params": params, "inputs": inputs, "folder": folder,
        });
        let answer = self.ask(&request)?;
        let variants = answer["variants"].as_array().ok_or("no variants")?;
        variants
            .iter()
            .map(|v| {
                let name = v["name"].as_str().ok_or("a variant without name")?;
                Ok((name.to_owned(), exchange::read(&v["results"])?))
            })
            .collect()
    }

    /// Seconds of one call of the prepared case's `variant`, from a burst.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn burst(&mut self, variant: &str, seconds: f64) -> Answer<f64> {
        let answer = self.ask(&json!({"do": "burst", "variant": variant, "seconds": seconds}))?;
        let taken = answer["seconds"].as_f64().filter(|s| *s > 0.0);
        taken.ok_or_else(|| format!("answered `{}`", shortened(&answer.to_string())))
    }

    /// Mean seconds of `count` calls after one that does not count.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn batches(&mut self, variant: &str, count: usize) -> Answer<f64> {
        let answer = self.ask(&json!({"do": "batches", "variant": variant, "count": count}))?;
        answer["seconds"].as_f64().ok_or_else(|| "no time".into())
    }

    /// Memory of a process that does nothing but calls of one variant.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn memory(
        &mut self,
        case: &str,
        params: &Value,
        inputs: &Value,
        variant: &str,
    ) -> Answer<Memory> {
        let request = json!({
            "do": "memory", "case": case, "params": params, "inputs": inputs, "variant": variant,
        });
        let answer = self.ask(&request)?;
        serde_json::from_value(answer).map_err(|e| e.to_string())
    }

    /// GFLOP/s of `torch.mm` for sizes `(m, n, k)`.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn sgemm(&mut self, (m, n, k): (usize, usize, usize), seconds: f64) -> Answer<f64> {
        let answer = self.ask(&json!({"do": "sgemm", "size": [m, n, k], "seconds": seconds}))?;
        answer["gflops"].as_f64().ok_or_else(|| "no rate".into())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = writeln!(self.requests, "{}", json!({"do": "quit"}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of at most 200 characters.
fn shortened(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
