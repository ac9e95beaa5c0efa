//! All rows are inserted, or none.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use finalite::extend::{Access, Action};
use finalite::workspace::Insertion;
use finalite::{ErrorKind, data};

use super::*;

/// One value is twice in it, far behind.
fn twice() -> Vec<i64> {
    (0..2000).chain([7]).collect()
}

#[test]
fn an_error_undoes_the_rows_before_it() {
    for strategy in BOTH {
        let mut conn = open("CREATE TABLE t(a INTEGER UNIQUE)");
        let insert_all = |conn: &Connection, values: &[i64]| insert(conn, strategy, vec![("a", values.into())]).0;
        assert_eq!(insert_all(&conn, &twice()).unwrap_err().row(), Some(2000));
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));

        // In a transaction, what was there before stays.
        let transaction = conn.transaction().unwrap();
        transaction.execute("INSERT INTO t VALUES (-1)", ()).unwrap();
        assert_eq!(insert_all(&transaction, &twice()).unwrap_err().row(), Some(2000));
        assert!(!transaction.is_autocommit());
        assert_eq!(insert_all(&transaction, &[1, 2]).unwrap(), 2);
        transaction.commit().unwrap();
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t ORDER BY a", ()).unwrap(), [-1, 1, 2]);

        // After parts that were told.
        let options = InsertOptions::new().strategy(strategy).progress(100, |_| ControlFlow::Continue(()));
        let error = options.insert_columns(&conn, "t", [("a", (&twice()[3..]).into())]).unwrap_err();
        assert_eq!((error.row(), count(&conn)), (Some(1997), 3));
    }
}

#[test]
fn a_panic_of_the_progress_closure_undoes_them() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a)");
        let options = InsertOptions::new().strategy(strategy).progress(2, |_| panic!("on purpose"));
        let values = [1, 2, 3];
        let run = || options.insert_columns(&conn, "t", [("a", (&values).into())]);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
        assert_eq!(conn.insert_columns("t", [("a", (&values).into())]).unwrap(), 3);
    }
}

#[test]
fn an_interrupt_undoes_them() {
    let conn = open("CREATE TABLE t(a)");
    let handle = conn.interrupt_handle();
    let stop = move |a: i64| {
        if a == 1500 {
            handle.interrupt();
        }
        a
    };
    conn.create_scalar_function("stop", stop).unwrap();
    let values: Vec<i64> = (0..2000).collect();
    conn.execute_batch("DROP TABLE t; CREATE TABLE t(a CHECK (stop(a) >= 0))").unwrap();
    let (result, _) = insert(&conn, InsertStrategy::Columns, vec![("a", (&values).into())]);
    let error = result.unwrap_err();
    assert!(error.is_interrupted() && error.row().is_some_and(|row| (1500..1502).contains(&row)), "{error}");
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
}

/// The deadline has passed when the progress closure returns, so that the next part is not begun, or it is stopped.
#[test]
fn a_deadline_undoes_them() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a)");
        let values: Vec<i64> = (0..2000).collect();
        let deadline = conn.deadline(Duration::from_millis(500)).unwrap();
        let options = InsertOptions::new().strategy(strategy).progress(100, |_| {
            while deadline.remaining() > Duration::ZERO {
                std::thread::sleep(Duration::from_millis(10));
            }
            ControlFlow::Continue(())
        });
        let error = options.insert_columns(&conn, "t", [("a", (&values).into())]).unwrap_err();
        assert!(error.is_deadline() && error.row() <= Some(100), "{error}");
        drop(deadline);
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    }
    // In the middle of a statement.
    let conn = open("CREATE TABLE t(a)");
    conn.create_scalar_function("slowly", |a: i64| {
        std::thread::sleep(Duration::from_millis(1));
        a
    })
    .unwrap();
    conn.execute_batch("DROP TABLE t; CREATE TABLE t(a CHECK (slowly(a) >= 0))").unwrap();
    let deadline = conn.deadline(Duration::from_millis(200)).unwrap();
    let values = vec![0_i64; 1_000_000];
    let error = insert(&conn, InsertStrategy::Columns, vec![("a", (&values).into())]).0.unwrap_err();
    assert!(error.is_deadline() && error.row().is_some_and(|row| row > 0), "{error}");
    drop(deadline);
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
}

/// A rollback does not wait for a reader, and a commit does.
#[test]
fn undoing_does_not_wait_for_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.db");
    let conn = Connection::open(&path).unwrap();
    conn.set_busy_timeout(Duration::ZERO).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER UNIQUE); INSERT INTO t VALUES (7);").unwrap();
    let reader = Connection::open(&path).unwrap();
    let mut rows = reader.prepare("SELECT a FROM t").unwrap().into_rows(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(conn.insert_columns("t", [("a", (&twice()).into())]).unwrap_err().row(), Some(7));
    assert!(conn.is_autocommit());
    let error = conn.insert_columns("t", [("a", (&[8]).into())]).unwrap_err();
    assert!(error.is_busy() && error.row().is_none(), "{error}");
    assert!(conn.is_autocommit());
    drop(rows);
    assert_eq!((count(&conn), conn.insert_columns("t", [("a", (&[8]).into())]).unwrap()), (1, 1));
}

/// Undoing that fails must not leave rows to be committed.
#[test]
fn rows_that_cannot_be_undone_are_not_committed() {
    for strategy in BOTH {
        let mut conn = open("CREATE TABLE t(a INTEGER UNIQUE)");
        let denied = conn
            .set_authorizer(|request| match request.action {
                Action::Savepoint { operation: "ROLLBACK", .. } => Access::Deny,
                _ => Access::Allow,
            })
            .unwrap();
        let transaction = conn.transaction().unwrap();
        transaction.execute("INSERT INTO t VALUES (-1)", ()).unwrap();
        assert_eq!(insert(&transaction, strategy, vec![("a", (&twice()).into())]).0.unwrap_err().row(), Some(2000));
        assert!(transaction.execute("INSERT INTO t VALUES (-2)", ()).is_err());
        assert!(transaction.commit().is_err());
        drop(denied);
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    }
}

