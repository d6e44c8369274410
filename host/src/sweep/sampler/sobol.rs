//! The sequence of Sobol (1967) with the direction numbers of Joe and Kuo (2008, `new-joe-kuo-6`), the
//! usual ones: points that fill the unit cube more evenly than random ones. Each dimension is shifted
//! by bits that the seed decides (a digital shift), which keeps that and makes seeds differ.

use super::asked::{Past, Sampler, key};
use crate::search::draw::{Draw, Purpose};
use crate::sweep::plan::Study;
use crate::sweep::space::{Assignment, Space};
use crate::{Error, Result};

/// Bits of a coordinate.
const BITS: usize = 32;

/// Inner coefficients of the primitive polynomial and first direction numbers of each dimension but
/// the first; its degree is the number of these.
const DIRECTIONS: [(u32, &[u32]); 63] = [
    (0, &[1]),
    (1, &[1, 3]),
    (1, &[1, 3, 1]),
    (2, &[1, 1, 1]),
    (1, &[1, 1, 3, 3]),
    (4, &[1, 3, 5, 13]),
    (2, &[1, 1, 5, 5, 17]),
    (4, &[1, 1, 5, 5, 5]),
    (7, &[1, 1, 7, 11, 19]),
    (11, &[1, 1, 5, 1, 1]),
    (13, &[1, 1, 1, 3, 11]),
    (14, &[1, 3, 5, 5, 31]),
    (1, &[1, 3, 3, 9, 7, 49]),
    (13, &[1, 1, 1, 15, 21, 21]),
    (16, &[1, 3, 1, 13, 27, 49]),
    (19, &[1, 1, 1, 15, 7, 5]),
    (22, &[1, 3, 1, 15, 13, 25]),
    (25, &[1, 1, 5, 5, 19, 61]),
    (1, &[1, 3, 7, 11, 23, 15, 103]),
    (4, &[1, 3, 7, 13, 13, 15, 69]),
    (7, &[1, 1, 3, 13, 7, 35, 63]),
    (8, &[1, 3, 5, 9, 1, 25, 53]),
    (14, &[1, 3, 1, 13, 9, 35, 107]),
    (19, &[1, 3, 1, 5, 27, 61, 31]),
    (21, &[1, 1, 5, 11, 19, 41, 61]),
    (28, &[1, 3, 5, 3, 3, 13, 69]),
    (31, &[1, 1, 7, 13, 1, 19, 1]),
    (32, &[1, 3, 7, 5, 13, 19, 59]),
    (37, &[1, 1, 3, 9, 25, 29, 41]),
    (41, &[1, 3, 5, 13, 23, 1, 55]),
    (42, &[1, 3, 7, 3, 13, 59, 17]),
    (50, &[1, 3, 1, 3, 5, 53, 69]),
    (55, &[1, 1, 5, 5, 23, 33, 13]),
    (56, &[1, 1, 7, 7, 1, 61, 123]),
    (59, &[1, 1, 7, 9, 13, 61, 49]),
    (62, &[1, 3, 3, 5, 3, 55, 33]),
    (14, &[1, 3, 1, 15, 31, 13, 49, 245]),
    (21, &[1, 3, 5, 15, 31, 59, 63, 97]),
    (22, &[1, 3, 1, 11, 11, 11, 77, 249]),
    (38, &[1, 3, 1, 11, 27, 43, 71, 9]),
    (47, &[1, 1, 7, 15, 21, 11, 81, 45]),
    (49, &[1, 3, 7, 3, 25, 31, 65, 79]),
    (50, &[1, 3, 1, 1, 19, 11, 3, 205]),
    (52, &[1, 1, 5, 9, 19, 21, 29, 157]),
    (56, &[1, 3, 7, 11, 1, 33, 89, 185]),
    (67, &[1, 3, 3, 3, 15, 9, 79, 71]),
    (70, &[1, 3, 7, 11, 15, 39, 119, 27]),
    (84, &[1, 1, 3, 1, 11, 31, 97, 225]),
    (97, &[1, 1, 1, 3, 23, 43, 57, 177]),
    (103, &[1, 3, 7, 7, 17, 17, 37, 71]),
    (115, &[1, 3, 1, 5, 27, 63, 123, 213]),
    (122, &[1, 1, 3, 5, 11, 43, 53, 133]),
    (8, &[1, 3, 5, 5, 29, 17, 47, 173, 479]),
    (13, &[1, 3, 3, 11, 3, 1, 109, 9, 69]),
    (16, &[1, 1, 1, 5, 17, 39, 23, 5, 343]),
    (22, &[1, 3, 1, 5, 25, 15, 31, 103, 499]),
    (25, &[1, 1, 1, 11, 11, 17, 63, 105, 183]),
    (44, &[1, 1, 5, 11, 9, 29, 97, 231, 363]),
    (47, &[1, 1, 5, 15, 19, 45, 41, 7, 383]),
    (52, &[1, 3, 7, 7, 31, 19, 83, 137, 221]),
    (55, &[1, 1, 1, 3, 23, 15, 111, 223, 83]),
    (59, &[1, 1, 5, 13, 31, 15, 55, 25, 161]),
    (62, &[1, 1, 3, 13, 25, 47, 39, 87, 257]),
];

