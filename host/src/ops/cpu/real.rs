//! Slices under Candle tensors, and the two floating-point types we compute in.

use std::cell::Cell;

pub use biorule_kernels::scratch::unwritten;
use candle_core::{CpuStorage, Layout, Storage, Tensor, WithDType};

use crate::{Error, Result};

/// `f32` or `f64`: an element of Candle tensors that the kernels compute with.
pub trait Real: biorule_kernels::Real + WithDType {
    /// Nearest value of this type.
    fn of(v: f64) -> Self;
    /// As `f64`.
    fn wide(self) -> f64;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            #[inline(always)]
            fn of(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                <$t>::tanh(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// Runs `$body` with `$t` bound to the element type of `$tensor`.
macro_rules! by_dtype {
    ($tensor:expr, $t:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => Err($crate::Error::internal(format!(
                "an operation got a tensor of {other:?} where it needs f32 or f64"
            ))),
        }
    };
}
pub(crate) use by_dtype;

/// Calls `f` with the elements of `t` in row-major order, copied only where
/// `t` is not contiguous.
pub fn read<T: WithDType, R>(t: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let t = t.contiguous()?;
    let (storage, layout) = t.storage_and_layout();
    let Storage::Cpu(cpu) = &*storage else {
        return Err(Error::internal(
            "a CPU kernel got a tensor of another device",
        ));
    };
    let all = T::cpu_storage_as_slice(cpu)?;
    let start = layout.start_offset();
    Ok(f(&all[start..start + layout.shape().elem_count()]))
}

/// Calls `f` with the elements of the contiguous tensor `t`, to change them.
/// Every tensor that shares its storage changes with it.
pub fn write<T: Slot, R>(t: &Tensor, f: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    let op = Edit {
        call: Cell::new(Some(f)),
        out: Cell::new(None),
        element: std::marker::PhantomData,
    };
    t.inplace_op1(&op)?;
    op.out
        .into_inner()
        .ok_or_else(|| Error::internal("an in-place edit did not run"))
}

/// Element types whose CPU storage can be borrowed for writing.
pub trait Slot: WithDType {
    /// The vector inside `storage`, if it holds this type.
    fn slot(storage: &mut CpuStorage) -> Option<&mut Vec<Self>>;
}

macro_rules! slot {
    ($t:ty, $v:ident) => {
        impl Slot for $t {
            fn slot(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
                match storage {
                    CpuStorage::$v(v) => Some(v),
                    _ => None,
                }
            }
        }
    };
}
slot!(f32, F32);
slot!(f64, F64);
slot!(u32, U32);
slot!(i64, I64);
slot!(u8, U8);

struct Edit<T, F, R> {
    call: Cell<Option<F>>,
    out: Cell<Option<R>>,
    element: std::marker::PhantomData<T>,
}

impl<T: Slot, R, F: FnOnce(&mut [T]) -> R> candle_core::InplaceOp1 for Edit<T, F, R> {
    fn name(&self) -> &'static str {
        "biorule-edit"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("an in-place edit needs a contiguous tensor")
        };
        let Some(all) = T::slot(storage) else {
            candle_core::bail!("an in-place edit got another element type")
        };
        if let Some(f) = self.call.take() {
            self.out.set(Some(f(&mut all[start..end])));
        }
        Ok(())
    }
}

/// A tensor that owns `data`, shape `dims`, on the CPU.
pub fn tensor<T: WithDType>(data: Vec<T>, dims: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(data, dims, &candle_core::Device::Cpu)?)
}

/// Runs `fill` on a fresh tensor of shape `dims` on the CPU; it must write every element.
pub fn filled<T: Real>(dims: &[usize], fill: impl FnOnce(&mut [T])) -> Result<Tensor> {
    let mut out = unwritten::<T>(dims.iter().product());
    fill(&mut out);
    tensor(out, dims)
}

/// The four sizes of `[B, C, H, W]`; a `[B, C]` tensor counts as `[B, C, 1, 1]`.
pub fn dims4(t: &Tensor) -> Result<[usize; 4]> {
    match *t.dims() {
        [b, c] => Ok([b, c, 1, 1]),
        [b, c, h, w] => Ok([b, c, h, w]),
        ref other => Err(Error::internal(format!(
            "expected a tensor [B, C] or [B, C, H, W], got {other:?}"
        ))),
    }
}

/// A vector of `n` zeros, for a kernel that adds to them or leaves some.
pub fn zeros<T: Real>(n: usize) -> Vec<T> {
    vec![T::ZERO; n]
}
