//! The op table over arrays: the host that a rule's own tests run against.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::std_types::{RResult, RSlice, RStr, RVec};

use super::array::{Array, common, normal, uniform};
use super::handle::{Slot, give, look, slot, take};
use super::{maps, ops};
use crate::abi::glue::panic_text;
use crate::abi::types::*;
use crate::abi::{API_VERSION, HostArg, HostTable};
use crate::sdk::{DType, Result, RuleError};

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

fn layer_of<'a>(layer: *const RawLayer) -> &'a RawLayer {
    // SAFETY: the SDK passes the `RawLayer` inside its own `LayerSpec`, alive during the call.
    unsafe { &*layer }
}

/// Runs an op; errors and panics become failure values with the op's name.
fn run<T>(op: &str, body: impl FnOnce() -> Result<T>) -> RawResult<T> {
    let RawFailure { code, message } = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return RResult::ROk(value),
        Ok(Err(error)) => error.to_raw(),
        Err(panic) => RuleError::host(panic_text(&*panic)).to_raw(),
    };
    RResult::RErr(RawFailure {
        code,
        message: format!("op `{op}`: {message}").into(),
    })
}

fn out(op: &str, body: impl FnOnce() -> Result<Array>) -> Out {
    run(op, || body().map(give))
}

extern "C" fn clone_tensor(t: RawTensor) -> RawTensor {
    give(look(t).clone())
}
extern "C" fn drop_tensor(t: RawTensor) {
    if !t.is_null() {
        drop(take(t));
    }
}
extern "C" fn shape(t: RawTensor) -> RVec<usize> {
    look(t).shape().iter().copied().collect()
}
extern "C" fn dtype(t: RawTensor) -> Code {
    look(t).dtype().code()
}
extern "C" fn on_cpu(_: RawTensor) -> bool {
    true
}

// Creation.

/// An array of these values.
fn filled(dims: Dims<'_>, dtype: Code, values: Vec<f64>) -> Result<Array> {
    let shape = dims.as_slice();
    if shape.iter().product::<usize>() != values.len() {
        let text = format!("{} values for the shape {shape:?}", values.len());
        return Err(RuleError::shape(text));
    }
    Ok(Array::of(DType::from_code(dtype)?, shape, values))
}
fn count(dims: Dims<'_>) -> usize {
    dims.iter().product()
}
extern "C" fn full(_: RawTensor, dims: Dims<'_>, dtype: Code, value: f64) -> Out {
    out("full", || filled(dims, dtype, vec![value; count(dims)]))
}
extern "C" fn from_f64(_: RawTensor, dims: Dims<'_>, dtype: Code, v: RSlice<'_, f64>) -> Out {
    out("from_f64", || filled(dims, dtype, v.as_slice().to_vec()))
}
extern "C" fn arange(_: RawTensor, n: usize, dtype: Code) -> Out {
    let values = (0..n).map(|i| i as f64).collect();
    out("arange", || filled(RSlice::from_slice(&[n]), dtype, values))
}
extern "C" fn random_uniform(
    _: RawTensor,
    dims: Dims<'_>,
    dtype: Code,
    lo: f64,
    hi: f64,
    seed: u64,
) -> Out {
    out("random_uniform", || {
        let mut next = uniform(seed);
        let values = (0..count(dims)).map(|_| lo + (hi - lo) * next()).collect();
        filled(dims, dtype, values)
    })
}
extern "C" fn random_normal(
    _: RawTensor,
    dims: Dims<'_>,
    dtype: Code,
    mean: f64,
    std: f64,
    seed: u64,
) -> Out {
    out("random_normal", || {
        let mut next = normal(seed);
        let values = (0..count(dims)).map(|_| mean + std * next()).collect();
        filled(dims, dtype, values)
    })
}
extern "C" fn build_f32(dims: Dims<'_>, context: *mut c_void, fill: RawFill) -> Out {
    out("build_f32", || {
        let mut values = vec![0f32; count(dims)];
        fill(context, values.as_mut_ptr(), values.len());
        filled(
            dims,
            dtype::F32,
            values.into_iter().map(f64::from).collect(),
        )
    })
}

// Shape.

