//! The SQLite of the host, the program that loads a library as an extension: its table of functions, and the entry from it.
//!
//! An extension links no SQLite. `libsqlite3-sys` has, in place of each function, one that calls through a pointer, and
//! `rusqlite_extension_init2` sets these pointers. It reads the host's table as long as the one of its own header, which
//! may be longer: it gets a copy that has what a host of the oldest version has, and nothing after that.

use std::ffi::{c_char, c_int, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::panic::{self, AssertUnwindSafe, Location};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use super::callback::hosted::is_read;
use super::os::pinned;
use super::{OwnedDb, ffi, text};
use crate::error::Error;
use crate::raw::Db;
use crate::raw::library::VERSION_MIN;
use crate::track::{PerProcess, discard};

/// The host's functions.
type Table = ffi::sqlite3_api_routines;

/// Copy of the host's table, of this length; never freed. NULL before the library is loaded by one.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());

/// Bytes of the table in the oldest version of SQLite that is taken: up to the function that 3.44 has added.
const TABLE_LEN: usize = offset_of!(Table, set_clientdata) + size_of::<usize>();

/// Version of the host; 0 before it is known.
static VERSION: AtomicI32 = AtomicI32::new(0);

/// Returns the host's functions.
///
/// # Panics
///
/// If no SQLite has loaded the library.
pub(super) fn table() -> &'static Table {
    // SAFETY: NULL, or a table that is complete and never freed or changed (rule 23).
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }.expect("a SQLite has loaded the library")
}

/// Whether a SQLite has loaded the library.
pub(super) fn is_present() -> bool {
    !TABLE.load(Ordering::Acquire).is_null()
}

/// Function in the table that `rusqlite_extension_init2` gets: it refuses a host that is older than its header.
unsafe extern "C" fn version() -> c_int {
    match VERSION.load(Ordering::Acquire) {
        0 => ffi::SQLITE_VERSION_NUMBER,
        known => known,
    }
}

/// Function in place of one that SQLite has and the host's table does not.
type Word = Option<unsafe extern "C" fn()>;

/// Reads a field of the host's table.
macro_rules! field {
    ($table:expr, $name:ident) => {{
        let table: *const Table = $table;
        // SAFETY: the host's table, which has each field that the oldest version of SQLite has (rule 28).
        unsafe { (&raw const (*table).$name).read() }
    }};
}

/// Names the first of these functions that the table lacks.
macro_rules! lacking {
    ($table:expr, $($name:ident)*) => {
        [$((stringify!($name), $table.$name.is_none())),*].into_iter().find_map(|(name, lacks)| lacks.then_some(name))
    };
}

/// The functions that callbacks and their registration call, which are in C: a missing one could be told to nobody.
fn lacking(table: &Table) -> Option<&'static str> {
    lacking!(
        table,
        aggregate_context bind_int64 bind_null bind_parameter_count bind_text64 bind_blob64 changes64 clear_bindings
        column_count column_name column_value compileoption_get create_collation_v2 create_function_v2
        create_window_function data_count db_config db_filename db_handle db_name db_readonly errmsg error_offset
        errstr extended_errcode finalize free get_autocommit get_auxdata interruptx libversion malloc malloc64 memory_used
        prepare_v3 reset result_blob64 result_double result_error result_error_nomem result_int64 result_null
        result_pointer result_subtype result_text64 result_value result_zeroblob64 set_auxdata sourceid status64 step
        stmt_busy stmt_readonly stmt_status system_errno total_changes64 user_data value_blob value_bytes value_double
        value_dup value_free value_int64 value_numeric_type value_subtype value_text value_type
    )
}

/// Takes the host's functions. Returns the reason if it cannot be this one.
///
/// # Safety
///
/// `table` is that of the SQLite which calls the entry point.
unsafe fn take(table: *const Table) -> Result<(), String> {
    static TAKING: PerProcess<()> = PerProcess::new(|| ());
    let number = match field!(table, libversion_number) {
        // SAFETY: the host's function, which takes no argument (rule 28, c3ref/libversion.html).
        Some(number) => unsafe { number() },
        None => 0,
    };
    if number < VERSION_MIN {
        let (major, minor, patch) = (number / 1_000_000, number / 1000 % 1000, number % 1000);
        return Err(format!("this SQLite is {major}.{minor}.{patch}, the extension needs 3.45.3 or newer"));
    }
    // SAFETY: the host's function, which takes no argument (rules 12, 28, c3ref/threadsafe.html).
    if field!(table, xthreadsafe).is_none_or(|threadsafe| unsafe { threadsafe() } == 0) {
        return Err("this SQLite is compiled with SQLITE_THREADSAFE=0, the extension needs thread safety".into());
    }
    let mut own = MaybeUninit::<Table>::zeroed();
    // SAFETY: the host's table has at least this length, by its version, and the copy is not shorter (rule 28).
    unsafe { own.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(table.cast(), TABLE_LEN) };
    // SAFETY: each field is an optional function pointer, of which NULL is none (rule 28).
    let mut own = unsafe { own.assume_init() };
    if let Some(name) = lacking(&own) {
        return Err(format!("this SQLite is compiled without sqlite3_{name}, which the extension needs"));
    }
    let _one_at_a_time = TAKING.lock();
    if is_present() {
        return match is_same(super::host::table(), &own) {
            true => Ok(()),
            false => Err("another copy of SQLite in this process has loaded the extension, which serves one".into()),
        };
    }
    let taken = Box::leak(Box::new(own));
    own.libversion_number = Some(version);
    // SAFETY: a table of the length of the bindings' own, whose functions are the host's or missing (rule 28). No other
    // thread calls them yet: it waits for the lock above, or finds no table.
    let result = unsafe { ffi::rusqlite_extension_init2(&raw mut own) };
    VERSION.store(number, Ordering::Release);
    TABLE.store(taken, Ordering::Release);
    result.map_err(|error| error.to_string())
}

