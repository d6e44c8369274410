//! Networks of genotypes.

use super::*;
use crate::plan::every_block;
use crate::search::genotype::Genotype;
use crate::search::space::{RuleScope, sets};

fn images(side: usize, classes: usize) -> DataShape {
    DataShape {
        sample: vec![3, side, side],
        classes,
    }
}

#[test]
fn published_figures_are_counted_to_the_digit() {
    // quark0/darts issue 18 prints the first, its README the second.
    for (name, parameters) in [("DARTS_V1", 3_169_414), ("DARTS_V2", 3_349_342)] {
        let genotype = Genotype::published(name).expect(name).expect(name);
        let blocks = blocks(&genotype, &Size::CIFAR).expect(name);
        let counts = Counts::of(&blocks, &images(32, 10)).expect(name);
        assert_eq!(counts.parameters, parameters);
        assert_eq!(counts.by_rules, 0);
    }
}

#[test]
fn every_random_genotype_of_every_space_is_a_network() {
    for (name, _) in sets::NAMES {
        let space = sets::named(name).expect(name);
        for number in 0..12 {
            let genotype = space.random(1, number);
            for (cells, side) in [(3, 8), (6, 16), (9, 12)] {
                let size = Size::new(4, cells, Stem::Cifar);
                let blocks = blocks(&genotype, &size).expect(name);
                let shapes = propagate(&blocks, &images(side, 7)).expect(name);
                assert_eq!(shapes.last().expect("a classifier").output, [7], "{name}");
                let mut names: Vec<&str> = every_block(&blocks)
                    .iter()
                    .map(|b| b.name.as_str())
                    .collect();
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), all, "{name}: two blocks of one name");
            }
        }
    }
}

#[test]
fn an_input_that_no_edge_reads_costs_nothing() {
    let mut genotype = Genotype::published("DARTS_V2")
        .expect("there")
        .expect("read");
    for cell in genotype.cells.values_mut() {
        cell.edges
            .iter_mut()
            .for_each(|e| e.from = if e.from == 0 { 1 } else { e.from });
    }
    let blocks = blocks(&genotype, &Size::new(4, 6, Stem::Cifar)).expect("a network");
    assert!(
        every_block(&blocks)
            .iter()
            .all(|b| !b.name.contains("pre0"))
    );
    propagate(&blocks, &images(8, 3)).expect("shapes");
}

#[test]
fn odd_maps_are_refused_with_sizes_that_work() {
    let genotype = Genotype::published("DARTS_V2")
        .expect("there")
        .expect("read");
    let cifar = blocks(&genotype, &Size::new(4, 6, Stem::Cifar)).expect("a network");
    check_images(&cifar, &images(32, 3)).expect("even");
    for (side, works) in [(30, "28x28 and 32x32"), (7, "4x4 and 8x8"), (2, "4x4")] {
        let e = check_images(&cifar, &images(side, 3)).expect_err("odd");
        let hint = e.hint.unwrap_or_default();
        assert!(hint.contains(works), "{side}: {hint}");
    }
    let size = Size {
        auxiliary: Some(0.4),
        ..Size::new(4, 6, Stem::Cifar)
    };
    let headed = blocks(&genotype, &size).expect("a network");
    let e = check_images(&headed, &images(8, 3)).expect_err("too small");
    assert!(e.text.contains("auxiliary head"), "{}", e.text);
    let large = blocks(&genotype, &Size::new(4, 6, Stem::ImageNet)).expect("a network");
    check_images(&large, &images(224, 3)).expect("even");
    let flat = DataShape {
        sample: vec![9],
        classes: 2,
    };
    assert!(
        check_images(&cifar, &flat)
            .expect_err("no image")
            .text
            .contains("images")
    );
}

#[test]
fn sizes_that_are_no_network_are_refused() {
    let darts = Genotype::published("DARTS_V2")
        .expect("there")
        .expect("read");
    let other = sets::named("nasbench201").expect("a space").random(0, 0);
    let with = |scope, rule: Option<&str>| Size {
        scope,
        elsewhere: rule.map(str::to_owned),
        ..Size::CIFAR
    };
    for (genotype, size, says) in [
        (&darts, Size::new(0, 5, Stem::Cifar), "0 channels"),
        (&darts, Size::new(4, 0, Stem::Cifar), "0 cells"),
        (&darts, Size::new(7, 5, Stem::Cifar), "7 channels"),
        (&other, Size::new(8, 5, Stem::Cifar), "3 stages"),
        (&other, Size::new(8, 6, Stem::ImageNet), "imagenet"),
        (&darts, with(RuleScope::All, None), "need a rule"),
        (&darts, with(RuleScope::One, None), "all layers need a rule"),
        (&darts, with(RuleScope::Ops, Some("x")), "no meaning"),
    ] {
        let e = blocks(genotype, &size).expect_err(says);
        assert!(e.text.contains(says), "{}", e.text);
    }
}

#[test]
fn the_scope_all_leaves_no_layer_to_backpropagation() {
    let genotype = Genotype::published("BIODARTS")
        .expect("there")
        .expect("read");
    let rules = |scope, rule: Option<&str>| -> Vec<String> {
        let size = Size {
            scope,
            elsewhere: rule.map(str::to_owned),
            ..Size::new(4, 6, Stem::Cifar)
        };
        let blocks = blocks(&genotype, &size).expect("a network");
        let all = every_block(&blocks);
        all.iter()
            .filter_map(|b| b.layer.as_ref())
            .map(|l| l.rule.clone())
            .collect()
    };
    let plain = |rules: &[String]| rules.iter().filter(|r| *r == "backprop").count();
    let ops = rules(RuleScope::Ops, None);
    let skip = rules(RuleScope::OpsAndSkip, None);
    let all = rules(RuleScope::All, Some("feedback-alignment/fa"));
    assert!(plain(&ops) > plain(&skip) && plain(&skip) > 0);
    assert_eq!(plain(&all), 0);
    // By one rule, whatever the genotype names: as many layers, none of another rule.
    let one = rules(RuleScope::One, Some("feedback-alignment/frsf"));
    assert_eq!(one.len(), all.len());
    assert!(one.iter().all(|r| r == "feedback-alignment/frsf"));
    assert!(all.iter().any(|r| r == "feedback-alignment/usf"));
}
