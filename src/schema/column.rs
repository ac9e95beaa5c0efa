//! [`Column`]: a column of a table or a view.

use crate::value::ColumnType;

/// A column of a table or a view.
///
/// SQL: [PRAGMA table_xinfo](https://sqlite.org/pragma.html#pragma_table_xinfo)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Name of the column.
    pub name: Box<str>,
    /// Type in the declaration; `None` if it has none. For a view, the type that SQLite derives.
    pub declared_type: Option<Box<str>>,
    /// Type to which values are converted when they are stored.
    pub affinity: Affinity,
    /// Whether the declaration has NOT NULL. A column of a primary key without it may be NULL, unless it is the rowid,
    /// or the table is [`WITHOUT ROWID`](super::Table::is_without_rowid), for which SQLite adds it.
    pub is_not_null: bool,
    /// SQL text of the DEFAULT clause, such as `'a'` (a text, with its quotes) or `(1 + 2)` without its parentheses.
    pub default_sql: Option<Box<str>>,
    /// 1-based position in the primary key; `None` if the column is not part of it.
    pub primary_key: Option<usize>,
    /// Whether the column is `INTEGER PRIMARY KEY AUTOINCREMENT`.
    pub is_autoincrement: bool,
    /// Kind of a generated column, whose expression is in [`Table::sql`](super::Table::sql); `None` for any other.
    pub generated: Option<Generated>,
    /// Whether it is a hidden column of a virtual table, which `SELECT *` leaves out.
    pub is_hidden: bool,
    /// Name of the collation, such as `BINARY`; `None` for a view.
    pub collation: Option<Box<str>>,
}

/// Kind of a generated column.
///
/// SQL: [Generated columns](https://sqlite.org/gencol.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Generated {
    /// Computed when it is read.
    Virtual,
    /// Computed when the row is written, and stored.
    Stored,
}

/// Type to which a column converts values that are stored in it, if that loses nothing.
///
/// SQL: [Type affinity](https://sqlite.org/datatype3.html#type_affinity)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Affinity {
    /// Integers; a real that is a whole number becomes one.
    Integer,
    /// Reals.
    Real,
    /// Integers and reals.
    Numeric,
    /// Text.
    Text,
    /// No conversion.
    Blob,
}

impl Affinity {
    /// Returns the affinity of a declared type. In a STRICT table, `ANY` has none.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::schema::Affinity;
    ///
    /// assert_eq!(Affinity::of(Some("VARCHAR(10)"), false), Affinity::Text);
    /// assert_eq!(Affinity::of(Some("DATE"), false), Affinity::Numeric);
    /// assert_eq!(Affinity::of(None, false), Affinity::Blob);
    /// ```
    ///
    /// SQL: [Determination of column affinity](https://sqlite.org/datatype3.html#determination_of_column_affinity)
    #[must_use]
    pub fn of(declared_type: Option<&str>, is_strict: bool) -> Self {
        let Some(declared) = declared_type else {
            return Self::Blob;
        };
        if is_strict && declared.eq_ignore_ascii_case("ANY") {
            return Self::Blob;
        }
        match ColumnType::affinity(Some(declared)) {
            ColumnType::Integer => Self::Integer,
            ColumnType::Text => Self::Text,
            ColumnType::Blob => Self::Blob,
            ColumnType::Real => Self::Real,
            ColumnType::Null | ColumnType::Dynamic => Self::Numeric,
        }
    }
}
