//! Reads that fail: each one, in each way the system knows, on SQLite's own `unix` file system. The statement and the
//! pages are read side by side: what the pages give is what is stored, or an error.
//!
//! SQLite's table of system calls is the process's. A failure is armed for one thread.

use std::cell::Cell as StdCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use finalite::scan::{ColumnBatch, Scan, ScanStrategy};
use finalite::{Connection, Error, OpenOptions, Result, ResultCode, ffi};

use crate::common::cell::Cell;
use crate::runner::cases;

cases![every_read_fails_in_every_way, the_check_sees_wrong_rows, a_file_that_is_cut_off_while_it_is_read,];

const EINTR: c_int = 4;
const EIO: c_int = 5;

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The device fails.
    Eio,
    /// A signal comes first.
    Eintr,
    /// Half of the bytes come.
    Half,
    /// None do, as at the end of the file.
    Zero,
}

/// A failure that is armed.
#[derive(Clone, Copy, Debug)]
struct Fault {
    how: How,
    /// Reads that succeed before it.
    after: usize,
    /// All later reads fail, too.
    is_sticky: bool,
    fired: usize,
}

thread_local! {
    static FAULT: StdCell<Option<Fault>> = const { StdCell::new(None) };
}

/// Runs this with a failure. Returns how often it fired, too.
fn with_fault<T>(how: How, after: usize, is_sticky: bool, run: impl FnOnce() -> T) -> (T, usize) {
    FAULT.set(Some(Fault { how, after, is_sticky, fired: 0 }));
    let result = run();
    (result, FAULT.take().unwrap().fired)
}

/// What is to become of the next read of this thread.
fn next_read() -> Option<How> {
    let mut fault = FAULT.get()?;
    let is_due = if fault.is_sticky { fault.after == 0 } else { fault.after == 0 && fault.fired == 0 };
    fault.after = fault.after.saturating_sub(1);
    fault.fired += usize::from(is_due);
    FAULT.set(Some(fault));
    is_due.then_some(fault.how)
}

/// The system's calls, as they were before.
static REAL: OnceLock<[Option<unsafe extern "C" fn()>; 3]> = OnceLock::new();
const NAMES: [&CStr; 3] = [c"read", c"pread", c"pread64"];

type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
type ReadAt = unsafe extern "C" fn(c_int, *mut c_void, usize, i64) -> isize;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    fn truncate(path: *const c_char, bytes: i64) -> c_int;
}

fn failed(number: c_int) -> isize {
    // SAFETY: the number of this thread's last error, which may be written.
    unsafe { *__errno_location() = number };
    -1
}

/// How many bytes are to be read; what is returned if none are.
fn injected(bytes: usize) -> std::result::Result<usize, isize> {
    match next_read() {
        None => Ok(bytes),
        Some(How::Eio) => Err(failed(EIO)),
        Some(How::Eintr) => Err(failed(EINTR)),
        Some(How::Half) => Ok(bytes.div_ceil(2)),
        Some(How::Zero) => Err(0),
    }
}

unsafe extern "C" fn read(file: c_int, into: *mut c_void, bytes: usize) -> isize {
    match injected(bytes) {
        Ok(bytes) => {
            let real = REAL.get().unwrap()[0].unwrap();
            // SAFETY: SQLite's entry for `read`, which has this type; the caller's arguments, or fewer bytes.
            unsafe { std::mem::transmute::<unsafe extern "C" fn(), Read>(real)(file, into, bytes) }
        }
        Err(returned) => returned,
    }
}

unsafe fn read_at(index: usize, file: c_int, into: *mut c_void, bytes: usize, offset: i64) -> isize {
    match injected(bytes) {
        Ok(bytes) => {
            let real = REAL.get().unwrap()[index].unwrap();
            // SAFETY: SQLite's entry for `pread` or `pread64`, which has this type; the caller's arguments, or fewer
            // bytes.
            unsafe { std::mem::transmute::<unsafe extern "C" fn(), ReadAt>(real)(file, into, bytes, offset) }
        }
        Err(returned) => returned,
    }
}

