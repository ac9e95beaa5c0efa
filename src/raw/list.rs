//! Tables whose rows are what the pointer that is bound to a parameter points to: eponymous virtual tables
//! (sqlite.org/vtab.html, "Table-valued functions"), as SQLite's `carray`. The tables `list` and `rarray` have the values
//! of a list; those of `lent_columns.rs` have methods in common with them.
//!
//! A connection has `list` from the first SQL on that names it. One that had them from the beginning would refuse `DROP
//! TABLE IF EXISTS list` of a program that has never heard of them.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::db::Entered;
use super::{Db, ffi, text, value};
use crate::error::{FunctionCause, FunctionFault};
use crate::sql;
use crate::value::{ConversionError, List, RawParam, Type, ValueRef};

/// Name of the type of the pointers. Another version of this crate has another one: it does not read this one's lists.
pub(super) const POINTER_TYPE: &CStr =
    match CStr::from_bytes_with_nul(concat!("finalite ", env!("CARGO_PKG_VERSION"), " list\0").as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("the name contains no NUL"),
    };

/// Names of the tables.
const NAMES: [&CStr; 2] = [c"list", c"rarray"];

/// Names of the modules that a connection has in place of these tables: finalite's, or those of the program, as they were
/// registered.
#[derive(Default)]
pub(super) struct Lists(RefCell<[Option<CString>; 2]>);

impl Lists {
    /// Hears that the program has registered a module.
    pub(super) fn add_module(&self, name: &CStr) {
        if let Some(place) = NAMES.iter().position(|ours| ours.to_bytes().eq_ignore_ascii_case(name.to_bytes())) {
            self.0.borrow_mut()[place] = Some(name.to_owned());
        }
    }

    /// Hears that modules were removed.
    pub(super) fn remove_modules(&self, is_removed: impl Fn(&CStr) -> bool) {
        for known in &mut *self.0.borrow_mut() {
            known.take_if(|name| is_removed(name));
        }
    }
}

/// Rows behind a pointer that is bound to a parameter. The type has no lifetime: it is read only while it lives.
pub(super) trait PointedRows: 'static {
    /// Name of the type of the pointers, which is used for this type alone.
    const POINTER_TYPE: &'static CStr;
    /// Name of the Rust type, and the error of an argument that is something else.
    const EXPECTED: (&'static str, &'static str);

    /// Returns the rows to read, 0-based.
    fn range(&self) -> Range<usize>;

    /// Answers with a value, by row and column.
    fn answer<'s>(&'s self, row: usize, column: usize, answer: Answer<'s>);
}

/// The place of one value in a row that SQLite asks for. Texts and bytes live for `'s`, to the end of the execution.
pub(crate) struct Answer<'s> {
    context: *mut ffi::sqlite3_context,
    cursor: *const ffi::sqlite3_vtab_cursor,
    lent: PhantomData<RawParam<'s>>,
}

impl<'s> Answer<'s> {
    #[inline(always)]
    pub(crate) fn give(self, value: Result<RawParam<'s>, ConversionError>) {
        match value {
            // SAFETY: SQLite's context for the call that runs: `column` makes an answer for each, which does not outlive
            // it (rule 25). SQLite reads texts and bytes until the execution ends, as it reads those that are bound
            // without a copy (rules 2, 10).
            Ok(value) => unsafe { value::answer(self.context, value, ffi::SQLITE_STATIC()) },
            Err(problem) => self.refuse(problem),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(self, problem: ConversionError) {
        // SAFETY: the cursor of the call that runs, of which SQLite has set `pVtab` (vtab.html, xOpen; rule 25).
        let connected = unsafe { (*self.cursor).pVtab }.cast::<TableInstance>();
        // SAFETY: the table that `connect_as` created, which outlives its cursors (rule 25). No other method of it runs.
        let connected = unsafe { &*connected };
        let (text, fault) = connected.fault(FunctionCause::Result(problem));
        // SAFETY: SQLite's context for this call (rule 25); the text is `len` bytes, which SQLite copies (rule 22,
        // c3ref/result_blob.html).
        unsafe { ffi::sqlite3_result_error(self.context, text.as_ptr().cast(), to_int(text.len())) };
        connected.db().keep_failure(text, fault);
    }
}

impl PointedRows for List<'static> {
    const POINTER_TYPE: &'static CStr = POINTER_TYPE;
    const EXPECTED: (&'static str, &'static str) = ("Array", "not a list: bind one by `finalite::array`");

    fn range(&self) -> Range<usize> {
        0..self.len()
    }

    #[inline]
    fn answer<'s>(&'s self, row: usize, column: usize, answer: Answer<'s>) {
        // The other column is the argument.
        answer.give(if column == 0 { self.value(row) } else { Ok(RawParam::Null) });
    }
}

