//! Where a GPU's time goes. With `BIORULE_GPU_TIMES` set, every kernel of ours and
//! every matrix product stands between two events of its stream, and the sums are
//! printed when the program ends. What candle launches by itself is not among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream};

/// The variable that turns it on.
pub const VARIABLE: &str = "BIORULE_GPU_TIMES";

/// Pairs of events that wait to be read; reading one waits for the GPU.
const MOST_WAITING: usize = 10_000;

#[derive(Default)]
struct Times {
    waiting: Vec<(String, CudaEvent, CudaEvent)>,
    /// Calls and milliseconds by name.
    sums: BTreeMap<String, (u64, f64)>,
}

impl Times {
    fn read(&mut self) {
        for (name, start, end) in self.waiting.drain(..) {
            if let Ok(ms) = start.elapsed_ms(&end) {
                let sum = self.sums.entry(name).or_default();
                *sum = (sum.0 + 1, sum.1 + f64::from(ms));
            }
        }
    }
}

/// The sums of this process, where they are wanted.
fn times() -> Option<&'static Mutex<Times>> {
    static TIMES: OnceLock<Option<Mutex<Times>>> = OnceLock::new();
    TIMES
        .get_or_init(|| std::env::var_os(VARIABLE).map(|_| Mutex::default()))
        .as_ref()
}

/// Runs `launch`, which enqueues on `stream`, under a name.
pub(super) fn timed<R>(
    stream: &Arc<CudaStream>,
    name: impl FnOnce() -> String,
    launch: impl FnOnce() -> R,
) -> R {
    let Some(times) = times() else {
        return launch();
    };
    let mark = || stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
    let start = mark();
    let result = launch();
    if let (Ok(start), Ok(end)) = (start, mark()) {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.waiting.push((name(), start, end));
        if times.waiting.len() >= MOST_WAITING {
            times.read();
        }
    }
    result
}

/// Prints the sums to standard error, the largest first, where they are wanted.
pub fn report() {
    let Some(times) = times() else { return };
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    times.read();
    let all: f64 = times.sums.values().map(|(_, ms)| ms).sum();
    let mut rows: Vec<_> = times.sums.iter().collect();
    rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    eprintln!(
        "{:>12} {:>6} {:>10} {:>10}  kernel",
        "ms", "%", "calls", "us each"
    );
    for (name, (calls, ms)) in rows {
        let (share, each) = (100.0 * ms / all.max(1e-9), 1e3 * ms / *calls as f64);
        eprintln!("{ms:>12.3} {share:>6.1} {calls:>10} {each:>10.2}  {name}");
    }
    eprintln!("{all:>12.3} {:>6} {:>10} {:>10}  all", "", "", "");
}
