//! Closures as table functions, and ready-made tables: a series, slices of structs.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use finalite::extend::virtual_table::Series;
use finalite::extend::{FunctionOptions, TableColumns};
use finalite::{Connection, Error, ErrorKind, Type, Value};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn all<T: for<'row> finalite::FromRow<'row>>(conn: &Connection, sql: &str) -> Vec<T> {
    conn.query_all(sql, ()).unwrap()
}

fn error(conn: &Connection, sql: &str) -> Error {
    conn.query_all::<Value>(sql, ()).unwrap_err()
}

/// Counts what is alive.
struct Counted(Arc<AtomicI64>);

impl Counted {
    fn new(count: &Arc<AtomicI64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// ---- rows and arguments

#[test]
fn rows_are_values_tuples_and_results_of_them() {
    let conn = open();
    conn.create_table_function("no_rows", ["a"], Vec::<i64>::new).unwrap();
    conn.create_table_function("values_of", ["a"], |n: i64| 0..n).unwrap();
    conn.create_table_function("texts", ["a"], || ["x", "y"]).unwrap();
    conn.create_table_function("pairs", ["a", "b"], |n: i64| (0..n).map(|n| (n, format!("n{n}")))).unwrap();
    conn.create_table_function("singles", ["a"], || [(1,), (2,)]).unwrap();
    conn.create_table_function("options", ["a", "b"], || vec![(Some(1.5), None::<Vec<u8>>), (None, Some(vec![7]))])
        .unwrap();
    conn.create_table_function(
        "fallible",
        ["a"],
        |n: i64| {
            if n < 0 { Err("a negative number") } else { Ok((0..n).rev()) }
        },
    )
    .unwrap();
    conn.create_table_function("items", ["a"], |n: i64| (0..n).map(|n| if n < 2 { Ok(n) } else { Err("the third") }))
        .unwrap();
    assert_eq!(all::<i64>(&conn, "SELECT a FROM no_rows"), [0; 0]);
    assert_eq!(all::<i64>(&conn, "SELECT a FROM values_of(3)"), [0, 1, 2]);
    assert_eq!(all::<String>(&conn, "SELECT a FROM texts()"), ["x", "y"]);
    assert_eq!(all::<(i64, String)>(&conn, "SELECT * FROM pairs(2)"), [(0, "n0".into()), (1, "n1".into())]);
    assert_eq!(all::<i64>(&conn, "SELECT a FROM singles"), [1, 2]);
    let rows: Vec<(Value, Value)> = all(&conn, "SELECT * FROM options");
    assert_eq!(rows, [(Value::Real(1.5), Value::Null), (Value::Null, Value::Blob(vec![7]))]);
    assert_eq!(all::<i64>(&conn, "SELECT a FROM fallible(2)"), [1, 0]);
    let failed = error(&conn, "SELECT a FROM fallible(-1)");
    assert_eq!(
        failed.to_string().lines().next().unwrap(),
        "table fallible, filter: a negative number, in: SELECT a FROM fallible(-1)"
    );
    // The rows before an error are there.
    let mut statement = conn.prepare("SELECT a FROM items(9)").unwrap();
    let mut rows = statement.query(()).unwrap();
    for n in 0..2 {
        assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), n);
    }
    let ended = rows.next().map(drop).unwrap_err();
    assert!(matches!(ended.kind(), ErrorKind::VirtualTable { method: "next", .. }), "{ended:?}");
    assert_eq!(ended.source().unwrap().to_string(), "the third");
}

