//! Scans of any statement on several threads: ranges of rowids, read by connections that see one snapshot.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Scan;
use super::batch::{self, ColumnBatch, ColumnSettings};
use super::drive::{ScanProgress, Start, drive, run_by_pages};
use super::plan::ScanStrategy;
use super::plan::{self, ScanPlan};
use super::reader::{Batches, Columns, ForEach, Reader};
use crate::Connection;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::pages::{self, View};
use crate::statement::params::Params;
use crate::statement::{Row, Statement};
use crate::value::Value;
use ranges::{BOUNDS, Ranged, RowidRange};
use readers::{Beginning, PartitionReader, Refusal, Request};
use table::RangedTable;
use threads::Work;

mod ranges;
mod readers;
mod table;
#[cfg(test)]
mod tests;
mod threads;

/// Number of ranges for each thread. Rows of one range may be more expensive than those of another.
const RANGES_PER_THREAD: usize = 8;

/// A scan whose rows are read in ranges of rowids, on several threads. From [`Scan::partitions`] and
/// [`Scan::partitions_of`].
///
/// Each thread has a connection of its own, which is opened for this call, and closed before the call returns. (While
/// another connection of the process has a lock on the file, SQLite keeps the descriptors of those that are closed, for
/// the next ones.) All of them see one snapshot. If a commit falls between their first reads, they begin again while the
/// calling connection has the write lock, for the time of some short reads. Otherwise writers do not notice them.
///
/// The rowids are divided into up to 8 ranges for each thread. A thread that is done with one takes the next. The
/// statement runs once for each range, and the results are put together in the order of the ranges, so that they do not
/// depend on the threads.
///
/// # One thread
///
/// One thread reads all rows, by the calling connection, if its rows might not be those of other connections:
///
/// - the database is in memory, temporary, or deserialized; its cache is shared; it is in exclusive locking mode, or was
///   opened with URI parameters that change how files are read, or by a VFS that is not SQLite's; its file was moved;
/// - a transaction is open, or a statement of the connection is running;
/// - the statement is not a `SELECT`, or reads more than the main database; the table is a view, virtual, temporary, of
///   an attached database or `WITHOUT ROWID`, or has no two rows;
/// - the connection has functions, collations, virtual tables, hooks or an authorizer of the program's, a deadline or
///   limits; or its handle was given out;
/// - others commit while the connections begin to read, and the write lock is not free within 250 ms (or the busy
///   timeout, if that is shorter), or the connection is read-only, and they do so again and again;
/// - the statement reads a virtual table or a table-valued function, and it or the schema has the name of a `pragma_…`
///   function, whose rows may be about the connection;
/// - no other connection can read the file. One that is encrypted is such a file.
///
/// [`plan`](Self::plan) and [`on_end`](Self::on_end) return the number of threads, and the reason.
///
/// # Closures
///
/// The closures run on all threads. An error or a panic in one ends the other threads, and is returned or resumed. An
/// [`InterruptHandle`](crate::InterruptHandle) of the calling connection interrupts all threads. The connections have
/// the settings of the calling one that may change a result, its limits and its size of the cache.
///
/// # From pages
///
/// Where the statement is a [plain scan](super#from-pages) of the table, each thread decodes the pages of its ranges. This
/// is the default of [`scan_table`](crate::Connection::scan_table), and done with
/// [`ScanStrategy::Pages`] for other statements whose only parameters are the bounds. [`ScanPlan::strategy`] says whether
/// it was done for all ranges.
///
/// [`Scan::threads`] has no effect.
#[must_use = "a scan does nothing until its rows are requested"]
pub struct Partitions<'a, P, E = Error> {
    scan: Scan<'a, P, E>,
    /// Table by whose rowids the statement is divided; `None` if it is not known.
    table: Option<&'a str>,
    /// Whether the statement has parameters for the bounds of a range. Otherwise a condition is added.
    has_bounds: bool,
    threads: usize,
    beginning: Beginning,
}

