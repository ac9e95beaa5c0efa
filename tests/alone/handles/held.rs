//! What is held for long.

use std::mem::forget;
use std::time::Duration;

use finalite::Connection;
use finalite::handles::{self, HandleKind, TrackingLevel};

use super::log::Log;
use crate::runner::cases;

cases![
    what_is_held_for_long_is_warned_of_once_and_again_when_it_is_released,
    a_threshold_for_rows_is_that_of_their_statements,
];

fn texts(lines: &[String]) -> Vec<&str> {
    let text = |line: &str| {
        if line.contains("message=held for long") {
            "long"
        } else if line.contains("message=released") {
            "released"
        } else {
            panic!("{line}")
        }
    };
    lines.iter().map(|line| text(line)).collect()
}

fn what_is_held_for_long_is_warned_of_once_and_again_when_it_is_released() {
    handles::set_level(TrackingLevel::Records);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let mut conn = Connection::open_in_memory().unwrap();
        handles::set_warn_after(HandleKind::Transaction, Some(Duration::ZERO));
        handles::set_warn_after(HandleKind::Statement, Some(Duration::from_nanos(1)));
        handles::set_warn_after(HandleKind::CachedStatement, Some(Duration::ZERO));

        let (tx, line) = (conn.transaction().unwrap(), line!());
        assert_eq!(texts(&log.take_leaks()), ["long", "released"], "BEGIN, which ran from the cache");
        assert_eq!(handles::warn_overdue(), 1);
        let leaks = log.take_leaks();
        assert_eq!(texts(&leaks), ["long"]);
        let site = format!("opened_at={}:{line}:", file!());
        assert!(leaks[0].starts_with("WARN") && leaks[0].contains("kind=transaction"), "{leaks:?}");
        assert!(leaks[0].contains(&site) && leaks[0].contains(" held="), "{leaks:?}");
        assert_eq!(handles::warn_overdue(), 1, "still held");
        drop(handles::live());
        assert!(log.take_leaks().is_empty(), "told once");
        handles::set_warn_after(HandleKind::CachedStatement, None);
        tx.commit().unwrap();
        let leaks = log.take_leaks();
        assert_eq!(texts(&leaks), ["released"]);
        assert!(leaks[0].contains("kind=transaction") && leaks[0].contains(&site), "{leaks:?}");
        assert_eq!(handles::warn_overdue(), 0);

        // Nobody looked while it was held.
        drop(conn.transaction().unwrap());
        assert_eq!(texts(&log.take_leaks()), ["long", "released"]);

        // An idle statement harms nobody.
        let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
        assert_eq!(handles::warn_overdue(), 0);
        for _ in 0..2 {
            let mut rows = statement.query(()).unwrap();
            rows.next().unwrap();
            drop(handles::live());
            let leaks = log.take_leaks();
            assert_eq!(texts(&leaks), ["long"]);
            assert!(leaks[0].contains("kind=statement") && leaks[0].contains("VALUES (1), (2)"), "{leaks:?}");
            assert_eq!(handles::warn_overdue(), 1);
            assert!(log.take_leaks().is_empty());
            drop(rows);
            assert_eq!(texts(&log.take_leaks()), ["released"]);
            assert_eq!(handles::warn_overdue(), 0);
        }
        drop(statement);
        assert!(log.take_leaks().is_empty());

        // Rows that were forgotten hold on until they are found.
        let mut statement = conn.prepare("VALUES (1)").unwrap();
        forget(statement.query(()).unwrap());
        assert_eq!(handles::warn_overdue(), 1);
        assert_eq!(texts(&log.take_leaks()), ["long"]);
        forget(statement);
        handles::set_warn_after(HandleKind::Connection, Some(Duration::ZERO));
        assert_eq!(handles::warn_overdue(), 2, "the rows, and the connection");
        log.take_leaks();
        drop(conn);
        let mut leaks = log.take_leaks();
        leaks.retain(|line| !line.contains("a forgotten handle"));
        assert_eq!(texts(&leaks), ["released", "released"], "{leaks:?}");

        // Far from overdue, and turned off.
        handles::set_warn_after(HandleKind::Connection, Some(Duration::MAX));
        handles::set_warn_after(HandleKind::Savepoint, Some(Duration::from_secs(1 << 40)));
        handles::set_warn_after(HandleKind::Transaction, None);
        let mut conn = Connection::open_in_memory().unwrap();
        let mut tx = conn.transaction().unwrap();
        let savepoint = tx.savepoint().unwrap();
        assert_eq!(handles::warn_overdue(), 0);
        handles::set_warn_after(HandleKind::Savepoint, Some(Duration::ZERO));
        assert_eq!(handles::warn_overdue(), 1);
        drop(savepoint);
        drop(tx);
        drop(conn);
        assert_eq!(texts(&log.take_leaks()), ["long", "released"]);
    });
}

fn a_threshold_for_rows_is_that_of_their_statements() {
    handles::set_level(TrackingLevel::Records);
    handles::set_warn_after(HandleKind::Rows, Some(Duration::ZERO));
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT 1").unwrap();
    let _rows = statement.query(()).unwrap();
    assert_eq!(handles::warn_overdue(), 1);
}
