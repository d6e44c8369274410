//! From a plan to a network: shapes propagated block by block, rules bound,
//! state initialised. All shape errors surface here, before anything runs.

mod edges;

use std::collections::HashSet;

use candle_core::{DType, Device};

use super::activation::Activation;
use super::block::Block;
use super::dropout::Dropout;
use super::graph::{Edge, Graph, Node, SubsamplePad};
use super::layer::RuleLayer;
use super::module::Module;
use super::network::Network;
use super::norm::BatchNorm;
use super::outline::{Outline, Part, PartKind, elements};
use super::pool::Pool;
use super::rule::{Credit, LayerShape, Role, RuleSource, StateOutline};
use super::transform::{DivideByMax, Flatten, UnitLength, transform};
use crate::ops::LayerMap;
use crate::ops::dropout::{mix, words};
use crate::plan::shapes::INPUT;
use crate::plan::{
    BlockPlan, EdgePlan, GraphPlan, Join, LayerPlan, NodePlan, NormPlan, PoolPlan, ResidualPlan,
    Shortcut,
};
use crate::{Error, Result};

/// What enters a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// `[C, H, W]` or `[D]`.
    pub dims: Vec<usize>,
    /// Classes, or width of the target.
    pub outputs: usize,
}

/// Where and in what arithmetic a network lives, and its seed.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Device of every tensor.
    pub device: Device,
    /// `f32` or `f64`.
    pub dtype: DType,
    /// Seed of the initial state.
    pub seed: u64,
}

impl Network {
    /// Builds the network that `blocks` describe.
    ///
    /// # Errors
    /// Shapes that do not fit, duplicate names, unknown rules: usage and plugin
    /// errors that name the block.
    pub fn build(
        blocks: &[BlockPlan],
        input: &InputShape,
        rules: &dyn RuleSource,
        place: &Placement,
    ) -> Result<Self> {
        let mut builder = Builder::new(input, rules, place);
        let mut dims = input.dims.clone();
        let built = builder.blocks("blocks", blocks, &mut dims, Ends::BOTH)?;
        let outputs = match dims[..] {
            [n] => n,
            _ => dims.iter().product(),
        };
        Ok(Network::new(built, outputs))
    }
}

/// Where a list of blocks stands between the input and the output of the network.
#[derive(Clone, Copy)]
struct Ends {
    /// No rule layer stands below.
    first: bool,
    /// No rule layer stands above.
    last: bool,
}

impl Ends {
    /// Of the whole network.
    const BOTH: Self = Self {
        first: true,
        last: true,
    };
}

pub(super) struct Builder<'a> {
    outputs: usize,
    rules: &'a dyn RuleSource,
    place: &'a Placement,
    layers: usize,
    /// Layers in chains so far: what their seeds follow.
    positions: u64,
    /// A normalisation stands in front of the layer being built.
    normalised: bool,
    dropouts: u64,
    /// Inside a graph, seeds follow names: one more edge changes no other edge's draws. In a chain
    /// they follow the position.
    in_graph: bool,
    names: HashSet<String>,
    /// Where only an outline is wanted: what was seen so far. No tensor is made then.
    outline: Option<Outline>,
    /// What is built now is run again in the backward pass, and keeps nothing until then.
    repeated: bool,
    /// Names of the blocks around, outermost first, and the position of the outermost.
    around: Vec<String>,
    block: usize,
}

impl<'a> Builder<'a> {
    fn new(input: &InputShape, rules: &'a dyn RuleSource, place: &'a Placement) -> Self {
        Self {
            outputs: input.outputs,
            rules,
            place,
            layers: 0,
            positions: 0,
            normalised: false,
            dropouts: 0,
            in_graph: false,
            names: HashSet::new(),
            outline: None,
            repeated: false,
            around: Vec::new(),
            block: 0,
        }
    }

    /// See [`Outline::of`].
    pub(super) fn outline(
        blocks: &[BlockPlan],
        input: &InputShape,
        rules: &dyn RuleSource,
        dtype: DType,
    ) -> Result<Outline> {
        let place = Placement {
            device: Device::Cpu,
            dtype,
            seed: 0,
        };
        let mut builder = Builder::new(input, rules, &place);
        builder.outline = Some(Outline::default());
        builder.blocks("blocks", blocks, &mut input.dims.clone(), Ends::BOTH)?;
        Ok(builder.outline.unwrap_or_default())
    }
}

