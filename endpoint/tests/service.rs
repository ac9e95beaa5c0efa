//! The example `service`, run as a program: it serves while it runs, and leaves nothing. It sends
//! what finalite warns of to stderr, which has to be empty where nothing is wrong.
//!
//! It is looked for beside this test program, where `cargo test` builds it. (`cargo test --test service` alone does not:
//! `cargo build --examples` goes before.)

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let examples = this.parent().unwrap().with_file_name("examples");
    let path = examples.join(format!("service{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

#[test]
fn service_serves_while_it_runs_and_leaves_nothing() {
    let mut service = Command::new(program())
        .args(["--address", "127.0.0.1:0", "--seconds", "2", "--threads", "6"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let address = first.strip_prefix("endpoint: http://").and_then(|rest| rest.strip_suffix('/')).unwrap();
    // The first line of figures: by then all threads work.
    assert!(lines.next().unwrap().contains(" transfers/s "));

    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /memory.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let stats: Value = serde_json::from_str(body).unwrap();
    assert_eq!(stats["pools"][0]["name"], "ledger");
    let names: Vec<&str> = stats["connections"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert!(names.contains(&"ledger/writer") && names.contains(&"ledger/reserved/0"), "{names:?}");
    assert!(!body.contains("SELECT"), "the text of a statement");

    let rest: Vec<String> = lines.collect();
    let outcome = service.wait_with_output().unwrap();
    assert_eq!((outcome.status.code(), &*outcome.stderr), (Some(0), &b""[..]), "{rest:?}");
    let [.., balanced, closed, left] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(balanced, "1000 accounts hold 100000000 cents, as at the beginning");
    assert!(closed.ends_with(" connections closed"), "{closed}");
    assert_eq!(left, "left: 0 handles, 0 native bytes in 0 blocks");
}

#[test]
fn service_says_what_is_wrong() {
    let service = |arguments: &[&str]| Command::new(program()).args(arguments).output().unwrap();
    let stderr = |output: Output| String::from_utf8(output.stderr).unwrap();
    let remote = service(&["--address", "0.0.0.0:0"]);
    assert_eq!(remote.status.code(), Some(2));
    let remote = stderr(remote);
    assert!(remote.contains("allow it with `Options::allow_remote`"), "{remote}");
    assert!(stderr(service(&["--speed"])).contains("--speed is not known"));
    assert!(stderr(service(&["--seconds"])).contains("--seconds needs a value"));
    assert!(String::from_utf8(service(&["--help"]).stdout).unwrap().contains("Usage: service"));
}
