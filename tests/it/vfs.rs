//! File systems in Rust: registration, kinds of files, journals, several connections, and the three that come ready.

mod existing;
mod memory;
mod read_only;
mod wrong;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use finalite::vfs::{
    self, Existing, ExistingFile, FileKind, FileName, Memory, OpenFlags, Registration, Vfs, VfsFile, VfsResult,
};
use finalite::{Connection, ErrorKind, OpenOptions, ResultCode};

/// Returns a name that no other test has: file systems are the process's.
fn unique(base: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{base}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn registered(vfs: impl Vfs) -> Registration {
    vfs::register(&unique("vfs"), vfs).unwrap()
}

fn open(registration: &Registration, path: impl AsRef<Path>) -> Connection {
    OpenOptions::new().vfs(registration.name()).open(path).unwrap()
}

fn is_misuse(error: &finalite::Error) -> bool {
    matches!(error.kind(), ErrorKind::Misuse { .. })
}

/// The file system of SQLite, with a list of what is opened.
struct Watching {
    system: Existing,
    seen: Seen,
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(FileKind, bool)>>>);

impl Seen {
    fn kinds(&self) -> BTreeSet<FileKind> {
        self.0.lock().unwrap().iter().map(|(kind, _)| *kind).collect()
    }
}

struct WatchedFile(ExistingFile);

impl Vfs for Watching {
    type File = WatchedFile;

    fn existing(&self) -> Option<&Existing> {
        Some(&self.system)
    }

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<WatchedFile> {
        self.seen.0.lock().unwrap().push((flags.kind(), name.is_some()));
        self.system.open(name, flags).map(WatchedFile)
    }
}

impl VfsFile for WatchedFile {
    fn existing(&self) -> Option<&ExistingFile> {
        Some(&self.0)
    }
}

fn watching() -> (Watching, Seen) {
    let seen = Seen::default();
    (Watching { system: Existing::default_one().unwrap(), seen: seen.clone() }, seen)
}

#[test]
fn a_name_is_registered_once_and_not_while_it_is_used_removed() {
    let registration = registered(Memory::new());
    let name = registration.name().to_owned();
    assert!(vfs::exists(&name) && !vfs::exists("nowhere") && !vfs::exists("a\0b"));
    for taken in [&*name, if cfg!(windows) { "win32" } else { "unix" }, "", "a\0b"] {
        assert!(is_misuse(&vfs::register(taken, Memory::new()).unwrap_err()), "{taken:?}");
    }
    let conn = open(&registration, "a.db");
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert!(registration.open_files() > 0);
    assert!(is_misuse(&registration.unregister().unwrap_err()));
    assert_eq!(conn.vfs_name("main").unwrap().as_deref(), Some(&*name));
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    conn.close().unwrap();
    assert_eq!(registration.open_files(), 0);
    // One in memory has no file, and goes on; it opens none any more.
    let in_memory = OpenOptions::new().vfs(&name).open_in_memory().unwrap();
    registration.unregister().unwrap();
    registration.unregister().unwrap();
    assert!(!vfs::exists(&name) && is_misuse(&registration.make_default().unwrap_err()));
    assert_eq!(in_memory.query_one::<i64>("SELECT random() IS NOT NULL AND julianday() > 2450000", ()).unwrap(), 1);
    let spilled =
        "PRAGMA temp_store = file; PRAGMA temp.cache_size = 5; CREATE TEMP TABLE t AS SELECT zeroblob(1000000)";
    assert_eq!(in_memory.execute_batch(spilled).unwrap_err().code(), Some(ResultCode::CANTOPEN));
    assert!(OpenOptions::new().vfs(&name).open("a.db").is_err());
    // The name is free again.
    let again = vfs::register(&name, Memory::new()).unwrap();
    open(&again, "a.db").execute("CREATE TABLE t(a)", ()).unwrap();
}

#[test]
fn the_default_stays_what_it_is() {
    let before = vfs::default_name();
    let registration = registered(Memory::new());
    assert_eq!(vfs::default_name(), before);
    assert!(before.is_some_and(|before| before != registration.name()));
}

#[test]
fn a_uri_names_a_file_system_and_its_parameters_arrive() {
    struct Reading(Memory, Arc<Mutex<Vec<String>>>);
    impl Vfs for Reading {
        type File = vfs::MemoryFile;
        fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<vfs::MemoryFile> {
            if let Some(name) = name {
                let text = format!(
                    "{:?} {} {} {:?} {} {} {} {:?}",
                    flags.kind(),
                    name.path().display(),
                    name.database().path().display(),
                    name.parameter("color"),
                    name.boolean("quick", false),
                    name.integer("size", -1),
                    name.wal().path().display(),
                    name.parameters().filter(|(key, _)| *key != "vfs").collect::<Vec<_>>(),
                );
                self.1.lock().unwrap().push(text);
            }
            self.0.open(name, flags)
        }
        fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
            self.0.delete(path, sync_directory)
        }
        fn access(&self, path: &Path, access: vfs::Access) -> VfsResult<bool> {
            self.0.access(path, access)
        }
    }
    let seen = Arc::default();
    let registration = registered(Reading(Memory::new(), Arc::clone(&seen)));
    let conn = Connection::open_in_memory().unwrap();
    let uri = format!("file:x.db?vfs={}&color=red%20ish&quick=on&size=12&empty=", registration.name());
    conn.attach_uri(&uri, "x").unwrap().keep();
    conn.execute_batch("CREATE TABLE x.t(a); PRAGMA x.journal_mode = wal; INSERT INTO x.t VALUES (1)").unwrap();
    let seen = seen.lock().unwrap();
    let rest =
        r#"Some("red ish") true 12 x.db-wal [("color", "red ish"), ("quick", "on"), ("size", "12"), ("empty", "")]"#;
    for (kind, path) in [("MainDatabase", "x.db"), ("MainJournal", "x.db-journal"), ("Wal", "x.db-wal")] {
        assert!(seen.contains(&format!("{kind} {path} x.db {rest}")), "{kind}: {seen:#?}");
    }
}

