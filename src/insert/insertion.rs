//! One insertion, of one set of columns or of several.

use std::fmt;
use std::ops::ControlFlow;

use super::plan::InsertPlan;
use super::{InsertColumn, InsertOptions, OnConflict};
use crate::Connection;
use crate::error::{Error, ErrorKind, NameKind, Result, ResultCode};
use crate::raw::lent_columns::{self, Cells, LentColumns, table_name};
use crate::sql::{ROWIDS, quote_identifier};
use crate::statement::params::{Binder, Params};
use crate::statement::{Row, Statement};
use crate::transaction::Undo;
use crate::value::ConversionError;

/// Rows that are all inserted, or none: dropping it undoes them.
pub struct Insertion<'c, 'a> {
    conn: &'c Connection,
    table: Box<str>,
    options: InsertOptions<'a>,
    undo: Undo<'c>,
    /// Number of rows that were read.
    rows: u64,
    /// Number of rows that were inserted.
    inserted: u64,
    /// The last plan.
    plan: Option<InsertPlan>,
    /// The last statement over columns, and its text.
    by_columns: Option<(String, Statement<'c>)>,
}

/// Error of an insertion. Rows are 0-based, and counted over all sets of columns; columns are 0-based.
#[derive(Debug)]
pub enum InsertFailure {
    /// SQLite cannot store a value.
    Value {
        /// Row of the value.
        row: u64,
        /// Column of the value.
        column: usize,
        /// Reason.
        problem: ConversionError,
    },
    /// SQLite refuses a row.
    Row {
        /// The row.
        row: u64,
        /// SQLite's error.
        error: Error,
    },
    /// The progress closure ended it.
    Stopped {
        /// Number of rows that were read.
        rows: u64,
    },
    /// Another error.
    Other(Error),
}

/// A progress closure, and its interval in rows.
pub(super) struct Progress<'a> {
    every: u64,
    report: Box<dyn FnMut(u64) -> ControlFlow<()> + 'a>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        Self { every, report: Box::new(report) }
    }

    /// Returns the number of rows after which the closure is called next.
    fn next(&self, rows: u64) -> u64 {
        (rows / self.every + 1).saturating_mul(self.every)
    }
}

impl From<Error> for InsertFailure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl InsertFailure {
    /// Returns the error for columns of these names.
    #[must_use]
    pub fn into_error(self, names: &[&str]) -> Error {
        match self {
            Self::Value { row, column, problem } => {
                let name = names.get(column).copied().unwrap_or_default().into();
                Error::new(ErrorKind::InsertValue { row, column, name, problem })
            }
            Self::Row { row, error } => error.in_row(row),
            Self::Stopped { rows } => Error::new(ErrorKind::Stopped { rows }),
            Self::Other(error) => error,
        }
    }
}

impl<'c, 'a> Insertion<'c, 'a> {
    /// Begins a transaction, or a savepoint in the caller's.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::execute`]; [`ErrorKind::Misuse`] while a blob or a statement of the connection is writing
    /// without a transaction.
    #[track_caller]
    pub fn begin(conn: &'c Connection, table: &str, options: InsertOptions<'a>) -> Result<Self> {
        let undo = Undo::begin(conn)?;
        Ok(Self { conn, table: table.into(), options, undo, rows: 0, inserted: 0, plan: None, by_columns: None })
    }

    /// Inserts columns of another crate, of which each has this many rows.
    ///
    /// # Errors
    ///
    /// [`InsertFailure`]; the insertion has to be dropped then.
    pub fn insert_columns(
        &mut self,
        names: &[&str],
        columns: Vec<InsertColumn<'_>>,
        rows: usize,
    ) -> Result<(), InsertFailure> {
        let columns = columns.into_iter().map(InsertColumn::into_cells).collect::<Result<Vec<_>>>()?;
        self.insert(names, columns.iter().map(|cells| &**cells).collect(), rows)
    }

