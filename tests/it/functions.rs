//! Scalar functions: arguments, results, errors, flags, replacing and removing, where SQL may use them.

mod endings;
mod math;
mod reentry;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use finalite::extend::{
    Access, Action, FunctionArgument, FunctionOptions, Replaced, deterministic, direct_only, innocuous,
};
use finalite::{
    Connection, ConversionError, Error, ErrorKind, FromSql, Param, ResultCode, ToSql, Type, Value, ValueRef, ZeroBlob,
};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn one<T: for<'row> finalite::FromRow<'row>>(conn: &Connection, sql: &str) -> T {
    conn.query_one(sql, ()).unwrap()
}

/// Returns the text of the panic with which a call ends.
fn panic_of<R>(run: impl FnOnce() -> R) -> String {
    let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) else { panic!("no panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// ---- arguments and results

#[test]
fn arguments_have_the_types_of_the_closure() {
    let conn = open();
    conn.create_scalar_function("a0", || 7).unwrap();
    conn.create_scalar_function("int", |x: i64| x + 1).unwrap();
    conn.create_scalar_function("small", |x: u8| x).unwrap();
    conn.create_scalar_function("real", |x: f64| x / 2.0).unwrap();
    conn.create_scalar_function("flag", |x: bool| !x).unwrap();
    conn.create_scalar_function("text", |x: &str| x.len() as i64).unwrap();
    conn.create_scalar_function("owned", |x: String| x + "!").unwrap();
    conn.create_scalar_function("cow", |x: Cow<'_, str>| x.chars().rev().collect::<String>()).unwrap();
    conn.create_scalar_function("bytes", |x: &[u8]| x.iter().map(|&byte| i64::from(byte)).sum::<i64>()).unwrap();
    conn.create_scalar_function("vector", |x: Vec<u8>| x).unwrap();
    conn.create_scalar_function("array", |[a, b]: [u8; 2]| vec![b, a]).unwrap();
    conn.create_scalar_function("any", |x: ValueRef<'_>| x.data_type().name()).unwrap();
    conn.create_scalar_function("value", |x: Value| x).unwrap();
    conn.create_scalar_function("maybe", |x: Option<&str>| x.map(str::len).map(|len| len as i64)).unwrap();
    conn.create_scalar_function("maybe_int", |x: Option<i64>| x.unwrap_or(-1)).unwrap();
    conn.create_scalar_function("maybe_bytes", |x: Option<&[u8]>| x.is_some()).unwrap();
    conn.create_scalar_function("maybe_any", |x: Option<ValueRef<'_>>| x.is_some()).unwrap();
    type All = (i64, i64, u8, f64, bool, i64, String, String, i64, Vec<u8>, Vec<u8>, String);
    let found: All = one(
        &conn,
        "SELECT a0(), int(41), small(255), real(5), flag(0), text('årets'), owned('x'), cow('abc'), bytes(x'0102'), \
         vector(x'00ff'), array(x'0102'), any(NULL)",
    );
    let expected: All =
        (7, 42, 255, 2.5, true, 6, "x!".into(), "cba".into(), 3, vec![0, 255], vec![2, 1], "NULL".into());
    assert_eq!(found, expected);
    let found: (Value, Option<i64>, Option<i64>, i64, bool, bool) =
        one(&conn, "SELECT value(1.5), maybe(NULL), maybe('ab'), maybe_int(NULL), maybe_bytes(NULL), maybe_any(NULL)");
    assert_eq!(found, (Value::Real(1.5), None, Some(2), -1, false, false));
}

#[test]
fn arguments_are_up_to_eight() {
    let conn = open();
    conn.create_scalar_function("f", |a: i64| a).unwrap();
    conn.create_scalar_function("f", |a: i64, b: &str| a + b.len() as i64).unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64| a + b + c).unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64, d: i64| a + b + c + d).unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64, d: i64, e: i64| a + b + c + d + e).unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| a + b + c + d + e + f).unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64| {
        a + b + c + d + e + f + g
    })
    .unwrap();
    conn.create_scalar_function("f", |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: &str, h: Option<&str>| {
        format!("{a}{b}{c}{d}{e}{f}{g}{h:?}")
    })
    .unwrap();
    let found: (i64, i64, i64, i64, i64, i64, i64, String) = one(
        &conn,
        "SELECT f(1), f(1, 'ab'), f(1, 2, 3), f(1, 2, 3, 4), f(1, 2, 3, 4, 5), f(1, 2, 3, 4, 5, 6), \
         f(1, 2, 3, 4, 5, 6, 7), f(1, 2, 3, 4, 5, 6, '7', NULL)",
    );
    assert_eq!(found, (1, 3, 6, 10, 15, 21, 28, "1234567None".into()));
    let error = conn.prepare("SELECT f()").unwrap_err();
    assert!(error.to_string().starts_with("wrong number of arguments to function f()"), "{error}");
}

