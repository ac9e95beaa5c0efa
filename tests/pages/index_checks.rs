//! SQLite's checks on the pages and cells of an index, one by one: see `checks`.

use finalite::OpenOptions;
use finalite::scan::ScanStrategy;

use crate::checks::{BY_PAGES, CORRUPT, INDEX_INTERIOR, INDEX_LEAF, Image, Way, agreed, agreed_of, scan};

/// 1000 records on some hundred leaves, below two levels of interior pages.
fn sound() -> Image {
    Image::new(
        512,
        "CREATE TABLE t(id INTEGER, a TEXT PRIMARY KEY, b INTEGER) WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO t SELECT i, printf('%060d', i), i * i FROM n;",
    )
}

/// An index whose records are short, on one page.
fn four_rows() -> Image {
    Image::of(
        "i",
        512,
        0,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c);
         INSERT INTO t VALUES (1, 'b', 1, 0), (2000, 'a longer text, so that there is room', 2, 0), (3, 'three', 3, 0), (4, 'w', 4, 0);
         CREATE INDEX i ON t(a DESC, b);",
    )
}

/// Positive control: it is by pages that the sound file is read.
#[track_caller]
fn assert_by_pages(image: &Image, sql: &str) {
    let (_dir, path) = image.write();
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
    assert!(plan.strategy == ScanStrategy::Pages && plan.reason.contains("index"), "{sql}: {plan}");
}

#[test]
fn pages_of_the_tree() {
    let mut image = sound();
    let (leaves, interiors) = (image.leaves(), image.interiors());
    assert!(leaves.len() > 20 && interiors.len() > 2, "{} {}", leaves.len(), interiors.len());
    assert_eq!(agreed_of(&image, "SELECT * FROM t"), (1000, None));
    assert_by_pages(&image, "SELECT * FROM t");
    assert_by_pages(&image, "SELECT a FROM t");
    let (leaf, middle) = (leaves[leaves.len() / 2], interiors[interiors.len() - 1]);
    let damaged = |damage: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        damage(&mut image);
        agreed_of(&image, "SELECT a FROM t");
        agreed_of(&image, "SELECT * FROM t")
    };
    // A page without cells.
    let (rows, code) = damaged(&|image| image.set_u16(leaf, 3, 0));
    assert!(code == CORRUPT && rows > 300, "{rows} {code:?}");
    assert_eq!(damaged(&|image| image.set_u16(middle, 3, 0)).1, CORRUPT);
    assert_eq!(damaged(&|image| image.set_u16(image.root, 3, 0)), (0, CORRUPT));
    let (first, last) = (leaves[0], *leaves.last().unwrap());
    assert_eq!(damaged(&|image| image.set_u16(first, 3, 0)), (0, CORRUPT));
    assert_eq!(damaged(&|image| image.set_u16(last, 3, 0)).1, CORRUPT);
    // More cells than SQLite takes for possible.
    assert_eq!(damaged(&|image| image.repeat_first_cell(leaf, 84)).1, None);
    assert_eq!(damaged(&|image| image.repeat_first_cell(leaf, 85)).1, CORRUPT);
    // Another kind of page: of a table, or none.
    for kind in [0, 1, 5, 12, 13, 255] {
        for page in [leaf, middle, image.root] {
            assert_eq!(damaged(&|image| image.page(page)[0] = kind).1, CORRUPT, "{kind}");
        }
    }
    // A leaf where an interior page is expected, and the other way.
    damaged(&|image| image.page(leaf)[0] = INDEX_INTERIOR);
    damaged(&|image| image.page(middle)[0] = INDEX_LEAF);
    damaged(&|image| image.page(image.root)[0] = INDEX_LEAF);
    // Children that are no pages.
    for child in [0, 1, image.page_count() + 1, u32::MAX as usize] {
        assert_eq!(damaged(&|image| image.set_u32(middle, 8, child)).1, CORRUPT, "{child}");
        for index in 0..2 {
            let (_, code) = damaged(&|image| {
                let cell = image.cell(middle, index);
                image.set_u32(middle, cell, child);
            });
            assert_eq!(code, CORRUPT, "{child}");
        }
    }
    // A child that is used again, and itself.
    assert_eq!(damaged(&|image| image.set_u32(middle, 8, leaf)).1, None);
    assert_eq!(damaged(&|image| image.set_u32(middle, 8, middle)).1, CORRUPT);
    // Pointers that SQLite masks, or follows to anywhere; near the end it would read what is behind the page.
    assert_eq!(damaged(&|image| image.page(leaf)[8 + 4] |= 0xf0).1, None);
    assert_eq!(damaged(&|image| image.page(middle)[12 + 2] |= 0x70).1, None);
    for pointer in [0, 3, 8, 12, 14, 60, 300, 480, 512, 600, 65_200] {
        damaged(&|image| image.set_u16(leaf, 8 + 6, pointer));
        damaged(&|image| image.set_u16(middle, 12 + 2, pointer));
    }
    // The header knows fewer pages than there are.
    assert_eq!(damaged(&|image| image.set_u32(1, 28, last - 1)).1, CORRUPT);
}

