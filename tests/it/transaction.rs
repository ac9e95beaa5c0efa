//! Transactions and savepoints: what is stored, what is not, and what SQLite ends by itself.

use finalite::{Connection, DropBehavior, ErrorKind, ResultCode, TransactionBehavior};

fn table() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE)").unwrap();
    conn
}

fn all(conn: &Connection) -> Vec<i64> {
    conn.query_all("SELECT a FROM t ORDER BY a", ()).unwrap()
}

fn insert(conn: &Connection, a: i64) {
    conn.execute("INSERT INTO t VALUES (?)", (a,)).unwrap();
}

#[test]
fn commit_stores_and_everything_else_does_not() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    tx.commit().unwrap();
    let tx = conn.transaction().unwrap();
    insert(&tx, 2);
    tx.rollback().unwrap();
    let tx = conn.transaction().unwrap();
    insert(&tx, 3);
    drop(tx);
    assert!(conn.is_autocommit());
    assert_eq!(all(&conn), [1]);
}

#[test]
fn drop_can_be_told_to_commit() {
    let mut conn = table();
    let mut tx = conn.transaction().unwrap();
    tx.set_drop_behavior(DropBehavior::Commit);
    insert(&tx, 1);
    let mut inner = tx.savepoint().unwrap();
    inner.set_drop_behavior(DropBehavior::Commit);
    insert(&inner, 2);
    drop(inner);
    drop(tx);
    assert_eq!(all(&conn), [1, 2]);
}

#[test]
fn a_commit_that_fails_in_drop_rolls_back() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY REFERENCES t DEFERRABLE INITIALLY DEFERRED, b REFERENCES t DEFERRABLE INITIALLY DEFERRED)").unwrap();
    let mut tx = conn.transaction().unwrap();
    tx.set_drop_behavior(DropBehavior::Commit);
    tx.execute("INSERT INTO t VALUES (1, 2)", ()).unwrap();
    drop(tx);
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn a_panic_rolls_back() {
    let mut conn = table();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let tx = conn.transaction().unwrap();
        insert(&tx, 1);
        panic!("half way");
    }));
    assert!(panic.is_err());
    assert!(conn.is_autocommit());
    assert!(all(&conn).is_empty());
}

#[test]
fn statements_of_a_transaction_outlive_it() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    let mut statement = tx.prepare("INSERT INTO t VALUES (?)").unwrap();
    statement.execute((1,)).unwrap();
    tx.commit().unwrap();
    statement.execute((2,)).unwrap();
    drop(statement);
    assert_eq!(all(&conn), [1, 2]);
}

#[test]
fn behaviors_take_their_locks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let other = Connection::open(&path).unwrap();
    other.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    let can = |sql: &str| match other.execute(sql, ()) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_busy(), "{error:?}");
            false
        }
    };
    let write = "INSERT INTO t VALUES (1)";
    let read = "SELECT * FROM t";
    let tx = conn.transaction().unwrap();
    assert_eq!((can(write), can(read)), (true, true));
    drop(tx);
    let tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
    assert_eq!((can(write), can(read)), (false, true));
    drop(tx);
    let tx = conn.transaction_with(TransactionBehavior::Exclusive).unwrap();
    assert_eq!((can(write), can(read)), (false, false));
    drop(tx);
    assert_eq!((can(write), can(read)), (true, true));
}

#[test]
fn a_commit_that_fails_gives_the_transaction_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    conn.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    let error = tx.commit_or_return().unwrap_err();
    assert!(error.error().is_busy(), "{error}");
    let tx = error.into_transaction();
    let (tx, error) = tx.commit_or_return().unwrap_err().into_parts();
    assert!(error.is_busy(), "{error}");
    reader.execute("COMMIT", ()).unwrap();
    tx.commit().unwrap();
    assert_eq!(all(&conn), [1]);
}

#[test]
fn a_commit_that_fails_rolls_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    conn.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    assert!(tx.commit().unwrap_err().is_busy());
    assert!(conn.is_autocommit());
    reader.execute("COMMIT", ()).unwrap();
    assert!(all(&conn).is_empty());
}

#[test]
fn nothing_runs_under_a_guard_whose_transaction_sqlite_ended() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    // A ROLLBACK conflict clause is SQLite's own way to end the whole transaction.
    let error = tx.execute("INSERT OR ROLLBACK INTO t VALUES (1)", ()).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::CONSTRAINT_UNIQUE));
    let ended = |error: finalite::Error| assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error:?}");
    // Without the check this would be stored at once, behind the program's back.
    ended(tx.execute("INSERT INTO t VALUES (2)", ()).unwrap_err());
    ended(tx.execute_batch("INSERT INTO t VALUES (2)").unwrap_err());
    ended(tx.prepare("INSERT INTO t VALUES (2)").unwrap().execute(()).unwrap_err());
    ended(tx.query_one::<i64>("SELECT 1", ()).unwrap_err());
    ended(tx.commit().unwrap_err());
    assert!(all(&conn).is_empty());
    insert(&conn, 3);
    assert_eq!(all(&conn), [3]);
}

