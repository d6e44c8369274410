//! Strategies on a value that is known for every genotype.

use super::*;
use crate::search::evaluate::Evaluator;
use crate::search::genotype::Genotype;
use crate::search::pareto::{Goal, Objective};
use crate::search::space::{Operation, sets};
use crate::search::strategy::{Evolution, Halving, Random, Scene, mutate};

fn scene(space: &str, seed: u64) -> Scene {
    let goal = |objective, bound| Goal { objective, bound };
    Scene {
        space: sets::named(space).expect(space),
        goals: vec![goal(Objective::Accuracy, None)],
        seed,
    }
}

/// The more 3×3 convolutions, the better; a long training helps all alike.
struct Convolutions(u64);

fn worth(genotype: &Genotype) -> f64 {
    let cells = genotype.cells.values();
    cells
        .map(|c| c.count(Operation::SepConv(3)) + c.count(Operation::Conv(3)))
        .sum::<usize>() as f64
}

impl Evaluator for Convolutions {
    fn evaluate(&mut self, request: &Request) -> Result<Vec<f64>> {
        self.0 += 1;
        Ok(vec![worth(&request.genotype) + request.share])
    }
}

fn all(strategy: &dyn Strategy, evaluator: &mut Convolutions) -> Vec<Answer> {
    drive(strategy, evaluator, Vec::new(), &mut |_| Ok(true)).expect("a search")
}

#[test]
fn a_search_that_stops_anywhere_ends_the_same() {
    let strategies: [Box<dyn Strategy>; 3] = [
        Box::new(Random::new(scene("bionas", 4), 15).expect("random")),
        Box::new(Evolution::new(scene("bionas", 4), 40, 8, 3).expect("evolution")),
        Box::new(Halving::new(scene("bionas", 4), 18, 3).expect("halving")),
    ];
    for strategy in strategies {
        let whole = all(&*strategy, &mut Convolutions(0));
        assert_eq!(
            whole.len() as u64,
            strategy.requests(),
            "{}",
            strategy.name()
        );
        let numbers = whole.iter().map(|a| a.request.number);
        assert!(numbers.eq(0..strategy.requests()));
        for stop in [1, 5, 9, whole.len() as u64 - 1] {
            let mut evaluator = Convolutions(0);
            let until = |a: &Answer| Ok(a.request.number + 1 < stop);
            let part =
                drive(&*strategy, &mut evaluator, Vec::new(), &mut { until }).expect("a part");
            assert_eq!(part.len() as u64, stop);
            let rest =
                drive(&*strategy, &mut evaluator, part, &mut |_| Ok(true)).expect("the rest");
            assert_eq!(rest, whole, "{} stopped after {stop}", strategy.name());
        }
    }
}

#[test]
fn evolution_climbs_where_random_search_does_not() {
    let mean = |make: &dyn Fn(u64) -> Box<dyn Strategy>| {
        let best = |seed| {
            let strategy = make(seed);
            let answers = all(&*strategy, &mut Convolutions(0));
            answers.iter().map(|a| a.values[0]).fold(0.0, f64::max)
        };
        (0..10).map(best).sum::<f64>() / 10.0
    };
    for space in ["darts", "nasbench201"] {
        let random = mean(&|seed| Box::new(Random::new(scene(space, seed), 120).expect("one")));
        let evolved =
            mean(&|seed| Box::new(Evolution::new(scene(space, seed), 120, 20, 5).expect("one")));
        assert!(evolved > random + 0.5, "{space}: {evolved} {random}");
    }
}

#[test]
fn a_child_differs_from_its_parent_in_one_edge() {
    for (name, _) in sets::NAMES {
        let space = sets::named(name).expect(name);
        for number in 0..60 {
            let parent = space.random(2, number);
            let child = mutate(&space, &parent, 2, number);
            child.check().expect(name);
            let pairs = parent
                .cells
                .iter()
                .flat_map(|(kind, cell)| cell.edges.iter().zip(&child.cells[kind].edges));
            assert_eq!(pairs.filter(|(a, b)| a != b).count(), 1, "{name}");
            for cell in child.cells.values() {
                for node in 0..cell.end() {
                    let mut from: Vec<usize> = cell.at(node).map(|e| e.from).collect();
                    from.sort_unstable();
                    let edges = from.len();
                    from.dedup();
                    assert_eq!(from.len(), edges, "{name}: two edges from one node");
                }
            }
        }
    }
}

#[test]
fn halving_keeps_the_best_of_each_rung() {
    let own = scene("darts", 1);
    let halving = Halving::new(own.clone(), 27, 3).expect("halving");
    let rungs: Vec<u64> = halving.rungs().iter().map(|(n, _)| *n).collect();
    assert_eq!(rungs, [27, 9, 3, 1]);
    let answers = all(&halving, &mut Convolutions(0));
    let winner = own.winner(&answers).expect("one");
    assert_eq!(winner.request.share, 1.0);
    let best = answers[..27]
        .iter()
        .map(|a| worth(&a.request.genotype))
        .fold(0.0, f64::max);
    assert_eq!(worth(&winner.request.genotype), best);
    assert_eq!(
        Halving::new(scene("darts", 1), 5, 4)
            .expect("halving")
            .rungs()
            .len(),
        2
    );
}

#[test]
fn the_same_genotype_is_evaluated_once() {
    let mut evaluator = Convolutions(0);
    let strategy = Random::new(scene("nasbench201", 1), 4_000).expect("random");
    let answers = all(&strategy, &mut evaluator);
    let different: std::collections::BTreeSet<String> =
        answers.iter().map(|a| a.request.genotype.hash()).collect();
    assert!(different.len() < 4_000);
    assert_eq!(evaluator.0, different.len() as u64);
}

#[test]
fn a_budget_of_nothing_is_refused() {
    let s = || scene("darts", 0);
    let refused = [
        Random::new(s(), 0).err(),
        Evolution::new(s(), 0, 5, 2).err(),
        Evolution::new(s(), 9, 0, 0).err(),
        Evolution::new(s(), 9, 5, 6).err(),
        Halving::new(s(), 0, 3).err(),
        Halving::new(s(), 9, 1).err(),
    ];
    for e in refused {
        let e = e.expect("refused");
        assert!(e.text.contains('`') && e.hint.is_some(), "{}", e.text);
    }
}
