//! Methods of open files, as C calls them (`sqlite3_io_methods`).

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::ptr;
use std::slice;

use super::api::VfsFile;
use super::control::{ControlReply, FileControl};
use super::error::{VfsError, VfsResult};
use super::existing::ExistingFile;
use super::flags::{LockLevel, SyncMode};
use super::running;
use super::shared_memory::Member;
use super::system::OpenCount;
use crate::error::ResultCode;
use crate::raw::ffi;

/// The `sqlite3_file` of C, in memory of SQLite.
#[repr(C)]
pub(super) struct CFile {
    base: ffi::sqlite3_file,
    /// Address of a [`State`].
    state: *mut c_void,
}

/// An open file.
struct State<F> {
    /// Whether a method runs. SQLite calls no other until it returns; code of the program that makes it do so, within a
    /// method and by another driver, gets an error.
    is_busy: Cell<bool>,
    /// SQLite decides by them at several points of a transaction: they change with the file control for them alone.
    device: Cell<c_int>,
    sector_bytes: c_int,
    parts: UnsafeCell<Parts<F>>,
    count: OpenCount,
}

struct Parts<F> {
    file: F,
    /// The file that this one is built on.
    existing: Option<ExistingFile>,
    shared: Shared,
}

/// Shared memory of a file. Fixed when the file is opened: what SQLite has mapped stays until SQLite gives it up.
enum Shared {
    None,
    Own(Member),
    OfExisting,
}

/// Opens a file for C: passes it the state, and the methods.
///
/// # Errors
///
/// `SQLITE_CANTOPEN` if another file was built on the same existing one.
///
/// # Safety
///
/// `to` is the memory that C passes to `xOpen`, of `size_of::<CFile>()` bytes.
pub(super) unsafe fn publish<F: VfsFile>(to: *mut ffi::sqlite3_file, file: F, count: OpenCount) -> VfsResult<()> {
    let existing = file.existing().map(ExistingFile::claim).transpose()?;
    let shared = match (file.shared_memory(), &existing) {
        (Some(memory), _) => Shared::Own(Member::new(memory.clone())),
        (None, Some(existing)) if existing.has_shared_memory() => Shared::OfExisting,
        _ => Shared::None,
    };
    let methods: &'static ffi::sqlite3_io_methods = match shared {
        Shared::None => &Methods::<F>::V1,
        Shared::Own(_) | Shared::OfExisting => &Methods::<F>::V2,
    };
    let (device, sector_bytes) = (Cell::new(file.device().0), sector_bytes(file.sector_size()));
    let parts = UnsafeCell::new(Parts { file, existing, shared });
    let state = Box::new(State { is_busy: Cell::new(false), device, sector_bytes, parts, count });
    let to = to.cast::<CFile>();
    let file = CFile { base: ffi::sqlite3_file { pMethods: methods }, state: Box::into_raw(state).cast() };
    // SAFETY: memory for a `CFile` (the caller's promise), which `close` takes the state out of (rule 26).
    unsafe { to.write(file) };
    Ok(())
}

/// Converts the size of a sector: SQLite computes with powers of 2 in this range.
fn sector_bytes(size: u32) -> c_int {
    const DEFAULT: u32 = 4096;
    let size = if size == 0 { DEFAULT } else { size.clamp(512, 65_536).next_power_of_two() };
    c_int::try_from(size).unwrap_or(c_int::MAX)
}

struct Methods<F>(std::marker::PhantomData<F>);

impl<F: VfsFile> Methods<F> {
    /// Without shared memory.
    const V1: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
        iVersion: 1,
        xClose: Some(close::<F>),
        xRead: Some(read::<F>),
        xWrite: Some(write::<F>),
        xTruncate: Some(truncate::<F>),
        xSync: Some(sync::<F>),
        xFileSize: Some(size::<F>),
        xLock: Some(lock::<F>),
        xUnlock: Some(unlock::<F>),
        xCheckReservedLock: Some(is_reserved::<F>),
        xFileControl: Some(control::<F>),
        xSectorSize: Some(sector_size::<F>),
        xDeviceCharacteristics: Some(device::<F>),
        xShmMap: None,
        xShmLock: None,
        xShmBarrier: None,
        xShmUnmap: None,
        xFetch: None,
        xUnfetch: None,
    };

    /// With shared memory; without memory-mapped files, which would be version 3.
    const V2: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
        iVersion: 2,
        xShmMap: Some(map::<F>),
        xShmLock: Some(lock_shared::<F>),
        xShmBarrier: Some(barrier::<F>),
        xShmUnmap: Some(unmap::<F>),
        ..Self::V1
    };
}

