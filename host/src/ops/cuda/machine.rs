//! What a launch needs, whoever runs it: pointers under tensors, fresh outputs,
//! kernel arguments and matrix products.

use std::cell::Cell;

use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Storage, Tensor};

pub(super) use super::launch::*;
use super::source::Source;
use crate::{Error, Result};

/// Where an operation runs, and the type of its elements.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    device: Device,
    dtype: DType,
}

impl Machine {
    /// That of `like`, which must be `f32` or `f64`.
    pub fn of(like: &Tensor) -> Result<Self> {
        match like.dtype() {
            DType::F32 | DType::F64 => Ok(Self {
                device: like.device().clone(),
                dtype: like.dtype(),
            }),
            other => Err(Error::internal(format!(
                "an operation got a tensor of {other:?} where it needs f32 or f64"
            ))),
        }
    }

    /// Blocks along an axis of a grid at most.
    fn most_blocks(&self) -> u32 {
        match self.device {
            Device::Cpu => MOST_EMULATED,
            _ => MOST_BLOCKS,
        }
    }

    /// Bytes of an element.
    pub fn size(&self) -> usize {
        self.dtype.size_in_bytes()
    }

    /// Runs a kernel.
    pub fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        if let Some(Arg::TooLarge(n)) = launch.args.iter().find(|a| matches!(a, Arg::TooLarge(_))) {
            return Err(Error::internal(format!(
                "a size of {n} is too large for kernel `{}`",
                launch.kernel
            )));
        }
        match &self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => super::gpu::launch(device, self.dtype, launch),
            #[cfg(test)]
            Device::Cpu => super::emulate::launch(self.dtype, launch),
            other => Err(no_machine(other)),
        }
    }

    /// [`Machine::launch`] of `source.kernel` over `items` by `rows`.
    pub fn over(
        &self,
        source: Source,
        kernel: &'static str,
        [items, rows]: [usize; 2],
        args: &[Arg],
    ) -> Result<()> {
        if items == 0 || rows == 0 {
            return Ok(());
        }
        let (grid, block) = (cover(items, rows, self.most_blocks()), [THREADS, 1]);
        self.launch(&Launch {
            source,
            kernel,
            grid,
            block,
            args,
        })
    }

    /// [`Machine::launch`] with one block for each of `blocks`, which then reduces what it stands
    /// for; along y kernels loop over what is more than a grid has.
    pub fn reduce(
        &self,
        source: Source,
        kernel: &'static str,
        blocks: [usize; 2],
        args: &[Arg],
    ) -> Result<()> {
        let grid = [
            int_or(blocks[0])?,
            int_or(blocks[1].min(self.most_blocks() as usize))?,
        ];
        if grid.contains(&0) {
            return Ok(());
        }
        self.launch(&Launch {
            source,
            kernel,
            grid,
            block: [THREADS, 1],
            args,
        })
    }

    /// Runs a matrix product.
    pub fn gemm(&self, gemm: &Gemm) -> Result<()> {
        if gemm.batch == 0 || gemm.m == 0 || gemm.n == 0 {
            return Ok(());
        }
        match &self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => super::gpu::gemm(device, self.dtype, gemm),
            #[cfg(test)]
            Device::Cpu => super::emulate::gemm(self.dtype, gemm),
            other => Err(no_machine(other)),
        }
    }

    /// The elements of `t`, contiguous, of this machine's device and type.
    pub fn input(&self, t: &Tensor) -> Result<Input> {
        if t.dtype() != self.dtype {
            return Err(Error::internal(format!(
                "operands of {:?} and {:?} in one operation",
                self.dtype,
                t.dtype()
            )));
        }
        self.any_input(t)
    }

    /// As [`Machine::input`], for a tensor of another type (labels, places, bytes).
    pub fn any_input(&self, t: &Tensor) -> Result<Input> {
        if !t.device().same_device(&self.device) {
            return Err(Error::internal(
                "operands of one operation on different devices",
            ));
        }
        let tensor = t.contiguous()?;
        let at = {
            let (storage, layout) = tensor.storage_and_layout();
            address(&storage)? + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64
        };
        Ok(Input {
            at,
            _tensor: tensor,
        })
    }

    /// Space for `n` elements, not initialised on a GPU.
    pub fn output(&self, n: usize) -> Result<Output> {
        self.typed_output(n, self.dtype, false)
    }

    /// `n` zeros.
    pub fn zeros(&self, n: usize) -> Result<Output> {
        self.typed_output(n, self.dtype, true)
    }

    /// As [`Machine::output`], of another type (`f32`, `f64` or `u32`).
    pub fn typed_output(&self, n: usize, dtype: DType, zero: bool) -> Result<Output> {
        let storage = match (&self.device, dtype) {
            // The driver has no memory of no bytes.
            #[cfg(feature = "cuda")]
            (Device::Cuda(device), _) => {
                Storage::Cuda(super::gpu::allocate(device, n.max(1), dtype, zero)?)
            }
            // What a kernel leaves unwritten shows.
            (Device::Cpu, DType::F32) => {
                let fill = if zero { 0.0 } else { f32::NAN };
                Storage::Cpu(CpuStorage::F32(vec![fill; n]))
            }
            (Device::Cpu, DType::F64) => {
                let fill = if zero { 0.0 } else { f64::NAN };
                Storage::Cpu(CpuStorage::F64(vec![fill; n]))
            }
            (Device::Cpu, DType::U32) => {
                let fill = if zero { 0 } else { u32::MAX };
                Storage::Cpu(CpuStorage::U32(vec![fill; n]))
            }
            (other, _) => return Err(no_machine(other)),
        };
        Ok(Output {
            at: address(&storage)?,
            storage,
        })
    }
}

