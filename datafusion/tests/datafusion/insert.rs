//! Insertions of a query's rows.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use finalite::{Connection, OpenOptions};
use finalite_datafusion::{Error, SqliteTable};

use super::{File, batches, inner, rows};

const TABLES: &str = "
    CREATE TABLE a(id INTEGER PRIMARY KEY, t TEXT, d DATE, at TIMESTAMP, p DECIMAL(10, 2), f BOOLEAN, b BLOB);
    INSERT INTO a VALUES (1, 'one', '2024-05-01', '2024-05-01 12:00:00', 1.25, 1, x'01'),
        (2, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE c AS SELECT * FROM a LIMIT 0;";

#[tokio::test]
async fn rows_of_a_query_are_inserted() {
    let (from, to) = (File::new(TABLES), File::new(TABLES));
    to.run("DELETE FROM a");
    let context = SessionContext::new();
    context.register_table("a", Arc::new(from.table("a"))).unwrap();
    context.register_table("b", Arc::new(to.table("a"))).unwrap();
    assert_eq!(rows(&context, "INSERT INTO b SELECT * FROM a").await, ["2"]);
    assert_eq!(rows(&context, "SELECT * FROM b").await, rows(&context, "SELECT * FROM a").await);
    assert_eq!(rows(&context, "INSERT INTO b(t, d) VALUES ('new', DATE '2025-01-01')").await, ["1"]);
    assert_eq!(rows(&context, "SELECT id, t, d FROM b WHERE t = 'new'").await, ["3|new|2025-01-01"]);
    let conn = Connection::open(to.path()).unwrap();
    let stored: (String, String, f64) = conn.query_one("SELECT d, at, p FROM a WHERE id = 1", ()).unwrap();
    assert_eq!(stored, ("2024-05-01".into(), "2024-05-01 12:00:00".into(), 1.25));
}

#[tokio::test]
async fn all_rows_are_inserted_or_none() {
    let file = File::new("CREATE TABLE t(a INTEGER UNIQUE); INSERT INTO t VALUES (19999)");
    let context = file.context("t");
    let error = batches(&context, "INSERT INTO t SELECT value FROM range(0, 20000)").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Row { row: 19_999, .. })), "{error}");
    assert_eq!(rows(&context, "SELECT count(*) FROM t").await, ["1"]);
    // An error of the query itself.
    let failing = "INSERT INTO t SELECT 10 / (value - 15000) FROM range(0, 20000)";
    assert!(batches(&context, failing).await.is_err());
    assert_eq!(rows(&context, "SELECT count(*) FROM t").await, ["1"]);
    // Control: without the row in the way.
    assert_eq!(rows(&context, "INSERT INTO t SELECT value FROM range(0, 19999)").await, ["19999"]);
    assert_eq!(rows(&context, "SELECT count(*) FROM t").await, ["20000"]);
}

#[tokio::test]
async fn rows_are_replaced_and_overwritten() {
    let file = File::new("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    let context = file.context("t");
    assert_eq!(rows(&context, "REPLACE INTO t VALUES (2, 'z')").await, ["1"]);
    assert_eq!(rows(&context, "SELECT * FROM t").await, ["1|x", "2|z"]);
    assert_eq!(rows(&context, "INSERT OVERWRITE t VALUES (7, 'w')").await, ["1"]);
    assert_eq!(rows(&context, "SELECT * FROM t").await, ["7|w"]);
    // Nothing is deleted if nothing is inserted.
    assert!(batches(&context, "INSERT OVERWRITE t VALUES (1, 'a'), (1, 'b')").await.is_err());
    assert_eq!(rows(&context, "SELECT * FROM t").await, ["7|w"]);
}

#[tokio::test]
async fn a_table_is_inserted_into_itself() {
    for mode in ["delete", "wal"] {
        let file = File::new(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), (2)"
        ));
        let context = file.context("t");
        assert_eq!(rows(&context, "INSERT INTO t SELECT a + 10 FROM t").await, ["2"], "{mode}");
        assert_eq!(rows(&context, "SELECT * FROM t").await, ["1", "2", "11", "12"], "{mode}");
    }
}

#[tokio::test]
async fn options_for_reading_only_refuse_insertions() {
    let file = File::new("CREATE TABLE t(a INTEGER)");
    let table = SqliteTable::new(OpenOptions::new().read_only(true), file.path(), "t").unwrap();
    let context = SessionContext::new();
    context.register_table("t", Arc::new(table)).unwrap();
    let error = batches(&context, "INSERT INTO t VALUES (1)").await.unwrap_err();
    assert!(matches!(inner(&error), Error::Arrow(finalite_arrow::Error::Row { row: 0, .. })), "{error}");
}
