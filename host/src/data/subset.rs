//! A choice of samples of a dataset: the whole, some classes, a random part.
//! The images themselves are shared, never copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dataset::Dataset;
use super::own::split::shares;
use super::random::{Purpose, permutation, stream};
use crate::plan::{PartRange, PartsOrder};
use crate::{Error, Result};

/// How samples are chosen at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Seed of the choice.
    pub seed: u64,
    /// Each class gives its share; else chance alone decides.
    pub by_class: bool,
}

/// Positions in a shared dataset.
#[derive(Clone, Debug)]
pub struct Subset {
    dataset: Arc<Dataset>,
    indices: Arc<[u32]>,
}

impl Subset {
    /// Every sample, in order.
    pub fn all(dataset: Arc<Dataset>) -> Self {
        let indices = (0..dataset.len() as u32).collect();
        Self { dataset, indices }
    }
    /// The samples at `indices` of `dataset`, in that order.
    ///
    /// # Errors
    /// An internal error when an index is out of range.
    pub fn at(dataset: Arc<Dataset>, indices: Vec<u32>) -> Result<Self> {
        match indices.iter().find(|&&i| i as usize >= dataset.len()) {
            Some(i) => Err(Error::internal(format!(
                "sample {i} of a set of {}",
                dataset.len()
            ))),
            None => Ok(Self {
                dataset,
                indices: indices.into(),
            }),
        }
    }
    /// Others of the same dataset, whose `indices` came from [`Self::parts`].
    pub(super) fn with_indices(&self, indices: Vec<u32>) -> Self {
        Self {
            dataset: Arc::clone(&self.dataset),
            indices: indices.into(),
        }
    }
    /// These without `held`, positions in the dataset, and those.
    pub(super) fn without(&self, held: &[u32]) -> (Self, Self) {
        let out: std::collections::BTreeSet<u32> = held.iter().copied().collect();
        let left = self.indices.iter().copied().filter(|i| !out.contains(i));
        (
            self.with_indices(left.collect()),
            self.with_indices(held.to_vec()),
        )
    }
    /// The dataset they are from.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }
    /// Positions in the dataset.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
    /// Labels of the samples, in order; empty for regression.
    pub fn labels(&self) -> Vec<u32> {
        let labels = self.dataset.labels();
        if labels.is_empty() {
            return Vec::new();
        }
        self.indices.iter().map(|&i| labels[i as usize]).collect()
    }

