//! Backups: copying between connections, to a file and from one, while others write, and what ends them.

use std::mem::forget;
use std::path::Path;
use std::time::Duration;

use finalite::data::{Backup, BackupPacing, BackupProgress};
use finalite::{Connection, Error, ErrorKind, OpenOptions, ResultCode};

/// A connection to a file that does not wait for locks.
fn open(path: &Path) -> Connection {
    OpenOptions::new().busy_timeout(Duration::ZERO).pragma("synchronous", "off").open(path).unwrap()
}

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Fills about 100 pages.
fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)
         INSERT INTO t SELECT i, randomblob(3900) FROM n;",
    )
    .unwrap();
}

fn filled() -> Connection {
    let conn = memory();
    fill(&conn);
    conn
}

/// All that is in `t`.
fn content(conn: &Connection) -> Vec<(i64, Vec<u8>)> {
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    conn.query_all("SELECT id, a FROM t ORDER BY id", ()).unwrap()
}

fn names(conn: &Connection) -> Vec<String> {
    conn.query_all("SELECT name FROM sqlite_schema WHERE type = 'table'", ()).unwrap()
}

fn is_misuse(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Misuse { .. })
}

#[test]
fn the_copy_is_equal_whatever_the_step() {
    let dir = tempfile::tempdir().unwrap();
    for (n, pages) in [1, 7, 100, 1_000_000, u32::MAX].into_iter().enumerate() {
        let source = filled();
        let mut backup = Backup::new(&source, open(&dir.path().join(format!("{n}.db")))).unwrap();
        assert_eq!(backup.progress(), BackupProgress::default());
        let mut last = backup.progress();
        while !last.is_done {
            let now = backup.step(pages).unwrap();
            assert!(now.copied() > last.copied() && now.copied() <= now.page_count && now.restarts == 0, "{now:?}");
            last = now;
        }
        assert_eq!((last.remaining, last.copied()), (0, last.page_count));
        assert_eq!(backup.step(1).unwrap(), last, "a step after the end does nothing");
        let copy = backup.finish().unwrap();
        assert_eq!(content(&copy), content(&source));
        assert_eq!(copy.execute("DELETE FROM t", ()).unwrap(), 100);
    }
}

#[test]
fn statements_of_the_destination_see_the_new_content() {
    let destination = memory();
    destination.execute_batch("CREATE TABLE t(other); INSERT INTO t VALUES ('old')").unwrap();
    assert_eq!(destination.query_one::<String>("SELECT * FROM t LIMIT 1", ()).unwrap(), "old");
    let source = filled();
    let copy = Backup::new(&source, destination).unwrap().finish().unwrap();
    assert_eq!(copy.query_one::<(i64, Vec<u8>)>("SELECT * FROM t LIMIT 1", ()).unwrap().0, 1);
}

#[test]
fn an_empty_database_is_copied() {
    let source = memory();
    let copy = Backup::new(&source, filled()).unwrap().finish().unwrap();
    assert!(names(&copy).is_empty());
}

#[test]
fn what_its_own_connection_writes_is_copied_along() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(&dir.path().join("a.db"));
    fill(&source);
    let mut backup = Backup::new(&source, memory()).unwrap();
    backup.step(50).unwrap();
    source.execute("UPDATE t SET a = randomblob(3900) WHERE id IN (1, 99)", ()).unwrap();
    source.execute("INSERT INTO t VALUES (1000, randomblob(20000))", ()).unwrap();
    let progress = backup.step(10).unwrap();
    assert_eq!((progress.restarts, progress.copied()), (0, 60));
    let copy = backup.finish().unwrap();
    assert_eq!(content(&copy), content(&source));
}

#[test]
fn what_another_connection_writes_begins_it_again() {
    for mode in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let other = open(&path);
        other.set_pragma("journal_mode", mode).unwrap();
        fill(&other);
        let source = open(&path);
        let mut backup = Backup::new(&source, open(&dir.path().join("b.db"))).unwrap();
        assert_eq!(backup.step(50).unwrap().copied(), 50);
        other.execute("UPDATE t SET a = randomblob(3900) WHERE id IN (1, 99)", ()).unwrap();
        let progress = backup.step(10).unwrap();
        assert_eq!((progress.restarts, progress.copied(), progress.is_done), (1, 10, false), "{mode}");
        assert_eq!(backup.step(10).unwrap().restarts, 1, "{mode}");
        let copy = backup.finish().unwrap();
        assert_eq!(content(&copy), content(&other), "{mode}");
    }
}

