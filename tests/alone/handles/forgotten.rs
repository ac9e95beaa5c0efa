//! What was forgotten, and what is told of it.

use std::mem::forget;
use std::ptr;
use std::time::Duration;

use finalite::handles::{self, ForgottenHandle, HandleCounts, HandleKind, TrackingLevel};
use finalite::{Connection, ffi};

use super::log::Log;
use super::{foreign_statement, records};
use crate::common::panicking::Panicking;
use crate::runner::cases;

cases![
    the_forgotten_are_named_with_their_sites_whatever_the_level,
    the_last_256_forgotten_are_kept_oldest_first,
    a_connection_that_cannot_be_closed_is_named,
    the_sql_of_the_forgotten_is_cut_too,
    no_bound_value_is_shown,
    a_subscriber_that_panics_leaves_nothing_half_ended,
];

/// What was forgotten by this, with the errors that were logged of it.
fn forgotten_by(work: impl FnOnce()) -> (Vec<ForgottenHandle>, Vec<String>) {
    let before = handles::forgotten().total();
    let ((), entries) = Log::during(work);
    let count = usize::try_from(handles::forgotten().total() - before).unwrap();
    let all = handles::forgotten_handles();
    (all[all.len() - count..].to_vec(), entries.leaks)
}

fn the_forgotten_are_named_with_their_sites_whatever_the_level() {
    for level in [TrackingLevel::Counters, TrackingLevel::Records] {
        handles::set_level(level);
        let mut expected: Vec<(HandleKind, u32, Option<&str>)> = Vec::new();
        let (forgotten, log) = forgotten_by(|| {
            let mut conn = Connection::open_in_memory().unwrap();
            let mut used = conn.prepare("VALUES (1)").unwrap();
            expected.push((HandleKind::Rows, line!() - 1, Some("VALUES (1)")));
            forget(used.query(()).unwrap());
            assert_eq!(used.query_one::<i64>(()).unwrap(), 1);
            drop(used);

            let mut tx = conn.transaction().unwrap();
            let tx_line = line!() - 1;
            let mut outer = tx.savepoint().unwrap();
            let outer_line = line!() - 1;
            forget(outer.savepoint_named("inner").unwrap());
            expected.push((HandleKind::Savepoint, line!() - 1, None));
            forget(outer);
            expected.push((HandleKind::Savepoint, outer_line, None));
            forget(tx);
            expected.push((HandleKind::Transaction, tx_line, None));
            drop(conn.transaction().unwrap());

            let mut statement = conn.prepare("SELECT ?").unwrap();
            expected.push((HandleKind::Rows, line!() - 1, Some("SELECT ?")));
            expected.push((HandleKind::Statement, line!() - 2, Some("SELECT ?")));
            forget(statement.query((1,)).unwrap());
            forget(statement);
            forget(conn.prepare("SELECT 2").unwrap());
            expected.push((HandleKind::Statement, line!() - 1, Some("SELECT 2")));
            forget(conn.prepare_cached("SELECT 3").unwrap());
            expected.push((HandleKind::CachedStatement, line!() - 1, Some("SELECT 3")));
        });
        assert_eq!(forgotten.len(), expected.len(), "{forgotten:#?}");
        assert_eq!(log.len(), expected.len(), "{log:#?}");
        // The connection has finalized them in the order of their places, which is not told.
        expected.sort_unstable_by_key(|&(kind, line, _)| (line, kind.name()));
        let mut found: Vec<_> =
            forgotten.iter().map(|one| (one.kind, one.opened_at.unwrap().line(), one.sql.as_deref())).collect();
        found.sort_unstable_by_key(|&(kind, line, _)| (line, kind.name()));
        assert_eq!(found, expected);
        assert!(forgotten.iter().all(|one| one.opened_at.unwrap().file() == file!()));
        let connection = forgotten[0].connection;
        assert!(forgotten.iter().all(|one| one.connection == connection));
        for one in &forgotten {
            let site = one.opened_at.unwrap();
            let is_it = |line: &&String| {
                line.starts_with("ERROR")
                    && line.contains("message=a forgotten handle")
                    && line.contains(&format!("kind={} ", one.kind))
                    && line.contains(&format!("opened_at={site}"))
            };
            assert_eq!(log.iter().filter(is_it).count(), 1, "{one}: {log:#?}");
            assert!(one.to_string().starts_with(&format!("{} of connection {connection} opened at {site}", one.kind)));
        }
        assert!(records().is_empty());
    }
}

fn the_last_256_forgotten_are_kept_oldest_first() {
    handles::set_level(TrackingLevel::Counters);
    let before = handles::forgotten().statements;
    let conn = Connection::open_in_memory().unwrap();
    (0..300).for_each(|n| forget(conn.prepare(&format!("SELECT {n}")).unwrap()));
    drop(conn);
    assert_eq!(handles::forgotten().statements - before, 300);
    let kept: Vec<Box<str>> = handles::forgotten_handles().into_iter().map(|one| one.sql.unwrap()).collect();
    assert_eq!(kept.len(), 256);
    assert_eq!((&*kept[0], &*kept[255]), ("SELECT 44", "SELECT 299"));
}

