//! The error type: what went wrong, where in which SQL, in which column or parameter, and never with what value.

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
    /// Returns `None` for the error that there is no row, and the result as it is for anything else.
    ///
    /// [`Connection::query_optional`](crate::Connection::query_optional) does without.
    ///
    /// # Errors
    ///
    /// Any other error of the result.
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

/// Anything that can go wrong here. One word wide.
///
/// [`kind`](Self::kind) is for matching; the methods answer what callers usually ask. The text shows SQL, names and
/// types, and no bound or stored value: where a message of SQLite's quotes something that the SQL does not contain (a
/// bound JSON path, a bound search term), it ends in `…` instead, and a bound value is `…` wherever it stands in one.
///
/// The words of the program are shown whole, with the values that it puts into them: a trigger's `RAISE`, and the error of
/// a function or module that it has registered through the C handle.
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
    /// Byte offset of the mistake in `sql`.
    offset: Option<usize>,
    /// Where `sql` begins in the script it is part of: 1-based line and column.
    origin: Option<(usize, usize)>,
    /// The files that it may be about.
    databases: Box<[Box<str>]>,
    /// Whether the message is the program's own.
    is_the_programs: bool,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// SQLite returned an error code that has no kind of its own here.
    #[error("{}", Excerpt::of(message))]
    #[non_exhaustive]
    Sqlite {
        /// The extended result code.
        code: ResultCode,
        /// SQLite's message.
        message: Box<str>,
    },
    /// Memory ran out, or a limit on it was reached. The connection stays usable.
    #[error("out of memory")]
    #[non_exhaustive]
    NoMemory {
        /// The extended result code: `SQLITE_NOMEM` or `SQLITE_IOERR_NOMEM`.
        code: ResultCode,
    },
    /// [`InterruptHandle::interrupt`](crate::InterruptHandle::interrupt) stopped the statement.
    #[error("interrupted")]
    Interrupted,
    /// A column does not hold what was asked for.
    #[error("{}column {column} ({}), {found}: {problem}{}", row_prefix(*row), Excerpt::of(name), null_hint(*found, problem))]
    #[non_exhaustive]
    ColumnConversion {
        /// The row of the result, 0-based, where that is known: in a batch of a scan.
        row: Option<u64>,
        /// 0-based.
        column: usize,
        /// The column's name in the result.
        name: Box<str>,
        /// What the column holds in this row.
        found: Type,
        /// Why that does not do; names the Rust type.
        problem: ConversionError,
    },
    /// A value in a scan is of another type than its column, and may not change it: see
    /// [`OnTypeMismatch`](crate::scan::OnTypeMismatch).
    #[error("row {row}, column {column} ({}): {found} in a column of {expected}", Excerpt::of(name))]
    #[non_exhaustive]
    MixedColumn {
        /// The row of the result, 0-based.
        row: u64,
        /// 0-based.
        column: usize,
        /// The column's name in the result.
        name: Box<str>,
        /// The column's type.
        expected: ColumnType,
        /// The value's type.
        found: Type,
    },
    /// A column of a batch is of another type than asked for.
    #[error("column {column} ({}) is of {found}, not of {asked}", Excerpt::of(name))]
    #[non_exhaustive]
    ColumnType {
        /// 0-based.
        column: usize,
        /// The column's name in the result.
        name: Box<str>,
        /// The type that was asked for.
        asked: ColumnType,
        /// The column's type.
        found: ColumnType,
    },
    /// A column of a batch has NULLs where numbers were asked for that all mean something.
    #[error(
        "column {column} ({}) has {nulls} NULL{}, the first in row {row}: `iter_i64` and `iter_f64` yield `None` for it",
        Excerpt::of(name),
        plural(*nulls)
    )]
    #[non_exhaustive]
    ColumnHasNulls {
        /// The first row of the result that is NULL, 0-based.
        row: u64,
        /// 0-based.
        column: usize,
        /// The column's name in the result.
        name: Box<str>,
        /// NULLs in the batch.
        nulls: usize,
    },
    /// A value cannot be bound.
    #[error("parameter {}: {problem}", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterConversion {
        /// 1-based, as in SQLite.
        index: usize,
        /// The parameter's name in the SQL, with its prefix.
        name: Option<Box<str>>,
        /// Why not; names the Rust type.
        problem: ConversionError,
    },
    /// Values were given for more or fewer parameters than the SQL has.
    #[error("the SQL has {expected} parameter{}, {given} {} given", plural(*expected), was(*given))]
    #[non_exhaustive]
    ParameterCount {
        /// Parameters in the SQL.
        expected: usize,
        /// Values given; where an iterator gave too many, those looked at.
        given: usize,
    },
    /// The SQL has more parameters than SQLite takes.
    #[error(
        "too many SQL variables: this connection takes {max} in one statement (bind a list as one JSON text, and read it \
         by `json_each(?)`; or insert it into a temporary table)"
    )]
    #[non_exhaustive]
    TooManyParameters {
        /// The most there may be.
        max: usize,
    },
    /// No value was given for a parameter.
    #[error("parameter {} has no value", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterUnset {
        /// 1-based, as in SQLite.
        index: usize,
        /// The parameter's name in the SQL, with its prefix.
        name: Option<Box<str>>,
    },
    /// A parameter was given two values.
    #[error("parameter {} is given twice", display_parameter(*index, name.as_deref()))]
    #[non_exhaustive]
    ParameterTwice {
        /// 1-based, as in SQLite.
        index: usize,
        /// The parameter's name in the SQL, with its prefix.
        name: Option<Box<str>>,
    },
    /// A name or index leads nowhere.
    #[error("no such {what}: {}{}", Excerpt::of(name), hint(known))]
    #[non_exhaustive]
    NoSuch {
        /// What was looked for.
        what: NameKind,
        /// What it was called.
        name: Box<str>,
        /// What there is instead.
        known: Box<[Box<str>]>,
    },
    /// A row has another number of columns than the type reads.
    #[error("the row has {found} column{} ({}), the type reads {expected}", plural(*found), names(columns))]
    #[non_exhaustive]
    ColumnCount {
        /// Columns the type reads.
        expected: usize,
        /// Columns in the row.
        found: usize,
        /// Their names.
        columns: Box<[Box<str>]>,
    },
    /// Another number of rows than asked for.
    #[error("expected one row, found {}", if *found == 0 { "none" } else { "several" })]
    #[non_exhaustive]
    RowCount {
        /// Rows seen before giving up: 0 or 2.
        found: usize,
    },
    /// There is no statement in the SQL.
    #[error("the SQL is empty: nothing but blanks and comments")]
    EmptySql,
    /// There is more SQL after the statement.
    #[error("there is more after the first statement: {}", Excerpt::of(rest))]
    #[non_exhaustive]
    TrailingSql {
        /// What follows.
        rest: Box<str>,
    },
    /// There is a NUL character in the SQL, where SQLite would stop reading.
    #[error("the SQL contains a NUL character")]
    NulInSql,
    /// The path cannot be given to SQLite.
    #[error("the path cannot be used: {reason}")]
    #[non_exhaustive]
    Path {
        /// Why not.
        reason: &'static str,
    },
    /// A pragma did not take the value it was given.
    #[error("{}", display_pragma(name, requested, effective.as_deref(), *is_known))]
    #[non_exhaustive]
    Pragma {
        /// The pragma.
        name: Box<str>,
        /// What it was set to.
        requested: Box<str>,
        /// What it is, as SQLite reads it back; `None` if SQLite reads back nothing.
        effective: Option<Box<str>>,
        /// Whether SQLite has a pragma of this name. One that it has reads back nothing where it is not for this
        /// database: `mmap_size` of one in memory.
        is_known: bool,
    },
    /// SQLite ended the transaction by itself, or a `COMMIT` or `ROLLBACK` did, while its guard is alive: running
    /// more would store it at once. The error by which SQLite ended it was returned before.
    #[error("the transaction has already ended: SQLite rolled it back after an earlier error, or SQL ended it")]
    TransactionEnded,
    /// The text or blob is longer than SQLite can take.
    #[error("{what} of {bytes} bytes is too big for SQLite")]
    #[non_exhaustive]
    TooBig {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// The call is not allowed now.
    #[error("{reason}")]
    #[non_exhaustive]
    Misuse {
        /// Why not.
        reason: &'static str,
    },
    /// The database was open when this process was forked: a connection that was inherited is used, or a file is opened
    /// or attached that was open at the fork, under whatever name. Only the process that had it open may use it:
    /// SQLite's notes of who holds which lock are inherited, and the locks are not.
    #[error(
        "the database was open when this process was forked, and is only for the process that had it open: fork before \
         that opens it, or call `exec` in the child"
    )]
    Forked,
    /// The SQLite that is linked cannot be used.
    #[error("{reason}")]
    #[non_exhaustive]
    Unsupported {
        /// Why not.
        reason: Box<str>,
    },
    /// No connection of a pool came free in time.
    #[error("no {role} connection came free within {waited:.1?}{}", checked_out_lines(checked_out))]
    #[non_exhaustive]
    PoolTimeout {
        /// What the connection was to be for: `writer`, `reader` or `reserved`.
        role: &'static str,
        /// How long the caller waited.
        waited: std::time::Duration,
        /// Those that are out, each in a line: since when and from where.
        checked_out: Box<[Box<str>]>,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    PoolClosed,
    /// A connection of a pool that is to write could be opened for reading only.
    #[error(
        "SQLite could open the database for reading only: no permission to write, a read-only file system, or too many \
         open files (`OpenOptions::read_only(true)` is for a pool that only reads)"
    )]
    OpenedReadOnly,
    /// A pool could not open a connection.
    #[error("no connection after {} attempt{}: {}", attempts.len(), plural(attempts.len()), display_last(attempts))]
    #[non_exhaustive]
    OpenAttempts {
        /// What each attempt came to, the last at the end.
        attempts: Box<[Error]>,
    },
    /// An error of the caller's own, from [`Error::external`].
    #[error("{0}")]
    External(Box<dyn StdError + Send + Sync>),
}

