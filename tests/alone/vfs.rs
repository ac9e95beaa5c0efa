//! File systems of the program: faults at each operation, power cuts, processes that are killed, and what stays open.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use finalite::faults::{self, Failure, Fault, Operation, PowerCut};
use finalite::vfs::{
    self, Existing, ExistingFile, FileKind, FileName, Memory, OpenFlags, Registration, Vfs, VfsFile, VfsResult,
};
use finalite::{Connection, LeakCheck, OpenOptions, Result, ResultCode};

use crate::runner::{cases, process_of};
use crate::transactions::{self, TRANSACTIONS};

cases![
    a_hundred_opens_leave_nothing,
    a_file_that_is_left_open_is_seen,
    each_operation_fails_once_and_for_good,
    what_was_committed_survives_a_power_cut,
    a_device_that_lies_about_syncs_loses_commits,
    syncs_that_were_left_out_lose_commits,
    an_image_is_made_of_its_seed,
    the_name_of_a_database_is_durable_with_its_directory,
    a_kill_leaves_a_whole_database_over_a_wrapped_file_system,
    wrapped_writer,
    the_default_can_be_changed,
    a_panic_without_a_connection_is_resumed_by_the_next_call,
    a_panic_on_a_thread_of_sqlites_own_is_counted,
];

/// The file system of SQLite, by methods of this one.
struct Wrapped(Existing);

struct WrappedFile(ExistingFile);

impl Vfs for Wrapped {
    type File = WrappedFile;

    fn existing(&self) -> Option<&Existing> {
        Some(&self.0)
    }

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<WrappedFile> {
        self.0.open(name, flags).map(WrappedFile)
    }
}

impl VfsFile for WrappedFile {
    fn existing(&self) -> Option<&ExistingFile> {
        Some(&self.0)
    }
}

fn wrapped(name: &str) -> Registration {
    vfs::register(name, Wrapped(Existing::default_one().unwrap())).unwrap()
}

fn a_hundred_opens_leave_nothing() {
    let registrations = [vfs::register("memory", Memory::new()).unwrap(), wrapped("wrapped")];
    let dir = tempfile::tempdir().unwrap();
    for registration in &registrations {
        for mode in ["delete", "wal"] {
            let options = OpenOptions::new().vfs(registration.name()).pragma("journal_mode", mode);
            let path = dir.path().join(format!("{mode}.db"));
            let use_it = || {
                let (one, other) = (options.open(&path).unwrap(), options.open(&path).unwrap());
                one.execute_batch("CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)").unwrap();
                other.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
            };
            use_it();
            let check = LeakCheck::new();
            (0..100).for_each(|_| use_it());
            let report = check.finish();
            assert!(report.is_clean(), "{mode}: {report}");
            assert_eq!(registration.open_files(), 0);
        }
    }
}

/// The control of the case above.
fn a_file_that_is_left_open_is_seen() {
    let registration = wrapped("wrapped");
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().vfs(registration.name());
    options.open(dir.path().join("a.db")).unwrap();
    let check = LeakCheck::new();
    let conn = options.open(dir.path().join("a.db")).unwrap();
    assert_eq!(registration.open_files(), 1);
    let report = check.finish();
    assert!(!report.is_clean() && report.to_string().contains("a.db"), "{report}");
    drop(conn);
}

/// Returns the number of transactions that were committed, and the error of the first that was not.
fn scenario(vfs: &str, mode: &str, synchronous: &str) -> (i64, Result<()>) {
    let mut committed = 0;
    let result = (|| {
        let options = OpenOptions::new().vfs(vfs).pragma("cache_size", 3).busy_timeout(Duration::ZERO);
        let conn = options.pragma("synchronous", synchronous).open("a.db")?;
        conn.query_one::<String>(&format!("PRAGMA journal_mode = {mode}"), ())?;
        transactions::commit_all(&conn, &mut committed)?;
        conn.close()
    })();
    (committed, result)
}

/// A file system for the databases of images.
struct Images {
    memory: Memory,
    registration: Registration,
}

impl Images {
    fn new() -> Self {
        let memory = Memory::new();
        Self { registration: vfs::register("images", memory.clone()).unwrap(), memory }
    }