impl Builder<'_> {
    /// Notes a module whose output has the shape `dims`, where an outline is wanted.
    fn note(&mut self, kind: PartKind, dims: &[usize], state: Vec<StateOutline>, least: usize) {
        if let Some(outline) = &mut self.outline {
            outline.parts.push(Part {
                block: self.block,
                names: self.around.clone(),
                kind,
                output: dims.to_vec(),
                state,
                least_batch: least,
                copy: 0,
                repeated: self.repeated,
            });
        }
    }

    fn blocks(
        &mut self,
        prefix: &str,
        plans: &[BlockPlan],
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Vec<Block>> {
        let outermost = self.around.is_empty();
        let mut above: usize = plans.iter().map(BlockPlan::layers).sum();
        let mut first = ends.first;
        let mut blocks = Vec::with_capacity(plans.len());
        for (i, plan) in plans.iter().enumerate() {
            if outermost {
                self.block = i;
            }
            if !self.names.insert(plan.name.clone()) {
                return Err(Error::usage(format!(
                    "two blocks are named `{}`",
                    plan.name
                )));
            }
            above -= plan.layers();
            let ends = Ends {
                first,
                last: ends.last && above == 0,
            };
            self.around.push(plan.name.clone());
            let block = self.block(&format!("{prefix}.{}", plan.name), plan, dims, ends);
            self.around.pop();
            blocks.push(block.map_err(|e| e.within(format_args!("block `{}`", plan.name)))?);
            first &= plan.layers() == 0;
        }
        Ok(blocks)
    }

    /// Seed of what is drawn for `name`, the `position`-th of its kind in a chain.
    fn seed(&self, name: &str, position: u64) -> u64 {
        match self.in_graph {
            false => mix(&[self.place.seed, position]),
            true => mix(&[&[self.place.seed], words(name).as_slice()].concat()),
        }
    }

    fn block(
        &mut self,
        prefix: &str,
        plan: &BlockPlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Block> {
        let mut modules: Vec<Box<dyn Module>> = Vec::new();
        let repeated = self.repeated;
        self.repeated |= plan.recompute;
        self.norm(&mut modules, prefix, "norm", plan.norm.as_ref(), dims)?;
        if plan.flatten {
            modules.push(Box::new(Flatten));
            *dims = vec![dims.iter().product()];
        }
        if plan.divide_by_max {
            modules.push(Box::new(DivideByMax));
        }
        if plan.unit_length {
            modules.push(Box::new(UnitLength));
        }
        if plan.dropout > 0.0 {
            if plan.dropout >= 1.0 {
                return Err(Error::usage(format!(
                    "dropout {} is not below 1",
                    plan.dropout
                )));
            }
            let key = match self.in_graph {
                false => self.dropouts,
                true => mix(&words(prefix)),
            };
            modules.push(Box::new(Dropout::new(plan.dropout, key)));
            self.dropouts += u64::from(!self.in_graph);
        }
        self.normalised = plan.norm.is_some();
        if let Some(layer) = &plan.layer {
            modules.extend(self.layer(prefix, &plan.name, layer, dims, ends)?);
        }
        if let Some(residual) = &plan.residual {
            modules.push(Box::new(self.residual(prefix, residual, dims, ends)?));
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        if let Some(graph) = &plan.graph {
            modules.push(Box::new(self.graph(prefix, graph, dims, ends)?));
        }
        if let Some(plan) = &plan.transform {
            modules.push(transform(*plan, dims)?);
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        self.norm(
            &mut modules,
            prefix,
            "norm_inner",
            plan.norm_inner.as_ref(),
            dims,
        )?;
        if let Some(activation) = &plan.activation {
            modules.push(Box::new(Activation(activation.clone())));
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        self.norm(
            &mut modules,
            prefix,
            "norm_after",
            plan.norm_after.as_ref(),
            dims,
        )?;
        if let Some(pool) = &plan.pool {
            modules.push(pool_module(pool, dims)?);
            self.note(PartKind::Transform, dims, Vec::new(), 1);
        }
        if let Some(side) = &plan.side {
            let first = ends.first && plan.layers() == 0;
            modules.push(Box::new(self.side(prefix, &plan.name, side, dims, first)?));
        }
        self.repeated = repeated;
        Ok(Block::new(&plan.name, modules).recomputed(plan.recompute))
    }

    /// A residual block as a graph: one node, the sum of the inner path and the shortcut.
    fn residual(
        &mut self,
        prefix: &str,
        plan: &ResidualPlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Graph> {
        let before = dims.clone();
        let inner = self.blocks(&format!("{prefix}.inner"), &plan.blocks, dims, ends)?;
        check_shortcut(plan.shortcut, &before, dims)?;
        let width = dims[0];
        let shortcut: Vec<Box<dyn Module>> = match plan.shortcut {
            Shortcut::Identity => Vec::new(),
            Shortcut::SubsamplePad => vec![Box::new(SubsamplePad { channels: width })],
        };
        let edge = |modules| Edge {
            from: 0,
            modules,
            width,
        };
        Graph::new(vec![Node {
            join: Join::Sum,
            edges: vec![edge(boxed(inner)), edge(shortcut)],
        }])
    }

    fn graph(
        &mut self,
        prefix: &str,
        plan: &GraphPlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Graph> {
        let in_chain = !std::mem::replace(&mut self.in_graph, true);
        let mut values = vec![Value {
            name: INPUT,
            dims: dims.clone(),
            first: ends.first,
        }];
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for (i, node) in plan.nodes.iter().enumerate() {
            let mut above = plan.nodes[i + 1..].iter().flat_map(|n| &n.from);
            let last = ends.last && !above.any(has_layer);
            let (value, edges) = self.node(prefix, node, &values, last)?;
            self.note(PartKind::Transform, &value.dims, Vec::new(), 1);
            values.push(value);
            nodes.push(Node {
                join: node.join,
                edges,
            });
        }
        if let Some(output) = values.pop() {
            *dims = output.dims;
        }
        self.in_graph = !in_chain;
        Graph::new(nodes)
    }

    /// A node and its edges; `values` are those of the input and of earlier nodes.
    fn node<'p>(
        &mut self,
        prefix: &str,
        plan: &'p NodePlan,
        values: &[Value<'_>],
        last: bool,
    ) -> Result<(Value<'p>, Vec<Edge>)> {
        let mut out = Value {
            name: &plan.name,
            dims: Vec::new(),
            first: true,
        };
        let mut edges = Vec::with_capacity(plan.from.len());
        for edge in &plan.from {
            let from = values.iter().position(|v| v.name == edge.source);
            let from = from.ok_or_else(|| {
                Error::usage(format!(
                    "`{}` is not a node before `{}`",
                    edge.source, plan.name
                ))
            })?;
            let mut dims = values[from].dims.clone();
            let ends = Ends {
                first: values[from].first,
                last,
            };
            let prefix = format!("{prefix}.{}", plan.name);
            let modules = self.edge(&prefix, edge, &mut dims, ends)?;
            out.first &= ends.first && !has_layer(edge);
            edges.push(Edge {
                from,
                modules,
                width: dims[0],
            });
            match (out.dims.is_empty(), plan.join) {
                (true, _) => out.dims = dims,
                (false, Join::Sum) => {}
                (false, Join::Concat) => out.dims[0] += dims[0],
            }
        }
        Ok((out, edges))
    }

    fn norm(
        &mut self,
        modules: &mut Vec<Box<dyn Module>>,
        prefix: &str,
        part: &str,
        plan: Option<&NormPlan>,
        dims: &[usize],
    ) -> Result<()> {
        let Some(plan) = plan else { return Ok(()) };
        if self.outline.is_some() {
            // A variance needs two values of a channel: samples, or positions of one sample.
            let least = if elements(&dims[1..]) > 1 { 1 } else { 2 };
            let held = |role| StateOutline {
                shape: vec![dims[0]],
                role,
            };
            let mut state = vec![held(Role::Statistic), held(Role::Statistic)];
            if plan.affine {
                state.extend([held(Role::Weight), held(Role::Bias)]);
            }
            self.note(PartKind::Norm, dims, state, least);
            return Ok(());
        }
        let (device, dtype) = (&self.place.device, self.place.dtype);
        let prefix = format!("{prefix}.{part}");
        modules.push(Box::new(BatchNorm::new(
            &prefix, plan, dims[0], device, dtype,
        )?));
        Ok(())
    }

    fn layer(
        &mut self,
        prefix: &str,
        block: &str,
        plan: &LayerPlan,
        dims: &mut Vec<usize>,
        ends: Ends,
    ) -> Result<Option<Box<dyn Module>>> {
        let out = if plan.out == 0 {
            self.outputs
        } else {
            plan.out
        };
        let map = LayerMap::new(&plan.map, out, dims)?;
        let shape = LayerShape {
            index: self.layers,
            name: block.to_owned(),
            input: dims.clone(),
            output: map.output_dims(),
            classes: self.outputs,
            first: ends.first,
            last: ends.last,
            normalised: self.normalised,
        };
        dims.clone_from(&shape.output);
        let rule = self.rules.bind(plan, &shape, self.place.dtype)?;
        let prefix = format!("{prefix}.layer");
        let seed = self.seed(&prefix, self.positions);
        self.layers += 1;
        self.positions += u64::from(!self.in_graph);
        if self.outline.is_some() {
            let facts = rule.facts();
            let kind = PartKind::Layer {
                rule: rule.name().to_owned(),
                local: facts.learns_locally(),
                error_driven: facts.credit != Credit::Local,
                in_evaluation: facts.learns_in_evaluation,
                unread: rule.unread(),
            };
            self.note(kind, dims, rule.outline()?, facts.least_batch);
            if let Some(part) = self.outline.as_mut().and_then(|o| o.parts.last_mut()) {
                part.copy = padded(&map);
            }
            return Ok(None);
        }
        let state = rule.init(seed, &self.place.device, self.place.dtype)?;
        let mut layer = RuleLayer::new(&prefix, shape, map, rule, state, seed);
        layer.probe_eval_updates()?;
        Ok(Some(Box::new(layer)))
    }
}

/// Numbers in the padded input of one sample; 0 where nothing is padded.
fn padded(map: &LayerMap) -> u128 {
    match map {
        LayerMap::Conv {
            geometry, input, ..
        } if geometry.padding != [0; 4] => {
            let (rows, columns) = geometry.padded_size(input[0], input[1]);
            elements(&[geometry.channels, rows, columns])
        }
        _ => 0,
    }
}

/// A value inside a graph: its input or a node.
struct Value<'p> {
    name: &'p str,
    dims: Vec<usize>,
    /// No rule layer stands below.
    first: bool,
}

fn has_layer(edge: &EdgePlan) -> bool {
    edge.layers() > 0
}

fn boxed(blocks: Vec<Block>) -> Vec<Box<dyn Module>> {
    let one = |block| Box::new(block) as Box<dyn Module>;
    blocks.into_iter().map(one).collect()
}

fn pool_module(plan: &PoolPlan, dims: &mut [usize]) -> Result<Box<dyn Module>> {
    let [_, h, w] = *dims else {
        return Err(Error::usage(format!(
            "pooling cannot take an input of shape {dims:?}"
        )));
    };
    let window = plan.window(h, w);
    dims[1..].copy_from_slice(&<[usize; 2]>::from(window.out_size(h, w)?));
    Ok(Box::new(Pool {
        kind: plan.kind,
        window,
        include_pad: plan.count_include_pad,
    }))
}

fn check_shortcut(kind: Shortcut, before: &[usize], after: &[usize]) -> Result<()> {
    let expected = match (kind, before, after) {
        (Shortcut::Identity, _, _) => before.to_vec(),
        (Shortcut::SubsamplePad, [c, h, w], [k, _, _]) if k >= c && (k - c).is_multiple_of(2) => {
            vec![*k, h.div_ceil(2), w.div_ceil(2)]
        }
        _ => Vec::new(),
    };
    if expected == after {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the inner path turns {before:?} into {after:?}, which shortcut `{kind:?}` cannot match"
    )))
}
