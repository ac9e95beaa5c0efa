//! Reading the database within a callback.

use std::fmt;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Fault, Result};
use crate::raw::{Db, OpenToCallback, Stmt};
use crate::sql;
use crate::statement::params::{Binder, Params};
use crate::statement::{FromRow, Row};
use crate::value::ValueRef;

/// The connection of a callback, for reading: it runs statements that return rows and change nothing.
///
/// It can neither commit nor close nor register anything. Its statements are kept until the connection closes, so that
/// a function that is called for each row prepares them once; but those that read virtual tables.
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::FunctionOptions};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE rates(currency TEXT, rate REAL); INSERT INTO rates VALUES ('SEK', 11.5)")?;
/// conn.create_scalar_function_with("in_euro", FunctionOptions::new().arguments(2), |call| {
///     let (amount, currency): (f64, &str) = (call.get(0)?, call.get(1)?);
///     let rate: f64 = call.connection().query_one("SELECT rate FROM rates WHERE currency = ?", (currency,))?;
///     Ok(amount / rate)
/// })?;
/// assert_eq!(conn.query_one::<f64>("SELECT in_euro(23, 'SEK')", ())?, 2.0);
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct ReadConnection<'call> {
    db: &'call Db,
}

impl<'call> ReadConnection<'call> {
    pub(super) fn new(db: &'call Db) -> Self {
        Self { db }
    }

    /// Runs a statement that yields exactly one row, and returns the row as `T`.
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::query_one`](crate::Connection::query_one), and [`ErrorKind::Misuse`] for a statement
    /// that does not only read.
    #[track_caller]
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<T> {
        let (first, has_more) = self.read(sql, params, Location::caller(), |rows| {
            let first = rows.next()?;
            Ok((first, rows.next::<T>()?.is_some()))
        })?;
        match first {
            Some(row) if !has_more => Ok(row),
            other => Err(Error::new(ErrorKind::RowCount { found: other.map_or(0, |_| 2) }).in_sql(sql)),
        }
    }

    /// Runs a statement that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[track_caller]
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(
        &self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<Option<T>> {
        let (first, has_more) = self.read(sql, params, Location::caller(), |rows| {
            let first = rows.next()?;
            Ok((first, rows.next::<T>()?.is_some()))
        })?;
        if has_more {
            return Err(Error::new(ErrorKind::RowCount { found: 2 }).in_sql(sql));
        }
        Ok(first)
    }

    /// Runs a statement and returns all rows, each as `T`.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[track_caller]
    pub fn query_all<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<Vec<T>> {
        self.read(sql, params, Location::caller(), |rows| {
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(row);
            }
            Ok(all)
        })
    }

    /// Runs a statement and returns whether it yields a row.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[track_caller]
    pub fn exists<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<bool> {
        self.read(sql, params, Location::caller(), |rows: &mut Reading<'_>| rows.step())
    }

    fn read<'p, R>(
        &self,
        sql: &str,
        params: impl Params<'p>,
        site: &'static Location<'static>,
        read: impl FnOnce(&mut Reading<'_>) -> Result<R>,
    ) -> Result<R> {
        let open = self.db.open_to_callback();
        let (mut statement, known) = match self.db.take_reader(sql) {
            Some(Some(statement)) => (statement, Some(false)),
            Some(None) => (self.prepare(sql, site)?, Some(true)),
            None => (self.prepare(sql, site)?, None),
        };
        let before = statement.reprepares();
        let result = Self::run(&open, &mut statement, params, read);
        // One that failed is finalized, and each one on a connection of a host, which could not close it.
        if result.is_ok() && !self.db.is_of_host() {
            // The schema may have changed, for one that SQLite has prepared anew.
            let known = known.filter(|_| statement.reprepares() == before);
            let is_each_time = known.unwrap_or_else(|| self.may_read_virtual_table(sql, site));
            drop(self.db.keep_reader(statement, is_each_time));
        }
        result
    }

    /// Whether a statement may read a virtual table. It is prepared each time: FTS5 refuses a query of a table whose contents
    /// it is reading where that is prepared, and takes it for its own where it is run.
    fn may_read_virtual_table(&self, sql: &str, site: &'static Location<'static>) -> bool {
        let reads = || {
            let Some(mut statement) = self.db.prepare(&format!("EXPLAIN {sql}"), false, site)?.0 else {
                return Ok(true);
            };
            let mut program = statement.begin()?.run();
            while let Some(row) = program.step()? {
                if matches!(row.value(1), Ok(ValueRef::Text(code)) if *code == *b"VOpen") {
                    return Ok(true);
                }
            }
            Ok::<_, Fault>(false)
        };
        reads().unwrap_or(true)
    }

    fn run<'p, R>(
        open: &OpenToCallback<'_>,
        statement: &mut Stmt<'_>,
        params: impl Params<'p>,
        read: impl FnOnce(&mut Reading<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut binder = Binder::new(statement.begin()?);
        open.shut(|| params.bind(&mut binder))?;
        let mut rows = Reading { cursor: binder.finish()?.run(), open };
        let result = read(&mut rows)?;
        rows.cursor.finish()?;
        Ok(result)
    }

    fn prepare(&self, sql: &str, site: &'static Location<'static>) -> Result<Stmt<'call>> {
        if let Some(nul) = sql.find('\0') {
            return Err(Error::new(ErrorKind::NulInSql).in_sql(sql).at_offset(nul));
        }
        let (statement, taken) = self.db.prepare(sql, true, site).map_err(|fault| Error::from(fault).in_sql(sql))?;
        let Some(statement) = statement else {
            return Err(Error::new(ErrorKind::EmptySql).in_sql(sql));
        };
        let rest = sql::skip_blank(&sql[taken..]);
        if !rest.is_empty() {
            let error = Error::new(ErrorKind::TrailingSql { rest: rest.into() });
            return Err(error.in_sql(sql).at_offset(sql.len() - rest.len()));
        }
        // BEGIN, COMMIT and ATTACH change nothing by themselves, and return no columns.
        if !statement.is_readonly() || !statement.has_columns() || sql::starts_with_keyword(sql, "PRAGMA") {
            let reason = "within a callback, only statements that return rows and change nothing are run";
            return Err(Error::new(ErrorKind::Misuse { reason }).in_sql(sql));
        }
        Ok(statement.with_sql(sql, sql::taint(sql)))
    }
}

impl fmt::Debug for ReadConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadConnection").finish_non_exhaustive()
    }
}

/// Rows of one execution.
struct Reading<'stmt> {
    cursor: crate::raw::Cursor<crate::raw::Borrowed<'stmt>>,
    /// The conversions of the program run while the connection is shut: they could reach it in another way.
    open: &'stmt OpenToCallback<'stmt>,
}

impl Reading<'_> {
    fn step(&mut self) -> Result<bool> {
        Ok(self.cursor.step()?.is_some())
    }

    fn next<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        if !self.step()? {
            return Ok(None);
        }
        self.open.shut(|| T::from_row(Row::of_statement(self.cursor.row()))).map(Some)
    }
}
