//! Closures that use their own connection: refused, with a typed error.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use finalite::{CheckScope, CheckpointMode, DbConfig, Limit};

thread_local! {
    static HERE: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    static REFUSED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Calls what reaches SQLite or registers; each must be refused.
fn try_everything(kind: &'static str) {
    let conn = HERE.with(|here| here.borrow().clone()).expect("the connection of this thread");
    let misuse = |what: &str, result: finalite::Result<()>| {
        let error = result.expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{kind}, {what}: {error}");
    };
    misuse("prepare", conn.prepare("SELECT 1").map(drop));
    misuse("execute", conn.execute("INSERT INTO t VALUES (1)", ()).map(drop));
    misuse("cached", conn.prepare_cached("SELECT a FROM t").and_then(|mut s| s.query_all::<i64>(())).map(drop));
    misuse("transaction", conn.unchecked_transaction().map(drop));
    misuse("scan", conn.scan("SELECT 1", ()).for_each(|_| Ok(())).map(drop));
    misuse("pragma", conn.pragma::<i64>("busy_timeout").map(drop));
    misuse("set_busy_timeout", conn.set_busy_timeout(std::time::Duration::ZERO));
    misuse("create_scalar_function", conn.create_scalar_function("f", || 1).map(drop));
    misuse("remove_function", conn.remove_function("f", None).map(drop));
    misuse("create_collation", conn.create_collation("c", |a: &str, b: &str| a.cmp(b)).map(drop));
    misuse("on_update", conn.on_update(|_| ()).map(drop));
    misuse("on_commit", conn.on_commit(|| ()).map(drop));
    misuse("on_rollback", conn.on_rollback(|| ()).map(drop));
    misuse("on_wal", conn.on_wal(|_| ()).map(drop));
    misuse("on_autovacuum_pages", conn.on_autovacuum_pages(|_| 0).map(drop));
    misuse("on_progress", conn.on_progress(1, || ()).map(drop));
    misuse("on_trace", conn.on_trace(TraceEvents::ALL, |_| ()).map(drop));
    misuse("set_authorizer", conn.set_authorizer(|_| Access::Allow).map(drop));
    misuse("set_busy_handler", conn.set_busy_handler(|_| false).map(drop));
    misuse("set_limit", conn.set_limit(Limit::Column, 10).map(drop));
    misuse("scoped_limit", conn.scoped_limit(Limit::Column, 10).map(drop));
    misuse("db_config", conn.db_config(DbConfig::Defensive).map(drop));
    misuse("set_db_config", conn.set_db_config(DbConfig::Defensive, true).map(drop));
    misuse("checkpoint", conn.checkpoint(CheckpointMode::Passive).map(drop));
    misuse("attach", conn.attach(":memory:", "x").map(drop));
    misuse("detach", conn.detach("x"));
    misuse("data_version", conn.data_version("main").map(drop));
    misuse("set_chunk_size", conn.set_chunk_size("main", 1));
    misuse("vfs_name", conn.vfs_name("main").map(drop));
    misuse("wal_status", conn.wal_status().map(drop));
    misuse("optimize", conn.optimize());
    misuse("quick_check", conn.quick_check(CheckScope::All).map(drop));
    misuse("foreign_key_check", conn.foreign_key_check(None).map(drop));
    let _ = (conn.limit(Limit::Column), conn.transaction_state(None), conn.cache_stats());
    let _ = (conn.changes(), conn.is_autocommit(), conn.path(), conn.memory(), conn.statement_cache_stats());
    REFUSED.with(|refused| refused.borrow_mut().push(kind));
}

#[test]
fn rule_4_no_closure_uses_its_connection_by_a_thread_local() {
    let directory = tempfile::tempdir().unwrap();
    let conn = Connection::open(directory.path().join("app.db")).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = FULL; CREATE TABLE t(a)").unwrap();
    conn.set_pragma("journal_mode", "wal").unwrap();
    let conn = Rc::new(conn);
    let other = Connection::open(directory.path().join("app.db")).unwrap();
    HERE.with(|here| here.replace(Some(Rc::clone(&conn))));
    // A statement that begins, ends, and is in the middle of its rows while another runs.
    conn.execute("INSERT INTO t VALUES (1), (2), (zeroblob(100000))", ()).unwrap();
    let mut reading = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = reading.query(()).unwrap();
    rows.next().unwrap();
    let subscriptions = [
        conn.on_update(|_| try_everything("update")).unwrap(),
        conn.on_commit(|| try_everything("commit")).unwrap(),
        conn.on_rollback(|| try_everything("rollback")).unwrap(),
        conn.on_wal(|_| try_everything("wal")).unwrap(),
        conn.on_autovacuum_pages(|event| {
            try_everything("autovacuum");
            event.free_pages
        })
        .unwrap(),
        conn.on_progress(5, || try_everything("progress")).unwrap(),
        conn.on_trace(TraceEvents::STATEMENT, |_| try_everything("statement")).unwrap(),
        conn.on_trace(TraceEvents::PROFILE, |_| try_everything("profile")).unwrap(),
        conn.on_trace(TraceEvents::ROW, |_| try_everything("row")).unwrap(),
        conn.on_trace(TraceEvents::CLOSE, |_| {
            // The thread-local variable has let go of the connection.
            REFUSED.with(|refused| refused.borrow_mut().push("close"));
        })
        .unwrap(),
        conn.set_authorizer(|_| {
            try_everything("authorizer");
            Access::Allow
        })
        .unwrap(),
        conn.set_busy_handler(|_| {
            try_everything("busy");
            false
        })
        .unwrap(),
    ];
    rows.next().unwrap();
    drop(rows);
    drop(reading);
    conn.execute("DELETE FROM t WHERE a != 1", ()).unwrap();
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (1); ROLLBACK").unwrap();
    conn.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    other.execute_batch("ROLLBACK").unwrap();
    HERE.with(|here| here.take());
    Rc::into_inner(conn).unwrap().close().unwrap();
    drop(subscriptions);
    let mut refused = REFUSED.with(|refused| refused.take());
    refused.sort_unstable();
    refused.dedup();
    let all = [
        "authorizer",
        "autovacuum",
        "busy",
        "close",
        "commit",
        "profile",
        "progress",
        "rollback",
        "row",
        "statement",
        "update",
        "wal",
    ];
    assert_eq!(refused, all);
}

#[test]
fn rule_4_no_closure_uses_its_connection_by_a_captured_lock() {
    let shared = Arc::new(Mutex::new(open()));
    let captured = Arc::downgrade(&shared);
    let (calls, counted) = counter();
    let conn = shared.lock().unwrap();
    let _subscription = conn
        .on_update(move |_| {
            // The lock is held by the call that runs the SQL.
            assert!(captured.upgrade().unwrap().try_lock().is_err());
            bump(&counted);
        })
        .unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(count(&calls), 1);
}

#[test]
fn a_closure_uses_other_connections() {
    let conn = open();
    let other = Mutex::new(open());
    let _subscription = conn
        .on_update(move |update| {
            other.lock().unwrap().execute("INSERT INTO t VALUES (?)", (update.rowid,)).unwrap();
        })
        .unwrap();
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
}
