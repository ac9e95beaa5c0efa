//! Each allocation of SQLite's fails, one after the other, in calls of a pool: the error says so, nothing is left, and what
//! was acknowledged is stored. Alone in its process.

#[path = "../../tests/common/sweep.rs"]
mod sweep;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use finalite::pool::{Pool as SyncPool, PooledConnection};
use finalite::{Connection, Error, OpenOptions, Result};
use finalite_tokio::Pool;
use sweep::{Scenario, is_no_memory, nothing_stored, sweep, sweep_all};
use tokio::runtime::Builder;

const SCRIPT: &str = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
    INSERT INTO t SELECT i, hex(zeroblob(iif(i % 9 = 0, 3000, i))) FROM n;";

const INSERT: &str = "INSERT INTO t VALUES (?, 'inserted ' || hex(zeroblob(200)))";

struct World {
    path: PathBuf,
    /// Numbers that the last attempt has written, and whether that was acknowledged.
    writes: RefCell<Vec<(i64, bool)>>,
}

impl World {
    /// Runs this with a pool, which it closes.
    fn with_pool<F: Future<Output = Result<()>>>(&self, work: impl FnOnce(Pool) -> F) -> Result<()> {
        self.writes.borrow_mut().clear();
        // Each has a runtime of its own: `open` runs on a thread of the runtime's, which that keeps.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Without the pool of a connection, whose allocations do not fail.
            let options = OpenOptions::new().lookaside(0, 0).pragma("synchronous", "off");
            let pool = Pool::open(SyncPool::builder(&self.path).readers(2).options(options)).await?;
            let answer = in_time("a call is not answered", work(pool.clone())).await;
            let report = in_time("the pool is not closed", pool.close()).await;
            assert!(report.checked_out().is_empty(), "{report}");
            assert!(report.failures().iter().chain(report.log_left()).all(is_no_memory), "{report}");
            answer
        })
    }

    fn note(&self, number: i64, result: Result<usize>) -> Result<()> {
        self.writes.borrow_mut().push((number, result.is_ok()));
        result.map(|changed| assert_eq!(changed, 1))
    }

    /// What was acknowledged is stored, and what was refused is not.
    fn check_writes(&self, _: bool) -> std::result::Result<(), String> {
        let conn = Connection::open(&self.path).unwrap();
        conn.set_pragma("synchronous", "off").unwrap();
        let stored: BTreeSet<i64> =
            conn.query_all("DELETE FROM t WHERE a >= 100 RETURNING a", ()).unwrap().into_iter().collect();
        assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 50);
        let writes = self.writes.borrow();
        let acknowledged = writes.iter().filter(|(_, is_ok)| *is_ok).map(|(number, _)| *number).collect();
        if stored == acknowledged { Ok(()) } else { Err(format!("{stored:?} are stored of {writes:?}")) }
    }
}

async fn in_time<T>(otherwise: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect(otherwise)
}

fn of_io(error: io::Error) -> Error {
    *error.into_inner().expect("an error of the driver's").downcast().expect("an error of the driver's")
}

async fn queries(pool: Pool) -> Result<()> {
    assert_eq!(pool.query_one::<i64>("SELECT max(a) FROM t", ()).await?, 50);
    assert_eq!(pool.query_optional::<String>("SELECT b FROM t WHERE a = ?", (51,)).await?, None);
    assert_eq!(
        pool.query_all::<(i64, String)>("SELECT a, b FROM t WHERE b <> ?", (String::from("x"),)).await?.len(),
        50
    );
    assert!(pool.exists("SELECT 1 FROM t WHERE a = ?", (7,)).await?);
    let count = pool.read(|conn| conn.query_one::<i64>("SELECT count(*) FROM t", ())).await?;
    assert_eq!(count, 50);
    let (one, other) = tokio::join!(pool.exists("SELECT 1 FROM t", ()), pool.query_one::<i64>("SELECT 2", ()));
    assert_eq!((one?, other?), (true, 2));
    Ok(())
}

async fn queries_that_wait(pool: Pool) -> Result<()> {
    let occupy = |_: &mut PooledConnection<'_>| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let one = |a: i64| pool.query_one::<String>("SELECT b FROM t WHERE a = ?", (a,));
    let (first, second, one, other, all) = tokio::join!(
        pool.read(occupy),
        pool.read(occupy),
        one(9),
        one(18),
        pool.query_all::<i64>("SELECT a FROM t", ())
    );
    first.and(second)?;
    assert_eq!((one?.len(), other?.len(), all?.len()), (6000, 6000, 50));
    Ok(())
}

async fn streams(pool: Pool) -> Result<()> {
    let mut rows = pool.stream::<(i64, String)>("SELECT a, b FROM t WHERE a > ?", (10,));
    let mut seen = 10;
    while let Some(row) = rows.next().await {
        seen += 1;
        assert_eq!(row?.0, seen);
    }
    assert_eq!(seen, 50);
    let sum = |batch: &finalite::ColumnBatch| Ok(batch.column(0)?.as_i64()?.iter().sum::<i64>());
    let mut sums = pool.stream_batches("SELECT a FROM t", (), 8, sum);
    let mut all = 0;
    while let Some(sum) = sums.next().await {
        all += sum?;
    }
    assert_eq!(all, 50 * 51 / 2);
    // One that is dropped half-way.
    pool.stream::<i64>("SELECT a FROM t", ()).next().await.unwrap().map(|first| assert_eq!(first, 1))
}

