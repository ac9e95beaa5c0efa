//! `Pool::write`: what is run again, and what is not.

use finalite::DropBehavior;

use super::*;

#[test]
fn write_commits_and_returns() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let id = pool.write(|tx| {
        tx.execute("INSERT INTO t(b) VALUES ('x')", ())?;
        Ok(tx.last_insert_rowid())
    })?;
    assert_eq!(id, 1);
    assert_eq!(rows(&*pool.reader()?), 1);
    Ok(())
}

/// A lock that another connection holds, and gives up after so many attempts.
#[test]
fn write_tries_again_while_somebody_has_the_lock() -> Outcome {
    let db = Database::new();
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::ZERO);
    let pool = db.pool().options(quick().busy_timeout(Duration::ZERO)).write_retry(retry).build()?;
    let other = Connection::open(&db.path)?;
    other.execute("BEGIN IMMEDIATE", ())?;
    thread::scope(|scope| {
        let written = scope.spawn(|| pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES ('x')", ())));
        while pool.status().role(Role::Writer).acquired_total < 4 {
            thread::yield_now();
        }
        other.execute("COMMIT", ()).unwrap();
        written.join().unwrap()
    })?;
    assert_eq!(rows(&*pool.reader()?), 1);

    other.execute("BEGIN IMMEDIATE", ())?;
    let before = pool.status().role(Role::Writer).acquired_total;
    let limited = db.pool().options(quick().busy_timeout(Duration::ZERO)).write_retry(retry.attempts(3)).build()?;
    assert!(limited.write(|_| Ok(())).unwrap_err().is_busy());
    assert_eq!(limited.status().role(Role::Writer).acquired_total, 3);
    let late = RetryPolicy::new(Duration::from_millis(3)).pauses_between(Duration::from_millis(1), SHORT);
    let late = db.pool().options(quick().busy_timeout(Duration::ZERO)).write_retry(late).build()?;
    assert!(late.write(|_| Ok(())).unwrap_err().is_busy(), "it ends");
    assert_eq!(pool.status().role(Role::Writer).acquired_total, before);
    Ok(())
}

/// In rollback mode a reader bars the commit; all is run again, from the start.
#[test]
fn a_commit_that_a_reader_bars_is_run_again() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("delete.db");
    Connection::open(&path)?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (0)")?;
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::ZERO);
    let options = OpenOptions::new().busy_timeout(Duration::ZERO);
    let pool = Pool::builder(&path).options(options).write_retry(retry).build()?;
    let mut reader = Some(pool.reader()?);
    reader.as_ref().expect("it is there").execute_batch("BEGIN; SELECT * FROM t")?;
    let runs = Cell::new(0);
    pool.write(|tx| {
        runs.set(runs.get() + 1);
        assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ())?, 1, "nothing of an earlier run is there");
        tx.execute("INSERT INTO t VALUES (1)", ())?;
        if runs.get() == 3
            && let Some(reader) = reader.take()
        {
            reader.execute("COMMIT", ())?;
        }
        Ok(())
    })?;
    assert_eq!((runs.get(), rows(&*pool.reader()?)), (3, 2));
    Ok(())
}

#[test]
fn write_runs_nothing_again_after_another_failure() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    pool.writer()?.execute_batch(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    )?;
    let runs = Cell::new(0);
    let error = pool
        .write(|tx| {
            runs.set(runs.get() + 1);
            tx.execute("INSERT INTO child VALUES (7)", ())
        })
        .unwrap_err();
    assert!(error.is_constraint(), "a deferred foreign key, at COMMIT");
    assert_eq!(runs.replace(0), 1);
    let error = pool
        .write(|tx| {
            runs.set(runs.get() + 1);
            tx.execute("INSERT INTO t(b) VALUES ('x')", ())?;
            Err::<(), _>(Error::external("the closure's own"))
        })
        .unwrap_err();
    assert!(error.to_string().contains("the closure's own"));
    assert_eq!(runs.replace(0), 1);
    let error = pool
        .write(|tx| {
            runs.set(runs.get() + 1);
            tx.execute("INSERT INTO t(b) VALUES ('x')", ())?;
            tx.execute("ROLLBACK", ())
        })
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TransactionEnded));
    assert_eq!(runs.get(), 1);
    let reader = pool.reader()?;
    assert_eq!((rows(&reader), reader.query_one::<i64>("SELECT count(*) FROM child", ())?), (0, 0));
    Ok(())
}

