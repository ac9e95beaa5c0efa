//! Results as streams, blobs, backups, watches.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use finalite::pool::{Pool as SyncPool, Role};
use finalite::{Error, ErrorKind, FromRow, Row, Value};
use finalite_tokio::{Pool, RowStream};
use futures_core::Stream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ENDLESS, on_both_runtimes, pool};

/// `? ` rows: their number, and a text.
const ROWS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT i, 'text ' || i FROM n";

fn rows(pool: &Pool, count: i64) -> RowStream<(i64, String)> {
    pool.stream(ROWS, (count,))
}

#[test]
fn a_stream_has_all_rows_in_their_order() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for count in [0, 1, 15, 16, 17, 1_000, 20_000] {
            let mut stream = rows(&pool, count.max(1));
            let mut expected = 1;
            while let Some(row) = stream.next().await {
                let (i, text) = row.unwrap();
                assert_eq!((i, &*text), (expected, &*format!("text {expected}")));
                expected += 1;
            }
            assert_eq!(expected, count.max(1) + 1);
            // It stays at its end.
            assert!(stream.next().await.is_none());
            // The connection was back when the end was seen.
            assert!(pool.status().role(Role::Reader).checked_out.is_empty());
        }
        assert!(pool.close().await.is_clean());
    });
}

/// As `futures` and `tokio-stream` use it.
#[test]
fn a_stream_is_one_of_futures() {
    fn poll_next<S: Stream>(stream: Pin<&mut S>) -> impl Future<Output = Option<S::Item>> {
        let mut stream = stream;
        std::future::poll_fn(move |task| stream.as_mut().poll_next(task))
    }
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut stream = rows(&pool, 3);
        let mut seen = Vec::new();
        while let Some(row) = poll_next(Pin::new(&mut stream)).await {
            seen.push(row.unwrap().0);
        }
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn an_error_comes_after_the_rows_before_it() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let sql = "SELECT value FROM json_each('[1, 2, \"three\", 4]')";
        let mut stream = pool.stream::<i64>(sql, ());
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!(stream.next().await.unwrap().unwrap(), 2);
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
        let mut stream = pool.stream::<i64>("SELECT a FROM nothing", ());
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
    });
}

#[test]
fn a_stream_that_nobody_reads_waits_and_a_dropped_one_ends() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let produced = Arc::new(AtomicUsize::new(0));
        for taken in [0, 1, 16, 500] {
            let counted = Arc::clone(&produced);
            produced.store(0, Ordering::SeqCst);
            let mut stream = pool.stream_batches(ROWS, (1_000_000,), 10, move |batch| {
                counted.fetch_add(batch.len(), Ordering::SeqCst);
                Ok(batch.len())
            });
            for _ in 0..taken {
                assert_eq!(stream.next().await.unwrap().unwrap(), 10);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            // One is read, two wait, one waits for room.
            assert!(produced.load(Ordering::SeqCst) <= (taken + 3) * 10, "{taken}: {produced:?}");
            drop(stream);
            pool.idle().await;
            assert!(pool.status().role(Role::Reader).checked_out.is_empty());
        }
        // One that computes is interrupted.
        let mut stream = pool.stream::<i64>(ENDLESS, ());
        assert!(tokio::time::timeout(Duration::from_millis(5), stream.next()).await.is_err());
        drop(stream);
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_deadline_ends_a_stream_that_waits() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut stream = rows(&pool.with_deadline(Duration::from_millis(30)), 10_000_000);
        stream.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(35)).await;
        // The reader is free, though nobody has read on.
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        let mut last = None;
        while let Some(row) = stream.next().await {
            last = Some(row);
        }
        assert!(last.unwrap().unwrap_err().is_deadline());
    });
}

/// A pool with one reader, and the number of rows for which its function `reads` was called, which returns its argument.
async fn counting_pool() -> (TempDir, Pool, Arc<AtomicUsize>) {
    let (dir, read) = (tempfile::tempdir().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&read);
    let init = move |conn: &mut finalite::Connection| {
        let counted = Arc::clone(&counted);
        conn.create_scalar_function("reads", move |value: Value| -> finalite::Result<Value> {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(value)
        })
        .map(drop)
    };
    let pool = Pool::open(SyncPool::builder(dir.path().join("a.db")).readers(1).init(init)).await.unwrap();
    (dir, pool, read)
}

#[test]
fn large_rows_make_small_batches() {
    on_both_runtimes(|| async {
        let (_dir, pool, read) = counting_pool().await;
        let sql = "SELECT zeroblob(1000000 + 0 * reads(value)) FROM json_each('[1,2,3,4,5,6,7,8,9,10]')";
        let mut stream = pool.stream::<Vec<u8>>(sql, ());
        let mut count = 0;
        while let Some(row) = stream.next().await {
            assert_eq!(row.unwrap().len(), 1_000_000);
            count += 1;
            // This one, two that wait, and one that waits for room.
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(read.load(Ordering::SeqCst) <= count + 3, "{read:?} were read, {count} taken");
        }
        assert_eq!((count, read.load(Ordering::SeqCst)), (10, 10));
    });
}

