//! Columns into tables, in bulk: [`Connection::insert_columns`], [`InsertOptions`].

use std::fmt;
use std::ops::ControlFlow;

use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::ColumnBatch;

mod column;
pub(crate) mod insertion;
mod plan;

pub use column::{InsertColumn, InsertValue};
use insertion::{Insertion, Progress};
pub use plan::{InsertPlan, InsertStrategy};

/// Treatment of rows that violate a uniqueness constraint, or `NOT NULL`.
///
/// C: [ON CONFLICT](https://sqlite.org/lang_conflict.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnConflict {
    /// An error; no row is inserted. A constraint that was created with a conflict clause of its own keeps it.
    #[default]
    Abort,
    /// The row is left out.
    Ignore,
    /// The rows that are in the way are deleted.
    Replace,
}

impl Connection {
    /// Inserts rows that are given as columns, by the default [`InsertOptions`]. Returns the number of rows inserted.
    ///
    /// A column is its name and its values: see [`InsertColumn`] for the types. Other columns of the table have their
    /// defaults. The table may be qualified by its database, `temp.sale`. Names are quoted.
    ///
    /// All rows are inserted, or none: within a transaction of the caller's in a savepoint, otherwise in a transaction
    /// of its own.
    ///
    /// SQLite reads the values where they are, by one statement for all rows, `INSERT INTO … SELECT … FROM` a virtual
    /// table over the columns. A table for which that is not possible, or another result, gets its rows one by one by a
    /// kept statement: [`InsertOptions::plan`] has the reason. In one statement, `CURRENT_TIMESTAMP` is the same for all
    /// rows.
    ///
    /// # Errors
    ///
    /// Before a row is inserted: [`ErrorKind::ColumnLength`] if the columns differ in length, [`ErrorKind::NoSuch`] if
    /// there is no such table or column, [`ErrorKind::ParameterTwice`] if two columns have the same name, or
    /// two names of the rowid, [`ErrorKind::Misuse`] while a blob, or rows of a statement, are being written without a transaction.
    ///
    /// For a value that SQLite cannot store, such as NaN or a `u64` beyond `i64::MAX`: [`ErrorKind::InsertValue`], with
    /// the row and the column. For a row that SQLite refuses: its error. [`Error::row`] is the number of the row, and
    /// [`Error::constraint`] has the constraint and its columns.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT NOT NULL, people INTEGER)", ())?;
    /// let (ids, names, people) = ([1, 2, 3], ["Bonn", "Köln", "Ulm"], [Some(330_000), None, Some(126_000)]);
    /// let inserted = conn.insert_columns(
    ///     "city",
    ///     [("id", (&ids).into()), ("name", (&names).into()), ("people", (&people).into())],
    /// )?;
    /// assert_eq!(inserted, 3);
    /// assert_eq!(conn.query_one::<i64>("SELECT sum(people) FROM city", ())?, 456_000);
    ///
    /// let error = conn.insert_columns("city", [("id", (&[4, 2]).into()), ("name", (&["Aachen", "Köln"]).into())]);
    /// let error = error.unwrap_err();
    /// assert_eq!((error.row(), error.is_constraint()), (Some(1), true));
    /// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM city", ())?, 3);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [INSERT](https://sqlite.org/lang_insert.html), [virtual tables](https://sqlite.org/vtab.html)
    #[track_caller]
    #[doc(alias("bulk", "batch", "copy_from", "appender"))]
    pub fn insert_columns<'a, N: AsRef<str>>(
        &self,
        table: &str,
        columns: impl IntoIterator<Item = (N, InsertColumn<'a>)>,
    ) -> Result<u64> {
        InsertOptions::new().insert_columns(self, table, columns)
    }

    /// Inserts the rows of a batch, of which each column has the name of the table's. Returns the number of rows
    /// inserted. Otherwise as [`insert_columns`](Self::insert_columns).
    ///
    /// # Errors
    ///
    /// Those of [`insert_columns`](Self::insert_columns); [`ErrorKind::ColumnConversion`] for text that is not UTF-8.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE city(name TEXT, people INTEGER)", ())?;
    /// let batch = conn.scan("SELECT 'Bonn' AS name, 330000 AS people", ()).columns()?;
    /// assert_eq!(conn.insert_batch("city", &batch)?, 1);
    /// assert_eq!(conn.query_one::<(String, i64)>("SELECT * FROM city", ())?, ("Bonn".into(), 330_000));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn insert_batch(&self, table: &str, batch: &ColumnBatch) -> Result<u64> {
        InsertOptions::new().insert_batch(self, table, batch)
    }
}

/// Options of inserting columns.
///
/// # Example
///
/// ```
/// use std::ops::ControlFlow;
/// use finalite::Connection;
/// use finalite::insert::{InsertOptions, OnConflict};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (2)")?;
/// let mut seen = vec![];
/// let inserted = InsertOptions::new()
///     .on_conflict(OnConflict::Ignore)
///     .progress(2, |rows| {
///         seen.push(rows);
///         ControlFlow::Continue(())
///     })
///     .insert_columns(&conn, "t", [("a", (&[1, 2, 3]).into())])?;
/// assert_eq!((inserted, seen), (2, vec![2]));
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use]
pub struct InsertOptions<'a> {
    on_conflict: OnConflict,
    strategy: Option<InsertStrategy>,
    progress: Option<Progress<'a>>,
    on_end: Option<Box<dyn FnOnce(InsertPlan) + 'a>>,
}

