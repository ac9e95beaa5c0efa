//! [`ErrorKind`]: the kinds of errors, and their messages.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::excerpt::Excerpt;
use super::{Error, MigrationProblem, ResultCode};
use crate::value::{ColumnType, ConversionError, Type};

/// The kind of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// SQLite returned an error code for which there is no other kind.
    #[error("{}", Excerpt::of(message))]
    #[non_exhaustive]
    Sqlite {
        /// The extended result code.
        code: ResultCode,
        /// The message of SQLite.
        message: Box<str>,
    },
    /// SQLite could not allocate memory, or a memory limit was reached. The connection remains usable.
    #[error("out of memory")]
    #[non_exhaustive]
    NoMemory {
        /// The extended result code: `SQLITE_NOMEM` or `SQLITE_IOERR_NOMEM`.
        code: ResultCode,
    },
    /// [`InterruptHandle::interrupt`](crate::InterruptHandle::interrupt) stopped the statement, or a call of
    /// `finalite-tokio` was cancelled.
    #[error("interrupted")]
    Interrupted,
    /// The time that was allowed has passed: a [deadline](crate::Connection::deadline), or the time of
    /// [limits](crate::Connection::limit_queries). The statement was stopped or, after the deadline, not begun.
    #[error("not done within {allowed:?}")]
    #[non_exhaustive]
    Deadline {
        /// Time that was allowed.
        allowed: Duration,
    },
    /// The statement exceeded one of its [limits](crate::Connection::limit_queries).
    #[error("{exceeded}")]
    #[non_exhaustive]
    QueryLimit {
        /// The limit.
        exceeded: ExceededLimit,
    },
    /// The value of a column cannot be converted to the requested Rust type.
    #[error("{}column {column} ({}), {found}: {problem}{}", row_prefix(*row), Excerpt::of(name), null_hint(*found, problem))]
    #[non_exhaustive]
    ColumnConversion {
        /// 0-based row of the result, if known: in a batch of a scan.
        row: Option<u64>,
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Storage class of the value in this row.
        found: Type,
        /// Reason, with the name of the Rust type.
        problem: ConversionError,
    },
    /// A value in a scan has another type than its column, and the column's type may not change: see
    /// [`OnTypeMismatch`](crate::scan::OnTypeMismatch).
    #[error("row {row}, column {column} ({}): {found} in a column of {expected}", Excerpt::of(name))]
    #[non_exhaustive]
    MixedColumn {
        /// 0-based row of the result.
        row: u64,
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Type of the column.
        expected: ColumnType,
        /// Storage class of the value.
        found: Type,
    },
    /// A column of a batch has another type than requested.
    #[error("column {column} ({}) is of {found}, not of {asked}", Excerpt::of(name))]
    #[non_exhaustive]
    ColumnType {
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Requested type.
        asked: ColumnType,
        /// Type of the column.
        found: ColumnType,
    },
    /// A column of a batch contains NULLs, and the call requires that it contains none.
    #[error(
        "column {column} ({}) has {nulls} NULL{}, the first in row {row}: `iter_i64` and `iter_f64` yield `None` for it",
        Excerpt::of(name),
        plural(*nulls)
    )]
    #[non_exhaustive]
    ColumnHasNulls {
        /// 0-based row of the result with the first NULL.
        row: u64,
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Number of NULLs in the batch.
        nulls: usize,
    },
    /// A Rust value cannot be converted for binding.
    #[error("parameter {}: {problem}", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterConversion {
        /// 1-based index of the parameter, as in SQLite.
        index: usize,
        /// Name of the parameter in the SQL, with its prefix.
        name: Option<Box<str>>,
        /// Reason, with the name of the Rust type.
        problem: ConversionError,
    },
    /// SQLite cannot store a value of an insertion of columns. No row was inserted.
    #[error("row {row}, column {column} ({}): {problem}", Excerpt::of(name))]
    #[non_exhaustive]
    InsertValue {
        /// 0-based row.
        row: u64,
        /// 0-based index of the column among those that are inserted.
        column: usize,
        /// Name of the column.
        name: Box<str>,
        /// Reason, with the name of the Rust type.
        problem: ConversionError,
    },
    /// The columns of an insertion differ in their number of values.
    #[error("column {column} ({}) has {found} value{}, the first column has {expected}", Excerpt::of(name), plural(*found))]
    #[non_exhaustive]
    ColumnLength {
        /// 0-based index of the column.
        column: usize,
        /// Name of the column.
        name: Box<str>,
        /// Number of values of the first column.
        expected: usize,
        /// Number of values of this column.
        found: usize,
    },
    /// The progress closure of an insertion ended it. The insertion was undone.
    #[error("ended by the progress closure after {rows} row{}", plural(*rows))]
    #[non_exhaustive]
    Stopped {
        /// Number of rows that had been read.
        rows: u64,
    },
    /// The number of values differs from the number of parameters in the SQL.
    #[error("the SQL has {expected} parameter{}, {given} {} given", plural(*expected), was(*given))]
    #[non_exhaustive]
    ParameterCount {
        /// Number of parameters in the SQL.
        expected: usize,
        /// Number of values given. If an iterator yields too many, the number of values read from it.
        given: usize,
    },
    /// The SQL has more parameters than the connection's limit.
    #[error(
        "too many SQL variables: this connection takes {max} in one statement (bind a list as one, by \
         `finalite::array`, and read it by `list(?)`; or insert it into a temporary table)"
    )]
    #[non_exhaustive]
    TooManyParameters {
        /// Maximum number of parameters in one statement.
        max: usize,
    },
    /// A parameter has no value.
    #[error("parameter {} has no value", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterUnset {
        /// 1-based index of the parameter, as in SQLite.
        index: usize,
        /// Name of the parameter in the SQL, with its prefix.
        name: Option<Box<str>>,
    },
    /// A parameter has two values.
    #[error("parameter {} is given twice", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterTwice {
        /// 1-based index of the parameter, as in SQLite.
        index: usize,
        /// Name of the parameter in the SQL, with its prefix.
        name: Option<Box<str>>,
    },
    /// A name without its prefix is that of several parameters: the SQL contains it with different prefixes.
    #[error("the parameter {name} is ambiguous: the SQL has {}", names(known))]
    #[non_exhaustive]
    AmbiguousParameter {
        /// Name that was given.
        name: Box<str>,
        /// Names in the SQL that it may be.
        known: Box<[Box<str>]>,
    },
    /// No column, parameter, pragma, table or database has this name or index.
    #[error("no such {what}: {}{}", Excerpt::of(name), hint(known))]
    #[non_exhaustive]
    NoSuch {
        /// Kind of item that was looked up.
        what: NameKind,
        /// Name or index that was looked up.
        name: Box<str>,
        /// Names that exist.
        known: Box<[Box<str>]>,
    },
    /// The number of columns in a row differs from the number that the type reads.
    #[error("the row has {found} column{} ({}), the type reads {expected}", plural(*found), names(columns))]
    #[non_exhaustive]
    ColumnCount {
        /// Number of columns that the type reads.
        expected: usize,
        /// Number of columns in the row.
        found: usize,
        /// Names of the columns in the row.
        columns: Box<[Box<str>]>,
    },
    /// A column of the row is read by no field of a struct ([`FromRow`](crate::FromRow) by derive). The attribute
    /// `#[finalite(ignore_extra)]` of the struct allows it.
    #[error("column {column} ({}) is read by no field of {rust_type}", Excerpt::of(name))]
    #[non_exhaustive]
    UnreadColumn {
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Name of the struct.
        rust_type: &'static str,
    },
    /// Two columns of the row have the name of the same field of a struct ([`FromRow`](crate::FromRow) by derive).
    #[error("columns {first} and {second} both have the name {} (`AS` gives one another)", Excerpt::of(name))]
    #[non_exhaustive]
    AmbiguousColumn {
        /// Name of the field.
        name: Box<str>,
        /// 0-based index of the first column of that name.
        first: usize,
        /// 0-based index of the second.
        second: usize,
    },
    /// The statement returned no row, or several rows where one was expected.
    #[error("expected one row, found {}", if *found == 0 { "none" } else { "several" })]
    #[non_exhaustive]
    RowCount {
        /// Number of rows fetched before the call failed: 0 or 2.
        found: usize,
    },
    /// The SQL contains no statement.
    #[error("the SQL is empty: it contains only white space and comments")]
    EmptySql,
    /// The SQL continues after its first statement.
    #[error("unexpected SQL after the first statement: {}", Excerpt::of(rest))]
    #[non_exhaustive]
    TrailingSql {
        /// The SQL after the first statement.
        rest: Box<str>,
    },
    /// The SQL contains a NUL character, at which SQLite would stop reading.
    #[error("the SQL contains a NUL character")]
    NulInSql,
    /// The path cannot be passed to SQLite.
    #[error("the path cannot be used: {reason}")]
    #[non_exhaustive]
    Path {
        /// Reason.
        reason: &'static str,
    },
    /// A pragma reads back another value than the one it was set to.
    #[error("{}", display_pragma(name, requested, effective.as_deref(), *is_known))]
    #[non_exhaustive]
    Pragma {
        /// Name of the pragma.
        name: Box<str>,
        /// Value that was set.
        requested: Box<str>,
        /// Value that SQLite reads back; `None` if it reads back nothing.
        effective: Option<Box<str>>,
        /// Whether SQLite has a pragma of this name. A known pragma reads back nothing if it does not apply to the
        /// database: `mmap_size` for one in memory.
        is_known: bool,
    },
    /// The transaction of an open guard has ended: SQLite rolled it back, or SQL ran `COMMIT` or `ROLLBACK`. Further
    /// statements are refused, because each would be committed at once. The error at which SQLite rolled back was
    /// returned before.
    #[error("the transaction has already ended: SQLite rolled it back after an earlier error, or SQL ended it")]
    TransactionEnded,
    /// A text or blob exceeds the size limit of SQLite.
    #[error("{what} of {bytes} bytes is too big for SQLite")]
    #[non_exhaustive]
    TooBig {
        /// Kind of the data.
        what: &'static str,
        /// Size in bytes.
        bytes: usize,
    },
    /// The call is not allowed in the current state.
    #[error("{reason}")]
    #[non_exhaustive]
    Misuse {
        /// Reason.
        reason: &'static str,
    },
    /// `PRAGMA quick_check` has found a problem in a database file that was opened as
    /// [untrusted](crate::OpenOptions::untrusted). The connection was closed.
    #[error("PRAGMA quick_check found a problem in the database: {}", Excerpt::of(finding))]
    #[non_exhaustive]
    FailedCheck {
        /// First problem, in SQLite's words.
        finding: Box<str>,
    },
    /// The database was open when this process was forked. Either an inherited connection is used, or a file that was
    /// open at the fork is opened or attached, under any name. Only the process that had the file open may use it: a
    /// child process inherits SQLite's record of its locks, but not the locks.
    #[error(
        "the database was open when this process was forked, and is only for the process that had it open: fork before \
         that opens it, or call `exec` in the child"
    )]
    Forked,
    /// The linked SQLite library cannot be used.
    #[error("{reason}")]
    #[non_exhaustive]
    Unsupported {
        /// Reason.
        reason: Box<str>,
    },
    /// No connection of a pool became available within the timeout.
    #[error("no {role} connection came free within {waited:.1?}{}", checked_out_lines(checked_out))]
    #[non_exhaustive]
    PoolTimeout {
        /// Role of the requested connection: `writer`, `reader` or `reserved`.
        role: &'static str,
        /// Time that the caller waited.
        waited: std::time::Duration,
        /// Connections that are checked out, one line each: the time and the source location of the checkout.
        checked_out: Box<[Box<str>]>,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    PoolClosed,
    /// SQLite opened the database for reading only, but the pool needs a connection that writes.
    #[error(
        "SQLite could open the database for reading only: no permission to write, a read-only file system, or too many \
         open files (`OpenOptions::read_only(true)` is for a pool that only reads)"
    )]
    OpenedReadOnly,
    /// A pool could not open a connection.
    #[error("no connection after {} attempt{}: {}", attempts.len(), plural(attempts.len()), display_last(attempts))]
    #[non_exhaustive]
    OpenAttempts {
        /// Error of each attempt, in order.
        attempts: Box<[Error]>,
    },
    /// A function of the program ([`create_scalar_function`](crate::Connection::create_scalar_function)) returned an
    /// error, which is the [`source`](std::error::Error::source).
    #[error("function {function}: {error}")]
    #[non_exhaustive]
    Function {
        /// The extended result code under which SQLite reports the error.
        code: ResultCode,
        /// Name of the function.
        function: Box<str>,
        /// Error that the function returned.
        error: Box<dyn StdError + Send + Sync>,
    },
    /// A tokenizer of the program ([`Connection::create_tokenizer`](crate::Connection::create_tokenizer)) returned an
    /// error, which is the [`source`](std::error::Error::source).
    #[error("tokenizer {tokenizer}: {error}")]
    #[non_exhaustive]
    Tokenizer {
        /// The extended result code under which SQLite reports the error.
        code: ResultCode,
        /// Name of the tokenizer.
        tokenizer: Box<str>,
        /// Error that the tokenizer, or what creates it, returned.
        error: Box<dyn StdError + Send + Sync>,
    },
    /// A function of the program was called with an argument that cannot be converted to the type that it takes, or the
    /// table `list` with something that is no list: see [`array`](crate::array()).
    #[error("function {function}, argument {argument}, {found}: {problem}")]
    #[non_exhaustive]
    FunctionArgument {
        /// The extended result code under which SQLite reports the error.
        code: ResultCode,
        /// Name of the function.
        function: Box<str>,
        /// 1-based number of the argument.
        argument: usize,
        /// Storage class of the argument.
        found: Type,
        /// Reason, with the name of the Rust type.
        problem: ConversionError,
    },
    /// A function of the program returned a value that SQLite cannot represent.
    #[error("function {function}, result: {problem}")]
    #[non_exhaustive]
    FunctionResult {
        /// The extended result code under which SQLite reports the error.
        code: ResultCode,
        /// Name of the function.
        function: Box<str>,
        /// Reason, with the name of the Rust type.
        problem: ConversionError,
    },
    /// A method of a [virtual table](crate::extend::virtual_table) of the program returned an error, which is the
    /// [`source`](std::error::Error::source).
    #[error("table {table}, {method}: {error}")]
    #[non_exhaustive]
    VirtualTable {
        /// The extended result code under which SQLite reports the error.
        code: ResultCode,
        /// Name of the table.
        table: Box<str>,
        /// Name of the method, as the trait has it.
        method: &'static str,
        /// Error that the method returned.
        error: Box<dyn StdError + Send + Sync>,
    },
    /// A [`Blob`](crate::data::Blob) can no longer be used: its row was changed or deleted, the transaction was rolled
    /// back, or [`reopen`](crate::data::Blob::reopen) failed.
    #[error("the blob has expired: its row was changed or deleted, or the transaction was rolled back (open it again)")]
    BlobExpired,
    /// A [`Blob`](crate::data::Blob) cannot be opened on this value.
    #[error("the blob {}.{} cannot be opened: {obstacle}", Excerpt::of(table), Excerpt::of(column))]
    #[non_exhaustive]
    BlobUnavailable {
        /// Name of the table, as given.
        table: Box<str>,
        /// Name of the column, as given.
        column: Box<str>,
        /// Reason.
        obstacle: BlobObstacle,
    },
    /// Bytes outside a [`Blob`](crate::data::Blob) were requested. A blob has a fixed size.
    #[error("{bytes} byte{} at offset {offset} of a blob of {len}: it has a fixed size", plural(*bytes))]
    #[non_exhaustive]
    BlobRange {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes to read or to write.
        bytes: usize,
        /// Size of the blob in bytes.
        len: u64,
    },
    /// The destination of a [`Backup`](crate::data::Backup) is in memory, or has a write-ahead log, and contains pages of
    /// another size than the source.
    #[error(
        "the source has pages of {source_bytes} bytes, the destination of {destination_bytes}: one in memory or with a \
         write-ahead log has to be empty, or to have pages of the same size"
    )]
    #[non_exhaustive]
    PageSize {
        /// Bytes of a page of the source.
        source_bytes: u32,
        /// Bytes of a page of the destination.
        destination_bytes: u32,
    },
    /// A table of a changeset does not match the table of the database (feature `session`).
    #[error("table {} of the changeset: {obstacle}", Excerpt::of(table))]
    #[non_exhaustive]
    ChangesetTable {
        /// Name of the table in the changeset.
        table: Box<str>,
        /// Reason.
        obstacle: ChangesetObstacle,
    },
    /// The bytes are neither a changeset nor a patchset, or are a patchset where a changeset is needed (feature
    /// `session`).
    #[error("the bytes are no changeset, or a patchset where a changeset is needed")]
    MalformedChangeset,
    /// The database is encrypted with another key, or not at all (feature `sqlcipher`).
    #[error("the key is not that of the database, or the database is not encrypted")]
    WrongKey,
    /// A migration cannot be applied or taken back: see [`Migrations`](crate::data::Migrations). The SQL, its position
    /// and the result code are those of the statement that failed.
    #[error("migration {version} ({}{}): {problem}", Excerpt::of(name), display_file(file.as_deref()))]
    #[non_exhaustive]
    Migration {
        /// Version of the migration: 1 is the first.
        version: u32,
        /// Name of the migration.
        name: Box<str>,
        /// File of the migration, as it was given.
        file: Option<Box<str>>,
        /// Reason.
        problem: MigrationProblem,
    },
    /// The database has more migrations than the program knows: a newer program has migrated it.
    #[error("the database is at version {version}, and this program knows {known} migration{}", plural(*known))]
    #[non_exhaustive]
    NewerDatabase {
        /// `user_version` of the database.
        version: i64,
        /// Number of migrations that the program knows.
        known: u32,
    },
    /// The database records more migrations than its `user_version` says: that was changed by others.
    #[error("user_version is {version}, but finalite_migrations records the migration {recorded}: set it back to that")]
    #[non_exhaustive]
    MigrationHistory {
        /// `user_version` of the database.
        version: i64,
        /// Last version in the table `finalite_migrations`.
        recorded: i64,
    },
    /// A file is no migration: see [`Migrations::from_files`](crate::data::Migrations::from_files).
    #[error("the migration {}: {reason}", Excerpt::of(file))]
    #[non_exhaustive]
    MigrationFile {
        /// Path of the file, as it was given.
        file: Box<str>,
        /// Reason.
        reason: &'static str,
    },
    /// An error of the caller, from [`Error::external`].
    #[error("{0}")]
    External(Box<dyn StdError + Send + Sync>),
}

