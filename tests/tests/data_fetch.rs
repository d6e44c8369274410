//! Downloads against a server of our own that misbehaves in every way we could
//! think of. Whatever it does, the right bytes arrive under the right name, or
//! nothing does.

mod loopback;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use biorule::ExitCode;
use biorule::data::fetch::{FetchOptions, Fetched, Silent, fetch};
use biorule::data::registry::FileInfo;
use biorule::data::verify::digests;
use loopback::{Request, Server, honest, response, rest, whole};

const LENGTH: usize = 300_000;

/// Bytes that repeat nowhere near, so that a wrong offset shows.
fn body() -> Vec<u8> {
    (0..LENGTH as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn published(body: &[u8]) -> FileInfo {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, body).unwrap();
    let found = digests(&path).unwrap();
    FileInfo {
        name: "set.gz",
        bytes: found.bytes,
        md5: Box::leak(found.md5.into_boxed_str()),
        sha256: Box::leak(found.sha256.into_boxed_str()),
        also: &[],
    }
}

fn options() -> FetchOptions {
    FetchOptions {
        attempts: 3,
        pause: Duration::from_millis(1),
        silence: Duration::from_secs(10),
        force: false,
    }
}

fn get(servers: &[&Server], folder: &Path) -> biorule::Result<Fetched> {
    let mirrors: Vec<String> = servers.iter().map(|s| s.url.clone()).collect();
    fetch(
        &published(&body()),
        &mirrors,
        folder,
        &options(),
        &mut Silent,
    )
}

/// The file is right and nothing else lies in the folder.
fn assert_complete(folder: &Path) {
    assert!(
        fs::read(folder.join("set.gz")).unwrap() == body(),
        "wrong bytes under the right name"
    );
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "left-overs");
}

fn assert_nothing_published(folder: &Path) {
    assert!(
        !folder.join("set.gz").exists(),
        "a file that was never checked has the final name"
    );
}

#[test]
fn an_honest_server_is_asked_once_and_a_present_file_not_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, r| honest(&body(), r, LENGTH));
    assert_eq!(
        get(&[&server], dir.path()).unwrap(),
        Fetched::Downloaded(LENGTH as u64)
    );
    assert_complete(dir.path());
    assert_eq!(get(&[&server], dir.path()).unwrap(), Fetched::Present);
    assert_eq!(
        server.seen.lock().unwrap().as_slice(),
        [Request {
            path: "/files/set.gz".into(),
            from: None
        }]
    );
}

#[test]
fn a_dropped_connection_is_continued_where_it_broke() {
    let dir = tempfile::tempdir().unwrap();
    // Ten pieces, more drops than attempts: each brings something new.
    let server = Server::start(|_, r| honest(&body(), r, LENGTH / 10));
    let fetched = get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(
        fetched,
        Fetched::Downloaded(LENGTH as u64),
        "nothing came twice"
    );
    let expected: Vec<_> = (0..10)
        .map(|i| (i > 0).then_some(i * (LENGTH / 10)))
        .collect();
    assert_eq!(server.ranges(), expected);
}

#[test]
fn a_later_call_continues_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let alive = Arc::new(Mutex::new(false));
    let up = Arc::clone(&alive);
    let server = Server::start(move |number, r| match (number, *up.lock().unwrap()) {
        (0, _) => honest(&body(), r, 100_000),
        (_, false) => response(
            "503 Service Unavailable",
            &[("Content-Length", "0".into())],
            b"",
        ),
        (_, true) => honest(&body(), r, LENGTH),
    });
    let error = get(&[&server], dir.path()).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert!(error.text.contains("503"), "{error}");
    assert_nothing_published(dir.path());
    *alive.lock().unwrap() = true;
    assert_eq!(
        get(&[&server], dir.path()).unwrap(),
        Fetched::Downloaded(200_000)
    );
    assert_complete(dir.path());
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|n, _| whole(&body(), "\"a\"", if n == 0 { 1000 } else { LENGTH }));
    get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(server.ranges(), [None, Some(1000)]);
}

#[test]
fn a_lie_in_the_range_header_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|n, r| match (n, r.from) {
        (0, _) => whole(&body(), "\"a\"", 5000),
        (_, Some(_)) => rest(&body(), "\"a\"", 4000, LENGTH), // not where we asked
        (_, None) => whole(&body(), "\"a\"", LENGTH),
    });
    get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(server.ranges(), [None, Some(5000), None]);
}

#[test]
fn a_lie_behind_a_right_range_header_is_caught_by_the_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|n, r| match (n, r.from) {
        (0, _) => whole(&body(), "\"a\"", 5000),
        (_, Some(from)) => {
            let mut shifted = body();
            shifted.rotate_left(1);
            rest(&shifted, "\"a\"", from, LENGTH)
        }
        (_, None) => whole(&body(), "\"a\"", LENGTH),
    });
    get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(server.ranges(), [None, Some(5000), None]);
}

