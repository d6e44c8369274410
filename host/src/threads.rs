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

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    /// Blocks up to this size come from the heap, not from their own mapping.
    const LARGE: libc::c_int = 1 << 30;

    /// Tells glibc to keep freed memory instead of returning it at every op.
    pub fn keep_large_blocks() {
        for option in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
            // SAFETY: `mallopt` takes two numbers and only changes allocator settings.
            unsafe { libc::mallopt(option, LARGE) };
        }
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_TOP_PAD, 64 << 20) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    /// Other allocators have no such switch.
    pub fn keep_large_blocks() {}
}
