//! Columns into tables, in bulk: `insert_columns`.

mod all_or_nothing;
mod errors;
mod plans;
mod rule_10;

use std::borrow::Cow;
use std::ops::ControlFlow;

use finalite::insert::{InsertColumn, InsertOptions, InsertPlan, InsertStrategy, OnConflict};
use finalite::scan::OnTypeMismatch;
use finalite::{Connection, OpenOptions, Param, ToSql, Value, ZeroBlob};

use crate::common::random::Random;

const BOTH: [InsertStrategy; 2] = [InsertStrategy::Columns, InsertStrategy::Rows];

fn open(schema: &str) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(schema).unwrap();
    conn
}

fn count(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM t", ()).unwrap()
}

/// Inserts by a strategy. Returns the result and the plan.
fn insert<'v>(
    conn: &Connection,
    strategy: InsertStrategy,
    columns: Vec<(&str, InsertColumn<'v>)>,
) -> (finalite::Result<u64>, Option<InsertPlan>) {
    let mut plan = None;
    let options = InsertOptions::new().strategy(strategy).on_end(|it| plan = Some(it));
    let result = options.insert_columns(conn, "t", columns);
    (result, plan)
}

/// Inserts one column into a column without a type by each strategy. Returns the values and their types.
fn stored<'v>(column: impl Fn() -> InsertColumn<'v>) -> Vec<(String, Value)> {
    let mut all = vec![];
    for (strategy, encoding) in BOTH.into_iter().flat_map(|strategy| [(strategy, "UTF-8"), (strategy, "UTF-16le")]) {
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        let (result, plan) = insert(&conn, strategy, vec![("a", column())]);
        assert_eq!((result.unwrap(), plan.unwrap().strategy), (column().len() as u64, strategy));
        all.push(conn.query_all("SELECT typeof(a), a FROM t ORDER BY rowid", ()).unwrap());
    }
    assert!(all.iter().all(|values| *values == all[0]), "{all:?}");
    all.swap_remove(0)
}

fn integers(values: &[i64]) -> Vec<(String, Value)> {
    values.iter().map(|&value| ("integer".into(), Value::Integer(value))).collect()
}

#[test]
fn every_type_is_stored_as_it_is() {
    assert_eq!(stored(|| (&[i8::MIN, 7]).into()), integers(&[-128, 7]));
    assert_eq!(stored(|| (&[i16::MIN, 7]).into()), integers(&[i16::MIN.into(), 7]));
    assert_eq!(stored(|| (&[i32::MIN, 7]).into()), integers(&[i32::MIN.into(), 7]));
    assert_eq!(stored(|| (&[i64::MIN, i64::MAX]).into()), integers(&[i64::MIN, i64::MAX]));
    assert_eq!(stored(|| (&[u16::MAX]).into()), integers(&[u16::MAX.into()]));
    assert_eq!(stored(|| (&[u32::MAX]).into()), integers(&[u32::MAX.into()]));
    let largest = [i64::MAX.cast_unsigned()];
    assert_eq!(stored(|| (&largest).into()), integers(&[i64::MAX]));
    assert_eq!(stored(|| (&[5_usize]).into()), integers(&[5]));
    assert_eq!(stored(|| (&[-5_isize]).into()), integers(&[-5]));
    assert_eq!(stored(|| (&[true, false]).into()), integers(&[1, 0]));
    let reals = [0.5, -0.0, f64::INFINITY, f64::MIN_POSITIVE];
    assert_eq!(stored(|| (&reals).into()), reals.map(|value| ("real".to_owned(), Value::Real(value))));
    assert_eq!(stored(|| (&[0.1_f32]).into()), [("real".to_owned(), Value::Real(0.1_f32.into()))]);
    let texts = ["", "ä\u{1f980}", "a 'quote'\0 and NUL"];
    let as_stored = texts.map(|text| ("text".to_owned(), Value::Text(text.into())));
    assert_eq!(stored(|| (&texts).into()), as_stored);
    let owned = texts.map(String::from);
    assert_eq!(stored(|| (&owned).into()), as_stored);
    let boxed = texts.map(Box::<str>::from);
    assert_eq!(stored(|| (&boxed).into()), as_stored);
    let cows = texts.map(Cow::from);
    assert_eq!(stored(|| (&cows).into()), as_stored);
    let blobs: [&[u8]; 3] = [b"", b"\0", &[0xff; 300]];
    let as_stored = blobs.map(|blob| ("blob".to_owned(), Value::Blob(blob.into())));
    assert_eq!(stored(|| (&blobs).into()), as_stored);
    let owned = blobs.map(Vec::from);
    assert_eq!(stored(|| (&owned).into()), as_stored);
    let values = vec![Value::Null, Value::Integer(1), Value::Real(1.5), Value::Text("x".into()), Value::Blob(vec![7])];
    let types = ["null", "integer", "real", "text", "blob"].map(String::from);
    assert_eq!(stored(|| (&values).into()), types.into_iter().zip(values.clone()).collect::<Vec<_>>());
}