fn a_connection_that_cannot_be_closed_is_named() {
    let mut line = 0;
    let mut left = (ptr::null_mut(), ptr::null_mut());
    let (forgotten, _) = forgotten_by(|| {
        let conn = Connection::open_in_memory().unwrap();
        line = line!() - 1;
        // SAFETY: used when finalite has given it up.
        left = (foreign_statement(&conn), unsafe { conn.as_raw() });
        drop(conn);
    });
    // SAFETY: made above, finalized once.
    unsafe { ffi::sqlite3_finalize(left.0) };
    // SAFETY: finalite has left it behind.
    unsafe { ffi::sqlite3_close(left.1) };
    let [one] = forgotten.as_slice() else { panic!("{forgotten:#?}") };
    let site = one.opened_at.unwrap();
    assert_eq!((one.kind, site.file(), site.line()), (HandleKind::Connection, file!(), line));
    // finalite never saw it close, and goes on naming it.
    let live = handles::live();
    let named: Vec<_> = live.records.iter().map(|record| (record.kind, record.opened_at.line())).collect();
    assert_eq!((named, live.unrecorded.connections), (vec![(HandleKind::Connection, line)], 0));
}

fn the_sql_of_the_forgotten_is_cut_too() {
    handles::set_level(TrackingLevel::Records);
    let (forgotten, _) = forgotten_by(|| {
        let conn = Connection::open_in_memory().unwrap();
        forget(conn.prepare(&format!("SELECT '{}'", "x".repeat(1 << 20))).unwrap());
    });
    assert!(forgotten[0].sql.as_ref().unwrap().len() <= 256);
}

fn no_bound_value_is_shown() {
    const SECRET: &str = "s3cr3t-value";
    handles::set_level(TrackingLevel::Backtraces);
    let (shown, entries) = Log::during(|| {
        handles::set_warn_after(HandleKind::Statement, Some(Duration::ZERO));
        let conn = Connection::open_in_memory().unwrap();
        let mut statement = conn.prepare("SELECT ?, ?").unwrap();
        let mut rows = statement.query((SECRET, SECRET.as_bytes())).unwrap();
        rows.next().unwrap();
        let live = handles::live();
        let mut shown = format!("{live:?} {:#?} ", live.records);
        shown.extend(live.records.iter().map(|record| format!("{record} {record:?} ")));
        forget(rows);
        forget(statement);
        let mut cached = conn.prepare_cached("SELECT ? || ''").unwrap();
        forget(cached.query((SECRET,)).unwrap());
        forget(cached);
        conn.set_pragma("key", SECRET).unwrap();
        drop(conn);
        let forgotten = handles::forgotten_handles();
        shown.extend(forgotten.iter().map(|one| format!("{one} {one:?} ")));
        shown
    });
    let all = format!("{shown} {} {:?}", entries.leaks.join(" "), entries.seen);
    assert!(all.contains("SELECT ?, ?") && all.contains("SELECT ? || ''") && all.contains("forgotten"), "{all}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!all.contains(SECRET) && !all.contains(bytes.trim_matches(['[', ']'])), "{all}");
    // In SQL it is seen: the same look, and a value that is not bound.
    let conn = Connection::open_in_memory().unwrap();
    let _statement = conn.prepare(&format!("SELECT '{SECRET}'")).unwrap();
    assert!(format!("{:?}", handles::live()).contains(SECRET));
}

/// Events that are sent while something ends.
const AT_ENDS: Panicking = Panicking(&["finalite::leak", "finalite::open"]);

fn a_subscriber_that_panics_leaves_nothing_half_ended() {
    handles::set_level(TrackingLevel::Records);
    handles::set_warn_after(HandleKind::Connection, Some(Duration::ZERO));
    handles::set_warn_after(HandleKind::Rows, Some(Duration::ZERO));
    let dir = tempfile::tempdir().unwrap();
    let forgotten = handles::forgotten();
    // It does panic: within a call that may.
    let panicked = std::panic::catch_unwind(|| {
        tracing::subscriber::with_default(AT_ENDS, || tracing::error!(target: "finalite::leak", "the control"));
    });
    assert!(panicked.is_err());
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    tracing::subscriber::with_default(AT_ENDS, move || {
        let mut reused = conn.prepare_cached("VALUES (1), (2)").unwrap();
        forget(reused.query(()).unwrap());
        assert_eq!(reused.query_all::<i64>(()).unwrap(), [1, 2]);
        drop(reused);
        let mut lost = conn.prepare("VALUES (1), (2)").unwrap();
        forget(lost.query(()).unwrap());
        forget(lost);
        forget(conn.prepare("SELECT 1").unwrap());
        drop(conn);
    });
    assert_eq!(handles::counts(), HandleCounts::default());
    assert_eq!(finalite::memory::stats().bytes, 0);
    assert!(records().is_empty());
    assert_eq!(handles::forgotten().rows - forgotten.rows, 2);
    assert_eq!(handles::forgotten().statements - forgotten.statements, 2);
    assert!(!dir.path().join("a.db-journal").exists());
}
