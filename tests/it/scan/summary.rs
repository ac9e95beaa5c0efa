//! Summaries and groups, beside SQLite's aggregates.

use std::collections::BTreeMap;

use finalite::scan::{Group, Groups, ScanStrategy, Summary};
use finalite::{Connection, ErrorKind, OpenOptions, Value, ValueRef};

use crate::common::random::Random;

const STREAM: u64 = 0x2545_f491_4f6c_dd1d;
const VALUES: [&str; 22] = [
    "NULL",
    "0",
    "1",
    "-1",
    "7",
    "7.0",
    "0.1",
    "-0.0",
    "2.5",
    "1e300",
    "-1e-300",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808.0",
    "9007199254740993",
    "9007199254740992.0",
    "''",
    "'a'",
    "'B'",
    "'Grüße'",
    "x''",
    "x'6100'",
];
/// Values of each column of the table `t`: of one type each, or of any.
const KINDS: [(&str, &[&str]); 6] = [
    ("i", &["NULL", "3", "-4", "9223372036854775807", "12"]),
    ("r", &["NULL", "0.1", "2.5", "1e300", "-1e300", "-7.25"]),
    ("n", &["1", "2", "3"]),
    ("s", &["NULL", "'a'", "'B'", "'ab'", "''"]),
    ("b", &["x''", "x'00'", "x'61'", "NULL"]),
    ("m", &VALUES),
];

fn table(conn: &Connection, random: &mut Random, rows: usize) {
    let columns = KINDS.map(|(name, _)| name).join(", ");
    conn.execute_batch(&format!("CREATE TABLE t({columns})")).unwrap();
    let tx = conn.unchecked_transaction().unwrap();
    for _ in 0..rows {
        let values = KINDS.map(|(_, values)| random.pick(values)).join(", ");
        tx.execute(&format!("INSERT INTO t VALUES ({values})"), ()).unwrap();
    }
    tx.commit().unwrap();
}

/// Whether two sums of values of this magnitude are equal but for rounding.
fn close(left: f64, right: f64, magnitude: f64) -> bool {
    left == right || (left - right).abs() <= magnitude * 1e-15
}

/// Compares a summary with what SQLite says of the same rows.
fn agrees(conn: &Connection, summary: &Summary, column: &str, rows: &str) {
    let numbers = format!("FILTER (WHERE typeof({column}) IN ('integer', 'real'))");
    let sql = format!(
        "SELECT count(*), count({column}), total({column}) {numbers}, avg({column}) {numbers},
                total(abs({column} + 0.0)) {numbers}, min({column}), max({column})
         FROM t {rows}"
    );
    let (all, known, total, mean, magnitude, min, max) =
        conn.query_one::<(u64, u64, f64, Option<f64>, f64, Value, Value)>(&sql, ()).unwrap();
    assert_eq!((summary.rows(), summary.value_count()), (all, known), "{column} {rows}");
    assert!(close(summary.total(), total, magnitude), "{column} {rows}: {} {total}", summary.total());
    assert!(
        match (summary.mean(), mean) {
            (Some(left), Some(right)) => close(left, right, magnitude),
            (left, right) => left == right,
        },
        "{column} {rows}: {:?} {mean:?}",
        summary.mean()
    );
    // Of equal numbers of two types, SQLite's result depends on the order.
    let is_same = |left: ValueRef<'_>, right: &Value| {
        left == right.as_value_ref() || conn.query_one::<bool>("SELECT ? = ?", (left, right)).unwrap()
    };
    assert!(is_same(summary.min(), &min), "{column} {rows}: {:?} {min:?}", summary.min());
    assert!(is_same(summary.max(), &max), "{column} {rows}: {:?} {max:?}", summary.max());
}

