//! State of the transaction that a connection has open on a database.

use crate::Connection;
use crate::error::Result;
pub use crate::raw::storage::TransactionState;

impl Connection {
    /// Returns the state of the transaction on one database (`main`, `temp` or an attached one), or with `None` the
    /// highest of all databases.
    ///
    /// A transaction that was begun reads nothing yet, unless it is `IMMEDIATE`. Rows that are not finished hold a read
    /// transaction open, also in autocommit mode.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`](crate::ErrorKind::NoSuch) if there is no database of this name.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, TransactionState};
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let tx = conn.transaction()?;
    /// assert_eq!(tx.transaction_state(Some("main"))?, TransactionState::None);
    /// tx.query_one::<i64>("SELECT count(*) FROM t", ())?;
    /// assert_eq!(tx.transaction_state(Some("main"))?, TransactionState::Read);
    /// tx.execute("INSERT INTO t VALUES (1)", ())?;
    /// assert_eq!(tx.transaction_state(None)?, TransactionState::Write);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_txn_state](https://sqlite.org/c3ref/txn_state.html)
    #[doc(alias = "txn_state")]
    pub fn transaction_state(&self, database: Option<&str>) -> Result<TransactionState> {
        let name = database.map(|name| self.database_name(name)).transpose()?;
        Ok(self.db().transaction_state(name.as_deref()).unwrap_or(TransactionState::None))
    }
}
