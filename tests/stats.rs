//! Snapshots say what is so: numbers, names, ages and figures as the program itself knows them; as structs and as JSON;
//! and nothing of what is in the database. The crate `finalite-endpoint` tests them as metrics.
//!
//! It compares counters of the whole process: so there is one test, which takes one case after the other.

#[path = "common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_int};
use std::mem::forget;
use std::panic::catch_unwind;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::handles::{self, HandleKind, TrackingLevel};
use finalite::pool::Pool;
use finalite::stats::{ConnectionStats, DbStatus, Stats, snapshot};
use finalite::{Connection, ErrorKind, OpenOptions, ffi, memory};
use serde_json::{Value, json};

#[test]
fn a_snapshot_says_what_is_so() {
    let cases: &[(&str, fn())] = &[
        // The first is the first to take a snapshot in this process.
        ("the first snapshot", the_first_snapshot_has_no_figures),
        ("numbers", numbers_are_exact),
        ("names, sites, ages, threads", names_sites_ages_and_threads),
        ("figures", figures_are_the_connections_own),
        ("lookaside", lookaside_memory_is_told),
        ("detached", what_is_detached_is_not_counted_twice),
        ("a close that fails", a_close_that_fails_counts_once),
        ("figures in a scan", figures_are_told_in_the_middle_of_a_scan),
        ("figures of a pool", a_connection_that_a_pool_gets_back_tells_its_figures),
        ("statements", statements_tell_their_bytes_and_runs),
        ("many statements", many_statements_are_not_added_up),
        ("counters", counters_never_go_back),
        ("closing", closing_keeps_what_was_counted),
        ("left behind", what_is_left_behind_is_listed),
        ("forgotten", what_is_forgotten_is_listed),
        ("failures", failures_are_counted_by_code),
        ("diff", a_diff_says_what_happened),
        ("JSON", json_has_the_keys_it_is_known_for),
        ("text in JSON", text_survives),
        ("limits of JSON", the_first_of_many_are_listed),
        ("privacy", nothing_of_the_data_is_told),
        #[cfg(unix)]
        ("fork", forked::a_child_tells_of_its_own_connections),
    ];
    handles::set_level(TrackingLevel::Records);
    let mut failed = Vec::new();
    for (name, case) in cases {
        if catch_unwind(case).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these cases failed: {failed:?}");
}

#[track_caller]
fn named(name: &str) -> Connection {
    OpenOptions::new().name(name).open_in_memory().unwrap()
}

#[track_caller]
fn of<'s>(stats: &'s Stats, name: &str) -> &'s ConnectionStats {
    let mut found = stats.connections.iter().filter(|conn| conn.name.as_deref() == Some(name));
    let conn = found.next().unwrap_or_else(|| panic!("{name} is not in {stats:?}"));
    assert!(found.next().is_none(), "{name} is there twice");
    conn
}

/// Does nothing, as a call to a connection.
fn touch(conn: &Connection) {
    conn.set_busy_timeout(Duration::ZERO).unwrap();
}

fn figures(conn: &ConnectionStats) -> [Option<u64>; 4] {
    let of = |pick: fn(DbStatus) -> u64| conn.figures.map(pick);
    [
        of(|figures| figures.page_cache_bytes),
        of(|figures| figures.schema_bytes),
        conn.figures.and_then(|figures| figures.statement_bytes),
        of(|figures| figures.lookaside_slots),
    ]
}

/// The same, as the connection says itself.
fn own_figures(conn: &Connection) -> [Option<u64>; 4] {
    let memory = conn.memory();
    [memory.page_cache_bytes, memory.schema_bytes, memory.statement_bytes, memory.lookaside_slots].map(Some)
}

fn json_of(stats: &Stats) -> Value {
    serde_json::from_str(&stats.to_json()).unwrap()
}

/// In a file, so that there is something to read.
fn database(path: &Path, rows: u32) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                INSERT INTO t SELECT i, hex(randomblob(100)) FROM n";
    conn.execute(fill, (rows,)).unwrap();
    assert_eq!(conn.query_one::<u32>("SELECT count(*) FROM t", ()).unwrap(), rows);
}

// ---- structs

fn the_first_snapshot_has_no_figures() {
    let conn = named("first");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    let first = snapshot();
    assert_eq!(figures(of(&first, "first")), [None; 4]);
    assert!(json_of(&first)["connections"][0]["db"].is_null());
    assert_eq!(figures(of(&snapshot(), "first")), [None; 4], "it was not used");
    touch(&conn);
    let told = snapshot();
    assert_eq!(figures(of(&told, "first")), own_figures(&conn));
    assert!(conn.memory().page_cache_bytes > 50_000);
    assert!(told.caches.pager_hits > 0);
}

