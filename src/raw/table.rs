//! Read-only tables whose rows are made when a query begins: eponymous virtual tables (sqlite.org/vtab.html, "Eponymous
//! Virtual Tables").

use std::any::Any;
use std::cell::Cell as Slot;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic;
use std::ptr;

use super::allocator::Charge;
use super::shield::discard;
use super::{Db, Fault, Taint, ffi};

/// A table, which exists in every schema of the connections it is created on. It takes no parameters.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static CStr,
    /// `CREATE TABLE`, whose table's name nobody reads.
    pub(crate) schema: &'static CStr,
    pub(crate) rows: fn() -> Vec<Vec<Cell>>,
}

/// A value of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(Box<str>),
}

impl Db {
    /// Makes the table known to this connection.
    pub(crate) fn create_table(&mut self, table: &'static Table) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let definition = ptr::from_ref(table).cast_mut().cast::<c_void>();
        // SAFETY: the connection is open (entered), the module and the table are statics, so nothing is to be freed.
        // c3ref/create_module.html.
        let code = unsafe {
            ffi::sqlite3_create_module_v2(entered.db(), table.name.as_ptr(), &raw const MODULE, definition, None)
        };
        self.add_taint(Taint::REGISTERED);
        self.check(code)
    }

    /// Goes on with the panic that a table of this connection has ended a step with, if one has.
    pub(crate) fn resume_panic(&self) {
        let this = self.as_ptr().addr();
        // Somebody else's stays: a statement that foreign code steps on a handle of its own. In a thread that is ending
        // there is none: `keep` keeps nothing.
        let taken = CAUGHT.try_with(|slot| {
            let (mine, other): (Caught, Caught) = match slot.take() {
                Some((db, payload)) if db == this => (Some((db, payload)), None),
                other => (None, other),
            };
            slot.set(other);
            mine
        });
        if let Ok(Some((_, payload))) = taken {
            panic::resume_unwind(payload);
        }
    }
}

/// What a panic carried that may not unwind through C, and the address of the connection that it came from. The call
/// that has entered C takes it, on the same thread.
type Caught = Option<(usize, Box<dyn Any + Send>)>;

thread_local! {
    static CAUGHT: Slot<Caught> = const { Slot::new(None) };
}

/// What SQLite holds of a table while the connection is open.
#[repr(C)]
struct Connected {
    base: ffi::sqlite3_vtab,
    table: &'static Table,
    /// The connection's address.
    db: usize,
}

/// A query of it.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    rows: Vec<Vec<Cell>>,
    at: usize,
}

/// No method that writes, and no `xCreate`: the table is eponymous only.
static MODULE: ffi::sqlite3_module = ffi::sqlite3_module {
    xConnect: Some(connect),
    xBestIndex: Some(best_index),
    xDisconnect: Some(disconnect),
    xOpen: Some(open),
    xClose: Some(close),
    xFilter: Some(filter),
    xNext: Some(next),
    xEof: Some(eof),
    xColumn: Some(column),
    xRowid: Some(rowid),
    // SAFETY: the struct is of an integer and of optional functions, for which all zeros are 0 and None.
    ..unsafe { MaybeUninit::zeroed().assume_init() }
};