#[test]
fn a_vacuum_of_the_source_to_another_page_size_begins_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(&dir.path().join("a.db"));
    fill(&source);
    let mut backup = Backup::new(&source, open(&dir.path().join("b.db"))).unwrap();
    backup.step(50).unwrap();
    source.execute_batch("DELETE FROM t WHERE id % 2; PRAGMA page_size = 8192; VACUUM").unwrap();
    let copy = backup.finish().unwrap();
    assert_eq!(content(&copy), content(&source));
}

#[test]
fn a_run_that_finds_a_lock_goes_on_when_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let source = open(&path);
    fill(&source);
    let other = open(&path);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut backup = Backup::new(&source, memory()).unwrap();
    let pacing = BackupPacing::new().time_limit(Duration::from_secs(3600));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(other);
        });
        assert!(backup.run(pacing, |_| ()).unwrap().is_done);
    });
    assert_eq!(content(&backup.finish().unwrap()), content(&source));
}

/// A step waits for each of the two locks as long as the timeout of that file's connection says.
#[test]
fn a_step_waits_for_a_lock_of_either_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
    let patient = |path: &Path| OpenOptions::new().busy_timeout(Duration::from_secs(3600)).open(path).unwrap();
    for locked in [&path, &copy] {
        let source = patient(&path);
        fill(&source);
        let mut backup = Backup::new(&source, patient(&copy)).unwrap();
        let other = open(locked);
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                drop(other);
            });
            assert_eq!(backup.step(1).unwrap().copied(), 1, "{}", locked.display());
        });
        assert_eq!(content(&backup.finish().unwrap()), content(&source));
        source.execute("DROP TABLE t", ()).unwrap();
    }
}

#[test]
fn a_step_that_finds_a_lock_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
    let source = open(&path);
    fill(&source);
    let mut backup = Backup::new(&source, open(&copy)).unwrap();
    // Of its own connection.
    source.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert!(backup.step(1).unwrap_err().is_busy());
    }
    let short = BackupPacing::new().time_limit(Duration::from_millis(20));
    assert!(backup.run(short, |_| panic!("no page was copied")).unwrap_err().is_busy());
    source.execute_batch("ROLLBACK").unwrap();
    // Of another one, on the source.
    let other = open(&path);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = backup.step(1).unwrap_err();
    assert!(error.is_busy() && error.to_string().contains("a.db"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    // On the destination.
    let other = open(&copy);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(backup.step(1).unwrap_err().is_busy());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(backup.step(1).unwrap().copied(), 1);
    assert!(other.execute("CREATE TABLE x(a)", ()).unwrap_err().is_busy(), "the destination is locked while it runs");
    // A lock that is found at the end of the copy.
    assert_eq!(content(&backup.finish().unwrap()), content(&source));
}

#[test]
fn a_destination_in_use_is_an_error() {
    let source = filled();
    let in_use = |error: Error| {
        assert_eq!(error.code(), Some(ResultCode::ERROR), "{error}");
        assert!(error.to_string().contains("destination database is in use"), "{error}");
    };
    let destination = memory();
    destination.execute_batch("CREATE TABLE x(a); BEGIN; SELECT * FROM x").unwrap();
    in_use(Backup::new(&source, destination).unwrap_err());
    let destination = filled();
    {
        let mut statement = destination.prepare("SELECT * FROM t").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        forget(rows);
        forget(statement);
    }
    in_use(Backup::new(&source, destination).unwrap_err());
    // The source is as usable as before.
    assert_eq!(source.execute("DELETE FROM t", ()).unwrap(), 100);
}

#[test]
fn one_file_is_not_copied_over_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let source = open(&path);
    assert!(is_misuse(&Backup::new(&source, open(&path)).unwrap_err()));
    assert!(is_misuse(&source.backup_to(&path, |_| {}).unwrap_err()));
}

#[test]
fn an_incomplete_backup_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    open(&path).execute_batch("CREATE TABLE kept(a)").unwrap();
    let source = filled();
    for end in [|backup: Backup<'_>| drop(backup), |backup: Backup<'_>| drop(backup.cancel().unwrap())] {
        let mut backup = Backup::new(&source, open(&path)).unwrap();
        assert!(!backup.step(90).unwrap().is_done);
        end(backup);
        assert_eq!(names(&open(&path)), ["kept"]);
    }
    let mut backup = Backup::new(&source, open(&path)).unwrap();
    backup.step(90).unwrap();
    let destination = backup.cancel().unwrap();
    assert_eq!(names(&destination), ["kept"]);
    destination.execute("INSERT INTO kept VALUES (1)", ()).unwrap();
}

