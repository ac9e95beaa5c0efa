//! A child process that inherits a connection through `fork` can do nothing with it, and nothing to it by dropping it.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use finalite::data::{Access, Backup};
use finalite::pool::{Checkpointer, Pool};
use finalite::scan::ScanStrategy;
use finalite::{CheckScope, CheckpointMode, Connection, DbConfig, Error, ErrorKind, Limit, OpenOptions, ffi, stats};

use crate::common::child::{fork_here, in_child, leave};
use crate::runner::{cases, process_of};

cases![
    a_forked_connection_is_refused_and_dropping_it_touches_nothing,
    what_was_open_at_the_fork_is_refused_by_any_name,
    what_was_open_in_another_way_is_refused,
    what_was_closed_before_or_is_executed_is_not_refused,
    executed,
    what_is_opened_during_a_fork_is_known,
    the_control_of_a_lost_insert,
    the_guards_of_a_forked_connection_do_nothing_in_drop,
    the_services_of_a_forked_connection_are_refused,
    a_child_begins_its_own_books,
    what_has_a_thread_is_dropped_by_a_child,
    a_pool_in_use_does_not_hold_a_child,
    a_scan_goes_on_in_the_parent_alone,
    the_control,
];

/// A connection in the middle of a transaction whose journal is on disk.
fn in_transaction(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a); BEGIN IMMEDIATE; INSERT INTO t VALUES ('from the parent')")
        .unwrap();
    conn
}

fn a_forked_connection_is_refused_and_dropping_it_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let journal = dir.path().join("a.db-journal");
    let conn = in_transaction(&path);
    assert!(journal.exists());
    let handle = conn.interrupt_handle();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();

    let forked = |error: finalite::Error| matches!(error.kind(), ErrorKind::Forked);
    assert!(in_child(|| {
        forked(conn.execute("INSERT INTO t VALUES ('from the child')", ()).unwrap_err())
            && forked(conn.prepare("SELECT 1").unwrap_err())
            && forked(conn.execute_batch("COMMIT").unwrap_err())
            && forked(conn.set_busy_timeout(std::time::Duration::ZERO).unwrap_err())
            && forked(rows.next().map(drop).unwrap_err())
            && !handle.interrupt()
            && !conn.interrupt_handle().interrupt()
            && !conn.is_autocommit()
    }));
    drop(rows);
    drop(statement);

    // The whole connection dropped in the child, with its cache, statements and rows.
    let mut conn = Some(conn);
    assert!(in_child(|| {
        let conn = conn.take().unwrap();
        let mut statement = conn.prepare_cached("SELECT * FROM t");
        drop(statement.as_mut().map(|statement| statement.query(()).is_err()));
        drop(statement);
        conn.close().is_ok()
    }));
    let conn = conn.unwrap();
    assert!(journal.exists(), "the parent's journal is still there");
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    conn.execute("COMMIT", ()).unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");

    // A handle that is first made in the child reaches nothing either.
    let fresh = Connection::open(&path).unwrap();
    assert!(in_child(|| !fresh.interrupt_handle().interrupt()));
    drop(fresh);

    // A child opens its own.
    let own = dir.path().join("own.db");
    Connection::open(&own).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    assert!(in_child(|| {
        let conn = Connection::open(&own).unwrap();
        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap() == 1
    }));
}

fn is_forked<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked) && error.to_string().contains("exec"))
}

fn fill(path: &Path) {
    let conn = OpenOptions::recommended().open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('from the parent')").unwrap();
    conn.close().unwrap();
}

