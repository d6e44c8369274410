//! Data: where it lies, how it is read, checked, fetched and made, and how it
//! reaches a network in batches. See `docs/data.md`.
//!
//! ```no_run
//! # fn main() -> biorule::Result<()> {
//! let plan = biorule::data::DataPlan { set: "mnist".into(), ..Default::default() };
//! let data = plan.open()?;
//! let loader = data.train_loader(64, 0)?;
//! for batch in loader.epoch(0) {
//!     assert_eq!(batch.values.len(), batch.len() * data.shape().len());
//! }
//! # Ok(())
//! # }
//! ```

pub mod answers;
mod augment;
mod bytes;
mod cache;
mod cifar;
mod classes;
mod dataset;
mod digest;
mod digits;
pub mod feed;
pub mod fetch;
mod folders;
mod generated;
pub mod handed;
mod idx;
mod image_set;
mod layouts;
mod loader;
mod normalize;
pub mod own;
mod part;
mod pickle;
pub mod picture;
mod pictures;
pub mod pixels;
mod plan;
mod prepared;
pub mod published;
pub(crate) mod random;
mod read;
pub mod record;
pub mod registry;
#[cfg(any(test, feature = "cuda"))]
mod resident;
mod resize;
mod set;
mod sniff;
mod stl10;
mod subset;
mod survey;
mod targets;
mod training;
pub mod verify;
pub mod whiten;

pub use crate::plan::{Augment, ClassRef, DataPlan, Padding, ResizeMethod, Scaling};
pub use answers::Answers;
pub use bytes::Bytes;
pub use dataset::{Dataset, Made, Provenance, Shape, Split, Targets, Values};
pub use folders::{DATA_VARIABLE, DataFolders};
pub use loader::{Batch, Batches, Loader, LoaderOptions, Waiting};
pub use normalize::Normalizer;
pub use pixels::{PixelSpace, Pixels};
pub use plan::Data;
pub use subset::Subset;
pub use survey::Survey;
pub use training::Opened;
