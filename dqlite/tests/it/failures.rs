//! Errors that a caller gets, and requests that are sent and are not.

use std::time::{Duration, Instant};

use finalite_dqlite::{Cluster, ErrorKind, Lost, RetryPolicy};

use crate::node::{DONE, MORE, Node, Step, empty, failure, message, result, rows, statement, text, words};

/// Types of requests.
const PREPARE: u8 = 4;
const EXEC: u8 = 5;
const QUERY: u8 = 6;
const FINALIZE: u8 = 7;
const EXEC_SQL: u8 = 8;
const QUERY_SQL: u8 = 9;

const NOT_LEADER: u64 = 10250;
const LEADERSHIP_LOST: u64 = 10506;
const INSERT: &str = "INSERT INTO t VALUES (?)";

#[test]
fn a_node_that_is_not_the_leader_has_done_nothing() {
    let node = Node::start(vec![vec![failure(NOT_LEADER, "not leader")]]);
    let conn = node.open();
    let error = conn.execute(INSERT, (1,)).unwrap_err();
    assert!(error.is_not_leader() && error.is_session_over() && !error.is_unknown(), "{error}");
    assert_eq!(error.sql(), Some(INSERT));
    assert!(matches!(conn.execute(INSERT, (1,)).unwrap_err().kind(), ErrorKind::Dead { .. }));
    assert_eq!(node.seen(), [EXEC_SQL]);
}

/// Each way to lose the answer to a write leaves its outcome unknown, and nothing is sent again.
#[test]
fn a_write_without_an_answer_is_unknown() {
    for (step, label) in [
        (failure(LEADERSHIP_LOST, "leadership lost"), "leadership"),
        (Step::Close, "closed"),
        (Step::CloseAfter(message(6, 0, &words(&[1, 1]))[..12].to_vec()), "short"),
        (Step::Stall, "timeout"),
        (Step::Answer(message(99, 0, &words(&[0]))), "type"),
        (Step::Answer(message(8, 0, &words(&[0]))), "other answer"),
        (Step::Answer(vec![0xff; 16]), "noise"),
    ] {
        let node = Node::start(vec![vec![step]]);
        let conn = node.open();
        let error = conn.execute(INSERT, (1,)).unwrap_err();
        assert!(error.is_unknown(), "{label}: {error}");
        assert!(!conn.is_alive(), "{label}");
        drop(conn);
        assert_eq!(node.seen(), [EXEC_SQL], "{label}");
    }
}

