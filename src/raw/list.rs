//! The tables `list` and `rarray`, whose rows are the values of a list that is bound to a parameter: eponymous virtual
//! tables (sqlite.org/vtab.html, "Table-valued functions"), as SQLite's `carray`.
//!
//! A connection has them from the first SQL on that names them. One that had them from the beginning would refuse `DROP
//! TABLE IF EXISTS list` of a program that has never heard of them.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::db::Entered;
use super::{Db, ffi, table, value};
use crate::error::{FunctionCause, FunctionFault};
use crate::sql;
use crate::value::{ConversionError, List, Type, ValueRef};

/// Name of the type of the pointers. Another version of this crate has another one: it does not read this one's lists.
pub(super) const POINTER_TYPE: &CStr =
    match CStr::from_bytes_with_nul(concat!("finalite ", env!("CARGO_PKG_VERSION"), " list\0").as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("the name contains no NUL"),
    };

/// Names of the tables.
const NAMES: [&CStr; 2] = [c"list", c"rarray"];

/// Which of the tables a connection has.
#[derive(Default)]
pub(super) struct Lists([Cell<bool>; 2]);

/// Column with the values.
const VALUE: c_int = 0;
/// Hidden column, which is the argument.
const POINTER: c_int = 1;

impl Db {
    /// Adds the tables that the SQL calls and that the connection lacks. Returns whether there was one, or SQLite's
    /// result code.
    ///
    /// The SQL was refused. Within a callback that may read this is allowed, other than for what the program registers:
    /// nothing is replaced.
    #[cold]
    #[inline(never)]
    pub(super) fn create_lists(&self, entered: &Entered<'_>, sql: &str) -> Result<bool, c_int> {
        let mut is_new = false;
        for ((name, has_table), module) in NAMES.into_iter().zip(&self.lists.0).zip(&MODULES) {
            if has_table.get() || !sql::calls(sql, name.to_str().unwrap_or_default()) {
                continue;
            }
            let _charge = entered.charge();
            let own = ptr::from_ref(self).cast_mut().cast();
            // SAFETY: the connection is open (entered, rule 20); the name is NUL-terminated and the module a static
            // (rule 22). The connection does not move, and is freed after SQLite has closed it (rules 6, 14).
            // c3ref/create_module.html: the destructor may be NULL.
            let code = unsafe { ffi::sqlite3_create_module_v2(entered.db(), name.as_ptr(), module, own, None) };
            if code != ffi::SQLITE_OK {
                return Err(code);
            }
            has_table.set(true);
            is_new = true;
        }
        Ok(is_new)
    }
}

/// The `sqlite3_vtab` of a table.
#[repr(C)]
struct TableInstance {
    base: ffi::sqlite3_vtab,
    /// Outlives the table.
    db: NonNull<Db>,
    name: &'static CStr,
}

impl TableInstance {
    /// Makes the call of a method an error. Returns its result code.
    #[cold]
    fn fail(&mut self, cause: FunctionCause) -> c_int {
        let (text, fault) = self.fault(cause);
        // SAFETY: both are NUL-terminated; c3ref/mprintf.html: the result is a new string of SQLite, or NULL
        // (rule 22). SQLite frees what a method leaves here (vtab.html, zErrMsg), and has taken what was here before.
        self.base.zErrMsg = unsafe { ffi::sqlite3_mprintf(c"%.*s".as_ptr(), to_int(text.len()), text.as_ptr()) };
        if self.base.zErrMsg.is_null() {
            return ffi::SQLITE_NOMEM;
        }
        self.db().keep_failure(text, fault);
        ffi::SQLITE_ERROR
    }

    fn fault(&self, cause: FunctionCause) -> (Box<str>, FunctionFault) {
        let fault = FunctionFault { function: self.name.to_str().unwrap_or_default().into(), cause };
        (fault.to_string().into(), fault)
    }

    fn db(&self) -> &Db {
        // SAFETY: `create_lists` passed the address of the connection, which does not move and is freed after SQLite
        // has disconnected its tables (rules 6, 14). C was entered by its one thread, which is this one (rule 12).
        unsafe { self.db.as_ref() }
    }
}

/// The `sqlite3_vtab_cursor`, one for each use in a query.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    /// List that is bound to the statement, which is running; NULL before the first row.
    list: *const List<'static>,
    at: usize,
    len: usize,
}

