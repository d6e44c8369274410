//! CUDA's libraries on this machine: which are there, which version, and what
//! to install for those that are not.
//!
//! Everything is looked up by `dlopen`, in every build: a program without the
//! `cuda` feature can still say what the machine has, and one with it starts
//! where nothing is installed. Nothing here panics or prints.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};

/// Folders searched before the system's own places, separated by colons.
pub const SEARCH_VARIABLE: &str = "BIORULE_CUDA_PATH";

/// One library that the GPU half calls.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// What people call it.
    pub name: &'static str,
    /// File names, the preferred first.
    pub files: &'static [&'static str],
    /// What it is for.
    pub purpose: &'static str,
    /// How to get it.
    pub install: &'static str,
}

/// In the order in which they must be opened.
pub const NEEDED: [Needed; 5] = [
    Needed {
        name: "driver",
        files: &["libcuda.so.1", "libcuda.so"],
        purpose: "talks to the GPU",
        install: "install NVIDIA's driver, 580 or newer",
    },
    Needed {
        name: "NVRTC",
        files: &["libnvrtc.so.13", "libnvrtc.so"],
        purpose: "compiles our kernels at start",
        install: "`pip install nvidia-cuda-nvrtc==13.0.88`, or CUDA toolkit 13.0",
    },
    Needed {
        name: "cuBLASLt",
        files: &["libcublasLt.so.13", "libcublasLt.so"],
        purpose: "matrix products",
        install: "`pip install nvidia-cublas==13.1.0.3`, or CUDA toolkit 13.0",
    },
    Needed {
        name: "cuBLAS",
        files: &["libcublas.so.13", "libcublas.so"],
        purpose: "matrix products",
        install: "`pip install nvidia-cublas==13.1.0.3`, or CUDA toolkit 13.0",
    },
    Needed {
        name: "cuRAND",
        files: &["libcurand.so.10", "libcurand.so"],
        purpose: "made by candle when it opens a device",
        install: "`pip install nvidia-curand==10.4.0.35`, or CUDA toolkit 13.0",
    },
];

/// A library that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name or path under which it opened.
    pub file: PathBuf,
    /// `13.0`, where the library says so.
    pub version: Option<String>,
}

/// What became of one library.
#[derive(Clone, Debug)]
pub struct Probed {
    /// Which one.
    pub needed: Needed,
    /// Where it was found, or the loader's words for why not.
    pub state: Result<Found, String>,
}

/// One GPU as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Marketing name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: u64,
}

/// Opens each library in [`NEEDED`] and keeps it open, so that a later `dlopen`
/// by name finds the same file.
pub fn probe() -> Vec<Probed> {
    let folders = search_folders(std::env::var_os(SEARCH_VARIABLE));
    for folder in &folders {
        // NVRTC opens its built-in headers by name, from wherever they are.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with("libnvrtc-builtins.so")
            {
                let _ = open(&entry.path());
            }
        }
    }
    NEEDED
        .iter()
        .map(|needed| Probed {
            needed: *needed,
            state: find(needed, &folders),
        })
        .collect()
}

/// The GPUs, or why there is none to use.
///
/// # Errors
/// One line: no driver, a driver without a GPU, or the driver's error code.
pub fn gpus() -> Result<Vec<Gpu>, String> {
    let driver = NEEDED[0]
        .files
        .iter()
        .find_map(|file| open(Path::new(file)).ok())
        .ok_or("no NVIDIA driver (`libcuda.so.1` not found)")?;
    let init: Symbol<unsafe extern "C" fn(u32) -> c_int> = function(&driver, "cuInit")?;
    // SAFETY: the driver's documented entry point; it may be called any number of times.
    check("cuInit", unsafe { init(0) })?;
    let count_of: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> =
        function(&driver, "cuDeviceGetCount")?;
    let mut count = 0;
    // SAFETY: writes one integer through a pointer to one.
    check("cuDeviceGetCount", unsafe { count_of(&mut count) })?;
    (0..count).map(|i| describe(&driver, i)).collect()
}

fn describe(driver: &Library, ordinal: c_int) -> Result<Gpu, String> {
    type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
    const MAJOR: c_int = 75;
    const MINOR: c_int = 76;
    let name_of: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
        function(driver, "cuDeviceGetName")?;
    let memory_of: Symbol<unsafe extern "C" fn(*mut usize, c_int) -> c_int> =
        function(driver, "cuDeviceTotalMem_v2")?;
    let attribute: Symbol<Attribute> = function(driver, "cuDeviceGetAttribute")?;
    let mut text: [c_char; 128] = [0; 128];
    let (mut memory, mut major, mut minor) = (0usize, 0, 0);
    // SAFETY: device handles are the ordinals below the count; each call writes
    // into the buffer it is given, the name at most 127 bytes and a zero.
    unsafe {
        check("cuDeviceGetName", name_of(text.as_mut_ptr(), 127, ordinal))?;
        check("cuDeviceTotalMem", memory_of(&mut memory, ordinal))?;
        check(
            "cuDeviceGetAttribute",
            attribute(&mut major, MAJOR, ordinal),
        )?;
        check(
            "cuDeviceGetAttribute",
            attribute(&mut minor, MINOR, ordinal),
        )?;
    }
    // SAFETY: the buffer was zeroed and its last byte never written.
    let name = unsafe { CStr::from_ptr(text.as_ptr()) };
    Ok(Gpu {
        name: name.to_string_lossy().into_owned(),
        capability: (major, minor),
        memory: memory as u64,
    })
}

