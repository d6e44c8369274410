//! One run is one folder, and the folder is the truth: configuration, events,
//! metrics, checkpoints and the lock that keeps a second process out. Starting
//! the same command on the folder again goes on where it stopped, or replays
//! what is there (docs/run-folder.md).

pub mod answers;
pub mod atomic;
pub mod attacks;
pub mod bridge;
pub mod checkpoint;
pub mod clock;
pub mod detail;
pub mod events;
pub mod experiment;
pub mod extend;
pub mod fields;
pub mod folder;
pub mod identity;
pub mod initial;
pub mod listing;
pub mod lock;
pub mod measured;
pub mod metrics;
pub mod paired;
pub mod progress;
pub mod prune;
pub mod reporter;
pub mod rule_use;
mod rules_used;
pub mod search_folder;
pub mod steps;
pub mod summary;
pub mod tensorboard;

pub use crate::stop::{StopCause, StopFlag};
pub use answers::{Answers, WinnersRecord};
pub use bridge::Bridge;
pub use checkpoint::{Checkpoint, CheckpointStore};
pub use detail::{BestRecord, ClassRecord};
pub use events::EventLog;
pub use folder::RunFolder;
pub use lock::Lock;
pub use measured::{EpochRecord, Metrics, Outcome, StepRecord};
pub use metrics::MetricsCsv;
pub use reporter::{Reporter, ReporterOptions};
pub use search_folder::SearchFolder;
pub use tensorboard::TensorBoard;
