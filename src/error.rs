//! The error type: kind of error, SQL and position, column or parameter. It never contains a bound or stored value.

use std::error::Error as StdError;
use std::fmt;

use self::advice::{Circumstances, advice};
use crate::convert::ConversionError;
use crate::raw::{Fault, FaultKind, library};
use crate::scan::ColumnType;
use crate::sql;
use crate::{ResultCode, Type};

mod advice;
mod message;

/// `Result` with finalite's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds [`optional`](Self::optional) to results.
pub trait OptionalExtension<T> {
    /// Converts the error for a missing row ([`Error::is_no_rows`]) to `None`. Other results are unchanged.
    ///
    /// [`Connection::query_optional`](crate::Connection::query_optional) does the same without this trait.
    ///
    /// # Errors
    ///
    /// Every other error of the result.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OptionalExtension};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let name = conn.query_row("SELECT name FROM sqlite_schema", [], |row| row.get::<String>(0)).optional()?;
    /// assert_eq!(name, None);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_no_rows() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The error of every fallible call of finalite. One pointer in size.
///
/// [`kind`](Self::kind) returns the kind for matching; the other methods answer common questions. The text shows SQL,
/// names and types, but no bound or stored value. If a message of SQLite quotes something that the SQL does not contain
/// (a bound JSON path, a bound search term), the message ends in `…` instead. A bound value elsewhere in a message is
/// replaced by `…`.
///
/// Messages of the program itself are shown in full, including the values in them: those of `RAISE` in a trigger, and
/// those of a function or module that the program registered through the C handle.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let error = conn.prepare("SELECT nam FROM people").unwrap_err();
/// assert_eq!(error.code_name(), Some("SQLITE_ERROR"));
/// assert_eq!(error.sql(), Some("SELECT nam FROM people"));
/// assert!(error.to_string().starts_with("no such table: people"));
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    sql: Option<Box<str>>,
    /// Byte offset of the error in `sql`.
    offset: Option<usize>,
    /// Start of `sql` in its script: 1-based line and column.
    origin: Option<(usize, usize)>,
    /// Database files that the error may concern.
    databases: Box<[Box<str>]>,
    /// Whether the message was written by the program and not by SQLite.
    is_the_programs: bool,
}

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
    /// [`InterruptHandle::interrupt`](crate::InterruptHandle::interrupt) stopped the statement.
    #[error("interrupted")]
    Interrupted,
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
        "too many SQL variables: this connection takes {max} in one statement (bind a list as one JSON text, and read it \
         by `json_each(?)`; or insert it into a temporary table)"
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
    /// No column, parameter or pragma has this name or index.
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
    /// The statement returned no row, or several rows where one was expected.
    #[error("expected one row, found {}", if *found == 0 { "none" } else { "several" })]
    #[non_exhaustive]
    RowCount {
        /// Number of rows fetched before the call failed: 0 or 2.
        found: usize,
    },
    /// The SQL contains no statement.
    #[error("the SQL is empty: nothing but blanks and comments")]
    EmptySql,
    /// The SQL continues after its first statement.
    #[error("there is more after the first statement: {}", Excerpt::of(rest))]
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
    /// An error of the caller, from [`Error::external`].
    #[error("{0}")]
    External(Box<dyn StdError + Send + Sync>),
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
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Column => "column",
            Self::Parameter => "parameter",
            Self::Pragma => "pragma",
        })
    }
}

/// A position in SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlPosition {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
}

