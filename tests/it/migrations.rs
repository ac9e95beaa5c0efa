//! Versions of the schema.

mod files;
mod keys;
mod problems;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use finalite::data::{Migration, MigrationStep, Migrations};
use finalite::extend::TraceEvents;
use finalite::{Connection, Error, ErrorKind, MigrationProblem, OpenOptions, ResultCode, migrations};

const USERS: Migration<'static> =
    Migration::new("users", "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL)").down("DROP TABLE users");
const EMAIL: Migration<'static> =
    Migration::new("email", "ALTER TABLE users ADD COLUMN email TEXT").down("ALTER TABLE users DROP COLUMN email");
const ADA: Migration<'static> = Migration::new("ada", "INSERT INTO users(name, email) VALUES ('Ada', 'a@b')");

static ALL: Migrations = Migrations::from_slice(&[USERS, EMAIL, ADA]);

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn version(conn: &Connection) -> u32 {
    conn.pragma("user_version").unwrap()
}

/// The table of what was applied.
fn recorded(conn: &Connection) -> Vec<(i64, String)> {
    conn.query_all("SELECT version, name FROM finalite_migrations ORDER BY version", ()).unwrap()
}

fn names(steps: &[MigrationStep]) -> Vec<String> {
    let sign = |step: &MigrationStep| if step.is_down { "-" } else { "+" };
    steps.iter().map(|step| format!("{}{} {}", sign(step), step.version, step.name)).collect()
}

/// The problem of a migration with its version and name.
#[track_caller]
fn problem_of(error: &Error) -> (u32, &str, &MigrationProblem) {
    match error.kind() {
        ErrorKind::Migration { version, name, problem, .. } => (*version, name, problem),
        _ => panic!("{error:?}"),
    }
}

#[test]
fn each_is_applied_once_and_in_order() {
    let conn = open();
    assert_eq!(names(&ALL.pending(&conn).unwrap()), ["+1 users", "+2 email", "+3 ada"]);
    assert!(!conn.table_exists(None, "finalite_migrations").unwrap(), "asking writes nothing");
    let report = ALL.migrate(&conn).unwrap();
    assert_eq!((report.from, report.to), (0, 3));
    assert_eq!(names(&report.steps), ["+1 users", "+2 email", "+3 ada"]);
    assert_eq!(version(&conn), 3);
    assert_eq!(recorded(&conn), [(1, "users".into()), (2, "email".into()), (3, "ada".into())]);
    let count = conn.total_changes();
    let again = ALL.migrate(&conn).unwrap();
    assert_eq!((again.from, again.to, again.steps.len()), (3, 3, 0));
    assert_eq!(conn.total_changes(), count, "nothing was written");
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM users", ()).unwrap(), 1);
    // One more, later.
    let more = Migrations::new(ALL.iter().chain([Migration::new("grace", "INSERT INTO users(name) VALUES ('Grace')")]));
    assert_eq!(names(&more.migrate(&conn).unwrap().steps), ["+4 grace"]);
    assert!(more.pending(&conn).unwrap().is_empty());
}

#[test]
fn down_and_up_again() {
    let conn = open();
    let two = Migrations::new([USERS, EMAIL]);
    two.migrate(&conn).unwrap();
    let latest = conn.schema_snapshot().unwrap();
    let report = two.migrate_to(&conn, 0).unwrap();
    assert_eq!((report.from, report.to, names(&report.steps)), (2, 0, vec!["-2 email".into(), "-1 users".into()]));
    assert_eq!((version(&conn), recorded(&conn)), (0, vec![]));
    assert_eq!(conn.schema_snapshot().unwrap(), "");
    two.migrate_to(&conn, 1).unwrap();
    assert_eq!((version(&conn), recorded(&conn).len()), (1, 1));
    two.migrate(&conn).unwrap();
    assert_eq!(conn.schema_snapshot().unwrap(), latest);
    let error = two.migrate_to(&conn, 3).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
}

#[test]
fn a_script_down_that_is_missing_stops_all_before_the_first() {
    let conn = open();
    let list = Migrations::new([USERS, Migration::new("kept", "CREATE TABLE kept(a)"), EMAIL]);
    list.migrate(&conn).unwrap();
    let error = list.migrate_to(&conn, 0).unwrap_err();
    assert!(matches!(problem_of(&error), (2, "kept", MigrationProblem::NoDown)), "{error:?}");
    assert_eq!(error.to_string(), "migration 2 (kept): it has no script down");
    assert_eq!((version(&conn), recorded(&conn).len()), (3, 3), "nothing was taken back");
    list.migrate_to(&conn, 2).unwrap();
    assert_eq!(version(&conn), 2);
}

