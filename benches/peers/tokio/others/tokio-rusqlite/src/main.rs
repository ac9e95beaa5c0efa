#[path = "../../../src/task.rs"]
mod task;

use task::{Driver, INSERT, LOOKUP, PRAGMAS, STREAM, checksum};
use tokio_rusqlite::Connection;
use tokio_rusqlite::rusqlite::Error;

/// It has no pool: a connection to read, and one to write.
struct TokioRusqlite {
    reader: Connection,
    writer: Connection,
}

impl Driver for TokioRusqlite {
    async fn lookup(&self, id: i64) -> (String, i64) {
        let call = move |conn: &mut tokio_rusqlite::rusqlite::Connection| {
            conn.prepare_cached(LOOKUP)?.query_row((id,), |row| Ok((row.get(0)?, row.get(1)?)))
        };
        self.reader.call(call).await.unwrap()
    }

    async fn insert(&self, a: i64, b: String, c: f64) {
        self.writer.call(move |conn| conn.prepare_cached(INSERT)?.execute((a, b, c))).await.unwrap();
    }

    async fn stream(&self) -> u64 {
        let call = |conn: &mut tokio_rusqlite::rusqlite::Connection| {
            let mut statement = conn.prepare_cached(STREAM)?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<Vec<(i64, String, i64)>, Error>>()
        };
        let rows = self.reader.call(call).await.unwrap();
        rows.into_iter().fold(0, |sum, (id, text, number)| checksum(sum, id, &text, number))
    }
}

fn main() {
    task::serve(async |path| {
        let path = path.to_owned();
        let open = async || {
            let conn = Connection::open(&path).await.unwrap();
            conn.call(|conn| conn.execute_batch(PRAGMAS)).await.unwrap();
            conn
        };
        TokioRusqlite { reader: open().await, writer: open().await }
    });
}
