//! Prepared statements.
//!
//! `Stmt` owns a prepared statement and finalizes it. `Binding` sets the parameters of one execution. `Cursor` is the
//! execution; dropping it resets the statement, and then clears the bindings that hold memory. `Row` is the row of the
//! last step.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::ffi::{c_char, c_int, c_uint};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::allocator::Account;
use super::db::{Db, Entered};
use super::limit::Execution;
use super::text::{self, SqliteString};
use super::{dispatch, ffi};
use crate::error::{Fault, FaultKind};
use crate::sql;
use crate::track::activity::Start;
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, Taint, counts, shielded};

mod binding;
mod column_heads;
mod cursor;
mod plans;
#[cfg(feature = "scan-status")]
mod scan_status;

pub(crate) use binding::{Binding, RawCopy, RawList};
pub(crate) use column_heads::ColumnHeads;
pub(crate) use cursor::{Borrowed, CellError, Cursor, Executed, Row};
pub(crate) use plans::Plans;

/// A prepared statement. Drop finalizes it.
pub(crate) struct Stmt<'db> {
    /// Created by `Db::prepare`, and in the connection's list. It is freed by `release`, which ends `self`, or by
    /// `Db::close`, when no value that borrows the connection exists.
    core: NonNull<StmtCore>,
    db: &'db Db,
}

/// A cached statement, without the borrow of its connection. It makes no SQLite call. Only [`Db::unpark`] makes it
/// usable again; dropping it leaves the statement to [`Db::close`]. There is exactly one for each parked statement, and
/// `unpark` consumes it.
pub(crate) struct Parked {
    core: NonNull<StmtCore>,
    db: u64,
}

// SAFETY: a parked statement makes no call: only the `Db` it belongs to uses the pointer in it (`unpark` compares the
// ids), on the thread that uses the `Db` (rules 3, 12). What the core holds is `Send` by itself, but for the
// statement's pointer.
unsafe impl Send for Parked {}

/// State of a statement, whether parked or not. The connection's list points to it, so that closing the connection also
/// finds and frees forgotten statements.
pub(crate) struct StmtCore {
    ptr: NonNull<ffi::sqlite3_stmt>,
    slot: u32,
    kind: HandleKind,
    site: &'static Location<'static>,
    phase: Cell<Phase>,
    /// Whether the bindings hold memory, which a reset does not clear.
    bound: Bound,
    /// Number of columns of the current row; 0 if there is none.
    columns: c_int,
    parameter_count: usize,
    /// Whether the result has columns. A schema change may change their number, but not whether there are any.
    has_columns: bool,
    /// Whether an execution is one step and a reset: an INSERT, UPDATE or DELETE without rows, with which nothing is stored
    /// that is lost when SQLite prepares it again. SQLite sets the number of changes at its end.
    is_plain: Cell<bool>,
    /// Whether something is stored with the statement that is lost when SQLite prepares it again.
    has_details: Cell<bool>,
    sql: Box<str>,
    parameters: OnceCell<Box<[Option<Box<str>>]>>,
    /// Whether the SQL contains each parameter; computed on demand.
    in_use: OnceCell<Box<[bool]>>,
    /// Bit set of the parameters that have a value, used while parameters are set by name. The allocation is kept for
    /// the next execution.
    marks: Vec<u64>,
    names: OnceCell<Box<[Box<str>]>>,
    heads: OnceCell<Arc<ColumnHeads>>,
    /// `SQLITE_STMTSTATUS_REPREPARE` when `names`, `heads`, `handles`, `plans` and `findings` were last checked.
    reprepares: c_int,
    /// Start of the execution, if it is measured. It is stored here, so that forgotten rows leak nothing.
    started: Option<Start>,
    handles: Handles,
    plans: Plans,
    /// Data of the layers above about the statement as currently prepared.
    findings: OnceCell<Box<dyn Any + Send>>,
    recorded: Option<Recorded>,
    taint: Taint,
    effect: Effect,
    /// Limits of the last execution that had any.
    limits: Option<Box<Execution>>,
}

