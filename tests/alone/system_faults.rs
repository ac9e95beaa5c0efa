//! Every system call of SQLite's own file system fails, one after the other: the error says so, nothing stays open, and
//! the file has what was committed and no half of a transaction. (What is read meanwhile: `system_calls`.)
//!
//! `fsync` is not in SQLite's table; `vfs` lets it fail in a file system of the program.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use finalite::scan::ScanStrategy;
use finalite::{Connection, LeakCheck, OpenOptions, Result, ResultCode, ffi};

use crate::runner::cases;
use crate::transactions;

cases![
    every_system_call_fails_in_every_way,
    a_commit_whose_writes_are_dropped_is_seen,
    a_scan_whose_system_calls_fail_finds_no_damage,
];

const EIO: c_int = 5;
const ENOSPC: c_int = 28;

/// Arguments and result as the processor passes them: each of these functions takes at most six, all of them numbers or
/// pointers.
type Call = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;
type Entry = unsafe extern "C" fn();

/// How a call fails, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Nothing is done, and -1 is returned.
    Refused,
    /// It is done, and -1 is returned: what is closed is closed.
    Done,
    /// Nothing is done, and the code of SQLite is returned that this one returns.
    Code(c_int),
    /// Nothing is done, and NULL is returned.
    Null,
    /// Nothing is done, and all bytes are said to be written. For the control.
    Dropped,
    /// It does not fail.
    Never,
}

fn how(name: &str) -> How {
    match name {
        "close" | "munmap" => How::Done,
        "openDirectory" => How::Code(ffi::SQLITE_CANTOPEN),
        "getcwd" => How::Null,
        "getpagesize" | "geteuid" => How::Never,
        _ => How::Refused,
    }
}

/// The failure that is armed.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: usize,
    after: usize,
    is_sticky: bool,
    errno: c_int,
    how: How,
    fired: usize,
}

static FAULT: Mutex<Option<Fault>> = Mutex::new(None);
static REAL: Mutex<Vec<(String, Entry)>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Of each call its own function, which knows its number.
unsafe extern "C" fn stand_in<const N: usize>(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let fault = {
        let mut armed = FAULT.lock().unwrap();
        armed.as_mut().filter(|fault| fault.call == N).and_then(|fault| {
            let is_due = fault.after == 0 && (fault.is_sticky || fault.fired == 0);
            fault.after = fault.after.saturating_sub(1);
            fault.fired += usize::from(is_due);
            is_due.then_some(*fault)
        })
    };
    let real = || {
        let entry = REAL.lock().unwrap()[N].1;
        // SAFETY: SQLite's own entry, called with what SQLite passes. Where it takes fewer arguments, the others are in
        // registers that it does not read.
        unsafe { std::mem::transmute::<Entry, Call>(entry)(a, b, c, d, e, f) }
    };
    let Some(fault) = fault else {
        return real();
    };
    let returned = match fault.how {
        How::Refused => -1,
        How::Done => {
            real();
            -1
        }
        How::Code(code) => return isize::try_from(code).unwrap(),
        How::Null => 0,
        How::Dropped => return isize::try_from(c).unwrap(),
        How::Never => return real(),
    };
    // SAFETY: the number of this thread's last error, which may be written.
    unsafe { *__errno_location() = fault.errno };
    returned
}

macro_rules! stand_ins {
    ($($number:literal)*) => { [$(stand_in::<$number>),*] };
}

const STAND_INS: [Call; 32] =
    stand_ins![0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31];

