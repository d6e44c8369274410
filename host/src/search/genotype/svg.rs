//! A drawing of a genotype's cells: nodes in a row, each edge on a lane of its own above them with
//! operation and rule in words, the output on a rail below. Colours follow the reader's light or
//! dark setting; no meaning is in colour alone.

use std::fmt::Write as _;

use super::model::{Cell, Edge, Genotype};

/// Distance of nodes.
const COLUMN: usize = 200;
/// Height of a lane.
const LANE: usize = 40;
/// Height of a node.
const NODE: usize = 30;
/// Width of a node.
const WIDTH: usize = 64;
/// Space around.
const MARGIN: usize = 24;
/// Height of a cell's heading.
const HEADING: usize = 30;
/// Height of the rail below the nodes.
const RAIL: usize = 40;

/// Colours of rules, by their order of name; those of Okabe and Ito (2008), told apart by people
/// who do not see red and green as different.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6a00",
];

const STYLE: &str = "\
svg { background: #ffffff; --ink: #1b1f24; --paper: #ffffff; --soft: #6b7280; --node: #eef1f4; }
@media (prefers-color-scheme: dark) {
  svg { background: #14171a; --ink: #e8eaed; --paper: #14171a; --soft: #9aa2ad; --node: #2a3038; }
}
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: var(--ink); }
.head { font-weight: 600; font-size: 15px; }
.rule { font-size: 11px; fill: var(--soft); }
.mid { text-anchor: middle; }
.node { fill: var(--node); stroke: var(--soft); }
.edge { fill: none; stroke: var(--soft); stroke-width: 2; }
.rail { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; }
.paper { fill: var(--paper); }
.tip { fill: var(--soft); }
";

/// The drawing as a file's text.
#[must_use]
pub fn draw(genotype: &Genotype) -> String {
    let inputs = genotype.skeleton.inputs();
    let rules: Vec<&str> = genotype.rules().into_keys().collect();
    let mut body = String::new();
    let mut top = MARGIN;
    let mut wide = 0;
    let name = match genotype.name.as_str() {
        "" => "genotype",
        name => name,
    };
    for kind in genotype.skeleton.cells() {
        if let Some(cell) = genotype.cells.get(*kind) {
            let drawn = Drawn::new(cell, inputs, &rules);
            wide = wide.max(drawn.width());
            drawn.write(&mut body, &format!("{name}, cell `{kind}`"), top);
            top += drawn.height() + MARGIN;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {top}\" width=\"{wide}\" height=\"{top}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n{body}</svg>\n",
        escaped(name)
    )
}

struct Drawn<'g> {
    cell: &'g Cell,
    inputs: usize,
    rules: &'g [&'g str],
    /// Lane of each edge, 0 the lowest.
    lanes: Vec<usize>,
}

