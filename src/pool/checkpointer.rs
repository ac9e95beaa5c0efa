//! Moving what is in the WAL into the database from time to time.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use super::Pool;
use crate::error::{ErrorKind, Result};
use crate::worker::{Stop, Worker};

/// Checkpoints a pool's database now and then, on a thread of its own.
///
/// SQLite checkpoints when a commit finds the WAL long, at that commit's expense, and not at all while readers hold it;
/// a WAL can grow without end under readers that overlap. This does it beside the writer's work, when the writer is not
/// lent: a turn that finds it lent is passed over. It checkpoints passively: it waits for no reader, and blocks none.
///
/// It does not keep the pool alive, and ends with it, or when that is [shut down](Pool::shut_down). Dropping it stops the thread and waits until it has ended; that takes as long as
/// the checkpoint that is under way, and as the connections' busy timeout where that waits for a lock of another
/// process.
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
    /// Checkpoints each time this long has passed.
    ///
    /// # Errors
    ///
    /// The system's, where it gives no thread.
    pub fn start(pool: &Arc<Pool>, every: Duration) -> io::Result<Self> {
        let pool = Arc::downgrade(pool);
        let work = move |stop: &Stop| {
            while !stop.wait(every) {
                // Between two turns the pool may end.
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                match checkpoint(&pool) {
                    Ok(()) => {}
                    // Its end may be far: somebody has a connection out.
                    Err(error) if matches!(error.kind(), ErrorKind::PoolClosed) => return,
                    Err(error) => tracing::warn!(target: "finalite::pool", %error, "a checkpoint failed"),
                }
            }
        };
        Ok(Self { worker: Worker::start("finalite-checkpoint", work)? })
    }
}

fn checkpoint(pool: &Pool) -> Result<()> {
    let Some(conn) = pool.try_writer()? else {
        return Ok(());
    };
    let (_busy, frames, checkpointed): (i64, i64, i64) = conn.query_one("PRAGMA wal_checkpoint(PASSIVE)", ())?;
    tracing::debug!(target: "finalite::pool", frames, checkpointed, "checkpoint");
    Ok(())
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").field("worker", &self.worker).finish()
    }
}