/// What a name stands for.
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

/// A place in SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlPosition {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
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

    /// Wraps an error of the caller's own, to hand it through a closure that returns [`Result`].
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

    /// Makes the error of [`Connection::query_one`](crate::Connection::query_one) for a result without rows, for a program
    /// whose own queries report it.
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

    /// Says which SQL it was, unless that is known.
    #[cold]
    pub(crate) fn in_sql(mut self, text: &str) -> Self {
        if self.0.sql.is_none() {
            self.0.sql = Some(text.into());
        }
        self
    }

    /// Takes what was bound out of SQLite's message. `expanded` is the SQL with the values in it; where that cannot be
    /// had, nothing but the code's own words is left.
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

    /// Says where in its SQL the mistake is.
    #[cold]
    pub(crate) fn at_offset(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Says where in a script its SQL begins.
    #[cold]
    pub(crate) fn at(mut self, origin: (usize, usize)) -> Self {
        self.0.origin = Some(origin);
        self
    }

    /// Says which database file it was, where the error is about the file.
    #[cold]
    pub(crate) fn in_database(self, path: impl FnOnce() -> Box<str>) -> Self {
        self.in_databases(|| vec![path()])
    }

    /// Says which database files it may have been, where the error is about one.
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

    /// Whether the statement is one about a file that the connection has not open, or not yet.
    fn is_about_another_file(&self) -> bool {
        let is = |keyword| self.sql().is_some_and(|sql| sql::starts_with_keyword(sql, keyword));
        is("ATTACH") || is("VACUUM") && self.sql().is_some_and(|sql| sql.to_ascii_uppercase().contains("INTO"))
    }

    /// Says how many parameters there may be, where there are too many.
    #[cold]
    pub(crate) fn with_parameter_limit(mut self, max: impl FnOnce() -> usize) -> Self {
        if matches!(&self.0.kind, ErrorKind::Sqlite { message, .. } if **message == *"too many SQL variables") {
            self.0.kind = ErrorKind::TooManyParameters { max: max() };
        }
        self
    }

    /// What went wrong, for matching.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The primary result code, where SQLite returned one.
    #[must_use]
    pub fn code(&self) -> Option<ResultCode> {
        self.extended_code().map(ResultCode::primary)
    }

    /// The extended result code, where SQLite returned one.
    ///
    /// C: [sqlite3_extended_errcode](https://sqlite.org/c3ref/errcode.html)
    #[must_use]
    pub fn extended_code(&self) -> Option<ResultCode> {
        match self.0.kind {
            ErrorKind::Sqlite { code, .. } | ErrorKind::NoMemory { code } => Some(code),
            ErrorKind::Interrupted => Some(ResultCode::INTERRUPT),
            ErrorKind::TooBig { .. } => Some(ResultCode::TOOBIG),
            ErrorKind::TooManyParameters { .. } => Some(ResultCode::ERROR),
            _ => None,
        }
    }

    /// The C name of the extended result code, such as `SQLITE_CONSTRAINT_UNIQUE`.
    #[must_use]
    pub fn code_name(&self) -> Option<&'static str> {
        self.extended_code().map(ResultCode::name)
    }

    /// The statement, as it was written.
    #[must_use]
    pub fn sql(&self) -> Option<&str> {
        self.0.sql.as_deref()
    }

    /// Where in the SQL the mistake is, if SQLite says it, or, in a script, where the statement begins.
    ///
    /// Lines and columns count from 1, in the text that was handed to the call that failed.
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

    /// The constraint that failed, where one did.
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

    /// Whether a call that returns one row found none.
    #[must_use]
    pub fn is_no_rows(&self) -> bool {
        matches!(self.0.kind, ErrorKind::RowCount { found: 0 })
    }

    /// Whether a lock was in the way, mostly another connection's: `SQLITE_BUSY`, its extended codes included.
    ///
    /// Trying the same again may help, except for [`is_busy_snapshot`](Self::is_busy_snapshot).
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.code() == Some(ResultCode::BUSY)
    }

    /// Whether a transaction that had read could not become a writer, because the database has changed since:
    /// `SQLITE_BUSY_SNAPSHOT`. It must be rolled back and begun anew.
    #[must_use]
    pub fn is_busy_snapshot(&self) -> bool {
        self.extended_code() == Some(ResultCode::BUSY_SNAPSHOT)
    }

    /// Whether a statement of the same connection, or one that shares its cache, was in the way: `SQLITE_LOCKED`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.code() == Some(ResultCode::LOCKED)
    }

    /// Whether it was another connection's lock, which that gives up some time. SQLite says `SQLITE_BUSY` also where
    /// statements of the same connection are in the way, and then in words of its own.
    pub(crate) fn is_anothers_lock(&self) -> bool {
        let ErrorKind::Sqlite { code, message } = &self.0.kind else {
            return false;
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
    /// For closures that convert by hand; which column it was is not known here.
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
            // Where SQLite only says the code's own words, the extended code is the news.
            let more = message.strip_prefix(library::code_message(code.primary().number()));
            if more == Some("") || code.number() > 0xff {
                write!(f, " [{code}]")?;
            }
            let circumstances = Circumstances {
                files: self.0.databases.len(),
                is_of_a_statement: self.0.sql.is_some() && !self.is_about_another_file(),
            };
            // The system's reason may follow, but nothing else.
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

/// The text first, which is what `fn main() -> finalite::Result<()>` prints, and then the fields.
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

/// Which kind of constraint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// UNIQUE, or a unique index.
    Unique,
    /// PRIMARY KEY, or the rowid.
    PrimaryKey,
    /// NOT NULL.
    NotNull,
    /// CHECK.
    Check,
    /// FOREIGN KEY.
    ForeignKey,
    /// The type of a column in a STRICT table.
    DataType,
    /// `RAISE` in a trigger.
    Trigger,
    /// Any other: a commit hook, a function, a virtual table.
    Other,
}

/// A failed constraint, as far as SQLite's message tells.
#[derive(Clone, Copy, Debug)]
pub struct Constraint<'a> {
    code: ResultCode,
    message: &'a str,
}