/// SQLite knows a file by its device and inode, and so does the child.
fn what_was_open_at_the_fork_is_refused_by_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let other = dir.path().join("other.db");
    fill(&path);
    fill(&other);
    std::fs::hard_link(&path, dir.path().join("hard.db")).unwrap();
    std::os::unix::fs::symlink(&path, dir.path().join("soft.db")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("here")).unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let conn = OpenOptions::recommended().open(&path).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    let inside = |name: &str| dir.path().join(name);
    let names = ["a.db", "hard.db", "soft.db", "here/a.db", "sub/../a.db", "./a.db"];
    for name in names {
        assert!(in_child(|| is_forked(Connection::open(inside(name)))), "{name}");
        assert!(in_child(|| is_forked(OpenOptions::new().read_only(true).open(inside(name)))), "{name}");
        assert!(in_child(|| is_forked(OpenOptions::new().immutable(true).open(inside(name)))), "{name}");
        assert!(in_child(|| is_forked(OpenOptions::recommended().create(false).open(inside(name)))), "{name}");
        let uri = format!("file:{}?cache=private", inside(name).display());
        assert!(in_child(|| is_forked(OpenOptions::new().uri(true).open(&uri))), "{uri}");
        for vfs in ["unix-excl", "unix-dotfile", "unix-none"] {
            assert!(in_child(|| is_forked(OpenOptions::new().vfs(vfs).open(inside(name)))), "{vfs}");
        }
        assert!(in_child(|| is_forked(Pool::builder(inside(name)).build())), "{name}");
        let pool_of_uri = || Pool::builder(&uri).options(OpenOptions::new().uri(true)).build();
        assert!(in_child(|| is_forked(pool_of_uri())), "{uri}");

        // ATTACH, in each of the ways in which its path can be given.
        let attach = |run: &dyn Fn(&Connection) -> Result<usize, Error>| {
            in_child(|| {
                let own = Connection::open(&other).unwrap();
                let is_refused = is_forked(run(&own));
                let left: Vec<String> = own.query_all("SELECT name FROM pragma_database_list", ()).unwrap();
                // The connection goes on, without it, and with others.
                own.execute("ATTACH ':memory:' AS x", ()).unwrap();
                own.execute("INSERT INTO t VALUES ('from the child')", ()).unwrap();
                is_refused && left == ["main"]
            })
        };
        let text = inside(name).to_str().unwrap().to_owned();
        assert!(attach(&|own| own.execute("ATTACH ? AS x", (&*text,))), "{name}");
        assert!(attach(&|own| own.execute(&format!("ATTACH '{text}' AS \"a \"\"name\""), ())), "{name}");
        assert!(attach(&|own| own.execute(&format!("attach database '{uri}' AS x"), ())), "{name}");
        assert!(attach(&|own| own.execute_batch(&format!("SELECT 1; ATTACH '{text}' AS x")).map(|()| 0)), "{name}");
        let within = |own: &Connection| {
            own.execute("BEGIN", ())?;
            let result = own.execute("ATTACH ? AS x", (&*text,));
            own.execute("COMMIT", ())?;
            result
        };
        assert!(attach(&within), "{name}");
    }
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    conn.execute("INSERT INTO t VALUES ('from the parent')", ()).unwrap();
    let stored = OpenOptions::new().read_only(true).open(&other).unwrap();
    let count = "SELECT count(*) FROM t WHERE a = 'from the child'";
    assert_eq!(stored.query_one::<i64>(count, ()).unwrap(), 5 * i64::try_from(names.len()).unwrap(), "the control");
}

/// It need not be a connection's main database, nor this process's.
fn what_was_open_in_another_way_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fill(&path);
    let refused = |what: &str| assert!(in_child(|| is_forked(Connection::open(&path))), "{what}");
    let free = |what: &str| {
        let opened = in_child(|| Connection::open(&path).unwrap().execute("INSERT INTO t VALUES (1)", ()).is_ok());
        assert!(opened, "{what}");
    };
    free("nobody has it");

    let conn = Connection::open_in_memory().unwrap();
    let file = path.to_str().unwrap();
    conn.execute("ATTACH ? AS one", (file,)).unwrap();
    refused("attached");
    conn.execute("ATTACH ? AS two", (file,)).unwrap();
    conn.execute("DETACH one", ()).unwrap();
    refused("attached twice, detached once");
    conn.execute("DETACH two", ()).unwrap();
    free("detached");
    conn.execute("ATTACH ? AS one", (file,)).unwrap();
    conn.close().unwrap();
    free("closed with the connection that had it attached");

    let pool = Pool::builder(&path).readers(1).build().unwrap();
    drop(pool.reader().unwrap());
    refused("in a pool");
    assert!(pool.close().is_clean());
    free("the pool is closed");

    let conn = Connection::open(&path).unwrap();
    std::fs::rename(&path, dir.path().join("moved.db")).unwrap();
    fill(&path);
    free("another file of that name");
    let moved_is_refused = || in_child(|| is_forked(Connection::open(dir.path().join("moved.db"))));
    assert!(moved_is_refused(), "moved");
    conn.execute_batch("ATTACH ':memory:' AS x; DETACH x").unwrap();
    assert!(moved_is_refused(), "moved, with the list made anew");
    drop(conn);
    assert!(!moved_is_refused(), "moved, and closed");

    // SAFETY: a handle of an open connection, which nothing else uses or closes.
    let conn = unsafe {
        let mut handle = std::ptr::null_mut();
        let name = std::ffi::CString::new(file).unwrap();
        assert_eq!(ffi::sqlite3_open(name.as_ptr(), &raw mut handle), ffi::SQLITE_OK);
        Connection::from_raw(handle).unwrap()
    };
    refused("from a raw handle");
    drop(conn);

    // SQLite's notes of a connection stay in the child when the connection is dropped there.
    let conn = Connection::open(&path).unwrap();
    match fork_here() {
        None => {
            drop(conn);
            leave(is_forked(Connection::open(&path)));
        }
        Some(child) => assert!(child.wait(), "dropped by the child"),
    }
    let pool = Pool::builder(&path).readers(1).build().unwrap();
    drop(pool.reader().unwrap());
    match fork_here() {
        None => {
            drop(pool.close());
            leave(is_forked(Connection::open(&path)));
        }
        Some(child) => assert!(child.wait(), "in a pool that the child closed"),
    }
    drop((conn, pool));
    free("dropped by the parent");

    // What the child has open is its own, and its child's no more.
    assert!(in_child(|| {
        let conn = Connection::open(&path).unwrap();
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        let again = Connection::open(&path).unwrap();
        again.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        in_child(|| is_forked(Connection::open(&path)))
    }));
    let _conn = Connection::open(&path).unwrap();
    assert!(in_child(|| in_child(|| is_forked(Connection::open(&path)))), "a grandchild");
}

