//! Aggregate and window functions: groups, frames, and states that are dropped once, however a statement ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use finalite::extend::{
    AggregateFunction, CallbackError, FunctionContext, FunctionOptions, Replaced, WindowFunction, aggregate, window,
};
use finalite::{Connection, ErrorKind, ResultCode, Value};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn one<T: for<'row> finalite::FromRow<'row>>(conn: &Connection, sql: &str) -> T {
    conn.query_one(sql, ()).unwrap()
}

/// Numbers of states that were made, and that are alive.
#[derive(Clone, Default)]
struct Tally(Arc<(AtomicI64, AtomicI64)>);

impl Tally {
    fn made(&self) -> i64 {
        self.0.0.swap(0, Ordering::Relaxed)
    }

    fn alive(&self) -> i64 {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// A sum that is counted while it lives.
struct Sum {
    sum: i64,
    tally: Tally,
}

impl Drop for Sum {
    fn drop(&mut self) {
        self.tally.0.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sums integers. Fails, or panics, where the argument says so.
struct Summing {
    tally: Tally,
}

const FAIL: i64 = -1;
const PANIC: i64 = -2;

impl Summing {
    fn add(&self, state: &mut Sum, call: &FunctionContext<'_>, sign: i64) -> Result<(), CallbackError> {
        match call.get::<Option<i64>>(0)? {
            Some(FAIL) => return Err("asked to fail".into()),
            Some(PANIC) => panic!("asked to panic"),
            Some(n) => state.sum += sign * n,
            None => {}
        }
        Ok(())
    }
}

impl AggregateFunction for Summing {
    type State = Sum;
    type Output = i64;

    fn options(&self) -> FunctionOptions {
        FunctionOptions::new().arguments(1)
    }

    fn start(&self) -> Sum {
        self.tally.0.0.fetch_add(1, Ordering::Relaxed);
        self.tally.0.1.fetch_add(1, Ordering::Relaxed);
        Sum { sum: 0, tally: self.tally.clone() }
    }

    fn step(&self, state: &mut Sum, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        self.add(state, call, 1)
    }

    fn finish(&self, state: Sum) -> i64 {
        state.sum
    }
}

impl WindowFunction for Summing {
    fn inverse(&self, state: &mut Sum, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        self.add(state, call, -1)
    }

    fn value(&self, state: &Sum) -> i64 {
        state.sum
    }
}

/// A connection with `adds` (an aggregate) and `slides` (a window function), and a table of three groups.
fn summing() -> (Connection, Tally) {
    let (conn, tally) = (open(), Tally::default());
    conn.create_aggregate_function("adds", Summing { tally: tally.clone() }).unwrap();
    conn.create_window_function("slides", Summing { tally: tally.clone() }).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(g, n); INSERT INTO t VALUES ('a', 1), ('a', 2), ('b', 3), ('b', 4), ('c', 5), ('c', NULL);",
    )
    .unwrap();
    (conn, tally)
}

#[test]
fn closures_are_aggregates_of_their_arguments() {
    let conn = open();
    let average = aggregate(
        || (0.0, 0),
        |(sum, count): &mut (f64, i64), x: Option<f64>| {
            if let Some(x) = x {
                *sum += x;
                *count += 1;
            }
        },
        |(sum, count): (f64, i64)| (count > 0).then(|| sum / count as f64),
    );
    assert_eq!(conn.create_aggregate_function("mean", average).unwrap(), Replaced::Nothing);
    let joined = aggregate(
        String::new,
        |all: &mut String, text: &str, end: &str| {
            all.push_str(text);
            all.push_str(end);
        },
        |all: String| all,
    );
    conn.create_aggregate_function("joined", joined).unwrap();
    let counted = aggregate(|| 0, |count: &mut i64| *count += 1, |count: i64| count);
    conn.create_aggregate_function("counted", counted).unwrap();
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (NULL, 'z')").unwrap();
    let found: (f64, String, i64) = one(&conn, "SELECT mean(a), joined(b, ';'), counted() FROM t");
    assert_eq!(found, (1.5, "x;y;z;".into(), 3));
    // No rows: the state is finished at once.
    let found: (Option<f64>, String, i64) = one(&conn, "SELECT mean(a), joined(b, ';'), counted() FROM t WHERE 0");
    assert_eq!(found, (None, String::new(), 0));
    let error = conn.query_one::<f64>("SELECT mean(b) FROM t", ()).unwrap_err();
    match error.kind() {
        ErrorKind::FunctionArgument { function, argument, .. } => assert_eq!((&**function, *argument), ("mean", 1)),
        other => panic!("{other:?}"),
    }
    assert!(conn.prepare("SELECT joined('a')").is_err());
    // A step that may fail, and a result that may.
    let strict = aggregate(
        || 0_i64,
        |sum: &mut i64, text: &str| text.parse::<i64>().map(|n| *sum += n),
        |sum: i64| if sum < 10 { Ok(sum) } else { Err("ten or more") },
    );
    conn.create_aggregate_function("strict", strict).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT strict(column1) FROM (VALUES ('1'), ('2'))"), 3);
    let error = conn.query_one::<i64>("SELECT strict(column1) FROM (VALUES ('1'), ('x'))", ()).unwrap_err();
    assert!(error.to_string().starts_with("function strict: invalid digit"), "{error}");
    let error = conn.query_one::<i64>("SELECT strict('10')", ()).unwrap_err();
    assert!(error.to_string().starts_with("function strict: ten or more"), "{error}");
}

#[test]
fn groups_have_a_state_each() {
    let (conn, tally) = summing();
    let groups: Vec<(String, i64)> = conn.query_all("SELECT g, adds(n) FROM t GROUP BY g", ()).unwrap();
    assert_eq!(groups, [("a".into(), 3), ("b".into(), 7), ("c".into(), 5)]);
    assert_eq!((tally.made(), tally.alive()), (3, 0));
    assert_eq!(one::<(i64, i64)>(&conn, "SELECT adds(n), adds(n) FILTER (WHERE n > 2) FROM t"), (15, 12));
    assert_eq!(one::<i64>(&conn, "SELECT adds(DISTINCT column1) FROM (VALUES (2), (2), (3))"), 5);
    assert_eq!(conn.query_all::<String>("SELECT g FROM t GROUP BY g HAVING adds(n) > 4", ()).unwrap(), ["b", "c"]);
    assert_eq!(one::<i64>(&conn, "SELECT slides(n) FROM t"), 15);
    assert_eq!(tally.alive(), 0);
}

/// Each frame gives what SQLite's own `sum` gives in it.
#[test]
fn windows_agree_with_sqlite_in_every_frame() {
    let (conn, tally) = summing();
    conn.execute_batch("INSERT INTO t SELECT 'd', value % 7 FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 60) SELECT value FROM n)").unwrap();
    let ends = ["UNBOUNDED PRECEDING", "3 PRECEDING", "CURRENT ROW", "2 FOLLOWING", "UNBOUNDED FOLLOWING"];
    let mut frames = vec![String::new()];
    for unit in ["ROWS", "RANGE", "GROUPS"] {
        frames.extend(ends[..4].iter().filter(|end| !end.contains("FOLLOWING")).map(|end| format!("{unit} {end}")));
        for (at, from) in ends.iter().enumerate().take(4) {
            for to in &ends[at.max(1)..] {
                for exclude in ["", " EXCLUDE NO OTHERS", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"] {
                    frames.push(format!("{unit} BETWEEN {from} AND {to}{exclude}"));
                }
            }
        }
    }
    let mut compared = 0;
    for partition in ["", "PARTITION BY g "] {
        for frame in &frames {
            let over = format!("OVER ({partition}ORDER BY n {frame})");
            // SQLite's sum of no rows is NULL.
            let sql = format!("SELECT slides(n) {over}, coalesce(sum(n) {over}, 0) FROM t");
            let Ok(mut statement) = conn.prepare(&sql) else {
                continue;
            };
            let rows: Vec<(i64, i64)> = statement.query_all(()).unwrap();
            assert!(!rows.is_empty() && rows.iter().all(|(ours, sqlites)| ours == sqlites), "{sql}: {rows:?}");
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
    assert_eq!(tally.alive(), 0);
    let error = conn.prepare("SELECT adds(n) OVER (ORDER BY n) FROM t").unwrap_err();
    assert!(error.to_string().starts_with("adds() may not be used as a window function"), "{error}");
}

#[test]
fn rule_15_an_inverse_without_a_step_is_sound() {
    // The frame of a row may begin with rows that are behind the current one, whose `inverse` comes first.
    let (conn, tally) = summing();
    let sql = "SELECT slides(n) OVER (ORDER BY rowid ROWS BETWEEN 5 FOLLOWING AND 6 FOLLOWING) FROM t";
    assert_eq!(conn.query_all::<i64>(sql, ()).unwrap(), [0; 6]);
    assert_eq!(tally.alive(), 0);
    let sql = "SELECT slides(n) OVER (ORDER BY rowid ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM t";
    assert_eq!(conn.query_all::<i64>(sql, ()).unwrap(), [0, 1, 3, 5, 7, 9]);
    assert_eq!(tally.alive(), 0);
}

#[test]
fn windows_are_made_of_closures() {
    let conn = open();
    let longest = window(
        Vec::new,
        |texts: &mut Vec<String>, text: &str| texts.push(text.to_owned()),
        |texts: &mut Vec<String>, _: &str| {
            texts.remove(0);
        },
        |texts: &Vec<String>| texts.iter().max_by_key(|text| text.len()).cloned(),
    )
    .deterministic();
    conn.create_window_function("longest", longest).unwrap();
    let sql = "SELECT longest(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES ('a'), ('bcd'), ('e'), ('f'))";
    assert_eq!(conn.query_all::<String>(sql, ()).unwrap(), ["a", "bcd", "bcd", "f"]);
    assert_eq!(one::<String>(&conn, "SELECT longest(column1) FROM (VALUES ('a'), ('bcd'))"), "bcd");
}

// ---- states that SQLite does not finish

/// Ways in which an execution ends before its groups do.
#[test]
fn rule_15_a_state_is_dropped_once_however_the_statement_ends() {
    let (conn, tally) = summing();
    let many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000) ";
    // An error of a step, in the second group, and in a window.
    for sql in [
        "SELECT adds(CASE WHEN g = 'b' THEN -1 ELSE n END) FROM t GROUP BY g",
        "SELECT adds(n), adds(CASE WHEN n = 4 THEN -1 ELSE n END) FROM t",
        "SELECT slides(CASE WHEN n = 4 THEN -1 ELSE n END) OVER (ORDER BY rowid) FROM t",
    ] {
        let mut statement = conn.prepare(sql).unwrap();
        let mut rows = statement.query(()).unwrap();
        let error = std::iter::from_fn(|| rows.next().map(|row| row.map(|_| ())).transpose()).find_map(Result::err);
        assert!(error.is_some_and(|error| error.to_string().contains("asked to fail")), "{sql}");
        drop(rows);
        drop(statement);
        assert_eq!(tally.alive(), 0, "{sql}");
        assert!(tally.made() > 0, "{sql}");
    }
    // A panic.
    for sql in [
        "SELECT adds(CASE WHEN g = 'b' THEN -2 ELSE n END) FROM t GROUP BY g",
        "SELECT adds(n), adds(CASE WHEN n = 4 THEN -2 ELSE n END) FROM t",
        "SELECT slides(CASE WHEN n = 4 THEN -2 ELSE n END) OVER (ORDER BY rowid) FROM t",
    ] {
        let payload = catch_unwind(AssertUnwindSafe(|| conn.query_all::<Value>(sql, ()))).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"asked to panic"), "{sql}");
        assert_eq!(tally.alive(), 0, "{sql}");
    }
    // An interrupt, from within the statement.
    let handle = conn.interrupt_handle();
    conn.create_scalar_function("stop", move |x: i64| {
        if x == 50_000 {
            handle.interrupt();
        }
        x
    })
    .unwrap();
    let error = conn.query_one::<i64>(&format!("{many} SELECT adds(stop(x)) FROM n"), ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted), "{error}");
    assert_eq!(tally.alive(), 0);
    // LIMIT.
    let sql = format!("{many} SELECT adds(x) FROM n GROUP BY x / 10 LIMIT 3");
    assert_eq!(conn.query_all::<i64>(&sql, ()).unwrap(), [45, 145, 245]);
    assert_eq!(tally.alive(), 0);
    // Rows that are dropped early, of groups and of a window.
    for sql in [
        format!("{many} SELECT adds(x) FROM n GROUP BY x / 10"),
        format!("{many} SELECT slides(x) OVER (ROWS 9 PRECEDING) FROM n"),
    ] {
        let mut statement = conn.prepare(&sql).unwrap();
        let mut rows = statement.query(()).unwrap();
        for _ in 0..3 {
            rows.next().unwrap().unwrap();
        }
        assert!(tally.alive() <= 2, "one for the row, and one for the group that is read ahead");
        drop(rows);
        assert_eq!(tally.alive(), 0, "{sql}");
        // The statement works on.
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap().unwrap();
        rows.finish().unwrap();
        assert_eq!(tally.alive(), 0, "{sql}");
    }
    // Rows that are forgotten, until the statement is used again.
    let sql = format!("{many} SELECT slides(x) OVER (ROWS 9 PRECEDING) FROM n");
    let mut statement = conn.prepare(&sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    forget(rows);
    assert_eq!(tally.alive(), 1, "positive control: the state is counted while it lives");
    drop(statement);
    assert_eq!(tally.alive(), 0);
    // And at close.
    for statement in [conn.prepare(&sql), conn.prepare_cached(&sql)] {
        let mut statement = statement.unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap().unwrap();
        forget(rows);
        forget(statement);
    }
    assert_eq!(tally.alive(), 2);
    conn.close().unwrap();
    assert_eq!(tally.alive(), 0);
}

#[test]
fn rule_15_states_of_statements_that_run_are_kept_while_others_fail() {
    let (conn, tally) = summing();
    let mut running = conn.prepare("SELECT slides(n) OVER (ORDER BY rowid) FROM t").unwrap();
    let mut rows = running.query(()).unwrap();
    rows.next().unwrap().unwrap();
    for _ in 0..100 {
        assert!(conn.query_one::<i64>("SELECT adds(-1)", ()).is_err());
        assert!(conn.query_one::<i64>("SELECT adds(n), adds(-1) FROM t", ()).is_err());
    }
    assert!(tally.alive() >= 1);
    let mut rest = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        rest.push(row.get::<i64>(0).unwrap());
    }
    assert_eq!(rest, [3, 6, 10, 15, 15]);
    drop(rows);
    assert_eq!(tally.alive(), 0);
}

#[test]
fn an_aggregate_runs_within_itself() {
    // The step reads through its connection, by a statement that has the same aggregate.
    struct Nested;
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    impl AggregateFunction for Nested {
        type State = Vec<i64>;
        type Output = i64;

        fn start(&self) -> Vec<i64> {
            Vec::new()
        }

        fn step(&self, state: &mut Vec<i64>, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
            let n: i64 = call.get(0)?;
            if DEPTH.get() < 2 {
                DEPTH.set(DEPTH.get() + 1);
                let inner: i64 = call.connection().query_one("SELECT nested(n) FROM t", ())?;
                DEPTH.set(DEPTH.get() - 1);
                state.push(inner);
            }
            state.push(n);
            Ok(())
        }

        fn finish(&self, state: Vec<i64>) -> i64 {
            state.iter().sum()
        }
    }
    let conn = open();
    conn.create_aggregate_function("nested", Nested).unwrap();
    conn.execute_batch("CREATE TABLE t(n); INSERT INTO t VALUES (1), (2)").unwrap();
    // Depth 2: 3. Depth 1: 2 * 3 + 3 = 9. Depth 0: 2 * 9 + 3 = 21.
    assert_eq!(one::<i64>(&conn, "SELECT nested(n) FROM t"), 21);
}

#[test]
fn rule_5_panics_in_each_part_of_a_window_are_resumed() {
    let conn = open();
    let bomb = |at: &'static str| {
        window(
            move || if at == "start" { panic!("in start") } else { 0_i64 },
            move |sum: &mut i64, n: i64| if at == "step" { panic!("in step") } else { *sum += n },
            move |sum: &mut i64, n: i64| if at == "inverse" { panic!("in inverse") } else { *sum -= n },
            move |sum: &i64| if at == "value" { panic!("in value") } else { *sum },
        )
    };
    for at in ["start", "step", "inverse", "value"] {
        conn.create_window_function("bomb", bomb(at)).unwrap();
        let sql = "SELECT bomb(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2), (3), (4))";
        let payload = catch_unwind(AssertUnwindSafe(|| conn.query_all::<i64>(sql, ()))).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>().map(|text| (*text).to_owned()), Some(format!("in {at}")), "{at}");
        assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
    }
    let finish = aggregate(|| 0, |_: &mut i64, _: i64| (), |_: i64| -> i64 { panic!("in finish") });
    conn.create_aggregate_function("bomb", finish).unwrap();
    let payload = catch_unwind(AssertUnwindSafe(|| conn.query_one::<i64>("SELECT bomb(1)", ()))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"in finish"));
    // Of a state's own Drop, too, when a reset has released it.
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in the drop of a state");
            }
        }
    }
    let loud = window(|| Loud, |_: &mut Loud, _: i64| (), |_: &mut Loud, _: i64| (), |_: &Loud| 1);
    conn.create_window_function("loud", loud).unwrap();
    let before = finalite::handles::late_panics();
    let mut statement = conn.prepare("SELECT loud(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2))").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    drop(rows);
    drop(statement);
    let payload = catch_unwind(AssertUnwindSafe(|| conn.execute("SELECT 7", ()))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"in the drop of a state"));
    assert!(finalite::handles::late_panics() > before);
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