#[test]
fn a_read_without_an_answer_has_stored_nothing() {
    for step in [failure(LEADERSHIP_LOST, "leadership lost"), Step::Close, Step::Stall] {
        let node = Node::start(vec![vec![step]]);
        let error = node.open().query_one::<i64>("SELECT 1", ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
        assert_eq!(node.seen(), [QUERY_SQL]);
    }
}

#[test]
fn a_transaction_is_unknown_from_its_commit_on() {
    // BEGIN, INSERT without an answer: nothing was stored.
    let node = Node::start(vec![vec![result(), Step::Close]]);
    let mut conn = node.open();
    let tx = conn.transaction().unwrap();
    let error = tx.execute(INSERT, (1,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { cause: Lost::Closed, .. }), "{error}");
    drop(tx);
    assert_eq!(node.seen(), [EXEC_SQL, EXEC_SQL], "no ROLLBACK on a session that is over");

    // BEGIN, INSERT, COMMIT without an answer.
    let node = Node::start(vec![vec![result(), result(), Step::Close]]);
    let mut conn = node.open();
    let tx = conn.transaction().unwrap();
    tx.execute(INSERT, (1,)).unwrap();
    assert!(tx.commit().unwrap_err().is_unknown());

    // SQLite has failed a statement, and the transaction is still open: a BEGIN fails in it.
    let nested = || failure(1, "cannot start a transaction within a transaction");
    let node = Node::start(vec![vec![result(), failure(19, "constraint"), nested(), Step::Close]]);
    let mut conn = node.open();
    let tx = conn.transaction().unwrap();
    assert!(tx.execute(INSERT, (1,)).unwrap_err().is_constraint());
    let error = tx.execute(INSERT, (2,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
}

#[test]
fn retry_runs_again_what_was_not_stored_and_nothing_else() {
    let policy = RetryPolicy::new(Duration::from_secs(5));
    let insert = |tx: &finalite_dqlite::Transaction<'_>| tx.execute(INSERT, (1,)).map(drop);

    // Another session's lock; then the leader has changed in the middle; then it is done.
    let first = vec![failure(5, "locked"), result(), failure(NOT_LEADER, "not leader")];
    let node = Node::start(vec![first, vec![result(), result(), result()]]);
    node.open().retry(policy, insert).unwrap();
    assert_eq!(node.seen().len(), 3 + 3);

    // COMMIT is sent once, whatever is answered.
    for step in [failure(NOT_LEADER, "not leader"), failure(LEADERSHIP_LOST, "lost"), failure(5, "locked"), Step::Close]
    {
        // A session follows on which a repetition would succeed.
        let is_rolled_back = matches!(&step, Step::Answer(bytes) if bytes[8] == 5 && bytes[9] == 0);
        let node = Node::start(vec![vec![result(), result(), step, result()], vec![result(), result(), result()]]);
        let error = node.open().retry(policy, insert).unwrap_err();
        assert_eq!(node.seen(), vec![EXEC_SQL; if is_rolled_back { 4 } else { 3 }], "{error}");
        assert!(error.is_not_leader() || error.is_unknown() || error.is_busy(), "{error}");
    }
    // The control: that session does let a repetition succeed.
    let node = Node::start(vec![vec![failure(NOT_LEADER, "not leader")], vec![result(), result(), result()]]);
    node.open().retry(policy, insert).unwrap();
    assert_eq!(node.seen(), [EXEC_SQL; 4]);
    // Nor is a connection that was lost: the statement may be what has ended the node.
    let node = Node::start(vec![vec![result(), Step::Close], vec![]]);
    let error = node.open().retry(policy, insert).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
    assert_eq!(node.seen(), [EXEC_SQL, EXEC_SQL]);

    // An error of the closure's own, after a lock that it has handled.
    let node = Node::start(vec![vec![result(), failure(5, "locked"), result(), result()]]);
    let error = node.open().retry(policy, |tx| {
        insert(tx).unwrap_err();
        insert(tx)?;
        Err::<(), _>(tx.execute("VACUUM", ()).unwrap_err())
    });
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Refused { .. }));
    assert_eq!(node.seen().len(), 4);
}

#[test]
fn rows_fail_where_the_node_fails() {
    let query = |step: Step| {
        let node = Node::start(vec![vec![statement(0, 0), step]]);
        let conn = node.open();
        let mut statement = conn.prepare("SELECT n").unwrap();
        let mut rows = statement.query(()).unwrap();
        let mut read = 0;
        let error = loop {
            match rows.next() {
                Ok(Some(row)) => assert_eq!(row.get::<u64>("N").unwrap(), read),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            read += 1;
        };
        // There are no rows after an error.
        assert!(rows.next().unwrap().is_none());
        drop(rows);
        let is_alive = conn.is_alive();
        (read, error, is_alive)
    };
    let batches = |end: Vec<u8>| Step::Bytes([rows(0..3, MORE), rows(3..5, MORE), end].concat());
    let (read, error, is_alive) = query(batches(rows(5..6, DONE)));
    assert!(read == 6 && error.is_none() && is_alive);
    let (read, error, is_alive) = query(batches(message(0, 0, &[words(&[9]), text("interrupted")].concat())));
    assert!(read == 5 && is_alive);
    assert_eq!(error.unwrap().code(), Some(finalite::ResultCode::INTERRUPT));
    for end in [vec![], rows(5..6, DONE)[..20].to_vec(), message(7, 0, &words(&[1])), message(6, 0, &words(&[0, 0]))] {
        let (read, error, is_alive) = query(batches(end));
        let error = error.unwrap();
        assert!(read == 5 && !is_alive, "{error}");
        assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
    }
    let (read, error, is_alive) = query(Step::CloseAfter(rows(0..3, MORE)));
    assert!(read == 3 && !is_alive && error.is_some());
}

#[test]
fn a_statement_that_is_dropped_while_rows_arrive_is_finalized_behind_them() {
    let many = Step::Bytes([rows(0..300, MORE), rows(300..400, DONE)].concat());
    let node = Node::start(vec![vec![statement(0, 0), statement(1, 0), many, empty(), result(), empty()]]);
    let conn = node.open();
    let mut first = conn.prepare("SELECT n").unwrap();
    let second = conn.prepare("SELECT 2").unwrap();
    let mut numbers = first.query(()).unwrap();
    assert_eq!(numbers.next_as::<u64>().unwrap(), Some(0));
    drop(second);
    conn.execute("DELETE FROM t", ()).unwrap();
    assert_eq!(numbers.next_as::<u64>().unwrap(), Some(1));
    let mut count = 2;
    while let Some(number) = numbers.next_as::<u64>().unwrap() {
        assert_eq!(number, count);
        count += 1;
    }
    assert_eq!(count, 400);
    drop(numbers);
    drop(first);
    assert_eq!(conn.live_statements(), 0);
    drop(conn);
    assert_eq!(node.seen(), [PREPARE, PREPARE, QUERY, FINALIZE, EXEC_SQL, FINALIZE]);
}

#[test]
fn nothing_is_finalized_on_a_session_that_is_over() {
    let node = Node::start(vec![vec![statement(0, 1), Step::Close]]);
    let conn = node.open();
    let mut insert = conn.prepare(INSERT).unwrap();
    assert!(insert.execute((1,)).unwrap_err().is_unknown());
    insert.finalize().unwrap();
    drop(conn);
    assert_eq!(node.seen(), [PREPARE, EXEC]);
}

#[test]
fn a_request_that_is_refused_is_not_sent() {
    let node = Node::start(vec![vec![result()]]);
    let conn = node.open();
    conn.execute("VACUUM", ()).unwrap_err();
    conn.execute(INSERT, ("a\0b",)).unwrap_err();
    conn.execute(INSERT, (1, 2)).unwrap_err();
    conn.execute("INSERT INTO t VALUES (1) RETURNING a", ()).unwrap_err();
    conn.query_one::<i64>("INSERT INTO t VALUES (1)", ()).unwrap_err();
    conn.execute(INSERT, (1,)).unwrap();
    drop(conn);
    assert_eq!(node.seen(), [EXEC_SQL]);
}

#[test]
fn values_are_in_no_error() {
    let secret = "secret-7f3a";
    let node = Node::start(vec![vec![Step::Answer(rows(0..1, DONE)), failure(1, "no such table: t")]]);
    let conn = node.open();
    let errors = [
        conn.query_one::<String>("SELECT ?", (secret,)).unwrap_err(),
        conn.execute(INSERT, (secret,)).unwrap_err(),
        conn.execute(INSERT, (format!("{secret}\0"),)).unwrap_err(),
        conn.execute(INSERT, (secret, 1)).unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

#[test]
fn a_search_without_a_leader_ends_in_time() {
    // Nobody listens; somebody listens and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = [gone.to_string(), silent.local_addr().unwrap().to_string()];
    let cluster = Cluster::builder(addresses)
        .connect_timeout(Duration::from_millis(100))
        .leader_timeout(Duration::from_millis(400))
        .build();
    let began = Instant::now();
    let error = cluster.open("app").unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3));
    let ErrorKind::NoLeader { tried, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(tried.len(), 2, "{error}");
}

#[test]
fn a_function_dials() {
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let node = Node::start(vec![vec![result()]]);
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = dialled.clone();
    let cluster = Cluster::builder([&node.address])
        .dial(move |address, timeout| {
            count.fetch_add(1, Ordering::Relaxed);
            assert!(!timeout.is_zero());
            Ok(Box::new(TcpStream::connect(address)?))
        })
        .build();
    cluster.open("app").unwrap().execute(INSERT, (1,)).unwrap();
    assert_eq!(dialled.load(Ordering::Relaxed), 1);

    let refused = Cluster::builder(["somewhere"])
        .dial(|_, _| Err(std::io::Error::other("no certificate")))
        .leader_timeout(Duration::from_millis(50))
        .build();
    assert!(refused.open("app").unwrap_err().to_string().contains("no certificate"));
}