fn what_was_closed_before_or_is_executed_is_not_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fill(&path);
    let conn = Connection::open(&path).unwrap();
    let status = process_of("fork::executed").env("FINALITE_EXECUTED", &path).status();
    assert!(status.unwrap().success());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2, "what a new program wrote");
    conn.close().unwrap();
    assert!(in_child(|| {
        let conn = Connection::open(&path).unwrap();
        conn.execute("INSERT INTO t VALUES (3)", ()).is_ok()
    }));
    assert!(in_child(|| {
        let pool = Pool::builder(&path).build().unwrap();
        pool.write(|tx| tx.execute("INSERT INTO t VALUES (4)", ())).unwrap();
        let count = pool.reader().unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
        count == 4 && pool.close().is_clean()
    }));
    assert_eq!(Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 4);
}

/// Threads that open and attach files all the time: what they have open at the fork, whichever moment that is, the child
/// is refused, or nobody has it open.
fn what_is_opened_during_a_fork_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let is_over = AtomicBool::new(false);
    let paths: Vec<_> = (0..3).map(|thread| dir.path().join(format!("{thread}.db"))).collect();
    paths.iter().for_each(|path| fill(path));
    let (mut refused, mut opened) = (0, 0);
    thread::scope(|scope| {
        for (number, path) in paths.iter().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || {
                let hub = Connection::open_in_memory().unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    if number == 0 {
                        hub.execute("ATTACH ? AS x", (path.to_str().unwrap(),)).unwrap();
                        hub.execute("DETACH x", ()).unwrap();
                    } else {
                        drop(Connection::open(path).unwrap());
                    }
                }
            });
        }
        // Also where an assertion fails, so that the threads end.
        let _end = SetOnDrop(&is_over);
        for turn in 0..150 {
            let path = &paths[turn % 3];
            let descriptors = || {
                let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
                open.filter(|entry| {
                    entry
                        .as_ref()
                        .is_ok_and(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == *path))
                })
                .count()
            };
            // In the child nothing changes any more: what is open there is what was open.
            match fork_here() {
                None => leave(descriptors() == 0 || is_forked(Connection::open(path))),
                Some(child) => assert!(child.wait(), "{turn}: it is open, and nobody knows"),
            }
            match fork_here() {
                None => leave(is_forked(Connection::open(path))),
                Some(child) if child.wait() => refused += 1,
                Some(_) => opened += 1,
            }
        }
    });
    assert!(refused > 0 && opened > 0, "both were seen: {refused} refused, {opened} opened");
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs as another program.
fn executed() {
    if let Some(path) = std::env::var_os("FINALITE_EXECUTED") {
        Connection::open(path).unwrap().execute("INSERT INTO t VALUES ('from another program')", ()).unwrap();
    }
}