/// Fills an interior page with one cell: a record of one text, between two children.
fn set_interior(image: &mut Image, page: usize, before: usize, after: usize) {
    image.page(page).fill(0);
    image.page(page)[0] = INDEX_INTERIOR;
    image.set_u16(page, 3, 1);
    image.set_u16(page, 5, 480);
    image.set_u16(page, 12, 480);
    image.set_u32(page, 480, before);
    image.page(page)[484..488].copy_from_slice(&[3, 2, 15, b'm']);
    image.set_u32(page, 8, after);
}

/// A chain of interior pages, each with one leaf beside the next, and a record between them.
#[test]
fn the_deepest_tree() {
    let deep = |levels: usize| {
        let mut image =
            Image::new(512, "CREATE TABLE t(a TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES ('one'), ('two')");
        let root = image.root;
        let leaf = image.append(1);
        let content = image.page(root).to_vec();
        image.page(leaf).copy_from_slice(&content);
        // Room for what is visited twice.
        let mut next = image.append(3 * levels);
        let mut at = root;
        for level in 0..levels {
            let child = if level + 1 == levels { leaf } else { next };
            set_interior(&mut image, at, leaf, child);
            (at, next) = (next, next + 1);
        }
        agreed_of(&image, "SELECT * FROM t")
    };
    assert_eq!(deep(1), (5, None));
    assert_eq!(deep(19), (59, None));
    // The leaf would be the 21st page of the way.
    assert_eq!(deep(20), (57, CORRUPT));
    assert_eq!(deep(21).1, CORRUPT);
}

/// Leaves of different depths are no error.
#[test]
fn a_tree_that_is_not_level() {
    let mut image = sound();
    let middle = image.interiors()[1];
    // More than one page, for those that are visited twice.
    let new = image.append(40);
    let (child, cell) = (image.u32(middle, 8), image.cell(middle, 0));
    let other = image.u32(middle, cell);
    set_interior(&mut image, new, other, child);
    image.set_u32(middle, cell, new);
    let (rows, code) = agreed_of(&image, "SELECT a FROM t");
    assert!(rows > 1000 && code.is_none(), "{rows} {code:?}");
}

const OF_INDEX: [&str; 5] = [
    "SELECT a, b FROM t INDEXED BY i",
    "SELECT b FROM t INDEXED BY i",
    "SELECT id FROM t INDEXED BY i",
    "SELECT b, id FROM t INDEXED BY i",
    "SELECT id, a FROM t INDEXED BY i WHERE b > 0",
];