async fn a_value_and_a_copy(pool: Pool, copy: &Path) -> Result<()> {
    let mut body = Vec::new();
    assert_eq!(pool.copy_blob_to(("t", "b", 9), &mut body).await.map_err(of_io)?, 6000);
    assert!(body.iter().all(|&byte| byte == b'0'));
    pool.backup_to(copy, |_| ()).await
}

async fn writes(pool: Pool, world: &World) -> Result<()> {
    world.note(100, pool.execute(INSERT, (100,)).await)?;
    let both = pool.write(|tx| tx.execute(INSERT, (101,)).and_then(|_| tx.execute(INSERT, (102,)))).await;
    world.note(101, both)?;
    world.note(102, Ok(1))?;
    let content = "content".repeat(20);
    let mut reader = content.as_bytes();
    pool.execute("UPDATE t SET b = zeroblob(?) WHERE a = 100", (content.len() as i64,)).await?;
    pool.copy_blob_from(("t", "b", 100), &mut reader).await.map_err(of_io)?;
    assert_eq!(pool.query_one::<Vec<u8>>("SELECT b FROM t WHERE a = 100", ()).await?, content.as_bytes());
    Ok(())
}

async fn transactions(pool: Pool, world: &World) -> Result<()> {
    let mut tx = pool.begin().await?;
    tx.execute(INSERT, (100,)).await?;
    tx.savepoint("s").await?;
    tx.execute(INSERT, (101,)).await?;
    tx.rollback_to("s").await?;
    tx.release("s").await?;
    assert_eq!(tx.query_all::<i64>("SELECT a FROM t WHERE a >= ?", (100,)).await?, [100]);
    world.note(100, tx.commit().await.map(|()| 1))?;
    let mut tx = pool.begin().await?;
    tx.execute(INSERT, (102,)).await?;
    tx.rollback().await?;
    let mut tx = pool.begin_read().await?;
    assert!(!tx.exists("SELECT 1 FROM t WHERE a = 102", ()).await?);
    drop(tx);
    // One that is dropped with changes.
    pool.begin().await?.execute(INSERT, (103,)).await.map(|changed| assert_eq!(changed, 1))
}

async fn groups(pool: Pool, world: &World) -> Result<()> {
    let write = |number: i64| pool.execute_grouped(INSERT, (number,));
    let answers = tokio::join!(write(100), write(101), write(102), write(103), write(104));
    let answers = <[Result<usize>; 5]>::from(answers);
    let noted: Vec<Result<()>> = (100..).zip(answers).map(|(number, answer)| world.note(number, answer)).collect();
    noted.into_iter().collect()
}

async fn a_watch(pool: Pool, world: &World) -> Result<()> {
    let mut watch = pool.watch(["t"]).await?;
    world.note(100, pool.execute(INSERT, (100,)).await)?;
    assert!(watch.next().await.expect("the pool is open").has_table("t"));
    Ok(())
}

#[test]
fn out_of_memory_is_an_error_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("t.db"), dir.path().join("copy.db"));
    OpenOptions::new().pragma("synchronous", "off").open(&path).unwrap().execute_batch(SCRIPT).unwrap();
    let world = World { path, writes: RefCell::default() };

    let queries = || world.with_pool(queries);
    let waiting = || world.with_pool(queries_that_wait);
    let streams = || world.with_pool(streams);
    let copies = || world.with_pool(|pool| a_value_and_a_copy(pool, &copy));
    let writes = || world.with_pool(|pool| writes(pool, &world));
    let transactions = || world.with_pool(|pool| transactions(pool, &world));
    let groups = || world.with_pool(|pool| groups(pool, &world));
    let watch = || world.with_pool(|pool| a_watch(pool, &world));
    let check = |succeeded| world.check_writes(succeeded);
    let plain = |name, run| Scenario { name, run, after: &nothing_stored };
    let writing = |name, run| Scenario { name, run, after: &check };
    let scenarios = [
        plain("queries", &queries as &dyn Fn() -> Result<()>),
        plain("queries that wait", &waiting),
        plain("streams", &streams),
        plain("a value and a copy", &copies),
        writing("writes", &writes),
        writing("transactions", &transactions),
        writing("groups", &groups),
        writing("a watch", &watch),
    ];
    let failed = sweep_all(&scenarios, is_no_memory);
    assert!(failed > 4_000, "{failed} points");

    // Controls: a connection that is kept after an error, and an acknowledgement that comes before the write.
    let keep = || {
        world.with_pool(|pool| async move {
            let result = pool.query_one::<i64>("SELECT max(a) FROM t", ()).await;
            if result.is_err() {
                std::mem::forget(Connection::open_in_memory());
            }
            result.map(drop)
        })
    };
    let finding = sweep(&plain("a driver that leaks", &keep), false, is_no_memory).unwrap_err();
    assert!(finding.contains("left something"), "{finding}");
    let too_early = || {
        world.with_pool(|pool| {
            let world = &world;
            async move {
                world.note(100, Ok(1))?;
                pool.execute(INSERT, (100,)).await.map(drop)
            }
        })
    };
    let finding = sweep(&writing("a driver that answers too early", &too_early), false, is_no_memory).unwrap_err();
    assert!(finding.contains("are stored of"), "{finding}");
}
