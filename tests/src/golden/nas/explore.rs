//! The file of EG-NAS's exploration: samples on a supernet of partial channels in evaluation mode,
//! their fitness, the winner and the step of the architecture.

use biorule::config::{Drive, Loss};
use biorule::data::Answers;
use biorule::nn::{Clock, Mixture, Mode, Network, Pass, Tables};
use biorule::search::network::{self, Size, Stem, Supernet};
use biorule::search::relax::Relaxation;
use biorule::search::relaxed::{Relaxed, fitness};
use biorule::search::space::Space;
use biorule::train::criterion::Criterion;
use candle_core::{DType, Tensor};

use super::maths::space;
use super::names::Names;
use super::{Outcome, compare_all};
use crate::Result;
use crate::golden::{Checks, File, Recogniser};

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "exploration",
        understands: |file| file.has("s0.fitness") && file.has("warm.x"),
        run,
    }]
}

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let is_input = |name: &str| {
        ["x", "y", "warm.x"].contains(&name) || (name.starts_with("alpha.") || name.ends_with(".v"))
    };
    compare_all(file, checks, &is_input, &|dtype, _| outcome(file, dtype))
}

const KINDS: [&str; 2] = ["normal", "reduce"];

/// Logits, mean loss and accuracy in per cent under `weights`.
struct Measured {
    logits: Tensor,
    loss: f64,
    accuracy: f64,
}

fn measure(
    network: &mut Network,
    weights: &Tables,
    (x, answers): (&Tensor, &Answers),
) -> Result<Measured> {
    let tables = weights.clone();
    network.set_mixture(&Mixture { tables })?;
    let logits = network.forward_all(&mut Pass::inference(), x)?;
    let criterion = Criterion::from(Loss::CrossEntropy);
    let sums = criterion.score(&logits, answers)?.sums.to_vec1::<f64>()?;
    let n = answers.len() as f64;
    Ok(Measured {
        logits,
        loss: sums[0] / n,
        accuracy: 100.0 * sums[1] / n,
    })
}

/// A table for each kind of cell from numbers one after the other.
fn tables(space: &Space, numbers: &[f64]) -> Tables {
    let columns = space.candidates.len();
    let of_kind = numbers.chunks(numbers.len() / KINDS.len());
    let rows = |part: &[f64]| part.chunks(columns).map(Vec::from).collect();
    let named = KINDS.into_iter().zip(of_kind);
    named
        .map(|(kind, part)| (kind.to_owned(), rows(part)))
        .collect()
}

/// A supernet of the recipe, in training mode.
fn supernet(file: &File, space: &Space, dtype: DType) -> Result<Network> {
    assert_eq!(space.partial, file.count("k")?);
    let size = Size::new(file.count("C")?, file.count("layers")?, Stem::Cifar);
    let what = Supernet {
        recompute: true,
        edge_weights: false,
        auxiliary_skip: false,
    };
    let blocks = network::supernet(space, &size, what)?;
    let names = Names {
        prefix: String::new(),
        candidates: space.candidates.clone(),
    };
    let warm = file.tensor("warm.x")?.to_dtype(dtype)?;
    let mut network = names.network(&blocks, &warm.dims()[1..], dtype, &|_| None)?;
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    });
    Ok(network)
}

fn outcome(file: &File, dtype: DType) -> Result<Outcome<'_>> {
    let space = space(&file.json("space")?)?;
    let relaxed = Relaxed::new(space.clone(), Relaxation::Softmax, false);
    let mut network = supernet(file, &space, dtype)?;
    let alphas = [file.values("alpha.normal")?, file.values("alpha.reduce")?].concat();
    let alphas = tables(&space, &alphas);
    let now = relaxed.mixture(&alphas);
    network.set_mixture(&now)?;
    let warm = file.tensor("warm.x")?.to_dtype(dtype)?;
    network.forward_all(&mut Pass::local(Clock::default()), &warm)?;
    network.set_mode(&Mode::default());
    let x = file.tensor("x")?.to_dtype(dtype)?;
    let answers = Answers::Classes(file.tensor("y")?.to_dtype(DType::U32)?);
    let batch = (&x, &answers);
    let mut out = Outcome::new(file, dtype);
    out.recomputes = false;
    let base = measure(&mut network, &now.tables, batch)?;
    out.tensor("base.logits", &base.logits);
    out.numbers("base.acc", vec![base.accuracy])?;
    let pull = file.number("lambda")?;
    let mut best: Option<(usize, f64, Tables)> = None;
    for sample in (0..).take_while(|s| file.has(&format!("s{s}.v"))) {
        let v = tables(&space, &file.values(&format!("s{sample}.v"))?);
        let weights = fitness::weights(&v);
        let similarity = fitness::similarity(&now.tables, &v);
        let own = measure(&mut network, &weights, batch)?;
        let better = own.accuracy >= base.accuracy;
        let value = fitness::fitness(own.loss, similarity, pull, better);
        out.tensor(&format!("s{sample}.logits"), &own.logits);
        for (name, number) in [
            ("ce", own.loss),
            ("acc", own.accuracy),
            ("similarity", similarity),
            ("fitness", value),
        ] {
            out.numbers(&format!("s{sample}.{name}"), vec![number])?;
        }
        for kind in KINDS {
            let name = format!("s{sample}.weights_{kind}");
            out.numbers(&name, weights[kind].concat())?;
        }
        if best.as_ref().is_none_or(|(_, least, _)| value < *least) {
            best = Some((sample, value, weights));
        }
    }
    let (index, _, winner) = best.ok_or("no samples")?;
    out.numbers("best.index", vec![index as f64])?;
    let twice = fitness::again(&winner);
    let own = measure(&mut network, &twice, batch)?;
    out.numbers("best.acc_cifar", vec![own.accuracy])?;
    let step = (file.number("step_size")?, 0.0);
    for (script, direction) in [("cifar", &twice), ("single_softmax", &winner)] {
        let (after, _) = fitness::moved(&alphas, direction, None, step);
        for kind in KINDS {
            let name = format!("alpha_after.{kind}_{script}");
            out.numbers(&name, after[kind].concat())?;
        }
    }
    for kind in KINDS {
        let name = format!("best.direction_{kind}_cifar");
        out.numbers(&name, twice[kind].concat())?;
    }
    Ok(out)
}