/// Effect of a statement on transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    /// It writes, which is a transaction of its own where none is open.
    Writes,
    /// It begins or rolls back.
    BeginsOrRollsBack,
    /// It may commit.
    Commits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Parameters are bound, and no step was made.
    Started,
    Row,
    /// There is a row, as in `Row`, of an execution that has limits: `StmtCore::limits`.
    Limited,
    /// A cell could not be read because memory ran out; the next step returns that error.
    OutOfMemory,
    /// The last step returned this code, which is not handled yet.
    Left(c_int),
    Done,
    /// The last step failed, and its error was returned.
    Failed,
}

/// Kind of values that the bindings hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// At most numbers and NULLs, which may stay bound.
    Nothing,
    /// Copies owned by SQLite, or memory of the caller, which SQLite must not read after the caller's borrow ends.
    Memory,
}

/// Columns resolved by name once: a handle's number is its index here. They are resolved again when SQLite re-prepares
/// the statement.
#[derive(Default)]
struct Handles {
    /// Id that distinguishes this statement from every other; 0 until a handle is requested.
    owner: u64,
    columns: Vec<Handle>,
}

struct Handle {
    name: Box<str>,
    index: Option<usize>,
}

/// SQLite's counters for a statement since it was prepared, summed over all executions.
///
/// C: [Status parameters for prepared statements](https://sqlite.org/c3ref/c_stmtstatus_counter.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Steps forward in a full table scan: a large number suggests that an index is missing.
    pub fullscan_steps: i32,
    /// Sort operations: an index could avoid them.
    pub sorts: i32,
    /// Rows inserted into automatic indexes.
    pub autoindexes: i32,
    /// Operations of the virtual machine.
    pub vm_steps: i32,
    /// Times the statement was re-prepared after a schema change.
    pub reprepares: i32,
    /// Executions.
    pub runs: i32,
    /// Join steps that a Bloom filter skipped.
    pub filter_hits: i32,
    /// Join steps that a Bloom filter did not skip.
    pub filter_misses: i32,
    /// Bytes of memory that the statement holds now.
    pub memory_bytes: i32,
}

impl Db {
    /// Prepares the first statement of `sql`. Returns it (`None` if there are only blanks and comments) and the number
    /// of bytes of `sql` it consumed.
    pub(crate) fn prepare<'db>(
        &'db self,
        sql: &str,
        is_for_cache: bool,
        site: &'static Location<'static>,
    ) -> Result<(Option<Stmt<'db>>, usize), Fault> {
        let entered = self.enter()?;
        let Ok(len) = c_int::try_from(sql.len()) else {
            return Err(Fault::new(FaultKind::TooBig { what: "SQL", bytes: sql.len() }));
        };
        // A cached statement should not occupy the lookaside slots, which speed up short-lived statements. With this flag,
        // SQLite takes none at all while it prepares; with the first statement it reads the schema, too.
        let is_first = !self.has_prepared.get();
        let flags: c_uint = if is_for_cache && !is_first { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let mut statement = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        let mut call = || {
            let _charge = entered.charge();
            // SAFETY: the connection is open, as `entered` shows (rules 19, 20); `sql` is `len` readable bytes
            // (rule 22). c3ref/prepare.html: with a positive nByte no terminator is needed, with 0 or on failure no
            // statement is made.
            unsafe {
                ffi::sqlite3_prepare_v3(
                    entered.db(),
                    sql.as_ptr().cast(),
                    len,
                    flags,
                    &raw mut statement,
                    &raw mut tail,
                )
            }
        };
        let mut code = self.while_preparing(&mut call);
        // Each is added once.
        while code == ffi::SQLITE_ERROR {
            code = match self.create_list(&entered, sql) {
                Ok(true) => self.while_preparing(&mut call),
                Ok(false) => break,
                Err(failed) => failed,
            };
        }
        if code != ffi::SQLITE_OK {
            code = self.again_after_recovery(code, call);
        }
        if code != ffi::SQLITE_OK {
            self.resume();
            return Err(self.fault(code));
        }
        let taken = if tail.is_null() { sql.len() } else { tail.addr() - sql.as_ptr().addr() };
        let Some(ptr) = NonNull::new(statement) else {
            return Ok((None, taken));
        };
        if is_first {
            self.has_prepared.set(sql::is_select(sql) || !sql::starts_with_one_of(sql, &["PRAGMA", "BEGIN"]));
        }
        let kind = if is_for_cache { HandleKind::CachedStatement } else { HandleKind::Statement };
        counts::opened(kind);
        // SAFETY: the statement was just prepared and is not finalized, and only this function has it (rule 19); the
        // call reads a count stored in it (rule 20).
        let parameter_count = unsafe { ffi::sqlite3_bind_parameter_count(ptr.as_ptr()) };
        // SAFETY: the statement was just prepared and is not finalized, as above (rule 19); the call reads a count
        // stored in it (rule 20).
        let has_columns = unsafe { ffi::sqlite3_column_count(ptr.as_ptr()) } > 0;
        let core = NonNull::from(Box::leak(Box::new(StmtCore {
            ptr,
            slot: self.next_slot(),
            kind,
            site,
            phase: Cell::new(Phase::Idle),
            bound: Bound::Nothing,
            columns: 0,
            parameter_count: to_usize(parameter_count),
            has_columns,
            is_plain: Cell::new(false),
            has_details: Cell::new(false),
            sql: Box::default(),
            parameters: OnceCell::new(),
            in_use: OnceCell::new(),
            marks: Vec::new(),
            names: OnceCell::new(),
            heads: OnceCell::new(),
            reprepares: 0,
            started: None,
            handles: Handles::default(),
            plans: Plans::default(),
            findings: OnceCell::new(),
            recorded: None,
            taint: Taint::NONE,
            effect: Effect::None,
            limits: None,
        })));
        self.adopt(core, ptr);
        let statement = Stmt { core, db: self };
        // SQLite evaluates functions of constants while it plans, and ignores their errors.
        self.resume();
        Ok((Some(statement), taken))
    }

    /// Makes a parked statement usable again.
    ///
    /// # Panics
    ///
    /// If another connection parked it.
    pub(crate) fn unpark(&self, Parked { core, db }: Parked) -> Stmt<'_> {
        assert_eq!(db, self.parking(), "a statement goes back to the connection that prepared it");
        Stmt { core, db: self }
    }
}

