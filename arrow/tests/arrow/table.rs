//! Record batches as tables.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use finalite::{Connection, ErrorKind};
use finalite_arrow::{Error, create_batch_table, insert_record_batches};

fn batch(from: i64, rows: i64) -> RecordBatch {
    let range = from..from + rows;
    let values = |n: i64| (n % 3 > 0).then_some(n);
    let columns: [(&str, ArrayRef); 9] = [
        ("i", Arc::new(Int64Array::from_iter(range.clone().map(values)))),
        ("r", Arc::new(Float64Array::from_iter(range.clone().map(|n| values(n).map(|n| n as f64 / 2.0))))),
        ("s", Arc::new(StringArray::from_iter(range.clone().map(|n| values(n).map(|n| format!("text {n}")))))),
        ("b", Arc::new(BinaryArray::from_iter(range.clone().map(|n| values(n).map(|n| n.to_be_bytes()))))),
        ("flag", Arc::new(BooleanArray::from_iter(range.clone().map(|n| Some(n % 2 == 0))))),
        ("day", Arc::new(Date32Array::from_iter(range.clone().map(|n| i32::try_from(n).ok())))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter(range.clone().map(|n| Some(n * 1_000_001))))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter(range.clone().map(|n| Some(i128::from(n))))
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        (
            "word",
            Arc::new(range.map(|n| if n % 2 == 0 { "even" } else { "odd" }).collect::<DictionaryArray<Int32Type>>()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// Returns all values as text of SQL.
fn rows(conn: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| {
        (0..row.column_count()).map(|column| Ok(finalite::sql::quote_literal(row.value(column)?))).collect()
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The table has what the same batches are when they are inserted.
#[test]
fn a_table_has_the_values_that_are_inserted() {
    let conn = Connection::open_in_memory().unwrap();
    let batches = [batch(0, 5), batch(0, 0), batch(5, 1), batch(6, 100)];
    create_batch_table(&conn, "lent", &batches[0].schema(), batches.clone()).unwrap();
    conn.execute(
        "CREATE TABLE kept(i INTEGER, r REAL, s TEXT, b BLOB, flag BOOLEAN, day TEXT, time TEXT, price, word TEXT)",
        (),
    )
    .unwrap();
    insert_record_batches(&conn, "kept", batches.map(Ok)).unwrap();
    for sql in [
        "SELECT rowid, * FROM ? ORDER BY rowid",
        "SELECT s FROM ? WHERE rowid = 5",
        "SELECT s FROM ? WHERE rowid = 6",
        "SELECT s FROM ? WHERE rowid = 7 OR rowid = 106 OR rowid = 107 OR rowid = 0 OR rowid = '8' OR rowid = 9.5",
        "SELECT word, count(*), sum(r), min(day), max(time) FROM ? GROUP BY word",
        "SELECT a.i, b.s FROM ? a JOIN ? b ON a.rowid = b.rowid + 1 WHERE a.flag",
        "SELECT count(*) FROM ? WHERE i IS NULL",
        "SELECT i FROM ? WHERE s > 'text 9' ORDER BY i DESC",
    ] {
        let of = |table: &str| rows(&conn, &sql.replace('?', table));
        assert_eq!(of("lent"), of("kept"), "{sql}");
    }
    assert!(conn.execute("DELETE FROM lent", ()).unwrap_err().to_string().contains("may not be modified"));
}

#[test]
fn what_is_no_table_is_refused() {
    let conn = Connection::open_in_memory().unwrap();
    let one = batch(0, 1);
    let other = Arc::new(Schema::new(vec![Field::new("i", DataType::Utf8, true)]));
    let refused = create_batch_table(&conn, "t", &other, [one]).unwrap_err();
    assert!(matches!(refused, Error::Arrow(_)), "{refused}");
    let lists: ArrayRef = Arc::new(ListArray::new_null(Arc::new(Field::new("item", DataType::Int64, true)), 1));
    let lists = RecordBatch::try_from_iter([("l", lists)]).unwrap();
    let refused = create_batch_table(&conn, "t", &lists.schema(), [lists]).unwrap_err();
    assert!(matches!(refused, Error::Insert { column: 0, .. }), "{refused}");

    let large: ArrayRef = Arc::new(UInt64Array::from(vec![1, u64::MAX]));
    let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0]));
    let values = RecordBatch::try_from_iter([("large", large), ("nan", nan)]).unwrap();
    create_batch_table(&conn, "t", &values.schema(), [values]).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT large FROM t WHERE rowid = 1", ()).unwrap(), 1);
    for (sql, place) in [("SELECT large FROM t", "row 2, column large"), ("SELECT nan FROM t", "row 1, column nan")] {
        let error = conn.query_all::<f64>(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::VirtualTable { method: "column", .. }), "{error:?}");
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[test]
fn batches_are_let_go_with_their_module() {
    let conn = Connection::open_in_memory().unwrap();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("i", Arc::clone(&column))]).unwrap();
    let owners = Arc::strong_count(&column);
    create_batch_table(&conn, "t", &batch.schema(), [batch.clone()]).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT sum(i) FROM t", ()).unwrap(), 6);
    assert_eq!(Arc::strong_count(&column), owners + 1);
    conn.remove_module("t").unwrap();
    assert_eq!(Arc::strong_count(&column), owners);
    create_batch_table(&conn, "t", &batch.schema(), [batch]).unwrap();
    conn.close().unwrap();
    assert_eq!(Arc::strong_count(&column), owners - 1);
}