impl fmt::Display for SqlPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            sql: None,
            offset: None,
            origin: None,
            databases: Box::default(),
            is_the_programs: false,
        }))
    }

    /// Wraps an error of the caller, to return it from a closure that returns [`Result`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::error::Error as _;
    /// use finalite::{Error, ErrorKind};
    ///
    /// let error = Error::external(std::fmt::Error);
    /// assert!(matches!(error.kind(), ErrorKind::External(_)));
    /// assert!(error.source().unwrap().is::<std::fmt::Error>());
    /// ```
    pub fn external(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::External(error.into()))
    }

    /// Returns the error of [`Connection::query_one`](crate::Connection::query_one) for a result without rows, for a
    /// program that reports it for its own queries.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Error;
    ///
    /// assert!(Error::no_rows().is_no_rows());
    /// ```
    #[must_use]
    pub fn no_rows() -> Self {
        Self::new(ErrorKind::RowCount { found: 0 })
    }

    /// Sets the SQL of the error, unless it is set.
    #[cold]
    pub(crate) fn in_sql(mut self, text: &str) -> Self {
        if self.0.sql.is_none() {
            self.0.sql = Some(text.into());
        }
        self
    }

    /// Removes bound values from SQLite's message. `expanded` returns the SQL with its values; if it returns `None`,
    /// the message is replaced by SQLite's fixed text for the code.
    #[cold]
    pub(crate) fn without_bound(mut self, expanded: impl FnOnce() -> Option<Box<str>>) -> Self {
        if let (ErrorKind::Sqlite { code, message }, Some(sql)) = (&mut self.0.kind, &self.0.sql)
            && may_quote(*code)
            && !self.0.is_the_programs
        {
            *message = match expanded() {
                Some(expanded) => message::without_bound(message, sql, &expanded),
                None => library::code_message(code.primary().number()).into(),
            };
        }
        self
    }

    /// Sets the byte offset of the error in its SQL.
    #[cold]
    pub(crate) fn at_offset(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Sets the 1-based line and column at which its SQL begins in a script.
    #[cold]
    pub(crate) fn at(mut self, origin: (usize, usize)) -> Self {
        self.0.origin = Some(origin);
        self
    }

    /// Sets the database file, if the error is about the file.
    #[cold]
    pub(crate) fn in_database(self, path: impl FnOnce() -> Box<str>) -> Self {
        self.in_databases(|| vec![path()])
    }

    /// Sets the database files that the error may concern, if it is about a file.
    #[cold]
    pub(crate) fn in_databases(mut self, paths: impl FnOnce() -> Vec<Box<str>>) -> Self {
        const ABOUT_THE_FILE: [ResultCode; 8] = [
            ResultCode::CANTOPEN,
            ResultCode::NOTADB,
            ResultCode::CORRUPT,
            ResultCode::READONLY,
            ResultCode::IOERR,
            ResultCode::PERM,
            ResultCode::BUSY,
            ResultCode::FULL,
        ];
        let about_the_file = self.code().is_some_and(|code| ABOUT_THE_FILE.contains(&code))
            || matches!(self.0.kind, ErrorKind::Pragma { .. } | ErrorKind::OpenedReadOnly);
        if self.0.databases.is_empty() && about_the_file && !self.is_about_another_file() {
            let mut paths = paths();
            paths.retain(|path| !path.is_empty());
            self.0.databases = paths.into();
        }
        self
    }

    /// Whether the statement (`ATTACH`, `VACUUM INTO`) is about a file that the connection does not have open.
    fn is_about_another_file(&self) -> bool {
        let is = |keyword| self.sql().is_some_and(|sql| sql::starts_with_keyword(sql, keyword));
        is("ATTACH") || is("VACUUM") && self.sql().is_some_and(|sql| sql.to_ascii_uppercase().contains("INTO"))
    }

    /// Converts SQLite's error for too many parameters to [`ErrorKind::TooManyParameters`] with the limit.
    #[cold]
    pub(crate) fn with_parameter_limit(mut self, max: impl FnOnce() -> usize) -> Self {
        if matches!(&self.0.kind, ErrorKind::Sqlite { message, .. } if **message == *"too many SQL variables") {
            self.0.kind = ErrorKind::TooManyParameters { max: max() };
        }
        self
    }

    /// Returns the kind of the error, for matching.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the primary result code, if the error has one.
    #[must_use]
    pub fn code(&self) -> Option<ResultCode> {
        self.extended_code().map(ResultCode::primary)
    }

    /// Returns the extended result code, if the error has one; of a pool that could not open a connection
    /// ([`ErrorKind::OpenAttempts`]), that of the last attempt.
    ///
    /// C: [sqlite3_extended_errcode](https://sqlite.org/c3ref/errcode.html)
    #[must_use]
    pub fn extended_code(&self) -> Option<ResultCode> {
        match self.0.kind {
            ErrorKind::Sqlite { code, .. } | ErrorKind::NoMemory { code } => Some(code),
            ErrorKind::Interrupted => Some(ResultCode::INTERRUPT),
            ErrorKind::TooBig { .. } => Some(ResultCode::TOOBIG),
            ErrorKind::TooManyParameters { .. } => Some(ResultCode::ERROR),
            ErrorKind::OpenAttempts { ref attempts } => attempts.last()?.extended_code(),
            _ => None,
        }
    }

    /// Returns the C name of the extended result code, such as `SQLITE_CONSTRAINT_UNIQUE`.
    #[must_use]
    pub fn code_name(&self) -> Option<&'static str> {
        self.extended_code().map(ResultCode::name)
    }

    /// Returns the SQL of the statement as passed to the call that failed, if known.
    #[must_use]
    pub fn sql(&self) -> Option<&str> {
        self.0.sql.as_deref()
    }

    /// Returns the position of the error in the SQL, if SQLite reports it. For an error in a script without such a
    /// position, returns the start of the statement.
    ///
    /// Line and column are 1-based and refer to the text passed to the call that failed.
    ///
    /// C: [sqlite3_error_offset](https://sqlite.org/c3ref/errcode.html)
    #[must_use]
    pub fn position(&self) -> Option<SqlPosition> {
        let Inner { sql, offset, origin, .. } = &*self.0;
        let offset = offset.or(origin.map(|_| 0))?;
        let (first_line, first_column) = origin.unwrap_or((1, 1));
        let (line, column) = sql::line_and_column(sql.as_deref()?, offset);
        let column = if line == 1 { first_column + column - 1 } else { column };
        Some(SqlPosition { line: first_line + line - 1, column })
    }

    /// Returns the constraint that failed, if the error is a constraint violation.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ConstraintKind};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE users(email TEXT UNIQUE); INSERT INTO users VALUES ('a')")?;
    /// let error = conn.execute("INSERT INTO users VALUES (?)", ("a",)).unwrap_err();
    /// let constraint = error.constraint().unwrap();
    /// assert_eq!(constraint.kind(), ConstraintKind::Unique);
    /// assert_eq!(constraint.columns().collect::<Vec<_>>(), [("users", "email")]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn constraint(&self) -> Option<Constraint<'_>> {
        let ErrorKind::Sqlite { code, message } = &self.0.kind else {
            return None;
        };
        (code.primary() == ResultCode::CONSTRAINT).then_some(Constraint { code: *code, message })
    }

    /// Whether a call that expects a row found none.
    #[must_use]
    pub fn is_no_rows(&self) -> bool {
        matches!(self.0.kind, ErrorKind::RowCount { found: 0 })
    }

    /// Whether a lock, usually of another connection, caused the error: `SQLITE_BUSY` or one of its extended codes.
    ///
    /// Retrying may succeed, except for [`is_busy_snapshot`](Self::is_busy_snapshot).
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.code() == Some(ResultCode::BUSY)
    }

    /// Whether a read transaction could not be upgraded to a write transaction, because the database has changed since
    /// it first read: `SQLITE_BUSY_SNAPSHOT`. Roll the transaction back and begin it again.
    #[must_use]
    pub fn is_busy_snapshot(&self) -> bool {
        self.extended_code() == Some(ResultCode::BUSY_SNAPSHOT)
    }

    /// Whether a conflict with a statement of the same connection, or of one that shares its cache, caused the error:
    /// `SQLITE_LOCKED`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.code() == Some(ResultCode::LOCKED)
    }

    /// Whether a lock of another connection caused the error, so that waiting can help. SQLite also returns
    /// `SQLITE_BUSY` for a conflict with statements of the same connection, but then with a specific message.
    pub(crate) fn is_anothers_lock(&self) -> bool {
        let (code, message) = match &self.0.kind {
            ErrorKind::Sqlite { code, message } => (code, message),
            ErrorKind::OpenAttempts { attempts } => return attempts.last().is_some_and(Self::is_anothers_lock),
            _ => return false,
        };
        *code == ResultCode::LOCKED_SHAREDCACHE
            || (code.primary() == ResultCode::BUSY && **message == *library::code_message(ResultCode::BUSY.number()))
    }

    /// Whether a constraint failed.
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        self.code() == Some(ResultCode::CONSTRAINT)
    }

    /// Whether the statement was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Interrupted)
    }
}