/// A hue, read by the program's own conversion.
#[derive(Debug, PartialEq)]
struct Hue(u8);

impl FromSql<'_> for Hue {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value.as_str()? {
            "red" => Ok(Self(1)),
            _ => Err(ConversionError::message("Hue", "no hue")),
        }
    }
}

impl FunctionArgument for Hue {}

impl ToSql for Hue {
    fn to_sql(&self) -> Param<'_> {
        Param::text(if self.0 == 1 { "red" } else { "none" })
    }
}

#[test]
fn types_of_the_program_are_arguments_and_results() {
    let conn = open();
    conn.create_scalar_function("same", |hue: Hue| hue).unwrap();
    conn.create_scalar_function("number", |hue: Option<Hue>| hue.map(|hue| hue.0)).unwrap();
    assert_eq!(one::<Hue>(&conn, "SELECT same('red')"), Hue(1));
    assert_eq!(one::<(Option<u8>, u8)>(&conn, "SELECT number(NULL), number('red')"), (None, 1));
    let error = conn.query_one::<String>("SELECT same('blue')", ()).unwrap_err();
    assert!(error.to_string().starts_with("function same, argument 1, TEXT: no hue (Hue)"), "{error}");
}

#[test]
fn results_are_what_can_be_bound() {
    let conn = open();
    conn.create_scalar_function("none", || None::<i64>).unwrap();
    conn.create_scalar_function("constant", || "a constant").unwrap();
    conn.create_scalar_function("empty_text", String::new).unwrap();
    conn.create_scalar_function("empty_blob", Vec::<u8>::new).unwrap();
    conn.create_scalar_function("zeros", || ZeroBlob(3)).unwrap();
    conn.create_scalar_function("fine", || Ok::<_, Error>(Some(1.5))).unwrap();
    conn.create_scalar_function("big", |x: i64| x.unsigned_abs()).unwrap();
    fn shout(text: &str) -> String {
        text.to_uppercase()
    }
    conn.create_scalar_function("shout", shout).unwrap();
    type All = (Option<i64>, String, String, Vec<u8>, Vec<u8>, f64, u64, String);
    let found: All =
        one(&conn, "SELECT none(), constant(), empty_text(), empty_blob(), zeros(), fine(), big(-5), shout('x')");
    assert_eq!(found, (None, "a constant".into(), String::new(), vec![], vec![0, 0, 0], 1.5, 5, "X".into()));
    assert_eq!(one::<(String, String)>(&conn, "SELECT typeof(empty_text()), typeof(empty_blob())").1, "blob");
    // What SQLite cannot represent is an error, not another value.
    let error = conn.query_one::<i64>("SELECT big(-9223372036854775808)", ()).unwrap_err();
    match error.kind() {
        ErrorKind::FunctionResult { function, code, .. } => {
            assert_eq!((&**function, *code), ("big", ResultCode::ERROR));
        }
        other => panic!("{other:?}"),
    }
    conn.create_scalar_function("nan", || f64::NAN).unwrap();
    assert!(matches!(conn.query_one::<f64>("SELECT nan()", ()).unwrap_err().kind(), ErrorKind::FunctionResult { .. }));
}

#[test]
fn text_of_a_utf_16_database_is_read() {
    let conn = open();
    conn.execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES ('åäö'), ('x')").unwrap();
    conn.create_scalar_function("twice", |text: &str| format!("{text}{text}")).unwrap();
    assert_eq!(conn.query_all::<String>("SELECT twice(a) FROM t", ()).unwrap(), ["åäöåäö", "xx"]);
}

// ---- errors

