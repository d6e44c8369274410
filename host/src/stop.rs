//! Requests from outside: stop (a signal, the parent's death, a line on
//! standard input) and checkpoint now. The trainer looks at the flag between
//! steps; nothing is interrupted in the middle.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Error, Result};

/// Why a run is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopCause {
    /// SIGINT or SIGTERM: checkpoint, exit 75.
    Signal = 1,
    /// Standard input closed under `--exit-with-parent`: as a signal.
    Parent = 2,
    /// The line `stop` on standard input, from a search that gave the run up:
    /// checkpoint, exit 0.
    Pruned = 3,
}

/// The flag itself; clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    cause: Arc<AtomicU8>,
    checkpoint: Arc<AtomicBool>,
}

impl StopFlag {
    /// A flag nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a stop. The first cause counts.
    pub fn request(&self, cause: StopCause) {
        let _ = self
            .cause
            .compare_exchange(0, cause as u8, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Why to stop, if asked to.
    #[must_use]
    pub fn cause(&self) -> Option<StopCause> {
        match self.cause.load(Ordering::SeqCst) {
            1 => Some(StopCause::Signal),
            2 => Some(StopCause::Parent),
            3 => Some(StopCause::Pruned),
            _ => None,
        }
    }

    /// Whether to stop.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.cause().is_some()
    }

    /// Asks for a checkpoint.
    pub fn request_checkpoint(&self) {
        self.checkpoint.store(true, Ordering::SeqCst);
    }

    /// Whether a checkpoint was asked for since the last look.
    #[must_use]
    pub fn take_checkpoint(&self) -> bool {
        self.checkpoint.swap(false, Ordering::SeqCst)
    }

    /// Raises the flag at SIGINT and SIGTERM. The second of them ends the process
    /// at once, as an impatient user expects; the folder stays consistent.
    ///
    /// # Errors
    /// Internal error where the system refuses signal handlers.
    pub fn on_signals(&self) -> Result<()> {
        self.on_signals_saying("stopping after this step, with a checkpoint")
    }

    /// The same, with another line for the user who asked to stop.
    ///
    /// # Errors
    /// As for [`Self::on_signals`].
    pub fn on_signals_saying(&self, line: &'static str) -> Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|e| Error::internal(format!("no signal handler: {e}")))?;
        let flag = self.clone();
        let listen = move || {
            for signal in signals.forever() {
                if flag.stopped() {
                    std::process::exit(128 + signal);
                }
                flag.request(StopCause::Signal);
                tell!("{line}");
            }
        };
        // Where memory is short the system refuses threads.
        let thread = std::thread::Builder::new().spawn(listen);
        thread.map(drop).map_err(|e| {
            Error::usage(format!("no thread can be started: {e}"))
                .hint("free memory, or raise the limits on memory and processes")
        })
    }

    /// Obeys lines on `input`: `stop`, `checkpoint`, `ping` (answered on
    /// standard output). With `end_stops`, its end stops the run too.
    pub fn on_lines(&self, input: impl BufRead + Send + 'static, end_stops: bool) {
        let flag = self.clone();
        std::thread::spawn(move || {
            for line in input.lines() {
                match line.as_deref().map(str::trim) {
                    Ok("stop") => flag.request(StopCause::Pruned),
                    Ok("checkpoint") => flag.request_checkpoint(),
                    Ok("ping") => {
                        // A reader of standard output may be gone.
                        use std::io::Write as _;
                        let _ = writeln!(std::io::stdout(), r#"{{"event":"pong"}}"#);
                    }
                    Ok("") => {}
                    Ok(other) => tracing::warn!("unknown line on standard input: `{other}`"),
                    Err(_) => break,
                }
            }
            if end_stops {
                flag.request(StopCause::Parent);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(flag: &StopFlag) {
        for _ in 0..2000 {
            if flag.stopped() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn lines_stop_and_ask_for_checkpoints() {
        let flag = StopFlag::new();
        flag.on_lines(std::io::Cursor::new("checkpoint\nnonsense\nstop\n"), true);
        wait(&flag);
        assert_eq!(flag.cause(), Some(StopCause::Pruned));
        assert!(flag.take_checkpoint());
        assert!(!flag.take_checkpoint());
    }

    #[test]
    fn the_end_of_input_stops_only_when_told() {
        let told = StopFlag::new();
        told.on_lines(std::io::Cursor::new(""), true);
        wait(&told);
        assert_eq!(told.cause(), Some(StopCause::Parent));
    }

    #[test]
    fn the_first_cause_counts() {
        let flag = StopFlag::new();
        flag.request(StopCause::Pruned);
        flag.request(StopCause::Signal);
        assert_eq!(flag.cause(), Some(StopCause::Pruned));
    }
}
