//! The samples that are attacked together, and rows of batches.

use candle_core::Tensor;

use crate::Result;

/// The samples that are attacked together.
#[derive(Clone, Debug)]
pub struct Victims {
    /// Pixels, `[B, C, H, W]` or `[B, D]`, in the arithmetic and on the device of the network.
    pub pixels: Tensor,
    /// Class of each.
    pub labels: Vec<u32>,
    /// Position of each in the part of the data: the key of its random numbers.
    pub samples: Vec<u64>,
}

impl Victims {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Those at `positions` of these.
    pub(super) fn at(&self, positions: &[usize]) -> Result<Self> {
        Ok(Self {
            pixels: select(&self.pixels, positions)?,
            labels: positions.iter().map(|i| self.labels[*i]).collect(),
            samples: positions.iter().map(|i| self.samples[*i]).collect(),
        })
    }
}

/// Rows `positions` of `t`.
pub(super) fn select(t: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let index: Vec<u32> = positions.iter().map(|i| *i as u32).collect();
    let index = Tensor::from_vec(index, positions.len(), t.device())?;
    Ok(t.contiguous()?.index_select(&index, 0)?)
}

/// For each row the one of `yes` where `mask` holds, else that of `no`.
pub(super) fn choose(mask: &[bool], yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    let both = Tensor::cat(&[yes, no], 0)?;
    let from = |(i, yes): (usize, &bool)| if *yes { i } else { mask.len() + i };
    let rows: Vec<usize> = mask.iter().enumerate().map(from).collect();
    select(&both, &rows)
}