#[test]
fn an_argument_of_another_type_is_named_by_number_and_types_and_not_by_value() {
    let conn = open();
    conn.create_scalar_function("half", |_: &str, x: f64| x / 2.0).unwrap();
    let error = conn.query_one::<f64>("SELECT half('secret one', ?)", ("secret two",)).unwrap_err();
    match error.kind() {
        ErrorKind::FunctionArgument { code, function, argument, found, problem, .. } => {
            assert_eq!((*code, &**function, *argument, *found), (ResultCode::ERROR, "half", 2, Type::Text));
            assert_eq!(problem.rust_type(), "f64");
        }
        other => panic!("{other:?}"),
    }
    let text = error.to_string();
    assert!(text.starts_with("function half, argument 2, TEXT: not readable as f64"), "{text}");
    assert!(!text.contains("secret two") && !format!("{error:?}").contains("secret two"));
    assert_eq!(error.code(), Some(ResultCode::ERROR));
    assert_eq!(error.sql(), Some("SELECT half('secret one', ?)"));
    // NULL, and text that is not UTF-8.
    let error = conn.query_one::<f64>("SELECT half(NULL, 1)", ()).unwrap_err();
    assert!(error.to_string().starts_with("function half, argument 1, NULL: not readable as &str"), "{error}");
    let error = conn.query_one::<f64>("SELECT half(CAST(x'ff' AS TEXT), 1)", ()).unwrap_err();
    assert!(error.source().is_some_and(|source| source.is::<std::str::Utf8Error>()), "{error:?}");
    assert_eq!(one::<f64>(&conn, "SELECT half('', 3)"), 1.5);
}

#[derive(Debug, PartialEq)]
struct Limit(i64);

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no more than {}", self.0)
    }
}

impl StdError for Limit {}

#[test]
fn an_error_of_the_closure_is_the_source_of_sqlites() {
    let conn = open();
    conn.create_scalar_function("limited", |x: i64| if x > 5 { Err(Limit(5)) } else { Ok(x) }).unwrap();
    conn.create_scalar_function("parsed", |x: &str| x.parse::<i64>()).unwrap();
    conn.create_scalar_function("worded", |x: i64| if x > 5 { Err("too much") } else { Ok(x) }).unwrap();
    conn.create_scalar_function("boxed", |x: &str| -> Result<i64, Box<dyn StdError + Send + Sync>> { Ok(x.parse()?) })
        .unwrap();
    assert_eq!(
        one::<(i64, i64, i64, i64)>(&conn, "SELECT limited(5), parsed('4'), worded(3), boxed('2')"),
        (5, 4, 3, 2)
    );
    let error = conn.query_one::<i64>("SELECT limited(6)", ()).unwrap_err();
    assert!(error.to_string().starts_with("function limited: no more than 5"), "{error}");
    assert_eq!(error.source().and_then(|source| source.downcast_ref()), Some(&Limit(5)));
    match error.kind() {
        ErrorKind::Function { function, .. } => assert_eq!(&**function, "limited"),
        other => panic!("{other:?}"),
    }
    let error = conn.query_one::<i64>("SELECT parsed('x')", ()).unwrap_err();
    assert!(error.source().is_some_and(|source| source.is::<std::num::ParseIntError>()));
    let error = conn.query_one::<i64>("SELECT worded(6)", ()).unwrap_err();
    assert!(error.to_string().starts_with("function worded: too much"), "{error}");
    assert!(conn.query_one::<i64>("SELECT boxed('y')", ()).unwrap_err().to_string().starts_with("function boxed: inv"));
    // Another error of the connection is not taken for it.
    let error = conn.prepare("SELECT nothing FROM nowhere").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sqlite { .. }), "{error:?}");
}

#[test]
fn an_error_within_a_trigger_undoes_its_statement() {
    let conn = open();
    conn.create_scalar_function("refuse", |x: i64| if x == 3 { Err(Limit(2)) } else { Ok(x) }).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a); CREATE TABLE log(a); \
         CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (refuse(new.a)); END;",
    )
    .unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let error = conn.execute("INSERT INTO t VALUES (2), (3)", ()).unwrap_err();
    assert_eq!(error.source().and_then(|source| source.downcast_ref()), Some(&Limit(2)));
    assert_eq!(one::<(i64, i64)>(&conn, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log)"), (1, 1));
}

// ---- the context

