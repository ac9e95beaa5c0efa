//! Drop of what functions captured, returned or kept, and executions that end within a function.

use std::cell::{Cell, RefCell};
use std::mem::forget;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use finalite::extend::{FunctionContext, FunctionOptions, FunctionResult, aggregate, window};
use finalite::{Connection, ConversionError, ErrorKind, FromSql, Param, Rows, Statement, ToSql, ValueRef, handles};

use super::{Counted, one, open, panic_of};

/// Panics in Drop, unless a panic is unwinding.
struct Loud(&'static str);

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Connection that stays where it is until the test ends.
struct Kept(NonNull<Connection>);

impl Kept {
    fn new(conn: Connection) -> Self {
        Self(NonNull::from(Box::leak(Box::new(conn))))
    }

    /// What borrows it is dropped before `self`.
    fn get(&self) -> &'static Connection {
        // SAFETY: freed by the Drop of `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak`, and not used again.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

thread_local! {
    static HERE: Cell<Option<&'static Connection>> = const { Cell::new(None) };
    static REFUSED: Cell<usize> = const { Cell::new(0) };
    static ROWS: RefCell<Option<Rows<'static>>> = const { RefCell::new(None) };
    static STATEMENT: RefCell<Option<Statement<'static>>> = const { RefCell::new(None) };
}

/// Uses the connection of this thread, which must be refused.
fn try_here() {
    let conn = HERE.get().unwrap();
    for error in [
        conn.execute("CREATE TABLE never(a)", ()).unwrap_err(),
        conn.create_scalar_function("never", || 1).unwrap_err(),
        conn.unchecked_transaction().unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        REFUSED.set(REFUSED.get() + 1);
    }
}

fn refused() -> usize {
    REFUSED.take()
}

/// Uses the connection of this thread in Drop.
struct Uses;

impl Drop for Uses {
    fn drop(&mut self) {
        try_here();
    }
}

#[test]
fn rule_5_a_state_whose_drop_panics_never_unwinds_into_c() {
    let conn = open();
    let loud = || {
        window(
            || Loud("a state"),
            |_: &mut Loud, _: i64| (),
            |_: &mut Loud, _: i64| (),
            |loud: &Loud| loud.0.len() as i64,
        )
    };
    conn.create_window_function("loud", loud()).unwrap();
    // No row has come when SQLite asks for the value of the first row: that state ends with the call.
    let sql = "SELECT loud(column1) OVER (ROWS BETWEEN 2 PRECEDING AND 2 PRECEDING) FROM (VALUES (1), (2), (3))";
    assert_eq!(panic_of(|| conn.query_all::<i64>(sql, ())), "a state");
    // A group without rows.
    assert_eq!(panic_of(|| conn.query_all::<i64>("SELECT loud(1) WHERE 0", ())), "a state");
    // The step panics, and the state that it leaves panics in Drop: the first panic is the program's.
    let twice = aggregate(|| Loud("a state"), |_: &mut Loud, n: i64| assert!(n < 2, "a step"), |_: Loud| 1);
    conn.create_aggregate_function("twice", twice).unwrap();
    for sql in ["SELECT twice(column1) FROM (VALUES (1), (2))", "SELECT twice(2)"] {
        assert_eq!(panic_of(|| conn.query_all::<i64>(sql, ())), "a step", "{sql}");
        assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT 1", ())), "a state", "{sql}");
    }
    let failing = aggregate(|| Loud("a state"), |_: &mut Loud, _: i64| Err("failed"), |_: Loud| 1);
    conn.create_aggregate_function("failing", failing).unwrap();
    assert!(conn.query_all::<i64>("SELECT failing(1)", ()).unwrap_err().to_string().contains("failed"));
    assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT 1", ())), "a state");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

#[test]
fn rule_4_drop_of_a_state_does_not_use_its_connection() {
    let conn = Kept::new(open());
    HERE.set(Some(conn.get()));
    let conn = conn.get();
    let uses = window(|| Uses, |_: &mut Uses, _: i64| (), |_: &mut Uses, _: i64| (), |_: &Uses| 1);
    conn.create_window_function("uses", uses).unwrap();
    let frame = "SELECT uses(column1) OVER (ROWS BETWEEN 2 PRECEDING AND 2 PRECEDING) FROM (VALUES (1), (2), (3))";
    for (sql, states) in [(frame, 3), ("SELECT uses(1) WHERE 0", 1), ("SELECT uses(1)", 1)] {
        conn.query_all::<i64>(sql, ()).unwrap();
        assert_eq!(refused(), 3 * states, "{sql}");
    }
    // Auxiliary data, in the middle of the statement.
    conn.create_scalar_function_with("keeps", FunctionOptions::new().arguments(1), |call| {
        call.auxiliary(0, || Ok(Uses))?;
        Ok(1)
    })
    .unwrap();
    conn.query_all::<i64>("SELECT keeps(column1) FROM (VALUES (1), (2))", ()).unwrap();
    assert_eq!(refused(), 6);
    conn.query_all::<i64>("SELECT keeps(7) FROM (VALUES (1), (2))", ()).unwrap();
    assert_eq!(refused(), 3);
    // Positive control: outside of callbacks the same use works.
    conn.execute("CREATE TABLE never(a)", ()).unwrap();
    assert!(!conn.exists("SELECT 1 FROM never", ()).unwrap());
}

#[test]
fn rule_4_conversions_within_a_read_do_not_use_the_connection() {
    struct Reads;
    impl FromSql<'_> for Reads {
        fn from_sql(_: ValueRef<'_>) -> Result<Self, ConversionError> {
            try_here();
            Ok(Self)
        }
    }
    struct Binds;
    impl ToSql for Binds {
        fn to_sql(&self) -> Param<'_> {
            try_here();
            Param::text("1".to_owned())
        }
    }
    let conn = Kept::new(open());
    HERE.set(Some(conn.get()));
    let conn = conn.get();
    conn.create_scalar_function_with("reads", FunctionOptions::new().arguments(0), |call| {
        let read = call.connection();
        read.query_one::<Reads>("SELECT 1", ())?;
        read.query_all::<Reads>("SELECT 1 UNION ALL SELECT 2", ())?;
        assert!(read.exists("SELECT ?", (Binds,))?);
        // Between reads, too; and another read works.
        try_here();
        Ok(read.query_one::<i64>("SELECT 5", ())?)
    })
    .unwrap();
    for _ in 0..2 {
        assert_eq!(one::<i64>(conn, "SELECT reads()"), 5);
        assert_eq!(refused(), 15);
    }
}

#[test]
fn rule_5_a_panic_before_a_collation_is_supplied_is_resumed_by_prepare() {
    let conn = open();
    let supplied = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&supplied);
    conn.on_collation_needed(move |name| {
        assert_ne!(name, "bomb", "asked for it");
        counting.fetch_add(1, Ordering::Relaxed);
        Some(|a: &str, b: &str| a.cmp(b))
    })
    .unwrap();
    // SQLite asks for the second, although it has not got the first.
    let sql = "SELECT column1 FROM (VALUES ('b'), ('a')) ORDER BY column1 COLLATE bomb, column1 COLLATE supplied";
    assert!(panic_of(|| conn.prepare(sql).map(drop)).contains("asked for it"));
    assert_eq!(supplied.load(Ordering::Relaxed), 1, "positive control: it was asked for after the panic");
    assert!(one::<bool>(&conn, "SELECT 'a' < 'b' COLLATE supplied"));
    assert_eq!(supplied.load(Ordering::Relaxed), 1, "it was registered");
}

