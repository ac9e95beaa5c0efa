//! Maintenance of a database: figures for the query planner, checks of the file and of foreign keys.

use std::fmt;

use super::Connection;
use crate::error::{Error, ErrorKind, Result, ResultCode};
use crate::sql::quote_text;
use crate::statement::{FromRow, OwnedRows, QueryAs, Row};
use crate::value::ValueRef;

/// Extent of [`Connection::integrity_check`] and [`Connection::quick_check`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckScope<'a> {
    /// All databases of the connection, up to the first 100 problems.
    #[default]
    All,
    /// All databases of the connection, up to so many problems.
    First(u32),
    /// One table with its indexes, up to the first 100 problems.
    Table(&'a str),
}

impl CheckScope<'_> {
    fn sql(self, pragma: &str) -> String {
        match self {
            Self::All => format!("PRAGMA {pragma}"),
            // SQLite takes 0 for 100, and lowers nothing.
            Self::First(most) => format!("PRAGMA {pragma}({})", most.clamp(1, i32::MAX.unsigned_abs())),
            Self::Table(table) => format!("PRAGMA {pragma}({})", quote_text(table)),
        }
    }
}

impl Connection {
    /// Updates the figures that the query planner uses, where SQLite finds that useful. It is quick, as it looks at a
    /// part of each index only.
    ///
    /// Run it from time to time, and after creating indexes.
    /// [`OpenOptions::recommended`](crate::OpenOptions::recommended) runs it when the connection is closed.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` and `SQLITE_LOCKED` if another connection has a lock; `SQLITE_READONLY`; errors of the file.
    ///
    /// C: [PRAGMA optimize](https://sqlite.org/pragma.html#pragma_optimize)
    #[track_caller]
    #[doc(alias("analyze", "ANALYZE"))]
    pub fn optimize(&self) -> Result<()> {
        self.execute("PRAGMA optimize", ()).map(drop)
    }

    /// Writes the changed pages of a transaction that is open to the files, those of all databases, so that its commit has
    /// less to write. Pages that statements are reading are left out. Without a transaction it does nothing.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if another connection has a lock; errors of the file; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let tx = conn.transaction()?;
    /// tx.execute("INSERT INTO t VALUES (zeroblob(100000))", ())?;
    /// tx.flush_cache()?;
    /// tx.commit()?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_db_cacheflush](https://sqlite.org/c3ref/db_cacheflush.html)
    pub fn flush_cache(&self) -> Result<()> {
        self.db().flush_cache().map_err(|fault| self.error(fault))
    }

    /// Checks the databases of the connection: the pages, the records, the indexes, and the constraints `UNIQUE`,
    /// `NOT NULL`, `CHECK` and those of `STRICT` tables. Returns an iterator over the problems, which is empty if there
    /// are none. It reads everything, and holds a read transaction open until it is dropped.
    ///
    /// Foreign keys are checked by [`foreign_key_check`](Self::foreign_key_check).
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` for a table that does not exist; `SQLITE_CORRUPT` and `SQLITE_NOTADB` if the schema cannot be
    /// read; other errors of the file, also from the iterator.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{CheckScope, Connection, DbConfig};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (NULL)")?;
    /// assert!(conn.integrity_check(CheckScope::All)?.next().is_none());
    ///
    /// conn.set_db_config(DbConfig::WritableSchema, true)?;
    /// conn.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a NOT NULL)'", ())?;
    /// conn.execute_batch("PRAGMA schema_version = 7")?;
    /// let problem = conn.integrity_check(CheckScope::Table("t"))?.next().unwrap()?;
    /// assert_eq!(problem.message, "NULL value in t.a");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA integrity_check](https://sqlite.org/pragma.html#pragma_integrity_check)
    #[track_caller]
    pub fn integrity_check(&self, scope: CheckScope<'_>) -> Result<IntegrityProblems<'_>> {
        Ok(IntegrityProblems(self.query_as(&scope.sql("integrity_check"), ())?))
    }

    /// Checks as [`integrity_check`](Self::integrity_check) does, but not whether indexes contain what their tables do,
    /// nor `UNIQUE` constraints. It takes much less time.
    ///
    /// # Errors
    ///
    /// See [`integrity_check`](Self::integrity_check).
    ///
    /// C: [PRAGMA quick_check](https://sqlite.org/pragma.html#pragma_quick_check)
    #[track_caller]
    pub fn quick_check(&self, scope: CheckScope<'_>) -> Result<IntegrityProblems<'_>> {
        Ok(IntegrityProblems(self.query_as(&scope.sql("quick_check"), ())?))
    }

    /// Returns an iterator over the rows that violate a foreign key: those of one table, or with `None` of all tables.
    /// It checks rows whether or not foreign keys are enforced.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` for a table that does not exist, and for a parent table whose key has no unique index; other
    /// errors of SQLite, also from the iterator.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, DbConfig};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.set_db_config(DbConfig::ForeignKeys, false)?;
    /// conn.execute_batch(
    ///     "CREATE TABLE author(id INTEGER PRIMARY KEY);
    ///      CREATE TABLE book(author INTEGER REFERENCES author(id));
    ///      INSERT INTO book VALUES (7);",
    /// )?;
    /// let violation = conn.foreign_key_check(None)?.next().unwrap()?;
    /// assert_eq!((&*violation.table, violation.rowid, &*violation.parent), ("book", Some(1), "author"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA foreign_key_check](https://sqlite.org/pragma.html#pragma_foreign_key_check)
    #[track_caller]
    pub fn foreign_key_check(&self, table: Option<&str>) -> Result<ForeignKeyViolations<'_>> {
        let sql = match table {
            Some(table) => format!("PRAGMA foreign_key_check({})", quote_text(table)),
            None => "PRAGMA foreign_key_check".to_owned(),
        };
        Ok(ForeignKeyViolations(self.query_as(&sql, ())?))
    }
}

