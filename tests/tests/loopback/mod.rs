//! A loopback HTTP server that says whatever a test wants it to say.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A request as the server saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub path: String,
    /// First byte asked for.
    pub from: Option<usize>,
}

/// A loopback server whose answers are raw bytes made by a closure.
pub struct Server {
    pub url: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets the number of the request, from 0, and the request.
    pub fn start(answer: impl Fn(usize, &Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                let mut request = Request {
                    path: first.split(' ').nth(1).unwrap().to_owned(),
                    from: None,
                };
                for line in lines {
                    let line = line.unwrap().to_ascii_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(range) = line.strip_prefix("range: bytes=") {
                        request.from = Some(range.trim_end_matches('-').parse().unwrap());
                    }
                }
                log.lock().unwrap().push(request.clone());
                // The client may hang up on a lie before all of it is sent.
                let _ = stream.write_all(&answer(number, &request));
            }
        });
        Self { url, seen }
    }
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.seen.lock().unwrap().iter().map(|r| r.from).collect()
    }
}

/// A response; `sent` is what really follows the headers.
pub fn response(status: &str, headers: &[(&str, String)], sent: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(sent);
    bytes
}

/// The whole body under `etag`, cut off after `keep` bytes.
pub fn whole(body: &[u8], etag: &str, keep: usize) -> Vec<u8> {
    let headers = [
        ("Content-Length", body.len().to_string()),
        ("ETag", etag.to_owned()),
    ];
    response("200 OK", &headers, &body[..keep.min(body.len())])
}

/// The rest from `from` on, cut off after `keep` bytes.
pub fn rest(body: &[u8], etag: &str, from: usize, keep: usize) -> Vec<u8> {
    let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
    let headers = [
        ("Content-Length", (body.len() - from).to_string()),
        ("Content-Range", range),
        ("ETag", etag.to_owned()),
    ];
    response(
        "206 Partial Content",
        &headers,
        &body[from..][..keep.min(body.len() - from)],
    )
}

/// An honest server: a range where asked, cut off after `keep` bytes.
pub fn honest(body: &[u8], request: &Request, keep: usize) -> Vec<u8> {
    match request.from {
        Some(from) => rest(body, "\"a\"", from, keep),
        None => whole(body, "\"a\"", keep),
    }
}