#[test]
fn rule_5_a_panic_in_a_query_of_a_function_reaches_the_first_call() {
    let conn = open();
    conn.create_scalar_function("bomb", |x: i64| -> i64 { panic!("in the innermost {x}") }).unwrap();
    let levels = FunctionOptions::new().arguments(1);
    conn.create_scalar_function_with("middle", levels, |call| {
        Ok(call.connection().query_one::<i64>("SELECT bomb(?)", (call.get::<i64>(0)?,))?)
    })
    .unwrap();
    conn.create_scalar_function_with("outer", levels, |call| {
        Ok(call.connection().query_all::<i64>("SELECT middle(?)", (call.get::<i64>(0)?,))?.len() as i64)
    })
    .unwrap();
    conn.create_scalar_function_with("calm", levels, |call| {
        let read = call.connection();
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read.query_one::<i64>("SELECT outer(3)", ())));
        assert!(caught.is_err());
        // The connection reads on after the panic.
        Ok(read.query_one::<i64>("SELECT 4", ())?)
    })
    .unwrap();
    for _ in 0..3 {
        assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT outer(2)", ())), "in the innermost 2");
        // A function that catches it ends it.
        assert_eq!(one::<i64>(&conn, "SELECT calm(0)"), 4);
    }
    // A collation cannot fail its statement; within a read, the read resumes its panic.
    conn.create_collation("loud", |_: &str, _: &str| panic!("in a collation")).unwrap();
    conn.create_scalar_function_with("sorts", FunctionOptions::new().arguments(0), |call| {
        let sql = "SELECT column1 FROM (VALUES ('a'), ('b')) ORDER BY column1 COLLATE loud";
        Ok(call.connection().query_all::<String>(sql, ())?.len() as i64)
    })
    .unwrap();
    assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT sorts()", ())), "in a collation");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

#[test]
fn rule_5_drop_of_a_closure_that_panics_is_a_panic_of_the_call_and_late_at_close() {
    fn loud() -> impl Fn() -> i64 + Send {
        let captured = Loud("a captured value");
        move || {
            let all = &captured;
            all.0.len() as i64
        }
    }
    let conn = open();
    conn.create_scalar_function("f", loud()).unwrap();
    assert_eq!(panic_of(|| conn.create_scalar_function("f", || 2)), "a captured value");
    assert_eq!(one::<i64>(&conn, "SELECT f()"), 2);
    conn.create_scalar_function("g", loud()).unwrap();
    assert_eq!(panic_of(|| conn.remove_function("g", Some(0))), "a captured value");
    assert!(conn.prepare("SELECT g()").is_err());
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Counted(Arc::clone(&dropped));
    conn.create_scalar_function("h", loud()).unwrap();
    conn.create_scalar_function("i", move || counted.0.load(Ordering::Relaxed) as i64).unwrap();
    let before = handles::late_panics();
    conn.close().unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "the others are dropped");
    assert!(handles::late_panics() > before);
}

