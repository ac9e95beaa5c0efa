//! Operations give the same results in the file system of SQLite, in memory, and in a wrapped one: on files, through C's
//! methods, and through SQL.

use std::path::Path;

use finalite::vfs::{Access, Existing, ExistingFile, FileKind, FileName, LockLevel, Memory, OpenFlags, SyncMode};
use finalite::{Connection, OpenOptions};

use super::{registered, watching};
use crate::common::random::Random;

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    No,
    Yes,
}

/// Runs the same operations, made of a seed, on files of a file system. Returns the transcript of their results, without
/// paths and numbers of the system's errors.
fn on_files(system: Existing, dir: &Path, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed, 1);
    let paths = ["one", "two"].map(|name| dir.join(format!("{name}-{seed}")));
    let mut files: Vec<Option<(usize, ExistingFile)>> = (0..4).map(|_| None).collect();
    let mut transcript = Vec::new();
    let code = |error: finalite::vfs::VfsError| error.code().map(|code| code.name());
    for _ in 0..250 {
        let (slot, path) = (random.below(files.len()), random.below(2));
        let (offset, len) = (random.below(9000) as u64, 1 + random.below(5000));
        let operation = random.below(14);
        let line = match (operation, &files[slot]) {
            (0 | 1, None) | (2.., None) => {
                let name = FileName::new(&paths[path], &[]).unwrap();
                let flags = match random.below(3) {
                    0 => OpenFlags::read_only(FileKind::MainDatabase),
                    _ => OpenFlags::read_write(FileKind::MainDatabase),
                };
                let opened = system.open(Some(&name), flags);
                let line =
                    format!("open {:?}", opened.as_ref().map(ExistingFile::is_read_only).map_err(|&error| code(error)));
                files[slot] = opened.ok().map(|file| (path, file));
                line
            }
            (0, Some(_)) => {
                files[slot] = None;
                "close".to_owned()
            }
            (1, Some(_)) => {
                // Nobody deletes a file that is open.
                let is_open = files.iter().flatten().any(|(of, _)| *of == path);
                let deleted = (!is_open).then(|| system.delete(&paths[path], true).map_err(code));
                format!("delete {deleted:?}")
            }
            (2 | 3, Some((_, file))) => {
                let mut bytes = vec![7; len];
                let read = file.read_at(&mut bytes, offset).map_err(code);
                let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                format!("read {read:?} {sum}")
            }
            (4 | 5, Some((_, file))) if !file.is_read_only() => {
                format!("write {:?}", file.write_at(&random.bytes(len), offset).map_err(code))
            }
            (6, Some((_, file))) if !file.is_read_only() => {
                format!("truncate {:?}", file.truncate(offset).map_err(code))
            }
            (7, Some((_, file))) => {
                format!("sync {:?}", file.sync(SyncMode { full: true, data_only: false }).map_err(code))
            }
            (8 | 9, Some((_, file))) => {
                let level = random.pick(&[LockLevel::Shared, LockLevel::Reserved, LockLevel::Exclusive]);
                // A file that is read only gets no exclusive lock from the system.
                let level = if file.is_read_only() { LockLevel::Shared } else { level };
                format!("lock {level:?} {:?}", file.lock_to(level).map_err(code))
            }
            (10, Some((_, file))) => {
                let level = random.pick(&[LockLevel::None, LockLevel::Shared]);
                format!("unlock {level:?} {:?}", file.unlock_to(level).map_err(code))
            }
            (11, Some((_, file))) => format!("reserved {:?}", file.is_reserved().map_err(code)),
            (12, _) => format!("exists {:?}", system.access(&paths[path], Access::Exists).map_err(code)),
            (_, Some((_, file))) => format!("size {:?}", file.size().map_err(code)),
        };
        transcript.push(line);
    }
    transcript
}

