//! A part of a set kept on the GPU: images as bytes, shifted, mirrored and
//! scaled there as a batch is asked for; answers beside them. Order and
//! augmentation are drawn on the CPU under the same keys as the loader's, so that
//! batches are the same bit for bit; an epoch's draws go to the device in one
//! copy at its start, and a step copies nothing.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::answers::Answers;
use super::augment::Shift;
use super::dataset::Values;
use super::feed::{Batch, EpochSpec, Samples};
use super::part::Part;
use crate::data::feed::Batches;
use crate::device::Place;
use crate::device::budget::Reserved;
use crate::ops::cuda::images;
use crate::plan::{Augment, Padding};
use crate::{Error, Result};

/// See the module.
pub(super) struct Resident {
    part: Part,
    values: Stored,
    /// Of every sample, in the order of the part.
    answers: Answers,
    place: Place,
    _room: Reserved,
}

/// Values of every sample, in the order of the part.
enum Stored {
    /// `[N, C, H, W]` bytes, and `[C, 256]`: what each byte becomes. A vector of
    /// F features is `[1, 1, F]`.
    Bytes { images: Tensor, table: Tensor },
    /// `[N, ..dims]`, scaled.
    Floats(Tensor),
}

/// Samples by position in the part, as the device wants them.
struct Picks {
    /// `[n]`, `u32`.
    index: Tensor,
    /// `[n, PICK]`, `i32`: what [`images::gather`] does with each sample; for bytes.
    moves: Option<Tensor>,
}

impl Resident {
    /// `part` on the device of `place`, or `None` where its augmentation cannot
    /// be done there or the budget has no room.
    ///
    /// # Errors
    /// The device refuses.
    pub fn new(part: &Part, place: &Place) -> Result<Option<Self>> {
        let set = part.samples.dataset();
        let name = set.name();
        let augment = &part.augment;
        if matches!(set.values(), Values::Made { .. }) || augment.resized_crop.is_some() {
            tracing::info!("`{name}` stays in the machine's memory: pictures are cut on the CPU");
            return Ok(None);
        }
        let floats = matches!(set.values(), Values::Floats(_));
        if augment.noise > 0.0 || (floats && !augment.is_none()) {
            tracing::info!("`{name}` stays in the machine's memory: noise is added on the CPU");
            return Ok(None);
        }
        let each = match set.values() {
            Values::Bytes { .. } | Values::Made { .. } => 1,
            Values::Floats(_) => place.dtype.size_in_bytes(),
        };
        // A label or target is 4 bytes.
        let targets = match set.classes() {
            0 => set.outputs(),
            _ => 1,
        };
        let bytes = part.len() * (set.shape().len() * each + targets * 4);
        let Some(room) = place.budget.reserve(bytes as u64) else {
            tracing::info!(
                "`{name}` stays in the machine's memory: {} samples take {bytes} bytes, more than `gpu_memory_share` leaves",
                part.len()
            );
            return Ok(None);
        };
        let all: Vec<u32> = (0..part.len() as u32).collect();
        Ok(Some(Self {
            values: stored(part, place)?,
            answers: part.answers(&all)?.on(&place.device)?,
            part: part.clone(),
            place: place.clone(),
            _room: room,
        }))
    }

    fn device(&self) -> &Device {
        &self.place.device
    }

    /// `order` (positions in the part) with the moves that `augment` draws.
    fn picks(&self, order: &[u32], augment: &Augment, key: (u64, u64)) -> Result<Picks> {
        let moves = match &self.values {
            Stored::Floats(_) => None,
            Stored::Bytes { .. } => {
                let shape = self.part.samples.dataset().shape();
                let positions = self.part.positions(order);
                let rows: Vec<[i32; images::PICK]> = order
                    .par_iter()
                    .zip(positions)
                    .map(|(at, position)| {
                        let shift = match augment.is_none() {
                            false => Shift::of(augment, shape, key, position),
                            true => Shift::default(),
                        };
                        let [top, left] = shift.cut.map(|at| at as i32);
                        [
                            *at as i32,
                            shift.row as i32,
                            shift.column as i32,
                            i32::from(shift.mirror),
                            top,
                            left,
                            augment.cutout as i32,
                        ]
                    })
                    .collect();
                let moves =
                    Tensor::from_vec(rows.concat(), (order.len(), images::PICK), &Device::Cpu)?;
                Some(moves.to_device(self.device())?)
            }
        };
        let index = Tensor::new(order, self.device())?;
        Ok(Picks { index, moves })
    }

    /// `[n, ..dims]` of the type of the network.
    fn gather(&self, picks: &Picks) -> Result<Tensor> {
        let x = match (&self.values, &picks.moves) {
            (Stored::Floats(values), _) => {
                return crate::ops::rows::gather_on_device(values, &picks.index, self.place.dtype);
            }
            (Stored::Bytes { images, table }, Some(moves)) => {
                let reflect = self.part.augment.padding == Padding::Reflect;
                images::gather(images, moves, table, reflect)?
            }
            (Stored::Bytes { .. }, None) => return Err(Error::internal("bytes without moves")),
        };
        let mut dims = vec![picks.index.dims1()?];
        dims.extend(self.dims());
        Ok(x.reshape(dims)?)
    }
}

