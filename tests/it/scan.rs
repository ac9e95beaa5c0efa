//! Scans: how they end, what the closures may do, what the policies say, and how a batch prints. What they read is
//! compared with the C library in a binary of its own (`tests/scan`).

mod partitions;
mod summary;
mod values;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use finalite::scan::{ColumnBuffer, ColumnType, Offsets, OnTypeMismatch, ScanStrategy};
use finalite::{
    ColumnBatch, Connection, Error, ErrorKind, LeakCheck, OpenOptions, Result, Type, ValueRef, named_params, params,
    params_from_iter,
};

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    fill(&conn);
    conn
}

fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
         INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four'), (5, 'five');
         CREATE TABLE log(a);",
    )
    .unwrap();
}

/// Runs this on a connection of its own, which works on afterwards, and of which nothing is left.
fn check(run: impl FnOnce(&Connection)) {
    let conn = database();
    let leaks = LeakCheck::for_connection(&conn);
    run(&conn);
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_one::<i64>("SELECT 7", ()).unwrap(), 7);
    assert_eq!(conn.scan("SELECT 8", ()).columns().unwrap().value(0, 0), Some(ValueRef::Integer(8)));
    // A statement that still ran would keep its table.
    conn.execute("DROP TABLE t", ()).unwrap();
    conn.close().unwrap();
    drop(leaks);
}

/// The ways to read all of a scan, each by its own call; the error comes from where `fail` is asked.
type Way = fn(&Connection, &str, &mut dyn FnMut(usize) -> Result<()>) -> Result<()>;

const WAYS: [(&str, Way); 5] = [
    ("for_each", |conn, sql, fail| {
        let mut rows = 0;
        conn.scan(sql, ())
            .for_each(|_| {
                rows += 1;
                fail(rows)
            })
            .map(drop)
    }),
    ("try_for_each", |conn, sql, fail| {
        let mut rows = 0;
        let result = conn.scan(sql, ()).try_for_each(|_| {
            rows += 1;
            fail(rows).map(ControlFlow::<()>::Continue)
        });
        result.map(drop)
    }),
    ("batches", |conn, sql, fail| {
        let mut rows = 0;
        conn.scan(sql, ())
            .batches(1, |batch| {
                rows += batch.len();
                fail(rows)
            })
            .map(drop)
    }),
    ("for_each, in its progress", |conn, sql, fail| {
        let error = RefCell::new(Ok(()));
        let scan = conn.scan(sql, ()).progress(1, |rows| {
            *error.borrow_mut() = fail(usize::try_from(rows).unwrap());
            if error.borrow().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        scan.for_each(|_| Ok::<_, Error>(()))?;
        error.into_inner()
    }),
    ("columns, in its progress", |conn, sql, fail| {
        let error = RefCell::new(Ok(()));
        let scan = conn.scan(sql, ()).progress(1, |rows| {
            *error.borrow_mut() = fail(usize::try_from(rows).unwrap());
            if error.borrow().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        scan.columns()?;
        error.into_inner()
    }),
];

#[test]
fn an_error_of_the_closure_ends_the_scan() {
    for (name, way) in WAYS {
        for stop in 1..=5 {
            check(|conn| {
                let mut calls = 0;
                let error = way(conn, "SELECT a FROM t", &mut |rows| {
                    calls += 1;
                    if rows == stop { Err(Error::external("enough")) } else { Ok(()) }
                })
                .unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::External(_)), "{name}: {error:?}");
                assert_eq!(calls, stop, "{name}");
            });
        }
    }
}

#[test]
fn errors_are_of_the_callers_type() {
    #[derive(Debug)]
    enum Mine {
        Stop(i64),
        Sqlite(Error),
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Self::Sqlite(error)
        }
    }
    check(|conn| {
        let result = conn.scan("SELECT a FROM t", ()).with_error().for_each(|row| Err(Mine::Stop(row.get(0)?)));
        assert!(matches!(result, Err(Mine::Stop(1))), "{result:?}");
        let result = conn.scan("SELECT b FROM t", ()).with_error().for_each(|row| Err(Mine::Stop(row.get(0)?)));
        assert!(matches!(&result, Err(Mine::Sqlite(error)) if error.sql() == Some("SELECT b FROM t")), "{result:?}");
        let result = conn.scan("no SQL", ()).with_error().batches(2, |_| Err(Mine::Stop(2)));
        assert!(matches!(result, Err(Mine::Sqlite(_))), "{result:?}");
        let result =
            conn.scan("SELECT a FROM t", ()).with_error().batches(2, |batch| Err(Mine::Stop(batch.len() as i64)));
        assert!(matches!(result, Err(Mine::Stop(2))), "{result:?}");
    });
}

#[test]
fn a_panic_of_the_closure_ends_the_scan() {
    for (name, way) in WAYS {
        for stop in 1..=5 {
            check(|conn| {
                let mut calls = 0;
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    way(conn, "SELECT a, b FROM t ORDER BY b", &mut |rows| {
                        calls += 1;
                        assert!(rows != stop, "at {stop}");
                        Ok(())
                    })
                }));
                assert_eq!(panic.unwrap_err().downcast_ref::<String>(), Some(&format!("at {stop}")), "{name}");
                assert_eq!(calls, stop, "{name}");
            });
        }
    }
}