    /// Opens an image. Returns the number of transactions in it; an error if it is not whole.
    fn transactions(&self, image: BTreeMap<PathBuf, Vec<u8>>) -> std::result::Result<i64, String> {
        self.memory.restore(image).unwrap();
        let options = OpenOptions::new().vfs(self.registration.name());
        let conn = options.open("a.db").map_err(|error| error.to_string())?;
        transactions::found(&conn)
    }
}

fn each_operation_fails_once_and_for_good() {
    let images = Images::new();
    let mut faults_seen = 0;
    for mode in ["delete", "truncate", "persist", "wal", "memory"] {
        for (failure, step) in [(Failure::Io, 1), (Failure::Full, 3), (Failure::Half, 3), (Failure::ShortRead, 5)] {
            for sticky in [false, true] {
                for n in (0..).step_by(step) {
                    let faulty = faults::Vfs::new(Memory::new());
                    let registration = vfs::register("faulty", faulty.clone()).unwrap();
                    let check = LeakCheck::new();
                    let armed = faulty.arm(Fault::after_any(n).failure(failure).sticky(sticky));
                    let (committed, result) = scenario("faulty", mode, "full");
                    let failures = armed.disarm();
                    let place = format!("{mode} {failure:?} {sticky} {n}");
                    if let Err(error) = &result {
                        assert!(error.code().is_some(), "{place}: {error:?}");
                    }
                    let report = check.finish();
                    assert!(report.is_clean(), "{place}: {report}");
                    assert_eq!(registration.open_files(), 0, "{place}");
                    // A journal in memory does not survive a rollback that fails, nor does a page half of which is zero.
                    if mode != "memory" && failure != Failure::ShortRead {
                        let found = images.transactions(faulty.inner().snapshot());
                        let found = found.unwrap_or_else(|problem| panic!("{place}: {problem}"));
                        assert!((committed..=committed + 1).contains(&found), "{place}: {found} of {committed}");
                    }
                    registration.unregister().unwrap();
                    faults_seen += failures;
                    if failures == 0 {
                        assert!(result.is_ok(), "{place}: {result:?}");
                        break;
                    }
                }
            }
        }
    }
    assert!(faults_seen > 2_000, "{faults_seen}");
    println!("{faults_seen} faults");
}

/// Cuts the power at each operation of the scenario, and opens images of each moment. Returns their number and that of
/// those that are not whole, or in which more than `lost` committed transactions are missing.
fn cut(mode: &str, synchronous: &str, lost: i64) -> (u64, Vec<String>) {
    let images = Images::new();
    let (mut opened, mut violations) = (0, Vec::new());
    for n in 0.. {
        let faulty = faults::Vfs::new(Memory::new());
        let registration = vfs::register("faulty", faulty.clone()).unwrap();
        let armed = faulty.arm(Fault::after_any(n).sticky(true));
        let (committed, _) = scenario("faulty", mode, synchronous);
        let failures = armed.disarm();
        let cuts = [PowerCut::Nothing, PowerCut::Everything]
            .into_iter()
            .chain((0..4).map(|seed| PowerCut::Random(n * 7 + seed)));
        for cut in cuts {
            opened += 1;
            match images.transactions(faulty.image(cut)) {
                Ok(found) if (committed - lost..=committed + 1).contains(&found) => {}
                other => violations.push(format!("{mode} {synchronous} {n} {cut:?}: {committed} committed, {other:?}")),
            }
        }
        registration.unregister().unwrap();
        if failures == 0 {
            break;
        }
    }
    images.registration.unregister().unwrap();
    (opened, violations)
}

fn what_was_committed_survives_a_power_cut() {
    // Without `extra`, the deletion of the journal, which is the commit, may be lost.
    for (mode, synchronous, lost) in [
        ("delete", "extra", 0),
        ("delete", "full", 1),
        ("truncate", "full", 0),
        ("persist", "full", 0),
        ("wal", "full", 0),
        ("wal", "normal", TRANSACTIONS),
    ] {
        let (opened, violations) = cut(mode, synchronous, lost);
        println!("{opened} images of {mode}, {synchronous}");
        assert!(
            violations.is_empty(),
            "{} of {opened}: {:#?}",
            violations.len(),
            &violations[..violations.len().min(9)]
        );
        assert!(opened > 300, "{opened}");
    }
}

