//! Transactions of which SQLite, the node or the driver has ended one in the middle.

use std::time::Duration;

use finalite_dqlite::{ErrorKind, RetryPolicy, Transaction};

use crate::node::{DONE, MORE, Node, Step, failure, result, rows, statement};

const INSERT: &str = "INSERT INTO t VALUES (1)";

/// `BEGIN` within a transaction.
fn nested() -> Step {
    failure(1, "cannot start a transaction within a transaction")
}

#[test]
fn a_rollback_that_is_not_sent_ends_the_session() {
    let many = || Step::Bytes([rows(0..3000, MORE), rows(0..3000, MORE), rows(0..3000, DONE)].concat());
    let node = Node::start(vec![vec![result(), statement(0, 0), many()]]);
    let cluster = finalite_dqlite::Cluster::builder([&node.address]).keep_bytes_max(1000).build();
    let mut conn = cluster.open("app").unwrap();
    let tx = conn.transaction().unwrap();
    let mut select = tx.prepare("SELECT n").unwrap();
    let mut numbers = select.query(()).unwrap();
    numbers.next().unwrap().unwrap();
    let error = tx.rollback().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Streaming { .. }), "{error}");
    drop(numbers);
    drop(select);
    assert!(!conn.is_alive());
    // It would be stored in a transaction that nobody commits.
    let error = conn.execute(INSERT, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dead { .. }), "{error}");
    assert_eq!(node.seen(), [8, 4, 6]);
}

#[test]
fn a_rollback_that_fails_ends_the_session() {
    for code in [1, 5, 10] {
        let node = Node::start(vec![vec![result(), failure(code, "failed"), result()]]);
        let mut conn = node.open();
        conn.transaction().unwrap().rollback().unwrap_err();
        assert!(!conn.is_alive());
        conn.execute(INSERT, ()).unwrap_err();
        drop(conn);
        assert_eq!(node.seen(), [8, 8], "{code}");
    }
    // Where SQLite may have rolled back by itself, one that is not there is no error.
    let node = Node::start(vec![vec![result(), failure(19, "constraint"), failure(1, "no transaction"), result()]]);
    let mut conn = node.open();
    let tx = conn.transaction().unwrap();
    tx.execute(INSERT, ()).unwrap_err();
    tx.rollback().unwrap();
    conn.execute(INSERT, ()).unwrap();
}

