//! The `biorule` command.
fn main() {}