/// Runs the same SQL, made of a seed, on two connections. Returns the transcript of their results.
fn on_connections(vfs: &str, path: &Path, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed, 2);
    let mode = random.pick(&["delete", "truncate", "persist", "wal"]);
    let plain = OpenOptions::new().vfs(vfs).busy_timeout(std::time::Duration::ZERO);
    let options = plain.clone().pragma("cache_size", 10).pragma("journal_mode", mode);
    let mut all: Vec<Connection> = (0..2).map(|_| options.open(path).unwrap()).collect();
    all[0].execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a)").unwrap();
    let mut transcript = vec![mode.to_owned()];
    for _ in 0..120 {
        let which = random.below(2);
        let (id, bytes) = (random.below(60), random.below(4000));
        let sql = match random.below(12) {
            0 => "BEGIN".to_owned(),
            1 => "BEGIN IMMEDIATE".to_owned(),
            2 => "BEGIN EXCLUSIVE".to_owned(),
            3 => "COMMIT".to_owned(),
            4 => "ROLLBACK".to_owned(),
            5 => format!("DELETE FROM t WHERE id > {id}"),
            6 => "SELECT count(*) FROM t".to_owned(),
            7 => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
            8 => "VACUUM".to_owned(),
            9 => format!(
                "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO t(a) SELECT zeroblob({bytes}) FROM n"
            ),
            _ => format!("INSERT OR REPLACE INTO t VALUES ({id}, zeroblob({bytes}))"),
        };
        if random.one_in(30) {
            let reopened = options.open(path);
            transcript.push(format!("open {:?}", reopened.as_ref().map(drop).map_err(|error| error.extended_code())));
            all[which] = reopened.unwrap_or_else(|_| plain.open(path).unwrap());
        }
        let result = all[which].execute_batch(&sql).map_err(|error| error.extended_code());
        transcript.push(format!("{which} {sql}: {result:?}"));
        let sum = all[which].query_one::<(i64, i64)>("SELECT count(*), coalesce(sum(length(a)), 0) FROM t", ());
        transcript.push(format!("{:?}", sum.map_err(|error| error.extended_code())));
    }
    for conn in &all {
        let _ = conn.execute_batch("ROLLBACK");
    }
    for conn in &all {
        transcript.push(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap());
    }
    transcript
}

/// The transcripts of all file systems, for a seed.
fn transcripts<T: PartialEq + std::fmt::Debug>(run: impl Fn(&str, &Path) -> Vec<T>) -> [Vec<T>; 3] {
    let (memory, (wrapped, _)) = (registered(Memory::new()), watching());
    let wrapped = registered(wrapped);
    ["unix", memory.name(), wrapped.name()].map(|name| {
        let dir = tempfile::tempdir().unwrap();
        run(name, dir.path())
    })
}

fn assert_same(seed: u64, [system, memory, wrapped]: [Vec<String>; 3]) -> Seen {
    for (name, other) in [("memory", &memory), ("wrapped", &wrapped)] {
        let differs = system.iter().zip(other).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let before = &system[at.saturating_sub(20)..at];
            panic!("seed {seed}, {name}, {at}: {} in the system, here {}, after {before:#?}", system[at], other[at]);
        }
        assert_eq!(system.len(), other.len());
    }
    let has = |word: &str| system.iter().any(|line| line.contains(word));
    if has("Exclusive Ok") && has("BUSY") && has("delete Some(Ok") { Seen::Yes } else { Seen::No }
}

#[test]
#[cfg(unix)]
fn operations_on_files_give_the_same_results_as_in_the_system() {
    let run = |seed| transcripts(|name, dir| on_files(Existing::named(name).unwrap(), dir, seed));
    let seen: Vec<Seen> = (0..60).map(|seed| assert_same(seed, run(seed))).collect();
    assert!(seen.contains(&Seen::Yes));
}

#[test]
#[cfg(unix)]
fn sql_gives_the_same_results_as_in_the_system() {
    for seed in 0..15 {
        let all = transcripts(|name, dir| on_connections(name, &dir.join("a.db"), seed));
        assert_same(seed, all);
    }
}

