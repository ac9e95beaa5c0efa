//! The examples, run as programs. (`cargo test --test examples` alone does not build them: `cargo build --examples` goes
//! before.)

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow_array::RecordBatch;
use finalite::Connection;
use finalite_arrow::{Options, record_batches};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let examples = this.parent().unwrap().with_file_name("examples");
    let path = examples.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

fn run(database: &Path, table: &str, file: &Path) -> Output {
    Command::new(program("to_parquet")).arg(database).arg(table).arg(file).output().unwrap()
}

#[test]
fn a_table_is_written_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let (database, file) = (directory.path().join("t.db"), directory.path().join("t.parquet"));
    let conn = Connection::open(&database).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER, b REAL, c TEXT, d BLOB, e BOOLEAN, f DATE, g TIMESTAMP, h DECIMAL(10, 2), i JSON);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, i / 7.0, 'text ' || i, zeroblob(i % 9), i % 2, date(i, 'unixepoch', 'start of day'),
                              datetime(i, 'unixepoch'), i / 4.0, json_array(i) FROM n WHERE i % 3 <> 0 UNION ALL
                       SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
         CREATE TABLE empty(a INTEGER);
         CREATE TABLE mixed(a INTEGER);
         INSERT INTO mixed VALUES ('secret');",
    )
    .unwrap();
    for table in ["t", "empty"] {
        let output = run(&database, table, &file);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
        let printed = String::from_utf8(output.stdout).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
        let expected = Options::new().rows(10_000).record_batches(conn.scan_table(table).all_columns()).unwrap();
        assert_eq!(builder.schema().fields(), arrow_array::RecordBatchReader::schema(&expected).fields());
        let read: Vec<RecordBatch> =
            builder.with_batch_size(10_000).build().unwrap().collect::<Result<_, _>>().unwrap();
        let expected: Vec<RecordBatch> = expected.collect::<Result<_, _>>().unwrap();
        assert_eq!(read, expected);
        let rows: usize = expected.iter().map(RecordBatch::num_rows).sum();
        assert!(printed.starts_with(&format!("{rows} rows, ")), "{printed}");
    }
    let before = fs::read_dir(directory.path()).unwrap().count();
    let output = run(&database, "mixed", &directory.path().join("mixed.parquet"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.contains("row 0, column 0 (a): TEXT")), (Some(2), true), "{error}");
    assert!(!error.contains("secret"));
    assert_eq!(run(&database, "no_table", &file).status.code(), Some(2));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before, "nothing is left of what failed");
    assert_eq!(
        record_batches(conn.scan_table("t").all_columns())
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum::<usize>(),
        3_335
    );
}

#[test]
fn a_table_is_read_as_batches() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("t.db");
    let conn = Connection::open(&database).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER, day DATE);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, CASE WHEN i % 5 THEN date(i, 'unixepoch') END FROM n;",
    )
    .unwrap();
    let scan = |arguments: &[&str]| {
        let output = Command::new(program("scan_arrow")).arg(&database).args(arguments).output().unwrap();
        let (printed, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), printed, error)
    };
    for threads in ["1", "2"] {
        let (code, printed, error) = scan(&["t", "--where", "a > 1000", "--threads", threads]);
        assert_eq!((code, &*error), (Some(0), ""));
        assert!(printed.contains("by reading the table's pages"), "{printed}");
        assert!(printed.contains("\n  a Int64: 0 of 4000 NULL\n"), "{printed}");
        assert!(printed.contains("\n  day Date32: 800 of 4000 NULL\n"), "{printed}");
        assert!(printed.contains("\n4000 rows in "), "{printed}");
    }
    let (code, printed, error) = scan(&["t", "--where"]);
    assert_eq!((code, &*printed, error.starts_with("error: usage: scan_arrow ")), (Some(2), "", true), "{error}");
    assert_eq!(scan(&["no_table"]).0, Some(2));
}
