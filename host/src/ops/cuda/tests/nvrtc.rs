//! The compiler that the program uses on a GPU machine accepts every kernel file,
//! for an old and a new GPU. Needs the library, no GPU: `BIORULE_NVRTC` names it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use biorule_test_environment::{Need, skip};
use libloading::Library;

use super::super::source::Source;
use super::TYPES;

const GENERATIONS: [&str; 2] = ["compute_80", "compute_90"];

/// The library, with its built-in declarations opened beside it.
fn library() -> Option<Library> {
    let path = std::env::var_os("BIORULE_NVRTC").map(PathBuf::from);
    let beside = path.as_deref().and_then(Path::parent);
    for entry in beside
        .into_iter()
        .filter_map(|d| d.read_dir().ok())
        .flatten()
        .flatten()
    {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("libnvrtc-builtins.so")
        {
            // SAFETY: NVIDIA's library, named by whoever runs the test.
            let opened = unsafe { Library::new(entry.path()) };
            std::mem::forget(opened);
        }
    }
    let path = path.unwrap_or_else(|| "libnvrtc.so.13".into());
    // SAFETY: as above.
    unsafe { Library::new(path) }.ok()
}

/// The compiler's log, as an error if it refuses.
fn compile(library: &Library, source: &str, generation: &str) -> Result<(), String> {
    type Create = unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const c_void,
        *const c_void,
    ) -> c_int;
    type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
    type LogSize = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
    type Log = unsafe extern "C" fn(*mut c_void, *mut u8) -> c_int;
    let source = CString::new(source).expect("text");
    let option = CString::new(format!("--gpu-architecture={generation}")).expect("text");
    let mut program = std::ptr::null_mut();
    // SAFETY: signatures of nvrtc.h; strings and buffers live through the calls,
    // and the log buffer has the size that the library asks for.
    unsafe {
        let function = "the library has NVRTC's functions";
        let create = library
            .get::<Create>(b"nvrtcCreateProgram")
            .expect(function);
        let compile = library
            .get::<Compile>(b"nvrtcCompileProgram")
            .expect(function);
        let size = library
            .get::<LogSize>(b"nvrtcGetProgramLogSize")
            .expect(function);
        let log = library.get::<Log>(b"nvrtcGetProgramLog").expect(function);
        let none: *const c_void = std::ptr::null();
        assert_eq!(
            create(&mut program, source.as_ptr(), none.cast(), 0, none, none),
            0
        );
        if compile(program, 1, &option.as_ptr()) == 0 {
            return Ok(());
        }
        let mut length = 0;
        size(program, &mut length);
        let mut text = vec![0u8; length.max(1)];
        log(program, text.as_mut_ptr());
        Err(String::from_utf8_lossy(&text).into_owned())
    }
}

#[test]
fn nvrtc_accepts_every_kernel() {
    let Some(library) = library() else {
        return skip(Need::Nvrtc, "`BIORULE_NVRTC` names no libnvrtc.so.13");
    };
    let broken = compile(
        &library,
        "__global__ void f() { absent(); }",
        GENERATIONS[0],
    );
    assert!(broken.expect_err("an error is noticed").contains("absent"));
    for source in Source::ALL {
        for dtype in TYPES {
            for generation in GENERATIONS {
                let outcome = compile(&library, &source.text(dtype), generation);
                let name = source.name();
                assert_eq!(outcome, Ok(()), "{name}.cu, {dtype:?}, {generation}");
            }
        }
    }
}
