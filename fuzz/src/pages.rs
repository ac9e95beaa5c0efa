//! Whole files, damaged: the page reader finds what SQLite finds, or both say that the file is corrupt, or the page
//! reader alone does. It never panics, and it ends.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use finalite::scan::ScanPath;
use finalite::{Connection, Error, OpenOptions, Result, ValueRef};
use libfuzzer_sys::fuzz_target;

/// More of a file than that only takes longer.
const ROWS_MAX: u64 = 2000;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("finalite-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("damaged.db")
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(conn) = OpenOptions::new().read_only(true).open(&*FILE) else {
        return;
    };
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 4";
    let Ok(tables) = conn.query_all::<String>(tables, ()) else {
        return;
    };
    for table in tables {
        let sql = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
        match (digest(&conn, &sql, ScanPath::Statement), digest(&conn, &sql, ScanPath::Pages)) {
            (Ok(by_sqlite), Ok(by_pages)) => assert_eq!(by_sqlite, by_pages, "{sql}"),
            (Err(_), Err(_)) | (Ok(_), Err(_)) => {}
            (Err(error), Ok(_)) => panic!("{sql}: SQLite alone says {error}"),
        }
    }
});

/// The number of rows, and a hash of all values with their types.
fn digest(conn: &Connection, sql: &str, path: ScanPath) -> Result<(u64, u64)> {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    let rows = conn.scan(sql, ()).path(path).limit(ROWS_MAX).for_each(|row| {
        for column in 0..row.column_count() {
            match row.value(column)? {
                ValueRef::Null => hash.add(&[0]),
                ValueRef::Integer(value) => hash.add_all(1, &value.to_le_bytes()),
                ValueRef::Real(value) => hash.add_all(2, &value.to_bits().to_le_bytes()),
                ValueRef::Text(text) => hash.add_all(3, text),
                ValueRef::Blob(blob) => hash.add_all(4, blob),
            }
        }
        Ok::<_, Error>(())
    })?;
    Ok((rows, hash.0))
}

struct Fnv(u64);

impl Fnv {
    fn add_all(&mut self, kind: u8, bytes: &[u8]) {
        self.add(&[kind]);
        self.add(&bytes.len().to_le_bytes());
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