    /// Samples of each class, `[classes]`; empty for regression.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.dataset.classes()];
        for label in self.labels() {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Only samples of `classes`; all where it is empty.
    #[must_use]
    pub fn of_classes(self, classes: &[u32]) -> Self {
        if classes.is_empty() {
            return self;
        }
        let labels = self.dataset.labels();
        let keep = |i: &u32| labels.get(*i as usize).is_some_and(|l| classes.contains(l));
        let indices = self.indices.iter().copied().filter(keep).collect();
        Self {
            dataset: self.dataset,
            indices,
        }
    }

    /// `limit` samples chosen at random; all where it is `None` or not below the
    /// number there is.
    #[must_use]
    pub fn limited(self, limit: Option<usize>, choice: Choice) -> Self {
        match limit {
            Some(limit) if limit < self.len() => {
                let (kept, _) = self.cut(&self.shuffled(choice.seed), limit, choice);
                Self {
                    indices: kept.into(),
                    dataset: self.dataset,
                }
            }
            _ => self,
        }
    }

    /// The first `count` of `order`, positions in the dataset, and the rest; by classes, the first of
    /// each class.
    fn cut(&self, order: &[u32], count: usize, choice: Choice) -> (Vec<u32>, Vec<u32>) {
        let labels = self.dataset.labels();
        if !choice.by_class || labels.is_empty() {
            let (first, rest) = order.split_at(count);
            return (first.to_vec(), rest.to_vec());
        }
        let label = |at: &u32| labels[*at as usize] as usize;
        let mut sizes = vec![0; self.dataset.classes()];
        order.iter().for_each(|at| sizes[label(at)] += 1);
        let mut left = shares(&sizes, count);
        order.iter().partition(|at| {
            let left = &mut left[label(at)];
            let takes = *left > 0;
            *left -= usize::from(takes);
            takes
        })
    }

    /// Training and validation part, as SoftHebb divides: shuffle under the seed,
    /// keep `limit`, the first of these are the validation part. `validation`
    /// below 1 is a fraction of what is kept, rounded down, else a count; 0 is
    /// no validation part, and without limit the order stays as it is.
    ///
    /// # Errors
    /// A usage error when nothing would be left to train on.
    pub fn divide(
        self,
        limit: Option<usize>,
        validation: f64,
        choice: Choice,
    ) -> Result<(Self, Option<Self>)> {
        if validation <= 0.0 {
            return Ok((self.limited(limit, choice), None));
        }
        let shuffled = self.shuffled(choice.seed);
        let most = limit.unwrap_or(shuffled.len()).min(shuffled.len());
        let (kept, _) = self.cut(&shuffled, most, choice);
        let count = if validation < 1.0 {
            (validation * kept.len() as f64 + 1e-9).floor() as usize
        } else {
            validation as usize
        };
        if count == 0 || count >= kept.len() {
            return Err(Error::usage(format!(
                "`data.validation` is {validation}: {count} of {} samples would be held back",
                kept.len()
            )));
        }
        let part = |indices: Vec<u32>| Self {
            dataset: Arc::clone(&self.dataset),
            indices: indices.into(),
        };
        let (held, train) = self.cut(&kept, count, choice);
        Ok((part(train), Some(part(held))))
    }

    /// The samples that `parts` names, each among these in the order of the set or in one drawn
    /// under `seed`.
    ///
    /// # Errors
    /// A usage error for a part that is empty or reaches beyond the last sample.
    pub fn parts(
        &self,
        parts: &BTreeMap<String, PartRange>,
        order: PartsOrder,
        seed: u64,
    ) -> Result<BTreeMap<String, Vec<u32>>> {
        if parts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut stored = self.indices.to_vec();
        stored.sort_unstable();
        let ordered: Vec<u32> = match order {
            PartsOrder::Stored => stored,
            PartsOrder::Random => {
                let mut rng = stream(Purpose::Parts, seed, 0, 0);
                let order = permutation(&mut rng, stored.len());
                order.into_iter().map(|at| stored[at as usize]).collect()
            }
        };
        let part = |(name, range): (&String, &PartRange)| {
            let range = range.of(ordered.len()).map_err(|what| {
                Error::usage(format!("`data.parts.{name}` {what}"))
                    .hint("samples that `limit_train` and `validation` leave are counted from 0")
            })?;
            Ok((name.clone(), ordered[range].to_vec()))
        };
        parts.iter().map(part).collect()
    }

    fn shuffled(&self, seed: u64) -> Vec<u32> {
        let mut rng = stream(Purpose::Choice, seed, 0, 0);
        permutation(&mut rng, self.len())
            .into_iter()
            .map(|at| self.indices[at as usize])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataFolders, Split, published};

    fn digits() -> Subset {
        let folders = DataFolders::only(["unused"]);
        let set = published::load("digits", Split::Train, &folders, &toml::Table::new()).unwrap();
        Subset::all(Arc::new(set))
    }

    fn seed(seed: u64) -> Choice {
        Choice {
            seed,
            by_class: false,
        }
    }

    #[test]
    fn training_and_validation_share_nothing_and_miss_nothing() {
        let (train, held) = digits().divide(None, 0.2, seed(5)).unwrap();
        let held = held.unwrap();
        assert_eq!((train.len(), held.len()), (1038, 259)); // floor(0.2 * 1297) = 259
        let mut all = [train.indices(), held.indices()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1297).collect::<Vec<u32>>());
        let again = digits().divide(None, 0.2, seed(5)).unwrap().0;
        assert_eq!(again.indices(), train.indices());
        let other = digits().divide(None, 0.2, seed(6)).unwrap().0;
        assert_ne!(other.indices(), train.indices());
    }

