//! Implementations that are wrong on purpose: each method fails, panics, lies, or uses SQLite. SQLite's answer is an error,
//! and no file is left open.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use finalite::handles::{self, HandleKind};
use finalite::vfs::{
    Access, ControlReply, DeviceCharacteristics, FileControl, FileName, FullPath, LockLevel, Memory, MemoryFile,
    OpenFlags, SharedMemory, SyncMode, Vfs, VfsError, VfsFile, VfsResult,
};
use finalite::{Connection, ErrorKind, OpenOptions, Result, ResultCode, Statement};

use super::{is_misuse, registered};
use crate::common::leaked;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    Open,
    Delete,
    Access,
    FullPath,
    CurrentTime,
    IsReadOnly,
    Read,
    Write,
    Truncate,
    Sync,
    Size,
    Lock,
    Unlock,
    IsReserved,
    Control,
    SectorSize,
    Device,
    SharedMemory,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Fails,
    /// With a code that means no error.
    Succeeds,
    Panics,
    Lies,
    UsesSqlite,
}

/// The method that is wrong, its call (`None`: each one), and how.
#[derive(Clone, Copy, Debug)]
struct Wrongness {
    method: Method,
    call: Option<u64>,
    how: How,
}

#[derive(Default)]
struct Plan {
    wrong: Option<Wrongness>,
    calls: BTreeMap<Method, u64>,
    fired: u64,
}

const PAYLOAD: &str = "wrong on purpose";

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Plan>>);

impl Shared {
    /// Counts a call. Panics if it is to; otherwise returns how it is wrong.
    fn next(&self, method: Method) -> Option<How> {
        let mut plan = self.0.lock().unwrap();
        let calls = plan.calls.entry(method).or_default();
        *calls += 1;
        let call = *calls;
        let how = plan.wrong.filter(|wrong| wrong.method == method && wrong.call.is_none_or(|of| of + 1 == call))?.how;
        plan.fired += 1;
        drop(plan);
        match how {
            How::Panics => panic!("{PAYLOAD}"),
            How::UsesSqlite => use_sqlite(),
            How::Fails | How::Succeeds | How::Lies => {}
        }
        Some(how)
    }

    /// Length of a path that is a lie: too long, or none.
    fn lie_bytes(&self) -> usize {
        if self.0.lock().unwrap().calls[&Method::FullPath].is_multiple_of(2) { 5000 } else { 0 }
    }

    /// As `next`, for a method that can fail. `true`: it lies.
    fn check(&self, method: Method) -> VfsResult<bool> {
        match self.next(method) {
            Some(How::Fails) => Err(VfsError::new(ResultCode::IOERR)),
            Some(How::Succeeds) => Err(VfsError::new(ResultCode::DONE)),
            Some(How::Lies) => Ok(true),
            _ => Ok(false),
        }
    }
}

thread_local! {
    /// The connection that is running.
    static RUNNING: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    static OTHER: Connection = Connection::open_in_memory().unwrap();
}

/// Uses the connection that is running, another one, and a new one: none can be.
fn use_sqlite() {
    let refused = |result: Result<i64>| assert!(is_misuse(&result.unwrap_err()));
    let running = RUNNING.with(|running| running.try_borrow().ok().and_then(|running| running.clone()));
    if let Some(conn) = running {
        refused(conn.query_one("SELECT 1", ()));
        refused(conn.execute_batch("COMMIT").map(|()| 1));
        refused(conn.prepare("SELECT 1").map(|_| 1));
        refused(conn.blob(("t", "b", 1), finalite::data::Access::ReadOnly).map(|_| 1));
        refused(conn.create_scalar_function("f", |a: i64| a).map(|_| 1));
    }
    OTHER.with(|other| refused(other.query_one("SELECT 1", ())));
    refused(Connection::open_in_memory().map(|_| 1));
}

struct Wrong {
    inner: Memory,
    shared: Shared,
}

struct WrongFile {
    inner: MemoryFile,
    shared: Shared,
    other: SharedMemory,
}

impl Vfs for Wrong {
    type File = WrongFile;

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<WrongFile> {
        // A lie: another file than the one that was asked for.
        let other = FileName::new(Path::new("other.db"), &[]).unwrap();
        let name = if self.shared.check(Method::Open)? { Some(&other) } else { name };
        let inner = self.inner.open(name, flags)?;
        Ok(WrongFile { inner, shared: self.shared.clone(), other: SharedMemory::new() })
    }

    fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
        if self.shared.check(Method::Delete)? { Ok(()) } else { self.inner.delete(path, sync_directory) }
    }

    fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
        Ok(self.shared.check(Method::Access)? ^ self.inner.access(path, access)?)
    }

    fn full_path(&self, path: &Path) -> VfsResult<FullPath> {
        let lie = self.shared.check(Method::FullPath)?;
        Ok(if lie { PathBuf::from("x".repeat(self.shared.lie_bytes())) } else { path.to_path_buf() }.into())
    }

    fn sleep(&self, _duration: Duration) -> Duration {
        Duration::MAX
    }

    fn current_time(&self) -> SystemTime {
        let lie = self.shared.next(Method::CurrentTime).is_some();
        // That of Windows begins in 1601.
        let first = |seconds| SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds));
        if lie { first(1 << 40).or_else(|| first(1 << 33)).unwrap() } else { SystemTime::now() }
    }
}

impl VfsFile for WrongFile {
    fn is_read_only(&self) -> bool {
        self.shared.next(Method::IsReadOnly).is_some() ^ self.inner.is_read_only()
    }

    fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        if self.shared.check(Method::Read)? {
            into.fill(0x5a);
            return Ok(if offset.is_multiple_of(3) { into.len() + 1 } else { into.len() / 2 });
        }
        self.inner.read_at(into, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        if self.shared.check(Method::Write)? { Ok(()) } else { self.inner.write_at(bytes, offset) }
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        let lie = self.shared.check(Method::Truncate)?;
        self.inner.truncate(if lie { size / 2 } else { size })
    }

    fn sync(&mut self, mode: SyncMode) -> VfsResult<()> {
        self.shared.check(Method::Sync)?;
        self.inner.sync(mode)
    }

    fn size(&mut self) -> VfsResult<u64> {
        let size = self.inner.size()?;
        Ok(if self.shared.check(Method::Size)? {
            [u64::MAX, i64::MAX as u64, 0, 7][size as usize / 4096 % 4]
        } else {
            size
        })
    }

    fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        if self.shared.check(Method::Lock)? { Ok(()) } else { self.inner.lock(level) }
    }

    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        if self.shared.check(Method::Unlock)? { Ok(()) } else { self.inner.unlock(level) }
    }

    fn is_reserved(&mut self) -> VfsResult<bool> {
        Ok(self.shared.check(Method::IsReserved)? ^ self.inner.is_reserved()?)
    }

    fn control(&mut self, request: FileControl<'_>) -> VfsResult<ControlReply> {
        if self.shared.check(Method::Control)? {
            return Ok(match request {
                FileControl::Pragma { name, .. } => ControlReply::Text(format!("{name}\0 and more")),
                FileControl::LockState | FileControl::Other(_) => ControlReply::Text("text".into()),
                _ => ControlReply::Integer(-7),
            });
        }
        self.inner.control(request)
    }

    fn sector_size(&self) -> u32 {
        if self.shared.next(Method::SectorSize).is_some() { u32::MAX - 3 } else { 777 }
    }

    fn device(&self) -> DeviceCharacteristics {
        let lie = self.shared.next(Method::Device).is_some();
        if lie { DeviceCharacteristics::IMMUTABLE | DeviceCharacteristics::ATOMIC } else { self.inner.device() }
    }

    fn shared_memory(&self) -> Option<&SharedMemory> {
        // A lie: one that no other file of the database has.
        if self.shared.next(Method::SharedMemory).is_some() { Some(&self.other) } else { self.inner.shared_memory() }
    }
}

impl Drop for WrongFile {
    fn drop(&mut self) {
        self.shared.next(Method::Drop);
    }
}

