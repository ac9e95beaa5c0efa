//! The pool: who is lent what, in which order, what comes back, and what is left when it ends.

mod ends;
#[cfg(unix)]
mod moved;
mod opening;
#[cfg(target_os = "linux")]
mod recovery;
mod returns;
mod write;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use finalite::pool::{DestroyReason, OwnedConnection, Pool, PoolBuilder, RetryPolicy, ReturnPolicy, Role};
use finalite::{Connection, Error, ErrorKind, OpenOptions};
use tempfile::TempDir;

type Outcome = Result<(), Box<dyn StdError>>;

/// Longer than any test waits; nothing is measured by it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

struct Database {
    _dir: TempDir,
    path: PathBuf,
}

impl Database {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool.db");
        let conn = OpenOptions::recommended().open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
        Self { _dir: dir, path }
    }

    fn pool(&self) -> PoolBuilder {
        Pool::builder(&self.path).options(quick()).acquire_timeout(LONG)
    }

    /// Whether no file of the database's is open in this process.
    fn is_closed(&self) -> bool {
        let name = self.path.to_str().unwrap();
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        !targets.into_iter().any(|target| target.to_string_lossy().starts_with(name))
    }
}

fn quick() -> OpenOptions {
    OpenOptions::recommended().pragma("synchronous", "off")
}

fn rows(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM t", ()).unwrap()
}

/// Returns when so many callers wait for a connection of this role.
fn until_waiting(pool: &Pool, role: Role, count: usize) {
    while pool.status().role(role).waiting < count {
        thread::yield_now();
    }
}

/// Destroys the writer's connection, as a panic with it does.
fn destroy_writer(pool: &Pool) {
    panics(|| {
        let _writer = pool.writer().unwrap();
        resume_unwind(Box::new("with the writer"));
    });
}

fn panics(work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
}

// ---- Roles and waiting

#[test]
fn a_reader_reads_and_the_writer_takes_its_lock_at_once() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(2).build()?;
    let mut reader = pool.reader()?;
    let error = reader.execute("INSERT INTO t VALUES (1, 'x')", ()).unwrap_err();
    assert_eq!(error.code_name(), Some("SQLITE_READONLY"));
    let mut writer = pool.writer()?;
    let tx = writer.transaction()?;
    let other = OpenOptions::new().busy_timeout(Duration::ZERO).open(&db.path)?;
    assert!(other.execute("INSERT INTO t VALUES (1, 'x')", ()).unwrap_err().is_busy(), "IMMEDIATE");
    let tx_of_reader = reader.transaction()?;
    assert_eq!(rows(&tx_of_reader), 0, "and readers go on");
    tx.execute("INSERT INTO t VALUES (1, 'x')", ())?;
    tx.commit()?;
    assert_eq!(rows(&tx_of_reader), 0, "a snapshot");
    drop(tx_of_reader);
    assert_eq!(rows(&reader), 1);
    Ok(())
}

#[test]
fn try_does_not_wait() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(1).build()?;
    let reader = pool.try_reader()?.expect("it is there");
    assert!(pool.try_reader()?.is_none());
    let writer = pool.try_writer()?.expect("it is there");
    assert!(pool.try_writer()?.is_none());
    drop((reader, writer));
    assert!(pool.try_reader()?.is_some() && pool.try_writer()?.is_some());
    Ok(())
}

#[test]
fn a_time_out_lists_who_has_them() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(2).build()?;
    let line = line!() + 1;
    let _both = [pool.reader()?, pool.reader()?];
    let error = pool.reader_within(SHORT).unwrap_err();
    let ErrorKind::PoolTimeout { role, waited, checked_out: out, .. } = error.kind() else { panic!("{error}") };
    assert_eq!((*role, out.len()), ("reader", 2));
    assert!(*waited >= SHORT);
    let site = format!("{}:{line}:", file!());
    assert!(out.iter().all(|one| one.contains(&site)), "{error}");
    assert!(!error.is_busy(), "it is no lock of SQLite's");
    assert_eq!(pool.status().role(Role::Reader).timeouts_total, 1);
    Ok(())
}

/// One thread that asks twice would wait for itself.
#[test]
fn asking_twice_for_the_writer_times_out() -> Outcome {
    let db = Database::new();
    let pool = db.pool().acquire_timeout(SHORT).build()?;
    let writer = pool.writer()?;
    let error = pool.writer().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolTimeout { .. }));
    let error = pool.write(|_| Ok(())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolTimeout { .. }));
    drop(writer);
    let error = pool.write(|_| pool.write(|_| Ok(()))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolTimeout { .. }));
    pool.write(|_| Ok(()))?;
    Ok(())
}