/// The comparison sees a file system that is another one: locks that exclude nobody.
#[test]
#[cfg(unix)]
#[should_panic(expected = "here ")]
fn the_comparison_sees_a_difference() {
    use finalite::vfs::{Vfs, VfsFile, VfsResult};
    struct Lax(Existing);
    struct LaxFile(ExistingFile);
    impl Vfs for Lax {
        type File = LaxFile;
        fn existing(&self) -> Option<&Existing> {
            Some(&self.0)
        }
        fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<LaxFile> {
            self.0.open(name, flags).map(LaxFile)
        }
    }
    impl VfsFile for LaxFile {
        fn existing(&self) -> Option<&ExistingFile> {
            Some(&self.0)
        }
        fn lock(&mut self, _level: LockLevel) -> VfsResult<()> {
            Ok(())
        }
    }
    let lax = registered(Lax(Existing::named("unix").unwrap()));
    for seed in 0..60 {
        let [one, other] = ["unix", lax.name()].map(|name| {
            let dir = tempfile::tempdir().unwrap();
            on_files(Existing::named(name).unwrap(), dir.path(), seed)
        });
        assert_same(seed, [one.clone(), one, other]);
    }
}

#[test]
fn orders_of_locks_that_sqlite_does_not_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let name = FileName::new(&dir.path().join("a"), &[]).unwrap();
    let system = Existing::default_one().unwrap();
    let file = system.open(Some(&name), OpenFlags::read_write(FileKind::MainDatabase)).unwrap();
    for level in [LockLevel::Reserved, LockLevel::Pending, LockLevel::Exclusive] {
        assert!(file.lock_to(level).is_err(), "{level:?}");
    }
    file.unlock_to(LockLevel::None).unwrap();
    file.lock_to(LockLevel::Shared).unwrap();
    assert!(file.lock_to(LockLevel::Pending).is_err());
    file.lock_to(LockLevel::Reserved).unwrap();
    assert!(file.is_reserved().unwrap());
    // Opens that C does not define.
    for kind in [FileKind::MainDatabase, FileKind::Wal, FileKind::Other] {
        assert!(system.open(None, OpenFlags::read_write(kind)).is_err(), "{kind:?}");
    }
    assert!(system.open(Some(&name), OpenFlags::read_write(FileKind::Other)).is_err());
    assert!(system.open(None, OpenFlags::read_only(FileKind::TempDatabase)).is_err());
    let temporary = system.open(None, OpenFlags::read_write(FileKind::TempDatabase)).unwrap();
    temporary.write_at(b"abc", 0).unwrap();
    assert_eq!(temporary.size().unwrap(), 3);
}

#[test]
fn offsets_beyond_what_c_has_are_errors() {
    let (memory, dir) = (registered(Memory::new()), tempfile::tempdir().unwrap());
    for name in [vfs_default(), memory.name().to_owned()] {
        let name_of_file = FileName::new(&dir.path().join("a"), &[]).unwrap();
        let system = Existing::named(&name).unwrap();
        let file = system.open(Some(&name_of_file), OpenFlags::read_write(FileKind::MainDatabase)).unwrap();
        assert!(file.read_at(&mut [0], u64::MAX).is_err() && file.write_at(&[0], u64::MAX).is_err());
        assert!(file.read_at(&mut [0], i64::MAX as u64).is_err() && file.truncate(u64::MAX).is_err());
        assert_eq!(file.read_at(&mut [], 5).unwrap(), 0);
        file.write_at(&[], 5).unwrap();
        assert_eq!(file.size().unwrap(), 0);
    }
    // C reads beyond a name that is empty.
    assert!(FileName::new(Path::new(""), &[]).is_err() && FileName::new(Path::new(""), &[("a", "b")]).is_err());
    assert!(FileName::new(Path::new("a\0b"), &[]).is_err() && FileName::new(Path::new("a"), &[("", "x")]).is_err());
}

/// Returns a path of this many bytes, in directories that it creates.
fn path_of_bytes(dir: &Path, bytes: usize, end: &str) -> std::path::PathBuf {
    let mut path = dir.to_path_buf();
    while bytes - path.as_os_str().len() > 200 + end.len() {
        path.push("d".repeat(100));
    }
    std::fs::create_dir_all(&path).unwrap();
    let rest = bytes - path.as_os_str().len() - 1 - end.len();
    path.push("f".repeat(rest) + end);
    assert_eq!(path.as_os_str().len(), bytes);
    path
}

