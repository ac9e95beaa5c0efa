//! Prepared statements, one execution of them, and the row it stands on.
//!
//! `Stmt` owns a statement and finalizes it. `Binding` takes the parameters of one execution, `Cursor` is the
//! execution, and ends it (reset, then the bindings that took memory) when it is dropped. `Row` is what a step found.

use std::cell::{Cell, OnceCell};
use std::ffi::{c_char, c_int, c_uint};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::db::{Db, Entered, Forgotten};
use super::text::{self, SqliteString};
use super::value::{self, OutOfMemory, ValueRef};
use super::{Fault, FaultKind, Kind, counts, ffi};

/// A prepared statement. Drop finalizes it.
pub(crate) struct Stmt<'db> {
    /// Made by `Db::prepare`, and in the connection's list. Freed by `release`, which ends `self`, or by `Db::close`,
    /// when nothing that borrows the connection is left to look at it.
    core: NonNull<StmtCore>,
    db: &'db Db,
}

/// A statement that is kept for later, without the borrow of its connection. It makes no call into SQLite; only
/// [`Db::unpark`] makes it usable again, and dropping it leaves the statement to [`Db::close`]. There is one for each
/// statement that is parked, and unparking takes it.
pub(crate) struct Parked {
    core: NonNull<StmtCore>,
    db: u64,
}

// SAFETY: a parked statement is inert: the pointer in it is used by the `Db` it belongs to alone (`unpark` compares
// the ids), on whichever thread that is.
unsafe impl Send for Parked {}

/// What a statement is, on either side of a park. The connection's list points to it, so that closing finds also what
/// was forgotten, and frees it.
pub(super) struct StmtCore {
    ptr: NonNull<ffi::sqlite3_stmt>,
    slot: u32,
    kind: Kind,
    site: &'static Location<'static>,
    phase: Cell<Phase>,
    /// What the parameters hold that a reset would leave there.
    bound: Bound,
    /// Columns of the current row; 0 when there is none.
    columns: c_int,
    parameter_count: c_int,
    sql: Box<str>,
    parameters: OnceCell<Box<[Option<Box<str>>]>>,
    /// Which parameters have a value, while they are given by name: a bit each. Kept for the next execution.
    marks: Vec<u64>,
    names: OnceCell<Box<[Box<str>]>>,
    /// `SQLITE_STMTSTATUS_REPREPARE` when `names` and `handles` were last looked at.
    reprepares: c_int,
    handles: Handles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Parameters are bound, nothing is stepped.
    Started,
    Row,
    /// A cell could not be read for lack of memory: the rows end here.
    OutOfMemory,
    /// The last step returned this, and it is not yet looked at.
    Left(c_int),
    Done,
    /// The last step failed, and its error was returned.
    Failed,
}

/// What the bindings hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// Numbers and NULLs at most, which may stay.
    Nothing,
    /// Copies that SQLite owns, or memory of the caller's, which SQLite must not see once the caller has it back.
    Memory,
}

/// Columns resolved by name, once: a handle's number is its place here. Refreshed when SQLite prepares anew.
#[derive(Default)]
struct Handles {
    /// Distinguishes this statement from every other; 0 until a handle is asked for.
    owner: u64,
    columns: Vec<Handle>,
}

struct Handle {
    name: Box<str>,
    index: Option<usize>,
}

/// One parameter, ready for SQLite.
#[derive(Clone, Copy)]
pub(crate) enum RawParam<'p> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'p str),
    Blob(&'p [u8]),
    ZeroBlob(u64),
}

/// Text or bytes that SQLite copies within the call.
#[derive(Clone, Copy)]
pub(crate) enum RawCopy<'a> {
    Text(&'a str),
    Blob(&'a [u8]),
}

/// What SQLite counted for a statement since it was prepared, all executions together.
///
/// C: [Status parameters for prepared statements](https://sqlite.org/c3ref/c_stmtstatus_counter.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Steps forward in a full table scan: many of them ask for an index.
    pub fullscan_steps: i32,
    /// Sorts: an index would save them.
    pub sorts: i32,
    /// Rows put into automatic indexes.
    pub autoindexes: i32,
    /// Operations of the virtual machine.
    pub vm_steps: i32,
    /// Times it was prepared anew, after a schema change.
    pub reprepares: i32,
    /// Executions.
    pub runs: i32,
    /// Join steps that a Bloom filter saved.
    pub filter_hits: i32,
    /// Join steps that a Bloom filter did not save.
    pub filter_misses: i32,
    /// Bytes of memory that it holds now.
    pub memory_bytes: i32,
}

