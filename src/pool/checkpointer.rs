//! Periodic checkpoints of a pool's database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::Pool;
use crate::error::{ErrorKind, Result};
use crate::worker::{Stop, Worker};

/// Checkpoints a pool's database periodically, on a thread of its own.
///
/// SQLite checkpoints within a commit that finds the WAL long, which delays that commit, and not at all while readers
/// use the WAL. With overlapping readers a WAL can grow without limit. A `Checkpointer` uses the writer's connection
/// when it is idle, and skips a turn when it is checked out. Its checkpoints are passive: they wait for no reader, and
/// block none.
///
/// Its thread ends when the pool does, or when the pool is [shut down](Pool::shut_down). It keeps the pool alive during
/// a checkpoint only; drop it first where [`Pool::close`] is to follow, which needs the only `Arc`. Dropping it stops
/// the thread, and waits for the end of a running checkpoint, which may wait for another process's lock as long as the
/// connections' busy timeout.
///
/// # Example
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use finalite::pool::{Checkpointer, Pool};
///
/// let dir = tempfile::tempdir()?;
/// let pool = Arc::new(Pool::builder(dir.path().join("app.db")).build()?);
/// let checkpointer = Checkpointer::start(&pool, Duration::from_secs(10))?;
/// pool.writer()?.execute("CREATE TABLE t(a)", ())?;
/// drop(checkpointer); // here its thread has ended
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [sqlite3_wal_checkpoint_v2](https://sqlite.org/c3ref/wal_checkpoint_v2.html)
#[must_use = "dropping it stops it"]
pub struct Checkpointer {
    worker: Worker,
}

impl Checkpointer {
    /// Starts a thread that checkpoints at this interval.
    ///
    /// # Errors
    ///
    /// The system's error if it starts no thread.
    pub fn start(pool: &Arc<Pool>, every: Duration) -> io::Result<Self> {
        let pool = Arc::downgrade(pool);
        let work = move |stop: &Stop| {
            while !stop.wait(every) {
                // The pool may end between two turns.
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                match checkpoint(&pool) {
                    Ok(()) => {}
                    // The pool may end much later, if a connection is checked out.
                    Err(error) if matches!(error.kind(), ErrorKind::PoolClosed) => return,
                    Err(error) => {
                        pool.counters().checkpoint.failed.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(target: "finalite::pool", %error, "a checkpoint failed");
                    }
                }
            }
        };
        Ok(Self { worker: Worker::start("finalite-checkpoint", work)? })
    }
}

fn checkpoint(pool: &Pool) -> Result<()> {
    let checkpoints = &pool.counters().checkpoint;
    let Some(conn) = pool.try_writer()? else {
        checkpoints.skipped.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    };
    let start = Instant::now();
    let (_busy, frames, checkpointed): (i64, i64, i64) = conn.query_one("PRAGMA wal_checkpoint(PASSIVE)", ())?;
    // Both are -1 for a database that is not in WAL mode.
    let number = |frames: i64| u64::try_from(frames).unwrap_or(0);
    checkpoints.add(start.elapsed(), number(frames), number(checkpointed));
    tracing::debug!(target: "finalite::pool", frames, checkpointed, "checkpoint");
    Ok(())
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").field("worker", &self.worker).finish()
    }
}
