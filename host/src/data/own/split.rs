//! A test part made of samples that have none: chosen at random, with the same shares of the
//! classes.

use crate::data::dataset::{Shape, Targets, Values};
use crate::data::random::{Purpose, permutation, stream};
use crate::{Error, Result};

/// Positions of the training and the test samples, each in ascending order. `labels` is empty where
/// shares of classes do not matter. `test` below 1 is a share, else a number.
///
/// # Errors
/// A usage error where either part would be empty.
pub(crate) fn positions(
    count: usize,
    labels: &[u32],
    test: f64,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let wanted = match test {
        share if share < 1.0 => (share * count as f64).round() as usize,
        number => number as usize,
    };
    if wanted == 0 || wanted >= count {
        return Err(Error::usage(format!(
            "`data.options.test` is {test}: {wanted} of {count} samples would be the test part"
        )));
    }
    let mut rng = stream(Purpose::TestPart, seed, 0, 0);
    let mut chosen = vec![false; count];
    let mut groups: Vec<Vec<u32>> = Vec::new();
    if labels.is_empty() {
        groups.push((0..count as u32).collect());
    } else {
        let classes = labels.iter().max().map_or(0, |l| *l as usize + 1);
        groups.resize(classes, Vec::new());
        for (at, label) in labels.iter().enumerate() {
            groups[*label as usize].push(at as u32);
        }
    }
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    for (group, take) in groups.iter().zip(shares(&sizes, wanted)) {
        let order = permutation(&mut rng, group.len());
        for at in order.into_iter().take(take) {
            chosen[group[at as usize] as usize] = true;
        }
    }
    let side = |test: bool| -> Vec<u32> {
        let all = (0..count as u32).filter(|at| chosen[*at as usize] == test);
        all.collect()
    };
    Ok((side(false), side(true)))
}

/// How many each of the groups of these sizes gives so that the sum is `wanted`, at most all: its
/// share rounded down, and one more where most was cut off (largest remainders).
pub(crate) fn shares(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let count = sizes.iter().sum::<usize>().max(1) as u128;
    let exact = |size: usize| size as u128 * wanted as u128;
    let mut take: Vec<usize> = sizes.iter().map(|&n| (exact(n) / count) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&g| std::cmp::Reverse(exact(sizes[g]) % count));
    let missing = wanted - take.iter().sum::<usize>();
    order.into_iter().take(missing).for_each(|g| take[g] += 1);
    take
}

/// The samples of `values` and `targets` at `positions`.
pub(crate) fn select(
    (values, targets): (&Values, &Targets),
    shape: Shape,
    positions: &[u32],
) -> (Values, Targets) {
    fn rows<T: Copy>(data: &[T], each: usize, positions: &[u32]) -> Vec<T> {
        let row = |at: &u32| data[*at as usize * each..(*at as usize + 1) * each].iter();
        positions.iter().flat_map(row).copied().collect()
    }
    let values = match values {
        Values::Bytes { data, white } => Values::Bytes {
            data: rows(data, shape.len(), positions).into(),
            white: *white,
        },
        // No set of a user's has these.
        Values::Made { .. } => values.clone(),
        Values::Floats(data) => Values::Floats(rows(data, shape.len(), positions)),
    };
    let targets = match targets {
        Targets::Labels {
            labels,
            classes,
            names,
        } => Targets::Labels {
            labels: rows(labels, 1, positions),
            classes: *classes,
            names: names.clone(),
        },
        Targets::Values { data, width } => Targets::Values {
            data: rows(data, *width, positions),
            width: *width,
        },
    };
    (values, targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_gives_its_share_and_no_sample_is_in_both() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
        let (train, test) = positions(100, &labels, 0.2, 3).unwrap();
        let ones = |p: &[u32]| p.iter().filter(|at| labels[**at as usize] == 1).count();
        assert_eq!((test.len(), ones(&test), ones(&train)), (20, 2, 8));
        let mut all = [train, test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u32>>());
        assert_eq!(positions(100, &labels, 20.0, 3).unwrap().1, test);
        assert_ne!(positions(100, &labels, 0.2, 4).unwrap().1, test);
        // Odd shares add up.
        let thirds: Vec<u32> = (0..10).map(|i| i % 3).collect();
        assert_eq!(positions(10, &thirds, 0.5, 0).unwrap().1.len(), 5);
        assert!(positions(10, &[], 0.01, 0).is_err());
        assert!(positions(10, &[], 10.0, 0).is_err());
    }
}
