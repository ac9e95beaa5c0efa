//! What is listed of the handles that are open, and of those that were forgotten. The lists are the process's, so these
//! tests run one at a time.

mod panicking;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem::forget;
use std::ops::RangeInclusive;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use finalite::handles::{self, ForgottenHandle, HandleCounts, HandleKind, OpenHandle, TrackingLevel};
use finalite::{Connection, DropBehavior, FromRow, OpenOptions, Param, Row, ToSql, TransactionBehavior, ffi};
use panicking::Panicking;

/// The process, for one test.
struct Alone(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

fn alone(level: TrackingLevel) -> Alone {
    static PROCESS: Mutex<()> = Mutex::new(());
    let alone = Alone(PROCESS.lock().unwrap_or_else(PoisonError::into_inner));
    handles::set_level(level);
    alone
}

impl Drop for Alone {
    fn drop(&mut self) {
        HandleKind::ALL.iter().for_each(|&kind| handles::set_warn_after(kind, None));
        handles::set_level(TrackingLevel::Records);
    }
}

fn records() -> Vec<OpenHandle> {
    handles::live().records
}

/// The one record of a kind.
fn the(kind: HandleKind) -> OpenHandle {
    let mut found: Vec<OpenHandle> = records().into_iter().filter(|record| record.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found.remove(0)
}

fn kinds() -> Vec<HandleKind> {
    records().iter().map(|record| record.kind).collect()
}

#[track_caller]
fn assert_opened_at(record: &OpenHandle, line: u32) {
    assert_eq!((record.opened_at.file(), record.opened_at.line()), (file!(), line), "{record}");
}

#[test]
fn without_records_everything_is_unrecorded() {
    let _alone = alone(TrackingLevel::Counters);
    let mut conn = Connection::open_in_memory().unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let mut statement = savepoint.prepare("SELECT 1").unwrap();
    let cached = savepoint.prepare_cached("SELECT 2").unwrap();
    let rows = statement.query(()).unwrap();
    let live = handles::live();
    assert!(live.records.is_empty(), "{live:#?}");
    assert_eq!(live.unrecorded, handles::counts());
    // BEGIN and SAVEPOINT are in the cache.
    assert_eq!(numbers(live.unrecorded), [1, 1, 3, 1, 1, 1, 0]);
    drop((rows, cached));
    drop((statement, savepoint));
    drop(tx);
    drop(conn);
    assert_eq!(handles::live().unrecorded, HandleCounts::default());
}

fn numbers(counts: HandleCounts) -> [u64; 7] {
    HandleKind::ALL.map(|kind| counts.of(kind))
}

#[test]
fn each_handle_has_one_record() {
    let _alone = alone(TrackingLevel::Records);
    let (mut conn, conn_line) = (Connection::open_in_memory().unwrap(), line!());
    let (mut tx, tx_line) = (conn.transaction().unwrap(), line!());
    let (mut outer, outer_line) = (tx.savepoint().unwrap(), line!());
    let (inner, inner_line) = (outer.savepoint().unwrap(), line!());
    let (statement, statement_line) = (inner.prepare("SELECT 'a'").unwrap(), line!());
    let (cached, cached_line) = (inner.prepare_cached("SELECT 'b'").unwrap(), line!());

    let live = handles::live();
    assert_eq!(live.unrecorded, HandleCounts::default());
    let of = |kind| live.records.iter().filter(move |record| record.kind == kind);
    for kind in HandleKind::ALL {
        assert_eq!(of(kind).count() as u64, handles::counts().of(kind), "{kind}");
    }
    let ids: BTreeSet<u64> = live.records.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), live.records.len(), "each id once");
    assert!(live.records.is_sorted_by_key(|record| record.id), "in the order they were opened");
    let current = thread::current();
    for record in &live.records {
        assert_eq!((record.thread, record.thread_name.as_deref()), (Some(current.id()), current.name()), "{record}");
        assert!(record.running.is_none() && record.backtrace().is_none(), "{record:#?}");
    }

    let connection = the(HandleKind::Connection);
    assert_opened_at(&connection, conn_line);
    assert_eq!((connection.parent, &connection.sql), (None, &None));
    let transaction = the(HandleKind::Transaction);
    assert_opened_at(&transaction, tx_line);
    assert_eq!((transaction.parent, &transaction.sql), (Some(connection.id), &None));
    let savepoints: Vec<&OpenHandle> = of(HandleKind::Savepoint).collect();
    assert_opened_at(savepoints[0], outer_line);
    assert_eq!(savepoints[0].parent, Some(transaction.id));
    assert_opened_at(savepoints[1], inner_line);
    assert_eq!(savepoints[1].parent, Some(savepoints[0].id));
    let of_statement = the(HandleKind::Statement);
    assert_opened_at(&of_statement, statement_line);
    assert_eq!((of_statement.parent, of_statement.sql.as_deref()), (Some(connection.id), Some("SELECT 'a'")));
    let of_cached = of(HandleKind::CachedStatement).find(|record| record.sql.as_deref() == Some("SELECT 'b'")).unwrap();
    assert_opened_at(of_cached, cached_line);
    assert_eq!(of_cached.parent, Some(connection.id));

    let line = of_statement.to_string();
    let site = format!("{}:{statement_line}:", file!());
    assert!(line.starts_with(&format!("statement {} opened at {site}", of_statement.id)), "{line}");
    assert!(line.ends_with(": SELECT 'a'"), "{line}");
    drop((statement, cached));
    drop(inner);
    drop(outer);
    drop(tx);
    drop(conn);
    assert!(records().is_empty());
}

#[test]
fn age_grows_and_the_thread_is_the_one_that_opened() {
    let _alone = alone(TrackingLevel::Records);
    let open = || Connection::open_in_memory().unwrap();
    let opener = thread::Builder::new().name("opener".into()).spawn(move || (open(), thread::current().id()));
    let (conn, thread) = opener.unwrap().join().unwrap();
    let nameless = thread::Builder::new().spawn(open).unwrap().join().unwrap();
    let first = records();
    assert_eq!((first[0].thread, first[0].thread_name.as_deref()), (Some(thread), Some("opener")));
    assert!(first[0].to_string().contains("on thread opener"), "{}", first[0]);
    assert_eq!(first[1].thread_name, None);
    assert!(first[1].to_string().contains("on ThreadId("), "{}", first[1]);
    // A clock that does not stand still: the second age is larger as soon as it ticks.
    let start = Instant::now();
    while start.elapsed().is_zero() {}
    assert!(records()[0].age > first[0].age);
    drop((conn, nameless));
}