#[test]
fn each_kind_of_file_is_opened_as_what_it_is() {
    let (vfs, seen) = watching();
    let registration = registered(vfs);
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().vfs(registration.name()).pragma("temp_store", "file");
    let conn = options.open(dir.path().join("a.db")).unwrap();
    // A cache of a few pages, so that temporary tables, sorts and savepoints go to files.
    conn.execute_batch(
        "PRAGMA cache_size = 5; PRAGMA temp.cache_size = 5; PRAGMA cache_spill = 2; CREATE TABLE t(a, b)",
    )
    .unwrap();
    conn.execute_batch(
        "BEGIN; WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO t SELECT i, randomblob(200) FROM n; COMMIT;
         CREATE TEMP TABLE u AS SELECT * FROM t; BEGIN; UPDATE u SET b = zeroblob(300);
         SAVEPOINT s; UPDATE u SET b = zeroblob(100); UPDATE t SET b = zeroblob(100); ROLLBACK TO s; COMMIT",
    )
    .unwrap();
    conn.query_all::<i64>("SELECT a FROM t ORDER BY b, a", ()).unwrap();
    conn.query_all::<i64>("SELECT count(*) FROM (SELECT DISTINCT randomblob(3000 + a) FROM t)", ()).unwrap();
    conn.attach(dir.path().join("b.db"), "other").unwrap().keep();
    conn.execute_batch(
        "CREATE TABLE other.v(a); BEGIN; INSERT INTO other.v VALUES (1); DELETE FROM t WHERE a = 1; COMMIT",
    )
    .unwrap();
    conn.execute_batch("VACUUM").unwrap();
    conn.detach("other").unwrap();
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute("INSERT INTO t VALUES (1, 2)", ()).unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    let all = [
        FileKind::MainDatabase,
        FileKind::MainJournal,
        FileKind::Wal,
        FileKind::TempDatabase,
        FileKind::TempJournal,
        FileKind::TransientDatabase,
        FileKind::Subjournal,
        FileKind::SuperJournal,
    ];
    assert_eq!(seen.kinds(), BTreeSet::from(all));
    drop(conn);
    assert_eq!(registration.open_files(), 0);
    registration.unregister().unwrap();
}

