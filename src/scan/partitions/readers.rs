//! Connections that see one snapshot.
//!
//! Each begins a transaction, and reads once. With a rollback journal, the shared lock of the first one keeps commits
//! away. With a write-ahead log, the header of the log's index is compared before the first reads and after them, as the
//! page reader does: if it is the same, nothing was committed in between. If a commit fell in between, they begin again,
//! while the calling connection has the write lock:
//!
//! ```text
//! calling connection    BEGIN IMMEDIATE ───────────────────────── ROLLBACK
//! reader 1                                BEGIN, first read ───────────── ranges ──── ROLLBACK
//! reader 2                                BEGIN, first read ───────────── ranges ──── ROLLBACK
//! other processes       commit            (wait)                         commit, commit, …
//! ```
//!
//! A file that nobody may change (`immutable`) needs neither.

use std::ops::ControlFlow;
use std::panic::Location;
use std::time::Duration;

use crate::connection::bytecode::Instruction;
use crate::connection::pauses::{pauses, wait_for_lock};
use crate::connection::settings::milliseconds;
use crate::error::{Error, ErrorKind, Result};
use crate::pages::{self, LastCommit, View};
use crate::raw::storage::{Storage, TransactionState};
use crate::raw::{Db, DbConfig, Limit};
use crate::statement::Statement;
use crate::transaction::{Transaction, TransactionBehavior};
use crate::{Connection, JournalMode, OpenOptions, sql};

/// Longest time to wait for the write lock. Meanwhile, one thread would read rows.
const WAIT_MAX: Duration = Duration::from_millis(250);

/// VFSes that come with SQLite, and by whose locks several connections can read at once.
const SYSTEMS: [&str; 4] = ["unix", "unix-excl", "win32", "win32-longpath"];

/// URI parameters that a reader need not have: it is opened with `immutable` where the file is, and its VFS is known.
const PARAMETERS: [&str; 4] = ["mode", "cache", "immutable", "vfs"];

/// Pragmas that a reader has from the calling connection. [`DbConfig`] has the others that may change a result.
const PRAGMAS: [&str; 6] =
    ["automatic_index", "cache_size", "cell_size_check", "mmap_size", "reverse_unordered_selects", "temp_store"];

/// Beginning of P4 where a virtual table is opened.
const VIRTUAL: &str = "vtab:";

/// Functions whose result is a property of the connection.
const FUNCTIONS: [&str; 3] = ["last_insert_rowid(", "changes(", "total_changes("];

const BUSY: &str = "others commit while the connections begin to read, and the write lock is not free";
const NO_LOCK: &str = "others commit while the connections begin to read, and this one cannot take the write lock";
const NOT_OPENED: &str = "another connection to the database file could not be opened";
const NOT_READ: &str = "another connection could not read the database file";
const OWN_TABLE: &str = "the statement or a view may read a table whose rows may be about the connection, `pragma_…`";
const PROGRAM: &str = "SQLite runs another program on another connection: the statement reads a temporary or an attached \
                       database, or a table of this connection";

