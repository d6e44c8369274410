//! What a run writes down about itself: command, versions, source state,
//! machine, plugins.

pub use crate::data::record::{DataRecord, FileRecord, same_data};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::detail::{BestRecord, ClassRecord};
use super::experiment::ExperimentRecord;
use super::measured::Metrics;
use super::{atomic, clock};
use crate::config::PluginInfo;
use crate::text::hex;
use crate::{Error, ExitCode, Result};

/// `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Short id of the run, also in its folder's name and its events.
    pub id: String,
    /// Name of the experiment.
    pub name: String,
    /// Where it comes from and what was published of it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentRecord>,
    /// Command line of the last start.
    pub argv: Vec<String>,
    /// Seed of this run.
    pub seed: u64,
    /// Hash of the settings that decide results.
    pub config_hash: String,
    /// Versions of the program and of what decides numbers.
    pub versions: Versions,
    /// State of the source tree it was started in, else of that which the program was built in and
    /// lies in, where there is one.
    pub git: Option<GitState>,
    /// The machine of the last start.
    pub host: HostRecord,
    /// Machines of earlier starts, where they were others.
    #[serde(default)]
    pub earlier_hosts: Vec<HostRecord>,
    /// Threads of the kernels at the last start.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Device used, such as `cpu` or `cuda:0 (NVIDIA H200)`.
    pub device: String,
    /// Why `auto` took no GPU; absent where one is used, or the CPU was asked for.
    #[serde(default)]
    pub no_gpu: Option<String>,
    /// Whether 32-bit matrix products could use TF32.
    #[serde(default)]
    pub tf32: bool,
    /// Plugins loaded.
    pub plugins: Vec<PluginRecord>,
    /// Where the initial weights come from, where that is another run or file.
    #[serde(default)]
    pub init: Option<InitRecord>,
    /// What was warned about, in the plan and in the run.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Data sets that were read from files.
    #[serde(default)]
    pub data: Vec<DataRecord>,
    /// Blocks of the network with the shapes of one sample, input first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<ShapeRecord>,
    /// First start, universal time.
    pub started: String,
    /// Number of starts.
    pub starts: u64,
    /// End, universal time, where it has ended.
    pub ended: Option<String>,
    /// `finished`, `stopped`, `pruned`, `diverged`, `failed`; absent while it runs.
    pub exit_reason: Option<String>,
    /// What went wrong, where it failed or diverged.
    #[serde(default)]
    pub error: Option<ErrorRecord>,
    /// Final numbers.
    #[serde(default)]
    pub results: Metrics,
    /// The scores of each class behind them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, Vec<ClassRecord>>,
    /// Most memory that a process of this run held until it ended or was stopped, MiB, where the
    /// system tells. Seeds of one process share it; what a killed start held is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_mib: Option<f64>,
    /// The best checkpoint, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestRecord>,
    /// How it was made longer, the first time first.
    #[serde(default)]
    pub extended: Vec<Extended>,
}

/// A block and the shapes of one sample before and after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeRecord {
    /// Its name.
    pub block: String,
    /// At its input, `[C, H, W]` or `[features]`.
    pub input: Vec<usize>,
    /// At its output.
    pub output: Vec<usize>,
}

/// A phase that gets more epochs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Longer {
    /// Its name.
    pub phase: String,
    /// Its epochs as they were.
    pub from: u64,
    /// Its epochs as they are to be.
    pub to: u64,
}

/// What `run.json` keeps of an extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extended {
    /// When, universal time.
    pub at: String,
    /// Which phases got more epochs.
    pub phases: Vec<Longer>,
    /// Hash of the settings as they were.
    pub config_hash: String,
    /// How the run had ended, where it had.
    pub exit_reason: Option<String>,
    /// The final numbers it had.
    pub results: Metrics,
}

/// A file of initial weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitRecord {
    /// Its path.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

impl InitRecord {
    /// Of the file `path`.
    ///
    /// # Errors
    /// Usage error for a file that cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        use sha2::{Digest, Sha256};
        let bytes = std::fs::read(path).map_err(|e| Error::io(ExitCode::Usage, path, &e))?;
        Ok(Self {
            file: path.display().to_string(),
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
        })
    }
}

/// An error as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// Exit code.
    pub code: u8,
    /// What is wrong, and where.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<&Error> for ErrorRecord {
    fn from(e: &Error) -> Self {
        Self {
            code: e.code as u8,
            text: e.text.clone(),
            hint: e.hint.clone(),
        }
    }
}

impl From<&ErrorRecord> for Error {
    fn from(e: &ErrorRecord) -> Self {
        Self {
            code: ExitCode::from_number(e.code),
            text: e.text.clone(),
            hint: e.hint.clone(),
        }
    }
}

/// Versions that decide numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub biorule: String,
    /// Layout of run folder, events and checkpoints.
    pub folder: u32,
}