/// Returns the state of a file.
///
/// # Safety
///
/// `file` is the file of a method that C calls, made by [`publish`] with this `F`. The state is not used after the call.
unsafe fn state<'call, F>(file: *mut ffi::sqlite3_file) -> &'call State<F> {
    // SAFETY: made by `publish`, and not closed: SQLite calls no method after xClose (the caller's promise, rule 26).
    let state = unsafe { (*file.cast::<CFile>()).state };
    // SAFETY: the state of this `F`, which `close` frees. Only shared references to it exist, by the thread that uses the
    // connection (rules 12, 26).
    unsafe { &*state.cast::<State<F>>() }
}

/// Uses the parts of a file. Returns `None` if a method is running. `run` does not panic.
///
/// # Safety
///
/// `file` is the file of a method that C calls, made by [`publish`] with this `F`.
unsafe fn with<F: VfsFile, R>(file: *mut ffi::sqlite3_file, run: impl FnOnce(&mut Parts<F>) -> R) -> Option<R> {
    // SAFETY: the caller's promise is the same (rule 26).
    let state = unsafe { state::<F>(file) };
    if state.is_busy.replace(true) {
        return None;
    }
    // SAFETY: no other reference to the parts exists: whoever makes one has set `is_busy` before, and clears it after its
    // last use (rule 26).
    let result = run(unsafe { &mut *state.parts.get() });
    state.is_busy.set(false);
    Some(result)
}

/// Runs a method of the program. The error is a code for C: that of the program's error or, for one without a code, for
/// a panic, and within another method of the file, `code`.
///
/// # Safety
///
/// That of [`with`].
unsafe fn call<F: VfsFile, R>(
    file: *mut ffi::sqlite3_file,
    code: ResultCode,
    run: impl FnOnce(&mut F) -> VfsResult<R>,
) -> Result<R, c_int> {
    // SAFETY: the caller's promise is the same (rule 26).
    let result = unsafe { with(file, |parts: &mut Parts<F>| running::call(|| run(&mut parts.file))) };
    running::set_errno(0);
    match result.flatten() {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) => {
            running::set_errno(error.os_error());
            Err(error.code_or(code))
        }
        None => Err(code.number()),
    }
}

fn code_of(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn close<F: VfsFile>(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: made by `publish`, and closed once (c3ref/io_methods.html, rule 26).
    let state = unsafe { (*file.cast::<CFile>()).state }.cast::<State<F>>();
    // SAFETY: not freed yet, as this is the only close (rule 26).
    if unsafe { (*state).is_busy.get() } {
        // A method is running, which uses it: it is not freed.
        return ffi::SQLITE_IOERR_CLOSE;
    }
    // SAFETY: made by `Box::into_raw` in `publish`; no method is running, and SQLite calls none any more (rule 26).
    let state = unsafe { Box::from_raw(state) };
    let State { parts, count, .. } = *state;
    let closed = running::call(|| drop(parts));
    drop(count);
    if closed.is_some() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_CLOSE }
}

