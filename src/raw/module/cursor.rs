//! Cursors, and the calls of their methods. `xNext`, `xEof` and `xColumn` are called for each row.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::connect::Connected;
use super::failure::Failure;
use super::{TableCall, TableCursor, VirtualTable, sqlite3_vtab_in_first, sqlite3_vtab_in_next, sqlite3_vtab_nochange};
use crate::raw::value::{self, OutOfMemory};
use crate::raw::{Db, ffi, list, text};
use crate::track::shielded;
use crate::value::{RawParam, ValueRef};

/// The `sqlite3_vtab_cursor` of a cursor.
#[repr(C)]
struct OpenCursor<T: VirtualTable> {
    base: ffi::sqlite3_vtab_cursor,
    db: NonNull<Db>,
    connected: NonNull<Connected<T>>,
    /// Whether the cursor stands at a row.
    is_at_row: bool,
    /// Number of the thread that has opened it.
    thread: u64,
    /// Borrows the table: dropped before it, by `close`.
    cursor: T::Cursor<'static>,
}

/// Returns the number of this thread, which no other has; 0 where there is none. It is known until the thread has ended:
/// connections in thread-local variables are dropped then.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    let of_thread = |number: &Cell<u64>| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    };
    NUMBER.try_with(of_thread).unwrap_or_default()
}

impl<T: VirtualTable> OpenCursor<T> {
    #[inline(always)]
    fn db(&self) -> &Db {
        // SAFETY: the connection of the module, which does not move and is freed after SQLite has closed its cursors
        // (rules 6, 14). C was entered by its one thread, which is this one (rule 12).
        unsafe { self.db.as_ref() }
    }

    fn connected(&self) -> &Connected<T> {
        // SAFETY: the table that has opened the cursor, which SQLite disconnects after it has closed its cursors
        // (vtab.html, xDisconnect; rule 18).
        unsafe { self.connected.as_ref() }
    }

    /// Makes the result of a method SQLite's.
    #[inline(always)]
    fn end(&self, method: &'static str, result: Option<Result<(), Failure>>) -> c_int {
        match result {
            Some(Ok(())) => ffi::SQLITE_OK,
            result => self.fail(method, result.and_then(Result::err)),
        }
    }

    /// Whether this is the thread that has opened the cursor. A connection of finalite's stays on it while the cursor's
    /// statement is used; a host may step the statement on another, which the cursor need not survive.
    #[inline(always)]
    fn is_on_its_thread(&self) -> bool {
        !self.db().is_of_host() || (self.thread != 0 && self.thread == thread_number())
    }

    #[cold]
    #[inline(never)]
    fn fail_on_thread(&self, method: &'static str) -> c_int {
        let connected = self.connected();
        let error = "the statement is stepped on another thread than the one that has opened its cursor";
        connected.report(Failure::new(connected.name(), method, error.into()))
    }

    #[cold]
    #[inline(never)]
    fn fail(&self, method: &'static str, failure: Option<Failure>) -> c_int {
        let connected = self.connected();
        connected.report(failure.unwrap_or_else(|| Failure::of_panic(connected.name(), method)))
    }
}

/// Returns the cursor of a call of a method that changes it.
///
/// # Safety
///
/// `base` is what [`open`] of the same `T` made, SQLite has called `xFilter` or `xNext` with it, and `'call` ends with that
/// call.
#[inline(always)]
unsafe fn exclusive<'call, T: VirtualTable>(base: *mut ffi::sqlite3_vtab_cursor) -> &'call mut OpenCursor<T> {
    // SAFETY: the caller promises a cursor that `open` made, whose first field it is, and that SQLite has not closed
    // (rules 18, 25). It belongs to one statement, which is running and makes one call at a time: what the program reads
    // in a method are other statements, with cursors of their own.
    unsafe { &mut *base.cast::<OpenCursor<T>>() }
}

