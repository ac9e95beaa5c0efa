//! Requests that are interrupted, and rows of writes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use finalite_dqlite::{Cluster, ErrorKind, Pool, Stream};

use crate::node::{DONE, MORE, Node, Step, failure, message, result, rows, statement, words};

const INSERT: &str = "INSERT INTO t VALUES (1)";

/// A stream of the program's, which panics or fails where it is told to.
struct Faulty {
    stream: TcpStream,
    panics_at_read: Arc<AtomicBool>,
    fails_at_flush: Arc<AtomicBool>,
}

impl Read for Faulty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.panics_at_read.swap(false, Ordering::Relaxed) {
            // As a panic does, without its message.
            resume_unwind(Box::new(()));
        }
        self.stream.read(buffer)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.fails_at_flush.load(Ordering::Relaxed) {
            true => Err(io::Error::other("an alert is left")),
            false => self.stream.flush(),
        }
    }
}

impl Stream for Faulty {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }

    fn shut_down(&self) {
        self.stream.shut_down();
    }
}

fn faulty(node: &Node) -> (Cluster, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (panics, fails) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (panics_at_read, fails_at_flush) = (panics.clone(), fails.clone());
    let cluster = Cluster::builder([&node.address])
        .dial(move |address, _| {
            let stream = TcpStream::connect(address)?;
            let (panics_at_read, fails_at_flush) = (panics_at_read.clone(), fails_at_flush.clone());
            Ok(Box::new(Faulty { stream, panics_at_read, fails_at_flush }))
        })
        .build();
    (cluster, panics, fails)
}

#[test]
fn an_answer_that_nobody_has_read_is_nobodys() {
    // The panic; then a session of its own.
    let node = Node::start(vec![vec![result(), failure(19, "constraint")], vec![failure(19, "constraint")]]);
    let (cluster, panics, _) = faulty(&node);
    let pool = Pool::new(cluster, "app", 1);
    {
        let conn = pool.get().unwrap();
        panics.store(true, Ordering::Relaxed);
        catch_unwind(AssertUnwindSafe(|| conn.execute(INSERT, ()))).unwrap_err();
        assert!(!conn.is_alive());
        let error = conn.execute(INSERT, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Dead { .. }), "{error}");
    }
    assert!(pool.get().unwrap().execute(INSERT, ()).unwrap_err().is_constraint());
    assert_eq!(node.seen(), [8, 8]);

    // While rows arrive.
    let node = Node::start(vec![vec![statement(0, 0), Step::Answer(rows(0..1, MORE))]]);
    let (cluster, panics, _) = faulty(&node);
    let conn = cluster.open("app").unwrap();
    let mut statement = conn.prepare("SELECT n").unwrap();
    let mut numbers = statement.query(()).unwrap();
    numbers.next().unwrap().unwrap();
    panics.store(true, Ordering::Relaxed);
    catch_unwind(AssertUnwindSafe(|| numbers.next().map(drop))).unwrap_err();
    drop(numbers);
    assert!(!conn.is_alive());
}

#[test]
fn a_message_too_many_is_no_answer() {
    let twice = [message(6, 0, &words(&[1, 1])), message(6, 0, &words(&[1, 1]))].concat();
    let node = Node::start(vec![vec![Step::Bytes(twice), failure(19, "constraint")]]);
    let conn = node.open();
    conn.execute(INSERT, ()).unwrap();
    let error = conn.execute(INSERT, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dead { .. }), "{error}");
    drop(conn);
    assert_eq!(node.seen(), [8]);
}

#[test]
fn a_write_whose_flush_fails_is_unknown() {
    let node = Node::start(vec![vec![result()]]);
    let (cluster, _, fails) = faulty(&node);
    let conn = cluster.open("app").unwrap();
    fails.store(true, Ordering::Relaxed);
    let error = conn.execute(INSERT, ()).unwrap_err();
    assert!(error.is_unknown() && !conn.is_alive(), "{error}");
    assert_eq!(node.seen(), [8], "the node has got it");

    let node = Node::start(vec![vec![rows(0..1, DONE)].into_iter().map(Step::Answer).collect()]);
    let (cluster, _, fails) = faulty(&node);
    let conn = cluster.open("app").unwrap();
    fails.store(true, Ordering::Relaxed);
    let error = conn.query_one::<i64>("SELECT 1", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
}

#[test]
fn the_outcome_of_a_returning_is_that_of_its_own_call() {
    let sql = "INSERT INTO t SELECT n FROM u RETURNING n";
    // Lost behind the first batch: the write's own call is told, before any row.
    for end in [Step::CloseAfter(rows(0..3, MORE)), Step::Bytes([rows(0..3, MORE), rows(3..5, MORE)].concat())] {
        let node = Node::start(vec![vec![statement(0, 0), end]]);
        let conn = node.open();
        let mut insert = conn.prepare(sql).unwrap();
        let error = insert.query(()).map(drop).unwrap_err();
        assert!(error.is_unknown(), "{error}");
    }
    let failed = message(0, 0, &[words(&[19]), crate::node::text("constraint")].concat());
    let node = Node::start(vec![vec![statement(0, 0), Step::Bytes([rows(0..3, MORE), failed].concat())]]);
    let conn = node.open();
    assert!(conn.prepare(sql).unwrap().query(()).map(drop).unwrap_err().is_constraint());

    // Whole: the rows are read later, and others run meanwhile, without a limit.
    let whole = Step::Bytes([rows(0..300, MORE), rows(300..600, MORE), rows(600..700, DONE)].concat());
    let node = Node::start(vec![vec![statement(0, 0), whole, result()]]);
    let conn = node.open();
    let mut insert = conn.prepare(sql).unwrap();
    let mut numbers = insert.query(()).unwrap();
    assert_eq!(numbers.next_as::<u64>().unwrap(), Some(0));
    conn.execute(INSERT, ()).unwrap();
    let mut count = 1;
    while numbers.next_as::<u64>().unwrap() == Some(count) {
        count += 1;
    }
    assert_eq!(count, 700);
}

#[test]
fn a_session_that_ends_while_others_rows_arrive_has_sent_nothing() {
    let node = Node::start(vec![vec![statement(0, 0), Step::CloseAfter(rows(0..3, MORE))]]);
    let conn = node.open();
    let mut numbers = conn.prepare("SELECT n").unwrap();
    let mut numbers = numbers.query(()).unwrap();
    numbers.next().unwrap().unwrap();
    let error = conn.execute(INSERT, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dead { .. }), "{error}");
    // The rows tell of it where they are missing.
    numbers.next().unwrap().unwrap();
    numbers.next().unwrap().unwrap();
    let error = numbers.next().map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
    assert_eq!(node.seen(), [4, 6]);
}
