//! Triangle and softmax over the channels of `[B, C, HW]`, forward and backward.
//!
//! Both work on blocks of positions: lanes are positions, loops run over channels.
//! Triangle: `max(0, u - mean over channels)^power`, the mean carrying no gradient (SoftHebb's
//! `Triangle`; Coates, Lee & Ng 2011). Softmax: `softmax(gain * u)`.

use crate::check::assert_len;
use crate::geometry::Planes;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Positions of a block.
const BLOCK: usize = 64;

/// Where a job finds its block: the first element of channel 0, the step from channel to channel,
/// and the number of positions.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    step: usize,
    channels: usize,
    size: usize,
}

impl Block {
    #[inline(always)]
    fn row(self, c: usize) -> std::ops::Range<usize> {
        let from = self.start + c * self.step;
        from..from + self.size
    }
}

/// Calls `f` for every block of positions, on all threads.
fn for_blocks(d: Planes, f: impl Fn(Block) + Sync + Send) {
    let per_image = d.hw.div_ceil(BLOCK);
    // Small blocks go to a thread together, about 32 Ki elements at a time.
    let many = (32_768 / (d.c * d.hw.min(BLOCK)).max(1)).max(1);
    let total = d.b * per_image;
    threads::for_each(total.div_ceil(many), |piece| {
        for i in piece * many..total.min((piece + 1) * many) {
            let from = i % per_image * BLOCK;
            let start = i / per_image * d.c * d.hw + from;
            f(Block {
                start,
                step: d.hw,
                channels: d.c,
                size: BLOCK.min(d.hw - from),
            });
        }
    });
}

/// `y = max(0, u - mean over channels)^power`.
pub fn triangle_forward<T: Real>(d: Planes, power: f64, u: &[T], y: &mut [T]) {
    assert_len("u", u, d.len());
    assert_len("y", y, d.len());
    let out = Shared::new(y);
    for_blocks(d, |at| {
        T::vectorised(Triangle {
            at,
            power,
            u,
            dy: None,
            out: &out,
        })
    });
}

/// Gradient of [`triangle_forward`] with the mean held constant; 0 wherever the output is 0, also for
/// powers below 1, whose slope is infinite there.
pub fn triangle_backward<T: Real>(d: Planes, power: f64, u: &[T], dy: &[T], du: &mut [T]) {
    assert_len("u", u, d.len());
    assert_len("dy", dy, d.len());
    assert_len("du", du, d.len());
    let out = Shared::new(du);
    for_blocks(d, |at| {
        T::vectorised(Triangle {
            at,
            power,
            u,
            dy: Some(dy),
            out: &out,
        })
    });
}

struct Triangle<'a, 'b, T> {
    at: Block,
    power: f64,
    u: &'a [T],
    dy: Option<&'a [T]>,
    out: &'a Shared<'b, T>,
}

impl<T: Real> Job<T> for Triangle<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let mut mean = [T::ZERO; BLOCK];
        sum_channels(s, self.at, self.u, &mut mean);
        let share = T::from_f64(1.0 / self.at.channels as f64);
        mean.iter_mut().for_each(|m| *m *= share);
        let backward = self.dy.is_some();
        let exponent = if backward {
            self.power - 1.0
        } else {
            self.power
        };
        let (exponent, straight) = (
            T::from_f64(exponent),
            exponent == if backward { 0.0 } else { 1.0 },
        );
        let (zero, tiny) = (s.splat(T::ZERO), s.splat(T::from_f64(1.2e-38)));
        let slope = s.splat(T::from_f64(self.power));
        for c in 0..self.at.channels {
            let row = self.at.row(c);
            let u = &self.u[row.clone()];
            let dy = self.dy.map(|dy| &dy[row.clone()]);
            // SAFETY: the rows of a block belong to one job.
            let out = unsafe { self.out.part(row.start, row.len()) };
            let mut i = 0;
            while i < u.len() {
                let t = s.sub(load(s, u, i), s.load(&mean[i..]));
                let mut v = match (straight, backward) {
                    (true, false) => t,
                    (true, true) => s.splat(T::ONE),
                    _ => s.powf(s.max(t, tiny), exponent),
                };
                if let Some(dy) = dy {
                    v = s.mul(s.mul(v, slope), load(s, dy, i));
                }
                store(s, out, i, s.gt(t, zero, v, zero));
                i += S::LANES;
            }
        }
    }
}

