//! What a genotype is, and which are networks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::plan::ParamValue;
use crate::search::space::{Hyperparameters, Operation, Primitive, Skeleton};
use crate::{Error, Result};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u64 = 1;

/// Nodes of a cell at most, far more than any has: nodes are counted one by one.
pub(super) const MOST_NODES: usize = 1000;

/// An edge of a derived cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Node at the end.
    pub node: usize,
    /// Node at the start.
    pub from: usize,
    /// What stands on it.
    pub op: Primitive,
}

/// A derived cell. Nodes are numbered from its inputs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Edges, node by node.
    pub edges: Vec<Edge>,
    /// The nodes that are its output, concatenated in this order.
    pub concat: Vec<usize>,
}

impl Cell {
    /// The edges that arrive at `node`.
    pub fn at(&self, node: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |e| e.node == node)
    }

    /// One more than the largest node.
    #[must_use]
    pub fn end(&self) -> usize {
        let nodes = self
            .edges
            .iter()
            .map(|e| e.node)
            .chain(self.concat.iter().copied());
        nodes.max().map_or(0, |n| n + 1)
    }

    /// Edges whose operation is `operation`.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.edges
            .iter()
            .filter(|e| e.op.operation == operation)
            .count()
    }
}

/// An architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Genotype {
    /// Name, empty where it has none.
    pub name: String,
    /// The network around the cells.
    pub skeleton: Skeleton,
    /// A cell for each of the skeleton's kinds.
    pub cells: BTreeMap<String, Cell>,
    /// Hyperparameters of its rules.
    pub params: Hyperparameters,
}

impl Genotype {
    /// The architecture as text, the same for genotypes that are the same network: edges of a node
    /// have no order, and a name means nothing.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::from(self.skeleton.word());
        for (kind, cell) in &self.cells {
            let mut edges: Vec<&Edge> = cell.edges.iter().collect();
            edges.sort();
            let _ = write!(key, ";{kind}");
            for e in edges {
                let _ = write!(key, ",{}<{}:{}", e.node, e.from, e.op);
            }
            let _ = write!(key, "->{:?}", cell.concat);
        }
        for (rule, params) in &self.params {
            for (name, value) in params {
                let _ = match value {
                    ParamValue::Bool(v) => write!(key, ";{rule}.{name}={v}"),
                    ParamValue::Int(v) => write!(key, ";{rule}.{name}={v}"),
                    ParamValue::Float(v) => write!(key, ";{rule}.{name}={v:?}"),
                    ParamValue::Text(v) => write!(key, ";{rule}.{name}={v:?}"),
                };
            }
        }
        key
    }

    /// SHA-256 of [`Self::key`], hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.key().as_bytes());
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Every rule that its primitives name, each once, with the edges that it is on.
    #[must_use]
    pub fn rules(&self) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        let edges = self.cells.values().flat_map(|c| &c.edges);
        for rule in edges.filter_map(|e| e.op.label()) {
            *found.entry(rule).or_default() += 1;
        }
        found
    }

    /// Refuses what is no network.
    ///
    /// # Errors
    /// Usage error with the cell and the edge or node.
    pub fn check(&self) -> Result<()> {
        let kinds = self.skeleton.cells();
        if let Some(kind) = kinds.iter().find(|kind| !self.cells.contains_key(**kind)) {
            return Err(
                Error::usage(format!("the genotype has no cell `{kind}`")).hint(format!(
                    "its network has the cells `{}`",
                    kinds.join("` and `")
                )),
            );
        }
        if let Some(other) = self
            .cells
            .keys()
            .find(|kind| !kinds.contains(&kind.as_str()))
        {
            let e = Error::usage(format!("the genotype has a cell `{other}`"));
            return Err(e.hint(format!(
                "its network has the cells `{}`",
                kinds.join("` and `")
            )));
        }
        for (kind, cell) in &self.cells {
            check_cell(kind, cell, self.skeleton.inputs())?;
        }
        Ok(())
    }
}

fn check_cell(kind: &str, cell: &Cell, inputs: usize) -> Result<()> {
    let first = inputs;
    for (i, edge) in cell.edges.iter().enumerate() {
        let at = format!("`{kind}.edges[{i}]` (`{}`)", edge.op);
        if edge.node < first {
            return Err(
                Error::usage(format!("{at} ends at node {}, an input", edge.node))
                    .hint(format!("nodes that edges may end at start with {first}")),
            );
        }
        if edge.from >= edge.node {
            return Err(Error::usage(format!(
                "{at} goes from node {} to node {}",
                edge.from, edge.node
            ))
            .hint(format!(
                "its source is a node before it, 0 to {}",
                edge.node - 1
            )));
        }
    }
    let end = cell.end();
    if let Some(node) = (first..end).find(|node| cell.at(*node).next().is_none()) {
        return Err(
            Error::usage(format!("node {node} of cell `{kind}` has no edges"))
                .hint(format!("nodes {first} to {} each need one", end - 1)),
        );
    }
    if cell.edges.is_empty() || cell.concat.is_empty() {
        let what = if cell.edges.is_empty() {
            "edges"
        } else {
            "concat"
        };
        return Err(Error::usage(format!("`{kind}.{what}` is empty")));
    }
    for (i, node) in cell.concat.iter().enumerate() {
        if *node < first {
            return Err(Error::usage(format!(
                "`{kind}.concat[{i}]` is {node}, an input of the cell"
            ))
            .hint(format!("name nodes from {first} on")));
        }
        if cell.concat[..i].contains(node) {
            return Err(Error::usage(format!(
                "`{kind}.concat` has node {node} twice"
            )));
        }
    }
    let read =
        |node: &usize| cell.concat.contains(node) || cell.edges.iter().any(|e| e.from == *node);
    match (first..end).find(|node| !read(node)) {
        Some(node) => Err(Error::usage(format!(
            "node {node} of cell `{kind}` is the source of no edge and not part of its output"
        ))
        .hint(format!("add it to `{kind}.concat`, or leave it out"))),
        None => Ok(()),
    }
}
