//! Deadlines and limits: what they stop, what they leave alone, what is left behind.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::extend::{FunctionOptions, QueryLimits};
use finalite::pool::{DestroyReason, Pool};
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, ExceededLimit, workspace};

use crate::common::library;

/// Never ends.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
const ENDLESS_ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
const SOON: Duration = Duration::from_millis(3);
const LATE: Duration = Duration::from_secs(3600);

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    conn
}

fn open_file(directory: &Path) -> Connection {
    let conn = Connection::open(directory.join("app.db")).unwrap();
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ()).unwrap();
    conn
}

fn assert_deadline(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Deadline { .. }), "{error}");
    assert!(error.is_deadline() && !error.is_interrupted() && !error.is_busy());
    assert!(error.to_string().starts_with("not done within "), "{error}");
}

#[test]
fn a_deadline_stops_a_statement_and_then_refuses_others() {
    let conn = open();
    let deadline = conn.deadline(SOON).unwrap();
    let error = conn.query_one::<i64>(ENDLESS, ()).unwrap_err();
    assert_deadline(&error);
    assert_eq!(error.sql(), Some(ENDLESS));
    assert_eq!(deadline.remaining(), Duration::ZERO);
    assert_deadline(&conn.query_one::<i64>("SELECT 1", ()).unwrap_err());
    assert_deadline(&conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err());
    assert_deadline(&conn.scan("SELECT 1", ()).for_each(|_| Ok(())).unwrap_err());
    assert_deadline(&conn.execute_batch("SELECT 1").unwrap_err());
    drop(deadline);
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn a_deadline_in_the_future_changes_nothing() {
    let mut conn = open();
    let deadline = conn.deadline(LATE).unwrap();
    for n in 0..100 {
        conn.execute("INSERT INTO t VALUES (?)", (n,)).unwrap();
    }
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), (0..100).collect::<Vec<_>>());
    let tx = conn.transaction().unwrap();
    let of_transaction = tx.deadline(LATE).unwrap();
    tx.execute("DELETE FROM t WHERE a > 10", ()).unwrap();
    tx.commit().unwrap();
    assert!(of_transaction.remaining() <= deadline.remaining() + LATE && deadline.remaining() > LATE / 2);
    let all = conn.scan("SELECT a FROM t", ()).columns().unwrap();
    assert_eq!(all.len(), 11);
    let _never = conn.deadline(Duration::MAX).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 11);
}

#[test]
fn rows_end_at_the_deadline_also_between_two_of_them() {
    let conn = open();
    let mut statement = conn.prepare(ENDLESS_ROWS).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    // Begun before the deadline is set.
    let deadline = conn.deadline(SOON).unwrap();
    let error = loop {
        match rows.next() {
            Ok(row) => assert!(row.is_some()),
            Err(error) => break error,
        }
    };
    assert_deadline(&error);
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    drop(deadline);
    let _deadline = conn.deadline(SOON).unwrap();
    let mut rows = statement.query(()).unwrap();
    // On a busy machine, the deadline may be over by now.
    let first = rows.next().map(|_| ());
    // The caller is slow.
    std::thread::sleep(SOON);
    assert_deadline(&first.and_then(|()| rows.next().map(|_| ())).unwrap_err());
}

#[test]
fn the_earliest_deadline_counts_and_each_ends_by_itself() {
    let conn = open();
    let long = conn.deadline(LATE).unwrap();
    let short = conn.deadline(SOON).unwrap();
    assert_deadline(&conn.query_one::<i64>(ENDLESS, ()).unwrap_err());
    drop(short);
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    let short = conn.deadline(SOON).unwrap();
    drop(long);
    assert_deadline(&conn.query_one::<i64>(ENDLESS, ()).unwrap_err());
    // On another thread.
    std::thread::spawn(move || drop(short)).join().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn a_wait_for_a_lock_ends_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let (conn, other) = (open_file(directory.path()), open_file(directory.path()));
    conn.set_busy_timeout(LATE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let deadline = conn.deadline(Duration::from_millis(20)).unwrap();
    // With the busy timeout alone this would take an hour.
    assert_deadline(&conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err());
    assert_eq!(conn.busy_timeout().unwrap(), LATE, "read while the deadline has passed");
    drop(deadline);
    assert_eq!(conn.query_one::<i64>("PRAGMA busy_timeout", ()).unwrap(), 3_600_000);
    // The timeout applies within the deadline.
    conn.set_busy_timeout(Duration::from_millis(10)).unwrap();
    let deadline = conn.deadline(LATE).unwrap();
    let error = conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    assert!(error.is_busy() && !error.is_deadline(), "{error}");
    // Set as SQL, too, and restored.
    conn.execute_batch("PRAGMA busy_timeout = 7").unwrap();
    assert_eq!(conn.busy_timeout().unwrap(), Duration::from_millis(7));
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    drop(deadline);
    assert_eq!(conn.query_one::<i64>("PRAGMA busy_timeout", ()).unwrap(), 7);
    // A closure beside the deadline.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let _busy = conn
        .set_busy_handler(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            true
        })
        .unwrap();
    let deadline = conn.deadline(Duration::from_millis(20)).unwrap();
    assert_deadline(&conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err());
    assert!(calls.load(Ordering::Relaxed) > 0);
    drop(deadline);
    other.execute_batch("COMMIT").unwrap();
    let _deadline = conn.deadline(LATE).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
}

