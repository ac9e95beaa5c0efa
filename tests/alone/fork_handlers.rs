//! Fork handlers of the program that use databases. They are registered before finalite's, which comes with the first
//! open, and so run within it: after it before the fork, before it after the fork.
use std::cell::RefCell;
use std::ffi::{c_int, c_uint};
use std::path::PathBuf;

use finalite::Connection;

use crate::common::child::{fork_here, leave};
use crate::runner::cases;

cases![handlers_may_open_and_close,];

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
    fn alarm(seconds: c_uint) -> c_uint;
}

thread_local! {
    static KEPT: RefCell<Option<(PathBuf, Option<Connection>)>> = const { RefCell::new(None) };
}

extern "C" fn close() {
    KEPT.with_borrow_mut(|kept| {
        if let Some((_, conn)) = kept {
            drop(conn.take());
        }
    });
}

extern "C" fn open() {
    KEPT.with_borrow_mut(|kept| {
        if let Some((path, conn)) = kept {
            *conn = Connection::open(path).ok();
        }
    });
}

extern "C" fn open_another() {
    drop(Connection::open_in_memory());
}

fn handlers_may_open_and_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    // SAFETY: the handlers live as long as the process; the alarm ends it where a handler hangs.
    unsafe {
        assert_eq!(pthread_atfork(Some(close), Some(open), Some(open_another)), 0);
        alarm(60);
    }
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    KEPT.set(Some((path.clone(), Some(conn))));
    let Some(child) = fork_here() else {
        // The file was closed at the fork, so that the child may open it.
        leave(Connection::open(&path).and_then(|conn| conn.execute("INSERT INTO t VALUES (1)", ())).is_ok());
    };
    assert!(child.wait());
    KEPT.with_borrow(|kept| {
        let (_, Some(conn)) = kept.as_ref().unwrap() else { panic!("the handler of the parent ran") };
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    });
    KEPT.take();
}
