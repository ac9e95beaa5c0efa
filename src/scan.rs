//! Reads a whole result: row by row in one call, or as columns.
//!
//! [`Connection::scan`] accepts any statement that returns rows. The last call determines the form of the result:
//!
//! - [`for_each`](Scan::for_each), [`try_for_each`](Scan::try_for_each): each [`Row`], borrowed from SQLite;
//! - [`batches`](Scan::batches): some thousand rows at a time as a [`ColumnBatch`], whose buffers are reused;
//! - [`columns`](Scan::columns): the whole result as one [`ColumnBatch`].
//!
//! [`Scan::partitions_of`] runs any `SELECT` on several threads, in ranges of rowids. [`Summary`] and [`Groups`] fold
//! batches into counts, sums, minima and maxima.
//!
//! # From pages
//!
//! The page reader decodes the pages of a table itself, while SQLite holds the lock and the snapshot. It returns the
//! same rows, types and bytes in the same order as the statement, several times as fast. It is used for
//! [`Connection::scan_table`], and with [`Scan::strategy`] for a statement that is a plain scan of a table, of a range
//! of its rowids (`WHERE id > 5 AND id <= 900`), or of an index that has all columns that are read.
//! [`Scan::threads`] sets the number of decoding threads. [`Scan::plan`] returns whether the pages are read, and
//! otherwise the reason.
//!
//! SQLite runs the statement instead:
//!
//! - with an order that no index has, a search in an index, a column that is computed on read, or a condition that is
//!   more than comparisons of columns with each other and with literals or [filters](Scan::filter), or `IN` and
//!   `NOT IN` of these, joined by `AND` and `OR`;
//! - for one row by its rowid, for ranges of up to 200 rows unless pages are asked for, for views that are more than a
//!   table, virtual tables, and tables of temporary and in-memory databases;
//! - with a shared cache, in exclusive locking mode, or with a file system (VFS) that does not come with SQLite;
//! - while the connection has a write transaction open, and, with a write-ahead log, in a transaction that has read
//!   before;
//! - on a connection that was opened by [`OpenOptions::untrusted`](crate::OpenOptions::untrusted).
//!
//! A progress handler set through the C interface is not called while pages are read. An
//! [`InterruptHandle`](crate::InterruptHandle) works.
//!
//! For a damaged file, rows and error are those of the statement: if a page does not decode or cannot be read, the
//! statement continues from that row, and [`Scan::on_end`] reports it. Two kinds of damage are errors immediately. A
//! file that ends within a page is `SQLITE_IOERR_SHORT_READ`, where SQLite reads the missing part of some pages as
//! zeros. More visited pages than the file has are `SQLITE_CORRUPT`, where SQLite may never stop reading. Each check is
//! listed in [The page reader beside SQLite](https://github.com/finalite/finalite/blob/HEAD/docs/page_reader.md).
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
//!     Ok(())
//! })?;
//! assert_eq!(people, 3_030_000);
//!
//! let cities = conn.scan("SELECT name, people FROM city", ()).columns()?;
//! let people: Vec<Option<i64>> = cities.column("people")?.iter_i64()?.collect();
//! assert_eq!(people, [Some(330_000), None, Some(2_700_000)]);
//! assert_eq!(cities.column("name")?.as_str()?.get(2), Some("Rom"));
//! # Ok::<(), finalite::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Result};
use crate::pages::{self, Anchor, PageRows, Threshold};
use crate::statement::params::{Params, params_from_iter};
use crate::statement::{Row, Statement};
use crate::value::Value;
use crate::{Connection, sql};

mod batch;
mod column;
mod drive;
mod filter;
mod groups;
mod key_index;
mod partitions;
mod plan;
mod reader;
mod summary;
mod table;
mod threads;
mod views;

