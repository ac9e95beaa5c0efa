//! The sample database: one table with a column of every kind, the same on every machine.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use finalite::{OpenOptions, Result};

const SCHEMA: &str = "CREATE TABLE t(
  id INTEGER PRIMARY KEY,
  i1 INTEGER, i2 INTEGER,
  r1 REAL, r2 REAL,
  s1 TEXT(13), s2 TEXT(35),
  b BLOB(16)
)";

/// Builds the database, in one transaction through one prepared statement.
pub fn build(path: &Path, rows: u32) -> Result<()> {
    // Nobody needs half a sample: no journal, no waiting for the disk.
    let mut conn = OpenOptions::new().pragma("journal_mode", "off").pragma("synchronous", "off").open(path)?;
    conn.execute(SCHEMA, ())?;
    let tx = conn.transaction()?;
    let mut insert = tx.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut progress = Progress::new(rows);
    let mut random = Random(0);
    let (mut s1, mut s2) = (String::new(), String::new());
    for id in 1..=rows {
        random.fill_text(&mut s1, 13);
        random.fill_text(&mut s2, 35);
        let i1 = random.integer(21);
        let i2 = random.integer(41);
        let r1 = random.real();
        let r2 = random.real() * 2e6 - 1e6;
        let b = random.bytes();
        insert.execute((id, i1, i2, r1, r2, &s1, &s2, &b))?;
        progress.show(id);
    }
    drop(insert);
    tx.commit()?;
    conn.close()
}

/// SplitMix64: small, fast, and good enough for a sample.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An integer of that many bits, the sign included.
    fn integer(&mut self, bits: u32) -> i64 {
        self.next().cast_signed() >> (64 - bits)
    }

    /// From 0 to 1.
    fn real(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        bytes
    }

    fn fill_text(&mut self, text: &mut String, chars: usize) {
        const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        text.clear();
        while text.len() < chars {
            let mut bits = self.next();
            for _ in text.len()..chars.min(text.len() + 10) {
                text.push(char::from(ALPHABET[(bits % 64) as usize]));
                bits /= 64;
            }
        }
    }
}

/// A bar on a terminal, nothing elsewhere. It is wiped when it is dropped.
struct Progress {
    total: u32,
    /// The row at which it is drawn next; 0 where there is no terminal.
    next: u32,
}

impl Progress {
    const WIDTH: usize = 40;

    fn new(total: u32) -> Self {
        Self { total, next: u32::from(io::stderr().is_terminal()) }
    }

    fn show(&mut self, done: u32) {
        if done != self.next {
            return;
        }
        self.next = done.saturating_add(self.total.div_ceil(100));
        let percent = u64::from(done) * 100 / u64::from(self.total);
        let filled = usize::try_from(percent).map_or(0, |percent| percent * Self::WIDTH / 100);
        let bar = format!("{:░<width$}", "█".repeat(filled), width = Self::WIDTH);
        // A terminal that is gone is no reason to stop.
        let _ = write!(io::stderr(), "\rbuilding the sample {bar} {percent:3} %");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.next > 1 {
            let _ = write!(io::stderr(), "\r{:width$}\r", "", width = Self::WIDTH + 30);
        }
    }
}