fn numbers_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let before = snapshot();
    assert_eq!((before.open.total(), before.memory.bytes, before.connections.len()), (0, 0, 0));
    let mut conns: Vec<Connection> = (0..5).map(|n| named(&format!("number {n}"))).collect();
    conns.push(OpenOptions::recommended().name("file").open(dir.path().join("a.db")).unwrap());
    let mut writer = conns.pop().unwrap();
    writer.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)").unwrap();
    writer.clear_statement_cache();
    {
        // 0, 1, 2, 3, 4 statements, each twice over, and as many in the cache.
        let mut statements = Vec::new();
        for (n, conn) in conns.iter().enumerate() {
            for m in 0..n {
                statements.push(conn.prepare(&format!("SELECT {m} + ?")).unwrap());
                statements.push(conn.prepare(&format!("SELECT {m}, ?")).unwrap());
                drop(conn.prepare_cached(&format!("SELECT -{m}")).unwrap());
            }
        }
        let mut running = statements.split_off(17);
        let rows: Vec<_> = running
            .iter_mut()
            .map(|statement| {
                let mut rows = statement.query((1,)).unwrap();
                assert!(rows.next().unwrap().is_some());
                rows
            })
            .collect();
        let mut tx = writer.transaction().unwrap();
        let savepoint = tx.savepoint().unwrap();
        savepoint.execute("INSERT INTO t VALUES (4)", ()).unwrap();

        let stats = snapshot();
        let expected = [
            (HandleKind::Connection, 6),
            (HandleKind::Statement, 20),
            (HandleKind::CachedStatement, stats.open.cached_statements),
            (HandleKind::Rows, 3),
            (HandleKind::Transaction, 1),
            (HandleKind::Savepoint, 1),
        ];
        assert!(stats.open.cached_statements >= 10);
        let json = json_of(&stats);
        for (kind, count) in expected {
            assert_eq!(stats.open.of(kind), count, "{kind}");
            assert_eq!(json["handles"]["open"][kind.name()], count, "{kind}");
            let listed = stats.connections.iter().flat_map(|conn| &conn.children).filter(|child| child.kind == kind);
            let is_child = !matches!(kind, HandleKind::Connection | HandleKind::Rows);
            assert_eq!(listed.count() as u64, if is_child { count } else { 0 }, "{kind}");
        }
        assert_eq!(stats.unrecorded.total(), 0);
        assert_eq!(stats.connections.len(), 6);
        assert_eq!(json["connections"].as_array().unwrap().len(), 6);
        for n in 0..5 {
            let children = &of(&stats, &format!("number {n}")).children;
            assert_eq!(children.iter().filter(|child| child.kind == HandleKind::Statement).count(), 2 * n);
            assert_eq!(children.iter().filter(|child| child.kind == HandleKind::CachedStatement).count(), n);
        }
        let running = stats.connections.iter().flat_map(|conn| &conn.children).filter(|child| child.running.is_some());
        assert_eq!(running.count(), rows.len());

        // At rest: what the crate counts itself, in two forms, and connection by connection.
        assert_eq!((stats.memory.bytes, stats.memory.blocks), (memory::stats().bytes, memory::stats().blocks));
        assert_eq!(json["native"]["bytes"], stats.memory.bytes);
        assert_eq!(json["native"]["live"], stats.memory.blocks);
        assert_eq!(stats.connections.iter().map(|conn| conn.memory.bytes).sum::<u64>(), stats.memory.bytes);
        assert_eq!(stats.connections.iter().map(|conn| conn.memory.blocks).sum::<u64>(), stats.memory.blocks);
        for (n, conn) in conns.iter().enumerate() {
            let told = of(&stats, &format!("number {n}"));
            let own = conn.memory();
            let told = (told.memory.bytes, told.memory.peak_bytes, told.memory.blocks);
            assert_eq!(told, (own.bytes, own.peak_bytes, own.blocks));
            assert_eq!(json["connections"][n]["native"]["bytes"], own.bytes);
        }
        #[cfg(target_os = "linux")]
        {
            let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
            assert_eq!(stats.process.descriptors, Some(descriptors));
            assert_eq!(json["process"]["fds"], descriptors);
            assert!(stats.process.resident_bytes.unwrap() > stats.memory.bytes);
            assert!(stats.process.threads.unwrap() >= 1);
        }
        assert_eq!(stats.process.background_threads, 0);
        savepoint.commit().unwrap();
    }
    drop((conns, writer));
    let after = snapshot();
    assert_eq!((after.open.total(), after.memory.bytes, after.connections.len()), (0, 0, 0));
    assert_eq!(after.opened, after.closed);
    assert!(after.opened.total() > before.opened.total());
}

fn names_sites_ages_and_threads() {
    let begun = Instant::now();
    let first = named("on the test's thread");
    let opened = Instant::now();
    let line = line!() + 1;
    let spawn = thread::Builder::new().name("an opener".into()).spawn(|| Connection::open_in_memory().unwrap());
    let second = spawn.unwrap().join().unwrap();
    let (statement, statement_line) = (first.prepare("SELECT 1").unwrap(), line!());

    let before = Instant::now();
    let stats = snapshot();
    let after = Instant::now();
    // In the order they were opened.
    let [one, two] = &stats.connections[..] else { panic!("{stats:?}") };
    assert_eq!(one.name.as_deref(), Some("on the test's thread"));
    assert_eq!(one.thread_name.as_deref(), thread::current().name());
    assert!(one.age >= before - opened && one.age <= after - begun);
    assert_eq!((two.name.as_deref(), two.thread_name.as_deref()), (None, Some("an opener")));
    assert_eq!((two.opened_at.file(), two.opened_at.line()), (file!(), line));
    assert!(two.age <= one.age && two.id > one.id);
    let [child] = &one.children[..] else { panic!("{one:?}") };
    assert_eq!((child.kind, child.parent), (HandleKind::Statement, Some(one.id)));
    assert_eq!((child.opened_at.file(), child.opened_at.line()), (file!(), statement_line));
    assert_eq!((child.sql.as_deref(), child.running), (Some("SELECT 1"), None));
    let oldest: BTreeMap<&str, Duration> = stats.oldest().into_iter().map(|(kind, age)| (kind.name(), age)).collect();
    assert_eq!(oldest["connection"], one.age);
    assert_eq!(oldest["statement"], child.age);
    assert_eq!(oldest.len(), 2);

    let json = json_of(&stats);
    let site = format!("{}:{statement_line}:", file!());
    assert!(json["connections"][0]["children"][0]["opened_at"].as_str().unwrap().starts_with(&site));
    assert_eq!(json["connections"][1]["thread"], "an opener");
    assert!(json["connections"][1]["name"].is_null());
    drop(statement);
    drop((first, second));
}

fn figures_are_the_connections_own() {
    let conns = ["a", "b"].map(named);
    conns[0].execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))").unwrap();
    let statements = [conns[0].prepare("SELECT * FROM t").unwrap(), conns[0].prepare("SELECT a, a FROM t").unwrap()];
    drop(snapshot());
    conns.iter().for_each(touch);
    let stats = snapshot();
    for (conn, name) in conns.iter().zip(["a", "b"]) {
        assert_eq!(figures(of(&stats, name)), own_figures(conn), "{name}");
    }
    let json = json_of(&stats);
    let own = conns[0].memory();
    let db = &json["connections"][0]["db"];
    assert_eq!([&db["cache"], &db["schema"]].map(Value::as_u64), [own.page_cache_bytes, own.schema_bytes].map(Some));
    assert_eq!(
        [&db["stmts"], &db["lookaside_used"]].map(Value::as_u64),
        [own.statement_bytes, own.lookaside_slots].map(Some)
    );

    // What is idle stays as old as it is said to be; the other goes on.
    conns[1].execute_batch("CREATE TABLE u(a); INSERT INTO u VALUES (zeroblob(200000))").unwrap();
    touch(&conns[1]);
    drop(statements);
    let asked = Instant::now();
    drop(snapshot());
    touch(&conns[1]);
    let idle = asked.elapsed();
    let later = snapshot();
    assert!(of(&later, "a").figures.unwrap().age >= idle);
    assert!(of(&later, "b").figures.unwrap().age <= asked.elapsed());
    assert_eq!(figures(of(&later, "b")), own_figures(&conns[1]));
    assert_ne!(figures(of(&later, "b")), figures(of(&stats, "b")));
}

