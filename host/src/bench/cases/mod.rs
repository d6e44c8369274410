//! The rows of `bench kernels` and `bench step`, each one definition.

mod layers;
mod maps;
mod modules;
mod optimizers;
mod steps;
mod supernets;

use super::case::Case;

/// Rows of `bench kernels`: the host's operations as a training step calls them.
#[must_use]
pub fn kernels() -> Vec<Case> {
    let mut cases = maps::convolutions();
    cases.extend(maps::depthwise());
    cases.extend(maps::dense());
    cases.extend(modules::cases());
    cases.extend(optimizers::cases());
    cases
}

/// Rows of `bench step`: whole training steps of networks with real plugins.
#[must_use]
pub fn steps() -> Vec<Case> {
    let mut cases = steps::cases();
    cases.extend(supernets::cases());
    cases
}

#[cfg(test)]
mod tests {
    use super::layers::BATCHES;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_promised_rows_are_there_once() {
        let names: Vec<String> = kernels()
            .into_iter()
            .chain(steps())
            .map(|c| c.name)
            .collect();
        let unique: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(unique.len(), names.len());
        for layer in 1..=3 {
            for batch in BATCHES {
                for work in [
                    "conv-forward",
                    "conv-weight",
                    "conv-input",
                    "softhebb-step",
                    "krotov-step",
                ] {
                    let name = format!("{work}-l{layer}-b{batch}");
                    assert!(unique.contains(name.as_str()), "{name}");
                }
            }
        }
        for name in [
            "depthwise-3x3-forward",
            "depthwise-5x5-dil2-backward",
            "depthwise-3x3-stride2-forward",
            "dense-weight-b64-24576x10",
            "bp-step-b10",
            "bp-step-b64",
            "lenet-step-b128",
            "supernet-step-darts-c16-b16",
            "supernet-step-bionas22-c16-b16-kept",
        ] {
            assert!(unique.contains(name), "{name}");
        }
        for start in [
            "batchnorm-forward-",
            "batchnorm-backward-",
            "triangle-forward-",
            "triangle-backward-",
            "pool-max-4-2-1-",
            "pool-avg-2-2-0-",
            "pool-max-3-1-1-",
            "softmax-",
            "reflect-pad-",
            "adam-",
        ] {
            assert!(names.iter().any(|n| n.starts_with(start)), "{start}");
        }
    }
}
