//! The pre-update hook: rows as they are before a change, and as they will be.

use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::event::Operation;
use super::{Ending, Slot, db_of};
use crate::error::{Fault, FaultKind, Result};
use crate::raw::db::{Db, Entered, code_fault};
use crate::raw::value::{self, OutOfMemory};
use crate::raw::{ffi, text};
use crate::value::ValueRef;

unsafe extern "C" {
    // The oldest bindings lack it. c3ref/preupdate_blobwrite.html
    fn sqlite3_preupdate_blobwrite(db: *mut ffi::sqlite3) -> c_int;
}

pub(crate) type OnPreUpdate = dyn FnMut(&PreUpdate<'_>) + Send;

/// A row that is about to be changed, from [`Connection::on_preupdate`](crate::Connection::on_preupdate).
#[non_exhaustive]
pub struct PreUpdate<'a> {
    /// Name of the database: `main`, `temp`, or that of an attached one.
    pub database: &'a str,
    /// Name of the table.
    pub table: &'a str,
    /// Kind of the change. A write through a [`Blob`](crate::data::Blob) is an update.
    pub operation: Operation,
    /// Rowid before the change. It has no meaning for an insert, nor for a `WITHOUT ROWID` table.
    pub old_rowid: i64,
    /// Rowid after the change. It has no meaning for a deletion, nor for a `WITHOUT ROWID` table.
    pub new_rowid: i64,
    /// Operation as SQLite reports it: a blob write is a deletion.
    code: c_int,
    db: NonNull<ffi::sqlite3>,
    call: PhantomData<&'a Db>,
}

/// A call that reads a value of the row: `sqlite3_preupdate_old` or `sqlite3_preupdate_new`.
type ReadValue = unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

impl<'a> PreUpdate<'a> {
    /// Returns the number of columns of the table. Generated columns that are not stored are among them, without a value.
    ///
    /// C: [sqlite3_preupdate_count](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    #[must_use]
    pub fn column_count(&self) -> usize {
        // SAFETY: SQLite is calling the hook of this connection, which is the time in which the function may be called
        // (rule 14, c3ref/preupdate_blobwrite.html).
        usize::try_from(unsafe { ffi::sqlite3_preupdate_count(self.db.as_ptr()) }).unwrap_or(0)
    }

    /// Returns the number of triggers and foreign key actions that the change is nested in: 0 for the statement itself,
    /// 1 for a trigger of the statement.
    ///
    /// C: [sqlite3_preupdate_depth](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    #[must_use]
    pub fn depth(&self) -> usize {
        // SAFETY: within the hook of this connection, as above (rule 14, c3ref/preupdate_blobwrite.html).
        usize::try_from(unsafe { ffi::sqlite3_preupdate_depth(self.db.as_ptr()) }).unwrap_or(0)
    }

    /// Returns the 0-based column that a [`Blob`](crate::data::Blob) writes to; `None` for a change by SQL. The bytes
    /// that it writes cannot be seen: [`new_value`](Self::new_value) returns `None`.
    ///
    /// C: [sqlite3_preupdate_blobwrite](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    #[must_use]
    pub fn blob_column(&self) -> Option<usize> {
        // SAFETY: within the hook of this connection, as above (rule 14, c3ref/preupdate_blobwrite.html).
        usize::try_from(unsafe { sqlite3_preupdate_blobwrite(self.db.as_ptr()) }).ok()
    }