unsafe extern "C" fn pread(file: c_int, into: *mut c_void, bytes: usize, offset: i64) -> isize {
    // SAFETY: as it was called.
    unsafe { read_at(1, file, into, bytes, offset) }
}

unsafe extern "C" fn pread64(file: c_int, into: *mut c_void, bytes: usize, offset: i64) -> isize {
    // SAFETY: as it was called.
    unsafe { read_at(2, file, into, bytes, offset) }
}

/// Puts the calls into SQLite's table, once.
fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SQLite is initialized, and its file systems are registered.
        drop(Connection::open_in_memory().unwrap());
        // SAFETY: registered for as long as the process lives; of version 3, which has these methods.
        let (vfs, get, set) = unsafe {
            let vfs = ffi::sqlite3_vfs_find(c"unix".as_ptr());
            (vfs, (*vfs).xGetSystemCall.unwrap(), (*vfs).xSetSystemCall.unwrap())
        };
        // SAFETY: c3ref/vfs.html: takes a name, and returns the call or NULL.
        REAL.set(NAMES.map(|name| unsafe { get(vfs, name.as_ptr()) })).unwrap();
        // SAFETY: functions of the types that SQLite calls them with; their type is erased, as in its own table.
        let ours: [unsafe extern "C" fn(); 3] = unsafe {
            [
                std::mem::transmute::<Read, unsafe extern "C" fn()>(read),
                std::mem::transmute::<ReadAt, unsafe extern "C" fn()>(pread),
                std::mem::transmute::<ReadAt, unsafe extern "C" fn()>(pread64),
            ]
        };
        for ((name, real), ours) in NAMES.into_iter().zip(REAL.get().unwrap()).zip(ours) {
            if real.is_some() {
                // SAFETY: no other thread reads by SQLite: the tests wait for this. c3ref/vfs.html.
                assert_eq!(unsafe { set(vfs, name.as_ptr(), Some(ours)) }, ffi::SQLITE_OK);
            }
        }
    });
}

/// What yields rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Each(ScanStrategy),
    Columns { threads: usize },
    Batches { rows: usize, threads: usize },
}

const STATEMENT: Way = Way::Each(ScanStrategy::Statement);
const BY_PAGES: [Way; 5] = [
    Way::Each(ScanStrategy::Pages),
    Way::Columns { threads: 1 },
    Way::Columns { threads: 3 },
    Way::Batches { rows: 7, threads: 1 },
    Way::Batches { rows: 7, threads: 3 },
];

/// The rows up to the end, and the error that it was.
struct Outcome {
    rows: Vec<Vec<Cell>>,
    error: Option<Error>,
    /// What yielded the last of them.
    path: Option<ScanStrategy>,
}

fn add(rows: &mut Vec<Vec<Cell>>, batch: &ColumnBatch) {
    rows.extend((0..batch.len()).map(|row| {
        (0..batch.columns().len()).map(|column| batch.value(row, column).unwrap().into()).collect::<Vec<_>>()
    }));
}

fn run(scan: Scan<'_, ()>, way: Way) -> Outcome {
    let mut rows = Vec::new();
    let path = if let Way::Each(path) = way { path } else { ScanStrategy::Pages };
    let mut plan = None;
    let scan = scan.strategy(path).on_end(|it| plan = Some(it));
    let result = match way {
        Way::Each(_) => scan.for_each(|row| {
            rows.push((0..row.column_count()).map(|column| row.value(column).map(Cell::from)).collect::<Result<_>>()?);
            Ok::<_, Error>(())
        }),
        Way::Columns { threads } => scan.threads(threads).columns().map(|batch| {
            add(&mut rows, &batch);
            0
        }),
        Way::Batches { rows: size, threads } => scan.threads(threads).batches(size, |batch| {
            add(&mut rows, batch);
            Ok::<_, Error>(())
        }),
    };
    Outcome { rows, error: result.err(), path: plan.map(|plan| plan.strategy) }
}

