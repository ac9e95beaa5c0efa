//! Cell by cell: tables of generated values, by each form of reading.

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Value, params_from_iter};
use finalite_arrow::{Error, Options, RecordBatchStream, for_each_record_batch, record_batches};

use crate::{all, cells, database};

/// A generator of small numbers, which repeats for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn value(&mut self, declared: &str) -> Value {
        if self.below(4) == 0 {
            return Value::Null;
        }
        let number = self.below(1 << 31);
        let length = if self.below(20) == 0 { 3_000 } else { self.below(30) };
        match declared {
            "INTEGER" => {
                Value::Integer(i64::from(u32::try_from(number).unwrap()).wrapping_mul(-7_919) << self.below(20))
            }
            "REAL" => Value::Real(f64::from(u32::try_from(number).unwrap()) / 3.0),
            "TEXT" => {
                Value::Text((0..length).map(|i| char::from_u32(0x20 + (i as u32 * 13) % 0x400).unwrap()).collect())
            }
            "BLOB" => Value::Blob((0..length).map(|i| (i % 251) as u8).collect()),
            other => panic!("{other}"),
        }
    }
}

const TYPES: [&str; 4] = ["INTEGER", "REAL", "TEXT", "BLOB"];

/// Creates a table `t` of generated values.
fn generated(seed: u64, rows: usize, columns: usize, path: Option<&std::path::Path>) -> Connection {
    let mut random = Random(seed);
    let mut conn = path.map_or_else(Connection::open_in_memory, Connection::open).unwrap();
    let types: Vec<&str> = (0..columns).map(|column| TYPES[column % 4]).collect();
    let declared: Vec<String> = types.iter().enumerate().map(|(i, declared)| format!("c{i} {declared}")).collect();
    conn.execute(&format!("CREATE TABLE t({})", declared.join(",")), ()).unwrap();
    let transaction = conn.transaction().unwrap();
    {
        let sql = format!("INSERT INTO t VALUES ({})", vec!["?"; columns].join(","));
        let mut insert = transaction.prepare(&sql).unwrap();
        for _ in 0..rows {
            let values: Vec<Value> = types.iter().map(|declared| random.value(declared)).collect();
            insert.execute(params_from_iter(values)).unwrap();
        }
    }
    transaction.commit().unwrap();
    conn
}

fn rows_of(conn: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        all.push((0..row.column_count()).map(|column| row.get::<Value>(column).unwrap()).collect());
    }
    all
}

#[test]
fn every_form_has_the_rows_of_the_statement() {
    for (seed, rows, columns) in [(1, 0, 4), (2, 1, 4), (3, 999, 8), (4, 1_000, 4), (5, 5_001, 8), (6, 300, 120)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.db");
        let conn = generated(seed, rows, columns, Some(&path));
        let expected = rows_of(&conn, "SELECT * FROM t");
        assert_eq!(expected.len(), rows);
        let of = |batches: &[RecordBatch]| assert!(cells(batches) == expected, "seed {seed}");
        let options = Options::new().rows(1_000);
        of(&all(record_batches(conn.scan("SELECT * FROM t", ())).unwrap()));
        of(&all(options.record_batches(conn.scan("SELECT * FROM t", ())).unwrap()));
        of(&all(options.clone().large(true).record_batches(conn.scan("SELECT * FROM t", ())).unwrap()));
        for threads in [1, 2] {
            let scan = conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).threads(threads);
            of(&all(options.record_batches(scan).unwrap()));
        }
        let mut batches = vec![];
        let count = options.for_each_record_batch(conn.scan_table("t").all_columns(), |batch| {
            batches.push(batch);
            Ok::<(), Error>(())
        });
        assert_eq!(count.unwrap(), rows as u64);
        of(&batches);
        let stream = options.stream(conn, |conn| conn.scan_table("t").all_columns()).unwrap();
        of(&all(stream));
    }
}

/// Control test: the comparison sees one byte.
#[test]
fn a_changed_cell_is_seen() {
    let conn = generated(3, 100, 4, None);
    let before = cells(&all(record_batches(conn.scan("SELECT * FROM t", ())).unwrap()));
    conn.execute("UPDATE t SET c3 = x'00' WHERE rowid = 57", ()).unwrap();
    assert!(rows_of(&conn, "SELECT * FROM t") != before);
}

#[test]
fn batches_have_the_number_of_rows() {
    let conn = generated(7, 2_500, 1, None);
    let scan = || conn.scan("SELECT * FROM t", ());
    let sizes = |rows| -> Vec<usize> {
        let reader = Options::new().rows(rows).record_batches(scan()).unwrap();
        reader.map(|batch| batch.unwrap().num_rows()).collect()
    };
    assert_eq!(sizes(1_000), [1_000, 1_000, 500]);
    assert_eq!(sizes(2_500), [2_500]);
    assert_eq!(sizes(usize::MAX), [2_500]);
    assert!(matches!(Options::new().rows(0).record_batches(scan()), Err(Error::Sqlite(_))));
}

