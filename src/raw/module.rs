//! Modules of virtual tables: registration, and the methods as SQLite has them (sqlite.org/vtab.html).
//!
//! ```text
//!  sqlite3 ─► Module of SQLite ─► Entry<Module<T>>       `T::Shared`; released when its last table is disconnected
//!                  │ a reference for each table
//!                  ▼
//!             sqlite3_vtab = Connected<T>                from xCreate or xConnect to xDisconnect, or a successful xDestroy
//!                  │ outlives its cursors
//!                  ▼
//!             sqlite3_vtab_cursor = OpenCursor<T>        from xOpen to xClose
//! ```

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;

use super::callback::{Entry, release_entry};
use super::db::Entered;
use super::function::Call;
use super::text::to_sqlite;
use super::{Db, ffi};
use crate::error::{Fault, FaultKind};
use crate::track::{HandleKind, Taint};

mod connect;
mod cursor;
mod failure;
mod index;
mod update;
mod virtual_table;

pub use connect::{Declared, TableDefinition};
pub(crate) use cursor::InValues;
pub use cursor::{CellCall, FilterCall};
pub use failure::TableError;
pub use index::{Constraint, ConstraintOperator, Distinctness, IndexQuery, OrderTerm};
pub use update::{ConflictPolicy, NewRow, OldRow};
pub use virtual_table::{
    IntegrityCheck, TableCall, TableCursor, TableKind, TableOptions, TransactionalTable, VirtualTable, WritableTable,
};

/// Error of a callback.
type CallbackError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "loadable-extension")]
use super::ffi::{
    sqlite3_drop_modules, sqlite3_value_nochange, sqlite3_vtab_collation, sqlite3_vtab_distinct, sqlite3_vtab_in,
    sqlite3_vtab_in_first, sqlite3_vtab_in_next, sqlite3_vtab_nochange, sqlite3_vtab_rhs_value,
};
#[cfg(not(feature = "loadable-extension"))]
unsafe extern "C" {
    // The oldest bindings lack them. c3ref/drop_modules.html
    fn sqlite3_drop_modules(db: *mut ffi::sqlite3, keep: *mut *const c_char) -> c_int;
    // c3ref/vtab_collation.html
    fn sqlite3_vtab_collation(info: *mut ffi::sqlite3_index_info, constraint: c_int) -> *const c_char;
    // c3ref/vtab_distinct.html
    fn sqlite3_vtab_distinct(info: *mut ffi::sqlite3_index_info) -> c_int;
    // c3ref/vtab_in.html
    fn sqlite3_vtab_in(info: *mut ffi::sqlite3_index_info, constraint: c_int, handle: c_int) -> c_int;
    // c3ref/vtab_in_first.html
    fn sqlite3_vtab_in_first(list: *mut ffi::sqlite3_value, out: *mut *mut ffi::sqlite3_value) -> c_int;
    fn sqlite3_vtab_in_next(list: *mut ffi::sqlite3_value, out: *mut *mut ffi::sqlite3_value) -> c_int;
    // c3ref/vtab_rhs_value.html
    fn sqlite3_vtab_rhs_value(
        info: *mut ffi::sqlite3_index_info,
        constraint: c_int,
        out: *mut *mut ffi::sqlite3_value,
    ) -> c_int;
    // c3ref/vtab_nochange.html
    fn sqlite3_vtab_nochange(context: *mut ffi::sqlite3_context) -> c_int;
    // c3ref/value_blob.html
    fn sqlite3_value_nochange(value: *mut ffi::sqlite3_value) -> c_int;
}