/// Reason why the calling connection alone reads the rows, or an error that the caller gets.
pub(super) enum Refusal {
    Reason(&'static str),
    Error(Error),
}

impl Refusal {
    /// Returns the reason in place of an error that the calling connection need not have.
    fn of(error: Error, reason: &'static str) -> Self {
        if error.is_interrupted() || matches!(error.kind(), ErrorKind::NoMemory { .. } | ErrorKind::Forked) {
            return Self::Error(error);
        }
        tracing::debug!(target: "finalite::scan", %error, reason, "no connections for partitions");
        Self::Reason(if error.is_busy() { BUSY } else { reason })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Way in which readers begin.
#[cfg_attr(not(test), expect(dead_code, reason = "the tests show what each precaution is for"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// With the write lock if a commit falls between the first reads.
    LockIfNeeded,
    /// With the write lock.
    WithLock,
    /// Without any precaution.
    Unchecked,
}

/// A connection that has begun to read.
pub(super) struct PartitionReader {
    pub(super) conn: Connection,
    /// View of its transaction, if it may read pages.
    pub(super) view: Option<View>,
}

/// A statement, and what its readers need.
pub(super) struct Request<'a> {
    pub(super) conn: &'a Connection,
    /// The statement of the readers.
    pub(super) sql: &'a str,
    pub(super) threads: usize,
    /// Whether ranges are read from pages where that is possible.
    pub(super) is_by_pages: bool,
    pub(super) beginning: Beginning,
    pub(super) site: &'static Location<'static>,
}

/// Checks what is known of a statement and its connection without SQL.
pub(super) fn check(conn: &Connection, statement: &Statement<'_>) -> Result<(), Refusal> {
    let db = conn.db();
    db.check_usable().map_err(|fault| conn.error(fault))?;
    let main = Storage::new(db, 0);
    let is_query = ["SELECT", "WITH", "VALUES"].iter().any(|word| sql::starts_with_keyword(statement.sql(), word));
    let reason = if !is_query || !statement.is_readonly() {
        "the statement is not a SELECT"
    } else if db.is_in_memory() {
        "the database is in memory, or temporary"
    } else if !conn.is_autocommit() || db.is_in_transaction() {
        "a transaction is open, whose snapshot other connections cannot have"
    } else if db.has_limits() {
        "a deadline or a limit is set, which belongs to this connection"
    } else if db.has_foreign_code() {
        "the connection has functions, collations, virtual tables, hooks or an authorizer of the program, or its handle was given out"
    } else if !main.vfs_name().is_some_and(|name| SYSTEMS.iter().any(|known| known.as_bytes() == name.to_bytes())) {
        "the files are not read by a file system (VFS) of SQLite's by whose locks connections can read at once"
    } else if main.uri_parameters().iter().any(|name| !PARAMETERS.contains(&&**name)) {
        "the database was opened with URI parameters"
    } else {
        return Ok(());
    };
    Err(Refusal::Reason(reason))
}

/// Opens connections that see one snapshot, and in which SQLite runs the statement as on the calling one.
pub(super) fn open(request: &Request<'_>) -> Result<Vec<PartitionReader>, Refusal> {
    let Request { conn, threads, site, .. } = *request;
    // Without a name of a database, the pragma returns the mode of those that are attached next. Files that nobody may
    // change count as exclusive.
    let is_immutable = Storage::new(conn.db(), 0).is_immutable();
    if !is_immutable && conn.pragma::<Box<str>>("main.locking_mode")?.eq_ignore_ascii_case("exclusive") {
        return Err(Refusal::Reason("the connection is in exclusive locking mode"));
    }
    let open = |_| open_reader(conn, site).map_err(|error| Refusal::of(error, NOT_OPENED));
    let readers = (0..threads).map(open).collect::<Result<Vec<_>, _>>()?;
    let commit = begin_together(conn, &readers, request.beginning)?;
    check_readers(request, &readers)?;
    let with_view = |conn| {
        let view = if request.is_by_pages { pages::view_since(&conn, commit)? } else { None };
        Ok(PartitionReader { conn, view })
    };
    readers.into_iter().map(with_view).collect()
}

/// Ends the transaction of a reader, and closes it.
pub(super) fn close(reader: PartitionReader) {
    let reader = reader.conn;
    let _cleanup = reader.db().begin_cleanup();
    // Nothing was written: closing ends a transaction that is still open.
    let _ = reader.core().control("ROLLBACK");
    drop(_cleanup);
    drop(reader);
}

/// Opens a connection for reading that has the settings of another one.
fn open_reader(conn: &Connection, site: &'static Location<'static>) -> Result<Connection> {
    let path = conn.path().ok_or_else(|| Error::new(ErrorKind::Misuse { reason: NOT_OPENED }))?;
    let main = Storage::new(conn.db(), 0);
    let mut options = OpenOptions::new().read_only(true).immutable(main.is_immutable()).busy_timeout(WAIT_MAX);
    if let Some(vfs) = main.vfs_name() {
        options = options.vfs(&vfs.to_string_lossy());
    }
    if let Some(name) = conn.name() {
        options = options.name(name);
    }
    let reader = options.open_at(path.as_os_str(), site)?;
    reader.is_untrusted.set(conn.is_untrusted.get());
    copy_settings(conn.db(), reader.db())?;
    for name in PRAGMAS {
        if let (Some(value), Some(before)) = (read_number(conn, name)?, read_number(&reader, name)?)
            && value != before
        {
            reader.set_pragma(name, value)?;
        }
    }
    Ok(reader)
}

fn copy_settings(from: &Db, to: &Db) -> Result<()> {
    for limit in Limit::ALL {
        let value = from.limit(limit);
        if to.limit(limit) != value {
            to.set_limit(limit, value)?;
        }
    }
    for switch in DbConfig::ALL {
        // A switch that this SQLite does not have differs on no connection.
        if let (Ok(is_on), Ok(was_on)) = (from.db_config(switch), to.db_config(switch))
            && is_on != was_on
        {
            to.set_db_config(switch, is_on)?;
        }
    }
    Ok(())
}

/// Returns the value of a pragma; `None` if it has none for this database.
fn read_number(conn: &Connection, name: &str) -> Result<Option<i64>> {
    conn.prepare(&format!("PRAGMA {name}"))?.query_pragma()
}

/// Begins the readers' transactions, by a first read each.
fn begin(readers: &[Connection]) -> Result<(), Refusal> {
    readers
        .iter()
        .try_for_each(|reader| {
            reader.core().control("BEGIN")?;
            reader.query_optional::<i64>("SELECT 1 FROM main.sqlite_schema LIMIT 1", ()).map(drop)
        })
        .map_err(|error| Refusal::of(error, NOT_READ))
}

/// Begins the readers' transactions such that they see one snapshot. Returns its commit in the write-ahead log, if there
/// is a log.
fn begin_together(
    conn: &Connection,
    readers: &[Connection],
    beginning: Beginning,
) -> Result<Option<LastCommit>, Refusal> {
    if beginning == Beginning::Unchecked || Storage::new(conn.db(), 0).is_immutable() {
        begin(readers)?;
        return Ok(None);
    }
    // A connection that is read-only has no other way.
    let attempts = match beginning {
        Beginning::WithLock => 0,
        _ if conn.is_readonly("main") == Some(true) => 16,
        _ => 1,
    };
    for _ in 0..attempts {
        if let Some(commit) = begin_undisturbed(conn, readers)? {
            return Ok(commit);
        }
        readers.iter().try_for_each(|reader| reader.core().control("ROLLBACK"))?;
    }
    let fence = Fence::raise(conn)?;
    begin(readers)?;
    let commit = pages::last_commit(conn)?;
    fence.lower()?;
    Ok(commit)
}

/// Begins the readers' transactions. Returns the last commit in the write-ahead log, if there is a log; the outer `None`
/// if a commit fell between the first reads.
fn begin_undisturbed(conn: &Connection, readers: &[Connection]) -> Result<Option<Option<LastCommit>>, Refusal> {
    let before = pages::last_commit(conn)?;
    begin(readers)?;
    if before.is_some() {
        return Ok((pages::last_commit(conn)? == before).then_some(before));
    }
    // With a journal, the lock of the first reader has kept commits away.
    for reader in readers {
        if reader.journal_mode()? == JournalMode::Wal {
            return Ok(None);
        }
    }
    Ok(Some(None))
}

/// Checks that the readers read what the calling connection would read.
fn check_readers(request: &Request<'_>, readers: &[Connection]) -> Result<(), Refusal> {
    let Request { conn, sql, .. } = *request;
    // The path leads to one file for all of them.
    for conn in readers.iter().chain([conn]) {
        if conn.has_moved()? {
            return Err(Refusal::Reason("the database file was moved or replaced"));
        }
    }
    // The readers are alike.
    let [reader, ..] = readers else {
        return Ok(());
    };
    let own = bytecode(conn, sql)?;
    let is_same = bytecode(reader, sql).is_ok_and(|its| its == own);
    if !is_same || names(conn, sql)? != names(reader, sql)? {
        return Err(Refusal::Reason(PROGRAM));
    }
    // Not all tables are of the file. SQLite makes a `pragma_…` when it is named, and its program names none.
    if own.iter().any(|instruction| &*instruction.code == "VOpen") && may_read_pragmas(reader, sql)? {
        return Err(Refusal::Reason(OWN_TABLE));
    }
    let is_case_sensitive = |conn: &Connection| conn.query_one::<bool>("SELECT 'a' NOT LIKE 'A'", ());
    if is_case_sensitive(conn)? != is_case_sensitive(reader)? {
        return Err(Refusal::Reason("`PRAGMA case_sensitive_like` was set, which cannot be read"));
    }
    Ok(())
}

/// Whether the statement or a view may name the table of a pragma.
fn may_read_pragmas(reader: &Connection, sql: &str) -> Result<bool> {
    const NAME: &str = "pragma_";
    let is_in_schema = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE instr(lower(sql), ?))";
    Ok(sql.to_ascii_lowercase().contains(NAME) || reader.query_one(is_in_schema, (NAME,))?)
}

