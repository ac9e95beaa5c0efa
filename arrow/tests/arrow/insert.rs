//! Rows of batches into tables.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Int8Type, TimestampSecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeBinaryArray, LargeStringArray,
    ListArray, NullArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray, StringViewArray,
    Time32SecondArray, Time64NanosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{ArrowError, Schema};
use finalite::insert::InsertStrategy;
use finalite::{Connection, ErrorKind, Value};
use finalite_arrow::{Error, InsertOptions, OnConflict, insert_record_batches, record_batches};

use crate::{all, cells, database};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn ints(name: &str, values: Vec<i64>) -> RecordBatch {
    batch(vec![(name, Arc::new(Int64Array::from(values)))])
}

fn count(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM t", ()).unwrap()
}

/// Inserts one column into a column without a type, and returns its values.
fn stored(array: ArrayRef) -> Result<Vec<Value>, Error> {
    let conn = database("CREATE TABLE t(a)");
    let result = insert_record_batches(&conn, "t", [Ok(batch(vec![("a", array)]))]);
    let values: Vec<Value> = conn.query_all("SELECT a FROM t", ()).unwrap();
    match result {
        Ok(rows) => {
            assert_eq!(rows, values.len() as u64);
            Ok(values)
        }
        Err(error) => {
            assert!(values.is_empty() && conn.is_autocommit());
            Err(error)
        }
    }
}

#[test]
fn every_type_has_its_value() {
    let text = |text: &str| Value::Text(text.into());
    let cases: Vec<(ArrayRef, Vec<Value>)> = vec![
        (Arc::new(NullArray::new(2)), vec![Value::Null, Value::Null]),
        (Arc::new(BooleanArray::from(vec![Some(true), None])), vec![Value::Integer(1), Value::Null]),
        (Arc::new(Int8Array::from(vec![-128])), vec![Value::Integer(-128)]),
        (Arc::new(UInt64Array::from(vec![i64::MAX as u64])), vec![Value::Integer(i64::MAX)]),
        (Arc::new(Float32Array::from(vec![0.5])), vec![Value::Real(0.5)]),
        (Arc::new(Float64Array::from(vec![f64::INFINITY, -0.0])), vec![Value::Real(f64::INFINITY), Value::Real(-0.0)]),
        (Arc::new(StringArray::from(vec![Some("é"), None, Some("")])), vec![text("é"), Value::Null, text("")]),
        (Arc::new(LargeStringArray::from(vec!["a"])), vec![text("a")]),
        (Arc::new(StringViewArray::from(vec!["a text that is not inline"])), vec![text("a text that is not inline")]),
        (Arc::new(BinaryArray::from(vec![&b"\0"[..]])), vec![Value::Blob(vec![0])]),
        (Arc::new(LargeBinaryArray::from(vec![&b""[..]])), vec![Value::Blob(vec![])]),
        (Arc::new(BinaryViewArray::from(vec![&b"x"[..]])), vec![Value::Blob(b"x".to_vec())]),
        (
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].into_iter()).unwrap()),
            vec![Value::Blob(vec![1, 2])],
        ),
        (Arc::new(Date32Array::from(vec![19_844, -1])), vec![text("2024-05-01"), text("1969-12-31")]),
        (Arc::new(Date64Array::from(vec![86_400_000])), vec![text("1970-01-02")]),
        (Arc::new(Time32SecondArray::from(vec![3_661])), vec![text("01:01:01")]),
        (Arc::new(Time64NanosecondArray::from(vec![1_000_000])), vec![text("00:00:00.001")]),
        (Arc::new(PrimitiveArray::<TimestampSecondType>::from(vec![60])), vec![text("1970-01-01 00:01:00")]),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("Europe/Berlin")),
            vec![text("1970-01-01 00:00:00.000001+00:00")],
        ),
        (
            Arc::new(PrimitiveArray::<Decimal128Type>::from(vec![-5, 1234]).with_precision_and_scale(10, 2).unwrap()),
            vec![text("-0.05"), text("12.34")],
        ),
        (
            Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("x"), None, Some("y"), Some("x")])),
            vec![text("x"), Value::Null, text("y"), text("x")],
        ),
    ];
    for (array, expected) in cases {
        let data_type = array.data_type().clone();
        let all = stored(Arc::clone(&array)).unwrap();
        assert_eq!(all, expected, "{data_type}");
        // A slice has an offset.
        assert_eq!(stored(array.slice(1, array.len() - 1)).unwrap(), expected[1..], "{data_type}");
    }
}