#[test]
fn replacing_an_aggregate_says_so_and_drops_it() {
    let (conn, _) = summing();
    assert_eq!(
        conn.create_aggregate_function("adds", Summing { tally: Tally::default() }).unwrap(),
        Replaced::Registered
    );
    let own = aggregate(|| 0, |_: &mut i64, _: Option<i64>| (), |_: i64| 7);
    assert_eq!(conn.create_aggregate_function("sum", own).unwrap(), Replaced::Other);
    assert_eq!(one::<i64>(&conn, "SELECT sum(n) FROM t"), 7);
    let mut statement = conn.prepare("SELECT adds(n) FROM t GROUP BY g").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    let error = conn.create_window_function("adds", Summing { tally: Tally::default() }).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::BUSY));
    drop(rows);
    assert!(conn.remove_function("adds", Some(1)).unwrap());
    assert!(statement.query_all::<i64>(()).is_err());
}

#[test]
fn states_own_what_they_like() {
    let conn = open();
    let histogram = aggregate(
        BTreeMap::new,
        |counts: &mut BTreeMap<String, i64>, word: &str| *counts.entry(word.to_owned()).or_default() += 1,
        |counts: BTreeMap<String, i64>| {
            counts.iter().map(|(word, count)| format!("{word}{count}")).collect::<Vec<_>>().join(",")
        },
    );
    conn.create_aggregate_function("histogram", histogram).unwrap();
    let sql = "SELECT histogram(column1) FROM (VALUES ('b'), ('a'), ('b'))";
    assert_eq!(one::<String>(&conn, sql), "a1,b2");
}
