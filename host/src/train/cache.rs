//! Cached features: the output of a frozen prefix, computed once per sample.
//!
//! A phase whose first blocks are frozen, and that does not augment, sees the
//! same features every epoch. They are kept in memory, past a limit in a
//! memory-mapped file, or on a GPU whose budget has room; a later phase with a longer prefix
//! starts from what an earlier one kept.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::mapped::{Mapped, Plain};
use crate::data::feed::Samples;
use crate::device::Place;
use crate::device::budget::Reserved;
use crate::nn::{Network, Pass};
use crate::ops::cpu::real::read;
use crate::ops::cpu::rows::to_bf16;
use crate::ops::rows::{Drop, Table, gather, gather_on_device};
use crate::plan::{CachePlan, CachePrecision};
use crate::{Error, Result};

/// Samples that go through the prefix at a time.
pub(super) const FILL_BATCH: usize = 100;

/// A slice in memory or in a file.
enum Store<T> {
    Memory(Vec<T>),
    File(Mapped<T>),
}

impl<T: Plain + Default> Store<T> {
    fn new(len: usize, limit: u64, folder: Option<&Path>) -> Result<Self> {
        match folder {
            Some(folder) if (len as u64).saturating_mul(size_of::<T>() as u64) > limit => {
                Ok(Self::File(Mapped::zeros(folder, len)?))
            }
            _ => Ok(Self::Memory(vec![T::default(); len])),
        }
    }
    fn slice(&self) -> &[T] {
        match self {
            Self::Memory(v) => v,
            Self::File(m) => m.slice(),
        }
    }
    fn slice_mut(&mut self) -> &mut [T] {
        match self {
            Self::Memory(v) => v,
            Self::File(m) => m.slice_mut(),
        }
    }
}

enum Rows {
    F32(Store<f32>),
    F64(Store<f64>),
    Bf16(Store<u16>),
    /// On the device of the network, `[N, ..dims]`, where its budget has room.
    Device {
        rows: Tensor,
        _room: Reserved,
    },
}

/// The output of a prefix for every sample of a set.
pub struct Features {
    prefix: usize,
    dims: Vec<usize>,
    rows: Rows,
}

impl Features {
    /// Blocks that the features have been through.
    pub fn prefix(&self) -> usize {
        self.prefix
    }

    /// Shape of one sample's features.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Features of `indices`, `[n, ..dims]`, with dropout on the way if asked.
    pub fn gather(&self, indices: &[u32], drop: Drop, place: &Place) -> Result<Tensor> {
        let table = match &self.rows {
            Rows::F32(s) => Table::F32(s.slice()),
            Rows::F64(s) => Table::F64(s.slice()),
            Rows::Bf16(s) => Table::Bf16(s.slice()),
            Rows::Device { rows, .. } => {
                return on_device(
                    rows,
                    &Tensor::new(indices, rows.device())?,
                    drop,
                    place.dtype,
                );
            }
        };
        let rows = gather(table, indices, &self.dims, drop, &place.device)?;
        Ok(rows.to_dtype(place.dtype)?)
    }

    /// As [`Self::gather`] of `index`, `[n]` of `u32` on the device, where the
    /// features are there too: nothing is copied and nothing waits.
    pub fn gather_on_device(
        &self,
        index: &Tensor,
        drop: Drop,
        place: &Place,
    ) -> Option<Result<Tensor>> {
        match &self.rows {
            Rows::Device { rows, .. } => Some(on_device(rows, index, drop, place.dtype)),
            _ => None,
        }
    }

