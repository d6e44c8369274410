//! A competition as a function of one tile of pre-activations.
//!
//! Hard and soft winner-take-all, Krotov's ranking and SoftHebb differ only in
//! how pre-activations become post-synaptic factors. The host calls the function
//! while a tile is in cache, on its threads, and accumulates the rest itself.

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
    ($ty:ty, $exp:path) => {
        impl Real for $ty {
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $ty
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn powf(self, p: Self) -> Self {
                self.powf(p)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}
real!(f32, exp_f32);
real!(f64, f64::exp);

/// `eˣ` to two units in the last place, without a branch or a call, so that a loop over
/// lanes becomes vector code. Cephes' reduction to `n·ln 2 + r` and its polynomial in `r`;
/// below −87.3 it stays at the smallest normal number.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Adding and taking away 1.5·2²³ rounds to whole numbers, and leaves the number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.000_000_3e-1;
    let power = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    (p * r * r + r + 1.0) * f32::from_bits(power)
}

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
    #[inline(always)]
    pub fn u(&self, k: usize) -> &[T] {
        &self.u[k * self.stride..k * self.stride + self.lanes]
    }
    /// Factors of unit `k` at all positions.
    #[inline(always)]
    pub fn y(&mut self, k: usize) -> &mut [T] {
        &mut self.y[k * self.stride..k * self.stride + self.lanes]
    }
    /// Both at once.
    #[inline(always)]
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
///
/// The SDK compiles it several times, for the vector instructions that machines may have. What
/// `compete` calls takes part in that only where it is inlined: mark its helpers
/// `#[inline(always)]`, and let their innermost loops run over lanes.
pub trait Competition: Sync {
    /// Writes `y` of the tile from its `u`.
    fn compete<T: Real>(&self, tile: &mut Tile<'_, T>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_exact_to_a_few_units_in_the_last_place() {
        let worst = (-87_000..88_000)
            .map(|i| i as f32 * 1e-3)
            .map(|x| (f64::from(Real::exp(x)) / f64::from(x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(
            worst < 2.0 * f64::from(f32::EPSILON),
            "relative error {worst:e}"
        );
        assert!(Real::exp(f32::NAN).is_nan());
        assert!(Real::exp(f32::NEG_INFINITY) < 2e-38);
        assert_eq!(Real::exp(0f32), 1.0);
    }
}
