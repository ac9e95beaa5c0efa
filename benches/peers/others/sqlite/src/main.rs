//! The crate `sqlite` as a worker of the scan bench: `peer-sqlite PATH MMAP`, or `--environment PATH MMAP`. `MMAP` is a
//! number of bytes, or `default` to open as the crate's README does.

use sqlite::{Connection, OpenFlags, State, Statement};

#[path = "../../../src/task.rs"]
#[allow(dead_code, reason = "shared with programs that use all of it")]
mod task;

use task::{Cell, Result, Shape, Workload, bytes};

fn open(path: &str, mmap: &str) -> Result<Connection> {
    if mmap == "default" {
        return Ok(Connection::open(path)?);
    }
    let connection = Connection::open_with_flags(path, OpenFlags::new().with_read_only().with_no_mutex())?;
    connection.execute(format!("PRAGMA mmap_size = {mmap}; PRAGMA cache_size = -400000"))?;
    Ok(connection)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--environment", path, mmap] => print_environment(&open(path, mmap)?, mmap),
        [path, mmap, opens, rows] => {
            let rows: u64 = rows.parse()?;
            let keys = task::keys(10_000, rows)?;
            let connection = open(path, mmap)?;
            task::serve(|task| {
                let workload = task::workload(&task.workload)?;
                let run = |connection| run(connection, workload, &task.competitor, &keys, task.operations);
                if opens == "each" { run(&open(path, mmap)?) } else { run(&connection) }
            })
        }
        _ => Err("usage: peer-sqlite PATH MMAP each|once ROWS".into()),
    }
}

fn run(connection: &Connection, workload: &Workload, competitor: &str, keys: &[i64], operations: u64) -> Result<u64> {
    let execute = if competitor == "sqlite rows" { by_rows } else { by_statement };
    let mut statement = connection.prepare(workload.sql)?;
    if !workload.is_keyed {
        return execute(&mut statement, workload.shape);
    }
    let mut sum = 0_u64;
    for &key in keys.get(..usize::try_from(operations)?).ok_or("more queries than keys")? {
        statement.reset()?;
        statement.bind((1, key))?;
        sum = sum.wrapping_add(execute(&mut statement, workload.shape)?);
    }
    Ok(sum)
}

/// `Statement::next` and `read`: texts and blobs are owned.
fn by_statement(statement: &mut Statement<'_>, shape: Shape) -> Result<u64> {
    let mut sum = 0_u64;
    while statement.next()? == State::Row {
        for (column, kind) in shape.kinds().iter().enumerate() {
            let cell = match kind {
                b'i' => statement.read::<Option<i64>, _>(column)?.sum(),
                b'r' => statement.read::<Option<f64>, _>(column)?.sum(),
                b't' => statement.read::<Option<String>, _>(column)?.sum(),
                _ => statement.read::<Option<Vec<u8>>, _>(column)?.sum(),
            };
            sum = sum.wrapping_add(cell);
        }
    }
    Ok(sum)
}

/// The iterator over rows of the README.
fn by_rows(statement: &mut Statement<'_>, shape: Shape) -> Result<u64> {
    let mut sum = 0_u64;
    for row in statement.iter() {
        let row = row?;
        for (column, kind) in shape.kinds().iter().enumerate() {
            let cell = match kind {
                b'i' => row.read::<Option<i64>, _>(column).sum(),
                b'r' => row.read::<Option<f64>, _>(column).sum(),
                b't' => row.read::<Option<&str>, _>(column).map_or(0, |text| bytes(text.as_bytes())),
                _ => row.read::<Option<&[u8]>, _>(column).map_or(0, bytes),
            };
            sum = sum.wrapping_add(cell);
        }
    }
    Ok(sum)
}

fn print_environment(connection: &Connection, mmap: &str) -> Result<()> {
    let texts = |sql: &str| -> Result<String> {
        let rows = connection.prepare(sql)?.into_iter().map(|row| Ok(row?.take(0)));
        let texts = rows.map(|value: Result<sqlite::Value>| {
            Ok(match value? {
                sqlite::Value::Integer(value) => value.to_string(),
                sqlite::Value::String(value) => value,
                other => format!("{other:?}"),
            })
        });
        Ok(texts.collect::<Result<Vec<_>>>()?.join(" "))
    };
    let mutex = if mmap == "default" { "yes" } else { "none" };
    task::print_environment("sqlite", include_str!("../Cargo.lock"), mutex, texts)
}
