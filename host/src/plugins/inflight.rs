//! The calls into rules that run now, and what is said where one of them does not come back: it
//! lasts too long (a watchdog), it ends the process (`exit`), or it kills it (a signal). The words
//! name rule, layer and call, on standard error and in a file of the run.
//!
//! A call notes itself twice: in a slot of its thread, which the watchdog reads, and in a plain
//! pointer, since a signal handler may neither lock nor allocate.

use std::cell::Cell;
use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::table::cancelled_by_user;

/// Environment variable: seconds after which a call is told to last long.
pub const SECONDS_VARIABLE: &str = "BIORULE_RULE_SECONDS";

/// The same, where the variable is absent.
const SECONDS: u64 = 60;

/// The same, once the user has asked to stop.
const SECONDS_WHEN_STOPPING: u64 = 5;

/// A rule on a layer, in words, made once.
#[derive(Debug)]
pub struct Place {
    /// `` rule `x` `` and `` layer `y` `` and the file.
    rule: String,
    layer: String,
    file: String,
    /// For the signal handler: what stands before and after the name of the call.
    before: String,
    after: String,
}

impl Place {
    /// The rule `rule` of the library `file` on the layer `layer`.
    pub fn new(rule: &str, layer: &str, file: &Path) -> Self {
        let file = file.display().to_string();
        Self {
            rule: rule.to_owned(),
            layer: layer.to_owned(),
            before: format!("rule `{rule}` ended the process in `"),
            after: format!("` for layer `{layer}` (plugin `{file}`)\n"),
            file,
        }
    }
}

/// A call that runs.
struct Running {
    place: Arc<Place>,
    method: &'static str,
    since: Instant,
    /// Seconds after which it is told next.
    tell_at: u64,
}

type Slot = Arc<Mutex<Option<Running>>>;

/// Of each thread that has called a rule.
static SLOTS: Mutex<Vec<Slot>> = Mutex::new(Vec::new());
static ENABLED: AtomicBool = AtomicBool::new(false);
/// The call that began last, of whatever thread: threads that a rule computes on have none of their own.
static LATEST: AtomicPtr<Now> = AtomicPtr::new(std::ptr::null_mut());
/// Path of the file that a signal handler writes to.
static MARK: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());

/// What a signal handler needs of a call; lives in the frame of the call.
struct Now {
    place: *const Place,
    method: &'static str,
}

thread_local! {
    static OWN: Slot = {
        let slot = Slot::default();
        SLOTS.lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
        slot
    };
    static NOW: Cell<*const Now> = const { Cell::new(std::ptr::null()) };
}

/// Runs `body`, a call of the plugin's `method`, which is noted while it runs.
pub(super) fn during<T>(place: &Arc<Place>, method: &'static str, body: impl FnOnce() -> T) -> T {
    if !ENABLED.load(Ordering::Relaxed) {
        return body();
    }
    let now = Now {
        place: Arc::as_ptr(place),
        method,
    };
    let pointer = std::ptr::from_ref(&now);
    let before = NOW.replace(pointer);
    let latest = LATEST.swap(pointer.cast_mut(), Ordering::AcqRel);
    let running = Running {
        place: place.clone(),
        method,
        since: Instant::now(),
        tell_at: seconds(),
    };
    let lock = |slot: &Slot, value| {
        std::mem::replace(
            &mut *slot.lock().unwrap_or_else(PoisonError::into_inner),
            value,
        )
    };
    let outer = OWN.with(|slot| lock(slot, Some(running)));
    let done = body();
    OWN.with(|slot| lock(slot, outer));
    NOW.set(before);
    // Another thread's call may have begun since, and ends by itself.
    let _ = LATEST.compare_exchange(
        pointer.cast_mut(),
        latest,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    done
}

fn seconds() -> u64 {
    static LIMIT: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| {
        let Ok(text) = std::env::var(SECONDS_VARIABLE) else {
            return SECONDS;
        };
        text.parse().ok().filter(|s| *s > 0).unwrap_or_else(|| {
            tracing::warn!(
                "`{SECONDS_VARIABLE}` is `{text}`, expected whole seconds from 1; {SECONDS} s are used"
            );
            SECONDS
        })
    });
    *LIMIT
}

/// From now on calls are watched, and the end of the process in one has words. For the program
/// alone: handlers of signals and of the end belong to the whole process.
pub fn enable() {
    if ENABLED.swap(true, Ordering::SeqCst) {
        return;
    }
    let watch = || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            look();
        }
    };
    let _ = std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(watch);
    #[cfg(unix)]
    end::install();
}

/// Tells of each call that lasts longer than it should, each time twice as long.
fn look() {
    let stopping = cancelled_by_user();
    let slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for slot in slots {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = slot.as_mut() else {
            continue;
        };
        let lasts = running.since.elapsed().as_secs();
        let limit = match stopping {
            true => running.tell_at.min(SECONDS_WHEN_STOPPING.max(lasts / 2)),
            false => running.tell_at,
        };
        if lasts < limit {
            continue;
        }
        running.tell_at = 2 * lasts.max(1);
        tell!("warning: {}", lasting(running));
        tell!(
            "hint: a rule cannot be interrupted; a second Ctrl-C or SIGTERM ends the process at once, \
             and the same command goes on from the last checkpoint"
        );
    }
}

