//! The example `web_service`, run as a program: 200 requests at once, and a graceful end.
//!
//! It is looked for beside this test program, where `cargo test` builds it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;

fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path = this.parent().unwrap().with_file_name("examples").join("web_service");
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

fn request(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn it_serves_200_requests_at_once_and_ends_gracefully() {
    let mut service = Command::new(program())
        .args(["--address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let address: Arc<str> = first.strip_prefix("http://").unwrap().trim_end_matches('/').into();

    let together = Arc::new(Barrier::new(200));
    let requests: Vec<_> = (0..200)
        .map(|n| {
            let (address, together) = (Arc::clone(&address), Arc::clone(&together));
            thread::spawn(move || {
                together.wait();
                match n % 4 {
                    0 => request(&address, "POST", &format!("/transfer/{}/{}/7", n + 1, n + 2)),
                    1 => request(&address, "GET", "/accounts"),
                    _ => request(&address, "GET", &format!("/account/{}", n + 500)),
                }
            })
        })
        .collect();
    for (n, request) in requests.into_iter().enumerate() {
        let (status, body) = request.join().unwrap();
        assert_eq!(status, 200, "{n}: {body}");
        match n % 4 {
            0 => assert_eq!(body, "99993"),
            1 => assert_eq!(body.lines().filter(|line| line.contains(' ')).count(), 1000),
            _ => assert_eq!(body, "100000"),
        }
    }
    assert_eq!(request(&address, "GET", "/account/0").0, 404);
    assert_eq!(request(&address, "POST", "/transfer/1/2/900000").0, 409);
    assert_eq!(request(&address, "POST", "/transfer/1/0/5").0, 404);
    let (status, metrics) = request(&address, "GET", "/sqlite/metrics");
    assert!(status == 200 && metrics.contains("\nsqlite_pool_waiting 0\n"), "{metrics}");

    let ended = Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
    assert!(ended.success());
    let rest: Vec<String> = lines.collect();
    let outcome = service.wait_with_output().unwrap();
    assert_eq!((outcome.status.code(), &*String::from_utf8_lossy(&outcome.stderr)), (Some(0), ""), "{rest:?}");
    let [balanced, closed, left] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(balanced, "1000 accounts hold 100000000 cents");
    assert!(closed.ends_with(" connections closed"), "{closed}");
    assert_eq!(left, "left: 0 handles, 0 native bytes in 0 blocks");
}
