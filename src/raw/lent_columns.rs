//! The tables `finalite_columns_1`, `finalite_columns_2` and so on, whose rows are those of columns that are bound to a
//! parameter. They have the methods of `list.rs`.
//!
//! SQLite asks for the columns of an eponymous table once, without its arguments. So there is a table for each number of
//! columns, which a connection has from the first insertion of so many on. One table with as many columns as SQLite
//! allows would take a hundred kilobytes of each connection, for two thousand names.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Range;
use std::ptr;

use super::list::{self, Answer, PointedRows};
use super::{Db, ffi};
use crate::error::{Error, ErrorKind, Fault, ResultCode};
use crate::value::{ConversionError, RawParam};

/// Name of the type of the pointers. Another version of this crate has another one.
pub(super) const POINTER_TYPE: &CStr =
    match CStr::from_bytes_with_nul(concat!("finalite ", env!("CARGO_PKG_VERSION"), " columns\0").as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("the name contains no NUL"),
    };

/// Beginning of the names of the tables, and the name in errors.
const NAME: &CStr = c"finalite_columns_";

/// A column whose values are lent to SQLite. Reading it runs no code of the program.
pub(crate) trait Cells {
    fn len(&self) -> usize;

    /// Returns the value of a row, or the reason why SQLite cannot store it.
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError>;

    /// Answers with that value: each type of column knows how it answers.
    fn answer<'s>(&'s self, row: usize, answer: Answer<'s>) {
        answer.give(self.cell(row));
    }
}

/// Columns that are lent to one statement after another.
pub(crate) struct LentColumns<'p> {
    columns: Box<[&'p (dyn Cells + 'p)]>,
    /// Rows that the next execution reads: the first, and the one behind the last.
    range: Cell<(usize, usize)>,
    /// Row and column that were read last.
    read: Cell<(usize, usize)>,
}

impl<'p> LentColumns<'p> {
    pub(crate) fn new(columns: Box<[&'p (dyn Cells + 'p)]>) -> Self {
        Self { columns, range: Cell::default(), read: Cell::default() }
    }

    pub(crate) fn columns(&self) -> &[&'p (dyn Cells + 'p)] {
        &self.columns
    }

    /// Sets the rows that the next execution reads. One that is running has read them already.
    pub(crate) fn lend(&self, rows: Range<usize>) {
        self.read.set((rows.start, 0));
        self.range.set((rows.start, rows.end));
    }

    /// Returns the row and the column that were read last.
    pub(crate) fn last_read(&self) -> (usize, usize) {
        self.read.get()
    }

    pub(crate) fn set_last_read(&self, row: usize, column: usize) {
        self.read.set((row, column));
    }
}

/// Returns the error of a value that cannot be stored, as the table reports it.
#[cold]
pub(crate) fn refusal(problem: ConversionError) -> Error {
    let function = NAME.to_string_lossy().into();
    Error::new(ErrorKind::FunctionResult { code: ResultCode::ERROR, function, problem })
}

/// Returns the reason why a value of a column cannot be stored, if that is the error.
pub(crate) fn refused(error: Error) -> Result<ConversionError, Error> {
    let is_ours = |function: &str| function.as_bytes() == NAME.to_bytes();
    match error.kind() {
        ErrorKind::FunctionResult { function, problem, .. } if is_ours(function) => Ok(problem.restated()),
        _ => Err(error),
    }
}

impl PointedRows for LentColumns<'static> {
    const POINTER_TYPE: &'static CStr = POINTER_TYPE;
    const EXPECTED: (&'static str, &'static str) =
        ("InsertColumn", "not columns: `Connection::insert_columns` alone passes them");

    fn range(&self) -> Range<usize> {
        let (start, end) = self.range.get();
        start..end
    }

    #[inline]
    fn answer<'s>(&'s self, row: usize, column: usize, answer: Answer<'s>) {
        // The column behind the last is the argument, which is NULL.
        if let Some(cells) = self.columns.get(column) {
            self.read.set((row, column));
            cells.answer(row, answer);
        }
    }
}

/// Numbers of columns for which a connection has a table.
#[derive(Default)]
pub(super) struct ColumnsTables(RefCell<Vec<usize>>);

impl ColumnsTables {
    /// Hears that modules were removed.
    pub(super) fn remove_modules(&self, is_removed: impl Fn(&CStr) -> bool) {
        let is_kept = |&columns: &usize| CString::new(table_name(columns)).is_ok_and(|name| !is_removed(&name));
        self.0.borrow_mut().retain(is_kept);
    }
}

static MODULE: ffi::sqlite3_module = list::module::<LentColumns<'static>>(connect);

/// Returns the name of the table of this many columns.
pub(crate) fn table_name(columns: usize) -> String {
    format!("{}{columns}", NAME.to_str().unwrap_or_default())
}

impl Db {
    /// Adds the table of this many columns, unless the connection has it.
    pub(crate) fn create_columns_table(&self, columns: usize) -> Result<(), Fault> {
        let entered = self.enter()?;
        if self.columns_tables.0.borrow().contains(&columns) {
            return Ok(());
        }
        let name = CString::new(table_name(columns)).unwrap_or_default();
        let charge = entered.charge();
        let own = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the connection is open (entered, rule 20); the name is NUL-terminated, and copied; the module is a static
        // (rule 22), which replaces none. The connection does not move, and is freed after SQLite has closed it (rules 6,
        // 14). c3ref/create_module.html: the destructor may be NULL.
        let code = unsafe { ffi::sqlite3_create_module_v2(entered.db(), name.as_ptr(), &raw const MODULE, own, None) };
        drop(charge);
        if code != ffi::SQLITE_OK {
            return Err(self.fault(code));
        }
        self.columns_tables.0.borrow_mut().push(columns);
        Ok(())
    }
}

unsafe extern "C" fn connect(
    db: *mut ffi::sqlite3,
    own: *mut c_void,
    _argc: c_int,
    argv: *const *const c_char,
    out: *mut *mut ffi::sqlite3_vtab,
    _error: *mut *mut c_char,
) -> c_int {
    // SAFETY: vtab.html, xCreate: the first of the arguments, of which there are at least three, is the name of the module
    // (rule 25).
    let name = unsafe { *argv };
    // SAFETY: a NUL-terminated string that is valid during the call, as above (rules 22, 25).
    let name = unsafe { CStr::from_ptr(name) };
    let columns =
        name.to_bytes().strip_prefix(NAME.to_bytes()).and_then(|count| str::from_utf8(count).ok()?.parse().ok());
    let Some((columns, pointer)) = columns.and_then(|columns: usize| Some((columns, c_int::try_from(columns).ok()?)))
    else {
        return ffi::SQLITE_INTERNAL;
    };
    let names: String = (0..columns).map(|column| format!("c{column},")).collect();
    let Ok(schema) = CString::new(format!("CREATE TABLE x({names}pointer HIDDEN)")) else {
        return ffi::SQLITE_INTERNAL;
    };
    // SAFETY: called within xConnect, with its own `db` and out pointer, and with what `create_columns_table` passed
    // (rule 25).
    unsafe { list::connect_as(db, own, &schema, NAME, pointer, out) }
}