/// A cell could not be read. Which of the two it was is not carried along the way of those that can be read: ask
/// [`Row::is_out_of_memory`]; if not, there is no such column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellError;

impl Db {
    /// Prepares the first statement of `sql`. Returns it (`None` where there is nothing but blanks and comments) and
    /// the bytes of `sql` it took.
    pub(crate) fn prepare<'db>(
        &'db self,
        sql: &str,
        kind: Kind,
        site: &'static Location<'static>,
    ) -> Result<(Option<Stmt<'db>>, usize), Fault> {
        let entered = self.enter()?;
        let Ok(len) = c_int::try_from(sql.len()) else {
            return Err(Fault::new(FaultKind::TooBig { what: "SQL", bytes: sql.len() }));
        };
        // A kept statement should not sit on the lookaside slots that short-lived ones are fast with.
        let flags: c_uint = if kind == Kind::CachedStatement { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let mut statement = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: the connection is open (entered); `sql` is `len` readable bytes. c3ref/prepare.html: with a
        // positive nByte no terminator is needed, with 0 no statement is made.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(entered.db(), sql.as_ptr().cast(), len, flags, &raw mut statement, &raw mut tail)
        };
        if code != ffi::SQLITE_OK {
            return Err(self.fault(code));
        }
        let taken = if tail.is_null() { sql.len() } else { tail.addr() - sql.as_ptr().addr() };
        let Some(ptr) = NonNull::new(statement) else {
            return Ok((None, taken));
        };
        counts::opened(kind);
        // SAFETY: the statement was just made; reads a count kept in it.
        let parameter_count = unsafe { ffi::sqlite3_bind_parameter_count(ptr.as_ptr()) };
        let core = NonNull::from(Box::leak(Box::new(StmtCore {
            ptr,
            slot: self.next_slot(),
            kind,
            site,
            phase: Cell::new(Phase::Idle),
            bound: Bound::Nothing,
            columns: 0,
            parameter_count,
            sql: Box::default(),
            parameters: OnceCell::new(),
            marks: Vec::new(),
            names: OnceCell::new(),
            reprepares: 0,
            handles: Handles::default(),
        })));
        self.adopt(core);
        Ok((Some(Stmt { core, db: self }), taken))
    }

    /// Makes a parked statement usable again.
    ///
    /// # Panics
    ///
    /// If it was parked by another connection.
    pub(crate) fn unpark(&self, Parked { core, db }: Parked) -> Stmt<'_> {
        assert_eq!(db, self.id(), "a statement goes back to the connection that prepared it");
        Stmt { core, db: self }
    }
}

impl<'db> Stmt<'db> {
    #[inline(always)]
    fn core(&self) -> &StmtCore {
        // SAFETY: the core is freed only by `release`, which ends `self`, and by `Db::close`, which needs the connection
        // exclusively while `self` borrows it. Nothing else points to it but the list, which only close reads through.
        unsafe { self.core.as_ref() }
    }

    #[inline(always)]
    fn core_mut(&mut self) -> &mut StmtCore {
        // SAFETY: as in `core`; a core has one `Stmt`, borrowed exclusively here.
        unsafe { self.core.as_mut() }
    }

    /// Remembers the SQL, as the caller wrote it.
    pub(crate) fn with_sql(mut self, sql: &str) -> Self {
        self.core_mut().sql = sql.into();
        self
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core().sql
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.core().kind
    }

    pub(crate) fn parameter_count(&self) -> usize {
        self.core().parameter_count()
    }

