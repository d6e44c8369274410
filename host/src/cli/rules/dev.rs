//! `biorule rules dev`: an experiment that goes on with each new build of its rule.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use clap::Args;

use crate::plugins::candidate::inspect;
use crate::run::StopFlag;
use crate::run::folder;
use crate::text::short;
use crate::{Error, ExitCode, Result};

/// `biorule rules dev`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules dev my-rule                                in my-rule, with its digits.toml
  biorule rules dev . --config mine.toml --run-dir runs/mine -- --set seed=3

Each change below the crate's `src` builds it. A build that fails leaves the run as it is; one that
gives another library stops the run after its step and goes on from the checkpoint with the new one.
Ctrl-C ends both.")]
pub struct DevArgs {
    /// The crate's folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The experiment; absent: the crate's `digits.toml`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The run's folder; absent: `runs/dev` in the crate, or the next that is free
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Build with `--release`
    #[arg(long)]
    release: bool,
    /// Further arguments of `biorule train`
    #[arg(last = true)]
    train: Vec<String>,
}

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_millis(300);

/// A run of the experiment.
struct Running {
    child: Child,
    folder: PathBuf,
}

struct Dev<'a> {
    args: &'a DevArgs,
    config: PathBuf,
    /// Copies of the libraries, each below its digest.
    libraries: PathBuf,
    runs: PathBuf,
    /// Digest of the library in use.
    digest: String,
}

/// Runs the command.
pub(super) fn run(args: &DevArgs) -> Result<()> {
    if !args.path.join("Cargo.toml").is_file() {
        let text = format!(
            "`{}` is no crate: it has no `Cargo.toml`",
            args.path.display()
        );
        return Err(Error::usage(text).hint("`biorule rules new NAME` makes one"));
    }
    let config = args
        .config
        .clone()
        .unwrap_or_else(|| args.path.join("digits.toml"));
    if !config.is_file() {
        let text = format!("there is no experiment `{}`", config.display());
        return Err(Error::usage(text).hint("name one with `--config FILE`"));
    }
    let stop = StopFlag::new();
    stop.on_signals_saying("stopping")?;
    let libraries = std::env::temp_dir().join(format!("biorule-dev-{}", std::process::id()));
    let mut dev = Dev {
        args,
        config,
        libraries,
        runs: args
            .run_dir
            .clone()
            .unwrap_or_else(|| args.path.join("runs/dev")),
        digest: String::new(),
    };
    let done = dev.watch(&stop);
    let _ = std::fs::remove_dir_all(&dev.libraries);
    done
}

impl Dev<'_> {
    fn watch(&mut self, stop: &StopFlag) -> Result<()> {
        let mut running: Option<Running> = None;
        let mut seen = None;
        while !stop.stopped() {
            let newest = newest(&self.args.path);
            if seen != Some(newest) {
                seen = Some(newest);
                match self.build()? {
                    None => tell!("dev: the build failed; what runs goes on as it is"),
                    Some(library) => self.take(&library, &mut running)?,
                }
            }
            if let Some(run) = &mut running
                && let Ok(Some(status)) = run.child.try_wait()
            {
                tell!(
                    "dev: the run in `{}` ended with {status}; waiting for a change",
                    run.folder.display()
                );
                running = None;
            }
            std::thread::sleep(LOOK);
        }
        if let Some(run) = running {
            end(run);
        }
        Ok(())
    }

    /// Builds the crate; its library, or nothing where the build failed and Cargo said why.
    fn build(&self) -> Result<Option<PathBuf>> {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--message-format=json-render-diagnostics"])
            .current_dir(&self.args.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if self.args.release {
            cargo.arg("--release");
        }
        let mut child = cargo.spawn().map_err(|e| {
            Error::usage(format!("`cargo` does not start: {e}")).hint("install Rust (rustup.rs)")
        })?;
        let mut library = None;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out)
                .lines()
                .map_while(std::result::Result::ok)
            {
                library = artefact(&line).or(library);
            }
        }
        let status = child
            .wait()
            .map_err(|e| Error::usage(format!("cargo: {e}")))?;
        if !status.success() {
            return Ok(None);
        }
        library.map(Some).ok_or_else(|| {
            Error::usage(format!(
                "the crate in `{}` makes no library",
                self.args.path.display()
            ))
            .hint("`[lib] crate-type = [\"cdylib\", \"rlib\"]` in its `Cargo.toml`")
        })
    }

    /// Starts the experiment with `library`, in place of what runs with another one.
    fn take(&mut self, library: &Path, running: &mut Option<Running>) -> Result<()> {
        let file = match inspect(library) {
            Ok(file) => file,
            Err(e) => {
                tell!("dev: {e}");
                return Ok(());
            }
        };
        if file.sha256 == self.digest {
            return Ok(());
        }
        // Under a name of its own: what is there may be written over by the next build.
        let folder = self.libraries.join(&file.sha256[..16]);
        let failed = |e: std::io::Error| Error::io(ExitCode::Storage, &folder, &e);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let name = library.file_name().unwrap_or_default();
        std::fs::write(folder.join(name), &*file.bytes).map_err(failed)?;
        self.digest.clone_from(&file.sha256);
        let before = running.take().map(end);
        let root = before.unwrap_or_else(|| self.runs.clone());
        let run_dir = free(&root);
        tell!(
            "dev: library {}, run `{}`",
            short(&file.sha256),
            run_dir.display()
        );
        let exe = std::env::current_exe().map_err(|e| Error::internal(e.to_string()))?;
        let child = Command::new(exe)
            .arg("train")
            .arg(&self.config)
            .arg("--run-dir")
            .arg(&run_dir)
            .arg("--plugins")
            .arg(&folder)
            .args(["--accept-plugins", "--plain", "--exit-with-parent"])
            .args(&self.args.train)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| Error::internal(format!("the run does not start: {e}")))?;
        *running = Some(Running {
            child,
            folder: run_dir,
        });
        Ok(())
    }
}

/// The library in a line of Cargo's messages, if it is one about this crate's.
fn artefact(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let kinds = message["target"]["kind"].as_array()?;
    if message["reason"] != "compiler-artifact" || !kinds.iter().any(|kind| kind == "cdylib") {
        return None;
    }
    let files = message["filenames"].as_array()?.iter();
    let ending = std::env::consts::DLL_SUFFIX;
    files
        .filter_map(|file| file.as_str())
        .find(|file| file.ends_with(ending))
        .map(PathBuf::from)
}

/// Asks a run to stop with a checkpoint and waits for it; its folder.
fn end(mut run: Running) -> PathBuf {
    // Its standard input closes, which `--exit-with-parent` takes for a signal.
    drop(run.child.stdin.take());
    let _ = run.child.wait();
    run.folder
}

/// `root`, or where a run there is over, the next name with a number that is free.
fn free(root: &Path) -> PathBuf {
    let named = |n: u32| match n {
        1 => root.to_path_buf(),
        n => PathBuf::from(format!("{}-{n}", root.display())),
    };
    (1..)
        .map(named)
        .find(|path| !folder::has_ended(path))
        .unwrap_or_default()
}

/// When the source was changed last.
fn newest(root: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut open: Vec<PathBuf> = ["src", "biorule-plugin-api/src", "Cargo.toml", "build.rs"]
        .map(|name| root.join(name))
        .into();
    while let Some(path) = open.pop() {
        let Ok(data) = std::fs::metadata(&path) else {
            continue;
        };
        if data.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        }
        newest = newest.max(data.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    }
    newest
}
