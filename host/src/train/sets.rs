//! The data of a run, each set where its batches are made fastest: on the GPU
//! where the run is there and its memory has room, else as it was given.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::Result;
use crate::data::feed::{self, Samples, TrainData};
use crate::device::Place;

/// A set as given, or a copy on the device.
pub(super) enum Set<'a> {
    Given(&'a (dyn Samples + 'static)),
    Resident(Box<dyn Samples>),
}

impl<'a> Set<'a> {
    fn new(given: &'a (dyn Samples + 'static), place: &Place) -> Result<Self> {
        Ok(match given.resident(place)? {
            Some(resident) => Self::Resident(resident),
            None => Self::Given(given),
        })
    }
}

impl Deref for Set<'_> {
    type Target = dyn Samples;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Given(given) => *given,
            Self::Resident(resident) => &**resident,
        }
    }
}

/// See [`TrainData`].
pub(super) struct Sets<'a> {
    pub(super) train: Set<'a>,
    pub(super) validation: Option<Set<'a>>,
    pub(super) test: Set<'a>,
    /// Parts of the training samples, and further sets.
    others: BTreeMap<&'a str, Set<'a>>,
}

impl<'a> Sets<'a> {
    /// Training samples come first, as they are asked for most often.
    ///
    /// # Errors
    /// The device refuses.
    pub(super) fn new(data: &'a TrainData, place: &Place) -> Result<Self> {
        let train = Set::new(&*data.train, place)?;
        let others = data.parts.iter().chain(&data.extra);
        let others = others
            .map(|(name, set)| -> Result<_> { Ok((name.as_str(), Set::new(&**set, place)?)) });
        Ok(Self {
            train,
            others: others.collect::<Result<_>>()?,
            validation: match &data.validation {
                Some(set) => Some(Set::new(&**set, place)?),
                None => None,
            },
            test: Set::new(&*data.test, place)?,
        })
    }

    /// Every set as it was given: for a single look at the samples.
    pub(super) fn given(data: &'a TrainData) -> Self {
        let others = data.parts.iter().chain(&data.extra);
        Self {
            train: Set::Given(&*data.train),
            validation: data.validation.as_deref().map(Set::Given),
            test: Set::Given(&*data.test),
            others: others
                .map(|(name, set)| (name.as_str(), Set::Given(&**set)))
                .collect(),
        }
    }

    /// The set that a phase calls `name`.
    ///
    /// # Errors
    /// A usage error for an unknown name.
    pub(super) fn get(&self, name: &str) -> Result<&dyn Samples> {
        if name == "train" {
            return Ok(&*self.train);
        }
        let found = self.others.get(name).map(|s| &**s);
        found.ok_or_else(|| feed::unknown(name))
    }

    /// What is evaluated between epochs: validation where there is one, or test.
    pub(super) fn held_out(&self) -> (&'static str, &dyn Samples) {
        match &self.validation {
            Some(validation) => ("validation", &**validation),
            None => ("test", &*self.test),
        }
    }
}
