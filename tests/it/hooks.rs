//! Hooks: subscriptions, what each event tells, refusing, several subscribers.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use finalite::extend::{Access, Action, Operation, Subscription, TraceEvent, TraceEvents};
use finalite::{Connection, ErrorKind, ResultCode};

mod access;
mod endings;
#[cfg(feature = "session")]
mod preupdate;
mod reentry;

/// A connection with `t(a)`.
fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    conn
}

/// A connection to a file in WAL mode with `t(a)`.
fn open_wal(directory: &Path) -> Connection {
    let conn = Connection::open(directory.join("app.db")).unwrap();
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ()).unwrap();
    conn
}

/// A counter, and its share for a closure.
fn counter() -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let counter = Arc::new(AtomicUsize::new(0));
    (Arc::clone(&counter), counter)
}

fn bump(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

/// The text of the panic of a call.
fn panic_of<R>(call: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).err().expect("no panic");
    payload.downcast_ref::<&str>().map_or_else(|| payload.downcast_ref::<String>().unwrap().clone(), |s| (*s).into())
}

/// The updates that a statement reports, as text.
fn updates_of(conn: &Connection, sql: &str) -> Vec<String> {
    let (send, seen) = mpsc::channel();
    let subscription = conn
        .on_update(move |update| {
            let operation = match update.operation {
                Operation::Insert => "+",
                Operation::Delete => "-",
                _ => "=",
            };
            send.send(format!("{operation}{}.{} {}", update.database, update.table, update.rowid)).unwrap();
        })
        .unwrap();
    conn.execute_batch(sql).unwrap();
    drop(subscription);
    seen.iter().collect()
}

#[test]
fn updates_name_the_row_and_what_happened_to_it() {
    let conn = open();
    assert_eq!(updates_of(&conn, "INSERT INTO t VALUES (1), (2)"), ["+main.t 1", "+main.t 2"]);
    assert_eq!(updates_of(&conn, "UPDATE t SET a = 3 WHERE a = 2"), ["=main.t 2"]);
    assert_eq!(updates_of(&conn, "UPDATE t SET rowid = 9 WHERE a = 3"), ["=main.t 9"]);
    assert_eq!(updates_of(&conn, "DELETE FROM t WHERE a = 1"), ["-main.t 1"]);
    let sql = "CREATE TEMP TABLE \"täb le\"(a); INSERT INTO \"täb le\" VALUES (1)";
    assert_eq!(updates_of(&conn, sql), ["+temp.täb le 1"]);
    conn.execute_batch("CREATE TABLE log(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1); END")
        .unwrap();
    assert_eq!(updates_of(&conn, "INSERT INTO t VALUES (5)"), ["+main.t 10", "+main.log 1"]);
}

#[test]
fn updates_that_sqlite_does_not_report() {
    let conn = open();
    conn.execute_batch("CREATE TABLE u(a PRIMARY KEY) WITHOUT ROWID; CREATE TABLE r(id INTEGER PRIMARY KEY, a UNIQUE)")
        .unwrap();
    assert!(updates_of(&conn, "INSERT INTO u VALUES (1)").is_empty());
    conn.execute("INSERT INTO r VALUES (1, 'a'), (2, 'b')", ()).unwrap();
    assert_eq!(updates_of(&conn, "REPLACE INTO r VALUES (3, 'a')"), ["+main.r 3"], "row 1 was deleted, too");
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    assert!(updates_of(&conn, "DELETE FROM t").is_empty());
    // With an authorizer that ignores DELETE, rows are deleted one by one.
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    let _all = conn
        .set_authorizer(
            |request| if matches!(request.action, Action::Delete { .. }) { Access::Ignore } else { Access::Allow },
        )
        .unwrap();
    assert_eq!(updates_of(&conn, "DELETE FROM t"), ["-main.t 1", "-main.t 2"]);
}

#[test]
fn several_closures_are_called_in_order_and_end_alone() {
    let conn = open();
    let (send, seen) = mpsc::channel();
    let subscribe = |name: &'static str| {
        let send = send.clone();
        conn.on_update(move |_| send.send(name).unwrap()).unwrap()
    };
    let (first, second, third) = (subscribe("first"), subscribe("second"), subscribe("third"));
    let insert = || {
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        seen.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(insert(), ["first", "second", "third"]);
    drop(second);
    assert_eq!(insert(), ["first", "third"]);
    let fourth = subscribe("fourth");
    assert_eq!(insert(), ["first", "third", "fourth"]);
    drop((first, third));
    assert_eq!(insert(), ["fourth"]);
    fourth.keep();
    assert_eq!(insert(), ["fourth"]);
}

