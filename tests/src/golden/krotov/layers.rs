//! Files of one layer: all its steps, and what happens inside the first one,
//! through both of the rule's paths.

use crate::Result;
use crate::golden::{Checks, File, Tolerance};
use crate::network::{TestNetwork, layer, layer_block};
use biorule::config::{BlockPlan, Drive, LayerPlan, MapPlan, ParamValue};
use candle_core::{DType, Tensor};

use super::{BIAS, MEAN, VAR, WEIGHT, convergence_limit, dtype, limit};

pub fn run(f: &File, checks: &mut Checks) -> Result<()> {
    for path in ["ops", "fused"] {
        steps(f, path, checks)?;
        first_step(f, path, checks)?;
    }
    Ok(())
}

/// The layer that the metadata describes, with the weights it starts from, learning.
pub fn build(f: &File, x: &Tensor, extra: &[(&str, ParamValue)]) -> Result<TestNetwork> {
    let plan = plan(f, extra)?;
    let blocks = [BlockPlan {
        flatten: plan.map == MapPlan::Dense && x.rank() > 2,
        ..layer_block("bio", plan)
    }];
    let mut driven = TestNetwork::build(&blocks, &x.dims()[1..], dtype(f))?;
    driven.train(&["bio"], Drive::Local);
    let mut start = vec![(WEIGHT, f.tensor("w0")?)];
    if f.has("b0") {
        start.push((BIAS, f.tensor("b0")?));
    }
    driven.set(&start)?;
    Ok(driven)
}

fn plan(f: &File, extra: &[(&str, ParamValue)]) -> Result<LayerPlan> {
    let w = f.tensor("w0")?;
    let map = match w.rank() {
        2 => MapPlan::Dense,
        _ => conv_map(f, [w.dim(2)?, w.dim(3)?])?,
    };
    let rank = f.count("ranking_param")? as i64;
    let mut params = vec![
        ("lebesgue_p", ParamValue::Float(f.number("lebesgue_p")?)),
        ("delta", ParamValue::Float(f.number("delta")?)),
        ("ranking_param", ParamValue::Int(rank)),
    ];
    params.extend_from_slice(extra);
    Ok(LayerPlan {
        bias: f.has("b0"),
        ..layer("krotov", map, w.dim(0)?, &params)
    })
}

fn conv_map(f: &File, kernel: [usize; 2]) -> Result<MapPlan> {
    let pair = |key: &str| -> Result<[usize; 2]> {
        match f.find(key) {
            None => Ok([1, 1]),
            Some(_) => two(&f.counts(key)?),
        }
    };
    let dilation = pair("dilation")?;
    let padding = match f.find("padding").map(|text| text.trim_matches('"')) {
        None | Some("valid") => [0; 4],
        Some("same") => {
            let [rows, columns] = [0, 1].map(|axis: usize| dilation[axis] * (kernel[axis] - 1));
            // The smaller half in front.
            [rows / 2, rows.div_ceil(2), columns / 2, columns.div_ceil(2)]
        }
        Some(_) => {
            let [rows, columns] = two(&f.counts("padding")?)?;
            [rows, rows, columns, columns]
        }
    };
    Ok(MapPlan::Conv {
        kernel,
        stride: pair("stride")?,
        padding,
        dilation,
        groups: groups(f)?,
        padding_mode: {
            let name = f.find("padding_mode").unwrap_or("zeros");
            name.parse()
                .map_err(|()| format!("no padding mode `{name}`"))?
        },
    })
}

fn groups(f: &File) -> Result<usize> {
    f.find("groups").map_or(Ok(1), |_| f.count("groups"))
}

/// One number for both axes, or one for each.
fn two(values: &[usize]) -> Result<[usize; 2]> {
    match values {
        [both] => Ok([*both; 2]),
        [rows, columns] => Ok([*rows, *columns]),
        other => Err(format!("expected one or two numbers, found {other:?}").into()),
    }
}

fn path_param(path: &str) -> (&'static str, ParamValue) {
    ("path", ParamValue::Text(path.into()))
}

