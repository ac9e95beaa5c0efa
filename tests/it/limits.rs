//! Limits of a connection: what they refuse, guards, and what a pool makes of them.

use std::mem::forget;

use finalite::pool::{DestroyReason, Pool, ReturnPolicy};
use finalite::{Connection, ErrorKind, Limit, ResultCode};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

#[test]
fn each_limit_is_read_set_and_put_back() {
    let conn = memory();
    let of_others = |one: Limit| Limit::ALL.into_iter().filter(move |&other| other != one);
    for limit in Limit::ALL {
        let before = conn.limit(limit);
        let others: Vec<u32> = of_others(limit).map(|other| conn.limit(other)).collect();
        let lower = if limit == Limit::Length { 30 } else { before / 2 };
        assert_eq!(conn.set_limit(limit, lower).unwrap(), before, "{limit:?}");
        assert_eq!(conn.limit(limit), lower, "{limit:?}");
        assert_eq!(of_others(limit).map(|other| conn.limit(other)).collect::<Vec<_>>(), others, "{limit:?}");
        assert_eq!(conn.set_limit(limit, before).unwrap(), lower, "{limit:?}");
        assert_eq!(conn.limit(limit), before, "{limit:?}");
    }
}

#[test]
fn sqlite_moves_a_value_into_its_own_bounds() {
    let conn = memory();
    let most = conn.limit(Limit::Attached);
    for value in [most + 1, i32::MAX.unsigned_abs(), u32::MAX] {
        conn.set_limit(Limit::Attached, value).unwrap();
        assert!(conn.limit(Limit::Attached) >= most && conn.limit(Limit::Attached) <= 125);
    }
    conn.set_limit(Limit::Length, 0).unwrap();
    assert!(conn.limit(Limit::Length) > 0);
}

/// What each limit refuses; above the limit it works.
#[test]
fn each_limit_is_enforced() {
    for (limit, value, sql) in [
        (Limit::Length, 1000, "SELECT zeroblob(1001)"),
        (Limit::SqlLength, 20, "SELECT 1 + 1 + 1 + 1 + 1"),
        (Limit::Column, 2, "SELECT 1, 2, 3"),
        (Limit::ExprDepth, 3, "SELECT ((1 + 2) * 3 - 4) * 5 + 6"),
        (Limit::CompoundSelect, 2, "SELECT 1 UNION SELECT 2 UNION SELECT 3"),
        (Limit::FunctionArg, 2, "SELECT max(1, 2, 3)"),
        (Limit::Attached, 0, "ATTACH ':memory:' AS x"),
        (Limit::LikePatternLength, 3, "SELECT 'a' LIKE 'aaaa'"),
        (Limit::TriggerDepth, 1, "INSERT INTO t VALUES (1)"),
    ] {
        let conn = memory();
        conn.execute_batch(
            "CREATE TABLE t(a); CREATE TABLE u(a); CREATE TABLE v(a);
             CREATE TRIGGER one AFTER INSERT ON t BEGIN INSERT INTO u VALUES (1); END;
             CREATE TRIGGER two AFTER INSERT ON u BEGIN INSERT INTO v VALUES (1); END;",
        )
        .unwrap();
        let scope = conn.scoped_limit(limit, value).unwrap();
        assert!(conn.execute(sql, ()).is_err(), "{limit:?}");
        drop(scope);
        conn.execute(sql, ()).unwrap_or_else(|error| panic!("{limit:?}: {error}"));
    }
    let conn = memory();
    conn.set_limit(Limit::VariableNumber, 2).unwrap();
    let error = conn.query_one::<i64>("SELECT ? + ? + ?", (1, 2, 3)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooManyParameters { max: 2, .. }), "{error}");
    conn.set_limit(Limit::VariableNumber, 3).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT ? + ? + ?", (1, 2, 3)).unwrap(), 6);
}

#[test]
fn an_error_says_what_was_too_big_and_the_connection_works_on() {
    let conn = memory();
    conn.set_limit(Limit::Length, 100).unwrap();
    let error = conn.query_one::<Vec<u8>>("SELECT zeroblob(101)", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::TOOBIG));
    assert_eq!(conn.query_one::<Vec<u8>>("SELECT zeroblob(100)", ()).unwrap().len(), 100);
}

#[test]
fn guards_nest() {
    let conn = memory();
    let before = conn.limit(Limit::Column);
    let outer = conn.scoped_limit(Limit::Column, 100).unwrap();
    let inner = conn.scoped_limit(Limit::Column, 10).unwrap();
    assert_eq!(conn.limit(Limit::Column), 10);
    drop(inner);
    assert_eq!(conn.limit(Limit::Column), 100);
    drop(outer);
    assert_eq!(conn.limit(Limit::Column), before);
}

#[test]
fn a_panic_restores_the_limit() {
    let conn = memory();
    let before = conn.limit(Limit::Column);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _scope = conn.scoped_limit(Limit::Column, 10).unwrap();
        std::panic::resume_unwind(Box::new("within"));
    }));
    assert!(result.is_err());
    assert_eq!(conn.limit(Limit::Column), before);
}

#[test]
fn a_guard_that_is_forgotten_leaves_its_limit() {
    let conn = memory();
    forget(conn.scoped_limit(Limit::Column, 10).unwrap());
    assert_eq!(conn.limit(Limit::Column), 10);
    conn.close().unwrap();
}

fn pool(name: &str, policy: ReturnPolicy) -> Pool {
    Pool::in_memory(&format!("limits: {name}")).on_return(policy).build().unwrap()
}

#[test]
fn a_pool_puts_limits_back() {
    let pool = pool("all", ReturnPolicy::Reset);
    let new = Limit::ALL.map(|limit| pool.writer().unwrap().limit(limit));
    for limit in Limit::ALL {
        pool.writer().unwrap().set_limit(limit, 30).unwrap();
        assert_eq!(Limit::ALL.map(|limit| pool.writer().unwrap().limit(limit)), new, "{limit:?}");
    }
    forget(pool.writer().unwrap().scoped_limit(Limit::Attached, 0).unwrap());
    assert_eq!(Limit::ALL.map(|limit| pool.writer().unwrap().limit(limit)), new);
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
}

/// With a limit on the length of SQL, none can be run to restore anything.
#[test]
fn a_limit_does_not_keep_a_pool_from_restoring_the_rest() {
    let pool = pool("and the rest", ReturnPolicy::Reset);
    let writer = pool.writer().unwrap();
    writer.execute_batch("ATTACH ':memory:' AS other; PRAGMA cache_size = 7").unwrap();
    writer.set_limit(Limit::SqlLength, 1).unwrap();
    assert!(writer.execute("SELECT 1", ()).is_err());
    drop(writer);
    let writer = pool.writer().unwrap();
    assert_eq!(writer.query_one::<i64>("SELECT count(*) FROM pragma_database_list", ()).unwrap(), 1);
    assert_ne!(writer.pragma::<i64>("cache_size").unwrap(), 7);
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
}

#[test]
fn a_limit_is_a_change_and_a_scope_that_has_ended_is_none() {
    let pool = pool("a change", ReturnPolicy::Destroy);
    let writer = pool.writer().unwrap();
    drop(writer.scoped_limit(Limit::Column, 10).unwrap());
    drop(writer);
    assert_eq!(pool.status().destroyed(DestroyReason::Changed), 0);
    pool.writer().unwrap().set_limit(Limit::Column, 10).unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Changed), 1);
}