#[test]
fn a_commit_is_refused_by_any_closure() {
    let mut conn = open();
    let (rollbacks, counted) = counter();
    let _rollback = conn.on_rollback(move || bump(&counted)).unwrap();
    let (commits, counted) = counter();
    let _first = conn.on_commit(move || bump(&counted)).unwrap();
    let limit = conn.on_commit({
        let mut calls = 0;
        move || {
            calls += 1;
            if calls > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    });
    let (later, counted) = counter();
    let _last = conn.on_commit(move || bump(&counted)).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!((count(&commits), count(&later), count(&rollbacks)), (1, 1, 0));
    let error = conn.execute("INSERT INTO t VALUES (2)", ()).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::CONSTRAINT_COMMITHOOK));
    assert_eq!((count(&commits), count(&later), count(&rollbacks)), (2, 1, 1));
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    let error = tx.commit().unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::CONSTRAINT_COMMITHOOK));
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1]);
    // What only reads is not asked.
    let asked = count(&commits);
    conn.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    assert_eq!(count(&commits), asked);
    drop(limit);
    conn.execute("INSERT INTO t VALUES (4)", ()).unwrap();
    assert_eq!(count(&later), 2);
}

#[test]
fn rollbacks_are_told() {
    let mut conn = open();
    let (rollbacks, counted) = counter();
    let _subscription = conn.on_rollback(move || bump(&counted)).unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    drop(tx);
    assert_eq!(count(&rollbacks), 1);
    conn.execute_batch("CREATE TABLE u(a UNIQUE); INSERT INTO u VALUES (1)").unwrap();
    conn.execute("INSERT OR ROLLBACK INTO u VALUES (1)", ()).unwrap_err();
    assert_eq!(count(&rollbacks), 2);
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; ROLLBACK TO s; COMMIT").unwrap();
    assert_eq!(count(&rollbacks), 2);
}

#[test]
fn wal_commits_are_told_and_checkpoints_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let conn = open_wal(directory.path());
    conn.set_pragma("wal_autocheckpoint", 20).unwrap();
    let pages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pages);
    let subscription = conn
        .on_wal(move |commit| {
            assert_eq!(commit.database, "main");
            seen.lock().unwrap().push(commit.pages);
        })
        .unwrap();
    assert_eq!(conn.pragma::<i64>("wal_autocheckpoint").unwrap(), 20);
    for _ in 0..60 {
        conn.execute("INSERT INTO t VALUES (randomblob(100))", ()).unwrap();
    }
    let largest = |pages: &Mutex<Vec<u32>>| pages.lock().unwrap().iter().copied().max().unwrap();
    // After a checkpoint of everything the log begins again.
    assert!((20..30).contains(&largest(&pages)), "{}", largest(&pages));
    // Positive control: without it the log grows.
    conn.set_pragma("wal_autocheckpoint", 0).unwrap();
    assert_eq!(conn.pragma::<i64>("wal_autocheckpoint").unwrap(), 0);
    for _ in 0..60 {
        conn.execute("INSERT INTO t VALUES (randomblob(100))", ()).unwrap();
    }
    assert!(largest(&pages) > 60, "{}", largest(&pages));
    // As SQL, and afterwards by SQLite itself.
    conn.execute_batch("PRAGMA wal_autocheckpoint = 30").unwrap();
    pages.lock().unwrap().clear();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(pages.lock().unwrap().len(), 1, "the closure is still called");
    drop(subscription);
    assert_eq!(conn.query_one::<i64>("PRAGMA wal_autocheckpoint", ()).unwrap(), 30);
    assert_eq!(conn.pragma::<i64>("wal_autocheckpoint").unwrap(), 30);
}

#[test]
fn progress_closures_have_their_own_intervals_and_interrupt() {
    let conn = open();
    let (often, counted) = counter();
    let _often = conn.on_progress(10, move || bump(&counted)).unwrap();
    let (rarely, counted) = counter();
    let _rarely = conn.on_progress(1_000, move || bump(&counted)).unwrap();
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT max(i) FROM n";
    conn.query_one::<i64>(numbers, ()).unwrap();
    let (often, rarely) = (count(&often), count(&rarely));
    assert!(rarely > 0 && (90 * rarely..120 * (rarely + 1)).contains(&often), "{often} {rarely}");
    let stop = conn.on_progress(100, || ControlFlow::Break(())).unwrap();
    assert!(conn.query_one::<i64>(numbers, ()).unwrap_err().is_interrupted());
    drop(stop);
    assert_eq!(conn.query_one::<i64>(numbers, ()).unwrap(), 1_000);
}