/// Adds every channel of a block to `sums`.
#[inline(always)]
fn sum_channels<S: Simd>(s: S, at: Block, u: &[S::E], sums: &mut [S::E; BLOCK]) {
    for c in 0..at.channels {
        let row = &u[at.row(c)];
        let mut i = 0;
        while i < row.len() {
            let sum = s.add(s.load(&sums[i..]), load(s, row, i));
            s.store(&mut sums[i..], sum);
            i += S::LANES;
        }
    }
}

/// Loads from `i`, zeros beyond the end.
#[inline(always)]
fn load<S: Simd>(s: S, row: &[S::E], i: usize) -> S::V {
    if i + S::LANES <= row.len() {
        s.load(&row[i..])
    } else {
        s.load_part(&row[i..], S::E::ZERO)
    }
}

/// Stores from `i`, nothing beyond the end.
#[inline(always)]
fn store<S: Simd>(s: S, row: &mut [S::E], i: usize, v: S::V) {
    if i + S::LANES <= row.len() {
        s.store(&mut row[i..], v);
    } else {
        s.store_part(&mut row[i..], v);
    }
}

/// `y = softmax(gain * u)` over the channels.
pub fn softmax_channels_forward<T: Real>(d: Planes, gain: f64, u: &[T], y: &mut [T]) {
    assert_len("u", u, d.len());
    assert_len("y", y, d.len());
    let out = Shared::new(y);
    for_blocks(d, |at| {
        T::vectorised(Softmax {
            at,
            gain: T::from_f64(gain),
            u,
            out: &out,
        })
    });
}

struct Softmax<'a, 'b, T> {
    at: Block,
    gain: T,
    u: &'a [T],
    out: &'a Shared<'b, T>,
}

impl<T: Real> Job<T> for Softmax<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let gain = s.splat(self.gain);
        let mut i = 0;
        while i < self.at.size {
            let mut most = s.splat(T::NEG_INFINITY);
            for c in 0..self.at.channels {
                most = s.max(s.mul(gain, load(s, &self.u[self.at.row(c)], i)), most);
            }
            let mut sum = s.splat(T::ZERO);
            for c in 0..self.at.channels {
                let row = self.at.row(c);
                let e = s.exp(s.sub(s.mul(gain, load(s, &self.u[row.clone()], i)), most));
                sum = s.add(sum, e);
                // SAFETY: the rows of a block belong to one job.
                store(s, unsafe { self.out.part(row.start, row.len()) }, i, e);
            }
            let share = s.div(s.splat(T::ONE), sum);
            for c in 0..self.at.channels {
                let row = self.at.row(c);
                // SAFETY: as above.
                let y = unsafe { self.out.part(row.start, row.len()) };
                let v = s.mul(load(s, y, i), share);
                store(s, y, i, v);
            }
            i += S::LANES;
        }
    }
}

/// Gradient of [`softmax_channels_forward`] from its result `y`: `du = gain y (dy - sum y dy)`.
pub fn softmax_channels_backward<T: Real>(d: Planes, gain: f64, y: &[T], dy: &[T], du: &mut [T]) {
    assert_len("y", y, d.len());
    assert_len("dy", dy, d.len());
    assert_len("du", du, d.len());
    let out = Shared::new(du);
    for_blocks(d, |at| {
        T::vectorised(SoftmaxGrad {
            at,
            gain: T::from_f64(gain),
            y,
            dy,
            out: &out,
        })
    });
}

struct SoftmaxGrad<'a, 'b, T> {
    at: Block,
    gain: T,
    y: &'a [T],
    dy: &'a [T],
    out: &'a Shared<'b, T>,
}

impl<T: Real> Job<T> for SoftmaxGrad<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let gain = s.splat(self.gain);
        let mut i = 0;
        while i < self.at.size {
            let mut dot = s.splat(T::ZERO);
            for c in 0..self.at.channels {
                let row = self.at.row(c);
                dot = s.fma(
                    load(s, &self.y[row.clone()], i),
                    load(s, &self.dy[row], i),
                    dot,
                );
            }
            for c in 0..self.at.channels {
                let row = self.at.row(c);
                let y = s.mul(gain, load(s, &self.y[row.clone()], i));
                let v = s.mul(y, s.sub(load(s, &self.dy[row.clone()], i), dot));
                // SAFETY: the rows of a block belong to one job.
                store(s, unsafe { self.out.part(row.start, row.len()) }, i, v);
            }
            i += S::LANES;
        }
    }
}