/// Puts a function into each place of SQLite's table, and returns the names.
fn install() -> Vec<String> {
    drop(Connection::open_in_memory().unwrap());
    // SAFETY: registered for as long as the process lives; of version 3, which has these methods.
    let (vfs, get, set, next) = unsafe {
        let vfs = ffi::sqlite3_vfs_find(c"unix".as_ptr());
        (vfs, (*vfs).xGetSystemCall.unwrap(), (*vfs).xSetSystemCall.unwrap(), (*vfs).xNextSystemCall.unwrap())
    };
    let mut name: *const c_char = std::ptr::null();
    loop {
        // SAFETY: c3ref/vfs.html: takes NULL or a name, and returns the name after it or NULL.
        name = unsafe { next(vfs, name) };
        if name.is_null() {
            break;
        }
        // SAFETY: a literal of SQLite's.
        let text = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
        // SAFETY: takes a name, and returns its call or NULL; those that the system lacks are not named.
        let entry: Entry = unsafe { get(vfs, name) }.unwrap();
        REAL.lock().unwrap().push((text, entry));
    }
    let names: Vec<String> = REAL.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
    for (name, ours) in names.iter().zip(STAND_INS) {
        let name = CString::new(name.as_str()).unwrap();
        // SAFETY: SQLite calls it with the arguments of the call of that name. No other thread uses SQLite.
        let code = unsafe { set(vfs, name.as_ptr(), Some(std::mem::transmute::<Call, Entry>(ours))) };
        assert_eq!(code, ffi::SQLITE_OK);
    }
    assert!(names.len() > 20 && names.len() <= STAND_INS.len(), "{names:?}");
    names
}

const MODES: [&str; 4] = ["delete", "truncate", "persist", "wal"];

/// Returns the number of transactions that were committed, and the first error.
fn scenario(path: &Path, mode: &str, mapped_bytes: i64) -> (i64, Result<()>) {
    let mut committed = 0;
    let result = (|| {
        let options = OpenOptions::new().pragma("cache_size", 3).pragma("mmap_size", mapped_bytes);
        let conn = options.busy_timeout(Duration::ZERO).pragma("synchronous", "off").open(path)?;
        conn.query_one::<String>(&format!("PRAGMA journal_mode = {mode}"), ())?;
        transactions::commit_all(&conn, &mut committed)?;
        conn.execute_batch("PRAGMA temp_store = file; CREATE TEMP TABLE x AS SELECT * FROM t; VACUUM")?;
        conn.close()
    })();
    (committed, result)
}

/// Runs the scenario with this failure. Returns how often it fired, how the scenario ended, and what is wrong, if any.
fn run(fault: Fault, mode: &str) -> (usize, Result<()>, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let check = LeakCheck::new();
    *FAULT.lock().unwrap() = Some(fault);
    // What is mapped and was not written is a signal.
    let (committed, result) = scenario(&path, mode, if fault.how == How::Dropped { 0 } else { 30_000 });
    let fired = FAULT.lock().unwrap().take().unwrap().fired;
    let report = check.finish();
    let mut problem = (!report.is_clean()).then(|| report.to_string());
    if let Err(error) = &result
        && error.code().is_none()
    {
        problem.get_or_insert(format!("{error:?} has no code"));
    }
    match Connection::open(&path).map_err(|error| error.to_string()).and_then(|conn| transactions::found(&conn)) {
        Ok(found) if (committed..=committed + 1).contains(&found) => {}
        other => drop(problem.get_or_insert(format!("{committed} committed, {other:?}"))),
    }
    (fired, result, problem)
}

/// `FINALITE_EACH_SYSTEM_CALL`: not one of them is left out.
fn every_system_call_fails_in_every_way() {
    let names = install();
    let is_every = std::env::var_os("FINALITE_EACH_SYSTEM_CALL").is_some();
    let (mut faults, mut refused, mut findings) = (0, 0, Vec::new());
    for mode in MODES {
        for (call, name) in names.iter().enumerate() {
            for (errno, is_sticky) in [(EIO, false), (ENOSPC, true)] {
                // With no lock to be had, SQLite asks for the log again for seconds.
                if !is_every && is_sticky && mode == "wal" && name == "fcntl" {
                    continue;
                }
                let (mut after, mut fired_here) = (0, 0);
                loop {
                    let fault = Fault { call, after, is_sticky, errno, how: how(name), fired: 0 };
                    let (fired, result, problem) = run(fault, mode);
                    if how(name) == How::Never || fired == 0 {
                        assert!(result.is_ok(), "{mode}, {name}: {result:?}");
                        break;
                    }
                    fired_here += 1;
                    // Each of the first, and the later ones further and further apart.
                    after += if is_every { 1 } else { 1 + after / 8 };
                    refused += usize::from(result.is_err());
                    findings.extend(problem.map(|problem| format!("{mode}, {name}, {fault:?}: {problem}")));
                }
                faults += fired_here;
            }
        }
    }
    println!("{} system calls, {faults} faults, {refused} of them errors, {} findings", names.len(), findings.len());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(faults > 800 && refused > faults / 2, "{refused} of {faults}");
}