#[test]
fn columns_have_names_and_types() {
    let conn = open();
    let columns = TableColumns::from([("a \"b\"", "INTEGER"), ("c", "VARCHAR(10)")]).arguments(["from", "to"]);
    conn.create_table_function("f", columns, |from: i64, to: i64| (from..to).map(|n| (n, n * n))).unwrap();
    let statement = conn.prepare("SELECT * FROM f(1, 3)").unwrap();
    let columns = statement.columns().unwrap();
    assert!(columns.iter().map(finalite::ColumnMetadata::declared_type).eq([Some("INTEGER"), Some("VARCHAR(10)")]));
    assert!(statement.column_names().unwrap().eq(["a \"b\"", "c"]));
    drop(statement);
    // Arguments are columns: given by name, read, and tested again where they are given twice.
    let sql = "SELECT c, \"from\", \"to\" FROM f WHERE \"to\" = 4 AND 2 = \"from\"";
    assert_eq!(all::<(i64, i64, i64)>(&conn, sql), [(4, 2, 4), (9, 2, 4)]);
    assert_eq!(all::<i64>(&conn, "SELECT c FROM f(2, 4) WHERE \"to\" = 5"), [0; 0]);
    assert_eq!(all::<(i64, i64)>(&conn, "SELECT \"to\", c FROM f WHERE \"from\" = 1 AND \"to\" IN (2, 3)").len(), 3);
    assert!(error(&conn, "SELECT * FROM f(1, 2, 3)").to_string().contains("it has 2 arguments, and more are given"));
    assert!(error(&conn, "SELECT * FROM f(1, 2, 3, 4)").to_string().contains("too many arguments on f()"));
}

/// SQLite reads a table once for each side of an OR, and leaves out what it has seen by its key.
#[test]
fn rows_of_two_calls_are_two_rows() {
    let conn = open();
    conn.create_module::<Series>("generate_series", ()).unwrap();
    conn.create_table_function("f", ["x"], |n: Option<i64>| n.map(|n| n * 10)).unwrap();
    let sql = "SELECT x FROM f WHERE (argument1 = 1 AND x = 10) OR (argument1 = 2 AND x = 20)";
    assert_eq!(all::<i64>(&conn, sql), [10, 20]);
    assert!(conn.query_plan(sql).unwrap().to_string().contains("MULTI-INDEX OR"));
    // The same row, found twice, is one.
    assert_eq!(
        all::<i64>(&conn, "SELECT x FROM f WHERE (argument1 = 1 AND x > 1) OR (argument1 = 1 AND x < 99)"),
        [10]
    );
    let sql = "SELECT value FROM generate_series WHERE (start = 3 AND stop = 4) OR (start = 9 AND stop = 9)";
    assert_eq!(all::<i64>(&conn, sql), [3, 4, 9]);
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2), (3, 3)").unwrap();
    let sql = "SELECT a, x FROM t JOIN f ON (argument1 = a AND x > 0) OR (argument1 = b AND x > 0)";
    assert_eq!(all::<(i64, i64)>(&conn, sql), [(1, 10), (1, 20), (3, 30)]);
    // NULL is an argument like others.
    let columns = TableColumns::from(["x"]).arguments(["a", "b"]);
    conn.create_table_function("g", columns, |a: Option<i64>, b: Option<i64>| [format!("{a:?} {b:?}")]).unwrap();
    conn.execute_batch("CREATE TABLE k(k); INSERT INTO k VALUES (NULL), (1)").unwrap();
    for (sql, rows) in [
        ("SELECT x FROM g(NULL, 2) WHERE a IS NULL", 1),
        ("SELECT x FROM g(NULL, 2) WHERE a IS NOT NULL", 0),
        ("SELECT x FROM g WHERE b IS NULL", 1),
        ("SELECT x FROM g(NULL) WHERE +a IN (SELECT k FROM k)", 0),
        ("SELECT x FROM g(1) WHERE +a IN (SELECT k FROM k)", 1),
        ("SELECT x FROM g(NULL, 1) JOIN k ON k.k = g.a", 0),
        ("SELECT x FROM g WHERE (a = 1 AND x > '') OR (b = 1 AND x > '')", 2),
    ] {
        assert_eq!(all::<String>(&conn, sql).len(), rows, "{sql}");
    }
    for join in ["RIGHT", "FULL"] {
        let sql = format!("SELECT a, x FROM t {join} JOIN f(5) ON a = x");
        let found: Vec<(Option<i64>, Option<i64>)> = all(&conn, &sql);
        assert!(found.contains(&(None, Some(50))), "{found:?}");
    }
}