impl<'db> Stmt<'db> {
    #[inline(always)]
    fn core(&self) -> &StmtCore {
        // SAFETY: the core is freed only by `release`, which ends `self`, and by `Db::close`, which needs the
        // connection exclusively while `self` borrows it (rule 19). The only other pointer to it is in the list, which
        // only close dereferences (rule 3).
        unsafe { self.core.as_ref() }
    }

    #[inline(always)]
    fn core_mut(&mut self) -> &mut StmtCore {
        // SAFETY: as in `core` (rule 19); a core has one `Stmt`, borrowed exclusively here (rule 3).
        unsafe { self.core.as_mut() }
    }

    /// Stores the SQL in the form that may be shown, and records the statement with it.
    ///
    /// `taint`: lasting changes that running it makes to the connection.
    pub(crate) fn with_sql(mut self, sql: &str, taint: Taint) -> Self {
        let db = self.db;
        let effect = self.effect(sql);
        let core = self.core_mut();
        let is_plain = effect == Effect::Writes
            && !core.has_columns
            && taint == Taint::NONE
            && sql::starts_with_one_of(sql, &["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"]);
        core.is_plain.set(is_plain);
        core.sql = sql.into();
        core.taint = taint;
        core.effect = effect;
        if registry::is_recording() {
            core.recorded = db.record(core.kind, registry::new_id(), Some(db.id()), core.site, Some(sql));
            if let Some(recorded) = &core.recorded {
                db.describe(core.slot, recorded);
            }
        }
        self
    }

    fn effect(&self, sql: &str) -> Effect {
        let is_one_of = |keywords: &[&str]| sql::starts_with_one_of(sql, keywords);
        let is_readonly = self.is_readonly();
        if is_readonly && self.core().has_columns {
            Effect::None
        } else if is_one_of(&["COMMIT", "END", "RELEASE"]) {
            Effect::Commits
        } else if is_one_of(&["BEGIN", "ROLLBACK", "SAVEPOINT"]) {
            Effect::BeginsOrRollsBack
        } else if is_readonly || is_one_of(&["PRAGMA", "EXPLAIN"]) {
            Effect::None
        } else {
            Effect::Writes
        }
    }

    /// Whether SQLite will prepare the statement again before its next first step, without having looked at the file.
    pub(crate) fn is_expired(&self) -> bool {
        self.core().is_expired()
    }

    /// Returns the data stored with the statement, see [`Row::findings`].
    pub(crate) fn findings<T: Any + Send + Default>(&self) -> &T {
        self.core().findings()
    }

