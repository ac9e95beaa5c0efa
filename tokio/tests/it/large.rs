//! Large values and backups.

use std::io::ErrorKind as IoKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use finalite::{Error, Value};
use finalite_tokio::Pool;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{on_both_runtimes, pool};

/// A peer that accepts some bytes, and then nothing.
struct Stalled(usize);

impl AsyncWrite for Stalled {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stalled {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let given = into.remaining().min(self.0);
        self.0 -= given;
        if given == 0 {
            return Poll::Pending;
        }
        into.put_slice(&vec![7; given]);
        Poll::Ready(Ok(()))
    }
}

fn inner(error: &std::io::Error) -> &Error {
    assert_eq!(error.kind(), IoKind::Other);
    error.get_ref().and_then(|inner| inner.downcast_ref()).expect("an error of finalite")
}

const SOON: Duration = Duration::from_secs(10);

async fn with_value(len: i64) -> (tempfile::TempDir, Pool) {
    let (dir, pool) = pool(1).await;
    pool.execute("INSERT INTO t(rowid, a) VALUES (1, zeroblob(?))", (len,)).await.unwrap();
    (dir, pool)
}

#[test]
fn a_deadline_ends_a_copy_whose_peer_stalls() {
    on_both_runtimes(|| async {
        // The last case is a value that is read as a whole before its writer accepts the second half.
        for (len, accepted) in [(1_000_000, 0), (1_000_000, 300_000), (100_000, 50_000)] {
            let (_dir, pool) = with_value(len).await;
            let late = pool.with_deadline(Duration::from_millis(50));
            let begun = Instant::now();
            let error = late.copy_blob_to(("t", "a", 1), &mut Stalled(accepted)).await.unwrap_err();
            assert!(inner(&error).is_deadline(), "{error}");
            let error = late.copy_blob_from(("t", "a", 1), &mut Stalled(accepted)).await.unwrap_err();
            assert!(inner(&error).is_deadline(), "{error}");
            assert!(begun.elapsed() < SOON);
            // Nothing is stored, and the connections are free.
            let stored: i64 = pool.query_one("SELECT a = zeroblob(?) FROM t", (len,)).await.unwrap();
            assert_eq!((stored, pool.execute("DELETE FROM t", ()).await.unwrap()), (1, 1));
            assert!(pool.close().await.is_clean());
        }
    });
}

#[test]
fn closing_now_ends_copies_whose_peers_stall() {
    on_both_runtimes(|| async {
        let (_dir, pool) = with_value(1_000_000).await;
        let (reads, writes) = (pool.clone(), pool.clone());
        let out = tokio::spawn(async move { reads.copy_blob_to(("t", "a", 1), &mut Stalled(10)).await });
        let into = tokio::spawn(async move { writes.copy_blob_from(("t", "a", 1), &mut Stalled(10)).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(pool.close_now().await.is_clean());
        for ended in [out, into] {
            let error = tokio::time::timeout(SOON, ended).await.unwrap().unwrap().unwrap_err();
            assert!(inner(&error).is_interrupted(), "{error}");
        }
    });
}

#[test]
fn a_dropped_copy_stores_nothing_and_gives_the_connection_back() {
    on_both_runtimes(|| async {
        let (_dir, pool) = with_value(200_000).await;
        let (mut upload, mut reader) = (Stalled(150_000), Stalled(10));
        let into = pool.copy_blob_from(("t", "a", 1), &mut upload);
        assert!(tokio::time::timeout(Duration::from_millis(20), into).await.is_err());
        let out = pool.copy_blob_to(("t", "a", 1), &mut reader);
        assert!(tokio::time::timeout(Duration::from_millis(20), out).await.is_err());
        pool.idle().await;
        assert_eq!(pool.query_one::<i64>("SELECT a = zeroblob(200000) FROM t", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

/// The value is opened once: a copy is of one state, whatever is written meanwhile.
#[test]
fn a_copy_is_of_one_state() {
    on_both_runtimes(|| async {
        let (_dir, pool) = with_value(1_000_000).await;
        let (mut near, mut far) = tokio::io::duplex(1000);
        let copy = tokio::spawn({
            let pool = pool.clone();
            async move { pool.copy_blob_to(("t", "a", 1), &mut near).await }
        });
        let mut read = vec![1; 10];
        far.read_exact(&mut read).await.unwrap();
        pool.execute("UPDATE t SET a = randomblob(1000000)", ()).await.unwrap();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(copy.await.unwrap().unwrap(), 1_000_000);
        assert!(read.len() == 1_000_000 && read.iter().all(|byte| *byte == 0));
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn errors_of_the_peer_and_of_the_value_are_told() {
    on_both_runtimes(|| async {
        let (_dir, pool) = with_value(100_000).await;
        let (mut near, far) = tokio::io::duplex(1000);
        drop(far);
        let error = pool.copy_blob_to(("t", "a", 1), &mut near).await.unwrap_err();
        assert_eq!(error.kind(), IoKind::BrokenPipe);
        for missing in [("t", "a", 2), ("t", "b", 1)] {
            let error = pool.copy_blob_to(missing, &mut tokio::io::sink()).await.unwrap_err();
            let kind = format!("{:?}", inner(&error).kind());
            assert!(kind.starts_with("BlobUnavailable"), "{kind}");
            let error = pool.copy_blob_from(missing, &mut Stalled(10)).await.unwrap_err();
            assert_eq!(format!("{:?}", inner(&error).kind()), kind);
        }
        // Fewer bytes than the value has: the rest stays.
        let (mut near, mut far) = tokio::io::duplex(1000);
        far.write_all(b"xyz").await.unwrap();
        drop(far);
        assert_eq!(pool.copy_blob_from(("t", "a", 1), &mut near).await.unwrap(), 3);
        let start: Value = pool.query_one("SELECT substr(a, 1, 4) FROM t", ()).await.unwrap();
        assert_eq!(start, Value::Blob(b"xyz\0".to_vec()));
        assert!(pool.close().await.is_clean());
    });
}

/// With a write-ahead log, the copy is of the moment at which it begins, and its end can be cancelled as its beginning.
#[test]
fn writes_do_not_begin_a_backup_again() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) INSERT INTO t SELECT zeroblob(4000) FROM n";
        pool.execute(fill, ()).await.unwrap();
        let (steps, restarts) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, restarted, sync) = (Arc::clone(&steps), Arc::clone(&restarts), Arc::clone(pool.blocking()));
        let copy = dir.path().join("copy.db");
        let report = move |progress: finalite::data::BackupProgress| {
            counted.fetch_add(1, Ordering::SeqCst);
            restarted.store(progress.restarts, Ordering::SeqCst);
            sync.writer().unwrap().execute("INSERT INTO t VALUES ('later')", ()).unwrap();
        };
        pool.backup_to(&copy, report).await.unwrap();
        assert_eq!(restarts.load(Ordering::SeqCst), 0);
        let steps = steps.load(Ordering::SeqCst);
        assert!(steps >= 5, "{steps} steps");
        let conn = finalite::Connection::open(&copy).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 6000);
        assert_eq!(super::count(&pool).await, 6000 + i64::try_from(steps).unwrap());
        assert!(pool.close().await.is_clean());
    });
}
