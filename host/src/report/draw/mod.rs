//! What a page shows of an experiment, as drawings. Each is `None` where the runs do not hold what it
//! needs; the page then says so.

pub mod held;
pub mod learn;
pub mod units;
