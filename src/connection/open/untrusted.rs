//! Options for database files and SQL from strangers.

use super::OpenOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::{CheckScope, Connection};

impl OpenOptions {
    /// Returns the options for a database file or SQL that strangers may have made: [`new`](Self::new), with all that
    /// SQLite's authors advise in [Defense Against the Dark Arts](https://sqlite.org/security.html) and that is a
    /// setting of a connection.
    ///
    /// | setting | effect |
    /// |---|---|
    /// | `SQLITE_DBCONFIG_DEFENSIVE` on, `writable_schema` off | SQL cannot damage the file: no writes to the schema and to shadow tables, no `journal_mode = off` |
    /// | [`trusted_schema`](Self::trusted_schema) off | what the file defines (CHECK, DEFAULT, generated columns, indexes, views, triggers) calls only functions and virtual tables that are marked as harmless |
    /// | [`triggers`](Self::triggers) off | triggers in the file do not run |
    /// | [`views`](Self::views) off | views in the file cannot be read |
    /// | [`double_quoted_strings`](Self::double_quoted_strings) off | `"text"` is a name |
    /// | `SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION`, `ENABLE_FTS3_TOKENIZER` off | no extension is loaded, and SQL sets no tokenizer of FTS3 |
    /// | `SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE`, `ENABLE_ATTACH_WRITE` off (from SQLite 3.49 on) | `ATTACH` creates no file and writes to none, should the program raise the limit below |
    /// | `cell_size_check` on | each page is checked when it is read |
    /// | `mmap_size` 0 | the file is read, not mapped, so that it cannot change while SQLite looks at it |
    /// | `PRAGMA quick_check` | opening fails if the file is damaged, see below |
    /// | [page reader](crate::scan#from-pages) off | SQLite alone decodes the file |
    ///
    /// | limit | at most |
    /// |---|---|
    /// | bytes of a text, a blob, a row | 1,000,000 |
    /// | bytes of an SQL statement | 100,000 |
    /// | columns of a table, an index, a result | 100 |
    /// | depth of an expression, of subqueries | 10 |
    /// | depth of the parser's stack (from SQLite 3.53 on) | 100 |
    /// | terms of a compound SELECT | 3 |
    /// | instructions of a statement (else [`ErrorKind::NoMemory`]) | 25,000 |
    /// | arguments of a function | 8 |
    /// | attached databases; therefore no `VACUUM` | 0 |
    /// | bytes of a pattern of `LIKE` and `GLOB` | 50 |
    /// | parameters of a statement | 10 |
    /// | depth of triggers | 10 |
    ///
    /// `PRAGMA quick_check` reads the whole file each time a connection is opened, also by a pool. Triggers and views
    /// are off, because a file from a stranger may have any: a program that knows that it needs them switches them on
    /// again. An INSERT into a table whose triggers do not run succeeds, so a program that writes to such a file has to
    /// know its triggers. Of bytes that are [deserialized](Connection::deserialize_into) on such a connection, the
    /// program runs the check.
    ///
    /// Settings of the caller's, by other methods of this type, take precedence. What only the program can decide is
    /// left to it: [which tables and functions](Connection::set_authorizer) SQL may use, [how long it may
    /// run](Connection::deadline) and [how many rows it may return](Connection::limit_queries), and how much memory SQLite may
    /// use in the process ([`memory::set_limit`](crate::memory::set_limit)). A function of the program's is to be
    /// [`direct_only`](crate::extend::direct_only) unless it is harmless.
    ///
    /// # Errors
    ///
    /// [`open`](Self::open) returns [`ErrorKind::FailedCheck`] for the first problem that `PRAGMA quick_check` finds,
    /// `SQLITE_CORRUPT` for a file that it cannot examine, and `SQLITE_NOTADB` for what is not a database. All three
    /// are told apart from other errors by [`Error::code`]. Beyond a limit, the schema of a file is `SQLITE_CORRUPT`
    /// too, and a value is `SQLITE_TOOBIG`.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OpenOptions, ResultCode};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("upload.db");
    /// Connection::open(&path)?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// let conn = OpenOptions::untrusted().read_only(true).open(&path)?;
    /// assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// assert!(conn.execute("ATTACH ':memory:' AS other", ()).is_err());
    ///
    /// std::fs::write(&path, [7; 4096])?;
    /// let error = OpenOptions::untrusted().read_only(true).open(&path).unwrap_err();
    /// assert_eq!(error.code(), Some(ResultCode::NOTADB));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [Defense Against the Dark Arts](https://sqlite.org/security.html)
    #[must_use]
    #[doc(alias("defensive", "SQLITE_DBCONFIG_DEFENSIVE", "sqlite3_limit", "quick_check", "security", "sandbox"))]
    pub fn untrusted() -> Self {
        Self {
            is_untrusted: true,
            double_quoted_strings: false,
            trusted_schema: false,
            triggers: false,
            views: false,
            ..Self::new()
        }
    }

    /// Sets whether triggers of the database file run. On by default, off by [`untrusted`](Self::untrusted). Temporary
    /// triggers always run.
    ///
    /// C: [SQLITE_DBCONFIG_ENABLE_TRIGGER](https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfigenabletrigger)
    #[must_use]
    pub fn triggers(mut self, on: bool) -> Self {
        self.triggers = on;
        self
    }

    /// Sets whether views of the database file can be read; otherwise a statement that names one is an error. On by
    /// default, off by [`untrusted`](Self::untrusted). Temporary views can always be read.
    ///
    /// C: [SQLITE_DBCONFIG_ENABLE_VIEW](https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfigenableview)
    #[must_use]
    pub fn views(mut self, on: bool) -> Self {
        self.views = on;
        self
    }

    /// Hardens a new connection, and checks the database by the first statement that reads it.
    #[track_caller]
    pub(super) fn harden(&self, conn: &Connection) -> Result<()> {
        conn.is_untrusted.set(true);
        conn.db().harden()?;
        conn.set_pragma("cell_size_check", true)?;
        stop_mapping(conn)?;
        quick_check(conn)?;
        Ok(conn.db().limit_instructions()?)
    }
}

/// Turns off the mapping of the file. `set_pragma` would read the schema where there is nothing to read back: a database
/// in memory has no mapping.
#[track_caller]
fn stop_mapping(conn: &Connection) -> Result<()> {
    conn.execute("PRAGMA mmap_size = 0", ())?;
    match conn.prepare("PRAGMA mmap_size")?.query_pragma::<i64>()? {
        None | Some(0) => Ok(()),
        Some(bytes) => Err(Error::new(ErrorKind::Pragma {
            name: "mmap_size".into(),
            requested: "0".into(),
            effective: Some(bytes.to_string().into()),
            is_known: true,
        })),
    }
}

/// Returns an error if the database is damaged, with the first finding.
#[track_caller]
fn quick_check(conn: &Connection) -> Result<()> {
    let Some(problem) = conn.quick_check(CheckScope::First(1))?.next() else { return Ok(()) };
    let message = problem?.message;
    // The first line of those of pages names the database.
    let finding = message.strip_prefix("*** in database main ***\n").unwrap_or(&message).into();
    Err(Error::new(ErrorKind::FailedCheck { finding }))
}
