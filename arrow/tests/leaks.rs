//! Handles, native memory, threads and descriptors after each way of reading and inserting: alone in its process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use finalite::{Connection, LeakCheck};
use finalite_arrow::{Error, InsertOptions, Options, RecordBatchStream, export, insert_record_batches, record_batches};

/// Creates a database file with 5,000 rows, of which the last does not fit if `is_mixed`.
fn database(directory: &tempfile::TempDir, is_mixed: bool) -> Connection {
    let conn = Connection::open(directory.path().join("t.db")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = wal;
         CREATE TABLE t(a INTEGER, b TEXT);
         CREATE TABLE u(a INTEGER UNIQUE, b TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, 'text ' || i FROM n;",
    )
    .unwrap();
    if is_mixed {
        conn.execute("UPDATE t SET a = 'x' WHERE a = 5000", ()).unwrap();
    }
    conn
}

fn small() -> Options {
    Options::new().rows(100)
}

#[test]
fn nothing_is_left() {
    let directory = || tempfile::tempdir().unwrap();
    let scenarios: [(&str, &dyn Fn()); 12] = [
        ("all batches", &|| {
            let files = directory();
            let conn = database(&files, false);
            let rows: usize = record_batches(conn.scan_table("t").all_columns()).unwrap().map(rows).sum();
            assert_eq!(rows, 5_000);
        }),
        ("two threads", &|| {
            let files = directory();
            let conn = database(&files, false);
            let reader = small().record_batches(conn.scan_table("t").all_columns().threads(2)).unwrap();
            assert_eq!(reader.map(rows).sum::<usize>(), 5_000);
        }),
        ("batches that outlive the connection", &|| {
            let files = directory();
            let conn = database(&files, false);
            let batches = small().record_batches(conn.scan("SELECT * FROM t", ())).unwrap();
            conn.close().unwrap();
            let kept: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
            drop(files);
            assert_eq!(kept.len(), 50);
        }),
        ("a value that does not fit", &|| {
            let files = directory();
            let conn = database(&files, true);
            assert!(small().record_batches(conn.scan_table("t").all_columns()).is_err());
        }),
        ("a closure that fails", &|| {
            let files = directory();
            let conn = database(&files, false);
            let result = small().for_each_record_batch(conn.scan_table("t").all_columns(), |_| {
                Err(Error::Arrow(arrow_schema::ArrowError::ComputeError("on purpose".into())))
            });
            assert!(result.is_err());
        }),
        ("a closure that panics", &|| {
            let files = directory();
            let conn = database(&files, false);
            let read = || {
                small().for_each_record_batch(conn.scan_table("t").all_columns(), |_| -> Result<(), Error> {
                    std::panic::resume_unwind(Box::new("on purpose"))
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
        }),
        ("a stream to the end", &|| {
            let files = directory();
            let stream = small().stream(database(&files, false), |conn| conn.scan_table("t").all_columns()).unwrap();
            assert_eq!(stream.map(rows).sum::<usize>(), 5_000);
        }),
        ("a stream that is dropped half-way", &|| {
            let files = directory();
            let conn = database(&files, false);
            let mut stream = small().stream(conn, |conn| conn.scan_table("t").all_columns()).unwrap();
            let kept: Vec<_> = stream.by_ref().take(7).collect();
            drop(stream);
            assert_eq!(kept.into_iter().map(rows).sum::<usize>(), 700);
        }),
        ("a stream that is dropped at once", &|| {
            let files = directory();
            drop(RecordBatchStream::start(database(&files, false), |conn| conn.scan("SELECT * FROM t", ())).unwrap());
        }),
        ("a stream that fails", &|| {
            let files = directory();
            let stream = small().stream(database(&files, true), |conn| conn.scan_table("t").all_columns()).unwrap();
            assert!(stream.last().unwrap().is_err());
            assert!(small().stream(database(&directory(), true), |conn| conn.scan("SELECT nothing", ())).is_err());
        }),
        ("a C stream that is released half-way", &|| {
            let files = directory();
            let stream = small().stream(database(&files, false), |conn| conn.scan_table("t").all_columns()).unwrap();
            let mut imported = RecordBatchStreamReader::try_new(export(stream)).unwrap();
            let kept = imported.next().unwrap().unwrap();
            drop(imported);
            assert_eq!(kept.num_rows(), 100);
            // Released without a consumer.
            let stream = small().stream(database(&directory(), false), |conn| conn.scan("SELECT * FROM t", ()));
            drop(export(stream.unwrap()));
        }),
        ("rows inserted, and refused", &|| {
            let files = directory();
            let conn = database(&files, false);
            let batches = || small().record_batches(conn.scan_table("t").all_columns()).unwrap();
            assert_eq!(insert_record_batches(&conn, "u", batches()).unwrap(), 5_000);
            assert!(insert_record_batches(&conn, "u", batches()).is_err());
            let stopped = InsertOptions::new().progress(10, |_| std::ops::ControlFlow::Break(()));
            assert!(stopped.insert_record_batches(&conn, "t", batches()).is_err());
            conn.close().unwrap();
        }),
    ];
    for (name, scenario) in scenarios {
        // What the process keeps for good.
        scenario();
        let check = LeakCheck::new();
        scenario();
        let report = check.finish();
        assert!(report.is_clean(), "{name}: {report}");
    }

    // Control: a stream that is forgotten is a leak that the check sees.
    let files = directory();
    let check = LeakCheck::new();
    let stream = small().stream(database(&files, false), |conn| conn.scan_table("t").all_columns()).unwrap();
    std::mem::forget(stream);
    assert!(!check.finish().is_clean());
}

fn rows(batch: Result<RecordBatch, arrow_schema::ArrowError>) -> usize {
    batch.unwrap().num_rows()
}