#[test]
fn rolling_back_what_sqlite_rolled_back_is_no_error() {
    let mut conn = table();
    insert(&conn, 1);
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT OR ROLLBACK INTO t VALUES (1)", ()).unwrap_err();
    savepoint.rollback().unwrap();
    tx.rollback().unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT OR ROLLBACK INTO t VALUES (1)", ()).unwrap_err();
    assert!(matches!(savepoint.commit().unwrap_err().kind(), ErrorKind::TransactionEnded));
    drop(tx);
    assert_eq!(all(&conn), [1]);
}

#[test]
fn a_commit_by_hand_ends_the_guard() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    tx.execute("COMMIT", ()).unwrap();
    assert!(matches!(tx.commit().unwrap_err().kind(), ErrorKind::TransactionEnded));
    assert_eq!(all(&conn), [1]);
}

#[test]
fn a_begin_by_hand_is_in_the_way() {
    let mut conn = table();
    conn.execute("BEGIN", ()).unwrap();
    assert!(conn.transaction().is_err());
    conn.execute("ROLLBACK", ()).unwrap();
    conn.transaction().unwrap().commit().unwrap();
}

#[test]
fn savepoints_nest_and_end_each_in_its_own_way() {
    let mut conn = table();
    let mut tx = conn.transaction().unwrap();
    insert(&tx, 1);
    let mut outer = tx.savepoint().unwrap();
    insert(&outer, 2);
    let inner = outer.savepoint().unwrap();
    insert(&inner, 3);
    inner.rollback().unwrap();
    let inner = outer.savepoint().unwrap();
    insert(&inner, 4);
    inner.commit().unwrap();
    outer.commit().unwrap();
    let dropped = tx.savepoint().unwrap();
    insert(&dropped, 5);
    drop(dropped);
    tx.commit().unwrap();
    assert_eq!(all(&conn), [1, 2, 4]);
}

#[test]
fn savepoint_names_are_quoted() {
    let mut conn = table();
    let mut tx = conn.transaction().unwrap();
    for name in ["a b", "x\"; DROP TABLE t; --", "'", "", "ROLLBACK"] {
        let savepoint = tx.savepoint_named(name).unwrap();
        insert(&savepoint, 1);
        savepoint.rollback().unwrap();
        let mut savepoint = tx.savepoint_named(name).unwrap();
        savepoint.savepoint_named(name).unwrap().commit().unwrap();
        savepoint.commit().unwrap();
    }
    assert!(matches!(tx.savepoint_named("a\0b").unwrap_err().kind(), ErrorKind::NulInSql));
    tx.commit().unwrap();
    assert!(all(&conn).is_empty());
}

#[test]
fn question_mark_works_with_boxed_errors() {
    fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut conn = table();
        let mut tx = conn.transaction()?;
        tx.savepoint()?.commit()?;
        tx.commit_or_return()?;
        conn.transaction()?.rollback()?;
        conn.close_or_return()?;
        Ok(())
    }
    run().unwrap();
}

#[test]
fn savepoints_of_one_name_are_told_apart() {
    let mut conn = table();
    let mut tx = conn.transaction().unwrap();
    let mut outer = tx.savepoint_named("a").unwrap();
    insert(&outer, 1);
    std::mem::forget(outer.savepoint_named("A").unwrap());
    // `ROLLBACK TO a` reaches the innermost of that name, which is not this one.
    outer.rollback().unwrap();
    let mut outer = tx.savepoint_named("a").unwrap();
    insert(&outer, 2);
    std::mem::forget(outer.savepoint_named("a").unwrap());
    std::mem::forget(outer);
    // Both were forgotten: the next one finds them rolled back.
    let next = tx.savepoint_named("a").unwrap();
    insert(&next, 3);
    next.commit().unwrap();
    let mut outer = tx.savepoint_named("a").unwrap();
    insert(&outer, 4);
    let inner = outer.savepoint_named("a").unwrap();
    insert(&inner, 5);
    std::mem::forget(inner);
    // What nobody committed is not stored with the rest.
    outer.commit().unwrap();
    tx.commit().unwrap();
    assert_eq!(all(&conn), [3, 4]);
}