#[test]
fn an_argument_that_is_not_given_is_null_or_missing() {
    let conn = open();
    let columns = TableColumns::from(["a"]).arguments(["first", "second"]);
    conn.create_table_function("f", columns, |first: Option<i64>, second: Option<&str>| {
        [format!("{first:?} {second:?}")]
    })
    .unwrap();
    assert_eq!(all::<String>(&conn, "SELECT a FROM f"), ["None None"]);
    assert_eq!(all::<String>(&conn, "SELECT a FROM f(3)"), ["Some(3) None"]);
    assert_eq!(all::<String>(&conn, "SELECT a FROM f WHERE second = 'x'"), ["None Some(\"x\")"]);
    assert_eq!(all::<String>(&conn, "SELECT a FROM f(NULL, 'y')"), ["None Some(\"y\")"]);

    conn.create_table_function("g", ["a"], |_: i64, b: i64| [b]).unwrap();
    let missing = error(&conn, "SELECT a FROM g(1)");
    assert!(missing.to_string().starts_with("function g: argument 2 is missing"), "{missing}");
    let wrong = error(&conn, "SELECT a FROM g WHERE argument2 = 'x' AND argument1 = 1");
    let ErrorKind::FunctionArgument { argument: 2, found: Type::Text, .. } = wrong.kind() else {
        panic!("{wrong:?}");
    };
    assert!(wrong.to_string().starts_with("function g, argument 2, TEXT: not readable as i64, in:"), "{wrong}");
}

#[test]
fn arguments_come_from_other_tables() {
    let conn = open();
    conn.create_table_function("to_n", ["n"], |n: i64| 1..=n).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (3), (0), (2)").unwrap();
    let expected = [(1, 1), (3, 1), (3, 2), (3, 3), (2, 1), (2, 2)];
    // SQLite has to read the table of the argument first, wherever it is written.
    for from in ["t, to_n(t.a)", "to_n(t.a), t", "t JOIN to_n ON argument1 = a"] {
        assert_eq!(all::<(i64, i64)>(&conn, &format!("SELECT a, n FROM {from}")), expected, "{from}");
    }
    assert_eq!(all::<(i64, Option<i64>)>(&conn, "SELECT a, n FROM t LEFT JOIN to_n(t.a) WHERE a = 0"), [(0, None)]);
    let nested = "SELECT x.n, y.n FROM to_n(2) x, to_n(x.n) y WHERE y.argument1 = x.n";
    assert_eq!(all::<(i64, i64)>(&conn, nested), [(1, 1), (2, 1), (2, 2)]);
    assert_eq!(all::<i64>(&conn, "SELECT (SELECT sum(n) FROM to_n(t.a)) FROM t WHERE a > 0"), [1, 6, 3]);
    // Each needs the other first.
    let sql = "SELECT * FROM to_n(y.n) x, to_n(x.n) y";
    assert!(error(&conn, sql).to_string().contains("no query solution"));
}

#[test]
fn a_call_reads_the_database_and_any_number_of_arguments() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("x{n}")).collect();
    conn.create_table_function_with("f", TableColumns::from(["a"]).arguments(&names), |call| {
        let given: Vec<usize> = (0..40).filter(|&argument| call.is_given(argument)).collect();
        let last: Option<i64> = call.get(29)?;
        let rows: i64 = call.connection().query_one("SELECT count(*) FROM t", ())?;
        Ok([format!("{given:?} {last:?} {rows}")])
    })
    .unwrap();
    assert_eq!(all::<String>(&conn, "SELECT a FROM f(7) WHERE x29 = 5"), ["[0, 29] Some(5) 2"]);
    assert_eq!(all::<String>(&conn, "SELECT a FROM f"), ["[] None 2"]);
}

