//! Reading a whole result: row by row in one call, or as columns.
//!
//! [`Connection::scan`] takes any statement that returns rows. What is done with them is chosen by the last call:
//!
//! - [`for_each`](Scan::for_each), [`try_for_each`](Scan::try_for_each): each [`Row`], borrowed from SQLite;
//! - [`batches`](Scan::batches): some thousand rows at a time as a [`ColumnBatch`], whose buffers are used again;
//! - [`columns`](Scan::columns): all of it as one [`ColumnBatch`].
//!
//! # Example
//!
//! ```
//! use finalite::Connection;
//!
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch(
//!     "CREATE TABLE city(name TEXT, people INTEGER);
//!      INSERT INTO city VALUES ('Bonn', 330000), ('Ulm', NULL), ('Rom', 2700000);",
//! )?;
//!
//! let mut people = 0;
//! conn.scan("SELECT people FROM city WHERE people > ?", (1000,)).for_each(|row| {
//!     people += row.get::<i64>(0)?;
//!     Ok::<_, finalite::Error>(())
//! })?;
//! assert_eq!(people, 3_030_000);
//!
//! let cities = conn.scan("SELECT name, people FROM city", ()).columns()?;
//! assert_eq!(cities.column("people")?.as_i64()?, [330_000, 0, 2_700_000]);
//! assert!(cities.column("people")?.is_null(1));
//! assert_eq!(cities.column("name")?.as_str()?.get(2), Some("Rom"));
//! # Ok::<(), finalite::Error>(())
//! ```

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;

use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::params::Params;
use crate::rows::{Row, Rows};

mod batch;
mod column;
mod print;
mod schema;
mod views;

use batch::Plan;
pub use batch::{BatchIndex, ColumnBatch};
pub use column::{ColumnBuffer, Offsets};
pub use schema::{ColumnType, Mixed};
pub use views::{BytesColumn, TextColumn};

/// A scan that is still to run. From [`Connection::scan`].
#[must_use = "a scan does nothing until its rows are asked for"]
pub struct Scan<'a, P> {
    conn: &'a Connection,
    sql: &'a str,
    params: P,
    limit: u64,
    progress: Option<Progress<'a>>,
    schema: Option<Box<[ColumnType]>>,
    mixed: Option<Mixed>,
    site: &'static Location<'static>,
}

/// Whom to tell how many rows were read, and how often.
struct Progress<'a> {
    every: u64,
    report: Box<dyn FnMut(u64) -> ControlFlow<()> + 'a>,
}

impl Connection {
    /// Begins a scan: a statement that is run when its rows are asked for, in one call.
    ///
    /// See [`scan`](crate::scan).
    #[track_caller]
    pub fn scan<'a, 'p, P: Params<'p>>(&'a self, sql: &'a str, params: P) -> Scan<'a, P> {
        Scan {
            conn: self,
            sql,
            params,
            limit: u64::MAX,
            progress: None,
            schema: None,
            mixed: None,
            site: Location::caller(),
        }
    }
}

