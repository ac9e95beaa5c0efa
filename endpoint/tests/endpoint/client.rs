//! A client that takes nothing on trust: it reads an answer to its end, and says what is wrong with it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::openmetrics::{self, Format};

/// Longer than anything here takes on a busy machine: so that what hangs fails.
pub const LONG: Duration = Duration::from_secs(120);

pub const PATHS: [&str; 7] =
    ["/", "/metrics", "/memory.json", "/history.json", "/handles.json", "/handles.txt", "/healthz"];

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads one answer that ends with the connection.
    pub fn parse(bytes: &[u8], has_body: bool) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| wrong("no end of the headers"))?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("no text"))?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)));
        let status = status.and_then(|status| status.parse().ok()).ok_or_else(|| wrong("no status"))?;
        let mut headers = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(|| wrong("no header"))?;
            if headers.insert(name.to_ascii_lowercase(), value.to_owned()).is_some() {
                return Err(wrong("a header twice"));
            }
        }
        let body = bytes[end + 4..].to_vec();
        let length: usize =
            headers.get("content-length").and_then(|n| n.parse().ok()).ok_or_else(|| wrong("no length"))?;
        if body.len() != if has_body { length } else { 0 } {
            return Err(format!("{length} bytes are announced, {} are there", body.len()));
        }
        Ok(Self { status, headers, body })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it is what is to be had at this path.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.status != 200 {
            return Err(format!("{path}: {}", self.status));
        }
        let text = std::str::from_utf8(&self.body).map_err(|error| error.to_string())?;
        let json = || serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let is_good = match path {
            "/" => text.starts_with("<!") && text.trim_end().ends_with("</html>"),
            "/metrics" => openmetrics::parse(text, Format::Text)?.find("sqlite_native_memory_bytes", &[]).is_some(),
            "/memory.json" => json()?["native"]["bytes"].is_u64() && json()?["leaks"].is_object(),
            "/history.json" => json()?["samples"].as_array().is_some_and(|samples| !samples.is_empty()),
            "/handles.json" => json()?["handles"].is_array() && json()?["unrecorded"].is_object(),
            "/handles.txt" => text.starts_with("open: ") && text.contains("\nwithout a record: "),
            "/healthz" => text == "ok\n",
            _ => false,
        };
        if is_good { Ok(()) } else { Err(format!("{path}: {text}")) }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// What comes until the end, and whether that is an orderly one.
pub fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    if let Err(error) = &end {
        let is_timeout = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!is_timeout, "it neither answers nor ends");
    }
    (bytes, end.is_ok())
}

/// Sends these bytes, as far as they are taken, and reads to the end.
pub fn send(address: SocketAddr, request: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = connect(address);
    let _ = stream.write_all(request);
    read_all(&mut stream)
}

pub fn head_of(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

pub fn try_ask(address: SocketAddr, method: &str, path: &str) -> Result<Answer, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(LONG)).map_err(|error| error.to_string())?;
    // One that was shut down and closed again tells so: the answer ends by itself.
    let request = head_of(method, path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| format!("{path}: {error}"))?;
    Answer::parse(&bytes, method != "HEAD")
}

#[track_caller]
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    try_ask(address, method, path).unwrap()
}

#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path)
}

/// It is alive, and what it says is right.
#[track_caller]
pub fn assert_serves(address: SocketAddr) {
    for path in PATHS {
        get(address, path).check(path).unwrap();
    }
}
