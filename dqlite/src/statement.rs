//! [`Statement`]: one statement that a node has prepared, until it is dropped.

use std::fmt;

use finalite::workspace::{RemoteParameters, RemoteRow};
use finalite::{FromRow, Params, Row};

use crate::connection::{Changes, Connection};
use crate::error::{Error, Result};
use crate::guard::{Checked, Kind};
use crate::link::{Cursor, Effect};
use crate::rows::{Execution, QueryAs, Rows, only_row};
use crate::wire::{Answer, Prepared, Request};

/// A statement that the node has prepared for this session. Dropping it finalizes it there, at once.
///
/// It borrows the connection, and rows borrow it. A statement is therefore not used after it was finalized, is finalized
/// once, and has one cursor: each of these has ended a node.
///
/// ```compile_fail,E0382
/// # fn f(conn: &finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let mut statement = conn.prepare("SELECT 1")?;
/// statement.finalize()?;
/// statement.query(())?; // used after it was finalized
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0382
/// # fn f(conn: &finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let statement = conn.prepare("SELECT 1")?;
/// statement.finalize()?;
/// statement.finalize()?; // finalized twice
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0499
/// # fn f(conn: &finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let mut statement = conn.prepare("SELECT 1")?;
/// let mut first = statement.query(())?;
/// let second = statement.query(())?; // two cursors
/// first.next()?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0505
/// # fn f(conn: &finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let mut statement = conn.prepare("SELECT 1")?;
/// let mut rows = statement.query(())?;
/// statement.finalize()?; // finalized while its rows arrive
/// rows.next()?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0505
/// # fn f(conn: finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let statement = conn.prepare("SELECT 1")?;
/// conn.close()?; // a statement of a session that is over
/// statement.finalize()
/// # }
/// ```
///
/// ```compile_fail,E0502
/// # fn f(mut conn: finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let mut statement = conn.prepare("SELECT 1")?;
/// conn.reopen()?; // the number of a statement of another session
/// statement.execute(())?;
/// # Ok(()) }
/// ```
///
/// The same lines in another order compile:
///
/// ```no_run
/// # fn f(mut conn: finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let mut statement = conn.prepare("SELECT 1")?;
/// let mut first = statement.query(())?;
/// first.next()?;
/// drop(first);
/// let second = statement.query(())?;
/// second.finish()?;
/// statement.finalize()?;
/// conn.reopen()?;
/// conn.close()
/// # }
/// ```
pub struct Statement<'conn> {
    conn: &'conn Connection,
    /// The number of the session that it belongs to.
    epoch: u64,
    id: u32,
    checked: Checked,
    parameters: RemoteParameters,
    sql: Box<str>,
    row: RemoteRow,
    /// The last result, whose rows may have been forgotten.
    cursor: Option<Cursor>,
    is_finalized: bool,
}

impl<'conn> Statement<'conn> {
    pub(crate) fn new(conn: &'conn Connection, sql: &str, checked: Checked, prepared: Prepared) -> Result<Self> {
        let Prepared { id, parameters, .. } = prepared;
        let count = usize::try_from(parameters).ok().filter(|&count| count <= PARAMETERS_MAX);
        let count = count.ok_or_else(|| Error::protocol("a statement with too many parameters"));
        let statement = |parameters| Self {
            conn,
            epoch: conn.epoch(),
            id,
            checked,
            parameters,
            sql: sql.into(),
            row: RemoteRow::new(sql),
            cursor: None,
            is_finalized: false,
        };
        match count {
            Ok(count) => Ok(statement(RemoteParameters::counted(sql, count))),
            Err(error) => {
                drop(statement(RemoteParameters::default()));
                Err(error)
            }
        }
    }

