//! The rows of `bench kernels` and `bench step`, each one definition.

mod maps;
mod modules;
mod optimizers;
mod steps;

use super::case::Case;

/// Batch sizes of the rows: SoftHebb's, and a larger one.
const BATCHES: [usize; 2] = [10, 64];

/// A convolution of the three-layer SoftHebb network (Journé et al. 2023), which
/// all rows named `l1` to `l3` are about.
#[derive(Clone, Copy, Debug)]
struct Layer {
    name: &'static str,
    channels: usize,
    out: usize,
    kernel: usize,
    padding: usize,
    /// Rows and columns of the input.
    size: usize,
    /// SoftHebb's rate and inverse temperature.
    softhebb: (f64, f64),
}

const LAYERS: [Layer; 3] = [
    Layer {
        name: "l1",
        channels: 3,
        out: 96,
        kernel: 5,
        padding: 2,
        size: 32,
        softhebb: (0.08, 1.0),
    },
    Layer {
        name: "l2",
        channels: 96,
        out: 384,
        kernel: 3,
        padding: 1,
        size: 16,
        softhebb: (0.005, 0.65),
    },
    Layer {
        name: "l3",
        channels: 384,
        out: 1536,
        kernel: 3,
        padding: 1,
        size: 8,
        softhebb: (0.01, 0.25),
    },
];

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
    steps::cases()
}

#[cfg(test)]
mod tests {
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
