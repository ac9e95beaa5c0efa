//! A child process that was forked from one with a pool: nothing hangs there, and nothing of the parent's is touched.

#[path = "../../tests/common/child.rs"]
mod child;

use std::time::Duration;

use finalite::ErrorKind;
use finalite_tokio::Pool;

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
) -> bool {
    let late = pool.with_deadline(Duration::from_millis(10));
    let blob = |error: std::io::Error| error.get_ref().and_then(|inner| inner.downcast_ref()).is_some_and(is_forked);
    [
        is_forked(&call.await.unwrap_err()),
        is_forked(&pool.query_one::<i64>("SELECT 1", ()).await.unwrap_err()),
        is_forked(&pool.execute("INSERT INTO t VALUES (9)", ()).await.unwrap_err()),
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
        let polled = call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending());
        (tx, stream, call)
    });
    drop(open);
    let (mut tx, mut stream, mut call) = (Some(tx), Some(stream), Some(call));
    let is_good = child::in_child(|| {
        let (pool, mut tx, mut stream) = (pool.take().unwrap(), tx.take().unwrap(), stream.take().unwrap());
        let refused = runtime().block_on(async {
            let refused = is_refused(&pool, &mut tx, &mut stream, call.take().unwrap()).await;
            pool.idle().await;
            refused && pool.close().await.closed() == 0 && pool.close_now().await.closed() == 0
        });
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
        assert_eq!(pool.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 3);
        assert!(pool.close().await.is_clean());
    });
}