/// The third cell of the index, which has room, is written anew; then all is read: values and the rowid, which is the
/// last value of a record.
#[test]
fn cells_and_records() {
    let image = four_rows();
    let root = image.root;
    for sql in OF_INDEX {
        assert_eq!(agreed_of(&image, sql), (4, None));
        assert_by_pages(&image, sql);
    }
    let with = |cell: &[u8]| {
        let mut image = image.clone();
        let at = image.cell(root, 3);
        image.page(root)[at..at + cell.len()].copy_from_slice(cell);
        let found = OF_INDEX.map(|sql| agreed_of(&image, sql));
        (found[0], found[2])
    };
    let (all, refused) = ((4, None), (3, CORRUPT));
    assert_eq!(with(&[7, 4, 15, 1, 1, b'x', 7, 9]), (all, all));
    assert_eq!(with(&[6, 4, 15, 1, 9, b'x', 7]), (all, all));
    assert_eq!(with(&[6, 4, 15, 1, 8, b'x', 7]), (all, all));
    assert_eq!(with(&[12, 4, 15, 1, 5, b'x', 7, 0xff, 0xfe, 1, 2, 3, 4]), (all, all));
    assert_eq!(with(&[14, 4, 15, 1, 6, b'x', 7, 0x80, 0xfe, 1, 2, 3, 4, 5, 6]), (all, all));
    // The payload's length in nine bytes: SQLite takes seven bits of each, and 32 of them all.
    let nine = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80];
    assert_eq!(with(&[&nine[..], &[6, 4, 15, 1, 9, b'x', 7]].concat()), (all, all));
    assert_eq!(with(&[&nine[..], &[0x86, 4, 15, 1, 9, b'x', 7]].concat()), (all, all));
    assert_eq!(with(&[0x90, 0x80, 0x80, 0x80, 0x80, 6, 4, 15, 1, 9, b'x', 7]), (all, all));
    with(&[0xff; 20]);
    with(&[0x80; 20]);
    // Longer than its page has room for, and than the file.
    with(&[0x81, 0x10, 4, 15, 1, 9, b'x', 7]);
    with(&[0x83, 0x10, 4, 15, 1, 9, b'x', 7]);
    with(&[0xbf, 0xff, 0x7f, 4, 15, 1, 9, b'x', 7]);
    // A last value that is no integer: NULL, a real, a text, of several bytes. Only the rowid fails.
    assert_eq!(with(&[6, 4, 15, 1, 0, b'x', 7]), (all, refused));
    assert_eq!(with(&[14, 4, 15, 1, 7, b'x', 7, 1, 2, 3, 4, 5, 6, 7, 8]), (all, refused));
    assert_eq!(with(&[7, 4, 15, 1, 15, b'x', 7, b'9']), (all, refused));
    with(&[8, 5, 15, 1, 0x80, 1, b'x', 7, 9]);
    with(&[8, 5, 15, 1, 0x81, 1, b'x', 7, 9]);
    // Short records: a header of 2 bytes has no rowid for SQLite, one of 3 has.
    with(&[2, 2, 9]);
    with(&[3, 3, 15, 9]);
    with(&[4, 3, 15, 9, b'x']);
    with(&[5, 3, 15, 1, b'x', 7]);
    with(&[1, 1]);
    with(&[2, 0, 0]);
    with(&[0]);
    // More values than the index has columns.
    with(&[8, 5, 15, 1, 1, 1, b'x', 7, 9, 10]);
    // The header ends behind the record, or the values do.
    with(&[5, 9, 15, 1, 1, b'x', 7, 9]);
    with(&[5, 4, 15, 1, 6, b'x', 7, 9]);
    with(&[6, 4, 15, 6, 1, b'x', 7, 9]);
}

