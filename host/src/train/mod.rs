//! Training: phases over a network, losses, optimisers, schedules, kept
//! features, evaluation and exact resume.
//!
//! [`run()`] takes a plan, rules, data and someone to report to, and carries out
//! the plan's phases and baselines. Everything random is a function of seed,
//! phase, epoch and step, so a resumed run goes on bit for bit.

pub mod alignment;
pub mod architecture;
pub mod baseline;
mod best;
pub mod cache;
pub mod classes;
pub mod criterion;
mod divergence;
pub mod engine;
mod epoch_end;
pub mod eval_updates;
pub mod evaluate;
pub mod fields;
pub mod init;
pub mod longer;
pub mod loss;
pub mod mapped;
pub mod meter;
pub mod names;
pub mod neurons;
pub mod optimizer;
pub mod phase;
pub mod post_hoc;
pub mod predict;
pub mod preflight;
pub mod progress;
mod reported;
pub mod run;
pub mod schedule;
mod sets;
pub mod state;
pub mod step;
pub mod stop;
mod winners;

pub use crate::data::feed::{Batch, EpochSpec, Samples, TrainData};
pub use crate::device::Place;
pub use architecture::Architecture;
pub use best::Best;
pub use classes::{ClassScore, Confusion};
pub use engine::{Engine, Passed, Step, StepInput, Steps};
pub use eval_updates::Warning;
pub use evaluate::{Evaluated, Scores};
pub use fields::{Ascent, Fields, fields};
pub use progress::{EpochEvent, PhaseEvent, Progress, StepEvent};
pub use reported::reported_metrics;
pub use run::{Job, Outcome, SegmentResult, run, score, trained};
pub use state::Checkpoint;
pub use winners::{Winners, winners};