#[test]
fn a_result_without_rows_has_its_schema() {
    let conn = database("CREATE TABLE t(a INTEGER, b DATE, c)");
    let reader = record_batches(conn.scan("SELECT *, 1 + 1 AS d FROM t", ())).unwrap();
    let types: Vec<DataType> = reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Date32, DataType::Null, DataType::Null]);
    assert_eq!(reader.len(), 0);
    let mut sizes = vec![];
    let rows = for_each_record_batch(conn.scan("SELECT * FROM t", ()), |batch| {
        sizes.push((batch.num_rows(), batch.num_columns()));
        Ok::<(), Error>(())
    });
    assert_eq!((rows.unwrap(), sizes), (0, vec![(0, 3)]));
    let stream = RecordBatchStream::start(conn, |conn| conn.scan("SELECT * FROM t", ())).unwrap();
    assert_eq!(stream.schema().fields().len(), 3);
    assert_eq!(stream.count(), 0);
}

#[test]
fn a_statement_without_columns_has_no_batches() {
    let conn = database("CREATE TABLE t(a INTEGER)");
    let reader = record_batches(conn.scan("INSERT INTO t VALUES (1), (2)", ())).unwrap();
    assert_eq!((reader.schema().fields().len(), reader.len()), (0, 0));
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
}

#[test]
fn what_the_statement_returns_is_read() {
    let conn = database("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)");
    let batches = all(record_batches(conn.scan("INSERT INTO t(b) VALUES ('x'), ('y') RETURNING *", ())).unwrap());
    let expected = [[Value::Integer(1), Value::Text("x".into())], [Value::Integer(2), Value::Text("y".into())]];
    assert_eq!(cells(&batches), expected);
}

#[test]
fn texts_that_are_not_utf8_are_named_and_left_out() {
    let conn = database(
        "CREATE TABLE t(a TEXT);
         INSERT INTO t VALUES ('one'), (NULL), (CAST(x'ff' AS TEXT)), ('é'), (CAST(x'c3' AS TEXT)), ('');",
    );
    let scan = || conn.scan("SELECT a FROM t", ());
    let error = record_batches(scan()).unwrap_err();
    assert!(error.to_string().starts_with("row 2, column 0 (a): TEXT does not fit Utf8: it is not UTF-8;"), "{error}");
    let options = Options::new().mismatch(finalite_arrow::Mismatch::Null);
    let texts = [Some("one"), None, None, Some("é"), None, Some("")];
    let expected: Vec<Vec<Value>> =
        texts.iter().map(|text| vec![text.map_or(Value::Null, |text| Value::Text(text.into()))]).collect();
    for options in [options.clone(), options.clone().large(true)] {
        let batches = all(options.record_batches(scan()).unwrap());
        assert_eq!(cells(&batches), expected);
        // What is not UTF-8 is not in the memory either.
        let values = batches[0].column(0).to_data();
        assert!(str::from_utf8(values.buffers()[1].as_slice()).is_ok());
    }
}

/// Two characters whose bytes are cut between two values: together they are UTF-8.
#[test]
fn texts_are_checked_one_by_one() {
    let conn = database("CREATE TABLE t(a TEXT); INSERT INTO t VALUES (CAST(x'61c3' AS TEXT)), (CAST(x'a9' AS TEXT));");
    let error = record_batches(conn.scan("SELECT a FROM t", ())).unwrap_err();
    assert!(matches!(error, Error::Value { row: 0, column: 0, .. }), "{error}");
}

#[test]
fn rows_are_counted_over_batches() {
    let conn = database(
        "CREATE TABLE t(a INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO t SELECT i FROM n;
         UPDATE t SET a = 'x' WHERE a = 2346;",
    );
    let mut read = 0;
    let scan = conn.scan("SELECT a FROM t", ());
    let error = Options::new().rows(100).for_each_record_batch(scan, |batch| {
        read += batch.num_rows();
        Ok::<(), Error>(())
    });
    assert!(matches!(error, Err(Error::Value { row: 2_345, column: 0, .. })), "{error:?}");
    assert_eq!(read, 2_300);
}

#[test]
fn an_error_of_the_closure_ends_the_scan() {
    let conn = generated(9, 5_000, 1, None);
    let mut calls = 0;
    #[derive(Debug)]
    struct Mine;
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            panic!("no error of reading is expected")
        }
    }
    let result = Options::new().rows(10).for_each_record_batch(conn.scan("SELECT * FROM t", ()), |_| {
        calls += 1;
        if calls == 3 { Err(Mine) } else { Ok(()) }
    });
    assert!(matches!(result, Err(Mine)));
    assert_eq!(calls, 3);
}
