//! Blocks of SQLite's, asked for through `finalite::ffi`, and a way into a call of SQLite's.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use finalite::{Connection, ffi};

/// A block that SQLite's allocator gave. It is freed when this is dropped.
#[derive(Debug)]
pub struct Block(NonNull<c_void>);

// SAFETY: c3ref/free.html: the functions are thread-safe, and a block belongs to no thread.
unsafe impl Send for Block {}

impl Block {
    /// `None` where there is no memory.
    pub fn new(bytes: u64) -> Option<Self> {
        // SAFETY: takes a number.
        NonNull::new(unsafe { ffi::sqlite3_malloc64(bytes) }).map(Self)
    }

    /// A block that must be there, filled with `byte`.
    pub fn filled(bytes: u64, byte: u8) -> Self {
        let mut block = Self::new(bytes).unwrap();
        block.contents_mut().fill(MaybeUninit::new(byte));
        block
    }

    /// Makes it as large as this, rounded up to 8; false: it is as it was.
    pub fn resize(&mut self, bytes: u64) -> bool {
        // SAFETY: the block is from `sqlite3_malloc64` or from here, and replaced by what comes back.
        let moved = NonNull::new(unsafe { ffi::sqlite3_realloc64(self.0.as_ptr(), bytes) });
        moved.inspect(|&moved| self.0 = moved).is_some()
    }

    pub fn bytes(&self) -> u64 {
        // SAFETY: the block is alive.
        unsafe { ffi::sqlite3_msize(self.0.as_ptr()) }
    }

    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Only of a block that was filled.
    pub fn contents(&self) -> &[u8] {
        let len = usize::try_from(self.bytes()).unwrap();
        // SAFETY: the block is alive, as large as that, and written to.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), len) }
    }

    fn contents_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let len = usize::try_from(self.bytes()).unwrap();
        // SAFETY: the block is alive, as large as that, and nobody else's.
        unsafe { slice::from_raw_parts_mut(self.0.as_ptr().cast(), len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block is from SQLite, and freed here alone.
        unsafe { ffi::sqlite3_free(self.0.as_ptr()) };
    }
}

/// Runs this in an SQL function, so within a step of the connection: what SQLite allocates is charged to it.
pub fn inside(conn: &Connection, mut work: impl FnMut()) {
    unsafe extern "C" fn call(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
        // SAFETY: the context is of this call.
        let work = unsafe { ffi::sqlite3_user_data(context) }.cast::<&mut dyn FnMut()>();
        // SAFETY: what `inside` registered, which it outlives, and nobody else uses.
        unsafe { (*work)() };
    }
    type Function = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);
    let define = |data: *mut c_void, function: Option<Function>| {
        let name = c"inside".as_ptr();
        // SAFETY: the connection is open and used by this thread. The data lives until the function is taken away.
        let code = unsafe {
            ffi::sqlite3_create_function_v2(conn.as_raw(), name, 0, ffi::SQLITE_UTF8, data, function, None, None, None)
        };
        assert_eq!(code, ffi::SQLITE_OK);
    };
    let mut work: &mut dyn FnMut() = &mut work;
    define((&raw mut work).cast(), Some(call));
    conn.prepare("SELECT inside()").unwrap().query_one::<Option<i64>>(()).unwrap();
    define(ptr::null_mut(), None);
}

/// A connection that another driver would have.
#[derive(Debug)]
pub struct Stranger(*mut ffi::sqlite3);

impl Stranger {
    pub fn open(path: &std::path::Path) -> Self {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = ptr::null_mut();
        // SAFETY: the path is NUL-terminated and lives during the call.
        let code = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
        assert_eq!(code, ffi::SQLITE_OK);
        Self(handle)
    }

    pub fn execute(&self, sql: &std::ffi::CStr) {
        // SAFETY: the connection is open; c3ref/exec.html allows NULL for what is not wanted.
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nobody else has it.
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, ffi::SQLITE_OK);
    }
}