#[test]
fn none_is_null() {
    let null = || ("null".to_owned(), Value::Null);
    assert_eq!(stored(|| (&[Some(7), None]).into()), [integers(&[7]).remove(0), null()]);
    assert_eq!(stored(|| (&[None::<f64>]).into()), [null()]);
    assert_eq!(stored(|| (&[None, Some("")]).into()), [null(), ("text".to_owned(), Value::Text(String::new()))]);
    assert_eq!(stored(|| (&[None::<String>]).into()), [null()]);
    let blobs = [None, Some(vec![])];
    assert_eq!(stored(|| (&blobs).into()), [null(), ("blob".to_owned(), Value::Blob(vec![]))]);
    assert_eq!(stored(|| (&[None::<Value>]).into()), [null()]);
}

#[test]
fn values_of_other_types_are_converted_first() {
    struct Celsius(i64);
    impl ToSql for Celsius {
        fn to_sql(&self) -> Param<'_> {
            Param::text(format!("{}°C", self.0))
        }
    }
    let text = |text: &str| ("text".to_owned(), Value::Text(text.into()));
    assert_eq!(stored(|| InsertColumn::from_values([Celsius(20), Celsius(-3)])), [text("20°C"), text("-3°C")]);
    assert_eq!(stored(|| InsertColumn::from_values([ZeroBlob(3)])), [("blob".to_owned(), Value::Blob(vec![0; 3]))]);
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(stored(|| InsertColumn::from_values(&names)), [text("a"), text("b")]);
}

#[test]
fn columns_of_a_scan_are_inserted_by_their_names() {
    let source = open(
        "CREATE TABLE t(a INTEGER, b REAL, c TEXT, d BLOB, e, f);
         INSERT INTO t VALUES (1, 0.5, 'é', x'00ff', 1, NULL), (NULL, NULL, NULL, NULL, 'two', NULL),
                              (3, 2.5, '', x'', 3.5, NULL), (4, -1.0, 'long', x'01', x'04', NULL);",
    );
    let batch = source.scan("SELECT * FROM t", ()).on_type_mismatch(OnTypeMismatch::Dynamic).columns().unwrap();
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(f, e, d BLOB, c TEXT, b REAL, a INTEGER)");
        let options = InsertOptions::new().strategy(strategy);
        assert_eq!(options.insert_batch(&conn, "t", &batch).unwrap(), 4);
        let all = |conn: &Connection| -> Vec<(Value, Value, Value, Value, Value, Value)> {
            conn.query_all("SELECT a, b, c, d, e, f FROM t ORDER BY rowid", ()).unwrap()
        };
        assert_eq!(all(&conn), all(&source), "{strategy:?}");
    }
    // A part of the columns, under other names.
    let conn = open("CREATE TABLE t(x DEFAULT 'x', y)");
    let column = batch.column("a").unwrap();
    assert_eq!(conn.insert_columns("t", [("y", column.into())]).unwrap(), 4);
    assert!(conn.exists("SELECT 1 FROM t WHERE x = 'x' AND y = 4", ()).unwrap());
}

#[test]
fn nothing_is_inserted_of_nothing() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a, b)");
        let none: [i64; 0] = [];
        let (result, plan) = insert(&conn, strategy, vec![("a", (&none).into()), ("b", (&none).into())]);
        assert_eq!((result.unwrap(), plan.unwrap().strategy), (0, strategy));
        assert_eq!(insert(&conn, strategy, vec![]).0.unwrap(), 0);
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    }
}

#[test]
fn tables_are_found_by_their_database() {
    let conn = open("ATTACH ':memory:' AS other; CREATE TABLE other.t(a); CREATE TABLE t(a); CREATE TEMP TABLE t(a);");
    let ids: Vec<i64> = (0..1000).collect();
    for table in ["other.t", "main.t", "temp.t"] {
        conn.insert_columns(table, [("A", (&ids).into())]).unwrap();
        assert_eq!(conn.query_one::<i64>(&format!("SELECT count(*) FROM {table}"), ()).unwrap(), 1000);
    }
    let conn = open("CREATE TABLE \"a \"\"table\"(\"the y\")");
    conn.insert_columns("a \"table", [("the y", (&ids).into())]).unwrap();
}

