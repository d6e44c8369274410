//! Opening files on trial: a library that was never opened before is opened in a child process
//! first, so that a crash in the system's loader, in a constructor or in the plugin's own start is
//! a refusal and not the end of every command. A file is tried once; see `verdicts`.
//!
//! The child is this program, `biorule rules trial MARK FILE…`. It opens the files in order and
//! writes `MARK N` when the file numbered `N` is open. All go well together, and one child serves
//! them all; where it dies, each file that is left gets a child of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::candidate::Candidate;
use super::load::load;
use super::seconds;
use super::verdicts::{Verdict, forget, recall, remember};

/// Environment variable: seconds that opening one unknown file may take.
pub const SECONDS_VARIABLE: &str = "BIORULE_PLUGIN_SECONDS";

/// The same, where the variable is absent.
const SECONDS: u64 = 10;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From now on unknown files are tried in children of this program. Only `biorule` itself may ask
/// for that: another program would not understand the command line.
pub fn enable() {
    if let Ok(program) = std::env::current_exe() {
        let _ = PROGRAM.set(program);
    }
}

/// The verdict on each file: known ones are recalled, the others tried now. `None` where nothing
/// can be tried, as no child can be started.
pub fn verdicts(files: &[&Candidate]) -> Vec<Option<Verdict>> {
    let Some(program) = PROGRAM.get() else {
        return vec![None; files.len()];
    };
    let mut verdicts: Vec<Option<Verdict>> =
        files.iter().map(|f| recall(program, &f.sha256)).collect();
    let unknown: Vec<usize> = (0..files.len())
        .filter(|i| verdicts[*i].is_none())
        .collect();
    if unknown.is_empty() {
        return verdicts;
    }
    let paths: Vec<&Path> = unknown.iter().map(|i| files[*i].path.as_path()).collect();
    for (i, verdict) in unknown.into_iter().zip(try_all(program, &paths)) {
        if let Some(verdict) = &verdict {
            remember(program, &files[i].sha256, verdict);
        }
        verdicts[i] = verdict;
    }
    verdicts
}

/// Tries `file` at the next occasion, whatever is remembered of it.
pub fn again(file: &Candidate) {
    forget(&file.sha256);
}

fn try_all(program: &Path, paths: &[&Path]) -> Vec<Option<Verdict>> {
    let together = try_in_child(program, paths);
    let Ok(End { opened, died }) = together else {
        return vec![None; paths.len()];
    };
    match died {
        None => vec![Some(Verdict::Survived); paths.len()],
        Some(how) if paths.len() == 1 => vec![Some(Verdict::Died(how))],
        // Whoever is to blame is found alone, also where the end came after all were open.
        Some(_) => {
            let settled = if opened == paths.len() { 0 } else { opened };
            let alone = paths[settled..].iter().map(|path| {
                let end = try_in_child(program, &[path]).ok()?;
                Some(end.died.map_or(Verdict::Survived, Verdict::Died))
            });
            std::iter::repeat_n(Some(Verdict::Survived), settled)
                .chain(alone)
                .collect()
        }
    }
}

/// How a child ended.
struct End {
    /// Files that it opened.
    opened: usize,
    /// How it died; `None` where it opened all and ended well.
    died: Option<String>,
}

fn try_in_child(program: &Path, paths: &[&Path]) -> std::io::Result<End> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mark = format!(
        "trial-{}-{}",
        std::process::id(),
        since.unwrap_or_default().as_nanos()
    );
    let spawned = Command::new(program)
        .args(["rules", "trial", &mark])
        .args(paths)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.inspect_err(|e| tracing::warn!("plugins are opened untried: {e}"))?;
    let lines = lines(&mut child);
    let (mut opened, limit) = (0, limit());
    let silent = loop {
        match lines.recv_timeout(limit) {
            Ok(line) if line.trim() == format!("{mark} {opened}") => opened += 1,
            // What the library itself prints.
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    let status = match silent {
        true => None,
        false => ended(&mut child, limit)?,
    };
    let died = match status {
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Some(format!(
                "did not come to an end within {} s",
                limit.as_secs()
            ))
        }
        Some(status) if status.success() && opened == paths.len() => None,
        Some(status) => Some(describe(status)),
    };
    Ok(End { opened, died })
}

/// The lines that `child` writes; closed with its output.
fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(out) = child.stdout.take() {
        // Not joined: a grandchild may hold the pipe open.
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if send.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receive
}

/// The status of a child whose output is closed; `None` where it lives on for `limit`.
fn ended(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        match child.try_wait()? {
            None if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(2)),
            status => return Ok(status),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGBUS => "SIGBUS",
            libc::SIGABRT => "SIGABRT",
            libc::SIGILL => "SIGILL",
            libc::SIGFPE => "SIGFPE",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGKILL => "SIGKILL",
            libc::SIGALRM => "SIGALRM",
            _ => return format!("was killed by signal {signal}"),
        };
        return format!("was killed by {name}");
    }
    match status.code() {
        Some(code) => format!("was ended by the library, with exit code {code}"),
        None => format!("ended with {status}"),
    }
}

fn limit() -> Duration {
    static LIMIT: LazyLock<u64> = LazyLock::new(|| seconds::of(SECONDS_VARIABLE, SECONDS));
    Duration::from_secs(*LIMIT)
}

/// The child's part: opens `files` in order and says `mark` after each. A file that is refused
/// with an error is open in this sense: the parent will hear the same error.
pub fn in_this_process(mark: &str, files: &[PathBuf]) {
    no_core_file();
    for (i, file) in files.iter().enumerate() {
        wake_after(limit() + Duration::from_secs(5));
        if let Err(e) = load(file) {
            tracing::debug!("{e}");
        }
        let mut out = std::io::stdout().lock();
        // A line of its own, whatever the library left on the last one.
        let _ = writeln!(out, "\n{mark} {i}");
        let _ = out.flush();
    }
}

/// No core dump of a crash that is expected.
pub(super) fn no_core_file() {
    #[cfg(unix)]
    {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the limit is this process's own, and `none` outlives the call.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    }
}

/// Ends this process after `limit`, should the parent be gone by then.
fn wake_after(limit: Duration) {
    #[cfg(unix)]
    {
        let seconds = libc::c_uint::try_from(limit.as_secs()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: no handler is set; the signal's default is to end the process.
        unsafe { libc::alarm(seconds) };
    }
}