#[test]
fn a_wait_within_the_deadline_gets_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let (conn, other) = (open_file(directory.path()), open_file(directory.path()));
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        other.execute_batch("COMMIT").unwrap();
    });
    let _deadline = conn.deadline(LATE).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    holder.join().unwrap();
}

#[test]
fn a_transaction_is_rolled_back_after_its_deadline() {
    let mut conn = open();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let deadline = tx.deadline(SOON).unwrap();
    assert_deadline(&tx.query_one::<i64>(ENDLESS, ()).unwrap_err());
    // A read that was stopped has not ended it.
    assert!(!tx.is_autocommit());
    assert_deadline(&tx.commit().unwrap_err());
    assert!(conn.is_autocommit());
    drop(deadline);
    // Dropped, rolled back explicitly, by SQL, with savepoints.
    for end in 0..4 {
        assert!(conn.is_autocommit(), "{end}");
        let mut tx = conn.transaction().unwrap();
        let deadline = tx.deadline(SOON).unwrap();
        tx.query_one::<i64>(ENDLESS, ()).unwrap_err();
        match end {
            // A case for each way to end.
            0 => drop(tx),
            1 => tx.rollback().unwrap(),
            2 => _ = tx.execute("ROLLBACK", ()).unwrap(),
            _ => {
                drop(deadline);
                let savepoint = tx.savepoint().unwrap();
                savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
                let _deadline = savepoint.deadline(SOON).unwrap();
                savepoint.query_one::<i64>(ENDLESS, ()).unwrap_err();
                savepoint.rollback().unwrap();
                tx.rollback().unwrap();
            }
        }
    }
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn a_write_that_is_stopped_may_end_its_transaction() {
    let mut conn = open();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let deadline = tx.deadline(SOON).unwrap();
    assert_deadline(&tx.execute(&format!("INSERT INTO t {ENDLESS_ROWS}"), ()).unwrap_err());
    drop(deadline);
    let error = tx.execute("INSERT INTO t VALUES (3)", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
    drop(tx);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn what_is_committed_returns_no_deadline() {
    // SQLite calls the progress handler when a statement has ended, too: 1,000 instructions are some 100 inserts.
    for _ in 0..20 {
        let conn = open();
        let mut done = 0;
        {
            let mut other = conn.prepare("VALUES (1), (2), (3)").unwrap();
            let mut rows = other.query(()).unwrap();
            rows.next().unwrap();
            let deadline = conn.deadline(SOON).unwrap();
            loop {
                match conn.execute("INSERT INTO t VALUES (1)", ()) {
                    Ok(_) => done += 1,
                    Err(error) => break assert_deadline(&error),
                }
            }
            drop(deadline);
        }
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), done);
    }
}

#[test]
fn a_function_that_reads_is_stopped() {
    let conn = open();
    conn.create_scalar_function_with("reads", FunctionOptions::new().arguments(0), |call| {
        Ok(call.connection().query_one::<i64>(ENDLESS, ())?)
    })
    .unwrap();
    let _deadline = conn.deadline(SOON).unwrap();
    let error = conn.query_one::<i64>("SELECT reads()", ()).unwrap_err();
    let ErrorKind::Function { error, .. } = error.kind() else { panic!("{error}") };
    assert_deadline(error.downcast_ref::<Error>().unwrap());
}

#[test]
fn deadlines_interrupts_and_progress_closures_are_told_apart() {
    let conn = open();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let counting = conn.on_progress(100, move || _ = counted.fetch_add(1, Ordering::Relaxed)).unwrap();
    let deadline = conn.deadline(SOON).unwrap();
    assert_deadline(&conn.query_one::<i64>(ENDLESS, ()).unwrap_err());
    drop(deadline);
    let _deadline = conn.deadline(LATE).unwrap();
    calls.store(0, Ordering::Relaxed);
    conn.query_all::<i64>(&format!("{ENDLESS_ROWS} LIMIT 1000"), ()).unwrap();
    assert!(calls.load(Ordering::Relaxed) > 10);
    let stop = conn.on_progress(10, || ControlFlow::Break(())).unwrap();
    assert!(conn.query_one::<i64>(ENDLESS, ()).unwrap_err().is_interrupted());
    drop(stop);
    drop(counting);
    let handle = conn.interrupt_handle();
    let mut statement = conn.prepare(ENDLESS_ROWS).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    handle.interrupt();
    let error = std::iter::repeat_with(|| rows.next().map(|_| ())).find_map(Result::err).unwrap();
    assert!(error.is_interrupted(), "{error}");
}

#[test]
fn limits_are_for_each_execution() {
    let conn = open();
    let rows = |n: u64| format!("{ENDLESS_ROWS} LIMIT {n}");
    let limits = conn.limit_queries(QueryLimits::new().rows(10)).unwrap();
    for _ in 0..3 {
        assert_eq!(conn.query_all::<i64>(&rows(10), ()).unwrap().len(), 10);
        let error = conn.query_all::<i64>(&rows(11), ()).unwrap_err();
        let ErrorKind::QueryLimit { exceeded, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(*exceeded, ExceededLimit::Rows(10));
        assert!(error.to_string().starts_with("the statement returns more rows than it may: 10"), "{error}");
    }
    // Read one by one: ten rows are read before the error.
    let mut statement = conn.prepare(ENDLESS_ROWS).unwrap();
    let mut read = statement.query(()).unwrap();
    for n in 1..=10 {
        assert_eq!(read.next().unwrap().unwrap().get::<i64>(0).unwrap(), n);
    }
    assert!(matches!(read.next().map(|_| ()).unwrap_err().kind(), ErrorKind::QueryLimit { .. }));
    assert!(read.next().unwrap().is_none());
    drop(read);
    let mut read = statement.query(()).unwrap();
    read.next().unwrap();
    drop(limits);
    // An execution that was limited goes on without.
    for _ in 0..20 {
        assert!(read.next().unwrap().is_some());
    }
    drop(read);
    assert_eq!(conn.query_all::<i64>(&rows(11), ()).unwrap().len(), 11);
}

#[test]
fn a_limit_on_no_rows_refuses_the_first() {
    let conn = open();
    let _limits = conn.limit_queries(QueryLimits::new().rows(0)).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert!(matches!(conn.query_one::<i64>("SELECT 1", ()).unwrap_err().kind(), ErrorKind::QueryLimit { .. }));
    assert!(conn.query_optional::<i64>("SELECT a FROM t WHERE a = 2", ()).unwrap().is_none());
}

/// An error would hide that the rows are stored.
#[test]
fn rows_of_a_write_are_not_limited() {
    let conn = open();
    let _limits = conn.limit_queries(QueryLimits::new().rows(1)).unwrap();
    let insert = "INSERT INTO t VALUES (1), (2), (3) RETURNING a";
    assert_eq!(conn.query_all::<i64>(insert, ()).unwrap(), [1, 2, 3]);
    assert_eq!(conn.execute(insert, ()).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 6);
    let error = conn.query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::QueryLimit { .. }), "the control: {error}");
}