#[test]
fn what_is_declared_wrongly_is_refused() {
    let conn = open();
    let misuse = |result: finalite::Result<()>, words: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { reason, .. } if reason.contains(words)), "{error:?}");
    };
    misuse(conn.create_table_function("f", ["a", "b"], || [1]), "another number of columns");
    misuse(conn.create_table_function("f", ["a"], || [(1, 2)]), "another number of columns");
    let columns = || TableColumns::from(["a"]).arguments(["x"]);
    misuse(conn.create_table_function("f", columns(), || [1]), "another number of arguments");
    let names: Vec<String> = (0..31).map(|n| format!("x{n}")).collect();
    let columns = TableColumns::from(["a"]).arguments(names);
    misuse(conn.create_table_function_with("f", columns, |_| Ok([1])), "at most 30");
    for declared in ["hidden", "INTEGER HIDDEN", "INT, b", "INT)", "INT; DROP TABLE x", "'", "INT -- "] {
        // A parenthesis is part of a type; what is left of it is SQLite's to refuse.
        match conn.create_table_function("f", [("a", declared)], || [1]) {
            Ok(()) => drop(error(&conn, "SELECT * FROM f")),
            refused => misuse(refused, "no type"),
        }
    }
    misuse(conn.create_table_function("", ["a"], || [1]), "empty");
    misuse(conn.create_table_function("a\0b", ["a"], || [1]), "NUL");
    // Two columns of one name are SQLite's to refuse, when the function is first used.
    conn.create_table_function("f", ["a", "A"], || [(1, 2)]).unwrap();
    assert!(error(&conn, "SELECT * FROM f").to_string().contains("duplicate column name"));
}

// ---- endings