pub use crate::value::{ColumnType, Relation};
use batch::ColumnSettings;
pub use batch::{BatchIndex, ColumnBatch};
pub use column::{BytesBuffers, ColumnBuffer, OffsetBuffer, Offsets};
use drive::{ScanProgress, Start, StepStart, drive, run_by_pages};
pub use filter::ScannedTable;
pub use groups::{Group, Groups};
pub use partitions::Partitions;
pub use plan::{ScanPlan, ScanStrategy};
use reader::{Batches, Columns, ForEach, Reader, TryForEach};
pub use summary::Summary;
pub use table::TableScan;
pub use views::{BytesColumn, TextColumn};

/// Treatment of a value of another type than its column's. NULL fits every column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnTypeMismatch {
    /// Ends the scan with [`ErrorKind::MixedColumn`].
    Error,
    /// Converts integers in a column of reals to reals, and a column of integers with a real to reals, if each is
    /// exact. Anything else is an error.
    Widen,
    /// Changes the column to [`ColumnType::Dynamic`]: no value is converted.
    Dynamic,
}

/// A scan that has not been run yet. From [`Connection::scan`].
#[must_use = "a scan does nothing until its rows are requested"]
pub struct Scan<'a, P, E = Error> {
    conn: &'a Connection,
    sql: Cow<'a, str>,
    params: P,
    /// Name of the table, for a scan of a whole table.
    table: Option<&'a str>,
    /// The caller's choice; `None` for the fastest.
    strategy: Option<ScanStrategy>,
    threads: usize,
    limit: u64,
    progress: Option<Progress<'a>>,
    on_end: Option<Box<dyn FnOnce(ScanPlan) + 'a>>,
    schema: Option<Box<[ColumnType]>>,
    mixed: Option<OnTypeMismatch>,
    site: &'static Location<'static>,
    /// Values of the parameters, if they are known.
    known: Vec<Value>,
    error: PhantomData<fn() -> E>,
}

/// Progress callback and its interval in rows.
struct Progress<'a> {
    every: u64,
    /// Number of rows at the last call.
    told: u64,
    report: Box<dyn FnMut(u64) -> ControlFlow<()> + 'a>,
}

impl Connection {
    /// Prepares a scan. The statement is run by the call that asks for its rows.
    ///
    /// See [`scan`](crate::scan).
    #[track_caller]
    pub fn scan<'a, 'p, P: Params<'p>>(&'a self, sql: &'a str, params: P) -> Scan<'a, P> {
        Scan::new(self, sql.into(), params, Location::caller())
    }
}

impl<'a, P> Scan<'a, P> {
    fn new(conn: &'a Connection, sql: Cow<'a, str>, params: P, site: &'static Location<'static>) -> Self {
        Self {
            conn,
            sql,
            params,
            table: None,
            strategy: Some(ScanStrategy::Statement),
            threads: 1,
            limit: u64::MAX,
            progress: None,
            on_end: None,
            schema: None,
            mixed: None,
            site,
            known: Vec::new(),
            error: PhantomData,
        }
    }
}

impl<'a, P, E> Scan<'a, P, E> {
    /// Returns the same scan for closures with an error type of the caller's.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// #[derive(Debug)]
    /// enum AppError { Negative, Database(finalite::Error) }
    ///
    /// impl From<finalite::Error> for AppError {
    ///     fn from(error: finalite::Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let checked = conn.scan("VALUES (1), (-2)", []).with_error().for_each(|row| match row.get::<i64>(0)? {
    ///     0.. => Ok(()),
    ///     _ => Err(AppError::Negative),
    /// });
    /// assert!(matches!(checked, Err(AppError::Negative)));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn with_error<F: From<Error>>(self) -> Scan<'a, P, F> {
        let Self {
            conn,
            sql,
            params,
            table,
            strategy,
            threads,
            limit,
            progress,
            on_end,
            schema,
            mixed,
            site,
            known,
            ..
        } = self;
        Scan {
            conn,
            sql,
            params,
            table,
            strategy,
            threads,
            limit,
            progress,
            on_end,
            schema,
            mixed,
            site,
            known,
            error: PhantomData,
        }
    }
}

