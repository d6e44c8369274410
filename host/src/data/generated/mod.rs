//! Sets made by seeded generators: pictures whose right answer is known (bars,
//! Gabor patches) and regression tasks (teacher, sine). Options come from
//! `[data.options]`; sample i of a part depends only on the seed and i.

mod bars;
mod gabor;
mod regression;

use serde::de::DeserializeOwned;

pub(crate) use bars::BARS;
pub(crate) use gabor::GABOR;
pub(crate) use regression::{SINE, TEACHER};

use super::dataset::Split;
use super::random::Purpose;
use super::set::{Layout, SetInfo, Source};
use crate::device::memory;
use crate::{Error, Result};

/// What the entries have in common.
const GENERATED: SetInfo = SetInfo::without_files(Layout::InMemory, "generated");

/// Reads `[data.options]` into the set's own struct.
fn options<T: DeserializeOwned>(source: &Source<'_>) -> Result<T> {
    T::deserialize(source.options.clone()).map_err(|e| {
        let known = source
            .set
            .settings
            .iter()
            .map(|s| format!("`{}`", s.key))
            .collect::<Vec<_>>()
            .join(", ");
        Error::usage(format!(
            "`data.options` of `{}`: {}",
            source.set.name,
            e.message()
        ))
        .hint(format!("known options: {known}"))
    })
}

/// The random stream of the samples of a part, and how many there are. Each takes `bytes`, its
/// answers included; what there is no room for is refused before it is drawn.
fn part(
    source: &Source<'_>,
    split: Split,
    (train, test): (usize, usize),
    bytes: usize,
) -> Result<(Purpose, usize)> {
    let (purpose, count) = match split {
        Split::Train => (Purpose::Train, train),
        Split::Test => (Purpose::Test, test),
    };
    let set = source.set.name;
    let key = format!("`data.options.{split}` of `{set}`");
    // Samples are numbered in 32 bits.
    if u32::try_from(count).is_err() {
        return Err(Error::usage(format!(
            "{key} is {count}, expected at most {}",
            u32::MAX
        )));
    }
    let all = (count as u128).saturating_mul(bytes as u128);
    memory::require(all, &format!("{key} = {count}"))?;
    Ok((purpose, count))
}

/// Refuses an option outside its range.
fn check(ok: bool, source: &Source<'_>, what: &str) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(Error::usage(format!(
            "`data.options` of `{}`: {what}",
            source.set.name
        )))
    }
}