#[test]
fn rule_7_a_forgotten_backup_is_finished_with_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    open(&path).execute_batch("CREATE TABLE kept(a)").unwrap();
    let source = filled();
    let mut backup = Backup::new(&source, open(&path)).unwrap();
    backup.step(90).unwrap();
    forget(backup);
    // SQLite still copies along what the source writes: the destination has to be there.
    source.execute("UPDATE t SET a = randomblob(3900)", ()).unwrap();
    let other = OpenOptions::new().busy_timeout(Duration::ZERO).open(&path).unwrap();
    assert!(other.execute("INSERT INTO kept VALUES (1)", ()).unwrap_err().is_busy());
    source.close().unwrap();
    let destination = open(&path);
    assert_eq!(names(&destination), ["kept"]);
    destination.execute("INSERT INTO kept VALUES (1)", ()).unwrap();
}

#[test]
fn rule_7_a_chain_of_forgotten_backups_ends() {
    let first = filled();
    let second = filled();
    let mut to_third = Backup::new(&second, memory()).unwrap();
    to_third.step(1).unwrap();
    forget(to_third);
    let mut to_second = Backup::new(&first, second).unwrap();
    to_second.step(1).unwrap();
    forget(to_second);
    first.close().unwrap();
}

#[test]
fn pages_of_another_size_fit_an_empty_destination_only() {
    let source = OpenOptions::new().pragma("page_size", 1024).open_in_memory().unwrap();
    fill(&source);
    let copy = Backup::new(&source, memory()).unwrap().finish().unwrap();
    assert_eq!(copy.pragma::<i64>("page_size").unwrap(), 1024);
    assert_eq!(content(&copy), content(&source));

    let dir = tempfile::tempdir().unwrap();
    let wal = OpenOptions::new().pragma("journal_mode", "wal").open(dir.path().join("w.db")).unwrap();
    fill(&wal);
    for destination in [filled(), wal] {
        let mut backup = Backup::new(&source, destination).unwrap();
        for _ in 0..2 {
            let error = backup.step(1).unwrap_err();
            let ErrorKind::PageSize { source_bytes: 1024, destination_bytes: 4096, .. } = error.kind() else {
                panic!("{error}");
            };
        }
        assert!(backup.finish().is_err());
    }
    // A file with a rollback journal takes any.
    let file = open(&dir.path().join("f.db"));
    fill(&file);
    assert_eq!(content(&Backup::new(&source, file).unwrap().finish().unwrap()), content(&source));
}

#[test]
fn a_destination_that_is_read_only_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    fill(&open(&path));
    let source = OpenOptions::new().pragma("page_size", 1024).open_in_memory().unwrap();
    fill(&source);
    let mut backup = Backup::new(&source, OpenOptions::new().read_only(true).open(&path).unwrap()).unwrap();
    let error = backup.step(1).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::READONLY), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Sqlite { .. }) && error.to_string().contains("b.db"), "{error}");
    assert!(backup.cancel().is_err());
}

#[test]
fn other_databases_are_copied() {
    let source = memory();
    source.execute_batch("ATTACH ':memory:' AS \"a b\"; CREATE TABLE \"a b\".x(a); CREATE TEMP TABLE y(a)").unwrap();
    let destination = memory();
    destination.execute_batch("ATTACH ':memory:' AS side").unwrap();
    let destination = Backup::of_databases(&source, "a b", destination, "side").unwrap().finish().unwrap();
    assert!(destination.exists("SELECT 1 FROM side.sqlite_schema WHERE name = 'x'", ()).unwrap());
    assert!(names(&destination).is_empty());
    let destination = Backup::of_databases(&source, "temp", destination, "main").unwrap().finish().unwrap();
    assert_eq!(names(&destination), ["y"]);
    for (from, to) in [("nowhere", "main"), ("main", "nowhere")] {
        let error = Backup::of_databases(&source, from, memory(), to).unwrap_err();
        assert!(error.to_string().starts_with("unknown database nowhere"), "{error}");
    }
    assert!(is_misuse(&Backup::of_databases(&source, "ma\0in", memory(), "main").unwrap_err()));
}

