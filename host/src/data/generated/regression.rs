//! bioflax's two regression tasks (`dataloading.py`): a random teacher network,
//! and the sine. Sizes are samples here (bioflax counts batches of 32). The
//! distributions are bioflax's, the draws our own.

use std::f32::consts::PI;

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{GENERATED, check, options, part};
use crate::Result;
use crate::data::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use crate::data::random::{Purpose, normal, stream, uniform};
use crate::data::set::{SetInfo, Setting, Source};
use crate::device::memory;

/// The registry's entry of the teacher task.
pub(crate) const TEACHER: SetInfo = SetInfo {
    name: "teacher",
    summary: "regression on a random 64-32 network (bioflax), inputs uniform in [-1, 1)",
    shape: Shape::vector(1),
    train: 1600,
    test: 320,
    load: load_teacher,
    settings: &[
        Setting::new("seed", "0", "seed of the teacher and of the inputs"),
        Setting::new("train", "1600", "training samples"),
        Setting::new("test", "320", "test samples"),
        Setting::new("inputs", "1", "features of a sample (bioflax: seq_len)"),
        Setting::new("outputs", "10", "values to predict"),
        Setting::new(
            "activation",
            "\"sigmoid\"",
            "of the teacher: sigmoid, tanh or relu",
        ),
    ],
    ..GENERATED
};

/// The registry's entry of the sine task.
pub(crate) const SINE: SetInfo = SetInfo {
    name: "sine",
    summary: "regression y = sin x, x uniform in [-pi, pi) (bioflax)",
    shape: Shape::vector(1),
    train: 1600,
    test: 320,
    load: load_sine,
    settings: &[
        Setting::new("seed", "0", "seed of the inputs"),
        Setting::new("train", "1600", "training samples"),
        Setting::new("test", "320", "test samples"),
    ],
    ..GENERATED
};

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Activation {
    Sigmoid,
    Tanh,
    Relu,
}

impl Activation {
    fn apply(self, a: f32) -> f32 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-a).exp()),
            Self::Tanh => a.tanh(),
            Self::Relu => a.max(0.0),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TeacherOptions {
    seed: u64,
    train: usize,
    test: usize,
    inputs: usize,
    outputs: usize,
    activation: Activation,
}

impl Default for TeacherOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            train: TEACHER.train,
            test: TEACHER.test,
            inputs: 1,
            outputs: 10,
            activation: Activation::Sigmoid,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SineOptions {
    seed: u64,
    train: usize,
    test: usize,
}

impl Default for SineOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            train: SINE.train,
            test: SINE.test,
        }
    }
}

/// One dense layer without bias, kernel `[inputs, outputs]`.
struct Dense {
    kernel: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// `lecun_normal`: a normal cut off at two deviations, variance 1/inputs.
    fn draw(rng: &mut ChaCha8Rng, inputs: usize, outputs: usize) -> Self {
        /// Deviation of a standard normal cut off at ±2.
        const CUT: f32 = 0.879_625_7;
        let sigma = (1.0 / inputs as f32).sqrt() / CUT;
        let mut cut = || loop {
            let draw = normal(rng);
            if draw.abs() < 2.0 {
                break sigma * draw;
            }
        };
        Self {
            kernel: (0..inputs * outputs).map(|_| cut()).collect(),
            inputs,
            outputs,
        }
    }
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        (0..self.outputs)
            .map(|k| {
                (0..self.inputs)
                    .map(|c| x[c] * self.kernel[c * self.outputs + k])
                    .sum()
            })
            .collect()
    }
}

/// inputs - 64 - activation - 32 - activation - outputs, zero biases.
struct Teacher {
    layers: [Dense; 3],
    activation: Activation,
}

impl Teacher {
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let hidden = |layer: &Dense, x: &[f32]| -> Vec<f32> {
            layer
                .forward(x)
                .into_iter()
                .map(|a| self.activation.apply(a))
                .collect()
        };
        let first = hidden(&self.layers[0], x);
        self.layers[2].forward(&hidden(&self.layers[1], &first))
    }
}