/// What is to be said of an outcome, beside what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All rows.
    Right,
    /// An error, and before it no row that is not stored.
    Refused,
    /// Rows are missing, or others than are stored, be it before an error.
    Wrong,
}

fn judge(stored: &[Vec<Cell>], outcome: &Outcome) -> Verdict {
    match &outcome.error {
        None if outcome.rows == stored => Verdict::Right,
        Some(_) if stored.starts_with(&outcome.rows) => Verdict::Refused,
        _ => Verdict::Wrong,
    }
}

/// A file, and how it is opened.
struct Case {
    name: &'static str,
    path: PathBuf,
    /// Keeps the write-ahead log.
    _holder: Connection,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    fn new(dir: &Path, name: &'static str, encoding: &str) -> Self {
        let path = dir.join(format!("{name}.db"));
        let options = OpenOptions::new().pragma("page_size", 1024_i64).pragma("encoding", encoding);
        let options = options.pragma("auto_vacuum", if name == "vacuum" { "full" } else { "none" });
        let conn = options.pragma("wal_autocheckpoint", 0_i64).open(&path).unwrap();
        let journal = if name == "wal" { "wal" } else { "delete" };
        let key = if name == "keyed" { "PRIMARY KEY(c, id)) WITHOUT ROWID" } else { "PRIMARY KEY(id))" };
        conn.execute_batch(&format!(
            "PRAGMA journal_mode = {journal};
             CREATE TABLE t(id INTEGER, a TEXT, b BLOB, c TEXT, {key};
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
             INSERT INTO t SELECT i, 'text ' || i, CAST(printf('%0*d', iif(i % 5, 60, 1500 + 30 * i), i) AS BLOB), 'after ' || i FROM n;
             ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'later';
             ALTER TABLE t ADD COLUMN e;
             UPDATE t SET d = 'now' WHERE id % 7 = 1;
             CREATE INDEX i ON t(c DESC, b, a, d, e);",
        ))
        .unwrap();
        if journal == "wal" {
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET a = 'in the log' WHERE id % 4 = 0")
                .unwrap();
        }
        // Without the cache of the connection that wrote.
        let holder = Connection::open(&path).unwrap();
        holder.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
        conn.close().unwrap();
        Self { name, path, _holder: holder }
    }

    fn open(&self) -> Connection {
        let conn = OpenOptions::new().open(&self.path).unwrap();
        // The schema is read, and no page of the table.
        drop(conn.prepare("SELECT * FROM t").unwrap());
        conn
    }
}

fn every_read_fails_in_every_way() {
    install();
    let dir = tempfile::tempdir().unwrap();
    let (mut runs, mut refused, mut right, mut zeros) = (0, 0, 0, 0);
    let (mut by_pages, mut left) = (0, 0);
    let mut seen = [0; 4];
    for (name, encoding, tree) in [
        ("delete", "UTF-8", "NOT INDEXED"),
        ("wal", "UTF-8", "NOT INDEXED"),
        ("utf16", "UTF-16be", "NOT INDEXED"),
        ("vacuum", "UTF-8", "NOT INDEXED"),
        ("keyed", "UTF-8", "INDEXED BY sqlite_autoindex_t_1"),
        ("indexed", "UTF-8", "INDEXED BY i"),
    ] {
        let case = Case::new(dir.path(), name, encoding);
        for sql in [
            "SELECT * FROM t",
            "SELECT c, id FROM t",
            "SELECT d FROM t",
            "SELECT c, d FROM t WHERE e IS NULL AND a COLLATE NOCASE > 'A' AND (d COLLATE RTRIM = 'later' OR b IS NOT NULL)",
            "SELECT c, d FROM t WHERE id > 0 AND id < 100 AND a IS NOT NULL",
        ] {
            let sql = &*sql.replace("FROM t", &format!("FROM t {tree}"));
            let sound = run(case.open().scan(sql, ()), STATEMENT);
            assert!(sound.error.is_none() && sound.rows.len() == 60);
            let stored = &sound.rows;
            let plan = case.open().scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
            assert_eq!(plan.strategy, ScanStrategy::Pages, "{case}, {sql}: {plan}");
            for (number, (how, is_sticky)) in [
                (How::Eio, false),
                (How::Eio, true),
                (How::Zero, false),
                (How::Zero, true),
                (How::Half, false),
                (How::Half, true),
                (How::Eintr, false),
            ]
            .into_iter()
            .enumerate()
            {
                for way in std::iter::once(STATEMENT).chain(BY_PAGES) {
                    for after in 0.. {
                        let conn = case.open();
                        let (outcome, fired) = with_fault(how, after, is_sticky, || run(conn.scan(sql, ()), way));
                        if fired == 0 {
                            assert!(after > 0, "{case}, {sql}, {way:?}: nothing was read");
                            assert_eq!(judge(stored, &outcome), Verdict::Right);
                            break;
                        }
                        runs += 1;
                        seen[number / 2] += fired;
                        if way != STATEMENT {
                            *(if outcome.path == Some(ScanStrategy::Pages) { &mut by_pages } else { &mut left }) += 1;
                        }
                        let verdict = judge(stored, &outcome);
                        let context = || format!("{case}, {sql}, {way:?}, {how:?} at {after}, {is_sticky}");
                        match verdict {
                            Verdict::Right => right += 1,
                            Verdict::Refused => {
                                refused += 1;
                                let error = outcome.error.as_ref().unwrap();
                                let is_expected = matches!(
                                    error.code(),
                                    Some(
                                        ResultCode::CORRUPT
                                            | ResultCode::IOERR
                                            | ResultCode::NOTADB
                                            | ResultCode::CANTOPEN
                                    )
                                );
                                assert!(is_expected, "{}: {error:?}", context());
                            }
                            // SQLite itself takes zeros for the beginning of a value that begins in an overflow page.
                            // Where it was not the pages that yielded the rows, that ends with an error.
                            Verdict::Wrong
                                if how == How::Zero
                                    && outcome.path == Some(ScanStrategy::Statement)
                                    && (way == STATEMENT || outcome.error.is_some()) =>
                            {
                                zeros += 1;
                            }
                            Verdict::Wrong => {
                                let row = outcome.rows.iter().zip(stored).position(|(one, other)| one != other);
                                let rows = row.map(|row| (&outcome.rows[row], &stored[row]));
                                panic!("{}: {} rows, {rows:?}, {:?}", context(), outcome.rows.len(), outcome.error)
                            }
                        }
                        // Half a read and an interrupted one are made up for.
                        if matches!(how, How::Half | How::Eintr) {
                            assert_eq!(verdict, Verdict::Right, "{}: {:?}", context(), outcome.error);
                        }
                        // The connection is sound, unless SQLite keeps in its cache what it took for the page.
                        if how != How::Zero && after % 5 == 0 {
                            assert_eq!(judge(stored, &run(conn.scan(sql, ()), way)), Verdict::Right, "{}", context());
                        }
                    }
                }
            }
        }
    }
    println!("{runs} runs: {right} right, {refused} refused, {zeros} wrong by SQLite itself; {seen:?} reads failed");
    println!("{by_pages} runs by pages, {left} continued by the statement");
    // Positive controls: all four fired, made errors, and the check has seen wrong rows.
    assert!(seen.iter().all(|&fired| fired > 50), "{seen:?}");
    assert!(refused > 100 && right > 100 && zeros > 0, "{refused} {right} {zeros}");
    assert!(by_pages > 1000 && left > 100, "{by_pages} {left}");
}

/// The checker is shown what it must not pass.
fn the_check_sees_wrong_rows() {
    let row = |n: i64| vec![Cell::Integer(n), Cell::Blob(vec![1; 9])];
    let stored = [row(1), row(2), row(3)];
    let judge = |rows: &[Vec<Cell>], error: bool| {
        let error = error.then(|| Connection::open("/nowhere/at/all").unwrap_err());
        judge(&stored, &Outcome { rows: rows.to_vec(), error, path: None })
    };
    assert_eq!(judge(&stored, false), Verdict::Right);
    assert_eq!(judge(&stored[..2], true), Verdict::Refused);
    assert_eq!(judge(&[], true), Verdict::Refused);
    assert_eq!(judge(&stored[..2], false), Verdict::Wrong);
    let zeros = vec![Cell::Integer(2), Cell::Blob(vec![0; 9])];
    assert_eq!(judge(&[row(1), zeros.clone(), row(3)], false), Verdict::Wrong);
    assert_eq!(judge(&[row(1), zeros], true), Verdict::Wrong);
    assert_eq!(judge(&[row(1), row(2), row(3), row(3)], false), Verdict::Wrong);
}

/// Pages of this file.
const PAGE_BYTES: i64 = 4096;

/// 60 rows, each with one overflow page; the last pages of the file are theirs, in order.
fn fill(path: &Path, journal: &str) {
    let conn = OpenOptions::new().pragma("page_size", PAGE_BYTES).open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal};
         CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
         INSERT INTO t SELECT i, zeroblob(484) FROM n;
         UPDATE t SET b = CAST(printf('%04576d', id) AS BLOB);",
    ))
    .unwrap();
    conn.close().unwrap();
}