/// Writes and reads in both kinds of journals, with a second connection.
fn scenario(vfs: &str) -> Result<()> {
    let options = OpenOptions::new().vfs(vfs).busy_timeout(Duration::ZERO);
    let conn = Rc::new(options.open("a.db")?);
    RUNNING.with(|running| *running.borrow_mut() = Some(Rc::clone(&conn)));
    conn.execute_batch("PRAGMA cache_size = 5; CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)")?;
    conn.execute_batch("BEGIN; INSERT INTO t(b) VALUES (zeroblob(30000)), (random()), (julianday()); COMMIT")?;
    conn.execute_batch("BEGIN; UPDATE t SET b = zeroblob(20000); ROLLBACK; DELETE FROM t WHERE a > 20")?;
    let other = options.open("a.db")?;
    // A journal that is in use, which it must not take for one that was left.
    conn.execute_batch("BEGIN; UPDATE t SET b = 2 WHERE a = 2")?;
    other
        .query_one::<i64>("SELECT count(*) FROM t", ())
        .or_else(|error| if error.is_busy() { Ok(0) } else { Err(error) })?;
    conn.execute_batch("COMMIT")?;
    conn.query_one::<String>("PRAGMA journal_mode = wal", ())?;
    conn.execute("INSERT INTO t(b) VALUES (zeroblob(9000))", ())?;
    other.query_one::<i64>("SELECT count(*) FROM t", ())?;
    conn.execute("INSERT INTO t(b) VALUES (1)", ())?;
    other.query_one::<String>("PRAGMA integrity_check", ())?;
    drop(other);
    conn.query_one::<String>("PRAGMA journal_mode = delete", ())?;
    conn.query_one::<i64>("SELECT sum(length(b)) FROM t", ()).map(drop)
}

/// Runs the scenario with a method that is wrong. Returns the number of calls that were, and whether it panicked.
fn run(shared: &Shared, vfs: &str, wrong: Option<Wrongness>) -> (u64, bool) {
    *shared.0.lock().unwrap() = Plan { wrong, ..Plan::default() };
    let mut has_panicked = false;
    let mut caught = |outcome: std::thread::Result<Result<()>>| match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            assert!(
                error.code().is_some() || matches!(error.kind(), ErrorKind::ColumnConversion { .. }),
                "{wrong:?}: {error:?}"
            );
        }
        Err(payload) => {
            has_panicked = true;
            let words = payload.downcast_ref::<String>().map_or("another type", String::as_str);
            assert!(words == PAYLOAD, "{wrong:?}: {words}");
        }
    };
    caught(catch_unwind(AssertUnwindSafe(|| scenario(vfs))));
    drop(catch_unwind(AssertUnwindSafe(|| RUNNING.with(|running| running.borrow_mut().take()))));
    let fired = std::mem::take(&mut *shared.0.lock().unwrap()).fired;
    // What a Drop has parked.
    caught(catch_unwind(|| Connection::open_in_memory()?.execute_batch("SELECT 1")));
    (fired, has_panicked)
}

fn each_call(how: How, methods: &[Method]) -> BTreeMap<Method, (u64, bool)> {
    let (memory, shared) = (Memory::new(), Shared::default());
    let registration = registered(Wrong { inner: memory.clone(), shared: shared.clone() });
    let mut seen = BTreeMap::new();
    OTHER.with(|_| ());
    run(&shared, registration.name(), None);
    for &method in methods {
        // The first calls, some later ones, and all.
        let calls = (0..12).chain([20, 40, 80, 160]).map(Some).chain([None]);
        for call in calls {
            let (fired, has_panicked) = run(&shared, registration.name(), Some(Wrongness { method, call, how }));
            let entry: &mut (u64, bool) = seen.entry(method).or_default();
            *entry = (entry.0 + fired, entry.1 || has_panicked);
            assert_eq!(registration.open_files(), 0, "{method:?} {call:?} {how:?}");
            let is_whole = !matches!(how, How::Lies) && method != Method::Drop;
            if is_whole {
                let conn = OpenOptions::new().vfs(registration.name()).open("a.db").unwrap();
                let check = conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap();
                assert_eq!(check, "ok", "{method:?} {call:?} {how:?}");
            }
            memory.restore(BTreeMap::new()).unwrap();
        }
    }
    seen
}

const FALLIBLE: [Method; 13] = [
    Method::Open,
    Method::Delete,
    Method::Access,
    Method::FullPath,
    Method::Read,
    Method::Write,
    Method::Truncate,
    Method::Sync,
    Method::Size,
    Method::Lock,
    Method::Unlock,
    Method::IsReserved,
    Method::Control,
];