fn load_teacher(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let o: TeacherOptions = options(source)?;
    check(
        o.inputs > 0 && o.outputs > 0,
        source,
        "`inputs` and `outputs` must be at least 1",
    )?;
    let bytes = o.inputs.saturating_add(o.outputs).saturating_mul(4);
    let (purpose, count) = part(source, split, (o.train, o.test), bytes)?;
    // The teacher's own weights, whatever the number of samples.
    let weights = (o.inputs as u128 * 64 + o.outputs as u128 * 32) * 4;
    memory::require(weights, "`data.options` of `teacher`")?;
    let mut rng = stream(Purpose::Fixed, o.seed, 0, 0);
    let layers =
        [(o.inputs, 64), (64, 32), (32, o.outputs)].map(|(i, k)| Dense::draw(&mut rng, i, k));
    let teacher = Teacher {
        layers,
        activation: o.activation,
    };
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for sample in 0..count {
        let mut rng = stream(purpose, o.seed, sample as u64, 0);
        let start = x.len();
        x.extend((0..o.inputs).map(|_| uniform(&mut rng, -1.0, 1.0)));
        y.extend(teacher.forward(&x[start..]));
    }
    let targets = Targets::Values {
        data: y,
        width: o.outputs,
    };
    let origin = Provenance::Generated { seed: o.seed };
    Dataset::new(
        TEACHER.name,
        split,
        Shape::vector(o.inputs),
        Values::Floats(x),
        targets,
        origin,
    )
}

fn load_sine(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let o: SineOptions = options(source)?;
    let (purpose, count) = part(source, split, (o.train, o.test), 8)?;
    let x: Vec<f32> = (0..count)
        .map(|sample| uniform(&mut stream(purpose, o.seed, sample as u64, 0), -PI, PI))
        .collect();
    let targets = Targets::Values {
        data: x.iter().map(|x| x.sin()).collect(),
        width: 1,
    };
    let origin = Provenance::Generated { seed: o.seed };
    Dataset::new(
        SINE.name,
        split,
        Shape::vector(1),
        Values::Floats(x),
        targets,
        origin,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataFolders, published};

    fn load(name: &str, split: Split, options: &str) -> Result<Dataset> {
        let folders = DataFolders::only(["unused"]);
        published::load(name, split, &folders, &options.parse().unwrap())
    }
    fn moments(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
        let n = values.clone().count() as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / n;
        (
            mean,
            (values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt(),
        )
    }

    #[test]
    fn the_sine_has_bioflax_moments() {
        let set = load("sine", Split::Train, "train = 20000").unwrap();
        let Values::Floats(x) = set.values() else {
            panic!("floats")
        };
        let Targets::Values { data: y, width: 1 } = set.targets() else {
            panic!("values")
        };
        assert!(x.iter().all(|x| (-PI..PI).contains(x)));
        assert!(x.iter().zip(y).all(|(x, y)| (x.sin() - y).abs() < 1e-6));
        assert!((moments(x.iter().copied()).1 - 1.814).abs() < 0.02);
        assert!((moments(y.iter().copied()).1 - 0.707).abs() < 0.01);
    }

    #[test]
    fn the_teacher_varies_little_around_constants_as_in_bioflax() {
        // Specified over five seeds: 0.02 to 0.03 within an output, about 0.5 between.
        let (mut within, mut between) = (0.0, 0.0);
        for seed in 0..5 {
            let set = load(
                "teacher",
                Split::Train,
                &format!("seed = {seed}\noutputs = 10"),
            )
            .unwrap();
            let Targets::Values { data, width: 10 } = set.targets() else {
                panic!("values")
            };
            let of = |k: usize| moments(data.iter().skip(k).step_by(10).copied());
            within += (0..10).map(|k| of(k).1).sum::<f64>() / 50.0;
            between += moments((0..10).map(|k| of(k).0 as f32)).1 / 5.0;
        }
        assert!((0.005..0.06).contains(&within), "{within}");
        assert!((0.25..0.8).contains(&between), "{between}");
    }

    #[test]
    fn the_parts_share_the_teacher_and_not_the_inputs() {
        let options = "train = 50\ntest = 50\ninputs = 3\noutputs = 2";
        let train = load("teacher", Split::Train, options).unwrap();
        let test = load("teacher", Split::Test, options).unwrap();
        assert_ne!(train.values(), test.values());
        let mut rng = stream(Purpose::Fixed, 0, 0, 0);
        let layers = [(3, 64), (64, 32), (32, 2)].map(|(i, k)| Dense::draw(&mut rng, i, k));
        let teacher = Teacher {
            layers,
            activation: Activation::Sigmoid,
        };
        for set in [train, test] {
            let Values::Floats(x) = set.values() else {
                panic!("floats")
            };
            let Targets::Values { data, .. } = set.targets() else {
                panic!("values")
            };
            for (x, y) in x.chunks(3).zip(data.chunks(2)) {
                assert_eq!(teacher.forward(x), y);
            }
        }
    }

    #[test]
    fn bad_options_are_usage_errors_with_the_known_ones() {
        for (options, part) in [
            ("wings = 2", "wings"),
            ("inputs = 0", "at least 1"),
            ("activation = \"gelu\"", "gelu"),
        ] {
            let error = load("teacher", Split::Train, options).unwrap_err();
            assert_eq!(error.code, crate::ExitCode::Usage);
            assert!(error.text.contains(part), "{error}");
        }
    }
}
