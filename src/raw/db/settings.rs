//! Settings of a connection: limits, switches, lookaside.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{Db, code_fault};
use crate::error::{Fault, FaultKind};
use crate::raw::{dispatch, ffi};
use crate::track::Taint;

/// A limit of a connection on the size of values, SQL and other constructs, for
/// [`Connection::set_limit`](crate::Connection::set_limit).
///
/// C: [Run-time limit categories](https://sqlite.org/c3ref/c_limit_attached.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias("SQLITE_LIMIT_LENGTH", "SQLITE_LIMIT_VARIABLE_NUMBER", "SQLITE_LIMIT_ATTACHED"))]
pub enum Limit {
    /// Bytes of a text, a blob or a row. At least 30.
    Length,
    /// Bytes of the SQL of a statement. It also limits the SQL that finalite runs itself, such as `ROLLBACK`.
    SqlLength,
    /// Columns of a table, an index, a result, or the other places that have a list of columns.
    Column,
    /// Depth of the parse tree of an expression.
    ExprDepth,
    /// Terms of a compound `SELECT`.
    CompoundSelect,
    /// Instructions of the virtual machine in the program of a statement. SQLite does not enforce it strictly.
    VdbeOp,
    /// Arguments of a function.
    FunctionArg,
    /// Attached databases.
    Attached,
    /// Bytes of the pattern of `LIKE` or `GLOB`.
    LikePatternLength,
    /// Parameters of a statement; the number of the last, if they are numbered.
    VariableNumber,
    /// Depth of triggers that fire triggers.
    TriggerDepth,
    /// Threads that help a single statement to sort.
    WorkerThreads,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 12] = [
        Self::Length,
        Self::SqlLength,
        Self::Column,
        Self::ExprDepth,
        Self::CompoundSelect,
        Self::VdbeOp,
        Self::FunctionArg,
        Self::Attached,
        Self::LikePatternLength,
        Self::VariableNumber,
        Self::TriggerDepth,
        Self::WorkerThreads,
    ];

    fn category(self) -> c_int {
        match self {
            Self::Length => ffi::SQLITE_LIMIT_LENGTH,
            Self::SqlLength => ffi::SQLITE_LIMIT_SQL_LENGTH,
            Self::Column => ffi::SQLITE_LIMIT_COLUMN,
            Self::ExprDepth => ffi::SQLITE_LIMIT_EXPR_DEPTH,
            Self::CompoundSelect => ffi::SQLITE_LIMIT_COMPOUND_SELECT,
            Self::VdbeOp => ffi::SQLITE_LIMIT_VDBE_OP,
            Self::FunctionArg => ffi::SQLITE_LIMIT_FUNCTION_ARG,
            Self::Attached => ffi::SQLITE_LIMIT_ATTACHED,
            Self::LikePatternLength => ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
            Self::VariableNumber => ffi::SQLITE_LIMIT_VARIABLE_NUMBER,
            Self::TriggerDepth => ffi::SQLITE_LIMIT_TRIGGER_DEPTH,
            Self::WorkerThreads => ffi::SQLITE_LIMIT_WORKER_THREADS,
        }
    }
}