impl<'a, P, E> Scan<'a, P, E> {
    /// Divides the rows of [`scan_table`](crate::Connection::scan_table) into ranges of rowids, which up to this number
    /// of threads read. The number is clamped to 1 to 256.
    ///
    /// The rows come from pages where that is possible. For one closure on the calling thread, see [`Scan::threads`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("shop.db");
    /// let conn = Connection::open(&path)?;
    /// conn.execute_batch(
    ///     "CREATE TABLE sale(region TEXT, price INTEGER);
    ///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000)
    ///      INSERT INTO sale SELECT 'north', n FROM i;",
    /// )?;
    /// let largest = conn.scan_table("sale").select(["price"]).partitions(2).fold(
    ///     || 0,
    ///     |largest, row| Ok(*largest = row.get::<i64>(0)?.max(*largest)),
    ///     |largest, other| *largest = other.max(*largest),
    /// )?;
    /// assert_eq!(largest, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn partitions(self, threads: usize) -> Partitions<'a, P, E> {
        Partitions {
            table: self.table,
            scan: self,
            has_bounds: false,
            threads: threads.clamp(1, 256),
            beginning: Beginning::LockIfNeeded,
        }
    }

    /// Divides the statement by the rowids of this table into ranges, which up to this number of threads read. The
    /// number is clamped to 1 to 256.
    ///
    /// The statement has two parameters that receive the bounds of a range, `:first_rowid` and `:last_rowid`; both are
    /// part of the range. It has to be such that the rows of all ranges together are the rows that are wanted, as with
    /// `WHERE rowid BETWEEN :first_rowid AND :last_rowid`, or with the `INTEGER PRIMARY KEY` in place of `rowid`. The
    /// ranges cover all integers. A `GROUP BY`, an aggregate, an `ORDER BY` or a `LIMIT` is of one range: the closure
    /// that merges puts the results together.
    ///
    /// The table may be that of a view or a join in the statement. Values by position are those of the other parameters,
    /// in their order. The statement begins once for each range, so that `'now'`, `CURRENT_TIMESTAMP` and `random()` may
    /// differ between ranges, also where one statement has one value for all rows.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use finalite::{Connection, Row};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("shop.db");
    /// let conn = Connection::open(&path)?;
    /// conn.execute_batch(
    ///     "CREATE TABLE sale(region TEXT, price INTEGER);
    ///      WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 999)
    ///      INSERT INTO sale SELECT iif(n % 2, 'north', 'south'), n FROM i;",
    /// )?;
    /// let sql = "SELECT region, sum(price) FROM sale
    ///            WHERE rowid BETWEEN :first_rowid AND :last_rowid AND price >= ? GROUP BY region";
    /// let totals = conn.scan(sql, (500,)).partitions_of("sale", 2).fold(
    ///     BTreeMap::<String, i64>::new,
    ///     |totals, row: Row<'_>| {
    ///         *totals.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
    ///         Ok(())
    ///     },
    ///     |totals, others| others.into_iter().for_each(|(region, sum)| *totals.entry(region).or_default() += sum),
    /// )?;
    /// assert_eq!(totals, BTreeMap::from([("north".to_owned(), 187_500), ("south".to_owned(), 187_250)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn partitions_of(self, table: &'a str, threads: usize) -> Partitions<'a, P, E> {
        Partitions {
            table: Some(table),
            scan: self,
            has_bounds: true,
            threads: threads.clamp(1, 256),
            beginning: Beginning::LockIfNeeded,
        }
    }
}

impl<'a, P, E> Partitions<'a, P, E> {
    /// Calls the closure when the scan has ended, with the plan by which it was run: see [`Scan::on_end`].
    pub fn on_end<'b>(self, tell: impl FnOnce(ScanPlan) + 'b) -> Partitions<'b, P, E>
    where
        Self: 'b,
    {
        let scan = Scan { on_end: Some(Box::new(tell)), ..self.scan };
        Partitions { scan, ..self }
    }

    fn with_error<F: From<Error>>(self) -> Partitions<'a, P, F> {
        let Self { scan, table, has_bounds, threads, beginning } = self;
        Partitions { scan: scan.with_error(), table, has_bounds, threads, beginning }
    }

    /// Prepares the statement on the calling connection. Returns an error for what the call cannot do.
    fn prepare(&self) -> Result<Statement<'a>> {
        let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }).in_sql(&self.scan.sql));
        if self.table.is_none() {
            return misuse("the table by whose rowids the statement is divided is not known: use `partitions_of`");
        }
        if self.scan.limit < u64::MAX {
            return misuse("`limit` does not apply to partitions, whose rows are read at the same time");
        }
        if self.scan.progress.is_some() {
            return misuse("`progress` does not apply to partitions, whose rows are read at the same time");
        }
        let statement = self.scan.conn.prepare_cached_at(&self.scan.sql, self.scan.site)?;
        if let Some(types) = &self.scan.schema {
            batch::check_before(&statement, types)?;
        }
        let names = || (1..=statement.parameter_count()).filter_map(|index| statement.parameter_name(index));
        match BOUNDS.into_iter().find(|bound| self.has_bounds && !names().any(|name| name == *bound)) {
            None => Ok(statement),
            Some(name) => {
                let (what, known) = (NameKind::Parameter, names().map(Into::into).collect());
                Err(Error::new(ErrorKind::NoSuch { what, name: name.into(), known }).in_sql(&self.scan.sql))
            }
        }
    }
}

