//! What connections do is counted as it is: executions, commits, times, waits, checkpoints, logs.

use std::ptr;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use finalite::pool::{Checkpointer, Pool, RetryPolicy, Role};
use finalite::stats::{ActivityStats, Timings, snapshot};
use finalite::{Connection, OpenOptions, TransactionBehavior, ffi};

use crate::runner::cases;

cases![
    commits_are_counted,
    what_commits_nothing_is_not_counted,
    foreign_code_may_begin_and_end,
    executions_are_counted,
    times_are_taken_while_somebody_asks,
    times_outlive_their_threads,
    slow_executions_are_kept,
    locks_of_others_are_counted,
    pauses_before_retries_are_counted,
    waits_for_a_pool_are_counted,
    checkpoints_are_told,
    logs_are_measured,
];

fn activity() -> ActivityStats {
    snapshot().activity
}

/// The commits that this makes.
fn commits(work: impl FnOnce()) -> u64 {
    let before = activity().commits;
    work();
    activity().commits - before
}

fn table() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE); CREATE TABLE p(id INTEGER PRIMARY KEY)").unwrap();
    conn
}

// ---- commits

fn commits_are_counted() {
    let mut conn = table();
    let insert = |conn: &Connection, n: i64| assert_eq!(conn.execute("INSERT INTO t VALUES (?)", (n,)).unwrap(), 1);
    assert_eq!(commits(|| (0..3).for_each(|n| insert(&conn, n))), 3, "each is a transaction of its own");
    assert_eq!(
        commits(|| conn.execute_batch("BEGIN; INSERT INTO t VALUES (10); INSERT INTO t VALUES (11); END").unwrap()),
        1
    );
    let in_transaction = |conn: &mut Connection| {
        let tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
        (20..25).for_each(|n| insert(&tx, n));
        tx.commit().unwrap();
    };
    assert_eq!(commits(|| in_transaction(&mut conn)), 1);
    let in_savepoints = |conn: &mut Connection| {
        let mut outer = conn.savepoint().unwrap();
        let inner = outer.savepoint().unwrap();
        insert(&inner, 30);
        inner.commit().unwrap();
        outer.commit().unwrap();
    };
    assert_eq!(commits(|| in_savepoints(&mut conn)), 1, "the outer one ends the transaction");
    let returning = || {
        // The first row is enough: the reset commits.
        let first: i64 = conn.query_row("INSERT INTO t VALUES (40), (41) RETURNING a", (), |row| row.get(0)).unwrap();
        assert_eq!(first, 40);
    };
    assert_eq!(commits(returning), 1);
    assert_eq!(commits(|| conn.execute_batch("CREATE TABLE u(a); DROP TABLE u; VACUUM").unwrap()), 3);
    let mut many = conn.prepare("INSERT INTO t VALUES (?)").unwrap();
    assert_eq!(commits(|| assert_eq!(many.execute_many((50..60).map(|n| (n,))).unwrap(), 10)), 10);
}

fn what_commits_nothing_is_not_counted() {
    let mut conn = table();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    for sql in [
        "SELECT * FROM t",
        "EXPLAIN INSERT INTO t VALUES (2)",
        "PRAGMA user_version = 3",
        "PRAGMA cache_size = 100",
        "BEGIN; INSERT INTO t VALUES (3); ROLLBACK",
        "SAVEPOINT a; INSERT INTO t VALUES (4); ROLLBACK TO a",
        "ROLLBACK",
        "ATTACH ':memory:' AS other",
    ] {
        assert_eq!(commits(|| conn.execute_batch(sql).unwrap()), 0, "{sql}");
    }
    // What fails: a constraint, which ends its own transaction or that around it; a commit that is refused.
    assert_eq!(commits(|| drop(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err())), 0);
    let rolled_back = "BEGIN; INSERT INTO t VALUES (5); INSERT OR ROLLBACK INTO t VALUES (1)";
    assert_eq!(commits(|| drop(conn.execute_batch(rolled_back).unwrap_err())), 0);
    assert_eq!(commits(|| conn.execute_batch("INSERT INTO t VALUES (6)").unwrap()), 1, "the transaction is over");
    conn.execute_batch("CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)").unwrap();
    let refused = |conn: &mut Connection| {
        let tx = conn.transaction().unwrap();
        tx.execute("INSERT INTO c VALUES (7)", ()).unwrap();
        tx.commit().unwrap_err();
    };
    assert_eq!(commits(|| refused(&mut conn)), 0);
    let dropped = |conn: &mut Connection| {
        let tx = conn.transaction().unwrap();
        tx.execute("INSERT INTO t VALUES (8)", ()).unwrap();
    };
    assert_eq!(commits(|| dropped(&mut conn)), 0);
    // Parameters are bound, and no step is made.
    let mut statement = conn.prepare("INSERT INTO t VALUES (?)").unwrap();
    assert_eq!(commits(|| drop(statement.query((9,)).unwrap())), 0);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
}