/// Dimensions that there are direction numbers for.
const DIMENSIONS: usize = DIRECTIONS.len() + 1;

/// The direction numbers of dimension `d`, the first bit highest.
fn directions(d: usize) -> [u32; BITS] {
    let mut v = [0; BITS];
    let Some((a, first)) = d.checked_sub(1).and_then(|i| DIRECTIONS.get(i)) else {
        for (i, v) in v.iter_mut().enumerate() {
            *v = 1 << (BITS - 1 - i);
        }
        return v;
    };
    let s = first.len();
    for i in 0..BITS {
        v[i] = if i < s {
            first[i] << (BITS - 1 - i)
        } else {
            let mut next = v[i - s] ^ (v[i - s] >> s);
            for k in 1..s {
                if (a >> (s - 1 - k)) & 1 == 1 {
                    next ^= v[i - k];
                }
            }
            next
        };
    }
    v
}

/// Point `number` of the sequence in dimension `d`, in the order of Gray's code, as 32 bits.
fn point(number: u64, v: &[u32; BITS]) -> u32 {
    let gray = number ^ (number >> 1);
    let bits = (0..BITS).filter(|i| (gray >> i) & 1 == 1);
    bits.fold(0, |x, i| x ^ v[i])
}

/// Takes the points of the sequence, a dimension for each parameter.
pub struct Sobol {
    space: Space,
    /// For each parameter its direction numbers and its shift.
    axes: Vec<([u32; BITS], u32)>,
}

impl Sobol {
    /// For the parameters of `study`.
    ///
    /// # Errors
    /// Usage error for more parameters than there are direction numbers for.
    pub fn new(study: &Study) -> Result<Self> {
        let parameters = study.space.parameters();
        if parameters.len() > DIMENSIONS {
            return Err(Error::usage(format!(
                "the study has {} parameters, the Sobol sequence has {DIMENSIONS} dimensions here",
                parameters.len()
            ))
            .hint("take `sampler = \"random\"`, which has no limit"));
        }
        let axis = |(d, p): (usize, &crate::sweep::space::Parameter)| {
            let mut draw = Draw::new(Purpose::Shift, study.seed, 0, key(&p.name));
            (directions(d), draw.below(1 << BITS) as u32)
        };
        Ok(Self {
            space: study.space.clone(),
            axes: parameters.iter().enumerate().map(axis).collect(),
        })
    }
}

impl Sampler for Sobol {
    fn ask(&mut self, number: u64, _past: &Past<'_>) -> Result<Option<Assignment>> {
        let mut axes = self.axes.iter();
        let values = self.space.fill(|parameter| {
            let x = axes.next().map_or(0, |(v, shift)| point(number, v) ^ shift);
            // The middle of the cell, so that no value is an end by chance.
            parameter
                .domain
                .at((f64::from(x) + 0.5) / (1u64 << BITS) as f64)
        });
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first points in eight dimensions, and four late ones in the last of 64, as
    /// `torch.quasirandom.SobolEngine` draws them.
    #[test]
    fn points_are_those_of_joe_and_kuo() {
        let unit = |n, d| f64::from(point(n, &directions(d))) / (1u64 << BITS) as f64;
        let first: [[f64; 8]; 9] = [
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25, 0.25, 0.75, 0.75, 0.25, 0.75],
            [0.25, 0.75, 0.75, 0.75, 0.25, 0.25, 0.75, 0.25],
            [0.375, 0.375, 0.625, 0.875, 0.375, 0.125, 0.375, 0.875],
            [0.875, 0.875, 0.125, 0.375, 0.875, 0.625, 0.875, 0.375],
            [0.625, 0.125, 0.875, 0.625, 0.625, 0.875, 0.125, 0.125],
            [0.125, 0.625, 0.375, 0.125, 0.125, 0.375, 0.625, 0.625],
            [
                0.1875, 0.3125, 0.9375, 0.4375, 0.5625, 0.3125, 0.4375, 0.9375,
            ],
        ];
        for (n, row) in first.iter().enumerate() {
            for (d, x) in row.iter().enumerate() {
                assert_eq!(unit(n as u64, d), *x, "point {n}, dimension {d}");
            }
        }
        for (n, d, x) in [
            (1000, 63, 0.4462890625),
            (513, 40, 0.7470703125),
            (777, 21, 0.2724609375),
            (1023, 50, 0.2587890625),
            (255, 62, 0.09765625),
        ] {
            assert_eq!(unit(n, d), x, "point {n}, dimension {d}");
        }
    }

    /// Any 2^k points from a multiple of 2^k on have one in each of 2^k equal pieces, in every dimension.
    #[test]
    fn every_dimension_is_filled_evenly() {
        for d in 0..DIMENSIONS {
            let v = directions(d);
            for start in [0u64, 64, 1024] {
                let mut seen = [false; 64];
                for n in start..start + 64 {
                    seen[(point(n, &v) >> 26) as usize] = true;
                }
                assert!(seen.iter().all(|s| *s), "dimension {d} from {start}");
            }
        }
    }
}
