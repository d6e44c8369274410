//! Golden vectors of architecture search, through the real plugins, and counts of published
//! genotypes.
//!
//! `BIORULE_GOLDEN=FOLDER cargo test -p biorule-tests --test golden_nas -- --nocapture` prints a
//! line for each file.

use biorule::config::DataShape;
use biorule::search::Genotype;
use biorule::search::network::{self, Counts, Size, Stem};
use biorule_test_environment::{Need, folder};
use biorule_tests::golden::{expect_further, judge, nas};
use serde_json::Value;

#[test]
fn every_file_is_reproduced() {
    judge("nas", &nas::recognisers()).assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("nas");
}

/// Parameters and multiply-adds of published genotypes, as counted on the programs of their
/// authors.
#[test]
fn published_genotypes_have_the_counts_of_their_programs() {
    let Some(folder) = folder(Need::Specs, "BIORULE_SPECS") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("genotypes.json")).expect("genotypes.json");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let mut compared = 0;
    for one in all["genotypes"].as_array().expect("genotypes") {
        let name = one["id"].as_str().expect("a name");
        let genotype = Genotype::published(name).expect(name).expect(name);
        // The same cells, read from the list itself.
        let mut own = serde_json::json!({"schema_version": 1});
        for kind in ["normal", "reduce"] {
            own[kind] = one[kind].clone();
        }
        let read = Genotype::read(&own.to_string()).expect(name);
        assert_eq!(read.key(), genotype.key(), "{name}");
        let skips = one["skip_count_normal"].as_u64().expect("skips");
        let skip = biorule::search::space::Operation::Skip;
        assert_eq!(genotype.cells["normal"].count(skip) as u64, skips, "{name}");
        for (key, facts) in one["facts"].as_object().expect("facts") {
            let number = |key: &str| facts[key].as_u64();
            let side = number("input").expect("a size") as usize;
            let stem = match facts["network"].as_str() {
                Some("imagenet") => Stem::ImageNet,
                _ => Stem::Cifar,
            };
            let size = Size::new(
                number("init_channels").expect("channels") as usize,
                number("layers").expect("layers") as usize,
                stem,
            );
            let data = DataShape {
                sample: vec![3, side, side],
                classes: number("classes").expect("classes") as usize,
            };
            let size = Size {
                auxiliary: Some(0.4),
                ..size
            };
            let blocks = network::blocks(&genotype, &size).expect(name);
            let counts = Counts::of(&blocks, &data).expect(name);
            let wanted = [
                ("params_trainable", Some(counts.parameters)),
                ("of_which_batch_norm", Some(counts.of_norms)),
                ("multiply_adds", Some(counts.multiply_adds)),
                ("auxiliary_head_params", Some(counts.auxiliary)),
                (
                    "feedback_params",
                    (counts.by_rules > 0).then_some(counts.by_rules),
                ),
            ];
            for (what, got) in wanted {
                assert_eq!(got, number(what), "{name} {key} {what}");
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared} counts");
}

/// Every rule of this workspace is in a product space by its name; one that cannot serve a layer is
/// refused with the candidate's.
#[test]
fn rules_of_plugins_enter_a_space_by_name_alone() {
    use biorule::search::space::{OPERATIONS, Skeleton, Space, Style, serve};
    use biorule_tests::plugins::registry;
    use candle_core::DType;

    let registry = registry();
    let operations: Vec<String> = OPERATIONS
        .iter()
        .map(|(_, name, _)| (*name).to_owned())
        .collect();
    let (mut fits, mut refused) = (0, Vec::new());
    for entry in registry.rules() {
        for operation in &operations {
            let one = [operation.clone()];
            let rule = std::slice::from_ref(&entry.name);
            let Ok(space) = Space::product(Skeleton::Darts, &one, rule) else {
                continue;
            };
            match serve::check(&space, &Style::default(), 8, registry, DType::F32) {
                Ok(()) => fits += 1,
                Err(e) => {
                    let named = format!("candidate `{operation}@{}`", entry.name);
                    assert!(e.text.contains(&named), "{}", e.text);
                    refused.push(e.text);
                }
            }
        }
    }
    println!("{fits} pairs fit; refused: {refused:#?}");
    assert!(fits > 50, "{fits} pairs fit; refused: {refused:#?}");
    let space = Space::product(Skeleton::Darts, &operations, &["usf".to_owned()]).expect("a space");
    let e = serve::check(&space, &Style::default(), 8, registry, DType::F32).expect_err("no rule");
    assert_eq!(e.code, biorule::ExitCode::Plugin);
    assert!(e.hint.expect("a hint").contains("feedback-alignment/usf"));
}
