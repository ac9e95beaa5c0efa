//! System calls of SQLite's `unix` VFS that fail when a test wants them to, on its own thread alone.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::sync::{Once, OnceLock};

use finalite::ffi;

pub const EACCES: c_int = 13;
pub const EIO: c_int = 5;
pub const EMFILE: c_int = 24;
pub const ENOSPC: c_int = 28;
const O_ACCMODE: c_int = 3;
const O_RDWR: c_int = 2;

thread_local! {
    static WRITE: Cell<c_int> = const { Cell::new(0) };
    static OPEN: Cell<c_int> = const { Cell::new(0) };
    static SHARE: Cell<c_int> = const { Cell::new(0) };
}

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;

static OPEN_FILE: OnceLock<Open> = OnceLock::new();
static WRITE_FILE: OnceLock<Write> = OnceLock::new();
static WRITE_FILE_AT: OnceLock<WriteAt> = OnceLock::new();

/// While this runs, each write of this thread's to a file that is named `*.db` fails so.
pub fn with_failing_writes<T>(errno: c_int, run: impl FnOnce() -> T) -> T {
    with_failing(&WRITE, errno, run)
}

/// While this runs, this thread can open files that are named `*.db` for reading alone.
pub fn with_failing_opens<T>(errno: c_int, run: impl FnOnce() -> T) -> T {
    with_failing(&OPEN, errno, run)
}

/// While this runs, there is no shared memory for this thread's write-ahead logs.
pub fn without_shared_memory<T>(errno: c_int, run: impl FnOnce() -> T) -> T {
    with_failing(&SHARE, errno, run)
}

fn with_failing<T>(call: &'static std::thread::LocalKey<Cell<c_int>>, errno: c_int, run: impl FnOnce() -> T) -> T {
    install();
    call.set(errno);
    let result = run();
    call.set(0);
    result
}

fn fail_with(errno: c_int) {
    unsafe extern "C" {
        fn __errno_location() -> *mut c_int;
    }
    // SAFETY: the C library's own variable of this thread.
    unsafe { *__errno_location() = errno };
}

unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: SQLite hands over a path.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    let errno = match name {
        _ if name.ends_with(b".db") && flags & O_ACCMODE == O_RDWR => OPEN.get(),
        _ if name.ends_with(b"-shm") => SHARE.get(),
        _ => 0,
    };
    if errno != 0 {
        fail_with(errno);
        return -1;
    }
    // SAFETY: the call that was there before, with its own arguments.
    unsafe { OPEN_FILE.get().unwrap()(path, flags, mode) }
}

fn is_failing(file: c_int) -> bool {
    let path = || std::fs::read_link(format!("/proc/self/fd/{file}")).unwrap_or_default();
    WRITE.get() != 0 && path().to_string_lossy().ends_with(".db")
}

unsafe extern "C" fn write(file: c_int, bytes: *const c_void, count: usize) -> isize {
    if is_failing(file) {
        fail_with(WRITE.get());
        return -1;
    }
    // SAFETY: the call that was there before, with its own arguments.
    unsafe { WRITE_FILE.get().unwrap()(file, bytes, count) }
}

unsafe extern "C" fn write_at(file: c_int, bytes: *const c_void, count: usize, offset: i64) -> isize {
    if is_failing(file) {
        fail_with(WRITE.get());
        return -1;
    }
    // SAFETY: the call that was there before, with its own arguments.
    unsafe { WRITE_FILE_AT.get().unwrap()(file, bytes, count, offset) }
}

type SystemCall = unsafe extern "C" fn();

/// Puts them in the place of SQLite's own, for good.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A library that is not initialized would put its own back.
        drop(finalite::Connection::open_in_memory().unwrap());
        // SAFETY: the name of a VFS that is registered for good; its methods are those of its version. Each call has
        // the type that SQLite gives it (os_unix.c, `aSyscall`).
        unsafe {
            let vfs = ffi::sqlite3_vfs_find(c"unix".as_ptr());
            let (get, set) = ((*vfs).xGetSystemCall.unwrap(), (*vfs).xSetSystemCall.unwrap());
            let replace = |name: &CStr, by: SystemCall| assert_eq!(set(vfs, name.as_ptr(), Some(by)), ffi::SQLITE_OK);
            // The old one is at hand when the new one is called first, by whichever thread.
            let before = |name: &CStr| get(vfs, name.as_ptr());
            OPEN_FILE.set(transmute::<SystemCall, Open>(before(c"open").unwrap())).unwrap();
            replace(c"open", transmute::<Open, SystemCall>(open));
            WRITE_FILE.set(transmute::<SystemCall, Write>(before(c"write").unwrap())).unwrap();
            replace(c"write", transmute::<Write, SystemCall>(write));
            for name in [c"pwrite", c"pwrite64"] {
                if let Some(before) = before(name) {
                    WRITE_FILE_AT.set(transmute::<SystemCall, WriteAt>(before)).unwrap();
                    replace(name, transmute::<WriteAt, SystemCall>(write_at));
                }
            }
        }
    });
}