impl<'a> Constraint<'a> {
    /// Which kind.
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

    /// What SQLite names: the columns (`users.email`), the CHECK's name or expression, the index. `None` for a foreign
    /// key, of which SQLite names nothing.
    #[must_use]
    pub fn target(self) -> Option<&'a str> {
        match self.kind() {
            // The words of a RAISE, which may be anything.
            ConstraintKind::Trigger => None,
            // "cannot store TEXT value in INTEGER column t.a"
            ConstraintKind::DataType => self.message.rsplit_once(" column ").map(|(_, column)| column),
            _ => self.message.split_once("constraint failed: ").map(|(_, target)| target),
        }
    }

    /// Table and column of each column concerned; empty unless SQLite names columns.
    pub fn columns(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names_columns = match self.kind() {
            // An index on an expression goes by its own name.
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

/// The names, or the first of them where there are many.
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

/// Whether SQLite's message for a code may quote a value of a statement that ran. The others name tables and columns,
/// or nothing.
fn may_quote(code: ResultCode) -> bool {
    matches!(code.primary(), ResultCode::ERROR | ResultCode::CANTOPEN)
}

/// Text on one line, cut where it grows long. White space is one space, what a terminal would obey is escaped.
struct Excerpt<'a> {
    text: &'a str,
    /// The byte that must be seen.
    at: usize,
    /// In characters.
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