/// C copies the paths of journals and logs into a buffer of 512 bytes, up to the last `-`, without a look at its size.
#[test]
#[cfg(unix)]
fn rule_26_a_path_longer_than_the_file_systems_longest_is_refused() {
    let (dir, wrapped) = (tempfile::tempdir().unwrap(), registered(watching().0));
    let refused = |result: finalite::vfs::VfsResult<()>| {
        assert_eq!(result.unwrap_err().code(), Some(finalite::ResultCode::CANTOPEN));
    };
    for system in [Existing::named("unix").unwrap(), Existing::named(wrapped.name()).unwrap()] {
        for (kind, suffix) in [(FileKind::MainJournal, "-journal"), (FileKind::Wal, "-wal")] {
            let flags = OpenFlags::read_write(kind);
            for bytes in [500, 512, 513, 1016, 3000] {
                // A dot ends C's search for the `-`.
                for end in [suffix.to_owned(), format!("{suffix}.x")] {
                    let path = path_of_bytes(dir.path(), bytes, &end);
                    let name = FileName::new(&path, &[]).unwrap();
                    if bytes > 512 {
                        refused(system.open(Some(&name), flags).map(drop));
                        refused(system.delete(&path, false));
                        refused(system.access(&path, Access::Exists).map(drop));
                        refused(system.full_path(&path).map(drop));
                        continue;
                    }
                    // C takes the permissions of the database.
                    let database = path.to_str().unwrap().replace(&end, "");
                    let database = FileName::new(Path::new(&database), &[]).unwrap();
                    let database = system.open(Some(&database), OpenFlags::read_write(FileKind::MainDatabase)).unwrap();
                    database.write_at(b"x", 0).unwrap();
                    system.open(Some(&name), flags).unwrap().write_at(b"x", 0).unwrap();
                    assert!(system.access(&path, Access::Exists).unwrap());
                    system.delete(&path, false).unwrap();
                }
            }
        }
    }
    // SQLite knows the limit, and needs 8 bytes of it for the suffix.
    for (bytes, is_short) in [(504, true), (505, false), (1016, false)] {
        let path = path_of_bytes(dir.path(), bytes, ".db");
        let opened = OpenOptions::new().vfs(wrapped.name()).open(&path);
        let written = opened.and_then(|conn| conn.execute("CREATE TABLE t(a)", ()));
        assert_eq!(written.is_ok(), is_short, "{bytes}: {written:?}");
    }
    let memory = registered(Memory::new());
    for (bytes, is_short) in [(1016, true), (1017, false)] {
        let opened = OpenOptions::new().vfs(memory.name()).open("m".repeat(bytes));
        assert_eq!(opened.is_ok(), is_short, "{bytes}");
    }
}

/// Closing it would drop the locks of the connection.
#[test]
#[cfg(unix)]
fn rule_11_a_database_that_is_open_is_no_file_of_another_kind() {
    let dir = tempfile::tempdir().unwrap();
    let (path, linked) = (dir.path().join("a.db"), dir.path().join("linked"));
    let system = Existing::named("unix").unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); BEGIN IMMEDIATE").unwrap();
    std::os::unix::fs::symlink(&path, &linked).unwrap();
    let open = |path: &Path, kind| system.open(Some(&FileName::new(path, &[]).unwrap()), OpenFlags::read_only(kind));
    for kind in [FileKind::MainJournal, FileKind::Wal, FileKind::SuperJournal, FileKind::TempDatabase] {
        for path in [&path, &linked] {
            assert_eq!(open(path, kind).unwrap_err().code(), Some(finalite::ResultCode::CANTOPEN), "{kind:?}");
        }
    }
    drop(open(&path, FileKind::MainDatabase).unwrap());
    // The control: a file that no connection has open.
    conn.close().unwrap();
    drop(open(&path, FileKind::SuperJournal).unwrap());
}