fn foreign_code_may_begin_and_end() {
    let conn = table();
    let execute = |sql: &std::ffi::CStr| {
        // SAFETY: the connection is open; c3ref/exec.html allows NULL for what is not wanted.
        let code = unsafe { ffi::sqlite3_exec(conn.as_raw(), sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
    };
    execute(c"BEGIN");
    assert_eq!(commits(|| conn.execute_batch("INSERT INTO t VALUES (1)").unwrap()), 0, "a transaction is open");
    execute(c"COMMIT");
    assert_eq!(commits(|| conn.execute_batch("INSERT INTO t VALUES (2)").unwrap()), 1);
    execute(c"BEGIN; INSERT INTO t VALUES (3)");
    assert_eq!(commits(|| conn.execute_batch("COMMIT").unwrap()), 1);
}

// ---- executions and their times

fn executions_are_counted() {
    let conn = table();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let before = activity().executions;
    for _ in 0..5 {
        conn.query_one::<i64>("SELECT a FROM t", ()).unwrap();
    }
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let rows = statement.query(()).unwrap();
    assert_eq!(activity().executions - before, 5, "one has not ended");
    drop(rows);
    assert_eq!(activity().executions - before, 6);
}

fn times_are_taken_while_somebody_asks() {
    let mut conn = table();
    // Of eight executions that only read, one is timed, and counts for eight.
    let work = |conn: &mut Connection| {
        (0..8).for_each(|_| assert!(conn.exists("SELECT 1", ()).unwrap()));
        let tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
        tx.execute("INSERT INTO t VALUES (NULL)", ()).unwrap();
        tx.commit().unwrap();
    };
    let counts = |activity: &ActivityStats| {
        [&activity.execution_times, &activity.commit_times, &activity.write_lock_times].map(|times| times.count())
    };
    let before = activity();
    work(&mut conn);
    assert_eq!(counts(&activity()), counts(&before), "nobody asked");
    let timings = [Timings::start(), Timings::start()];
    let start = Instant::now();
    work(&mut conn);
    let took = start.elapsed();
    let after = activity();
    let added = [0, 1, 2].map(|n| counts(&after)[n] - counts(&before)[n]);
    assert_eq!(added, [11, 1, 1]);
    assert!(after.execution_times.sum > before.execution_times.sum);
    let commit = after.commit_times.sum - before.commit_times.sum;
    assert!(commit > Duration::ZERO && commit <= took, "{commit:?} of {took:?}");

    // One that takes some time is in its class.
    let before = activity().execution_times;
    let mut statement = conn.prepare("INSERT INTO t VALUES (NULL) RETURNING a").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    thread::sleep(Duration::from_millis(5));
    drop(rows);
    drop(statement);
    let now = activity().execution_times;
    let classes: Vec<usize> = (0..now.counts.len()).filter(|&n| now.counts[n] > before.counts[n]).collect();
    // More than 4,096 us; how much more is the system's business.
    assert!(classes.len() == 1 && classes[0] >= 13, "{classes:?}");
    let [first, second] = timings;
    drop(first);
    let before = activity();
    work(&mut conn);
    assert!(counts(&activity()) > counts(&before), "one still asks");
    drop(second);
    let before = activity();
    work(&mut conn);
    assert_eq!(counts(&activity()), counts(&before));
}

fn times_outlive_their_threads() {
    let _timings = Timings::start();
    let before = activity();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let conn = Connection::open_in_memory().unwrap();
                (0..100).for_each(|_| assert!(conn.exists("SELECT 1", ()).unwrap()));
            });
        }
    });
    let added = activity().execution_times.count() - before.execution_times.count();
    // Opening runs statements of its own.
    let executions = activity().executions - before.executions;
    assert!(executions >= 400 && added.abs_diff(executions) <= 4 * 16, "{added} of {executions}");
}