/// A switch of a connection, for [`Connection::set_db_config`](crate::Connection::set_db_config).
///
/// C: [Database connection configuration options](https://sqlite.org/c3ref/c_dbconfig_defensive.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias("SQLITE_DBCONFIG_DEFENSIVE", "SQLITE_DBCONFIG_ENABLE_FKEY", "SQLITE_DBCONFIG_TRUSTED_SCHEMA"))]
pub enum DbConfig {
    /// Whether foreign keys are enforced. Unlike the pragma, it takes effect within a transaction, too.
    ForeignKeys,
    /// Whether triggers fire. Triggers in the `temp` database fire in any case.
    Triggers,
    /// Whether views can be queried. Views in the `temp` database can be queried in any case.
    Views,
    /// Whether SQL may register a tokenizer of FTS3 by an address in memory. It can be read and turned off, not on, and a
    /// connection has no `fts3_tokenizer`, the function that would do so.
    Fts3Tokenizer,
    /// Whether C code may load extensions through the handle. SQL cannot, in either case.
    LoadExtension,
    /// Whether the last connection to a database leaves the write-ahead log as it is when it closes, without a
    /// checkpoint.
    NoCheckpointOnClose,
    /// Whether the query planner chooses one plan for all values of the parameters.
    QueryPlannerStability,
    /// Whether `EXPLAIN QUERY PLAN` shows the plans of triggers, too.
    TriggerEqp,
    /// Whether SQL that can damage the database file is refused: writing to `sqlite_schema`, to shadow tables and to
    /// `sqlite_dbpage`, and `PRAGMA journal_mode = off`.
    Defensive,
    /// Whether `sqlite_schema` can be written by `UPDATE`, `INSERT` and `DELETE`. An error damages the database.
    WritableSchema,
    /// Whether `ALTER TABLE RENAME` leaves the table's name in triggers and views as it is, as before SQLite 3.25.
    LegacyAlterTable,
    /// Whether text in double quotes that is not an identifier is a string, in `SELECT`, `INSERT`, `UPDATE` and
    /// `DELETE`.
    DoubleQuotedStringsInDml,
    /// Whether text in double quotes that is not an identifier is a string, in `CREATE TABLE` and `CREATE INDEX`.
    DoubleQuotedStringsInDdl,
    /// Whether new database files have the format that versions before 3.3 can read.
    LegacyFileFormat,
    /// Whether views, triggers and other objects of the schema may call functions and virtual tables that are not
    /// marked as harmless.
    TrustedSchema,
    /// Whether statements collect figures for `sqlite3_stmt_scanstatus`. SQLite must be compiled for it.
    StatementScanStatus,
    /// Whether tables and indexes are scanned from their end, to find queries that rely on an order without `ORDER BY`.
    ReverseScanOrder,
    /// Whether `ATTACH` may create a database file. Since SQLite 3.49.
    AttachCreate,
    /// Whether `ATTACH` opens a database for writing. Since SQLite 3.49.
    AttachWrite,
    /// Whether SQL may contain comments. Since SQLite 3.49.
    Comments,
}

impl DbConfig {
    /// All switches.
    pub const ALL: [Self; 20] = [
        Self::ForeignKeys,
        Self::Triggers,
        Self::Views,
        Self::Fts3Tokenizer,
        Self::LoadExtension,
        Self::NoCheckpointOnClose,
        Self::QueryPlannerStability,
        Self::TriggerEqp,
        Self::Defensive,
        Self::WritableSchema,
        Self::LegacyAlterTable,
        Self::DoubleQuotedStringsInDml,
        Self::DoubleQuotedStringsInDdl,
        Self::LegacyFileFormat,
        Self::TrustedSchema,
        Self::StatementScanStatus,
        Self::ReverseScanOrder,
        Self::AttachCreate,
        Self::AttachWrite,
        Self::Comments,
    ];

