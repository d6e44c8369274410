//! Shapes from block to block, checked before anything is allocated. A shape
//! is that of one sample: `[C, H, W]` or `[features]`.

use biorule_kernels::ShapeError;

use super::{
    BlockPlan, EdgePlan, GraphPlan, Join, LayerPlan, MapPlan, NodePlan, PoolPlan, ResidualPlan,
    Shortcut, SidePlan, TransformPlan,
};
use crate::text::human;
use crate::{Error, Result};

/// Shape of one sample and number of classes of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataShape {
    /// `[C, H, W]` or `[features]`.
    pub sample: Vec<usize>,
    /// Number of classes, or of targets for regression.
    pub classes: usize,
}

/// Name of a block's own input among the nodes of its graph.
pub const INPUT: &str = "input";

/// What arrives at a block and what leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// The block's name.
    pub name: String,
    /// Shape of a sample at its input.
    pub input: Vec<usize>,
    /// Shape at the input of its layer, after flatten; the input where it has no layer.
    pub layer_input: Vec<usize>,
    /// Shape behind its layer, residual, graph or transform, before pooling.
    pub unpooled: Vec<usize>,
    /// Shape of a sample at its output.
    pub output: Vec<usize>,
    /// Shapes of the blocks inside, those of a graph edge by edge.
    pub inner: Vec<BlockShape>,
}

/// Shapes of all `blocks` for samples of `data`.
///
/// # Errors
/// Usage error that names the block, what arrives and what it expects.
pub fn propagate(blocks: &[BlockPlan], data: &DataShape) -> Result<Vec<BlockShape>> {
    let mut shapes = Vec::with_capacity(blocks.len());
    let mut shape = data.sample.clone();
    for block in blocks {
        let one = through(block, &shape, data.classes)?;
        shape.clone_from(&one.output);
        shapes.push(one);
    }
    Ok(shapes)
}

/// One block on samples of shape `input`.
fn through(block: &BlockPlan, input: &[usize], classes: usize) -> Result<BlockShape> {
    let mut shape = input.to_vec();
    if block.flatten {
        shape = vec![shape.iter().product()];
    }
    let layer_input = shape.clone();
    if let Some(layer) = &block.layer {
        shape = layer_output(&block.name, layer, &shape, classes)?;
        countable(&block.name, "an output", &shape)?;
    }
    let mut inner = Vec::new();
    if let Some(residual) = &block.residual {
        (inner, shape) = joined(&block.name, residual, &shape, classes)?;
    }
    if let Some(graph) = &block.graph {
        (inner, shape) = graph_output(&block.name, graph, &shape, classes)?;
    }
    if let Some(transform) = &block.transform {
        shape = transformed(&block.name, *transform, &shape)?;
    }
    let unpooled = shape.clone();
    if let Some(pool) = &block.pool {
        shape = pooled(&block.name, pool, &shape)?;
    }
    if let Some(side) = &block.side {
        inner.extend(head(&block.name, side, &shape, classes)?);
    }
    Ok(BlockShape {
        name: block.name.clone(),
        input: input.to_vec(),
        layer_input,
        unpooled,
        output: shape,
        inner,
    })
}

/// Numbers in one tensor beyond which no machine is asked: 2^48, a PiB in 32 bits. Below it no
/// product of sizes overflows; whether there is room is looked at when all tensors are known.
const MOST_NUMBERS: usize = 1 << 48;

/// Refuses a tensor of `sizes` that no machine can hold.
fn countable(block: &str, what: &str, sizes: &[usize]) -> Result<()> {
    let numbers = sizes
        .iter()
        .try_fold(1, |n: usize, size| n.checked_mul(*size))
        .filter(|n| *n <= MOST_NUMBERS);
    if numbers.is_some() {
        return Ok(());
    }
    let bytes = sizes
        .iter()
        .fold(4, |n: u128, size| n.saturating_mul(*size as u128));
    Err(Error::usage(format!(
        "block `{block}`: {what} of shape {sizes:?} would take {} of memory",
        human(bytes)
    ))
    .hint("make the block smaller"))
}

