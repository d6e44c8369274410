//! Runs launches on the CPU in tests: the kernel text, behind a header that
//! stands for CUDA (`emulate.hpp`), compiled by the machine's C++ compiler.

use std::collections::{HashMap, hash_map};
use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};

use candle_core::DType;
use libloading::Library;

use super::machine::{Arg, Gemm, Launch, Matrix};
use super::source::Source;
use crate::{Error, Result};

const HEADER: &str = include_str!("emulate.hpp");

/// Whether there is a compiler; says so once if not.
pub(super) fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = Command::new(compiler()).arg("--version").output().is_ok();
        if !found {
            println!(
                "skipped: no C++ compiler (`{}`) to emulate kernels with",
                compiler()
            );
        }
        found
    })
}

fn compiler() -> String {
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

fn text(source: Source, dtype: DType) -> String {
    let mut text = format!("{HEADER}\n{}\n", source.text(dtype));
    for kernel in source.kernels() {
        text += &format!(
            "extern \"C\" void emulate_{kernel}(const unsigned *dims, void **args) \
             {{ emulate({kernel}, dims, args); }}\n"
        );
    }
    text
}

fn compile(source: Source, dtype: DType) -> Result<Library> {
    let failed =
        |what: String| Error::internal(format!("emulating `{}.cu`: {what}", source.name()));
    let folder = tempfile::tempdir().map_err(|e| failed(e.to_string()))?;
    let at =
        |ending: &str| -> PathBuf { folder.path().join(format!("{}.{ending}", source.name())) };
    std::fs::write(at("cpp"), text(source, dtype)).map_err(|e| failed(e.to_string()))?;
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

/// Runs a kernel to its end.
pub(super) fn launch(dtype: DType, launch: &Launch<'_>) -> Result<()> {
    type Entry = unsafe extern "C" fn(*const u32, *mut *mut c_void);
    let mut programs = programs();
    let key = (launch.source, dtype);
    if let hash_map::Entry::Vacant(place) = programs.entry(key) {
        place.insert(compile(launch.source, dtype)?);
    }
    let mut words: Vec<[u64; 10]> = launch
        .args
        .iter()
        .map(|arg| {
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
        })
        .collect();
    let mut args: Vec<*mut c_void> = words.iter_mut().map(|w| w.as_mut_ptr().cast()).collect();
    let dims = [
        launch.grid[0],
        launch.grid[1],
        launch.block[0],
        launch.block[1],
    ];
    let name = format!("emulate_{}", launch.kernel);
    // SAFETY: the entry was generated with this signature; it reads as many
    // arguments as the kernel has, each at most 80 bytes, at these addresses.
    unsafe {
        let entry = programs[&key].get::<Entry>(name.as_bytes());
        let entry = entry.map_err(|e| Error::internal(format!("`{name}`: {e}")))?;
        entry(dims.as_ptr(), args.as_mut_ptr());
    }
    Ok(())
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