#[test]
fn rows_that_wait_for_their_first_step_end_with_their_transaction() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    let mut statement = tx.prepare("INSERT INTO t VALUES (1)").unwrap();
    let mut rows = statement.query(()).unwrap();
    tx.execute("ROLLBACK", ()).unwrap();
    assert!(matches!(rows.next().unwrap_err().kind(), ErrorKind::TransactionEnded));
    drop(rows);
    drop(statement);
    drop(tx);
    assert!(all(&conn).is_empty());
}

#[test]
fn a_rollback_that_is_interrupted_is_made_up_for() {
    let mut conn = table();
    let handle = conn.interrupt_handle();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    let mut statement = tx.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    // As long as rows are being read, the interrupt stands, and it meets the rollback.
    handle.interrupt();
    drop(tx);
    drop(rows);
    drop(statement);
    assert!(!conn.is_autocommit(), "the control: the rollback failed");
    insert(&conn, 2);
    assert!(conn.is_autocommit());
    conn.transaction().unwrap().commit().unwrap();
    assert_eq!(all(&conn), [2]);
}

#[test]
fn a_transaction_forgotten_before_a_close_that_fails_is_rolled_back_all_the_same() {
    let mut conn = table();
    let tx = conn.transaction().unwrap();
    insert(&tx, 1);
    std::mem::forget(tx);
    let mut foreign = std::ptr::null_mut();
    // SAFETY: the connection is open and the SQL NUL-terminated.
    unsafe {
        finalite::ffi::sqlite3_prepare_v2(
            conn.as_raw(),
            c"SELECT 1".as_ptr(),
            -1,
            &raw mut foreign,
            std::ptr::null_mut(),
        )
    };
    let conn = conn.close_or_return().unwrap_err().into_connection();
    // SAFETY: made above, finalized once.
    unsafe { finalite::ffi::sqlite3_finalize(foreign) };
    insert(&conn, 2);
    assert!(conn.is_autocommit());
    assert_eq!(all(&conn), [2]);
}

/// Transactions on a connection that is not borrowed exclusively.
mod unchecked {
    use super::*;

    #[test]
    fn commits_and_rolls_back_as_any_other() {
        let conn = table();
        let tx = conn.unchecked_transaction().unwrap();
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        tx.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        assert!(!conn.is_autocommit());
        tx.commit().unwrap();
        let tx = conn.unchecked_transaction_with(TransactionBehavior::Immediate).unwrap();
        tx.execute("INSERT INTO t VALUES (3)", ()).unwrap();
        drop(tx);
        assert!(conn.is_autocommit());
        assert_eq!(all(&conn), [1, 2]);
    }

    #[test]
    fn a_second_one_is_an_error_whatever_the_first_is() {
        fn assert_refused(conn: &Connection) {
            let error = conn.unchecked_transaction().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            assert!(!conn.is_autocommit(), "the open transaction goes on");
        }
        let mut conn = table();
        {
            let first = conn.unchecked_transaction().unwrap();
            assert_refused(&conn);
            assert_refused(&first);
            first.execute("INSERT INTO t VALUES (1)", ()).unwrap();
            first.commit().unwrap();
        }
        let tx = conn.transaction().unwrap();
        assert_refused(&tx);
        drop(tx);
        let savepoint = conn.savepoint().unwrap();
        assert_refused(&savepoint);
        drop(savepoint);
        conn.execute_batch("BEGIN").unwrap();
        assert_refused(&conn);
        conn.execute_batch("ROLLBACK").unwrap();
        conn.unchecked_transaction().unwrap().commit().unwrap();
        assert_eq!(all(&conn), [1]);
    }

    /// A forgotten guard cannot be told from one that is alive; who has the connection exclusively can.
    #[test]
    fn a_forgotten_one_is_rolled_back_by_the_next_that_is_checked() {
        let mut conn = table();
        let tx = conn.unchecked_transaction().unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        std::mem::forget(tx);
        assert!(conn.unchecked_transaction().is_err());
        conn.transaction().unwrap().commit().unwrap();
        assert!(!conn.exists("SELECT 1 FROM t", ()).unwrap());
    }

    #[test]
    fn one_that_sqlite_ended_bars_the_next_until_its_guard_is_gone() {
        let conn = table();
        let tx = conn.unchecked_transaction().unwrap();
        conn.execute_batch("ROLLBACK").unwrap();
        let error = conn.unchecked_transaction().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
        drop(tx);
        conn.unchecked_transaction().unwrap().commit().unwrap();
    }
}

/// Savepoints that no transaction is around.
mod outermost_savepoint {
    use super::*;