/// Returns the cursor of a call of a method that reads it.
///
/// # Safety
///
/// See [`exclusive`].
#[inline(always)]
unsafe fn shared<'call, T: VirtualTable>(base: *mut ffi::sqlite3_vtab_cursor) -> &'call OpenCursor<T> {
    // SAFETY: as in `exclusive`: a cursor that `open` made and SQLite has not closed (rules 18, 25).
    unsafe { &*base.cast::<OpenCursor<T>>() }
}

pub(super) unsafe extern "C" fn open<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    out: *mut *mut ffi::sqlite3_vtab_cursor,
) -> c_int {
    // SAFETY: the table of this call. It outlives its cursors (vtab.html, xDisconnect; rule 18), which are dropped by
    // `close`. The lifetime is longer than that of the table, which the types of the program cannot tell: they are
    // written for any.
    let connected: &'static Connected<T> = unsafe { Connected::<T>::of(base) };
    // SQLite releases the module's shared value after the table (rule 18).
    let shared = &connected.entry().call.shared;
    match connected.call("open", |_| connected.table.open(shared)) {
        Ok(cursor) => {
            let base = ffi::sqlite3_vtab_cursor { pVtab: ptr::null_mut() };
            let thread = thread_number();
            let db = NonNull::from(connected.db());
            let cursor = OpenCursor::<T> { base, db, connected: connected.into(), is_at_row: false, thread, cursor };
            // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct; `close` frees it
            // (rules 18, 25).
            unsafe { out.write(Box::into_raw(Box::new(cursor)).cast()) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn close<T: VirtualTable>(base: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `Box::into_raw` in `open`; SQLite closes a cursor once, before its table (vtab.html, xClose;
    // rules 18, 25).
    let open = unsafe { Box::from_raw(base.cast::<OpenCursor<T>>()) };
    let OpenCursor { db, thread, cursor, .. } = *open;
    // SAFETY: the connection, which is freed after SQLite has closed its cursors (rules 6, 14).
    let db = unsafe { db.as_ref() };
    if thread != 0 && thread == thread_number() {
        // Also while the connection is being closed.
        db.call_back_at_close(move || drop(cursor));
    } else {
        // Its statement was forgotten, and the connection has moved to another thread, which a cursor need not survive.
        mem::forget(cursor);
        tell_of_leak(db);
    }
    ffi::SQLITE_OK
}

#[cold]
fn tell_of_leak(db: &Db) {
    shielded(|| {
        let (connection, name) = (db.id(), db.info().name());
        tracing::error!(
            target: "finalite::leak",
            connection,
            name,
            "a cursor of a virtual table is leaked: its statement was forgotten, and ends on another thread"
        );
    });
}

pub(super) unsafe extern "C" fn filter<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab_cursor,
    plan: c_int,
    plan_text: *const c_char,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: the cursor of this call of xFilter (rules 18, 25).
    let open = unsafe { exclusive::<T>(base) };
    if !open.is_on_its_thread() {
        return open.fail_on_thread("filter");
    }
    // SAFETY: the table of the cursor, which outlives it (rule 18).
    let connected = unsafe { open.connected.as_ref() };
    // SAFETY: NULL or the text that `best_index` left, unchanged during the call (rules 22, 25).
    let plan_text = unsafe { text::borrow(plan_text) };
    let call = FilterCall {
        db: connected.db(),
        table: connected.name(),
        plan,
        plan_text: plan_text.as_deref(),
        count: list::to_usize(count),
        arguments,
    };
    open.is_at_row = false;
    let cursor = &mut open.cursor;
    match connected.call("filter", |_| cursor.filter(&call)) {
        Ok(is_at_row) => {
            open.is_at_row = is_at_row;
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn next<T: VirtualTable>(base: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: the cursor of this call of xNext (rules 18, 25).
    let open = unsafe { exclusive::<T>(base) };
    if !open.is_on_its_thread() {
        return open.fail_on_thread("next");
    }
    // SAFETY: the connection, as in `OpenCursor::db` (rules 6, 12, 14).
    let db = unsafe { open.db.as_ref() };
    // SAFETY: the table of the cursor, which outlives it (rule 18).
    let connected = unsafe { open.connected.as_ref() };
    let cursor = &mut open.cursor;
    let result = db.call_back_for_row(|| {
        cursor.next(&TableCall { db }).map_err(|error| Failure::new(connected.name(), "next", error))
    });
    match result {
        Some(Ok(is_at_row)) => {
            open.is_at_row = is_at_row;
            ffi::SQLITE_OK
        }
        result => {
            open.is_at_row = false;
            open.fail("next", result.and_then(Result::err))
        }
    }
}

pub(super) unsafe extern "C" fn eof<T: VirtualTable>(base: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: the cursor of this call of xEof (rules 18, 25).
    let open = unsafe { shared::<T>(base) };
    c_int::from(!open.is_at_row)
}

pub(super) unsafe extern "C" fn column<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    index: c_int,
) -> c_int {
    // SAFETY: the cursor of this call of xColumn (rules 18, 25).
    let open = unsafe { shared::<T>(base) };
    if !open.is_on_its_thread() {
        return open.fail_on_thread("column");
    }
    let db = open.db();
    let cell = CellCall { context, db };
    let result = db.call_back_for_row(|| {
        let result = open.cursor.column(list::to_usize(index), &cell);
        result.map_err(|error| Failure::new(open.connected().name(), "column", error))
    });
    open.end("column", result)
}

pub(super) unsafe extern "C" fn rowid<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab_cursor,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the cursor of this call of xRowid (rules 18, 25).
    let open = unsafe { shared::<T>(base) };
    if !open.is_on_its_thread() {
        return open.fail_on_thread("rowid");
    }
    let result = open.db().call_back_for_row(|| {
        open.cursor.rowid().map_err(|error| Failure::new(open.connected().name(), "rowid", error))
    });
    match result {
        Some(Ok(rowid)) => {
            // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xRowid; rule 25).
            unsafe { out.write(rowid) };
            ffi::SQLITE_OK
        }
        result => open.fail("rowid", result.and_then(Result::err)),
    }
}

/// A call of [`TableCursor::filter`]: the plan, and the values that [`best_index`](VirtualTable::best_index) has had
/// passed.
pub struct FilterCall<'call> {
    db: &'call Db,
    table: &'call str,
    plan: i32,
    plan_text: Option<&'call str>,
    count: usize,
    arguments: *mut *mut ffi::sqlite3_value,
}

impl<'call> FilterCall<'call> {
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    pub(crate) fn table(&self) -> &'call str {
        self.table
    }

    /// Returns the number of the plan: that of [`IndexQuery::set_plan`](super::IndexQuery::set_plan).
    #[must_use]
    pub fn plan(&self) -> i32 {
        self.plan
    }

    /// Returns the text of the plan: that of [`IndexQuery::set_plan_text`](super::IndexQuery::set_plan_text).
    #[must_use]
    pub fn plan_text(&self) -> Option<&'call str> {
        self.plan_text
    }

    /// Returns the number of the values that are passed.
    #[must_use]
    pub fn argument_count(&self) -> usize {
        self.count
    }

    fn raw(&self, argument: usize) -> Option<*mut ffi::sqlite3_value> {
        if argument >= self.count {
            return None;
        }
        // SAFETY: SQLite has passed an array of `count` values, and the index is below that (vtab.html, xFilter;
        // rule 25).
        let place = unsafe { self.arguments.add(argument) };
        // SAFETY: an element of that array, which lives for the call (rule 25).
        Some(unsafe { place.read() })
    }

    /// Returns a value, 0-based; `None` if there is none. An error means that memory ran out.
    pub(crate) fn argument(&self, argument: usize) -> Option<Result<ValueRef<'call>, ()>> {
        let raw = self.raw(argument)?;
        // SAFETY: a protected value of the call, unchanged during it, which is read as its own type alone (rules 9, 25).
        Some(unsafe { value::read(raw) }.map_err(|OutOfMemory| ()))
    }

    /// Returns the values of a list that is passed at once; `None` if the argument is no such list.
    pub(crate) fn in_values(&self, argument: usize) -> Option<InValues<'call>> {
        Some(InValues { db: self.db, list: self.raw(argument)?, has_begun: false })
    }
}

