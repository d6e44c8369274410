//! Runs launches on the CPU in tests: the kernel text, behind a header that
//! stands for CUDA (`emulate.hpp`), compiled by the machine's C++ compiler.

use std::collections::{HashMap, hash_map};
use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};

use candle_core::DType;
use libloading::Library;

use super::machine::{Arg, Gemm, Launch, MOST_BLOCKS, Matrix};
use super::source::Source;
use crate::{Error, Result};

const HEADER: &str = include_str!("emulate.hpp");

/// Whether there is a compiler.
pub(super) fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| Command::new(compiler()).arg("--version").output().is_ok())
}

/// The C++ compiler that emulates kernels.
pub(super) fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

type Programs = HashMap<(Source, DType), Library>;

/// Compiled files; the lock also keeps emulations apart, which share state.
fn programs() -> MutexGuard<'static, Programs> {
    static PROGRAMS: OnceLock<Mutex<Programs>> = OnceLock::new();
    PROGRAMS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(|e| e.into_inner())
}

/// Kernel text that a C++ compiler takes, with an entry for each kernel.
fn program(text: &str, kernels: &[&str]) -> String {
    let mut program = format!("{HEADER}\n{text}\n");
    for kernel in kernels {
        program += &format!(
            "extern \"C\" void emulate_{kernel}(const unsigned *dims, void **args) \
             {{ emulate({kernel}, dims, args); }}\n\
             extern \"C\" unsigned arity_{kernel}() {{ return arity({kernel}); }}\n"
        );
    }
    program
}

fn compile(name: &str, program: &str) -> Result<Library> {
    let failed = |what: String| Error::internal(format!("emulating `{name}.cu`: {what}"));
    let folder = tempfile::tempdir().map_err(|e| failed(e.to_string()))?;
    let at = |ending: &str| -> PathBuf { folder.path().join(format!("{name}.{ending}")) };
    std::fs::write(at("cpp"), program).map_err(|e| failed(e.to_string()))?;
    let done = Command::new(compiler())
        .args(["-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-o"])
        .args([at("so"), at("cpp")])
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    // SAFETY: made from our own text just now; it has no start-up code.
    unsafe { Library::new(at("so")) }.map_err(|e| failed(e.to_string()))
}

/// Runs a kernel of `library`; each argument has room for the largest struct.
fn enter(library: &Library, kernel: &str, dims: [u32; 4], mut args: Vec<[u64; 10]>) -> Result<()> {
    type Entry = unsafe extern "C" fn(*const u32, *mut *mut c_void);
    type Arity = unsafe extern "C" fn() -> u32;
    let missing = |e: libloading::Error| Error::internal(format!("kernel `{kernel}`: {e}"));
    let mut pointers: Vec<*mut c_void> = args.iter_mut().map(|w| w.as_mut_ptr().cast()).collect();
    let symbol = |kind: &str| format!("{kind}_{kernel}");
    // SAFETY: the entries were generated with these signatures; the kernel reads
    // as many arguments as its arity says, each at most 80 bytes.
    unsafe {
        let arity = library
            .get::<Arity>(symbol("arity").as_str())
            .map_err(missing)?();
        if arity as usize != pointers.len() {
            let given = pointers.len();
            return Err(Error::internal(format!(
                "kernel `{kernel}` takes {arity} arguments, not {given}"
            )));
        }
        let entry = library
            .get::<Entry>(symbol("emulate").as_str())
            .map_err(missing)?;
        entry(dims.as_ptr(), pointers.as_mut_ptr());
    }
    Ok(())
}

/// Runs the one kernel of a text from elsewhere, with arguments as words.
pub(super) fn foreign(text: &str, kernel: &str, dims: [u32; 4], words: &[u64]) -> Result<()> {
    let _alone = programs();
    let library = compile(kernel, &program(text, &[kernel]))?;
    let args = words.iter().map(|w| {
        let mut bytes = [0; 10];
        bytes[0] = *w;
        bytes
    });
    enter(&library, kernel, dims, args.collect())
}

/// Runs a kernel to its end.
pub(super) fn launch(dtype: DType, launch: &Launch<'_>) -> Result<()> {
    let mut programs = programs();
    let source = launch.source;
    let library = match programs.entry((source, dtype)) {
        hash_map::Entry::Occupied(found) => found.into_mut(),
        hash_map::Entry::Vacant(place) => {
            let program = program(&source.text(dtype), &source.kernels());
            place.insert(compile(source.name(), &program)?)
        }
    };
    let args = launch.args.iter().map(|arg| {
        let mut bytes = [0u64; 10];
        match *arg {
            Arg::Word(bits) => bytes[0] = bits,
            Arg::Real(v) if dtype == DType::F64 => bytes[0] = v.to_bits(),
            Arg::Real(v) => bytes[0] = u64::from((v as f32).to_bits()),
            Arg::Ints(values) => {
                for (word, pair) in bytes.iter_mut().zip(values.chunks(2)) {
                    *word = u64::from(pair[0] as u32) | u64::from(pair[1] as u32) << 32;
                }
            }
            Arg::TooLarge(_) => unreachable!("refused by Machine::launch"),
        }
        bytes
    });
    let ([gx, gy], [bx, by]) = (launch.grid, launch.block);
    if gx > i32::MAX as u32 || gy > MOST_BLOCKS {
        return Err(Error::internal(format!(
            "kernel `{}`: no GPU has a grid of {gx} x {gy} blocks",
            launch.kernel
        )));
    }
    enter(library, launch.kernel, [gx, gy, bx, by], args.collect())
}

/// The product by three loops, in `f64`.
pub(super) fn gemm(dtype: DType, gemm: &Gemm) -> Result<()> {
    let read = |m: &Matrix, batch: usize, i: usize, j: usize| -> f64 {
        let (i, j) = if m.transposed { (j, i) } else { (i, j) };
        let index = batch * m.stride + i * m.ld + j;
        // SAFETY: operands describe memory of CPU tensors of this type.
        unsafe {
            match dtype {
                DType::F64 => *(m.at as *const f64).add(index),
                _ => f64::from(*(m.at as *const f32).add(index)),
            }
        }
    };
    let mut plain = gemm.c;
    plain.transposed = false;
    for batch in 0..gemm.batch {
        for i in 0..gemm.m {
            for j in 0..gemm.n {
                let mut sum = if gemm.add {
                    read(&plain, batch, i, j)
                } else {
                    0.0
                };
                for l in 0..gemm.k {
                    sum += read(&gemm.a, batch, i, l) * read(&gemm.b, batch, l, j);
                }
                let index = batch * plain.stride + i * plain.ld + j;
                // SAFETY: the output is a fresh CPU tensor of this type.
                unsafe {
                    match dtype {
                        DType::F64 => *(plain.at as *mut f64).add(index) = sum,
                        _ => *(plain.at as *mut f32).add(index) = sum as f32,
                    }
                }
            }
        }
    }
    Ok(())
}
