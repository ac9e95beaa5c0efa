//! Sessions, which record the changes of a connection.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::allocator::Charge;
use super::db::{Db, code_fault};
use super::ffi;
use super::serialize::SqliteBytes;
use super::stream::{Output, StreamError, write};
use super::text::{self, SqliteString};
use crate::error::{Fault, FaultKind};
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, counts};

unsafe extern "C" {
    // The oldest bindings lack them. sqlite.org/session/sqlite3session_changeset_size.html
    fn sqlite3session_changeset_size(session: *mut ffi::sqlite3_session) -> i64;
    // sqlite.org/session/sqlite3session_memory_used.html
    fn sqlite3session_memory_used(session: *mut ffi::sqlite3_session) -> i64;
    // sqlite.org/session/sqlite3session_object_config.html
    fn sqlite3session_object_config(session: *mut ffi::sqlite3_session, option: c_int, value: *mut c_void) -> c_int;
}

/// `SQLITE_SESSION_OBJCONFIG_SIZE`, which the oldest bindings lack.
const CONFIG_SIZE: c_int = 1;
/// `SQLITE_SESSION_OBJCONFIG_ROWID`, which the oldest bindings lack.
const CONFIG_ROWID: c_int = 2;

/// Returns whether the changes of a table are recorded.
pub(crate) type TableFilter = dyn Fn(&str) -> bool + Send;

/// An open session. Drop deletes it.
pub(crate) struct RawSession<'db> {
    /// Created by `Db::create_session`, and in the connection's list. It is freed by the Drop of `self`, unless that is
    /// in a callback, or by `Db::close`, when no value that borrows the connection exists.
    core: NonNull<SessionCore>,
    db: &'db Db,
}

/// State of a session. The connection's list points to it, so that closing the connection also finds a forgotten one.
pub(super) struct SessionCore {
    ptr: NonNull<ffi::sqlite3_session>,
    slot: u32,
    site: &'static Location<'static>,
    /// Name of its database. It is here, and not with the owner, which may be forgotten.
    database: Box<CStr>,
    /// Created by `Box::leak`, with an address that SQLite has. The core owns it.
    filter: Cell<Option<NonNull<Filter>>>,
    _recorded: Option<Recorded>,
}

/// A table filter with the connection that calls it.
struct Filter {
    db: NonNull<Db>,
    closure: Box<TableFilter>,
}

/// Form in which a session returns its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Changeset,
    Patchset,
}

/// Switch of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionSwitch {
    Enabled,
    Indirect,
}

impl Db {
    pub(crate) fn create_session(
        &self,
        database: &CStr,
        site: &'static Location<'static>,
    ) -> Result<RawSession<'_>, Fault> {
        let entered = self.enter_to_register()?;
        if self.has_preupdate_hook() {
            return Err(Fault::new(FaultKind::Misuse(
                "SQLite has one pre-update hook, which a closure of `on_preupdate` uses: drop its subscription first",
            )));
        }
        // SAFETY: the connection is open (entered, rule 20), and the name a C string (rule 22); c3ref/db_readonly.html:
        // -1 for an unknown name, of which SQLite would not tell before the first change.
        if unsafe { ffi::sqlite3_db_readonly(entered.db(), database.as_ptr()) } == -1 {
            return Err(Fault::new(FaultKind::Misuse("there is no database of this name")));
        }
        let mut session = ptr::null_mut();
        let charge = entered.charge();
        // SAFETY: the connection is open (entered, rules 19, 20), and the name a C string, which SQLite copies (rule 22).
        // No pre-update hook is registered, as session/sqlite3session_create.html requires.
        let code = unsafe { ffi::sqlite3session_create(entered.db(), database.as_ptr(), &raw mut session) };
        drop(charge);
        let Some(ptr) = NonNull::new(session).filter(|_| code == ffi::SQLITE_OK) else {
            return Err(if code == ffi::SQLITE_OK { Fault::no_memory() } else { code_fault(code) });
        };
        counts::opened(HandleKind::Session);
        self.callbacks.sessions.set(self.callbacks.sessions.get() + 1);
        let core = NonNull::from(Box::leak(Box::new(SessionCore {
            ptr,
            slot: self.next_slot(),
            site,
            database: database.into(),
            filter: Cell::new(None),
            _recorded: self.record(HandleKind::Session, registry::new_id(), Some(self.id()), site, None),
        })));
        self.adopt_session(core);
        Ok(RawSession { core, db: self })
    }
}