/// The control of the case above: what it finds where syncs are left out.
fn syncs_that_were_left_out_lose_commits() {
    for (mode, synchronous) in [("delete", "off"), ("wal", "off")] {
        let (opened, violations) = cut(mode, synchronous, 0);
        println!("{} of {opened} images of {mode}, {synchronous} are damaged", violations.len());
        assert!(violations.len() > 20, "{mode}: {} of {opened}", violations.len());
    }
    // In WAL mode, a checkpoint is synced, and a commit is not.
    assert!(!cut("wal", "normal", 0).1.is_empty());
}

fn a_device_that_lies_about_syncs_loses_commits() {
    let images = Images::new();
    let mut damaged = 0;
    for mode in ["delete", "wal"] {
        let faulty = faults::Vfs::new(Memory::new());
        let registration = vfs::register("faulty", faulty.clone()).unwrap();
        let armed = faulty.arm(Fault::after(0, Operation::Sync).failure(Failure::Ignored).sticky(true));
        let (committed, result) = scenario("faulty", mode, "full");
        result.unwrap();
        assert_eq!(committed, TRANSACTIONS);
        assert!(armed.disarm() > 5);
        assert_eq!(images.transactions(faulty.inner().snapshot()), Ok(TRANSACTIONS));
        assert_eq!(images.transactions(faulty.image(PowerCut::Everything)), Ok(TRANSACTIONS));
        assert_ne!(images.transactions(faulty.image(PowerCut::Nothing)), Ok(TRANSACTIONS), "{mode}");
        let random = (0..40).map(|seed| images.transactions(faulty.image(PowerCut::Random(seed))));
        damaged += random.filter(|found| *found != Ok(TRANSACTIONS)).count();
        registration.unregister().unwrap();
    }
    assert!(damaged > 20, "{damaged}");
}

fn an_image_is_made_of_its_seed() {
    let faulty = faults::Vfs::new(Memory::new());
    let _registration = vfs::register("faulty", faulty.clone()).unwrap();
    let conn = OpenOptions::new().vfs("faulty").pragma("synchronous", "off").open("a.db").unwrap();
    conn.execute_batch("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    conn.execute_batch("COMMIT").unwrap();
    assert_eq!(faulty.image(PowerCut::Random(1)), faulty.image(PowerCut::Random(1)));
    assert_ne!(faulty.image(PowerCut::Random(1)), faulty.image(PowerCut::Random(2)));
    assert_eq!(faulty.image(PowerCut::Everything), faulty.inner().snapshot());
    assert!(faulty.image(PowerCut::Nothing).is_empty());
    assert!(faulty.count(Operation::Write) > 10 && faulty.count(Operation::Sync) == 0);
    // What another file system had before is durable.
    let again = faults::Vfs::new(faulty.inner().clone());
    let _registration = vfs::register("again", again.clone()).unwrap();
    let other = OpenOptions::new().vfs("again").open("a.db").unwrap();
    other.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(again.image(PowerCut::Nothing), again.inner().snapshot());
}

/// C's `unix` syncs the directory with journals and logs alone: after the sync of a new database, its name may be lost.
fn the_name_of_a_database_is_durable_with_its_directory() {
    for (number, (mode, is_durable)) in
        [("memory", false), ("off", false), ("delete", true), ("truncate", true), ("wal", true)].into_iter().enumerate()
    {
        let faulty = faults::Vfs::new(Memory::new());
        let name = format!("faulty-{number}");
        let _registration = vfs::register(&name, faulty.clone()).unwrap();
        let options = OpenOptions::new().vfs(&name).pragma("journal_mode", mode).pragma("synchronous", "full");
        let conn = options.open("a.db").unwrap();
        conn.execute_batch("CREATE TABLE t(a)").unwrap();
        let image = faulty.image(PowerCut::Nothing);
        assert_eq!(image.contains_key(Path::new("a.db")), is_durable, "{mode}");
        // The control: it was synced, and other cuts show it.
        assert!(faulty.count(Operation::Sync) > 0);
        assert!(!faulty.image(PowerCut::Everything)[Path::new("a.db")].is_empty(), "{mode}");
        let found = (0..60).map(|seed| faulty.image(PowerCut::Random(seed)).contains_key(Path::new("a.db")));
        assert_eq!(found.filter(|is_there| !is_there).count() > 0, !is_durable, "{mode}");
    }
}

const PATH: &str = "FINALITE_KILLED";

fn a_kill_leaves_a_whole_database_over_a_wrapped_file_system() {
    for mode in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut last = 0;
        for round in 0..10 {
            let mut child = process_of("vfs::wrapped_writer")
                .env(PATH, &path)
                .env("MODE", mode)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            // What it says was committed before it is killed.
            for _ in 0..=round {
                last = lines.next().unwrap().unwrap().parse::<i64>().unwrap();
            }
            child.kill().unwrap();
            assert!(!child.wait().unwrap().success());
            let conn = Connection::open(&path).unwrap();
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok", "{mode}, {round}");
            let (count, max) = conn.query_one::<(i64, i64)>("SELECT count(*), max(a) FROM t", ()).unwrap();
            assert!(count == max && count >= last, "{mode}, {round}: {count} {max} {last}");
            last = max;
        }
        assert!(last > 0);
    }
}

