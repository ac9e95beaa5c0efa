//! The schema of a connection's databases: tables, columns, indexes, foreign keys, triggers, views.
//!
//! [`Connection::schema`] reads the schema of all databases of the connection, and [`Connection::schema_of`] that of
//! one. What is returned is a copy, which does not follow later changes.
//!
//! ```
//! use finalite::{Connection, schema::{Affinity, TableKind}};
//!
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch(
//!     "CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE) STRICT;
//!      CREATE TABLE book(title TEXT, author REFERENCES author(id) ON DELETE CASCADE);
//!      CREATE INDEX book_author ON book(author, title DESC);",
//! )?;
//!
//! let author = conn.schema().table("author")?.expect("created above");
//! assert_eq!((author.kind, author.is_strict), (TableKind::Ordinary, true));
//! let name = author.column("name").expect("created above");
//! assert_eq!((name.affinity, name.is_not_null, name.collation.as_deref()), (Affinity::Text, true, Some("NOCASE")));
//!
//! let book = conn.schema().table("book")?.expect("created above");
//! assert_eq!(&*book.foreign_keys[0].table, "author");
//! assert!(book.index("book_author").is_some_and(|index| index.columns[1].is_descending));
//! # Ok::<(), finalite::Error>(())
//! ```
//!
//! # Rules
//!
//! - Names are compared as SQLite does: ASCII letters without case. In the schema of all databases, a name is that of the
//!   first database that has it, in the order in which SQLite resolves names: `temp`, `main`, attached ones.
//! - The schema is current, also where another connection has changed it, and each call sees each database in one state:
//!   within a transaction that of the transaction, otherwise in a read transaction of its own.
//! - Everything is read by `PRAGMA` statements and from `sqlite_schema`, which an authorizer can deny. Nothing that the
//!   file defines (a table called `pragma_table_list`, a view) is read instead.
//! - Names and SQL that are not valid UTF-8 are shown with replacement characters (U+FFFD), and what has such a name is
//!   shown without its parts.

use crate::Connection;
use crate::error::{Error, ErrorKind, Result};

mod column;
mod foreign_key;
mod index;
mod read;
mod table;

pub use column::{Affinity, Column, Generated};
pub use foreign_key::{ForeignKey, ForeignKeyAction};
pub use index::{Index, IndexColumn, IndexOrigin, IndexTerm};
pub(crate) use read::database_names;
use read::{Reader, quoted_prefix};
pub use table::{Table, TableKind, Trigger, View};

/// The schema of all databases of a connection, or of one. From [`Connection::schema`] and [`Connection::schema_of`].
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    conn: &'a Connection,
    database: Option<&'a str>,
}

impl Connection {
    /// Returns the schema of all databases of the connection: `main`, `temp`, and attached ones. It is read by the
    /// methods of [`Schema`].
    ///
    /// See [`schema`](crate::schema).
    #[must_use]
    #[doc(alias("introspection", "sqlite_master", "sqlite_schema", "table_info", "describe"))]
    pub fn schema(&self) -> Schema<'_> {
        Schema { conn: self, database: None }
    }

    /// Returns the schema of one database: `main`, `temp`, or the name of an attached one.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); ATTACH ':memory:' AS other; CREATE TABLE other.t(b)")?;
    /// let table = conn.schema_of("other").table("T")?.expect("created above");
    /// assert_eq!((&*table.database, &*table.name, &*table.columns[0].name), ("other", "t", "b"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn schema_of<'a>(&'a self, database: &'a str) -> Schema<'a> {
        Schema { conn: self, database: Some(database) }
    }

    /// Whether a table exists, in a database or, with `None`, in any. Virtual tables and SQLite's own tables are
    /// tables, views are not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no database of this name; [`ErrorKind::Misuse`] for a name that contains NUL;
    /// errors of reading the schema.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TEMP TABLE scratch(a)", ())?;
    /// assert!(conn.table_exists(None, "SCRATCH")?);
    /// assert!(!conn.table_exists(Some("main"), "scratch")?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// SQL: [PRAGMA table_list](https://sqlite.org/pragma.html#pragma_table_list)
    pub fn table_exists(&self, database: Option<&str>, table: &str) -> Result<bool> {
        let Some(prefix) = quoted_prefix(self, database)? else {
            return Ok(false);
        };
        read::check_name(table)?;
        read::has_table(self, &prefix, table)
    }

    /// Whether a table or a view has a column of this name, hidden and generated ones included. `false` if there is no
    /// such table. With `None`, the table is the one that its name alone means in SQL. `rowid` is no column.
    ///
    /// # Errors
    ///
    /// See [`table_exists`](Self::table_exists); SQLite's error for a view that cannot be resolved, and for a virtual
    /// table whose module is not registered.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE people(name TEXT)", ())?;
    /// assert!(conn.column_exists(None, "people", "Name")?);
    /// assert!(!conn.column_exists(Some("main"), "people", "born")?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// SQL: [PRAGMA table_xinfo](https://sqlite.org/pragma.html#pragma_table_xinfo)
    pub fn column_exists(&self, database: Option<&str>, table: &str, column: &str) -> Result<bool> {
        let Some(prefix) = quoted_prefix(self, database)? else {
            return Ok(false);
        };
        read::check_name(table)?;
        read::check_name(column)?;
        read::has_column(self, &prefix, table, column)
    }
}

