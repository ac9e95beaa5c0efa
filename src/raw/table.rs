//! Read-only tables whose rows are computed when a query begins: eponymous virtual tables (sqlite.org/vtab.html,
//! "Eponymous Virtual Tables").

use std::any::Any;
use std::cell::Cell as Slot;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic;
use std::ptr;

use super::allocator::Charge;
use super::{Db, ffi};
use crate::error::Fault;
use crate::track::{Taint, discard};

/// A table that exists in every schema of the connections on which it is created. It takes no parameters.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static CStr,
    /// `CREATE TABLE` statement; SQLite ignores the table name in it.
    pub(crate) schema: &'static CStr,
    pub(crate) rows: fn() -> Vec<Vec<Cell>>,
}

/// A value in such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(Box<str>),
}

impl Db {
    /// Registers the table on this connection.
    pub(crate) fn create_table(&mut self, table: &'static Table) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let definition = ptr::from_ref(table).cast_mut().cast::<c_void>();
        // SAFETY: the connection is open (entered, rule 20). The name is NUL-terminated; the module and the table are
        // statics, so there is nothing to free (rules 22, 25). c3ref/create_module.html: the destructor may be NULL.
        let code = unsafe {
            ffi::sqlite3_create_module_v2(entered.db(), table.name.as_ptr(), &raw const MODULE, definition, None)
        };
        self.add_taint(Taint::REGISTERED);
        self.check(code)
    }