#[test]
fn steps_are_limited_within_the_interval() {
    let conn = open();
    let steps_of = |sql: &str| {
        let mut statement = conn.prepare(sql).unwrap();
        statement.query_all::<i64>(()).unwrap();
        u64::try_from(statement.counters().vm_steps).unwrap()
    };
    let sql = |n: u64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {n}) SELECT max(i) FROM n")
    };
    for most in [100, 1_000, 20_000, 300_000] {
        let _limits = conn.limit_queries(QueryLimits::new().steps(most)).unwrap();
        // The longest that passes, by bisection.
        let (mut passes, mut fails) = (0_u64, most);
        while fails - passes > 1 {
            let middle = passes.midpoint(fails);
            match conn.prepare(&sql(middle)).unwrap().query_one::<i64>(()) {
                Ok(_) => passes = middle,
                Err(error) => {
                    let expected = ExceededLimit::Steps(most);
                    assert!(matches!(error.kind(), ErrorKind::QueryLimit { exceeded, .. } if *exceeded == expected));
                    fails = middle;
                }
            }
        }
        drop(_limits);
        let steps = steps_of(&sql(passes));
        assert!((most.saturating_sub(20)..most + 2_000).contains(&steps), "{most}: {steps}");
    }
    // Executions do not add up.
    let _limits = conn.limit_queries(QueryLimits::new().steps(5_000)).unwrap();
    for _ in 0..50 {
        conn.query_one::<i64>(&sql(200), ()).unwrap();
    }
}

