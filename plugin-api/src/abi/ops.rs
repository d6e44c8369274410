//! The host's op table: what a rule may ask of the host's tensors.
//!
//! The table is ours alone and outside abi_stable's layout check, for two
//! reasons. abi_stable accepts a library that has *at least* what the program
//! expects; here the host must have at least what the plugin expects, the
//! opposite direction, and one added op would refuse every older plugin. And its
//! prefix types end at 64 fields.
//!
//! Instead each plugin carries the list [`OPS`] it was built with (name, version,
//! signature), and the host compares that list with its own, entry by entry,
//! before the first call. The table is append-only: ops are never reordered,
//! never edited; a changed meaning is a new name.
//!
//! Ownership: handles in arguments are borrowed; a handle returned is owned by
//! the caller, who gives it back with `drop_tensor`. All functions are called on
//! the thread that made the call into the plugin, except inside `parallel_for`
//! and competitions, where no op may be used.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr, RVec};

use super::types::*;
use super::version::ApiVersion;

/// One op as a plugin or host knows it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct OpDecl {
    /// Field name in the table.
    pub name: RStr<'static>,
    /// First interface version that has it.
    pub since: ApiVersion,
    /// Types, as text.
    pub signature: RStr<'static>,
}

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

macro_rules! host_ops {
    ($( $(#[$doc:meta])* ($ma:literal, $mi:literal, $pa:literal) $name:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty; )*) => {
        /// Functions of the host, in the order of [`OPS`].
        #[repr(C)]
        pub struct HostTable {
            /// Bytes of the table as the host knows it; what lies beyond is absent.
            pub size: usize,
            /// Version of the host's interface.
            pub api: ApiVersion,
            $( $(#[$doc])* pub $name: extern "C" fn($($arg: $ty),*) -> $ret, )*
        }

        /// Every op of this version of the interface.
        pub static OPS: &[OpDecl] = &[ $( OpDecl {
            name: RStr::from_str(stringify!($name)),
            since: ApiVersion::new($ma, $mi, $pa),
            signature: RStr::from_str(concat!(stringify!(($($arg: $ty),*)), " -> ", stringify!($ret))),
        } ),* ];
    };
}

host_ops! {
    // Handles.
    /// Another handle to the same tensor.
    (0, 1, 0) clone_tensor(t: RawTensor) -> RawTensor;
    /// Gives a handle back.
    (0, 1, 0) drop_tensor(t: RawTensor) -> ();
    /// Shape.
    (0, 1, 0) shape(t: RawTensor) -> RVec<usize>;
    /// Element type.
    (0, 1, 0) dtype(t: RawTensor) -> Code;
    /// Whether the tensor is in CPU memory.
    (0, 1, 0) on_cpu(t: RawTensor) -> bool;
    // Creation, on the device of `like`.
    /// A constant.
    (0, 1, 0) full(like: RawTensor, dims: Dims<'_>, dtype: Code, value: f64) -> Out;
    /// From values, converted to `dtype`.
    (0, 1, 0) from_f64(like: RawTensor, dims: Dims<'_>, dtype: Code, values: RSlice<'_, f64>) -> Out;
    /// `0, 1, … n − 1`.
    (0, 1, 0) arange(like: RawTensor, n: usize, dtype: Code) -> Out;
    /// Uniform on `[lo, hi)` from the stream of `seed`; the same numbers on every device.
    (0, 1, 0) random_uniform(like: RawTensor, dims: Dims<'_>, dtype: Code, lo: f64, hi: f64, seed: u64) -> Out;
    /// Normal from the stream of `seed`.
    (0, 1, 0) random_normal(like: RawTensor, dims: Dims<'_>, dtype: Code, mean: f64, std: f64, seed: u64) -> Out;
    /// Fresh CPU memory of type f32, filled by the callback.
    (0, 1, 0) build_f32(dims: Dims<'_>, context: *mut c_void, fill: RawFill) -> Out;
    // Shape.
    /// Same elements, other shape.
    (0, 1, 0) reshape(t: RawTensor, dims: Dims<'_>) -> Out;
    /// Axes in another order.
    (0, 1, 0) permute(t: RawTensor, axes: Dims<'_>) -> Out;
    /// `len` entries of axis `dim` from `start`.
    (0, 1, 0) narrow(t: RawTensor, dim: usize, start: usize, len: usize) -> Out;
    /// Repeat along axes of size 1.
    (0, 1, 0) broadcast(t: RawTensor, dims: Dims<'_>) -> Out;
    /// Join along `dim`.
    (0, 1, 0) cat(ts: RSlice<'_, RawTensor>, dim: usize) -> Out;
    /// Entries of axis `dim` at the U32 `index`.
    (0, 1, 0) index_select(t: RawTensor, index: RawTensor, dim: usize) -> Out;
    /// `out[..i..] = t[..index[..i..]..]` along `dim`.
    (0, 1, 0) gather(t: RawTensor, index: RawTensor, dim: usize) -> Out;
    /// One-hot rows of the U32 `index`, new last axis of size `depth`, of type `dtype`.
    (0, 1, 0) one_hot(index: RawTensor, depth: usize, dtype: Code) -> Out;
    /// Another element type.
    (0, 1, 0) to_dtype(t: RawTensor, dtype: Code) -> Out;
    // One operand.
    /// `−t`.
    (0, 1, 0) neg(t: RawTensor) -> Out;
    /// `|t|`.
    (0, 1, 0) abs(t: RawTensor) -> Out;
    /// −1, 0 or 1; 0 at 0.
    (0, 1, 0) sign(t: RawTensor) -> Out;
    /// `eᵗ`.
    (0, 1, 0) exp(t: RawTensor) -> Out;
    /// Natural logarithm.
    (0, 1, 0) ln(t: RawTensor) -> Out;
    /// Square root.
    (0, 1, 0) sqrt(t: RawTensor) -> Out;
    /// `t²`.
    (0, 1, 0) sqr(t: RawTensor) -> Out;
    /// `1/t`.
    (0, 1, 0) recip(t: RawTensor) -> Out;
    /// `max(0, t)`.
    (0, 1, 0) relu(t: RawTensor) -> Out;
    /// Hyperbolic tangent.
    (0, 1, 0) tanh(t: RawTensor) -> Out;
    /// `1/(1 + e⁻ᵗ)`.
    (0, 1, 0) sigmoid(t: RawTensor) -> Out;
    /// `mul·t + add`.
    (0, 1, 0) affine(t: RawTensor, mul: f64, add: f64) -> Out;
    /// `tᵖ` for `t ≥ 0`.
    (0, 1, 0) powf(t: RawTensor, p: f64) -> Out;
    /// Limited to `[lo, hi]`.
    (0, 1, 0) clamp(t: RawTensor, lo: f64, hi: f64) -> Out;
    // Two operands, broadcast as in NumPy.
    /// `a + b`.
    (0, 1, 0) add(a: RawTensor, b: RawTensor) -> Out;
    /// `a − b`.
    (0, 1, 0) sub(a: RawTensor, b: RawTensor) -> Out;
    /// `a·b`, element by element.
    (0, 1, 0) mul(a: RawTensor, b: RawTensor) -> Out;
    /// `a/b`.
    (0, 1, 0) div(a: RawTensor, b: RawTensor) -> Out;
    /// The larger.
    (0, 1, 0) maximum(a: RawTensor, b: RawTensor) -> Out;
    /// The smaller.
    (0, 1, 0) minimum(a: RawTensor, b: RawTensor) -> Out;
    /// U8 mask of `a = b`.
    (0, 1, 0) eq(a: RawTensor, b: RawTensor) -> Out;
    /// U8 mask of `a < b`.
    (0, 1, 0) lt(a: RawTensor, b: RawTensor) -> Out;
    /// U8 mask of `a ≤ b`.
    (0, 1, 0) le(a: RawTensor, b: RawTensor) -> Out;
    /// `a` where the U8 mask is not 0, else `b`.
    (0, 1, 0) select(mask: RawTensor, a: RawTensor, b: RawTensor) -> Out;
    // Reductions; reduced axes stay with size 1 where `keep`.
    /// Sum over axes.
    (0, 1, 0) sum(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out;
    /// Mean over axes.
    (0, 1, 0) mean(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out;
    /// Largest along one axis.
    (0, 1, 0) max(t: RawTensor, axis: usize, keep: bool) -> Out;
    /// Smallest along one axis.
    (0, 1, 0) min(t: RawTensor, axis: usize, keep: bool) -> Out;
    /// U32 index of the largest along one axis, the first on ties.
    (0, 1, 0) argmax(t: RawTensor, axis: usize, keep: bool) -> Out;
    /// U32 index of the `rank`-th largest along one axis (1 is the largest), the first on ties.
    (0, 1, 0) argrank(t: RawTensor, rank: usize, axis: usize, keep: bool) -> Out;
    /// Largest of all, shape `[]`.
    (0, 1, 0) max_all(t: RawTensor) -> Out;
    // Products and nonlinear maps.
    /// Matrix product over the last two axes, batched before them.
    (0, 1, 0) matmul(a: RawTensor, b: RawTensor) -> Out;
    /// `softmax(gain·t)` along one axis.
    (0, 1, 0) softmax(t: RawTensor, axis: usize, gain: f64) -> Out;
    // The three maps of a layer.
    /// `x Wᵀ`, or the convolution; no bias.
    (0, 1, 0) map_forward(layer: *const RawLayer, x: RawTensor, w: RawTensor) -> Out;
    /// `g B`, or the gradient of the convolution with respect to its input, with any weight; shaped as the input.
    (0, 1, 0) map_feedback(layer: *const RawLayer, g: RawTensor, w: RawTensor) -> Out;
    /// `gᵀ x`, or the gradient of the convolution with respect to its weight.
    (0, 1, 0) map_correlate(layer: *const RawLayer, x: RawTensor, g: RawTensor) -> Out;
    /// All windows under the kernel: `[B, P·Q, D]` per group stacked on axis 2; dense: `x` as `[B, 1, D]`.
    (0, 1, 0) map_patches(layer: *const RawLayer, x: RawTensor) -> Out;
    /// The competitive step, fused; see `sdk::Competition`. CPU only.
    (0, 1, 0) map_compete(layer: *const RawLayer, x: RawTensor, w: RawTensor, bias: RawTensor, pre_triangle: bool, context: *const c_void, competition: RawCompetition) -> RawResult<RawCompeted>;
    // Values and memory.
    /// All values, as f64; waits for the device.
    (0, 1, 0) to_f64(t: RawTensor) -> RawResult<RVec<f64>>;
    /// Contiguous f32 memory of a CPU tensor, valid as long as the handle.
    (0, 1, 0) view_f32(t: RawTensor) -> RawResult<RSlice<'static, f32>>;
    /// Runs `body` over `0..n` in parts on the host's threads.
    (0, 1, 0) parallel_for(n: usize, grain: usize, context: *const c_void, body: RawRange) -> RawResult<()>;
    /// Launches a kernel of the plugin's own PTX text on the host's stream. CUDA only.
    (0, 1, 0) launch_ptx(module: RStr<'_>, ptx: RStr<'_>, function: RStr<'_>, launch: *const RawLaunch, args: RSlice<'_, RawArg>) -> RawResult<()>;
    // Services.
    /// A line in the host's log: 0 error, 1 warn, 2 info, 3 debug, 4 trace.
    (0, 1, 0) log(level: Code, text: RStr<'_>) -> ();
    /// Whether the user asked to stop.
    (0, 1, 0) cancelled() -> bool;
    /// Whether the host has the op `name` behind `call`.
    (0, 1, 0) has_op(name: RStr<'_>) -> bool;
    /// Ops newer than the table, by name.
    (0, 1, 0) call(name: RStr<'_>, args: RSlice<'_, RawArg>) -> RawResult<RVec<RawTensor>>;
    // Rows of a weight: entry `k` of axis 0 with all that is behind it.
    /// `(Σ|t|ᵖ)^(1/p)` of each row, `[K]`.
    (0, 1, 1) row_norms(t: RawTensor, p: f64) -> Out;
    /// `t[k] − factors[k]·w[k]`, shaped as `t`, and the largest magnitude in each of its rows, `[K]`.
    (0, 1, 1) sub_rows(t: RawTensor, factors: RawTensor, w: RawTensor) -> RawResult<RawPair>;
}

/// The table as a plugin receives it.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostArg(pub *const c_void);
