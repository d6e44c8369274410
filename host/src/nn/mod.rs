//! Networks: modules with an explicit backward, and the seam to the rules.

pub mod rule;
