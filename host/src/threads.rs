//! Threads and allocator of the process, set before anything computes.
//!
//! Our kernels and Candle's matrix products share rayon's global pool; Candle's
//! element-wise ops have a pool of their own whose idle workers spin, which on
//! few cores starves everyone else: it is told to park at once. Every thread
//! that computes takes subnormal numbers as 0 ([`denormals`]). The allocator
//! keeps large blocks instead of giving them back to the system after every op,
//! where each page would fault in again (docs/performance.md).

use std::sync::Mutex;

use biorule_kernels::denormals::{self, set_flush_denormal};

use crate::{Error, Result};

/// Sets up the process. Call it first in `main`, before any thread starts and
/// before Candle is used. Variables that are set already win.
pub fn setup() {
    variables::set_default("CANDLE_BARRIER_POOL_SPIN_LIMIT", "1");
    allocator::keep_large_blocks();
    enter();
}

/// First call of every thread that computes. The pools' threads make it
/// themselves; a thread that is started elsewhere has to.
pub fn enter() {
    set_flush_denormal(true);
}

/// Threads at most, as in the setting `threads`: starting more takes seconds, or never ends.
const MOST: usize = 1024;

/// Threads of the pools, once they are made.
static STARTED: Mutex<Option<usize>> = Mutex::new(None);

/// Makes the pools: `threads` of them where that is above 0, else as many as
/// `RAYON_NUM_THREADS` says, else as there are cores. Returns what a user should
/// know of the choice. A second call with the same outcome changes nothing.
///
/// Call it while the program has no other thread: it sets variables that Candle reads.
///
/// # Errors
/// Usage error where the system does not give so many threads, or the pools have
/// another size already.
pub fn start(threads: usize) -> Result<Vec<String>> {
    let mut started = STARTED.lock().unwrap_or_else(|e| e.into_inner());
    let cores = cores();
    let told = std::env::var("RAYON_NUM_THREADS").ok();
    let Choice { count, warnings } = choose(threads, told.as_deref(), cores);
    if count > MOST {
        let from = if threads > 0 {
            "`threads`"
        } else {
            "`RAYON_NUM_THREADS`"
        };
        let text = format!("{from} is {count}, expected 0 to {MOST}");
        return Err(Error::usage(text).hint("more threads than cores are not faster"));
    }
    if let Some(before) = *started {
        if threads == 0 || before == count {
            return Ok(Vec::new());
        }
        let text = format!("`threads` is {threads}, but this process computes with {before}");
        return Err(Error::usage(text).hint(
            "experiments of one command share their threads: give `--threads`, or start them one by one",
        ));
    }
    variables::set("RAYON_NUM_THREADS", &count.to_string());
    // Its callers wait for the slowest worker: more of them than cores only wait for each other.
    let candle = count.min(cores).to_string();
    match threads {
        0 => variables::set_default("CANDLE_NUM_THREADS", &candle),
        _ => variables::set("CANDLE_NUM_THREADS", &candle),
    }
    build(count).map_err(|e| {
        Error::usage(format!("{count} threads cannot be started: {e}"))
            .hint("lower `threads` (`--threads`, `RAYON_NUM_THREADS`)")
    })?;
    *started = Some(count);
    Ok(warnings)
}

/// How many threads, and what to say about it.
struct Choice {
    count: usize,
    warnings: Vec<String>,
}