/// Not in a build whose every allocation is to be seen.
fn has_lookaside() -> bool {
    !finalite::sqlite::compile_options().any(|option| option == "OMIT_LOOKASIDE")
}

fn lookaside_memory_is_told() {
    let own = OpenOptions::new().name("own").lookaside(256, 64).open_in_memory().unwrap();
    let none = OpenOptions::new().name("none").lookaside(0, 0).open_in_memory().unwrap();
    let default = named("default");
    let stats = snapshot();
    let told = ["own", "none", "default"].map(|name| of(&stats, name).lookaside_bytes);
    assert_eq!(told[1], 0);
    if has_lookaside() {
        assert_eq!(told[0], 256 * 64);
        assert!(told[2] > 10_000 && told[2] < of(&stats, "default").memory.bytes, "{told:?}");
        assert!(default.memory().bytes - none.memory().bytes >= told[2]);
    }
    drop(own);
}

fn what_is_detached_is_not_counted_twice() {
    let conn = named("attaching");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let hits = || snapshot().caches.pager_hits;
    drop(snapshot());
    touch(&conn);
    let before = hits();
    for _ in 0..50 {
        conn.execute_batch("ATTACH ':memory:' AS other; CREATE TABLE other.t(a); INSERT INTO other.t VALUES (1)")
            .unwrap();
        drop(snapshot());
        conn.execute_batch("DETACH other").unwrap();
        drop(snapshot());
        touch(&conn);
    }
    let grown = hits() - before;
    // Each round asks for some twenty pages. Counted anew in each round, it would be thousands.
    assert!(grown < 50 * 60, "{grown}");
}

fn a_close_that_fails_counts_once() {
    let before = snapshot();
    let conn = named("not to be closed");
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open and the SQL NUL-terminated; the statement is finalized below.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut())
    };
    assert_eq!(code, 0);
    let failure = conn.close_or_return().unwrap_err();
    let conn = failure.into_connection();
    let conn = conn.close_or_return().unwrap_err().into_connection();
    let count =
        |stats: &Stats| stats.close_failures.iter().find(|(code, _)| *code == "SQLITE_BUSY").map_or(0, |one| one.1);
    assert_eq!(count(&snapshot()), count(&before) + 1);
    // SAFETY: made above, and finalized once.
    unsafe { ffi::sqlite3_finalize(statement) };
    conn.close().unwrap();
    assert_eq!(count(&snapshot()), count(&before) + 1);
}

fn figures_are_told_in_the_middle_of_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 20_000);
    let conn = OpenOptions::new().name("scan").open(&path).unwrap();
    let mut statement = conn.prepare("SELECT b FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
        if count % 2000 == 0 {
            drop(snapshot());
            let own = own_figures(&conn);
            // It is told before the step, which reads on.
            count += u32::from(rows.next().unwrap().is_some());
            assert_eq!(figures(of(&snapshot(), "scan")), own);
            seen.insert(own[0]);
        }
    }
    assert_eq!(count, 20_000);
    assert!(seen.len() > 3, "the cache grows as it reads: {seen:?}");
}

fn a_connection_that_a_pool_gets_back_tells_its_figures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 5_000);
    drop(snapshot());
    let pool = Pool::builder(&path).name("returned").readers(1).build().unwrap();
    drop(pool.reader().unwrap());
    drop(snapshot());
    let reader = pool.reader().unwrap();
    let before = figures(of(&snapshot(), "returned/reader/0"))[0].unwrap();
    assert_eq!(reader.query_all::<String>("SELECT b FROM t", ()).unwrap().len(), 5_000);
    let own = reader.memory().page_cache_bytes;
    assert!(own > before + 100_000, "{own} {before}");
    let begun = Instant::now();
    drop(reader);
    let stats = snapshot();
    // It was not used since.
    let told = of(&stats, "returned/reader/0");
    assert_eq!(figures(told)[0], Some(own));
    assert!(told.figures.unwrap().age <= begun.elapsed());
    assert!(pool.close().is_clean());
}

fn statements_tell_their_bytes_and_runs() {
    let conn = named("statements");
    conn.execute_batch("CREATE TABLE t(a, b, c); INSERT INTO t VALUES (1, 2, 3), (4, 5, 6)").unwrap();
    conn.clear_statement_cache();
    let mut statements: Vec<_> = (1..6)
        .map(|n| {
            let sum = (0..n * 20).map(|m| format!("+ a * {m}")).collect::<String>();
            conn.prepare(&format!("SELECT a {sum} FROM t WHERE b > ?")).unwrap()
        })
        .collect();
    let unused = snapshot();
    assert!(of(&unused, "statements").children.iter().any(|child| child.memory_bytes.is_none()), "{unused:?}");
    for (n, statement) in statements.iter_mut().enumerate() {
        (0..=n).for_each(|_| assert_eq!(statement.query_all::<i64>((3,)).unwrap().len(), 1));
    }
    drop(snapshot());
    touch(&conn);
    let stats = snapshot();
    let children = &of(&stats, "statements").children;
    let told: Vec<_> = children.iter().map(|child| (child.memory_bytes, child.runs)).collect();
    let own =
        statements.iter().map(|statement| (Some(statement.memory().bytes), Some(statement.counters().runs as u64)));
    assert_eq!(told, own.collect::<Vec<_>>());
    assert_eq!(children.iter().map(|child| child.runs).collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(Some));
    let different: BTreeSet<_> = told.iter().map(|(bytes, _)| bytes).collect();
    assert_eq!(different.len(), 5, "{told:?}");
    let json = json_of(&stats);
    for (n, (bytes, runs)) in told.into_iter().enumerate() {
        let child = &json["connections"][0]["children"][n];
        assert_eq!((child["mem"].as_u64(), child["runs"].as_u64()), (bytes, runs));
        assert_eq!(child["state"], "idle");
    }
}

