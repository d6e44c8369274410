//! Processes that tests wait for and send signals to.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits until `is` says so.
///
/// # Panics
/// It does not within so many seconds; `what` is said then.
pub fn until(what: &str, seconds: u64, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !is() {
        assert!(Instant::now() < end, "not in {seconds} seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// [`until`] for what `child` does.
///
/// # Panics
/// As there, and where the child ends before.
pub fn until_by(child: &mut Child, what: &str, seconds: u64, mut is: impl FnMut() -> bool) {
    until(what, seconds, || {
        let done = is();
        assert!(done || !over(child), "it ended before: {what}");
        done
    });
}

/// Whether `child` has ended.
///
/// # Panics
/// The system does not know it.
pub fn over(child: &mut Child) -> bool {
    child.try_wait().expect("a child").is_some()
}

/// Sends the signal `name`, such as `INT`, to a process; whether it was there.
///
/// # Panics
/// There is no program `kill`.
pub fn signal(name: &str, process: u32) -> bool {
    let sent = Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.expect("`kill` starts").success()
}