fn misfit(block: &str, what: &str, arrives: &[usize], expected: &str) -> Error {
    Error::usage(format!(
        "block `{block}`: {what} gets {arrives:?}, expected {expected}"
    ))
}

/// Shape after the layer: `[K]` or `[K, P, Q]`.
///
/// # Errors
/// Usage error where the input does not fit.
pub fn layer_output(
    block: &str,
    layer: &LayerPlan,
    input: &[usize],
    classes: usize,
) -> Result<Vec<usize>> {
    let out = if layer.out == 0 { classes } else { layer.out };
    if let MapPlan::Dense = layer.map {
        return match input {
            [width] => {
                countable(block, "a weight", &[out, *width])?;
                Ok(vec![out])
            }
            _ => {
                Err(misfit(block, "a dense layer", input, "[features]")
                    .hint("set `flatten = true`"))
            }
        };
    }
    let [channels, rows, columns] = *input else {
        return Err(misfit(block, "a convolution", input, "[C, H, W]")
            .hint("a convolution cannot stand behind a dense layer or `flatten`"));
    };
    let Some(conv) = layer.map.convolution(channels, out) else {
        return Err(Error::internal("a map that is neither dense nor conv"));
    };
    let (p, q) = conv.out_size(rows, columns).map_err(|e| {
        let expected = match e {
            ShapeError::Groups { out, groups, .. } => {
                format!("input and output channels ({out}) that `groups = {groups}` divides")
            }
            ShapeError::Border {
                mode,
                padding,
                most,
            } => format!("maps that {mode} padding of {padding} fits, here at most {most}"),
            ShapeError::Window { window, .. } => {
                format!("at least {window} pixels along each axis with padding")
            }
            _ => return Error::from(e).within(format_args!("block `{block}`")),
        };
        misfit(block, "a convolution", input, &expected)
    })?;
    countable(block, "a weight", &conv.weight_dims())?;
    let (rows, columns) = conv.padded_size(rows, columns);
    countable(block, "a padded input", &[channels, rows, columns])?;
    Ok(vec![out, p, q])
}

/// Shape after pooling.
fn pooled(block: &str, pool: &PoolPlan, input: &[usize]) -> Result<Vec<usize>> {
    let [channels, rows, columns] = *input else {
        return Err(misfit(block, "pooling", input, "[C, H, W]"));
    };
    let places = pool.window(rows, columns).out_size(rows, columns);
    let (p, q) = places.map_err(|e| match e {
        ShapeError::HalfWindow { padding, window } => Error::usage(format!(
            "block `{block}`: pooling has padding {padding}, more than half its window of {window}"
        )),
        ShapeError::Window { window, .. } => {
            let expected = format!("at least {window} pixels along each axis with padding");
            misfit(block, "pooling", input, &expected)
        }
        ShapeError::Area(_) => Error::usage(format!("block `{block}`: {e}"))
            .hint("pool in two blocks, or use smaller maps"),
        _ => Error::from(e).within(format_args!("block `{block}`")),
    })?;
    Ok(vec![channels, p, q])
}

/// Shapes inside a residual block, and the shape of the sum.
fn joined(
    block: &str,
    residual: &ResidualPlan,
    input: &[usize],
    classes: usize,
) -> Result<(Vec<BlockShape>, Vec<usize>)> {
    let data = DataShape {
        sample: input.to_vec(),
        classes,
    };
    let inner = propagate(&residual.blocks, &data)?;
    let output = inner
        .last()
        .map_or_else(|| input.to_vec(), |last| last.output.clone());
    let expected = match (residual.shortcut, input) {
        (Shortcut::Identity, _) => input.to_vec(),
        (Shortcut::SubsamplePad, [channels, rows, columns]) => {
            let wider = output.first().copied().unwrap_or(0);
            if wider < *channels || (wider - channels) % 2 != 0 {
                let text = format!(
                    "block `{block}`: the shortcut pads {channels} channels to {wider}, which is not an even number more"
                );
                return Err(Error::usage(text));
            }
            vec![wider, rows.div_ceil(2), columns.div_ceil(2)]
        }
        (Shortcut::SubsamplePad, _) => {
            return Err(misfit(block, "the shortcut", input, "[C, H, W]"));
        }
    };
    if output != expected {
        return Err(Error::usage(format!(
            "block `{block}`: the inner path gives {output:?}, the shortcut {expected:?}"
        ))
        .hint("change the last inner block, or `residual.shortcut`"));
    }
    Ok((inner, output))
}

