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
pub mod stats;

pub use gather::{Gathered, gather};
pub use page::{Made, page};