/// The control: writes that do nothing and say that they have done it.
fn a_commit_whose_writes_are_dropped_is_seen() {
    let names = install();
    // The one of them that this SQLite is compiled for.
    let number = |name: &&str| names.iter().position(|known| known == *name);
    let call = ["pwrite64", "pwrite", "write"].iter().find_map(number).unwrap();
    // The index of a log is a file that is written, and then mapped.
    for mode in MODES.into_iter().filter(|mode| *mode != "wal") {
        let mut found = 0;
        for after in 0.. {
            let fault = Fault { call, after, is_sticky: true, errno: EIO, how: How::Dropped, fired: 0 };
            let (fired, _, problem) = run(fault, mode);
            found += usize::from(problem.is_some());
            if fired == 0 {
                break;
            }
        }
        assert!(found > 0, "{mode}");
    }
}

/// Scans of a sound file by its pages: all rows, or an error that is none of damage.
fn a_scan_whose_system_calls_fail_finds_no_damage() {
    let names = install();
    let dir = tempfile::tempdir().unwrap();
    let (mut faults, mut sizes, mut refused) = (0, 0, 0);
    for mode in ["delete", "wal"] {
        let path = dir.path().join(mode);
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!(
            "PRAGMA journal_mode = {mode};
             CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             INSERT INTO t SELECT i, 'row ' || i || hex(zeroblob(40)) FROM n"
        ))
        .unwrap();
        for (call, name) in names.iter().enumerate().filter(|(_, name)| how(name) != How::Never) {
            for is_sticky in [false, true] {
                // With no lock to be had, SQLite asks for the log again for seconds.
                if is_sticky && mode == "wal" && name == "fcntl" {
                    continue;
                }
                for after in 0.. {
                    let reader = OpenOptions::new().busy_timeout(Duration::ZERO).open(&path).unwrap();
                    drop(reader.prepare("SELECT * FROM t").unwrap());
                    // SQLite itself takes a read that ends with EIO for damage.
                    let fault = Fault { call, after, is_sticky, errno: ENOSPC, how: how(name), fired: 0 };
                    *FAULT.lock().unwrap() = Some(fault);
                    let mut rows = 0;
                    let scan = reader.scan("SELECT a, b FROM t", ()).strategy(ScanStrategy::Pages);
                    let result = scan.for_each(|row| {
                        rows += 1;
                        let a: i64 = row.get(0)?;
                        assert_eq!(a, rows, "{mode}, {name}, {fault:?}");
                        Ok::<_, finalite::Error>(())
                    });
                    let fired = FAULT.lock().unwrap().take().unwrap().fired;
                    match &result {
                        Ok(_) => assert_eq!(rows, 300, "{mode}, {name}, {fault:?}"),
                        Err(error) => {
                            let primary = error.code().map(ResultCode::primary);
                            let is_of_system = matches!(
                                primary,
                                Some(
                                    ResultCode::IOERR | ResultCode::BUSY | ResultCode::CANTOPEN | ResultCode::PROTOCOL
                                )
                            );
                            assert!(is_of_system, "{mode}, {name}, {fault:?}: {error:?}");
                            refused += 1;
                        }
                    }
                    if fired == 0 {
                        break;
                    }
                    faults += fired;
                    sizes += usize::from(name == "fstat");
                }
            }
        }
    }
    println!("scans: {faults} faults, {sizes} of them of fstat, {refused} errors");
    assert!(sizes > 0 && refused > 0, "{faults} {sizes} {refused}");
}
