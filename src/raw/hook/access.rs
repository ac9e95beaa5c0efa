//! Actions that an authorizer allows or denies.

use std::borrow::Cow;
use std::ffi::{c_char, c_int};

use crate::raw::{ffi, text};

/// Decision of an authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The action is allowed.
    Allow,
    /// The statement is not prepared: the error is `SQLITE_AUTH`.
    Deny,
    /// The statement is prepared without the action: a column reads as NULL, other actions do nothing. A `DELETE` still
    /// deletes, row by row.
    Ignore,
}

/// An action of a statement that is being prepared, for an
/// [authorizer](crate::Connection::set_authorizer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessRequest<'a> {
    /// The action.
    pub action: Action<'a>,
    /// Name of the database: `main`, `temp`, or that of an attached one. `None` if the action concerns none.
    pub database: Option<&'a str>,
    /// Name of the trigger or view that contains the action; `None` if the statement itself does.
    pub accessor: Option<&'a str>,
}

/// Kind of an [`AccessRequest`], with the names that it concerns.
///
/// C: [Authorizer Action Codes](https://sqlite.org/c3ref/c_alter_table.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action<'a> {
    /// `CREATE INDEX`; `temporary` for an index of a temporary table.
    CreateIndex {
        /// Name of the index.
        index: &'a str,
        /// Name of the table.
        table: &'a str,
        /// Whether the table is temporary.
        temporary: bool,
    },
    /// `CREATE TABLE`.
    CreateTable {
        /// Name of the table.
        table: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `CREATE TRIGGER`.
    CreateTrigger {
        /// Name of the trigger.
        trigger: &'a str,
        /// Name of the table.
        table: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `CREATE VIEW`.
    CreateView {
        /// Name of the view.
        view: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `CREATE VIRTUAL TABLE`.
    CreateVirtualTable {
        /// Name of the table.
        table: &'a str,
        /// Name of the module.
        module: &'a str,
    },
    /// `DROP INDEX`.
    DropIndex {
        /// Name of the index.
        index: &'a str,
        /// Name of the table.
        table: &'a str,
        /// Whether the table is temporary.
        temporary: bool,
    },
    /// `DROP TABLE`.
    DropTable {
        /// Name of the table.
        table: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `DROP TRIGGER`.
    DropTrigger {
        /// Name of the trigger.
        trigger: &'a str,
        /// Name of the table.
        table: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `DROP VIEW`.
    DropView {
        /// Name of the view.
        view: &'a str,
        /// Whether it is temporary.
        temporary: bool,
    },
    /// `DROP TABLE` of a virtual table.
    DropVirtualTable {
        /// Name of the table.
        table: &'a str,
        /// Name of the module.
        module: &'a str,
    },
    /// `INSERT`.
    Insert {
        /// Name of the table.
        table: &'a str,
    },
    /// `UPDATE` of a column.
    Update {
        /// Name of the table.
        table: &'a str,
        /// Name of the column.
        column: &'a str,
    },
    /// `DELETE`.
    Delete {
        /// Name of the table.
        table: &'a str,
    },
    /// Read of a column; the empty name if the statement reads a table without any of its columns.
    Read {
        /// Name of the table.
        table: &'a str,
        /// Name of the column.
        column: &'a str,
    },
    /// `SELECT`.
    Select,
    /// A recursive `SELECT`.
    Recursive,
    /// Call of an SQL function.
    Function {
        /// Name of the function.
        function: &'a str,
    },
    /// `PRAGMA`, with its argument.
    Pragma {
        /// Name of the pragma.
        pragma: &'a str,
        /// The argument, if there is one.
        argument: Option<&'a str>,
    },
    /// `BEGIN`, `COMMIT` or `ROLLBACK`.
    Transaction {
        /// The operation.
        operation: &'a str,
    },
    /// `SAVEPOINT`, `RELEASE` or `ROLLBACK TO`: the operation is `BEGIN`, `RELEASE` or `ROLLBACK`.
    Savepoint {
        /// The operation.
        operation: &'a str,
        /// Name of the savepoint.
        name: &'a str,
    },
    /// `ATTACH`; the empty name if the file is not a literal.
    Attach {
        /// Name of the file.
        file: &'a str,
    },
    /// `DETACH`.
    Detach {
        /// Name of the database.
        database: &'a str,
    },
    /// `ALTER TABLE`.
    AlterTable {
        /// Name of the database.
        database: &'a str,
        /// Name of the table.
        table: &'a str,
    },
    /// `REINDEX`.
    Reindex {
        /// Name of the index.
        index: &'a str,
    },
    /// `ANALYZE`.
    Analyze {
        /// Name of the table.
        table: &'a str,
    },
    /// An action that this version of finalite does not know.
    Other {
        /// SQLite's code of the action.
        code: i32,
        /// First name.
        first: Option<&'a str>,
        /// Second name.
        second: Option<&'a str>,
    },
}

/// The names of a call of the authorizer.
pub(super) struct Names<'call>([Option<Cow<'call, str>>; 4]);

impl<'call> Names<'call> {
    /// # Safety
    ///
    /// Each is NULL or a NUL-terminated string that is unchanged during `'call`.
    pub(super) unsafe fn new(names: [*const c_char; 4]) -> Self {
        // SAFETY: the caller promises NULL or a string for `'call` (rule 22).
        Self(names.map(|name| unsafe { text::borrow(name) }))
    }

    /// Returns the first name.
    pub(super) fn first(&self) -> Option<&str> {
        self.0[0].as_deref()
    }

    pub(super) fn request(&self, code: c_int) -> AccessRequest<'_> {
        let [first, second, database, accessor] = self.0.each_ref().map(Option::as_deref);
        AccessRequest { action: action(code, first, second), database, accessor }
    }
}

fn action<'a>(code: c_int, first: Option<&'a str>, second: Option<&'a str>) -> Action<'a> {
    let (one, two) = (first.unwrap_or_default(), second.unwrap_or_default());
    match code {
        ffi::SQLITE_CREATE_INDEX => Action::CreateIndex { index: one, table: two, temporary: false },
        ffi::SQLITE_CREATE_TEMP_INDEX => Action::CreateIndex { index: one, table: two, temporary: true },
        ffi::SQLITE_CREATE_TABLE => Action::CreateTable { table: one, temporary: false },
        ffi::SQLITE_CREATE_TEMP_TABLE => Action::CreateTable { table: one, temporary: true },
        ffi::SQLITE_CREATE_TRIGGER => Action::CreateTrigger { trigger: one, table: two, temporary: false },
        ffi::SQLITE_CREATE_TEMP_TRIGGER => Action::CreateTrigger { trigger: one, table: two, temporary: true },
        ffi::SQLITE_CREATE_VIEW => Action::CreateView { view: one, temporary: false },
        ffi::SQLITE_CREATE_TEMP_VIEW => Action::CreateView { view: one, temporary: true },
        ffi::SQLITE_CREATE_VTABLE => Action::CreateVirtualTable { table: one, module: two },
        ffi::SQLITE_DROP_INDEX => Action::DropIndex { index: one, table: two, temporary: false },
        ffi::SQLITE_DROP_TEMP_INDEX => Action::DropIndex { index: one, table: two, temporary: true },
        ffi::SQLITE_DROP_TABLE => Action::DropTable { table: one, temporary: false },
        ffi::SQLITE_DROP_TEMP_TABLE => Action::DropTable { table: one, temporary: true },
        ffi::SQLITE_DROP_TRIGGER => Action::DropTrigger { trigger: one, table: two, temporary: false },
        ffi::SQLITE_DROP_TEMP_TRIGGER => Action::DropTrigger { trigger: one, table: two, temporary: true },
        ffi::SQLITE_DROP_VIEW => Action::DropView { view: one, temporary: false },
        ffi::SQLITE_DROP_TEMP_VIEW => Action::DropView { view: one, temporary: true },
        ffi::SQLITE_DROP_VTABLE => Action::DropVirtualTable { table: one, module: two },
        ffi::SQLITE_INSERT => Action::Insert { table: one },
        ffi::SQLITE_UPDATE => Action::Update { table: one, column: two },
        ffi::SQLITE_DELETE => Action::Delete { table: one },
        ffi::SQLITE_READ => Action::Read { table: one, column: two },
        ffi::SQLITE_SELECT => Action::Select,
        ffi::SQLITE_RECURSIVE => Action::Recursive,
        ffi::SQLITE_FUNCTION => Action::Function { function: two },
        ffi::SQLITE_PRAGMA => Action::Pragma { pragma: one, argument: second },
        ffi::SQLITE_TRANSACTION => Action::Transaction { operation: one },
        ffi::SQLITE_SAVEPOINT => Action::Savepoint { operation: one, name: two },
        ffi::SQLITE_ATTACH => Action::Attach { file: one },
        ffi::SQLITE_DETACH => Action::Detach { database: one },
        ffi::SQLITE_ALTER_TABLE => Action::AlterTable { database: one, table: two },
        ffi::SQLITE_REINDEX => Action::Reindex { index: one },
        ffi::SQLITE_ANALYZE => Action::Analyze { table: one },
        code => Action::Other { code, first, second },
    }
}