fn slow_executions_are_kept() {
    let conn = table();
    let before = activity().slow;
    conn.query_one::<i64>("SELECT 1", ()).unwrap();
    assert_eq!(activity().slow, before);
    conn.set_slow_threshold(Some(Duration::ZERO));
    let long = format!("SELECT 'LITERAL', '{}'", "x".repeat(400));
    conn.query_row(&long, (), |_| Ok(())).unwrap();
    let line = line!() - 1;
    let stats = snapshot();
    assert_eq!(stats.activity.slow, before + 1);
    let last = stats.slow_executions.last().unwrap();
    assert_eq!((&*last.sql, last.prepared_at.line()), (&long[..256], line));
    assert!(last.took < Duration::from_secs(100) && last.age < Duration::from_secs(100));
    assert!(stats.to_json_with_sql().contains("LITERAL") && !stats.to_json().contains("LITERAL"));
    (0..40).for_each(|_| assert!(conn.exists("SELECT 2", ()).unwrap()));
    let stats = snapshot();
    assert_eq!((stats.activity.slow, stats.slow_executions.len()), (before + 41, 32));
    assert!(stats.slow_executions.iter().all(|slow| &*slow.sql == "SELECT 2"));
    conn.set_slow_threshold(Some(Duration::from_secs(3600)));
    conn.query_one::<i64>("SELECT 3", ()).unwrap();
    conn.set_slow_threshold(None);
    // Without a threshold, 100 ms while executions are timed.
    let _timings = Timings::start();
    conn.query_one::<i64>("SELECT 4", ()).unwrap();
    assert_eq!(activity().slow, before + 41);
    let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    // More than that, as the clock for those that are not timed is coarse.
    thread::sleep(Duration::from_millis(150));
    drop(rows);
    assert_eq!(activity().slow, before + 42);
}

// ---- waits

fn file(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("a.db");
    let conn = OpenOptions::recommended().open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    path
}

fn locks_of_others_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let mut locker = Connection::open(&path).unwrap();
    let other = OpenOptions::new().busy_timeout(Duration::ZERO).open(&path).unwrap();
    let before = activity().busy;
    other.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(activity().busy, before);
    let lock = locker.transaction_with(TransactionBehavior::Immediate).unwrap();
    for _ in 0..3 {
        assert!(other.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    }
    assert_eq!(activity().busy, before + 3);
    drop(lock);
}

fn pauses_before_retries_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let options = OpenOptions::recommended().busy_timeout(Duration::ZERO);
    let retry = RetryPolicy::new(Duration::from_secs(60));
    let pool = Pool::builder(&path).options(options).write_retry(retry).build().unwrap();
    let write = || pool.write(|tx| tx.execute("INSERT INTO t VALUES (1)", ()).map(drop)).unwrap();
    let before = activity();
    write();
    assert_eq!(activity().lock_retries, before.lock_retries);
    let mut locker = Connection::open(&path).unwrap();
    let lock = locker.transaction_with(TransactionBehavior::Immediate).unwrap();
    thread::scope(|scope| {
        scope.spawn(write);
        while activity().lock_retries == before.lock_retries {
            thread::yield_now();
        }
        drop(lock);
    });
    let after = activity();
    assert!(
        after.lock_retry_wait - before.lock_retry_wait >= Duration::from_micros(500),
        "half a millisecond at least"
    );
    assert!(after.busy > before.busy);
}

