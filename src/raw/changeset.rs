//! Changesets: reading, applying, combining (sqlite.org/session/intro.html).

use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_void};
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use super::allocator::Charge;
use super::db::{Db, code_fault};
use super::ffi;
use super::hook::Operation;
use super::initialize::initialize;
use super::serialize::SqliteBytes;
use super::stream::{Input, Output, StreamError, read, write};
use super::text;
use super::value::{self, OutOfMemory};
use crate::error::{Fault, FaultKind};
use crate::track::counts;
use crate::value::ValueRef;

/// `SQLITE_CHANGESETSTART_INVERT`, which the oldest bindings lack.
const START_INVERTED: c_int = 2;

/// A rebaser, which the oldest bindings lack.
#[repr(C)]
struct SqliteRebaser {
    _opaque: [u8; 0],
}

type OnFilter = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type OnConflict = unsafe extern "C" fn(*mut c_void, c_int, *mut ffi::sqlite3_changeset_iter) -> c_int;
type OnInput = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> c_int;

// The oldest bindings lack these. Each is described at sqlite.org/session/ under its name.
unsafe extern "C" {
    #[cfg(has_add_change)]
    fn sqlite3changegroup_add_change(
        group: *mut ffi::sqlite3_changegroup,
        iterator: *mut ffi::sqlite3_changeset_iter,
    ) -> c_int;
    fn sqlite3changeset_start_v2(
        iterator: *mut *mut ffi::sqlite3_changeset_iter,
        len: c_int,
        bytes: *mut c_void,
        flags: c_int,
    ) -> c_int;
    fn sqlite3changeset_apply_v2(
        db: *mut ffi::sqlite3,
        len: c_int,
        bytes: *mut c_void,
        filter: Option<OnFilter>,
        conflict: Option<OnConflict>,
        address: *mut c_void,
        rebase: *mut *mut c_void,
        rebase_len: *mut c_int,
        flags: c_int,
    ) -> c_int;
    fn sqlite3changeset_apply_v2_strm(
        db: *mut ffi::sqlite3,
        input: Option<OnInput>,
        input_address: *mut c_void,
        filter: Option<OnFilter>,
        conflict: Option<OnConflict>,
        address: *mut c_void,
        rebase: *mut *mut c_void,
        rebase_len: *mut c_int,
        flags: c_int,
    ) -> c_int;
    fn sqlite3rebaser_create(rebaser: *mut *mut SqliteRebaser) -> c_int;
    fn sqlite3rebaser_configure(rebaser: *mut SqliteRebaser, len: c_int, bytes: *const c_void) -> c_int;
    fn sqlite3rebaser_rebase(
        rebaser: *mut SqliteRebaser,
        len: c_int,
        bytes: *const c_void,
        out_len: *mut c_int,
        out: *mut *mut c_void,
    ) -> c_int;
    fn sqlite3rebaser_delete(rebaser: *mut SqliteRebaser);
}

fn check(code: c_int) -> Result<(), Fault> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(fault(code)) }
}

/// Converts the result code of a call that reads a changeset and no database.
#[cold]
fn fault(code: c_int) -> Fault {
    match code & 0xff {
        ffi::SQLITE_CORRUPT => Fault::new(FaultKind::MalformedChangeset),
        _ => code_fault(code),
    }
}

/// Returns the size of a changeset for C. SQLite takes at most 2 GiB in one piece.
fn len_of(bytes: &[u8]) -> Result<c_int, Fault> {
    c_int::try_from(bytes.len()).map_err(|_| Fault::new(FaultKind::TooBig { what: "changeset", bytes: bytes.len() }))
}