impl From<ConversionError> for Error {
    /// Wraps the error, for closures that convert values themselves. The error does not know its column.
    fn from(error: ConversionError) -> Self {
        Self::external(error)
    }
}

impl From<Fault> for Error {
    #[cold]
    fn from(fault: Fault) -> Self {
        let (mut at, mut is_the_programs) = (None, false);
        let (kind, sql) = fault.into_parts();
        let kind = match kind {
            FaultKind::Sqlite { code, message, may_be_the_programs, offset, reason } => {
                at = offset;
                is_the_programs = may_be_the_programs && !message::is_sqlites(&message);
                let code = ResultCode::new(code);
                match code.primary() {
                    ResultCode::NOMEM => ErrorKind::NoMemory { code },
                    _ if code == ResultCode::IOERR_NOMEM => ErrorKind::NoMemory { code },
                    ResultCode::INTERRUPT => ErrorKind::Interrupted,
                    _ => {
                        let message = match &sql {
                            Some(sql) if may_quote(code) && !is_the_programs => message::without_quoted(message, sql),
                            _ => message,
                        };
                        let message = match reason {
                            Some(reason) => format!("{message}: {reason}").into(),
                            None => message,
                        };
                        ErrorKind::Sqlite { code, message }
                    }
                }
            }
            FaultKind::Forked => ErrorKind::Forked,
            FaultKind::Misuse(reason) => ErrorKind::Misuse { reason },
            FaultKind::TooBig { what, bytes } => ErrorKind::TooBig { what, bytes },
            FaultKind::Unsupported(reason) => ErrorKind::Unsupported { reason },
        };
        let mut error = Self::new(kind);
        error.0.offset = at;
        error.0.is_the_programs = is_the_programs;
        error.0.sql = sql;
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind)?;
        if let ErrorKind::Sqlite { code, message } = &self.0.kind {
            // The code is shown if the message is only SQLite's fixed text for the primary code, or if the code is an
            // extended one.
            let more = message.strip_prefix(library::code_message(code.primary().number()));
            if more == Some("") || code.number() > 0xff {
                write!(f, " [{code}]")?;
            }
            let circumstances = Circumstances {
                files: self.0.databases.len(),
                is_of_a_statement: self.0.sql.is_some() && !self.is_about_another_file(),
            };
            // Advice is shown only if the message is the fixed text, optionally followed by the reason of the operating
            // system.
            let is_open = more.is_some_and(|more| more.is_empty() || more.starts_with(": "));
            if let Some(advice) = advice(*code, &circumstances).filter(|_| is_open) {
                write!(f, " ({advice})")?;
            }
        }
        let databases = &self.0.databases;
        for (n, database) in databases.iter().enumerate().filter(|&(n, database)| !databases[..n].contains(database)) {
            let lead = if n == 0 { ", database" } else { " or" };
            write!(f, "{lead} {}", Excerpt { longest: usize::MAX, ..Excerpt::of(database) })?;
        }
        if let Some(position) = self.position() {
            write!(f, ", at {position}")?;
        }
        if let Some(sql) = self.0.sql.as_deref().filter(|_| !matches!(self.0.kind, ErrorKind::EmptySql)) {
            write!(f, ", in: {}", Excerpt { at: self.0.offset.unwrap_or(0), ..Excerpt::of(sql) })?;
        }
        Ok(())
    }
}