impl<'a> InsertOptions<'a> {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self { on_conflict: OnConflict::Abort, strategy: None, progress: None, on_end: None }
    }

    /// Sets the treatment of rows that violate a constraint. The default is [`OnConflict::Abort`].
    pub fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self { on_conflict, ..self }
    }

    /// Sets the strategy. The default is [`InsertStrategy::Columns`], except for so few rows that it does not pay. A
    /// table for which that is not possible gets its rows one by one in any case.
    pub fn strategy(self, strategy: InsertStrategy) -> Self {
        Self { strategy: Some(strategy), ..self }
    }

    /// Calls the closure after every `every` rows with their number so far, between two statements: it may read, and
    /// write. If it breaks, the insertion is undone and ends with [`ErrorKind::Stopped`]. If it ends the transaction, by
    /// SQL or an `OR ROLLBACK`, the insertion ends with [`ErrorKind::TransactionEnded`]: after `COMMIT`, the rows so far
    /// stay.
    ///
    /// Few rows at a time cost time: each part is a statement of its own.
    ///
    /// # Panics
    ///
    /// If `every` is 0.
    #[track_caller]
    pub fn progress(self, every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        assert!(every > 0, "the progress interval is 0 rows");
        Self { progress: Some(Progress::new(every, report)), ..self }
    }

    /// Calls the closure with the plan by which the rows were inserted, also after an error, but not if nothing was
    /// tried.
    pub fn on_end(self, tell: impl FnOnce(InsertPlan) + 'a) -> Self {
        Self { on_end: Some(Box::new(tell)), ..self }
    }

    /// See [`Connection::insert_columns`].
    ///
    /// # Errors
    ///
    /// See [`Connection::insert_columns`]; [`ErrorKind::Stopped`].
    #[track_caller]
    pub fn insert_columns<'v, N: AsRef<str>>(
        self,
        conn: &Connection,
        table: &str,
        columns: impl IntoIterator<Item = (N, InsertColumn<'v>)>,
    ) -> Result<u64> {
        let (names, columns) = separate(columns);
        self.insert(conn, table, &names, columns)
    }

    /// See [`Connection::insert_batch`].
    ///
    /// # Errors
    ///
    /// See [`Connection::insert_batch`]; [`ErrorKind::Stopped`].
    #[track_caller]
    pub fn insert_batch(self, conn: &Connection, table: &str, batch: &ColumnBatch) -> Result<u64> {
        self.insert_columns(conn, table, batch.columns().iter().map(|column| (column.name(), column.into())))
    }

    #[track_caller]
    fn insert(self, conn: &Connection, table: &str, names: &[Box<str>], columns: Vec<InsertColumn<'_>>) -> Result<u64> {
        let columns = columns.into_iter().map(InsertColumn::into_cells).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let rows = columns.first().map_or(0, |cells| cells.len());
        for (column, cells) in columns.iter().enumerate() {
            if cells.len() != rows {
                let name = names[column].into();
                return Err(Error::new(ErrorKind::ColumnLength { column, name, expected: rows, found: cells.len() }));
            }
        }
        let mut insertion = Insertion::begin(conn, table, self)?;
        let cells = columns.iter().map(|cells| &**cells).collect();
        insertion.insert(&names, cells, rows).map_err(|failure| failure.into_error(&names))?;
        insertion.finish()
    }

    /// Returns the strategy for these columns, and the reason for it, without inserting them.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::insert_columns`] before a row is inserted.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    /// use finalite::insert::{InsertOptions, InsertStrategy};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE sale(id INTEGER PRIMARY KEY)", ())?;
    /// let ids: Vec<i64> = (0..100_000).collect();
    /// let plan = InsertOptions::new().plan(&conn, "sale", [("id", (&ids).into())])?;
    /// assert_eq!(plan.strategy, InsertStrategy::Columns);
    ///
    /// conn.execute_batch("CREATE TRIGGER t AFTER INSERT ON sale BEGIN SELECT 1; END")?;
    /// let plan = InsertOptions::new().plan(&conn, "sale", [("id", (&ids).into())])?;
    /// assert_eq!(plan.to_string(), "row by row: a trigger, or an action of a foreign key, runs for each row");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn plan<'v, N: AsRef<str>>(
        &self,
        conn: &Connection,
        table: &str,
        columns: impl IntoIterator<Item = (N, InsertColumn<'v>)>,
    ) -> Result<InsertPlan> {
        let (names, columns) = separate(columns);
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let rows = columns.first().map_or(0, InsertColumn::len);
        insertion::plan(conn, table, self, &names, rows)
    }
}

/// Separates names and values.
fn separate<'v, N: AsRef<str>>(
    columns: impl IntoIterator<Item = (N, InsertColumn<'v>)>,
) -> (Vec<Box<str>>, Vec<InsertColumn<'v>>) {
    columns.into_iter().map(|(name, column)| (name.as_ref().into(), column)).unzip()
}

impl Default for InsertOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InsertOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("InsertOptions");
        shown.field("on_conflict", &self.on_conflict).field("strategy", &self.strategy).finish_non_exhaustive()
    }
}