#[test]
fn summaries_are_sqlites_aggregates() {
    for seed in 0..8 {
        let mut random = Random::new(seed, STREAM);
        let conn = Connection::open_in_memory().unwrap();
        let rows = random.pick(&[0, 1, 50, 400]);
        table(&conn, &mut random, rows);
        for (column, _) in KINDS {
            let sql = format!("SELECT {column} FROM t");
            for size in [1, 7, 64, 1000] {
                let (mut whole, mut parts) = (Summary::default(), Vec::new());
                conn.scan(&sql, ())
                    .batches(size, |batch| {
                        whole.add(batch.column(0)?);
                        let mut part = Summary::default();
                        batch.column(0)?.iter().for_each(|value| part.add_value(value));
                        parts.push(part);
                        Ok(())
                    })
                    .unwrap();
                let merged = parts.into_iter().fold(Summary::default(), |mut all, part| {
                    all.merge(part);
                    all
                });
                agrees(&conn, &whole, column, "");
                agrees(&conn, &merged, column, "");
            }
        }
    }
}

/// Where SQLite's `sum` of integers is an error, and where a sum of reals loses the smaller ones.
#[test]
fn sums_are_exact_where_they_can_be() {
    let conn = Connection::open_in_memory().unwrap();
    let summary = |sql: &str| {
        let mut summary = Summary::default();
        let add = |batch: &finalite::ColumnBatch| {
            summary.add(batch.column(0)?);
            Ok(())
        };
        conn.scan(sql, ()).batches(1000, add).unwrap();
        summary
    };
    let large = summary("VALUES (9223372036854775807), (9223372036854775807), (5)");
    assert_eq!(large.integer_total(), 2 * i128::from(i64::MAX) + 5);
    assert!(close(large.total(), 18_446_744_073_709_551_619.0, large.total()));
    assert!(conn.query_one::<Value>("SELECT sum(column1) FROM (VALUES (9223372036854775807), (1))", ()).is_err());

    let tenths = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000000) SELECT 0.1 FROM i";
    assert_eq!(summary(tenths).total(), 100_000.0);
    let plain = (0..1_000_000).fold(0.0, |sum, _| sum + 0.1);
    assert_ne!(plain, 100_000.0, "control: a plain sum is another one");
    assert_eq!(summary("VALUES (1e100), (1.0), (-1e100)").total(), 1.0);
    assert_eq!(summary("VALUES (9e999), (1.0)").total(), f64::INFINITY);
    // Each of four interleaved sums is infinite.
    let lanes = "VALUES (1e308), (-1e308), (0.0), (0.0), (1e308), (-1e308), (0.0), (0.0)";
    assert_eq!((summary(lanes).total(), summary(lanes).rows()), (0.0, 8));
    assert_eq!(summary("SELECT 1.5 WHERE false").rows(), 0);
    let mut nan = Summary::default();
    nan.add_value(ValueRef::Real(f64::NAN));
    nan.add_value(ValueRef::Real(1.0));
    assert_eq!((nan.value_count(), nan.total(), nan.min()), (1, 1.0, ValueRef::Real(1.0)));
}

#[test]
fn groups_are_sqlites_groups() {
    let mut groups_seen = 0;
    for seed in 0..8 {
        let mut random = Random::new(seed, STREAM);
        let conn = Connection::open_in_memory().unwrap();
        table(&conn, &mut random, 300);
        for keys in [vec!["n"], vec!["m"], vec!["s", "i"], vec!["r", "m"], vec![]] {
            let columns: Vec<&str> = keys.iter().copied().chain(["i", "m", "r"]).collect();
            let sql = format!("SELECT {} FROM t", columns.join(", "));
            for size in [1, 50, 1000] {
                let (mut whole, mut merged) = (Groups::default(), Groups::default());
                conn.scan(&sql, ())
                    .batches(size, |batch| {
                        let columns: Vec<_> = batch.columns().iter().collect();
                        let (keys, values) = columns.split_at(keys.len());
                        let mut part = Groups::default();
                        part.add(keys, values)?;
                        merged.merge(part);
                        whole.add(keys, values)
                    })
                    .unwrap();
                for groups in [&whole, &merged] {
                    let list = if keys.is_empty() { "1".to_owned() } else { keys.join(", ") };
                    let expected: usize =
                        conn.query_one(&format!("SELECT count(*) FROM (SELECT 1 FROM t GROUP BY {list})"), ()).unwrap();
                    assert_eq!(groups.groups().len(), expected, "{keys:?}");
                    for group in groups.groups() {
                        let key: Vec<_> = (0..keys.len()).map(|column| group.key(column).unwrap()).collect();
                        let equal = keys.iter().zip(&key).map(|(name, value)| {
                            let literal: String = conn.query_one("SELECT quote(?)", (*value,)).unwrap();
                            format!("{name} IS {literal}")
                        });
                        let equal: Vec<String> = equal.chain(["true".to_owned()]).collect();
                        let rows = format!("WHERE {}", equal.join(" AND "));
                        for (summary, column) in group.summaries().iter().zip(["i", "m", "r"]) {
                            agrees(&conn, summary, column, &rows);
                        }
                        assert!(std::ptr::eq(groups.get(&key).unwrap(), group));
                        let count: u64 = conn.query_one(&format!("SELECT count(*) FROM t {rows}"), ()).unwrap();
                        assert_eq!((group.rows(), group.key(keys.len())), (count, None));
                        groups_seen += 1;
                    }
                }
            }
        }
    }
    assert!(groups_seen > 2000, "{groups_seen}");
}

