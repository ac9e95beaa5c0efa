//! SQLite's C interface, as declared by `libsqlite3-sys`, and the way from and to its handles:
//! [`Connection::as_raw`], [`Connection::from_raw`]. Not covered by semantic versioning.
//!
//! [`Connection::load_extension`] is here because it is `unsafe`, too.

use std::ffi::CString;
use std::panic::Location;
use std::path::Path;

#[doc(no_inline)]
pub use libsqlite3_sys::*;

use crate::Connection;
use crate::connection::open::{bad_path, path_bytes};
#[cfg(feature = "loadable-extension")]
use crate::raw::host;
use crate::raw::{Db, allocator, library};

impl Connection {
    /// Returns the connection's `sqlite3*`, for SQLite calls that finalite does not provide. Not covered by semantic
    /// versioning.
    ///
    /// # Safety
    ///
    /// - The pointer is not closed, not used after the connection is dropped or closed, and not used on another thread
    ///   while the connection is in use.
    /// - finalite's own statements are not used: `sqlite3_next_stmt` returns them, and stepping, resetting, binding to
    ///   or finalizing one would change it while a [`Statement`](crate::Statement) or a row still refers to it.
    /// - Memory that a row or batch of the connection borrows is not freed while it is borrowed: while rows exist,
    ///   there is no `sqlite3_deserialize` into a database of the connection, and no callback runs SQL that ends or
    ///   changes what is being read.
    /// - The memory given to `sqlite3_deserialize`, and the functions and data of callbacks, live as long as SQLite may
    ///   use them, which is until the connection is closed. Callbacks are called on whichever thread uses the
    ///   connection, so they are `Send`. They do not unwind.
    /// - Statements, blobs and backups made through the pointer are released by the caller: while one exists,
    ///   [`close`](Connection::close) fails.
    #[must_use]
    pub unsafe fn as_raw(&self) -> *mut sqlite3 {
        // SAFETY: the caller keeps the conditions above (rule 3).
        unsafe { self.db().as_raw() }
    }

    /// Takes ownership of an open SQLite connection, which is closed on drop. Not covered by semantic versioning.
    ///
    /// No setting is changed: no busy timeout, no foreign keys. Open the handle with `SQLITE_OPEN_NOMUTEX`, as finalite
    /// does: a mutex of its own only costs time, and a SQLite built with `SQLITE_DEBUG` asserts that it is held when
    /// cells are read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the handle is NULL,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if this SQLite cannot be used.
    ///
    /// # Safety
    ///
    /// - `handle` is NULL, or an open connection of the SQLite that finalite is linked to, which no other code uses or
    ///   closes from now on; no other code uses a statement, blob or backup of it.
    /// - Everything registered on it (functions, collations, hooks, busy and progress handlers, modules) is called on
    ///   whichever thread uses the connection from now on: it is `Send`, lives until the connection is closed, and does
    ///   not unwind.
    /// - Its cache is not shared (`SQLITE_OPEN_SHAREDCACHE`, `cache=shared`, `sqlite3_enable_shared_cache`) with a
    ///   connection that another thread uses, unless SQLite is in serialized mode: connections that share a cache
    ///   share its memory.
    #[track_caller]
    #[doc(alias = "from_handle")]
    pub unsafe fn from_raw(handle: *mut sqlite3) -> crate::Result<Self> {
        // SAFETY: the caller passes ownership of the handle, as `# Safety` above requires: it is NULL, or open and used
        // by no other code from now on (rule 19).
        let db = unsafe { Db::from_raw(handle, Location::caller()) };
        Ok(Self::adopt(db.map_err(crate::Error::from)?))
    }

