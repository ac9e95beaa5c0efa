//! `serve`: where it listens, and what it refuses.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use finalite::{Connection, stats};
use finalite_endpoint::{Endpoint, Options, ServeError, serve};

use crate::Case;
use crate::client::{LONG, PATHS, ask, assert_serves, connect, get, read_all, send, try_ask};

pub const CASES: &[Case] = &[
    ("answers", all_is_served),
    ("numbers", what_is_told_is_what_is_held),
    ("remote addresses", other_machines_are_refused),
    ("a port in use", a_port_in_use_is_an_error),
    ("where", it_says_where_it_listens),
    ("two", two_serve_at_once),
    ("options", options_are_kept),
    ("panics", a_panic_of_the_programs_ends_one_answer),
    ("for ever", a_timeout_without_end_is_one_of_a_day),
    ("in an async program", it_starts_and_stops_within_a_runtime),
    ("its own thread", it_may_be_dropped_by_an_answer),
];

/// Waits for it, and fails where it never comes.
#[track_caller]
pub fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Asks until it is answered: on a busy machine the time that a client has may not be enough.
#[track_caller]
pub fn until_served(endpoint: &Endpoint) {
    until(|| try_ask(endpoint.address(), "GET", "/healthz").is_ok_and(|answer| answer.check("/healthz").is_ok()));
}

#[track_caller]
pub fn started() -> Endpoint {
    serve("127.0.0.1:0").unwrap()
}

fn all_is_served() {
    let endpoint = started();
    assert_serves(endpoint.address());
    for path in PATHS {
        let head = ask(endpoint.address(), "HEAD", path);
        assert_eq!(head.status, 200);
        assert_ne!(head.headers["content-length"], "0");
        let refused = ask(endpoint.address(), "DELETE", path);
        assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD"));
    }
    let answer = get(endpoint.address(), "/memory.json");
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(get(endpoint.address(), "/nowhere").status, 404);
    // The oldest clients, and those of today.
    for request in ["GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.1\r\nhost:[::1]:80\r\n\r\n"] {
        let (bytes, is_orderly) = send(endpoint.address(), request.as_bytes());
        assert!(bytes.ends_with(b"\r\n\r\nok\n") && is_orderly, "{request}");
    }
}

fn what_is_told_is_what_is_held() {
    let endpoint = started();
    let conns: Vec<Connection> = (0..3).map(|_| Connection::open_in_memory().unwrap()).collect();
    let statements: Vec<_> = conns.iter().map(|conn| conn.prepare("SELECT 1").unwrap()).collect();
    let json = get(endpoint.address(), "/memory.json").json();
    let own = stats::snapshot();
    assert_eq!(json["handles"]["open"]["connection"], 3);
    assert_eq!(json["handles"]["open"]["statement"], 3);
    assert_eq!(json["native"]["bytes"], own.memory.bytes);
    assert_eq!(json["connections"].as_array().unwrap().len(), 3);
    assert_eq!(json["process"]["background_threads"], 1);
    let metrics = get(endpoint.address(), "/metrics");
    let expected = format!("\nsqlite_native_memory_bytes {}\n", own.memory.bytes);
    assert!(metrics.text().contains(&expected) && metrics.text().contains("\nsqlite_background_threads 1\n"));
    drop(statements);
}

fn other_machines_are_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "8.8.8.8:80", "[2001:db8::1]:0"] {
        let refused = serve(address).unwrap_err();
        let ServeError::NotLoopback { address: of } = refused else { panic!("{refused}") };
        assert_eq!(of, address.parse().unwrap());
        assert!(refused.to_string().contains("allow_remote"), "{refused}");
    }
    // One of several is enough.
    let several: [SocketAddr; 2] = ["127.0.0.1:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap()];
    assert!(matches!(serve(&several[..]), Err(ServeError::NotLoopback { .. })));
    let remote = Options::new().allow_remote(true).serve("0.0.0.0:0").unwrap();
    assert!(remote.address().ip().is_unspecified());
    assert_serves(SocketAddr::new([127, 0, 0, 1].into(), remote.address().port()));
    drop(remote);
    drop(serve("127.0.0.2:0").unwrap());
}

