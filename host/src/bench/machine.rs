//! What a figure was measured on, how busy it was, and how much memory a
//! process held: facts that Linux tells in `/proc`, absent elsewhere.

use std::fs;
use std::time::Instant;

use serde::Serialize;

use crate::threads;

/// The machine of a measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Logical cores that this process may use.
    pub cores: usize,
    /// Instruction set that the kernels chose: `Avx512`, `Avx2` or `Portable`.
    pub isa: String,
    /// Memory, GiB.
    pub memory_gib: Option<f64>,
    /// Operating system and its kernel.
    pub os: String,
    /// Threads on either side.
    pub threads: usize,
    /// Whether subnormal numbers are taken as 0 on either side.
    pub flush_denormal: bool,
    /// Allocator and its settings on our side.
    pub allocator: String,
    /// `cpu` or `cuda:0 (NVIDIA H200)`.
    pub device: String,
}

impl Machine {
    /// This machine; `device` as the run's placement names it.
    #[must_use]
    pub fn here(device: &str) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let meminfo = read("/proc/meminfo");
        let release = read("/proc/sys/kernel/osrelease");
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            isa: format!("{:?}", biorule_kernels::simd::isa()),
            memory_gib: kib(&meminfo, "MemTotal").map(|kib| kib / f64::from(1 << 20)),
            os: format!("{} {}", std::env::consts::OS, release.trim())
                .trim_end()
                .to_owned(),
            threads: rayon::current_num_threads(),
            flush_denormal: biorule_kernels::denormals::flushes_denormal(),
            allocator: threads::allocator_setting(),
            device: device.to_owned(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `key` in lines of `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

fn kib(text: &str, key: &str) -> Option<f64> {
    field(text, key)?.split(' ').next()?.parse().ok()
}

/// Most memory that this process has held since [`forget_peak`], MiB.
#[must_use]
pub fn peak_memory() -> Option<f64> {
    crate::run::identity::peak_memory()
}

/// Memory that this process holds, MiB.
#[must_use]
pub fn memory() -> Option<f64> {
    kib(&read("/proc/self/status"), "VmRSS").map(|kib| kib / 1024.0)
}

/// Lets [`peak_memory`] start from what is held now. False where the system has
/// no such switch.
pub fn forget_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Share of the time, 0 to 1, that something runnable waited for a processor.
pub struct Pressure {
    start: Instant,
    stalled: Option<f64>,
}

impl Pressure {
    /// Starts to look.
    #[must_use]
    pub fn watch() -> Self {
        Self {
            start: Instant::now(),
            stalled: stalled(&read("/proc/pressure/cpu")),
        }
    }

    /// The share since [`Pressure::watch`]; `None` where the system does not tell.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let now = stalled(&read("/proc/pressure/cpu"))?;
        Some((now - self.stalled?) / self.start.elapsed().as_secs_f64().max(1e-6))
    }
}

/// Seconds that some task has waited, of a pressure file.
fn stalled(pressure: &str) -> Option<f64> {
    let some = pressure.lines().find(|l| l.starts_with("some "))?;
    let total: f64 = some.rsplit_once("total=")?.1.parse().ok()?;
    Some(total * 1e-6)
}

/// Whether nothing but the caller is runnable now; true where the system does not tell.
#[must_use]
pub fn is_quiet() -> bool {
    runnable(&read("/proc/loadavg")).is_none_or(|n| n <= 1)
}

fn runnable(loadavg: &str) -> Option<u32> {
    loadavg.split(' ').nth(3)?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let pressure = "some avg10=53.36 avg60=52.59 avg300=38.62 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(stalled(pressure), Some(2.5));
        assert_eq!(stalled(""), None);
        assert_eq!(runnable("1.22 0.90 0.50 3/345 12345\n"), Some(3));
        assert_eq!(
            field("model name\t: A CPU\nflags : x", "model name").as_deref(),
            Some("A CPU")
        );
        assert_eq!(kib("VmHWM:\t    2048 kB\n", "VmHWM"), Some(2048.0));
    }

    #[test]
    fn a_share_is_a_share() {
        let watch = Pressure::watch();
        if let Some(share) = watch.share() {
            assert!(share >= 0.0, "{share}");
        }
    }

    #[test]
    fn more_memory_raises_the_peak() {
        let Some(before) = peak_memory() else { return };
        let held = vec![1u8; 64 << 20];
        let after = peak_memory().expect("told a moment ago");
        assert!(
            after >= before + 32.0 || held.is_empty(),
            "{before} {after}"
        );
    }
}