extern "C" fn reshape(t: RawTensor, dims: Dims<'_>) -> Out {
    out("reshape", || look(t).reshape(dims.as_slice()))
}
extern "C" fn permute(t: RawTensor, axes: Dims<'_>) -> Out {
    out("permute", || ops::permute(look(t), axes.as_slice()))
}
extern "C" fn narrow(t: RawTensor, dim: usize, start: usize, len: usize) -> Out {
    out("narrow", || ops::narrow(look(t), dim, start, len))
}
extern "C" fn broadcast(t: RawTensor, dims: Dims<'_>) -> Out {
    out("broadcast", || look(t).broadcast(dims.as_slice()))
}
extern "C" fn cat(ts: RSlice<'_, RawTensor>, dim: usize) -> Out {
    out("cat", || {
        let ts: Vec<&Array> = ts.iter().map(|t| look(*t)).collect();
        ops::cat(&ts, dim)
    })
}
extern "C" fn index_select(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("index_select", || {
        ops::index_select(look(t), look(index), dim)
    })
}
extern "C" fn gather(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("gather", || ops::gather(look(t), look(index), dim))
}
extern "C" fn one_hot(index: RawTensor, depth: usize, dtype: Code) -> Out {
    out("one_hot", || {
        Ok(ops::one_hot(look(index), depth, DType::from_code(dtype)?))
    })
}
extern "C" fn to_dtype(t: RawTensor, dtype: Code) -> Out {
    out("to_dtype", || Ok(look(t).to(DType::from_code(dtype)?)))
}

// Element by element.

fn float(t: RawTensor) -> Result<&'static Array> {
    let array = look(t);
    match array.dtype() {
        DType::F32 | DType::F64 => Ok(array),
        other => Err(RuleError::new(
            fail::DTYPE,
            format!("{other:?} is no floating-point type"),
        )),
    }
}

macro_rules! unary {
    ($($name:ident $f:expr;)*) => { $(
        extern "C" fn $name(t: RawTensor) -> Out {
            let f: fn(f64) -> f64 = $f;
            out(stringify!($name), || Ok(float(t)?.map(|v| f(*v))))
        }
    )* };
}
unary! {
    neg |v| -v;
    abs f64::abs;
    // 0 at 0, where `f64::signum` is 1.
    sign |v| if v == 0.0 { 0.0 } else { v.signum() };
    exp f64::exp;
    ln f64::ln;
    sqrt f64::sqrt;
    sqr |v| v * v;
    recip f64::recip;
    relu |v| v.max(0.0);
    tanh f64::tanh;
    sigmoid |v| 1.0 / (1.0 + (-v).exp());
}
extern "C" fn affine(t: RawTensor, mul: f64, add: f64) -> Out {
    out("affine", || Ok(float(t)?.map(|v| v * mul + add)))
}
extern "C" fn powf(t: RawTensor, p: f64) -> Out {
    out("powf", || Ok(float(t)?.map(|v| v.powf(p))))
}
extern "C" fn clamp(t: RawTensor, lo: f64, hi: f64) -> Out {
    out("clamp", || Ok(float(t)?.map(|v| v.clamp(lo, hi))))
}

/// Both operands, of one element type.
fn pair<'a>(a: RawTensor, b: RawTensor) -> Result<(&'a Array, &'a Array)> {
    let (a, b) = (look(a), look(b));
    if a.dtype() != b.dtype() {
        let text = format!("{:?} and {:?}", a.dtype(), b.dtype());
        return Err(RuleError::new(fail::DTYPE, text));
    }
    Ok((a, b))
}

