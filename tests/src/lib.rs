//! Helpers shared by the tests that span several crates: golden vectors, the
//! real plugins and the real binary.

pub mod digits;
pub mod feedback;
pub mod fuzz;
pub mod golden;
pub mod imports;
pub mod network;
pub mod numbers;
pub mod page;
pub mod plugins;
pub mod processes;
pub mod runs;
pub mod searching;
pub mod standin;
pub mod windows;

use std::path::Path;
use std::sync::OnceLock;

use biorule::device::Placement;
use candle_core::Device;

/// What a test step yields; any error ends the step with its text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Where tests that can choose put their tensors: the device that `BIORULE_TEST_DEVICE`
/// names (`cpu`, `cuda:0`), the CPU without it.
///
/// # Panics
/// The device is not there: a check that silently runs elsewhere is worse.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let name = std::env::var("BIORULE_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
        let choice = name.parse().expect("`BIORULE_TEST_DEVICE` names a device");
        let placement = Placement::open(choice, false).expect("`BIORULE_TEST_DEVICE` is there");
        placement.device
    };
    DEVICE.get_or_init(open).clone()
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the test crate lies one folder below the root")
}