fn many_statements_are_not_added_up() {
    let conn = named("many");
    let mut statements: Vec<_> = (0..64).map(|n| conn.prepare(&format!("SELECT {n}")).unwrap()).collect();
    let told = |expected: bool| {
        drop(snapshot());
        touch(&conn);
        let stats = snapshot();
        let figures = of(&stats, "many").figures.unwrap();
        assert_eq!(figures.statement_bytes.is_some(), expected);
        assert_eq!(json_of(&stats)["connections"][0]["db"]["stmts"].is_null(), !expected);
        assert_eq!(figures.page_cache_bytes, conn.memory().page_cache_bytes);
    };
    told(true);
    statements.push(conn.prepare("SELECT 64").unwrap());
    told(false);
    statements.pop();
    told(true);
}

// ---- counters

/// Everything that only grows.
fn counters(stats: &Stats) -> BTreeMap<String, u64> {
    let memory = &stats.memory;
    let mut all: BTreeMap<String, u64> = [
        ("allocated", memory.allocated_bytes_total),
        ("allocations", memory.allocations_total),
        ("reallocations", memory.reallocations_total),
        ("frees", memory.frees_total),
        ("failures", memory.failures_total),
        ("pager hits", stats.caches.pager_hits),
        ("pager misses", stats.caches.pager_misses),
        ("pager writes", stats.caches.pager_writes),
        ("pager spills", stats.caches.pager_spills),
        ("spilled bytes", stats.caches.tempbuf_spill_bytes),
        ("lookaside hits", stats.caches.lookaside_hits),
        ("lookaside misses, size", stats.caches.lookaside_misses_size),
        ("lookaside misses, full", stats.caches.lookaside_misses_full),
        ("pool acquired", stats.pool_totals.acquired),
        ("pool timeouts", stats.pool_totals.timeouts),
        ("pool opened", stats.pool_totals.opened),
        ("pool open failures", stats.pool_totals.open_failures),
    ]
    .map(|(name, count)| (name.into(), count))
    .into();
    let sizes = memory.size_histogram.iter().enumerate().map(|(n, &count)| (format!("size {n}"), count));
    let destroyed = stats.pool_totals.destroyed.iter().enumerate().map(|(n, &count)| (format!("destroyed {n}"), count));
    let failed = [("open", &stats.open_failures), ("close", &stats.close_failures)];
    let failed = failed.into_iter().flat_map(|(of, counts)| counts.iter().map(move |(c, n)| (format!("{of} {c}"), *n)));
    let handles = [("opened", &stats.opened), ("closed", &stats.closed), ("forgotten", &stats.forgotten)];
    let handles = handles
        .into_iter()
        .flat_map(|(of, counts)| HandleKind::ALL.map(|kind| (format!("{of} {kind}"), counts.of(kind))));
    all.extend(sizes.chain(destroyed).chain(failed).chain(handles));
    all
}

/// The counters that are less than they were.
fn went_back(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<String> {
    let less = before.iter().filter(|(name, before)| now.get(*name).is_none_or(|now| now < before));
    less.map(|(name, _)| name.clone()).collect()
}

fn use_a_connection_and_a_pool(dir: &Path, round: usize) {
    let path = dir.join("shared.db");
    let conn = OpenOptions::recommended().pragma("synchronous", "off").open(&path).unwrap();
    conn.execute("INSERT INTO t(b) VALUES (?)", (round as i64,)).unwrap();
    conn.query_all::<i64>("SELECT a FROM t ORDER BY b LIMIT 100", ()).unwrap();
    if round.is_multiple_of(3) {
        forget(conn.prepare("SELECT 'forgotten'").unwrap());
    }
    drop(conn);
    assert!(Connection::open(dir.join("nowhere/a.db")).is_err());
    let pool = Pool::builder(&path).readers(2).acquire_timeout(Duration::from_millis(1)).build().unwrap();
    let reader = pool.reader().unwrap();
    reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    let readers = [Some(reader), pool.reader().ok(), pool.reader().ok()];
    assert!(readers.iter().any(Option::is_none));
    drop(readers);
    let writer = pool.writer().unwrap();
    writer.execute_batch("CREATE TEMP TABLE u(a); INSERT INTO u VALUES (1)").unwrap();
    drop(writer);
    drop(pool);
}

fn counters_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::recommended().open(dir.path().join("shared.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    drop(conn);
    let first = counters(&snapshot());
    let (rounds, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let last = thread::scope(|scope| {
        let done = Done(&is_done);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        let round = rounds.fetch_add(1, Ordering::Relaxed);
                        // New threads too: what one counted stays when it ends.
                        thread::scope(|scope| {
                            scope.spawn(|| use_a_connection_and_a_pool(dir.path(), round));
                        });
                    }
                })
            })
            .collect();
        let mut last = first.clone();
        let mut taken = 0;
        while (taken < 500 || rounds.load(Ordering::Relaxed) < 100)
            && !workers.iter().any(|worker| worker.is_finished())
        {
            let stats = snapshot();
            let now = counters(&stats);
            assert_eq!(went_back(&last, &now), Vec::<String>::new());
            last = now;
            taken += 1;
        }
        drop(done);
        assert!(taken >= 500, "a worker panicked");
        last
    });
    let moved = |name: &str| last[name] > first.get(name).copied().unwrap_or(0);
    for name in [
        "pager hits",
        "pager misses",
        "pager writes",
        if has_lookaside() { "lookaside hits" } else { "pager hits" },
        "pool acquired",
        "pool timeouts",
        "pool opened",
        "opened connection",
        "closed connection",
        "forgotten statement",
        "open SQLITE_CANTOPEN",
    ] {
        assert!(moved(name), "{name} did not move");
    }
    // Those of a process that forgets what is closed go back, and that is seen.
    assert!(went_back(&last, &first).contains(&"pager hits".to_owned()));
    let now = snapshot();
    assert_eq!((now.open.total(), now.pools.len()), (0, 0));
    assert_eq!(went_back(&last, &counters(&now)), Vec::<String>::new());
    assert_eq!(now.opened, now.closed);
}

