//! SQLite's checks on a page, a cell and a record, one by one: what fails for the statement fails for the pages, and
//! what SQLite looks past the pages look past. The list of them is in docs/page_reader.md.

use std::ffi::c_int;
use std::path::PathBuf;

use finalite::scan::{ColumnBatch, ScanStrategy};
use finalite::{Connection, Error, OpenOptions, Result, ResultCode, ffi};

use crate::common::cell::Cell;
use crate::compare::read_all;

/// What yields the rows of a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Statement,
    Each,
    Columns(usize),
    Batches(usize),
}

pub const BY_PAGES: [Way; 4] = [Way::Each, Way::Columns(1), Way::Columns(3), Way::Batches(2)];

/// The rows, and the error after them. Columns that failed have none.
pub fn scan(conn: &Connection, sql: &str, way: Way) -> (Vec<Vec<Cell>>, Option<Error>) {
    let mut rows = Vec::new();
    let add = |rows: &mut Vec<Vec<Cell>>, batch: &ColumnBatch| {
        rows.extend((0..batch.len()).map(|row| {
            (0..batch.columns().len()).map(|column| batch.value(row, column).unwrap().into()).collect::<Vec<_>>()
        }));
    };
    let scan =
        conn.scan(sql, ()).strategy(if way == Way::Statement { ScanStrategy::Statement } else { ScanStrategy::Pages });
    let result = match way {
        Way::Statement | Way::Each => scan.for_each(|row| {
            rows.push((0..row.column_count()).map(|column| row.value(column).map(Cell::from)).collect::<Result<_>>()?);
            Ok::<_, Error>(())
        }),
        Way::Columns(threads) => scan.threads(threads).columns().map(|batch| {
            add(&mut rows, &batch);
            0
        }),
        Way::Batches(threads) => scan.threads(threads).batches(3, |batch| {
            add(&mut rows, batch);
            Ok::<_, Error>(())
        }),
    };
    (rows, result.err())
}

/// A file in memory, to be damaged.
#[derive(Clone)]
pub struct Image {
    pub bytes: Vec<u8>,
    pub page_bytes: usize,
    pub root: usize,
}

const LEAF: u8 = 13;
const INTERIOR: u8 = 5;
pub const INDEX_LEAF: u8 = 10;
pub const INDEX_INTERIOR: u8 = 2;

impl Image {
    /// The file that this SQL makes, with the table `t`.
    pub fn new(page_bytes: usize, sql: &str) -> Self {
        Self::with_reserve(page_bytes, 0, sql)
    }

    /// The same, with so many bytes at the end of each page left alone. They are zeros: where SQLite reads beyond the
    /// end of what is on a page, it is known what it finds.
    pub fn with_reserve(page_bytes: usize, reserve: c_int, sql: &str) -> Self {
        Self::of("t", page_bytes, reserve, sql)
    }

