//! Data as the trainer takes them: tensors by index, an order for each epoch,
//! and batches prepared ahead by the loader's threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::answers::Answers;
use super::augment;
use super::classes::LEFT_OUT;
use super::feed::{Batch, EpochSpec, Samples, TrainData};
use super::loader::{Loader, LoaderOptions};
use super::part::Part;
use super::plan::Data;
use super::random::{Purpose, permutation, stream};
use super::subset::Subset;
use crate::Result;
use crate::data::feed::Batches;
use crate::plan::RunPlan;
use crate::plan::{Augment, DataPlan};

impl Samples for Part {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn dims(&self) -> Vec<usize> {
        let shape = self.samples.dataset().shape();
        if shape.plane() == 1 {
            vec![shape.channels]
        } else {
            shape.dims().to_vec()
        }
    }

    fn outputs(&self) -> usize {
        self.samples.dataset().outputs()
    }

    fn classes(&self) -> bool {
        self.samples.dataset().classes() > 0
    }

    fn lacks_answers(&self) -> bool {
        let labels = self.samples.dataset().labels();
        let label = |at: &u32| labels.get(*at as usize).copied();
        self.samples
            .indices()
            .iter()
            .filter_map(label)
            .any(|label| label == LEFT_OUT)
    }

    fn class_name(&self, class: u32) -> String {
        self.samples.dataset().class_name(class)
    }

    fn augments(&self) -> bool {
        !self.augment.is_none()
    }

    fn order(&self, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
        if shuffle {
            permutation(
                &mut stream(Purpose::Order, seed, epoch, 0),
                self.samples.len(),
            )
        } else {
            (0..self.samples.len() as u32).collect()
        }
    }

    fn read(&self, indices: &[u32]) -> Result<Batch> {
        let positions = self.positions(indices);
        let set = self.samples.dataset();
        let each = set.shape().len();
        let mut values = vec![0f32; positions.len() * each];
        values
            .par_chunks_exact_mut(each)
            .zip(&positions)
            .try_for_each(|(out, &at)| {
                let plain = Augment::default();
                augment::write(set, at as usize, &self.normalizer, &plain, (0, 0), out)
            })?;
        Ok(Batch {
            x: self.tensor(values, positions.len())?,
            answers: self.answers_at(&positions)?,
        })
    }

    fn answers(&self, indices: &[u32]) -> Result<Answers> {
        self.answers_at(&self.positions(indices))
    }

    #[cfg(feature = "cuda")]
    fn resident(&self, place: &crate::device::Place) -> Result<Option<Box<dyn Samples>>> {
        if place.device.is_cpu() {
            return Ok(None);
        }
        let resident = super::resident::Resident::new(self, place)?;
        Ok(resident.map(|r| Box::new(r) as Box<dyn Samples>))
    }

    fn epoch(&self, spec: &EpochSpec) -> Result<Batches<'_>> {
        // The order is ours, so that cached features and loaded batches follow the same one.
        let order = self.positions(&self.order(spec.seed, spec.epoch, spec.shuffle));
        let samples = Subset::at(Arc::clone(self.samples.dataset()), order)?;
        let options = LoaderOptions {
            batch: spec.batch,
            seed: spec.seed,
            shuffle: false,
            drop_last: spec.drop_last,
            augment: if spec.augment {
                self.augment
            } else {
                Augment::default()
            },
            threads: self.threads,
            prefetch: self.prefetch,
        };
        let loader = Loader::new(samples, Arc::clone(&self.normalizer), options)?;
        let batches = loader.start_at(spec.epoch, spec.start as usize);
        Ok(Box::new(batches.map(|batch| {
            if let Some(why) = batch.failed {
                return Err(crate::Error::data(why)
                    .hint("the file was readable before: look at the disk, or remove the picture and start anew"));
            }
            let count = batch.indices.len();
            let answers = self.answers_at(&batch.indices)?;
            Ok(Batch {
                x: self.tensor(batch.values, count)?,
                answers,
            })
        })))
    }
}

