//! Switches of a connection (`sqlite3_db_config`), and the reset of a database.

use super::Connection;
use crate::error::Result;
pub use crate::raw::db::DbConfig;

impl Connection {
    /// Returns the state of a switch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a switch that the linked SQLite does not have;
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) within a callback of the connection;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// C: [sqlite3_db_config](https://sqlite.org/c3ref/db_config.html)
    pub fn db_config(&self, switch: DbConfig) -> Result<bool> {
        self.db().db_config(switch).map_err(|fault| self.error(fault))
    }

    /// Sets a switch and returns its state before. Statements are prepared again when they are next run.
    ///
    /// # Errors
    ///
    /// See [`db_config`](Self::db_config). [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) also for turning on
    /// [`DbConfig::Fts3Tokenizer`], with which SQL can read and call any memory.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, DbConfig};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.set_db_config(DbConfig::Defensive, true)?, false);
    /// assert!(conn.db_config(DbConfig::Defensive)?);
    /// assert!(conn.execute("CREATE TABLE sqlite_sequence(a)", ()).is_err());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_db_config](https://sqlite.org/c3ref/db_config.html)
    #[doc(alias("defensive", "writable_schema"))]
    pub fn set_db_config(&self, switch: DbConfig, on: bool) -> Result<bool> {
        self.db().set_db_config(switch, on).map_err(|fault| self.error(fault))
    }

    /// Deletes everything in the main database: afterwards it is empty, with its page size and journal mode. It works
    /// for a damaged database, too.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` if a transaction is open; `SQLITE_BUSY` and `SQLITE_LOCKED` if another connection has a lock;
    /// errors of the file. The database is then unchanged.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// conn.reset_database()?;
    /// assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ())?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [SQLITE_DBCONFIG_RESET_DATABASE](https://sqlite.org/c3ref/c_dbconfig_defensive.html)
    #[track_caller]
    #[doc(alias = "SQLITE_DBCONFIG_RESET_DATABASE")]
    pub fn reset_database(&mut self) -> Result<()> {
        // The journal mode is kept if it is known. The schema of a damaged database cannot be read.
        let _ = self.execute("SELECT 1 FROM sqlite_schema LIMIT 0", ());
        let resetting = self.db().begin_reset_of_database().map_err(|fault| self.error(fault))?;
        let result = self.execute("VACUUM", ());
        drop(resetting);
        result.map(drop)
    }
}
