//! Runs side by side: each is a child process of this program with a run folder of its own, so that
//! one that diverges, runs out of memory or is killed takes no other along.
//!
//! Whoever has a list of runs, or finds the next one by the results of those before, gives each as a
//! [`Trial`] to a [`Fleet`] and takes what comes back:
//!
//! ```text
//! let mut fleet = Fleet::new(options, &stop)?;
//! fleet.add(trial);
//! while let Some(ended) = fleet.next(&mut |told| display.hear(told))? { … fleet.add(another) … }
//! ```
//!
//! A child is told to stop by the end of its standard input. So it stops, too, where this process is
//! killed: the system closes the pipe.

mod child;
mod display;
mod judge;
mod trial;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::stop::{StopCause, StopFlag};
use crate::{Error, Result};
use child::{Child, Heard};
pub use display::Display;
pub use trial::{Ended, Options, Outcome, Told, Trial, share};

/// Time between two looks at the flag, which is also how often a display is refreshed.
const TICK: Duration = Duration::from_millis(100);

/// Starts of one trial in one command: one that is killed or that a defect ends gets another.
const STARTS: u32 = 2;

/// Gives trials up while [`Fleet::next`] waits.
#[derive(Clone, Debug)]
pub struct Pruner(Sender<(u64, Heard)>);

impl Pruner {
    /// As [`Fleet::prune`], soon.
    pub fn prune(&self, number: usize) {
        // A fleet that is gone has no trials.
        let _ = self.0.send((0, Heard::GiveUp(number)));
    }
}

/// Children at work, and trials that wait for one.
#[derive(Debug)]
pub struct Fleet {
    options: Options,
    program: PathBuf,
    stop: StopFlag,
    waiting: VecDeque<(usize, Trial)>,
    running: Vec<Running>,
    numbers: usize,
    starts: u64,
    ear: Receiver<(u64, Heard)>,
    mouth: Sender<(u64, Heard)>,
    /// Children have been told what the flag says.
    is_passed_on: bool,
}

/// A trial with its child.
#[derive(Debug)]
struct Running {
    number: usize,
    trial: Trial,
    child: Child,
    /// Tells its child from those before.
    start: u64,
    starts: u32,
    since: Instant,
    record: judge::Record,
}