/// A row that owns memory: a value for each of its columns.
struct Row100(Vec<Value>);

impl FromRow<'_> for Row100 {
    fn from_row(row: Row<'_>) -> finalite::Result<Self> {
        (0..row.column_count()).map(|column| row.get(column)).collect::<Result<_, _>>().map(Self)
    }
}

#[test]
fn rows_of_many_columns_make_small_batches() {
    on_both_runtimes(|| async {
        let (_dir, pool, read) = counting_pool().await;
        let columns = vec!["i"; 99].join(", ");
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {columns}, reads(i) FROM n"
        );
        let mut stream = pool.stream::<Row100>(sql, ());
        assert_eq!(stream.next().await.unwrap().unwrap().0.len(), 100);
        tokio::time::sleep(Duration::from_millis(20)).await;
        // 100 integers are 900 bytes: a batch of 64 KiB has at most 73 rows. The bound is four of them.
        let read = read.load(Ordering::SeqCst);
        assert!(read > 16 && read <= 4 * 73, "{read} rows were read");
    });
}

#[derive(Debug, PartialEq)]
struct Named {
    name: String,
    id: i64,
}

impl FromRow<'_> for Named {
    fn from_row(row: Row<'_>) -> finalite::Result<Self> {
        Ok(Self { id: row.get("id")?, name: row.get("NAME")? })
    }
}

/// Each type of value comes through, in each place of a batch, also those that are empty.
#[test]
fn rows_of_a_stream_are_those_of_the_statement() {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
        SELECT CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN i * -4611686018427387 WHEN 2 THEN i / 3.0 WHEN 3 THEN 'text ' || i
            WHEN 4 THEN zeroblob(i % 300) WHEN 5 THEN '' ELSE x'' END, i, 9e999 FROM n";
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let expected: Vec<(Value, i64, f64)> = pool.query_all(sql, ()).await.unwrap();
        let mut stream = pool.stream::<(Value, i64, f64)>(sql, ());
        let mut found = Vec::new();
        while let Some(row) = stream.next().await {
            found.push(row.unwrap());
        }
        assert_eq!(found, expected);
        // Columns are found by their names, and errors have the SQL.
        let sql = "SELECT value AS id, 'name ' || value AS name FROM json_each('[1, 2, null]')";
        let mut stream = pool.stream::<Named>(sql, ());
        for id in [1, 2] {
            assert_eq!(stream.next().await.unwrap().unwrap(), Named { id, name: format!("name {id}") });
        }
        let error = stream.next().await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 0, .. }), "{error}");
        assert_eq!(error.sql(), Some(sql));
        assert!(stream.next().await.is_none());
        let error = pool.query_all::<Named>(sql, ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 0, .. }), "{error}");
    });
}

/// A row that is no item ends the query, however long that would have gone on.
#[test]
fn an_error_of_a_row_interrupts_the_query() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let sql =
            "SELECT 'none' UNION ALL SELECT * FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT i FROM n)";
        let mut stream = pool.stream::<i64>(sql, ());
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
        pool.idle().await;
        assert!(pool.status().role(Role::Reader).checked_out.is_empty());
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_stream_has_one_error() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let sql = "SELECT value FROM json_each('[1,\"x\"]') UNION ALL SELECT abs(-9223372036854775808)";
        // The query's own, where all rows are values.
        let mut stream = pool.stream::<Value>(sql, ());
        assert!(stream.next().await.unwrap().is_ok() && stream.next().await.unwrap().is_ok());
        assert!(stream.next().await.unwrap().is_err() && stream.next().await.is_none());
        // That of a row, although the query has ended by the other one meanwhile.
        let mut stream = pool.stream::<i64>(sql, ());
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        pool.idle().await;
        assert!(matches!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::ColumnConversion { .. }));
        assert!(stream.next().await.is_none());
        assert!(pool.close().await.is_clean());
    });
}

struct Panics;

impl FromRow<'_> for Panics {
    fn from_row(row: Row<'_>) -> finalite::Result<Self> {
        match row.get::<i64>(0)? {
            3 => std::panic::resume_unwind(Box::new("on purpose")),
            _ => Ok(Self),
        }
    }
}