impl Picks {
    fn range(&self, range: std::ops::Range<usize>) -> Result<Self> {
        let cut = |t: &Tensor| t.narrow(0, range.start, range.len());
        Ok(Self {
            index: cut(&self.index)?,
            moves: self.moves.as_ref().map(cut).transpose()?,
        })
    }
}

fn stored(part: &Part, place: &Place) -> Result<Stored> {
    let (set, scaling) = (part.samples.dataset(), &part.normalizer);
    let (shape, n) = (set.shape(), part.len());
    let each = shape.len();
    let indices = part.samples.indices();
    match set.values() {
        Values::Bytes { data, .. } => {
            let (channels, height, width) = match shape.plane() {
                1 => (1, 1, each),
                _ => (shape.channels, shape.height, shape.width),
            };
            let mut bytes = Vec::with_capacity(n * each);
            for &at in indices {
                bytes.extend_from_slice(&data[at as usize * each..(at as usize + 1) * each]);
            }
            let table: Vec<f32> = (0..channels).flat_map(|c| *scaling.table(c)).collect();
            let table = Tensor::from_vec(table, (channels, 256), &Device::Cpu)?;
            Ok(Stored::Bytes {
                images: Tensor::from_vec(bytes, (n, channels, height, width), &place.device)?,
                table: table.to_dtype(place.dtype)?.to_device(&place.device)?,
            })
        }
        Values::Floats(_) | Values::Made { .. } => {
            let all: Vec<u32> = (0..n as u32).collect();
            let scaled = part.read(&all)?.x.to_dtype(place.dtype)?;
            Ok(Stored::Floats(scaled.to_device(&place.device)?))
        }
    }
}

impl Samples for Resident {
    fn len(&self) -> usize {
        self.part.len()
    }
    fn dims(&self) -> Vec<usize> {
        self.part.dims()
    }
    fn outputs(&self) -> usize {
        self.part.outputs()
    }
    fn classes(&self) -> bool {
        self.part.classes()
    }
    fn class_name(&self, class: u32) -> String {
        self.part.class_name(class)
    }
    fn augments(&self) -> bool {
        self.part.augments()
    }
    fn order(&self, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
        self.part.order(seed, epoch, shuffle)
    }

    fn read(&self, indices: &[u32]) -> Result<Batch> {
        let picks = self.picks(indices, &Augment::default(), (0, 0))?;
        Ok(Batch {
            x: self.gather(&picks)?,
            answers: self.answers.at(&picks.index)?,
        })
    }

    fn answers(&self, indices: &[u32]) -> Result<Answers> {
        self.answers.at(&Tensor::new(indices, self.device())?)
    }

