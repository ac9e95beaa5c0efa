//! Ranges of rowids: the first page is found by the keys of the tree, and pages behind the range are not read.

use std::cell::Cell;

use finalite::extend::{Access, Action};
use finalite::scan::{Relation, ScanPlan, ScanStrategy};
use finalite::{Connection, Error, OpenOptions, ResultCode};

use crate::STREAM;
use crate::checks::{BY_PAGES, Image, Way, agreed, scan};
use crate::common::random::Random;
use crate::compare::{self, both, read};

/// 3000 rows, whose rowids are from -1500 on, with a gap of 2 after each, on several hundred leaves.
const GAPS: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)
     INSERT INTO t SELECT 3 * i - 1500, printf('%040d', i), i % 7 FROM n;";

fn gaps() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().pragma("page_size", 512_i64).open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(GAPS).unwrap();
    (dir, conn)
}

/// Runs the SQL from pages. Returns the rowids, and the plan of the end.
fn ids(conn: &Connection, sql: &str) -> (Vec<i64>, ScanPlan) {
    let (mut ids, mut plan) = (Vec::new(), None);
    let scan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
    scan.for_each(|row| row.get(0).map(|id| ids.push(id))).unwrap();
    (ids, plan.unwrap())
}

#[test]
fn the_rows_are_those_of_the_statement() {
    let (_dir, conn) = gaps();
    for (range, rows) in [
        ("id > 0", 2499),
        ("id >= 0", 2500),
        ("id < 0", 500),
        ("id <= 0", 501),
        ("id > -1 AND id < 1", 1),
        ("id BETWEEN 299 AND 900", 201),
        ("rowid >= 6000 AND rowid <= 1e300", 500),
        ("id > 2.5 AND id <= 6.5", 2),
        ("id > -1e300 AND id < 'text'", 3000),
        ("id >= '300' AND id < 'text' AND b = 3", 343),
        ("id > 100 AND id > 200 AND b IN (1, 2, 3, 4) AND a <> 'x'", 1391),
        ("10 < id AND 4000 >= id AND b IS NOT 5", 1140),
        ("id >= -9223372036854775808 AND id < 9223372036854775807", 3000),
    ] {
        for columns in ["*", "id", "b, a"] {
            let sql = format!("SELECT {columns} FROM t WHERE {range}");
            assert_eq!(both(&conn, &sql), (true, rows), "{sql}");
        }
    }
    for (range, rows) in [
        ("id > 9223372036854775807", 0),
        ("id > 'text'", 0),
        ("id >= x'00'", 0),
        ("id < x'00'", 3000),
        ("id > NULL", 0),
        ("id > 5 AND id < 5", 0),
        ("id > 0 AND id < NULL", 0),
        ("id >= '300.0'", 2400),
        ("id > 0 ORDER BY id DESC", 2499),
        ("id = 3", 1),
        ("id IN (3, 6, 9)", 3),
        ("id > 0 LIMIT 3", 3),
        ("id > (SELECT 300)", 2399),
    ] {
        let sql = format!("SELECT id, a FROM t WHERE {range}");
        assert_eq!(both(&conn, &sql), (false, rows), "{sql}");
    }
}

/// Each place in some pages, and places between them.
#[test]
fn a_range_may_begin_and_end_anywhere() {
    let (_dir, conn) = gaps();
    let mut random = Random::new(1, STREAM);
    let anywhere: Vec<i64> = (0..40).map(|_| bound(&mut random)).collect();
    for first in (-1510..-1400).chain([-1501, 7490, 7495, 7497, 7500]).chain(anywhere) {
        let last = first + i64::try_from(random.below(700)).unwrap();
        let sql = format!("SELECT id, b FROM t WHERE id > {first} AND id <= {last}");
        let expected: Vec<i64> = (0..3000).map(|i| 3 * i - 1500).filter(|id| (first + 1..=last).contains(id)).collect();
        let (found, plan) = ids(&conn, &sql);
        assert_eq!(found, expected, "{sql}");
        let is_pages = plan.strategy == ScanStrategy::Pages;
        assert!(is_pages || expected.is_empty(), "{sql}: {plan}");
        let columns = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).threads(3).columns().unwrap();
        assert_eq!(columns.column(0).unwrap().as_i64().unwrap(), expected, "{sql}");
    }
}

