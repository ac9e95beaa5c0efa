//! The data that everybody reads.

use finalite::Connection;

use crate::Result;
use crate::work::Record;

/// The queries of the row scans, by name.
pub const QUERIES: [(&str, &str); 4] = [
    ("one", "SELECT i1 FROM t"),
    ("num", "SELECT i1, i2, r1, r2 FROM t"),
    ("text", "SELECT s1, s2 FROM t"),
    ("wide", "SELECT * FROM t"),
];

pub const LOOKUP: &str = "SELECT s1, i1 FROM t WHERE id = ?";

pub const INSERT: &str = "INSERT INTO sink VALUES (?, ?, ?)";

/// A generator of numbers that are the same every time (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn real(&mut self) -> f64 {
        // 53 bits, so that the number is exact; as a whole number SQLite would store it as an INTEGER.
        (self.next() >> 11) as f64 / (1_u64 << 40) as f64 + 0.5
    }
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
        let (r1, r2) = (numbers.real(), numbers.real());
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

/// Keys of rows, without order.
pub fn keys(count: usize, rows: u64) -> Result<Vec<i64>> {
    let mut numbers = Numbers::new(2);
    (0..count).map(|_| Ok(i64::try_from(1 + numbers.below(rows))?)).collect()
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
            Ok(Record { integer, text: format!("{:013x}", numbers.next() >> 12), real: numbers.real() })
        })
        .collect()
}