#[test]
fn an_interrupt_ends_the_scan() {
    for (name, way) in WAYS {
        check(|conn| {
            let mut calls = 0;
            let error = way(conn, NUMBERS, &mut |rows| {
                calls += 1;
                assert!(rows != 3 || conn.interrupt_handle().interrupt());
                Ok(())
            })
            .unwrap_err();
            assert!(error.is_interrupted(), "{name}: {error:?}");
            assert_eq!(calls, 3, "{name}");
        });
        check(|conn| {
            let handle = conn.interrupt_handle();
            let (send, receive) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                receive.recv().unwrap();
                handle.interrupt()
            });
            // Without end but for the interrupt; progress is slower, and reads no more than it needs.
            let error = way(conn, NUMBERS, &mut |rows| {
                if rows == 3 {
                    send.send(()).unwrap();
                }
                Ok(())
            })
            .unwrap_err();
            assert!(error.is_interrupted(), "{name}: {error:?}");
            assert!(thread.join().unwrap());
        });
    }
}

#[test]
fn the_closure_runs_other_statements() {
    for (name, way) in WAYS {
        check(|conn| {
            let sql = "SELECT a, b FROM t ORDER BY a";
            way(conn, sql, &mut |rows| {
                // The same SQL too: another statement is prepared for it.
                let inner = conn.scan(sql, ()).columns()?;
                assert_eq!(inner.column("a")?.as_i64()?, [1, 2, 3, 4, 5]);
                assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 5);
                conn.clear_statement_cache();
                conn.execute("INSERT INTO log VALUES (?)", (rows as i64,)).map(drop)
            })
            .unwrap();
            let logged = conn.scan("SELECT a FROM log", ()).columns().unwrap();
            assert_eq!(logged.column(0).unwrap().as_i64().unwrap(), [1, 2, 3, 4, 5], "{name}");
        });
    }
}

#[test]
fn a_scan_within_a_scan_within_a_scan() {
    check(|conn| {
        let mut triples = Vec::new();
        let sql = "SELECT a FROM t WHERE a > ? ORDER BY a";
        let read = |row: finalite::Row<'_>| row.get::<i64>(0);
        conn.scan(sql, (0,))
            .for_each(|row| {
                let a = read(row)?;
                conn.scan(sql, (a,)).for_each(|row| {
                    let b = read(row)?;
                    conn.scan(sql, (b,)).for_each(|row| {
                        triples.push((a, b, read(row)?));
                        Ok::<_, Error>(())
                    })?;
                    assert_eq!(read(row)?, b);
                    Ok::<_, Error>(())
                })?;
                assert_eq!(read(row)?, a);
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(triples.len(), 10);
        assert_eq!((triples[0], triples[9]), ((1, 2, 3), (3, 4, 5)));
    });
}

#[test]
fn a_row_stays_while_the_closure_changes_its_table() {
    for encoding in ["UTF-8", "UTF-16le"] {
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c);
             INSERT INTO t VALUES (1, 'short', x'01'), (2, printf('%.9000c', 'ü'), zeroblob(9000)), (3, 'x', x'03');",
        )
        .unwrap();
        let mut seen = 0;
        conn.scan("SELECT b, c, zeroblob(100) FROM t", ())
            .for_each(|row| {
                let (text, blob, zeros) = (row.value(0)?, row.value(1)?, row.value(2)?);
                let before = (text.as_str().unwrap().to_owned(), blob.as_bytes().unwrap().to_owned());
                conn.execute("UPDATE t SET b = printf('%.5000c', 'z'), c = randomblob(7000)", ())?;
                conn.execute("DELETE FROM t WHERE a = 1", ())?;
                conn.scan("SELECT b, c FROM t", ()).columns()?;
                assert_eq!((text.as_str().unwrap(), blob.as_bytes().unwrap()), (&*before.0, &*before.1));
                assert_eq!(zeros, ValueRef::Blob(&[0; 100]));
                seen += 1;
                Ok::<_, Error>(())
            })
            .unwrap();
        assert!(seen >= 1);
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE length(b) = 5000", ()).unwrap(), 2);
    }
}