impl<'g> Drawn<'g> {
    fn new(cell: &'g Cell, inputs: usize, rules: &'g [&'g str]) -> Self {
        // Short edges lie lowest; an edge takes the first lane where nothing overlaps it.
        let mut order: Vec<usize> = (0..cell.edges.len()).collect();
        order.sort_by_key(|i| (cell.edges[*i].node - cell.edges[*i].from, *i));
        let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut lanes = vec![0; cell.edges.len()];
        for i in order {
            let (from, node) = (cell.edges[i].from, cell.edges[i].node);
            let free =
                |lane: &Vec<(usize, usize)>| lane.iter().all(|(f, n)| node <= *f || *n <= from);
            let lane = taken.iter().position(free).unwrap_or(taken.len());
            if lane == taken.len() {
                taken.push(Vec::new());
            }
            taken[lane].push((from, node));
            lanes[i] = lane;
        }
        Self {
            cell,
            inputs,
            rules,
            lanes,
        }
    }

    fn deepest(&self) -> usize {
        self.lanes.iter().max().map_or(0, |l| l + 1)
    }

    fn width(&self) -> usize {
        2 * MARGIN + self.cell.end() * COLUMN + WIDTH
    }

    fn height(&self) -> usize {
        HEADING + self.deepest() * LANE + LANE / 2 + NODE + RAIL
    }

    /// Middle of a node.
    fn x(node: usize) -> usize {
        MARGIN + WIDTH / 2 + node * COLUMN
    }

    fn label(&self, node: usize) -> String {
        match (node < self.inputs, self.inputs) {
            (true, 1) => "input".to_owned(),
            (true, _) => format!("k−{}", self.inputs - node),
            _ => node.to_string(),
        }
    }

    fn write(&self, out: &mut String, heading: &str, top: usize) {
        let row = top + HEADING + self.deepest() * LANE + LANE / 2;
        let _ = writeln!(
            out,
            "<text class=\"head\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
            top + 16,
            escaped(heading)
        );
        let end = self.cell.end();
        let rail = row + NODE + RAIL / 2;
        for node in &self.cell.concat {
            let x = Self::x(*node);
            let _ = writeln!(
                out,
                "<path class=\"rail\" d=\"M{x} {} V{rail} H{} V{}\"/>",
                row + NODE,
                Self::x(end),
                row + NODE
            );
        }
        for (i, edge) in self.cell.edges.iter().enumerate() {
            self.line(out, i, edge, row);
        }
        for node in 0..=end {
            let (x, name) = match node == end {
                true => (Self::x(end), "output".to_owned()),
                false => (Self::x(node), self.label(node)),
            };
            let _ = writeln!(
                out,
                "<rect class=\"node\" x=\"{}\" y=\"{row}\" width=\"{WIDTH}\" height=\"{NODE}\" rx=\"6\"/><text class=\"mid\" x=\"{x}\" y=\"{}\">{name}</text>",
                x - WIDTH / 2,
                row + 20
            );
        }
        // Words last, on paper of their own, so that no line runs through them.
        for (i, edge) in self.cell.edges.iter().enumerate() {
            self.words(out, i, edge, row);
        }
    }

    fn lane_y(&self, i: usize, row: usize) -> usize {
        row - LANE / 2 - self.lanes[i] * LANE - 8
    }

    /// Where an edge leaves or reaches a node: edges share the width of its upper side.
    fn port(&self, i: usize, node: usize) -> usize {
        let edges = self.cell.edges.iter().enumerate();
        let here: Vec<usize> = edges
            .filter(|(_, e)| e.from == node || e.node == node)
            .map(|(i, _)| i)
            .collect();
        let at = here.iter().position(|other| *other == i).unwrap_or(0);
        Self::x(node) - WIDTH / 2 + (at + 1) * WIDTH / (here.len() + 1)
    }

    fn line(&self, out: &mut String, i: usize, edge: &Edge, row: usize) {
        let (a, b, y) = (
            self.port(i, edge.from),
            self.port(i, edge.node),
            self.lane_y(i, row),
        );
        let colour = self.colour(edge);
        let style = colour.map_or(String::new(), |c| format!(" style=\"stroke: {c}\""));
        let _ = writeln!(
            out,
            "<path class=\"edge\"{style} d=\"M{a} {row} V{} Q{a} {y} {} {y} H{} Q{b} {y} {b} {} V{row}\"/><path class=\"tip\" d=\"M{} {} L{b} {row} L{} {} Z\"/>",
            y + 8,
            a + 8,
            b - 8,
            y + 8,
            b - 4,
            row - 8,
            b + 4,
            row - 8
        );
    }

    fn colour(&self, edge: &Edge) -> Option<&'static str> {
        let rule = edge.op.label()?;
        let at = self.rules.iter().position(|r| *r == rule)?;
        Some(COLOURS[at % COLOURS.len()])
    }

    fn words(&self, out: &mut String, i: usize, edge: &Edge, row: usize) {
        let (a, b, y) = (
            self.port(i, edge.from),
            self.port(i, edge.node),
            self.lane_y(i, row),
        );
        let middle = usize::midpoint(a, b);
        let rule = edge.op.label().unwrap_or_default();
        let operation = edge.op.operation.name();
        // A letter is about 7 units wide, a small one 6.
        let width = (operation.len() * 7).max(rule.len() * 6) + 8;
        let (height, first) = if rule.is_empty() {
            (16, y + 4)
        } else {
            (30, y - 1)
        };
        let _ = writeln!(
            out,
            "<rect class=\"paper\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"/><text class=\"mid\" x=\"{middle}\" y=\"{first}\">{operation}</text>",
            middle.saturating_sub(width / 2),
            first.saturating_sub(12)
        );
        if !rule.is_empty() {
            let _ = writeln!(
                out,
                "<text class=\"mid rule\" x=\"{middle}\" y=\"{}\">{}</text>",
                first + 13,
                escaped(rule)
            );
        }
    }
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