    /// Inserts columns, of which each has this many rows. After an error, the insertion has to be dropped.
    pub(super) fn insert(
        &mut self,
        names: &[&str],
        cells: Box<[&(dyn Cells + '_)]>,
        rows: usize,
    ) -> Result<(), InsertFailure> {
        let result = self.insert_all(names, cells, rows);
        if result.is_err() {
            self.tell();
        }
        result
    }

    fn insert_all(
        &mut self,
        names: &[&str],
        cells: Box<[&(dyn Cells + '_)]>,
        rows: usize,
    ) -> Result<(), InsertFailure> {
        self.undo.check()?;
        let text = Text { conn: self.conn, table: &self.table, on_conflict: self.options.on_conflict, names };
        text.check_names()?;
        let columns_sql = text.by_columns();
        let conn = self.conn;
        let prepare = |plan: InsertPlan| {
            let sql = if plan.is_by_columns() { &columns_sql } else { &text.by_rows() };
            conn.prepare_cached(sql).map_err(|error| text.explain(error))
        };
        let (lent, before) = (LentColumns::new(cells), self.rows);
        let in_advance = InsertPlan::in_advance(self.options.strategy, names.len(), rows);
        let mut kept = self.by_columns.take().filter(|(sql, _)| in_advance.is_none() && *sql == columns_sql);
        let mut is_planned = false;
        if let Some((_, statement)) = &mut kept {
            is_planned = is_as_planned(statement, &lent, 0)?;
        }
        let (mut plan, mut statement) = match kept {
            Some((_, statement)) if is_planned => (InsertPlan::by_columns(), statement),
            _ => {
                let plan = in_advance.map_or_else(|| text.plan(&columns_sql), Ok)?;
                (plan, prepare(plan)?)
            }
        };
        self.plan = Some(plan);

        let mut at = 0;
        while at < rows {
            // Rows up to the next call of the progress closure.
            let due = self.options.progress.as_ref().map(|progress| progress.next(self.rows));
            let end = due.and_then(|due| usize::try_from(due - before).ok()).map_or(rows, |end| end.min(rows));
            while at < end {
                let next = if plan.is_by_columns() { end } else { at + 1 };
                lent.lend(at..next);
                let result = if plan.is_by_columns() {
                    statement.execute(AllRows(&lent))
                } else {
                    statement.execute(OneRow { columns: &lent, row: at })
                };
                self.inserted += result.map_err(|error| {
                    let (row, column) = lent.last_read();
                    let row = before + row as u64;
                    match lent_columns::refused(error) {
                        Ok(problem) => InsertFailure::Value { row, column, problem },
                        Err(error) => InsertFailure::Row { row, error },
                    }
                })? as u64;
                at = next;
            }
            self.rows = before + at as u64;
            if let Some(progress) = &mut self.options.progress
                && due == Some(self.rows)
            {
                if (progress.report)(self.rows).is_break() {
                    return Err(InsertFailure::Stopped { rows: self.rows });
                }
                self.undo.check()?;
                if at < rows && plan.is_by_columns() && !is_as_planned(&mut statement, &lent, at)? {
                    plan = text.plan(&columns_sql)?;
                    statement = prepare(plan)?;
                    self.plan = Some(plan);
                }
            }
        }
        if plan.is_by_columns() {
            self.by_columns = Some((columns_sql, statement));
        }
        Ok(())
    }

    /// Passes the plan to the caller's closure.
    fn tell(&mut self) {
        if let (Some(plan), Some(on_end)) = (self.plan, self.options.on_end.take()) {
            on_end(plan);
        }
    }

    /// Keeps the rows. Returns the number of those that were inserted.
    ///
    /// # Errors
    ///
    /// Those of a commit; nothing is kept then.
    pub fn finish(mut self) -> Result<u64> {
        self.tell();
        self.undo.keep()?;
        Ok(self.inserted)
    }
}

impl fmt::Debug for Insertion<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Insertion").field("table", &self.table).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Whether SQLite still runs the program of the statement that was planned. Code of the program may have changed the
/// schema or the authorizer, for which an execution compiles the statement again: this one reads no rows.
fn is_as_planned(statement: &mut Statement<'_>, lent: &LentColumns<'_>, at: usize) -> Result<bool> {
    let before = statement.counters().reprepares;
    lent.lend(at..at);
    match statement.execute(AllRows(lent)) {
        Ok(_) => Ok(statement.counters().reprepares == before),
        // It can no longer be compiled.
        Err(error) if [ResultCode::ERROR, ResultCode::AUTH].map(Some).contains(&error.code()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the plan for columns of these names.
pub(super) fn plan(
    conn: &Connection,
    table: &str,
    options: &InsertOptions<'_>,
    names: &[&str],
    rows: usize,
) -> Result<InsertPlan> {
    let text = Text { conn, table, on_conflict: options.on_conflict, names };
    text.check_names()?;
    if let Some(plan) = InsertPlan::in_advance(options.strategy, names.len(), rows) {
        conn.prepare_cached(&text.by_rows()).map_err(|error| text.explain(error))?;
        return Ok(plan);
    }
    text.plan(&text.by_columns())
}

/// The texts of the statements.
struct Text<'t> {
    conn: &'t Connection,
    table: &'t str,
    on_conflict: OnConflict,
    names: &'t [&'t str],
}

impl Text<'_> {
    fn start(&self) -> String {
        let action = match self.on_conflict {
            OnConflict::Abort => "INSERT",
            OnConflict::Ignore => "INSERT OR IGNORE",
            OnConflict::Replace => "INSERT OR REPLACE",
        };
        format!("{action} INTO {}", self.conn.quoted_table(self.table))
    }

    fn by_rows(&self) -> String {
        if self.names.is_empty() {
            return format!("{} DEFAULT VALUES", self.start());
        }
        format!("{}({}) VALUES ({})", self.start(), self.columns(), vec!["?"; self.names.len()].join(","))
    }

    fn by_columns(&self) -> String {
        let read: Vec<String> = (0..self.names.len()).map(|column| format!("c{column}")).collect();
        let (start, columns, table) = (self.start(), self.columns(), table_name(self.names.len()));
        format!("{start}({columns}) SELECT {} FROM {table}(?)", read.join(","))
    }

    /// Refuses a name that is there twice, or two of the rowid: SQLite would store one of the two values, and say nothing.
    fn check_names(&self) -> Result<()> {
        let mut names: Vec<String> = self.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if names.len() > 1 && names.iter().any(|name| ROWIDS.contains(&&**name)) {
            let of_rowid = match self.rowid_names() {
                // An authorizer may refuse the question.
                Err(error) if matches!(error.kind(), ErrorKind::Sqlite { .. }) => Vec::new(),
                names => names?,
            };
            names.iter_mut().filter(|name| of_rowid.contains(name)).for_each(|name| *name = of_rowid[0].clone());
        }
        let mut seen: Vec<&String> = names.iter().collect();
        seen.sort_unstable();
        let Some(twice) = seen.windows(2).find(|pair| pair[0] == pair[1]) else {
            return Ok(());
        };
        let index = names.iter().rposition(|name| name == twice[0]).unwrap_or_default() + 1;
        Err(Error::new(ErrorKind::ParameterTwice { index, name: Some(self.names[index - 1].into()) }))
    }

    /// Returns the names of the rowid, in lower case: those that no column has, and the `INTEGER PRIMARY KEY`.
    fn rowid_names(&self) -> Result<Vec<String>> {
        let columns: Vec<(String, i64)> = self.pragma("table_xinfo", |row| Ok((row.get("name")?, row.get("pk")?)))?;
        if columns.is_empty() {
            // There is no such table.
            return Ok(Vec::new());
        }
        let is_column = |name: &str| columns.iter().any(|(column, _)| column.eq_ignore_ascii_case(name));
        let mut names: Vec<String> = ROWIDS.into_iter().filter(|name| !is_column(name)).map(str::to_owned).collect();
        let keys: Vec<&str> = columns.iter().filter(|(_, key)| *key > 0).map(|(column, _)| &**column).collect();
        // Any other primary key has an index.
        if let [key] = keys[..]
            && !self.pragma("index_list", |row| row.get::<String>("origin"))?.iter().any(|origin| origin == "pk")
        {
            names.push(key.to_ascii_lowercase());
        }
        Ok(names)
    }

    /// Returns the rows of a pragma about the table.
    fn pragma<T>(&self, pragma: &str, read: impl FnMut(Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        let (database, table) = self.conn.split_table(self.table);
        let database = database.map_or(String::new(), |database| format!("{}.", quote_identifier(database)));
        let table = quote_identifier(table);
        self.conn.prepare(&format!("PRAGMA {database}{pragma}({table})"))?.query_map((), read)?.collect()
    }

    fn columns(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quote_identifier(name)).collect();
        names.join(",")
    }

    /// Returns the plan by the bytecode of the statement over columns.
    fn plan(&self, columns_sql: &str) -> Result<InsertPlan> {
        let count = self.names.len();
        self.conn.db().create_columns_table(count).map_err(|fault| self.conn.error(fault))?;
        match InsertPlan::of(self.conn, columns_sql, count) {
            Ok(plan) => Ok(plan),
            Err(error) if matches!(error.kind(), ErrorKind::Sqlite { .. }) => {
                // An authorizer, a limit or a table of that name may stand in the way of the one statement alone.
                self.conn.prepare_cached(&self.by_rows()).map_err(|error| self.explain(error))?;
                Ok(InsertPlan::by_rows("SQLite does not accept a statement over the columns"))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the name that does not exist, if that is why a statement cannot be prepared.
    #[cold]
    fn explain(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::Sqlite { .. }) {
            return error;
        }
        self.find_unknown().ok().flatten().map_or(error, Error::new)
    }

    fn find_unknown(&self) -> Result<Option<ErrorKind>> {
        let known: Vec<Box<str>> = self.pragma("table_xinfo", |row| row.get("name"))?;
        if known.is_empty() {
            let (what, name) = (NameKind::Table, self.table.into());
            return Ok(Some(ErrorKind::NoSuch { what, name, known: Box::default() }));
        }
        let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let is_known =
            |name: &str| known.iter().any(|known| is(known, name)) || ROWIDS.iter().any(|rowid| is(rowid, name));
        let unknown = self.names.iter().find(|name| !is_known(name));
        Ok(unknown.map(|&name| {
            let (what, name) = (NameKind::Column, name.into());
            ErrorKind::NoSuch { what, name, known: known.into() }
        }))
    }
}

/// The columns as the parameter of their table.
struct AllRows<'p>(&'p LentColumns<'p>);

impl<'p> Params<'p> for AllRows<'p> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        binder.push_columns(self.0)
    }
}

/// The values of one row as parameters.
struct OneRow<'p> {
    columns: &'p LentColumns<'p>,
    row: usize,
}

impl<'p> Params<'p> for OneRow<'p> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        for (column, &cells) in self.columns.columns().iter().enumerate() {
            self.columns.set_last_read(self.row, column);
            binder.push_lent(cells.cell(self.row).map_err(lent_columns::refusal)?)?;
        }
        Ok(())
    }
}
