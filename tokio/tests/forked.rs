//! A child process that was forked from one with a pool: nothing hangs there, and nothing of the parent's is touched.

#[path = "../../tests/common/child.rs"]
mod child;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use finalite::ErrorKind;
use finalite_tokio::Pool;
use tokio::io::{AsyncRead, ReadBuf};

fn is_forked(error: &finalite::Error) -> bool {
    matches!(error.kind(), ErrorKind::Forked)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// What a child sees that has a pool, a transaction, a stream and a call of its parent. It is killed if it hangs.
async fn is_refused(
    pool: &Pool,
    tx: &mut finalite_tokio::Transaction,
    stream: &mut finalite_tokio::RowStream<i64>,
    call: impl Future<Output = finalite::Result<i64>>,
    (grouped, upload): (impl Future<Output = finalite::Result<usize>>, impl Future<Output = std::io::Result<u64>>),
) -> bool {
    let late = pool.with_deadline(Duration::from_millis(10));
    let blob = |error: std::io::Error| error.get_ref().and_then(|inner| inner.downcast_ref()).is_some_and(is_forked);
    [
        is_forked(&call.await.unwrap_err()),
        is_forked(&grouped.await.unwrap_err()),
        blob(upload.await.unwrap_err()),
        is_forked(&pool.query_one::<i64>("SELECT 1", ()).await.unwrap_err()),
        is_forked(&pool.execute("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
        is_forked(&pool.execute_grouped("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
        is_forked(&late.execute("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
        is_forked(&pool.write(|tx| tx.execute("INSERT INTO t VALUES (9)", ())).await.unwrap_err()),
        is_forked(&pool.begin().await.unwrap_err()),
        is_forked(&pool.try_begin().await.unwrap_err()),
        is_forked(&pool.begin_read().await.unwrap_err()),
        is_forked(&pool.watch(["t"]).await.unwrap_err()),
        blob(pool.copy_blob_to(("t", "a", 1), &mut Vec::new()).await.unwrap_err()),
        blob(pool.copy_blob_from(("t", "a", 1), &mut &b"1"[..]).await.unwrap_err()),
        is_forked(&tx.execute("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
        is_forked(&tx.execute("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
        // Rows that were read are the child's, too.
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break is_forked(&error),
                None => break false,
            }
        },
        stream.next().await.is_none(),
    ]
    .iter()
    .all(|is_so| *is_so)
}

/// A reader that has nothing until it is ready, and counts how often it was asked then.
struct Late {
    is_ready: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Late {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.is_ready.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        if self.reads.fetch_add(1, Ordering::SeqCst) == 0 {
            bytes.put_slice(b"7");
        }
        Poll::Ready(Ok(()))
    }
}

#[test]
fn calls_of_a_child_are_refused_and_its_drops_touch_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let builder = finalite::pool::Pool::builder(dir.path().join("a.db")).readers(2);
    let mut pool = Some(Pool::from(builder.build().unwrap()));
    let parent = runtime();
    let open = pool.clone().unwrap();
    let (tx, stream, call) = parent.block_on(async {
        open.execute("CREATE TABLE t(a)", ()).await.unwrap();
        open.execute("INSERT INTO t VALUES (x'00')", ()).await.unwrap();
        let mut tx = open.begin().await.unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        let counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let mut stream = open.stream::<i64>(counting, ());
        stream.next().await.unwrap().unwrap();
        // A call that runs, and is awaited by the child.
        let reads = open.clone();
        let mut call = Box::pin(async move {
            let slow =
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n";
            reads.query_one::<i64>(slow, ()).await
        });
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        (tx, stream, call)
    });
    // Calls that wait for the transaction, and a reader that is ready where the child polls it.
    let (is_ready, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (writes, copies) = (open.clone(), open.clone());
    let mut grouped = Box::pin(async move { writes.execute_grouped("INSERT INTO t VALUES (3)", ()).await });
    let mut late = Late { is_ready: Arc::clone(&is_ready), reads: Arc::clone(&reads) };
    let mut upload = Box::pin(async move { copies.copy_blob_from(("t", "a", 1), &mut late).await });
    assert!(grouped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(upload.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    is_ready.store(true, Ordering::SeqCst);
    drop(open);
    let (mut tx, mut stream, mut call, mut waiting) = (Some(tx), Some(stream), Some(call), Some((grouped, upload)));
    let is_good = child::in_child(|| {
        let (pool, mut tx, mut stream) = (pool.take().unwrap(), tx.take().unwrap(), stream.take().unwrap());
        let refused = runtime().block_on(async {
            let refused = is_refused(&pool, &mut tx, &mut stream, call.take().unwrap(), waiting.take().unwrap()).await;
            pool.idle().await;
            refused && pool.close().await.closed() == 0 && pool.close_now().await.closed() == 0
        });
        // The call was asked first.
        let refused = refused && reads.load(Ordering::SeqCst) == 0;
        drop((tx, stream));
        let _ = pool.status();
        drop(pool);
        refused
    });
    assert!(is_good);
    // The parent goes on.
    let pool = pool.unwrap();
    parent.block_on(async {
        assert_eq!(call.unwrap().await.unwrap(), 3_000_000);
        let mut tx = tx.unwrap();
        tx.execute("INSERT INTO t VALUES (2)", ()).await.unwrap();
        tx.commit().await.unwrap();
        drop(stream);
        let (grouped, upload) = waiting.unwrap();
        assert_eq!(grouped.await.unwrap(), 1);
        assert_eq!(upload.await.unwrap(), 1);
        assert!(reads.load(Ordering::SeqCst) > 0);
        assert_eq!(pool.query_one::<Vec<u8>>("SELECT a FROM t WHERE rowid = 1", ()).await.unwrap(), b"7");
        assert_eq!(pool.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 4);
        assert!(pool.close().await.is_clean());
    });
}