#[test]
fn a_dry_run_leaves_nothing() {
    let conn = open();
    let report = ALL.dry_run(&conn).unwrap();
    assert_eq!((report.from, report.to, report.steps.len()), (0, 3, 3));
    assert_eq!((version(&conn), conn.schema_snapshot().unwrap()), (0, String::new()));
    assert!(!conn.table_exists(None, "finalite_migrations").unwrap() && conn.is_autocommit());
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    ALL.migrate(&conn).unwrap();
    assert!(ALL.dry_run(&conn).unwrap().steps.is_empty());
}

#[test]
fn a_function_is_part_of_its_migration() {
    fn fails(_: &finalite::Transaction<'_>) -> finalite::Result<()> {
        Err(Error::external("no reason"))
    }
    let conn = open();
    let fill = USERS.step(|tx| tx.execute("INSERT INTO users(name) VALUES (?)", ("by the program",)).map(drop));
    Migrations::new([fill]).migrate(&conn).unwrap();
    assert_eq!(conn.query_one::<String>("SELECT name FROM users", ()).unwrap(), "by the program");
    let error = Migrations::new([fill, EMAIL.step(fails)]).migrate(&conn).unwrap_err();
    assert!(matches!(problem_of(&error), (2, "email", MigrationProblem::Failed(_))), "{error:?}");
    assert_eq!(error.to_string(), "migration 2 (email): no reason");
    assert!(!conn.column_exists(None, "users", "email").unwrap());
    assert_eq!(version(&conn), 1);
    // A panic rolls back, too, and leaves foreign keys as they were.
    let panics = Migrations::new([fill, EMAIL.step(|_| panic!("in a step"))]);
    assert!(catch_unwind(AssertUnwindSafe(|| panics.migrate(&conn))).is_err());
    assert!(!conn.column_exists(None, "users", "email").unwrap() && conn.is_autocommit());
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    Migrations::new([fill, EMAIL]).migrate(&conn).unwrap();
}

#[test]
fn two_that_start_at_once_apply_each_once() {
    let slow = |version: u32| {
        // Long enough for the other to come to the lock meanwhile.
        let script = format!(
            "CREATE TABLE IF NOT EXISTS log(version); INSERT INTO log VALUES ({version});
             CREATE TABLE big_{version}(a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO big_{version} SELECT i FROM n"
        );
        (format!("{version:04}_step.sql"), script)
    };
    let list = Migrations::from_files((1..=8).map(slow)).unwrap();
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shared.db");
        let barrier = Barrier::new(4);
        let reports: Vec<_> = std::thread::scope(|scope| {
            let start = |_| {
                scope.spawn(|| {
                    let conn = OpenOptions::new().busy_timeout(std::time::Duration::from_secs(60)).open(&path).unwrap();
                    barrier.wait();
                    let report = list.migrate(&conn).unwrap();
                    assert_eq!((report.to, version(&conn)), (8, 8));
                    assert!(report.to - report.from >= u32::try_from(report.steps.len()).unwrap());
                    report
                })
            };
            let threads: Vec<_> = (0..4).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut applied: Vec<u32> = reports.iter().flat_map(|report| &report.steps).map(|step| step.version).collect();
        applied.sort_unstable();
        assert_eq!(applied, (1..=8).collect::<Vec<u32>>(), "each by one of them");
        let conn = Connection::open(&path).unwrap();
        assert_eq!(
            conn.query_all::<i64>("SELECT version FROM log ORDER BY rowid", ()).unwrap(),
            (1..=8).collect::<Vec<_>>()
        );
        assert_eq!(recorded(&conn).len(), 8);
    }
}

/// Another connection migrates between any two statements of one that looks, and of one that migrates.
#[test]
fn one_that_is_overtaken_applies_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal.db");
    let conn = OpenOptions::new().pragma("journal_mode", "wal").open(&path).unwrap();
    Migrations::new([USERS]).migrate(&conn).unwrap();
    let mut overtaken = 0;
    for at in 0..10 {
        for migrates in [false, true] {
            ALL.migrate_to(&conn, 2).unwrap();
            let other = OpenOptions::new().busy_timeout(std::time::Duration::ZERO).open(&path).unwrap();
            let by_other = Arc::new(AtomicUsize::new(0));
            let (counted, mut seen) = (Arc::clone(&by_other), 0);
            let trace = conn.on_trace(TraceEvents::STATEMENT, move |_| {
                if seen == at {
                    // Busy once the first one has the lock.
                    let steps = ALL.migrate(&other).map_or(0, |report| report.steps.len());
                    counted.store(steps, Ordering::Relaxed);
                }
                seen += 1;
            });
            if migrates {
                let report = ALL.migrate(&conn).unwrap();
                assert_eq!(report.steps.len() + by_other.load(Ordering::Relaxed), 1, "at statement {at}");
                assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM users", ()).unwrap(), 1);
                overtaken += by_other.load(Ordering::Relaxed);
            } else {
                ALL.pending(&conn).unwrap();
            }
            drop(trace);
            conn.execute_batch("DELETE FROM users").unwrap();
            conn.execute_batch("DELETE FROM finalite_migrations WHERE version = 3; PRAGMA user_version = 2").unwrap();
        }
    }
    // The control: it was overtaken before it had the lock, and not after that.
    assert!((2..10).contains(&overtaken), "{overtaken}");
}

#[test]
fn who_waits_too_long_is_busy_and_has_changed_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("locked.db");
    let mut other = Connection::open(&path).unwrap();
    let tx = other.transaction_with(finalite::TransactionBehavior::Immediate).unwrap();
    let conn = OpenOptions::new().busy_timeout(std::time::Duration::ZERO).open(&path).unwrap();
    let error = ALL.migrate(&conn).unwrap_err();
    assert!(error.is_busy(), "{error:?}");
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    tx.rollback().unwrap();
    ALL.migrate(&conn).unwrap();
    // One that is up to date needs no lock for writing.
    let _tx = other.transaction_with(finalite::TransactionBehavior::Immediate).unwrap();
    assert!(ALL.migrate(&conn).unwrap().steps.is_empty());
}