    /// The names of the parameters, by index less one; `None` for those without.
    pub(crate) fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.core().parameter_names()
    }

    /// Starts an execution: what a forgotten one left is cleared first.
    #[inline]
    pub(crate) fn begin<'s, 'p>(&'s mut self) -> Result<Binding<'s, 'p>, Fault> {
        let db = self.db;
        let core = self.core_mut();
        core.repair(db)?;
        Ok(Binding { core, entered: db.enter()?, parameters: PhantomData })
    }

    /// An execution that owns its statement. What `bind` borrows must outlive the connection's borrow.
    pub(crate) fn into_cursor<E: From<Fault>>(
        mut self,
        bind: impl for<'s> FnOnce(Binding<'s, 'db>) -> Result<Binding<'s, 'db>, E>,
    ) -> Result<OwnedCursor<'db>, E> {
        let mut binding = bind(self.begin()?)?;
        binding.start();
        drop(binding);
        Ok(OwnedCursor(self))
    }

    /// Gives up the borrow of the connection, and keeps the statement for later.
    #[inline]
    pub(crate) fn park(mut self) -> Result<Parked, Fault> {
        let db = self.db;
        self.core_mut().repair(db)?;
        // The core lives on in the list: forgetting `self` keeps it from being released.
        Ok(Parked { core: ManuallyDrop::new(self).core, db: db.id() })
    }

    /// Finalizes, and returns the result code that Drop ignores.
    pub(crate) fn finalize(mut self) -> Result<(), Fault> {
        let db = self.db;
        self.core_mut().repair(db)?;
        let sql = std::mem::take(&mut self.core_mut().sql);
        match ManuallyDrop::new(self).release() {
            ffi::SQLITE_OK => Ok(()),
            code => Err(db.fault(code).in_sql(&sql)),
        }
    }

    /// Finalizes and frees: the end of `self`, for `finalize` and Drop.
    fn release(&mut self) -> c_int {
        self.db.disown(self.core().slot);
        // SAFETY: made by Box::leak in `Db::prepare`, and out of the list since the line above; the callers do not use
        // `self` again, and no cursor or row is alive: they borrow `self`.
        let core = unsafe { Box::from_raw(self.core.as_ptr()) };
        counts::closed(core.kind);
        if self.db.is_inherited() {
            return ffi::SQLITE_OK;
        }
        // SAFETY: the statement is ours and finalized here alone, as the core goes with it. c3ref/finalize.html: may be
        // called at any point of its life.
        unsafe { ffi::sqlite3_finalize(core.ptr.as_ptr()) }
    }

    pub(crate) fn column_count(&self) -> usize {
        // SAFETY: the statement is alive; reads memory only.
        let count = unsafe { ffi::sqlite3_column_count(self.core().ptr.as_ptr()) };
        to_usize(count)
    }

    pub(crate) fn column_names(&self) -> Result<&[Box<str>], Fault> {
        self.core().column_names()
    }

    /// The type a column was declared with, where it is a table's column.
    pub(crate) fn column_declared_type(&self, column: usize) -> Option<Box<str>> {
        let index = self.column_index(column)?;
        // SAFETY: the statement is alive and the index in range (c3ref/column_decltype.html).
        let text = unsafe { ffi::sqlite3_column_decltype(self.core().ptr.as_ptr(), index) };
        // SAFETY: NULL or valid until the statement is finalized, prepared anew or asked again; copied at once.
        unsafe { text::copy(text) }
    }

    /// Database, table and column that a column comes from, where it is a table's column.
    #[cfg(feature = "bundled")]
    pub(crate) fn column_origin(&self, column: usize) -> Option<(Box<str>, Box<str>, Box<str>)> {
        let index = self.column_index(column)?;
        let statement = self.core().ptr.as_ptr();
        // SAFETY: the statement is alive and the index in range (c3ref/column_database_name.html).
        let database = unsafe { ffi::sqlite3_column_database_name(statement, index) };
        // SAFETY: NULL or valid until the statement is finalized, prepared anew or asked again; copied at once.
        let database = unsafe { text::copy(database) }?;
        // SAFETY: the statement is alive and the index in range (c3ref/column_database_name.html).
        let table = unsafe { ffi::sqlite3_column_table_name(statement, index) };
        // SAFETY: NULL or valid until the next call on the statement; copied at once.
        let table = unsafe { text::copy(table) }?;
        // SAFETY: the statement is alive and the index in range (c3ref/column_database_name.html).
        let column = unsafe { ffi::sqlite3_column_origin_name(statement, index) };
        // SAFETY: NULL or valid until the next call on the statement; copied at once.
        let column = unsafe { text::copy(column) }?;
        Some((database, table, column))
    }

    /// A system SQLite may be compiled without SQLITE_ENABLE_COLUMN_METADATA.
    #[cfg(not(feature = "bundled"))]
    pub(crate) fn column_origin(&self, _column: usize) -> Option<(Box<str>, Box<str>, Box<str>)> {
        None
    }

    fn column_index(&self, column: usize) -> Option<c_int> {
        (column < self.column_count()).then(|| c_int::try_from(column).ok())?
    }

    /// A handle for the column of this name: this statement's number, and the handle's. `None` if there is none.
    pub(crate) fn column_handle(&mut self, name: &str) -> Result<Option<(u64, usize)>, Fault> {
        static NEXT_OWNER: AtomicU64 = AtomicU64::new(1);
        let Some(index) = find(self.core().column_names()?, name) else {
            return Ok(None);
        };
        let handles = &mut self.core_mut().handles;
        if handles.owner == 0 {
            handles.owner = NEXT_OWNER.fetch_add(1, Ordering::Relaxed);
        }
        let known = handles.columns.iter().position(|handle| &*handle.name == name);
        let number = known.unwrap_or_else(|| {
            handles.columns.push(Handle { name: name.into(), index: Some(index) });
            handles.columns.len() - 1
        });
        Ok(Some((handles.owner, number)))
    }

    pub(crate) fn is_readonly(&self) -> bool {
        // SAFETY: the statement is alive; reads memory only (c3ref/stmt_readonly.html).
        unsafe { ffi::sqlite3_stmt_readonly(self.core().ptr.as_ptr()) != 0 }
    }

    /// 0 for a statement, 1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN.
    pub(crate) fn explain_mode(&self) -> i32 {
        // SAFETY: the statement is alive; reads memory only (c3ref/stmt_isexplain.html).
        unsafe { ffi::sqlite3_stmt_isexplain(self.core().ptr.as_ptr()) }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            fullscan_steps: self.core().status(ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP),
            sorts: self.core().status(ffi::SQLITE_STMTSTATUS_SORT),
            autoindexes: self.core().status(ffi::SQLITE_STMTSTATUS_AUTOINDEX),
            vm_steps: self.core().status(ffi::SQLITE_STMTSTATUS_VM_STEP),
            reprepares: self.core().status(ffi::SQLITE_STMTSTATUS_REPREPARE),
            runs: self.core().status(ffi::SQLITE_STMTSTATUS_RUN),
            filter_hits: self.core().status(ffi::SQLITE_STMTSTATUS_FILTER_HIT),
            filter_misses: self.core().status(ffi::SQLITE_STMTSTATUS_FILTER_MISS),
            memory_bytes: self.memory_bytes(),
        }
    }

    /// Bytes of memory the statement holds.
    pub(crate) fn memory_bytes(&self) -> i32 {
        self.core().status(ffi::SQLITE_STMTSTATUS_MEMUSED)
    }
}