    #[test]
    fn committing_it_commits() {
        let mut conn = table();
        let mut outer = conn.savepoint().unwrap();
        outer.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        {
            let inner = outer.savepoint_named("inner").unwrap();
            inner.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        }
        outer.commit().unwrap();
        assert!(conn.is_autocommit());
        let named = conn.savepoint_named("a \"name\"").unwrap();
        named.execute("INSERT INTO t VALUES (3)", ()).unwrap();
        named.commit().unwrap();
        assert!(conn.is_autocommit());
        assert_eq!(all(&conn), [1, 3]);
    }

    #[test]
    fn dropping_it_rolls_back_and_ends_the_transaction() {
        let mut conn = table();
        let outer = conn.savepoint().unwrap();
        outer.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        drop(outer);
        assert!(conn.is_autocommit());
        conn.savepoint().unwrap().rollback().unwrap();
        assert!(conn.is_autocommit());
        assert!(!conn.exists("SELECT 1 FROM t", ()).unwrap());
    }

    /// The commit that its release is can fail; then nothing is stored.
    #[test]
    fn a_commit_that_fails_stores_nothing() {
        let mut conn = table();
        conn.execute_batch(
            "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        )
        .unwrap();
        let outer = conn.savepoint().unwrap();
        outer.execute("INSERT INTO c VALUES (7)", ()).unwrap();
        assert!(outer.commit().unwrap_err().is_constraint());
        assert!(conn.is_autocommit());
        assert!(!conn.exists("SELECT 1 FROM c", ()).unwrap());
    }

    #[test]
    fn within_a_transaction_begun_by_sql_it_is_part_of_that() {
        let mut conn = table();
        conn.execute_batch("BEGIN; INSERT INTO t VALUES (1)").unwrap();
        conn.savepoint().unwrap().execute("INSERT INTO t VALUES (2)", ()).unwrap();
        let kept = conn.savepoint().unwrap();
        kept.execute("INSERT INTO t VALUES (3)", ()).unwrap();
        kept.commit().unwrap();
        assert!(!conn.is_autocommit());
        conn.execute_batch("COMMIT").unwrap();
        assert_eq!(all(&conn), [1, 3]);
    }

    #[test]
    fn what_sqlite_ended_runs_nothing_more() {
        let mut conn = table();
        let outer = conn.savepoint().unwrap();
        outer.execute_batch("ROLLBACK").unwrap();
        let error = outer.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
        let error = outer.commit().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
        conn.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        assert_eq!(all(&conn), [2]);
    }

    #[test]
    fn forgotten_ones_are_rolled_back_by_what_comes_next() {
        type Next = fn(&mut Connection);
        let nexts: [Next; 3] = [
            |conn| conn.transaction().unwrap().commit().unwrap(),
            |conn| conn.savepoint().unwrap().commit().unwrap(),
            |conn| conn.savepoint_named("finalite 0").unwrap().commit().unwrap(),
        ];
        for next in nexts {
            let mut conn = table();
            let mut outer = conn.savepoint().unwrap();
            let inner = outer.savepoint().unwrap();
            inner.execute("INSERT INTO t VALUES (1)", ()).unwrap();
            std::mem::forget(inner);
            std::mem::forget(outer);
            next(&mut conn);
            assert!(conn.is_autocommit());
            assert!(!conn.exists("SELECT 1 FROM t", ()).unwrap());
            conn.close().unwrap();
        }
    }
}

/// Guards that leave their transaction to SQL.
mod left_open {
    use super::*;

    #[test]
    fn a_transaction() {
        let mut conn = table();
        let mut tx = conn.transaction().unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        tx.set_drop_behavior(DropBehavior::Ignore);
        drop(tx);
        assert!(!conn.is_autocommit());
        conn.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        conn.execute_batch("COMMIT").unwrap();
        assert_eq!(all(&conn), [1, 2]);
        // The books are closed: the next begins as ever.
        conn.transaction().unwrap().commit().unwrap();
    }

    #[test]
    fn a_savepoint_within_a_transaction() {
        let mut conn = table();
        let mut tx = conn.transaction().unwrap();
        for n in 0..2 {
            let mut savepoint = tx.savepoint().unwrap();
            savepoint.execute("INSERT INTO t VALUES (?)", (n,)).unwrap();
            savepoint.set_drop_behavior(DropBehavior::Ignore);
        }
        let undone = tx.savepoint().unwrap();
        undone.execute("INSERT INTO t VALUES (9)", ()).unwrap();
        drop(undone);
        tx.commit().unwrap();
        assert_eq!(all(&conn), [0, 1]);
    }