#[test]
fn the_closure_may_not_pull_the_table_away() {
    for (_, way) in WAYS {
        check(|conn| {
            way(conn, "SELECT a FROM t", &mut |_| {
                let error = conn.execute("DROP TABLE t", ()).unwrap_err();
                assert_eq!(error.code_name(), Some("SQLITE_LOCKED"), "{error:?}");
                Ok(())
            })
            .unwrap();
        });
    }
}

#[test]
fn a_rollback_within_the_closure_is_an_error_of_the_scan() {
    for (name, way) in WAYS {
        check(|conn| {
            conn.execute("BEGIN", ()).unwrap();
            conn.execute("CREATE TABLE here_only(a)", ()).unwrap();
            let error = way(conn, "SELECT a FROM t", &mut |rows| {
                if rows == 2 { conn.execute("ROLLBACK", ()).map(drop) } else { Ok(()) }
            })
            .unwrap_err();
            assert_eq!(error.code_name(), Some("SQLITE_ABORT_ROLLBACK"), "{name}: {error:?}");
        });
        check(|conn| {
            conn.execute("BEGIN", ()).unwrap();
            let mut calls = 0;
            way(conn, "SELECT a FROM t", &mut |rows| {
                calls += 1;
                if rows == 2 { conn.execute("COMMIT", ()).map(drop) } else { Ok(()) }
            })
            .unwrap();
            assert_eq!(calls, 5, "{name}: a commit is none of its business");
        });
    }
}

