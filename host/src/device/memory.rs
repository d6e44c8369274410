//! The memory that this process may still take: the least of what the machine has free, what
//! its control groups leave and what its own limits leave. Linux tells each in a file; elsewhere
//! nothing is known, and nothing is refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text::human;
use crate::{Error, Result};

/// Bytes that may still be taken, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many.
    pub bytes: u64,
    /// What sets the limit, as in "there is 3 GiB (`MemAvailable`)".
    pub by: &'static str,
}

/// The room there is now; `None` where the system does not tell.
#[must_use]
pub fn room() -> Option<Room> {
    let candidates = [
        (
            available(&read("/proc/meminfo")),
            "memory of the machine that is free",
        ),
        (group(), "limit of the control group"),
        (
            own("Max address space", "VmSize"),
            "limit of the address space, `ulimit -v`",
        ),
        (
            own("Max data size", "VmData"),
            "limit of the data segment, `ulimit -d`",
        ),
    ];
    let known = candidates.into_iter();
    known
        .filter_map(|(bytes, by)| Some(Room { bytes: bytes?, by }))
        .min_by_key(|room| room.bytes)
}

/// Refuses to take `bytes` for `what` where there is not so much room.
///
/// # Errors
/// A usage error with both numbers.
pub fn require(bytes: u128, what: &str) -> Result<()> {
    match room() {
        Some(room) if bytes > u128::from(room.bytes) => Err(Error::usage(format!(
            "{what} needs {} of memory, there is {} ({})",
            human(bytes),
            human(room.bytes.into()),
            room.by
        ))),
        None if bytes > isize::MAX as u128 => Err(Error::usage(format!(
            "{what} needs {} of memory, more than can be addressed",
            human(bytes)
        ))),
        _ => Ok(()),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number after `key` in lines of `key: number …`.
fn number(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let word = line.trim_start_matches(':').split_whitespace().next()?;
    word.parse().ok()
}

fn available(meminfo: &str) -> Option<u64> {
    number(meminfo, "MemAvailable:")?.checked_mul(1024)
}

/// What a limit of this process, named as in `/proc/self/limits`, leaves beside what it counts.
fn own(limit: &str, counted: &str) -> Option<u64> {
    let limit = number(&read("/proc/self/limits"), limit)?;
    let taken = number(&read("/proc/self/status"), &format!("{counted}:"))?;
    Some(limit.saturating_sub(taken.saturating_mul(1024)))
}

/// What the control groups of this process leave: the least over the group and those around it.
fn group() -> Option<u64> {
    let groups = read("/proc/self/cgroup");
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = path.trim_start_matches('/');
            match controllers {
                "" => least("/sys/fs/cgroup", path, &V2),
                c if c.split(',').any(|c| c == "memory") => {
                    least("/sys/fs/cgroup/memory", path, &V1)
                }
                _ => None,
            }
        })
        .min()
}

/// Names of the files of a version of control groups.
struct Files {
    limit: &'static str,
    taken: &'static str,
    /// Pages of files that the system gives up at once; they are counted as taken.
    cache: &'static str,
}

const V2: Files = Files {
    limit: "memory.max",
    taken: "memory.current",
    cache: "inactive_file",
};
const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    taken: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

/// The least room in the group at `path` below `root` and in all around it, the root included:
/// in a container the path is often that of the host, and only the root is there.
fn least(root: &str, path: &str, files: &Files) -> Option<u64> {
    let mut folders: Vec<PathBuf> = vec![root.into()];
    let mut below = PathBuf::from(root);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        below.push(part);
        folders.push(below.clone());
    }
    folders.iter().filter_map(|f| left(f, files)).min()
}

fn left(folder: &Path, files: &Files) -> Option<u64> {
    let whole = |file: &str| read(folder.join(file)).trim().parse::<u64>().ok();
    let limit = whole(files.limit)?;
    let cache = number(
        &read(folder.join("memory.stat")),
        &format!("{} ", files.cache),
    );
    let taken = whole(files.taken).unwrap_or(0);
    Some(limit.saturating_sub(taken.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let text = "MemTotal:  10 kB\nMemAvailable:    524288 kB\nMax data size   unlimited  x\n";
        assert_eq!(available(text), Some(512 << 20));
        assert_eq!(number(text, "Max data size"), None);
        let limits = "Max address space         6144000000           unlimited            bytes\n";
        assert_eq!(number(limits, "Max address space"), Some(6_144_000_000));
    }

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let root = tempfile::tempdir().expect("a folder");
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).expect("folders");
        let write = |folder: &Path, file: &str, text: &str| {
            fs::write(folder.join(file), text).expect("a file");
        };
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "70\n");
        write(&root.path().join("a"), "memory.max", "100\n");
        write(&root.path().join("a"), "memory.current", "70\n");
        write(
            &root.path().join("a"),
            "memory.stat",
            "anon 3\ninactive_file 20\n",
        );
        let root = root.path().to_string_lossy();
        assert_eq!(least(&root, "a/b", &V2), Some(50));
        assert_eq!(least(&root, "", &V2), None);
        assert_eq!(least(&root, "elsewhere/on/the/host", &V2), None);
    }

    #[test]
    fn a_need_beyond_the_room_has_both_numbers() {
        let error = require(1 << 70, "a test").expect_err("no such machine");
        assert_eq!(error.code, crate::ExitCode::Usage);
        assert!(error.text.starts_with("a test needs 1024 EiB"), "{error}");
        require(0, "nothing").expect("there is room for nothing");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (20 << 20, "20 MiB"),
            (512_000_000_000, "477 GiB"),
            (u128::MAX, "3.0e20 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
