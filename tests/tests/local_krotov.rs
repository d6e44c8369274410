//! Properties of the rule `krotov`, on layers no reference file covers.

use biorule::config::{LayerPlan, MapPlan, ParamValue};
use biorule::nn::rule::Errors;
use biorule::plan::PadMode;
use biorule_tests::Result;
use biorule_tests::golden::Driven;
use biorule_tests::network::layer;
use biorule_tests::numbers::noise;
use biorule_tests::windows::windows;
use candle_core::{DType, Tensor};

const P: f64 = 3.0;
const DELTA: f64 = 0.3;
const RANK: usize = 3;

fn params(path: &str, variant: &str) -> Vec<(&'static str, ParamValue)> {
    vec![
        ("path", ParamValue::Text(path.into())),
        ("variant", ParamValue::Text(variant.into())),
        ("lebesgue_p", ParamValue::Float(P)),
        ("delta", ParamValue::Float(DELTA)),
        ("ranking_param", ParamValue::Int(RANK as i64)),
    ]
}

fn plan(map: &MapPlan, units: usize, path: &str) -> LayerPlan {
    layer("krotov", map.clone(), units, &params(path, "biopytorch"))
}

/// Stride with dilation, which the reference cannot do, in every padding mode.
fn maps() -> Vec<MapPlan> {
    let modes = PadMode::ALL;
    let shapes = [
        ([3, 2], [2, 3], [1, 2, 0, 1], [2, 1], 2),
        ([2, 3], [1, 2], [2, 0, 1, 1], [1, 2], 1),
    ];
    let mut maps = Vec::new();
    for mode in modes {
        for (kernel, stride, padding, dilation, groups) in shapes {
            maps.push(MapPlan::Conv {
                kernel,
                stride,
                padding,
                dilation,
                groups,
                padding_mode: mode,
            });
        }
    }
    maps
}

fn normalised(x: &Tensor) -> Result<Tensor> {
    let axes = [0, 2, 3];
    let centred = x.broadcast_sub(&x.mean_keepdim(axes)?)?;
    let var = centred.sqr()?.mean_keepdim(axes)?;
    Ok(centred.broadcast_div(&(var + 1e-5)?.sqrt()?)?)
}

fn s(w: f64) -> f64 {
    w.signum() * w.abs().powf(P - 1.0)
}

/// The update of one group as the paper writes it: `x` rows, `w` rows.
fn update(x: &[Vec<f64>], w: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut raw = vec![vec![0.0; w[0].len()]; w.len()];
    for x in x {
        let q: Vec<f64> = w
            .iter()
            .map(|w| w.iter().zip(x).map(|(w, x)| s(*w) * x).sum())
            .collect();
        let mut order: Vec<usize> = (0..w.len()).collect();
        order.sort_by(|&a, &b| q[b].total_cmp(&q[a]));
        for (unit, g) in [(order[0], 1.0), (order[RANK - 1], -DELTA)] {
            for (r, (x, w)) in raw[unit].iter_mut().zip(x.iter().zip(&w[unit])) {
                *r += g * x - g * q[unit] * w;
            }
        }
    }
    for row in &mut raw {
        let largest = row.iter().fold(0.0, |m: f64, r| m.max(r.abs()));
        row.iter_mut().for_each(|r| *r /= largest + 1e-5);
    }
    raw
}

fn rows(t: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(t.flatten_from(1)?.to_vec2()?)
}

fn largest(t: &Tensor) -> Result<f64> {
    Ok(t.abs()?.flatten_all()?.max(0)?.to_scalar()?)
}

