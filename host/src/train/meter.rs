//! Loss and accuracy summed over steps, on the device until somebody looks.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Sums over samples.
#[derive(Clone, Debug)]
pub struct Meter {
    sums: Tensor,
    samples: u64,
}

impl Meter {
    /// Nothing yet.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            sums: Tensor::zeros(2, DType::F64, device)?,
            samples: 0,
        })
    }

    /// Adds `[loss, right]` over `samples`.
    pub fn add(&mut self, sums: &Tensor, samples: usize) -> Result<()> {
        self.sums = (&self.sums + sums)?;
        self.samples += samples as u64;
        Ok(())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Mean loss and share right.
    pub fn read(&self) -> Result<(f64, f64)> {
        let sums = self.sums.to_vec1::<f64>()?;
        let n = self.samples.max(1) as f64;
        Ok((sums[0] / n, sums[1] / n))
    }

    /// Exact content, for a checkpoint.
    pub fn save(&self) -> Result<[u64; 3]> {
        let sums = self.sums.to_vec1::<f64>()?;
        Ok([sums[0].to_bits(), sums[1].to_bits(), self.samples])
    }

    /// From [`Meter::save`].
    pub fn load(saved: [u64; 3], device: &Device) -> Result<Self> {
        let sums = [f64::from_bits(saved[0]), f64::from_bits(saved[1])];
        Ok(Self {
            sums: Tensor::new(&sums, device)?,
            samples: saved[2],
        })
    }
}
