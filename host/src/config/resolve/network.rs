//! `network`: a network of cells, which becomes `blocks`.

use config::Value;

use crate::config::check;
use crate::config::section::Section;
use crate::config::shown::Shown;
use crate::config::value::{self, Table, make};
use crate::plan::define::Described;
use crate::plan::{
    ActivationPlan, BlockPlan, EdgePlan, Join, LayerPlan, MapPlan, NodePlan, NormPlan, PoolKind,
    PoolPlan, TransformPlan,
};
use crate::search::Genotype;
use crate::search::network::{self, CellsPlan, Size};
use crate::search::space::RuleScope;
use crate::{Error, Result};

/// `table` with the blocks that its `network` stands for in place of it; whether it had one.
///
/// # Errors
/// Usage error for a genotype or a size that is no network, and beside `blocks`.
pub(super) fn expanded(table: Table) -> Result<(Table, bool)> {
    match table.contains_key("network") {
        false => Ok((table, false)),
        true => Ok((with_cells(table, None)?, true)),
    }
}

/// `table` with the blocks that its `network` stands for in place of it, those of `genotype` where
/// one is given.
///
/// # Errors
/// Usage error for a genotype or a size that is no network, and beside `blocks`.
pub(super) fn with_cells(mut table: Table, genotype: Option<&Genotype>) -> Result<Table> {
    let (from, own) = match table.remove("network").map(|v| (value::origin(&v), v.kind)) {
        None => (value::DEFAULT.to_owned(), Table::new()),
        Some((from, config::ValueKind::Table(own))) => (from, own),
        Some((from, _)) => {
            return Err(Error::usage(format!("`network` is no table (from {from})"))
                .hint("write `network = { genotype = \"DARTS_V2\" }`"));
        }
    };
    let mut s = Section::open("network", own, CellsPlan::SETTINGS)?;
    let from = match s.has("genotype") {
        true => s.origin("genotype"),
        false => from,
    };
    if let Some(blocks) = table.get("blocks") {
        return Err(Error::usage(format!(
            "both `blocks` (from {}) and `network.genotype` (from {from}) say what the network is",
            value::origin(blocks)
        ))
        .hint("leave one of them out"));
    }
    let (genotype, named, size) = match genotype {
        Some(genotype) => {
            let size = CellsPlan::read_size(&mut s)?;
            (genotype.clone(), genotype.hash()[..8].to_owned(), size)
        }
        None => {
            let cells = CellsPlan::read_all(&mut s)?;
            let genotype = Genotype::open(&cells.genotype)
                .map_err(|e| e.within(format!("`network.genotype` (from {from})")))?;
            let size = cells.size();
            (genotype, cells.genotype, size)
        }
    };
    let blocks = network::blocks(&genotype, &size).map_err(|e| e.within("`network`"))?;
    let origin = format!("genotype `{named}`");
    let list: Vec<Value> = blocks.iter().map(|b| written(b, &origin)).collect();
    table.insert("blocks".to_owned(), make(list, &origin));
    Ok(table)
}

/// The size of the networks of a search, and how it is shown; `given` is `network` without a
/// genotype, where it is set.
///
/// # Errors
/// Usage error for settings that are no size, and a genotype.
pub(super) fn size_alone(given: Option<Value>) -> Result<(Size, Vec<(String, Shown)>)> {
    let from = given.as_ref().map(value::origin);
    let own = match given.map(|v| v.kind) {
        None => Table::new(),
        Some(config::ValueKind::Table(own)) => own,
        Some(_) => {
            let from = from.unwrap_or_default();
            return Err(Error::usage(format!("`network` is no table (from {from})"))
                .hint("write `network = { channels = 16, cells = 8 }`"));
        }
    };
    let mut s = Section::open("network", own, CellsPlan::SETTINGS)?;
    if s.has("genotype") {
        let from = s.origin("genotype");
        return Err(Error::usage(format!(
            "`network.genotype` (from {from}) is what a search finds"
        ))
        .hint("leave it out, or train it with `biorule train`"));
    }
    let scope = s.origin("rule_scope");
    let size = CellsPlan::read_size(&mut s)?;
    if size.scope == RuleScope::One {
        return Err(Error::usage(format!(
            "with `network.rule_scope = \"one\"` (from {scope}) all candidates of an operation are one, and there is no rule to search"
        ))
        .hint("leave it out; `biorule train` takes it"));
    }
    Ok((size, s.close()))
}

/// Entries of a table, all from `from`.
struct Written<'a> {
    table: Table,
    from: &'a str,
}

impl<'a> Written<'a> {
    fn new(from: &'a str) -> Self {
        Self {
            table: Table::new(),
            from,
        }
    }