/// SQLite calls it busy, too, where nobody else is in the way.
#[test]
fn write_runs_nothing_again_for_its_own_statements() -> Outcome {
    let insert = "INSERT INTO t(b) VALUES ('x'), ('y') RETURNING a";
    let open_rows = |tx: &finalite::Transaction<'_>| {
        let mut statement = tx.prepare(insert)?;
        let mut rows = statement.query(())?;
        rows.next()?;
        forget(rows);
        forget(statement);
        Ok::<_, Error>(())
    };
    type Work<'a> = &'a dyn Fn(&finalite::Transaction<'_>) -> finalite::Result<()>;
    let ways: [(Work<'_>, &str); 3] = [
        (&|tx| open_rows(tx), "cannot commit transaction"),
        (&|tx| open_rows(tx).and_then(|()| tx.execute("SAVEPOINT one", ()).map(drop)), "cannot open savepoint"),
        (
            &|tx| {
                tx.execute("SAVEPOINT one", ())?;
                open_rows(tx)?;
                tx.execute("RELEASE one", ()).map(drop)
            },
            "cannot release savepoint",
        ),
    ];
    for (work, says) in ways {
        let db = Database::new();
        let pool = db.pool().write_retry(RetryPolicy::new(LONG)).build()?;
        let runs = Cell::new(0);
        let error = pool
            .write(|tx| {
                runs.set(runs.get() + 1);
                work(tx)
            })
            .unwrap_err();
        assert!(error.is_busy() && error.to_string().contains(says), "{error}");
        assert_eq!(runs.get(), 1, "{says}");
        assert_eq!(rows(&*pool.reader()?), 0);
    }
    Ok(())
}

/// A cache that is shared has locks of its own, on tables.
#[test]
fn write_tries_again_while_a_reader_has_the_table() -> Outcome {
    let uri = "file:write_tries_again?mode=memory&cache=shared";
    let options = OpenOptions::new().uri(true).busy_timeout(Duration::ZERO);
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::ZERO);
    let pool = Pool::builder(uri).options(options.clone()).write_retry(retry).build()?;
    pool.writer()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (0)")?;
    let other = options.open(uri)?;
    other.execute_batch("BEGIN; SELECT * FROM t")?;
    let runs = Cell::new(0);
    pool.write(|tx| {
        runs.set(runs.get() + 1);
        if runs.get() == 3 {
            other.execute("COMMIT", ())?;
        }
        tx.execute("INSERT INTO t VALUES (1)", ())
    })?;
    assert_eq!((runs.get(), rows(&other)), (3, 2));
    Ok(())
}

