//! What an input/output error of the system means for whoever started the program: whether room,
//! a right or another path helps, and which.

use std::io::ErrorKind;

/// What refuses, with what to do about it; `None` for errors that are none of disk, rights and
/// limits, such as a file that is not there.
fn cause(e: &std::io::Error) -> Option<&'static str> {
    use ErrorKind as K;
    Some(match e.kind() {
        K::StorageFull => "the disk is full; make room, then start the same command again",
        K::QuotaExceeded => "the quota is used up; make room, then start the same command again",
        K::PermissionDenied => {
            "this user may not do that there; change the rights, or choose another folder"
        }
        K::ReadOnlyFilesystem => "the file system is read-only; choose another folder",
        K::FileTooLarge => {
            "the file system or a limit of this process (`ulimit -f`) allows no larger file; raise \
             it, or choose another folder"
        }
        K::InvalidFilename => "the path is too long, or has a name that the file system refuses",
        K::StaleNetworkFileHandle => "the network file system lost the file; mount it again",
        _ => match e.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => {
                "too many files are open; raise the limit (`ulimit -n`)"
            }
            Some(libc::EIO) => "the disk reports an error; look at the system's log",
            _ => return None,
        },
    })
}

/// Whether disk, rights or limits refuse, whatever was read or written.
pub(crate) fn refuses(e: &std::io::Error) -> bool {
    cause(e).is_some()
}

/// What to do about `e`, met where a file has to be written, or one of ours has to be there.
pub(crate) fn advice(e: &std::io::Error) -> &'static str {
    cause(e).unwrap_or(match e.kind() {
        ErrorKind::NotADirectory => "a part of the path is a file; choose another path",
        ErrorKind::IsADirectory | ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => {
            "something else is in the way; remove it, or choose another path"
        }
        ErrorKind::NotFound => "it was removed or renamed; put it back, or choose another folder",
        _ => "look whether disk and path are in order, or choose another folder",
    })
}

/// Lets a write past the limit of this process fail with an error that names the file, where the
/// system would end the process by a signal without a word.
pub fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        let seen = std::sync::Arc::default();
        // Without the handler the process dies as it would have; nothing else depends on it.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, ExitCode};

    #[test]
    fn disk_rights_and_limits_are_of_one_class_wherever_they_are_met() {
        let codes = [
            libc::ENOSPC,
            libc::EDQUOT,
            libc::EACCES,
            libc::EPERM,
            libc::EROFS,
            libc::EFBIG,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENAMETOOLONG,
            libc::EIO,
            libc::ESTALE,
        ];
        for n in codes {
            let e = std::io::Error::from_raw_os_error(n);
            for code in [ExitCode::Usage, ExitCode::Data, ExitCode::Internal] {
                let e = Error::io(code, "a/b", &e);
                assert_eq!(e.code, ExitCode::Storage, "{e}");
                assert!(e.text.contains("`a/b`") && e.hint.is_some(), "{e}");
            }
        }
        // What is not there or no folder is a matter of who asked for it ...
        for n in [libc::ENOENT, libc::ENOTDIR, libc::EISDIR] {
            let e = std::io::Error::from_raw_os_error(n);
            assert_eq!(Error::io(ExitCode::Data, "a", &e).code, ExitCode::Data);
            // ... and one of storage where we write.
            let e = Error::storage_io("a", &e);
            assert_eq!(e.code, ExitCode::Storage);
            assert!(e.hint.is_some(), "{e}");
        }
    }
}