macro_rules! binary {
    ($($name:ident $f:expr;)*) => { $(
        extern "C" fn $name(a: RawTensor, b: RawTensor) -> Out {
            out(stringify!($name), || {
                let (a, b) = pair(a, b)?;
                a.zip(b, $f)
            })
        }
    )* };
}
binary! {
    add |a, b| a + b;
    sub |a, b| a - b;
    mul |a, b| a * b;
    div |a, b| a / b;
    maximum f64::max;
    minimum f64::min;
}
macro_rules! masks {
    ($($name:ident $f:expr;)*) => { $(
        extern "C" fn $name(a: RawTensor, b: RawTensor) -> Out {
            let f: fn(f64, f64) -> bool = $f;
            out(stringify!($name), || {
                let (a, b) = pair(a, b)?;
                Ok(a.zip(b, |a, b| f64::from(u8::from(f(a, b))))?.to(DType::U8))
            })
        }
    )* };
}
masks! {
    eq |a, b| a == b;
    lt |a, b| a < b;
    le |a, b| a <= b;
}
extern "C" fn select(mask: RawTensor, a: RawTensor, b: RawTensor) -> Out {
    out("select", || {
        let (mask, (a, b)) = (look(mask), pair(a, b)?);
        let shape = common(&common(mask.shape(), a.shape())?, b.shape())?;
        let (mask, a, b) = (
            mask.broadcast(&shape)?,
            a.broadcast(&shape)?,
            b.broadcast(&shape)?,
        );
        let both = mask.values().iter().zip(a.values().iter().zip(b.values()));
        let values = both.map(|(m, (a, b))| if *m == 0.0 { *b } else { *a });
        Ok(Array::of(a.dtype(), &shape, values.collect()))
    })
}

// Reductions.