#[test]
fn a_changed_etag_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|n, r| match (n, r.from) {
        (0, _) => {
            let mut older = body();
            older.reverse();
            whole(&older, "\"old\"", 5000)
        }
        (_, Some(from)) => rest(&body(), "\"new\"", from, LENGTH),
        (_, None) => whole(&body(), "\"new\"", LENGTH),
    });
    let fetched = get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(server.ranges(), [None, Some(5000), None]);
    assert_eq!(
        fetched,
        Fetched::Downloaded(5000 + LENGTH as u64),
        "the 206 body was not read"
    );
}

#[test]
fn a_refused_range_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|n, r| match (n, r.from) {
        (0, _) => whole(&body(), "\"a\"", 5000),
        (_, Some(_)) => response(
            "416 Range Not Satisfiable",
            &[("Content-Length", "0".into())],
            b"",
        ),
        (_, None) => whole(&body(), "\"a\"", LENGTH),
    });
    get(&[&server], dir.path()).unwrap();
    assert_complete(dir.path());
}

#[test]
fn wrong_bytes_are_never_published_and_the_next_mirror_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = body();
    wrong[LENGTH / 2] ^= 1;
    let bad = Server::start(move |_, r| honest(&wrong, r, LENGTH));
    let error = get(&[&bad], dir.path()).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert!(error.text.contains(published(&body()).sha256), "{error}");
    assert_nothing_published(dir.path());
    let good = Server::start(|_, r| honest(&body(), r, LENGTH));
    get(&[&bad, &good], dir.path()).unwrap();
    assert_complete(dir.path());
}

#[test]
fn not_found_goes_to_the_mirror_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let gone =
        Server::start(|_, _| response("404 Not Found", &[("Content-Length", "4".into())], b"none"));
    let good = Server::start(|_, r| honest(&body(), r, LENGTH));
    get(&[&gone, &good], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(gone.ranges(), [None]);
    let other = tempfile::tempdir().unwrap();
    let error = get(&[&gone], other.path()).unwrap_err();
    assert!(
        error.text.contains("404") && error.to_string().contains("--from"),
        "{error}"
    );
    assert_nothing_published(other.path());
}

#[test]
fn a_half_from_one_mirror_is_not_glued_to_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(|n, r| match n {
        0 => honest(&body(), r, 1000),
        _ => response("404 Not Found", &[("Content-Length", "0".into())], b""),
    });
    let second = Server::start(|_, r| honest(&body(), r, LENGTH));
    get(&[&first, &second], dir.path()).unwrap();
    assert_complete(dir.path());
    assert_eq!(second.ranges(), [None]);
}

#[test]
fn a_body_of_another_length_is_refused() {
    let longer = [body(), vec![7]].concat();
    let shorter = body()[..LENGTH - 1].to_vec();
    for wrong in [longer.clone(), shorter] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, r| honest(&wrong, r, usize::MAX));
        let error = get(&[&server], dir.path()).unwrap_err();
        assert!(error.text.contains("expected 300000"), "{error}");
        assert_nothing_published(dir.path());
    }
    // Without a length in the header, ended by closing.
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(move |_, _| response("200 OK", &[], &longer));
    let error = get(&[&server], dir.path()).unwrap_err();
    assert!(error.text.contains("more than the 300000 bytes"), "{error}");
    assert_nothing_published(dir.path());
}

#[test]
fn a_different_file_in_the_way_is_kept_unless_forced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("set.gz"), b"mine").unwrap();
    let server = Server::start(|_, r| honest(&body(), r, LENGTH));
    let error = get(&[&server], dir.path()).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(fs::read(dir.path().join("set.gz")).unwrap(), b"mine");
    let forced = FetchOptions {
        force: true,
        ..options()
    };
    let mirrors = [server.url.clone()];
    fetch(
        &published(&body()),
        &mirrors,
        dir.path(),
        &forced,
        &mut Silent,
    )
    .unwrap();
    assert_complete(dir.path());
}

#[test]
fn two_fetches_of_one_file_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_owned();
    let (inside, asked) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |_, r| {
        inside.send(()).unwrap();
        wait.recv().unwrap();
        honest(&body(), r, LENGTH)
    });
    let mirrors = vec![server.url.clone()];
    let first = {
        let (folder, mirrors) = (folder.clone(), mirrors.clone());
        std::thread::spawn(move || {
            fetch(
                &published(&body()),
                &mirrors,
                &folder,
                &options(),
                &mut Silent,
            )
        })
    };
    asked.recv().unwrap();
    let error = get(&[&server], &folder).unwrap_err();
    assert!(error.text.contains("another process"), "{error}");
    go.send(()).unwrap();
    first.join().unwrap().unwrap();
    assert_complete(&folder);
}
