//! Nothing is left of hooks, deadlines and limits, however they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use finalite::extend::{Access, QueryLimits, Subscription, TraceEvents, aggregate};
use finalite::handles::{self, HandleKind, Recording};
use finalite::pool::Pool;
use finalite::stats::Timings;
use finalite::{Connection, LeakCheck};

use crate::common::witness::nothing_left_by;
use crate::runner::cases;

cases![
    nothing_is_left_of_closures,
    nothing_is_left_of_closures_that_panic,
    nothing_is_left_of_deadlines,
    nothing_is_left_of_watches,
    a_closure_is_counted_until_it_ends,
    calls_are_counted_while_times_are_taken,
    deadlines_and_watches_are_open_handles,
    a_connection_with_a_closure_is_seen,
];

/// How the subscriptions and their connection end.
#[derive(Clone, Copy, Debug)]
enum End {
    Before,
    After,
    Kept,
    Elsewhere,
    Replaced,
}

fn subscribe(conn: &Connection) -> Vec<Subscription> {
    let data = vec![0_u8; 1_000];
    let update = {
        let data = data.clone();
        conn.on_update(move |_| assert_eq!(data.len(), 1_000)).unwrap()
    };
    vec![
        update,
        #[cfg(feature = "session")]
        conn.on_preupdate(|change| assert!(change.new_value(0).is_ok())).unwrap(),
        conn.on_commit(move || assert_eq!(data.len(), 1_000)).unwrap(),
        conn.on_rollback(|| ()).unwrap(),
        conn.on_wal(|_| ()).unwrap(),
        conn.on_autovacuum_pages(|event| event.free_pages).unwrap(),
        conn.on_progress(7, || ()).unwrap(),
        conn.on_trace(TraceEvents::ALL, |_| ()).unwrap(),
        conn.set_authorizer(|_| Access::Allow).unwrap(),
        conn.set_busy_handler(|_| false).unwrap(),
    ]
}

fn use_closures(end: End) {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let subscriptions = subscribe(&conn);
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    match end {
        End::Before => drop(subscriptions),
        End::After => {
            conn.close().unwrap();
            drop(subscriptions);
            return;
        }
        End::Kept => subscriptions.into_iter().for_each(Subscription::keep),
        End::Elsewhere => std::thread::spawn(move || drop(subscriptions)).join().unwrap(),
        End::Replaced => {
            let others = subscribe(&conn);
            drop(subscriptions);
            conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
            drop(others);
        }
    }
    conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
}

fn nothing_is_left_of_closures() {
    // The first thread of a process leaves something of its own.
    use_closures(End::Elsewhere);
    for end in [End::Before, End::After, End::Kept, End::Elsewhere, End::Replaced] {
        nothing_left_by(&format!("{end:?}"), || {
            let _check = LeakCheck::new();
            use_closures(end);
        });
    }
}

fn nothing_is_left_of_closures_that_panic() {
    nothing_left_by("panics", || {
        let _check = LeakCheck::new();
        let conn = Connection::open_in_memory().unwrap();
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        let _subscription = conn.on_update(|_| panic!("on purpose")).unwrap();
        for _ in 0..3 {
            let insert = AssertUnwindSafe(|| conn.execute("INSERT INTO t VALUES (1)", ()));
            assert!(catch_unwind(insert).is_err());
        }
    });
}

fn nothing_is_left_of_deadlines() {
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    nothing_left_by("deadlines", || {
        let _check = LeakCheck::new();
        let conn = Connection::open_in_memory().unwrap();
        let deadline = conn.deadline(Duration::from_millis(2)).unwrap();
        let limits = conn.limit_queries(QueryLimits::new().rows(10)).unwrap();
        assert!(conn.query_all::<i64>(ENDLESS, ()).is_err());
        drop(limits);
        assert!(conn.query_all::<i64>(ENDLESS, ()).is_err());
        assert!(conn.prepare(ENDLESS).unwrap().query(()).unwrap().next().is_err());
        drop(conn);
        drop(deadline);
    });
}

fn nothing_is_left_of_watches() {
    let watching = |shuts_down: bool| {
        let pool = Pool::in_memory("nothing_is_left_of_watches").readers(1).build().unwrap();
        pool.writer().unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        let watch = pool.watch(["t"]).unwrap();
        let of_query = pool.watch_query("SELECT * FROM t").unwrap();
        let data = vec![0_u8; 1_000];
        let closure = pool.on_change(["t"], move |_| assert_eq!(data.len(), 1_000)).unwrap();
        assert_eq!(handles::counts().of(HandleKind::Callback), 1);
        pool.writer().unwrap().execute("DELETE FROM t", ()).unwrap();
        assert!(watch.try_next().is_some());
        if shuts_down {
            drop(pool);
            assert!(!closure.is_active());
        }
        drop((of_query, watch, closure));
    };
    for shuts_down in [true, false] {
        nothing_left_by("watches", || {
            let _check = LeakCheck::new();
            watching(shuts_down);
        });
    }
}

