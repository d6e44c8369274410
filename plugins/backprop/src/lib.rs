//! Backpropagation.
