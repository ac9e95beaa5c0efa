//! Times that calls take at most.

use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use finalite_dqlite::{Cluster, ErrorKind, RetryPolicy};

use crate::node::{DONE, MORE, Node, Step, failure, message, result, rows, statement, text, words};

const INSERT: &str = "INSERT INTO t VALUES (1)";
const NOT_LEADER: u64 = 10250;

#[test]
fn an_answer_that_trickles_ends_with_the_time_of_a_whole_one() {
    let bytes = message(6, 0, &words(&[1, 1]));
    let node = Node::start(vec![vec![Step::Trickle(bytes.clone(), Duration::from_millis(40))]]);
    let open = |node: &Node, io| Cluster::builder([&node.address]).io_timeout(io).build().open("app").unwrap();
    // 24 bytes in about a second; 10 × 50 ms are allowed.
    let conn = open(&node, Duration::from_millis(50));
    let began = Instant::now();
    let error = conn.execute(INSERT, ()).unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());

    // The control: with more time, it is an answer.
    let node = Node::start(vec![vec![Step::Trickle(bytes, Duration::from_millis(40))]]);
    open(&node, Duration::from_millis(500)).execute(INSERT, ()).unwrap();
}

#[test]
fn a_leader_that_trickles_is_left_in_time() {
    let node = Node::start_with(vec![vec![], vec![], vec![], vec![]], |own, _, step| {
        let answer = message(1, 0, &[words(&[1]), text(own)].concat());
        (step == 0).then_some(Step::Trickle(answer, Duration::from_millis(50)))
    });
    let cluster = Cluster::builder([&node.address])
        .connect_timeout(Duration::from_millis(200))
        .leader_timeout(Duration::from_millis(300))
        .build();
    let began = Instant::now();
    let error = cluster.open("app").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoLeader { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
}

/// A node that reads nothing, or a few bytes now and then.
#[test]
fn a_request_that_trickles_ends_with_the_time_of_a_whole_one() {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = node.local_addr().unwrap().to_string();
    let inner = Node::start(vec![vec![]]);
    // Passes on the opening to the scripted node, then takes 64 KB every 100 ms.
    let target = inner.address.clone();
    let (own, other) = (address.clone(), target.clone());
    thread::spawn(move || {
        let (mut client, _) = node.accept().unwrap();
        let mut server = std::net::TcpStream::connect(&target).unwrap();
        let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back, &mut to_client));
        let mut opened = 0;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(bytes) = client.read(&mut buffer) {
            if bytes == 0 {
                return;
            }
            opened += bytes;
            if opened < 1000 {
                std::io::Write::write_all(&mut server, &buffer[..bytes]).unwrap();
            } else {
                thread::sleep(Duration::from_millis(40));
            }
        }
    });
    assert_ne!(own, other);
    // The scripted node names itself: the function that dials goes through the one that is slow.
    let cluster = Cluster::builder([&inner.address])
        .dial(move |_, _| Ok(Box::new(std::net::TcpStream::connect(&address)?)))
        .io_timeout(Duration::from_millis(100))
        .build();
    let conn = cluster.open("app").unwrap();
    let began = Instant::now();
    let error = conn.execute("INSERT INTO t VALUES (?)", (vec![7_u8; 200 << 20],)).unwrap_err();
    // Not all of it was sent.
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn dropping_rows_waits_for_one_time() {
    // Batches of which one comes every 200 ms: each within the time of a read.
    let batch = rows(0..1, MORE);
    let pause = Duration::from_millis(200) / u32::try_from(batch.len()).unwrap();
    let mut bytes = Vec::new();
    (0..10).for_each(|_| bytes.extend_from_slice(&batch));
    bytes.extend(rows(0..1, DONE));
    let node = Node::start(vec![vec![statement(0, 0), Step::Trickle(bytes, pause)]]);
    let conn = node.open();
    let mut numbers = conn.prepare("SELECT n").unwrap();
    let mut numbers = numbers.query(()).unwrap();
    numbers.next().unwrap().unwrap();
    let began = Instant::now();
    drop(numbers);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(!conn.is_alive());
}

#[test]
fn times_without_an_end_are_taken() {
    let node = Node::start(vec![vec![failure(5, "locked"), result(), result(), result()]]);
    let cluster = Cluster::builder([&node.address])
        .io_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .leader_timeout(Duration::MAX)
        .build();
    let mut conn = cluster.open("app").unwrap();
    let policy = RetryPolicy::new(Duration::MAX).pauses_between(Duration::ZERO, Duration::MAX);
    conn.retry(policy, |tx| tx.execute(INSERT, ())).unwrap();
}

#[test]
fn retry_begins_nothing_after_its_deadline() {
    // Not the leader at BEGIN; then no node listens: the search has the time that is left.
    let node = Node::start(vec![vec![failure(NOT_LEADER, "not leader")]]);
    let mut conn = Cluster::builder([&node.address])
        .leader_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_millis(100))
        .build()
        .open("app")
        .unwrap();
    let began = Instant::now();
    let policy = RetryPolicy::new(Duration::from_millis(500));
    conn.retry(policy, |tx| tx.execute(INSERT, ())).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn retry_goes_on_where_the_new_session_finds_no_leader() {
    // Not the leader at BEGIN; a second session that is closed at the probe; a third.
    let scripts = vec![vec![failure(NOT_LEADER, "no")], vec![], vec![result(), result(), result()]];
    let node = Node::start_with(scripts, |_, session, step| match (session, step) {
        (1, 3) => Some(failure(NOT_LEADER, "no")),
        _ => None,
    });
    node.open().retry(RetryPolicy::new(Duration::from_secs(5)), |tx| tx.execute(INSERT, ())).unwrap();
    assert_eq!(node.seen(), [8; 4]);
}