impl Drop for Stmt<'_> {
    fn drop(&mut self) {
        let db = self.db;
        // An error here is the forgotten execution's, which nobody waits for; the repair is complete all the same.
        let _ = self.core_mut().repair(db);
        self.release();
    }
}

impl StmtCore {
    /// Finalizes and frees a statement whose owner was forgotten.
    ///
    /// # Safety
    ///
    /// `core` is from a connection's list, and out of it; nothing that borrows the connection is alive.
    pub(super) unsafe fn finalize_forgotten(core: NonNull<Self>) -> Forgotten {
        // SAFETY: made by Box::leak in `Db::prepare`, and not freed: it was in the list.
        let core = unsafe { Box::from_raw(core.as_ptr()) };
        // What was bound without a copy may be gone: SQLite must not look at it again, and finalizing shows it to a
        // profile trace. So the bindings go first.
        // SAFETY: the statement is not finalized, as its core was in the list.
        unsafe { ffi::sqlite3_clear_bindings(core.ptr.as_ptr()) };
        // The result is the last step's error, not a reason to stop.
        // SAFETY: as above, and this is the only finalize.
        unsafe { ffi::sqlite3_finalize(core.ptr.as_ptr()) };
        counts::closed(core.kind);
        counts::forgotten(core.kind);
        Forgotten { kind: core.kind, site: core.site, sql: core.sql }
    }

    /// The statement's pointer, for a call that may reach the database.
    #[inline(always)]
    fn handle(&self, _entered: &Entered<'_>) -> *mut ffi::sqlite3_stmt {
        self.ptr.as_ptr()
    }

    fn parameter_count(&self) -> usize {
        to_usize(self.parameter_count)
    }

    fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.parameters.get_or_init(|| {
            (1..=self.parameter_count)
                .map(|index| {
                    // SAFETY: the statement is alive; c3ref/bind_parameter_name.html: NULL for a nameless parameter.
                    let name = unsafe { ffi::sqlite3_bind_parameter_name(self.ptr.as_ptr(), index) };
                    // SAFETY: NULL or the statement's own; copied at once.
                    unsafe { text::copy(name) }
                })
                .collect()
        })
    }

    fn column_names(&self) -> Result<&[Box<str>], Fault> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        // SAFETY: the statement is alive; reads memory only.
        let count = unsafe { ffi::sqlite3_column_count(self.ptr.as_ptr()) };
        let names = (0..count)
            .map(|index| {
                // SAFETY: the statement is alive and the index in range (c3ref/column_name.html).
                let name = unsafe { ffi::sqlite3_column_name(self.ptr.as_ptr(), index) };
                // SAFETY: NULL ("If sqlite3_malloc() fails") or valid until the statement is prepared anew or asked
                // again; copied at once.
                unsafe { text::copy(name) }.ok_or_else(Fault::no_memory)
            })
            .collect::<Result<Box<[_]>, _>>()?;
        Ok(self.names.get_or_init(|| names))
    }

    #[cold]
    #[inline(never)]
    fn fault(&self, db: &Db, code: c_int) -> Fault {
        db.fault(code).in_sql(&self.sql)
    }

    fn status(&self, operation: c_int) -> c_int {
        // SAFETY: the statement is alive; c3ref/stmt_status.html: reads a counter, without resetting it.
        unsafe { ffi::sqlite3_stmt_status(self.ptr.as_ptr(), operation, 0) }
    }

    #[inline]
    fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle && self.bound == Bound::Nothing
    }

    #[inline]
    fn repair(&mut self, db: &Db) -> Result<(), Fault> {
        if self.is_idle() { Ok(()) } else { self.repair_forgotten(db) }
    }

    /// An execution was left without its Drop (`mem::forget`), or a binding unfinished: end it. What it bound may be
    /// gone, and a reset shows the bindings to a profile trace, so they are cleared first and nothing steps between.
    #[cold]
    #[inline(never)]
    fn repair_forgotten(&mut self, db: &Db) -> Result<(), Fault> {
        if self.phase.get() != Phase::Idle {
            counts::closed(Kind::Rows);
            counts::forgotten(Kind::Rows);
            db.cursors.set(db.cursors.get().saturating_sub(1));
        }
        self.bound = Bound::Nothing;
        self.columns = 0;
        let was_failed = self.phase.get() == Phase::Failed;
        let was_running = self.phase.get() != Phase::Idle;
        self.phase.set(Phase::Idle);
        if db.is_inherited() {
            return Ok(());
        }
        // SAFETY: the statement is alive; c3ref/clear_bindings.html.
        unsafe { ffi::sqlite3_clear_bindings(self.ptr.as_ptr()) };
        if !was_running {
            return Ok(());
        }
        // SAFETY: the statement is alive; c3ref/reset.html.
        let code = unsafe { ffi::sqlite3_reset(self.ptr.as_ptr()) };
        let result = if code == ffi::SQLITE_OK || was_failed { Ok(()) } else { Err(self.fault(db, code)) };
        tracing::error!(target: "finalite::leak", sql = &*self.sql, "rows were forgotten; their statement is reset");
        result
    }

    /// From a row to the next. `false` if there is anything else to do, which is for `step`: a loop over rows has one way
    /// out, and nothing but the step in it.
    #[inline(always)]
    fn step_on(&mut self, db: &Db) -> bool {
        if self.phase.get() != Phase::Row {
            return false;
        }
        let Some(entered) = db.try_enter() else {
            return false;
        };
        let code = self.call_step(&entered);
        if code != ffi::SQLITE_ROW {
            self.phase.set(Phase::Left(code));
            self.columns = 0;
        }
        code == ffi::SQLITE_ROW
    }

    #[inline(always)]
    fn call_step(&mut self, entered: &Entered<'_>) -> c_int {
        // SAFETY: the statement is alive and its bindings too (`Cursor` holds their borrow); no row of it is, since
        // a step needs the cursor exclusively. c3ref/step.html.
        unsafe { ffi::sqlite3_step(self.handle(entered)) }
    }

    /// The next row; `None` after the last. Result and row are two words, and travel in registers.
    fn step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        match self.phase.get() {
            Phase::Started => self.first_step(db),
            Phase::Left(code) => self.last_step(db, code),
            Phase::Row => {
                let _entered = db.enter()?;
                if self.step_on(db) { Ok(Some(Row(self))) } else { self.step(db) }
            }
            Phase::OutOfMemory => {
                self.phase.set(Phase::Failed);
                self.columns = 0;
                Err(Fault::no_memory().in_sql(&self.sql))
            }
            // SQLite would run the statement again (c3ref/step.html, since 3.6.23.1): nobody asked for that.
            Phase::Idle | Phase::Done | Phase::Failed => Ok(None),
        }
    }

    /// A schema change may have prepared the statement anew within the first step.
    #[inline]
    fn first_step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        let code = self.call_step(&db.enter()?);
        if self.names.get().is_some() || !self.handles.columns.is_empty() {
            self.refresh_names();
        }
        if code != ffi::SQLITE_ROW {
            return self.last_step(db, code);
        }
        self.phase.set(Phase::Row);
        // SAFETY: the statement is alive; c3ref/data_count.html: the columns of the current row.
        self.columns = unsafe { ffi::sqlite3_data_count(self.ptr.as_ptr()) };
        Ok(Some(Row(self)))
    }

    #[inline]
    fn last_step(&mut self, db: &Db, code: c_int) -> Result<Option<Row<'_>>, Fault> {
        self.columns = 0;
        if code == ffi::SQLITE_DONE {
            self.phase.set(Phase::Done);
            return Ok(None);
        }
        self.phase.set(Phase::Failed);
        Err(self.fault(db, code))
    }

    fn refresh_names(&mut self) {
        let reprepares = self.status(ffi::SQLITE_STMTSTATUS_REPREPARE);
        if reprepares == self.reprepares {
            return;
        }
        self.reprepares = reprepares;
        self.names.take();
        if self.handles.columns.is_empty() {
            return;
        }
        let mut handles = std::mem::take(&mut self.handles.columns);
        let names = self.column_names().ok();
        for handle in &mut handles {
            handle.index = names.and_then(|names| find(names, &handle.name));
        }
        if names.is_none() {
            // Out of memory: the handles lead nowhere in this execution, and are looked at again in the next.
            self.reprepares = -1;
        }
        self.handles.columns = handles;
    }

    /// Ends the execution. The error is the reset's, unless the last step returned it already.
    #[inline]
    fn finish(&mut self, db: &Db) -> Result<(), Fault> {
        if self.phase.get() == Phase::Idle {
            return Ok(());
        }
        db.cursors.set(db.cursors.get().saturating_sub(1));
        counts::closed(Kind::Rows);
        self.columns = 0;
        let was_failed = self.phase.get() == Phase::Failed;
        self.phase.set(Phase::Idle);
        if db.is_inherited() {
            self.bound = Bound::Nothing;
            return Ok(());
        }
        // SAFETY: the statement is alive and what it borrowed too; c3ref/reset.html.
        let code = unsafe { ffi::sqlite3_reset(self.ptr.as_ptr()) };
        let result = if code == ffi::SQLITE_OK || was_failed { Ok(()) } else { Err(self.fault(db, code)) };
        if self.bound != Bound::Nothing {
            self.bound = Bound::Nothing;
            // SAFETY: as above; "sqlite3_reset() does not reset the bindings" (c3ref/clear_bindings.html).
            unsafe { ffi::sqlite3_clear_bindings(self.ptr.as_ptr()) };
        }
        result
    }

    fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        // SAFETY: the statement is alive, and what is bound too: the callers hold a `Binding` or a `Cursor`.
        let text = unsafe { ffi::sqlite3_expanded_sql(self.ptr.as_ptr()) };
        // SAFETY: c3ref/expanded_sql.html: "obtained from sqlite3_malloc and must be freed by the application", or
        // NULL where there is not enough memory.
        let text = unsafe { SqliteString::from_raw(text) };
        Ok(text.ok_or_else(Fault::no_memory)?.to_text())
    }
}