/// Shapes inside a graph, edge by edge, and that of its last node.
fn graph_output(
    block: &str,
    graph: &GraphPlan,
    input: &[usize],
    classes: usize,
) -> Result<(Vec<BlockShape>, Vec<usize>)> {
    let mut inner = Vec::new();
    let mut values: Vec<(&str, Vec<usize>)> = vec![(INPUT, input.to_vec())];
    let mut unread: Vec<&str> = Vec::new();
    for node in &graph.nodes {
        if values.iter().any(|(name, _)| *name == node.name) {
            let text = format!("block `{block}`: two nodes are named `{}`", node.name);
            return Err(Error::usage(text).hint("`input` is the block's input"));
        }
        let mut brought = Vec::new();
        for edge in &node.from {
            let source = values.iter().find(|(name, _)| *name == edge.source);
            let (name, sample) =
                source.ok_or_else(|| no_source(block, node, &edge.source, &values))?;
            unread.retain(|n| n != name);
            let (shapes, output) = edge_output(block, edge, sample, classes)?;
            brought.push(output);
            inner.extend(shapes);
        }
        values.push((&node.name, node_output(block, node, &brought)?));
        unread.push(&node.name);
    }
    match (values.last(), unread.as_slice()) {
        (Some((_, output)), [_]) => Ok((inner, output.clone())),
        (_, [first, _, ..]) => Err(Error::usage(format!(
            "block `{block}`: nothing reads node `{first}`"
        ))
        .hint("every node but the last has to be the source of an edge")),
        _ => Err(Error::usage(format!(
            "block `{block}`: the graph has no nodes"
        ))),
    }
}

/// Shapes of the blocks on an edge whose source has the shape `input`, and what it brings.
fn edge_output(
    block: &str,
    edge: &EdgePlan,
    input: &[usize],
    classes: usize,
) -> Result<(Vec<BlockShape>, Vec<usize>)> {
    let mut sample = input.to_vec();
    if edge.partial != 1 {
        let [channels, ..] = *input else {
            return Err(misfit(block, "a partial edge", input, "[C, H, W]"));
        };
        if input.len() != 3 || edge.partial == 0 || channels % edge.partial != 0 {
            let expected = format!("[C, H, W] with channels that {} divides", edge.partial);
            return Err(misfit(block, "a partial edge", input, &expected));
        }
        sample[0] /= edge.partial;
    }
    let mut shapes = Vec::new();
    let through = |blocks: &[BlockPlan], sample: &[usize], shapes: &mut Vec<_>| -> Result<_> {
        let data = DataShape {
            sample: sample.to_vec(),
            classes,
        };
        let own = propagate(blocks, &data)?;
        let output = own.last().map_or(data.sample, |last| last.output.clone());
        shapes.extend(own);
        Ok(output)
    };
    sample = through(&edge.blocks, &sample, &mut shapes)?;
    if let Some(mixed) = &edge.mixed {
        let mut outputs = Vec::with_capacity(mixed.candidates.len());
        for candidate in &mixed.candidates {
            outputs.push(through(&candidate.blocks, &sample, &mut shapes)?);
        }
        let Some((first, rest)) = outputs.split_first() else {
            return Err(Error::usage(format!(
                "block `{block}`: an edge from `{}` has no candidates",
                edge.source
            )));
        };
        if let Some(at) = rest.iter().position(|other| other != first) {
            let names = mixed.candidates.iter().map(|c| c.name.as_str());
            let names: Vec<&str> = names.collect();
            return Err(Error::usage(format!(
                "block `{block}`: candidate `{}` of the edge from `{}` gives {:?}, `{}` gives {first:?}",
                names[at + 1],
                edge.source,
                rest[at],
                names[0]
            )));
        }
        sample.clone_from(first);
    }
    if edge.partial > 1 {
        partial_output(block, edge, input, &mut sample)?;
    }
    Ok((shapes, sample))
}

