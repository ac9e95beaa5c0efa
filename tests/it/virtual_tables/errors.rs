//! Code of the program's errors: SQLite has called the method, and still runs, when they are formatted and dropped.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use finalite::extend::virtual_table::TableKind;

use super::faults::{METHODS, Never};
use super::*;

thread_local! {
    static HERE: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    /// Uses of the connection by the code of an error, and whether they were refused.
    static USES: RefCell<Vec<(&'static str, bool)>> = const { RefCell::new(Vec::new()) };
}

fn use_connection(by: &'static str) {
    let Some(conn) = HERE.with(|here| here.borrow().clone()) else { return };
    let results = [
        conn.query_one::<i64>("SELECT 1", ()).map(drop),
        conn.execute_batch("DROP TABLE t"),
        conn.create_module::<Probe>("probe", Shared::new()),
    ];
    let is_refused =
        results.into_iter().all(|result| result.is_err_and(|error| matches!(error.kind(), ErrorKind::Misuse { .. })));
    USES.with(|uses| uses.borrow_mut().push((by, is_refused)));
}

/// Runs a call. Returns its result, and the uses of the connection by errors meanwhile.
fn used_by<R>(conn: &Rc<Connection>, call: impl FnOnce() -> R) -> (R, Vec<(&'static str, bool)>) {
    USES.take();
    HERE.replace(Some(Rc::clone(conn)));
    let result = call();
    HERE.replace(None);
    (result, USES.take())
}

/// An error that uses the connection.
#[derive(Debug)]
struct Meddler;

impl fmt::Display for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use_connection("display");
        f.write_str("a meddler")
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        use_connection("drop");
    }
}

impl StdError for Meddler {}

/// An error that cannot be formatted.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("unspeakable")
    }
}

impl StdError for Unspeakable {}

#[test]
fn rule_4_the_error_of_a_method_is_formatted_within_its_call() {
    for &(method, action) in METHODS {
        let shared = Shared::with_rows(3);
        let conn = Rc::new(probe(&shared));
        if method == "create" {
            conn.execute("DROP TABLE t", ()).unwrap();
        }
        shared.fail(method, Fault::Made(|| Meddler.into()));
        let (result, uses) = used_by(&conn, || action(&conn));
        assert!(result.is_err(), "{method}");
        assert!(uses.contains(&("display", true)), "{method}: {uses:?}");
        assert!(!uses.contains(&("display", false)), "{method}: {uses:?}");
        shared.mend();
        drop(result);
    }
}

#[test]
fn rule_4_an_eponymous_table_is_not_replaced_by_the_error_of_its_connection() {
    struct Eponymous;
    impl VirtualTable for Eponymous {
        type Shared = Shared;
        type Cursor<'t> = Never;
        const KIND: TableKind = TableKind::EponymousOnly;
        fn connect(shared: &Shared, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            shared.enter("connect")?;
            Ok(Declared::new("CREATE TABLE x(a)", Self))
        }
        fn open(&self, _: &Shared) -> Result<Never, CallbackError> {
            Ok(Never)
        }
    }
    let shared = Shared::new();
    let conn = Rc::new(open());
    conn.create_module::<Eponymous>("probe", shared.clone()).unwrap();
    shared.fail("connect", Fault::Made(|| Meddler.into()));
    let (result, uses) = used_by(&conn, || conn.query_all::<i64>("SELECT a FROM probe", ()));
    assert_eq!(uses, [("display", true)], "{result:?}");
    assert!(result.unwrap_err().to_string().contains("a meddler"));
}

#[test]
fn rule_5_an_error_that_panics_when_it_is_formatted_is_a_panic_of_the_call() {
    for &(method, action) in METHODS {
        let shared = Shared::with_rows(3);
        let conn = probe(&shared);
        if method == "create" {
            conn.execute("DROP TABLE t", ()).unwrap();
        }
        shared.fail(method, Fault::Made(|| Unspeakable.into()));
        assert_eq!(panic_of(|| action(&conn)), "unspeakable", "{method}");
        shared.mend();
        assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
    }
}

#[test]
fn rule_4_an_error_that_nobody_gets_is_dropped_as_a_callback() {
    let shared = Shared::with_rows(3);
    let conn = Rc::new(probe(&shared));
    shared.fail("insert", Fault::Made(|| TableError::constraint(Meddler).into()));
    // SQLite takes the row out and goes on, so that the error stays, and the next one is in its place.
    let sql = "INSERT OR IGNORE INTO t VALUES (40, 'a'), (50, 'b')";
    let (result, uses) = used_by(&conn, || conn.execute(sql, ()));
    assert_eq!(result.unwrap(), 0);
    let is_of_drop = |&&(by, _): &&(&str, bool)| by == "drop";
    assert_eq!(uses.iter().filter(is_of_drop).count(), 1, "{uses:?}");
    assert!(uses.iter().all(|(_, is_refused)| *is_refused), "{uses:?}");
    // Within the call, the drop is refused. Afterwards the program has the connection: the positive control.
    shared.fail("insert", Fault::Made(|| Meddler.into()));
    let error = conn.execute("INSERT INTO t VALUES (40, 'a')", ()).unwrap_err();
    shared.mend();
    let ((), uses) = used_by(&conn, || drop(error));
    assert_eq!(uses, [("drop", false)]);
}
