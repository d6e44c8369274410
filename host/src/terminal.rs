//! Lines for people, on standard error.

/// Writes a line to standard error, as `eprintln!` does, but goes on where that is full or closed:
/// a log that cannot be written ends no training.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