impl<'p, P: Params<'p> + Clone + Sync, E: From<Error> + Send> Partitions<'_, P, E> {
    /// Folds the rows of each range into a value, and merges the values in the order of the ranges.
    ///
    /// `init` makes the value for a range, `step` adds a row, and `merge` adds the value of the next range to the first.
    /// Rows of a range are in the order of the statement. The first two run on several threads, `merge` on the calling
    /// one.
    ///
    /// # Errors
    ///
    /// Those of `step`, of [`Connection::prepare`](crate::Connection::prepare) and of
    /// [`Statement::execute`]; [`ErrorKind::NoSuch`] if the statement lacks a parameter for a
    /// bound, [`ErrorKind::Misuse`] with a [`limit`](Scan::limit), with [`progress`](Scan::progress), and for a
    /// statement whose table is not known. Of several errors, the first is returned.
    ///
    /// # Panics
    ///
    /// If a closure panics, also on another thread.
    ///
    /// # Example
    ///
    /// See [`Scan::partitions_of`].
    pub fn fold<A: Send>(
        self,
        init: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, Row<'_>) -> Result<(), E> + Sync,
        merge: impl FnMut(&mut A, A),
    ) -> Result<A, E> {
        let read = |source: &RangeSource<'_>, statement: &mut Statement<'_>, params: Ranged<P>| {
            let mut value = init();
            let mut add = |row: Row<'_>| step(&mut value, row);
            source.read_range(statement, params, &mut ForEach { read: &mut add, error: PhantomData })?;
            Ok(value)
        };
        Ok(merged(self.run(&read)?, merge).unwrap_or_else(init))
    }

    /// Folds the rows of each range into a value, up to this many at a time as columns, and merges the values in the
    /// order of the ranges. See [`fold`](Self::fold) and [`Scan::batches`].
    ///
    /// # Errors
    ///
    /// Those of [`fold`](Self::fold) and [`Scan::batches`].
    ///
    /// # Panics
    ///
    /// If a closure panics, also on another thread.
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
    ///     "CREATE TABLE number(n INTEGER NOT NULL);
    ///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 5000)
    ///      INSERT INTO number SELECT n FROM i;",
    /// )?;
    /// let sql = "SELECT n FROM number WHERE n % 2 AND rowid BETWEEN :first_rowid AND :last_rowid";
    /// let sum = conn.scan(sql, ()).partitions_of("number", 2).fold_batches(
    ///     1000,
    ///     || 0,
    ///     |sum, batch| Ok(*sum += batch.column(0)?.as_i64()?.iter().sum::<i64>()),
    ///     |sum, other| *sum += other,
    /// )?;
    /// assert_eq!(sum, 6_250_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fold_batches<A: Send>(
        self,
        rows: usize,
        init: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &ColumnBatch) -> Result<(), E> + Sync,
        merge: impl FnMut(&mut A, A),
    ) -> Result<A, E> {
        let batch = self.scan.new_batch(rows)?;
        let read = |source: &RangeSource<'_>, statement: &mut Statement<'_>, params: Ranged<P>| {
            let mut value = init();
            let hand_over = |batch: &mut ColumnBatch| {
                step(&mut value, batch)?;
                batch.clear();
                Ok::<_, E>(())
            };
            source.read_range(
                statement,
                params,
                &mut Batches { batch: batch.clone(), rows, has_empty: false, hand_over },
            )?;
            Ok(value)
        };
        Ok(merged(self.run(&read)?, merge).unwrap_or_else(&init))
    }

    /// Reads each range into columns. Returns the batches in the order of the ranges, of which some may have no rows.
    ///
    /// # Errors
    ///
    /// Those of [`fold`](Self::fold) and [`Scan::columns`].
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
    ///     "CREATE TABLE number(n INTEGER NOT NULL);
    ///      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 5000)
    ///      INSERT INTO number SELECT n FROM i;",
    /// )?;
    /// let batches = conn.scan_table("number").select(["n"]).partitions(2).columns()?;
    /// let numbers: Vec<i64> =
    ///     batches.iter().map(|batch| batch.column(0)?.as_i64()).collect::<finalite::Result<Vec<_>>>()?.concat();
    /// assert_eq!(numbers, (1..=5000).collect::<Vec<_>>());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn columns(self) -> Result<Vec<ColumnBatch>> {
        let settings = ColumnSettings { schema: self.scan.schema.clone(), mixed: self.scan.mixed, rows: 0 };
        self.with_error::<Error>().run(&|source: &RangeSource<'_>, statement: &mut Statement<'_>, params: Ranged<P>| {
            let mut reader = Columns { batch: ColumnBatch::new(settings.clone()) };
            source.read_range::<Error>(statement, params, &mut reader)?;
            Ok(reader.batch)
        })
    }

    /// Returns the number of threads that would read, and the reason for it.
    ///
    /// The connections begin to read as for the scan, and are closed: what is true of the lock and the file then may
    /// differ when the scan runs, which [`on_end`](Self::on_end) reports.
    ///
    /// # Errors
    ///
    /// Those of [`fold`](Self::fold) before the first row.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)")?;
    /// let plan = conn.scan_table("t").select(["a"]).partitions(4).plan()?;
    /// assert_eq!((plan.threads, plan.reason), (1, "the database is in memory, or temporary"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn plan(&self) -> Result<ScanPlan> {
        let statement = self.prepare()?;
        match self.begin(&statement) {
            Ok(begun) => {
                let strategy = self.strategy_of(&begun)?;
                let threads = begun.readers.len();
                begun.readers.into_iter().for_each(readers::close);
                Ok(ScanPlan::by_ranges(threads, strategy))
            }
            Err(Refusal::Reason(reason)) => Ok(ScanPlan::by_statement(reason)),
            Err(Refusal::Error(error)) => Err(error),
        }
    }

    /// Reads the ranges, and reports the plan. Returns the results in the order of the ranges.
    fn run<O: Send>(
        mut self,
        read: &(impl Fn(&RangeSource<'_>, &mut Statement<'_>, Ranged<P>) -> Result<O, E> + Sync),
    ) -> Result<Vec<O>, E> {
        let on_end = self.scan.on_end.take();
        let mut plan = None;
        let result = self.run_to_end(&mut plan, read);
        if let (Some(plan), Some(on_end)) = (plan, on_end) {
            on_end(plan);
        }
        result
    }

    fn run_to_end<O: Send>(
        self,
        plan: &mut Option<ScanPlan>,
        read: &(impl Fn(&RangeSource<'_>, &mut Statement<'_>, Ranged<P>) -> Result<O, E> + Sync),
    ) -> Result<Vec<O>, E> {
        let mut statement = self.prepare()?;
        match self.begin(&statement) {
            Ok(Begun { readers, sql, ranges }) => {
                // Other threads may be waiting for its table.
                drop(statement);
                let known = self.may_be_pages().then_some(&*self.scan.known);
                let Scan { conn, params, site, .. } = &self.scan;
                let work = Work { sql: &sql, params, ranges: &ranges, read, known, site };
                let (its, results) = threads::run(conn, readers, &work);
                *plan = Some(its);
                results
            }
            Err(Refusal::Error(error)) => Err(error.into()),
            Err(Refusal::Reason(reason)) => {
                plan::leave(plan, &self.scan.sql, 0, reason, &reason);
                let range = self.has_bounds.then_some(RowidRange::ALL);
                let source = RangeSource { conn: self.scan.conn, pages: None, is_left: &AtomicBool::new(true) };
                Ok(vec![read(&source, &mut statement, Ranged { params: self.scan.params, range })?])
            }
        }
    }

    /// Whether ranges are to be read from pages where that is possible.
    fn may_be_pages(&self) -> bool {
        self.scan.strategy != Some(ScanStrategy::Statement) && !self.scan.conn.is_untrusted.get()
    }

    /// Returns the expected strategy, by the first range.
    fn strategy_of(&self, begun: &Begun) -> Result<ScanStrategy> {
        let [PartitionReader { conn, view: Some(view) }, ..] = &*begun.readers else {
            return Ok(ScanStrategy::Statement);
        };
        let statement = conn.prepare(&begun.sql)?;
        let values = values_of(&statement, &self.scan.known, begun.ranges.first().copied());
        let is_by_pages = match values {
            Some(values) => pages::begin_within(conn, &statement, &values, *view)?.is_some(),
            None => false,
        };
        Ok(if is_by_pages { ScanStrategy::Pages } else { ScanStrategy::Statement })
    }

    /// Opens the readers, which begin to read, and divides the rowids.
    fn begin(&self, statement: &Statement<'_>) -> Result<Begun, Refusal> {
        let Scan { conn, sql, site, .. } = &self.scan;
        let table = self.table.unwrap_or_default();
        readers::check(conn, statement)?;
        if self.threads == 1 {
            return Err(Refusal::Reason("one thread was requested"));
        }
        let ranged = RangedTable::find(conn, table)?;
        let sql = if self.has_bounds {
            sql.to_string()
        } else {
            let [first, last] = BOUNDS;
            let joint = if self.scan.known.is_empty() { "WHERE" } else { "AND" };
            format!("{sql} {joint} {}.{} BETWEEN {first} AND {last}", conn.quoted_table(table), ranged.rowid)
        };
        let (is_by_pages, beginning) = (self.may_be_pages(), self.beginning);
        let request = Request { conn, sql: &sql, threads: self.threads, is_by_pages, beginning, site };
        let mut readers = readers::open(&request)?;
        let ranges = ranged.divide(&readers[0].conn, self.threads.saturating_mul(RANGES_PER_THREAD))?;
        // Of a few rows, not each thread gets a range.
        readers.drain(ranges.len().min(self.threads)..).for_each(readers::close);
        Ok(Begun { readers, sql, ranges })
    }
}