fn names(conn: &Connection, sql: &str) -> Result<Vec<String>> {
    Ok(conn.prepare(sql)?.column_names()?.map(str::to_owned).collect())
}

/// An instruction, to be compared with that of another connection.
#[derive(PartialEq, Eq)]
struct OwnInstruction {
    code: Box<str>,
    operands: [i64; 4],
    p4: Option<Box<[u8]>>,
}

/// Returns the program of a statement, which reads nothing of a connection of its own.
fn bytecode(conn: &Connection, sql: &str) -> Result<Vec<OwnInstruction>, Refusal> {
    let mut program = Vec::new();
    let refusal = conn.read_bytecode(sql, &[], |Instruction { code, p1, p2, p3, p4, p5, .. }| {
        let calls = |name: &&str| p4.is_some_and(|p4| p4.starts_with(name.as_bytes()));
        let p4 = match code {
            // P1 is the number of the database.
            "Transaction" if p1 != 0 => return ControlFlow::Break(PROGRAM),
            // P4 counts how often this connection has read the schema.
            "Transaction" => None,
            "TableLock" => return ControlFlow::Break("the database's cache is shared with other connections"),
            "Function" | "PureFunc" if FUNCTIONS.iter().any(calls) => {
                return ControlFlow::Break(
                    "the statement calls a function whose result is a property of the connection",
                );
            }
            // P4 is the address of the connection's own virtual table.
            _ if calls(&VIRTUAL) => Some(VIRTUAL.as_bytes()),
            _ => p4,
        };
        program.push(OwnInstruction { code: code.into(), operands: [p1, p2, p3, p5], p4: p4.map(Into::into) });
        ControlFlow::Continue(())
    })?;
    refusal.map_or(Ok(program), |reason| Err(Refusal::Reason(reason)))
}