#[test]
fn who_came_first_is_served_first() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let served = Mutex::new(Vec::new());
    let first = pool.writer()?;
    thread::scope(|scope| {
        for turn in 0..6 {
            let (pool, served) = (&pool, &served);
            scope.spawn(move || {
                let _writer = pool.writer().unwrap();
                served.lock().unwrap().push(turn);
            });
            until_waiting(pool, Role::Writer, turn + 1);
        }
        drop(first);
    });
    assert_eq!(served.into_inner()?, [0, 1, 2, 3, 4, 5]);
    Ok(())
}

#[test]
fn who_gave_up_waiting_is_passed_over() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let writer = pool.writer()?;
    thread::scope(|scope| {
        let impatient = scope.spawn(|| pool.writer_within(SHORT).map(drop));
        assert!(impatient.join().unwrap().is_err());
        let patient = scope.spawn(|| pool.writer_within(LONG).map(drop));
        until_waiting(&pool, Role::Writer, 1);
        drop(writer);
        patient.join().unwrap()
    })?;
    assert_eq!(pool.status().role(Role::Writer).waiting, 0);
    Ok(())
}

#[test]
fn the_slot_used_last_is_used_first_and_opened_when_needed() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(3).build()?;
    assert_eq!(pool.status().opened_total, 1, "the writer");
    for _ in 0..5 {
        drop(pool.reader()?);
    }
    assert_eq!(pool.status().opened_total, 2, "one reader is enough");
    let guards = [pool.reader()?, pool.reader()?];
    let slots = || pool.status().role(Role::Reader).checked_out.iter().map(|lending| lending.slot).collect::<Vec<_>>();
    assert_eq!(slots(), [0, 1]);
    let [first, second] = guards;
    drop(second);
    drop(first);
    let _reader = pool.reader()?;
    assert_eq!(slots(), [0]);
    Ok(())
}

// ---- Ends

#[test]
fn a_closed_pool_lends_nothing_and_sends_away_who_waits() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().build()?);
    let writer = pool.writer_owned()?;
    let waiting = thread::spawn({
        let pool = Arc::clone(&pool);
        move || pool.writer().map(drop)
    });
    until_waiting(&pool, Role::Writer, 1);
    let report = pool.shut_down();
    assert!(matches!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::PoolClosed));
    for refused in [pool.reader().map(drop), pool.try_writer().map(drop), pool.write(|_| Ok(()))] {
        assert!(matches!(refused.unwrap_err().kind(), ErrorKind::PoolClosed));
    }
    assert_eq!(report.checked_out().len(), 1);
    assert!(report.checked_out()[0].is_owned && !report.is_clean());
    assert_eq!(rows(&writer), 0, "what is out works on");
    assert!(!db.is_closed());
    drop(writer);
    assert!(db.is_closed(), "and is closed when it comes back");
    assert_eq!(pool.status().destroyed(DestroyReason::PoolClosed), 1);
    Ok(())
}

#[test]
fn shut_down_leaves_what_is_lent_alone() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(2).build()?;
    let (reader, idle) = (pool.reader()?, pool.reader()?);
    drop(idle);
    let report = pool.shut_down();
    assert_eq!((report.closed(), report.checked_out().len()), (2, 1), "{report}");
    assert_eq!(rows(&reader), 0);
    drop(reader);
    assert!(db.is_closed());
    assert!(pool.close().is_clean());
    Ok(())
}

#[test]
fn when_close_returns_the_files_are_closed() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(2).build()?;
    drop([pool.reader()?, pool.reader()?]);
    pool.writer()?.execute("INSERT INTO t VALUES (1, 'x')", ())?;
    assert!(!db.is_closed());
    let report = pool.close();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.closed(), 3);
    assert!(db.is_closed() && !db.path.with_extension("db-wal").exists(), "the writer was the last, and checkpoints");
    std::fs::rename(&db.path, db.path.with_extension("moved"))?;
    Ok(())
}

