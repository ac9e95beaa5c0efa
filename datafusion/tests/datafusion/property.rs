//! Filters of all kinds, and combinations of them, beside DataFusion's own over the same rows in memory.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::*;
use datafusion::scalar::ScalarValue;
use finalite::{Connection, OpenOptions, Value, params_from_iter};
use finalite_arrow::Mismatch;
use finalite_datafusion::{Options, SqliteTable};

use super::{File, text};

/// A generator of pseudorandom numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let index = self.below(of.len() as u64);
        of[usize::try_from(index).unwrap()].clone()
    }
}

const COLUMNS: [&str; 10] = ["i", "r", "t", "n", "s", "b", "f", "d", "at", "p"];

/// Values that a column of this name has, as SQLite stores them. With `is_mixed`, some are of other types.
fn values(column: &str, is_mixed: bool) -> Vec<Value> {
    let texts = |texts: &[&str]| texts.iter().map(|&it| Value::Text(it.into())).collect::<Vec<_>>();
    let integers = |of: &[i64]| of.iter().map(|&it| Value::Integer(it)).collect::<Vec<_>>();
    let reals = |of: &[f64]| of.iter().map(|&it| Value::Real(it)).collect::<Vec<_>>();
    let mut values = match column {
        "i" => integers(&[i64::MIN, -1, 0, 1, 2, 1 << 53, (1 << 53) + 1, i64::MAX]),
        "r" => reals(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, f64::MIN_POSITIVE, 1.5, 1e300, f64::INFINITY]),
        "t" | "n" | "s" => {
            texts(&["", "a", "A", "ab", "aB ", "b", "a ", "é", "É", "a\0b", "z", "\u{10ffff}", "ﬀ", "😀", "%", "a%"])
        }
        "b" => [&[][..], &[0], &[0, 1], &[1], &[255], b"a"].map(|it| Value::Blob(it.to_vec())).to_vec(),
        "f" => [integers(&[0, 1]), texts(&["true", "FALSE"])].concat(),
        "d" => {
            let days = [
                "2024-04-30",
                "2024-05-01",
                "2024-05-02",
                "0001-01-01",
                "9999-12-31",
                "2024-05-01 00:00",
                "2024-05-01T02:00:00+02:00",
                "2024-04-30T22:00:00-02:00",
                "1969-12-31",
            ];
            [texts(&days), integers(&[0, -86_400, 1_714_521_600, 1_714_608_000]), reals(&[1_714_521_600.0])].concat()
        }
        "at" => {
            let times = [
                "2024-05-01",
                "2024-05-01 00:00:00.000001",
                "2024-05-01T12:30",
                "2024-05-01 14:30:00+02:00",
                "2024-05-02 02:00+14:59",
                "2024-04-30 10:00-14:59",
                "0000-01-01 00:00:00",
                "9999-12-31 23:59:59.999999",
            ];
            [texts(&times), integers(&[0, 1_714_521_600, -1]), reals(&[1_714_521_600.5, -0.5])].concat()
        }
        _ => [texts(&["1.25", "-1.25", "99999999.99"]), integers(&[0, 1, -5]), reals(&[0.1, 0.3, 9.99, -0.0])].concat(),
    };
    values.push(Value::Null);
    if is_mixed {
        values.extend([Value::Text("x".into()), Value::Blob(b"x".to_vec()), Value::Integer(7), Value::Real(7.5)]);
    }
    values
}

fn database(random: &mut Random, is_mixed: bool) -> File {
    let file = File::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, n TEXT COLLATE NOCASE, s TEXT COLLATE RTRIM,
            b BLOB, f BOOLEAN, d DATE, at TIMESTAMP, p DECIMAL(10, 2));
         CREATE INDEX i1 ON t(i); CREATE INDEX i2 ON t(n); CREATE INDEX i3 ON t(d, at); CREATE INDEX i4 ON t(at);",
    );
    let mut conn = Connection::open(file.path()).unwrap();
    let tx = conn.transaction().unwrap();
    let all = COLUMNS.map(|column| values(column, is_mixed));
    for _ in 0..150 {
        let row = all.each_ref().map(|values| random.one(values));
        let sql = format!("INSERT INTO t({}) VALUES (?,?,?,?,?,?,?,?,?,?)", COLUMNS.join(","));
        tx.execute(&sql, params_from_iter(&row)).unwrap();
    }
    tx.commit().unwrap();
    drop(conn);
    file
}

