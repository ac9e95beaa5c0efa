//! The references in C (`reference.c`), made callable.

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use libsqlite3_sys as ffi;

use crate::Result;
use crate::work::Record;

mod c {
    use super::{CColumns, CRecord, c_char, c_int, ffi};

    pub(super) type Scan = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, u64, *mut u64) -> c_int;
    pub(super) type Lookup = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, *const i64, usize, *mut u64) -> c_int;
    pub(super) type Insert = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, *const CRecord, usize, *mut u64) -> c_int;

    unsafe extern "C" {
        pub(super) fn reference_scan_usual(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_scan_best(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_scan_step(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_query_once(
            _: *mut ffi::sqlite3,
            sql: *const c_char,
            length: c_int,
            checksum: *mut u64,
        ) -> c_int;
        pub(super) fn reference_update(_: *mut ffi::sqlite3_stmt, _: *const i64, _: usize, _: *mut u64) -> c_int;
        pub(super) fn reference_blob(
            _: *mut ffi::sqlite3,
            is_writing: c_int,
            piece: *mut u8,
            size: c_int,
            count: u64,
            checksum: *mut u64,
        ) -> c_int;
        pub(super) fn reference_backup(
            source: *mut ffi::sqlite3,
            destination: *mut ffi::sqlite3,
            pages: c_int,
            checksum: *mut u64,
        ) -> c_int;
        pub(super) fn reference_lookup(_: *mut ffi::sqlite3_stmt, _: *const i64, _: usize, _: *mut u64) -> c_int;
        pub(super) fn reference_lookup_as_finalite(
            _: *mut ffi::sqlite3_stmt,
            _: *const i64,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_lookup_as_rusqlite(
            _: *mut ffi::sqlite3_stmt,
            _: *const i64,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_lookup_as_rusqlite_one(
            _: *mut ffi::sqlite3_stmt,
            _: *const i64,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_insert(_: *mut ffi::sqlite3_stmt, _: *const CRecord, _: usize, _: *mut u64) -> c_int;
        pub(super) fn reference_insert_as_finalite(
            _: *mut ffi::sqlite3_stmt,
            _: *const CRecord,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_insert_as_rusqlite(
            _: *mut ffi::sqlite3_stmt,
            _: *const CRecord,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_insert_as_rusqlite_cached(
            _: *mut ffi::sqlite3_stmt,
            _: *const CRecord,
            _: usize,
            _: *mut u64,
        ) -> c_int;
        pub(super) fn reference_insert_columns(
            _: *mut ffi::sqlite3_stmt,
            _: *const CColumns,
            _: usize,
            has_id: c_int,
        ) -> c_int;
        pub(super) fn reference_open(path: *const c_char, sql: *const c_char, count: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_open_and_query(
            path: *const c_char,
            sql: *const c_char,
            db: *mut *mut ffi::sqlite3,
            sum: *mut u64,
        ) -> c_int;
        pub(super) fn reference_malloc_and_free(count: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_prepare(
            _: *mut ffi::sqlite3,
            sql: *const c_char,
            count: u64,
            checksum: *mut u64,
        ) -> c_int;
        pub(super) fn reference_lookaside_off(_: *mut ffi::sqlite3) -> c_int;
        pub(super) fn reference_statistics_off() -> c_int;
        pub(super) fn reference_functions(_: *mut ffi::sqlite3) -> c_int;
        pub(super) fn reference_update_hook(_: *mut ffi::sqlite3, count: *mut u64);
    }
}

/// A loop over the rows of a statement.
#[derive(Clone, Copy)]
pub enum Scan {
    Usual,
    Best,
    StepOnly,
}

/// A loop over keys.
#[derive(Clone, Copy)]
pub enum Lookup {
    Usual,
    AsFinalite,
    AsRusqlite,
    AsRusqliteOne,
}

/// A loop over records.
#[derive(Clone, Copy)]
pub enum Insert {
    Usual,
    AsFinalite,
    AsRusqlite,
    AsRusqliteCached,
}

/// A connection of somebody else's, for the time it is borrowed.
#[derive(Clone, Copy)]
pub struct Handle<'conn> {
    ptr: *mut ffi::sqlite3,
    conn: PhantomData<&'conn finalite::Connection>,
}

impl<'conn> Handle<'conn> {
    pub fn of(conn: &'conn finalite::Connection) -> Self {
        // SAFETY: used as long as the connection is borrowed, by the thread that has it; what is prepared through it
        // borrows it too, and is finalized in Drop.
        Self { ptr: unsafe { conn.as_raw() }, conn: PhantomData }
    }

    /// Whether SQLite locks a mutex in every call on this connection.
    pub fn has_mutex(self) -> bool {
        // SAFETY: the connection is open; c3ref/db_mutex.html: NULL unless it is serialized.
        !unsafe { ffi::sqlite3_db_mutex(self.ptr) }.is_null()
    }

    /// A rusqlite connection over the same handle, which it does not close.
    pub fn rusqlite(self) -> Result<rusqlite::Connection> {
        // SAFETY: the handle is open, and the callers drop this connection before the one that owns the handle.
        Ok(unsafe { rusqlite::Connection::from_handle(self.ptr) }?)
    }

    /// Registers the functions of the reference: `c_half` of an integer, `c_bytes` of a text.
    pub fn create_functions(self) -> Result<()> {
        // SAFETY: the connection is open and not in a call; the functions are of this program, and have no data.
        check(unsafe { c::reference_functions(self.ptr) })
    }

    /// Counts the rows that a closure changes: the length of the table's name for each.
    pub fn count_updates(self, calls: &mut u64, change: impl FnOnce() -> Result<()>) -> Result<()> {
        // SAFETY: the connection is open and not in a call; `calls` lives until the hook is taken away below.
        unsafe { c::reference_update_hook(self.ptr, calls) };
        let changed = change();
        // SAFETY: the connection is open and not in a call; NULL takes the hook away.
        unsafe { c::reference_update_hook(self.ptr, std::ptr::null_mut()) };
        changed
    }

    /// Reads or writes pieces of the value `b.a` in the first row.
    pub fn blob(self, is_writing: bool, piece: &mut [u8], count: u64) -> Result<u64> {
        let mut checksum = 0;
        let (size, piece) = (c_int::try_from(piece.len())?, piece.as_mut_ptr());
        // SAFETY: the connection is open and not in a call; `piece` is `size` bytes, which live during the call.
        check(unsafe { c::reference_blob(self.ptr, c_int::from(is_writing), piece, size, count, &raw mut checksum) })?;
        Ok(checksum)
    }

    /// Copies the main database to that of another connection.
    pub fn backup(self, destination: Handle<'_>, pages: c_int) -> Result<u64> {
        let mut checksum = 0;
        // SAFETY: both connections are open and not in a call.
        check(unsafe { c::reference_backup(self.ptr, destination.ptr, pages, &raw mut checksum) })?;
        Ok(checksum)
    }

    /// Takes SQLite's fast small allocator away. Before the connection is used: it fails when a slot is taken.
    pub fn turn_lookaside_off(self) -> Result<()> {
        // SAFETY: the connection is open and not in a call.
        check(unsafe { c::reference_lookaside_off(self.ptr) })
    }

    /// Prepares a query, reads the integers of its rows and finalizes it, `count` times.
    pub fn prepare_and_finalize(self, sql: &CStr, count: u64) -> Result<u64> {
        let mut checksum = 0;
        // SAFETY: the connection is open; `sql` is NUL-terminated and lives during the call.
        let code = unsafe { c::reference_prepare(self.ptr, sql.as_ptr(), count, &raw mut checksum) };
        check(code)?;
        Ok(checksum)
    }

    /// Prepares a query, reads its rows and finalizes it; returns the checksum.
    pub fn query_once(self, sql: &str) -> Result<u64> {
        let (length, mut checksum) = (c_int::try_from(sql.len())?, 0);
        // SAFETY: the connection is open and not in a call; `sql` is as many bytes as said, and lives during the call.
        check(unsafe { c::reference_query_once(self.ptr, sql.as_ptr().cast(), length, &raw mut checksum) })?;
        Ok(checksum)
    }

    pub fn prepare(self, sql: &str) -> Result<Statement<'conn>> {
        let sql = CString::new(sql)?;
        let mut statement = ptr::null_mut();
        // SAFETY: the connection is open; `sql` is NUL-terminated, which -1 asks for.
        let code = unsafe { ffi::sqlite3_prepare_v2(self.ptr, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
        check(code)?;
        let ptr = NonNull::new(statement).ok_or("no SQL")?;
        Ok(Statement { ptr, conn: PhantomData })
    }
}

/// A statement that is kept.
pub struct Statement<'conn> {
    ptr: NonNull<ffi::sqlite3_stmt>,
    conn: PhantomData<&'conn finalite::Connection>,
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: the statement is ours, alive and not running.
        unsafe { ffi::sqlite3_finalize(self.ptr.as_ptr()) };
    }
}

impl Statement<'_> {
    /// Binds an integer to the only parameter.
    pub fn bind(&mut self, key: i64) -> Result<()> {
        // SAFETY: the statement is alive, ours alone, and was reset at the end of its last run.
        check(unsafe { ffi::sqlite3_bind_int64(self.ptr.as_ptr(), 1, key) })
    }

    /// Reads the first `limit` rows; returns the checksum.
    pub fn scan(&mut self, scan: Scan, limit: u64) -> Result<u64> {
        let function: c::Scan = match scan {
            Scan::Usual => c::reference_scan_usual,
            Scan::Best => c::reference_scan_best,
            Scan::StepOnly => c::reference_scan_step,
        };
        let mut checksum = 0;
        // SAFETY: the statement is alive and ours alone.
        let code = unsafe { function(self.ptr.as_ptr(), limit, &raw mut checksum) };
        check(code)?;
        Ok(checksum)
    }

    /// The best loop once more, in Rust: what is between the two is the compilers', and no driver's.
    #[inline(never)]
    pub fn scan_in_rust(&mut self, limit: u64) -> Result<u64> {
        let statement = self.ptr.as_ptr();
        // SAFETY: the statement is alive and ours alone, in all of this function.
        let columns = unsafe { ffi::sqlite3_column_count(statement) };
        let mut sum = 0_u64;
        let mut code = ffi::SQLITE_DONE;
        for _ in 0..limit {
            // SAFETY: see `columns`.
            code = unsafe { ffi::sqlite3_step(statement) };
            if code != ffi::SQLITE_ROW {
                break;
            }
            for column in 0..columns {
                // SAFETY: the statement is on a row, and the column is in range.
                let value = unsafe { ffi::sqlite3_column_value(statement, column) };
                // SAFETY: the value is valid until the next step, and read as its own type alone.
                let cell = unsafe { read(value) };
                sum = sum.wrapping_add(cell);
            }
        }
        // SAFETY: see `columns`.
        check(unsafe { ffi::sqlite3_reset(statement) })?;
        if code == ffi::SQLITE_ROW || code == ffi::SQLITE_DONE { Ok(sum) } else { Err(failed(code)) }
    }

    /// Reads a text and an integer for each key.
    pub fn lookup(&mut self, lookup: Lookup, keys: &[i64]) -> Result<u64> {
        let function: c::Lookup = match lookup {
            Lookup::Usual => c::reference_lookup,
            Lookup::AsFinalite => c::reference_lookup_as_finalite,
            Lookup::AsRusqlite => c::reference_lookup_as_rusqlite,
            Lookup::AsRusqliteOne => c::reference_lookup_as_rusqlite_one,
        };
        let mut checksum = 0;
        // SAFETY: the statement is alive and ours alone; the keys are as many as said.
        let code = unsafe { function(self.ptr.as_ptr(), keys.as_ptr(), keys.len(), &raw mut checksum) };
        check(code)?;
        Ok(checksum)
    }

    /// Updates a row for each key; returns their number.
    pub fn update(&mut self, keys: &[i64]) -> Result<u64> {
        let mut checksum = 0;
        // SAFETY: the statement is alive and ours alone, with two parameters; the keys are as many as said.
        check(unsafe { c::reference_update(self.ptr.as_ptr(), keys.as_ptr(), keys.len(), &raw mut checksum) })?;
        Ok(checksum)
    }

    /// Inserts every record; returns their number.
    pub fn insert(&mut self, insert: Insert, records: &[CRecord]) -> Result<u64> {
        let function: c::Insert = match insert {
            Insert::Usual => c::reference_insert,
            Insert::AsFinalite => c::reference_insert_as_finalite,
            Insert::AsRusqlite => c::reference_insert_as_rusqlite,
            Insert::AsRusqliteCached => c::reference_insert_as_rusqlite_cached,
        };
        let mut checksum = 0;
        // SAFETY: the statement is alive and ours alone; the records are as many as said, and their text lives as long
        // as the slice. What stays bound afterwards is not looked at: the next run binds anew before it steps.
        let code = unsafe { function(self.ptr.as_ptr(), records.as_ptr(), records.len(), &raw mut checksum) };
        check(code)?;
        Ok(checksum)
    }

    /// Inserts the rows of columns.
    pub fn insert_columns(&mut self, columns: &Columns, has_id: bool) -> Result<()> {
        let bytes = columns.as_c();
        let c_columns = CColumns {
            integers: [columns.id.as_ptr(), columns.i1.as_ptr(), columns.i2.as_ptr()],
            reals: [columns.r1.as_ptr(), columns.r2.as_ptr()],
            bytes: [bytes[0].as_ptr(), bytes[1].as_ptr(), bytes[2].as_ptr()],
            borrowed: PhantomData,
        };
        // SAFETY: the statement is alive and ours alone, with eight parameters; all columns have as many values, which
        // live during the call, after which nothing is bound.
        check(unsafe {
            c::reference_insert_columns(self.ptr.as_ptr(), &raw const c_columns, columns.id.len(), has_id.into())
        })
    }
}

/// Columns of the same length, of the sample table.
#[derive(Default)]
pub struct Columns {
    pub id: Vec<i64>,
    pub i1: Vec<i64>,
    pub i2: Vec<i64>,
    pub r1: Vec<f64>,
    pub r2: Vec<f64>,
    pub s1: Vec<String>,
    pub s2: Vec<String>,
    pub b: Vec<Vec<u8>>,
}

impl Columns {
    fn as_c(&self) -> [Vec<CBytes<'_>>; 3] {
        fn texts(texts: &[String]) -> Vec<CBytes<'_>> {
            texts.iter().map(|text| CBytes::new(text.as_bytes())).collect()
        }
        [texts(&self.s1), texts(&self.s2), self.b.iter().map(|bytes| CBytes::new(bytes)).collect()]
    }
}

/// Columns as C sees them.
#[repr(C)]
struct CColumns<'a> {
    integers: [*const i64; 3],
    reals: [*const f64; 2],
    bytes: [*const CBytes<'a>; 3],
    borrowed: PhantomData<&'a Columns>,
}

/// A text or a blob as C sees it.
#[repr(C)]
struct CBytes<'a> {
    start: *const u8,
    length: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> CBytes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { start: bytes.as_ptr(), length: bytes.len(), bytes: PhantomData }
    }
}

/// A record as C sees it. Borrows the text of the [`Record`] it was made from.
#[repr(C)]
pub struct CRecord<'a> {
    integer: i64,
    text: *const c_char,
    text_length: usize,
    real: f64,
    record: PhantomData<&'a Record>,
}

impl<'a> From<&'a Record> for CRecord<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            integer: record.integer,
            text: record.text.as_ptr().cast(),
            text_length: record.text.len(),
            real: record.real,
            record: PhantomData,
        }
    }
}

