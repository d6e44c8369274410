//! Initial weights from another run or file: by block and tensor name, before the first step.
//! Weights, the state of rules and running statistics are taken; an optimiser starts anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use candle_core::Tensor;
use serde::Serialize;

use super::names::{self, Names};
use crate::nn::rule::Role;
use crate::nn::{NamedTensor, Network};
use crate::ops::shape::copy_in_place;
use crate::plan::{BlockPlan, InitPlan};
use crate::text::nearest;
use crate::{Error, Result};

/// What was taken from a file, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Initial {
    /// The file.
    pub file: PathBuf,
    /// Tensors of the network that have the file's values.
    pub taken: Vec<String>,
    /// Tensors of the network that keep their own initial values, each with the reason.
    pub new: BTreeMap<String, String>,
    /// Tensors of the file that the network does not take.
    pub left: Vec<String>,
}

impl Initial {
    /// For people: a line for what was taken, one for each reason why not, one for what is left.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("initial weights from `{}`", self.file.display())];
        lines.push(format!("  taken: {}", by_block(self.taken.iter())));
        let reasons: BTreeSet<&String> = self.new.values().collect();
        for why in reasons {
            let of = self
                .new
                .iter()
                .filter(|(_, w)| *w == why)
                .map(|(name, _)| name);
            lines.push(format!("  new: {} ({why})", by_block(of)));
        }
        if !self.left.is_empty() {
            lines.push(format!(
                "  left in the file: {}",
                by_block(self.left.iter())
            ));
        }
        lines
    }
}

/// `conv1 (3 tensors), readout (2 tensors)`.
fn by_block<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in names {
        let block = block_of(name);
        match counts.last_mut() {
            Some((last, n)) if *last == block => *n += 1,
            _ => counts.push((block, 1)),
        }
    }
    let word = |(block, n): &(&str, usize)| match n {
        1 => format!("`{block}` (1 tensor)"),
        n => format!("`{block}` ({n} tensors)"),
    };
    counts.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The block that the tensor `name` belongs to.
fn block_of(name: &str) -> &str {
    let inner = name.strip_prefix("blocks.").unwrap_or(name);
    inner.split('.').next().unwrap_or(inner)
}

/// Puts the values that `plan` names, read from `file`, into `network`, built from `blocks`.
///
/// # Errors
/// Usage error for a file that is not there or holds no tensors, a block that is not in it, or
/// shapes that do not fit; nothing has been changed then.
pub fn apply(
    network: &Network,
    blocks: &[BlockPlan],
    plan: &InitPlan,
    (file, read): (PathBuf, HashMap<String, Tensor>),
) -> Result<Initial> {
    let found = Matching {
        file: &read,
        blocks,
        plan,
    }
    .all(&network.tensors())?;
    let mut report = Initial {
        file,
        new: found.new,
        ..Initial::default()
    };
    let mut used = BTreeSet::new();
    for (slot, source) in &found.taken {
        let value = read[source].to_dtype(slot.tensor.dtype())?;
        copy_in_place(&slot.tensor, &value)?;
        report.taken.push(slot.name.to_string());
        used.insert(source);
    }
    let of_network = |name: &&String| {
        !["optimizer.", "baselines."]
            .iter()
            .any(|p| name.starts_with(p))
    };
    let left = read
        .keys()
        .filter(of_network)
        .filter(|name| !used.contains(name));
    report.left = left.cloned().collect();
    report.left.sort();
    Ok(report)
}

/// Which tensor of the file belongs to which of the network.
struct Matching<'a> {
    file: &'a HashMap<String, Tensor>,
    blocks: &'a [BlockPlan],
    plan: &'a InitPlan,
}

#[derive(Default)]
struct Matched {
    taken: Vec<(NamedTensor, String)>,
    new: BTreeMap<String, String>,
}

