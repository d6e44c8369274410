//! A study on the disk: its folder, what its run folders say of its trials, and the driver that starts
//! trials. The run folders are the truth; everything else is found again from them.

mod driver;
pub mod folder;
mod judge;
pub mod ledger;
pub mod page;
pub mod program;
pub mod report;

pub use driver::{Driver, Options, Seen};
pub use folder::{StudyFolder, TrialRecord};
pub use ledger::{Entry, Ledger, State};
