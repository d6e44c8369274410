//! The boundary itself: every type that crosses it, everything that touches
//! abi_stable, and all that is unsafe.
//!
//! Rule authors never look here. The order of events, who owns what and how the
//! boundary evolves is in `plugin-api/ABI.md`; `plugin-api/abi.lock` lists every
//! struct, field and op.

pub(crate) mod callbacks;
pub mod decl;
pub mod glue;
pub mod host;
pub mod lock;
pub mod ops;
pub mod root;
pub mod sound;
pub mod types;
pub mod version;

pub use ops::{HostArg, HostTable, OPS, OpDecl};
pub use root::{RootModule, RootModuleRef};
pub use version::{API_VERSION, ApiVersion, SDK};

/// abi_stable, for the host's loader and the export macro only.
#[doc(hidden)]
pub use abi_stable;
