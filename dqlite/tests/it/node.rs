//! A node that answers as a script tells it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use finalite_dqlite::{Cluster, Connection};

/// One step of a script, which belongs to the next request.
pub enum Step {
    /// Answers with a message.
    Answer(Vec<u8>),
    /// Answers with several messages or with part of one, and goes on.
    Bytes(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Answers with these bytes, and closes the connection.
    CloseAfter(Vec<u8>),
    /// Never answers.
    Stall,
    /// Answers byte by byte, with this pause before each.
    Trickle(Vec<u8>, Duration),
}

/// Bytes of a message.
pub fn message(kind: u8, schema: u8, body: &[u8]) -> Vec<u8> {
    let words = u32::try_from(body.len() / 8).unwrap();
    [&words.to_le_bytes()[..], &[kind, schema, 0, 0], body].concat()
}

pub fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = [text.as_bytes(), &[0]].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

pub fn failure(code: u64, reason: &str) -> Step {
    Step::Answer(message(0, 0, &[words(&[code]), text(reason)].concat()))
}

pub fn statement(id: u64, parameters: u64) -> Step {
    Step::Answer(message(5, 1, &words(&[id << 32, parameters, 0])))
}

pub fn result() -> Step {
    Step::Answer(message(6, 0, &words(&[1, 1])))
}

pub fn empty() -> Step {
    Step::Answer(message(8, 0, &words(&[0])))
}

pub const DONE: u64 = u64::MAX;
pub const MORE: u64 = 0xeeee_eeee_eeee_eeee;

/// A batch of rows of one integer.
pub fn rows(values: std::ops::Range<u64>, end: u64) -> Vec<u8> {
    let rows = values.flat_map(|value| words(&[1, value]));
    message(7, 0, &[words(&[1]), text("n"), rows.collect(), words(&[end])].concat())
}

/// A node that serves each session by a script, in the order in which they connect, and tells the types of the requests.
pub struct Node {
    pub address: String,
    pub requests: Receiver<u8>,
}

impl Node {
    /// Starts one. Each session first gets the answers to LEADER, CLIENT, OPEN and the probe.
    pub fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::start_with(scripts, |_, _, _| None)
    }

    /// Starts one with other answers to the opening. The closure receives the node's address, the number of the session
    /// and that of the request.
    pub fn start_with(
        scripts: Vec<Vec<Step>>,
        other: impl Fn(&str, usize, usize) -> Option<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        let own = address.clone();
        thread::spawn(move || {
            let other = Arc::new(other);
            for (session, script) in scripts.into_iter().enumerate() {
                let Ok((stream, _)) = listener.accept() else { return };
                let (own, other, sender) = (own.clone(), other.clone(), sender.clone());
                thread::spawn(move || serve(stream, script, &own, &sender, |number| other(&own, session, number)));
            }
        });
        Self { address, requests }
    }

    pub fn cluster(&self) -> Cluster {
        Cluster::builder([&self.address])
            .io_timeout(Duration::from_millis(300))
            .leader_timeout(Duration::from_secs(2))
            .build()
    }

    pub fn open(&self) -> Connection {
        self.cluster().open("app").unwrap()
    }

    /// The types of all requests after the opening, once the node has seen the last.
    pub fn seen(&self) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Ok(kind) = self.requests.recv_timeout(Duration::from_millis(500)) {
            seen.push(kind);
        }
        seen
    }
}

fn serve(
    mut stream: TcpStream,
    script: Vec<Step>,
    own: &str,
    sender: &Sender<u8>,
    other: impl Fn(usize) -> Option<Step>,
) {
    let mut hello = [0; 8];
    stream.read_exact(&mut hello).unwrap();
    let opening = [
        Step::Answer(message(1, 0, &[words(&[1]), text(own)].concat())),
        Step::Answer(message(2, 0, &words(&[15_000]))),
        Step::Answer(message(4, 0, &words(&[0]))),
        statement(0, 0),
        empty(),
    ];
    for (number, step) in opening.into_iter().chain(script).enumerate() {
        let Some(kind) = request(&mut stream) else { break };
        if number >= 5 {
            let _ = sender.send(kind);
        }
        match other(number).unwrap_or(step) {
            Step::Answer(bytes) | Step::Bytes(bytes) => stream.write_all(&bytes).unwrap(),
            Step::Close => break,
            Step::CloseAfter(bytes) => {
                stream.write_all(&bytes).unwrap();
                break;
            }
            Step::Trickle(bytes, pause) => {
                for byte in bytes {
                    thread::sleep(pause);
                    // Until the client gives up.
                    if stream.write_all(&[byte]).is_err() {
                        break;
                    }
                }
            }
            Step::Stall => {
                // Until the client gives up.
                let _ = stream.read(&mut [0; 64]);
                break;
            }
        }
    }
    // What is sent beyond the script is told, too.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while let Some(kind) = request(&mut stream) {
        let _ = sender.send(kind);
    }
}

/// Reads a request, and returns its type.
fn request(stream: &mut TcpStream) -> Option<u8> {
    let mut header = [0; 8];
    match stream.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) => {
            assert!(error.kind() != ErrorKind::InvalidInput, "{error}");
            return None;
        }
    }
    let words = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let mut body = vec![0; words as usize * 8];
    stream.read_exact(&mut body).ok()?;
    Some(header[4])
}