#[test]
fn conflicts_are_resolved_as_asked() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'old'), (2, 'old');");
        let insert = |policy| {
            let options = InsertOptions::new().strategy(strategy).on_conflict(policy);
            options.insert_columns(&conn, "t", [("a", (&[2, 3]).into())])
        };
        let all = || conn.query_all::<(i64, Option<String>)>("SELECT * FROM t", ()).unwrap();
        assert_eq!(insert(OnConflict::Ignore).unwrap(), 1);
        assert_eq!(all(), [(1, Some("old".into())), (2, Some("old".into())), (3, None)]);
        assert_eq!(insert(OnConflict::Replace).unwrap(), 2);
        assert_eq!(all(), [(1, Some("old".into())), (2, None), (3, None)]);
        assert_eq!(insert(OnConflict::Abort).unwrap_err().row(), Some(0));
        // A conflict clause of the table is kept.
        let conn = open("CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)");
        let options = InsertOptions::new().strategy(strategy);
        assert_eq!(options.insert_columns(&conn, "t", [("a", (&[1, 1, 2]).into())]).unwrap(), 2);
    }
}

#[test]
fn progress_is_told_between_the_parts() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a)");
        let ids: Vec<i64> = (0..10).collect();
        let mut seen = vec![];
        let options = InsertOptions::new().strategy(strategy).progress(3, |rows| {
            // The connection may be used.
            seen.push((rows, count(&conn)));
            ControlFlow::Continue(())
        });
        assert_eq!(options.insert_columns(&conn, "t", [("a", (&ids).into())]).unwrap(), 10);
        assert_eq!(seen, [(3, 3), (6, 6), (9, 9)]);
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t ORDER BY rowid", ()).unwrap(), ids);
    }
}

/// Generated columns into generated tables: both strategies store the same, or fail alike.
#[test]
fn both_strategies_store_the_same() {
    let mut random = Random::new(17, 3);
    let mut refused = 0;
    for _ in 0..300 {
        let (columns, rows) = (1 + random.below(6), random.below(40));
        let types = ["", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "ANY"];
        let declared: Vec<String> = (0..columns)
            .map(|column| {
                let constraint = random.pick(&["", "", "", "NOT NULL", "UNIQUE", "DEFAULT 7", "CHECK (x0 IS NOT 3)"]);
                format!("x{column} {} {constraint}", random.pick(&types))
            })
            .collect();
        let end = random.pick(&["", "", " STRICT"]);
        let schema = format!("CREATE TABLE t({}){end}", declared.join(", "));
        let index = if random.one_in(2) { "CREATE INDEX i ON t(x0)" } else { "" };
        let (one, other) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        // Not all types are those of a STRICT table.
        if one.execute_batch(&format!("{schema}; {index}")).is_err() {
            continue;
        }
        other.execute_batch(&format!("{schema}; {index}")).unwrap();
        let data: Vec<Vec<Value>> = (0..columns)
            .map(|_| {
                let kind = random.below(6);
                (0..rows).map(|_| value(&mut random, kind)).collect()
            })
            .collect();
        let policy = random.pick(&[OnConflict::Abort, OnConflict::Ignore, OnConflict::Replace]);
        let results = [(&one, BOTH[0]), (&other, BOTH[1])].map(|(conn, strategy)| {
            let named = data.iter().enumerate().map(|(column, values)| (format!("x{column}"), values.into()));
            let result = InsertOptions::new().strategy(strategy).on_conflict(policy).insert_columns(conn, "t", named);
            let sql = format!("SELECT rowid, {} FROM t", quoted(columns));
            let stored: Vec<String> =
                conn.query_all::<(i64, String)>(&sql, ()).unwrap().iter().map(|row| format!("{row:?}")).collect();
            let failed = result.as_ref().err().map(|error| (error.row(), error.extended_code()));
            (result.ok(), failed, stored, conn.last_insert_rowid(), conn.is_autocommit())
        });
        refused += usize::from(results[0].1.is_some());
        assert_eq!(results[0], results[1], "{schema}");
    }
    assert!(refused > 0);
}

/// All columns as one text.
fn quoted(columns: usize) -> String {
    (0..columns).map(|column| format!("quote(x{column})")).collect::<Vec<_>>().join(" || ',' || ")
}

fn value(random: &mut Random, kind: usize) -> Value {
    match if kind == 5 { random.below(5) } else { kind } {
        0 if random.one_in(2) => Value::Integer(i64::from_ne_bytes(random.next().to_ne_bytes())),
        0 => Value::Integer(i64::try_from(random.below(5)).unwrap()),
        1 => Value::Real(f64::from(u32::try_from(random.below(1000)).unwrap()) / 8.0),
        2 => Value::Text(random.pick(&["", "1", "2.0", "abc", "ä", "0x10", " 7 "]).to_owned()),
        3 => {
            let len = random.below(20);
            Value::Blob(random.bytes(len))
        }
        _ => Value::Null,
    }
}