fn bound(random: &mut Random) -> i64 {
    i64::try_from(random.below(9100)).unwrap() - 1550
}

/// Damaged pages that are not of the range do not matter. Positive control: they do in a range that has them.
#[test]
fn pages_outside_of_the_range_are_not_read() {
    let mut image = Image::new(512, GAPS);
    let leaves = image.leaves();
    let (before, after) = leaves.split_at(leaves.len() / 2);
    for leaf in before.iter().take(before.len() - 12).chain(after.iter().skip(12)) {
        image.page(*leaf).fill(0xff);
    }
    let (_dir, path) = image.write();
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    for condition in ["", " AND b < 100"] {
        let sql = |first, last| format!("SELECT id, a FROM t WHERE id >= {first} AND id <= {last}{condition}");
        let (found, plan) = ids(&conn, &sql(2970, 3030));
        assert_eq!(found, (2970..=3030).step_by(3).collect::<Vec<_>>());
        assert_eq!(plan.strategy, ScanStrategy::Pages, "{plan}");
        for threads in [1, 3] {
            let scan = |sql: &str| conn.scan(sql, ()).strategy(ScanStrategy::Pages).threads(threads).columns();
            assert_eq!(scan(&sql(2970, 3030)).unwrap().len(), 21);
            for (first, last) in [(2970, 6000), (0, 3030)] {
                assert_eq!(scan(&sql(first, last)).unwrap_err().code(), Some(ResultCode::CORRUPT));
            }
        }
    }
}

/// SQLite looks for the first row by halves, and ends at the first row behind the range.
#[test]
fn keys_and_rowids_that_are_out_of_order() {
    const SQLS: [&str; 4] = [
        "SELECT id, b FROM t WHERE id > 1000 AND id <= 4000",
        "SELECT * FROM t WHERE id BETWEEN 3001 AND 3100 AND b <> 3",
        "SELECT id FROM t WHERE id < 2000",
        "SELECT a FROM t WHERE id >= 2500",
    ];
    let sound = Image::new(512, GAPS);
    let (leaves, interiors) = (sound.clone().leaves(), sound.clone().interiors());
    let mut random = Random::new(2, STREAM);
    let (mut agreeing, mut left) = (0, 0);
    for round in 0..120 {
        let mut image = sound.clone();
        let (page, pointers) = match round % 3 {
            0 => (random.pick(&interiors), 12),
            1 => (random.pick(&leaves[leaves.len() / 3..leaves.len() / 2]), 8),
            _ => (random.pick(&leaves), 8),
        };
        let cells = image.u16(page, 3);
        for _ in 0..1 + random.below(3) {
            let (one, other) = (pointers + 2 * random.below(cells), pointers + 2 * random.below(cells));
            for byte in 0..2 {
                image.page(page).swap(one + byte, other + byte);
            }
        }
        let (_dir, path) = image.write();
        let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
        for sql in SQLS {
            agreed(open, sql);
            agreeing += 1;
            left += usize::from(ids_of(&open(), sql).strategy == ScanStrategy::Statement);
        }
    }
    // Positive control: some are left to SQLite, and others are read all the same.
    assert!(left > 20 && agreeing - left > 20, "{left} of {agreeing}");
}