    /// Loads an extension: a shared library that registers functions, collations or virtual tables on the connection.
    /// SQL cannot load extensions, neither before nor after.
    ///
    /// The path may lack the ending of shared libraries on this system (`.so`, `.dylib`, `.dll`). Without an entry
    /// point, SQLite looks for `sqlite3_extension_init`, then for a name made from that of the file.
    ///
    /// A connection of a pool on which a caller loaded an extension is closed when it is returned; load it in
    /// [`PoolBuilder::init`](crate::pool::PoolBuilder::init) for all.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` with the message of the system or of the extension: the library or its entry point is not found,
    /// or its initialization fails. [`ErrorKind::Path`](crate::ErrorKind::Path) for a path that contains NUL.
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) for an entry point that contains NUL, and within a callback of
    /// the connection; [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Safety
    ///
    /// - Loading the library runs its code: it is one that the program trusts, built for this system. The same holds
    ///   for the libraries that it loads.
    /// - Its entry point is that of an SQLite extension, which uses the handle as [`as_raw`](Self::as_raw) allows.
    /// - If its initialization fails, it leaves nothing registered: SQLite then unloads it.
    /// - What it registers is called on whichever thread uses the connection, and does not unwind.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// // SAFETY: the program's own build of SQLite's extension `uuid`.
    /// unsafe { conn.load_extension("./uuid", None)? };
    /// println!("{}", conn.query_one::<String>("SELECT uuid()", ())?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_load_extension](https://sqlite.org/c3ref/load_extension.html)
    #[doc(alias("enable_load_extension", "sqlite3_enable_load_extension"))]
    pub unsafe fn load_extension(&self, path: impl AsRef<Path>, entry_point: Option<&str>) -> crate::Result<()> {
        let path = CString::new(path_bytes(path.as_ref().as_os_str())?).map_err(|_| bad_path("it contains NUL"))?;
        let entry_point = entry_point.map(CString::new).transpose();
        let reason = "the name of the entry point contains NUL";
        let entry_point = entry_point.map_err(|_| crate::Error::new(crate::ErrorKind::Misuse { reason }))?;
        // SAFETY: the caller keeps the conditions above (rule 3).
        let result = unsafe { self.db().load_extension(&path, entry_point.as_deref()) };
        result.map_err(|fault| self.error(fault))
    }
}

/// Makes a function the entry point of a loadable extension: of a `cdylib` that any program can load into its SQLite, the
/// shell by `.load ./libmine`, Python by `connection.load_extension("./libmine")`, another program with finalite by
/// [`Connection::load_extension`]. It needs the feature `loadable-extension`; without it, the macro checks the type of the
/// function and exports nothing, so that the program's tests link a SQLite of their own.
///
/// The function is a `fn(&Extension<'_>) -> finalite::Result<()>`; [`Extension`](crate::extend::Extension) has what it
/// registers. SQLite calls it for each connection that loads the extension, on the thread of that connection. Its error is
/// that of the load.
///
/// SQLite looks for `sqlite3_extension_init`, which is the name unless another one is given before the function, of the form
/// `sqlite3_mine_init`. In a library that is linked with others, each needs its own name. If the file is `libmine.so`, SQLite finds
/// `sqlite3_mine_init`, too, and a program that is linked with it passes that to `sqlite3_auto_extension`.
///
/// The library stays in memory until the process ends, also if the function fails: thread-local variables and closures of
/// Rust cannot be taken away from those that use them.
///
/// # Example
///
/// ```
/// use finalite::extend::Extension;
///
/// fn register(extension: &Extension<'_>) -> finalite::Result<()> {
///     extension.create_scalar_function("reverse", |text: &str| text.chars().rev().collect::<String>())?;
///     Ok(())
/// }
///
/// finalite::loadable_extension!(register);
/// finalite::loadable_extension!(sqlite3_mine_init, register);
/// # let conn = finalite::Connection::open_in_memory()?;
/// # conn.extend_with(register)?;
/// # assert_eq!(conn.query_one::<String>("SELECT reverse('abc')", ())?, "cba");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [Run-Time Loadable Extensions](https://sqlite.org/loadext.html)
#[macro_export]
macro_rules! loadable_extension {
    ($init:expr $(,)?) => {
        $crate::loadable_extension!(sqlite3_extension_init, $init);
    };
    ($name:ident, $init:expr $(,)?) => {
        $crate::__entry_point!($name, $init);
    };
}

/// The expansion of [`loadable_extension!`](crate::loadable_extension).
#[cfg(not(feature = "loadable-extension"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __entry_point {
    ($name:ident, $init:expr) => {
        const _: fn(&$crate::Connection) -> $crate::Result<()> = |conn| {
            $crate::__entry_name!($name);
            conn.extend_with($init)
        };
    };
}