/// `threads` of the configuration beats `told`, the value of `RAYON_NUM_THREADS`.
fn choose(threads: usize, told: Option<&str>, cores: usize) -> Choice {
    let number = told.and_then(|text| text.trim().parse::<usize>().ok());
    let (count, from) = match (threads, number) {
        (0, Some(n)) if n > 0 => (n, "`RAYON_NUM_THREADS`"),
        (0, _) => (cores, ""),
        (n, _) => (n, "`threads`"),
    };
    let mut warnings = Vec::new();
    match (told, number) {
        (Some(text), None) if !text.is_empty() => warnings.push(format!(
            "`RAYON_NUM_THREADS` is `{text}`, which is not a number: {count} threads are used"
        )),
        (Some(_), Some(n)) if threads > 0 && n > 0 && n != threads => warnings.push(format!(
            "`threads` is {threads} and wins over `RAYON_NUM_THREADS`, which is {n}"
        )),
        _ => {}
    }
    if count > cores {
        warnings.push(format!(
            "{from} is {count}, but this process may use {cores} cores: the results are the same, and not faster"
        ));
    }
    Choice { count, warnings }
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Threads of the kernels.
#[must_use]
pub fn count() -> usize {
    rayon::current_num_threads()
}

fn build(count: usize) -> std::result::Result<(), String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .start_handler(|_| enter())
        .build_global()
        .map_err(|e| e.to_string())?;
    // Candle's pool has no such handler, and panics where the system gives it no thread.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made = std::panic::catch_unwind(|| {
        candle_core::utils::barrier_pool().execute(|_| enter());
    });
    std::panic::set_hook(told);
    made.map_err(|_| "the system gives no more threads or no memory for them".to_owned())
}

/// Makes this thread ready to compute, and the pools where [`start`] did not: for
/// programs that use the library, and tests.
pub fn prepare() {
    enter();
    ensure_started();
}

fn ensure_started() {
    let mut started = STARTED.lock().unwrap_or_else(|e| e.into_inner());
    if started.is_none() {
        // Rayon reads `RAYON_NUM_THREADS` itself. It fails only where its pool exists already; then
        // that pool's threads are told one by one.
        if build(0).is_err() {
            flush_denormals(true);
        }
        *started = Some(count());
    }
}

/// Runs `f` on a thread of the pool: parallel loops inside start without
/// parking the caller and waking a worker each time.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    ensure_started();
    rayon::scope(|_| f())
}

/// Lets all threads that compute, this one included, take subnormal numbers as 0
/// or as they are: for measurements and comparisons.
pub fn flush_denormals(on: bool) {
    let set = || {
        denormals::set_flush_denormal(on);
    };
    set();
    rayon::broadcast(|_| set());
    candle_core::utils::barrier_pool().execute(|_| set());
}

mod variables {
    /// Sets `name` unless the user did.
    pub fn set_default(name: &str, value: &str) {
        if std::env::var_os(name).is_none() {
            set(name, value);
        }
    }

    /// Sets `name`.
    pub fn set(name: &str, value: &str) {
        // SAFETY: the callers run while this is the only thread.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Blocks up to this size come from the heap, not from their own mapping, and
/// so much freed memory is kept at its end.
const LARGE: u32 = 1 << 30;
/// The heap grows by this at a time.
const GROWTH: u32 = 64 << 20;

/// The same settings for another process, as environment variables of glibc: a
/// comparison is fair only where both sides keep their memory.
#[must_use]
pub fn allocator_variables() -> [(&'static str, String); 3] {
    [
        ("MALLOC_MMAP_THRESHOLD_", LARGE.to_string()),
        ("MALLOC_TRIM_THRESHOLD_", LARGE.to_string()),
        ("MALLOC_TOP_PAD_", GROWTH.to_string()),
    ]
}

/// What [`setup`] did to the allocator, in words.
#[must_use]
pub fn allocator_setting() -> String {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        let (large, growth) = (LARGE >> 20, GROWTH >> 20);
        format!("glibc, mmap and trim threshold {large} MiB, top pad {growth} MiB")
    } else {
        "the system's, untouched".into()
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    use super::{GROWTH, LARGE};

    /// Tells glibc to keep freed memory instead of returning it at every op.
    pub fn keep_large_blocks() {
        let settings = [
            (libc::M_MMAP_THRESHOLD, LARGE),
            (libc::M_TRIM_THRESHOLD, LARGE),
            (libc::M_TOP_PAD, GROWTH),
        ];
        for (option, bytes) in settings {
            // SAFETY: `mallopt` takes two numbers and only changes allocator settings.
            unsafe { libc::mallopt(option, bytes as libc::c_int) };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    /// Other allocators have no such switch.
    pub fn keep_large_blocks() {}
}

#[cfg(test)]
#[path = "threads_tests.rs"]
mod tests;