    /// Returns the number of the operation, and its C name after `SQLITE_DBCONFIG_`.
    fn operation(self) -> (c_int, &'static str) {
        /// Operations that not all versions of the bindings define.
        const STMT_SCANSTATUS: c_int = 1018;
        const REVERSE_SCANORDER: c_int = 1019;
        const ENABLE_ATTACH_CREATE: c_int = 1020;
        const ENABLE_ATTACH_WRITE: c_int = 1021;
        const ENABLE_COMMENTS: c_int = 1022;
        match self {
            Self::ForeignKeys => (ffi::SQLITE_DBCONFIG_ENABLE_FKEY, "ENABLE_FKEY"),
            Self::Triggers => (ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER, "ENABLE_TRIGGER"),
            Self::Views => (ffi::SQLITE_DBCONFIG_ENABLE_VIEW, "ENABLE_VIEW"),
            Self::Fts3Tokenizer => (ffi::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, "ENABLE_FTS3_TOKENIZER"),
            Self::LoadExtension => (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, "ENABLE_LOAD_EXTENSION"),
            Self::NoCheckpointOnClose => (ffi::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, "NO_CKPT_ON_CLOSE"),
            Self::QueryPlannerStability => (ffi::SQLITE_DBCONFIG_ENABLE_QPSG, "ENABLE_QPSG"),
            Self::TriggerEqp => (ffi::SQLITE_DBCONFIG_TRIGGER_EQP, "TRIGGER_EQP"),
            Self::Defensive => (ffi::SQLITE_DBCONFIG_DEFENSIVE, "DEFENSIVE"),
            Self::WritableSchema => (ffi::SQLITE_DBCONFIG_WRITABLE_SCHEMA, "WRITABLE_SCHEMA"),
            Self::LegacyAlterTable => (ffi::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, "LEGACY_ALTER_TABLE"),
            Self::DoubleQuotedStringsInDml => (ffi::SQLITE_DBCONFIG_DQS_DML, "DQS_DML"),
            Self::DoubleQuotedStringsInDdl => (ffi::SQLITE_DBCONFIG_DQS_DDL, "DQS_DDL"),
            Self::LegacyFileFormat => (ffi::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT, "LEGACY_FILE_FORMAT"),
            Self::TrustedSchema => (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, "TRUSTED_SCHEMA"),
            Self::StatementScanStatus => (STMT_SCANSTATUS, "STMT_SCANSTATUS"),
            Self::ReverseScanOrder => (REVERSE_SCANORDER, "REVERSE_SCANORDER"),
            Self::AttachCreate => (ENABLE_ATTACH_CREATE, "ENABLE_ATTACH_CREATE"),
            Self::AttachWrite => (ENABLE_ATTACH_WRITE, "ENABLE_ATTACH_WRITE"),
            Self::Comments => (ENABLE_COMMENTS, "ENABLE_COMMENTS"),
        }
    }
}