impl Schema<'_> {
    /// Returns the tables, of each database in the order of their creation. SQLite's own and shadow tables are
    /// included: [`Table::kind`] tells them apart.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no database of the name given to [`Connection::schema_of`];
    /// [`ErrorKind::Misuse`] for a name that contains NUL; SQLite's error if the schema cannot be read: a lock, damage,
    /// an authorizer.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, schema::TableKind};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE a(x); CREATE TABLE b(y)")?;
    /// let tables = conn.schema().tables()?;
    /// let own: Vec<&str> = tables.iter().filter(|it| it.kind == TableKind::Ordinary).map(|it| &*it.name).collect();
    /// assert_eq!(own, ["a", "b"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// SQL: [PRAGMA table_list](https://sqlite.org/pragma.html#pragma_table_list)
    pub fn tables(&self) -> Result<Vec<Table>> {
        self.reader()?.tables(|_| true)
    }

    /// Returns the table of this name; `None` if there is none. A view is no table.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn table(&self, name: &str) -> Result<Option<Table>> {
        read::check_name(name)?;
        Ok(first(self.reader()?.tables(|table| table.eq_ignore_ascii_case(name))?, |table| &table.database))
    }

    /// Returns the views, of each database in the order of their creation.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn views(&self) -> Result<Vec<View>> {
        self.reader()?.views(|_| true)
    }

    /// Returns the view of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn view(&self, name: &str) -> Result<Option<View>> {
        read::check_name(name)?;
        Ok(first(self.reader()?.views(|view| view.eq_ignore_ascii_case(name))?, |view| &view.database))
    }

    /// Returns the indexes of all tables, those that SQLite has made for constraints included.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    ///
    /// SQL: [PRAGMA index_list](https://sqlite.org/pragma.html#pragma_index_list)
    pub fn indexes(&self) -> Result<Vec<Index>> {
        self.reader()?.indexes()
    }

    /// Returns the index of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn index(&self, name: &str) -> Result<Option<Index>> {
        read::check_name(name)?;
        let mut indexes = self.reader()?.indexes()?;
        indexes.retain(|index| index.name.eq_ignore_ascii_case(name));
        Ok(first(indexes, |index| &index.database))
    }

    /// Returns the triggers, of each database in the order of their creation.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn triggers(&self) -> Result<Vec<Trigger>> {
        self.reader()?.triggers()
    }

    /// Returns the trigger of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`tables`](Self::tables).
    pub fn trigger(&self, name: &str) -> Result<Option<Trigger>> {
        read::check_name(name)?;
        let mut triggers = self.reader()?.triggers()?;
        triggers.retain(|trigger| trigger.name.eq_ignore_ascii_case(name));
        Ok(first(triggers, |trigger| &trigger.database))
    }

    fn reader(&self) -> Result<Reader<'_>> {
        Reader::new(self.conn, self.database)
    }
}

/// Returns the item that a name means in SQL: the temporary one, or that of the first database.
fn first<T>(mut items: Vec<T>, database: impl Fn(&T) -> &str) -> Option<T> {
    let temporary = items.iter().position(|item| database(item) == "temp").unwrap_or(0);
    (!items.is_empty()).then(|| items.swap_remove(temporary))
}

fn misuse(reason: &'static str) -> Error {
    Error::new(ErrorKind::Misuse { reason })
}
