//! What a learning-rule author sees.
//!
//! A rule changes synapses. It is a pure function over state that the host
//! owns: it declares named tensors, gets them with every call, and returns
//! changes or gradients. It keeps nothing between calls, so checkpoints, exact
//! resume, devices and reloading cost its author nothing.
//!
//! ```
//! use biorule_plugin_api::prelude::*;
//!
//! hyperparameters! {
//!     /// Oja's rule: `Δw = η·y·(x − y·w)`.
//!     pub struct Oja {
//!         /// learning rate
//!         lr: f64 = 0.01, range 0.0 => 10.0, source "Oja 1982, eq. 3";
//!     }
//! }
//!
//! impl LearningRule for Oja {
//!     fn info() -> RuleInfo {
//!         RuleInfo::new("oja", Credit::Local)
//!             .summary("Hebbian growth bounded by a decay")
//!             .paper("Oja, J. Math. Biology 15, 1982")
//!             .claims(Claims::LOCAL | Claims::UNSUPERVISED | Claims::DETERMINISTIC)
//!     }
//!     fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
//!         let std = 1.0 / (layer.fan_in() as f64).sqrt();
//!         Ok(vec![StateSpec::new("weight", layer.weight_shape(), Init::Normal { mean: 0.0, std }, Role::Plastic)])
//!     }
//!     fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
//!         let (w, n) = (s.get("weight")?, a.y.batch()? as f64);
//!         let hebb = cx.layer().correlate(&a.x, &a.y)?;               // Σ y·x
//!         let decay = w.mul_rows(&a.y.sqr()?.sum_per_unit()?)?;       // Σ y²·w
//!         Ok(Changes::new().add("weight", hebb.sub(&decay)?.scale(self.lr / n)?))
//!     }
//! }
//!
//! export_rules!(Oja);
//! # fn main() {}
//! ```
//!
//! Three layers: [`abi`] holds every type that crosses the boundary and all
//! that is unsafe; [`sdk`] is the safe face; `testkit` (feature) gives a rule's
//! own unit tests a host over plain arrays, and the checks of its contract.
//!
//! Dimension letters, fixed for the whole project: `B` batch, `C` input
//! channels, `K` output channels or units, `H W` input rows and columns,
//! `P Q` output rows and columns, `R S` kernel rows and columns, `D = C·R·S`.

pub mod abi;
mod export;
pub mod sdk;
#[cfg(feature = "testkit")]
pub mod testkit;

/// Everything a rule file needs.
pub mod prelude {
    pub use crate::sdk::{
        Activity, Change, Changes, Claims, Competed, Competition, Context, Credit, DType, Errors,
        Forward, Gradients, Hyperparameters, Init, LayerKind, LayerSpec, LearningRule, Metric,
        PtxKernel, Real, Result, Role, RuleError, RuleInfo, State, StateSpec, Tensor, Tile,
    };
    pub use crate::{export_rules, hyperparameters};
}
