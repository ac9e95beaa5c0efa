//! Binding of the parameters of one execution.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::cursor::{Borrowed, Cursor};
use super::{Bound, Phase, StmtCore};
use crate::error::Fault;
use crate::raw::db::Entered;
use crate::raw::lent_columns::{self, LentColumns};
use crate::raw::{ffi, list};
use crate::track::{HandleKind, Taint, counts};
use crate::value::{List, RawParam};

/// Text or bytes that SQLite copies within the call.
#[derive(Clone, Copy)]
pub(crate) enum RawCopy<'a> {
    Text(&'a str),
    Blob(&'a [u8]),
}

/// A list to bind.
pub(crate) enum RawList<'p> {
    Lent(&'p List<'p>),
    Owned(Box<List<'p>>),
}

/// Parameters of one execution. Memory bound without a copy must live for `'p`.
///
/// Dropping it without `run` clears the bindings.
pub(crate) struct Binding<'s, 'p> {
    core: &'s mut StmtCore,
    /// One entry for all parameters: binding only changes the statement's own memory.
    entered: Entered<'s>,
    parameters: PhantomData<&'p ()>,
}

impl<'s, 'p> Binding<'s, 'p> {
    pub(super) fn new(core: &'s mut StmtCore, entered: Entered<'s>) -> Self {
        Self { core, entered, parameters: PhantomData }
    }

    pub(crate) fn parameter_count(&self) -> usize {
        self.core.parameter_count
    }

    /// Whether an execution of the statement may be completed by [`Cursor::complete_plain`].
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.core.is_plain.get()
    }

    pub(crate) fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.core.parameter_names()
    }

    /// Returns for each parameter, by index minus one, whether the SQL contains it. `find` computes this from the SQL
    /// on the first call.
    pub(crate) fn in_use(&self, find: impl FnOnce(&str) -> Vec<bool>) -> &[bool] {
        self.core.in_use.get_or_init(|| find(&self.core.sql).into())
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core.sql
    }

    /// Binds one parameter, 1-based, without copying. For an index out of range, SQLite returns `SQLITE_RANGE`.
    #[inline(always)]
    pub(crate) fn bind(&mut self, index: usize, param: RawParam<'p>) -> Result<(), Fault> {
        let statement = self.core.handle(&self.entered);
        let index = to_index(index);
        // The mark is set before the call, so that no return path omits it.
        if matches!(param, RawParam::Text(_) | RawParam::Blob(_)) {
            self.core.bound = Bound::Memory;
        }
        let code = match param {
            RawParam::Null => {
                // SAFETY: `self` borrows the core, so the statement is not finalized (rule 19). `begin` repaired it and
                // it has not started, so it is not running, as c3ref/bind_blob.html asks (rules 2, 20).
                unsafe { ffi::sqlite3_bind_null(statement, index) }
            }
            RawParam::Integer(value) => {
                // SAFETY: the statement is neither finalized nor running, as for NULL; SQLite copies the number
                // (rules 2, 19, 20).
                unsafe { ffi::sqlite3_bind_int64(statement, index, value) }
            }
            RawParam::Real(value) => {
                // SAFETY: the statement is neither finalized nor running, as for NULL; SQLite copies the number
                // (rules 2, 19, 20).
                unsafe { ffi::sqlite3_bind_double(statement, index, value) }
            }
            RawParam::ZeroBlob(bytes) => {
                // SAFETY: the statement is neither finalized nor running, as for NULL (rules 2, 19, 20). No memory is
                // passed; a length beyond the limit returns SQLITE_TOOBIG (c3ref/bind_blob.html).
                unsafe { ffi::sqlite3_bind_zeroblob64(statement, index, bytes) }
            }
            // A UTF-16 database converts the text within the call, into memory that SQLite allocates.
            RawParam::Text(text) => {
                let _charge = self.entered.charge();
                bind_text(statement, index, text, ffi::SQLITE_STATIC())
            }
            RawParam::Blob(blob) => bind_blob(statement, index, blob, ffi::SQLITE_STATIC()),
        };
        self.check(code)
    }

    /// Binds a copy of text or bytes, 1-based.
    #[inline]
    pub(crate) fn bind_copy(&mut self, index: usize, value: RawCopy<'_>) -> Result<(), Fault> {
        let statement = self.core.handle(&self.entered);
        self.core.bound = Bound::Memory;
        let _charge = self.entered.charge();
        let code = match value {
            RawCopy::Text(text) => bind_text(statement, to_index(index), text, ffi::SQLITE_TRANSIENT()),
            RawCopy::Blob(blob) => bind_blob(statement, to_index(index), blob, ffi::SQLITE_TRANSIENT()),
        };
        self.check(code)
    }

    /// Binds a list as a pointer, 1-based: SQL reads it by the table `list`. SQLite drops an owned one.
    pub(crate) fn bind_list(&mut self, index: usize, list: RawList<'p>) -> Result<(), Fault> {
        self.core.bound = Bound::Memory;
        let (address, destructor): (*mut c_void, Destructor) = match list {
            RawList::Lent(list) => (ptr::from_ref(list).cast_mut().cast(), None),
            RawList::Owned(list) => (Box::into_raw(list).cast(), Some(drop_list)),
        };
        // The address is that of a `List<'p>`, which `list.rs` reads under this type's name alone. A lent one lives for
        // `'p`; an owned one is freed by its destructor, once.
        self.bind_pointer(index, address, list::POINTER_TYPE, destructor)
    }

    /// Binds columns as a pointer, 1-based: SQL reads them by their table.
    pub(crate) fn bind_columns(&mut self, index: usize, columns: &'p LentColumns<'p>) -> Result<(), Fault> {
        self.core.bound = Bound::Memory;
        // The address is that of a `LentColumns<'p>`, which `lent_columns.rs` reads under this type's name alone.
        self.bind_pointer(index, ptr::from_ref(columns).cast_mut().cast(), lent_columns::POINTER_TYPE, None)
    }

    /// Binds a place for the address of FTS5's interface, 1-based.
    pub(in crate::raw) fn bind_fts5_place(&mut self, index: usize, place: &'p Cell<*mut c_void>) -> Result<(), Fault> {
        self.core.bound = Bound::Memory;
        // fts5.html, "Extending FTS5": its function writes an address to a place that it receives under this name.
        self.bind_pointer(index, place.as_ptr().cast(), c"fts5_api_ptr", None)
    }

    /// Binds an address that only readers of the type's name receive; the callers have set the mark in `bound`.
    fn bind_pointer(
        &mut self,
        index: usize,
        address: *mut c_void,
        pointer_type: &'static CStr,
        destructor: Destructor,
    ) -> Result<(), Fault> {
        let statement = self.core.handle(&self.entered);
        // SAFETY: `self` borrows the core, so the statement is neither finalized nor running (rules 2, 19, 20). Only
        // readers of this type's name receive the address, which the callers made of that type (rule 10). Lent memory
        // lives for `'p`, and the mark in `bound` has the binding cleared after that; owned memory is passed with its
        // destructor, which SQLite calls once, on failure too (rules 1, 2, c3ref/bind_blob.html). The name is a static.
        let code = unsafe {
            ffi::sqlite3_bind_pointer(statement, to_index(index), address, pointer_type.as_ptr(), destructor)
        };
        self.check(code)
    }

    #[inline(always)]
    fn check(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.core.fault(self.entered.get(), code)) }
    }

    /// Clears the marks of all parameters.
    pub(crate) fn clear_marks(&mut self) {
        let words = self.core.parameter_count.div_ceil(64);
        self.core.marks.clear();
        self.core.marks.resize(words, 0);
    }

    /// Marks a parameter as having a value; 1-based, in range.
    pub(crate) fn mark(&mut self, index: usize) {
        self.core.marks[(index - 1) / 64] |= 1 << ((index - 1) % 64);
    }

    /// Whether a parameter has a value; 1-based, in range.
    pub(crate) fn is_marked(&self, index: usize) -> bool {
        self.core.marks[(index - 1) / 64] >> ((index - 1) % 64) & 1 == 1
    }

    /// Returns the SQL with the current bound values written into it.
    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.core.expanded_sql(self.entered.get())
    }

    /// Begins the execution, and passes it to a cursor.
    #[inline]
    pub(crate) fn run(mut self) -> Cursor<Borrowed<'s>>
    where
        'p: 's,
    {
        self.start();
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and its `core` is not used again, so the exclusive borrow is moved out once
        // and the statement keeps one user (rule 3). `'p: 's` keeps the bound memory valid for the cursor (rule 1).
        let core = unsafe { ptr::read(&raw const this.core) };
        Cursor::borrow(core, this.entered.get())
    }

    #[inline]
    pub(super) fn start(&mut self) {
        if self.core.taint != Taint::NONE {
            self.entered.get().add_taint(self.core.taint);
        }
        counts::opened(HandleKind::Rows);
        if let Some(recorded) = &self.core.recorded {
            recorded.run();
        }
        self.core.phase.set(Phase::Started);
    }
}