/// Whether both tables have the same functions, so that they are those of one SQLite.
fn is_same(left: &Table, right: &Table) -> bool {
    let words = |table: &Table| -> Vec<Word> {
        (0..TABLE_LEN / size_of::<Word>())
            .map(|index| {
                // SAFETY: the table consists of optional function pointers, and the index is below their number (rule 28).
                let place = unsafe { ptr::from_ref(table).cast::<Word>().add(index) };
                // SAFETY: a word of the table, of which each value is an optional function (rule 28).
                unsafe { place.read() }
            })
            .collect()
    };
    words(left).iter().zip(words(right)).all(|(left, right)| left.map(|f| f as usize) == right.map(|f| f as usize))
}

/// Runs the initialization of an extension. Returns SQLite's result code. It does not unwind.
///
/// The library of `entry`, an address of its code, stays loaded: what was registered refers to its code, also if the initialization fails, after which SQLite
/// unloads it.
///
/// # Safety
///
/// SQLite has called the entry point of an extension with these arguments.
pub(crate) unsafe fn load(
    handle: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    table: *const Table,
    entry: *const c_void,
    site: &'static Location<'static>,
    run: impl FnOnce(OwnedDb) -> Result<(), Error>,
) -> c_int {
    if table.is_null() {
        // There is no function to make a message by.
        return ffi::SQLITE_ERROR;
    }
    let initialize = || {
        if !pinned::keep_loaded(entry.addr()) {
            return Err("this system cannot keep the extension loaded, whose functions stay".into());
        }
        // SAFETY: the table that SQLite has passed (the caller's promise, rule 28).
        unsafe { take(table) }?;
        if is_read(handle) {
            return Err("a function of the extension that is loaded already is reading this connection".into());
        }
        // SAFETY: the connection for which SQLite calls the entry point, on this thread (the caller's promise, rule 28).
        let db = unsafe { Db::of_host(handle, site) }.map_err(|fault| Error::from(fault).to_string())?;
        run(db).map_err(|error| error.to_string())
    };
    let text = match panic::catch_unwind(AssertUnwindSafe(initialize)) {
        Ok(Ok(())) => return ffi::SQLITE_OK,
        Ok(Err(text)) => text,
        Err(payload) => {
            let of_panic = |text: &str| format!("the extension panicked: {text}");
            let text = payload.downcast_ref::<&str>().map(|text| of_panic(text));
            let text = text.or_else(|| payload.downcast_ref::<String>().map(|text| of_panic(text)));
            discard(payload);
            text.unwrap_or_else(|| "the extension panicked".into())
        }
    };
    // SAFETY: the table and the place for a message that SQLite has passed (the caller's promise, rules 22, 28).
    unsafe { tell(message, table, &text) }
    ffi::SQLITE_ERROR
}

/// Leaves a message, in memory of the host's.
///
/// # Safety
///
/// `table` is the host's, `message` NULL or a place for a string that it frees.
unsafe fn tell(message: *mut *mut c_char, table: *const Table, text: &str) {
    let (Some(malloc), false) = (field!(table, malloc), message.is_null()) else {
        return;
    };
    let text = text.split('\0').next().unwrap_or_default();
    let Ok(len) = c_int::try_from(text.len() + 1) else {
        return;
    };
    // SAFETY: the host's function (rule 28); c3ref/free.html: new memory of this size, or NULL.
    let copy = unsafe { malloc(len) }.cast::<u8>();
    if copy.is_null() {
        return;
    }
    // SAFETY: the new memory has room for the text and its end (rule 22).
    unsafe { text::write(copy, text) };
    // SAFETY: SQLite's place, which is NULL before; it frees the string (rule 22, c3ref/load_extension.html).
    unsafe { message.write(copy.cast()) }
}
