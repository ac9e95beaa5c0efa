//! Watching tables of a pool: what is told, when, and to whom.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use finalite::pool::{Change, DestroyReason, Pool, Watch};
use finalite::{Connection, ErrorKind, NameKind};

const SCHEMA: &str = "
    CREATE TABLE t(a UNIQUE); CREATE TABLE other(a); CREATE TABLE bare(a PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE parent(id INTEGER PRIMARY KEY);
    CREATE TABLE child(parent REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE bare_child(parent PRIMARY KEY REFERENCES parent ON DELETE CASCADE) WITHOUT ROWID;
    CREATE TABLE log(line); CREATE TRIGGER logging AFTER INSERT ON other BEGIN INSERT INTO log VALUES (new.a); END;
    CREATE VIEW both AS SELECT t.a FROM t JOIN other USING (a);";

fn pool(name: &str) -> Arc<Pool> {
    let pool = Pool::in_memory(name).readers(1).reserved(1).build().unwrap();
    run(&pool, SCHEMA);
    Arc::new(pool)
}

fn run(pool: &Pool, sql: &str) {
    pool.writer().unwrap().execute_batch(sql).unwrap();
}

/// The tables that a script changes, as told to a watch.
fn told(pool: &Pool, watch: &Watch, sql: &str) -> Vec<String> {
    run(pool, sql);
    tables(watch.try_next())
}

fn tables(change: Option<Change>) -> Vec<String> {
    change.map(|change| change.tables.iter().map(|table| table.to_string()).collect()).unwrap_or_default()
}

#[test]
fn each_commit_is_told_with_its_tables() {
    let pool = pool("watch_each");
    let watch = pool.watch(["T", "other"]).unwrap();
    assert_eq!(watch.tables().collect::<Vec<_>>(), ["other", "t"]);
    assert!(watch.try_next().is_none());
    assert_eq!(told(&pool, &watch, "INSERT INTO t VALUES (1)"), ["t"]);
    assert_eq!(told(&pool, &watch, "UPDATE t SET a = 2"), ["t"]);
    assert_eq!(
        told(&pool, &watch, "BEGIN; INSERT INTO t VALUES (3); INSERT INTO other VALUES (1); COMMIT"),
        ["other", "t"]
    );
    assert!(told(&pool, &watch, "INSERT INTO log VALUES (1)").is_empty());
    assert!(told(&pool, &watch, "UPDATE t SET a = 9 WHERE a = 'none'").is_empty());
    assert!(told(&pool, &watch, "SELECT * FROM t").is_empty());
    assert!(told(&pool, &watch, "BEGIN; INSERT INTO t VALUES (4); ROLLBACK").is_empty());
    assert!(
        told(&pool, &watch, "CREATE TEMP TABLE t2(a); INSERT INTO temp.t2 VALUES (1); DROP TABLE temp.t2").len() == 2
    );
    pool.write(|tx| tx.execute("INSERT INTO t VALUES (5)", ())).unwrap();
    let change = watch.try_next().unwrap();
    assert!(change.has_table("T") && !change.has_table("other") && !change.is_external);
    assert_eq!(change.commits, 1);
}

#[test]
fn commits_are_one_change_while_nobody_asks() {
    let pool = pool("watch_coalesced");
    let watch = pool.watch(["t", "other"]).unwrap();
    for n in 0..100 {
        run(&pool, &format!("INSERT INTO t VALUES ({n})"));
    }
    run(&pool, "INSERT INTO other VALUES (1)");
    let change = watch.try_next().unwrap();
    assert_eq!((change.commits, change.tables.len()), (101, 2));
    assert!(watch.try_next().is_none());
    assert!(watch.next_within(Duration::from_millis(1)).is_none());
}

#[test]
fn what_sqlite_does_not_report_is_told() {
    let pool = pool("watch_unreported");
    let watch = pool.watch(["t", "bare", "parent", "child", "bare_child", "log"]).unwrap();
    // WITHOUT ROWID: all watched tables of the kind.
    let of_the_kind = ["bare", "bare_child"];
    assert_eq!(told(&pool, &watch, "INSERT INTO bare VALUES (1)"), of_the_kind);
    assert_eq!(told(&pool, &watch, "UPDATE bare SET a = 2"), of_the_kind);
    assert!(told(&pool, &watch, "UPDATE bare SET a = 2 WHERE a = 7").is_empty());
    assert_eq!(told(&pool, &watch, "DELETE FROM bare"), of_the_kind);
    // The truncate optimization, also of statements that were prepared before.
    run(&pool, "INSERT INTO t VALUES (1), (2)");
    watch.try_next();
    assert_eq!(told(&pool, &watch, "DELETE FROM t"), ["t"]);
    // Rows that REPLACE deletes: in the table of the statement.
    run(&pool, "INSERT INTO t VALUES (1)");
    watch.try_next();
    assert_eq!(told(&pool, &watch, "REPLACE INTO t VALUES (1)"), ["t"]);
    // Cascades and triggers.
    run(&pool, "INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1); INSERT INTO bare_child VALUES (2)");
    watch.try_next();
    assert_eq!(told(&pool, &watch, "DELETE FROM parent WHERE id = 1"), ["child", "parent"]);
    assert_eq!(told(&pool, &watch, "DELETE FROM parent WHERE id = 2"), ["bare", "bare_child", "parent"]);
    assert_eq!(told(&pool, &watch, "INSERT INTO other VALUES (1)"), ["log"]);
    // A parent that REPLACE deletes, with the rows that refer to it.
    run(&pool, "INSERT INTO parent VALUES (3); INSERT INTO child VALUES (3)");
    watch.try_next();
    assert_eq!(told(&pool, &watch, "REPLACE INTO parent VALUES (3)"), ["child", "parent"]);
    // A savepoint that is rolled back is told; a transaction is not.
    assert_eq!(
        told(
            &pool,
            &watch,
            "BEGIN; SAVEPOINT s; INSERT INTO t VALUES (8); ROLLBACK TO s; INSERT INTO other VALUES (5); COMMIT"
        ),
        ["log", "t"]
    );
}

#[test]
fn rows_without_rowid_are_counted_across_statements_that_fail() {
    let pool = pool("watch_counted");
    let watch = pool.watch(["bare", "t"]).unwrap();
    run(&pool, "INSERT INTO t VALUES (1)");
    watch.try_next();
    let in_transaction = |statements: &[&str]| {
        let mut conn = pool.writer().unwrap();
        let tx = conn.transaction().unwrap();
        for sql in statements {
            let _ = tx.execute(sql, ());
        }
        tx.commit().unwrap();
        drop(conn);
        tables(watch.try_next())
    };
    // Its two rows are reported, and then undone by the third.
    let failing = "INSERT INTO t VALUES (10), (11), (1)";
    assert_eq!(in_transaction(&["INSERT INTO bare VALUES (1)", failing]), ["bare", "t"]);
    assert_eq!(in_transaction(&[failing, "INSERT INTO bare VALUES (2)"]), ["bare", "t"]);
    assert_eq!(in_transaction(&["INSERT INTO t VALUES (20), (21)", "INSERT INTO bare VALUES (3)"]), ["bare", "t"]);
    assert_eq!(in_transaction(&["INSERT INTO t VALUES (30), (31)", failing]), ["t"], "control: `bare` is as it was");
    // A rollback forgets.
    run(&pool, "BEGIN; INSERT INTO bare VALUES (9); ROLLBACK");
    assert_eq!(in_transaction(&["INSERT INTO t VALUES (40)"]), ["t"]);
}

#[test]
fn deletes_are_truncated_again_when_the_watch_ends() {
    let pool = Pool::in_memory("watch_truncate").readers(0).build().unwrap();
    run(&pool, "CREATE TABLE t(a); CREATE TABLE other(a); INSERT INTO other VALUES (1)");
    let rows_deleted = |table: &str| {
        run(&pool, &format!("INSERT INTO {table} VALUES (1), (2)"));
        let conn = pool.writer().unwrap();
        let rows = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rows);
        let subscription = conn.on_update(move |_| _ = counted.fetch_add(1, Ordering::Relaxed)).unwrap();
        conn.execute(&format!("DELETE FROM {table}"), ()).unwrap();
        drop(subscription);
        rows.load(Ordering::Relaxed)
    };
    assert_eq!(rows_deleted("t"), 0);
    let watch = pool.watch(["t"]).unwrap();
    assert_eq!((rows_deleted("t"), rows_deleted("other")), (2, 0));
    drop(watch);
    assert_eq!(rows_deleted("t"), 0);
}

#[test]
fn a_cached_delete_is_not_truncated_once_its_table_is_watched() {
    let pool = pool("watch_cached");
    let delete = || {
        let conn = pool.writer().unwrap();
        conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
        conn.execute("DELETE FROM t", ()).unwrap();
    };
    delete();
    let watch = pool.watch(["other"]).unwrap();
    delete();
    assert!(watch.try_next().is_none());
    let second = pool.watch(["t"]).unwrap();
    delete();
    assert_eq!(second.try_next().unwrap().commits, 2);
    assert!(watch.try_next().is_none());
    assert!(pool.writer().unwrap().statement_cache_stats().hits >= 4);
}

#[test]
fn a_change_of_the_schema_counts_for_all() {
    let pool = pool("watch_schema");
    let watch = pool.watch(["t", "log"]).unwrap();
    assert_eq!(told(&pool, &watch, "CREATE INDEX i ON other(a)"), ["log", "t"]);
    assert_eq!(told(&pool, &watch, "ALTER TABLE t ADD COLUMN b"), ["log", "t"]);
    assert_eq!(told(&pool, &watch, "DROP TABLE t"), ["log", "t"]);
    let conn = pool.writer().unwrap();
    assert!(!conn.exists("SELECT 1 FROM sqlite_schema WHERE name = 't'", ()).unwrap(), "the table is dropped");
    drop(conn);
    // A table of another kind by the same name.
    assert_eq!(told(&pool, &watch, "CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID"), ["log", "t"]);
    assert!(told(&pool, &watch, "INSERT INTO t VALUES (1)").contains(&"t".into()));
    assert_eq!(told(&pool, &watch, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO log VALUES (1)"), ["log", "t"]);
}

#[test]
fn a_commit_that_is_refused_or_fails_is_not_told() {
    let refuses = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&refuses);
    let pool = Pool::in_memory("watch_refused")
        .readers(0)
        .init(move |conn| {
            let asked = Arc::clone(&asked);
            let refuse =
                move || if asked.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            conn.on_commit(refuse)?.keep();
            Ok(())
        })
        .build()
        .unwrap();
    run(
        &pool,
        "CREATE TABLE t(a); CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    );
    let watch = pool.watch(["t", "c"]).unwrap();
    refuses.store(true, Ordering::Relaxed);
    assert!(pool.writer().unwrap().execute("INSERT INTO t VALUES (1)", ()).is_err());
    assert!(watch.try_next().is_none());
    refuses.store(false, Ordering::Relaxed);
    let mut conn = pool.writer().unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO c VALUES (7)", ()).unwrap();
    let error = tx.commit_or_return().unwrap_err();
    assert!(watch.try_next().is_none());
    // The same transaction, with the parent: all of it is told.
    let tx = error.into_transaction();
    tx.execute("INSERT INTO p VALUES (7)", ()).unwrap();
    tx.commit().unwrap();
    assert_eq!(tables(watch.try_next()), ["c"]);
}

#[test]
fn queries_are_watched_by_the_tables_that_they_read() {
    let pool = pool("watch_queries");
    let read = |sql: &str| pool.watch_query(sql).map(|watch| watch.tables().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(read("SELECT * FROM both").unwrap(), ["other", "t"]);
    assert_eq!(read("SELECT count(*) FROM t").unwrap(), ["t"]);
    assert_eq!(read("SELECT 1 WHERE EXISTS (SELECT 1 FROM log WHERE line = ?)").unwrap(), ["log"]);
    assert_eq!(read("WITH x AS (SELECT a FROM bare) SELECT * FROM x, child").unwrap(), ["bare", "child"]);
    assert!(matches!(read("SELECT 1").unwrap_err().kind(), ErrorKind::Misuse { .. }));
    assert!(read("SELECT * FROM missing").unwrap_err().to_string().starts_with("no such table: missing"));
    run(&pool, "CREATE VIRTUAL TABLE docs USING fts5(text)");
    assert!(matches!(read("SELECT * FROM docs").unwrap_err().kind(), ErrorKind::Misuse { .. }));
    assert!(matches!(pool.watch(["docs"]).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    assert!(matches!(pool.watch(["both"]).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    assert!(matches!(pool.watch([""; 0]).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    let error = pool.watch(["tt"]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuch { what: NameKind::Table, .. }), "{error}");
    // The shadow tables of a virtual table.
    let watch = pool.watch(["docs_content"]).unwrap();
    assert_eq!(told(&pool, &watch, "INSERT INTO docs VALUES ('text')"), ["docs_content"]);
    // Nothing of it stays with the connection.
    drop(watch);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 0);
}

/// Tables of other databases are not the pool's, whatever their names.
#[test]
fn tables_of_attached_databases_are_not_watched() {
    let pool = Pool::in_memory("watch_attached").readers(1).reserved(1);
    let pool = pool.init(|conn| conn.execute_batch("ATTACH ':memory:' AS side; CREATE TABLE side.other(x)"));
    let pool = pool.build().unwrap();
    run(&pool, SCHEMA);
    let watch = pool.watch_query("SELECT a FROM main.t, side.other").unwrap();
    assert_eq!(watch.tables().collect::<Vec<_>>(), ["t"]);
}

#[test]
fn an_iterator_waits_and_ends_with_its_pool() {
    let pool = pool("watch_iterator");
    let watch = pool.watch(["t"]).unwrap();
    let reading = Arc::clone(&pool);
    let (send, seen) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        for change in watch {
            assert!(change.has_table("t"));
            let count = reading.reader().and_then(|conn| conn.query_one::<i64>("SELECT count(*) FROM t", ()));
            send.send(count.unwrap()).unwrap();
        }
    });
    for n in 1..=3 {
        run(&pool, &format!("INSERT INTO t VALUES ({n})"));
        // It may have seen several at once, and sees each row in the end.
        while seen.recv().unwrap() < n {}
    }
    assert_eq!(pool.shut_down().checked_out().len(), 0);
    thread.join().unwrap();
    assert!(matches!(pool.watch(["t"]).unwrap_err().kind(), ErrorKind::PoolClosed));
}

#[test]
fn a_change_from_before_the_end_is_still_told() {
    let pool = pool("watch_end");
    let mut watch = pool.watch(["t"]).unwrap();
    run(&pool, "INSERT INTO t VALUES (1)");
    drop(pool);
    assert!(watch.next().is_some());
    assert!(watch.next().is_none());
    assert!(watch.next_within(Duration::from_secs(3600)).is_none());
}

#[test]
fn closures_are_called_after_the_commit_on_its_thread() {
    let pool = pool("watch_closures");
    let reading = Arc::downgrade(&pool);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&seen);
    let subscription = pool
        .on_change(["t"], move |change| {
            let pool = reading.upgrade().unwrap();
            assert!(pool.try_writer().unwrap().is_none(), "this thread has it");
            let rows: i64 = pool.reader().unwrap().query_one("SELECT count(*) FROM t", ()).unwrap();
            counted.lock().unwrap().push((thread::current().id(), change.commits, rows));
        })
        .unwrap();
    run(&pool, "INSERT INTO t VALUES (1)");
    pool.write(|tx| tx.execute("INSERT INTO t VALUES (2)", ())).unwrap();
    run(&pool, "INSERT INTO log VALUES (2)");
    let this = thread::current().id();
    assert_eq!(*seen.lock().unwrap(), [(this, 1, 1), (this, 1, 2)]);
    assert!(subscription.is_active());
    drop(subscription);
    run(&pool, "INSERT INTO t VALUES (3)");
    assert_eq!(seen.lock().unwrap().len(), 2);
    // A panic is resumed by the call that has committed.
    let bomb = pool.on_change(["t"], |_| panic!("on purpose")).unwrap();
    let watch = pool.watch(["t"]).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| pool.writer().unwrap().execute("INSERT INTO t VALUES (4)", ())));
    assert_eq!(*caught.unwrap_err().downcast_ref::<&str>().unwrap(), "on purpose");
    drop(bomb);
    let rows: i64 = pool.reader().unwrap().query_one("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(rows, 4, "it was committed");
    run(&pool, "INSERT INTO t VALUES (5)");
    assert!(watch.try_next().is_some());
}

#[test]
fn a_closure_ends_itself_and_its_pool_ends_it() {
    let pool = pool("watch_ends_itself");
    let shelf = Arc::new(Mutex::new(None));
    let own = Arc::clone(&shelf);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let subscription = pool
        .on_change(["t"], move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(own.lock().unwrap().take());
        })
        .unwrap();
    *shelf.lock().unwrap() = Some(subscription);
    run(&pool, "INSERT INTO t VALUES (1)");
    run(&pool, "INSERT INTO t VALUES (2)");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&calls), 1, "the closure is gone");
    let kept = pool.on_change(["t"], |_| ()).unwrap();
    drop(pool);
    assert!(!kept.is_active());
}

#[test]
fn all_writing_connections_are_watched_also_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let pool = Pool::builder(directory.path().join("app.db")).readers(1).reserved(1).build().unwrap();
    run(&pool, SCHEMA);
    let watch = pool.watch(["t"]).unwrap();
    // A connection that is opened after this one was closed.
    pool.writer().unwrap().create_scalar_function("f", || 1).unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 1);
    assert_eq!(told(&pool, &watch, "INSERT INTO t VALUES (1)"), ["t"]);
    pool.reserve().unwrap().execute("INSERT INTO t VALUES (2)", ()).unwrap();
    assert!(watch.try_next().is_some());
    // A statement that returns rows, and is dropped before its end.
    let conn = pool.writer().unwrap();
    let mut statement = conn.prepare("INSERT INTO t VALUES (3), (4) RETURNING a").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(rows);
    drop(statement);
    drop(conn);
    assert!(watch.try_next().is_some());
}

#[test]
fn changes_of_others_are_told_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let pool = Pool::builder(&path).readers(1).build().unwrap();
    run(&pool, SCHEMA);
    let watch = pool.watch(["t", "log"]).unwrap();
    assert!(!pool.poll_external_changes().unwrap());
    run(&pool, "INSERT INTO t VALUES (1)");
    assert!(!pool.poll_external_changes().unwrap(), "the pool's own commit");
    watch.try_next();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    assert!(watch.try_next().is_none());
    assert!(pool.poll_external_changes().unwrap());
    let change = watch.try_next().unwrap();
    assert!(change.is_external && change.commits == 0 && change.tables.len() == 2);
    assert!(!pool.poll_external_changes().unwrap());
}
