//! Genotypes: what a search finds. A genotype names the primitive on each edge of each kind of
//! cell; how many cells there are and how wide they are is decided when it becomes a network.

mod json;
pub mod published;
mod strings;
pub mod svg;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::space::{Hyperparameters, Operation, Primitive, Skeleton};
use crate::text::nearest;
use crate::{Error, ExitCode, Result};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u64 = 1;

/// Nodes of a cell at most, far more than any has: nodes are counted one by one.
const MOST_NODES: usize = 1000;

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
    /// Reads the JSON form, DARTS's text, or an architecture string of NAS-Bench-201.
    ///
    /// # Errors
    /// Usage error with the place of what is wrong: line and column of the text, or the path in
    /// the JSON.
    pub fn read(text: &str) -> Result<Self> {
        let start = text.trim_start();
        let read = if start.starts_with(['{', '[']) {
            json::read(text)
        } else if start.starts_with('|') {
            strings::read(start.trim_end())
        } else {
            text::read(text)
        }?;
        read.check()?;
        Ok(read)
    }

    /// The genotype that `named` is the name or the file of; a folder of a search's run stands for
    /// the `genotype.json` in it.
    ///
    /// # Errors
    /// Usage error for what is neither, or cannot be read.
    pub fn open(named: &str) -> Result<Self> {
        if let Some(known) = published::find(named) {
            return known;
        }
        let path = Path::new(named);
        let file = match path.is_dir() {
            true => path.join("genotype.json"),
            false => path.to_owned(),
        };
        if !path.exists() {
            let e = Error::usage(format!(
                "`{named}` is neither a file nor a published genotype"
            ));
            let names: Vec<&str> = published::names().collect();
            return Err(match nearest(named, names.iter().copied()) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("published are `{}`", names.join("`, `"))),
            });
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|e| Error::io(ExitCode::Usage, &file, &e).within("genotype"))?;
        let mut read = Self::read(&text).map_err(|e| e.within(format!("`{}`", file.display())))?;
        if read.name.is_empty() {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            read.name = stem.into_owned();
        }
        Ok(read)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json::write(self)
    }

    /// The JSON form as the text of a file, an edge a line.
    #[must_use]
    pub fn to_json_text(&self) -> String {
        json::to_text(self)
    }

    /// DARTS's text, or for cells of NAS-Bench-201 their string.
    ///
    /// # Errors
    /// Usage error where the string cannot say it.
    pub fn to_text(&self) -> Result<String> {
        match self.skeleton {
            Skeleton::Darts => text::write(self),
            Skeleton::NasBench201 => strings::write(self),
        }
    }

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
        if !self.params.is_empty() {
            let _ = write!(key, ";{}", json::params(&self.params));
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

#[cfg(test)]
mod tests;
