//! Writes to a table, and transactions.

use std::ffi::c_int;
use std::fmt;

use super::connect::Connected;
use super::{
    CallbackError, TableCall, TableError, TransactionalTable, VirtualTable, WritableTable, sqlite3_value_nochange,
};
use crate::error::{Fault, Result, ResultCode};
use crate::raw::value::{self, OutOfMemory};
use crate::raw::{Db, ffi, list};
use crate::value::ValueRef;

/// The arguments of xUpdate.
#[derive(Clone, Copy)]
struct Values<'call> {
    db: &'call Db,
    table: &'call str,
    count: usize,
    values: *mut *mut ffi::sqlite3_value,
}

impl<'call> Values<'call> {
    fn raw(self, index: usize) -> Option<*mut ffi::sqlite3_value> {
        if index >= self.count {
            return None;
        }
        // SAFETY: SQLite has passed an array of `count` values, and the index is below that (vtab.html, xUpdate;
        // rule 25).
        let place = unsafe { self.values.add(index) };
        // SAFETY: an element of that array, which lives for the call (rule 25).
        Some(unsafe { place.read() })
    }

    fn value(self, index: usize) -> Result<Option<ValueRef<'call>>> {
        let Some(raw) = self.raw(index) else {
            return Ok(None);
        };
        // SAFETY: a protected value of the call, unchanged during it, which is read as its own type alone (rules 9, 25).
        unsafe { value::read(raw) }.map(Some).map_err(|OutOfMemory| Fault::no_memory().into())
    }

    fn rowid(self, index: usize) -> Result<Option<i64>, CallbackError> {
        match self.value(index)? {
            None | Some(ValueRef::Null) => Ok(None),
            Some(ValueRef::Integer(rowid)) => Ok(Some(rowid)),
            Some(_) => Err(TableError::new(ResultCode::MISMATCH, "the rowid is not an integer").into()),
        }
    }
}

/// A row that is changed or deleted.
pub struct OldRow<'call>(Values<'call>);

impl<'call> OldRow<'call> {
    pub(crate) fn db(&self) -> &'call Db {
        self.0.db
    }

    /// Returns the rowid.
    ///
    /// # Errors
    ///
    /// In a table that is declared `WITHOUT ROWID`, the [`key`](Self::key) takes its place, which need not be an integer.
    pub fn rowid(&self) -> Result<i64, CallbackError> {
        self.0.rowid(0)?.ok_or_else(|| "the row has no rowid".into())
    }

    pub(crate) fn table(&self) -> &'call str {
        self.0.table
    }

    /// Returns the value that stands for the row.
    pub(crate) fn value(&self) -> Result<ValueRef<'call>> {
        Ok(self.0.value(0)?.unwrap_or(ValueRef::Null))
    }
}

impl fmt::Debug for OldRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldRow").finish_non_exhaustive()
    }
}

/// A row that is inserted, or the new values of one that is changed.
pub struct NewRow<'call>(Values<'call>);

impl<'call> NewRow<'call> {
    /// Values before those of the columns: the old rowid and the new one.
    const ROWIDS: usize = 2;

    pub(crate) fn db(&self) -> &'call Db {
        self.0.db
    }

    pub(crate) fn table(&self) -> &'call str {
        self.0.table
    }

    /// Returns the rowid that the statement gives the row: for an insertion, `None` if the table chooses one; for a
    /// change, that of the old row unless the statement sets another one.
    ///
    /// # Errors
    ///
    /// `SQLITE_MISMATCH` for a value that is no integer.
    pub fn rowid(&self) -> Result<Option<i64>, CallbackError> {
        self.0.rowid(1)
    }

    /// Returns the number of columns, hidden ones included.
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.0.count.saturating_sub(Self::ROWIDS)
    }

    /// Returns the value of a column, 0-based; `None` if there is no such column.
    pub(crate) fn column(&self, column: usize) -> Result<Option<ValueRef<'call>>> {
        self.0.value(column.saturating_add(Self::ROWIDS))
    }

    /// Whether a change leaves the column as it is, and [`column`](super::TableCursor::column) has set no value:
    /// [`CellCall::is_unchanged`](super::CellCall::is_unchanged). Its value here is NULL then.
    ///
    /// C: [sqlite3_value_nochange](https://sqlite.org/c3ref/value_blob.html)
    #[must_use]
    pub fn is_unchanged(&self, column: usize) -> bool {
        let raw = self.0.raw(column.saturating_add(Self::ROWIDS));
        // SAFETY: a protected value of this call of xUpdate (rule 25, c3ref/value_blob.html): reads a flag.
        raw.is_some_and(|raw| unsafe { sqlite3_value_nochange(raw) != 0 })
    }

    /// Returns the policy of the statement for a violated constraint.
    ///
    /// C: [sqlite3_vtab_on_conflict](https://sqlite.org/c3ref/vtab_on_conflict.html)
    #[must_use]
    pub fn conflict_policy(&self) -> ConflictPolicy {
        // SAFETY: within xUpdate, with the handle of its connection (rules 19, 25, c3ref/vtab_on_conflict.html): reads a
        // number.
        match unsafe { ffi::sqlite3_vtab_on_conflict(self.0.db.as_ptr()) } {
            ffi::SQLITE_ROLLBACK => ConflictPolicy::Rollback,
            ffi::SQLITE_IGNORE => ConflictPolicy::Ignore,
            ffi::SQLITE_FAIL => ConflictPolicy::Fail,
            ffi::SQLITE_REPLACE => ConflictPolicy::Replace,
            _ => ConflictPolicy::Abort,
        }
    }
}

