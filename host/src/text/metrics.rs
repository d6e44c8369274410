//! Metrics in a line.

use super::number::readable;

/// The numbers people look for first, then those of `place` (nothing but the first where it is empty),
/// `most` at most.
#[must_use]
pub fn headline(metrics: &[(&str, f64)], place: &str, most: usize) -> String {
    let first = [
        "validation/accuracy",
        "validation/loss",
        "test/accuracy",
        "test/loss",
        "train/accuracy",
        "train/loss",
    ];
    let find = |name: &&str| metrics.iter().find(|(n, _)| n == name);
    let of_place = |name: &str| name.strip_prefix(place).is_some_and(|r| r.starts_with('/'));
    // A phase may be named as one of the first are.
    let own = metrics
        .iter()
        .filter(|(name, _)| of_place(name) && !first.contains(name));
    let said = first.iter().filter_map(find).chain(own).take(most);
    let said: Vec<String> = said
        .map(|(name, x)| format!("{name} {}", readable(*x)))
        .collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_said_once_whatever_the_phase_is_called() {
        let metrics = [
            ("test/accuracy", 0.5),
            ("test/samples", 9.0),
            ("train/accuracy", 0.75),
            ("train/loss", 1.0),
            ("validation/loss", 2.0),
        ];
        let said = "validation/loss 2.0000, test/accuracy 0.5000, train/accuracy 0.7500, train/loss 1.0000";
        for place in ["train", "readout", "validation"] {
            assert_eq!(headline(&metrics, place, 6), said);
        }
        let said = headline(&metrics, "test", 6);
        assert_eq!(
            said,
            headline(&metrics, "train", 6) + ", test/samples 9.0000"
        );
    }

    #[test]
    fn accuracies_come_first_and_other_blocks_stay_out() {
        let metrics = [
            ("classifier/weight_norm", 1.0),
            ("conv1/radius", 4.5),
            ("test/accuracy", 0.5),
        ];
        assert_eq!(
            headline(&metrics, "conv1", 6),
            "test/accuracy 0.5000, conv1/radius 4.5000"
        );
    }
}
