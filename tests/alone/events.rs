//! What is sent to `tracing`: target, level and fields of each event.

use std::ffi::{c_char, c_int};
use std::fmt::{self, Write as _};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use finalite::scan::ScanStrategy;
use finalite::{Connection, DropBehavior, Error, OpenOptions, ResultCode, ffi, memory};
use tracing::field::{Field, Visit};

use crate::common::listening::ignores_spans;
use crate::common::panicking::Panicking;
use crate::memory::native::{Block, inside};
use crate::runner::cases;

cases![
    libsql_2261_a_connection_is_closed_once,
    slow_statements_can_be_watched,
    rule_5_nothing_panics_in_drop,
    opening_and_closing_are_told_with_the_place,
    what_a_scan_leaves_to_the_statement_is_told,
    preparing_running_and_caching_are_told,
    each_event_of_a_statement_names_its_connection_and_where_it_was_made,
    what_begins_and_ends_a_transaction_is_told_and_timed,
    a_transaction_that_is_dropped_without_a_commit_is_told,
    the_reset_is_part_of_an_executions_time,
    what_a_guard_cannot_undo_is_told,
    a_finalize_in_drop_that_fails_is_told,
    a_failed_opening_that_cannot_be_closed_is_told,
    memory_that_outlives_the_last_connection_is_told_once,
];

/// Keeps every event as a line.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line =
            format!("{} {}: {}{}", event.metadata().level(), event.metadata().target(), line.message, line.fields);
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        panic!("a span: {span:?}");
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.message, "{value:?}").unwrap(),
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}

/// The events that are sent while this runs: `LEVEL target: message field=value …`.
fn events_of(run: impl FnOnce()) -> Vec<String> {
    let recorder = Recorder::default();
    tracing::subscriber::with_default(recorder.clone(), run);
    std::mem::take(&mut *recorder.0.lock().unwrap())
}

fn opening_and_closing_are_told_with_the_place() {
    let mut here = String::new();
    let events = events_of(|| {
        here = format!("opened_at={}:{}:", file!(), line!() + 1);
        let conn = Connection::open_in_memory().unwrap();
        conn.close().unwrap();
    });
    let [opened, closed] = &events[..] else { panic!("{events:#?}") };
    assert!(opened.starts_with("DEBUG finalite::open: open connection="), "{opened}");
    assert!(closed.starts_with("DEBUG finalite::open: close connection="), "{closed}");
    for event in [opened, closed] {
        assert!(event.contains(&here), "{event}, not {here}");
    }
    let connection = |event: &str| event.split_once("connection=").unwrap().1.split(' ').next().unwrap().to_owned();
    assert_eq!(connection(opened), connection(closed));
}

fn what_a_scan_leaves_to_the_statement_is_told() {
    // A SQLite with assertions locks tables as if every cache were shared, and no scan reads pages.
    if finalite::sqlite::compile_options().any(|option| option == "DEBUG") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE u(a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, 'row ' || i FROM n;",
    )
    .unwrap();
    let told = |run: &dyn Fn()| {
        let mut events = events_of(run);
        events.retain(|event| event.contains("finalite::scan"));
        events
    };
    let by_pages = |sql| conn.scan(sql, ()).strategy(ScanStrategy::Pages);
    assert_eq!(told(&|| drop(by_pages("SELECT a FROM t").columns().unwrap())), [""; 0]);
    assert_eq!(told(&|| drop(conn.scan("SELECT a + 1 FROM t", ()).columns().unwrap())), [""; 0], "nobody asked");
    assert_eq!(
        told(&|| drop(by_pages("SELECT a FROM u").columns().unwrap())),
        ["DEBUG finalite::scan: continued by the statement sql=\"SELECT a FROM u\" rows=0 reason=the table is empty"]
    );
    let writes = || {
        let count = by_pages("SELECT id FROM t").for_each(|row| {
            if row.get::<i64>(0)? == 1 {
                conn.execute("INSERT INTO u VALUES (1)", ())?;
            }
            Ok::<_, Error>(())
        });
        assert_eq!(count.unwrap(), 5000);
    };
    let [event] = &told(&writes)[..] else { panic!("it is told once") };
    let (before, after) = event.split_once(" rows=").unwrap();
    assert_eq!(before, "DEBUG finalite::scan: continued by the statement sql=\"SELECT id FROM t\"");
    let (rows, reason) = after.split_once(" reason=").unwrap();
    assert!((1..5000).contains(&rows.parse::<u64>().unwrap()), "{rows}");
    assert_eq!(reason, "the connection wrote while its pages were read");
}

