//! Spaces by name and as products.

use super::*;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn named_spaces_have_their_candidates() {
    let sizes: Vec<usize> = sets::NAMES
        .iter()
        .map(|(name, _)| sets::named(name).expect(name).candidates.len())
        .collect();
    assert_eq!(sizes, [8, 7, 20, 22, 5]);
    for (name, _) in sets::NAMES {
        sets::named(name).expect(name).check().expect(name);
    }
    // 180·O^8 cells of a kind, and two kinds; 5^6 cells.
    let size = |name: &str| sets::named(name).expect(name).size_log10();
    assert!((size("darts") - 2.0 * (180.0 * 7f64.powi(8)).log10()).abs() < 1e-9);
    assert!((size("bionas22") - 2.0 * (180.0 * 21f64.powi(8)).log10()).abs() < 1e-9);
    assert!((size("nasbench201") - 15_625f64.log10()).abs() < 1e-9);
}

#[test]
fn a_product_fills_slots_and_nothing_else() {
    let operations = words(&[
        "none",
        "skip_connect",
        "sep_conv_3x3",
        "hebbian_conv",
        "conv_3x3@own",
    ]);
    let space = Space::product(Skeleton::Darts, &operations, &words(&["a", "b/c"])).expect("one");
    let names: Vec<String> = space.candidates.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "none",
            "skip_connect",
            "sep_conv_3x3@a",
            "sep_conv_3x3@b/c",
            "hebbian_conv@a",
            "hebbian_conv@b/c",
            "conv_3x3@own",
        ]
    );
    let rules: Vec<&str> = space.rules().into_iter().collect();
    assert_eq!(rules, ["a", "b/c", "own"]);
}

#[test]
fn a_space_without_a_choice_is_refused() {
    for (operations, rules, says) in [
        (words(&[]), words(&[]), "no candidates"),
        (words(&["none"]), words(&[]), "none"),
        (
            words(&["skip_connect", "skip_connect"]),
            words(&[]),
            "twice",
        ),
        (words(&["sep_conv_3x3"]), words(&["a", "a"]), "twice"),
        (
            words(&["sep_conv_3x3@a", "sep_conv_3x3"]),
            words(&["a"]),
            "twice",
        ),
        (words(&["conv_9x9"]), words(&[]), "unknown operation"),
    ] {
        let e = Space::product(Skeleton::Darts, &operations, &rules).expect_err(says);
        assert!(e.text.contains(says), "{}", e.text);
        assert!(e.hint.is_some());
    }
    let e = sets::named("dart").expect_err("a slip");
    assert!(e.hint.unwrap_or_default().contains("`darts`"));
}
