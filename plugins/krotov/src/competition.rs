//! Who is first and who is k-th: the factors `G` of the rule.
//!
//! For each sample, or each patch of a convolution, the unit with the largest
//! current gets 1, the one with the k-th largest −Δ, all others 0. Units compete
//! within their channel group. On ties the lower index ranks higher.
//!
//! There are two forms, which a test compares: plain tensor operations, and a
//! function of one tile for the host's fused step. The second keeps the k largest
//! values of each lane in order and lets each unit's current sink through them,
//! which is `2k` comparisons per current without a branch.

use biorule_plugin_api::prelude::*;

/// Ranks that count and what they earn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// Rank k of the punished unit, at least 2.
    pub rank: usize,
    /// Its anti-Hebbian factor Δ.
    pub delta: f64,
}

impl Ranking {
    /// Factors `G` for the currents `q`: `[N, K]` or `[B, K, P, Q]`, by plain operations.
    pub fn factors(&self, layer: &LayerSpec, q: &Tensor) -> Result<Tensor> {
        let shape = q.shape()?;
        let (batch, units) = (shape[0], shape[1]);
        let (groups, places) = (layer.groups(), shape[2..].iter().product());
        let grouped = q.reshape(&[batch, groups, units / groups, places])?;
        let hot = |rank| -> Result<Tensor> {
            grouped
                .argrank(rank, 2, false)?
                .one_hot(units / groups, q.dtype()?)?
                .permute(&[0, 1, 3, 2])
        };
        hot(1)?
            .sub(&hot(self.rank)?.scale(self.delta)?)?
            .reshape(&shape)
    }
}

/// Lanes worked on at a time.
const LANES: usize = 16;

impl Competition for Ranking {
    #[inline(always)]
    fn compete<T: Real>(&self, tile: &mut Tile<'_, T>) {
        let mut from = 0;
        while from + LANES <= tile.lanes {
            self.rank::<T, LANES>(tile, from);
            from += LANES;
        }
        // The host fills tiles up; what is left over has no need to be fast.
        while from < tile.lanes {
            self.rank::<T, 1>(tile, from);
            from += 1;
        }
    }
}

impl Ranking {
    /// Writes the factors of the lanes `from..from + N`.
    #[inline(always)]
    fn rank<T: Real, const N: usize>(&self, tile: &mut Tile<'_, T>, from: usize) {
        let top = largest::<T, N>(self.rank, tile, from);
        let (first, kth) = (top[0], top[self.rank - 1]);
        let (zero, one, punished) = (T::default(), T::of(1.0), T::of(-self.delta));
        // Units of the same value still to be passed over; below zero once one was taken.
        let mut before_first = [zero; N];
        let mut before_kth = ties_above(&top);
        for unit in 0..tile.k {
            let (u, y) = tile.uy(unit);
            let (u, y) = (&u[from..from + N], &mut y[from..from + N]);
            for lane in 0..N {
                let (is_best, is_equal) = (u[lane] == first[lane], u[lane] == kth[lane]);
                let wins = is_best && before_first[lane] == zero;
                let loses = is_equal && before_kth[lane] == zero;
                let other = if loses { punished } else { zero };
                y[lane] = if wins { one } else { other };
                before_first[lane] = step_down(before_first[lane], is_best);
                before_kth[lane] = step_down(before_kth[lane], is_equal);
            }
        }
    }
}

#[inline(always)]
fn step_down<T: Real>(count: T, hit: bool) -> T {
    count - if hit { T::of(1.0) } else { T::default() }
}

/// The `rank` largest values of each lane in falling order.
#[inline(always)]
fn largest<T: Real, const N: usize>(rank: usize, tile: &Tile<'_, T>, from: usize) -> Vec<[T; N]> {
    let mut top = vec![[T::of(f64::NEG_INFINITY); N]; rank];
    for unit in 0..tile.k {
        let mut sinking = [T::default(); N];
        sinking.copy_from_slice(&tile.u(unit)[from..from + N]);
        for held in &mut top {
            for lane in 0..N {
                let (a, b) = (held[lane], sinking[lane]);
                held[lane] = if a < b { b } else { a };
                sinking[lane] = if a < b { a } else { b };
            }
        }
    }
    top
}

/// How many units share the k-th value and rank above the k-th unit, by lane.
#[inline(always)]
fn ties_above<T: Real, const N: usize>(top: &[[T; N]]) -> [T; N] {
    let mut ties = [T::default(); N];
    let Some((kth, above)) = top.split_last() else {
        return ties;
    };
    for row in above {
        for lane in 0..N {
            if row[lane] == kth[lane] {
                ties[lane] += T::of(1.0);
            }
        }
    }
    ties
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way: sort the units of a lane by value, then by index.
    fn sorted(u: &[f64], units: usize, lanes: usize, ranking: Ranking) -> Vec<f64> {
        let mut y = vec![0.0; units * lanes];
        for lane in 0..lanes {
            let mut order: Vec<usize> = (0..units).collect();
            order.sort_by(|&a, &b| u[b * lanes + lane].total_cmp(&u[a * lanes + lane]));
            y[order[0] * lanes + lane] = 1.0;
            y[order[ranking.rank - 1] * lanes + lane] = -ranking.delta;
        }
        y
    }

    /// Values with many ties: whole numbers from a small range.
    fn values(count: usize, seed: u64, distinct: u64) -> Vec<f64> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) % distinct) as f64 - distinct as f64 / 2.0
            })
            .collect()
    }

    #[test]
    fn tile_equals_sorting_with_and_without_ties() {
        for (units, lanes, rank) in [(2, 1, 2), (5, 3, 2), (9, 16, 9), (16, 7, 5), (33, 8, 20)] {
            for distinct in [1, 2, 5, 1 << 20] {
                let u = values(units * lanes, (units * rank) as u64, distinct);
                let ranking = Ranking { rank, delta: 0.25 };
                let mut y = vec![f64::NAN; u.len()];
                ranking.compete(&mut Tile::new(units, lanes, lanes, &u, &mut y));
                assert_eq!(
                    y,
                    sorted(&u, units, lanes, ranking),
                    "units {units}, lanes {lanes}, rank {rank}, {distinct} values"
                );
            }
        }
    }

    #[test]
    fn rows_apart_are_left_alone() {
        let (units, lanes, stride) = (4, 3, 5);
        let u = values(units * stride, 7, 1 << 20);
        let mut y = vec![9.0; u.len()];
        let ranking = Ranking {
            rank: 3,
            delta: 0.5,
        };
        ranking.compete(&mut Tile::new(units, lanes, stride, &u, &mut y));
        for unit in 0..units {
            assert_eq!(&y[unit * stride + lanes..(unit + 1) * stride], &[9.0; 2]);
        }
        assert_eq!(y.iter().filter(|&&v| v == 1.0).count(), lanes);
        assert_eq!(y.iter().filter(|&&v| v == -0.5).count(), lanes);
    }
}