#[test]
fn what_sqlite_has_not_is_refused() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>([Some(vec![Some(1)])]));
    let cases: Vec<(ArrayRef, &str)> = vec![
        (list, "batch row 0, column 0 (a): List(Int8) cannot be inserted: the type has no counterpart in SQLite"),
        (
            Arc::new(Float64Array::from(vec![1.0, f64::NAN])),
            "batch row 1, column 0 (a): Float64 cannot be inserted: SQLite stores NaN as NULL",
        ),
        (
            Arc::new(UInt64Array::from(vec![1, 2, u64::MAX])),
            "batch row 2, column 0 (a): UInt64 cannot be inserted: it is out of range",
        ),
        (
            Arc::new(Date64Array::from(vec![i64::MAX])),
            "batch row 0, column 0 (a): Date64 cannot be inserted: it is out of range",
        ),
    ];
    for (array, expected) in cases {
        assert_eq!(stored(array).unwrap_err().to_string(), expected);
    }
    // A year of five digits, which finalite refuses when it writes the text.
    let error = stored(Arc::new(Date32Array::from(vec![3_000_000]))).unwrap_err();
    assert!(error.to_string().starts_with("batch row 0: ") && error.to_string().contains("0000 to 9999"), "{error}");
}

#[test]
fn columns_are_found_by_name() {
    let conn = database("CREATE TABLE \"a \"\"table\"(x INTEGER DEFAULT 7, \"the y\", z TEXT)");
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["z"]));
    let rows = batch(vec![("Z", text), ("the y", one)]);
    insert_record_batches(&conn, "main.a \"table", [Ok(rows)]).unwrap();
    let all: (i64, i64, String) = conn.query_one("SELECT * FROM \"a \"\"table\"", ()).unwrap();
    assert_eq!(all, (7, 1, "z".into()));
    let error = insert_record_batches(&conn, "a \"table", [Ok(ints("nowhere", vec![1]))]).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(insert_record_batches(&conn, "no_table", [Ok(ints("x", vec![1]))]).is_err());
    assert!(conn.is_autocommit());
}

#[test]
fn all_rows_are_inserted_or_none() {
    let mut conn = database("CREATE TABLE t(a INTEGER UNIQUE)");
    let batches = || [Ok(ints("a", vec![1, 2])), Ok(ints("a", vec![3, 1]))];
    let error = insert_record_batches(&conn, "t", batches()).unwrap_err();
    assert!(matches!(&error, Error::Row { row: 3, source } if source.constraint().is_some()), "{error}");
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));

    // In a transaction, what was there before stays.
    let transaction = conn.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (100)", ()).unwrap();
    assert!(insert_record_batches(&transaction, "t", batches()).is_err());
    assert_eq!(insert_record_batches(&transaction, "t", [Ok(ints("a", vec![5]))]).unwrap(), 1);
    transaction.commit().unwrap();
    let all: Vec<i64> = conn.query_all("SELECT a FROM t ORDER BY a", ()).unwrap();
    assert_eq!(all, [5, 100]);

    // An error of the reader.
    let failing = [Ok(ints("a", vec![7])), Err(ArrowError::ComputeError("on purpose".into()))];
    assert!(matches!(insert_record_batches(&conn, "t", failing), Err(Error::Arrow(_))));
    assert_eq!(count(&conn), 2);

    // A panic of the reader.
    let panics = std::iter::once_with(|| panic!("on purpose"));
    let batches = [Ok(ints("a", vec![8]))].into_iter().chain(panics);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| insert_record_batches(&conn, "t", batches)));
    assert!(result.is_err());
    assert_eq!((count(&conn), conn.is_autocommit()), (2, true));
}