#[test]
fn a_context_has_any_number_of_arguments() {
    let conn = open();
    conn.create_scalar_function_with("types", FunctionOptions::new(), |call| {
        let mut types = String::new();
        for n in 0..call.argument_count() {
            types += call.value(n)?.data_type().name();
        }
        Ok(types)
    })
    .unwrap();
    assert_eq!(one::<String>(&conn, "SELECT types()"), "");
    assert_eq!(one::<String>(&conn, "SELECT types(1, 2.5, 'a', x'00', NULL)"), "INTEGERREALTEXTBLOBNULL");
    // A function of a fixed number takes precedence.
    conn.create_scalar_function("types", |_: i64| "one").unwrap();
    assert_eq!(one::<(String, String)>(&conn, "SELECT types(1), types(1, 2)"), ("one".into(), "INTEGERINTEGER".into()));
    conn.create_scalar_function_with("third", FunctionOptions::new(), |call| Ok(call.get::<i64>(2)?)).unwrap();
    let error = conn.query_one::<i64>("SELECT third(1, 2)", ()).unwrap_err();
    assert!(error.to_string().starts_with("function third: argument 3 is missing"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Function { .. }));
    let error = conn.query_one::<i64>("SELECT third(1, 2, 'x')", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionArgument { argument: 3, .. }), "{error:?}");
}

#[test]
fn rule_15_a_result_that_borrows_an_argument_is_copied() {
    let conn = open();
    conn.create_scalar_function_with("trimmed", FunctionOptions::new().arguments(1), |call| {
        let text: &str = call.get(0)?;
        Ok(call.reply(text.trim()))
    })
    .unwrap();
    conn.create_scalar_function_with("same", FunctionOptions::new().arguments(1), |call| {
        Ok(call.reply_with_argument(0))
    })
    .unwrap();
    let long = "  a text that is too long for any inline representation, and so on the heap  ".repeat(20);
    let found: (String, String) = conn.query_one("SELECT trimmed(?1), same(?1)", (&long,)).unwrap();
    assert_eq!(found, (long.trim().to_owned(), long.clone()));
    let all: Vec<String> = conn.query_all("SELECT trimmed(column1) FROM (VALUES (' a '), ('b '))", ()).unwrap();
    assert_eq!(all, ["a", "b"]);
}

#[test]
fn subtypes_are_read_and_set() {
    let conn = open();
    let options = FunctionOptions::new().arguments(1).subtypes();
    conn.create_scalar_function_with("marked", options, |call| {
        call.set_subtype(99);
        Ok(call.reply(call.value(0)?))
    })
    .unwrap();
    conn.create_scalar_function_with("mark", options, |call| Ok(call.subtype(0))).unwrap();
    assert_eq!(one::<(u32, u32)>(&conn, "SELECT mark(marked('a')), mark('a')"), (99, 0));
    conn.create_scalar_function_with("bound", FunctionOptions::new().arguments(1), |call| {
        Ok(call.is_bound_parameter(0))
    })
    .unwrap();
    assert_eq!(conn.query_one::<(bool, bool)>("SELECT bound(?), bound(1)", (1,)).unwrap(), (true, false));
}

