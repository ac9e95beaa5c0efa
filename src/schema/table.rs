//! [`Table`], [`View`], [`Trigger`].

use super::{Column, ForeignKey, Index};

/// A table.
///
/// SQL: [PRAGMA table_list](https://sqlite.org/pragma.html#pragma_table_list)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// Database: `main`, `temp`, or the name of an attached one.
    pub database: Box<str>,
    /// Name of the table.
    pub name: Box<str>,
    /// Kind of the table.
    pub kind: TableKind,
    /// Whether the table is STRICT.
    pub is_strict: bool,
    /// Whether the table is `WITHOUT ROWID`.
    pub is_without_rowid: bool,
    /// Columns in the order of their declaration, hidden ones included. Empty for a virtual table whose module is not
    /// registered, or refuses the table.
    pub columns: Vec<Column>,
    /// Indexes in the order of their creation.
    pub indexes: Vec<Index>,
    /// Foreign keys in the order of their declaration.
    pub foreign_keys: Vec<ForeignKey>,
    /// The `CREATE TABLE` or `CREATE VIRTUAL TABLE` statement; `None` for the schema table itself.
    pub sql: Option<Box<str>>,
}

impl Table {
    /// Returns the column of this name; `None` if there is none. ASCII letters are compared without case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Returns the index of this name; `None` if there is none. ASCII letters are compared without case.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name.eq_ignore_ascii_case(name))
    }

    /// Returns the columns of the primary key, in its order. Empty if the table has none.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a, b, c, PRIMARY KEY (c, a))", ())?;
    /// let table = conn.schema().table("t")?.expect("created above");
    /// let key: Vec<&str> = table.primary_key().iter().map(|column| &*column.name).collect();
    /// assert_eq!(key, ["c", "a"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn primary_key(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.iter().filter(|column| column.primary_key.is_some()).collect();
        columns.sort_by_key(|column| column.primary_key);
        columns
    }
}

/// Kind of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableKind {
    /// A table of the program's.
    Ordinary,
    /// A virtual table.
    Virtual,
    /// A table in which a virtual table stores its data.
    Shadow,
    /// A table of SQLite's own, whose name begins with `sqlite_`, such as `sqlite_schema` and `sqlite_sequence`.
    Internal,
}

/// A view.
///
/// SQL: [CREATE VIEW](https://sqlite.org/lang_createview.html)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Database: `main`, `temp`, or the name of an attached one.
    pub database: Box<str>,
    /// Name of the view.
    pub name: Box<str>,
    /// Columns. Empty for a view that cannot be resolved, since what it reads does not exist.
    pub columns: Vec<Column>,
    /// The `CREATE VIEW` statement.
    pub sql: Option<Box<str>>,
}

/// A trigger.
///
/// SQL: [CREATE TRIGGER](https://sqlite.org/lang_createtrigger.html)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trigger {
    /// Database: `main`, `temp`, or the name of an attached one.
    pub database: Box<str>,
    /// Name of the trigger.
    pub name: Box<str>,
    /// Name of the table or view. That of a temporary trigger may be in another database.
    pub table: Box<str>,
    /// The `CREATE TRIGGER` statement.
    pub sql: Option<Box<str>>,
}