impl Matching<'_> {
    fn all(&self, tensors: &[NamedTensor]) -> Result<Matched> {
        let mut out = Matched::default();
        for block in self.blocks {
            let own: Vec<&NamedTensor> = tensors
                .iter()
                .filter(|t| block_of(&t.name) == block.name)
                .collect();
            self.block(block, &own, &mut out)?;
        }
        if out.taken.is_empty() {
            let file = self.plan.from.display();
            let text = format!("`init_from`: `{file}` has no tensor of this network");
            return Err(Error::usage(text).hint(format!(
                "it has {}; `init_blocks = {{ NAME = \"name in the file\" }}` takes blocks of another name",
                self.names()
            )));
        }
        Ok(out)
    }

    fn block(&self, block: &BlockPlan, own: &[&NamedTensor], out: &mut Matched) -> Result<()> {
        let source = match &self.plan.blocks {
            None => &block.name,
            Some(wanted) => match wanted.get(&block.name) {
                Some(source) => source,
                None => {
                    let why = "not in `init_blocks`";
                    let all = own.iter().map(|t| (t.name.to_string(), why.to_owned()));
                    out.new.extend(all);
                    return Ok(());
                }
            },
        };
        let found: Vec<(&NamedTensor, Option<String>)> = own
            .iter()
            .map(|t| (*t, self.find(&t.name, &block.name, source)))
            .collect();
        let explicit = self.plan.blocks.is_some();
        if explicit && !own.is_empty() && found.iter().all(|(_, name)| name.is_none()) {
            return Err(self.no_block(&block.name, source));
        }
        // Another number of classes is another read-out; the whole block is new then.
        let other_readout = !explicit
            && self.is_readout(block)
            && found
                .iter()
                .find_map(|(t, name)| self.mismatch(t, name.as_ref()?))
                .is_some();
        for (tensor, name) in found {
            let own_name = tensor.name.to_string();
            let Some(name) = name else {
                out.new.insert(own_name, "not in the file".to_owned());
                continue;
            };
            let feedback = matches!(tensor.role, Role::FixedFeedback | Role::LearnedFeedback);
            match self.mismatch(tensor, &name) {
                None if other_readout => {
                    let why = "another read-out in the file".to_owned();
                    out.new.insert(own_name, why);
                }
                None => out.taken.push((tensor.clone(), name)),
                // Feedback from the output has the number of classes in its shape.
                Some(why) if other_readout || (feedback && !explicit) => {
                    out.new.insert(own_name, why);
                }
                Some(why) => {
                    let text = format!("`init_from`: `{own_name}` does not fit: {why}");
                    return Err(Error::usage(text).hint(
                        "`init_blocks = [...]` takes over only the blocks named; the others are new",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The name in the file for the tensor `name` of `block`, which is called `source` there. Files
    /// of other programs have neither `blocks.` nor `layer.` in their names.
    fn find(&self, name: &str, block: &str, source: &str) -> Option<String> {
        let part = name
            .strip_prefix("blocks.")?
            .strip_prefix(block)?
            .strip_prefix('.')?;
        let plain = part.strip_prefix("layer.").unwrap_or(part);
        let own = [
            format!("blocks.{source}.{part}"),
            format!("{source}.{part}"),
            format!("{source}.{plain}"),
        ];
        // Under the names that PyTorch's networks and SoftHebb's files have.
        let blocks: Vec<&str> = self.blocks.iter().map(|b| b.name.as_str()).collect();
        let foreign = [Names::Pytorch, Names::Softhebb].map(|names| match self.plan.blocks {
            None => names::foreign(name, names, &blocks),
            Some(_) => None,
        });
        let all = own.into_iter().chain(foreign.into_iter().flatten());
        all.into_iter().find(|name| self.file.contains_key(name))
    }

    fn mismatch(&self, tensor: &NamedTensor, name: &str) -> Option<String> {
        let (here, there) = (tensor.tensor.dims(), self.file[name].dims());
        (here != there).then(|| format!("shape {here:?} here, {there:?} in the file"))
    }

    /// Whether `block` has the last layer of the network.
    fn is_readout(&self, block: &BlockPlan) -> bool {
        let last = self
            .blocks
            .iter()
            .rfind(|b| b.layer.is_some() || b.residual.is_some());
        last.is_some_and(|last| last.name == block.name)
    }

    fn no_block(&self, block: &str, source: &str) -> Error {
        let file = self.plan.from.display();
        let text =
            format!("`init_blocks`: `{file}` has nothing for block `{block}` under `{source}`");
        let names: BTreeSet<&str> = self.file.keys().map(|name| block_of(name)).collect();
        Error::usage(text).hint(match nearest(source, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", self.names()),
        })
    }

    /// The blocks of the file, as people name them.
    fn names(&self) -> String {
        let names: BTreeSet<&str> = self.file.keys().map(|name| block_of(name)).collect();
        let names: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
        names.join(", ")
    }
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
