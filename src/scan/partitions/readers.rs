//! Connections that see one snapshot.
//!
//! ```text
//! calling connection    BEGIN IMMEDIATE ───────────────────────── ROLLBACK
//! reader 1                                BEGIN, first read ───────────── ranges ──── ROLLBACK
//! reader 2                                BEGIN, first read ───────────── ranges ──── ROLLBACK
//! other processes       commit            (wait)                         commit, commit, …
//! ```
//!
//! No connection can commit while the calling connection has the write lock, so all first reads see the same state. A
//! file that nobody may change (`immutable`) needs no lock.

use std::panic::Location;
use std::time::Duration;

use crate::connection::pauses::{pauses, wait_for_lock};
use crate::connection::settings::milliseconds;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::storage::Storage;
use crate::raw::{Db, DbConfig, Limit};
use crate::statement::Statement;
use crate::transaction::{Transaction, TransactionBehavior};
use crate::value::ValueRef;
use crate::{Connection, OpenOptions, sql};

/// Longest time to wait for the write lock. Meanwhile, one thread would read rows.
const WAIT_MAX: Duration = Duration::from_millis(250);

/// VFSes that come with SQLite, and by whose locks several connections can read at once.
const SYSTEMS: [&str; 4] = ["unix", "unix-excl", "win32", "win32-longpath"];

/// URI parameters that a reader need not have: it is opened with `immutable` where the file is, and its VFS is known.
const PARAMETERS: [&str; 4] = ["mode", "cache", "immutable", "vfs"];

/// Pragmas that a reader has from the calling connection. [`DbConfig`] has the others that may change a result.
const PRAGMAS: [&str; 6] =
    ["automatic_index", "cache_size", "cell_size_check", "mmap_size", "reverse_unordered_selects", "temp_store"];

/// Functions whose result is a property of the connection.
const FUNCTIONS: [&str; 3] = ["last_insert_rowid(", "changes(", "total_changes("];

const BUSY: &str = "the write lock, by which the connections get one snapshot, is not free";
const NOT_WRITABLE: &str =
    "the connection is read-only: it cannot take the write lock, by which others get one snapshot";
const NO_LOCK: &str = "the connection cannot take the write lock, by which others get one snapshot";
const NOT_OPENED: &str = "another connection to the database file could not be opened";
const NOT_READ: &str = "another connection could not read the database file";
const MOVED: &str = "the database file was moved or replaced";
const PROGRAM: &str = "SQLite runs another program on another connection: the statement reads a temporary or an attached \
                       database, or a table of this connection";
const SHARED_CACHE: &str = "the database's cache is shared with other connections";
const OWN_FUNCTION: &str = "the statement calls a function whose result is a property of the connection";
const LIKE: &str = "`PRAGMA case_sensitive_like` was set, which other connections lack";

/// A statement, and what its readers need.
pub(super) struct Request<'a> {
    pub(super) conn: &'a Connection,
    /// The statement of the readers.
    pub(super) sql: &'a str,
    pub(super) threads: usize,
    /// Whether the calling connection has the write lock while the readers begin. Tests show what happens if not.
    pub(super) has_fence: bool,
    pub(super) site: &'static Location<'static>,
}

/// Returns the reason why a statement is not run by several connections, as far as no file has to be read for it.
pub(super) fn check(conn: &Connection, statement: &Statement<'_>) -> Result<Result<(), &'static str>> {
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
    } else if db.has_foreign_code() {
        "the connection has functions, collations, hooks or an authorizer of the program, or its handle was given out"
    } else if db.has_limits() {
        "a deadline or a limit is set, which belongs to this connection"
    } else if !main.vfs_name().is_some_and(|name| SYSTEMS.iter().any(|known| known.as_bytes() == name.to_bytes())) {
        "the files are not read by a file system (VFS) of SQLite's by whose locks connections can read at once"
    } else if main.uri_parameters().iter().any(|name| !PARAMETERS.contains(&&**name)) {
        "the database was opened with URI parameters"
    } else if !main.is_immutable() && conn.is_readonly("main") == Some(true) {
        NOT_WRITABLE
    } else {
        return Ok(Ok(()));
    };
    Ok(Err(reason))
}