fn reduced(t: RawTensor, axes: &[usize], keep: bool, f: impl Fn(&[f64]) -> f64) -> Result<Array> {
    let t = look(t);
    ops::reduce(t, axes, keep, t.dtype(), f)
}
fn largest(v: &[f64]) -> f64 {
    v.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
extern "C" fn sum(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out {
    out("sum", || reduced(t, &axes, keep, |v| v.iter().sum()))
}
extern "C" fn mean(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out {
    out("mean", || {
        reduced(t, &axes, keep, |v| v.iter().sum::<f64>() / v.len() as f64)
    })
}
extern "C" fn max(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("max", || reduced(t, &[axis], keep, largest))
}
extern "C" fn min(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("min", || {
        reduced(t, &[axis], keep, |v| {
            v.iter().copied().fold(f64::INFINITY, f64::min)
        })
    })
}
extern "C" fn argmax(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("argmax", || ranked(t, 1, axis, keep))
}
extern "C" fn argrank(t: RawTensor, rank: usize, axis: usize, keep: bool) -> Out {
    out("argrank", || ranked(t, rank, axis, keep))
}
fn ranked(t: RawTensor, rank: usize, axis: usize, keep: bool) -> Result<Array> {
    let t = look(t);
    let size = t.shape().get(axis).copied().unwrap_or(0);
    if rank == 0 || rank > size {
        return Err(RuleError::shape(format!("rank {rank} of {size} entries")));
    }
    ops::reduce(t, &[axis], keep, DType::U32, |v| ops::ranked(v, rank))
}
extern "C" fn max_all(t: RawTensor) -> Out {
    out("max_all", || {
        let axes: Vec<usize> = (0..look(t).shape().len()).collect();
        reduced(t, &axes, false, largest)
    })
}
extern "C" fn matmul(a: RawTensor, b: RawTensor) -> Out {
    out("matmul", || {
        let (a, b) = pair(a, b)?;
        ops::matmul(a, b)
    })
}
extern "C" fn softmax(t: RawTensor, axis: usize, gain: f64) -> Out {
    out("softmax", || ops::softmax(float(t)?, axis, gain))
}

// The layer's maps.

extern "C" fn map_forward(layer: *const RawLayer, x: RawTensor, w: RawTensor) -> Out {
    out("map_forward", || {
        let (x, w) = pair(x, w)?;
        maps::forward(layer_of(layer), x, w)
    })
}
extern "C" fn map_feedback(layer: *const RawLayer, g: RawTensor, w: RawTensor) -> Out {
    out("map_feedback", || {
        let (g, w) = pair(g, w)?;
        maps::feedback(layer_of(layer), g, w)
    })
}
extern "C" fn map_correlate(layer: *const RawLayer, x: RawTensor, g: RawTensor) -> Out {
    out("map_correlate", || {
        let (x, g) = pair(x, g)?;
        maps::correlate(layer_of(layer), x, g)
    })
}
extern "C" fn map_patches(layer: *const RawLayer, x: RawTensor) -> Out {
    out("map_patches", || maps::patches(layer_of(layer), look(x)))
}
extern "C" fn map_compete(
    layer: *const RawLayer,
    x: RawTensor,
    w: RawTensor,
    bias: RawTensor,
    pre_triangle: bool,
    context: *const c_void,
    competition: RawCompetition,
) -> RawResult<RawCompeted> {
    run("map_compete", || {
        let (x, w) = pair(x, w)?;
        let bias = (!bias.is_null()).then(|| look(bias));
        let tile = |tile: &RawTile| competition(context, std::ptr::from_ref(tile));
        let [u, correlation, yu, y_sum] =
            maps::compete(layer_of(layer), x, w, bias, pre_triangle, tile)?;
        Ok(RawCompeted {
            u: give(u),
            correlation: give(correlation),
            yu: give(yu),
            y_sum: give(y_sum),
        })
    })
}

// Values and services.

extern "C" fn to_f64(t: RawTensor) -> RawResult<RVec<f64>> {
    run("to_f64", || Ok(look(t).values().iter().copied().collect()))
}
extern "C" fn view_f32(t: RawTensor) -> RawResult<RSlice<'static, f32>> {
    run("view_f32", || {
        let slot: &'static Slot = slot(t);
        if slot.array.dtype() != DType::F32 {
            return Err(RuleError::unsupported("the tensor is not of type f32"));
        }
        Ok(RSlice::from_slice(slot.single()))
    })
}
extern "C" fn parallel_for(
    n: usize,
    grain: usize,
    context: *const c_void,
    body: RawRange,
) -> RawResult<()> {
    for begin in (0..n).step_by(grain.max(1)) {
        body(context, begin, (begin + grain.max(1)).min(n));
    }
    RResult::ROk(())
}
extern "C" fn launch_ptx(
    module: RStr<'_>,
    _: RStr<'_>,
    function: RStr<'_>,
    _: *const RawLaunch,
    _: RSlice<'_, RawArg>,
) -> RawResult<()> {
    run("launch_ptx", || {
        let text = format!("kernel `{module}::{function}` needs a CUDA device");
        Err(RuleError::unsupported(text))
    })
}
extern "C" fn log(_: Code, text: RStr<'_>) {
    println!("{text}");
}
extern "C" fn cancelled() -> bool {
    false
}
extern "C" fn has_op(_: RStr<'_>) -> bool {
    false
}
extern "C" fn call(name: RStr<'_>, _: RSlice<'_, RawArg>) -> RawResult<RVec<RawTensor>> {
    run("call", || Err(RuleError::op_missing(name.as_str())))
}

// Rows.

extern "C" fn row_norms(t: RawTensor, p: f64) -> Out {
    out("row_norms", || Ok(ops::row_norms(look(t), p)))
}
extern "C" fn sub_rows(t: RawTensor, factors: RawTensor, w: RawTensor) -> RawResult<RawPair> {
    run("sub_rows", || {
        let (first, second) = ops::sub_rows(look(t), look(factors), look(w))?;
        Ok(RawPair {
            first: give(first),
            second: give(second),
        })
    })
}

static TABLE: HostTable = HostTable {
    size: size_of::<HostTable>(),
    api: API_VERSION,
    clone_tensor,
    drop_tensor,
    shape,
    dtype,
    on_cpu,
    full,
    from_f64,
    arange,
    random_uniform,
    random_normal,
    build_f32,
    reshape,
    permute,
    narrow,
    broadcast,
    cat,
    index_select,
    gather,
    one_hot,
    to_dtype,
    neg,
    abs,
    sign,
    exp,
    ln,
    sqrt,
    sqr,
    recip,
    relu,
    tanh,
    sigmoid,
    affine,
    powf,
    clamp,
    add,
    sub,
    mul,
    div,
    maximum,
    minimum,
    eq,
    lt,
    le,
    select,
    sum,
    mean,
    max,
    min,
    argmax,
    argrank,
    max_all,
    matmul,
    softmax,
    map_forward,
    map_feedback,
    map_correlate,
    map_patches,
    map_compete,
    to_f64,
    view_f32,
    parallel_for,
    launch_ptx,
    log,
    cancelled,
    has_op,
    call,
    row_norms,
    sub_rows,
};

/// Makes this table the host of the process.
pub(super) fn install() {
    crate::abi::host::install(HostArg(std::ptr::from_ref(&TABLE).cast()));
}