    #[test]
    fn an_outermost_savepoint() {
        let mut conn = table();
        let mut savepoint = conn.savepoint_named("mine").unwrap();
        savepoint.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        savepoint.set_drop_behavior(DropBehavior::Ignore);
        drop(savepoint);
        assert!(!conn.is_autocommit());
        conn.execute_batch("RELEASE mine").unwrap();
        assert_eq!(all(&conn), [1]);
    }
}

/// An iterator over rows ends after the error of a transaction that is no more, by whatever way it is asked.
#[test]
fn iterators_end_after_the_transaction_has_ended() {
    let mut conn = table();
    insert(&conn, 1);
    let tx = conn.transaction().unwrap();
    tx.execute("ROLLBACK", ()).unwrap();
    let sql = "SELECT a FROM t";
    assert_eq!(tx.query_as::<i64>(sql, ()).unwrap().take(9).filter(Result::is_err).count(), 1);
    assert_eq!(tx.query_map(sql, (), |row| row.get::<i64>(0)).unwrap().take(9).filter(Result::is_err).count(), 1);
    let mut statement = tx.prepare(sql).unwrap();
    assert_eq!(statement.query_as::<i64>(()).unwrap().take(9).count(), 1);
    let mut rows = statement.query(()).unwrap();
    assert!(matches!(rows.next().unwrap_err().kind(), ErrorKind::TransactionEnded));
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    let mut rows = statement.into_rows(()).unwrap();
    assert!(rows.next().is_err() && rows.next().unwrap().is_none());
    drop(rows);
    drop(tx);
    // The control: the same on a transaction that is open.
    assert_eq!(conn.transaction().unwrap().query_as::<i64>(sql, ()).unwrap().flatten().collect::<Vec<_>>(), [1]);
}

fn with_children() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    )
    .unwrap();
    conn
}

/// The drop behavior is for guards that are dropped. A commit that fails rolls back, as its documentation says.
#[test]
fn a_failed_commit_rolls_back_whatever_the_drop_behavior() {
    const ORPHAN: &str = "INSERT INTO child VALUES (7)";
    let count = |conn: &Connection| conn.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap();
    for behavior in [DropBehavior::Rollback, DropBehavior::Commit, DropBehavior::Ignore] {
        let mut conn = with_children();
        let mut tx = conn.transaction().unwrap();
        tx.set_drop_behavior(behavior);
        tx.execute(ORPHAN, ()).unwrap();
        assert!(tx.commit().unwrap_err().is_constraint());
        assert!(conn.is_autocommit() && count(&conn) == 0, "{behavior:?}");

        let mut tx = conn.transaction().unwrap();
        tx.set_drop_behavior(behavior);
        tx.execute(ORPHAN, ()).unwrap();
        drop(tx.commit_or_return().unwrap_err());
        assert!(conn.is_autocommit() && count(&conn) == 0, "{behavior:?}");

        let mut savepoint = conn.savepoint().unwrap();
        savepoint.set_drop_behavior(behavior);
        savepoint.execute(ORPHAN, ()).unwrap();
        assert!(savepoint.commit().unwrap_err().is_constraint());
        assert!(conn.is_autocommit() && count(&conn) == 0, "{behavior:?}");

        // What `into_transaction` gives back has its behavior still.
        let mut tx = conn.transaction().unwrap();
        tx.set_drop_behavior(behavior);
        tx.execute(ORPHAN, ()).unwrap();
        let tx = tx.commit_or_return().unwrap_err().into_transaction();
        tx.execute("DELETE FROM child", ()).unwrap();
        tx.execute("INSERT INTO parent VALUES (1)", ()).unwrap();
        drop(tx);
        let stored = conn.query_one::<i64>("SELECT count(*) FROM parent", ()).unwrap();
        assert_eq!(
            (stored, conn.is_autocommit()),
            (i64::from(behavior != DropBehavior::Rollback), behavior != DropBehavior::Ignore)
        );
    }
}

/// An error that ended one outermost savepoint in Drop is not told to the next one.
#[test]
fn an_error_of_an_earlier_savepoint_is_not_told_later() {
    let mut conn = with_children();
    let mut first = conn.savepoint().unwrap();
    first.set_drop_behavior(DropBehavior::Commit);
    first.execute("INSERT INTO child VALUES (7)", ()).unwrap();
    drop(first);
    let second = conn.savepoint().unwrap();
    second.execute("ROLLBACK", ()).unwrap();
    assert!(matches!(second.execute("SELECT 1", ()).unwrap_err().kind(), ErrorKind::TransactionEnded));
}