    /// The same, with the table or the index of this name.
    pub fn of(name: &str, page_bytes: usize, reserve: c_int, sql: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = OpenOptions::new().pragma("page_size", i64::try_from(page_bytes).unwrap()).open(&path).unwrap();
        let control = ffi::SQLITE_FCNTL_RESERVE_BYTES;
        let mut bytes = reserve;
        // SAFETY: the connection is open; the control takes a pointer to an int (c3ref/c_fcntl_begin_atomic_write.html),
        // and writes the number of before to it.
        let code =
            unsafe { ffi::sqlite3_file_control(conn.as_raw(), c"main".as_ptr(), control, (&raw mut bytes).cast()) };
        assert_eq!(code, ffi::SQLITE_OK);
        conn.execute_batch(sql).unwrap();
        let root: i64 = conn.query_one("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).unwrap();
        conn.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(c_int::from(bytes[20]), reserve);
        Self { bytes, page_bytes, root: root.try_into().unwrap() }
    }

    pub fn page(&mut self, number: usize) -> &mut [u8] {
        &mut self.bytes[(number - 1) * self.page_bytes..][..self.page_bytes]
    }

    pub fn u16(&mut self, page: usize, at: usize) -> usize {
        let page = self.page(page);
        usize::from(u16::from_be_bytes([page[at], page[at + 1]]))
    }

    pub fn set_u16(&mut self, page: usize, at: usize, value: usize) {
        self.page(page)[at..at + 2].copy_from_slice(&u16::try_from(value).unwrap().to_be_bytes());
    }

    pub fn set_u32(&mut self, page: usize, at: usize, value: usize) {
        self.page(page)[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
    }

    pub fn u32(&mut self, page: usize, at: usize) -> usize {
        u32::from_be_bytes(*self.page(page)[at..].first_chunk().unwrap()) as usize
    }

    /// Where a cell of a page begins.
    pub fn cell(&mut self, page: usize, index: usize) -> usize {
        let first = if [INTERIOR, INDEX_INTERIOR].contains(&self.page(page)[0]) { 12 } else { 8 };
        self.u16(page, first + 2 * index)
    }

    /// Makes this the number of cells of a leaf, all of which are its first.
    pub fn repeat_first_cell(&mut self, leaf: usize, cells: usize) {
        let cell = self.cell(leaf, 0);
        self.set_u16(leaf, 3, cells);
        let keep = self.page(leaf)[cell..].to_vec();
        for index in 0..cells {
            self.set_u16(leaf, 8 + 2 * index, cell);
        }
        self.page(leaf)[cell..].copy_from_slice(&keep);
    }

    /// Whether a page has a cell so near to its end that SQLite reads beyond it.
    pub fn is_beyond(&mut self, page: usize) -> bool {
        /// The lengths of a payload and of a record's header, a rowid.
        const CELL_HEAD_BYTES: usize = 24;
        let first = match self.page(page)[0] {
            LEAF | INDEX_LEAF => 8,
            INTERIOR | INDEX_INTERIOR => 12,
            _ => return false,
        };
        let mask = self.page_bytes - 1;
        let cells = self.u16(page, 3).min(mask / 6);
        (0..cells).any(|cell| (self.u16(page, first + 2 * cell) & mask) + CELL_HEAD_BYTES > self.page_bytes)
    }

    /// The pages of the tree of these kinds, in their order.
    fn pages(&mut self, kinds: [u8; 2]) -> Vec<usize> {
        let (mut found, mut todo) = (Vec::new(), vec![self.root]);
        while let Some(page) = todo.pop() {
            if kinds.contains(&self.page(page)[0]) {
                found.push(page);
            }
            if [INTERIOR, INDEX_INTERIOR].contains(&self.page(page)[0]) {
                todo.push(self.u32(page, 8));
                for index in (0..self.u16(page, 3)).rev() {
                    let cell = self.u16(page, 12 + 2 * index);
                    todo.push(self.u32(page, cell));
                }
            }
        }
        found
    }

    pub fn leaves(&mut self) -> Vec<usize> {
        self.pages([LEAF, INDEX_LEAF])
    }

    pub fn interiors(&mut self) -> Vec<usize> {
        self.pages([INTERIOR, INDEX_INTERIOR])
    }

    /// Appends pages, and has the header count them. Returns the first.
    pub fn append(&mut self, pages: usize) -> usize {
        let first = self.bytes.len() / self.page_bytes + 1;
        self.bytes.resize(self.bytes.len() + pages * self.page_bytes, 0);
        self.set_u32(1, 28, first - 1 + pages);
        first
    }

    pub fn page_count(&self) -> usize {
        self.bytes.len() / self.page_bytes
    }

    pub fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.db");
        std::fs::write(&path, &self.bytes).unwrap();
        (dir, path)
    }
}

/// What SQLite says of a scan: the number of rows, and the error after them. By pages it is the same, in every way.
#[track_caller]
pub fn agreed(open: impl Fn() -> Connection, sql: &str) -> (usize, Option<ResultCode>) {
    let (expected, error) = scan(&open(), sql, Way::Statement);
    let code = error.as_ref().and_then(Error::code);
    for way in BY_PAGES {
        let (found, found_error) = scan(&open(), sql, way);
        let found_code = found_error.as_ref().and_then(Error::code);
        assert_eq!(found_code, code, "{way:?}, {sql}: {found_error:?}, not {error:?}; {} rows", found.len());
        if way == Way::Each || code.is_none() {
            let differ = expected.iter().zip(&found).position(|(one, other)| one != other);
            assert!(
                found == expected,
                "{way:?}, {sql}: {} rows, not {}: {:?} not {:?}",
                found.len(),
                expected.len(),
                differ.map(|row| &found[row]),
                differ.map(|row| &expected[row])
            );
        }
    }
    (expected.len(), code)
}

#[track_caller]
pub fn agreed_of(image: &Image, sql: &str) -> (usize, Option<ResultCode>) {
    let (_dir, path) = image.write();
    agreed(|| OpenOptions::new().read_only(true).open(&path).unwrap(), sql)
}

pub const CORRUPT: Option<ResultCode> = Some(ResultCode::CORRUPT);

/// 1000 rows on some hundred leaves, below two levels of interior pages.
fn sound() -> Image {
    Image::new(
        512,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO t SELECT i, printf('%060d', i), i * i FROM n;",
    )
}

#[test]
fn pages_of_the_tree() {
    let mut image = sound();
    let (leaves, interiors) = (image.leaves(), image.interiors());
    assert!(leaves.len() > 20 && interiors.len() > 2, "{} {}", leaves.len(), interiors.len());
    assert_eq!(agreed_of(&image, "SELECT * FROM t"), (1000, None));
    let (leaf, middle) = (leaves[leaves.len() / 2], interiors[interiors.len() - 1]);
    let rows_before = |image: &Image| agreed_of(image, "SELECT * FROM t");
    let damaged = |damage: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        damage(&mut image);
        let result = rows_before(&image);
        // SQLite looks at fewer of the records.
        agreed_of(&image, "SELECT id FROM t");
        result
    };
    // A page without cells.
    let (rows, code) = damaged(&|image| image.set_u16(leaf, 3, 0));
    assert!(code == CORRUPT && rows > 300, "{rows} {code:?}");
    assert_eq!(damaged(&|image| image.set_u16(middle, 3, 0)).1, CORRUPT);
    let (first, last) = (leaves[0], *leaves.last().unwrap());
    assert_eq!(damaged(&|image| image.set_u16(first, 3, 0)), (0, CORRUPT));
    assert_eq!(damaged(&|image| image.set_u16(last, 3, 0)).1, CORRUPT);
    // More cells than SQLite takes for possible, though their pointers fit: all lead to the first.
    assert_eq!(damaged(&|image| image.repeat_first_cell(leaf, 84)).1, None);
    assert_eq!(damaged(&|image| image.repeat_first_cell(leaf, 85)).1, CORRUPT);
    // Another kind of page, or none.
    for kind in [0, 1, 2, 10, 12, 255] {
        assert_eq!(damaged(&|image| image.page(leaf)[0] = kind).1, CORRUPT, "{kind}");
    }
    // A leaf where an interior page is expected, and the other way.
    damaged(&|image| image.page(leaf)[0] = INTERIOR);
    damaged(&|image| image.page(middle)[0] = LEAF);
    // Children that are no pages.
    for child in [0, 1, image.page_count() + 1, u32::MAX as usize] {
        let (_, code) = damaged(&|image| image.set_u32(middle, 8, child));
        assert!(code == CORRUPT || child == 1, "{child}");
        damaged(&|image| {
            let cell = image.u16(middle, 12);
            image.set_u32(middle, cell, child);
        });
    }
    // A child that is used again, and itself.
    assert_eq!(damaged(&|image| image.set_u32(middle, 8, leaf)).1, None);
    assert_eq!(damaged(&|image| image.set_u32(middle, 8, middle)).1, CORRUPT);
    // Pointers that SQLite masks, or follows to anywhere; near the end it would read what is behind the page.
    assert_eq!(damaged(&|image| image.page(leaf)[8 + 4] |= 0xf0).1, None);
    assert_eq!(damaged(&|image| image.page(middle)[12 + 4] |= 0x70).1, None);
    for pointer in [0, 3, 8, 60, 300, 490, 512, 600, 65_200] {
        damaged(&|image| image.set_u16(leaf, 8 + 6, pointer));
        damaged(&|image| image.set_u16(middle, 12 + 2, pointer));
    }
    // The header knows fewer pages than there are.
    assert_eq!(damaged(&|image| image.set_u32(1, 28, last - 1)).1, CORRUPT);
}