fn a_closure_is_counted_until_it_ends() {
    let callbacks = || handles::counts().of(HandleKind::Callback);
    let conn = Connection::open_in_memory().unwrap();
    let mut subscriptions = subscribe(&conn);
    let all = subscriptions.len() as u64;
    assert!(all >= 9);
    assert_eq!(callbacks(), all);
    // One that takes the place of another ends it.
    subscriptions.push(conn.set_authorizer(|_| Access::Allow).unwrap());
    assert_eq!(callbacks(), all);
    drop(subscriptions.remove(0));
    assert_eq!(callbacks(), all - 1);
    std::thread::spawn(move || drop(subscriptions)).join().unwrap();
    assert_eq!(callbacks(), 0);
    conn.on_update(|_| ()).unwrap().keep();
    assert_eq!(callbacks(), 1);
    drop(conn);
    assert_eq!(callbacks(), 0);
}

/// Control: what nothing has ended is shown, with its name and place.
fn a_connection_with_a_closure_is_seen() {
    let check = LeakCheck::new();
    let conn = Connection::open_in_memory().unwrap();
    conn.on_update(|_| ()).unwrap().keep();
    let line = line!() - 1;
    let report = check.finish();
    let text = report.to_string();
    assert!(!report.is_clean() && text.contains(&format!("alone/hooks.rs:{line}")), "{text}");
    drop(conn);
}

/// The record of a callback: calls, and whether they took time.
fn calls_of(name: &str) -> Option<(u64, bool)> {
    let live = handles::live();
    let record = live.records.iter().find(|record| record.sql.as_deref() == Some(name)).unwrap();
    assert_eq!((record.kind, record.opened_at.file()), (HandleKind::Callback, file!()), "{record}");
    record.runs.map(|runs| (runs, record.run_time.unwrap() > Duration::ZERO))
}

fn calls_are_counted_while_times_are_taken() {
    let recording = Recording::start();
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    conn.create_scalar_function("twice", |a: i64| a * 2).unwrap();
    conn.create_aggregate_function("total_of", aggregate(|| 0, |sum: &mut i64, a: i64| *sum += a, |sum: i64| sum))
        .unwrap();
    conn.create_collation("bytes", |a: &str, b: &str| a.cmp(b)).unwrap();
    let _subscription = conn.on_update(|_| std::hint::black_box(())).unwrap();
    let call_all = || {
        conn.execute("INSERT INTO t VALUES (1), (2), (3)", ()).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT total_of(twice(a)) FROM (SELECT a FROM t LIMIT 3)", ()).unwrap(), 12);
        assert!(conn.query_one::<bool>("SELECT 'a' < 'b' COLLATE bytes", ()).unwrap());
    };
    const NAMES: [&str; 4] = ["function twice(1)", "function total_of(1)", "collation bytes", "on_update"];
    call_all();
    assert_eq!(NAMES.map(calls_of), [None; 4], "nobody asks");
    let timings = Timings::start();
    call_all();
    // Each step of the aggregate is a call, and its end.
    let expected = [3, 4, 1, 3].map(|calls| Some((calls, true)));
    assert_eq!(NAMES.map(calls_of), expected);
    drop(timings);
    call_all();
    assert_eq!(NAMES.map(calls_of), expected);
    drop(recording);
}

fn deadlines_and_watches_are_open_handles() {
    let _recording = Recording::start();
    let pool = Pool::in_memory("counted").readers(1).build().unwrap();
    pool.writer().unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let conn = Connection::open_in_memory().unwrap();
    let before = handles::counts();
    let (watch, watch_line) = (pool.watch(["t"]).unwrap(), line!());
    let (deadline, deadline_line) = (conn.deadline(Duration::from_secs(3_600)).unwrap(), line!());
    let limits = conn.limit_queries(QueryLimits::new().rows(7)).unwrap();
    let kept = conn.limit_queries(QueryLimits::new().rows(8)).unwrap();
    let now = handles::counts();
    assert_eq!((now.watches - before.watches, now.deadlines - before.deadlines), (1, 3));
    let named = |kind, name: &str| {
        let live = handles::live();
        let one = live.records.into_iter().find(|record| record.kind == kind && record.sql.as_deref() == Some(name));
        one.map(|record| (record.opened_at.file() == file!(), record.opened_at.line()))
    };
    assert_eq!(named(HandleKind::Watch, "watch t"), Some((true, watch_line)));
    assert_eq!(named(HandleKind::Deadline, "deadline"), Some((true, deadline_line)));
    assert!(named(HandleKind::Deadline, "limits").is_some());
    // From any thread, at once.
    std::thread::spawn(move || drop((watch, deadline, limits))).join().unwrap();
    let now = handles::counts();
    assert_eq!((now.watches, now.deadlines), (before.watches, before.deadlines + 1));
    assert_eq!(named(HandleKind::Deadline, "deadline"), None);
    // One that outlives its connection has ended with it.
    conn.close().unwrap();
    assert_eq!(handles::counts().deadlines, before.deadlines);
    drop(kept);
    assert_eq!(handles::counts().deadlines, before.deadlines);
}