    fn epoch(&self, spec: &EpochSpec) -> Result<Batches<'_>> {
        let n = self.len();
        let order = self.order(spec.seed, spec.epoch, spec.shuffle);
        let augment = match spec.augment {
            true => self.part.augment,
            false => Augment::default(),
        };
        let picks = self.picks(&order, &augment, (spec.seed, spec.epoch))?;
        let answers = self.answers.at(&picks.index)?;
        let spec = spec.clone();
        Ok(Box::new((spec.start..spec.steps(n)).map(move |step| {
            let range = spec.range(step, n);
            Ok(Batch {
                x: self.gather(&picks.range(range.clone())?)?,
                answers: answers.range(range)?,
            })
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::DType;
    use proptest::prelude::*;

    use super::super::dataset::{Dataset, Provenance, Shape, Split, Targets};
    use super::super::normalize::Normalizer;
    use super::*;
    use crate::device::budget::Budget;
    use crate::ops::cuda::test_places;
    use crate::plan::{DataPlan, Scaling};

    fn place(device: &Device, dtype: DType) -> Place {
        Place {
            device: device.clone(),
            dtype,
            budget: Budget::bytes(1 << 30),
            stop: Default::default(),
        }
    }

    fn bits(t: &Tensor) -> (Vec<usize>, Vec<u64>) {
        let wide = t
            .to_device(&Device::Cpu)
            .and_then(|t| t.to_dtype(DType::F64));
        let values = wide.and_then(|t| t.flatten_all()?.to_vec1::<f64>());
        let values = values.expect("numbers").into_iter().map(f64::to_bits);
        (t.dims().to_vec(), values.collect())
    }

    /// Asserts that both give the same batches, bit for bit.
    fn same(resident: &Resident, part: &Part, spec: &EpochSpec, dtype: DType) {
        let collect = |s: &dyn Samples| -> Vec<Batch> {
            let batches = s.epoch(spec).expect("an epoch");
            batches.map(|b| b.expect("a batch")).collect()
        };
        let (got, want) = (collect(resident), collect(part));
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.x.dtype(), dtype);
            assert_eq!(bits(&got.x), bits(&want.x));
            assert_eq!(bits(got.answers.raw()), bits(want.answers.raw()));
        }
        let some = [7, 0, 31, 7];
        let (got, want) = (resident.read(&some), part.read(&some));
        let (got, want) = (got.expect("samples"), want.expect("samples"));
        assert_eq!(bits(&got.x), bits(&want.x));
        assert_eq!(bits(got.answers.raw()), bits(want.answers.raw()));
        let answers = resident.answers(&some).expect("answers");
        assert_eq!(bits(answers.raw()), bits(want.answers.raw()));
    }

    /// Three channels, not square, made up; every byte value occurs.
    fn pictures(augment: Augment) -> Part {
        let shape = Shape::new(3, 5, 6);
        let count = 40;
        let mix = |i: usize| crate::ops::dropout::mix(&[i as u64]);
        let data: Vec<u8> = (0..count * shape.len()).map(|i| mix(i) as u8).collect();
        let targets = Targets::Labels {
            labels: (0..count as u32).map(|i| i * 7 % 10).collect(),
            classes: 10,
            names: Vec::new(),
        };
        let values = Values::Bytes {
            data: data.into(),
            white: 255,
        };
        let from = Provenance::Embedded;
        let set = Dataset::new("x", Split::Train, shape, values, targets, from).expect("a set");
        let scaling = Normalizer::standard(&set, &[0.3, 0.5, 0.1], &[0.2, 0.3, 0.7]);
        Part {
            samples: super::super::subset::Subset::at(Arc::new(set), (0..35).rev().collect())
                .expect("in range"),
            normalizer: Arc::new(scaling.expect("three channels")),
            augment,
            threads: 1,
            prefetch: 2,
        }
    }

    proptest! {
        #![proptest_config(crate::testing::cases(48))]
        #[test]
        fn batches_are_the_loaders_bit_for_bit(
            (seed, epoch, batch, start) in (any::<u64>(), 0u64..1000, 1usize..50, 0u64..3),
            (crop, flip, cutout, reflect) in (0usize..4, 0f32..1.0, 0usize..5, any::<bool>()),
            (augment, shuffle, drop_last, double) in any::<(bool, bool, bool, bool)>(),
        ) {
            let padding = if reflect { Padding::Reflect } else { Padding::Zero };
            let moves = Augment { flip, crop, padding, noise: 0.0, cutout, resized_crop: None };
            let dtype = if double { DType::F64 } else { DType::F32 };
            let part = pictures(moves);
            let drop_last = drop_last && batch <= 35;
            let spec = EpochSpec { seed, epoch, batch, shuffle, drop_last, augment, start };
            for device in test_places() {
                let resident = Resident::new(&part, &place(&device, dtype));
                let resident = resident.expect("kept").expect("room");
                same(&resident, &part, &spec, dtype);
            }
        }
    }

    fn plain() -> EpochSpec {
        EpochSpec {
            seed: 1,
            epoch: 2,
            batch: 32,
            shuffle: true,
            drop_last: false,
            augment: true,
            start: 0,
        }
    }

    #[test]
    fn shipped_sets_of_bytes_vectors_and_values_are_the_same_too() {
        for set in ["digits", "teacher", "bars"] {
            let plan = DataPlan {
                set: set.into(),
                validation: 0.2,
                limit_train: Some(120),
                normalize: Scaling::Standard,
                ..DataPlan::default()
            };
            let data = plan.open().expect("a set of the program's own");
            let part = Part::new(&data, &data.train, Augment::default());
            for device in test_places() {
                for dtype in [DType::F32, DType::F64] {
                    let resident = Resident::new(&part, &place(&device, dtype));
                    let resident = resident.expect("kept").expect("room");
                    same(&resident, &part, &plain(), dtype);
                }
            }
        }
    }

    #[test]
    fn what_has_no_room_or_needs_noise_stays_where_it_is() {
        let part = pictures(Augment::default());
        // 35 images of 90 bytes, and a label of 4 bytes each.
        for (bytes, fits) in [(35 * 94, true), (35 * 94 - 1, false)] {
            let place = Place {
                budget: Budget::bytes(bytes),
                stop: Default::default(),
                ..place(&Device::Cpu, DType::F32)
            };
            let resident = Resident::new(&part, &place).expect("asked");
            assert_eq!(resident.is_some(), fits);
            drop(resident);
            assert!(place.budget.reserve(bytes).is_some(), "given back");
        }
        let noisy = pictures(Augment {
            noise: 0.1,
            ..Augment::default()
        });
        let resident = Resident::new(&noisy, &place(&Device::Cpu, DType::F32));
        assert!(resident.expect("asked").is_none());
    }
}