#[test]
fn groups_of_partitions_and_pages_are_those_of_the_statement() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().pragma("synchronous", "off").open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(k TEXT, x INTEGER);
         WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 20000)
         INSERT INTO t SELECT 'key ' || (n % 37), n FROM i;",
    )
    .unwrap();
    let expected: BTreeMap<String, (u64, i64)> = conn
        .query_all::<(String, u64, i64)>("SELECT k, count(*), sum(x) FROM t GROUP BY k", ())
        .unwrap()
        .into_iter()
        .map(|(key, count, sum)| (key, (count, sum)))
        .collect();
    let read = |groups: Groups| -> BTreeMap<String, (u64, i64)> {
        let of = |group: &Group| {
            let total = i64::try_from(group.summaries()[0].integer_total()).unwrap();
            (group.key(0).unwrap().as_str().unwrap().to_owned(), (group.rows(), total))
        };
        groups.groups().iter().map(of).collect()
    };
    let mut plan = None;
    let mut groups = Groups::default();
    conn.scan_table("t")
        .select(["k", "x"])
        .on_end(|it| plan = Some(it.strategy))
        .batches(4096, |batch| groups.add(&[batch.column("k")?], &[batch.column("x")?]))
        .unwrap();
    assert_eq!((read(groups), plan), (expected.clone(), Some(ScanStrategy::Pages)));
    let groups = conn
        .scan_table("t")
        .select(["k", "x"])
        .partitions(2)
        .fold_batches(
            1000,
            Groups::default,
            |all, batch| all.add(&[batch.column(0)?], &[batch.column(1)?]),
            Groups::merge,
        )
        .unwrap();
    assert_eq!(groups.groups()[0].key(0), Some(ValueRef::Text(b"key 1")), "in the order of the rows");
    assert_eq!(read(groups), expected);
}

#[test]
fn columns_that_do_not_fit_are_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    let (two, one) =
        (conn.scan("VALUES (1, 2), (3, 4)", ()).columns().unwrap(), conn.scan("VALUES (1)", ()).columns().unwrap());
    let mut groups = Groups::default();
    let is_misuse = |error: finalite::Error| matches!(error.kind(), ErrorKind::Misuse { .. });
    assert!(groups.add(&[&two.columns()[0]], &[&one.columns()[0]]).is_err_and(is_misuse));
    assert!(groups.groups().is_empty());
    // Columns without rows say nothing.
    let empty = conn.scan("SELECT 1, 2 WHERE false", ()).columns().unwrap();
    groups.add(&[&empty.columns()[0], &empty.columns()[1]], &[]).unwrap();
    groups.add(&[&two.columns()[0]], &[&two.columns()[1]]).unwrap();
    assert!(groups.add(&[&two.columns()[0]], &[]).is_err_and(is_misuse));
    assert_eq!(groups.groups().len(), 2);
    assert_eq!(groups.get(&[ValueRef::Real(3.0)]).map(|group| group.summaries()[0].integer_total()), Some(4));
    assert!(groups.get(&[ValueRef::Null]).is_none());
    assert_eq!(format!("{groups:?}"), "Groups { groups: 2, .. }");
}
