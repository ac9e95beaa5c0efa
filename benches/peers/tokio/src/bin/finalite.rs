#[path = "../task.rs"]
mod task;

use finalite_tokio::Pool;
use task::{Driver, INSERT, LOOKUP, STREAM, checksum};

struct Finalite {
    pool: Pool,
    /// Whether inserts share transactions.
    groups: bool,
}

impl Driver for Finalite {
    async fn lookup(&self, id: i64) -> (String, i64) {
        self.pool.query_one(LOOKUP, (id,)).await.unwrap()
    }

    async fn insert(&self, a: i64, b: String, c: f64) {
        let inserted = match self.groups {
            true => self.pool.execute_grouped(INSERT, (a, b, c)).await,
            false => self.pool.execute(INSERT, (a, b, c)).await,
        };
        inserted.unwrap();
    }

    async fn stream(&self) -> u64 {
        let (mut rows, mut sum) = (self.pool.stream::<(i64, String, i64)>(STREAM, ()), 0);
        while let Some(row) = rows.next().await {
            let (id, text, number) = row.unwrap();
            sum = checksum(sum, id, &text, number);
        }
        sum
    }
}

fn main() {
    task::serve(async |path| {
        let options = finalite::OpenOptions::recommended().pragma("cache_size", -64000).pragma("synchronous", "off");
        let pool = Pool::open(finalite::pool::Pool::builder(path).readers(4).options(options)).await.unwrap();
        Finalite { pool, groups: std::env::args().any(|argument| argument == "grouped") }
    });
}