impl<'p, P: Params<'p>, E: From<Error>> Scan<'_, P, E> {
    /// Calls the closure with each row, in the order of the result. Returns the number of rows.
    ///
    /// The closure may use the connection for other statements, and may write. The effect of changes in the table that
    /// is scanned is described [by SQLite](https://sqlite.org/isolation.html). An error of the closure ends the scan.
    /// Wherever a scan ends, changes made by its own statement (`INSERT … RETURNING`) persist.
    ///
    /// # Errors
    ///
    /// The closure's, and those of [`Connection::prepare`] and [`Statement::execute`](crate::Statement::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut longest = 0;
    /// let rows = conn.scan("VALUES ('one'), ('three')", ()).for_each(|row| {
    ///     longest = longest.max(row.get::<&str>(0)?.len());
    ///     Ok(())
    /// })?;
    /// assert_eq!((rows, longest), (2, 5));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn for_each(self, mut read: impl FnMut(Row<'_>) -> Result<(), E>) -> Result<u64, E> {
        self.run(&mut ForEach { read: &mut read, error: PhantomData })
    }

    /// Calls the closure with each row until it breaks. Returns the value it broke with; `None` if it did not break.
    ///
    /// # Errors
    ///
    /// See [`for_each`](Self::for_each).
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let first_large = conn.scan("VALUES (1), (20), (30)", ()).try_for_each(|row| {
    ///     let n: i64 = row.get(0)?;
    ///     Ok(if n > 10 { ControlFlow::Break(n) } else { ControlFlow::Continue(()) })
    /// })?;
    /// assert_eq!(first_large, Some(20));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn try_for_each<B>(self, mut read: impl FnMut(Row<'_>) -> Result<ControlFlow<B>, E>) -> Result<Option<B>, E> {
        let mut reader = TryForEach { read: &mut read, found: None, error: PhantomData };
        self.run(&mut reader)?;
        Ok(reader.found)
    }

    /// Calls the closure with up to this many rows at a time, as columns. Returns the number of rows.
    ///
    /// Buffers are reused for the next batch: after the first, nothing is allocated unless text or blobs need more
    /// room. Some thousand rows are a good size. The type of a column that is not declared may change from one batch to
    /// the next: see [`schema`](Self::schema).
    ///
    /// # Errors
    ///
    /// The closure's, and those of [`columns`](Self::columns); [`ErrorKind::Misuse`] for 0 rows.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n";
    /// let (mut sum, mut sizes) = (0, vec![]);
    /// conn.scan(sql, ()).batches(1000, |batch| {
    ///     sizes.push(batch.len());
    ///     sum += batch.column(0)?.as_i64()?.iter().sum::<i64>();
    ///     Ok(())
    /// })?;
    /// assert_eq!((sum, sizes), (3_126_250, vec![1000, 1000, 500]));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn batches(self, rows: usize, mut read: impl FnMut(&ColumnBatch) -> Result<(), E>) -> Result<u64, E> {
        let batch = self.new_batch(rows)?;
        let hand_over = |batch: &mut ColumnBatch| {
            read(batch)?;
            batch.clear();
            Ok(())
        };
        self.run(&mut Batches { batch, rows, has_empty: false, hand_over })
    }

    /// Calls the closure with up to this many rows at a time, as columns that the closure owns. Returns the number of
    /// rows.
    ///
    /// Each batch has memory of its own. [`batches`](Self::batches) is faster if the columns are only read.
    ///
    /// # Errors
    ///
    /// See [`batches`](Self::batches).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut parts: Vec<Vec<i64>> = vec![];
    /// conn.scan("VALUES (1), (2), (3)", ()).owned_batches(2, |batch| {
    ///     let column = batch.into_columns().remove(0);
    ///     parts.push(column.into_i64()?);
    ///     Ok(())
    /// })?;
    /// assert_eq!(parts, [vec![1, 2], vec![3]]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn owned_batches(self, rows: usize, take: impl FnMut(ColumnBatch) -> Result<(), E>) -> Result<u64, E> {
        self.hand_over_batches(rows, false, take)
    }

    /// Calls the closure with batches that it owns. If `has_empty` is set, a result without rows is one empty batch.
    pub(crate) fn hand_over_batches(
        self,
        rows: usize,
        has_empty: bool,
        mut take: impl FnMut(ColumnBatch) -> Result<(), E>,
    ) -> Result<u64, E> {
        let batch = self.new_batch(rows)?;
        let hand_over = |batch: &mut ColumnBatch| {
            let next = batch.successor();
            take(std::mem::replace(batch, next))
        };
        self.run(&mut Batches { batch, rows, has_empty, hand_over })
    }

    fn new_batch(&self, rows: usize) -> Result<ColumnBatch> {
        if rows == 0 {
            let reason = "a batch has at least one row";
            return Err(Error::new(ErrorKind::Misuse { reason }).in_sql(&self.sql));
        }
        Ok(ColumnBatch::new(ColumnSettings { schema: self.schema.clone(), mixed: self.mixed, rows }))
    }

    /// Reads the whole result into columns.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::prepare`] and [`Statement::execute`](crate::Statement::execute);
    /// [`ErrorKind::MixedColumn`] for a value that does not fit its column, [`ErrorKind::ColumnCount`] if
    /// [`schema`](Self::schema) declares another number of columns.
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
        let batch = ColumnBatch::new(ColumnSettings { schema: self.schema.clone(), mixed: self.mixed, rows: 0 });
        let mut reader = Columns { batch };
        self.with_error::<Error>().run(&mut reader)?;
        Ok(reader.batch)
    }

    /// Limits the number of rows. With 0, the statement is not run.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = rows;
        self
    }

    /// Calls the closure after every `every` rows with the number of rows read so far. If the closure breaks, the scan
    /// ends without an error, like at the end of the result. (An [`InterruptHandle`](crate::InterruptHandle) ends it
    /// with an error, and also before the first row.)
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
    pub fn progress<'b>(self, every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'b) -> Scan<'b, P, E>
    where
        Self: 'b,
    {
        assert!(every > 0, "the progress interval is 0 rows");
        Scan { progress: Some(Progress { every, told: 0, report: Box::new(report) }), ..self }
    }

    /// Calls the closure when the scan has ended, with the plan by which it was run. A scan from
    /// [pages](ScanStrategy::Pages) may be left to SQLite at its beginning or later. This is also logged as an event of
    /// the target `finalite::scan` at DEBUG.
    ///
    /// The closure is also called after an error, but not if the statement could not be prepared.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, scan::ScanStrategy};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("numbers.db");
    /// let conn = Connection::open(&path)?;
    /// conn.execute_batch(
    ///     "CREATE TABLE number(n INTEGER);
    ///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000)
    ///      INSERT INTO number SELECT n FROM i;",
    /// )?;
    /// let mut plan = None;
    /// conn.scan_table("number").select(["n"]).on_end(|it| plan = Some(it)).columns()?;
    /// assert_eq!(plan.map(|plan| plan.strategy), Some(ScanStrategy::Pages));
    ///
    /// conn.scan("SELECT n + 1 FROM number", ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it)).columns()?;
    /// assert_eq!(plan.map(|plan| plan.strategy), Some(ScanStrategy::Statement));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_end<'b>(self, tell: impl FnOnce(ScanPlan) + 'b) -> Scan<'b, P, E>
    where
        Self: 'b,
    {
        Scan { on_end: Some(Box::new(tell)), ..self }
    }

    /// Declares the types of the columns, for [`batches`](Self::batches) and [`columns`](Self::columns). A value that
    /// does not fit is an error, unless [`on_type_mismatch`](Self::on_type_mismatch) is set to something else.
    ///
    /// Without a schema, a column has the type of its first value that is not NULL. Before that value it has the type
    /// that its declaration in the table promises (`INTEGER`, `REAL`, `TEXT`, `BLOB`, by the rules of affinity).
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

    /// Sets the treatment of a value of another type than its column's. The default is [`OnTypeMismatch::Dynamic`], or
    /// [`OnTypeMismatch::Error`] with a [`schema`](Self::schema).
    pub fn on_type_mismatch(mut self, mixed: OnTypeMismatch) -> Self {
        self.mixed = Some(mixed);
        self
    }

    /// Sets the source of the rows. The default is [`ScanStrategy::Statement`]. For [`Connection::scan_table`] it is
    /// [`ScanStrategy::Pages`], except for tables and ranges of rowids that are so small that the statement is as fast.
    ///
    /// With [`ScanStrategy::Pages`], rows come from the pages of the table if the statement is a plain scan of a table,
    /// or of an index that has all its columns; otherwise SQLite runs the statement. [`plan`](Self::plan) returns which.
    /// The rows are those that existed when the scan began. A closure that writes to the table sees its changes from
    /// the next piece of the table on. A closure that changes the schema may end the scan with [`ErrorKind::Misuse`].
    pub fn strategy(mut self, strategy: ScanStrategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// Sets the number of threads that decode columns for [`batches`](Self::batches) and [`columns`](Self::columns), if
    /// the rows come from [pages](ScanStrategy::Pages). The default is 1. The number is clamped to 1 to 256. The rows,
    /// their order and their batches do not depend on it.
    ///
    /// The calling thread is one of them. It alone uses the connection, reads pages and calls the closure, and it
    /// decodes instead of waiting. The other threads are started when there is enough work, and have ended when the
    /// call returns. If the system starts fewer threads, fewer decode. For each thread, two parts of the table are in
    /// memory, of about 1 MB of pages at most.
    ///
    /// The calling thread reads values that continue beyond their row's page, and values of columns that were added
    /// after the row was written (once for each column).
    ///
    /// The setting has no effect on [`for_each`](Self::for_each) and [`try_for_each`](Self::try_for_each), whose rows
    /// are borrowed one by one.
    ///
    /// A closure that writes to the database sees up to one part of rows in their old state. SQLite reads the remaining
    /// rows.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("numbers.db");
    /// let conn = Connection::open(&path)?;
    /// conn.execute_batch(
    ///     "CREATE TABLE number(n INTEGER);
    ///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 50000)
    ///      INSERT INTO number SELECT n FROM i;",
    /// )?;
    /// let numbers = conn.scan_table("number").select(["n"]).threads(2);
    /// assert_eq!(numbers.plan()?.threads, 2);
    /// assert_eq!(numbers.columns()?.column("n")?.as_i64()?.iter().sum::<i64>(), 1_250_025_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, 256);
        self
    }

    /// Returns the strategy of the scan, and the reason for it.
    ///
    /// Examines the statement, and if that may be a scan of a table, its first rows. A later part may still be left to
    /// SQLite, which [`on_end`](Self::on_end) reports.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::prepare`] and [`Rows::next`](crate::Rows::next): SQLite's error for the statement, or for
    /// its first row, such as `SQLITE_CORRUPT`; `SQLITE_IOERR_SHORT_READ` if the file ends within the first pages.
    /// Pages that cannot be read or do not decode are no error, but a reason.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let plan = conn.scan("SELECT type, name FROM sqlite_schema WHERE name > 'a'", ()).plan()?;
    /// assert!(plan.to_string().starts_with("by running the statement: "));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn plan(&self) -> Result<ScanPlan> {
        let mut statement = self.conn.prepare_cached_at(&self.sql, self.site)?;
        let threshold = match self.may_be_pages(&statement) {
            Ok(threshold) => threshold,
            Err(reason) => return Ok(ScanPlan::by_statement(reason)),
        };
        let known = || params_from_iter(self.known.iter().cloned());
        if let Some(Anchor { scan, transaction: _transaction }) =
            pages::begin_conditional(self.conn, &statement, &self.known, threshold)?
        {
            let mut statement = self.conn.prepare(&self.sql)?;
            return Ok(self.plan_of(PageRows::open(self.conn, &statement.query(known())?, scan)?));
        }
        let mut rows = statement.query(known())?;
        let pages = match pages::begin(self.conn, &mut rows, &self.known, threshold, false)?.scan {
            Ok(scan) => PageRows::open(self.conn, &rows, scan)?,
            Err(reason) => Err(reason),
        };
        Ok(self.plan_of(pages))
    }

    fn plan_of(&self, pages: Result<PageRows<'_>, &'static str>) -> ScanPlan {
        match pages {
            Ok(pages) => ScanPlan::by_pages(self.threads, &pages),
            Err(reason) => ScanPlan::by_statement(reason),
        }
    }

    /// Returns the tables for which the page reader is to be tried. The error is the reason why it is not tried.
    fn may_be_pages(&self, statement: &Statement<'_>) -> Result<Threshold, &'static str> {
        let threshold = match self.strategy {
            Some(ScanStrategy::Statement) => return Err(plan::NOT_ASKED),
            Some(ScanStrategy::Pages) => Threshold::Any,
            None => Threshold::Large,
        };
        if self.conn.is_untrusted.get() {
            return Err(plan::UNTRUSTED);
        }
        // The SQL of a scan of a table is finalite's.
        let sql = statement.sql();
        let is_query = self.table.is_some() || sql::is_select(sql) || sql::starts_with_keyword(sql, "SELECT");
        if !statement.is_readonly() || !is_query {
            return Err("the statement is not a SELECT");
        }
        if statement.parameter_count() > self.known.len() {
            return Err("the statement has parameters");
        }
        Ok(threshold)
    }

    /// Runs the statement, and reports the plan.
    fn run(mut self, reader: &mut impl Reader<E>) -> Result<u64, E> {
        let on_end = self.on_end.take();
        let mut plan = None;
        let result = self.run_to_end(&mut plan, reader);
        if let (Some(plan), Some(on_end)) = (plan, on_end) {
            on_end(plan);
        }
        result
    }

    /// Runs the statement, and resets it; the reset may return an error. Returns the number of rows.
    fn run_to_end(self, plan: &mut Option<ScanPlan>, reader: &mut impl Reader<E>) -> Result<u64, E> {
        let mut statement = self.conn.prepare_if_repeated(&self.sql, self.site)?;
        if let Some(types) = &self.schema {
            batch::check_before(&statement, types)?;
        }
        let threshold = self
            .may_be_pages(&statement)
            .and_then(|threshold| if self.limit > 0 { Ok(threshold) } else { Err(plan::NO_ROWS) });
        let is_examined_later = self.known.is_empty()
            && threshold.is_ok_and(|threshold| pages::is_examined_later(&statement, threshold, self.threads));
        let anchor = match threshold {
            Ok(threshold) if !is_examined_later => {
                pages::begin_conditional(self.conn, &statement, &self.known, threshold)?
            }
            _ => None,
        };
        let mut anchored;
        let (start, mut rows) = match anchor {
            Some(anchor) => {
                // The kept statement may be one of an older schema, which only its first step would show.
                anchored = self.conn.prepare(&self.sql)?;
                (Ok(Start::Anchored(Box::new(anchor))), anchored.query(self.params)?)
            }
            None => (
                threshold.map(|threshold| Start::Step(StepStart { threshold, values: &self.known, is_examined_later })),
                statement.query(self.params)?,
            ),
        };
        let mut position = ScanProgress { rows: 0, limit: self.limit, progress: self.progress };
        match start {
            Ok(start) => run_by_pages(self.conn, &mut rows, start, self.threads, &mut position, plan, reader)?,
            Err(reason) => {
                plan::leave(plan, rows.current_raw().sql(), 0, reason, &reason);
                drive(&mut rows, &mut position, reader)?;
            }
        }
        reader.end(rows.current())?;
        rows.finish()?;
        Ok(position.rows)
    }
}

impl<P, E> fmt::Debug for Scan<'_, P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("sql", &self.sql).finish_non_exhaustive()
    }
}
