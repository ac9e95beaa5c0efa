//! File systems of the program, as C calls them (`sqlite3_vfs`), and their registration.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use super::api::{FullPath, Vfs, VfsFile};
use super::error::{VfsError, VfsResult};
use super::existing::{Existing, field};
use super::file;
use super::flags::{Access, OpenFlags};
use super::name::{FileName, c_path, path_of};
use super::running;
use crate::error::{Error, Fault, FaultKind, Result, ResultCode};
use crate::raw::db::code_fault;
use crate::raw::ffi;
use crate::raw::initialize::initialize;
use crate::track::PerProcess;

/// The `sqlite3_vfs` of C, and the file system. It lives as long as the process: a connection keeps its address also
/// while it has no file open.
#[repr(C)]
struct Shell<V> {
    /// SQLite changes its `pNext`.
    base: UnsafeCell<ffi::sqlite3_vfs>,
    info: Info,
    /// The file system; `None` when it was unregistered.
    vfs: Mutex<Option<Arc<V>>>,
}

/// Part that does not depend on the type of the file system.
struct Info {
    name: CString,
    open_files: AtomicUsize,
}

// SAFETY: `base` is SQLite's, which changes it under a mutex of its own; Rust passes its address and reads no field. The
// other fields are `Sync` by themselves, as `V` is `Send` and `Sync` (rule 26).
unsafe impl<V: Vfs> Sync for Shell<V> {}

/// A file of a registered file system that is open.
pub(super) struct OpenCount(&'static Info);

impl OpenCount {
    pub(super) fn vfs_name(&self) -> &'static str {
        self.0.name.to_str().unwrap_or_default()
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.open_files.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<V: Vfs> Shell<V> {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<V>>> {
        self.vfs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vfs(&self) -> Option<Arc<V>> {
        self.slot().clone()
    }

    fn begin_open(&'static self) -> VfsResult<(Arc<V>, OpenCount)> {
        let slot = self.slot();
        let vfs = Arc::clone(slot.as_ref().ok_or(file::GONE)?);
        self.info.open_files.fetch_add(1, Ordering::SeqCst);
        Ok((vfs, OpenCount(&self.info)))
    }
}

/// A shell whose type is unknown.
trait AnyShell: Sync {
    fn info(&self) -> &Info;
    fn register(&self, make_default: bool) -> c_int;
    /// Returns the file system, whose Drop is the program's.
    fn unregister(&self) -> std::result::Result<Option<Arc<dyn Any + Send + Sync>>, Fault>;
    fn is_registered(&self) -> bool;
}

impl<V: Vfs> AnyShell for Shell<V> {
    fn info(&self) -> &Info {
        &self.info
    }

    fn register(&self, make_default: bool) -> c_int {
        // SAFETY: the object lives as long as the process, and its address was made from a reference to all of the shell
        // (c3ref/vfs_find.html, rules 24, 26).
        unsafe { ffi::sqlite3_vfs_register(ptr::from_ref(self).cast_mut().cast(), c_int::from(make_default)) }
    }

    fn unregister(&self) -> std::result::Result<Option<Arc<dyn Any + Send + Sync>>, Fault> {
        let mut slot = self.slot();
        if self.info.open_files.load(Ordering::SeqCst) > 0 {
            return Err(Fault::new(FaultKind::Misuse("files of the file system are open")));
        }
        let Some(vfs) = slot.take() else {
            return Ok(None);
        };
        drop(slot);
        // SAFETY: registered, as it was not taken before; the object stays (c3ref/vfs_find.html, rules 24, 26).
        let code = unsafe { ffi::sqlite3_vfs_unregister(ptr::from_ref(self).cast_mut().cast()) };
        if code != ffi::SQLITE_OK {
            // SQLite still has it.
            *self.slot() = Some(vfs);
            return Err(code_fault(code));
        }
        Ok(Some(vfs))
    }

    fn is_registered(&self) -> bool {
        self.slot().is_some()
    }
}

/// SQLite's default file system when the first one of the program was registered.
static SYSTEM: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// Returns SQLite's own file system, also when one of the program is the default.
pub(super) fn of_sqlite() -> Option<Existing> {
    let system = SYSTEM.load(Ordering::Acquire);
    // Without one at the first registration, the default is one of the program.
    if system.is_null() && !running::is_in_use() { Existing::find(None) } else { Existing::from_ptr(system) }
}

/// A file system that is registered: [`register`](crate::vfs::register). Dropping it changes nothing.
pub struct Registration(&'static dyn AnyShell);

impl Registration {
    /// Returns the name, for [`OpenOptions::vfs`](crate::OpenOptions::vfs) and the URI parameter `vfs`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.info().name.to_str().unwrap_or_default()
    }

    /// Returns the number of files that are open: of connections, and of their journals, logs and temporary files.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.0.info().open_files.load(Ordering::SeqCst)
    }

    /// Makes the file system the default of the process, for all connections that name none, also those of other
    /// drivers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if it was unregistered.
    pub fn make_default(&self) -> Result<()> {
        let _one_at_a_time = REGISTERING.lock();
        if !self.0.is_registered() {
            return Err(Fault::new(FaultKind::Misuse("the file system was unregistered")).into());
        }
        check(self.0.register(true))
    }

    /// Removes the file system from SQLite's list, and drops it. A connection that uses it but has no file open, as one in
    /// memory, opens no more files. About 300 bytes stay for SQLite, which may refer to them as long as the process lives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if [files](Self::open_files) are open; SQLite's if it refuses.
    /// Nothing has changed then.
    pub fn unregister(&self) -> Result<()> {
        let one_at_a_time = REGISTERING.lock();
        let unregistered = self.0.unregister();
        drop(one_at_a_time);
        unregistered.map(drop).map_err(Error::from)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name())
            .field("is_registered", &self.0.is_registered())
            .field("open_files", &self.open_files())
            .finish()
    }
}

/// All that were ever registered, which are not freed. Its lock lets one thread at a time change SQLite's list.
static REGISTERING: PerProcess<Vec<&'static dyn AnyShell>> = PerProcess::new(Vec::new);

fn check(code: c_int) -> Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code_fault(code).into()) }
}