impl RawSession<'_> {
    fn core(&self) -> &SessionCore {
        // SAFETY: the core is freed only by the Drop of `self`, and by `Db::close`, which needs the connection
        // exclusively while `self` borrows it (rules 16, 19). Only shared references to it exist.
        unsafe { self.core.as_ref() }
    }

    fn ptr(&self) -> *mut ffi::sqlite3_session {
        self.core().ptr.as_ptr()
    }

    /// Returns the name of its database.
    pub(crate) fn database(&self) -> &CStr {
        &self.core().database
    }

    /// Records the changes of a table; `None` for all tables, also those that are created later.
    pub(crate) fn attach(&self, table: Option<&CStr>) -> Result<(), Fault> {
        let entered = self.db.enter()?;
        let _charge = entered.charge();
        // SAFETY: the session is not deleted: `self` owns it, and its connection is open (entered, rules 16, 20). The
        // name is NULL or a C string, which SQLite copies (rule 22).
        let code = unsafe { ffi::sqlite3session_attach(self.ptr(), table.map_or(ptr::null(), CStr::as_ptr)) };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(code_fault(code)) }
    }

    /// Sets the filter, in place of the one before, which is dropped.
    pub(crate) fn set_filter(&mut self, closure: Box<TableFilter>) -> Result<(), Fault> {
        let entered = self.db.enter_to_register()?;
        let filter = NonNull::from(Box::leak(Box::new(Filter { db: NonNull::from(entered.get()), closure })));
        // SAFETY: the session is not deleted (`self` owns it, rule 16). The filter lives until the core is freed, or
        // another takes its place; no statement is calling the one before, as this is no callback (entered, rule 14).
        unsafe { ffi::sqlite3session_table_filter(self.ptr(), Some(is_recorded), filter.as_ptr().cast()) };
        if let Some(before) = self.core().filter.replace(Some(filter)) {
            // SAFETY: created by `Box::leak` above in an earlier call, and SQLite has let go of it (rule 14).
            drop(unsafe { Box::from_raw(before.as_ptr()) });
        }
        Ok(())
    }

    /// Records the changes that would make a table of another database equal to that of this one.
    pub(crate) fn diff(&self, from: &CStr, table: &CStr) -> Result<(), Fault> {
        let entered = self.db.enter()?;
        let charge = entered.charge();
        let mut message = ptr::null_mut();
        // SAFETY: the session is not deleted: `self` owns it, and its connection is open (entered, rules 16, 20). The
        // names are C strings (rule 22); the message goes to `message`.
        let code = unsafe { ffi::sqlite3session_diff(self.ptr(), from.as_ptr(), table.as_ptr(), &raw mut message) };
        drop(charge);
        // SAFETY: session/sqlite3session_diff.html: NULL, or a string that the caller frees, as `SqliteString` does
        // (rule 22).
        let message = unsafe { SqliteString::from_raw(message) };
        self.db.resume();
        if code == ffi::SQLITE_OK {
            return Ok(());
        }
        Err(match message {
            Some(message) => Fault::new(FaultKind::Sqlite {
                code,
                message: message.to_text(),
                may_be_the_programs: false,
                offset: None,
                reason: None,
            }),
            None => code_fault(code),
        })
    }

    /// Sets a switch, unless `on` is `None`. Returns whether it is on now.
    pub(crate) fn switch(&self, switch: SessionSwitch, on: Option<bool>) -> Result<bool, Fault> {
        let _entered = self.db.enter()?;
        let value = on.map_or(-1, c_int::from);
        let now = match switch {
            // SAFETY: the session is not deleted: `self` owns it (rule 16); a negative value changes nothing
            // (session/sqlite3session_enable.html).
            SessionSwitch::Enabled => unsafe { ffi::sqlite3session_enable(self.ptr(), value) },
            // SAFETY: the session is not deleted: `self` owns it (rule 16); a negative value changes nothing
            // (session/sqlite3session_indirect.html).
            SessionSwitch::Indirect => unsafe { ffi::sqlite3session_indirect(self.ptr(), value) },
        };
        Ok(now != 0)
    }

    /// Records also tables without a primary key, by rowid. To be called before the first table is attached.
    pub(crate) fn record_rowids(&self) -> Result<(), Fault> {
        self.configure(CONFIG_ROWID)
    }

    /// Has the size of the changeset computed as changes are recorded.
    pub(crate) fn compute_size(&self) -> Result<(), Fault> {
        self.configure(CONFIG_SIZE)
    }

    fn configure(&self, option: c_int) -> Result<(), Fault> {
        let _entered = self.db.enter()?;
        let mut on: c_int = 1;
        // SAFETY: the session is not deleted: `self` owns it (rule 16); both options take a pointer to an int, the local
        // `on` (session/sqlite3session_object_config.html).
        let code = unsafe { sqlite3session_object_config(self.ptr(), option, (&raw mut on).cast()) };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(code_fault(code)) }
    }

    /// Whether no change is recorded.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: the session is not deleted: `self` owns it (rule 16); session/sqlite3session_isempty.html: reads memory.
        self.db.is_open() && unsafe { ffi::sqlite3session_isempty(self.ptr()) != 0 }
    }

    /// Returns the bytes that the session has allocated.
    pub(crate) fn memory_used(&self) -> u64 {
        // SAFETY: the session is not deleted: `self` owns it (rule 16); session/sqlite3session_memory_used.html: reads a
        // number.
        u64::try_from(unsafe { sqlite3session_memory_used(self.ptr()) }).unwrap_or(0)
    }

    /// Returns an upper limit of the size of the changeset in bytes; 0 unless it is computed.
    pub(crate) fn changeset_size(&self) -> u64 {
        // SAFETY: the session is not deleted: `self` owns it (rule 16); session/sqlite3session_changeset_size.html: reads
        // a number.
        u64::try_from(unsafe { sqlite3session_changeset_size(self.ptr()) }).unwrap_or(0)
    }

    /// Returns the changes.
    pub(crate) fn changes(&self, form: Form) -> Result<SqliteBytes, Fault> {
        let _entered = self.db.enter()?;
        let (mut len, mut bytes) = (0, ptr::null_mut());
        let changes = match form {
            Form::Changeset => ffi::sqlite3session_changeset,
            Form::Patchset => ffi::sqlite3session_patchset,
        };
        // The bytes may outlive the connection, and are therefore charged to none.
        let charge = Charge::to_nobody();
        // SAFETY: the session is not deleted: `self` owns it, and its connection is open (entered, rules 16, 20). The
        // results go to the locals.
        let code = unsafe { changes(self.ptr(), &raw mut len, &raw mut bytes) };
        drop(charge);
        // An authorizer may have panicked.
        self.db.resume();
        // SAFETY: session/sqlite3session_changeset.html: NULL, or `len` bytes that the caller frees (rule 17).
        let bytes = unsafe { SqliteBytes::own(bytes.cast(), usize::try_from(len).unwrap_or(0)) };
        if code == ffi::SQLITE_OK { Ok(bytes) } else { Err(code_fault(code)) }
    }

    /// Writes the changes.
    pub(crate) fn write_changes(&self, form: Form, writer: &mut dyn Write) -> Result<(), StreamError> {
        let entered = self.db.enter()?;
        let changes = match form {
            Form::Changeset => ffi::sqlite3session_changeset_strm,
            Form::Patchset => ffi::sqlite3session_patchset_strm,
        };
        let mut output = Output::new(writer, Some(self.db));
        let charge = entered.charge();
        // SAFETY: the session is not deleted: `self` owns it, and its connection is open (entered, rules 16, 20). The
        // function and the address are those of `output`, which lives during the call (rule 15).
        let code = unsafe { changes(self.ptr(), Some(write), output.address()) };
        drop(charge);
        output.end(code, code_fault)
    }
}

