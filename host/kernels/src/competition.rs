//! Ready-made competitions over the units of a tile, vectorised over its positions.
//!
//! Equations: SoftHebb (Journe et al. 2023) and its code's `hard`, `hardkrotov`, `soft`,
//! `softkrotov`; Krotov & Hopfield 2019. Ties go to the unit with the lowest index.

use crate::compete::{LANES, Tile};
use crate::real::Real;
use crate::simd::{Job, Simd};

/// A competition with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Competition {
    /// `y = softmax(beta u)`.
    Soft {
        /// Inverse temperature.
        beta: f64,
    },
    /// `s = softmax(beta u)`; `y = s` for the winner, `-s` for the others.
    SoftKrotov {
        /// Inverse temperature.
        beta: f64,
    },
    /// `y = 1` for the winner, 0 for the others.
    Hard,
    /// 1 for the winner, then `delta` subtracted from the unit of rank `rank` (1 is the winner, which
    /// then gets `1 - delta`).
    HardKrotov {
        /// Strength of the anti-Hebbian part.
        delta: f64,
        /// Rank of the unit that is pushed away, from 1.
        rank: usize,
    },
    /// 1 for the winner, then the unit of rank `rank` set to `-delta` (with rank 1 the winner).
    Krotov {
        /// Strength of the anti-Hebbian part.
        delta: f64,
        /// Rank of the unit that is pushed away, from 1.
        rank: usize,
    },
}

impl Competition {
    /// Fills `tile.y`.
    ///
    /// # Panics
    /// If a rank is 0 or larger than the number of units.
    pub fn apply<T: Real>(&self, tile: &mut Tile<'_, T>) {
        match *self {
            Competition::Soft { beta } => {
                T::vectorised(Soft {
                    beta: T::from_f64(beta),
                    signed: false,
                    tile,
                });
            }
            Competition::SoftKrotov { beta } => {
                let winners = T::vectorised(Soft {
                    beta: T::from_f64(beta),
                    signed: true,
                    tile,
                });
                for (lane, k) in winners.into_iter().enumerate() {
                    tile.y[k][lane] = -tile.y[k][lane];
                }
            }
            Competition::Hard => {
                let winners = T::vectorised(Winners { u: tile.u });
                one_hot(tile.y, &winners);
            }
            Competition::HardKrotov { delta, rank } => {
                let at = hard_ranked(tile, rank);
                for (lane, k) in at.into_iter().enumerate() {
                    tile.y[k][lane] -= T::from_f64(delta);
                }
            }
            Competition::Krotov { delta, rank } => {
                let at = hard_ranked(tile, rank);
                for (lane, k) in at.into_iter().enumerate() {
                    tile.y[k][lane] = T::from_f64(-delta);
                }
            }
        }
    }
}

fn one_hot<T: Real>(y: &mut [[T; LANES]], winners: &[usize; LANES]) {
    y.as_flattened_mut().fill(T::ZERO);
    for (lane, &k) in winners.iter().enumerate() {
        y[k][lane] = T::ONE;
    }
}

/// One-hot winners in `y`; the units of rank `rank`.
fn hard_ranked<T: Real>(tile: &mut Tile<'_, T>, rank: usize) -> [usize; LANES] {
    assert!(
        (1..=tile.u.len()).contains(&rank),
        "rank {rank} of a competition between {} units",
        tile.u.len()
    );
    let mut at = T::vectorised(Winners { u: tile.u });
    one_hot(tile.y, &at);
    for _ in 1..rank {
        at = T::vectorised(Next {
            u: tile.u,
            last: &at,
        });
    }
    at
}

/// `y = softmax(beta u)` over the units, lane by lane, or all of it negative if `signed`. Returns the
/// winners.
struct Soft<'t, 'a, T> {
    beta: T,
    signed: bool,
    tile: &'t mut Tile<'a, T>,
}

