//! The calls into rules that run now, and what is said where one of them does not come back: it
//! lasts too long (a watchdog), it ends the process (`exit`), or it kills it (a signal). The words
//! name rule, layer and call, on standard error and in a file of the run.
//!
//! A call notes itself twice in the slot of its thread: behind a lock, where the watchdog reads and
//! writes, and as a plain pointer, since a signal handler may neither lock nor allocate.

use std::cell::Cell;
use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seconds;
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

/// What a signal handler needs of a call; lives in the frame of the call.
struct Now {
    place: *const Place,
    method: &'static str,
    since: Instant,
}

/// The innermost call of a thread that has called a rule.
struct Slot {
    running: Mutex<Option<Running>>,
    /// Null while there is none.
    now: AtomicPtr<Now>,
    /// The slot that was listed before.
    next: Option<&'static Slot>,
}

/// The slot that was listed last. Slots are never freed: whoever walks the list holds no lock.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());
static ENABLED: AtomicBool = AtomicBool::new(false);
/// Path of the file that a signal handler writes to.
static MARK: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static OWN: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

impl Slot {
    /// That of this thread.
    fn own() -> &'static Self {
        if let Some(slot) = OWN.get() {
            return slot;
        }
        let slot = Box::leak(Box::new(Self {
            running: Mutex::default(),
            now: AtomicPtr::default(),
            next: None,
        }));
        let mut last = SLOTS.load(Ordering::Acquire);
        loop {
            // SAFETY: null, or a slot, and these are never freed.
            slot.next = unsafe { last.as_ref() };
            match SLOTS.compare_exchange(last, slot, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => last = now,
            }
        }
        OWN.set(Some(slot));
        slot
    }

    /// Those of all threads.
    fn all() -> impl Iterator<Item = &'static Self> {
        // SAFETY: null, or a slot, and these are never freed.
        let last = unsafe { SLOTS.load(Ordering::Acquire).as_ref() };
        std::iter::successors(last, |slot| slot.next)
    }

    /// Notes `running` and gives what was noted before.
    fn note(&self, running: Option<Running>) -> Option<Running> {
        let mut noted = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *noted, running)
    }
}

/// The call of this thread; null where there is none.
fn own() -> *const Now {
    let slot = OWN.try_with(Cell::get).ok().flatten();
    slot.map_or(std::ptr::null(), |slot| slot.now.load(Ordering::Acquire))
}

/// The call that began last, of whatever thread: threads that a rule computes on have none of their
/// own. Null where there is none.
fn latest() -> *const Now {
    let calls = Slot::all().map(|slot| slot.now.load(Ordering::Acquire).cast_const());
    // SAFETY: a call that runs keeps its frame.
    let latest = calls.max_by_key(|now| unsafe { now.as_ref() }.map(|now| now.since));
    latest.unwrap_or(std::ptr::null())
}

/// Runs `body`, a call of the plugin's `method`, which is noted while it runs.
pub(super) fn during<T>(place: &Arc<Place>, method: &'static str, body: impl FnOnce() -> T) -> T {
    match ENABLED.load(Ordering::Relaxed) {
        true => noted(place, method, body),
        false => body(),
    }
}

fn noted<T>(place: &Arc<Place>, method: &'static str, body: impl FnOnce() -> T) -> T {
    static LIMIT: LazyLock<u64> = LazyLock::new(|| seconds::of(SECONDS_VARIABLE, SECONDS));
    let (slot, since) = (Slot::own(), Instant::now());
    let outer = slot.note(Some(Running {
        place: place.clone(),
        method,
        since,
        tell_at: *LIMIT,
    }));
    let now = Now {
        place: Arc::as_ptr(place),
        method,
        since,
    };
    // A thread that waits in a call may run another one in between.
    let before = slot
        .now
        .swap(std::ptr::from_ref(&now).cast_mut(), Ordering::AcqRel);
    let done = body();
    slot.now.store(before, Ordering::Release);
    slot.note(outer);
    done
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
    for slot in Slot::all() {
        let mut slot = slot.running.lock().unwrap_or_else(PoisonError::into_inner);
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

    use super::{MARK, Ordering, Slot, lasting, latest, own};
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
                if libc::sigaction(signal, &raw const new, &raw mut old) == 0 {
                    before.push((signal, old));
                }
            }
        }
        let _ = BEFORE.set(before);
    }

    /// `exit` in a call of a rule, which would pass for a good end.
    extern "C" fn at_exit() {
        let now = own();
        if now.is_null() {
            // Somebody else's end, such as a second Ctrl-C: what it interrupts is told.
            for slot in Slot::all() {
                if let Ok(slot) = slot.running.try_lock()
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
        let now = match own() {
            none if none.is_null() => latest(),
            now => now,
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// What a signal handler would say on a thread without a call.
    fn told() -> Option<&'static str> {
        // SAFETY: the tests below keep the calls that they ask about.
        unsafe { latest().as_ref() }.map(|now| now.method)
    }

    /// One test, since calls are the process's.
    #[test]
    fn calls_of_several_threads_may_end_in_any_order() {
        let place = Arc::new(Place::new("rule", "layer", Path::new("file")));
        let (turn, over) = (Barrier::new(3), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                noted(&place, "first", || {
                    turn.wait();
                    turn.wait();
                });
                turn.wait();
            });
            scope.spawn(|| {
                turn.wait();
                noted(&place, "second", || {
                    turn.wait();
                    turn.wait();
                    over.wait();
                });
            });
            turn.wait();
            turn.wait();
            assert_eq!(told(), Some("second"));
            turn.wait();
            // The first call is over, and its frame gone.
            assert_eq!(told(), Some("second"));
            noted(&place, "outer", || {
                noted(&place, "inner", || assert_eq!(told(), Some("inner")));
                assert_eq!(told(), Some("outer"));
            });
            over.wait();
        });
        assert_eq!(told(), None);
    }
}