impl Fleet {
    /// A fleet without trials, that ends when `stop` is raised.
    ///
    /// # Errors
    /// The system does not say where this program lies.
    pub fn new(options: Options, stop: &StopFlag) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|e| Error::internal(format!("this program is not found: {e}")))?;
        let (mouth, ear) = channel();
        Ok(Self {
            options,
            program,
            stop: stop.clone(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            numbers: 0,
            starts: 0,
            ear,
            mouth,
            is_passed_on: false,
        })
    }

    /// Takes a trial in; it starts when it is its turn. Its number, from 0.
    pub fn add(&mut self, trial: Trial) -> usize {
        let number = self.numbers;
        self.numbers += 1;
        self.waiting.push_back((number, trial));
        number
    }

    /// Trials that wait or run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What gives trials up from inside of [`Self::next`].
    #[must_use]
    pub fn pruner(&self) -> Pruner {
        Pruner(self.mouth.clone())
    }

    /// Gives up the trial `number`: one that waits is dropped; one that runs writes a checkpoint
    /// and ends as `pruned`.
    pub fn prune(&mut self, number: usize) {
        self.waiting.retain(|(waiting, _)| *waiting != number);
        let running = self.running.iter_mut().find(|r| r.number == number);
        if let Some(running) = running {
            running.child.say("stop");
        }
    }

    /// The next trial that is over; `None` when nothing runs any more: all are done, or a stop left
    /// some waiting. `see` hears what happens until then.
    ///
    /// # Errors
    /// Those of `see`.
    pub fn next(&mut self, see: &mut dyn FnMut(&Told<'_>) -> Result<()>) -> Result<Option<Ended>> {
        loop {
            while self.running.len() < self.options.jobs.max(1) && !self.stop.stopped() {
                let Some((number, trial)) = self.waiting.pop_front() else {
                    break;
                };
                if let Some(ended) = self.start(number, trial, None, see)? {
                    return Ok(Some(ended));
                }
            }
            if self.running.is_empty() {
                return Ok(None);
            }
            self.pass_on();
            match self.ear.recv_timeout(TICK) {
                Ok((start, heard)) => {
                    if let Some(ended) = self.hear(start, heard, see)? {
                        return Ok(Some(ended));
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    see(&Told::Tick)?;
                }
            }
        }
    }

    /// Requests from outside, to each child.
    fn pass_on(&mut self) {
        let checkpoint = self.stop.take_checkpoint();
        let cause = self.stop.cause().filter(|_| !self.is_passed_on);
        self.is_passed_on |= cause.is_some();
        for Running { child, .. } in &mut self.running {
            if checkpoint {
                child.say("checkpoint");
            }
            match cause {
                Some(StopCause::Pruned) => child.say("stop"),
                Some(StopCause::Signal | StopCause::Parent) => child.let_go(),
                None => {}
            }
        }
    }

    /// Starts a child; `before` is when the trial was first started and how often. The end of the
    /// trial where no child can be started.
    fn start(
        &mut self,
        number: usize,
        trial: Trial,
        before: Option<(Instant, u32)>,
        see: &mut dyn FnMut(&Told<'_>) -> Result<()>,
    ) -> Result<Option<Ended>> {
        let (since, starts) = before.unwrap_or((Instant::now(), 0));
        let starts = starts + 1;
        self.starts += 1;
        let start = self.starts;
        let resume = match starts {
            1 => self.options.resume,
            _ => "auto",
        };
        see(&Told::Started {
            number,
            trial: &trial,
            starts,
        })?;
        let mouth = self.mouth.clone();
        let hear = move |heard| {
            // Nobody listens any more where the fleet is gone.
            let _ = mouth.send((start, heard));
        };
        match Child::start(&self.program, &trial, self.options.threads, resume, hear) {
            Ok(child) => {
                self.running.push(Running {
                    number,
                    trial,
                    child,
                    start,
                    starts,
                    since,
                    record: judge::Record::default(),
                });
                Ok(None)
            }
            Err(e) => {
                let error = Error::storage(format!("no process can be started: {e}"))
                    .hint("fewer `--jobs` take fewer processes and less memory");
                Ok(Some(Ended {
                    number,
                    trial,
                    outcome: Outcome::Failed(error),
                    seconds: since.elapsed().as_secs_f64(),
                    starts,
                }))
            }
        }
    }

    /// Takes in what the child of `start` said; the trial where that ends it.
    fn hear(
        &mut self,
        start: u64,
        heard: Heard,
        see: &mut dyn FnMut(&Told<'_>) -> Result<()>,
    ) -> Result<Option<Ended>> {
        if let Heard::GiveUp(number) = heard {
            self.prune(number);
            return Ok(None);
        }
        let Some(at) = self.running.iter().position(|r| r.start == start) else {
            return Ok(None);
        };
        let running = &mut self.running[at];
        let number = running.number;
        match heard {
            Heard::Event(event) => {
                let expected = running.trial.config_hash.as_deref();
                if running.record.event(&event, expected) {
                    running.child.let_go();
                }
                see(&Told::Event {
                    number,
                    event: &event,
                })?;
                Ok(None)
            }
            Heard::Line(line) => {
                see(&Told::Line {
                    number,
                    line: &line,
                })?;
                running.record.line(line);
                Ok(None)
            }
            Heard::GiveUp(_) => Ok(None),
            Heard::Over => {
                let mut running = self.running.swap_remove(at);
                let status = running.child.wait();
                let died = judge::died(&status);
                let outcome = running.record.outcome(&status, self.stop.stopped());
                if let (Outcome::Failed(why), true) = (&outcome, died)
                    && running.starts < STARTS
                    && !self.stop.stopped()
                {
                    see(&Told::Again { number, why })?;
                    let before = Some((running.since, running.starts));
                    return self.start(number, running.trial, before, see);
                }
                Ok(Some(Ended {
                    number,
                    trial: running.trial,
                    outcome,
                    seconds: running.since.elapsed().as_secs_f64(),
                    starts: running.starts,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_fleet_is_over_at_once() {
        let options = Options {
            jobs: 2,
            threads: None,
            resume: "auto",
        };
        let mut fleet = Fleet::new(options, &StopFlag::new()).unwrap();
        assert!(fleet.next(&mut |_| Ok(())).unwrap().is_none());
        let words = vec!["train".into()];
        let number = fleet.add(Trial::new("one", "nowhere".into(), words));
        fleet.prune(number);
        assert!(fleet.is_empty());
    }

    #[test]
    fn nothing_starts_after_a_request_to_stop() {
        let options = Options {
            jobs: 2,
            threads: None,
            resume: "auto",
        };
        let stop = StopFlag::new();
        let mut fleet = Fleet::new(options, &stop).unwrap();
        fleet.add(Trial::new("one", "nowhere".into(), vec!["train".into()]));
        stop.request(StopCause::Signal);
        assert!(fleet.next(&mut |_| Ok(())).unwrap().is_none());
        assert_eq!(fleet.len(), 1);
    }
}