#[test]
fn a_stream_ends_where_a_conversion_panics() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut stream = pool.stream::<Panics>(ROWS, (1_000_000,));
        let mut read = 0;
        let panic = loop {
            let mut next = Box::pin(stream.next());
            let caught = std::future::poll_fn(|task| {
                let poll = std::panic::AssertUnwindSafe(|| next.as_mut().poll(task));
                std::panic::catch_unwind(poll).map_or_else(|panic| Poll::Ready(Err(panic)), |poll| poll.map(Ok))
            });
            match caught.await {
                Ok(row) => read += usize::from(row.unwrap().is_ok()),
                Err(panic) => break panic,
            }
        };
        assert_eq!((read, panic.downcast_ref()), (2, Some(&"on purpose")));
        // It does not go on behind the row that was lost.
        assert!(stream.next().await.is_none());
        pool.idle().await;
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_stream_ends_with_its_pool() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut stream = rows(&pool, 10_000_000);
        stream.next().await.unwrap().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(5), pool.close()).await.is_err());
        assert!(pool.close_now().await.is_clean());
        let mut last = None;
        while let Some(row) = stream.next().await {
            last = Some(row);
        }
        assert!(last.unwrap().unwrap_err().is_interrupted());
    });
}

#[test]
fn a_panic_is_resumed_by_the_stream() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let clone = pool.clone();
        let task = tokio::spawn(async move {
            let mut stream = clone.stream_batches(ROWS, (10,), 3, |batch| {
                if batch.first_row() > 3 {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                Ok(batch.len())
            });
            while let Some(rows) = stream.next().await {
                rows.unwrap();
            }
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn blobs_go_out_and_in_by_pieces() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        for len in [0, 1, 256 * 1024, 256 * 1024 + 1, bytes.len()] {
            pool.execute("DELETE FROM t", ()).await.unwrap();
            pool.execute("INSERT INTO t(rowid, a) VALUES (1, zeroblob(?))", (len as i64,)).await.unwrap();
            let (mut near, mut far) = tokio::io::duplex(1000);
            let upload = bytes[..len].to_vec();
            let sending = tokio::spawn(async move { far.write_all(&upload).await });
            assert_eq!(pool.copy_blob_from(("t", "a", 1), &mut near).await.unwrap(), len as u64);
            sending.await.unwrap().unwrap();
            let (mut near, mut far) = tokio::io::duplex(1000);
            let reading = tokio::spawn(async move {
                let mut read = Vec::new();
                far.read_to_end(&mut read).await.map(|_| read)
            });
            assert_eq!(pool.copy_blob_to(("t", "a", 1), &mut near).await.unwrap(), len as u64);
            drop(near);
            assert!(reading.await.unwrap().unwrap() == bytes[..len]);
        }
        // More than there is room for: nothing is stored.
        pool.execute("UPDATE t SET a = zeroblob(3)", ()).await.unwrap();
        let error = pool.copy_blob_from(("t", "a", 1), &mut &b"four"[..]).await.unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<Error>()), "{error}");
        assert_eq!(pool.query_one::<Value>("SELECT a FROM t", ()).await.unwrap(), Value::Blob(vec![0, 0, 0]));
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_backup_is_reported_and_cancelled_between_steps() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT zeroblob(4000) FROM n";
        pool.execute(fill, ()).await.unwrap();
        let copy = dir.path().join("copy.db");
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&steps);
        let slow = move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
        };
        let cancelled = pool.backup_to(&copy, slow);
        assert!(tokio::time::timeout(Duration::from_millis(10), cancelled).await.is_err());
        pool.idle().await;
        let seen = steps.load(Ordering::SeqCst);
        assert!(seen < 5, "{seen} steps");
        let conn = finalite::Connection::open(&copy).unwrap();
        assert!(!conn.table_exists(None, "t").unwrap());
        drop(conn);
        pool.backup_to(&copy, |_| {}).await.unwrap();
        let conn = finalite::Connection::open(&copy).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 5000);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_watch_is_woken_by_commits_and_by_the_end() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut watch = pool.watch(["t"]).await.unwrap();
        assert_eq!(watch.tables().collect::<Vec<_>>(), ["t"]);
        assert!(watch.try_next().is_none());
        let clone = pool.clone();
        let watching = tokio::spawn(async move {
            let (mut changes, mut commits) = (0, 0);
            while let Some(change) = watch.next().await {
                assert!(change.has_table("T"));
                assert!(clone.query_one::<i64>("SELECT count(*) FROM t", ()).await.is_ok_and(|count| count > 0));
                changes += 1;
                commits += change.commits;
                if commits == 30 {
                    break;
                }
            }
            (changes, commits)
        });
        for _ in 0..30 {
            pool.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        }
        let (changes, commits) = watching.await.unwrap();
        assert!(changes > 0 && commits == 30);
        let mut watch = pool.watch_query("SELECT a FROM t").await.unwrap();
        let ending = tokio::spawn(async move { watch.next().await });
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(pool.close().await.is_clean());
        assert!(ending.await.unwrap().is_none());
    });
}
