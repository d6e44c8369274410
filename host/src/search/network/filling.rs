//! What stands between the nodes of a cell: the edges of a genotype, or in a supernet all there
//! may be at once.

use super::size::Size;
use crate::plan::{CandidatePlan, EdgePlan, MixedPlan, RowPlan};
use crate::search::genotype::{Edge, Genotype};
use crate::search::space::{Operation, Primitive, Space, Style, template};

/// The name of the identity beside a mixture, behind the candidates.
const AUXILIARY_SKIP: &str = "auxiliary-skip";

/// Where a cell stands.
pub(super) struct Position {
    pub(super) index: usize,
    /// Its kind, `normal` for one.
    pub(super) kind: &'static str,
    pub(super) channels: usize,
    /// It halves the maps of its inputs.
    pub(super) reduces: bool,
    /// The cell before it does: its first input is twice as large as its second.
    pub(super) halved: bool,
}

impl Position {
    /// Stride of an edge from node `from` of a cell with `inputs` inputs.
    fn stride(&self, from: usize, inputs: usize) -> usize {
        if self.reduces && from < inputs { 2 } else { 1 }
    }
}

/// The inside of cells.
pub(super) trait Filling {
    /// One more than the last node of a cell of this kind.
    fn end(&self, kind: &str) -> usize;

    /// The nodes that are its output.
    fn concat(&self, kind: &str) -> Vec<usize>;

    /// The edges that arrive at `node` of the cell at `at`; `names` are those of the nodes before.
    fn edges(&self, at: &Position, node: usize, names: &[String]) -> Vec<EdgePlan>;
}

/// Cells of a genotype.
pub(super) struct Derived<'a> {
    pub(super) genotype: &'a Genotype,
    pub(super) size: &'a Size,
    pub(super) style: &'a Style,
}

impl Filling for Derived<'_> {
    fn end(&self, kind: &str) -> usize {
        self.genotype.cells[kind].end()
    }

    fn concat(&self, kind: &str) -> Vec<usize> {
        self.genotype.cells[kind].concat.clone()
    }

    fn edges(&self, at: &Position, node: usize, names: &[String]) -> Vec<EdgePlan> {
        let all = self.genotype.cells[at.kind].edges.iter().enumerate();
        let own: Vec<(usize, &Edge)> = all.filter(|(_, e)| e.node == node).collect();
        // Zeros add nothing; only a node that gets nothing else is made of them.
        let is_something = |e: &Edge| e.op.operation != Operation::None;
        let something = own.iter().any(|(_, e)| is_something(e));
        let brings = own
            .into_iter()
            .filter(|(_, e)| !something || is_something(e));
        let inputs = self.genotype.skeleton.inputs();
        let edges = brings.map(|(k, e)| {
            let name = format!("cell{}-op{k}", at.index);
            let stride = at.stride(e.from, inputs);
            let blocks = template::blocks(&e.op, self.style, &name, at.channels, stride);
            self.size.dropped(EdgePlan::new(&names[e.from], blocks))
        });
        edges.collect()
    }
}

/// Cells of a supernet: every candidate on every edge.
pub(super) struct Everything<'a> {
    pub(super) space: &'a Space,
    pub(super) style: &'a Style,
    /// Candidates keep only their input for the backward pass.
    pub(super) recompute: bool,
    /// An identity with a weight of its own stands beside the mixture of each edge.
    pub(super) auxiliary_skip: bool,
    /// Edges have a weight of their own, in a table beside that of the candidates.
    pub(super) edge_weights: bool,
}

impl Filling for Everything<'_> {
    fn end(&self, _: &str) -> usize {
        self.space.cell.inputs + self.space.cell.nodes
    }

    fn concat(&self, _: &str) -> Vec<usize> {
        self.space.cell.outputs()
    }

    fn edges(&self, at: &Position, node: usize, names: &[String]) -> Vec<EdgePlan> {
        let channels = at.channels / self.space.partial;
        let places = self.space.cell.places().into_iter().enumerate();
        let own = places.filter(|(_, place)| place.node == node);
        let edges = own.map(|(row, place)| {
            let stride = at.stride(place.from, self.space.cell.inputs);
            // Tensors, and so their first values, go by the primitive and not by its position: one
            // more candidate changes no other.
            let candidate = |primitive: &Primitive| {
                let name = primitive.to_string();
                let part = name.replace(['@', '/'], "-");
                let part = format!("cell{}-edge{row}-{part}", at.index);
                CandidatePlan {
                    blocks: template::blocks(primitive, self.style, &part, channels, stride),
                    name,
                }
            };
            let mut candidates: Vec<_> = self.space.candidates.iter().map(candidate).collect();
            if self.auxiliary_skip {
                let part = format!("cell{}-edge{row}-{AUXILIARY_SKIP}", at.index);
                let skip = Primitive::plain(Operation::Skip);
                candidates.push(CandidatePlan {
                    blocks: template::blocks(&skip, self.style, &part, channels, stride),
                    name: AUXILIARY_SKIP.to_owned(),
                });
            }
            let mixed = MixedPlan {
                table: at.kind.to_owned(),
                row,
                candidates,
                recompute: self.recompute,
            };
            EdgePlan {
                partial: self.space.partial,
                weight: self.edge_weights.then(|| RowPlan {
                    table: edge_table(at.kind),
                    row,
                }),
                ..EdgePlan::mixed(&names[place.from], mixed)
            }
        });
        edges.collect()
    }
}

/// The table of the weights of whole edges of cells of `kind`.
pub(in crate::search) fn edge_table(kind: &str) -> String {
    format!("{kind}-edges")
}
