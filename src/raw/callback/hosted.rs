//! Callbacks on a connection of a host: of the program whose SQLite has loaded the library.
//!
//! The host opens and closes the connection, and calls SQLite. finalite's [`Db`] is a part of it:
//!
//! ```text
//!  sqlite3 of the host ─► function, collation, module, tokenizer
//!                              │ each owns its Entry, and has the destructor `release_entry`
//!                              ▼
//!                         Entry ─► Db       freed with the last entry, after `init` has returned
//! ```
//!
//! No Rust call has entered C, so that none takes an error, resumes a panic or drops what SQLite has released: the error
//! is SQLite's, the panic is logged, and values are dropped when the callback that is running has returned, or at once.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use super::{Destroy, Entry, release_entry};
use crate::raw::db::{Db, OwnedDb};
use crate::raw::ffi;
use crate::track::{Taint, shielded};

thread_local! {
    /// Connections of hosts that callbacks on this thread are reading, the innermost last.
    static READ: RefCell<Vec<*mut ffi::sqlite3>> = const { RefCell::new(Vec::new()) };
}

/// Guard of [`Db::begin_reading_of_host`]. It changes nothing of the connection: SQLite prepares all statements anew, and ends
/// those that are running, when its switch for extensions is set.
#[must_use]
pub(super) struct ReadsOfHost(*mut ffi::sqlite3);

impl ReadsOfHost {
    fn begin(handle: *mut ffi::sqlite3) -> Self {
        // Without the list, which ends with the thread, `is_read` is true.
        let _ = READ.try_with(|read| read.borrow_mut().push(handle));
        Self(handle)
    }
}

impl Drop for ReadsOfHost {
    fn drop(&mut self) {
        let _ = READ.try_with(|read| {
            let mut read = read.borrow_mut();
            if let Some(place) = read.iter().rposition(|handle| *handle == self.0) {
                read.remove(place);
            }
        });
    }
}

/// Whether a callback on this thread is reading this connection of a host; `true` where that is not known, while the
/// thread's variables are dropped.
#[cfg(feature = "loadable-extension")]
pub(in crate::raw) fn is_read(handle: *mut ffi::sqlite3) -> bool {
    READ.try_with(|read| read.borrow().contains(&handle)).unwrap_or(true)
}

impl Db {
    /// Gives an entry to SQLite, which owns it from now on. Returns the code of `install`.
    pub(super) fn give_to_host<F: Send + 'static>(
        &self,
        entry: Entry<F>,
        install: impl FnOnce(*mut c_void, Destroy) -> c_int,
    ) -> c_int {
        // SQLite takes its mark of an earlier lack of memory for a failure of the call below, and then has the entry.
        self.take_out_of_memory_mark();
        let address = entry.give();
        let given = self.callbacks.given.get();
        let code = install(address, Some(release_entry::<F>));
        self.add_taint(Taint::REGISTERED);
        // Some functions release it where they fail, others do not (c3ref/create_collation.html). What they replace is
        // replaced only where they succeed.
        if code != ffi::SQLITE_OK && self.callbacks.given.get() == given {
            // SAFETY: from `give` above, of the same `F`, and not released since, as the number of entries shows; SQLite has
            // refused it, and does not call it (rules 14, 28).
            unsafe { release_entry::<F>(address) }
        }
        code
    }

    /// Whether SQLite owns entries of the connection.
    pub(in crate::raw) fn has_given(&self) -> bool {
        self.callbacks.given.get() > 0
    }

    /// Drops what SQLite has released and, if it owns nothing of the connection any more, the connection.
    ///
    /// # Safety
    ///
    /// The connection is one of a host, and is not used after the call by the caller, unless it is held.
    pub(super) unsafe fn released_by_host(db: NonNull<Self>) {
        {
            // SAFETY: the caller passes a connection that is not freed (rule 28).
            let db = unsafe { db.as_ref() };
            db.drop_released_by_call();
            // Within a callback, which goes on to use the connection, it is leaked: SQLite keeps what it calls, unless
            // foreign code replaces a module while one of its tables is connected.
            if db.has_given() || db.is_held() || db.callbacks.depth.get() > 0 {
                return;
            }
        }
        // SAFETY: SQLite owns nothing of it, no callback is running, and no `OwnedDb` exists (rule 28).
        unsafe { OwnedDb::end_of_host(db) }
    }

    /// Notes that a callback of a host reads, for as long as the guard exists: [`is_read`] knows it.
    pub(super) fn begin_reading_of_host(&self) -> Option<ReadsOfHost> {
        self.is_of_host().then(|| ReadsOfHost::begin(self.as_ptr()))
    }

    /// Logs a panic that no call of Rust resumes.
    #[cold]
    pub(super) fn tell_of_panic(&self, payload: &(dyn Any + Send)) {
        let text = payload.downcast_ref::<&str>().copied();
        let panic = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(not a text)");
        shielded(|| {
            let connection = self.id();
            tracing::error!(target: "finalite::statement", connection, panic, "a callback of an extension panicked");
        });
    }

    /// Notes that a collation has panicked: it has no way to fail.
    #[cold]
    pub(in crate::raw) fn note_misorder(&self) {
        self.callbacks.is_misordered.set(self.is_of_host());
    }

    /// Interrupts the statements of a host after a collation has panicked. SQLite looks for interrupts in loops alone, so
    /// that a statement may end well in spite of it: each comparison interrupts until a call has returned the error.
    #[inline(always)]
    pub(in crate::raw) fn interrupt_misordered(&self) {
        if self.is_of_host() && self.callbacks.is_misordered.get() {
            // SAFETY: the connection is open, as SQLite calls a callback of it (rule 28); c3ref/interrupt.html: safe while a
            // statement is running.
            unsafe { ffi::sqlite3_interrupt(self.as_ptr()) }
        }
    }

    /// Returns the error of a collation that has panicked on a connection of a host, once.
    #[inline(always)]
    pub(in crate::raw) fn take_misorder(&self) -> Option<&'static str> {
        (self.is_of_host() && self.callbacks.is_misordered.take()).then_some(
            "a collation of the extension has panicked: what it has ordered then may be in a wrong place, which REINDEX mends",
        )
    }
}
