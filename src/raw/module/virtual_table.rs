//! The traits of virtual tables.

use std::fmt;

use super::{
    CallbackError, CellCall, Declared, FilterCall, IndexQuery, NewRow, OldRow, OverloadedFunction, TableDefinition,
};
use crate::raw::Db;

/// A virtual table that is read: SQL sees it as a table, and a type of the program has its rows.
///
/// All methods take `&self`: SQLite writes to a table while cursors on it are open, and a method may read the table that
/// it belongs to through the connection of its call. A table that changes has a `Cell` or a `RefCell`.
///
/// See [the module](crate::extend::virtual_table) for an example.
///
/// C: [Virtual Table Methods](https://sqlite.org/vtab.html#virtual_table_methods)
pub trait VirtualTable: Sized + Send + 'static {
    /// Value that the tables of a module have in common. It is dropped when the module was removed and its last table is
    /// disconnected, or after the connection was closed.
    type Shared: Send + 'static;

    /// A cursor, which borrows its table.
    type Cursor<'t>: TableCursor
    where
        Self: 't;

    /// Way in which the table comes into being. The default is `CREATE VIRTUAL TABLE`.
    const KIND: TableKind = TableKind::Ordinary;

    /// Properties.
    const OPTIONS: TableOptions = TableOptions::new();

    /// Names of tables that belong to this one, behind its own name and a `_`: with `"data"`, the ordinary table `t_data`
    /// is a shadow table of the virtual table `t`, which a [defensive](crate::DbConfig::Defensive) connection protects
    /// from being written otherwise.
    ///
    /// C: [xShadowName](https://sqlite.org/vtab.html#the_xshadowname_method)
    const SHADOW_NAMES: &'static [&'static str] = &[];

    /// Returns the functions that have another implementation where their first argument is a column of this table. By
    /// default there are none.
    #[must_use]
    fn functions() -> Vec<OverloadedFunction> {
        Vec::new()
    }

    /// Connects to the table: declares its columns, and returns the value that stands for it.
    ///
    /// It runs once on each connection that uses an existing table, and again after the connection has read a changed
    /// schema. For an eponymous table it runs when a statement first names it.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn connect(shared: &Self::Shared, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError>;

    /// Creates the table: `CREATE VIRTUAL TABLE` of an [ordinary](TableKind::Ordinary) one. By default it connects.
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect).
    fn create(shared: &Self::Shared, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        Self::connect(shared, definition)
    }

    /// Removes what [`create`](Self::create) has made: `DROP TABLE`. The value is dropped afterwards. By default there is
    /// nothing to do.
    ///
    /// # Errors
    ///
    /// Any error: the table is not dropped, and goes on.
    fn destroy(&self, call: &TableCall<'_>) -> Result<(), CallbackError> {
        let _ = call;
        Ok(())
    }

    /// Hears that the table gets a new name: `ALTER TABLE .. RENAME TO`. It is connected again afterwards, under that name.
    /// By default there is nothing to do.
    ///
    /// # Errors
    ///
    /// Any error: the table keeps its name.
    ///
    /// C: [xRename](https://sqlite.org/vtab.html#the_xrename_method)
    fn rename(&self, name: &str, call: &TableCall<'_>) -> Result<(), CallbackError> {
        let _ = (name, call);
        Ok(())
    }

    /// Checks the table, for `PRAGMA integrity_check` and `PRAGMA quick_check`. Returns a description of a problem, if
    /// there is one. By default there is none.
    ///
    /// # Errors
    ///
    /// Any error: the pragma fails with it, and does not check the tables that follow. A problem of the table is no error.
    ///
    /// C: [xIntegrity](https://sqlite.org/vtab.html#the_xintegrity_method)
    fn integrity(&self, check: &IntegrityCheck<'_>) -> Result<Option<String>, CallbackError> {
        let _ = check;
        Ok(None)
    }

    /// Tells SQLite about one way to read the table: the constraints that [`filter`](TableCursor::filter) will use, and
    /// the cost. SQLite asks several times for a statement, with other constraints being usable.
    ///
    /// By default the table is read from the first to the last row.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement. [`IndexQuery::refuse`] is not an error.
    ///
    /// C: [xBestIndex](https://sqlite.org/vtab.html#the_xbestindex_method)
    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        let _ = query;
        Ok(())
    }

    /// Opens a cursor, which may borrow the table and the shared value. SQLite calls [`filter`](TableCursor::filter)
    /// before it reads a row.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn open<'t>(&'t self, shared: &'t Self::Shared) -> Result<Self::Cursor<'t>, CallbackError>;
}