/// With a rollback journal, a commit waits for readers, and a rollback does not.
#[test]
fn undoing_does_not_wait_for_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.db");
    let conn = Connection::open(&path).unwrap();
    conn.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER UNIQUE); INSERT INTO t VALUES (1), (2);").unwrap();
    let reader = Connection::open(&path).unwrap();
    let mut rows = reader.prepare("SELECT a FROM t").unwrap().into_rows(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert!(matches!(insert_record_batches(&conn, "t", [Ok(ints("a", vec![3, 1]))]), Err(Error::Row { row: 1, .. })));
    assert!(conn.is_autocommit());
    // Control: a commit fails beside the reader, and is undone.
    let error = insert_record_batches(&conn, "t", [Ok(ints("a", vec![3]))]).unwrap_err();
    assert!(matches!(&error, Error::Sqlite(error) if error.is_busy()), "{error}");
    assert!(conn.is_autocommit());
    drop(rows);
    assert_eq!((count(&conn), insert_record_batches(&conn, "t", [Ok(ints("a", vec![3]))]).unwrap()), (2, 1));
}

#[test]
fn a_deferred_constraint_fails_at_the_end() {
    let conn = database(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE t(a INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);",
    );
    assert!(matches!(insert_record_batches(&conn, "t", [Ok(ints("a", vec![1]))]), Err(Error::Sqlite(_))));
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    conn.execute("INSERT INTO parent VALUES (1)", ()).unwrap();
    assert_eq!(insert_record_batches(&conn, "t", [Ok(ints("a", vec![1]))]).unwrap(), 1);
}

#[test]
fn a_trigger_that_rolls_back_leaves_no_transaction() {
    let conn = database(
        "CREATE TABLE t(a INTEGER);
         CREATE TRIGGER stop BEFORE INSERT ON t WHEN new.a = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END;",
    );
    assert!(matches!(insert_record_batches(&conn, "t", [Ok(ints("a", vec![1, 2]))]), Err(Error::Row { row: 1, .. })));
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
}

#[test]
fn conflicts_are_resolved_as_asked() {
    let conn = database("CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'old'), (2, 'old');");
    let insert = |policy| {
        InsertOptions::new().on_conflict(policy).insert_record_batches(&conn, "t", [Ok(ints("a", vec![2, 3]))])
    };
    let all = || conn.query_all::<(i64, Option<String>)>("SELECT * FROM t", ()).unwrap();
    assert_eq!(insert(OnConflict::Ignore).unwrap(), 1);
    assert_eq!(all(), [(1, Some("old".into())), (2, Some("old".into())), (3, None)]);
    assert_eq!(insert(OnConflict::Replace).unwrap(), 2);
    assert_eq!(all(), [(1, Some("old".into())), (2, None), (3, None)]);
    assert!(insert(OnConflict::Abort).is_err());
}