/// Leaves of different depths are no error.
#[test]
fn a_tree_that_is_not_level() {
    let mut image = sound();
    let middle = image.interiors()[1];
    let new = image.append(1);
    let child = image.u32(middle, 8);
    let cell = image.u16(middle, 12);
    let other = image.u32(middle, cell);
    image.page(new)[0] = INTERIOR;
    image.set_u16(new, 3, 1);
    image.set_u16(new, 5, 500);
    image.set_u16(new, 12, 500);
    image.set_u32(new, 500, other);
    image.page(new)[504] = 1;
    image.set_u32(new, 8, child);
    image.set_u32(middle, cell, new);
    let (rows, code) = agreed_of(&image, "SELECT * FROM t");
    assert!(rows > 1000 && code.is_none(), "{rows} {code:?}");
}

/// A chain of interior pages, each with one leaf beside the next.
#[test]
fn the_deepest_tree() {
    let deep = |levels: usize| {
        let mut image = Image::new(
            512,
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')",
        );
        let root = image.root;
        let leaf = image.append(1);
        let content = image.page(root).to_vec();
        image.page(leaf).copy_from_slice(&content);
        // Room for what is visited twice.
        let mut next = image.append(3 * levels);
        let mut at = root;
        for level in 0..levels {
            image.page(at).fill(0);
            image.page(at)[0] = INTERIOR;
            image.set_u16(at, 3, 1);
            image.set_u16(at, 5, 500);
            image.set_u16(at, 12, 500);
            image.set_u32(at, 500, leaf);
            image.page(at)[504] = 1;
            let child = if level + 1 == levels { leaf } else { next };
            image.set_u32(at, 8, child);
            (at, next) = (next, next + 1);
        }
        agreed_of(&image, "SELECT * FROM t")
    };
    assert_eq!(deep(1), (4, None));
    assert_eq!(deep(19), (40, None));
    // The leaf would be the 21st page of the way.
    assert_eq!(deep(20), (38, CORRUPT));
    assert_eq!(deep(21).1, CORRUPT);
}