const ALL: [Method; 19] = [
    Method::Open,
    Method::Delete,
    Method::Access,
    Method::FullPath,
    Method::CurrentTime,
    Method::IsReadOnly,
    Method::Read,
    Method::Write,
    Method::Truncate,
    Method::Sync,
    Method::Size,
    Method::Lock,
    Method::Unlock,
    Method::IsReserved,
    Method::Control,
    Method::SectorSize,
    Method::Device,
    Method::SharedMemory,
    Method::Drop,
];

fn assert_fired(seen: &BTreeMap<Method, (u64, bool)>, methods: &[Method]) {
    let silent: Vec<&Method> = methods.iter().filter(|method| seen[method].0 == 0).collect();
    assert!(silent.is_empty(), "never called: {silent:?}");
}

#[test]
fn each_method_fails_at_each_call() {
    for how in [How::Fails, How::Succeeds] {
        assert_fired(&each_call(how, &FALLIBLE), &FALLIBLE);
    }
}

#[test]
fn rule_26_a_panic_does_not_unwind_into_c_and_is_resumed_by_the_call() {
    let seen = each_call(How::Panics, &ALL);
    assert_fired(&seen, &ALL);
    let lost: Vec<_> = seen.iter().filter(|(_, (_, has_panicked))| !has_panicked).collect();
    assert!(lost.is_empty(), "panics that nobody resumed: {lost:?}");
}

#[test]
fn rule_26_lies_are_errors_or_wrong_data_and_no_more() {
    assert_fired(&each_call(How::Lies, &ALL), &ALL[..18]);
}

#[test]
fn rule_26_no_connection_of_the_thread_is_used_within_a_method() {
    assert_fired(&each_call(How::UsesSqlite, &ALL), &ALL);
}

/// Statements, rows, blobs and backups that a method drops, of the connection that is running, are left to its close. Another
/// connection is closed.
#[test]
fn rule_26_handles_that_a_method_drops_wait_for_close() {
    struct Dropping(Memory);
    struct DroppingFile(MemoryFile);
    thread_local! {
        static HELD: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
    }
    impl Vfs for Dropping {
        type File = DroppingFile;
        fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<DroppingFile> {
            self.0.open(name, flags).map(DroppingFile)
        }
        fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
            self.0.delete(path, sync_directory)
        }
        fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
            self.0.access(path, access)
        }
    }
    impl VfsFile for DroppingFile {
        fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
            self.0.read_at(into, offset)
        }
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
            drop(HELD.with(RefCell::take));
            self.0.write_at(bytes, offset)
        }
        fn truncate(&mut self, size: u64) -> VfsResult<()> {
            self.0.truncate(size)
        }
        fn size(&mut self) -> VfsResult<u64> {
            self.0.size()
        }
    }
    let registration = registered(Dropping(Memory::new()));
    // Leaked, so that what borrows it is `'static`.
    let conn: &'static Connection = Box::leak(Box::new(super::open(&registration, "a.db")));
    leaked::note(std::ptr::from_ref(conn).cast());
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, zeroblob(100)), (2, zeroblob(100))").unwrap();
    for round in 1..=3 {
        let mut rows = conn.prepare("SELECT a FROM t").unwrap().into_rows(()).unwrap();
        rows.next().unwrap();
        let blob = conn.blob(("t", "b", 1), finalite::data::Access::ReadOnly).unwrap();
        let mut backup = finalite::data::Backup::new(conn, Connection::open_in_memory().unwrap()).unwrap();
        backup.step(1).unwrap();
        let statement: Statement<'static> = conn.prepare("SELECT b FROM t").unwrap();
        let another = super::open(&registration, "b.db");
        another.execute_batch("CREATE TABLE IF NOT EXISTS t(a)").unwrap();
        HELD.with(|held| {
            *held.borrow_mut() =
                vec![Box::new(rows), Box::new(blob), Box::new(backup), Box::new(statement), Box::new(another)]
        });
        assert_eq!(registration.open_files(), 2);
        conn.execute("UPDATE t SET a = a + 1", ()).unwrap();
        assert_eq!(registration.open_files(), 1);
        assert!(HELD.with(|held| held.borrow().is_empty()));
        // They are open still: no other test of this file has a blob.
        let is_it =
            |it: &&handles::OpenHandle| it.kind == HandleKind::Blob && it.opened_at.file().ends_with("wrong.rs");
        assert_eq!(handles::live().records.iter().filter(is_it).count(), round);
    }
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [4, 5]);
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
}
