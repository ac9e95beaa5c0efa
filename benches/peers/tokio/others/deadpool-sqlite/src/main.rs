#[path = "../../../src/task.rs"]
mod task;

use deadpool_sqlite::rusqlite::Error;
use deadpool_sqlite::{Config, Hook, HookError, Pool, Runtime};
use task::{Driver, INSERT, LOOKUP, PRAGMAS, STREAM, checksum};

/// Two pools: SQLite has one writer, and connections that wait for it in its busy handler are slow.
struct Deadpool {
    readers: Pool,
    writer: Pool,
}

impl Driver for Deadpool {
    async fn lookup(&self, id: i64) -> (String, i64) {
        let conn = self.readers.get().await.unwrap();
        let call = move |conn: &mut deadpool_sqlite::rusqlite::Connection| {
            conn.prepare_cached(LOOKUP)?.query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))
        };
        conn.interact(call).await.unwrap().unwrap()
    }

    async fn insert(&self, a: i64, b: String, c: f64) {
        let conn = self.writer.get().await.unwrap();
        conn.interact(move |conn| conn.prepare_cached(INSERT)?.execute((a, b, c))).await.unwrap().unwrap();
    }

    async fn stream(&self) -> u64 {
        let conn = self.readers.get().await.unwrap();
        let call = |conn: &mut deadpool_sqlite::rusqlite::Connection| {
            let mut statement = conn.prepare_cached(STREAM)?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<Vec<(i64, String, i64)>, Error>>()
        };
        let rows = conn.interact(call).await.unwrap().unwrap();
        rows.into_iter().fold(0, |sum, (id, text, number)| checksum(sum, id, &text, number))
    }
}

fn main() {
    task::serve(async |path| {
        let pool = |connections| {
            let builder = Config::new(path).builder(Runtime::Tokio1).unwrap().max_size(connections);
            let set = Hook::async_fn(|conn, _| {
                Box::pin(async move {
                    let set = conn.interact(|conn| conn.execute_batch(PRAGMAS)).await;
                    set.map_err(|_| HookError::message("it panicked"))?.map_err(HookError::Backend)
                })
            });
            builder.post_create(set).build().unwrap()
        };
        Deadpool { readers: pool(4), writer: pool(1) }
    });
}