#[test]
fn sql_is_cut_between_two_characters() {
    let _alone = alone(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    for (start, bytes) in [("SELECT '", 256), ("SELECT ' ", 255)] {
        // Characters of two bytes, from an even place on and from an odd one.
        let sql = format!("{start}{}'", "ü".repeat(400));
        let statement = conn.prepare(&sql).unwrap();
        let shown = the(HandleKind::Statement).sql.unwrap();
        assert_eq!(shown.len(), bytes);
        assert!(sql.starts_with(&*shown));
        drop(statement);
    }
    let exact = format!("SELECT {}", "1".repeat(249));
    let statement = conn.prepare(&exact).unwrap();
    assert_eq!(the(HandleKind::Statement).sql.as_deref(), Some(&*exact));
    drop(statement);
    let shown = {
        let mut script = conn.script("SELECT 1 ; SELECT 2;");
        let _first = script.next().unwrap().unwrap();
        the(HandleKind::Statement).sql.unwrap()
    };
    assert_eq!(&*shown, "SELECT 1 ;", "of a script, its own statement alone");
}

#[test]
fn running_is_told_while_rows_are_out() {
    let _alone = alone(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    let is_running = |kind| the(kind).running.is_some();

    let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
    assert!(!is_running(HandleKind::Statement));
    let mut rows = statement.query(()).unwrap();
    assert!(is_running(HandleKind::Statement), "before the first step");
    while rows.next().unwrap().is_some() {
        assert!(is_running(HandleKind::Statement));
    }
    assert!(is_running(HandleKind::Statement), "after the last");
    // By a clock that ticks some hundred times a second.
    let (first, start) = (the(HandleKind::Statement).running, Instant::now());
    while start.elapsed() < Duration::from_millis(50) {}
    let record = the(HandleKind::Statement);
    assert!(record.running > first && record.running.unwrap() <= record.age);
    assert!(record.to_string().contains(", running for "), "{record}");
    assert_eq!(handles::live().unrecorded, HandleCounts::default(), "rows are their statement's");
    rows.finish().unwrap();
    assert!(!is_running(HandleKind::Statement));

    drop(statement.query(()).unwrap());
    assert!(!is_running(HandleKind::Statement));
    forget(statement.query(()).unwrap());
    assert!(is_running(HandleKind::Statement), "forgotten rows hold on");
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2]);
    assert!(!is_running(HandleKind::Statement));

    let mut rows = statement.into_rows(()).unwrap();
    assert!(is_running(HandleKind::Statement));
    rows.next().unwrap();
    drop(rows);
    assert!(kinds() == [HandleKind::Connection]);

    let mut cached = conn.prepare_cached("VALUES (3)").unwrap();
    let rows = cached.query_as::<i64>(()).unwrap();
    assert!(is_running(HandleKind::CachedStatement));
    drop(rows);
    drop(cached);
    assert!(!is_running(HandleKind::CachedStatement));
    // Parameters that are refused: nothing began.
    conn.prepare("SELECT ?").unwrap().query(()).unwrap_err();
    assert_eq!(handles::counts().rows, 0);
}

#[test]
fn the_level_may_change_while_handles_are_open() {
    let _alone = alone(TrackingLevel::Counters);
    let mut conn = Connection::open_in_memory().unwrap();
    let id = |kind| the(kind).id;
    conn.execute("SELECT 1", ()).unwrap();
    let mut old = conn.prepare("SELECT 2").unwrap();

    handles::set_level(TrackingLevel::Records);
    assert_eq!(handles::level(), TrackingLevel::Records);
    let rows_of_old = old.query(()).unwrap();
    conn.execute("SELECT 1", ()).unwrap();
    let mut new = conn.prepare("SELECT 3").unwrap();
    let rows_of_new = new.query(()).unwrap();
    let live = handles::live();
    // The connection, SELECT 2 and its rows, SELECT 1 in the cache; not SELECT 3 and its rows.
    assert_eq!(numbers(live.unrecorded), [1, 1, 1, 1, 0, 0, 0]);
    assert_eq!(live.records.len(), 1);
    assert_eq!(live.records[0].sql.as_deref(), Some("SELECT 3"));
    assert!(live.records[0].parent.is_some(), "of a connection that has no record");
    drop((rows_of_old, rows_of_new));
    drop((old, new));

    let mut tx = conn.transaction().unwrap();
    let transaction = id(HandleKind::Transaction);
    handles::set_level(TrackingLevel::Counters);
    let savepoint = tx.savepoint().unwrap();
    assert_eq!(handles::live().unrecorded.savepoints, 1);
    assert_eq!(id(HandleKind::Transaction), transaction, "what has a record keeps it");
    handles::set_level(TrackingLevel::Records);
    let mut savepoint = savepoint;
    let inner = savepoint.savepoint().unwrap();
    assert_eq!(
        the(HandleKind::Savepoint).parent,
        the(HandleKind::Transaction).parent,
        "the one around it has no record"
    );
    handles::set_level(TrackingLevel::Counters);
    drop(inner);
    drop(savepoint);
    drop(tx);
    drop(conn);
    assert!(records().is_empty(), "records end with their handles, whatever the level: {:#?}", records());
    assert_eq!(handles::counts(), HandleCounts::default());
}