/// Runs in a process of its own: commits, and says so.
fn wrapped_writer() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let registration = wrapped("wrapped");
    let options = OpenOptions::new().vfs(registration.name()).pragma("journal_mode", &*std::env::var("MODE").unwrap());
    let conn = options.open(Path::new(&path)).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)").unwrap();
    loop {
        conn.execute("INSERT INTO t(b) VALUES (randomblob(20000))", ()).unwrap();
        println!("{}", conn.last_insert_rowid());
    }
}

fn the_default_can_be_changed() {
    let before = vfs::default_name();
    let memory = Memory::new();
    let registration = vfs::register("default", memory.clone()).unwrap();
    registration.make_default().unwrap();
    assert_eq!(vfs::default_name().as_deref(), Some("default"));
    let conn = Connection::open("nowhere/a.db").unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t SELECT random()").unwrap();
    assert_eq!(conn.vfs_name("main").unwrap().as_deref(), Some("default"));
    assert!(memory.snapshot().contains_key(Path::new("nowhere/a.db")));
    drop(conn);
    registration.unregister().unwrap();
    assert_eq!(vfs::default_name(), before);
    assert!(Connection::open("nowhere/a.db").is_err());
}

fn a_panic_without_a_connection_is_resumed_by_the_next_call() {
    let faulty = faults::Vfs::new(Memory::new());
    let _registration = vfs::register("faulty", faulty.clone()).unwrap();
    let caught = |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    let options = OpenOptions::new().vfs("faulty");
    let conn = options.open("a.db").unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    // In a call that fails: that call.
    let armed = faulty.arm(Fault::after(0, Operation::Write).failure(Failure::Panic));
    assert!(caught(&|| drop(conn.execute("INSERT INTO t VALUES (1)", ()))));
    assert_eq!(armed.disarm(), 1);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    // When a connection is opened, and when one is closed, whose panic is discarded.
    let armed = faulty.arm(Fault::after(0, Operation::Open).failure(Failure::Panic));
    assert!(caught(&|| drop(options.open("b.db"))));
    drop(armed);
    let rows = conn.prepare("INSERT INTO t VALUES (2) RETURNING a").unwrap();
    drop(rows);
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    let armed = faulty.arm(Fault::after(0, Operation::Delete).failure(Failure::Panic));
    conn.close().unwrap();
    assert_eq!(armed.disarm(), 1);
    let conn = options.open("a.db").unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

/// Large sorts write their files on threads that call nothing that could resume the panic. The thread of the statement
/// writes too when each of those is at work: here there are more of them than parts to write.
fn a_panic_on_a_thread_of_sqlites_own_is_counted() {
    let faulty = faults::Vfs::new(Memory::new());
    let _registration = vfs::register("faulty", faulty.clone()).unwrap();
    let options = OpenOptions::new().vfs("faulty").pragma("temp_store", "file").pragma("threads", 8);
    let conn = options.open("a.db").unwrap();
    conn.execute_batch(
        "PRAGMA cache_size = 5; CREATE TABLE t(a, b);
         WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO t SELECT i, randomblob(2000) FROM n",
    )
    .unwrap();
    let sorted = || conn.query_all::<i64>("SELECT a FROM t ORDER BY b", ());
    assert_eq!(sorted().unwrap().len(), 2500);
    assert_eq!(finalite::handles::late_panics(), 0);
    let armed = faulty.arm(Fault::after(0, Operation::Write).on(FileKind::TempJournal).failure(Failure::Panic));
    assert_eq!(sorted().unwrap_err().extended_code(), Some(ResultCode::IOERR_WRITE));
    assert_eq!(armed.disarm(), 1);
    assert_eq!(finalite::handles::late_panics(), 1);
    assert_eq!(sorted().unwrap().len(), 2500);
}
