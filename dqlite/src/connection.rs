//! [`Connection`]: a session with the leader of a cluster.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use finalite::workspace::{RemoteParam, RemoteParameters, RemoteRow};
use finalite::{FromRow, Params, Row};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::guard::{self, Checked, Kind};
use crate::link::{Effect, Link, Tx};
use crate::rows::{Execution, Rows, only_row};
use crate::statement::{Statement, changes_of, check_query, refuse_returning, refuse_savepoint};
use crate::transaction::Transaction;
use crate::typed_columns::{self, TypedColumn};
use crate::wire::{Answer, Request};

/// A session with the leader of a cluster, on one database. Returned by [`Cluster::open`].
///
/// It is `Send` and not `Sync`: one thread uses it at a time. A session that has ended stays so; its calls return
/// [`ErrorKind::Dead`](crate::ErrorKind::Dead) without sending anything, until [`reopen`](Self::reopen) looks for the
/// leader again. Nothing is sent twice.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<finalite_dqlite::Connection>();
/// ```
///
/// ```
/// fn sent<T: Send>() {}
/// sent::<finalite_dqlite::Connection>();
/// ```
pub struct Connection {
    link: RefCell<Link>,
    cluster: Cluster,
    database: Box<str>,
    /// Counts the sessions; a statement of an earlier one is void.
    epoch: u64,
}

/// The changes of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Number of rows that were inserted, updated or deleted; 0 for a statement that is none of these.
    pub rows: u64,
    /// The rowid of the session's last insert; 0 if there was none.
    pub last_insert_rowid: i64,
}

impl Connection {
    pub(crate) fn new(cluster: Cluster, database: &str, link: Link) -> Self {
        Self { link: RefCell::new(link), cluster, database: database.into(), epoch: 1 }
    }

    /// The session. It is never held while code of the program runs.
    pub(crate) fn link(&self) -> RefMut<'_, Link> {
        self.link.borrow_mut()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the address of the node.
    #[must_use]
    pub fn address(&self) -> String {
        self.link().address().to_owned()
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether the session goes on, as far as its last call has shown.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.link().is_alive()
    }

    /// Number of statements that the node keeps for this session.
    #[must_use]
    pub fn live_statements(&self) -> usize {
        self.link().live_statements()
    }