#[test]
fn records_end_with_their_handles() {
    let _alone = alone(TrackingLevel::Records);
    let dir = tempfile::tempdir().unwrap();
    type End = (&'static str, fn(&Path));
    let ends: &[End] = &[
        ("drop", |_| drop(Connection::open_in_memory().unwrap())),
        ("close", |_| Connection::open_in_memory().unwrap().close().unwrap()),
        ("an open that fails", |dir| drop(Connection::open(dir.join("missing/a.db")).unwrap_err())),
        ("an init that fails", |_| {
            let options = OpenOptions::new().init(|conn| conn.execute_batch("SELECT 1; nonsense"));
            options.open_in_memory().unwrap_err();
        }),
        ("a statement that fails", |_| {
            let conn = Connection::open_in_memory().unwrap();
            for sql in ["nonsense", "SELECT 1; SELECT 2", "-- nothing", "SELECT \0"] {
                conn.prepare(sql).unwrap_err();
                conn.prepare_cached(sql).unwrap_err();
            }
            assert_eq!(kinds(), [HandleKind::Connection]);
        }),
        ("finalize and drop of statements", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.prepare("SELECT 1").unwrap().finalize().unwrap();
            drop(conn.prepare("SELECT 1").unwrap());
            drop(conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap());
            conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap().finish().unwrap();
            conn.prepare_cached("SELECT 1").unwrap().finalize().unwrap();
            assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 0);
            conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
            assert_eq!(kinds(), [HandleKind::Connection]);
        }),
        ("the cache: full, cleared, turned off, closed", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.set_statement_cache_limits(2, 1 << 20);
            (0..10).for_each(|n| assert_eq!(conn.execute(&format!("SELECT {n}"), ()).unwrap(), 0));
            assert_eq!(records().len(), 3);
            conn.clear_statement_cache();
            assert_eq!(kinds(), [HandleKind::Connection]);
            let both = (conn.prepare_cached("SELECT 1").unwrap(), conn.prepare_cached("SELECT 1").unwrap());
            assert_eq!(records().len(), 3, "two instances");
            drop(both);
            conn.set_statement_cache_limits(0, 0);
            assert_eq!(kinds(), [HandleKind::Connection]);
            conn.set_statement_cache_limits(8, 1 << 20);
            conn.execute("SELECT 1", ()).unwrap();
            assert_eq!(records().len(), 2);
        }),
        ("transactions and savepoints", |_| {
            let mut conn = Connection::open_in_memory().unwrap();
            let guards = || {
                kinds().iter().filter(|kind| matches!(kind, HandleKind::Transaction | HandleKind::Savepoint)).count()
            };
            drop(conn.transaction().unwrap());
            conn.transaction().unwrap().commit().unwrap();
            conn.transaction().unwrap().rollback().unwrap();
            conn.transaction().unwrap().set_drop_behavior(DropBehavior::Commit);
            conn.transaction_with(TransactionBehavior::Immediate).unwrap().commit_or_return().unwrap();
            assert_eq!(guards(), 0);
            let mut tx = conn.transaction().unwrap();
            drop(tx.savepoint().unwrap());
            tx.savepoint().unwrap().commit().unwrap();
            tx.savepoint_named("a").unwrap().rollback().unwrap();
            assert_eq!(guards(), 1);
            // SQLite ends it by itself.
            tx.execute("ROLLBACK", ()).unwrap();
            drop(tx);
            assert_eq!(guards(), 0);
            // One that does not begin.
            conn.execute("BEGIN", ()).unwrap();
            conn.transaction().unwrap_err();
            assert_eq!(guards(), 0);
        }),
        ("a panic", |_| {
            let work = || {
                let mut conn = Connection::open_in_memory().unwrap();
                let tx = conn.transaction().unwrap();
                let mut statement = tx.prepare("SELECT 1").unwrap();
                let _rows = statement.query(()).unwrap();
                panic!("with everything open");
            };
            assert!(std::panic::catch_unwind(work).is_err());
        }),
        ("forgotten, then closed", |_| {
            let mut conn = Connection::open_in_memory().unwrap();
            forget(conn.prepare("SELECT 1").unwrap());
            forget(conn.prepare_cached("SELECT 1").unwrap());
            forget(conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap());
            let mut tx = conn.transaction().unwrap();
            forget(tx.savepoint().unwrap());
            forget(tx);
            assert!(records().len() > 5);
        }),
        ("opened here, closed elsewhere", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute("SELECT 1", ()).unwrap();
            thread::spawn(move || drop(conn)).join().unwrap();
        }),
        ("in the destructor of a thread-local", |_| {
            struct Late(Option<Connection>);
            impl Drop for Late {
                fn drop(&mut self) {
                    let conn = Connection::open_in_memory().unwrap();
                    conn.execute("SELECT 1", ()).unwrap();
                    assert_eq!(records().len(), 3, "this, its statement, and the one that was kept");
                }
            }
            thread_local! {
                static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) };
            }
            let keep = || LATE.with(|late| late.borrow_mut().0 = Some(Connection::open_in_memory().unwrap()));
            thread::spawn(keep).join().unwrap();
        }),
        ("refused by SQLite, then closed", |_| {
            let conn = Connection::open_in_memory().unwrap();
            let foreign = foreign_statement(&conn);
            let conn = conn.close_or_return().unwrap_err().into_connection();
            assert_eq!(kinds(), [HandleKind::Connection]);
            // SAFETY: made above, finalized once.
            unsafe { ffi::sqlite3_finalize(foreign) };
            conn.close().unwrap();
        }),
    ];
    for (name, end) in ends {
        end(dir.path());
        let live = handles::live();
        assert!(live.records.is_empty(), "{name}: {:#?}", live.records);
        assert_eq!(live.unrecorded, HandleCounts::default(), "{name}");
    }
}

