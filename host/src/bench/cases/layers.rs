//! Sizes that several rows are about.

/// Batch sizes of the rows: SoftHebb's, and a larger one.
pub(super) const BATCHES: [usize; 2] = [10, 64];

/// A convolution of the three-layer SoftHebb network (Journé et al. 2023), which
/// all rows named `l1` to `l3` are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) channels: usize,
    pub(super) out: usize,
    pub(super) kernel: usize,
    pub(super) padding: usize,
    /// Rows and columns of the input.
    pub(super) size: usize,
    /// SoftHebb's rate and inverse temperature.
    pub(super) softhebb: (f64, f64),
}

pub(super) const LAYERS: [Layer; 3] = [
    Layer {
        name: "l1",
        channels: 3,
        out: 96,
        kernel: 5,
        padding: 2,
        size: 32,
        softhebb: (0.08, 1.0),
    },
    Layer {
        name: "l2",
        channels: 96,
        out: 384,
        kernel: 3,
        padding: 1,
        size: 16,
        softhebb: (0.005, 0.65),
    },
    Layer {
        name: "l3",
        channels: 384,
        out: 1536,
        kernel: 3,
        padding: 1,
        size: 8,
        softhebb: (0.01, 0.25),
    },
];
