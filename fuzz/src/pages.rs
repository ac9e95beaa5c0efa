//! Whole files, damaged: the page reader finds what SQLite finds, row by row and by several threads, up to the same
//! error. It never panics, and it ends.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, OpenOptions, ResultCode, ValueRef};
use libfuzzer_sys::fuzz_target;

/// More of a file than that only takes longer.
const ROWS_MAX: u64 = 2000;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("finalite-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("damaged.db")
});

fuzz_target!(|bytes: &[u8]| {
    if may_be_read_beyond(bytes) {
        return;
    }
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(conn) = OpenOptions::new().read_only(true).open(&*FILE) else {
        return;
    };
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 4";
    let Ok(tables) = conn.query_all::<String>(tables, ()) else {
        return;
    };
    for table in tables {
        let indexes = conn
            .query_all::<(String, String)>(
                "SELECT i.name, group_concat(printf('\"%w\"', x.name), ', ')
                 FROM pragma_index_list(?) AS i, pragma_index_xinfo(i.name) AS x WHERE x.name NOT NULL GROUP BY 1 LIMIT 2",
                (&*table,),
            )
            .unwrap_or_default();
        let name = table.replace('"', "\"\"");
        let of_index = indexes.into_iter().map(|(index, columns)| {
            format!("SELECT {columns} FROM \"{name}\" INDEXED BY \"{}\"", index.replace('"', "\"\""))
        });
        let of_table = [
            format!("SELECT * FROM \"{name}\""),
            format!("SELECT rowid FROM \"{name}\""),
            format!("SELECT * FROM \"{name}\" WHERE rowid > 100 AND rowid <= 600"),
        ];
        for sql in of_table.into_iter().chain(of_index) {
            let by_sqlite = digest(&conn, &sql, ScanStrategy::Statement, 1);
            for threads in [1, 2] {
                let by_pages = digest(&conn, &sql, ScanStrategy::Pages, threads);
                // SQLite may visit the pages of a loop as often as there are ways to them, and takes zeros for the rest of
                // a page that the file ends in.
                let is_refused = by_pages
                    .end
                    .as_ref()
                    .is_some_and(|(_, text)| text.contains("used twice") || text.contains("SQLITE_IOERR_SHORT_READ"));
                // Batches that are not whole are not handed over.
                let is_same = if threads == 1 || by_sqlite.end.is_none() {
                    by_pages == by_sqlite
                } else {
                    by_pages.code() == by_sqlite.code()
                };
                assert!(is_same || is_refused, "{sql}, {threads} threads: {by_pages:?}, not {by_sqlite:?}");
            }
        }
    }
});

/// What a scan gave.
#[derive(Debug)]
struct Digest {
    rows: u64,
    /// Of all values with their types.
    hash: u64,
    /// The error that ended it.
    end: Option<(Option<ResultCode>, String)>,
}

impl Digest {
    fn code(&self) -> Option<ResultCode> {
        self.end.as_ref().and_then(|(code, _)| *code)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.hash, self.code()) == (other.rows, other.hash, other.code())
    }
}

fn digest(conn: &Connection, sql: &str, path: ScanStrategy, threads: usize) -> Digest {
    let (mut rows, mut hash) = (0, Fnv(0xcbf2_9ce4_8422_2325));
    let scan = conn.scan(sql, ()).strategy(path).threads(threads).limit(ROWS_MAX);
    let result = if threads == 1 {
        scan.for_each(|row| {
            for column in 0..row.column_count() {
                hash.add_value(row.value(column)?);
            }
            rows += 1;
            Ok::<_, Error>(())
        })
    } else {
        scan.batches(20, |batch| {
            for row in 0..batch.len() {
                for column in 0..batch.columns().len() {
                    hash.add_value(batch.value(row, column).unwrap());
                }
                rows += 1;
            }
            Ok::<_, Error>(())
        })
    };
    Digest { rows, hash: hash.0, end: result.err().map(|error| (error.code(), error.to_string())) }
}

/// Whether a page has a cell so near to its end that SQLite reads some bytes beyond it, where nobody knows what is.
fn may_be_read_beyond(bytes: &[u8]) -> bool {
    /// The lengths of a payload and of a record's header, a rowid. The seeds leave more at the end of each page alone.
    const NEAR_BYTES: usize = 24;
    let Some(&[high, low]) = bytes.get(16..).and_then(|bytes| bytes.first_chunk()) else {
        return false;
    };
    let page_bytes = match u16::from_be_bytes([high, low]) {
        1 => 65_536,
        bytes => usize::from(bytes),
    };
    if !page_bytes.is_power_of_two() || page_bytes < 512 {
        return false;
    }
    bytes.chunks(page_bytes).enumerate().any(|(index, page)| {
        let head = if index == 0 { 100 } else { 0 };
        let pointers = match page.get(head) {
            Some(13 | 10) => page.get(head + 8..),
            Some(5 | 2) => page.get(head + 12..),
            _ => None,
        };
        let cells = page.get(head + 3..head + 5).map_or(0, |cells| usize::from(cells[0]) << 8 | usize::from(cells[1]));
        let pointers = pointers.unwrap_or_default().as_chunks::<2>().0.iter().take(cells.min(page_bytes / 6));
        pointers
            .into_iter()
            .any(|&pointer| (usize::from(u16::from_be_bytes(pointer)) & (page_bytes - 1)) + NEAR_BYTES > page_bytes)
    })
}

struct Fnv(u64);

impl Fnv {
    fn add_value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.add(&[0]),
            ValueRef::Integer(value) => self.add_all(1, &value.to_le_bytes()),
            ValueRef::Real(value) => self.add_all(2, &value.to_bits().to_le_bytes()),
            ValueRef::Text(text) => self.add_all(3, text),
            ValueRef::Blob(blob) => self.add_all(4, blob),
        }
    }

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