#[test]
fn an_owned_guard_goes_to_another_thread() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(1).build()?);
    let reader = pool.reader_owned()?;
    let mut writer = pool.writer_owned()?;
    drop(pool);
    let stored = thread::spawn(move || {
        let tx = writer.transaction()?;
        tx.execute("INSERT INTO t VALUES (1, 'x')", ())?;
        tx.commit()
    });
    stored.join().unwrap()?;
    assert_eq!(thread::spawn(move || rows(&reader)).join().unwrap(), 1);
    assert!(db.is_closed(), "the last guard has taken the pool with it");
    Ok(())
}

#[test]
fn a_forgotten_guard_costs_its_slot_until_the_pool_is_closed() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(3).build()?;
    let line = line!() + 1;
    let forgotten = pool.reader()?;
    forgotten.execute("BEGIN", ())?;
    assert_eq!(rows(&forgotten), 0);
    forget(forgotten);
    for _ in 0..3 {
        let others = [pool.try_reader()?, pool.try_reader()?];
        assert!(others.iter().all(Option::is_some));
        assert!(pool.try_reader()?.is_none(), "exactly one is missing");
    }
    let out = pool.status().role(Role::Reader).checked_out.clone();
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].lent_at.file(), out[0].lent_at.line(), out[0].is_owned), (file!(), line, false));
    assert_eq!(out[0].thread_name.as_deref(), thread::current().name());
    let report = pool.close();
    assert_eq!((report.checked_out().len(), report.failures().len(), report.closed()), (1, 0, 4), "{report}");
    assert!(report.to_string().contains(&format!("{}:{line}", file!())));
    assert!(db.is_closed(), "it was taken back");
    Ok(())
}

#[test]
fn a_forgotten_owned_guard_is_reported() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(1).build()?);
    // Nobody drops it, as if it were forgotten, and a leak checker finds it.
    static FORGOTTEN: Mutex<Option<OwnedConnection>> = Mutex::new(None);
    *FORGOTTEN.lock().unwrap() = Some(pool.reader_owned()?);
    assert!(pool.try_reader()?.is_none());
    let report = pool.shut_down();
    assert_eq!((report.checked_out().len(), report.checked_out()[0].is_owned), (1, true));
    assert!(!db.is_closed(), "nobody can get at it");
    Ok(())
}

#[test]
fn a_panic_costs_the_connection_and_not_the_slot() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(1).build()?);
    let ways: [&dyn Fn(); 4] = [
        &|| {
            let _writer = pool.writer().unwrap();
            resume_unwind(Box::new("with a guard"));
        },
        &|| {
            let mut writer = pool.writer().unwrap();
            let tx = writer.transaction().unwrap();
            tx.execute("INSERT INTO t VALUES (1, 'x')", ()).unwrap();
            resume_unwind(Box::new("in a transaction"));
        },
        &|| {
            let writer = pool.writer_owned().unwrap();
            let mut statement = writer.prepare("INSERT INTO t VALUES (1, 'x'), (2, 'y') RETURNING a").unwrap();
            let mut rows = statement.query(()).unwrap();
            rows.next().unwrap();
            resume_unwind(Box::new("with rows"));
        },
        &|| pool.write(|_| resume_unwind(Box::new("in the closure"))).unwrap(),
    ];
    for (turn, way) in (1..).zip(ways) {
        panics(way);
        assert_eq!(pool.status().destroyed(DestroyReason::Panicked), turn);
        assert!(pool.writer_within(SHORT)?.is_autocommit());
    }
    // The third has dropped its statement, which ran to its end, before the panic went on.
    assert!(rows(&*pool.reader()?) <= 2);
    Ok(())
}

#[test]
fn reserved_connections_have_a_limit_and_keep_their_state() -> Outcome {
    let db = Database::new();
    let pool = db.pool().reserved(2).acquire_timeout(SHORT).build()?;
    let line = line!() + 1;
    let (one, two) = (pool.reserve()?, pool.reserve()?);
    one.execute_batch("CREATE TEMP TABLE mine(a); ATTACH ':memory:' AS side; PRAGMA cache_size = 7")?;
    one.execute("INSERT INTO t VALUES (1, 'it writes')", ())?;
    assert!(two.prepare("SELECT * FROM mine").is_err());
    assert!(matches!(pool.reserve().unwrap_err().kind(), ErrorKind::PoolTimeout { role: "reserved", .. }));
    let out = pool.status().role(Role::Reserved).checked_out.clone();
    assert!(out.iter().all(|lending| lending.lent_at.line() == line) && out.len() == 2);
    drop(two);
    drop(one);
    assert_eq!(pool.status().destroyed(DestroyReason::Reserved), 2);
    assert!(pool.reserve()?.prepare("SELECT * FROM mine").is_err(), "another connection");
    let none = db.pool().acquire_timeout(SHORT).build()?;
    assert!(matches!(none.reserve().unwrap_err().kind(), ErrorKind::Misuse { .. }), "none will ever be there");
    assert!(matches!(db.pool().readers(0).build()?.try_reader().unwrap_err().kind(), ErrorKind::Misuse { .. }));
    Ok(())
}

