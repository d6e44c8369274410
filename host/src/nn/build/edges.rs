//! What stands on the edges of graphs, and auxiliary heads.

use super::{Builder, Ends, boxed};
use crate::nn::drop_path::DropPath;
use crate::nn::mixed::{Candidate, Mixed};
use crate::nn::module::Module;
use crate::nn::outline::PartKind;
use crate::nn::partial::Partial;
use crate::nn::side::SideHead;
use crate::plan::{EdgePlan, MixedPlan, SidePlan};
use crate::{Error, Result};

impl Builder<'_> {
    /// An auxiliary head on a value of shape `dims`.
    pub(super) fn side(
        &mut self,
        prefix: &str,
        block: &str,
        plan: &SidePlan,
        dims: &[usize],
        first: bool,
    ) -> Result<SideHead> {
        // Seeds follow names, so that a head changes nothing of the network.
        let in_graph = std::mem::replace(&mut self.in_graph, true);
        let mut dims = dims.to_vec();
        let ends = Ends { first, last: true };
        let blocks = self.blocks(&format!("{prefix}.side"), &plan.blocks, &mut dims, ends)?;
        self.in_graph = in_graph;
        let outputs: usize = dims.iter().product();
        if outputs != self.outputs {
            return Err(Error::usage(format!(
                "the auxiliary head has {outputs} outputs, the network {}",
                self.outputs
            ))
            .hint("end the head in a dense layer with `out = \"classes\"`"));
        }
        Ok(SideHead::new(block, plan.weight, boxed(blocks)))
    }

    /// What stands on an edge whose input has the shape `dims`.
    pub(super) fn edge(
        &mut self,
        prefix: &str,
        plan: &EdgePlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Vec<Box<dyn Module>>> {
        let whole = dims.clone();
        if plan.partial > 1 {
            dims[0] /= plan.partial;
        }
        let in_mixed = plan.mixed.iter().flat_map(|m| &m.candidates);
        let in_mixed = in_mixed.flat_map(|c| &c.blocks).any(|b| b.layers() > 0);
        let own = Ends {
            last: ends.last && !in_mixed,
            ..ends
        };
        let mut modules = boxed(self.blocks(prefix, &plan.blocks, dims, own)?);
        if let Some(mixed) = &plan.mixed {
            let first = ends.first && !plan.blocks.iter().any(|b| b.layers() > 0);
            let mixed = self.mixed(prefix, mixed, dims, Ends { first, ..ends })?;
            modules.push(Box::new(mixed));
        }
        if plan.partial > 1 {
            let halve = dims[1..] != whole[1..];
            modules = vec![Box::new(Partial {
                parts: plan.partial,
                modules,
                halve,
            })];
            dims[0] += whole[0] - whole[0] / plan.partial;
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        if let Some(at) = &plan.weight {
            let only = Candidate::new("edge", modules);
            let place = (at.table.as_str(), at.row);
            modules = vec![Box::new(Mixed::new(place, vec![only], dims.clone(), false))];
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        if let Some(drop) = plan.drop_path {
            let label = plan.blocks.first().map_or("", |b| b.name.as_str());
            let name = format!("{prefix}.{}.{label}", plan.source);
            modules.push(Box::new(DropPath::new(&name, drop)));
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        Ok(modules)
    }

    /// The weighted sum of candidates on an input of shape `dims`.
    fn mixed(
        &mut self,
        prefix: &str,
        plan: &MixedPlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Mixed> {
        let input = dims.clone();
        let repeated = self.repeated;
        self.repeated |= plan.recompute;
        let mut candidates = Vec::with_capacity(plan.candidates.len());
        for candidate in &plan.candidates {
            dims.clone_from(&input);
            let blocks = self.blocks(prefix, &candidate.blocks, dims, ends);
            let blocks =
                blocks.map_err(|e| e.within(format_args!("candidate `{}`", candidate.name)))?;
            candidates.push(Candidate::new(&candidate.name, boxed(blocks)));
        }
        self.repeated = repeated;
        let place = (plan.table.as_str(), plan.row);
        Ok(Mixed::new(place, candidates, dims.clone(), plan.recompute))
    }
}