/// The parameters of one execution. What is bound without a copy must live for `'p`.
///
/// Dropped unfinished, it clears what was bound.
pub(crate) struct Binding<'s, 'p> {
    core: &'s mut StmtCore,
    /// One entry for all parameters: binding reaches the statement's own memory alone.
    entered: Entered<'s>,
    parameters: PhantomData<&'p ()>,
}

impl<'s, 'p> Binding<'s, 'p> {
    pub(crate) fn parameter_count(&self) -> usize {
        self.core.parameter_count()
    }

    pub(crate) fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.core.parameter_names()
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core.sql
    }

    /// Binds one parameter, 1-based, without copying. An index out of range is SQLite's own error (`SQLITE_RANGE`).
    #[inline(always)]
    pub(crate) fn bind(&mut self, index: usize, param: RawParam<'p>) -> Result<(), Fault> {
        let statement = self.core.handle(&self.entered);
        let index = to_index(index);
        // The mark comes before the call, so that no path forgets it.
        if matches!(param, RawParam::Text(_) | RawParam::Blob(_)) {
            self.core.bound = Bound::Memory;
        }
        let code = match param {
            RawParam::Null => {
                // SAFETY: the statement is alive and not running: `begin` repaired it (c3ref/bind_blob.html).
                unsafe { ffi::sqlite3_bind_null(statement, index) }
            }
            RawParam::Integer(value) => {
                // SAFETY: the statement is alive and not running, as for NULL.
                unsafe { ffi::sqlite3_bind_int64(statement, index, value) }
            }
            RawParam::Real(value) => {
                // SAFETY: the statement is alive and not running, as for NULL.
                unsafe { ffi::sqlite3_bind_double(statement, index, value) }
            }
            RawParam::ZeroBlob(bytes) => {
                // SAFETY: as above; too long is SQLITE_TOOBIG.
                unsafe { ffi::sqlite3_bind_zeroblob64(statement, index, bytes) }
            }
            RawParam::Text(text) => bind_text(statement, index, text, ffi::SQLITE_STATIC()),
            RawParam::Blob(blob) => bind_blob(statement, index, blob, ffi::SQLITE_STATIC()),
        };
        self.check(code)
    }

    /// Binds a copy of text or bytes, 1-based.
    #[inline]
    pub(crate) fn bind_copy(&mut self, index: usize, value: RawCopy<'_>) -> Result<(), Fault> {
        let statement = self.core.handle(&self.entered);
        self.core.bound = Bound::Memory;
        let code = match value {
            RawCopy::Text(text) => bind_text(statement, to_index(index), text, ffi::SQLITE_TRANSIENT()),
            RawCopy::Blob(blob) => bind_blob(statement, to_index(index), blob, ffi::SQLITE_TRANSIENT()),
        };
        self.check(code)
    }

    #[inline(always)]
    fn check(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.core.fault(self.entered.get(), code)) }
    }

    /// Forgets which parameters have a value.
    pub(crate) fn clear_marks(&mut self) {
        let words = self.core.parameter_count().div_ceil(64);
        self.core.marks.clear();
        self.core.marks.resize(words, 0);
    }

    /// Remembers that a parameter has a value; 1-based, in range.
    pub(crate) fn mark(&mut self, index: usize) {
        self.core.marks[(index - 1) / 64] |= 1 << ((index - 1) % 64);
    }

    /// Whether a parameter has a value; 1-based, in range.
    pub(crate) fn is_marked(&self, index: usize) -> bool {
        self.core.marks[(index - 1) / 64] >> ((index - 1) % 64) & 1 == 1
    }

    /// The SQL with the values bound so far written into it.
    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.core.expanded_sql()
    }

    /// Runs: from here on the execution is the cursor's.
    pub(crate) fn run(mut self) -> Cursor<'s>
    where
        'p: 's,
    {
        self.start();
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so the exclusive borrow is read out once.
        let core = unsafe { ptr::read(&raw const this.core) };
        Cursor { core, db: this.entered.get() }
    }

    fn start(&mut self) {
        counts::opened(Kind::Rows);
        let db = self.entered.get();
        db.cursors.set(db.cursors.get() + 1);
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

type Destructor = Option<unsafe extern "C" fn(*mut std::ffi::c_void)>;

// The two below are called by `Binding::bind` alone, which sets `StmtCore::bound` to match the destructor: a static
// binding lives for `'p`, and is cleared before SQLite can look at it after that.

#[inline]
fn bind_text(statement: *mut ffi::sqlite3_stmt, index: c_int, text: &str, destructor: Destructor) -> c_int {
    // SAFETY: the statement is alive and not running; `text` is its length in bytes of UTF-8, more than an int is
    // SQLITE_TOOBIG. c3ref/bind_blob.html: SQLITE_STATIC: "a static buffer", which `'p` makes it; SQLITE_TRANSIENT:
    // SQLite copies. A `str` pointer is never NULL, so empty text stays text.
    unsafe { ffi::sqlite3_bind_text64(statement, index, text.as_ptr().cast(), text.len() as u64, destructor, UTF8) }
}

#[inline]
fn bind_blob(statement: *mut ffi::sqlite3_stmt, index: c_int, blob: &[u8], destructor: Destructor) -> c_int {
    // SAFETY: as in `bind_text`; a slice pointer is never NULL, so an empty blob stays a blob.
    unsafe { ffi::sqlite3_bind_blob64(statement, index, blob.as_ptr().cast(), blob.len() as u64, destructor) }
}

/// `SQLITE_UTF8`, in the type that `sqlite3_bind_text64` takes.
const UTF8: u8 = 1;
const _: () = assert!(ffi::SQLITE_UTF8 == 1);

/// One execution of a statement. Drop ends it.
pub(crate) struct Cursor<'stmt> {
    core: &'stmt mut StmtCore,
    db: &'stmt Db,
}