/// Runs a call that returns a changeset in new memory.
fn bytes_of(call: impl FnOnce(*mut c_int, *mut *mut c_void) -> c_int) -> Result<SqliteBytes, Fault> {
    let (mut len, mut bytes) = (0, ptr::null_mut());
    initialize().map_err(code_fault)?;
    let charge = Charge::to_nobody();
    let code = call(&raw mut len, &raw mut bytes);
    drop(charge);
    // SAFETY: each of these functions leaves NULL, or `len` bytes of memory that the caller frees
    // (session/sqlite3changeset_invert.html and its neighbours, rule 17).
    let bytes = unsafe { SqliteBytes::own(bytes.cast(), usize::try_from(len).unwrap_or(0)) };
    check(code).map(|()| bytes)
}

/// One change, at which an iterator stands.
#[derive(Clone, Copy)]
pub(crate) struct RawChange<'at> {
    /// It stands at a change for as long as `'at`.
    iterator: NonNull<ffi::sqlite3_changeset_iter>,
    standing: PhantomData<&'at ()>,
}

/// A call that reads a value of a change.
type ReadValue = unsafe extern "C" fn(*mut ffi::sqlite3_changeset_iter, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

/// Kind and table of a change.
pub(crate) struct ChangeHead<'at> {
    pub(crate) table: Cow<'at, str>,
    pub(crate) columns: usize,
    pub(crate) operation: Operation,
    pub(crate) is_indirect: bool,
}

impl<'at> RawChange<'at> {
    pub(crate) fn head(self) -> Result<ChangeHead<'at>, Fault> {
        let (mut table, mut columns, mut operation, mut indirect) = (ptr::null(), 0, 0, 0);
        // SAFETY: the iterator stands at a change (rule 16, session/sqlite3changeset_op.html); the results go to the
        // locals.
        check(unsafe {
            ffi::sqlite3changeset_op(
                self.iterator.as_ptr(),
                &raw mut table,
                &raw mut columns,
                &raw mut operation,
                &raw mut indirect,
            )
        })?;
        // SAFETY: session/sqlite3changeset_op.html: "valid until either the next sqlite3changeset_next() call or
        // sqlite3changeset_finalize()", which `'at` does not outlive (rules 16, 22).
        let table = unsafe { text::borrow(table) }.unwrap_or_default();
        Ok(ChangeHead {
            table,
            columns: usize::try_from(columns).unwrap_or(0),
            operation: Operation::of(operation),
            is_indirect: indirect != 0,
        })
    }

    /// Returns a flag for each column: not 0 if it is of the primary key.
    pub(crate) fn primary_key(self) -> Result<&'at [u8], Fault> {
        let (mut flags, mut columns) = (ptr::null_mut(), 0);
        // SAFETY: the iterator stands at a change (rule 16, session/sqlite3changeset_pk.html); the results go to the
        // locals.
        check(unsafe { ffi::sqlite3changeset_pk(self.iterator.as_ptr(), &raw mut flags, &raw mut columns) })?;
        if flags.is_null() {
            return Ok(&[]);
        }
        // SAFETY: not NULL, and `columns` bytes, which last as long as the iterator stands at this change
        // (session/sqlite3changeset_pk.html, rules 16, 22).
        Ok(unsafe { slice::from_raw_parts(flags, usize::try_from(columns).unwrap_or(0)) })
    }

    /// Returns a value before the change; `None` for one that the change does not have.
    pub(crate) fn old_value(self, column: usize) -> Result<Option<ValueRef<'at>>, Fault> {
        self.value(column, ffi::sqlite3changeset_old)
    }

    /// Returns a value after the change; `None` for one that the change does not have.
    pub(crate) fn new_value(self, column: usize) -> Result<Option<ValueRef<'at>>, Fault> {
        self.value(column, ffi::sqlite3changeset_new)
    }

    /// Returns a value of the row that a change conflicts with; `None` if the conflict is not with a row.
    pub(crate) fn conflicting(self, column: usize) -> Result<Option<ValueRef<'at>>, Fault> {
        self.value(column, ffi::sqlite3changeset_conflict)
    }

    fn value(self, column: usize, read: ReadValue) -> Result<Option<ValueRef<'at>>, Fault> {
        let index = c_int::try_from(column).unwrap_or(c_int::MAX);
        let mut found = ptr::null_mut();
        // SAFETY: the iterator stands at a change (rule 16). SQLite compares the index with the number of columns, and
        // the function with the operation (session/sqlite3changeset_old.html); the value goes to `found`.
        match unsafe { read(self.iterator.as_ptr(), index, &raw mut found) } {
            ffi::SQLITE_OK if found.is_null() => Ok(None),
            ffi::SQLITE_OK => {
                // SAFETY: session/sqlite3changeset_old.html: "a protected sqlite3_value object", which lasts as long as
                // the iterator stands at this change; nothing reads it as another type (rules 9, 16).
                unsafe { value::read(found) }.map(Some).map_err(|OutOfMemory| Fault::no_memory())
            }
            ffi::SQLITE_MISUSE => Ok(None),
            ffi::SQLITE_RANGE => Err(Fault::new(FaultKind::Misuse("the change has no column of this index"))),
            code => Err(fault(code)),
        }
    }
}