/// What SQLite itself says of a counter.
fn counted(conn: &Connection, operation: c_int) -> u64 {
    let (mut now, mut highest) = (0, 0);
    // SAFETY: the connection is open and used by this thread alone. c3ref/db_status.html: with 0 nothing is reset.
    let code = unsafe { ffi::sqlite3_db_status(conn.as_raw(), operation, &raw mut now, &raw mut highest, 0) };
    assert_eq!(code, ffi::SQLITE_OK);
    now.max(highest).try_into().unwrap()
}

fn closing_keeps_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 5_000);
    for is_asked in [false, true] {
        let before = snapshot();
        let conn = Connection::open(&path).unwrap();
        conn.execute("UPDATE t SET b = b || 'x' WHERE a % 10 = 0", ()).unwrap();
        for _ in 0..3 {
            assert_eq!(conn.query_one::<i64>("SELECT count(DISTINCT b) FROM t", ()).unwrap(), 5_000);
        }
        if is_asked {
            // In part told while it was open: it is counted once.
            drop(snapshot());
            touch(&conn);
            conn.query_one::<i64>("SELECT count(DISTINCT b) FROM t", ()).unwrap();
        }
        let own = [
            ffi::SQLITE_DBSTATUS_CACHE_HIT,
            ffi::SQLITE_DBSTATUS_CACHE_MISS,
            ffi::SQLITE_DBSTATUS_CACHE_WRITE,
            ffi::SQLITE_DBSTATUS_LOOKASIDE_HIT,
        ]
        .map(|operation| counted(&conn, operation));
        assert!(own.iter().filter(|&&count| count > 0).count() >= if has_lookaside() { 4 } else { 3 }, "{own:?}");
        drop(conn);
        let (now, before) = (snapshot().caches, before.caches);
        let told = [
            now.pager_hits - before.pager_hits,
            now.pager_misses - before.pager_misses,
            now.pager_writes - before.pager_writes,
            now.lookaside_hits - before.lookaside_hits,
        ];
        assert_eq!(told, own);
        // And not once more.
        assert_eq!(snapshot().caches, now);
    }
}

// ---- what went wrong

/// A connection that is none of finalite's.
struct Stranger(*mut ffi::sqlite3);

impl Stranger {
    fn open(path: &Path) -> Self {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = ptr::null_mut();
        // SAFETY: the path is NUL-terminated and lives during the call.
        let code = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
        assert_eq!(code, ffi::SQLITE_OK);
        Self(handle)
    }

    fn execute(&self, sql: &CStr) {
        // SAFETY: the connection is open; c3ref/exec.html allows NULL for what is not wanted.
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nobody else has it.
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, ffi::SQLITE_OK);
    }
}

fn what_is_left_behind_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert!(snapshot().left_behind.is_empty());
    let (conn, line) = (OpenOptions::recommended().name("left").open(&path).unwrap(), line!());
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let id = of(&snapshot(), "left").id;
    // It shares with the first what the first has opened.
    let stranger = Stranger::open(&path);
    stranger.execute(c"SELECT count(*) FROM t");
    drop(conn);
    let stats = snapshot();
    let [left] = &stats.left_behind[..] else { panic!("{stats:?}") };
    assert_eq!((left.connection, left.opened_at.line()), (id, line));
    assert_eq!(left.bytes, stats.memory.orphaned_bytes);
    assert!(left.bytes > 0 && left.blocks > 0);
    let json = json_of(&stats);
    let orphaned = json["leaks"]["orphaned"].as_array().unwrap();
    assert_eq!(orphaned.len(), 1);
    assert_eq!((orphaned[0]["connection"].as_u64(), orphaned[0]["bytes"].as_u64()), (Some(id), Some(left.bytes)));
    assert_eq!(json["native"]["orphaned_bytes"], left.bytes);
    drop(stranger);
    let stats = snapshot();
    assert_eq!((stats.left_behind.len(), stats.memory.orphaned_bytes, stats.memory.bytes), (0, 0, 0));
}

fn what_is_forgotten_is_listed() {
    let before = snapshot();
    let conn = named("forgetful");
    let id = of(&snapshot(), "forgetful").id;
    let (statement, line) = (conn.prepare("SELECT 'forgotten here'").unwrap(), line!());
    forget(statement);
    assert_eq!(snapshot().forgotten, before.forgotten, "it is not found yet");
    drop(conn);
    let stats = snapshot();
    assert_eq!(stats.forgotten.statements - before.forgotten.statements, 1);
    let last = stats.forgotten_handles.last().unwrap();
    assert_eq!((last.kind, last.connection, last.opened_at.unwrap().line()), (HandleKind::Statement, id, line));
    assert_eq!(last.sql.as_deref(), Some("SELECT 'forgotten here'"));
    let json = json_of(&stats);
    assert_eq!(json["leaks"]["forgotten"]["statement"], stats.forgotten.statements);
    assert_eq!(json["leaks"]["forgotten"], json["handles"]["forgotten"]);
    let listed = json["leaks"]["forgotten_last"].as_array().unwrap();
    assert_eq!(listed.len(), stats.forgotten_handles.len());
    let last = listed.last().unwrap();
    assert_eq!((last["connection"].as_u64(), last["kind"].as_str()), (Some(id), Some("statement")));
    assert!(last["sql"].is_null() && last["sql_hash"].is_string());

    // The last 256 are kept, and all are counted.
    let conn = named("very forgetful");
    (0..300).for_each(|_| forget(conn.prepare("SELECT 2").unwrap()));
    drop(conn);
    let now = snapshot();
    assert_eq!(now.forgotten.statements - stats.forgotten.statements, 300);
    assert_eq!(now.forgotten_handles.len(), 256);
    assert!(now.forgotten_handles.iter().all(|handle| handle.sql.as_deref() == Some("SELECT 2")));
}