#[test]
fn progress_may_end_it() {
    let conn = database("CREATE TABLE t(a INTEGER)");
    let mut seen = vec![];
    let options = InsertOptions::new().progress(2, |rows| {
        seen.push(rows);
        if rows == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let batches = [Ok(ints("a", vec![1, 2, 3])), Ok(ints("a", vec![4, 5]))];
    assert!(matches!(options.insert_record_batches(&conn, "t", batches), Err(Error::Stopped { row: 4 })));
    assert_eq!(seen, [2, 4]);
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
}

/// The iterator of the batches is code of the program.
#[test]
fn an_iterator_that_ends_the_transaction_ends_the_insertion() {
    for end in ["ROLLBACK", "ROLLBACK; BEGIN"] {
        for at in [1, 2] {
            let conn = database("CREATE TABLE t(a INTEGER)");
            let batches = (0..3).map_while(|index| {
                if index == at {
                    let _ = conn.execute_batch(end);
                }
                (index < 2).then(|| Ok(ints("a", vec![1, 2])))
            });
            let error = insert_record_batches(&conn, "t", batches).unwrap_err();
            let Error::Sqlite(error) = error else { panic!("{error}") };
            assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
            assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
        }
    }
}

#[test]
fn batches_may_be_empty_or_have_no_columns() {
    let conn = database("CREATE TABLE t(a INTEGER DEFAULT 5)");
    assert_eq!(insert_record_batches(&conn, "t", []).unwrap(), 0);
    assert_eq!(insert_record_batches(&conn, "t", [Ok(ints("a", vec![]))]).unwrap(), 0);
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(insert_record_batches(&conn, "t", [Ok(none)]).unwrap(), 3);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [5, 5, 5]);
}

#[test]
fn what_was_read_is_inserted_again() {
    let conn = database(
        "CREATE TABLE t(a INTEGER, b REAL, c TEXT, d BLOB, e BOOLEAN, f DATE, g TIMESTAMP, h DECIMAL(10, 2), i JSON);
         INSERT INTO t VALUES (1, 0.5, 'é', x'00ff', 1, '2024-05-01', '2024-05-01 12:30:00.25', 12.5, '[1]'),
                              (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
         CREATE TABLE u(a INTEGER, b REAL, c TEXT, d BLOB, e BOOLEAN, f DATE, g TIMESTAMP, h DECIMAL(10, 2), i JSON);",
    );
    let read = |table: &str| cells(&all(record_batches(conn.scan_table(table).all_columns()).unwrap()));
    let batches = record_batches(conn.scan_table("t").all_columns()).unwrap();
    assert_eq!(insert_record_batches(&conn, "u", batches).unwrap(), 2);
    assert_eq!(read("t"), read("u"));
    let differing = "SELECT a, b, c, d, e, f, h, i FROM t EXCEPT SELECT a, b, c, d, e, f, h, i FROM u";
    assert!(!conn.exists(differing, ()).unwrap());
}

#[test]
fn sqlite_reads_batches_where_they_are() {
    let conn = database("CREATE TABLE t(a INTEGER)");
    let mut plans = vec![];
    let mut insert = |conn: &Connection, batches: Vec<Result<RecordBatch, ArrowError>>| {
        let options = InsertOptions::new().on_end(|plan| plans.push(plan.strategy));
        options.insert_record_batches(conn, "t", batches).unwrap()
    };
    let many = || Ok(ints("a", (0..2000).collect()));
    assert_eq!(insert(&conn, vec![many(), many()]), 4000);
    conn.execute_batch("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END").unwrap();
    assert_eq!(insert(&conn, vec![many()]), 2000);
    assert_eq!(plans, [InsertStrategy::Columns, InsertStrategy::Rows]);
    assert_eq!(conn.query_one::<i64>("SELECT sum(a) FROM t", ()).unwrap(), 3 * 1999 * 1000);
}

/// Errors of rows far behind, of values that SQLite reads in place and of those that are converted before.
#[test]
fn rows_are_counted_over_batches() {
    let conn = database("CREATE TABLE t(a UNIQUE)");
    let batches = |last: ArrayRef| vec![Ok(ints("a", (0..1000).collect())), Ok(batch(vec![("a", last)]))];
    let numbers: Vec<f64> = (0..1000).map(|n| f64::from(n) + 0.5).collect();
    let with_nan = numbers.iter().map(|&n| if n == 700.5 { f64::NAN } else { n }).collect::<Vec<_>>();
    for (last, row) in [
        (Arc::new(Float64Array::from(with_nan)) as ArrayRef, 1700),
        (Arc::new(UInt64Array::from_iter_values((5000..5999).chain([u64::MAX]))), 1999),
    ] {
        let error = insert_record_batches(&conn, "t", batches(last)).unwrap_err();
        assert!(matches!(&error, Error::Insert { row: at, column: 0, .. } if *at == row), "{error}");
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    }
    let twice: ArrayRef = Arc::new(Int64Array::from_iter_values((1000..1900).chain([7])));
    let error = insert_record_batches(&conn, "t", batches(twice)).unwrap_err();
    assert!(matches!(&error, Error::Row { row: 1900, source } if source.is_constraint()), "{error}");
}