unsafe extern "C" fn read<F: VfsFile>(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    let (Ok(len), Ok(offset)) = (usize::try_from(bytes), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    if len == 0 {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite's buffer of this many bytes, which it need not have initialized (c3ref/io_methods.html, rule 26).
    unsafe { into.cast::<u8>().write_bytes(0, len) };
    // SAFETY: the same bytes, initialized now, which nobody else uses during the call (rule 26).
    let buffer = unsafe { slice::from_raw_parts_mut(into.cast::<u8>(), len) };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    let result = unsafe { call(file, ResultCode::IOERR_READ, |of: &mut F| of.read_at(buffer, offset)) };
    match result {
        Ok(read) if read == len => ffi::SQLITE_OK,
        // c3ref/io_methods.html: "it must also fill in the unread portions of the buffer with zeros".
        Ok(read) if read < len => {
            buffer[read..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        // More than was asked for.
        Ok(_) => {
            buffer.fill(0);
            ffi::SQLITE_IOERR_READ
        }
        Err(code) => {
            buffer.fill(0);
            code
        }
    }
}

unsafe extern "C" fn write<F: VfsFile>(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    let (Ok(len), Ok(offset)) = (usize::try_from(count), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite's buffer of this many bytes, unchanged during the call (c3ref/io_methods.html, rule 26); no slice is
    // made of a NULL pointer.
    let bytes = if len == 0 { &[] } else { unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) } };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    code_of(unsafe { call(file, ResultCode::IOERR_WRITE, |of: &mut F| of.write_at(bytes, offset)) })
}

unsafe extern "C" fn truncate<F: VfsFile>(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let Ok(size) = u64::try_from(size) else {
        return ffi::SQLITE_IOERR_TRUNCATE;
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    code_of(unsafe { call(file, ResultCode::IOERR_TRUNCATE, |of: &mut F| of.truncate(size)) })
}

unsafe extern "C" fn sync<F: VfsFile>(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    code_of(unsafe { call(file, ResultCode::IOERR_FSYNC, |of: &mut F| of.sync(SyncMode::from_c(flags))) })
}

unsafe extern "C" fn size<F: VfsFile>(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    /// Beyond the largest database, and below the sizes with which C's arithmetic overflows.
    const BYTES_MAX: i64 = 1 << 60;
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    match unsafe { call(file, ResultCode::IOERR_FSTAT, F::size) } {
        Ok(size) => match i64::try_from(size) {
            Ok(size) if size <= BYTES_MAX => {
                // SAFETY: SQLite's out pointer, valid during the call (rule 26).
                unsafe { *out = size };
                ffi::SQLITE_OK
            }
            _ => ffi::SQLITE_IOERR_FSTAT,
        },
        Err(code) => code,
    }
}

unsafe extern "C" fn lock<F: VfsFile>(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    code_of(unsafe { call(file, ResultCode::IOERR_LOCK, |of: &mut F| of.lock(LockLevel::from_c(level))) })
}

unsafe extern "C" fn unlock<F: VfsFile>(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    code_of(unsafe { call(file, ResultCode::IOERR_UNLOCK, |of: &mut F| of.unlock(LockLevel::from_c(level))) })
}

unsafe extern "C" fn is_reserved<F: VfsFile>(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    let result = unsafe { call(file, ResultCode::IOERR_CHECKRESERVEDLOCK, F::is_reserved) };
    // SAFETY: SQLite's out pointer, valid during the call (rule 26).
    unsafe { *out = c_int::from(result.unwrap_or(false)) };
    code_of(result.map(drop))
}

unsafe extern "C" fn sector_size<F: VfsFile>(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    unsafe { state::<F>(file) }.sector_bytes
}

unsafe extern "C" fn device<F: VfsFile>(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    unsafe { state::<F>(file) }.device.get()
}

unsafe extern "C" fn control<F: VfsFile>(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the file, the operation and its argument, in a call of C (rule 26).
    let code = unsafe { control_file::<F>(file, operation, argument) };
    if operation == ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE {
        // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
        if let Ok(device) = unsafe { call(file, ResultCode::IOERR, |of: &mut F| Ok(of.device().0)) } {
            // SAFETY: as above, a file of `publish` in a call of C (rule 26).
            let known = &unsafe { state::<F>(file) }.device;
            let changed = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE;
            known.set(known.get() & !changed | device & changed);
        }
    }
    if operation != ffi::SQLITE_FCNTL_VFSNAME || argument.is_null() {
        return code;
    }
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    let name = unsafe { state::<F>(file) }.count.vfs_name();
    // SAFETY: c3ref/c_fcntl_begin_atomic_write.html: SQLITE_FCNTL_VFSNAME takes a pointer to a string of SQLite's
    // allocator, which was NULL before an existing file has set it (rule 26).
    unsafe { prepend_name(argument.cast(), name) }
}

/// Has the program's file answer, or the existing one. Returns a code.
///
/// # Safety
///
/// The arguments are those of a call of C, for a file of [`publish`] with this `F`.
unsafe fn control_file<F: VfsFile>(file: *mut ffi::sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: the operation and its argument, in a call of C (rule 26).
    let request = unsafe { request_of(operation, argument) };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    match unsafe { call(file, ResultCode::IOERR, |of: &mut F| of.control(request)) } {
        Err(code) => return code,
        Ok(ControlReply::NotFound) => {}
        // SAFETY: the operation and its argument, in a call of C (rule 26).
        Ok(reply) => return unsafe { answer(operation, argument, reply) },
    }
    let pass_on = |parts: &mut Parts<F>| {
        // SAFETY: what SQLite passes for the operation, in this call (rule 26).
        parts.existing.as_ref().map(|existing| unsafe { existing.control(operation, argument) })
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    unsafe { with(file, pass_on) }.flatten().unwrap_or(ffi::SQLITE_NOTFOUND)
}

/// Puts a name before that of the file system below.
///
/// # Safety
///
/// `to` points to NULL or to a string of SQLite's allocator, which it owns.
unsafe fn prepend_name(to: *mut *mut c_char, name: &str) -> c_int {
    // SAFETY: the caller promises a valid pointer (rule 26).
    let below = unsafe { *to };
    let mut all = name.to_owned();
    if !below.is_null() {
        // SAFETY: NUL-terminated (the caller's promise, rule 22).
        all.push_str(&format!("/{}", unsafe { CStr::from_ptr(below) }.to_string_lossy()));
    }
    // SAFETY: of SQLite's allocator, or NULL, and replaced below (the caller's promise, rule 22).
    unsafe { ffi::sqlite3_free(below.cast()) };
    let all = sqlite_string(&all);
    // SAFETY: the caller promises a valid pointer (rule 26).
    unsafe { *to = all };
    if all.is_null() { ffi::SQLITE_IOERR_NOMEM } else { ffi::SQLITE_OK }
}

/// Reads a request.
///
/// # Safety
///
/// `argument` is what SQLite passes for the operation, and valid for `'call`.
unsafe fn request_of<'call>(operation: c_int, argument: *mut c_void) -> FileControl<'call> {
    // SAFETY: of the operations below whose argument is an integer, if it is not NULL (rule 26,
    // c3ref/c_fcntl_begin_atomic_write.html).
    let int = || unsafe { argument.cast::<c_int>().as_ref() }.copied();
    let switch = || int().filter(|&value| value >= 0).map(|value| value != 0);
    match operation {
        ffi::SQLITE_FCNTL_LOCKSTATE => FileControl::LockState,
        ffi::SQLITE_FCNTL_SIZE_HINT => {
            // SAFETY: takes a pointer to an integer of 64 bits (as above, rule 26).
            let size = unsafe { argument.cast::<i64>().as_ref() }.copied();
            FileControl::SizeHint(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
        }
        ffi::SQLITE_FCNTL_CHUNK_SIZE => {
            FileControl::ChunkSize(int().and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0))
        }
        ffi::SQLITE_FCNTL_SYNC => FileControl::Sync,
        ffi::SQLITE_FCNTL_COMMIT_PHASETWO => FileControl::CommitPhaseTwo,
        ffi::SQLITE_FCNTL_OVERWRITE => FileControl::Overwrite,
        ffi::SQLITE_FCNTL_HAS_MOVED => FileControl::HasMoved,
        ffi::SQLITE_FCNTL_PERSIST_WAL => FileControl::PersistWal(switch()),
        ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE => FileControl::PowersafeOverwrite(switch()),
        ffi::SQLITE_FCNTL_PRAGMA => {
            // SAFETY: "an array of pointers to strings": an out pointer, the name, and the value or NULL (as above, rule 26).
            let [_, name, value] = unsafe { argument.cast::<[*mut c_char; 3]>().read() };
            // SAFETY: NUL-terminated, or NULL, and valid during the call (as above, rule 26).
            let text = |text: *mut c_char| (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().ok());
            match (text(name), text(value)) {
                (Some(Some(name)), None) => FileControl::Pragma { name, value: None },
                (Some(Some(name)), Some(Some(value))) => FileControl::Pragma { name, value: Some(value) },
                // Not UTF-8.
                _ => FileControl::Other(operation),
            }
        }
        _ => FileControl::Other(operation),
    }
}

/// Passes an answer to SQLite. Returns a code.
///
/// # Safety
///
/// `argument` is what SQLite passes for the operation.
unsafe fn answer(operation: c_int, argument: *mut c_void, reply: ControlReply) -> c_int {
    match (operation, reply) {
        (ffi::SQLITE_FCNTL_PRAGMA, ControlReply::Integer(number)) => {
            // SAFETY: the caller's promise is the same (rule 26).
            unsafe { answer(operation, argument, ControlReply::Text(number.to_string())) }
        }
        (ffi::SQLITE_FCNTL_PRAGMA, ControlReply::Text(text)) => {
            let text = sqlite_string(&text);
            // SAFETY: c3ref/c_fcntl_begin_atomic_write.html: the first element is for "the result", a string of SQLite's
            // allocator (rule 26).
            unsafe { *argument.cast::<*mut c_char>() = text };
            if text.is_null() { ffi::SQLITE_IOERR_NOMEM } else { ffi::SQLITE_OK }
        }
        (
            ffi::SQLITE_FCNTL_LOCKSTATE
            | ffi::SQLITE_FCNTL_HAS_MOVED
            | ffi::SQLITE_FCNTL_PERSIST_WAL
            | ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE,
            ControlReply::Integer(number),
        ) if !argument.is_null() => {
            // SAFETY: these take a pointer to an integer, which they write (as above, rule 26).
            unsafe { *argument.cast::<c_int>() = number };
            ffi::SQLITE_OK
        }
        _ => ffi::SQLITE_OK,
    }
}

/// Copies a text into SQLite's memory, up to a NUL in it; NULL if memory ran out.
fn sqlite_string(text: &str) -> *mut c_char {
    let bytes = text.split('\0').next().unwrap_or_default().as_bytes();
    // SAFETY: takes a number of bytes (rule 22, c3ref/free.html).
    let copy: *mut c_char = unsafe { ffi::sqlite3_malloc64(bytes.len() as u64 + 1) }.cast();
    if !copy.is_null() {
        // SAFETY: the new memory has this size (rule 22).
        unsafe { copy.write_bytes(0, bytes.len() + 1) };
        // SAFETY: the new memory has room for the bytes before its last zero, and is nobody else's (rule 22).
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), copy.cast(), bytes.len()) };
    }
    copy
}

unsafe extern "C" fn map<F: VfsFile>(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let map = |parts: &mut Parts<F>| match (&mut parts.shared, &parts.existing) {
        (Shared::Own(member), _) => match member.map(region, bytes, extend != 0) {
            Ok(memory) => (ffi::SQLITE_OK, memory),
            Err(code) => (code, ptr::null_mut()),
        },
        (Shared::OfExisting, Some(existing)) => existing.map(region, bytes, extend != 0),
        _ => (ffi::SQLITE_IOERR_SHMMAP, ptr::null_mut()),
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    let (code, memory) = unsafe { with(file, map) }.unwrap_or((ffi::SQLITE_IOERR_SHMMAP, ptr::null_mut()));
    // SAFETY: SQLite's out pointer, valid during the call (rule 26).
    unsafe { *out = memory };
    code
}

unsafe extern "C" fn lock_shared<F: VfsFile>(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let lock = |parts: &mut Parts<F>| match (&mut parts.shared, &parts.existing) {
        (Shared::Own(member), _) => member.lock(first, count, flags),
        (Shared::OfExisting, Some(existing)) => existing.lock_shared(first, count, flags),
        _ => ffi::SQLITE_IOERR_SHMLOCK,
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    unsafe { with(file, lock) }.unwrap_or(ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn barrier<F: VfsFile>(file: *mut ffi::sqlite3_file) {
    let barrier = |parts: &mut Parts<F>| match (&parts.shared, &parts.existing) {
        (Shared::Own(member), _) => member.barrier(),
        (Shared::OfExisting, Some(existing)) => existing.barrier(),
        _ => {}
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    let _ = unsafe { with(file, barrier) };
}

unsafe extern "C" fn unmap<F: VfsFile>(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    let unmap = |parts: &mut Parts<F>| match (&mut parts.shared, &parts.existing) {
        (Shared::Own(member), _) => {
            member.unmap();
            ffi::SQLITE_OK
        }
        (Shared::OfExisting, Some(existing)) => existing.unmap(delete),
        _ => ffi::SQLITE_OK,
    };
    // SAFETY: a file of `publish` with this `F`, in a call of C (rule 26).
    unsafe { with(file, unmap) }.unwrap_or(ffi::SQLITE_IOERR)
}

/// Number of bytes of a file in C's memory.
pub(super) const BYTES: usize = mem::size_of::<CFile>();

/// Error of an open that the file system does not do.
pub(super) const GONE: VfsError = VfsError::new(ResultCode::CANTOPEN);