/// The page that locks are taken on: SQLite never reads it. The file has holes, and takes little room.
#[test]
fn the_page_of_the_locks() {
    const PENDING_BYTE: u64 = 0x4000_0000;
    let make = |sql: &str| {
        let mut image = Image::new(4096, sql);
        let pages = PENDING_BYTE / 4096 + 10;
        image.set_u32(1, 28, pages.try_into().unwrap());
        (image, pages)
    };
    let agreed = |image: &Image, pages: u64, content: &[u8]| {
        use std::os::unix::fs::FileExt;
        let (_dir, path) = image.write();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(pages * 4096).unwrap();
        file.write_all_at(content, PENDING_BYTE).unwrap();
        drop(file);
        agreed(|| Connection::open(&path).unwrap(), "SELECT * FROM t")
    };
    let locks = usize::try_from(PENDING_BYTE / 4096 + 1).unwrap();
    let (mut image, pages) = make(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO t SELECT i, 'some text, row ' || i FROM n;",
    );
    let (root, leaves) = (image.root, image.leaves());
    let content = image.page(leaves[2]).to_vec();
    assert_eq!(agreed(&image, pages, &content), (1000, None));
    image.set_u32(root, 8, locks);
    assert_eq!(agreed(&image, pages, &content).1, CORRUPT);

    let (mut image, pages) = make("CREATE TABLE t(a BLOB, b); INSERT INTO t VALUES (zeroblob(9000), 1), (2, 3)");
    let root = image.root;
    let cell = image.cell(root, 0);
    // Its overflow pages begin behind what is on the page.
    let at = (cell..=4092).find(|&at| image.u32(root, at) == root + 1).unwrap();
    image.set_u32(root, at, locks);
    agreed(&image, pages, &[0; 4096]);
    let (mut image, pages) = make("CREATE TABLE t(a BLOB, b); INSERT INTO t VALUES (zeroblob(9000), 1), (2, 3)");
    image.set_u32(root + 1, 0, locks);
    agreed(&image, pages, &[0; 4096]);
}