/// Opens connections that see one snapshot, and in which SQLite runs the statement as on the calling one. The inner
/// error is the reason why that cannot be.
pub(super) fn open(request: &Request<'_>) -> Result<Result<Vec<Connection>, &'static str>> {
    let Request { conn, threads, site, .. } = *request;
    if conn.pragma::<Box<str>>("locking_mode")?.eq_ignore_ascii_case("exclusive") {
        return Ok(Err("the connection is in exclusive locking mode"));
    }
    let mut readers = Vec::new();
    for _ in 0..threads {
        match open_reader(conn, site) {
            Ok(reader) => readers.push(reader),
            Err(error) => return reason_of(error, NOT_OPENED).map(Err),
        }
    }
    let needs_fence = request.has_fence && !Storage::new(conn.db(), 0).is_immutable();
    let fence = match needs_fence.then(|| Fence::raise(conn)).transpose()? {
        Some(Err(reason)) => return Ok(Err(reason)),
        Some(Ok(fence)) => Some(fence),
        None => None,
    };
    if let Err(reason) = begin(request, &readers)? {
        return Ok(Err(reason));
    }
    if let Some(fence) = fence {
        fence.lower()?;
    }
    Ok(Ok(readers))
}

/// Ends the transaction of a reader, and closes it.
pub(super) fn close(reader: Connection) {
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

/// Begins the readers' transactions, by a first read each. The inner error is the reason why one of them would not read
/// what the calling connection reads.
fn begin(request: &Request<'_>, readers: &[Connection]) -> Result<Result<(), &'static str>> {
    let Request { conn, sql, .. } = *request;
    let first_read = |reader: &Connection| {
        reader.core().control("BEGIN")?;
        reader.query_optional::<i64>("SELECT 1 FROM main.sqlite_schema LIMIT 1", ())
    };
    for reader in readers {
        if let Err(error) = first_read(reader) {
            return reason_of(error, NOT_READ).map(Err);
        }
    }
    // The path leads to one file for all, the file that the calling connection has locked.
    if conn.has_moved()? {
        return Ok(Err(MOVED));
    }
    for reader in readers {
        if reader.has_moved()? {
            return Ok(Err(MOVED));
        }
    }
    // The readers are alike.
    let [reader, ..] = readers else {
        return Ok(Ok(()));
    };
    let own = match bytecode(conn, sql)? {
        Ok(own) => own,
        Err(reason) => return Ok(Err(reason)),
    };
    let is_same = bytecode(reader, sql).is_ok_and(|its| its.as_ref() == Ok(&own));
    if !is_same || names(conn, sql)? != names(reader, sql)? {
        return Ok(Err(PROGRAM));
    }
    let is_case_sensitive = |conn: &Connection| conn.query_one::<bool>("SELECT 'a' NOT LIKE 'A'", ());
    Ok(if is_case_sensitive(conn)? == is_case_sensitive(reader)? { Ok(()) } else { Err(LIKE) })
}

fn names(conn: &Connection, sql: &str) -> Result<Vec<String>> {
    Ok(conn.prepare(sql)?.column_names()?.map(str::to_owned).collect())
}

/// An instruction of SQLite's virtual machine, as `EXPLAIN` returns it.
#[derive(PartialEq, Eq)]
struct Instruction {
    code: Box<str>,
    operands: [i64; 3],
    p4: Option<Box<str>>,
    p5: i64,
}

/// Returns the program of a statement. The inner error is the reason why it is to be run by its own connection.
fn bytecode(conn: &Connection, sql: &str) -> Result<Result<Vec<Instruction>, &'static str>> {
    let mut explain = conn.prepare(&format!("EXPLAIN {}", sql::skip_blank(sql)))?;
    let mut rows = explain.query_unbound()?;
    let mut program = Vec::new();
    while let Some(row) = rows.next()? {
        let mut instruction = Instruction {
            code: row.get::<&str>(1)?.into(),
            operands: [row.get(2)?, row.get(3)?, row.get(4)?],
            // The text is stored in UTF-16, so any bytes are possible.
            p4: match row.value(5)? {
                ValueRef::Text(p4) => Some(String::from_utf8_lossy(p4).into()),
                _ => None,
            },
            p5: row.get(6)?,
        };
        let p4 = instruction.p4.as_deref().unwrap_or_default();
        match &*instruction.code {
            // P1 is the number of the database.
            "Transaction" if instruction.operands[0] != 0 => return Ok(Err(PROGRAM)),
            // P4 counts how often this connection has read the schema.
            "Transaction" => instruction.p4 = None,
            "TableLock" => return Ok(Err(SHARED_CACHE)),
            "Function" | "PureFunc" if FUNCTIONS.iter().any(|name| p4.starts_with(name)) => {
                return Ok(Err(OWN_FUNCTION));
            }
            // P4 is the address of the connection's own virtual table.
            _ if p4.starts_with("vtab:") => instruction.p4 = Some("vtab:".into()),
            _ => {}
        }
        program.push(instruction);
    }
    Ok(Ok(program))
}

/// Returns the reason that stands for an error, unless the caller is to get the error.
fn reason_of(error: Error, reason: &'static str) -> Result<&'static str> {
    if error.is_interrupted() || matches!(error.kind(), ErrorKind::NoMemory { .. } | ErrorKind::Forked) {
        return Err(error);
    }
    tracing::debug!(target: "finalite::scan", %error, reason, "one thread reads the partitions");
    Ok(if error.is_busy() { BUSY } else { reason })
}

/// The write lock of the database, held by the calling connection. Dropping it gives the lock back.
struct Fence<'conn> {
    transaction: Transaction<'conn>,
    _patience: Patience<'conn>,
}

impl<'conn> Fence<'conn> {
    /// Takes the write lock. The inner error is the reason why that cannot be.
    fn raise(conn: &'conn Connection) -> Result<Result<Self, &'static str>> {
        // SQLite's busy handler waits for up to 100 ms between two attempts. A program that writes all the time leaves
        // the lock for microseconds.
        const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_micros(500)];
        let patience = Patience::suspended(conn)?;
        let longest = Duration::from_millis(u64::try_from(patience.milliseconds).unwrap_or(0)).min(WAIT_MAX);
        let mut pauses = pauses(longest, PAUSES[0], PAUSES[1]);
        loop {
            let error = match conn.unchecked_transaction_with(TransactionBehavior::Immediate) {
                Ok(transaction) => return Ok(Ok(Self { transaction, _patience: patience })),
                Err(error) => error,
            };
            match pauses.next().filter(|_| error.is_busy()) {
                Some(pause) => wait_for_lock(pause),
                None => return reason_of(error, NO_LOCK).map(Err),
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
