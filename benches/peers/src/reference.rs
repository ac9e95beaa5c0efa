//! The references in C (`reference.c`), made callable.

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use libsqlite3_sys as ffi;

use crate::Result;
use crate::work::Record;

mod c {
    use super::{CRecord, c_char, c_int, ffi};

    pub(super) type Scan = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, u64, *mut u64) -> c_int;
    pub(super) type Lookup = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, *const i64, usize, *mut u64) -> c_int;
    pub(super) type Insert = unsafe extern "C" fn(*mut ffi::sqlite3_stmt, *const CRecord, usize, *mut u64) -> c_int;

    unsafe extern "C" {
        pub(super) fn reference_scan_usual(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_scan_best(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
        pub(super) fn reference_scan_step(_: *mut ffi::sqlite3_stmt, limit: u64, checksum: *mut u64) -> c_int;
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
        pub(super) fn reference_open(path: *const c_char, sql: *const c_char, count: u64, checksum: *mut u64) -> c_int;
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

    pub fn prepare(self, sql: &str) -> Result<Statement<'conn>> {
        let sql = CString::new(sql)?;
        let mut statement = ptr::null_mut();
        // SAFETY: the connection is open; `sql` is NUL-terminated, which -1 asks for.
        let code =
            unsafe { ffi::sqlite3_prepare_v2(self.ptr, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
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

    #[inline(never)]
    pub fn rust_scan(&mut self, limit: u64) -> Result<u64> {
        let st = self.ptr.as_ptr();
        let mut sum = 0u64;
        unsafe {
            let n = ffi::sqlite3_column_count(st);
            for _ in 0..limit {
                if ffi::sqlite3_step(st) != ffi::SQLITE_ROW { break; }
                for i in 0..n {
                    let v = ffi::sqlite3_column_value(st, i);
                    match ffi::sqlite3_value_type(v) {
                        ffi::SQLITE_INTEGER => sum = sum.wrapping_add(ffi::sqlite3_value_int64(v) as u64),
                        ffi::SQLITE_FLOAT => sum = sum.wrapping_add(ffi::sqlite3_value_double(v).to_bits()),
                        ffi::SQLITE_TEXT => { let p = ffi::sqlite3_value_text(v); let l = ffi::sqlite3_value_bytes(v);
                            sum = sum.wrapping_add(l as u64); if l > 0 { sum = sum.wrapping_add(*p.add(l as usize - 1) as u64); } }
                        ffi::SQLITE_BLOB => { let p = ffi::sqlite3_value_blob(v) as *const u8; let l = ffi::sqlite3_value_bytes(v);
                            sum = sum.wrapping_add(l as u64); if l > 0 { sum = sum.wrapping_add(*p.add(l as usize - 1) as u64); } }
                        _ => {}
                    }
                }
            }
            ffi::sqlite3_reset(st);
        }
        Ok(sum)
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

fn check(code: c_int) -> Result<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(format!("SQLite returned {code} ({})", ffi::code_to_str(code)).into()),
    }
}
