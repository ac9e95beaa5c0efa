#[path = "../../../src/task.rs"]
mod task;

use async_sqlite::rusqlite::{self, Error};
use async_sqlite::{JournalMode, Pool, PoolBuilder};
use task::{Driver, INSERT, LOOKUP, PRAGMAS, STREAM, checksum};

/// Two pools: SQLite has one writer, and connections that wait for it in its busy handler are slow.
struct AsyncSqlite {
    readers: Pool,
    writer: Pool,
}

impl Driver for AsyncSqlite {
    async fn lookup(&self, id: i64) -> (String, i64) {
        let call = move |conn: &rusqlite::Connection| {
            conn.prepare_cached(LOOKUP)?.query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))
        };
        self.readers.conn(call).await.unwrap()
    }

    async fn insert(&self, a: i64, b: String, c: f64) {
        self.writer.conn(move |conn| conn.prepare_cached(INSERT)?.execute((a, b, c))).await.unwrap();
    }

    async fn stream(&self) -> u64 {
        let call = |conn: &rusqlite::Connection| {
            let mut statement = conn.prepare_cached(STREAM)?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<Vec<(i64, String, i64)>, Error>>()
        };
        let rows = self.readers.conn(call).await.unwrap();
        rows.into_iter().fold(0, |sum, (id, text, number)| checksum(sum, id, &text, number))
    }
}

fn main() {
    task::serve(async |path| {
        let pool = async |connections| {
            let builder = PoolBuilder::new().path(path).journal_mode(JournalMode::Wal).num_conns(connections);
            let pool = builder.open().await.unwrap();
            let set = pool.conn_for_each(|conn| conn.execute_batch(PRAGMAS)).await;
            set.into_iter().for_each(|set| set.unwrap());
            pool
        };
        AsyncSqlite { readers: pool(4).await, writer: pool(1).await }
    });
}