/// Writes the text of `Display`, which `fn main() -> finalite::Result<()>` then prints, followed by the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; ")?;
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("sql", &self.0.sql)
            .field("position", &self.position())
            .field("databases", &self.0.databases)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            ErrorKind::External(error) => Some(&**error),
            ErrorKind::ColumnConversion { problem, .. } | ErrorKind::ParameterConversion { problem, .. } => {
                problem.source()
            }
            _ => None,
        }
    }
}

/// The kind of a failed constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// A UNIQUE constraint or a unique index.
    Unique,
    /// A PRIMARY KEY constraint, or the uniqueness of the rowid.
    PrimaryKey,
    /// A NOT NULL constraint.
    NotNull,
    /// A CHECK constraint.
    Check,
    /// A FOREIGN KEY constraint.
    ForeignKey,
    /// The declared type of a column in a STRICT table.
    DataType,
    /// `RAISE` in a trigger.
    Trigger,
    /// Any other constraint: of a commit hook, a function or a virtual table.
    Other,
}

/// A failed constraint, as far as SQLite's message describes it.
#[derive(Clone, Copy, Debug)]
pub struct Constraint<'a> {
    code: ResultCode,
    message: &'a str,
}

impl<'a> Constraint<'a> {
    /// Returns the kind of the constraint.
    #[must_use]
    pub fn kind(self) -> ConstraintKind {
        match self.code {
            ResultCode::CONSTRAINT_UNIQUE => ConstraintKind::Unique,
            ResultCode::CONSTRAINT_PRIMARYKEY | ResultCode::CONSTRAINT_ROWID => ConstraintKind::PrimaryKey,
            ResultCode::CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
            ResultCode::CONSTRAINT_CHECK => ConstraintKind::Check,
            ResultCode::CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
            ResultCode::CONSTRAINT_DATATYPE => ConstraintKind::DataType,
            ResultCode::CONSTRAINT_TRIGGER => ConstraintKind::Trigger,
            _ => ConstraintKind::Other,
        }
    }

