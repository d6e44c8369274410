//! Plain types that cross the boundary.
//!
//! Enumerations are transparent integers: a number that one side does not know
//! is an error value, never undefined behaviour. Structs that one side only
//! reads start with their `size`, so that fields can be appended; the others
//! are frozen. `abi.lock` lists them all.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RString, RVec};

use super::decl::abi_struct;

/// A transparent integer that stands for a variant.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

/// A handle to a tensor of the host: an owned box there, opaque here.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawTensor(pub *mut c_void);

impl RawTensor {
    /// No tensor.
    pub const NULL: Self = Self(std::ptr::null_mut());
    /// Whether this is no tensor.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

abi_struct! {
    /// Why a call failed.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawFailure {
        /// Class: see `fail`.
        code: Code,
        /// Facts, one line.
        message: RString,
    }
}

/// Result of every call that can fail.
pub type RawResult<T> = RResult<T, RawFailure>;

/// Classes of failure.
pub mod fail {
    use super::Code;
    /// Shapes do not fit.
    pub const SHAPE: Code = Code(1);
    /// Wrong or mixed element types.
    pub const DTYPE: Code = Code(2);
    /// A parameter or layer the rule cannot serve.
    pub const UNSUPPORTED: Code = Code(3);
    /// An op that this host does not have.
    pub const OP_MISSING: Code = Code(4);
    /// The rule's own complaint.
    pub const RULE: Code = Code(5);
    /// A panic caught at the boundary.
    pub const PANIC: Code = Code(6);
    /// The host failed.
    pub const HOST: Code = Code(7);
    /// The user asked to stop.
    pub const CANCELLED: Code = Code(8);
}

/// Element types.
pub mod dtype {
    use super::Code;
    /// 32-bit float.
    pub const F32: Code = Code(0);
    /// 64-bit float.
    pub const F64: Code = Code(1);
    /// 32-bit unsigned, for labels and indices.
    pub const U32: Code = Code(2);
    /// 8-bit unsigned, for masks.
    pub const U8: Code = Code(3);
}

abi_struct! {
    /// A tensor with its name and, where it matters, what is to be done with it.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawNamed {
        /// Name of a state tensor or of a kept one.
        name: RString,
        /// The tensor.
        tensor: RawTensor,
        /// One of `change` in changes, else 0.
        kind: Code,
    }
}

/// What a change does to the state tensor it names.
pub mod change {
    use super::Code;
    /// Add to it.
    pub const ADD: Code = Code(0);
    /// Replace it.
    pub const SET: Code = Code(1);
    /// `[K]`: what the rows of the addition before it, which has the same name, are multiplied by.
    pub const ROW_SCALE: Code = Code(2);
}

abi_struct! {
    /// The layer a rule is bound to. Sized: fields may be appended.
    pub struct RawLayer {
        /// Bytes of this struct as the host knows it.
        size: usize,
        /// Position among the rule layers of the network, first is 0.
        index: u64,
        /// Name in the plan.
        name: RString,
        /// `layer::DENSE` or `layer::CONV`.
        kind: Code,
        /// Input shape without the batch axis: `[D]`, or `[C, H, W]`.
        input: RVec<usize>,
        /// Output shape without the batch axis: `[K]`, or `[K, P, Q]`.
        output: RVec<usize>,
        /// Kernel rows and columns; 1 for dense maps, as below.
        kernel: [usize; 2],
        /// Stride.
        stride: [usize; 2],
        /// Padding: top, bottom, left, right.
        padding: [usize; 4],
        /// Dilation.
        dilation: [usize; 2],
        /// Channel groups.
        groups: usize,
        /// `layer::PAD_*`.
        pad_mode: Code,
        /// Whether the plan asks for a bias.
        bias: bool,
        /// Classes (or target values) at the network's output.
        classes: usize,
        /// Whether no layer learns below.
        first: bool,
        /// Whether the output is the network's.
        last: bool,
        /// Whether a normalisation stands between the layer and its input.
        normalised: bool,
    }
}