/// What SQLite does where nobody looks: the child believes in the parent's lock, the parent closes the last connection as
/// it knows, the log with it, and the child's INSERT into that succeeds and is gone.
fn the_control_of_a_lost_insert() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let [opened, closed] = ["opened", "closed"].map(|name| dir.path().join(name));
    let until = |file: &Path| {
        while !file.exists() {
            thread::sleep(Duration::from_millis(1));
        }
    };
    fill(&path);
    let conn = OpenOptions::recommended().open(&path).unwrap();
    conn.execute("INSERT INTO t VALUES ('before')", ()).unwrap();
    let child = fork_here();
    if child.is_none() {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = std::ptr::null_mut();
        let run = |handle, sql: &std::ffi::CStr| {
            // SAFETY: the handle is opened and used here alone; the text is NUL-terminated.
            unsafe { ffi::sqlite3_exec(handle, sql.as_ptr(), None, std::ptr::null_mut(), std::ptr::null_mut()) }
        };
        // SAFETY: as above.
        let mut is_well = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) } == ffi::SQLITE_OK;
        is_well &= run(handle, c"SELECT * FROM t") == ffi::SQLITE_OK;
        std::fs::write(&opened, "").unwrap();
        until(&closed);
        leave(is_well && run(handle, c"INSERT INTO t VALUES ('from the child')") == ffi::SQLITE_OK);
    }
    until(&opened);
    conn.close().unwrap();
    std::fs::write(&closed, "").unwrap();
    assert!(child.unwrap().wait(), "the child was told that it is stored");
    let conn = Connection::open(&path).unwrap();
    let stored = "SELECT count(*) FROM t WHERE a = 'from the child'";
    assert_eq!(conn.query_one::<i64>(stored, ()).unwrap(), 0, "and it is not");
}

/// Forked by the closure of a scan, whose threads stay behind in the parent.
fn a_scan_goes_on_in_the_parent_alone() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO t SELECT 'row ' || i FROM n;",
    )
    .unwrap();
    for threads in [1, 2, 4] {
        for at in [1, 50, 150] {
            let (mut batches, mut child, mut is_child) = (0, None, false);
            let scanned =
                conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).threads(threads).batches(1000, |_| {
                    batches += 1;
                    if batches == at {
                        child = fork_here();
                        is_child = child.is_none();
                    }
                    Ok::<_, Error>(())
                });
            if is_child {
                leave(scanned.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked)));
            }
            assert_eq!(scanned.unwrap(), 300_000);
            assert!(child.unwrap().wait(), "{threads} threads, batch {at}");
        }
    }
}

fn the_guards_of_a_forked_connection_do_nothing_in_drop() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES ('kept')", ()).unwrap();
    let mut blob = Some(savepoint.blob(("t", "a", 1), Access::ReadWrite).unwrap());
    assert!(in_child(|| {
        let error = blob.as_mut().unwrap().write_at(b"lost", 0).unwrap_err();
        drop(blob.take());
        matches!(error.kind(), ErrorKind::Forked)
    }));
    blob.unwrap().close().unwrap();
    let destination = Connection::open(dir.path().join("b.db")).unwrap();
    let source = Connection::open_in_memory().unwrap();
    source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))").unwrap();
    let mut backup = Backup::new(&source, destination).unwrap();
    backup.step(10).unwrap();
    let mut backup = Some(backup);
    assert!(in_child(|| {
        let error = backup.as_mut().unwrap().step(1).unwrap_err();
        drop(backup.take());
        matches!(error.kind(), ErrorKind::Forked)
    }));
    let copy = backup.unwrap().finish().unwrap();
    assert_eq!(copy.query_one::<i64>("SELECT length(a) FROM t", ()).unwrap(), 100_000);
    #[cfg(feature = "session")]
    {
        let mut session = source.session().unwrap();
        session.set_table_filter(|_| true).unwrap();
        session.attach_all().unwrap();
        let mut session = Some(session);
        assert!(in_child(|| {
            let error = session.as_ref().unwrap().changeset().unwrap_err();
            drop(session.take());
            matches!(error.kind(), ErrorKind::Forked)
        }));
    }
    let mut savepoint = Some(savepoint);
    assert!(in_child(|| {
        drop(savepoint.take());
        true
    }));
    savepoint.unwrap().commit().unwrap();
    let mut tx = Some(tx);
    assert!(in_child(|| {
        drop(tx.take());
        true
    }));
    tx.unwrap().commit().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = 'kept'", ()).unwrap(), 1);
}