/// Records that continue on overflow pages, of leaves and of interior pages.
#[test]
fn overflow_pages() {
    for vacuum in ["none", "full"] {
        let mut image = Image::of(
            "i",
            512,
            0,
            &format!(
                "PRAGMA auto_vacuum = {vacuum}; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c TEXT);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)
                 INSERT INTO t SELECT i, 'row ' || i, CAST(printf('%0*d', i % 5 * 400 + 90, i) AS BLOB), i FROM n;
                 CREATE INDEX i ON t(a, b, c);"
            ),
        );
        let sqls = ["SELECT a FROM t INDEXED BY i", "SELECT c FROM t INDEXED BY i", "SELECT id FROM t INDEXED BY i"];
        for sql in sqls {
            assert_by_pages(&image, sql);
            assert_eq!(agreed_of(&image, sql), (12, None));
        }
        let agreed_all = |image: &Image| sqls.map(|sql| agreed_of(image, sql).1.is_some());
        let mut errors = 0;
        let pages = image.leaves().into_iter().chain(image.interiors()).collect::<Vec<_>>();
        let mut chains = [0; 2];
        for page in pages {
            let is_interior = image.page(page)[0] == INDEX_INTERIOR;
            let cells = image.page(page)[4];
            for cell in 0..cells.into() {
                let at = image.cell(page, cell) + 4 * usize::from(is_interior);
                let payload = usize::from(image.page(page)[at] & 0x7f) << 7 | usize::from(image.page(page)[at + 1]);
                // Short ones have a length of one byte.
                if image.page(page)[at] < 0x80 || payload <= 102 {
                    continue;
                }
                let local = 39 + (payload - 39) % 508;
                let at = at + 2 + if local <= 102 { local } else { 39 };
                let first = image.u32(page, at);
                chains[usize::from(is_interior)] += 1;
                for (page, at) in [(page, at), (first, 0)] {
                    for next in [0, 1, page, first, image.page_count(), image.page_count() + 1] {
                        let mut image = image.clone();
                        image.set_u32(page, at, next);
                        errors += agreed_all(&image).into_iter().filter(|is_error| *is_error).count();
                    }
                }
            }
        }
        assert!(errors > 20 && chains.iter().all(|chains| *chains > 0), "{errors} {chains:?}");
        // The file is shorter than the header says.
        for pages in 1..image.page_count() {
            let mut image = image.clone();
            image.set_u32(1, 28, pages);
            agreed_all(&image);
        }
    }
}

/// Cells that SQLite looks at where it is told to: one in the header of its page, one that is too short.
#[test]
fn the_size_of_cells() {
    let mut image = sound();
    let leaves = image.leaves();
    let (leaf, interior) = (leaves[leaves.len() / 2], image.interiors()[1]);
    let mut errors = 0;
    for is_on in [false, true] {
        for pointer in [2, 9, 12, 509] {
            for page in [leaf, interior] {
                let mut image = image.clone();
                let first = if page == leaf { 8 } else { 12 };
                image.set_u16(page, first + 2, pointer);
                if pointer > 500 {
                    image.page(page)[pointer..].copy_from_slice(&[2, 2, 1][..512 - pointer]);
                }
                let (_dir, path) = image.write();
                let open = || OpenOptions::new().pragma("cell_size_check", is_on).open(&path).unwrap();
                if !is_on {
                    // Near the end, SQLite would read behind the page.
                    if page == leaf || pointer < 500 {
                        agreed(open, "SELECT * FROM t");
                    }
                    continue;
                }
                // SQLite looks at all cells of a page before the first row of it.
                let (expected, error) = scan(&open(), "SELECT * FROM t", Way::Statement);
                let Some(error) = error else { panic!("{pointer} is taken") };
                errors += 1;
                for way in BY_PAGES {
                    let (found, found_error) = scan(&open(), "SELECT * FROM t", way);
                    assert_eq!(
                        found_error.as_ref().and_then(finalite::Error::code),
                        error.code(),
                        "{pointer}, {way:?}"
                    );
                    assert!(way != Way::Each || found.starts_with(&expected), "{pointer}, {way:?}");
                }
            }
        }
    }
    assert_eq!(errors, 8);
}
