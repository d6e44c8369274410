//! The competitions as functions of one tile of pre-activations.
//!
//! A tile holds the units of one group (rows) at a few positions (lanes). All
//! loops run over lanes innermost, without branches, so that they vectorise; a
//! position is decided by passes over the rows. The first unit wins a tie.

use biorule_plugin_api::prelude::*;

/// Lanes worked on at a time.
const LANES: usize = 16;
/// Ranks that fit on the stack; a lower rank takes tensor operations.
const RANKS: usize = 16;

/// Kinds of competition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One for the winner.
    Hard,
    /// One for the winner, −δ for the unit of rank r.
    HardKrotov,
    /// Softmax.
    Soft,
    /// Softmax, negative for all but the winner.
    SoftKrotov,
    /// One for the target's unit.
    Supervised,
}

impl Kind {
    /// By the name of the hyperparameter `competition`.
    pub fn of(name: &str) -> Self {
        match name {
            "hard" => Self::Hard,
            "hard-krotov" => Self::HardKrotov,
            "soft" => Self::Soft,
            "supervised" => Self::Supervised,
            _ => Self::SoftKrotov,
        }
    }
    /// Whether factors are graded, which is what the bias's rule needs.
    pub fn soft(self) -> bool {
        matches!(self, Self::Soft | Self::SoftKrotov)
    }
    /// Whether the unit of rank r matters.
    pub fn ranks(self, mode: i64) -> bool {
        self == Self::HardKrotov || (self == Self::SoftKrotov && mode != 0)
    }
    /// The competition before its signs, where it has any.
    pub fn unsigned(self) -> Option<Self> {
        match self {
            Self::HardKrotov => Some(Self::Hard),
            Self::SoftKrotov => Some(Self::Soft),
            _ => None,
        }
    }
}

/// A competition with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contest {
    /// Kind.
    pub kind: Kind,
    /// `β`.
    pub gain: f64,
    /// `δ`.
    pub delta: f64,
    /// `r`, from 1.
    pub rank: usize,
    /// 0, 1 or 2, of [`Kind::SoftKrotov`].
    pub mode: i64,
    /// Whether −δ replaces the entry of rank r (dense) or is added to it (convolution);
    /// of [`Kind::HardKrotov`].
    pub overwrite: bool,
}

impl Contest {
    /// Whether a tile function for this kind, rank and mode exists.
    pub fn knows(kind: Kind, rank: usize, mode: i64) -> bool {
        kind != Kind::Supervised && (!kind.ranks(mode) || rank <= RANKS)
    }
}

impl Competition for Contest {
    #[inline(always)]
    fn compete<T: Real>(&self, tile: &mut Tile<'_, T>) {
        let mut from = 0;
        while from + LANES <= tile.lanes {
            self.decide(&mut Block::<T, LANES> { tile, from });
            from += LANES;
        }
        // The host fills tiles up; what is left over has no need to be fast.
        while from < tile.lanes {
            self.decide(&mut Block::<T, 1> { tile, from });
            from += 1;
        }
    }
}

impl Contest {
    #[inline(always)]
    fn decide<T: Real, const N: usize>(&self, block: &mut Block<'_, '_, T, N>) {
        match self.kind {
            Kind::Hard => block.hard(),
            Kind::HardKrotov => self.hard_krotov(block),
            Kind::Soft => {
                block.soft(T::of(self.gain), false);
            }
            Kind::SoftKrotov if self.mode == 0 => {
                let winner = block.soft(T::of(self.gain), true);
                // All came out negative; the winner's is put right.
                block.change(&winner, |s| -s);
            }
            Kind::SoftKrotov => self.soft_krotov_ranked(block),
            // `knows` keeps this one from the fused path.
            Kind::Supervised => {}
        }
    }

    #[inline(always)]
    fn hard_krotov<T: Real, const N: usize>(&self, block: &mut Block<'_, '_, T, N>) {
        let punished = block.ranked(self.rank);
        let delta = T::of(self.delta);
        block.hard();
        if self.overwrite {
            block.change(&punished, |_| -delta);
        } else {
            block.change(&punished, |y| y - delta);
        }
    }