/// Reason for which a [`Blob`](crate::data::Blob) cannot be opened on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobObstacle {
    /// There is no table of this name in the database.
    #[error("there is no such table")]
    NoSuchTable,
    /// The table has no column of this name.
    #[error("there is no such column")]
    NoSuchColumn,
    /// The table has no row with this rowid.
    #[error("there is no row with this rowid")]
    NoSuchRow,
    /// The value is neither a blob nor text.
    #[error("the value is {0}, neither a blob nor text")]
    Value(Type),
    /// The name is that of a view.
    #[error("it is a view, not a table")]
    View,
    /// The table is a virtual table.
    #[error("the table is virtual")]
    VirtualTable,
    /// The table was created `WITHOUT ROWID`.
    #[error("the table is WITHOUT ROWID")]
    WithoutRowid,
    /// The table has generated columns.
    #[error("the table has generated columns")]
    GeneratedColumns,
    /// An index contains the column, or an expression, so that the column cannot be written through a blob.
    #[error("an index contains the column, so that it can only be read")]
    Indexed,
    /// The column refers to another table by a foreign key, so that it cannot be written through a blob.
    #[error("the column belongs to a foreign key, so that it can only be read")]
    ForeignKey,
}

/// Reason for which the changes of a table cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesetObstacle {
    /// The database has no table of this name.
    #[error("there is no such table")]
    NoSuchTable,
    /// The table has fewer columns than its changes.
    #[error("it has {changeset} columns, the table has {table}")]
    #[non_exhaustive]
    Columns {
        /// Number of columns of the table.
        table: usize,
        /// Number of columns in the changeset.
        changeset: usize,
    },
    /// The primary key of the table has other columns.
    #[error("the table has another primary key")]
    PrimaryKey,
}

