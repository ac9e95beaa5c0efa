//! Tables: how they come into being and end, and the methods that concern them as a whole.

use std::borrow::Cow;
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};

use super::failure::Failure;
use super::{CallbackError, IntegrityCheck, Module, OverloadedFunction, TableCall, VirtualTable, XFunc, to_sqlite};
use crate::error::Error;
use crate::raw::callback::Entry;
use crate::raw::function::Call;
use crate::raw::{Db, dispatch, ffi, list, text};

/// `SQLITE_VTAB_USES_ALL_SCHEMAS`, which the oldest bindings lack.
const USES_ALL_SCHEMAS: c_int = 4;
/// `SQLITE_VTAB_DIRECTONLY`.
const DIRECT_ONLY: c_int = 3;
/// `SQLITE_VTAB_INNOCUOUS`.
const INNOCUOUS: c_int = 2;
/// `SQLITE_INDEX_CONSTRAINT_FUNCTION`.
const CONSTRAINT_FUNCTION: c_int = 150;

/// The statement that makes a table, or for an eponymous table its name.
pub struct TableDefinition<'call> {
    db: &'call Db,
    is_new: bool,
    texts: Box<[Cow<'call, str>]>,
}

impl<'call> TableDefinition<'call> {
    /// # Safety
    ///
    /// SQLite has called xCreate or xConnect of a module of `db` with these arguments, and `'call` ends with that call.
    unsafe fn new(db: &'call Db, is_new: bool, count: c_int, arguments: *const *const c_char) -> Self {
        let texts = (0..list::to_usize(count)).map(|index| {
            // SAFETY: SQLite passes an array of `count` texts (the caller's promise; vtab.html, xCreate; rule 25).
            let place = unsafe { arguments.add(index) };
            // SAFETY: an element of that array (rule 25).
            let argument = unsafe { place.read() };
            // SAFETY: NULL or a NUL-terminated text that is unchanged during the call (rules 22, 25).
            unsafe { text::borrow(argument) }.unwrap_or_default()
        });
        Self { db, is_new, texts: texts.collect() }
    }

    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    /// Whether the table is created, not connected.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the name of the module.
    #[must_use]
    pub fn module_name(&self) -> &str {
        self.texts.first().map_or("", |name| name)
    }

    /// Returns the name of the database: `main`, `temp` or that of an attached one.
    #[must_use]
    pub fn database_name(&self) -> &str {
        self.texts.get(1).map_or("", |name| name)
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table_name(&self) -> &str {
        self.texts.get(2).map_or("", |name| name)
    }

    /// Returns the arguments of `USING module(..)`, each as it is written, quotes included, without blanks around it.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts.get(3..).unwrap_or_default().iter().map(|argument| &**argument)
    }
}

