//! Dropping an endpoint stops it, whatever its clients do, and nothing of it is left.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use finalite::{Connection, LeakCheck, stats};
use finalite_endpoint::{Endpoint, Options};

use crate::client::{Answer, connect, get, head_of, read_all};
use crate::serving::{started, until, until_served};
use crate::{Case, times};

pub const CASES: &[Case] = &[
    ("start and stop", starting_and_stopping_leaves_nothing),
    ("silent clients", a_silent_client_does_not_hold_it),
    ("half a request", half_a_request_does_not_hold_it),
    ("slow readers", a_client_that_reads_slowly_does_not_hold_it),
    ("slow readers are served", a_client_that_reads_late_gets_all),
    ("unaccepted clients", clients_in_the_queue_are_told),
    ("another thread", it_may_be_dropped_on_another_thread),
    ("at once", it_may_be_dropped_before_it_began),
];

fn starting_and_stopping_leaves_nothing() {
    let conn = Connection::open_in_memory().unwrap();
    let before = conn.memory().bytes;
    let check = LeakCheck::new();
    for n in 0..times(300, 10_000) {
        let endpoint = started();
        if n % 10 == 0 {
            assert_eq!(get(endpoint.address(), "/healthz").text(), "ok\n");
            get(endpoint.address(), "/memory.json").check("/memory.json").unwrap();
        }
        drop(endpoint);
    }
    let report = check.finish();
    assert!(report.is_clean(), "{report}");
    assert_eq!(conn.memory().bytes, before);
    assert_eq!(stats::snapshot().process.background_threads, 0);

    // What a server would leave is seen: its thread, its socket, SQLite's memory.
    let check = LeakCheck::new();
    let (stop, stopped) = mpsc::channel::<()>();
    let left = thread::spawn(move || stopped.recv());
    let report = check.finish().to_string();
    assert!(report.contains("threads: "), "{report}");
    drop(stop);
    let _ = left.join().unwrap();

    let check = LeakCheck::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let report = check.finish().to_string();
    assert!(report.contains("file descriptors: ") && report.contains("socket:"), "{report}");
    drop(socket);

    let check = LeakCheck::new();
    let endpoint = started();
    let report = check.finish().to_string();
    assert!(report.contains("threads: ") && report.contains("file descriptors: "), "{report}");
    drop(endpoint);
    let check = LeakCheck::new();
    let other = Connection::open_in_memory().unwrap();
    assert!(check.finish().to_string().contains("native bytes: "));
    drop(other);
}

/// Drops it, and returns what the clients got and whether they saw an end.
fn dropped(endpoint: Endpoint, clients: Vec<TcpStream>) -> Vec<(Vec<u8>, bool)> {
    let address = endpoint.address();
    drop(endpoint);
    assert_eq!(stats::snapshot().process.background_threads, 0);
    let read = clients.into_iter().map(|mut client| read_all(&mut client)).collect();
    assert!(TcpStream::connect(address).is_err());
    read
}

/// Waits until it has accepted so many: then it holds a socket for each.
fn until_accepted(endpoint: &Endpoint, clients: &[TcpStream]) {
    let port = endpoint.address().port();
    let peers: Vec<String> = clients.iter().map(|client| hexadecimal(client.local_addr().unwrap().port())).collect();
    // Connections of ours that have an owner: those in the queue have no inode yet.
    until(|| {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let accepted = table.lines().skip(1).filter(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns[1].ends_with(&hexadecimal(port))
                && peers.iter().any(|peer| columns[2].ends_with(peer))
                && columns[9] != "0"
        });
        accepted.count() == clients.len()
    });
}

fn hexadecimal(port: u16) -> String {
    format!(":{port:04X}")
}

fn a_silent_client_does_not_hold_it() {
    let endpoint = started();
    let clients: Vec<TcpStream> = (0..5).map(|_| connect(endpoint.address())).collect();
    until_accepted(&endpoint, &clients);
    for (bytes, _) in dropped(endpoint, clients) {
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    }
}

fn half_a_request_does_not_hold_it() {
    let endpoint = started();
    let whole = head_of("GET", "/memory.json");
    let clients: Vec<TcpStream> = (1..whole.len())
        .step_by(7)
        .map(|sent| {
            let mut client = connect(endpoint.address());
            client.write_all(&whole.as_bytes()[..sent]).unwrap();
            client
        })
        .collect();
    assert!(clients.len() > 4);
    until_accepted(&endpoint, &clients);
    for (bytes, _) in dropped(endpoint, clients) {
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    }
}

