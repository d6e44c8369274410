//! Random numbers that depend on nothing but run, layer, step and name, so that
//! a resumed run draws what the uninterrupted one would have drawn.

use crate::abi::host::op;
use crate::sdk::tensor::own;
use crate::sdk::{Result, Tensor};

/// A stream of random tensors.
#[derive(Clone, Debug)]
pub struct RandomStream {
    seed: u64,
    drawn: u64,
}

impl RandomStream {
    pub(crate) fn new(seed: u64, step: u64, name: &str) -> Self {
        Self {
            seed: mix(mix(seed ^ name_key(name)).wrapping_add(step)),
            drawn: 0,
        }
    }
    /// The stream of a step's pass; the first pass has that of the step.
    pub(crate) fn of_pass(mut self, pass: u64) -> Self {
        if pass != 0 {
            self.seed = mix(self.seed ^ pass.rotate_left(32));
        }
        self
    }
    fn next(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed.wrapping_add(self.drawn))
    }
    /// Uniform on `[lo, hi)`, with the device and element type of `like`.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn uniform(&mut self, like: &Tensor, shape: &[usize], lo: f64, hi: f64) -> Result<Tensor> {
        own((op!(random_uniform))(
            like.raw(),
            shape.into(),
            like.dtype()?.code(),
            lo,
            hi,
            self.next(),
        ))
    }
    /// Normal, with the device and element type of `like`.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn normal(
        &mut self,
        like: &Tensor,
        shape: &[usize],
        mean: f64,
        std: f64,
    ) -> Result<Tensor> {
        own((op!(random_normal))(
            like.raw(),
            shape.into(),
            like.dtype()?.code(),
            mean,
            std,
            self.next(),
        ))
    }
}

/// A number for a name: its 64-bit FNV-1a hash (Fowler, Noll and Vo). Streams of rules
/// and initial values of state are keyed by it, so it never changes.
#[must_use]
pub fn name_key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The next number of a `SplitMix64` generator in state `z` (Steele, Lea and Flood 2014).
pub(crate) fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