/// No method writes, and there is no `xCreate`: the tables are eponymous-only.
static MODULES: [ffi::sqlite3_module; 2] = [module(connect::<0>), module(connect::<1>)];

type Connect = unsafe extern "C" fn(
    *mut ffi::sqlite3,
    *mut c_void,
    c_int,
    *const *const c_char,
    *mut *mut ffi::sqlite3_vtab,
    *mut *mut c_char,
) -> c_int;

const fn module(connect: Connect) -> ffi::sqlite3_module {
    ffi::sqlite3_module {
        xConnect: Some(connect),
        xBestIndex: Some(best_index),
        xDisconnect: Some(free),
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
    }
}

unsafe extern "C" fn connect<const NAME: usize>(
    db: *mut ffi::sqlite3,
    own: *mut c_void,
    _argc: c_int,
    _argv: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    _error: *mut *mut c_char,
) -> c_int {
    // No parameter reaches a view or a trigger, so that none of them can use the table.
    // SAFETY: called within xConnect, with its own `db` (rule 25).
    let code = unsafe { table::declare_direct_only(db, c"CREATE TABLE x(value, pointer HIDDEN)") };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let Some(own) = NonNull::new(own.cast::<Db>()) else {
        return ffi::SQLITE_INTERNAL;
    };
    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
    let Some(instance) = allocate(TableInstance { base, db: own, name: NAMES[NAME] }) else {
        return ffi::SQLITE_NOMEM;
    };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `free` frees it (rule 25).
    unsafe { *out = instance.cast() };
    ffi::SQLITE_OK
}

/// Moves a value that needs no drop to memory of SQLite; `None` if there is none.
fn allocate<T>(value: T) -> Option<*mut T> {
    const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8) };
    // SAFETY: c3ref/free.html: returns NULL, or memory of this size that is aligned to 8 bytes (rule 22).
    let memory: *mut T = unsafe { ffi::sqlite3_malloc64(size_of::<T>() as u64) }.cast();
    if memory.is_null() {
        return None;
    }
    // SAFETY: new memory of this size and alignment, which nothing else uses (rule 22).
    unsafe { memory.write(value) };
    Some(memory)
}