/// A problem of a database. From [`Connection::integrity_check`] and [`Connection::quick_check`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntegrityProblem {
    /// Description by SQLite. It may contain a rowid.
    pub message: String,
}

impl<'row> FromRow<'row> for IntegrityProblem {
    fn from_row(row: Row<'row>) -> Result<Self> {
        // It may quote what the file contains, which may be no UTF-8.
        let message = match row.value(0)? {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => "the check returned no text".to_owned(),
        };
        // SQLite reports a page that it had no memory to read as if the page were damaged.
        if message.lines().any(|line| PAGES_WITHOUT_MEMORY.iter().any(|end| line.ends_with(end))) {
            return Err(Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM }));
        }
        Ok(Self { message })
    }
}

/// Ends of the reports on a page for which `SQLITE_NOMEM` was returned.
const PAGES_WITHOUT_MEMORY: [&str; 2] =
    ["unable to get the page. error code=7", "btreeInitPage() returns error code 7"];

impl fmt::Display for IntegrityProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A row that violates a foreign key. From [`Connection::foreign_key_check`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignKeyViolation {
    /// Table of the row.
    pub table: String,
    /// Rowid of the row; `None` for a table `WITHOUT ROWID`.
    pub rowid: Option<i64>,
    /// Table that the foreign key refers to.
    pub parent: String,
    /// Number of the foreign key among those of the table: the `id` of `PRAGMA foreign_key_list`.
    pub key_index: u32,
}

impl<'row> FromRow<'row> for ForeignKeyViolation {
    fn from_row(row: Row<'row>) -> Result<Self> {
        let (table, rowid, parent, key_index) = FromRow::from_row(row)?;
        Ok(Self { table, rowid, parent, key_index })
    }
}

/// Iterator over the problems of a database. From [`Connection::integrity_check`] and [`Connection::quick_check`].
#[derive(Debug)]
#[must_use = "iterators are lazy: the check runs as problems are fetched"]
pub struct IntegrityProblems<'conn>(QueryAs<OwnedRows<'conn>, IntegrityProblem>);

impl Iterator for IntegrityProblems<'_> {
    type Item = Result<IntegrityProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.next()? {
            // The only row, if there is no problem.
            Ok(problem) if problem.message == "ok" => self.next(),
            result => Some(result),
        }
    }
}

/// Iterator over the rows that violate a foreign key. From [`Connection::foreign_key_check`].
#[derive(Debug)]
#[must_use = "iterators are lazy: the check runs as violations are fetched"]
pub struct ForeignKeyViolations<'conn>(QueryAs<OwnedRows<'conn>, ForeignKeyViolation>);

impl Iterator for ForeignKeyViolations<'_> {
    type Item = Result<ForeignKeyViolation>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