/// One execution, together with its statement.
pub(crate) struct OwnedCursor<'db>(Stmt<'db>);

/// The row that the last step found: one word, and gone before the next step.
#[derive(Clone, Copy)]
pub(crate) struct Row<'row>(&'row StmtCore);

impl Cursor<'_> {
    /// From a row to the next; `None` if there is anything else to do, which is for `step`.
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> bool {
        self.core.step_on(self.db)
    }

    /// The row that the last step found; one without columns if it found none.
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        Row(self.core)
    }

    /// Whether the first step is still to come.
    #[inline]
    pub(crate) fn is_unstepped(&self) -> bool {
        self.core.phase.get() == Phase::Started
    }

    /// The next row; `None` after the last.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Row<'_>>, Fault> {
        self.core.step(self.db)
    }

    /// Resets, and returns the code that Drop only logs. No further step is made.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.core.finish(self.db)
    }

    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.core.expanded_sql()
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core.sql
    }
}

impl Drop for Cursor<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Err(fault) = self.core.finish(self.db) {
            log_reset(fault, &self.core.sql);
        }
    }
}

impl OwnedCursor<'_> {
    /// From a row to the next; `None` if there is anything else to do, which is for `step`.
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> bool {
        let db = self.0.db;
        self.0.core_mut().step_on(db)
    }

    /// The row that the last step found; one without columns if it found none.
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        Row(self.0.core())
    }

    /// Whether the first step is still to come.
    #[inline]
    pub(crate) fn is_unstepped(&self) -> bool {
        self.0.core().phase.get() == Phase::Started
    }

    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Row<'_>>, Fault> {
        let db = self.0.db;
        let core = self.0.core_mut();
        core.step(db)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        let db = self.0.db;
        self.0.core_mut().finish(db)
    }

    pub(crate) fn statement(&self) -> &Stmt<'_> {
        &self.0
    }
}