/// More than the system keeps for a client that does not read.
fn with_a_long_answer(work: impl FnOnce()) {
    let conn = Connection::open_in_memory().unwrap();
    let statements: Vec<_> = (0..60_000).map(|_| conn.prepare("SELECT 1").unwrap()).collect();
    work();
    drop(statements);
}

/// Asks for it, and reads no more than its beginning.
fn begin_to_read(endpoint: &Endpoint) -> (TcpStream, Vec<u8>) {
    let mut client = connect(endpoint.address());
    client.write_all(head_of("GET", "/handles.json?limit=1000000").as_bytes()).unwrap();
    let mut beginning = vec![0; 1000];
    client.read_exact(&mut beginning).unwrap();
    (client, beginning)
}

fn a_client_that_reads_slowly_does_not_hold_it() {
    with_a_long_answer(|| {
        let endpoint = started();
        let (mut clients, mut beginnings) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (client, beginning) = begin_to_read(&endpoint);
            clients.push(client);
            beginnings.push(beginning);
        }
        for ((rest, _), mut bytes) in dropped(endpoint, clients).into_iter().zip(beginnings) {
            bytes.extend(rest);
            assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(Answer::parse(&bytes, true).unwrap_err().contains("are announced"), "it was cut short");
        }
    });
}

fn a_client_that_reads_late_gets_all() {
    with_a_long_answer(|| {
        // The control of the above: one that is not dropped sends all, though the client makes it wait.
        let endpoint = Options::new().timeout(Duration::from_secs(100)).serve("127.0.0.1:0").unwrap();
        let (mut client, mut bytes) = begin_to_read(&endpoint);
        get(endpoint.address(), "/metrics").check("/metrics").unwrap();
        let (rest, is_orderly) = read_all(&mut client);
        bytes.extend(rest);
        Answer::parse(&bytes, true).unwrap().check("/handles.json").unwrap();
        assert!(is_orderly);

        // Nobody is waited for without end.
        let endpoint = Options::new().timeout(Duration::from_millis(300)).serve("127.0.0.1:0").unwrap();
        let mut client = connect(endpoint.address());
        client.write_all(head_of("GET", "/handles.json?limit=1000000").as_bytes()).unwrap();
        // The answer has begun, or was given up before.
        let _ = client.peek(&mut [0]);
        until(|| !is_connected(&endpoint, &client));
        let (bytes, _) = read_all(&mut client);
        assert!(Answer::parse(&bytes, true).is_err());
        until_served(&endpoint);
    });
}

/// Whether the endpoint still holds the other end.
fn is_connected(endpoint: &Endpoint, client: &TcpStream) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (port, peer) = (hexadecimal(endpoint.address().port()), hexadecimal(client.local_addr().unwrap().port()));
    table.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[1].ends_with(&port) && columns[2].ends_with(&peer) && columns[9] != "0"
    })
}

fn clients_in_the_queue_are_told() {
    let endpoint = Options::new().max_connections(1).serve("127.0.0.1:0").unwrap();
    let clients: Vec<TcpStream> = (0..20).map(|_| connect(endpoint.address())).collect();
    for (bytes, _) in dropped(endpoint, clients) {
        assert!(bytes.is_empty());
    }
}

fn it_may_be_dropped_on_another_thread() {
    let endpoint = started();
    let client = connect(endpoint.address());
    thread::spawn(move || drop(dropped(endpoint, vec![client]))).join().unwrap();
    // While a thread of the program's is in the middle of asking it.
    for _ in 0..20 {
        let endpoint = started();
        let address = endpoint.address();
        let (began, begun) = mpsc::channel();
        let asking = thread::spawn(move || {
            let mut answers = 0;
            while let Ok(answer) = crate::client::try_ask(address, "GET", "/memory.json") {
                answer.check("/memory.json").unwrap();
                answers += 1;
                let _ = began.send(());
            }
            answers
        });
        begun.recv().unwrap();
        drop(endpoint);
        assert!(asking.join().unwrap() > 0);
    }
}

fn it_may_be_dropped_before_it_began() {
    for _ in 0..50 {
        let endpoint = started();
        let client = connect(endpoint.address());
        dropped(endpoint, vec![client]);
    }
}