fn int_or(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::internal(format!("a grid of {n} blocks is too large")))
}

fn no_machine(device: &Device) -> Error {
    Error::internal(format!("no GPU kernels for device {:?}", device.location()))
}

/// A tensor read by launches; kept until they are enqueued (memory is freed in
/// stream order, so that is long enough).
pub(super) struct Input {
    at: u64,
    _tensor: Tensor,
}

/// Fresh memory that becomes a tensor.
pub(super) struct Output {
    at: u64,
    storage: Storage,
}

impl Input {
    /// Its address.
    pub fn at(&self) -> u64 {
        self.at
    }
    /// Its address as an argument.
    pub fn arg(&self) -> Arg {
        Arg::Word(self.at)
    }
}

impl Output {
    /// Its address.
    pub fn at(&self) -> u64 {
        self.at
    }
    /// Its address as an argument.
    pub fn arg(&self) -> Arg {
        Arg::Word(self.at)
    }
    /// The tensor, of shape `dims`.
    pub fn tensor(self, dims: &[usize]) -> Tensor {
        Tensor::from_storage(self.storage, dims, BackpropOp::none(), false)
    }
}

/// Address of the first element of a storage.
fn address(storage: &Storage) -> Result<u64> {
    match storage {
        Storage::Cpu(cpu) => cpu_address(cpu),
        #[cfg(feature = "cuda")]
        Storage::Cuda(cuda) => super::gpu::address(cuda),
        _ => Err(Error::internal("a tensor of a device without kernels")),
    }
}

fn cpu_address(storage: &CpuStorage) -> Result<u64> {
    Ok(match storage {
        CpuStorage::F32(v) => v.as_ptr() as u64,
        CpuStorage::F64(v) => v.as_ptr() as u64,
        CpuStorage::U32(v) => v.as_ptr() as u64,
        CpuStorage::I32(v) => v.as_ptr() as u64,
        CpuStorage::U8(v) => v.as_ptr() as u64,
        _ => return Err(Error::internal("a tensor of a type without kernels")),
    })
}

/// Calls `f` with the addresses of contiguous tensors that it changes in place,
/// each locked for writing meanwhile. They must not share storage.
pub(super) fn in_place(tensors: &[&Tensor], f: &mut dyn FnMut(&[u64]) -> Result<()>) -> Result<()> {
    lock(tensors, &mut Vec::new(), f)
}

fn lock(
    rest: &[&Tensor],
    found: &mut Vec<u64>,
    f: &mut dyn FnMut(&[u64]) -> Result<()>,
) -> Result<()> {
    let Some((first, rest)) = rest.split_first() else {
        return f(found);
    };
    let outcome = Cell::new(Ok(()));
    let run = |at: u64| {
        found.push(at);
        outcome.set(lock(rest, found, f));
    };
    first.inplace_op1(&Locked {
        run: Cell::new(Some(run)),
        size: first.dtype().size_in_bytes(),
    })?;
    outcome.into_inner()
}

struct Locked<F> {
    run: Cell<Option<F>>,
    size: usize,
}

impl<F: FnOnce(u64)> Locked<F> {
    fn call(&self, base: Result<u64>, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, _)) = layout.contiguous_offsets() else {
            candle_core::bail!("an in-place kernel needs a contiguous tensor")
        };
        let base = base.map_err(|e| candle_core::Error::Msg(e.text))?;
        if let Some(run) = self.run.take() {
            run(base + (start * self.size) as u64);
        }
        Ok(())
    }
}

impl<F: FnOnce(u64)> InplaceOp1 for Locked<F> {
    fn name(&self) -> &'static str {
        "biorule-in-place"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        self.call(cpu_address(storage), layout)
    }
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        self.call(super::gpu::address(storage), layout)
    }
    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _: &mut CudaStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("this build has no CUDA")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that an element which a kernel does not write is seen, and not taken for a zero.
    #[test]
    fn emulated_outputs_are_filled_with_what_no_kernel_means() {
        for dtype in [DType::F32, DType::F64] {
            let like = Tensor::zeros(1, dtype, &Device::Cpu).expect("a tensor");
            let m = Machine::of(&like).expect("a machine");
            let all = |out: Output| -> Vec<f64> {
                let wide = out.tensor(&[5]).to_dtype(DType::F64);
                wide.and_then(|t| t.to_vec1()).expect("numbers")
            };
            assert!(all(m.output(5).expect("memory")).iter().all(|v| v.is_nan()));
            assert_eq!(all(m.zeros(5).expect("memory")), [0.0; 5]);
            let places = m.typed_output(5, DType::U32, false).expect("memory");
            assert_eq!(all(places), [f64::from(u32::MAX); 5]);
            assert_eq!(m.output(0).expect("memory").tensor(&[0]).elem_count(), 0);
        }
    }

    /// A grid has 65,535 blocks along y; layers may have more units.
    #[test]
    fn no_grid_is_longer_than_a_gpu_takes() {
        assert_eq!(cover(10_000_000_000, 70_000, MOST_BLOCKS), [65_535; 2]);
        assert_eq!(cover(257, 2, MOST_BLOCKS), [2, 2]);
        assert_eq!(cover(0, 0, MOST_BLOCKS), [1, 1]);
    }
}
