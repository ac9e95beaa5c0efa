//! Readers that own their connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{Array, RecordBatchReader, StructArray};
use finalite::{Connection, Value};
use finalite_arrow::{Error, Options, RecordBatchStream, export, export_batch, record_batches};

use crate::{all, cells, database};

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

#[test]
fn a_stream_may_be_endless() {
    let conn = Connection::open_in_memory().unwrap();
    let mut stream = Options::new().rows(10).stream(conn, |conn| conn.scan(NUMBERS, ())).unwrap();
    let sizes: Vec<usize> = stream.by_ref().take(3).map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(sizes, [10, 10, 10]);
    // Ends the thread, which waits for room.
    drop(stream);
}

#[test]
fn a_stream_that_is_dropped_interrupts_its_statement() {
    let conn = Connection::open_in_memory().unwrap();
    let (entered, wait) = std::sync::mpsc::channel();
    let rows = AtomicU64::new(0);
    conn.create_scalar_function("slow", move |x: i64| -> finalite::Result<bool> {
        if rows.fetch_add(1, Ordering::Relaxed) == 1_000 {
            let _ = entered.send(());
        }
        Ok(x <= 2)
    })
    .unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE slow(i)";
    // The statement finds two rows, and no third for ever.
    let stream = Options::new().rows(2).stream(conn, move |conn| conn.scan(sql, ())).unwrap();
    wait.recv().unwrap();
    drop(stream);
}

#[test]
fn an_error_comes_after_the_batches() {
    let conn = database("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), (2), ('x');");
    let mut stream = Options::new().rows(1).stream(conn, |conn| conn.scan("SELECT a FROM t", ())).unwrap();
    assert!(stream.next().unwrap().is_ok() && stream.next().unwrap().is_ok());
    let error = stream.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("row 2, column 0 (a)"), "{error}");
    assert!(stream.next().is_none() && stream.next().is_none());
}

#[test]
fn an_error_of_the_first_batch_is_returned() {
    let conn = Connection::open_in_memory().unwrap();
    let error = RecordBatchStream::start(conn, |conn| conn.scan("SELECT a FROM nowhere", ())).unwrap_err();
    assert!(matches!(&error, Error::Sqlite(error) if error.sql() == Some("SELECT a FROM nowhere")), "{error}");
}

#[test]
fn a_panic_of_the_closure_is_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    let started = RecordBatchStream::start(conn, |conn| {
        assert!(conn.path().is_some(), "on purpose");
        conn.scan("SELECT 1", ())
    });
    assert!(matches!(started, Err(Error::Panicked)));
}

#[test]
fn a_c_stream_has_the_rows() {
    let script = "CREATE TABLE t(a INTEGER, b TEXT, c JSON, d DATE);
        INSERT INTO t VALUES (1, 'one', '[]', '2024-05-01'), (NULL, NULL, NULL, NULL), (3, '', '1', '1970-01-01');";
    let conn = database(script);
    let expected = all(record_batches(conn.scan("SELECT * FROM t", ())).unwrap());
    let schema = expected[0].schema();
    let stream = Options::new().rows(2).stream(conn, |conn| conn.scan("SELECT * FROM t", ())).unwrap();
    let imported = RecordBatchStreamReader::try_new(export(stream)).unwrap();
    assert_eq!(imported.schema(), schema);
    let batches = all(imported);
    assert_eq!(batches.len(), 2);
    assert_eq!(cells(&batches), cells(&expected));
}

#[test]
fn an_error_passes_through_a_c_stream() {
    let conn = database("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), ('x');");
    let stream = Options::new().rows(1).stream(conn, |conn| conn.scan("SELECT a FROM t", ())).unwrap();
    let mut imported = RecordBatchStreamReader::try_new(export(stream)).unwrap();
    assert!(imported.next().unwrap().is_ok());
    let error = imported.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("row 1, column 0 (a): TEXT does not fit Int64"), "{error}");
}

#[test]
fn a_c_stream_may_outlive_its_connection() {
    let conn = database("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('one');");
    let batches = record_batches(conn.scan("SELECT a FROM t", ())).unwrap();
    conn.close().unwrap();
    let batches = std::thread::spawn(move || all(RecordBatchStreamReader::try_new(export(batches)).unwrap()));
    assert_eq!(cells(&batches.join().unwrap()), [[Value::Text("one".into())]]);
}

#[test]
fn a_c_array_has_the_rows_and_the_metadata() {
    let conn = database("CREATE TABLE t(a JSON); INSERT INTO t VALUES ('[]'), (NULL);");
    let batch = all(record_batches(conn.scan("SELECT a FROM t", ())).unwrap()).remove(0);
    let (array, schema) = export_batch(batch.clone()).unwrap();
    let schema = arrow_schema::Schema::try_from(&schema).unwrap();
    assert_eq!((&schema, array.len()), (batch.schema_ref().as_ref(), 2));
    let again = StructArray::from(batch);
    assert_eq!(again.len(), 2);
}

#[test]
fn streams_are_sent_and_shared_by_no_one() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let conn = Connection::open_in_memory().unwrap();
    is_send(&record_batches(conn.scan("SELECT 1", ())).unwrap());
    let stream = RecordBatchStream::start(conn, |conn| conn.scan("SELECT 1", ())).unwrap();
    is_send(&stream);
    let schema = stream.schema();
    assert!(Arc::strong_count(&schema) > 1);
}