/// Registers a file system. See [`register`](crate::vfs::register).
pub(crate) fn register<V: Vfs>(name: &str, vfs: V) -> Result<Registration> {
    check(initialize().err().unwrap_or(ffi::SQLITE_OK))?;
    let misuse = |reason| Err(Fault::new(FaultKind::Misuse(reason)).into());
    let Some(c_name) = CString::new(name).ok().filter(|name| !name.is_empty()) else {
        return misuse("the name of a file system is empty or contains NUL");
    };
    // Code of the program runs under no lock.
    let longest = vfs.existing().map_or(usize::MAX, Existing::longest_path);
    let mut all = REGISTERING.lock();
    if Existing::find(Some(&c_name)).is_some() {
        return misuse("a file system of this name exists");
    }
    if SYSTEM.load(Ordering::Acquire).is_null() {
        let default = Existing::find(None).map_or(ptr::null_mut(), |existing| existing.as_ptr());
        SYSTEM.store(default, Ordering::Release);
    }
    let shell: &'static Shell<V> = Box::leak(Box::new(Shell {
        base: UnsafeCell::new(methods::<V>(&c_name, longest)),
        info: Info { name: c_name, open_files: AtomicUsize::new(0) },
        vfs: Mutex::new(Some(Arc::new(vfs))),
    }));
    all.push(shell);
    running::begin_use();
    let registration = Registration(shell);
    match check(registration.0.register(false)) {
        Ok(()) => Ok(registration),
        Err(error) => {
            let failed = shell.slot().take();
            drop(all);
            drop(failed);
            Err(error)
        }
    }
}

/// Longest path, in bytes, of a file system of the program that is built on no other.
const PATH_BYTES_MAX: usize = 1024;

/// Returns the object for C. The name is that of the shell, whose text does not move. `longest`: path, in bytes, that the
/// file system below has room for.
fn methods<V: Vfs>(name: &CString, longest: usize) -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: c_int::try_from(file::BYTES).unwrap_or(c_int::MAX),
        mxPathname: c_int::try_from(longest.min(PATH_BYTES_MAX)).unwrap_or(0),
        pNext: ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open::<V>),
        xDelete: Some(delete::<V>),
        xAccess: Some(access::<V>),
        xFullPathname: Some(full_path::<V>),
        xDlOpen: Some(load),
        xDlError: Some(load_error),
        xDlSym: Some(load_symbol),
        xDlClose: Some(unload),
        xRandomness: Some(randomness),
        xSleep: Some(sleep::<V>),
        xCurrentTime: Some(current_day::<V>),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time::<V>),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// Returns the shell that C passes to a method.
///
/// # Safety
///
/// `vfs` is the object of a method that C calls, of a shell of this `V`.
unsafe fn shell<V: Vfs>(vfs: *mut ffi::sqlite3_vfs) -> &'static Shell<V> {
    // SAFETY: the object is the first field of the shell that `register` leaked, to which only shared references exist
    // (the caller's promise, rule 26).
    unsafe { &*vfs.cast::<Shell<V>>() }
}