#[test]
fn a_statement_without_columns_is_run() {
    check(|conn| {
        assert_eq!(conn.scan("INSERT INTO log VALUES (1)", ()).for_each(|_| Err(Error::external("a row"))).unwrap(), 0);
        let found =
            conn.scan("INSERT INTO log VALUES (2)", ()).try_for_each(|_| Ok::<_, Error>(ControlFlow::Break(())));
        assert_eq!(found.unwrap(), None);
        let rows = conn.scan("INSERT INTO log VALUES (3)", ()).batches(9, |_| Err(Error::external("a batch")));
        assert_eq!(rows.unwrap(), 0);
        let batch = conn.scan("INSERT INTO log VALUES (4)", ()).schema([]).columns().unwrap();
        assert_eq!((batch.len(), batch.columns().len(), batch.first_row()), (0, 0, 0));
        assert_eq!(batch.to_string().trim(), "");
        let error = conn.scan("INSERT INTO log VALUES (5)", ()).schema([ColumnType::Text]).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 1, found: 0, .. }), "{error:?}");
        assert_eq!(conn.query_all::<i64>("SELECT a FROM log", ()).unwrap(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_result_without_rows_has_its_columns() {
    check(|conn| {
        let batch = conn.scan("SELECT a, b AS c, 1 FROM t WHERE 0", ()).columns().unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|column| (column.name(), column.data_type())).collect();
        assert_eq!(columns, [("a", ColumnType::Integer), ("c", ColumnType::Text), ("1", ColumnType::Null)]);
        assert_eq!(batch.to_string(), "a  c  1\n");
        assert_eq!(batch.column(0).unwrap().as_i64().unwrap(), [0; 0]);
        let texts = batch.column(1).unwrap().as_str().unwrap();
        assert_eq!((texts.iter().len(), texts.offsets()), (0, Offsets::Small(&[0])));
    });
}

#[test]
fn what_cannot_be_run_is_told_before() {
    check(|conn| {
        let error = conn.scan("SELECT a FROM t", ()).batches(0, |_| Err(Error::external("a batch"))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
        assert_eq!(error.sql(), Some("SELECT a FROM t"));
        let error = conn.scan("INSERT INTO log VALUES (1) RETURNING a", ()).batches(0, |_| Ok::<_, Error>(()));
        assert!(matches!(error.unwrap_err().kind(), ErrorKind::Misuse { .. }));
        let two = [ColumnType::Integer; 2];
        let error = conn.scan("INSERT INTO log VALUES (2) RETURNING a", ()).schema(two).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 2, found: 1, .. }), "{error:?}");
        let error = conn.scan("INSERT INTO log VALUES (?) RETURNING a", ()).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterCount { expected: 1, given: 0, .. }), "{error:?}");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM log", ()).unwrap(), 0, "none of them was run");
        for (sql, code) in [("SELECT no FROM t", "SQLITE_ERROR"), ("SELECT a FROM nowhere", "SQLITE_ERROR")] {
            let error = conn.scan(sql, ()).for_each(|_| Ok::<_, Error>(())).unwrap_err();
            assert_eq!((error.code_name(), error.sql()), (Some(code), Some(sql)));
            assert_eq!(conn.scan(sql, ()).plan().unwrap_err().code_name(), Some(code));
        }
        let error = conn.scan("  -- nothing", ()).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::EmptySql), "{error:?}");
        let error = conn.scan("SELECT 1; SELECT 2", ()).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TrailingSql { .. }), "{error:?}");
    });
    let plan = database().scan("SELECT a FROM t", ()).plan().unwrap();
    assert_eq!(plan.strategy, ScanStrategy::Statement);
    assert!(plan.to_string().contains(plan.reason));
}

#[test]
#[should_panic(expected = "the progress interval is 0 rows")]
fn progress_after_no_rows_is_refused() {
    let conn = database();
    drop(conn.scan("SELECT 1", ()).progress(0, |_| ControlFlow::Continue(())));
}

#[test]
fn a_dropped_or_forgotten_scan_has_done_nothing() {
    check(|conn| {
        drop(conn.scan("INSERT INTO log VALUES (?)", ("not inserted".to_owned(),)));
        std::mem::forget(conn.scan("INSERT INTO log VALUES (1)", ()).limit(3));
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM log", ()).unwrap(), 0);
    });
}

#[test]
fn what_a_closure_forgets_is_found_at_the_close() {
    let conn = database();
    let leaks = LeakCheck::for_connection(&conn);
    let rows = conn.scan("SELECT a FROM t", ()).for_each(|row| {
        std::mem::forget(conn.prepare("SELECT b FROM t")?);
        std::mem::forget(conn.scan("SELECT b FROM t", (row.get::<i64>(0)?,)));
        let mut statement = conn.prepare("SELECT a FROM t")?;
        let mut rows = statement.query(())?;
        assert!(rows.next()?.is_some());
        std::mem::forget(rows);
        std::mem::forget((row, statement));
        Ok::<_, Error>(())
    });
    assert_eq!(rows.unwrap(), 5);
    assert_eq!(conn.scan("SELECT b FROM t", ()).columns().unwrap().len(), 5);
    conn.close().unwrap();
    let report = leaks.finish();
    // Two statements in each row, and the rows of one of them; what the scan had is not among them.
    assert!(!report.is_clean());
    assert_eq!(report.to_string().matches("tests/it/scan.rs").count(), 15, "{report}");
}