/// The shape of all channels, from `sample`, that of the part that goes through a partial edge.
fn partial_output(
    block: &str,
    edge: &EdgePlan,
    input: &[usize],
    sample: &mut [usize],
) -> Result<()> {
    let halved = [input[0] / edge.partial, input[1] / 2, input[2] / 2];
    let same = [halved[0], input[1], input[2]];
    if *sample != same && *sample != halved {
        return Err(Error::usage(format!(
            "block `{block}`: the edge from `{}` turns a part of the channels {same:?} into {sample:?}, expected {same:?} or {halved:?}",
            edge.source
        ))
        .hint("a partial edge keeps the channels, and keeps or halves maps with an even number of rows and columns"));
    }
    sample[0] = input[0];
    Ok(())
}

/// Shape after a block that only changes what it is given.
fn transformed(block: &str, transform: TransformPlan, input: &[usize]) -> Result<Vec<usize>> {
    let [channels, rows, columns] = *input else {
        return Err(misfit(block, "`transform`", input, "[C, H, W]"));
    };
    match transform {
        TransformPlan::Zero { stride: 0 } | TransformPlan::Shift { by: 0 } => Err(Error::usage(
            format!("block `{block}`: `transform` with 0, expected 1 or more"),
        )),
        TransformPlan::Zero { stride } => Ok(vec![
            channels,
            rows.div_ceil(stride),
            columns.div_ceil(stride),
        ]),
        TransformPlan::Shift { by } if by < rows.min(columns) => {
            Ok(vec![channels, rows - by, columns - by])
        }
        TransformPlan::Shift { by } => {
            let expected = format!("more than {by} pixels along each axis");
            Err(misfit(block, "`transform`", input, &expected))
        }
    }
}

/// Shapes inside an auxiliary head.
fn head(block: &str, side: &SidePlan, input: &[usize], classes: usize) -> Result<Vec<BlockShape>> {
    let data = DataShape {
        sample: input.to_vec(),
        classes,
    };
    let shapes = propagate(&side.blocks, &data)?;
    let output = shapes.last().map_or(input, |last| &last.output);
    if output.iter().product::<usize>() == classes {
        return Ok(shapes);
    }
    Err(Error::usage(format!(
        "block `{block}`: the auxiliary head gives {output:?}, expected {classes} outputs"
    ))
    .hint("end the head in a dense layer with `out = \"classes\"`"))
}

fn no_source(block: &str, node: &NodePlan, source: &str, values: &[(&str, Vec<usize>)]) -> Error {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    Error::usage(format!(
        "block `{block}`: an edge of node `{}` starts at `{source}`, which is not a node before it",
        node.name
    ))
    .hint(format!("`{}`", names.join("`, `")))
}

/// Shape of a node from those that its edges bring.
fn node_output(block: &str, node: &NodePlan, brought: &[Vec<usize>]) -> Result<Vec<usize>> {
    let Some((first, rest)) = brought.split_first() else {
        let text = format!("block `{block}`: node `{}` has no edges", node.name);
        return Err(Error::usage(text));
    };
    let fits = |other: &Vec<usize>| match node.join {
        Join::Sum => other == first,
        Join::Concat => other.len() == first.len() && other[1..] == first[1..],
    };
    if let Some(other) = rest.iter().find(|other| !fits(other)) {
        let text = format!(
            "block `{block}`: node `{}` cannot join {first:?} and {other:?}",
            node.name
        );
        return Err(Error::usage(text));
    }
    let mut output = first.clone();
    if node.join == Join::Concat {
        output[0] = brought.iter().map(|b| b[0]).sum();
    }
    Ok(output)
}