/// A statement that finalite does not know: its connection cannot be closed.
fn foreign_statement(conn: &Connection) -> *mut ffi::sqlite3_stmt {
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open and the SQL NUL-terminated.
    unsafe { ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
    assert!(!statement.is_null());
    statement
}

#[test]
fn connections_and_transactions_have_backtraces_on_demand() {
    let _alone = alone(TrackingLevel::Backtraces);
    assert_eq!(handles::level(), TrackingLevel::Backtraces);
    let mut conn = Connection::open_in_memory().unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let statement = savepoint.prepare("SELECT 1").unwrap();
    for record in records() {
        let backtrace = record.backtrace().map(ToString::to_string);
        match record.kind {
            HandleKind::Connection | HandleKind::Transaction => {
                let backtrace = backtrace.unwrap();
                assert!(backtrace.contains("connections_and_transactions_have_backtraces"), "{backtrace}");
            }
            _ => assert!(backtrace.is_none(), "{record}"),
        }
    }
    handles::set_level(TrackingLevel::Records);
    let other = Connection::open_in_memory().unwrap();
    assert!(records().last().unwrap().backtrace().is_none());
    drop(statement);
    drop(savepoint);
    drop(tx);
    drop((conn, other));
}

// ---- where each call says that it opened something ----

/// Listens to every event: keeps those about leaks, and may list the handles at each of the others, so that also those
/// are seen that live within a call.
#[derive(Clone, Default)]
struct Log {
    entries: Arc<Mutex<Entries>>,
    is_looking: bool,
}

#[derive(Default)]
struct Entries {
    leaks: Vec<String>,
    seen: BTreeMap<u64, OpenHandle>,
}

impl Log {
    fn during<T>(work: impl FnOnce() -> T) -> (T, Entries) {
        let log = Self { is_looking: true, ..Self::default() };
        let result = tracing::subscriber::with_default(log.clone(), work);
        let entries = std::mem::take(&mut *log.entries.lock().unwrap());
        (result, entries)
    }

    /// The warnings and errors about leaks so far, taken.
    fn take_leaks(&self) -> Vec<String> {
        std::mem::take(&mut self.entries.lock().unwrap().leaks)
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target() == "finalite::leak" {
            let mut text = Fields(event.metadata().level().to_string());
            event.record(&mut text);
            self.entries.lock().unwrap().leaks.push(text.0);
        } else if self.is_looking {
            let records = records();
            self.entries.lock().unwrap().seen.extend(records.into_iter().map(|record| (record.id, record)));
        }
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        use std::fmt::Write as _;
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

/// Opens a connection and makes one call on it; returns the lines between which both are.
type Call = (&'static str, fn(&Path) -> RangeInclusive<u32>);

fn fresh(dir: &Path) -> std::path::PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    dir.join(format!("{}.db", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// The sites of everything that was opened within the call and is not on its lines.
fn misplaced((name, call): &Call, dir: &Path) -> Vec<String> {
    let (lines, entries) = Log::during(|| call(dir));
    let seen: Vec<&OpenHandle> = entries.seen.values().collect();
    assert!(!seen.is_empty(), "{name}: nothing was seen");
    let is_within =
        |record: &OpenHandle| record.opened_at.file() == file!() && lines.contains(&record.opened_at.line());
    let strangers = seen.into_iter().filter(|record| !is_within(record));
    strangers.map(|record| format!("{name} {lines:?}: {record}")).collect()
}

/// A call on one line that ends with a look at what is open.
macro_rules! call {
    ($dir:ident, $conn:pat_param => $call:expr) => {{
        let $conn = Connection::open(fresh($dir)).unwrap();
        let _result = $call;
        tracing::trace!("look");
        line!()..=line!()
    }};
}

const CALLS: &[Call] = &[
    ("Connection::open", |dir| call!(dir, conn => conn.is_autocommit())),
    ("Connection::open_in_memory", |_| {
        let (_conn, line) = (Connection::open_in_memory().unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("OpenOptions::open", |dir| {
        let (_conn, line) = (OpenOptions::new().open(fresh(dir)).unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("OpenOptions::open_in_memory", |_| {
        let (_conn, line) = (OpenOptions::new().open_in_memory().unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("OpenOptions::open_temporary", |_| {
        let (_conn, line) = (OpenOptions::new().open_temporary().unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("Connection::from_raw", |_| {
        let mut handle = ptr::null_mut();
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_NOMUTEX;
        // SAFETY: the path is NUL-terminated.
        unsafe { ffi::sqlite3_open_v2(c":memory:".as_ptr(), &raw mut handle, flags, ptr::null()) };
        // SAFETY: the handle is open, and given away.
        let (_conn, line) = (unsafe { Connection::from_raw(handle) }.unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("Connection::prepare", |dir| call!(dir, conn => conn.prepare("SELECT 1").unwrap())),
    ("Connection::prepare_cached", |dir| call!(dir, conn => conn.prepare_cached("SELECT 1").unwrap())),
    (
        "Connection::prepare_cached of a pragma",
        |dir| call!(dir, conn => conn.prepare_cached("PRAGMA user_version").unwrap()),
    ),
    ("Connection::execute", |dir| call!(dir, conn => conn.execute("SELECT 1", ()).unwrap())),
    ("Connection::query_one", |dir| call!(dir, conn => conn.query_one::<i64>("SELECT 1", ()).unwrap())),
    ("Connection::query_optional", |dir| call!(dir, conn => conn.query_optional::<i64>("SELECT 1", ()).unwrap())),
    ("Connection::query_all", |dir| call!(dir, conn => conn.query_all::<i64>("SELECT 1", ()).unwrap())),
    (
        "Connection::query_row",
        |dir| call!(dir, conn => conn.query_row("SELECT 1", (), |row| row.get::<i64>(0)).unwrap()),
    ),
    (
        "Connection::query_row_and_then",
        |dir| call!(dir, conn => conn.query_row_and_then("SELECT 1", (), |row| row.get::<i64>(0)).unwrap()),
    ),
    ("Connection::exists", |dir| call!(dir, conn => conn.exists("SELECT 1", ()).unwrap())),
    ("Connection::query_as", |dir| call!(dir, conn => drop(conn.query_as::<i64>("SELECT 1", ()).unwrap()))),
    (
        "Connection::query_map",
        |dir| call!(dir, conn => drop(conn.query_map("SELECT 1", (), |row| row.get::<i64>(0)).unwrap())),
    ),
    (
        "Connection::query_and_then",
        |dir| call!(dir, conn => drop(conn.query_and_then("SELECT 1", (), |row| row.get::<i64>(0)).unwrap())),
    ),
    ("Connection::journal_mode", |dir| call!(dir, conn => conn.journal_mode().unwrap())),
    ("Connection::pragma", |dir| call!(dir, conn => conn.pragma::<i64>("user_version").unwrap())),
    ("Connection::set_pragma", |dir| call!(dir, conn => conn.set_pragma("user_version", 7).unwrap())),
    (
        "Connection::set_pragma, not read back",
        |dir| call!(dir, conn => conn.set_pragma("case_sensitive_like", true).unwrap()),
    ),
    ("Connection::set_pragma, a secret", |dir| call!(dir, conn => conn.set_pragma("key", "secret").unwrap())),
    ("Connection::execute_batch", |dir| call!(dir, conn => conn.execute_batch("SELECT 1; SELECT 2").unwrap())),
    (
        "Connection::execute_batch that rolls back",
        |dir| call!(dir, conn => conn.execute_batch("BEGIN; SELECT 1; nonsense").unwrap_err()),
    ),
    ("Script::next", |dir| call!(dir, conn => conn.script("SELECT 1; SELECT 2").next().unwrap().unwrap())),
    ("a loop over a script", |dir| {
        let first = line!();
        let conn = Connection::open(fresh(dir)).unwrap();
        for statement in conn.script("SELECT 1; SELECT 2") {
            statement.unwrap().execute(()).unwrap();
        }
        first..=line!()
    }),
    ("Statement::into_rows", |dir| call!(dir, conn => conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap())),
    ("OpenOptions::init", |_| {
        let first = line!();
        let options = OpenOptions::new().init(|conn| conn.execute("SELECT 1", ()).map(drop));
        let _conn = options.open_in_memory().unwrap();
        tracing::trace!("look");
        first..=line!()
    }),
];

/// As [`CALLS`]: what these run by themselves.
const CALLS_WITHIN: &[Call] = &[
    ("OpenOptions::recommended", |dir| {
        let (_conn, line) = (OpenOptions::recommended().open(fresh(dir)).unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("OpenOptions::pragma", |dir| {
        let (_conn, line) = (OpenOptions::new().pragma("cache_size", 100).open(fresh(dir)).unwrap(), line!());
        tracing::trace!("look");
        line..=line
    }),
    ("OpenOptions::optimize_on_close", |dir| {
        let first = line!();
        OpenOptions::new().optimize_on_close(true).open(fresh(dir)).unwrap().close().unwrap();
        first..=line!()
    }),
    (
        "Connection::transaction",
        |dir| call!(dir, mut conn => conn.transaction().unwrap().execute("SELECT 1", ()).unwrap()),
    ),
    ("Connection::transaction_with", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        let tx = conn.transaction_with(TransactionBehavior::Exclusive).unwrap();
        let statements = (tx.prepare("SELECT 1").unwrap(), tx.prepare_cached("SELECT 1").unwrap());
        tracing::trace!("look");
        drop(statements);
        first..=line!()
    }),
    (
        "Connection::unchecked_transaction",
        |dir| call!(dir, conn => conn.unchecked_transaction().unwrap().commit().unwrap()),
    ),
    ("Connection::savepoint", |dir| {
        let conn = Connection::open(fresh(dir));
        let (mut conn, first) = (conn.unwrap(), line!() - 1);
        let outer = conn.savepoint().unwrap();
        tracing::trace!("look");
        outer.commit().unwrap();
        first..=line!()
    }),
    ("a savepoint of a connection, dropped", |dir| call!(dir, mut conn => drop(conn.savepoint().unwrap()))),
    ("Transaction::commit", |dir| call!(dir, mut conn => conn.transaction().unwrap().commit().unwrap())),
    (
        "Transaction::commit_or_return",
        |dir| call!(dir, mut conn => conn.transaction().unwrap().commit_or_return().unwrap()),
    ),
    ("Transaction::rollback", |dir| call!(dir, mut conn => conn.transaction().unwrap().rollback().unwrap())),
    ("a transaction dropped", |dir| call!(dir, mut conn => drop(conn.transaction().unwrap()))),
    ("a forgotten transaction rolled back", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        forget(conn.transaction().unwrap());
        forget(conn.transaction().unwrap());
        first..=line!()
    }),
    ("Transaction::savepoint", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        let mut tx = conn.transaction().unwrap();
        let savepoint = tx.savepoint().unwrap();
        let statements = (savepoint.prepare("SELECT 1").unwrap(), savepoint.prepare_cached("SELECT 1").unwrap());
        tracing::trace!("look");
        drop(statements);
        first..=line!()
    }),
    ("Transaction::savepoint_named", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        let mut tx = conn.transaction().unwrap();
        let _savepoint = tx.savepoint_named("a").unwrap();
        tracing::trace!("look");
        first..=line!()
    }),
    ("Savepoint::savepoint", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        let mut tx = conn.transaction().unwrap();
        let mut outer = tx.savepoint().unwrap();
        let _inner = outer.savepoint().unwrap();
        tracing::trace!("look");
        first..=line!()
    }),
    ("Savepoint::savepoint_named and commit", |dir| {
        let first = line!();
        let mut conn = Connection::open(fresh(dir)).unwrap();
        let mut tx = conn.transaction().unwrap();
        let mut outer = tx.savepoint().unwrap();
        outer.savepoint_named("a").unwrap().commit().unwrap();
        outer.rollback().unwrap();
        first..=line!()
    }),
    (
        "a script through an adapter of the standard library",
        |dir| call!(dir, conn => conn.script("SELECT 1; SELECT 2").collect::<Vec<_>>()),
    ),
];

fn assert_placed(calls: &[Call]) {
    let dir = tempfile::tempdir().unwrap();
    let misplaced: Vec<String> = calls.iter().flat_map(|call| misplaced(call, dir.path())).collect();
    assert!(misplaced.is_empty(), "{} of {} calls:\n{}", misplaced.len(), calls.len(), misplaced.join("\n"));
}

#[test]
fn each_call_names_the_callers_line() {
    let _alone = alone(TrackingLevel::Records);
    assert_placed(CALLS);

    // A call without #[track_caller] is found out.
    fn hidden(conn: &Connection) -> finalite::Result<i64> {
        conn.query_one("SELECT 1", ())
    }
    let control: Call = ("a function that tells its own line", |dir| call!(dir, conn => hidden(&conn).unwrap()));
    assert_eq!(misplaced(&control, tempfile::tempdir().unwrap().path()).len(), 1);
}

#[test]
fn each_call_names_the_callers_line_for_what_it_runs_by_itself() {
    let _alone = alone(TrackingLevel::Records);
    assert_placed(CALLS_WITHIN);
}

// ---- what is never shown ----

#[test]
fn no_bound_value_is_shown() {
    const SECRET: &str = "s3cr3t-value";
    let _alone = alone(TrackingLevel::Backtraces);
    let (shown, entries) = Log::during(|| {
        handles::set_warn_after(HandleKind::Statement, Some(Duration::ZERO));
        let conn = Connection::open_in_memory().unwrap();
        let mut statement = conn.prepare("SELECT ?, ?").unwrap();
        let mut rows = statement.query((SECRET, SECRET.as_bytes())).unwrap();
        rows.next().unwrap();
        let live = handles::live();
        let mut shown = format!("{live:?} {:#?} ", live.records);
        shown.extend(live.records.iter().map(|record| format!("{record} {record:?} ")));
        forget(rows);
        forget(statement);
        let mut cached = conn.prepare_cached("SELECT ? || ''").unwrap();
        forget(cached.query((SECRET,)).unwrap());
        forget(cached);
        conn.set_pragma("key", SECRET).unwrap();
        drop(conn);
        let forgotten = handles::forgotten_handles();
        shown.extend(forgotten.iter().map(|one| format!("{one} {one:?} ")));
        shown
    });
    let all = format!("{shown} {} {:?}", entries.leaks.join(" "), entries.seen);
    assert!(all.contains("SELECT ?, ?") && all.contains("SELECT ? || ''") && all.contains("forgotten"), "{all}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!all.contains(SECRET) && !all.contains(bytes.trim_matches(['[', ']'])), "{all}");
    // In SQL it is seen: the same look, and a value that is not bound.
    let conn = Connection::open_in_memory().unwrap();
    let _statement = conn.prepare(&format!("SELECT '{SECRET}'")).unwrap();
    assert!(format!("{:?}", handles::live()).contains(SECRET));
}

// ---- threads ----

/// One connection's worth of everything.
fn use_everything() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let mut statement = savepoint.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(rows);
    forget(statement);
}

#[test]
fn another_thread_may_list_at_any_time() {
    let _alone = alone(TrackingLevel::Records);
    let forgotten_before = handles::forgotten().statements;
    let is_enough = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    let (mut doubles, mut orphans, mut too_many) = (0, 0, 0);
    thread::scope(|scope| {
        for n in 0..4 {
            let (is_enough, rounds) = (&is_enough, &rounds);
            scope.spawn(move || {
                while !is_enough.load(Ordering::Relaxed) {
                    use_everything();
                    rounds.fetch_add(1, Ordering::Relaxed);
                    if n == 0 {
                        // Records of both kinds at once: with and without backtraces, and none.
                        let levels = [TrackingLevel::Records, TrackingLevel::Backtraces, TrackingLevel::Counters];
                        handles::set_level(levels[rounds.load(Ordering::Relaxed) % 3]);
                    }
                }
            });
        }
        let mut seen = BTreeSet::new();
        let mut listings = 0;
        while listings < 500 || seen.len() < 5 || rounds.load(Ordering::Relaxed) < 200 {
            let records = records();
            let ids: BTreeSet<u64> = records.iter().map(|record| record.id).collect();
            doubles += records.len() - ids.len();
            orphans += records.iter().filter(|record| record.parent.is_some_and(|parent| parent >= record.id)).count();
            seen.extend(records.iter().map(|record| record.kind.name()));
            too_many += usize::from(handles::forgotten_handles().len() > 256);
            listings += 1;
        }
        is_enough.store(true, Ordering::Relaxed);
    });
    assert_eq!((doubles, orphans, too_many), (0, 0, 0));
    let live = handles::live();
    assert!(live.records.is_empty(), "{:#?}", live.records);
    assert_eq!(live.unrecorded, HandleCounts::default());
    let rounds = rounds.load(Ordering::Relaxed) as u64;
    assert_eq!(handles::forgotten().statements - forgotten_before, rounds, "none lost, none twice");
}

// ---- what is held for long ----

fn texts(lines: &[String]) -> Vec<&str> {
    let text = |line: &str| {
        if line.contains("message=held for long") {
            "long"
        } else if line.contains("message=released") {
            "released"
        } else {
            panic!("{line}")
        }
    };
    lines.iter().map(|line| text(line)).collect()
}

#[test]
fn what_is_held_for_long_is_warned_of_once_and_again_when_it_is_released() {
    let _alone = alone(TrackingLevel::Records);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let mut conn = Connection::open_in_memory().unwrap();
        handles::set_warn_after(HandleKind::Transaction, Some(Duration::ZERO));
        handles::set_warn_after(HandleKind::Statement, Some(Duration::from_nanos(1)));
        handles::set_warn_after(HandleKind::CachedStatement, Some(Duration::ZERO));

        let (tx, line) = (conn.transaction().unwrap(), line!());
        assert_eq!(texts(&log.take_leaks()), ["long", "released"], "BEGIN, which ran from the cache");
        assert_eq!(handles::warn_overdue(), 1);
        let leaks = log.take_leaks();
        assert_eq!(texts(&leaks), ["long"]);
        let site = format!("opened_at={}:{line}:", file!());
        assert!(leaks[0].starts_with("WARN") && leaks[0].contains("kind=transaction"), "{leaks:?}");
        assert!(leaks[0].contains(&site) && leaks[0].contains(" held="), "{leaks:?}");
        assert_eq!(handles::warn_overdue(), 1, "still held");
        drop(handles::live());
        assert!(log.take_leaks().is_empty(), "told once");
        handles::set_warn_after(HandleKind::CachedStatement, None);
        tx.commit().unwrap();
        let leaks = log.take_leaks();
        assert_eq!(texts(&leaks), ["released"]);
        assert!(leaks[0].contains("kind=transaction") && leaks[0].contains(&site), "{leaks:?}");
        assert_eq!(handles::warn_overdue(), 0);

        // Nobody looked while it was held.
        drop(conn.transaction().unwrap());
        assert_eq!(texts(&log.take_leaks()), ["long", "released"]);

        // An idle statement harms nobody.
        let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
        assert_eq!(handles::warn_overdue(), 0);
        for _ in 0..2 {
            let mut rows = statement.query(()).unwrap();
            rows.next().unwrap();
            drop(handles::live());
            let leaks = log.take_leaks();
            assert_eq!(texts(&leaks), ["long"]);
            assert!(leaks[0].contains("kind=statement") && leaks[0].contains("VALUES (1), (2)"), "{leaks:?}");
            assert_eq!(handles::warn_overdue(), 1);
            assert!(log.take_leaks().is_empty());
            drop(rows);
            assert_eq!(texts(&log.take_leaks()), ["released"]);
            assert_eq!(handles::warn_overdue(), 0);
        }
        drop(statement);
        assert!(log.take_leaks().is_empty());

        // Rows that were forgotten hold on until they are found.
        let mut statement = conn.prepare("VALUES (1)").unwrap();
        forget(statement.query(()).unwrap());
        assert_eq!(handles::warn_overdue(), 1);
        assert_eq!(texts(&log.take_leaks()), ["long"]);
        forget(statement);
        handles::set_warn_after(HandleKind::Connection, Some(Duration::ZERO));
        assert_eq!(handles::warn_overdue(), 2, "the rows, and the connection");
        log.take_leaks();
        drop(conn);
        let mut leaks = log.take_leaks();
        leaks.retain(|line| !line.contains("a handle was forgotten"));
        assert_eq!(texts(&leaks), ["released", "released"], "{leaks:?}");

        // Far from overdue, and turned off.
        handles::set_warn_after(HandleKind::Connection, Some(Duration::MAX));
        handles::set_warn_after(HandleKind::Savepoint, Some(Duration::from_secs(1 << 40)));
        handles::set_warn_after(HandleKind::Transaction, None);
        let mut conn = Connection::open_in_memory().unwrap();
        let mut tx = conn.transaction().unwrap();
        let savepoint = tx.savepoint().unwrap();
        assert_eq!(handles::warn_overdue(), 0);
        handles::set_warn_after(HandleKind::Savepoint, Some(Duration::ZERO));
        assert_eq!(handles::warn_overdue(), 1);
        drop(savepoint);
        drop(tx);
        drop(conn);
        assert_eq!(texts(&log.take_leaks()), ["long", "released"]);
    });
}

#[test]
fn a_threshold_for_rows_is_that_of_their_statements() {
    let _alone = alone(TrackingLevel::Records);
    handles::set_warn_after(HandleKind::Rows, Some(Duration::ZERO));
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT 1").unwrap();
    let _rows = statement.query(()).unwrap();
    assert_eq!(handles::warn_overdue(), 1);
}

// ---- what was forgotten ----

/// What was forgotten by this, with the errors that were logged of it.
fn forgotten_by(work: impl FnOnce()) -> (Vec<ForgottenHandle>, Vec<String>) {
    let before = handles::forgotten().total();
    let ((), entries) = Log::during(work);
    let count = usize::try_from(handles::forgotten().total() - before).unwrap();
    let all = handles::forgotten_handles();
    (all[all.len() - count..].to_vec(), entries.leaks)
}

#[test]
fn the_forgotten_are_named_with_their_sites_whatever_the_level() {
    for level in [TrackingLevel::Counters, TrackingLevel::Records] {
        let _alone = alone(level);
        let mut expected: Vec<(HandleKind, u32, Option<&str>)> = Vec::new();
        let (forgotten, log) = forgotten_by(|| {
            let mut conn = Connection::open_in_memory().unwrap();
            let mut used = conn.prepare("VALUES (1)").unwrap();
            expected.push((HandleKind::Rows, line!() - 1, Some("VALUES (1)")));
            forget(used.query(()).unwrap());
            assert_eq!(used.query_one::<i64>(()).unwrap(), 1);
            drop(used);

            let mut tx = conn.transaction().unwrap();
            let tx_line = line!() - 1;
            let mut outer = tx.savepoint().unwrap();
            let outer_line = line!() - 1;
            forget(outer.savepoint_named("inner").unwrap());
            expected.push((HandleKind::Savepoint, line!() - 1, None));
            forget(outer);
            expected.push((HandleKind::Savepoint, outer_line, None));
            forget(tx);
            expected.push((HandleKind::Transaction, tx_line, None));
            drop(conn.transaction().unwrap());

            let mut statement = conn.prepare("SELECT ?").unwrap();
            expected.push((HandleKind::Rows, line!() - 1, Some("SELECT ?")));
            expected.push((HandleKind::Statement, line!() - 2, Some("SELECT ?")));
            forget(statement.query((1,)).unwrap());
            forget(statement);
            forget(conn.prepare("SELECT 2").unwrap());
            expected.push((HandleKind::Statement, line!() - 1, Some("SELECT 2")));
            forget(conn.prepare_cached("SELECT 3").unwrap());
            expected.push((HandleKind::CachedStatement, line!() - 1, Some("SELECT 3")));
        });
        assert_eq!(forgotten.len(), expected.len(), "{forgotten:#?}");
        assert_eq!(log.len(), expected.len(), "{log:#?}");
        // The connection has finalized them in the order of their places, which is not told.
        expected.sort_unstable_by_key(|&(kind, line, _)| (line, kind.name()));
        let mut found: Vec<_> =
            forgotten.iter().map(|one| (one.kind, one.opened_at.unwrap().line(), one.sql.as_deref())).collect();
        found.sort_unstable_by_key(|&(kind, line, _)| (line, kind.name()));
        assert_eq!(found, expected);
        assert!(forgotten.iter().all(|one| one.opened_at.unwrap().file() == file!()));
        let connection = forgotten[0].connection;
        assert!(forgotten.iter().all(|one| one.connection == connection));
        for one in &forgotten {
            let site = one.opened_at.unwrap();
            let is_it = |line: &&String| {
                line.starts_with("ERROR")
                    && line.contains("message=a handle was forgotten")
                    && line.contains(&format!("kind={} ", one.kind))
                    && line.contains(&format!("opened_at={site}"))
            };
            assert_eq!(log.iter().filter(is_it).count(), 1, "{one}: {log:#?}");
            assert!(one.to_string().starts_with(&format!("{} of connection {connection} opened at {site}", one.kind)));
        }
        assert!(records().is_empty());
    }
}

#[test]
fn the_last_256_forgotten_are_kept_oldest_first() {
    let _alone = alone(TrackingLevel::Counters);
    let before = handles::forgotten().statements;
    let conn = Connection::open_in_memory().unwrap();
    (0..300).for_each(|n| forget(conn.prepare(&format!("SELECT {n}")).unwrap()));
    drop(conn);
    assert_eq!(handles::forgotten().statements - before, 300);
    let kept: Vec<Box<str>> = handles::forgotten_handles().into_iter().map(|one| one.sql.unwrap()).collect();
    assert_eq!(kept.len(), 256);
    assert_eq!((&*kept[0], &*kept[255]), ("SELECT 44", "SELECT 299"));
}

/// In a process of its own, as its count stays.
#[test]
fn a_connection_that_cannot_be_closed_is_named() {
    const INNER: &str = "FINALITE_TEST_IS_INNER";
    if std::env::var_os(INNER).is_none() {
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", "a_connection_that_cannot_be_closed_is_named", "--nocapture"]).env(INNER, "1");
        let output = own.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let mut line = 0;
    let mut left = (ptr::null_mut(), ptr::null_mut());
    let (forgotten, _) = forgotten_by(|| {
        let conn = Connection::open_in_memory().unwrap();
        line = line!() - 1;
        // SAFETY: used when finalite has given it up.
        left = (foreign_statement(&conn), unsafe { conn.as_raw() });
        drop(conn);
    });
    // SAFETY: made above, finalized once.
    unsafe { ffi::sqlite3_finalize(left.0) };
    // SAFETY: finalite has left it behind.
    unsafe { ffi::sqlite3_close(left.1) };
    let [one] = forgotten.as_slice() else { panic!("{forgotten:#?}") };
    let site = one.opened_at.unwrap();
    assert_eq!((one.kind, site.file(), site.line()), (HandleKind::Connection, file!(), line));
    // finalite never saw it close, and goes on naming it.
    let live = handles::live();
    let named: Vec<_> = live.records.iter().map(|record| (record.kind, record.opened_at.line())).collect();
    assert_eq!((named, live.unrecorded.connections), (vec![(HandleKind::Connection, line)], 0));
}

#[test]
fn the_sql_of_the_forgotten_is_cut_too() {
    let _alone = alone(TrackingLevel::Records);
    let (forgotten, _) = forgotten_by(|| {
        let conn = Connection::open_in_memory().unwrap();
        forget(conn.prepare(&format!("SELECT '{}'", "x".repeat(1 << 20))).unwrap());
    });
    assert!(forgotten[0].sql.as_ref().unwrap().len() <= 256);
}

// ---- what runs within a call sees itself ----

#[test]
fn parameters_and_rows_may_look() {
    struct Looks;
    impl ToSql for Looks {
        fn to_sql(&self) -> Param<'_> {
            assert_eq!(the(HandleKind::CachedStatement).running, None);
            Param::integer(1)
        }
    }
    struct Looked;
    impl FromRow<'_> for Looked {
        fn from_row(_: Row<'_>) -> finalite::Result<Self> {
            assert!(the(HandleKind::CachedStatement).running.is_some());
            Ok(Self)
        }
    }
    let _alone = alone(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    assert_eq!(conn.query_all::<Looked>("SELECT ?", (&Looks,)).unwrap().len(), 1);
}

// ---- fork ----

#[cfg(unix)]
mod forked {
    use super::*;
    use std::ffi::{c_int, c_uint};

    unsafe extern "C" {
        fn fork() -> c_int;
        fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        fn _exit(status: c_int) -> !;
        fn alarm(seconds: c_uint) -> c_uint;
    }

    #[derive(Debug, PartialEq)]
    enum End {
        Good,
        Bad,
        /// Killed by the alarm.
        Stuck,
    }

    /// Runs this in a child that is killed if it is not done by then.
    fn in_child(seconds: c_uint, work: impl FnOnce() -> bool) -> End {
        // SAFETY: the child runs `work`, and leaves by `_exit`.
        let pid = unsafe { fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: takes a number; the signal's default is to end the process.
            unsafe { alarm(seconds) };
            let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { _exit(c_int::from(!good)) };
        }
        let mut status = 0;
        // SAFETY: the child was just made.
        assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
        match status {
            0 => End::Good,
            14 => End::Stuck,
            _ => End::Bad,
        }
    }

    fn look() -> bool {
        let live = handles::live();
        live.records.len() < 1000 && handles::counts().connections > 0 && handles::forgotten_handles().len() <= 256
    }

    #[test]
    fn a_child_lists_whatever_locks_its_parents_threads_held() {
        let _alone = alone(TrackingLevel::Records);
        let is_done = AtomicBool::new(false);
        let _conn = Connection::open_in_memory().unwrap();
        let ends = thread::scope(|scope| {
            for n in 0..3 {
                let is_done = &is_done;
                scope.spawn(move || {
                    let conn = Connection::open_in_memory().unwrap();
                    while !is_done.load(Ordering::Relaxed) {
                        match n {
                            0 => drop(conn.prepare("SELECT 1").unwrap()),
                            1 => drop(handles::live()),
                            _ => use_everything(),
                        }
                    }
                });
            }
            let ends: Vec<End> = (0..200).map(|_| in_child(60, look)).collect();
            is_done.store(true, Ordering::Relaxed);
            ends
        });
        assert!(ends.iter().all(|end| *end == End::Good), "{ends:?}");
        // A child that waits for a lock of a thread that it does not have is seen.
        let lock = Mutex::new(());
        let held = lock.lock().unwrap();
        assert_eq!(in_child(1, || lock.lock().is_ok()), End::Stuck);
        drop(held);
    }

    #[test]
    fn a_child_has_no_records() {
        let _alone = alone(TrackingLevel::Records);
        let _conn = Connection::open_in_memory().unwrap();
        assert_eq!(in_child(60, || records().is_empty()), End::Good);
    }
}

// ---- events ----

/// Events that are sent while something ends.
const AT_ENDS: Panicking = Panicking(&["finalite::leak", "finalite::open"]);

#[test]
fn a_subscriber_that_panics_leaves_nothing_half_ended() {
    let _alone = alone(TrackingLevel::Records);
    handles::set_warn_after(HandleKind::Connection, Some(Duration::ZERO));
    handles::set_warn_after(HandleKind::Rows, Some(Duration::ZERO));
    let dir = tempfile::tempdir().unwrap();
    let forgotten = handles::forgotten();
    // It does panic: within a call that may.
    let panicked = std::panic::catch_unwind(|| {
        tracing::subscriber::with_default(AT_ENDS, || tracing::error!(target: "finalite::leak", "the control"));
    });
    assert!(panicked.is_err());
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    tracing::subscriber::with_default(AT_ENDS, move || {
        let mut reused = conn.prepare_cached("VALUES (1), (2)").unwrap();
        forget(reused.query(()).unwrap());
        assert_eq!(reused.query_all::<i64>(()).unwrap(), [1, 2]);
        drop(reused);
        let mut lost = conn.prepare("VALUES (1), (2)").unwrap();
        forget(lost.query(()).unwrap());
        forget(lost);
        forget(conn.prepare("SELECT 1").unwrap());
        drop(conn);
    });
    assert_eq!(handles::counts(), HandleCounts::default());
    assert_eq!(finalite::memory::stats().bytes, 0);
    assert!(records().is_empty());
    assert_eq!(handles::forgotten().rows - forgotten.rows, 2);
    assert_eq!(handles::forgotten().statements - forgotten.statements, 2);
    assert!(!dir.path().join("a.db-journal").exists());
}