#[test]
fn the_pace_is_kept() {
    let source = filled();
    let mut backup = Backup::new(&source, memory()).unwrap();
    let (mut steps, mut last) = (0, 0);
    let pacing = BackupPacing::new().pages_per_step(9).pause(Duration::from_micros(1));
    let progress = backup
        .run(pacing, |progress| {
            assert!(progress.copied() - last <= 9);
            last = progress.copied();
            steps += 1;
        })
        .unwrap();
    assert!(progress.is_done && steps == progress.page_count.div_ceil(9), "{progress:?}, {steps}");

    // A limit that is over at once: one step each time.
    let mut backup = Backup::new(&source, memory()).unwrap();
    let pacing = pacing.pages_per_step(60).time_limit(Duration::ZERO);
    assert_eq!(backup.run(pacing, |_| {}).unwrap().copied(), 60);
    assert!(backup.run(pacing, |_| {}).unwrap().is_done);
    assert_eq!(content(&backup.finish().unwrap()), content(&source));
}

/// A connection that writes after each step keeps the copy from its end, until it is made in one step.
#[test]
fn restarts_end_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (source, writer) = (open(&path), open(&path));
    fill(&writer);
    for restarts_max in [0, 1, 4] {
        let mut backup = Backup::new(&source, memory()).unwrap();
        let mut steps = 0;
        let pacing = BackupPacing::new().pages_per_step(10).restarts_max(restarts_max);
        let progress = backup
            .run(pacing, |_| {
                steps += 1;
                writer.execute("UPDATE t SET a = randomblob(3900) WHERE id = 50", ()).unwrap();
            })
            .unwrap();
        // The restart within the last step is not seen.
        assert_eq!((progress.restarts, steps), (restarts_max, restarts_max + 1 + u64::from(restarts_max > 0)));
        drop(backup);
    }
}

#[test]
fn to_a_path_and_from_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.db");
    let source = filled();
    let mut reports = 0;
    source.backup_to(&path, |_| reports += 1).unwrap();
    assert_eq!(reports, 1);
    assert_eq!(content(&open(&path)), content(&source));
    // A database that is there is replaced, also by a longer or shorter one.
    source.execute("DELETE FROM t WHERE id > 10", ()).unwrap();
    source.execute_batch("VACUUM").unwrap();
    source.backup_to(&path, |_| {}).unwrap();
    assert_eq!(content(&open(&path)), content(&source));
    let loaded = memory().restore_from(&path, |_| {}).unwrap();
    assert_eq!(content(&loaded), content(&source));

    let error = memory().restore_from(dir.path().join("nowhere.db"), |_| {}).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN), "{error}");
    std::fs::write(dir.path().join("text"), "no database ".repeat(100)).unwrap();
    let error = memory().restore_from(dir.path().join("text"), |_| {}).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB), "{error}");
    let error = source.backup_to(dir.path().join("text"), |_| {}).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB), "{error}");
    assert!(source.backup_to(dir.path().join("no/folder.db"), |_| {}).is_err());
}

#[test]
fn a_database_with_a_log_is_copied_with_what_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let source = OpenOptions::recommended().open(dir.path().join("a.db")).unwrap();
    source.set_pragma("wal_autocheckpoint", 0).unwrap();
    fill(&source);
    source.backup_to(dir.path().join("b.db"), |_| {}).unwrap();
    let copy = open(&dir.path().join("b.db"));
    assert_eq!(content(&copy), content(&source));
    assert_eq!(copy.pragma::<String>("journal_mode").unwrap(), "wal");
}

#[test]
fn a_copy_without_free_pages() {
    let dir = tempfile::tempdir().unwrap();
    let conn = open(&dir.path().join("a.db"));
    fill(&conn);
    conn.execute("DELETE FROM t WHERE id > 10", ()).unwrap();
    for name in ["copy.db", ":memory:.db", "it's; DROP TABLE t"] {
        let path = dir.path().join(name);
        conn.vacuum_into(&path).unwrap();
        let copy = open(&path);
        assert_eq!(content(&copy), content(&conn));
        assert!(copy.query_one::<i64>("PRAGMA page_count", ()).unwrap() < 20);
        let error = conn.vacuum_into(&path).unwrap_err();
        assert!(error.to_string().starts_with("output file already exists"), "{error}");
        assert!(!error.to_string().contains(name), "a bound value: {error}");
    }
    conn.execute_batch("BEGIN").unwrap();
    let error = conn.vacuum_into(dir.path().join("d.db")).unwrap_err();
    assert!(error.to_string().contains("cannot VACUUM from within a transaction"), "{error}");
    conn.execute_batch("ROLLBACK").unwrap();
    for path in ["", "a\0b"] {
        assert!(matches!(conn.vacuum_into(path).unwrap_err().kind(), ErrorKind::Path { .. }));
    }
}
