//! Futures that are dropped at random points, beside a model of what is stored.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use finalite::Connection;
use finalite::pool::Role;
use finalite_tokio::Pool;

use super::{ENDLESS, runtimes};

/// Numbers made of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Writes, by what their callers know of them. Each has a number of its own.
#[derive(Default)]
struct Writes {
    acknowledged: BTreeSet<i64>,
    /// Their futures were dropped.
    in_doubt: BTreeSet<i64>,
    /// They returned an error.
    refused: BTreeSet<i64>,
}

impl Writes {
    /// Compares what is known with what is stored.
    fn check(&self, stored: &BTreeSet<i64>) -> Result<(), String> {
        if let Some(lost) = self.acknowledged.difference(stored).next() {
            return Err(format!("{lost} was acknowledged, and is not stored"));
        }
        if let Some(kept) = self.refused.intersection(stored).next() {
            return Err(format!("{kept} was refused, and is stored"));
        }
        let unknown = stored.difference(&self.acknowledged).find(|&number| !self.in_doubt.contains(number));
        unknown.map_or(Ok(()), |unknown| Err(format!("nobody has written {unknown}")))
    }
}

/// Waits for a future, for a random time: until it has been polled so often, or some time has passed. `None`: it was
/// dropped.
async fn dropped_at_random<T>(random: &mut Random, future: impl Future<Output = T>) -> Option<T> {
    match random.below(4) {
        0 => {
            // So many polls, and turns of the runtime between them.
            let mut polls = random.below(4);
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(move |task| match future.as_mut().poll(task) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if polls == 0 => Poll::Ready(None),
                Poll::Pending => {
                    polls -= 1;
                    task.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await
        }
        1 => tokio::time::timeout(Duration::from_micros(random.below(3_000)), future).await.ok(),
        _ => tokio::time::timeout(Duration::from_millis(20), future).await.ok(),
    }
}

/// What all tasks share.
struct Shared {
    pool: Pool,
    writes: Mutex<Writes>,
    next: AtomicI64,
    dropped: AtomicUsize,
    wanted: usize,
}

impl Shared {
    fn note(&self, number: i64, outcome: Option<bool>) {
        let mut writes = self.writes.lock().unwrap();
        let into = match outcome {
            Some(true) => &mut writes.acknowledged,
            Some(false) => &mut writes.refused,
            None => &mut writes.in_doubt,
        };
        into.insert(number);
    }
}

/// One call, which may be dropped. Returns whether it was.
async fn call(shared: &Shared, random: &mut Random) -> bool {
    let pool = &shared.pool;
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let insert = "INSERT INTO t VALUES (?)";
    match random.below(9) {
        0 => {
            let outcome = match random.below(8) {
                0..3 => dropped_at_random(random, pool.execute(insert, (number,))).await,
                3 => dropped_at_random(random, pool.execute_grouped(format!("INSERT INTO t {ENDLESS}"), ())).await,
                _ => dropped_at_random(random, pool.execute_grouped(insert, (number,))).await,
            };
            shared.note(number, outcome.as_ref().map(Result::is_ok));
            outcome.is_none()
        }
        1 | 2 => {
            // Both or none: the negative number is of the same write.
            let is_slow = random.below(8) == 0;
            let write = pool.write(move |tx| {
                tx.execute(insert, (number,))?;
                if is_slow {
                    tx.query_one::<i64>(ENDLESS, ())?;
                }
                tx.execute(insert, (-number,))
            });
            let outcome = dropped_at_random(random, write).await;
            shared.note(number, outcome.as_ref().map(Result::is_ok));
            shared.note(-number, outcome.as_ref().map(Result::is_ok));
            outcome.is_none()
        }
        3 | 4 => {
            let commits = random.below(4) > 0;
            let is_late = random.below(4) == 0;
            let transaction = async {
                let mut tx = pool.begin().await?;
                tx.execute(insert, (number,)).await?;
                if is_late {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tx.execute(insert, (-number,)).await?;
                if commits { tx.commit().await.map(|()| true) } else { tx.rollback().await.map(|()| false) }
            };
            let outcome = dropped_at_random(random, transaction).await;
            let is_stored = outcome.as_ref().map(|outcome| matches!(outcome, Ok(true)));
            shared.note(number, is_stored);
            shared.note(-number, is_stored);
            outcome.is_none()
        }
        5 if random.below(2) == 0 => dropped_at_random(random, pool.query_one::<i64>(ENDLESS, ())).await.is_none(),
        5 => {
            // Queries that share a transaction where they wait.
            let endless = format!("SELECT * FROM ({ENDLESS})");
            let together = async {
                let all = pool.query_all::<i64>("SELECT a FROM t", ());
                tokio::join!(pool.exists("SELECT 1 FROM t", ()), all, pool.query_one::<i64>(endless, ()))
            };
            dropped_at_random(random, together).await.is_none()
        }
        6 => {
            let stream = async {
                let mut rows = pool.stream::<i64>("SELECT a FROM t, (VALUES (1), (2), (3))", ());
                while let Some(row) = rows.next().await {
                    row.unwrap();
                }
            };
            dropped_at_random(random, stream).await.is_none()
        }
        7 => {
            let reading = async {
                let mut tx = pool.begin_read().await?;
                let before: i64 = tx.query_one("SELECT count(*) FROM t", ()).await?;
                let after: i64 = tx.query_one("SELECT count(*) FROM t", ()).await?;
                assert_eq!(before, after);
                Ok::<_, finalite::Error>(())
            };
            dropped_at_random(random, reading).await.is_none()
        }
        _ => {
            let sum = dropped_at_random(random, pool.query_one::<i64>("SELECT ? + ?", (number, 1))).await;
            // The next user of a connection is not hit by the interrupt of the last.
            sum.is_none_or(|sum| sum.unwrap() != number + 1)
        }
    }
}

/// Drops so many futures, in 32 tasks, on each runtime.
pub(crate) fn at_random_points(seed: u64, count: usize) {
    for (turn, runtime) in runtimes().into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let shared = runtime.block_on(async {
            let pool = Pool::open(finalite::pool::Pool::builder(&path).readers(3)).await.unwrap();
            pool.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)", ()).await.unwrap();
            let shared = Arc::new(Shared {
                pool,
                writes: Mutex::default(),
                next: AtomicI64::new(1),
                dropped: AtomicUsize::new(0),
                wanted: count / 2,
            });
            let tasks: Vec<_> = (0..32_u64)
                .map(|task| {
                    let shared = Arc::clone(&shared);
                    let mut random = Random((seed * 2 + turn as u64 + 1) * 1_000_003 + task);
                    tokio::spawn(async move {
                        while shared.dropped.load(Ordering::Relaxed) < shared.wanted {
                            let was_dropped = call(&shared, &mut random).await;
                            shared.dropped.fetch_add(usize::from(was_dropped), Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            shared.pool.idle().await;
            shared
        });
        // All connections are back, and none has a lock or an old state.
        let status = shared.pool.status();
        assert!([Role::Reader, Role::Writer].iter().all(|&role| status.role(role).checked_out.is_empty()));
        assert_eq!(status.destroyed_total.iter().sum::<u64>(), 0, "{status:?}");
        let other = Connection::open(&path).unwrap();
        other.set_busy_timeout(Duration::ZERO).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE; COMMIT").unwrap();
        let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0)).unwrap();
        assert_eq!(busy, 0, "a connection still reads");

        let stored: BTreeSet<i64> = other.query_all("SELECT a FROM t", ()).unwrap().into_iter().collect();
        other.close().unwrap();
        let mut writes = std::mem::take(&mut *shared.writes.lock().unwrap());
        writes.check(&stored).unwrap();
        let is_whole = |number: &i64| stored.contains(&-number);
        let singles = stored.iter().filter(|number| **number < 0 && !is_whole(number)).count();
        assert_eq!(singles, 0, "half a transaction is stored");
        the_model_is_strict(&mut writes, &stored);

        // The end of the pool: by a call, or by a drop.
        if turn == 0 {
            let report = runtime.block_on(shared.pool.close());
            assert!(report.is_clean(), "{report}");
        }
        drop(shared);
        drop(runtime);
    }
}

/// The control: writes that were not acknowledged, counted as such, and others that a broken pool would produce.
fn the_model_is_strict(writes: &mut Writes, stored: &BTreeSet<i64>) {
    let dropped = writes.in_doubt.difference(stored).next().copied();
    let dropped = dropped.expect("of the writes that were dropped, some are not stored");
    writes.acknowledged.insert(dropped);
    assert!(writes.check(stored).unwrap_err().contains("was acknowledged"));
    writes.acknowledged.remove(&dropped);
    let kept = *writes.acknowledged.first().expect("some are");
    writes.refused.insert(kept);
    assert!(writes.check(stored).unwrap_err().contains("was refused"));
    writes.refused.remove(&kept);
    writes.acknowledged.remove(&kept);
    assert!(writes.check(stored).unwrap_err().contains("nobody has written"));
}

/// Runtimes that are dropped while their tasks are in the middle of calls, and one that is dropped within another.
pub(crate) fn with_their_runtime() {
    for round in 0..20 {
        let [one, several] = runtimes();
        let dir = tempfile::tempdir().unwrap();
        let pool = one.block_on(async {
            let pool = Pool::open(finalite::pool::Pool::builder(dir.path().join("a.db")).readers(2)).await.unwrap();
            pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
            pool
        });
        for task in 0..16 {
            let pool = pool.clone();
            several.spawn(async move {
                match task % 4 {
                    0 => drop(pool.query_one::<i64>(ENDLESS, ()).await),
                    1 => drop(pool.write(|tx| tx.query_one::<i64>(ENDLESS, ())).await),
                    2 => drop(pool.stream::<i64>("SELECT 1", ()).next().await),
                    _ => {
                        let tx = pool.begin().await;
                        tokio::time::sleep(Duration::from_secs(3600)).await;
                        drop(tx);
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(2));
        if round % 2 == 0 {
            drop(pool);
            drop(several);
        } else {
            one.block_on(async { several.shutdown_background() });
            drop(pool);
        }
    }
}
