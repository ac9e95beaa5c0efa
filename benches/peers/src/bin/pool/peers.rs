//! The pools, all on one file with the same settings.
//!
//! `r2d2_sqlite` and `deadpool-sqlite` need other versions of `libsqlite3-sys`, and a program links one. What they do
//! when a connection is lent is little, and is done here: r2d2 runs `SELECT 1`, prepared anew each time; deadpool
//! selects a number it counts up, on a thread for blocking work, and compares what comes back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_sync::SyncWrapper;
use finalite::pool::Pool;
use finalite::{OpenOptions, Value};
use finalite_peers::{Result, environment};
use rusqlite::OpenFlags;

/// Connections for reading, of each pool.
pub const READERS: u32 = 4;

/// What is set in addition to what a new connection has; a cache that holds the file.
const CACHE_SIZE: i64 = -64_000;
const SETTINGS: &str = "PRAGMA foreign_keys = 1; PRAGMA trusted_schema = 0; PRAGMA cache_size = -64000;";

/// What has to be the same on both sides.
const COMPARED: [&str; 10] = [
    "journal_mode",
    "cache_size",
    "mmap_size",
    "page_size",
    "synchronous",
    "busy_timeout",
    "foreign_keys",
    "trusted_schema",
    "temp_store",
    "query_only",
];

pub struct Pools {
    pub finalite: Arc<Pool>,
    /// As it is by default: a connection is tested when it is lent.
    pub r2d2: r2d2::Pool<Opener>,
    /// With `test_on_check_out(false)`: nobody ever looks at a connection.
    pub r2d2_unchecked: r2d2::Pool<Opener>,
    /// As `deadpool-sqlite` is.
    pub deadpool: Deadpool,
    /// deadpool alone, with a manager that does nothing.
    pub deadpool_unchecked: Deadpool,
}

impl Pools {
    pub fn open(path: &Path) -> Result<Self> {
        let finalite = Pool::builder(path).readers(READERS as usize).options(options()).build()?;
        let r2d2 = |test| -> Result<_> {
            let builder = r2d2::Pool::builder().max_size(READERS).test_on_check_out(test);
            Ok(builder.build(Opener(path.to_owned()))?)
        };
        Ok(Self {
            finalite: Arc::new(finalite),
            r2d2: r2d2(true)?,
            r2d2_unchecked: r2d2(false)?,
            deadpool: Deadpool::open(path, true)?,
            deadpool_unchecked: Deadpool::open(path, false)?,
        })
    }
}

fn options() -> OpenOptions {
    OpenOptions::recommended().pragma("cache_size", CACHE_SIZE)
}

/// A connection like those that the pool lends for reading.
pub fn finalite_alone(path: &Path) -> Result<finalite::Connection> {
    Ok(options().read_only(true).open(path)?)
}

/// rusqlite's, likewise.
fn open(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = rusqlite::Connection::open_with_flags(path, flags)?;
    conn.execute_batch(SETTINGS)?;
    Ok(conn)
}

/// What both sides are set to; fails where they differ.
pub fn settings(path: &Path) -> Result<String> {
    let conn = finalite_alone(path)?;
    let peer = open(path)?;
    for name in COMPARED {
        let ours = match conn.pragma::<Value>(name)? {
            Value::Integer(value) => value.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        let theirs = peer.pragma_query_value(None, name, |row| row.get_ref(0).map(text))?;
        if ours != theirs {
            return Err(format!("{name} is {ours} in finalite and {theirs} in rusqlite").into());
        }
    }
    environment::of_connection(&conn)
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        rusqlite::types::ValueRef::Integer(value) => value.to_string(),
        rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

/// What r2d2 needs to know of rusqlite.
pub struct Opener(PathBuf);

impl r2d2::ManageConnection for Opener {
    type Connection = rusqlite::Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<rusqlite::Connection> {
        open(&self.0)
    }

    fn is_valid(&self, conn: &mut rusqlite::Connection) -> rusqlite::Result<()> {
        conn.execute_batch("SELECT 1;")
    }

    fn has_broken(&self, _: &mut rusqlite::Connection) -> bool {
        false
    }
}

/// What deadpool needs to know of rusqlite.
pub struct Recycler {
    path: PathBuf,
    checks: bool,
    count: AtomicI64,
}

impl managed::Manager for Recycler {
    type Type = SyncWrapper<rusqlite::Connection>;
    type Error = rusqlite::Error;

    async fn create(&self) -> rusqlite::Result<Self::Type> {
        let path = self.path.clone();
        SyncWrapper::new(Runtime::Tokio1, move || open(&path)).await
    }

    async fn recycle(&self, conn: &mut Self::Type, _: &Metrics) -> RecycleResult<rusqlite::Error> {
        if !self.checks {
            return Ok(());
        }
        if conn.is_mutex_poisoned() {
            return Err(RecycleError::message("poisoned"));
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let select =
            move |conn: &mut rusqlite::Connection| conn.query_row("SELECT $1", [number], |row| row.get::<_, i64>(0));
        let found = conn.interact(select).await.map_err(|error| RecycleError::message(error.to_string()))??;
        if found == number { Ok(()) } else { Err(RecycleError::message("another number")) }
    }
}

/// A pool of deadpool's, on a runtime of this thread, which it needs even to be dropped.
pub struct Deadpool {
    runtime: tokio::runtime::Runtime,
    pool: Option<managed::Pool<Recycler>>,
}

impl Deadpool {
    fn open(path: &Path, checks: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let manager = Recycler { path: path.to_owned(), checks, count: AtomicI64::new(0) };
        let pool = managed::Pool::builder(manager).max_size(READERS as usize).runtime(Runtime::Tokio1).build()?;
        Ok(Self { runtime, pool: Some(pool) })
    }

    /// Runs a future that uses the pool, in this thread.
    pub fn block_on<T>(&self, work: impl AsyncFnOnce(&managed::Pool<Recycler>) -> Result<T>) -> Result<T> {
        let pool = self.pool.as_ref().ok_or("the pool is dropped")?;
        self.runtime.block_on(work(pool))
    }
}

impl Drop for Deadpool {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.pool.take());
    }
}