    pub(crate) fn has_findings(&self) -> bool {
        self.core().findings.get().is_some()
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core().sql
    }

    /// Returns the source location that prepared it.
    #[inline]
    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.core().site
    }

    pub(crate) fn parameter_count(&self) -> usize {
        self.core().parameter_count
    }

    /// Returns the names of the parameters, by index minus one; `None` for a nameless parameter.
    pub(crate) fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.core().parameter_names()
    }

    /// Starts an execution, after ending a forgotten one.
    #[inline]
    pub(crate) fn begin<'s, 'p>(&'s mut self) -> Result<Binding<'s, 'p>, Fault> {
        let db = self.db;
        let core = self.core_mut();
        core.repair(db)?;
        Ok(Binding::new(core, db.enter()?))
    }

    /// Prepares for executions one after the other.
    pub(crate) fn repeat<'s, 'p>(&'s mut self) -> Result<Repetition<'s, 'p, 'db>, Fault> {
        let db = self.db;
        self.core_mut().repair(db)?;
        Ok(Repetition { statement: self, parameters: PhantomData })
    }

    /// Starts an execution that owns its statement. Values borrowed by `bind` must outlive the borrow of the
    /// connection.
    pub(crate) fn into_cursor<'p: 'db, E: From<Fault>>(
        mut self,
        bind: impl for<'s> FnOnce(Binding<'s, 'p>) -> Result<Binding<'s, 'p>, E>,
    ) -> Result<Cursor<Self>, E> {
        let mut binding = bind(self.begin()?)?;
        binding.start();
        drop(binding);
        Ok(Cursor::own(self))
    }

    /// Releases the borrow of the connection, and keeps the statement for later use.
    #[inline]
    pub(crate) fn park(mut self) -> Result<Parked, Fault> {
        let db = self.db;
        self.core_mut().repair(db)?;
        // The core stays in the list: forgetting `self` prevents its release.
        Ok(Parked { core: ManuallyDrop::new(self).core, db: db.parking() })
    }

    /// Finalizes the statement, and returns the result code that Drop ignores.
    pub(crate) fn finalize(mut self) -> Result<(), Fault> {
        let db = self.db;
        self.core_mut().repair(db)?;
        let sql = std::mem::take(&mut self.core_mut().sql);
        match ManuallyDrop::new(self).release() {
            ffi::SQLITE_OK => Ok(()),
            code => Err(db.fault(code).in_sql(&sql)),
        }
    }

    /// Finalizes and frees the statement. It ends `self`, for `finalize` and Drop.
    fn release(&mut self) -> c_int {
        self.db.disown(self.core().slot);
        // SAFETY: created by Box::leak in `Db::prepare`, and removed from the list by the line above, so `self` is its
        // only owner (rules 3, 19). The callers do not use `self` again, and no cursor or row exists: they borrow
        // `self` (rule 21).
        let core = unsafe { Box::from_raw(self.core.as_ptr()) };
        counts::closed(core.kind);
        if self.db.is_inherited() {
            return ffi::SQLITE_OK;
        }
        let charge = self.db.charge();
        // SAFETY: `self` owned the statement, and this is its only finalize, as the core is freed with it (rule 19).
        // The callers repaired it (rule 2), and it is not inherited (checked above, rule 12). c3ref/finalize.html: may
        // be called at any point of the statement's life.
        let code = unsafe { ffi::sqlite3_finalize(core.ptr.as_ptr()) };
        drop(charge);
        // The last statement of a module that was removed has SQLite release the module.
        if self.db.is_disturbed() {
            self.db.settle_callbacks();
        }
        code
    }

    /// Whether its result has columns; a statement without columns returns no rows.
    #[inline]
    pub(crate) fn has_columns(&self) -> bool {
        self.core().has_columns
    }

    pub(crate) fn column_count(&self) -> usize {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads a count stored in it
        // (rule 20).
        let count = unsafe { ffi::sqlite3_column_count(self.core().ptr.as_ptr()) };
        to_usize(count)
    }

    pub(crate) fn column_names(&self) -> Result<&[Box<str>], Fault> {
        self.core().column_names()
    }

    /// Returns the declared type of a column, if it is a table's column.
    pub(crate) fn column_declared_type(&self, column: usize) -> Option<Box<str>> {
        self.core().read_declared_type(column)
    }

    /// Returns the database, table and column from which a result column comes, if it is a table's column.
    #[cfg(feature = "bundled")]
    pub(crate) fn column_origin(&self, column: usize) -> Option<(Box<str>, Box<str>, Box<str>)> {
        let index = self.column_index(column)?;
        let statement = self.core().ptr.as_ptr();
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19), and `column_index` checked
        // the index; reads memory (rule 20, c3ref/column_database_name.html).
        let database = unsafe { ffi::sqlite3_column_database_name(statement, index) };
        // SAFETY: NULL, or a C string that is valid until the statement is finalized or re-prepared, or the same is
        // asked in another encoding (c3ref/column_database_name.html); copied immediately (rule 22).
        let database = unsafe { text::copy(database) }?;
        // SAFETY: as for the database's name: `self` borrows the core, and the index is in range (rules 19, 20).
        let table = unsafe { ffi::sqlite3_column_table_name(statement, index) };
        // SAFETY: NULL, or valid as long as the database's name above; copied immediately (rule 22).
        let table = unsafe { text::copy(table) }?;
        // SAFETY: as for the database's name: `self` borrows the core, and the index is in range (rules 19, 20).
        let column = unsafe { ffi::sqlite3_column_origin_name(statement, index) };
        // SAFETY: NULL, or valid as long as the database's name above; copied immediately (rule 22).
        let column = unsafe { text::copy(column) }?;
        Some((database, table, column))
    }

    /// Returns `None`: a system SQLite may be compiled without `SQLITE_ENABLE_COLUMN_METADATA`.
    #[cfg(not(feature = "bundled"))]
    pub(crate) fn column_origin(&self, _column: usize) -> Option<(Box<str>, Box<str>, Box<str>)> {
        None
    }

    #[cfg(feature = "bundled")]
    fn column_index(&self, column: usize) -> Option<c_int> {
        (column < self.column_count()).then(|| c_int::try_from(column).ok())?
    }

    /// Returns a handle for the column of this name: the statement's id and the handle's number. `None` if there is no
    /// such column.
    pub(crate) fn column_handle(&mut self, name: &str) -> Result<Option<(u64, usize)>, Fault> {
        static NEXT_OWNER: AtomicU64 = AtomicU64::new(1);
        let Some(index) = find(self.core().column_names()?, name) else {
            return Ok(None);
        };
        // `column_names` has noted that there are details.
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
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads a flag stored in it
        // (rule 20, c3ref/stmt_readonly.html).
        unsafe { ffi::sqlite3_stmt_readonly(self.core().ptr.as_ptr()) != 0 }
    }

    /// Returns 0 for a statement, 1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN.
    pub(crate) fn explain_mode(&self) -> i32 {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads a number stored in it
        // (rule 20, c3ref/stmt_isexplain.html).
        unsafe { ffi::sqlite3_stmt_isexplain(self.core().ptr.as_ptr()) }
    }

    /// Returns how often SQLite has prepared the statement anew.
    pub(crate) fn reprepares(&self) -> c_int {
        self.core().status(ffi::SQLITE_STMTSTATUS_REPREPARE)
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

    /// Returns the bytes of memory that the statement holds.
    pub(crate) fn memory_bytes(&self) -> i32 {
        self.core().status(ffi::SQLITE_STMTSTATUS_MEMUSED)
    }
}

