//! The testkit of the plugin interface against the real host: every op of its table gives
//! what the host's gives, and a rule steps alike on both.
//!
//! One test, because the table is the process's: first everything on arrays, then the same
//! on Candle.

use biorule::plugins::table::host_table;
use biorule_plugin_api::abi::HostArg;
use biorule_plugin_api::abi::host;
use biorule_plugin_api::prelude::*;
use biorule_plugin_api::sdk::PadMode;
use biorule_plugin_api::testkit::{self, Array, Site};

type Values = Result<Vec<f64>>;

/// A tensor of the host that is installed.
fn tensor(array: &Array, dtype: DType) -> Result<Tensor> {
    let seed = Tensor::build_f32(&[1], |v| v[0] = 0.0)?.to_dtype(dtype)?;
    seed.values_like(array.shape(), array.values())
}

/// Shape, type and values, so that all three are compared.
fn seen(t: Result<Tensor>) -> Values {
    let t = t?;
    let mut out: Vec<f64> = t.shape()?.iter().map(|n| *n as f64).collect();
    out.push(f64::from(t.dtype()? as u8));
    out.extend(t.to_vec()?);
    Ok(out)
}

type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// Ops on `a: [2, 3, 4]` and `b: [3, 1]`, both with positive and negative values.
const OPS: &[(&str, Op)] = &[
    ("clone", |a, _| Ok(a.clone())),
    ("full", |a, _| a.full_like(&[2, 2], 1.25)),
    ("full of another type", |a, _| {
        a.full_of(&[3], DType::U32, 7.0)
    }),
    ("arange", |a, _| a.arange_like(5, DType::F32)),
    ("reshape", |a, _| a.reshape(&[4, 6])),
    ("permute", |a, _| a.permute(&[2, 0, 1])),
    ("narrow", |a, _| a.narrow(2, 1, 2)),
    ("broadcast", |_, b| b.broadcast_as(&[2, 3, 4])),
    ("cat", |a, _| Tensor::cat(&[a, &a.neg()?, a], 1)),
    ("index_select", |a, _| {
        a.index_select(
            &a.values_like(&[3], &[2.0, 0.0, 2.0])?
                .to_dtype(DType::U32)?,
            1,
        )
    }),
    ("gather", |a, _| a.gather(&a.argmax(1, true)?, 1)),
    ("one_hot", |a, _| a.argmax(2, false)?.one_hot(4, DType::F64)),
    ("to_dtype", |a, _| a.abs()?.scale(10.0)?.to_dtype(DType::U8)),
    ("neg", |a, _| a.neg()),
    ("abs", |a, _| a.abs()),
    ("sign", |a, _| a.relu()?.sub(&a.neg()?.relu()?)?.sign()),
    ("sign of zero", |a, _| a.scale(0.0)?.sign()),
    ("exp", |a, _| a.exp()),
    ("ln", |a, _| a.abs()?.affine(1.0, 0.1)?.ln()),
    ("sqrt", |a, _| a.abs()?.sqrt()),
    ("sqr", |a, _| a.sqr()),
    ("recip", |a, _| a.abs()?.affine(1.0, 0.5)?.recip()),
    ("relu", |a, _| a.relu()),
    ("tanh", |a, _| a.tanh()),
    ("sigmoid", |a, _| a.sigmoid()),
    ("affine", |a, _| a.affine(-2.0, 0.5)),
    ("powf", |a, _| a.abs()?.powf(1.7)),
    ("clamp", |a, _| a.clamp(-0.25, 0.5)),
    ("add", |a, b| a.add(b)),
    ("sub", |a, b| a.sub(b)),
    ("mul", |a, b| b.mul(a)),
    ("div", |a, b| a.div(&b.abs()?.affine(1.0, 0.5)?)),
    ("maximum", |a, b| a.maximum(b)),
    ("minimum", |a, b| a.minimum(b)),
    ("eq", |a, _| a.eq(&a.clamp(0.0, 9.0)?)),
    ("lt", |a, b| a.lt(b)),
    ("le", |a, b| a.le(b)),
    ("select", |a, b| a.where_mask(&a.lt(b)?, b)),
    ("sum", |a, _| a.sum(&[0, 2])),
    ("sum, kept", |a, _| a.sum_keepdim(&[1])),
    ("mean", |a, _| a.mean(&[1, 2])),
    ("mean, kept", |a, _| a.mean_keepdim(&[0])),
    ("max", |a, _| a.max(1, false)),
    ("min, kept", |a, _| a.min(2, true)),
    ("argmax", |a, _| a.argmax(1, false)),
    ("argmax on ties", |a, _| a.scale(0.0)?.argmax(2, true)),
    ("argrank", |a, _| a.argrank(2, 1, false)),
    ("argrank on ties", |a, _| a.scale(0.0)?.argrank(3, 2, true)),
    ("max_all", |a, _| a.max_all()),
    ("matmul", |a, _| a.matmul(&a.permute(&[0, 2, 1])?)),
    ("matmul of one matrix", |a, _| {
        a.narrow(0, 0, 1)?.matmul(&a.permute(&[0, 2, 1])?)
    }),
    ("softmax", |a, _| a.softmax(1, 2.5)),
    ("row_norms", |a, _| a.row_norms(2.0)),
    ("row_norms of another order", |a, _| a.row_norms(3.0)),
    ("row_norms of a broken order", |a, _| a.row_norms(2.5)),
    ("sub_rows", |a, b| {
        Ok(a.sub_rows(&b.narrow(0, 0, 2)?, &a.sqr()?)?.0)
    }),
    ("sub_rows, largest", |a, b| {
        Ok(a.sub_rows(&b.narrow(0, 0, 2)?, &a.sqr()?)?.1)
    }),
    ("view_f32", |a, _| {
        let single = a.to_dtype(DType::F32)?.reshape(&[24])?;
        let values: Vec<f64> = single.view_f32()?.iter().map(|v| f64::from(*v)).collect();
        single.values_like(&[24], &values)
    }),
    ("build_f32", |_, _| {
        Tensor::build_f32(&[2, 2], |v| v.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]))
    }),
    ("a shape that does not fit", |a, _| a.reshape(&[5])),
    ("an index outside", |a, _| a.narrow(1, 2, 2)),
    ("mixed types", |a, b| a.add(&b.to_dtype(DType::U32)?)),
    ("rows of another number", |a, b| Ok(a.sub_rows(b, a)?.0)),
];

