//! The parts of a block by themselves: activations, pooling, operations on the input.

use biorule::nn::activation::Activation;
use biorule::nn::norm::BatchNorm;
use biorule::nn::pool::Pool;
use biorule::nn::transform::{DivideByMax, Flatten, UnitLength};
use biorule::nn::{Clock, Mode, Module, Pass};
use biorule::ops::Window;
use candle_core::{DType, Tensor};

use super::preset::{activation, pool};
use crate::Result;
use crate::golden::{File, Recogniser, Tolerance};
use crate::network::batch_norm;

/// What the files hold: results in single precision, most with a twin.
const TYPES: [(DType, Tolerance); 2] = [
    (DType::F32, Tolerance::Largest(1e-5)),
    (DType::F64, Tolerance::Largest(1e-12)),
];

/// `activations`: cases by name, on images and on vectors.
pub(super) const ACTIVATIONS: Recogniser = Recogniser {
    name: "activations",
    understands: |file| file.find("cases").is_some() && file.has("input4d") && file.has("input2d"),
    run: |file, checks| {
        for (case, function, parameter) in cases(file)? {
            for kind in ["4d", "2d"] {
                let name = format!("{case}.{kind}");
                if !file.has(&name) {
                    continue;
                }
                let Ok(plan) = activation(&function, parameter) else {
                    checks.left_out(
                        &name,
                        "a competition of the rule; no preset activates by it",
                    );
                    continue;
                };
                for (dtype, tolerance) in TYPES {
                    let x = file.twin(&format!("input{kind}"), dtype)?;
                    let y = Activation(plan.clone()).forward(&mut Pass::inference(), &x)?;
                    checks.compare(&name, &y, &file.twin(&name, dtype)?, tolerance)?;
                }
            }
        }
        Ok(())
    },
};

/// `soft_competition_functions`: of these the rule has the exponential one.
pub(super) const COMPETITION: Recogniser = Recogniser {
    name: "competition",
    understands: |file| {
        file.find("cases").is_some() && file.find("repu_power").is_some() && file.has("input")
    },
    run: |file, checks| {
        for (case, function, parameter) in cases(file)? {
            if !matches!(function.as_str(), "exp" | "softmax") {
                checks.left_out(&case, "no preset of SoftHebb competes by it");
                continue;
            }
            for (dtype, tolerance) in TYPES {
                let x = file.twin("input", dtype)?;
                let plan = activation("softmax", parameter)?;
                let y = Activation(plan).forward(&mut Pass::inference(), &x)?;
                checks.compare(&case, &y, &file.twin(&case, dtype)?, tolerance)?;
            }
        }
        Ok(())
    },
};

/// `{"name": ["function", parameter], …}`.
fn cases(file: &File) -> Result<Vec<(String, String, f64)>> {
    let json = file.json("cases")?;
    let entries = json.as_object().ok_or("`cases` is no object")?;
    entries
        .iter()
        .map(|(name, value)| {
            let function = value[0].as_str().ok_or("a case without function")?;
            Ok((
                name.clone(),
                function.into(),
                value[1].as_f64().ok_or("a case without parameter")?,
            ))
        })
        .collect()
}

/// `triangle_gradient`: the mean carries no gradient.
pub(super) const TRIANGLE: Recogniser = Recogniser {
    name: "gradient",
    understands: |file| {
        ["input", "upstream", "output", "grad_input"]
            .iter()
            .all(|n| file.has(n))
            && file.find("power").is_some()
    },
    run: |file, checks| {
        for (dtype, tolerance) in TYPES {
            let mut module = Activation(activation("triangle", file.number("power")?)?);
            let mut pass = Pass::inference().wanting_input();
            let y = module.forward(&mut pass, &file.twin("input", dtype)?)?;
            checks.compare("output", &y, &file.twin("output", dtype)?, tolerance)?;
            let grad = module.backward(&mut pass, &file.twin("upstream", dtype)?, true)?;
            let grad = grad.ok_or("no gradient at the input")?;
            checks.compare(
                "grad_input",
                &grad,
                &file.twin("grad_input", dtype)?,
                tolerance,
            )?;
        }
        Ok(())
    },
};