impl Data {
    /// The parts as the trainer takes them; `extra` are further sets by name.
    pub fn for_training(&self, extra: &BTreeMap<String, Data>) -> TrainData {
        let part = |s: &Subset, augment| -> Box<dyn Samples> { Part::new(self, s, augment) };
        let plain = Augment::default();
        TrainData {
            train: part(&self.train, self.plan().augment),
            validation: self.validation.as_ref().map(|v| part(v, plain)),
            test: part(&self.test, plain),
            parts: self
                .parts()
                .map(|(name, samples)| (name.to_owned(), part(&samples, self.plan().augment)))
                .collect(),
            extra: extra
                .iter()
                .map(|(name, data)| {
                    let train: Box<dyn Samples> = Part::new(data, &data.train, data.plan().augment);
                    (name.clone(), train)
                })
                .collect(),
        }
    }
}

/// Every set of a plan in memory.
pub struct Opened {
    main: Data,
    extra: BTreeMap<String, Data>,
}

impl Opened {
    /// Opens every set that `plan` names.
    ///
    /// # Errors
    /// Missing or damaged files, settings that do not fit, and a further set
    /// whose samples have another shape.
    pub fn open(plan: &RunPlan) -> Result<Self> {
        Self::open_with(plan, &mut |set, beside| match beside {
            Some(main) => set.open_beside(main),
            None => set.open(),
        })
    }

    /// The same with sets that `open` gives: of a plan, and for a further set the plan of the set
    /// beside whose labels it is read.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_with(
        plan: &RunPlan,
        open: &mut dyn FnMut(&DataPlan, Option<&DataPlan>) -> Result<Data>,
    ) -> Result<Self> {
        let main = open(&plan.data, None)?;
        let mut extra = BTreeMap::new();
        for (name, further) in plan.extra_in_use() {
            let further = open(further, Some(&plan.data))?;
            if further.shape() != main.shape() {
                return Err(crate::Error::usage(format!(
                    "samples of `extra_data.{name}` are {}, those of `data` {}",
                    further.shape(),
                    main.shape()
                ))
                .hint("set `resize`, or take a set of the same size"));
            }
            extra.insert(name.clone(), further);
        }
        Ok(Self { main, extra })
    }

    /// What a user should know of the data, see [`Data::notes`].
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let further = self.extra.iter().flat_map(|(name, data)| {
            let notes = data.notes().iter();
            notes.map(move |note| format!("`extra_data.{name}`: {note}"))
        });
        self.main.notes().iter().cloned().chain(further)
    }

    /// What the plan asks for and its sets cannot give, see [`Data::warnings`].
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let further = self.extra.iter().flat_map(|(name, data)| {
            let own = format!("`extra_data.{name}.");
            let texts = data.warnings().iter();
            texts.map(move |text| text.replace("`data.", &own))
        });
        self.main.warnings().iter().cloned().chain(further)
    }

    /// The plan's own set.
    pub fn main(&self) -> &Data {
        &self.main
    }

    /// The sets as the trainer takes them.
    pub fn for_training(&self) -> TrainData {
        self.main.for_training(&self.extra)
    }
}

impl TrainData {
    /// Opens every set that `plan` names.
    ///
    /// # Errors
    /// As for [`Opened::open`].
    pub fn open(plan: &RunPlan) -> Result<Self> {
        Opened::open(plan).map(|sets| sets.for_training())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;
    use crate::plan::PartRange;

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all()
            .and_then(|t| t.to_vec1())
            .expect("f32 values")
    }