impl Db {
    /// Sets the size and number of lookaside slots. It must be called before any statement is prepared.
    pub(crate) fn set_lookaside(&self, slot_bytes: u16, slots: u32) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let bytes = u64::from(slot_bytes) * u64::from(slots);
        let slots = c_int::try_from(slots).unwrap_or(c_int::MAX);
        let memory: *mut c_void = ptr::null_mut();
        let (operation, slot_bytes) = (ffi::SQLITE_DBCONFIG_LOOKASIDE, c_int::from(slot_bytes));
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: a
        // pointer, which may be NULL for memory of SQLite's own, and two ints.
        let code = unsafe { dispatch::db_config_lookaside(entered.db(), operation, memory, slot_bytes, slots) };
        self.check(code)?;
        self.info.published().set_lookaside_bytes(bytes);
        Ok(())
    }

    /// Returns the state of a switch.
    pub(crate) fn db_config(&self, switch: DbConfig) -> Result<bool, Fault> {
        self.call_db_config(switch, -1)
    }

    /// Sets a switch. Returns its state before.
    pub(crate) fn set_db_config(&self, switch: DbConfig, on: bool) -> Result<bool, Fault> {
        if switch == DbConfig::Fts3Tokenizer && on {
            return Err(Fault::new(FaultKind::Misuse(FTS3_TOKENIZER)));
        }
        let before = self.db_config(switch)?;
        if before != on {
            self.add_taint(Taint::CONFIG);
            self.call_db_config(switch, c_int::from(on))?;
        }
        Ok(before)
    }

    /// Sets a `sqlite3_db_config` switch, unless the value is negative. Returns its state afterwards.
    pub(in crate::raw) fn call_db_config(&self, switch: DbConfig, value: c_int) -> Result<bool, Fault> {
        let entered = self.enter()?;
        let (operation, name) = switch.operation();
        let mut now: c_int = 0;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: each of
        // these operations takes an int, negative to leave the setting, and a pointer to an int, the local `now`.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, value, &raw mut now) };
        match code {
            // An operation that this version does not have.
            ffi::SQLITE_ERROR => {
                let reason = format!("this SQLite has no SQLITE_DBCONFIG_{name}");
                Err(Fault::new(FaultKind::Unsupported(reason.into())))
            }
            code => self.check(code).map(|()| now != 0),
        }
    }

    /// Makes `VACUUM` delete everything in the database, for as long as the guard exists.
    pub(crate) fn begin_reset_of_database(&self) -> Result<ResetOfDatabase<'_>, Fault> {
        self.call_reset_of_database(true)?;
        Ok(ResetOfDatabase(self))
    }

    fn call_reset_of_database(&self, on: bool) -> Result<(), Fault> {
        let entered = self.enter()?;
        let now: *mut c_int = ptr::null_mut();
        let operation = ffi::SQLITE_DBCONFIG_RESET_DATABASE;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: an int,
        // and a pointer to an int, which may be NULL.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, c_int::from(on), now) };
        self.check(code)
    }

    /// Returns the value of a limit; 0 for a closed connection.
    pub(crate) fn limit(&self, limit: Limit) -> u32 {
        if self.is_closed() {
            return 0;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/limit.html: a negative value changes
        // nothing, so the call reads a number (rule 20).
        let value = unsafe { ffi::sqlite3_limit(self.ptr.as_ptr(), limit.category(), -1) };
        u32::try_from(value).unwrap_or(0)
    }

    /// Sets a limit, to SQLite's largest value if the given one exceeds it. Returns the value before.
    pub(crate) fn set_limit(&self, limit: Limit, value: u32) -> Result<u32, Fault> {
        let entered = self.enter()?;
        self.add_taint(Taint::CONFIG);
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/limit.html: any value is allowed,
        // and one above the compile-time limit is "silently truncated" to it.
        let before = unsafe { ffi::sqlite3_limit(entered.db(), limit.category(), value) };
        Ok(u32::try_from(before).unwrap_or(0))
    }

    /// Removes the SQL function `fts3_tokenizer`. It takes an address of C functions as a blob and calls them; one that
    /// is bound, whatever [`DbConfig::Fts3Tokenizer`] is.
    pub(super) fn remove_tokenizers_by_address(&self) -> Result<(), Fault> {
        for arguments in [1, 2] {
            // SAFETY: `self` owns the connection, which was just opened (rule 19) and has no statement that calls the
            // function; the name is a constant (rule 22). c3ref/create_function.html: NULL functions remove it, and of
            // one that does not exist nothing.
            let code = unsafe {
                ffi::sqlite3_create_function_v2(
                    self.ptr.as_ptr(),
                    c"fts3_tokenizer".as_ptr(),
                    arguments,
                    ffi::SQLITE_UTF8,
                    ptr::null_mut(),
                    None,
                    None,
                    None,
                    None,
                )
            };
            // A statement of the connection's former owner is running.
            if code != ffi::SQLITE_BUSY {
                self.check(code)?;
            }
        }
        Ok(())
    }

    /// Writes changed pages that are not in use to the files.
    pub(crate) fn flush_cache(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows, and `self` owns it (rules 19, 20);
        // c3ref/db_cacheflush.html: any open connection. Pages that a running statement reads are left out (rule 21).
        let code = unsafe { ffi::sqlite3_db_cacheflush(entered.db()) };
        drop(charge);
        self.resume();
        // The connection keeps no message of it.
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(code_fault(code)) }
    }

    /// Frees unused memory: pages of the cache that are not in use.
    pub(crate) fn release_memory(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows, and `self` owns it (rules 19, 20);
        // c3ref/db_release_memory.html: any open connection. The cells of a current row stay valid until the next step
        // (rule 21).
        unsafe { ffi::sqlite3_db_release_memory(entered.db()) };
        Ok(())
    }
}

/// Guard of [`Db::begin_reset_of_database`].
#[must_use]
pub(crate) struct ResetOfDatabase<'db>(&'db Db);

impl Drop for ResetOfDatabase<'_> {
    fn drop(&mut self) {
        let _cleanup = self.0.begin_cleanup();
        // The connection was entered for it, and is neither closed nor in a callback here.
        let _ = self.0.call_reset_of_database(false);
    }
}

const FTS3_TOKENIZER: &str =
    "SQL that may register a tokenizer by its address can read and call any memory: turn this on through the C handle";