fn preparing_running_and_caching_are_told() {
    let conn = OpenOptions::new().statement_cache_limits(1, 1 << 20).open_in_memory().unwrap();
    let events = events_of(|| {
        conn.query_one::<i64>("SELECT ?", (1,)).unwrap();
        conn.query_one::<i64>("SELECT ?", (2,)).unwrap();
        conn.query_one::<i64>("SELECT 3", ()).unwrap();
    });
    let told: Vec<&str> = events.iter().map(|event| event.split(" connection=").next().unwrap()).collect();
    assert_eq!(
        told,
        [
            "DEBUG finalite::statement: prepared sql=\"SELECT ?\"",
            "TRACE finalite::cache: miss sql=\"SELECT ?\"",
            "TRACE finalite::statement: run sql=\"SELECT ?\"",
            "TRACE finalite::statement: run sql=\"SELECT ?\"",
            "DEBUG finalite::statement: prepared sql=\"SELECT 3\"",
            "TRACE finalite::cache: miss sql=\"SELECT 3\"",
            "TRACE finalite::statement: run sql=\"SELECT 3\"",
            "TRACE finalite::cache: evicted sql=\"SELECT ?\"",
        ]
    );
}

/// A connection that tells all it runs as slow.
fn slow() -> Connection {
    let options = OpenOptions::new().name("ledger").slow_threshold(Some(Duration::ZERO));
    let conn = options.open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    conn
}

/// The events of these targets.
fn of<'a>(events: &'a [String], targets: &[&str]) -> Vec<&'a String> {
    events.iter().filter(|event| targets.iter().any(|target| event.contains(&format!(" {target}: ")))).collect()
}

fn each_event_of_a_statement_names_its_connection_and_where_it_was_made() {
    let conn = slow();
    let here = format!("={}:", file!());
    let events = events_of(|| {
        conn.query_one::<i64>("SELECT 1", ()).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1); SELECT 2").unwrap();
        let mut statement = conn.prepare("SELECT a FROM t").unwrap();
        statement.query_all::<i64>(()).unwrap();
        statement.query(()).unwrap().finish().unwrap();
        statement.into_rows(()).unwrap().finish().unwrap();
        conn.scan("SELECT a FROM t", ()).columns().unwrap();
        conn.set_pragma("user_version", 7).unwrap();
        conn.clear_statement_cache();
    });
    let told = of(&events, &["finalite::statement", "finalite::slow", "finalite::cache"]);
    assert_eq!(told.len(), events.len());
    for event in told {
        assert!(event.contains(" connection=") && event.contains(" name=\"ledger\""), "{event}");
        assert!(event.contains(&format!(" prepared_at{here}")), "{event}");
    }
    // Each that is run is also slow.
    let count = |what: &str| events.iter().filter(|event| event.contains(what)).count();
    assert_eq!(count("finalite::statement: run "), count("finalite::slow: slow statement "), "{events:#?}");
    assert_eq!(count("finalite::slow: slow statement sql=\"SELECT a FROM t\""), 4);
}