#[test]
fn a_change_that_cannot_be_committed_is_an_error() {
    const SQL: &str = "INSERT INTO child VALUES (1, 99), (2, 99), (3, 99) RETURNING id";
    let open = || {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE parent(id INTEGER PRIMARY KEY);
             CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        conn
    };
    let ways: [fn(&Connection) -> Result<()>; 7] = [
        |conn| conn.scan(SQL, ()).for_each(|_| Ok(())).map(drop),
        |conn| {
            let found = conn.scan(SQL, ()).try_for_each(|_| Ok::<_, Error>(ControlFlow::Break(())))?;
            found.ok_or_else(|| Error::external("not stopped"))
        },
        |conn| conn.scan(SQL, ()).batches(2, |_| Ok(())).map(drop),
        |conn| conn.scan(SQL, ()).columns().map(drop),
        |conn| conn.scan(SQL, ()).limit(1).columns().map(drop),
        |conn| conn.scan(SQL, ()).limit(3).for_each(|_| Ok(())).map(drop),
        |conn| conn.scan(SQL, ()).progress(2, |_| ControlFlow::Break(())).batches(1, |_| Ok(())).map(drop),
    ];
    for (number, way) in ways.iter().enumerate() {
        let conn = open();
        let error = way(&conn).expect_err(&number.to_string());
        assert!(error.constraint().is_some(), "{number}: {error:?}");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap(), 0, "{number}");
        // The control: where the parent is there, the same is no error, and is stored.
        conn.execute("INSERT INTO parent VALUES (99)", ()).unwrap();
        way(&conn).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap(), 3, "{number}");
    }
}

#[test]
fn changes_stand_where_a_scan_ends_early() {
    const SQL: &str = "INSERT INTO log VALUES (1), ('two'), (3) RETURNING a";
    let ends: [fn(&Connection) -> Result<()>; 5] = [
        |conn| conn.scan(SQL, ()).limit(1).columns().map(drop),
        |conn| conn.scan(SQL, ()).progress(1, |_| ControlFlow::Break(())).for_each(|_| Ok(())).map(drop),
        |conn| conn.scan(SQL, ()).try_for_each(|_| Ok::<_, Error>(ControlFlow::Break(()))).map(drop),
        |conn| conn.scan(SQL, ()).for_each(|_| Err(Error::external("no"))).map(drop),
        |conn| conn.scan(SQL, ()).on_type_mismatch(OnTypeMismatch::Error).columns().map(drop),
    ];
    for (number, end) in ends.iter().enumerate() {
        let conn = database();
        assert_eq!(end(&conn).is_err(), number >= 3, "{number}");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM log", ()).unwrap(), 3, "{number}");
    }
}

#[test]
fn columns_are_those_of_now() {
    let sql = "SELECT * FROM t";
    let names = |batch: &ColumnBatch| batch.columns().iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
    let conn = database();
    assert_eq!(names(&conn.scan(sql, ()).columns().unwrap()), ["a", "b"]);
    conn.execute_batch("ALTER TABLE t ADD COLUMN c DEFAULT 'new'; ALTER TABLE t RENAME COLUMN a TO id").unwrap();
    let batch = conn.scan(sql, ()).columns().unwrap();
    assert_eq!(names(&batch), ["id", "b", "c"]);
    assert_eq!(batch.column("c").unwrap().as_str().unwrap().iter().flatten().count(), 5);
    conn.execute_batch("ALTER TABLE t DROP COLUMN b; ALTER TABLE t RENAME COLUMN c TO d").unwrap();
    let mut sizes = Vec::new();
    conn.scan(sql, ())
        .batches(2, |batch| {
            assert_eq!(names(batch), ["id", "d"]);
            assert_eq!(batch.column("d")?.as_str()?.get(0), Some("new"));
            sizes.push(batch.len());
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(sizes, [2, 2, 1]);
    conn.execute("ALTER TABLE t ADD COLUMN e", ()).unwrap();
    conn.scan(sql, ())
        .for_each(|row| {
            assert_eq!((row.column_count(), row.column_name(2)?), (3, "e"));
            Ok::<_, Error>(())
        })
        .unwrap();
    conn.execute("ALTER TABLE t ADD COLUMN f", ()).unwrap();
    let error = conn.scan(sql, ()).schema([ColumnType::Integer; 3]).columns().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 3, found: 4, .. }), "{error:?}");
}

#[test]
fn a_schema_is_compared_with_the_columns_of_now() {
    let conn = database();
    conn.scan("SELECT * FROM t", ()).columns().unwrap();
    conn.execute("ALTER TABLE t ADD COLUMN c", ()).unwrap();
    let types = [ColumnType::Integer, ColumnType::Text, ColumnType::Null];
    let batch = conn.scan("SELECT * FROM t", ()).schema(types).columns().unwrap();
    assert_eq!(batch.columns().len(), 3);
}