    fn empty(
        prefix: usize,
        dims: &[usize],
        n: usize,
        plan: &CachePlan,
        scratch: Option<&Path>,
        place: &Place,
    ) -> Result<Self> {
        let each: usize = dims.iter().product();
        let len = n.checked_mul(each).ok_or_else(|| {
            Error::usage(format!(
                "features of {n} samples of {dims:?} cannot be counted"
            ))
            .hint("set `cache = false` in the phase")
        })?;
        let limit = plan.memory_limit;
        let on_device = match plan.store {
            CachePrecision::Bf16 => DType::BF16,
            CachePrecision::Exact => place.dtype,
        };
        let room = place
            .budget
            .reserve((len as u64).saturating_mul(on_device.size_in_bytes() as u64));
        let rows = match (room, plan.store, place.dtype) {
            (Some(room), ..) => {
                let shape: Vec<usize> = std::iter::once(n).chain(dims.iter().copied()).collect();
                Rows::Device {
                    rows: Tensor::zeros(shape, on_device, &place.device)?,
                    _room: room,
                }
            }
            (None, CachePrecision::Bf16, DType::F32) => {
                Rows::Bf16(Store::new(len, limit, scratch)?)
            }
            (None, _, DType::F32) => Rows::F32(Store::new(len, limit, scratch)?),
            (None, _, DType::F64) => Rows::F64(Store::new(len, limit, scratch)?),
            (None, _, other) => {
                return Err(Error::internal(format!("features of type {other:?}")));
            }
        };
        Ok(Self {
            prefix,
            dims: dims.to_vec(),
            rows,
        })
    }

    /// Stores the features `y` of samples `start..`.
    fn put(&mut self, start: usize, y: &Tensor) -> Result<()> {
        let at = start * self.dims.iter().product::<usize>();
        if let Rows::Device { rows, .. } = &self.rows {
            let y = y.to_dtype(rows.dtype())?.contiguous()?;
            return Ok(rows.slice_set(&y, 0, start)?);
        }
        let y = &y.to_device(&Device::Cpu)?;
        match &mut self.rows {
            Rows::F32(s) => read::<f32, _>(y, |y| {
                s.slice_mut()[at..at + y.len()].copy_from_slice(y);
            }),
            Rows::F64(s) => read::<f64, _>(y, |y| {
                s.slice_mut()[at..at + y.len()].copy_from_slice(y);
            }),
            Rows::Bf16(s) => read::<f32, _>(y, |y| {
                let to = s.slice_mut()[at..at + y.len()].par_chunks_mut(1 << 14);
                to.zip(y.par_chunks(1 << 14)).for_each(|(to, y)| {
                    to.iter_mut().zip(y).for_each(|(t, y)| *t = to_bf16(*y));
                });
            }),
            Rows::Device { .. } => Err(Error::internal("features of the device on the CPU")),
        }
    }
}

/// Rows `index` of a table on the device, as `dtype`.
fn on_device(t: &Tensor, index: &Tensor, drop: Drop, dtype: DType) -> Result<Tensor> {
    let rows = gather_on_device(t, index, dtype)?;
    match drop {
        Some((p, key)) => crate::ops::dropout::dropout(&rows, p, key),
        None => Ok(rows),
    }
}

/// Cached features by data set; at most one table for each.
#[derive(Default)]
pub struct FeatureCache {
    tables: HashMap<String, Features>,
}

/// What features are wanted of.
pub struct Wanted<'a> {
    /// Name of the data set, the key under which they are kept.
    pub set: &'a str,
    /// Its samples.
    pub samples: &'a dyn Samples,
    /// Blocks of the frozen prefix.
    pub prefix: usize,
    /// Where and how precisely.
    pub plan: &'a CachePlan,
    /// Folder for tables past the limit.
    pub scratch: Option<&'a Path>,
    /// Where the network lives.
    pub place: &'a Place,
}

impl FeatureCache {
    /// Forgets what has been through a block that is about to change.
    pub fn block_changes(&mut self, first_active: usize) {
        self.tables.retain(|_, f| f.prefix <= first_active);
    }

    /// The features, computed now (from those of a shorter prefix, if kept)
    /// unless they are there. Leaves the network's mode alone: the prefix must
    /// be frozen in it.
    pub fn get(&mut self, network: &mut Network, wanted: &Wanted<'_>) -> Result<&Features> {
        let ready = matches!(self.tables.get(wanted.set), Some(f) if f.prefix == wanted.prefix);
        if !ready {
            let shorter = self.tables.remove(wanted.set);
            let shorter = shorter.filter(|f| f.prefix < wanted.prefix);
            let fresh = fill(network, wanted, shorter.as_ref())?;
            self.tables.insert(wanted.set.to_owned(), fresh);
        }
        self.tables
            .get(wanted.set)
            .ok_or_else(|| Error::internal("cached features vanished"))
    }