unsafe extern "C" fn connect(
    db: *mut ffi::sqlite3,
    definition: *mut c_void,
    _argc: c_int,
    _argv: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    _error: *mut *mut c_char,
) -> c_int {
    // SAFETY: what `create_table` registered, a static.
    let table: &'static Table = unsafe { &*definition.cast::<Table>() };
    // SAFETY: called by SQLite within xConnect, as c3ref/declare_vtab.html wants; the text is NUL-terminated.
    let code = unsafe { ffi::sqlite3_declare_vtab(db, table.schema.as_ptr()) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // Not for views and triggers: a schema that came with a file should not read what this process does.
    // SAFETY: called within xConnect, as c3ref/vtab_config.html wants; this option takes no further argument.
    let code = unsafe { ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_DIRECTONLY) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
    // SAFETY: SQLite's out pointer; `base` comes first in the struct. `disconnect` frees it.
    unsafe { *out = Box::into_raw(Box::new(Connected { base, table, db: db.addr() })).cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn disconnect(connected: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: made by `connect`, and disconnected once (vtab.html, xDisconnect).
    drop(unsafe { Box::from_raw(connected.cast::<Connected>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn best_index(_connected: *mut ffi::sqlite3_vtab, _info: *mut ffi::sqlite3_index_info) -> c_int {
    // Every query reads all rows; SQLite filters and sorts.
    ffi::SQLITE_OK
}

unsafe extern "C" fn open(_connected: *mut ffi::sqlite3_vtab, out: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
    let base = ffi::sqlite3_vtab_cursor { pVtab: ptr::null_mut() };
    // SAFETY: SQLite's out pointer; `base` comes first in the struct. `close` frees it.
    unsafe { *out = Box::into_raw(Box::new(Cursor { base, rows: Vec::new(), at: 0 })).cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and closed once (vtab.html, xClose).
    drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn filter(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    _plan: c_int,
    _plan_text: *const c_char,
    _argc: c_int,
    _argv: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: made by `open`, and used by one query, which makes one call at a time.
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    // SAFETY: SQLite has set `pVtab` to what `connect` made, which outlives its cursors (vtab.html, xOpen).
    let connected = unsafe { &*cursor.base.pVtab.cast::<Connected>() };
    let charge = Charge::to_nobody();
    let rows = panic::catch_unwind(connected.table.rows);
    drop(charge);
    match rows {
        Ok(rows) => {
            cursor.rows = rows;
            cursor.at = 0;
            ffi::SQLITE_OK
        }
        Err(payload) => {
            keep(connected.db, payload);
            ffi::SQLITE_ERROR
        }
    }
}

/// For `resume_panic`; not in a thread that is ending, which nobody resumes.
fn keep(db: usize, payload: Box<dyn Any + Send>) {
    let mut payload = Some(payload);
    let _ = CAUGHT.try_with(|slot| {
        let older = slot.replace(payload.take().map(|payload| (db, payload)));
        payload = older.map(|(_, payload)| payload);
    });
    if let Some(payload) = payload {
        discard(payload);
    }
}

unsafe extern "C" fn next(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and used by one query, which makes one call at a time.
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    cursor.at += 1;
    ffi::SQLITE_OK
}

unsafe extern "C" fn eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and used by one query, which makes one call at a time.
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    c_int::from(cursor.at >= cursor.rows.len())
}

unsafe extern "C" fn column(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    index: c_int,
) -> c_int {
    // SAFETY: made by `open`, and used by one query, which makes one call at a time.
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    let cell = usize::try_from(index).ok().and_then(|index| cursor.rows.get(cursor.at)?.get(index));
    match cell {
        None | Some(Cell::Null) => {
            // SAFETY: SQLite's context for this call (c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_null(context) };
        }
        Some(&Cell::Integer(value)) => {
            // SAFETY: SQLite's context for this call (c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_int64(context, value) };
        }
        Some(Cell::Text(text)) => {
            let (text, len) = (text.as_ptr().cast::<c_char>(), text.len() as u64);
            let utf8 = 1;
            // SAFETY: SQLite's context for this call; the text is `len` bytes of UTF-8, which SQLite copies
            // (SQLITE_TRANSIENT; c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_text64(context, text, len, ffi::SQLITE_TRANSIENT(), utf8) };
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: made by `open`, and used by one query, which makes one call at a time.
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    // SAFETY: SQLite's out pointer (vtab.html, xRowid).
    unsafe { *out = i64::try_from(cursor.at).unwrap_or(i64::MAX) };
    ffi::SQLITE_OK
}

#[cfg(test)]
mod tests;