/// A table whose rows are short: a column with a default was added later.
fn four_rows() -> Image {
    Image::new(
        512,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
         INSERT INTO t VALUES (1, 'one', 1), (2, 'a longer text, so that there is room', 2), (3, 'three', 3), (4, 'four', 4);
         ALTER TABLE t ADD COLUMN c DEFAULT 'default';",
    )
}

/// Compares scans of some of its columns.
fn agreed_by_columns(image: &Image) {
    for sql in ["SELECT id FROM t", "SELECT a FROM t", "SELECT c FROM t", "SELECT c, b FROM t", "SELECT b, a FROM t"] {
        agreed_of(image, sql);
    }
}

#[test]
fn cells() {
    let image = four_rows();
    let root = image.root;
    // The second cell is written anew.
    let with = |cell: &[u8]| {
        let mut image = image.clone();
        let at = image.cell(root, 1);
        image.page(root)[at..at + cell.len()].copy_from_slice(cell);
        let all = agreed_of(&image, "SELECT * FROM t");
        agreed_by_columns(&image);
        all
    };
    assert_eq!(with(&[9, 2, 4, 0, 15, 1, b'x', 7]), (1, CORRUPT));
    assert_eq!(with(&[6, 2, 4, 0, 15, 1, b'x', 7]), (4, None));
    // The payload's length in nine bytes: SQLite takes seven bits of each, and 32 of them all.
    assert_eq!(with(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 6, 2, 4, 0, 15, 1, b'x', 7]), (4, None));
    assert_eq!(with(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x86, 2, 4, 0, 15, 1, b'x', 7]), (4, None));
    assert_eq!(with(&[0x90, 0x80, 0x80, 0x80, 0x80, 6, 2, 4, 0, 15, 1, b'x', 7]), (4, None));
    with(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0x06, 2, 4, 0, 15, 1, b'x', 7]);
    with(&[0xff; 20]);
    with(&[0x80; 20]);
    // The rowid's.
    assert_eq!(with(&[6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 15, 1, b'x', 7]), (4, None));
}

