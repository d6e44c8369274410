//! Networks as modules with an explicit backward pass on a small tape.
//!
//! A [`Pass`] carries one forward (and backward) pass through a [`Network`]:
//! forward pushes what backward needs, backward pops it. A rule layer is the
//! module whose forward, learning and backward belong to a [`Rule`].

pub mod activation;
pub mod block;
pub mod build;
pub(crate) mod contract;
pub mod drop_path;
pub mod dropout;
pub mod field;
pub mod graph;
pub mod layer;
pub mod mixed;
pub mod mixture;
pub mod module;
pub mod network;
pub mod norm;
pub mod outline;
pub mod partial;
pub mod pass;
pub mod pool;
pub mod recompute;
pub mod rule;
pub mod side;
pub(crate) mod targets;
pub mod transform;

pub use crate::ops::LayerMap;
pub use build::InputShape;
pub use mixture::{ArchitectureGradients, Mixture, Tables};
pub use module::{Mode, Module, NamedTensor};
pub use network::Network;
pub use outline::Outline;
pub use pass::{Clock, Draws, Pass, Side, Wants};
pub use rule::{
    Activity, Change, ChangeKind, Credit, Errors, Forwarded, LayerShape, Role, Rule, RuleCall,
    RuleFacts, RuleGradients, RuleSource, StateOutline, StateTensor,
};