fn lasting(running: &Running) -> String {
    let place = &running.place;
    format!(
        "rule `{}` has been in `{}` for layer `{}` for {} s (plugin `{}`)",
        place.rule,
        running.method,
        place.layer,
        running.since.elapsed().as_secs(),
        place.file
    )
}

/// The file that is written where a rule ends the process; `None` from the end of the run on.
pub fn mark(file: Option<&Path>) {
    #[cfg(unix)]
    let path = {
        use std::os::unix::ffi::OsStrExt as _;
        file.and_then(|file| CString::new(file.as_os_str().as_bytes()).ok())
    };
    #[cfg(not(unix))]
    let path = file.and_then(|file| CString::new(file.to_string_lossy().as_bytes()).ok());
    // The former text is not freed: a handler may be reading it.
    MARK.store(
        path.map_or(std::ptr::null_mut(), CString::into_raw),
        Ordering::Release,
    );
}

/// What happens at the end of the process, be it `exit` or a signal.
#[cfg(unix)]
mod end {
    use std::sync::OnceLock;

    use super::{LATEST, MARK, NOW, Ordering, SLOTS, lasting};
    use crate::ExitCode;

    const FATAL: [i32; 5] = [
        libc::SIGABRT,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
    ];

    static BEFORE: OnceLock<Vec<(i32, libc::sigaction)>> = OnceLock::new();

    pub(super) fn install() {
        // SAFETY: the function lives as long as the program.
        unsafe { libc::atexit(at_exit) };
        let mut before = Vec::new();
        for signal in FATAL {
            // SAFETY: the structs are plain, the handler calls only what a handler may.
            unsafe {
                let mut old: libc::sigaction = std::mem::zeroed();
                let mut new: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = on_signal as *const () as usize;
                new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                libc::sigemptyset(&raw mut new.sa_mask);
                if libc::sigaction(signal, std::ptr::null(), &raw mut old) == 0 {
                    before.push((signal, old));
                }
                let _ = BEFORE.get();
                libc::sigaction(signal, &raw const new, std::ptr::null_mut());
            }
        }
        let _ = BEFORE.set(before);
    }

    /// `exit` in a call of a rule, which would pass for a good end.
    extern "C" fn at_exit() {
        let now = NOW
            .try_with(std::cell::Cell::get)
            .unwrap_or(std::ptr::null());
        if now.is_null() {
            // Somebody else's end, such as a second Ctrl-C: what it interrupts is told.
            for slot in SLOTS.try_lock().iter().flat_map(|slots| slots.iter()) {
                if let Ok(slot) = slot.try_lock()
                    && let Some(running) = slot.as_ref()
                    && running.since.elapsed().as_secs() >= 1
                {
                    tell!("{}", lasting(running));
                }
            }
            return;
        }
        write_words(now);
        // SAFETY: ends the process without the handlers that are left.
        unsafe { libc::_exit(i32::from(ExitCode::Plugin as u8)) };
    }

    extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let own = NOW
            .try_with(std::cell::Cell::get)
            .unwrap_or(std::ptr::null());
        let now = match own.is_null() {
            true => LATEST.load(Ordering::Acquire).cast_const(),
            false => own,
        };
        if !now.is_null() {
            write_words(now);
        }
        // SAFETY: restores what was there; these calls are allowed in a handler.
        unsafe {
            match BEFORE
                .get()
                .and_then(|all| all.iter().find(|(s, _)| *s == signal))
            {
                Some((_, old)) => libc::sigaction(signal, old, std::ptr::null_mut()),
                None => {
                    libc::signal(signal, libc::SIG_DFL);
                    0
                }
            };
            // A fault happens again when the handler returns, for whoever was there before; what was
            // sent has to be sent again.
            if info.is_null() || (*info).si_code <= 0 || signal == libc::SIGABRT {
                libc::raise(signal);
            }
        }
    }

    /// Writes which call `now` is to standard error and to the file of the run, by system calls
    /// alone.
    fn write_words(now: *const super::Now) {
        // SAFETY: a call that runs keeps its frame and its place.
        let (place, method) = unsafe { (&*(*now).place, (*now).method) };
        let parts = [place.before.as_str(), method, place.after.as_str()];
        let put = |fd: i32| {
            for part in parts {
                // SAFETY: `part` is valid for its length. A refusal has nobody to be told.
                unsafe { libc::write(fd, part.as_ptr().cast(), part.len()) };
            }
        };
        // SAFETY: as above.
        unsafe { libc::write(2, b"error: ".as_ptr().cast(), 7) };
        put(2);
        let file = MARK.load(Ordering::Acquire);
        if file.is_null() {
            return;
        }
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: `file` is a string that is never freed.
        let fd = unsafe { libc::open(file, flags, 0o644) };
        if fd >= 0 {
            put(fd);
            // SAFETY: opened above.
            unsafe { libc::close(fd) };
        }
    }
}
