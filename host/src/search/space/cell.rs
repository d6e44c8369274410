//! The shape of a cell: which nodes it has and which edges may lie between them.

/// Edges of a derived cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// This many at each node, the strongest.
    Strongest(usize),
    /// All of them.
    All,
}

/// What a cell hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// All intermediate nodes, concatenated along the channels.
    Concat,
    /// The last node.
    Last,
}

/// Nodes and edges of a cell. Nodes are numbered: first its inputs, then the intermediate ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellShape {
    /// Inputs.
    pub inputs: usize,
    /// Intermediate nodes.
    pub nodes: usize,
    /// Edges that a derived cell has.
    pub keep: Keep,
    /// What it hands on.
    pub output: Output,
}

/// A place where a candidate may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Node at the end.
    pub node: usize,
    /// Node at the start, earlier than `node`.
    pub from: usize,
}

impl CellShape {
    /// The cell of DARTS, with `nodes` intermediate nodes.
    #[must_use]
    pub const fn darts(nodes: usize) -> Self {
        Self {
            inputs: 2,
            nodes,
            keep: Keep::Strongest(2),
            output: Output::Concat,
        }
    }

    /// The cell of NAS-Bench-201: three nodes behind one input, an edge from each earlier node.
    #[must_use]
    pub const fn nasbench201() -> Self {
        Self {
            inputs: 1,
            nodes: 3,
            keep: Keep::All,
            output: Output::Last,
        }
    }

    /// Every edge there may be, node by node, sources ascending: the rows of architecture weights.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let nodes = self.inputs..self.inputs + self.nodes;
        nodes
            .flat_map(|node| (0..node).map(move |from| Place { node, from }))
            .collect()
    }

    /// The nodes that make the output of a cell of this shape.
    #[must_use]
    pub fn outputs(&self) -> Vec<usize> {
        let end = self.inputs + self.nodes;
        match self.output {
            Output::Concat => (self.inputs..end).collect(),
            Output::Last => vec![end - 1],
        }
    }

    /// Edges that arrive at `node` in a derived cell.
    #[must_use]
    pub fn degree(&self, node: usize) -> usize {
        match self.keep {
            Keep::Strongest(most) => most.min(node),
            Keep::All => node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_node_by_node() {
        let darts = CellShape::darts(4).places();
        assert_eq!(darts.len(), 14);
        assert_eq!(darts[2], Place { node: 3, from: 0 });
        assert_eq!(darts[13], Place { node: 5, from: 4 });
        let places = CellShape::nasbench201().places();
        let pairs: Vec<_> = places.iter().map(|p| (p.from, p.node)).collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]);
        assert_eq!(CellShape::nasbench201().outputs(), [3]);
    }
}