/// An iterator over changes, in bytes or in a stream. Drop finalizes it.
pub(crate) struct RawChanges<'a> {
    iterator: NonNull<ffi::sqlite3_changeset_iter>,
    /// Created by `Box::leak`, with an address that SQLite has; freed after the iterator.
    input: Option<NonNull<Input<'a>>>,
    is_at_end: bool,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> RawChanges<'a> {
    pub(crate) fn of_bytes(bytes: &'a [u8], is_inverted: bool) -> Result<Self, Fault> {
        let (len, flags) = (len_of(bytes)?, if is_inverted { START_INVERTED } else { 0 });
        let (mut iterator, bytes) = (ptr::null_mut(), bytes.as_ptr().cast_mut().cast());
        initialize().map_err(code_fault)?;
        // SAFETY: `len` bytes, which SQLite only reads, and which `'a` keeps until the iterator is finalized (rules 16,
        // 22, session/sqlite3changeset_start.html).
        let code = unsafe { sqlite3changeset_start_v2(&raw mut iterator, len, bytes, flags) };
        Self::own(code, iterator, None)
    }

    pub(crate) fn of_stream(reader: &'a mut (dyn Read + 'a)) -> Result<Self, StreamError> {
        let input = NonNull::from(Box::leak(Box::new(Input::new(reader, None))));
        let (mut iterator, address) = (ptr::null_mut(), input.as_ptr().cast());
        initialize().map_err(code_fault)?;
        // SAFETY: the function and the address are those of `input`, which lives until the iterator is finalized
        // (rules 15, 16, session/sqlite3changegroup_add_strm.html).
        let code = unsafe { ffi::sqlite3changeset_start_strm(&raw mut iterator, Some(read), address) };
        Self::own(code, iterator, Some(input)).map_err(StreamError::Fault)
    }

    fn own(
        code: c_int,
        iterator: *mut ffi::sqlite3_changeset_iter,
        input: Option<NonNull<Input<'a>>>,
    ) -> Result<Self, Fault> {
        if let Some(iterator) = NonNull::new(iterator).filter(|_| code == ffi::SQLITE_OK) {
            return Ok(Self { iterator, input, is_at_end: false, bytes: PhantomData });
        }
        if let Some(input) = input {
            // SAFETY: created by `Box::leak` in `of_stream`, and SQLite has made no iterator that has its address
            // (rule 16).
            drop(unsafe { Box::from_raw(input.as_ptr()) });
        }
        Err(if code == ffi::SQLITE_OK { Fault::no_memory() } else { fault(code) })
    }

    /// Moves to the next change. Returns `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<RawChange<'_>>, StreamError> {
        if self.is_at_end {
            return Ok(None);
        }
        // SAFETY: the iterator is not finalized: `self` owns it (rule 16); its bytes or its stream live as long.
        let code = unsafe { ffi::sqlite3changeset_next(self.iterator.as_ptr()) };
        self.is_at_end = code != ffi::SQLITE_ROW;
        if let Some(mut input) = self.input {
            // SAFETY: created by `Box::leak` in `of_stream`, and freed by Drop alone. SQLite uses it within its calls
            // only, so that nothing else refers to it now (rule 16).
            let input = unsafe { input.as_mut() };
            let is_fine = matches!(code, ffi::SQLITE_ROW | ffi::SQLITE_DONE);
            input.end(if is_fine { ffi::SQLITE_OK } else { code }, fault)?;
        }
        match code {
            ffi::SQLITE_ROW => Ok(Some(RawChange { iterator: self.iterator, standing: PhantomData })),
            ffi::SQLITE_DONE => Ok(None),
            code => Err(fault(code).into()),
        }
    }
}