    /// Runs the statement to its end.
    ///
    /// # Errors
    ///
    /// SQLite's; [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a `RETURNING`, at which nodes fail;
    /// [`ErrorKind::Unknown`](crate::ErrorKind::Unknown) if the session ends meanwhile and no transaction is open; and those
    /// of the parameters.
    pub fn execute<'p>(&mut self, params: impl Params<'p>) -> Result<Changes> {
        if self.checked.kind == Kind::Query {
            self.query(params)?.finish()?;
            return Ok(Changes::default());
        }
        refuse_returning(self.checked).map_err(|error| error.in_sql(&self.sql))?;
        let values = self.parameters.bind(&self.sql, params)?;
        let request = Request::Exec { statement: self.id, params: &values };
        let answer = self.conn.link().call(request, Effect::Write).map_err(|error| error.in_sql(&self.sql))?;
        self.conn.changes(&answer, self.checked, &self.sql)
    }

    /// Runs the statement, and returns its rows.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute); [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a statement that stores
    /// something: a node would not replicate it. With `RETURNING`, it needs dqlite 1.18.7: 1.18.1
    /// fails, and nothing is sent to those before. All rows of it are read at once.
    pub fn query<'s, 'p>(&'s mut self, params: impl Params<'p>) -> Result<Rows<'s>> {
        let execution = self.begin(params)?;
        Ok(Rows::new(execution, &mut self.row, &self.sql))
    }

    /// Runs the statement, and returns its rows as a type.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub fn query_as<'s, 'p, T: for<'row> FromRow<'row>>(
        &'s mut self,
        params: impl Params<'p>,
    ) -> Result<QueryAs<'s, T>> {
        self.query(params).map(QueryAs::new)
    }

    /// Runs the statement, and returns its only row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); that there is no row, or more than one.
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<T> {
        self.query_row(params, |row| T::from_row(row))
    }

    /// Runs the statement, and reads its only row by a closure.
    ///
    /// # Errors
    ///
    /// As [`query_one`](Self::query_one), and the closure's.
    pub fn query_row<'p, T>(
        &mut self,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> finalite::Result<T>,
    ) -> Result<T> {
        let execution = self.begin(params)?;
        let found = only_row(execution, &mut self.row, read).map_err(|error| error.in_sql(&self.sql))?;
        found.ok_or_else(|| Error::from(finalite::Error::no_rows()).in_sql(&self.sql))
    }

    fn begin<'p>(&mut self, params: impl Params<'p>) -> Result<Execution<'conn>> {
        let in_sql = |error: Error| error.in_sql(&self.sql);
        check_query(self.checked, self.conn.link().is_newer()).map_err(in_sql)?;
        let values = self.parameters.bind(&self.sql, params)?;
        if let Some(cursor) = self.cursor.take() {
            self.conn.link().end_rows(cursor);
        }
        let request = Request::Query { statement: self.id, params: &values };
        let execution = Execution::begin(self.conn, request, self.checked.effect(), &mut self.row).map_err(in_sql)?;
        self.cursor = Some(execution.cursor());
        Ok(execution)
    }

    /// Returns the number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters.count()
    }

    /// Returns the SQL.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the number by which the node knows the statement within its session: the lowest that is free.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Finalizes the statement, as dropping does, and returns the error.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn finalize(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_finalized, true) || self.epoch != self.conn.epoch() {
            return Ok(());
        }
        let mut link = self.conn.link();
        if let Some(cursor) = self.cursor.take() {
            link.end_rows(cursor);
        }
        link.finalize(self.id)
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::debug!(target: "finalite::dqlite", %error, sql = %self.sql, "finalizing a statement");
        }
    }
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("sql", &self.sql).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The largest number that SQLite can be compiled for.
const PARAMETERS_MAX: usize = 500_000;

pub(crate) fn refuse_returning(checked: Checked) -> Result<()> {
    if !checked.returns {
        return Ok(());
    }
    Err(Error::refused("a node ends at a RETURNING that is executed: read its rows by `query` or `query_one`"))
}

/// Checks that a statement can be sent as a query.
pub(crate) fn check_query(checked: Checked, is_newer: bool) -> Result<()> {
    match checked {
        Checked { kind: Kind::Query, .. } => Ok(()),
        Checked { returns: true, .. } if is_newer => Ok(()),
        Checked { returns: true, .. } => Err(Error::refused(
            "this version of dqlite returns the rows of RETURNING, and does not store them: use two statements",
        )),
        _ => Err(Error::refused("the statement has no rows: use `execute`")),
    }
}

/// Checks that a statement can be prepared, and so run at any later time.
pub(crate) fn refuse_savepoint(checked: Checked) -> Result<Checked> {
    if checked.kind == Kind::Savepoint {
        return Err(Error::refused("a prepared savepoint could be run outside of its transaction: use `execute`"));
    }
    Ok(checked)
}

/// Returns the changes of an answer.
pub(crate) fn changes_of(answer: &Answer) -> Option<Changes> {
    match *answer {
        Answer::Result { last_insert_rowid, changes } => Some(Changes { rows: changes, last_insert_rowid }),
        _ => None,
    }
}
