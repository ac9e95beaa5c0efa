//! Damaged files: no panic, no endless loop. What the statement reads the pages read, in every way; where it fails they
//! fail, after no other rows.

use std::fs;

use finalite::scan::ScanStrategy;
use finalite::{Error, OpenOptions, ResultCode};

use crate::STREAM;
use crate::checks::{BY_PAGES, INDEX_INTERIOR, Image, Way, scan};
use crate::common::random::Random;

/// Bytes at the end of each page: as many as a page of 512 may have.
const RESERVE: i32 = 32;

/// Files of all kinds: long rows, short ones, texts in UTF-16, a map of pages, one column beside others.
fn images() -> Vec<(&'static str, Image, &'static [&'static str; 11])> {
    let rows =
        |rows: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
    let long = |before: &str| {
        format!(
            "{before} CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d BLOB, e TEXT);
             {} INSERT INTO t SELECT i, i * i * i, i / 2.0, 'text ' || i, CAST(printf('%0*d', iif(i % 3, i % 90, i * i % 1500), i) AS BLOB), i FROM n;",
            rows(200)
        )
    };
    let short = |before: &str| {
        format!(
            "{before} CREATE TABLE t(a, b); {0} INSERT INTO t SELECT i, 'text ' || i FROM n;
             ALTER TABLE t ADD COLUMN c DEFAULT 'later'; ALTER TABLE t ADD COLUMN d REAL DEFAULT 5; ALTER TABLE t ADD COLUMN e;
             {0} INSERT INTO t SELECT -i, i, 'c' || i, i, i FROM n WHERE i % 3 = 0;",
            rows(150)
        )
    };
    // A table without rowids, whose records are on interior pages too, and an index with all columns that are read.
    let keyed = |before: &str| {
        format!(
            "{before} CREATE TABLE t(id INTEGER, a, b REAL, c TEXT, d BLOB, PRIMARY KEY(c DESC, id)) WITHOUT ROWID;
             {0} INSERT INTO t SELECT i, i * i * i, i / 2.0, 'text ' || i || iif(i % 9, '', printf('%0*d', 700, i)),
                 zeroblob(iif(i % 3, i % 90, i * i % 1500)) FROM n;
             ALTER TABLE t ADD COLUMN e DEFAULT 'later';
             {0} INSERT INTO t SELECT -i, i, i, 'c' || i, i, i FROM n WHERE i % 3 = 0;",
            rows(150)
        )
    };
    let covered = |before: &str| format!("{} CREATE INDEX i ON t(c COLLATE NOCASE, b DESC, a);", long(before));
    let index = |page_bytes, sql: String| Image::of("i", page_bytes, RESERVE, &sql);
    let table = |page_bytes, sql: String| Image::with_reserve(page_bytes, RESERVE, &sql);
    vec![
        ("long, 512", table(512, long("")), &SQLS),
        ("long, 1024, UTF-16", table(1024, long("PRAGMA encoding = 'UTF-16le';")), &SQLS),
        ("long, 512, vacuum", table(512, long("PRAGMA auto_vacuum = full;")), &SQLS),
        ("long, 4096", table(4096, long("")), &SQLS),
        ("short, 512", table(512, short("")), &SQLS),
        ("short, 1024, UTF-16", table(1024, short("PRAGMA encoding = 'UTF-16be';")), &SQLS),
        ("keyed, 512", table(512, keyed("")), &KEYED_SQLS),
        ("keyed, 512, vacuum", table(512, keyed("PRAGMA auto_vacuum = full;")), &KEYED_SQLS),
        ("keyed, 1024, UTF-16", table(1024, keyed("PRAGMA encoding = 'UTF-16be';")), &KEYED_SQLS),
        ("covered, 512", index(512, covered("")), &COVERED_SQLS),
        ("covered, 1024, UTF-16", index(1024, covered("PRAGMA encoding = 'UTF-16le';")), &COVERED_SQLS),
    ]
}

const SQLS: [&str; 11] = [
    "SELECT * FROM t",
    "SELECT rowid FROM t",
    "SELECT c, a FROM t",
    "SELECT e FROM t",
    "SELECT d, rowid, b FROM t",
    "SELECT * FROM t WHERE a > 20 AND c IS NOT NULL",
    "SELECT a FROM t WHERE b COLLATE NOCASE > 'TEXT 3' OR d < 5",
    "SELECT rowid, b FROM t WHERE a >= 7",
    "SELECT * FROM t WHERE rowid > 30 AND rowid <= 120",
    "SELECT a FROM t WHERE rowid >= 80 AND a IN (100, 512000, 81, 729000)",
    "SELECT rowid, a FROM t WHERE b NOT IN (1, 40.5, 50, 'text 3') AND rowid < 100",
];

const KEYED_SQLS: [&str; 11] = [
    "SELECT * FROM t",
    "SELECT id FROM t",
    "SELECT c, a FROM t",
    "SELECT e FROM t",
    "SELECT d, id, b FROM t",
    "SELECT * FROM t WHERE a > 20 AND d IS NOT NULL",
    "SELECT a FROM t WHERE c COLLATE NOCASE > 'TEXT 3' OR b < 5",
    "SELECT id, b FROM t WHERE a >= 7",
    "SELECT * FROM t WHERE id > 30 AND id <= 120",
    "SELECT c FROM t WHERE a IN (27, 512000, 64, 729000)",
    "SELECT id, c FROM t WHERE c NOT IN ('c3', 'c6', 'text 40', 'text 41') AND b < 50",
];

const COVERED_SQLS: [&str; 11] = [
    "SELECT a, b, c FROM t INDEXED BY i",
    "SELECT rowid FROM t INDEXED BY i",
    "SELECT c FROM t INDEXED BY i",
    "SELECT b, id, b FROM t INDEXED BY i",
    "SELECT a, id FROM t INDEXED BY i",
    "SELECT b FROM t INDEXED BY i WHERE a > 20 AND b IS NOT NULL",
    "SELECT a FROM t INDEXED BY i WHERE c COLLATE BINARY > 'text 3' OR b < 5",
    "SELECT rowid, b FROM t INDEXED BY i WHERE a >= 7",
    "SELECT c, rowid FROM t INDEXED BY i WHERE rowid > 30 AND rowid <= 120",
    "SELECT c FROM t INDEXED BY i WHERE a IN (27, 512000, 64, 729000)",
    "SELECT rowid, a FROM t INDEXED BY i WHERE b NOT IN (1, 40.5, 50) AND rowid < 100",
];

/// Damages a file where it counts.
fn damage(image: &mut Image, of_tree: &[usize], random: &mut Random) {
    const INTERESTING: [u8; 12] = [0, 1, 2, 3, 5, 9, 10, 13, 127, 128, 129, 255];
    let (page_bytes, pages) = (image.page_bytes, image.page_count());
    for _ in 0..1 + random.below(4) {
        let mut number = 1 + random.below(pages);
        if random.one_in(2) {
            number = random.pick(of_tree);
        }
        let head = if number == 1 { 100 } else { 0 };
        let byte = if random.one_in(2) { random.pick(&INTERESTING) } else { random.next().to_le_bytes()[0] };
        let at = match random.below(6) {
            // The head of the page, and its pointers.
            0 => head + random.below(12),
            1 => head + 8 + random.below(40),
            // The beginning of a cell: lengths, rowid, the record's header.
            2..=4 => {
                let cell = image.cell(number, random.below(6)).min(page_bytes - 1);
                (cell + random.below(9)).min(page_bytes - 1)
            }
            _ => random.below(page_bytes),
        };
        // The header of the file is SQLite's own to read, and the schema.
        if number > 1 {
            image.page(number)[at] = byte;
        }
    }
}

#[test]
fn damaged_bytes() {
    // More of them on request.
    let rounds = std::env::var("FINALITE_PAGES_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.db");
    let (mut agreed, mut failed, mut refused, mut left) = (0, 0, 0, 0);
    for (name, sound, sqls) in images() {
        let mut random = Random::new(sound.bytes.len() as u64, STREAM);
        let mut of_tree = sound.clone().leaves();
        let is_index = sound.bytes[(sound.root - 1) * sound.page_bytes] == INDEX_INTERIOR;
        if is_index {
            of_tree.extend(sound.clone().interiors());
        }
        // Positive control: it is by pages that the sound file is read.
        fs::write(&path, &sound.bytes).unwrap();
        let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
        for sql in sqls {
            let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
            // The rowid is compared without a collation.
            let is_by_pages = !name.contains("UTF-16") || !sql.contains("WHERE") || sql.contains("WHERE rowid > 30");
            assert_eq!(plan.strategy == ScanStrategy::Pages, is_by_pages, "{name}, {sql}: {plan}");
            assert!(!is_by_pages || plan.reason.contains("index") == is_index, "{name}, {sql}: {plan}");
        }
        conn.close().unwrap();
        for round in 0..rounds {
            let mut image = sound.clone();
            damage(&mut image, &of_tree, &mut random);
            if (2..=image.page_count()).any(|page| image.is_beyond(page)) {
                continue;
            }
            fs::write(&path, &image.bytes).unwrap();
            let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
            let sql = random.pick(sqls);
            let context = format!("{name}, round {round}, {sql}");
            let (expected, error) = scan(&open(), sql, Way::Statement);
            let code = error.as_ref().and_then(Error::code);
            for way in BY_PAGES {
                let mut plan = None;
                let scan_of = open();
                if way == Way::Each {
                    let scan = scan_of.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it));
                    let _: Result<u64, Error> = scan.for_each(|_| Ok(()));
                    left += usize::from(plan.is_some_and(|plan| plan.strategy == ScanStrategy::Statement));
                }
                let (found, found_error) = scan(&open(), sql, way);
                let found_code = found_error.as_ref().and_then(Error::code);
                if let Some(refusal) = found_error.filter(|_| code.is_none()) {
                    // SQLite might read a page for ever, and does so up to an end here.
                    assert_eq!(refusal.code(), Some(ResultCode::CORRUPT), "{context}, {way:?}: {refusal}");
                    assert!(refusal.to_string().contains("used twice"), "{context}, {way:?}: {refusal}");
                    refused += 1;
                    continue;
                }
                assert_eq!(found_code, code, "{context}, {way:?}: {} rows, not {}", found.len(), expected.len());
                if code.is_none() || way == Way::Each {
                    assert!(found == expected, "{context}, {way:?}: {} rows, not {}", found.len(), expected.len());
                }
                *(if code.is_none() { &mut agreed } else { &mut failed }) += 1;
            }
        }
    }
    println!(
        "{agreed} the same, {failed} failed for both, {refused} for the pages alone; {left} scans were left to SQLite"
    );
    // Positive control: the damage is felt, by both.
    assert!(agreed > 500 && failed > 500 && left > 100, "{agreed} {failed} {left}");
}

/// A file that is cut in half is none that SQLite opens.
#[test]
fn half_a_file() {
    let dir = tempfile::tempdir().unwrap();
    for (number, (name, image, _)) in images().into_iter().enumerate() {
        let path = dir.path().join(format!("{number}.db"));
        fs::write(&path, &image.bytes[..image.bytes.len() / 2]).unwrap();
        let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
        for way in std::iter::once(Way::Statement).chain(BY_PAGES) {
            let (rows, error) = scan(&conn, "SELECT * FROM t", way);
            assert!(rows.is_empty(), "{name}, {way:?}");
            assert_eq!(error.and_then(|error| error.code()), Some(ResultCode::CORRUPT), "{name}, {way:?}");
        }
    }
}