#[test]
fn rule_15_auxiliary_data_lives_from_row_to_row_and_is_dropped_once() {
    let conn = open();
    let (made, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (making, dropping) = (Arc::clone(&made), Arc::clone(&dropped));
    conn.create_scalar_function_with("prefixed", FunctionOptions::new().arguments(2).deterministic(), move |call| {
        let (prefix, _counted) = call.auxiliary(0, || {
            making.fetch_add(1, Ordering::Relaxed);
            Ok((call.get::<String>(0)?, Counted(Arc::clone(&dropping))))
        })?;
        Ok(format!("{prefix}{}", call.get::<i64>(1)?))
    })
    .unwrap();
    let counts = || (made.swap(0, Ordering::Relaxed), dropped.swap(0, Ordering::Relaxed));
    let sql =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100) SELECT prefixed(?, x) FROM n";
    let all: Vec<String> = conn.query_all(sql, ("a",)).unwrap();
    assert_eq!((all.len(), &*all[99]), (100, "a100"));
    assert_eq!(counts(), (1, 1));
    // Rows that are dropped early, and an execution that is left at an error.
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(("b",)).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<&str>(0).unwrap(), "b1");
    assert_eq!(counts(), (1, 0));
    drop(rows);
    assert_eq!(counts(), (0, 1));
    let failing = "SELECT prefixed('c', column1) FROM (VALUES (1), ('x'))";
    assert!(conn.query_all::<String>(failing, ()).is_err());
    assert_eq!(counts(), (1, 1));
    // What is no constant has data for one row, which does not pile up.
    let sum: i64 = one(
        &conn,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000) \
         SELECT sum(length(prefixed(x || '', x))) FROM n",
    );
    assert_eq!(sum, 2 * (9 + 180 + 2700 + 4));
    assert_eq!(counts(), (1000, 1000));
    // Data of another type is none.
    conn.create_scalar_function_with("aux", FunctionOptions::new().arguments(1), |call| {
        let number: &i64 = call.auxiliary(0, || Ok(call.get::<i64>(0)?))?;
        let text: &String = call.auxiliary(0, || Ok(format!("{number}!")))?;
        Ok(format!("{number}{text}"))
    })
    .unwrap();
    assert_eq!(one::<String>(&conn, "SELECT aux(4)"), "44!");
    // Data that is alive at close.
    {
        let mut left = conn.prepare(sql).unwrap();
        let mut rows = left.query(("d",)).unwrap();
        rows.next().unwrap();
        std::mem::forget(rows);
        std::mem::forget(left);
    }
    drop(statement);
    conn.close().unwrap();
    assert_eq!(counts(), (1, 1));
}

/// SQLite releases data that is replaced, while the call goes on to borrow it, and reads.
#[test]
fn rule_15_auxiliary_data_that_is_replaced_lives_until_the_call_returns() {
    let conn = open();
    let dropped = Arc::new(AtomicUsize::new(0));
    let dropping = Arc::clone(&dropped);
    conn.create_scalar_function_with("replaced", FunctionOptions::new().arguments(1), move |call| {
        let (first, _counted) = call.auxiliary(0, || Ok((call.get::<String>(0)?, Counted(Arc::clone(&dropping)))))?;
        let second: &i64 = call.auxiliary(0, || Ok(7_i64))?;
        let rows: i64 = call.connection().query_one("SELECT count(*) FROM (VALUES (1), (2))", ())?;
        Ok(format!("{first} {second} {rows} {}", dropping.load(Ordering::Relaxed)))
    })
    .unwrap();
    assert_eq!(one::<String>(&conn, "SELECT replaced('a text')"), "a text 7 2 0");
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn rule_15_auxiliary_data_that_panics_in_drop_is_a_panic_of_the_call() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in the drop of auxiliary data");
            }
        }
    }
    let conn = open();
    conn.create_scalar_function_with("bomb", FunctionOptions::new().arguments(1), |call| {
        call.auxiliary(0, || Ok(Bomb))?;
        Ok(1)
    })
    .unwrap();
    let payload = panic_of(|| conn.query_all::<i64>("SELECT bomb('a')", ()));
    assert!(payload.contains("in the drop of auxiliary data"), "{payload}");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

#[test]
fn a_function_reads_through_its_own_connection() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE rates(name TEXT PRIMARY KEY, rate REAL); INSERT INTO rates VALUES ('a', 2), ('b', 4)",
    )
    .unwrap();
    conn.create_scalar_function_with("rate", FunctionOptions::new().arguments(1), |call| {
        let db = call.connection();
        let name: &str = call.get(0)?;
        let rate: Option<f64> = db.query_optional("SELECT rate FROM rates WHERE name = ?", (name,))?;
        assert_eq!(db.exists("SELECT 1 FROM rates WHERE name = ?", (name,))?, rate.is_some());
        assert_eq!(db.query_all::<String>("SELECT name FROM rates ORDER BY name", ())?, ["a", "b"]);
        assert_eq!(db.query_one::<i64>("SELECT count(*) FROM rates", ())?, 2);
        Ok(rate)
    })
    .unwrap();
    let found: Vec<Option<f64>> = conn.query_all("SELECT rate(column1) FROM (VALUES ('a'), ('b'), ('c'))", ()).unwrap();
    assert_eq!(found, [Some(2.0), Some(4.0), None]);
    // It may call itself, by another function, and each statement is prepared once.
    let prepared = finalite::handles::opened().cached_statements;
    assert_eq!(conn.query_all::<Option<f64>>("SELECT rate('a') FROM rates", ()).unwrap(), [Some(2.0); 2]);
    assert!(finalite::handles::opened().cached_statements >= prepared);
    conn.create_scalar_function_with("factorial", FunctionOptions::new().arguments(1), |call| {
        let n: i64 = call.get(0)?;
        Ok(if n < 2 { 1 } else { n * call.connection().query_one::<i64>("SELECT factorial(?)", (n - 1,))? })
    })
    .unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT factorial(10)"), 3_628_800);
}