/// Proof that an exported name takes the place of no function of another library.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry_name {
    ($name:ident) => {
        const _: () =
            assert!($crate::ffi::is_entry_name(stringify!($name)), "the name of an entry point is `sqlite3_.._init`");
    };
}

/// The expansion of [`loadable_extension!`](crate::loadable_extension).
#[cfg(feature = "loadable-extension")]
#[doc(hidden)]
#[macro_export]
macro_rules! __entry_point {
    ($name:ident, $init:expr) => {
        const _: () = {
            $crate::__entry_name!($name);

            // The program's expression, outside of `unsafe`.
            fn run(conn: &$crate::Connection) -> $crate::Result<()> {
                conn.extend_with($init)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(
                db: *mut $crate::ffi::sqlite3,
                message: *mut *mut ::core::ffi::c_char,
                api: *const $crate::ffi::sqlite3_api_routines,
            ) -> ::core::ffi::c_int {
                // SAFETY: SQLite calls the entry point of an extension with these arguments (rule 28).
                unsafe { $crate::ffi::load(db, message, api, $name as *const (), run) }
            }
        };
    };
}

/// Whether an entry point may have this name, which is exported: no other function has such a name.
#[doc(hidden)]
#[must_use]
pub const fn is_entry_name(name: &str) -> bool {
    matches!(name.as_bytes(), [b's', b'q', b'l', b'i', b't', b'e', b'3', b'_', .., b'_', b'i', b'n', b'i', b't'])
}

/// Runs the initialization of an extension for [`loadable_extension!`](crate::loadable_extension).
///
/// # Safety
///
/// SQLite has called the entry point of an extension with these arguments.
#[cfg(feature = "loadable-extension")]
#[doc(hidden)]
#[track_caller]
pub unsafe fn load(
    db: *mut sqlite3,
    message: *mut *mut std::ffi::c_char,
    api: *const sqlite3_api_routines,
    entry: *const (),
    run: fn(&Connection) -> crate::Result<()>,
) -> std::ffi::c_int {
    // SAFETY: the caller passes what SQLite has passed (rule 28).
    unsafe { host::load(db, message, api, entry.cast(), Location::caller(), |db| run(&Connection::adopt(db))) }
}

/// Trait without any implementation. It makes the compiler show this message, instead of naming each field of a
/// connection that is not `Sync`.
#[diagnostic::on_unimplemented(
    message = "a `Connection` cannot be shared between threads",
    label = "used from another thread here",
    note = "a connection can be sent to another thread; threads that run at once open one each, or borrow them from a `finalite::pool::Pool`",
    note = "one connection for several threads goes into a `std::sync::Mutex`"
)]
trait SharedBetweenThreads {}

// SAFETY: the implementation never applies, as no type implements the trait, so `Connection` is not `Sync` (rule 12).
// It replaces the automatic implementation, which the fields rule out as well.
unsafe impl Sync for Connection where for<'never> Connection: SharedBetweenThreads {}

/// Installs finalite's counting allocator in SQLite, where the features `bundled` and `count-system-sqlite` have not
/// done so before `main` began. Not covered by semantic versioning.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if any code in the process has already used SQLite.
///
/// # Safety
///
/// No other thread may use SQLite during the call, through any driver: SQLite reads its configuration without a lock,
/// and a connection opened at the same time would free blocks of one allocator with the other. Call it first in `main`.
///
/// C: [sqlite3_config](https://sqlite.org/c3ref/config.html)
pub unsafe fn install() -> crate::Result<()> {
    // SAFETY: no other thread uses SQLite during the call (the caller's promise, rule 13).
    let code = unsafe { allocator::install() };
    if code == SQLITE_OK {
        return Ok(());
    }
    let used = if code == SQLITE_MISUSE { "; SQLite was already used" } else { "" };
    let reason = format!("SQLite refused another allocator: {}{used}", library::code_message(code));
    Err(crate::Error::new(crate::ErrorKind::Unsupported { reason: reason.into() }))
}