    /// Returns the value of a column, 0-based, before the change; `None` for an insert, and for a
    /// generated column that is not stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if there is no such column;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory); errors of reading the row.
    ///
    /// C: [sqlite3_preupdate_old](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    pub fn old_value(&self, column: usize) -> Result<Option<ValueRef<'a>>> {
        if self.code == ffi::SQLITE_INSERT { Ok(None) } else { self.value(column, ffi::sqlite3_preupdate_old) }
    }

    /// Returns the value of a column, 0-based, after the change; `None` for a deletion, a blob
    /// write, and a generated column that is not stored.
    ///
    /// # Errors
    ///
    /// See [`old_value`](Self::old_value).
    ///
    /// C: [sqlite3_preupdate_new](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    pub fn new_value(&self, column: usize) -> Result<Option<ValueRef<'a>>> {
        if self.code == ffi::SQLITE_DELETE { Ok(None) } else { self.value(column, ffi::sqlite3_preupdate_new) }
    }

    fn value(&self, column: usize, read: ReadValue) -> Result<Option<ValueRef<'a>>> {
        let Some(index) = c_int::try_from(column).ok().filter(|_| column < self.column_count()) else {
            return Err(Fault::new(FaultKind::Misuse("the table has no column of this index")).into());
        };
        let mut found = ptr::null_mut();
        // SAFETY: within the hook of this connection, as above (rule 14). The operation has such a row, and the column
        // exists, as c3ref/preupdate_blobwrite.html asks; the value goes to `found`.
        let code = unsafe { read(self.db.as_ptr(), index, &raw mut found) };
        match code {
            ffi::SQLITE_OK if !found.is_null() => {}
            // The column is not stored: the index has passed the comparison above.
            ffi::SQLITE_OK | ffi::SQLITE_RANGE => return Ok(None),
            code => return Err(code_fault(code).into()),
        }
        // SAFETY: c3ref/preupdate_blobwrite.html: a protected value, which is valid until the hook returns, as `'a` ends;
        // nothing reads it as another type (rules 9, 14).
        unsafe { value::read(found) }.map(Some).map_err(|OutOfMemory| Fault::no_memory().into())
    }
}

impl fmt::Debug for PreUpdate<'_> {
    /// Shows no value of the row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreUpdate")
            .field("database", &self.database)
            .field("table", &self.table)
            .field("operation", &self.operation)
            .field("old_rowid", &self.old_rowid)
            .field("new_rowid", &self.new_rowid)
            .finish_non_exhaustive()
    }
}

impl Db {
    pub(crate) fn on_preupdate(&self, site: &'static Location<'static>, f: Box<OnPreUpdate>) -> Result<Ending, Fault> {
        if self.callbacks.sessions.get() > 0 {
            return Err(Fault::new(FaultKind::Misuse(
                "SQLite has one pre-update hook, which the open session of this connection uses",
            )));
        }
        self.subscribe(Slot::PreUpdate, &self.hooks().preupdate, ("on_preupdate", site), f, |entered| {
            // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14). No
            // session exists, whose own hook this would replace.
            unsafe { ffi::sqlite3_preupdate_hook(entered.db(), Some(updating), self.address()) };
            Ok(())
        })
    }

    /// Takes the hook away from SQLite if its closures have all ended.
    pub(super) fn prune_preupdate(&self, entered: &Entered<'_>) {
        if self.is_installed(Slot::PreUpdate) && self.hooks().preupdate.prune() {
            // SAFETY: the connection is open (entered, rule 20); NULL removes the hook (c3ref/preupdate_blobwrite.html).
            unsafe { ffi::sqlite3_preupdate_hook(entered.db(), None, ptr::null_mut()) };
            self.uninstalled(Slot::PreUpdate);
        }
    }

    /// Whether SQLite's pre-update hook is taken by closures.
    pub(in crate::raw) fn has_preupdate_hook(&self) -> bool {
        self.is_installed(Slot::PreUpdate)
    }
}

unsafe extern "C" fn updating(
    address: *mut c_void,
    handle: *mut ffi::sqlite3,
    operation: c_int,
    database: *const c_char,
    table: *const c_char,
    old_rowid: ffi::sqlite3_int64,
    new_rowid: ffi::sqlite3_int64,
) {
    // SAFETY: SQLite passes the pointer with which `on_preupdate` registered this function (rule 14).
    let db = unsafe { db_of(address) };
    let Some(handle) = NonNull::new(handle) else {
        return;
    };
    // SAFETY: c3ref/preupdate_blobwrite.html: the name of the database, unchanged during the call (rule 22).
    let database = unsafe { text::borrow(database) }.unwrap_or_default();
    // SAFETY: c3ref/preupdate_blobwrite.html: the name of the table, unchanged during the call (rule 22).
    let table = unsafe { text::borrow(table) }.unwrap_or_default();
    let mut event = PreUpdate {
        database: &database,
        table: &table,
        operation: Operation::of(operation),
        old_rowid,
        new_rowid,
        code: operation,
        db: handle,
        call: PhantomData,
    };
    if event.blob_column().is_some() {
        event.operation = Operation::Update;
    }
    db.hooks().preupdate.each(db, |call| {
        call(&event);
        true
    });
}
