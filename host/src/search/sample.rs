//! Genotypes at random: the baseline of every search, and the start of some.

use std::collections::BTreeMap;

use super::draw::{Draw, Purpose};
use super::genotype::{Cell, Edge, Genotype};
use super::space::Space;

impl Space {
    /// A genotype drawn evenly: at each node different edges, on each a primitive. It is a function
    /// of `seed` and `number`.
    #[must_use]
    pub fn random(&self, seed: u64, number: u64) -> Genotype {
        let mut draw = Draw::new(Purpose::Genotype, seed, number, 0);
        let choices = self.choices();
        let mut cells = BTreeMap::new();
        for kind in self.skeleton.cells() {
            let mut edges = Vec::new();
            for node in self.cell.inputs..self.cell.inputs + self.cell.nodes {
                let mut sources = draw.choose(node, self.cell.degree(node));
                sources.sort_unstable();
                for from in sources {
                    let op = choices[draw.below(choices.len())].clone();
                    edges.push(Edge { node, from, op });
                }
            }
            let concat = self.cell.outputs();
            cells.insert((*kind).to_owned(), Cell { edges, concat });
        }
        Genotype {
            name: String::new(),
            skeleton: self.skeleton,
            cells,
            params: self.params.clone(),
        }
    }

    /// `genotype` with another rule, drawn from those of this space, in each slot: what is left of
    /// a search when the mix of rules is drawn.
    #[must_use]
    pub fn random_rules(&self, genotype: &Genotype, seed: u64, number: u64) -> Genotype {
        let mut draw = Draw::new(Purpose::Genotype, seed, number, 1);
        let rules: Vec<&str> = self.rules().into_iter().collect();
        let mut changed = genotype.clone();
        let edges = changed.cells.values_mut().flat_map(|c| &mut c.edges);
        for edge in edges.filter(|e| e.op.operation.has_slots()) {
            if !rules.is_empty() {
                edge.op.rule = Some(rules[draw.below(rules.len())].to_owned());
            }
        }
        changed.params.clone_from(&self.params);
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::search::space::sets;

    #[test]
    fn random_genotypes_are_of_the_space_and_differ() {
        for (name, _) in sets::NAMES {
            let space = sets::named(name).expect(name);
            let all: Vec<Genotype> = (0..20).map(|i| space.random(3, i)).collect();
            for one in &all {
                one.check().expect(name);
                for cell in one.cells.values() {
                    assert!(cell.edges.iter().all(|e| space.position(&e.op).is_some()));
                    for node in space.cell.inputs..space.cell.inputs + space.cell.nodes {
                        let mut from: Vec<usize> = cell.at(node).map(|e| e.from).collect();
                        assert_eq!(from.len(), space.cell.degree(node));
                        from.dedup();
                        assert_eq!(from.len(), space.cell.degree(node));
                    }
                }
            }
            assert_eq!(all[7], space.random(3, 7));
            let different: BTreeSet<String> = all.iter().map(Genotype::key).collect();
            assert!(different.len() > 15, "{name}: {}", different.len());
        }
    }

    #[test]
    fn random_rules_change_rules_alone() {
        let space = sets::named("bionas").expect("a space");
        let one = space.random(1, 1);
        let other = space.random_rules(&one, 1, 2);
        assert_ne!(one, other);
        for (kind, cell) in &one.cells {
            for (a, b) in cell.edges.iter().zip(&other.cells[kind].edges) {
                assert_eq!(
                    (a.node, a.from, a.op.operation),
                    (b.node, b.from, b.op.operation)
                );
                assert!(space.position(&b.op).is_some());
            }
        }
    }
}