#[test]
fn records() {
    let image = four_rows();
    let root = image.root;
    let with = |record: &[u8]| {
        let mut image = image.clone();
        let at = image.cell(root, 1);
        image.page(root)[at] = record.len().try_into().unwrap();
        image.page(root)[at + 2..at + 2 + record.len()].copy_from_slice(record);
        agreed_by_columns(&image);
        agreed_of(&image, "SELECT * FROM t")
    };
    // Short ones.
    assert_eq!(with(&[3, 0, 15, b'x']), (4, None));
    assert_eq!(with(&[2, 0]), (4, None));
    // A header without entries; SQLite's own exception is one of length 0.
    assert_eq!(with(&[1]), (1, CORRUPT));
    assert_eq!(with(&[1, 0, 15, 1, b'x', 7]), (1, CORRUPT));
    assert_eq!(with(&[0x80, 2]), (1, CORRUPT));
    assert_eq!(with(&[0x80, 1]), (1, CORRUPT));
    assert_eq!(with(&[0]), (4, None));
    assert_eq!(with(&[0, 0, 15, 1, b'x', 7]), (4, None));
    with(&[0x80, 0]);
    with(&[]);
    // Its end within an entry, beyond the record, before all of it is used.
    assert_eq!(with(&[3, 0, 0x8f, 0, b'x']), (1, CORRUPT));
    assert_eq!(with(&[9, 0, 15, 1, b'x', 7]), (1, CORRUPT));
    assert_eq!(with(&[4, 0, 15, 1, b'x', 7, 8]), (1, CORRUPT));
    assert_eq!(with(&[4, 0, 15, 6, b'x', 7]), (1, CORRUPT));
    // Types that are reserved, of several bytes, and too large.
    assert_eq!(with(&[5, 0, 10, 11, 1, 7]), (4, None));
    assert_eq!(with(&[6, 0, 0x80, 15, 1, 1, b'x', 7, 8]), (4, None));
    with(&[10, 0, 0x90, 0x80, 0x80, 0x80, 15, 1, 1, 1, b'x', 7, 8]);
    with(&[12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    // More entries than columns.
    assert_eq!(with(&[7, 0, 15, 1, 15, 1, 1, b'x', 7, b'y', 8, 9]), (4, None));
    assert_eq!(with(&[7, 0, 15, 1, 15, 1, 99, b'x', 7, b'y', 8, 9]), (4, None));
}

/// A header that is longer than any that SQLite writes.
#[test]
fn a_record_with_a_large_header() {
    let image = Image::new(512, "CREATE TABLE t(a BLOB, b); INSERT INTO t VALUES (zeroblob(120000), NULL), (1, 2)");
    for header in [90_000_u32, 98_307, 98_308, 100_000, 119_000] {
        let mut image = image.clone();
        let (root, at) = (image.root, image.cell(image.root, 0));
        let seven = |shift: u32| u8::try_from(header >> shift & 0x7f).unwrap();
        // Behind the payload's length, three bytes, and the rowid.
        image.page(root)[at + 4..at + 7].copy_from_slice(&[0x80 | seven(14), 0x80 | seven(7), seven(0)]);
        image.page(root)[at + 7..at + 9].fill(0);
        let (rows, code) = agreed_of(&image, "SELECT * FROM t");
        assert_eq!((rows, code), if header > 98_307 { (0, CORRUPT) } else { (2, None) }, "{header}");
    }
}

#[test]
fn overflow_pages() {
    for vacuum in ["none", "full"] {
        let image = Image::new(
            512,
            &format!(
                "PRAGMA auto_vacuum = {vacuum};
                 CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c TEXT, d TEXT);
                 INSERT INTO t VALUES (1, 'one', x'01', 'one', ''),
                    (2, 'two', CAST(printf('%02400d', 2) AS BLOB), printf('%01800d', 3), 'end'), (3, 'three', x'03', '', '');"
            ),
        );
        let root = image.root;
        let agreed_all = |image: &Image| {
            for sql in
                ["SELECT id FROM t", "SELECT a FROM t", "SELECT d FROM t", "SELECT c FROM t", "SELECT d, b FROM t"]
            {
                agreed_of(image, sql);
            }
            agreed_of(image, "SELECT * FROM t")
        };
        assert_eq!(agreed_all(&image), (3, None));
        let mut chain = {
            let mut image = image.clone();
            let at = image.cell(root, 1);
            let first = (at..508).find_map(|at| {
                let page = image.u32(root, at);
                (root + 1..=image.page_count()).contains(&page).then_some((at, page))
            });
            vec![first.unwrap()]
        };
        while let (_, page @ 1..) = *chain.last().unwrap() {
            let next = image.clone().u32(page, 0);
            chain.push((0, next));
        }
        assert!(chain.len() > 8, "{chain:?}");
        for (index, &(at, _)) in chain.iter().enumerate().take(chain.len() - 1) {
            let page = if index == 0 { root } else { chain[index - 1].1 };
            for next in
                [0, 1, root, chain[0].1, chain[3].1, image.page_count(), image.page_count() + 1, u32::MAX as usize]
            {
                let mut image = image.clone();
                image.set_u32(page, at, next);
                agreed_all(&image);
            }
        }
        // The file ends before them: as short as the header says.
        let mut image = image.clone();
        image.set_u32(1, 28, chain[4].1);
        agreed_all(&image);
    }
}

/// In a file that vacuums itself SQLite asks a map which overflow page follows.
#[test]
fn the_map_of_pages() {
    let image = Image::new(
        512,
        "PRAGMA auto_vacuum = full; CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB, c TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         INSERT INTO t SELECT i, CAST(printf('%0*d', 1000 + 37 * i, i) AS BLOB), printf('%0*d', 500 + 11 * i, i) FROM n;",
    );
    let sqls = ["SELECT * FROM t", "SELECT c FROM t", "SELECT c, b FROM t"];
    for sql in sqls {
        assert_eq!(agreed_of(&image, sql), (40, None));
    }
    let map_pages: Vec<usize> = (0..).map(|n| 2 + n * 103).take_while(|&page| page <= image.page_count()).collect();
    let mut errors = 0;
    for &map in &map_pages {
        for entry in (0..102).step_by(3) {
            if map + 1 + entry > image.page_count() {
                break;
            }
            for (kind, parent) in [(0, None), (6, None), (4, None), (4, Some(map + entry)), (3, None), (5, Some(2))] {
                let mut image = image.clone();
                image.page(map)[5 * entry] = kind;
                if let Some(parent) = parent {
                    image.set_u32(map, 5 * entry + 1, parent);
                }
                for sql in sqls {
                    errors += usize::from(agreed_of(&image, sql).1.is_some());
                }
            }
        }
    }
    assert!(errors > 10, "{errors}");
}

/// Limits and settings of the connection under which SQLite refuses rows.
#[test]
fn settings_of_the_connection() {
    let image = Image::new(
        1024,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB);
         INSERT INTO t VALUES (1, 'one', x'01'), (2, 'two', zeroblob(600)), (3, 'three', zeroblob(4000)), (4, 'four', x'');",
    );
    let (_dir, path) = image.write();
    for (length, rows) in [(1_000_000_000, 4), (4001, 4), (4000, 4), (3999, 2), (599, 1)] {
        let open = || {
            let conn = Connection::open(&path).unwrap();
            // SAFETY: the connection is open; sets a number kept in it.
            unsafe { ffi::sqlite3_limit(conn.as_raw(), ffi::SQLITE_LIMIT_LENGTH, length) };
            conn
        };
        let code = (rows < 4).then_some(ResultCode::TOOBIG);
        assert_eq!(agreed(open, "SELECT * FROM t"), (rows, code), "{length}");
        assert_eq!(agreed(open, "SELECT id, a FROM t"), (4, None), "{length}");
    }
    // Cells that SQLite looks at where it is told to: one in the header of its page, one that is too short.
    let mut image = sound();
    let leaves = image.leaves();
    let (leaf, interior) = (leaves[leaves.len() / 2], image.interiors()[1]);
    let mut errors = 0;
    for is_on in [false, true] {
        for pointer in [2, 9, 12, 509] {
            for page in [leaf, interior] {
                let mut image = image.clone();
                let first = if page == leaf { 8 } else { 12 };
                image.set_u16(page, first + 4, pointer);
                // What is there decodes.
                if pointer > 500 {
                    image.page(page)[pointer..].copy_from_slice(&[1, 1, 1, 0, 0, 0, 0][..512 - pointer]);
                }
                let (_dir, path) = image.write();
                let open = || OpenOptions::new().pragma("cell_size_check", is_on).open(&path).unwrap();
                for sql in ["SELECT * FROM t", "SELECT id FROM t"] {
                    if !is_on {
                        agreed(open, sql);
                        continue;
                    }
                    // SQLite looks at all cells of a page before the first row of it.
                    let (expected, error) = scan(&open(), sql, Way::Statement);
                    let Some(error) = error else { panic!("{pointer} is taken") };
                    errors += 1;
                    for way in BY_PAGES {
                        let (found, found_error) = scan(&open(), sql, way);
                        assert_eq!(found_error.as_ref().and_then(Error::code), error.code(), "{pointer}, {way:?}");
                        assert!(way != Way::Each || found.starts_with(&expected), "{pointer}, {way:?}");
                    }
                }
            }
        }
    }
    assert_eq!(errors, 16);
}

