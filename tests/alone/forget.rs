//! The forget matrix: each guard is forgotten (`mem::forget`), and then each later call is made. Every time the
//! forgotten one is counted exactly once, the connection closes, and neither byte, descriptor nor lock is left.
//!
//! What was bound without a copy is freed before the later call, so that AddressSanitizer sees any look at it.

use std::mem::forget;
use std::path::Path;
use std::ptr;

use finalite::data::{Access, Backup};
use finalite::handles::{self, HandleCounts, HandleKind};
use finalite::{Connection, Error, ErrorKind, OpenOptions, Params, Statement, array, ffi};

use crate::common::witness::{Witness, can_write, left_by};
use crate::runner::cases;

cases![
    each_forgotten_guard_is_counted_once_and_nothing_else_is_left,
    each_call_of_a_statement_ends_its_forgotten_rows,
    a_forgotten_savepoint_is_rolled_back_by_the_next,
    a_driver_without_the_repair_is_seen,
];

const SELECT: &str = "SELECT a, b FROM t WHERE b >= ? ORDER BY a";

fn open(path: &Path) -> Connection {
    // In rollback mode, where a reader that is left behind keeps every writer out.
    let conn = OpenOptions::new().pragma("synchronous", "off").open(path).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
    conn.execute("INSERT INTO t(b) VALUES ('one'), ('two')", ()).unwrap();
    conn
}

/// A text on the heap that dies with its scope.
fn bound() -> String {
    String::from("a text that is bound without a copy and freed before SQLite could look at it again")
}

#[derive(Params)]
struct Bound {
    text: String,
}

/// What is forgotten, and what of it is counted at the end, whatever comes between.
type Forgotten = (&'static str, fn(&mut Connection), fn(&mut HandleCounts));

const FORGOTTEN: &[Forgotten] = &[
    ("nothing", |_| {}, |_| {}),
    (
        "rows of a statement",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let text = bound();
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
        },
        |count| count.rows = 1,
    ),
    (
        "rows of a cached statement",
        |conn| {
            let mut statement = conn.prepare_cached(SELECT).unwrap();
            let text = bound();
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
        },
        |count| count.rows = 1,
    ),
    (
        "rows never stepped",
        |conn| {
            let mut statement = conn.prepare_cached(SELECT).unwrap();
            let text = bound();
            forget(statement.query((&text,)).unwrap());
        },
        |count| count.rows = 1,
    ),
    (
        "an iterator of rows",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let text = bound();
            let mut rows = statement.query_as::<(i64, String)>((&text,)).unwrap();
            rows.next();
            forget(rows);
        },
        |count| count.rows = 1,
    ),
    (
        "rows with a list that is lent",
        |conn| {
            let mut statement = conn.prepare_cached(SELECT).unwrap();
            let list = [bound(), bound()];
            let list = array(&list);
            let mut rows = statement.query((&list,)).unwrap();
            rows.next().unwrap();
            forget(rows);
        },
        |count| count.rows = 1,
    ),
    (
        "rows with a list that they own",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let mut rows = statement.query((array(vec![bound()]),)).unwrap();
            rows.next().unwrap();
            forget(rows);
            forget(statement);
        },
        |count| {
            count.statements = 1;
            count.rows = 1;
        },
    ),
    ("a statement", |conn| forget(conn.prepare(SELECT).unwrap()), |count| count.statements = 1),
    (
        "a statement of a key, and its rows",
        |conn| {
            let mut statement = conn.statement(conn.store(SELECT).unwrap()).unwrap();
            let text = bound();
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
            forget(statement);
        },
        |count| {
            count.cached_statements = 1;
            count.rows = 1;
        },
    ),
    (
        "a statement and its rows",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let text = bound();
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
            forget(statement);
        },
        |count| {
            count.statements = 1;
            count.rows = 1;
        },
    ),
    (
        "rows that own their statement",
        |conn| {
            let mut rows = conn.prepare(SELECT).unwrap().into_rows(("",)).unwrap();
            rows.next().unwrap();
            forget(rows);
        },
        |count| {
            count.statements = 1;
            count.rows = 1;
        },
    ),
    ("a cached statement", |conn| forget(conn.prepare_cached(SELECT).unwrap()), |count| count.cached_statements = 1),
    (
        "a cached statement and its rows",
        |conn| {
            let mut statement = conn.prepare_cached(SELECT).unwrap();
            let text = bound();
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
            forget(statement);
        },
        |count| {
            count.cached_statements = 1;
            count.rows = 1;
        },
    ),
    (
        "rows with the parameters of a struct",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let bound = Bound { text: bound() };
            forget(statement.query(&bound).unwrap());
        },
        |count| count.rows = 1,
    ),
    (
        "three statements",
        |conn| {
            for _ in 0..3 {
                forget(conn.prepare(SELECT).unwrap());
            }
        },
        |count| count.statements = 3,
    ),
    ("a blob", |conn| forget(conn.blob(("t", "b", 1), Access::ReadOnly).unwrap()), |count| count.blobs = 1),
    (
        "two blobs, one of them moved, and rows",
        |conn| {
            let mut statement = conn.prepare(SELECT).unwrap();
            let mut blob = conn.blob(("t", "b", 1), Access::ReadOnly).unwrap();
            blob.reopen(2).unwrap();
            forget((conn.blob(("t", "b", 1), Access::ReadOnly).unwrap(), blob));
            let text = bound();
            forget(statement.query((&text,)).unwrap());
        },
        |count| {
            count.blobs = 2;
            count.rows = 1;
        },
    ),
    (
        "a backup, not begun",
        |conn| forget(Backup::new(conn, Connection::open_in_memory().unwrap()).unwrap()),
        |count| count.backups = 1,
    ),
    (
        "a backup in the middle, and its destination with it",
        |conn| {
            let destination = Connection::open_in_memory().unwrap();
            destination.execute("CREATE TABLE x(a)", ()).unwrap();
            let mut backup = Backup::new(conn, destination).unwrap();
            assert!(!backup.step(1).unwrap().is_done);
            forget(backup);
        },
        |count| count.backups = 1,
    ),
    #[cfg(feature = "session")]
    (
        "a session with a filter, and one with changes",
        |conn| {
            let name = bound();
            let mut session = conn.session().unwrap();
            session.set_table_filter(move |table| table != name).unwrap();
            session.attach_all().unwrap();
            forget(session);
            let mut session = conn.session().unwrap();
            session.attach("t").unwrap();
            conn.execute("UPDATE t SET b = b || ''", ()).unwrap();
            forget(session);
        },
        |count| count.sessions = 2,
    ),
    (
        "a transaction",
        |conn| {
            let tx = conn.transaction().unwrap();
            tx.execute("INSERT INTO t(b) VALUES ('lost')", ()).unwrap();
            forget(tx);
        },
        |count| count.transactions = 1,
    ),
    (
        "a savepoint",
        |conn| {
            let mut tx = conn.transaction().unwrap();
            let savepoint = tx.savepoint().unwrap();
            savepoint.execute("INSERT INTO t(b) VALUES ('lost')", ()).unwrap();
            forget(savepoint);
        },
        |count| count.savepoints = 1,
    ),
    (
        "a savepoint within a savepoint that is then released",
        |conn| {
            let mut tx = conn.transaction().unwrap();
            let mut outer = tx.savepoint().unwrap();
            forget(outer.savepoint().unwrap());
            outer.commit().unwrap();
            tx.rollback().unwrap();
        },
        |count| count.savepoints = 1,
    ),
    (
        "a transaction with two savepoints",
        |conn| {
            let mut tx = conn.transaction().unwrap();
            let mut outer = tx.savepoint().unwrap();
            forget(outer.savepoint().unwrap());
            forget(outer);
            forget(tx);
        },
        |count| {
            count.transactions = 1;
            count.savepoints = 2;
        },
    ),
];