#[test]
fn an_iterator_ends_with_its_call_and_no_more_of_it_is_run_than_is_read() {
    let conn = open();
    let (alive, steps) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, taken) = (Arc::clone(&alive), Arc::clone(&steps));
    conn.create_table_function("endless", ["n"], move |from: i64| {
        let (counted, taken) = (Counted::new(&count), Arc::clone(&taken));
        (from..).inspect(move |_| {
            let _ = &counted;
            taken.fetch_add(1, Ordering::Relaxed);
        })
    })
    .unwrap();
    // The first use connects the table.
    all::<i64>(&conn, "SELECT n FROM endless(5) LIMIT 3");
    conn.clear_statement_cache();
    steps.store(0, Ordering::Relaxed);
    let before = conn.memory();
    assert_eq!(all::<i64>(&conn, "SELECT n FROM endless(5) LIMIT 3"), [5, 6, 7]);
    assert_eq!((alive.load(Ordering::Relaxed), steps.load(Ordering::Relaxed)), (0, 3));
    {
        let mut statement = conn.prepare("SELECT n FROM endless(1)").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap().unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        drop(rows);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
    // One at a time: a call ends the one before.
    let sql = "SELECT (SELECT n FROM endless(column1) LIMIT 1) FROM (VALUES (1), (2), (3))";
    assert_eq!(all::<i64>(&conn, sql), [1, 2, 3]);
    conn.clear_statement_cache();
    let after = conn.memory();
    assert_eq!((after.bytes, after.blocks), (before.bytes, before.blocks));

    // A forgotten one ends with the connection.
    let mut statement = conn.prepare("SELECT n FROM endless(1)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    conn.close().unwrap();
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn panics_are_resumed_and_the_connection_is_usable() {
    struct Panics(&'static str);
    impl Iterator for Panics {
        type Item = i64;
        fn next(&mut self) -> Option<i64> {
            assert!(self.0 != "next", "in next");
            None
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(self.0 != "drop", "in drop");
        }
    }
    let conn = open();
    conn.create_table_function("f", ["a"], |place: &str| match place {
        "call" => panic!("in call"),
        "next" => Panics("next"),
        _ => Panics("drop"),
    })
    .unwrap();
    for place in ["call", "next", "drop"] {
        let run = || conn.query_all::<i64>("SELECT a FROM f(?)", (place,));
        let payload = match catch_unwind(AssertUnwindSafe(run)) {
            Err(payload) => payload,
            // A panic of Drop may wait for the next call.
            Ok(_) => catch_unwind(AssertUnwindSafe(|| conn.query_one::<i64>("SELECT 1", ()))).unwrap_err(),
        };
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap();
        assert_eq!(text, format!("in {place}"));
        assert_eq!(all::<i64>(&conn, "SELECT 1"), [1]);
    }
}

#[test]
fn rule_5_each_call_that_runs_sql_resumes_a_panic() {
    let conn = open();
    conn.create_table_function("broken", ["a"], || -> Vec<i64> { panic!("while the rows were made") }).unwrap();
    let sql = "SELECT a FROM broken";
    let calls: [(&str, &dyn Fn()); 5] = [
        ("query_all", &|| drop(conn.query_all::<i64>(sql, ()))),
        ("execute", &|| drop(conn.execute(sql, ()))),
        ("execute_batch", &|| drop(conn.execute_batch("SELECT 1; SELECT a FROM broken"))),
        ("scan", &|| drop(conn.scan(sql, ()).for_each(|_| Ok::<_, Error>(())))),
        ("rows that own their statement", &|| {
            drop(conn.prepare(sql).unwrap().into_rows(()).unwrap().next());
        }),
    ];
    for (call, run) in calls {
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"while the rows were made"), "{call}");
        // Once, and the connection goes on.
        assert_eq!(all::<i64>(&conn, "SELECT 1"), [1], "after {call}");
        let error = conn.query_one::<i64>("SELECT abs(-9223372036854775808)", ()).unwrap_err();
        assert_eq!(error.kind().to_string(), "integer overflow", "after {call}");
    }
    conn.close().unwrap();
}

#[test]
fn views_cannot_use_a_function_that_is_called_directly_only() {
    let conn = open();
    conn.create_table_function("opened", ["a"], || [1]).unwrap();
    conn.create_table_function("direct", TableColumns::from(["a"]).direct_only(), || [1]).unwrap();
    conn.execute_batch("CREATE VIEW v AS SELECT a FROM opened; CREATE VIEW w AS SELECT a FROM direct").unwrap();
    assert_eq!(all::<i64>(&conn, "SELECT a FROM v UNION ALL SELECT a FROM direct"), [1, 1]);
    assert!(error(&conn, "SELECT a FROM w").to_string().contains("unsafe use of virtual table \"direct\""));
}

#[test]
fn a_function_is_replaced_and_removed() {
    let conn = open();
    let alive = Arc::new(AtomicI64::new(0));
    let function = |n: i64| {
        let counted = Counted::new(&alive);
        move || {
            let _ = &counted;
            [n]
        }
    };
    conn.create_table_function("f", ["a"], function(1)).unwrap();
    assert_eq!(all::<i64>(&conn, "SELECT a FROM f"), [1]);
    conn.create_table_function("f", ["a"], function(2)).unwrap();
    assert_eq!(all::<i64>(&conn, "SELECT a FROM f"), [2]);
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    conn.remove_module("f").unwrap();
    assert!(error(&conn, "SELECT a FROM f").to_string().contains("no such table: f"));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    conn.create_table_function("f", ["a"], function(3)).unwrap();
    conn.close().unwrap();
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

// ---- the series

/// Compares with the numbers that Rust counts.
#[test]
fn a_series_is_what_it_should_be() {
    let conn = open();
    conn.create_module::<Series>("generate_series", ()).unwrap();
    let numbers = [i64::MIN, i64::MIN + 1, -7, -1, 0, 1, 2, 3, 10, i64::MAX - 1, i64::MAX];
    let mut some = 0;
    for start in numbers {
        for stop in numbers {
            for step in numbers {
                let way = i128::from(if step == 0 { 1 } else { step });
                let is_within = |n: &i128| if way > 0 { *n <= stop.into() } else { *n >= stop.into() };
                let count = std::iter::successors(Some(i128::from(start)), |n| Some(n + way));
                let expected: Vec<i64> =
                    count.take_while(is_within).take(20).map(|n| i64::try_from(n).unwrap()).collect();
                let sql = "SELECT value FROM generate_series(?, ?, ?) LIMIT 20";
                let found: Vec<i64> = conn.query_all(sql, (start, stop, step)).unwrap();
                assert_eq!(found, expected, "{start} to {stop} by {step}");
                some += usize::from(found.len() > 1);
            }
        }
    }
    assert!(some > 100);
}

#[test]
fn bounds_and_orders_of_a_series() {
    let conn = open();
    conn.create_module::<Series>("generate_series", ()).unwrap();
    let bounds = [
        "value < 5",
        "value <= 5",
        "value > -3",
        "value >= -3",
        "value = 4",
        "value < 4.5",
        "value >= -2.5",
        "value = 3.5",
        "value > 1e300",
        "value < 1e300",
        "value > 'x'",
        "value < 'x'",
        "value BETWEEN 2 AND 6",
        "value <> 2",
        "1",
    ];
    for (start, stop, step) in [(-10, 10, 1), (10, -10, -1), (-9, 9, 4), (9, -9, -4), (3, 3, 5), (5, 1, 1)] {
        let table = format!("generate_series({start}, {stop}, {step})");
        // The same without anything that the table is told of.
        conn.execute("DROP TABLE IF EXISTS plain", ()).unwrap();
        conn.execute(&format!("CREATE TABLE plain AS SELECT value FROM {table}"), ()).unwrap();
        for bound in bounds {
            for order in ["", " ORDER BY value", " ORDER BY value DESC", " ORDER BY value DESC LIMIT 2"] {
                let select = |from: &str| format!("SELECT value FROM {from} WHERE {bound}{order}");
                let found: Vec<i64> = all(&conn, &select(&table));
                assert_eq!(found, all::<i64>(&conn, &select("plain")), "{}", select(&table));
            }
        }
    }
    // Without a stop there are 4,294,967,295 of them: bounds and limits are used.
    assert_eq!(all::<i64>(&conn, "SELECT value FROM generate_series(1) WHERE value < 3.5"), [1, 2, 3]);
    assert_eq!(all::<i64>(&conn, "SELECT count(*) FROM generate_series(1) WHERE value = 9"), [1]);
    assert_eq!(all::<i64>(&conn, "SELECT count(*) FROM generate_series(1) WHERE value < NULL"), [0]);
    assert_eq!(all::<i64>(&conn, "SELECT value FROM generate_series(1) ORDER BY value DESC LIMIT 1"), [4_294_967_295]);
    assert_eq!(all::<i64>(&conn, "SELECT count(*) FROM generate_series(1, NULL)"), [0]);
    let sql = "SELECT start, stop, step, value FROM generate_series(2, 9, 4)";
    assert_eq!(all::<(i64, i64, i64, i64)>(&conn, sql), [(2, 9, 4, 2), (2, 9, 4, 6)]);
    assert!(error(&conn, "SELECT value FROM generate_series").to_string().contains("argument 1 is missing"));
    assert_eq!(all::<i64>(&conn, "SELECT value FROM generate_series(2.0, ' 3')"), [2, 3]);
    let wrong = error(&conn, "SELECT value FROM generate_series(1.5)");
    assert!(matches!(wrong.kind(), ErrorKind::FunctionArgument { argument: 1, .. }), "{wrong:?}");
    let wrong = error(&conn, "SELECT value FROM generate_series('a')");
    assert!(matches!(wrong.kind(), ErrorKind::FunctionArgument { argument: 1, .. }), "{wrong:?}");
}

// ---- slices

// ---- what SQLite leaves to the function

#[test]
fn an_argument_that_sqlite_compares_may_not_be_null() {
    let conn = open();
    let names: Vec<String> = (1..=17).map(|n| format!("p{n}")).collect();
    let columns = TableColumns::from(["sum"]).arguments(names);
    conn.create_table_function_with("sum17", columns, |call| {
        let values: Result<Vec<Option<i64>>, _> = (0..17).map(|argument| call.get(argument)).collect();
        Ok([values?.into_iter().flatten().sum::<i64>()])
    })
    .unwrap();
    let call = |null: Option<usize>| {
        let values = (1..=17).map(|n| if null == Some(n) { "NULL".into() } else { n.to_string() });
        format!("SELECT sum FROM sum17({})", values.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(all::<i64>(&conn, &call(None)), [153]);
    assert_eq!(all::<i64>(&conn, &call(Some(16))), [137]);
    assert!(error(&conn, &call(Some(17))).to_string().contains("is NULL"));

    conn.create_table_function("or_zero", ["n"], |n: Option<i64>| [n.unwrap_or(0)]).unwrap();
    let sql = |argument: &str, conditions: usize| {
        let conditions: Vec<String> = (1..=conditions).map(|n| format!("n > -{n}")).collect();
        format!("SELECT n FROM or_zero({argument}) WHERE {}", conditions.join(" AND "))
    };
    assert_eq!(all::<i64>(&conn, &sql("NULL", 15)), [0]);
    assert_eq!(all::<i64>(&conn, &sql("5", 16)), [5]);
    assert!(error(&conn, &sql("NULL", 16)).to_string().contains("is NULL"));
    // By name, too, though no row of an ordinary table fulfils it.
    assert_eq!(all::<i64>(&conn, "SELECT n FROM or_zero WHERE argument1 = NULL"), [0]);
}

#[test]
fn a_function_that_has_read_a_table_reads_the_one_that_replaces_it() {
    let conn = open();
    let seen = "SELECT seen()";
    conn.create_scalar_function_with("seen", FunctionOptions::new(), |call| {
        assert_eq!(call.connection().query_one::<i64>("SELECT 1", ())?, 1);
        Ok(call.connection().query_one::<i64>("SELECT n FROM latest", ())?)
    })
    .unwrap();
    for n in 1..4 {
        conn.create_table_function("latest", ["n"], move || [n]).unwrap();
        assert_eq!(all::<i64>(&conn, seen), [n]);
    }
    conn.remove_module("latest").unwrap();
    assert!(error(&conn, seen).to_string().contains("no such table: latest"));
    conn.create_table_function("latest", ["n"], || [4]).unwrap();
    assert_eq!(all::<i64>(&conn, seen), [4]);
    conn.retain_modules(&[]).unwrap();
    assert!(error(&conn, seen).to_string().contains("no such table: latest"));
}

#[cfg(feature = "derive")]
mod slices {
    use std::borrow::Cow;
    use std::sync::Arc;

    use finalite::{Params, ValueRef};

    use super::{all, error, open};

    #[derive(Clone, Params)]
    struct Address {
        city: &'static str,
        #[finalite(rename = "zip code")]
        zip: Option<u32>,
    }

    #[derive(Clone, Params)]
    struct Person<'a> {
        id: i64,
        name: Cow<'a, str>,
        photo: Vec<u8>,
        height: f64,
        #[finalite(flatten)]
        home: Address,
        #[finalite(flatten, prefix = "work_")]
        work: Option<Address>,
    }

    fn people() -> Vec<Person<'static>> {
        let address = |city, zip| Address { city, zip };
        vec![
            Person {
                id: 7,
                name: "Ada".into(),
                photo: vec![1, 2],
                height: 1.5,
                home: address("Oslo", Some(150)),
                work: None,
            },
            Person {
                id: 9,
                name: String::from("Grace").into(),
                photo: vec![],
                height: 1.75,
                home: address("Ys", None),
                work: Some(address("Ulm", Some(89_073))),
            },
        ]
    }

    #[test]
    fn a_slice_is_a_table() {
        let conn = open();
        conn.create_slice_table("people", people()).unwrap();
        let statement = conn.prepare("SELECT * FROM people").unwrap();
        let names = ["id", "name", "photo", "height", "city", "zip code", "work_city", "work_zip code"];
        assert!(statement.column_names().unwrap().eq(names));
        drop(statement);
        // The same as in a table that the structs are inserted into.
        conn.execute(
            "CREATE TABLE kept(id, name, photo, height, city, \"zip code\", work_city, \"work_zip code\")",
            (),
        )
        .unwrap();
        for person in people() {
            conn.insert_into("kept", &person).unwrap();
        }
        for sql in [
            "SELECT * FROM ? ORDER BY rowid",
            "SELECT rowid, * FROM ? ORDER BY rowid DESC",
            "SELECT name FROM ? WHERE rowid = 2",
            "SELECT name FROM ? WHERE rowid = '2'",
            "SELECT name FROM ? WHERE rowid = 2.0",
            "SELECT name FROM ? WHERE rowid = 2.5 OR rowid = 0 OR rowid = -9223372036854775808 OR rowid = 3",
            "SELECT name FROM ? WHERE rowid IN (1, 2, 3) AND height > 1.6",
            "SELECT name FROM ? WHERE rowid IS NULL",
            "SELECT count(*), sum(height), group_concat(name) FROM ?",
            "SELECT a.name, b.name FROM ? a JOIN ? b ON a.rowid = b.rowid + 1",
            "SELECT typeof(photo), length(photo), typeof(\"zip code\"), \"work_zip code\" FROM ?",
        ] {
            let values = |table: &str| -> Vec<Vec<String>> {
                let mut statement = conn.prepare(&sql.replace('?', table)).unwrap();
                let rows = statement.query_map((), |row| {
                    (0..row.column_count()).map(|column| Ok(finalite::sql::quote_literal(row.value(column)?))).collect()
                });
                rows.unwrap().collect::<Result<_, _>>().unwrap()
            };
            assert_eq!(values("people"), values("kept"), "{sql}");
        }
        let refused = conn.execute("DELETE FROM people", ()).unwrap_err();
        assert!(refused.to_string().contains("table people may not be modified"), "{refused}");
        let plan = conn.query_plan("SELECT * FROM people WHERE rowid = 1").unwrap().to_string();
        assert!(plan.contains("VIRTUAL TABLE INDEX 1"), "{plan}");
    }

    #[test]
    fn a_slice_lives_as_long_as_its_statements() {
        let conn = open();
        let rows: Arc<[Person<'static>]> = people().into();
        conn.create_slice_table("people", Arc::clone(&rows)).unwrap();
        {
            let mut statement = conn.prepare("SELECT name FROM people").unwrap();
            let mut read = statement.query(()).unwrap();
            read.next().unwrap().unwrap();
            conn.remove_module("people").unwrap();
            assert_eq!(Arc::strong_count(&rows), 2);
            assert_eq!(read.next().unwrap().unwrap().value(0).unwrap(), ValueRef::Text(b"Grace"));
        }
        assert_eq!(Arc::strong_count(&rows), 1);
        assert!(error(&conn, "SELECT * FROM people").to_string().contains("no such table"));
        conn.create_slice_table::<Person<'static>, _>("people", Vec::new()).unwrap();
        assert_eq!(all::<i64>(&conn, "SELECT count(*) FROM people WHERE rowid = 1"), [0]);
        conn.create_slice_table("people", Arc::clone(&rows)).unwrap();
        conn.close().unwrap();
        assert_eq!(Arc::strong_count(&rows), 1);
    }

    #[test]
    fn two_parts_with_one_column_are_refused() {
        #[derive(Params)]
        struct Twice {
            #[finalite(flatten)]
            home: Address,
            #[finalite(flatten)]
            work: Address,
        }
        let address = Address { city: "Ys", zip: None };
        let refused = open().create_slice_table("t", vec![Twice { home: address.clone(), work: address }]).unwrap_err();
        assert!(matches!(refused.kind(), finalite::ErrorKind::Misuse { .. }), "{refused:?}");
    }
}
