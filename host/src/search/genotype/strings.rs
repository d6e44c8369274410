//! Architecture strings of NAS-Bench-201: nodes joined by `+`, each a list of
//! `|operation~source` closed by `|`.

use std::collections::BTreeMap;

use super::model::{Cell, Edge, Genotype, MOST_NODES};
use crate::search::space::{Hyperparameters, Operation, Primitive, Skeleton};
use crate::{Error, Result};

fn at(column: usize, what: &str) -> Error {
    Error::usage(format!("line 1, column {}: {what}", column + 1))
        .hint("a node is written `|operation~source|operation~source|`, nodes are joined by `+`")
}

/// Reads a string.
pub(super) fn read(text: &str) -> Result<Genotype> {
    let mut edges = Vec::new();
    let mut column = 0;
    for (i, node) in text.split('+').enumerate() {
        let inner = node
            .strip_prefix('|')
            .and_then(|n| n.strip_suffix('|'))
            .filter(|n| !n.is_empty())
            .ok_or_else(|| at(column, "a node does not stand between `|`"))?;
        if i >= MOST_NODES {
            return Err(at(column, "more nodes than a cell can have"));
        }
        let mut inside = column + 1;
        for edge in inner.split('|') {
            let Some((name, source)) = edge.split_once('~') else {
                return Err(at(
                    inside,
                    &format!("`{edge}` has no `~` before its source"),
                ));
            };
            let op: Primitive = name
                .parse()
                .map_err(|e: Error| e.within(format!("line 1, column {}", inside + 1)))?;
            let from = source
                .parse()
                .map_err(|_| at(inside, &format!("`{source}` is not the number of a node")))?;
            edges.push(Edge {
                node: i + 1,
                from,
                op,
            });
            inside += edge.chars().count() + 1;
        }
        column += node.chars().count() + 1;
    }
    let end = edges.last().map_or(0, |e| e.node);
    let cell = Cell {
        edges,
        concat: vec![end],
    };
    Ok(Genotype {
        name: String::new(),
        skeleton: Skeleton::NasBench201,
        cells: BTreeMap::from([("cell".to_owned(), cell)]),
        params: Hyperparameters::new(),
    })
}

/// Writes a string.
pub(super) fn write(genotype: &Genotype) -> Result<String> {
    let cell = genotype
        .cells
        .get("cell")
        .ok_or_else(|| Error::internal("a genotype without its cell"))?;
    let name = |op: &Primitive| match (op.operation, &op.rule) {
        (Operation::Conv(k), None) => format!("nor_conv_{k}x{k}"),
        _ => op.to_string(),
    };
    let node = |node: usize| {
        let edges = cell
            .at(node)
            .map(|e| format!("|{}~{}", name(&e.op), e.from));
        edges.collect::<String>() + "|"
    };
    if cell.concat != [cell.end() - 1] {
        return Err(Error::usage(
            "a string of NAS-Bench-201 cannot say that the output is not the last node",
        ));
    }
    let nodes: Vec<String> = (1..cell.end()).map(node).collect();
    Ok(nodes.join("+"))
}