#[test]
fn a_pool_in_memory_shares_one_database_until_it_is_closed() -> Outcome {
    let name = "a name/with ? and # and \u{e4}";
    let pool = Pool::in_memory(name).readers(2).build()?;
    pool.writer()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    assert_eq!(rows(&*pool.reader()?), 1);
    let reader = pool.reader()?;
    assert!(reader.execute("INSERT INTO t VALUES (2)", ()).is_err(), "a reader");
    drop(reader);
    // Every connection but the anchor is destroyed.
    panics(|| {
        let _all = (pool.writer().unwrap(), pool.reader().unwrap());
        resume_unwind(Box::new("with both"));
    });
    assert_eq!(rows(&*pool.writer()?), 1, "the data survives its connections");
    let same = Pool::in_memory(name).build()?;
    assert_eq!(rows(&*same.reader()?), 1);
    let other = Pool::in_memory("another name").build()?;
    assert!(other.reader()?.prepare("SELECT * FROM t").is_err());
    assert!(same.close().is_clean() && pool.close().is_clean());
    let anew = Pool::in_memory(name).build()?;
    assert!(anew.reader()?.prepare("SELECT * FROM t").is_err(), "it was gone");
    Ok(())
}

// ---- Opening

#[test]
fn attempts_to_open_are_listed() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("later/pool.db");
    let error = Pool::builder(&path).build().unwrap_err();
    let ErrorKind::OpenAttempts { attempts, .. } = error.kind() else { panic!("{error}") };
    assert_eq!((attempts.len(), attempts[0].code_name()), (1, Some("SQLITE_CANTOPEN")));

    let retry = RetryPolicy::new(LONG).attempts(4).pauses_between(Duration::ZERO, Duration::ZERO);
    let error = Pool::builder(&path).open_retry(retry).build().unwrap_err();
    let ErrorKind::OpenAttempts { attempts, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(attempts.len(), 4);

    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    let pool = Pool::builder(dir.path().join("pool.db")).open_retry(retry).init(move |_| {
        match counted.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(Error::external("not yet")),
            _ => Ok(()),
        }
    });
    let pool = pool.build()?;
    let tries = tried.load(Ordering::Relaxed);
    assert_eq!((tries, pool.status().open_failures_total, pool.status().opened_total), (3, 2, 1));
    Ok(())
}

#[test]
fn a_slot_survives_an_init_that_fails_or_panics() -> Outcome {
    let db = Database::new();
    let (fails, does_panic) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let switches = (Arc::clone(&fails), Arc::clone(&does_panic));
    let pool = db.pool().readers(1).init(move |conn| {
        conn.query_one::<i64>("SELECT 1", ())?;
        if switches.1.load(Ordering::Relaxed) {
            resume_unwind(Box::new("in init"));
        }
        if switches.0.load(Ordering::Relaxed) { Err(Error::external("no")) } else { Ok(()) }
    });
    let pool = Arc::new(pool.build()?);
    fails.store(true, Ordering::Relaxed);
    assert!(matches!(pool.reader().unwrap_err().kind(), ErrorKind::OpenAttempts { .. }));
    assert!(pool.reader_owned().is_err());
    does_panic.store(true, Ordering::Relaxed);
    panics(|| drop(pool.reader()));
    panics(|| drop(pool.reader_owned()));
    fails.store(false, Ordering::Relaxed);
    does_panic.store(false, Ordering::Relaxed);
    assert_eq!(rows(&*pool.reader_within(SHORT)?), 0);
    Ok(())
}

#[test]
fn init_may_not_exchange_the_connection() -> Outcome {
    let db = Database::new();
    let other = Mutex::new(Some(Connection::open_in_memory()?));
    let pool = db.pool().init(move |conn| {
        if let Some(other) = &mut *other.lock().unwrap() {
            std::mem::swap(conn, other);
        }
        Ok(())
    });
    let error = pool.build().unwrap_err();
    let ErrorKind::OpenAttempts { attempts, .. } = error.kind() else { panic!("{error}") };
    assert!(matches!(attempts[0].kind(), ErrorKind::Misuse { .. }), "{error}");
    Ok(())
}