fn what_begins_and_ends_a_transaction_is_told_and_timed() {
    let mut conn = slow();
    let mut here = String::new();
    let events = events_of(|| {
        here = format!("_at={}:{}:", file!(), line!() + 1);
        let mut tx = conn.transaction().unwrap();
        tx.savepoint_named("kept").unwrap().commit().unwrap();
        tx.savepoint_named("undone").unwrap().rollback().unwrap();
        drop(tx.savepoint_named("dropped").unwrap());
        tx.commit().unwrap();
        conn.transaction().unwrap().rollback().unwrap();
        drop(conn.transaction().unwrap());
    });
    for (target, what) in [("TRACE finalite::statement", "run"), ("WARN finalite::slow", "slow statement")] {
        let prefix = format!("{target}: {what} sql=");
        let told: Vec<&String> = events.iter().filter(|event| event.starts_with(&prefix)).collect();
        let sql = |event: &&String| event[prefix.len() + 1..].split("\" ").next().unwrap().replace("\\\"", "'");
        assert_eq!(
            told.iter().map(sql).collect::<Vec<_>>(),
            [
                "BEGIN",
                "SAVEPOINT 'kept'",
                "RELEASE 'kept'",
                "SAVEPOINT 'undone'",
                "ROLLBACK TO 'undone'",
                "RELEASE 'undone'",
                "SAVEPOINT 'dropped'",
                "ROLLBACK TO 'dropped'",
                "RELEASE 'dropped'",
                "COMMIT",
                "BEGIN",
                "ROLLBACK",
                "BEGIN",
                "ROLLBACK",
            ]
        );
        for event in &told {
            assert!(event.contains(" connection=") && event.contains(" name=\"ledger\""), "{event}");
        }
        for event in &told[..10] {
            assert!(event.contains(&here), "{event}, not {here}");
        }
    }
}

fn a_transaction_that_is_dropped_without_a_commit_is_told() {
    let mut conn = slow();
    let dropped = |events: &[String]| -> Vec<String> {
        events.iter().filter(|event| event.contains("dropped")).cloned().collect()
    };
    let mut here = String::new();
    let mut savepoint = String::new();
    let events = events_of(|| {
        here = format!("opened_at={}:{}:", file!(), line!() + 1);
        let mut tx = conn.transaction().unwrap();
        savepoint = format!("opened_at={}:{}:", file!(), line!() + 1);
        drop(tx.savepoint().unwrap());
    });
    let events = dropped(&events);
    let [of_savepoint, of_transaction] = &events[..] else { panic!("{events:#?}") };
    assert!(of_savepoint.starts_with("DEBUG finalite::statement: a savepoint was dropped, and rolled back "));
    assert!(of_transaction.starts_with("DEBUG finalite::statement: a transaction was dropped, and rolled back "));
    for (event, here) in [(of_savepoint, &savepoint), (of_transaction, &here)] {
        assert!(event.contains(here), "{event}, not {here}");
        assert!(event.contains(" connection=") && event.contains(" name=\"ledger\""), "{event}");
    }
    // What is ended by a call, or by Drop as it was told to, is not.
    let events = events_of(|| {
        conn.transaction().unwrap().commit().unwrap();
        conn.transaction().unwrap().rollback().unwrap();
        let mut tx = conn.transaction().unwrap();
        tx.savepoint().unwrap().commit().unwrap();
        tx.set_drop_behavior(DropBehavior::Commit);
        drop(tx);
        // Nor is what SQL has ended.
        let mut tx = conn.transaction().unwrap();
        let savepoint = tx.savepoint().unwrap();
        savepoint.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(dropped(&events), [""; 0]);
    assert!(!events.is_empty());
}

/// Looks into a database at each event of a slow statement.
struct Looker {
    path: PathBuf,
    found: Mutex<Vec<i64>>,
}

impl tracing::Subscriber for Looker {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "finalite::slow"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        let conn = Connection::open(&self.path).unwrap();
        self.found.lock().unwrap().push(conn.query_one("SELECT count(*) FROM t", ()).unwrap());
    }

    ignores_spans!();
}

/// What `INSERT … RETURNING` commits when its rows are dropped is part of its time: others see it when it is told.
fn the_reset_is_part_of_an_executions_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::new().slow_threshold(Some(Duration::ZERO)).open(&path).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let looker = Arc::new(Looker { path, found: Mutex::default() });
    tracing::subscriber::with_default(Arc::clone(&looker), || {
        let insert = "INSERT INTO t VALUES (1), (2) RETURNING a";
        let mut statement = conn.prepare(insert).unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        drop(rows);
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        rows.finish().unwrap();
        let mut rows = conn.prepare(insert).unwrap().into_rows(()).unwrap();
        rows.next().unwrap();
        drop(rows);
        let mut rows = conn.prepare(insert).unwrap().into_rows(()).unwrap();
        rows.next().unwrap();
        rows.finish().unwrap();
    });
    assert_eq!(*looker.found.lock().unwrap(), [2, 4, 6, 8]);
}

