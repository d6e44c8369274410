//! Write learning rules for BioRule in safe Rust.
//!
//! A *learning rule* says how one layer changes its weights: Hebb, Oja, feedback
//! alignment, backpropagation. It takes the place of what PyTorch splits into
//! `autograd.Function` and, for rules that learn without a loss, the optimiser's step.
//! You implement one trait, [`LearningRule`](sdk::LearningRule), build a shared library
//! (`.so`), and BioRule loads it at run time and trains networks whose layers name the
//! rule in a config.
//!
//! # Oja's rule in full
//!
//! ```
//! use biorule_plugin_api::prelude::*;
//!
//! hyperparameters! {
//!     /// Oja's rule: `ΔW = η·⟨y·(x − y·W)⟩`, the mean over samples and places.
//!     pub struct Oja {
//!         /// learning rate, where the phase sets no `local_rate`
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
//!         let (layer, w) = (cx.layer(), s.get("weight")?);
//!         let n = (a.y.elem_count()? / layer.units()) as f64;           // samples × places
//!         let hebb = layer.correlate(&a.x, &a.y)?;                      // Σ y·x
//!         let decay = w.mul_rows(&layer.sum_bias(&a.y.sqr()?)?)?;       // Σ y²·W
//!         Ok(Changes::new().add("weight", hebb.sub(&decay)?.scale(cx.rate_or(self.lr) / n)?))
//!     }
//! }
//!
//! export_rules!(Oja);
//! # fn main() {
//! #     #[cfg(feature = "testkit")]
//! #     biorule_plugin_api::testkit::keeps_its_contract::<Oja>();
//! # }
//! ```
//!
//! That is the whole `src/lib.rs` of a plugin; `biorule rules new NAME` makes such a crate with tests.
//! Its `Cargo.toml` needs
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]   # the plugin, and a library for the crate's own tests
//!
//! [dependencies]
//! biorule-plugin-api = "0.1"
//!
//! [dev-dependencies]
//! biorule-plugin-api = { version = "0.1", features = ["testkit"] }
//! ```
//!
//! Then, with BioRule installed:
//!
//! ```text
//! cargo build
//! biorule rules check target/debug/libmy_oja.so      # contract and claims, each in its own process
//! biorule rules list --plugins target/debug          # the rule is listed as `oja`
//! ```
//!
//! In a config, a layer uses it with `rule = { name = "oja", lr = 0.02 }`. Leave
//! `panic = "unwind"` (the default) in the profile: a plugin that aborts would take the
//! host with it, so it is refused.
//!
//! # Order of calls
//!
//! | when | the host calls | PyTorch's counterpart |
//! | --- | --- | --- |
//! | the library is loaded | [`info`](sdk::LearningRule::info) and the schema of hyperparameters, without a layer | |
//! | a layer is built | [`check`](sdk::LearningRule::check), [`least_batch`](sdk::LearningRule::least_batch), [`state`](sdk::LearningRule::state) | `nn.Module.__init__` |
//! | every batch | [`forward`](sdk::LearningRule::forward); the default is the layer's map with `weight` and `bias` | `forward` |
//! | the layer learns, [`Credit::Local`](sdk::Credit::Local) | [`learn`](sdk::LearningRule::learn), which returns [`Changes`](sdk::Changes) of the state | |
//! | the layer learns, [`Credit::Feedback`](sdk::Credit::Feedback) or [`Direct`](sdk::Credit::Direct) | [`backward`](sdk::LearningRule::backward), which returns [`Gradients`](sdk::Gradients) for the optimiser and the error for the layer below | `autograd.Function.backward` |
//! | exact gradients are wanted | [`input_gradient`](sdk::LearningRule::input_gradient); override it together with `forward` | |
//! | an epoch ends | [`metrics`](sdk::LearningRule::metrics) | |
//!
//! Local changes are applied after the forward pass of the whole network, gradients by
//! the optimiser of the phase. Calls for one layer come one after the other; those for
//! two layers may come from two threads.
//!
//! # Who owns the state
//!
//! The host. The implementing struct holds its hyperparameters and nothing else;
//! `state` declares named tensors with shape, initialiser ([`Init`](sdk::Init)) and
//! [`Role`](sdk::Role), and every call hands them in as [`State`](sdk::State). The role
//! says who changes a tensor: the optimiser (`Weight`, `Bias`, `LearnedFeedback`), what
//! `learn` returns (`Plastic`, `Statistic`), or nobody (`FixedFeedback`). Tensors that
//! one step needs twice go from `forward` to `learn` or `backward` with
//! [`Forward::keep`](sdk::Forward::keep). Random numbers come from
//! [`Context::random`](sdk::Context::random), seeded by run, layer and step. A rule written
//! so has checkpoints, exact resume and GPU support without further code.
//!
//! Tensors handed in are borrowed for the call, those returned belong to the host. An
//! `Err` or a panic ends the run with the names of rule and layer; the last checkpoint
//! stays intact.
//!
//! # Where to read on
//!
//! - [`LearningRule`](sdk::LearningRule): the methods, their shapes and defaults.
//! - [`hyperparameters!`]: default, range or choices, unit and source of each
//!   hyperparameter, in one place; [`export_rules!`] lists the rules of a library.
//! - [`LayerSpec`](sdk::LayerSpec): the three maps `forward(x, W)`, `feedback(g, B)` and
//!   `correlate(x, g)`. A rule written with them works on dense, grouped, strided,
//!   dilated and padded layers alike.
//! - [`Tensor`](sdk::Tensor): the operations, on the CPU or a GPU, run by the host.
//! - [`Competition`](sdk::Competition): winner-take-all and similar steps over units.
//! - `testkit` (a feature of this crate): `testkit::Trial` runs a rule on a
//!   layer over plain arrays, without BioRule, and
//!   `testkit::keeps_its_contract` tests its
//!   [`Claims`](sdk::Claims). `biorule rules check` makes the same checks on the library.
//! - [`abi`]: what crosses the boundary between plugin and host, and all that is unsafe;
//!   of interest to those who change the interface. `ABI.md` in this package says how it evolves.
//!
//! # Versions
//!
//! The boundary between plugin and host has a version of its own,
//! [`API_VERSION`](abi::API_VERSION): `0.MINOR` breaks, `0.x.PATCH` adds operations. A host
//! loads plugins of every patch version. A rule that calls an operation which the host lacks
//! fails in that call, with the operation's name and the version that has it: update the host, or
//! build against an older version of this crate. A plugin of another `0.MINOR` is refused with
//! both versions: build it again.
//!
//! # Letters of shapes
//!
//! `B` batch, `C` input channels, `K` output channels or units, `H W` input rows and
//! columns, `P Q` output rows and columns, `R S` kernel rows and columns, `D = C·R·S`.

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
