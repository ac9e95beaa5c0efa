//! Each allocation of SQLite's fails, one after the other, while record batches are read and inserted: the error says so,
//! nothing is left, and an insertion stores all rows or none. Alone in its process.

#[path = "../../tests/common/sweep.rs"]
mod sweep;

use std::sync::Arc;

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions};
use finalite_arrow::{
    Error, Options, create_batch_table, export, for_each_record_batch, insert_record_batches, record_batches,
};
use sweep::{Scenario, nothing_stored, sweep, sweep_all};

const ROWS: usize = 60;

/// Texts on other pages, NULL, types that are declared and types that are not.
const SCRIPT: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, day DATE, price DECIMAL(10, 2), note TEXT, other);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60)
    INSERT INTO t SELECT i, date('2026-01-01', i || ' days'), i || '.25', hex(zeroblob(iif(i % 7 = 0, 3000, i))),
        iif(i % 5 = 0, NULL, i * 0.5) FROM n;";

fn is_told(error: &Error) -> bool {
    match error {
        Error::Sqlite(error) | Error::Row { source: error, .. } => sweep::is_no_memory(error),
        Error::Arrow(ArrowError::ExternalError(error)) => error.downcast_ref::<Error>().is_some_and(is_told),
        // The C interface passes the text alone.
        Error::Arrow(ArrowError::CDataInterface(text)) => text.contains("out of memory"),
        _ => false,
    }
}

/// Numbers of rows, which are all there.
fn all_rows(batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>) -> Result<(), Error> {
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        assert_eq!(batch.num_columns(), 5);
        rows += batch.num_rows();
    }
    assert_eq!(rows, ROWS);
    Ok(())
}

fn in_memory() -> Result<Connection, Error> {
    let conn = without_lookaside().open_in_memory()?;
    conn.execute_batch(SCRIPT)?;
    Ok(conn)
}

/// Without the pool of a connection, whose allocations do not fail.
fn without_lookaside() -> OpenOptions {
    OpenOptions::new().lookaside(0, 0).pragma("synchronous", "off")
}

fn batches_to_insert() -> Vec<Result<RecordBatch, ArrowError>> {
    let part = |from: i64| {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 20));
        let notes: ArrayRef = Arc::new(StringArray::from_iter_values((0..20).map(|i| "note ".repeat(i * 20))));
        RecordBatch::try_from_iter([("id", ids), ("note", notes)])
    };
    vec![part(100), part(120)]
}

#[test]
fn out_of_memory_is_an_error_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    without_lookaside().open(&path).unwrap().execute_batch(SCRIPT).unwrap();
    let small = || Options::new().rows(16);
    let open = || without_lookaside().open(&path).map_err(Error::from);

    let statement = || {
        let conn = in_memory()?;
        all_rows(record_batches(conn.scan_table("t").all_columns().strategy(ScanStrategy::Statement))?)
    };
    let pages = || {
        let conn = open()?;
        for threads in 1..3 {
            let scan = conn.scan_table("t").all_columns().strategy(ScanStrategy::Pages).threads(threads);
            all_rows(small().record_batches(scan)?)?;
        }
        Ok(conn.close()?)
    };
    let closure = || {
        let conn = open()?;
        let mut rows = 0;
        let seen = for_each_record_batch(conn.scan("SELECT id, note FROM t WHERE id > ?", (10,)), |batch| {
            rows += batch.num_rows() as u64;
            Ok::<_, Error>(())
        })?;
        assert_eq!((rows, seen), (50, 50));
        Ok(())
    };
    let stream = || all_rows(small().stream(open()?, |conn| conn.scan_table("t").all_columns())?);
    let half_a_stream = || {
        let mut stream = small().stream(open()?, |conn| conn.scan_table("t").all_columns())?;
        assert_eq!(stream.next().unwrap()?.num_rows(), 16);
        Ok(())
    };
    let c_stream = || {
        let stream = small().stream(open()?, |conn| conn.scan_table("t").all_columns())?;
        all_rows(RecordBatchStreamReader::try_new(export(stream))?)
    };
    let table = || {
        let conn = in_memory()?;
        let batches: Vec<_> = batches_to_insert().into_iter().map(Result::unwrap).collect();
        create_batch_table(&conn, "lent", &batches[0].schema(), batches)?;
        let sql = "SELECT count(*) FROM lent LEFT JOIN t USING (id) WHERE lent.note LIKE 'note%' AND lent.id >= 100";
        assert_eq!(conn.query_one::<i64>(sql, ())?, 38);
        Ok(())
    };
    let insert = || {
        let conn = open()?;
        assert_eq!(insert_record_batches(&conn, "t", batches_to_insert())?, 40);
        Ok(conn.close()?)
    };
    let all_or_none = |succeeded: bool| {
        let conn = Connection::open(&path).unwrap();
        conn.set_pragma("synchronous", "off").unwrap();
        let stored = conn.execute("DELETE FROM t WHERE id >= 100", ()).unwrap();
        let rows: usize = conn.query_one("SELECT count(*) FROM t", ()).unwrap();
        assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
        let is_right = rows == ROWS && if succeeded { stored == 40 } else { [0, 40].contains(&stored) };
        if is_right { Ok(()) } else { Err(format!("{stored} rows are stored, and {rows} were there before")) }
    };

    let plain = |name, run| Scenario { name, run, after: &nothing_stored };
    let scenarios = [
        plain("record batches by the statement", &statement as &dyn Fn() -> Result<(), Error>),
        plain("record batches by pages", &pages),
        plain("record batches to a closure", &closure),
        plain("a stream", &stream),
        plain("a stream that is dropped half-way", &half_a_stream),
        plain("a C stream", &c_stream),
        plain("batches as a table", &table),
        Scenario { name: "record batches inserted", run: &insert, after: &all_or_none },
    ];
    let failed = sweep_all(&scenarios, is_told);
    assert!(failed > 2_500, "{failed} points");

    // Controls: what is left behind after an error, an error that is told as another, and rows of a part of the batches.
    let forget = || {
        let conn = in_memory()?;
        match record_batches(conn.scan("SELECT * FROM t", ())) {
            Ok(batches) => all_rows(batches),
            Err(error) => {
                std::mem::forget(conn);
                Err(error)
            }
        }
    };
    let finding = sweep(&plain("a driver that leaks", &forget), false, is_told).unwrap_err();
    assert!(finding.contains("left something"), "{finding}");
    let rename = || statement().map_err(|_| Error::Panicked);
    let finding = sweep(&plain("a driver that hides the reason", &rename), false, is_told).unwrap_err();
    assert!(finding.contains("are told as Panicked"), "{finding}");
    let one_by_one = || {
        let conn = open()?;
        for batch in batches_to_insert() {
            insert_record_batches(&conn, "t", [batch])?;
        }
        Ok(())
    };
    let halves = Scenario { name: "a driver that stores a part", run: &one_by_one, after: &all_or_none };
    let finding = sweep(&halves, false, is_told).unwrap_err();
    assert!(finding.contains("20 rows are stored"), "{finding}");
}