/// libsql 240, 2261: statements after their connection, and connections closed twice. The first does not compile
/// (`tests/ui/statement_outlives_connection.rs`); this is the second.
fn libsql_2261_a_connection_is_closed_once() {
    // In a process of its own the counts are compared (`lifecycle.rs`); here those are counted that are of these lines.
    let closes = |run: &dyn Fn()| {
        let events = events_of(run);
        let count = |what: &str| events.iter().filter(|event| event.starts_with(what)).count();
        (count("DEBUG finalite::open: open "), count("DEBUG finalite::open: close "))
    };
    assert_eq!(closes(&|| Connection::open_in_memory().unwrap().close().unwrap()), (1, 1));
    assert_eq!(closes(&|| drop(Connection::open_in_memory().unwrap())), (1, 1));
    let failing = OpenOptions::new().init(|conn| conn.execute_batch("nonsense"));
    assert_eq!(closes(&|| assert!(failing.open_in_memory().unwrap_err().code().is_some())), (1, 1));
    let kept = std::cell::OnceCell::new();
    assert_eq!(closes(&|| kept.set(Connection::open_in_memory().unwrap()).unwrap()), (1, 0), "the control");
}

fn slow_statements_can_be_watched() {
    const SLOW: &str = "WARN finalite::slow: slow statement sql=\"SELECT ?\" elapsed=";
    let conn = Connection::open_in_memory().unwrap();
    let run = |threshold| {
        conn.set_slow_threshold(threshold);
        let events = events_of(|| assert_eq!(conn.query_one::<i64>("SELECT ?", (7,)).unwrap(), 7));
        events.iter().filter(|event| event.starts_with(SLOW)).count()
    };
    assert_eq!(run(None), 0);
    assert_eq!(run(Some(Duration::ZERO)), 1);
    assert_eq!(run(Some(Duration::from_secs(3600))), 0);
    assert_eq!(run(None), 0);
    // The time is the execution's: from its start until its rows are gone.
    conn.set_slow_threshold(Some(Duration::from_millis(2)));
    let mut statement = conn.prepare("SELECT ?").unwrap();
    let events = events_of(|| {
        let rows = statement.query((7,)).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        drop(rows);
    });
    assert_eq!(events.iter().filter(|event| event.starts_with(SLOW)).count(), 1, "{events:#?}");
}

