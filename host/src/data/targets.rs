//! What is to be predicted: class numbers or real numbers.

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// `[N]` class numbers below `classes`.
    Labels {
        /// One label a sample.
        labels: Vec<u32>,
        /// Number of classes.
        classes: usize,
        /// Names of the classes, or empty.
        names: Vec<String>,
    },
    /// `[N, T]` real numbers (regression).
    Values {
        /// Sample after sample.
        data: Vec<f32>,
        /// T, values per sample.
        width: usize,
    },
}