#[test]
fn a_deferred_constraint_fails_at_the_end() {
    for strategy in BOTH {
        let conn = open(
            "CREATE TABLE parent(id INTEGER PRIMARY KEY);
             CREATE TABLE t(a INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);",
        );
        let (result, plan) = insert(&conn, strategy, vec![("a", (&[1]).into())]);
        assert_eq!((plan.unwrap().strategy, result.unwrap_err().row()), (strategy, None));
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
        conn.execute("INSERT INTO parent VALUES (1)", ()).unwrap();
        assert_eq!(insert(&conn, strategy, vec![("a", (&[1]).into())]).0.unwrap(), 1);
    }
}

#[test]
fn a_trigger_that_rolls_back_leaves_no_transaction() {
    let conn = open(
        "CREATE TABLE t(a INTEGER);
         CREATE TRIGGER stop BEFORE INSERT ON t WHEN new.a = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END;",
    );
    let (result, _) = insert(&conn, InsertStrategy::Columns, vec![("a", (&[1, 2]).into())]);
    assert_eq!(result.unwrap_err().row(), Some(1));
    assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
}

/// A blob, and rows that are not finished, write without `BEGIN`: a transaction would be theirs, too.
#[test]
fn what_others_are_writing_is_not_undone() {
    let conn = open(
        "CREATE TABLE t(a); INSERT INTO t VALUES (0); CREATE TABLE log(n);
         CREATE TABLE file(content); INSERT INTO file VALUES (x'00000000');",
    );
    let insert_one = || conn.insert_columns("t", [("a", (&[1]).into())]);
    let check_refused = || {
        let error = insert_one().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    };
    let mut blob = conn.blob(("file", "content", 1), data::Access::ReadWrite).unwrap();
    blob.write_all(b"xx").unwrap();
    check_refused();
    blob.write_all(b"y").unwrap();
    drop(blob);
    assert_eq!(conn.query_one::<Vec<u8>>("SELECT content FROM file", ()).unwrap(), b"xxy\0");

    let mut statement = conn.prepare("INSERT INTO log VALUES (1), (2) RETURNING n").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    check_refused();
    rows.finish().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM log", ()).unwrap(), 2);

    // What only reads is in no danger.
    let blob = conn.blob(("file", "content", 1), data::Access::ReadOnly).unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_eq!(insert_one().unwrap(), 1);
    drop(blob);
    rows.finish().unwrap();
    assert_eq!((count(&conn), conn.is_autocommit()), (2, true));
}

/// The rows that follow would each be committed by itself, or be in a transaction without those before.
#[test]
fn a_progress_closure_that_ends_the_transaction_ends_the_insertion() {
    const CONFLICT: &str = "INSERT OR ROLLBACK INTO log VALUES (1)";
    for strategy in BOTH {
        for begin in ["", "BEGIN", "SAVEPOINT a"] {
            for (end, kept) in
                [("ROLLBACK", 0), ("ROLLBACK; BEGIN", 0), (CONFLICT, 0), ("COMMIT", 2), ("COMMIT; BEGIN", 2)]
            {
                for values in [&[1, 2, 3, 4, 5][..], &[1, 2]] {
                    let conn = open("CREATE TABLE t(a); CREATE TABLE log(n UNIQUE); INSERT INTO log VALUES (1)");
                    conn.execute_batch(begin).unwrap();
                    let options = InsertOptions::new().strategy(strategy).progress(2, |_| {
                        let _ = conn.execute_batch(end);
                        ControlFlow::Continue(())
                    });
                    let error = options.insert_columns(&conn, "t", [("a", values.into())]).unwrap_err();
                    assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{begin} {end}: {error}");
                    assert_eq!((error.row(), count(&conn), conn.is_autocommit()), (None, kept, true), "{begin} {end}");
                }
            }
        }
        // The guard around it.
        let conn = open("CREATE TABLE t(a)");
        let mut transaction = Some(conn.unchecked_transaction().unwrap());
        let options = InsertOptions::new().strategy(strategy).progress(2, |_| {
            transaction.take().map_or(ControlFlow::Continue(()), |transaction| {
                transaction.commit().unwrap();
                ControlFlow::Continue(())
            })
        });
        let error = options.insert_columns(&conn, "t", [("a", (&[1, 2, 3, 4, 5]).into())]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
        assert_eq!(conn.insert_columns("t", [("a", (&[1]).into())]).unwrap(), 1);
    }
}

/// Iterators of batches run code of the program in between.
#[test]
fn a_transaction_that_ends_between_two_batches_ends_the_insertion() {
    for end in ["ROLLBACK", "ROLLBACK; BEGIN"] {
        for is_last in [false, true] {
            let conn = open("CREATE TABLE t(a)");
            let mut insertion = Insertion::begin(&conn, "t", InsertOptions::new()).unwrap();
            insertion.insert_columns(&["a"], vec![(&[1, 2]).into()], 2).unwrap();
            let _ = conn.execute_batch(end);
            let result = match is_last {
                true => insertion.finish().map(drop),
                false => {
                    let result = insertion.insert_columns(&["a"], vec![(&[3]).into()], 1);
                    drop(insertion);
                    result.map_err(|failure| failure.into_error(&["a"]))
                }
            };
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
            assert_eq!((error.row(), count(&conn), conn.is_autocommit()), (None, 0, true));
        }
    }
}
