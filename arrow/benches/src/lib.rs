//! Whole tables of a SQLite file as Arrow C streams, for `peers.py`, which gets their addresses.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatchIterator;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions};
use finalite_arrow::{export, record_batches};

pub mod builders;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The connections that are kept between runs.
static OURS: Mutex<Option<Connection>> = Mutex::new(None);
static THEIRS: Mutex<Option<rusqlite::Connection>> = Mutex::new(None);

/// The last stream. Its consumer has moved out of it.
static STREAM: Mutex<Option<Box<FFI_ArrowArrayStream>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection is kept if it has pragmas, and otherwise opened as it is by default, for one run.
fn pragmas() -> Vec<(String, i64)> {
    let pragmas = std::env::var("BENCH_PRAGMAS").unwrap_or_default();
    let each = pragmas.split_whitespace().filter_map(|pragma| pragma.split_once('='));
    each.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

fn read<C, T>(
    slot: &Mutex<Option<C>>,
    open: impl FnOnce(PathBuf) -> Outcome<C>,
    read: impl FnOnce(&C, &str) -> Outcome<T>,
) -> Outcome<T> {
    let mut slot = lock(slot);
    let conn = match slot.take() {
        Some(conn) => conn,
        None => open(std::env::var("BENCH_DATABASE")?.into())?,
    };
    let result = read(&conn, &std::env::var("BENCH_SQL")?)?;
    *slot = (!pragmas().is_empty()).then_some(conn);
    Ok(result)
}

fn stream_of(driver: usize) -> Outcome<FFI_ArrowArrayStream> {
    let (strategy, threads) = match driver {
        0 => return read(&THEIRS, open_rusqlite, with_rusqlite),
        1 => (ScanStrategy::Statement, 1),
        _ => (ScanStrategy::Pages, driver - 1),
    };
    let open = |path| {
        let mut options = OpenOptions::new().read_only(true).create(false);
        for (name, value) in pragmas() {
            options = options.pragma(&name, value);
        }
        Ok(options.open(path)?)
    };
    read(&OURS, open, |conn, sql| {
        let scan = conn.scan(sql, ()).strategy(strategy).threads(threads);
        let plan = scan.plan()?;
        if (plan.strategy, plan.threads) != (strategy, threads) {
            return Err(format!("{plan:?}").into());
        }
        Ok(export(record_batches(scan)?))
    })
}

fn open_rusqlite(path: PathBuf) -> Outcome<rusqlite::Connection> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = rusqlite::Connection::open_with_flags(path, flags)?;
    for (name, value) in pragmas() {
        conn.pragma_update(None, &name, value)?;
    }
    Ok(conn)
}

fn with_rusqlite(conn: &rusqlite::Connection, sql: &str) -> Outcome<FFI_ArrowArrayStream> {
    let mut batches = Vec::new();
    let schema = builders::read(conn, sql, |batch| batches.push(Ok(batch)))?;
    Ok(export(RecordBatchIterator::new(batches, schema)))
}

/// Returns the address of a stream of all rows of `BENCH_SQL` in `BENCH_DATABASE`, which are in memory; or 0. Driver 0
/// is rusqlite, 1 is finalite by the statement, 2 by the pages, 3 by the pages with two threads.
pub extern "C" fn stream_address(driver: usize) -> usize {
    match stream_of(driver) {
        Ok(stream) => (&raw mut **lock(&STREAM).insert(Box::new(stream))).addr(),
        Err(error) => {
            eprintln!("{error}");
            0
        }
    }
}

/// Closes the connections that are kept. Returns the number of open handles of finalite.
pub extern "C" fn close_connections() -> usize {
    drop(lock(&STREAM).take());
    drop(lock(&OURS).take());
    drop(lock(&THEIRS).take());
    usize::try_from(finalite::handles::counts().total()).unwrap_or(usize::MAX)
}