/// A panic within a callback of SQLite's is in the unit tests: no callback of a program's own can be registered yet.
fn rule_5_nothing_panics_in_drop() {
    // The control: an ordinary call may unwind, so that these are seen to.
    let conn = Connection::open_in_memory().unwrap();
    assert!(!is_quiet(|| drop(conn.execute("SELECT 1", ()))));

    let open = || {
        let options = OpenOptions::new().slow_threshold(Some(std::time::Duration::ZERO));
        let conn = options.open_in_memory().unwrap();
        let script = "CREATE TABLE parent(id PRIMARY KEY);
                      CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)";
        conn.execute_batch(script).unwrap();
        conn
    };
    const ORPHAN: &str = "INSERT INTO child VALUES (1) RETURNING parent";

    let mut conn = open();
    let mut statement = conn.prepare(ORPHAN).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert!(is_quiet(|| drop(rows)), "rows whose reset fails");
    assert!(is_quiet(|| drop(statement)), "a statement");
    let mut rows = conn.prepare(ORPHAN).unwrap().into_rows(()).unwrap();
    rows.next().unwrap();
    assert!(is_quiet(|| drop(rows)), "rows that own their statement");
    conn.set_statement_cache_limits(0, 0);
    let cached = conn.prepare_cached("SELECT 1").unwrap();
    assert!(is_quiet(|| drop(cached)), "a statement that the cache has no place for");
    let tx = conn.transaction().unwrap();
    tx.execute(ORPHAN, ()).unwrap();
    assert!(is_quiet(|| drop(tx)), "a transaction");
    assert!(conn.is_autocommit());
    let mut tx = conn.transaction().unwrap();
    tx.set_drop_behavior(DropBehavior::Commit);
    tx.execute(ORPHAN, ()).unwrap();
    assert!(is_quiet(|| drop(tx)), "a transaction that cannot be committed");
    assert!(conn.is_autocommit());
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute(ORPHAN, ()).unwrap();
    assert!(is_quiet(|| drop(savepoint)), "a savepoint");
    tx.commit().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap(), 0);
    forget(conn.prepare("SELECT 1").unwrap());
    let interrupt = conn.interrupt_handle();
    assert!(is_quiet(|| drop(conn)), "a connection with a forgotten statement");
    assert!(!interrupt.interrupt(), "it is closed");
}