impl<'p, P: Params<'p>> Scan<'_, P> {
    /// Calls the closure with each row, in the order of the result. Returns the number of rows.
    ///
    /// The closure may use the connection for other statements, and may write; what becomes of rows that it changes
    /// in the table it scans is as [SQLite says](https://sqlite.org/isolation.html). Its error ends the scan; wherever a
    /// scan ends, what its own statement changed (`INSERT … RETURNING`) stands.
    ///
    /// # Errors
    ///
    /// The closure's, and as [`Connection::prepare`] and [`Statement::execute`](crate::Statement::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Error};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut longest = 0;
    /// let rows = conn.scan("VALUES ('one'), ('three')", ()).for_each(|row| {
    ///     longest = longest.max(row.get::<&str>(0)?.len());
    ///     Ok::<_, Error>(())
    /// })?;
    /// assert_eq!((rows, longest), (2, 5));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn for_each<E: From<Error>>(self, mut read: impl FnMut(Row<'_>) -> Result<(), E>) -> Result<u64, E> {
        self.run(|rows, pace| {
            while let Some(stop) = pace.next_stop() {
                // Counted in a register.
                let mut count = pace.rows;
                while count < stop {
                    let Some(row) = rows.next()? else {
                        return Ok(count);
                    };
                    read(row)?;
                    count += 1;
                }
                pace.rows = count;
            }
            Ok(pace.rows)
        })
    }

    /// Calls the closure with each row until it breaks. Returns what it broke with; `None` if it never did.
    ///
    /// # Errors
    ///
    /// As [`for_each`](Self::for_each).
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use finalite::{Connection, Error};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let first_large = conn.scan("VALUES (1), (20), (30)", ()).try_for_each(|row| {
    ///     let n: i64 = row.get(0)?;
    ///     Ok::<_, Error>(if n > 10 { ControlFlow::Break(n) } else { ControlFlow::Continue(()) })
    /// })?;
    /// assert_eq!(first_large, Some(20));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_for_each<B, E: From<Error>>(
        self,
        mut read: impl FnMut(Row<'_>) -> Result<ControlFlow<B>, E>,
    ) -> Result<Option<B>, E> {
        self.run(|rows, pace| {
            while let Some(stop) = pace.next_stop() {
                for _ in pace.rows..stop {
                    let Some(row) = rows.next()? else {
                        return Ok(None);
                    };
                    if let ControlFlow::Break(found) = read(row)? {
                        return Ok(Some(found));
                    }
                }
                pace.rows = stop;
            }
            Ok(None)
        })
    }

    /// Calls the closure with up to this many rows at a time, as columns. Returns the number of rows.
    ///
    /// The buffers are used again for the next batch: after the first, nothing is allocated unless text or blobs need
    /// more room. Some thousand rows are a good size. What a column's type is may change from one batch to the next
    /// where nothing declares it: see [`schema`](Self::schema).
    ///
    /// # Errors
    ///
    /// The closure's, and as [`columns`](Self::columns); [`ErrorKind::Misuse`] for 0 rows.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Error};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n";
    /// let (mut sum, mut sizes) = (0, vec![]);
    /// conn.scan(sql, ()).batches(1000, |batch| {
    ///     sizes.push(batch.len());
    ///     sum += batch.column(0)?.as_i64()?.iter().sum::<i64>();
    ///     Ok::<_, Error>(())
    /// })?;
    /// assert_eq!((sum, sizes), (3_126_250, vec![1000, 1000, 500]));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn batches<E: From<Error>>(
        self,
        rows: usize,
        mut read: impl FnMut(&ColumnBatch) -> Result<(), E>,
    ) -> Result<u64, E> {
        if rows == 0 {
            return Err(Error::new(ErrorKind::Misuse { reason: "a batch has at least one row" })
                .in_sql(self.sql)
                .into());
        }
        let mut batch = ColumnBatch::new(Plan { schema: self.schema.clone(), mixed: self.mixed, rows });
        self.run(|cursor, pace| {
            loop {
                let is_end = fill(&mut batch, cursor, pace, rows)?;
                if !batch.is_empty() {
                    read(&batch)?;
                }
                if is_end {
                    return Ok(pace.rows);
                }
                batch.clear();
            }
        })
    }

    /// Reads the whole result into columns.
    ///
    /// # Errors
    ///
    /// As [`Connection::prepare`] and [`Statement::execute`](crate::Statement::execute); [`ErrorKind::MixedColumn`] for a value that does not fit
    /// its column, [`ErrorKind::ColumnCount`] if [`schema`](Self::schema) declares another number of columns.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let batch = conn.scan("VALUES (1, 0.5), (2, NULL)", ()).columns()?;
    /// assert_eq!(batch.column(0)?.as_i64()?, [1, 2]);
    /// assert_eq!(batch.column(1)?.null_count(), 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn columns(self) -> Result<ColumnBatch> {
        let mut batch = ColumnBatch::new(Plan { schema: self.schema.clone(), mixed: self.mixed, rows: 0 });
        self.run(|cursor, pace| fill(&mut batch, cursor, pace, usize::MAX))?;
        Ok(batch)
    }

    /// Reads no more than this many rows; with 0, the statement is not run.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = rows;
        self
    }

    /// Calls the closure after every so many rows with the number read so far. If it breaks, the scan ends there, without
    /// an error, as if the result did. (An [`InterruptHandle`](crate::InterruptHandle) ends it with one, and before the
    /// first row, too.)
    ///
    /// # Panics
    ///
    /// If `every` is 0.
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// let conn = finalite::Connection::open_in_memory()?;
    /// let mut seen = vec![];
    /// conn.scan("VALUES (1), (2), (3), (4), (5)", ())
    ///     .progress(2, |rows| {
    ///         seen.push(rows);
    ///         ControlFlow::Continue(())
    ///     })
    ///     .columns()?;
    /// assert_eq!(seen, [2, 4]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn progress<'b>(self, every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'b) -> Scan<'b, P>
    where
        Self: 'b,
    {
        assert!(every > 0, "progress is reported every so many rows, and 0 is not so many");
        let Scan { conn, sql, params, limit, schema, mixed, site, progress: _ } = self;
        Scan {
            conn,
            sql,
            params,
            limit,
            schema,
            mixed,
            site,
            progress: Some(Progress { every, report: Box::new(report) }),
        }
    }

    /// Declares the columns' types, for [`batches`](Self::batches) and [`columns`](Self::columns). What does not fit is
    /// an error unless [`mixed`](Self::mixed) says otherwise.
    ///
    /// Without it a column has the type of its first value that is not NULL, and while it has none, the type that its
    /// declaration in the table promises (`INTEGER`, `REAL`, `TEXT`, `BLOB`, by the rules of affinity).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, scan::ColumnType};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let error = conn.scan("VALUES (1), ('two')", ()).schema([ColumnType::Integer]).columns().unwrap_err();
    /// assert!(error.to_string().starts_with("row 1, column 0 (column1): TEXT in a column of INTEGER"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn schema(mut self, types: impl IntoIterator<Item = ColumnType>) -> Self {
        self.schema = Some(types.into_iter().collect());
        self
    }

    /// What to do with a value of another type than its column's. [`Mixed::Dynamic`] unless set, or [`Mixed::Error`] where
    /// there is a [`schema`](Self::schema).
    pub fn mixed(mut self, mixed: Mixed) -> Self {
        self.mixed = Some(mixed);
        self
    }

    /// How the scan will be run, and why so.
    ///
    /// # Errors
    ///
    /// As [`Connection::prepare`].
    pub fn plan(&self) -> Result<ScanPlan> {
        self.conn.prepare_cached_at(self.sql, self.site)?;
        Ok(ScanPlan { path: ScanPath::Statement, reason: "every statement can be run step by step" })
    }

    /// Runs the statement; the reset's result is part of the whole.
    fn run<T, E: From<Error>>(self, read: impl FnOnce(&mut Rows<'_>, &mut Pace<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut statement = self.conn.prepare_cached_at(self.sql, self.site)?;
        if let Some(types) = &self.schema {
            batch::check_before(&statement, types)?;
        }
        let mut rows = statement.statement_mut().start(self.params)?;
        let mut pace = Pace { rows: 0, limit: self.limit, progress: self.progress };
        let value = read(&mut rows, &mut pace)?;
        rows.finish()?;
        Ok(value)
    }
}