fn failures_are_counted_by_code() {
    let dir = tempfile::tempdir().unwrap();
    let count =
        |counts: &[(&str, u64)], code: &str| counts.iter().find(|(of, _)| *of == code).map_or(0, |(_, count)| *count);
    let before = snapshot();
    std::fs::write(
        dir.path().join("no.db"),
        "this is no database, though it is as long as a page's beginning is".repeat(20),
    )
    .unwrap();
    for _ in 0..3 {
        Connection::open(dir.path().join("nowhere/a.db")).unwrap_err();
    }
    for _ in 0..2 {
        OpenOptions::recommended().open(dir.path().join("no.db")).unwrap_err();
    }
    Connection::open("with a \0 within").unwrap_err();
    let stats = snapshot();
    for (code, expected) in [("SQLITE_CANTOPEN", 3), ("SQLITE_NOTADB", 2), ("none", 1)] {
        let (now, then) = (count(&stats.open_failures, code), count(&before.open_failures, code));
        assert_eq!(now - then, expected, "{code}");
        assert_eq!(json_of(&stats)["failures"]["open"][code], now);
    }
    assert_eq!(stats.close_failures, before.close_failures);

    let conn = Connection::open_in_memory().unwrap();
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open, the text NUL-terminated; the statement is finalized below.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut())
    };
    assert_eq!(code, ffi::SQLITE_OK);
    let refused = conn.close_or_return().unwrap_err();
    // SAFETY: it was prepared above, and is finalized once; its connection is open, since it could not be closed.
    unsafe { ffi::sqlite3_finalize(statement) };
    refused.into_connection().close().unwrap();
    let stats = snapshot();
    assert_eq!(count(&stats.close_failures, "SQLITE_BUSY") - count(&before.close_failures, "SQLITE_BUSY"), 1);
    assert_eq!(json_of(&stats)["failures"]["close"]["SQLITE_BUSY"], count(&stats.close_failures, "SQLITE_BUSY"));
}

fn a_diff_says_what_happened() {
    let empty = snapshot();
    let conn = named("diff");
    let statement = conn.prepare("SELECT 1").unwrap();
    let full = snapshot();
    let diff = full.diff(&empty);
    let own = conn.memory();
    assert_eq!((diff.bytes, diff.blocks), (own.bytes.cast_signed(), own.blocks.cast_signed()));
    assert_eq!((diff.opened.connections, diff.opened.statements, diff.closed.total()), (1, 1, 0));
    assert_eq!(diff.allocations - diff.frees, own.blocks);
    assert!(diff.allocated_bytes >= own.bytes);
    assert!(diff.elapsed > Duration::ZERO);
    assert!(diff.to_string().contains(&format!("{:+} bytes, {:+} blocks", diff.bytes, diff.blocks)), "{diff}");
    drop(statement);
    drop(conn);
    let back = snapshot().diff(&full);
    assert_eq!((back.bytes, back.blocks), (-diff.bytes, -diff.blocks));
    assert!(back.closed.connections == 1 && back.closed.statements == 1 && back.opened.total() == 0);
    assert_eq!((full.diff(&full).bytes, full.diff(&full).elapsed), (0, Duration::ZERO));
}

// ---- JSON

/// Whether a value is as a model says: `"n"` a whole number, `"s"` a text, `"b"` true or false; `"n?"` or null; an
/// array of what its one element says, an object of these keys; `"key?"` may be absent, `"*"` is any key. One with the
/// key `"null?"` may be null.
fn compare(value: &Value, model: &Value, at: &str) -> Result<(), String> {
    let wrong = || Err(format!("{at} is {value}, expected is {model}"));
    let is_good = match (model, value) {
        (Value::String(of), Value::Null) => of.ends_with('?'),
        (Value::String(of), value) => match of.trim_end_matches('?') {
            "n" => value.is_u64(),
            "s" => value.is_string(),
            "b" => value.is_boolean(),
            other => panic!("{other}"),
        },
        (Value::Array(models), Value::Array(values)) => {
            let mut all = values.iter().enumerate();
            return all.try_for_each(|(n, value)| compare(value, &models[0], &format!("{at}[{n}]")));
        }
        (Value::Object(model), Value::Null) => model.contains_key("null?"),
        (Value::Object(model), Value::Object(value)) => {
            let known = |key: &str| model.get(key).or_else(|| model.get(&format!("{key}?"))).or_else(|| model.get("*"));
            for (key, value) in value {
                let Some(model) = known(key) else { return Err(format!("{at}.{key} is unknown")) };
                compare(value, model, &format!("{at}.{key}"))?;
            }
            let is_there = |key: &String| key == "*" || key.ends_with('?') || value.contains_key(key);
            match model.keys().find(|key| !is_there(key)) {
                Some(key) => return Err(format!("{at}.{key} is missing")),
                None => true,
            }
        }
        _ => false,
    };
    if is_good { Ok(()) } else { wrong() }
}

fn model() -> Value {
    let kinds: Value = HandleKind::ALL.iter().map(|kind| (kind.name().to_owned(), json!("n"))).collect();
    let reasons: Value =
        finalite::pool::DestroyReason::ALL.iter().map(|of| (of.name().to_owned(), json!("n"))).collect();
    json!({
        "taken_at_ms": "n", "finalite": "s", "sqlite": "s", "allocator": {"mode": "s", "backend": "s"},
        "native": {
            "bytes": "n", "peak_bytes": "n", "limit_bytes": "n?", "live": "n", "allocated_bytes": "n", "allocs": "n",
            "reallocs": "n", "frees": "n", "failures": "n", "failures_oom": "n", "failures_limit": "n",
            "failures_injected": "n", "unattributed_bytes": "n", "shared_bytes": "n", "orphaned_bytes": "n",
            "hist_log2": ["n"]
        },
        "process": {"rss_bytes": "n?", "fds": "n?", "threads": "n?", "background_threads": "n"},
        "handles": {"open": kinds, "opened": kinds, "closed": kinds, "forgotten": kinds, "unrecorded": kinds},
        "cache": {
            "pager_hits": "n", "pager_misses": "n", "pager_writes": "n", "pager_spills": "n", "tempbuf_spill_bytes": "n",
            "lookaside_hits": "n", "lookaside_misses_size": "n", "lookaside_misses_full": "n"
        },
        "connections": [{
            "id": "n", "name": "s?", "opened_at": "s", "age_ms": "n", "thread": "s?",
            "native": {"bytes": "n", "peak": "n", "live": "n"},
            "db": {
                "null?": "n", "cache": "n", "schema": "n", "stmts": "n?", "lookaside_used": "n", "snapshot_age_ms": "n"
            },
            "children": [{
                "kind": "s", "id": "n", "parent": "n?", "opened_at": "s", "age_ms": "n", "thread": "s?", "state": "s",
                "running_ms?": "n", "mem?": "n?", "runs?": "n?", "sql_hash?": "s", "sql?": "s"
            }],
            "children_omitted": "n"
        }],
        "connections_omitted": "n",
        "pools": [{
            "name": "s",
            "roles": [{
                "role": "s", "size": "n", "idle": "n", "busy": "n", "waiting": "n", "acquired": "n", "timeouts": "n",
                "checked_out": [{"slot": "n", "lent_at": "s", "age_ms": "n", "thread": "s?", "owned": "b"}]
            }],
            "opened": "n", "open_failures": "n", "destroyed": reasons
        }],
        "failures": {"open": {"*": "n"}, "close": {"*": "n"}},
        "leaks": {
            "orphaned": [{"connection": "n", "opened_at": "s", "bytes": "n", "blocks": "n"}],
            "forgotten": kinds,
            "forgotten_last": [{"kind": "s", "connection": "n", "opened_at": "s?", "sql_hash?": "s", "sql?": "s"}]
        }
    })
}