type OfTable = unsafe extern "C" fn(*mut ffi::sqlite3_vtab) -> c_int;
type OfTableAndNumber = unsafe extern "C" fn(*mut ffi::sqlite3_vtab, c_int) -> c_int;
type OfCursor = unsafe extern "C" fn(*mut ffi::sqlite3_vtab_cursor) -> c_int;
type Construct = unsafe extern "C" fn(
    *mut ffi::sqlite3,
    *mut c_void,
    c_int,
    *const *const c_char,
    *mut *mut ffi::sqlite3_vtab,
    *mut *mut c_char,
) -> c_int;
type BestIndex = unsafe extern "C" fn(*mut ffi::sqlite3_vtab, *mut ffi::sqlite3_index_info) -> c_int;
type Open = unsafe extern "C" fn(*mut ffi::sqlite3_vtab, *mut *mut ffi::sqlite3_vtab_cursor) -> c_int;
type Filter = unsafe extern "C" fn(
    *mut ffi::sqlite3_vtab_cursor,
    c_int,
    *const c_char,
    c_int,
    *mut *mut ffi::sqlite3_value,
) -> c_int;
type Column = unsafe extern "C" fn(*mut ffi::sqlite3_vtab_cursor, *mut ffi::sqlite3_context, c_int) -> c_int;
type Rowid = unsafe extern "C" fn(*mut ffi::sqlite3_vtab_cursor, *mut ffi::sqlite3_int64) -> c_int;
type Update =
    unsafe extern "C" fn(*mut ffi::sqlite3_vtab, c_int, *mut *mut ffi::sqlite3_value, *mut ffi::sqlite3_int64) -> c_int;
type XFunc = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);
type FindFunction =
    unsafe extern "C" fn(*mut ffi::sqlite3_vtab, c_int, *const c_char, *mut Option<XFunc>, *mut *mut c_void) -> c_int;
type Rename = unsafe extern "C" fn(*mut ffi::sqlite3_vtab, *const c_char) -> c_int;
type ShadowName = unsafe extern "C" fn(*const c_char) -> c_int;
type Integrity =
    unsafe extern "C" fn(*mut ffi::sqlite3_vtab, *const c_char, *const c_char, c_int, *mut *mut c_char) -> c_int;

/// `sqlite3_module` of version 4 (c3ref/module.html), which the oldest bindings do not have to its end.
#[repr(C)]
struct Methods {
    version: c_int,
    create: Option<Construct>,
    connect: Option<Construct>,
    best_index: Option<BestIndex>,
    disconnect: Option<OfTable>,
    destroy: Option<OfTable>,
    open: Option<Open>,
    close: Option<OfCursor>,
    filter: Option<Filter>,
    next: Option<OfCursor>,
    eof: Option<OfCursor>,
    column: Option<Column>,
    rowid: Option<Rowid>,
    update: Option<Update>,
    begin: Option<OfTable>,
    sync: Option<OfTable>,
    commit: Option<OfTable>,
    rollback: Option<OfTable>,
    find_function: Option<FindFunction>,
    rename: Option<Rename>,
    savepoint: Option<OfTableAndNumber>,
    release: Option<OfTableAndNumber>,
    rollback_to: Option<OfTableAndNumber>,
    shadow_name: Option<ShadowName>,
    integrity: Option<Integrity>,
}

/// Version of [`Methods`]: SQLite has `xIntegrity` since 3.44.
const VERSION: c_int = 4;

const NONE: Methods = Methods {
    version: VERSION,
    create: None,
    connect: None,
    best_index: None,
    disconnect: None,
    destroy: None,
    open: None,
    close: None,
    filter: None,
    next: None,
    eof: None,
    column: None,
    rowid: None,
    update: None,
    begin: None,
    sync: None,
    commit: None,
    rollback: None,
    find_function: None,
    rename: None,
    savepoint: None,
    release: None,
    rollback_to: None,
    shadow_name: None,
    integrity: None,
};

/// The methods of a table that is read.
struct Readable<T>(PhantomData<T>);

impl<T: VirtualTable> Readable<T> {
    const METHODS: &'static Methods = &Methods {
        // vtab.html: an eponymous table has the same function twice, and one that is nothing else has no xCreate.
        create: match T::KIND {
            TableKind::Ordinary => Some(connect::create::<T>),
            TableKind::Eponymous => Some(connect::connect::<T>),
            TableKind::EponymousOnly => None,
        },
        connect: Some(connect::connect::<T>),
        best_index: Some(index::best_index::<T>),
        disconnect: Some(connect::disconnect::<T>),
        destroy: Some(connect::destroy::<T>),
        open: Some(cursor::open::<T>),
        close: Some(cursor::close::<T>),
        filter: Some(cursor::filter::<T>),
        next: Some(cursor::next::<T>),
        eof: Some(cursor::eof::<T>),
        column: Some(cursor::column::<T>),
        rowid: Some(cursor::rowid::<T>),
        find_function: Some(connect::find_function::<T>),
        rename: Some(connect::rename::<T>),
        shadow_name: if T::SHADOW_NAMES.is_empty() { None } else { Some(connect::shadow_name::<T>) },
        integrity: Some(connect::integrity::<T>),
        ..NONE
    };
}