/// Opens, reads one integer and closes, `count` times.
pub fn open(path: &CStr, sql: &CStr, count: u64) -> Result<u64> {
    let mut checksum = 0;
    // SAFETY: both strings are NUL-terminated and live during the call.
    let code = unsafe { c::reference_open(path.as_ptr(), sql.as_ptr(), count, &raw mut checksum) };
    check(code)?;
    Ok(checksum)
}

/// A connection that C opened and read one integer through.
pub struct Opened(*mut ffi::sqlite3);

impl Opened {
    pub fn open(path: &CStr, sql: &CStr) -> Result<Self> {
        let mut opened = Self(ptr::null_mut());
        let mut sum = 0;
        // SAFETY: both strings are NUL-terminated and live during the call. What it opens is closed in Drop.
        let code = unsafe { c::reference_open_and_query(path.as_ptr(), sql.as_ptr(), &raw mut opened.0, &raw mut sum) };
        check(code)?;
        Ok(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: NULL, or open, ours, and without statements.
        unsafe { ffi::sqlite3_close(self.0) };
    }
}

/// Allocates and frees blocks of 48 to 408 bytes, one at a time.
pub fn malloc_and_free(count: u64) -> Result<u64> {
    let mut checksum = 0;
    // SAFETY: writes to the integer alone.
    check(unsafe { c::reference_malloc_and_free(count, &raw mut checksum) })?;
    Ok(checksum)
}

/// Has SQLite count no memory: first of all in a process of one thread.
pub fn turn_statistics_off() -> Result<()> {
    // SAFETY: c3ref/config.html: not safe beside other threads; the caller has none yet. Refused if it is too late.
    check(unsafe { c::reference_statistics_off() })
}

/// What a cell adds to the checksum.
///
/// # Safety
///
/// The value is valid.
#[inline(always)]
unsafe fn read(value: *mut ffi::sqlite3_value) -> u64 {
    // SAFETY: the value is valid (caller).
    match unsafe { ffi::sqlite3_value_type(value) } {
        // SAFETY: as above.
        ffi::SQLITE_INTEGER => unsafe { ffi::sqlite3_value_int64(value) }.cast_unsigned(),
        // SAFETY: as above.
        ffi::SQLITE_FLOAT => unsafe { ffi::sqlite3_value_double(value) }.to_bits(),
        ffi::SQLITE_TEXT => {
            // SAFETY: as above.
            let text = unsafe { ffi::sqlite3_value_text(value) };
            // SAFETY: as above; asked after the text, and so its length.
            let length = unsafe { ffi::sqlite3_value_bytes(value) };
            // SAFETY: the text is that long.
            unsafe { ends(text, length) }
        }
        ffi::SQLITE_BLOB => {
            // SAFETY: as above.
            let blob = unsafe { ffi::sqlite3_value_blob(value) };
            // SAFETY: as above; asked after the blob, and so its length.
            let length = unsafe { ffi::sqlite3_value_bytes(value) };
            // SAFETY: the blob is that long.
            unsafe { ends(blob.cast(), length) }
        }
        _ => 0,
    }
}

/// What `length` bytes add to the checksum.
///
/// # Safety
///
/// There are so many bytes at `first`.
#[inline(always)]
unsafe fn ends(first: *const u8, length: c_int) -> u64 {
    let Some(last) = usize::try_from(length).ok().and_then(|length| length.checked_sub(1)) else {
        return 0;
    };
    // SAFETY: in range (caller).
    let last_byte = unsafe { first.add(last).read() };
    last as u64 + 1 + u64::from(last_byte)
}

fn check(code: c_int) -> Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failed(code)) }
}

#[cold]
fn failed(code: c_int) -> Box<dyn std::error::Error + Send + Sync> {
    format!("SQLite returned {code} ({})", ffi::code_to_str(code)).into()
}
