//! Loss and accuracy summed over steps, on the device until somebody looks.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Sums over samples.
#[derive(Clone, Debug)]
pub struct Meter {
    sums: Tensor,
    /// Sum of the class weights, where the loss has some: what its mean is over.
    weight: Option<Tensor>,
    samples: u64,
}

impl Meter {
    /// Nothing yet.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            sums: Tensor::zeros(2, DType::F64, device)?,
            weight: None,
            samples: 0,
        })
    }

    /// Adds `[loss, right]`, or `[loss, right, weight]`, over `samples`.
    pub fn add(&mut self, sums: &Tensor, samples: usize) -> Result<()> {
        if sums.elem_count() > 2 {
            let weight = sums.narrow(0, 2, 1)?;
            self.weight = Some(match &self.weight {
                Some(before) => (before + weight)?,
                None => weight,
            });
            self.sums = (&self.sums + sums.narrow(0, 0, 2)?)?;
        } else {
            self.sums = (&self.sums + sums)?;
        }
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
        let weight = self.weight()?.map_or(n, |w| w.max(f64::MIN_POSITIVE));
        Ok((sums[0] / weight, sums[1] / n))
    }

    fn weight(&self) -> Result<Option<f64>> {
        let read = |w: &Tensor| Ok(w.to_vec1::<f64>()?[0]);
        self.weight.as_ref().map(read).transpose()
    }

    /// The sum of class weights as bits, for a checkpoint.
    pub fn save_weight(&self) -> Result<Option<u64>> {
        Ok(self.weight()?.map(f64::to_bits))
    }

    /// Exact content, for a checkpoint.
    pub fn save(&self) -> Result<[u64; 3]> {
        let sums = self.sums.to_vec1::<f64>()?;
        Ok([sums[0].to_bits(), sums[1].to_bits(), self.samples])
    }

    /// From [`Meter::save`] and [`Meter::save_weight`].
    pub fn load(saved: [u64; 3], weight: Option<u64>, device: &Device) -> Result<Self> {
        let sums = [f64::from_bits(saved[0]), f64::from_bits(saved[1])];
        Ok(Self {
            sums: Tensor::new(&sums, device)?,
            weight: weight
                .map(|bits| Tensor::new(&[f64::from_bits(bits)], device))
                .transpose()?,
            samples: saved[2],
        })
    }
}
