//! What runs came to, for people to look at: one page, and pictures in the run folder
//! (docs/report.md).

pub mod chart;
pub mod draw;
pub mod gather;
pub mod kind;
pub mod number;
pub mod page;
pub mod picture;
pub mod pictures;
pub mod runs;
pub mod stats;
pub mod table;

pub use gather::gather;
pub use page::page;
pub use runs::Gathered;
