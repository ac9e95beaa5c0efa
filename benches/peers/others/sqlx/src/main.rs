//! sqlx as a worker of the scan bench: `peer-sqlx PATH MMAP`, or `--environment PATH MMAP`. `MMAP` is a number of
//! bytes, or `default` to open as sqlx's README does.

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

#[path = "../../../src/task.rs"]
#[allow(dead_code, reason = "shared with programs that use all of it")]
mod task;

use task::{Cell, Result, Shape, Workload, bytes};

async fn open(path: &str, mmap: &str) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path);
    if mmap == "default" {
        return Ok(options.connect().await?);
    }
    let options = options.read_only(true).pragma("mmap_size", mmap.to_owned()).pragma("cache_size", "-400000");
    Ok(options.row_buffer_size(1_000).connect().await?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--environment", path, mmap] => {
            let mut connection = runtime.block_on(open(path, mmap))?;
            // sqlx opens without a mutex unless it is told to serialize.
            task::print_environment("sqlx", include_str!("../Cargo.lock"), "none", |sql| {
                let sql = sqlx::AssertSqlSafe(sql.to_owned());
                let rows = runtime.block_on(sqlx::query(sql).fetch_all(&mut connection))?;
                let text = |row: &SqliteRow| {
                    row.try_get::<String, _>(0).or_else(|_| Ok(row.try_get::<i64, _>(0)?.to_string()))
                };
                Ok(rows.iter().map(text).collect::<Result<Vec<_>>>()?.join(" "))
            })
        }
        [path, mmap, opens, rows] => {
            let rows: u64 = rows.parse()?;
            let keys = task::keys(10_000, rows)?;
            let mut connection = runtime.block_on(open(path, mmap))?;
            task::serve(|task| {
                let workload = task::workload(&task.workload)?;
                runtime.block_on(async {
                    if opens != "each" {
                        return match &*task.competitor {
                            "sqlx struct" => run_structs(&mut connection, workload).await,
                            _ => run(&mut connection, workload, &keys, task.operations).await,
                        };
                    }
                    let mut connection = open(path, mmap).await?;
                    let sum = run(&mut connection, workload, &keys, task.operations).await?;
                    connection.close().await?;
                    Ok(sum)
                })
            })
        }
        _ => Err("usage: peer-sqlx PATH MMAP each|once ROWS".into()),
    }
}

async fn run(connection: &mut SqliteConnection, workload: &Workload, keys: &[i64], operations: u64) -> Result<u64> {
    let mut sum = 0_u64;
    if !workload.is_keyed {
        let mut rows = sqlx::query(workload.sql).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            sum = sum.wrapping_add(sum_of(&row, workload.shape)?);
        }
        return Ok(sum);
    }
    for &key in keys.get(..usize::try_from(operations)?).ok_or("more queries than keys")? {
        let mut rows = sqlx::query(workload.sql).bind(key).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            sum = sum.wrapping_add(sum_of(&row, workload.shape)?);
        }
    }
    Ok(sum)
}

/// A row as a struct that owns what it has.
#[derive(sqlx::FromRow)]
struct Owned {
    id: i64,
    i1: i64,
    i2: i64,
    r1: f64,
    r2: f64,
    s1: String,
    s2: String,
    b: Vec<u8>,
}

async fn run_structs(connection: &mut SqliteConnection, workload: &Workload) -> Result<u64> {
    let mut sum = 0_u64;
    let mut rows = sqlx::query_as::<_, Owned>(workload.sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let Owned { id, i1, i2, r1, r2, s1, s2, b } = std::hint::black_box(row);
        let sums = [id.sum(), i1.sum(), i2.sum(), r1.sum(), r2.sum(), s1.sum(), s2.sum(), b.sum()];
        sum = sums.into_iter().fold(sum, u64::wrapping_add);
    }
    Ok(sum)
}

/// Texts and blobs are borrowed from the row.
fn sum_of(row: &SqliteRow, shape: Shape) -> Result<u64> {
    let mut sum = 0_u64;
    for (column, kind) in shape.kinds().iter().enumerate() {
        let cell = match kind {
            b'i' => row.try_get::<Option<i64>, _>(column)?.sum(),
            b'r' => row.try_get::<Option<f64>, _>(column)?.sum(),
            b't' => row.try_get::<Option<&str>, _>(column)?.map_or(0, |text| bytes(text.as_bytes())),
            _ => row.try_get::<Option<&[u8]>, _>(column)?.map_or(0, bytes),
        };
        sum = sum.wrapping_add(cell);
    }
    Ok(sum)
}