/// The write lock of the database, held by the calling connection. Dropping it gives the lock back.
struct Fence<'conn> {
    transaction: Transaction<'conn>,
    _patience: Patience<'conn>,
}

impl<'conn> Fence<'conn> {
    /// Takes the write lock.
    fn raise(conn: &'conn Connection) -> Result<Self, Refusal> {
        // SQLite's busy handler waits for up to 100 ms between two attempts. A program that writes all the time leaves
        // the lock for microseconds.
        const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_micros(500)];
        let patience = Patience::suspended(conn)?;
        let longest = Duration::from_millis(u64::try_from(patience.milliseconds).unwrap_or(0)).min(WAIT_MAX);
        let mut pauses = pauses(longest, PAUSES[0], PAUSES[1]);
        loop {
            let error = match conn.unchecked_transaction_with(TransactionBehavior::Immediate) {
                // On a read-only connection, SQLite begins a transaction that reads.
                Ok(_) if Storage::new(conn.db(), 0).transaction() != TransactionState::Write => {
                    return Err(Refusal::Reason(NO_LOCK));
                }
                Ok(transaction) => return Ok(Self { transaction, _patience: patience }),
                Err(error) => error,
            };
            match pauses.next().filter(|_| error.is_busy()) {
                Some(pause) => wait_for_lock(pause),
                None => return Err(Refusal::of(error, NO_LOCK)),
            }
        }
    }

    /// Gives the lock back.
    fn lower(self) -> Result<()> {
        self.transaction.rollback()
    }
}

/// The busy timeout of a connection that does not wait. Dropping it restores the timeout.
struct Patience<'conn> {
    db: &'conn Db,
    milliseconds: i32,
}

impl<'conn> Patience<'conn> {
    fn suspended(conn: &'conn Connection) -> Result<Self> {
        let milliseconds = milliseconds(conn.busy_timeout()?);
        conn.db().set_busy_timeout(0)?;
        Ok(Self { db: conn.db(), milliseconds })
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        // It fails in a child process alone, which does not use the connection.
        let _ = self.db.set_busy_timeout(self.milliseconds);
    }
}
