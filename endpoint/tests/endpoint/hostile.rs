//! Requests that are wrong, and clients that are slow: the server stays alive, right, and owes nothing.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use finalite_endpoint::Options;

use crate::Case;
use crate::client::{Answer, assert_serves, connect, get, head_of, read_all, send, try_ask};
use crate::serving::{started, until_served};

pub const CASES: &[Case] = &[
    ("garbage", garbage_is_refused),
    ("no host", a_request_without_a_host_is_bad),
    ("strange targets", strange_targets_are_answered),
    ("large requests", large_requests_are_refused),
    ("bodies", bodies_are_not_waited_for),
    ("pipelines", one_request_is_answered),
    ("half requests", half_requests_are_given_up),
    ("slow clients", slow_clients_make_room),
    ("clients that go", clients_that_go_leave_nothing),
];

/// The status of an answer; none for a connection that just ended.
fn status(bytes: &[u8]) -> Option<u16> {
    if bytes.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    Some(status.unwrap_or_else(|| panic!("«{text}»")))
}

fn a_request_without_a_host_is_bad() {
    let endpoint = started();
    for path in ["/memory.json", "/healthz"] {
        for (request, expected) in [
            (format!("GET {path} HTTP/1.1\r\n\r\n"), 400),
            (format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), 400),
            (format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200),
            (format!("GET {path} HTTP/1.0\r\n\r\n"), 200),
        ] {
            assert_eq!(status(&send(endpoint.address(), request.as_bytes()).0), Some(expected), "{request:?}");
        }
    }
}

fn garbage_is_refused() {
    let endpoint = started();
    let mut requests: Vec<Vec<u8>> = [
        "\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1 x\r\n\r\n",
        "GET /metrics\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /met rics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: lo\0calhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
        "HELO localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    ]
    .map(|request| request.as_bytes().to_vec())
    .into();
    // Bytes of all values, in no order that means anything.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    requests.extend((0..50).map(|n| {
        let mut bytes: Vec<u8> = (0..n * 20)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        bytes.extend(b"\r\n\r\n");
        bytes
    }));
    let mut refused = 0;
    for request in &requests {
        let mut client = connect(endpoint.address());
        let _ = client.write_all(request);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let answer = status(&read_all(&mut client).0);
        assert_ne!(answer, Some(200), "{:?}", String::from_utf8_lossy(request));
        refused += usize::from(answer.is_some_and(|status| (400..500).contains(&status)));
    }
    assert!(refused > 10, "{refused}");
    assert_serves(endpoint.address());
}

fn strange_targets_are_answered() {
    let endpoint = started();
    let long = format!("/{}", "x".repeat(7000));
    for (target, expected) in [
        ("http://localhost/healthz", 200),
        ("http://127.0.0.1:1/healthz?x", 200),
        ("//healthz", 404),
        ("//localhost/healthz", 404),
        ("/%68ealthz", 404),
        ("/healthz%00", 404),
        ("/healthz%", 404),
        ("/%zz", 404),
        ("/../healthz", 404),
        ("/healthz/..;/", 404),
        ("/?a", 200),
        ("/handles.json?kind=%00", 400),
        ("/handles.json?limit=1%30", 400),
        (long.as_str(), 404),
        ("*", 404),
    ] {
        let (bytes, _) = send(endpoint.address(), head_of("GET", target).as_bytes());
        let got = status(&bytes);
        assert!(got == Some(expected) || (expected == 404 && got == Some(400)), "{target}: {got:?}");
        Answer::parse(&bytes, true).unwrap();
    }
    let (bytes, _) = send(endpoint.address(), head_of("CONNECT", "localhost:80").as_bytes());
    assert!(matches!(status(&bytes), Some(400..500)), "{}", String::from_utf8_lossy(&bytes));
    assert_serves(endpoint.address());
}