impl Db {
    /// Adds a table that the SQL calls, and that the connection lacks: SQLite has just refused the SQL for that. Returns
    /// whether there was one, or SQLite's result code.
    ///
    /// It replaces nothing, and is thus allowed within a callback that may read: SQLite would free a module whose method
    /// may be running. A module of the program is known. Foreign code may have others: an eponymous one has another error
    /// than this, and while a callback is running, nothing is added beside foreign code.
    #[cold]
    #[inline(never)]
    pub(super) fn create_list(&self, entered: &Entered<'_>, sql: &str) -> Result<bool, c_int> {
        // A host would go on to call the table after this connection.
        if self.is_of_host() || (self.is_in_any_callback() && self.is_given_out()) {
            return Ok(false);
        }
        let message = self.call_message(ffi::SQLITE_ERROR);
        let missing = message.strip_prefix("no such table: ").and_then(|table| table.rsplit('.').next());
        let found = NAMES.into_iter().zip(&MODULES).enumerate().find(|(place, (name, _))| {
            let name = name.to_str().unwrap_or_default();
            missing.is_some_and(|missing| missing.eq_ignore_ascii_case(name))
                && self.lists.0.borrow()[*place].is_none()
                && sql::calls(sql, name)
        });
        let Some((place, (name, module))) = found else {
            return Ok(false);
        };
        let charge = entered.charge();
        let own = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the connection is open (entered, rule 20); the name is NUL-terminated and the module a static
        // (rule 22), which replaces none (rules 4, 18). The connection does not move, and is freed after SQLite has closed
        // it (rules 6, 14). c3ref/create_module.html: the destructor may be NULL.
        let code = unsafe { ffi::sqlite3_create_module_v2(entered.db(), name.as_ptr(), module, own, None) };
        drop(charge);
        if code != ffi::SQLITE_OK {
            return Err(code);
        }
        self.lists.0.borrow_mut()[place] = Some(name.to_owned());
        Ok(true)
    }
}

/// The `sqlite3_vtab` of a table.
#[repr(C)]
struct TableInstance {
    base: ffi::sqlite3_vtab,
    /// Outlives the table.
    db: NonNull<Db>,
    name: &'static CStr,
    /// Number of the hidden column, which is the argument. It comes last.
    pointer: c_int,
}

impl TableInstance {
    /// Makes the call of a method an error. Returns its result code.
    #[cold]
    fn fail(&mut self, cause: FunctionCause) -> c_int {
        let (text, fault) = self.fault(cause);
        // SQLite frees what a method leaves here (vtab.html, zErrMsg), and has taken what was here before.
        self.base.zErrMsg = text::to_sqlite(&text);
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
        // SAFETY: `create_list` or `create_columns_table` passed the address of the connection, which does not move and is
        // freed after SQLite has disconnected its tables (rules 6, 14). C was entered by its one thread, which is this one
        // (rule 12).
        unsafe { self.db.as_ref() }
    }
}

/// The `sqlite3_vtab_cursor`, one for each use in a query.
#[repr(C)]
struct Cursor<T> {
    base: ffi::sqlite3_vtab_cursor,
    /// Rows whose pointer is bound to the statement, which is running; NULL before the first row.
    rows: *const T,
    at: usize,
    end: usize,
}