/// The kind of item that a name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameKind {
    /// A column of a result.
    Column,
    /// A parameter of a statement.
    Parameter,
    /// A pragma.
    Pragma,
    /// A table.
    Table,
    /// A database of a connection: `main`, `temp` or an attached one.
    Database,
}

/// A limit that a statement exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExceededLimit {
    /// Number of rows that it may return.
    Rows(u64),
    /// Number of instructions of the virtual machine that it may run.
    Steps(u64),
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(most) => write!(f, "the statement returns more rows than it may: {most}"),
            Self::Steps(most) => write!(f, "the statement takes more steps than it may: {most}"),
        }
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Column => "column",
            Self::Parameter => "parameter",
            Self::Pragma => "pragma",
            Self::Table => "table",
            Self::Database => "database",
        })
    }
}

fn plural<T: Copy + PartialEq + From<u8>>(count: T) -> &'static str {
    if count == T::from(1) { "" } else { "s" }
}

fn display_file(file: Option<&str>) -> String {
    file.map_or_else(String::new, |file| format!(", {file}"))
}

fn was(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

fn display_parameter(index: usize, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{index} ({name})"),
        None => index.to_string(),
    }
}

fn hint(known: &[Box<str>]) -> String {
    match known.len() {
        0 => String::new(),
        1 => format!(" (there is {})", names(known)),
        _ => format!(" (there are {})", names(known)),
    }
}

/// Returns the names joined by commas: at most the first 10, and the number of the others.
fn names(names: &[Box<str>]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| Excerpt::of(name).to_string()).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    shown.join(", ") + &more
}

fn checked_out_lines(checked_out: &[Box<str>]) -> String {
    checked_out
        .iter()
        .map(|line| {
            format!(
                "
  checked out: {line}"
            )
        })
        .collect()
}

fn display_last(attempts: &[Error]) -> String {
    attempts.last().map_or_else(String::new, Error::to_string)
}

fn row_prefix(row: Option<u64>) -> String {
    row.map_or_else(String::new, |row| format!("row {row}, "))
}

fn null_hint(found: Type, problem: &ConversionError) -> String {
    if found == Type::Null { format!(" (Option<{}> reads it)", problem.rust_type()) } else { String::new() }
}

fn display_pragma(name: &str, requested: &str, effective: Option<&str>, is_known: bool) -> String {
    match effective {
        Some(effective) => format!("PRAGMA {name} is {effective}, not {requested}"),
        None if is_known => format!("PRAGMA {name} reads back nothing: it is not for this database"),
        None => format!("PRAGMA {name} reads back nothing: this SQLite does not know it"),
    }
}