impl Drop for RawChanges<'_> {
    fn drop(&mut self) {
        // The code is that of the last `next`, which has returned it.
        // SAFETY: `self` owns the iterator, and this is its only finalize (rule 16).
        unsafe { ffi::sqlite3changeset_finalize(self.iterator.as_ptr()) };
        if let Some(input) = self.input {
            // SAFETY: created by `Box::leak` in `of_stream`, and the iterator that had its address is gone (rule 16).
            drop(unsafe { Box::from_raw(input.as_ptr()) });
        }
    }
}

/// Returns the changeset that undoes another one.
pub(crate) fn invert(bytes: &[u8]) -> Result<SqliteBytes, Fault> {
    let len = len_of(bytes)?;
    bytes_of(|out_len, out| {
        // SAFETY: `len` bytes that SQLite only reads (rule 22), and the places of the results
        // (session/sqlite3changeset_invert.html).
        unsafe { ffi::sqlite3changeset_invert(len, bytes.as_ptr().cast(), out_len, out) }
    })
}

/// Writes the changeset that undoes another one.
pub(crate) fn invert_stream(reader: &mut dyn Read, writer: &mut dyn Write) -> Result<(), StreamError> {
    through(reader, writer, |input, output| {
        // SAFETY: the functions and addresses of streams that live during the call (rule 15,
        // session/sqlite3changegroup_add_strm.html).
        unsafe { ffi::sqlite3changeset_invert_strm(Some(read), input, Some(write), output) }
    })
}

/// Runs a call that reads a stream and writes another.
fn through(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    call: impl FnOnce(*mut c_void, *mut c_void) -> c_int,
) -> Result<(), StreamError> {
    let (mut input, mut output) = (Input::new(reader, None), Output::new(writer, None));
    initialize().map_err(code_fault)?;
    let charge = Charge::to_nobody();
    let code = call(input.address(), output.address());
    drop(charge);
    // The error of the stream that failed comes first: SQLite's code is only its consequence.
    input.end(ffi::SQLITE_OK, fault)?;
    output.end(code, fault)
}

/// A group of changesets that are combined into one. Drop deletes it.
pub(crate) struct RawGroup(NonNull<ffi::sqlite3_changegroup>);