fn json_has_the_keys_it_is_known_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 10);
    let mut left = Some(OpenOptions::recommended().open(&path).unwrap());
    left.as_ref().unwrap().execute_batch("CREATE TABLE u(a)").unwrap();
    let pool = Pool::builder(&path).readers(2).reserved(1).build().unwrap();
    let mut lent = pool.reader().unwrap();
    drop(pool.writer().unwrap());
    drop(left.take());
    let forgetful = named("forgetful");
    forget(forgetful.prepare("SELECT 3").unwrap());
    drop(forgetful);
    let mut statement = lent.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(snapshot());
    rows.next().unwrap();
    let idle = named("idle");
    let cached = idle.prepare_cached("SELECT 4").unwrap();
    for text in [snapshot().to_json(), snapshot().to_json_with_sql()] {
        let json: Value = serde_json::from_str(&text).unwrap();
        compare(&json, &model(), "").unwrap();
        // Nothing in it is empty, so everything in the model was looked at.
        assert_eq!(json["leaks"]["orphaned"].as_array().unwrap().len(), 1);
        assert_eq!(json["pools"][0]["roles"][1]["checked_out"].as_array().unwrap().len(), 1);
        assert_eq!(json["native"]["hist_log2"].as_array().unwrap().len(), 32);
        let conns = json["connections"].as_array().unwrap();
        let children = |kind: &str| {
            let all = conns.iter().flat_map(|conn| conn["children"].as_array().unwrap());
            all.filter(|child| child["kind"] == kind).cloned().collect::<Vec<_>>()
        };
        let [running] = &children("statement")[..] else { panic!("{json:#}") };
        assert_eq!(running["state"], "running");
        assert!(running["running_ms"].is_u64() && running["mem"].is_u64() && running["runs"] == 1);
        assert!(children("cached_statement").iter().any(|child| child["mem"].is_null() && child["runs"].is_null()));
        assert!(conns.iter().any(|conn| conn["db"].is_object()) && conns.iter().any(|conn| conn["name"] == "idle"));
    }
    drop(cached);
    drop(rows);
    drop(statement);
    let tx = lent.transaction().unwrap();
    let json = json_of(&snapshot());
    compare(&json, &model(), "").unwrap();
    let all = json["connections"].as_array().unwrap().iter().flat_map(|conn| conn["children"].as_array().unwrap());
    let [tx_child] = &all.filter(|child| child["kind"] == "transaction").collect::<Vec<_>>()[..] else {
        panic!("{json:#}")
    };
    assert_eq!(tx_child["state"], "open");
    assert_eq!(tx_child.get("mem"), None);
    drop(tx);
    drop(lent);
    drop(pool);
    drop(idle);

    // The check sees what is not so.
    let damage: &[fn(&mut Value)] = &[
        |json| drop(json["native"].as_object_mut().unwrap().remove("peak_bytes")),
        |json| json["native"]["more"] = json!(1),
        |json| json["native"]["bytes"] = json!("1"),
        |json| json["native"]["bytes"] = Value::Null,
        |json| json["native"]["bytes"] = json!(-1),
        |json| json["handles"]["open"]["blob"] = json!(1),
        |json| json["connections"][0]["children"][0]["sql_text"] = json!("SELECT"),
        |json| json["connections"] = json!({}),
    ];
    assert!(compare(&json, &model(), "").is_ok());
    for damage in damage {
        let mut json = json.clone();
        damage(&mut json);
        assert!(compare(&json, &model(), "").is_err());
    }
}

const AWKWARD: &str = "q\" b\\ \u{1}\u{8}\t\n\r\u{1f}\u{7f}\u{85}\u{2028}\u{2029} é 漢 🙂 </script>";

fn text_survives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(AWKWARD.replace('/', "_"));
    let name = format!("{AWKWARD}\0");
    let conn = thread::scope(|scope| {
        let open = || {
            let conn = OpenOptions::new().name(&name).open(&path).unwrap();
            drop(conn.prepare_cached(&format!("SELECT '{AWKWARD}'")).unwrap());
            conn
        };
        thread::Builder::new().name(AWKWARD.into()).spawn_scoped(scope, open).unwrap().join().unwrap()
    });
    let pool = Pool::builder(&path).readers(1).options(OpenOptions::new()).build().unwrap();
    let reader = pool.reader().unwrap();
    let stats = snapshot();
    let json: Value = serde_json::from_str(&stats.to_json_with_sql()).unwrap();
    assert_eq!(json["connections"][0]["name"], name);
    assert_eq!(json["connections"][0]["thread"], AWKWARD);
    assert_eq!(json["connections"][0]["children"][0]["sql"], format!("SELECT '{AWKWARD}'"));
    assert_eq!(json["pools"][0]["name"], path.file_name().unwrap().to_str().unwrap());
    // What would end a line, or a script, for a reader that is no JSON parser.
    let text = stats.to_json_with_sql();
    assert!(!text.chars().any(|c| c.is_ascii_control() || matches!(c, '\u{2028}' | '\u{2029}')));
    drop(reader);
    drop(pool);
    drop(conn);
}