#[test]
fn the_time_of_each_execution_is_limited() {
    let conn = open();
    let _limits = conn.limit_queries(QueryLimits::new().time(SOON)).unwrap();
    for _ in 0..2 {
        assert_deadline(&conn.query_one::<i64>(ENDLESS, ()).unwrap_err());
        // Each has its own time.
        assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    }
    let mut statement = conn.prepare(ENDLESS_ROWS).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::thread::sleep(SOON);
    // One that has just begun is not that late one.
    assert_eq!(conn.query_one::<i64>("SELECT 2", ()).unwrap(), 2);
    assert_deadline(&rows.next().map(|_| ()).unwrap_err());
}

#[test]
fn pages_are_read_by_sqlite_while_a_limit_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let conn = open_file(directory.path());
    conn.execute(&format!("INSERT INTO t {ENDLESS_ROWS} LIMIT 20000"), ()).unwrap();
    let read = |conn: &Connection| {
        let mut rows = 0_u64;
        let mut strategy = None;
        let result = conn
            .scan("SELECT a FROM t", ())
            .strategy(ScanStrategy::Pages)
            .on_end(|plan| strategy = Some(plan.strategy))
            .for_each(|_| {
                rows += 1;
                Ok(())
            });
        (result.map(|_| rows), strategy)
    };
    // The control.
    let unlimited = Some(if library::reads_pages() { ScanStrategy::Pages } else { ScanStrategy::Statement });
    assert_eq!(read(&conn).1, unlimited);
    let limits = conn.limit_queries(QueryLimits::new().rows(100)).unwrap();
    assert!(matches!(read(&conn).0.unwrap_err().kind(), ErrorKind::QueryLimit { .. }));
    drop(limits);
    let deadline = conn.deadline(LATE).unwrap();
    let (rows, strategy) = read(&conn);
    assert_eq!((rows.unwrap(), strategy), (20_000, Some(ScanStrategy::Statement)));
    drop(deadline);
    assert_eq!(read(&conn).1, unlimited);
}

#[test]
fn guards_outlive_connections_and_are_refused_within_callbacks() {
    let conn = open();
    let deadline = conn.deadline(SOON).unwrap();
    conn.close().unwrap();
    drop(deadline);
    let shared = Arc::new(std::sync::Mutex::new(()));
    let conn = std::rc::Rc::new(open());
    thread_local! {
        static HERE: std::cell::RefCell<Option<std::rc::Rc<Connection>>> = const { std::cell::RefCell::new(None) };
    }
    HERE.with(|here| here.replace(Some(std::rc::Rc::clone(&conn))));
    let tried = Arc::clone(&shared);
    let _subscription = conn
        .on_update(move |_| {
            let _tried = &tried;
            let conn = HERE.with(|here| here.borrow().clone()).unwrap();
            let misuse = |error: Error| assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            misuse(conn.deadline(LATE).unwrap_err());
            misuse(conn.limit_queries(QueryLimits::new()).unwrap_err());
        })
        .unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    HERE.with(|here| here.take());
}

#[test]
fn a_pool_lends_no_connection_with_a_deadline() {
    let pool = Pool::in_memory("deadlines").readers(1).build().unwrap();
    let conn = pool.reader().unwrap();
    let over = conn.deadline(LATE).unwrap();
    drop(over);
    drop(conn);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 0);
    let conn = pool.reader().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    let deadline = conn.deadline(SOON).unwrap();
    conn.query_one::<i64>(ENDLESS, ()).unwrap_err();
    drop(conn);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 1);
    assert_eq!(pool.reader().unwrap().query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    drop(deadline);
}