#[test]
fn traces_tell_statements_rows_times_and_the_end() {
    let conn = open();
    conn.execute_batch("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END").unwrap();
    let (send, seen) = mpsc::channel();
    let all = send.clone();
    let all = conn
        .on_trace(TraceEvents::ALL, move |event| {
            let line = match event {
                TraceEvent::Statement { text, statement, .. } => {
                    format!("{text} | {}", statement.expanded_sql().unwrap())
                }
                TraceEvent::Row { statement, .. } => format!("row of {}", statement.sql()),
                TraceEvent::Profile { statement, .. } => format!("end of {}", statement.sql()),
                TraceEvent::Close => "close".into(),
                _ => unreachable!(),
            };
            all.send(line).unwrap();
        })
        .unwrap();
    let rows = conn.on_trace(TraceEvents::ROW, move |event| {
        assert!(matches!(event, TraceEvent::Row { .. }));
        send.send("a row".into()).unwrap();
    });
    conn.query_one::<i64>("SELECT ?", (7,)).unwrap();
    let lines = || seen.try_iter().collect::<Vec<_>>();
    assert_eq!(lines(), ["SELECT ? | SELECT 7", "row of SELECT ?", "a row", "end of SELECT ?"]);
    drop(rows);
    conn.execute("INSERT INTO t VALUES (?)", ("x",)).unwrap();
    let insert = "INSERT INTO t VALUES ('x')";
    let lines_of_insert = lines();
    assert_eq!(lines_of_insert[0], format!("INSERT INTO t VALUES (?) | {insert}"));
    assert!(lines_of_insert.iter().any(|line| line.starts_with("-- TRIGGER r")), "{lines_of_insert:?}");
    assert!(
        TraceEvents::ALL.has(TraceEvents::ROW.with(TraceEvents::CLOSE)) && !TraceEvents::ROW.has(TraceEvents::CLOSE)
    );
    conn.close().unwrap();
    assert_eq!(seen.iter().last().unwrap(), "close");
    assert!(!all.is_active());
}

#[test]
fn auto_vacuum_asks_how_many_pages() {
    let directory = tempfile::tempdir().unwrap();
    let conn = Connection::open(directory.path().join("app.db")).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = FULL; CREATE TABLE t(a)").unwrap();
    let pages = || conn.pragma::<i64>("page_count").unwrap();
    let fill = || {
        conn.execute("INSERT INTO t SELECT zeroblob(100000)", ()).unwrap();
        conn.execute("DELETE FROM t", ()).unwrap();
    };
    fill();
    let small = pages();
    let asked = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&asked);
    let none = conn
        .on_autovacuum_pages(move |event| {
            *seen.lock().unwrap() = Some((event.database.to_owned(), event.free_pages, event.page_bytes));
            0
        })
        .unwrap();
    let _all = conn.on_autovacuum_pages(|event| event.free_pages).unwrap();
    fill();
    assert!(pages() > small + 20);
    let (database, free, bytes) = asked.lock().unwrap().take().unwrap();
    assert!(database == "main" && free > 20 && bytes == 4096, "{database} {free} {bytes}");
    drop(none);
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    fill();
    assert!(pages() <= small + 1);
}

/// After `PRAGMA busy_timeout`, finalite asks for the timeout by a pragma of its own and takes the handler's slot back.
#[test]
fn a_pragma_of_finalites_own_that_fails_is_an_error() {
    let conn = open();
    let _handler = conn.set_busy_handler(|_| false).unwrap();
    let stop = conn.on_progress(1, || ControlFlow::<()>::Break(())).unwrap();
    let error = conn.prepare("PRAGMA busy_timeout = 70").unwrap_err();
    assert!(error.is_interrupted(), "{error:?}");
    drop(stop);
    drop(conn.prepare("PRAGMA busy_timeout = 80").unwrap());
    assert_eq!(conn.busy_timeout().unwrap().as_millis(), 80);
}