fn waits_for_a_pool_are_counted() {
    let pool = Pool::in_memory("waits").readers(1).acquire_timeout(Duration::from_millis(2)).build().unwrap();
    let waits = |pool: &Pool| {
        let status = pool.status();
        (status.role(Role::Reader).waits_total, status.role(Role::Reader).wait_total)
    };
    let totals = snapshot().pool_totals;
    drop(pool.reader().unwrap());
    assert_eq!(waits(&pool), (0, Duration::ZERO));
    let reader = pool.reader().unwrap();
    pool.reader().unwrap_err();
    let (count, wait) = waits(&pool);
    assert!(count == 1 && wait >= Duration::from_millis(2), "{count}, {wait:?}");
    drop(reader);
    drop(pool);

    let pool = Pool::in_memory("waits").readers(1).build().unwrap();
    let reader = pool.reader().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(pool.reader().unwrap()));
        while pool.status().role(Role::Reader).waiting == 0 {
            thread::yield_now();
        }
        drop(reader);
        waiting.join().unwrap();
    });
    let (count, wait) = waits(&pool);
    assert!(count == 1 && wait > Duration::ZERO);
    drop(pool);
    let now = snapshot().pool_totals;
    assert_eq!(now.waits - totals.waits, 2, "those of pools that are gone, too");
    assert!(now.wait - totals.wait >= wait + Duration::from_millis(2));
}

// ---- logs

fn checkpoints_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let pool = Arc::new(Pool::builder(&path).readers(1).build().unwrap());
    assert_eq!((pool.status().checkpoint, pool.status().checkpoints_total), (None, 0));
    pool.writer().unwrap().execute_batch("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").unwrap();
    let checkpointer = Checkpointer::start(&pool, Duration::from_millis(1)).unwrap();
    let until = |is_so: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(120), "it does not come");
            thread::sleep(Duration::from_millis(1));
        }
    };
    until(&|| pool.status().checkpoint.is_some_and(|last| last.frames >= 2));
    let last = pool.status().checkpoint.unwrap();
    assert_eq!(last.frames, last.checkpointed, "nobody reads");
    assert!(last.age < Duration::from_secs(100) && last.took < Duration::from_secs(100));

    // A reader keeps the checkpoint from its end, and a writer that is checked out from its beginning.
    let reader = pool.reader().unwrap();
    let mut statement = reader.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    pool.writer().unwrap().execute("INSERT INTO t VALUES (3)", ()).unwrap();
    until(&|| pool.status().checkpoint.is_some_and(|last| last.checkpointed < last.frames));
    drop(rows);
    until(&|| pool.status().checkpoint.is_some_and(|last| last.checkpointed == last.frames));
    let writer = pool.writer().unwrap();
    let skipped = pool.status().checkpoints_skipped_total;
    until(&|| pool.status().checkpoints_skipped_total > skipped);
    drop(writer);
    assert_eq!(pool.status().checkpoints_failed_total, 0);
    drop(statement);
    drop(reader);
    drop(checkpointer);
    let (done, before) = (pool.status().checkpoints_total, snapshot().pool_totals.checkpoints);
    assert!(done >= 3 && before >= done);
    drop(pool);
    assert_eq!(snapshot().pool_totals.checkpoints, before, "those of pools that are gone, too");
}

fn logs_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let of = |name: &str| snapshot().databases.into_iter().find(|database| database.file_name() == name);
    assert_eq!(of("a.db"), None);
    let memory = Connection::open_in_memory().unwrap();
    assert!(snapshot().databases.is_empty());
    let conns = [0, 1].map(|_| OpenOptions::recommended().open(&path).unwrap());
    let database = of("a.db").unwrap();
    assert_eq!((database.connections, database.path.canonicalize().unwrap()), (2, path.canonicalize().unwrap()));
    let size = || std::fs::metadata(dir.path().join("a.db-wal")).unwrap().len();
    conns[0].execute("INSERT INTO t VALUES (zeroblob(100000))", ()).unwrap();
    let bytes = of("a.db").unwrap().wal_bytes.unwrap();
    assert!(bytes > 100_000 && bytes == size(), "{bytes}");

    // Attached ones, and those without a log.
    memory.execute("ATTACH ? AS other", (dir.path().join("b.db").to_str().unwrap(),)).unwrap();
    memory.execute("CREATE TABLE other.t(a)", ()).unwrap();
    let other = of("b.db").unwrap();
    assert_eq!((other.connections, other.wal_bytes), (1, None));
    memory.execute("DETACH other", ()).unwrap();
    assert_eq!(of("b.db"), None);
    drop(conns);
    assert_eq!(of("a.db"), None);

    // Threads that open and close meanwhile do not disturb.
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                (0..50).for_each(|_| drop(Connection::open(&path).unwrap()));
            });
        }
        barrier.wait();
        (0..50).for_each(|_| assert!(snapshot().databases.len() <= 1));
    });
}