#[test]
fn columns_are_those_of_now_without_rows_too() {
    let conn = database();
    conn.execute("DELETE FROM t", ()).unwrap();
    conn.scan("SELECT * FROM t", ()).columns().unwrap();
    conn.execute_batch("ALTER TABLE t ADD COLUMN c TEXT; ALTER TABLE t RENAME COLUMN a TO id").unwrap();
    let batch = conn.scan("SELECT * FROM t", ()).columns().unwrap();
    let columns: Vec<_> = batch.columns().iter().map(|column| (column.name(), column.data_type())).collect();
    assert_eq!(columns, [("id", ColumnType::Integer), ("b", ColumnType::Text), ("c", ColumnType::Text)]);
}

#[test]
fn promises_are_those_of_now() {
    let conn = database();
    conn.scan("SELECT * FROM t", ()).columns().unwrap();
    conn.execute_batch("DROP TABLE t; CREATE TABLE t(a TEXT, b BLOB, c REAL); INSERT INTO t DEFAULT VALUES").unwrap();
    let batch = conn.scan("SELECT * FROM t", ()).columns().unwrap();
    let types: Vec<_> = batch.columns().iter().map(ColumnBuffer::data_type).collect();
    assert_eq!(types, [ColumnType::Text, ColumnType::Blob, ColumnType::Real]);
}

#[test]
fn a_transaction_and_a_savepoint_scan() {
    let mut conn = database();
    let mut tx = conn.transaction().unwrap();
    tx.scan("INSERT INTO log VALUES (1), (2) RETURNING a", ()).columns().unwrap();
    {
        let savepoint = tx.savepoint().unwrap();
        savepoint.scan("INSERT INTO log VALUES (3) RETURNING a", ()).columns().unwrap();
        let mut seen = Vec::new();
        savepoint
            .scan("SELECT a FROM log", ())
            .for_each(|row| {
                seen.push(row.get::<i64>(0)?);
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(seen, [1, 2, 3]);
        savepoint.rollback().unwrap();
    }
    assert_eq!(tx.scan("SELECT a FROM log", ()).columns().unwrap().len(), 2);
    tx.commit().unwrap();
    assert_eq!(conn.scan("SELECT a FROM log", ()).columns().unwrap().len(), 2);

    let tx = conn.transaction().unwrap();
    tx.execute("ROLLBACK", ()).unwrap();
    for (name, way) in WAYS {
        let error = way(&tx, "INSERT INTO log VALUES (4) RETURNING a", &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{name}: {error:?}");
    }
    drop(tx);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM log", ()).unwrap(), 2);
}

#[test]
fn parameters_are_lent_given_and_named() {
    check(|conn| {
        let read = |batch: Result<ColumnBatch>| batch.unwrap().column(0).unwrap().iter().len();
        let (text, list) = ("three".to_owned(), vec![2_i64, 4]);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE b = ?", (&*text,)).columns()), 1);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE b = ?", (&text,)).columns()), 1);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE b = ?", (text.clone(),)).columns()), 1);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE b = ?", params![format!("f{}", "our")]).columns()), 1);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE a IN (?, ?)", &list).columns()), 2);
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE a IN (?, ?)", params_from_iter(list)).columns()), 2);
        let named = named_params! {":b": text, ":a": 1};
        assert_eq!(read(conn.scan("SELECT a FROM t WHERE a = :a OR b = :b", named).columns()), 2);
        let scan = {
            // The scan keeps what it was given; the text is gone by itself.
            let given = format!("{}ve", "fi");
            conn.scan("SELECT a FROM t WHERE b = ?", (given,)).limit(9)
        };
        let mut rows = 0;
        scan.for_each(|row| {
            rows += row.get::<i64>(0)?;
            Ok::<_, Error>(())
        })
        .unwrap();
        assert_eq!(rows, 5);
    });
}