#[test]
fn a_function_does_nothing_but_read() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    conn.create_scalar_function_with("run", FunctionOptions::new().arguments(1), |call| {
        call.connection().query_all::<Value>(call.get(0)?, ()).map(|_| 0).map_err(Into::into)
    })
    .unwrap();
    for sql in [
        "DELETE FROM t RETURNING a",
        "INSERT INTO t VALUES (2)",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "ATTACH ':memory:' AS other",
        "PRAGMA journal_mode",
        "PRAGMA foreign_keys = OFF",
        "CREATE TABLE u(a)",
        "VACUUM",
    ] {
        let error = conn.query_one::<i64>("SELECT run(?)", (sql,)).unwrap_err();
        let inner = error.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
        assert!(matches!(inner.kind(), ErrorKind::Misuse { .. }), "{sql}: {error}");
    }
    for (sql, part) in
        [("SELECT", "incomplete"), ("SELECT 1; SELECT 2", "after the first"), (" ", "empty"), ("SELECT 1\0", "NUL")]
    {
        let error = conn.query_one::<i64>("SELECT run(?)", (sql,)).unwrap_err();
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    assert_eq!(one::<i64>(&conn, "SELECT run('SELECT a FROM t')"), 0);
    // An error of the inner statement is the source of the outer one's.
    let error = conn.query_one::<i64>("SELECT run('SELECT a FROM nowhere')", ()).unwrap_err();
    let inner = error.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert_eq!(inner.sql(), Some("SELECT a FROM nowhere"));
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), 1);
}

// ---- replacing and removing