/// Whether this does not unwind, with a subscriber that does.
fn is_quiet(run: impl FnOnce()) -> bool {
    let run = || tracing::subscriber::with_default(Panicking(&[]), run);
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

/// A database that is in use when its guard is dropped.
fn what_a_guard_cannot_undo_is_told() {
    let conn = Connection::open_in_memory().unwrap();
    let mut line = 0;
    let events = events_of(|| {
        line = line!() + 1;
        let attached = conn.attach(":memory:", "x").unwrap();
        conn.execute_batch("CREATE TABLE x.t(a); INSERT INTO x.t VALUES (1), (2)").unwrap();
        let mut statement = conn.prepare("SELECT a FROM x.t").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        drop(attached);
    });
    let errors: Vec<&String> = events.iter().filter(|event| event.starts_with("ERROR")).collect();
    let [error] = &errors[..] else { panic!("{events:#?}") };
    assert!(error.starts_with("ERROR finalite::statement: a database could not be detached"), "{error}");
    assert!(error.contains("locked") && error.contains(&format!("attached_at={}:{line}:", file!())), "{error}");
    assert!(events_of(|| conn.detach("x").unwrap()).iter().all(|event| !event.starts_with("ERROR")));
    // A guard that is dropped properly is silent.
    let events = events_of(|| drop(conn.attach(":memory:", "y").unwrap()));
    assert!(events.iter().all(|event| !event.starts_with("ERROR")), "{events:#?}");
}

/// Foreign code runs out of memory and leaves SQLite's mark: `sqlite3_finalize` is the next to return it.
fn a_finalize_in_drop_that_fails_is_told() {
    let conn = OpenOptions::new().lookaside(0, 0).pragma("encoding", "UTF-16le").open_in_memory().unwrap();
    let (mut raw, mut line) = (ptr::null_mut(), 0);
    let events = events_of(|| {
        line = line!() + 1;
        let statement = conn.prepare("SELECT 7").unwrap();
        // SAFETY: the connection is open, and each call is given what the one before made.
        unsafe {
            let sql = c"SELECT 'text'".as_ptr();
            ffi::sqlite3_prepare_v2(conn.as_raw(), sql, -1, &raw mut raw, ptr::null_mut());
            assert_eq!(ffi::sqlite3_step(raw), ffi::SQLITE_ROW);
            let value = ffi::sqlite3_column_value(raw, 0);
            let _fault = memory::fail_after(0);
            assert!(ffi::sqlite3_value_text(value).is_null());
        }
        drop(statement);
    });
    let errors: Vec<&String> = events.iter().filter(|event| event.starts_with("ERROR")).collect();
    let [error] = &errors[..] else { panic!("{events:#?}") };
    assert!(error.starts_with("ERROR finalite::statement: a statement was finalized in drop"), "{error}");
    assert!(error.contains(" code=7 ") && error.contains(&format!("prepared_at={}:{line}:", file!())), "{error}");
    // SAFETY: made above, and finalized here alone.
    unsafe { ffi::sqlite3_finalize(raw) };
    let events = events_of(|| drop(conn.prepare("SELECT 7").unwrap()));
    assert!(events.iter().all(|event| !event.starts_with("ERROR")), "{events:#?}");
    conn.close().unwrap();
}

/// Foreign code refuses the connection, and leaves a statement of it.
fn a_failed_opening_that_cannot_be_closed_is_told() {
    static LEFT: AtomicPtr<ffi::sqlite3_stmt> = AtomicPtr::new(ptr::null_mut());

    unsafe extern "C" fn refuse(
        db: *mut ffi::sqlite3,
        _message: *mut *mut c_char,
        _api: *const ffi::sqlite3_api_routines,
    ) -> c_int {
        let mut left = ptr::null_mut();
        // SAFETY: the connection that is being opened; the SQL is NUL-terminated.
        unsafe { ffi::sqlite3_prepare_v2(db, c"SELECT 1".as_ptr(), -1, &raw mut left, ptr::null_mut()) };
        LEFT.store(left, Ordering::Relaxed);
        ffi::SQLITE_ERROR
    }

    let connections = finalite::handles::counts().connections;
    // SAFETY: a function of the type that SQLite calls.
    assert_eq!(unsafe { ffi::sqlite3_auto_extension(Some(refuse)) }, ffi::SQLITE_OK);
    let mut line = 0;
    let events = events_of(|| {
        line = line!() + 1;
        let error = Connection::open_in_memory().unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::ERROR), "{error:?}");
    });
    let errors: Vec<&String> = events.iter().filter(|event| event.starts_with("ERROR")).collect();
    let told = "ERROR finalite::leak: opening has failed, and the connection could not be closed";
    assert!(errors.iter().any(|error| error.starts_with(told)), "{events:#?}");
    assert!(errors.iter().all(|error| error.contains(&format!("opened_at={}:{line}:", file!()))), "{errors:#?}");
    assert_eq!(finalite::handles::counts().connections, connections + 1, "it is open, and counted");
    let left = LEFT.load(Ordering::Relaxed);
    // SAFETY: the statement that was left, and its connection, which finalite has given up.
    unsafe {
        let db = ffi::sqlite3_db_handle(left);
        ffi::sqlite3_finalize(left);
        assert_eq!(ffi::sqlite3_close(db), ffi::SQLITE_OK);
        ffi::sqlite3_cancel_auto_extension(Some(refuse));
    }
    // The control: an opening that succeeds tells of no error.
    let events = events_of(|| Connection::open_in_memory().unwrap().close().unwrap());
    assert!(events.iter().all(|event| !event.starts_with("ERROR")), "{events:#?}");
}

fn memory_that_outlives_the_last_connection_is_told_once() {
    let leaks = |run: &mut dyn FnMut()| -> Vec<String> {
        let mut events = events_of(run);
        events.retain(|event| event.contains("finalite::leak"));
        events
    };
    let other = Connection::open_in_memory().unwrap();
    let (conn, line) = (Connection::open_in_memory().unwrap(), line!());
    let mut kept = None;
    inside(&conn, || kept = Block::new(1000));
    // A connection that is open may share it.
    let (mut conn, mut other) = (Some(conn), Some(other));
    assert_eq!(leaks(&mut || drop(conn.take())), [""; 0]);
    let told = leaks(&mut || drop(other.take()));
    let [event] = &told[..] else { panic!("{told:#?}") };
    assert!(event.starts_with("ERROR finalite::leak: memory of a closed connection is not freed"), "{event}");
    assert!(event.contains(&format!("events.rs:{line}:")) && event.contains("blocks=1"), "{event}");
    assert_eq!(leaks(&mut || drop(Connection::open_in_memory().unwrap())), [""; 0]);
    drop(kept);
}