#[test]
fn both_paths_equal_the_paper_on_every_geometry() -> Result<()> {
    let (units, rate) = (8, 0.07);
    for (case, map) in maps().iter().enumerate() {
        let x = noise(case as u64 + 1, &[3, 4, 7, 8], DType::F64)?;
        for path in ["ops", "fused"] {
            let mut layer = Driven::bind(&plan(map, units, path), &[4, 7, 8], DType::F64)?;
            layer.call.rate = Some(rate);
            let before = layer.get("weight")?.copy()?;
            let step = layer.learn(&x, None)?;
            let got = rows(&step.change("weight")?)?;
            let groups = windows(map, &normalised(&x)?)?;
            let each = units / groups.len();
            for (group, x) in groups.iter().enumerate() {
                let w = rows(&before.narrow(0, group * each, each)?)?;
                for (unit, want) in update(x, &w).iter().enumerate() {
                    for (got, want) in got[group * each + unit].iter().zip(want) {
                        assert!(
                            (got - rate * want).abs() < 1e-12,
                            "{map:?}, {path}, unit {unit} of group {group}: {got}, {want}"
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

fn conv(groups: usize) -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups,
        padding_mode: PadMode::Zeros,
    }
}

#[test]
fn groups_are_separate_layers() -> Result<()> {
    let x = noise(3, &[4, 6, 6, 6], DType::F64)?;
    let mut whole = Driven::bind(&plan(&conv(2), 10, "auto"), &[6, 6, 6], DType::F64)?;
    let w = whole.get("weight")?.copy()?;
    let change = whole.learn(&x, None)?.change("weight")?.clone();
    for group in 0..2 {
        let mut part = Driven::bind(&plan(&conv(1), 5, "auto"), &[3, 6, 6], DType::F64)?;
        part.set("weight", w.narrow(0, 5 * group, 5)?)?;
        let slice = x.narrow(1, 3 * group, 3)?.contiguous()?;
        let step = part.learn(&slice, None)?;
        let want = change.narrow(0, 5 * group, 5)?;
        assert!(largest(&(step.change("weight")? - want)?)? < 1e-13);
    }
    Ok(())
}

#[test]
fn permuted_units_learn_the_permuted_update() -> Result<()> {
    let (x, units) = (noise(5, &[12, 20], DType::F64)?, 9);
    let dense = plan(&MapPlan::Dense, units, "auto");
    let mut straight = Driven::bind(&dense, &[20], DType::F64)?;
    let mut turned = Driven::bind(&dense, &[20], DType::F64)?;
    let order: Vec<u32> = (0..units as u32).map(|u| (u * 4 + 2) % 9).collect();
    let order = Tensor::new(order, x.device())?;
    turned.set("weight", straight.get("weight")?.index_select(&order, 0)?)?;
    let want = straight
        .learn(&x, None)?
        .change("weight")?
        .index_select(&order, 0)?;
    let got = turned.learn(&x, None)?;
    assert!(largest(&(got.change("weight")? - want)?)? < 1e-13);
    Ok(())
}

#[test]
fn steps_stay_below_the_rate_and_idle_units_stay_where_they_are() -> Result<()> {
    let x = noise(7, &[2, 3, 5, 5], DType::F64)?;
    let mut layer = Driven::bind(&plan(&conv(1), 64, "auto"), &[3, 5, 5], DType::F64)?;
    layer.call.rate = Some(0.2);
    let step = layer.learn(&x, None)?;
    let change = rows(&step.change("weight")?)?;
    let sizes = change
        .iter()
        .map(|row| row.iter().fold(0.0, |m: f64, v| m.max(v.abs())));
    let (idle, active): (Vec<f64>, Vec<f64>) = sizes.partition(|&size| size == 0.0);
    assert!(!idle.is_empty() && !active.is_empty());
    assert!(
        active.iter().all(|&size| size < 0.2 && size > 0.199),
        "{active:?}"
    );
    let share = layer.metric("idle_share")?;
    assert_eq!(share, idle.len() as f64 / 64.0);
    Ok(())
}

#[test]
fn a_unit_of_norm_one_keeps_it_to_first_order() -> Result<()> {
    let x = noise(9, &[16, 12], DType::F64)?;
    let drift = |rate: f64| -> Result<f64> {
        let mut layer = Driven::bind(&plan(&MapPlan::Dense, 6, "auto"), &[12], DType::F64)?;
        let w = layer.get("weight")?;
        let norms = w.abs()?.powf(P)?.sum_keepdim(1)?.powf(1.0 / P)?;
        layer.set("weight", w.broadcast_div(&norms)?)?;
        layer.call.rate = Some(rate);
        layer.learn(&x, None)?;
        layer.metric("convergence")
    };
    let (coarse, fine) = (drift(1e-3)?, drift(1e-4)?);
    assert!(coarse > 0.0);
    assert!(
        (coarse / fine - 100.0).abs() < 10.0,
        "{coarse} against {fine}"
    );
    Ok(())
}

#[test]
fn a_rate_of_nothing_moves_only_the_statistics() -> Result<()> {
    let x = noise(11, &[8, 5], DType::F64)?;
    let mut layer = Driven::bind(&plan(&MapPlan::Dense, 4, "auto"), &[5], DType::F64)?;
    let before = layer.get("weight")?.copy()?;
    layer.call.rate = Some(0.0);
    layer.learn(&x, None)?;
    assert_eq!(largest(&(layer.get("weight")? - before)?)?, 0.0);
    let mean = layer.get("batch_norm.running_mean")?;
    assert!(largest(&(mean - (x.mean(0)? * 0.1)?)?)? < 1e-15);
    let count: Vec<f64> = layer.get("batch_norm.num_batches_tracked")?.to_vec1()?;
    assert_eq!(count, [1.0]);
    Ok(())
}

#[test]
fn the_error_below_is_the_gradient_of_the_output() -> Result<()> {
    for variant in ["biopytorch", "original"] {
        let map = maps().remove(1);
        let plan = layer("krotov", map, 6, &params("auto", variant));
        let mut driven = Driven::bind(&plan, &[4, 5, 6], DType::F64)?;
        let x = noise(13, &[2, 4, 5, 6], DType::F64)?;
        driven.learn(&x, None)?;
        let y = driven.evaluate(&x)?;
        let grad_y = noise(14, y.dims(), DType::F64)?;
        let errors = Errors {
            x: &x,
            y: &y,
            kept: &Vec::new(),
            grad_y: &grad_y,
            output_error: None,
            target: None,
            losses: None,
            want_grad_x: true,
            want_grads: false,
        };
        let got = driven
            .rule()
            .input_gradient(&driven.call, driven.state(), &errors)?
            .ok_or("the rule has a forward of its own")?;
        let along = noise(15, x.dims(), DType::F64)?;
        let at = |step: f64| -> Result<f64> {
            let y = driven.evaluate(&(&x + (&along * step)?)?)?;
            Ok((y * &grad_y)?.sum_all()?.to_scalar()?)
        };
        let slope = (at(1e-4)? - at(-1e-4)?) / 2e-4;
        let want: f64 = (got * along)?.sum_all()?.to_scalar()?;
        assert!(
            (slope - want).abs() < 1e-7 * want.abs().max(1.0),
            "{variant}: {slope}, {want}"
        );
    }
    Ok(())
}

#[test]
fn what_it_cannot_do_is_said_early() -> Result<()> {
    let refusal = |plan: &LayerPlan, input: &[usize]| match Driven::bind(plan, input, DType::F32) {
        Ok(_) => panic!("{plan:?} was accepted"),
        Err(error) => error.to_string(),
    };
    let few = refusal(&plan(&conv(2), 4, "auto"), &[4, 5, 5]);
    assert!(
        few.contains("`ranking_param` = 3") && few.contains("found 2"),
        "{few}"
    );
    let bias = LayerPlan {
        bias: true,
        ..plan(&conv(1), 8, "auto")
    };
    assert!(refusal(&bias, &[4, 5, 5]).contains("bias = false"));
    let mut layer = Driven::bind(&plan(&MapPlan::Dense, 4, "auto"), &[5], DType::F64)?;
    let one = layer.learn(&noise(1, &[1, 5], DType::F64)?, None);
    let text = one.err().ok_or("a batch of one was accepted")?.to_string();
    assert!(text.contains("batch of 2 or more"), "{text}");
    Ok(())
}