unsafe extern "C" fn free(connected: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: allocated by `connect`, and SQLite disconnects it once, after its cursors (vtab.html, xDisconnect;
    // rule 25).
    unsafe { ffi::sqlite3_free(connected.cast()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn best_index(connected: *mut ffi::sqlite3_vtab, info: *mut ffi::sqlite3_index_info) -> c_int {
    /// Rows that the planner is told: it plans before values are bound.
    const ROWS: u32 = 100;
    // SAFETY: created by `connect`, and used by this call alone: planning does not plan the same table within (rule 25).
    let connected = unsafe { &mut *connected.cast::<TableInstance>() };
    // SAFETY: SQLite's struct for this call, which no other call uses (vtab.html, xBestIndex; rule 25).
    let info = unsafe { &mut *info };
    let constraints = match info.nConstraint {
        // SAFETY: `nConstraint` elements, valid during the call; empty ones may be NULL (vtab.html, xBestIndex;
        // rule 25).
        1.. => unsafe { std::slice::from_raw_parts(info.aConstraint, to_usize(info.nConstraint)) },
        _ => &[],
    };
    let mut arguments = constraints
        .iter()
        .enumerate()
        .filter(|(_, constraint)| {
            constraint.iColumn == POINTER && c_int::from(constraint.op) == ffi::SQLITE_INDEX_CONSTRAINT_EQ
        })
        .peekable();
    if arguments.peek().is_none() {
        return connected.fail(FunctionCause::Missing { argument: 1 });
    }
    let Some((index, _)) = arguments.find(|(_, constraint)| constraint.usable != 0) else {
        // The argument comes from a table that is not read yet: SQLite tries another order.
        return ffi::SQLITE_CONSTRAINT;
    };
    // SAFETY: SQLite has one element here for each constraint, and `index` is below their number (vtab.html,
    // xBestIndex; rule 25).
    let usage = unsafe { info.aConstraintUsage.add(index) };
    // SAFETY: that element, which nothing else uses during the call (rule 25).
    let usage = unsafe { &mut *usage };
    usage.argvIndex = 1;
    usage.omit = 1;
    info.estimatedCost = f64::from(ROWS);
    info.estimatedRows = i64::from(ROWS);
    if info.nOrderBy == 1 {
        // SAFETY: `nOrderBy` elements, valid during the call (vtab.html, xBestIndex; rule 25).
        let order = unsafe { &*info.aOrderBy };
        info.orderByConsumed = c_int::from(order.iColumn == -1 && order.desc == 0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn open(_connected: *mut ffi::sqlite3_vtab, out: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
    let base = ffi::sqlite3_vtab_cursor { pVtab: ptr::null_mut() };
    let Some(cursor) = allocate(Cursor { base, list: ptr::null(), at: 0, len: 0 }) else {
        return ffi::SQLITE_NOMEM;
    };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `close` frees it
    // (rule 25).
    unsafe { *out = cursor.cast() };
    ffi::SQLITE_OK
}

/// Looks at nothing but the memory of the cursor: the list may be gone when a statement is reset.
unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: allocated by `open`, and SQLite closes it once (vtab.html, xClose; rule 25).
    unsafe { ffi::sqlite3_free(cursor.cast()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn filter(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    _plan: c_int,
    _plan_text: *const c_char,
    argc: c_int,
    argv: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: created by `open`, and used by one query, which makes one call at a time (rule 25).
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    // SAFETY: SQLite has set `pVtab` to the table that `connect` created, which outlives its cursors (vtab.html,
    // xOpen; rule 25). No other method of it runs.
    let connected = unsafe { &mut *cursor.base.pVtab.cast::<TableInstance>() };
    (cursor.list, cursor.at, cursor.len) = (ptr::null(), 0, 0);
    if argc != 1 {
        return connected.fail(FunctionCause::Missing { argument: 1 });
    }
    // SAFETY: `argc` values, of which there is one, valid during the call (vtab.html, xFilter; rule 25).
    let argument = unsafe { *argv };
    // SAFETY: a value of this call (rules 9, 25); the name is NUL-terminated (rule 22). c3ref/value_blob.html: NULL
    // unless it was bound by `bind_pointer` with this name.
    let list = unsafe { ffi::sqlite3_value_pointer(argument, POINTER_TYPE.as_ptr()) };
    let list = list.cast::<List<'static>>().cast_const();
    if list.is_null() {
        // SAFETY: a value of this call, which nothing converts during it (rules 9, 25).
        let found = unsafe { value::read(argument) }.map_or(Type::Null, ValueRef::data_type);
        let problem = ConversionError::message("Array", "not a list: bind one by `finalite::array`");
        return connected.fail(FunctionCause::Argument { argument: 1, found, problem });
    }
    cursor.list = list;
    // SAFETY: `Binding::bind_list` alone passes pointers of this name. The statement that holds this one is running,
    // so its binding was not cleared, and the list is alive and unchanged: lent for longer, or owned by the binding
    // (rules 2, 10).
    cursor.len = unsafe { &*list }.len();
    ffi::SQLITE_OK
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
    c_int::from(cursor.at >= cursor.len)
}

unsafe extern "C" fn column(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    index: c_int,
) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    // SAFETY: NULL, or the list of `filter`, of the same execution: the statement runs, so the list is alive and
    // unchanged (rules 2, 10).
    let list = unsafe { cursor.list.as_ref() };
    let value = list.filter(|_| index == VALUE).map_or(Ok(ValueRef::Null), |list| list.value(cursor.at));
    match value {
        Ok(value) => {
            // SAFETY: SQLite's context for this call (rule 25). Texts of lists are `str`, and SQLite reads texts and bytes
            // until the execution ends, as it reads those that are bound without a copy (rules 2, 10).
            unsafe { value::answer(context, value, ffi::SQLITE_STATIC()) };
        }
        Err(problem) => {
            // SAFETY: the table that `connect` created, as in `filter` (rule 25).
            let connected = unsafe { &*cursor.base.pVtab.cast::<TableInstance>() };
            let (text, fault) = connected.fault(FunctionCause::Result(problem));
            // SAFETY: SQLite's context for this call (rule 25); the text is `len` bytes, which SQLite copies (rule 22,
            // c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_error(context, text.as_ptr().cast(), to_int(text.len())) };
            connected.db().keep_failure(text, fault);
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xRowid; rule 25).
    unsafe { *out = i64::try_from(cursor.at).unwrap_or(i64::MAX).saturating_add(1) };
    ffi::SQLITE_OK
}

fn to_int(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

/// Converts a count from SQLite, which is never negative.
fn to_usize(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}
