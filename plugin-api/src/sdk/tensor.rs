//! Tensors of the host, as a rule sees them.
//!
//! A [`Tensor`] is an opaque handle; its methods run the host's Candle and are
//! named as Candle's where they mean the same. Nothing is copied at the
//! boundary. Two-operand methods broadcast as in NumPy.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use abi_stable::std_types::RSlice;

use crate::abi::callbacks;
use crate::abi::host::{lift, op};
use crate::abi::types::{Code, RawArg, RawLaunch, RawTensor, arg, dtype};
use crate::sdk::error::{Result, RuleError};

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 32-bit unsigned: labels, indices.
    U32,
    /// 8-bit unsigned: masks.
    U8,
}

impl DType {
    pub(crate) fn code(self) -> Code {
        match self {
            Self::F32 => dtype::F32,
            Self::F64 => dtype::F64,
            Self::U32 => dtype::U32,
            Self::U8 => dtype::U8,
        }
    }
    pub(crate) fn from_code(code: Code) -> Result<Self> {
        Ok(match code {
            dtype::F32 => Self::F32,
            dtype::F64 => Self::F64,
            dtype::U32 => Self::U32,
            dtype::U8 => Self::U8,
            _ => return Err(RuleError::host(format!("element type number {}", code.0))),
        })
    }
}

/// A kernel in a plugin's own PTX text, and how it is launched.
#[derive(Clone, Copy, Debug)]
pub struct PtxKernel<'a> {
    /// Name under which the host keeps the loaded module.
    pub module: &'a str,
    /// PTX text.
    pub ptx: &'a str,
    /// Entry point.
    pub function: &'a str,
    /// Blocks per axis.
    pub grid: [u32; 3],
    /// Threads per axis.
    pub block: [u32; 3],
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
}

/// An owned handle to a tensor of the host. Stays on the thread of the call.
pub struct Tensor {
    raw: RawTensor,
    // Handles are counted per thread by the host.
    not_send: PhantomData<*mut c_void>,
}