/// Names of ops above that must fail on both.
const FAILING: [&str; 4] = [
    "a shape that does not fit",
    "an index outside",
    "mixed types",
    "rows of another number",
];

/// Layers for the maps.
fn sites() -> Vec<Site> {
    let conv = || Site::conv([4, 6, 5], 6, 3);
    let mut all = vec![Site::dense(7, 5), conv()];
    for pad_mode in [
        PadMode::Zeros,
        PadMode::Reflect,
        PadMode::Replicate,
        PadMode::Circular,
    ] {
        all.push(conv().with(|c| (c.padding, c.pad_mode) = ([1, 2, 2, 1], pad_mode)));
    }
    all.push(conv().with(|c| (c.stride, c.groups) = ([2, 1], 2)));
    all.push(conv().with(|c| {
        (c.kernel, c.dilation, c.padding) = ([2, 3], [2, 1], [1; 4]);
    }));
    all.push(Site::conv([4, 6, 5], 8, 3).with(|c| c.groups = 4));
    all
}

/// A winner takes all, so that the fused step is compared too.
struct Winner;
impl Competition for Winner {
    fn compete<T: Real>(&self, tile: &mut Tile<'_, T>) {
        for lane in 0..tile.lanes {
            let mut best = 0;
            for k in 1..tile.k {
                if tile.u(k)[lane] > tile.u(best)[lane] {
                    best = k;
                }
            }
            for k in 0..tile.k {
                tile.y(k)[lane] = T::of(f64::from(u8::from(k == best)));
            }
        }
    }
}

fn maps(site: &Site, dtype: DType) -> Result<Vec<(String, Values)>> {
    let layer = testkit::layer(site)?;
    let at = |seed, shape: &[usize]| tensor(&Array::noise(seed, shape), dtype);
    let shaped = |one: &[usize]| [&[3], one].concat();
    let x = at(1, &shaped(layer.input_shape()))?;
    let g = at(2, &shaped(layer.output_shape()))?;
    let w = at(3, &layer.weight_shape())?;
    let bias = at(4, &[layer.units()])?;
    let competed = layer.compete(&x, &w, Some(&bias), site.conv.is_some(), &Winner)?;
    let mut out = vec![
        ("forward", layer.forward(&x, &w)),
        ("feedback", layer.feedback(&g, &w)),
        ("correlate", layer.correlate(&x, &g)),
        ("patches", layer.patches(&x)),
        ("compete, u", Ok(competed.u)),
        ("compete, correlation", Ok(competed.correlation)),
        ("compete, yu", Ok(competed.yu)),
        ("compete, y_sum", Ok(competed.y_sum)),
        ("a weight that does not fit", layer.forward(&x, &bias)),
    ];
    // Direct feedback: a weight with another number of outputs.
    if site.conv.is_none() {
        let b = at(5, &layer.weight_shape_for(2))?;
        out.push((
            "feedback from two outputs",
            layer.feedback(&at(6, &[3, 2])?, &b),
        ));
    }
    Ok(out
        .into_iter()
        .map(|(name, t)| (format!("{name} of {site:?}"), seen(t)))
        .collect())
}

/// Everything, on the host that is installed.
fn everything(dtype: DType) -> Result<Vec<(String, Values)>> {
    let a = tensor(&Array::noise(7, &[2, 3, 4]), dtype)?;
    let b = tensor(&Array::noise(8, &[3, 1]), dtype)?;
    let mut out: Vec<(String, Values)> = OPS
        .iter()
        .map(|(name, op)| ((*name).to_owned(), seen(op(&a, &b))))
        .collect();
    for site in sites() {
        out.extend(maps(&site, dtype)?);
    }
    Ok(out)
}

#[test]
fn the_testkit_computes_what_the_host_computes() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        testkit::install();
        let arrays = everything(dtype).unwrap();
        host::install(HostArg(std::ptr::from_ref(host_table()).cast()));
        let candle = everything(dtype).unwrap();
        assert_eq!(arrays.len(), candle.len());
        for ((name, arrays), (_, candle)) in arrays.iter().zip(&candle) {
            let fails = FAILING.contains(&name.as_str()) || name.starts_with("a weight that");
            match (arrays, candle) {
                (Ok(arrays), Ok(candle)) if !fails => {
                    assert_eq!(arrays.len(), candle.len(), "{name}: {arrays:?} {candle:?}");
                    for (a, c) in arrays.iter().zip(candle) {
                        let near = (a - c).abs() <= tolerance * c.abs().max(1.0);
                        assert!(near, "{name} in {dtype:?}: {a} on arrays, {c} on the host");
                    }
                }
                (Err(_), Err(_)) if fails => {}
                other => panic!("{name} in {dtype:?}: {other:?}"),
            }
        }
    }
}