    #[inline(always)]
    fn soft_krotov_ranked<T: Real, const N: usize>(&self, block: &mut Block<'_, '_, T, N>) {
        let punished = block.ranked(self.rank);
        let delta = T::of(self.delta);
        block.soft(T::of(self.gain), false);
        if self.mode == 1 {
            block.change(&punished, |s| -(s * delta));
        } else {
            block.change(&punished, |_| -delta);
        }
    }
}

/// `N` neighbouring lanes of a tile. Rows are arrays, so that loops over lanes have a length that the
/// compiler knows.
struct Block<'b, 't, T, const N: usize> {
    tile: &'b mut Tile<'t, T>,
    from: usize,
}

impl<T: Real, const N: usize> Block<'_, '_, T, N> {
    /// Pre-activations of unit `k`.
    #[inline(always)]
    fn u(&self, k: usize) -> [T; N] {
        let mut row = [T::default(); N];
        row.copy_from_slice(&self.tile.u(k)[self.from..self.from + N]);
        row
    }

    #[inline(always)]
    fn set(&mut self, k: usize, y: [T; N]) {
        self.tile.y(k)[self.from..self.from + N].copy_from_slice(&y);
    }

    /// Largest value and the first unit that has it.
    #[inline(always)]
    fn winner(&self) -> ([T; N], [u32; N]) {
        let mut best = [T::of(f64::NEG_INFINITY); N];
        let mut unit = [0u32; N];
        for k in 0..self.tile.k {
            let u = self.u(k);
            for lane in 0..N {
                let wins = u[lane] > best[lane];
                best[lane] = if wins { u[lane] } else { best[lane] };
                unit[lane] = if wins { k as u32 } else { unit[lane] };
            }
        }
        (best, unit)
    }

    /// One for the winner, else zero.
    #[inline(always)]
    fn hard(&mut self) {
        let (_, unit) = self.winner();
        for k in 0..self.tile.k {
            let mut y = [T::of(0.0); N];
            for lane in 0..N {
                if unit[lane] == k as u32 {
                    y[lane] = T::of(1.0);
                }
            }
            self.set(k, y);
        }
    }

    /// `softmax(gain·u)`, all with the other sign where `negative`; returns the winners.
    #[inline(always)]
    fn soft(&mut self, gain: T, negative: bool) -> [u32; N] {
        let (best, unit) = self.winner();
        let mut sum = [T::of(0.0); N];
        for k in 0..self.tile.k {
            let mut y = self.u(k);
            for lane in 0..N {
                y[lane] = (gain * (y[lane] - best[lane])).exp();
                sum[lane] += y[lane];
            }
            self.set(k, y);
        }
        let sign = T::of(if negative { -1.0 } else { 1.0 });
        let share = sum.map(|sum| sign / sum);
        for k in 0..self.tile.k {
            let y = &mut self.tile.y(k)[self.from..self.from + N];
            for lane in 0..N {
                y[lane] = y[lane] * share[lane];
            }
        }
        unit
    }

    /// The unit of rank `rank`, from 1 to [`RANKS`]; earlier units rank higher on ties.
    #[inline(always)]
    fn ranked(&self, rank: usize) -> [u32; N] {
        let mut best = [[T::of(f64::NEG_INFINITY); N]; RANKS];
        let mut unit = [[0u32; N]; RANKS];
        for k in 0..self.tile.k {
            // Insertion: from the place of the first whom the newcomer beats, all move down.
            let (mut value, mut who) = (self.u(k), [k as u32; N]);
            let mut moves = [false; N];
            for place in 0..rank.min(RANKS) {
                for lane in 0..N {
                    let (held, holder) = (best[place][lane], unit[place][lane]);
                    moves[lane] |= value[lane] > held;
                    if moves[lane] {
                        (best[place][lane], unit[place][lane]) = (value[lane], who[lane]);
                        (value[lane], who[lane]) = (held, holder);
                    }
                }
            }
        }
        unit[rank.clamp(1, RANKS) - 1]
    }