    /// Returns the name in SQLite's message: the columns (`users.email`), the name or expression of the CHECK, or the
    /// index. `None` for a foreign key, for which SQLite reports no name, and for `RAISE` in a trigger.
    #[must_use]
    pub fn target(self) -> Option<&'a str> {
        match self.kind() {
            // The message of RAISE is arbitrary text.
            ConstraintKind::Trigger => None,
            // "cannot store TEXT value in INTEGER column t.a"
            ConstraintKind::DataType => self.message.rsplit_once(" column ").map(|(_, column)| column),
            _ => self.message.split_once("constraint failed: ").map(|(_, target)| target),
        }
    }

    /// Returns the table and the column of each column concerned. Empty if SQLite's message names no columns.
    pub fn columns(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names_columns = match self.kind() {
            // For an index on an expression, SQLite reports the name of the index.
            ConstraintKind::Unique => !self.target().is_some_and(|target| target.starts_with("index '")),
            ConstraintKind::PrimaryKey | ConstraintKind::NotNull | ConstraintKind::DataType => true,
            _ => false,
        };
        let target = self.target().filter(|_| names_columns).unwrap_or_default();
        target.split(", ").filter_map(|column| column.split_once('.'))
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
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

/// Whether SQLite's message for a code may quote a value of a running statement, or one that is stored (a rowid, by
/// FTS5). Messages of other codes contain only names of tables and columns, or no names.
fn may_quote(code: ResultCode) -> bool {
    matches!(code.primary(), ResultCode::ERROR | ResultCode::CANTOPEN) || code == ResultCode::CORRUPT_VTAB
}

/// Displays text on one line, truncated to a maximum length. White space becomes one space, and control characters are
/// escaped.
struct Excerpt<'a> {
    text: &'a str,
    /// Byte offset that must be in the displayed part.
    at: usize,
    /// Maximum length in characters.
    longest: usize,
}

impl<'a> Excerpt<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0, longest: 200 }
    }

    fn start(&self) -> usize {
        const BEFORE: usize = 60;
        if self.at < self.longest.saturating_sub(BEFORE) {
            return 0;
        }
        let start = (self.at - BEFORE).min(self.text.len());
        (0..=start).rev().find(|&byte| self.text.is_char_boundary(byte)).unwrap_or(0)
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let start = self.start();
        if start > 0 {
            f.write_char('…')?;
        }
        let mut written = 0;
        for (n, word) in self.text[start..].split_whitespace().enumerate() {
            let space = (n > 0).then_some(' ');
            for letter in space.into_iter().chain(word.chars()) {
                if written == self.longest {
                    return f.write_char('…');
                }
                if letter.is_control() {
                    write!(f, "{}", letter.escape_default())?;
                } else {
                    f.write_char(letter)?;
                }
                written += 1;
            }
        }
        Ok(())
    }
}
