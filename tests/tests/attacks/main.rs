//! Attacks on trained networks, through the real plugins and the real binary.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test --workspace --test attacks -- --nocapture` prints what of the
//! golden attacks was compared; `BIORULE_PYTHON` names an interpreter with PyTorch and torchattacks.

mod command;
mod golden;
mod networks;
mod pixels;
mod runs;
mod torchattacks;