fn steps(f: &File, path: &str, checks: &mut Checks) -> Result<()> {
    let limit = limit(dtype(f));
    let x_eval = f.tensor("x_eval")?;
    let mut driven = build(f, &x_eval, &[path_param(path)])?;
    let y = driven.evaluate(&x_eval)?;
    checks.compare("y_before", &y, &f.tensor("y_before")?, limit)?;
    let mut convergence = Vec::new();
    for (i, lr) in (1..).zip(f.values("lrs")?) {
        driven.clock.local_rate = Some(lr);
        driven.learn(&f.tensor(&format!("x{i}"))?)?;
        convergence.push(driven.metric("convergence")?);
        for (short, name) in [
            ("w", WEIGHT),
            ("b", BIAS),
            ("bn_mean", MEAN),
            ("bn_var", VAR),
        ] {
            let golden = format!("{short}_after{i}");
            if f.has(&golden) {
                let got = driven.tensor(name)?;
                checks.compare(&golden, &got, &f.tensor(&golden)?, limit)?;
            }
        }
        let golden = format!("y_after{i}");
        if f.has(&golden) {
            let y = driven.evaluate(&x_eval)?;
            checks.compare(&golden, &y, &f.tensor(&golden)?, limit)?;
        }
    }
    let want = f.values("convergence")?;
    let limit = convergence_limit(dtype(f));
    checks.compare_values("convergence", &convergence, &want, limit);
    Ok(())
}

/// A step at rate 1 shows the update; an output under the batch's own statistics shows
/// the currents, and their order is the ranking.
fn first_step(f: &File, path: &str, checks: &mut Checks) -> Result<()> {
    let limit = limit(dtype(f));
    let x = f.tensor("x1")?;
    let powered = ("bias_output", ParamValue::Text("powered".into()));
    let mut driven = build(f, &x, &[path_param(path), powered])?;
    let flat = f.tensor("w0")?.rank() == 2;
    let (mean, var) = statistics(&if flat { x.flatten_from(1)? } else { x.clone() })?;
    driven.set(&[(MEAN, mean), (VAR, var)])?;
    let currents = by_unit(&driven.evaluate(&x)?)?;
    checks.compare("currents1", &currents, &f.tensor("currents1")?, limit)?;
    ranking(f, &currents, checks)?;

    driven.clock.local_rate = Some(1.0);
    let before = learned(f, &driven)?;
    driven.learn(&x)?;
    let update = (learned(f, &driven)? - before)?;
    checks.compare("update1", &update, &f.tensor("update1")?, limit)
}

/// Weights, behind a column of the bias where there is one.
fn learned(f: &File, driven: &TestNetwork) -> Result<Tensor> {
    let w = driven.tensor(WEIGHT)?;
    if !f.has("b0") {
        return Ok(w);
    }
    Ok(Tensor::cat(&[driven.tensor(BIAS)?.unsqueeze(1)?, w], 1)?)
}

/// Mean and biased variance of each channel of `[B, C, H, W]`, or each value of `[B, D]`.
fn statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let x = x.to_dtype(DType::F64)?;
    let rows = x.transpose(0, 1)?.contiguous()?.flatten_from(1)?;
    let mean = rows.mean_keepdim(1)?;
    let var = rows.broadcast_sub(&mean)?.sqr()?.mean(1)?;
    Ok((mean.squeeze(1)?, var))
}

/// `[B, K, P, Q]` or `[B, K]` to `[K, B·P·Q]`.
fn by_unit(y: &Tensor) -> Result<Tensor> {
    Ok(y.transpose(0, 1)?.contiguous()?.flatten_from(1)?)
}

/// The order of the currents within each group, against `rank_idx1`.
fn ranking(f: &File, currents: &Tensor, checks: &mut Checks) -> Result<()> {
    let k = f.count("ranking_param")?;
    let mut ranks = Vec::new();
    for group in currents.chunk(groups(f)?, 0)? {
        let order = group.t()?.contiguous()?.arg_sort_last_dim(false)?;
        ranks.push(order.narrow(1, 0, k)?.t()?);
    }
    let ranks = Tensor::cat(&ranks, 0)?;
    let want = f.tensor("rank_idx1")?;
    checks.compare("rank_idx1", &ranks, &want, Tolerance::Exact)
}
