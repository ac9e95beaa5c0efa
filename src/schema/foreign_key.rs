//! [`ForeignKey`]: a reference of a table to another.

/// A reference of a table to another: a constraint of one or more columns.
///
/// SQL: [PRAGMA foreign_key_list](https://sqlite.org/pragma.html#pragma_foreign_key_list)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignKey {
    /// Number of the constraint in `PRAGMA foreign_key_check`.
    pub id: i64,
    /// Name of the table that is referred to, which need not exist.
    pub table: Box<str>,
    /// Columns of the referring table.
    pub from: Vec<Box<str>>,
    /// Columns that are referred to, in the order of [`from`](Self::from). Empty if the constraint names none: then it
    /// refers to the primary key.
    pub to: Vec<Box<str>>,
    /// Action when the referred key changes.
    pub on_update: ForeignKeyAction,
    /// Action when the referred row is deleted.
    pub on_delete: ForeignKeyAction,
    /// MATCH clause as SQLite reports it: always `NONE`, since SQLite reads the clause and ignores it.
    pub match_clause: Box<str>,
}

/// Action of a foreign key when the row that it refers to changes or is deleted.
///
/// SQL: [Foreign key actions](https://sqlite.org/foreignkeys.html#fk_actions)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignKeyAction {
    /// None: the change is an error unless it is made good until the statement, or for a deferred constraint the
    /// transaction, ends.
    NoAction,
    /// The change is an error at once.
    Restrict,
    /// The referring columns become NULL.
    SetNull,
    /// The referring columns become their default.
    SetDefault,
    /// The referring row is changed or deleted as well.
    Cascade,
}

impl ForeignKeyAction {
    /// Returns the action that SQLite has these words for.
    pub(super) fn of(words: &str) -> Self {
        match words {
            "RESTRICT" => Self::Restrict,
            "SET NULL" => Self::SetNull,
            "SET DEFAULT" => Self::SetDefault,
            "CASCADE" => Self::Cascade,
            _ => Self::NoAction,
        }
    }
}