/// Kinds of synaptic map and of padding.
pub mod layer {
    use super::Code;
    /// `y = x Wᵀ`.
    pub const DENSE: Code = Code(0);
    /// Two-dimensional convolution.
    pub const CONV: Code = Code(1);
    /// Zeros.
    pub const PAD_ZEROS: Code = Code(0);
    /// Mirror without the edge.
    pub const PAD_REFLECT: Code = Code(1);
    /// The edge repeated.
    pub const PAD_REPLICATE: Code = Code(2);
    /// Wrapped around.
    pub const PAD_CIRCULAR: Code = Code(3);
}

abi_struct! {
    /// Circumstances of a call. Sized: fields may be appended.
    #[derive(Clone, Copy, Debug)]
    pub struct RawCall {
        /// Bytes of this struct as the host knows it.
        size: usize,
        /// Updates that this layer has seen in this phase.
        step: u64,
        /// Finished epochs of the phase.
        epoch: u64,
        /// Epochs of the phase; 0 if open-ended.
        epochs: u64,
        /// Steps in an epoch.
        steps_per_epoch: u64,
        /// Samples in a full batch.
        batch: u64,
        /// Training samples in an epoch.
        samples: u64,
        /// Seed of the run and the layer.
        seed: u64,
        /// Rate of the phase's schedule, or NaN where the rule's own counts.
        rate: f64,
        /// Whether the block is in training mode.
        training: bool,
        /// Whether `learn` or `backward` will follow this `forward`.
        learning: bool,
        /// Passes that the step has made before this one; absent before 0.1.2.
        pass: u64,
    }
}

abi_struct! {
    /// One tile of a competition: `k` units at `lanes` positions.
    #[derive(Clone, Copy, Debug)]
    pub struct RawTile {
        /// Units of one group.
        k: usize,
        /// Positions.
        lanes: usize,
        /// Elements from one unit's row to the next.
        stride: usize,
        /// `dtype::F32` or `dtype::F64`.
        dtype: Code,
        /// Pre-activations `u[k][lane]`.
        u: *const c_void,
        /// Post-synaptic factors `y[k][lane]`, to be written.
        y: *mut c_void,
    }
}

/// Called by the host for each tile, on its threads.
pub type RawCompetition = extern "C" fn(context: *const c_void, tile: *const RawTile);

abi_struct! {
    /// What a competitive step yields.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct RawCompeted {
        /// Pre-activations `[B, K, P, Q]` or `[B, K]`.
        u: RawTensor,
        /// `correlate(x, y)`, shaped as the weight.
        correlation: RawTensor,
        /// `Σ y·u` per unit, `[K]`.
        yu: RawTensor,
        /// `Σ y` per unit, `[K]`.
        y_sum: RawTensor,
    }
}

abi_struct! {
    /// Two tensors.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct RawPair {
        /// The first.
        first: RawTensor,
        /// The second.
        second: RawTensor,
    }
}

abi_struct! {
    /// One argument of a PTX kernel or of `call`.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct RawArg {
        /// `arg::*`.
        kind: Code,
        /// Where `kind` is a tensor.
        tensor: RawTensor,
        /// Where `kind` is a number.
        number: f64,
        /// Where `kind` is whole.
        integer: i64,
    }
}

/// Kinds of argument.
pub mod arg {
    use super::Code;
    /// A tensor.
    pub const TENSOR: Code = Code(0);
    /// An `f64`.
    pub const F64: Code = Code(1);
    /// An `i64`.
    pub const I64: Code = Code(2);
    /// An `f32` (kernels only).
    pub const F32: Code = Code(3);
    /// A `u32` (kernels only).
    pub const U32: Code = Code(4);
}

abi_struct! {
    /// How a PTX kernel is launched.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct RawLaunch {
        /// Blocks per axis.
        grid: [u32; 3],
        /// Threads per axis.
        block: [u32; 3],
        /// Dynamic shared memory, bytes.
        shared_bytes: u32,
    }
}

/// Called by `parallel_for` for the range `begin..end`.
pub type RawRange = extern "C" fn(context: *const c_void, begin: usize, end: usize);

/// Called by `tensor_build_f32` with memory to fill.
pub type RawFill = extern "C" fn(context: *mut c_void, data: *mut f32, len: usize);