impl RawGroup {
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut group = ptr::null_mut();
        initialize().map_err(code_fault)?;
        // SAFETY: the place of the result (rule 22, session/sqlite3changegroup_new.html).
        check(unsafe { ffi::sqlite3changegroup_new(&raw mut group) })?;
        NonNull::new(group).map(Self).ok_or_else(Fault::no_memory)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let len = len_of(bytes)?;
        let charge = Charge::to_nobody();
        // SAFETY: the group is not deleted: `self` owns it (rule 16). `len` bytes, which SQLite copies (rule 22,
        // session/sqlite3changegroup_add.html).
        let code = unsafe { ffi::sqlite3changegroup_add(self.0.as_ptr(), len, bytes.as_ptr().cast_mut().cast()) };
        drop(charge);
        check(code)
    }

    /// Adds one change.
    #[cfg(has_add_change)]
    pub(crate) fn add_change(&mut self, change: RawChange<'_>) -> Result<(), Fault> {
        let charge = Charge::to_nobody();
        // SAFETY: the group is not deleted: `self` owns it. The iterator stands at a change, which SQLite copies (rule 16,
        // session/sqlite3changegroup_add_change.html).
        let code = unsafe { sqlite3changegroup_add_change(self.0.as_ptr(), change.iterator.as_ptr()) };
        drop(charge);
        check(code)
    }

    /// This SQLite has no such function.
    #[cfg(not(has_add_change))]
    pub(crate) fn add_change(&mut self, _change: RawChange<'_>) -> Result<(), Fault> {
        Err(Fault::new(FaultKind::Unsupported("single changes of a group: they need a newer SQLite".into())))
    }

    pub(crate) fn add_stream(&mut self, reader: &mut dyn Read) -> Result<(), StreamError> {
        let mut input = Input::new(reader, None);
        let charge = Charge::to_nobody();
        // SAFETY: the group is not deleted: `self` owns it (rule 16). The function and the address are those of `input`,
        // which lives during the call (rule 15).
        let code = unsafe { ffi::sqlite3changegroup_add_strm(self.0.as_ptr(), Some(read), input.address()) };
        drop(charge);
        input.end(code, fault)
    }

    pub(crate) fn output(&self) -> Result<SqliteBytes, Fault> {
        bytes_of(|len, out| {
            // SAFETY: the group is not deleted: `self` owns it (rule 16), and the places of the results
            // (session/sqlite3changegroup_output.html).
            unsafe { ffi::sqlite3changegroup_output(self.0.as_ptr(), len, out) }
        })
    }

    pub(crate) fn write(&self, writer: &mut dyn Write) -> Result<(), StreamError> {
        let mut output = Output::new(writer, None);
        let charge = Charge::to_nobody();
        // SAFETY: the group is not deleted: `self` owns it (rule 16). The function and the address are those of `output`,
        // which lives during the call (rule 15).
        let code = unsafe { ffi::sqlite3changegroup_output_strm(self.0.as_ptr(), Some(write), output.address()) };
        drop(charge);
        output.end(code, fault)
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: `self` owns the group, and this is its only delete (rule 16, session/sqlite3changegroup_delete.html).
        unsafe { ffi::sqlite3changegroup_delete(self.0.as_ptr()) }
    }
}

/// A rebaser, which adapts changesets to the conflicts of another. Drop deletes it.
///
/// SQLite compares the tables of the changesets by name alone: the callers have checked that each has the same columns in
/// all of them, and that all bytes are changesets (`data/changeset/format.rs`).
pub(crate) struct RawRebaser(NonNull<SqliteRebaser>);

impl RawRebaser {
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut rebaser = ptr::null_mut();
        initialize().map_err(code_fault)?;
        // SAFETY: the place of the result (rule 22, session/sqlite3rebaser_create.html).
        check(unsafe { sqlite3rebaser_create(&raw mut rebaser) })?;
        NonNull::new(rebaser).map(Self).ok_or_else(Fault::no_memory)
    }

    /// Adds the outcome of conflicts.
    pub(crate) fn configure(&mut self, rebase: &[u8]) -> Result<(), Fault> {
        let len = len_of(rebase)?;
        // SAFETY: the rebaser is not deleted: `self` owns it (rule 16). `len` bytes, which SQLite copies (rule 22,
        // session/sqlite3rebaser_configure.html).
        check(unsafe { sqlite3rebaser_configure(self.0.as_ptr(), len, rebase.as_ptr().cast()) })
    }

    pub(crate) fn rebase(&self, bytes: &[u8]) -> Result<SqliteBytes, Fault> {
        let len = len_of(bytes)?;
        bytes_of(|out_len, out| {
            // SAFETY: the rebaser is not deleted: `self` owns it (rule 16). `len` bytes that SQLite only reads, and the
            // places of the results (rule 22, session/sqlite3rebaser_rebase.html).
            unsafe { sqlite3rebaser_rebase(self.0.as_ptr(), len, bytes.as_ptr().cast(), out_len, out) }
        })
    }
}