/// What a short record lacks is the default, whatever its row says that it is.
#[test]
fn a_rowid_that_is_another_rows() {
    for (page_bytes, encoding) in [(512, "UTF-8"), (4096, "UTF-16le"), (1024, "UTF-16be")] {
        for (default, count) in
            [("'default'", 4), ("5", 4), ("-2.5", 4), ("x'0011'", 4), ("NULL", 4), ("''", 4), ("'5'", 4)]
        {
            let image = Image::new(
                page_bytes,
                &format!(
                    "PRAGMA encoding = '{encoding}'; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3);
                     ALTER TABLE t ADD COLUMN c DEFAULT {default}; INSERT INTO t VALUES (4, 'explicit');"
                ),
            );
            let mut damaged = image.clone();
            let at = damaged.cell(damaged.root, 0);
            assert_eq!(damaged.page(image.root)[at + 1], 1, "the first row");
            damaged.page(image.root)[at + 1] = 4;
            for sql in ["SELECT c FROM t", "SELECT * FROM t", "SELECT c, rowid FROM t"] {
                assert_eq!(agreed_of(&image, sql), (count, None));
                assert_eq!(agreed_of(&damaged, sql), (count, None));
            }
            // Rows with a value come first, and another column is added.
            let (_dir, path) = damaged.write();
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch(
                "ALTER TABLE t ADD COLUMN d TEXT DEFAULT 7.50; ALTER TABLE t ADD COLUMN e INTEGER DEFAULT '8';
                 ALTER TABLE t ADD COLUMN f REAL DEFAULT 9; ALTER TABLE t ADD COLUMN g;
                 INSERT INTO t(rowid, a, c) VALUES (-1, 0, 'first');",
            )
            .unwrap();
            conn.close().unwrap();
            let rows = agreed(|| Connection::open(&path).unwrap(), "SELECT * FROM t");
            assert_eq!(rows, (5, None));
            agreed(|| Connection::open(&path).unwrap(), "SELECT f, e FROM t");
        }
    }
}

