//! The figures of connections, statements and pools.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use finalite::handles::HandleKind;
use finalite::pool::Pool;
use finalite::stats::{Stats, snapshot};
use finalite::{Connection, OpenOptions, ffi, memory};
use serde_json::Value;

use super::{after_a_snapshot, database, figures, json_of, named, of, own_figures, touch, with_records};
use crate::runner::{Case, case};

pub const CASES: &[Case] = &[
    case!(the_first_snapshot_has_no_figures within with_records),
    case!(numbers_are_exact within after_a_snapshot),
    case!(names_sites_ages_and_threads within after_a_snapshot),
    case!(figures_are_the_connections_own within after_a_snapshot),
    case!(lookaside_memory_is_told within after_a_snapshot),
    case!(what_is_detached_is_not_counted_twice within after_a_snapshot),
    case!(a_close_that_fails_counts_once within after_a_snapshot),
    case!(figures_are_told_in_the_middle_of_a_scan within after_a_snapshot),
    case!(a_connection_that_a_pool_gets_back_tells_its_figures within after_a_snapshot),
    case!(statements_tell_their_bytes_and_runs within after_a_snapshot),
    case!(many_statements_are_not_added_up within after_a_snapshot),
];

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
pub fn has_lookaside() -> bool {
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