static MODULES: [ffi::sqlite3_module; 2] =
    [module::<List<'static>>(connect::<0>), module::<List<'static>>(connect::<1>)];

type Connect = unsafe extern "C" fn(
    *mut ffi::sqlite3,
    *mut c_void,
    c_int,
    *const *const c_char,
    *mut *mut ffi::sqlite3_vtab,
    *mut *mut c_char,
) -> c_int;

/// Number of the constraints that SQLite leaves to a table: it tests those behind them in any case. A pointer, which SQL
/// sees as NULL, would not pass.
pub(super) const OMITTED_MAX: usize = 16;

/// Returns a module. No method writes, and there is no `xCreate`: the tables are eponymous-only.
pub(super) const fn module<T: PointedRows>(connect: Connect) -> ffi::sqlite3_module {
    ffi::sqlite3_module {
        xConnect: Some(connect),
        xBestIndex: Some(best_index),
        xDisconnect: Some(free),
        xOpen: Some(open::<T>),
        xClose: Some(close),
        xFilter: Some(filter::<T>),
        xNext: Some(next::<T>),
        xEof: Some(eof::<T>),
        xColumn: Some(column::<T>),
        xRowid: Some(rowid::<T>),
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
    // SAFETY: called within xConnect, with its own `db` and out pointer, and with what `create_list` passed (rule 25).
    unsafe { connect_as(db, own, c"CREATE TABLE x(value, pointer HIDDEN)", NAMES[NAME], 1, out) }
}

/// Declares a table and creates its instance. Returns SQLite's result code.
///
/// # Safety
///
/// Called within xConnect with its own `db` and `out`; `own` is the address of the connection.
pub(super) unsafe fn connect_as(
    db: *mut ffi::sqlite3,
    own: *mut c_void,
    schema: &CStr,
    name: &'static CStr,
    pointer: c_int,
    out: *mut *mut ffi::sqlite3_vtab,
) -> c_int {
    // SAFETY: the caller is xConnect with its own `db`, and c3ref/declare_vtab.html requires the call there (rule 25);
    // the text is NUL-terminated (rule 22).
    let code = unsafe { ffi::sqlite3_declare_vtab(db, schema.as_ptr()) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // No parameter reaches a view or a trigger, so that none of them can use the table.
    // SAFETY: called within xConnect and with its `db`, as c3ref/vtab_config.html requires; this option takes no
    // further argument (rule 25).
    let code = unsafe { ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_DIRECTONLY) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let Some(own) = NonNull::new(own.cast::<Db>()) else {
        return ffi::SQLITE_INTERNAL;
    };
    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
    let Some(instance) = allocate(TableInstance { base, db: own, name, pointer }) else {
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
    // SAFETY: allocated by `connect_as`, and SQLite disconnects it once, after its cursors (vtab.html, xDisconnect;
    // rule 25).
    unsafe { ffi::sqlite3_free(connected.cast()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn best_index(connected: *mut ffi::sqlite3_vtab, info: *mut ffi::sqlite3_index_info) -> c_int {
    /// Rows that the planner is told: it plans before values are bound.
    const ROWS: u32 = 100;
    // SAFETY: created by `connect_as`, and used by this call alone: planning does not plan the same table within (rule 25).
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
            constraint.iColumn == connected.pointer && c_int::from(constraint.op) == ffi::SQLITE_INDEX_CONSTRAINT_EQ
        })
        .peekable();
    if arguments.peek().is_none() {
        return connected.fail(FunctionCause::Missing { argument: 1 });
    }
    let Some((index, _)) = arguments.find(|(_, constraint)| constraint.usable != 0) else {
        // The argument comes from a table that is not read yet: SQLite tries another order.
        return ffi::SQLITE_CONSTRAINT;
    };
    if index >= OMITTED_MAX {
        let error = "the list is behind 16 other conditions on its table: write `+value` for `value` in some";
        return connected.fail(FunctionCause::Returned(error.into()));
    }
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

unsafe extern "C" fn open<T: PointedRows>(
    _connected: *mut ffi::sqlite3_vtab,
    out: *mut *mut ffi::sqlite3_vtab_cursor,
) -> c_int {
    let base = ffi::sqlite3_vtab_cursor { pVtab: ptr::null_mut() };
    let Some(cursor) = allocate(Cursor::<T> { base, rows: ptr::null(), at: 0, end: 0 }) else {
        return ffi::SQLITE_NOMEM;
    };
    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `close` frees it
    // (rule 25).
    unsafe { *out = cursor.cast() };
    ffi::SQLITE_OK
}

/// Looks at nothing but the memory of the cursor: the rows may be gone when a statement is reset.
unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: allocated by `open`, and SQLite closes it once (vtab.html, xClose; rule 25).
    unsafe { ffi::sqlite3_free(cursor.cast()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn filter<T: PointedRows>(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    _plan: c_int,
    _plan_text: *const c_char,
    argc: c_int,
    argv: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: created by `open`, and used by one query, which makes one call at a time (rule 25).
    let cursor = unsafe { &mut *cursor.cast::<Cursor<T>>() };
    // SAFETY: SQLite has set `pVtab` to the table that `connect_as` created, which outlives its cursors (vtab.html,
    // xOpen; rule 25). No other method of it runs.
    let connected = unsafe { &mut *cursor.base.pVtab.cast::<TableInstance>() };
    (cursor.rows, cursor.at, cursor.end) = (ptr::null(), 0, 0);
    if argc != 1 {
        return connected.fail(FunctionCause::Missing { argument: 1 });
    }
    // SAFETY: `argc` values, of which there is one, valid during the call (vtab.html, xFilter; rule 25).
    let argument = unsafe { *argv };
    // SAFETY: a value of this call (rules 9, 25); the name is NUL-terminated (rule 22). c3ref/value_blob.html: NULL
    // unless it was bound by `bind_pointer` with this name.
    let rows = unsafe { ffi::sqlite3_value_pointer(argument, T::POINTER_TYPE.as_ptr()) }.cast::<T>().cast_const();
    if rows.is_null() {
        // SAFETY: a value of this call, which nothing converts during it (rules 9, 25).
        let found = unsafe { value::read(argument) }.map_or(Type::Null, ValueRef::data_type);
        let (rust_type, expected) = T::EXPECTED;
        let problem = ConversionError::message(rust_type, expected);
        return connected.fail(FunctionCause::Argument { argument: 1, found, problem });
    }
    cursor.rows = rows;
    // SAFETY: `Binding` alone passes pointers of this name, of this type. The statement that holds this one is running,
    // so its binding was not cleared, and the rows are alive and unchanged: lent for longer, or owned by the binding
    // (rules 2, 10).
    let range = unsafe { &*rows }.range();
    (cursor.at, cursor.end) = (range.start, range.end);
    ffi::SQLITE_OK
}

unsafe extern "C" fn next<T: PointedRows>(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &mut *cursor.cast::<Cursor<T>>() };
    cursor.at += 1;
    ffi::SQLITE_OK
}

unsafe extern "C" fn eof<T: PointedRows>(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor<T>>() };
    c_int::from(cursor.at >= cursor.end)
}

unsafe extern "C" fn column<T: PointedRows>(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    index: c_int,
) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor<T>>() };
    // SAFETY: NULL, or the rows of `filter`, of the same execution: the statement runs, so they are alive and unchanged
    // (rules 2, 10).
    let rows = unsafe { cursor.rows.as_ref() };
    if let Some(rows) = rows {
        let answer = Answer { context, cursor: &raw const cursor.base, lent: PhantomData };
        rows.answer(cursor.at, to_usize(index), answer);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn rowid<T: PointedRows>(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: made by `open`, and borrowed during this call alone, as in `filter` (rule 25).
    let cursor = unsafe { &*cursor.cast::<Cursor<T>>() };
    // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xRowid; rule 25).
    unsafe { *out = i64::try_from(cursor.at).unwrap_or(i64::MAX).saturating_add(1) };
    ffi::SQLITE_OK
}

#[inline]
fn to_int(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

/// Converts a count from SQLite, which is never negative.
pub(super) fn to_usize(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}