/// The methods of a table that is written.
struct Writable<T>(PhantomData<T>);

impl<T: WritableTable> Writable<T> {
    const METHODS: &'static Methods = &Methods { update: Some(update::update::<T>), ..*Readable::<T>::METHODS };
}

/// The methods of a table that takes part in transactions.
struct Transactional<T>(PhantomData<T>);

impl<T: TransactionalTable> Transactional<T> {
    const METHODS: &'static Methods = &Methods {
        begin: Some(update::begin::<T>),
        sync: Some(update::sync::<T>),
        commit: Some(update::commit::<T>),
        rollback: Some(update::rollback::<T>),
        savepoint: Some(update::savepoint::<T>),
        release: Some(update::release::<T>),
        rollback_to: Some(update::rollback_to::<T>),
        ..*Writable::<T>::METHODS
    };
}

/// A registered module: what its tables have in common.
struct Module<T: VirtualTable> {
    shared: T::Shared,
    functions: Box<[Entry<OverloadedFunction>]>,
}

// SAFETY: the shared value is `Send`, and so are the closures of the functions. Their entries have the address of the
// connection, with which they move to another thread, and use it where SQLite calls them (rules 12, 14).
unsafe impl<T: VirtualTable> Send for Module<T> {}

/// An SQL function that has another implementation where its first argument is a column of the table.
///
/// C: [xFindFunction](https://sqlite.org/vtab.html#the_xfindfunction_method)
pub struct OverloadedFunction {
    pub(crate) name: Box<str>,
    pub(crate) arguments: u8,
    /// Number of the constraint that it is, of 0 to 105.
    pub(crate) constraint: Option<u8>,
    pub(crate) call: Box<dyn Fn(&Call<'_>) + Send>,
}

impl std::fmt::Debug for OverloadedFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverloadedFunction")
            .field("name", &self.name)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

impl Db {
    /// Registers a module of tables that are read.
    pub(crate) fn create_module<T: VirtualTable>(
        &self,
        name: &CStr,
        shared: T::Shared,
        site: &'static Location<'static>,
    ) -> Result<(), Fault> {
        self.create_module_of::<T>(name, shared, Readable::<T>::METHODS, site)
    }

    /// Registers a module of tables that are written.
    pub(crate) fn create_writable_module<T: WritableTable>(
        &self,
        name: &CStr,
        shared: T::Shared,
        site: &'static Location<'static>,
    ) -> Result<(), Fault> {
        self.create_module_of::<T>(name, shared, Writable::<T>::METHODS, site)
    }

    /// Registers a module of tables that take part in transactions.
    pub(crate) fn create_transactional_module<T: TransactionalTable>(
        &self,
        name: &CStr,
        shared: T::Shared,
        site: &'static Location<'static>,
    ) -> Result<(), Fault> {
        self.create_module_of::<T>(name, shared, Transactional::<T>::METHODS, site)
    }

    fn create_module_of<T: VirtualTable>(
        &self,
        name: &CStr,
        shared: T::Shared,
        methods: &'static Methods,
        site: &'static Location<'static>,
    ) -> Result<(), Fault> {
        check_name(name)?;
        let entered = self.enter_to_register()?;
        let functions = T::functions();
        for function in &functions {
            self.overload(function)?;
        }
        let track = |what: &str| self.track(HandleKind::Callback, site, what);
        let functions = functions
            .into_iter()
            .map(|function| Entry::new(self, track(&format!("function {}", function.name)), function))
            .collect();
        let tracked = track(&format!("module {}", name.to_string_lossy()));
        let create = |db| {
            let address = Entry::new(self, tracked, Module::<T> { shared, functions }).give();
            let methods = ptr::from_ref(methods).cast();
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22). The methods are a
            // constant with the layout of `sqlite3_module`. SQLite owns the entry from now on, also if the call fails
            // (c3ref/create_module.html), and releases it when no table of the module is left, nor is it registered
            // (rules 14, 18).
            unsafe {
                ffi::sqlite3_create_module_v2(db, name.as_ptr(), methods, address, Some(release_entry::<Module<T>>))
            }
        };
        self.change_modules(&entered, create, || self.lists.add_module(name))
    }

