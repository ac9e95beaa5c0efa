//! Damaged files: no panic, no endless loop; what SQLite reads is what the page reader reads, or it is corrupt.

use std::fs;

use finalite::scan::ScanPath;
use finalite::{Error, OpenOptions, ResultCode};

use crate::STREAM;
use crate::cell::Cell;
use crate::compare::read;
use crate::random::Random;

#[test]
fn flipped_bytes() {
    // More of them on request.
    let rounds = std::env::var("FINALITE_PAGES_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(700);
    let dir = tempfile::tempdir().unwrap();
    let (mut agreed, mut both_failed, mut stricter, mut laxer) = (0, 0, 0, 0);
    for (page_bytes, encoding) in [(512_i64, "UTF-8"), (1024, "UTF-16le"), (4096, "UTF-8")] {
        let path = dir.path().join(format!("{page_bytes}.db"));
        let conn = OpenOptions::new().pragma("page_size", page_bytes).pragma("encoding", encoding).open(&path).unwrap();
        conn.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
             INSERT INTO t SELECT i, i * i * i, i / 2.0, 'text ' || i, zeroblob(i * i % 1500) FROM n;",
        )
        .unwrap();
        conn.close().unwrap();
        let sound = fs::read(&path).unwrap();
        let mut random = Random::new(u64::try_from(page_bytes).unwrap(), STREAM);
        for round in 0..rounds {
            let mut bytes = sound.clone();
            for _ in 0..1 + random.below(6) {
                // Not the header of the file, which SQLite itself reads at the start.
                let page_bytes = usize::try_from(page_bytes).unwrap();
                let page = random.below(bytes.len() / page_bytes);
                let at = page * page_bytes + if random.one_in(2) { random.below(40) } else { random.below(page_bytes) };
                bytes[at.max(100)] = random.next().to_le_bytes()[0];
            }
            if random.one_in(10) {
                bytes.truncate(bytes.len() / 2);
            }
            let damaged = dir.path().join(format!("{round}-damaged.db"));
            fs::write(&damaged, &bytes).unwrap();
            let conn = OpenOptions::new().read_only(true).open(&damaged).unwrap();
            let scan = |path| read(conn.scan("SELECT * FROM t", ()), path);
            match (scan(ScanPath::Statement), scan(ScanPath::Pages)) {
                (Ok(expected), Ok(found)) if expected == found => agreed += 1,
                (Ok(expected), Ok(found)) => {
                    // A column that is beyond its record's end reads as SQLite likes: the rest is the same.
                    let differ = expected.iter().zip(&found).position(|(one, other)| one != other);
                    panic!("round {round}: {differ:?}, {} and {} rows", expected.len(), found.len());
                }
                (Err(_), Err(error)) => {
                    assert_corrupt(&error);
                    both_failed += 1;
                }
                (Ok(_), Err(error)) => {
                    assert_corrupt(&error);
                    assert!(error.to_string().contains("page "), "{error}");
                    stricter += 1;
                }
                (Err(_), Ok(found)) => {
                    assert!(found.iter().flatten().all(|cell| *cell != Cell::Integer(i64::MIN + 1)));
                    laxer += 1;
                }
            }
            drop(conn);
            fs::remove_file(&damaged).unwrap();
        }
    }
    println!(
        "{agreed} the same, {both_failed} corrupt for both, {stricter} for the page reader alone, {laxer} for SQLite"
    );
    assert!(agreed > 100 && both_failed > 100, "{agreed} {both_failed}");
}

fn assert_corrupt(error: &Error) {
    let is_expected = matches!(error.code(), Some(ResultCode::CORRUPT | ResultCode::NOTADB | ResultCode::ERROR));
    assert!(is_expected, "{error:?}");
}
