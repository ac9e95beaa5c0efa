//! The first connections of a process, opened by several threads at once. SQLite counts as initialized before it runs
//! what SQLCipher adds (`SQLITE_EXTRA_INIT`), so that a second thread could open a connection without it.

use std::ptr;
use std::sync::Barrier;
use std::thread;

use finalite::{Connection, ffi};

use crate::common::child::in_child;
use crate::runner::cases;

cases![first_connections_have_what_sqlcipher_adds, the_control];

const THREADS: usize = 4;
const PROCESSES: usize = 100;

/// Runs this on several threads of a new process at once; returns whether each said yes.
fn at_once(is_complete: impl Fn() -> bool + Sync) -> bool {
    in_child(|| {
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            let open = || {
                barrier.wait();
                is_complete()
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(open)).collect();
            threads.into_iter().all(|thread| thread.join().unwrap())
        })
    })
}

fn first_connections_have_what_sqlcipher_adds() {
    for _ in 0..PROCESSES {
        assert!(at_once(|| {
            let conn = Connection::open_in_memory().unwrap();
            conn.prepare("SELECT sqlcipher_export('main')").is_ok()
        }));
    }
}

/// The same with the C functions: SQLCipher is missing in one of the connections.
fn the_control() {
    let is_complete = || {
        let mut db = ptr::null_mut();
        // SAFETY: a NUL-terminated name, and room for the handle, which is closed below.
        unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut db) };
        let mut statement = ptr::null_mut();
        // SAFETY: an open connection, a NUL-terminated text, and room for the statement, which is finalized below.
        unsafe {
            let sql = c"SELECT sqlcipher_export('main')";
            let code = ffi::sqlite3_prepare_v2(db, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut());
            ffi::sqlite3_finalize(statement);
            ffi::sqlite3_close(db);
            code == ffi::SQLITE_OK
        }
    };
    assert!((0..20 * PROCESSES).any(|_| !at_once(is_complete)));
}