/// A cursor on a virtual table. It stands at a row, or behind the last one.
///
/// It is dropped when the statement has run to its end, or is reset. A cursor of a statement that was forgotten
/// (`mem::forget`) is dropped when the connection closes; if that happens on another thread than the one that has opened
/// the cursor, the cursor is leaked, since it need not be [`Send`].
///
/// C: [xFilter](https://sqlite.org/vtab.html#the_xfilter_method)
pub trait TableCursor {
    /// Goes to the first row, by the plan of [`best_index`](VirtualTable::best_index). Returns whether there is one.
    ///
    /// SQLite calls it again to read the table once more, in a join for each row of another table.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError>;

    /// Goes to the next row. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn next(&mut self, call: &TableCall<'_>) -> Result<bool, CallbackError>;

    /// Sets the value of a column of the row, 0-based, by [`CellCall::set`]. A value that is not set is NULL.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError>;

    /// Returns the rowid of the row. The rowids of one scan are distinct, and a row has the same one in each scan of a
    /// statement: SQLite takes rows of equal rowids for one row.
    ///
    /// SQLite asks for it where SQL names it, to update or delete the row, and where no SQL names it: for terms that are
    /// joined by `OR`, each of which the table is read by, and for `RIGHT` and `FULL JOIN`. It does not ask a table that
    /// is declared `WITHOUT ROWID`.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn rowid(&self) -> Result<i64, CallbackError>;
}

/// A virtual table that is written.
///
/// The methods run while cursors on the table may be open, at least that of the statement which finds the rows to
/// change. A table whose cursors read the changed rows in place must expect that.
///
/// C: [xUpdate](https://sqlite.org/vtab.html#the_xupdate_method)
pub trait WritableTable: VirtualTable {
    /// Inserts a row. Returns its rowid: [`NewRow::rowid`] if the statement has given one. It is the connection's
    /// [`last_insert_rowid`](crate::Connection::last_insert_rowid) then, also that of a table which is declared
    /// `WITHOUT ROWID`, to which it means nothing else.
    ///
    /// # Errors
    ///
    /// Any error. For a violated constraint it is [`TableError::constraint`](super::TableError::constraint).
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError>;

    /// Changes a row.
    ///
    /// # Errors
    ///
    /// See [`insert`](Self::insert).
    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError>;

    /// Deletes a row.
    ///
    /// # Errors
    ///
    /// See [`insert`](Self::insert).
    fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError>;
}

/// A virtual table that takes part in transactions: its changes are kept or undone with those of the database.
///
/// SQLite calls [`begin`](Self::begin) before the first write to the table in a transaction, also if a statement is the
/// transaction. A table that was created in a transaction takes part without it. While the connection closes, nothing is
/// called: the value is dropped without a [`rollback`](Self::rollback).
///
/// C: [xBegin](https://sqlite.org/vtab.html#the_xbegin_method)
pub trait TransactionalTable: WritableTable {
    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn begin(&self) -> Result<(), CallbackError>;

    /// Makes the changes durable: the first phase of a commit, which can fail.
    ///
    /// # Errors
    ///
    /// Any error: the transaction is rolled back.
    fn sync(&self, call: &TableCall<'_>) -> Result<(), CallbackError> {
        let _ = call;
        Ok(())
    }

