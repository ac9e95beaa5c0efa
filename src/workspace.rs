//! Items for the other crates of finalite's workspace. They are outside semver: each of those crates depends on one
//! exact version of finalite.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::error::ErrorKind;
use crate::extend::{ActiveLimits, deadline};
use crate::insert::InsertColumn;
use crate::observe::stats::{self, ProvidedStat};
use crate::pool::{Pool, PooledConnection, Role, Watch};
use crate::raw::storage::Storage;
use crate::scan::{ColumnBatch, ColumnType, Scan};
use crate::schema;
use crate::sql;
use crate::track::Taint;
use crate::{Connection, ConversionError, Error, JournalMode, OwnedRows, Params, Result, ResultCode, Transaction};

pub use crate::connection::pauses::jittered;
pub use crate::extend::virtual_table::positions::{plan_positions, positions};
pub use crate::insert::insertion::{InsertFailure, Insertion};
pub use crate::pool::OuterWaits;
pub use crate::statement::remote::{RemoteCell, RemoteParam, RemoteParameters, RemoteRow};
pub use crate::track::PerProcess;
pub use crate::track::per_process::Process;
pub use crate::track::registry::current_thread;
pub use crate::value::RawParam;
pub use crate::worker::{Stop, Worker};

/// Calls the closure with batches as [`Scan::owned_batches`] does. A result without rows is one empty batch, which has
/// the columns.
///
/// # Errors
///
/// See [`Scan::owned_batches`].
pub fn owned_batches<'p, P: Params<'p>, E: From<Error>>(
    scan: Scan<'_, P, E>,
    rows: usize,
    take: impl FnMut(ColumnBatch) -> Result<(), E>,
) -> Result<u64, E> {
    scan.hand_over_batches(rows, true, take)
}

/// Returns the type that a declaration in a table promises; [`ColumnType::Null`] if it promises none.
#[must_use]
pub fn promised_type(declaration: Option<&str>) -> ColumnType {
    ColumnType::affinity(declaration)
}

/// Returns the name of a table as SQL, with that of its database if the name has one that the connection knows.
#[must_use]
pub fn quoted_table(conn: &Connection, table: &str) -> String {
    conn.quoted_table(table)
}

/// Returns a column that is read by a closure, which must not panic: SQLite calls it.
pub fn lent_column<'a>(
    len: usize,
    read: impl Fn(usize) -> Result<RawParam<'a>, ConversionError> + 'a,
) -> InsertColumn<'a> {
    InsertColumn::read_by(len, read)
}

/// Ends what runs on a connection once the flag is set, or at the deadline, and has nothing begin from then on but a
/// rollback, until the returned value is dropped. The deadline is a moment and the time that was allowed until it.
///
/// SQLite checks it about every 1,000 instructions and while it waits for a lock. The error is
/// [`ErrorKind::Interrupted`], or [`ErrorKind::Deadline`].
///
/// # Errors
///
/// See [`Connection::deadline`].
#[track_caller]
pub fn supervise(
    conn: &Connection,
    cancelled: Arc<AtomicBool>,
    deadline: Option<(Instant, Duration)>,
) -> Result<ActiveLimits> {
    deadline::supervise(conn, cancelled, deadline)
}

/// Checks out a connection for a call that was made at this place and began at this moment: the pool's timeout is
/// counted from there. Waiting ends with [`ErrorKind::Interrupted`] within 20 ms after the flag is set, and with
/// [`ErrorKind::Deadline`] at the deadline, a moment and the time that was allowed until it.
///
/// # Errors
///
/// See [`Pool::reader`], and these two.
pub fn lend<'pool>(
    pool: &'pool Pool,
    role: Role,
    (site, since): (&'static Location<'static>, Instant),
    cancelled: &AtomicBool,
    deadline: Option<(Instant, Duration)>,
) -> Result<PooledConnection<'pool>> {
    pool.lend_within(role, since, cancelled, deadline, site)
}

/// Checks out a connection for a call that was made at this place, if one is free that is open.
#[must_use]
pub fn lend_at_once<'pool>(
    pool: &'pool Pool,
    role: Role,
    site: &'static Location<'static>,
) -> Option<PooledConnection<'pool>> {
    pool.lend_at_once(role, site)
}

/// Has a pool's status include the calls that wait in a queue of a layer above, for connections of this role. A role has
/// one such queue; a second one is not asked.
pub fn report_waits(pool: &Pool, role: Role, waits: impl Fn() -> OuterWaits + Send + Sync + 'static) {
    pool.report_waits(role, Box::new(waits));
}

/// Refuses all that wait for a connection of a pool, and will, as [`Pool::shut_down`] does, and closes nothing.
pub fn refuse_waiters(pool: &Pool) {
    pool.refuse_waiters();
}

/// Watches tables as [`Pool::watch`] does, with this connection of the pool for writing.
///
/// # Errors
///
/// See [`Pool::watch`].
#[track_caller]
pub fn watch_on<T: AsRef<str>>(pool: &Pool, conn: &Connection, tables: impl IntoIterator<Item = T>) -> Result<Watch> {
    pool.watch_on(conn, tables)
}

/// Watches the tables of a query as [`Pool::watch_query`] does, with this connection of the pool for writing.
///
/// # Errors
///
/// See [`Pool::watch_query`].
#[track_caller]
pub fn watch_query_on(pool: &Pool, conn: &Connection, sql: &str) -> Result<Watch> {
    pool.watch_query_on(conn, sql)
}