#[test]
fn rule_15_what_ends_an_aggregate_has_no_auxiliary_data() {
    struct Peek;
    impl FunctionResult for Peek {
        fn answer(self, context: &FunctionContext<'_>) {
            let error = context.auxiliary(0, || Ok(1)).unwrap_err();
            assert!(error.to_string().contains("argument 1 is missing"), "{error}");
            let _ = context.reply(7);
        }
    }
    let conn = open();
    let peeks = window(|| (), |(): &mut (), _: i64| (), |(): &mut (), _: i64| (), |(): &()| Peek);
    conn.create_window_function("peeks", peeks).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT peeks(1)"), 7);
    let sql = "SELECT peeks(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2))";
    assert_eq!(conn.query_all::<i64>(sql, ()).unwrap(), [7, 7]);
    let none = FunctionOptions::new().arguments(0);
    conn.create_scalar_function_with("none", none, |call| Ok(*call.auxiliary(0, || Ok(1))?)).unwrap();
    let error = conn.query_one::<i64>("SELECT none()", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Function { .. }), "{error}");
}

#[test]
fn rule_4_executions_that_end_within_a_callback_end_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let kept = Kept::new(Connection::open(&path).unwrap());
    let conn = kept.get();
    conn.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t(a)").unwrap();
    let other = Connection::open(&path).unwrap();
    let mut committed = 0;
    conn.create_collation("ends", |a: &str, b: &str| {
        drop(ROWS.take());
        drop(STATEMENT.take());
        a.cmp(b)
    })
    .unwrap();
    conn.create_scalar_function("finishes", || match ROWS.take().unwrap().finish() {
        Err(error) => matches!(error.kind(), ErrorKind::Misuse { .. }),
        Ok(()) => false,
    })
    .unwrap();
    let sort = "SELECT column1 FROM (VALUES ('b'), ('a'), ('c')) ORDER BY column1 COLLATE ends";
    // Of a statement that lives on: the next execution ends the one before.
    let statement: &'static mut Statement<'static> =
        Box::leak(Box::new(conn.prepare("INSERT INTO t VALUES (?1), (?1) RETURNING a").unwrap()));
    let statement = std::ptr::from_mut(statement);
    for sql in [sort, "SELECT finishes()"] {
        let text = String::from("lent to the statement");
        // SAFETY: it is used through this pointer alone, and the rows of the last execution are gone.
        let mut rows = unsafe { &mut *statement }.query((text.clone(),)).unwrap();
        rows.next().unwrap().unwrap();
        ROWS.set(Some(rows));
        drop(text);
        let expected = conn.query_all::<String>(sql, ()).map_err(|_| ());
        assert!(ROWS.take().is_none(), "{sql}: positive control: the callback ran");
        assert_eq!(expected.map_or(1, |all| all.len()), if sql == sort { 3 } else { 1 });
        // The insertion is not committed: its execution goes on.
        assert_eq!(one::<i64>(&other, "SELECT count(*) FROM t"), committed, "{sql}");
        committed += 2;
    }
    // SAFETY: made by `Box::leak` above, used through this pointer alone, without rows.
    drop(unsafe { Box::from_raw(statement) });
    let inserted: i64 = one(conn, "SELECT count(*) FROM t");
    assert_eq!(inserted, 4, "both executions are committed when the statement ends");
    // Of a statement that goes with its rows: close ends it.
    let mut statement = conn.prepare("INSERT INTO t VALUES (1), (2) RETURNING a").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    forget(rows);
    STATEMENT.set(Some(statement));
    assert_eq!(conn.query_all::<String>(sort, ()).unwrap(), ["a", "b", "c"]);
    assert!(STATEMENT.take().is_none());
    drop(kept);
}

#[test]
fn rule_8_a_transaction_that_is_dropped_within_a_callback_is_rolled_back_by_the_next() {
    thread_local!(static OPEN: RefCell<Option<finalite::Transaction<'static>>> = const { RefCell::new(None) });
    let kept = Kept::new(open());
    let conn = kept.get();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    conn.create_scalar_function("ends", || OPEN.take().is_some()).unwrap();
    OPEN.set(Some(conn.unchecked_transaction().unwrap()));
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(one::<i64>(conn, "SELECT ends()"), 1);
    assert!(OPEN.take().is_none() && !conn.is_autocommit(), "positive control: it was dropped, and is open");
    let next = conn.unchecked_transaction().unwrap();
    assert_eq!(one::<i64>(conn, "SELECT count(*) FROM t"), 0);
    next.commit().unwrap();
}

#[test]
fn rule_15_an_error_text_with_a_nul_keeps_its_type() {
    let conn = open();
    conn.create_scalar_function("f", |text: &str| -> Result<i64, String> { Err(format!("{text}\0and more")) }).unwrap();
    let error = conn.query_one::<i64>("SELECT f('before')", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Function { .. }), "{error}");
}