impl Drop for OwnedCursor<'_> {
    fn drop(&mut self) {
        if let Err(fault) = self.finish() {
            log_reset(fault, self.0.sql());
        }
    }
}

/// A commit that fails shows at the reset (a deferred foreign key after RETURNING); whoever dropped the rows cannot
/// be told otherwise.
#[cold]
fn log_reset(fault: Fault, sql: &str) {
    if let (FaultKind::Sqlite { code, message, .. }, _) = fault.into_parts() {
        tracing::error!(target: "finalite::statement", sql, code, %message, "ended with an error that nobody waited for");
    }
}

impl<'row> Row<'row> {
    #[inline]
    pub(crate) fn column_count(self) -> usize {
        to_usize(self.0.columns)
    }

    /// The value of a column, 0-based.
    #[inline(always)]
    pub(crate) fn value(self, column: usize) -> Result<ValueRef<'row>, CellError> {
        let index = match c_int::try_from(column) {
            Ok(index) if index < self.0.columns => index,
            _ => return Err(CellError),
        };
        // SAFETY: the statement is alive; `Row` exists only after SQLITE_ROW and `columns` is the row's own count,
        // the two conditions of c3ref/column_blob.html.
        let value = unsafe { ffi::sqlite3_column_value(self.0.ptr.as_ptr(), index) };
        // SAFETY: the value is unprotected, which is allowed as the connection is used by this thread alone. It lives
        // until the next step, reset or finalize; those need the cursor or the statement, which `'row` keeps borrowed.
        // The cell is read as its own type only, here, so what was handed out stays.
        match unsafe { value::read(value) } {
            Ok(value) => Ok(value),
            Err(OutOfMemory) => Err(self.out_of_memory(index)),
        }
    }

    /// The failed conversion left a mark on the connection that would fail a stranger's next call; a `column`
    /// function takes it off, a `value` function does not.
    #[cold]
    #[inline(never)]
    fn out_of_memory(self, index: c_int) -> CellError {
        // SAFETY: as in `value`; reading the type converts nothing.
        unsafe { ffi::sqlite3_column_type(self.0.ptr.as_ptr(), index) };
        self.0.phase.set(Phase::OutOfMemory);
        CellError
    }

    /// Whether a cell of this row could not be read for lack of memory.
    pub(crate) fn is_out_of_memory(self) -> bool {
        self.0.phase.get() == Phase::OutOfMemory
    }

    pub(crate) fn column_names(self) -> Result<&'row [Box<str>], Fault> {
        self.0.column_names()
    }

    /// The 0-based index of the first column of this name, ASCII letters compared without case.
    pub(crate) fn find_column(self, name: &str) -> Result<Option<usize>, Fault> {
        Ok(find(self.0.column_names()?, name))
    }

    /// Where a handle points; `Err` with the name if that column is gone, `None` if it is another statement's handle.
    #[inline]
    pub(crate) fn resolve(self, owner: u64, number: usize) -> Option<Result<usize, &'row str>> {
        let handles = &self.0.handles;
        if handles.owner != owner {
            return None;
        }
        let handle = handles.columns.get(number)?;
        Some(handle.index.ok_or(&*handle.name))
    }

    pub(crate) fn sql(self) -> &'row str {
        &self.0.sql
    }
}

fn find(names: &[Box<str>], name: &str) -> Option<usize> {
    names.iter().position(|candidate| candidate.eq_ignore_ascii_case(name))
}

/// A parameter's index; what no statement can have becomes 0, which SQLite refuses.
#[inline(always)]
fn to_index(index: usize) -> c_int {
    c_int::try_from(index).unwrap_or(0)
}

/// A count from SQLite, which is never negative.
#[inline(always)]
fn to_usize(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}