    /// Changes the factor of one unit in each lane.
    #[inline(always)]
    fn change(&mut self, units: &[u32; N], change: impl Fn(T) -> T) {
        for (lane, &unit) in units.iter().enumerate() {
            let y = &mut self.tile.y(unit as usize)[self.from + lane];
            *y = change(*y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, for the pre-activations `u` of one position.
    fn naive(c: &Contest, u: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..u.len()).collect();
        order.sort_by(|&a, &b| u[b].total_cmp(&u[a]).then(a.cmp(&b)));
        let (winner, punished) = (order[0], order[c.rank - 1]);
        let e: Vec<f64> = u.iter().map(|v| (c.gain * (v - u[winner])).exp()).collect();
        let mut y: Vec<f64> = e.iter().map(|v| v / e.iter().sum::<f64>()).collect();
        let one_hot: Vec<f64> = (0..u.len())
            .map(|k| f64::from(u8::from(k == winner)))
            .collect();
        match (c.kind, c.mode) {
            (Kind::Hard, _) => y = one_hot,
            (Kind::HardKrotov, _) => {
                y = one_hot;
                y[punished] = if c.overwrite {
                    -c.delta
                } else {
                    y[punished] - c.delta
                };
            }
            (Kind::SoftKrotov, 0) => {
                for (k, y) in y.iter_mut().enumerate() {
                    *y = if k == winner { *y } else { -*y };
                }
            }
            (Kind::SoftKrotov, 1) => y[punished] *= -c.delta,
            (Kind::SoftKrotov, _) => y[punished] = -c.delta,
            _ => {}
        }
        y
    }

    /// Values between −2 and 2 with many ties, from a small generator.
    fn values(n: usize) -> Vec<f64> {
        let mut state = 7u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 9
        };
        (0..n).map(|_| next() as f64 / 2.0 - 2.0).collect()
    }

    fn all() -> Vec<Contest> {
        let kinds = [
            (Kind::Hard, 0),
            (Kind::HardKrotov, 0),
            (Kind::Soft, 0),
            (Kind::SoftKrotov, 0),
            (Kind::SoftKrotov, 1),
            (Kind::SoftKrotov, 2),
        ];
        let mut contests = Vec::new();
        for (kind, mode) in kinds {
            for (rank, overwrite) in [(1, false), (1, true), (3, false), (3, true)] {
                contests.push(Contest {
                    kind,
                    mode,
                    gain: 1.7,
                    delta: 0.4,
                    rank,
                    overwrite,
                });
            }
        }
        contests
    }

    /// Fewer lanes than a block, a block, several blocks with a rest; rows further apart than
    /// there are lanes.
    #[test]
    fn tiles_are_the_definition_at_each_position() {
        for contest in all() {
            for (k, lanes, stride) in [(5, 3, 3), (7, 16, 20), (4, 37, 40)] {
                let u = values(k * stride);
                let mut y = vec![f64::NAN; k * stride];
                contest.compete(&mut Tile::new(k, lanes, stride, &u, &mut y));
                for lane in 0..lanes {
                    let column: Vec<f64> = (0..k).map(|i| u[i * stride + lane]).collect();
                    for (i, want) in naive(&contest, &column).into_iter().enumerate() {
                        let got = y[i * stride + lane];
                        assert!(
                            (got - want).abs() < 1e-14,
                            "{contest:?} {k} {lanes}: {got} {want}"
                        );
                    }
                }
                for i in 0..k {
                    assert!(
                        y[i * stride + lanes..(i + 1) * stride]
                            .iter()
                            .all(|v| v.is_nan())
                    );
                }
            }
        }
    }

    #[test]
    fn single_precision_is_close_to_double() {
        for contest in all() {
            let u = values(6 * 16);
            let small: Vec<f32> = u.iter().map(|&v| v as f32).collect();
            let (mut y, mut y32) = (vec![0.0; u.len()], vec![0.0f32; u.len()]);
            contest.compete(&mut Tile::new(6, 16, 16, &u, &mut y));
            contest.compete(&mut Tile::new(6, 16, 16, &small, &mut y32));
            for (a, b) in y.iter().zip(&y32) {
                assert!((a - f64::from(*b)).abs() < 1e-6, "{contest:?}");
            }
        }
    }

    #[test]
    fn a_large_gain_does_not_overflow() {
        let contest = Contest {
            kind: Kind::Soft,
            mode: 0,
            gain: 96.0,
            delta: 0.0,
            rank: 1,
            overwrite: false,
        };
        let u = [100.0f32, -100.0, 99.9];
        let mut y = [0.0f32; 3];
        contest.compete(&mut Tile::new(3, 1, 1, &u, &mut y));
        assert!(y.iter().all(|v| v.is_finite()));
        assert!((y.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