#[test]
fn a_failure_leaves_a_transaction_open_or_ends_it() {
    // It is open: BEGIN fails in it. It goes on, and is committed.
    let script = vec![result(), failure(19, "constraint"), nested(), result(), result(), result()];
    let node = Node::start(vec![script]);
    let mut conn = node.open();
    let tx = conn.transaction().unwrap();
    tx.execute(INSERT, ()).unwrap_err();
    tx.execute(INSERT, ()).unwrap();
    tx.execute("SAVEPOINT a", ()).unwrap();
    tx.commit().unwrap();
    drop(conn);
    assert_eq!(node.seen(), [8; 6]);

    // SQLite has rolled back: BEGIN succeeds, and is rolled back. Nothing else of the transaction is sent.
    for is_committed in [false, true] {
        let script = vec![result(), failure(19, "constraint"), result(), result(), result()];
        let node = Node::start(vec![script]);
        let mut conn = node.open();
        let tx = conn.transaction().unwrap();
        tx.execute(INSERT, ()).unwrap_err();
        for sql in [INSERT, "SAVEPOINT a"] {
            let error = tx.execute(sql, ()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
        }
        let error = tx.query_one::<i64>("SELECT 1", ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
        if is_committed {
            let error = tx.commit().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
        } else {
            tx.rollback().unwrap();
        }
        assert!(conn.is_alive());
        conn.execute(INSERT, ()).unwrap();
        drop(conn);
        assert_eq!(node.seen(), [8; 5]);
    }
}

#[test]
fn retry_runs_nothing_again_after_a_rollback_of_sqlites_own() {
    let policy = RetryPolicy::new(Duration::from_secs(5));
    let mut runs = 0;
    let work = |tx: &Transaction<'_>| {
        runs += 1;
        let _ = tx.execute("INSERT OR ROLLBACK INTO u VALUES (1)", ());
        tx.execute("INSERT INTO log VALUES (1)", ())?;
        tx.execute("UPDATE t SET a = 1", ())
    };
    // BEGIN, the failure, BEGIN and ROLLBACK to find out; then what would be sent if it went on.
    let script = vec![result(), failure(19, "constraint"), result(), result(), failure(5, "locked"), result()];
    let node = Node::start(vec![script]);
    let error = node.open().retry(policy, work).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
    assert_eq!(runs, 1);
    assert_eq!(node.seen(), [8; 4]);
}

#[test]
fn a_savepoint_is_never_prepared_and_runs_within_a_transaction() {
    let node = Node::start(vec![vec![result(), result(), result()]]);
    let mut conn = node.open();
    let words = ["SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "BEGIN", "COMMIT", "END", "ROLLBACK"];
    for sql in words {
        assert!(matches!(conn.execute(sql, ()).unwrap_err().kind(), ErrorKind::Refused { .. }), "{sql}");
        assert!(matches!(conn.prepare(sql).unwrap_err().kind(), ErrorKind::Refused { .. }), "{sql}");
    }
    let tx = conn.transaction().unwrap();
    for sql in words {
        assert!(matches!(tx.prepare(sql).unwrap_err().kind(), ErrorKind::Refused { .. }), "{sql}");
    }
    tx.execute("SAVEPOINT a", ()).unwrap();
    tx.commit().unwrap();
    conn.execute("SAVEPOINT a", ()).unwrap_err();
    drop(conn);
    assert_eq!(node.seen(), [8; 3]);
}

#[test]
fn a_failure_to_store_is_unknown() {
    // IOERR, IOERR_WRITE, FULL, NOMEM, ABORT, CORRUPT, one that SQLite has not, ROW.
    for code in [10, 778, 13, 7, 4, 11, 77, 100] {
        let node = Node::start(vec![vec![failure(code, "failed")]]);
        let conn = node.open();
        let error = conn.execute(INSERT, ()).unwrap_err();
        assert!(error.is_unknown() && !conn.is_alive(), "{code}: {error}");

        let node = Node::start(vec![vec![result(), failure(code, "failed"), result()]]);
        let mut conn = node.open();
        let error = conn.transaction().unwrap().commit().unwrap_err();
        assert!(error.is_unknown() && !conn.is_alive(), "{code}: {error}");
        drop(conn);
        assert_eq!(node.seen(), [8, 8], "no ROLLBACK");

        // Within a transaction nothing is stored, nor by a read.
        let node = Node::start(vec![vec![result(), failure(code, "failed"), result(), failure(code, "failed")]]);
        let mut conn = node.open();
        let tx = conn.transaction().unwrap();
        let error = tx.execute(INSERT, ()).unwrap_err();
        assert!(!error.is_unknown() && error.code().is_some(), "{error}");
        tx.rollback().unwrap();
        assert!(!conn.query_one::<i64>("SELECT 1", ()).unwrap_err().is_unknown());
        assert!(conn.is_alive());
    }
    // What SQLite refuses before that is not.
    for code in [1, 5, 8, 19, 1555] {
        let node = Node::start(vec![vec![failure(code, "failed")]]);
        let conn = node.open();
        assert!(!conn.execute(INSERT, ()).unwrap_err().is_unknown());
        assert!(conn.is_alive(), "{code}");
    }
}

#[test]
fn a_trigger_is_prepared_and_what_follows_a_statement_is_refused() {
    let trigger = "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; END";
    let tail = |at: u64| Step::Answer(crate::node::message(5, 1, &crate::node::words(&[0, 0, at])));
    let script = vec![statement(0, 0), result(), crate::node::empty(), tail(8), crate::node::empty(), tail(9)];
    let node = Node::start(vec![script]);
    let conn = node.open();
    conn.execute(trigger, ()).unwrap();
    // A node that finds another end than the client does.
    let error = conn.prepare("SELECT 1, 2 -- a").map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
    assert_eq!(conn.live_statements(), 0);
    conn.prepare("SELECT 1; -- a").unwrap();
    drop(conn);
    assert_eq!(node.seen(), [4, 5, 7, 4, 7, 4, 7]);
}