impl<T: Real> Job<T> for Soft<'_, '_, T> {
    type Out = [usize; LANES];

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> [usize; LANES] {
        let (winners, mut most) = Peaks { u: self.tile.u }.run(s);
        // The winner's gain u is the largest exponent for a positive gain only.
        if self.beta < T::ZERO {
            most = Floors { u: self.tile.u }.run(s);
        }
        let Tile { u, y, .. } = self.tile;
        let beta = s.splat(self.beta);
        for lane in (0..LANES).step_by(S::LANES) {
            let most = s.mul(beta, s.load(&most[lane..]));
            let mut sum = s.splat(T::ZERO);
            for (u, y) in u.iter().zip(y.iter_mut()) {
                let e = s.exp(s.sub(s.mul(beta, s.load(&u[lane..])), most));
                sum = s.add(sum, e);
                s.store(&mut y[lane..], e);
            }
            let share = s.div(s.splat(if self.signed { -T::ONE } else { T::ONE }), sum);
            for y in y.iter_mut() {
                let e = s.load(&y[lane..]);
                s.store(&mut y[lane..], s.mul(e, share));
            }
        }
        winners
    }
}

/// The first unit with the largest `u`, in each lane.
struct Winners<'a, T> {
    u: &'a [[T; LANES]],
}

impl<T: Real> Job<T> for Winners<'_, T> {
    type Out = [usize; LANES];

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> [usize; LANES] {
        Peaks { u: self.u }.run(s).0
    }
}

/// The winners, and their `u`.
struct Peaks<'a, T> {
    u: &'a [[T; LANES]],
}

impl<T: Real> Job<T> for Peaks<'_, T> {
    type Out = ([usize; LANES], [T; LANES]);

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> Self::Out {
        let (mut winners, mut peaks) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        for lane in (0..LANES).step_by(S::LANES) {
            let (mut most, mut at) = (s.splat(T::NEG_INFINITY), s.splat(T::ZERO));
            let (mut number, one) = (at, s.splat(T::ONE));
            for u in self.u {
                let u = s.load(&u[lane..]);
                at = s.gt(u, most, number, at);
                most = s.max(u, most);
                number = s.add(number, one);
            }
            s.store(&mut winners[lane..], at);
            s.store(&mut peaks[lane..], most);
        }
        (winners.map(|k| k.to_f64() as usize), peaks)
    }
}

/// The smallest `u` in each lane.
struct Floors<'a, T> {
    u: &'a [[T; LANES]],
}

impl<T: Real> Job<T> for Floors<'_, T> {
    type Out = [T; LANES];

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> [T; LANES] {
        let mut floors = [T::ZERO; LANES];
        for lane in (0..LANES).step_by(S::LANES) {
            let mut least = s.load(&self.u[0][lane..]);
            for u in self.u {
                let u = s.load(&u[lane..]);
                least = s.gt(least, u, u, least);
            }
            s.store(&mut floors[lane..], least);
        }
        floors
    }
}

/// The unit that follows `last` in the order of falling `u` and, among equals, rising index.
struct Next<'a, T> {
    u: &'a [[T; LANES]],
    last: &'a [usize; LANES],
}

impl<T: Real> Job<T> for Next<'_, T> {
    type Out = [usize; LANES];

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> [usize; LANES] {
        let bound: [T; LANES] = std::array::from_fn(|lane| self.u[self.last[lane]][lane]);
        let after: [T; LANES] = std::array::from_fn(|lane| T::from_f64(self.last[lane] as f64));
        let mut next = [T::ZERO; LANES];
        for lane in (0..LANES).step_by(S::LANES) {
            let (bound, after) = (s.load(&bound[lane..]), s.load(&after[lane..]));
            let none = s.splat(T::NEG_INFINITY);
            let (mut most, mut at) = (none, after);
            for (k, u) in self.u.iter().enumerate() {
                let (u, index) = (s.load(&u[lane..]), s.splat(T::from_f64(k as f64)));
                // A candidate is below the bound, or equal to it and further down.
                let equal_later = s.gt(index, after, u, none);
                let equal_later = s.gt(u, bound, none, equal_later);
                let candidate = s.gt(bound, u, u, equal_later);
                at = s.gt(candidate, most, index, at);
                most = s.gt(candidate, most, candidate, most);
            }
            s.store(&mut next[lane..], at);
        }
        next.map(|k| k.to_f64() as usize)
    }
}