/// Runs the closure in a transaction as [`Pool::write_and_then`] does, on connections that `lend` checks out. `guard` is
/// called with the connection before each `BEGIN`; what it returns is dropped after the transaction has ended.
///
/// # Errors
///
/// See [`Pool::write`], and those of `lend` and `guard`.
pub fn write_guarded<'pool, T, E: From<Error>, G>(
    pool: &'pool Pool,
    lend: impl FnMut() -> Result<PooledConnection<'pool>>,
    guard: impl FnMut(&Connection) -> Result<G>,
    work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    pool.write_guarded(lend, guard, work)
}

/// Makes an open transaction ready for a statement of another caller, as far as a pool does between two checkouts:
/// `last_insert_rowid()` is 0. Returns `false` if the connection has changes that a pool would undo or close it for, or a
/// panic that no call has resumed.
#[must_use]
pub fn pass_on(conn: &Connection) -> bool {
    conn.db().reset_last_insert_rowid();
    conn.db().taint() == Taint::NONE && !conn.db().has_parked_panic()
}

/// A read transaction of a connection that is in autocommit mode: a statement stays on its row.
#[derive(Debug)]
#[must_use]
pub struct HeldTransaction<'conn> {
    conn: &'conn Connection,
    _rows: OwnedRows<'conn>,
}

impl<'conn> HeldTransaction<'conn> {
    /// Begins the transaction. Returns `None` if that fails, or if there is no table. The time of the statement is not
    /// counted, and no slow one.
    #[track_caller]
    pub fn begin(conn: &'conn Connection) -> Option<Self> {
        let statement = conn.prepare_cached("SELECT 1 FROM sqlite_schema").ok()?;
        let mut rows = statement.into_rows(()).ok()?;
        rows.forget_time();
        rows.next().ok()??;
        Some(Self { conn, _rows: rows })
    }

    /// Whether the connection was interrupted. It remains so until no statement runs.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        Storage::new(self.conn.db(), 0).is_interrupted()
    }
}

/// Whether a statement that fails half-way in an open transaction is undone there as it is in a transaction of its own. Not
/// where virtual tables of the program or of foreign code may be written, which need not have savepoints, nor without
/// journals.
#[must_use]
pub fn undoes_statements(conn: &Connection) -> bool {
    !conn.db().has_foreign_tables() && has_journals(conn).unwrap_or(false)
}

/// Whether `journal_mode` is not `off` for any database.
fn has_journals(conn: &Connection) -> Result<bool> {
    for database in schema::database_names(conn)? {
        if conn.journal_mode_of(&database)? == JournalMode::Off {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns an error with the same kind, code and message, for another caller whom it concerns as well.
#[must_use]
pub fn same_error(error: &Error) -> Error {
    match error.kind() {
        ErrorKind::Sqlite { code, message } => Error::new(ErrorKind::Sqlite { code: *code, message: message.clone() }),
        ErrorKind::NoMemory { code } => Error::new(ErrorKind::NoMemory { code: *code }),
        ErrorKind::Interrupted => interrupted(),
        ErrorKind::Deadline { allowed } => deadline_passed(*allowed),
        _ => Error::external(error.to_string()),
    }
}

/// Returns the maximum time to wait for a connection of a pool.
#[must_use]
pub fn acquire_timeout(pool: &Pool) -> Duration {
    pool.acquire_timeout()
}

/// Returns the error of a caller that has waited this long for a connection.
#[must_use]
pub fn acquire_timed_out(pool: &Pool, role: Role, waited: Duration) -> Error {
    pool.timed_out(role, waited)
}

/// Returns the error of a caller that a closed pool refuses.
#[must_use]
pub fn pool_closed() -> Error {
    Error::new(ErrorKind::PoolClosed)
}

/// Returns the error of a call in a child process of the one that has built the pool.
#[must_use]
pub fn forked() -> Error {
    Error::new(ErrorKind::Forked)
}

/// Returns the error of a call that was not done within the time that was allowed.
#[must_use]
pub fn deadline_passed(allowed: Duration) -> Error {
    Error::new(ErrorKind::Deadline { allowed })
}

/// Returns the error of a call that was interrupted.
#[must_use]
pub fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted)
}

/// Returns the error of a call in a transaction that has ended.
#[must_use]
pub fn transaction_ended() -> Error {
    Error::new(ErrorKind::TransactionEnded)
}

/// Returns the length in bytes of the first token of an SQL text, where blanks and comments count as tokens; `None` at the
/// end.
#[must_use]
pub fn first_token(sql: &str) -> Option<usize> {
    sql::first_token(sql)
}

/// Returns the first statement of a script with its semicolon, or all of the script.
#[must_use]
pub fn first_statement(script: &str) -> &str {
    sql::first_statement(script)
}

/// Returns the SQL after leading white space, comments and semicolons.
#[must_use]
pub fn skip_blank(sql: &str) -> &str {
    sql::skip_blank(sql)
}

/// Adds the figures of a crate to each later [`snapshot`](crate::stats::snapshot), once for each name.
pub fn provide_stats(name: &'static str, provider: fn() -> Vec<ProvidedStat>) {
    stats::provide(name, provider);
}

/// Returns the result code with this number.
#[must_use]
pub const fn result_code(number: i32) -> ResultCode {
    ResultCode::new(number)
}

/// Version of finalite.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