    /// What is kept of `set`, if it has been through exactly `prefix` blocks.
    pub fn peek(&self, set: &str, prefix: usize) -> Option<&Features> {
        self.tables.get(set).filter(|f| f.prefix == prefix)
    }
}

fn fill(network: &mut Network, wanted: &Wanted<'_>, from: Option<&Features>) -> Result<Features> {
    let (place, n) = (wanted.place, wanted.samples.len());
    let mut out: Option<Features> = None;
    for start in (0..n).step_by(FILL_BATCH) {
        place.go_on()?;
        let indices: Vec<u32> = (start as u32..(start + FILL_BATCH).min(n) as u32).collect();
        let (x, first) = match from {
            Some(f) => (f.gather(&indices, None, place)?, f.prefix),
            None => {
                let x = wanted.samples.read(&indices)?.x;
                (x.to_device(&place.device)?.to_dtype(place.dtype)?, 0)
            }
        };
        let y = network.forward(&mut Pass::inference(), &x, first..wanted.prefix)?;
        let table = match &mut out {
            Some(table) => table,
            None => {
                let dims = &y.dims()[1..];
                let (plan, scratch) = (wanted.plan, wanted.scratch);
                out.insert(Features::empty(
                    wanted.prefix,
                    dims,
                    n,
                    plan,
                    scratch,
                    place,
                )?)
            }
        };
        table.put(start, &y)?;
    }
    out.ok_or_else(|| Error::data("a data set without samples"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::budget::Budget;

    fn features(budget: u64, store: CachePrecision, dtype: DType) -> (Features, Place) {
        let place = Place {
            device: Device::Cpu,
            dtype,
            budget: Budget::bytes(budget),
            stop: Default::default(),
        };
        let plan = CachePlan {
            enabled: true,
            memory_limit: u64::MAX,
            store,
        };
        let features = Features::empty(1, &[3, 2], 10, &plan, None, &place).expect("room");
        (features, place)
    }

    #[test]
    fn features_on_the_device_are_those_in_memory() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i).sin()).collect();
        let y = Tensor::from_vec(values, (10, 3, 2), &Device::Cpu).expect("rows");
        for (store, dtype) in [
            (CachePrecision::Exact, DType::F64),
            (CachePrecision::Exact, DType::F32),
            (CachePrecision::Bf16, DType::F32),
        ] {
            let y = y.to_dtype(dtype).expect("float");
            let (mut near, place) = features(u64::MAX, store, dtype);
            let (mut far, _) = features(0, store, dtype);
            for table in [&mut near, &mut far] {
                for start in [0, 4] {
                    let part = y.narrow(0, start, 6).expect("some rows");
                    table.put(start, &part).expect("stored");
                }
            }
            let picks = [9u32, 0, 4, 4];
            let index = Tensor::new(&picks, &Device::Cpu).expect("index");
            for drop in [None, Some((0.5, 7))] {
                let want = far.gather(&picks, drop, &place).expect("rows");
                let direct = near.gather_on_device(&index, drop, &place);
                let all = [
                    near.gather(&picks, drop, &place).expect("rows"),
                    direct.expect("on the device").expect("rows"),
                ];
                let bits = |t: &Tensor| -> Vec<u64> {
                    let t = t.to_dtype(DType::F64).and_then(|t| t.flatten_all());
                    let values = t.and_then(|t| t.to_vec1::<f64>()).expect("numbers");
                    values.into_iter().map(f64::to_bits).collect()
                };
                for got in all {
                    assert_eq!((got.dims(), got.dtype()), (want.dims(), dtype));
                    assert_eq!(bits(&got), bits(&want));
                }
                assert!(far.gather_on_device(&index, drop, &place).is_none());
            }
        }
    }

    #[test]
    fn what_does_not_fit_on_the_device_goes_to_memory() {
        let bytes = 10 * 6 * 4;
        for (budget, fits) in [(bytes, true), (bytes - 1, false)] {
            let (table, place) = features(budget, CachePrecision::Exact, DType::F32);
            assert_eq!(matches!(table.rows, Rows::Device { .. }), fits);
            drop(table);
            assert!(place.budget.reserve(budget).is_some(), "given back");
        }
    }
}