/// How far a scan is, and where it pauses.
struct Pace<'a> {
    rows: u64,
    limit: u64,
    progress: Option<Progress<'a>>,
}

impl Pace<'_> {
    /// The number of rows up to which nothing else is to do, after doing it; `None` at the end.
    fn next_stop(&mut self) -> Option<u64> {
        if let Some(Progress { every, report }) = &mut self.progress
            && self.rows > 0
            && self.rows.is_multiple_of(*every)
            && report(self.rows).is_break()
        {
            return None;
        }
        if self.rows >= self.limit {
            return None;
        }
        let pause = self
            .progress
            .as_ref()
            .map_or(u64::MAX, |progress| (self.rows / progress.every + 1).saturating_mul(progress.every));
        Some(pause.min(self.limit))
    }
}

/// Reads up to so many rows into the batch. Returns whether the result has ended.
fn fill(batch: &mut ColumnBatch, cursor: &mut Rows<'_>, pace: &mut Pace<'_>, rows: usize) -> Result<bool> {
    let is_end = fill_rows(batch, cursor, pace, rows)?;
    // A result without rows has columns too.
    batch.begin(cursor.current())?;
    batch.finish();
    Ok(is_end)
}

fn fill_rows(batch: &mut ColumnBatch, cursor: &mut Rows<'_>, pace: &mut Pace<'_>, rows: usize) -> Result<bool> {
    while let Some(last) = pace.next_stop() {
        let room = (rows - batch.len()) as u64;
        let stop = last.min(pace.rows.saturating_add(room));
        while pace.rows < stop {
            let Some(row) = cursor.next()? else {
                return Ok(true);
            };
            batch.push(row)?;
            pace.rows += 1;
        }
        if batch.len() == rows {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<P> fmt::Debug for Scan<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("sql", &self.sql).finish_non_exhaustive()
    }
}

/// How a scan is run. From [`Scan::plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPlan {
    /// What yields the rows.
    pub path: ScanPath,
    /// Why it does.
    pub reason: &'static str,
}

/// What yields the rows of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanPath {
    /// SQLite's own execution of the statement, step by step.
    Statement,
}

impl fmt::Display for ScanPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            ScanPath::Statement => write!(f, "by running the statement: {}", self.reason),
        }
    }
}