    /// Commits: the second phase, which cannot fail.
    fn commit(&self);

    /// Rolls the transaction back.
    fn rollback(&self);

    /// Opens a savepoint with a number. Each statement that may fail half-way is one. By default there are none: only
    /// whole transactions are undone.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn savepoint(&self, number: i32) -> Result<(), CallbackError> {
        let _ = number;
        Ok(())
    }

    /// Keeps the changes since the savepoint with this number, and ends it and all with greater ones.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn release(&self, number: i32) -> Result<(), CallbackError> {
        let _ = number;
        Ok(())
    }

    /// Undoes the changes since the savepoint with this number, which stays, and ends all with greater ones.
    ///
    /// # Errors
    ///
    /// Any error: it is that of the statement.
    fn rollback_to(&self, number: i32) -> Result<(), CallbackError> {
        let _ = number;
        Ok(())
    }
}

/// Way in which a virtual table comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableKind {
    /// By `CREATE VIRTUAL TABLE`.
    Ordinary,
    /// It is there in each schema, under the name of its module, and can be created under other names. It is connected,
    /// not created, in both cases.
    Eponymous,
    /// It is there in each schema, under the name of its module. `CREATE VIRTUAL TABLE` is an error.
    EponymousOnly,
}

/// Properties of a virtual table.
///
/// By default it may be used by views and triggers of the database file if the connection trusts its schema.
///
/// C: [sqlite3_vtab_config](https://sqlite.org/c3ref/vtab_config.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TableOptions {
    pub(super) is_direct_only: bool,
    pub(super) is_innocuous: bool,
    pub(super) has_constraint_support: bool,
    pub(super) uses_all_schemas: bool,
}

impl TableOptions {
    /// Returns the default options.
    pub const fn new() -> Self {
        Self { is_direct_only: false, is_innocuous: false, has_constraint_support: false, uses_all_schemas: false }
    }

    /// Forbids the use in views and triggers. For a table with side effects, or one that reveals anything.
    pub const fn direct_only(mut self) -> Self {
        self.is_direct_only = true;
        self
    }

    /// Declares that the table does no harm, so that a schema that is not trusted may use it.
    pub const fn innocuous(mut self) -> Self {
        self.is_innocuous = true;
        self
    }

    /// Declares that a write which returns [`TableError::constraint`](super::TableError::constraint) has changed nothing,
    /// so that SQLite can follow the conflict policy of the statement. For `REPLACE`, the table itself deletes the rows
    /// that are in the way: [`NewRow::conflict_policy`].
    pub const fn constraint_support(mut self) -> Self {
        self.has_constraint_support = true;
        self
    }

    /// Declares that the table may read any of the attached databases, so that a statement that reads the table begins a
    /// transaction on all of them.
    pub const fn uses_all_schemas(mut self) -> Self {
        self.uses_all_schemas = true;
        self
    }
}

/// One call of a method of a virtual table.
pub struct TableCall<'call> {
    pub(super) db: &'call Db,
}

impl<'call> TableCall<'call> {
    #[inline(always)]
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }
}

impl fmt::Debug for TableCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableCall").finish_non_exhaustive()
    }
}

/// A check by `PRAGMA integrity_check` or `PRAGMA quick_check`.
pub struct IntegrityCheck<'call> {
    pub(super) db: &'call Db,
    pub(super) database: &'call str,
    pub(super) table: &'call str,
    pub(super) is_quick: bool,
}

impl<'call> IntegrityCheck<'call> {
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    /// Returns the name of the database: `main`, `temp` or that of an attached one.
    #[must_use]
    pub fn database_name(&self) -> &'call str {
        self.database
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table_name(&self) -> &'call str {
        self.table
    }

    /// Whether it is `PRAGMA quick_check`.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.is_quick
    }
}

impl fmt::Debug for IntegrityCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrityCheck")
            .field("database", &self.database)
            .field("table", &self.table)
            .field("is_quick", &self.is_quick)
            .finish_non_exhaustive()
    }
}