type Later = (&'static str, fn(&mut Connection));

/// What comes after.
const LATER: &[Later] = &[
    ("nothing", |_| {}),
    ("the same SQL through the cache", |conn| {
        conn.query_all::<(i64, String)>(SELECT, ("",)).unwrap();
    }),
    ("the same SQL, prepared", |conn| {
        conn.prepare(SELECT).unwrap().query_all::<(i64, String)>(("",)).unwrap();
    }),
    ("a write", |conn| {
        conn.execute("INSERT INTO t(b) VALUES ('later')", ()).unwrap();
    }),
    ("a batch", |conn| conn.execute_batch("INSERT INTO t(b) VALUES ('a'); INSERT INTO t(b) VALUES ('b')").unwrap()),
    ("a transaction", |conn| {
        let tx = conn.transaction().unwrap();
        tx.execute("INSERT INTO t(b) VALUES ('later')", ()).unwrap();
        tx.commit().unwrap();
    }),
    ("a transaction with a savepoint, dropped", |conn| {
        let mut tx = conn.transaction().unwrap();
        tx.savepoint().unwrap().commit().unwrap();
    }),
    ("a scan", |conn| {
        assert!(conn.scan(SELECT, ("",)).for_each(|_| Ok::<_, Error>(())).unwrap() > 0);
    }),
    ("a scan into columns", |conn| assert!(!conn.scan(SELECT, ("",)).columns().unwrap().is_empty())),
    ("a pragma that is set", |conn| conn.set_pragma("user_version", 7).unwrap()),
    ("the cache cleared", |conn| conn.clear_statement_cache()),
    ("the cache turned off", |conn| conn.set_statement_cache_limits(0, 0)),
    ("an interrupt", |conn| {
        conn.interrupt_handle().interrupt();
    }),
    ("close_or_return", |conn| {
        let own = std::mem::replace(conn, Connection::open_in_memory().unwrap());
        own.close_or_return().unwrap();
    }),
    ("close_or_return, which returns it", |conn| {
        let own = std::mem::replace(conn, Connection::open_in_memory().unwrap());
        let mut foreign = ptr::null_mut();
        // SAFETY: the connection is open and the SQL NUL-terminated.
        unsafe { ffi::sqlite3_prepare_v2(own.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut foreign, ptr::null_mut()) };
        let error = own.close_or_return().unwrap_err();
        // SAFETY: made above, finalized once.
        unsafe { ffi::sqlite3_finalize(foreign) };
        *conn = error.into_connection();
        conn.execute("INSERT INTO t(b) VALUES ('later')", ()).unwrap();
    }),
    ("the connection moved to the heap and back", |conn| {
        let own = Box::new(std::mem::replace(conn, Connection::open_in_memory().unwrap()));
        own.execute("INSERT INTO t(b) VALUES ('later')", ()).unwrap();
        *conn = *own;
    }),
];

fn total(before: HandleCounts, after: HandleCounts) -> HandleCounts {
    let mut difference = HandleCounts::default();
    difference.connections = after.connections - before.connections;
    difference.statements = after.statements - before.statements;
    difference.cached_statements = after.cached_statements - before.cached_statements;
    difference.rows = after.rows - before.rows;
    difference.transactions = after.transactions - before.transactions;
    difference.savepoints = after.savepoints - before.savepoints;
    difference.blobs = after.blobs - before.blobs;
    difference.backups = after.backups - before.backups;
    difference.sessions = after.sessions - before.sessions;
    difference
}

/// As many as these, of the forgotten that are listed last: those that are named with a line of the matrix above, and
/// with the SQL where they have any.
fn last_named(expected: HandleCounts) -> HandleCounts {
    let all = handles::forgotten_handles();
    let count = usize::try_from(expected.total()).unwrap();
    let mut named = HandleCounts::default();
    for one in &all[all.len() - count..] {
        let has_sql = matches!(one.kind, HandleKind::Statement | HandleKind::CachedStatement | HandleKind::Rows);
        assert_eq!(one.sql.as_deref(), has_sql.then_some(SELECT), "{one}");
        if one.opened_at.is_none_or(|site| site.file() != file!()) {
            continue;
        }
        match one.kind {
            HandleKind::Statement => named.statements += 1,
            HandleKind::CachedStatement => named.cached_statements += 1,
            HandleKind::Rows => named.rows += 1,
            HandleKind::Transaction => named.transactions += 1,
            HandleKind::Savepoint => named.savepoints += 1,
            HandleKind::Blob => named.blobs += 1,
            HandleKind::Backup => named.backups += 1,
            HandleKind::Session => named.sessions += 1,
            kind => panic!("{kind}"),
        }
    }
    named
}

fn each_forgotten_guard_is_counted_once_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path));
    for (what, forget_it, count) in FORGOTTEN {
        for (later, call) in LATER {
            for close in [false, true] {
                let case = format!("{what}, then {later}, then {}", if close { "close" } else { "drop" });
                let forgotten_before = handles::forgotten();
                let left = left_by(|| {
                    let mut conn = open(&path);
                    forget_it(&mut conn);
                    call(&mut conn);
                    if close { conn.close().unwrap() } else { drop(conn) }
                });
                assert!(left.is_none(), "{case}: {left:#?}");
                let mut expected = HandleCounts::default();
                count(&mut expected);
                assert_eq!(total(forgotten_before, handles::forgotten()), expected, "{case}");
                assert_eq!(last_named(expected), expected, "{case}");
                assert!(can_write(&path), "{case}: a lock is left");
            }
        }
    }
}