    #[test]
    fn a_limit_comes_before_the_validation_part() {
        let (train, held) = digits().divide(Some(100), 30.0, seed(1)).unwrap();
        assert_eq!((train.len(), held.unwrap().len()), (70, 30));
        let (all, none) = digits().divide(None, 0.0, seed(1)).unwrap();
        assert!(none.is_none() && all.indices().is_sorted() && all.len() == 1297);
        assert!(digits().divide(Some(10), 10.0, seed(1)).is_err());
        assert!(digits().divide(Some(10), 0.01, seed(1)).is_err());
    }

    #[test]
    fn by_classes_each_gives_its_share() {
        let some = digits().of_classes(&[3, 8]); // 144 and 132 samples
        let choice = |seed| Choice {
            seed,
            by_class: true,
        };
        let three = |s: &Subset| s.labels().iter().filter(|l| **l == 3).count();
        for n in 0..5 {
            let kept = some.clone().limited(Some(23), choice(n));
            assert_eq!((kept.len(), three(&kept)), (23, 12));
            let (train, held) = some.clone().divide(Some(69), 0.34, choice(n)).unwrap();
            let held = held.unwrap();
            // 36 of 69 are threes, and 12 of the 23 held back.
            assert_eq!((train.len(), held.len()), (46, 23));
            assert_eq!((three(&train), three(&held)), (24, 12));
        }
        let chosen = |n| some.clone().limited(Some(23), choice(n));
        assert_eq!(chosen(1).indices(), chosen(1).indices());
        assert_ne!(chosen(1).indices(), chosen(2).indices());
        let all = some.clone().limited(Some(1000), choice(1));
        assert_eq!(all.indices(), some.indices());
    }

    #[test]
    fn parts_are_ranges_of_what_is_left_for_training() {
        let range = |text: &str| text.parse::<PartRange>().unwrap();
        let names = [("first", ":50%"), ("last", "50%:"), ("ten", "0:10")];
        let parts = names.map(|(name, text)| (name.to_owned(), range(text)));
        let parts = BTreeMap::from(parts);
        let stored = digits().parts(&parts, PartsOrder::Stored, 0).unwrap();
        assert_eq!(stored["first"], (0..648).collect::<Vec<u32>>());
        assert_eq!(stored["last"], (648..1297).collect::<Vec<u32>>());
        assert_eq!(stored["ten"], stored["first"][..10]);
        let of = |seed| digits().parts(&parts, PartsOrder::Random, seed).unwrap();
        let drawn = of(3);
        assert_eq!(drawn, of(3));
        assert_ne!(drawn["first"], of(4)["first"]);
        assert!(!drawn["first"].is_sorted());
        let mut all = [&drawn["first"][..], &drawn["last"]].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1297).collect::<Vec<u32>>());
        // Nothing of the validation part is in a part.
        let (train, held) = digits()
            .divide(
                Some(300),
                0.25,
                Choice {
                    seed: 1,
                    by_class: false,
                },
            )
            .unwrap();
        let held = held.unwrap();
        for order in [PartsOrder::Stored, PartsOrder::Random] {
            let parts = train.parts(&parts, order, 1).unwrap();
            assert_eq!((parts["first"].len(), parts["last"].len()), (112, 113));
            assert!(parts["last"].iter().all(|i| !held.indices().contains(i)));
        }
        let beyond = BTreeMap::from([("x".to_owned(), range("0:1298"))]);
        let e = digits().parts(&beyond, PartsOrder::Stored, 0).unwrap_err();
        assert!(
            e.text.contains("`data.parts.x`") && e.text.contains("1297"),
            "{e}"
        );
    }

    #[test]
    fn a_class_filter_keeps_labels() {
        let some = digits().of_classes(&[3, 8]);
        assert_eq!(some.len(), 144 + 132);
        assert!(some.labels().iter().all(|l| [3, 8].contains(l)));
    }
}