#[test]
fn a_database_without_the_table_is_adopted() {
    let conn = open();
    // As another tool leaves it that counts in `user_version`.
    conn.execute_batch("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL); PRAGMA user_version = 1")
        .unwrap();
    assert_eq!(names(&ALL.pending(&conn).unwrap()), ["+2 email", "+3 ada"]);
    assert_eq!(names(&ALL.migrate(&conn).unwrap().steps), ["+2 email", "+3 ada"]);
    assert_eq!(recorded(&conn).len(), 3);
    // The same where nothing is pending.
    conn.execute_batch("DROP TABLE finalite_migrations").unwrap();
    assert!(ALL.migrate(&conn).unwrap().steps.is_empty());
    assert_eq!(recorded(&conn).len(), 3);
    // And where some rows are missing.
    conn.execute_batch("DELETE FROM finalite_migrations WHERE version = 2").unwrap();
    ALL.migrate(&conn).unwrap();
    assert_eq!(recorded(&conn).len(), 3);
}

#[test]
fn one_that_may_only_be_read_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL); PRAGMA user_version = 1")
        .unwrap();
    conn.close().unwrap();
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    assert!(Migrations::new([USERS]).migrate(&conn).unwrap().steps.is_empty());
    let error = ALL.migrate(&conn).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::READONLY));
    assert_eq!(ALL.pending(&conn).unwrap().len(), 2);
}

#[test]
fn a_pool_migrates_as_it_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pool.db");
    Connection::open(&path).and_then(|conn| ALL.migrate(&conn)).unwrap();
    let pool = finalite::pool::Pool::builder(&path).readers(1).build().unwrap();
    let users = pool.write(|tx| tx.query_one::<i64>("SELECT count(*) FROM users", ())).unwrap();
    assert_eq!(users, 1);
    assert!(ALL.migrate(&pool.writer().unwrap()).unwrap().steps.is_empty(), "of a pool's connection, too");
    drop(pool.close());
}

#[test]
fn a_snapshot_of_the_schema_is_a_script_that_makes_it() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE b(a UNIQUE, b DEFAULT ';');
         CREATE VIEW a_view AS SELECT a FROM b;
         CREATE TRIGGER on_view INSTEAD OF INSERT ON a_view BEGIN INSERT INTO b(a) VALUES (new.a); END;
         CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT);
         CREATE TRIGGER on_b AFTER INSERT ON b BEGIN DELETE FROM a; END;
         CREATE INDEX b_b ON b(b);
         CREATE VIRTUAL TABLE search USING rtree(id, low, high);
         INSERT INTO a DEFAULT VALUES; ANALYZE",
    )
    .unwrap();
    ALL.migrate(&conn).unwrap();
    let snapshot = conn.schema_snapshot().unwrap();
    assert_eq!(
        snapshot,
        "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT);\n\n\
         CREATE TABLE b(a UNIQUE, b DEFAULT ';');\n\
         CREATE INDEX b_b ON b(b);\n\
         CREATE TRIGGER on_b AFTER INSERT ON b BEGIN DELETE FROM a; END;\n\n\
         CREATE VIRTUAL TABLE search USING rtree(id, low, high);\n\n\
         CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT);\n\n\
         CREATE VIEW a_view AS SELECT a FROM b;\n\
         CREATE TRIGGER on_view INSTEAD OF INSERT ON a_view BEGIN INSERT INTO b(a) VALUES (new.a); END;\n"
    );
    let copy = open();
    copy.execute_batch(&snapshot).unwrap();
    assert_eq!(copy.schema_snapshot().unwrap(), snapshot);
}