#[test]
fn a_busy_handler_stands_for_the_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let conn = open_wal(directory.path());
    let other = open_wal(directory.path());
    conn.set_busy_timeout(std::time::Duration::from_millis(1234)).unwrap();
    let (calls, counted) = counter();
    let subscription = conn
        .set_busy_handler(move |earlier| {
            assert_eq!(earlier as usize, count(&counted));
            bump(&counted);
            earlier < 4
        })
        .unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    assert_eq!(count(&calls), 5);
    let timeout = || conn.busy_timeout().unwrap().as_millis();
    assert_eq!(timeout(), 1234);
    // The setting is for afterwards, in each of its forms.
    conn.set_busy_timeout(std::time::Duration::from_millis(100)).unwrap();
    assert_eq!(timeout(), 100);
    conn.execute_batch("PRAGMA busy_timeout = 200").unwrap();
    assert_eq!(timeout(), 200);
    conn.set_pragma("busy_timeout", 50).unwrap();
    assert_eq!(timeout(), 50);
    calls.store(0, Ordering::Relaxed);
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    assert_eq!(count(&calls), 5);
    // One that replaces it, and ends the one before.
    let (later, counted) = counter();
    let replacing = conn
        .set_busy_handler(move |_| {
            bump(&counted);
            false
        })
        .unwrap();
    assert!(!subscription.is_active() && replacing.is_active());
    drop(subscription);
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    assert_eq!((count(&calls), count(&later)), (5, 1));
    drop(replacing);
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    assert_eq!(conn.query_one::<i64>("PRAGMA busy_timeout", ()).unwrap(), 50);
    other.execute_batch("ROLLBACK").unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
}

#[test]
fn rule_5_a_panic_in_each_kind_is_resumed_and_the_others_are_called() {
    let conn = open();
    let insert = || conn.execute("INSERT INTO t VALUES (1)", ());
    let check = |name: &str, bomb: Subscription, other: (Arc<AtomicUsize>, Subscription)| {
        assert_eq!(panic_of(insert), name);
        assert!(count(&other.0) > 0, "{name}");
        drop(bomb);
        drop(other.1);
        insert().unwrap();
    };
    let (calls, counted) = counter();
    let bomb = conn.on_update(|_| panic!("update")).unwrap();
    check("update", bomb, (calls, conn.on_update(move |_| bump(&counted)).unwrap()));
    let (calls, counted) = counter();
    let bomb = conn.on_commit(|| -> () { panic!("commit") }).unwrap();
    check("commit", bomb, (calls, conn.on_rollback(move || bump(&counted)).unwrap()));
    let (calls, counted) = counter();
    let bomb = conn.on_trace(TraceEvents::STATEMENT, |_| panic!("statement")).unwrap();
    check("statement", bomb, (calls, conn.on_trace(TraceEvents::STATEMENT, move |_| bump(&counted)).unwrap()));
    let (calls, counted) = counter();
    let bomb = conn.on_trace(TraceEvents::PROFILE, |_| panic!("profile")).unwrap();
    check("profile", bomb, (calls, conn.on_trace(TraceEvents::PROFILE, move |_| bump(&counted)).unwrap()));
    let (calls, counted) = counter();
    let bomb = conn.on_progress(1, || -> () { panic!("progress") }).unwrap();
    check("progress", bomb, (calls, conn.on_progress(1, move || bump(&counted)).unwrap()));
    let (calls, counted) = counter();
    let bomb = conn.set_authorizer(|_| panic!("authorizer")).unwrap();
    check(
        "authorizer",
        bomb,
        (calls, {
            bump(&counted);
            conn.on_rollback(|| ()).unwrap()
        }),
    );
    // A rollback in Drop: the next call resumes it.
    let rollback = conn.on_rollback(|| panic!("rollback")).unwrap();
    let mut conn = conn;
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    drop(tx);
    assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT 1", ())), "rollback");
    drop(rollback);
    conn.on_trace(TraceEvents::CLOSE, |_| panic!("close")).unwrap().keep();
    conn.close().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let conn = open_wal(directory.path());
    let wal = conn.on_wal(|_| panic!("wal")).unwrap();
    assert_eq!(panic_of(|| conn.execute("INSERT INTO t VALUES (1)", ())), "wal");
    drop(wal);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1, "it was committed");
    let other = open_wal(directory.path());
    let _busy = conn.set_busy_handler(|_| panic!("busy")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(panic_of(|| conn.execute("INSERT INTO t VALUES (1)", ())), "busy");
}