impl Drop for Binding<'_, '_> {
    fn drop(&mut self) {
        if self.core.phase.get() == Phase::Idle {
            let _ = self.core.repair(self.entered.get());
        }
    }
}

type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;

/// Destructor of an owned list.
unsafe extern "C" fn drop_list(list: *mut c_void) {
    // SAFETY: `bind_list` made the address of a box, which SQLite passes here once (rule 22). Nothing reads the list any
    // more, since only a statement that is running does (rule 10). Whatever it borrows outlives the binding (rule 1),
    // and its Drop reads none of that.
    drop(unsafe { Box::from_raw(list.cast::<List<'_>>()) });
}

// `Binding::bind` and `bind_copy` alone call the two functions below, and set `StmtCore::bound` to match the
// destructor: a static binding lives for `'p`, and is cleared before SQLite can read it after that.

#[inline]
fn bind_text(statement: *mut ffi::sqlite3_stmt, index: c_int, text: &str, destructor: Destructor) -> c_int {
    // SAFETY: the callers' `Binding` borrows the core, so the statement is neither finalized nor running
    // (rules 2, 19, 20). `text` is its length in bytes of UTF-8 (rule 22); more than an int is SQLITE_TOOBIG.
    // c3ref/bind_blob.html: SQLITE_STATIC promises memory that stays valid until the parameter is bound anew, which
    // `'p` and the mark in `bound` guarantee; with SQLITE_TRANSIENT SQLite copies (rules 1, 2). A `str` pointer is
    // never NULL, so empty text stays text.
    unsafe { ffi::sqlite3_bind_text64(statement, index, text.as_ptr().cast(), text.len() as u64, destructor, UTF8) }
}

#[inline]
fn bind_blob(statement: *mut ffi::sqlite3_stmt, index: c_int, blob: &[u8], destructor: Destructor) -> c_int {
    // SAFETY: as in `bind_text` (rules 1, 2, 19, 20, 22); a slice pointer is never NULL, so an empty blob stays a blob.
    unsafe { ffi::sqlite3_bind_blob64(statement, index, blob.as_ptr().cast(), blob.len() as u64, destructor) }
}

/// `SQLITE_UTF8`, in the type that `sqlite3_bind_text64` takes.
const UTF8: u8 = 1;
const _: () = assert!(ffi::SQLITE_UTF8 == 1);

/// Converts a parameter's index; a value that no statement can have becomes 0, which SQLite refuses.
#[inline(always)]
fn to_index(index: usize) -> c_int {
    c_int::try_from(index).unwrap_or(0)
}