    /// Prepares a statement.
    ///
    /// # Errors
    ///
    /// SQLite's, for SQL that is not valid; [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a statement that harms a
    /// node, for SQL without a statement or with several, and for `SAVEPOINT`, `RELEASE` and `ROLLBACK TO`, which could be
    /// run outside of their transaction: [`execute`](Self::execute) runs them within it.
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        let site = Location::caller();
        let in_sql = |error: Error| error.in_sql(sql);
        let checked = self.check(sql).and_then(refuse_savepoint).map_err(in_sql)?;
        let prepared = self.link().prepare(sql, site).map_err(in_sql)?;
        Statement::new(self, sql, checked, prepared).map_err(in_sql)
    }

    /// Runs one statement to its end, in one message and its answer, but for `CREATE TRIGGER`, which has semicolons within
    /// and is prepared first.
    ///
    /// # Errors
    ///
    /// As [`Statement::execute`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// use finalite_dqlite::Cluster;
    ///
    /// let conn = Cluster::new(["127.0.0.1:9201", "127.0.0.1:9202"]).open("app")?;
    /// conn.execute("CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, cents INTEGER) STRICT", ())?;
    /// let changes = conn.execute("INSERT INTO account(cents) VALUES (?)", (500,))?;
    /// assert_eq!(changes.rows, 1);
    /// # Ok::<(), finalite_dqlite::Error>(())
    /// ```
    #[track_caller]
    pub fn execute<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<Changes> {
        let in_sql = |error: Error| error.in_sql(sql);
        let checked = self.check(sql).map_err(in_sql)?;
        if checked.kind == Kind::Query {
            let mut row = RemoteRow::new(sql);
            let mut execution = self.begin(sql, checked, params, &mut row)?;
            while execution.step(&mut row).map_err(in_sql)? {}
            return Ok(Changes::default());
        }
        refuse_returning(checked).map_err(in_sql)?;
        if checked.has_body {
            // One message would run whatever follows it. Prepared, it is alone.
            return self.prepare(sql)?.execute(params);
        }
        let values = RemoteParameters::of(sql).bind(sql, params)?;
        let answer = self.link().call(Request::ExecSql { sql, params: &values }, Effect::Write).map_err(in_sql)?;
        self.changes(&answer, checked, sql)
    }

    /// Runs the statements of a script one after the other, each in a message of its own. Those before one that fails stay
    /// done, unless a transaction is open.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute), of the first statement that fails, with its SQL.
    pub fn execute_batch(&self, script: &str) -> Result<()> {
        guard::statements(script).try_for_each(|sql| self.execute(sql, ()).map(drop))
    }

    /// Returns the only row of a query.
    ///
    /// # Errors
    ///
    /// As [`Statement::query_one`].
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<T> {
        self.query_row(sql, params, |row| T::from_row(row))
    }

    /// Returns the only row of a query, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Statement::query`]; that there is more than one row.
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(
        &self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<Option<T>> {
        self.read_row(sql, params, |row| T::from_row(row))
    }

    /// Reads the only row of a query by a closure.
    ///
    /// # Errors
    ///
    /// As [`Statement::query_row`].
    pub fn query_row<'p, T>(
        &self,
        sql: &str,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> finalite::Result<T>,
    ) -> Result<T> {
        let found = self.read_row(sql, params, read)?;
        found.ok_or_else(|| Error::from(finalite::Error::no_rows()).in_sql(sql))
    }

    /// Returns all rows of a query.
    ///
    /// # Errors
    ///
    /// As [`Statement::query`], and of reading the rows.
    pub fn query_all<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<Vec<T>> {
        let in_sql = |error: Error| error.in_sql(sql);
        let checked = self.check(sql).map_err(in_sql)?;
        let mut row = RemoteRow::new(sql);
        let execution = self.begin(sql, checked, params, &mut row)?;
        let mut rows = Rows::new(execution, &mut row, sql);
        std::iter::from_fn(|| rows.next_as().transpose()).collect()
    }

    /// Whether a query has a row.
    ///
    /// # Errors
    ///
    /// As [`Statement::query`].
    pub fn exists<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<bool> {
        let checked = self.check(sql).map_err(|error| error.in_sql(sql))?;
        let mut row = RemoteRow::new(sql);
        self.begin(sql, checked, params, &mut row)?.step(&mut row).map_err(|error| error.in_sql(sql))
    }

    fn read_row<'p, T>(
        &self,
        sql: &str,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> finalite::Result<T>,
    ) -> Result<Option<T>> {
        let checked = self.check(sql).map_err(|error| error.in_sql(sql))?;
        let mut row = RemoteRow::new(sql);
        let execution = self.begin(sql, checked, params, &mut row)?;
        only_row(execution, &mut row, read).map_err(|error| error.in_sql(sql))
    }

    /// Runs a query that is not prepared.
    fn begin<'p>(
        &self,
        sql: &str,
        checked: Checked,
        params: impl Params<'p>,
        row: &mut RemoteRow,
    ) -> Result<Execution<'_>> {
        let in_sql = |error: Error| error.in_sql(sql);
        check_query(checked, self.link().is_newer()).map_err(in_sql)?;
        let values: Vec<RemoteParam<'_>> = RemoteParameters::of(sql).bind(sql, params)?;
        let request = Request::QuerySql { sql, params: &values };
        Execution::begin(self, request, checked.effect(), row).map_err(in_sql)
    }

    fn check(&self, sql: &str) -> Result<Checked> {
        let checked = guard::check(sql)?;
        if checked.kind == Kind::Savepoint && self.link().tx() == Tx::None {
            return Err(Error::refused("a savepoint is within a transaction: use `Connection::transaction`"));
        }
        Ok(checked)
    }

    /// Returns the changes of a statement. The server repeats the count of an earlier one for a statement that has none.
    pub(crate) fn changes(&self, answer: &Answer, checked: Checked, sql: &str) -> Result<Changes> {
        let changes = changes_of(answer);
        let changes =
            changes.ok_or_else(|| self.link().unexpected("another answer than a result", Effect::Write).in_sql(sql))?;
        Ok(if checked.changes_rows { changes } else { Changes { rows: 0, ..changes } })
    }

    /// Begins a transaction with the write lock (`BEGIN IMMEDIATE`). Dropping it rolls back.
    ///
    /// # Errors
    ///
    /// [`is_busy`](Error::is_busy) if another session has the lock: dqlite does not wait for it. Those of the session.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn f(conn: &mut finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
    /// let tx = conn.transaction()?;
    /// tx.execute("UPDATE account SET cents = cents - 5 WHERE id = 1", ())?;
    /// tx.execute("UPDATE account SET cents = cents + 5 WHERE id = 2", ())?;
    /// tx.commit()
    /// # }
    /// ```
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        // One that was forgotten is rolled back.
        if self.link().tx() != Tx::None {
            self.roll_back()?;
        }
        self.begin_transaction()?;
        Ok(Transaction::new(self))
    }

    fn begin_transaction(&self) -> Result<()> {
        let sql = "BEGIN IMMEDIATE";
        let mut link = self.link();
        link.call(Request::ExecSql { sql, params: &[] }, Effect::Read).map_err(|error| error.in_sql(sql))?;
        link.set_tx(Tx::Open);
        Ok(())
    }

    /// Rolls back, or ends the session.
    pub(crate) fn roll_back(&self) -> Result<()> {
        self.link().roll_back().map_err(|error| error.in_sql("ROLLBACK"))
    }

    /// Runs the closure in a transaction, and commits. If nothing can have been stored, because another session has the
    /// write lock or the node is not the leader, it is run again in a new transaction, on a new session where needed, as
    /// the policy allows.
    ///
    /// Once `COMMIT` was sent, nothing is run again, whatever its answer; nor after a connection that was lost, which may
    /// have been the statement's own doing. The closure's effects outside of the database must be repeatable.
    ///
    /// # Errors
    ///
    /// The closure's, those of `COMMIT`, and those of opening a session.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use finalite_dqlite::RetryPolicy;
    ///
    /// # fn f(conn: &mut finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
    /// let cents: i64 = conn.retry(RetryPolicy::default(), |tx| {
    ///     tx.execute("UPDATE account SET cents = cents - 5 WHERE id = ?", (1,))?;
    ///     tx.query_one("SELECT cents FROM account WHERE id = ?", (1,))
    /// })?;
    /// # let _ = cents;
    /// # Ok(()) }
    /// ```
    pub fn retry<T, E: From<Error>>(
        &mut self,
        policy: crate::RetryPolicy,
        work: impl FnMut(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        crate::retry::run(self, policy, work)
    }

    /// Ends the session and opens another, with the leader of now. Nothing of the old one is repeated: an open transaction
    /// is rolled back by its node.
    ///
    /// # Errors
    ///
    /// As [`Cluster::open`]. The old session is over nevertheless.
    pub fn reopen(&mut self) -> Result<()> {
        self.reopen_within(Duration::MAX)
    }

    /// Reopens, if a leader is found within this time and that of the cluster.
    pub(crate) fn reopen_within(&mut self, time: Duration) -> Result<()> {
        let link = self.link.get_mut();
        // No statement borrows it any more: those that are left were leaked.
        link.report_forgotten();
        link.die("it was reopened");
        self.epoch += 1;
        let link = self.cluster.session_within(&self.database, time)?;
        *self.link.get_mut() = link;
        Ok(())
    }

    /// Asks the node whether it is the leader, which it can be in error about for the time of an election.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn is_leader(&self) -> Result<bool> {
        self.is_leader_within(Duration::MAX)
    }

    pub(crate) fn is_leader_within(&self, time: Duration) -> Result<bool> {
        let mut link = self.link();
        let answer = if time == Duration::MAX {
            link.call(Request::Leader, Effect::Read)
        } else {
            link.call_within(time, Request::Leader, Effect::Read)
        };
        match answer? {
            Answer::Server(leader) => Ok(&*leader.address == link.address()),
            _ => Err(link.unexpected("another answer than the leader", Effect::Read)),
        }
    }

    /// Finds columns whose declared type has nodes fail, or lose NULL: see [`TypedColumn`].
    ///
    /// # Errors
    ///
    /// As [`query_all`](Self::query_all).
    pub fn typed_columns(&self) -> Result<Vec<TypedColumn>> {
        typed_columns::find(self)
    }

    /// Ends the session. Dropping does the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dead`](crate::ErrorKind::Dead) if it had ended before.
    pub fn close(self) -> Result<()> {
        self.link.into_inner().close()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Connection");
        shown.field("database", &self.database);
        if let Ok(link) = self.link.try_borrow() {
            shown.field("address", &link.address()).field("is_alive", &link.is_alive());
        }
        shown.finish_non_exhaustive()
    }
}