/// A search of SQLite goes to the left of a key that it finds above the leaves, whether the row is there or not.
#[test]
fn bounds_at_the_keys_above_the_leaves() {
    let sound = Image::new(512, GAPS);
    let mut compared = 0;
    for page in sound.clone().interiors() {
        let mut image = sound.clone();
        let cells = image.u16(page, 3);
        for cell in (0..cells).step_by(7) {
            let mut image = sound.clone();
            // The number of a page, and a key of two bytes, which is made smaller by one than the last row.
            let key = image.u16(page, 12 + 2 * cell) + 4;
            let [high, low] = [image.page(page)[key], image.page(page)[key + 1]];
            if high < 0x80 || !(1..0x80).contains(&low) {
                continue;
            }
            image.page(page)[key + 1] -= 1;
            let key = i64::from(high & 0x7f) << 7 | i64::from(low - 1);
            let (_dir, path) = image.write();
            let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
            for bound in [
                format!("> {key}"),
                format!(">= {key}"),
                format!(">= {key}.5"),
                format!("> {key}.5"),
                format!("> {}", key + 1),
                format!("> {}.5 AND id < {}", key - 1, key + 400),
                format!(">= {} AND b IN (1, 2, 3)", key + 1),
            ] {
                agreed(open, &format!("SELECT id, a FROM t WHERE id {bound}"));
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

/// A search reads rows by halves, and the length of a payload in another way than the rows are read.
#[test]
fn searches_that_find_another_row() {
    let sound = Image::new(512, GAPS);
    let leaves = sound.clone().leaves();
    let agree = |image: Image, range: &str| {
        let (_dir, path) = image.write();
        let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
        let sql = format!("SELECT id FROM t WHERE {range}");
        agreed(open, &sql);
        ids_of(&open(), &sql).strategy
    };
    // The least rowid anywhere on the first leaf.
    for cell in 0..5 {
        let mut image = sound.clone();
        let rowid = image.cell(leaves[0], cell) + 1;
        image.page(leaves[0])[rowid..rowid + 9].copy_from_slice(&[0xc0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]);
        for range in ["id >= -9223372036854775808", "id > -1e300", "id >= -1e300 AND b < 5", "id > -2000"] {
            agree(image.clone(), range);
        }
    }
    // A length of nine bytes, the last of which has a high bit.
    let leaf = leaves[leaves.len() / 2];
    let mut is_left = false;
    for cell in 1..5 {
        let mut image = sound.clone();
        let at = image.cell(leaf, cell);
        let rowid = [image.page(leaf)[at + 1], image.page(leaf)[at + 2]];
        let record = [[0x80; 8].as_slice(), &[0x84], &rowid, &[3, 0, 15, 0x61]].concat();
        image.page(leaf)[at..at + record.len()].copy_from_slice(&record);
        let id = i64::from(rowid[0] & 0x7f) << 7 | i64::from(rowid[1]);
        for distance in -9..9 {
            let strategy = agree(image.clone(), &format!("id >= {} AND id < {}", id + distance, id + 60));
            is_left |= strategy == ScanStrategy::Statement;
        }
    }
    assert!(is_left);
}

fn ids_of(conn: &Connection, sql: &str) -> ScanPlan {
    let mut plan = None;
    let scan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
    let _: Result<u64, Error> = scan.for_each(|_| Ok(()));
    plan.unwrap()
}

/// Damage at random, for which ranges are compared with the statement.
#[test]
fn damaged_bytes_in_a_range() {
    let sound = Image::with_reserve(512, 32, GAPS);
    let pages: Vec<usize> = sound.clone().leaves().into_iter().chain(sound.clone().interiors()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.db");
    let mut random = Random::new(3, STREAM);
    let (mut fine, mut failed) = (0, 0);
    for _ in 0..150 {
        let mut image = sound.clone();
        let page = random.pick(&pages);
        for _ in 0..1 + random.below(3) {
            let most = random.pick(&[60, 512]);
            let at = random.below(most);
            image.page(page)[at] = random.next().to_le_bytes()[0];
        }
        if image.is_beyond(page) {
            continue;
        }
        std::fs::write(&path, &image.bytes).unwrap();
        let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
        let first = bound(&mut random);
        for sql in [
            format!("SELECT * FROM t WHERE id >= {first} AND id < {}", first + 2500),
            format!("SELECT id, b FROM t WHERE id > {first} AND b IN (1, 3, 5)"),
            format!("SELECT id FROM t WHERE id <= {first}"),
        ] {
            let (expected, error) = scan(&open(), &sql, Way::Statement);
            let code = error.as_ref().and_then(Error::code);
            *(if code.is_some() { &mut failed } else { &mut fine }) += 1;
            for way in BY_PAGES {
                let (found, found_error) = scan(&open(), &sql, way);
                if code.is_none() && found_error.as_ref().is_some_and(|error| error.to_string().contains("used twice"))
                {
                    continue;
                }
                assert_eq!(found_error.as_ref().and_then(Error::code), code, "{way:?}, {sql}: {found_error:?}");
                assert!(found == expected || code.is_some() && way != Way::Each, "{way:?}, {sql}: {}", found.len());
            }
        }
    }
    assert!(fine > 100 && failed > 20, "{fine} {failed}");
}

/// A closure that writes: the remaining rows are those up to the end of the range.
#[test]
fn a_write_leaves_the_rest_of_the_range_to_sqlite() {
    for condition in ["", " AND b IN (0, 1, 2, 3, 4, 5, 6)", " AND b NOT IN (7, 8, 9)"] {
        let (_dir, conn) = gaps();
        let sql = format!("SELECT id, a FROM t WHERE id > 600 AND id <= 6000{condition}");
        let (mut seen, mut plan) = (Vec::new(), None);
        let scan = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
        scan.for_each(|row| {
            seen.push(row.get::<i64>(0)?);
            if seen.len() == 300 {
                conn.execute("UPDATE t SET a = a || '!' WHERE id % 2 = 0", ())?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
        assert_eq!(seen, (603..=6000).step_by(3).collect::<Vec<_>>(), "{condition}");
        assert_eq!(plan.unwrap().reason, "the connection wrote while its pages were read");
    }
}

/// Columns that were added later: their defaults are asked for by the number of the row in the range.
#[test]
fn short_records_in_a_range() {
    let (_dir, conn) = gaps();
    conn.execute_batch("ALTER TABLE t ADD COLUMN c TEXT DEFAULT 'later'; UPDATE t SET c = 'now' WHERE id % 2 = 0")
        .unwrap();
    for sql in [
        "SELECT id, c FROM t WHERE id > 303",
        "SELECT c FROM t WHERE id BETWEEN 301 AND 4000 AND c = 'later'",
        "SELECT * FROM t WHERE id < 600 AND c IN ('later', 'now', 'x')",
    ] {
        assert!(both(&conn, sql).0, "{sql}");
    }
    let scan = || conn.scan_table("t").select(["c"]).filter("id", Relation::Greater, 303);
    let mut plan = None;
    let found = scan().on_end(|end| plan = Some(end)).columns().unwrap();
    assert_eq!(plan.unwrap().strategy, ScanStrategy::Pages);
    assert_eq!(found.column(0).unwrap().as_str().unwrap().iter().filter(|c| *c == Some("later")).count(), 1199);
}

/// Rows by their keys, and ranges of a few rows: once that is known, SQLite is no longer asked for the program.
#[test]
fn small_ranges_are_left_to_the_statement() {
    let (_dir, conn) = gaps();
    let prepared = std::rc::Rc::new(Cell::new(0_usize));
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let _authorizer = conn
        .set_authorizer(move |access| {
            if matches!(access.action, Action::Select) {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Access::Allow
        })
        .unwrap();
    // The number of statements that SQLite prepares for a scan of rows from one rowid to another.
    let scan = |relation, first: i64, last: i64| {
        let before = count.load(std::sync::atomic::Ordering::Relaxed);
        let scan = conn.scan_table("t").select(["id", "b"]).filter("id", relation, first);
        let scan = match relation {
            Relation::Equal => scan,
            _ => scan.filter("id", Relation::Less, last),
        };
        let mut plan = None;
        let rows = scan.on_end(|end| plan = Some(end)).columns().unwrap().len();
        prepared.set(count.load(std::sync::atomic::Ordering::Relaxed) - before);
        (rows, plan.unwrap().strategy)
    };
    for (at, first) in (0..20).map(|n| 30 * n).enumerate() {
        assert_eq!(scan(Relation::Equal, first, 0), (1, ScanStrategy::Statement));
        // A statement is kept from its second use on, and with it what is known of it.
        assert_eq!(prepared.get(), [2, 2, 1, 0][at.min(3)], "{at}");
    }
    for (at, first) in (0..20).map(|n| 30 * n).enumerate() {
        assert_eq!(scan(Relation::GreaterOrEqual, first, first + 30), (10, ScanStrategy::Statement));
        assert_eq!(prepared.get(), [2, 2, 0][at.min(2)], "{at}");
    }
    // Positive control: a large one is seen to be one, by the number of its rows, and the next one is read from pages.
    assert_eq!(scan(Relation::GreaterOrEqual, 0, 3000), (1000, ScanStrategy::Statement));
    assert_eq!(scan(Relation::GreaterOrEqual, 3, 3000), (999, ScanStrategy::Pages));
    assert!(prepared.get() > 0);
    // A range of many rowids and few rows.
    conn.execute_batch("DELETE FROM t WHERE id BETWEEN 1000 AND 5000").unwrap();
    assert_eq!(scan(Relation::GreaterOrEqual, 980, 5010), (10, ScanStrategy::Statement));
    assert_eq!(scan(Relation::GreaterOrEqual, 7400, 10_000), (33, ScanStrategy::Statement));
}

/// A large range of which few rows are wanted, after a small one, and ranges that begin anywhere on a leaf.
#[test]
fn a_large_range_is_read_from_pages() {
    let (_dir, conn) = gaps();
    let scan = |first: i64, last: i64, b: Option<i64>| {
        let scan = conn.scan_table("t").select(["a"]).filter("id", Relation::GreaterOrEqual, first);
        let scan = scan.filter("id", Relation::Less, last);
        let mut plan = None;
        let scan = if let Some(b) = b { scan.filter("b", Relation::Equal, b) } else { scan };
        scan.on_end(|end| plan = Some(end)).columns().unwrap();
        plan.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(scan(0, 60, Some(3)).strategy, ScanStrategy::Statement);
        assert_eq!(scan(0, 5000, Some(9)).strategy, ScanStrategy::Pages);
    }
    for first in 3000..3060 {
        let (_dir, conn) = gaps();
        let scan = conn.scan_table("t").select(["a"]).filter("id", Relation::Greater, first);
        let plan = scan.filter("id", Relation::Less, first + 3000).plan().unwrap();
        assert_eq!(plan.strategy, ScanStrategy::Pages, "{first}");
    }
    assert_eq!(scan(0, 60, None).reason, "the range of rowids is small: SQLite is as fast");
    assert_eq!(scan(3, 63, None).reason, "the range of rowids is small: SQLite is as fast");
}

#[test]
fn filters_are_bounds() {
    let (_dir, conn) = gaps();
    for (relation, operator) in [
        (Relation::Less, "<"),
        (Relation::LessOrEqual, "<="),
        (Relation::Greater, ">"),
        (Relation::GreaterOrEqual, ">="),
    ] {
        for value in [
            finalite::Value::from(300),
            300.5.into(),
            "300".into(),
            "text".into(),
            vec![1_u8].into(),
            finalite::Value::Null,
        ] {
            let sql = format!("SELECT id, a FROM t WHERE id {operator} ? AND b = 1");
            let expected = compare::read_all(conn.scan(&sql, (value.clone(),))).unwrap();
            let scan = || {
                let scan = conn.scan_table("t").select(["id", "a"]).filter("id", relation, value.clone());
                scan.filter("b", Relation::Equal, 1)
            };
            let found = read(scan(), ScanStrategy::Pages).unwrap();
            compare::assert_same(&expected, &found, &sql);
            let strategy = scan().strategy(ScanStrategy::Pages).plan().unwrap().strategy;
            assert!(strategy == ScanStrategy::Pages || expected.is_empty(), "{operator}");
        }
    }
}