/// Literals of all columns: the values that are in the table, as DataFusion reads them.
fn literals(batches: &[RecordBatch], column: &str) -> Vec<ScalarValue> {
    let mut all = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).unwrap();
        all.extend((0..array.len()).map(|row| ScalarValue::try_from_array(array, row).unwrap()));
    }
    all
}

fn atom(random: &mut Random, batches: &[RecordBatch]) -> Expr {
    let name = random.one(&COLUMNS);
    let column = col(name);
    let known = literals(batches, name);
    let mut value = || lit(random.one(&known));
    let (a, b, c) = (value(), value(), value());
    match random.below(12) {
        0 => column.eq(a),
        1 => column.not_eq(a),
        2 => column.lt(a),
        3 => column.lt_eq(a),
        4 => a.gt(column),
        5 => column.gt_eq(a),
        6 => column.is_null(),
        7 => column.is_not_null(),
        8 => column.between(a, b),
        9 => column.not_between(a, b),
        10 => column.in_list(vec![a, b, c], random.below(2) == 0),
        _ => match name {
            "t" | "n" | "s" => {
                column.like(lit(random.one(&["a%", "A%", "é%", "a b%", "\u{10ffff}%", "%b", "a_%", "%"])))
            }
            "f" if random.below(2) == 0 => col("f"),
            "f" => not(col("f")),
            _ => column.eq(a),
        },
    }
}

fn filter(random: &mut Random, batches: &[RecordBatch], depth: u64) -> Expr {
    match random.below(5) {
        0 | 1 if depth > 0 => filter(random, batches, depth - 1).and(filter(random, batches, depth - 1)),
        2 if depth > 0 => filter(random, batches, depth - 1).or(filter(random, batches, depth - 1)),
        3 if depth > 0 => not(filter(random, batches, depth - 1)),
        _ => atom(random, batches),
    }
}

async fn ids(context: &SessionContext, filter: &Expr) -> Vec<String> {
    let frame = context.table("t").await.unwrap().filter(filter.clone()).unwrap();
    let frame = frame.select_columns(&["id"]).unwrap().sort(vec![col("id").sort(true, true)]).unwrap();
    text(&frame.collect().await.unwrap())
}

async fn compare(seed: u64, is_mixed: bool, pushed: &mut [usize; 3]) {
    let mut random = Random(seed * 2 + 1);
    let file = database(&mut random, is_mixed);
    let mismatch = if is_mixed { Mismatch::Null } else { Mismatch::Error };
    let types = Options::new().mismatch(mismatch);
    let table = SqliteTable::with_types(OpenOptions::new(), types, file.path(), "t").unwrap();
    let sqlite = SessionContext::new();
    sqlite.register_table("t", Arc::new(table.clone())).unwrap();
    let batches = sqlite.table("t").await.unwrap().collect().await.unwrap();
    let memory = SessionContext::new();
    let rows = MemTable::try_new(table.schema(), vec![batches.clone()]).unwrap();
    memory.register_table("t", Arc::new(rows)).unwrap();
    for _ in 0..60 {
        let filter = filter(&mut random, &batches, 2);
        let support = table.supports_filters_pushdown(&[&filter]).unwrap().remove(0);
        pushed[support as usize] += 1;
        assert_eq!(ids(&sqlite, &filter).await, ids(&memory, &filter).await, "seed {seed}: {filter}");
    }
}

#[tokio::test]
async fn filters_find_the_rows_that_datafusion_finds() {
    let seeds = std::env::var("FINALITE_DATAFUSION_SEEDS").map_or(15, |seeds| seeds.parse().unwrap());
    let mut pushed = [0; 3];
    for seed in 1..=seeds {
        compare(seed, false, &mut pushed).await;
    }
    assert!(pushed.iter().all(|&count| count > 0), "{pushed:?}");
}

#[tokio::test]
async fn filters_find_the_rows_that_datafusion_finds_where_values_do_not_fit() {
    // Unsupported, inexact, exact.
    let mut pushed = [0; 3];
    for seed in 1..=10 {
        compare(seed, true, &mut pushed).await;
    }
    assert!(pushed[0] > 0 && pushed[1] > 0 && pushed[2] == 0, "{pushed:?}");
}