fn search_folders(variable: Option<std::ffi::OsString>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = variable
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|p| p.is_dir())
        .collect();
    folders.push("/usr/local/cuda/lib64".into());
    folders
}

fn find(needed: &Needed, folders: &[PathBuf]) -> Result<Found, String> {
    let inside = folders
        .iter()
        .flat_map(|d| needed.files.iter().map(move |f| d.join(f)));
    let by_name = needed.files.iter().map(PathBuf::from);
    let mut reason = String::new();
    for file in inside.filter(|f| f.exists()).chain(by_name) {
        match open(&file) {
            Ok(library) => {
                return Ok(Found {
                    version: version(needed.name, &library),
                    file,
                });
            }
            Err(e) if reason.is_empty() => reason = e,
            Err(_) => {}
        }
    }
    Err(reason)
}

/// Opens a library for the life of the process.
fn open(file: &Path) -> Result<Library, String> {
    // SAFETY: these are vendor libraries named by the user or the system; their
    // start-up code is run by any program that uses a GPU.
    let library = unsafe { Library::new(file) }.map_err(|e| reason(&e))?;
    // SAFETY: the same file again only counts one more reference, which is
    // leaked on purpose: closing a driver library is not supported.
    if let Ok(again) = unsafe { Library::new(file) } {
        std::mem::forget(again);
    }
    Ok(library)
}

/// The loader's own words, in one line.
fn reason(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or(error.to_string(), ToString::to_string);
    text.lines().next().unwrap_or("cannot be opened").to_owned()
}

fn function<'l, T>(library: &'l Library, name: &str) -> Result<Symbol<'l, T>, String> {
    // SAFETY: every caller names a C function with the signature of NVIDIA's headers.
    unsafe { library.get(name.as_bytes()) }.map_err(|_| format!("the driver has no `{name}`"))
}

fn check(call: &str, status: c_int) -> Result<(), String> {
    match status {
        0 => Ok(()),
        100 => Err("the driver finds no GPU".to_owned()),
        34 => Err("only a stub of the driver is installed".to_owned()),
        803 => Err("the driver's kernel module and library differ in version".to_owned()),
        code => Err(format!("`{call}` failed with code {code}")),
    }
}

/// The version that a library reports about itself.
fn version(name: &str, library: &Library) -> Option<String> {
    type One = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Two = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
    type Property = unsafe extern "C" fn(c_int, *mut c_int) -> c_int;
    let (mut a, mut b) = (0, 0);
    // SAFETY: each function writes integers through the pointers it is given and
    // needs no initialised device.
    let status = unsafe {
        match name {
            "driver" => function::<One>(library, "cuDriverGetVersion").ok()?(&mut a),
            "cuRAND" => function::<One>(library, "curandGetVersion").ok()?(&mut a),
            "NVRTC" => function::<Two>(library, "nvrtcVersion").ok()?(&mut a, &mut b),
            "cuBLAS" => {
                let property = function::<Property>(library, "cublasGetProperty").ok()?;
                property(0, &mut a) | property(1, &mut b)
            }
            _ => return None,
        }
    };
    if status != 0 {
        return None;
    }
    Some(match name {
        "driver" | "cuRAND" => format!("{}.{}", a / 1000, a % 1000 / 10),
        _ => format!("{a}.{b}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_is_found_or_has_a_reason() {
        let probed = probe();
        assert_eq!(probed.len(), NEEDED.len());
        for p in probed {
            match p.state {
                Ok(found) => assert!(p.needed.files.iter().any(|f| found.file.ends_with(f))),
                Err(reason) => assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}"),
            }
        }
    }

    #[test]
    fn only_real_folders_are_searched() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let here = folder.path();
        let list = std::env::join_paths([here, &here.join("absent")]).expect("plain paths");
        let folders = search_folders(Some(list));
        assert_eq!(folders[0], here);
        assert_eq!(folders.len(), 2);
    }

    #[test]
    fn a_file_that_is_no_library_is_a_reason() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("libtext.so"), "text").expect("write");
        let needed = Needed {
            files: &["libtext.so"],
            ..NEEDED[1]
        };
        let reason = find(&needed, &[folder.path().to_owned()]).expect_err("not a library");
        assert!(reason.contains("libtext.so"), "{reason}");
    }
}
