//! Tables that change between planning and execution, errors, and writers beside a query.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use finalite::{Connection, OpenOptions};
use finalite_datafusion::{Error, SqliteTable};
use futures::StreamExt;

use super::{File, batches, inner, rows};

#[tokio::test]
async fn a_column_that_was_dropped_is_an_error() {
    let file = File::new("CREATE TABLE t(a INTEGER, b TEXT, c TEXT); INSERT INTO t VALUES (1, 'x', 'y')");
    let context = file.context("t");
    file.run("ALTER TABLE t DROP COLUMN b");
    for sql in ["SELECT b FROM t", "SELECT a FROM t WHERE b = 'x'", "SELECT count(*) FROM t WHERE b = 'x'"] {
        let error = batches(&context, sql).await.unwrap_err();
        assert!(
            matches!(inner(&error), Error::Changed { table, column } if &**table == "t" && &**column == "b"),
            "{sql}"
        );
    }
    // Control: the other columns are as they were.
    assert_eq!(rows(&context, "SELECT a, c FROM t").await, ["1|y"]);
    file.run("DROP TABLE t");
    let error = batches(&context, "SELECT a FROM t").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Sqlite(_))), "{error}");
}

#[tokio::test]
async fn a_column_whose_rules_changed_is_an_error() {
    let file = File::new("CREATE TABLE t(a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x')");
    let context = file.context("t");
    file.run("DROP TABLE t; CREATE TABLE t(a TEXT, b TEXT COLLATE NOCASE); INSERT INTO t VALUES ('1', 'X')");
    for sql in ["SELECT a FROM t", "SELECT count(*) FROM t WHERE b = 'x'"] {
        let error = batches(&context, sql).await.unwrap_err();
        assert!(matches!(inner(&error), Error::Changed { .. }), "{sql}: {error}");
    }
    let view = File::new(
        "CREATE TABLE t(a INTEGER, b TEXT); CREATE VIEW v AS SELECT a AS c FROM t; INSERT INTO t VALUES (1, 'x')",
    );
    let context = view.context("v");
    view.run("DROP VIEW v; CREATE VIEW v AS SELECT b AS c FROM t");
    let error = batches(&context, "SELECT c FROM v").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Changed { column, .. } if &**column == "c"), "{error}");
}

#[tokio::test]
async fn errors_of_reading_have_their_type() {
    let file = File::new("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), ('secret')");
    let error = batches(&file.context("t"), "SELECT a FROM t").await.unwrap_err();
    let Error::Arrow(finalite_arrow::Error::Value { row: 1, .. }) = inner(&error) else { panic!("{error}") };
    assert!(!error.to_string().contains("secret"));
    let context = file.context("t");
    std::fs::remove_file(file.path()).unwrap();
    let error = batches(&context, "SELECT a FROM t").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Sqlite(_))), "{error}");
    assert!(SqliteTable::open(file.path(), "t").is_err());
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let file = File::new("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1)");
    let is_armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let options = OpenOptions::new().init(move |_| {
        assert!(!armed.load(std::sync::atomic::Ordering::Relaxed), "on purpose");
        Ok(())
    });
    let context = SessionContext::new();
    context.register_table("t", Arc::new(SqliteTable::new(options, file.path(), "t").unwrap())).unwrap();
    is_armed.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = batches(&context, "SELECT a FROM t").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Panicked)), "{error}");
    let error = batches(&context, "INSERT INTO t VALUES (2)").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Panicked)), "{error}");
}

/// Each scan reads one state of the file, whatever is committed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_reads_one_state_beside_a_writer() {
    let file = File::new(
        "PRAGMA journal_mode = wal; CREATE TABLE t(a INTEGER, b INTEGER);
         WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 20000)
         INSERT INTO t SELECT i, 0 FROM i;",
    );
    let context = file.context("t");
    let mut stream = context.sql("SELECT b FROM t").await.unwrap().execute_stream().await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(super::text(&[first]).iter().filter(|it| *it == "0").count(), 8192);
    file.run("UPDATE t SET b = 1");
    let mut zeros = 0;
    while let Some(batch) = stream.next().await {
        zeros += super::text(&[batch.unwrap()]).iter().filter(|it| *it == "0").count();
    }
    assert_eq!(zeros, 20_000 - 8192);
    // Control: a new scan has what was written.
    assert_eq!(rows(&context, "SELECT count(*) FROM t WHERE b = 1").await, ["20000"]);

    let path = file.path();
    let writer = std::thread::spawn(move || {
        let conn = Connection::open(path).unwrap();
        for round in 2..100_i64 {
            conn.execute("UPDATE t SET b = ?", (round,)).unwrap();
        }
    });
    while !writer.is_finished() {
        let states = rows(&context, "SELECT count(DISTINCT b), count(*) FROM t").await;
        assert_eq!(states, ["1|20000"]);
        assert_eq!(rows(&context, "SELECT count(*) FROM t WHERE a > 0 AND b >= 0").await, ["20000"]);
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn a_file_that_is_missing_is_no_table() {
    let directory = tempfile::tempdir().unwrap();
    let error = SqliteTable::open(directory.path().join("none.db"), "t").unwrap_err();
    assert!(matches!(DataFusionError::from(error), DataFusionError::External(_)));
    assert!(!directory.path().join("none.db").exists());
}
