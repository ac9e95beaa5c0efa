//! Where each call says that it opened something.

use std::mem::forget;
use std::ops::RangeInclusive;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use finalite::handles::{self, OpenHandle, TrackingLevel};
use finalite::{CheckScope, CheckpointMode, Connection, OpenOptions, TransactionBehavior, ffi};

use super::log::Log;
use crate::runner::cases;

cases![each_call_names_the_callers_line, each_call_names_the_callers_line_for_what_it_runs_by_itself,];

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
    ("Connection::attach", |dir| call!(dir, conn => conn.attach(":memory:", "x").unwrap())),
    ("Connection::attach_uri", |dir| call!(dir, conn => conn.attach_uri("file:x?mode=memory", "x").unwrap())),
    ("Connection::detach", |dir| call!(dir, conn => conn.detach("x").unwrap_err())),
    ("Connection::checkpoint", |dir| call!(dir, conn => conn.checkpoint(CheckpointMode::Passive).unwrap())),
    ("Connection::wal_status", |dir| call!(dir, conn => conn.wal_status().unwrap())),
    ("Connection::optimize", |dir| call!(dir, conn => conn.optimize().unwrap())),
    (
        "Connection::integrity_check",
        |dir| call!(dir, conn => conn.integrity_check(CheckScope::All).unwrap().next().is_none()),
    ),
    ("Connection::quick_check", |dir| call!(dir, conn => conn.quick_check(CheckScope::All).unwrap().next().is_none())),
    ("Connection::foreign_key_check", |dir| call!(dir, conn => conn.foreign_key_check(None).unwrap().next().is_none())),
    ("Connection::reset_database", |dir| call!(dir, mut conn => conn.reset_database().unwrap())),
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

fn each_call_names_the_callers_line() {
    handles::set_level(TrackingLevel::Records);
    assert_placed(CALLS);

    // A call without #[track_caller] is found out.
    fn hidden(conn: &Connection) -> finalite::Result<i64> {
        conn.query_one("SELECT 1", ())
    }
    let control: Call = ("a function that tells its own line", |dir| call!(dir, conn => hidden(&conn).unwrap()));
    assert_eq!(misplaced(&control, tempfile::tempdir().unwrap().path()).len(), 1);
}

fn each_call_names_the_callers_line_for_what_it_runs_by_itself() {
    handles::set_level(TrackingLevel::Records);
    assert_placed(CALLS_WITHIN);
}