type Call = (&'static str, fn(Statement<'_>));

/// What is called on a statement, to its end, after rows of it were forgotten.
const CALLS: &[Call] = &[
    ("drop", |statement| drop(statement)),
    ("execute", |mut statement| assert_eq!(statement.execute(("",)).unwrap(), 0)),
    ("execute_many", |mut statement| assert_eq!(statement.execute_many([("",), ("b",)]).unwrap(), 0)),
    ("execute_many of nothing", |mut statement| {
        assert_eq!(statement.execute_many::<[(&str,); 0]>([]).unwrap(), 0);
    }),
    ("query", |mut statement| assert!(statement.query(("",)).unwrap().next().unwrap().is_some())),
    ("query with a wrong number of parameters", |mut statement| drop(statement.query(()).unwrap_err())),
    ("query_as", |mut statement| {
        assert!(statement.query_as::<(i64, String)>(("",)).unwrap().next().unwrap().is_ok());
    }),
    ("query_one", |mut statement| {
        let error = statement.query_one::<(i64, String)>(("",)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::RowCount { found: 2, .. }), "{error}");
    }),
    ("query_optional", |mut statement| {
        assert_eq!(statement.query_optional::<(i64, String)>(("zzz",)).unwrap(), None);
    }),
    ("query_row", |mut statement| {
        let error = statement.query_row(("zzz",), |_| Ok(())).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::RowCount { found: 0, .. }), "{error}");
    }),
    ("query_all", |mut statement| {
        assert!(statement.query_all::<(i64, String)>(("",)).unwrap().len() >= 2);
    }),
    ("expanded SQL", |mut statement| {
        let sql = statement.expanded_sql(("short",)).unwrap();
        assert!(sql.contains("'short'"), "{sql}");
    }),
    ("a column looked up", |mut statement| {
        let b = statement.column("b").unwrap();
        let mut rows = statement.query(("",)).unwrap();
        assert!(rows.next().unwrap().unwrap().get::<&str>(b).is_ok());
    }),
    ("what is known of it", |statement| {
        assert_eq!(statement.counters().runs, 1);
        assert_eq!(statement.column_names().unwrap().count(), 2);
        assert_eq!(statement.columns().unwrap().len(), 2);
        assert_eq!((statement.parameter_count(), statement.parameter_name(1)), (1, None));
        assert!(statement.is_readonly() && !statement.is_explain());
        assert!(statement.memory().bytes > 0);
        assert_eq!(statement.sql(), SELECT);
    }),
    ("finalize", |statement| statement.finalize().unwrap()),
    ("into_rows", |statement| drop(statement.into_rows(("",)).unwrap())),
];