/// Another process cuts the file off: without a descriptor in this one, whose closing would take SQLite's locks.
fn cut(path: &Path, bytes: u64) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a path that ends with NUL; opens no file in this process.
    assert_eq!(unsafe { truncate(path.as_ptr(), bytes.try_into().unwrap()) }, 0);
}

fn a_file_that_is_cut_off_while_it_is_read() {
    let page_bytes = PAGE_BYTES as u64;
    // Whole pages, and parts of one. Of the last page of all the last byte is not needed.
    for (cut_bytes, whole_rows) in
        [(20 * page_bytes, 40), (20 * page_bytes - 1, 40), (60 * page_bytes, 20), (page_bytes / 2, 59), (1, 60)]
    {
        // What is mapped comes before what is cut off: to read beyond the end of a mapped file is a signal.
        for (journal, mmap) in [("delete", 0), ("wal", 0), ("delete", 5 * PAGE_BYTES)] {
            for way in std::iter::once(STATEMENT).chain(BY_PAGES) {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("a.db");
                fill(&path, journal);
                let stored = run(Connection::open(&path).unwrap().scan("SELECT * FROM t", ()), STATEMENT).rows;
                assert_eq!(stored.len(), 60);
                let bytes = std::fs::metadata(&path).unwrap().len();
                let conn = OpenOptions::new().pragma("mmap_size", mmap).open(&path).unwrap();
                // What was read ahead is there.
                let scan = conn.scan("SELECT * FROM t", ()).progress(20, |seen| {
                    if seen == 20 {
                        cut(&path, bytes - cut_bytes);
                    }
                    ControlFlow::Continue(())
                });
                let outcome = run(scan, way);
                let context = format!("{journal}, {mmap}, {cut_bytes} bytes, {way:?}: {} rows", outcome.rows.len());
                if whole_rows == 60 {
                    assert_eq!(judge(&stored, &outcome), Verdict::Right, "{context}");
                    continue;
                }
                assert_eq!(judge(&stored, &outcome), Verdict::Refused, "{context}");
                let error = outcome.error.unwrap();
                assert_eq!(error.extended_code(), Some(ResultCode::IOERR_SHORT_READ), "{context}: {error:?}");
                if let Way::Each(_) = way {
                    assert_eq!(outcome.rows.len(), whole_rows, "{context}");
                }
            }
        }
    }
}
