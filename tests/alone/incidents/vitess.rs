//! Vitess, vitessio/vitess#17808 (2025): the memory of vttablet grew with the number of reserved connections.
//!
//! - What happened: connections that were closed long ago stayed reachable, each with its buffers.
//! - The mechanism: the idle set was a linked stack, and `pop` did not clear `next`; a connection that was kept for
//!   long kept the one below it, and so all that had been below.
//! - Here: slots own their connections by value, and nothing points from one to another.
//! - Tested: what sessions leave behind is never seen by the next, and costs no memory, beside a connection that is
//!   kept.

use std::cell::RefCell;
use std::ffi::c_int;
use std::ptr;
use std::rc::Rc;

use finalite::pool::{DestroyReason, Pool};
use finalite::{Connection, OpenOptions, ffi, handles, memory};
use serde_json::json;

use crate::common::incident::{change_by, database, times};
use crate::runner::cases;

cases![nobody_sees_what_was_left_behind,];

/// What a borrower can leave behind.
const TEMPORARY: &str = "CREATE TEMP TABLE left(a); INSERT INTO left VALUES (zeroblob(10000))";
const ATTACHED: &str = "ATTACH ':memory:' AS other";
const PRAGMAS: &str = "PRAGMA foreign_keys = OFF; PRAGMA cache_size = -100; PRAGMA recursive_triggers = ON";

unsafe extern "C" fn answer(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite calls this with the context of the call that is going on.
    unsafe { ffi::sqlite3_result_int(context, 42) };
}

fn register_function(conn: &Connection) {
    let (name, flags) = (c"answer".as_ptr(), ffi::SQLITE_UTF8);
    // SAFETY: the connection is open, the name NUL-terminated, and the callback a function of this program.
    let code = unsafe {
        ffi::sqlite3_create_function_v2(conn.as_raw(), name, 0, flags, ptr::null_mut(), Some(answer), None, None, None)
    };
    assert_eq!(code, ffi::SQLITE_OK);
    assert_eq!(conn.query_one::<i64>("SELECT answer()", ()).unwrap(), 42);
}

/// All that could be seen of an earlier borrower. Nothing in it is cached: that would be memory of the connection's.
fn fingerprint(conn: &Connection) -> (Vec<String>, i64, Vec<String>, bool) {
    let databases = conn.prepare("SELECT name FROM pragma_database_list WHERE name <> 'temp'").unwrap().query_all(());
    let temporary = conn.prepare("SELECT count(*) FROM sqlite_temp_schema").unwrap().query_one(());
    let pragmas = ["foreign_keys", "cache_size", "recursive_triggers", "synchronous", "trusted_schema", "busy_timeout"];
    let pragmas = pragmas.map(|name| format!("{name} {}", conn.pragma::<i64>(name).unwrap()));
    let knows_function = conn.prepare("SELECT answer()").is_ok();
    (databases.unwrap(), temporary.unwrap(), pragmas.into(), knows_function)
}

fn nobody_sees_what_was_left_behind() {
    let turns = times(3000, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let mut destroyed = [0; DestroyReason::ALL.len()];
    let mut idle_bytes = [[0; 2]; 6];
    let change = change_by(|| {
        let options = OpenOptions::recommended().pragma("synchronous", "off");
        let pool = Pool::builder(&path).readers(1).reserved(1).options(options).build().unwrap();
        let reserved = pool.reserve().unwrap();
        reserved.execute_batch(TEMPORARY).unwrap();
        let clean = [fingerprint(&pool.writer().unwrap()), fingerprint(&pool.reader().unwrap())];
        assert_eq!(clean[0].0, ["main"]);
        for turn in 0..turns {
            let (lane, kind) = (turn % 2, turn % 3);
            let conn = if lane == 0 { pool.writer() } else { pool.reader() }.unwrap();
            assert_eq!(fingerprint(&conn), clean[lane], "turn {turn}");
            // Put back in one turn of three; in another there is a temporary table too; in the third, a function.
            conn.execute_batch(ATTACHED).unwrap();
            conn.execute_batch(PRAGMAS).unwrap();
            if kind > 0 {
                conn.execute_batch(TEMPORARY).unwrap();
            }
            if kind > 1 {
                register_function(&conn);
            }
            assert_ne!(fingerprint(&conn), clean[lane], "the fingerprint sees it");
            drop(conn);
            assert!(handles::counts().connections <= 3);
            // The first round of all opens what the pool opens when it is asked.
            let bytes = memory::stats().bytes;
            let [first, last] = &mut idle_bytes[turn % 6];
            if turn < 12 {
                *first = bytes;
            }
            *last = bytes;
            assert!(bytes <= *first + 4096, "turn {turn}: {bytes} bytes, {first} at first");
        }
        let held: i64 = reserved.query_one("SELECT length(a) FROM left", ()).unwrap();
        assert_eq!(held, 10_000, "what the reserved connection kept is there");
        drop(reserved);
        let status = pool.status();
        destroyed = status.destroyed_total;
        let third = |kind| (0..turns).filter(|turn| turn % 3 == kind).count() as u64;
        assert_eq!(status.destroyed(DestroyReason::TemporarySchema), third(1));
        assert_eq!(status.destroyed(DestroyReason::Raw), third(2));
        assert_eq!(status.destroyed_total.iter().sum::<u64>(), third(1) + third(2) + 1, "and the reserved one");
        let report = pool.close();
        assert!(report.is_clean(), "{report}");
    });
    let more = json!({
        "destroyed": destroyed.iter().sum::<u64>(),
        "forgotten": handles::forgotten().total(),
        "idle_bytes": idle_bytes.map(|[first, last]| json!([first, last])),
    });
    change.print("vitess", turns, &more);
    change.assert_none();
    control(&path);
}

/// Vitess's stack: what is taken off it still knows what was below.
struct Node {
    _conn: Connection,
    next: RefCell<Option<Rc<Node>>>,
}

#[derive(Default)]
struct Stack(Option<Rc<Node>>);

impl Stack {
    fn push(&mut self, conn: Connection) {
        self.0 = Some(Rc::new(Node { _conn: conn, next: RefCell::new(self.0.take()) }));
    }

    fn pop(&mut self) -> Option<Rc<Node>> {
        let top = self.0.take()?;
        self.0 = top.next.borrow().clone();
        Some(top)
    }
}

fn control(path: &std::path::Path) {
    let mut stack = Stack::default();
    let mut reserved = None;
    let change = change_by(|| {
        for _ in 0..20 {
            stack.push(Connection::open(path).unwrap());
        }
        reserved = stack.pop();
        // Each of the others is taken out and dropped: closed, as far as anybody can tell.
        while let Some(other) = stack.pop() {
            drop(other);
        }
    });
    change.print("vitess, as it was", 20, &json!({}));
    assert!(!change.is_none());
    assert_eq!(handles::counts().connections, 20, "the reserved one, and 19 that nobody has");
    reserved.unwrap().next.take();
    assert_eq!(handles::counts().connections, 0);
}