impl fmt::Debug for TableDefinition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDefinition")
            .field("module", &self.module_name())
            .field("database", &self.database_name())
            .field("table", &self.table_name())
            .field("arguments", &self.arguments().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A connected table: its columns, and the value that stands for it.
#[derive(Debug)]
pub struct Declared<T> {
    schema: Cow<'static, str>,
    table: T,
}

impl<T> Declared<T> {
    /// Declares the columns by a `CREATE TABLE` statement, whose name of the table SQLite ignores. A column with the word
    /// `HIDDEN` in its type is not part of `SELECT *`, and is an argument if the table is called as a function. Types and
    /// a primary key are allowed; other constraints have no effect. `WITHOUT ROWID` needs a primary key, of one column
    /// if the table is written.
    ///
    /// C: [sqlite3_declare_vtab](https://sqlite.org/c3ref/declare_vtab.html)
    pub fn new(schema: impl Into<Cow<'static, str>>, table: T) -> Self {
        Self { schema: schema.into(), table }
    }
}

/// The `sqlite3_vtab` of a table.
#[repr(C)]
pub(super) struct Connected<T: VirtualTable> {
    /// SQLite writes to it while references to the table exist: it counts the cursors.
    base: UnsafeCell<ffi::sqlite3_vtab>,
    /// SQLite's module has it, and with it a reference for this table.
    module: NonNull<Entry<Module<T>>>,
    name: Box<str>,
    pub(super) table: T,
}

impl<T: VirtualTable> Connected<T> {
    /// Returns the table of a call.
    ///
    /// # Safety
    ///
    /// `base` is what [`construct`] of the same `T` made, SQLite has called a method with it, and `'call` ends with that
    /// call.
    #[inline(always)]
    pub(super) unsafe fn of<'call>(base: *mut ffi::sqlite3_vtab) -> &'call Self {
        // SAFETY: the caller promises a table that `construct` made, whose first field it is, and that SQLite has not
        // disconnected (rules 18, 25). Only shared references to it exist, and SQLite writes to the `UnsafeCell` alone.
        unsafe { &*base.cast::<Self>() }
    }

    pub(super) fn entry(&self) -> &Entry<Module<T>> {
        // SAFETY: the entry that SQLite's module owns, which has a reference for each connected table: SQLite releases it
        // after xDisconnect (rules 14, 18).
        unsafe { self.module.as_ref() }
    }

    pub(super) fn db(&self) -> &Db {
        self.entry().db()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a method whose message SQLite takes from the table. Returns its result, or the code of its error.
    #[inline]
    pub(super) fn call<R>(
        &self,
        method: &'static str,
        run: impl FnOnce(&T) -> Result<R, CallbackError>,
    ) -> Result<R, c_int> {
        if let Some(reason) = self.db().take_misorder() {
            return Err(self.report(Failure::new(&self.name, method, reason.into())));
        }
        self.try_call(method, run).map_err(|failure| self.report(failure))
    }

    /// Runs a method.
    #[inline]
    pub(super) fn try_call<R>(
        &self,
        method: &'static str,
        run: impl FnOnce(&T) -> Result<R, CallbackError>,
    ) -> Result<R, Failure> {
        let called =
            self.entry().call_back(|_| run(&self.table).map_err(|error| Failure::new(&self.name, method, error)));
        called.unwrap_or_else(|| Err(Failure::of_panic(&self.name, method)))
    }

    /// Leaves the error where SQLite takes it from. Returns its code.
    #[cold]
    pub(super) fn report(&self, failure: Failure) -> c_int {
        // SAFETY: the field of the struct that SQLite reads after the call and not during it (rule 25).
        let message = unsafe { &raw mut (*self.base.get()).zErrMsg };
        // SAFETY: the place of the table's message, which is NULL or a string of SQLite (vtab.html, zErrMsg; rule 25).
        unsafe { failure.report(self.db(), message) }
    }
}

pub(super) unsafe extern "C" fn create<T: VirtualTable>(
    db: *mut ffi::sqlite3,
    address: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: called as xCreate, with what SQLite passes to it (rule 25).
    unsafe { construct::<T>(true, db, address, count, arguments, out, message) }
}

pub(super) unsafe extern "C" fn connect<T: VirtualTable>(
    db: *mut ffi::sqlite3,
    address: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: called as xConnect, with what SQLite passes to it (rule 25).
    unsafe { construct::<T>(false, db, address, count, arguments, out, message) }
}

/// Makes a table. Returns the result code.
///
/// # Safety
///
/// Called as xCreate or xConnect of a module of an `Entry<Module<T>>`, with all that SQLite passes.
unsafe fn construct<T: VirtualTable>(
    is_new: bool,
    handle: *mut ffi::sqlite3,
    address: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // The two functions of a table that has no `create` of its own do the same. The compiler may make them one, but for
    // this: SQLite takes a table for an eponymous one if xCreate is xConnect.
    let is_new = std::hint::black_box(is_new);
    // SAFETY: the address with which the module was registered, by `Entry::give`; it is registered while SQLite calls its
    // methods (rules 14, 18).
    let entry = unsafe { Entry::<Module<T>>::of(address) };
    let db = entry.db();
    // SAFETY: called as xCreate or xConnect, with these arguments (the caller's promise, rule 25).
    let definition = unsafe { TableDefinition::new(db, is_new, count, arguments) };
    let (method, make): (_, fn(&_, &_) -> _) = if is_new { ("create", T::create) } else { ("connect", T::connect) };
    let fail = |error| Failure::new(definition.table_name(), method, error);
    let failure = match entry.call_back(|module| make(&module.shared, &definition).map_err(fail)) {
        Some(Ok(Declared { schema, table })) => {
            // SAFETY: within xCreate or xConnect, with its own `handle` (the caller's promise, rule 25).
            match unsafe { declare::<T>(db, handle, &schema) } {
                Ok(()) => {
                    let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
                    let (base, name) = (UnsafeCell::new(base), definition.table_name().into());
                    let connected = Box::new(Connected { base, module: NonNull::from(entry), name, table });
                    // SAFETY: SQLite's out pointer, valid during the call. `base` comes first in the struct;
                    // `disconnect` or `destroy` frees it (rules 18, 25).
                    unsafe { out.write(Box::into_raw(connected).cast()) };
                    return ffi::SQLITE_OK;
                }
                Err(error) => db.call_back_at_close(move || {
                    drop(table);
                    fail(error)
                }),
            }
        }
        Some(Err(failure)) => Some(failure),
        None => None,
    };
    let failure = failure.unwrap_or_else(|| Failure::of_panic(definition.table_name(), method));
    // SAFETY: SQLite's place for a message, which it has set to NULL, and which it frees (vtab.html, xCreate; rule 25).
    unsafe { failure.report(db, message) }
}

/// Declares the columns and the properties of a table.
///
/// # Safety
///
/// Called within xCreate or xConnect, with its own `handle`.
unsafe fn declare<T: VirtualTable>(db: &Db, handle: *mut ffi::sqlite3, schema: &str) -> Result<(), CallbackError> {
    let text = CString::new(schema).map_err(|_| "the declaration of the columns contains a NUL character")?;
    // SAFETY: within xCreate or xConnect (the caller's promise), where c3ref/declare_vtab.html requires the call
    // (rule 25); the text is NUL-terminated (rule 22).
    let code = unsafe { ffi::sqlite3_declare_vtab(handle, text.as_ptr()) };
    if code != ffi::SQLITE_OK {
        return Err(Box::new(Error::from(db.fault(code).in_sql(schema))));
    }
    let options = T::OPTIONS;
    let switches = [
        (options.is_direct_only, DIRECT_ONLY),
        (options.is_innocuous, INNOCUOUS),
        (options.uses_all_schemas, USES_ALL_SCHEMAS),
    ];
    for (_, switch) in switches.into_iter().filter(|(is_set, _)| *is_set) {
        // SAFETY: within xCreate or xConnect, as c3ref/vtab_config.html requires; these options take no further argument
        // (rule 25).
        let code = unsafe { ffi::sqlite3_vtab_config(handle, switch) };
        if code != ffi::SQLITE_OK {
            return Err(Box::new(Error::from(db.fault(code))));
        }
    }
    if options.has_constraint_support {
        // SAFETY: as above; this option takes an `int` (c3ref/c_vtab_constraint_support.html, rule 25).
        let code = unsafe { dispatch::vtab_config_int(handle, ffi::SQLITE_VTAB_CONSTRAINT_SUPPORT, 1) };
        if code != ffi::SQLITE_OK {
            return Err(Box::new(Error::from(db.fault(code))));
        }
    }
    Ok(())
}

/// Ends a table, also while the connection is being closed.
///
/// # Safety
///
/// `base` is what [`construct`] of the same `T` made, and SQLite uses it no more.
unsafe fn end<T: VirtualTable>(base: *mut ffi::sqlite3_vtab) {
    // SAFETY: made by `Box::into_raw` in `construct`; SQLite ends a table once, after its cursors (the caller's promise;
    // vtab.html, xDisconnect; rules 18, 25).
    let connected = unsafe { Box::from_raw(base.cast::<Connected<T>>()) };
    let module = connected.module;
    let Connected { base, name, table, .. } = *connected;
    // SAFETY: NULL or a string of SQLite that it has not taken, to which nothing else points (vtab.html, zErrMsg;
    // rule 22).
    unsafe { ffi::sqlite3_free(base.into_inner().zErrMsg.cast()) };
    drop(name);
    // SAFETY: SQLite releases the module's entry after this call, because the table has a reference to it (rules 14, 18).
    let db = unsafe { module.as_ref() }.db();
    db.call_back_at_close(move || drop(table));
}

pub(super) unsafe extern "C" fn disconnect<T: VirtualTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: called as xDisconnect, after which SQLite does not use the table (vtab.html; rules 18, 25).
    unsafe { end::<T>(base) };
    ffi::SQLITE_OK
}

pub(super) unsafe extern "C" fn destroy<T: VirtualTable>(base: *mut ffi::sqlite3_vtab) -> c_int {
    {
        // SAFETY: the table of this call, which made it (rule 25).
        let connected = unsafe { Connected::<T>::of(base) };
        let db = connected.db();
        if let Err(failure) = connected.try_call("destroy", |table| table.destroy(&TableCall { db })) {
            // SQLite keeps the table, and disconnects it later. It takes no message here.
            return failure.report_code(db);
        }
    }
    // SAFETY: called as xDestroy, after whose success SQLite does not use the table (vtab.html; rules 18, 25).
    unsafe { end::<T>(base) };
    ffi::SQLITE_OK
}

pub(super) unsafe extern "C" fn rename<T: VirtualTable>(base: *mut ffi::sqlite3_vtab, name: *const c_char) -> c_int {
    // SAFETY: the table of this call (rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    // SAFETY: a NUL-terminated text that is unchanged during the call (vtab.html, xRename; rules 22, 25).
    let name = unsafe { text::borrow(name) }.unwrap_or_default();
    let call = TableCall { db: connected.db() };
    let renamed = connected.call("rename", |table| table.rename(&name, &call));
    renamed.err().unwrap_or(ffi::SQLITE_OK)
}

pub(super) unsafe extern "C" fn shadow_name<T: VirtualTable>(name: *const c_char) -> c_int {
    // SAFETY: a NUL-terminated text that lives during the call (vtab.html, xShadowName; rules 22, 25).
    let name = unsafe { CStr::from_ptr(name) };
    let is_shadow = |shadow: &&str| shadow.as_bytes().eq_ignore_ascii_case(name.to_bytes());
    c_int::from(T::SHADOW_NAMES.iter().any(is_shadow))
}

pub(super) unsafe extern "C" fn integrity<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    database: *const c_char,
    table: *const c_char,
    flags: c_int,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: the table of this call (rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    // SAFETY: a NUL-terminated text that is unchanged during the call (vtab.html, xIntegrity; rules 22, 25).
    let database = unsafe { text::borrow(database) }.unwrap_or_default();
    // SAFETY: another text of this call, unchanged during it (vtab.html, xIntegrity; rules 22, 25).
    let name = unsafe { text::borrow(table) }.unwrap_or_default();
    let check = IntegrityCheck { db: connected.db(), database: &database, table: &name, is_quick: flags & 1 != 0 };
    let checked = connected.try_call("integrity", |table| table.integrity(&check));
    match checked {
        Ok(None) => ffi::SQLITE_OK,
        Ok(Some(problem)) => {
            let problem = to_sqlite(problem.split('\0').next().unwrap_or_default());
            if problem.is_null() {
                return ffi::SQLITE_NOMEM;
            }
            // SAFETY: SQLite's place for a text, which it frees (vtab.html, xIntegrity; rule 25).
            unsafe { message.write(problem) };
            ffi::SQLITE_OK
        }
        // The pragma fails with it. It takes no message.
        Err(failure) => failure.report_code(connected.db()),
    }
}

pub(super) unsafe extern "C" fn find_function<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    count: c_int,
    name: *const c_char,
    function: *mut Option<XFunc>,
    user_data: *mut *mut c_void,
) -> c_int {
    // SAFETY: the table of this call (rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    // SAFETY: a NUL-terminated text that lives during the call (vtab.html, xFindFunction; rules 22, 25).
    let name = unsafe { CStr::from_ptr(name) };
    let is_it = |entry: &&Entry<OverloadedFunction>| {
        c_int::from(entry.call.arguments) == count && entry.call.name.as_bytes().eq_ignore_ascii_case(name.to_bytes())
    };
    let Some(entry) = connected.entry().call.functions.iter().find(is_it) else {
        return 0;
    };
    // SAFETY: SQLite's out pointer, valid during the call (vtab.html, xFindFunction; rule 25).
    unsafe { function.write(Some(overloaded)) };
    // SAFETY: SQLite's other out pointer (rule 25). The entry lives as long as the module's, which SQLite releases when no
    // table of it is connected; statements that call the function keep the table connected (rule 18).
    unsafe { user_data.write(ptr::from_ref(entry).cast_mut().cast()) };
    entry.call.constraint.map_or(1, |number| CONSTRAINT_FUNCTION + c_int::from(number))
}

unsafe extern "C" fn overloaded(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: the context of a call of a function (rule 15); c3ref/user_data.html: returns the pointer that belongs to it.
    let address = unsafe { ffi::sqlite3_user_data(context) };
    // SAFETY: `find_function` has given SQLite the address of an entry of this type, which lives while statements call it
    // (rules 15, 18).
    let entry = unsafe { Entry::<OverloadedFunction>::of(address) };
    // SAFETY: the context and the arguments of this call, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, count, arguments, entry.db()) };
    call.end(entry.call_back(|function| (function.call)(&call)));
}
