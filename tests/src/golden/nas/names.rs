//! Canonical names of the golden files for the tensors of our networks, and networks whose tensors
//! are the recipe's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use biorule::config::BlockPlan;
use biorule::nn::build::Placement;
use biorule::nn::{InputShape, Network};
use biorule::search::space::Primitive;
use candle_core::{DType, Tensor};

use super::recipe::{self, Kind};
use crate::Result;
use crate::feedback::record::{Drawn, Recorder, Tape, locked};
use crate::plugins::registry;

/// Names in a network whose mixed edges have these candidates, all behind one prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// In front of every canonical name.
    pub prefix: String,
    /// What `edgeE-PRIMITIVE` in a block's name stands for: their positions.
    pub candidates: Vec<Primitive>,
}

impl Names {
    /// What is in front of the last part of a block's name, as the golden files write it, and that
    /// part: `cell0.edge3.op5` and `conv1`.
    fn place<'a>(&self, block: &'a str) -> (String, &'a str) {
        let Some((front, last)) = block.rsplit_once('-') else {
            return (self.prefix.clone(), block);
        };
        let mut front = front.to_owned();
        for (position, candidate) in self.candidates.iter().enumerate() {
            let written = candidate.to_string().replace(['@', '/'], "-");
            if let Some(edge) = front.strip_suffix(&format!("-{written}"))
                && edge.contains("-edge")
            {
                front = format!("{edge}-op{position}");
                break;
            }
        }
        (format!("{}{}", self.prefix, front.replace('-', ".")), last)
    }

    /// The layer of the block `block`.
    pub(super) fn layer(&self, block: &str) -> String {
        let (front, last) = self.place(block);
        match front.is_empty() || front.ends_with('.') {
            true => format!("{front}{last}"),
            false => format!("{front}.{last}"),
        }
    }

    /// Kind and canonical name of the tensor with this full name; none of running statistics.
    pub(super) fn of(&self, full: &str) -> Option<(Kind, String)> {
        let mut parts = full.rsplit('.');
        let (tensor, module, block) = (parts.next()?, parts.next()?, parts.next()?);
        if module == "layer" {
            let layer = self.layer(block);
            return match tensor {
                "weight" => Some((Kind::Weight, format!("{layer}.weight"))),
                "bias" => Some((Kind::Bias, format!("{layer}.bias"))),
                "feedback" | "magnitude" => Some((Kind::Weight, format!("{layer}.feedback"))),
                _ => None,
            };
        }
        let (front, last) = self.place(block);
        let conv = last.strip_prefix("conv").and_then(|k| k.parse().ok());
        // Inside cells norms are counted by themselves, elsewhere with all modules.
        let number: usize = match (front.contains("cell"), conv) {
            (true, Some(3)) => 1,
            (true, _) => 0,
            (false, conv) => conv? + 1,
        };
        match tensor {
            "weight" => Some((Kind::Gain, format!("{front}.bn{number}.gamma"))),
            "bias" => Some((Kind::Shift, format!("{front}.bn{number}.beta"))),
            _ => None,
        }
    }

    /// The number of the candidate and the edge and cell of a canonical name.
    pub(super) fn edge(name: &str) -> Option<[usize; 3]> {
        let mut parts = name.split('.');
        let mut number = |word: &str| parts.next()?.strip_prefix(word)?.parse().ok();
        Some([number("cell")?, number("edge")?, number("op")?])
    }

    /// A network of `blocks` whose tensors are the recipe's, but for those that `stored` has, and
    /// whose rules draw the recipe's magnitudes in each pass.
    pub(super) fn network(
        &self,
        blocks: &[BlockPlan],
        dims: &[usize],
        dtype: DType,
        stored: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<Network> {
        Ok(self.recorded(blocks, dims, dtype, stored)?.0)
    }

    /// [`Names::network`], and what is heard of its layers.
    pub(super) fn recorded(
        &self,
        blocks: &[BlockPlan],
        dims: &[usize],
        dtype: DType,
        stored: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<(Network, Arc<Mutex<Tape>>)> {
        let recorder = Recorder::new(registry());
        let names = self.clone();
        let drawn: Drawn = Arc::new(move |block, name, pass, like| {
            let name = match name {
                "magnitude" => format!("{}.feedback.draw{pass}", names.layer(block)),
                _ => return None,
            };
            let drawn = recipe::tensor(Kind::Weight, &name, like.dims()).ok()?;
            drawn.to_dtype(like.dtype()).ok()
        });
        locked(&recorder.tape()).drawn = Some(drawn);
        let input = InputShape {
            dims: dims.to_vec(),
            outputs: 10,
        };
        let place = Placement {
            device: crate::device(),
            dtype,
            seed: 1,
        };
        let mut network = Network::build(blocks, &input, &recorder, &place)?;
        let mut all = BTreeMap::new();
        for slot in network.tensors() {
            let value = match self.of(&slot.name) {
                Some((kind, name)) => match stored(&name) {
                    Some(value) => value,
                    None => recipe::tensor(kind, &name, slot.tensor.dims())?,
                },
                // Running statistics start at 0 and 1.
                None => slot.tensor.copy()?,
            };
            all.insert(slot.name.clone(), value);
        }
        network.load(&|name| all.get(name).cloned())?;
        Ok((network, recorder.tape()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use biorule::search::space::sets;

    #[test]
    fn names_are_those_of_the_golden_files() {
        let names = Names {
            prefix: String::new(),
            candidates: sets::named("bionas22").expect("a space").candidates,
        };
        let canonical = |full: &str| names.of(full).map(|(_, name)| name);
        for (full, name) in [
            ("blocks.stem-conv0.layer.weight", "stem.conv0.weight"),
            ("blocks.stem-conv0.norm_inner.bias", "stem.bn1.beta"),
            ("a.stem0-conv3.norm_inner.weight", "stem0.bn4.gamma"),
            ("a.stem1-conv1.layer.weight", "stem1.conv1.weight"),
            ("a.cell1-pre0-conv1.layer.weight", "cell1.pre0.conv1.weight"),
            (
                "a.cell1-pre0-grids.norm_after.weight",
                "cell1.pre0.bn0.gamma",
            ),
            (
                "a.cell2-edge13-sep_conv_5x5-feedback-alignment-brsf-conv3.layer.weight",
                "cell2.edge13.op11.conv3.weight",
            ),
            (
                "a.cell1-edge0-skip_connect-feedback-alignment-frsf-conv1.layer.weight",
                "cell1.edge0.op4.conv1.weight",
            ),
            ("a.cell0-op7-conv3.norm_after.bias", "cell0.op7.bn1.beta"),
            ("a.cell0-op7-conv1.norm_inner.bias", "cell0.op7.bn0.beta"),
            ("a.aux-conv5.norm_inner.weight", "aux.bn6.gamma"),
            ("a.aux-classifier.layer.bias", "aux.classifier.bias"),
            ("blocks.classifier.layer.weight", "classifier.weight"),
        ] {
            assert_eq!(canonical(full).as_deref(), Some(name), "{full}");
        }
        assert_eq!(canonical("a.stem-conv0.norm_inner.running_mean"), None);
        let edge = Names::edge("cell2.edge13.op11.conv3.weight");
        assert_eq!(edge, Some([2, 13, 11]));
    }
}
