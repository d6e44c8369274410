//! Where a run computes.

use candle_core::{DType, Device};

use super::budget::Budget;
use crate::stop::StopFlag;
use crate::{Error, ExitCode, Result};

/// Where a network lives.
#[derive(Clone, Debug)]
pub struct Place {
    /// Device of the network.
    pub device: Device,
    /// Its arithmetic.
    pub dtype: DType,
    /// What data sets and cached features may still take on the device.
    pub budget: Budget,
    /// Looked at between batches where nothing learns, so that a stop does not wait for the end.
    pub stop: StopFlag,
}

impl Place {
    /// Whether to leave a loop over batches.
    ///
    /// # Errors
    /// [`ExitCode::Stopped`] where a stop was asked for; no failure, and told nobody.
    pub fn go_on(&self) -> Result<()> {
        match self.stop.stopped() {
            true => Err(Error::new(ExitCode::Stopped, "stopped on request")),
            false => Ok(()),
        }
    }
}
