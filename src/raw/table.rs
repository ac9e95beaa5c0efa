//! Read-only tables whose rows are computed when a query begins: eponymous virtual tables (sqlite.org/vtab.html,
//! "Eponymous Virtual Tables").

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr;

use super::callback::{Entry, Key};
use super::{Db, ffi, value};
use crate::error::Fault;
use crate::value::RawParam;

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
    pub(crate) fn create_table(&self, table: &'static Table, site: &'static Location<'static>) -> Result<(), Fault> {
        let entered = self.enter_to_register()?;
        let key = Key::Table(table.name.to_str().unwrap_or_default());
        // SQLite would replace a module also while a statement uses it.
        if self.is_registered(&key) {
            return Ok(());
        }
        self.register(&entered, key, site, table, |definition| {
            // SAFETY: the connection is open (entered, rule 20). The name is NUL-terminated; the module is a static,
            // and the connection's list keeps the definition (rules 6, 22, 25). c3ref/create_module.html: the
            // destructor may be NULL.
            unsafe {
                ffi::sqlite3_create_module_v2(entered.db(), table.name.as_ptr(), &raw const MODULE, definition, None)
            }
        })?;
        Ok(())
    }
}

/// The table's `sqlite3_vtab`, which SQLite keeps while the connection is open.
#[repr(C)]
struct TableInstance {
    base: ffi::sqlite3_vtab,
    /// Address of the table's [`Entry`].
    definition: *mut c_void,
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
    // SAFETY: the pointer is the one that `create_table` registered, with this type; c3ref/create_module.html: it "is
    // passed through into the xCreate and xConnect methods" (rule 25). The module is registered while SQLite calls it
    // (rule 6).
    let table = unsafe { Entry::<&'static Table>::of(definition) }.call;
    // Views and triggers cannot use the table: a schema from a database file should not read the state of this process.
    // SAFETY: called within xConnect, with its own `db` (rule 25).
    let code = unsafe { declare_direct_only(db, table.schema) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `disconnect` frees it
    // (rule 25).
    unsafe { *out = Box::into_raw(Box::new(TableInstance { base, definition })).cast() };
    ffi::SQLITE_OK
}

/// Declares the columns of an eponymous virtual table, which views and triggers cannot use. Returns SQLite's result code.
///
/// # Safety
///
/// Called within xConnect, with its own `db`.
pub(super) unsafe fn declare_direct_only(db: *mut ffi::sqlite3, schema: &CStr) -> c_int {
    // SAFETY: the caller is xConnect with its own `db`, and c3ref/declare_vtab.html requires the call there (rule 25);
    // the text is NUL-terminated (rule 22).
    let code = unsafe { ffi::sqlite3_declare_vtab(db, schema.as_ptr()) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: called within xConnect and with its `db`, as c3ref/vtab_config.html requires; this option takes no
    // further argument (rule 25).
    unsafe { ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_DIRECTONLY) }
}

unsafe extern "C" fn disconnect(connected: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: created by `connect`, and SQLite disconnects it once, after its cursors (vtab.html, xDisconnect;
    // rule 25).
    drop(unsafe { Box::from_raw(connected.cast::<TableInstance>()) });
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
    let connected = unsafe { &*cursor.base.pVtab.cast::<TableInstance>() };
    // SAFETY: `connect` was given this pointer for the module, which stays registered while SQLite calls it
    // (rules 6, 25).
    let entry = unsafe { Entry::<&'static Table>::of(connected.definition) };
    match entry.call_back(|table| (table.rows)()) {
        Some(rows) => {
            cursor.rows = rows;
            cursor.at = 0;
            ffi::SQLITE_OK
        }
        None => ffi::SQLITE_ERROR,
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
    let value = match cell {
        None | Some(Cell::Null) => RawParam::Null,
        Some(&Cell::Integer(value)) => RawParam::Integer(value),
        Some(Cell::Text(text)) => RawParam::Text(text),
    };
    // SAFETY: SQLite's context for this call (rule 25), in which it copies text.
    unsafe { value::answer(context, value, ffi::SQLITE_TRANSIENT()) };
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
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};
    use std::rc::Rc;

    use super::super::callback::late_panics;
    use super::super::{OpenFlags, OwnedDb};
    use super::*;
    use crate::error::FaultKind;

    static BROKEN: Table =
        Table { name: c"broken", schema: c"CREATE TABLE x(a)", rows: || panic!("while the rows were made") };

    static ENTERING: Table = Table { name: c"entering", schema: c"CREATE TABLE x(a)", rows: entering };

    thread_local! {
        static HERE: RefCell<Option<Rc<OwnedDb>>> = const { RefCell::new(None) };
    }

    /// Uses the connection that is running, and another one.
    fn entering() -> Vec<Vec<Cell>> {
        let db = HERE.try_with(|here| here.borrow().clone()).unwrap().unwrap();
        let (kind, _) = db.enter().err().unwrap().into_parts();
        let (kind_of_registering, _) = db.create_table(&BROKEN, Location::caller()).unwrap_err().into_parts();
        let (kind_of_preparing, _) = db.prepare("SELECT 1", false, Location::caller()).err().unwrap().into_parts();
        let is_refused = |kind| matches!(kind, FaultKind::Misuse(reason) if reason.contains("called this callback"));
        let other = open();
        let is_other_free = other.enter().is_ok();
        let all = [kind, kind_of_registering, kind_of_preparing].into_iter().all(is_refused) && is_other_free;
        // One that reads may enter, and registers nothing.
        let opened = db.open_to_callback();
        let may_read = db.prepare("SELECT 1", false, Location::caller()).is_ok();
        let (kind, _) = db.create_table(&BROKEN, Location::caller()).unwrap_err().into_parts();
        let may_register = !matches!(kind, FaultKind::Misuse(reason) if reason.contains("nothing is registered"));
        drop(opened);
        let is_shut_again = db.enter().is_err();
        let fine = all && may_read && !may_register && is_shut_again;
        vec![vec![Cell::Integer(i64::from(fine))]]
    }

    fn open() -> OwnedDb {
        let flags = OpenFlags { read_only: false, create: true, uri: false, no_follow: false };
        Db::open(c":memory:", flags, None, None, Location::caller()).unwrap()
    }

    fn open_with(table: &'static Table) -> OwnedDb {
        let db = open();
        db.create_table(table, Location::caller()).unwrap();
        db
    }

    /// Steps once, and returns the first column of the row.
    fn step(db: &Db, sql: &str) -> i64 {
        let (statement, _) = db.prepare(sql, false, Location::caller()).unwrap();
        let mut statement = statement.unwrap();
        let mut cursor = statement.begin().unwrap().run();
        let row = cursor.step().unwrap().unwrap();
        let Ok(crate::ValueRef::Integer(value)) = row.value(0) else { panic!("not an integer") };
        value
    }

    fn panic_of<R>(run: impl FnOnce() -> R) -> &'static str {
        catch_unwind(AssertUnwindSafe(run)).err().unwrap().downcast_ref::<&str>().unwrap()
    }

    #[test]
    fn rule_5_a_panic_does_not_unwind_through_c_and_is_resumed_by_the_call_that_entered_it() {
        let (db, other) = (open_with(&BROKEN), open_with(&BROKEN));
        assert_eq!(panic_of(|| step(&db, "SELECT a FROM broken")), "while the rows were made");
        // It was resumed once, and by its own connection.
        assert_eq!(step(&db, "SELECT 1"), 1);
        assert_eq!(step(&other, "SELECT 1"), 1);
    }

    #[test]
    fn rule_5_a_panic_within_a_cleanup_waits_for_the_next_call() {
        let (db, other) = (open_with(&BROKEN), open());
        let before = late_panics();
        let cleanup = db.begin_cleanup();
        let (statement, _) = db.prepare("SELECT a FROM broken", false, Location::caller()).unwrap();
        let mut statement = statement.unwrap();
        let mut cursor = statement.begin().unwrap().run();
        let (kind, _) = cursor.step().map(drop).unwrap_err().into_parts();
        assert!(matches!(kind, FaultKind::Sqlite { code: ffi::SQLITE_ERROR, .. }), "{kind:?}");
        drop(cursor);
        drop(statement);
        // Within the cleanup the connection works on, and others are not concerned.
        assert_eq!(step(&db, "SELECT 2"), 2);
        drop(cleanup);
        assert_eq!(step(&other, "SELECT 3"), 3);
        // In a thread that panics already, a second panic would abort the process.
        struct Uses<'db>(&'db Db);
        impl Drop for Uses<'_> {
            fn drop(&mut self) {
                assert_eq!(step(self.0, "SELECT 4"), 4);
            }
        }
        let first = panic_of(|| {
            let _uses = Uses(&db);
            panic!("another")
        });
        assert_eq!(first, "another");
        assert!(db.has_parked_panic() && !other.has_parked_panic());
        assert_eq!(panic_of(|| step(&db, "SELECT 5")), "while the rows were made");
        assert!(late_panics() > before);
        assert_eq!(step(&db, "SELECT 6"), 6);
    }

    #[test]
    fn rule_5_a_panic_that_nobody_resumed_ends_with_its_connection() {
        let mut db = open_with(&BROKEN);
        let before = late_panics();
        let cleanup = db.begin_cleanup();
        let (statement, _) = db.prepare("SELECT a FROM broken", false, Location::caller()).unwrap();
        let mut statement = statement.unwrap();
        let mut cursor = statement.begin().unwrap().run();
        assert!(cursor.step().is_err());
        drop(cursor);
        drop(statement);
        drop(cleanup);
        db.close(Vec::new()).unwrap();
        assert!(late_panics() > before);
    }

    #[test]
    fn rule_4_a_callback_uses_its_connection_only_where_it_is_opened_to_it() {
        let db = Rc::new(open_with(&ENTERING));
        HERE.try_with(|here| here.replace(Some(Rc::clone(&db)))).unwrap();
        assert_eq!(step(&db, "SELECT a FROM entering"), 1);
        HERE.try_with(|here| here.replace(None)).unwrap();
        assert_eq!(step(&db, "SELECT 1"), 1);
    }

    #[test]
    fn a_table_that_is_registered_twice_is_one() {
        let db = open_with(&ENTERING);
        db.create_table(&ENTERING, Location::caller()).unwrap();
        assert!(db.has_callbacks());
    }
}