fn a_port_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = serve(taken.local_addr().unwrap()).unwrap_err();
    let ServeError::Bind(error) = &refused else { panic!("{refused}") };
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(refused.to_string().starts_with("the endpoint cannot listen: "), "{refused}");
    let endpoint = started();
    assert!(matches!(serve(endpoint.address()), Err(ServeError::Bind(_))));
    assert_serves(endpoint.address());
    // What is dropped is free at once, though its clients were just there.
    let address = endpoint.address();
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err());
    assert_serves(serve(address).unwrap().address());
    assert!(matches!(serve("no such address"), Err(ServeError::Bind(_))));
    let none: &[SocketAddr] = &[];
    assert!(serve(none).is_err());
}

fn it_says_where_it_listens() {
    let endpoint = serve(("localhost", 0)).unwrap();
    assert_ne!(endpoint.address().port(), 0);
    assert_eq!(endpoint.url(), format!("http://{}/", endpoint.address()));
    assert_serves(endpoint.address());
    assert!(format!("{endpoint:?}").contains(&endpoint.address().to_string()));
    if let Ok(six) = serve("[::1]:0") {
        assert_eq!(six.url(), format!("http://[::1]:{}/", six.address().port()));
        assert_serves(six.address());
    }
}

fn two_serve_at_once() {
    let (one, two) = (started(), started());
    assert_ne!(one.address(), two.address());
    let threads = get(one.address(), "/memory.json").json()["process"]["background_threads"].as_u64();
    assert_eq!(threads, Some(2));
    assert_serves(two.address());
    let gone = one.address();
    drop(one);
    assert!(TcpStream::connect(gone).is_err());
    assert_serves(two.address());
}

fn options_are_kept() {
    let conn = Connection::open_in_memory().unwrap();
    let statement = conn.prepare("SELECT 'shown on demand'").unwrap();
    let options = Options::new()
        .expose_sql(true)
        .host("metrics.example")
        .authorize(|headers| headers.get("x-key").is_some_and(|key| key == "1"));
    let endpoint = options.serve("127.0.0.1:0").unwrap();
    let ask = |host: &str, key: &str| {
        let request = format!("GET /memory.json HTTP/1.1\r\nHost: {host}\r\n{key}\r\n");
        let (bytes, _) = send(endpoint.address(), request.as_bytes());
        crate::client::Answer::parse(&bytes, true).unwrap()
    };
    assert_eq!(ask("localhost", "").status, 401);
    assert_eq!(ask("evil.example", "X-Key: 1\r\n").status, 421);
    assert!(ask("metrics.example:80", "X-Key: 1\r\n").text().contains("SELECT 'shown on demand'"));
    assert_eq!(get(endpoint.address(), "/healthz").status, 200);
    drop(statement);
}

fn a_panic_of_the_programs_ends_one_answer() {
    let options = Options::new().authorize(|headers| match headers.get("x-panic") {
        Some(_) => std::panic::resume_unwind(Box::new("on purpose")),
        None => true,
    });
    let endpoint = options.serve("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        let (bytes, _) = send(endpoint.address(), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Panic: 1\r\n\r\n");
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&bytes));
        assert_serves(endpoint.address());
    }
}

/// The thread cannot wait for itself: it stops when it has returned.
fn it_may_be_dropped_by_an_answer() {
    let place: Arc<Mutex<Option<Endpoint>>> = Arc::default();
    let within = Arc::clone(&place);
    let options = Options::new().authorize(move |_| {
        drop(within.lock().unwrap().take());
        true
    });
    let endpoint = options.serve("127.0.0.1:0").unwrap();
    let address = endpoint.address();
    let mut client = connect(address);
    *place.lock().unwrap() = Some(endpoint);
    std::io::Write::write_all(&mut client, crate::client::head_of("GET", "/memory.json").as_bytes()).unwrap();
    let _ = read_all(&mut client);
    until(|| stats::snapshot().process.background_threads == 0);
    until(|| TcpStream::connect(address).is_err());
    assert!(place.lock().unwrap().is_none());
}

fn a_timeout_without_end_is_one_of_a_day() {
    let endpoint = Options::new().timeout(Duration::MAX).serve("127.0.0.1:0").unwrap();
    get(endpoint.address(), "/healthz").check("/healthz").unwrap();
}

fn it_starts_and_stops_within_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let endpoint = serve("127.0.0.1:0").unwrap();
        get(endpoint.address(), "/healthz").check("/healthz").unwrap();
        drop(endpoint);
    });
}