#[test]
fn connections_open_and_close_in_every_order() {
    let registration = registered(Memory::new());
    for first in 0..3 {
        for second in 0..2 {
            let mut all: Vec<Connection> = (0..3).map(|_| open(&registration, "a.db")).collect();
            for conn in &all {
                conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ()).unwrap();
                conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
            }
            all.remove(first).close().unwrap();
            all.remove(second).close().unwrap();
            all[0].execute("INSERT INTO t VALUES (2)", ()).unwrap();
            all.remove(0).close().unwrap();
            assert_eq!(registration.open_files(), 0);
        }
    }
}

#[test]
fn every_journal_mode_commits_and_rolls_back() {
    let (vfs, _) = watching();
    let (memory, wrapped) = (registered(Memory::new()), registered(vfs));
    let dir = tempfile::tempdir().unwrap();
    for registration in [&memory, &wrapped] {
        for mode in ["delete", "truncate", "persist", "wal", "memory", "off"] {
            let path = dir.path().join(format!("{mode}.db"));
            let options = OpenOptions::new().vfs(registration.name()).pragma("journal_mode", mode);
            let conn = options.open(&path).unwrap();
            assert_eq!(conn.pragma::<String>("journal_mode").unwrap(), mode);
            conn.execute_batch("CREATE TABLE t(a, b); BEGIN; INSERT INTO t VALUES (1, zeroblob(50000)); COMMIT")
                .unwrap();
            if mode != "off" {
                conn.execute_batch("BEGIN; UPDATE t SET b = 1; INSERT INTO t VALUES (2, 3); ROLLBACK").unwrap();
            }
            drop(conn);
            let conn = options.open(&path).unwrap();
            assert_eq!(conn.query_one::<(i64, i64)>("SELECT count(*), length(b) FROM t", ()).unwrap(), (1, 50_000));
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
        }
        assert_eq!(registration.open_files(), 0);
    }
}

#[test]
fn backup_vacuum_and_attached_databases_work() {
    let registration = registered(Memory::new());
    let conn = open(&registration, "a.db");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))").unwrap();
    let copy = finalite::data::Backup::new(&conn, open(&registration, "b.db")).unwrap().finish().unwrap();
    assert_eq!(copy.query_one::<i64>("SELECT length(a) FROM t", ()).unwrap(), 100_000);
    drop(copy);
    let uri = format!("file:b.db?vfs={}", registration.name());
    conn.attach_uri(&uri, "b").unwrap().keep();
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (1); INSERT INTO b.t VALUES (2); COMMIT; VACUUM; VACUUM b")
        .unwrap();
    conn.execute_batch(&format!("VACUUM INTO 'file:c.db?vfs={}'", registration.name())).unwrap();
    assert_eq!(open(&registration, "c.db").query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
    assert_eq!(open(&registration, "b.db").query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
}

#[test]
fn a_pool_and_threads_share_a_log() {
    const ROWS: i64 = 40;
    for wrapped in [false, true] {
        let registration = if wrapped { registered(watching().0) } else { registered(Memory::new()) };
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions::new().vfs(registration.name()).pragma("journal_mode", "wal");
        let pool = finalite::pool::Pool::builder(dir.path().join("a.db")).options(options).readers(2).build().unwrap();
        pool.write(|tx| tx.execute_batch("CREATE TABLE t(a)")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for n in 0..ROWS {
                        pool.write(|tx| tx.execute("INSERT INTO t VALUES (?)", (n,)).map(drop)).unwrap();
                    }
                });
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 2 * ROWS {
                        let reader = pool.reader().unwrap();
                        let (count, sum) =
                            reader.query_one::<(i64, i64)>("SELECT count(*), coalesce(sum(1), 0) FROM t", ()).unwrap();
                        assert!(count >= last && count == sum);
                        last = count;
                    }
                });
            }
        });
        assert_eq!(pool.reader().unwrap().pragma::<String>("journal_mode").unwrap(), "wal");
        assert_eq!(pool.reader().unwrap().query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
        drop(pool.close());
        assert_eq!(registration.open_files(), 0);
    }
}

#[test]
fn scans_read_through_the_statement() {
    let registration = registered(Memory::new());
    let conn = open(&registration, "a.db");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let columns = conn.scan("SELECT a FROM t", ()).strategy(finalite::scan::ScanStrategy::Pages).columns().unwrap();
    assert_eq!(columns.len(), 2);
}
