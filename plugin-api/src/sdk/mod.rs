//! The safe face of the boundary: tensors, layers, state, and the rule trait.

pub(crate) mod compete;
mod competed;
mod context;
mod error;
mod layer;
mod params;
mod random;
mod rule;
mod state;
mod tensor;

pub use compete::{Competition, Real, Tile};
pub use competed::Competed;
pub use context::Context;
pub use error::{Result, RuleError};
pub use layer::{LayerKind, LayerSpec, PadMode};
pub use params::{Hyperparameters, ParamSpec, ParamType, ParamValue};
#[cfg(feature = "testkit")]
pub(crate) use random::mix;
pub use random::{RandomStream, name_key};
pub use rule::{
    Activity, Claims, Credit, Errors, Forward, Gradients, LearningRule, Metric, RuleInfo,
};
pub use state::{Change, Changes, Init, Role, State, StateSpec};
pub use tensor::{DType, PtxKernel, Tensor};