/// A source tree's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// Commit.
    pub commit: String,
    /// Whether tracked files differ from it.
    pub changed: bool,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its name.
    pub name: String,
    /// Operating system and architecture.
    pub system: String,
    /// Processor, where the system tells.
    pub processor: Option<String>,
    /// Instruction set of the kernels, such as `Avx512`.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Threads it runs at once.
    pub threads: usize,
}

impl HostRecord {
    /// What to tell of a run that `self` began and `here` goes on with: which results stay bit for
    /// bit what they would have been. `None` where nothing that decides them is known to differ.
    #[must_use]
    pub fn moved_to(&self, here: &Self) -> Option<String> {
        let word = |known: &Option<String>| known.clone().unwrap_or_else(|| "unknown".into());
        let changed =
            |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        let (before, now) = (word(&self.processor), word(&here.processor));
        if self.system != here.system || changed(&self.instructions, &here.instructions) {
            let describe = |host: &Self, processor: &str| {
                format!(
                    "`{processor}` ({}, `{}` kernels)",
                    host.system,
                    word(&host.instructions)
                )
            };
            return Some(format!(
                "this run was computed on {} and goes on on {}: from here all results differ in their last \
                 bits from those of a run that stays on one",
                describe(self, &before),
                describe(here, &now)
            ));
        }
        changed(&self.processor, &here.processor).then(|| {
            format!(
                "this run was computed on `{before}` and goes on on `{now}` with the same instruction set: \
                 convolutions, narrow dense layers, pooling, norms and optimisers keep their bits; \
                 other dense layers and whitened data, whose sums are cut by the size of the caches, may \
                 differ in the last ones"
            )
        })
    }
}

/// The device that a run uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceRecord {
    /// As [`RunRecord::device`].
    pub name: String,
    /// As [`RunRecord::no_gpu`].
    pub no_gpu: Option<String>,
    /// As [`RunRecord::tf32`].
    pub tf32: bool,
}

/// A plugin as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the library file.
    pub sha256: String,
    /// Its path.
    pub path: String,
}

impl From<&PluginInfo> for PluginRecord {
    fn from(plugin: &PluginInfo) -> Self {
        Self {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            sha256: plugin.sha256.clone(),
            path: plugin.path.display().to_string(),
        }
    }
}

/// Layout of run folder, events and checkpoints.
pub const FOLDER_VERSION: u32 = 1;

impl RunRecord {
    /// The record of a run that starts now.
    #[must_use]
    pub fn new(id: &str, name: &str, seed: u64, config_hash: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            experiment: None,
            argv: std::env::args().collect(),
            seed,
            config_hash: config_hash.to_owned(),
            versions: Versions {
                biorule: env!("CARGO_PKG_VERSION").to_owned(),
                folder: FOLDER_VERSION,
            },
            git: git_state(Path::new(".")).or_else(state_of_program),
            host: host_record(),
            earlier_hosts: Vec::new(),
            threads: None,
            device: String::new(),
            no_gpu: None,
            tf32: false,
            plugins: Vec::new(),
            init: None,
            warnings: Vec::new(),
            data: Vec::new(),
            shapes: Vec::new(),
            started: clock::stamp(clock::now()),
            starts: 1,
            ended: None,
            exit_reason: None,
            error: None,
            results: Metrics::new(),
            extended: Vec::new(),
            classes: BTreeMap::new(),
            peak_memory_mib: None,
            best: None,
        }
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// Usage error for a file that is missing, storage error for one that is no record.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io(ExitCode::Usage, path, &e))?;
        serde_json::from_str(&text).map_err(|e| {
            Error::storage(format!("`{}` is damaged: {e}", path.display()))
                .hint("put a good copy in its place, or start a new run folder")
        })
    }

    /// Writes it as `path`, whole or not at all.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal(format!("run record: {e}")))?;
        atomic::write(path, format!("{text}\n").as_bytes())
    }
}

/// This machine's name.
#[must_use]
pub fn host_name() -> String {
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let command = || {
        let output = Command::new("hostname").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    file.or_else(command)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// This machine.
#[must_use]
pub fn host_record() -> HostRecord {
    let processor = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    HostRecord {
        name: host_name(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processor,
        instructions: Some(format!("{:?}", biorule_kernels::simd::isa())),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Most memory that this process has held, MiB, where the system tells.
#[must_use]
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// The source tree that the program lies in, where it was built and not moved.
fn state_of_program() -> Option<GitState> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    folder
        .ancestors()
        .any(|f| f.ends_with("target"))
        .then(|| git_state(folder))?
}

/// Commit and cleanliness of the tree around `folder`, if `git` knows one.
#[must_use]
pub fn git_state(folder: &Path) -> Option<GitState> {
    let run = |args: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(args)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = run(&["rev-parse", "HEAD"])?;
    let changed = run(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(GitState {
        commit,
        changed: !changed.is_empty(),
    })
}

/// A new short id: six hexadecimal digits from time and process.
#[must_use]
pub fn new_id() -> String {
    use sha2::{Digest, Sha256};
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let text = format!(
        "{:?} {} {}",
        std::time::SystemTime::now(),
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    hex(&Sha256::digest(text.as_bytes()))[..6].to_owned()
}