fn the_first_of_many_are_listed() {
    let conns: Vec<Connection> = (0..510).map(|n| named(&n.to_string())).collect();
    let statements: Vec<_> = (0..130).map(|_| conns[0].prepare("SELECT 1").unwrap()).collect();
    let stats = snapshot();
    assert_eq!((stats.connections.len(), stats.connections[0].children.len()), (510, 130));
    let json = json_of(&stats);
    let listed = json["connections"].as_array().unwrap();
    assert_eq!((listed.len(), &json["connections_omitted"]), (500, &json!(10)));
    assert!(listed.iter().enumerate().all(|(n, conn)| conn["name"] == format!("{n}")), "those open longest are first");
    assert_eq!(listed[0]["children"].as_array().unwrap().len(), 100);
    assert_eq!((&listed[0]["children_omitted"], &listed[1]["children_omitted"]), (&json!(30), &json!(0)));
    assert_eq!(json["handles"]["open"]["statement"], 130);
    drop(statements);
}

fn nothing_of_the_data_is_told() {
    let conn = named("private");
    conn.execute_batch("CREATE TABLE salaries(who, much)").unwrap();
    conn.execute("INSERT INTO salaries VALUES (?, 'LITERAL')", ("BOUND",)).unwrap();
    let mut statement = conn.prepare("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'").unwrap();
    let mut rows = statement.query(("BOUND",)).unwrap();
    assert!(rows.next().unwrap().is_some());
    let long = format!("SELECT '{}', 'BEYOND'", "é".repeat(130));
    let long = conn.prepare(&long).unwrap();
    let forgetful = named("forgetful");
    forget(forgetful.prepare("SELECT 'LITERAL of the forgotten' FROM (SELECT 'salaries')").unwrap());
    drop(forgetful);
    assert!(Connection::open("/nowhere/BOUND").is_err());
    drop(snapshot());
    rows.next().unwrap();

    let stats = snapshot();
    let records = || handles::live().records.into_iter();
    let hidden = records().map(|record| record.to_json()).chain([stats.to_json()]);
    for text in hidden {
        for word in ["LITERAL", "BOUND", "BEYOND", "salaries", "SELECT * FROM"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    // The same check finds what is shown on demand: SQL, and what stands in it; never what was bound.
    let all = records().map(|record| record.to_json_with_sql()).collect::<String>();
    for text in [stats.to_json_with_sql(), all] {
        assert!(text.contains("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'"), "{text}");
        assert!(!text.contains("BOUND") && !text.contains("BEYOND"), "{text}");
    }
    assert!(stats.to_json_with_sql().contains("LITERAL of the forgotten"));
    // One statement can be told from another, and is the same tomorrow.
    let hashes = |text: &str| {
        let json: Value = serde_json::from_str(text).unwrap();
        let all = json["connections"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|conn| conn["children"].as_array().unwrap().clone());
        all.filter_map(|child| child["sql_hash"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&stats.to_json()), hashes(&stats.to_json_with_sql()));
    let different: BTreeSet<_> = hashes(&stats.to_json()).into_iter().collect();
    assert_eq!(different.len(), of(&stats, "private").children.len());
    drop(long);
}

// ---- fork

#[cfg(unix)]
mod forked {
    use super::*;
    use crate::common::child::in_child;

    pub fn a_child_tells_of_its_own_connections() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        database(&path, 100);
        // What the parent has open is not for the child.
        let own_path = dir.path().join("own.db");
        database(&own_path, 100);
        let inherited = [named("inherited"), named("inherited too")];
        let pool = Pool::builder(&path).readers(1).build().unwrap();
        drop(snapshot());
        inherited.iter().for_each(touch);
        let before = snapshot();
        assert!(before.connections.len() >= 3);
        let names = |stats: &Stats| stats.connections.iter().filter_map(|c| c.name.clone()).collect::<Vec<_>>();
        assert!(in_child(|| {
            let first = snapshot();
            assert!(first.connections.is_empty() && first.pools.is_empty());
            // Those of the parent are refused, and do not become the child's by that.
            let forked = inherited[0].execute("SELECT 1", ()).unwrap_err();
            assert!(matches!(forked.kind(), ErrorKind::Forked));
            let own = OpenOptions::new().name("own").open(&own_path).unwrap();
            let stats = snapshot();
            assert_eq!(names(&stats), ["own".into()]);
            assert_eq!(of(&stats, "own").memory.bytes, own.memory().bytes);
            own.query_one::<i64>("SELECT sum(a) FROM t", ()).unwrap();
            drop(snapshot());
            touch(&own);
            let stats = snapshot();
            assert_eq!(figures(of(&stats, "own")), own_figures(&own));
            let json = json_of(&stats);
            compare(&json, &model(), "").unwrap();
            assert_eq!(json["connections"].as_array().unwrap().len(), 1);
            let counted = counted(&own, ffi::SQLITE_DBSTATUS_CACHE_HIT);
            drop(own);
            let after = snapshot();
            // It counts its own.
            assert!((counted..2 * counted + 100).contains(&after.caches.pager_hits));
            assert_eq!(went_back(&counters(&first), &counters(&after)), Vec::<String>::new());
            after.connections.is_empty()
        }));
        // The control: the parent sees its own all the while, and an answer of no is heard.
        assert_eq!(names(&snapshot()), names(&before));
        assert!(!in_child(|| !snapshot().connections.is_empty()));
        inherited.iter().for_each(touch);
        assert!(pool.close().is_clean());

        // Whatever locks the parent's threads hold, a child is not stuck.
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            for n in 0..2 {
                let is_done = &is_done;
                scope.spawn(move || {
                    while !is_done.load(Ordering::Relaxed) {
                        if n == 0 { drop(snapshot()) } else { drop(Connection::open_in_memory().unwrap()) }
                    }
                });
            }
            let all =
                (0..50).all(|_| in_child(|| !snapshot().to_json().is_empty() && snapshot().connections.is_empty()));
            is_done.store(true, Ordering::Relaxed);
            assert!(all);
        });
    }
}
