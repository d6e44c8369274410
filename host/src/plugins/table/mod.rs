//! The op table over Candle.
//!
//! Every function takes borrowed handles and returns owned ones, catches panics,
//! and names its op in failures. What Candle lacks or does slowly is behind
//! `crate::ops`, so the same table serves the CPU and CUDA.

mod create;
pub mod handle;
mod maps;
mod memory;
mod pointwise;
mod reduce;
mod room;
mod rows;
mod services;
mod shape;

pub use services::{cancel_when, cancelled_by_user};

use biorule_plugin_api::abi::{API_VERSION, HostTable};

static TABLE: HostTable = HostTable {
    size: size_of::<HostTable>(),
    api: API_VERSION,
    clone_tensor: memory::clone_tensor,
    drop_tensor: memory::drop_tensor,
    shape: memory::shape,
    dtype: memory::dtype,
    on_cpu: memory::on_cpu,
    full: create::full,
    from_f64: create::from_f64,
    arange: create::arange,
    random_uniform: create::random_uniform,
    random_normal: create::random_normal,
    build_f32: create::build_f32,
    reshape: shape::reshape,
    permute: shape::permute,
    narrow: shape::narrow,
    broadcast: shape::broadcast,
    cat: shape::cat,
    index_select: shape::index_select,
    gather: shape::gather,
    one_hot: shape::one_hot,
    to_dtype: shape::to_dtype,
    neg: pointwise::neg,
    abs: pointwise::abs,
    sign: pointwise::sign,
    exp: pointwise::exp,
    ln: pointwise::ln,
    sqrt: pointwise::sqrt,
    sqr: pointwise::sqr,
    recip: pointwise::recip,
    relu: pointwise::relu,
    tanh: pointwise::tanh,
    sigmoid: pointwise::sigmoid,
    affine: pointwise::affine,
    powf: pointwise::powf,
    clamp: pointwise::clamp,
    add: pointwise::add,
    sub: pointwise::sub,
    mul: pointwise::mul,
    div: pointwise::div,
    maximum: pointwise::maximum,
    minimum: pointwise::minimum,
    eq: pointwise::eq,
    lt: pointwise::lt,
    le: pointwise::le,
    select: pointwise::select,
    sum: reduce::sum,
    mean: reduce::mean,
    max: reduce::max,
    min: reduce::min,
    argmax: reduce::argmax,
    argrank: reduce::argrank,
    max_all: reduce::max_all,
    matmul: reduce::matmul,
    softmax: reduce::softmax,
    map_forward: maps::forward,
    map_feedback: maps::feedback,
    map_correlate: maps::correlate,
    map_patches: maps::patches,
    map_compete: maps::compete,
    to_f64: memory::to_f64,
    view_f32: memory::view_f32,
    parallel_for: services::parallel_for,
    launch_ptx: services::launch_ptx,
    log: services::log,
    cancelled: services::cancelled,
    has_op: services::has_op,
    call: services::call,
    row_norms: rows::row_norms,
    sub_rows: rows::sub_rows,
};

/// The table of this host.
pub fn host_table() -> &'static HostTable {
    &TABLE
}