impl Tensor {
    pub(crate) fn own(raw: RawTensor) -> Self {
        Self {
            raw,
            not_send: PhantomData,
        }
    }
    /// A handle that the host keeps owning.
    pub(crate) fn borrow(raw: RawTensor) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self::own(raw))
    }
    pub(crate) fn raw(&self) -> RawTensor {
        self.raw
    }
    pub(crate) fn into_raw(self) -> RawTensor {
        ManuallyDrop::new(self).raw
    }

    // Facts.

    /// Shape, outermost axis first.
    ///
    /// # Errors
    /// No host.
    pub fn shape(&self) -> Result<Vec<usize>> {
        Ok((op!(shape))(self.raw).into_iter().collect())
    }
    /// Number of axes.
    ///
    /// # Errors
    /// No host.
    pub fn rank(&self) -> Result<usize> {
        Ok(self.shape()?.len())
    }
    /// Size of axis `axis`.
    ///
    /// # Errors
    /// No such axis.
    pub fn dim(&self, axis: usize) -> Result<usize> {
        let shape = self.shape()?;
        shape
            .get(axis)
            .copied()
            .ok_or_else(|| RuleError::shape(format!("no axis {axis} in {shape:?}")))
    }
    /// Size of axis 0, the batch.
    ///
    /// # Errors
    /// A scalar.
    pub fn batch(&self) -> Result<usize> {
        self.dim(0)
    }
    /// Number of elements.
    ///
    /// # Errors
    /// No host.
    pub fn elem_count(&self) -> Result<usize> {
        Ok(self.shape()?.iter().product())
    }
    /// Element type.
    ///
    /// # Errors
    /// No host.
    pub fn dtype(&self) -> Result<DType> {
        DType::from_code((op!(dtype))(self.raw))
    }
    /// Whether the tensor is in CPU memory.
    ///
    /// # Errors
    /// No host.
    pub fn on_cpu(&self) -> Result<bool> {
        Ok((op!(on_cpu))(self.raw))
    }

    // Creation. `like` gives device and, where none is named, element type.

    /// A tensor of `value`, with the device and element type of `self`.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn full_like(&self, shape: &[usize], value: f64) -> Result<Self> {
        self.full_of(shape, self.dtype()?, value)
    }
    /// A tensor of `value` of another element type.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn full_of(&self, shape: &[usize], dtype: DType, value: f64) -> Result<Self> {
        own((op!(full))(self.raw, shape.into(), dtype.code(), value))
    }
    /// A tensor of these values, with the device and element type of `self`.
    ///
    /// # Errors
    /// `values` does not fill `shape`.
    pub fn values_like(&self, shape: &[usize], values: &[f64]) -> Result<Self> {
        own((op!(from_f64))(
            self.raw,
            shape.into(),
            self.dtype()?.code(),
            values.into(),
        ))
    }
    /// `0, 1, … n − 1` as `dtype`, on the device of `self`.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn arange_like(&self, n: usize, dtype: DType) -> Result<Self> {
        own((op!(arange))(self.raw, n, dtype.code()))
    }
    /// A CPU tensor of type f32 whose memory `fill` writes.
    ///
    /// # Errors
    /// The host cannot allocate.
    pub fn build_f32(shape: &[usize], mut fill: impl FnMut(&mut [f32])) -> Result<Self> {
        let (context, entry) = callbacks::fill(&mut fill);
        own((op!(build_f32))(shape.into(), context, entry))
    }

    // Shape.

    /// The same elements in another shape.
    ///
    /// # Errors
    /// Another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        own((op!(reshape))(self.raw, shape.into()))
    }
    /// Axes in another order.
    ///
    /// # Errors
    /// Not a permutation.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        own((op!(permute))(self.raw, axes.into()))
    }
    /// The transpose of a matrix.
    ///
    /// # Errors
    /// Not a matrix.
    pub fn t(&self) -> Result<Self> {
        self.permute(&[1, 0])
    }
    /// `len` entries of `axis`, from `start`.
    ///
    /// # Errors
    /// Outside the axis.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Self> {
        own((op!(narrow))(self.raw, axis, start, len))
    }
    /// Repeats along axes of size 1.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn broadcast_as(&self, shape: &[usize]) -> Result<Self> {
        own((op!(broadcast))(self.raw, shape.into()))
    }
    /// Joins tensors along `axis`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn cat(tensors: &[&Self], axis: usize) -> Result<Self> {
        let raws: Vec<RawTensor> = tensors.iter().map(|t| t.raw).collect();
        own((op!(cat))(RSlice::from_slice(&raws), axis))
    }
    /// Entries of `axis` at the U32 `index` `[N]`.
    ///
    /// # Errors
    /// An index outside the axis.
    pub fn index_select(&self, index: &Self, axis: usize) -> Result<Self> {
        own((op!(index_select))(self.raw, index.raw, axis))
    }
    /// Entries along `axis`, one for each element of the U32 `index`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn gather(&self, index: &Self, axis: usize) -> Result<Self> {
        own((op!(gather))(self.raw, index.raw, axis))
    }
    /// One-hot rows of this U32 tensor: a new last axis of size `depth`.
    ///
    /// # Errors
    /// Not U32.
    pub fn one_hot(&self, depth: usize, dtype: DType) -> Result<Self> {
        own((op!(one_hot))(self.raw, depth, dtype.code()))
    }
    /// Another element type.
    ///
    /// # Errors
    /// No conversion.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        own((op!(to_dtype))(self.raw, dtype.code()))
    }

    // Common combinations.

    /// `c·t`.
    ///
    /// # Errors
    /// Not a float tensor.
    pub fn scale(&self, c: f64) -> Result<Self> {
        self.affine(c, 0.0)
    }
    /// `mul·t + add`.
    ///
    /// # Errors
    /// Not a float tensor.
    pub fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        own((op!(affine))(self.raw, mul, add))
    }
    /// `tᵖ` for `t ≥ 0`.
    ///
    /// # Errors
    /// Not a float tensor.
    pub fn powf(&self, p: f64) -> Result<Self> {
        own((op!(powf))(self.raw, p))
    }
    /// Limited to `[lo, hi]`.
    ///
    /// # Errors
    /// Not a float tensor.
    pub fn clamp(&self, lo: f64, hi: f64) -> Result<Self> {
        own((op!(clamp))(self.raw, lo, hi))
    }
    /// Row `k` of this tensor times entry `k` of `factors` `[K]`, `K` being axis 0.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn mul_rows(&self, factors: &Self) -> Result<Self> {
        let mut shape = vec![1; self.rank()?];
        shape[0] = factors.elem_count()?;
        self.mul(&factors.reshape(&shape)?)
    }
    /// p-norm `(Σ|t|ᵖ)^(1/p)` of each row, an entry of axis 0 with all that is behind it: `[K]`.
    ///
    /// # Errors
    /// Not a float tensor.
    pub fn row_norms(&self, p: f64) -> Result<Self> {
        own((op!(row_norms))(self.raw, p))
    }
    /// `self[k] − factors[k]·w[k]` for every row, and the largest magnitude in each row of the
    /// result, `[K]`: Hebb's term less Oja's decay, in one pass. `factors: [K]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn sub_rows(&self, factors: &Self, w: &Self) -> Result<(Self, Self)> {
        let pair = lift((op!(sub_rows))(self.raw, factors.raw, w.raw))?;
        Ok((Self::own(pair.first), Self::own(pair.second)))
    }
    /// Sum over batch and positions, `[B, K, …] → [K]`.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn sum_per_unit(&self) -> Result<Self> {
        let axes: Vec<usize> = (0..self.rank()?).filter(|&a| a != 1).collect();
        self.sum(&axes)
    }
    /// Entry `k` of `values` `[K]` added to channel `k` of axis 1.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn add_per_unit(&self, values: &Self) -> Result<Self> {
        let mut shape = vec![1; self.rank()?];
        shape[1] = values.elem_count()?;
        self.add(&values.reshape(&shape)?)
    }

    // Reductions.

    /// Sum over axes, which vanish.
    ///
    /// # Errors
    /// No such axis.
    pub fn sum(&self, axes: &[usize]) -> Result<Self> {
        own((op!(sum))(self.raw, axes.into(), false))
    }
    /// Sum over axes, which stay with size 1.
    ///
    /// # Errors
    /// No such axis.
    pub fn sum_keepdim(&self, axes: &[usize]) -> Result<Self> {
        own((op!(sum))(self.raw, axes.into(), true))
    }
    /// Sum of all elements, shape `[]`.
    ///
    /// # Errors
    /// No host.
    pub fn sum_all(&self) -> Result<Self> {
        let axes: Vec<usize> = (0..self.rank()?).collect();
        self.sum(&axes)
    }
    /// Mean over axes, which vanish.
    ///
    /// # Errors
    /// No such axis.
    pub fn mean(&self, axes: &[usize]) -> Result<Self> {
        own((op!(mean))(self.raw, axes.into(), false))
    }
    /// Mean over axes, which stay with size 1.
    ///
    /// # Errors
    /// No such axis.
    pub fn mean_keepdim(&self, axes: &[usize]) -> Result<Self> {
        own((op!(mean))(self.raw, axes.into(), true))
    }
    /// Largest along `axis`, which stays with size 1 where `keep`.
    ///
    /// # Errors
    /// No such axis.
    pub fn max(&self, axis: usize, keep: bool) -> Result<Self> {
        own((op!(max))(self.raw, axis, keep))
    }
    /// Smallest along `axis`, which stays with size 1 where `keep`.
    ///
    /// # Errors
    /// No such axis.
    pub fn min(&self, axis: usize, keep: bool) -> Result<Self> {
        own((op!(min))(self.raw, axis, keep))
    }
    /// U32 index of the largest along `axis`, the first on ties.
    ///
    /// # Errors
    /// No such axis.
    pub fn argmax(&self, axis: usize, keep: bool) -> Result<Self> {
        own((op!(argmax))(self.raw, axis, keep))
    }
    /// U32 index of the `rank`-th largest along `axis`; rank 1 is the largest.
    ///
    /// # Errors
    /// No such axis or rank.
    pub fn argrank(&self, rank: usize, axis: usize, keep: bool) -> Result<Self> {
        own((op!(argrank))(self.raw, rank, axis, keep))
    }
    /// Largest of all, shape `[]`.
    ///
    /// # Errors
    /// An empty tensor.
    pub fn max_all(&self) -> Result<Self> {
        own((op!(max_all))(self.raw))
    }

    // Products and nonlinear maps.

    /// Matrix product over the last two axes.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn matmul(&self, rhs: &Self) -> Result<Self> {
        own((op!(matmul))(self.raw, rhs.raw))
    }
    /// `softmax(gain·t)` along `axis`.
    ///
    /// # Errors
    /// No such axis.
    pub fn softmax(&self, axis: usize, gain: f64) -> Result<Self> {
        own((op!(softmax))(self.raw, axis, gain))
    }
    /// `self` where the U8 `mask` is not 0, else `other`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn where_mask(&self, mask: &Self, other: &Self) -> Result<Self> {
        own((op!(select))(mask.raw, self.raw, other.raw))
    }

    // Values.

    /// All values; on a GPU this waits for the device.
    ///
    /// # Errors
    /// The device failed.
    pub fn to_vec(&self) -> Result<Vec<f64>> {
        Ok(lift((op!(to_f64))(self.raw))?.into_iter().collect())
    }
    /// The one value of a tensor of one element; on a GPU this waits for the device.
    ///
    /// # Errors
    /// More than one element.
    pub fn to_scalar(&self) -> Result<f64> {
        let values = self.to_vec()?;
        match values[..] {
            [value] => Ok(value),
            _ => Err(RuleError::shape(format!(
                "a scalar has one element, found {}",
                values.len()
            ))),
        }
    }
    /// Contiguous f32 memory of a CPU tensor, without a copy.
    ///
    /// # Errors
    /// Unsupported (see [`RuleError::is_unsupported`]) on other devices, element
    /// types and layouts.
    pub fn view_f32(&self) -> Result<&[f32]> {
        Ok(lift((op!(view_f32))(self.raw))?.as_slice())
    }

    // Escape hatches.

    /// Launches `function` of the PTX text `ptx` on the host's CUDA stream, with these
    /// tensors followed by `numbers` (f32) and `sizes` (u32) as arguments. Output
    /// tensors are made beforehand, for example by [`Tensor::full_like`].
    ///
    /// # Errors
    /// Unsupported on other devices; the driver's words otherwise.
    pub fn launch_ptx(
        kernel: &PtxKernel<'_>,
        tensors: &[&Self],
        numbers: &[f32],
        sizes: &[u32],
    ) -> Result<()> {
        let mut args: Vec<RawArg> = tensors.iter().map(|t| t.as_arg()).collect();
        args.extend(
            numbers
                .iter()
                .map(|&n| number_arg(arg::F32, f64::from(n), 0)),
        );
        args.extend(
            sizes
                .iter()
                .map(|&n| number_arg(arg::U32, 0.0, i64::from(n))),
        );
        let launch = RawLaunch {
            grid: kernel.grid,
            block: kernel.block,
            shared_bytes: kernel.shared_bytes,
        };
        lift((op!(launch_ptx))(
            kernel.module.into(),
            kernel.ptx.into(),
            kernel.function.into(),
            &raw const launch,
            RSlice::from_slice(&args),
        ))
    }
    /// Whether the host has the op `name` behind [`Tensor::call`].
    ///
    /// # Errors
    /// No host.
    pub fn has_op(name: &str) -> Result<bool> {
        Ok((op!(has_op))(name.into()))
    }
    /// An op that is newer than the table, by name.
    ///
    /// # Errors
    /// The host lacks it, or it failed.
    pub fn call(name: &str, tensors: &[&Self], numbers: &[f64]) -> Result<Vec<Self>> {
        let mut args: Vec<RawArg> = tensors.iter().map(|t| t.as_arg()).collect();
        args.extend(numbers.iter().map(|&n| number_arg(arg::F64, n, 0)));
        let out = lift((op!(call))(name.into(), RSlice::from_slice(&args)))?;
        Ok(out.into_iter().map(Self::own).collect())
    }
    fn as_arg(&self) -> RawArg {
        RawArg {
            kind: arg::TENSOR,
            tensor: self.raw,
            number: 0.0,
            integer: 0,
        }
    }
}