/// Rows are forgotten and their statement goes on: each call that can reach its bindings, of a statement of its own and
/// of one from the cache.
fn each_call_of_a_statement_ends_its_forgotten_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path));
    type Prepare = for<'conn> fn(&'conn Connection, &str) -> finalite::Result<Statement<'conn>>;
    let prepares: [(&str, Prepare); 2] = [("", Connection::prepare), (", of a cached one", Connection::prepare_cached)];
    for (name, call) in CALLS {
        for (suffix, prepare) in prepares {
            after_forgotten_rows(&path, &format!("{name}{suffix}"), |conn| {
                let mut statement = prepare(conn, SELECT).unwrap();
                {
                    let text = bound();
                    let mut rows = statement.query((&text,)).unwrap();
                    rows.next().unwrap();
                    forget(rows);
                }
                call(statement);
            });
        }
    }
}

/// Rows are forgotten in `run`, once: they are counted and hold nothing up, before their connection is gone and after.
fn after_forgotten_rows(path: &Path, name: &str, run: impl FnOnce(&Connection)) {
    let forgotten_before = handles::forgotten().rows;
    let left = left_by(|| {
        let conn = open(path);
        run(&conn);
        assert_eq!(handles::forgotten().rows, forgotten_before + 1, "{name}");
        assert!(can_write(path), "{name}: a lock is left while the connection is open");
    });
    assert!(left.is_none(), "{name}: {left:#?}");
}

fn a_forgotten_savepoint_is_rolled_back_by_the_next() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let mut tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    forget(savepoint);
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    savepoint.commit().unwrap();
    tx.commit().unwrap();
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 3]);
}

/// A driver without the repair: a statement that is left running keeps its lock, its memory and its connection.
fn a_driver_without_the_repair_is_seen() {
    use std::ffi::CString;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path));
    let before = Witness::now();
    let (mut handle, mut statement) = (ptr::null_mut(), ptr::null_mut());
    let c_path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path is NUL-terminated.
    unsafe { ffi::sqlite3_open(c_path.as_ptr(), &raw mut handle) };
    // SAFETY: the connection is open.
    unsafe { ffi::sqlite3_prepare_v2(handle, c"SELECT * FROM t".as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
    // SAFETY: the statement was just made.
    assert_eq!(unsafe { ffi::sqlite3_step(statement) }, ffi::SQLITE_ROW);
    // SAFETY: the connection is open. The result is what such a driver ignores.
    unsafe { ffi::sqlite3_close(handle) };
    let after = Witness::now();
    assert!(after.native_bytes > before.native_bytes && after.descriptors.len() > before.descriptors.len());
    assert!(!can_write(&path), "its read lock keeps every writer out");
    // SAFETY: made above.
    unsafe { ffi::sqlite3_finalize(statement) };
    // SAFETY: opened above.
    unsafe { ffi::sqlite3_close(handle) };
    assert!(can_write(&path));
}