/// What connections of a child count never goes back, though its threads open and close them all the time.
fn a_child_begins_its_own_books() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own.db");
    fill(&own);
    let _inherited = OpenOptions::new().name("inherited").open(dir.path().join("a.db")).unwrap();
    assert!(stats::snapshot().connections.iter().any(|conn| conn.name.as_deref() == Some("inherited")));
    assert!(in_child(|| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let conn = Connection::open(&own).unwrap();
                        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
                    }
                });
            }
            let _end = SetOnDrop(&is_over);
            let mut hits = 0;
            for _ in 0..200 {
                let now = stats::snapshot();
                assert!(now.caches.pager_hits >= hits, "{} after {hits}", now.caches.pager_hits);
                assert!(now.connections.len() <= 3);
                assert!(now.closed.connections <= now.opened.connections);
                hits = now.caches.pager_hits;
            }
            assert!(hits > 0);
        });
        stats::snapshot().connections.is_empty()
    }));
}

fn what_has_a_thread_is_dropped_by_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Arc::new(Pool::builder(dir.path().join("a.db")).build().unwrap());
    let mut checkpointer = Some(Checkpointer::start(&pool, Duration::from_secs(3600)).unwrap());
    assert_eq!(stats::snapshot().process.background_threads, 1);
    assert!(in_child(|| {
        drop(checkpointer.take());
        stats::snapshot().process.background_threads == 0
    }));
    drop(checkpointer);
    assert_eq!(stats::snapshot().process.background_threads, 0);
}

/// Whatever lock was held at the moment of the fork, the child waits for none of them.
fn a_pool_in_use_does_not_hold_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder(dir.path().join("a.db")).readers(2).build().unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(pool.reader().unwrap());
                }
            });
        }
        let _end = SetOnDrop(&is_over);
        for _ in 0..20 {
            assert!(in_child(|| {
                let refused = pool.reader().map(drop).unwrap_err();
                let report = pool.shut_down();
                matches!(refused.kind(), ErrorKind::Forked)
                    && stats::snapshot().pools.is_empty()
                    && (report.closed(), report.checked_out().len(), report.log_left().is_none()) == (0, 0, true)
                    && pool.status().roles.iter().all(|role| role.checked_out.is_empty())
            }));
        }
    });
}

/// A driver whose Drop closes in the child as well: the parent's transaction is rolled back on disk, behind its back.
fn the_control() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("a.db-journal");
    let conn = in_transaction(&dir.path().join("a.db"));
    assert!(journal.exists());
    in_child(|| {
        // SAFETY: the child uses the connection alone; what it does to the parent is the point.
        unsafe { ffi::sqlite3_close(conn.as_raw()) == ffi::SQLITE_OK }
    });
    assert!(!journal.exists(), "the child took the parent's journal away");
    conn.execute("ROLLBACK", ()).ok();
}

/// What takes effect in memory is refused, too, and guards restore nothing in the child.
fn the_services_of_a_forked_connection_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, side) = (dir.path().join("a.db"), dir.path().join("side.db"));
    fill(&path);
    fill(&side);
    let conn = OpenOptions::recommended().open(&path).unwrap();
    let before = conn.limit(Limit::Column);
    let mut guards = Some((conn.scoped_limit(Limit::Column, 10).unwrap(), conn.attach(&side, "side").unwrap()));
    assert!(in_child(|| {
        drop(guards.take());
        is_forked(conn.set_limit(Limit::Column, 20))
            && is_forked(conn.set_db_config(DbConfig::Defensive, true))
            && is_forked(conn.checkpoint(CheckpointMode::Truncate))
            && is_forked(conn.wal_status())
            && is_forked(conn.attach(":memory:", "x"))
            && is_forked(conn.detach("side"))
            && is_forked(conn.set_persist_wal("main", true))
            && is_forked(conn.vfs_name("main"))
            && is_forked(conn.integrity_check(CheckScope::All))
            && conn.limit(Limit::Column) == 10
    }));
    assert!(in_child(|| {
        let own = Connection::open_in_memory().unwrap();
        is_forked(own.attach(&side, "side")) && own.attach(":memory:", "x").is_ok()
    }));
    // The parent's are as they were.
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM side.t", ()).unwrap(), 1);
    assert_eq!(conn.limit(Limit::Column), 10);
    drop(guards);
    assert_eq!(conn.limit(Limit::Column), before);
    assert!(conn.prepare("SELECT count(*) FROM side.t").is_err());
}