/// Two tables share their pages: the names of one are not the other's, nor are its defaults.
#[test]
fn a_root_that_is_another_tables() {
    let image = Image::new(
        1024,
        "CREATE TABLE u(a, b DEFAULT 'of u'); CREATE TABLE t(x); INSERT INTO t VALUES (1), (2);
         ALTER TABLE t ADD COLUMN y DEFAULT 'of t';
         PRAGMA writable_schema = on; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 't');",
    );
    let (_dir, path) = image.write();
    for (table, default) in [("t", "of t"), ("u", "of u")] {
        let sql = format!("SELECT * FROM {table}");
        assert_eq!(agreed(|| Connection::open(&path).unwrap(), &sql), (2, None));
        let conn = Connection::open(&path).unwrap();
        let rows = read_all(conn.scan(&sql, ()).strategy(ScanStrategy::Pages)).unwrap();
        assert_eq!(rows[1][1], Cell::Text(default.into()));
    }
}

/// A write-ahead log whose commit says one number of pages, and its first page another: SQLite takes the latter.
#[test]
fn a_log_that_knows_more_pages_than_the_header() {
    const PAGE_BYTES: usize = 512;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::new().pragma("page_size", 512_i64).pragma("journal_mode", "wal").open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO t SELECT i, 'row ' || i FROM n;",
    )
    .unwrap();
    let log = std::fs::read(dir.path().join("a.db-wal")).unwrap();
    for less in [0, 1, 5] {
        let copy = dir.path().join(format!("{less}.db"));
        std::fs::copy(&path, &copy).unwrap();
        let mut log = log.clone();
        // The sums of all frames follow from each other (fileformat2.html#walformat).
        let is_big_endian = log[3] & 1 == 1;
        let mut sums = [log[24..28].try_into().unwrap(), log[28..32].try_into().unwrap()].map(u32::from_be_bytes);
        let mut pages = 0;
        for frame in log[32..].chunks_exact_mut(24 + PAGE_BYTES) {
            let (head, page) = frame.split_at_mut(24);
            if head[..4] == [0, 0, 0, 1] {
                pages = u32::from_be_bytes(*page[28..].first_chunk().unwrap());
                page[28..32].copy_from_slice(&(pages - less.min(pages - 1)).to_be_bytes());
            }
            for word in head[..8].chunks_exact(8).chain(page.chunks_exact(8)) {
                let word = |at: usize| {
                    let bytes = *word[at..].first_chunk().unwrap();
                    if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
                };
                sums[0] = sums[0].wrapping_add(word(0)).wrapping_add(sums[1]);
                sums[1] = sums[1].wrapping_add(word(4)).wrapping_add(sums[0]);
            }
            head[16..20].copy_from_slice(&sums[0].to_be_bytes());
            head[20..24].copy_from_slice(&sums[1].to_be_bytes());
        }
        assert!(pages > 10, "{pages}");
        std::fs::write(dir.path().join(format!("{less}.db-wal")), log).unwrap();
        let holder = Connection::open(&copy).unwrap();
        holder.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap();
        let (rows, code) = agreed(|| Connection::open(&copy).unwrap(), "SELECT * FROM t");
        assert_eq!(code, if less == 0 { None } else { CORRUPT }, "{less}: {rows} rows");
        holder.close().unwrap();
    }
}