impl Drop for Stmt<'_> {
    fn drop(&mut self) {
        let db = self.db;
        // An error here belongs to the forgotten execution, and cannot be returned; the repair is complete in any case.
        if let Err(fault) = self.core_mut().repair(db) {
            if db.is_in_callback() {
                // C is running: the statement is left to close, as a forgotten one.
                return;
            }
            db.lose(fault);
        }
        let site = self.core().site;
        let code = self.release();
        // The error of an execution was returned by its reset: this is another one.
        if code != ffi::SQLITE_OK {
            shielded(|| {
                tracing::error!(
                    target: "finalite::statement",
                    code,
                    connection = db.id(),
                    name = db.info().name(),
                    prepared_at = %site,
                    "a statement was finalized in drop, with this error",
                );
            });
        }
    }
}

/// Executions of a statement one after the other. What one has bound stays bound until the next has other values, which is
/// cheaper than to clear it in between, or until `self` is dropped. Memory bound without a copy must live for `'p`.
pub(crate) struct Repetition<'s, 'p, 'db> {
    statement: &'s mut Stmt<'db>,
    parameters: PhantomData<&'p ()>,
}

impl<'p, 'db> Repetition<'_, 'p, 'db> {
    pub(crate) fn statement(&self) -> &Stmt<'db> {
        self.statement
    }

    /// Starts an execution, whose every parameter gets a value.
    #[inline]
    pub(crate) fn begin(&mut self) -> Result<Binding<'_, 'p>, Fault> {
        let db = self.statement.db;
        let core = self.statement.core_mut();
        if core.phase.get() != Phase::Idle {
            core.repair(db)?;
        }
        Ok(Binding::new(core, db.enter()?))
    }
}