/// `pooling`: every spec on every input.
pub(super) const POOLING: Recogniser = Recogniser {
    name: "pooling",
    understands: |file| file.find("specs").is_some() && file.has("input_0"),
    run: |file, checks| {
        let specs = file.json("specs")?;
        for spec in specs.as_array().ok_or("`specs` is no list")? {
            let spec = spec.as_str().ok_or("a spec that is not text")?;
            let (kind, [kernel, stride, padding]) = pool(spec)?;
            let window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
            };
            for i in (0..).take_while(|i| file.has(&format!("input_{i}"))) {
                let name = format!("{spec}.{i}");
                for (dtype, tolerance) in TYPES {
                    let x = file.twin(&format!("input_{i}"), dtype)?;
                    let mut module = Pool {
                        kind,
                        window,
                        include_pad: true,
                    };
                    let y = module.forward(&mut Pass::inference(), &x)?;
                    checks.compare(&name, &y, &file.twin(&name, dtype)?, tolerance)?;
                }
            }
        }
        Ok(())
    },
};

/// `operations`: scalings, and batch norm over two batches and in evaluation.
pub(super) const OPERATIONS: Recogniser = Recogniser {
    name: "operations",
    understands: |file| {
        [
            "input",
            "maxnorm",
            "normnorm",
            "batchnorm2d_train",
            "running_var_after2",
        ]
        .iter()
        .all(|n| file.has(n))
    },
    run: |file, checks| {
        for (dtype, tolerance) in TYPES {
            let mut same = |name: &str, got: &Tensor| -> Result<()> {
                checks.compare(name, got, &file.twin(name, dtype)?, tolerance)
            };
            let x = file.twin("input", dtype)?;
            same("maxnorm", &DivideByMax.forward(&mut Pass::inference(), &x)?)?;
            same("normnorm", &UnitLength.forward(&mut Pass::inference(), &x)?)?;

            let channels = x.dim(1)?;
            let mut norm = BatchNorm::new(
                "norm",
                &batch_norm(false),
                channels,
                &crate::device(),
                dtype,
            )?;
            norm.set_mode(&Mode::default(), true);
            let mut train = |x: &Tensor| norm.forward(&mut Pass::local(Clock::default()), x);
            same("batchnorm2d_train", &train(&x)?)?;
            let first = running(&norm)?;
            let mut train = |x: &Tensor| norm.forward(&mut Pass::local(Clock::default()), x);
            train(&((&x * 2.0)? + 1.0)?)?;
            let second = running(&norm)?;
            for (part, first, second) in [
                ("mean", &first[0], &second[0]),
                ("var", &first[1], &second[1]),
            ] {
                let (one, two) = (
                    format!("running_{part}_after"),
                    format!("running_{part}_after2"),
                );
                // Some files hold the reference's live buffer under both names, so that the
                // first shows the second batch as well.
                let live = file.values(&one)? == file.values(&two)?;
                same(&one, if live { second } else { first })?;
                same(&two, second)?;
            }
            norm.set_mode(&Mode::default(), false);
            same(
                "batchnorm2d_eval",
                &norm.forward(&mut Pass::inference(), &x)?,
            )?;

            let flat = Flatten.forward(&mut Pass::inference(), &x)?;
            let mut norm = BatchNorm::new(
                "norm",
                &batch_norm(false),
                flat.dim(1)?,
                &crate::device(),
                dtype,
            )?;
            norm.set_mode(&Mode::default(), true);
            same(
                "batchnorm1d_train",
                &norm.forward(&mut Pass::local(Clock::default()), &flat)?,
            )?;
        }
        Ok(())
    },
};

/// Copies of running mean and variance.
fn running(norm: &BatchNorm) -> Result<[Tensor; 2]> {
    let mut all = Vec::new();
    norm.tensors(&mut all);
    let part = |name: &str| -> Result<Tensor> {
        let found = all.iter().find(|t| t.name.ends_with(name));
        Ok(found.ok_or_else(|| format!("no `{name}`"))?.tensor.copy()?)
    };
    Ok([part("running_mean")?, part("running_var")?])
}