/// A program's own error: whether a lock is behind it is not its business to tell.
#[derive(Debug)]
enum AppError {
    Database(#[expect(dead_code, reason = "for people")] Error),
    Refused,
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

#[test]
fn write_and_then_tries_again_for_locks_whatever_the_error() -> Outcome {
    let uri = "file:write_and_then_tries_again?mode=memory&cache=shared";
    let options = OpenOptions::new().uri(true).busy_timeout(Duration::ZERO);
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::ZERO);
    let pool = Pool::builder(uri).options(options.clone()).write_retry(retry).build()?;
    pool.writer()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (0)")?;
    let other = options.open(uri)?;
    other.execute_batch("BEGIN; SELECT * FROM t")?;
    let runs = Cell::new(0);
    pool.write_and_then(|tx| -> Result<usize, AppError> {
        runs.set(runs.get() + 1);
        if runs.get() == 3 {
            other.execute("COMMIT", ())?;
        }
        tx.execute("INSERT INTO t VALUES (1)", ()).map_err(|_| AppError::Refused)
    })
    .unwrap();
    assert_eq!((runs.replace(0), rows(&other)), (3, 2));
    // A lock that was met and got over is no reason, nor is an error without any.
    other.execute_batch("BEGIN; SELECT * FROM t")?;
    let refused = pool.write_and_then(|tx| {
        runs.set(runs.get() + 1);
        assert!(tx.execute("INSERT INTO t VALUES (2)", ()).is_err());
        tx.query_one::<i64>("SELECT 1", ())?;
        Err::<(), _>(AppError::Refused)
    });
    assert!(matches!(refused, Err(AppError::Refused)), "{refused:?}");
    let refused = pool.write_and_then(|tx| {
        runs.set(runs.get() + 1);
        Ok::<_, AppError>(tx.execute("INSERT INTO nowhere VALUES (2)", ())?)
    });
    assert!(matches!(refused, Err(AppError::Database(_))), "{refused:?}");
    assert_eq!(runs.get(), 2);
    Ok(())
}

#[test]
fn write_has_savepoints() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let kept = pool.write(|tx| {
        for text in ["kept", "dropped"] {
            let mut savepoint = tx.savepoint()?;
            savepoint.execute("INSERT INTO t(b) VALUES (?)", (text,))?;
            savepoint.savepoint()?.commit()?;
            if text == "kept" {
                savepoint.commit()?;
            }
        }
        tx.query_one::<i64>("SELECT count(*) FROM t", ())
    })?;
    assert_eq!((kept, rows(&*pool.reader()?)), (1, 1));
    Ok(())
}

/// Pauses are doubled without end; a long one must not be too long for a `Duration`.
#[test]
fn pauses_may_be_as_long_as_can_be() {
    let retry = RetryPolicy::new(SHORT).pauses_between(Duration::MAX, Duration::MAX);
    let error = Pool::builder("/nowhere/pool.db").open_retry(retry).build().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OpenAttempts { .. }));
}

/// What failed and is run again is not stored, whatever the closure has set for its drop.
#[test]
fn write_stores_nothing_of_an_attempt_that_failed() -> Outcome {
    let (db, other_db) = (Database::new(), Database::new());
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::ZERO);
    let pool = db.pool().write_retry(retry).build()?;
    let other = quick().busy_timeout(Duration::ZERO).open(&other_db.path)?;
    let locker = Connection::open(&other_db.path)?;
    locker.execute("BEGIN IMMEDIATE", ())?;
    for behavior in [DropBehavior::Rollback, DropBehavior::Commit, DropBehavior::Ignore] {
        let mut attempts = 0;
        pool.write(|tx| {
            attempts += 1;
            tx.set_drop_behavior(behavior);
            tx.execute("INSERT INTO t(b) VALUES ('x')", ())?;
            if attempts < 3 { other.execute("INSERT INTO t(b) VALUES ('y')", ()) } else { Ok(0) }
        })?;
        assert_eq!(attempts, 3);
    }
    assert_eq!(rows(&*pool.reader()?), 3);
    Ok(())
}

/// The writer is opened anew where it was destroyed; that another connection has the lock then is no other error.
#[test]
fn write_tries_again_while_the_writer_cannot_be_opened() -> Outcome {
    let db = Database::new();
    let options = OpenOptions::new().busy_timeout(Duration::ZERO);
    let other = options.open(&db.path)?;
    other.set_pragma("journal_mode", "delete")?;
    let retry = RetryPolicy::new(LONG).pauses_between(Duration::ZERO, Duration::from_millis(1));
    let reads = |conn: &mut Connection| conn.query_one::<i64>("SELECT count(*) FROM t", ()).map(drop);
    let pool = db.pool().options(options).init(reads).write_retry(retry).build()?;
    pool.writer()?.set_pragma("mmap_size", 0)?;
    assert_eq!(pool.status().destroyed(DestroyReason::Pragma), 1);
    other.execute_batch("BEGIN EXCLUSIVE")?;
    let error = pool.writer().unwrap_err();
    assert!(error.is_busy() && matches!(error.kind(), ErrorKind::OpenAttempts { .. }), "{error}");
    thread::scope(|scope| {
        let written = scope.spawn(|| pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES ('x')", ())));
        thread::sleep(Duration::from_millis(50));
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(written.join().unwrap().unwrap(), 1);
    });
    Ok(())
}
