//! Training: phases over a network, losses, optimisers, schedules, kept
//! features, evaluation and exact resume.

pub mod loss;
pub mod optimizer;
pub mod schedule;