    #[test]
    fn parts_are_what_phases_call_them() {
        let range = |text: &str| text.parse::<PartRange>().expect("a range");
        let parts = [("weights", ":1/3"), ("alphas", "1/3:")];
        let parts = parts.map(|(name, text)| (name.to_owned(), range(text)));
        let plan = DataPlan {
            validation: 97.0,
            parts: BTreeMap::from(parts),
            whiten: Some(0.1),
            ..DataPlan::default()
        };
        let opened = plan.open().expect("embedded digits");
        let data = opened.for_training(&BTreeMap::new());
        let count = |name: &str| data.get(name).map(|set| set.len());
        assert_eq!(count("weights").ok(), Some(400));
        assert_eq!(count("alphas").ok(), Some(800));
        assert_eq!(count("train").ok(), Some(1200));
        assert!(count("other").is_err() && opened.part("other").is_err());
        // The samples of a part are those of the training set, whitened as these are.
        let part = opened.part("weights").expect("a part");
        let all = opened.train.indices();
        let at = all
            .iter()
            .position(|i| *i == part.indices()[7])
            .expect("among them");
        let read = |name: &str, at: usize| data.get(name).and_then(|set| set.read(&[at as u32]));
        let [one, same] =
            [read("weights", 7), read("train", at)].map(|b| values(&b.expect("read").x));
        assert_eq!(one, same);
    }

    #[test]
    fn a_part_that_is_held_back_is_in_nothing_else() {
        let range = |text: &str| text.parse::<PartRange>().expect("a range");
        let plan = |weights: &str| DataPlan {
            limit_train: Some(1000),
            validation_part: Some("architecture".to_owned()),
            parts_order: crate::plan::PartsOrder::Stored,
            parts: BTreeMap::from([
                ("weights".to_owned(), range(weights)),
                ("architecture".to_owned(), range("50%:")),
            ]),
            whiten: Some(0.1),
            ..DataPlan::default()
        };
        let data = plan(":50%").open().expect("embedded digits");
        let held = data.validation.as_ref().expect("a part");
        assert_eq!((data.train.len(), held.len()), (500, 500));
        let mut train = data.train.indices().to_vec();
        train.sort_unstable();
        assert_eq!(train, data.part("weights").expect("a part").indices());
        assert_eq!(
            held.indices(),
            data.part("architecture").expect("a part").indices()
        );
        assert!(train.last() < held.indices().first());
        let e = plan(":60%").open().expect_err("they overlap");
        assert!(
            e.text
                .contains("`data.parts.weights` has samples of `architecture`"),
            "{e}"
        );
        let mut other = plan(":50%");
        other.validation_part = Some("architectures".to_owned());
        let e = other.open().expect_err("no such part");
        assert!(e.hint.unwrap_or_default().contains("`architecture`"));
        other = plan(":50%");
        other.validation = 0.1;
        assert!(
            other
                .open()
                .expect_err("two ways")
                .text
                .contains("both say")
        );
    }

    #[test]
    fn loaded_batches_are_what_reading_by_index_gives() {
        let plan = DataPlan {
            validation: 0.2,
            limit_train: Some(300),
            ..DataPlan::default()
        };
        let data = plan
            .open()
            .expect("embedded digits")
            .for_training(&BTreeMap::new());
        let spec = EpochSpec {
            seed: 5,
            epoch: 2,
            batch: 32,
            shuffle: true,
            drop_last: false,
            augment: false,
            start: 3,
        };
        let order = data.train.order(5, 2, true);
        assert_eq!(order.len(), 240);
        let batches: Vec<_> = data.train.epoch(&spec).expect("batches").collect();
        assert_eq!(batches.len() as u64, spec.steps(240) - 3);
        for (i, batch) in batches.into_iter().enumerate() {
            let batch = batch.expect("a batch");
            let read = data
                .train
                .read(&order[spec.range(i as u64 + 3, 240)])
                .expect("samples");
            assert_eq!(values(&batch.x), values(&read.x));
            let labels = |a: &Answers| a.raw().to_vec1::<u32>().expect("labels");
            assert_eq!(labels(&batch.answers), labels(&read.answers));
        }
        assert_eq!(data.validation.map(|v| v.len()), Some(60));
    }
}