impl Drop for RawRebaser {
    fn drop(&mut self) {
        // SAFETY: `self` owns the rebaser, and this is its only delete (rule 16, session/sqlite3rebaser_delete.html).
        unsafe { sqlite3rebaser_delete(self.0.as_ptr()) }
    }
}

/// Kind of a conflict between a change and the database that it is applied to.
///
/// C: [Constants Passed To The Conflict Handler](https://sqlite.org/session/c_changeset_conflict.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictKind {
    /// The row to update or delete has other values than it had where the change was recorded.
    Data,
    /// The row to update or delete does not exist.
    NotFound,
    /// A row with the primary key of the row to insert exists.
    Conflict,
    /// The change violates a constraint: unique, not null, check.
    Constraint,
    /// After all changes, foreign keys are violated. The change of such a conflict has no values.
    ForeignKey,
}

/// Decision about a conflict.
///
/// C: [Constants Returned By The Conflict Handler](https://sqlite.org/session/c_changeset_abort.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConflictAction {
    /// Leaves the change out, and goes on. For [`ConflictKind::ForeignKey`], keeps the changes with their violations.
    Omit,
    /// Makes the change all the same, over the row in the way. Only for [`ConflictKind::Data`] and
    /// [`ConflictKind::Conflict`].
    Replace,
    /// Stops, and takes back all changes of the changeset.
    Abort,
}

/// Closures for the time in which changes are applied.
pub(crate) struct ApplyCalls<'a> {
    /// Returns whether the changes of a table are applied.
    pub(crate) filter: &'a mut dyn FnMut(&str) -> bool,
    pub(crate) conflict: &'a mut dyn FnMut(ConflictKind, RawChange<'_>) -> ConflictAction,
}

/// Those closures, and the connection that calls them. C has its address.
struct Applying<'calls, 'db> {
    calls: ApplyCalls<'calls>,
    db: &'db Db,
    /// Whether a closure wanted to replace where that cannot be.
    is_misused: bool,
}

/// Changes to apply.
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    Stream(&'a mut dyn Read),
}

/// Options of applying (`sqlite.org/session/c_changesetapply_fknoaction.html`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ApplyFlags {
    pub(crate) is_inverted: bool,
    pub(crate) ignores_noops: bool,
    pub(crate) has_no_fk_actions: bool,
}

impl ApplyFlags {
    fn bits(self) -> c_int {
        // SQLITE_CHANGESETAPPLY_INVERT, _IGNORENOOP, _FKNOACTION, which the oldest bindings lack.
        [(self.is_inverted, 2), (self.ignores_noops, 4), (self.has_no_fk_actions, 8)]
            .into_iter()
            .fold(0, |bits, (is_set, bit)| if is_set { bits | bit } else { bits })
    }
}