#[test]
fn a_write_with_retries_gives_up_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Pool::builder(directory.path().join("app.db")).build().unwrap();
    pool.writer().unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let error = pool
        .write(|tx| {
            let _deadline = tx.deadline(SOON)?;
            tx.query_one::<i64>(ENDLESS, ())
        })
        .unwrap_err();
    assert_deadline(&error);
    pool.write(|tx| tx.execute("INSERT INTO t VALUES (1)", ())).unwrap();
}

/// As `finalite-tokio` cancels a call.
#[test]
fn a_flag_ends_what_runs_and_nothing_begins_but_a_rollback() {
    let mut conn = open();
    let flag = Arc::new(AtomicBool::new(false));
    let supervision = workspace::supervise(&conn, Arc::clone(&flag), None).unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let setting = {
        let flag = Arc::clone(&flag);
        thread::spawn(move || {
            thread::sleep(SOON);
            flag.store(true, Ordering::Relaxed);
        })
    };
    assert!(tx.query_one::<i64>(ENDLESS, ()).unwrap_err().is_interrupted());
    setting.join().unwrap();
    // An interrupt would be forgotten here.
    assert!(tx.query_one::<i64>("SELECT 1", ()).unwrap_err().is_interrupted());
    assert!(tx.commit().unwrap_err().is_interrupted());
    assert!(conn.is_autocommit());
    drop(supervision);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn a_flag_ends_a_wait_for_a_lock_and_rows_between_steps() {
    let directory = tempfile::tempdir().unwrap();
    let conn = open_file(directory.path());
    let flag = Arc::new(AtomicBool::new(false));
    let _supervision = workspace::supervise(&conn, Arc::clone(&flag), Some((Instant::now() + LATE, LATE))).unwrap();
    let other = open_file(directory.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let setting = {
        let flag = Arc::clone(&flag);
        thread::spawn(move || {
            thread::sleep(SOON);
            flag.store(true, Ordering::Relaxed);
        })
    };
    // The busy timeout is five seconds.
    let began = Instant::now();
    assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_interrupted());
    assert!(began.elapsed() < Duration::from_secs(4));
    setting.join().unwrap();
    flag.store(false, Ordering::Relaxed);
    let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    flag.store(true, Ordering::Relaxed);
    assert!(rows.next().unwrap_err().is_interrupted());
}

/// The changes are made before the first row of `RETURNING`, and a reset would commit them.
#[test]
fn a_write_that_is_too_late_is_not_stored_beside_an_error() {
    let conn = open();
    conn.create_scalar_function("late", |a: i64| -> finalite::Result<i64> {
        thread::sleep(SOON * 2);
        Ok(a)
    })
    .unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let cancels = Arc::clone(&flag);
    conn.create_scalar_function("cancelled", move |a: i64| -> finalite::Result<i64> {
        cancels.store(true, Ordering::Relaxed);
        Ok(a)
    })
    .unwrap();
    let stored = || conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    let few = "INSERT INTO t VALUES (1), (2) RETURNING late(a)";
    let within = |work: &dyn Fn() -> finalite::Result<usize>| {
        let _deadline = conn.deadline(SOON).unwrap();
        work()
    };
    assert_eq!(within(&|| conn.execute(few, ())).unwrap(), 2);
    assert_eq!(stored(), 2);
    assert_eq!(within(&|| conn.query_all::<i64>(few, ()).map(|rows| rows.len())).unwrap(), 2);
    assert_eq!(stored(), 4);
    let one = "INSERT INTO t VALUES (3) RETURNING late(a)";
    assert_eq!(within(&|| conn.query_one::<i64>(one, ()).map(|_| 1)).unwrap(), 1);
    assert_eq!(stored(), 5);
    let supervision = workspace::supervise(&conn, Arc::clone(&flag), None).unwrap();
    assert_eq!(conn.execute("INSERT INTO t VALUES (1), (2) RETURNING cancelled(a)", ()).unwrap(), 2);
    flag.store(false, Ordering::Relaxed);
    drop(supervision);
    assert_eq!(stored(), 7);
    // One that is stopped within a step is rolled back.
    let many =
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n
                RETURNING CASE a WHEN 99999 THEN late(a) ELSE a END";
    let error = within(&|| conn.execute(many, ())).unwrap_err();
    assert_deadline(&error);
    assert_eq!(stored(), 7);
}
