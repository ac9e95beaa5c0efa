//! Watching a database: a thread that keeps a total up to date while others write, and notices another process, too.
//!
//! ```text
//! cargo run --example watch
//! ```

mod events;

use std::error::Error;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use finalite::pool::{Pool, Watch};
use finalite::{Connection, Result};

const TOTAL: &str = "SELECT coalesce(sum(cents), 0) FROM sale";

/// Sends the total whenever it may have changed, until the pool is shut down.
fn follow(pool: &Pool, watch: Watch, send: &mpsc::Sender<i64>) -> Result<()> {
    for _change in watch {
        let total = pool.reader()?.query_one(TOTAL, ())?;
        // Whoever receives it may be gone.
        let _ = send.send(total);
    }
    Ok(())
}

/// Waits until the total is this one. Several commits may be one change.
fn expect(totals: &mpsc::Receiver<i64>, expected: i64) -> std::result::Result<(), Box<dyn Error>> {
    while totals.recv_timeout(Duration::from_secs(60))? != expected {}
    println!("total {expected}");
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("sales.db");
    let pool = Arc::new(Pool::builder(&path).readers(2).build()?);
    pool.writer()?.execute_batch("CREATE TABLE sale(cents INTEGER NOT NULL); CREATE TABLE log(line TEXT)")?;

    // The tables come from the query.
    let watch = pool.watch_query(TOTAL)?;
    println!("watching {}", watch.tables().collect::<Vec<_>>().join(", "));
    let (send, totals) = mpsc::channel();
    let following = Arc::clone(&pool);
    let follower = thread::spawn(move || follow(&following, watch, &send));

    for cents in [100, 250] {
        pool.write(|tx| tx.execute("INSERT INTO sale VALUES (?)", (cents,)))?;
    }
    expect(&totals, 350)?;
    // No change of the table: it is rolled back, or it is of another.
    let mut conn = pool.writer()?;
    let tx = conn.transaction()?;
    tx.execute("DELETE FROM sale", ())?;
    tx.rollback()?;
    conn.execute("INSERT INTO log VALUES ('nothing sold')", ())?;
    drop(conn);
    pool.writer()?.execute("DELETE FROM sale", ())?;
    expect(&totals, 0)?;

    // As another process would.
    Connection::open(&path)?.execute("INSERT INTO sale VALUES (7)", ())?;
    println!("others wrote: {}", pool.poll_external_changes()?);
    expect(&totals, 7)?;

    let report = pool.shut_down();
    follower.join().map_err(|_| "the follower panicked")??;
    println!("closed cleanly: {}", report.is_clean());
    Ok(())
}