impl fmt::Debug for FilterCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterCall")
            .field("plan", &self.plan)
            .field("plan_text", &self.plan_text)
            .field("arguments", &self.count)
            .finish_non_exhaustive()
    }
}

/// Values of a list that is passed at once.
pub(crate) struct InValues<'call> {
    db: &'call Db,
    list: *mut ffi::sqlite3_value,
    has_begun: bool,
}

impl InValues<'_> {
    /// Passes the next value to a closure. Returns `None` at the end; an error is SQLite's result code.
    pub(crate) fn next<R>(&mut self, read: impl FnOnce(ValueRef<'_>) -> R) -> Option<Result<R, c_int>> {
        let mut found = ptr::null_mut();
        let step = if self.has_begun { sqlite3_vtab_in_next } else { sqlite3_vtab_in_first };
        self.has_begun = true;
        let charge = self.db.charge();
        // SAFETY: an argument of this call of xFilter, and an out pointer; both functions return an error for a value that
        // is no list (rule 25, c3ref/vtab_in_first.html).
        let code = unsafe { step(self.list, &raw mut found) };
        drop(charge);
        match code {
            ffi::SQLITE_OK if !found.is_null() => {}
            ffi::SQLITE_OK | ffi::SQLITE_DONE => return None,
            code => return Some(Err(code)),
        }
        // SAFETY: c3ref/vtab_in_first.html: a protected value that lives until the next call for the list, which comes
        // after the closure; it is read as its own type alone (rules 9, 25).
        match unsafe { value::read(found) } {
            Ok(value) => Some(Ok(read(value))),
            Err(OutOfMemory) => Some(Err(ffi::SQLITE_NOMEM)),
        }
    }
}

