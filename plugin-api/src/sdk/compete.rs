//! A competition as a function of one tile of pre-activations.
//!
//! Hard and soft winner-take-all, Krotov's ranking and SoftHebb differ only in
//! how pre-activations become post-synaptic factors. The host calls the function
//! while a tile is in cache, on its threads, and accumulates the rest itself.

use crate::sdk::Tensor;

/// f32 or f64.
pub trait Real:
    Copy
    + PartialOrd
    + Default
    + Send
    + Sync
    + 'static
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
{
    /// From f64.
    fn of(value: f64) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// `xᵖ`.
    fn powf(self, p: Self) -> Self;
    /// The larger.
    fn max(self, other: Self) -> Self;
}

macro_rules! real {
    ($ty:ty) => {
        impl Real for $ty {
            fn of(value: f64) -> Self {
                value as $ty
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn powf(self, p: Self) -> Self {
                self.powf(p)
            }
            fn max(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}
real!(f32);
real!(f64);

/// The units of one group at a few positions: `u[k][lane]` to read, `y[k][lane]` to write.
pub struct Tile<'a, T> {
    /// Units.
    pub k: usize,
    /// Positions.
    pub lanes: usize,
    stride: usize,
    u: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Tile<'_, T> {
    /// Pre-activations of unit `k` at all positions.
    pub fn u(&self, k: usize) -> &[T] {
        &self.u[k * self.stride..k * self.stride + self.lanes]
    }
    /// Factors of unit `k` at all positions.
    pub fn y(&mut self, k: usize) -> &mut [T] {
        &mut self.y[k * self.stride..k * self.stride + self.lanes]
    }
    /// Both at once.
    pub fn uy(&mut self, k: usize) -> (&[T], &mut [T]) {
        let range = k * self.stride..k * self.stride + self.lanes;
        (&self.u[range.clone()], &mut self.y[range])
    }
}

impl<'a, T> Tile<'a, T> {
    /// `k` rows of `lanes` values, `stride` apart, in both slices.
    pub fn new(k: usize, lanes: usize, stride: usize, u: &'a [T], y: &'a mut [T]) -> Self {
        Self {
            k,
            lanes,
            stride,
            u,
            y,
        }
    }
}

/// How pre-activations become post-synaptic factors. May not panic, and may not
/// use tensors: it runs on the host's threads, many tiles at a time.
pub trait Competition: Sync {
    /// Writes `y` of the tile from its `u`.
    fn compete<T: Real>(&self, tile: &mut Tile<'_, T>);
}

/// What a competitive step yields.
#[derive(Debug)]
pub struct Competed {
    /// Pre-activations `[B, K, P, Q]` or `[B, K]`, after `pre_triangle`.
    pub u: Tensor,
    /// `correlate(x, y)`, shaped as the weight.
    pub correlation: Tensor,
    /// `Σ y·u` per unit, `[K]`.
    pub yu: Tensor,
    /// `Σ y` per unit, `[K]`.
    pub y_sum: Tensor,
}