impl Db {
    /// Applies changes to the main database, all or none. Returns the outcome of the conflicts, for rebasing.
    pub(crate) fn apply_changes(
        &self,
        source: Source<'_>,
        calls: ApplyCalls<'_>,
        flags: ApplyFlags,
    ) -> Result<SqliteBytes, StreamError> {
        let entered = self.enter()?;
        let (was_autocommit, changes_before) = (self.is_autocommit(), self.total_changes());
        let mut applying = Applying { calls, db: self, is_misused: false };
        let address = ptr::from_mut(&mut applying).cast::<c_void>();
        let (mut rebase, mut rebase_len) = (ptr::null_mut(), 0);
        let (mut bytes, mut input): (&[u8], _) = (&[], None);
        match source {
            Source::Bytes(given) => bytes = given,
            Source::Stream(reader) => input = Some(Input::new(reader, Some(self))),
        }
        let (len, flags) = (len_of(bytes)?, flags.bits());
        let charge = entered.charge();
        let code = match &mut input {
            // SAFETY: the connection is open (entered, rules 19, 20). `len` bytes that SQLite only reads (rule 22); the
            // functions take the address of `applying`, which lives during the call (rule 15).
            // session/sqlite3changeset_apply.html: the results go to the locals.
            None => unsafe {
                sqlite3changeset_apply_v2(
                    entered.db(),
                    len,
                    bytes.as_ptr().cast_mut().cast(),
                    Some(filter),
                    Some(conflict),
                    address,
                    &raw mut rebase,
                    &raw mut rebase_len,
                    flags,
                )
            },
            // SAFETY: as above (rules 15, 19, 20, 22); the stream lives during the call as well (rule 15).
            Some(input) => unsafe {
                sqlite3changeset_apply_v2_strm(
                    entered.db(),
                    Some(read),
                    input.address(),
                    Some(filter),
                    Some(conflict),
                    address,
                    &raw mut rebase,
                    &raw mut rebase_len,
                    flags,
                )
            },
        };
        drop(charge);
        // SAFETY: session/sqlite3changeset_apply.html: NULL, or `rebase_len` bytes that the caller frees (rule 17). They
        // are charged to the connection until then.
        let rebase = unsafe { SqliteBytes::own(rebase.cast(), usize::try_from(rebase_len).unwrap_or(0)) };
        self.update_transaction();
        match &mut input {
            Some(input) => input.end(ffi::SQLITE_OK, code_fault)?,
            None => self.resume(),
        }
        if applying.is_misused {
            return Err(Fault::new(FaultKind::Misuse(
                "a conflict can be resolved by `Replace` only if its kind is `Data` or `Conflict`",
            ))
            .into());
        }
        self.check(code)?;
        if was_autocommit && self.total_changes() != changes_before {
            counts::committed();
        }
        Ok(rebase)
    }
}

unsafe extern "C" fn filter(applying: *mut c_void, table: *const c_char) -> c_int {
    // SAFETY: the address that `apply_changes` passed, of a value that lives during its call, in which only one callback
    // runs at a time (rule 15).
    let applying = unsafe { &mut *applying.cast::<Applying<'_, '_>>() };
    // SAFETY: the name of the table, unchanged during the call (session/sqlite3changeset_apply.html, rule 22).
    let table = unsafe { text::borrow(table) }.unwrap_or_default();
    c_int::from(applying.db.call_back(|| (applying.calls.filter)(&table)).unwrap_or(false))
}

unsafe extern "C" fn conflict(applying: *mut c_void, kind: c_int, iterator: *mut ffi::sqlite3_changeset_iter) -> c_int {
    // SAFETY: the address that `apply_changes` passed, of a value that lives during its call, in which only one callback
    // runs at a time (rule 15).
    let applying = unsafe { &mut *applying.cast::<Applying<'_, '_>>() };
    let Some(iterator) = NonNull::new(iterator) else {
        return ffi::SQLITE_CHANGESET_ABORT;
    };
    let kind = match kind {
        ffi::SQLITE_CHANGESET_DATA => ConflictKind::Data,
        ffi::SQLITE_CHANGESET_NOTFOUND => ConflictKind::NotFound,
        ffi::SQLITE_CHANGESET_CONFLICT => ConflictKind::Conflict,
        ffi::SQLITE_CHANGESET_FOREIGN_KEY => ConflictKind::ForeignKey,
        _ => ConflictKind::Constraint,
    };
    // SQLite's iterator stands at the change for the time of this callback.
    let change = RawChange { iterator, standing: PhantomData };
    let action = applying.db.call_back(|| (applying.calls.conflict)(kind, change));
    match action.unwrap_or(ConflictAction::Abort) {
        ConflictAction::Omit => ffi::SQLITE_CHANGESET_OMIT,
        ConflictAction::Replace if matches!(kind, ConflictKind::Data | ConflictKind::Conflict) => {
            ffi::SQLITE_CHANGESET_REPLACE
        }
        ConflictAction::Replace => {
            applying.is_misused = true;
            ffi::SQLITE_CHANGESET_ABORT
        }
        ConflictAction::Abort => ffi::SQLITE_CHANGESET_ABORT,
    }
}