/// An unlock that fails may have released the lock or not. What is asked for next goes to the file, whose lock counts.
#[test]
fn rule_26_after_an_unlock_that_fails_the_files_own_lock_counts() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use finalite::vfs::{MemoryFile, SharedMemory, Vfs, VfsError, VfsFile, VfsResult};
    /// Keeps its lock when an unlock fails.
    struct Failing(Memory, Arc<AtomicBool>);
    struct FailingFile(MemoryFile, Arc<AtomicBool>);
    impl Vfs for Failing {
        type File = FailingFile;
        fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<FailingFile> {
            self.0.open(name, flags).map(|file| FailingFile(file, Arc::clone(&self.1)))
        }
    }
    impl VfsFile for FailingFile {
        fn size(&mut self) -> VfsResult<u64> {
            self.0.size()
        }
        fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
            self.0.lock(level)
        }
        fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
            if self.1.load(Ordering::Relaxed) {
                Err(VfsError::new(finalite::ResultCode::IOERR))
            } else {
                self.0.unlock(level)
            }
        }
        fn is_reserved(&mut self) -> VfsResult<bool> {
            self.0.is_reserved()
        }
        fn shared_memory(&self) -> Option<&SharedMemory> {
            None
        }
    }
    let fails = Arc::new(AtomicBool::new(false));
    let registration = registered(Failing(Memory::new(), Arc::clone(&fails)));
    let (system, name) = (Existing::named(registration.name()).unwrap(), FileName::new(Path::new("a"), &[]).unwrap());
    let open = || system.open(Some(&name), OpenFlags::read_write(FileKind::MainDatabase)).unwrap();
    let (file, other) = (open(), open());
    for target in [LockLevel::None, LockLevel::Shared] {
        for level in [LockLevel::Shared, LockLevel::Reserved, LockLevel::Exclusive] {
            file.lock_to(level).unwrap();
        }
        fails.store(true, Ordering::Relaxed);
        assert!(file.unlock_to(target).is_err());
        // It has its lock still.
        assert!(other.lock_to(LockLevel::Shared).is_err() && other.is_reserved().unwrap());
        // Another try is no success either, as nothing was released.
        assert!(file.unlock_to(target).is_err());
        fails.store(false, Ordering::Relaxed);
        file.unlock_to(target).unwrap();
        other.lock_to(LockLevel::Shared).unwrap();
        other.unlock_to(LockLevel::None).unwrap();
        file.unlock_to(LockLevel::None).unwrap();
    }
    assert!(file.unlock_to(LockLevel::Shared).is_err());
}

/// One file of the system serves one file of C: of two, one would give up the shared memory that the other uses.
#[test]
#[cfg(unix)]
fn rule_26_an_existing_file_serves_one_connection() {
    use std::sync::{Arc, Mutex};

    use finalite::vfs::{Vfs, VfsFile, VfsResult};
    struct Sharing(Existing, Mutex<Option<Arc<ExistingFile>>>);
    struct SharingFile(Arc<ExistingFile>);
    impl Vfs for Sharing {
        type File = SharingFile;
        fn existing(&self) -> Option<&Existing> {
            Some(&self.0)
        }
        fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<SharingFile> {
            if flags.kind() != FileKind::MainDatabase {
                return self.0.open(name, flags).map(Arc::new).map(SharingFile);
            }
            let mut first = self.1.lock().unwrap();
            let file = match &*first {
                Some(file) => Arc::clone(file),
                None => Arc::new(self.0.open(name, flags)?),
            };
            *first = Some(Arc::clone(&file));
            Ok(SharingFile(file))
        }
    }
    impl VfsFile for SharingFile {
        fn existing(&self) -> Option<&ExistingFile> {
            Some(&self.0)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let registration = registered(Sharing(Existing::named("unix").unwrap(), Mutex::default()));
    let options = OpenOptions::new().vfs(registration.name()).pragma("journal_mode", "wal");
    let conn = options.open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let second = options.open(dir.path().join("a.db"));
    assert_eq!(second.unwrap_err().code(), Some(finalite::ResultCode::CANTOPEN));
    assert_eq!(registration.open_files(), 2);
    conn.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
}

fn vfs_default() -> String {
    finalite::vfs::default_name().unwrap()
}
