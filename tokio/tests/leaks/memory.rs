//! The memory of a stream does not grow with its rows.

use std::fs;

use finalite::pool::Pool as SyncPool;
use finalite_tokio::Pool;

use super::{runtimes, times};

/// Resident memory of the process, in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Reads a stream, and returns by how much the resident memory grew on the way, at most.
async fn growth(pool: &Pool, rows: i64) -> u64 {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?)
               SELECT i, 'the text of row number ' || i FROM n";
    let mut stream = pool.stream::<(i64, String)>(sql, (rows,));
    let (before, mut most, mut seen) = (resident(), 0, 0);
    while let Some(row) = stream.next().await {
        let (i, text) = row.unwrap();
        assert!(text.len() > 20);
        seen = i;
        if i % 50_000 == 0 {
            most = resident().max(most);
        }
    }
    assert_eq!(seen, rows);
    most.saturating_sub(before)
}

/// A million rows, or ten with `FINALITE_LONG_RUN`.
pub(crate) fn a_long_stream_takes_the_memory_of_a_short_one() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let pool = Pool::open(SyncPool::in_memory("long_stream").readers(1)).await.unwrap();
        growth(&pool, 100_000).await;
        let grown = growth(&pool, times(1_000_000) as i64).await;
        assert!(grown < 4_000_000, "{grown} bytes");
        // The control: the same rows as a whole.
        let before = resident();
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)
                   SELECT i, 'the text of row number ' || i FROM n";
        let rows = pool.query_all::<(i64, String)>(sql, ()).await.unwrap();
        let grown = resident() - before;
        assert!(grown > 8_000_000, "{grown} bytes for {} rows", rows.len());
        assert!(pool.close().await.is_clean());
    });
}
