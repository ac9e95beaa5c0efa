//! A large value, stored and read in pieces: the program never has the whole of it in memory.
//!
//! ```text
//! cargo run --release --example blob_stream [megabytes, 50 unless given]
//! ```

mod events;
mod progress;

use std::error::Error;
use std::io::{self, Read, Write};

use finalite::data::Access;
use finalite::{OpenOptions, ZeroBlob, memory};

const MEGABYTE: u64 = 1_000_000;
const PIECE: usize = 64 * 1024;

/// Bytes that stand for a file: a sequence that repeats nowhere near, and its checksum (FNV-1a).
struct Source {
    state: u64,
    left: u64,
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for byte in &mut into[..count] {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = self.state.to_be_bytes()[0];
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Copies in pieces, shows how far it is, and returns the checksum.
fn copy(name: &str, from: &mut dyn Read, to: &mut dyn Write, total: u64) -> io::Result<u64> {
    let (mut piece, mut done, mut checksum) = (vec![0; PIECE], 0, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            break;
        }
        to.write_all(&piece[..count])?;
        checksum =
            piece[..count].iter().fold(checksum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        done += count as u64;
        progress::show(name, done / MEGABYTE, total / MEGABYTE, "MB");
    }
    Ok(checksum)
}

fn main() -> Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let megabytes: u64 = std::env::args().nth(1).map_or(Ok(50), |text| text.parse())?;
    let total = megabytes * MEGABYTE;
    // A temporary file, which is deleted with the connection.
    let mut conn = OpenOptions::new().pragma("cache_size", -2000).open_temporary()?;
    conn.execute("CREATE TABLE file(id INTEGER PRIMARY KEY, name TEXT, content BLOB)", ())?;

    // Room for all of it first: the size of a value does not change through a blob.
    let tx = conn.transaction()?;
    tx.execute("INSERT INTO file(name, content) VALUES ('large.bin', ?)", (ZeroBlob(total),))?;
    let id = tx.last_insert_rowid();
    let mut blob = tx.blob(("file", "content", id), Access::ReadWrite)?;
    let stored = copy("in ", &mut Source { state: 1, left: total }, &mut blob, total)?;
    blob.close()?;
    tx.commit()?;

    let mut blob = conn.blob(("file", "content", id), Access::ReadOnly)?;
    let read = copy("out", &mut blob, &mut io::sink(), total)?;
    blob.close()?;
    assert_eq!(stored, read);
    println!("checksum {read:016x}");
    let peak = memory::stats().peak_bytes;
    println!("SQLite's memory never exceeded {} MB", peak.div_ceil(MEGABYTE));
    conn.close()?;
    Ok(())
}