    fn set(&mut self, key: &str, value: impl Into<config::ValueKind>) {
        let value = make(value, self.from);
        self.table.insert(key.to_owned(), value);
    }

    fn pair(&mut self, key: &str, [rows, columns]: [usize; 2]) {
        let pair = [rows, columns].map(|n| make(n as i64, self.from));
        self.set(key, Vec::from(pair));
    }

    fn value(self) -> Value {
        make(self.table, self.from)
    }
}

/// A block as a configuration says it.
fn written(block: &BlockPlan, from: &str) -> Value {
    let mut w = Written::new(from);
    w.set("name", block.name.as_str());
    for (key, norm) in [
        ("norm", &block.norm),
        ("norm_inner", &block.norm_inner),
        ("norm_after", &block.norm_after),
    ] {
        if let Some(norm) = norm {
            w.table.insert(key.to_owned(), written_norm(norm, from));
        }
    }
    if block.flatten {
        w.set("flatten", true);
    }
    match block.transform {
        Some(TransformPlan::Zero { stride }) => w.set("transform", format!("zero {stride}")),
        Some(TransformPlan::Shift { by }) => w.set("transform", format!("shift {by}")),
        None => {}
    }
    if let Some(side) = &block.side {
        let mut head = Written::new(from);
        head.set("weight", side.weight);
        let blocks: Vec<Value> = side.blocks.iter().map(|b| written(b, from)).collect();
        head.set("blocks", blocks);
        w.table.insert("side".to_owned(), head.value());
    }
    if let Some(layer) = &block.layer {
        layer_settings(&mut w, layer);
    }
    if let Some(ActivationPlan::Relu) = block.activation {
        w.set("activation", "relu");
    }
    if let Some(pool) = &block.pool {
        w.table.insert("pool".to_owned(), written_pool(pool, from));
    }
    if let Some(graph) = &block.graph {
        let nodes: Vec<Value> = graph.nodes.iter().map(|n| written_node(n, from)).collect();
        w.set("graph", nodes);
    }
    w.value()
}

fn written_norm(norm: &NormPlan, from: &str) -> Value {
    let mut w = Written::new(from);
    w.set("kind", "batch");
    w.set("affine", norm.affine);
    w.set("eps", norm.eps);
    w.set("momentum", norm.momentum);
    w.value()
}

fn layer_settings(w: &mut Written<'_>, layer: &LayerPlan) {
    match &layer.map {
        MapPlan::Dense => w.set("layer", "dense"),
        MapPlan::Conv {
            kernel,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
        } => {
            w.set("layer", "conv");
            w.pair("kernel", *kernel);
            w.pair("stride", *stride);
            w.pair("dilation", *dilation);
            let sides: Vec<Value> = padding.iter().map(|n| make(*n as i64, w.from)).collect();
            w.set("padding", sides);
            w.set("groups", *groups as i64);
            w.set("padding_mode", padding_mode.name());
        }
    }
    w.set("out", layer.out as i64);
    w.set("bias", layer.bias);
    let mut rule = Written::new(w.from);
    rule.set("name", layer.rule.as_str());
    for (key, param) in &layer.params {
        let param = value::typed(&check::param_toml(param).to_string(), w.from);
        rule.table.insert(key.clone(), param);
    }
    w.table.insert("rule".to_owned(), rule.value());
}

fn written_pool(pool: &PoolPlan, from: &str) -> Value {
    let mut w = Written::new(from);
    w.set(
        "kind",
        match pool.kind {
            PoolKind::Max => "max",
            PoolKind::Avg => "avg",
        },
    );
    w.pair("kernel", pool.kernel);
    w.pair("stride", pool.stride);
    w.pair("padding", pool.padding);
    if !pool.count_include_pad {
        w.set("count_include_pad", false);
    }
    w.value()
}

fn written_node(node: &NodePlan, from: &str) -> Value {
    let mut w = Written::new(from);
    w.set("name", node.name.as_str());
    w.set(
        "join",
        match node.join {
            Join::Sum => "sum",
            Join::Concat => "concat",
        },
    );
    let edges: Vec<Value> = node.from.iter().map(|e| written_edge(e, from)).collect();
    w.set("from", edges);
    w.value()
}

fn written_edge(edge: &EdgePlan, from: &str) -> Value {
    let mut w = Written::new(from);
    w.set("source", edge.source.as_str());
    if !edge.blocks.is_empty() {
        let blocks: Vec<Value> = edge.blocks.iter().map(|b| written(b, from)).collect();
        w.set("blocks", blocks);
    }
    if let Some(drop) = &edge.drop_path {
        let mut table = Written::new(from);
        table.set("p", drop.p);
        table.set("ramp", drop.ramp);
        w.table.insert("drop_path".to_owned(), table.value());
    }
    w.value()
}