impl Drop for Repetition<'_, '_, '_> {
    fn drop(&mut self) {
        let db = self.statement.db;
        // All executions have ended: an error is that of a use within a callback, after which C is still running.
        let _ = self.statement.core_mut().repair(db);
    }
}

impl StmtCore {
    fn is_expired(&self) -> bool {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads a flag stored in it
        // (rule 20, c3ref/aggregate_count.html).
        unsafe { dispatch::expired(self.ptr.as_ptr()) != 0 }
    }

    fn findings<T: Any + Send + Default>(&self) -> &T {
        let findings = self.findings.get_or_init(|| {
            self.note_details();
            Box::new(T::default())
        });
        findings.downcast_ref().expect("there is one type of them")
    }

    /// Finalizes and frees a statement whose owner was forgotten.
    ///
    /// # Safety
    ///
    /// `core` was removed from a connection's list; no value that borrows the connection exists.
    pub(super) unsafe fn finalize_forgotten(core: NonNull<Self>, connection: u64, account: Account) {
        // SAFETY: created by Box::leak in `Db::prepare`, and not freed: it was in the list until the caller removed it.
        // No value that borrows the connection exists (the caller's promise), so that this is the only owner
        // (rules 3, 19).
        let core = unsafe { Box::from_raw(core.as_ptr()) };
        let charge = account.charge();
        // Memory bound without a copy may be freed already, and SQLite must not read it again: finalizing passes the
        // bound values to a profile trace. The bindings are therefore cleared first.
        // SAFETY: the statement is not finalized, as its core was in the list, and this is its owner now (rule 19).
        // c3ref/clear_bindings.html: sets all parameters to NULL, also while an execution was left unfinished (rule 2).
        unsafe { ffi::sqlite3_clear_bindings(core.ptr.as_ptr()) };
        // The result is the error of the last step, and does not mean that finalizing failed.
        // SAFETY: not finalized, as above, and this is the only finalize, as the core is freed with it (rule 19). No
        // bound memory is left to read (rule 2), and `close` finalizes nothing inherited (rules 6, 12).
        unsafe { ffi::sqlite3_finalize(core.ptr.as_ptr()) };
        drop(charge);
        if core.phase.get() != Phase::Idle {
            counts::closed(HandleKind::Rows);
            registry::forgot(HandleKind::Rows, connection, Some(core.site), Some(&core.sql));
        }
        counts::closed(core.kind);
        registry::forgot(core.kind, connection, Some(core.site), Some(&core.sql));
    }

    /// Returns the statement's pointer, for a call that may reach the database.
    #[inline(always)]
    fn handle(&self, _entered: &Entered<'_>) -> *mut ffi::sqlite3_stmt {
        self.ptr.as_ptr()
    }

    fn parameter_names(&self) -> &[Option<Box<str>>] {
        self.parameters.get_or_init(|| {
            (1..=self.parameter_count)
                .map(|index| {
                    let index = c_int::try_from(index).unwrap_or(0);
                    // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads memory
                    // (rule 20). c3ref/bind_parameter_name.html: NULL for a nameless parameter.
                    let name = unsafe { ffi::sqlite3_bind_parameter_name(self.ptr.as_ptr(), index) };
                    // SAFETY: NULL, or a C string that the statement owns; copied immediately (rule 22).
                    unsafe { text::copy(name) }
                })
                .collect()
        })
    }

