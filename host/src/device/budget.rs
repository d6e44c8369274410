//! How much of a GPU's memory data sets and cached features may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Device;

use crate::Result;

/// Bytes that may still be kept on the device; clones share them. What does not
/// fit stays in the machine's memory, so that a run never fails for a large set.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicU64>);

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    from: Budget,
    bytes: u64,
}

impl Budget {
    /// The `share` (0 to 1) of what is free on `device` now. On the CPU nothing:
    /// there data and features have their places already.
    ///
    /// # Errors
    /// The driver does not say how much is free.
    pub fn of(device: &Device, share: f64) -> Result<Self> {
        Ok(Self::bytes((free(device)? as f64 * share) as u64))
    }

    /// A budget of this many bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes `bytes`, if there are as many left.
    pub fn reserve(&self, bytes: u64) -> Option<Reserved> {
        let left = |left: u64| left.checked_sub(bytes);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        taken.ok().filter(|left| *left > 0).map(|_| Reserved {
            from: self.clone(),
            bytes,
        })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.from.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(feature = "cuda")]
pub(crate) fn free(device: &Device) -> Result<usize> {
    match device {
        Device::Cuda(cuda) => {
            let stream = cuda.cuda_stream();
            let (free, _all) = stream.context().mem_get_info().map_err(|e| {
                crate::Error::internal(format!("asking for the GPU's free memory: {e:?}"))
            })?;
            Ok(free)
        }
        _ => Ok(0),
    }
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn free(_device: &Device) -> Result<usize> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_until_it_is_dropped() {
        let budget = Budget::bytes(100);
        let first = budget.reserve(60).expect("room");
        assert!(budget.clone().reserve(41).is_none());
        let second = budget.reserve(40).expect("the rest");
        assert!(budget.reserve(1).is_none());
        drop(first);
        assert!(budget.reserve(60).is_some());
        drop(second);
        assert!(budget.reserve(100).is_some());
    }

    #[test]
    fn the_cpu_keeps_nothing_twice() {
        let budget = Budget::of(&Device::Cpu, 1.0).expect("no driver is asked");
        assert!(budget.reserve(0).is_none());
    }
}
