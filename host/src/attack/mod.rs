//! Attacks on a trained network and corruptions of what it sees: how often a network is right when
//! somebody, or the weather, changes its pictures.
//!
//! Everything is measured in pixel values from 0 to 1; scaling and whitening are repeated between
//! the attack and the network ([`crate::data::PixelSpace`]). Nothing is learned: a rule that changes
//! in evaluation too stays as it is. Each random number is keyed by seed, sample, method and step,
//! so that no result depends on the size of a batch or on where a list of attacks was taken up again.
//!
//! | file | what it does |
//! | --- | --- |
//! | `method` | which attacks there are, their settings, names and strengths |
//! | `target` | the network behind an attack, and its two gradients |
//! | `loss` | what is climbed: cross-entropy, difference of logits ratio, divergence, margin |
//! | `ball` | norms: projections, directions, distances |
//! | `victims` | the samples attacked together |
//! | `draw` | random numbers by key |
//! | `gradient` | FGSM, PGD, TPGD |
//! | `apgd` | APGD |
//! | `square`, `one_pixel` | attacks that only see outputs |
//! | `corrupt` | noise, blur, weather, colour, compression |
//! | `perturb` | each method on a batch |
//! | `protocol` | published lists of attacks with their faults |
//! | `robust` | accuracies over a part of a data set |

mod apgd;
pub mod ball;
pub mod corrupt;
pub mod draw;
mod gradient;
pub mod loss;
pub mod method;
mod one_pixel;
mod perturb;
pub mod protocol;
mod robust;
mod square;
pub mod target;
mod victims;

pub use ball::Norm;
pub use draw::{Keyed, Noise};
pub use method::{Attack, Method};
pub use perturb::perturb;
pub use protocol::Protocol;
pub use robust::{Event, Report, Row, Spec, robust_accuracy};
pub use target::{Gradient, Target};
pub use victims::Victims;