    fn column_names(&self) -> Result<&[Box<str>], Fault> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let names = self.read_column_names()?;
        self.note_details();
        Ok(self.names.get_or_init(|| names))
    }

    fn column_heads(&self) -> Result<&Arc<ColumnHeads>, Fault> {
        if let Some(heads) = self.heads.get() {
            return Ok(heads);
        }
        let heads = Arc::new(self.read_column_heads()?);
        self.note_details();
        Ok(self.heads.get_or_init(|| heads))
    }

    /// Notes that something is stored with the statement that is lost when SQLite prepares it again.
    fn note_details(&self) {
        self.has_details.set(true);
        self.is_plain.set(false);
    }

    #[cold]
    #[inline(never)]
    fn fault(&self, db: &Db, code: c_int) -> Fault {
        db.fault(code).in_sql(&self.sql)
    }

    fn status(&self, operation: c_int) -> c_int {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); c3ref/stmt_status.html:
        // reads a counter, and with 0 does not reset it (rule 20).
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

    /// Ends an execution that was left without its Drop (`mem::forget`), or an unfinished binding. Memory that it bound
    /// may be freed already, and a reset passes the bound values to a profile trace; the bindings are therefore cleared
    /// first, and no step comes in between.
    #[cold]
    #[inline(never)]
    fn repair_forgotten(&mut self, db: &Db) -> Result<(), Fault> {
        if db.is_in_callback() && !db.is_inherited() {
            return Err(db.refuse());
        }
        if self.phase.get() != Phase::Idle {
            counts::closed(HandleKind::Rows);
            registry::forgot(HandleKind::Rows, db.id(), Some(self.site), Some(&self.sql));
            self.end_run();
        }
        self.bound = Bound::Nothing;
        self.columns = 0;
        let was_failed = self.phase.get() == Phase::Failed;
        let was_running = self.phase.get() != Phase::Idle;
        self.phase.set(Phase::Idle);
        if db.is_inherited() {
            return Ok(());
        }
        let _charge = db.charge();
        let ending = db.begin_ending();
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19), and no cursor or row exists,
        // as `self` is exclusive (rule 21). It is not inherited, which was checked above (rule 12).
        // c3ref/clear_bindings.html: sets all parameters to NULL, so that nothing reads what they held (rule 2).
        unsafe { ffi::sqlite3_clear_bindings(self.ptr.as_ptr()) };
        if !was_running {
            return Ok(());
        }
        // SAFETY: the statement lives and is not inherited, as above (rules 12, 19), and no bound memory is left to
        // read (rule 2). A reset may end a transaction, also while the connection is closing (rule 20,
        // c3ref/reset.html).
        let code = unsafe { ffi::sqlite3_reset(self.ptr.as_ptr()) };
        drop(ending);
        let result = if code == ffi::SQLITE_OK || was_failed { Ok(()) } else { Err(self.fault(db, code)) };
        if db.is_disturbed() {
            db.settle_callbacks();
        }
        result
    }

    /// Records the end of an execution.
    #[inline(always)]
    fn end_run(&self) {
        if let Some(recorded) = &self.recorded {
            recorded.end_run();
        }
    }

    fn expanded_sql(&self, db: &Db) -> Result<Box<str>, Fault> {
        let charge = db.charge();
        // SAFETY: the statement is not finalized and the memory bound to it is valid: the callers hold a `Binding` or a
        // `Cursor`, which borrow both, or an `OwnedCursor`, which owns the statement and whose values outlive it
        // (rules 1, 2, 19). The call reads the statement's memory only (rule 20).
        let text = unsafe { ffi::sqlite3_expanded_sql(self.ptr.as_ptr()) };
        // SAFETY: c3ref/expanded_sql.html: "obtained from sqlite3_malloc() and must be freed by the application", or
        // NULL where there is not enough memory; `text` is its only owner, and frees it once (rule 22).
        let text = unsafe { SqliteString::from_raw(text) };
        drop(charge);
        match text {
            Some(text) => Ok(text.to_text()),
            None => {
                db.take_out_of_memory_mark();
                Err(Fault::no_memory().in_sql(&self.sql))
            }
        }
    }
}

fn find(names: &[Box<str>], name: &str) -> Option<usize> {
    names.iter().position(|candidate| candidate.eq_ignore_ascii_case(name))
}

/// Converts a count from SQLite, which is never negative.
#[inline(always)]
fn to_usize(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}
