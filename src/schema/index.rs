//! [`Index`]: an index of a table.

/// An index of a table.
///
/// SQL: [PRAGMA index_list](https://sqlite.org/pragma.html#pragma_index_list)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// Database: `main`, `temp`, or the name of an attached one.
    pub database: Box<str>,
    /// Name of the table.
    pub table: Box<str>,
    /// Name of the index. SQLite's own begin with `sqlite_autoindex_`.
    pub name: Box<str>,
    /// Whether two rows cannot have the same values, NULLs apart.
    pub is_unique: bool,
    /// Reason for which the index exists.
    pub origin: IndexOrigin,
    /// Whether the index has a WHERE clause, so that it contains only some of the rows.
    pub is_partial: bool,
    /// Terms by which the rows are ordered.
    pub columns: Vec<IndexColumn>,
    /// The `CREATE INDEX` statement; `None` for an index that SQLite has made.
    pub sql: Option<Box<str>>,
}

/// Reason for which an index exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexOrigin {
    /// A `CREATE INDEX` statement.
    Created,
    /// A UNIQUE constraint.
    Unique,
    /// A PRIMARY KEY constraint.
    PrimaryKey,
}

/// A term of an index.
///
/// SQL: [PRAGMA index_xinfo](https://sqlite.org/pragma.html#pragma_index_xinfo)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexColumn {
    /// Value that is indexed.
    pub term: IndexTerm,
    /// Whether the order is descending.
    pub is_descending: bool,
    /// Name of the collation, such as `BINARY`.
    pub collation: Box<str>,
}

/// Value that an index contains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexTerm {
    /// A column of the table, by its name.
    Column(Box<str>),
    /// An expression, which is in [`Index::sql`].
    Expression,
}

impl IndexTerm {
    /// Returns the name of the column; `None` for an expression.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) => Some(name),
            Self::Expression => None,
        }
    }
}