    /// Changes which modules there are, and notes that. What SQLite releases is dropped. Statements of callbacks end before: they would go
    /// on with the eponymous tables that they have found.
    fn change_modules(
        &self,
        entered: &Entered<'_>,
        change: impl FnOnce(*mut ffi::sqlite3) -> c_int,
        note: impl FnOnce(),
    ) -> Result<(), Fault> {
        self.end_readers();
        // SQLite takes its mark of an earlier lack of memory for a failure of the call below, and then both has a new module
        // and releases it.
        self.take_out_of_memory_mark();
        let charge = entered.charge();
        let code = change(entered.db());
        self.add_taint(Taint::REGISTERED);
        let result = self.check(code);
        // Before the program's code runs, which may panic.
        if result.is_ok() {
            note();
        }
        let mut none = ptr::null_mut();
        // SQLite disconnects an eponymous table of a module that is gone when it next prepares anything.
        // SAFETY: the connection is open (entered, rule 20); an empty text, of which no statement is made
        // (c3ref/prepare.html), and an out pointer.
        unsafe { ffi::sqlite3_prepare_v3(entered.db(), c"".as_ptr(), -1, 0, &raw mut none, ptr::null_mut()) };
        drop(charge);
        self.settle_callbacks();
        self.resume();
        result
    }

    /// Makes sure that there is a function of this name, so that SQL which calls it is not refused before SQLite asks the
    /// table.
    fn overload(&self, function: &OverloadedFunction) -> Result<(), Fault> {
        let entered = self.enter_to_register()?;
        let Ok(name) = CString::new(&*function.name) else {
            return Err(Fault::new(FaultKind::Misuse("the name of a function contains a NUL character")));
        };
        let (db, arguments) = (entered.db(), c_int::from(function.arguments));
        let _charge = entered.charge();
        // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated, and copied (rule 22,
        // c3ref/overload_function.html).
        let code = unsafe { ffi::sqlite3_overload_function(db, name.as_ptr(), arguments) };
        self.check(code)
    }

    /// Removes a module. Its tables that are connected stay until they are disconnected.
    pub(crate) fn remove_module(&self, name: &CStr) -> Result<(), Fault> {
        check_name(name)?;
        let entered = self.enter_to_register()?;
        let remove = |db| {
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22).
            // c3ref/create_module.html: NULL methods remove the module; SQLite releases it with its last table (rule 18).
            unsafe { ffi::sqlite3_create_module_v2(db, name.as_ptr(), ptr::null(), ptr::null_mut(), None) }
        };
        self.change_modules(&entered, remove, || {
            self.forget_modules(|removed| removed.to_bytes().eq_ignore_ascii_case(name.to_bytes()));
        })
    }

    /// Notes that modules were removed, those of finalite among them: they are made again when they are needed.
    fn forget_modules(&self, is_removed: impl Fn(&CStr) -> bool) {
        self.lists.remove_modules(&is_removed);
        self.columns_tables.remove_modules(&is_removed);
    }

    /// Removes all modules but these, and that of full-text search.
    pub(crate) fn retain_modules(&self, names: &[CString]) -> Result<(), Fault> {
        let entered = self.enter_to_register()?;
        let kept = names.iter().map(|name| name.as_ptr());
        let mut keep: Vec<*const c_char> = kept.chain([FTS5.as_ptr(), ptr::null()]).collect();
        let drop_others = |db| {
            // SAFETY: the connection is open (entered, rule 20); an array of NUL-terminated names that ends with NULL
            // (rule 22, c3ref/drop_modules.html). SQLite releases a module with its last table (rule 18).
            unsafe { sqlite3_drop_modules(db, keep.as_mut_ptr()) }
        };
        self.change_modules(&entered, drop_others, || {
            self.forget_modules(|module| names.iter().all(|kept| kept.as_c_str() != module));
        })
    }
}

/// The module whose functions of SQL go on to read what it has freed when it is removed (rule 27).
const FTS5: &CStr = c"fts5";

/// Returns an error if the module of this name is one that stays.
fn check_name(name: &CStr) -> Result<(), Fault> {
    match name.to_bytes().eq_ignore_ascii_case(FTS5.to_bytes()) {
        true => Err(Fault::new(FaultKind::Misuse("SQLite cannot replace or remove its module fts5"))),
        false => Ok(()),
    }
}