impl Drop for RawSession<'_> {
    fn drop(&mut self) {
        if self.db.is_in_any_callback() && !self.db.is_inherited() {
            // C may be using it: the session is left to close, as a forgotten one.
            return;
        }
        self.db.disown(self.core().slot);
        // SAFETY: created by `Box::leak` in `Db::create_session`, and removed from the list by the line above, so `self`
        // is its only owner (rules 16, 19).
        let core = unsafe { Box::from_raw(self.core.as_ptr()) };
        core.delete(self.db);
    }
}

impl SessionCore {
    /// Deletes and frees a session whose owner was forgotten.
    ///
    /// # Safety
    ///
    /// `core` was removed from the list of `db`; no value that borrows the connection exists.
    pub(super) unsafe fn delete_forgotten(core: NonNull<Self>, db: &Db) {
        // SAFETY: created by `Box::leak` in `Db::create_session`, and not freed: it was in the list until the caller
        // removed it. No value that borrows the connection exists (the caller's promise), so that this is the only owner
        // (rules 16, 19).
        let core = unsafe { Box::from_raw(core.as_ptr()) };
        let site = core.site;
        core.delete(db);
        registry::forgot(HandleKind::Session, db.id(), Some(site), None);
    }

    fn delete(self, db: &Db) {
        counts::closed(HandleKind::Session);
        db.callbacks.sessions.set(db.callbacks.sessions.get().saturating_sub(1));
        if db.is_inherited() {
            // The handle is leaked with the connection, and SQLite has the address of the filter.
            return;
        }
        let charge = db.charge();
        // SAFETY: the owner of the session calls this, once, as the core is freed with it; the connection is open and not
        // inherited (rules 12, 16, 19; session/sqlite3session_delete.html).
        unsafe { ffi::sqlite3session_delete(self.ptr.as_ptr()) };
        drop(charge);
        if let Some(filter) = self.filter.take() {
            // SAFETY: created by `Box::leak` in `set_filter`, and SQLite has deleted the session that called it
            // (rule 14).
            let filter = unsafe { Box::from_raw(filter.as_ptr()) };
            crate::track::shielded(|| drop(filter));
        }
    }
}

unsafe extern "C" fn is_recorded(filter: *mut c_void, table: *const c_char) -> c_int {
    // SAFETY: the address with which `set_filter` registered this function; it lives until SQLite has let go of it
    // (rule 14).
    let filter = unsafe { &*filter.cast::<Filter>() };
    // SAFETY: the connection of the session, which is open while it calls, and does not move (rules 14, 19).
    let db = unsafe { filter.db.as_ref() };
    // SAFETY: the name of the table, unchanged during the call (session/sqlite3session_table_filter.html, rule 22).
    let table = unsafe { text::borrow(table) }.unwrap_or_default();
    c_int::from(db.call_back(|| (filter.closure)(&table)).unwrap_or(false))
}
