#[path = "../../../src/task.rs"]
mod task;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use task::{Driver, INSERT, LOOKUP, STREAM, checksum};

/// Two pools, as its users have them: SQLite has one writer, and connections that wait for it in its busy handler are slow.
struct Sqlx {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Driver for Sqlx {
    async fn lookup(&self, id: i64) -> (String, i64) {
        sqlx::query_as(LOOKUP).bind(id).fetch_one(&self.readers).await.unwrap()
    }

    async fn insert(&self, a: i64, b: String, c: f64) {
        sqlx::query(INSERT).bind(a).bind(b).bind(c).execute(&self.writer).await.unwrap();
    }

    async fn stream(&self) -> u64 {
        let (mut rows, mut sum) = (sqlx::query_as::<_, (i64, String, i64)>(STREAM).fetch(&self.readers), 0);
        while let Some((id, text, number)) = rows.try_next().await.unwrap() {
            sum = checksum(sum, id, &text, number);
        }
        sum
    }
}

fn main() {
    task::serve(async |path| {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .row_buffer_size(1_000)
            .pragma("cache_size", "-64000");
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).connect_with(options.clone());
        Sqlx { readers: pool(4).await.unwrap(), writer: pool(1).await.unwrap() }
    });
}