/// A call of [`TableCursor::column`]: the place of the value.
pub struct CellCall<'call> {
    context: *mut ffi::sqlite3_context,
    db: &'call Db,
}

impl<'call> CellCall<'call> {
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    /// Sets the value. Text and bytes are copied.
    #[inline(always)]
    pub(crate) fn answer(&self, value: RawParam<'_>) {
        // SAFETY: SQLite's context for this call of xColumn, in which it copies text and bytes (rule 25).
        unsafe { value::answer(self.context, value, ffi::SQLITE_TRANSIENT()) }
    }

    /// Sets the subtype of the value, 8 bits that functions can read ([`FunctionContext::subtype`]), after the value.
    ///
    /// [`FunctionContext::subtype`]: crate::extend::FunctionContext::subtype
    ///
    /// C: [sqlite3_result_subtype](https://sqlite.org/c3ref/result_subtype.html)
    pub fn set_subtype(&self, subtype: u8) {
        // SAFETY: SQLite's context for this call of xColumn (rule 25, c3ref/result_subtype.html).
        unsafe { ffi::sqlite3_result_subtype(self.context, u32::from(subtype)) }
    }

    /// Whether an UPDATE reads the column without changing it. If no value is set then, [`NewRow::is_unchanged`] is true
    /// for the column, and its value NULL: the table need not read what it would write again.
    ///
    /// [`NewRow::is_unchanged`]: super::NewRow::is_unchanged
    ///
    /// C: [sqlite3_vtab_nochange](https://sqlite.org/c3ref/vtab_nochange.html)
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        // SAFETY: SQLite's context for this call of xColumn (rule 25, c3ref/vtab_nochange.html).
        unsafe { sqlite3_vtab_nochange(self.context) != 0 }
    }
}

impl fmt::Debug for CellCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellCall").finish_non_exhaustive()
    }
}
