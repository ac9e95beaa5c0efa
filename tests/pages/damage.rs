//! Damaged files: no panic, no endless loop. What the statement reads the pages read, in every way; where it fails they
//! fail, after no other rows.

use std::fs;

use finalite::scan::ScanStrategy;
use finalite::{Error, OpenOptions, ResultCode};

use crate::STREAM;
use crate::checks::{BY_PAGES, Image, Way, scan};
use crate::common::random::Random;

/// Bytes at the end of each page: as many as a page of 512 may have.
const RESERVE: i32 = 32;

/// Files of all kinds: long rows, short ones, texts in UTF-16, a map of pages, one column beside others.
fn images() -> Vec<(&'static str, Image)> {
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
    vec![
        ("long, 512", Image::with_reserve(512, RESERVE, &long(""))),
        ("long, 1024, UTF-16", Image::with_reserve(1024, RESERVE, &long("PRAGMA encoding = 'UTF-16le';"))),
        ("long, 512, vacuum", Image::with_reserve(512, RESERVE, &long("PRAGMA auto_vacuum = full;"))),
        ("long, 4096", Image::with_reserve(4096, RESERVE, &long(""))),
        ("short, 512", Image::with_reserve(512, RESERVE, &short(""))),
        ("short, 1024, UTF-16", Image::with_reserve(1024, RESERVE, &short("PRAGMA encoding = 'UTF-16be';"))),
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

/// Damages a file where it counts.
fn damage(image: &mut Image, leaves: &[usize], random: &mut Random) {
    const INTERESTING: [u8; 12] = [0, 1, 2, 3, 5, 9, 10, 13, 127, 128, 129, 255];
    let (page_bytes, pages) = (image.page_bytes, image.page_count());
    for _ in 0..1 + random.below(4) {
        let mut number = 1 + random.below(pages);
        if random.one_in(2) {
            number = random.pick(leaves);
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
    for (name, sound) in images() {
        let mut random = Random::new(sound.bytes.len() as u64, STREAM);
        let leaves = sound.clone().leaves();
        for round in 0..rounds {
            let mut image = sound.clone();
            damage(&mut image, &leaves, &mut random);
            if (2..=image.page_count()).any(|page| image.is_beyond(page)) {
                continue;
            }
            fs::write(&path, &image.bytes).unwrap();
            let open = || OpenOptions::new().read_only(true).open(&path).unwrap();
            let sql = random.pick(&SQLS);
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
    for (number, (name, image)) in images().into_iter().enumerate() {
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
