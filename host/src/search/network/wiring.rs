//! A graph put together node by node, without those that nothing reads.

use super::filling::{Filling, Position};
use crate::plan::{BlockPlan, EdgePlan, GraphPlan, Join, NodePlan};

/// Nodes of a graph in topological order.
#[derive(Default)]
pub(super) struct Wiring {
    nodes: Vec<NodePlan>,
}

/// An edge.
pub(super) fn edge(source: &str, blocks: Vec<BlockPlan>) -> EdgePlan {
    EdgePlan::new(source, blocks)
}

impl Wiring {
    /// Adds a node and gives its name.
    pub(super) fn add(&mut self, name: String, join: Join, from: Vec<EdgePlan>) -> String {
        self.nodes.push(NodePlan {
            name: name.clone(),
            join,
            from,
        });
        name
    }

    /// Adds the nodes of a cell behind its inputs `names`, and gives the name of its output.
    pub(super) fn fill(
        &mut self,
        filling: &dyn Filling,
        at: &Position,
        mut names: Vec<String>,
    ) -> String {
        let cell = format!("cell{}", at.index);
        for node in names.len()..filling.end(at.kind) {
            let edges = filling.edges(at, node, &names);
            names.push(self.add(format!("{cell}-node{node}"), Join::Sum, edges));
        }
        let output = filling.concat(at.kind);
        let parts = output.iter().map(|node| edge(&names[*node], Vec::new()));
        self.add(cell, Join::Concat, parts.collect())
    }

    /// The graph whose output is the last node: cells need not read all of their inputs, and what
    /// is computed for nobody would never learn.
    pub(super) fn graph(mut self) -> GraphPlan {
        let mut read: Vec<String> = self
            .nodes
            .last()
            .map(|n| n.name.clone())
            .into_iter()
            .collect();
        for node in self.nodes.iter().rev() {
            if read.contains(&node.name) {
                read.extend(node.from.iter().map(|e| e.source.clone()));
            }
        }
        self.nodes.retain(|node| read.contains(&node.name));
        GraphPlan { nodes: self.nodes }
    }
}