impl fmt::Debug for NewRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRow").field("columns", &self.column_count()).finish_non_exhaustive()
    }
}

/// Policy of a statement for a violated constraint.
///
/// C: [Conflict resolution modes](https://sqlite.org/c3ref/c_fail.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// The statement is undone. The default.
    Abort,
    /// The transaction is rolled back: `OR ROLLBACK`.
    Rollback,
    /// The statement ends, and what it has changed stays: `OR FAIL`.
    Fail,
    /// The row is left out: `OR IGNORE`.
    Ignore,
    /// The rows that are in the way are deleted, by the table: `OR REPLACE`.
    Replace,
}

pub(super) unsafe extern "C" fn update<T: WritableTable>(
    base: *mut ffi::sqlite3_vtab,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
    rowid: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the table of this call (rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    let (db, table) = (connected.db(), connected.name());
    let values = Values { db, table, count: list::to_usize(count), values };
    let (old, new) = (OldRow(values), NewRow(values));
    if values.count <= 1 {
        return connected.call("delete", |table| table.delete(&old)).err().unwrap_or(ffi::SQLITE_OK);
    }
    let is_insertion = values.raw(0).is_none_or(|raw| {
        // SAFETY: a protected value of this call; reading the type converts nothing (rules 9, 25).
        unsafe { ffi::sqlite3_value_type(raw) == ffi::SQLITE_NULL }
    });
    if !is_insertion {
        return connected.call("update", |table| table.update(&old, &new)).err().unwrap_or(ffi::SQLITE_OK);
    }
    match connected.call("insert", |table| table.insert(&new)) {
        Ok(new_rowid) => {
            // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xUpdate; rule 25).
            unsafe { rowid.write(new_rowid) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

/// Runs a method without a result. Returns its result code; SQLite takes its message.
///
/// # Safety
///
/// SQLite has called a method of a table of this `T`.
unsafe fn run<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    method: &'static str,
    run: impl FnOnce(&T, &TableCall<'_>) -> Result<(), CallbackError>,
) -> c_int {
    // SAFETY: the table of this call (the caller's promise, rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    let call = TableCall { db: connected.db() };
    connected.call(method, |table| run(table, &call)).err().unwrap_or(ffi::SQLITE_OK)
}

/// Runs a method of which SQLite takes no message.
///
/// # Safety
///
/// See [`run`].
unsafe fn run_without_message<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    method: &'static str,
    run: impl FnOnce(&T) -> Result<(), CallbackError>,
) -> c_int {
    // SAFETY: the table of this call (the caller's promise, rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    match connected.try_call(method, run) {
        Ok(()) => ffi::SQLITE_OK,
        Err(failure) => failure.report_code(connected.db()),
    }
}

pub(super) unsafe extern "C" fn begin<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: called as xBegin, for a table of this type (rule 25).
    unsafe { run::<T>(base, "begin", |table, _| table.begin()) }
}

pub(super) unsafe extern "C" fn sync<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: called as xSync, for a table of this type (rule 25).
    unsafe { run::<T>(base, "sync", T::sync) }
}

pub(super) unsafe extern "C" fn commit<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: called as xCommit, for a table of this type (rule 25).
    unsafe {
        run_without_message::<T>(base, "commit", |table| {
            table.commit();
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn rollback<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: called as xRollback, for a table of this type (rule 25).
    unsafe {
        run_without_message::<T>(base, "rollback", |table| {
            table.rollback();
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn savepoint<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab, number: c_int) -> c_int {
    // SAFETY: called as xSavepoint, for a table of this type (rule 25).
    unsafe { run_without_message::<T>(base, "savepoint", |table| table.savepoint(number)) }
}

pub(super) unsafe extern "C" fn release<T: TransactionalTable>(base: *mut ffi::sqlite3_vtab, number: c_int) -> c_int {
    // SAFETY: called as xRelease, for a table of this type (rule 25).
    unsafe { run_without_message::<T>(base, "release", |table| table.release(number)) }
}

pub(super) unsafe extern "C" fn rollback_to<T: TransactionalTable>(
    base: *mut ffi::sqlite3_vtab,
    number: c_int,
) -> c_int {
    // SAFETY: called as xRollbackTo, for a table of this type (rule 25).
    unsafe { run_without_message::<T>(base, "rollback_to", |table| table.rollback_to(number)) }
}