    /// Resumes a panic of a table of this connection, if a step ended with one.
    pub(crate) fn resume_panic(&self) {
        let this = self.as_ptr().addr();
        // A panic of another connection is kept: foreign code may step a statement on its own handle. In a thread whose
        // thread-local variables are destroyed there is none, because `keep` could not store it.
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

/// Payload of a panic that must not unwind through C, with the address of the connection it came from. The Rust call
/// that entered C resumes it on the same thread.
type Caught = Option<(usize, Box<dyn Any + Send>)>;

thread_local! {
    static CAUGHT: Slot<Caught> = const { Slot::new(None) };
}

/// The table's `sqlite3_vtab`, which SQLite keeps while the connection is open.
#[repr(C)]
struct Connected {
    base: ffi::sqlite3_vtab,
    table: &'static Table,
    /// Address of the connection.
    db: usize,
}

/// The table's `sqlite3_vtab_cursor`, one for each query.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    rows: Vec<Vec<Cell>>,
    at: usize,
}

/// Methods of the module. There is no method that writes, and no `xCreate`: the table is eponymous-only.
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
    // SAFETY: the struct consists of an integer and optional function pointers, for which all-zero bytes mean 0 and
    // `None` (rule 25).
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
    // SAFETY: the pointer is the one that `create_table` registered, to a static; c3ref/create_module.html: the pointer
    // "is passed through into the xCreate and xConnect methods" (rule 25).
    let table: &'static Table = unsafe { &*definition.cast::<Table>() };
    // SAFETY: SQLite calls this as xConnect with its own `db`, and c3ref/declare_vtab.html requires the call there
    // (rule 25); the text is NUL-terminated (rule 22).
    let code = unsafe { ffi::sqlite3_declare_vtab(db, table.schema.as_ptr()) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // Views and triggers cannot use the table: a schema from a database file should not read the state of this process.
    // SAFETY: called within xConnect and with its `db`, as c3ref/vtab_config.html requires; this option takes no
    // further argument (rule 25).
    let code = unsafe { ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_DIRECTONLY) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `disconnect` frees it
    // (rule 25).
    unsafe { *out = Box::into_raw(Box::new(Connected { base, table, db: db.addr() })).cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn disconnect(connected: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: created by `connect`, and SQLite disconnects it once, after its cursors (vtab.html, xDisconnect;
    // rule 25).
    drop(unsafe { Box::from_raw(connected.cast::<Connected>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn best_index(_connected: *mut ffi::sqlite3_vtab, _info: *mut ffi::sqlite3_index_info) -> c_int {
    // There is no index: every query reads all rows, and SQLite filters and sorts them.
    ffi::SQLITE_OK
}

unsafe extern "C" fn open(_connected: *mut ffi::sqlite3_vtab, out: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
    let base = ffi::sqlite3_vtab_cursor { pVtab: ptr::null_mut() };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `close` frees it
    // (rule 25).
    unsafe { *out = Box::into_raw(Box::new(Cursor { base, rows: Vec::new(), at: 0 })).cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: created by `open`, and SQLite closes it once (vtab.html, xClose; rule 25).
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
    // SAFETY: created by `open`, and used by one query, which makes one call at a time (rule 25). The rows function
    // reads data of the process only, so no other method runs during it (rule 4).
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    // SAFETY: SQLite has set `pVtab` to the object that `connect` created, which outlives its cursors (vtab.html,
    // xOpen; rule 25).
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

/// Stores the payload for `resume_panic`. In a thread whose thread-local variables are destroyed it is discarded,
/// because no call there could resume it.
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
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    cursor.at += 1;
    ffi::SQLITE_OK
}

unsafe extern "C" fn eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    c_int::from(cursor.at >= cursor.rows.len())
}

unsafe extern "C" fn column(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    index: c_int,
) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    let cell = usize::try_from(index).ok().and_then(|index| cursor.rows.get(cursor.at)?.get(index));
    match cell {
        None | Some(Cell::Null) => {
            // SAFETY: SQLite's context for this call (c3ref/result_blob.html; rule 25).
            unsafe { ffi::sqlite3_result_null(context) };
        }
        Some(&Cell::Integer(value)) => {
            // SAFETY: SQLite's context for this call (c3ref/result_blob.html; rule 25).
            unsafe { ffi::sqlite3_result_int64(context, value) };
        }
        Some(Cell::Text(text)) => {
            let (text, len) = (text.as_ptr().cast::<c_char>(), text.len() as u64);
            let utf8 = 1;
            // SAFETY: SQLite's context for this call (rule 25); the text is `len` bytes of UTF-8, which SQLite copies
            // (SQLITE_TRANSIENT; c3ref/result_blob.html; rule 22).
            unsafe { ffi::sqlite3_result_text64(context, text, len, ffi::SQLITE_TRANSIENT(), utf8) };
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xRowid; rule 25).
    unsafe { *out = i64::try_from(cursor.at).unwrap_or(i64::MAX) };
    ffi::SQLITE_OK
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};

    use super::super::OpenFlags;
    use super::*;
    use crate::error::FaultKind;

    static BROKEN: Table =
        Table { name: c"broken", schema: c"CREATE TABLE x(a)", rows: || panic!("while the rows were made") };

    fn open() -> Db {
        let flags = OpenFlags { read_only: false, create: true, uri: false, no_follow: false };
        let mut db = Db::open(c":memory:", flags, None, None, Location::caller()).unwrap();
        db.create_table(&BROKEN).unwrap();
        db
    }

    #[test]
    fn rule_5_a_panic_does_not_unwind_through_c_and_waits_for_its_connection() {
        let (db, other) = (open(), open());
        let (statement, _) = db.prepare("SELECT a FROM broken", false, Location::caller()).unwrap();
        let mut statement = statement.unwrap();
        let mut cursor = statement.begin().unwrap().run();
        let (kind, _) = cursor.step().map(drop).unwrap_err().into_parts();
        assert!(matches!(kind, FaultKind::Sqlite { code: ffi::SQLITE_ERROR, .. }), "{kind:?}");
        drop(cursor);
        drop(statement);
        other.resume_panic();
        let payload = catch_unwind(AssertUnwindSafe(|| db.resume_panic())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"while the rows were made"));
        db.resume_panic();
    }

    #[test]
    fn a_panic_that_nobody_resumed_gives_way_to_the_next() {
        keep(1, Box::new("the first"));
        keep(2, Box::new("the second"));
        assert_eq!(CAUGHT.try_with(Slot::take).unwrap().map(|(db, _)| db), Some(2));
    }
}