fn number_arg(kind: Code, number: f64, integer: i64) -> RawArg {
    RawArg {
        kind,
        tensor: RawTensor::NULL,
        number,
        integer,
    }
}

pub(crate) fn own(raw: crate::abi::types::RawResult<RawTensor>) -> Result<Tensor> {
    lift(raw).map(Tensor::own)
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// Not a float tensor.
        #[allow(clippy::should_implement_trait)]
        pub fn $name(&self) -> Result<Self> {
            own((op!($name))(self.raw))
        }
    )* } };
}
unary! {
    /// `−t`.
    neg;
    /// `|t|`.
    abs;
    /// −1, 0 or 1; 0 at 0.
    sign;
    /// `eᵗ`.
    exp;
    /// Natural logarithm.
    ln;
    /// Square root.
    sqrt;
    /// `t²`.
    sqr;
    /// `1/t`.
    recip;
    /// `max(0, t)`.
    relu;
    /// Hyperbolic tangent.
    tanh;
    /// `1/(1 + e⁻ᵗ)`.
    sigmoid;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// Shapes that do not broadcast, or mixed element types.
        #[allow(clippy::should_implement_trait)]
        pub fn $name(&self, rhs: &Self) -> Result<Self> {
            own((op!($name))(self.raw, rhs.raw))
        }
    )* } };
}
binary! {
    /// `a + b`.
    add;
    /// `a − b`.
    sub;
    /// `a·b`, element by element.
    mul;
    /// `a/b`.
    div;
    /// The larger.
    maximum;
    /// The smaller.
    minimum;
    /// U8 mask of `a = b`.
    eq;
    /// U8 mask of `a < b`.
    lt;
    /// U8 mask of `a ≤ b`.
    le;
}

impl Clone for Tensor {
    /// Another handle; the elements are shared.
    fn clone(&self) -> Self {
        let clone = || -> Result<RawTensor> { Ok((op!(clone_tensor))(self.raw)) };
        Self::own(clone().expect("a tensor exists only where there is a host"))
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        let give_back = || -> Result<()> {
            (op!(drop_tensor))(self.raw);
            Ok(())
        };
        // Without a host there is nothing to give back to.
        let _ = give_back();
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.shape(), self.dtype()) {
            (Ok(shape), Ok(dtype)) => write!(f, "Tensor({shape:?}, {dtype:?})"),
            _ => f.write_str("Tensor(?)"),
        }
    }
}
