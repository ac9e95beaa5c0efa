//! What a pool leaves on disk when its last connection is closed.

use super::*;

#[cfg(target_os = "linux")]
use crate::common::system::{EMFILE, with_failing_opens};

fn has_log(db: &Database) -> bool {
    db.path.with_extension("db-wal").exists()
}

/// Whether a copy of the database file alone has all the rows.
fn is_whole(db: &Database, expected: i64) -> bool {
    let copy = db.path.with_extension("copy");
    std::fs::copy(&db.path, &copy).unwrap();
    let conn = OpenOptions::new().read_only(true).open(&copy).unwrap();
    let count = conn.query_one::<i64>("SELECT count(*) FROM t", ());
    count.is_ok_and(|count| count == expected)
}

fn insert(pool: &Pool) {
    pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES ('x')", ())).unwrap();
}

/// One that may only read leaves what is in the log there.
#[test]
fn the_control_a_reader_that_closes_last_leaves_the_log() -> Outcome {
    let db = Database::new();
    let conn = OpenOptions::recommended().open(&db.path)?;
    let reader = OpenOptions::new().read_only(true).open(&db.path)?;
    conn.execute("INSERT INTO t(b) VALUES ('x')", ())?;
    assert_eq!(rows(&reader), 1);
    conn.close()?;
    reader.close()?;
    assert!(has_log(&db) && !is_whole(&db, 1));
    Ok(())
}

#[test]
fn a_reader_that_comes_back_last_leaves_no_log() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(2).build()?);
    insert(&pool);
    let (owned, lent) = (pool.reader_owned()?, pool.reader()?);
    assert_eq!((rows(&owned), rows(&lent)), (1, 1));
    let report = pool.shut_down();
    assert_eq!((report.checked_out().len(), report.closed()), (2, 1));
    drop(lent);
    assert!(!db.is_closed() && has_log(&db));
    drop(owned);
    assert!(db.is_closed() && !has_log(&db));
    assert!(is_whole(&db, 1));
    assert!(pool.shut_down().is_clean());
    Ok(())
}

/// Whoever is the last, in whichever order they come back.
#[test]
fn no_order_of_coming_back_leaves_a_log() -> Outcome {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in ORDERS {
        let db = Database::new();
        let pool = Arc::new(db.pool().readers(1).reserved(1).build()?);
        insert(&pool);
        let mut out = [Some(pool.reader_owned()?), Some(pool.writer_owned()?), Some(pool.reserve_owned()?)];
        for conn in out.iter().flatten() {
            assert_eq!(rows(conn), 1);
        }
        let _ = pool.shut_down();
        for which in order {
            assert!(has_log(&db), "{order:?}");
            out[which] = None;
        }
        assert!(db.is_closed() && !has_log(&db) && is_whole(&db, 1), "{order:?}");
    }
    Ok(())
}

/// Connections that are closed at the same moment leave the log to one another.
#[test]
fn connections_that_come_back_together_leave_no_log() -> Outcome {
    let db = Database::new();
    for turn in 1..300 {
        let pool = Arc::new(db.pool().readers(2).reserved(2).build()?);
        insert(&pool);
        let out = match turn % 3 {
            0 => vec![pool.reader_owned()?, pool.reader_owned()?],
            1 => vec![pool.writer_owned()?, pool.reserve_owned()?, pool.reserve_owned()?],
            _ => vec![pool.writer_owned()?, pool.reader_owned()?, pool.reserve_owned()?],
        };
        let go = Barrier::new(out.len() + 1);
        thread::scope(|scope| {
            for conn in out {
                let go = &go;
                scope.spawn(move || {
                    assert_eq!(rows(&conn), turn);
                    go.wait();
                    drop(conn);
                });
            }
            go.wait();
            let _ = pool.shut_down();
        });
        assert!(db.is_closed(), "{turn}");
        assert!(!has_log(&db), "{turn}");
    }
    assert!(is_whole(&db, 299));
    Ok(())
}

/// A writer that was destroyed, and not asked for again, is no last one.
#[test]
fn a_pool_without_its_writer_leaves_no_log() -> Outcome {
    let ends: [&dyn Fn(Pool); 3] =
        [&|pool| assert!(pool.close().is_clean()), &|pool| drop(pool), &|pool| assert!(pool.shut_down().is_clean())];
    for end in ends {
        let db = Database::new();
        let pool = db.pool().build()?;
        insert(&pool);
        assert_eq!(rows(&*pool.reader()?), 1);
        destroy_writer(&pool);
        assert!(has_log(&db));
        end(pool);
        assert!(db.is_closed() && !has_log(&db) && is_whole(&db, 1));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_has_to_stay_is_reported() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    insert(&pool);
    assert_eq!(rows(&*pool.reader()?), 1);
    destroy_writer(&pool);
    let report = with_failing_opens(EMFILE, || pool.close());
    assert!(!report.is_clean() && has_log(&db) && report.failures().is_empty());
    assert!(matches!(report.log_left().unwrap().kind(), ErrorKind::OpenedReadOnly));
    assert!(report.to_string().contains("the write-ahead log remains beside the database"), "{report}");
    Ok(())
}

/// Who asked to read only has nothing written.
#[test]
fn a_pool_that_reads_only_leaves_the_log_alone() -> Outcome {
    let db = Database::new();
    let conn = OpenOptions::recommended().open(&db.path)?;
    let pool = db.pool().options(quick().read_only(true)).build()?;
    conn.execute("INSERT INTO t(b) VALUES ('x')", ())?;
    assert_eq!((rows(&*pool.reader()?), rows(&*pool.writer()?)), (1, 1));
    conn.close()?;
    assert!(pool.close().is_clean());
    assert!(db.is_closed() && has_log(&db));
    Ok(())
}