#[test]
fn registering_says_what_it_replaced() {
    let conn = open();
    assert_eq!(conn.create_scalar_function("f", |x: i64| x).unwrap(), Replaced::Nothing);
    assert_eq!(conn.create_scalar_function("F", |x: i64| x + 1).unwrap(), Replaced::Registered);
    assert_eq!(conn.create_scalar_function("f", |x: i64, _: i64| x).unwrap(), Replaced::Nothing);
    assert_eq!(conn.create_scalar_function_with("f", FunctionOptions::new(), |_| Ok(0)).unwrap(), Replaced::Nothing);
    assert_eq!(conn.create_scalar_function("length", |_: ValueRef<'_>| 5).unwrap(), Replaced::Other);
    assert_eq!(one::<(i64, i64, i64, i64)>(&conn, "SELECT f(1), f(1, 2), f(), length('a')"), (2, 1, 0, 5));
    assert!(conn.remove_function("f", Some(1)).unwrap());
    assert!(!conn.remove_function("f", Some(1)).unwrap());
    // SQLite remembers the number, and calls no other in its place.
    assert!(conn.prepare("SELECT f(1)").unwrap_err().to_string().starts_with("wrong number of arguments"));
    assert_eq!(one::<(i64, i64)>(&conn, "SELECT f(), f(1, 2)"), (0, 1));
    assert_eq!(conn.create_scalar_function("f", |x: i64| x).unwrap(), Replaced::Nothing);
    assert_eq!(one::<i64>(&conn, "SELECT f(1)"), 1);
    assert!(conn.remove_function("f", Some(1)).unwrap());
    assert!(conn.remove_function("F", None).unwrap() && conn.remove_function("f", Some(2)).unwrap());
    assert!(conn.prepare("SELECT f(1)").unwrap_err().to_string().starts_with("no such function: f"));
    assert!(!conn.remove_function("nul\0", None).unwrap());
}

/// What is replaced is asked of SQLite. An authorizer may forbid that; any other error is the registration's.
#[test]
fn a_list_of_functions_that_cannot_be_read_is_told() {
    let conn = open();
    let stop = conn.on_progress(1, || ControlFlow::Break(())).unwrap();
    for error in [
        conn.create_scalar_function("length", |_: ValueRef<'_>| 5).map(drop),
        conn.create_rtree_geometry("length", |_, _| Ok(true)).map(drop),
        conn.create_math_functions().map(drop),
    ] {
        assert!(error.as_ref().is_err_and(Error::is_interrupted), "{error:?}");
    }
    drop(stop);
    assert_eq!(one::<i64>(&conn, "SELECT length('a')"), 1, "nothing was registered");
    for answer in [Access::Deny, Access::Ignore] {
        let _subscription = conn
            .set_authorizer(move |request| match request.action {
                Action::Pragma { pragma: "function_list", .. } => answer,
                _ => Access::Allow,
            })
            .unwrap();
        assert_eq!(conn.create_scalar_function("upper", |_: ValueRef<'_>| 5).unwrap(), Replaced::Nothing);
        assert_eq!(one::<i64>(&conn, "SELECT upper('a')"), 5);
        assert!(conn.remove_function("upper", Some(1)).unwrap());
    }
}

#[test]
fn a_cached_statement_calls_the_function_that_replaced_its_own() {
    let conn = open();
    for n in 0..5_i64 {
        conn.create_scalar_function("f", move || n).unwrap();
        assert_eq!(one::<i64>(&conn, "SELECT f()"), n);
    }
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.misses, stats.hits), (1, 4));
}

#[test]
fn rule_14_a_function_that_may_be_called_is_not_replaced() {
    let conn = open();
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Counted(Arc::clone(&dropped));
    conn.create_scalar_function("f", move |x: i64| {
        let _ = &counted;
        x
    })
    .unwrap();
    let mut statement = conn.prepare("SELECT f(column1) FROM (VALUES (1), (2))").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    for error in [
        conn.create_scalar_function("f", |x: i64| x).map(|_| true).unwrap_err(),
        conn.remove_function("f", Some(1)).unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(ResultCode::BUSY), "{error}");
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    drop(rows);
    conn.create_scalar_function("f", |x: i64| -x).unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [-1, -2]);
}

#[test]
fn names_that_sqlite_cannot_take_are_refused() {
    let conn = open();
    for name in ["", "nul\0", &"x".repeat(256)] {
        let error = conn.create_scalar_function(name, || 1).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }
    conn.create_scalar_function(&"x".repeat(255), || 1).unwrap();
    conn.create_scalar_function("naïve name", || 2).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT \"naïve name\"()"), 2);
    let error = conn.create_scalar_function_with("f", FunctionOptions::new().arguments(128), |_| Ok(1)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    conn.create_scalar_function_with("f", FunctionOptions::new().arguments(127), |_| Ok(1)).unwrap();
}

#[test]
fn closures_go_at_close_and_are_listed_until_then() {
    let conn = open();
    let dropped = Arc::new(AtomicUsize::new(0));
    for name in ["one", "two"] {
        let counted = Counted(Arc::clone(&dropped));
        conn.create_scalar_function(name, move |x: i64| {
            let _ = &counted;
            x
        })
        .unwrap();
    }
    let line = line!() - 6;
    let id = |record: &finalite::handles::OpenHandle| record.parent;
    let records = finalite::handles::live().records;
    let connection = records
        .iter()
        .find(|record| record.kind == finalite::handles::HandleKind::Callback && record.opened_at.line() == line)
        .and_then(id);
    let mut mine: Vec<_> = records
        .iter()
        .filter(|record| record.kind == finalite::handles::HandleKind::Callback && record.parent == connection)
        .map(|record| record.sql.as_deref().unwrap().to_owned())
        .collect();
    mine.sort();
    assert_eq!(mine, ["function one(1)", "function two(1)"]);
    conn.remove_function("one", Some(1)).unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    conn.close().unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

// ---- flags, and where SQL may use a function

#[test]
fn a_deterministic_function_is_called_once_for_constants() {
    let conn = open();
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = |calls: &Arc<AtomicUsize>| {
        let calls = Arc::clone(calls);
        move |x: i64| {
            calls.fetch_add(1, Ordering::Relaxed);
            x
        }
    };
    conn.create_scalar_function("pure", deterministic(counting(&calls))).unwrap();
    conn.create_scalar_function("impure", counting(&calls)).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3), (4)").unwrap();
    assert_eq!(conn.query_all::<i64>("SELECT pure(7) FROM t", ()).unwrap(), [7; 4]);
    assert_eq!(calls.swap(0, Ordering::Relaxed), 1);
    assert_eq!(conn.query_all::<i64>("SELECT impure(7) FROM t", ()).unwrap(), [7; 4]);
    assert_eq!(calls.swap(0, Ordering::Relaxed), 4);
}

#[test]
fn a_deterministic_function_serves_indexes_generated_columns_and_checks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("functions.db");
    let register = |conn: &Connection| {
        conn.create_scalar_function("folded", deterministic(|x: &str| x.to_lowercase())).unwrap();
        conn.create_scalar_function("is_even", deterministic(|x: i64| x % 2 == 0)).unwrap();
        conn.create_scalar_function("plain", |x: &str| x.to_lowercase()).unwrap();
    };
    {
        let conn = Connection::open(&path).unwrap();
        register(&conn);
        conn.execute_batch(
            "CREATE TABLE t(name TEXT, n INTEGER CHECK (is_even(n)), low TEXT AS (folded(name)), \
                            kept TEXT AS (folded(name)) STORED);
             CREATE INDEX by_name ON t(folded(name));
             CREATE INDEX of_even ON t(n) WHERE is_even(n);
             CREATE VIEW v AS SELECT folded(name) AS name FROM t;
             CREATE TABLE log(name TEXT);
             CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (folded(new.name)); END;
             INSERT INTO t(name, n) VALUES ('ÅSA', 2), ('Bo', 4);",
        )
        .unwrap();
        assert!(conn.execute("INSERT INTO t(name, n) VALUES ('x', 3)", ()).unwrap_err().constraint().is_some());
        assert_eq!(one::<(String, String)>(&conn, "SELECT low, kept FROM t WHERE folded(name) = 'åsa'").0, "åsa");
        let plan: String = conn
            .query_row("EXPLAIN QUERY PLAN SELECT 1 FROM t WHERE folded(name) = 'bo'", (), |row| row.get("detail"))
            .unwrap();
        assert!(plan.contains("by_name"), "{plan}");
        assert_eq!(conn.query_all::<String>("SELECT name FROM v ORDER BY 1", ()).unwrap(), ["bo", "åsa"]);
        assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM log"), 2);
        for sql in ["CREATE INDEX no ON t(plain(name))", "CREATE TABLE u(a, b AS (plain(a)))"] {
            let error = conn.execute_batch(sql).unwrap_err().to_string();
            assert!(error.contains("non-deterministic"), "{sql}: {error}");
        }
    }
    // Opened without them, the file is readable where nothing needs them.
    let conn = Connection::open(&path).unwrap();
    assert_eq!(conn.query_all::<String>("SELECT name FROM t ORDER BY n", ()).unwrap(), ["ÅSA", "Bo"]);
    for sql in ["SELECT low FROM t", "SELECT * FROM v", "INSERT INTO t(name, n) VALUES ('x', 2)"] {
        let error = conn.query_all::<Value>(sql, ()).unwrap_err().to_string();
        assert!(error.contains("no such function") || error.contains("unknown function"), "{sql}: {error}");
    }
    register(&conn);
    assert_eq!(conn.query_all::<String>("SELECT low FROM t ORDER BY n", ()).unwrap(), ["åsa", "bo"]);
    assert_eq!(one::<String>(&conn, "PRAGMA integrity_check"), "ok");
}

#[test]
fn direct_only_and_innocuous_decide_who_may_call() {
    let conn = open();
    conn.create_scalar_function("direct", direct_only(|| 1)).unwrap();
    conn.create_scalar_function("harmless", innocuous(|| 2)).unwrap();
    conn.create_scalar_function("usual", || 3).unwrap();
    conn.execute_batch(
        "CREATE VIEW a AS SELECT direct(); CREATE VIEW b AS SELECT harmless(); CREATE VIEW c AS SELECT usual();",
    )
    .unwrap();
    let may = |name: &str| conn.query_one::<i64>(&format!("SELECT * FROM {name}"), ()).is_ok();
    assert_eq!(one::<i64>(&conn, "SELECT direct() + harmless() + usual()"), 6);
    assert_eq!((may("a"), may("b"), may("c")), (false, true, true));
    conn.set_pragma("trusted_schema", false).unwrap();
    assert_eq!((may("a"), may("b"), may("c")), (false, true, false));
}
