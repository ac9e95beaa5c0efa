//! diesel as a worker of the scan bench: `peer-diesel PATH MMAP`, or `--environment PATH MMAP`. `MMAP` is a number of
//! bytes, or `default` to open as diesel's guide does.

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Double, Nullable, Text};

#[path = "../../../src/task.rs"]
#[allow(dead_code, reason = "shared with programs that use all of it")]
mod task;

use task::{Cell, Result, Shape, Workload};

diesel::table! {
    t (id) {
        id -> BigInt,
        i1 -> BigInt,
        i2 -> BigInt,
        r1 -> Double,
        r2 -> Double,
        s1 -> Text,
        s2 -> Text,
        b -> Binary,
    }
}

fn open(path: &str, mmap: &str) -> Result<SqliteConnection> {
    let mut connection = SqliteConnection::establish(path)?;
    if mmap != "default" {
        connection.batch_execute(&format!("PRAGMA mmap_size = {mmap}; PRAGMA cache_size = -400000"))?;
    }
    Ok(connection)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--environment", path, mmap] => {
            let mut connection = open(path, mmap)?;
            // diesel has no way to open without a mutex.
            task::print_environment("diesel", include_str!("../Cargo.lock"), "yes", |query| {
                if query.starts_with("PRAGMA") && !query.contains("mode") {
                    return Ok(sql::<BigInt>(query).get_result::<i64>(&mut connection)?.to_string());
                }
                let rows = sql::<Text>(query).load::<String>(&mut connection)?;
                Ok(rows.join(" "))
            })
        }
        [path, mmap, opens, rows] => {
            let rows: u64 = rows.parse()?;
            let keys = task::keys(10_000, rows)?;
            let mut connection = open(path, mmap)?;
            task::serve(|task| {
                let workload = task::workload(&task.workload)?;
                if opens == "each" {
                    return run(&mut open(path, mmap)?, workload, &keys, task.operations);
                }
                run(&mut connection, workload, &keys, task.operations)
            })
        }
        _ => Err("usage: peer-diesel PATH MMAP each|once ROWS".into()),
    }
}

/// Loads rows one by one and sums them.
macro_rules! load {
    ($query:expr, $connection:expr, ($($kind:ty),+), $($index:tt),+) => {{
        let mut sum = 0_u64;
        for row in $query.load_iter::<($($kind,)+), DefaultLoadingMode>($connection)? {
            let row = row?;
            $(sum = sum.wrapping_add(row.$index.sum());)+
            sum = std::hint::black_box(sum);
        }
        sum
    }};
}

type Wide = (BigInt, BigInt, BigInt, Double, Double, Text, Text, Binary);
type Nulls = (
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<Double>,
    Nullable<Double>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Binary>,
);

fn run(connection: &mut SqliteConnection, workload: &Workload, keys: &[i64], operations: u64) -> Result<u64> {
    if !workload.is_keyed {
        return scan(connection, workload);
    }
    let more = match workload.name {
        "1 row" => 0,
        "10 rows" => 9,
        "100 rows" => 99,
        _ => 999,
    };
    let mut sum = 0_u64;
    for &key in keys.get(..usize::try_from(operations)?).ok_or("more queries than keys")? {
        sum = sum.wrapping_add(if workload.shape == Shape::Lookup {
            load!(t::table.select((t::s1, t::i1)).filter(t::id.eq(key)), connection, (String, i64), 0, 1)
        } else {
            let query = t::table.filter(t::id.between(key, key + more));
            load!(query, connection, (i64, i64, i64, f64, f64, String, String, Vec<u8>), 0, 1, 2, 3, 4, 5, 6, 7)
        });
    }
    Ok(sum)
}

fn scan(connection: &mut SqliteConnection, workload: &Workload) -> Result<u64> {
    let text = workload.sql;
    Ok(match workload.shape {
        Shape::One => load!(sql::<(BigInt,)>(text), connection, (i64), 0),
        Shape::Num => {
            load!(sql::<(BigInt, BigInt, Double, Double)>(text), connection, (i64, i64, f64, f64), 0, 1, 2, 3)
        }
        Shape::Text => load!(sql::<(Text, Text)>(text), connection, (String, String), 0, 1),
        Shape::Wide => load!(
            sql::<Wide>(text),
            connection,
            (i64, i64, i64, f64, f64, String, String, Vec<u8>),
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7
        ),
        Shape::Nulls => load!(
            sql::<Nulls>(text),
            connection,
            (i64, Option<i64>, Option<i64>, Option<f64>, Option<f64>, Option<String>, Option<String>, Option<Vec<u8>>),
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7
        ),
        Shape::Long => load!(sql::<(Text,)>(text), connection, (String), 0),
        Shape::Pair => load!(sql::<(BigInt, Text)>(text), connection, (i64, String), 0, 1),
        Shape::Group => load!(sql::<(BigInt, BigInt, Double)>(text), connection, (i64, i64, f64), 0, 1, 2),
        Shape::Lookup => return Err("a lookup has a key".into()),
        Shape::Hundred => return Err("diesel reads a hundred columns with a feature of its own only".into()),
    })
}