/// Whether another connection can write at once.
fn can_write(path: &Path) -> bool {
    let other = Connection::open(path).unwrap();
    other.set_busy_timeout(Duration::ZERO).unwrap();
    other.execute("INSERT INTO log VALUES (1)", ()).is_ok()
}

#[test]
fn a_scan_keeps_no_lock() {
    const SQL: &str = "SELECT a, b FROM t ORDER BY a";
    type End = fn(&Connection);
    let ends: [(&str, End); 14] = [
        ("all rows", |conn| assert_eq!(conn.scan(SQL, ()).for_each(|_| Ok::<_, Error>(())).unwrap(), 5)),
        ("all columns", |conn| drop(conn.scan(SQL, ()).columns().unwrap())),
        ("all batches", |conn| assert_eq!(conn.scan(SQL, ()).batches(2, |_| Ok::<_, Error>(())).unwrap(), 5)),
        ("a break", |conn| {
            let found = conn.scan(SQL, ()).try_for_each(|_| Ok::<_, Error>(ControlFlow::Break(7)));
            assert_eq!(found.unwrap(), Some(7));
        }),
        ("a limit", |conn| assert_eq!(conn.scan(SQL, ()).limit(2).for_each(|_| Ok::<_, Error>(())).unwrap(), 2)),
        ("a limit of columns", |conn| drop(conn.scan(SQL, ()).limit(2).columns().unwrap())),
        ("a limit of 0", |conn| drop(conn.scan(SQL, ()).limit(0).columns().unwrap())),
        ("progress", |conn| {
            drop(conn.scan(SQL, ()).progress(2, |_| ControlFlow::Break(())).columns().unwrap());
        }),
        ("an error", |conn| drop(conn.scan(SQL, ()).for_each(|_| Err(Error::external("no"))).unwrap_err())),
        ("an error in a batch", |conn| {
            drop(conn.scan(SQL, ()).batches(2, |_| Err(Error::external("no"))).unwrap_err());
        }),
        ("a value that does not fit", |conn| {
            drop(conn.scan(SQL, ()).schema([ColumnType::Integer; 2]).columns().unwrap_err());
        }),
        ("a panic", |conn| {
            let scan = || conn.scan(SQL, ()).for_each(|_| -> Result<()> { panic!("no") });
            catch_unwind(AssertUnwindSafe(scan)).unwrap_err();
        }),
        ("a panic in a batch", |conn| {
            let scan = || conn.scan(SQL, ()).batches(1, |_| -> Result<()> { panic!("no") });
            catch_unwind(AssertUnwindSafe(scan)).unwrap_err();
        }),
        ("an interrupt", |conn| {
            let interrupt = || assert!(conn.interrupt_handle().interrupt());
            let scan = conn.scan(NUMBERS, ()).for_each(|_| {
                interrupt();
                Ok::<_, Error>(())
            });
            assert!(scan.unwrap_err().is_interrupted());
        }),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    fill(&conn);
    for (name, end) in ends {
        end(&conn);
        assert!(can_write(&path), "{name}");
    }
    // The control: while there are rows to come, nobody can.
    conn.scan(SQL, ())
        .for_each(|_| {
            assert!(!can_write(&path));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert!(can_write(&path));
}

#[test]
fn one_row_may_be_the_limit() {
    check(|conn| {
        // No more of an endless result is run than is read.
        assert_eq!(conn.scan(NUMBERS, ()).limit(3).columns().unwrap().len(), 3);
        assert_eq!(conn.scan(NUMBERS, ()).limit(3).for_each(|_| Ok::<_, Error>(())).unwrap(), 3);
        let mut sizes = Vec::new();
        let rows = conn.scan(NUMBERS, ()).limit(5).batches(2, |batch| {
            sizes.push((batch.first_row(), batch.len()));
            Ok::<_, Error>(())
        });
        assert_eq!((rows.unwrap(), sizes), (5, vec![(0, 2), (2, 2), (4, 1)]));
        // The later call decides.
        assert_eq!(conn.scan(NUMBERS, ()).limit(9).limit(2).columns().unwrap().len(), 2);
        let scan = conn.scan(NUMBERS, ()).progress(1, |_| panic!("replaced")).progress(4, |_| ControlFlow::Break(()));
        assert_eq!(scan.columns().unwrap().len(), 4);
    });
}