fn large_requests_are_refused() {
    let endpoint = started();
    let with = |headers: String| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let many = |count: usize| with((0..count).map(|n| format!("X-{n}: 1\r\n")).collect());
    for (what, request) in [
        ("a header", with(format!("X: {}\r\n", "x".repeat(20_000)))),
        ("a header of megabytes", with(format!("X: {}\r\n", "x".repeat(3_000_000)))),
        ("headers", many(200)),
        ("a great many headers", many(100_000)),
        ("a path", head_of("GET", &format!("/{}", "x".repeat(100_000)))),
        ("a method", head_of(&"X".repeat(100_000), "/healthz")),
    ] {
        let (bytes, is_orderly) = send(endpoint.address(), request.as_bytes());
        // It does not read to the end what it has refused, and the system then may throw the answer away.
        let got = status(&bytes);
        assert!(matches!(got, Some(400 | 414 | 431)) || (got.is_none() && !is_orderly), "{what}: {got:?}");
        assert_serves(endpoint.address());
    }
    // The control: what is not too large is taken.
    for request in [with(format!("X: {}\r\n", "x".repeat(6_000))), many(50)] {
        assert_eq!(status(&send(endpoint.address(), request.as_bytes()).0), Some(200));
    }
}

fn bodies_are_not_waited_for() {
    let endpoint = started();
    for (body, announced) in [("", 5), ("x", 1), ("hello", 5), ("hello", 1_000_000_000)] {
        for (method, expected) in [("GET", 200), ("POST", 405)] {
            let request =
                format!("{method} /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {announced}\r\n\r\n{body}");
            let (bytes, _) = send(endpoint.address(), request.as_bytes());
            assert_eq!(status(&bytes), Some(expected), "{method} {announced}");
        }
    }
    let chunked = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz";
    assert_eq!(status(&send(endpoint.address(), chunked.as_bytes()).0), Some(405));
    let waiting = "PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(status(&send(endpoint.address(), waiting.as_bytes()).0), Some(405));
    assert_serves(endpoint.address());
}

/// A connection is for one request: the others are not mixed into its answer.
fn one_request_is_answered() {
    let endpoint = started();
    let requests = [head_of("GET", "/healthz"), head_of("GET", "/memory.json"), head_of("GET", "/metrics")].concat();
    let (bytes, _) = send(endpoint.address(), requests.as_bytes());
    Answer::parse(&bytes, true).unwrap().check("/healthz").unwrap();
    let smuggled = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n";
    let (bytes, _) = send(endpoint.address(), format!("{smuggled}{}", head_of("GET", "/memory.json")).as_bytes());
    assert_eq!(Answer::parse(&bytes, true).unwrap().status, 405);
    assert_serves(endpoint.address());
}

fn half_requests_are_given_up() {
    let endpoint = Options::new().timeout(Duration::from_millis(200)).serve("127.0.0.1:0").unwrap();
    let whole = head_of("GET", "/memory.json");
    let mut clients: Vec<TcpStream> = (0..whole.len())
        .step_by(5)
        .map(|sent| {
            let mut client = connect(endpoint.address());
            client.write_all(&whole.as_bytes()[..sent]).unwrap();
            client
        })
        .collect();
    for client in &mut clients {
        assert_ne!(status(&read_all(client).0), Some(200));
    }
    until_served(&endpoint);
}

fn slow_clients_make_room() {
    const PLACES: usize = 4;
    // Nothing but that others wait ends a slow client's stay.
    let options = Options::new().max_connections(PLACES).timeout(Duration::from_secs(3600));
    let endpoint = options.serve("127.0.0.1:0").unwrap();
    let address = endpoint.address();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..PLACES {
            let is_done = &is_done;
            scope.spawn(move || {
                // As often as it is sent away it comes again.
                while !is_done.load(Ordering::Relaxed) {
                    let mut client = connect(address);
                    let request =
                        format!("GET /memory.json HTTP/1.1\r\nHost: localhost\r\nX-{n}: {}", "x".repeat(5000));
                    for byte in request.as_bytes() {
                        if is_done.load(Ordering::Relaxed) || client.write_all(&[*byte]).is_err() {
                            break;
                        }
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _done = Done(&is_done);
        for path in ["/healthz", "/metrics", "/memory.json"] {
            get(address, path).check(path).unwrap();
        }
    });
    assert_serves(address);
}

fn clients_that_go_leave_nothing() {
    let endpoint = started();
    let whole = head_of("GET", "/memory.json");
    for n in 0..200 {
        let mut client = connect(endpoint.address());
        client.write_all(&whole.as_bytes()[..whole.len().min(n)]).unwrap();
    }
    assert_serves(endpoint.address());
    assert!(try_ask(endpoint.address(), "GET", "/memory.json").is_ok());
}
