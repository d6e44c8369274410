//! Threads and allocator of the process, set once at the top of `main`.
//!
//! Our kernels and Candle's matrix products share rayon's global pool; Candle's
//! element-wise ops have a pool of their own whose idle workers spin, which on
//! few cores starves everyone else: it is told to park at once. The allocator
//! keeps large blocks instead of giving them back to the system after every op,
//! where each page would fault in again (docs/performance.md).

/// Sets the number of threads (0 takes the cores there are) and the allocator.
/// Call it first in `main`, before any thread starts and before Candle is used.
/// Variables that are already set win, so that a user can still decide.
pub fn setup(threads: usize) {
    let count = if threads > 0 {
        threads
    } else {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    };
    variables::set_default("RAYON_NUM_THREADS", &count.to_string());
    variables::set_default("CANDLE_NUM_THREADS", &count.to_string());
    variables::set_default("CANDLE_BARRIER_POOL_SPIN_LIMIT", "1");
    allocator::keep_large_blocks();
    // Fails only where the pool exists already; then its owner decided.
    let _ = rayon::ThreadPoolBuilder::new().build_global();
}

/// Runs `f` on a thread of the pool: parallel loops inside start without
/// parking the caller and waking a worker each time.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

mod variables {
    /// Sets `name` unless the user did.
    pub fn set_default(name: &str, value: &str) {
        if std::env::var_os(name).is_none() {
            // SAFETY: `setup` runs at the top of `main`, while this is the only thread.
            unsafe { std::env::set_var(name, value) };
        }
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
