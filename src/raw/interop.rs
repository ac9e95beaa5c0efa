//! The doors to other code that speaks to SQLite, at the caller's risk.
//!
//! These are the only public `unsafe` functions, and the only place where `raw` knows the layers above.

use std::panic::Location;

use super::{Db, ffi};
use crate::{Connection, Error, ErrorKind, Result};

impl Connection {
    /// The connection's `sqlite3*`, for calls that finalite does not have. Outside semver.
    ///
    /// # Safety
    ///
    /// - The pointer is not closed, not used after the connection is dropped or closed, and not used from another thread
    ///   while the connection is used.
    /// - finalite's own statements are not touched: `sqlite3_next_stmt` finds them, and stepping, resetting, binding to
    ///   or finalizing one would do it under a [`Statement`](crate::Statement) or a row that is alive.
    /// - What a row or batch of the connection borrows is not freed under it: no `sqlite3_deserialize` into a database
    ///   of the connection, and no callback that runs SQL which ends or changes what is being read, while rows are
    ///   alive.
    /// - The memory given to `sqlite3_deserialize`, and the functions and data of callbacks, live as long as SQLite may
    ///   use them, which is until the connection is closed. They are called on whichever thread the connection is sent
    ///   to, so that they are `Send`, and they do not unwind.
    /// - What is made through it (statements, blobs, backups) is the caller's to release: as long as it lives,
    ///   [`close`](Connection::close) fails.
    #[must_use]
    pub unsafe fn as_raw(&self) -> *mut ffi::sqlite3 {
        self.db().give_out();
        self.db().as_ptr()
    }

    /// Takes over a connection that somebody else opened. From here on it is closed in Drop. Outside semver.
    ///
    /// Nothing is set on it: no busy timeout, no foreign keys. Open it with `SQLITE_OPEN_NOMUTEX`, as finalite does:
    /// a mutex of its own would only cost time, and a SQLite built with `SQLITE_DEBUG` asserts that it is held where
    /// cells are read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the handle is NULL,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if this SQLite cannot be used.
    ///
    /// # Safety
    ///
    /// - `handle` is NULL, or an open connection of the SQLite that finalite is linked to, which nothing else uses or
    ///   closes from here on: no statement, blob or backup of it is used by anybody else.
    /// - What was registered on it (functions, collations, hooks, busy and progress handlers, modules) is called on
    ///   whichever thread the connection is sent to from here on: it is `Send`, lives until the connection is closed,
    ///   and does not unwind.
    /// - Its cache is not shared (`SQLITE_OPEN_SHAREDCACHE`, `cache=shared`, `sqlite3_enable_shared_cache`) with a
    ///   connection that another thread uses, unless SQLite is in serialized mode: connections that share a cache
    ///   share its memory.
    #[track_caller]
    pub unsafe fn from_raw(handle: *mut ffi::sqlite3) -> Result<Self> {
        // SAFETY: the caller gives the handle away, see above.
        let db = unsafe { Db::from_raw(handle, Location::caller()) };
        Ok(Self::adopt(db.map_err(Error::from)?))
    }
}

/// Nothing: of what has no impl, the compiler shows this message and not the fields of a connection, one by one.
#[diagnostic::on_unimplemented(
    message = "a `Connection` cannot be shared between threads",
    label = "used from another thread here",
    note = "a connection can be sent to another thread; threads that run at once open one each, or borrow them from a `finalite::pool::Pool`",
    note = "one connection for several threads goes into a `std::sync::Mutex`"
)]
trait SharedBetweenThreads {}

// SAFETY: never holds, as nothing implements the trait (rule 2). It stands in for the automatic impl, which the fields
// rule out as well.
unsafe impl Sync for Connection where for<'never> Connection: SharedBetweenThreads {}

/// Makes finalite's counting allocator SQLite's, where the feature `bundled` or `count-system-sqlite` has not done so
/// before `main` began. Outside semver.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if SQLite has been used already, by anybody in the
/// process.
///
/// # Safety
///
/// No other thread may use SQLite during the call, through whichever driver: SQLite reads its configuration without a
/// lock, and a connection opened at the same time would free blocks of one allocator with the other. So call it first
/// of all in `main`.
///
/// C: [sqlite3_config](https://sqlite.org/c3ref/config.html)
pub unsafe fn install() -> Result<()> {
    // SAFETY: nobody else uses SQLite now (the caller's promise).
    let code = unsafe { super::allocator::install() };
    if code == ffi::SQLITE_OK {
        return Ok(());
    }
    let used = if code == ffi::SQLITE_MISUSE { "; it has been used already" } else { "" };
    let reason = format!("SQLite refused another allocator: {}{used}", super::library::code_message(code));
    Err(Error::new(ErrorKind::Unsupported { reason: reason.into() }))
}