/// Runs a method of the program for C. The error is a code, as in `file.rs`.
///
/// # Safety
///
/// That of [`shell`].
unsafe fn call<V: Vfs, R>(
    vfs: *mut ffi::sqlite3_vfs,
    code: ResultCode,
    run: impl FnOnce(&V) -> VfsResult<R>,
) -> std::result::Result<R, c_int> {
    // SAFETY: the caller's promise is the same (rule 26).
    let shell = unsafe { shell::<V>(vfs) };
    let result = running::call(|| run(&*shell.vfs().ok_or(file::GONE)?));
    end(result, code)
}

/// Converts the result of a method of the program: the error is a code.
fn end<R>(result: Option<VfsResult<R>>, code: ResultCode) -> std::result::Result<R, c_int> {
    running::set_errno(0);
    match result {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) => {
            running::set_errno(error.os_error());
            Err(error.code_or(code))
        }
        None => Err(code.number()),
    }
}

unsafe extern "C" fn open<V: Vfs>(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    to: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: c3ref/vfs.html: memory of szOsFile bytes; NULL methods mean that nothing is to be closed (rule 26).
    unsafe { (*to).pMethods = ptr::null() };
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    let shell = unsafe { shell::<V>(vfs) };
    let opened = running::call(|| {
        let (vfs, count) = shell.begin_open()?;
        let asked = OpenFlags(flags);
        // SAFETY: the arguments of this call of xOpen (rule 26).
        let name = unsafe { FileName::copy(name, asked.kind()) }?;
        let file = vfs.open(name.as_ref(), asked)?;
        let is_read_only = asked.is_read_only() || file.is_read_only();
        // SAFETY: the memory of this call of xOpen (rule 26).
        unsafe { file::publish(to, file, count) }?;
        Ok(is_read_only)
    });
    match end(opened, ResultCode::CANTOPEN) {
        Ok(is_read_only) => {
            const WRITING: c_int = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE;
            let flags = if is_read_only { flags & !WRITING | ffi::SQLITE_OPEN_READONLY } else { flags };
            if !out.is_null() {
                // SAFETY: SQLite's out pointer, valid during the call (c3ref/vfs.html, rule 26).
                unsafe { *out = flags };
            }
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

/// Returns a path that C passes; the empty one for NULL.
///
/// # Safety
///
/// `path` is NULL, or a NUL-terminated string, valid for `'call`.
unsafe fn path<'call>(path: *const c_char) -> &'call Path {
    if path.is_null() {
        return Path::new("");
    }
    // SAFETY: the caller's promise (rule 26).
    path_of(unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes())
}

unsafe extern "C" fn delete<V: Vfs>(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite's path, valid during the call (c3ref/vfs.html, rule 26).
    let path = unsafe { path(name) };
    let run = |vfs: &V| {
        vfs.delete(path, sync_directory != 0).map_err(|error| match (error.code(), error.kind()) {
            (None, std::io::ErrorKind::NotFound) => {
                VfsError::new(ResultCode::IOERR_DELETE_NOENT).with_os_error(error.os_error())
            }
            _ => error,
        })
    };
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    unsafe { call(vfs, ResultCode::IOERR_DELETE, run) }.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn access<V: Vfs>(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's path, valid during the call (c3ref/vfs.html, rule 26).
    let path = unsafe { path(name) };
    let run = |vfs: &V| vfs.access(path, Access::from_c(flags));
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    let result = unsafe { call(vfs, ResultCode::IOERR_ACCESS, run) };
    // SAFETY: SQLite's out pointer, valid during the call (c3ref/vfs.html, rule 26).
    unsafe { *out = c_int::from(result.unwrap_or(false)) };
    result.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn full_path<V: Vfs>(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    bytes: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's path, valid during the call (c3ref/vfs.html, rule 26).
    let path = unsafe { path(name) };
    // A panic of the program's code for the path is caught with that of the method.
    let run = |vfs: &V| {
        let FullPath { path, has_symlink } = vfs.full_path(path)?;
        // SQLite makes no names of the journal and the log beside an empty one, and later passes NULL.
        let path = c_path(&path).ok().filter(|path| !path.is_empty());
        Ok((path.ok_or(VfsError::new(ResultCode::CANTOPEN_FULLPATH))?, has_symlink))
    };
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    match unsafe { call(vfs, ResultCode::CANTOPEN_FULLPATH, run) } {
        Ok((full, has_symlink)) => {
            let full = full.as_bytes_with_nul();
            if usize::try_from(bytes).is_ok_and(|bytes| full.len() <= bytes) {
                // SAFETY: SQLite's buffer has `bytes` bytes, which are enough (checked above, rule 26).
                unsafe { ptr::copy_nonoverlapping(full.as_ptr(), out.cast(), full.len()) };
                if has_symlink { ResultCode::OK_SYMLINK.number() } else { ffi::SQLITE_OK }
            } else {
                ResultCode::CANTOPEN_FULLPATH.number()
            }
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn sleep<V: Vfs>(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    let asked = Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    let shell = unsafe { shell::<V>(vfs) };
    let run = || match shell.vfs() {
        Some(vfs) => vfs.sleep(asked),
        None => {
            thread::sleep(asked);
            asked
        }
    };
    running::call(run).and_then(|slept| c_int::try_from(slept.as_micros()).ok()).unwrap_or(microseconds)
}

/// Returns the current time in milliseconds since the Julian epoch.
///
/// # Safety
///
/// That of [`shell`].
unsafe fn milliseconds<V: Vfs>(vfs: *mut ffi::sqlite3_vfs) -> std::result::Result<i64, c_int> {
    const UNIX_EPOCH: i64 = 210_866_760_000_000;
    // SAFETY: the caller's promise is the same (rule 26).
    let shell = unsafe { shell::<V>(vfs) };
    let time = running::call(|| shell.vfs().map_or_else(SystemTime::now, |vfs| vfs.current_time()));
    let since = time.ok_or(ffi::SQLITE_IOERR)?.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.map_or_else(|before| -signed(before.duration()), signed);
    Ok(UNIX_EPOCH.saturating_add(since))
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

unsafe extern "C" fn current_time<V: Vfs>(vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    match unsafe { milliseconds::<V>(vfs) } {
        Ok(time) => {
            // SAFETY: SQLite's out pointer, valid during the call (c3ref/vfs.html, rule 26).
            unsafe { *out = time };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn current_day<V: Vfs>(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: C passes the object of the method, which is this one for `V` (rule 26).
    match unsafe { milliseconds::<V>(vfs) } {
        Ok(time) => {
            let (days, rest) = (time / 86_400_000, time % 86_400_000);
            let day = f64::from(i32::try_from(days).unwrap_or(i32::MAX));
            let rest = f64::from(i32::try_from(rest).unwrap_or(0)) / 86_400_000.0;
            // SAFETY: SQLite's out pointer, valid during the call (c3ref/vfs.html, rule 26).
            unsafe { *out = day + rest };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn last_error(_vfs: *mut ffi::sqlite3_vfs, _bytes: c_int, _out: *mut c_char) -> c_int {
    running::errno()
}

// Extensions are loaded, and random bytes made, by SQLite's own file system. SQLite asks for the bytes under a mutex of its
// generator, which is not recursive, and which the opening of a temporary file takes: no code of the program runs there.

unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    match of_sqlite().and_then(|system| Some((system.as_ptr(), field!(system, xRandomness)?))) {
        // SAFETY: a registered file system, and the arguments of the same method (rules 24, 26).
        Some((system, randomness)) => unsafe { randomness(system, bytes, out) },
        None => 0,
    }
}

unsafe extern "C" fn load(_vfs: *mut ffi::sqlite3_vfs, path: *const c_char) -> *mut c_void {
    let load = of_sqlite().and_then(|system| Some((system.as_ptr(), field!(system, xDlOpen)?)));
    // SAFETY: a registered file system, and the argument of the same method (rules 24, 26).
    load.map_or(ptr::null_mut(), |(system, load)| unsafe { load(system, path) })
}

unsafe extern "C" fn load_error(_vfs: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) {
    if let Some((system, error)) = of_sqlite().and_then(|system| Some((system.as_ptr(), field!(system, xDlError)?))) {
        // SAFETY: a registered file system, and the arguments of the same method (rules 24, 26).
        unsafe { error(system, bytes, out) }
    }
}

type Symbol = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char);

unsafe extern "C" fn load_symbol(
    _vfs: *mut ffi::sqlite3_vfs,
    library: *mut c_void,
    name: *const c_char,
) -> Option<Symbol> {
    let (system, find) = of_sqlite().and_then(|system| Some((system.as_ptr(), field!(system, xDlSym)?)))?;
    // SAFETY: a registered file system, and the arguments of the same method (rules 24, 26).
    unsafe { find(system, library, name) }
}

unsafe extern "C" fn unload(_vfs: *mut ffi::sqlite3_vfs, library: *mut c_void) {
    if let Some((system, unload)) = of_sqlite().and_then(|system| Some((system.as_ptr(), field!(system, xDlClose)?))) {
        // SAFETY: a registered file system, and the argument of the same method (rules 24, 26).
        unsafe { unload(system, library) }
    }
}