#[test]
fn a_busy_pool_lends_each_connection_to_one_at_a_time() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(2).build()?;
    let out = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let reader = pool.reader().unwrap();
                    assert!(out.fetch_add(1, Ordering::SeqCst) < 2);
                    assert_eq!(rows(&reader), 0);
                    out.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(pool.status().role(Role::Reader).acquired_total, 1800);
    assert!(pool.status().opened_total <= 3);
    Ok(())
}

/// Whatever the order, when both have ended the files are closed.
#[test]
fn what_comes_back_during_shut_down_is_closed() -> Outcome {
    let db = Database::new();
    let mut left = 0;
    for _ in 0..1000 {
        let pool = Arc::new(db.pool().readers(4).build()?);
        let out = [pool.reader_owned()?, pool.reader_owned()?, pool.reader_owned()?, pool.reader_owned()?];
        let go = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                go.wait();
                drop(out);
            });
            go.wait();
            let _ = pool.shut_down();
        });
        left += usize::from(!db.is_closed());
    }
    assert_eq!(left, 0, "times of 1000");
    Ok(())
}

#[test]
fn memory_that_runs_out_at_opening_is_told_as_such() {
    let db = Database::new();
    let (mut failed, mut others) = (0, Vec::new());
    for n in 0..2000 {
        let pool = db.pool().readers(1).options(quick().lookaside(0, 0)).build().unwrap();
        let fault = finalite::memory::fail_after(n);
        let result = pool.reader().map(drop);
        if fault.disarm() == 0 {
            break;
        }
        match result.as_ref().map_err(Error::kind) {
            Ok(()) => {}
            Err(ErrorKind::NoMemory { .. }) => failed += 1,
            Err(other) => others.push(format!("{n}: {other}")),
        }
        assert!(pool.reader_within(SHORT).is_ok(), "the slot is there, {n}");
    }
    assert!(failed > 20, "{failed}");
    assert!(others.is_empty(), "{} beside {failed}: {others:?}", others.len());
}

/// Threads that come and go on a slot that is too few, with patience and without: nobody is forgotten in line, and no
/// slot is lost, whoever passes whom.
#[test]
fn a_crowd_is_served_to_the_last() -> Outcome {
    const THREADS: usize = 12;
    const TURNS: usize = 400;
    let db = Database::new();
    for readers in [1, 2, 3] {
        let pool = db.pool().readers(readers).build()?;
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (pool, served) = (&pool, &served);
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        let lent = match (thread + turn) % 4 {
                            0 => pool.try_reader().unwrap(),
                            1 => pool.reader_within(Duration::from_micros(300)).ok(),
                            _ => Some(pool.reader().unwrap()),
                        };
                        served.fetch_add(usize::from(lent.is_some()), Ordering::Relaxed);
                        if turn % 7 == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        let status = pool.status().role(Role::Reader).clone();
        assert_eq!(status.acquired_total, served.into_inner() as u64);
        assert!(status.acquired_total >= (THREADS * TURNS / 2) as u64);
        assert_eq!((status.idle, status.waiting, status.checked_out.len()), (readers, 0, 0));
    }
    Ok(())
}

/// A slot that was given to a waiter who is not awake yet is not used after the pool was shut down: what is reported as
/// closed stays closed.
#[test]
fn who_is_given_a_slot_too_late_opens_nothing() -> Outcome {
    for _ in 0..100 {
        let db = Database::new();
        let pool = db.pool().readers(1).build()?;
        let reader = pool.reader()?;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| pool.reader().map(drop));
            while pool.status().role(Role::Reader).waiting == 0 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(1));
            drop(reader);
            let report = pool.shut_down();
            let opened = pool.status().opened_total;
            let outcome = waiter.join().unwrap();
            assert_eq!(pool.status().opened_total, opened, "after {report}");
            // It had the connection before the pool was shut down, or had none at all.
            assert!(outcome.is_ok() || matches!(outcome.unwrap_err().kind(), ErrorKind::PoolClosed));
        });
        assert!(db.is_closed());
        let status = pool.status();
        assert_eq!(status.role(Role::Reader).checked_out.len(), 0);
    }
    Ok(())
}
