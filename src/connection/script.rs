//! Scripts: SQL of several statements, prepared one by one.

use std::fmt;
use std::iter::FusedIterator;
use std::panic::Location;

use crate::convert::ToSql;
use crate::core::{Checkout, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::statement::params::named_params_from_iter;
use crate::{Connection, Statement, sql};

/// Iterator over the statements of a script. Each is prepared when it is asked for, since it may depend on an earlier
/// one.
///
/// The iterator ends after an error.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let mut script = conn.script("CREATE TABLE t(a); INSERT INTO t VALUES (1); SELECT a FROM t; -- done");
/// while let Some(statement) = script.next() {
///     statement?.execute(())?;
/// }
/// assert_eq!(script.rest(), "");
/// assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ())?, 1);
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct Script<'conn> {
    conn: &'conn Connection,
    /// The script, with a NUL at its end: otherwise SQLite would copy the remaining text for each statement.
    text: String,
    /// Offset at which the next statement is searched.
    offset: usize,
    /// Offset at which the last statement begins.
    statement_offset: usize,
    contains_nul: bool,
    /// Source location at which the statements are recorded as opened. The caller of `next` may be an iterator adapter.
    site: &'static Location<'static>,
}

impl<'conn> Script<'conn> {
    #[track_caller]
    fn new(conn: &'conn Connection, script: &str) -> Self {
        let mut text = String::with_capacity(script.len() + 1);
        text.push_str(script);
        text.push('\0');
        let contains_nul = script.contains('\0');
        Self { conn, text, offset: 0, statement_offset: 0, contains_nul, site: Location::caller() }
    }

    fn len(&self) -> usize {
        self.text.len() - 1
    }

    /// Remaining text, from the next token on.
    #[must_use]
    pub fn rest(&self) -> &str {
        sql::skip_blank(&self.text[self.offset..self.len()])
    }

    fn prepare_next(&mut self) -> Result<Option<Statement<'conn>>> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let start = self.len() - rest.len();
        self.statement_offset = start;
        if self.contains_nul {
            return Err(Error::new(ErrorKind::NulInSql).in_sql(sql::first_statement(self.rest())));
        }
        let conn = self.conn;
        let taint = sql::taint(&self.text[start..self.len()]);
        conn.db().add_taint(taint);
        let prepared = conn.db().prepare(&self.text[start..], false, self.site);
        conn.core().prepared(&self.text[start..], taint)?;
        let (statement, taken) =
            prepared.map_err(|fault| conn.error(fault).in_sql(sql::first_statement(self.rest())))?;
        self.offset = (start + taken).min(self.len());
        let text = self.text[start..self.offset].trim_end();
        Ok(statement.map(|raw| Statement::new(Checkout::new(raw.with_sql(text, taint), conn.core(), Place::Nowhere))))
    }

    /// Adds the position in the script to an error, and ends the script.
    pub(crate) fn locate(&mut self, error: Error) -> Error {
        let origin = sql::line_and_column(&self.text, self.statement_offset);
        self.offset = self.len();
        error.at(origin)
    }

    pub(crate) fn next_statement(&mut self) -> Result<Option<Statement<'conn>>> {
        self.prepare_next().map_err(|error| self.locate(error))
    }
}

impl<'conn> Iterator for Script<'conn> {
    type Item = Result<Statement<'conn>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_statement().transpose()
    }
}

impl FusedIterator for Script<'_> {}

impl fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("rest", &self.rest()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns an iterator over the statements of a script, which prepares them lazily.
    #[must_use]
    #[track_caller]
    pub fn script(&self, script: &str) -> Script<'_> {
        Script::new(self, script)
    }

    /// Runs every statement of a script to its end, and discards rows.
    ///
    /// No transaction is opened: write `BEGIN` and `COMMIT` around the script for all or nothing. If the script opens a
    /// transaction and fails within it, the transaction is rolled back.
    ///
    /// # Errors
    ///
    /// Those of preparing and running a statement, with that statement as [`Error::sql`], and its position in the
    /// script as [`Error::position`]. Earlier statements have been run.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let error = conn.execute_batch("CREATE TABLE t(a);\nINSERT INTO t\n  VALUES (nowhere);").unwrap_err();
    /// assert_eq!(error.position().unwrap().to_string(), "line 3, column 11");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn execute_batch(&self, script: &str) -> Result<()> {
        self.execute_script(script, &[])
    }

    /// Runs every statement of a script as [`execute_batch`](Self::execute_batch) does, with values for its parameters.
    /// Each statement receives those whose names it contains; the names need no prefix.
    ///
    /// # Errors
    ///
    /// Those of [`execute_batch`](Self::execute_batch), and [`ErrorKind::ParameterUnset`] at a statement of which a
    /// parameter has no value. A value that no statement uses is ignored.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_script(
    ///     "CREATE TABLE settings(name TEXT, value);
    ///      INSERT INTO settings VALUES ('language', :language);
    ///      INSERT INTO settings VALUES ('columns', :columns);",
    ///     &[("language", &"de"), ("columns", &80)],
    /// )?;
    /// assert_eq!(conn.query_one::<i64>("SELECT value FROM settings WHERE name = 'columns'", ())?, 80);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn execute_script(&self, script: &str, params: &[(&str, &dyn ToSql)]) -> Result<()> {
        self.core().check_transaction()?;
        let was_autocommit = self.is_autocommit();
        let result = self.run_script(script, params);
        if result.is_err()
            && was_autocommit
            && !self.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK", ())
        {
            let (connection, name) = self.identity();
            tracing::error!(target: "finalite::statement", %error, connection, name, "rollback failed after a script; the next call repeats it");
            self.core().guards().owe_rollback();
        }
        result
    }

    #[track_caller]
    fn run_script(&self, script: &str, params: &[(&str, &dyn ToSql)]) -> Result<()> {
        let mut script = self.script(script);
        while let Some(mut statement) = script.next_statement()? {
            let result = if params.is_empty() {
                statement.execute(())
            } else {
                statement.execute(named_params_from_iter(params.iter().copied()).ignore_unused())
            };
            if let Err(error) = result {
                drop(statement);
                return Err(script.locate(error));
            }
        }
        Ok(())
    }
}
