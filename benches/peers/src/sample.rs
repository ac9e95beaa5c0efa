//! The data that everybody reads.

use finalite::Connection;

use crate::Result;
use crate::task::Numbers;
use crate::work::Record;

/// The queries of the row scans, by name.
pub const QUERIES: [(&str, &str); 4] = [
    ("one", "SELECT i1 FROM t"),
    ("num", "SELECT i1, i2, r1, r2 FROM t"),
    ("text", "SELECT s1, s2 FROM t"),
    ("wide", "SELECT * FROM t"),
];

/// Queries with a condition on the rows, by name.
pub const FILTERS: [(&str, &str); 7] = [
    ("filter 1 %, integer", "SELECT * FROM t WHERE i1 < 300"),
    ("filter 1 %, text", "SELECT * FROM t WHERE s1 < '028f5c28f5c28'"),
    ("filter half, real", "SELECT * FROM t WHERE r1 < 4096.0"),
    ("filter none, three", "SELECT id, s2 FROM t WHERE i2 > 1000 AND r2 >= 10.5 AND b IS NULL"),
    ("filter 10,000 rowids", "SELECT * FROM t WHERE id > 5000 AND id <= 15000"),
    (
        "filter list of 12",
        "SELECT * FROM t WHERE i1 IN (7, 11, 300, 1000, 2500, 4096, 8000, 9999, 15000, 20000, 25000, 29999)",
    ),
    ("filter not in list", "SELECT id, i1 FROM t WHERE i1 NOT IN (7, 11, 300, 1000, 2500, 4096, 8000, 9999)"),
];

pub const LOOKUP: &str = "SELECT s1, i1 FROM t WHERE id = ?";

pub const INSERT: &str = "INSERT INTO sink VALUES (?, ?, ?)";

/// A real that is no whole number, which SQLite would store as an INTEGER.
fn real(numbers: &mut Numbers) -> f64 {
    // 53 bits, so that the number is exact.
    (numbers.next() >> 11) as f64 / (1_u64 << 40) as f64 + 0.5
}

/// Creates the table `t` and fills it.
pub fn fill(conn: &mut Connection, rows: u64) -> Result<()> {
    conn.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB)",
        (),
    )?;
    let tx = conn.transaction()?;
    let mut insert = tx.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut numbers = Numbers::new(1);
    for id in 1..=rows {
        let i1 = numbers.below(30_000);
        let i2 = numbers.below(1 << 31);
        let (r1, r2) = (real(&mut numbers), real(&mut numbers));
        let s1 = format!("{:013x}", numbers.next() >> 12);
        let s2 = format!("{:016x}-{:016x}--", numbers.next(), numbers.next());
        let mut blob = [0; 16];
        blob[..8].copy_from_slice(&numbers.next().to_le_bytes());
        blob[8..].copy_from_slice(&numbers.next().to_le_bytes());
        insert.execute((id, i1, i2, r1, r2, &s1, &s2, &blob))?;
    }
    drop(insert);
    tx.commit()?;
    Ok(())
}

/// Creates the scan bench's other tables: `nulls` like `t`, but for NULL in two of three cells beyond the first column;
/// `long` with texts of 1 KB; `hundred` with so many columns of integers.
pub fn fill_others(conn: &mut Connection, rows: u64) -> Result<()> {
    let columns: Vec<_> = (0..100).map(|column| format!("c{column} INTEGER")).collect();
    conn.execute_batch(&format!(
        "CREATE TABLE nulls(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB);
         CREATE TABLE long(s TEXT);
         CREATE TABLE hundred({});
         INSERT INTO nulls SELECT
            id, iif(id % 3, NULL, i1), iif(id % 3 - 1, NULL, i2), iif(id % 3 - 2, NULL, r1), iif(id % 3, NULL, r2),
            iif(id % 3 - 1, NULL, s1), iif(id % 3 - 2, NULL, s2), iif(id % 3, NULL, b)
            FROM t WHERE id <= {rows};
         INSERT INTO long SELECT
            substr(replace(hex(zeroblob(16)), '00', s2), i1 % 64 + 1, 1000) FROM t WHERE id <= {rows} / 4;",
        columns.join(", ")
    ))?;
    let tx = conn.transaction()?;
    let marks = vec!["?"; 100].join(", ");
    let mut insert = tx.prepare(&format!("INSERT INTO hundred VALUES ({marks})"))?;
    let mut numbers = Numbers::new(4);
    for _ in 0..rows / 10 {
        insert.execute(finalite::params_from_iter((0..100).map(|_| numbers.below(1 << 31))))?;
    }
    drop(insert);
    tx.commit()?;
    Ok(())
}

/// Creates the table `sink`, empty.
pub fn create_sink(conn: &Connection) -> Result<()> {
    conn.execute("CREATE TABLE sink(i INTEGER, s TEXT, r REAL)", ())?;
    Ok(())
}

/// Rows for it.
pub fn records(count: usize) -> Result<Vec<Record>> {
    let mut numbers = Numbers::new(3);
    (0..count)
        .map(|_| {
            let integer = i64::try_from(numbers.below(1 << 31))?;
            Ok(Record { integer, text: format!("{:013x}", numbers.next() >> 12), real: real(&mut numbers) })
        })
        .collect()
}