/// Connections that have begun to read one snapshot.
struct Begun {
    readers: Vec<PartitionReader>,
    sql: String,
    ranges: Vec<RowidRange>,
}

/// Source of the rows of ranges.
struct RangeSource<'a> {
    conn: &'a Connection,
    /// View of its transaction, and values of the parameters other than the bounds, if pages may be read.
    pages: Option<(View, &'a [Value])>,
    /// Set if the statement reads rows.
    is_left: &'a AtomicBool,
}

impl RangeSource<'_> {
    /// Reads the rows of a range to the end, and resets the statement.
    fn read_range<'p, E: From<Error>>(
        &self,
        statement: &mut Statement<'_>,
        params: Ranged<impl Params<'p>>,
        reader: &mut impl Reader<E>,
    ) -> Result<(), E> {
        let pages = self.pages.and_then(|(view, known)| Some((view, values_of(statement, known, params.range)?)));
        let anchor = match &pages {
            Some((view, values)) => pages::begin_within(self.conn, statement, values, *view)?,
            None => None,
        };
        let mut rows = statement.query(params)?;
        let mut position = ScanProgress { rows: 0, limit: u64::MAX, progress: None };
        let mut plan = None;
        match anchor {
            Some(anchor) => {
                let start = Start::Anchored(Box::new(anchor));
                run_by_pages(self.conn, &mut rows, start, 1, &mut position, &mut plan, reader)?;
            }
            None => _ = drive(&mut rows, &mut position, reader)?,
        }
        if plan.is_none_or(|plan| plan.strategy == ScanStrategy::Statement) {
            self.is_left.store(true, Ordering::Relaxed);
        }
        reader.end(rows.current())?;
        Ok(rows.finish()?)
    }
}

/// Returns the values of a statement's parameters: the bounds of a range, and the others in their order. Returns `None`
/// if they are not known.
fn values_of(statement: &Statement<'_>, others: &[Value], range: Option<RowidRange>) -> Option<Vec<Value>> {
    let range = range?;
    let mut others = others.iter();
    let values = (1..=statement.parameter_count()).map(|index| match statement.parameter_name(index) {
        Some(name) if name == BOUNDS[0] => Some(range.first.into()),
        Some(name) if name == BOUNDS[1] => Some(range.last.into()),
        _ => others.next().cloned(),
    });
    values.collect()
}

/// Merges the values into the first.
fn merged<A>(values: Vec<A>, mut merge: impl FnMut(&mut A, A)) -> Option<A> {
    let mut values = values.into_iter();
    let mut first = values.next()?;
    values.for_each(|next| merge(&mut first, next));
    Some(first)
}

impl<P, E> fmt::Debug for Partitions<'_, P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitions")
            .field("sql", &self.scan.sql)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
